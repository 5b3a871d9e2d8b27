//! Finds ties that the LIMIT of a statement hides: "the product with the most sales" may be two products. Pure.

use serde_json::Value;
use sqlparser::ast::{
    Expr, Ident, LimitClause, OrderByExpr, OrderByKind, SelectItem, SetExpr, Statement, Value as Literal, ValueWithSpan,
};
use sqlparser::dialect::{Dialect as Grammar, PostgreSqlDialect, SQLiteDialect};
use sqlparser::parser::Parser;

use crate::dialect::Dialect;

/// Largest LIMIT that is checked for ties. A question with a larger LIMIT asks for a list and not for the most or the
/// least.
const MOST_ROWS: u64 = 50;

/// A statement that returns one row more than the statement it was made from, with the sort keys as its last columns.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Probe {
    pub sql: String,
    /// Number of rows that the original statement returns at most.
    pub limit: u64,
    /// The kind of the second sort key, if there is one. An id as second key only makes the order deterministic, so
    /// equal first keys are a tie. For `Other`, [`Probe::tie`] decides by the values.
    second: Option<Second>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Second {
    /// A column called `id` or `.._id`.
    Id,
    Other,
}

/// The statement that shows whether a tie is hidden. `None` if the statement has no
/// simple ORDER BY with a small LIMIT.
pub(super) fn probe(sql: &str, dialect: Dialect) -> Option<Probe> {
    let grammar: &dyn Grammar = match dialect {
        Dialect::Postgresql => &PostgreSqlDialect {},
        Dialect::Sqlite => &SQLiteDialect {},
    };
    let statements = Parser::parse_sql(grammar, sql).ok()?;
    let [Statement::Query(query)] = statements.as_slice() else { return None };
    let mut query = query.clone();
    let limit = match &mut query.limit_clause {
        Some(LimitClause::LimitOffset { limit: Some(Expr::Value(value)), offset: None, limit_by })
            if limit_by.is_empty() =>
        {
            let Literal::Number(text, _) = &value.value else { return None };
            let limit: u64 = text.to_string().parse().ok().filter(|limit| (1..=MOST_ROWS).contains(limit))?;
            value.value = Literal::Number((limit + 1).to_string().parse().ok()?, false);
            limit
        }
        _ => return None,
    };
    let Some(OrderByKind::Expressions(keys)) = query.order_by.as_ref().map(|order| &order.kind) else { return None };
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    // With DISTINCT, an added column would change which rows are equal. With three or more sort keys, the question is
    // assumed to ask for exactly this order.
    if select.distinct.is_some() || keys.len() > 2 {
        return None;
    }
    let columns = select.projection.clone();
    let keys: Vec<Expr> = keys.iter().map(|key| sorted_by(key, &columns)).collect::<Option<_>>()?;
    let second = keys.get(1).map(|key| if is_id(key) { Second::Id } else { Second::Other });
    // An id is no measure: "the first customer" by id has no ties.
    if keys.first().is_none_or(is_id) {
        return None;
    }
    for (n, expr) in (1..).zip(keys) {
        let alias = Ident::new(format!("tudb_key_{n}"));
        select.projection.push(SelectItem::ExprWithAlias { expr, alias });
    }
    Some(Probe { sql: query.to_string(), limit, second })
}

/// Returns the expression that a sort key stands for. If the key is the alias or the position of a selected column, this is
/// the expression of the column. Otherwise it is the key's own expression.
fn sorted_by(key: &OrderByExpr, columns: &[SelectItem]) -> Option<Expr> {
    let of_column = |column: &SelectItem| match column {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr.clone()),
        _ => None,
    };
    match &key.expr {
        Expr::Value(ValueWithSpan { value: Literal::Number(text, _), .. }) => {
            let place: usize = text.to_string().parse().ok()?;
            // A wildcard stands for any number of columns.
            let before = columns.get(..place)?;
            before.iter().all(|column| of_column(column).is_some()).then(|| of_column(before.last()?))?
        }
        Expr::Identifier(name) => {
            let is_it = |alias: &Ident| alias.value.eq_ignore_ascii_case(&name.value);
            let aliased = columns.iter().find_map(|column| match column {
                SelectItem::ExprWithAlias { expr, alias } if is_it(alias) => Some(expr.clone()),
                _ => None,
            });
            Some(aliased.unwrap_or_else(|| key.expr.clone()))
        }
        other => Some(other.clone()),
    }
}

fn is_id(key: &Expr) -> bool {
    let name = match key {
        Expr::Identifier(name) => Some(name),
        Expr::CompoundIdentifier(parts) => parts.last(),
        _ => None,
    };
    name.is_some_and(|name| name.value.eq_ignore_ascii_case("id") || name.value.to_lowercase().ends_with("_id"))
}

impl Probe {
    /// Returns the first sort key's value if the last row of the original statement and the row after it are tied.
    /// `rows` is the result of the probe.
    pub fn tie<'a>(&self, rows: &'a [Value]) -> Option<&'a Value> {
        let at = usize::try_from(self.limit).ok()?;
        let keys = if self.second.is_some() { 2 } else { 1 };
        let key = |row: usize, n: usize| {
            let cells = rows.get(row)?.as_array()?;
            cells.get(cells.len().checked_sub(keys)? + n)
        };
        let (last, next) = (key(at.checked_sub(1)?, 0)?, key(at, 0)?);
        if last != next || last.is_null() {
            return None;
        }
        // If the second key contains numbers or dates, it may be part of the measure, as in ORDER BY year, month. Rows
        // that differ in it are then not tied.
        let is_order = match self.second {
            Some(Second::Other) => {
                let (last, next) = (key(at - 1, 1)?, key(at, 1)?);
                last != next && [last, next].iter().any(|value| is_number_or_date(value))
            }
            Some(Second::Id) | None => false,
        };
        (!is_order).then_some(last)
    }
}

fn is_number_or_date(value: &Value) -> bool {
    match value {
        Value::Number(_) => true,
        Value::String(text) => text.starts_with(|c: char| c.is_ascii_digit()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn probed(sql: &str) -> Option<String> {
        probe(sql, Dialect::Sqlite).map(|probe| probe.sql)
    }

    #[test]
    fn the_keys_of_the_order_become_columns() {
        assert_eq!(
            probed("SELECT name FROM t GROUP BY name ORDER BY count(*) DESC LIMIT 1").unwrap(),
            "SELECT name, count(*) AS tudb_key_1 FROM t GROUP BY name ORDER BY count(*) DESC LIMIT 2"
        );
        assert_eq!(
            probed("SELECT name, sum(x) AS total FROM t GROUP BY 1 ORDER BY total DESC, name LIMIT 3").unwrap(),
            "SELECT name, sum(x) AS total, sum(x) AS tudb_key_1, name AS tudb_key_2 FROM t GROUP BY 1 ORDER BY total DESC, \
             name LIMIT 4"
        );
        assert_eq!(
            probed("SELECT a, b FROM t ORDER BY 2 LIMIT 1").unwrap(),
            "SELECT a, b, b AS tudb_key_1 FROM t ORDER BY 2 LIMIT 2"
        );
        for sql in [
            "SELECT a FROM t ORDER BY a",
            "SELECT a FROM t ORDER BY id LIMIT 1",
            "SELECT DISTINCT a FROM t ORDER BY a LIMIT 1",
            "SELECT a FROM t ORDER BY year, month, day LIMIT 1",
            "SELECT a FROM t LIMIT 1",
            "SELECT a FROM t ORDER BY a LIMIT 1 OFFSET 2",
            "SELECT a FROM t ORDER BY a LIMIT 500",
            "SELECT * FROM t ORDER BY 2 LIMIT 1",
            "SELECT a FROM t UNION SELECT b FROM u ORDER BY 1 LIMIT 1",
            "not SQL",
        ] {
            assert_eq!(probed(sql), None, "{sql}");
        }
    }

    #[test]
    fn a_tie_is_found_and_a_finer_order_is_none() {
        let tie = |sql: &str, rows: Value| {
            let probe = probe(sql, Dialect::Sqlite).unwrap();
            probe.tie(rows.as_array().unwrap()).cloned()
        };
        let one = "SELECT a FROM t ORDER BY n DESC LIMIT 1";
        assert_eq!(tie(one, json!([["x", 7], ["y", 7]])), Some(json!(7)));
        assert_eq!(tie(one, json!([["x", 7], ["y", 6]])), None);
        assert_eq!(tie(one, json!([["x", null], ["y", null]])), None);
        assert_eq!(tie(one, json!([["x", 7]])), None);
        let by_name = "SELECT a FROM t ORDER BY n DESC, a LIMIT 1";
        assert_eq!(tie(by_name, json!([["x", 7, "x"], ["y", 7, "y"]])), Some(json!(7)));
        let by_id = "SELECT a FROM t ORDER BY n DESC, t.id LIMIT 1";
        assert_eq!(tie(by_id, json!([["x", 7, 1], ["y", 7, 2]])), Some(json!(7)));
        let by_month = "SELECT a FROM t ORDER BY year DESC, month DESC LIMIT 1";
        assert_eq!(tie(by_month, json!([["x", 2026, 5], ["y", 2026, 4]])), None);
    }
}
