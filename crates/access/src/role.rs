use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What the holder of a key may do. Each role may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Read the answers and the budget of its principal.
    Viewer,
    /// Ask, and cancel what was asked.
    Analyst,
    /// Manage budgets and keys of the whole installation, and read the audit log.
    Admin,
}

/// The text is no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a role is one of viewer, analyst and admin")]
pub struct InvalidRole;

impl Role {
    const ALL: [Self; 3] = [Self::Viewer, Self::Analyst, Self::Admin];

    /// May the holder of this role do what needs `other`?
    pub fn covers(self, other: Self) -> bool {
        self >= other
    }

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Analyst => "analyst",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = InvalidRole;

    fn from_str(text: &str) -> Result<Self, InvalidRole> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or(InvalidRole)
    }
}
