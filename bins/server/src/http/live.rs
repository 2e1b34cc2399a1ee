//! Analyses under way: who listens to them, and how they are stopped.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use meterbox_access::{Access, KeyId};
use meterbox_analysis::{Event, Running};
use meterbox_core::{AnalysisId, Scope, contract::AnalysisResult};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::caller::Caller;

/// How long an analysis goes on after whoever asked hung up: time enough for a page to be reloaded.
pub(crate) const HANG_UP_GRACE: Duration = Duration::from_secs(5);

/// How often a revocation made elsewhere is looked for; new requests are refused at once in any case.
pub(crate) const LOOK_FOR_REVOCATIONS: Duration = Duration::from_secs(2);

/// The analyses under way. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct LiveAnalyses {
    under_way: Arc<Mutex<HashMap<AnalysisId, Live>>>,
}

/// Whose analysis, and how it is stopped.
#[derive(Debug)]
struct Live {
    user: Scope,
    key: Option<KeyId>,
    canceller: CancellationToken,
}

/// News for the one who asked.
#[derive(Debug)]
pub(crate) enum News {
    /// Something happened.
    Event(Event),
    /// It ended; nothing follows. `None` where the service stopped under it.
    Ended(Option<Box<AnalysisResult>>),
}

impl LiveAnalyses {
    /// Follows an analysis to its end. If the returned listener is dropped before, the analysis is
    /// cancelled after [`HANG_UP_GRACE`]; when the service stops, at once.
    pub(super) fn follow(
        &self,
        running: Running,
        caller: &Caller,
        shutdown: CancellationToken,
    ) -> UnboundedReceiver<News> {
        let (news, listener) = unbounded_channel();
        let entry = Live {
            user: caller.principal.user.clone(),
            key: caller.key.as_ref().map(|key| key.id.clone()),
            canceller: running.canceller(),
        };
        self.lock().insert(running.id(), entry);
        let live = self.clone();
        tokio::spawn(async move {
            let id = running.id();
            pass_on(running, news, shutdown).await;
            live.lock().remove(&id);
        });
        listener
    }

    /// Cancels an analysis; false where this user has none of this id under way.
    pub(super) fn cancel(&self, id: AnalysisId, user: &Scope) -> bool {
        let under_way = self.lock();
        let live = under_way.get(&id).filter(|live| live.user == *user);
        live.inspect(|live| live.canceller.cancel()).is_some()
    }

    /// Cancels what was asked by a key that is no longer to spend anything.
    pub(super) fn cancel_of_key(&self, key: &KeyId) {
        for live in self.lock().values().filter(|live| live.key.as_ref() == Some(key)) {
            live.canceller.cancel();
        }
    }

    /// The keys by which something under way was asked.
    fn keys(&self) -> HashSet<KeyId> {
        self.lock().values().filter_map(|live| live.key.clone()).collect()
    }

    /// Cancels what keys asked that somebody else revoked, such as at the command line. Runs for ever.
    pub(super) async fn follow_revocations(self, access: Access) {
        loop {
            sleep(LOOK_FOR_REVOCATIONS).await;
            let asked_by = self.keys();
            if asked_by.is_empty() {
                continue;
            }
            // Where the keys cannot be read now, they can be a moment later.
            let keys = access.keys().await.unwrap_or_default();
            let revoked = keys.iter().filter(|key| key.revoked_at.is_some());
            revoked
                .filter(|key| asked_by.contains(&key.id))
                .for_each(|key| self.cancel_of_key(&key.id));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AnalysisId, Live>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn pass_on(mut running: Running, news: UnboundedSender<News>, shutdown: CancellationToken) {
    let canceller = running.canceller();
    let give_up = async {
        let hung_up = async {
            news.closed().await;
            sleep(HANG_UP_GRACE).await;
        };
        tokio::select! {
            () = hung_up => {}
            () = shutdown.cancelled() => {}
        }
        canceller.cancel();
    };
    let follow = async {
        while let Some(event) = running.next_event().await {
            // Nobody may be listening any more; the analysis still has to be followed to its end.
            let _ = news.send(News::Event(event));
        }
        running.result().await.ok().map(Box::new)
    };
    tokio::pin!(give_up, follow);
    let result = tokio::select! {
        result = &mut follow => result,
        () = &mut give_up => follow.await,
    };
    let _ = news.send(News::Ended(result));
}
