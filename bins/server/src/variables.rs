use std::collections::{HashMap, HashSet};

/// What is set of one matter in the environment and in `.env` files.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Variables {
    set: HashMap<&'static str, String>,
    /// Those that came from a file, which may have come with somebody's data.
    in_files: HashSet<&'static str>,
}

impl Variables {
    /// Of all variables, these; `in_files` names those that only a file sets.
    pub(crate) fn of(
        wanted: &[&'static str],
        names: &HashMap<String, String>,
        in_files: &HashSet<String>,
    ) -> Self {
        let set = wanted.iter().filter_map(|name| {
            let value = names.get(*name)?.trim();
            (!value.is_empty()).then(|| (*name, value.to_owned()))
        });
        let from_files = wanted.iter().filter(|name| in_files.contains(**name));
        Self {
            set: set.collect(),
            in_files: from_files.copied().collect(),
        }
    }

    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.set.get(name).map(String::as_str)
    }

    /// Is it set by a file alone?
    pub(crate) fn is_from_file(&self, name: &str) -> bool {
        self.in_files.contains(name)
    }
}

/// Without the values, of which some are keys.
impl std::fmt::Debug for Variables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.set.keys()).finish()
    }
}
