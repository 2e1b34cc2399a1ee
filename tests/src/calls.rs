use meterbox_budget_engine::{BudgetEngine, HoldRequest, SqliteLedger};
use meterbox_core::{SystemClock, Usd, contract::CostLine};

use crate::Terminal;

/// Calls of a dollar each of `user/local` whose use nobody knows, as a crash leaves them.
///
/// # Panics
/// Where the ledger of the terminal cannot be used.
pub fn lose_calls(terminal: &Terminal, references: &[&str]) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be started");
    runtime.block_on(async {
        let path = terminal.folder().join("kept/ledger.sqlite3");
        let ledger = SqliteLedger::open(path).expect("the ledger can be opened");
        let engine = BudgetEngine::new(ledger, SystemClock::default());
        let user = "user/local".parse().expect("a scope");
        let request = HoldRequest::new([user], Usd::from_dollars(3), "=a call");
        let hold = engine.hold(request).await.expect("there is money");
        for reference in references {
            let worst_case = CostLine {
                item: "output".into(),
                quantity: 900,
                unit: "tokens".into(),
                amount: Usd::from_dollars(1),
                estimated: false,
                price: None,
            };
            let intended = hold.intend_known_as(*reference, worst_case).await;
            drop(intended.expect("it is within the hold"));
        }
        hold.settle().await.expect("the hold is open");
    });
}
