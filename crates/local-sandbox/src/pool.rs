//! Children that are ready before there is a job for them. Each is used once.

use std::{
    collections::VecDeque,
    mem,
    ops::ControlFlow,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::{runtime::Handle, time::sleep};

use crate::{
    document::JobPipe,
    streams::Pipes,
    waiting::{NotSealed, Waiting},
    zygote::Zygote,
};

/// Nobody wants a child for so long before one of them rehearses.
const REST: Duration = Duration::from_millis(50);

/// Ready children of one zygote. While nothing runs, one of them rehearses, which takes as long as drawing a chart: its program
/// then finds the memory that charts need copied already. One only, for those are megabytes.
#[derive(Debug)]
pub(crate) struct Pool {
    size: usize,
    state: Mutex<State>,
    /// Held by whoever waits for a rest, and rehearses.
    resting: Arc<tokio::sync::Mutex<()>>,
}

/// A child, and pipes for its job and for its program.
pub(crate) type Ready = (Waiting, JobPipe, Pipes);

#[derive(Debug, Default)]
struct State {
    ready: VecDeque<Ready>,
    rehearsed: Option<Ready>,
    /// Made anew, or rehearsing.
    in_the_making: usize,
    /// How often one was wanted.
    wanted: u64,
}

impl Pool {
    pub(crate) fn new(size: usize) -> Arc<Self> {
        Arc::new(Self {
            size,
            state: Mutex::default(),
            resting: Arc::default(),
        })
    }

    /// One that is alive, and has rehearsed where one has. `None` where there is none; then the caller makes its own.
    pub(crate) fn take(&self) -> Option<Ready> {
        let mut state = self.state();
        state.wanted += 1;
        loop {
            let rehearsed = state.rehearsed.take();
            let ready = rehearsed.or_else(|| state.ready.pop_front())?;
            if ready.0.is_alive() {
                return Some(ready);
            }
        }
    }

    /// Begins to make as many as are missing, off the caller's path, and lets one rehearse once there is time for it.
    pub(crate) fn refill(self: &Arc<Self>, zygote: &Arc<Zygote>) {
        // A run may be dropped where nothing can run any more.
        let Ok(threads) = Handle::try_current() else {
            return;
        };
        let (missing, wanted) = {
            let mut state = self.state();
            let missing = self.size.saturating_sub(state.present() + state.in_the_making);
            state.in_the_making += missing;
            (missing, state.wanted)
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
        // One alone would be missing meanwhile.
        if self.size > 1
            && let Ok(turn) = Arc::clone(&self.resting).try_lock_owned()
        {
            let (pool, zygote) = (Arc::downgrade(self), Arc::downgrade(zygote));
            threads.spawn(async move {
                rehearse_at_rest(&pool, &zygote, wanted).await;
                drop(turn);
            });
        }
    }

    /// One to rehearse once the pool rests: nothing runs, none is being made, and none was wanted since this was asked last.
    /// It breaks off with none where one has rehearsed or there are too few; whoever makes some asks again.
    fn rest(&self, zygote: &Zygote, wanted: &mut u64) -> ControlFlow<Option<Ready>> {
        let mut state = self.state();
        let before = mem::replace(wanted, state.wanted);
        if before != state.wanted || state.in_the_making > 0 || !zygote.crowd.is_empty() {
            return ControlFlow::Continue(());
        }
        if state.ready.len() < self.size {
            return ControlFlow::Break(None);
        }
        let ready = state.ready.pop_back().filter(|(waiting, ..)| waiting.is_alive());
        state.in_the_making += usize::from(ready.is_some());
        ControlFlow::Break(ready)
    }

    /// How many are ready.
    #[cfg(feature = "test-guards")]
    pub(crate) fn ready(&self) -> usize {
        self.state().present()
    }

    /// Whether one of them has rehearsed.
    #[cfg(feature = "test-guards")]
    pub(crate) fn has_rehearsed(&self) -> bool {
        self.state().rehearsed.is_some()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn present(&self) -> usize {
        self.ready.len() + usize::from(self.rehearsed.is_some())
    }
}

async fn rehearse_at_rest(pool: &Weak<Pool>, zygote: &Weak<Zygote>, mut wanted: u64) {
    loop {
        // Held by nobody else meanwhile, both end with their sandbox.
        sleep(REST).await;
        let (Some(pool), Some(zygote)) = (pool.upgrade(), zygote.upgrade()) else {
            return;
        };
        match pool.rest(&zygote, &mut wanted) {
            ControlFlow::Continue(()) => {}
            ControlFlow::Break(None) => return,
            ControlFlow::Break(Some(ready)) => return rehearse(&pool, &zygote, ready).await,
        }
    }
}

/// In a place that was kept for it.
async fn rehearse(pool: &Arc<Pool>, zygote: &Arc<Zygote>, (waiting, job, pipes): Ready) {
    let place = Place(pool);
    match waiting.rehearsed(zygote).await {
        Ok(waiting) => pool.state().rehearsed = Some((waiting, job, pipes)),
        Err(error) => {
            let error = error.error();
            tracing::warn!(%error, "a ready jail could not rehearse");
            drop(place);
            // The next one rehearses after the next run at the earliest: this is still the turn of the one that failed.
            pool.refill(zygote);
        }
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

/// A place in the pool that a child takes which is not ready; free again also where its making is dropped.
struct Place<'a>(&'a Pool);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.state().in_the_making -= 1;
    }
}
