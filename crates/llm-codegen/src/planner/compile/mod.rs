//! From a plan to a pandas program for the answer contract.
//!
//! Names and values reach the program only as string literals, so nothing found in data is ever code.
//! The program depends on nothing but pandas, and resolves relative dates when it runs.

mod expressions;

use std::fmt::Write as _;

use meterbox_core::contract::{ChartKind, TableProfile};

use super::{
    names::Names,
    plan::{Aggregate, ColumnRef, Grain, Intent, OrderBy, Plan},
    reading::span_label,
    units::{self, Units},
};

/// The program of a plan. `title` is shown above its chart.
pub(super) fn compile(plan: &Plan, tables: &[TableProfile], title: &str) -> String {
    let names = Names::new(plan);
    let mut program = Program {
        plan,
        tables,
        names: &names,
        code: String::from("import pandas as pd\n\n"),
    };
    program.load();
    program.keep();
    match plan.intent {
        Intent::Aggregate if plan.dimensions.is_empty() => program.whole(),
        Intent::Aggregate => program.groups(),
        Intent::Pairs => program.pairs(),
        Intent::List => program.list(),
    }
    if plan.intent != Intent::Aggregate || !plan.dimensions.is_empty() {
        for statement in Units::new(plan, tables, &names).statements() {
            program.line(&statement);
        }
    }
    program.chart(title);
    program.code
}

/// A Python string literal. JSON's escapes are all Python's.
fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn quoted_list<S: AsRef<str>>(texts: impl IntoIterator<Item = S>) -> String {
    let quoted: Vec<String> = texts.into_iter().map(|text| quote(text.as_ref())).collect();
    format!("[{}]", quoted.join(", "))
}

const WEEKDAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];
pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// What rows are added up by before they are averaged, in the working table.
const PER: &str = "added up per";
/// For which of the compared spans a row counts, in the working table.
const COMPARED: &str = "compared period";

struct Program<'a> {
    plan: &'a Plan,
    tables: &'a [TableProfile],
    names: &'a Names,
    code: String,
}

impl Program<'_> {
    fn line(&mut self, line: &str) {
        self.code.push_str(line);
        self.code.push('\n');
    }

    fn data(&self, column: &ColumnRef) -> String {
        format!("data[{}]", quote(self.names.working(column)))
    }

    /// The working table: the plan's own, with what is looked up beside each row.
    fn load(&mut self) {
        if self.plan.needs_today() {
            self.line("today = pd.Timestamp(as_of).normalize()");
        }
        let table = format!("tables[{}]", quote(&self.plan.table));
        self.line(&format!("data = {table}"));
        let columns = self.plan.columns();
        for join in &self.plan.joins {
            let key = format!("key of {}", join.to.table);
            let mut wanted: Vec<(String, String)> = vec![(join.to.column.clone(), key.clone())];
            let pointers = self.plan.joins.iter().map(|join| join.from.clone());
            for column in columns
                .iter()
                .cloned()
                .chain(pointers)
                .filter(|column| column.table == join.to.table)
            {
                let pair = (column.column.clone(), self.names.working(&column).to_owned());
                if !wanted.contains(&pair) {
                    wanted.push(pair);
                }
            }
            let picks: Vec<String> = wanted
                .iter()
                .map(|(source, name)| format!("{}: lookup[{}]", quote(name), quote(source)))
                .collect();
            self.line(&format!("lookup = tables[{}]", quote(&join.to.table)));
            self.line(&format!(
                "lookup = pd.DataFrame({{{}}}).dropna(subset=[{}]).drop_duplicates()",
                picks.join(", "),
                quote(&key)
            ));
            let from = quote(self.names.working(&join.from));
            self.line(&format!(
                "data = data.merge(lookup, how=\"left\", left_on={from}, right_on={}, validate=\"many_to_one\")",
                quote(&key)
            ));
        }
    }

    /// Keeps the rows that count.
    fn keep(&mut self) {
        if let Some(period) = &self.plan.period {
            let test = self.period(period);
            self.line(&format!("data = data[{test}]"));
        }
        self.compare();
        if let Some(filter) = &self.plan.filter {
            let test = self.condition(filter);
            match self.plan.share && self.plan.dimensions.is_empty() {
                true => self.line(&format!("kept = {test}")),
                false => self.line(&format!("data = data[{test}]")),
            }
        }
    }

    /// The rows of each span that is compared, under its name.
    fn compare(&mut self) {
        if self.plan.compared.is_empty() {
            return;
        }
        let each = self.plan.compared.iter().map(|period| {
            let name = quote(&span_label(&period.span));
            format!("    {name}: {},", self.period(period))
        });
        let each: Vec<String> = each.collect();
        let _ = writeln!(self.code, "periods = {{\n{}\n}}", each.join("\n"));
        let column = quote(COMPARED);
        self.line(&format!(
            "data = pd.concat([data[rows].assign(**{{{column}: name}}) for name, rows in periods.items()], ignore_index=True)"
        ));
    }

    /// The part of the table that is counted: one column a dimension, one a measure.
    fn work(&mut self) {
        let mut columns: Vec<String> = Vec::new();
        for (dimension, name) in self.plan.dimensions.iter().zip(&self.names.dimensions) {
            columns.push(format!("    {}: {},", quote(name), self.dimension(dimension)));
        }
        for (measure, name) in self.plan.measures.iter().zip(&self.names.measures) {
            columns.push(format!(
                "    {}: {},",
                quote(name),
                self.measure(&measure.measure)
            ));
        }
        if let Some(per) = self.plan.measures.iter().find_map(|measure| measure.per.as_ref()) {
            columns.push(format!("    {}: {},", quote(PER), self.data(per)));
        }
        let _ = writeln!(
            self.code,
            "work = pd.DataFrame({{\n{}\n}}, index=data.index)",
            columns.join("\n")
        );
        if self.plan.measures.iter().any(|measure| measure.per.is_some()) {
            let by: Vec<&str> = self
                .names
                .dimensions
                .iter()
                .map(String::as_str)
                .chain([PER])
                .collect();
            let measures = quoted_list(&self.names.measures);
            self.line(&format!(
                "work = work.groupby({}, dropna=False, observed=True)[{measures}].sum().reset_index()",
                quoted_list(by)
            ));
        }
    }

    /// One number over all rows.
    fn whole(&mut self) {
        self.work();
        if self.plan.share {
            self.share_of_rows();
            return;
        }
        let mut numbers = Vec::new();
        for (measure, name) in self.plan.measures.iter().zip(&self.names.measures) {
            let round = units::scale(self.tables, measure)
                .map_or_else(String::new, |scale| format!(".round({scale})"));
            numbers.push((
                quote(name),
                format!(
                    "work[{}].agg(\"{}\"){round}",
                    quote(name),
                    pandas_name(measure.aggregate)
                ),
            ));
        }
        if let [(_, number)] = numbers.as_slice() {
            self.code.push_str(&format!("result = {number}\n"));
            self.line("result = \"No rows to answer from.\" if pd.isna(result) else result");
            return;
        }
        let cells: Vec<String> = numbers
            .iter()
            .map(|(name, number)| format!("{name}: [{number}]"))
            .collect();
        self.line(&format!("result = pd.DataFrame({{{}}})", cells.join(", ")));
    }

    /// What the rows that count are of all.
    fn share_of_rows(&mut self) {
        let (Some(measure), Some(name)) = (self.plan.measures.first(), self.names.measures.first()) else {
            return;
        };
        let (name, aggregate) = (quote(name), pandas_name(measure.aggregate));
        self.line(&format!(
            "part, total = (rows[{name}].agg(\"{aggregate}\") for rows in (work[kept.astype(bool)], work))"
        ));
        self.line("result = float(part / total) if total else \"No rows to answer from.\"");
    }

    fn groups(&mut self) {
        self.work();
        let dimensions = quoted_list(&self.names.dimensions);
        let aggregates: Vec<String> = self
            .plan
            .measures
            .iter()
            .zip(&self.names.measures)
            .map(|(measure, name)| format!("{}: \"{}\"", quote(name), pandas_name(measure.aggregate)))
            .collect();
        let cyclic = self.plan.dimensions.iter().any(|dimension| {
            matches!(
                dimension.grain,
                Some(Grain::Weekday | Grain::MonthOfYear | Grain::Compared)
            )
        });
        let keep_missing = if self.plan.fill { "True" } else { "False" };
        // Categories know their values; only a filled answer shows those that do not occur.
        let observed = if cyclic && self.plan.fill { "False" } else { "True" };
        self.line(&format!(
            "result = work.groupby({dimensions}, dropna={keep_missing}, observed={observed}).agg({{{}}})",
            aggregates.join(", ")
        ));
        if self.plan.fill && !cyclic {
            self.fill();
        }
        self.line("result = result.reset_index()");
        for (measure, name) in self.plan.measures.iter().zip(&self.names.measures) {
            if let Some(scale) = units::scale(self.tables, measure) {
                let name = quote(name);
                self.line(&format!("result[{name}] = result[{name}].round({scale})"));
            }
        }
        if self.plan.share {
            self.share();
        }
        self.order(&self.names.measures.clone());
        self.limit();
        if cyclic {
            for (dimension, name) in self.plan.dimensions.iter().zip(&self.names.dimensions) {
                if matches!(
                    dimension.grain,
                    Some(Grain::Weekday | Grain::MonthOfYear | Grain::Compared)
                ) {
                    let name = quote(name);
                    self.code
                        .push_str(&format!("result[{name}] = result[{name}].astype(object)\n"));
                }
            }
        }
    }

    /// Shows combinations and times that do not occur as zero.
    fn fill(&mut self) {
        let [only] = self.plan.dimensions.as_slice() else {
            self.line("every = [level for level in result.index.remove_unused_levels().levels]");
            self.line("result = result.reindex(pd.MultiIndex.from_product(every, names=result.index.names), fill_value=0)");
            return;
        };
        let every = match only.grain {
            Some(Grain::Year) => "range(int(result.index.min()), int(result.index.max()) + 1)".to_owned(),
            Some(Grain::Quarter) => {
                "pd.date_range(result.index.min(), result.index.max(), freq=\"QS\")".to_owned()
            }
            Some(Grain::Month) => {
                "pd.date_range(result.index.min(), result.index.max(), freq=\"MS\")".to_owned()
            }
            Some(Grain::Week) => {
                "pd.date_range(result.index.min(), result.index.max(), freq=\"7D\")".to_owned()
            }
            _ => return,
        };
        self.line("if len(result):");
        self.line(&format!("    result = result.reindex({every}, fill_value=0)"));
        self.line(&format!(
            "    result.index.name = {}",
            quote(&self.names.dimensions[0])
        ));
    }

    fn share(&mut self) {
        let Some(measure) = self.names.measures.first() else {
            return;
        };
        let measure = quote(measure);
        let within: Vec<String> = self
            .plan
            .limit_within
            .iter()
            .map(|at| self.names.dimensions[*at].clone())
            .collect();
        let currency = self
            .plan
            .dimensions
            .iter()
            .zip(&self.names.dimensions)
            .skip(1)
            .find(|(dimension, _)| {
                self.profile(&dimension.column)
                    .is_some_and(|profile| profile.role == meterbox_core::contract::ColumnRole::Currency)
            });
        let total = match (within.first(), currency) {
            (Some(name), _) | (None, Some((_, name))) => {
                format!(
                    "result.groupby({}, dropna=False)[{measure}].transform(\"sum\")",
                    quote(name)
                )
            }
            (None, None) => format!("result[{measure}].sum()"),
        };
        self.line(&format!(
            "result[\"share of total\"] = result[{measure}] / {total}"
        ));
    }

    fn order(&mut self, values: &[String]) {
        let Some(order) = &self.plan.order else { return };
        let mut by: Vec<(&str, bool)> = Vec::new();
        match order.by {
            OrderBy::Value => {
                let value = values
                    .first()
                    .or_else(|| self.names.dimensions.get(1))
                    .or_else(|| self.names.dimensions.first());
                by.extend(value.map(|value| (value.as_str(), !order.descending)));
            }
            OrderBy::Dimension(place) => by.extend(
                self.names
                    .dimensions
                    .get(place)
                    .map(|name| (name.as_str(), !order.descending)),
            ),
        }
        // Ties always come in the same order.
        for name in &self.names.dimensions {
            if !by.iter().any(|(taken, _)| taken == name) {
                by.push((name, true));
            }
        }
        let columns = quoted_list(by.iter().map(|(name, _)| name));
        let ascending: Vec<&str> = by
            .iter()
            .map(|(_, ascending)| if *ascending { "True" } else { "False" })
            .collect();
        let line = format!(
            "result = result.sort_values({columns}, ascending=[{}], kind=\"stable\", ignore_index=True)",
            ascending.join(", ")
        );
        self.line(&line);
    }

    fn limit(&mut self) {
        let Some(limit) = self.plan.limit else { return };
        match self
            .plan
            .limit_within
            .and_then(|at| self.names.dimensions.get(at))
        {
            Some(within) => {
                let line = format!(
                    "result = result.groupby({}, dropna=False, sort=False).head({limit}).reset_index(drop=True)",
                    quote(within)
                );
                self.line(&line);
            }
            None => self.line(&format!("result = result.head({limit})")),
        }
    }

    /// Columns of single rows beside each other.
    fn pairs(&mut self) {
        self.work();
        self.line("result = work.reset_index(drop=True)");
        self.order(&[]);
        self.limit();
    }

    fn list(&mut self) {
        let columns = quoted_list(
            self.plan
                .dimensions
                .iter()
                .map(|dimension| self.names.working(&dimension.column)),
        );
        self.line(&format!("result = data[{columns}].reset_index(drop=True)"));
        let shown = quoted_list(self.names.dimensions.iter().map(String::as_str));
        if shown != columns {
            self.line(&format!("result.columns = {shown}"));
        }
        self.order(&[]);
        self.limit();
    }

    fn chart(&mut self, title: &str) {
        let Some(kind) = self.plan.chart else { return };
        if kind == ChartKind::Number || self.plan.dimensions.is_empty() {
            return;
        }
        let kind = serde_json::to_value(kind).unwrap_or_default();
        let kind = kind.as_str().unwrap_or("bar");
        let names = &self.names.dimensions;
        // Two numbers of each group are points.
        if let ("scatter", Intent::Aggregate, [x, y]) =
            (kind, self.plan.intent, self.names.measures.as_slice())
        {
            let line = format!(
                "chart = {{\"kind\": \"scatter\", \"title\": {}, \"x\": {}, \"y\": [{}], \"series\": {}}}",
                quote(title),
                quote(x),
                quote(y),
                quote(&names[0])
            );
            self.line(&line);
            return;
        }
        let (y, series) = match self.plan.intent {
            Intent::Pairs => (
                names.get(1).into_iter().cloned().collect::<Vec<_>>(),
                names.get(2),
            ),
            // A key that tells people of one name apart is no series.
            _ => {
                let keyed = self
                    .plan
                    .dimensions
                    .get(1)
                    .and_then(|second| self.profile(&second.column));
                let keyed = keyed
                    .is_some_and(|profile| profile.role == meterbox_core::contract::ColumnRole::Identifier);
                (
                    self.names.measures.clone(),
                    names.get(1).filter(|_| !keyed || kind == "stacked_bar"),
                )
            }
        };
        let series = series.map_or_else(String::new, |series| format!(", \"series\": {}", quote(series)));
        let line = format!(
            "chart = {{\"kind\": {}, \"title\": {}, \"x\": {}, \"y\": {}{series}}}",
            quote(kind),
            quote(title),
            quote(&names[0]),
            quoted_list(&y)
        );
        self.line(&line);
    }
}

fn pandas_name(aggregate: Aggregate) -> &'static str {
    match aggregate {
        Aggregate::Sum => "sum",
        Aggregate::Mean => "mean",
        Aggregate::Median => "median",
        Aggregate::Min => "min",
        Aggregate::Max => "max",
        Aggregate::Count => "count",
        Aggregate::CountDistinct => "nunique",
    }
}
