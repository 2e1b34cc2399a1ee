//! The planner over a small shop: what it reads, what it writes, what it declines.

#![expect(clippy::unwrap_used, reason = "helpers of a test fail as the test does")]

mod shop;

use std::{sync::Arc, time::Duration};

use meterbox_core::contract::TableProfile;
use meterbox_llm_codegen::{CodeGenerator, GenerateError, GenerateRequest, Planner, chat::Unmetered};
use shop::{ask, column, shop, table, transcript};

#[test]
fn questions_are_read_in_three_phrasings() {
    let questions = [
        // one number
        "What is our total revenue?",
        "Show me the total revenue",
        "total revenue",
        "How many customers are there?",
        "Count the customers",
        "number of customers",
        "What is the average list price?",
        "Compute the median list price",
        "maximum list price",
        "How many different products were sold in 2024?",
        "total quantity",
        // by one and by two dimensions
        "What is the revenue for each category?",
        "Show revenue per category",
        "revenue by category",
        "sales by category",
        "How many orders does each segment have?",
        "Give me the number of orders by city",
        "orders by city",
        "revenue by category and city",
        "average list price by category",
        "total invoice amount by status",
        // ranked
        "Which product sold the most units?",
        "Which customer has the most orders?",
        "Which city has the highest revenue?",
        "Show the top 5 products by revenue",
        "top 3 categories by quantity",
        "bottom 2 cities by revenue",
        "best selling products",
        "Which category has the least revenue?",
        "share of revenue by category",
        "What percentage of revenue comes from each city?",
        // conditions
        "revenue from Berlin by category",
        "revenue in New York",
        "How many orders were cancelled?",
        "number of orders that are not cancelled",
        "orders with status open or shipped",
        "products with list price above 50",
        "How many products have a list price between 10 and 20?",
        "number of products with list price at most 5",
        "customers in Paris",
        "revenue of Coffee and Tea",
        // time
        "revenue by month",
        "monthly revenue",
        "How did revenue develop over time?",
        "orders per week",
        "orders by weekday",
        "revenue by quarter in 2025",
        "revenue in March 2025",
        "revenue since March 2025",
        "revenue in Q3 2025 by city",
        "revenue last month",
        "What were our sales last quarter?",
        "revenue in the last 30 days",
        "revenue this year",
        "orders before 2024-06-01",
        "revenue between January 2024 and March 2024",
        "yearly revenue",
        // states
        "overdue invoices",
        "How many invoices are overdue?",
        "Which products are low on stock?",
        "low stock items",
        "unpaid invoices",
    ];
    insta::assert_snapshot!(transcript(&questions, &shop()));
}

#[test]
fn what_it_cannot_read_it_declines_and_says_what_it_can() {
    let questions = [
        "forecast revenue for next month",
        "Why did revenue drop in March?",
        "delete all orders",
        "profit by category",
        "revenue in Atlantis",
        "average satisfaction by city",
        "Is it going to rain?",
        "revenue by warehouse",
        "How satisfied are our customers?",
        "orders whose status is \"lost\"",
        "unit price by stock level of invoices",
        "customers with average order above 50",
        "temperature",
    ];
    insta::assert_snapshot!(transcript(&questions, &shop()));
    for question in questions {
        let Err(GenerateError::CannotAnswer { suggestions, .. }) = ask(question, &shop()) else {
            panic!("{question} is not declined")
        };
        assert_eq!(suggestions.len(), 3, "{question}");
        for suggestion in suggestions {
            let written = ask(&suggestion, &shop()).unwrap();
            assert!(written.reading.ignored.is_empty(), "{suggestion}");
        }
    }
}

#[test]
fn programs_join_from_many_to_one_and_keep_currencies_apart() {
    let written = ask("top 5 products by revenue last month", &shop()).unwrap();
    insta::assert_snapshot!(written.code);
    let plan: meterbox_llm_codegen::planner::Plan = serde_json::from_value(written.plan.unwrap()).unwrap();
    assert_eq!(plan.limit, Some(5));
    let apart = ask("total amount by status", &shop()).unwrap();
    assert!(
        apart
            .reading
            .assumptions
            .iter()
            .any(|note| note.contains("currencies are not added")),
        "{:?}",
        apart.reading
    );
    let one = ask("top 2 cities by total amount", &shop()).unwrap();
    assert!(
        one.code
            .contains("groupby(\"currency\", dropna=False, sort=False).head(2)"),
        "{}",
        one.code
    );
}

#[test]
fn programs_name_no_date_the_question_does_not() {
    for question in [
        "revenue last month",
        "revenue in the last 30 days",
        "revenue this year",
        "overdue invoices",
        "revenue in March",
    ] {
        let code = ask(question, &shop()).unwrap().code;
        assert!(code.contains("as_of"), "{question}");
        assert!(!code.contains("Timestamp(\"20"), "{question}: {code}");
    }
    assert!(
        ask("revenue in 2024", &shop())
            .unwrap()
            .code
            .contains("2024-01-01")
    );
}

#[test]
fn a_relative_date_needs_to_know_today() {
    let request = GenerateRequest::new("revenue last month", shop(), None);
    assert!(matches!(
        Planner::new().write(&request),
        Err(GenerateError::CannotAnswer { .. })
    ));
}

#[test]
fn empty_and_endless_questions_are_refused_at_once() {
    let endless = "revenue by category ".repeat(50_000);
    for question in ["", "   ", "?!", "\u{0}\u{7}", "🙂", endless.as_str()] {
        assert!(
            matches!(ask(question, &shop()), Err(GenerateError::BadQuestion { .. })),
            "{:.20}",
            question
        );
    }
}

#[test]
fn hostile_names_and_values_stay_string_literals() {
    let nasty = "x\"]\nimport os #\\\u{2028}'";
    let tables: Arc<[TableProfile]> = Arc::from([table(
        "lambda",
        &[
            column(nasty, "text", "dimension", 2, &["\"; exit() #", "class"]),
            column("None", "integer", "measure", 9, &[]),
            column("import", "text", "dimension", 3, &["def", "a'b\"c", "pass"]),
        ],
    )]);
    let written = ask("total None by import", &tables).unwrap();
    assert!(written.code.contains("data[\"import\"]"), "{}", written.code);
    let filtered = ask("number of lambda by x import os", &tables);
    for code in [Ok(written), filtered]
        .into_iter()
        .flatten()
        .map(|written| written.code)
    {
        assert!(!code.contains("\nimport os"), "{code}");
        assert!(
            code.lines()
                .all(|line| line.matches('"').count() % 2 == 0 || line.contains("\\\"")),
            "{code}"
        );
    }
}

#[test]
fn a_join_that_would_repeat_numbers_is_refused() {
    // One customer has many invoices and many orders; neither side can be looked up from the other.
    let error = ask("total amount by category", &shop()).unwrap_err();
    insta::assert_snapshot!(error.to_string());
}

#[tokio::test]
async fn the_planner_is_a_generator() {
    let request = GenerateRequest::new("revenue by category", shop(), None);
    let generated = Planner::new().generate(&request, &Unmetered).await.unwrap();
    assert_eq!(generated.generator, "planner/1");
    assert_eq!(
        generated,
        Planner::new().generate(&request, &Unmetered).await.unwrap(),
        "the same every time"
    );
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 100, ..Default::default() })]

    #[test]
    fn any_question_gets_an_answer_or_an_error(question in "\\PC{0,200}") {
        let _ = ask(&question, &shop());
    }

    #[test]
    fn any_mix_of_known_words_gets_an_answer_or_an_error(
        words in proptest::collection::vec(
            proptest::sample::select(vec![
                "top", "5", "revenue", "by", "category", "and", "average", "number", "of", "orders", "customers", "in", "2024", "Berlin",
                "last", "month", "not", "between", "above", "list", "price", "which", "has", "the", "most", "each", "sorted", "descending",
                "share", "overdue", "invoices", "\"", "'", "bar", "chart", "how", "many", "or", "is", ",", "?", "since", "March", "Q3",
            ]),
            0..40,
        )
    ) {
        if let Ok(written) = ask(&words.join(" "), &shop()) {
            proptest::prop_assert!((0.0..=1.0).contains(&written.confidence));
        }
    }
}

#[test]
fn the_longest_question_is_read_quickly() {
    let clock = meterbox_core::SystemClock::default();
    let started = meterbox_core::Clock::monotonic(&clock);
    let question: String = "revenue by category for customers "
        .repeat(80)
        .chars()
        .take(Planner::MAX_QUESTION)
        .collect();
    let _ = ask(&question, &shop());
    let elapsed = meterbox_core::Clock::monotonic(&clock).saturating_sub(started);
    // An unoptimised build on a busy machine; an optimised one takes a few milliseconds.
    assert!(elapsed < Duration::from_secs(5), "{elapsed:?}");
}

#[test]
fn questions_that_are_easily_misread() {
    let questions = [
        "what percentage of orders were cancelled",
        "share of revenue by category",
        "average order value",
        "average revenue per order by category",
        "how many Tea did we sell in 2025",
        "quantity sold by category",
        "bottom 3 products by quantity sold",
        "revenue excluding Tea",
        "revenue without discounts",
        "orders with no status",
        "revenue last 30 days",
        "revenue in 2024",
        "revenue by product and month",
        "sum of invoices by status",
        "least sold product",
        "profit margin by category",
        "customers who never ordered",
        "revenue by colour",
        "who are our best customers",
    ];
    insta::assert_snapshot!(transcript(&questions, &shop()));
}

#[test]
fn averages_of_totals_add_up_first_and_shares_keep_all_rows() {
    let average = ask("average order value by category", &shop()).unwrap();
    let share = ask("what percentage of orders were cancelled", &shop()).unwrap();
    insta::assert_snapshot!(format!("{}\n{}", average.code, share.code));
}

#[test]
fn a_column_of_sales_goes_before_revenue_worked_out() {
    let tables = Arc::from([table(
        "export",
        &[
            column("Region", "text", "dimension", 2, &["East", "West"]),
            column("Order Date", "date", "time", 60, &[]),
            column("Quantity", "integer", "measure", 9, &[]),
            column("Price", "decimal", "measure", 20, &[]),
            column("Sales", "decimal", "measure", 80, &[]),
        ],
    )]);
    let generated = ask("revenue by region in 2025", &tables).unwrap();
    assert!(
        generated.reading.text.starts_with("Sum of Sales by Region"),
        "{}",
        generated.reading.text
    );
    assert!(
        generated.code.contains("\"2026-01-01\""),
        "a year is no amount: {}",
        generated.code
    );
}

#[test]
fn the_plan_survives_being_stored() {
    let generated = ask("average order value by category", &shop()).unwrap();
    let stored = generated.plan.unwrap();
    let plan: meterbox_llm_codegen::planner::Plan = serde_json::from_value(stored.clone()).unwrap();
    assert_eq!(serde_json::to_value(&plan).unwrap(), stored);
}
