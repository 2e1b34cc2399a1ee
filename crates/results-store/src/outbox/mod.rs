//! A durable outbox in front of any store.

mod delivery;
mod file;

use std::{fmt, path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use meterbox_core::{
    AnalysisId, Clock, Scope, StorageError, StorageErrorKind, Timestamp, contract::AnalysisResult,
};
use tokio::{task::JoinHandle, time::timeout};

use self::{
    delivery::Delivery,
    file::{Added, OutboxFile},
};
use crate::{Page, PageRequest, ResultsError, ResultsStore, Unreadable};

/// How often somebody who waits for the outbox to be empty looks again, in case another process emptied it.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Keeps results in a file and delivers them to a store in the background, so that nobody waits for a store that is slow
/// or away, and nothing is lost with the process.
///
/// - A result that was answered is on the disk. It arrives once, however often it is sent: saving twice is saving once.
/// - Results of one principal arrive in the order they were saved. Another principal's fault delays nobody for long: after
///   a failure others have their turn.
/// - Attempts go on for ever, 1 second to a minute apart, or as long as the store asks for, up to a quarter of an hour. Only
///   what the store will never take is set aside; it stays here, and [`health`](Self::health) says so.
/// - Reading sees what waits. Where that is not enough, reading needs the store.
/// - Several processes may share the file; one at a time delivers.
///
/// When it is full, saving fails with [`StorageErrorKind::Full`]. Dropping the last clone ends the delivery, which goes on
/// with the next one that opens the file.
#[derive(Clone)]
pub struct Outbox {
    delivery: Arc<Delivery>,
    _task: Arc<Task>,
}

/// How much may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxLimits {
    /// So many results. 10,000 where not set.
    pub results: u64,
    /// So many bytes of them. 1 GiB where not set.
    pub bytes: u64,
}

/// How an [`Outbox`] is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutboxHealth {
    /// How many results wait to be delivered.
    pub waiting: u64,
    /// When the oldest of them was created.
    pub oldest: Option<Timestamp>,
    /// How many the store will never take.
    pub set_aside: u64,
    /// Why deliveries do not succeed now.
    pub failing: Option<OutboxFailing>,
}

/// What keeps deliveries from succeeding.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutboxFailing {
    /// Since when.
    pub since: Timestamp,
    /// So many attempts in a row.
    pub attempts: u32,
    /// What the store said last.
    pub error: String,
}

/// Ends with its last owner.
struct Task(JoinHandle<()>);

impl Outbox {
    /// Opens this file, or begins it, and delivers to `store` on the present tokio runtime. Blocks while it opens. Beside
    /// the file there will be one that ends in `.lock`.
    ///
    /// # Errors
    /// A [`StorageError`] that names the file and what to do.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn open(
        path: impl AsRef<Path>,
        store: impl ResultsStore,
        clock: impl Clock,
        limits: OutboxLimits,
    ) -> Result<Self, StorageError> {
        let file = OutboxFile::open(path.as_ref(), limits)?;
        let delivery = Arc::new(Delivery::new(file, Arc::new(store), Arc::new(clock)));
        let task = tokio::spawn(Arc::clone(&delivery).run());
        Ok(Self {
            delivery,
            _task: Arc::new(Task(task)),
        })
    }

    /// How many results this file has that no store has taken, and delivers none of them. Blocks while it opens.
    ///
    /// # Errors
    /// As of [`open`](Self::open).
    pub async fn left_in(path: impl AsRef<Path>) -> Result<u64, StorageError> {
        let file = OutboxFile::open(path.as_ref(), OutboxLimits::default())?;
        let (waiting, _, set_aside) = file.counts().await?;
        Ok(waiting.saturating_add(set_aside))
    }

    /// How it is doing.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub async fn health(&self) -> Result<OutboxHealth, StorageError> {
        let (waiting, oldest, set_aside) = self.delivery.file.counts().await?;
        Ok(OutboxHealth {
            waiting,
            oldest,
            set_aside,
            failing: self.delivery.failing(),
        })
    }

    /// Tries once more to deliver what was set aside, where the store may take it now.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub async fn reconsider(&self) -> Result<(), StorageError> {
        self.delivery.file.reconsider().await?;
        self.delivery.wake();
        Ok(())
    }

    /// Waits until nothing waits any more, for so long at most; true where that is so.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub async fn flush(&self, patience: Duration) -> Result<bool, StorageError> {
        let mut progress = self.delivery.progress.subscribe();
        let emptied = async {
            while self.delivery.file.counts().await?.0 > 0 {
                let _ = timeout(LOOK_AGAIN, progress.changed()).await;
            }
            Ok(true)
        };
        timeout(patience, emptied).await.unwrap_or(Ok(false))
    }
}

#[async_trait]
#[deny(
    clippy::missing_trait_methods,
    reason = "a decorator that forgets a method goes around itself"
)]
impl ResultsStore for Outbox {
    /// Keeps it in the file, and returns.
    async fn save(&self, result: &AnalysisResult) -> Result<(), ResultsError> {
        match self.delivery.file.add(result).await? {
            Added::Yes => {
                self.delivery.wake();
                Ok(())
            }
            Added::IdTaken => Err(ResultsError::IdTaken(result.id)),
            Added::Full => {
                let waits = match self.delivery.failing() {
                    Some(failing) => format!(": {}", failing.error),
                    None => String::new(),
                };
                let message = format!("too many results wait for their store already{waits}");
                Err(StorageError::new(StorageErrorKind::Full, message).into())
            }
        }
    }

    async fn find(&self, principal: &Scope, id: AnalysisId) -> Result<Option<AnalysisResult>, ResultsError> {
        // What is delivered meanwhile is in the store before it is no longer here.
        match self.delivery.file.find(principal, id).await? {
            Some(waiting) => waiting.read().map(Some).map_err(ResultsError::Unreadable),
            None => self.delivery.store.find(principal, id).await,
        }
    }

    async fn page(&self, principal: &Scope, request: PageRequest) -> Result<Page, ResultsError> {
        let limit = request.clamped_limit();
        let waiting = self
            .delivery
            .file
            .page(principal, request.before, limit.saturating_add(1))
            .await?;
        let page = self.delivery.store.page(principal, request).await?;
        if waiting.is_empty() {
            return Ok(page);
        }
        let mut rows: Vec<Listed> = waiting
            .into_iter()
            .map(|stored| stored.read().map(Box::new))
            .collect();
        let more_in_store = page.next.is_some();
        let stored = page.results.into_iter().map(|result| Ok(Box::new(result)));
        for row in stored.chain(page.unreadable.into_iter().map(Err)) {
            // What waits is newer.
            if !rows.iter().any(|known| id_of(known) == id_of(&row)) {
                rows.push(row);
            }
        }
        rows.sort_by_key(|row| std::cmp::Reverse(id_of(row)));
        let more = rows.len() > limit || more_in_store;
        rows.truncate(limit);
        let mut merged = Page {
            next: rows.last().filter(|_| more).map(id_of),
            ..Page::default()
        };
        for row in rows {
            match row {
                Ok(result) => merged.results.push(*result),
                Err(unreadable) => merged.unreadable.push(unreadable),
            }
        }
        Ok(merged)
    }

    /// Deletes it in the store and here; nothing is on its way meanwhile.
    async fn delete(&self, principal: &Scope, id: AnalysisId) -> Result<bool, ResultsError> {
        let _turn = self.delivery.turn().await?;
        let in_store = self.delivery.store.delete(principal, id).await?;
        let waiting = self.delivery.file.delete(principal, id).await?;
        Ok(in_store || waiting)
    }

    /// What is in the store is older than what waits for it, but for what it will never take.
    async fn expire(&self, before: Timestamp, most: usize) -> Result<usize, ResultsError> {
        let _turn = self.delivery.turn().await?;
        let in_store = self.delivery.store.expire(before, most).await?;
        let rest = most.saturating_sub(in_store);
        let here = self.delivery.file.expire(before, rest).await?;
        Ok(in_store.saturating_add(here))
    }

    /// Of the store; [`health`](Outbox::health) says how the outbox is doing.
    async fn check(&self) -> Result<(), ResultsError> {
        self.delivery.store.check().await
    }
}

type Listed = Result<Box<AnalysisResult>, Unreadable>;

fn id_of(row: &Listed) -> AnalysisId {
    match row {
        Ok(result) => result.id,
        Err(unreadable) => unreadable.id,
    }
}

impl Default for OutboxLimits {
    fn default() -> Self {
        Self {
            results: 10_000,
            bytes: 1 << 30,
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox")
            .field("path", &self.delivery.file.path())
            .field("store", &self.delivery.store)
            .finish_non_exhaustive()
    }
}
