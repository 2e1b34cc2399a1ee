use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Object, PoolError, RecyclingMethod, Runtime, TimeoutType,
};
use meterbox_core::{StorageError, StorageErrorKind};
use tokio_postgres::{
    Config, NoTls, Socket,
    config::{Host, SslMode},
    tls::{MakeTlsConnect, TlsConnect},
};

use crate::{Fault, Schema, migrate};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait for one of the connections.
const WAIT_TIMEOUT: Duration = Duration::from_secs(10);

/// An address that was understood, and how to connect to it. Clones share nothing but the words.
#[derive(Clone)]
pub struct Server {
    config: Config,
    connector: Arc<dyn Connector>,
    keeps: &'static str,
    description: Arc<str>,
}

/// A bounded number of connections, made when they are asked for. Clones share them.
#[derive(Clone)]
pub struct Pool {
    connections: deadpool_postgres::Pool,
    keeps: &'static str,
    description: Arc<str>,
}

/// Hides the type of the TLS connector.
trait Connector: Send + Sync {
    fn manager(&self, config: Config) -> Manager;
}

struct With<T>(T);

impl Server {
    /// The server at `postgres://user:password@host:port/database` or `host=… user=…`, without TLS: `sslmode=require` is
    /// refused. `keeps` names in messages what is kept there, such as "the ledger".
    ///
    /// # Errors
    /// Where the address makes no sense or asks for TLS. The message has nothing of the address but the host.
    pub fn from_url(url: &str, keeps: &'static str) -> Result<Self, StorageError> {
        let server = Self::new(parse(url, keeps)?, NoTls, keeps);
        if server.config.get_ssl_mode() == SslMode::Require {
            let message = format!(
                "{} is asked for with sslmode=require, and this constructor has no TLS; use connect_over_tls, hand in a \
                 TLS connector, or use sslmode=disable where the network is trusted",
                server.description
            );
            return Err(StorageError::new(StorageErrorKind::Unavailable, message));
        }
        Ok(server)
    }

    /// The server of this configuration, over TLS as its `sslmode` says.
    pub fn new<T>(mut config: Config, tls: T, keeps: &'static str) -> Self
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
        Self {
            description: describe(&config).into(),
            config,
            connector: Arc::new(With(tls)),
            keeps,
        }
    }

    /// At most so many connections, each of which begins with these statements. Whoever waits longer than ten seconds
    /// for one gets [`Fault::NoConnection`].
    ///
    /// # Errors
    /// Outside a tokio runtime with time.
    pub fn pool(&self, size: usize, begin_with: &'static str) -> Result<Pool, StorageError> {
        let connections = deadpool_postgres::Pool::builder(self.connector.manager(self.config.clone()))
            .max_size(size)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(WAIT_TIMEOUT))
            .create_timeout(Some(WAIT_TIMEOUT))
            .post_create(Hook::async_fn(move |client, _| {
                Box::pin(async move {
                    let begun = client.batch_execute(begin_with).await;
                    begun.map_err(HookError::Backend)
                })
            }))
            .build()
            .map_err(|error| {
                let message = format!("{} on Postgres needs a tokio runtime with time", self.keeps);
                StorageError::new(StorageErrorKind::Unavailable, message).caused_by(error)
            })?;
        Ok(Pool {
            connections,
            keeps: self.keeps,
            description: Arc::clone(&self.description),
        })
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("server", &self.description)
            .finish_non_exhaustive()
    }
}

impl Pool {
    /// One of the connections; back in the pool when it is dropped.
    ///
    /// # Errors
    /// The client's and the server's faults; [`Fault::NoConnection`] after ten seconds.
    pub async fn connection(&self) -> Result<Object, Fault> {
        self.connections.get().await.map_err(|error| match error {
            PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => {
                Fault::Client(error)
            }
            PoolError::Timeout(TimeoutType::Wait | TimeoutType::Create | TimeoutType::Recycle) => {
                Fault::NoConnection
            }
            _ => Fault::NoConnection,
        })
    }

    /// [`migrate`] on one of the connections.
    ///
    /// # Errors
    /// As of that.
    pub async fn migrate(&self, schema: &Schema) -> Result<(), Fault> {
        let mut client = self.connection().await?;
        migrate(&mut client, schema).await
    }

    /// The fault in the words all stores share.
    pub fn explain(&self, fault: Fault) -> StorageError {
        fault.explain(self.keeps, &self.description)
    }

    /// The server, for messages: its host and port, never its password.
    pub fn description(&self) -> &str {
        &self.description
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("server", &self.description)
            .finish_non_exhaustive()
    }
}

impl<T> Connector for With<T>
where
    T: MakeTlsConnect<Socket> + Clone + Sync + Send + 'static,
    T::Stream: Sync + Send,
    T::TlsConnect: Sync + Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    fn manager(&self, config: Config) -> Manager {
        let method = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        Manager::from_config(config, self.0.clone(), method)
    }
}

pub(crate) fn parse(url: &str, keeps: &str) -> Result<Config, StorageError> {
    // The parser's own words may quote what it takes for an option: perhaps a part of the password.
    Config::from_str(url).map_err(|_| {
        let message = format!(
            "the address of the Postgres server for {keeps} cannot be read; write \
             postgres://user:password@host:port/database, special characters percent-encoded"
        );
        StorageError::new(StorageErrorKind::Unavailable, message)
    })
}

/// Host and port, but nothing that may be a part of a password put in the wrong place.
pub(crate) fn describe(config: &Config) -> String {
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
            let error = Server::from_url(url, "the ledger").unwrap_err();
            assert!(!format!("{error} {error:?}").contains("s3cr3t"), "{error:?}");
        }
        let url = "postgres://ana:s3cr3t@db.example:6543/ledger";
        let shown = format!("{:?}", Server::from_url(url, "the ledger").unwrap());
        assert!(
            shown.contains("db.example:6543") && !shown.contains("s3cr3t"),
            "{shown}"
        );
    }
}
