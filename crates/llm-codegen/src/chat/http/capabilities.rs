//! What a server takes: known, configured, and learnt from what it refuses.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::{Api, Effort, InstructionsRole, OutputCapField, StructuredOutput, refusal::Refusal};

/// How requests are put.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Capabilities {
    pub(super) cap_field: OutputCapField,
    pub(super) structured: StructuredOutput,
    pub(super) role: InstructionsRole,
    pub(super) temperature: Option<f64>,
    pub(super) effort: Option<Effort>,
    /// May it be told that nothing is to be stored?
    pub(super) takes_store: bool,
}

/// [`Capabilities`], less what the server refused so far.
#[derive(Debug)]
pub(super) struct Learnt {
    now: Mutex<Knowledge>,
}

#[derive(Debug, Clone, Copy)]
struct Knowledge {
    capabilities: Capabilities,
    /// There are two names for the cap, so it changes once.
    has_changed_cap_field: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parameter {
    OutputCap,
    Temperature,
    Effort,
    Structure,
    Developer,
    Store,
}

/// Where a parameter is in a body, and by which names it is complained of.
const PARAMETERS: [(Parameter, &str, &[&str]); 12] = [
    (
        Parameter::OutputCap,
        "/max_completion_tokens",
        &["max_completion_tokens"],
    ),
    (Parameter::OutputCap, "/max_tokens", &["max_tokens"]),
    (Parameter::Temperature, "/temperature", &["temperature"]),
    (Parameter::Effort, "/reasoning_effort", &["reasoning_effort"]),
    (
        Parameter::Effort,
        "/reasoning/effort",
        &["reasoning.effort", "reasoning"],
    ),
    (
        Parameter::Structure,
        "/response_format",
        &["response_format", "json_schema", "json_object"],
    ),
    (
        Parameter::Structure,
        "/text/format",
        &["text.format", "json_schema", "json_object", "text"],
    ),
    (
        Parameter::Structure,
        "/output_config/format",
        &[
            "output_config.format",
            "output_format",
            "json_schema",
            "structured output",
        ],
    ),
    (
        Parameter::Effort,
        "/output_config/effort",
        &["output_config.effort", "effort"],
    ),
    (Parameter::Structure, "/output_config/format", &["output_config"]),
    (
        Parameter::Developer,
        "/messages/0/role",
        &["developer", "messages[0].role"],
    ),
    (Parameter::Store, "/store", &["store"]),
];

const UNSUPPORTED: [&str; 9] = [
    "unsupported",
    "not supported",
    "not support",
    "unrecognized",
    "unknown parameter",
    "unexpected",
    "not permitted",
    "not allowed",
    "deprecated",
];

impl Learnt {
    pub(super) fn new(capabilities: Capabilities) -> Self {
        let now = Mutex::new(Knowledge {
            capabilities,
            has_changed_cap_field: false,
        });
        Self { now }
    }

    pub(super) fn capabilities(&self) -> Capabilities {
        self.lock().capabilities
    }

    /// If the server refused a parameter of this body that can be done without: remembers that, and names it.
    pub(super) fn adapt(&self, api: Api, body: &[u8], refusal: &Refusal) -> Option<String> {
        if !is_about_support(refusal) {
            return None;
        }
        let body: Value = serde_json::from_slice(body).ok()?;
        let sent = PARAMETERS.iter().filter(|(parameter, place, _)| {
            let needed = *parameter == Parameter::OutputCap && api != Api::ChatCompletions;
            let is_there = match parameter {
                Parameter::Developer => body.pointer(place).is_some_and(|role| role == "developer"),
                _ => body.pointer(place).is_some(),
            };
            is_there && !needed
        });
        let named = |name: &str| match &refusal.parameter {
            Some(parameter) => parameter == name,
            None => has_word(&refusal.message, name),
        };
        let (parameter, place, _) = sent
            .filter(|(_, _, names)| names.iter().any(|name| named(name)))
            .min_by_key(|(parameter, ..)| *parameter == Parameter::Developer)?;
        let goes_without = self.lock().give_up(*parameter, place, &body);
        goes_without.then(|| place.trim_start_matches('/').replace('/', "."))
    }

    fn lock(&self) -> MutexGuard<'_, Knowledge> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Knowledge {
    /// Will the next request differ from this one? Another call may have learnt the same meanwhile.
    fn give_up(&mut self, parameter: Parameter, place: &str, body: &Value) -> bool {
        let now = &mut self.capabilities;
        match parameter {
            Parameter::OutputCap => {
                let refused = match place {
                    "/max_tokens" => OutputCapField::MaxTokens,
                    _ => OutputCapField::MaxCompletionTokens,
                };
                if now.cap_field != refused {
                    return true;
                }
                if self.has_changed_cap_field {
                    return false;
                }
                self.has_changed_cap_field = true;
                now.cap_field = match refused {
                    OutputCapField::MaxTokens => OutputCapField::MaxCompletionTokens,
                    OutputCapField::MaxCompletionTokens => OutputCapField::MaxTokens,
                };
            }
            Parameter::Temperature => now.temperature = None,
            Parameter::Effort => now.effort = None,
            Parameter::Structure => {
                let form = body.pointer(place).map(|format| &format["type"]);
                let had_schema = form.is_some_and(|form| form == "json_schema");
                now.structured = match now.structured {
                    StructuredOutput::JsonSchema if !place.starts_with("/output_config") => {
                        StructuredOutput::JsonObject
                    }
                    // Somebody else learnt that there are no schemas; of plain JSON nothing is known yet.
                    StructuredOutput::JsonObject if had_schema => StructuredOutput::JsonObject,
                    _ => StructuredOutput::None,
                };
            }
            Parameter::Developer => now.role = InstructionsRole::System,
            Parameter::Store => now.takes_store = false,
        }
        true
    }
}

fn is_about_support(refusal: &Refusal) -> bool {
    let said = refusal.message.to_ascii_lowercase();
    if refusal.code.as_deref() == Some("invalid_json_schema") || said.contains("invalid schema") {
        return false;
    }
    let code = refusal.code.as_deref().unwrap_or_default();
    let is_code = matches!(
        code,
        "unsupported_parameter" | "unsupported_value" | "unknown_parameter"
    );
    is_code || UNSUPPORTED.iter().any(|words| said.contains(words))
}

/// Is it there, and not as a part of a longer name?
fn has_word(text: &str, word: &str) -> bool {
    let is_inner = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    text.match_indices(word).any(|(at, found)| {
        let before = text[..at].chars().next_back();
        let after = text[at + found.len()..].chars().next();
        !before.is_some_and(is_inner) && !after.is_some_and(is_inner)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Capabilities = Capabilities {
        cap_field: OutputCapField::MaxTokens,
        structured: StructuredOutput::JsonSchema,
        role: InstructionsRole::Developer,
        temperature: Some(0.0),
        effort: Some(Effort::Low),
        takes_store: true,
    };

    const CHAT: &str = r#"{"messages": [{"role": "developer"}], "max_tokens": 1, "temperature": 0,
        "reasoning_effort": "low", "response_format": {"type": "json_schema"}, "store": false}"#;

    fn refused(message: &str, parameter: Option<&str>) -> Refusal {
        Refusal {
            message: message.to_owned(),
            parameter: parameter.map(str::to_owned),
            ..Refusal::default()
        }
    }

    /// Texts as servers send them.
    #[test]
    fn each_refused_parameter_is_left_out_afterwards() {
        type Left = fn(Capabilities) -> bool;
        let cases: [(&str, Option<&str>, &str, Left); 8] = [
            (
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' \
                 instead.",
                Some("max_tokens"),
                "max_tokens",
                |left| left.cap_field == OutputCapField::MaxCompletionTokens,
            ),
            (
                "Unrecognized request argument supplied: max_tokens",
                None,
                "max_tokens",
                |left| left.cap_field == OutputCapField::MaxCompletionTokens,
            ),
            (
                "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value is \
                 supported.",
                Some("temperature"),
                "temperature",
                |left| left.temperature.is_none(),
            ),
            (
                "`temperature` is deprecated for this model.",
                None,
                "temperature",
                |left| left.temperature.is_none(),
            ),
            (
                "Unrecognized request argument supplied: reasoning_effort",
                None,
                "reasoning_effort",
                |left| left.effort.is_none(),
            ),
            (
                "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.",
                Some("response_format"),
                "response_format",
                |left| left.structured == StructuredOutput::JsonObject,
            ),
            (
                "Unsupported value: 'messages[0].role' does not support 'developer' with this model.",
                Some("messages[0].role"),
                "messages.0.role",
                |left| left.role == InstructionsRole::System,
            ),
            ("store: Extra inputs are not permitted", None, "store", |left| {
                !left.takes_store
            }),
        ];
        for (message, parameter, named, left_out) in cases {
            let learnt = Learnt::new(ALL);
            let refusal = refused(message, parameter);
            let found = learnt.adapt(Api::ChatCompletions, CHAT.as_bytes(), &refusal);
            assert_eq!(found.as_deref(), Some(named), "{message}");
            assert!(left_out(learnt.capabilities()), "{message}: {learnt:?}");
        }
    }

    #[test]
    fn what_was_not_sent_or_is_needed_or_is_otherwise_wrong_teaches_nothing() {
        for (api, body, message, parameter) in [
            (
                Api::ChatCompletions,
                "{}",
                "temperature is not supported",
                Some("temperature"),
            ),
            (
                Api::Messages,
                r#"{"max_tokens": 1}"#,
                "max_tokens is not supported",
                Some("max_tokens"),
            ),
            (
                Api::ChatCompletions,
                CHAT,
                "Invalid schema for response_format: 'minLength' is not permitted",
                None,
            ),
            (
                Api::ChatCompletions,
                CHAT,
                "temperature must be at most 2",
                Some("temperature"),
            ),
            (Api::ChatCompletions, CHAT, "this is not supported", None),
            (
                Api::ChatCompletions,
                "no JSON",
                "temperature is not supported",
                Some("temperature"),
            ),
        ] {
            let learnt = Learnt::new(ALL);
            assert_eq!(
                learnt.adapt(api, body.as_bytes(), &refused(message, parameter)),
                None,
                "{message}"
            );
            assert_eq!(learnt.capabilities(), ALL);
        }
    }

    #[test]
    fn a_call_is_always_capped_and_structure_is_given_up_step_by_step() {
        let learnt = Learnt::new(ALL);
        let refuse = |body: &str, name: &str| {
            let refusal = refused("not supported", Some(name));
            learnt
                .adapt(Api::ChatCompletions, body.as_bytes(), &refusal)
                .is_some()
        };
        assert!(refuse(r#"{"max_tokens": 1}"#, "max_tokens"));
        assert!(
            refuse(r#"{"max_tokens": 1}"#, "max_tokens"),
            "a call that was under way"
        );
        assert!(
            !refuse(r#"{"max_completion_tokens": 1}"#, "max_completion_tokens"),
            "no cap at all"
        );
        assert_eq!(
            learnt.capabilities().cap_field,
            OutputCapField::MaxCompletionTokens
        );

        let schema = r#"{"response_format": {"type": "json_schema"}}"#;
        assert!(refuse(schema, "response_format") && refuse(schema, "response_format"));
        assert_eq!(learnt.capabilities().structured, StructuredOutput::JsonObject);
        assert!(refuse(
            r#"{"response_format": {"type": "json_object"}}"#,
            "response_format"
        ));
        assert_eq!(learnt.capabilities().structured, StructuredOutput::None);
    }
}
