//! Children that are ready before there is a job for them. Each is used once.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::runtime::Handle;

use crate::{waiting::Waiting, zygote::Zygote};

/// Ready children of one zygote.
#[derive(Debug)]
pub(crate) struct Pool {
    size: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    ready: VecDeque<Waiting>,
    in_the_making: usize,
}

impl Pool {
    pub(crate) fn new(size: usize) -> Arc<Self> {
        Arc::new(Self {
            size,
            state: Mutex::default(),
        })
    }

    /// One that is alive. `None` where there is none; then the caller makes its own.
    pub(crate) fn take(&self) -> Option<Waiting> {
        let mut state = self.state();
        loop {
            let child = state.ready.pop_front()?;
            if child.is_alive() {
                return Some(child);
            }
        }
    }

    /// Begins to make as many as are missing, off the caller's path.
    pub(crate) fn refill(self: &Arc<Self>, zygote: &Arc<Zygote>) {
        // A run may be dropped where nothing can run any more.
        let Ok(threads) = Handle::try_current() else {
            return;
        };
        let missing = {
            let mut state = self.state();
            let missing = self.size.saturating_sub(state.ready.len() + state.in_the_making);
            state.in_the_making += missing;
            missing
        };
        for _ in 0..missing {
            let (pool, zygote) = (Arc::clone(self), Arc::clone(zygote));
            threads.spawn(async move {
                let place = Place(&pool);
                match Waiting::ready(&zygote).await {
                    Ok(child) => pool.state().ready.push_back(child),
                    Err(error) => {
                        let error = error.error();
                        tracing::warn!(%error, "no jail could be made ready; the next run makes its own");
                    }
                }
                drop(place);
            });
        }
    }

    /// How many are ready.
    #[cfg(feature = "test-guards")]
    pub(crate) fn ready(&self) -> usize {
        self.state().ready.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the pool that a child in the making takes; free again also where the making is dropped.
struct Place<'a>(&'a Pool);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.state().in_the_making -= 1;
    }
}
