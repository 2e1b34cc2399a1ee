//! Who may do what: API keys, browser sessions, and the audit log of administrative acts.
//!
//! An [`ApiKey`] is a random secret with a public name. It is shown once; [`Access`] keeps its SHA-256, its
//! [`Role`] and the scopes whose budgets it spends. Every check reads the file, so a key revoked in one process
//! is refused at once in all.
//!
//! ```
//! # use meterbox_access::{Access, Actor, KeyGrant, Role};
//! # use meterbox_core::SystemClock;
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! let access = Access::open(folder.path().join("access.sqlite3"), SystemClock::default())?;
//! let operator = Actor::new("uid 1000", "command line");
//!
//! let grant = KeyGrant::new("laptop", Role::Analyst, ["user/ana".parse()?, "org/acme".parse()?]);
//! let created = access.create_key(&operator, grant).await?;
//! let shown_once = created.key.reveal();
//!
//! let known = access.authenticate(&shown_once).await?;
//! assert!(known.role.covers(Role::Viewer));
//! assert_eq!(known.user().to_string(), "user/ana");
//! # Ok(()) }
//! ```
//!
//! There is one store, a SQLite file, and so no trait. The keys guard one installation; replicas that share them
//! share the file's folder.

mod access;
mod audit;
mod error;
mod grant;
mod key;
mod role;
mod rows;
mod session;

pub use access::{Access, CreatedKey};
pub use audit::{Act, Actor, AuditEntry, AuditPage, Outcome, Pending};
pub use error::{AccessError, AccessErrorKind, Denied};
pub use grant::{KeyGrant, KeyRecord, KeyState};
pub use key::{ApiKey, KeyId, MalformedKey};
pub use role::{InvalidRole, Role};
pub use session::{Session, SessionToken};
