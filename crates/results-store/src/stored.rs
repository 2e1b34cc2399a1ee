//! A result as stores that keep text have it.

use meterbox_core::{
    AnalysisId, StorageError, StorageErrorKind,
    contract::{AnalysisResult, CONTRACT_VERSION, Status},
};

use crate::{Page, Unreadable};

/// A row whose document nobody has read yet.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) id: AnalysisId,
    pub(crate) contract_version: u32,
    pub(crate) document: String,
}

impl Stored {
    /// Older versions are read by the contract's own defaults; newer ones as far as they fit.
    pub(crate) fn read(self) -> Result<AnalysisResult, Unreadable> {
        serde_json::from_str(&self.document).map_err(|error| {
            let version = self.contract_version;
            let reason = if version > CONTRACT_VERSION {
                format!(
                    "it was written under contract version {version}, newer than {CONTRACT_VERSION} ({error})"
                )
            } else {
                error.to_string()
            };
            Unreadable {
                id: self.id,
                contract_version: version,
                reason,
            }
        })
    }
}

/// A page of rows, of which there is one more than asked for where more are left.
pub(crate) fn page_of(mut rows: Vec<Stored>, limit: usize) -> Page {
    let more = rows.len() > limit;
    rows.truncate(limit);
    let mut page = Page {
        next: rows.last().filter(|_| more).map(|last| last.id),
        ..Page::default()
    };
    for stored in rows {
        match stored.read() {
            Ok(result) => page.results.push(result),
            Err(unreadable) => page.unreadable.push(unreadable),
        }
    }
    page
}

/// The result's document.
pub(crate) fn document_of(result: &AnalysisResult) -> Result<String, StorageError> {
    serde_json::to_string(result).map_err(unwritable)
}

/// The name of a status in the contract.
pub(crate) fn name_of(status: Status) -> Result<String, StorageError> {
    let name = serde_json::to_value(status).map_err(unwritable)?;
    Ok(name.as_str().unwrap_or_default().to_owned())
}

/// No result that the contract's types can hold ends here.
fn unwritable(error: serde_json::Error) -> StorageError {
    StorageError::new(
        StorageErrorKind::Incompatible,
        "the result cannot be written as JSON",
    )
    .caused_by(error)
}
