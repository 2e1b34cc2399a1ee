//! A figure of a model's program beside that of the rules.

use meterbox_budget_engine::Hold;
use meterbox_core::contract::{Answer, Status};
use meterbox_datasets::TypedDataset;
use meterbox_llm_codegen::GenerateRequest;
use meterbox_sandbox_client::prelude;

use crate::{failure::reply_of, paid_run::Run, pipeline::Analysis};

impl Analysis {
    /// Where a model's answer is one figure and rules are certain of theirs, both have to be the same.
    pub(crate) async fn compare(&mut self, hold: &Hold, request: &GenerateRequest, data: &TypedDataset) {
        let Some(figure) = self.result.answer.as_ref().and_then(single_figure) else {
            return;
        };
        let Some(other) = self.generator().second_opinion(request) else {
            return;
        };
        let job = self.program_job(&other.code, data);
        // An answer without its comparison is still an answer.
        let Ok((outcome, limits)) = self.run_in_sandbox(hold, Run::Comparison, job).await else {
            return;
        };
        let reply = reply_of(&outcome, &limits).ok();
        let document = reply.and_then(|reply| prelude::read_answer(&reply).ok());
        let Some(theirs) = document.and_then(|document| single_figure(&document.answer?)) else {
            return;
        };
        if !is_the_same(figure, theirs) {
            self.result.status = Status::Unverified;
            self.result.warnings.push(format!(
                "the model comes to {figure}; rules read the question as \u{201c}{}\u{201d} and come to {theirs}",
                other.reading.text
            ));
        }
    }
}

/// The one number of an answer that is nothing else.
fn single_figure(answer: &Answer) -> Option<f64> {
    match answer {
        Answer::Scalar { value, .. } => value.as_f64(),
        Answer::Table { rows, .. } => match rows.as_slice() {
            [row] => match row.as_slice() {
                [cell] => cell.as_f64(),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

/// But for the last digits, which depend on the order of adding up, and for rounding to cents or finer, which programs do
/// unasked.
fn is_the_same(one: f64, other: f64) -> bool {
    const RELATIVE: f64 = 1e-9;
    const MOST_BY_ROUNDING: f64 = 1e-3;
    let (apart, size) = ((one - other).abs(), one.abs().max(other.abs()));
    let is_rounded = [1e2, 1e3, 1e4, 1e5, 1e6].iter().any(|scale| {
        let beside = (one * scale - (one * scale).round()).abs();
        beside <= 1e-6 && apart <= 0.5 / scale + RELATIVE * size
    });
    apart <= RELATIVE * size || (is_rounded && apart <= MOST_BY_ROUNDING * size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_differ_beyond_rounding_alone() {
        for (one, other) in [
            (0.0, 0.0),
            (0.1 + 0.2, 0.3),
            (1_234.57, 1_234.567_8),
            (33.333, 33.333_333_3),
            (1e12, 1e12),
        ] {
            assert!(is_the_same(one, other), "{one} {other}");
        }
        for (one, other) in [
            (14.0, 28.0),
            (1_234.57, 1_234.58),
            (0.0, 0.004),
            (0.33, 0.333_3),
            (1_234.567_8, 1_234.57),
        ] {
            assert!(!is_the_same(one, other), "{one} {other}");
        }
    }
}
