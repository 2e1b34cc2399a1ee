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
    written::Written,
};
use crate::{
    HoldId,
    ledger::{HoldRecord, IntentRecord, NewEntry},
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
        ticket: &Ticket,
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
        call.changed(memory, &written.changed)?;
        call.moved(memory, written)?;
        call.opened(&written.opened);
        call.claims(&written.opened);
        call.intents(written);
        call.balances(written);
        call.entries(&written.entries);
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

    /// One value for each of these; null where there are none, which costs the server less than an empty array.
    fn column<R, T: ToSql + Sync + Send + 'a>(
        &mut self,
        name: &'static str,
        records: impl IntoIterator<Item = R>,
        of: impl FnMut(R) -> T,
    ) {
        let column: Vec<T> = records.into_iter().map(of).collect();
        self.add(name, (!column.is_empty()).then_some(column));
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
        self.column("new_keys", &wanted.keys, String::clone);
        let is_new = |(hold, key): &&(HoldId, String)| memory.books.first_draw(*hold, key).is_none();
        let draws: Vec<(Uuid, String)> = wanted
            .draws
            .iter()
            .filter(is_new)
            .map(|(hold, key)| (hold.uuid(), key.clone()))
            .collect();
        self.column("new_draw_hold", &draws, |(hold, _)| *hold);
        self.column("new_draw_key", draws, |(_, key)| key);

        let mut holds: Vec<(Uuid, i64)> = Vec::new();
        for id in &wanted.holds {
            if !written.changes_hold(*id) {
                holds.push((id.uuid(), version_of_hold(memory, *id)?));
            }
        }
        self.column("seen_hold", &holds, |(id, _)| *id);
        self.column("seen_hold_version", &holds, |(_, version)| *version);
        let moved: Vec<&Scope> = written.moved_scopes().collect();
        let mut scopes: Vec<(String, i64)> = Vec::new();
        for scope in wanted.scopes.keys() {
            if moved.binary_search(&scope).is_err() {
                scopes.push((scope.to_string(), version_of_scope(memory, scope)?));
            }
        }
        self.column("seen_scope_version", &scopes, |(_, version)| *version);
        self.column("seen_scope", scopes, |(scope, _)| scope);
        Ok(())
    }

    fn changed(&mut self, memory: &Memory, holds: &'a [HoldRecord]) -> Result<(), Fault> {
        let versions = holds.iter().map(|hold| version_of_hold(memory, hold.id));
        let versions: Vec<i64> = versions.collect::<Result<_, _>>()?;
        self.column("changed_id", holds, |hold| hold.id.uuid());
        self.column("changed_version", versions, |version| version);
        self.column("changed_drawn", holds, |hold| hold.drawn.nanos());
        self.column("changed_state", holds, |hold| hold.state.as_str());
        self.column("changed_expires_at", holds, |hold| hold.expires_at.as_micros());
        self.column("changed_ends_at", holds, |hold| hold.ends_at().as_micros());
        Ok(())
    }

    /// In the order of their texts, in which everybody locks them.
    fn moved(&mut self, memory: &Memory, written: &'a Written) -> Result<(), Fault> {
        let mut versions: BTreeMap<String, i64> = BTreeMap::new();
        for scope in written.moved_scopes() {
            versions.insert(scope.to_string(), version_of_scope(memory, scope)?);
        }
        self.column("moved_version", versions.values(), |version| *version);
        self.column("moved_scope", versions, |(scope, _)| scope);
        Ok(())
    }

    fn opened(&mut self, holds: &'a [HoldRecord]) {
        self.column("opened_id", holds, |hold| hold.id.uuid());
        self.column("opened_scopes", holds, |hold| {
            let scopes: Vec<String> = hold.basis.scopes.iter().map(Scope::to_string).collect();
            scopes.join(" ")
        });
        self.column("opened_requested", holds, |hold| hold.requested.nanos());
        self.column("opened_at_least", holds, |hold| hold.at_least.map(Usd::nanos));
        self.column("opened_amount", holds, |hold| hold.amount.nanos());
        self.column("opened_drawn", holds, |hold| hold.drawn.nanos());
        self.column("opened_purpose", holds, |hold| &*hold.purpose);
        self.column("opened_key", holds, |hold| hold.idempotency_key.as_deref());
        self.column("opened_state", holds, |hold| hold.state.as_str());
        self.column("opened_created_at", holds, |hold| hold.created_at.as_micros());
        self.column("opened_expires_at", holds, |hold| hold.expires_at.as_micros());
        self.column("opened_grace", holds, |hold| {
            i64::try_from(hold.grace.as_micros()).unwrap_or(i64::MAX)
        });
        self.column("opened_ends_at", holds, |hold| hold.ends_at().as_micros());
        self.column("opened_degraded", holds, |hold| hold.degraded);
    }

    fn claims(&mut self, holds: &'a [HoldRecord]) {
        let of = |hold: &'a HoldRecord| {
            (0_i16..)
                .zip(&*hold.basis.claims)
                .map(|(place, claim)| (hold.id, place, claim))
        };
        let claims: Vec<_> = holds.iter().flat_map(of).collect();
        self.column("claim_hold", &claims, |(hold, ..)| hold.uuid());
        self.column("claim_place", &claims, |(_, place, _)| *place);
        self.column("claim_scope", &claims, |(.., claim)| claim.scope.to_string());
        self.column("claim_limit", &claims, |(.., claim)| claim.limit.nanos());
        self.column("claim_ends_at", &claims, |(.., claim)| claim.ends_at.as_micros());
        self.column("claim_period", claims, |(.., claim)| &*claim.period);
    }

    fn intents(&mut self, written: &'a Written) {
        let mut intents: Vec<(HoldId, i32, &'a IntentRecord)> = Vec::new();
        for hold in written.opened.iter().chain(&written.changed) {
            let of_hold = (0_i32..).zip(&hold.intents);
            intents.extend(of_hold.map(|(place, intent)| (hold.id, place, intent)));
        }
        self.column("intent_hold", &intents, |(hold, ..)| hold.uuid());
        self.column("intent_place", &intents, |(_, place, _)| *place);
        self.column("intent_id", &intents, |(.., intent)| intent.id.uuid());
        self.column("intent_quantity", &intents, |(.., intent)| {
            number(intent.line.quantity)
        });
        self.column("intent_amount", &intents, |(.., intent)| {
            intent.line.amount.nanos()
        });
        self.column("intent_at", &intents, |(.., intent)| intent.at.as_micros());
        self.column("intent_metered", &intents, |(.., intent)| intent.metered.nanos());
        self.column("intent_state", &intents, |(.., intent)| intent.state.as_str());
        self.column("intent_item", &intents, |(.., intent)| intent.line.item.as_str());
        self.column("intent_unit", &intents, |(.., intent)| intent.line.unit.as_str());
        self.column("intent_reference", &intents, |(.., intent)| {
            intent.reference.as_deref()
        });
        self.column("intent_price", intents, |(.., intent)| {
            intent.line.price.as_ref().map(PriceTag::as_str)
        });
    }

    fn balances(&mut self, written: &'a Written) {
        let accounts = &written.accounts;
        self.column("balance_scope", accounts, |(row, _)| row.scope.to_string());
        self.column("balance_period", accounts, |(row, _)| &*row.period);
        self.column("balance_ends_at", accounts, |(row, _)| row.ends_at.as_micros());
        self.column("balance_spent", accounts, |(_, change)| change.spent);
        self.column("balance_held", accounts, |(_, change)| change.held);
        self.column("balance_limit", accounts, |(_, change)| {
            change.limit.map(Usd::nanos)
        });
    }

    fn entries(&mut self, entries: &'a [(Timestamp, NewEntry)]) {
        self.column("entry_at", entries, |(at, _)| at.as_micros());
        self.column("entry_kind", entries, |(_, entry)| entry.kind.as_str());
        self.column("entry_hold", entries, |(_, entry)| entry.hold.map(HoldId::uuid));
        self.column("entry_scope", entries, |(_, entry)| {
            entry.scope.as_ref().map(Scope::to_string)
        });
        self.column("entry_amount", entries, |(_, entry)| entry.amount.nanos());
        self.column("entry_item", entries, |(_, entry)| {
            entry.line.as_ref().map(|line| line.item.as_str())
        });
        self.column("entry_quantity", entries, |(_, entry)| {
            entry.line.as_ref().map(|line| number(line.quantity))
        });
        self.column("entry_unit", entries, |(_, entry)| {
            entry.line.as_ref().map(|line| line.unit.as_str())
        });
        self.column("entry_estimated", entries, |(_, entry)| {
            entry.line.as_ref().map(|line| line.estimated)
        });
        self.column("entry_draw_key", entries, |(_, entry)| entry.key.as_deref());
        self.column("entry_held_change", entries, |(_, entry)| entry.held_change);
        self.column("entry_spent_change", entries, |(_, entry)| entry.spent_change);
        self.column("entry_counts_at", entries, |(_, entry)| {
            entry.counts_at.map(Timestamp::as_micros)
        });
        self.column("entry_note", entries, |(_, entry)| entry.note.as_deref());
        self.column("entry_price", entries, |(_, entry)| {
            let line = entry.line.as_ref();
            line.and_then(|line| line.price.as_ref()).map(PriceTag::as_str)
        });
    }
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
