use std::{fmt::Write as _, sync::Arc};

use meterbox_core::contract::TableProfile;
use proptest::prelude::*;
use serde_json::json;

use super::problems;
use crate::GenerateRequest;

fn tables() -> Arc<[TableProfile]> {
    let column = |name: &str, kind: &str| json!({ "name": name, "type": kind, "role": "measure", "nulls": 0, "distinct": 9 });
    let table = |name: &str, columns: Vec<serde_json::Value>| json!({ "name": name, "source": "x.csv", "rows": 9, "columns": columns });
    let orders = table(
        "orders",
        vec![
            column("revenue", "number"),
            column("product", "text"),
            column("day", "date"),
        ],
    );
    let products = table(
        "products",
        vec![column("product", "text"), column("unit price", "number")],
    );
    serde_json::from_value::<Vec<_>>(json!([orders, products]))
        .unwrap()
        .into()
}

fn found(question: &str, code: &str) -> Vec<String> {
    let mut request = GenerateRequest::new(question, tables(), None);
    request.packages = Arc::new([("duckdb".to_owned(), "1".to_owned())].into());
    let found = problems(code, &request);
    found.into_iter().map(|problem| problem.words).collect()
}

#[test]
fn what_the_sandbox_has_more_of_may_be_imported() {
    let code =
        "from sklearn.linear_model import Ridge\nimport scipy.stats, statsmodels.api as sm\nresult = 1";
    let mut request = GenerateRequest::new("a forecast", tables(), None);
    let refused = problems(code, &request);
    assert_eq!(refused.len(), 3, "{refused:?}");
    let full = ["scikit-learn", "scipy", "statsmodels"].map(|name| (name.to_owned(), "1".to_owned()));
    request.packages = Arc::new(full.into());
    assert_eq!(problems(code, &request), []);
}

#[test]
fn ordinary_programs_pass() {
    for code in [
        "orders = tables['orders']\nresult = orders.groupby('product', as_index=False)['revenue'].sum()",
        "import datetime as dt\nfrom collections import Counter\no = tables[\"orders\"].copy()\n\
         o['month'] = o['day'].dt.to_period('M')\nresult = o.groupby('month')[['revenue']].sum().reset_index()\n\
         result['share'] = result['revenue'] / result['revenue'].sum()",
        "result = db.sql('SELECT product, sum(revenue) AS total FROM orders GROUP BY 1').df()\nresult = result[['total']]",
        "o = tables['orders'].merge(tables['products'], on='product')\n\
         g = o.groupby('product').agg(n=('revenue', 'size'), all=('revenue', 'sum'))\nresult = g[g['n'] > 3][['all', 'n']]",
        "result = {'rows': len(tables['orders']), 'top': tables['orders']['product'].value_counts().reset_index()['count']}",
        "if as_of:\n    result = as_of.year - 1\nelse:\n    result = 0",
        "limits = {'low': 1}\nresult = limits['low']",
        "start = pd.Timestamp(as_of) - pd.DateOffset(months=1)\no = tables['orders']\nresult = int((o['day'] >= start).sum())",
        // What was grouped, counted or pivoted is named by values of the data.
        "sales = tables['orders'].groupby('product')['revenue'].sum()\nresult = sales['Tea'] / sales.sum()",
        "counts = tables['orders']['product'].value_counts()\nresult = int(counts['Tea'])",
        "o = tables['orders']\np = o.pivot_table(index='day', columns='product', values='revenue', margins=True)\n\
         result = p[['Tea', 'All']].assign(more=p['Tea'] - p['Coffee'])",
        "o = tables['orders']\nresult = o.set_index('product').loc['Tea', 'revenue'].sum()",
        "o = tables['orders']\no = o.rename(columns=str.upper)\nresult = o['REVENUE'].sum()",
        "o = tables['orders']\no.columns = [name.title() for name in o.columns]\nresult = o['Revenue'].sum()",
        "o = tables['orders']\nfor name in ['a', 'b']:\n    o[f'{name}_share'] = 1\nresult = o['a_share']",
        "o = tables['orders']\nresult = o.apply(lambda o: o['made up'], axis=1)",
        "m = tables['orders'].merge(tables['products'], on='day', suffixes=('_order', '_list'))\n\
         result = m[['product_order', 'product_list']]",
        "result = db.sql('SELECT sum(revenue) AS \"Total Revenue\" FROM orders').df()['Total Revenue']",
        "from __future__ import annotations\nimport warnings\nwarnings.filterwarnings('ignore')\n\
         def p90(x):\n    return x.quantile(0.9)\np90.__name__ = 'p90'\nresult = tables['orders']['revenue'].agg(p90)",
    ] {
        assert_eq!(found("revenue by product", code), Vec::<String>::new(), "{code}");
    }
}

#[test]
fn what_cannot_work_is_named() {
    for (code, said) in [
        ("result = (", "not valid Python: line 1"),
        ("x = 1\nresult = x +", "not valid Python: line 2"),
        ("result = 1\ntype X = int", "not valid Python 3.11: line 2"),
        ("print(1)", "never sets `result`"),
        ("import os\nresult = 1", "imports os, which is not there"),
        (
            "from sklearn.linear_model import Ridge\nresult = 1",
            "imports sklearn.linear_model",
        ),
        ("from . import x\nresult = 1", "imports ."),
        ("result = eval('1')", "uses eval()"),
        ("result = open('/etc/passwd').read()", "uses open()"),
        ("result = ().__class__", "uses .__class__"),
        ("result = __builtins__", "uses __builtins__"),
        ("result = pd.read_csv('/data/orders.csv')", "uses .read_csv"),
        ("tables['orders'].to_csv('x')\nresult = 1", "uses .to_csv"),
        (
            "result = tables['order']",
            "there is no table \"order\"; there are: orders, products",
        ),
        (
            "result = tables['orders']['sales']",
            "there is no column \"sales\"; there are: day, product, revenue",
        ),
        (
            "o = tables['orders']\nresult = o[['revenue', 'cost']]",
            "there is no column \"cost\"",
        ),
        (
            "o = tables['orders'].copy()\nrecent = o[o['day'] > 1].sort_values('day')\nresult = recent.groupby('product')['cost'].sum()",
            "there is no column \"cost\"",
        ),
        (
            "o = tables['orders']\no = o[o['region'] == 'North']\nresult = len(o)",
            "there is no column \"region\"",
        ),
        (
            "m = tables['orders'].merge(tables['products'], on='product')\nresult = m['unit_price']",
            "there is no column \"unit_price\"",
        ),
    ] {
        let found = found("revenue by product", code);
        assert!(
            found.iter().any(|problem| problem.contains(said)),
            "{code}: {found:?}"
        );
    }
}

#[test]
fn dates_that_nobody_named_would_be_wrong_tomorrow() {
    for code in [
        "o = tables['orders']\nresult = o[o['day'] >= '2024-01-01']",
        "import datetime\nresult = datetime.date(2024, 1, 1)",
        "o = tables['orders']\nresult = o[o['day'].dt.year == 2024]",
        "result = db.sql(\"SELECT * FROM orders WHERE day > DATE '2024-03-01'\").df()",
        "result = pd.Timestamp(year=2024, month=1, day=1)",
        "result = pd.Period('2024')",
    ] {
        let unnamed = found("revenue last year", code);
        assert!(
            unnamed
                .iter()
                .any(|problem| problem.contains("2024 written in it")),
            "{code}: {unnamed:?}"
        );
        assert_eq!(found("revenue in 2024", code), Vec::<String>::new(), "{code}");
    }
    for (question, code) in [
        (
            "revenue in 2024",
            "result = [day >= '2024-01-01', day < '2025-01-01']",
        ),
        (
            "revenue in 2024 against the year before",
            "result = day.dt.year == 2023",
        ),
        (
            "revenue from 2019 to 2024",
            "result = [day.dt.year == 2021, pd.Timestamp('2022-01-01')]",
        ),
        ("revenue in FY24", "result = pd.Timestamp('2024-03-01')"),
        ("days since the epoch", "result = pd.Timestamp('1970-01-01')"),
    ] {
        assert_eq!(found(question, code), Vec::<String>::new(), "{code}");
    }
    for (question, code) in [
        ("revenue in 2024", "result = pd.Timestamp('2020-01-01')"),
        ("the top 24 of 30 products", "result = pd.Timestamp('2026-01-01')"),
    ] {
        assert_eq!(found(question, code).len(), 1, "{code}");
    }
    assert_eq!(
        found(
            "orders over 2000",
            "o = tables['orders']\nresult = o[o['revenue'] > 2000]"
        ),
        Vec::<String>::new()
    );
}

#[test]
fn programs_that_only_nest_are_read_and_refused() {
    let deep = 8_000;
    let nested = [
        format!("result = {}{}", "(".repeat(deep), ")".repeat(deep)),
        format!("result = {}1", "-".repeat(2 * deep)),
        format!("result = {}1", "not ".repeat(deep / 2)),
        format!("result = x{}", ".y".repeat(deep)),
        format!("result = {}", "[".repeat(2 * deep)),
        format!("result = 2{}", "**2".repeat(deep / 2)),
        format!("result = {}1", "lambda:".repeat(deep / 4)),
        (0..150).fold(String::new(), |mut code, level| {
            let _ = writeln!(code, "{}if x:", " ".repeat(level));
            code
        }),
    ];
    for code in nested {
        // What is found does not matter; that it ends does.
        let _ = found("anything", &code);
    }
    let long = format!("result = '{}'", "x".repeat(17_000));
    assert!(found("anything", &long)[0].contains("16384 is the limit"));
}

proptest! {
    #[test]
    fn no_program_is_too_odd(code in "[ -~\n\té€]{0,300}") {
        let _ = found("anything", &code);
    }
}
