//! The program's reply: bytes from someone who may lie.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{ProgramError, Reply};

/// Deeper than any honest answer; what readers of JSON stop at.
const DEEPEST: usize = 100;

#[derive(Debug, Deserialize)]
enum Frame {
    #[serde(rename = "value")]
    Value(Box<RawValue>),
    #[serde(rename = "error")]
    Error(ProgramError),
}

/// Reads one frame: nothing, `{"value": …}` or `{"error": {…}}`, and nothing after it. An error's texts are cut to
/// their caps; a value has only the cap of the whole frame, and whoever reads it checks it.
///
/// # Errors
/// What is wrong with it.
pub fn parse_reply(bytes: &[u8]) -> Result<Option<Reply>, String> {
    if bytes.is_empty() {
        return Ok(None);
    }
    if depth(bytes) > DEEPEST {
        return Err(format!("it is nested more than {DEEPEST} levels deep"));
    }
    let frame: Frame = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    Ok(Some(match frame {
        Frame::Value(value) => Reply::Value(value),
        Frame::Error(error) => Reply::Error(error.capped()),
    }))
}

/// How deep arrays and objects are nested, without recursion.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0_usize, 0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_honest_frame_is_read() {
        let Some(Reply::Value(value)) = parse_reply(br#"{"value": {"a": [1, null]}}"#).unwrap() else {
            panic!("a value")
        };
        assert_eq!(value.get(), r#"{"a": [1, null]}"#);
        let error = br#"{"error": {"type": "KeyError", "message": "'x'", "traceback": "", "line": 3}}"#;
        assert!(matches!(parse_reply(error), Ok(Some(Reply::Error(error))) if error.line == Some(3)));
        assert!(
            matches!(parse_reply(br#"{"value": null}"#), Ok(Some(Reply::Value(value))) if value.get() == "null")
        );
        assert!(parse_reply(b"").unwrap().is_none());
    }

    #[test]
    fn anything_else_is_refused() {
        let deep = format!(r#"{{"value": {}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
        let frames: [&[u8]; 11] = [
            b"junk",
            b"{",
            b"{}",
            br#"{"value": 1}{"value": 2}"#,
            br#"{"value": 1, "value": 2}"#,
            br#"{"value": 1, "error": {"type": "E", "message": ""}}"#,
            br#"{"value": NaN}"#,
            br#"{"value": 1, "cost": 0}"#,
            br#"{"error": {"type": "E", "message": "", "cost": 0}}"#,
            b"{\"value\": \"\xff\"}",
            deep.as_bytes(),
        ];
        for frame in frames {
            assert!(parse_reply(frame).is_err(), "{}", String::from_utf8_lossy(frame));
        }
    }

    #[test]
    fn depth_looks_past_text() {
        assert_eq!(depth(br#"{"a": "[[[[\"[[", "b": [[1]]}"#), 3);
    }
}
