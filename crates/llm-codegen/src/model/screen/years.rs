use crate::GenerateRequest;

/// Where counting of time begins for some programs.
const ORIGINS: &[u32] = &[1900, 1970];

/// May a program for this question have this year written in it? One that the question names, the one before, to compare
/// with, the one after, where the first ends; those between two that are named; and those that columns are called by.
pub(super) fn may_write(year: &str, request: &GenerateRequest) -> bool {
    let Ok(year) = year.parse::<u32>() else {
        return false;
    };
    let numbers = || numbers_of(&request.question);
    let named = || {
        numbers().filter_map(|(digits, number)| match digits {
            4 => Some(number),
            // 20240131
            8 => Some(number / 10_000),
            _ => None,
        })
    };
    let is_named = named().any(|named| named.abs_diff(year) <= 1)
        || (named().any(|named| named < year) && named().any(|named| named > year))
        // `FY24`, `Jan 24`, `'24`
        || numbers().any(|(digits, number)| digits == 2 && 2000 + number == year);
    let mut columns = request.tables.iter().flat_map(|table| &table.columns);
    is_named || ORIGINS.contains(&year) || columns.any(|column| column.name.contains(&year.to_string()))
}

/// Each number of a text, and how many digits it has.
fn numbers_of(text: &str) -> impl Iterator<Item = (usize, u32)> {
    let words = text.split(|character: char| !character.is_ascii_digit());
    words.filter_map(|digits| Some((digits.len(), digits.parse().ok()?)))
}
