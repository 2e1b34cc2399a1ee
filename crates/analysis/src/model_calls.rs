//! Calls of a language model: within the hold, through the breaker, each with its intent and its lines on the bill.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use meterbox_budget_engine::{BudgetError, Hold, Intent};
use meterbox_circuit_breaker::{FaultClass, Permit};
use meterbox_core::{
    Retryability, Usd,
    contract::{CostLine, Egress},
};
use meterbox_llm_codegen::chat::{
    Billed, CallGate, CallPermit, ChatError, ChatErrorKind, ChatReply, Declined, DeclinedKind, ModelCard,
    Outgoing, PlannedCall,
};
use sha2::{Digest, Sha256};
use tracing::Span;

use crate::{analyst::Parts, model_price::CallPrice, paid_run::resolve, price::total, spans};

/// How often it is looked whether all spending was stopped, while a model thinks.
const STOP_CHECK: Duration = Duration::from_millis(500);

/// Lets calls of a model pass as far as an analysis's hold pays for them.
pub(crate) struct ModelCalls<'a> {
    parts: &'a Parts,
    hold: &'a Hold,
    /// What all calls together may cost.
    money: Usd,
    made: Mutex<CallsMade>,
}

/// What became of the calls.
#[derive(Debug, Default)]
pub(crate) struct CallsMade {
    /// What is on the bill.
    pub(crate) lines: Vec<CostLine>,
    /// Worst cases that stand, since nobody knows what the calls cost.
    pub(crate) unresolved: Usd,
    /// What was sent.
    pub(crate) egress: Vec<Egress>,
    /// Bills that could not be written, in words for a reader.
    pub(crate) unwritten: Vec<String>,
    /// How many were sent.
    pub(crate) sent: u64,
}

impl CallsMade {
    fn used(&self) -> Usd {
        total(&self.lines).saturating_add(self.unresolved)
    }
}

impl<'a> ModelCalls<'a> {
    pub(crate) fn new(parts: &'a Parts, hold: &'a Hold, money: Usd) -> Self {
        Self {
            parts,
            hold,
            money,
            made: Mutex::default(),
        }
    }

    pub(crate) fn made(self) -> CallsMade {
        self.made.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until somebody stops all spending.
    pub(crate) async fn until_stopped(&self) {
        loop {
            tokio::time::sleep(STOP_CHECK).await;
            if matches!(self.parts.budget.stopped().await, Ok(Some(_))) {
                return;
            }
        }
    }

    /// Until it is resolved, a worst case counts as spent.
    fn count_on(&self, worst_case: Usd) {
        let mut book = self.book();
        book.unresolved = book.unresolved.saturating_add(worst_case);
    }

    fn book(&self) -> MutexGuard<'_, CallsMade> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl CallGate for ModelCalls<'_> {
    async fn admit(&self, call: &PlannedCall<'_>) -> Result<Box<dyn CallPermit + '_>, Declined> {
        let card = call.card;
        let unpriced = |error: meterbox_price_book::PriceError| Declined {
            message: error.to_string(),
            kind: DeclinedKind::Unpriced,
            retryability: Retryability::Never,
            retry_after: None,
        };
        let price = self
            .parts
            .model_prices
            .of(card, self.parts.clock.now())
            .map_err(unpriced)?;
        let left = self.money.saturating_sub(self.book().used());
        let affordable = price.output_within(left, call.input_tokens).map_err(unpriced)?;
        let output_cap = affordable.unwrap_or(0).min(call.wanted_output);
        if output_cap < call.least_output {
            return Err(Declined {
                message: format!(
                    "the {left} left for models do not pay for a call of {}",
                    card.model
                ),
                kind: DeclinedKind::Money,
                retryability: Retryability::Never,
                retry_after: None,
            });
        }
        let permit = self
            .parts
            .breaker
            .permit(&circuit(card))
            .map_err(|open| Declined {
                message: format!(
                    "{} failed several times in a row and is given time to recover",
                    card.server
                ),
                kind: DeclinedKind::Paused,
                retryability: Retryability::Safe,
                retry_after: Some(open.retry_after()),
            })?;
        let worst_case = price
            .worst_case_line(call.purpose, call.input_tokens, output_cap)
            .map_err(unpriced)?;
        let amount = worst_case.amount;
        let intent = self
            .hold
            .intend(worst_case)
            .await
            .map_err(|error| no_intent(&error))?;
        self.count_on(amount);
        Ok(Box::new(Call {
            calls: self,
            card: card.clone(),
            purpose: call.purpose.to_owned(),
            price,
            worst_case: amount,
            output_cap,
            intent,
            permit,
            told: CostTold {
                span: Span::none(),
                worst_case: amount,
                is_settled: false,
            },
        }))
    }
}

/// One call under way. Its worst case stands until it is settled.
struct Call<'a> {
    calls: &'a ModelCalls<'a>,
    card: ModelCard,
    purpose: String,
    price: CallPrice,
    worst_case: Usd,
    output_cap: u64,
    intent: Intent<'a>,
    permit: Permit,
    told: CostTold,
}

/// Tells a call's span what it cost: where nobody comes to know, because the call was dropped, its worst case.
struct CostTold {
    /// The one that was current when the call was sent.
    span: Span,
    worst_case: Usd,
    is_settled: bool,
}

impl CostTold {
    fn at_worst(&mut self) {
        self.is_settled = true;
        spans::billed_at_worst(&self.span, self.worst_case);
    }

    fn as_billed(&mut self, lines: &[CostLine]) {
        self.is_settled = true;
        spans::billed(&self.span, lines);
    }
}

impl Drop for CostTold {
    fn drop(&mut self) {
        if !self.is_settled {
            spans::call_cancelled(&self.span);
            self.at_worst();
        }
    }
}

#[async_trait]
impl CallPermit for Call<'_> {
    fn output_cap(&self) -> u64 {
        self.output_cap
    }

    fn sending(&mut self, outgoing: &Outgoing) {
        self.told.span = Span::current();
        let digest = Sha256::digest(&outgoing.body);
        let mut book = self.calls.book();
        book.sent += 1;
        book.egress.push(Egress {
            to: outgoing.url.clone(),
            purpose: self.purpose.clone(),
            bytes: outgoing.body.len() as u64,
            sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            body: String::from_utf8(outgoing.body.clone()).ok(),
        });
    }

    async fn settle(self: Box<Self>, outcome: Result<&ChatReply, &ChatError>) {
        let mut call = *self;
        match outcome {
            Ok(reply) => {
                call.calls.parts.model_prices.learn(&call.card, reply);
                call.permit.succeed();
            }
            Err(error) => match fault_class(error.kind()) {
                Some(class) => call.permit.fail_until(class, error.retry_after()),
                None => call.permit.ignore(),
            },
        }
        let (billed, tier) = match outcome {
            Ok(reply) => (reply.billed(), reply.service_tier.as_deref()),
            Err(error) => (error.billed(), None),
        };
        let lines = match billed {
            Billed::Nothing => Vec::new(),
            // The worst case stands, marked as an estimate.
            Billed::Unknown => return call.told.at_worst(),
            Billed::Tokens(usage) => {
                // What a deployment is may have been learnt just now.
                let learnt = call
                    .calls
                    .parts
                    .model_prices
                    .of(&call.card, call.calls.parts.clock.now());
                let price = learnt.as_ref().unwrap_or(&call.price);
                match price.lines(&call.purpose, &usage, tier) {
                    Ok(lines) => lines,
                    Err(error) => {
                        tracing::error!(%error, "a call could not be priced; its worst case stands");
                        return call.told.at_worst();
                    }
                }
            }
        };
        let resolved = resolve(&call.intent, &lines).await;
        let mut book = call.calls.book();
        match resolved {
            Ok(()) => {
                call.told.as_billed(&lines);
                book.unresolved = book.unresolved.saturating_sub(call.worst_case);
                book.lines.extend(lines);
            }
            Err(error) => {
                call.told.at_worst();
                tracing::error!(%error, "the bill of a call was not written");
                book.unwritten.push(format!(
                    "the bill of a call of the model could not be written, so it counts at its worst case: {error}"
                ));
            }
        }
    }
}

/// Each server's model has a circuit of its own.
fn circuit(card: &ModelCard) -> String {
    format!("model {} {}", card.server, card.model)
}

/// Which failures are the provider's own, and so count against its circuit.
fn fault_class(kind: ChatErrorKind) -> Option<FaultClass> {
    match kind {
        ChatErrorKind::Rate | ChatErrorKind::Overloaded => Some(FaultClass::Overloaded),
        ChatErrorKind::Interrupted => Some(FaultClass::Timeout),
        ChatErrorKind::Unreachable | ChatErrorKind::Malformed => Some(FaultClass::Platform),
        _ => None,
    }
}

fn no_intent(error: &BudgetError) -> Declined {
    let kind = match error {
        BudgetError::Refused { .. }
        | BudgetError::NoBudget { .. }
        | BudgetError::Stopped(_)
        | BudgetError::HoldTooSmall { .. } => DeclinedKind::Money,
        _ => DeclinedKind::Unavailable,
    };
    Declined {
        message: error.to_string(),
        kind,
        retryability: error.retryability(),
        retry_after: error.retry_after(),
    }
}
