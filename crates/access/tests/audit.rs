//! Every act leaves a line that nobody can change.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::time::Duration;

use meterbox_access::{Access, Act, Actor, AuditPage, KeyGrant, Outcome, Role};
use meterbox_testkit::ManualClock;
use serde_json::json;

fn new_file() -> std::path::PathBuf {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .unwrap()
        .keep()
        .join("access.sqlite3")
}

fn clock() -> ManualClock {
    ManualClock::at("2026-11-23T12:34:56Z".parse().unwrap())
}

fn set_budget() -> Act {
    Act {
        name: "budget.set",
        target: "user/ana".to_owned(),
        before: None,
        after: Some(json!({ "limit": 5 })),
    }
}

#[tokio::test]
async fn an_act_is_written_before_it_is_done_and_its_end_after() {
    let access = Access::open(new_file(), clock()).unwrap();
    let actor = Actor::new("user/boss", "10.0.0.7");
    let done = access.begin(&actor, set_budget()).await.unwrap();
    let failed = access.begin(&actor, set_budget()).await.unwrap();
    let broken_off = access.begin(&actor, set_budget()).await.unwrap();
    done.done().await.unwrap();
    failed.failed("the ledger is full").await.unwrap();
    drop(broken_off);

    let entries = access.audit(AuditPage::default()).await.unwrap();
    let ends: Vec<_> = entries.iter().map(|entry| (entry.seq, entry.outcome)).collect();
    assert_eq!(
        ends,
        [(3, Outcome::Unknown), (2, Outcome::Failed), (1, Outcome::Done)]
    );
    assert_eq!(entries[1].reason.as_deref(), Some("the ledger is full"));
    let first = &entries[2];
    assert_eq!(
        (first.actor.as_str(), first.origin.as_str()),
        ("user/boss", "10.0.0.7")
    );
    assert_eq!(
        (first.act.as_str(), first.target.as_str()),
        ("budget.set", "user/ana")
    );
    assert_eq!(
        (&first.before, &first.after),
        (&None, &Some(json!({ "limit": 5 })))
    );
    assert_eq!(first.at, "2026-11-23T12:34:56Z".parse().unwrap());
}

#[tokio::test]
async fn keys_are_noted_by_who_made_them_and_never_with_a_secret() {
    let access = Access::open(new_file(), clock()).unwrap();
    let operator = Actor::new("uid 1000", "command line");
    let grant = KeyGrant::new("boss", Role::Admin, ["user/boss".parse().unwrap()]);
    let boss = access.create_key(&operator, grant.clone()).await.unwrap();
    let by_boss = Actor::new("user/boss", "127.0.0.1").with_key(boss.record.id.clone());
    let other = access.create_key(&by_boss, grant).await.unwrap();
    let new = access
        .rotate_key(&by_boss, &other.record.id, Duration::ZERO)
        .await
        .unwrap();
    access.revoke_key(&by_boss, &new.record.id, true).await.unwrap();
    // What is refused changes nothing and is no act.
    access
        .revoke_key(&by_boss, &new.record.id, true)
        .await
        .unwrap_err();

    let entries = access.audit(AuditPage::default()).await.unwrap();
    let acts: Vec<&str> = entries.iter().map(|entry| entry.act.as_str()).collect();
    assert_eq!(acts, ["key.revoke", "key.rotate", "key.create", "key.create"]);
    assert_eq!(entries[0].key.as_ref(), Some(&boss.record.id));
    assert_eq!(entries[3].key, None);
    assert_eq!(entries[1].target, other.record.id.to_string());
    assert_eq!(
        entries[1].after.as_ref().unwrap()["id"],
        new.record.id.to_string()
    );
    let text = serde_json::to_string(&entries).unwrap();
    for key in [&boss, &other, &new] {
        assert!(!text.contains(&key.key.reveal()[17..60]));
    }
}

#[tokio::test]
async fn pages_go_back_to_the_first_act() {
    let access = Access::open(new_file(), clock()).unwrap();
    for _ in 0..7 {
        let pending = access.begin(&Actor::new("a", "b"), set_budget()).await.unwrap();
        pending.done().await.unwrap();
    }
    let page = async |before| {
        let page = access.audit(AuditPage { before, limit: 3 }).await.unwrap();
        page.iter().map(|entry| entry.seq).collect::<Vec<_>>()
    };
    assert_eq!(page(None).await, [7, 6, 5]);
    assert_eq!(page(Some(5)).await, [4, 3, 2]);
    assert_eq!(page(Some(2)).await, [1]);
    assert!(page(Some(1)).await.is_empty());
    assert!(page(Some(0)).await.is_empty());
    assert_eq!(page(Some(u64::MAX)).await, [7, 6, 5]);
}

#[tokio::test]
async fn not_even_sql_changes_what_was_written() {
    let file = new_file();
    let access = Access::open(&file, clock()).unwrap();
    let grant = KeyGrant::new("boss", Role::Admin, ["user/boss".parse().unwrap()]);
    let key = access
        .create_key(&Actor::new("a", "b"), grant)
        .await
        .unwrap()
        .record
        .id;
    access
        .revoke_key(&Actor::new("a", "b"), &key, false)
        .await
        .unwrap();
    let sql = rusqlite::Connection::open(&file).unwrap();
    for statement in [
        "UPDATE audit SET actor = 'nobody'",
        "DELETE FROM audit",
        "UPDATE audit_outcomes SET outcome = 'failed'",
        "DELETE FROM audit_outcomes",
        "DELETE FROM keys",
        "UPDATE keys SET revoked_at = NULL",
    ] {
        assert!(sql.execute(statement, ()).is_err(), "{statement}");
    }
}
