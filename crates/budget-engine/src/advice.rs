//! Which way to do a request, given where its budgets stand: the rungs below the stop.

use meterbox_core::{Scope, Usd};
use serde::Serialize;

use crate::{
    BudgetEngine, BudgetError, BudgetStatus, HoldRequest, Rung, Unbudgeted,
    ladder::is_past,
    ledger::{Room, refusal},
};

/// A way to do a request: a model, or no model at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Its name, such as the model's.
    pub name: String,
    /// What it is expected to cost, at this request's own mix of input, cached input and output.
    pub cost: Usd,
    /// The most it can cost; what a hold for it must have.
    pub worst_case: Usd,
}

/// How to do a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Advice {
    /// Which of the offers, by its place.
    pub offer: usize,
    /// Its name.
    pub name: String,
    /// Is it another than the first?
    pub swapped: bool,
    /// Leave out what the request can do without.
    pub features_off: bool,
    /// In which scopes only so many requests may go on at once.
    pub squeezed: Vec<(Scope, u16)>,
    /// Which budgets ask for it: the scope and the rung that the request, at its worst case, is past.
    pub because: Vec<(Scope, Rung)>,
}

impl BudgetEngine {
    /// How to do a request, of these ways, the best first. A soft cap is what the dear ways may spend up to: a way whose
    /// worst case would take spending and holds past it gives way to one that is *proven* cheaper, which is one that
    /// costs less at this request's own mix and no more at its worst; of those the first that every budget covers.
    /// What is past the later caps with that is told as well. Where no way is cheaper, the first one goes on within the
    /// limit.
    ///
    /// Nothing is set aside: take a [`hold`](Self::hold) of the offer's worst case, which checks it again.
    ///
    /// # Errors
    /// [`BudgetError::Refused`] where no budget covers even the cheapest of them, [`BudgetError::NoBudget`],
    /// [`BudgetError::Stopped`], [`BudgetError::Invalid`] for no offers; store errors.
    pub async fn advise(&self, scopes: &[Scope], offers: &[Offer]) -> Result<Advice, BudgetError> {
        if let Some(stop) = self.stopped().await? {
            return Err(BudgetError::Stopped(stop));
        }
        let mut budgets = Vec::new();
        for scope in scopes {
            match self.status(scope).await {
                Err(BudgetError::NoBudget { .. }) => {}
                status => budgets.push(status?),
            }
        }
        let cheapest = offers.iter().map(|offer| offer.worst_case).min();
        let cheapest = cheapest.ok_or_else(|| BudgetError::Invalid("there is no way to do it".to_owned()))?;
        let request = || HoldRequest::new(scopes.iter().cloned(), cheapest, "advice");
        if budgets.is_empty() && self.unbudgeted == Unbudgeted::Refuse {
            return Err(refusal(self.now(), &request(), &[]));
        }
        advise(&budgets, offers).ok_or_else(|| {
            let rooms: Vec<Room> = budgets.into_iter().map(Room::from).collect();
            refusal(self.now(), &request(), &rooms)
        })
    }
}

/// The same, given where the budgets stand; `None` where they cover no offer.
pub(crate) fn advise(budgets: &[BudgetStatus], offers: &[Offer]) -> Option<Advice> {
    let first = offers.first()?;
    let fits = |offer: &Offer| {
        budgets
            .iter()
            .all(|budget| offer.worst_case <= budget.left_for(false))
    };
    let asking = |rung, offer: &Offer| -> Vec<&BudgetStatus> {
        let is_asking = |budget: &&BudgetStatus| budget.is_past(rung, offer.worst_case);
        budgets.iter().filter(is_asking).collect()
    };
    let cheaper_wanted = asking(Rung::CheaperModel, first);
    let proven = |offer: &Offer| offer.cost < first.cost && offer.worst_case <= first.worst_case;
    let mut ways = (0..).zip(offers);
    let (place, chosen) = if cheaper_wanted.is_empty() && fits(first) {
        (0, first)
    } else {
        ways.find(|(_, offer)| proven(offer) && fits(offer))
            .or_else(|| fits(first).then_some((0, first)))?
    };
    let features = asking(Rung::FeaturesOff, chosen);
    let squeezed = asking(Rung::Squeeze, chosen);
    let swapped = place != 0;
    let cheaper = if swapped { cheaper_wanted } else { Vec::new() };
    let mut because: Vec<(Scope, Rung)> = Vec::new();
    for (budgets, rung) in [
        (&cheaper, Rung::CheaperModel),
        (&features, Rung::FeaturesOff),
        (&squeezed, Rung::Squeeze),
    ] {
        because.extend(budgets.iter().map(|budget| (budget.scope.clone(), rung)));
    }
    Some(Advice {
        offer: place,
        name: chosen.name.clone(),
        swapped,
        features_off: !features.is_empty(),
        squeezed: squeezed
            .iter()
            .map(|budget| (budget.scope.clone(), budget.soft_caps.squeeze_to))
            .collect(),
        because,
    })
}

impl BudgetStatus {
    /// Would spending and holds be past this rung with so much more?
    fn is_past(&self, rung: Rung, more: Usd) -> bool {
        let used = self.spent.saturating_add(self.held).saturating_add(more);
        let percent = self.soft_caps.percent(rung);
        percent.is_some_and(|percent| is_past(used, self.limit, percent))
    }
}
