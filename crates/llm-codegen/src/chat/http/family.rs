//! What is known of models by their names.

use super::StructuredOutput;

/// What the models of a family have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Family {
    /// Of OpenAI's own making: its tokenizers are known.
    pub(super) is_of_openai: bool,
    /// Reasons before it speaks, and takes no temperature.
    pub(super) reasons: bool,
    pub(super) structured: StructuredOutput,
    /// In tokens.
    pub(super) context_window: Option<u64>,
    /// Is only served by Responses.
    pub(super) needs_responses: bool,
}

/// Families by the beginnings of their models' names; the first that fits counts.
const OPENAI: [(&str, bool, StructuredOutput, u64); 14] = {
    use StructuredOutput::{JsonObject, JsonSchema, None};
    [
        ("gpt-4.1", false, JsonSchema, 1_047_576),
        ("gpt-4o-2024-05-13", false, JsonObject, 128_000),
        ("gpt-4o", false, JsonSchema, 128_000),
        ("gpt-4-turbo", false, JsonObject, 128_000),
        ("gpt-4-0125", false, JsonObject, 128_000),
        ("gpt-4-1106", false, JsonObject, 128_000),
        ("gpt-4-32k", false, None, 32_768),
        ("gpt-4", false, None, 8_192),
        ("gpt-3.5", false, JsonObject, 16_385),
        ("gpt-35", false, JsonObject, 16_385),
        ("o1-mini", true, None, 128_000),
        ("o1-preview", true, None, 128_000),
        ("codex-mini", true, JsonSchema, 200_000),
        ("o", true, JsonSchema, 200_000),
    ]
};

/// Models of Anthropic from before it held replies to schemas.
const UNSTRUCTURED_CLAUDES: [&str; 6] = [
    "claude-2",
    "claude-3",
    "claude-instant",
    "claude-opus-4-0",
    "claude-sonnet-4-0",
    "claude-sonnet-4-2",
];

/// The family of a model, by its name as OpenAI, Azure or a gateway has it (`openai/gpt-5-mini`).
pub(super) fn family(name: &str) -> Option<Family> {
    let name = name.to_ascii_lowercase();
    let name = name.rsplit('/').next().unwrap_or_default();
    let name = name.strip_prefix("ft:").unwrap_or(name);
    if name.starts_with("claude-") {
        return Some(claude(name));
    }
    let needs_responses = ["codex", "-pro", "deep-research"]
        .iter()
        .any(|part| name.contains(part));
    let of_openai = |reasons, structured, context_window| Family {
        is_of_openai: true,
        reasons,
        structured,
        context_window: Some(context_window),
        needs_responses,
    };
    if let Some(generation) = generation(name) {
        let chats = name.contains("-chat");
        let window = if chats { 128_000 } else { 400_000 };
        return (generation >= 5)
            .then(|| of_openai(!chats, StructuredOutput::JsonSchema, window))
            .or_else(|| {
                let (_, reasons, structured, window) =
                    OPENAI.iter().find(|(start, ..)| name.starts_with(start))?;
                Some(of_openai(*reasons, *structured, *window))
            });
    }
    let is_o = name
        .strip_prefix('o')
        .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()));
    if !is_o && !name.starts_with("codex-mini") {
        return None;
    }
    let (_, reasons, structured, window) = OPENAI.iter().find(|(start, ..)| name.starts_with(start))?;
    Some(of_openai(*reasons, *structured, *window))
}

/// The number after `gpt-`.
fn generation(name: &str) -> Option<u32> {
    let rest = name.strip_prefix("gpt-")?;
    let digits = rest.split(|letter: char| !letter.is_ascii_digit()).next()?;
    match digits {
        // Azure writes 3.5 without its dot.
        "35" => Some(3),
        digits => digits.parse().ok(),
    }
}

fn claude(name: &str) -> Family {
    let is_old = UNSTRUCTURED_CLAUDES.iter().any(|start| name.starts_with(start))
        || name.starts_with("claude-opus-4-2");
    Family {
        is_of_openai: false,
        reasons: false,
        structured: if is_old {
            StructuredOutput::None
        } else {
            StructuredOutput::JsonSchema
        },
        context_window: Some(200_000),
        needs_responses: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_known_by_name() {
        use StructuredOutput::{JsonObject, JsonSchema, None};
        for (name, reasons, structured, needs_responses) in [
            ("gpt-5-mini-2025-08-07", true, JsonSchema, false),
            ("openai/gpt-5.2", true, JsonSchema, false),
            ("gpt-5.1-codex-max", true, JsonSchema, true),
            ("gpt-5-pro", true, JsonSchema, true),
            ("gpt-5-chat-latest", false, JsonSchema, false),
            ("gpt-6-nano", true, JsonSchema, false),
            ("GPT-4.1-mini", false, JsonSchema, false),
            ("gpt-4o-2024-05-13", false, JsonObject, false),
            ("ft:gpt-4o-mini:acme", false, JsonSchema, false),
            ("gpt-4", false, None, false),
            ("gpt-35-turbo", false, JsonObject, false),
            ("o3-pro", true, JsonSchema, true),
            ("o1-mini", true, None, false),
            ("codex-mini", true, JsonSchema, true),
            ("claude-sonnet-4-5", false, JsonSchema, false),
            ("claude-opus-5-5", false, JsonSchema, false),
            ("claude-sonnet-4-20250514", false, None, false),
            ("claude-opus-4-1-20250805", false, JsonSchema, false),
            ("claude-3-5-haiku-latest", false, None, false),
        ] {
            let found = family(name).expect(name);
            assert_eq!(
                (found.reasons, found.structured, found.needs_responses),
                (reasons, structured, needs_responses),
                "{name}"
            );
        }
        for name in [
            "analyst",
            "gpt-oss-120b",
            "llama-3.3",
            "openchat",
            "o",
            "qwen3-coder",
            "",
        ] {
            assert_eq!(family(name), Option::None, "{name}");
        }
    }
}
