//! The data as the planner sees it: words of tables and columns, values, and which rows point to which.

use std::collections::{HashMap, VecDeque};

use meterbox_core::contract::{ColumnProfile, ColumnRole, ColumnType, TableProfile};

use super::{
    lexicon,
    plan::{ColumnRef, Discount, DiscountKind, Join, Measure},
    text,
};

/// A column, by its place in [`Schema::columns`].
pub(super) type ColumnId = usize;
/// A table, by its place in [`Schema::tables`].
pub(super) type TableId = usize;

#[derive(Debug)]
pub(super) struct Schema<'a> {
    pub(super) tables: &'a [TableProfile],
    pub(super) columns: Vec<Column<'a>>,
    pub(super) table_words: Vec<Vec<String>>,
    /// The compact form of a value -> the columns it occurs in, and how it is written there.
    pub(super) values: HashMap<String, Vec<(ColumnId, &'a str)>>,
    edges: Vec<(ColumnId, ColumnId)>,
}

#[derive(Debug)]
pub(super) struct Column<'a> {
    pub(super) table: TableId,
    pub(super) profile: &'a ColumnProfile,
    pub(super) words: Vec<String>,
    pub(super) compact: String,
}

impl Column<'_> {
    pub(super) fn is_numeric(&self) -> bool {
        matches!(
            self.profile.column_type,
            ColumnType::Integer | ColumnType::Decimal | ColumnType::Number
        )
    }

    pub(super) fn is_time(&self) -> bool {
        matches!(self.profile.column_type, ColumnType::Date | ColumnType::Datetime)
    }

    /// A number one may add up: not a key, a code or a year.
    pub(super) fn is_measure(&self) -> bool {
        self.is_numeric() && self.profile.role == ColumnRole::Measure
    }

    pub(super) fn is_identifier(&self) -> bool {
        self.profile.role == ColumnRole::Identifier
    }

    pub(super) fn has_word(&self, words: &[&str]) -> bool {
        self.words.iter().any(|word| words.contains(&word.as_str()))
    }

    /// Does a sum of it mean something? Prices, rates and ages do not add up.
    pub(super) fn is_additive(&self) -> bool {
        const LEVELS: &[&str] = &[
            "price",
            "rate",
            "age",
            "percent",
            "percentage",
            "pct",
            "rating",
            "score",
            "temperature",
            "height",
            "weight",
            "ratio",
            "average",
            "avg",
            "grade",
            "level",
            "rank",
            "latitude",
            "longitude",
            "year",
            "margin",
            "gpa",
            "speed",
        ];
        let each = self.has_word(&["unit"]) && self.has_word(&["cost", "price", "amount"]);
        !each && !self.has_word(LEVELS)
    }
}

impl<'a> Schema<'a> {
    pub(super) fn new(tables: &'a [TableProfile]) -> Self {
        let mut columns = Vec::new();
        let mut values: HashMap<String, Vec<(ColumnId, &'a str)>> = HashMap::new();
        for (table, profile) in tables.iter().enumerate() {
            for column in &profile.columns {
                let id = columns.len();
                for value in &column.values {
                    let compact = text::name_words(&value.value).concat();
                    if !compact.is_empty() {
                        values.entry(compact).or_default().push((id, &value.value));
                    }
                }
                let words = text::name_words(&column.name);
                columns.push(Column {
                    table,
                    profile: column,
                    compact: words.concat(),
                    words,
                });
            }
        }
        let table_words = tables.iter().map(|table| text::name_words(&table.name)).collect();
        let mut schema = Self {
            tables,
            columns,
            table_words,
            values,
            edges: Vec::new(),
        };
        schema.edges = schema.find_edges();
        schema
    }

    /// How many of a thing were sold, where revenue is worked out.
    pub(super) fn sold_quantity(&self) -> Option<ColumnId> {
        let (_, measure) = self.revenue()?;
        let Measure::Revenue { quantity, .. } = measure else {
            return None;
        };
        (0..self.columns.len()).find(|id| self.reference(*id) == quantity)
    }

    /// Is there a number that is a price?
    pub(super) fn has_price(&self) -> bool {
        self.columns
            .iter()
            .any(|column| column.is_numeric() && column.has_word(&["price"]))
    }

    /// Is a column called so, its words written as one?
    pub(super) fn has_column(&self, compact: &str) -> bool {
        self.columns.iter().any(|column| column.compact == compact)
    }

    pub(super) fn reference(&self, id: ColumnId) -> ColumnRef {
        let column = &self.columns[id];
        ColumnRef {
            table: self.tables[column.table].name.clone(),
            column: column.profile.name.clone(),
        }
    }

    pub(super) fn columns_of(&self, table: TableId) -> impl Iterator<Item = (ColumnId, &Column<'a>)> {
        self.columns
            .iter()
            .enumerate()
            .filter(move |(_, column)| column.table == table)
    }

    /// Pointers from a column to the key of another table, found from names, types and ranges.
    fn find_edges(&self) -> Vec<(ColumnId, ColumnId)> {
        let mut edges = Vec::new();
        for (to_id, to) in self
            .columns
            .iter()
            .enumerate()
            .filter(|(_, column)| self.is_key(column))
        {
            for (from_id, from) in self.columns.iter().enumerate() {
                if from.table != to.table
                    && self.names_point(from, to)
                    && values_fit(from.profile, to.profile)
                {
                    edges.push((from_id, to_id));
                }
            }
        }
        edges
    }

    /// Names one row. A few repeated rows do not make it less of a key: a program collapses rows that are the
    /// same and refuses those that differ.
    fn is_key(&self, column: &Column<'_>) -> bool {
        let rows = self.tables[column.table].rows;
        let profile = column.profile;
        let filled = rows.saturating_sub(profile.nulls);
        let nearly_unique = profile.unique || (filled > 0 && profile.distinct * 100 >= filled * 97);
        let named_so = column.has_word(&["id", "code", "key", "sku", "number", "no", "ref"]);
        nearly_unique && rows > 0 && (profile.role == ColumnRole::Identifier || named_so)
    }

    fn names_point(&self, from: &Column<'_>, to: &Column<'_>) -> bool {
        let bare = |words: &[String]| -> Vec<String> {
            words
                .iter()
                .map(|word| lexicon::canonical(word).to_owned())
                .collect()
        };
        let (from_words, to_words) = (bare(&from.words), bare(&to.words));
        let home = bare(&self.table_words[to.table]);
        let with_home: Vec<String> = home.iter().chain(&to_words).cloned().collect();
        if from_words == to_words {
            // `id` in both says nothing; a name both have must name the key's own table or be a pointer.
            return to_words.len() > 1
                || !matches!(
                    to_words.first().map(String::as_str),
                    Some("id" | "name" | "number" | "code")
                );
        }
        from_words == with_home || (to_words.len() == 1 && to_words[0] == "id" && from_words == home)
    }

    /// The shortest way from the rows of one table to the single row of another that each belongs to.
    pub(super) fn path(&self, from: TableId, to: TableId) -> Option<Vec<(ColumnId, ColumnId)>> {
        let mut came: HashMap<TableId, (ColumnId, ColumnId)> = HashMap::new();
        let mut queue = VecDeque::from([from]);
        while let Some(table) = queue.pop_front() {
            if table == to {
                let mut path = Vec::new();
                let mut at = to;
                while at != from {
                    let edge = came[&at];
                    path.push(edge);
                    at = self.columns[edge.0].table;
                }
                path.reverse();
                return Some(path);
            }
            for &(source, target) in self
                .edges
                .iter()
                .filter(|edge| self.columns[edge.0].table == table)
            {
                let next = self.columns[target].table;
                if next != from && !came.contains_key(&next) {
                    came.insert(next, (source, target));
                    queue.push_back(next);
                }
            }
        }
        None
    }

    pub(super) fn joins(
        &self,
        base: TableId,
        tables: impl IntoIterator<Item = TableId>,
    ) -> Option<Vec<Join>> {
        let mut joins: Vec<Join> = Vec::new();
        for table in tables {
            for (from, to) in self.path(base, table)? {
                let join = Join {
                    from: self.reference(from),
                    to: self.reference(to),
                };
                if !joins.contains(&join) {
                    joins.push(join);
                }
            }
        }
        Some(joins)
    }

    /// Pointers of other tables to this table's key.
    pub(super) fn edges_into(&self, table: TableId) -> impl Iterator<Item = (ColumnId, ColumnId)> {
        self.edges
            .iter()
            .copied()
            .filter(move |edge| self.columns[edge.1].table == table)
    }

    /// The column that names a row of the table to people.
    pub(super) fn label(&self, table: TableId) -> Option<ColumnId> {
        let words = &self.table_words[table];
        let rank = |column: &Column<'_>| -> u32 {
            let is_text = column.profile.column_type == ColumnType::Text;
            let own: Vec<&String> = column.words.iter().filter(|word| !words.contains(word)).collect();
            let names_it = own.len() == 1 && matches!(own[0].as_str(), "name" | "title" | "label");
            match () {
                () if is_text && (names_it || column.words == *words) => 0,
                () if is_text && column.has_word(&["name", "title"]) => 1,
                () if self.is_key(column) => 2,
                () => 9,
            }
        };
        let (id, best) = self
            .columns_of(table)
            .map(|(id, column)| (id, rank(column)))
            .min_by_key(|(_, rank)| *rank)?;
        (best < 9).then_some(id)
    }

    /// The key of a table.
    pub(super) fn key(&self, table: TableId) -> Option<ColumnId> {
        let own = |column: &Column<'_>| {
            column
                .words
                .iter()
                .any(|word| self.table_words[table].contains(word))
        };
        self.columns_of(table)
            .filter(|(_, column)| self.is_key(column))
            .min_by_key(|(id, column)| (!own(column) && column.words.len() > 1, *id))
            .map(|(id, _)| id)
    }

    /// When the rows of a table happened: its own first date, or that of a row it belongs to.
    pub(super) fn time_column(&self, base: TableId) -> Option<ColumnId> {
        let rank = |column: &Column<'_>, hops: usize| -> u32 {
            let late = self.is_late_column(column);
            let early = column.has_word(&[
                "order",
                "date",
                "created",
                "invoice",
                "transaction",
                "sold",
                "placed",
            ]);
            u32::try_from(hops).unwrap_or(u32::MAX / 8) * 4 + if late { 6 } else { u32::from(!early) }
        };
        self.columns
            .iter()
            .enumerate()
            .filter(|(_, column)| column.is_time())
            .filter_map(|(id, column)| Some((id, rank(column, self.path(base, column.table)?.len()))))
            .min_by_key(|(id, rank)| (*rank, *id))
            .map(|(id, _)| id)
    }

    /// Does the date tell of something other than when the row came about?
    pub(super) fn is_late(&self, id: ColumnId) -> bool {
        self.is_late_column(&self.columns[id])
    }

    fn is_late_column(&self, column: &Column<'_>) -> bool {
        column.has_word(&[
            "due",
            "ship",
            "shipped",
            "paid",
            "end",
            "birth",
            "updated",
            "modified",
            "delivered",
            "last",
            "since",
            "expiry",
        ])
    }

    /// The column that says in which of several currencies the rows' money is.
    pub(super) fn currency_column(&self, base: TableId) -> Option<ColumnId> {
        self.columns
            .iter()
            .enumerate()
            .filter(|(_, column)| column.profile.role == ColumnRole::Currency && column.profile.distinct > 1)
            .filter_map(|(id, column)| Some((self.path(base, column.table)?.len(), id)))
            .min()
            .map(|(_, id)| id)
    }

    /// Revenue worked out of a table's quantity, price and discount, where no column holds it.
    pub(super) fn revenue(&self) -> Option<(TableId, Measure)> {
        (0..self.tables.len()).find_map(|table| Some((table, self.revenue_of(table)?)))
    }

    fn revenue_of(&self, table: TableId) -> Option<Measure> {
        let find = |wanted: &[&str], avoided: &[&str]| {
            self.columns_of(table)
                .filter(|(_, column)| {
                    column.is_numeric() && column.has_word(wanted) && !column.has_word(avoided)
                })
                .map(|(id, _)| id)
                .next()
        };
        let quantity = find(
            &["quantity", "qty", "unit"],
            &["price", "cost", "stock", "reorder", "hand"],
        )?;
        let price = find(&["price"], &["cost", "list", "total"])?;
        let discount = find(&["discount", "rebate"], &[]).map(|id| Discount {
            column: self.reference(id),
            kind: discount_kind(&self.columns[id]),
        });
        Some(Measure::Revenue {
            quantity: self.reference(quantity),
            price: self.reference(price),
            discount,
        })
    }
}

fn discount_kind(column: &Column<'_>) -> DiscountKind {
    let largest = column
        .profile
        .max
        .as_ref()
        .and_then(meterbox_core::contract::Cell::as_f64);
    if column.has_word(&["percent", "pct", "percentage"]) {
        return if largest.is_some_and(|largest| largest <= 1.0) {
            DiscountKind::Rate
        } else {
            DiscountKind::Percent
        };
    }
    match largest {
        Some(largest) if largest <= 1.0 && largest > 0.0 => DiscountKind::Rate,
        _ => DiscountKind::Amount,
    }
}

fn values_fit(from: &ColumnProfile, to: &ColumnProfile) -> bool {
    let is_number = |kind| {
        matches!(
            kind,
            ColumnType::Integer | ColumnType::Decimal | ColumnType::Number
        )
    };
    if from.column_type != to.column_type && !(is_number(from.column_type) && is_number(to.column_type)) {
        return false;
    }
    // A pointer cannot have clearly more values than there are keys.
    if from.distinct > to.distinct + to.distinct / 20 + 1 {
        return false;
    }
    let bound = |cell: &Option<meterbox_core::contract::Cell>| {
        cell.as_ref().and_then(meterbox_core::contract::Cell::as_f64)
    };
    match (bound(&from.min), bound(&from.max), bound(&to.min), bound(&to.max)) {
        (Some(from_min), Some(from_max), Some(to_min), Some(to_max)) => {
            from_min >= to_min && from_max <= to_max
        }
        _ => true,
    }
}
