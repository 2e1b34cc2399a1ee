//! Programs under the prelude: what they see, and how their answers leave. The same in every sandbox that has Python,
//! numpy and pandas, with or without DuckDB and pyarrow.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use meterbox_core::contract::{Answer, AnswerDocument, Cell, ColumnType};

use crate::{InputFile, Job, Outcome, Program, Reply, Sandbox, Verdict, prelude};

/// Every property, one after the other. Inputs are written into this folder, and files left by programs below it.
///
/// # Panics
/// Where a property does not hold.
pub async fn all(sandbox: &dyn Sandbox, folder: &Path) {
    answers_of_every_kind_arrive(sandbox, folder).await;
    large_answers_are_cut_and_say_so(sandbox, folder).await;
    errors_name_their_line(sandbox, folder).await;
    a_program_that_breaks_its_tools_hurts_only_itself(sandbox, folder).await;
    charts_are_specified_or_drawn(sandbox, folder).await;
    pictures_are_kept_once(sandbox, folder).await;
}

struct Desk<'a> {
    sandbox: &'a dyn Sandbox,
    folder: &'a Path,
    sales: PathBuf,
}

impl<'a> Desk<'a> {
    fn new(sandbox: &'a dyn Sandbox, folder: &'a Path) -> Self {
        let sales = folder.join("sales.csv");
        std::fs::write(&sales, "product,amount\nLamp,12.5\nDesk,3.25\nLamp,1.25\n")
            .expect("a folder of one's own");
        Self {
            sandbox,
            folder,
            sales,
        }
    }

    async fn has(&self, package: &str) -> bool {
        let found = self.sandbox.capabilities().await.expect("a working sandbox");
        found.packages.contains_key(package)
    }

    async fn run(&self, code: &str) -> Outcome {
        let job = Job {
            inputs: vec![InputFile {
                source: self.sales.clone(),
                path: "typed/sales.csv".to_owned(),
            }],
            tables: BTreeMap::from([("sales".to_owned(), "typed/sales.csv".to_owned())]),
            as_of: Some("2025-12-31".parse().expect("a date")),
            ..Job::new(Program::Analysis {
                code: code.to_owned(),
            })
        };
        self.sandbox
            .run(job, Arc::new(()))
            .await
            .expect("a working sandbox")
    }

    async fn document(&self, code: &str) -> AnswerDocument {
        let outcome = self.run(code).await;
        let Some(Reply::Value(value)) = &outcome.reply else {
            panic!("{code}: {outcome:?}")
        };
        prelude::read_answer(value).unwrap_or_else(|error| panic!("{code}: {error}"))
    }

    async fn answer(&self, code: &str) -> Answer {
        self.document(code).await.answer.expect("it is there")
    }

    async fn error(&self, code: &str) -> (String, Option<u32>) {
        let outcome = self.run(code).await;
        let Some(Reply::Error(error)) = outcome.reply else {
            panic!("{code}: {outcome:?}")
        };
        (format!("{}: {}", error.kind, error.message), error.line)
    }
}

fn rows(answer: &Answer) -> (Vec<(&str, ColumnType)>, &[Vec<Cell>]) {
    let Answer::Table { columns, rows, .. } = answer else {
        panic!("{answer:?}")
    };
    (
        columns
            .iter()
            .map(|column| (column.name.as_str(), column.column_type))
            .collect(),
        rows,
    )
}

fn text(value: &str) -> Cell {
    Cell::Text(value.to_owned())
}

/// Values, tables and groups of each type arrive as what they are.
///
/// # Panics
/// Where it is not so.
pub async fn answers_of_every_kind_arrive(sandbox: &dyn Sandbox, folder: &Path) {
    let desk = Desk::new(sandbox, folder);
    use ColumnType::*;
    let scalar = desk.answer("result = tables['sales'].amount.sum()").await;
    assert_eq!(
        scalar,
        Answer::Scalar {
            name: None,
            value: Cell::Number(17.0),
            value_type: Number,
            unit: None
        }
    );
    assert_eq!(
        desk.answer("result = as_of").await,
        Answer::Scalar {
            name: None,
            value: text("2025-12-31"),
            value_type: Date,
            unit: None
        }
    );
    assert_eq!(
        desk.answer("result = 'words'").await,
        Answer::Text { text: "words".into() }
    );

    let series = desk
        .answer("result = tables['sales'].groupby('product').amount.sum()")
        .await;
    let (columns, cells) = rows(&series);
    assert_eq!(columns, [("product", Text), ("amount", Number)]);
    assert_eq!(cells[0], [text("Desk"), Cell::Number(3.25)]);

    let duck = "result = db.sql('select count(*) as n from sales').df()";
    if desk.has("duckdb").await {
        let duck = desk.answer(duck).await;
        assert_eq!(rows(&duck).1, [vec![Cell::Integer(3)]]);
    } else {
        let (error, _) = desk.error(duck).await;
        assert!(
            error.starts_with("NameError: this sandbox has no DuckDB"),
            "{error}"
        );
    }

    let group = desk
        .answer("result = {'total': 17, 'rows': pd.Series([1, 2])}")
        .await;
    let Answer::Group { parts } = group else {
        panic!("{group:?}")
    };
    assert_eq!(parts.keys().collect::<Vec<_>>(), ["rows", "total"]);

    let odd = "import decimal, datetime
result = pd.DataFrame({
    'missing': [None, float('nan')], 'infinite': [float('inf'), 1.5], 'exact': [decimal.Decimal('1.10'), None],
    'large': [2**70, 1], 'when': [datetime.datetime(2025, 1, 2, 3, 4), None], 'day': pd.to_datetime(['2025-01-02', None]),
    'period': pd.period_range('2025-01', periods=2, freq='M'), 'list': [[1, 2], 'x'], 'flag': [True, False],
})
result.attrs['scale'] = {'infinite': 2}
result.attrs['units'] = {'infinite': 'EUR'}";
    let odd = desk.document(odd).await;
    assert_eq!(
        prelude::verify(&odd)[0],
        "numbers that are not finite are shown as missing"
    );
    let answer = odd.answer.expect("it is there");
    let (columns, cells) = rows(&answer);
    let types: Vec<_> = columns.iter().map(|(_, kind)| *kind).collect();
    assert_eq!(
        types,
        [
            Number, Decimal, Decimal, Text, Datetime, Date, Text, Text, Boolean
        ]
    );
    assert_eq!(
        cells[0][..5],
        [
            Cell::Null,
            Cell::Null,
            text("1.10"),
            text("1180591620717411303424"),
            text("2025-01-02T03:04:00")
        ]
    );
    assert_eq!(cells[1][1], Cell::Number(1.5));
    let Answer::Table { columns, .. } = &answer else {
        unreachable!("a table")
    };
    assert_eq!(columns[1].unit.as_deref(), Some("EUR"));
}

/// A million rows are some of them, and how many there were.
///
/// # Panics
/// Where it is not so.
pub async fn large_answers_are_cut_and_say_so(sandbox: &dyn Sandbox, folder: &Path) {
    let desk = Desk::new(sandbox, folder);
    let answer = desk
        .answer("result = pd.DataFrame({'a': range(1_000_000), 'b': 'x' * 5000})")
        .await;
    let Answer::Table {
        rows,
        row_count,
        truncated,
        ..
    } = answer
    else {
        panic!("a table")
    };
    assert_eq!((row_count, truncated), (1_000_000, true));
    assert!(!rows.is_empty() && rows[0][1].as_text().expect("it is there").chars().count() == 2_000);
}

/// An error says what and where, in the program's own lines.
///
/// # Panics
/// Where it is not so.
pub async fn errors_name_their_line(sandbox: &dyn Sandbox, folder: &Path) {
    let desk = Desk::new(sandbox, folder);
    for (code, expected, line) in [
        ("x = 1\nraise ValueError('no')", "ValueError: no", Some(2)),
        ("\u{feff}x = 1\nraise ValueError('no')", "ValueError: no", Some(2)),
        ("x = = 1", "SyntaxError: invalid syntax", Some(1)),
        (
            "result = tables['orders']",
            "KeyError: there is no table 'orders'; there are: sales",
            Some(1),
        ),
        (
            "pass",
            "NoResult: the program ended without setting `result`",
            None,
        ),
        (
            "import sys\nsys.exit(3)",
            "SystemExit: the program called exit(3) before it had a result",
            None,
        ),
    ] {
        assert_eq!(desk.error(code).await, (expected.to_owned(), line), "{code}");
    }
    let (deep, line) = desk.error("def f():\n    f()\nf()").await;
    assert!(
        deep.starts_with("RecursionError: maximum recursion depth exceeded") && line == Some(2),
        "{deep}"
    );
    let (long, _) = desk.error("raise ValueError('x' * 10_000_000)").await;
    assert!(long.chars().count() < 2_100);
    assert_eq!(
        desk.run("import sys\nresult = 1\nsys.exit(3)").await.verdict,
        Verdict::Exited { code: 3 }
    );
}

/// Whatever a program replaces, the next one finds it whole.
///
/// # Panics
/// Where it is not so.
pub async fn a_program_that_breaks_its_tools_hurts_only_itself(sandbox: &dyn Sandbox, folder: &Path) {
    let desk = Desk::new(sandbox, folder);
    for code in [
        "import json, builtins\njson.dumps = None\nbuiltins.len = None\nresult = 7",
        "import pandas\npandas.DataFrame = None\nresult = 7",
        "class Hostile(int):\n    def __repr__(self): raise SystemExit\nresult = Hostile(7)",
    ] {
        let outcome = desk.run(code).await;
        assert!(
            matches!(outcome.verdict, Verdict::Exited { .. }),
            "{code}: {outcome:?}"
        );
    }
    assert!(matches!(
        desk.answer("result = len([1])").await,
        Answer::Scalar {
            value: Cell::Integer(1),
            ..
        }
    ));
}

/// A chart is a specification that our renderer draws, or is left out.
///
/// # Panics
/// Where it is not so.
pub async fn charts_are_specified_or_drawn(sandbox: &dyn Sandbox, folder: &Path) {
    let desk = Desk::new(sandbox, folder);
    let spec =
        "result = tables['sales']\nchart = {'kind': 'bar', 'x': 'product', 'y': 'amount', 'title': 'Sales'}";
    let document = desk.document(spec).await;
    assert_eq!(document.charts[0].y, ["amount"]);

    let folder = desk.folder.join("chart");
    std::fs::create_dir_all(&folder).expect("a folder");
    let parameters = serde_json::json!({ "document": document, "index": 0 });
    let job = Job {
        artifacts_into: Some(folder),
        ..Job::new(Program::Service {
            code: prelude::CHART_RENDERER.to_owned(),
            parameters,
        })
    };
    let outcome = desk
        .sandbox
        .run(job, Arc::new(()))
        .await
        .expect("a working sandbox");
    let png = std::fs::read(&outcome.artifacts[0].path).expect("it is there");
    assert!(png.starts_with(b"\x89PNG") && png.len() > 5_000, "{outcome:?}");

    let foreign = desk
        .document("result = tables['sales']\nchart = {'kind': 'bar', 'x': 'nothing', 'y': 'amount'}")
        .await;
    assert_eq!((foreign.charts.len(), foreign.warnings.len()), (0, 1));
    // Nor is it forgotten where the answer has to be cut.
    let undrawable = "import matplotlib.pyplot as plt\nplt.figure().suptitle(r'$\\frac$')\n\
                      import pandas\nresult = pandas.DataFrame({'text': ['x' * 1000] * 5000})";
    let warnings = desk.document(undrawable).await.warnings;
    let said = warnings.iter().filter(|text| text.contains("could not be drawn"));
    assert_eq!(said.count(), 1, "{warnings:?}");
}

/// Of a figure that is open at the end there is one picture, which the program or else the prelude has made; two where it was
/// changed in between.
///
/// # Panics
/// Where it is not so.
pub async fn pictures_are_kept_once(sandbox: &dyn Sandbox, folder: &Path) {
    let drawn = "import matplotlib.pyplot as plt\nfigure, axes = plt.subplots()\naxes.bar([1, 2], [3, 4])\nresult = 1";
    for (place, then, kept) in [
        ("pictures-1", "", &["figure-1.png"][..]),
        ("pictures-2", "plt.savefig('mine.png')", &["mine.png"]),
        (
            "pictures-3",
            "figure.savefig('mine.png'); chart = figure",
            &["mine.png"],
        ),
        (
            "pictures-4",
            "plt.savefig('mine.png'); axes.set_title('later')",
            &["figure-1.png", "mine.png"],
        ),
        (
            "pictures-5",
            "plt.savefig('mine.svg')",
            &["figure-1.png", "mine.svg"],
        ),
        ("pictures-6", "plt.savefig('mine')", &["mine.png"]),
        (
            "pictures-7",
            "plt.savefig('mine.PNG', format='PNG')",
            &["mine.PNG"],
        ),
        // Nobody is to be left without a picture.
        (
            "pictures-8",
            "import os\nplt.savefig('mine.png'); os.remove('mine.png')",
            &["figure-1.png"],
        ),
        (
            "pictures-9",
            "import os, tempfile\nos.chdir(tempfile.gettempdir()); plt.savefig('mine.png')",
            &["figure-1.png"],
        ),
        (
            "pictures-10",
            "plt.savefig('mine.png'); plt.figure(); plt.savefig('mine.png')",
            &["figure-1.png", "mine.png"],
        ),
        (
            "pictures-11",
            "import os, tempfile\nos.symlink(tempfile.gettempdir() + '/mine.png', 'mine.png'); plt.savefig('mine.png')",
            &["figure-1.png"],
        ),
        (
            "pictures-12",
            "plt.savefig('figure-1.png'); plt.figure()",
            &["figure-1.png", "figure-2.png"],
        ),
    ] {
        let folder = folder.join(place);
        std::fs::create_dir_all(&folder).expect("a folder");
        let job = Job {
            artifacts_into: Some(folder),
            ..Job::new(Program::Analysis {
                code: format!("{drawn}\n{then}"),
            })
        };
        let outcome = sandbox.run(job, Arc::new(())).await.expect("a working sandbox");
        let mut names: Vec<_> = outcome
            .artifacts
            .iter()
            .map(|artifact| artifact.name.as_str())
            .collect();
        names.sort_unstable();
        assert_eq!(names, kept, "{then}: {outcome:?}");
    }
}
