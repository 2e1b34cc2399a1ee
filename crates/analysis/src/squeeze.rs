use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use meterbox_core::Scope;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Who goes on where budgets are so nearly spent that only a few requests may go on at once.
///
/// Counts the requests of this process. A request that began before the squeeze, with money already set aside, goes on
/// beside it.
#[derive(Debug, Default)]
pub(crate) struct Squeeze {
    scopes: Mutex<HashMap<Scope, Arc<Turns>>>,
}

#[derive(Debug)]
struct Turns {
    at_once: u16,
    semaphore: Arc<Semaphore>,
}

/// Turns in some scopes, until it is dropped.
#[derive(Debug, Default)]
#[must_use = "a turn ends when it is dropped"]
pub(crate) struct Turn {
    _permits: Vec<OwnedSemaphorePermit>,
}

impl Squeeze {
    /// Waits for a turn in each of these scopes, which have room for so many at once. Sorted by scope, so that no two
    /// requests wait for each other.
    ///
    /// Cancel-safe: a dropped future has taken no turn.
    pub(crate) async fn turn(&self, mut squeezed: Vec<(Scope, u16)>) -> Turn {
        squeezed.sort();
        let mut permits = Vec::with_capacity(squeezed.len());
        for (scope, at_once) in squeezed {
            let semaphore = self.semaphore(scope, at_once);
            // Nobody closes it.
            permits.extend(semaphore.acquire_owned().await.ok());
        }
        Turn { _permits: permits }
    }

    fn semaphore(&self, scope: Scope, at_once: u16) -> Arc<Semaphore> {
        let mut scopes = self.scopes.lock().unwrap_or_else(PoisonError::into_inner);
        // Scopes that nobody waits in or holds a turn of are forgotten.
        scopes.retain(|_, turns| {
            Arc::strong_count(&turns.semaphore) > 1
                || turns.semaphore.available_permits() < usize::from(turns.at_once)
        });
        let fresh = || {
            Arc::new(Turns {
                at_once,
                semaphore: Arc::new(Semaphore::new(at_once.max(1).into())),
            })
        };
        let turns = scopes.entry(scope).or_insert_with(fresh);
        if turns.at_once != at_once {
            *turns = fresh();
        }
        Arc::clone(&turns.semaphore)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn so_many_go_on_at_once_and_each_scope_counts_for_itself() {
        let squeeze = Arc::new(Squeeze::default());
        let (ana, bob): (Scope, Scope) = ("user/ana".parse().unwrap(), "user/bob".parse().unwrap());
        let one = squeeze.turn(vec![(ana.clone(), 2)]).await;
        let two = squeeze.turn(vec![(ana.clone(), 2), (bob.clone(), 1)]).await;
        let waiting = tokio::spawn({
            let (squeeze, ana) = (Arc::clone(&squeeze), ana.clone());
            async move { squeeze.turn(vec![(ana, 2)]).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(one);
        drop(waiting.await.unwrap());
        drop(two);
        drop(squeeze.turn(vec![(bob, 1)]).await);
        assert_eq!(
            squeeze.scopes.lock().unwrap().len(),
            1,
            "the idle one is forgotten"
        );
    }
}
