//! A batch is kept in one round trip: the function `keep_batch` of the schema compares what was decided by with what is
//! there, writes, and what calls it commits.

use std::{collections::BTreeMap, sync::OnceLock};

use meterbox_core::{Scope, Timestamp, Usd, contract::PriceTag};
use meterbox_postgres::{ClientWrapper, Fault};
use tokio_postgres::{Statement, types::ToSql};
use uuid::Uuid;

use super::{
    batch::{Ticket, Wanted},
    memory::Memory,
    record::{Field, Record},
    written::Written,
};
use crate::{
    HoldId,
    ledger::{AccountChange, AccountRow, Claim, HoldRecord, IntentRecord, NewEntry},
};

type Value<'a> = Box<dyn ToSql + Sync + Send + 'a>;

/// What `keep_batch` is called with: by name, and in always the same order.
#[derive(Default)]
pub(super) struct Call<'a> {
    names: Vec<&'static str>,
    values: Vec<Value<'a>>,
}

impl<'a> Call<'a> {
    /// Keeps what a batch changed in the books of this memory. `unread` is what it was decided by without a look into
    /// the database.
    pub(super) fn new(
        ticket: Ticket,
        memory: &Memory,
        written: &'a Written,
        unread: Option<&'a Wanted>,
    ) -> Result<Self, Fault> {
        let mut call = Self::default();
        call.add("replica", ticket.writer);
        call.add("batch_number", (!written.is_empty()).then_some(ticket.batch));
        call.add("rules_version", memory.rules);
        call.add("changes_rules", !written.rules.is_empty());
        call.unread(memory, written, unread)?;
        let mut changed = Vec::new();
        for hold in &written.changed {
            changed.push(hold_row(hold, version_of_hold(memory, hold.id)?));
        }
        call.array("changed", changed);
        call.array("moved", moved_rows(memory, written)?);
        call.array("opened", written.opened.iter().map(|hold| hold_row(hold, 0)));
        call.array("new_claims", written.opened.iter().flat_map(claim_rows));
        let holds = written.opened.iter().chain(&written.changed);
        call.array("known_intents", holds.flat_map(intent_rows));
        let accounts = written.accounts.iter();
        call.array(
            "balance_changes",
            accounts.map(|(row, change)| balance_row(row, *change)),
        );
        let entries = written.entries.iter();
        call.array("new_entries", entries.map(|(at, entry)| entry_row(*at, entry)));
        Ok(call)
    }

    pub(super) async fn prepare(&self, client: &ClientWrapper) -> Result<Statement, Fault> {
        static SQL: OnceLock<String> = OnceLock::new();
        Ok(client.prepare_cached(SQL.get_or_init(|| self.sql())).await?)
    }

    /// True where the batch was kept; false, and nothing is changed, where it was decided by what is no longer so.
    pub(super) async fn send(&self, client: &ClientWrapper, prepared: &Statement) -> Result<bool, Fault> {
        let values: Vec<&(dyn ToSql + Sync)> = self.values.iter().map(|value| &**value as _).collect();
        Ok(client.query_one(prepared, &values).await?.try_get(0)?)
    }

    fn sql(&self) -> String {
        let named = (1_u32..).zip(&self.names);
        let named: Vec<String> = named
            .map(|(number, name)| format!("{name} => ${number}"))
            .collect();
        format!("SELECT keep_batch({})", named.join(", "))
    }

    fn add(&mut self, name: &'static str, value: impl ToSql + Sync + Send + 'a) {
        self.names.push(name);
        self.values.push(Box::new(value));
    }

    /// Null where there is nothing in it.
    fn array<T: ToSql + Sync + Send + 'a>(
        &mut self,
        name: &'static str,
        values: impl IntoIterator<Item = T>,
    ) {
        let array: Vec<T> = values.into_iter().collect();
        self.add(name, (!array.is_empty()).then_some(array));
    }

    /// What must not be there, and what must be as it was although it does not change.
    fn unread(
        &mut self,
        memory: &Memory,
        written: &'a Written,
        unread: Option<&'a Wanted>,
    ) -> Result<(), Fault> {
        let nothing = Wanted::default();
        let wanted = unread.unwrap_or(&nothing);
        self.add("expired_by", wanted.expired_by.map(Timestamp::as_micros));
        self.array("new_keys", wanted.keys.iter().cloned());
        let draws = &wanted.draws;
        self.array("new_draw_holds", draws.iter().map(|(hold, _)| hold.uuid()));
        self.array("new_draw_keys", draws.iter().map(|(_, key)| key.clone()));

        let mut holds: Vec<(Uuid, i64)> = Vec::new();
        for id in &wanted.holds {
            if !written.changes_hold(*id) {
                holds.push((id.uuid(), version_of_hold(memory, *id)?));
            }
        }
        self.array("seen_holds", holds.iter().map(|(id, _)| *id));
        self.array("seen_hold_versions", holds.iter().map(|(_, version)| *version));
        let moved: Vec<&Scope> = written.moved_scopes().collect();
        let mut scopes = Vec::new();
        for scope in wanted.scopes.keys() {
            if moved.binary_search(&scope).is_err() {
                scopes.push(scope_row(scope.to_string(), version_of_scope(memory, scope)?));
            }
        }
        self.array("seen_scopes", scopes);
        Ok(())
    }
}

// === rows, each in the order of its table's columns ===

/// In the order of their texts, in which everybody locks them.
fn moved_rows<'a>(memory: &Memory, written: &Written) -> Result<Vec<Record<'a>>, Fault> {
    let mut versions: BTreeMap<String, i64> = BTreeMap::new();
    for scope in written.moved_scopes() {
        versions.insert(scope.to_string(), version_of_scope(memory, scope)?);
    }
    let rows = versions.into_iter();
    Ok(rows.map(|(scope, version)| scope_row(scope, version)).collect())
}

fn scope_row<'a>(scope: String, version: i64) -> Record<'a> {
    Record(vec![scope.into(), version.into()])
}

fn hold_row(hold: &HoldRecord, version: i64) -> Record<'_> {
    let scopes: Vec<String> = hold.basis.scopes.iter().map(Scope::to_string).collect();
    Record(vec![
        hold.id.uuid().into(),
        scopes.join(" ").into(),
        hold.requested.nanos().into(),
        hold.at_least.map(Usd::nanos).into(),
        hold.amount.nanos().into(),
        hold.drawn.nanos().into(),
        Field::from(&*hold.purpose),
        hold.idempotency_key.as_deref().into(),
        hold.state.as_str().into(),
        hold.created_at.as_micros().into(),
        hold.expires_at.as_micros().into(),
        i64::try_from(hold.grace.as_micros()).unwrap_or(i64::MAX).into(),
        hold.ends_at().as_micros().into(),
        hold.degraded.into(),
        version.into(),
    ])
}

fn claim_rows(hold: &HoldRecord) -> impl Iterator<Item = Record<'_>> {
    let row = |(place, claim): (i16, &'_ Claim)| {
        Record(vec![
            hold.id.uuid().into(),
            place.into(),
            claim.scope.to_string().into(),
            claim.period.to_string().into(),
            claim.limit.nanos().into(),
            claim.ends_at.as_micros().into(),
        ])
    };
    (0_i16..).zip(&*hold.basis.claims).map(row)
}

fn intent_rows(hold: &HoldRecord) -> impl Iterator<Item = Record<'_>> {
    let intents = (0_i32..).zip(&hold.intents);
    intents.map(|(place, intent)| intent_row(hold.id, place, intent))
}

fn intent_row(hold: HoldId, place: i32, intent: &IntentRecord) -> Record<'_> {
    let line = &intent.line;
    Record(vec![
        hold.uuid().into(),
        place.into(),
        intent.id.uuid().into(),
        line.item.as_str().into(),
        number(line.quantity).into(),
        line.unit.as_str().into(),
        line.amount.nanos().into(),
        intent.state.as_str().into(),
        intent.at.as_micros().into(),
        intent.reference.as_deref().into(),
        intent.metered.nanos().into(),
        line.price.as_ref().map(PriceTag::as_str).into(),
    ])
}

fn balance_row(row: &AccountRow, change: AccountChange) -> Record<'_> {
    Record(vec![
        row.scope.to_string().into(),
        Field::from(&*row.period),
        row.ends_at.as_micros().into(),
        change.limit.map(Usd::nanos).into(),
        change.spent.into(),
        change.held.into(),
    ])
}

fn entry_row(at: Timestamp, entry: &NewEntry) -> Record<'_> {
    let line = entry.line.as_deref();
    let no_place: Option<i64> = None;
    Record(vec![
        no_place.into(),
        at.as_micros().into(),
        entry.kind.as_str().into(),
        entry.hold.map(HoldId::uuid).into(),
        entry.scope.as_ref().map(Scope::to_string).into(),
        entry.amount.nanos().into(),
        line.map(|line| line.item.as_str()).into(),
        line.map(|line| number(line.quantity)).into(),
        line.map(|line| line.unit.as_str()).into(),
        line.map(|line| line.estimated).into(),
        entry.key.as_deref().into(),
        entry.held_change.into(),
        entry.spent_change.into(),
        entry.counts_at.map(Timestamp::as_micros).into(),
        entry.note.as_deref().into(),
        line.and_then(|line| line.price.as_ref())
            .map(PriceTag::as_str)
            .into(),
    ])
}

fn version_of_hold(memory: &Memory, id: HoldId) -> Result<i64, Fault> {
    let version = memory.version_of(id);
    version.ok_or_else(|| Fault::corrupt(format!("hold {id} was decided on without being read")))
}

fn version_of_scope(memory: &Memory, scope: &Scope) -> Result<i64, Fault> {
    let version = memory.scopes.get(scope).map(|known| known.version);
    version.ok_or_else(|| Fault::corrupt(format!("{scope} was decided on without being read")))
}

/// Lines were checked on their way in.
fn number(quantity: u64) -> i64 {
    i64::try_from(quantity).unwrap_or(i64::MAX)
}
