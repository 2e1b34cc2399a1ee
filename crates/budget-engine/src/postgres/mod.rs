mod batch;
mod connect;
mod events;
mod keep;
mod load;
mod memory;
mod queue;
mod read;
mod record;
mod rows;
mod rules;
mod written;

use std::time::Duration;

use async_trait::async_trait;
use meterbox_core::{Scope, StorageError, Timestamp};
use meterbox_postgres::{Connection, Fault, Server};
use tokio::time::timeout;
use tokio_postgres::{
    Socket,
    tls::{MakeTlsConnect, TlsConnect},
};

use self::{
    batch::Needs,
    connect::{Connections, KEEPS},
    queue::{PATIENCE, Queue},
    rules::RuleChange,
};
use crate::{
    Budget, BudgetError, BudgetStatus, Entry, EntryPage, HoldId, HoldPage, LedgerStore, Settlement, Stop,
    TopUp, VerifyReport,
    ledger::{Books, HoldAction, HoldRecord, HoldStatus, OpenHold},
};

/// A ledger in a Postgres database, for as many replicas as like. Steps that wait at the same time share one transaction,
/// and most are one round trip: what a replica remembers of the steps before is compared with what is there by the
/// transaction that writes, and read again where it is no longer so.
///
/// What was answered is committed. A step that was sent goes on when its future is dropped. Where the connection
/// breaks in the middle of a commit, the ledger finds out on a new one what became of it; only where that fails too
/// does the error's [`retryability`](StorageError::retryability) ask for an idempotency key.
///
/// Places in the ledger ([`Entry::seq`]) rise in the order of time within each budget and each hold. Between budgets
/// they need not: of two replicas, the one that took the lower place may commit later. Whoever follows the ledger
/// page by page should read the last minute again.
///
/// It needs a connection of its own to the server, or a pooler that keeps sessions apart, and keeps its tables in
/// the schema `meterbox_ledger`.
#[derive(Debug, Clone)]
pub struct PostgresLedger {
    connections: Connections,
    queue: Queue,
}

impl PostgresLedger {
    /// Opens the ledger in this database, `postgres://user:password@host:port/database` or `host=… user=…`, or begins
    /// one. Without TLS: `sslmode=require` is refused. With the feature `postgres-tls`, `connect_over_tls` speaks it, and
    /// [`connect_with`](Self::connect_with) takes any TLS connector. The steps are done by a task on the present tokio
    /// runtime.
    ///
    /// # Errors
    /// A [`StorageError`] that names the server, never the password, and what to do.
    pub async fn connect(url: &str) -> Result<Self, StorageError> {
        Self::open(&Server::from_url(url, KEEPS)?).await
    }

    /// The same over TLS by rustls, whose provider the process has to have installed. The certificate is always checked,
    /// by the system's authorities and that of `sslrootcert=FILE`. Another machine has to speak TLS, unless the address
    /// says `sslmode=disable` or `prefer`.
    ///
    /// # Errors
    /// As of [`connect`](Self::connect).
    #[cfg(feature = "postgres-tls")]
    pub async fn connect_over_tls(url: &str) -> Result<Self, StorageError> {
        Self::open(&Server::from_url_with_tls(url, KEEPS)?).await
    }

    /// The same over a TLS connector of one's own, as the configuration's `sslmode` says.
    ///
    /// # Errors
    /// As of [`connect`](Self::connect).
    pub async fn connect_with<T>(config: tokio_postgres::Config, tls: T) -> Result<Self, StorageError>
    where
        T: MakeTlsConnect<Socket> + Clone + Sync + Send + 'static,
        T::Stream: Sync + Send,
        T::TlsConnect: Sync + Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        Self::open(&Server::new(config, tls, KEEPS)).await
    }

    async fn open(server: &Server) -> Result<Self, StorageError> {
        let connections = Connections::new(server)?;
        let begun = async {
            connections.migrate().await?;
            Queue::start(connections.clone()).await
        };
        match begun.await {
            Ok(queue) => Ok(Self { connections, queue }),
            Err(fault) => Err(connections.explain(fault)),
        }
    }

    /// Does this with one of the connections for reading, in time or not at all.
    async fn read<T>(
        &self,
        query: impl AsyncFnOnce(&mut Connection) -> Result<T, Fault>,
    ) -> Result<T, BudgetError> {
        self.read_for(Some(PATIENCE), query).await
    }

    /// Does this with one of the connections for reading, for so long at most. Whoever sets no time keeps it in the query.
    async fn read_for<T>(
        &self,
        patience: Option<Duration>,
        query: impl AsyncFnOnce(&mut Connection) -> Result<T, Fault>,
    ) -> Result<T, BudgetError> {
        let explained = |fault| self.connections.explain(fault);
        let mut client = self.connections.reader().await.map_err(explained)?;
        let read = match patience {
            None => query(&mut client).await,
            Some(patience) => timeout(patience, query(&mut client))
                .await
                .unwrap_or(Err(Fault::NoAnswer)),
        };
        if matches!(read, Err(Fault::NoAnswer)) {
            // It may hang for ever; the next one is a new connection.
            drop(Connection::take(client));
        }
        Ok(read.map_err(explained)?)
    }
}

#[async_trait]
impl LedgerStore for PostgresLedger {
    async fn define(&self, now: Timestamp, budget: Budget) -> Result<(), BudgetError> {
        let needs = Needs {
            scopes: vec![budget.scope.clone()],
            changes_rules: true,
            ..Needs::default()
        };
        let step = move |books: &mut Books, rules: &mut Vec<RuleChange>| {
            rules.push(RuleChange::Budget(books.define(now, budget.clone())?));
            Ok(())
        };
        self.queue.step(now, needs, step).await
    }

    async fn edit(&self, now: Timestamp, before: Option<Budget>, after: Budget) -> Result<(), BudgetError> {
        let needs = Needs {
            scopes: vec![after.scope.clone()],
            changes_rules: true,
            ..Needs::default()
        };
        let step = move |books: &mut Books, rules: &mut Vec<RuleChange>| {
            let defined = books.edit(now, before.as_ref(), after.clone())?;
            rules.push(RuleChange::Budget(defined));
            Ok(())
        };
        self.queue.step(now, needs, step).await
    }

    async fn provision(&self, now: Timestamp, budget: Budget) -> Result<bool, BudgetError> {
        let needs = Needs {
            scopes: vec![budget.scope.clone()],
            changes_rules: true,
            ..Needs::default()
        };
        let step = move |books: &mut Books, rules: &mut Vec<RuleChange>| {
            let defined = books.provision(now, budget.clone())?;
            let is_new = defined.is_some();
            rules.extend(defined.map(RuleChange::Budget));
            Ok(is_new)
        };
        self.queue.step(now, needs, step).await
    }

    async fn provisions(&self) -> Result<Vec<Budget>, BudgetError> {
        self.read(async |client| read::provisions(client).await).await
    }

    async fn remove(&self, now: Timestamp, scope: &Scope) -> Result<bool, BudgetError> {
        let scope = scope.clone();
        let needs = Needs {
            scopes: vec![scope.clone()],
            changes_rules: true,
            ..Needs::default()
        };
        let step = move |books: &mut Books, rules: &mut Vec<RuleChange>| {
            let is_removed = books.remove(&scope);
            if is_removed {
                rules.push(RuleChange::Removal(scope.clone()));
            }
            Ok(is_removed)
        };
        self.queue.step(now, needs, step).await
    }

    async fn budgets(&self) -> Result<Vec<Budget>, BudgetError> {
        self.read(async |client| read::budgets(client).await).await
    }

    async fn top_up(&self, now: Timestamp, top_up: TopUp) -> Result<bool, BudgetError> {
        let needs = Needs {
            scopes: vec![top_up.scope.clone()],
            changes_rules: true,
            ..Needs::default()
        };
        let step = move |books: &mut Books, rules: &mut Vec<RuleChange>| {
            let is_new = books.top_up(top_up.clone())?;
            if is_new {
                rules.push(RuleChange::TopUp(top_up.clone()));
            }
            Ok(is_new)
        };
        self.queue.step(now, needs, step).await
    }

    async fn top_ups(&self, scope: &Scope) -> Result<Vec<TopUp>, BudgetError> {
        self.read(async |client| read::top_ups(client, scope).await).await
    }

    async fn stop(&self, now: Timestamp, reason: Option<String>) -> Result<bool, BudgetError> {
        let needs = Needs {
            changes_rules: true,
            ..Needs::default()
        };
        let step = move |books: &mut Books, rules: &mut Vec<RuleChange>| {
            let is_changed = books.stop(now, reason.clone())?;
            if is_changed {
                rules.push(RuleChange::Stop(books.stopped().cloned()));
            }
            Ok(is_changed)
        };
        self.queue.step(now, needs, step).await
    }

    async fn stopped(&self) -> Result<Option<Stop>, BudgetError> {
        self.read(async |client| read::stopped(client).await).await
    }

    async fn open(&self, now: Timestamp, open: OpenHold) -> Result<HoldStatus, BudgetError> {
        let needs = Needs {
            scopes: open.request.scopes.clone(),
            key: open.request.idempotency_key.clone(),
            expired: true,
            ..Needs::default()
        };
        let step = move |books: &mut Books, _: &mut Vec<RuleChange>| books.open(now, &open);
        self.queue.step(now, needs, step).await
    }

    async fn act(&self, now: Timestamp, hold: HoldId, action: HoldAction) -> Result<HoldStatus, BudgetError> {
        let draw_key = match &action {
            HoldAction::Draw { key, .. } => key.clone(),
            _ => None,
        };
        let needs = Needs {
            hold: Some(hold),
            draw_key,
            ..Needs::default()
        };
        let step = move |books: &mut Books, _: &mut Vec<RuleChange>| books.act(now, hold, action.clone());
        self.queue.step(now, needs, step).await
    }

    async fn expire(&self, now: Timestamp) -> Result<Vec<Settlement>, BudgetError> {
        // Most of the time nothing has expired, and then nobody needs a lock.
        if !self
            .read(async |client| read::has_expired(client, now).await)
            .await?
        {
            return Ok(Vec::new());
        }
        let needs = Needs {
            expired: true,
            ..Needs::default()
        };
        let step = move |books: &mut Books, _: &mut Vec<RuleChange>| books.expire(now);
        self.queue.step(now, needs, step).await
    }

    async fn status(&self, now: Timestamp, scope: &Scope) -> Result<Option<BudgetStatus>, BudgetError> {
        self.read(async |client| read::status(client, now, scope).await)
            .await
    }

    async fn hold(&self, id: HoldId) -> Result<Option<HoldRecord>, BudgetError> {
        self.read(async |client| read::hold(client, id).await).await
    }

    async fn holds(&self, page: HoldPage) -> Result<Vec<HoldRecord>, BudgetError> {
        self.read(async |client| read::holds(client, page).await).await
    }

    async fn entries(&self, page: EntryPage) -> Result<Vec<Entry>, BudgetError> {
        self.read(async |client| read::entries(client, page).await).await
    }

    async fn spending(&self, scope: &Scope, from: Timestamp, to: Timestamp) -> Result<i64, BudgetError> {
        self.read(async |client| read::spending(client, scope, from, to).await)
            .await
    }

    async fn verify(&self) -> Result<VerifyReport, BudgetError> {
        // As long as the ledger is; each of its pages is waited for as any other answer.
        self.read_for(None, async |client| read::verify(client).await)
            .await
    }
}
