//! The events of the memory ledger.

use std::{collections::HashMap, sync::PoisonError};

use async_trait::async_trait;
use meterbox_core::Timestamp;

use crate::{
    BudgetError, Event, EventLog, EventPage, Happening, MemoryLedger,
    event::AHEAD,
    ledger::EventId,
    sync::{Mutex, MutexGuard},
};

#[derive(Debug, Default)]
pub(crate) struct MemoryEvents {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    events: Vec<Event>,
    readers: HashMap<String, Reader>,
}

#[derive(Debug)]
struct Reader {
    seq: u64,
    owner: String,
    until: Timestamp,
}

impl MemoryEvents {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn newest(&self) -> u64 {
        self.events.last().map_or(0, |event| event.seq)
    }
}

#[async_trait]
impl EventLog for MemoryLedger {
    async fn raise(&self, now: Timestamp, number: u64, what: Happening) -> Result<bool, BudgetError> {
        let mut kept = self.events.kept();
        let subject = what.subject();
        let is_known = |event: &Event| event.number == number && event.what.subject() == subject;
        if kept.events.iter().any(is_known) {
            return Ok(false);
        }
        let seq = kept.newest().saturating_add(1);
        kept.events.push(Event {
            seq,
            id: EventId::new(now),
            at: now,
            number,
            what,
        });
        Ok(true)
    }

    async fn latest(&self, subject: &str) -> Result<Option<Event>, BudgetError> {
        let kept = self.events.kept();
        let of_subject = kept.events.iter().filter(|event| event.what.subject() == subject);
        Ok(of_subject.max_by_key(|event| event.number).cloned())
    }

    async fn events(&self, page: EventPage) -> Result<Vec<Event>, BudgetError> {
        let kept = self.events.kept();
        let later = kept.events.iter().filter(|event| event.seq > page.after);
        Ok(later.take(page.limit).cloned().collect())
    }

    async fn newest_event(&self) -> Result<u64, BudgetError> {
        Ok(self.events.kept().newest())
    }

    async fn take_turn(
        &self,
        now: Timestamp,
        reader: &str,
        owner: &str,
        until: Timestamp,
    ) -> Result<Option<u64>, BudgetError> {
        let mut kept = self.events.kept();
        let newest = kept.newest();
        let turn = kept.readers.entry(reader.to_owned()).or_insert_with(|| Reader {
            seq: newest,
            owner: owner.to_owned(),
            until,
        });
        let is_real = turn.until < until.saturating_add(AHEAD);
        if turn.owner != owner && turn.until > now && is_real {
            return Ok(None);
        }
        (turn.owner, turn.until) = (owner.to_owned(), until);
        Ok(Some(turn.seq))
    }

    async fn advance(&self, reader: &str, owner: &str, seq: u64) -> Result<bool, BudgetError> {
        let mut kept = self.events.kept();
        let Some(turn) = kept.readers.get_mut(reader).filter(|turn| turn.owner == owner) else {
            return Ok(false);
        };
        turn.seq = turn.seq.max(seq);
        Ok(true)
    }
}
