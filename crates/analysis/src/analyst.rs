use std::{fmt, path::PathBuf, sync::Arc};

use meterbox_budget_engine::{BudgetEngine, BudgetError, BudgetStatus};
use meterbox_circuit_breaker::{Breaker, Policy};
use meterbox_core::{
    AnalysisId, Clock, Scope, SystemClock, Usd,
    contract::{AnalysisResult, Failure},
};
use meterbox_datasets::{Catalog, Dataset, TypedDataset};
use meterbox_llm_codegen::{CodeGenerator, GenerateRequest, Planner, chat::ModelCard};
use meterbox_price_book::{PriceBook, PriceError};
use meterbox_results_store::{Page, PageRequest, ResultsError, ResultsStore};
use meterbox_sandbox_client::{Capabilities, Limits, Sandbox, SandboxError};
use tokio::sync::{Mutex, OnceCell, Semaphore, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument as _;

use crate::{
    Ask, ModelPrices, Principal, Request, RequestError, Running, failure,
    paid_run::Run,
    pipeline,
    places::{Place, Places},
    price::ComputePrices,
    squeeze::Squeeze,
};

/// The place whose prices count where none is named.
const LOCAL: &str = "local";

/// Answers questions on data, in a sandbox, within budgets. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Analyst {
    parts: Arc<Parts>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

pub(crate) struct Parts {
    pub(crate) places: Places,
    pub(crate) generator: Arc<dyn CodeGenerator>,
    pub(crate) cheaper: Option<Arc<dyn CodeGenerator>>,
    pub(crate) budget: BudgetEngine,
    pub(crate) breaker: Breaker,
    pub(crate) results: Arc<dyn ResultsStore>,
    pub(crate) catalog: Catalog,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) model_prices: ModelPrices,
    pub(crate) squeeze: Squeeze,
    pub(crate) max_cost: Usd,
    pub(crate) global: Option<Scope>,
    pub(crate) program_limits: Limits,
    pub(crate) artifacts: PathBuf,
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) imports: Arc<Mutex<()>>,
    /// May spans have words of people, programs and data in them?
    pub(crate) traces_content: bool,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("places", &self.places)
            .field("generator", &self.generator)
            .finish_non_exhaustive()
    }
}

impl Analyst {
    /// Starts to put an analyst together from the parts that have no default. Everything runs in this sandbox, unless
    /// [`programs_in`](AnalystBuilder::programs_in) names another for programs.
    pub fn builder(
        sandbox: Arc<dyn Sandbox>,
        budget: BudgetEngine,
        results: Arc<dyn ResultsStore>,
        catalog: Catalog,
        artifacts: impl Into<PathBuf>,
    ) -> AnalystBuilder {
        AnalystBuilder {
            sandbox,
            budget,
            results,
            catalog,
            artifacts: artifacts.into(),
            generator: None,
            cheaper: None,
            breaker: None,
            clock: Arc::new(SystemClock::default()),
            prices: None,
            model_prices: None,
            programs: None,
            max_cost: Usd::from_dollars(5),
            global: None,
            program_limits: Limits::default(),
            concurrency: 4,
            traces_content: false,
        }
    }

    /// Begins an analysis as a task of its own and returns at once.
    ///
    /// Its spans are below the one that is current now, which is told of the analysis in the fields it has of
    /// [`meterbox_core::telemetry`].
    ///
    /// # Errors
    /// [`RequestError`] for a request that could not possibly be answered; nothing was begun.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(&self, request: Request) -> Result<Running, RequestError> {
        request.ask.check()?;
        if self.shutdown.is_cancelled() {
            return Err(RequestError::ShuttingDown);
        }
        let id = AnalysisId::new(self.parts.clock.now());
        let (send, events) = mpsc::unbounded_channel();
        let cancel = self.shutdown.child_token();
        let followed = pipeline::follow(Arc::clone(&self.parts), id, request, send, cancel.clone());
        let task = self.tasks.spawn(followed.in_current_span());
        Ok(Running {
            id,
            events,
            cancel,
            task,
        })
    }

    /// Types a dataset now instead of with its first question, so that its tables are known before.
    ///
    /// Charged to the principal like an analysis, but none: it is not in the history.
    ///
    /// # Errors
    /// The [`Failure`] that a question on this dataset would have met.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    ///
    /// # Cancel safety
    /// Dropping the future stops nothing: the work is a task of its own.
    pub async fn prepare(&self, dataset: Dataset, principal: Principal) -> Result<TypedDataset, Failure> {
        if let Some(typed) = dataset.typed() {
            return Ok(typed);
        }
        if self.shutdown.is_cancelled() {
            return Err(failure::cancelled());
        }
        let id = AnalysisId::new(self.parts.clock.now());
        let nothing_asked = Ask::Code(String::new());
        let request = Request::new(nothing_asked, dataset, principal);
        let typing = pipeline::prepare(Arc::clone(&self.parts), id, request, self.shutdown.child_token());
        self.tasks
            .spawn(typing.in_current_span())
            .await
            .unwrap_or_else(|_| Err(failure::cancelled()))
    }

    /// Stops taking requests, cancels what runs, and waits until all of it is settled and stored.
    pub async fn shut_down(&self) {
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// The least that an analysis needs: one program, of one second, at the prices of now. A budget with less than this
    /// left pays for nothing any more.
    pub fn least_cost(&self) -> Usd {
        let prices = self.parts.places.at(self.parts.clock.now());
        prices.of(Run::Program).least(&self.parts.program_limits)
    }

    /// The state of the tightest budget of this principal.
    ///
    /// # Errors
    /// [`BudgetError::NoBudget`] where none is defined for it; others where the ledger cannot be read.
    pub async fn budget_status(&self, principal: &Principal) -> Result<BudgetStatus, BudgetError> {
        self.parts.budget.tightest(&principal.scopes()).await
    }

    /// Earlier analyses of this principal, newest first.
    ///
    /// # Errors
    /// Where the results cannot be read.
    pub async fn history(&self, principal: &Principal, page: PageRequest) -> Result<Page, ResultsError> {
        self.parts.results.page(&principal.user, page).await
    }

    /// One analysis of this principal.
    ///
    /// # Errors
    /// Where the results cannot be read.
    pub async fn find(
        &self,
        principal: &Principal,
        id: AnalysisId,
    ) -> Result<Option<AnalysisResult>, ResultsError> {
        self.parts.results.find(&principal.user, id).await
    }

    /// Forgets one analysis of this principal with its files; false where there is none. What it cost stays in the ledger.
    ///
    /// # Errors
    /// Where the results cannot be written.
    pub async fn forget(&self, principal: &Principal, id: AnalysisId) -> Result<bool, ResultsError> {
        let is_forgotten = self.parts.results.delete(&principal.user, id).await?;
        if is_forgotten {
            // Files whose result is gone are never shown; retention looks for what stays behind.
            let _ = std::fs::remove_dir_all(self.artifacts_of(id));
        }
        Ok(is_forgotten)
    }

    /// The folder that holds an analysis's files, by [`ArtifactRef`](meterbox_core::contract::ArtifactRef) name.
    pub fn artifacts_of(&self, id: AnalysisId) -> PathBuf {
        self.parts.artifacts.join(id.to_string())
    }

    /// The model that may be asked, where there is one.
    pub fn model(&self) -> Option<ModelCard> {
        let anything = GenerateRequest::new("", Arc::default(), None);
        let call = self.parts.generator.planned_call(&anything);
        call.map(|call| call.card.clone())
    }

    /// What the sandbox offers that data is typed in; prepares it if it is not ready.
    ///
    /// # Errors
    /// Where no sandbox can be had.
    pub async fn sandbox(&self) -> Result<Capabilities, SandboxError> {
        self.parts.places.own.sandbox.capabilities().await
    }

    /// The datasets there are.
    pub fn catalog(&self) -> &Catalog {
        &self.parts.catalog
    }
}

/// Puts an [`Analyst`] together.
#[derive(Debug)]
pub struct AnalystBuilder {
    sandbox: Arc<dyn Sandbox>,
    budget: BudgetEngine,
    results: Arc<dyn ResultsStore>,
    catalog: Catalog,
    artifacts: PathBuf,
    generator: Option<Arc<dyn CodeGenerator>>,
    cheaper: Option<Arc<dyn CodeGenerator>>,
    breaker: Option<Breaker>,
    clock: Arc<dyn Clock>,
    prices: Option<ComputePrices>,
    model_prices: Option<ModelPrices>,
    programs: Option<Place>,
    max_cost: Usd,
    global: Option<Scope>,
    program_limits: Limits,
    concurrency: usize,
    traces_content: bool,
}

impl AnalystBuilder {
    /// Who writes programs. The built-in planner where not set.
    #[must_use]
    pub fn generator(mut self, generator: Arc<dyn CodeGenerator>) -> Self {
        self.generator = Some(generator);
        self
    }

    /// Who writes programs past a budget's soft cap for dear ways, where its calls are proven cheaper. Rules alone where
    /// not set.
    #[must_use]
    pub fn cheaper_generator(mut self, generator: Arc<dyn CodeGenerator>) -> Self {
        self.cheaper = Some(generator);
        self
    }

    /// What guards the sandbox. Three platform failures in a row open it where not set.
    #[must_use]
    pub fn breaker(mut self, breaker: Breaker) -> Self {
        self.breaker = Some(breaker);
        self
    }

    /// Where time comes from. The machine's clocks where not set.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// What computing costs: the book's prices for a sandbox at this place (`local`, `e2b`), looked up anew for each
    /// analysis. The shipped book's for `local` where not set. Set the clock before.
    ///
    /// # Errors
    /// [`PriceError`] where the book has none now.
    pub fn prices(mut self, book: PriceBook, place: &str) -> Result<Self, PriceError> {
        self.prices = Some(ComputePrices::new(book, place, self.clock.now())?);
        Ok(self)
    }

    /// What calls of models cost. The shipped book's prices where not set.
    #[must_use]
    pub fn model_prices(mut self, prices: ModelPrices) -> Self {
        self.model_prices = Some(prices);
        self
    }

    /// Runs programs in this sandbox, at the book's prices for this place (`e2b`). Data is still typed, and pictures
    /// are drawn, in the analyst's own. Set the clock before.
    ///
    /// # Errors
    /// [`PriceError`] where the book has no price there now.
    pub fn programs_in(
        mut self,
        sandbox: Arc<dyn Sandbox>,
        book: PriceBook,
        place: &str,
    ) -> Result<Self, PriceError> {
        let prices = ComputePrices::new(book, place, self.clock.now())?;
        self.programs = Some(Place {
            sandbox,
            prices,
            looked: OnceCell::new(),
        });
        Ok(self)
    }

    /// The most one analysis may cost, whatever its caller allows. $5 where not set.
    #[must_use]
    pub fn max_cost(mut self, max_cost: Usd) -> Self {
        self.max_cost = max_cost;
        self
    }

    /// A scope that every request counts against, whoever asks: the cap on all spending together. None where not set.
    #[must_use]
    pub fn global_scope(mut self, scope: Scope) -> Self {
        self.global = Some(scope);
        self
    }

    /// What a program may use, as far as the money reaches.
    #[must_use]
    pub fn program_limits(mut self, limits: Limits) -> Self {
        self.program_limits = limits;
        self
    }

    /// How many programs run at once; further ones wait for their turn. 4 where not set, at least 1.
    #[must_use]
    pub fn concurrency(mut self, programs: usize) -> Self {
        self.concurrency = programs.max(1);
        self
    }

    /// Lets spans have questions, prompts, programs and answers in them, as far as a dataset's privacy level lets a model
    /// elsewhere know them: answers only at level 3. None where not set.
    #[must_use]
    pub fn traces_content(mut self, does: bool) -> Self {
        self.traces_content = does;
        self
    }

    /// The analyst.
    pub fn build(self) -> Analyst {
        let breaker = self.breaker.unwrap_or_else(|| {
            Breaker::new(Policy::default(), Arc::clone(&self.clock)).expect("the default policy is valid")
        });
        let prices = self.prices.unwrap_or_else(|| {
            ComputePrices::new(PriceBook::shipped(), LOCAL, self.clock.now())
                .expect("the shipped book has a price of computing here")
        });
        let places = Places {
            own: Place {
                sandbox: self.sandbox,
                prices,
                looked: OnceCell::new(),
            },
            programs: self.programs,
        };
        let parts = Parts {
            places,
            generator: self.generator.unwrap_or_else(|| Arc::new(Planner::default())),
            cheaper: self.cheaper,
            budget: self.budget,
            breaker,
            results: self.results,
            catalog: self.catalog,
            clock: self.clock,
            model_prices: self
                .model_prices
                .unwrap_or_else(|| ModelPrices::new(PriceBook::shipped())),
            squeeze: Squeeze::default(),
            max_cost: self.max_cost,
            global: self.global,
            program_limits: self.program_limits,
            artifacts: self.artifacts,
            slots: Arc::new(Semaphore::new(self.concurrency)),
            imports: Arc::default(),
            traces_content: self.traces_content,
        };
        Analyst {
            parts: Arc::new(parts),
            tasks: TaskTracker::new(),
            shutdown: CancellationToken::new(),
        }
    }
}
