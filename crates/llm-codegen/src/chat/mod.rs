//! Language models as they are called: one request, one reply or one error, and what it cost in tokens.
//!
//! [`ChatModel`] is the trait. A call of it is one HTTP request, never more: who pays for attempts has to see each of
//! them. So retries, repairs and their limits are the caller's business ([`CallGate`] lets each one pass, or not), and
//! a request is encoded first and sent then, so that the exact bytes can be written down before they leave.
//! [`RetryRule`] says when a call is worth making again. [`http`] has the clients (feature `models`).

mod call;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
#[cfg(feature = "fake")]
mod fake;
mod gate;
#[cfg(feature = "models")]
pub mod http;
mod model;
mod retry;

pub use call::{Billed, ChatReply, ChatRequest, Finish, Message, Outgoing, ReplySchema, Role};
pub use error::{ChatError, ChatErrorKind};
#[cfg(feature = "fake")]
pub use fake::{FakeModel, FakeTurn};
pub use gate::{CallGate, CallPermit, Declined, DeclinedKind, PlannedCall, Unmetered};
pub use model::{ChatModel, ModelCard, ProgramFormat};
pub use retry::RetryRule;
