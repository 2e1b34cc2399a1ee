//! Slots of a question, put together into a plan.

use meterbox_core::contract::{ChartKind, ColumnRole};

use super::{
    choose::Choice,
    clauses::{Limit, SortClause},
    conditions::{Conditions, Test},
    cues::{Cues, GrainCue, Slot},
    doubts,
    lists::State,
    mention::{Mention, Target},
    plan::{
        Aggregate, Aggregated, ColumnRef, Comparison, Condition, Dimension, DiscountKind, Grain, Intent,
        Measure, Order, OrderBy, Period, Plan, Span,
    },
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

    fn place(&self, slot: &Slot, parts: &mut Parts) -> Result<(), Trouble> {
        if let Some(dimension) = self.superlative_of(slot) {
            return self.place_superlative(slot, dimension, parts);
        }
        match self.target(slot) {
            Some(Target::Column(id)) => self.place_column(slot, *id, parts),
            Some(Target::Table(table)) => self.place_table(slot, *table, parts),
            Some(Target::Revenue) => {
                let aggregate = slot.aggregates.first().copied().unwrap_or(Aggregate::Sum);
                parts.measures.push((aggregate, Item::Revenue));
                Ok(())
            }
            Some(Target::Value(..)) | None => Ok(()),
        }
    }

    fn place_column(&self, slot: &Slot, id: ColumnId, parts: &mut Parts) -> Result<(), Trouble> {
        let column = &self.schema.columns[id];
        let amounts = column.has_word(&["quantity", "qty", "unit"]) && !column.has_word(&["price", "cost"]);
        if column.is_measure() && (slot.total_number || (slot.count && amounts)) {
            parts.measures.push((Aggregate::Sum, Item::Column(id)));
            return Ok(());
        }
        if slot.count {
            parts.counted_columns.push((id, slot.distinct));
            return Ok(());
        }
        if slot.aggregates.is_empty() {
            if slot.group {
                parts.groups.push(id);
            } else if slot.along {
                parts.plain.insert(0, Item::Column(id));
            } else if self.is_subject(slot, id) {
                parts.subjects.push(id);
            } else {
                parts.plain.push(Item::Column(id));
            }
            return Ok(());
        }
        for &aggregate in &slot.aggregates {
            let over_dates = column.is_time() && matches!(aggregate, Aggregate::Min | Aggregate::Max);
            if column.is_numeric() || over_dates {
                parts.measures.push((aggregate, Item::Column(id)));
            } else if aggregate == Aggregate::Sum && !column.is_time() {
                parts.counted_columns.push((id, false));
            } else {
                return Err(Trouble::cannot(
                    format!(
                        "`{}` holds no numbers, so it has no {}",
                        column.profile.name,
                        aggregate_name(aggregate)
                    ),
                    Vec::new(),
                ));
            }
        }
        Ok(())
    }

    /// Does the mention only say whose columns the others are, as "drivers" in "the names of all drivers"?
    fn is_subject(&self, slot: &Slot, id: ColumnId) -> bool {
        let mention = &self.mentions[slot.mention];
        let column = &self.schema.columns[id];
        let names_rows = column.is_identifier() || column.profile.unique || !column.is_numeric();
        if !names_rows || column.is_time() {
            return false;
        }
        let followed = matches!(self.words.at(mention.end), "who" | "whose" | "that" | "which");
        let said_in_part =
            column.is_identifier() && self.words.at(mention.end - 1) != "id" && !self.named_in_full(id);
        let back = |steps| self.words.before(mention.start, steps);
        let of_all = matches!(back(1), "all" | "those" | "these") && matches!(back(2), "of" | "for");
        let not_first = self
            .cues
            .slots
            .first()
            .is_some_and(|first| first.mention != slot.mention);
        let of = matches!(back(1), "of" | "for") || (back(1) == "the" && matches!(back(2), "of" | "for"));
        (followed || of_all || (of && not_first && said_in_part)) && self.cues.slots.len() > 1
    }

    fn place_table(&self, slot: &Slot, table: TableId, parts: &mut Parts) -> Result<(), Trouble> {
        let summed = slot.aggregates.first() == Some(&Aggregate::Sum);
        if slot.count || summed {
            if table == self.choice.base {
                parts.measures.push((Aggregate::Count, Item::Rows));
            } else {
                let key = self.pointer(table).ok_or_else(|| no_key(self.schema, table))?;
                parts.measures.push((Aggregate::CountDistinct, Item::Column(key)));
            }
            return Ok(());
        }
        if !slot.aggregates.is_empty() {
            return Err(Trouble::cannot(
                format!(
                    "It is not clear which number of `{}` is meant",
                    self.schema.tables[table].name
                ),
                Vec::new(),
            ));
        }
        if slot.group {
            parts.groups.extend(self.label_columns(table)?);
            return Ok(());
        }
        parts.entities.push(table);
        Ok(())
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

    /// "which region has the most orders": the slot before it that is ranked by it.
    fn superlative_of<'b>(&'b self, slot: &Slot) -> Option<&'b Slot> {
        slot.superlative?;
        let start = self.mentions[slot.mention].start;
        let place = self
            .cues
            .slots
            .iter()
            .position(|other| other.mention == slot.mention)?;
        let before = self.cues.slots[..place]
            .iter()
            .rev()
            .find(|other| other.is_plain() || other.group)?;
        let subject = &self.mentions[before.mention];
        let asked = matches!(
            self.words.before(subject.start, 1),
            "which" | "what" | "whose" | "who"
        ) || (matches!(self.words.before(subject.start, 1), "the")
            && matches!(self.words.before(subject.start, 3), "which" | "what"));
        let has = (subject.end..start).any(|at| {
            matches!(
                self.words.at(at),
                "with"
                    | "has"
                    | "have"
                    | "had"
                    | "having"
                    | "generated"
                    | "generates"
                    | "made"
                    | "makes"
                    | "got"
                    | "placed"
                    | "brought"
                    | "brings"
                    | "sold"
                    | "bought"
                    | "received"
                    | "earned"
            )
        });
        let several = self
            .cues
            .slots
            .iter()
            .any(|other| other.group && other.mention != before.mention);
        ((asked || has) && !several).then_some(before)
    }

    fn place_superlative(&self, slot: &Slot, subject: &Slot, parts: &mut Parts) -> Result<(), Trouble> {
        let descending = slot.superlative.unwrap_or(true);
        let own = slot
            .aggregates
            .iter()
            .copied()
            .find(|aggregate| !matches!(aggregate, Aggregate::Max | Aggregate::Min));
        let extreme = if descending {
            Aggregate::Max
        } else {
            Aggregate::Min
        };
        match self.target(slot) {
            Some(Target::Table(table)) => {
                let counting = Slot {
                    count: true,
                    aggregates: Vec::new(),
                    ..slot.clone()
                };
                self.place_table(&counting, *table, parts)?;
            }
            Some(Target::Revenue) => parts
                .measures
                .push((own.unwrap_or(Aggregate::Sum), Item::Revenue)),
            Some(Target::Column(id))
                if slot.count
                    || !self.schema.columns[*id].is_numeric()
                    || self.schema.columns[*id].is_identifier() =>
            {
                let key =
                    self.schema.columns[*id].is_identifier() && !self.schema.columns[*id].profile.unique;
                parts.measures.push((
                    if key {
                        Aggregate::CountDistinct
                    } else {
                        Aggregate::Count
                    },
                    Item::Column(*id),
                ));
            }
            Some(Target::Column(id)) => {
                let additive = self.schema.columns[*id].is_additive();
                let aggregate = own.unwrap_or(if additive { Aggregate::Sum } else { extreme });
                parts.measures.push((aggregate, Item::Column(*id)));
            }
            _ => return Ok(()),
        }
        parts.order = Some(Order {
            by: OrderBy::Value,
            descending,
        });
        let many = self.words.tokens[self.mentions[subject.mention].end - 1]
            .lower
            .ends_with('s')
            && self.limit.is_some();
        if !many {
            parts.limit = Some(1);
        }
        // The subject may be the row's table itself.
        if let Some(Target::Table(table)) = self.target(subject) {
            let table = *table;
            parts.entities.retain(|entity| *entity != table);
            parts.groups.extend(self.label_columns(table)?);
        }
        Ok(())
    }

    /// "top 5 products by revenue": what is ranked, and by what.
    fn rank(&self, parts: &mut Parts) {
        if let Some(limit) = self.limit {
            parts.limit = Some(limit.count);
            parts.order = Some(Order {
                by: OrderBy::Value,
                descending: limit.descending,
            });
            if !limit.counted {
                parts
                    .assumptions
                    .push(format!("No number was given; {} are shown.", limit.count));
            }
        }
        let subject = !parts.entities.is_empty() || parts.plain.iter().any(|item| !self.is_measure(*item));
        let groups = parts.groups.clone();
        if parts.measures.is_empty() && parts.counted_columns.is_empty() && !self.cues.count_rows && subject {
            // "products by revenue" ranks by the number; "customers by age" without a limit groups by it.
            for id in groups {
                let column = &self.schema.columns[id];
                if column.is_measure()
                    && (self.limit.is_some() || (column.is_additive() && parts.groups.len() == 1))
                {
                    parts.groups.retain(|group| *group != id);
                    parts
                        .measures
                        .push((self.default_aggregate(id), Item::Column(id)));
                    parts.order.get_or_insert(Order {
                        by: OrderBy::Value,
                        descending: true,
                    });
                }
            }
        }
        let ranked = parts.limit.is_some() || parts.measures.iter().any(|(_, item)| *item == Item::Revenue);
        if (ranked || !parts.measures.is_empty()) && parts.groups.is_empty() && self.limit.is_some() {
            for table in std::mem::take(&mut parts.entities) {
                if let Ok(labels) = self.label_columns(table) {
                    parts.groups.extend(labels);
                }
            }
        }
        let revenue = self
            .schema
            .revenue()
            .filter(|(table, _)| *table == self.choice.base);
        let no_number =
            parts.measures.is_empty() && parts.counted_columns.is_empty() && !self.cues.count_rows;
        if self.limit.is_some()
            && no_number
            && !parts.plain.iter().any(|item| self.is_measure(*item))
            && revenue.is_some()
        {
            parts.measures.push((Aggregate::Sum, Item::Revenue));
            parts
                .assumptions
                .push("Ranked by revenue, as the question does not say by what.".to_owned());
        }
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

    fn filters(&self, parts: &mut Parts) -> Result<Vec<(Condition, bool)>, Trouble> {
        let mut filters: Vec<(Condition, bool)> = Vec::new();
        for found in &self.conditions.found {
            let column = match (found.column, self.choice.targets[found.mention].as_ref()) {
                (Some(id), _) => id,
                (None, Some(Target::Column(id) | Target::Value(id, _))) => *id,
                _ => continue,
            };
            self.refuse_ambiguous_value(found.mention, column)?;
            let reference = self.schema.reference(column);
            let condition = match &found.test {
                Test::Compare(op, value) => Condition::Compare {
                    column: reference,
                    op: *op,
                    value: *value,
                },
                Test::Between(low, high) => Condition::Between {
                    column: reference,
                    low: *low,
                    high: *high,
                },
                Test::OneOf(values, false) => Condition::OneOf {
                    column: reference,
                    values: values.clone(),
                },
                Test::OneOf(values, true) => Condition::NoneOf {
                    column: reference,
                    values: values.clone(),
                },
                Test::Contains(texts) => any(texts
                    .iter()
                    .map(|text| Condition::Contains {
                        column: reference.clone(),
                        text: text.clone(),
                    })
                    .collect()),
                Test::Missing => Condition::Missing(reference),
                Test::Present => Condition::Present(reference),
                Test::During(span) => self.during(column, *span, parts),
            };
            filters.push((condition, found.or_before));
        }
        Ok(filters)
    }

    /// A value that several columns have, none of them named, is a question back.
    fn refuse_ambiguous_value(&self, mention: usize, chosen: ColumnId) -> Result<(), Trouble> {
        let mention = &self.mentions[mention];
        if !mention.is_value() {
            return Ok(());
        }
        let table = self.schema.columns[chosen].table;
        let others: Vec<&Target> = mention
            .targets
            .iter()
            .map(|(target, _)| target)
            .filter(
                |target| matches!(target, Target::Value(id, _) if self.schema.columns[*id].table == table),
            )
            .collect();
        let [Target::Value(first, value), Target::Value(second, _), ..] = others.as_slice() else {
            return Ok(());
        };
        let name = |id: &ColumnId| self.schema.columns[*id].profile.name.clone();
        Err(Trouble::Ambiguous {
            message: format!(
                "“{value}” occurs in `{}` and in `{}`; say which is meant",
                name(first),
                name(second)
            ),
            suggestions: [first, second]
                .iter()
                .map(|id| format!("… whose {} is \"{value}\"", name(id)))
                .collect(),
        })
    }

    fn during(&self, column: ColumnId, span: usize, parts: &mut Parts) -> Condition {
        let found = &self.spans[span];
        parts.assumptions.extend(found.assumption.clone());
        let reference = self.schema.reference(column);
        match (&found.span, self.schema.columns[column].is_time()) {
            (Span::Dates { from, until }, false) => year_condition(reference, *from, *until),
            _ => Condition::During(Period {
                column: reference,
                span: found.span.clone(),
            }),
        }
    }

    fn periods(
        &self,
        period: &mut Option<Period>,
        filters: &mut Vec<(Condition, bool)>,
        parts: &mut Parts,
    ) -> Result<(), Trouble> {
        let used = |span: usize| {
            self.conditions
                .found
                .iter()
                .any(|found| matches!(found.test, Test::During(used) if used == span))
        };
        for (index, found) in self.spans.iter().enumerate().filter(|(index, _)| !used(*index)) {
            let named = self.named_time(parts);
            let column = named
                .or_else(|| self.schema.time_column(self.choice.base))
                .or_else(|| self.year_column())
                .ok_or_else(|| Trouble::cannot("The rows the question is about have no date", Vec::new()))?;
            if !self.schema.columns[column].is_time() && !matches!(found.span, Span::Dates { .. }) {
                return Err(Trouble::cannot(
                    "The rows the question is about have no date",
                    Vec::new(),
                ));
            }
            if self.time_columns(column) > 1 && named.is_none() {
                parts.assumptions.push(format!(
                    "Dates are those of `{}`.",
                    self.schema.columns[column].profile.name
                ));
            }
            match self.during(column, index, parts) {
                Condition::During(found) if period.is_none() => *period = Some(found),
                condition => filters.push((condition, false)),
            }
        }
        Ok(())
    }

    fn time_columns(&self, like: ColumnId) -> usize {
        let table = self.schema.columns[like].table;
        self.schema
            .columns_of(table)
            .filter(|(_, column)| column.is_time())
            .count()
    }

    /// A column of dates the question names.
    fn named_time(&self, parts: &Parts) -> Option<ColumnId> {
        let plain = parts.plain.iter().filter_map(|item| match item {
            Item::Column(id) => Some(*id),
            _ => None,
        });
        parts
            .groups
            .iter()
            .copied()
            .chain(plain)
            .find(|id| self.schema.columns[*id].is_time())
    }

    /// A column of whole years, where there are no dates.
    fn year_column(&self) -> Option<ColumnId> {
        let base = self.choice.base;
        let found = self
            .schema
            .columns_of(base)
            .find(|(_, column)| column.is_numeric() && column.has_word(&["year"]));
        found.map(|(id, _)| id)
    }

    /// Which dimension is cut into which part of time; it is added where the question names none.
    fn grained(&self, parts: &mut Parts) -> Result<Option<(ColumnId, Grain)>, Trouble> {
        let Some(cue) = self.grain else { return Ok(None) };
        if let Some(id) = self.named_time(parts).or_else(|| self.counted_time(parts)) {
            if cue.implied {
                return Ok(None);
            }
            parts.plain.retain(|item| *item != Item::Column(id));
            if !parts.groups.contains(&id) {
                parts.groups.insert(0, id);
            }
            return Ok(Some((id, cue.grain)));
        }
        let pairs = parts.plain.len() + parts.groups.len() >= 2 || !parts.groups.is_empty();
        if cue.implied && pairs {
            return Ok(None);
        }
        if let Some(id) = self.schema.time_column(self.choice.base) {
            if cue.implied {
                parts
                    .assumptions
                    .push("Shown by month, as the question names no part of time.".to_owned());
            }
            if self.time_columns(id) > 1 {
                parts.assumptions.push(format!(
                    "Dates are those of `{}`.",
                    self.schema.columns[id].profile.name
                ));
            }
            parts.groups.insert(0, id);
            return Ok(Some((id, cue.grain)));
        }
        if cue.grain == Grain::Year
            && let Some(id) = self.year_column()
        {
            if !parts.groups.contains(&id) {
                parts.groups.insert(0, id);
            }
            return Ok(None);
        }
        if cue.implied {
            return Ok(None);
        }
        let word = self.words.tokens[cue.at].raw.clone();
        Err(Trouble::cannot(
            "The rows the question is about have no date",
            vec![word],
        ))
    }

    /// "count the dates by weekday": the dates themselves are counted.
    fn counted_time(&self, parts: &Parts) -> Option<ColumnId> {
        parts
            .counted_columns
            .iter()
            .map(|(id, _)| *id)
            .find(|id| self.schema.columns[*id].is_time())
    }

    /// Decides what kind of answer it is and moves what was named without a cue to its place.
    fn settle(&self, parts: &mut Parts, grained: bool) -> Result<Intent, Trouble> {
        self.settle_loose(parts)?;
        self.settle_counts(parts, grained);
        self.settle_things(parts, grained);
        let drawn = self.chart.is_some();
        if parts.measures.is_empty() && !self.cues.count_rows {
            if let Some(intent) = self.settle_plain(parts, grained)? {
                return Ok(intent);
            }
        } else if parts.measures.is_empty() {
            parts.measures.push((Aggregate::Count, Item::Rows));
        }
        // What is left unmeasured groups, in the question's order.
        let measured: Vec<Item> = parts.measures.iter().map(|(_, item)| *item).collect();
        let mut dimensions: Vec<ColumnId> = Vec::new();
        for slot in &self.cues.slots {
            if let Some(Target::Column(id)) = self.target(slot) {
                let plain = parts.plain.contains(&Item::Column(*id));
                let group = parts.groups.contains(id);
                let counted = parts
                    .measures
                    .iter()
                    .all(|(aggregate, item)| *item != Item::Column(*id) || *aggregate == Aggregate::Count);
                if (group || (plain && (counted || !measured.contains(&Item::Column(*id)))))
                    && !dimensions.contains(id)
                {
                    dimensions.push(*id);
                }
            }
        }
        let added: Vec<ColumnId> = parts
            .groups
            .iter()
            .copied()
            .filter(|id| !dimensions.contains(id))
            .collect();
        let inserted_time = added.first().is_some_and(|id| self.schema.columns[*id].is_time());
        if inserted_time {
            dimensions.splice(0..0, added);
        } else {
            dimensions.extend(added);
        }
        parts.groups = dimensions;
        parts.plain.clear();
        if parts.groups.is_empty() && drawn && self.chart != Some(ChartKind::Number) {
            for table in parts.entities.clone() {
                let measured_rows = measured.iter().all(|item| *item == Item::Rows);
                if !measured_rows && parts.measures.len() == 1 {
                    parts.groups.extend(self.label_columns(table)?);
                }
            }
        }
        Ok(Intent::Aggregate)
    }

    /// "average by region": the aggregate belongs to the number named elsewhere.
    fn settle_loose(&self, parts: &mut Parts) -> Result<(), Trouble> {
        for &aggregate in &self.cues.loose {
            let at = parts.plain.iter().position(|item| self.is_measure(*item));
            match at {
                Some(at) => {
                    let item = parts.plain.remove(at);
                    parts.measures.push((aggregate, item));
                }
                None if aggregate == Aggregate::Sum && self.cues.count_rows => {}
                None if !parts.measures.is_empty() => {}
                None if aggregate == Aggregate::Sum && !self.some_unexplained => {
                    parts.measures.push((Aggregate::Count, Item::Rows))
                }
                None => {
                    return Err(Trouble::cannot(
                        format!(
                            "The question asks for the {} of something that is not a number here",
                            aggregate_name(aggregate)
                        ),
                        Vec::new(),
                    ));
                }
            }
        }
        Ok(())
    }

    /// "average revenue per order": orders are added up first, then averaged. Levels such as prices are not.
    fn settle_per(&self, parts: &mut Parts) {
        let [(aggregate, item)] = parts.measures.as_slice() else {
            return;
        };
        let adds_up = match item {
            Item::Rows => false,
            Item::Revenue => true,
            Item::Column(id) => {
                self.schema.columns[*id].is_measure() && self.schema.columns[*id].is_additive()
            }
        };
        if !adds_up || !matches!(aggregate, Aggregate::Mean | Aggregate::Median) {
            return;
        }
        let said = self
            .cues
            .slots
            .iter()
            .find(|slot| slot.group && self.words.before(self.mentions[slot.mention].start, 1) == "per");
        let Some(slot) = said else { return };
        let each = match self.target(slot) {
            Some(Target::Table(table)) if *table == self.choice.base => None,
            Some(Target::Table(table)) => self.pointer(*table),
            Some(Target::Column(id)) if self.schema.columns[*id].is_identifier() => Some(*id),
            _ => None,
        };
        let Some(each) = each else { return };
        if let Some(Target::Table(table)) = self.target(slot) {
            let labels = self.label_columns(*table).unwrap_or_default();
            parts.groups.retain(|id| !labels.contains(id));
        }
        parts.groups.retain(|id| *id != each);
        parts.per = Some(each);
    }

    /// "orders by region", "what percentage of orders": with nothing to measure, the things themselves are counted.
    fn settle_things(&self, parts: &mut Parts, grained: bool) {
        if !parts.measures.is_empty() || self.cues.count_rows || self.chart.is_some() {
            return;
        }
        let share = self.asks_share();
        if share && parts.groups.is_empty() && parts.plain.is_empty() && !parts.entities.is_empty() {
            parts.entities.clear();
            parts.measures.push((Aggregate::Count, Item::Rows));
            return;
        }
        let thing = match parts.plain.as_slice() {
            [Item::Column(id)] if self.names_thing(*id) => *id,
            _ => return,
        };
        if !share && parts.groups.is_empty() && !grained {
            return;
        }
        let unique = self.schema.columns[thing].profile.unique;
        parts.plain.clear();
        parts.measures.push((
            if unique {
                Aggregate::Count
            } else {
                Aggregate::CountDistinct
            },
            Item::Column(thing),
        ));
    }

    /// Is the column a key that the question calls by what it names: "orders" for `order_id`?
    fn names_thing(&self, id: ColumnId) -> bool {
        let column = &self.schema.columns[id];
        let said = self
            .cues
            .slots
            .iter()
            .find(|slot| self.target(slot) == Some(&Target::Column(id)));
        column.is_identifier()
            && said.is_some_and(|slot| {
                let last = self.words.at(self.mentions[slot.mention].end - 1);
                last.ends_with('s') && !matches!(last, "ids" | "numbers" | "codes")
            })
    }

    fn settle_counts(&self, parts: &mut Parts, grained: bool) {
        let counted = std::mem::take(&mut parts.counted_columns);
        let other_dimensions = |parts: &Parts, id: ColumnId| {
            parts.groups.iter().any(|group| *group != id)
                || parts
                    .plain
                    .iter()
                    .any(|item| matches!(item, Item::Column(other) if *other != id))
        };
        for (id, distinct) in counted {
            let column = &self.schema.columns[id];
            let grouped = parts.groups.contains(&id) || parts.plain.contains(&Item::Column(id));
            if grouped {
                parts.measures.push((Aggregate::Count, Item::Column(id)));
                continue;
            }
            let entity_only = column.is_identifier() && !self.named_in_full(id);
            if other_dimensions(parts, id) || (grained && !column.is_time()) {
                let unlike = distinct || (entity_only && !column.profile.unique);
                parts.measures.push((
                    if unlike {
                        Aggregate::CountDistinct
                    } else {
                        Aggregate::Count
                    },
                    Item::Column(id),
                ));
            } else if self.chart.is_some_and(|chart| chart != ChartKind::Number)
                || grained
                || self.names_each()
            {
                if !parts.groups.contains(&id) {
                    parts.groups.push(id);
                }
                parts.measures.push((Aggregate::Count, Item::Column(id)));
            } else if column.profile.unique {
                parts.measures.push((Aggregate::Count, Item::Column(id)));
            } else {
                parts.measures.push((Aggregate::CountDistinct, Item::Column(id)));
            }
        }
    }

    /// Does the question use the words of a key ("customer id"), not just what it names ("customers")?
    fn named_in_full(&self, id: ColumnId) -> bool {
        self.mentions.iter().any(|mention| {
            mention.columns().any(|(own, score)| own == id && score > 0.96) && mention.end - mention.start > 1
        })
    }

    /// A sort clause over a count means there is more than one of it.
    fn names_each(&self) -> bool {
        self.sort.is_some()
    }

    /// Nothing is aggregated in words. `None`: it is an aggregate after all.
    fn settle_plain(&self, parts: &mut Parts, grained: bool) -> Result<Option<Intent>, Trouble> {
        let plain = parts.plain.clone();
        let (numbers, others): (Vec<Item>, Vec<Item>) =
            plain.iter().copied().partition(|item| self.is_measure(*item));
        let scatter = self.chart == Some(ChartKind::Scatter);
        let grouped = !parts.groups.is_empty();
        if (scatter || self.asks_relationship()) && plain.len() >= 2 {
            parts.plain.truncate(3);
            return Ok(Some(Intent::Pairs));
        }
        if self.state.is_some() && numbers.is_empty() && !grouped && !grained && self.chart.is_none() {
            return Ok(Some(Intent::List));
        }
        if scatter && plain.len() == 1 && parts.groups.len() == 1 {
            parts.plain.push(Item::Column(parts.groups.remove(0)));
            return Ok(Some(Intent::Pairs));
        }
        // "sales by region": each number gets the aggregate that makes sense for it.
        if !numbers.is_empty()
            && (grouped || grained || (others.is_empty() && numbers.len() == 1 && self.chart.is_none()))
        {
            let one_row_each = parts
                .groups
                .iter()
                .any(|id| self.schema.columns[*id].profile.unique);
            let pairs_of_two = others.len() + numbers.len() >= 2 && self.chart.is_some();
            if !pairs_of_two || grained {
                for item in numbers {
                    let Item::Column(id) = item else { continue };
                    let aggregate = self.default_aggregate(id);
                    let name = &self.schema.columns[id].profile.name;
                    if aggregate == Aggregate::Mean && !one_row_each {
                        parts
                            .assumptions
                            .push(format!("`{name}` is averaged, as adding it up means little."));
                    }
                    parts.measures.push((aggregate, item));
                    parts.plain.retain(|other| *other != item);
                }
                return Ok(None);
            }
        }
        if parts.limit.is_some()
            && numbers.len() == 1
            && (grouped || !others.is_empty() || !parts.entities.is_empty())
        {
            let Item::Column(id) = numbers[0] else {
                return Ok(None);
            };
            parts.measures.push((self.default_aggregate(id), numbers[0]));
            parts.plain.retain(|other| *other != numbers[0]);
            return Ok(None);
        }
        if plain.len() >= 2 {
            let along = self.cues.slots.iter().any(|slot| slot.along);
            if let (Some(other), Some(number), false) = (others.first(), numbers.first(), along) {
                let mut pair = vec![*other, *number];
                pair.extend(others.get(1));
                parts.plain = pair;
            }
            parts.plain.truncate(3);
            return Ok(Some(Intent::Pairs));
        }
        if self.some_unexplained && plain.is_empty() && !grouped && !grained {
            return Err(Trouble::cannot("It is not clear what is asked", Vec::new()));
        }
        let table_listed =
            parts.plain.is_empty() && !grouped && (!parts.entities.is_empty() || self.state.is_some());
        let thing_listed = match plain.as_slice() {
            [Item::Column(id)] => !grouped && !grained && self.chart.is_none() && self.names_thing(*id),
            _ => false,
        };
        if table_listed || (thing_listed && !self.some_unexplained) {
            return Ok(Some(Intent::List));
        }
        if plain.len() == 1 && !grouped && numbers.len() == 1 && !parts.entities.is_empty() {
            // "a bar chart of the salary of employees": each one's.
            let label = self
                .schema
                .label(parts.entities[0])
                .filter(|label| Item::Column(*label) != numbers[0]);
            if let Some(label) = label {
                parts.plain.insert(0, Item::Column(label));
                return Ok(Some(Intent::Pairs));
            }
        }
        if plain.is_empty() && !grouped {
            for id in std::mem::take(&mut parts.subjects) {
                parts.groups.push(id);
            }
        }
        if self.some_unexplained && !grained {
            return Err(Trouble::cannot(
                "It is not clear which number is asked for",
                Vec::new(),
            ));
        }
        if self.some_unexplained {
            return Err(Trouble::cannot(
                "It is not clear what is to be followed over time",
                Vec::new(),
            ));
        }
        parts.measures.push((Aggregate::Count, Item::Rows));
        Ok(None)
    }

    fn asks_relationship(&self) -> bool {
        (0..self.words.len())
            .any(|at| matches!(self.words.at(at), "correlation" | "relationship" | "correlate"))
    }

    /// Choices that could well be others.
    fn doubt_columns(&self, doubts: &mut Vec<String>) {
        for slot in &self.cues.slots {
            let mention = &self.mentions[slot.mention];
            let Some(Target::Column(chosen)) = self.target(slot) else {
                continue;
            };
            let Some((_, score)) = mention.columns().find(|(id, _)| id == chosen) else {
                continue;
            };
            let table = self.schema.columns[*chosen].table;
            if slot.count && self.schema.columns[*chosen].is_identifier() {
                continue;
            }
            let rival = mention.columns().find(|(id, other)| {
                id != chosen
                    && self.schema.columns[*id].table == table
                    && *other > score - 0.04
                    && score < 0.97
            });
            if let Some((rival, _)) = rival {
                doubts.push(format!(
                    "`{}` is taken, not `{}`.",
                    self.schema.columns[*chosen].profile.name, self.schema.columns[rival].profile.name
                ));
            }
        }
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

    fn finish(
        &self,
        intent: Intent,
        mut parts: Parts,
        grain: Option<(ColumnId, Grain)>,
        period: Option<Period>,
        filters: Vec<(Condition, bool)>,
    ) -> Result<(Plan, Vec<String>), Trouble> {
        let base = self.choice.base;
        let share = self.share(&parts, !filters.is_empty());
        let share_of_rows = share && parts.groups.is_empty();
        let mut columns: Vec<ColumnId> = match intent {
            Intent::Aggregate => parts.groups.clone(),
            Intent::Pairs => self.pair_columns(&parts),
            Intent::List => self.list_columns(&parts)?,
        };
        columns = columns.into_iter().fold(Vec::new(), |mut seen, id| {
            if !seen.contains(&id) {
                seen.push(id);
            }
            seen
        });
        let asked = columns.len();
        if intent == Intent::Aggregate {
            self.separate_currencies(&mut columns, &mut parts, &filters);
        }
        let separate = columns.len() > asked;
        if separate && share_of_rows {
            return Err(Trouble::cannot(
                "A share of money in several currencies is no number; ask for one currency",
                Vec::new(),
            ));
        }
        let dimensions: Vec<Dimension> = columns
            .iter()
            .map(|id| Dimension {
                column: self.schema.reference(*id),
                grain: grain.filter(|(time, _)| time == id).map(|(_, grain)| grain),
            })
            .collect();
        let mut measures = Vec::new();
        if intent == Intent::Aggregate {
            for (aggregate, item) in &parts.measures {
                let measure = Aggregated {
                    aggregate: *aggregate,
                    measure: self.measure(*item)?,
                    per: parts.per.map(|id| self.schema.reference(id)),
                };
                if let Measure::Revenue {
                    quantity,
                    price,
                    discount,
                } = &measure.measure
                {
                    parts.assumptions.push(revenue_note(
                        quantity,
                        price,
                        discount
                            .as_ref()
                            .map(|discount| (&discount.column, discount.kind)),
                    ));
                }
                if !measures.contains(&measure) {
                    measures.push(measure);
                }
            }
        }
        let filter = combine(filters);
        let mut plan = Plan {
            intent,
            table: self.schema.tables[base].name.clone(),
            joins: Vec::new(),
            measures,
            dimensions,
            filter,
            period,
            order: parts.order.clone(),
            limit: parts
                .limit
                .filter(|_| intent != Intent::Aggregate || !columns.is_empty()),
            limit_within: None,
            share,
            fill: false,
            chart: None,
        };
        let tables: Vec<TableId> = plan
            .columns()
            .iter()
            .filter_map(|reference| {
                self.schema
                    .tables
                    .iter()
                    .position(|table| table.name == reference.table)
            })
            .filter(|table| *table != base)
            .collect();
        plan.joins = self.schema.joins(base, tables).ok_or_else(|| {
            Trouble::cannot(
                "These tables cannot be joined without counting rows twice",
                Vec::new(),
            )
        })?;
        if separate && plan.limit.is_some() {
            plan.limit_within = Some(asked);
        }
        plan.order = self.ordered(&plan, &columns, grain);
        let summable = plan
            .measures
            .iter()
            .all(|measure| matches!(measure.aggregate, Aggregate::Sum | Aggregate::Count));
        plan.fill = intent == Intent::Aggregate
            && summable
            && plan.limit.is_none()
            && (self.chart == Some(ChartKind::StackedBar) && plan.dimensions.len() == 2
                || (plan.dimensions.len() == 1
                    && plan.dimensions[0].grain.is_some_and(|grain| grain != Grain::Day)));
        plan.chart = self.chart_kind(&plan, &columns);
        parts.assumptions.dedup();
        Ok((plan, parts.assumptions))
    }

    /// The columns of a list: what names the things asked for, then the rows' own columns.
    fn list_columns(&self, parts: &Parts) -> Result<Vec<ColumnId>, Trouble> {
        let mut columns = Vec::new();
        for table in parts.entities.iter().filter(|table| **table != self.choice.base) {
            columns.extend(self.label_columns(*table)?.into_iter().take(1));
        }
        let plain = parts
            .plain
            .iter()
            .chain(
                parts
                    .subjects
                    .iter()
                    .map(|id| Item::Column(*id))
                    .collect::<Vec<_>>()
                    .iter(),
            )
            .filter_map(|item| match item {
                Item::Column(id) => Some(*id),
                _ => None,
            })
            .collect::<Vec<_>>();
        columns.extend(plain);
        columns.extend(
            self.schema
                .columns_of(self.choice.base)
                .map(|(id, _)| id)
                .take(LIST_COLUMNS),
        );
        Ok(columns)
    }

    fn pair_columns(&self, parts: &Parts) -> Vec<ColumnId> {
        let plain = parts.plain.iter().filter_map(|item| match item {
            Item::Column(id) => Some(*id),
            _ => None,
        });
        // Each row is a pair already; its own key would not tell series apart.
        let lone = parts.plain.len() < 2;
        let series = parts.groups.iter().copied().filter(move |id| {
            let column = &self.schema.columns[*id];
            lone || (!column.profile.unique && !column.is_identifier())
        });
        plain.chain(series).collect()
    }

    fn asks_share(&self) -> bool {
        (0..self.words.len()).any(|at| {
            (self.words.at(at) == "share" && matches!(self.words.at(at + 1), "of" | "by"))
                || (matches!(self.words.at(at), "percentage" | "percent" | "%" | "proportion")
                    && self.words.at(at + 1) == "of")
        })
    }

    /// "share of revenue by region", "what percentage of orders"
    fn share(&self, parts: &Parts, filtered: bool) -> bool {
        let asked = self.asks_share();
        let adds_up = parts
            .measures
            .first()
            .is_some_and(|(aggregate, _)| matches!(aggregate, Aggregate::Sum | Aggregate::Count));
        asked && adds_up && (filtered || !parts.groups.is_empty()) && self.chart != Some(ChartKind::Pie)
    }

    /// Money of several currencies is never added together.
    fn separate_currencies(
        &self,
        columns: &mut Vec<ColumnId>,
        parts: &mut Parts,
        filters: &[(Condition, bool)],
    ) {
        let money = parts.measures.iter().any(|(aggregate, item)| match item {
            Item::Revenue => true,
            Item::Rows => false,
            Item::Column(id) => {
                let column = &self.schema.columns[*id];
                let counted = matches!(aggregate, Aggregate::Count | Aggregate::CountDistinct);
                !counted
                    && column.profile.role == ColumnRole::Measure
                    && column
                        .words
                        .iter()
                        .any(|word| super::lexicon::is_money_word(word))
            }
        });
        let Some(id) = self.schema.currency_column(self.choice.base).filter(|_| money) else {
            return;
        };
        let reference = self.schema.reference(id);
        let one_chosen = filters.iter().any(|(condition, _)| {
            matches!(condition, Condition::OneOf { column, values } if *column == reference && values.len() == 1)
        });
        if !columns.contains(&id) && !one_chosen {
            columns.push(id);
            parts.assumptions.push(format!(
                "Amounts are shown apart for each `{}`; currencies are not added together.",
                reference.column
            ));
        }
    }

    fn ordered(&self, plan: &Plan, columns: &[ColumnId], grain: Option<(ColumnId, Grain)>) -> Option<Order> {
        if plan.limit.is_some() && plan.order.is_some() {
            return plan.order.clone();
        }
        if let Some(sort) = self.sort {
            let named = self
                .sort_mentions
                .iter()
                .flat_map(Mention::columns)
                .find_map(|(id, _)| columns.iter().position(|own| *own == id));
            let words: Vec<&str> = sort.target.clone().map(|at| self.words.at(at)).collect();
            let of = |list: &[&str]| words.iter().any(|word| list.contains(word));
            let by = match named {
                _ if of(&[
                    "y", "number", "total", "count", "many", "amount", "sum", "average", "mean", "value",
                ]) =>
                {
                    OrderBy::Value
                }
                Some(place) => OrderBy::Dimension(place),
                None if of(&["x", "bar", "bars", "name", "names"]) => OrderBy::Dimension(0),
                None => OrderBy::Value,
            };
            return Some(Order {
                by,
                descending: sort.descending,
            });
        }
        if plan.order.is_some() {
            return plan.order.clone();
        }
        let chronological = columns.first().is_some_and(|id| {
            grain.is_some_and(|(time, _)| time == *id) || self.schema.columns[*id].is_time()
        });
        match plan.intent {
            Intent::Aggregate if columns.is_empty() => None,
            Intent::Aggregate if chronological => Some(Order {
                by: OrderBy::Dimension(0),
                descending: false,
            }),
            Intent::Aggregate => Some(Order {
                by: OrderBy::Value,
                descending: true,
            }),
            Intent::Pairs | Intent::List => None,
        }
    }

    fn chart_kind(&self, plan: &Plan, columns: &[ColumnId]) -> Option<ChartKind> {
        let is_time = |place: usize| {
            plan.dimensions.get(place).is_some_and(|dimension| {
                !matches!(dimension.grain, Some(Grain::Weekday | Grain::MonthOfYear))
                    && self.schema.columns[columns[place]].is_time()
            })
        };
        if plan.dimensions.is_empty() {
            return Some(ChartKind::Number);
        }
        if let Some(chart) = self.chart {
            return Some(chart);
        }
        let keyed = columns
            .get(1)
            .is_some_and(|id| self.schema.columns[*id].is_identifier());
        Some(match plan.intent {
            Intent::List => return None,
            Intent::Pairs
                if columns
                    .iter()
                    .take(2)
                    .all(|id| self.schema.columns[*id].is_numeric()) =>
            {
                ChartKind::Scatter
            }
            _ if is_time(0) => ChartKind::Line,
            Intent::Aggregate if plan.dimensions.len() >= 2 && !keyed => ChartKind::StackedBar,
            _ => ChartKind::Bar,
        })
    }
}

const LIST_COLUMNS: usize = 12;

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

fn revenue_note(
    quantity: &ColumnRef,
    price: &ColumnRef,
    discount: Option<(&ColumnRef, DiscountKind)>,
) -> String {
    let gross = format!("`{}` × `{}`", quantity.column, price.column);
    let formula = match discount {
        None => gross,
        Some((column, DiscountKind::Amount)) => format!("{gross} − `{}` (an amount)", column.column),
        Some((column, DiscountKind::Rate)) => format!("{gross} × (1 − `{}`)", column.column),
        Some((column, DiscountKind::Percent)) => format!("{gross} × (1 − `{}` / 100)", column.column),
    };
    format!("Revenue is {formula}; refunds are negative and included.")
}

fn year_condition(
    column: ColumnRef,
    from: Option<meterbox_core::Date>,
    until: Option<meterbox_core::Date>,
) -> Condition {
    let first = from.map(|date| f64::from(date.year()));
    // The first year that no longer belongs; a span that ends within a year keeps that year.
    let last = until.map(|date| f64::from(date.yesterday().unwrap_or(date).year()));
    match (first, last) {
        (Some(low), Some(high)) => Condition::Between { column, low, high },
        (Some(value), None) => Condition::Compare {
            column,
            op: Comparison::AtLeast,
            value,
        },
        (None, Some(value)) => Condition::Compare {
            column,
            op: Comparison::AtMost,
            value,
        },
        (None, None) => Condition::Present(column),
    }
}

fn any(mut conditions: Vec<Condition>) -> Condition {
    if conditions.len() == 1 {
        conditions.remove(0)
    } else {
        Condition::Any(conditions)
    }
}

/// "a and b or c" means "(a and b) or c".
fn combine(filters: Vec<(Condition, bool)>) -> Option<Condition> {
    let mut alternatives: Vec<Vec<Condition>> = Vec::new();
    for (condition, or_before) in filters {
        match alternatives.last_mut() {
            Some(last) if !or_before => last.push(condition),
            _ => alternatives.push(vec![condition]),
        }
    }
    let all = |mut conditions: Vec<Condition>| {
        if conditions.len() == 1 {
            conditions.remove(0)
        } else {
            Condition::All(conditions)
        }
    };
    let alternatives: Vec<Condition> = alternatives.into_iter().map(all).collect();
    (!alternatives.is_empty()).then(|| any(alternatives))
}
