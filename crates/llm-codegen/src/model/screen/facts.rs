use std::collections::BTreeSet;

use ruff_python_ast::{
    Expr, ExprAttribute, ExprCall, ExprContext, ExprSubscript, Keyword, Mod, Number, Stmt,
    visitor::{self, Visitor},
};

use super::frames::Frames;

/// Functions that reach out of the program, or that nobody could follow.
const FORBIDDEN_CALLS: &[&str] = &[
    "__import__",
    "breakpoint",
    "compile",
    "delattr",
    "eval",
    "exec",
    "exit",
    "getattr",
    "globals",
    "input",
    "locals",
    "open",
    "quit",
    "setattr",
    "vars",
];
/// Methods that read or write files.
const FILE_METHODS: &[&str] = &[
    "to_clipboard",
    "to_csv",
    "to_excel",
    "to_feather",
    "to_gbq",
    "to_hdf",
    "to_orc",
    "to_parquet",
    "to_pickle",
    "to_sql",
    "to_stata",
];
/// Columns that methods make under names of their own.
const MADE_BY_METHODS: &[&str] = &[
    "0",
    "25%",
    "50%",
    "75%",
    "_merge",
    "count",
    "cumcount",
    "day",
    "freq",
    "index",
    "level_0",
    "level_1",
    "level_2",
    "max",
    "mean",
    "min",
    "percentile",
    "proportion",
    "size",
    "std",
    "sum",
    "top",
    "unique",
    "value",
    "variable",
    "week",
    "year",
];
/// Functions that make a point in time of a year.
const MAKERS_OF_DATES: &[&str] = &["Period", "Timestamp", "date", "datetime"];

/// What a program says of itself, as far as a reader sees without running it.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Modules it imports.
    pub(super) imports: BTreeSet<String>,
    /// What it uses and may not.
    pub(super) forbidden: BTreeSet<String>,
    /// Does it ever set `result`?
    pub(super) sets_result: bool,
    /// Tables it asks for by name.
    pub(super) tables: BTreeSet<String>,
    /// Columns of listed tables that it reads by name.
    pub(super) columns: BTreeSet<String>,
    /// Years written in it.
    pub(super) years: BTreeSet<String>,
    /// Words that may be names it gives: all that is written in it elsewhere.
    words: BTreeSet<String>,
    frames: Frames,
}

impl Facts {
    pub(super) fn of(module: &Mod) -> Self {
        let mut facts = Self::default();
        if let Mod::Module(module) = module {
            facts.frames = Frames::of(&module.body);
            facts.visit_body(&module.body);
        }
        facts
    }

    /// May the program have made this column itself?
    pub(super) fn makes(&self, column: &str) -> bool {
        self.words.contains(column) || MADE_BY_METHODS.contains(&column)
    }

    /// May the program have made it of this one, such as by `suffixes=("_a", "_b")`?
    pub(super) fn makes_of(&self, column: &str, known: &str) -> bool {
        // What pandas appends to names that two tables have.
        let appended = |end: &str| matches!(end, "_x" | "_y") || self.words.contains(end);
        column.strip_prefix(known).is_some_and(appended)
            || column
                .strip_suffix(known)
                .is_some_and(|begin| self.words.contains(begin))
    }

    fn import(&mut self, module: &str) {
        self.imports.insert(module.to_owned());
    }

    fn hear(&mut self, text: &str) {
        self.words.insert(text.to_owned());
        // Names that a query gives.
        let words = text.split(|character: char| !character.is_alphanumeric() && character != '_');
        self.words
            .extend(words.filter(|word| !word.is_empty()).map(str::to_owned));
        self.years.extend(years_of_dates(text));
    }

    fn subscript(&mut self, subscript: &ExprSubscript) {
        let is_tables = matches!(&*subscript.value, Expr::Name(name) if name.id.as_str() == "tables");
        let names = literals(&subscript.slice);
        if is_tables {
            self.tables.extend(names);
        } else if subscript.ctx == ExprContext::Load {
            if self.frames.has(&subscript.value) {
                self.columns.extend(names);
            }
        } else {
            names.iter().for_each(|name| self.hear(name));
        }
    }

    fn call(&mut self, call: &ExprCall) {
        let name = match &*call.func {
            Expr::Name(name) => name.id.as_str(),
            Expr::Attribute(attribute) => attribute.attr.as_str(),
            _ => return,
        };
        if matches!(&*call.func, Expr::Name(_)) && FORBIDDEN_CALLS.contains(&name) {
            self.forbidden.insert(format!("{name}()"));
        }
        if MAKERS_OF_DATES.contains(&name) {
            let named = call.arguments.keywords.iter();
            let named =
                named.filter(|keyword| keyword.arg.as_ref().is_some_and(|arg| arg.as_str() == "year"));
            let given = call.arguments.args.first().into_iter();
            let years = given.chain(named.map(|keyword| &keyword.value)).filter_map(year);
            self.years.extend(years);
        }
    }

    fn attribute(&mut self, attribute: &ExprAttribute) {
        let name = attribute.attr.as_str();
        let is_hidden = is_hidden_name(name);
        let is_a_file = FILE_METHODS.contains(&name) || name.starts_with("read_");
        if is_hidden || is_a_file {
            self.forbidden.insert(format!(".{name}"));
        }
    }

    /// `column.dt.year == 2024`
    fn compared(&mut self, sides: &[&Expr]) {
        let is_year =
            |side: &&Expr| matches!(side, Expr::Attribute(attribute) if attribute.attr.as_str() == "year");
        if sides.iter().any(is_year) {
            self.years.extend(sides.iter().filter_map(|side| year(side)));
        }
    }
}

impl<'a> Visitor<'a> for Facts {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        match statement {
            Stmt::Import(import) => import.names.iter().for_each(|alias| self.import(&alias.name)),
            Stmt::ImportFrom(import) => {
                let module = import.module.as_ref().map_or(".", |module| module.as_str());
                self.import(if import.level > 0 { "." } else { module });
            }
            _ => {}
        }
        visitor::walk_stmt(self, statement);
    }

    fn visit_expr(&mut self, expression: &'a Expr) {
        match expression {
            Expr::Name(name) if name.id.as_str() == "result" && name.ctx == ExprContext::Store => {
                self.sets_result = true;
            }
            Expr::Name(name) if is_hidden_name(&name.id) => {
                self.forbidden.insert(name.id.to_string());
            }
            Expr::Subscript(subscript) => {
                self.subscript(subscript);
                self.visit_expr(&subscript.value);
                // Its names are columns, and not words of the program.
                if literals(&subscript.slice).is_empty() {
                    self.visit_expr(&subscript.slice);
                }
                return;
            }
            Expr::Call(call) => self.call(call),
            Expr::Attribute(attribute) => self.attribute(attribute),
            Expr::Compare(compare) => {
                let sides = std::iter::once(&*compare.left).chain(&compare.comparators);
                self.compared(&sides.collect::<Vec<_>>());
            }
            Expr::StringLiteral(text) => self.hear(text.value.to_str()),
            _ => {}
        }
        visitor::walk_expr(self, expression);
    }

    fn visit_keyword(&mut self, keyword: &'a Keyword) {
        if let Some(name) = &keyword.arg {
            self.words.insert(name.to_string());
        }
        visitor::walk_keyword(self, keyword);
    }
}

fn is_hidden_name(name: &str) -> bool {
    name.starts_with("__") && name.ends_with("__") && name != "__name__"
}

/// The text, or the texts of a list: what is between the brackets of `frame["a"]` and `frame[["a", "b"]]`.
fn literals(expression: &Expr) -> Vec<String> {
    match expression {
        Expr::StringLiteral(text) => vec![text.value.to_str().to_owned()],
        Expr::List(list) => all_literals(&list.elts),
        Expr::Tuple(tuple) => all_literals(&tuple.elts),
        _ => Vec::new(),
    }
}

/// These texts, where they are nothing else.
fn all_literals(expressions: &[Expr]) -> Vec<String> {
    let texts = expressions.iter().map(|expression| match expression {
        Expr::StringLiteral(text) => Some(text.value.to_str().to_owned()),
        _ => None,
    });
    texts.collect::<Option<_>>().unwrap_or_default()
}

fn year(expression: &Expr) -> Option<String> {
    let Expr::NumberLiteral(number) = expression else {
        return None;
    };
    let Number::Int(value) = &number.value else {
        return None;
    };
    let year = value.as_u32().filter(|year| (1900..2100).contains(year))?;
    Some(year.to_string())
}

/// The years of all dates in a text, such as `2024-03-01` in a query; also of a text that is a year.
fn years_of_dates(text: &str) -> Vec<String> {
    let bytes = text.as_bytes();
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let is_date = |at: usize| {
        let begins = at == 0 || !is_digit(at - 1);
        let is_year =
            (at..at + 4).all(is_digit) && (text[at..].starts_with("19") || text[at..].starts_with("20"));
        let goes_on = bytes.get(at + 4) == Some(&b'-') && is_digit(at + 5);
        begins && is_year && (goes_on || bytes.len() == 4)
    };
    let found = (0..bytes.len()).filter(|at| text.is_char_boundary(*at) && is_date(*at));
    found.map(|at| text[at..at + 4].to_owned()).collect()
}
