use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode, header, request::Builder},
};
use http_body_util::BodyExt;
use meterbox_access::{Access, Actor, KeyGrant, KeyRecord, Role};
use meterbox_analysis::{Analyst, Principal};
use meterbox_budget_engine::{Budget, BudgetEngine, MemoryLedger, Window};
use meterbox_core::{
    Date, Usd,
    contract::{Reading, Source},
};
use meterbox_datasets::Catalog;
use meterbox_llm_codegen::{CodeGenerator, GenerateError, GenerateRequest, Generated, chat::CallGate};
use meterbox_price_book::PriceBook;
use meterbox_results_store::MemoryResults;
use meterbox_sandbox_client::{FakeRun, FakeSandbox};
use meterbox_testkit::ManualClock;
use serde_json::{Value, value::RawValue};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::{
    administration::Local,
    http::{AppState, Hosts, Parts, router},
    results::Results,
};

pub(super) const HOST: &str = "localhost:3000";
pub(super) const ANSWER: &str = r#"{
    "answer": {
        "kind": "table",
        "columns": [{"name": "product", "type": "text"}, {"name": "revenue", "type": "decimal", "unit": "EUR"}],
        "rows": [["Espresso", 12.5], ["Tea", 3]], "row_count": 2, "truncated": false
    },
    "charts": [{"kind": "bar", "x": "product", "y": ["revenue"]}]
}"#;

/// The service under test, and the strings its doubles hang on.
pub(super) struct App {
    pub(super) router: Router,
    pub(super) sandbox: FakeSandbox,
    pub(super) clock: ManualClock,
    pub(super) budget: BudgetEngine,
    pub(super) access: Access,
    pub(super) state: AppState,
    pub(super) shutdown: CancellationToken,
    folder: TempDir,
}

/// A reply, read to its end.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl App {
    /// With ten dollars for everybody and a sandbox that answers [`ANSWER`].
    pub(super) async fn new() -> Self {
        Self::with_budget("10").await
    }

    pub(super) async fn with_budget(limit: &str) -> Self {
        let clock = ManualClock::at("2026-11-23T12:00:00Z".parse().unwrap());
        let budget = BudgetEngine::new(MemoryLedger::new(), clock.clone());
        let month = Window::month("UTC").unwrap();
        budget
            .provision(Budget::new(
                "user/*".parse().unwrap(),
                limit.parse().unwrap(),
                month,
            ))
            .await
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let sandbox = FakeSandbox::new();
        sandbox.otherwise(|_| FakeRun::replies(ANSWER));
        let results = Arc::new(MemoryResults::new());
        let analyst = Analyst::builder(
            Arc::new(sandbox.clone()),
            budget.clone(),
            Arc::<MemoryResults>::clone(&results),
            typed_shop(&folder),
            folder.path().join("artifacts"),
        )
        .generator(Arc::new(Scripted))
        .clock(Arc::new(clock.clone()))
        .build();
        let shutdown = CancellationToken::new();
        let access = Access::open(folder.path().join("access.sqlite3"), clock.clone()).unwrap();
        let parts = Parts {
            analyst,
            local: Local::new(
                budget.clone(),
                access.clone(),
                PriceBook::shipped(),
                Arc::new(clock.clone()),
                operator(),
            ),
            access: access.clone(),
            clock: Arc::new(clock.clone()),
            results: Results::here(results),
            local_user: Principal::user("user/local".parse().unwrap()),
            open_without_key: true,
            hosts: Hosts::new("127.0.0.1:3000".parse().unwrap(), Vec::new()),
        };
        let state = AppState::new(parts, shutdown.clone());
        Self {
            router: router(state.clone()),
            state,
            sandbox,
            clock,
            budget,
            access,
            shutdown,
            folder,
        }
    }

    /// Makes a key of this role; the first scope is the user.
    pub(super) async fn key(&self, role: Role, scopes: &[&str]) -> (String, KeyRecord) {
        let scopes = scopes.iter().map(|scope| scope.parse().unwrap());
        let created = self
            .access
            .create_key(&operator(), KeyGrant::new(format!("a {role}"), role, scopes))
            .await
            .unwrap();
        (created.key.reveal(), created.record)
    }

    /// Sends JSON, or nothing, with this key, or none.
    pub(super) async fn call(
        &self,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: Option<&Value>,
    ) -> Reply {
        let mut request = request(method, path);
        if let Some(key) = key {
            request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
        }
        let body = match body {
            None => Body::empty(),
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                body.to_string().into()
            }
        };
        self.send(request.body(body).unwrap()).await
    }

    /// Sends a request as it is.
    pub(super) async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Reply {
            status: parts.status,
            headers: parts.headers,
            text,
        }
    }

    pub(super) async fn get(&self, path: &str) -> Reply {
        self.send(request("GET", path).body(Body::empty()).unwrap()).await
    }

    /// Posts JSON to `/api/execute`.
    pub(super) async fn execute(&self, body: impl Into<Body>) -> Reply {
        self.send(execute(body)).await
    }

    /// The same, asking for events.
    pub(super) async fn execute_live(&self, body: impl Into<Body>) -> Reply {
        self.send(execute_live(body)).await
    }

    pub(super) async fn spend(&self, amount: &str) {
        let amount: Usd = amount.parse().unwrap();
        let request =
            meterbox_budget_engine::HoldRequest::new(["user/local".parse().unwrap()], amount, "a test");
        let hold = self.budget.hold(request).await.unwrap();
        let line = meterbox_core::contract::CostLine {
            item: "test".to_owned(),
            quantity: 1,
            unit: "piece".to_owned(),
            amount,
            estimated: false,
            price: None,
        };
        hold.draw(line).await.unwrap();
        hold.settle().await.unwrap();
    }

    pub(super) fn artifacts_of(&self, id: &str) -> PathBuf {
        self.folder.path().join("artifacts").join(id)
    }

    /// Lets tasks run and virtual time pass.
    pub(super) async fn wait(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

impl Reply {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(super) fn header(&self, name: impl header::AsHeaderName) -> &str {
        self.headers
            .get(name)
            .map(|value| value.to_str().unwrap())
            .unwrap_or_default()
    }

    /// Names and data of an event stream.
    pub(super) fn events(&self) -> Vec<(String, Value)> {
        assert_eq!(
            self.header(header::CONTENT_TYPE),
            "text/event-stream",
            "{}",
            self.text
        );
        let blocks = self.text.split("\n\n").filter(|block| !block.trim().is_empty());
        let field = |block: &str, name: &str| {
            block
                .lines()
                .find_map(|line| line.strip_prefix(name).map(|rest| rest.trim_start().to_owned()))
        };
        blocks
            .filter_map(|block| {
                Some((
                    field(block, "event:")?,
                    serde_json::from_str(&field(block, "data:")?).unwrap(),
                ))
            })
            .collect()
    }
}

fn operator() -> Actor {
    Actor::new("uid 1000", "command line")
}

pub(super) fn request(method: &str, path: &str) -> Builder {
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, HOST)
}

pub(super) fn execute(body: impl Into<Body>) -> Request<Body> {
    request("POST", "/api/execute")
        .header(header::CONTENT_TYPE, "application/json")
        .body(body.into())
        .unwrap()
}

pub(super) fn execute_live(body: impl Into<Body>) -> Request<Body> {
    let mut request = execute(body);
    request
        .headers_mut()
        .insert(header::ACCEPT, "text/event-stream".parse().unwrap());
    request
}

/// What the import program replies for the one table of [`typed_shop`].
const IMPORTED: &str = r#"{
    "tables": [{
        "name": "orders", "source": "orders.csv", "file": "orders.parquet", "rows": 2,
        "columns": [
            {"name": "product", "type": "text", "role": "dimension", "nulls": 0, "distinct": 2, "unique": true,
             "values": [{"value": "Espresso", "count": 1}, {"value": "Tea", "count": 1}]},
            {"name": "revenue", "type": "decimal", "role": "measure", "nulls": 0, "distinct": 2, "min": 3, "max": 12.5}
        ]
    }],
    "as_of": "2026-10-31",
    "failures": []
}"#;

/// A catalog with one typed dataset, `shop`.
fn typed_shop(folder: &TempDir) -> Catalog {
    let data = folder.path().join("shop");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("orders.csv"), "product,revenue\nEspresso,12.5\nTea,3\n").unwrap();
    let catalog = Catalog::open(&folder.path().join("datasets")).unwrap();
    let dataset = catalog.add(&[data]).unwrap();
    let parquet = folder.path().join("orders.parquet");
    std::fs::write(&parquet, "only its path matters").unwrap();
    let reply = RawValue::from_string(IMPORTED.to_owned()).unwrap();
    catalog
        .record_import(&dataset, &reply, &[("orders.parquet".to_owned(), parquet)])
        .unwrap();
    catalog
}

/// Knows two questions it cannot answer, and one program for all others.
#[derive(Debug)]
struct Scripted;

#[async_trait]
impl CodeGenerator for Scripted {
    async fn generate(
        &self,
        request: &GenerateRequest,
        _: &dyn CallGate,
    ) -> Result<Generated, GenerateError> {
        let suggestions = vec!["top 5 products by revenue".to_owned()];
        match request.question.as_str() {
            "zorblax" => Err(GenerateError::CannotAnswer {
                message: "no table or column is called zorblax".to_owned(),
                not_understood: vec!["zorblax".to_owned()],
                suggestions,
            }),
            "best product" => Err(GenerateError::Ambiguous {
                message: "best may mean revenue or quantity".to_owned(),
                suggestions,
            }),
            _ => Ok(Generated {
                code: "result = tables['orders']".to_owned(),
                source: Source::Rules,
                generator: "scripted/1".to_owned(),
                reading: Reading {
                    text: "products by revenue".to_owned(),
                    assumptions: Vec::new(),
                    ignored: Vec::new(),
                    as_of: Some(Date::constant(2026, 10, 31)),
                },
                plan: None,
                confidence: 1.0,
                warnings: Vec::new(),
            }),
        }
    }
}
