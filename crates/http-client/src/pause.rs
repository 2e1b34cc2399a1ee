//! When a server wishes to be asked again.

use std::time::Duration;

use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};
use reqwest::header::{HeaderMap, HeaderValue};

/// Longer than anybody waits.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The pause that a reply asks for: `retry-after-ms`, or `retry-after` in seconds, whole or not, or as a date, which
/// counts from the reply's own `date`. What cannot be read is as if it were not there.
pub fn asked_pause(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    if let Some(pause) = text("retry-after-ms").and_then(|text| seconds(text, 1_000.0)) {
        return Some(pause);
    }
    let wish = text("retry-after")?;
    if let Some(pause) = seconds(wish, 1.0) {
        return Some(pause);
    }
    let (until, from) = (date(wish)?, date(text("date")?)?);
    let pause = Duration::try_from(until.duration_since(from)).unwrap_or_default();
    Some(pause.min(LONGEST))
}

fn seconds(text: &str, a_second_is: f64) -> Option<Duration> {
    let number = text.trim().parse().ok().filter(|number: &f64| *number >= 0.0)?;
    let seconds = (number / a_second_is).min(LONGEST.as_secs_f64());
    Duration::try_from_secs_f64(seconds).ok()
}

fn date(text: &str) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(text.trim()).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(pairs: &[(&'static str, &str)]) -> Option<Duration> {
        let pairs = pairs
            .iter()
            .filter_map(|(name, value)| Some(((*name).parse().ok()?, HeaderValue::from_str(value).ok()?)));
        asked_pause(&pairs.collect::<HeaderMap>())
    }

    #[test]
    fn milliseconds_come_first_then_seconds_then_dates() {
        let now = ("date", "Thu, 26 Nov 2026 07:00:00 GMT");
        for (headers, expected) in [
            (
                vec![("retry-after-ms", "1500"), ("retry-after", "2")],
                Some(1_500),
            ),
            (
                vec![("retry-after-ms", "soon"), ("retry-after", "2")],
                Some(2_000),
            ),
            (vec![("retry-after", "0.25")], Some(250)),
            (vec![("retry-after", "0")], Some(0)),
            (vec![("retry-after", "-1")], None),
            (vec![("retry-after", "NaN")], None),
            (vec![("retry-after", "inf")], Some(LONGEST.as_millis())),
            (
                vec![now, ("retry-after", "Thu, 26 Nov 2026 07:00:30 GMT")],
                Some(30_000),
            ),
            (
                vec![now, ("retry-after", "Thu, 26 Nov 2026 06:00:30 GMT")],
                Some(0),
            ),
            (vec![("retry-after", "Thu, 26 Nov 2026 07:00:30 GMT")], None),
            (vec![], None),
        ] {
            let pause = of(&headers).map(|pause| pause.as_millis());
            assert_eq!(pause, expected, "{headers:?}");
        }
    }

    proptest! {
        #[test]
        fn no_header_panics(wish in "[ -~]{0,40}", ms in "[ -~]{0,12}", date in "[ -~]{0,40}") {
            of(&[("retry-after-ms", &ms), ("retry-after", &wish), ("date", &date)]);
        }
    }
}
