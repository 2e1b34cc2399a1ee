//! Exact money: whole nano-dollars, checked arithmetic, no float.
//!
//! A single token costs tens of nano-dollars, so micro-dollars would already round real prices away, and
//! binary floats cannot even add ten dimes to a dollar. `i64` nano-dollars reach $9.2 billion.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser::Error as _};
use serde_json::value::RawValue;

const NANOS_PER_USD: i64 = 1_000_000_000;
const DECIMALS: usize = 9;
/// A decimal of at most so many significant digits comes back unchanged from a JSON reader that goes through
/// a double.
const EXACT_IN_A_DOUBLE: usize = 15;

/// A non-negative amount of US dollars, exact to the nano-dollar.
///
/// In JSON it is a plain number of dollars. What a double could not carry exactly (16 significant digits and
/// more, so a million dollars and some nano-dollars) is written as a string, and refused as a number.
///
/// ```
/// # use meterbox_core::Usd;
/// let dime: Usd = "0.1".parse()?;
/// let total = (0..10).try_fold(Usd::ZERO, |sum, _| sum.checked_add(dime));
/// assert_eq!(total, Some(Usd::from_dollars(1)));
/// assert_eq!(serde_json::to_string(&dime).unwrap(), "0.1");
/// # Ok::<(), meterbox_core::MoneyError>(())
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Usd(i64);

/// Why a text or number is not an amount of money.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MoneyError {
    /// Not a plain decimal number.
    #[error("{0:?} is not an amount in dollars; write it like 0.05 or 12")]
    NotANumber(String),
    /// Below zero.
    #[error("an amount of money cannot be negative ({0:?})")]
    Negative(String),
    /// Finer than a nano-dollar.
    #[error("{0:?} is finer than a nano-dollar; use at most 9 decimals")]
    TooFine(String),
    /// More than `Usd::MAX`.
    #[error("the amount is larger than {max}", max = Usd::MAX)]
    TooLarge,
}

impl Usd {
    /// No money.
    pub const ZERO: Self = Self(0);
    /// The largest representable amount, about $9.2 billion.
    pub const MAX: Self = Self(i64::MAX);

    /// Whole dollars.
    #[inline]
    pub const fn from_dollars(dollars: u32) -> Self {
        Self(dollars as i64 * NANOS_PER_USD)
    }

    /// Whole nano-dollars.
    ///
    /// # Errors
    /// [`MoneyError::TooLarge`] above [`Usd::MAX`].
    #[inline]
    pub fn from_nanos(nanos: u64) -> Result<Self, MoneyError> {
        i64::try_from(nanos).map(Self).map_err(|_| MoneyError::TooLarge)
    }

    /// The amount in nano-dollars; never negative.
    #[inline]
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// True for no money at all.
    #[inline]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum, or `None` above [`Usd::MAX`].
    #[inline]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference, or `None` where it would be negative.
    #[inline]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).filter(|nanos| *nanos >= 0).map(Self)
    }

    /// The difference, or no money where it would be negative.
    #[inline]
    pub fn saturating_sub(self, other: Self) -> Self {
        self.checked_sub(other).unwrap_or(Self::ZERO)
    }

    /// The sum, or [`Usd::MAX`] where it would be larger. For display and totals, never for charging.
    #[inline]
    pub fn saturating_add(self, other: Self) -> Self {
        self.checked_add(other).unwrap_or(Self::MAX)
    }

    fn decimal(self) -> String {
        let whole = self.0 / NANOS_PER_USD;
        let fraction = self.0 % NANOS_PER_USD;
        if fraction == 0 {
            return whole.to_string();
        }
        let digits = format!("{fraction:09}");
        format!("{whole}.{}", digits.trim_end_matches('0'))
    }
}

impl FromStr for Usd {
    type Err = MoneyError;

    /// Reads plain decimals (`12`, `0.05`); a leading `$` is allowed. No exponents, no separators.
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let not_a_number = || MoneyError::NotANumber(shown(text));
        let trimmed = text.trim();
        if trimmed.starts_with('-') {
            return Err(MoneyError::Negative(shown(text)));
        }
        let number = trimmed.strip_prefix('$').unwrap_or(trimmed);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if !all_digits(whole) || !all_digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
            return Err(not_a_number());
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > DECIMALS {
            return Err(MoneyError::TooFine(shown(text)));
        }
        let whole = whole.trim_start_matches('0');
        let nanos = format!("{whole}{fraction:0<DECIMALS$}");
        nanos.parse::<i64>().map(Self).map_err(|_| MoneyError::TooLarge)
    }
}

fn significant_digits(decimal: &str) -> usize {
    let digits = decimal.trim_start_matches(['0', '.']).bytes();
    digits.filter(u8::is_ascii_digit).count()
}

/// A hostile text must not become a hostile error message.
fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${}", self.decimal())
    }
}

impl fmt::Debug for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Usd({})", self.decimal())
    }
}

impl Serialize for Usd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let decimal = self.decimal();
        if significant_digits(&decimal) > EXACT_IN_A_DOUBLE {
            return serializer.serialize_str(&decimal);
        }
        RawValue::from_string(decimal)
            .map_err(S::Error::custom)?
            .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Amount;

        impl de::Visitor<'_> for Amount {
            type Value = Usd;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an amount in dollars, such as 0.05")
            }

            fn visit_u64<E: de::Error>(self, dollars: u64) -> Result<Usd, E> {
                dollars.to_string().parse().map_err(E::custom)
            }

            fn visit_i64<E: de::Error>(self, dollars: i64) -> Result<Usd, E> {
                dollars.to_string().parse().map_err(E::custom)
            }

            fn visit_f64<E: de::Error>(self, dollars: f64) -> Result<Usd, E> {
                // The shortest decimal that reads back as this double is the text that was written.
                let decimal = dollars.to_string();
                if significant_digits(&decimal) > EXACT_IN_A_DOUBLE {
                    return Err(E::custom("write amounts of more than 15 digits as a string"));
                }
                decimal.parse().map_err(E::custom)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Usd, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Amount)
    }
}

#[cfg(feature = "schemars")]
impl schemars::JsonSchema for Usd {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Usd".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["number", "string"],
            "minimum": 0,
            "description": "US dollars, exact to nine decimals",
        })
    }
}

/// What one unit of something costs, in nano-dollars per million units (a million tokens, a million
/// vCPU-microseconds, ...): list prices are whole numbers at this grain.
///
/// ```
/// # use meterbox_core::{UnitPrice, Usd};
/// let input_tokens = UnitPrice::per_million("2.50".parse()?);
/// assert_eq!(input_tokens.times(1_200), Some("0.003".parse()?));
/// # Ok::<(), meterbox_core::MoneyError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitPrice {
    nanos_per_million: i64,
}

impl UnitPrice {
    const MILLION: i128 = 1_000_000;

    /// The price of a million units.
    pub const fn per_million(price: Usd) -> Self {
        Self {
            nanos_per_million: price.0,
        }
    }

    /// The price of this many units, rounded up once to the nano-dollar; `None` above [`Usd::MAX`].
    pub fn times(self, quantity: u64) -> Option<Usd> {
        let millionths = i128::from(self.nanos_per_million) * i128::from(quantity);
        let nanos = (millionths + Self::MILLION - 1) / Self::MILLION;
        i64::try_from(nanos).ok().map(Usd)
    }

    /// How many units this much money pays for, rounded down; `u64::MAX` where units are free.
    pub fn affordable(self, money: Usd) -> u64 {
        if self.nanos_per_million == 0 {
            return u64::MAX;
        }
        let units = i128::from(money.0) * Self::MILLION / i128::from(self.nanos_per_million);
        u64::try_from(units).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(text: &str) -> Usd {
        text.parse().unwrap()
    }

    #[test]
    fn reads_and_prints_the_same_decimal() {
        for text in ["0", "1", "0.1", "0.000000001", "12.5", "9223372036.854775807"] {
            assert_eq!(usd(text).to_string(), format!("${text}"));
        }
        assert_eq!(usd(" $05.50 "), usd("5.5"));
        assert_eq!(usd(".5"), usd("0.5"));
    }

    #[test]
    fn refuses_what_is_not_money() {
        for (text, expected) in [
            ("", MoneyError::NotANumber(String::new())),
            (".", MoneyError::NotANumber(".".into())),
            ("1e3", MoneyError::NotANumber("1e3".into())),
            ("NaN", MoneyError::NotANumber("NaN".into())),
            ("1,000", MoneyError::NotANumber("1,000".into())),
            ("-1", MoneyError::Negative("-1".into())),
            ("0.0000000001", MoneyError::TooFine("0.0000000001".into())),
            ("9223372036.854775808", MoneyError::TooLarge),
            ("99999999999999999999999999", MoneyError::TooLarge),
        ] {
            assert_eq!(text.parse::<Usd>(), Err(expected), "{text:?}");
        }
    }

    #[test]
    fn json_is_a_plain_number_and_exact() {
        for text in [
            "0",
            "0.1",
            "0.000000001",
            "999999.999999999",
            "1234567.5",
            "5",
            "9000000000",
        ] {
            assert_eq!(serde_json::to_string(&usd(text)).unwrap(), text);
        }
        for text in [
            "0",
            "0.000000001",
            "999999.999999999",
            "1234567.000000001",
            "9223372036.854775807",
        ] {
            let json = serde_json::to_string(&usd(text)).unwrap();
            assert_eq!(serde_json::from_str::<Usd>(&json).unwrap(), usd(text), "{json}");
        }
        assert_eq!(
            serde_json::to_string(&usd("1234567.000000001")).unwrap(),
            "\"1234567.000000001\""
        );
        for refused in [
            "-0.5",
            "1e300",
            "1234567.000000001",
            "null",
            "true",
            "\"a\"",
            "-3",
        ] {
            assert!(serde_json::from_str::<Usd>(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn prices_round_up_once_and_never_overflow_silently() {
        let price = UnitPrice::per_million(usd("0.15"));
        assert_eq!(price.times(0), Some(Usd::ZERO));
        assert_eq!(price.times(1), Some(usd("0.00000015")));
        assert_eq!(
            UnitPrice::per_million(usd("0.000000001")).times(1),
            Some(usd("0.000000001"))
        );
        assert_eq!(UnitPrice::per_million(Usd::MAX).times(u64::MAX), None);
        assert_eq!(price.affordable(usd("0.15")), 1_000_000);
        assert_eq!(UnitPrice::per_million(Usd::ZERO).affordable(Usd::ZERO), u64::MAX);
    }

    #[test]
    fn subtraction_never_goes_below_zero() {
        assert_eq!(usd("1").checked_sub(usd("2")), None);
        assert_eq!(usd("1").saturating_sub(usd("2")), Usd::ZERO);
        assert_eq!(usd("3").checked_sub(usd("2")), Some(usd("1")));
        assert_eq!(Usd::MAX.checked_add(usd("1")), None);
    }
}
