//! What a model may be told of an error: programs quote in it what they met in the data.

use std::collections::HashSet;

/// Words that Python, pandas, NumPy and DuckDB put errors in, and we the ends of a run.
const ERROR_WORDS: &str = include_str!("error_words.txt");
/// A program could spell in known words what it may not tell, so there are few of them.
const MOST: usize = 40;
const LEFT_OUT: &str = "…";

/// The message without what may come from the data: left out, whole with its form, is each piece with a word that errors
/// are not put in, and that was not said before, in the program or of the tables; and each with a number that is not in
/// the program, but for that of its line.
pub(super) fn in_known_words(message: &str, program: &str, said_of_tables: &str) -> String {
    let in_program: HashSet<&str> = words(program).collect();
    let known: HashSet<&str> = words(said_of_tables)
        .chain(ERROR_WORDS.split_ascii_whitespace())
        .filter(|word| !has_digit(word))
        .collect();
    let is_known = |word: &str| {
        in_program.contains(word) || known.contains(word) || known.contains(word.to_lowercase().as_str())
    };
    let mut told: Vec<&str> = Vec::new();
    for piece in message.split_whitespace().take(MOST) {
        let is_line = told.last().is_some_and(|last| last.ends_with("line"));
        let mut words = words(piece);
        let has_form = piece
            .chars()
            .all(|character| is_of_word(character) || character.is_ascii_punctuation());
        if has_form && words.all(|word| is_known(word) || is_line && is_short_number(word)) {
            told.push(piece);
        } else if told.last() != Some(&LEFT_OUT) {
            told.push(LEFT_OUT);
        }
    }
    told.join(" ")
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|character: char| !is_of_word(character));
    words.filter(|word| !word.is_empty())
}

fn is_of_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn has_digit(word: &str) -> bool {
    word.contains(char::is_numeric) && !matches!(word, "float64" | "int64" | "int32" | "datetime64")
}

fn is_short_number(word: &str) -> bool {
    word.len() <= 3 && word.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PROGRAM: &str = "sales = tables['sales']\nresult = sales['cost'].astype(float).head(12)";
    const TABLES: &str =
        "Table \"sales\": 6 rows\n- \"Größe\" text\n- \"revenue\" decimal, from 1.5 to 98.75";

    #[test]
    fn what_errors_say_of_program_and_tables_is_told() {
        for message in [
            "the program raised KeyError (line 3): 'cost'",
            "the program raised KeyError (line 2): \"['cost'] not in index\"",
            "the program raised AttributeError (line 2): 'DataFrame' object has no attribute 'head'",
            "the program raised TypeError: unsupported operand type(s) for +: 'int' and 'str'",
            "the program raised ValueError: Length of values does not match length of index",
            "the program raised ValueError: Cannot mask with non-boolean array containing NA / NaN values",
            "the program raised BinderException: Binder Error: Referenced column \"cost\" not found in FROM clause!",
            "the program raised KeyError: 'Größe'",
            "the program raised ValueError: You are trying to merge on object and int64 columns for key 'revenue'",
            "the program's result breaks the answer contract: two columns are called \"revenue\"",
            "the program ended with exit code 12 before it handed back a result",
        ] {
            assert_eq!(in_known_words(message, PROGRAM, TABLES), message);
        }
    }

    #[test]
    fn what_may_come_from_the_data_is_not() {
        for (message, told) in [
            (
                "raised KeyError (line 3): 'Ida Canary'",
                "raised KeyError (line 3): …",
            ),
            (
                "raised ValueError: could not convert string to float: '1.234,56 kr'",
                "raised ValueError: could not convert string to float: …",
            ),
            ("raised ValueError: ida@example.com", "raised ValueError: …"),
            ("raised Exception: 98.75 or 5", "raised Exception: … or …"),
            ("raised Ida_Canary: 東京 x✓", "raised …"),
            ("on line 4711 of it", "on line … of it"),
        ] {
            assert_eq!(in_known_words(message, PROGRAM, TABLES), told, "{message}");
        }
        let long = "the ".repeat(100);
        assert_eq!(
            in_known_words(&long, PROGRAM, TABLES).matches("the").count(),
            MOST
        );
    }

    proptest! {
        #[test]
        fn no_number_and_no_new_word_gets_through(value in "[a-z]{3}[0-9]{2,9}|[0-9]{4,9}|qx[a-z]{5}", at in 0_usize..3) {
            prop_assume!(!PROGRAM.contains(&value));
            let message = match at {
                0 => format!("raised KeyError: '{value}'"),
                1 => format!("raised {value} on line {value}"),
                _ => format!("column={value}:not found"),
            };
            let told = in_known_words(&message, PROGRAM, TABLES);
            prop_assert!(!told.contains(&value), "{told}");
        }
    }
}
