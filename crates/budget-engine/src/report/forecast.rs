//! How fast money goes, where that leads, and whether it just became faster.

use std::time::Duration;

use meterbox_core::{Scope, Timestamp, Usd};
use serde::Serialize;

use crate::{BudgetEngine, BudgetError, BudgetStatus};

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const LONGEST: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);

/// What a forecast goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForecastOptions {
    /// The rate is what was spent in this time just past; a day by default.
    pub last: Duration,
    /// How far to project; to the end of the budget's period by default.
    pub horizon: Option<Duration>,
    /// What counts as just now for a spike; 15 minutes by default.
    pub spike_window: Duration,
    /// The time before the spike window that it is compared with; a day by default.
    pub spike_baseline: Duration,
    /// From this multiple of the baseline's rate on it is a spike; 3 by default.
    pub spike_factor: u32,
    /// Less than this in the spike window is never a spike; $0.10 by default.
    pub spike_minimum: Usd,
}

/// How fast money of a scope goes and where that leads, if it goes on so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Forecast {
    /// Where the budget stands now.
    pub status: BudgetStatus,
    /// Since when the rate is measured.
    pub since: Timestamp,
    /// What was spent since then.
    pub recent: Usd,
    /// The same per hour, rounded down to the nano-dollar.
    pub per_hour: Usd,
    /// The moment projected to: the end of the period, or the horizon asked for. `None` where the period has no end
    /// and no horizon was asked for.
    pub until: Option<Timestamp>,
    /// What will be spent by then: `spent + recent * (until - now) / (now - since)`, rounded up to the nano-dollar.
    pub projected: Option<Usd>,
    /// When the limit will be reached, `now + (limit - spent) * (now - since) / recent`, if that is before the period
    /// ends; now, where it is reached already.
    pub limit_reached_at: Option<Timestamp>,
    /// Did spending just become faster?
    pub spike: Spike,
}

/// Spending just now against the time before.
///
/// It is a spike where `recent >= minimum` and `recent / window >= factor * baseline / baseline time`. Compared
/// without division, as `recent * baseline time >= factor * baseline * window`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Spike {
    /// Is it one?
    pub is_spike: bool,
    /// What was spent in the window just past.
    pub recent: Usd,
    /// What was spent in the time before.
    pub baseline: Usd,
    /// What the window would have cost at the rate of the time before, rounded down to the nano-dollar.
    pub expected: Usd,
}

impl Default for ForecastOptions {
    fn default() -> Self {
        Self {
            last: DAY,
            horizon: None,
            spike_window: Duration::from_secs(15 * 60),
            spike_baseline: DAY,
            spike_factor: 3,
            spike_minimum: Usd::from_nanos(100_000_000).unwrap_or(Usd::ZERO),
        }
    }
}

impl ForecastOptions {
    fn check(&self) -> Result<(), BudgetError> {
        let times = [self.last, self.spike_window, self.spike_baseline];
        let is_wrong = |time: &Duration| time.is_zero() || *time > LONGEST;
        if times.iter().chain(&self.horizon).any(is_wrong) || self.spike_factor == 0 {
            let message = "a forecast goes by times of more than nothing and at most ten years, and by a factor of \
                           at least 1";
            return Err(BudgetError::Invalid(message.to_owned()));
        }
        Ok(())
    }
}

impl BudgetEngine {
    /// How fast money of this scope goes, where that leads by the end of the period, and whether it just became
    /// faster. Spending counts when it was done, not when it was booked or corrected.
    ///
    /// Two things to know: a scope whose spending began within [`ForecastOptions::last`] seems slower than it is, and
    /// of a rolling window nothing is taken to leave, so that the forecast is the worst there can be.
    ///
    /// # Errors
    /// [`BudgetError::NoBudget`] where no budget applies; [`BudgetError::Invalid`] for a wildcard or times of nothing;
    /// store errors.
    pub async fn forecast(&self, scope: &Scope, options: ForecastOptions) -> Result<Forecast, BudgetError> {
        options.check()?;
        let status = self.status(scope).await?;
        let now = self.now();
        // What happens at this very moment is in.
        let end = now.saturating_add(Duration::from_micros(1));
        let between =
            async |from, to| Ok::<_, BudgetError>(money(self.store().spending(scope, from, to).await?));

        let since = before(now, options.last);
        let spike_since = before(now, options.spike_window);
        let recent = between(since, end).await?;
        let spiking = between(spike_since, end).await?;
        let baseline = between(before(spike_since, options.spike_baseline), spike_since).await?;
        Ok(project(
            now,
            status,
            recent,
            &options,
            spike(spiking, baseline, &options),
        ))
    }
}

fn project(
    now: Timestamp,
    status: BudgetStatus,
    recent: Usd,
    options: &ForecastOptions,
    spike: Spike,
) -> Forecast {
    let horizon = options.horizon.map(|horizon| now.saturating_add(horizon));
    let until = horizon.or(status.resets_at);
    let projected = until.map(|until| {
        let more = scaled_up(recent, until.duration_since(now), options.last);
        status.spent.saturating_add(more)
    });
    Forecast {
        since: before(now, options.last),
        per_hour: scaled(recent, HOUR, options.last),
        limit_reached_at: limit_reached_at(now, &status, recent, options.last),
        recent,
        until,
        projected,
        spike,
        status,
    }
}

fn limit_reached_at(now: Timestamp, status: &BudgetStatus, recent: Usd, last: Duration) -> Option<Timestamp> {
    let left = status.limit.saturating_sub(status.spent);
    if left.is_zero() {
        return Some(now);
    }
    let wait = nanos(left)
        .checked_mul(micros(last))?
        .checked_div(nanos(recent))?;
    let wait = Duration::from_micros(u64::try_from(wait).ok()?);
    let at = now.saturating_add(wait);
    let is_in_time = at < status.resets_at.unwrap_or(Timestamp::MAX);
    is_in_time.then_some(at)
}

fn spike(recent: Usd, baseline: Usd, options: &ForecastOptions) -> Spike {
    let (window, before) = (options.spike_window, options.spike_baseline);
    let now = nanos(recent).saturating_mul(micros(before));
    let usual = nanos(baseline).saturating_mul(micros(window));
    Spike {
        is_spike: !recent.is_zero()
            && recent >= options.spike_minimum
            && now >= usual.saturating_mul(options.spike_factor.into()),
        recent,
        baseline,
        expected: scaled(baseline, window, before),
    }
}

/// `amount * part / whole`, rounded down; [`Usd::MAX`] is as large as it gets.
fn scaled(amount: Usd, part: Duration, whole: Duration) -> Usd {
    let product = nanos(amount).saturating_mul(micros(part));
    usd(product.checked_div(micros(whole)).unwrap_or_default())
}

/// The same, rounded up.
fn scaled_up(amount: Usd, part: Duration, whole: Duration) -> Usd {
    let whole = micros(whole);
    let product = nanos(amount).saturating_mul(micros(part));
    let rounded = product.saturating_add(whole.saturating_sub(1));
    usd(rounded.checked_div(whole).unwrap_or_default())
}

fn nanos(amount: Usd) -> i128 {
    amount.nanos().into()
}

fn micros(time: Duration) -> i128 {
    i128::try_from(time.as_micros()).unwrap_or(i128::MAX)
}

fn usd(nanos: i128) -> Usd {
    let nanos = u64::try_from(nanos.max(0)).unwrap_or(u64::MAX);
    Usd::from_nanos(nanos).unwrap_or(Usd::MAX)
}

/// A correction without what it corrects could fall below zero only in a ledger that `verify` complains about.
fn money(nanos: i64) -> Usd {
    usd(nanos.into())
}

fn before(at: Timestamp, time: Duration) -> Timestamp {
    let micros = i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
    let earlier = at.as_micros().saturating_sub(micros);
    Timestamp::from_micros(earlier).unwrap_or(Timestamp::UNIX_EPOCH)
}
