//! Files as people export them, typed in the real sandbox: what each column becomes, and what is said of files
//! that cannot be read.

use std::{fs, path::Path, sync::Arc};

use meterbox_analysis::{Analyst, Principal};
use meterbox_budget_engine::{Budget, BudgetEngine, MemoryLedger, Window};
use meterbox_core::{
    SystemClock,
    contract::{ColumnRole, ColumnType, Failure, FailureKind, TableProfile},
};
use meterbox_datasets::{Catalog, TypedDataset};
use meterbox_local_sandbox::LocalSandbox;
use meterbox_results_store::MemoryResults;
use meterbox_testkit::test_runtime;

struct Typist {
    analyst: Analyst,
    folder: tempfile::TempDir,
}

impl Typist {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let budget = BudgetEngine::new(MemoryLedger::new(), SystemClock::default());
        let scope = "user/*".parse().expect("a scope");
        budget
            .define(Budget::new(scope, "1".parse().expect("money"), Window::Lifetime))
            .await
            .expect("a budget");
        let catalog = Catalog::open(&folder.path().join("datasets")).expect("a catalog");
        let sandbox = LocalSandbox::builder(test_runtime())
            .inputs_root(catalog.folder())
            .build()
            .expect("a sandbox");
        let results = Arc::new(MemoryResults::new());
        let artifacts = folder.path().join("artifacts");
        let analyst = Analyst::builder(Arc::new(sandbox), budget, results, catalog, artifacts).build();
        Self { analyst, folder }
    }

    async fn typed(&self, name: &str, bytes: &[u8]) -> Result<TypedDataset, Failure> {
        let file = self.folder.path().join(name);
        fs::write(&file, bytes).expect("a file");
        let dataset = self.analyst.catalog().add(&[file]).expect("a dataset");
        self.analyst
            .prepare(dataset, Principal::user("user/ana".parse().expect("a scope")))
            .await
    }

    async fn table(&self, name: &str, bytes: &[u8]) -> TableProfile {
        self.typed(name, bytes)
            .await
            .unwrap_or_else(|failure| panic!("{name}: {failure:?}"))
            .tables
            .remove(0)
    }
}

fn types(table: &TableProfile) -> Vec<(&str, ColumnType)> {
    table
        .columns
        .iter()
        .map(|column| (column.name.as_str(), column.column_type))
        .collect()
}

fn warnings(table: &TableProfile) -> Vec<&str> {
    table
        .warnings
        .iter()
        .map(|warning| warning.code.as_str())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn exports_are_typed_by_column() {
    use ColumnType::*;
    let typist = Typist::new().await;

    let plain = b"order_id,Day,amount,paid,note\n1,2025-01-02,12.50,yes,a\n2,2025-01-03,1.05,no,\n";
    let plain = typist.table("plain.csv", plain).await;
    assert_eq!(
        types(&plain),
        [
            ("order_id", Integer),
            ("Day", Date),
            ("amount", Decimal),
            ("paid", Boolean),
            ("note", Text)
        ]
    );
    assert_eq!(plain.columns[0].role, ColumnRole::Identifier);
    assert_eq!(plain.columns[2].scale, Some(2));
    assert_eq!(plain.columns[4].nulls, 1);

    let german = "Nr;Datum;Betrag\n001;31.12.2024;1.234,50\n002;01.02.2025;12,00\n";
    let german = typist.table("german.csv", german.as_bytes()).await;
    // Codes with leading zeros are names, not numbers.
    assert_eq!(
        types(&german),
        [("Nr", Text), ("Datum", Date), ("Betrag", Decimal)]
    );
    assert_eq!(
        german.columns[2].max.as_ref().and_then(|max| max.as_f64()),
        Some(1234.5)
    );

    let decided = typist.table("decided.csv", b"d\n01/02/2025\n13/04/2025\n").await;
    assert_eq!(
        decided.columns[0].max.as_ref().and_then(|max| max.as_text()),
        Some("2025-04-13")
    );
    let undecided = typist
        .table("undecided.csv", b"d\n01/02/2025\n03/04/2025\n")
        .await;
    assert_eq!(
        (types(&undecided), warnings(&undecided)),
        (vec![("d", Text)], vec!["ambiguous_dates"])
    );

    let money = "p,price\na,\"€1,234.50\"\nb,€3.00\n";
    let money = typist.table("money.csv", money.as_bytes()).await;
    assert_eq!(
        (money.columns[1].column_type, money.columns[1].currency.as_deref()),
        (Decimal, Some("EUR"))
    );
    let mixed = typist
        .table("mixed.csv", "p,price\na,€3\nb,$4\n".as_bytes())
        .await;
    assert_eq!(
        (mixed.columns[1].column_type, warnings(&mixed)),
        (Text, vec!["mixed_currencies"])
    );

    let mut typos = String::from("quantity\n");
    (0..200).for_each(|number| typos.push_str(&format!("{number}\n")));
    typos.push_str("two\n");
    let typos = typist.table("typos.csv", typos.as_bytes()).await;
    assert_eq!(
        (typos.columns[0].column_type, typos.columns[0].unparsed),
        (Integer, 1)
    );
    assert_eq!(warnings(&typos), ["unparsed_cells"]);

    let twice = typist.table("twice.csv", b"a,b\n1,2\n1,2\n3,4\n").await;
    assert_eq!((twice.rows, warnings(&twice)), (3, vec!["duplicate_rows"]));

    let names = "a,a,,b\u{202e}c,<script>\n1,2,3,4,5\n";
    let names = typist.table("names.csv", names.as_bytes()).await;
    let given: Vec<_> = names.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(given, ["a", "a_2", "column_3", "bc", "<script>"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_kinds_of_file_are_read() {
    use ColumnType::*;
    let typist = Typist::new().await;
    let records = typist
        .table("records.json", br#"[{"a": 1, "b": "x"}, {"a": 2.5, "b": null}]"#)
        .await;
    assert_eq!(types(&records), [("a", Decimal), ("b", Text)]);
    let lines = typist.table("lines.jsonl", b"{\"a\": 1}\n{\"a\": 2}\n").await;
    assert_eq!(types(&lines), [("a", Integer)]);
    let tabs = typist.table("tabs.tsv", b"a\tb\n1\tx, y\n").await;
    assert_eq!(types(&tabs), [("a", Integer), ("b", Text)]);
    let latin = typist.table("latin.csv", b"name,n\nM\xfcller,1\n").await;
    assert_eq!(latin.columns[0].values[0].value, "Müller");

    let made = typist.folder.path();
    make_with_pandas(made);
    let book = typist
        .typed("book.xlsx", &fs::read(made.join("made.xlsx")).expect("made"))
        .await
        .expect("readable");
    let sheets: Vec<_> = book
        .tables
        .iter()
        .map(|table| (table.name.as_str(), table.rows))
        .collect();
    assert_eq!(sheets, [("orders", 2), ("customers", 1)]);
    assert_eq!(
        types(&book.tables[0]),
        [("id", Integer), ("day", Date), ("amount", Decimal)]
    );
    let parquet = typist
        .table(
            "table.parquet",
            &fs::read(made.join("made.parquet")).expect("made"),
        )
        .await;
    assert_eq!(
        types(&parquet),
        [("id", Integer), ("day", Date), ("amount", Number)]
    );
}

fn make_with_pandas(folder: &Path) {
    let program = "
import pandas as pd, sys
orders = pd.DataFrame({'id': [1, 2], 'day': pd.to_datetime(['2025-01-02', '2025-03-04']), 'amount': [1.5, 2.25]})
with pd.ExcelWriter(sys.argv[1] + '/made.xlsx') as book:
    orders.to_excel(book, sheet_name='Orders', index=False)
    pd.DataFrame({'name': ['Ana']}).to_excel(book, sheet_name='Customers', index=False)
orders.to_parquet(sys.argv[1] + '/made.parquet')
";
    let done = std::process::Command::new(test_runtime().python)
        .args(["-c", program])
        .arg(folder)
        .status();
    assert!(done.expect("python starts").success());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_cannot_be_read_are_named_with_a_next_step() {
    let typist = Typist::new().await;
    for (name, bytes, expected) in [
        ("headeronly.csv", &b"a,b,c\n"[..], "it has a header and no rows"),
        (
            "noheader.csv",
            b"1,2,3\n4,5,6\n",
            "its first row is not a row of column names",
        ),
        (
            "picture.csv",
            b"\x89PNG\r\n\x1a\n1234",
            "its name says CSV, its bytes say a PNG picture",
        ),
        (
            "archive.csv",
            b"PK\x03\x04 and more",
            "its bytes say a ZIP archive",
        ),
        (
            "table.xlsx",
            b"a,b\n1,2\n",
            "its name says XLSX, its bytes say text",
        ),
        (
            "table.parquet",
            b"PAR1 and nothing else",
            "it is no readable Parquet file",
        ),
        ("broken.json", b"{", "it is no JSON"),
        ("word.json", b"\"hello\"", "it is JSON, but not a table"),
        ("ragged.csv", b"a,b\n1,2\n3,4,5,6\n", "its rows do not line up"),
        ("blank.csv", b" \n \n", "only blank space"),
    ] {
        let failure = typist.typed(name, bytes).await.expect_err(name);
        assert_eq!(failure.kind, FailureKind::BadData, "{name}");
        assert!(
            failure.message.starts_with(name) && failure.message.contains(expected),
            "{}",
            failure.message
        );
        assert!(!failure.hint.is_empty(), "{name}");
    }
}
