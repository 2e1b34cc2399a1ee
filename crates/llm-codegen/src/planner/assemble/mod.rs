//! Slots of a question, put together into a plan.

mod finish;
mod place;
mod restrict;
mod settle;
mod times;

use meterbox_core::contract::ChartKind;

use super::{
    choose::Choice,
    clauses::{Limit, SortClause},
    conditions::Conditions,
    cues::{Cues, GrainCue, Slot},
    doubts,
    lists::State,
    mention::{Mention, Target},
    plan::{Aggregate, Measure, Order, Period, Plan},
    schema::{ColumnId, Schema, TableId},
    spans::FoundSpan,
    trouble::Trouble,
    words::Words,
};

/// Everything read from a question.
pub(super) struct Assembly<'a> {
    pub(super) schema: &'a Schema<'a>,
    pub(super) words: &'a Words,
    pub(super) mentions: &'a [Mention],
    pub(super) cues: &'a Cues,
    pub(super) conditions: &'a Conditions,
    pub(super) choice: &'a Choice,
    pub(super) chart: Option<ChartKind>,
    pub(super) sort: Option<&'a SortClause>,
    pub(super) sort_mentions: &'a [Mention],
    pub(super) limit: Option<Limit>,
    pub(super) grain: Option<GrainCue>,
    pub(super) spans: &'a [FoundSpan],
    pub(super) state: Option<&'a State>,
    pub(super) some_unexplained: bool,
}

/// The parts as they come together.
#[derive(Debug, Default)]
struct Parts {
    measures: Vec<(Aggregate, Item)>,
    /// What rows are added up by before they are averaged.
    per: Option<ColumnId>,
    /// Dimensions the question asks to group by, in its order.
    groups: Vec<ColumnId>,
    /// Columns named without a word that says what to do with them.
    plain: Vec<Item>,
    /// Tables named as what the question is about.
    entities: Vec<TableId>,
    counted_columns: Vec<(ColumnId, bool)>,
    /// Columns that only say of what the rest is: "the age of all drivers".
    subjects: Vec<ColumnId>,
    order: Option<Order>,
    limit: Option<u32>,
    /// Spans of time that are set against each other.
    compared: Vec<Period>,
    assumptions: Vec<String>,
    doubts: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Item {
    Rows,
    Column(ColumnId),
    Revenue,
}

impl Assembly<'_> {
    /// The plan, what was assumed, and which choices were made that could well be others.
    pub(super) fn plan(&self) -> Result<(Plan, Vec<String>, Vec<String>), Trouble> {
        let mut parts = Parts::default();
        for slot in &self.cues.slots {
            self.place(slot, &mut parts)?;
        }
        self.rank(&mut parts);
        let mut period = None;
        let mut filters = self.filters(&mut parts)?;
        self.periods(&mut period, &mut filters, &mut parts)?;
        if let Some(state) = self.state {
            filters.insert(0, (state.condition.clone(), false));
            parts.assumptions.push(state.assumption.clone());
        }
        let grain = self.grained(&mut parts)?;
        self.settle_per(&mut parts);
        let intent = self.settle(&mut parts, grain.is_some())?;
        let grain = self.set_against(intent, grain, &mut parts, &mut filters)?;
        let mut doubts = std::mem::take(&mut parts.doubts);
        let (plan, assumptions) = self.finish(intent, parts, grain, period, filters)?;
        self.doubt_columns(&mut doubts);
        let distinct =
            (0..self.words.len()).any(|at| matches!(self.words.at(at), "different" | "distinct" | "unique"));
        doubts.extend(doubts::find(
            &plan,
            self.schema,
            doubts::Asked {
                chart: self.chart,
                distinct,
            },
        ));
        Ok((plan, assumptions, doubts))
    }

    fn target(&self, slot: &Slot) -> Option<&Target> {
        self.choice.targets[slot.mention].as_ref()
    }

    /// The column of the base table that points to a row of the table, or the table's key.
    fn pointer(&self, table: TableId) -> Option<ColumnId> {
        let path = self.schema.path(self.choice.base, table)?;
        match path.as_slice() {
            [only] => Some(only.0),
            [.., last] => Some(last.0),
            [] => self.schema.key(table),
        }
    }

    /// What names a row of the table: its label, and its key where labels repeat.
    fn label_columns(&self, table: TableId) -> Result<Vec<ColumnId>, Trouble> {
        let label = self
            .schema
            .label(table)
            .ok_or_else(|| no_key(self.schema, table))?;
        if self.schema.columns[label].profile.unique {
            return Ok(vec![label]);
        }
        let key = self.schema.key(table).filter(|key| *key != label);
        Ok(std::iter::once(label)
            .chain(key.filter(|_| table != self.choice.base || self.schema.tables.len() > 1))
            .collect())
    }

    fn is_measure(&self, item: Item) -> bool {
        match item {
            Item::Column(id) => self.schema.columns[id].is_measure(),
            Item::Revenue => true,
            Item::Rows => false,
        }
    }

    fn default_aggregate(&self, id: ColumnId) -> Aggregate {
        if self.schema.columns[id].is_additive() {
            Aggregate::Sum
        } else {
            Aggregate::Mean
        }
    }

    /// Does the question use the words of a key ("customer id"), not just what it names ("customers")?
    fn named_in_full(&self, id: ColumnId) -> bool {
        self.mentions.iter().any(|mention| {
            mention.columns().any(|(own, score)| own == id && score > 0.96) && mention.end - mention.start > 1
        })
    }

    fn measure(&self, item: Item) -> Result<Measure, Trouble> {
        Ok(match item {
            Item::Rows => Measure::Rows,
            Item::Column(id) => Measure::Column(self.schema.reference(id)),
            Item::Revenue => {
                let (_, measure) = self
                    .schema
                    .revenue()
                    .ok_or_else(|| Trouble::cannot("There is no revenue", Vec::new()))?;
                measure
            }
        })
    }
}

fn no_key(schema: &Schema<'_>, table: TableId) -> Trouble {
    Trouble::cannot(
        format!(
            "The rows of `{}` have no name or key to group by",
            schema.tables[table].name
        ),
        Vec::new(),
    )
}

pub(super) fn aggregate_name(aggregate: Aggregate) -> &'static str {
    match aggregate {
        Aggregate::Sum => "sum",
        Aggregate::Mean => "average",
        Aggregate::Median => "median",
        Aggregate::Min => "minimum",
        Aggregate::Max => "maximum",
        Aggregate::Count => "number",
        Aggregate::CountDistinct => "number of different values",
    }
}
