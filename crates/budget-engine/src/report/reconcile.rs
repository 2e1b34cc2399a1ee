//! Worst cases corrected by what others say was really used.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use meterbox_core::{Usd, contract::CostLine};
use serde::Serialize;

use crate::{
    BudgetEngine, BudgetError, HoldFilter, HoldId, HoldPage,
    ledger::{HoldAction, IntentId, IntentRecord, IntentState, check_line},
};

const PAGE: usize = 500;

/// What somebody outside, such as a provider's bill, knows of a paid call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageRecord {
    /// Which call.
    pub call: Call,
    /// All it used, priced; a call that used nothing has a line of no money, or none.
    pub lines: Vec<CostLine>,
}

/// How a paid call is named.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    /// By the reference it was [intended](crate::Hold::intend_known_as) with.
    Reference(String),
    /// By its own name in the ledger.
    Intent(IntentId),
}

/// What became of usage records. Calls are shown by their reference where they have one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Reconciliation {
    /// Calls that were booked at their worst case and are now, or would be, booked at what they used.
    pub corrected: Vec<Correction>,
    /// Calls whose use was known before: nothing was changed.
    pub already_known: Vec<String>,
    /// Calls whose hold is still open, so that their owner will say what they used: nothing was changed.
    pub under_way: Vec<String>,
    /// References that more than one call has, and second names of a call that has one in these records already:
    /// nothing was changed by them.
    pub ambiguous: Vec<String>,
    /// Calls the ledger does not have.
    pub unmatched: Vec<String>,
}

/// A worst case that gives way to what was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Correction {
    /// Which call.
    pub call: String,
    /// Of which hold.
    pub hold: HoldId,
    /// What was booked.
    pub from: Usd,
    /// What it used.
    pub to: Usd,
}

/// All that the records say of a call.
#[derive(Debug, Clone, Default)]
struct CallUsage {
    lines: Vec<CostLine>,
    total: Usd,
}

/// A call of the ledger that a record may mean.
#[derive(Debug, Clone)]
struct Match {
    hold: HoldId,
    intent: IntentId,
    state: IntentState,
    booked: Usd,
}

impl BudgetEngine {
    /// Corrects calls that were booked at their worst case by what these records say they used, and touches nothing
    /// else; records of one call belong together. Doing it again changes nothing. With `dry_run` nothing is changed
    /// at all. Takes as long as there are holds, and keeps the records in memory.
    ///
    /// Each correction is one step; a future dropped midway leaves the rest for the next time.
    ///
    /// # Errors
    /// [`BudgetError::Invalid`] for a malformed line, before anything is changed; store errors.
    pub async fn reconcile(
        &self,
        records: impl IntoIterator<Item = UsageRecord> + Send,
        dry_run: bool,
    ) -> Result<Reconciliation, BudgetError> {
        let usage = by_call(records)?;
        let matches = self.matches(&usage).await?;
        let mut report = Reconciliation::default();
        let mut done: BTreeSet<IntentId> = BTreeSet::new();
        for (call, CallUsage { lines, total }) in usage {
            let found = matches.get(&call).map(Vec::as_slice).unwrap_or_default();
            let [only] = found else {
                let list = if found.is_empty() {
                    &mut report.unmatched
                } else {
                    &mut report.ambiguous
                };
                list.push(call.to_string());
                continue;
            };
            if !done.insert(only.intent) {
                report.ambiguous.push(call.to_string());
                continue;
            }
            match only.state {
                IntentState::Booked => {
                    report.corrected.push(Correction {
                        call: call.to_string(),
                        hold: only.hold,
                        from: only.booked,
                        to: total,
                    });
                    if !dry_run {
                        let resolve = HoldAction::Resolve {
                            intent: only.intent,
                            lines,
                        };
                        self.store().act(self.now(), only.hold, resolve).await?;
                    }
                }
                IntentState::Open => report.under_way.push(call.to_string()),
                _ => report.already_known.push(call.to_string()),
            }
        }
        Ok(report)
    }

    /// The calls of the ledger that these names may mean, whatever is known of them: a reference that was used twice
    /// is ambiguous also where one of the two is settled.
    async fn matches(
        &self,
        usage: &BTreeMap<Call, CallUsage>,
    ) -> Result<BTreeMap<Call, Vec<Match>>, BudgetError> {
        let mut matches: BTreeMap<Call, Vec<Match>> = BTreeMap::new();
        let mut page = HoldPage {
            after: None,
            limit: PAGE,
            only: HoldFilter::All,
        };
        loop {
            let holds = self.holds(page).await?;
            let Some(last) = holds.last() else {
                return Ok(matches);
            };
            page.after = Some(last.id);
            for hold in &holds {
                for intent in &hold.intents {
                    let names = names(intent).into_iter().flatten();
                    for name in names.filter(|name| usage.contains_key(name)) {
                        matches.entry(name).or_default().push(Match {
                            hold: hold.id,
                            intent: intent.id,
                            state: intent.state,
                            booked: intent.metered.max(intent.line.amount),
                        });
                    }
                }
            }
        }
    }
}

fn names(intent: &IntentRecord) -> [Option<Call>; 2] {
    let reference = intent.reference.clone().map(Call::Reference);
    [reference, Some(Call::Intent(intent.id))]
}

/// All that is said of each call, added up as it comes: one call may have a great many lines.
fn by_call(records: impl IntoIterator<Item = UsageRecord>) -> Result<BTreeMap<Call, CallUsage>, BudgetError> {
    let mut usage: BTreeMap<Call, CallUsage> = BTreeMap::new();
    for record in records {
        let of_call = usage.entry(record.call).or_default();
        for line in record.lines {
            of_call.add(line)?;
        }
    }
    Ok(usage)
}

impl CallUsage {
    fn add(&mut self, line: CostLine) -> Result<(), BudgetError> {
        check_line(&line)?;
        self.total = self.total.checked_add(line.amount).ok_or_else(|| {
            BudgetError::Invalid("the lines of a call add up to more than can be counted".to_owned())
        })?;
        self.lines.push(CostLine {
            estimated: false,
            ..line
        });
        Ok(())
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reference(reference) => f.write_str(reference),
            Self::Intent(id) => id.fmt(f),
        }
    }
}
