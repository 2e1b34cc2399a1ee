//! A small shop, and how its questions are read.

use std::{fmt::Write as _, sync::Arc};

use meterbox_core::contract::TableProfile;
use meterbox_llm_codegen::{GenerateError, GenerateRequest, Generated, Planner};
use serde_json::{Value, json};

/// A column: name, type, role, distinct values (of 100 rows), and the values themselves where they are few.
pub(crate) fn column(name: &str, kind: &str, role: &str, distinct: u64, values: &[&str]) -> Value {
    let values: Vec<Value> = values
        .iter()
        .map(|value| json!({ "value": value, "count": 10 }))
        .collect();
    let mut column = json!({
        "name": name, "type": kind, "role": role, "nulls": 0, "distinct": distinct, "unique": distinct == 100, "values": values,
    });
    if matches!(kind, "integer" | "decimal" | "number") {
        column["min"] = json!(if role == "identifier" { 1.0 } else { 0.5 });
        column["max"] = json!(100.0);
    }
    if kind == "decimal" {
        column["scale"] = json!(2);
    }
    column
}

pub(crate) fn table(name: &str, columns: &[Value]) -> TableProfile {
    serde_json::from_value(
        json!({ "name": name, "source": format!("{name}.csv"), "rows": 100, "columns": columns }),
    )
    .unwrap()
}

pub(crate) fn shop() -> Arc<[TableProfile]> {
    let id = |name: &str, distinct| column(name, "integer", "identifier", distinct, &[]);
    let day = |name: &str| column(name, "date", "time", 60, &[]);
    Arc::from([
        table(
            "customers",
            &[
                id("customer_id", 100),
                column("name", "text", "dimension", 100, &[]),
                column("city", "text", "dimension", 3, &["Berlin", "Paris", "New York"]),
                column("segment", "text", "dimension", 2, &["Private", "Office"]),
            ],
        ),
        table(
            "orders",
            &[
                id("order_id", 100),
                id("customer_id", 40),
                day("order_date"),
                column(
                    "status",
                    "text",
                    "dimension",
                    3,
                    &["open", "shipped", "cancelled"],
                ),
            ],
        ),
        table(
            "order_lines",
            &[
                id("order_id", 90),
                id("product_id", 20),
                column("quantity", "integer", "measure", 9, &[]),
                column("unit_price", "decimal", "measure", 20, &[]),
                column("discount", "decimal", "measure", 15, &[]),
            ],
        ),
        table(
            "products",
            &[
                id("product_id", 100),
                column("product", "text", "dimension", 100, &[]),
                column("category", "text", "dimension", 3, &["Coffee", "Tea", "Cups"]),
                column("list_price", "decimal", "measure", 30, &[]),
            ],
        ),
        table(
            "invoices",
            &[
                id("invoice_id", 100),
                id("customer_id", 40),
                day("invoice_date"),
                day("due_date"),
                column("amount", "decimal", "measure", 80, &[]),
                column("currency", "text", "currency", 2, &["EUR", "GBP"]),
                column("status", "text", "dimension", 2, &["paid", "open"]),
            ],
        ),
        table(
            "stock",
            &[
                id("product_id", 100),
                column("on_hand", "integer", "measure", 50, &[]),
                column("reorder_level", "integer", "measure", 9, &[]),
            ],
        ),
    ])
}

pub(crate) fn ask(question: &str, tables: &Arc<[TableProfile]>) -> Result<Generated, GenerateError> {
    let as_of = Some("2025-12-31".parse().unwrap());
    Planner::new().write(&GenerateRequest::new(question, Arc::clone(tables), as_of))
}

pub(crate) fn transcript(questions: &[&str], tables: &Arc<[TableProfile]>) -> String {
    let mut text = String::new();
    for question in questions {
        let answer = match ask(question, tables) {
            Ok(written) => format!("{:.2} {}", written.confidence, written.reading.text),
            Err(error) => format!("declined: {error}"),
        };
        writeln!(text, "{question}\n    {answer}").unwrap();
    }
    text
}
