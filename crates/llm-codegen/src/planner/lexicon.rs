//! The words the planner knows whatever the data: grammar, politeness, synonyms, calendar names.

use super::plan::{Aggregate, Grain};

/// Words that carry grammar only.
pub(super) fn is_grammar(word: &str) -> bool {
    const WORDS: &str = " a an the of in on at to for from with and or is are was were be been being am do does did has have had \
        having it its their they them there here this that these those which what who whose whom when where how as by per each \
        every all any both than then so such i me my we us our you your he she his her not no nor but if into onto over across \
        among within about against along through during up out can could would will should shall may might must please let s t \
        d also just only other same one ones same itself themselves yet ever via according correspond corresponding respective \
        respectively total much many now until between upon off some ";
    WORDS.contains(&format!(" {word} "))
}

/// Words that ask politely or speak of the picture, not of the data.
pub(super) fn is_courtesy(word: &str) -> bool {
    const WORDS: &str = " show showing shown display list give get find return tell draw plot visualize visualise visualization \
        create make present report compute calculate see want like need know look provide fetch produce generate using use used \
        chart graph plot diagram figure bar bars histogram pie line scatter table picture result results axis x y compare \
        comparison comparing distribution relationship correlation trend change changes changing proportion percentage \
        different distinct various unique result order ordered sort sorted rank ranked ranking asc desc ascending \
        descending high low bin binned binning interval bucket group grouped grouping categorize categorized categorised \
        split colored coloured color attribute attributes record records row rows number numbers \
        count counts counting question data information info overview summary summarize analyse analyze \
        overall currently current breakdown break broken down against versus vs exist existing available belong belonging \
        placed brought bring brings come comes came issued made \
        associated recorded registered stored contain contains made make long corresponding style exact full share percent proportion sold selling sell bought buy buying made earned \
        together include including included involved depict illustrate represent stand stacked grouped \
        select collect describe described happen happened occur occurred hey hi hello thanks thank ok ";
    WORDS.contains(&format!(" {word} "))
}

/// Words for what the planner does not do; it says so rather than answer something else.
pub(super) fn is_beyond(word: &str) -> bool {
    const WORDS: &str = " why forecast forecasting predict predicts predicted prediction predicting project projection delete remove \
        drop update insert alter truncate modify rename send email mail explain because recommend recommendation suggest \
        suggestion should will likely probability churn cluster clustering regression anomaly anomalies outlier outliers cause \
        caused reason reasons impact influence optimize optimise simulate improve retention cohort weather joke poem \
        translate write story news ";
    WORDS.contains(&format!(" {word} "))
}

/// Words that change what is asked so much that an answer without them would be another one.
pub(super) fn is_decisive(word: &str) -> bool {
    matches!(
        word,
        "never"
            | "new"
            | "margin"
            | "growth"
            | "best"
            | "worst"
            | "versus"
            | "compared"
            | "cumulative"
            | "running"
            | "moving"
            | "rolling"
            | "yoy"
            | "mom"
            | "increase"
            | "decrease"
            | "decline"
            | "growing"
            | "declining"
            | "returning"
            | "repeat"
            | "loyal"
            | "inactive"
            | "lost"
    )
}

/// Words that leave out what follows; with nothing understood after them they change the question too.
pub(super) fn is_exclusion(word: &str) -> bool {
    matches!(word, "without" | "except" | "excluding" | "exclude" | "no")
}

/// Words of courtesy that name something after "by": "sales by colour".
pub(super) fn is_trait(word: &str) -> bool {
    matches!(
        word,
        "color" | "style" | "attribute" | "group" | "interval" | "bucket" | "source" | "information"
    )
}

/// Words that mean the same in the names of columns and tables. The first of a set stands for it.
const SYNONYMS: &[&[&str]] = &[
    &["quantity", "qty", "unit"],
    &["amount", "amt"],
    &["department", "dept"],
    &["customer", "cust", "client", "buyer", "shopper"],
    &["product", "prod", "item", "article", "sku"],
    &["employee", "emp", "staff", "worker"],
    &["number", "num", "nbr", "nr", "no"],
    &["description", "descr"],
    &["address", "addr"],
    &["percent", "pct", "percentage"],
    &["sex", "gender"],
    &["type", "kind"],
    &["country", "nation"],
    &["city", "town"],
    &["salary", "wage", "pay"],
    &["vendor", "supplier"],
    &["zip", "postal", "postcode"],
    &["birth", "birthday", "born"],
    &["maximum", "max"],
    &["minimum", "min"],
    &["average", "avg"],
    &["manager", "mgr", "boss"],
    &["location", "place"],
    &["method", "mean"],
    &["stock", "inventory", "hand"],
    &["id", "identifier", "ids"],
    &["opening", "openning"],
    &["headquarter", "headquearter", "headquarters"],
    &["hired", "hire"],
    &["first", "fname"],
    &["last", "lname", "surname"],
    &["enrollment", "enrolment", "enr"],
    &["cost", "expense"],
    &["channel", "source"],
    &["segment", "tier"],
    &["transaction", "txn"],
    &["dollar", "usd"],
    &["freight", "shipping", "ship", "shipped"],
    &["account", "acct"],
    &["shop", "store"],
    &["claim", "claimed"],
    &["age", "old"],
    &["official", "formal"],
];

/// Words for how a row began: a customer joined, an account was opened.
pub(super) fn is_beginning(word: &str) -> bool {
    matches!(
        word,
        "joined"
            | "join"
            | "joining"
            | "registered"
            | "signed"
            | "signup"
            | "enrolled"
            | "onboarded"
            | "acquired"
    )
}

/// The word that stands for this one and all that mean the same.
pub(super) fn canonical(stem: &str) -> &str {
    SYNONYMS
        .iter()
        .find(|set| set.contains(&stem))
        .map_or(stem, |set| set[0])
}

/// Words for money made by selling, which may have to be worked out.
pub(super) fn is_revenue_word(stem: &str) -> bool {
    matches!(
        stem,
        "revenue" | "sale" | "turnover" | "income" | "takings" | "earning" | "sold" | "sell" | "selling"
    )
}

/// Words in names of columns that hold money.
pub(super) fn is_money_word(stem: &str) -> bool {
    matches!(
        stem,
        "price"
            | "amount"
            | "revenue"
            | "sale"
            | "cost"
            | "total"
            | "paid"
            | "payment"
            | "balance"
            | "discount"
            | "tax"
            | "fee"
            | "profit"
            | "margin"
            | "subtotal"
            | "salary"
            | "budget"
            | "spend"
            | "due"
            | "net"
            | "gross"
            | "freight"
            | "shipping"
            | "refund"
    )
}

/// Words in names that add little to what is named.
pub(super) fn is_generic(stem: &str) -> bool {
    matches!(
        stem,
        "id" | "code"
            | "name"
            | "number"
            | "type"
            | "date"
            | "description"
            | "detail"
            | "other"
            | "value"
            | "title"
            | "at"
            | "on"
            | "of"
            | "in"
            | "the"
            | "key"
            | "full"
            | "day"
            | "time"
    )
}

/// The aggregate a word asks for.
pub(super) fn aggregate(word: &str) -> Option<Aggregate> {
    Some(match word {
        "sum" | "total" | "totals" | "overall" | "summed" | "combined" | "altogether" => Aggregate::Sum,
        "average" | "averages" | "averaged" | "mean" | "avg" | "typical" => Aggregate::Mean,
        "median" => Aggregate::Median,
        "min" | "minimum" | "minimal" | "smallest" | "lowest" | "least" | "cheapest" | "youngest"
        | "shortest" | "earliest" | "oldest_date" | "minimums" => Aggregate::Min,
        "max" | "maximum" | "maximal" | "largest" | "highest" | "biggest" | "greatest" | "oldest"
        | "longest" | "latest" | "most" | "tallest" | "maximums" => Aggregate::Max,
        _ => return None,
    })
}

/// The part of time a word names.
pub(super) fn grain(word: &str) -> Option<Grain> {
    Some(match word {
        "day" | "days" | "daily" | "date" => Grain::Day,
        "week" | "weeks" | "weekly" => Grain::Week,
        "month" | "months" | "monthly" => Grain::Month,
        "quarter" | "quarters" | "quarterly" => Grain::Quarter,
        "year" | "years" | "yearly" | "annual" | "annually" => Grain::Year,
        "weekday" | "weekdays" => Grain::Weekday,
        _ => return None,
    })
}

/// 1 to 12 for the name of a month.
pub(super) fn month(word: &str) -> Option<i8> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let at = MONTHS
        .iter()
        .position(|month| *month == word || (word.len() == 3 && month.starts_with(word)))?;
    i8::try_from(at + 1).ok()
}

/// The number a word stands for.
pub(super) fn number_word(word: &str) -> Option<u32> {
    const NUMBERS: [&str; 13] = [
        "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
        "twelve",
    ];
    let at = NUMBERS.iter().position(|number| *number == word);
    match (at, word) {
        (Some(at), _) => u32::try_from(at).ok(),
        (None, "twenty") => Some(20),
        (None, "fifty") => Some(50),
        (None, "hundred") => Some(100),
        _ => None,
    }
}
