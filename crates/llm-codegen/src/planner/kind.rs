//! What kind of plan a plan is: plans of one kind are right or wrong together, so that how often they were right says
//! how far the next one can be trusted.

use super::plan::{Aggregate, Intent, Measure, Plan};

impl Plan {
    /// Its kind in a few words, such as `sum of column, by 1, top`.
    pub fn kind(&self) -> String {
        let mut words = vec![match self.intent {
            Intent::Pairs => "pairs".to_owned(),
            Intent::List => "list".to_owned(),
            Intent::Aggregate => self
                .measures
                .iter()
                .map(|measured| {
                    let per = if measured.per.is_some() { " per" } else { "" };
                    format!(
                        "{} of {}{per}",
                        aggregate(measured.aggregate),
                        measure(&measured.measure)
                    )
                })
                .collect::<Vec<_>>()
                .join(" and "),
        }];
        match self.dimensions.len() {
            0 => {}
            count => words.push(format!("by {count}")),
        }
        let parts = [
            (
                self.dimensions.iter().any(|dimension| dimension.grain.is_some()),
                "over time",
            ),
            (self.filter.is_some(), "filtered"),
            (self.period.is_some(), "in a period"),
            (self.limit.is_some(), "top"),
            (self.share, "as shares"),
            (!self.joins.is_empty(), "joined"),
        ];
        words.extend(
            parts
                .iter()
                .filter(|(is_so, _)| *is_so)
                .map(|(_, word)| (*word).to_owned()),
        );
        words.join(", ")
    }
}

fn aggregate(aggregate: Aggregate) -> &'static str {
    match aggregate {
        Aggregate::Sum => "sum",
        Aggregate::Mean => "mean",
        Aggregate::Median => "median",
        Aggregate::Min => "min",
        Aggregate::Max => "max",
        Aggregate::Count => "count",
        Aggregate::CountDistinct => "distinct",
    }
}

fn measure(measure: &Measure) -> &'static str {
    match measure {
        Measure::Rows => "rows",
        Measure::Column(_) => "column",
        _ => "product",
    }
}
