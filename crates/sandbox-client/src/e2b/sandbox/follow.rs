//! A program under way: what it prints, and what ends it.

use std::{sync::Arc, time::Duration};

use meterbox_http_client::deadline_after;
use tokio::time::sleep_until;

use crate::{
    Job, Limits, OutputSink, OutputStream, Verdict,
    e2b::{E2bError, Process, ProcessEnd, ProcessEvent},
};

/// Why a program was ended, or how it ended itself.
pub(super) enum End {
    ByItself(ProcessEnd),
    Cut(Verdict),
}

/// What was printed so far.
pub(super) struct Printed {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    room: u64,
    sink: Arc<dyn OutputSink>,
}

pub(super) async fn until_ended(
    process: &mut Process,
    job: &Job,
    printed: &mut Printed,
    tell: impl Fn(u64) + Send,
) -> Result<End, E2bError> {
    let wall = sleep_until(deadline_after(job.limits.wall));
    tokio::pin!(wall);
    let mut so_far = tokio::time::interval(Duration::from_millis(250));
    loop {
        tokio::select! {
            biased;
            () = job.cancel.cancelled() => return Ok(End::Cut(Verdict::Cancelled)),
            () = &mut wall => return Ok(End::Cut(Verdict::WallLimit)),
            _ = so_far.tick() => tell(printed.bytes(&job.limits)),
            event = process.next() => match event? {
                Some(ProcessEvent::Stdout(bytes)) => {
                    if !printed.take(OutputStream::Stdout, &bytes) {
                        return Ok(End::Cut(Verdict::OutputLimit));
                    }
                }
                Some(ProcessEvent::Stderr(bytes)) => {
                    if !printed.take(OutputStream::Stderr, &bytes) {
                        return Ok(End::Cut(Verdict::OutputLimit));
                    }
                }
                Some(ProcessEvent::Ended(end)) => return Ok(End::ByItself(end)),
                Some(ProcessEvent::Started { .. }) => {}
                None => return Err(E2bError::Cut { what: "the program" }),
            },
        }
    }
}

impl Printed {
    pub(super) fn new(limits: &Limits, sink: Arc<dyn OutputSink>) -> Self {
        Self {
            stdout: Vec::new(),
            stderr: Vec::new(),
            room: limits.output_bytes,
            sink,
        }
    }

    /// False where it is more than allowed; up to there it is kept.
    fn take(&mut self, stream: OutputStream, bytes: &[u8]) -> bool {
        let fitting = usize::try_from(self.room).unwrap_or(usize::MAX).min(bytes.len());
        let kept = bytes.get(..fitting).unwrap_or_default();
        self.room = self.room.saturating_sub(bytes.len() as u64);
        match stream {
            OutputStream::Stdout => self.stdout.extend_from_slice(kept),
            OutputStream::Stderr => self.stderr.extend_from_slice(kept),
        }
        self.sink.printed(stream, &String::from_utf8_lossy(kept));
        fitting == bytes.len()
    }

    pub(super) fn bytes(&self, limits: &Limits) -> u64 {
        limits.output_bytes.saturating_sub(self.room)
    }

    pub(super) fn texts(self) -> (String, String) {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        (text(self.stdout), text(self.stderr))
    }
}
