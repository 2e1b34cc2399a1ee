mod rows;

use std::path::Path;

use async_trait::async_trait;
use meterbox_core::{Scope, StorageError, Timestamp};
use meterbox_sqlite::{Database, Migration, SqliteError, rusqlite::Transaction};

use crate::{
    Budget, BudgetError, BudgetStatus, Entry, EntryKind, EntryPage, HoldId, HoldState, LedgerStore,
    Settlement, VerifyReport,
    audit::Auditor,
    ledger::{
        Claimable, HoldAction, HoldRecord, NewEntry, OpenHold, applicable, check_redefinition, decide,
        replayed_draw,
    },
};

const MIGRATIONS: &[Migration] = &[Migration {
    sql: include_str!("../../migrations/001_ledger.sql"),
}];

/// A ledger in a SQLite file. What was answered is on the disk; several processes may share the file.
#[derive(Debug, Clone)]
pub struct SqliteLedger {
    database: Database,
}

/// A step that ran: what it wrote is kept, also where its answer is a refusal.
type Step<T> = Result<Result<T, BudgetError>, SqliteError>;

impl SqliteLedger {
    /// Opens the ledger in this file, or begins one. Blocks while it does.
    ///
    /// # Errors
    /// A [`StorageError`] that names the file and what to do.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StorageError> {
        Database::open(path.as_ref(), MIGRATIONS).map(|database| Self { database })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.database.path()
    }

    async fn write<T, F>(&self, step: F) -> Result<T, BudgetError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Step<T> + Send + 'static,
    {
        self.database.write(step).await?
    }

    async fn read<T, F>(&self, query: F) -> Result<T, BudgetError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, SqliteError> + Send + 'static,
    {
        Ok(self.database.read(query).await?)
    }
}

/// Ends a step with a refusal; what the step wrote before is kept.
macro_rules! refuse_with {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(error) => return Ok(Err(error)),
        }
    };
}

#[async_trait]
impl LedgerStore for SqliteLedger {
    async fn define(&self, now: Timestamp, budget: Budget) -> Result<(), BudgetError> {
        let step = move |ledger: &Transaction<'_>| {
            if let Some(old) = rows::budget(ledger, &budget.scope)? {
                refuse_with!(check_redefinition(&old, &budget));
            }
            rows::put_budget(ledger, &budget)?;
            let entry = NewEntry::of_limit(budget.scope, EntryKind::LimitSet, budget.limit);
            rows::append(ledger, now, &entry)?;
            Ok(Ok(()))
        };
        self.write(step).await
    }

    async fn remove(&self, now: Timestamp, scope: &Scope) -> Result<bool, BudgetError> {
        let scope = scope.clone();
        let step = move |ledger: &Transaction<'_>| {
            let Some(budget) = rows::budget(ledger, &scope)? else {
                return Ok(Ok(false));
            };
            rows::delete_budget(ledger, &scope)?;
            let entry = NewEntry::of_limit(scope, EntryKind::LimitRemoved, budget.limit);
            rows::append(ledger, now, &entry)?;
            Ok(Ok(true))
        };
        self.write(step).await
    }

    async fn budgets(&self) -> Result<Vec<Budget>, BudgetError> {
        self.read(rows::budgets).await
    }

    async fn open(&self, now: Timestamp, open: OpenHold) -> Result<HoldRecord, BudgetError> {
        let step = move |ledger: &Transaction<'_>| {
            refuse_with!(expire(ledger, now)?);
            if let Some(key) = &open.request.idempotency_key
                && let Some(record) = rows::hold_by_key(ledger, key)?
            {
                return Ok(record.replay(&open));
            }
            let mut claimable = Vec::new();
            for scope in &open.request.scopes {
                claimable.extend(claimable_of(ledger, now, scope)?);
            }
            let (record, entry) = refuse_with!(decide(now, open, &claimable));
            refuse_with!(rows::check_and_move(
                ledger,
                &record,
                std::slice::from_ref(&entry)
            )?);
            rows::insert_hold(ledger, &record)?;
            rows::append(ledger, now, &entry)?;
            Ok(Ok(record))
        };
        self.write(step).await
    }

    async fn act(&self, now: Timestamp, hold: HoldId, action: HoldAction) -> Result<HoldRecord, BudgetError> {
        let step = move |ledger: &Transaction<'_>| {
            let Some(record) = rows::hold(ledger, hold)? else {
                return Ok(Err(BudgetError::UnknownHold(hold)));
            };
            if let HoldAction::Draw { key: Some(key), line } = &action {
                let first = rows::draw_by_key(ledger, hold, key)?;
                if refuse_with!(replayed_draw(key, line, first.as_ref())) {
                    return Ok(Ok(record));
                }
            }
            apply(ledger, now, record, action)
        };
        self.write(step).await
    }

    async fn expire(&self, now: Timestamp) -> Result<Vec<Settlement>, BudgetError> {
        // Most of the time nothing has expired, and then nobody needs the write lock.
        if self
            .read(move |ledger| rows::expired_holds(ledger, now))
            .await?
            .is_empty()
        {
            return Ok(Vec::new());
        }
        self.write(move |ledger| expire(ledger, now)).await
    }

    async fn status(&self, now: Timestamp, scope: &Scope) -> Result<Option<BudgetStatus>, BudgetError> {
        let scope = scope.clone();
        let claimable = self.read(move |ledger| claimable_of(ledger, now, &scope)).await?;
        Ok(claimable.map(|claimable| claimable.status))
    }

    async fn entries(&self, page: EntryPage) -> Result<Vec<Entry>, BudgetError> {
        self.read(move |ledger| {
            let mut entries = Vec::new();
            rows::each_entry(ledger, page, |entry| entries.push(entry))?;
            Ok(entries)
        })
        .await
    }

    async fn verify(&self) -> Result<VerifyReport, BudgetError> {
        self.read(|ledger| {
            let mut auditor = Auditor::default();
            rows::each_hold(ledger, |record| auditor.hold(record))?;
            let all = EntryPage {
                after: 0,
                limit: usize::MAX,
            };
            rows::each_entry(ledger, all, |entry| auditor.entry(&entry))?;
            rows::each_balance(ledger, |scope, period, spent, held| {
                auditor.balance(scope, period, spent, held)
            })?;
            Ok(auditor.finish())
        })
        .await
    }
}

/// Changes one hold, its balances and the ledger together.
fn apply(
    ledger: &Transaction<'_>,
    now: Timestamp,
    mut record: HoldRecord,
    action: HoldAction,
) -> Step<HoldRecord> {
    let entries = refuse_with!(record.apply(action));
    refuse_with!(rows::check_and_move(ledger, &record, &entries)?);
    rows::update_hold(ledger, &record)?;
    for entry in &entries {
        rows::append(ledger, now, entry)?;
    }
    Ok(Ok(record))
}

fn expire(ledger: &Transaction<'_>, now: Timestamp) -> Step<Vec<Settlement>> {
    let mut ended = Vec::new();
    for id in rows::expired_holds(ledger, now)? {
        let Some(record) = rows::hold(ledger, id)? else {
            continue;
        };
        let action = HoldAction::Close {
            state: HoldState::Expired,
        };
        ended.push(refuse_with!(apply(ledger, now, record, action)?).settlement());
    }
    Ok(Ok(ended))
}

fn claimable_of(
    ledger: &Transaction<'_>,
    now: Timestamp,
    scope: &Scope,
) -> Result<Option<Claimable>, SqliteError> {
    let own = rows::budget(ledger, scope)?;
    let Some(budget) = applicable(own, rows::budget(ledger, &scope.wildcard())?) else {
        return Ok(None);
    };
    let period = budget.window.period_at(now);
    let (spent, held) = rows::balance(ledger, scope, &period.key)?;
    let status = budget.status(scope.clone(), rows::money(spent)?, rows::money(held)?, now);
    Ok(Some(Claimable { period, status }))
}
