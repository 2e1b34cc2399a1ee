//! What an analysis sets aside before it begins, as far as its budgets let it.

use std::sync::Arc;

use meterbox_budget_engine::{Advice, BudgetError, Hold, HoldRequest, Offer};
use meterbox_core::{
    Scope, Usd,
    contract::{Failure, Step},
    telemetry,
};
use meterbox_llm_codegen::{CodeGenerator, GenerateRequest, Prefer, chat::PlannedCall};
use meterbox_sandbox_client::Limits;
use tracing::{Instrument as _, Span};

use crate::{
    Ask,
    failure::{self, cancelled},
    paid_run::Run,
    pipeline::{Analysis, Note},
    programs::REPAIRS,
    spans,
};

/// Ways to answer, by name.
const MODEL: &str = "model";
const CHEAPER: &str = "cheaper model";

impl Analysis {
    /// Sets the worst case aside, or as much of it as there is.
    pub(crate) async fn hold(&mut self) -> Result<Hold, Failure> {
        let timer = self.start(Step::Hold);
        let span = spans::reserve();
        let held = self.place_hold().instrument(span.clone()).await;
        self.tell_of_hold(&span, held.as_ref()).await;
        drop(span);
        let note = match &held {
            Ok(hold) => Note {
                detail: Some(format!("up to {}", hold.amount())),
                cost: None,
            },
            Err(_) => Note::default(),
        };
        self.end(timer, note, held)
    }

    async fn tell_of_hold(&self, span: &Span, held: Result<&Hold, &Failure>) {
        if span.is_disabled() {
            return;
        }
        match held {
            Ok(hold) => {
                let tightest = self.parts.budget.tightest(&self.scopes()).await;
                let remaining = tightest.ok().map(|status| status.remaining);
                let is_less = hold.amount() < self.wanted_hold;
                let is_degraded = is_less || self.cheaper || self.without_model || self.without_chart;
                spans::reserved(span, hold.amount(), remaining, is_degraded);
            }
            Err(failure) => spans::refused(span, failure),
        }
    }

    /// Does what the budgets' soft caps ask for: leaves the picture out, waits for a turn. What cannot be advised is
    /// refused by the hold, in its own words.
    async fn heed_soft_caps(&mut self) -> Result<(), Failure> {
        let scopes = self.scopes();
        let mut advice = match self.advice(&scopes).await {
            Ok(advice) => advice,
            Err(refusal) => {
                // What is kept for cheap answers may still pay for one, without what it can do without.
                if matches!(refusal, BudgetError::Refused { .. }) {
                    self.leave_the_picture_out();
                }
                return Ok(());
            }
        };
        if advice.name == CHEAPER {
            self.cheaper = true;
            let told = self.planned_call().map(|call| {
                format!(
                    "the budget is nearly spent, so {} was asked, which is cheaper",
                    call.card.model
                )
            });
            self.result.warnings.extend(told);
        } else if advice.swapped {
            self.leave_the_model_out("the budget is nearly spent, so this was answered without a model");
        }
        if advice.features_off && self.wants_chart() {
            self.leave_the_picture_out();
            // Checked again: with less to do there may be room for more at once.
            advice = self.advice(&scopes).await.unwrap_or(advice);
        }
        self.turn = tokio::select! {
            biased;
            () = self.cancel.cancelled() => return Err(cancelled()),
            turn = self.parts.squeeze.turn(advice.squeezed) => turn,
        };
        Ok(())
    }

    fn leave_the_model_out(&mut self, told: &str) {
        if self.planned_call().is_some() {
            self.without_model = true;
            self.result.warnings.push(told.to_owned());
        }
    }

    fn leave_the_picture_out(&mut self) {
        if self.wants_chart() {
            self.without_chart = true;
            let told = "the budget is nearly spent, so the picture of the chart was left out";
            self.result.warnings.push(told.to_owned());
        }
    }

    /// How to answer, given where the budgets stand: what a soft cap leaves pays for a smaller request of the model
    /// before it pays for none.
    async fn advice(&self, scopes: &[Scope]) -> Result<Advice, BudgetError> {
        let runs = self.planned_runs();
        let by_rules = [
            offer("rules", self.worst_case_of(&runs).min(self.cap())),
            offer("the least", self.least_of(&runs)),
        ];
        let by_model = |name: &str, calls: Usd| {
            offer(
                name,
                self.worst_case_of(&runs).saturating_add(calls).min(self.cap()),
            )
        };
        let requests = self.worst_cases_of_calls(self.generator());
        let cheaper = self.parts.cheaper.as_ref().filter(|_| !self.cheaper);
        let cheaper = cheaper.map_or_else(Vec::new, |other| self.worst_cases_of_calls(other));
        for (size, calls) in requests.iter().enumerate() {
            let mut offers = vec![by_model(MODEL, *calls)];
            offers.extend(cheaper.get(size).map(|calls| by_model(CHEAPER, *calls)));
            offers.extend(by_rules.clone());
            let advice = self.parts.budget.advise(scopes, &offers).await?;
            if matches!(advice.name.as_str(), MODEL | CHEAPER) {
                return Ok(advice);
            }
        }
        let advice = self.parts.budget.advise(scopes, &by_rules).await?;
        Ok(Advice {
            swapped: !requests.is_empty(),
            ..advice
        })
    }

    /// Who should write the program, as far as money lets it be chosen.
    pub(crate) fn prefer(&self) -> Prefer {
        if self.without_model {
            Prefer::Rules
        } else {
            self.request.prefer
        }
    }

    /// Who writes the program: a cheaper model where a soft cap asks for one.
    pub(crate) fn generator(&self) -> &Arc<dyn CodeGenerator> {
        let cheaper = self.parts.cheaper.as_ref().filter(|_| self.cheaper);
        cheaper.unwrap_or(&self.parts.generator)
    }

    /// The dearest call of a model for this question, with the tables as far as they are known.
    pub(crate) fn planned_call(&self) -> Option<PlannedCall<'_>> {
        self.planned_call_of(self.generator())
    }

    fn planned_call_of<'a>(&self, generator: &'a Arc<dyn CodeGenerator>) -> Option<PlannedCall<'a>> {
        let Ask::Question(question) = &self.request.ask else {
            return None;
        };
        if self.prefer() == Prefer::Rules {
            return None;
        }
        let typed = self.request.dataset.typed();
        let tables = typed.map(|typed| typed.tables).unwrap_or_default();
        let mut request = GenerateRequest::new(question, tables.into(), None);
        // Nothing is counted without tables.
        let anything = GenerateRequest::new("", Arc::default(), None);
        request.privacy = self.may_be_told(generator.planned_call(&anything)?.card);
        generator.planned_call(&request)
    }

    /// What calls of a model cost at most, where one may be asked: a call for the program and one for each repair; the
    /// program's alone; and that with the least output that is worth asking for.
    fn worst_cases_of_calls(&self, generator: &Arc<dyn CodeGenerator>) -> Vec<Usd> {
        let Some(call) = self.planned_call_of(generator) else {
            return Vec::new();
        };
        let Ok(price) = self.parts.model_prices.of(call.card, self.result.created_at) else {
            return Vec::new();
        };
        let worst_case = |output| price.worst_case(call.input_tokens, output).ok();
        let one = worst_case(call.wanted_output);
        let all = one.map(|one| (0..=REPAIRS).fold(Usd::ZERO, |sum, _| sum.saturating_add(one)));
        let least = worst_case(call.least_output);
        [all, one, least].into_iter().flatten().collect()
    }

    /// The runs, with the program's once more for each repair.
    fn tried_again(&self, runs: &[(Run, Limits)]) -> Vec<(Run, Limits)> {
        let programs = runs.iter().filter(|(run, _)| *run == Run::Program);
        let again = programs.cycle().take(REPAIRS).cloned();
        runs.iter().cloned().chain(again).collect()
    }

    fn worst_case_of(&self, runs: &[(Run, Limits)]) -> Usd {
        runs.iter().fold(Usd::ZERO, |sum, (run, limits)| {
            sum.saturating_add(self.price.of(*run).worst_case(limits))
        })
    }

    /// The most that this analysis may cost.
    fn cap(&self) -> Usd {
        let most = self.parts.max_cost;
        self.request.max_cost.map_or(most, |asked| asked.min(most))
    }

    pub(crate) fn scopes(&self) -> Vec<Scope> {
        let scopes = self.request.principal.scopes().into_iter();
        scopes.chain(self.parts.global.clone()).collect()
    }

    async fn place_hold(&mut self) -> Result<Hold, Failure> {
        self.heed_soft_caps().await?;
        let runs = self.planned_runs();
        let worst_case = match self.worst_cases_of_calls(self.generator()).first() {
            Some(calls) => self
                .worst_case_of(&self.tried_again(&runs))
                .saturating_add(*calls),
            None => self.worst_case_of(&runs),
        };
        let least = self.least_of(&runs);
        let cap = self.cap();
        if cap < least {
            return Err(failure::cap_too_small(cap, least));
        }
        self.wanted_hold = worst_case.min(cap);
        Span::current().record(telemetry::BUDGET_WANTED, self.wanted_hold.nanos());
        // A small remainder gets a smaller request: each run's limits follow from the hold.
        let request = HoldRequest::new(self.scopes(), self.wanted_hold, "analysis")
            .or_at_least(least)
            .idempotency_key(format!("analysis {}", self.result.id));
        let budget = &self.parts.budget;
        let held = match budget.hold(request.clone()).await {
            // What is kept of a budget for cheap answers is for these.
            Err(BudgetError::Refused { .. }) if self.request.ask.is_cheap() => {
                let held = budget.hold(request.degraded()).await;
                if held.is_ok() {
                    self.without_model = true;
                    let told =
                        "the budget is spent; this answer is paid from the part kept for cheap answers";
                    self.result.warnings.push(told.to_owned());
                }
                held
            }
            held => held,
        };
        let mut hold = held.map_err(|error| failure::no_money(&error))?;
        hold.keep_alive();
        self.result.hold = hold.amount();
        Ok(hold)
    }

    pub(crate) fn planned_runs(&self) -> Vec<(Run, Limits)> {
        let mut runs = Vec::new();
        if self.request.dataset.typed().is_none() {
            runs.push((Run::Import, Limits::for_import()));
        }
        if self.needs_look() {
            runs.push((Run::Look, Self::limits_of_a_look()));
        }
        if self.needs_portable_tables() {
            runs.push((Run::Portable, Limits::for_import()));
        }
        runs.push((Run::Program, self.parts.program_limits.clone()));
        if self.wants_chart() {
            runs.push((Run::Chart, self.parts.program_limits.clone()));
        }
        runs
    }

    pub(crate) fn wants_chart(&self) -> bool {
        self.request.chart_png && !self.without_chart
    }

    /// The money without which these runs are not worth starting.
    pub(crate) fn least_of<'a>(&self, runs: impl IntoIterator<Item = &'a (Run, Limits)>) -> Usd {
        runs.into_iter().fold(Usd::ZERO, |sum, (run, limits)| {
            sum.saturating_add(self.price.of(*run).least(limits))
        })
    }
}

/// A way to answer that costs this at most.
fn offer(name: &str, worst_case: Usd) -> Offer {
    Offer {
        name: name.to_owned(),
        cost: worst_case,
        worst_case,
    }
}
