use std::{fmt, str::FromStr};

use jiff::{ToSpan, tz::TimeZone};
use meterbox_core::Timestamp;

use crate::BudgetError;

/// How long a limit lasts before it starts afresh. Days and months are those of a calendar in a time zone,
/// whatever clock changes they contain; nothing has to run at their end.
///
/// In text: `lifetime`, `day UTC`, `month Europe/Berlin`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Window {
    /// The limit never starts afresh.
    Lifetime,
    /// A calendar day in this time zone.
    Day(Zone),
    /// A calendar month in this time zone.
    Month(Zone),
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
    pub key: String,
    /// When the next one begins; `None` if never.
    pub resets_at: Option<Timestamp>,
}

impl Window {
    /// Calendar days in this time zone.
    ///
    /// # Errors
    /// [`BudgetError::Invalid`] where the zone is unknown.
    pub fn day(zone: &str) -> Result<Self, BudgetError> {
        Ok(Self::Day(zone.parse()?))
    }

    /// Calendar months in this time zone.
    ///
    /// # Errors
    /// [`BudgetError::Invalid`] where the zone is unknown.
    pub fn month(zone: &str) -> Result<Self, BudgetError> {
        Ok(Self::Month(zone.parse()?))
    }

    /// The period this moment lies in.
    pub fn period_at(&self, now: Timestamp) -> Period {
        match self {
            Self::Lifetime => Period {
                key: "lifetime".to_owned(),
                resets_at: None,
            },
            Self::Day(zone) => {
                let today = now.to_jiff().to_zoned_datetime(zone.zone.clone()).date();
                let next = today.checked_add(1.day()).ok();
                Period {
                    key: format!("{today} {zone}"),
                    resets_at: next.and_then(|day| zone.start_of(day)),
                }
            }
            Self::Month(zone) => {
                let first = now
                    .to_jiff()
                    .to_zoned_datetime(zone.zone.clone())
                    .date()
                    .first_of_month();
                let next = first.checked_add(1.month()).ok();
                let key = format!("{} {zone}", first.strftime("%Y-%m"));
                Period {
                    key,
                    resets_at: next.and_then(|day| zone.start_of(day)),
                }
            }
        }
    }
}

impl Zone {
    /// The first moment of the day; not midnight where clocks skip it.
    fn start_of(&self, day: meterbox_core::Date) -> Option<Timestamp> {
        let start = day
            .to_zoned_datetime(self.zone.clone())
            .ok()?
            .start_of_day()
            .ok()?;
        Some(start.timestamp().into())
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
            Self::Day(zone) => write!(f, "day {zone}"),
            Self::Month(zone) => write!(f, "month {zone}"),
        }
    }
}

impl FromStr for Window {
    type Err = BudgetError;

    fn from_str(text: &str) -> Result<Self, BudgetError> {
        match text.split_once(' ') {
            None if text == "lifetime" => Ok(Self::Lifetime),
            Some(("day", zone)) => Self::day(zone),
            Some(("month", zone)) => Self::month(zone),
            _ => {
                let shown: String = text.chars().take(40).collect();
                Err(BudgetError::Invalid(format!(
                    "{shown:?} is no window; write lifetime, day ZONE or month ZONE"
                )))
            }
        }
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
        for (window, now, key, resets_at) in [
            (
                "month UTC",
                "2026-01-31T23:59:59.999999Z",
                "2026-01 UTC",
                "2026-02-01T00:00:00Z",
            ),
            (
                "month UTC",
                "2026-02-01T00:00:00Z",
                "2026-02 UTC",
                "2026-03-01T00:00:00Z",
            ),
            (
                "month UTC",
                "2024-02-29T12:00:00Z",
                "2024-02 UTC",
                "2024-03-01T00:00:00Z",
            ),
            (
                "month UTC",
                "2026-12-31T12:00:00Z",
                "2026-12 UTC",
                "2027-01-01T00:00:00Z",
            ),
            // Berlin is ahead of UTC, and goes from +2 to +1 within October.
            (
                "month Europe/Berlin",
                "2026-09-30T22:00:00Z",
                "2026-10 Europe/Berlin",
                "2026-10-31T23:00:00Z",
            ),
            // Days of 23 and 25 hours.
            (
                "day Europe/Berlin",
                "2026-03-29T12:00:00Z",
                "2026-03-29 Europe/Berlin",
                "2026-03-29T22:00:00Z",
            ),
            (
                "day Europe/Berlin",
                "2026-10-25T12:00:00Z",
                "2026-10-25 Europe/Berlin",
                "2026-10-25T23:00:00Z",
            ),
            // Clocks skip midnight here: the day begins at one.
            (
                "day America/Santiago",
                "2026-09-05T12:00:00Z",
                "2026-09-05 America/Santiago",
                "2026-09-06T04:00:00Z",
            ),
        ] {
            let period = window.parse::<Window>().unwrap().period_at(at(now));
            assert_eq!(
                (period.key.as_str(), period.resets_at),
                (key, Some(at(resets_at))),
                "{window} {now}"
            );
        }
        assert_eq!(
            Window::Lifetime.period_at(at("2026-01-01T00:00:00Z")).resets_at,
            None
        );
    }

    #[test]
    fn text_round_trips_and_nonsense_is_refused() {
        for text in ["lifetime", "day UTC", "month Europe/Berlin"] {
            assert_eq!(text.parse::<Window>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "month",
            "year UTC",
            "day Mars/Olympus",
            "month ../../etc/passwd",
            "lifetime UTC",
        ] {
            assert!(text.parse::<Window>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_end_of_time_does_not_panic() {
        let last = Timestamp::UNIX_EPOCH.saturating_add(std::time::Duration::MAX);
        for text in ["lifetime", "day UTC", "month Asia/Tokyo"] {
            text.parse::<Window>().unwrap().period_at(last);
        }
    }
}
