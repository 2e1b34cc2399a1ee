//! Jobs in machines of the E2B cloud.

mod bill;
mod follow;
mod lease;
mod probe;
mod sent;
mod set_up;
mod wind_up;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use meterbox_core::contract::{SandboxReport, Usage};
use tokio::sync::OnceCell;

use self::{
    bill::{Bill, lost, not_created},
    follow::{Printed, until_ended},
    lease::Lease,
};
use super::{E2bClient, E2bError, NewSandbox, control::whole_seconds};
use crate::{Capabilities, Job, Limits, Outcome, OutputSink, Sandbox, SandboxError, Verdict};

const HOME: &str = "/home/user/.meterbox";
const WORK: &str = "/home/user/work";
const DATA: &str = "/data";
const USER: &str = "user";
/// From the creation to the program's first line, uploads included.
const SET_UP: Duration = Duration::from_secs(120);
/// From the program's end to the machine's, downloads included.
const WIND_UP: Duration = Duration::from_secs(60);
/// What marks every machine that this crate makes.
const MADE_BY: (&str, &str) = ("made-by", "meterbox");
const OWNER: &str = "owner";

/// Runs each job in a machine of its own in the E2B cloud.
///
/// The job's files leave this computer. Verdicts come from the daemon of the machine, outside the program; memory is
/// bounded by the machine and, inside, by an address limit that a program meets as `MemoryError`. What is billed is
/// the machine, all of its processors and memory, from its creation to its end: [`Usage`] says so. The threads,
/// scratch and inode limits of a job are the machine's own.
///
/// Where the machines' Python has no pyarrow, the tables of a job go up as CSV: see
/// [`Job::portable_tables`](crate::Job::portable_tables).
///
/// Dropping a run ends its machine in the background. Where this process dies, the machine ends with the server-side
/// time-out, some minutes after the job's own limit; [`reap`](Self::reap) ends it sooner.
#[derive(Debug)]
pub struct E2bSandbox {
    client: E2bClient,
    template: String,
    size: MachineSize,
    metadata: BTreeMap<String, String>,
    owner: Option<String>,
    found: OnceCell<Capabilities>,
}

/// What the machines of a template have, and E2B bills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MachineSize {
    /// Virtual processors.
    pub processors: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
}

/// That of E2B's `code-interpreter-v1`.
impl Default for MachineSize {
    fn default() -> Self {
        Self {
            processors: 2,
            memory_mib: 2048,
        }
    }
}

impl E2bSandbox {
    /// Runs jobs in machines of this template, such as `code-interpreter-v1`.
    pub fn new(client: E2bClient, template: impl Into<String>) -> Self {
        let metadata = BTreeMap::from([(MADE_BY.0.to_owned(), MADE_BY.1.to_owned())]);
        Self {
            client,
            template: template.into(),
            size: MachineSize::default(),
            metadata,
            owner: None,
            found: OnceCell::new(),
        }
    }

    /// The size that the template was built with, from which the worst case of a run follows. A machine that turns out
    /// to be larger is ended before anything runs in it.
    #[must_use]
    pub fn with_size(mut self, size: MachineSize) -> Self {
        self.size = size;
        self
    }

    /// Marks each machine with this as well, such as the installation. Jobs add `job` and `request`.
    #[must_use]
    pub fn with_metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(name.into(), value.into());
        self
    }

    /// Marks each machine with who made it, such as a process, so that [`reap`](Self::reap) finds it when that is gone.
    #[must_use]
    pub fn owned_by(mut self, owner: impl Into<String>) -> Self {
        self.owner = Some(owner.into());
        self
    }

    /// The longest a machine for these limits can live: its server-side time-out, in whole seconds.
    pub fn longest_life(limits: &Limits) -> Duration {
        let longest = SET_UP.saturating_add(limits.wall).saturating_add(WIND_UP);
        Duration::from_secs(whole_seconds(longest))
    }

    /// Ends machines with this one's metadata whose owner is gone: what a process left behind that died. Says how many.
    /// A machine of this one's own owner, or of none, is left alone.
    ///
    /// # Errors
    /// [`E2bError`], of the last machine that could not be ended; all others are.
    pub async fn reap(&self, is_gone: impl Fn(&str) -> bool + Send) -> Result<u32, E2bError> {
        let (mut ended, mut failed) = (0, None);
        for left in self.client.list(&self.metadata).await? {
            let owner = left.metadata.as_ref().and_then(|metadata| metadata.get(OWNER));
            let left_behind = owner.is_some_and(|owner| self.owner.as_ref() != Some(owner) && is_gone(owner));
            if !left_behind {
                continue;
            }
            match self.client.kill(&left.id).await {
                Ok(was_there) => ended += u32::from(was_there),
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(ended), Err)
    }

    fn new_machine(&self, life: Duration, job: &str) -> NewSandbox {
        let mut metadata = self.metadata.clone();
        let key = idempotency_key();
        metadata.insert("job".to_owned(), job.to_owned());
        metadata.insert("request".to_owned(), key.clone());
        metadata.extend(self.owner.clone().map(|owner| (OWNER.to_owned(), owner)));
        NewSandbox {
            timeout: life,
            metadata,
            idempotency_key: Some(key),
            ..NewSandbox::new(self.template.clone())
        }
    }

    fn report() -> SandboxReport {
        let guarantees = [
            ("filesystem", "a machine of its own"),
            ("network", "no internet access, by the provider"),
            ("processes", "a machine of its own"),
            ("memory", "the machine's, and RLIMIT_DATA"),
            ("time", "killed with its machine"),
        ];
        SandboxReport {
            provider: "e2b".to_owned(),
            tier: "cloud".to_owned(),
            guarantees: guarantees
                .map(|(name, by)| (name.to_owned(), by.to_owned()))
                .into(),
        }
    }
}

#[async_trait]
impl Sandbox for E2bSandbox {
    /// Makes a machine to look into, unless one was looked into before.
    async fn capabilities(&self) -> Result<Capabilities, SandboxError> {
        self.found.get_or_try_init(|| self.probe()).await.cloned()
    }

    async fn run(&self, job: Job, output: Arc<dyn OutputSink>) -> Result<Outcome, SandboxError> {
        job.check()?;
        set_up::check_readable(&job)?;
        let mut outcome = Outcome::new(Verdict::Cancelled, Self::report());
        outcome.seed = job.seed;
        if job.cancel.is_cancelled() {
            return Ok(outcome);
        }
        let new = self.new_machine(Self::longest_life(&job.limits), &job.seed.to_string());
        let mut bill = Bill::new(self.size);
        let lease = Lease::open(&self.client, &new).await.map_err(not_created)?;

        let set_up = tokio::select! {
            set_up = tokio::time::timeout(SET_UP, self.set_up(&lease, &job, &mut bill, &output)) => {
                Some(set_up.unwrap_or(Err(E2bError::DeadlinePassed { what: "the set-up" })))
            }
            () = job.cancel.cancelled() => None,
        };
        let mut process = match set_up {
            Some(Ok(process)) => process,
            // The program may not have begun, and the machine has cost.
            Some(Err(error)) => return Err(lost(error, bill.of(lease.end().await, 0))),
            None => {
                outcome.usage = bill.of(lease.end().await, 0);
                return Ok(outcome);
            }
        };
        let mut printed = Printed::new(&job.limits, Arc::clone(&output));
        let ended = until_ended(&mut process, &job, &mut printed, |printed| {
            output.used(bill.of(lease.age(), printed));
        });
        let ended = match ended.await {
            Ok(ended) => ended,
            Err(error) => {
                // What the program did to its machine, or the machine to itself, cannot be told apart.
                let printed = printed.bytes(&job.limits);
                return Err(lost(error, bill.of(lease.end().await, printed)));
            }
        };
        let wind_up = self.wind_up(&lease, &job, ended, &mut outcome);
        let wound_up = tokio::time::timeout(WIND_UP, wind_up).await;
        outcome.usage = bill.of(lease.end().await, printed.bytes(&job.limits));
        (outcome.stdout, outcome.stderr) = printed.texts();
        match wound_up {
            Ok(Ok(())) => Ok(outcome),
            Ok(Err(error)) => Err(lost(error, outcome.usage)),
            Err(_) => Err(lost(
                E2bError::DeadlinePassed {
                    what: "collecting what the program left",
                },
                outcome.usage,
            )),
        }
    }

    /// A machine of this size for all of its server-side time-out.
    fn worst_usage(&self, limits: &Limits) -> Usage {
        Bill::new(self.size).of(Self::longest_life(limits), limits.output_bytes)
    }
}

/// Random, so that no two creates are one.
fn idempotency_key() -> String {
    use std::hash::{BuildHasher, RandomState};
    let [high, low] = [0_u8, 1].map(|half| RandomState::new().hash_one(half));
    format!("meterbox-{high:016x}{low:016x}")
}
