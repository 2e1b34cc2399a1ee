//! Connections: how they are asked for, made, bounded and described.

use std::{fmt, str::FromStr, time::Duration};

use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime, TimeoutType,
};
use meterbox_core::{StorageError, StorageErrorKind};
use tokio_postgres::{
    Config, NoTls, Socket,
    config::{Host, SslMode},
    tls::{MakeTlsConnect, TlsConnect},
};

use super::error::Fault;

/// Holds all tables, so that they meet nobody else's in a shared database.
pub(super) const SCHEMA: &str = "meterbox_ledger";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait for one of the connections for reading.
const WAIT_TIMEOUT: Duration = Duration::from_secs(10);
const READERS: usize = 4;

/// A replica that hangs in the middle of a transaction keeps others waiting no longer than this. What a server
/// calls committed must be on its disk; stricter settings than `on` stay. Every statement looks rows up by an index:
/// a plan shall not depend on how small a table was when it was made.
const SESSION: &str = "
    SET search_path = meterbox_ledger;
    SET statement_timeout = '30s';
    SET lock_timeout = '10s';
    SET idle_in_transaction_session_timeout = '15s';
    SET plan_cache_mode = force_generic_plan;
    SET enable_seqscan = off;
    SET enable_hashjoin = off;
    SET enable_mergejoin = off;
    SET jit = off;
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// The connections of one store: one writes, a few read.
#[derive(Clone)]
pub(super) struct Connections {
    writer: Pool,
    readers: Pool,
    server: String,
}

impl Connections {
    /// From `postgres://user:password@host/database` or `host=… user=…`; without TLS.
    pub(super) fn from_url(url: &str) -> Result<Self, StorageError> {
        // The parser's own words may quote what it takes for an option: perhaps a part of the password.
        let config = Config::from_str(url).map_err(|_| {
            let message = "the address of the Postgres ledger cannot be read; write \
                           postgres://user:password@host:port/database, special characters percent-encoded";
            StorageError::new(StorageErrorKind::Unavailable, message)
        })?;
        if config.get_ssl_mode() == SslMode::Require {
            let message = format!(
                "{} is asked for with sslmode=require, and this constructor has no TLS; hand a TLS connector to \
                 PostgresLedger::connect_with, or use sslmode=disable where the network is trusted",
                describe(&config)
            );
            return Err(StorageError::new(StorageErrorKind::Unavailable, message));
        }
        Self::new(config, NoTls)
    }

    pub(super) fn new<T>(mut config: Config, tls: T) -> Result<Self, StorageError>
    where
        T: MakeTlsConnect<Socket> + Clone + Sync + Send + 'static,
        T::Stream: Sync + Send,
        T::TlsConnect: Sync + Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(WAIT_TIMEOUT);
        }
        if config.get_application_name().is_none() {
            config.application_name("meterbox");
        }
        let server = describe(&config);
        let pool = |size| {
            let method = ManagerConfig {
                recycling_method: RecyclingMethod::Fast,
            };
            Pool::builder(Manager::from_config(config.clone(), tls.clone(), method))
                .max_size(size)
                .runtime(Runtime::Tokio1)
                .wait_timeout(Some(WAIT_TIMEOUT))
                .create_timeout(Some(WAIT_TIMEOUT))
                .post_create(Hook::async_fn(|client, _| {
                    Box::pin(async move {
                        let begun = client.batch_execute(SESSION).await;
                        begun.map_err(HookError::Backend)
                    })
                }))
                .build()
                .map_err(|error| {
                    let message = "the Postgres ledger needs a tokio runtime with time";
                    StorageError::new(StorageErrorKind::Unavailable, message).caused_by(error)
                })
        };
        Ok(Self {
            writer: pool(1)?,
            readers: pool(READERS)?,
            server,
        })
    }

    pub(super) async fn writer(&self) -> Result<Object, Fault> {
        self.writer.get().await.map_err(to_fault)
    }

    pub(super) async fn reader(&self) -> Result<Object, Fault> {
        self.readers.get().await.map_err(to_fault)
    }

    /// For messages.
    pub(super) fn server(&self) -> &str {
        &self.server
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

fn to_fault(error: PoolError) -> Fault {
    match error {
        PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => {
            Fault::Client(error)
        }
        PoolError::Timeout(TimeoutType::Wait | TimeoutType::Create | TimeoutType::Recycle) => {
            Fault::NoConnection
        }
        _ => Fault::NoConnection,
    }
}

/// Host and port, but nothing that may be a part of a password put in the wrong place.
fn describe(config: &Config) -> String {
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let host = config.get_hosts().first().and_then(|host| match host {
        Host::Tcp(name) => Some(name.clone()),
        #[cfg(unix)]
        Host::Unix(folder) => folder.to_str().map(str::to_owned),
    });
    let is_plain = |name: &String| {
        name.chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "._-:/".contains(letter))
    };
    match host.filter(is_plain) {
        Some(host) => format!("Postgres at {host}:{port}"),
        None => "Postgres".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_shows_whatever_is_wrong() {
        for url in [
            "postgres://ana:s3cr3t@db.example:6543/ledger?sslmode=require",
            "postgres://ana:pa@s3cr3t@db.example/ledger?sslmode=require",
            "postgres://ana:s3cr3t@db.example:port/ledger",
            "host=db password=two s3cr3t=words",
            "password='s3cr3t",
        ] {
            let error = Connections::from_url(url).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("s3cr3t"), "{error:?}");
        }
        let connections = Connections::from_url("postgres://ana:s3cr3t@db.example:6543/ledger").unwrap();
        let shown = format!("{connections:?}");
        assert!(
            shown.contains("db.example:6543") && !shown.contains("s3cr3t"),
            "{shown}"
        );
    }
}
