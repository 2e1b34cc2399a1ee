const MOST_CHARS: usize = 300;

/// A text of a server, fit to be shown: no control characters, at most 300 others.
pub fn shown(text: &str) -> String {
    let printable = text
        .trim()
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter });
    let cut: String = printable.take(MOST_CHARS).collect();
    if cut.is_empty() {
        return "it did not say why".to_owned();
    }
    cut
}
