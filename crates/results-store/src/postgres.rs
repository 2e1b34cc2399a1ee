use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use meterbox_core::{AnalysisId, Scope, StorageError, Timestamp, contract::AnalysisResult};
use meterbox_postgres::{Connection, Fault, Pool, Remedy, Schema, Server};
use tokio::{sync::OnceCell, time::timeout};
use tokio_postgres::{
    Row, Socket,
    error::SqlState,
    tls::{MakeTlsConnect, TlsConnect},
    types::ToSql,
};

use crate::{
    Page, PageRequest, ResultsError, ResultsStore,
    stored::{Stored, document_of, name_of, page_of},
};

const KEEPS: &str = "the results";
const CONNECTIONS: usize = 4;
/// A little longer than the server gives a statement: whoever says nothing until then hangs.
const PATIENCE: Duration = Duration::from_secs(32);

const SCHEMA: Schema = Schema {
    name: "meterbox_results",
    lock: 16,
    migrations: &[include_str!("../migrations/postgres/001_results.sql")],
};

/// What a server calls committed must be on its disk; stricter settings than `on` stay.
const SESSION: &str = "
    SET search_path = meterbox_results;
    SET statement_timeout = '30s';
    SET lock_timeout = '10s';
    SET idle_in_transaction_session_timeout = '15s';
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// The id's own unique index keeps another principal's result from being replaced.
const SAVE: &str = "
    INSERT INTO results (principal, id, contract_version, status, created_at, document)
    VALUES ($1, $2::text::uuid, $3, $4, $5::text::timestamptz, $6)
    ON CONFLICT (principal, id) DO UPDATE SET
        contract_version = excluded.contract_version, status = excluded.status,
        created_at = excluded.created_at, document = excluded.document
    WHERE results.status IN ('queued', 'running') OR excluded.status NOT IN ('queued', 'running')";
const FIND: &str = "
    SELECT id::text, contract_version, document FROM results WHERE principal = $1 AND id = $2::text::uuid";
const PAGE: &str = "
    SELECT id::text, contract_version, document FROM results
    WHERE principal = $1 AND id < $2::text::uuid ORDER BY id DESC LIMIT $3";
const DELETE: &str = "DELETE FROM results WHERE principal = $1 AND id = $2::text::uuid RETURNING 1";
/// What another replica is about to forget is left to it.
const EXPIRE: &str = "
    DELETE FROM results WHERE id IN (
        SELECT id FROM results WHERE created_at < $1::text::timestamptz
        ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING 1";
/// After every id there is.
const BEYOND: &str = "ffffffff-ffff-ffff-ffff-ffffffffffff";

type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

/// Results in a Postgres database, for as many replicas as like. What was answered is committed.
///
/// Its tables are in the schema `meterbox_results`. A connection that broke is made anew once, where doing the step
/// twice is the same as doing it once. Waiting for a connection takes ten seconds at most, and a statement about thirty,
/// also where the server hangs.
#[derive(Debug, Clone)]
pub struct PostgresResults {
    pool: Pool,
    is_migrated: Arc<OnceCell<()>>,
}

impl PostgresResults {
    /// Opens the results in this database, `postgres://user:password@host:port/database` or `host=… user=…`, or begins
    /// them. Without TLS: `sslmode=require` is refused.
    ///
    /// # Errors
    /// A [`StorageError`] that names the server, never the password, and what to do.
    pub async fn connect(url: &str) -> Result<Self, StorageError> {
        Self::open(&Server::from_url(url, KEEPS)?).await
    }

    /// The same, and nothing is connected before the first step: for a server that may be away just now. The first step
    /// that reaches it opens or begins the results.
    ///
    /// # Errors
    /// Where the address makes no sense.
    pub fn lazy(url: &str) -> Result<Self, StorageError> {
        Self::new(&Server::from_url(url, KEEPS)?)
    }

    /// [`lazy`](Self::lazy) and [`connect_over_tls`](Self::connect_over_tls) together.
    ///
    /// # Errors
    /// Where the address makes no sense, or TLS cannot be set up.
    #[cfg(feature = "postgres-tls")]
    pub fn lazy_over_tls(url: &str) -> Result<Self, StorageError> {
        Self::new(&Server::from_url_with_tls(url, KEEPS)?)
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
        let results = Self::new(server)?;
        match results.connection().await {
            Ok(_) => Ok(results),
            Err(fault) => Err(results.pool.explain(fault)),
        }
    }

    fn new(server: &Server) -> Result<Self, StorageError> {
        Ok(Self {
            pool: server.pool(CONNECTIONS, SESSION)?,
            is_migrated: Arc::default(),
        })
    }

    /// A connection to a schema of this version.
    async fn connection(&self) -> Result<Connection, Fault> {
        self.is_migrated
            .get_or_try_init(|| self.pool.migrate(&SCHEMA))
            .await?;
        self.pool.connection().await
    }

    /// The server, for messages: its host and port, never its password.
    pub fn description(&self) -> &str {
        self.pool.description()
    }

    /// A statement that may be done twice, and is where the first connection turns out to be dead.
    async fn twice(&self, sql: &str, values: Values<'_>) -> Result<Vec<Row>, Fault> {
        match self.once(sql, values).await {
            Err(fault @ Fault::NoAnswer) => Err(fault),
            Err(fault) if fault.remedy() != Remedy::None && !is_taken(&fault) => self.once(sql, values).await,
            done => done,
        }
    }

    async fn once(&self, sql: &str, values: Values<'_>) -> Result<Vec<Row>, Fault> {
        let connection = in_time(self.connection()).await?;
        let done = in_time(async {
            let statement = connection.prepare_cached(sql).await?;
            Ok(connection.query(&statement, values).await?)
        })
        .await;
        if let Err(fault) = &done
            && Fault::remedy(fault) == Remedy::Reconnect
        {
            drop(Connection::take(connection));
        }
        done
    }

    fn error(&self, fault: Fault) -> ResultsError {
        ResultsError::Store(self.pool.explain(fault))
    }
}

#[async_trait]
impl ResultsStore for PostgresResults {
    async fn save(&self, result: &AnalysisResult) -> Result<(), ResultsError> {
        let document = document_of(result)?;
        let status = name_of(result.status)?;
        let (principal, id) = (result.principal.to_string(), result.id.to_string());
        let (version, created_at) = (i64::from(result.contract_version), result.created_at.to_string());
        let values: Values<'_> = &[&principal, &id, &version, &status, &created_at, &document];
        let mut saved = self.twice(SAVE, values).await;
        // Of two that save one result at the same moment the second may meet the id before the row. Then the row is there.
        if saved.as_ref().is_err_and(is_taken) {
            saved = self.twice(SAVE, values).await;
        }
        match saved {
            Ok(_) => Ok(()),
            Err(fault) if is_taken(&fault) => Err(ResultsError::IdTaken(result.id)),
            Err(fault) if is_about_the_row(&fault) => Err(ResultsError::Rejected {
                id: result.id,
                reason: self.pool.explain(fault).to_string(),
            }),
            Err(fault) => Err(self.error(fault)),
        }
    }

    async fn find(&self, principal: &Scope, id: AnalysisId) -> Result<Option<AnalysisResult>, ResultsError> {
        let (principal, id) = (principal.to_string(), id.to_string());
        let rows = self.twice(FIND, &[&principal, &id]).await;
        let stored = rows.and_then(|rows| rows.first().map(stored_of).transpose());
        stored
            .map_err(|fault| self.error(fault))?
            .map(|stored| stored.read().map_err(ResultsError::Unreadable))
            .transpose()
    }

    async fn page(&self, principal: &Scope, request: PageRequest) -> Result<Page, ResultsError> {
        let principal = principal.to_string();
        let before = request
            .before
            .map_or_else(|| BEYOND.to_owned(), |id| id.to_string());
        let limit = request.clamped_limit();
        let one_more = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
        let rows = self.twice(PAGE, &[&principal, &before, &one_more]).await;
        let stored = rows.and_then(|rows| rows.iter().map(stored_of).collect());
        Ok(page_of(stored.map_err(|fault| self.error(fault))?, limit))
    }

    async fn delete(&self, principal: &Scope, id: AnalysisId) -> Result<bool, ResultsError> {
        let (principal, id) = (principal.to_string(), id.to_string());
        // Not twice: what a lost answer deleted would not be there.
        let deleted = self.once(DELETE, &[&principal, &id]).await;
        Ok(!deleted.map_err(|fault| self.error(fault))?.is_empty())
    }

    async fn expire(&self, before: Timestamp, most: usize) -> Result<usize, ResultsError> {
        let (before, most) = (before.to_string(), i64::try_from(most).unwrap_or(i64::MAX));
        let expired = self.once(EXPIRE, &[&before, &most]).await;
        Ok(expired.map_err(|fault| self.error(fault))?.len())
    }

    async fn check(&self) -> Result<(), ResultsError> {
        let found = self.twice(FIND, &[&"", &BEYOND]).await;
        found.map(drop).map_err(|fault| self.error(fault))
    }
}

async fn in_time<T>(step: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    timeout(PATIENCE, step).await.unwrap_or(Err(Fault::NoAnswer))
}

fn is_taken(fault: &Fault) -> bool {
    fault.code() == Some(&SqlState::UNIQUE_VIOLATION)
}

/// Too large, or a value that its column does not take.
fn is_about_the_row(fault: &Fault) -> bool {
    let class = fault.code().and_then(|code| code.code().get(..2));
    class.is_some_and(|class| ["22", "23", "54"].contains(&class))
}

fn stored_of(row: &Row) -> Result<Stored, Fault> {
    let id: &str = row.try_get(0)?;
    let version: i64 = row.try_get(1)?;
    Ok(Stored {
        id: id
            .parse()
            .map_err(|_| Fault::corrupt("a result has no proper id"))?,
        contract_version: u32::try_from(version)
            .map_err(|_| Fault::corrupt("a contract version is out of range"))?,
        document: row.try_get(2)?,
    })
}
