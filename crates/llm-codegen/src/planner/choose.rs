//! Which table a question is about, and which of several columns each of its words means.

use super::{
    conditions::Conditions,
    cues::{Cues, Slot},
    mention::{Mention, Target},
    plan::Aggregate,
    schema::{Schema, TableId},
};

/// The table whose rows are counted or added up, and what each mention means from there.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) base: TableId,
    /// By mention; `None` where the base table cannot reach it.
    pub(super) targets: Vec<Option<Target>>,
    pub(super) unreachable: Vec<usize>,
    /// Another table that fits as well, where the two have dates of their own.
    pub(super) rival: Option<TableId>,
}

/// Rows that a time is asked of have a date of their own, or belong to one row that has.
fn date_bonus(schema: &Schema<'_>, base: TableId) -> f64 {
    let Some(id) = schema.time_column(base) else {
        return -0.3;
    };
    let column = &schema.columns[id];
    let hops = schema.path(base, column.table).map_or(0, |path| path.len());
    if schema.is_late(id) {
        0.0
    } else {
        0.3 - HOP * hops as f64
    }
}

/// What a mention is wanted for.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Want {
    Measure,
    Count,
    Group,
    Condition,
    Plain,
}

const HOP: f64 = 0.05;

pub(super) fn choose(
    schema: &Schema<'_>,
    mentions: &[Mention],
    cues: &Cues,
    conditions: &Conditions,
    favoured: Option<TableId>,
    dated: bool,
) -> Option<Choice> {
    let mut wants: Vec<(usize, Want)> = cues
        .slots
        .iter()
        .map(|slot| (slot.mention, want(slot, &mentions[slot.mention], schema)))
        .collect();
    for found in &conditions.found {
        if !wants.iter().any(|(mention, _)| *mention == found.mention) {
            wants.push((found.mention, Want::Condition));
        }
    }
    let mut best: Option<(f64, Choice)> = None;
    for base in 0..schema.tables.len() {
        let mut total = if favoured == Some(base) { 0.6 } else { 0.0 };
        if dated {
            total += date_bonus(schema, base);
        }
        let mut targets = vec![None; mentions.len()];
        let mut unreachable = Vec::new();
        for (index, want) in &wants {
            match resolve(schema, &mentions[*index], *want, base) {
                Some((target, score)) => {
                    total += score;
                    targets[*index] = Some(target);
                }
                None => {
                    total -= 1.0;
                    unreachable.push(*index);
                }
            }
        }
        match &mut best {
            Some((score, chosen)) if (total - *score).abs() <= 1e-9 => {
                let apart = schema.time_column(base) != schema.time_column(chosen.base);
                if dated && apart {
                    chosen.rival.get_or_insert(base);
                }
            }
            Some((score, _)) if total < *score => {}
            _ => {
                let choice = Choice {
                    base,
                    targets,
                    unreachable,
                    rival: None,
                };
                best = Some((total, choice));
            }
        }
    }
    best.map(|(_, choice)| choice)
}

fn want(slot: &Slot, mention: &Mention, schema: &Schema<'_>) -> Want {
    // "total orders": nothing there can be added up, so the things themselves are meant.
    let things = slot.aggregates == [Aggregate::Sum]
        && !matches!(mention.best(), Target::Revenue)
        && mention.columns().all(|(id, _)| !schema.columns[id].is_measure());
    match () {
        () if things => Want::Count,
        () if slot.count || (slot.superlative.is_some() && slot.aggregates.len() == 1) => Want::Count,
        () if !slot.aggregates.is_empty() => Want::Measure,
        () if slot.group || slot.weak_group => Want::Group,
        () => Want::Plain,
    }
}

fn resolve(schema: &Schema<'_>, mention: &Mention, want: Want, base: TableId) -> Option<(Target, f64)> {
    let mut best: Option<(Target, f64)> = None;
    for (target, score) in &mention.targets {
        let Some(fit) = fit(schema, mention, target, want, base) else {
            continue;
        };
        if best.as_ref().is_none_or(|(_, best)| score + fit > *best + 1e-9) {
            best = Some((target.clone(), score + fit));
        }
    }
    best
}

/// A table named by the same word as its label is meant as a whole: rows with equal labels stay apart.
fn label_bonus(schema: &Schema<'_>, mention: &Mention, table: TableId) -> f64 {
    let label = schema.label(table);
    let same = schema.tables.len() > 1 && mention.columns().any(|(id, _)| Some(id) == label);
    if same { 0.08 } else { 0.0 }
}

fn fit(schema: &Schema<'_>, mention: &Mention, target: &Target, want: Want, base: TableId) -> Option<f64> {
    let hops = |table: TableId| schema.path(base, table).map(|path| path.len());
    match target {
        Target::Column(id) => {
            let column = &schema.columns[*id];
            let hops = hops(column.table)?;
            let far = -HOP * hops as f64;
            let numeric = column.is_numeric();
            Some(match want {
                Want::Measure if hops > 0 && numeric => return None,
                Want::Measure if numeric => far + if column.is_identifier() { 0.0 } else { 0.1 },
                Want::Measure => far - 0.1,
                Want::Count => far - if hops > 0 { 0.1 } else { 0.0 },
                Want::Group if column.is_measure() => far - 0.06,
                Want::Group if column.has_word(&["name", "title"]) => far + 0.03,
                Want::Group => far,
                // A plain number of another table would be repeated for each row.
                Want::Plain if hops > 0 && column.is_measure() => return None,
                Want::Condition | Want::Plain => far,
            })
        }
        Target::Table(table) => {
            let hops = hops(*table)?;
            let far = -HOP * hops as f64 + label_bonus(schema, mention, *table);
            match want {
                Want::Count => Some(far - if hops > 0 { 0.15 } else { 0.0 } + 0.02),
                Want::Measure => Some(far - 0.2),
                // "average quantity per order line": the rows themselves need no name.
                Want::Group if *table == base => Some(far + 0.01),
                Want::Group => schema.label(*table).map(|_| far + 0.01),
                Want::Condition => None,
                // Of two tables whose rows belong together, the one that is named.
                Want::Plain => Some(far + if *table == base { 0.02 } else { 0.0 }),
            }
        }
        Target::Value(id, _) => hops(schema.columns[*id].table).map(|hops| -HOP * hops as f64),
        Target::Revenue => {
            let (table, _) = schema.revenue()?;
            (table == base && want != Want::Condition).then_some(0.1)
        }
    }
}
