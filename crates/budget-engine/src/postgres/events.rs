//! Events in the database of the ledger.

use async_trait::async_trait;
use meterbox_core::Timestamp;
use meterbox_postgres::Fault;
use tokio_postgres::Row;

use super::{PostgresLedger, rows};
use crate::{BudgetError, Event, EventLog, EventPage, Happening, event::AHEAD, ledger::EventId};

const EVENT: &str = "SELECT seq, id::text, at, number, body FROM events";
/// Held from before an event has its place until it is committed, so that nobody reads past one that is on its way.
/// The last lock anybody takes.
const LOCK: &str = "SELECT pg_advisory_xact_lock(1297435203, 2)";

#[async_trait]
impl EventLog for PostgresLedger {
    async fn raise(&self, now: Timestamp, number: u64, what: Happening) -> Result<bool, BudgetError> {
        let body = serde_json::to_string(&what)
            .map_err(|error| BudgetError::Invalid(format!("an event is no JSON: {error}")))?;
        let (id, subject, number) = (EventId::new(now).to_string(), what.subject(), count(number));
        self.read(async |client| {
            let step = client.transaction().await?;
            step.batch_execute(LOCK).await?;
            let sql =
                "INSERT INTO events (id, at, subject, number, body) VALUES ($1::text::uuid, $2, $3, $4, $5)
                ON CONFLICT (subject, number) DO NOTHING";
            let statement = step.prepare_cached(sql).await?;
            let added = step
                .execute(&statement, &[&id, &now.as_micros(), &subject, &number, &body])
                .await?;
            step.commit().await?;
            Ok(added > 0)
        })
        .await
    }

    async fn latest(&self, subject: &str) -> Result<Option<Event>, BudgetError> {
        self.read(async |client| {
            let sql = format!("{EVENT} WHERE subject = $1 ORDER BY number DESC LIMIT 1");
            let statement = client.prepare_cached(&sql).await?;
            let found = client.query_opt(&statement, &[&subject]).await?;
            found.as_ref().map(to_event).transpose()
        })
        .await
    }

    async fn events(&self, page: EventPage) -> Result<Vec<Event>, BudgetError> {
        self.read(async |client| {
            let sql = format!("{EVENT} WHERE seq > $1 ORDER BY seq LIMIT $2");
            let statement = client.prepare_cached(&sql).await?;
            let limit = i64::try_from(page.limit).unwrap_or(i64::MAX);
            let found = client.query(&statement, &[&count(page.after), &limit]).await?;
            found.iter().map(to_event).collect()
        })
        .await
    }

    async fn newest_event(&self) -> Result<u64, BudgetError> {
        self.read(async |client| {
            let statement = client
                .prepare_cached("SELECT coalesce(max(seq), 0) FROM events")
                .await?;
            let newest: i64 = rows::column(&client.query_one(&statement, &[]).await?, 0)?;
            Ok(newest.unsigned_abs())
        })
        .await
    }

    async fn take_turn(
        &self,
        now: Timestamp,
        reader: &str,
        owner: &str,
        until: Timestamp,
    ) -> Result<Option<u64>, BudgetError> {
        let ahead = until.saturating_add(AHEAD).as_micros();
        let (now, until) = (now.as_micros(), until.as_micros());
        self.read(async |client| {
            let sql = "INSERT INTO event_readers AS turn (reader, seq, owner, until)
                VALUES ($1, (SELECT coalesce(max(seq), 0) FROM events), $2, $3)
                ON CONFLICT (reader) DO UPDATE SET owner = $2, until = $3
                WHERE turn.owner = $2 OR turn.until <= $4 OR turn.until >= $5
                RETURNING seq";
            let statement = client.prepare_cached(sql).await?;
            let turn = client
                .query_opt(&statement, &[&reader, &owner, &until, &now, &ahead])
                .await?;
            let seq = turn.map(|row| rows::column::<i64>(&row, 0)).transpose()?;
            Ok(seq.map(i64::unsigned_abs))
        })
        .await
    }

    async fn advance(&self, reader: &str, owner: &str, seq: u64) -> Result<bool, BudgetError> {
        self.read(async |client| {
            let sql = "UPDATE event_readers SET seq = greatest(seq, $3) WHERE reader = $1 AND owner = $2";
            let statement = client.prepare_cached(sql).await?;
            let changed = client
                .execute(&statement, &[&reader, &owner, &count(seq)])
                .await?;
            Ok(changed > 0)
        })
        .await
    }
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn to_event(row: &Row) -> Result<Event, Fault> {
    let body: &str = rows::column(row, 4)?;
    let what = serde_json::from_str(body)
        .map_err(|error| Fault::corrupt(format!("an event makes no sense: {error}")))?;
    Ok(Event {
        seq: rows::column::<i64>(row, 0)?.unsigned_abs(),
        id: rows::parsed(row, 1)?,
        at: rows::time(row, 2)?,
        number: rows::column::<i64>(row, 3)?.unsigned_abs(),
        what,
    })
}
