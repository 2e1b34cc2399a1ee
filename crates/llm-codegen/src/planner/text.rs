//! Questions and names as words.

/// A piece of a question.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    /// As written.
    pub(super) raw: String,
    /// In lower case.
    pub(super) lower: String,
    /// In lower case without plural endings.
    pub(super) stem: String,
    pub(super) kind: TokenKind,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum TokenKind {
    Word,
    Number(f64),
    Date(meterbox_core::Date),
    Quoted,
    Punctuation,
}

impl Token {
    fn new(raw: &str, kind: TokenKind) -> Self {
        let lower = raw.to_lowercase();
        let stem = if kind == TokenKind::Word {
            stem(&lower)
        } else {
            lower.clone()
        };
        Self {
            raw: raw.to_owned(),
            lower,
            stem,
            kind,
        }
    }

    pub(super) fn is_word(&self) -> bool {
        self.kind == TokenKind::Word
    }

    pub(super) fn is_punctuation(&self) -> bool {
        self.kind == TokenKind::Punctuation
    }

    pub(super) fn number(&self) -> Option<f64> {
        match self.kind {
            TokenKind::Number(number) => Some(number),
            _ => None,
        }
    }

    pub(super) fn whole_number(&self) -> Option<i64> {
        self.number()
            .filter(|number| number.fract() == 0.0 && number.abs() < 1e12)
            .map(|number| number as i64)
    }

    pub(super) fn is_capitalised(&self) -> bool {
        self.raw.chars().next().is_some_and(char::is_uppercase)
    }
}

/// Cuts a question into tokens: words (also the parts of `snake_case` and `camelCase`), numbers, ISO dates,
/// quoted texts and punctuation.
pub(super) fn tokenize(question: &str) -> Vec<Token> {
    let chars: Vec<char> = question.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let here = chars[at];
        if let Some(end) = closing_quote(&chars, at) {
            let text: String = chars[at + 1..end].iter().collect();
            tokens.push(Token::new(text.trim(), TokenKind::Quoted));
            at = end + 1;
            continue;
        }
        if here.is_ascii_digit() || (here == '.' && chars.get(at + 1).is_some_and(char::is_ascii_digit)) {
            let (token, next) = number_or_date(&chars, at);
            tokens.push(token);
            at = next;
            continue;
        }
        if here.is_alphanumeric() {
            let end = (at..chars.len())
                .find(|&end| !chars[end].is_alphanumeric())
                .unwrap_or(chars.len());
            tokens.extend(split_camel(&chars[at..end]).map(|word| Token::new(&word, TokenKind::Word)));
            at = end;
            // The s of a genitive says nothing.
            if matches!(chars.get(at), Some('\'' | '’')) && matches!(chars.get(at + 1), Some('s' | 'S')) {
                let after = chars.get(at + 2);
                if after.is_none_or(|next| !next.is_alphanumeric()) {
                    at += 2;
                }
            }
            continue;
        }
        if !here.is_whitespace() && !matches!(here, '_' | '-' | '\'' | '"' | '’') && !here.is_control() {
            let pair: String = chars[at..(at + 2).min(chars.len())].iter().collect();
            if matches!(pair.as_str(), ">=" | "<=" | "!=" | "<>" | "==") {
                tokens.push(Token::new(&pair, TokenKind::Punctuation));
                at += 2;
                continue;
            }
            tokens.push(Token::new(&here.to_string(), TokenKind::Punctuation));
        }
        at += 1;
    }
    tokens
}

fn closing_quote(chars: &[char], open: usize) -> Option<usize> {
    const MAX_QUOTED: usize = 120;
    let close = match chars[open] {
        '"' => '"',
        '\'' => '\'',
        '“' => '”',
        '‘' => '’',
        '`' => '`',
        _ => return None,
    };
    if open > 0 && chars[open - 1].is_alphanumeric() {
        return None;
    }
    let end = (open + 1..chars.len().min(open + MAX_QUOTED)).find(|&at| {
        chars[at] == close && (close != '\'' || chars.get(at + 1).is_none_or(|next| !next.is_alphanumeric()))
    })?;
    (end > open + 1).then_some(end)
}

fn number_or_date(chars: &[char], start: usize) -> (Token, usize) {
    let date_text: String = chars[start..(start + 10).min(chars.len())].iter().collect();
    if date_text.len() == 10
        && date_text.as_bytes()[4] == b'-'
        && !chars.get(start + 10).is_some_and(|next| next.is_alphanumeric())
        && let Ok(date) = date_text.parse()
    {
        return (Token::new(&date_text, TokenKind::Date(date)), start + 10);
    }
    let mut end = start;
    while end < chars.len() {
        let digit_follows = chars.get(end + 1).is_some_and(char::is_ascii_digit);
        let group_follows = chars.len() > end + 3 && chars[end + 1..end + 4].iter().all(char::is_ascii_digit);
        match chars[end] {
            digit if digit.is_ascii_digit() => end += 1,
            '.' if digit_follows => end += 1,
            ',' if group_follows => end += 1,
            _ => break,
        }
    }
    let digits: String = chars[start..end].iter().filter(|&&digit| digit != ',').collect();
    let mut raw: String = chars[start..end].iter().collect();
    let letters = chars[end..]
        .iter()
        .take_while(|next| next.is_alphanumeric())
        .count();
    let suffix: String = chars[end..end + letters]
        .iter()
        .collect::<String>()
        .to_lowercase();
    let factor = match suffix.as_str() {
        "k" => 1e3,
        "m" => 1e6,
        _ => 1.0,
    };
    raw.push_str(&suffix);
    let kind = match digits.parse::<f64>() {
        Ok(number) if letters == 0 || factor > 1.0 => TokenKind::Number(number * factor),
        // 1st, 3d, 4x4: words that begin with a digit.
        _ => TokenKind::Word,
    };
    (Token::new(&raw, kind), end + letters)
}

fn split_camel(word: &[char]) -> impl Iterator<Item = String> {
    let mut parts: Vec<String> = Vec::new();
    for (at, &letter) in word.iter().enumerate() {
        let after_lower = at > 0 && word[at - 1].is_lowercase() && letter.is_uppercase();
        let before_lower = at > 0
            && word[at - 1].is_uppercase()
            && letter.is_uppercase()
            && word.get(at + 1).is_some_and(|next| next.is_lowercase())
            && at > 1;
        // `IDs` is a plural, not `I` and `Ds`.
        let plural = before_lower && at + 2 == word.len() && word[at + 1] == 's';
        if at == 0 || after_lower || (before_lower && !plural) {
            parts.push(String::new());
        }
        if let Some(part) = parts.last_mut() {
            part.push(letter);
        }
    }
    parts.into_iter()
}

/// Says at length what has a short name: "average order value" is the average revenue per order. Columns that
/// are called so keep their name.
pub(super) fn spell_out(tokens: Vec<Token>, is_column: impl Fn(&str) -> bool) -> Vec<Token> {
    let said = |at: usize, words: &[&str]| {
        words
            .iter()
            .enumerate()
            .all(|(offset, word)| tokens.get(at + offset).is_some_and(|token| token.lower == *word))
    };
    let averages: &[&str] = &["average", "avg", "mean", "median"];
    let values: &[&[&str]] = &[
        &["order", "value"],
        &["order", "size"],
        &["basket", "value"],
        &["basket", "size"],
    ];
    let found = (1..tokens.len()).find_map(|at| {
        let value = values
            .iter()
            .find(|words| said(at, words) && !is_column(&words.concat()))?;
        averages
            .contains(&tokens[at - 1].lower.as_str())
            .then_some((at, value.len()))
    });
    let Some((at, length)) = found else { return tokens };
    let mut spelled: Vec<Token> = tokens[..at].to_vec();
    spelled.extend(["revenue", "per", "orders"].map(|word| Token::new(word, TokenKind::Word)));
    spelled.extend_from_slice(&tokens[at + length..]);
    spelled
}

/// Words for a price, said so: "cheapest" asks for the lowest price, "cheaper than" compares it.
pub(super) fn spell_prices(tokens: Vec<Token>, is_known: impl Fn(&str) -> bool) -> Vec<Token> {
    let mut spelled: Vec<Token> = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        let next = tokens.get(at + 1).map_or("", |token| token.lower.as_str());
        let (words, length): (&[&str], usize) = match (tokens[at].lower.as_str(), next) {
            ("cheapest", _) => (&["lowest", "price"], 1),
            ("least", "expensive" | "costly" | "pricey") => (&["lowest", "price"], 2),
            ("priciest" | "costliest", _) => (&["highest", "price"], 1),
            ("most", "expensive" | "costly" | "pricey") => (&["highest", "price"], 2),
            ("cheaper", "than") => (&["with", "price", "below"], 2),
            ("pricier" | "costlier", "than") => (&["with", "price", "above"], 2),
            ("more", "expensive" | "costly") if said(&tokens, at + 2, "than") => {
                (&["with", "price", "above"], 3)
            }
            _ => (&[], 1),
        };
        if words.is_empty() || is_known(&tokens[at].stem) {
            spelled.push(tokens[at].clone());
            at += 1;
            continue;
        }
        spelled.extend(words.iter().map(|word| Token::new(word, TokenKind::Word)));
        // A seam, lest "price" and the thing that has it be taken for one name.
        if words.last() == Some(&"price") {
            spelled.push(Token::new("", TokenKind::Punctuation));
        }
        at += length;
    }
    spelled
}

/// "items sold": how many of them, in the word of the column that holds it.
pub(super) fn spell_units(mut tokens: Vec<Token>, quantity: &[String]) -> Vec<Token> {
    let named = quantity
        .iter()
        .find(|word| matches!(word.as_str(), "quantity" | "qty" | "unit"));
    let Some(named) = named else { return tokens };
    for at in 0..tokens.len() {
        let thing = matches!(tokens[at].lower.as_str(), "items" | "units" | "pieces");
        let linked = matches!(
            tokens.get(at + 1).map(|token| token.lower.as_str()),
            Some("were" | "was" | "are" | "we")
        );
        if thing && (said(&tokens, at + 1, "sold") || (linked && said(&tokens, at + 2, "sold"))) {
            tokens[at] = Token::new(named, TokenKind::Word);
        }
    }
    tokens
}

fn said(tokens: &[Token], at: usize, word: &str) -> bool {
    tokens.get(at).is_some_and(|token| token.lower == word)
}

/// The words of a name: `orderDate`, `order_date` and `Order Date` are the same.
pub(super) fn name_words(name: &str) -> Vec<String> {
    tokenize(&name.replace(['_', '"', '\'', '`', '“', '‘'], " "))
        .into_iter()
        .filter(|token| !token.is_punctuation())
        .map(|token| token.stem)
        .collect()
}

/// The word without its plural ending. Both sides of every comparison are stemmed, so the result need not
/// be a word.
pub(super) fn stem(word: &str) -> String {
    let irregular = match word {
        "people" | "persons" => "person",
        "children" => "child",
        "men" => "man",
        "women" => "woman",
        "data" | "status" | "statuses" => return word.trim_end_matches("es").to_owned(),
        "series" | "species" | "news" | "gross" => return word.to_owned(),
        "indices" => "index",
        "feet" => "foot",
        "movies" => "movie",
        "theses" => "thesis",
        _ => "",
    };
    if !irregular.is_empty() {
        return irregular.to_owned();
    }
    if word.len() <= 3 || !word.is_ascii() {
        return match word {
            "ids" => "id".to_owned(),
            _ => word.to_owned(),
        };
    }
    for (ending, replacement) in [
        ("ies", "y"),
        ("sses", "ss"),
        ("ches", "ch"),
        ("shes", "sh"),
        ("xes", "x"),
        ("zes", "z"),
        ("ses", "se"),
    ] {
        if let Some(base) = word.strip_suffix(ending) {
            return format!("{base}{replacement}");
        }
    }
    if word.ends_with("ss") || word.ends_with("us") || word.ends_with("is") {
        return word.to_owned();
    }
    word.strip_suffix('s').unwrap_or(word).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_become_words_numbers_dates_and_quotes() {
        let of = |text: &str| {
            tokenize(text)
                .into_iter()
                .map(|token| token.stem)
                .collect::<Vec<_>>()
        };
        assert_eq!(of("The customer's orderIDs"), ["the", "customer", "order", "id"]);
        assert_eq!(
            of("price >= 1,200.50, since 2024-03-01?"),
            ["price", ">=", "1,200.50", ",", "since", "2024-03-01", "?"]
        );
        assert_eq!(tokenize("10k")[0].number(), Some(10_000.0));
        assert_eq!(tokenize("in 'New York' today")[1].kind, TokenKind::Quoted);
        assert_eq!(of("JOB_ID sub-category"), ["job", "id", "sub", "category"]);
        assert_eq!(name_words("Total Amount (EUR)"), ["total", "amount", "eur"]);
        for (plural, singular) in [
            ("categories", "category"),
            ("boxes", "box"),
            ("sales", "sale"),
            ("people", "person"),
        ] {
            assert_eq!(stem(plural), stem(singular));
        }
    }
}
