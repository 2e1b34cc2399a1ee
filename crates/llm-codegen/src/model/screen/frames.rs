//! Which expressions are listed tables, perhaps with further columns: of these alone it is known which columns they can
//! have. What was grouped, pivoted or counted may be named by values of the data.

use std::collections::{BTreeMap, BTreeSet};

use ruff_python_ast::{
    Arguments, Expr, ExprCall, ExprContext, ExprSubscript, Parameter, Stmt,
    visitor::{self, Visitor},
};

/// Methods whose result has the columns of what they are called on, and perhaps some that are named in the call.
const KEEPING: &[&str] = &[
    "assign",
    "astype",
    "convert_dtypes",
    "copy",
    "drop",
    "drop_duplicates",
    "dropna",
    "fillna",
    "groupby",
    "head",
    "nlargest",
    "nsmallest",
    "query",
    "replace",
    "reset_index",
    "sample",
    "sort_index",
    "sort_values",
    "tail",
];
/// Methods that add the columns of another.
const JOINING: &[&str] = &["join", "merge"];

/// The names that stand for such tables wherever they are used.
#[derive(Debug, Default)]
pub(super) struct Frames {
    names: BTreeSet<String>,
}

impl Frames {
    pub(super) fn of(body: &[Stmt]) -> Self {
        let mut bindings = Bindings::default();
        bindings.visit_body(body);
        let Bindings { given, unknown } = bindings;
        let names = given.keys().filter(|name| !unknown.contains(*name));
        let mut frames = Self {
            names: names.cloned().collect(),
        };
        // Whoever is once given something else drops out, and then whoever was given that one.
        loop {
            let others: Vec<String> = frames
                .names
                .iter()
                .filter(|name| !given[*name].iter().all(|value| frames.has(value)))
                .cloned()
                .collect();
            if others.is_empty() {
                return frames;
            }
            frames.names.retain(|name| !others.contains(name));
        }
    }

    /// Is it a listed table, perhaps with further columns?
    pub(super) fn has(&self, expression: &Expr) -> bool {
        match expression {
            Expr::Name(name) => self.names.contains(name.id.as_str()),
            Expr::Subscript(subscript) => is_a_table(subscript) || self.is_a_part(subscript),
            Expr::Call(call) => self.is_kept_by(call),
            _ => false,
        }
    }

    /// Some rows, or a list of columns; but not one column.
    fn is_a_part(&self, subscript: &ExprSubscript) -> bool {
        let is_one_column = matches!(
            &*subscript.slice,
            Expr::StringLiteral(_) | Expr::FString(_) | Expr::Tuple(_)
        );
        !is_one_column && self.has(&subscript.value)
    }

    fn is_kept_by(&self, call: &ExprCall) -> bool {
        let Expr::Attribute(method) = &*call.func else {
            return false;
        };
        let name = method.attr.as_str();
        if !self.has(&method.value) {
            return false;
        }
        if JOINING.contains(&name) {
            let other = call
                .arguments
                .find_argument_value("right", 0)
                .or_else(|| call.arguments.find_argument_value("other", 0));
            return other.is_some_and(|other| self.has(other));
        }
        match name {
            "rename" => renames_by_list(&call.arguments),
            _ => KEEPING.contains(&name) && names_are_written(&call.arguments),
        }
    }
}

fn is_a_table(subscript: &ExprSubscript) -> bool {
    matches!(&*subscript.value, Expr::Name(name) if name.id.as_str() == "tables")
}

/// `rename(columns={"a": "b"})`, whose new names can be read.
fn renames_by_list(arguments: &Arguments) -> bool {
    arguments
        .find_keyword("columns")
        .is_some_and(|columns| match &columns.value {
            Expr::Dict(names) => names.iter_values().all(Expr::is_string_literal_expr),
            _ => false,
        })
}

/// `assign(**more)` makes columns that nobody can read here.
fn names_are_written(arguments: &Arguments) -> bool {
    arguments.keywords.iter().all(|keyword| {
        keyword.arg.is_some()
            || matches!(&keyword.value, Expr::Dict(names) if names.iter_keys().all(|key| key.is_some_and(Expr::is_string_literal_expr)))
    })
}

/// What each name is given.
#[derive(Debug, Default)]
struct Bindings<'a> {
    given: BTreeMap<String, Vec<&'a Expr>>,
    /// Names that are also given something in other ways, or columns that nobody can read here.
    unknown: BTreeSet<String>,
}

impl Bindings<'_> {
    fn is_unknown(&mut self, expression: &Expr) {
        if let Expr::Name(name) = expression {
            self.unknown.insert(name.id.to_string());
        }
    }
}

impl<'a> Visitor<'a> for Bindings<'a> {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        let Stmt::Assign(assignment) = statement else {
            visitor::walk_stmt(self, statement);
            return;
        };
        for target in &assignment.targets {
            match target {
                Expr::Name(name) => {
                    let given = self.given.entry(name.id.to_string()).or_default();
                    given.push(&assignment.value);
                }
                other => self.visit_expr(other),
            }
        }
        self.visit_expr(&assignment.value);
    }

    fn visit_expr(&mut self, expression: &'a Expr) {
        match expression {
            Expr::Name(name) if name.ctx == ExprContext::Store => self.is_unknown(expression),
            // `frame.columns = [...]`
            Expr::Attribute(attribute) if attribute.ctx == ExprContext::Store => {
                self.is_unknown(&attribute.value);
            }
            // `frame[name] = ...`
            Expr::Subscript(subscript)
                if subscript.ctx == ExprContext::Store && !subscript.slice.is_string_literal_expr() =>
            {
                self.is_unknown(&subscript.value);
            }
            // `frame.rename(columns=str.lower, inplace=True)`, `frame.insert(0, name, ...)`
            Expr::Call(call) => {
                if let Expr::Attribute(method) = &*call.func {
                    let changes = call.arguments.find_keyword("inplace").is_some()
                        || matches!(method.attr.as_str(), "insert" | "update");
                    if changes {
                        self.is_unknown(&method.value);
                    }
                }
            }
            _ => {}
        }
        visitor::walk_expr(self, expression);
    }

    fn visit_parameter(&mut self, parameter: &'a Parameter) {
        self.unknown.insert(parameter.name.to_string());
        visitor::walk_parameter(self, parameter);
    }
}
