//! Files in, versions out, and an import's claims checked.

#![expect(
    clippy::unwrap_used,
    reason = "a test whose world cannot be set up has failed"
)]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use meterbox_core::contract::PrivacyLevel;
use meterbox_datasets::{Catalog, Dataset, DatasetError, DatasetErrorKind};
use serde_json::value::RawValue;

struct House {
    catalog: Catalog,
    folder: tempfile::TempDir,
}

fn house() -> House {
    let folder = tempfile::tempdir().unwrap();
    House {
        catalog: Catalog::open(&folder.path().join("catalog")).unwrap(),
        folder,
    }
}

impl House {
    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    fn sales(&self) -> Dataset {
        self.catalog
            .add(&[self.file("sales.csv", b"a,b\n1,2\n")])
            .unwrap()
    }
}

#[test]
fn the_same_files_are_the_same_dataset_and_other_bytes_are_another_version() {
    let house = house();
    let first = house.sales();
    assert_eq!(house.sales(), first);
    assert_eq!(first.name(), "sales");
    let changed = house
        .catalog
        .add(&[house.file("sales.csv", b"a,b\n1,3\n")])
        .unwrap();
    assert_ne!(changed.version(), first.version());
    let names: Vec<_> = house
        .catalog
        .list()
        .unwrap()
        .iter()
        .map(|dataset| dataset.version().to_owned())
        .collect();
    assert_eq!(names.len(), 2);
}

#[test]
fn what_may_leave_is_written_down_for_a_version_and_fails_closed() {
    let house = house();
    let sales = house.sales();
    assert_eq!(sales.privacy(), None);
    house.catalog.set_privacy(&sales, PrivacyLevel::Values).unwrap();
    assert_eq!(house.sales().privacy(), Some(PrivacyLevel::Values));
    assert_eq!(
        house.catalog.list().unwrap().len(),
        1,
        "it is no dataset of its own"
    );

    let changed = house.file("sales.csv", b"a,b\n1,3\n");
    assert_eq!(house.catalog.add(&[changed]).unwrap().privacy(), None);

    let written = house
        .catalog
        .folder()
        .join(format!("datasets/{}.privacy", sales.version()));
    for damaged in ["", "7", "3 3", "\u{ff13}"] {
        fs::write(&written, damaged).unwrap();
        assert_eq!(sales.privacy(), Some(PrivacyLevel::Nothing), "{damaged:?}");
    }
}

#[test]
fn a_folder_is_its_data_files() {
    let house = house();
    for name in [
        "shop/b.csv",
        "shop/a.tsv",
        "shop/README.md",
        "shop/.hidden.csv",
        "shop/deep/c.csv",
    ] {
        house.file(name, b"a\n1\n");
    }
    let shop = house.catalog.add(&[house.folder.path().join("shop")]).unwrap();
    assert_eq!(shop.name(), "shop");
    let inside: Vec<_> = house
        .catalog
        .import_request(&shop)
        .inputs
        .into_iter()
        .map(|(_, path)| path)
        .collect();
    assert_eq!(inside, ["original/a.tsv", "original/b.csv"]);
}

#[test]
fn what_is_kept_lies_in_the_catalog_and_can_be_read_by_a_sandboxs_user() {
    let house = house();
    let sales = house.sales();
    for (path, inside) in house.catalog.import_request(&sales).inputs {
        assert!(path.starts_with(house.catalog.folder()));
        assert!(!inside.contains("..") && !inside.starts_with('/'));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        for folder in path
            .ancestors()
            .skip(1)
            .take_while(|folder| folder.starts_with(house.catalog.folder()))
        {
            assert_eq!(
                fs::metadata(folder).unwrap().permissions().mode() & 0o755,
                0o755,
                "{folder:?}"
            );
        }
    }
}

#[test]
fn hostile_names_become_harmless() {
    let house = house();
    for (index, name) in [
        "-rf.csv",
        "a\n\x1b[31m.csv",
        "..csv.csv",
        "\u{202e}gpj.csv",
        &format!("{}.csv", "x".repeat(200)),
    ]
    .iter()
    .enumerate()
    {
        let dataset = house
            .catalog
            .add(&[house.file(name, format!("a\n{index}\n").as_bytes())])
            .unwrap();
        let (_, inside) = house.catalog.import_request(&dataset).inputs.remove(0);
        let kept = inside.strip_prefix("original/").unwrap();
        assert!(
            kept.len() < 160 && !kept.starts_with(['-', '.']) && kept.ends_with(".csv"),
            "{kept:?}"
        );
        assert!(
            !kept
                .chars()
                .any(|character| character.is_control() || character == '\u{202e}'),
            "{kept:?}"
        );
    }
}

#[test]
fn files_of_no_use_are_refused_by_name_with_a_next_step() {
    let house = house();
    let here = |name: &str| house.folder.path().join(name);
    house.file("empty.csv", b"");
    house.file("picture.png", b"\x89PNG");
    house.file("notes/README.md", b"words");
    house.file("one/sales.csv", b"a\n1\n");
    house.file("two/SALES.csv", b"a\n2\n");
    for (paths, expected) in [
        (vec![], "no data was given"),
        (vec![here("missing.csv")], "there is no"),
        (vec![here("empty.csv")], "is empty"),
        (vec![here("picture.png")], "is no file of a kind that can be read"),
        (vec![here("notes")], "holds no data file"),
        (
            vec![here("one/sales.csv"), here("two/SALES.csv")],
            "two files are called",
        ),
    ] {
        let error = house.catalog.add(&paths).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!error.hint().is_empty());
        assert_eq!(error.kind(), DatasetErrorKind::BadData);
        if let Some(path) = paths.last() {
            let name = path.file_name().unwrap().to_str().unwrap();
            assert!(error.to_string().contains(name), "{error} does not name {name}");
        }
    }
    assert!(house.catalog.list().unwrap().is_empty());
}

const COLUMN: &str = r#"{"name": "a", "type": "integer", "role": "measure", "nulls": 0, "distinct": 1}"#;

fn table(name: &str, file: &str, columns: &str) -> String {
    format!(
        r#"{{"name": "{name}", "source": "sales.csv", "file": "{file}", "rows": 1, "columns": [{columns}]}}"#
    )
}

fn reply(tables: &str) -> Box<RawValue> {
    let json = format!(r#"{{"tables": [{tables}], "as_of": "2025-12-31", "failures": []}}"#);
    RawValue::from_string(json).unwrap()
}

fn left(house: &House) -> Vec<(String, PathBuf)> {
    let folder = house.catalog.scratch_folder().unwrap().keep();
    let file = folder.join("sales.parquet");
    fs::write(&file, b"PAR1").unwrap();
    vec![("sales.parquet".to_owned(), file)]
}

#[test]
fn an_import_is_kept_and_found_again() {
    let house = house();
    let sales = house.sales();
    assert_eq!(sales.typed(), None);
    let reply = reply(&table("sales", "sales.parquet", COLUMN));
    let typed = house
        .catalog
        .record_import(&sales, &reply, &left(&house))
        .unwrap();
    assert_eq!(typed.tables[0].columns[0].name, "a");
    assert_eq!(typed.as_of, Some("2025-12-31".parse().unwrap()));
    assert_eq!(typed.table_paths["sales"], "typed/sales.parquet");
    assert!(
        typed
            .files
            .iter()
            .chain(&typed.originals)
            .all(|(path, _)| path.exists())
    );
    assert_eq!(sales.typed().as_ref(), Some(&typed));
    // A second import of the same version, which lost the race, ends with the first one's.
    assert_eq!(
        house
            .catalog
            .record_import(&sales, &reply, &left(&house))
            .unwrap(),
        typed
    );
}

#[test]
fn a_lying_import_is_not_kept() {
    let house = house();
    let sales = house.sales();
    let twice = format!("{COLUMN}, {COLUMN}");
    let impossible = COLUMN.replace(r#""nulls": 0"#, r#""nulls": 9"#);
    for lie in [
        reply(""),
        reply(&table("../../etc/passwd", "sales.parquet", COLUMN)),
        reply(&table("Sales", "Sales.parquet", COLUMN)),
        reply(&table("sales", "../sales.parquet", COLUMN)),
        reply(&table("other", "other.parquet", COLUMN)),
        reply(&table("sales", "sales.parquet", "")),
        reply(&table("sales", "sales.parquet", &twice)),
        reply(&table("sales", "sales.parquet", &impossible)),
        reply(&format!("{0}, {0}", table("sales", "sales.parquet", COLUMN))),
        RawValue::from_string("[]".into()).unwrap(),
        RawValue::from_string(r#"{"tables": [], "as_of": "tomorrow", "failures": []}"#.into()).unwrap(),
    ] {
        let error = house
            .catalog
            .record_import(&sales, &lie, &left(&house))
            .unwrap_err();
        assert!(matches!(error, DatasetError::BrokenReply(_)), "{error} for {lie}");
        assert_eq!(sales.typed(), None, "{lie}");
    }
}

#[test]
fn tables_as_csv_are_kept_once_whole_or_not_at_all() {
    let house = house();
    let sales = house.sales();
    let written = |names: &[&str]| {
        let files = names.iter().map(|name| {
            let file = house.file(&format!("left/{name}"), name.as_bytes());
            ((*name).to_owned(), file)
        });
        files.collect::<Vec<_>>()
    };
    let both = ["sales.csv", "sales.types.json"];
    let untyped = house.catalog.record_portable(&sales, &written(&both));
    assert!(
        matches!(untyped, Err(DatasetError::BrokenReply(_))),
        "{untyped:?}"
    );
    let reply = reply(&table("sales", "sales.parquet", COLUMN));
    let typed = house
        .catalog
        .record_import(&sales, &reply, &left(&house))
        .unwrap();
    let request = house.catalog.portable_request(&typed);
    assert_eq!(request.parameters["tables"]["sales"], "typed/sales.parquet");
    assert_eq!(request.inputs, typed.files);

    assert_eq!(sales.portable(), None);
    let half = house.catalog.record_portable(&sales, &written(&both[..1]));
    assert!(matches!(half, Err(DatasetError::BrokenReply(_))), "{half:?}");
    assert_eq!(sales.portable(), None);
    let kept = house.catalog.record_portable(&sales, &written(&both)).unwrap();
    assert_eq!(fs::read(&kept["sales"].csv).unwrap(), b"sales.csv");
    assert_eq!(fs::read(&kept["sales"].types).unwrap(), b"sales.types.json");
    assert_eq!(sales.portable().as_ref(), Some(&kept));
    // Whoever comes second ends with the first one's; what is damaged is written anew.
    assert_eq!(
        house.catalog.record_portable(&sales, &written(&both)).unwrap(),
        kept
    );
    fs::remove_file(&kept["sales"].types).unwrap();
    assert_eq!(sales.portable(), None);
    assert_eq!(
        house.catalog.record_portable(&sales, &written(&both)).unwrap(),
        kept
    );
}

#[test]
fn a_file_that_could_not_be_typed_is_named() {
    let house = house();
    let sales = house.sales();
    let refused = r#"{"tables": [], "as_of": null, "failures": [
        {"file": "sales.csv", "code": "no_header", "message": "its first row is not a row of column names", "hint": "Add one."}]}"#;
    let refused = RawValue::from_string(refused.into()).unwrap();
    let error = house.catalog.record_import(&sales, &refused, &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "sales.csv: its first row is not a row of column names"
    );
    assert_eq!(error.hint(), "Add one.");
}

#[test]
fn a_damaged_listing_hides_no_other() {
    let house = house();
    house.sales();
    let broken: &Path = &house.catalog.folder().join("datasets/broken.json");
    fs::write(broken, "{").unwrap();
    assert_eq!(house.catalog.list().unwrap().len(), 1);
}
