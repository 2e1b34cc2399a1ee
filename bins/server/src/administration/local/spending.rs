//! Who spent how much, and what for.

use std::collections::BTreeMap;

use meterbox_budget_engine::{BudgetEngine, BudgetError, HoldFilter, HoldId, HoldPage};
use meterbox_core::{Scope, Timestamp};

use crate::administration::wire::{Part, RangeQuery, Share, SpendingView};

const PAGE: usize = 500;
/// Holds are found by the time in their id; a clock that stepped back may have put some a little earlier.
const CLOCK_MARGIN_MICROS: i64 = 24 * 60 * 60 * 1_000_000;
const USER: &str = "user";

/// Adds up the holds that began in this range. The scope that all spending counts against is the total, and no group.
///
/// # Errors
/// Store errors.
pub(super) async fn spending(
    engine: &BudgetEngine,
    range: RangeQuery,
    everybody: &Scope,
) -> Result<SpendingView, BudgetError> {
    let mut total = Share::default();
    let mut by_scope: BTreeMap<Scope, Share> = BTreeMap::new();
    let mut by_purpose: BTreeMap<String, Share> = BTreeMap::new();
    let mut page = HoldPage {
        after: range.since.and_then(id_before),
        limit: PAGE,
        only: HoldFilter::All,
    };
    loop {
        let holds = engine.holds(page).await?;
        let Some(last) = holds.last().map(|hold| hold.id) else {
            break;
        };
        page.after = Some(last);
        for hold in holds {
            let began = hold.created_at;
            if range.since.is_some_and(|since| began < since)
                || range.until.is_some_and(|until| began >= until)
            {
                continue;
            }
            let share = Share {
                spent: hold.drawn,
                held: hold.left(),
                count: 1,
            };
            total.add(share);
            by_purpose.entry(hold.purpose.to_string()).or_default().add(share);
            for scope in hold.basis.scopes.iter().filter(|scope| *scope != everybody) {
                by_scope.entry(scope.clone()).or_default().add(share);
            }
        }
    }
    let (people, groups): (Vec<_>, Vec<_>) =
        by_scope.into_iter().partition(|(scope, _)| scope.kind() == USER);
    Ok(SpendingView {
        since: range.since,
        until: range.until,
        total,
        by_person: ranked(people),
        by_group: ranked(groups),
        by_purpose: ranked(by_purpose),
    })
}

impl Share {
    fn add(&mut self, other: Self) {
        self.spent = self.spent.saturating_add(other.spent);
        self.held = self.held.saturating_add(other.held);
        self.count = self.count.saturating_add(other.count);
    }
}

fn ranked(shares: impl IntoIterator<Item = (impl ToString, Share)>) -> Vec<Part> {
    let mut parts: Vec<Part> = shares
        .into_iter()
        .map(|(name, share)| Part {
            name: name.to_string(),
            share,
        })
        .collect();
    parts.sort_by_key(|part| std::cmp::Reverse(part.share.spent));
    parts
}

/// An id that sorts before those of holds that began then: they start with the time in milliseconds.
fn id_before(since: Timestamp) -> Option<HoldId> {
    let millis = since.as_micros().saturating_sub(CLOCK_MARGIN_MICROS).max(0) / 1_000;
    let hex = format!("{millis:012x}");
    format!("{}-{}-7000-8000-000000000000", hex.get(..8)?, hex.get(8..)?)
        .parse()
        .ok()
}
