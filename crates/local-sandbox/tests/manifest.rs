//! The lists that people read are true: every row of the suite has its programs and tests, and every promise of
//! `SECURITY.md` a test.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

const ROWS: u32 = 108;

#[test]
fn every_row_has_its_programs_and_tests_and_every_program_its_row() {
    let manifest = fs::read_to_string(suite().join("MANIFEST")).unwrap();
    let rows = rows(&manifest);
    assert_eq!(
        rows.keys().copied().collect::<Vec<_>>(),
        (1..=ROWS).collect::<Vec<_>>()
    );
    let mut listed = BTreeSet::new();
    for (row, entries) in &rows {
        assert!(!entries.is_empty(), "row {row} has nothing");
        for entry in entries {
            match entry.split_once(' ') {
                Some((file, test)) => assert_is_a_test(file, test),
                None => {
                    assert_eq!(entry[..3].parse(), Ok(*row), "{entry} stands in row {row}");
                    assert!(listed.insert(entry.to_string()), "{entry} is listed twice");
                }
            }
        }
    }
    assert_eq!(listed, programs(), "the manifest and the folder differ");
}

#[test]
fn every_promise_names_a_test() {
    let text = fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let promises = text.split("## What is promised").nth(1).unwrap();
    let promises = promises.split("## What is not defended").next().unwrap();
    // The heads of the two tables have no test.
    let is_row = |line: &&str| {
        line.starts_with("| ") && !line.starts_with("| ---") && !line.trim_end().ends_with("| shown by |")
    };
    let rows: Vec<&str> = promises.lines().filter(is_row).collect();
    assert!(rows.len() >= 25, "{} promises", rows.len());
    for row in rows {
        let shown = row.trim_end_matches('|').rsplit('|').next().unwrap();
        let quoted: Vec<&str> = shown.split('`').skip(1).step_by(2).collect();
        assert!(!quoted.is_empty(), "no test shows: {row}");
        for name in quoted {
            match name.split_once(' ') {
                Some((file, test)) => assert_is_a_test(file, test),
                None => assert!(programs().contains(name), "there is no program {name}"),
            }
        }
    }
}

fn rows(manifest: &str) -> BTreeMap<u32, Vec<&str>> {
    let mut rows: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
    let mut current = 0;
    for line in manifest
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        if let Some(entry) = line.strip_prefix("    ") {
            rows.get_mut(&current).unwrap().push(entry);
            continue;
        }
        current = line[..3].parse().unwrap();
        assert!(
            rows.insert(current, Vec::new()).is_none(),
            "row {current} stands twice"
        );
    }
    rows
}

/// A function of this name with a test's attribute above it.
fn assert_is_a_test(file: &str, test: &str) {
    let path = root().join(file);
    let source = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let place = lines.iter().position(|line| {
        let line = line.strip_prefix("async ").unwrap_or(line);
        line.strip_prefix("fn ")
            .and_then(|line| line.strip_prefix(test))
            .is_some_and(|rest| rest.starts_with('('))
    });
    let place = place.unwrap_or_else(|| panic!("{file} has no {test}"));
    let above = lines[..place]
        .iter()
        .rev()
        .take_while(|line| line.starts_with('#') || line.starts_with("//"));
    let is_test = above
        .clone()
        .any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"));
    // The macro that tries many inputs brings its attribute below its settings.
    assert!(is_test, "{file}: {test} is no test");
    // A test that is left out shows nothing, so the manifest may not name it.
    assert!(
        !above.clone().any(|line| line.starts_with("#[ignore")),
        "{file}: {test} is not run"
    );
}

fn programs() -> BTreeSet<String> {
    let entries = fs::read_dir(suite()).unwrap().map(|entry| entry.unwrap().path());
    entries
        .filter(|path| path.extension().is_some_and(|ending| ending == "py"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect()
}

fn suite() -> PathBuf {
    root().join("tests/hostile")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
