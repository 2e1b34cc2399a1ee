//! Whose money, or whose turn: `kind/id`.

use std::{fmt, str::FromStr, sync::Arc};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};

const MAX_KIND_BYTES: usize = 32;
const MAX_ID_BYTES: usize = 256;
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'@');

/// A budget scope such as `org/acme`, `user/ana` or `session/42`.
///
/// The kind is a short lower-case word; the id is any text without control characters, up to 256 bytes.
/// In text and in URLs the id is percent-encoded, so that each scope is two path segments and no id can
/// be mistaken for another scope. `user/*` is the wildcard: a budget defined on it applies to each user.
/// Clones share their text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Scope {
    /// `kind/id`, the id not percent-encoded; a kind has no `/`.
    text: Arc<str>,
}

/// Why a text is not a scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidScope {
    /// No `/` between kind and id.
    #[error("a scope is written kind/id, such as user/ana")]
    NotTwoParts,
    /// The kind is not a short lower-case word.
    #[error(
        "a scope's kind is 1 to {MAX_KIND_BYTES} characters of a-z, 0-9, - and _, starting with a letter"
    )]
    Kind,
    /// The id is empty, too long, or has control characters.
    #[error("a scope's id is 1 to {MAX_ID_BYTES} bytes of UTF-8 without control characters")]
    Id,
}

impl Scope {
    /// A scope of this kind with this (plain, not percent-encoded) id.
    ///
    /// # Errors
    /// [`InvalidScope`] says which part is wrong.
    pub fn new(kind: &str, id: &str) -> Result<Self, InvalidScope> {
        let starts_with_letter = kind.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        let kind_byte =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
        if !starts_with_letter || kind.len() > MAX_KIND_BYTES || !kind.bytes().all(kind_byte) {
            return Err(InvalidScope::Kind);
        }
        if id.is_empty() || id.len() > MAX_ID_BYTES || id.chars().any(char::is_control) {
            return Err(InvalidScope::Id);
        }
        Ok(Self::joined(kind, id))
    }

    fn joined(kind: &str, id: &str) -> Self {
        Self {
            text: [kind, "/", id].concat().into(),
        }
    }

    /// A kind is so short that looking for its end byte by byte is quickest.
    #[inline]
    fn parts(&self) -> (&str, &str) {
        let end = self.text.bytes().position(|byte| byte == b'/');
        end.and_then(|end| Some((self.text.get(..end)?, self.text.get(end.saturating_add(1)..)?)))
            .unwrap_or_default()
    }

    /// Kind and id with a `/` between, the id as it is. No two scopes have the same, but what is shown or sent is
    /// percent-encoded.
    #[inline]
    pub fn plain(&self) -> &str {
        &self.text
    }

    /// The kind, such as `user`.
    #[inline]
    pub fn kind(&self) -> &str {
        self.parts().0
    }

    /// The id as it is, not percent-encoded.
    #[inline]
    pub fn id(&self) -> &str {
        self.parts().1
    }

    /// True for `kind/*`, which stands for each scope of its kind.
    #[inline]
    pub fn is_wildcard(&self) -> bool {
        // Most scopes say so with their last byte.
        self.text.as_bytes().last() == Some(&b'*') && self.id() == "*"
    }

    /// The wildcard of this scope's kind.
    #[must_use]
    pub fn wildcard(&self) -> Self {
        Self::joined(self.kind(), "*")
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, id) = self.parts();
        if id == "*" {
            return write!(f, "{kind}/*");
        }
        write!(f, "{kind}/{}", utf8_percent_encode(id, ESCAPED))
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Scope {
    type Err = InvalidScope;

    fn from_str(text: &str) -> Result<Self, InvalidScope> {
        let (kind, id) = text.split_once('/').ok_or(InvalidScope::NotTwoParts)?;
        if id.contains('/') {
            return Err(InvalidScope::NotTwoParts);
        }
        let id = percent_decode_str(id)
            .decode_utf8()
            .map_err(|_| InvalidScope::Id)?;
        Self::new(kind, &id)
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.to_string()
    }
}

impl TryFrom<String> for Scope {
    type Error = InvalidScope;

    fn try_from(text: String) -> Result<Self, InvalidScope> {
        text.parse()
    }
}

#[cfg(feature = "schemars")]
impl schemars::JsonSchema for Scope {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Scope".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "description": "kind/id, the id percent-encoded" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips_whatever_the_id() {
        for id in [
            "ana",
            "a/b",
            "ä%2F",
            "user with spaces",
            "x@y.z",
            "..",
            "%",
            "日本",
            "**",
        ] {
            let scope = Scope::new("user", id).unwrap();
            let text = scope.to_string();
            assert_eq!(text.matches('/').count(), 1, "{text}");
            assert_eq!(text.parse::<Scope>().unwrap(), scope);
        }
        assert_eq!(Scope::new("user", "*").unwrap().to_string(), "user/*");
        for (id, is_wildcard) in [
            ("*", true),
            ("a*", false),
            ("a/*", false),
            ("/*", false),
            ("**", false),
        ] {
            let scope = Scope::new("user", id).unwrap();
            assert_eq!(
                (scope.is_wildcard(), scope.kind(), scope.id()),
                (is_wildcard, "user", id)
            );
        }
        assert_eq!(
            Scope::new("user", "ana").unwrap().wildcard().to_string(),
            "user/*"
        );
    }

    #[test]
    fn refuses_hostile_scopes() {
        for (text, expected) in [
            ("", InvalidScope::NotTwoParts),
            ("user", InvalidScope::NotTwoParts),
            ("user/a/b", InvalidScope::NotTwoParts),
            ("User/ana", InvalidScope::Kind),
            ("/ana", InvalidScope::Kind),
            ("us er/ana", InvalidScope::Kind),
            ("user/", InvalidScope::Id),
            ("user/a%00b", InvalidScope::Id),
            ("user/%ff", InvalidScope::Id),
            ("user/a\nb", InvalidScope::Id),
        ] {
            assert_eq!(text.parse::<Scope>(), Err(expected), "{text:?}");
        }
        assert_eq!(Scope::new("user", &"x".repeat(10_240)), Err(InvalidScope::Id));
    }
}
