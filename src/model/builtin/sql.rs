//! Writes SQL from a resolved query: quoting, aliases, literals, the two dialects.
//!
//! Decides nothing about meaning: earlier steps settle what a query selects and joins.

use super::cues::{Function, Op};
use super::graph::Step;
use super::schema::{At, Holds, Schema};
use super::text::name_words;
use super::windows::Unit;
use crate::dialect::Dialect;
use crate::quoting;

/// A table of a query: the root, or one that a key joins to an earlier table of the same query.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub table: usize,
    /// Position of the earlier table, and the key.
    pub via: Option<(usize, Step)>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    Column(usize, At),
    Count,
    /// Percentage of the rows for which all of these hold.
    Share(Vec<Condition>),
    CountDistinct(usize, At),
    Aggregate(Function, Box<Expr>),
    Product(usize, At, At),
    Bucket(Unit, usize, At),
    /// Number of rows of a sub-query.
    Counted(Box<Branch>),
    /// A sum or another aggregate of a sub-query.
    Measured(Box<Branch>, Box<Expr>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Number(f64),
    Text(String),
    /// TRUE or FALSE.
    Word(&'static str),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Condition {
    Compare(Expr, Op, Literal),
    In(Expr, Vec<Literal>, bool),
    NotNull(Expr),
    Null(Expr),
    /// Compared with another column of the same table.
    Columns(Expr, Op, At),
    /// Compared with the average over the whole table.
    Average(Expr, Op, At),
    Any(Vec<Condition>),
    All(Vec<Condition>),
    /// False for NOT EXISTS.
    Exists(Branch, bool),
}

/// A sub-query whose first table a key links to a table outside.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Branch {
    /// Position of the table outside.
    pub from: usize,
    pub link: Step,
    pub nodes: Vec<Node>,
    pub conditions: Vec<Condition>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Query {
    pub nodes: Vec<Node>,
    pub columns: Vec<(Expr, Option<String>)>,
    pub is_distinct: bool,
    pub conditions: Vec<Condition>,
    pub groups: Vec<Expr>,
    /// Number of rows of a group.
    pub having: Option<(Op, f64)>,
    pub order: Vec<(Expr, bool)>,
    pub limit: Option<u32>,
}

/// Writes the query.
pub(super) fn write(query: &Query, schema: Schema, dialect: Dialect) -> String {
    let mut writer = Writer { schema, dialect, used: Vec::new() };
    let has_inner = query.conditions.iter().any(has_branch)
        || query.columns.iter().any(|(expr, _)| match expr {
            Expr::Counted(_) | Expr::Measured(..) => true,
            Expr::Share(part) => part.iter().any(has_branch),
            _ => false,
        })
        || query.order.iter().any(|(expr, _)| matches!(expr, Expr::Counted(_) | Expr::Measured(..)));
    let aliases = if query.nodes.len() > 1 || has_inner { writer.aliases(&query.nodes) } else { vec![None] };
    writer.query(query, &aliases)
}

fn has_branch(condition: &Condition) -> bool {
    match condition {
        Condition::Exists(..) => true,
        Condition::Compare(expr, ..) => matches!(expr, Expr::Counted(_) | Expr::Measured(..)),
        Condition::Any(all) | Condition::All(all) => all.iter().any(has_branch),
        _ => false,
    }
}

type Aliases = [Option<String>];

struct Writer<'a> {
    schema: Schema<'a>,
    dialect: Dialect,
    used: Vec<String>,
}

impl Writer<'_> {
    fn query(&mut self, query: &Query, aliases: &Aliases) -> String {
        let mut columns = Vec::new();
        for (expr, name) in &query.columns {
            // A text that holds numbers is shown as it is.
            let text = self.shown(expr, aliases);
            columns.push(name.as_ref().map_or_else(|| text.clone(), |name| format!("{text} AS {}", self.name(name))));
        }
        let distinct = if query.is_distinct { "DISTINCT " } else { "" };
        let mut sql = format!("SELECT {distinct}{} FROM {}", columns.join(", "), self.from(&query.nodes, aliases));
        self.push_conditions(&mut sql, " WHERE ", &query.conditions, aliases);
        if !query.groups.is_empty() {
            let groups: Vec<String> = query.groups.iter().map(|expr| self.shown(expr, aliases)).collect();
            sql.push_str(&format!(" GROUP BY {}", groups.join(", ")));
        }
        if let Some((op, value)) = query.having {
            sql.push_str(&format!(" HAVING COUNT(*) {} {}", op.sql(), number(value)));
        }
        if !query.order.is_empty() {
            let mut keys = Vec::new();
            for (expr, desc) in &query.order {
                let named = query.columns.iter().find_map(|(known, name)| name.as_ref().filter(|_| known == expr));
                let key = match named {
                    Some(name) => self.name(name),
                    None => self.expr(expr, aliases),
                };
                // In descending order PostgreSQL puts NULL first, and SQLite puts it last.
                let may_be_null = match expr {
                    Expr::Column(_, at) => self.schema.column(*at).nullable,
                    Expr::Measured(_, what) if matches!(**what, Expr::CountDistinct(..)) => false,
                    Expr::Aggregate(..)
                    | Expr::Measured(..)
                    | Expr::Product(..)
                    | Expr::Bucket(..)
                    | Expr::Share(_) => true,
                    Expr::Count | Expr::CountDistinct(..) | Expr::Counted(_) => false,
                };
                let nulls = if may_be_null && self.dialect == Dialect::Postgresql { " NULLS LAST" } else { "" };
                keys.push(if *desc { format!("{key} DESC{nulls}") } else { key });
            }
            sql.push_str(&format!(" ORDER BY {}", keys.join(", ")));
        }
        if let Some(limit) = query.limit {
            sql.push_str(&format!(" LIMIT {limit}"));
        }
        sql
    }

    fn push_conditions(&mut self, sql: &mut String, keyword: &str, conditions: &[Condition], aliases: &Aliases) {
        let all: Vec<String> = conditions.iter().map(|condition| self.condition(condition, aliases, false)).collect();
        if !all.is_empty() {
            sql.push_str(keyword);
            sql.push_str(&all.join(" AND "));
        }
    }

    fn from(&self, nodes: &[Node], aliases: &Aliases) -> String {
        let mut from = String::new();
        for (at, node) in nodes.iter().enumerate() {
            let table = self.table(node.table, aliases.get(at).and_then(Option::as_deref));
            match &node.via {
                None => from.push_str(&table),
                Some((before, step)) => {
                    from.push_str(&format!(
                        " JOIN {table} ON {}",
                        self.on(step, aliases.get(*before), aliases.get(at))
                    ));
                }
            }
        }
        from
    }

    /// The equality of a key. `near` is the alias of the table where the step begins.
    fn on(&self, step: &Step, near: Option<&Option<String>>, far: Option<&Option<String>>) -> String {
        let (child, parent) = if step.is_up { (near, far) } else { (far, near) };
        let field = |alias: Option<&Option<String>>, name: &String| self.field(alias.and_then(Option::as_deref), name);
        let pairs = step.edge.pairs.iter().map(|(c, p)| format!("{} = {}", field(parent, p), field(child, c)));
        pairs.collect::<Vec<_>>().join(" AND ")
    }

    fn branch(&mut self, branch: &Branch, what: Option<&Expr>, outer: &Aliases) -> String {
        let aliases = self.aliases(&branch.nodes);
        let what = what.map_or_else(|| "1".to_owned(), |expr| self.expr(expr, &aliases));
        let link = self.on(&branch.link, outer.get(branch.from), aliases.first());
        let mut sql = format!("SELECT {what} FROM {} WHERE {link}", self.from(&branch.nodes, &aliases));
        self.push_conditions(&mut sql, " AND ", &branch.conditions, &aliases);
        sql
    }

    fn condition(&mut self, condition: &Condition, aliases: &Aliases, is_inner: bool) -> String {
        let joined = |parts: Vec<String>, word: &str| {
            let text = parts.join(word);
            if is_inner || word == " OR " { format!("({text})") } else { text }
        };
        match condition {
            Condition::Compare(expr, op @ (Op::Contains | Op::Starts | Op::Ends), Literal::Text(text)) => {
                let left = self.expr(expr, aliases);
                let (before, after) = match op {
                    Op::Contains => ("%", "%"),
                    Op::Starts => ("", "%"),
                    _ => ("%", ""),
                };
                let keyword = if self.dialect == Dialect::Sqlite { "LIKE" } else { "ILIKE" };
                format!("{left} {keyword} {}", quoting::literal(&format!("{before}{text}{after}")))
            }
            Condition::Compare(expr, op, literal) => {
                format!("{} {} {}", self.expr(expr, aliases), op.sql(), self.literal(literal))
            }
            Condition::Columns(expr, op, other) => {
                let Expr::Column(node, _) = expr else { return String::from("FALSE") };
                let other = Expr::Column(*node, *other);
                format!("{} {} {}", self.expr(expr, aliases), op.sql(), self.expr(&other, aliases))
            }
            Condition::In(expr, values, is_in) => {
                let values: Vec<String> = values.iter().map(|value| self.literal(value)).collect();
                let keyword = if *is_in { "IN" } else { "NOT IN" };
                format!("{} {keyword} ({})", self.expr(expr, aliases), values.join(", "))
            }
            Condition::NotNull(expr) => format!("{} IS NOT NULL", self.expr(expr, aliases)),
            Condition::Null(expr) => format!("{} IS NULL", self.expr(expr, aliases)),
            Condition::Average(expr, op, at) => {
                let own = self.expr(&Expr::Column(0, *at), &[None]);
                let table = self.table(at.0, None);
                format!("{} {} (SELECT AVG({own}) FROM {table})", self.expr(expr, aliases), op.sql())
            }
            Condition::Any(all) => {
                let parts = all.iter().map(|one| self.condition(one, aliases, true)).collect();
                joined(parts, " OR ")
            }
            Condition::All(all) => {
                let parts = all.iter().map(|one| self.condition(one, aliases, true)).collect();
                joined(parts, " AND ")
            }
            Condition::Exists(branch, exists) => {
                let keyword = if *exists { "EXISTS" } else { "NOT EXISTS" };
                format!("{keyword} ({})", self.branch(branch, None, aliases))
            }
        }
    }

    /// Decimal places of a sum on SQLite, which keeps decimals as binary floats. They are those of the declared type,
    /// such as `NUMERIC(10,2)`.
    fn scale(&self, expr: &Expr) -> Option<u32> {
        let declared = |at: &At| {
            let (_, scale) = self.schema.column(*at).type_name.split_once('(')?.1.split_once(',')?;
            scale.trim_end_matches(')').trim().parse::<u32>().ok()
        };
        if self.dialect != Dialect::Sqlite {
            return None;
        }
        match expr {
            Expr::Column(_, at) => declared(at),
            Expr::Product(_, one, two) => match (declared(one), declared(two)) {
                (None, None) => None,
                (one, two) => Some(one.unwrap_or(0) + two.unwrap_or(0)),
            },
            _ => None,
        }
    }

    /// An expression as it is shown and grouped: a number that is stored as text stays a text.
    fn shown(&mut self, expr: &Expr, aliases: &Aliases) -> String {
        match expr {
            Expr::Column(node, at) => {
                let alias = aliases.get(*node).and_then(Option::as_deref);
                self.field(alias, &self.schema.column(*at).name)
            }
            _ => self.expr(expr, aliases),
        }
    }

    fn expr(&mut self, expr: &Expr, aliases: &Aliases) -> String {
        let alias = |node: &usize| aliases.get(*node).and_then(Option::as_deref);
        match expr {
            Expr::Column(node, at) => {
                let field = self.field(alias(node), &self.schema.column(*at).name);
                match (self.schema.holds(*at), self.dialect) {
                    (Holds::NumberAsText, Dialect::Sqlite) => format!("CAST({field} AS REAL)"),
                    (Holds::NumberAsText, Dialect::Postgresql) => format!("CAST({field} AS numeric)"),
                    _ => field,
                }
            }
            Expr::Count => "COUNT(*)".to_owned(),
            Expr::Share(part) => {
                let part: Vec<String> = part.iter().map(|one| self.condition(one, aliases, true)).collect();
                format!("100.0 * COUNT(CASE WHEN {} THEN 1 END) / NULLIF(COUNT(*), 0)", part.join(" AND "))
            }
            Expr::CountDistinct(node, at) => {
                format!("COUNT(DISTINCT {})", self.field(alias(node), &self.schema.column(*at).name))
            }
            Expr::Aggregate(function, inner) => {
                let aggregate = format!("{}({})", function.sql(), self.expr(inner, aliases));
                match self.scale(inner) {
                    Some(places) if *function == Function::Sum => format!("ROUND({aggregate}, {places})"),
                    _ => aggregate,
                }
            }
            Expr::Product(node, one, two) => {
                format!(
                    "{} * {}",
                    self.expr(&Expr::Column(*node, *one), aliases),
                    self.expr(&Expr::Column(*node, *two), aliases)
                )
            }
            Expr::Bucket(unit, node, at) => {
                let field = self.field(alias(node), &self.schema.column(*at).name);
                let is_text = self.schema.holds(*at) == Holds::DateAsText || self.dialect == Dialect::Sqlite;
                let (length, format) = match unit {
                    Unit::Year => (4, "YYYY"),
                    Unit::Month => (7, "YYYY-MM"),
                    _ => (10, "YYYY-MM-DD"),
                };
                if is_text { format!("substr({field}, 1, {length})") } else { format!("to_char({field}, '{format}')") }
            }
            Expr::Counted(branch) => format!("({})", self.branch(branch, Some(&Expr::Count), aliases)),
            Expr::Measured(branch, what) => format!("({})", self.branch(branch, Some(what), aliases)),
        }
    }

    fn literal(&self, literal: &Literal) -> String {
        match literal {
            Literal::Number(value) => number(*value),
            Literal::Text(text) => quoting::literal(text),
            Literal::Word(word) => (*word).to_owned(),
        }
    }

    fn table(&self, t: usize, alias: Option<&str>) -> String {
        let name = &self.schema.table(t).name;
        let name = match (self.dialect, name.split_once('.')) {
            // As PostgreSQL's catalog spells it.
            (Dialect::Postgresql, _) if name.contains('"') => name.clone(),
            (Dialect::Postgresql, Some((schema, bare))) => format!("{}.{}", self.name(schema), self.name(bare)),
            _ => self.name(name),
        };
        alias.map_or_else(|| name.clone(), |alias| format!("{name} {alias}"))
    }

    fn field(&self, alias: Option<&str>, column: &str) -> String {
        let column = self.name(column);
        alias.map_or_else(|| column.clone(), |alias| format!("{alias}.{column}"))
    }

    fn name(&self, name: &str) -> String {
        quoting::name(self.dialect, name)
    }

    /// New aliases for the tables of a query, from the initials of their names.
    fn aliases(&mut self, nodes: &[Node]) -> Vec<Option<String>> {
        nodes.iter().map(|node| Some(self.alias(node.table))).collect()
    }

    fn alias(&mut self, t: usize) -> String {
        let initials: String = name_words(self.schema.bare(t))
            .iter()
            .filter_map(|word| word.chars().next())
            .filter(char::is_ascii_alphabetic)
            .collect();
        let base = if initials.is_empty() { "t".to_owned() } else { initials };
        let mut alias = base.clone();
        let mut n = 1;
        while self.used.contains(&alias) || quoting::name(self.dialect, &alias) != alias {
            n += 1;
            alias = format!("{base}{n}");
        }
        self.used.push(alias.clone());
        alias
    }
}

/// Writes the number without a needless fraction.
pub(super) fn number(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 9e15 { format!("{}", value as i64) } else { format!("{value}") }
}

/// Returns the values that mean "yes" and "no" in a column with at most two known values.
pub(super) fn truth(values: &[String]) -> Option<(&'static str, &'static str)> {
    const PAIRS: [(&str, &str); 7] =
        [("1", "0"), ("Y", "N"), ("y", "n"), ("yes", "no"), ("Yes", "No"), ("T", "F"), ("true", "false")];
    if values.is_empty() || values.len() > 2 {
        return None;
    }
    PAIRS.iter().find(|(yes, no)| values.iter().all(|value| value == yes || value == no)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_numbers_and_texts() {
        assert_eq!(
            (number(5.0), number(2.5), quoting::literal("O'Hara")),
            ("5".into(), "2.5".into(), "'O''Hara'".into())
        );
    }

    #[test]
    fn knows_how_columns_say_yes() {
        let values = |list: &[&str]| list.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
        assert_eq!(truth(&values(&["0", "1"])), Some(("1", "0")));
        assert_eq!(truth(&values(&["N"])), Some(("Y", "N")));
        assert_eq!(truth(&values(&["red", "blue"])), None);
        assert_eq!(truth(&[]), None);
    }
}
