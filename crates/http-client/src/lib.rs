//! HTTP as the clients of paid services need it, and nothing else.
//!
//! - [`send`] sends a request once. One deadline covers everything, a slow body included.
//! - Bodies are read up to a limit ([`Reply::bytes`]).
//! - A redirect is a fault: followed, it would take keys elsewhere. [`http_client`] makes a client for that.
//! - What goes wrong is a [`Fault`], which says whether anything was sent.
//! - A [`Secret`] is in no error and no debug output.
//!
//! Brings reqwest, and no TLS provider: the process installs one.

mod address;
mod client;
mod deadline;
mod exchange;
mod pause;
mod secret;
mod words;

pub use address::{BadAddress, is_on_this_machine, parse_address, server_of};
pub use client::http_client;
pub use deadline::{deadline_after, now};
pub use exchange::{Fault, Reply, send};
pub use pause::asked_pause;
pub use secret::Secret;
pub use words::shown;
