//! Events of budgets, told as spans of their own.

use std::time::Duration;

use meterbox_analysis::Principal;
use meterbox_budget_engine::{BudgetEngine, BudgetError, Event, EventPage, Happening, Rung};
use meterbox_core::telemetry::{self as attribute, TARGET, span};
use meterbox_telemetry::Whose;
use tokio::time::sleep;
use tracing::{Span, field::Empty};
use uuid::Uuid;

use super::roots::session;

const READER: &str = "telemetry";
/// How often the ledger is asked for news.
const POLL: Duration = Duration::from_secs(1);
/// A process that is gone keeps its turn no longer than this.
const TURN: Duration = Duration::from_secs(30);

/// Tells of the ledger's events, of several processes on one ledger one at a time, until the future is dropped. What is
/// of no scope is told as the local user's.
pub(crate) async fn tell_events(engine: BudgetEngine, local_user: Principal) {
    let owner = Uuid::new_v4().to_string();
    loop {
        if let Err(error) = tell_new(&engine, &owner, &local_user).await {
            tracing::warn!(%error, "events could not be read for traces");
        }
        sleep(POLL).await;
    }
}

async fn tell_new(engine: &BudgetEngine, owner: &str, local_user: &Principal) -> Result<(), BudgetError> {
    let Some(after) = engine.take_turn(READER, owner, TURN).await? else {
        return Ok(());
    };
    let page = EventPage {
        after,
        ..EventPage::default()
    };
    for event in engine.events(page).await? {
        // Remembered first: an event that is told twice counts twice, and one that is lost is in the ledger.
        if !engine.advance(READER, owner, event.seq).await? {
            return Ok(());
        }
        tell(&event, local_user);
    }
    Ok(())
}

fn tell(event: &Event, local_user: &Principal) {
    let span = tracing::info_span!(
        target: TARGET,
        parent: None,
        span::BUDGET_EVENT,
        { attribute::OBSERVATION_TYPE } = "event",
        { attribute::EVENT_ID } = %event.id,
        { attribute::EVENT_TYPE } = Empty,
        { attribute::EVENT_SCOPE } = Empty,
        { attribute::EVENT_RUNG } = Empty,
        { attribute::EVENT_SPENT } = Empty,
        { attribute::EVENT_LIMIT } = Empty,
        { attribute::LEVEL } = Empty,
    );
    let scope = match &event.what {
        Happening::CapReached { scope, .. } | Happening::Spike { scope, .. } => scope.to_string(),
        _ => local_user.user.to_string(),
    };
    Whose::new(&scope, session(local_user, None))
        .named(span::BUDGET_EVENT)
        .tagged(["budget"])
        .begins(&span);
    let (name, level) = describe(&span, &event.what);
    span.record(attribute::EVENT_TYPE, name);
    span.record(attribute::LEVEL, level);
}

/// An event's name and level; why somebody stopped everything is that somebody's words, and left out.
fn describe(span: &Span, what: &Happening) -> (&'static str, &'static str) {
    match what {
        Happening::CapReached {
            scope,
            rung,
            limit,
            spent,
            ..
        } => {
            span.record(attribute::EVENT_SCOPE, scope.to_string());
            span.record(attribute::EVENT_RUNG, rung.to_string());
            span.record(attribute::EVENT_SPENT, spent.nanos());
            span.record(attribute::EVENT_LIMIT, limit.nanos());
            let is_the_end = *rung == Rung::Stop;
            ("cap_reached", if is_the_end { "ERROR" } else { "WARNING" })
        }
        Happening::Spike {
            scope,
            recent,
            expected,
        } => {
            span.record(attribute::EVENT_SCOPE, scope.to_string());
            span.record(attribute::EVENT_SPENT, recent.nanos());
            span.record(attribute::EVENT_LIMIT, expected.nanos());
            ("spike", "WARNING")
        }
        Happening::Stopped { .. } => ("stopped", "ERROR"),
        Happening::Resumed => ("resumed", "DEFAULT"),
        _ => ("other", "DEFAULT"),
    }
}
