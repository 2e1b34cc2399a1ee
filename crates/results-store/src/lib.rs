//! Where analysis results are kept: save, find, page, delete, expire; each principal sees only its own.
//!
//! [`ResultsStore`] is the one trait. [`MemoryResults`] forgets with the process. Behind features:
//!
//! | feature | store | keeps results in |
//! | --- | --- | --- |
//! | `sqlite` | `SqliteResults` | a file |
//! | `postgres`, `postgres-tls` | `PostgresResults` | a Postgres database, for many replicas |
//! | `supabase` | `SupabaseResults` | a Supabase project, over the PostgREST client in `postgrest` |
//! | `outbox` | `Outbox` | a file, until any other store takes them |
//!
//! Ids sort by creation, so a page is newest first. A stored result that can no longer be read is reported in its place
//! and never hides the others.

#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod memory;
#[cfg(feature = "outbox")]
mod outbox;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "supabase")]
pub mod postgrest;
#[cfg(feature = "sqlite")]
mod sqlite;
mod store;
#[cfg(any(feature = "postgres", feature = "sqlite", feature = "supabase"))]
mod stored;
#[cfg(feature = "supabase")]
pub mod supabase;

pub use error::{ResultsError, ResultsErrorKind};
pub use memory::MemoryResults;
#[cfg(feature = "outbox")]
pub use outbox::{Outbox, OutboxFailing, OutboxHealth, OutboxLimits};
#[cfg(feature = "postgres")]
pub use postgres::PostgresResults;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteResults;
pub use store::{Page, PageRequest, ResultsStore, Unreadable};
#[cfg(feature = "supabase")]
pub use supabase::{SupabaseAuth, SupabaseResults};
