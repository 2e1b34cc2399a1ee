use async_trait::async_trait;
use meterbox_core::contract::PrivacyLevel;

use super::proof::Proof;
use crate::{
    CodeGenerator, GenerateError, GenerateRequest, Generated, Planner, Prefer,
    chat::{CallGate, PlannedCall},
    eval::certain_kind,
};

/// Lets rules answer what they are known to answer right, and asks a model for the rest; where no model can be asked,
/// rules answer what they can, and say so.
#[derive(Debug)]
pub struct Router<G> {
    planner: Planner,
    model: G,
    trust: Trust,
    proof: Proof,
}

/// When an answer of the rules is enough.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Trust {
    /// Never, as long as there is a model.
    Off,
    /// Where plans of its kind were right so often that at least 98 % of them are, to 95 %; it accounts for every word
    /// of the question and assumes nothing.
    #[default]
    Proven,
    /// Whenever there is one.
    Always,
}

impl<G: CodeGenerator> Router<G> {
    /// Rules before this generator, as far as they are proven.
    pub fn new(model: G) -> Self {
        Self {
            planner: Planner::new(),
            model,
            trust: Trust::default(),
            proof: Proof::shipped(),
        }
    }

    /// When an answer of the rules is enough.
    #[must_use]
    pub fn trust(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }

    /// How often plans of each kind were right, where it was measured anew.
    #[must_use]
    pub fn proof(mut self, proof: Proof) -> Self {
        self.proof = proof;
        self
    }

    fn is_enough(&self, planned: &Generated) -> bool {
        match self.trust {
            Trust::Off => false,
            Trust::Always => true,
            Trust::Proven => certain_kind(planned).is_some_and(|kind| self.proof.is_proven(&kind)),
        }
    }

    /// May a model be told of these tables at all?
    fn may_ask(&self, request: &GenerateRequest) -> bool {
        let card = self.model.planned_call(request).map(|call| call.card);
        card.is_none_or(|card| card.is_loopback || request.privacy > PrivacyLevel::Nothing)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<G: CodeGenerator> CodeGenerator for Router<G> {
    async fn generate(
        &self,
        request: &GenerateRequest,
        calls: &dyn CallGate,
    ) -> Result<Generated, GenerateError> {
        if !request.failed.is_empty() {
            return self.model.generate(request, calls).await;
        }
        let planned = self.planner.write(request);
        if let Err(error @ GenerateError::BadQuestion { .. }) = planned {
            return Err(error);
        }
        match request.prefer {
            Prefer::Rules => return planned,
            Prefer::Any if planned.as_ref().is_ok_and(|planned| self.is_enough(planned)) => return planned,
            _ => {}
        }
        // Who asked for a model is told by it why it is not asked.
        if request.prefer != Prefer::Model && !self.may_ask(request) {
            let why = "nothing of this data may leave the machine, so no model was asked";
            return planned.map(|planned| labelled(planned, why));
        }
        match self.model.generate(request, calls).await {
            Err(error @ (GenerateError::Declined(_) | GenerateError::Model(_))) => {
                let stopgap = self.fallback(request, &format!("no model could be asked ({error})"));
                stopgap.ok_or(error)
            }
            generated => generated,
        }
    }

    fn planned_call(&self, request: &GenerateRequest) -> Option<PlannedCall<'_>> {
        if request.prefer == Prefer::Rules {
            return None;
        }
        self.model.planned_call(request)
    }

    fn fallback(&self, request: &GenerateRequest, why: &str) -> Option<Generated> {
        // Who asked for a model is not given something else.
        if request.prefer == Prefer::Model {
            return None;
        }
        let planned = self.planner.write(request).ok()?;
        Some(labelled(planned, why))
    }

    fn second_opinion(&self, request: &GenerateRequest) -> Option<Generated> {
        let planned = self.planner.write(request).ok()?;
        certain_kind(&planned).is_some().then_some(planned)
    }

    async fn keep(&self, request: &GenerateRequest, generated: &Generated) {
        self.model.keep(request, generated).await;
    }
}

fn labelled(mut planned: Generated, why: &str) -> Generated {
    planned.warnings.push(format!("answered by rules alone: {why}"));
    planned
}
