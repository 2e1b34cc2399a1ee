use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

const MAX_BYTES: usize = 256;

/// By which price a line was priced: `rate@book`, such as `openai/gpt-5-mini:output+flex@0c7ce0e2ab5b7d11`.
///
/// The rate is its name in a price book, the book is that book's fingerprint: with both a bill can be made again, and
/// compared with what another book says. Clones share their text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct PriceTag(Arc<str>);

/// The text names no rate of a price book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a price is named rate@book, in at most {MAX_BYTES} bytes without control characters")]
pub struct InvalidPriceTag;

impl PriceTag {
    /// The tag of this rate in the book of this fingerprint.
    ///
    /// # Errors
    /// [`InvalidPriceTag`] where either is empty, both are too long, or the book's name has an `@`.
    pub fn new(rate: &str, book: &str) -> Result<Self, InvalidPriceTag> {
        if book.contains('@') {
            return Err(InvalidPriceTag);
        }
        [rate, "@", book].concat().parse()
    }

    /// The rate's name in its book.
    pub fn rate(&self) -> &str {
        self.parts().0
    }

    /// The book's fingerprint.
    pub fn book(&self) -> &str {
        self.parts().1
    }

    /// The whole of it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A rate may have an `@` in its name, a fingerprint has none.
    fn parts(&self) -> (&str, &str) {
        self.0.rsplit_once('@').unwrap_or_default()
    }
}

impl std::str::FromStr for PriceTag {
    type Err = InvalidPriceTag;

    fn from_str(text: &str) -> Result<Self, InvalidPriceTag> {
        let (rate, book) = text.rsplit_once('@').ok_or(InvalidPriceTag)?;
        let is_wrong = rate.is_empty()
            || book.is_empty()
            || text.len() > MAX_BYTES
            || text.chars().any(char::is_control);
        if is_wrong {
            return Err(InvalidPriceTag);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for PriceTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PriceTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<PriceTag> for String {
    fn from(tag: PriceTag) -> Self {
        tag.0.as_ref().to_owned()
    }
}

impl TryFrom<String> for PriceTag {
    type Error = InvalidPriceTag;

    fn try_from(text: String) -> Result<Self, InvalidPriceTag> {
        text.parse()
    }
}

#[cfg(feature = "schemars")]
impl schemars::JsonSchema for PriceTag {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PriceTag".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "description": "rate@book" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_has_a_rate_and_a_book() {
        let tag = PriceTag::new("openai/gpt@5:output", "ab12").unwrap();
        assert_eq!((tag.rate(), tag.book()), ("openai/gpt@5:output", "ab12"));
        assert_eq!(tag.to_string().parse(), Ok(tag));
        for wrong in ["", "rate", "@book", "rate@", "a\n@b"] {
            assert_eq!(wrong.parse::<PriceTag>(), Err(InvalidPriceTag), "{wrong:?}");
        }
        assert!(PriceTag::new("rate", "a@b").is_err());
        assert!(PriceTag::new(&"x".repeat(256), "b").is_err());
    }
}
