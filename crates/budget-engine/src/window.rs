//! When a limit starts afresh. Nothing has to run at the end of a period: what is spent is kept under the name
//! of its period, and a new period simply has another name.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use jiff::{ToSpan, civil, tz::TimeZone};
use meterbox_core::Timestamp;

use crate::BudgetError;

/// A rolling window is counted in this many pieces.
const PIECES: u64 = 60;
const SHORTEST_ROLLING: Duration = Duration::from_secs(60);
const LONGEST_ROLLING: Duration = Duration::from_secs(366 * 24 * 60 * 60);
const ROLLING: &str = "rolling ";

/// How long a limit lasts before it starts afresh.
///
/// In text: `lifetime`, `month Europe/Berlin` (any [`Unit`] and an IANA time zone), `rolling 24h` (a whole
/// number of `s`, `m`, `h` or `d`).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Window {
    /// The limit never starts afresh.
    Lifetime,
    /// A unit of the calendar in a time zone, whatever clock changes it contains.
    Calendar(Unit, Zone),
    /// What was spent in the time just past, from one minute to 366 days; counted in sixty pieces, and a piece
    /// counts until all of it is past, so that the limit holds for every such stretch of time.
    Rolling(Duration),
}

/// A unit of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unit {
    /// A minute.
    Minute,
    /// An hour; one that the clocks repeat is two.
    Hour,
    /// A day, of 23 to 25 hours.
    Day,
    /// A week, from Monday.
    Week,
    /// A month.
    Month,
    /// Three months, from January.
    Quarter,
    /// A year.
    Year,
}

/// A time zone of the IANA database, such as `Europe/Berlin`.
#[derive(Clone, PartialEq, Eq)]
pub struct Zone {
    name: String,
    zone: TimeZone,
}

/// One stretch of a window: what is spent in it counts together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    /// Names the period; the same in every process at every moment of it.
    pub key: Arc<str>,
    /// Its first moment; `None` if it has none.
    pub starts_at: Option<Timestamp>,
    /// When the next one begins; `None` if never.
    pub resets_at: Option<Timestamp>,
}

impl Window {
    /// A unit of the calendar in this time zone.
    ///
    /// # Errors
    /// [`BudgetError::Invalid`] where the zone is unknown.
    pub fn calendar(unit: Unit, zone: &str) -> Result<Self, BudgetError> {
        Ok(Self::Calendar(unit, zone.parse()?))
    }

    /// Calendar days in this time zone.
    ///
    /// # Errors
    /// As [`Window::calendar`].
    pub fn day(zone: &str) -> Result<Self, BudgetError> {
        Self::calendar(Unit::Day, zone)
    }

    /// Calendar months in this time zone.
    ///
    /// # Errors
    /// As [`Window::calendar`].
    pub fn month(zone: &str) -> Result<Self, BudgetError> {
        Self::calendar(Unit::Month, zone)
    }

    /// The time just past, of this length; whole seconds count.
    ///
    /// # Errors
    /// [`BudgetError::Invalid`] where it is shorter than a minute or longer than 366 days.
    pub fn rolling(length: Duration) -> Result<Self, BudgetError> {
        let length = Duration::from_secs(length.as_secs());
        if length < SHORTEST_ROLLING || length > LONGEST_ROLLING {
            let message = "a rolling window is a minute to 366 days long, such as rolling 24h".to_owned();
            return Err(BudgetError::Invalid(message));
        }
        Ok(Self::Rolling(length))
    }

    /// The period this moment lies in.
    pub fn period_at(&self, now: Timestamp) -> Period {
        match self {
            Self::Lifetime | Self::Rolling(_) => Period {
                key: self.to_string().into(),
                starts_at: None,
                resets_at: None,
            },
            Self::Calendar(Unit::Minute, zone) => zone.stretch_at(now, 60, "%Y-%m-%dT%H:%M%:z"),
            Self::Calendar(Unit::Hour, zone) => zone.stretch_at(now, 3_600, "%Y-%m-%dT%H%:z"),
            Self::Calendar(unit, zone) => zone.days_at(now, *unit),
        }
    }

    /// The period just before this one, where there is one.
    pub(crate) fn period_before(&self, period: &Period) -> Option<Period> {
        let start = period.starts_at?;
        let just_before = Timestamp::from_micros(start.as_micros().checked_sub(1)?)?;
        Some(self.period_at(just_before))
    }
}

impl Period {
    /// Is this moment one of it?
    pub fn contains(&self, at: Timestamp) -> bool {
        self.starts_at.is_none_or(|start| start <= at) && self.resets_at.is_none_or(|end| at < end)
    }

    /// When what is spent in it has no more bearing on its own window.
    pub(crate) fn ends_at(&self) -> Timestamp {
        self.resets_at.unwrap_or(Timestamp::MAX)
    }
}

/// A piece of a rolling window: what is spent in it leaves the window together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) key: Arc<str>,
    /// When all of it is out of the window.
    pub(crate) ends_at: Timestamp,
}

/// Where spending at this moment counts, if this is the name of a rolling window's period.
pub(crate) fn piece_at(period: &str, at: Timestamp) -> Option<Piece> {
    let length = rolling_length(period)?;
    let length = u64::try_from(length.as_micros()).ok()?;
    let piece = i64::try_from(length.div_ceil(PIECES)).ok()?;
    let start = at.as_micros().div_euclid(piece).saturating_mul(piece);
    let end = start.saturating_add(piece);
    let leaves = end.saturating_add_unsigned(length);
    let start = Timestamp::from_micros(start)?;
    Some(Piece {
        key: format!("{period}@{start}").into(),
        ends_at: Timestamp::from_micros(leaves).unwrap_or(Timestamp::MAX),
    })
}

fn rolling_length(period: &str) -> Option<Duration> {
    let text = period.strip_prefix(ROLLING)?;
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let number: u64 = number.parse().ok().filter(|_| !number.starts_with('+'))?;
    Some(Duration::from_secs(number.checked_mul(seconds)?))
}

impl Zone {
    /// A day, week, month, quarter or year of its calendar.
    fn days_at(&self, now: Timestamp, unit: Unit) -> Period {
        let today = now.to_jiff().to_zoned_datetime(self.zone.clone()).date();
        let (first, length, key) = match unit {
            Unit::Week => {
                let week = today.iso_week_date();
                let days = week.weekday().to_monday_zero_offset();
                let first = today.checked_sub(days.days()).unwrap_or(today);
                (first, 1.week(), format!("{}-W{:02}", week.year(), week.week()))
            }
            Unit::Month => {
                let first = today.first_of_month();
                (first, 1.month(), first.strftime("%Y-%m").to_string())
            }
            Unit::Quarter => {
                let (quarter, first_month) = match today.month() {
                    1..=3 => (1, 1),
                    4..=6 => (2, 4),
                    7..=9 => (3, 7),
                    _ => (4, 10),
                };
                let first = civil::Date::new(today.year(), first_month, 1).unwrap_or(today);
                (first, 3.months(), format!("{}-Q{quarter}", today.year()))
            }
            Unit::Year => (today.first_of_year(), 1.year(), today.year().to_string()),
            _ => (today, 1.day(), today.to_string()),
        };
        Period {
            key: format!("{key} {self}").into(),
            starts_at: self.start_of(first),
            resets_at: first.checked_add(length).ok().and_then(|day| self.start_of(day)),
        }
    }

    /// A minute or an hour. Its name has the offset, so that an hour the clocks repeat is two.
    fn stretch_at(&self, now: Timestamp, seconds: i64, format: &str) -> Period {
        let zoned = now.to_jiff().to_zoned_datetime(self.zone.clone());
        let offset = i64::from(zoned.offset().seconds());
        let second = now.as_micros().div_euclid(1_000_000);
        let local = second.saturating_add(offset);
        let start = local
            .div_euclid(seconds)
            .saturating_mul(seconds)
            .saturating_sub(offset);
        let at = |second: i64| Timestamp::from_micros(second.saturating_mul(1_000_000));
        // A change of the clocks within it begins another stretch.
        let just_after = now.saturating_add(Duration::from_micros(1)).to_jiff();
        let moment = |change: jiff::tz::TimeZoneTransition<'_>| Timestamp::from(change.timestamp());
        let changed = self.zone.preceding(just_after).next().map(moment);
        let changes = self.zone.following(now.to_jiff()).next().map(moment);
        let starts_at = at(start).max(changed);
        let ends = at(start.saturating_add(seconds));
        Period {
            key: format!("{} {self}", zoned.strftime(format)).into(),
            starts_at,
            resets_at: match (ends, changes) {
                (Some(end), Some(change)) => Some(end.min(change)),
                (end, _) => end,
            },
        }
    }

    /// The first moment of the day; not midnight where clocks skip it.
    fn start_of(&self, day: civil::Date) -> Option<Timestamp> {
        let start = day
            .to_zoned_datetime(self.zone.clone())
            .ok()?
            .start_of_day()
            .ok()?;
        Some(start.timestamp().into())
    }
}

impl Unit {
    const ALL: [Self; 7] = [
        Self::Minute,
        Self::Hour,
        Self::Day,
        Self::Week,
        Self::Month,
        Self::Quarter,
        Self::Year,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Year => "year",
        }
    }
}

impl FromStr for Zone {
    type Err = BudgetError;

    fn from_str(name: &str) -> Result<Self, BudgetError> {
        let zone = TimeZone::get(name).map_err(|_| {
            let shown: String = name.chars().take(40).collect();
            BudgetError::Invalid(format!(
                "{shown:?} is no known time zone; use a name such as Europe/Berlin or UTC"
            ))
        })?;
        // The database's own spelling, so that one zone has one name.
        let name = zone.iana_name().unwrap_or(name).to_owned();
        Ok(Self { name, zone })
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lifetime => f.write_str("lifetime"),
            Self::Calendar(unit, zone) => write!(f, "{} {zone}", unit.as_str()),
            Self::Rolling(length) => {
                let seconds = length.as_secs();
                let whole = |unit: u64| {
                    seconds
                        .is_multiple_of(unit)
                        .then(|| seconds.checked_div(unit))
                        .flatten()
                };
                let (number, unit) = [(86_400, 'd'), (3_600, 'h'), (60, 'm')]
                    .into_iter()
                    .find_map(|(length, unit)| whole(length).map(|number| (number, unit)))
                    .unwrap_or((seconds, 's'));
                write!(f, "{ROLLING}{number}{unit}")
            }
        }
    }
}

impl FromStr for Window {
    type Err = BudgetError;

    fn from_str(text: &str) -> Result<Self, BudgetError> {
        if text == "lifetime" {
            return Ok(Self::Lifetime);
        }
        if let Some(length) = rolling_length(text) {
            return Self::rolling(length);
        }
        let named = text.split_once(' ').and_then(|(name, zone)| {
            let unit = Unit::ALL.into_iter().find(|unit| unit.as_str() == name)?;
            Some((unit, zone))
        });
        let Some((unit, zone)) = named else {
            let shown: String = text.chars().take(40).collect();
            return Err(BudgetError::Invalid(format!(
                "{shown:?} is no window; write lifetime, month ZONE (or minute, hour, day, week, quarter, year), \
                 or rolling 24h"
            )));
        };
        Self::calendar(unit, zone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn periods_follow_the_calendar_of_the_zone() {
        for (window, now, key, starts_at, resets_at) in [
            (
                "month UTC",
                "2026-01-31T23:59:59.999999Z",
                "2026-01 UTC",
                "2026-01-01T00:00:00Z",
                "2026-02-01T00:00:00Z",
            ),
            (
                "month UTC",
                "2026-02-01T00:00:00Z",
                "2026-02 UTC",
                "2026-02-01T00:00:00Z",
                "2026-03-01T00:00:00Z",
            ),
            (
                "month UTC",
                "2024-02-29T12:00:00Z",
                "2024-02 UTC",
                "2024-02-01T00:00:00Z",
                "2024-03-01T00:00:00Z",
            ),
            (
                "month UTC",
                "2026-12-31T12:00:00Z",
                "2026-12 UTC",
                "2026-12-01T00:00:00Z",
                "2027-01-01T00:00:00Z",
            ),
            (
                "quarter UTC",
                "2026-05-31T12:00:00Z",
                "2026-Q2 UTC",
                "2026-04-01T00:00:00Z",
                "2026-07-01T00:00:00Z",
            ),
            (
                "year Asia/Tokyo",
                "2026-12-31T15:00:00Z",
                "2027 Asia/Tokyo",
                "2026-12-31T15:00:00Z",
                "2027-12-31T15:00:00Z",
            ),
            // The first days of 2027 belong to the last week of 2026.
            (
                "week UTC",
                "2027-01-03T12:00:00Z",
                "2026-W53 UTC",
                "2026-12-28T00:00:00Z",
                "2027-01-04T00:00:00Z",
            ),
            // Berlin is ahead of UTC, and goes from +2 to +1 within October.
            (
                "month Europe/Berlin",
                "2026-09-30T22:00:00Z",
                "2026-10 Europe/Berlin",
                "2026-09-30T22:00:00Z",
                "2026-10-31T23:00:00Z",
            ),
            // Days of 23 and 25 hours, and a week of 167.
            (
                "day Europe/Berlin",
                "2026-03-29T12:00:00Z",
                "2026-03-29 Europe/Berlin",
                "2026-03-28T23:00:00Z",
                "2026-03-29T22:00:00Z",
            ),
            (
                "day Europe/Berlin",
                "2026-10-25T12:00:00Z",
                "2026-10-25 Europe/Berlin",
                "2026-10-24T22:00:00Z",
                "2026-10-25T23:00:00Z",
            ),
            (
                "week Europe/Berlin",
                "2026-03-29T12:00:00Z",
                "2026-W13 Europe/Berlin",
                "2026-03-22T23:00:00Z",
                "2026-03-29T22:00:00Z",
            ),
            // Clocks skip midnight here: the day begins at one.
            (
                "day America/Santiago",
                "2026-09-05T12:00:00Z",
                "2026-09-05 America/Santiago",
                "2026-09-05T04:00:00Z",
                "2026-09-06T04:00:00Z",
            ),
            // The hour that the clocks repeat is two, and the one they skip is none.
            (
                "hour Europe/Berlin",
                "2026-10-25T00:30:00Z",
                "2026-10-25T02+02:00 Europe/Berlin",
                "2026-10-25T00:00:00Z",
                "2026-10-25T01:00:00Z",
            ),
            (
                "hour Europe/Berlin",
                "2026-10-25T01:30:00Z",
                "2026-10-25T02+01:00 Europe/Berlin",
                "2026-10-25T01:00:00Z",
                "2026-10-25T02:00:00Z",
            ),
            (
                "hour Europe/Berlin",
                "2026-03-29T01:30:00Z",
                "2026-03-29T03+02:00 Europe/Berlin",
                "2026-03-29T01:00:00Z",
                "2026-03-29T02:00:00Z",
            ),
            // Nepal is 5 h 45 min ahead; Lord Howe's clocks go back by half an hour.
            (
                "hour Asia/Kathmandu",
                "2026-01-01T00:30:00Z",
                "2026-01-01T06+05:45 Asia/Kathmandu",
                "2026-01-01T00:15:00Z",
                "2026-01-01T01:15:00Z",
            ),
            (
                "hour Australia/Lord_Howe",
                "2026-04-04T14:50:00Z",
                "2026-04-05T01+11:00 Australia/Lord_Howe",
                "2026-04-04T14:00:00Z",
                "2026-04-04T15:00:00Z",
            ),
            (
                "hour Australia/Lord_Howe",
                "2026-04-04T15:10:00Z",
                "2026-04-05T01+10:30 Australia/Lord_Howe",
                "2026-04-04T15:00:00Z",
                "2026-04-04T15:30:00Z",
            ),
            (
                "minute UTC",
                "2026-01-01T00:00:59.5Z",
                "2026-01-01T00:00+00:00 UTC",
                "2026-01-01T00:00:00Z",
                "2026-01-01T00:01:00Z",
            ),
        ] {
            let period = window.parse::<Window>().unwrap().period_at(at(now));
            assert_eq!(
                (&*period.key, period.starts_at, period.resets_at),
                (key, Some(at(starts_at)), Some(at(resets_at))),
                "{window} {now}"
            );
        }
        let for_ever = Window::Lifetime.period_at(at("2026-01-01T00:00:00Z"));
        assert_eq!((for_ever.starts_at, for_ever.resets_at), (None, None));
    }

    #[test]
    fn periods_join_without_gap_or_overlap() {
        for zone in [
            "UTC",
            "Europe/Berlin",
            "America/Santiago",
            "Australia/Lord_Howe",
            "Africa/Casablanca",
        ] {
            for unit in Unit::ALL {
                let window = Window::calendar(unit, zone).unwrap();
                // From a little before a change of the clocks, through it.
                for from in [
                    "2026-04-04T13:30:00Z",
                    "2026-10-24T23:10:00Z",
                    "2026-03-28T23:40:00Z",
                ] {
                    let mut period = window.period_at(at(from));
                    for _ in 0..50 {
                        let end = period.resets_at.unwrap();
                        let last = Timestamp::from_micros(end.as_micros() - 1).unwrap();
                        assert_eq!(window.period_at(period.starts_at.unwrap()), period, "{window}");
                        assert_eq!(window.period_at(last), period, "{window}");
                        let next = window.period_at(end);
                        assert_eq!(next.starts_at, Some(end), "{window} {period:?}");
                        assert_ne!(next.key, period.key);
                        assert_eq!(window.period_before(&next).as_ref(), Some(&period));
                        period = next;
                    }
                }
            }
        }
    }

    #[test]
    fn a_rolling_window_is_cut_into_pieces() {
        let hour = "rolling 1h";
        let piece = piece_at(hour, at("2026-01-01T00:00:59Z")).unwrap();
        assert_eq!(&*piece.key, "rolling 1h@2026-01-01T00:00:00Z");
        assert_eq!(piece.ends_at, at("2026-01-01T01:01:00Z"));
        assert_ne!(piece_at(hour, at("2026-01-01T00:01:00Z")).unwrap(), piece);
        assert_eq!(piece_at("2026-01 UTC", at("2026-01-01T00:00:59Z")), None);
    }

    #[test]
    fn text_round_trips_and_nonsense_is_refused() {
        for text in [
            "lifetime",
            "day UTC",
            "month Europe/Berlin",
            "minute UTC",
            "quarter UTC",
            "rolling 24h",
            "rolling 90s",
            "rolling 366d",
        ] {
            let window: Window = text.parse().unwrap();
            assert_eq!(window.to_string().parse::<Window>().unwrap(), window);
        }
        assert_eq!("rolling 24h".parse::<Window>().unwrap().to_string(), "rolling 1d");
        for text in [
            "",
            "month",
            "century UTC",
            "day Mars/Olympus",
            "month ../../etc/passwd",
            "lifetime UTC",
            "rolling",
            "rolling 1s",
            "rolling 367d",
            "rolling -1h",
            "rolling +1h",
            "rolling 1.5h",
            "rolling 99999999999999999999d",
            "rolling h",
            "rolling 1ä",
        ] {
            assert!(text.parse::<Window>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_end_of_time_does_not_panic() {
        for text in [
            "lifetime",
            "minute UTC",
            "hour UTC",
            "day UTC",
            "week UTC",
            "month Asia/Tokyo",
            "year UTC",
            "rolling 1m",
        ] {
            let window = text.parse::<Window>().unwrap();
            let first = Timestamp::from_micros(jiff::Timestamp::MIN.as_microsecond()).unwrap();
            for at in [first, Timestamp::MAX] {
                let period = window.period_at(at);
                piece_at(&period.key, at);
                window.period_before(&period);
            }
        }
    }
}
