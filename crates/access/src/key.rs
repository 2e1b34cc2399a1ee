//! `mbx_<id>_<secret><checksum>`: recognisable by secret scanners, checkable without a look-up.

use std::{fmt, str::FromStr};

use serde::Serialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::AccessError;

const PREFIX: &str = "mbx_";
const ID_CHARS: usize = 12;
/// 62^43 is a little more than 2^256.
const SECRET_CHARS: usize = 43;
const CHECKSUM_CHARS: usize = 6;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// An API key, with its secret.
///
/// In text it is 66 characters: `mbx_`, 12 of the public id, `_`, 43 of the secret (256 bits), and 6 of a checksum
/// over all before, all of them from `0-9A-Za-z`. So a scanner finds leaked keys by
/// `\bmbx_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}\b` and drops look-alikes by the checksum: the first four bytes of the
/// SHA-256, as a big-endian number in base 62. A typing error is told without asking the store.
#[derive(Clone)]
pub struct ApiKey {
    id: KeyId,
    secret: String,
}

/// The public name of a key, which may be logged and shown.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(into = "String")]
pub struct KeyId(String);

/// The text is no key, or the name of none. It is not repeated: it may be a secret all the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is no key of Meterbox; keys look like mbx_…, 66 characters in all, and are copied whole")]
pub struct MalformedKey;

impl ApiKey {
    /// A new key.
    ///
    /// # Errors
    /// [`AccessError::Randomness`] where the machine has none.
    pub(crate) fn generate() -> Result<Self, AccessError> {
        Ok(Self {
            id: KeyId(random_text(ID_CHARS)?),
            secret: random_text(SECRET_CHARS)?,
        })
    }

    /// Its public name.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// The key in full, for its one showing.
    pub fn reveal(&self) -> String {
        let body = format!("{PREFIX}{}_{}", self.id, self.secret);
        let checksum = checksum(&body);
        body + &checksum
    }

    /// What is kept of the secret. It is random, so no slow hash is needed: there is nothing to guess.
    pub(crate) fn hash(&self) -> Hash {
        Hash::of(&self.secret)
    }
}

/// What is kept of a secret.
#[derive(Clone, Copy)]
pub(crate) struct Hash(pub(crate) [u8; 32]);

impl Hash {
    pub(crate) fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// Takes the same time whatever the difference.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// Text of this many characters that nobody can guess.
///
/// # Errors
/// [`AccessError::Randomness`] where the machine has none.
pub(crate) fn random_text(chars: usize) -> Result<String, AccessError> {
    let mut text = String::with_capacity(chars);
    let mut bytes = [0; 64];
    loop {
        getrandom::fill(&mut bytes).map_err(|error| AccessError::Randomness(error.to_string()))?;
        // 248 is a multiple of 62: each character is as likely as any other.
        for byte in bytes.iter().filter(|byte| **byte < 248) {
            if text.len() == chars {
                return Ok(text);
            }
            text.push(char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]));
        }
    }
}

pub(crate) fn is_random_text(text: &str, chars: usize) -> bool {
    text.len() == chars && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn checksum(body: &str) -> String {
    let [a, b, c, d, ..]: [u8; 32] = Sha256::digest(body).into();
    let mut number = u32::from_be_bytes([a, b, c, d]);
    let mut digits = [b'0'; CHECKSUM_CHARS];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(number % 62) as usize];
        number /= 62;
    }
    digits.into_iter().map(char::from).collect()
}

impl FromStr for ApiKey {
    type Err = MalformedKey;

    fn from_str(text: &str) -> Result<Self, MalformedKey> {
        let (id, rest) = text
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_once('_'))
            .ok_or(MalformedKey)?;
        if !is_random_text(id, ID_CHARS) || !is_random_text(rest, SECRET_CHARS + CHECKSUM_CHARS) {
            return Err(MalformedKey);
        }
        let key = Self {
            id: KeyId(id.to_owned()),
            secret: rest[..SECRET_CHARS].to_owned(),
        };
        if key.reveal() != text {
            return Err(MalformedKey);
        }
        Ok(key)
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}_…", self.id)
    }
}

impl FromStr for KeyId {
    type Err = MalformedKey;

    fn from_str(text: &str) -> Result<Self, MalformedKey> {
        if !is_random_text(text, ID_CHARS) {
            return Err(MalformedKey);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_reads_back_and_its_debug_form_has_no_secret() {
        let key = ApiKey::generate().unwrap();
        let text = key.reveal();
        assert_eq!(text.len(), 66);
        let read: ApiKey = text.parse().unwrap();
        assert_eq!(read.id(), key.id());
        assert!(read.hash().is(&key.hash()));
        assert!(!format!("{key:?}").contains(&key.secret), "{key:?}");
    }

    /// So that scanners which know the checksum keep knowing it.
    #[test]
    fn the_checksum_is_what_the_documentation_says() {
        let body = format!("mbx_{}_{}", "0".repeat(12), "0".repeat(43));
        // By Python: hashlib.sha256(body), int.from_bytes(…[:4], "big"), six digits in base 62.
        assert_eq!(checksum(&body), "1eKAug");
    }

    #[test]
    fn keys_differ_and_use_the_whole_alphabet() {
        let keys: Vec<String> = (0..200).map(|_| ApiKey::generate().unwrap().reveal()).collect();
        assert_eq!(keys.iter().collect::<HashSet<_>>().len(), 200);
        let used: HashSet<char> = keys.iter().flat_map(|key| key.chars()).collect();
        assert_eq!(used.len(), 63, "62 and the underscore");
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange_to_be_refused(text in "\\PC{0,120}") {
            prop_assert!(text.parse::<ApiKey>().is_err());
            prop_assert!(text.parse::<KeyId>().is_err() || text.len() == ID_CHARS);
        }

        #[test]
        fn what_looks_like_a_key_but_is_none_is_refused(text in "mbx_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}") {
            // The checksum lets one of four thousand million through; a run would have to be very lucky.
            prop_assert!(text.parse::<ApiKey>().is_err());
        }

        #[test]
        fn one_wrong_character_anywhere_is_noticed(place in 0_usize..66, wrong in any::<char>()) {
            let text = ApiKey::generate().unwrap().reveal();
            let mut letters: Vec<char> = text.chars().collect();
            prop_assume!(letters[place] != wrong);
            letters[place] = wrong;
            prop_assert!(letters.into_iter().collect::<String>().parse::<ApiKey>().is_err());
        }

        #[test]
        fn what_is_cut_or_grown_is_refused(cut in 0_usize..66, more in "\\PC{1,4}") {
            let text = ApiKey::generate().unwrap().reveal();
            prop_assert!(text[..cut].parse::<ApiKey>().is_err());
            let (grown, pushed) = (format!("{text}{more}"), format!("{more}{text}"));
            prop_assert!(grown.parse::<ApiKey>().is_err() && pushed.parse::<ApiKey>().is_err());
        }
    }
}
