//! What is told of a machine that programs are to run on.

/// What a run needs, and whether it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// One thing after the other; a later one may be left out where an earlier one failed.
    pub checks: Vec<Check>,
}

/// One thing a run needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was tried.
    pub check: String,
    /// Whether it works.
    pub ok: bool,
    /// What was found.
    pub found: String,
    /// What to do about it, where it does not work.
    pub fix: Option<String>,
}

impl Diagnosis {
    /// Whether programs can be run here.
    pub fn is_ok(&self) -> bool {
        self.checks.iter().all(|check| check.ok)
    }
}

impl Check {
    pub(crate) fn works(check: &str, found: impl Into<String>) -> Self {
        Self {
            check: check.to_owned(),
            ok: true,
            found: found.into(),
            fix: None,
        }
    }

    pub(crate) fn fails(check: &str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            check: check.to_owned(),
            ok: false,
            found: found.into(),
            fix: Some(fix.into()),
        }
    }
}
