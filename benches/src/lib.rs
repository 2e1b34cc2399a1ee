//! What the benchmarks share: figures of many timings, printed in one form.

mod targets;

use std::{fmt, time::Duration};

pub use targets::Targets;

/// Timings of one thing, sorted.
#[derive(Debug)]
pub struct Timings(Vec<Duration>);

impl Timings {
    /// From the timings in any order.
    ///
    /// # Panics
    /// Where there are none.
    pub fn new(mut timings: Vec<Duration>) -> Self {
        assert!(!timings.is_empty(), "nothing was timed");
        timings.sort_unstable();
        Self(timings)
    }

    /// In milliseconds.
    pub fn millis(&self, percent: usize) -> f64 {
        self.percentile(percent).as_secs_f64() * 1e3
    }

    /// The timing that this share of them does not exceed, in percent.
    pub fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0[rank - 1]
    }
}

impl fmt::Display for Timings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "p50 {:>8.1} ms   p95 {:>8.1} ms   n {}",
            self.millis(50),
            self.millis(95),
            self.0.len()
        )
    }
}

/// How busy the machine is: figures mean little without it.
pub fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or("unknown").to_owned()
}

/// Memory of this process that is in use, in megabytes.
pub fn resident_megabytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.unwrap_or_default() / 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_timings() {
        let timings = Timings::new((1..=40).rev().map(Duration::from_millis).collect());
        assert_eq!(timings.percentile(50), Duration::from_millis(20));
        assert_eq!(timings.percentile(95), Duration::from_millis(38));
        assert_eq!(Timings::new(vec![Duration::ZERO]).percentile(50), Duration::ZERO);
    }
}
