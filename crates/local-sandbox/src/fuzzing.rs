//! The two readers of what a program made, for this crate's own fuzzers and property tests.

use std::{io, os::fd::BorrowedFd, path::Path};

use meterbox_sandbox_client::{Artifact, Limits, RejectedArtifact, Reply, parse_reply};

use crate::artifacts;

/// A reply as a run's end reads it.
///
/// # Errors
/// Why it is none.
pub fn read_reply(bytes: &[u8]) -> Result<Option<Reply>, String> {
    parse_reply(bytes)
}

/// Files as a run's end collects them: those that were kept, and those that were not.
///
/// # Errors
/// Where the folder to collect into does not take them.
pub fn collect(
    from: BorrowedFd<'_>,
    into: &Path,
    limits: &Limits,
) -> io::Result<(Vec<Artifact>, Vec<RejectedArtifact>)> {
    let collected = artifacts::collect(from, into, limits)?;
    Ok((collected.kept, collected.rejected))
}
