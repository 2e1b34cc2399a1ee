//! Events in the file of the ledger.

use async_trait::async_trait;
use meterbox_core::Timestamp;
use meterbox_sqlite::{
    SqliteError,
    rusqlite::{OptionalExtension, Row, params},
};

use super::{SqliteLedger, rows};
use crate::{BudgetError, Event, EventLog, EventPage, Happening, event::AHEAD, ledger::EventId};

const EVENT: &str = "SELECT seq, id, at, number, body FROM events";

#[async_trait]
impl EventLog for SqliteLedger {
    async fn raise(&self, now: Timestamp, number: u64, what: Happening) -> Result<bool, BudgetError> {
        let body = body(&what)?;
        let raised = self.database.write(move |ledger| {
            let sql = "INSERT INTO events (id, at, subject, number, body) VALUES (?1, ?2, ?3, ?4, ?5)
                ON CONFLICT (subject, number) DO NOTHING";
            let id = EventId::new(now).to_string();
            let added = ledger.prepare_cached(sql)?.execute(params![
                id,
                now.as_micros(),
                what.subject(),
                rows::quantity_column(number)?,
                body
            ])?;
            Ok::<_, SqliteError>(added > 0)
        });
        Ok(raised.await?)
    }

    async fn latest(&self, subject: &str) -> Result<Option<Event>, BudgetError> {
        let subject = subject.to_owned();
        self.read(move |ledger| {
            let sql = format!("{EVENT} WHERE subject = ?1 ORDER BY number DESC LIMIT 1");
            let mut statement = ledger.prepare_cached(&sql)?;
            let row = statement
                .query_row([subject], |row| Ok(to_event(row)))
                .optional()?;
            row.transpose()
        })
        .await
    }

    async fn events(&self, page: EventPage) -> Result<Vec<Event>, BudgetError> {
        self.read(move |ledger| {
            let sql = format!("{EVENT} WHERE seq > ?1 ORDER BY seq LIMIT ?2");
            let after = i64::try_from(page.after).unwrap_or(i64::MAX);
            let limit = i64::try_from(page.limit).unwrap_or(i64::MAX);
            let mut statement = ledger.prepare_cached(&sql)?;
            let mut found = statement.query([after, limit])?;
            let mut events = Vec::new();
            while let Some(row) = found.next()? {
                events.push(to_event(row)?);
            }
            Ok(events)
        })
        .await
    }

    async fn newest_event(&self) -> Result<u64, BudgetError> {
        self.read(|ledger| {
            let newest: i64 =
                ledger.query_row("SELECT coalesce(max(seq), 0) FROM events", (), |row| row.get(0))?;
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
        let (reader, owner) = (reader.to_owned(), owner.to_owned());
        let turn = self.database.write(move |ledger| {
            let sql = "INSERT INTO event_readers (reader, seq, owner, until)
                VALUES (?1, (SELECT coalesce(max(seq), 0) FROM events), ?2, ?3)
                ON CONFLICT (reader) DO UPDATE SET owner = ?2, until = ?3
                WHERE owner = ?2 OR until <= ?4 OR until >= ?5
                RETURNING seq";
            let mut statement = ledger.prepare_cached(sql)?;
            let ahead = until.saturating_add(AHEAD);
            let times = params![
                reader,
                owner,
                until.as_micros(),
                now.as_micros(),
                ahead.as_micros()
            ];
            let seq: Option<i64> = statement.query_row(times, |row| row.get(0)).optional()?;
            Ok::<_, SqliteError>(seq.map(i64::unsigned_abs))
        });
        Ok(turn.await?)
    }

    async fn advance(&self, reader: &str, owner: &str, seq: u64) -> Result<bool, BudgetError> {
        let (reader, owner) = (reader.to_owned(), owner.to_owned());
        let advanced = self.database.write(move |ledger| {
            let sql = "UPDATE event_readers SET seq = max(seq, ?3) WHERE reader = ?1 AND owner = ?2";
            let seq = i64::try_from(seq).unwrap_or(i64::MAX);
            let changed = ledger.prepare_cached(sql)?.execute(params![reader, owner, seq])?;
            Ok::<_, SqliteError>(changed > 0)
        });
        Ok(advanced.await?)
    }
}

fn body(what: &Happening) -> Result<String, BudgetError> {
    serde_json::to_string(what).map_err(|error| BudgetError::Invalid(format!("an event is no JSON: {error}")))
}

fn to_event(row: &Row<'_>) -> Result<Event, SqliteError> {
    let seq: i64 = row.get(0)?;
    let body: String = row.get(4)?;
    let what = serde_json::from_str(&body)
        .map_err(|error| SqliteError::corrupt(format!("an event makes no sense: {error}")))?;
    Ok(Event {
        seq: seq.unsigned_abs(),
        id: rows::parsed(row, 1)?,
        at: rows::time(row, 2)?,
        number: rows::quantity(row, 3)?,
        what,
    })
}
