//! How people put things, over a shop with payments and customers who joined at some time.

#![expect(clippy::unwrap_used, reason = "helpers of a test fail as the test does")]

mod shop;

use std::sync::Arc;

use meterbox_core::contract::TableProfile;
use meterbox_llm_codegen::GenerateError;
use shop::{ask, column, shop, table, transcript};

/// The shop, with when its customers joined, who paid how much, and where its stock lies.
fn wider() -> Arc<[TableProfile]> {
    let id = |name: &str, distinct| column(name, "integer", "identifier", distinct, &[]);
    let mut tables: Vec<TableProfile> = shop().to_vec();
    let since = column("customer_since", "date", "time", 80, &[]);
    tables[0].columns.push(serde_json::from_value(since).unwrap());
    let warehouse = column("warehouse", "text", "dimension", 2, &["Berlin", "Leipzig"]);
    let stock = tables.iter_mut().find(|table| table.name == "stock").unwrap();
    stock.columns.push(serde_json::from_value(warehouse).unwrap());
    tables.push(table(
        "payments",
        &[
            id("payment_id", 100),
            id("invoice_id", 90),
            column("payment_date", "date", "time", 60, &[]),
            column("amount", "decimal", "measure", 80, &[]),
            column("method", "text", "dimension", 2, &["card", "transfer"]),
        ],
    ));
    tables.into()
}

#[test]
fn money_is_added_up_and_things_are_counted() {
    let questions = [
        "total payments",
        "total payments by method",
        "payments by method",
        "total orders",
        "total customers",
        "sum of order_id",
        "how many items were sold",
        "units sold by category",
        "how much did we sell",
        "how much was paid in March 2025",
        "average quantity per order line",
    ];
    insta::assert_snapshot!(transcript(&questions, &wider()));
}

/// Rows of either, or each for itself; never of both at once, which no row is.
#[test]
fn several_spans_of_time_stand_beside_each_other() {
    let questions = [
        // each for itself
        "revenue this year vs last year",
        "compare revenue in Q3 2025 with Q3 2024",
        "compare revenue in Q3 2025 with revenue in Q3 2024",
        "compare revenue March 2025 to March 2024",
        "compare revenue between 2024 and 2025",
        "revenue in January 2025 and revenue in May 2025",
        "2024 vs 2025 revenue by category",
        "was revenue in March 2025 higher than in March 2024",
        "average order value this month compared to last month",
        "how many customers joined in 2024 vs 2025",
        "number of orders in January against February 2025",
        // together
        "revenue in 2024 and 2025",
        "revenue in January or February 2025",
        "Q1 and Q2 2025 revenue by city",
        "top 5 products in January and February 2025",
        "revenue by month in 2024 and 2025",
        "monthly revenue 2024 vs 2025",
        "orders before 2024-02-01 and after 2025-12-01",
        // one span
        "revenue in March last year",
        "revenue in Q4 of this year by city",
        "revenue from January to March 2025",
        "revenue between November and February 2025",
        "revenue March 2025 to May 2025",
        "orders after 2024-02-01 and before 2025-12-01",
        "orders after March 2024 until June 2025",
        // one year for all
        "revenue in January and February last year",
        "Q1 and Q2 of 2024 revenue by city",
        "revenue in January, February and March 2024",
        "March vs April last year revenue",
        "revenue in January 2024 and February",
        // with what else is asked
        "revenue of Coffee or Tea in 2024 vs 2025",
        "number of orders 2024 vs 2025",
        "number of orders this week vs last week by status",
        "revenue in March vs March last year",
        "revenue this year in March",
        "revenue for March in 2024",
        // ranges
        "compare revenue by city from January 2025 to March 2025",
        "compare revenue by category between 2025-01-01 and 2025-03-31",
        "compare monthly revenue from January 2025 to June 2025",
        "compare revenue from January to March 2025 with April to June 2025",
        "invoices from 2024 and 2025",
        "orders by day this week vs last week",
    ];
    insta::assert_snapshot!(transcript(&questions, &wider()));
}

#[test]
fn times_that_may_not_be_meant_are_declined() {
    let questions = [
        "revenue this month last year",
        "revenue in 2024 in March 2025",
        "top 5 products this year vs last year",
        "share of revenue by category this year vs last year",
        "highest revenue category in 2024 vs 2025",
        "orders by weekday this month vs last month",
        // whose year is it
        "revenue in March 2024 and 2025",
        "Q1 2024 vs 2025 revenue",
        "revenue in March this year vs last year",
        "revenue in December and January 2025",
        "revenue in March vs March 2024",
        "invoices where amount above 100 or due in March or April 2025",
        "revenue in Q1 and Q2 in 2024 in May 2025",
        "revenue in 2024 in January and February",
        "revenue in 2024 vs 2025 in March",
        // numbers of things
        "revenue of orders 2001 and 2002",
        "revenue from customers 2001, 2002 and 2003",
        "orders number 2001 and 2002",
        "orders 2001 to 2010",
        "revenue of customer 2001 vs 2002",
        "invoices above 2000 and 2024",
        // what is left out
        "which products had no revenue in 2024 and 2025",
        "revenue not in January and February 2025",
        "orders in 2024 other than in March 2025",
        "orders in 2024 but not in March 2024",
        "revenue excluding March 2024 and April 2024",
        "products sold in both January 2025 and February 2025",
        // two questions in one
        "revenue of Coffee in 2024 vs Tea in 2025",
        "number of orders in 2024 vs revenue in 2025",
        "products with higher revenue in 2025 than 2024",
        // the same days of another time
        "revenue this month compared to the same month last year",
        "revenue yesterday vs same day last week",
        "revenue year to date vs last year to date",
        "orders in the last 7 days compared to the previous 7 days",
        // shares, rows and parts of time of more than one
        "what percent of orders were cancelled in 2024 and 2025",
        "orders this month vs last month",
        "revenue by year in March vs April 2025",
        // each, more, change
        "revenue for each of 2024 and 2025",
        "revenue in 2024 and 2025 respectively",
        "was revenue higher in March or April 2025",
        "change in revenue from 2024 to 2025",
        "average order value in January and February 2025 vs January and February 2024",
        "compare coffee and tea revenue in 2024 and 2025",
        "compare revenue by city January 2025 to March 2025",
        // an open end beside another time
        "revenue since January 2025 vs since January 2024",
        "revenue before 2024 and 2025",
        "orders in 2024 and since 2023",
        // half a range
        "revenue between March and May",
        "revenue from March 2025 until now",
        "revenue January to March",
        "revenue January to 2025",
        "revenue from March 2025 to March 2024",
    ];
    for question in questions {
        let answer = ask(question, &wider());
        let declined = matches!(answer, Err(GenerateError::CannotAnswer { .. }));
        assert!(
            declined,
            "{question}: {:?}",
            answer.map(|written| written.reading.text)
        );
    }
}

#[test]
fn the_most_and_the_least_are_one_thing() {
    let questions = [
        "most expensive product",
        "cheapest product",
        "5 most expensive products",
        "top 3 cheapest products",
        "products cheaper than 10",
        "which month had the highest revenue",
        "highest revenue month",
        "in which month did we get the most orders",
        "which weekday has the least orders",
        "top 2 products in each category by revenue",
        "top 2 products in each category by amount",
    ];
    insta::assert_snapshot!(transcript(&questions, &wider()));
}

#[test]
fn conditions_are_about_what_they_name() {
    let questions = [
        "How many customers joined in 2024?",
        "customers who signed up before 2020",
        "new customers in 2024",
        "how many invoices are due in December 2025",
        "revenue of Coffee vs Tea",
        "revenue of Coffee and of Tea",
        "orders with negative discount",
        "number of order lines whose discount is positive",
        "customers without orders",
        "customers without segment",
        "which products are out of stock",
        "products running low",
        "stock below 20",
        "products in category Tea sorted by list price",
        "number of customers who placed an order in 2025",
        "number of customers active in 2025",
    ];
    insta::assert_snapshot!(transcript(&questions, &wider()));
}

#[test]
fn rows_are_ordered_as_the_reading_says() {
    let written = ask("products in category Tea sorted by list price", &wider()).unwrap();
    assert!(written.reading.text.ends_with("ordered by list_price, ascending"));
    assert!(
        written.code.contains("sort_values([\"list_price\", "),
        "{}",
        written.code
    );
}

#[test]
fn a_value_of_two_tables_is_asked_back() {
    let tables = wider();
    let Err(GenerateError::Ambiguous { suggestions, .. }) = ask("revenue in Berlin", &tables) else {
        panic!("Berlin is a city and a warehouse");
    };
    assert_eq!(
        suggestions,
        [
            "revenue where city is \"Berlin\"",
            "revenue where warehouse is \"Berlin\""
        ]
    );
    for suggestion in suggestions {
        assert!(ask(&suggestion, &tables).is_ok(), "{suggestion}");
    }
    // The rows' own city needs no question.
    assert!(ask("number of customers in Berlin", &tables).is_ok());
}

#[test]
fn a_single_table_need_not_be_named() {
    let visits: Arc<[TableProfile]> = Arc::from([table(
        "footfall",
        &[column("store", "text", "dimension", 2, &["North", "South"])],
    )]);
    insta::assert_snapshot!(transcript(
        &[
            "how many rows are there",
            "number of rows by store",
            "number of records for North"
        ],
        &visits
    ));
    let Err(GenerateError::CannotAnswer { suggestions, .. }) = ask("what about it", &visits) else {
        panic!("nothing is asked");
    };
    assert_eq!(
        suggestions,
        ["number of rows by store", "how many rows are there"]
    );
}
