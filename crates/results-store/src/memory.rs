use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use meterbox_core::{AnalysisId, Scope, Timestamp, contract::AnalysisResult};

use crate::{Page, PageRequest, ResultsError, ResultsStore, store::has_ended};

/// Results in memory: gone with the process, growing with each.
#[derive(Debug, Default)]
pub struct MemoryResults {
    results: Mutex<BTreeMap<AnalysisId, AnalysisResult>>,
}

impl MemoryResults {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Each change is one insertion or removal, so a panic elsewhere leaves nothing half done.
    fn results(&self) -> MutexGuard<'_, BTreeMap<AnalysisId, AnalysisResult>> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ResultsStore for MemoryResults {
    async fn save(&self, result: &AnalysisResult) -> Result<(), ResultsError> {
        let mut results = self.results();
        if let Some(earlier) = results.get(&result.id) {
            if earlier.principal != result.principal {
                return Err(ResultsError::IdTaken(result.id));
            }
            if has_ended(earlier.status) && !has_ended(result.status) {
                return Ok(());
            }
        }
        results.insert(result.id, result.clone());
        Ok(())
    }

    async fn find(&self, principal: &Scope, id: AnalysisId) -> Result<Option<AnalysisResult>, ResultsError> {
        Ok(self
            .results()
            .get(&id)
            .filter(|result| result.principal == *principal)
            .cloned())
    }

    async fn page(&self, principal: &Scope, request: PageRequest) -> Result<Page, ResultsError> {
        let results = self.results();
        let older = |id: AnalysisId| request.before.is_none_or(|before| id < before);
        let limit = request.clamped_limit();
        let mut own = results
            .values()
            .rev()
            .filter(|result| result.principal == *principal && older(result.id))
            .cloned();
        let page: Vec<AnalysisResult> = own.by_ref().take(limit).collect();
        let next = own.next().and_then(|_| page.last()).map(|last| last.id);
        Ok(Page {
            results: page,
            unreadable: Vec::new(),
            next,
        })
    }

    async fn delete(&self, principal: &Scope, id: AnalysisId) -> Result<bool, ResultsError> {
        let mut results = self.results();
        let own = results
            .get(&id)
            .is_some_and(|result| result.principal == *principal);
        Ok(own && results.remove(&id).is_some())
    }

    async fn expire(&self, before: Timestamp, most: usize) -> Result<usize, ResultsError> {
        let mut results = self.results();
        let mut old: Vec<(Timestamp, AnalysisId)> = results
            .values()
            .filter(|result| result.created_at < before)
            .map(|result| (result.created_at, result.id))
            .collect();
        old.sort_unstable();
        old.truncate(most);
        for (_, id) in &old {
            results.remove(id);
        }
        Ok(old.len())
    }

    async fn check(&self) -> Result<(), ResultsError> {
        Ok(())
    }
}
