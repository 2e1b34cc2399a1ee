use sha2::{Digest, Sha256};
use tokio_postgres::Client;

use super::{connect::SCHEMA, error::Fault};

/// The numbered steps of the schema, from 1; once released they never change.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/postgres/001_ledger.sql"),
    include_str!("../../migrations/postgres/002_prices_and_events.sql"),
    include_str!("../../migrations/postgres/003_settings.sql"),
];

/// Held while the schema is looked at and changed.
const MIGRATION_LOCK: &str = "SELECT pg_advisory_xact_lock(1297435203, 0)";

/// Brings the schema up to date, or says why it cannot. Replicas that start at once take turns.
pub(super) async fn migrate(client: &mut Client) -> Result<(), Fault> {
    if is_current(client).await? {
        return Ok(());
    }
    let transaction = client.transaction().await?;
    transaction.batch_execute(MIGRATION_LOCK).await?;
    transaction
        .batch_execute(&format!(
            "CREATE SCHEMA IF NOT EXISTS {SCHEMA};
             CREATE TABLE IF NOT EXISTS migrations (number BIGINT PRIMARY KEY, checksum TEXT NOT NULL)"
        ))
        .await?;
    let applied = check_applied(transaction.client()).await?;
    for (number, sql) in (1_i64..).zip(MIGRATIONS).skip(applied) {
        transaction.batch_execute(sql).await?;
        let note = "INSERT INTO migrations (number, checksum) VALUES ($1, $2)";
        transaction.execute(note, &[&number, &checksum(sql)]).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// So that a role which may not change the schema can use one that needs nothing.
async fn is_current(client: &Client) -> Result<bool, Fault> {
    let begun = client
        .query_one(
            "SELECT to_regclass($1) IS NOT NULL",
            &[&format!("{SCHEMA}.migrations")],
        )
        .await?;
    Ok(begun.try_get(0)? && check_applied(client).await? == MIGRATIONS.len())
}

/// How many migrations the database has, all of them ours.
async fn check_applied(client: &Client) -> Result<usize, Fault> {
    let applied = client
        .query("SELECT checksum FROM migrations ORDER BY number", &[])
        .await?;
    if applied.len() > MIGRATIONS.len() {
        let what = "was written by a newer version of Meterbox; use that version";
        return Err(Fault::Incompatible(what.to_owned()));
    }
    for (number, (row, sql)) in (1_u32..).zip(applied.iter().zip(MIGRATIONS)) {
        if row.try_get::<_, &str>(0)? != checksum(sql) {
            return Err(Fault::Incompatible(format!(
                "has another schema than this version of Meterbox (migration {number} differs); \
                 use the version that wrote it, or another database"
            )));
        }
    }
    Ok(applied.len())
}

fn checksum(sql: &str) -> String {
    let digest = Sha256::digest(sql);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
