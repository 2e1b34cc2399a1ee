//! Any bytes for the two readers of what a program made; `fuzz/` looks further, led by coverage.
//!
//! `PROPTEST_RNG_SEED` and `PROPTEST_CASES` choose the bytes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "untrusted/checks.rs"]
mod checks;

use proptest::{collection::vec, prelude::*, sample::select};

/// What replies are made of, so that more than noise is tried.
const PIECES: [&str; 34] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "null",
    "true",
    "NaN",
    "1e999",
    "-0",
    "1.5",
    "9223372036854775808",
    "\"value\"",
    "\"error\"",
    "\"type\"",
    "\"message\"",
    "\"traceback\"",
    "\"line\"",
    "\"answer\"",
    "\"kind\"",
    "\"table\"",
    "\"columns\"",
    "\"rows\"",
    "\"name\"",
    "\"charts\"",
    "\"warnings\"",
    " ",
    "\u{202e}",
    "\u{1b}[2J",
];

const HONEST: [&str; 4] = [
    r#"{"value": {"a": [1, null, "x"]}}"#,
    r#"{"error": {"type": "KeyError", "message": "'x'", "traceback": "line 1", "line": 3}}"#,
    r#"{"value": {"answer": {"kind": "table", "columns": [{"name": "a", "type": "integer"}], "rows": [[1]], "row_count": 1, "truncated": false}, "charts": [{"kind": "bar", "x": "a", "y": ["a"]}], "warnings": ["w"]}}"#,
    r#"{"value": {"answer": {"kind": "group", "parts": {"x": {"kind": "text", "text": "y"}}}, "doubts": ["d"]}}"#,
];

/// An honest reply with some of its bytes changed, and perhaps a long piece put in.
fn nearly_honest() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), any::<u8>());
    let long = (
        any::<prop::sample::Index>(),
        select(vec!["a", "[", "{\"a\":", "ü", "\\u0000"]),
        0..20_000_usize,
    );
    (select(HONEST.to_vec()), vec(change, 0..4), prop::option::of(long)).prop_map(
        |(honest, changes, long)| {
            let mut bytes = honest.as_bytes().to_vec();
            for (place, byte) in changes {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            if let Some((place, piece, times)) = long {
                let place = place.index(bytes.len());
                bytes.splice(place..place, piece.repeat(times).into_bytes());
            }
            bytes
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_bytes_are_a_reply_or_refused(bytes in vec(any::<u8>(), 0..2_000)) {
        checks::reply(&bytes);
    }

    #[test]
    fn any_pieces_of_a_reply_are_one_or_refused(pieces in vec(select(PIECES.to_vec()), 0..60)) {
        checks::reply(pieces.concat().as_bytes());
    }

    #[test]
    fn a_reply_that_was_tampered_with_is_one_or_refused(bytes in nearly_honest()) {
        checks::reply(&bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_folder_is_collected_within_its_caps(bytes in vec(any::<u8>(), 0..600)) {
        checks::collector(&bytes);
    }
}

#[test]
fn honest_replies_are_read() {
    for honest in HONEST {
        let read = meterbox_local_sandbox::fuzzing::read_reply(honest.as_bytes());
        assert!(matches!(read, Ok(Some(_))), "{honest}");
        checks::reply(honest.as_bytes());
    }
}
