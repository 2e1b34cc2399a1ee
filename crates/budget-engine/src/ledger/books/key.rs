use std::hash::{Hash, Hasher};

use meterbox_core::Scope;

const SHORT: usize = 30;

/// The text of a scope, in place where it is short: to find one of a million scopes, one place in memory is looked at
/// and not two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    Short { length: u8, bytes: [u8; SHORT] },
    Long(Box<str>),
}

impl From<&Scope> for Key {
    fn from(scope: &Scope) -> Self {
        let text = scope.plain();
        let mut bytes = [0; SHORT];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(place), Ok(length)) => {
                place.copy_from_slice(text.as_bytes());
                Self::Short { length, bytes }
            }
            _ => Self::Long(text.into()),
        }
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Short { length, bytes } => {
                state.write(bytes.get(..usize::from(*length)).unwrap_or_default());
            }
            Self::Long(text) => state.write(text.as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_as_different_as_scopes() {
        let ids = [
            "a",
            "b",
            "aa",
            "a/b",
            "*",
            &"x".repeat(24),
            &"x".repeat(25),
            &"x".repeat(26),
            &"x".repeat(256),
        ];
        let kinds = ["user", "users", "u"];
        let scopes: Vec<Scope> = kinds
            .iter()
            .flat_map(|kind| ids.iter().map(|id| Scope::new(kind, id).unwrap()))
            .collect();
        for one in &scopes {
            for other in &scopes {
                assert_eq!(Key::from(one) == Key::from(other), one == other, "{one} {other}");
            }
        }
        let is_long = |id: &str| matches!(Key::from(&Scope::new("user", id).unwrap()), Key::Long(_));
        assert!(!is_long(&"x".repeat(25)) && is_long(&"x".repeat(26)));
    }
}
