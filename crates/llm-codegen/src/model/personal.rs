//! Which columns look as if they told of persons. Only columns whose values repeat are ever at stake here; what is
//! unique does not leave anyway. Names of columns and the look of values decide, and in doubt a column is personal.

use meterbox_core::contract::{ColumnProfile, ColumnRole, ColumnType};

/// Words in the name of a column that make it personal; also the commonest in German, French and Spanish.
const PERSONAL_WORDS: &str = "\
    account address agent assignee author birth birthday born buyer by caller cell client colleague \
    contact customer dob doctor donor driver email employee fax firstname forename fullname gender \
    guest iban insurance ip lastname lead login mail manager member mobile name nationality nickname \
    owner passport patient person phone postal postcode rep representative sales_rep salesperson \
    seller sender sex signature social ssn staff street student supervisor surname tax teacher \
    technician tel telephone user username vat visitor worker zip adresse anrede apellido bearbeiter \
    benutzer cliente correo geburtsdatum kunde mitarbeiter nachname nom nombre plz prenom strasse \
    telefon vorname";
/// Words beside `name` that say whose name it is: nobody's.
const NAMES_OF_THINGS: &str = "\
    account_type brand campaign category channel city country currency department file item plan \
    product project region segment sku state status store table team tier type vendor warehouse";
/// Given names that are common in business data of many places: a column whose values often begin with one is
/// personal, whatever it is called.
const GIVEN_NAMES: &str = include_str!("given_names.txt");
/// From this share of its values on, a look is a column's look.
const OFTEN: f64 = 0.2;

/// Does this column look as if it told of persons?
pub(super) fn is_personal(column: &ColumnProfile) -> bool {
    if matches!(column.role, ColumnRole::Identifier | ColumnRole::FreeText) {
        return true;
    }
    if column.column_type != ColumnType::Text {
        return has_personal_name(&column.name);
    }
    has_personal_name(&column.name) || has_personal_look(column)
}

fn has_personal_name(name: &str) -> bool {
    let words = words_of(name);
    let is_of_a_thing = words.iter().any(|word| is_among(NAMES_OF_THINGS, word));
    words.iter().any(|word| {
        let only_a_name = matches!(word.as_str(), "name" | "nom" | "nombre");
        is_among(PERSONAL_WORDS, word) && !(only_a_name && is_of_a_thing)
    })
}

/// `customerName`, `customer_name` and `Customer name` are the same words.
fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for character in name.chars() {
        let begins_a_word = character.is_uppercase() && was_lower;
        if !character.is_alphanumeric() || begins_a_word {
            words.push(String::new());
        }
        was_lower = character.is_lowercase();
        if let Some(word) = words.last_mut().filter(|_| character.is_alphanumeric()) {
            word.extend(character.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn has_personal_look(column: &ColumnProfile) -> bool {
    let values: Vec<&str> = column
        .values
        .iter()
        .map(|counted| counted.value.as_str())
        .collect();
    if values.is_empty() {
        return false;
    }
    let personal = values.iter().filter(|value| looks_personal(value)).count();
    share(personal, values.len()) >= OFTEN
}

fn looks_personal(value: &str) -> bool {
    is_mail_address(value) || is_phone_number(value) || begins_with_a_given_name(value)
}

fn is_mail_address(value: &str) -> bool {
    value
        .split_once('@')
        .is_some_and(|(before, after)| !before.is_empty() && after.contains('.'))
}

fn is_phone_number(value: &str) -> bool {
    let digits = value.chars().filter(char::is_ascii_digit).count();
    digits >= 7
        && value
            .chars()
            .all(|character| character.is_ascii_digit() || "+-()/. ".contains(character))
}

fn begins_with_a_given_name(value: &str) -> bool {
    let mut words = value.split(|character: char| !character.is_alphabetic());
    let first = words
        .find(|word| !word.is_empty())
        .unwrap_or_default()
        .to_lowercase();
    let other = words.find(|word| !word.is_empty());
    // "Grace", "Meyer, Grace" and "Grace Hopper"; the second word of "Hopper, Grace" counts as well.
    let is_given = |word: &str| is_among(GIVEN_NAMES, word);
    is_given(&first) || other.is_some_and(|word| value.contains(',') && is_given(&word.to_lowercase()))
}

fn is_among(words: &str, word: &str) -> bool {
    words.split_ascii_whitespace().any(|known| known == word)
}

#[expect(clippy::cast_precision_loss, reason = "there are at most 200 values")]
fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_columns_tell() {
        for personal in [
            "customer_name",
            "Name",
            "EMail",
            "contactPhone",
            "Sales Rep",
            "zip",
            "User",
            "date of birth",
            "Vorname",
        ] {
            assert!(has_personal_name(personal), "{personal}");
        }
        for impersonal in [
            "product_name",
            "Category",
            "Country name",
            "status",
            "order_total",
            "channel",
            "rented",
        ] {
            assert!(!has_personal_name(impersonal), "{impersonal}");
        }
    }

    #[test]
    fn the_look_of_values_tells() {
        for personal in [
            "ana@example.com",
            "+49 30 1234567",
            "Grace Hopper",
            "Hopper, Grace",
            "Tom",
        ] {
            assert!(looks_personal(personal), "{personal}");
        }
        for impersonal in [
            "Espresso",
            "10-12 kg",
            "2024-01",
            "North",
            "a@b",
            "Grace period".trim_start_matches("Grace "),
        ] {
            assert!(!looks_personal(impersonal), "{impersonal}");
        }
    }
}
