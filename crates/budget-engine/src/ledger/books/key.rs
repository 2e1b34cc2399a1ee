use meterbox_core::Scope;

const SHORT: usize = 22;

/// The text of a scope, in place where it is short: to find one of a million scopes, one place in memory is looked at
/// and not two.
#[derive(Debug, Clone)]
pub(super) enum Key {
    Short { length: u8, bytes: [u8; SHORT] },
    Long(Box<str>),
}

impl Key {
    pub(super) fn is_of(&self, scope: &Scope) -> bool {
        let known = match self {
            Self::Short { length, bytes } => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Self::Long(text) => text.as_bytes(),
        };
        *known == *scope.plain().as_bytes()
    }
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
            &"x".repeat(16),
            &"x".repeat(17),
            &"x".repeat(18),
            &"x".repeat(256),
        ];
        let kinds = ["user", "users", "u"];
        let scopes: Vec<Scope> = kinds
            .iter()
            .flat_map(|kind| ids.iter().map(|id| Scope::new(kind, id).unwrap()))
            .collect();
        for one in &scopes {
            for other in &scopes {
                assert_eq!(Key::from(one).is_of(other), one == other, "{one} {other}");
            }
        }
        let is_long = |id: &str| matches!(Key::from(&Scope::new("user", id).unwrap()), Key::Long(_));
        assert!(!is_long(&"x".repeat(17)) && is_long(&"x".repeat(18)));
    }
}
