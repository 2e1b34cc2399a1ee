//! Children that are ready before there is a job for them. Each is used once.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::runtime::Handle;

use crate::{
    document::JobPipe,
    streams::Pipes,
    waiting::{NotSealed, Waiting},
    zygote::Zygote,
};

/// Ready children of one zygote.
#[derive(Debug)]
pub(crate) struct Pool {
    size: usize,
    state: Mutex<State>,
}

/// A child, and pipes for its job and for its program.
pub(crate) type Ready = (Waiting, JobPipe, Pipes);

#[derive(Debug, Default)]
struct State {
    ready: VecDeque<Ready>,
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
    pub(crate) fn take(&self) -> Option<Ready> {
        let mut state = self.state();
        loop {
            let ready = state.ready.pop_front()?;
            if ready.0.is_alive() {
                return Some(ready);
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
                match ready(&zygote).await {
                    Ok(ready) => pool.state().ready.push_back(ready),
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

async fn ready(zygote: &Zygote) -> Result<Ready, NotSealed> {
    let waiting = Waiting::ready(zygote).await?;
    let (job, pipes) = pipes()?;
    Ok((waiting, job, pipes))
}

/// For one run.
pub(crate) fn pipes() -> Result<(JobPipe, Pipes), NotSealed> {
    let pipes = JobPipe::new().and_then(|job| Ok((job, Pipes::new()?)));
    pipes.map_err(NotSealed::no_room)
}

/// A place in the pool that a child in the making takes; free again also where the making is dropped.
struct Place<'a>(&'a Pool);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.state().in_the_making -= 1;
    }
}
