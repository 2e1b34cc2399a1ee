//! Usage exports, one priced line of a call a row, in CSV or JSON lines; `meterbox budget reconcile` has the fields.
//! Others are passed over.

use std::io::{BufRead, Read};

use meterbox_budget_engine::{Call, UsageRecord};
use meterbox_core::{Usd, contract::CostLine};
use serde_json::{Map, Value};

/// What a row has under the names above; empty is the same as absent.
struct Row {
    line: u64,
    reference: Option<String>,
    intent: Option<String>,
    item: Option<String>,
    quantity: Option<String>,
    unit: Option<String>,
    amount: Option<Result<Usd, String>>,
}

/// The records of a CSV file; an error names line and field.
pub(super) fn csv(reader: impl Read) -> impl Iterator<Item = Result<UsageRecord, String>> {
    let mut csv = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(reader);
    let headers = csv.headers().cloned();
    let mut failed = headers.as_ref().err().map(|error| Err(error.to_string()));
    let headers = headers.unwrap_or_default();
    let rows = csv.into_records().map(move |record| {
        let record = record.map_err(|error| error.to_string())?;
        let cell = |name: &str| {
            let place = headers.iter().position(|header| header == name)?;
            record
                .get(place)
                .filter(|cell| !cell.is_empty())
                .map(str::to_owned)
        };
        let row = Row {
            line: record.position().map_or(0, csv::Position::line),
            reference: cell("reference"),
            intent: cell("intent"),
            item: cell("item"),
            quantity: cell("quantity"),
            unit: cell("unit"),
            amount: cell("amount").map(|text| text.parse::<Usd>().map_err(|error| error.to_string())),
        };
        row.record()
    });
    failed.take().into_iter().chain(rows)
}

/// The records of a file of JSON lines; an error names line and field.
pub(super) fn json_lines(reader: impl BufRead) -> impl Iterator<Item = Result<UsageRecord, String>> {
    let numbered = (1_u64..).zip(reader.lines());
    numbered.filter_map(|(line, text)| {
        let text = match text {
            Ok(text) => text,
            Err(error) => return Some(Err(format!("line {line}: {error}"))),
        };
        let json = text.trim_start_matches('\u{feff}').trim();
        (!json.is_empty()).then(|| of_json(line, json))
    })
}

fn of_json(line: u64, json: &str) -> Result<UsageRecord, String> {
    let fields: Map<String, Value> =
        serde_json::from_str(json).map_err(|error| format!("line {line} is no JSON object: {error}"))?;
    let field = |name: &str| match fields.get(name) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()).filter(|text| !text.is_empty()),
        Some(other) => Some(other.to_string()),
    };
    let amount = fields.get("amount").filter(|amount| !amount.is_null());
    let row = Row {
        line,
        reference: field("reference"),
        intent: field("intent"),
        item: field("item"),
        quantity: field("quantity"),
        unit: field("unit"),
        amount: amount
            .map(|amount| serde_json::from_value(amount.clone()).map_err(|error| error.to_string())),
    };
    row.record()
}

impl Row {
    fn record(self) -> Result<UsageRecord, String> {
        let line = self.line;
        let wrong = |field: &str, what: &str| format!("line {line}, {field}: {what}");
        let missing = |field: &'static str| wrong(field, "is missing");
        let call = match (self.reference, self.intent) {
            (Some(reference), None) => Call::Reference(reference),
            (None, Some(intent)) => {
                let id = intent
                    .parse()
                    .map_err(|_| wrong("intent", &format!("{intent:?} is no id of an intent")))?;
                Call::Intent(id)
            }
            (None, None) => {
                return Err(wrong(
                    "reference",
                    "is missing, and so is intent; give one of them",
                ));
            }
            (Some(_), Some(_)) => {
                return Err(wrong("intent", "a reference is there as well; give one of them"));
            }
        };
        let quantity = self.quantity.ok_or_else(|| missing("quantity"))?;
        let quantity = quantity
            .parse()
            .map_err(|_| wrong("quantity", &format!("{quantity:?} is no whole number")))?;
        let amount = self.amount.ok_or_else(|| missing("amount"))?;
        Ok(UsageRecord {
            call,
            lines: vec![CostLine {
                item: self.item.ok_or_else(|| missing("item"))?,
                quantity,
                unit: self.unit.ok_or_else(|| missing("unit"))?,
                amount: amount.map_err(|error| wrong("amount", &error))?,
                estimated: false,
                price: None,
            }],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_say_the_same() {
        let from_csv: Vec<_> = csv(
            "provider,amount,unit,quantity,item,reference\nx,0.0125,tokens,900,\"out, put\",req-1\n"
                .as_bytes(),
        )
        .collect::<Result<_, _>>()
        .unwrap();
        let json = "\u{feff}\n{\"reference\":\"req-1\",\"item\":\"out, put\",\"quantity\":900,\"unit\":\"tokens\",\"amount\":0.0125,\"more\":[]}\n\n";
        let from_json: Vec<_> = json_lines(json.as_bytes()).collect::<Result<_, _>>().unwrap();
        assert_eq!(from_csv, from_json);
        assert_eq!(from_csv[0].lines[0].amount, "0.0125".parse().unwrap());
    }

    #[test]
    fn what_is_wrong_is_named_by_line_and_field() {
        let header = "reference,intent,item,quantity,unit,amount\nr,,i,1,u,1\n";
        for (row, said) in [
            ("r,,i,1.5,u,1", "line 3, quantity: \"1.5\" is no whole number"),
            (
                "r,,i,1,u,-1",
                "line 3, amount: an amount of money cannot be negative",
            ),
            ("r,,i,1,u,", "line 3, amount: is missing"),
            (",,i,1,u,1", "line 3, reference: is missing"),
            ("r,x,i,1,u,1", "line 3, intent: a reference is there"),
            (",x,i,1,u,1", "line 3, intent: \"x\" is no id"),
            ("r,,,1,u,1", "line 3, item: is missing"),
            ("r,,i,1,u", "line: 3"),
        ] {
            let text = format!("{header}{row}\n");
            let error = csv(text.as_bytes()).collect::<Result<Vec<_>, _>>().unwrap_err();
            assert!(error.contains(said), "{error}");
        }
        for (row, said) in [
            ("[]", "line 2 is no JSON object"),
            (
                "{\"reference\":\"r\",\"item\":\"i\",\"quantity\":-1,\"unit\":\"u\",\"amount\":1}",
                "line 2, quantity",
            ),
            (
                "{\"reference\":\"r\",\"item\":\"i\",\"quantity\":1,\"unit\":\"u\",\"amount\":\"x\"}",
                "line 2, amount",
            ),
            (
                "{\"reference\":\"r\",\"item\":\"i\",\"quantity\":1,\"unit\":\"u\"}",
                "line 2, amount: is missing",
            ),
        ] {
            let text = format!("\n{row}\n");
            let error = json_lines(text.as_bytes())
                .collect::<Result<Vec<_>, _>>()
                .unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
