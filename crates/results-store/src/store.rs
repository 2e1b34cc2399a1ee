use std::{fmt, sync::Arc};

use async_trait::async_trait;
use meterbox_core::{
    AnalysisId, Scope, Timestamp,
    contract::{AnalysisResult, Status},
};

use crate::ResultsError;

/// Where results are kept. Each method is one atomic step, and a result belongs to its `principal` alone:
/// for everybody else it does not exist. Dropping a returned future may leave the step done.
#[async_trait]
pub trait ResultsStore: Send + Sync + fmt::Debug + 'static {
    /// Keeps the result, in place of an earlier one of the same id. One that is still queued or running never takes
    /// the place of one that has ended: it is a late duplicate, and saving it changes nothing.
    ///
    /// # Errors
    /// [`ResultsError::IdTaken`] where the id is another principal's; store errors.
    async fn save(&self, result: &AnalysisResult) -> Result<(), ResultsError>;

    /// The principal's result of this id.
    ///
    /// # Errors
    /// [`ResultsError::Unreadable`]; store errors.
    async fn find(&self, principal: &Scope, id: AnalysisId) -> Result<Option<AnalysisResult>, ResultsError>;

    /// The principal's results, newest first.
    ///
    /// # Errors
    /// Store errors.
    async fn page(&self, principal: &Scope, request: PageRequest) -> Result<Page, ResultsError>;

    /// Forgets the principal's result of this id, readable or not; false if there was none.
    ///
    /// # Errors
    /// Store errors.
    async fn delete(&self, principal: &Scope, id: AnalysisId) -> Result<bool, ResultsError>;

    /// Forgets results of all principals that were created before this time, the oldest first and at most so many, and
    /// says how many they were. For retention: call it until it says less than `most`.
    ///
    /// # Errors
    /// Store errors.
    async fn expire(&self, before: Timestamp, most: usize) -> Result<usize, ResultsError>;

    /// Makes sure that the store can be reached, and is of this version. Changes nothing.
    ///
    /// # Errors
    /// Store errors.
    async fn check(&self) -> Result<(), ResultsError>;
}

/// Can a result of this status still change?
pub(crate) fn has_ended(status: Status) -> bool {
    !matches!(status, Status::Queued | Status::Running)
}

/// Which results to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    /// Results older than this one: the `next` of the page before.
    pub before: Option<AnalysisId>,
    /// At most so many; 0 counts as 1, more than [`PageRequest::MAX`] as that.
    pub limit: usize,
}

/// Some results, newest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// Those that could be read.
    pub results: Vec<AnalysisResult>,
    /// Those that could not; they count towards the limit.
    pub unreadable: Vec<Unreadable>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<AnalysisId>,
}

/// A stored result that cannot be read. It stays stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Which.
    pub id: AnalysisId,
    /// The contract version it was written under.
    pub contract_version: u32,
    /// Why not.
    pub reason: String,
}

impl PageRequest {
    /// The largest page.
    pub const MAX: usize = 500;

    /// The newest results, at most so many.
    pub const fn newest(limit: usize) -> Self {
        Self { before: None, limit }
    }

    pub(crate) fn clamped_limit(self) -> usize {
        self.limit.clamp(1, Self::MAX)
    }
}

impl Default for PageRequest {
    fn default() -> Self {
        Self::newest(50)
    }
}

macro_rules! delegate_results_store {
    ($pointer:ident) => {
        #[async_trait]
        impl<S: ResultsStore + ?Sized> ResultsStore for $pointer<S> {
            async fn save(&self, result: &AnalysisResult) -> Result<(), ResultsError> {
                (**self).save(result).await
            }

            async fn find(
                &self,
                principal: &Scope,
                id: AnalysisId,
            ) -> Result<Option<AnalysisResult>, ResultsError> {
                (**self).find(principal, id).await
            }

            async fn page(&self, principal: &Scope, request: PageRequest) -> Result<Page, ResultsError> {
                (**self).page(principal, request).await
            }

            async fn delete(&self, principal: &Scope, id: AnalysisId) -> Result<bool, ResultsError> {
                (**self).delete(principal, id).await
            }

            async fn expire(&self, before: Timestamp, most: usize) -> Result<usize, ResultsError> {
                (**self).expire(before, most).await
            }

            async fn check(&self) -> Result<(), ResultsError> {
                (**self).check().await
            }
        }
    };
}
delegate_results_store!(Arc);
delegate_results_store!(Box);
