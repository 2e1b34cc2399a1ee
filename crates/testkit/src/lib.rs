//! Test doubles with state and a manual clock. A development dependency only.

mod clock;

pub use clock::ManualClock;
