//! States of rows that have names of their own: overdue, unpaid, low in stock.

use meterbox_core::contract::ColumnType;

use super::{
    plan::{Comparison, Condition},
    schema::{Column, ColumnId, Schema, TableId},
    words::Words,
};

/// A named state, as a condition on the rows of a table.
#[derive(Debug)]
pub(super) struct State {
    pub(super) table: TableId,
    pub(super) condition: Condition,
    pub(super) assumption: String,
}

pub(super) fn find(words: &mut Words, schema: &Schema<'_>) -> Option<State> {
    for at in 0..words.len() {
        if !words.is_free(at) {
            continue;
        }
        let overdue = words.phrase(
            at,
            &["overdue", "past due", "late payments", "past their due date"],
        );
        let unpaid = words.phrase(at, &["unpaid", "not paid", "outstanding", "not yet paid", "open"]);
        let low = words.phrase(
            at,
            &[
                "low stock",
                "low in stock",
                "low on stock",
                "running low",
                "need reordering",
                "needs reordering",
                "understocked",
                "below reorder level",
                "below the reorder level",
                "below their reorder level",
                "below reorder point",
                "to reorder",
                "need restocking",
                "to restock",
                "need to be reordered",
                "must be reordered",
                "out of stock soon",
            ],
        );
        let none_left = words.phrase(
            at,
            &["out of stock", "not in stock", "no longer in stock", "no stock"],
        );
        if let Some(length) = none_left
            && words.at(at + length) != "soon"
            && let Some((table, condition, assumption)) = out_of_stock_state(schema)
        {
            words.claim(at, at + length);
            return Some(State {
                table,
                condition,
                assumption,
            });
        }
        let (found, length) = match (overdue, unpaid, low) {
            (Some(length), _, _) => (overdue_state(schema), length),
            // "open" is often a status of its own; then it is a value.
            (_, Some(length), _) if words.at(at) != "open" => (unpaid_state(schema), length),
            (_, _, Some(length)) => (low_stock_state(schema), length),
            _ => continue,
        };
        let Some((table, condition, assumption)) = found else {
            continue;
        };
        words.claim(at, at + length);
        return Some(State {
            table,
            condition,
            assumption,
        });
    }
    None
}

type Found = (TableId, Condition, String);

fn overdue_state(schema: &Schema<'_>) -> Option<Found> {
    let (due_id, due) = schema
        .columns
        .iter()
        .enumerate()
        .find(|(_, column)| column.is_time() && column.has_word(&["due"]))?;
    let (unpaid, how) = unpaid_condition(schema, due.table)?;
    let condition = Condition::All(vec![Condition::BeforeToday(schema.reference(due_id)), unpaid]);
    Some((
        due.table,
        condition,
        format!("Overdue means: `{}` is before today and {how}.", due.profile.name),
    ))
}

fn unpaid_state(schema: &Schema<'_>) -> Option<Found> {
    (0..schema.tables.len()).find_map(|table| {
        let (condition, how) = unpaid_condition(schema, table)?;
        let is_bill = schema
            .columns_of(table)
            .any(|(_, column)| column.has_word(&["due", "invoice", "bill"]));
        is_bill.then(|| (table, condition, format!("Unpaid means: {how}.")))
    })
}

/// How a table tells that a row was not paid: a date of payment, a status, an amount paid, or a table of payments.
fn unpaid_condition(schema: &Schema<'_>, table: TableId) -> Option<(Condition, String)> {
    const PAID: &[&str] = &[
        "paid",
        "settled",
        "closed",
        "cleared",
        "void",
        "voided",
        "cancelled",
        "canceled",
        "written off",
    ];
    let find = |test: &dyn Fn(&Column<'_>) -> bool| -> Option<(ColumnId, &Column<'_>)> {
        schema.columns_of(table).find(|(_, column)| test(column))
    };
    if let Some((id, column)) =
        find(&|column| column.is_time() && column.has_word(&["paid", "payment", "settled"]))
    {
        return Some((
            Condition::Missing(schema.reference(id)),
            format!("`{}` is empty", column.profile.name),
        ));
    }
    let status = find(&|column| {
        column.profile.column_type == ColumnType::Text
            && column
                .profile
                .values
                .iter()
                .any(|value| value.value.eq_ignore_ascii_case("paid"))
    });
    if let Some((id, column)) = status {
        let closed: Vec<String> = column
            .profile
            .values
            .iter()
            .filter(|value| PAID.contains(&value.value.to_lowercase().as_str()))
            .map(|value| value.value.clone())
            .collect();
        let how = format!("`{}` is not {}", column.profile.name, closed.join(" or "));
        return Some((
            Condition::NoneOf {
                column: schema.reference(id),
                values: closed,
            },
            how,
        ));
    }
    let amount_of = |column: &Column<'_>| {
        column.is_numeric() && column.has_word(&["amount", "total"]) && !column.has_word(&["paid", "tax"])
    };
    let (amount_id, amount) = find(&amount_of)?;
    if let Some((id, paid)) = find(&|column| column.is_numeric() && column.has_word(&["paid"])) {
        let condition = Condition::All(vec![Condition::NotAbove {
            column: schema.reference(id),
            other: schema.reference(amount_id),
            or_equal: false,
        }]);
        return Some((
            condition,
            format!("`{}` is less than `{}`", paid.profile.name, amount.profile.name),
        ));
    }
    schema.edges_into(table).find_map(|(from, to)| {
        let payments = schema.columns[from].table;
        let pays = schema.table_words[payments]
            .iter()
            .any(|word| matches!(word.as_str(), "payment" | "receipt"));
        let (paid_id, paid) = schema.columns_of(payments).find(|(_, column)| {
            column.is_numeric() && column.has_word(&["amount", "paid", "total"]) && !column.is_identifier()
        })?;
        pays.then(|| {
            let condition = Condition::NotSettled {
                amount: schema.reference(amount_id),
                key: schema.reference(to),
                payment_key: schema.reference(from),
                paid: schema.reference(paid_id),
            };
            let how = format!(
                "the sum of `{}.{}` is less than `{}`",
                schema.tables[payments].name, paid.profile.name, amount.profile.name
            );
            (condition, how)
        })
    })
}

fn out_of_stock_state(schema: &Schema<'_>) -> Option<Found> {
    let (id, stock) = schema.columns.iter().enumerate().find(|(_, column)| {
        column.is_measure()
            && column.has_word(&["hand", "stock", "inventory"])
            && !column.has_word(&["reorder", "min", "minimum", "value", "cost", "price"])
    })?;
    let condition = Condition::Compare {
        column: schema.reference(id),
        op: Comparison::AtMost,
        value: 0.0,
    };
    let assumption = format!("Out of stock means: `{}` is 0 or less.", stock.profile.name);
    Some((stock.table, condition, assumption))
}

fn low_stock_state(schema: &Schema<'_>) -> Option<Found> {
    let (level_id, level) = schema.columns.iter().enumerate().find(|(_, column)| {
        column.is_numeric()
            && column.has_word(&["reorder", "minimum", "min", "safety", "threshold"])
            && !column.has_word(&["quantity", "qty"])
    })?;
    let (stock_id, stock) = schema.columns_of(level.table).find(|(id, column)| {
        *id != level_id
            && column.is_numeric()
            && !column.is_identifier()
            && column.has_word(&[
                "hand",
                "stock",
                "available",
                "inventory",
                "quantity",
                "qty",
                "balance",
            ])
            && !column.has_word(&["reorder", "min", "minimum"])
    })?;
    let condition = Condition::NotAbove {
        column: schema.reference(stock_id),
        other: schema.reference(level_id),
        or_equal: false,
    };
    let assumption = format!(
        "Low in stock means: `{}` is below `{}`.",
        stock.profile.name, level.profile.name
    );
    Some((level.table, condition, assumption))
}
