//! What was used, in the counting of OpenAI.

use meterbox_core::TokenUsage;
use serde::Deserialize;
use serde_json::Value;

use super::Count;

/// As Chat Completions and Responses write it; servers leave out what they like.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OfOpenAi {
    #[serde(alias = "input_tokens")]
    prompt_tokens: Count,
    #[serde(alias = "output_tokens")]
    completion_tokens: Count,
    total_tokens: Count,
    #[serde(alias = "input_tokens_details")]
    prompt_tokens_details: Option<Details>,
    #[serde(alias = "output_tokens_details")]
    completion_tokens_details: Option<Details>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    cached_tokens: Count,
    cache_write_tokens: Count,
    reasoning_tokens: Count,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OfAnthropic {
    input_tokens: Count,
    output_tokens: Count,
    cache_read_input_tokens: Count,
    cache_creation_input_tokens: Count,
    cache_creation: Option<Written>,
    output_tokens_details: Option<Thought>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Written {
    ephemeral_1h_input_tokens: Count,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Thought {
    thinking_tokens: Count,
}

/// `None` where input or output is not known: half a count is no count, and no call has an empty input.
pub(super) fn of_openai(usage: &Value) -> Option<TokenUsage> {
    let said = OfOpenAi::deserialize(usage).ok()?;
    let input = said.prompt_tokens.0.filter(|tokens| *tokens > 0)?;
    // Some servers count reasoning beside the output, and only in the total.
    let by_total = said.total_tokens.0.map(|total| total.saturating_sub(input));
    let output = said.completion_tokens.0.max(by_total)?;
    let of_input = said.prompt_tokens_details.unwrap_or_default();
    let of_output = said.completion_tokens_details.unwrap_or_default();
    Some(TokenUsage {
        input,
        cached: of_input.cached_tokens.0.unwrap_or_default(),
        cache_write: of_input.cache_write_tokens.0.unwrap_or_default(),
        cache_write_1h: 0,
        output,
        reasoning: of_output.reasoning_tokens.0.unwrap_or_default(),
    })
}

/// Anthropic counts what came from and went to a cache beside the input.
pub(super) fn of_anthropic(usage: &Value) -> Option<TokenUsage> {
    let said = OfAnthropic::deserialize(usage).ok()?;
    let beside = said.input_tokens.0?;
    let cached = said.cache_read_input_tokens.0.unwrap_or_default();
    let written = said.cache_creation_input_tokens.0.unwrap_or_default();
    let for_an_hour = said
        .cache_creation
        .unwrap_or_default()
        .ephemeral_1h_input_tokens
        .0;
    let for_an_hour = for_an_hour.unwrap_or_default().min(written);
    let input = beside.saturating_add(cached).saturating_add(written);
    if input == 0 {
        return None;
    }
    Some(TokenUsage {
        input,
        cached,
        cache_write: written - for_an_hour,
        cache_write_1h: for_an_hour,
        output: said.output_tokens.0?,
        reasoning: said
            .output_tokens_details
            .unwrap_or_default()
            .thinking_tokens
            .0
            .unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parts_are_counted_once_whoever_counts() {
        let expected = TokenUsage {
            input: 32,
            cached: 31,
            output: 9,
            reasoning: 4,
            ..TokenUsage::default()
        };
        let chat = json!({
            "prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 41,
            "prompt_tokens_details": { "cached_tokens": 31, "audio_tokens": null },
            "completion_tokens_details": { "reasoning_tokens": 4, "audio_tokens": null },
        });
        let responses = json!({
            "input_tokens": 32, "output_tokens": 9, "total_tokens": 41,
            "input_tokens_details": { "cached_tokens": 31, "cache_write_tokens": null },
            "output_tokens_details": { "reasoning_tokens": 4 },
        });
        assert_eq!(of_openai(&chat), Some(expected));
        assert_eq!(of_openai(&responses), Some(expected));
        let messages = json!({
            "input_tokens": 1, "cache_read_input_tokens": 31, "cache_creation_input_tokens": 0, "output_tokens": 9,
            "output_tokens_details": { "thinking_tokens": 4 },
        });
        assert_eq!(of_anthropic(&messages), Some(expected));
        let writes = json!({
            "input_tokens": 1, "cache_read_input_tokens": null, "cache_creation_input_tokens": 30, "output_tokens": 9,
            "cache_creation": { "ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 10 },
        });
        let usage = of_anthropic(&writes).expect("usage");
        assert_eq!(
            (
                usage.input,
                usage.cache_write,
                usage.cache_write_1h,
                usage.plain_input()
            ),
            (31, 20, 10, 1)
        );
    }

    #[test]
    fn nothing_is_made_up_and_nothing_is_missed() {
        for (usage, expected) in [
            (
                json!({ "prompt_tokens": 5, "completion_tokens": 2 }),
                Some((5, 2)),
            ),
            (
                json!({ "prompt_tokens": 5.0, "completion_tokens": 2 }),
                Some((5, 2)),
            ),
            (
                json!({ "prompt_tokens": 5, "completion_tokens": null, "total_tokens": 9 }),
                Some((5, 4)),
            ),
            // Reasoning that only the total has.
            (
                json!({ "prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 30 }),
                Some((5, 25)),
            ),
            (
                json!({ "prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 0 }),
                Some((5, 2)),
            ),
            (json!({ "prompt_tokens": 5 }), None),
            (
                json!({ "prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0 }),
                None,
            ),
            (json!({ "completion_tokens": 5 }), None),
            (json!({ "prompt_tokens": -5, "completion_tokens": 2 }), None),
            (json!(null), None),
            (json!("much"), None),
        ] {
            let found = of_openai(&usage).map(|usage| (usage.input, usage.output));
            assert_eq!(found, expected, "{usage}");
        }
        let nothing = json!({ "input_tokens": 0, "output_tokens": 0 });
        assert_eq!(of_anthropic(&nothing), None);
    }
}
