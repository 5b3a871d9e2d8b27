//! Compares two result sets. Rows are compared without order, unless the gold statement sorts them. Columns may be in
//! any order if there are at most `ANY_ORDER` columns. Numbers may differ by a tolerance. Pure.

use std::cmp::Ordering;

use serde_json::Value;
use sqlparser::ast::Statement;
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;

/// The relative difference up to which two numbers are equal.
const TOLERANCE: f64 = 1e-6;
/// Maximum number of columns for which every order of the columns is tried.
const ANY_ORDER: usize = 6;
/// Maximum number of rows for which an equal row is looked for, row by row, if the sorted rows differ.
const MATCHED_ROWS: usize = 200;

/// Whether the statement sorts its rows.
pub(super) fn is_ordered(sql: &str) -> bool {
    let parsed = Parser::parse_sql(&GenericDialect {}, sql).unwrap_or_default();
    matches!(parsed.as_slice(), [Statement::Query(query)] if query.order_by.is_some())
}

/// Whether `found` has the same rows as `gold`.
pub(super) fn same(gold: &[Value], found: &[Value], ordered: bool) -> bool {
    let width = |rows: &[Value]| rows.first().and_then(Value::as_array).map_or(0, Vec::len);
    if gold.len() != found.len() || width(gold) != width(found) {
        return false;
    }
    let width = width(gold);
    let mut order: Vec<usize> = (0..width).collect();
    if same_in(gold, found, &order, ordered) {
        return true;
    }
    width <= ANY_ORDER && permutations(&mut order, 0, &mut |order| same_in(gold, found, order, ordered))
}

/// Tries each order of the positions from `from` on until `fits` returns `true`.
fn permutations(order: &mut Vec<usize>, from: usize, fits: &mut impl FnMut(&[usize]) -> bool) -> bool {
    if from >= order.len() {
        return fits(order);
    }
    for at in from..order.len() {
        order.swap(from, at);
        if permutations(order, from + 1, fits) {
            return true;
        }
        order.swap(from, at);
    }
    false
}

fn same_in(gold: &[Value], found: &[Value], order: &[usize], ordered: bool) -> bool {
    let mut gold: Vec<Vec<Cell>> = gold.iter().map(|row| cells(row, None)).collect();
    let mut found: Vec<Vec<Cell>> = found.iter().map(|row| cells(row, Some(order))).collect();
    if !ordered {
        gold.sort_by(|a, b| in_order(a, b));
        found.sort_by(|a, b| in_order(a, b));
    }
    let is_same = |a: &[Cell], b: &[Cell]| a.iter().zip(b).all(|(a, b)| a.is_same(b));
    if gold.iter().zip(&found).all(|(a, b)| is_same(a, b)) {
        return true;
    }
    // Numbers that are equal within the tolerance can put rows into another order. So each row looks for an equal one.
    let may_match = !ordered && gold.len() <= MATCHED_ROWS;
    may_match
        && gold.iter().all(|row| {
            let at = found.iter().position(|other| is_same(row, other));
            at.map(|at| found.swap_remove(at)).is_some()
        })
}

fn in_order(a: &[Cell], b: &[Cell]) -> Ordering {
    let first = a.iter().zip(b).map(|(a, b)| a.order(b)).find(|order| order.is_ne());
    first.unwrap_or(Ordering::Equal)
}

/// A cell for comparison. A numeric arrives as a text of digits, and a boolean of SQLite as a number.
#[derive(Debug)]
enum Cell {
    Null,
    Number(f64),
    Text(String),
}

impl Cell {
    fn of(value: Option<&Value>) -> Self {
        match value {
            None | Some(Value::Null) => Cell::Null,
            Some(Value::Bool(flag)) => Cell::Number(f64::from(u8::from(*flag))),
            Some(Value::Number(number)) => number.as_f64().map_or(Cell::Null, Cell::Number),
            Some(Value::String(text)) => text.parse::<f64>().map_or_else(|_| Cell::Text(text.clone()), Cell::Number),
            Some(other) => Cell::Text(other.to_string()),
        }
    }

    /// The order of cells: NULL, numbers, texts.
    fn order(&self, other: &Cell) -> Ordering {
        let kind = |cell: &Cell| match cell {
            Cell::Null => 0,
            Cell::Number(_) => 1,
            Cell::Text(_) => 2,
        };
        match (self, other) {
            (Cell::Number(a), Cell::Number(b)) => a.total_cmp(b),
            (Cell::Text(a), Cell::Text(b)) => a.cmp(b),
            _ => kind(self).cmp(&kind(other)),
        }
    }

    fn is_same(&self, other: &Cell) -> bool {
        match (self, other) {
            (Cell::Null, Cell::Null) => true,
            (Cell::Number(a), Cell::Number(b)) => (a - b).abs() <= TOLERANCE * a.abs().max(b.abs()).max(1e-3),
            (Cell::Text(a), Cell::Text(b)) => a == b,
            (Cell::Null | Cell::Number(_) | Cell::Text(_), _) => false,
        }
    }
}

fn cells(row: &Value, order: Option<&[usize]>) -> Vec<Cell> {
    let all = row.as_array().map_or(&[][..], Vec::as_slice);
    match order {
        None => all.iter().map(|value| Cell::of(Some(value))).collect(),
        Some(order) => order.iter().map(|at| Cell::of(all.get(*at))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn result_sets_are_compared_as_bags_with_tolerance() {
        let rows = |value: Value| value.as_array().unwrap().clone();
        let equal = |gold, found, ordered| same(&rows(gold), &rows(found), ordered);
        assert!(equal(json!([[1, "a"], [2, "b"]]), json!([[2, "b"], [1, "a"]]), false));
        assert!(!equal(json!([[1, "a"], [2, "b"]]), json!([[2, "b"], [1, "a"]]), true));
        assert!(equal(json!([[1, "a"]]), json!([["a", 1]]), true), "columns in any order");
        assert!(equal(json!([["10.50"]]), json!([[10.5]]), true), "a numeric's digits");
        assert!(equal(json!([[33.333333333]]), json!([[33.33333334]]), false));
        assert!(!equal(json!([[33.3]]), json!([[33.4]]), false));
        assert!(!equal(json!([[1], [1]]), json!([[1], [2]]), false), "a bag counts");
        assert!(!equal(json!([[1]]), json!([[1], [1]]), false));
        assert!(!equal(json!([[null]]), json!([[0]]), false));
        assert!(equal(json!([]), json!([]), true));
        assert!(equal(json!([[1.0001], [1.0002]]), json!([[1.0002], [1.0001]]), false));
        let noisy = json!([[0.1 + 0.2, "a"], [0.3, "b"]]);
        assert!(equal(json!([[0.3, "b"], [0.3, "a"]]), noisy.clone(), false));
        assert!(!equal(json!([[0.3, "b"], [0.3, "b"]]), noisy, false));
        assert!(!equal(json!([[1, 2]]), json!([[1]]), false));
        assert!(is_ordered("SELECT a FROM t ORDER BY a") && !is_ordered("SELECT a FROM (SELECT 1 AS a ORDER BY 1) t"));
    }
}
