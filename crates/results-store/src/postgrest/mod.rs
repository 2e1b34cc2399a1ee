//! A client of [PostgREST](https://docs.postgrest.org), the API in front of every Supabase database.
//!
//! It reads, inserts, upserts, deletes and calls functions over a [`reqwest::Client`] that is handed in. What it promises:
//!
//! - Each request has one time limit over everything, a slow body included, and a reply is read up to a limit.
//! - A conflict is an error, as is everything that is not success; what the server said is decoded, with its SQLSTATE or
//!   `PGRST` code.
//! - Values of filters are quoted so that none of them reads as syntax.
//! - Keys and tokens are in no error and no debug output, also where the server says them back.
//! - Redirects are errors: hand in a client that does not follow them, as [`http_client`] makes one.
//!
//! Dropping a future ends the request; what the server did with it is then unknown. Sources: PostgREST's documentation,
//! and what the official `postgrest-js` sends, with which the requests are compared in tests.

mod credentials;
mod error;
mod filter;
mod query;
mod transport;

use std::{fmt, sync::Arc, time::Duration};

use reqwest::{Method, Url};
use serde::{Serialize, de::DeserializeOwned};

pub use credentials::{Credentials, UserToken};
pub use error::{PostgrestError, PostgrestErrorKind, Refusal};
pub use filter::Filter;
pub use query::{OnConflict, Order, Query, Rows};

pub use meterbox_http_client::http_client;

use self::transport::Transport;

const TIMEOUT: Duration = Duration::from_secs(30);
const LARGEST_REPLY: usize = 64 << 20;

/// A PostgREST server and the key to it. Clones share connections.
#[derive(Clone)]
pub struct Postgrest {
    transport: Arc<Transport>,
    base: Url,
    schema: Option<String>,
}

/// Puts a [`Postgrest`] together.
#[derive(Debug)]
pub struct PostgrestBuilder {
    http: reqwest::Client,
    url: String,
    credentials: Credentials,
    schema: Option<String>,
    timeout: Duration,
    largest_reply: usize,
}

impl Postgrest {
    /// A client of the server at this address: of Supabase `https://PROJECT.supabase.co/rest/v1`.
    pub fn builder(
        http: reqwest::Client,
        url: impl Into<String>,
        credentials: Credentials,
    ) -> PostgrestBuilder {
        PostgrestBuilder {
            http,
            url: url.into(),
            credentials,
            schema: None,
            timeout: TIMEOUT,
            largest_reply: LARGEST_REPLY,
        }
    }

    /// The rows of a table or view.
    pub fn table(&self, name: &str) -> Query<'_> {
        Query::new(self, name)
    }

    /// Calls a function with named arguments, in the name of a user where there is a token.
    ///
    /// # Errors
    /// Every [`PostgrestError`]; [`PostgrestErrorKind::BadReply`] where what it returns is no `T`.
    pub async fn call<T: DeserializeOwned>(
        &self,
        function: &str,
        arguments: &(impl Serialize + Sync),
        user: Option<&UserToken>,
    ) -> Result<T, PostgrestError> {
        let url = self.url(&["rpc", filter::name(function)?]);
        let request = self.request(Method::POST, url, user).json(arguments);
        self.transport.json(request).await
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    /// With the keys, and in the right schema.
    fn request(&self, method: Method, url: Url, user: Option<&UserToken>) -> reqwest::RequestBuilder {
        let profile = match method {
            Method::GET | Method::HEAD => "accept-profile",
            _ => "content-profile",
        };
        let request = self.transport.request(method, url, user);
        match &self.schema {
            Some(schema) => request.header(profile, schema),
            None => request,
        }
    }
}

impl fmt::Debug for Postgrest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgrest")
            .field("server", &self.transport.server())
            .finish_non_exhaustive()
    }
}

impl PostgrestBuilder {
    /// Another schema than the first that the server exposes.
    #[must_use]
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = Some(schema.into());
        self
    }

    /// From a request's first byte to its reply's last. 30 seconds where not set.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// In bytes. 64 MiB where not set.
    #[must_use]
    pub fn largest_reply(mut self, bytes: usize) -> Self {
        self.largest_reply = bytes;
        self
    }

    /// The client. Nothing is sent yet.
    ///
    /// # Errors
    /// [`PostgrestError::Unusable`] for an address, a key or a schema that cannot be used.
    pub fn build(self) -> Result<Postgrest, PostgrestError> {
        let unusable = |what, reason: String| PostgrestError::Unusable { what, reason };
        let base = Url::parse(self.url.trim()).map_err(|error| unusable("the address", error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(unusable("the address", "it is not https://…".to_owned()));
        }
        if base.query().is_some() || !base.username().is_empty() || base.password().is_some() {
            return Err(unusable(
                "the address",
                "it has a user, a password or a query; keys go elsewhere".to_owned(),
            ));
        }
        if let Some(schema) = &self.schema {
            filter::name(schema)?;
        }
        self.credentials.check()?;
        let transport = Transport::new(
            self.http,
            &base,
            self.credentials,
            self.timeout,
            self.largest_reply,
        );
        Ok(Postgrest {
            transport: Arc::new(transport),
            base,
            schema: self.schema,
        })
    }
}
