//! The little grammar that readings need.

/// A name of one thing, as the name of several: "Category" to "Categories", "Order ID" to "Order IDs".
pub(super) fn plural(name: &str) -> String {
    let lower = name.to_lowercase();
    let shouted = name.chars().any(char::is_uppercase) && !name.chars().any(char::is_lowercase);
    if (shouted && !lower.ends_with("id")) || !name.ends_with(|last: char| last.is_ascii_alphabetic()) {
        return name.to_owned();
    }
    let stem = &name[..name.len() - 1];
    let before = stem.chars().last();
    match () {
        () if lower.ends_with('y') && before.is_some_and(|letter| !"aeiouAEIOU".contains(letter)) => {
            format!("{stem}ies")
        }
        () if ["us", "ss", "x", "z", "ch", "sh"]
            .iter()
            .any(|end| lower.ends_with(end)) =>
        {
            format!("{name}es")
        }
        () if lower.ends_with('s') => name.to_owned(),
        () => format!("{name}s"),
    }
}

/// Does the name speak of several things, as most names of tables do?
pub(super) fn is_plural(name: &str) -> bool {
    let lower = name.to_lowercase();
    lower.ends_with('s') && !lower.ends_with("ss") && !lower.ends_with("us")
}

#[cfg(test)]
mod tests {
    use super::{is_plural, plural};

    #[test]
    fn names_of_one_thing_become_names_of_several() {
        for (one, several) in [
            ("product", "products"),
            ("Category", "Categories"),
            ("Order ID", "Order IDs"),
            ("day", "days"),
            ("status", "statuses"),
            ("boss", "bosses"),
            ("sales", "sales"),
            ("HIRE_DATE", "HIRE_DATE"),
            ("größe €", "größe €"),
            ("", ""),
        ] {
            assert_eq!(plural(one), several);
        }
        assert!(is_plural("order lines") && !is_plural("superstore") && !is_plural("status"));
    }
}
