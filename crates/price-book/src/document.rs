//! The file form of a price book, TOML or JSON, and what makes no sense in one.

use std::collections::{BTreeMap, BTreeSet};

use meterbox_core::{Date, Usd};
use serde::Deserialize;

use crate::{
    BookError,
    book::{Dated, Entry, Inner},
    rate::{Rate, RowKey},
};

const FORMAT: u32 = 1;
const MAX_NAME: usize = 160;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    #[serde(default = "format")]
    format: u32,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    as_of: Option<Date>,
    /// Where the prices come from; for readers.
    #[serde(default)]
    #[expect(dead_code, reason = "kept in the file for whoever reads it")]
    sources: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    units: Vec<Unit>,
    #[serde(default)]
    models: Vec<Model>,
    #[serde(default)]
    fallback: Option<Prices>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Unit {
    unit: String,
    prices: Vec<UnitPeriod>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct UnitPeriod {
    from: Option<Date>,
    source: Option<String>,
    #[expect(dead_code, reason = "kept in the file for whoever reads it")]
    url: Option<String>,
    #[expect(dead_code, reason = "kept in the file for whoever reads it")]
    note: Option<String>,
    price: Usd,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Model {
    model: String,
    #[serde(default)]
    also: Vec<String>,
    prices: Vec<Period>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Period {
    from: Option<Date>,
    source: Option<String>,
    #[expect(dead_code, reason = "kept in the file for whoever reads it")]
    url: Option<String>,
    #[expect(dead_code, reason = "kept in the file for whoever reads it")]
    note: Option<String>,
    rates: Vec<Row>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    #[serde(default)]
    deployment: String,
    #[serde(default)]
    tier: String,
    #[serde(default)]
    above_input_tokens: u64,
    input: Usd,
    cached: Option<Usd>,
    cache_write: Option<Usd>,
    cache_write_1h: Option<Usd>,
    output: Usd,
    reasoning: Option<Usd>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Prices {
    input: Usd,
    cached: Option<Usd>,
    cache_write: Option<Usd>,
    cache_write_1h: Option<Usd>,
    output: Usd,
    reasoning: Option<Usd>,
}

fn format() -> u32 {
    FORMAT
}

impl Document {
    pub(crate) fn from_json(text: &str, place: &str) -> Result<Self, BookError> {
        serde_json::from_str(text).map_err(|error| syntax(place, &error))
    }

    pub(crate) fn from_toml(text: &str, place: &str) -> Result<Self, BookError> {
        toml::from_str(text).map_err(|error| syntax(place, &error))
    }

    /// The book of this document.
    pub(crate) fn book(self, place: &str) -> Result<Inner, BookError> {
        if self.format != FORMAT {
            let message = format!(
                "format {} is not known; this version reads format {FORMAT}",
                self.format
            );
            return Err(sense(place, "the book", message));
        }
        let mut inner = Inner {
            name: self.name.unwrap_or_else(|| place.to_owned()),
            as_of: self.as_of,
            fallback: self.fallback.map(Rate::from),
            ..Inner::default()
        };
        for unit in self.units {
            let entry = format!("unit {:?}", unit.unit);
            check_name(place, &entry, &unit.unit)?;
            let periods = unit.prices.into_iter().map(|period| Dated {
                from: period.from,
                source: period.source,
                value: period.price,
            });
            let periods = in_order(place, &entry, periods.collect())?;
            if inner.units.insert(unit.unit, periods).is_some() {
                return Err(sense(place, &entry, "it is there twice; keep one".to_owned()));
            }
        }
        for model in self.models {
            add_model(&mut inner, model, place)?;
        }
        Ok(inner)
    }
}

fn add_model(inner: &mut Inner, model: Model, place: &str) -> Result<(), BookError> {
    let entry = format!("model {:?}", model.model);
    let mut periods = Vec::with_capacity(model.prices.len());
    for period in model.prices {
        periods.push(Dated {
            from: period.from,
            source: period.source,
            value: rows(place, &entry, period.rates)?,
        });
    }
    let periods = in_order(place, &entry, periods)?;
    for name in std::iter::once(&model.model).chain(&model.also) {
        check_name(place, &entry, name)?;
        if !name.contains('/') {
            let message = format!("{name:?} has no provider; write it like openai/{name}");
            return Err(sense(place, &entry, message));
        }
        let first = inner.names.insert(name.to_ascii_lowercase(), model.model.clone());
        if first.is_some() {
            let message = format!("the name {name:?} is there twice; keep one");
            return Err(sense(place, &entry, message));
        }
    }
    inner.models.insert(model.model, Entry { periods });
    Ok(())
}

fn rows(place: &str, entry: &str, rows: Vec<Row>) -> Result<BTreeMap<RowKey, Rate>, BookError> {
    let mut known = BTreeMap::new();
    for row in rows {
        let key = RowKey {
            deployment: row.deployment,
            tier: row.tier,
            above: row.above_input_tokens,
        };
        for word in [&key.deployment, &key.tier] {
            let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            if !word.bytes().all(is_plain) {
                let message = format!("{word:?} is no name of a tier or deployment; use a-z, 0-9 and _");
                return Err(sense(place, entry, message));
            }
        }
        let shown = format!("the rate{key}");
        let rate = Rate {
            input: row.input,
            cached: row.cached,
            cache_write: row.cache_write,
            cache_write_1h: row.cache_write_1h,
            output: row.output,
            reasoning: row.reasoning,
        };
        if known.insert(key, rate).is_some() {
            return Err(sense(place, entry, format!("{shown} is there twice; keep one")));
        }
    }
    let steps: BTreeSet<(&str, &str)> = known
        .keys()
        .map(|key| (key.deployment.as_str(), key.tier.as_str()))
        .collect();
    for (deployment, tier) in steps.into_iter().chain([("", "")]) {
        let first = RowKey {
            deployment: deployment.to_owned(),
            tier: tier.to_owned(),
            above: 0,
        };
        if !known.contains_key(&first) {
            let message =
                format!("it has no rate{first} for short contexts; add one without above_input_tokens");
            return Err(sense(place, entry, message));
        }
    }
    Ok(known)
}

/// Prices by the day they begin; the first may have begun ever since.
fn in_order<T>(place: &str, entry: &str, mut periods: Vec<Dated<T>>) -> Result<Vec<Dated<T>>, BookError> {
    if periods.is_empty() {
        return Err(sense(place, entry, "it has no price; add one".to_owned()));
    }
    periods.sort_by_key(|period| period.from);
    let same_day = periods.windows(2).find_map(|pair| match pair {
        [one, other] if one.from == other.from => Some(one.from),
        _ => None,
    });
    if let Some(day) = same_day {
        let day = day.map_or_else(|| "no day".to_owned(), |day| format!("the day {day}"));
        let message = format!("two of its prices begin on {day}; give each a `from` of its own");
        return Err(sense(place, entry, message));
    }
    Ok(periods)
}

fn check_name(place: &str, entry: &str, name: &str) -> Result<(), BookError> {
    let is_wrong = name.is_empty()
        || name.len() > MAX_NAME
        || name
            .chars()
            .any(|letter| letter.is_control() || letter.is_whitespace());
    if is_wrong {
        let message = format!("a name is 1 to {MAX_NAME} bytes without spaces");
        return Err(sense(place, entry, message));
    }
    Ok(())
}

fn syntax(place: &str, error: &dyn std::fmt::Display) -> BookError {
    BookError::Syntax {
        place: place.to_owned(),
        message: error.to_string(),
    }
}

fn sense(place: &str, entry: &str, message: String) -> BookError {
    BookError::Sense {
        place: place.to_owned(),
        entry: entry.to_owned(),
        message,
    }
}

impl From<Prices> for Rate {
    fn from(prices: Prices) -> Self {
        Self {
            input: prices.input,
            cached: prices.cached,
            cache_write: prices.cache_write,
            cache_write_1h: prices.cache_write_1h,
            output: prices.output,
            reasoning: prices.reasoning,
        }
    }
}
