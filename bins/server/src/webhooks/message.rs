//! What an endpoint reads.

use meterbox_budget_engine::{Event, Happening};
use serde_json::{Value, json};

/// A message: its id, which stays the same however often it is sent, and its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) id: String,
    pub(super) body: String,
}

impl Message {
    /// `{"type": "budget.…", "timestamp": …, "data": …}`, as the specification proposes.
    pub(super) fn of(event: &Event) -> Self {
        let (kind, data) = match &event.what {
            Happening::CapReached {
                scope,
                period,
                rung,
                percent,
                limit,
                spent,
            } => (
                "budget.cap_reached",
                json!({
                    "scope": scope, "period": period, "rung": rung, "percent": percent, "limit": limit, "spent": spent,
                }),
            ),
            Happening::Spike {
                scope,
                recent,
                expected,
            } => (
                "budget.spike",
                json!({ "scope": scope, "recent": recent, "expected": expected }),
            ),
            Happening::Stopped { since, reason } => {
                ("budget.stopped", json!({ "since": since, "reason": reason }))
            }
            Happening::Resumed => ("budget.resumed", json!({})),
            // Kinds that are not known here yet are told of as the ledger has them.
            other => ("budget.event", serde_json::to_value(other).unwrap_or(Value::Null)),
        };
        let body = json!({ "type": kind, "timestamp": event.at, "data": data });
        Self {
            id: format!("evt_{}", event.id),
            body: body.to_string(),
        }
    }
}
