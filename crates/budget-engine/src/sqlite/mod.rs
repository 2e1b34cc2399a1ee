mod cache;
mod events;
mod rows;

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use meterbox_core::{Scope, StorageError, Timestamp};
use meterbox_sqlite::{Database, Migration, SqliteError, Writing, rusqlite::Transaction};

use self::cache::Cache;
use crate::{
    Budget, BudgetError, BudgetStatus, Entry, EntryPage, HoldId, HoldPage, LedgerStore, Settlement, Stop,
    TopUp, VerifyReport,
    audit::Auditor,
    ledger::{Books, HoldAction, HoldRecord, HoldStatus, OpenHold},
};

const MIGRATIONS: &[Migration] = &[
    Migration {
        sql: include_str!("../../migrations/001_ledger.sql"),
    },
    Migration {
        sql: include_str!("../../migrations/002_windows_and_intents.sql"),
    },
    Migration {
        sql: include_str!("../../migrations/003_prices_and_events.sql"),
    },
    Migration {
        sql: include_str!("../../migrations/004_settings.sql"),
    },
];

/// A ledger in a SQLite file. What was answered is on the disk; several processes may share the file. Steps that
/// wait at the same time share one commit.
#[derive(Debug, Clone)]
pub struct SqliteLedger {
    database: Database,
    /// Only the writer's thread looks in.
    cache: Arc<Mutex<Cache>>,
}

impl SqliteLedger {
    /// Opens the ledger in this file, or begins one. Blocks while it does.
    ///
    /// # Errors
    /// A [`StorageError`] that names the file and what to do.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StorageError> {
        let database = Database::open(path.as_ref(), MIGRATIONS)?;
        Ok(Self {
            database,
            cache: Arc::default(),
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.database.path()
    }

    /// One step: what it wrote is kept, also where its answer is a refusal.
    async fn step<T, F>(&self, now: Timestamp, step: F) -> Result<T, BudgetError>
    where
        T: Send + 'static,
        F: FnOnce(&Writing<'_>, &mut Cache) -> Result<Result<T, BudgetError>, SqliteError> + Send + 'static,
    {
        let cache = Arc::clone(&self.cache);
        let work = move |ledger: &Writing<'_>| {
            let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
            cache.refresh(ledger)?;
            let done = step(ledger, &mut cache)?;
            cache.write(ledger, now)?;
            Ok(done)
        };
        self.database.write(work).await?
    }

    async fn read<T, F>(&self, query: F) -> Result<T, BudgetError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, SqliteError> + Send + 'static,
    {
        Ok(self.database.read(query).await?)
    }
}

#[async_trait]
impl LedgerStore for SqliteLedger {
    async fn define(&self, now: Timestamp, budget: Budget) -> Result<(), BudgetError> {
        self.step(now, move |ledger, cache| {
            let books = cache.for_scope(ledger, now, &budget.scope)?;
            match books.define(now, budget) {
                Ok(defined) => Ok(Ok(rows::put_budget(ledger, &defined)?)),
                Err(refusal) => Ok(Err(refusal)),
            }
        })
        .await
    }

    async fn edit(&self, now: Timestamp, before: Option<Budget>, after: Budget) -> Result<(), BudgetError> {
        self.step(now, move |ledger, cache| {
            let books = cache.for_scope(ledger, now, &after.scope)?;
            match books.edit(now, before.as_ref(), after) {
                Ok(defined) => Ok(Ok(rows::put_budget(ledger, &defined)?)),
                Err(refusal) => Ok(Err(refusal)),
            }
        })
        .await
    }

    async fn provision(&self, now: Timestamp, budget: Budget) -> Result<bool, BudgetError> {
        self.step(now, move |ledger, cache| {
            let books = cache.for_scope(ledger, now, &budget.scope)?;
            let defined = match books.provision(now, budget) {
                Ok(defined) => defined,
                Err(refusal) => return Ok(Err(refusal)),
            };
            if let Some(defined) = &defined {
                rows::put_budget(ledger, defined)?;
            }
            Ok(Ok(defined.is_some()))
        })
        .await
    }

    async fn provisions(&self) -> Result<Vec<Budget>, BudgetError> {
        self.read(rows::provisions).await
    }

    async fn remove(&self, now: Timestamp, scope: &Scope) -> Result<bool, BudgetError> {
        let scope = scope.clone();
        self.step(now, move |ledger, cache| {
            let is_removed = cache.for_scope(ledger, now, &scope)?.remove(&scope);
            if is_removed {
                rows::delete_budget(ledger, &scope)?;
            }
            Ok(Ok(is_removed))
        })
        .await
    }

    async fn budgets(&self) -> Result<Vec<Budget>, BudgetError> {
        self.read(rows::budgets).await
    }

    async fn top_up(&self, now: Timestamp, top_up: TopUp) -> Result<bool, BudgetError> {
        self.step(now, move |ledger, cache| {
            let books = cache.for_scope(ledger, now, &top_up.scope)?;
            let granted = books.top_up(top_up.clone());
            if let Ok(true) = granted {
                rows::insert_top_up(ledger, &top_up)?;
            }
            Ok(granted)
        })
        .await
    }

    async fn top_ups(&self, scope: &Scope) -> Result<Vec<TopUp>, BudgetError> {
        let scope = scope.clone();
        self.read(move |ledger| rows::top_ups(ledger, &scope)).await
    }

    async fn stop(&self, now: Timestamp, reason: Option<String>) -> Result<bool, BudgetError> {
        self.step(now, move |ledger, cache| {
            let books = cache.rules();
            let changed = books.stop(now, reason);
            rows::put_stop(ledger, books.stopped())?;
            Ok(changed)
        })
        .await
    }

    async fn stopped(&self) -> Result<Option<Stop>, BudgetError> {
        self.read(rows::stop).await
    }

    async fn open(&self, now: Timestamp, open: OpenHold) -> Result<HoldStatus, BudgetError> {
        self.step(now, move |ledger, cache| {
            Ok(cache.for_opening(ledger, now, &open)?.open(now, &open))
        })
        .await
    }

    async fn act(&self, now: Timestamp, hold: HoldId, action: HoldAction) -> Result<HoldStatus, BudgetError> {
        self.step(now, move |ledger, cache| {
            Ok(cache.for_acting(ledger, hold, &action)?.act(now, hold, action))
        })
        .await
    }

    async fn expire(&self, now: Timestamp) -> Result<Vec<Settlement>, BudgetError> {
        // Most of the time nothing has expired, and then nobody needs the write lock.
        let expired = self.read(move |ledger| rows::expired_holds(ledger, now)).await?;
        if expired.is_empty() {
            return Ok(Vec::new());
        }
        self.step(now, move |ledger, cache| {
            Ok(cache.for_expiring(ledger, now)?.expire(now))
        })
        .await
    }

    async fn status(&self, now: Timestamp, scope: &Scope) -> Result<Option<BudgetStatus>, BudgetError> {
        let scope = scope.clone();
        self.read(move |ledger| {
            let mut books = Books::default();
            let wildcard = rows::budget(ledger, &scope.wildcard())?;
            for defined in wildcard.into_iter().chain(rows::budget(ledger, &scope)?) {
                books.load_budget(defined);
            }
            books.load_stop(rows::stop(ledger)?);
            for top_up in rows::top_ups(ledger, &scope)? {
                books.load_top_up(top_up);
            }
            let since = books.accounts_matter_since(now, &scope);
            for account in rows::balances(ledger, &scope, since)? {
                books.load_account(account);
            }
            Ok(books.status(now, &scope))
        })
        .await
    }

    async fn hold(&self, id: HoldId) -> Result<Option<HoldRecord>, BudgetError> {
        self.read(move |ledger| rows::hold(ledger, id)).await
    }

    async fn holds(&self, page: HoldPage) -> Result<Vec<HoldRecord>, BudgetError> {
        self.read(move |ledger| rows::holds(ledger, page)).await
    }

    async fn entries(&self, page: EntryPage) -> Result<Vec<Entry>, BudgetError> {
        self.read(move |ledger| {
            let mut entries = Vec::new();
            rows::each_entry(ledger, page, |entry| entries.push(entry))?;
            Ok(entries)
        })
        .await
    }

    async fn spending(&self, scope: &Scope, from: Timestamp, to: Timestamp) -> Result<i64, BudgetError> {
        let scope = scope.clone();
        self.read(move |ledger| rows::spending(ledger, &scope, from, to))
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
            rows::each_balance(ledger, |account| auditor.balance(account))?;
            Ok(auditor.finish())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use meterbox_core::{Usd, contract::CostLine};

    use super::*;
    use crate::{HoldRequest, HoldState, Unbudgeted, Window, ledger::HoldId};

    fn size(ledger: &SqliteLedger) -> usize {
        ledger.cache.lock().unwrap().size()
    }

    /// Whatever is over is in the file alone, and is found there.
    #[tokio::test]
    async fn what_is_over_is_not_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = SqliteLedger::open(folder.path().join("ledger.sqlite3")).unwrap();
        let now: Timestamp = "2026-11-26T12:00:00Z".parse().unwrap();
        let scope: Scope = "user/ana".parse().unwrap();
        let budget = Budget::new(scope.clone(), Usd::from_dollars(9), Window::Lifetime);
        ledger.define(now, budget).await.unwrap();
        let mut sizes = Vec::new();
        for number in 0..4 {
            let key = format!("key {number}");
            let open = OpenHold {
                id: HoldId::new(now),
                request: HoldRequest::new([scope.clone()], Usd::from_dollars(1), "a test")
                    .idempotency_key(&key)
                    .ttl(Duration::from_secs(60)),
                unbudgeted: Unbudgeted::Refuse,
            };
            let id = ledger.open(now, open.clone()).await.unwrap().id;
            let line = CostLine {
                item: "call".into(),
                quantity: 1,
                unit: "calls".into(),
                amount: Usd::from_dollars(1),
                estimated: false,
                price: None,
            };
            for _ in 0..2 {
                let (key, line) = (Some(key.clone()), line.clone());
                let drawn = ledger.act(now, id, HoldAction::Draw { key, line }).await.unwrap();
                assert_eq!(drawn.drawn, Usd::from_dollars(1));
            }
            let close = HoldAction::Close {
                state: HoldState::Settled,
            };
            ledger.act(now, id, close).await.unwrap();
            let again = ledger.open(now, open).await.unwrap_err();
            assert!(matches!(again, BudgetError::AlreadyEnded(_)), "{again}");
            sizes.push(size(&ledger));
        }
        assert_eq!(sizes, [2; 4], "a scope and its account");
    }
}
