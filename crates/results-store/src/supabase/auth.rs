//! How a project is opened, and the tokens that name its users.

use std::{fmt, sync::Arc, time::Duration};

use meterbox_core::{Clock, Scope};
use serde_json::{Map, Value, json};

use crate::postgrest::{PostgrestError, UserToken};

/// A token is made for each request.
const TOKEN_LIFE: Duration = Duration::from_secs(300);

/// How a project is opened. Keys are of its settings, under API.
#[derive(Clone)]
#[non_exhaustive]
pub enum SupabaseAuth {
    /// Only the anonymous (publishable) key: every holder of it sees all results. The project needs the script of
    /// [`Tenancy::Single`](super::Tenancy::Single).
    Anonymous {
        /// The key.
        anon_key: String,
    },
    /// The service-role (secret) key: row-level security does not apply to it, and this store keeps principals apart.
    Service {
        /// The key.
        service_role_key: String,
    },
    /// The anonymous key, and a token of each user signed with the project's JWT secret: row-level security keeps
    /// principals apart.
    Users {
        /// The key.
        anon_key: String,
        /// The project's secret for HS256.
        jwt_secret: String,
    },
}

impl SupabaseAuth {
    /// [`Anonymous`](Self::Anonymous).
    pub fn anonymous(anon_key: impl Into<String>) -> Self {
        Self::Anonymous {
            anon_key: anon_key.into(),
        }
    }

    /// [`Service`](Self::Service).
    pub fn service(service_role_key: impl Into<String>) -> Self {
        Self::Service {
            service_role_key: service_role_key.into(),
        }
    }

    /// [`Users`](Self::Users).
    pub fn users(anon_key: impl Into<String>, jwt_secret: impl Into<String>) -> Self {
        Self::Users {
            anon_key: anon_key.into(),
            jwt_secret: jwt_secret.into(),
        }
    }
}

impl SupabaseAuth {
    pub(super) fn into_key_and_secret(self) -> (String, Option<String>) {
        match self {
            Self::Anonymous { anon_key } => (anon_key, None),
            Self::Service { service_role_key } => (service_role_key, None),
            Self::Users { anon_key, jwt_secret } => (anon_key, Some(jwt_secret)),
        }
    }
}

/// Without the keys.
impl fmt::Debug for SupabaseAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Anonymous { .. } => "Anonymous",
            Self::Service { .. } => "Service",
            Self::Users { .. } => "Users",
        })
    }
}

/// Signs tokens with a project's secret.
pub(super) struct Signer {
    secret: String,
    clock: Arc<dyn Clock>,
}

impl Signer {
    pub(super) fn new(secret: &str, clock: impl Clock) -> Result<Self, PostgrestError> {
        let secret = secret.trim();
        if secret.is_empty() {
            return Err(PostgrestError::Unusable {
                what: "the JWT secret",
                reason: "it is empty".to_owned(),
            });
        }
        Ok(Self {
            secret: secret.to_owned(),
            clock: Arc::new(clock),
        })
    }

    /// Names the principal, as the policies of [`schema_sql`](super::schema_sql) read it.
    pub(super) fn token_of(&self, principal: &Scope) -> UserToken {
        let principal = principal.to_string();
        self.sign([
            ("aud", "authenticated"),
            ("role", "authenticated"),
            ("sub", &principal),
            ("meterbox_principal", &principal),
        ])
    }

    /// For what concerns all principals.
    pub(super) fn token_of_service(&self) -> UserToken {
        self.sign([("role", "service_role")])
    }

    fn sign<const N: usize>(&self, claims: [(&str, &str); N]) -> UserToken {
        let claims: Map<String, Value> = claims
            .into_iter()
            .map(|(name, value)| (name.to_owned(), json!(value)))
            .collect();
        UserToken::sign(&claims, self.secret.as_bytes(), self.clock.now(), TOKEN_LIFE)
    }
}
