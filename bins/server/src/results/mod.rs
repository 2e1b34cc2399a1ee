//! Where results are kept: the data folder, a Postgres database or a Supabase project, the last two behind an outbox in
//! the data folder.

mod place;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use meterbox_core::{AnalysisId, Clock, StorageError, StorageErrorKind, SystemClock, Timestamp};
use meterbox_results_store::{
    Outbox, OutboxHealth, OutboxLimits, PostgresResults, ResultsError, ResultsStore, SqliteResults,
    SupabaseResults, postgrest,
};
use serde_json::{Value, json};
use tokio::{
    sync::Mutex,
    task::spawn_blocking,
    time::{sleep, timeout},
};

pub(crate) use self::place::{DATABASE_URL, InvalidPlace, ResultsPlace, SUPABASE_URL, VARIABLES};
use crate::tls;

/// How long a look at the store may take, and how long what it found holds good: whoever asks whether we are ready
/// should not reach through to it each time.
const LOOK: Duration = Duration::from_secs(3);
const HOLDS_GOOD: Duration = Duration::from_secs(10);

const OUTBOX: &str = "outbox.sqlite3";

const DAY: Duration = Duration::from_secs(86_400);
/// So many results are forgotten in one step.
const STEP: usize = 500;

/// The store of results, and the outbox before it where it is elsewhere. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Results {
    store: Arc<dyn ResultsStore>,
    outbox: Option<Outbox>,
    /// Of which kind it is.
    kind: &'static str,
    last_look: Arc<Mutex<Option<(Duration, bool)>>>,
    clock: Arc<dyn Clock>,
}

impl Results {
    /// Opens what the settings say. A store elsewhere need not be there yet.
    pub(crate) fn open(place: &ResultsPlace, folder: &Path) -> Result<Self, StorageError> {
        let Some(store) = Self::elsewhere(place)? else {
            let store = SqliteResults::open(folder.join("results.sqlite3"))?;
            return Ok(Self::here(Arc::new(store)));
        };
        let outbox = Outbox::open(
            folder.join(OUTBOX),
            store,
            SystemClock::default(),
            OutboxLimits::default(),
        )?;
        Ok(Self {
            store: Arc::new(outbox.clone()),
            outbox: Some(outbox),
            kind: place.kind(),
            last_look: Arc::default(),
            clock: Arc::new(SystemClock::default()),
        })
    }

    /// How many results still wait in this folder for a store elsewhere, though none is set any more: nobody delivers them,
    /// and nobody sees them, until it is set again.
    pub(crate) async fn left_behind(place: &ResultsPlace, folder: &Path) -> Result<u64, StorageError> {
        let outbox = folder.join(OUTBOX);
        match place {
            ResultsPlace::Here if outbox.exists() => Outbox::left_in(outbox).await,
            _ => Ok(0),
        }
    }

    /// The store itself, without an outbox; `None` for the data folder.
    pub(crate) fn elsewhere(place: &ResultsPlace) -> Result<Option<Arc<dyn ResultsStore>>, StorageError> {
        let unusable = |setting: &str, error: &dyn std::fmt::Display| {
            let message = format!("{setting}: {error}");
            StorageError::new(StorageErrorKind::Unavailable, message)
        };
        Ok(match place {
            ResultsPlace::Here => None,
            ResultsPlace::Postgres { url } => {
                tls::install();
                let store = PostgresResults::lazy_over_tls(url.expose());
                Some(Arc::new(store.map_err(|error| unusable(DATABASE_URL, &error))?))
            }
            ResultsPlace::Supabase { url, auth } => {
                tls::install();
                let http = postgrest::http_client().map_err(|error| unusable(SUPABASE_URL, &error))?;
                let store = SupabaseResults::new(http, url, auth.clone(), SystemClock::default());
                Some(Arc::new(store.map_err(|error| unusable(SUPABASE_URL, &error))?))
            }
        })
    }

    /// This store, without an outbox.
    pub(crate) fn here(store: Arc<dyn ResultsStore>) -> Self {
        Self {
            store,
            outbox: None,
            kind: ResultsPlace::Here.kind(),
            last_look: Arc::default(),
            clock: Arc::new(SystemClock::default()),
        }
    }

    pub(crate) fn store(&self) -> Arc<dyn ResultsStore> {
        Arc::clone(&self.store)
    }

    /// A store that is of another version will take nothing: better not to begin. One that is away may come back.
    pub(crate) async fn refuse_another_version(&self) -> Result<(), StorageError> {
        match timeout(LOOK, self.store.check()).await {
            Ok(Err(ResultsError::Store(error))) if error.kind() == StorageErrorKind::Incompatible => {
                Err(error)
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "the store of results cannot be used now; they wait in the outbox");
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// How the outbox is doing, where there is one.
    pub(crate) async fn health(&self) -> Option<Result<OutboxHealth, StorageError>> {
        match &self.outbox {
            Some(outbox) => Some(outbox.health().await),
            None => None,
        }
    }

    /// Tries once more to deliver what the store would not take.
    pub(crate) async fn reconsider(&self) -> Result<(), StorageError> {
        match &self.outbox {
            Some(outbox) => outbox.reconsider().await,
            None => Ok(()),
        }
    }

    /// Waits until nothing waits any more, for so long at most; how many results still wait.
    pub(crate) async fn flush(&self, patience: Duration) -> u64 {
        let Some(outbox) = &self.outbox else { return 0 };
        let _ = outbox.flush(patience).await;
        outbox.health().await.map_or(0, |health| health.waiting)
    }

    /// For whoever asks whether we are ready: states and numbers, no names and no errors.
    pub(crate) async fn state(&self) -> Value {
        let state = if self.works().await { "ok" } else { "unavailable" };
        let mut described = json!({ "place": self.kind, "state": state });
        let health = self.health().await;
        let outbox = match &health {
            None => return described,
            Some(Err(_)) => json!({ "state": "unavailable" }),
            Some(Ok(health)) => json!({
                "state": if health.failing.is_some() { "waiting" } else { "ok" },
                "waiting": health.waiting,
                "oldest": health.oldest,
                "set_aside": health.set_aside,
            }),
        };
        if let Value::Object(fields) = &mut described {
            fields.insert("outbox".to_owned(), outbox);
        }
        described
    }

    /// Forgets what is older than so many days, now and once a day, and the files it left in this folder. Runs for ever.
    pub(crate) async fn keep_for(self, days: u32, artifacts: PathBuf) {
        loop {
            let age = DAY.saturating_mul(days);
            let micros = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
            let before = self.clock.now().as_micros().saturating_sub(micros);
            if let Some(before) = Timestamp::from_micros(before) {
                match self.forget(before).await {
                    Ok(0) => {}
                    Ok(forgotten) => tracing::info!(forgotten, days, "old results were forgotten"),
                    Err(error) => tracing::warn!(%error, "old results could not be forgotten"),
                }
                let folder = artifacts.clone();
                let _ = spawn_blocking(move || remove_files_of_older(&folder, before)).await;
            }
            sleep(DAY).await;
        }
    }

    async fn forget(&self, before: Timestamp) -> Result<usize, ResultsError> {
        let mut forgotten = 0_usize;
        loop {
            let step = self.store.expire(before, STEP).await?;
            forgotten = forgotten.saturating_add(step);
            if step < STEP {
                return Ok(forgotten);
            }
        }
    }

    async fn works(&self) -> bool {
        let mut last_look = self.last_look.lock().await;
        let now = self.clock.monotonic();
        if let Some((at, works)) = *last_look
            && now.saturating_sub(at) < HOLDS_GOOD
        {
            return works;
        }
        let works = timeout(LOOK, self.store.check())
            .await
            .is_ok_and(|found| found.is_ok());
        *last_look = Some((now, works));
        works
    }
}

/// Ids sort by time, so an id of that time parts what is older from what is not.
fn remove_files_of_older(artifacts: &Path, before: Timestamp) {
    let limit = AnalysisId::new(before);
    for folder in fs::read_dir(artifacts).into_iter().flatten().flatten() {
        let name = folder.file_name();
        let id: Option<AnalysisId> = name.to_str().and_then(|name| name.parse().ok());
        if id.is_some_and(|id| id < limit)
            && let Err(error) = fs::remove_dir_all(folder.path())
        {
            tracing::warn!(%error, "files of an old result could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use meterbox_core::contract::AnalysisResult;
    use meterbox_results_store::{MemoryResults, PageRequest};

    use super::*;

    #[tokio::test]
    async fn what_is_too_old_is_forgotten_in_as_many_steps_as_it_takes() {
        let store = Arc::new(MemoryResults::new());
        let results = Results::here(Arc::<MemoryResults>::clone(&store));
        let limit: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        for second in 0..1_203_i64 {
            let at = Timestamp::from_micros(limit.as_micros() + (second - 1_200) * 1_000_000).unwrap();
            let result = AnalysisResult::begun(AnalysisId::new(at), "user/ana".parse().unwrap(), at);
            store.save(&result).await.unwrap();
        }
        assert_eq!(results.forget(limit).await.unwrap(), 1_200);
        let folder = tempfile::tempdir().unwrap();
        let named = |at: Timestamp| folder.path().join(AnalysisId::new(at).to_string());
        let (old, new) = (named(Timestamp::UNIX_EPOCH), named(limit.saturating_add(DAY)));
        for path in [&old, &new, &folder.path().join("something else")] {
            fs::create_dir(path).unwrap();
        }
        fs::write(old.join("chart.png"), "").unwrap();
        remove_files_of_older(folder.path(), limit);
        assert!(!old.exists() && new.exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        let left = store
            .page(&"user/ana".parse().unwrap(), PageRequest::newest(500))
            .await
            .unwrap();
        assert_eq!(left.results.len(), 3);
        assert_eq!(
            results.state().await,
            json!({ "place": "data_folder", "state": "ok" })
        );
    }
}
