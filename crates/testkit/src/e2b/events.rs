//! What a kernel says, in the words of `/execute`.

use serde_json::{Map, Value, json};

use super::kernels::Message;

/// MIME types that have a name of their own.
const FORMS: [(&str, &str); 12] = [
    ("text/plain", "text"),
    ("text/html", "html"),
    ("text/markdown", "markdown"),
    ("image/svg+xml", "svg"),
    ("image/png", "png"),
    ("image/jpeg", "jpeg"),
    ("application/pdf", "pdf"),
    ("text/latex", "latex"),
    ("application/json", "json"),
    ("application/javascript", "javascript"),
    ("e2b/data", "data"),
    ("e2b/chart", "chart"),
];

/// One execution, as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Progress {
    has_begun: bool,
    has_failed: bool,
    /// Nothing tells of its beginning but that the kernel is busy.
    is_silent: bool,
}

/// What a message means.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    Event(Value),
    End,
    /// Nothing for whoever executes.
    Nothing,
}

impl Progress {
    pub(super) fn silent() -> Self {
        Self {
            is_silent: true,
            ..Self::default()
        }
    }

    pub(super) fn step(&mut self, message: Message) -> Step {
        let Message { kind, content, at } = message;
        match kind.as_str() {
            "execute_input" => {
                self.has_begun = true;
                let count = &content["execution_count"];
                Step::Event(json!({ "type": "number_of_executions", "execution_count": count }))
            }
            "stream" => Step::Event(json!({
                "type": content["name"], "text": content["text"], "timestamp": at,
            })),
            "display_data" | "execute_result" => {
                Step::Event(result(&content["data"], kind == "execute_result"))
            }
            "error" => self.failed(&content),
            // One that was put off because another failed says "aborted", which the original does not know: nothing
            // more comes of it, not even its end.
            "execute_reply" if content["status"] == "error" => self.failed(&content),
            "status" => match content["execution_state"].as_str() {
                Some("busy") => {
                    self.has_begun |= self.is_silent;
                    Step::Nothing
                }
                Some("idle") if self.has_begun => Step::End,
                _ => Step::Nothing,
            },
            _ => Step::Nothing,
        }
    }

    /// Said twice, and told once.
    fn failed(&mut self, content: &Value) -> Step {
        if std::mem::replace(&mut self.has_failed, true) {
            return Step::Nothing;
        }
        let lines = content["traceback"].as_array().into_iter().flatten();
        let traceback: String = lines.filter_map(Value::as_str).collect();
        Step::Event(error(
            content["ename"].as_str().unwrap_or_default(),
            content["evalue"].as_str().unwrap_or_default(),
            &traceback,
        ))
    }
}

pub(super) fn error(name: &str, value: &str, traceback: &str) -> Value {
    json!({ "type": "error", "name": name, "value": value, "traceback": traceback })
}

fn result(data: &Value, is_main_result: bool) -> Value {
    let mut extra = data.as_object().cloned().unwrap_or_default();
    let mut event = Map::new();
    event.insert("type".to_owned(), json!("result"));
    for (mime, name) in FORMS {
        if let Some(form) = extra.remove(mime).filter(|form| !form.is_null()) {
            event.insert(name.to_owned(), form);
        }
    }
    if let Some(Value::String(text)) = event.get_mut("text") {
        *text = unquoted(text).to_owned();
    }
    event.insert("extra".to_owned(), Value::Object(extra));
    event.insert("is_main_result".to_owned(), json!(is_main_result));
    Value::Object(event)
}

/// A text is shown as it is, and not as Python would write it.
fn unquoted(text: &str) -> &str {
    let inside = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
    inside('\'').or_else(|| inside('"')).unwrap_or(text)
}
