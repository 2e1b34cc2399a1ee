use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use sha2::{Digest, Sha256};

use crate::SqliteError;

/// One numbered step of a file's schema; once released it never changes.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Its SQL; the place in the list is its number, from 1.
    pub sql: &'static str,
}

/// Brings the file to the newest schema, or says why it cannot. Processes that start at once take turns.
pub(crate) fn migrate(connection: &mut Connection, migrations: &[Migration]) -> Result<(), SqliteError> {
    if is_current(connection, migrations)? {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS meterbox_migrations (
             number INTEGER PRIMARY KEY, checksum TEXT NOT NULL) STRICT",
    )?;
    let applied = check_applied(&transaction, migrations)?;
    for (index, migration) in migrations.iter().enumerate().skip(applied) {
        transaction.execute_batch(migration.sql)?;
        transaction.execute(
            "INSERT INTO meterbox_migrations (number, checksum) VALUES (?1, ?2)",
            (index as i64 + 1, checksum(migration)),
        )?;
    }
    transaction.commit()?;
    Ok(())
}

/// So that a file which needs nothing can also be opened where it cannot be written.
fn is_current(connection: &Connection, migrations: &[Migration]) -> Result<bool, SqliteError> {
    let begun = connection
        .query_row(
            "SELECT 1 FROM sqlite_schema WHERE name = 'meterbox_migrations'",
            (),
            |_| Ok(()),
        )
        .optional()?
        .is_some();
    Ok(begun && check_applied(connection, migrations)? == migrations.len())
}

/// How many migrations the file has, all of them ours.
fn check_applied(connection: &Connection, migrations: &[Migration]) -> Result<usize, SqliteError> {
    let mut statement = connection.prepare("SELECT checksum FROM meterbox_migrations ORDER BY number")?;
    let applied = statement
        .query_map((), |row| row.get::<_, String>(0))?
        .collect::<Result<Vec<_>, _>>()?;
    if applied.len() > migrations.len() {
        return Err(SqliteError::incompatible(
            "was written by a newer version of Meterbox; use that version",
        ));
    }
    for (index, (stored, migration)) in applied.iter().zip(migrations).enumerate() {
        if *stored != checksum(migration) {
            let number = index + 1;
            return Err(SqliteError::incompatible(format!(
                "has another schema than this version of Meterbox (migration {number} differs); \
                 use the version that wrote it, or another file"
            )));
        }
    }
    Ok(applied.len())
}

fn checksum(migration: &Migration) -> String {
    Sha256::digest(migration.sql)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
