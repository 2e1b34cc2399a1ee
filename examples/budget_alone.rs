//! The budget engine alone: limits, holds, draws, a refusal, and a ledger that adds up.
//!
//! Run it with `cargo run -p meterbox-examples --example budget_alone`. It needs no key and leaves nothing behind.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use meterbox_budget_engine::{Budget, BudgetEngine, BudgetError, HoldRequest, SqliteLedger, Window};
use meterbox_core::{Scope, SystemClock, UnitPrice, Usd, contract::CostLine};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let ledger = SqliteLedger::open(folder.path().join("ledger.sqlite3"))?;
    let engine = BudgetEngine::new(ledger, SystemClock::default());

    // Every user may spend one dollar a month, the organisation a dollar and a half.
    let month = Window::month("UTC")?;
    engine
        .define(Budget::new("user/*".parse()?, "1".parse()?, month.clone()))
        .await?;
    engine
        .define(Budget::new("org/acme".parse()?, "1.5".parse()?, month))
        .await?;
    let ana: Scope = "user/ana".parse()?;
    let bob: Scope = "user/bob".parse()?;
    let acme: Scope = "org/acme".parse()?;

    // The worst case of a call is set aside in both budgets at once, before the call.
    let price = UnitPrice::per_million("10".parse()?);
    let worst_case = price.times(80_000).ok_or("too dear")?;
    let hold = engine
        .hold(HoldRequest::new(
            [ana.clone(), acme.clone()],
            worst_case,
            "answer a question",
        ))
        .await?;
    println!("held      {} for {ana}", hold.amount());

    // What was really used is drawn as it becomes known; settling frees the rest.
    let left = hold.draw(tokens(31_000, price)?).await?;
    println!("drawn     $0.31, {left} of the hold is left");
    let settlement = hold.settle().await?;
    println!("settled   {} drawn, {} freed", settlement.drawn, settlement.freed);
    assert_eq!(
        (settlement.drawn, settlement.freed),
        ("0.31".parse()?, "0.49".parse()?)
    );

    // Ana has 69 cents left: more is refused, and nothing is held anywhere.
    let refused = engine
        .hold(HoldRequest::new(
            [ana.clone(), acme.clone()],
            "0.7".parse()?,
            "another",
        ))
        .await;
    let Err(BudgetError::Refused { scope, remaining, .. }) = refused else {
        return Err("not refused".into());
    };
    println!("refused   {scope} has {remaining} left");
    assert_eq!((scope, remaining), (ana.clone(), "0.69".parse()?));

    // A request may be content with what is left.
    let request = HoldRequest::new([ana.clone(), acme.clone()], "0.7".parse()?, "another");
    let smaller = engine.hold(request.or_at_least("0.5".parse()?)).await?;
    println!("shrunk    to {}", smaller.amount());
    smaller.release().await?;

    // Bob's dollar is his own, but the organisation's is shared.
    let hold = engine
        .hold(HoldRequest::new(
            [bob.clone(), acme.clone()],
            "1".parse()?,
            "a long report",
        ))
        .await?;
    for scope in [&ana, &bob, &acme] {
        let status = engine.status(scope).await?;
        println!(
            "status    {scope}: {} spent, {} held, {} left",
            status.spent, status.held, status.remaining
        );
    }
    let acmes = engine.status(&acme).await?;
    assert_eq!(
        (acmes.spent, acmes.held, acmes.remaining),
        ("0.31".parse()?, "1".parse()?, "0.19".parse()?)
    );
    hold.settle().await?;

    // The ledger is append-only; adding it up anew must give the same balances.
    let report = engine.verify().await?;
    println!(
        "verified  {} entries of {} holds: {}",
        report.entries,
        report.holds,
        clean(report.is_clean())
    );
    assert!(report.is_clean());
    Ok(())
}

fn tokens(quantity: u64, price: UnitPrice) -> Result<CostLine, Box<dyn Error>> {
    let amount: Usd = price.times(quantity).ok_or("too dear")?;
    Ok(CostLine {
        item: "output".into(),
        quantity,
        unit: "tokens".into(),
        amount,
        estimated: false,
        price: None,
    })
}

fn clean(is_clean: bool) -> &'static str {
    if is_clean { "clean" } else { "not clean" }
}
