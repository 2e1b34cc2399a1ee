//! The ledger at the data folder, read, tried and corrected.

use async_trait::async_trait;
use meterbox_access::Act;
use meterbox_budget_engine::{Budget, EventPage, ExportFormat, SoftCaps, TimeRange, Window};
use meterbox_core::Clock;
use meterbox_price_book::PriceBook;
use serde_json::json;

use super::{Local, export::LocalExport};
use crate::administration::{
    AdminError, Export, LedgerAdministration, usage,
    wire::{
        BookFormat, BookText, Events, EventsQuery, PolicyBudget, RangeQuery, ReconcileRequest, ReconcileView,
        ReplayRequest, ReplayView, RerateRequest, RerateView, VerifyView,
    },
};

const MAX_SOURCE_CHARS: usize = 200;

#[async_trait]
impl LedgerAdministration for Local {
    async fn verify(&self) -> Result<VerifyView, AdminError> {
        Ok(self.engine.verify().await?.into())
    }

    async fn export(&self, format: ExportFormat, range: RangeQuery) -> Result<Box<dyn Export>, AdminError> {
        let range = TimeRange {
            since: range.since,
            until: range.until,
        };
        Ok(Box::new(LocalExport::new(self.engine.export(range), format)?))
    }

    async fn events(&self, query: EventsQuery) -> Result<Events, AdminError> {
        let usual = EventPage::default();
        let page = EventPage {
            after: query.after.unwrap_or(usual.after),
            limit: query.limit.unwrap_or(usual.limit),
        };
        if !(1..=1_000).contains(&page.limit) {
            return Err(AdminError::invalid("limit", "a page has 1 to 1,000 events"));
        }
        let events = self.engine.events(page).await?;
        Ok(Events {
            next: events.last().map_or(page.after, |last| last.seq),
            events: events.into_iter().map(Into::into).collect(),
        })
    }

    async fn replay(&self, request: ReplayRequest) -> Result<ReplayView, AdminError> {
        if request.budgets.is_empty() {
            return Err(AdminError::invalid(
                "budgets",
                "a policy without a budget refuses everything; name at least one",
            ));
        }
        let policy: Vec<Budget> = request
            .budgets
            .into_iter()
            .map(PolicyBudget::budget)
            .collect::<Result<_, _>>()?;
        let range = TimeRange {
            since: request.since,
            until: request.until,
        };
        Ok(self.engine.replay(policy, range).await?.into())
    }

    async fn rerate(&self, request: RerateRequest) -> Result<RerateView, AdminError> {
        let book = match request.book {
            None => self.prices.clone(),
            Some(text) => apart(move || text.over_the_shipped()).await?,
        };
        let range = TimeRange {
            since: request.since,
            until: request.until,
        };
        let report = self
            .engine
            .rerate(range, |rate, at, quantity| book.amount(rate, at, quantity))
            .await?;
        Ok(RerateView::new(&book, report))
    }

    async fn reconcile(&self, request: ReconcileRequest) -> Result<ReconcileView, AdminError> {
        let ReconcileRequest {
            source,
            format,
            content,
            dry_run,
        } = request;
        let is_name = (1..=MAX_SOURCE_CHARS).contains(&source.chars().count());
        if !is_name || source.chars().any(char::is_control) {
            return Err(AdminError::invalid(
                "source",
                "the name of a file has 1 to 200 characters, none of them a control character",
            ));
        }
        let (prices, now) = (self.prices.clone(), self.clock.now());
        let file = apart(move || {
            let read = usage::read(&content, format, &prices, now);
            read.map_err(|error| AdminError::invalid("content", error))
        })
        .await?;
        if dry_run {
            let report = self.engine.reconcile(file.records, true).await?;
            return Ok(ReconcileView::new(report, file.incomplete));
        }
        let act = Act {
            name: "ledger.reconcile",
            target: source,
            before: None,
            after: Some(json!({ "records": file.records.len() })),
        };
        let engine = self.engine.clone();
        let report = self
            .audited(act, async move { engine.reconcile(file.records, false).await })
            .await?;
        Ok(ReconcileView::new(report, file.incomplete))
    }
}

/// Reads something large without holding up others.
async fn apart<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, AdminError> + Send + 'static,
) -> Result<T, AdminError> {
    tokio::task::spawn_blocking(read)
        .await
        .map_err(|_| AdminError::Interrupted)?
}

impl BookText {
    fn over_the_shipped(&self) -> Result<PriceBook, AdminError> {
        let own = match self.format {
            BookFormat::Json => PriceBook::from_json(&self.text),
            BookFormat::Toml => PriceBook::from_toml(&self.text),
        };
        let own = own.map_err(|error| AdminError::invalid("book", error))?;
        Ok(PriceBook::shipped().overridden_by(&own))
    }
}

impl PolicyBudget {
    fn budget(self) -> Result<Budget, AdminError> {
        let window: Window = self.window.parse().map_err(|error| {
            AdminError::invalid("budgets", format!("the window of {}: {error}", self.scope))
        })?;
        let default = SoftCaps::default();
        let mut budget = Budget::new(self.scope, self.limit, window)
            .carrying_over(self.carry_over)
            .with_degraded_allowance(self.degraded_allowance);
        budget.soft_caps = SoftCaps::new(
            self.warn_percent.unwrap_or(default.warn_percent),
            self.degrade_percent.unwrap_or(default.degrade_percent),
        );
        Ok(budget)
    }
}
