//! Steps as they happen, on standard error.

use std::time::Duration;

use meterbox_core::contract::{Step, StepEvent, StepState};

use super::text;

/// Shows an event, one line a finished step.
pub(crate) fn show(event: &StepEvent) {
    let mark = match event.state {
        StepState::Started => return,
        StepState::Done => "✓",
        StepState::Failed => "✗",
    };
    let took = event
        .elapsed_ms
        .map(|ms| format!("  {}", duration(ms)))
        .unwrap_or_default();
    let cost = event.cost.map(|cost| format!("  {cost}")).unwrap_or_default();
    let detail = event
        .detail
        .as_ref()
        .map(|detail| format!("  {detail}"))
        .unwrap_or_default();
    text::note(&format!(
        "  {mark} {:<22}{took:>9}{cost}{detail}",
        name(event.step)
    ));
}

fn duration(ms: f64) -> String {
    let duration = Duration::from_secs_f64((ms / 1e3).max(0.0));
    if duration < Duration::from_secs(1) {
        format!("{ms:.0} ms")
    } else {
        format!("{:.1} s", ms / 1e3)
    }
}

fn name(step: Step) -> &'static str {
    match step {
        Step::Import => "read the data",
        Step::Hold => "set money aside",
        Step::Program => "write the program",
        Step::Screen => "screen the program",
        Step::Run => "run it in the sandbox",
        Step::Check => "check the answer",
        Step::Chart => "draw the chart",
        Step::Settle => "charge what was used",
        Step::Store => "keep the result",
        _ => "work",
    }
}
