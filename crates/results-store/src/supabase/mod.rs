//! Results in a Supabase project, over its API.

mod auth;
mod schema;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use meterbox_core::{
    AnalysisId, Clock, Scope, StorageError, StorageErrorKind, Timestamp, contract::AnalysisResult,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::auth::Signer;
pub use self::{
    auth::SupabaseAuth,
    schema::{Tenancy, schema_sql},
};
use crate::{
    Page, PageRequest, ResultsError, ResultsStore,
    postgrest::{
        Credentials, Filter, OnConflict, Order, Postgrest, PostgrestError, PostgrestErrorKind, Query, Rows,
        UserToken,
    },
    stored::{Stored, document_of, name_of, page_of},
};

const TABLE: &str = "meterbox_results";
const MIGRATIONS: &str = "meterbox_migrations";
const COLUMNS: &[&str] = &["id", "contract_version", "document"];
/// So many rows are asked for at a time, less where they are too large together.
const ROWS: usize = 50;

/// Results in a Supabase project, for as many replicas as like. It needs the tables of [`schema_sql`].
///
/// Requests have 30 seconds, replies 64 MiB. Saving, finding and reading pages twice is doing it once.
#[derive(Clone)]
pub struct SupabaseResults {
    client: Postgrest,
    signer: Option<Arc<Signer>>,
}

/// What is sent.
#[derive(Serialize)]
struct Row {
    principal: String,
    id: String,
    contract_version: u32,
    status: String,
    created_at: String,
    document: String,
}

/// What comes back.
#[derive(Deserialize)]
struct Found {
    id: AnalysisId,
    contract_version: u32,
    document: String,
}

#[derive(Deserialize)]
struct Step {
    number: usize,
    checksum: String,
}

impl SupabaseResults {
    /// Results in the project at this address, such as `https://PROJECT.supabase.co`. Nothing is sent yet;
    /// [`check`](ResultsStore::check) finds out whether it works. `http` follows no redirects:
    /// [`http_client`](crate::postgrest::http_client) makes such a client.
    ///
    /// # Errors
    /// [`PostgrestError::Unusable`] where an address or a key cannot be one.
    pub fn new(
        http: reqwest::Client,
        project_url: &str,
        auth: SupabaseAuth,
        clock: impl Clock,
    ) -> Result<Self, PostgrestError> {
        let url = format!("{}/rest/v1", project_url.trim().trim_end_matches('/'));
        Self::at(http, &url, auth, clock)
    }

    /// Results behind a PostgREST server of one's own, at its full address.
    ///
    /// # Errors
    /// As of [`new`](Self::new).
    pub fn at(
        http: reqwest::Client,
        postgrest_url: &str,
        auth: SupabaseAuth,
        clock: impl Clock,
    ) -> Result<Self, PostgrestError> {
        let (key, secret) = auth.into_key_and_secret();
        let signer = match secret {
            Some(secret) => Some(Arc::new(Signer::new(&secret, clock)?)),
            None => None,
        };
        let client = Postgrest::builder(http, postgrest_url, Credentials::key(key)).build()?;
        Ok(Self { client, signer })
    }

    fn token_of(&self, principal: &Scope) -> Option<UserToken> {
        self.signer.as_ref().map(|signer| signer.token_of(principal))
    }

    /// The principal's rows. The filter keeps principals apart where the key opens all of them.
    fn rows<'a>(&'a self, principal: &Scope, user: Option<&'a UserToken>) -> Query<'a> {
        self.client
            .table(TABLE)
            .as_user(user)
            .filter("principal", &Filter::Eq(principal.to_string()))
    }

    /// At most so many rows of the principal, older than `before`. Fewer come at a time where they are too large together.
    async fn read(
        &self,
        principal: &Scope,
        before: Option<AnalysisId>,
        wanted: usize,
    ) -> Result<Vec<Stored>, ResultsError> {
        let mut rows: Vec<Stored> = Vec::new();
        let mut at_once = ROWS;
        while rows.len() < wanted {
            let limit = at_once.min(wanted.saturating_sub(rows.len()));
            let user = self.token_of(principal);
            let mut query = self.rows(principal, user.as_ref()).select(COLUMNS);
            if let Some(before) = rows.last().map(|row| row.id).or(before) {
                query = query.filter("id", &Filter::Lt(before.to_string()));
            }
            let query = query.order("id", Order::Descending).limit(limit);
            let found: Rows<Found> = match query.fetch_counted().await {
                Err(error) if error.kind() == PostgrestErrorKind::TooLarge && limit > 1 => {
                    at_once = (limit / 2).max(1);
                    continue;
                }
                found => found.map_err(|error| storage_error(&error))?,
            };
            // The count and not the limit says where the end is: a project may give fewer rows at a time than asked for.
            let is_last = found.rows.is_empty() || found.total <= found.rows.len() as u64;
            rows.extend(found.rows.into_iter().map(Stored::from));
            if is_last {
                break;
            }
        }
        Ok(rows)
    }

    async fn check_schema(&self) -> Result<(), ResultsError> {
        let steps: Vec<Step> = self
            .client
            .table(MIGRATIONS)
            .select(&["number", "checksum"])
            .order("number", Order::Ascending)
            .fetch()
            .await
            .map_err(|error| storage_error(&error))?;
        let incompatible = |message: &str| {
            Err(ResultsError::Store(StorageError::new(
                StorageErrorKind::Incompatible,
                message,
            )))
        };
        let known: Vec<String> = schema::MIGRATIONS
            .iter()
            .map(|sql| schema::checksum(sql))
            .collect();
        let is_known = |step: &Step| {
            let index = step.number.checked_sub(1);
            index.and_then(|index| known.get(index)) == Some(&step.checksum)
        };
        if steps.iter().any(|step| step.number > known.len()) {
            return incompatible(
                "the tables on Supabase were made by a newer version of Meterbox; use that version",
            );
        }
        if !steps.iter().all(is_known) {
            return incompatible(
                "the tables on Supabase are of another version of Meterbox; use the version that made them",
            );
        }
        if steps.len() < known.len() {
            return incompatible(
                "the tables on Supabase are of an earlier version; run the script of `meterbox results schema` there",
            );
        }
        Ok(())
    }
}

#[async_trait]
impl ResultsStore for SupabaseResults {
    async fn save(&self, result: &AnalysisResult) -> Result<(), ResultsError> {
        let row = Row {
            principal: result.principal.to_string(),
            id: result.id.to_string(),
            contract_version: result.contract_version,
            status: name_of(result.status)?,
            created_at: result.created_at.to_string(),
            document: document_of(result)?,
        };
        let user = self.token_of(&result.principal);
        let rows = [row];
        let upsert = || {
            let table = self.client.table(TABLE).as_user(user.as_ref());
            table.upsert(&rows, &["principal", "id"], OnConflict::Merge)
        };
        let mut saved = upsert().await;
        // Of two that save one result at the same moment the second may meet the id before the row. Then the row is there.
        if matches!(saved, Err(PostgrestError::Conflict { .. })) {
            saved = upsert().await;
        }
        saved.map_err(|error| match &error {
            PostgrestError::Conflict { .. } => ResultsError::IdTaken(result.id),
            PostgrestError::Refused { refusal, .. }
                if is_about_the_row(refusal.status, refusal.sqlstate()) =>
            {
                ResultsError::Rejected {
                    id: result.id,
                    reason: error.to_string(),
                }
            }
            error => storage_error(error),
        })
    }

    async fn find(&self, principal: &Scope, id: AnalysisId) -> Result<Option<AnalysisResult>, ResultsError> {
        let user = self.token_of(principal);
        let found: Vec<Found> = self
            .rows(principal, user.as_ref())
            .select(COLUMNS)
            .filter("id", &Filter::Eq(id.to_string()))
            .limit(1)
            .fetch()
            .await
            .map_err(|error| storage_error(&error))?;
        let stored = found.into_iter().next().map(Stored::from);
        stored
            .map(|stored| stored.read().map_err(ResultsError::Unreadable))
            .transpose()
    }

    async fn page(&self, principal: &Scope, request: PageRequest) -> Result<Page, ResultsError> {
        let limit = request.clamped_limit();
        let rows = self
            .read(principal, request.before, limit.saturating_add(1))
            .await?;
        Ok(page_of(rows, limit))
    }

    async fn delete(&self, principal: &Scope, id: AnalysisId) -> Result<bool, ResultsError> {
        let user = self.token_of(principal);
        let deleted = self
            .rows(principal, user.as_ref())
            .select(&["id"])
            .filter("id", &Filter::Eq(id.to_string()))
            .delete()
            .await
            .map_err(|error| storage_error(&error))?;
        Ok(deleted > 0)
    }

    async fn expire(&self, before: Timestamp, most: usize) -> Result<usize, ResultsError> {
        let service = self.signer.as_ref().map(|signer| signer.token_of_service());
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let arguments = json!({ "before": before.to_string(), "most": most });
        self.client
            .call("meterbox_expire_results", &arguments, service.as_ref())
            .await
            .map_err(|error| storage_error(&error))
    }

    async fn check(&self) -> Result<(), ResultsError> {
        self.check_schema().await?;
        // Nobody's: whether the key opens the table at all.
        let Ok(nobody) = Scope::new("service", "check") else {
            return Ok(());
        };
        self.read(&nobody, None, 1).await.map(drop)
    }
}

impl fmt::Debug for SupabaseResults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SupabaseResults")
            .field("client", &self.client)
            .field("signs_tokens", &self.signer.is_some())
            .finish()
    }
}

impl From<Found> for Stored {
    fn from(found: Found) -> Self {
        Self {
            id: found.id,
            contract_version: found.contract_version,
            document: found.document,
        }
    }
}

/// Too large, or a value that its column does not take.
fn is_about_the_row(status: u16, sqlstate: Option<&str>) -> bool {
    status == 413 || sqlstate.is_some_and(|code| ["22", "23", "54"].contains(&&code[..2]))
}

/// The same in the words all stores share.
fn storage_error(error: &PostgrestError) -> ResultsError {
    let (kind, advice) = match error.kind() {
        PostgrestErrorKind::Forbidden => (
            StorageErrorKind::ReadOnly,
            "; check the Supabase keys, and that the script of `meterbox results schema` was run for this kind of key",
        ),
        PostgrestErrorKind::Missing => (
            StorageErrorKind::Incompatible,
            "; run the script of `meterbox results schema` in the project's SQL editor",
        ),
        PostgrestErrorKind::Busy => (StorageErrorKind::Busy, ""),
        PostgrestErrorKind::Unreachable
        | PostgrestErrorKind::Broken
        | PostgrestErrorKind::TimedOut
        | PostgrestErrorKind::Refused => (StorageErrorKind::Unavailable, ""),
        _ => (StorageErrorKind::Incompatible, ""),
    };
    let mut storage = StorageError::new(kind, format!("Supabase: {error}{advice}"));
    if let Some(wish) = error.retry_after() {
        storage = storage.with_retry_after(wish);
    }
    ResultsError::Store(storage)
}
