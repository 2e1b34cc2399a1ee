//! Programs written by a language model.
//!
//! ```text
//! question + what may be told of the tables -> prompt -> call -> reply -> program -> screen -> Generated
//!                                                ^                                     |
//!                                                +---- what is wrong with it ----------+
//! ```
//! [`ModelGenerator`] makes one program of one reply; who runs it says what was wrong and asks again
//! ([`GenerateRequest::failed`](crate::GenerateRequest::failed)). [`Router`] lets rules answer what they are known to
//! answer right. [`Cached`] uses a program again that answered the same question before.

mod cache;
mod context;
mod extract;
mod generator;
mod personal;
mod prompt;
mod proof;
mod quoting;
mod router;
mod screen;
mod spans;
#[cfg(feature = "sqlite")]
mod sqlite_programs;

pub use cache::{Cached, KeptProgram, MemoryPrograms, ProgramCache, ProgramKey};
pub use generator::ModelGenerator;
pub use proof::{InvalidProof, Proof};
pub use router::{Router, Trust};
#[cfg(feature = "sqlite")]
pub use sqlite_programs::SqlitePrograms;
