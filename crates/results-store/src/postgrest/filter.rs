//! Filters in PostgREST's words. A value that stands alone after its operator is taken as it is; in a list it is quoted
//! where it would read as syntax.

use super::PostgrestError;

/// What a column must be. Values are compared as the column's type reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Filter {
    /// Equal.
    Eq(String),
    /// Not equal.
    Neq(String),
    /// Greater.
    Gt(String),
    /// Greater or equal.
    Gte(String),
    /// Less.
    Lt(String),
    /// Less or equal.
    Lte(String),
    /// One of these.
    In(Vec<String>),
    /// Null.
    IsNull,
    /// Anything but null.
    IsNotNull,
}

impl Filter {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Eq(value) => format!("eq.{value}"),
            Self::Neq(value) => format!("neq.{value}"),
            Self::Gt(value) => format!("gt.{value}"),
            Self::Gte(value) => format!("gte.{value}"),
            Self::Lt(value) => format!("lt.{value}"),
            Self::Lte(value) => format!("lte.{value}"),
            Self::In(values) => {
                let quoted: Vec<String> = values.iter().map(|value| quoted(value)).collect();
                format!("in.({})", quoted.join(","))
            }
            Self::IsNull => "is.null".to_owned(),
            Self::IsNotNull => "not.is.null".to_owned(),
        }
    }
}

/// A name of a table, column or function that needs no quoting anywhere.
pub(super) fn name(name: &str) -> Result<&str, PostgrestError> {
    let begins_well = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    if begins_well && name.chars().all(is_plain) {
        return Ok(name);
    }
    Err(PostgrestError::Unusable {
        what: "a name",
        reason: format!(
            "{:?} has other characters than A-Z, a-z, 0-9 and _",
            meterbox_http_client::shown(name)
        ),
    })
}

/// In double quotes where it has a character that means something in a list, or is empty or has space at its ends.
fn quoted(value: &str) -> String {
    let is_syntax = |letter: char| matches!(letter, ',' | '(' | ')' | '"' | '\\');
    if !value.is_empty() && value.trim() == value && !value.contains(is_syntax) {
        return value.to_owned();
    }
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_reads_as_syntax() {
        for (value, expected) in [
            ("plain", "plain"),
            ("user/ana", "user/ana"),
            ("a,b", "\"a,b\""),
            ("a)", "\"a)\""),
            ("say \"hi\"", "\"say \\\"hi\\\"\""),
            ("back\\slash", "\"back\\\\slash\""),
            ("", "\"\""),
            (" a", "\" a\""),
            ("a b", "a b"),
        ] {
            assert_eq!(quoted(value), expected);
        }
        let list = Filter::In(vec!["a".into(), "b,c".into()]);
        assert_eq!(list.text(), "in.(a,\"b,c\")");
        assert_eq!(Filter::Eq("eq.(x),".into()).text(), "eq.eq.(x),");
        assert!(
            name("created_at").is_ok() && name("").is_err() && name("a.b").is_err() && name("1a").is_err()
        );
    }
}
