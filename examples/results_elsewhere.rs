//! Results in a store that may be away: an outbox keeps them, and delivers when it is back.
//!
//! Run it with `cargo run -p meterbox-examples --example results_elsewhere`. It needs no key and leaves nothing behind:
//! its store is a file that is not there at first. With `SUPABASE_URL` and `SUPABASE_SERVICE_ROLE_KEY` in the environment
//! it saves one result in that project, which needs the tables of `meterbox results schema`, and deletes it again.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{env, error::Error, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use meterbox_core::{
    AnalysisId, Clock, Scope, StorageError, SystemClock, Timestamp,
    contract::{AnalysisResult, Status},
};
use meterbox_results_store::{
    Outbox, OutboxLimits, Page, PageRequest, ResultsError, ResultsStore, SqliteResults, SupabaseAuth,
    SupabaseResults, postgrest,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let missing = folder.path().join("not there yet");
    let store = match supabase()? {
        Some(store) => store,
        None => Arc::new(Elsewhere {
            file: missing.join("results.sqlite3"),
        }),
    };
    let outbox = Outbox::open(
        folder.path().join("outbox.sqlite3"),
        Arc::clone(&store),
        SystemClock::default(),
        OutboxLimits::default(),
    )?;

    // Whoever asked has the answer now, whatever becomes of the store.
    let ana: Scope = "user/ana".parse()?;
    let now = SystemClock::default().now();
    let mut result = AnalysisResult::begun(AnalysisId::new(now), ana.clone(), now);
    result.question = Some("top 5 products by revenue".to_owned());
    result.status = Status::Ok;
    outbox.save(&result).await?;
    println!("saved      {}", result.id);
    let found = outbox.find(&ana, result.id).await?;
    println!("found      {}", found.is_some_and(|found| found == result));

    if outbox.flush(Duration::from_millis(300)).await? {
        println!("delivered  at once");
    } else {
        let health = outbox.health().await?;
        let why = health.failing.map(|failing| failing.error).unwrap_or_default();
        println!("waiting    {}, because {why}", health.waiting);
        // The store comes back.
        std::fs::create_dir_all(&missing)?;
        println!("delivered  {}", outbox.flush(Duration::from_secs(10)).await?);
    }
    let history = store.page(&ana, PageRequest::default()).await?;
    println!("stored     {}", history.results.contains(&result));
    println!("deleted    {}", outbox.delete(&ana, result.id).await?);
    Ok(())
}

/// The project of the environment, if there is one.
fn supabase() -> Result<Option<Arc<dyn ResultsStore>>, Box<dyn Error>> {
    let (Ok(url), Ok(key)) = (env::var("SUPABASE_URL"), env::var("SUPABASE_SERVICE_ROLE_KEY")) else {
        return Ok(None);
    };
    // Libraries bring no TLS provider; a program installs one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = postgrest::http_client()?;
    let auth = SupabaseAuth::service(key);
    let store = SupabaseResults::new(http, &url, auth, SystemClock::default())?;
    Ok(Some(Arc::new(store)))
}

/// A store that is away until its folder is there.
#[derive(Debug)]
struct Elsewhere {
    file: PathBuf,
}

impl Elsewhere {
    fn open(&self) -> Result<SqliteResults, StorageError> {
        SqliteResults::open(&self.file)
    }
}

#[async_trait]
impl ResultsStore for Elsewhere {
    async fn save(&self, result: &AnalysisResult) -> Result<(), ResultsError> {
        self.open()?.save(result).await
    }

    async fn find(&self, principal: &Scope, id: AnalysisId) -> Result<Option<AnalysisResult>, ResultsError> {
        self.open()?.find(principal, id).await
    }

    async fn page(&self, principal: &Scope, request: PageRequest) -> Result<Page, ResultsError> {
        self.open()?.page(principal, request).await
    }

    async fn delete(&self, principal: &Scope, id: AnalysisId) -> Result<bool, ResultsError> {
        self.open()?.delete(principal, id).await
    }

    async fn expire(&self, before: Timestamp, most: usize) -> Result<usize, ResultsError> {
        self.open()?.expire(before, most).await
    }

    async fn check(&self) -> Result<(), ResultsError> {
        self.open()?.check().await
    }
}
