//! From a question to a plan.

use meterbox_core::contract::ChartKind;

use super::{
    assemble::Assembly,
    beside, choose, clauses, conditions, cues, lexicon,
    mention::{self, Mention, Target},
    plan::Plan,
    schema::{Schema, TableId},
    spans, text,
    trouble::Trouble,
    words::Words,
};

/// A plan and how well it accounts for the question.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) plan: Plan,
    pub(super) assumptions: Vec<String>,
    pub(super) ignored: Vec<String>,
    pub(super) confidence: f64,
}

/// With no more than this share of words accounted for, an answer would be a guess.
const LEAST_CONFIDENCE: f64 = 0.5;

pub(super) fn read(question: &str, schema: &Schema<'_>) -> Result<Draft, Trouble> {
    let is_column = |compact: &str| schema.has_column(compact);
    let tokens = text::spell_out(text::tokenize(question), is_column);
    let tokens = match schema.has_price() {
        true => text::spell_prices(tokens, is_column),
        false => tokens,
    };
    let mut words = Words::new(match schema.sold_quantity() {
        Some(id) => text::spell_units(tokens, &schema.columns[id].words),
        None => tokens,
    });
    let chart = clauses::chart(&mut words);
    let sort = clauses::sort(&mut words);
    // What the order clause names is looked up on its own; it must not add columns to the answer.
    let sort_mentions = sort.as_ref().map_or_else(Vec::new, |sort| {
        mention::find(&words.tokens, |at| sort.target.contains(&at), schema)
    });
    let state = super::lists::find(&mut words, schema);
    let mentions = mention::find(&words.tokens, |at| words.is_free(at), schema);
    let mut spans = spans::find(
        &mut words,
        |words, at| is_number_of(words, &mentions, at, schema),
        |words, at| may_number(words, &mentions, at, schema),
    );
    beside::join(&mut words, &mut spans)?;
    let mut mentions: Vec<Mention> = mentions
        .into_iter()
        .filter(|mention| (mention.start..mention.end).all(|at| words.is_free(at)))
        .collect();

    let beyond: Vec<String> = clauses::beyond(&words)
        .into_iter()
        .filter(|word| {
            !mentions
                .iter()
                .any(|mention| (mention.start..mention.end).any(|at| words.tokens[at].raw == *word))
        })
        .collect();
    if !beyond.is_empty() {
        return Err(Trouble::cannot("The built-in planner cannot do that", beyond));
    }
    let found_state = state;
    drop_verbs(&mut words, &mut mentions, schema);
    let limit = clauses::limit(&mut words);
    mentions.retain(|mention| (mention.start..mention.end).all(|at| words.is_free(at)));
    if mentions.is_empty() && found_state.is_none() {
        let unknown = words.unexplained();
        return Err(Trouble::cannot(
            "No word of the question names a table, column or value of this data",
            unknown,
        ));
    }
    let in_mention = |at: usize| {
        mentions
            .iter()
            .any(|mention| mention.start <= at && at < mention.end)
    };
    let grain = cues::grain(&mut words, in_mention);
    let mentions_kept: Vec<Mention> = mentions;
    let conditions = conditions::find(&mut words, &mentions_kept, &spans, schema);
    if let Some(value) = conditions.unknown_values.first() {
        return Err(Trouble::cannot(
            format!("The data has no value “{value}” there"),
            conditions.unknown_values.clone(),
        ));
    }
    if !conditions.on_aggregates.is_empty() {
        return Err(Trouble::cannot(
            "A condition on an average or a total of groups is not something the built-in planner can do",
            conditions.on_aggregates.clone(),
        ));
    }
    if !conditions.absent.is_empty() {
        return Err(Trouble::cannot(
            "Which rows have none of something is not a question the built-in planner can answer",
            conditions.absent.clone(),
        ));
    }
    let cues = cues::read(&mut words, &mentions_kept, &conditions.consumed);
    for mention in &mentions_kept {
        words.claim(mention.start, mention.end);
    }
    let ranked = limit.is_some();
    let names_number = cues.slots.iter().any(|slot| {
        let mention = &mentions_kept[slot.mention];
        slot.count
            || matches!(mention.best(), Target::Revenue)
            || mention.columns().any(|(id, _)| schema.columns[id].is_measure())
    });
    let favoured = match &found_state {
        Some(state) => Some(state.table),
        None if ranked && !names_number && !cues.count_rows => schema.revenue().map(|(table, _)| table),
        None => None,
    };
    let Some(choice) = choose::choose(
        schema,
        &mentions_kept,
        &cues,
        &conditions,
        favoured,
        grain.is_some() || (0..spans.len()).any(|span| spans[span].joint.is_none() && !conditions.uses(span)),
    ) else {
        return Err(Trouble::cannot("There is no data", Vec::new()));
    };
    if let Some(&index) = choice.unreachable.first() {
        let mention = &mentions_kept[index];
        let asked: Vec<String> = (mention.start..mention.end)
            .map(|at| words.tokens[at].raw.clone())
            .collect();
        let message = format!(
            "“{}” cannot be looked up once for each row of the table `{}`, so joining them would count rows twice",
            asked.join(" "),
            schema.tables[choice.base].name
        );
        return Err(Trouble::cannot(message, asked));
    }
    if let Some(rival) = choice.rival
        && let Some([one, other]) = dates_of(schema, [choice.base, rival])
    {
        return Err(Trouble::cannot(
            format!("Both {one} and {other} may be meant; name the one it is"),
            Vec::new(),
        ));
    }
    let unexplained = words.unexplained();
    refuse_key_words(&words, &unexplained)?;
    let assembly = Assembly {
        schema,
        words: &words,
        mentions: &mentions_kept,
        cues: &cues,
        conditions: &conditions,
        choice: &choice,
        chart,
        sort: sort.as_ref(),
        sort_mentions: &sort_mentions,
        limit,
        grain,
        spans: &spans,
        state: found_state.as_ref(),
        some_unexplained: !unexplained.is_empty(),
    };
    let (plan, mut assumptions, doubts) = assembly
        .plan()
        .map_err(|trouble| add_words(trouble, &unexplained))?;
    let explained = words.explained();
    // "how much was sold" has no word that could be left over.
    let share = match explained + unexplained.len() {
        0 => 1.0,
        all => explained as f64 / all as f64,
    };
    // Each open choice that was made for the asker leaves some doubt.
    let confidence = doubts.iter().fold(share, |confidence, _| confidence * 0.9);
    assumptions.extend(doubts);
    if confidence <= LEAST_CONFIDENCE {
        return Err(Trouble::cannot(
            "Too many words of the question are unknown here",
            unexplained,
        ));
    }
    let plan = Plan {
        chart: plan
            .chart
            .or(Some(ChartKind::Bar))
            .filter(|_| plan.intent != super::plan::Intent::List),
        ..plan
    };
    Ok(Draft {
        plan,
        assumptions,
        ignored: unexplained,
        confidence,
    })
}

/// When the rows of two tables happened, in words.
fn dates_of(schema: &Schema<'_>, tables: [TableId; 2]) -> Option<[String; 2]> {
    let named = |table| {
        let date = schema.reference(schema.time_column(table)?);
        Some(format!("`{}` of {}", date.column, date.table))
    };
    let [one, other] = tables;
    Some([named(one)?, named(other)?])
}

fn add_words(trouble: Trouble, unexplained: &[String]) -> Trouble {
    match trouble {
        Trouble::CannotAnswer { message, words } if words.is_empty() => Trouble::CannotAnswer {
            message,
            words: unexplained.to_vec(),
        },
        other => other,
    }
}

/// "quantity sold", "how many were sold": beside a number of its own, the verb does not ask for revenue.
fn drop_verbs(words: &mut Words, mentions: &mut Vec<Mention>, schema: &Schema<'_>) {
    let is_verb = |words: &Words, mention: &Mention| {
        let sales = match mention.best() {
            Target::Revenue => true,
            Target::Column(id) => {
                let stem = &words.tokens[mention.start].stem;
                schema.columns[*id].is_measure() && !schema.columns[*id].words.contains(stem)
            }
            _ => false,
        };
        sales
            && (mention.start..mention.end)
                .all(|at| matches!(words.at(at), "sold" | "sell" | "selling" | "earned" | "earning"))
    };
    let counts = (0..words.len()).any(|at| {
        words.matches(at, &["how", "many"])
            || words.matches(at, &["number", "of"])
            || words.matches(at, &["count", "of"])
    });
    let other = mentions.iter().any(|mention| {
        !is_verb(words, mention)
            && (matches!(mention.best(), Target::Revenue)
                || matches!(mention.best(), Target::Column(id) if schema.columns[*id].is_measure()))
    });
    if !(counts || other) {
        return;
    }
    if let (false, Some(quantity)) = (other, units_sold(words, mentions, schema)) {
        for mention in mentions.iter_mut().filter(|mention| is_verb(words, mention)) {
            mention.targets = vec![(Target::Column(quantity), 0.95)];
        }
        return;
    }
    mentions.retain(|mention| {
        let verb = is_verb(words, mention);
        if verb {
            words.claim(mention.start, mention.end);
        }
        !verb
    });
}

/// "how many Green Tea did we sell": units, where only values are counted.
fn units_sold(
    words: &Words,
    mentions: &[Mention],
    schema: &Schema<'_>,
) -> Option<crate::planner::schema::ColumnId> {
    let start = (0..words.len()).find(|&at| words.matches(at, &["how", "many"]))?;
    let verb = mentions
        .iter()
        .position(|mention| mention.start > start && matches!(mention.best(), Target::Revenue))?;
    let counted = mentions[..verb].iter().filter(|mention| mention.start > start);
    counted
        .clone()
        .all(Mention::is_value)
        .then(|| schema.sold_quantity())
        .flatten()
}

/// Is the number at this place compared with a column that holds no years? Then it is no date.
fn is_number_of(words: &Words, mentions: &[Mention], at: usize, schema: &Schema<'_>) -> bool {
    let may_compare = matches!(words.at(at), "between" | "from") || words.tokens[at].number().is_some();
    if !may_compare {
        return false;
    }
    let Some(mention) = mentions.iter().rev().find(|mention| mention.end <= at) else {
        return false;
    };
    let Target::Column(id) = mention.best() else {
        return false;
    };
    let column = &schema.columns[*id];
    at - mention.end <= 3 && column.is_numeric() && !column.has_word(&["year"])
}

/// May a number at this place name one of the things before it, as in "customers 2001 and 2002"? Not where they are counted or
/// grouped by.
fn may_number(words: &Words, mentions: &[Mention], at: usize, schema: &Schema<'_>) -> bool {
    const NUMBERS: &[&str] = &["number", "numbers", "no", "nr", "id", "ids", "#", "code"];
    const COMPARED: &[&str] = &[
        "above", "below", "under", "than", "least", "most", ">", "<", ">=", "<=", "=",
    ];
    let before = words.before(at, 1);
    if NUMBERS.contains(&before) || COMPARED.contains(&before) {
        return true;
    }
    let Some(mention) = mentions.iter().find(|mention| mention.end == at) else {
        return false;
    };
    let names_things = match mention.best() {
        Target::Table(_) => true,
        Target::Column(id) => !schema.columns[*id].is_measure() && !schema.columns[*id].is_time(),
        _ => false,
    };
    let start = mention.start;
    let is_counted = ["number of", "count of", "how many"]
        .iter()
        .any(|phrase| start >= 2 && words.phrase(start - 2, &[phrase]).is_some());
    let is_group = matches!(words.before(start, 1), "by" | "per" | "each" | "every");
    names_things && !is_counted && !is_group
}

/// Is there no word of the data at this place? "by attribute city" names the city, "by colour" nothing.
fn names_nothing(words: &Words, at: usize) -> bool {
    at >= words.len() || words.is_free(at)
}

/// A number or a name nobody could place may be a condition; leaving it out would answer another question.
fn refuse_key_words(words: &Words, unexplained: &[String]) -> Result<(), Trouble> {
    for at in 0..words.len() {
        let token = &words.tokens[at];
        if !words.is_free(at) || lexicon::is_grammar(&token.lower) || token.is_punctuation() {
            continue;
        }
        let before = words.before(at, 1);
        let introduced = matches!(
            before,
            "in" | "for" | "from" | "at" | "of" | "to" | "by" | "with" | "without" | "than" | "per"
        );
        let a_name = token.is_capitalised() && at > 0 && introduced && !lexicon::is_courtesy(&token.lower);
        let a_quote = token.kind == text::TokenKind::Quoted;
        let a_number = token.number().is_some();
        // "by <unknown>" asks for a grouping, "in <unknown>" for a condition.
        let asked_for = matches!(before, "by" | "per" | "without")
            && (unexplained.contains(&token.raw)
                || (lexicon::is_trait(&token.lower) && names_nothing(words, at + 1)));
        // These turn an answer into another one.
        let decisive = lexicon::is_decisive(&token.lower)
            || (lexicon::is_exclusion(&token.lower)
                && token.lower != "no"
                && names_nothing(words, at + 1)
                && names_nothing(words, at + 2));
        if a_name || a_quote || a_number || asked_for || decisive {
            return Err(Trouble::cannot(
                match decisive {
                    true => format!(
                        "“{}” changes what is asked, and is not understood here",
                        token.raw
                    ),
                    false => format!("“{}” is not in this data", token.raw),
                },
                if unexplained.contains(&token.raw) {
                    unexplained.to_vec()
                } else {
                    vec![token.raw.clone()]
                },
            ));
        }
    }
    Ok(())
}
