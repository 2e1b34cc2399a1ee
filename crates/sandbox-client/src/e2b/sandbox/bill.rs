use std::time::Duration;

use meterbox_core::contract::Usage;

use super::MachineSize;
use crate::{
    SandboxError,
    e2b::{E2bError, E2bErrorKind},
};

const MIB: u64 = 1 << 20;
/// Where E2B says that there was no room for a machine, or that it may not be made.
const NOTHING_MADE: [&str; 4] = [
    "sandbox_create_failed",
    "sandbox_create_refused",
    "sandbox_capacity_unavailable",
    "sandbox_no_compatible_node",
];

/// What a machine is billed: all of it, used or not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bill {
    size: MachineSize,
}

impl Bill {
    pub(super) fn new(size: MachineSize) -> Self {
        Self { size }
    }

    /// E2B knows better what it made.
    pub(super) fn correct(&mut self, size: MachineSize) {
        self.size = size;
    }

    pub(super) fn of(&self, time: Duration, output_bytes: u64) -> Usage {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Usage {
            wall_ms: millis,
            cpu_ms: millis.saturating_mul(u64::from(self.size.processors)),
            peak_memory_bytes: self.size.memory_mib.saturating_mul(MIB),
            output_bytes,
        }
    }
}

/// After a machine was made.
pub(super) fn lost(error: E2bError, usage: Usage) -> SandboxError {
    SandboxError::Lost {
        message: error.to_string(),
        usage: Some(usage),
        source: Some(Box::new(error)),
    }
}

/// Unless E2B says that it made nothing, there may be a machine that costs until its time-out.
pub(super) fn not_created(error: E2bError) -> SandboxError {
    if is_nothing_made(&error) {
        return error.into();
    }
    SandboxError::Lost {
        message: error.to_string(),
        usage: None,
        source: Some(Box::new(error)),
    }
}

/// Is it certain that this left no machine?
pub(super) fn is_nothing_made(error: &E2bError) -> bool {
    match error {
        E2bError::Server { code: Some(code), .. } => NOTHING_MADE.contains(&code.as_str()),
        error => matches!(
            error.kind(),
            E2bErrorKind::Unreachable
                | E2bErrorKind::Unauthorized
                | E2bErrorKind::Forbidden
                | E2bErrorKind::NotFound
                | E2bErrorKind::Busy
                | E2bErrorKind::Rejected
                | E2bErrorKind::Invalid
        ),
    }
}
