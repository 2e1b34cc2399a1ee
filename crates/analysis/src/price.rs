//! What running programs costs, and what a sum of money lets a program use.

use std::{sync::Arc, time::Duration};

use meterbox_core::{
    Timestamp, Usd,
    contract::{CostLine, PriceTag, Usage},
};
use meterbox_price_book::{PriceBook, PriceError, UnitRate};
use meterbox_sandbox_client::{Limits, Sandbox};

const BYTES_PER_GIB: u128 = 1 << 30;
/// Less than this is not worth starting.
const SHORTEST: Duration = Duration::from_secs(1);

/// The price of computing at a moment: of a vCPU-second of processor time and of a GiB-second of memory, counted in
/// microseconds. That of one's own machine is imputed (nobody sends a bill), so that budgets bound it in the same money
/// as everything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComputePrice {
    vcpu: UnitRate,
    gib: UnitRate,
    worst_case: PriceTag,
}

/// Where the price of computing comes from.
#[derive(Debug, Clone)]
pub(crate) struct ComputePrices {
    book: PriceBook,
    place: String,
    /// For a moment that the book has no price for.
    known: ComputePrice,
}

impl ComputePrices {
    /// # Errors
    /// [`PriceError`] where the book has no price of computing there now.
    pub(crate) fn new(book: PriceBook, place: &str, now: Timestamp) -> Result<Self, PriceError> {
        let known = ComputePrice::of(&book, place, now)?;
        Ok(Self {
            book,
            place: place.to_owned(),
            known,
        })
    }

    pub(crate) fn at(&self, now: Timestamp) -> ComputePrice {
        ComputePrice::of(&self.book, &self.place, now).unwrap_or_else(|_| self.known.clone())
    }
}

impl ComputePrice {
    /// What computing costs at this place (`local`, `e2b`) at this moment: the units `sandbox/PLACE/vcpu_second` and
    /// `sandbox/PLACE/gib_second` of the book.
    ///
    /// # Errors
    /// [`PriceError`] where the book does not have them.
    pub fn of(book: &PriceBook, place: &str, at: Timestamp) -> Result<Self, PriceError> {
        Ok(Self {
            vcpu: book.unit(&format!("sandbox/{place}/vcpu_second"), at)?,
            gib: book.unit(&format!("sandbox/{place}/gib_second"), at)?,
            worst_case: book.worst_case_tag(&format!("sandbox/{place}")),
        })
    }

    /// The bill for what a program used; [`Usd::MAX`] is as large as a line gets.
    pub fn lines(&self, purpose: &str, usage: &Usage) -> Vec<CostLine> {
        let vcpu = usage.cpu_ms.saturating_mul(1_000);
        let gib = gib_microseconds(usage.peak_memory_bytes, Duration::from_millis(usage.wall_ms));
        vec![
            line(format!("{purpose}: processor"), vcpu, "vCPU-µs", &self.vcpu),
            line(format!("{purpose}: memory"), gib, "GiB-µs", &self.gib),
        ]
    }
}

/// The price of runs in one sandbox, at one moment.
#[derive(Debug, Clone)]
pub(crate) struct RunPrice {
    pub(crate) sandbox: Arc<dyn Sandbox>,
    compute: ComputePrice,
}

impl RunPrice {
    pub(crate) fn new(sandbox: Arc<dyn Sandbox>, compute: ComputePrice) -> Self {
        Self { sandbox, compute }
    }

    /// The bill for a run under these limits: what it used beyond the worst case, such as time spent on ending it,
    /// is on the house.
    pub(crate) fn bounded_lines(&self, purpose: &str, usage: &Usage, limits: &Limits) -> Vec<CostLine> {
        let most = self.sandbox.worst_usage(limits);
        let bounded = Usage {
            wall_ms: usage.wall_ms.min(most.wall_ms),
            cpu_ms: usage.cpu_ms.min(most.cpu_ms),
            peak_memory_bytes: usage.peak_memory_bytes.min(most.peak_memory_bytes),
            output_bytes: usage.output_bytes,
        };
        self.compute.lines(purpose, &bounded)
    }

    /// The most a run under these limits can cost.
    pub(crate) fn worst_case(&self, limits: &Limits) -> Usd {
        total(&self.compute.lines("", &self.sandbox.worst_usage(limits)))
    }

    /// The line that stands for a run until its use is known.
    pub(crate) fn worst_case_line(&self, purpose: &str, limits: &Limits) -> CostLine {
        CostLine {
            item: format!("{purpose}: worst case"),
            quantity: 1,
            unit: "run".to_owned(),
            amount: self.worst_case(limits),
            estimated: true,
            price: Some(self.compute.worst_case.clone()),
        }
    }

    /// The cost of the shortest run worth starting under these limits: one second.
    pub(crate) fn least(&self, limits: &Limits) -> Usd {
        self.worst_case(&Limits {
            wall: SHORTEST,
            cpu: SHORTEST,
            ..limits.clone()
        })
    }

    /// These limits, with time cut to what the money covers; `None` where it does not cover one second.
    pub(crate) fn limits_within(&self, limits: &Limits, money: Usd) -> Option<Limits> {
        if self.worst_case(limits) <= money {
            return Some(limits.clone());
        }
        let with_time = |seconds: u64| {
            let time = Duration::from_secs(seconds);
            Limits {
                wall: limits.wall.min(time),
                cpu: limits.cpu.min(time),
                ..limits.clone()
            }
        };
        // The largest whole number of seconds that fits, by bisection: the worst case grows with time.
        let mut fits = SHORTEST.as_secs();
        let mut too_long = limits.wall.max(limits.cpu).as_secs().saturating_add(1);
        if self.least(limits) > money {
            return None;
        }
        while too_long - fits > 1 {
            let middle = fits + (too_long - fits) / 2;
            if self.worst_case(&with_time(middle)) <= money {
                fits = middle;
            } else {
                too_long = middle;
            }
        }
        Some(with_time(fits))
    }
}

/// The sum of a bill's lines.
pub(crate) fn total(lines: &[CostLine]) -> Usd {
    lines
        .iter()
        .fold(Usd::ZERO, |sum, line| sum.saturating_add(line.amount))
}

fn line(item: String, quantity: u64, unit: &str, rate: &UnitRate) -> CostLine {
    let amount = rate.price.times(quantity).unwrap_or(Usd::MAX);
    CostLine {
        item,
        quantity,
        unit: unit.to_owned(),
        amount,
        estimated: false,
        price: Some(rate.tag.clone()),
    }
}

fn gib_microseconds(bytes: u64, wall: Duration) -> u64 {
    let byte_micros = u128::from(bytes).saturating_mul(wall.as_micros());
    u64::try_from(byte_micros.div_ceil(BYTES_PER_GIB)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use meterbox_sandbox_client::FakeSandbox;

    use super::*;

    fn usd(text: &str) -> Usd {
        text.parse().unwrap()
    }

    fn price() -> ComputePrice {
        let now = "2026-11-26T12:00:00Z".parse().unwrap();
        ComputePrice::of(&PriceBook::shipped(), "local", now).unwrap()
    }

    /// Of a sandbox that bills what a program uses.
    fn metered() -> RunPrice {
        RunPrice::new(Arc::new(FakeSandbox::new()), price())
    }

    /// Of a sandbox that bills two processors and 2 GiB for two minutes more than the program may take.
    fn by_the_machine() -> RunPrice {
        let sandbox = FakeSandbox::new();
        sandbox.bills_at_most(|limits| {
            let millis = u64::try_from((limits.wall + Duration::from_secs(120)).as_millis()).unwrap();
            Usage {
                wall_ms: millis,
                cpu_ms: 2 * millis,
                peak_memory_bytes: 2 << 30,
                output_bytes: limits.output_bytes,
            }
        });
        RunPrice::new(Arc::new(sandbox), price())
    }

    #[test]
    fn a_second_of_everything_costs_the_list_price() {
        let usage = Usage {
            wall_ms: 1_000,
            cpu_ms: 2_000,
            peak_memory_bytes: 1 << 29,
            output_bytes: 9,
        };
        let lines = price().lines("program", &usage);
        let rates: Vec<_> = lines
            .iter()
            .map(|line| line.price.as_ref().unwrap().rate())
            .collect();
        assert_eq!(rates, ["sandbox/local/vcpu_second", "sandbox/local/gib_second"]);
        assert_eq!(lines[0].amount, usd("0.000028"));
        assert_eq!(lines[1].amount, usd("0.00000225"));
        assert_eq!(total(&lines), usd("0.00003025"));
    }

    #[test]
    fn limits_shrink_to_what_the_money_covers() {
        for price in [metered(), by_the_machine()] {
            let limits = Limits::default();
            let full = price.worst_case(&limits);
            assert_eq!(price.limits_within(&limits, full), Some(limits.clone()));

            for nanos in (0..full.nanos().unsigned_abs()).step_by(9_973) {
                let money = Usd::from_nanos(nanos).unwrap();
                match price.limits_within(&limits, money) {
                    Some(fitting) => assert!(price.worst_case(&fitting) <= money, "{money} buys {fitting:?}"),
                    None => assert!(price.least(&limits) > money),
                }
            }
        }
    }

    #[test]
    fn a_machine_is_held_for_all_of_its_life() {
        let limits = Limits::default();
        // 150 s of two processors and two GiB at E2B's list price.
        assert_eq!(by_the_machine().worst_case(&limits), usd("0.00555"));
        assert_eq!(by_the_machine().least(&limits), usd("0.004477"));
        let used = Usage {
            wall_ms: 10_000,
            cpu_ms: 20_000,
            peak_memory_bytes: 2 << 30,
            output_bytes: 0,
        };
        let lines = by_the_machine().bounded_lines("program", &used, &limits);
        assert_eq!(total(&lines), usd("0.00037"));
    }

    #[test]
    fn no_run_costs_more_than_its_worst_case() {
        let limits = Limits::default();
        let usage = Usage {
            wall_ms: 999_999,
            cpu_ms: 999_999,
            peak_memory_bytes: 1 << 40,
            output_bytes: 0,
        };
        for price in [metered(), by_the_machine()] {
            assert_eq!(
                total(&price.bounded_lines("program", &usage, &limits)),
                price.worst_case(&limits)
            );
        }
    }

    #[test]
    fn absurd_usage_saturates_instead_of_wrapping() {
        let usage = Usage {
            wall_ms: u64::MAX,
            cpu_ms: u64::MAX,
            peak_memory_bytes: u64::MAX,
            output_bytes: 0,
        };
        assert!(total(&price().lines("program", &usage)) > usd("1000"));
    }
}
