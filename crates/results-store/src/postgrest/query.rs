use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, RequestBuilder, Url};
use serde::{
    Serialize,
    de::{DeserializeOwned, IgnoredAny},
};

use super::{
    Filter, Postgrest, PostgrestError, UserToken,
    filter::name,
    transport::{Reply, bad_reply},
};

/// What stays as it is in a query. A space is `%20`: `+` is read as itself by some servers.
const IN_QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'*')
    .remove(b',');

/// Rows of one table, and what to do with them. Nothing is sent before one of the last steps: [`fetch`](Self::fetch),
/// [`fetch_counted`](Self::fetch_counted), [`insert`](Self::insert), [`upsert`](Self::upsert),
/// [`delete`](Self::delete).
#[derive(Debug, Clone)]
pub struct Query<'a> {
    client: &'a Postgrest,
    table: String,
    options: Vec<(String, String)>,
    user: Option<&'a UserToken>,
    is_filtered: bool,
    wrong: Option<String>,
}

/// In which order rows come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The smallest first.
    Ascending,
    /// The largest first.
    Descending,
}

/// What becomes of a new row whose key is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConflict {
    /// It takes the old one's place.
    Merge,
    /// The old one stays.
    Ignore,
}

/// Some of the rows there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows<T> {
    /// These.
    pub rows: Vec<T>,
    /// How many there are in all, counted exactly.
    pub total: u64,
}

impl<'a> Query<'a> {
    pub(super) fn new(client: &'a Postgrest, table: &str) -> Self {
        Self {
            client,
            table: table.to_owned(),
            options: Vec::new(),
            user: None,
            is_filtered: false,
            wrong: None,
        }
        .named(table)
    }

    /// In the name of this user.
    #[must_use]
    pub fn as_user(mut self, user: Option<&'a UserToken>) -> Self {
        self.user = user;
        self
    }

    /// Only these columns.
    #[must_use]
    pub fn select(self, columns: &[&str]) -> Self {
        columns
            .iter()
            .fold(self, |query, column| query.named(column))
            .option("select", columns.join(","))
    }

    /// Only rows whose column is so; several filters all hold.
    #[must_use]
    pub fn filter(mut self, column: &str, filter: &Filter) -> Self {
        self.is_filtered = true;
        self.named(column).option(column, filter.text())
    }

    /// In this order; a second call orders what the first leaves equal.
    #[must_use]
    pub fn order(mut self, column: &str, order: Order) -> Self {
        let direction = match order {
            Order::Ascending => "asc",
            Order::Descending => "desc",
        };
        let term = format!("{column}.{direction}");
        match self.options.iter_mut().find(|(key, _)| key == "order") {
            Some((_, terms)) => {
                terms.push(',');
                terms.push_str(&term);
                self.named(column)
            }
            None => self.named(column).option("order", term),
        }
    }

    /// At most so many rows.
    #[must_use]
    pub fn limit(self, rows: usize) -> Self {
        self.option("limit", rows.to_string())
    }

    /// Without the first so many rows.
    #[must_use]
    pub fn offset(self, rows: usize) -> Self {
        self.option("offset", rows.to_string())
    }

    /// Reads them.
    ///
    /// # Errors
    /// Every [`PostgrestError`].
    pub async fn fetch<T: DeserializeOwned>(self) -> Result<Vec<T>, PostgrestError> {
        let request = self.request(Method::GET)?;
        self.client.transport.json(request).await
    }

    /// Reads them, and counts exactly how many there are in all, whatever `limit` and `offset` say.
    ///
    /// # Errors
    /// Every [`PostgrestError`].
    pub async fn fetch_counted<T: DeserializeOwned>(self) -> Result<Rows<T>, PostgrestError> {
        let request = self.request(Method::GET)?.header("prefer", "count=exact");
        let reply = self.client.transport.reply(request).await?;
        let total = total(&reply)?;
        Ok(Rows {
            rows: reply.json()?,
            total,
        })
    }

    /// Adds these rows, all or none; all of them have the same columns.
    ///
    /// # Errors
    /// [`PostgrestError::Conflict`] where the key of one is there already; every other.
    pub async fn insert<T: Serialize + Sync>(self, rows: &[T]) -> Result<(), PostgrestError> {
        let request = self.request(Method::POST)?.header("prefer", "return=minimal");
        self.client.transport.reply(request.json(rows)).await.map(drop)
    }

    /// Adds these rows, all or none, where `key` are the columns by which two rows are the same one.
    ///
    /// # Errors
    /// [`PostgrestError::Conflict`] where a row is in the way by another key; every other.
    pub async fn upsert<T: Serialize + Sync>(
        self,
        rows: &[T],
        key: &[&str],
        conflict: OnConflict,
    ) -> Result<(), PostgrestError> {
        let prefer = match conflict {
            OnConflict::Merge => "resolution=merge-duplicates,return=minimal",
            OnConflict::Ignore => "resolution=ignore-duplicates,return=minimal",
        };
        let query = key
            .iter()
            .fold(self, |query, column| query.named(column))
            .option("on_conflict", key.join(","));
        let request = query.request(Method::POST)?.header("prefer", prefer);
        query.client.transport.reply(request.json(rows)).await.map(drop)
    }

    /// Deletes the rows that the filters leave, and says how many they were. Those of [`select`](Self::select) come back to
    /// be counted: one short column is enough.
    ///
    /// # Errors
    /// [`PostgrestError::Unusable`] without a filter, which would delete all of them; every other.
    pub async fn delete(self) -> Result<u64, PostgrestError> {
        if !self.is_filtered {
            return Err(PostgrestError::Unusable {
                what: "a deletion",
                reason: "it has no filter, and would delete every row".to_owned(),
            });
        }
        let request = self
            .request(Method::DELETE)?
            .header("prefer", "return=representation");
        let gone: Vec<IgnoredAny> = self.client.transport.json(request).await?;
        Ok(gone.len() as u64)
    }

    fn option(mut self, key: &str, value: String) -> Self {
        self.options.push((key.to_owned(), value));
        self
    }

    /// Remembers the first name that cannot be used.
    fn named(mut self, text: &str) -> Self {
        if self.wrong.is_none() && name(text).is_err() {
            self.wrong = Some(text.to_owned());
        }
        self
    }

    fn request(&self, method: Method) -> Result<RequestBuilder, PostgrestError> {
        if let Some(wrong) = &self.wrong {
            name(wrong)?;
        }
        let mut url: Url = self.client.url(&[&self.table]);
        if !self.options.is_empty() {
            let encoded = |text: &str| utf8_percent_encode(text, IN_QUERY).to_string();
            let pairs = self.options.iter();
            let pairs = pairs.map(|(key, value)| format!("{}={}", encoded(key), encoded(value)));
            url.set_query(Some(&pairs.collect::<Vec<_>>().join("&")));
        }
        Ok(self.client.request(method, url, self.user))
    }
}

/// What `Content-Range` says after the slash.
fn total(reply: &Reply) -> Result<u64, PostgrestError> {
    let range = reply.header("content-range").unwrap_or_default();
    let total = range.rsplit_once('/').and_then(|(_, total)| total.parse().ok());
    total.ok_or_else(|| bad_reply(reply.server(), "it does not say how many rows there are"))
}
