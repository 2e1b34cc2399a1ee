//! File names chosen by someone who may mean harm, made safe for any system.

use std::collections::HashSet;

/// Leaves room for a number, and fits every file system even in four-byte characters.
const LONGEST: usize = 120;

/// A safe name for each file of a run: no two alike, not even on a system that ignores case.
#[derive(Debug, Default)]
pub struct ArtifactNames {
    taken: HashSet<String>,
}

impl ArtifactNames {
    /// A safe name close to this one.
    pub fn safe(&mut self, raw: &[u8]) -> String {
        let name = harmless(raw);
        let (stem, ending) = match name.rsplit_once('.') {
            Some((stem, ending)) if !stem.is_empty() && ending.len() <= 10 => (stem, format!(".{ending}")),
            _ => (name.as_str(), String::new()),
        };
        let mut candidate = name.clone();
        let mut number = 1_u32;
        while !self.taken.insert(candidate.to_lowercase()) {
            number += 1;
            candidate = format!("{stem}-{number}{ending}");
        }
        candidate
    }
}

/// The name for people to read: no control characters, nothing that turns the text around.
pub fn printable(raw: &[u8]) -> String {
    let name: String = String::from_utf8_lossy(raw)
        .chars()
        .map(|c| if is_invisible(c) { '\u{fffd}' } else { c })
        .take(LONGEST)
        .collect();
    name
}

fn harmless(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw);
    let last = text.rsplit(['/', '\\']).next().unwrap_or_default();
    let replaced: String = last
        .chars()
        .map(|c| {
            let forbidden = matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*' | '\u{fffd}');
            if forbidden || is_invisible(c) { '_' } else { c }
        })
        .collect();
    let trimmed = replaced
        .trim_start_matches(|c: char| c == '.' || c == '-' || c == '~' || c.is_whitespace())
        .trim_end_matches(|c: char| c == '.' || c.is_whitespace());
    let mut name = shorten(trimmed);
    if name.is_empty() {
        name.push_str("file");
    }
    if is_device(&name) {
        name.insert(0, '_');
    }
    name
}

/// Control and format characters: they move cursors, hide text or turn it around.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{e0000}'..='\u{e007f}')
}

/// Cuts the middle, so that the ending stays.
fn shorten(name: &str) -> String {
    if name.len() <= LONGEST {
        return name.to_owned();
    }
    let ending = match name.rfind('.') {
        Some(dot) if name.len() - dot <= 11 => &name[dot..],
        _ => "",
    };
    let mut cut = LONGEST - ending.len();
    while !name.is_char_boundary(cut) {
        cut -= 1;
    }
    format!("{}{ending}", &name[..cut])
}

/// Names that Windows takes for devices, with any ending.
fn is_device(name: &str) -> bool {
    let stem = name
        .split('.')
        .next()
        .unwrap_or_default()
        .trim_end()
        .to_lowercase();
    let numbered = |prefix: &str| {
        stem.strip_prefix(prefix).is_some_and(|rest| {
            matches!(
                rest,
                "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³"
            )
        })
    };
    matches!(
        stem.as_str(),
        "con" | "prn" | "aux" | "nul" | "conin$" | "conout$"
    ) || numbered("com")
        || numbered("lpt")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_safe_name_is_kept_and_a_harmful_one_made_safe() {
        let cases: [(&[u8], &str); 20] = [
            (b"chart.png", "chart.png"),
            ("Umsatz März (1).csv".as_bytes(), "Umsatz März (1).csv"),
            (b"../x", "x"),
            (b"/etc/passwd", "passwd"),
            (b"..\\..\\boot.ini", "boot.ini"),
            (b"a\nb\tc.txt", "a_b_c.txt"),
            (b"\x1b[31mred\x1b[0m.txt", "_[31mred_[0m.txt"),
            ("a\u{202e}gpj.exe".as_bytes(), "a_gpj.exe"),
            (b"\xff\xfe.csv", "__.csv"),
            (b"CON", "_CON"),
            (b"aux.txt", "_aux.txt"),
            (b"com1.tar.gz", "_com1.tar.gz"),
            (b".htaccess", "htaccess"),
            (b"-rf", "rf"),
            (b"...", "file"),
            (b"   ", "file"),
            (b"", "file"),
            (b"name.", "name"),
            (b"a:b|c?.csv", "a_b_c_.csv"),
            (b"console.txt", "console.txt"),
        ];
        for (raw, safe) in cases {
            let shown = String::from_utf8_lossy(raw);
            assert_eq!(ArtifactNames::default().safe(raw), safe, "{shown:?}");
        }
    }

    #[test]
    fn no_two_names_are_alike_even_where_case_does_not_count() {
        let mut names = ArtifactNames::default();
        let given: Vec<String> = [&b"A.png"[..], b"a.png", b"a.PNG", b"a-2.png"]
            .iter()
            .map(|raw| names.safe(raw))
            .collect();
        assert_eq!(given, ["A.png", "a-2.png", "a-3.PNG", "a-2-2.png"]);
    }

    #[test]
    fn long_names_are_cut_and_keep_their_ending() {
        let long = format!("{}.parquet", "ü".repeat(200));
        let name = ArtifactNames::default().safe(long.as_bytes());
        assert!(name.len() <= LONGEST && name.ends_with("ü.parquet"), "{name}");
    }

    #[test]
    fn printable_names_hold_no_control_characters() {
        assert_eq!(printable(b"a\x1b\n\xff"), "a\u{fffd}\u{fffd}\u{fffd}");
    }
}
