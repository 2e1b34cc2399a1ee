//! What each mention is for: a number, a group, a thing that is ranked.

use super::{Assembly, Item, Parts, aggregate_name, no_key};
use crate::planner::{
    cues::Slot,
    lexicon,
    mention::Target,
    plan::{Aggregate, Order, OrderBy},
    schema::{ColumnId, TableId},
    trouble::Trouble,
};

impl Assembly<'_> {
    pub(super) fn place(&self, slot: &Slot, parts: &mut Parts) -> Result<(), Trouble> {
        if let Some(dimension) = self
            .superlative_of(slot)
            .or_else(|| self.superlative_before(slot))
        {
            return self.place_superlative(slot, Some(dimension), parts);
        }
        if self.asks_which_time(slot) {
            return self.place_superlative(slot, None, parts);
        }
        match self.target(slot) {
            Some(Target::Column(id)) => self.place_column(slot, *id, parts),
            Some(Target::Table(_)) if self.is_ranked(slot) => Ok(()),
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
        let start = self.mentions[slot.mention].start;
        let counted = self.words.before(start, 1) == "of" && self.words.before(start, 2) == "number";
        if counted && column.is_identifier() && slot.aggregates.contains(&Aggregate::Mean) {
            return Err(Trouble::cannot(
                "Averages of counts are not something the built-in planner can do",
                Vec::new(),
            ));
        }
        for &aggregate in &slot.aggregates {
            let over_dates = column.is_time() && matches!(aggregate, Aggregate::Min | Aggregate::Max);
            // "total orders": keys are counted, for their sum means nothing.
            let keys = column.is_identifier() && aggregate == Aggregate::Sum && !self.named_in_full(id);
            if (column.is_numeric() && !keys) || over_dates {
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
        if summed
            && !slot.count
            && let Some(id) = self.summed_amount(slot, table)
        {
            parts.measures.push((Aggregate::Sum, Item::Column(id)));
            return Ok(());
        }
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
            let averages = |aggregate: &Aggregate| matches!(aggregate, Aggregate::Mean | Aggregate::Median);
            let per_row = table == self.choice.base
                && self.words.before(self.mentions[slot.mention].start, 1) == "per"
                && parts.measures.iter().any(|(aggregate, _)| averages(aggregate));
            if per_row && self.schema.label(table).is_none() {
                return Ok(());
            }
            parts.groups.extend(self.label_columns(table)?);
            return Ok(());
        }
        parts.entities.push(table);
        Ok(())
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

    /// "most profitable state", "lowest price product": the thing right after the number it is ranked by.
    fn superlative_before<'b>(&'b self, slot: &Slot) -> Option<&'b Slot> {
        slot.superlative?;
        let Some(Target::Column(id)) = self.target(slot) else {
            return None;
        };
        let end = self.mentions[slot.mention].end;
        let next = self.cues.slots.iter().find(|other| {
            let start = self.mentions[other.mention].start;
            other.is_plain() && (start == end || (start == end + 1 && self.words.at(end).is_empty()))
        })?;
        let thing = match self.target(next) {
            Some(Target::Table(_)) => true,
            Some(Target::Column(other)) => !self.schema.columns[*other].is_measure(),
            _ => false,
        };
        (self.schema.columns[*id].is_measure() && thing).then_some(next)
    }

    /// Did the number before it take this thing as what it ranks?
    fn is_ranked(&self, slot: &Slot) -> bool {
        self.cues.slots.iter().any(|other| {
            self.superlative_before(other)
                .is_some_and(|ranked| ranked.mention == slot.mention)
        })
    }

    /// "which month had the most orders": a part of time is what is ranked.
    fn asks_which_time(&self, slot: &Slot) -> bool {
        let ranked = self.grain.is_some_and(|cue| cue.ranked);
        ranked && slot.superlative.is_some() && !self.cues.slots.iter().any(|other| other.group)
    }

    fn place_superlative(
        &self,
        slot: &Slot,
        subject: Option<&Slot>,
        parts: &mut Parts,
    ) -> Result<(), Trouble> {
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
        let many = subject.is_some_and(|subject| {
            let last = self.mentions[subject.mention].end - 1;
            self.words.tokens[last].lower.ends_with('s') && self.limit.is_some()
        });
        if !many {
            parts.limit = Some(1);
        }
        // The subject may be the row's table itself.
        if let Some(Target::Table(table)) = subject.and_then(|subject| self.target(subject)) {
            parts.entities.retain(|entity| entity != table);
            parts.groups.extend(self.label_columns(*table)?);
        }
        Ok(())
    }

    /// "top 5 products by revenue": what is ranked, and by what.
    pub(super) fn rank(&self, parts: &mut Parts) {
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
        let within_each = self.cues.slots.iter().any(|slot| {
            let start = self.mentions[slot.mention].start;
            slot.group && matches!(self.words.before(start, 1), "each" | "every" | "per")
        });
        let ranked = parts.limit.is_some() || parts.measures.iter().any(|(_, item)| *item == Item::Revenue);
        let open = parts.groups.is_empty() || within_each;
        if (ranked || !parts.measures.is_empty()) && open && self.limit.is_some() {
            for table in std::mem::take(&mut parts.entities) {
                if let Ok(labels) = self.label_columns(table) {
                    parts.groups.splice(0..0, labels);
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

    /// "sum of payments", "total payments": the one amount of money their table has.
    fn summed_amount(&self, slot: &Slot, table: TableId) -> Option<ColumnId> {
        let start = self.mentions[slot.mention].start;
        let said = |word: &str| (start.saturating_sub(3)..start).any(|at| self.words.at(at) == word);
        // A total of payments is money; a total of orders is how many there are.
        let money = self.schema.table_words[table]
            .last()
            .is_some_and(|word| lexicon::is_money_word(word));
        let mut amounts = self.schema.columns_of(table).filter(|(_, column)| {
            column.is_measure()
                && column.is_additive()
                && column.words.iter().any(|word| lexicon::is_money_word(word))
        });
        let only = amounts
            .next()
            .map(|(id, _)| id)
            .filter(|_| amounts.next().is_none());
        only.filter(|_| (said("sum") || (money && said("total"))) && table == self.choice.base)
    }
}
