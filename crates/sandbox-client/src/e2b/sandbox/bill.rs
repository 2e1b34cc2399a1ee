use std::time::Duration;

use meterbox_core::contract::Usage;

use super::MachineSize;
use crate::{
    SandboxError,
    e2b::{E2bError, control::left_nothing},
};

const MIB: u64 = 1 << 20;

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
    if left_nothing(&error) {
        return error.into();
    }
    SandboxError::Lost {
        message: error.to_string(),
        usage: None,
        source: Some(Box::new(error)),
    }
}
