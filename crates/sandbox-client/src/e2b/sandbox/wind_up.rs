//! Everything after a program's last line: its reply, its files, and how it ended.

use std::path::Path;

use super::{E2bSandbox, HOME, USER, WORK, follow::End, lease::Lease};
use crate::{
    Artifact, ArtifactNames, Job, Limits, Outcome, RejectedArtifact, Verdict,
    e2b::{E2bError, E2bErrorKind, FileKind, ProcessEnd},
    parse_reply, printable,
};

const MOST_REJECTED: usize = 100;

impl E2bSandbox {
    /// Everything after the program's last line. A program that was cut off is not asked for anything.
    pub(super) async fn wind_up(
        &self,
        lease: &Lease,
        job: &Job,
        ended: End,
        outcome: &mut Outcome,
    ) -> Result<(), E2bError> {
        let end = match ended {
            End::ByItself(end) => end,
            End::Cut(verdict) => {
                outcome.verdict = verdict;
                return Ok(());
            }
        };
        outcome.verdict = verdict(&end);
        let limit = job.limits.reply_bytes;
        let reply = self
            .client
            .read_file(lease.access(), &format!("{HOME}/reply.json"), USER, limit)
            .await;
        match reply {
            Ok(bytes) => match parse_reply(&bytes) {
                Ok(reply) => outcome.reply = reply,
                Err(reason) if matches!(outcome.verdict, Verdict::Exited { .. }) => {
                    outcome.verdict = Verdict::BrokenReply { reason };
                }
                Err(_) => {}
            },
            Err(error) if error.kind() == E2bErrorKind::TooLarge => outcome.verdict = Verdict::OutputLimit,
            Err(error) if matches!(error.kind(), E2bErrorKind::NotFound | E2bErrorKind::Rejected) => {}
            Err(error) => return Err(error),
        }
        if let Some(into) = &job.artifacts_into {
            self.collect(lease, into, &job.limits, outcome).await?;
        }
        Ok(())
    }

    /// Collects what a dead program left: regular files at the top of its folder, within the caps.
    async fn collect(
        &self,
        lease: &Lease,
        into: &Path,
        limits: &Limits,
        outcome: &mut Outcome,
    ) -> Result<(), E2bError> {
        let mut entries = self.client.list_folder(lease.access(), WORK, USER).await?;
        entries.retain(|entry| entry.name != ".keep");
        entries.sort_unstable_by(|left, right| left.name.cmp(&right.name));
        let mut names = ArtifactNames::default();
        let mut room = limits.artifacts_total_bytes;
        for entry in entries {
            let most = limits.artifact_bytes.min(room);
            let refused = if outcome.artifacts.len() >= limits.artifacts as usize {
                Some(format!("more than {} files", limits.artifacts))
            } else if entry.kind != FileKind::File || entry.link_target.is_some() {
                Some("not a regular file".to_owned())
            } else if entry.size > most {
                Some(format!("{} bytes, more than {most}", entry.size))
            } else {
                None
            };
            let reason = match refused {
                Some(reason) => reason,
                None => {
                    let name = names.safe(entry.name.as_bytes());
                    let path = into.join(&name);
                    let from = format!("{WORK}/{}", entry.name);
                    match self
                        .client
                        .download_file(lease.access(), &from, USER, &path, most)
                        .await
                    {
                        Ok(bytes) => {
                            room = room.saturating_sub(bytes);
                            outcome.artifacts.push(Artifact { name, path, bytes });
                            continue;
                        }
                        Err(error @ E2bError::LocalFile { .. }) => return Err(error),
                        Err(error) => error.to_string(),
                    }
                }
            };
            if outcome.rejected.len() < MOST_REJECTED {
                let name = printable(entry.name.as_bytes());
                outcome.rejected.push(RejectedArtifact { name, reason });
            }
        }
        Ok(())
    }
}

/// From the daemon's words for how a process ended, which are Go's.
fn verdict(end: &ProcessEnd) -> Verdict {
    if end.exited {
        return Verdict::Exited { code: end.exit_code };
    }
    let signal = match end
        .status
        .trim_start_matches("signal: ")
        .split(" (")
        .next()
        .unwrap_or_default()
    {
        // The limit's own signal, which the program may not survive.
        "CPU time limit exceeded" => return Verdict::CpuLimit,
        "illegal instruction" => 4,
        "aborted" => 6,
        "bus error" => 7,
        "floating point exception" => 8,
        "segmentation fault" => 11,
        "broken pipe" => 13,
        "terminated" => 15,
        "file size limit exceeded" => 25,
        _ => 9,
    };
    Verdict::Signalled { signal }
}
