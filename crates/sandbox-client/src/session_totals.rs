//! What all cells of a session may use together, and what of it is left for the next one.

use std::time::Duration;

use meterbox_core::contract::Usage;

use crate::{Limits, SessionTotal, SessionUsage, limits::GRACE};

/// What a session may use, all of its cells together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionTotals {
    /// Wall-clock time while cells run.
    pub wall: Duration,
    /// Processor time of its process. The kernel enforces it in whole seconds, rounded up.
    pub cpu: Duration,
    /// Standard output and error.
    pub output_bytes: u64,
    /// How many cells.
    pub cells: u32,
    /// How long it may wait for the next cell.
    pub idle: Duration,
    /// From its beginning to its end, whatever happens meanwhile.
    pub life: Duration,
}

impl Default for SessionTotals {
    fn default() -> Self {
        Self {
            wall: Duration::from_secs(300),
            cpu: Duration::from_secs(200),
            output_bytes: 10 << 20,
            cells: 100,
            idle: Duration::from_secs(300),
            life: Duration::from_secs(3600),
        }
    }
}

impl SessionTotals {
    /// The limits of the next cell: of each the smallest of the cell's, the session's, and what is left after this usage
    /// in a session of this age. For back ends.
    ///
    /// # Errors
    /// The total of which nothing is left.
    pub fn left(
        &self,
        session: &Limits,
        cell: &Limits,
        used: &SessionUsage,
        age: Duration,
    ) -> Result<Limits, SessionTotal> {
        let left = |total: Duration, used: Duration, which| {
            let left = total.saturating_sub(used);
            if left.is_zero() { Err(which) } else { Ok(left) }
        };
        if used.cells >= self.cells {
            return Err(SessionTotal::Cells);
        }
        let life = left(self.life, age, SessionTotal::Life)?;
        let running = Duration::from_millis(used.running.wall_ms);
        let wall = left(self.wall, running, SessionTotal::Wall)?;
        let busy = Duration::from_millis(used.running.cpu_ms.saturating_add(used.idle.cpu_ms));
        let cpu = left(self.cpu, busy, SessionTotal::Cpu)?;
        let output = self.output_bytes.saturating_sub(used.running.output_bytes);
        if output == 0 {
            return Err(SessionTotal::Output);
        }
        Ok(Limits {
            wall: cell.wall.min(session.wall).min(wall).min(life),
            cpu: cell.cpu.min(session.cpu).min(cpu),
            memory_bytes: cell.memory_bytes.min(session.memory_bytes),
            output_bytes: cell.output_bytes.min(session.output_bytes).min(output),
            reply_bytes: cell.reply_bytes.min(session.reply_bytes),
            artifacts: cell.artifacts.min(session.artifacts),
            artifact_bytes: cell.artifact_bytes.min(session.artifact_bytes),
            artifacts_total_bytes: cell.artifacts_total_bytes.min(session.artifacts_total_bytes),
            ..session.clone()
        })
    }

    /// The most that a session under these totals and these limits uses: its cells, each with a second for its limits to be
    /// enforced in, and the time that it waits.
    ///
    /// A cell by itself uses no more than the [worst usage](Limits::worst_usage) of its limits.
    pub fn worst_usage(&self, limits: &Limits) -> SessionUsage {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        // What goes beyond a total is what its last cell goes beyond its limits.
        SessionUsage {
            cells: self.cells,
            running: Usage {
                wall_ms: millis(self.wall.saturating_add(GRACE)),
                cpu_ms: millis(self.cpu.saturating_add(GRACE)),
                peak_memory_bytes: limits.memory_bytes,
                output_bytes: self.output_bytes,
            },
            idle: Usage {
                wall_ms: millis(self.life.saturating_add(GRACE)),
                cpu_ms: millis(GRACE),
                peak_memory_bytes: limits.memory_bytes,
                output_bytes: 0,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(cells: u32, wall_ms: u64, cpu_ms: u64, output_bytes: u64) -> SessionUsage {
        SessionUsage {
            cells,
            running: Usage {
                wall_ms,
                cpu_ms,
                output_bytes,
                ..Usage::default()
            },
            idle: Usage::default(),
        }
    }

    #[test]
    fn the_smallest_limit_holds() {
        let totals = SessionTotals::default();
        let session = Limits {
            memory_bytes: 5 << 20,
            threads: 3,
            ..Limits::default()
        };
        let cell = Limits {
            wall: Duration::from_secs(40),
            output_bytes: 7,
            threads: 99,
            ..Limits::default()
        };
        let left = |used, age| totals.left(&session, &cell, &used, age).unwrap();
        let first = left(used(0, 0, 0, 0), Duration::ZERO);
        assert_eq!((first.wall, first.cpu), (session.wall, session.cpu));
        assert_eq!(
            (first.memory_bytes, first.threads, first.output_bytes),
            (5 << 20, 3, 7)
        );
        let late = left(
            used(99, 290_000, 199_500, totals.output_bytes - 3),
            Duration::from_secs(3595),
        );
        assert_eq!(late.wall, Duration::from_secs(5), "it lives no longer");
        assert_eq!((late.cpu, late.output_bytes), (Duration::from_millis(500), 3));
        let later = left(used(99, 299_999, 0, 0), Duration::ZERO);
        assert_eq!(later.wall, Duration::from_millis(1));
    }

    #[test]
    fn a_total_that_is_used_up_is_named() {
        let totals = SessionTotals::default();
        let limits = Limits::default();
        let all = totals.output_bytes;
        for (used, age, total) in [
            (used(100, 0, 0, 0), 0, SessionTotal::Cells),
            (used(0, 300_000, 0, 0), 0, SessionTotal::Wall),
            (used(0, 0, u64::MAX, 0), 0, SessionTotal::Cpu),
            (used(0, 0, 0, all), 0, SessionTotal::Output),
            (used(0, 0, 0, 0), 3600, SessionTotal::Life),
        ] {
            let left = totals.left(&limits, &limits, &used, Duration::from_secs(age));
            assert_eq!(left, Err(total));
        }
    }
}
