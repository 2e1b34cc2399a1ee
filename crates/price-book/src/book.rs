use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    path::Path,
    sync::{Arc, LazyLock},
};

use meterbox_core::{Date, Timestamp, UnitPrice, Usd, contract::PriceTag};
use sha2::{Digest, Sha256};

use crate::{
    BookError, Component, ModelPrice, PriceError,
    document::Document,
    rate::{Rate, RowKey},
};

const SHIPPED: &str = include_str!("../data/prices.json");
/// So much of a fingerprint goes with each line: 64 bits.
const TAG_DIGITS: usize = 16;
/// The rate of a call or run of which only the most it can cost is known.
const WORST_CASE: &str = "worst_case";
const FALLBACK: &str = "fallback";

/// Dated prices of models and other units. Clones share them.
#[derive(Clone)]
pub struct PriceBook {
    inner: Arc<Inner>,
    fingerprint: Arc<str>,
}

/// The price of a unit that is no model's token, at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitRate {
    /// Of a million of what lines count: of a second, where they count microseconds.
    pub price: UnitPrice,
    /// Which rate of which book it is.
    pub tag: PriceTag,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Inner {
    pub(crate) name: String,
    pub(crate) as_of: Option<Date>,
    pub(crate) units: BTreeMap<String, Vec<Dated<Usd>>>,
    pub(crate) models: BTreeMap<String, Entry>,
    /// In lower case, with the name in `models`.
    pub(crate) names: HashMap<String, String>,
    pub(crate) fallback: Option<Rate>,
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) periods: Vec<Dated<BTreeMap<RowKey, Rate>>>,
}

/// What is so from a day on.
#[derive(Debug, Clone)]
pub(crate) struct Dated<T> {
    /// `None` for ever since.
    pub(crate) from: Option<Date>,
    pub(crate) source: Option<String>,
    pub(crate) value: T,
}

impl PriceBook {
    /// The book that ships with this version.
    ///
    /// # Panics
    /// Never: a test reads it.
    pub fn shipped() -> Self {
        static BOOK: LazyLock<PriceBook> = LazyLock::new(|| {
            let read = Document::from_json(SHIPPED, "the shipped price book")
                .and_then(|document| document.book("the shipped price book"));
            PriceBook::new(read.expect("the shipped price book is whole"))
        });
        BOOK.clone()
    }

    /// A book from the text of a JSON file.
    ///
    /// # Errors
    /// [`BookError::Syntax`] with line and column, [`BookError::Sense`] with the entry.
    pub fn from_json(text: &str) -> Result<Self, BookError> {
        let place = "the price book";
        Document::from_json(text, place)?.book(place).map(Self::new)
    }

    /// A book from the text of a TOML file.
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json).
    pub fn from_toml(text: &str) -> Result<Self, BookError> {
        let place = "the price book";
        Document::from_toml(text, place)?.book(place).map(Self::new)
    }

    /// A book from a file, which is TOML where its name ends with `.toml`, or else JSON. Blocks while it reads.
    ///
    /// # Errors
    /// [`BookError::File`], and as [`from_json`](Self::from_json).
    pub fn open(path: &Path) -> Result<Self, BookError> {
        let place = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| BookError::File {
            path: path.to_owned(),
            source,
        })?;
        let is_toml = path.extension().is_some_and(|ending| ending == "toml");
        let document = if is_toml {
            Document::from_toml(&text, &place)?
        } else {
            Document::from_json(&text, &place)?
        };
        document.book(&place).map(Self::new)
    }

    /// This book with the other laid over it: a model or unit that the other has is priced by the other alone, under
    /// all its names.
    #[must_use]
    pub fn overridden_by(&self, other: &Self) -> Self {
        let mut inner = (*self.inner).clone();
        let over = &other.inner;
        for (name, entry) in &over.models {
            inner.models.insert(name.clone(), entry.clone());
        }
        for (name, model) in &over.names {
            inner.names.insert(name.clone(), model.clone());
        }
        inner.units.extend(
            over.units
                .iter()
                .map(|(name, prices)| (name.clone(), prices.clone())),
        );
        inner.fallback = over.fallback.or(inner.fallback);
        inner.as_of = over.as_of.max(inner.as_of);
        inner.name = format!("{} + {}", inner.name, over.name);
        Self::new(inner)
    }

    fn new(inner: Inner) -> Self {
        let fingerprint = fingerprint(&inner).into();
        Self {
            inner: Arc::new(inner),
            fingerprint,
        }
    }

    /// What it calls itself.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The day its prices were looked at.
    pub fn as_of(&self) -> Option<Date> {
        self.inner.as_of
    }

    /// SHA-256 over all prices and their days, in hexadecimal: the same for the same prices, however they are written.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// As much of the fingerprint as goes with each line.
    pub fn short_fingerprint(&self) -> &str {
        self.fingerprint.get(..TAG_DIGITS).unwrap_or_default()
    }

    /// The models there are, by name.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        self.inner.models.keys().map(String::as_str)
    }

    /// The units there are, by name.
    pub fn units(&self) -> impl Iterator<Item = &str> {
        self.inner.units.keys().map(String::as_str)
    }

    /// What this model costs at this moment. Names are `provider/model`, upper and lower case alike.
    ///
    /// # Errors
    /// [`PriceError::UnknownModel`] where the book has neither the model nor a fallback price; [`PriceError::NotYet`]
    /// before its first price.
    pub fn model(&self, name: &str, at: Timestamp) -> Result<ModelPrice, PriceError> {
        let Some(entry) = self.entry(name) else {
            let fallback = self.inner.fallback.ok_or_else(|| self.unknown(name))?;
            let rows = BTreeMap::from([(RowKey::default(), fallback)]);
            return Ok(ModelPrice::new(FALLBACK, rows, self.clone()).for_any_terms());
        };
        let (name, entry) = entry;
        let period = in_force(name, &entry.periods, at)?;
        Ok(ModelPrice::new(name, period.value.clone(), self.clone()).told_by(period.source.clone()))
    }

    /// The dearest there is: of each part of a call the highest price that a model whose name begins so has at this
    /// moment, on whatever terms.
    ///
    /// # Errors
    /// [`PriceError::UnknownModel`] where none begins so.
    pub fn dearest(&self, prefix: &str, at: Timestamp) -> Result<ModelPrice, PriceError> {
        let mut dearest: Option<Rate> = None;
        let models = self
            .inner
            .models
            .iter()
            .filter(|(name, _)| name.starts_with(prefix));
        for (name, entry) in models {
            let Ok(period) = in_force(name, &entry.periods, at) else {
                continue;
            };
            for rate in period.value.values() {
                dearest = Some(dearest.map_or(*rate, |dearest| dearest.dearer(rate)));
            }
        }
        let rate = dearest.ok_or_else(|| self.unknown(prefix))?;
        let rows = BTreeMap::from([(RowKey::default(), rate)]);
        Ok(ModelPrice::new(&format!("{prefix}*"), rows, self.clone()).for_any_terms())
    }

    /// The price of a unit at this moment, such as `sandbox/local/vcpu_second`.
    ///
    /// # Errors
    /// [`PriceError::UnknownUnit`], [`PriceError::NotYet`].
    pub fn unit(&self, name: &str, at: Timestamp) -> Result<UnitRate, PriceError> {
        let unknown = || PriceError::UnknownUnit {
            unit: name.chars().take(80).collect(),
        };
        let prices = self.inner.units.get(name).ok_or_else(unknown)?;
        let price = in_force(name, prices, at)?.value;
        Ok(UnitRate {
            price: UnitPrice::per_million(price),
            tag: self.tag(name),
        })
    }

    /// What so much costs by this rate (the [rate](PriceTag::rate) of a tag, which may come from another book) at
    /// this moment; `None` where this book cannot say.
    pub fn amount(&self, rate: &str, at: Timestamp, quantity: u64) -> Option<Usd> {
        if let Some(prices) = self.inner.units.get(rate) {
            let price = in_force(rate, prices, at).ok()?.value;
            return UnitPrice::per_million(price).times(quantity);
        }
        let (model, part) = rate.rsplit_once(':')?;
        let mut words = part.split('+');
        let component = Component::from_name(words.next()?)?;
        let (name, entry) = self.entry(model)?;
        let rows = &in_force(name, &entry.periods, at).ok()?.value;
        // The same row, or of its steps the one that this book has for so long a context.
        let wanted: Vec<&str> = words.collect();
        let (key, above) = match wanted.split_last() {
            Some((last, rest)) => match last.strip_prefix("above").and_then(|step| step.parse().ok()) {
                Some(above) => (rest, above),
                None => (wanted.as_slice(), 0),
            },
            None => (wanted.as_slice(), 0),
        };
        let is_same = |row: &&RowKey| {
            let has = [row.deployment.as_str(), row.tier.as_str()];
            row.above <= above && has.iter().filter(|word| !word.is_empty()).eq(key.iter())
        };
        let row = rows.keys().filter(is_same).max_by_key(|row| row.above)?;
        rows.get(row)?.price(component).times(quantity)
    }

    /// The tag of the worst case of a call or run, which is a sum of several rates.
    pub fn worst_case_tag(&self, of: &str) -> PriceTag {
        self.tag(&format!("{of}:{WORST_CASE}"))
    }

    pub(crate) fn tag(&self, rate: &str) -> PriceTag {
        // Names in a book are short and plain, so the tag is one.
        PriceTag::new(rate, self.short_fingerprint()).expect("the names of a price book fit into a tag")
    }

    fn entry(&self, name: &str) -> Option<(&str, &Entry)> {
        let model = self.inner.names.get(&name.to_ascii_lowercase())?;
        self.inner
            .models
            .get_key_value(model)
            .map(|(name, entry)| (name.as_str(), entry))
    }

    fn unknown(&self, name: &str) -> PriceError {
        let shown: String = name.chars().take(80).collect();
        let wanted = shown.to_ascii_lowercase();
        let likeness = |known: &&String| strsim::damerau_levenshtein(known, &wanted);
        let nearest = self
            .inner
            .names
            .keys()
            .min_by_key(|known| (likeness(known), known.len(), (*known).clone()));
        let nearest = nearest.filter(|known| likeness(known) <= 3);
        PriceError::UnknownModel {
            nearest: nearest.and_then(|known| self.inner.names.get(known)).cloned(),
            model: shown,
        }
    }
}

/// The last that has begun.
fn in_force<'a, T>(name: &str, periods: &'a [Dated<T>], at: Timestamp) -> Result<&'a Dated<T>, PriceError> {
    let begun = periods.iter().rev().find(|period| period.begins() <= at);
    begun.ok_or_else(|| PriceError::NotYet {
        name: name.to_owned(),
        at,
        begins: periods
            .first()
            .and_then(|first| first.from)
            .map(|day| day.to_string())
            .unwrap_or_default(),
    })
}

impl<T> Dated<T> {
    /// A day begins at midnight UTC.
    fn begins(&self) -> Timestamp {
        let midnight = self.from.and_then(|day| format!("{day}T00:00:00Z").parse().ok());
        midnight.unwrap_or(EVER_SINCE)
    }
}

static EVER_SINCE: Timestamp = Timestamp::UNIX_EPOCH;

/// Over one line a price, sorted: what is said about prices does not count, and neither does the order.
fn fingerprint(inner: &Inner) -> String {
    let mut digest = Sha256::new();
    let mut add = |line: String| {
        digest.update(line.as_bytes());
        digest.update(b"\n");
    };
    for (name, prices) in &inner.units {
        for price in prices {
            add(format!("unit {name} {} {}", day(price.from), price.value.nanos()));
        }
    }
    for (name, entry) in &inner.models {
        for period in &entry.periods {
            for (key, rate) in &period.value {
                add(format!(
                    "model {name}{key} {} {}",
                    day(period.from),
                    numbers(rate)
                ));
            }
        }
    }
    let mut names: Vec<_> = inner.names.iter().collect();
    names.sort_unstable();
    for (name, model) in names {
        add(format!("name {name} {model}"));
    }
    if let Some(rate) = &inner.fallback {
        add(format!("fallback {}", numbers(rate)));
    }
    digest
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn day(from: Option<Date>) -> String {
    from.map_or_else(|| "-".to_owned(), |day| day.to_string())
}

fn numbers(rate: &Rate) -> String {
    let all = Component::ALL.map(|component| rate.per_million(component).nanos().to_string());
    all.join(" ")
}

/// The same prices.
impl PartialEq for PriceBook {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for PriceBook {}

impl fmt::Debug for PriceBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PriceBook")
            .field("name", &self.name())
            .field("fingerprint", &self.short_fingerprint())
            .finish_non_exhaustive()
    }
}
