use std::time::Duration;

use meterbox_core::contract::Usage;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
/// A limit is enforced within this much.
pub(crate) const GRACE: Duration = Duration::from_secs(1);

/// What one run may use. Exceeding a limit ends the run with that limit's verdict, or makes the call that
/// would exceed it fail inside the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Wall-clock time.
    pub wall: Duration,
    /// Processor time, all threads together; whole seconds, rounded up.
    pub cpu: Duration,
    /// Memory beyond what the prepared interpreter already uses.
    pub memory_bytes: u64,
    /// Threads.
    pub threads: u32,
    /// Open files.
    pub open_files: u32,
    /// Size of one file.
    pub file_bytes: u64,
    /// Size of the scratch folder; counts as memory of the machine.
    pub scratch_bytes: u64,
    /// Files and folders in the scratch folder.
    pub scratch_inodes: u32,
    /// Standard output and error together.
    pub output_bytes: u64,
    /// The reply document.
    pub reply_bytes: u64,
    /// Files collected after the run.
    pub artifacts: u32,
    /// Size of one collected file.
    pub artifact_bytes: u64,
    /// Size of all collected files together.
    pub artifacts_total_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            wall: Duration::from_secs(30),
            cpu: Duration::from_secs(20),
            memory_bytes: 512 * MIB,
            threads: 32,
            open_files: 64,
            file_bytes: 32 * MIB,
            scratch_bytes: 64 * MIB,
            scratch_inodes: 4096,
            output_bytes: MIB,
            reply_bytes: MIB,
            artifacts: 20,
            artifact_bytes: 10 * MIB,
            artifacts_total_bytes: 25 * MIB,
        }
    }
}

impl Limits {
    /// For typing data: minutes, gigabytes and large files instead of seconds and megabytes.
    pub fn for_import() -> Self {
        let gib = 1024 * MIB;
        Self {
            wall: Duration::from_secs(180),
            cpu: Duration::from_secs(180),
            memory_bytes: 4 * gib,
            file_bytes: gib,
            scratch_bytes: gib,
            reply_bytes: 16 * MIB,
            artifacts: 256,
            artifact_bytes: gib,
            artifacts_total_bytes: gib,
            ..Self::default()
        }
    }

    /// The most that a program under these limits uses of processor time and memory, with a second for each limit to
    /// be enforced in.
    pub fn worst_usage(&self) -> Usage {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Usage {
            wall_ms: millis(self.wall.saturating_add(GRACE)),
            cpu_ms: millis(self.cpu.saturating_add(GRACE)),
            peak_memory_bytes: self.memory_bytes,
            output_bytes: self.output_bytes,
        }
    }
}
