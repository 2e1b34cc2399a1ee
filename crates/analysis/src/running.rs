use meterbox_core::{
    AnalysisId,
    contract::{AnalysisResult, StepEvent},
};
use meterbox_sandbox_client::OutputStream;
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// News of an analysis, as it happens.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A step began or ended.
    Step(StepEvent),
    /// The program printed something: untrusted text, show it inert.
    Output {
        /// Where it printed to.
        stream: OutputStream,
        /// What it printed.
        text: String,
    },
}

/// An analysis under way. It is a task of its own: dropping this handle neither stops nor loses it.
#[derive(Debug)]
pub struct Running {
    pub(crate) id: AnalysisId,
    pub(crate) events: mpsc::UnboundedReceiver<Event>,
    pub(crate) cancel: CancellationToken,
    pub(crate) task: JoinHandle<AnalysisResult>,
}

impl Running {
    /// Which analysis this is.
    pub fn id(&self) -> AnalysisId {
        self.id
    }

    /// The next event; `None` once there are no more.
    ///
    /// Cancel-safe. The backlog is bounded by the program's output limit.
    pub async fn next_event(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// A handle that stops the analysis; what it used so far is charged.
    pub fn canceller(&self) -> CancellationToken {
        self.cancel.clone()
    }

    /// Waits for the end, whatever it is.
    ///
    /// # Errors
    /// [`Interrupted`] where the runtime stopped the task; its hold is settled when it expires.
    pub async fn result(self) -> Result<AnalysisResult, Interrupted> {
        self.task.await.map_err(|_| Interrupted)
    }
}

/// The analysis was stopped together with the service it ran in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the analysis was interrupted; ask again")]
pub struct Interrupted;
