//! The deliveries: one after the other, one process at a time.

use std::{
    ffi::OsString,
    fs::{File, TryLockError},
    hash::{BuildHasher, RandomState},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use meterbox_core::{Backoff, Clock, StorageError, StorageErrorKind};
use tokio::{
    sync::{MutexGuard, Notify, watch},
    time::{sleep, timeout},
};

use super::{OutboxFailing, file::OutboxFile};
use crate::{ResultsError, ResultsErrorKind, ResultsStore};

const BACKOFF: Backoff = Backoff {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(60),
    longest_wish: Duration::from_secs(15 * 60),
};
/// A store that says nothing for so long has failed.
const ATTEMPT: Duration = Duration::from_secs(60);
/// Another process may have left something.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// How often a process asks whether it is its turn.
const ASK_AGAIN: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) file: OutboxFile,
    pub(super) store: Arc<dyn ResultsStore>,
    clock: Arc<dyn Clock>,
    /// Moves with each result that no longer waits.
    pub(super) progress: watch::Sender<u64>,
    news: Notify,
    failing: Mutex<Option<OutboxFailing>>,
    in_process: tokio::sync::Mutex<()>,
}

/// While it lives nobody else delivers or deletes.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    _in_process: MutexGuard<'a, ()>,
    /// The system takes the lock back with the process, however it ends.
    _among_processes: File,
}

enum Round {
    NothingWaits,
    Done,
    Failed(ResultsError),
}

impl Delivery {
    pub(super) fn new(file: OutboxFile, store: Arc<dyn ResultsStore>, clock: Arc<dyn Clock>) -> Self {
        Self {
            file,
            store,
            clock,
            progress: watch::Sender::new(0),
            news: Notify::new(),
            failing: Mutex::new(None),
            in_process: tokio::sync::Mutex::new(()),
        }
    }

    /// Something new waits.
    pub(super) fn wake(&self) {
        self.news.notify_one();
    }

    pub(super) fn failing(&self) -> Option<OutboxFailing> {
        self.failing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Delivers for ever.
    pub(super) async fn run(self: Arc<Self>) {
        loop {
            match self.round().await {
                Ok(Round::Done) => self.note(None),
                Ok(Round::NothingWaits) => {
                    self.note(None);
                    let _ = timeout(LOOK_AGAIN, self.news.notified()).await;
                }
                Ok(Round::Failed(error)) => self.pause(&error).await,
                Err(error) => self.pause(&error.into()).await,
            }
        }
    }

    async fn round(&self) -> Result<Round, StorageError> {
        let _turn = self.turn().await?;
        let Some(head) = self.file.head().await? else {
            return Ok(Round::NothingWaits);
        };
        let result = match head.stored.clone().read() {
            Ok(result) => result,
            Err(unreadable) => {
                self.file.set_aside(&head, unreadable.reason).await?;
                return Ok(self.done());
            }
        };
        let saved = timeout(ATTEMPT, self.store.save(&result))
            .await
            .unwrap_or_else(|_| {
                let message = format!("the store did not answer within {} s", ATTEMPT.as_secs());
                Err(StorageError::new(StorageErrorKind::Unavailable, message).into())
            });
        match saved {
            Ok(()) => self.file.delivered(&head).await?,
            Err(error) if is_final(&error) => {
                tracing::error!(analysis = %result.id, %error, "a result was set aside");
                self.file.set_aside(&head, error.to_string()).await?;
            }
            Err(error) => {
                self.file.failed(head.seq).await?;
                return Ok(Round::Failed(error));
            }
        }
        Ok(self.done())
    }

    fn done(&self) -> Round {
        self.progress.send_modify(|count| *count = count.wrapping_add(1));
        Round::Done
    }

    async fn pause(&self, error: &ResultsError) {
        let failures = self.failing().map_or(0, |failing| failing.attempts);
        self.note(Some(error));
        let wish = match error {
            // A second is what every store says that knows no better.
            ResultsError::Store(error) => error.retry_after().filter(|wish| *wish > BACKOFF.first),
            _ => None,
        };
        sleep(BACKOFF.wait(failures, wish, jitter())).await;
    }

    fn note(&self, error: Option<&ResultsError>) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        match error {
            None => {
                if let Some(was) = failing.take() {
                    tracing::info!(attempts = was.attempts, "results are delivered again");
                }
            }
            Some(error) => {
                let (since, attempts) = match failing.take() {
                    Some(was) => (was.since, was.attempts.saturating_add(1)),
                    None => {
                        tracing::warn!(%error, "results wait for their store");
                        (self.clock.now(), 1)
                    }
                };
                *failing = Some(OutboxFailing {
                    since,
                    attempts,
                    error: error.to_string(),
                });
            }
        }
    }

    /// The right to deliver and delete, once nobody else has it. At most one attempt away.
    pub(super) async fn turn(&self) -> Result<Turn<'_>, StorageError> {
        let in_process = self.in_process.lock().await;
        let path = lock_of(self.file.path());
        let failed = |error: std::io::Error| {
            let message = format!(
                "{} cannot be locked; check the permissions of its folder ({error})",
                Path::new(&path).display()
            );
            StorageError::new(StorageErrorKind::Unavailable, message).caused_by(error)
        };
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(failed)?;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => sleep(ASK_AGAIN).await,
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
        Ok(Turn {
            _in_process: in_process,
            _among_processes: file,
        })
    }
}

/// Will the store say the same for ever?
fn is_final(error: &ResultsError) -> bool {
    matches!(
        error.kind(),
        ResultsErrorKind::IdTaken | ResultsErrorKind::Rejected
    )
}

fn lock_of(file: &Path) -> OsString {
    let mut path = file.as_os_str().to_owned();
    path.push(".lock");
    path
}

fn jitter() -> u8 {
    RandomState::new().hash_one(0_u8).to_le_bytes()[0]
}
