//! Points in time, and where they come from.

use std::{
    fmt,
    str::FromStr,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use serde::{Deserialize, Serialize};

/// A point in time, whole microseconds since 1970-01-01T00:00:00Z; RFC 3339 in text and JSON.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Timestamp(i64);

/// The text is not an RFC 3339 point in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a point in time; write it like 2026-01-31T12:00:00Z")]
pub struct InvalidTimestamp;

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const UNIX_EPOCH: Self = Self(0);
    /// The end of the year 9999, as far as calendars here go.
    pub const MAX: Self = Self(253_402_207_200_000_000);

    /// The point this many microseconds after (or before) 1970; `None` outside the years -9999 to 9999.
    pub fn from_micros(micros: i64) -> Option<Self> {
        jiff::Timestamp::from_microsecond(micros)
            .is_ok()
            .then_some(Self(micros))
    }

    /// Microseconds since 1970.
    #[inline]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// This point moved later, stopping at the end of the year 9999.
    #[must_use]
    #[inline]
    pub fn saturating_add(self, duration: Duration) -> Self {
        // Whole seconds and the rest apart: a product of 64 bits is enough of a time that can be represented.
        let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        let micros = seconds
            .saturating_mul(1_000_000)
            .saturating_add(i64::from(duration.subsec_micros()));
        Self(self.0.saturating_add(micros).min(Self::MAX.0))
    }

    /// How long after `earlier` this point is; zero where it is not after it.
    #[inline]
    pub fn duration_since(self, earlier: Self) -> Duration {
        let micros = self.0.saturating_sub(earlier.0).max(0);
        Duration::from_micros(micros.unsigned_abs())
    }

    /// The same point for calendar arithmetic.
    pub fn to_jiff(self) -> jiff::Timestamp {
        // In range by construction.
        jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }
}

impl From<jiff::Timestamp> for Timestamp {
    fn from(timestamp: jiff::Timestamp) -> Self {
        Self(timestamp.as_microsecond())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_jiff().fmt(f)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        text.parse::<jiff::Timestamp>()
            .map(Self::from)
            .map_err(|_| InvalidTimestamp)
    }
}

impl From<Timestamp> for String {
    fn from(timestamp: Timestamp) -> Self {
        timestamp.to_string()
    }
}

impl TryFrom<String> for Timestamp {
    type Error = InvalidTimestamp;

    fn try_from(text: String) -> Result<Self, InvalidTimestamp> {
        text.parse()
    }
}

#[cfg(feature = "schemars")]
impl schemars::JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time" })
    }
}

/// Where time comes from. Cores take `now` as a parameter; facades hold a clock.
pub trait Clock: Send + Sync + fmt::Debug + 'static {
    /// Wall-clock time: what is stored, and what calendar windows are cut by. May jump.
    fn now(&self) -> Timestamp;

    /// Time since some fixed point, never going back: what durations are measured by.
    fn monotonic(&self) -> Duration;
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }

    fn monotonic(&self) -> Duration {
        (**self).monotonic()
    }
}

/// The machine's own clocks.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    started: Instant,
}

impl Default for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the machine's clocks"
    )]
    fn default() -> Self {
        Self {
            started: Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the machine's clocks"
    )]
    fn now(&self) -> Timestamp {
        let micros = |since: Duration| i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
        match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => Timestamp(micros(after).min(Timestamp::MAX.0)),
            Err(before) => Timestamp(micros(before.duration()).saturating_neg()),
        }
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips_and_differences_saturate() {
        let early: Timestamp = "2026-01-31T12:00:00.000001Z".parse().unwrap();
        assert_eq!(early.to_string().parse::<Timestamp>().unwrap(), early);
        let later = early.saturating_add(Duration::from_secs(3));
        assert_eq!(later.duration_since(early), Duration::from_secs(3));
        assert_eq!(early.duration_since(later), Duration::ZERO);
        assert_eq!(Timestamp::from_micros(i64::MAX), None);
        assert_eq!(
            Timestamp::from_micros(Timestamp::MAX.as_micros()),
            Some(Timestamp::MAX)
        );
        assert!(Timestamp::MAX.duration_since(later) > Duration::from_secs(7_900 * 365 * 86_400));
        assert!(early.saturating_add(Duration::MAX) > later);
        assert!("yesterday".parse::<Timestamp>().is_err());
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the machine's clock is what is tested")]
    fn the_machines_clock_is_read_as_calendars_read_it() {
        let before = Timestamp::from(jiff::Timestamp::now());
        let now = SystemClock::default().now();
        assert!(before <= now && now <= jiff::Timestamp::now().into());
    }
}
