//! The whole pipeline inside another axum service: put an `Analyst` together once, ask it from a handler.
//!
//! `cargo run -p meterbox-examples --example embed_in_axum` sends its own route one question about the sample
//! shop and prints the answer. With `-- --serve` it listens on 127.0.0.1:3001 instead:
//! `curl --data "revenue by month in 2025" http://127.0.0.1:3001/ask`.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example talks to whoever runs it"
)]

use std::{
    env,
    error::Error,
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::{
    Json, Router, body::Body, extract::State, http::Request as HttpRequest, http::StatusCode, routing::post,
};
use meterbox_analysis::{Analyst, Ask, Principal, Request};
use meterbox_budget_engine::{Budget, BudgetEngine, MemoryLedger, Window};
use meterbox_core::{SystemClock, contract::AnalysisResult};
use meterbox_datasets::{Catalog, Dataset};
use meterbox_local_sandbox::{
    LocalSandbox,
    runtime::{InstallOptions, Runtime, RuntimeError},
};
use meterbox_results_store::MemoryResults;
use tower::ServiceExt;

#[derive(Clone)]
struct Service {
    analyst: Analyst,
    shop: Dataset,
}

/// Your own route: the question is the request's body, the whole result comes back as JSON.
async fn ask(
    State(service): State<Service>,
    question: String,
) -> Result<Json<AnalysisResult>, (StatusCode, String)> {
    let request = Request {
        max_cost: Some("0.05".parse().map_err(internal)?),
        // Your service knows who asks; a header of the client's never should say.
        ..Request::new(
            Ask::Question(question),
            service.shop,
            Principal::user("user/ana".parse().map_err(internal)?),
        )
    };
    let running = service
        .analyst
        .start(request)
        .map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
    running.result().await.map(Json).map_err(internal)
}

fn internal(error: impl Error) -> (StatusCode, String) {
    (StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

/// A sandbox, a budget, a place for data, a place for results: the planner and the breaker come by default.
async fn service(folder: &Path) -> Result<Service, Box<dyn Error>> {
    let catalog = Catalog::open(&folder.join("datasets"))?;
    let shop = catalog.add(&[Path::new(env!("CARGO_MANIFEST_DIR")).join("data/shop")])?;
    let sandbox = LocalSandbox::builder(python()?)
        .inputs_root(catalog.folder())
        .build()?;

    let budget = BudgetEngine::new(MemoryLedger::new(), SystemClock::default());
    budget
        .define(Budget::new(
            "user/*".parse()?,
            "10".parse()?,
            Window::month("UTC")?,
        ))
        .await?;

    let results = Arc::new(MemoryResults::new());
    let analyst = Analyst::builder(
        Arc::new(sandbox),
        budget,
        results,
        catalog,
        folder.join("artifacts"),
    )
    .build();
    Ok(Service { analyst, shop })
}

/// The runtime the `meterbox` binary uses; installed now if it is not there, which takes a minute once.
fn python() -> Result<Runtime, RuntimeError> {
    let home =
        || PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".local/share/meterbox/runtime");
    let folder = env::var_os("METERBOX_RUNTIME_DIR").map_or_else(home, PathBuf::from);
    if let Some(runtime) = Runtime::locate(&folder)? {
        return Ok(runtime);
    }
    let options = InstallOptions {
        search_path: env::var_os("PATH").unwrap_or_default(),
        ..Default::default()
    };
    Runtime::install(&folder, &options, &mut |progress| {
        eprintln!("{}", progress.message)
    })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let service = service(folder.path()).await?;
    let analyst = service.analyst.clone();
    let router = Router::new().route("/ask", post(ask)).with_state(service);

    if env::args().any(|argument| argument == "--serve") {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:3001").await?;
        axum::serve(listener, router).await?;
        return Ok(());
    }

    let request = HttpRequest::post("/ask").body(Body::from("top 5 products by revenue"))?;
    let response = router.oneshot(request).await?;
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await?;
    let result: AnalysisResult = serde_json::from_slice(&body)?;
    println!("{}", serde_json::to_string_pretty(&result.answer)?);
    println!("It cost {} of the {} set aside.", result.cost, result.hold);
    analyst.shut_down().await;
    Ok(())
}
