//! What data there is: files kept by content hash, typed once, described by a profile.
//!
//! [`Catalog::add`] copies files into a folder of its own, byte for byte, and reads none of them. Typing them is
//! the work of [`ImportRequest::program`], which somebody runs where a hostile file can do no harm; what it
//! replies is a claim that [`Catalog::record_import`] checks before it is kept. This crate knows no sandbox.
//!
//! Everything is world-readable (folders 0755, files 0644), because a sandbox started by root runs as another
//! user; who may enter the folder above is the caller's choice.

mod catalog;
mod dataset;
mod error;
mod portable;
mod reply;

pub use catalog::{Catalog, ImportRequest};
pub use dataset::{Dataset, TypedDataset};
pub use error::{DatasetError, DatasetErrorKind};
pub use portable::PortableFiles;

/// The program that types files: Python, for a sandbox that offers `parameters` and `reply`.
pub const IMPORT_PROGRAM: &str = include_str!("../programs/import.py");
/// The program that writes typed tables as CSV, for a sandbox whose Python cannot read Parquet.
pub const PORTABLE_PROGRAM: &str = include_str!("../programs/portable.py");
