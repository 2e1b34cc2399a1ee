//! In which time the rows lie, and which part of it they are cut by.

use std::ops::Range;

use super::{Assembly, Item, Parts, restrict::any};
use crate::planner::{
    beside::Joint,
    conditions::Test,
    mention::Target,
    plan::{ColumnRef, Comparison, Condition, Grain, Intent, Period, Span},
    reading::span_label,
    schema::ColumnId,
    spans::FoundSpan,
    trouble::Trouble,
};

impl Assembly<'_> {
    /// That the column lies in this span; in its years, where it has no dates.
    pub(super) fn during(&self, column: ColumnId, span: usize, parts: &mut Parts) -> Condition {
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

    /// The times that the question names and no condition has taken: one as the plan's period, others as filters or compared.
    pub(super) fn periods(
        &self,
        period: &mut Option<Period>,
        filters: &mut Vec<(Condition, bool)>,
        parts: &mut Parts,
    ) -> Result<(), Trouble> {
        let mut first = 0;
        while first < self.spans.len() {
            let chain = self.chain_of(first);
            first = chain.end;
            let asked = chain.clone().find_map(|span| self.column_asked(span));
            if asked.is_some() && chain.len() == 1 {
                continue;
            }
            let column = self.column_of(chain.clone(), asked, parts)?;
            let each = self.each_during(chain.clone(), column, parts)?;
            let is_against = |found: &FoundSpan| found.joint == Some(Joint::Against);
            let against = self.spans[chain].iter().any(is_against);
            match <[Condition; 1]>::try_from(each) {
                Ok([Condition::During(found)]) if period.is_none() => *period = Some(found),
                Ok([condition]) => filters.push((condition, false)),
                Err(each) => match each.iter().map(as_period).collect::<Option<Vec<Period>>>() {
                    Some(compared) if against && parts.compared.is_empty() => parts.compared = compared,
                    _ => filters.push((any(each), false)),
                },
            }
        }
        self.refuse_no_time(period.as_ref(), filters, &parts.compared)
    }

    /// Whose dates lie in these spans: the column that is asked for, another that is named, or the rows' own.
    fn column_of(
        &self,
        chain: Range<usize>,
        asked: Option<ColumnId>,
        parts: &mut Parts,
    ) -> Result<ColumnId, Trouble> {
        let no_date = || Trouble::cannot("The rows the question is about have no date", Vec::new());
        let named = asked.or_else(|| self.named_time(parts));
        let column = named
            .or_else(|| self.schema.time_column(self.choice.base))
            .or_else(|| self.year_column())
            .ok_or_else(no_date)?;
        let mut spans = self.spans[chain].iter();
        let is_time = self.schema.columns[column].is_time();
        if !is_time && !spans.all(|found| matches!(found.span, Span::Dates { .. })) {
            return Err(no_date());
        }
        if self.time_columns(column) > 1 && named.is_none() {
            parts.assumptions.push(format!(
                "Dates are those of `{}`.",
                self.schema.columns[column].profile.name
            ));
        }
        Ok(column)
    }

    /// What each of these spans asks of the column, once where two are the same.
    fn each_during(
        &self,
        chain: Range<usize>,
        column: ColumnId,
        parts: &mut Parts,
    ) -> Result<Vec<Condition>, Trouble> {
        let mut each: Vec<Condition> = Vec::new();
        for span in chain {
            let condition = self.during(column, span, parts);
            if !each.contains(&condition) {
                each.push(condition);
            } else if self.spans[span].joint == Some(Joint::Against) {
                return Err(Trouble::cannot(
                    "The times to be compared are the same one; name another",
                    Vec::new(),
                ));
            }
        }
        Ok(each)
    }

    /// The spans that stand beside this one, and itself.
    pub(super) fn chain_of(&self, span: usize) -> Range<usize> {
        let joined = |span: &usize| self.spans.get(*span).is_some_and(|found| found.joint.is_some());
        let first = (0..=span).rev().find(|span| !joined(span)).unwrap_or(span);
        let end = (first + 1..).find(|span| !joined(span)).unwrap_or(first + 1);
        first..end
    }

    /// The column whose dates are to lie in this span, where the question says so.
    fn column_asked(&self, span: usize) -> Option<ColumnId> {
        let mut found = self.conditions.found.iter();
        let found = found.find(|found| matches!(found.test, Test::During(used) if used == span))?;
        match (found.column, self.choice.targets[found.mention].as_ref()) {
            (Some(id), _) => Some(id),
            (None, Some(Target::Column(id))) => Some(*id),
            _ => None,
        }
    }

    /// "this month last year": what can hold for no row, or for none that was meant, is asked back.
    fn refuse_no_time(
        &self,
        period: Option<&Period>,
        filters: &[(Condition, bool)],
        compared: &[Period],
    ) -> Result<(), Trouble> {
        let mut required: Vec<Vec<Period>> = filters
            .iter()
            .map(|(condition, _)| periods_of(condition))
            .collect();
        required.push(period.cloned().into_iter().collect());
        required.push(compared.to_vec());
        for (place, alternatives) in required.iter().enumerate() {
            let others = required[..place].iter().flatten();
            for (one, other) in others.flat_map(|other| alternatives.iter().map(move |one| (one, other))) {
                if one.column == other.column && contradict(&one.span, &other.span) {
                    return Err(Trouble::cannot(
                        format!(
                            "It is not clear how “{}” and “{}” belong together; name one span of time, or set one against the other (“… vs …”)",
                            span_label(&other.span),
                            span_label(&one.span)
                        ),
                        Vec::new(),
                    ));
                }
            }
        }
        Ok(())
    }

    /// Groups by the spans that are set against each other, where the answer has groups; otherwise their rows count together.
    pub(super) fn set_against(
        &self,
        intent: Intent,
        grain: Option<(ColumnId, Grain)>,
        parts: &mut Parts,
        filters: &mut Vec<(Condition, bool)>,
    ) -> Result<Option<(ColumnId, Grain)>, Trouble> {
        let many_spans = |(condition, _): &(Condition, bool)| periods_of(condition).len() > 1;
        if self.asks_share() && parts.groups.is_empty() && filters.iter().any(many_spans) {
            return Err(Trouble::cannot(
                "A share over several spans of time is more than the built-in planner can do; ask for one of them",
                Vec::new(),
            ));
        }
        let Some(first) = parts.compared.first() else {
            return Ok(grain);
        };
        if intent != Intent::Aggregate {
            return Err(Trouble::cannot(
                "Rows cannot be set against each other; ask for their number, or for a sum",
                Vec::new(),
            ));
        }
        let mut columns = 0..self.schema.columns.len();
        let column = columns.find(|id| self.schema.reference(*id) == first.column);
        let Some(column) = column else { return Ok(grain) };
        // "by month": each of them is seen for itself already.
        let is_seen = |grain: Grain| parts.compared.iter().all(|period| period.span.holds(grain));
        let shown_already = match grain {
            Some((cut, grain)) => cut == column && is_seen(grain),
            None => parts.groups.contains(&column),
        };
        if shown_already {
            let each = std::mem::take(&mut parts.compared);
            filters.push((any(each.into_iter().map(Condition::During).collect()), false));
            return Ok(grain);
        }
        let ranked = parts.limit.is_some()
            || parts.order.is_some()
            || self.cues.slots.iter().any(|slot| slot.superlative.is_some());
        if ranked || grain.is_some() || self.asks_share() {
            return Err(Trouble::cannot(
                "A ranking, a share or parts of time in each of several spans of time are more than the built-in planner can do; ask for one of them",
                Vec::new(),
            ));
        }
        parts.groups.push(column);
        Ok(Some((column, Grain::Compared)))
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
    pub(super) fn grained(&self, parts: &mut Parts) -> Result<Option<(ColumnId, Grain)>, Trouble> {
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
}

/// The spans of which one has to hold, where that is all the condition asks.
fn periods_of(condition: &Condition) -> Vec<Period> {
    match condition {
        Condition::During(period) => vec![period.clone()],
        Condition::Any(parts) => parts
            .iter()
            .map(as_period)
            .collect::<Option<_>>()
            .unwrap_or_default(),
        _ => Vec::new(),
    }
}

/// Can no day lie in both, or may none that was meant?
fn contradict(one: &Span, other: &Span) -> bool {
    let are_fixed = [one, other].iter().all(|span| matches!(span, Span::Dates { .. }));
    one.is_apart_from(other) || one.is_closed() && other.is_closed() && !are_fixed
}

fn as_period(condition: &Condition) -> Option<Period> {
    match condition {
        Condition::During(period) => Some(period.clone()),
        _ => None,
    }
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
