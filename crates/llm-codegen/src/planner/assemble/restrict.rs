//! Which rows count.

use super::{Assembly, Parts};
use crate::planner::{
    conditions::Test,
    lexicon,
    mention::Target,
    plan::Condition,
    schema::{ColumnId, TableId},
    trouble::Trouble,
};

impl Assembly<'_> {
    pub(super) fn filters(&self, parts: &mut Parts) -> Result<Vec<(Condition, bool)>, Trouble> {
        let mut filters: Vec<(Condition, bool)> = Vec::new();
        for found in &self.conditions.found {
            let column = match (found.column, self.choice.targets[found.mention].as_ref()) {
                (Some(id), _) => id,
                (None, Some(Target::Column(id) | Target::Value(id, _))) => *id,
                _ => continue,
            };
            self.refuse_ambiguous_value(found.mention, column)?;
            if found.apart && !parts.groups.contains(&column) {
                parts.groups.push(column);
            }
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
                // Beside others: all of them together below.
                Test::During(span) if self.chain_of(*span).len() > 1 => {
                    if found.or_before && self.chain_of(*span).start == *span {
                        return Err(Trouble::cannot(
                            "It is not clear what stands on either side of “or”; ask for each alone",
                            Vec::new(),
                        ));
                    }
                    continue;
                }
                Test::During(span) => self.during(column, *span, parts),
            };
            // No row has two values at once: "from France and from Spain" means either.
            if let (false, Condition::OneOf { column, values }) = (found.or_before, &condition)
                && let Some((Condition::OneOf { values: before, .. }, _)) = filters.iter_mut().find(
                    |(earlier, _)| matches!(earlier, Condition::OneOf { column: own, .. } if own == column),
                )
            {
                before.extend(values.iter().cloned());
                continue;
            }
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
        let base = self.choice.base;
        let table = self.schema.columns[chosen].table;
        // The rows' own value goes first; of values looked up elsewhere, none is nearer than another.
        let rivals =
            |other: TableId| other == table || (table != base && self.schema.path(base, other).is_some());
        let others: Vec<&Target> = mention
            .targets
            .iter()
            .map(|(target, _)| target)
            .filter(|target| matches!(target, Target::Value(id, _) if rivals(self.schema.columns[*id].table)))
            .collect();
        let [Target::Value(first, value), Target::Value(second, _), ..] = others.as_slice() else {
            return Ok(());
        };
        let name = |id: &ColumnId| {
            let reference = self.schema.reference(*id);
            match self.schema.columns[*first].table == self.schema.columns[*second].table {
                true => format!("`{}`", reference.column),
                false => format!("`{}` of {}", reference.column, reference.table),
            }
        };
        let ask = |id: &ColumnId| {
            let asked: Vec<&str> = (0..mention.start)
                .filter(|at| *at + 1 < mention.start || !lexicon::is_grammar(self.words.at(*at)))
                .map(|at| self.words.tokens[at].raw.as_str())
                .collect();
            let column = self.schema.columns[*id].profile.name.replace('_', " ");
            format!("{} where {column} is \"{value}\"", asked.join(" "))
        };
        Err(Trouble::Ambiguous {
            message: format!(
                "“{value}” occurs in {} and in {}; say which is meant",
                name(first),
                name(second)
            ),
            suggestions: [first, second].map(ask).to_vec(),
        })
    }
}

pub(super) fn any(mut conditions: Vec<Condition>) -> Condition {
    if conditions.len() == 1 {
        conditions.remove(0)
    } else {
        Condition::Any(conditions)
    }
}

/// "a and b or c" means "(a and b) or c".
pub(super) fn combine(filters: Vec<(Condition, bool)>) -> Option<Condition> {
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
