//! The import program's reply, checked: it was written next to files nobody trusts.

use meterbox_core::{Date, contract::TableProfile};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{DatasetError, dataset::TypedRecord};

const MAX_TABLES: usize = 256;
const MAX_COLUMNS: usize = 1_000;
const MAX_NAME_BYTES: usize = 512;

#[derive(Deserialize)]
struct Reply {
    tables: Vec<Imported>,
    as_of: Option<String>,
    failures: Vec<Refused>,
}

#[derive(Deserialize)]
struct Imported {
    #[serde(flatten)]
    profile: TableProfile,
    file: String,
}

#[derive(Deserialize)]
struct Refused {
    file: String,
    code: String,
    message: String,
    hint: String,
}

/// The tables, each with the typed file of its name.
///
/// # Errors
/// [`DatasetError::Unreadable`] for the first file that could not be typed; [`DatasetError::BrokenReply`].
pub(crate) fn read(reply: &RawValue) -> Result<TypedRecord, DatasetError> {
    let broken = |reason: &str| DatasetError::BrokenReply(reason.to_owned());
    // What a parser says may quote what it did not expect, however long that is.
    let in_few_words = |error: serde_json::Error| error.to_string().chars().take(500).collect();
    let reply: Reply =
        serde_json::from_str(reply.get()).map_err(|error| DatasetError::BrokenReply(in_few_words(error)))?;
    if let Some(Refused {
        file,
        code,
        message,
        hint,
    }) = reply.failures.into_iter().next()
    {
        return Err(DatasetError::Unreadable {
            file,
            code,
            message,
            hint,
        });
    }
    if reply.tables.is_empty() || reply.tables.len() > MAX_TABLES {
        return Err(broken("it has no tables, or too many"));
    }
    let mut names = std::collections::HashSet::new();
    for table in &reply.tables {
        check_table(&table.profile).map_err(broken)?;
        if table.file != format!("{}.parquet", table.profile.name) {
            return Err(broken("a table's file does not carry its name"));
        }
        if !names.insert(table.profile.name.clone()) {
            return Err(broken("two tables have one name"));
        }
    }
    let as_of = match reply.as_of {
        None => None,
        Some(day) => Some(day.parse::<Date>().map_err(|_| broken("its date is none"))?),
    };
    Ok(TypedRecord {
        as_of,
        tables: reply.tables.into_iter().map(|table| table.profile).collect(),
    })
}

fn check_table(table: &TableProfile) -> Result<(), &'static str> {
    let is_identifier = |name: &str| {
        let mut bytes = name.bytes();
        bytes.next().is_some_and(|byte| byte.is_ascii_lowercase())
            && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
            && name.len() <= 64
    };
    if !is_identifier(&table.name) {
        return Err("a table's name is no identifier");
    }
    if table.columns.is_empty() || table.columns.len() > MAX_COLUMNS {
        return Err("a table has no columns, or too many");
    }
    let mut names = std::collections::HashSet::new();
    for column in &table.columns {
        if column.name.is_empty() || column.name.len() > MAX_NAME_BYTES || !names.insert(&column.name) {
            return Err("a column's name is empty, too long, or taken");
        }
        if column.values.len() > 200
            || column.samples.len() > 10
            || column.nulls > table.rows
            || column.distinct > table.rows
        {
            return Err("a column's counts contradict the table's");
        }
    }
    Ok(())
}
