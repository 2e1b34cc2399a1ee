//! What servers say when they say no, in whichever form.

use std::time::Duration;

use serde_json::Value;

/// Everything may be missing but a message.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) message: String,
    /// `error.type`.
    pub(super) kind: Option<String>,
    /// `error.code`, also where it is a number.
    pub(super) code: Option<String>,
    /// `error.param`.
    pub(super) parameter: Option<String>,
    /// `error.innererror.code` of Azure.
    pub(super) inner_code: Option<String>,
}

impl Refusal {
    /// Reads an error object (`{"error": {…}}`), a flat one (`{"message": …}`, `{"statusCode": …}`), a text
    /// (`{"error": "…"}`), a `detail` (a text, or a list of what is wrong where), or whatever else it is as a text.
    pub(super) fn read(body: &[u8]) -> Self {
        let Ok(value) = serde_json::from_slice::<Value>(body) else {
            return Self::saying(String::from_utf8_lossy(body).into_owned());
        };
        match &value["error"] {
            Value::Object(_) => Self::of_object(&value["error"]),
            Value::String(message) => {
                let whole = Self::of_object(&value);
                Self {
                    message: message.clone(),
                    ..whole
                }
            }
            _ => Self::of_object(&value),
        }
    }

    fn saying(message: String) -> Self {
        Self {
            message,
            ..Self::default()
        }
    }

    fn of_object(object: &Value) -> Self {
        let said = ["message", "detail", "error_description", "title"]
            .iter()
            .find_map(|name| words(&object[name]));
        let inner = match &object["innererror"] {
            Value::Null => &object["inner_error"],
            inner => inner,
        };
        Self {
            message: said.unwrap_or_default(),
            kind: name(&object["type"]),
            code: name(&object["code"]).or_else(|| name(&object["statusCode"])),
            parameter: name(&object["param"]),
            inner_code: name(&inner["code"]),
        }
    }

    /// Is it called one of these?
    pub(super) fn is_called(&self, names: &[&str]) -> bool {
        [&self.kind, &self.code, &self.inner_code]
            .into_iter()
            .flatten()
            .any(|name| names.contains(&name.as_str()))
    }

    /// Does it say one of these, in whichever case?
    pub(super) fn says(&self, phrases: &[&str]) -> bool {
        let said = self.message.to_lowercase();
        phrases.iter().any(|phrase| said.contains(phrase))
    }

    /// The pause that only the words ask for: Azure's `Please retry after 30 seconds`.
    pub(super) fn asked_pause(&self) -> Option<Duration> {
        let said = self.message.to_lowercase();
        let rest = said.split("retry after ").nth(1)?;
        let (number, unit) = rest.split_once(' ')?;
        let number: u64 = number.parse().ok()?;
        match unit.get(..6)? {
            "second" => Some(Duration::from_secs(number)),
            "millis" => Some(Duration::from_millis(number)),
            _ => None,
        }
    }
}

/// A text, or a list of what is wrong where.
fn words(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Array(items) => {
            let lines: Vec<String> = items.iter().filter_map(line).collect();
            (!lines.is_empty()).then(|| lines.join("; "))
        }
        _ => None,
    }
}

/// `{"loc": ["body", "store"], "msg": "…"}`, as servers in Python write it.
fn line(item: &Value) -> Option<String> {
    let said = item["msg"].as_str().or_else(|| item.as_str())?;
    let place: Vec<&str> = item["loc"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .filter(|part| *part != "body")
        .collect();
    match place.is_empty() {
        true => Some(said.to_owned()),
        false => Some(format!("{}: {said}", place.join("."))),
    }
}

fn name(value: &Value) -> Option<String> {
    match value {
        Value::String(name) if !name.is_empty() => Some(name.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_form_in_use_is_read() {
        for (body, message, code) in [
            (
                r#"{"error": {"message": "no", "type": "t", "param": null, "code": "c"}}"#,
                "no",
                Some("c"),
            ),
            (r#"{"error": {"code": 400, "message": "no"}}"#, "no", Some("400")),
            (
                r#"{"object": "error", "message": "no", "code": 404}"#,
                "no",
                Some("404"),
            ),
            (r#"{"statusCode": 401, "message": "no"}"#, "no", Some("401")),
            (r#"{"error": "no"}"#, "no", None),
            (r#"{"detail": "no"}"#, "no", None),
            (
                r#"{"detail": [{"loc": ["body", "store"], "msg": "Extra inputs are not permitted"}, "no"]}"#,
                "store: Extra inputs are not permitted; no",
                None,
            ),
            (
                r#"{"type": "error", "error": {"type": "t", "message": "no"}}"#,
                "no",
                None,
            ),
            ("Bad Gateway", "Bad Gateway", None),
            ("[1, 2]", "", None),
            ("", "", None),
        ] {
            let refusal = Refusal::read(body.as_bytes());
            assert_eq!(
                (refusal.message.as_str(), refusal.code.as_deref()),
                (message, code),
                "{body}"
            );
        }
        let azure = br#"{"error": {"code": "content_filter", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}"#;
        assert!(Refusal::read(azure).is_called(&["ResponsibleAIPolicyViolation"]));
    }

    #[test]
    fn a_pause_can_be_in_the_words_alone() {
        for (said, expected) in [
            ("Please retry after 86400 seconds. Contact us", Some(86_400_000)),
            ("Retry after 1 second.", Some(1_000)),
            ("Please retry after 250 milliseconds", Some(250)),
            ("Please retry after a while ", None),
            ("Please retry after 10 ✓✓✓✓", None),
        ] {
            let pause = Refusal::saying(said.to_owned()).asked_pause();
            assert_eq!(pause.map(|pause| pause.as_millis()), expected, "{said}");
        }
    }

    proptest! {
        #[test]
        fn no_body_panics(bytes: Vec<u8>, words in r#"[{}\[\]":,a-z0-9 ]{0,80}"#) {
            for body in [bytes.as_slice(), words.as_bytes()] {
                let refusal = Refusal::read(body);
                let _ = (refusal.asked_pause(), refusal.says(&["no"]));
            }
        }
    }
}
