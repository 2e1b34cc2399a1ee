//! A program out of a model's reply, in whichever of the two forms it came.

use serde::Deserialize;
use serde_json::Value;

/// What a reply holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) reading: String,
    pub(super) assumptions: Vec<String>,
    pub(super) code: String,
}

/// A reply in JSON. What is not as it was asked for beside the program costs no further call.
#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    reading: Value,
    #[serde(default)]
    assumptions: Value,
    code: String,
}

/// The longest reading and assumption that are kept, and how many of them.
const MAX_WORDS: usize = 500;
const MAX_ASSUMPTIONS: usize = 10;

/// The program in a reply: that of a JSON document, bare or fenced, or else the longest fenced block.
pub(super) fn extract(reply: &str) -> Option<Written> {
    let reply = without_thoughts(reply);
    let blocks = fenced_blocks(reply);
    let from_json = std::iter::once(reply)
        .chain(blocks.iter().map(|block| block.text))
        .find_map(json);
    let written = from_json.or_else(|| fenced(reply, &blocks))?;
    let code = written.code.trim();
    if code.is_empty() {
        return None;
    }
    Some(Written {
        reading: words(&written.reading),
        assumptions: written
            .assumptions
            .iter()
            .map(|assumption| words(assumption))
            .filter(|assumption| !assumption.is_empty())
            .take(MAX_ASSUMPTIONS)
            .collect(),
        code: unfenced(code),
    })
}

/// Some servers leave in what a model said to itself before.
fn without_thoughts(reply: &str) -> &str {
    let thinks = reply.trim_start().starts_with("<think>");
    match reply.split_once("</think>") {
        Some((_, said)) if thinks => said,
        _ => reply,
    }
}

fn json(text: &str) -> Option<Written> {
    let (from, to) = (text.find('{')?, text.rfind('}')?);
    // A program may hold braces; a document begins with one.
    if !text[..from].trim().is_empty() {
        return None;
    }
    let document: Document = serde_json::from_str(text.get(from..=to)?).ok()?;
    let texts = |value: &Value| match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items
            .iter()
            .filter_map(|item| Some(item.as_str()?.to_owned()))
            .collect(),
        _ => Vec::new(),
    };
    Some(Written {
        reading: texts(&document.reading).join(" "),
        assumptions: texts(&document.assumptions),
        code: document.code,
    })
}

fn fenced(reply: &str, blocks: &[Block<'_>]) -> Option<Written> {
    let is_program = |block: &&Block<'_>| {
        let language = block.language.split_whitespace().next().unwrap_or_default();
        matches!(
            language.to_ascii_lowercase().as_str(),
            "" | "python" | "py" | "python3"
        )
    };
    let longest = blocks
        .iter()
        .filter(is_program)
        .max_by_key(|block| block.text.len())?;
    let said = |label: &'static str| {
        reply.lines().filter_map(move |line| {
            let line = line.trim().trim_start_matches(['-', '*', ' ']);
            let (said, rest) = line.split_once(':')?;
            said.trim_matches('*').eq_ignore_ascii_case(label).then_some(rest)
        })
    };
    Some(Written {
        reading: said("reading").next().unwrap_or_default().to_owned(),
        assumptions: said("assumption").map(str::to_owned).collect(),
        code: longest.text.to_owned(),
    })
}

struct Block<'a> {
    language: &'a str,
    text: &'a str,
}

/// The blocks between lines of three backticks; one that is not closed goes to the end.
fn fenced_blocks(reply: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut open: Option<(&str, usize)> = None;
    let mut at = 0;
    for line in reply.split_inclusive('\n') {
        let fence = line.trim().strip_prefix("```");
        match (fence, open) {
            (Some(language), None) => open = Some((language.trim(), at + line.len())),
            (Some(_), Some((language, from))) => {
                blocks.push(Block {
                    language,
                    text: &reply[from..at],
                });
                open = None;
            }
            (None, _) => {}
        }
        at += line.len();
    }
    if let Some((language, from)) = open {
        blocks.push(Block {
            language,
            text: &reply[from..],
        });
    }
    blocks
}

/// Some models fence the program inside of the JSON as well.
fn unfenced(code: &str) -> String {
    let inner = fenced_blocks(code)
        .into_iter()
        .max_by_key(|block| block.text.len());
    match inner {
        Some(block) if code.starts_with("```") => block.text.trim().to_owned(),
        _ => code.to_owned(),
    }
}

/// One line of plain words: shown to people, so without what could confuse a terminal.
fn words(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    words
        .chars()
        .filter(|character| !character.is_control())
        .take(MAX_WORDS)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn code_of(reply: &str) -> Option<String> {
        extract(reply).map(|written| written.code)
    }

    #[test]
    fn a_json_reply_is_read_bare_or_fenced() {
        let document =
            r#"{"reading": "revenue\n by product", "assumptions": ["a", " "], "code": "result = 1"}"#;
        for reply in [
            document.to_owned(),
            format!("  {document}\n"),
            format!("```json\n{document}\n```"),
            format!("Here you are:\n```\n{document}\n```\nBye."),
        ] {
            let written = extract(&reply).unwrap();
            assert_eq!(written.reading, "revenue by product");
            assert_eq!(written.assumptions, ["a"]);
            assert_eq!(written.code, "result = 1");
        }
        for (assumptions, expected) in [
            ("null", vec![]),
            (r#""net""#, vec!["net"]),
            (r#"[1, "net"]"#, vec!["net"]),
        ] {
            let reply = format!(r#"{{"reading": null, "assumptions": {assumptions}, "code": "result = 1"}}"#);
            let written = extract(&reply).unwrap();
            assert_eq!(
                (written.reading.as_str(), written.code.as_str()),
                ("", "result = 1")
            );
            assert_eq!(written.assumptions, expected);
        }
        let thought = format!(
            "<think>\nMaybe ```python\nresult = 'no, that would be wrong'\n```?\n</think>\n{document}"
        );
        assert_eq!(code_of(&thought).unwrap(), "result = 1");
        assert_eq!(
            code_of(r#"{"code": "```python\nresult = {}\n```"}"#).unwrap(),
            "result = {}"
        );
    }

    #[test]
    fn a_fenced_reply_gives_its_longest_block() {
        let reply = "Reading: revenue\n- **Assumption**: net\nAssumption: no returns\n```python\nx = 1\n```\n\
                     Better:\n```py\nx = {'a': 1}\nresult = x\n```\n```text\nsomething much longer than the programs are\n```";
        let written = extract(reply).unwrap();
        assert_eq!(written.reading, "revenue");
        assert_eq!(written.assumptions, ["net", "no returns"]);
        assert_eq!(written.code, "x = {'a': 1}\nresult = x");
        assert_eq!(
            code_of("```Python title=\"x\"\nresult = 2\n```").unwrap(),
            "result = 2"
        );
        assert_eq!(code_of("```python\nresult = 2").unwrap(), "result = 2", "cut off");
    }

    #[test]
    fn without_a_program_there_is_none() {
        for reply in [
            "",
            "I cannot do that.",
            "```\n```",
            r#"{"code": "  "}"#,
            r#"{"reading": "x"}"#,
            "{",
            "}{",
        ] {
            assert_eq!(extract(reply), None, "{reply}");
        }
    }

    proptest! {
        #[test]
        fn no_reply_is_too_odd(reply in "[ -~\n`{}\"\u{2028}é]{0,200}") {
            if let Some(written) = extract(&reply) {
                prop_assert!(!written.code.trim().is_empty());
                prop_assert!(!written.reading.contains('\n'));
            }
        }
    }
}
