//! Administration at the data folder itself.

mod budgets;
mod datasets;
mod export;
mod keys;
mod ledger;
mod spending;

use std::sync::Arc;

use meterbox_access::{Access, Act, Actor};
use meterbox_budget_engine::BudgetEngine;
use meterbox_core::Clock;
use meterbox_price_book::PriceBook;

use super::AdminError;

/// The ledger and the keys of a data folder, in the hands of one actor.
#[derive(Debug, Clone)]
pub(crate) struct Local {
    engine: BudgetEngine,
    access: Access,
    /// Those in force.
    prices: PriceBook,
    clock: Arc<dyn Clock>,
    actor: Actor,
    is_remote: bool,
}

impl Local {
    pub(crate) fn new(
        engine: BudgetEngine,
        access: Access,
        prices: PriceBook,
        clock: Arc<dyn Clock>,
        actor: Actor,
    ) -> Self {
        Self {
            engine,
            access,
            prices,
            clock,
            actor,
            is_remote: false,
        }
    }

    /// The same for somebody who could not undo losing the last key that may administer.
    pub(crate) fn for_remote(self, actor: Actor) -> Self {
        Self {
            actor,
            is_remote: true,
            ..self
        }
    }

    /// Notes the act, does it, and notes how it ended. It is a task of its own, so that a client who hangs up leaves
    /// no act half noted.
    async fn audited<T, E>(
        &self,
        act: Act,
        work: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<T, AdminError>
    where
        T: Send + 'static,
        E: std::error::Error + Send + Sync + 'static,
        AdminError: From<E>,
    {
        let (access, actor) = (self.access.clone(), self.actor.clone());
        let task = tokio::spawn(async move {
            let pending = access.begin(&actor, act).await?;
            let done = work.await;
            let noted = match &done {
                Ok(_) => pending.done().await,
                Err(error) => pending.failed(error).await,
            };
            if let Err(error) = noted {
                // What was done is done; the log says that its end is unknown.
                tracing::warn!(%error, "the end of an administrative act could not be noted");
            }
            Ok::<_, AdminError>(done?)
        });
        task.await.map_err(|_| AdminError::Interrupted)?
    }
}
