//! Sandbox lifecycle events of E2B as usage records: what its events API answers and its webhooks deliver, as JSON
//! arrays or as one object after another.
//!
//! `sandbox.lifecycle.paused` and `…killed` carry `execution`: `vcpu_count`, `memory_mb` (MiB as allocated, which is
//! what E2B bills) and `execution_time`, the milliseconds since the sandbox was started or resumed. The executions of
//! a sandbox add up to its use, which is complete when it is killed. The reference of the call is the sandbox's id.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read,
};

use meterbox_analysis::ComputePrice;
use meterbox_budget_engine::{Call, UsageRecord};
use meterbox_core::contract::Usage;
use serde_json::Value;

const BYTES_PER_MIB: u64 = 1 << 20;

/// What a file of events says.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// Of sandboxes that were killed.
    pub(super) records: Vec<UsageRecord>,
    /// Sandboxes that were paused, but not killed.
    pub(super) alive: Vec<String>,
}

#[derive(Debug, Default)]
struct Sandbox {
    is_killed: bool,
    executions: Vec<Usage>,
}

/// Reads events one by one and prices what sandboxes used; an error names the event and its field, or the line where the JSON ends to be one.
pub(super) fn read(reader: impl Read, price: &ComputePrice) -> Result<Events, String> {
    let mut sandboxes: BTreeMap<String, Sandbox> = BTreeMap::new();
    // Webhooks may be delivered twice.
    let mut seen = BTreeSet::new();
    let mut number = 0_u64;
    for value in serde_json::Deserializer::from_reader(reader).into_iter::<Value>() {
        let value = value.map_err(|error| format!("which is no JSON: {error}"))?;
        let events = match value {
            Value::Array(events) => events,
            event => vec![event],
        };
        for event in events {
            number += 1;
            let event = Event { number, event };
            let id = event.text(&["id"])?;
            if seen.insert(id.to_owned()) {
                event.add_to(&mut sandboxes)?;
            }
        }
    }
    let mut events = Events::default();
    for (id, sandbox) in sandboxes {
        if !sandbox.is_killed {
            events.alive.push(id);
            continue;
        }
        let lines = sandbox
            .executions
            .iter()
            .flat_map(|usage| price.lines("sandbox", usage));
        events.records.push(UsageRecord {
            lines: lines.collect(),
            call: Call::Reference(id),
        });
    }
    Ok(events)
}

struct Event {
    number: u64,
    event: Value,
}

impl Event {
    fn add_to(&self, sandboxes: &mut BTreeMap<String, Sandbox>) -> Result<(), String> {
        let is_killed = match self.text(&["type"])? {
            "sandbox.lifecycle.killed" => true,
            "sandbox.lifecycle.paused" => false,
            _ => return Ok(()),
        };
        let usage = self.usage()?;
        let id = self.text(&["sandbox_id", "sandboxId", "sandboxID"])?;
        let sandbox = sandboxes.entry(id.to_owned()).or_default();
        sandbox.is_killed |= is_killed;
        sandbox.executions.push(usage);
        Ok(())
    }

    fn usage(&self) -> Result<Usage, String> {
        let data = self.field(&self.event, &["event_data", "eventData"])?;
        let execution = self.field(data, &["execution"])?;
        let number = |name| {
            let value = self.field(execution, &[name])?;
            value
                .as_u64()
                .ok_or_else(|| self.wrong(name, &format!("{value} is no whole number")))
        };
        let millis = number("execution_time")?;
        Ok(Usage {
            wall_ms: millis,
            cpu_ms: millis.saturating_mul(number("vcpu_count")?),
            peak_memory_bytes: number("memory_mb")?.saturating_mul(BYTES_PER_MIB),
            output_bytes: 0,
        })
    }

    /// The API and the webhooks spell some names differently.
    fn field<'a>(&self, of: &'a Value, names: &[&str]) -> Result<&'a Value, String> {
        let found = names
            .iter()
            .find_map(|name| of.get(name))
            .filter(|value| !value.is_null());
        found.ok_or_else(|| self.wrong(names[0], "is missing"))
    }

    fn text(&self, names: &[&str]) -> Result<&str, String> {
        let value = self.field(&self.event, names)?;
        value
            .as_str()
            .ok_or_else(|| self.wrong(names[0], &format!("{value} is no text")))
    }

    fn wrong(&self, field: &str, what: &str) -> String {
        let line = self.number;
        format!("event {line}, {field}: {what}")
    }
}

#[cfg(test)]
mod tests {
    use meterbox_price_book::PriceBook;

    use super::*;

    fn read(file: &[u8]) -> Result<Events, String> {
        let now = "2026-11-26T12:00:00Z".parse().unwrap();
        super::read(
            file,
            &ComputePrice::of(&PriceBook::shipped(), "e2b", now).unwrap(),
        )
    }

    fn event(id: &str, kind: &str, sandbox: &str, millis: u64) -> String {
        format!(
            r#"{{"version":"v2","id":"{id}","type":"sandbox.lifecycle.{kind}","eventData":{{"execution":
            {{"started_at":"2026-08-06T20:58:24Z","vcpu_count":2,"memory_mb":2048,"execution_time":{millis}}}}},
            "sandboxId":"{sandbox}","timestamp":"2026-08-06T20:59:24Z"}}"#
        )
    }

    #[test]
    fn executions_of_a_killed_sandbox_are_priced_once() {
        let created = r#"{"id":"0","type":"sandbox.lifecycle.created","sandbox_id":"i1"}"#;
        let (paused, killed) = (
            event("1", "paused", "i1", 1_000),
            event("2", "killed", "i1", 2_000),
        );
        let waiting = event("3", "paused", "i2", 5_000);
        let file = format!("[{created},{paused}]\n{killed}\n{killed}{waiting}");
        let events = read(file.as_bytes()).unwrap();
        assert_eq!(events.alive, ["i2"]);
        let [record] = events.records.as_slice() else {
            panic!("{events:?}")
        };
        assert_eq!(record.call, Call::Reference("i1".into()));
        // 2 vCPU and 2 GiB cost $0.000037 a second, by the price list.
        let nanos: i64 = record.lines.iter().map(|line| line.amount.nanos()).sum();
        assert_eq!(nanos, 3 * 37_000);
        assert_eq!(record.lines[0].unit, "vCPU-µs");
        assert_eq!(record.lines[1].unit, "GiB-µs");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (file, said) in [
            ("[{]", "no JSON"),
            ("[1]", "event 1, id: is missing"),
            (r#"{"id":"1"}"#, "event 1, type: is missing"),
            (
                r#"{"id":"1","type":"sandbox.lifecycle.killed","event_data":{}}"#,
                "execution: is missing",
            ),
            (
                r#"{"id":"1","type":"sandbox.lifecycle.killed","event_data":{"execution":{"execution_time":-1}}}"#,
                "execution_time: -1 is no whole number",
            ),
        ] {
            let error = read(file.as_bytes()).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
