//! Words on a terminal. Nothing untrusted reaches it raw: control characters could move the cursor, set the
//! title or fill the clipboard.

use std::io::{self, Write};

/// Writes a line to standard output: answers.
pub(crate) fn say(line: &str) {
    // Whoever read it may have gone (`| head`), which is nobody's error.
    let _ = writeln!(io::stdout(), "{}", inert(line));
}

/// Writes a line to standard error: everything that is not the answer.
pub(crate) fn note(line: &str) {
    let _ = writeln!(io::stderr(), "{}", inert(line));
}

/// Writes an error to standard error.
pub(crate) fn complain(message: &str) {
    let _ = writeln!(io::stderr(), "meterbox: {}", inert(message));
}

/// Writes a JSON document to standard output, with characters that a terminal would obey escaped.
pub(crate) fn print_json(json: &str) -> io::Result<()> {
    // JSON allows these inside strings as they are; a terminal would obey them.
    let escaped = |character: char| match character {
        harmful if is_harmful(harmful) => format!("\\u{:04x}", u32::from(harmful)),
        harmless => harmless.to_string(),
    };
    let inert: String = json.chars().map(escaped).collect();
    let mut out = io::stdout().lock();
    out.write_all(inert.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}

/// The text with control and direction characters made visible; newlines and tabs stay.
pub(crate) fn inert(text: &str) -> String {
    text.chars()
        .map(|character| {
            if is_harmful(character) {
                '\u{fffd}'
            } else {
                character
            }
        })
        .collect()
}

fn is_harmful(character: char) -> bool {
    let turns_direction = matches!(character, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let controls = character.is_control() && character != '\n' && character != '\t';
    turns_direction || controls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_do_not_reach_the_terminal() {
        assert_eq!(
            inert("a\x1b[2Jb\u{9b}31m\r\u{202e}c\td\n"),
            "a\u{fffd}[2Jb\u{fffd}31m\u{fffd}\u{fffd}c\td\n"
        );
        assert_eq!(inert("Ärger € 日本"), "Ärger € 日本");
    }
}
