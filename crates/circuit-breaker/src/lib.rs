//! May this dependency be called now? Keyed circuit breakers with drop-safe permits.
//!
//! A [`Breaker`] keeps one circuit per key, apart from all others. Ask it for a [`Permit`] before each call
//! and tell the permit how the call went. After a few platform faults in a row the circuit opens: calls are
//! refused at once, with the time to retry. After that time a fixed number of probes is let through; a
//! success closes the circuit, a fault opens it for longer.
//!
//! ```
//! use meterbox_circuit_breaker::{Breaker, FaultClass, Policy};
//! use meterbox_core::SystemClock;
//!
//! let breaker = Breaker::new(Policy::default(), SystemClock::default())?;
//! for _ in 0..3 {
//!     breaker.permit("sandbox/local")?.fail(FaultClass::Platform);
//! }
//! let refused = breaker.permit("sandbox/local").unwrap_err();
//! assert!(refused.retry_after().as_secs() <= 30);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The rules are a pure state machine ([`machine`]): time is a parameter, reading changes nothing. A result
//! counts only in the generation its permit was given in, so a call that began before the circuit opened
//! neither closes nor re-opens it. A dropped permit is a cancelled call: recorded, and its probe given back.

mod breaker;
mod error;
pub mod machine;
mod permit;
mod policy;

pub use breaker::{Breaker, Snapshot};
pub use error::{CircuitOpen, InvalidPolicy};
pub use machine::CircuitState;
pub use permit::{FaultClass, Permit};
pub use policy::{Backoff, Jitter, Policy};
