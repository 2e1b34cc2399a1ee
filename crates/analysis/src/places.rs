//! Where runs take place, and what computing costs there.

use std::sync::Arc;

use meterbox_core::Timestamp;
use meterbox_sandbox_client::{Capabilities, Sandbox};
use tokio::sync::OnceCell;

use crate::{
    paid_run::Run,
    price::{ComputePrices, RunPrice},
};

/// The sandboxes of an analyst: data is typed and pictures are drawn in its own; programs may have another.
#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) own: Place,
    pub(crate) programs: Option<Place>,
}

/// A sandbox with its prices.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) sandbox: Arc<dyn Sandbox>,
    pub(crate) prices: ComputePrices,
    /// What programs find here, once somebody has looked.
    pub(crate) looked: OnceCell<Capabilities>,
}

/// The prices of an analysis, the same from its beginning to its end.
#[derive(Debug)]
pub(crate) struct RunPrices {
    own: RunPrice,
    programs: Option<RunPrice>,
}

impl Places {
    /// Where programs run.
    pub(crate) fn of_programs(&self) -> &Place {
        self.programs.as_ref().unwrap_or(&self.own)
    }

    pub(crate) fn at(&self, now: Timestamp) -> RunPrices {
        RunPrices {
            own: self.own.at(now),
            programs: self.programs.as_ref().map(|place| place.at(now)),
        }
    }
}

impl Place {
    fn at(&self, now: Timestamp) -> RunPrice {
        RunPrice::new(Arc::clone(&self.sandbox), self.prices.at(now))
    }
}

impl RunPrices {
    /// That of this run.
    pub(crate) fn of(&self, run: Run) -> &RunPrice {
        match (run, &self.programs) {
            (Run::Look | Run::Program, Some(elsewhere)) => elsewhere,
            _ => &self.own,
        }
    }

    /// Do programs run elsewhere?
    pub(crate) fn are_elsewhere(&self) -> bool {
        self.programs.is_some()
    }

    /// The circuit that guards the place of this run: a cloud that is down stops nothing here.
    pub(crate) fn circuit(&self, run: Run) -> &'static str {
        match (run, &self.programs) {
            (Run::Look | Run::Program, Some(_)) => "sandbox of programs",
            _ => "sandbox",
        }
    }
}
