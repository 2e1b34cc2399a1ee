//! The lock of the memory ledger: the standard library's, or, to try every interleaving, the one of shuttle.

#[cfg(not(shuttle))]
pub(crate) use std::sync::{Mutex, MutexGuard};

#[cfg(shuttle)]
pub(crate) use shuttle::sync::{Mutex, MutexGuard};
