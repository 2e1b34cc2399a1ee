use sha2::{Digest, Sha256};
use tokio_postgres::Client;

use crate::Fault;

/// What a store keeps in a database.
#[derive(Debug, Clone, Copy)]
pub struct Schema {
    /// The schema that holds all tables, so that they meet nobody else's; a plain lower-case name. The connection's
    /// `search_path` must be this.
    pub name: &'static str,
    /// The second half of the advisory lock that is held while the schema is looked at and changed: another number
    /// for each store.
    pub lock: i32,
    /// Its numbered steps, from 1; once released they never change.
    pub migrations: &'static [&'static str],
}

/// Brings the schema up to date, or says why it cannot. Replicas that start at once take turns.
///
/// # Errors
/// [`Fault::Incompatible`] where the database was written by another version; the server's faults.
pub async fn migrate(client: &mut Client, schema: &Schema) -> Result<(), Fault> {
    if is_current(client, schema).await? {
        return Ok(());
    }
    let transaction = client.transaction().await?;
    let patience = transaction
        .query_one("SELECT current_setting('lock_timeout')", &[])
        .await?;
    let patience: &str = patience.try_get(0)?;
    // Changing a large table takes as long as it takes, and so does waiting for one's turn.
    let without_end = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0";
    transaction.batch_execute(without_end).await?;
    let lock = "SELECT pg_advisory_xact_lock(1297435203, $1)";
    transaction.query_one(lock, &[&schema.lock]).await?;
    // Behind whoever waits for a table everybody else does.
    let with_patience = "SELECT set_config('lock_timeout', $1, true)";
    transaction.query_one(with_patience, &[&patience]).await?;
    let name = schema.name;
    transaction
        .batch_execute(&format!(
            "CREATE SCHEMA IF NOT EXISTS {name};
             CREATE TABLE IF NOT EXISTS {name}.migrations (number BIGINT PRIMARY KEY, checksum TEXT NOT NULL)"
        ))
        .await?;
    let applied = check_applied(transaction.client(), schema).await?;
    for (number, sql) in (1_i64..).zip(schema.migrations).skip(applied) {
        transaction.batch_execute(sql).await?;
        let note = format!("INSERT INTO {name}.migrations (number, checksum) VALUES ($1, $2)");
        transaction.execute(&note, &[&number, &checksum(sql)]).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// So that a role which may not change the schema can use one that needs nothing.
async fn is_current(client: &Client, schema: &Schema) -> Result<bool, Fault> {
    let begun = client
        .query_one(
            "SELECT to_regclass($1) IS NOT NULL",
            &[&format!("{}.migrations", schema.name)],
        )
        .await?;
    Ok(begun.try_get(0)? && check_applied(client, schema).await? == schema.migrations.len())
}

/// How many migrations the database has, all of them ours.
async fn check_applied(client: &Client, schema: &Schema) -> Result<usize, Fault> {
    let sql = format!("SELECT checksum FROM {}.migrations ORDER BY number", schema.name);
    let applied = client.query(&sql, &[]).await?;
    if applied.len() > schema.migrations.len() {
        let what = "was written by a newer version of Meterbox; use that version";
        return Err(Fault::Incompatible(what.to_owned()));
    }
    for (number, (row, sql)) in (1_u32..).zip(applied.iter().zip(schema.migrations)) {
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
