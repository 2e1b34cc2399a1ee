use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    E2bSandbox, MachineSize, SET_UP,
    bill::{Bill, not_created},
    lease::Lease,
};
use crate::{
    Capabilities, SandboxError,
    e2b::{Command, E2bError, ProcessEvent},
};

const SCRIPT: &str = "import importlib.metadata as m, json, platform\n\
    print(json.dumps({'python': platform.python_version(), \
    'packages': {d.metadata['Name'].lower(): d.version for d in m.distributions() if d.metadata['Name']}}))";
/// More than any template's list of packages.
const MOST_BYTES: usize = 1 << 20;

impl E2bSandbox {
    /// Makes a machine only to see what it has.
    pub(super) async fn probe(&self) -> Result<Capabilities, SandboxError> {
        let lease = Lease::open(&self.client, &self.new_machine(SET_UP, "probe"))
            .await
            .map_err(not_created)?;
        let looked = async {
            self.client.wait_until_ready(lease.access()).await?;
            self.look_around(&lease).await
        };
        let found = looked.await;
        lease.end().await;
        Ok(found?)
    }

    /// What this machine's Python has.
    pub(super) async fn look_around(&self, lease: &Lease) -> Result<Capabilities, E2bError> {
        #[derive(Deserialize)]
        struct Found {
            python: String,
            packages: BTreeMap<String, String>,
        }
        const WHAT: &str = "asking for Python's packages";
        let command = Command::new("python3", ["-c", SCRIPT]);
        let mut process = self.client.start(lease.access(), &command).await?;
        let mut said = Vec::new();
        while let Some(event) = process.next().await? {
            if let ProcessEvent::Stdout(bytes) = event {
                said.extend(bytes);
            }
            if said.len() > MOST_BYTES {
                return Err(E2bError::TooLarge {
                    what: WHAT,
                    limit: MOST_BYTES as u64,
                });
            }
        }
        let found: Found = serde_json::from_slice(&said).map_err(|error| E2bError::BadReply {
            what: WHAT,
            reason: error.to_string(),
        })?;
        Ok(Capabilities {
            python: found.python,
            packages: found.packages,
            sandbox: Self::report(),
            // A machine there is used once.
            sessions: false,
        })
    }

    /// E2B bills what it made, and the worst case was set aside for what was said to be made.
    pub(super) async fn check_size(&self, lease: &Lease, bill: &mut Bill) -> Result<(), E2bError> {
        let made = self.client.get(&lease.access().id).await?;
        let (said, made) = (
            self.size,
            MachineSize {
                processors: made.cpu_count,
                memory_mib: made.memory_mib,
            },
        );
        bill.correct(made);
        if made.processors <= said.processors && made.memory_mib <= said.memory_mib {
            return Ok(());
        }
        Err(E2bError::Invalid(format!(
            "the machines of template {} have {} processors and {} MiB of memory, more than the {} and {} they are \
             said to have; set the size that the template was built with",
            self.template, made.processors, made.memory_mib, said.processors, said.memory_mib
        )))
    }
}
