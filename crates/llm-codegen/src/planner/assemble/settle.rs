//! What kind of answer it is, once every mention has its place.

use meterbox_core::contract::ChartKind;

use super::{Assembly, Item, Parts, aggregate_name};
use crate::planner::{
    mention::Target,
    plan::{Aggregate, Intent},
    schema::ColumnId,
    trouble::Trouble,
};

impl Assembly<'_> {
    /// Decides what kind of answer it is and moves what was named without a cue to its place.
    pub(super) fn settle(&self, parts: &mut Parts, grained: bool) -> Result<Intent, Trouble> {
        self.settle_loose(parts)?;
        self.refuse_counted_amount(parts)?;
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

    /// "how much was paid" asks for an amount; how many there are would answer another question.
    fn refuse_counted_amount(&self, parts: &Parts) -> Result<(), Trouble> {
        let how_much = (0..self.words.len()).any(|at| self.words.matches(at, &["how", "much"]));
        let amount = parts.measures.iter().any(|(_, item)| *item != Item::Rows)
            || parts.plain.iter().any(|item| self.is_measure(*item));
        if how_much && !amount {
            return Err(Trouble::cannot(
                "“How much” asks for an amount, and it is not clear which number of the data that is",
                Vec::new(),
            ));
        }
        Ok(())
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
    pub(super) fn settle_per(&self, parts: &mut Parts) {
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
        // "average quantity per order line": each row is one already, whatever column is called so too.
        let mention = &self.mentions[slot.mention];
        let rows = Target::Table(self.choice.base);
        let of_rows = |(target, score): &(Target, f64)| *target == rows && *score > mention.score() - 0.01;
        if mention.targets.iter().any(of_rows) {
            if let Some(Target::Column(id)) = self.target(slot) {
                parts.groups.retain(|group| group != id);
            }
            return;
        }
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
        // "stock below 20": rows that fit a condition, with nothing asked of them.
        let nothing_asked = plain.is_empty() && parts.groups.is_empty() && parts.entities.is_empty();
        if nothing_asked && !grained && self.chart.is_none() && !self.conditions.found.is_empty() {
            return Ok(Some(Intent::List));
        }
        parts.measures.push((Aggregate::Count, Item::Rows));
        Ok(None)
    }

    fn asks_relationship(&self) -> bool {
        (0..self.words.len())
            .any(|at| matches!(self.words.at(at), "correlation" | "relationship" | "correlate"))
    }
}
