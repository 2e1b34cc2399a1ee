//! What programs elsewhere find, learnt in a run that is paid for: asking a cloud costs.

use meterbox_budget_engine::Hold;
use meterbox_core::contract::Failure;
use meterbox_sandbox_client::{Capabilities, Job, Limits, Program};

use crate::{failure::no_sandbox, paid_run::Run, pipeline::Analysis};

/// Looks, and does nothing.
const NOTHING: &str = "reply(None)";

impl Analysis {
    /// Is there a run to plan for it?
    pub(crate) fn needs_look(&self) -> bool {
        let elsewhere = self.parts.places.programs.as_ref();
        elsewhere.is_some_and(|place| !place.looked.initialized()) && self.planned_call().is_some()
    }

    /// What programs find where they run. The first time elsewhere a run of nothing is paid for, after which that
    /// sandbox knows itself.
    pub(crate) async fn capabilities(&mut self, hold: &Hold) -> Result<Capabilities, Failure> {
        let parts = std::sync::Arc::clone(&self.parts);
        let place = parts.places.of_programs();
        let asked = async || {
            place
                .sandbox
                .capabilities()
                .await
                .map_err(|error| no_sandbox(&error))
        };
        if parts.places.programs.is_none() {
            return asked().await;
        }
        let look = async || {
            let program = Program::Service {
                code: NOTHING.to_owned(),
                parameters: serde_json::Value::Null,
            };
            let job = Job {
                limits: Self::limits_of_a_look(),
                ..Job::new(program)
            };
            self.run_in_sandbox(hold, Run::Look, job).await?;
            asked().await
        };
        place.looked.get_or_try_init(look).await.cloned()
    }

    pub(crate) fn limits_of_a_look() -> Limits {
        let time = std::time::Duration::from_secs(10);
        Limits {
            wall: time,
            cpu: time,
            ..Limits::default()
        }
    }
}
