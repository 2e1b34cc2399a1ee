//! Reads a model's program before anything is spent on running it. What is found here costs one more call of the model
//! and no run, and the words of a finding are what the model is told.
//!
//! This is no guard: the sandbox is. It finds what cannot work, and what would work today and be wrong tomorrow.

mod facts;
mod frames;
mod years;

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
};

use meterbox_core::contract::TableProfile;
use ruff_python_ast::PythonVersion;
use ruff_python_parser::{Mode, ParseOptions};

use facts::Facts;
use years::may_write;

use crate::GenerateRequest;

/// The longest program a model may write, in bytes.
const MAX_CODE_BYTES: usize = 16 * 1024;
/// For a program of that length that does nothing but nest.
const STACK_BYTES: usize = 512 << 20;
/// The oldest Python that a sandbox has.
const OLDEST: PythonVersion = PythonVersion::PY311;
const MAX_PROBLEMS: usize = 6;

const STANDARD: &[&str] = &[
    "__future__",
    "bisect",
    "calendar",
    "collections",
    "copy",
    "dataclasses",
    "datetime",
    "decimal",
    "enum",
    "fractions",
    "functools",
    "heapq",
    "itertools",
    "json",
    "math",
    "operator",
    "re",
    "statistics",
    "string",
    "textwrap",
    "typing",
    "unicodedata",
    "warnings",
    "zoneinfo",
];
/// Packages that programs may import where the sandbox has them, by the name it lists them under.
const PACKAGES: &[(&str, &str)] = &[
    ("duckdb", "duckdb"),
    ("numpy", "numpy"),
    ("pandas", "pandas"),
    ("python-dateutil", "dateutil"),
    ("scikit-learn", "sklearn"),
    ("scipy", "scipy"),
    ("statsmodels", "statsmodels"),
];

/// What may be imported, sorted.
pub(super) fn importable(packages: &BTreeMap<String, String>) -> Vec<&'static str> {
    let there = PACKAGES
        .iter()
        .filter(|(package, _)| packages.contains_key(*package));
    let mut names: Vec<_> = there
        .map(|(_, module)| *module)
        .chain(STANDARD.iter().copied())
        .collect();
    names.extend(["numpy", "pandas"]);
    names.sort_unstable();
    names.dedup();
    names
}

/// Something that is wrong with a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// Which rule it breaks: a name that says nothing of the program.
    pub(super) rule: &'static str,
    /// What is wrong, in a sentence.
    pub(super) words: String,
}

/// What is wrong with a program; empty if nothing was found.
pub(super) fn problems(code: &str, request: &GenerateRequest) -> Vec<Problem> {
    let problem = |rule, words| vec![Problem { rule, words }];
    if code.len() > MAX_CODE_BYTES {
        let words = format!(
            "the program has {} bytes; {MAX_CODE_BYTES} is the limit",
            code.len()
        );
        return problem("size", words);
    }
    let reading = || facts_of(code);
    // A parser descends as deep as a program nests.
    let read = thread::scope(|scope| {
        let reader = thread::Builder::new()
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, reading);
        let unread = || Err("it could not be read".to_owned());
        reader
            .ok()
            .map(|reader| reader.join().unwrap_or_else(|_| unread()))
    });
    match read {
        // A machine that is short of memory says nothing about the program.
        None => Vec::new(),
        Some(Err(words)) => problem("syntax", words),
        Some(Ok(facts)) => {
            let mut found = findings(&facts, request);
            found.truncate(MAX_PROBLEMS);
            found
        }
    }
}

fn facts_of(code: &str) -> Result<Facts, String> {
    let options = ParseOptions::from(Mode::Module).with_target_version(OLDEST);
    let parsed = ruff_python_parser::parse_unchecked(code, options);
    let line_of = |offset: usize| code.get(..offset).unwrap_or(code).matches('\n').count() + 1;
    if let Some(error) = parsed.errors().first() {
        let line = line_of(error.location.start().to_usize());
        return Err(format!("it is not valid Python: line {line}: {}", error.error));
    }
    if let Some(error) = parsed.unsupported_syntax_errors().first() {
        let line = line_of(error.range.start().to_usize());
        return Err(format!("it is not valid Python {OLDEST}: line {line}: {error}"));
    }
    Ok(Facts::of(parsed.syntax()))
}

fn findings(facts: &Facts, request: &GenerateRequest) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut find = |rule, words| found.push(Problem { rule, words });
    let allowed = importable(&request.packages);
    for module in &facts.imports {
        let root = module.split('.').next().unwrap_or_default();
        if !allowed.contains(&root) {
            find(
                "import",
                format!(
                    "it imports {module}, which is not there; there are: {}",
                    allowed.join(", ")
                ),
            );
        }
    }
    for name in &facts.forbidden {
        find(
            "forbidden_name",
            format!("it uses {name}, which programs may not"),
        );
    }
    if !facts.sets_result {
        find("no_result", "it never sets `result`".to_owned());
    }
    for table in &facts.tables {
        if !request.tables.iter().any(|known| known.name == *table) {
            find(
                "unknown_table",
                format!(
                    "there is no table {table:?}; there are: {}",
                    names(request.tables.iter().map(|table| table.name.as_str()))
                ),
            );
        }
    }
    let unknown: Vec<_> = facts
        .columns
        .iter()
        .filter(|column| !facts.makes(column) && !is_column(column, &request.tables, facts))
        .collect();
    for column in unknown {
        let used: Vec<_> = request
            .tables
            .iter()
            .filter(|table| facts.tables.is_empty() || facts.tables.contains(&table.name))
            .flat_map(|table| table.columns.iter().map(|column| column.name.as_str()))
            .collect();
        find(
            "unknown_column",
            format!(
                "there is no column {column:?}; there are: {}",
                names(used.into_iter())
            ),
        );
    }
    for year in &facts.years {
        if !may_write(year, request) {
            find(
                "literal_date",
                format!(
                    "it has {year} written in it, which the question does not name; work out dates from `as_of`"
                ),
            );
        }
    }
    found
}

fn is_column(name: &str, tables: &[TableProfile], facts: &Facts) -> bool {
    let mut columns = tables.iter().flat_map(|table| &table.columns);
    columns.any(|column| column.name == name || facts.makes_of(name, &column.name))
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const MOST: usize = 60;
    let all: BTreeSet<&str> = names.collect();
    let more = if all.len() > MOST { ", and others" } else { "" };
    let some: Vec<_> = all.into_iter().take(MOST).collect();
    format!("{}{more}", some.join(", "))
}

#[cfg(test)]
mod tests;
