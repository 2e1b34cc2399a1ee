//! Whose turn it is: how many programs are let in at once, and who goes first among those that are.

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use meterbox_sandbox_client::SandboxError;
use rustix::process::{Resource, getrlimit};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::native::wire::MOST_CHILDREN;

/// A program that was looked at so often, every 20 milliseconds, goes after younger ones: an ordinary one has ended by then.
const YOUNG: u32 = 3;
/// How many programs there may be for each processor, unless set: most wait, for data or for nothing.
const EACH_PROCESSOR: usize = 64;
/// Descriptors that one takes here, and those that are left for everything else.
const DESCRIPTORS: u64 = 8;
const OTHER_DESCRIPTORS: u64 = 64;
/// Children that wait for a program, and those that are about to be reaped, need a place of the zygote's too.
const LARGEST: usize = MOST_CHILDREN - 64;
const PATIENCE: Duration = Duration::from_secs(30);
/// Somebody's turn is over by then, most likely.
const COME_AGAIN: Duration = Duration::from_secs(1);

/// How many programs may run at once, and how long one waits for its turn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Admission {
    most: usize,
    patience: Duration,
}

impl Default for Admission {
    fn default() -> Self {
        let files = getrlimit(Resource::Nofile).current;
        Self::new(usual(processors(), files), PATIENCE)
    }
}

/// As many as there are processors for, and descriptors: without those a run would be refused instead of waiting.
fn usual(processors: usize, files: Option<u64>) -> usize {
    let by_processors = processors.saturating_mul(EACH_PROCESSOR);
    let by_files = files.map(|files| files.saturating_sub(OTHER_DESCRIPTORS) / DESCRIPTORS);
    by_files
        .and_then(|most| usize::try_from(most).ok())
        .map_or(by_processors, |most| most.min(by_processors))
}

impl Admission {
    pub(crate) fn new(most: usize, patience: Duration) -> Self {
        Self {
            most: most.clamp(1, LARGEST),
            patience,
        }
    }
}

/// The door: lets programs in, first come, first served.
#[derive(Debug)]
pub(crate) struct Door {
    admission: Admission,
    places: Arc<Semaphore>,
}

/// The place of one program; dropped, it is the next one's.
#[derive(Debug)]
pub(crate) struct Place(#[allow(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

impl Door {
    pub(crate) fn new(admission: Admission) -> Self {
        Self {
            admission,
            places: Arc::new(Semaphore::new(admission.most)),
        }
    }

    /// Waits for a place: [`SandboxError::Busy`] where that takes too long. Dropping it gives up the place in the queue.
    pub(crate) async fn enter(&self) -> Result<Place, SandboxError> {
        let place = Arc::clone(&self.places).acquire_owned();
        match timeout(self.admission.patience, place).await {
            // The semaphore is never closed.
            Ok(Ok(place)) => Ok(Place(place)),
            _ => Err(SandboxError::Busy {
                retry_after: Some(COME_AGAIN),
            }),
        }
    }
}

/// How many programs of one zygote run now.
#[derive(Debug, Default)]
pub(crate) struct Crowd(AtomicUsize);

/// One of them.
#[derive(Debug)]
pub(crate) struct Member<'a> {
    crowd: &'a Crowd,
    looks: u32,
    goes_after: bool,
}

impl Crowd {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    pub(crate) fn join(&self) -> Member<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Member {
            crowd: self,
            looks: 0,
            goes_after: false,
        }
    }
}

impl Member<'_> {
    /// Asked at each look at it: whether the others should go before this one from now on. It is no longer young, and there
    /// are more than the machine has processors; where nobody waits, nobody is slowed down.
    pub(crate) fn has_had_its_turn(&mut self) -> bool {
        self.looks = self.looks.saturating_add(1);
        let crowded = self.crowd.0.load(Ordering::Relaxed) > processors();
        !self.goes_after && crowded && self.looks > YOUNG
    }

    /// It has been told.
    pub(crate) fn goes_after(&mut self) {
        self.goes_after = true;
    }
}

impl Drop for Member<'_> {
    fn drop(&mut self) {
        self.crowd.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Asked of the machine once: that takes several files, and each program is looked at fifty times a second.
pub(crate) fn processors() -> usize {
    static PROCESSORS: LazyLock<usize> =
        LazyLock::new(|| std::thread::available_parallelism().map_or(1, usize::from));
    *PROCESSORS
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn door(most: usize) -> Door {
        Door::new(Admission::new(most, Duration::from_secs(30)))
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_came_first_goes_first() {
        let door = door(1);
        let inside = door.enter().await.unwrap();
        let (mut second, mut third) = (Box::pin(door.enter()), Box::pin(door.enter()));
        assert!((&mut second).now_or_never().is_none() && (&mut third).now_or_never().is_none());
        drop(inside);
        assert!((&mut third).now_or_never().is_none(), "the second is before it");
        let inside = second.await.unwrap();
        drop(inside);
        third.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_hangs_up_leaves_the_queue_and_no_place_is_lost() {
        let door = door(1);
        let inside = door.enter().await.unwrap();
        let mut second = Box::pin(door.enter());
        assert!((&mut second).now_or_never().is_none());
        let mut third = Box::pin(door.enter());
        assert!((&mut third).now_or_never().is_none());
        drop(second);
        drop(inside);
        drop(third.await.unwrap());
        door.enter().await.unwrap();
    }

    #[expect(clippy::disallowed_methods, reason = "this clock is paused")]
    #[tokio::test(start_paused = true)]
    async fn a_wait_has_an_end_that_says_to_come_again() {
        let door = door(1);
        let _inside = door.enter().await.unwrap();
        let started = tokio::time::Instant::now();
        let error = door.enter().await.unwrap_err();
        assert!(
            matches!(error, SandboxError::Busy { retry_after: Some(_) }),
            "{error}"
        );
        assert_eq!(started.elapsed(), Duration::from_secs(30));
    }

    #[test]
    fn the_old_of_a_crowd_go_after_the_young() {
        let crowd = Crowd::default();
        let mut old = crowd.join();
        for _ in 0..=YOUNG {
            assert!(!old.has_had_its_turn(), "it is alone");
        }
        let mut others: Vec<_> = (0..processors()).map(|_| crowd.join()).collect();
        assert!(old.has_had_its_turn());
        assert!(others.iter_mut().all(|young| !young.has_had_its_turn()));
        old.goes_after();
        assert!(!old.has_had_its_turn(), "told once");
    }

    #[test]
    fn no_more_are_let_in_than_there_are_descriptors_for() {
        assert_eq!(usual(2, None), 2 * EACH_PROCESSOR);
        assert_eq!(usual(2, Some(1 << 20)), 2 * EACH_PROCESSOR);
        assert_eq!(usual(64, Some(1024)), 120);
        assert_eq!(Admission::new(usual(64, Some(10)), PATIENCE).most, 1);
    }

    #[test]
    fn there_is_always_room_for_one_and_never_for_more_than_the_zygote_has() {
        assert_eq!(Admission::new(0, PATIENCE).most, 1);
        assert_eq!(Admission::new(usize::MAX, PATIENCE).most, LARGEST);
    }
}
