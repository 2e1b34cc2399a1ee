//! One zygote with its ready children, and the next one that takes its place.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use meterbox_core::Clock;
use meterbox_sandbox_client::SandboxError;
use tokio::sync::{Mutex, OnceCell};

use crate::{
    check::Diagnosis,
    diagnosis,
    groups::{Groups, Refusal},
    pool::Pool,
    probe::Probes,
    run,
    tier::Tier,
    zygote::{Settings, Zygote},
};

/// How many children are kept ready, and how long a zygote is used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Upkeep {
    pub(crate) ready: usize,
    pub(crate) most_runs: u64,
    pub(crate) longest: Duration,
}

/// Which tier may be used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Choice {
    pub(crate) least: Tier,
    /// This one whatever the machine could; for tests.
    pub(crate) only: Option<Tier>,
}

/// A zygote in use. Its children share where things lie in memory, so none is used for ever.
#[derive(Debug)]
pub(crate) struct Generation {
    pub(crate) zygote: Arc<Zygote>,
    pub(crate) pool: Arc<Pool>,
    born: Duration,
    runs: AtomicU64,
}

/// Always has a zygote that works, or says why not.
#[derive(Debug)]
pub(crate) struct Generations {
    settings: Settings,
    upkeep: Upkeep,
    choice: Choice,
    probes: OnceCell<Probes>,
    groups: OnceLock<Result<Arc<Groups>, Refusal>>,
    clock: Arc<dyn Clock>,
    current: Mutex<Option<Arc<Generation>>>,
    renewing: AtomicBool,
}

impl Generations {
    pub(crate) fn new(
        settings: Settings,
        upkeep: Upkeep,
        choice: Choice,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        Arc::new(Self {
            settings,
            upkeep,
            choice,
            probes: OnceCell::new(),
            groups: OnceLock::new(),
            clock,
            current: Mutex::default(),
            renewing: AtomicBool::new(false),
        })
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The one to use now; started if there is none that lives.
    pub(crate) async fn current(self: &Arc<Self>) -> Result<Arc<Generation>, SandboxError> {
        let mut slot = self.current.lock().await;
        if let Some(current) = slot.as_ref().filter(|current| current.zygote.is_alive()) {
            return Ok(Arc::clone(current));
        }
        *slot = None;
        let first = self.make().await?;
        *slot = Some(Arc::clone(&first));
        Ok(first)
    }

    /// Counts a run. Once it is time, the next generation is made beside the work and then takes over; runs in
    /// flight end where they began.
    pub(crate) fn count(self: &Arc<Self>, generation: &Generation) {
        let runs = generation.runs.fetch_add(1, Ordering::Relaxed) + 1;
        let age = self.clock.monotonic().saturating_sub(generation.born);
        let tired = runs >= self.upkeep.most_runs || age >= self.upkeep.longest;
        if !tired || self.renewing.swap(true, Ordering::Relaxed) {
            return;
        }
        let this = Arc::clone(self);
        tokio::spawn(async move {
            match this.make().await {
                Ok(next) => *this.current.lock().await = Some(next),
                Err(error) => tracing::warn!(%error, "no fresh interpreter; the old one is kept"),
            }
            this.renewing.store(false, Ordering::Relaxed);
        });
    }

    /// Tries everything a run needs. A place for groups that was not to be had is looked for again by the next sandbox only.
    pub(crate) async fn diagnose(&self) -> Diagnosis {
        diagnosis::diagnose(&self.settings, self.choice.least, self.groups()).await
    }

    /// The least tier that is good enough.
    pub(crate) fn least(&self) -> Tier {
        self.choice.least
    }

    /// The tier of this machine, tried once.
    async fn tier(&self) -> Result<Tier, SandboxError> {
        if let Some(tier) = self.choice.only {
            return Ok(tier);
        }
        let probes = self
            .probes
            .get_or_try_init(|| Probes::run(&self.settings, self.groups()))
            .await?;
        probes.tier(self.choice.least)
    }

    /// The place for control groups, looked for once.
    fn groups(&self) -> Result<&Arc<Groups>, &Refusal> {
        let maker = (self.settings.uid, self.settings.gid);
        let named = self.settings.control_group.as_deref();
        self.groups.get_or_init(|| Groups::find(named, maker)).as_ref()
    }

    async fn make(&self) -> Result<Arc<Generation>, SandboxError> {
        diagnosis::require_processor()?;
        let tier = self.tier().await?;
        let groups = match tier {
            Tier::ControlGroup => Some(Arc::clone(self.groups().map_err(diagnosis::no_groups)?)),
            _ => None,
        };
        let zygote = Arc::new(Zygote::start(&self.settings, tier, groups).await?);
        if self.settings.without.is_empty() {
            let failed = run::trial(&zygote).await?;
            if !failed.is_empty() {
                return Err(diagnosis::unsafe_jail(&failed));
            }
        }
        let pool = Pool::new(self.upkeep.ready);
        pool.refill(&zygote);
        Ok(Arc::new(Generation {
            zygote,
            pool,
            born: self.clock.monotonic(),
            runs: AtomicU64::new(0),
        }))
    }
}
