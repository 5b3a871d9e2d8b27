//! Writes SQL from a resolved query: quoting, aliases, literals, the two dialects.
//!
//! Decides nothing about meaning: earlier steps settle what a query selects and joins.

use std::collections::HashMap;

use super::graph::Edge;
use super::schema::{At, Holds, Schema};
use super::text::name_words;
use super::windows::Unit;
use super::words::{Function, Op};
use crate::dialect::Dialect;
use crate::quoting;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    Column(At),
    /// The column as a number, cast where it is kept as text.
    Number(At),
    Count,
    CountDistinct(At),
    Aggregate(Function, Box<Expr>),
    Product(At, At),
    Bucket(Unit, At),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Number(f64),
    Text(String),
    Word(&'static str),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Condition {
    Compare(Expr, Op, Literal),
    In(Expr, Vec<Literal>),
    Between(Expr, f64, f64),
    NotNull(At),
    /// The rows that meet the condition, and all rows below them by a key of the table to itself.
    Tree {
        key: At,
        parent: At,
        top: Box<Condition>,
    },
    Exists(Inner),
    NotExists(Inner),
    Counted(Inner, Expr, Op, f64),
}

/// A sub-query that a foreign key links to the outer query.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Inner {
    pub root: usize,
    pub joins: Vec<Edge>,
    /// From a table of the sub-query to a table outside.
    pub link: Edge,
    pub conditions: Vec<Condition>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Select {
    pub root: usize,
    pub joins: Vec<Edge>,
    pub columns: Vec<(Expr, Option<String>)>,
    pub distinct: bool,
    pub conditions: Vec<Condition>,
    pub group: Vec<Expr>,
    pub order: Vec<(Expr, bool)>,
    pub limit: Option<u32>,
}

/// Writes the query.
pub(super) fn write(select: &Select, schema: Schema, dialect: Dialect) -> String {
    let mut writer = Writer { schema, dialect, aliases: HashMap::new(), used: Vec::new() };
    writer.select(select)
}

struct Writer<'a> {
    schema: Schema<'a>,
    dialect: Dialect,
    /// Alias of each table in scope. Empty for a query of one table.
    aliases: HashMap<usize, String>,
    used: Vec<String>,
}

impl Writer<'_> {
    fn select(&mut self, select: &Select) -> String {
        let inner = select
            .conditions
            .iter()
            .any(|c| matches!(c, Condition::Exists(_) | Condition::NotExists(_) | Condition::Counted(..)));
        if !select.joins.is_empty() || inner {
            self.alias(select.root);
            for edge in &select.joins {
                self.alias(edge.parent);
            }
        }
        let columns: Vec<String> = select
            .columns
            .iter()
            .map(|(expr, name)| match name {
                Some(name) => format!("{} AS {}", self.expr(expr), self.name(name)),
                None => self.expr(expr),
            })
            .collect();
        let distinct = if select.distinct { "DISTINCT " } else { "" };
        let mut sql = format!("SELECT {distinct}{} FROM {}", columns.join(", "), self.from(select.root, &select.joins));
        let conditions: Vec<String> = select.conditions.iter().map(|condition| self.condition(condition)).collect();
        if !conditions.is_empty() {
            sql.push_str(" WHERE ");
            sql.push_str(&conditions.join(" AND "));
        }
        if !select.group.is_empty() {
            let group: Vec<String> = select.group.iter().map(|expr| self.expr(expr)).collect();
            sql.push_str(" GROUP BY ");
            sql.push_str(&group.join(", "));
        }
        if !select.order.is_empty() {
            let order: Vec<String> = select
                .order
                .iter()
                .map(|(expr, desc)| {
                    let named = select.columns.iter().find_map(|(known, name)| name.as_ref().filter(|_| known == expr));
                    let key = named.map_or_else(|| self.expr(expr), |name| self.name(name));
                    if *desc { format!("{key} DESC") } else { key }
                })
                .collect();
            sql.push_str(" ORDER BY ");
            sql.push_str(&order.join(", "));
        }
        if let Some(limit) = select.limit {
            sql.push_str(&format!(" LIMIT {limit}"));
        }
        sql
    }

    fn from(&self, root: usize, joins: &[Edge]) -> String {
        let mut from = self.table(root);
        for edge in joins {
            let on: Vec<String> = edge
                .pairs
                .iter()
                .map(|(c, p)| format!("{} = {}", self.field(edge.parent, p), self.field(edge.child, c)))
                .collect();
            from.push_str(&format!(" JOIN {} ON {}", self.table(edge.parent), on.join(" AND ")));
        }
        from
    }

    fn inner(&mut self, inner: &Inner, what: &str, count: Option<&Expr>) -> String {
        let outer = self.aliases.clone();
        self.alias(inner.root);
        for edge in &inner.joins {
            self.alias(edge.parent);
        }
        let what = count.map_or_else(|| what.to_owned(), |expr| self.expr(expr));
        let link: Vec<String> = inner
            .link
            .pairs
            .iter()
            .map(|(c, p)| {
                let parent = outer.get(&inner.link.parent).map(|alias| format!("{alias}.{}", self.name(p)));
                format!(
                    "{} = {}",
                    self.field(inner.link.child, c),
                    parent.unwrap_or_else(|| self.field(inner.link.parent, p))
                )
            })
            .collect();
        let mut all = link;
        for condition in &inner.conditions {
            let text = self.condition(condition);
            all.push(text);
        }
        let sql = format!("SELECT {what} FROM {} WHERE {}", self.from(inner.root, &inner.joins), all.join(" AND "));
        self.aliases = outer;
        sql
    }

    fn condition(&mut self, condition: &Condition) -> String {
        match condition {
            Condition::Compare(expr, op, literal) => {
                let left = self.expr(expr);
                match (op, literal) {
                    (Op::Contains | Op::StartsWith | Op::EndsWith, Literal::Text(text)) => {
                        let (before, after) = match op {
                            Op::Contains => ("%", "%"),
                            Op::StartsWith => ("", "%"),
                            _ => ("%", ""),
                        };
                        match self.dialect {
                            Dialect::Sqlite => {
                                format!("{left} LIKE {}", quoting::literal(&format!("{before}{text}{after}")))
                            }
                            Dialect::Postgresql => {
                                format!(
                                    "LOWER({left}) LIKE {}",
                                    quoting::literal(&format!("{before}{}{after}", text.to_lowercase()))
                                )
                            }
                        }
                    }
                    _ => format!("{left} {} {}", op.sql(), self.literal(literal)),
                }
            }
            Condition::In(expr, values) => {
                let values: Vec<String> = values.iter().map(|value| self.literal(value)).collect();
                format!("{} IN ({})", self.expr(expr), values.join(", "))
            }
            Condition::Between(expr, low, high) => {
                format!("{} BETWEEN {} AND {}", self.expr(expr), number(*low), number(*high))
            }
            Condition::NotNull(at) => format!("{} IS NOT NULL", self.expr(&Expr::Column(*at))),
            Condition::Tree { key, parent, top } => {
                let outer = self.expr(&Expr::Column(*key));
                let aliases = std::mem::take(&mut self.aliases);
                let (table, id, up) =
                    (self.table(key.0), self.expr(&Expr::Column(*key)), self.expr(&Expr::Column(*parent)));
                let top = self.condition(top);
                self.aliases = aliases;
                format!(
                    "{outer} IN (WITH RECURSIVE tree(id) AS (SELECT {id} FROM {table} WHERE {top} \
                     UNION SELECT below.{id} FROM {table} below JOIN tree ON below.{up} = tree.id) SELECT id FROM tree)"
                )
            }
            Condition::Exists(inner) => format!("EXISTS ({})", self.inner(inner, "1", None)),
            Condition::NotExists(inner) => format!("NOT EXISTS ({})", self.inner(inner, "1", None)),
            Condition::Counted(inner, count, op, value) => {
                format!("({}) {} {}", self.inner(inner, "", Some(count)), op.sql(), number(*value))
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
            Expr::Number(at) | Expr::Column(at) => declared(at),
            Expr::Product(one, two) => match (declared(one), declared(two)) {
                (None, None) => None,
                (one, two) => Some(one.unwrap_or(0) + two.unwrap_or(0)),
            },
            Expr::Count | Expr::CountDistinct(_) | Expr::Aggregate(..) | Expr::Bucket(..) => None,
        }
    }

    fn expr(&self, expr: &Expr) -> String {
        match expr {
            Expr::Column(at) => self.field(at.0, &self.schema.column(*at).name),
            Expr::Number(at) => {
                let field = self.expr(&Expr::Column(*at));
                match (self.schema.holds(*at), self.dialect) {
                    (Holds::NumberAsText, Dialect::Sqlite) => format!("CAST({field} AS REAL)"),
                    (Holds::NumberAsText, Dialect::Postgresql) => format!("CAST({field} AS numeric)"),
                    _ => field,
                }
            }
            Expr::Count => "COUNT(*)".to_owned(),
            Expr::CountDistinct(at) => format!("COUNT(DISTINCT {})", self.expr(&Expr::Column(*at))),
            Expr::Aggregate(function, inner) => {
                let aggregate = format!("{}({})", function.sql(), self.expr(inner));
                match self.scale(inner) {
                    Some(places) if *function == Function::Sum => format!("ROUND({aggregate}, {places})"),
                    _ => aggregate,
                }
            }
            Expr::Product(one, two) => {
                format!("{} * {}", self.expr(&Expr::Number(*one)), self.expr(&Expr::Number(*two)))
            }
            Expr::Bucket(unit, at) => {
                let field = self.expr(&Expr::Column(*at));
                let text = self.schema.holds(*at) == Holds::DateAsText || self.dialect == Dialect::Sqlite;
                let (length, format) = match unit {
                    Unit::Year => (4, "YYYY"),
                    Unit::Month => (7, "YYYY-MM"),
                    _ => (10, "YYYY-MM-DD"),
                };
                if text { format!("substr({field}, 1, {length})") } else { format!("to_char({field}, '{format}')") }
            }
        }
    }

    fn literal(&self, literal: &Literal) -> String {
        match literal {
            Literal::Number(value) => number(*value),
            Literal::Text(text) => quoting::literal(text),
            Literal::Word(word) => (*word).to_owned(),
        }
    }

    fn table(&self, t: usize) -> String {
        let name = &self.schema.table(t).name;
        let name = match (self.dialect, name.split_once('.')) {
            // As PostgreSQL's catalog spells it.
            (Dialect::Postgresql, _) if name.contains('"') => name.clone(),
            (Dialect::Postgresql, Some((schema, bare))) => format!("{}.{}", self.name(schema), self.name(bare)),
            _ => self.name(name),
        };
        self.aliases.get(&t).map_or_else(|| name.clone(), |alias| format!("{name} {alias}"))
    }

    fn field(&self, t: usize, column: &str) -> String {
        let column = self.name(column);
        self.aliases.get(&t).map_or_else(|| column.clone(), |alias| format!("{alias}.{column}"))
    }

    fn name(&self, name: &str) -> String {
        quoting::name(self.dialect, name)
    }

    fn alias(&mut self, t: usize) {
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
        self.aliases.insert(t, alias);
    }
}

/// Writes the number without a needless fraction.
pub(super) fn number(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 9e15 { format!("{}", value as i64) } else { format!("{value}") }
}

/// Returns the value that means "yes" in a column with at most two known values.
pub(super) fn truth(values: &[String]) -> Option<&'static str> {
    const PAIRS: [(&str, &str); 7] =
        [("1", "0"), ("Y", "N"), ("y", "n"), ("yes", "no"), ("Yes", "No"), ("T", "F"), ("true", "false")];
    if values.is_empty() || values.len() > 2 {
        return None;
    }
    PAIRS.iter().find(|(yes, no)| values.iter().all(|value| value == yes || value == no)).map(|(yes, _)| *yes)
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
        assert_eq!(truth(&values(&["0", "1"])), Some("1"));
        assert_eq!(truth(&values(&["N"])), Some("Y"));
        assert_eq!(truth(&values(&["red", "blue"])), None);
        assert_eq!(truth(&[]), None);
    }
}
