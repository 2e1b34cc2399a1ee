//! The ledger by an address that asks for TLS.

use meterbox_budget_engine::{Budget, BudgetEngine, HoldRequest, PostgresLedger, Window};
use meterbox_core::{Scope, StorageErrorKind, SystemClock, Usd};
use meterbox_testkit::PostgresServer;

#[tokio::test]
async fn an_address_that_asks_for_tls_gets_it_or_is_told_how() {
    let Some(server) = PostgresServer::with_tls_or_skip() else {
        return;
    };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (url, certificate) = server.tls_address(&server.database());
    let url = format!("{url}?sslmode=require");
    let plain = PostgresLedger::connect(&url).await.unwrap_err();
    assert_eq!(plain.kind(), StorageErrorKind::Unavailable);
    assert!(plain.to_string().contains("connect_over_tls"), "{plain}");
    let untrusted = PostgresLedger::connect_over_tls(&url).await.unwrap_err();
    assert!(untrusted.to_string().contains("certificate"), "{untrusted}");

    let url = format!("{url}&sslrootcert={}", certificate.display());
    let ledger = PostgresLedger::connect_over_tls(&url).await.unwrap();
    let engine = BudgetEngine::new(ledger, SystemClock::default());
    let ana: Scope = "user/ana".parse().unwrap();
    let budget = Budget::new(ana.clone(), Usd::from_dollars(1), Window::Lifetime);
    engine.define(budget).await.unwrap();
    let hold = engine.hold(HoldRequest::new([ana.clone()], Usd::from_dollars(1), "work"));
    let hold = hold.await.unwrap();
    assert_eq!(engine.status(&ana).await.unwrap().held, Usd::from_dollars(1));
    hold.settle().await.unwrap();
}
