//! Summarises a query plan in sentences for `explain_query`. Pure.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::dialect::Dialect;
use crate::quoting;

/// The result of explaining a statement.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Explanation {
    /// One sentence for each plan node that matters, the most expensive first.
    pub summary: Vec<String>,
    pub cost: Option<f64>,
    pub estimated_rows: Option<f64>,
    pub actual_rows: Option<f64>,
    pub actual_ms: Option<f64>,
    pub candidate_indexes: Vec<String>,
    pub plan: Value,
    /// What `candidate_indexes` is made from.
    #[serde(skip)]
    pub(super) candidates: Vec<Candidate>,
}

/// An index that may help: the relation and its columns, as a statement writes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub relation: String,
    pub columns: Vec<String>,
}

/// What the catalog says of the relation of a candidate.
pub(super) struct Indexed {
    /// The partitioned table at the top, or the relation itself.
    pub root: String,
    /// The columns of each index without a condition, in order.
    pub indexes: Vec<Vec<String>>,
}

/// Smallest share of the total cost or time at which every node gets a sentence. Leaves, nodes that used the disk and nodes
/// with wrong estimates get a sentence at any share.
const WORTH_SAYING: f64 = 0.05;

/// Smallest share of the total at which a sequential scan gets a candidate index.
const WORTH_AN_INDEX: f64 = 0.3;

/// Smallest factor between estimated and actual rows that is reported as a wrong estimate.
const FAR_OFF: f64 = 10.0;

impl Explanation {
    /// Reads the result of `EXPLAIN (FORMAT JSON)` of PostgreSQL, with or without ANALYZE.
    pub fn from_postgres(mut explained: Value) -> Self {
        // A plan can be large, so it is moved.
        let plan = explained.get_mut(0).and_then(|first| first.get_mut("Plan")).map(Value::take).unwrap_or_default();
        let mut explanation = Explanation {
            cost: number(&plan, "Total Cost"),
            estimated_rows: number(&plan, "Plan Rows"),
            actual_rows: number(&plan, "Actual Rows"),
            actual_ms: explained.get(0).and_then(|first| number(first, "Execution Time")),
            ..Explanation::default()
        };
        let mut reader = PlanReader { whole: weight(&plan), said: Vec::new(), candidates: Vec::new() };
        reader.read(&plan);
        reader.said.sort_by(|a, b| b.0.total_cmp(&a.0));
        explanation.summary = reader.said.into_iter().map(|(_, sentence)| sentence).collect();
        explanation.candidates = reader.candidates;
        explanation.name_candidates();
        explanation.plan = plan;
        explanation
    }

    /// Reads the same result for a source with column rules. A plan also contains policies, index predicates,
    /// partitions and the tables of views, which would reveal denied names and masked values. So only [`PLAIN_KEYS`] of
    /// each node are kept. A relation is kept only if the statement itself names it.
    pub fn from_ruled_postgres(mut explained: Value, is_named: impl Fn(&str) -> bool + Copy) -> Self {
        if let Some(plan) = explained.get_mut(0).and_then(|first| first.get_mut("Plan")) {
            strip(plan, is_named);
        }
        Self::from_postgres(explained)
    }

    fn name_candidates(&mut self) {
        let mut named = Vec::new();
        for Candidate { relation, columns } in &self.candidates {
            let statement = format!("CREATE INDEX ON {relation} ({})", columns.join(", "));
            if !named.contains(&statement) {
                named.push(statement);
            }
        }
        self.candidate_indexes = named;
    }

    /// Leaves out candidates that exist, and names the partitioned table in place of its partitions. `indexed` has an entry
    /// for each relation that the catalog knows.
    pub(super) fn keep_missing(&mut self, indexed: &HashMap<String, Indexed>) {
        self.candidates.retain_mut(|candidate| {
            let Some(known) = indexed.get(&candidate.relation) else { return true };
            candidate.relation.clone_from(&known.root);
            // The server did not use an index that begins with these columns, so another one like it does not help.
            !known.indexes.iter().any(|columns| columns.starts_with(&candidate.columns))
        });
        self.name_candidates();
    }

    /// Reads the rows of SQLite's `EXPLAIN QUERY PLAN`: id, parent, detail.
    pub fn from_sqlite(rows: Vec<(i64, i64, String)>) -> Self {
        let mut summary: Vec<String> = rows.iter().filter_map(|(_, _, detail)| sqlite_step(detail)).collect();
        if summary.is_empty() {
            summary.push("No table is read".to_owned());
        }
        let plan = rows
            .into_iter()
            .map(|(id, parent, detail)| serde_json::json!({"id": id, "parent": parent, "detail": detail}))
            .collect();
        Explanation { summary, plan: Value::Array(plan), ..Explanation::default() }
    }
}

/// Keys of a plan node that reveal no column and no value. Sizes in bytes are not among them: they tell the length of a
/// value that is masked.
const PLAIN_KEYS: [&str; 15] = [
    "Node Type",
    "Parent Relationship",
    "Join Type",
    "Strategy",
    "Startup Cost",
    "Total Cost",
    "Plan Rows",
    "Actual Startup Time",
    "Actual Total Time",
    "Actual Rows",
    "Actual Loops",
    "CTE Name",
    "Subplan Name",
    "Relation Name",
    "Plans",
];

/// Removes everything from a node and its children that may reveal a column or a value.
fn strip(node: &mut Value, is_named: impl Fn(&str) -> bool + Copy) {
    let Some(fields) = node.as_object_mut() else { return };
    fields.retain(|key, value| match key.as_str() {
        "Relation Name" => value.as_str().is_some_and(is_named),
        key => PLAIN_KEYS.contains(&key),
    });
    // The row count of a partition shows whether a row is in that partition. That reveals the row's partition key.
    if fields.get("Node Type").and_then(Value::as_str).is_some_and(|node| node.ends_with("Append")) {
        fields.remove("Plans");
    }
    if let Some(Value::Array(below)) = fields.get_mut("Plans") {
        below.iter_mut().for_each(|child| strip(child, is_named));
    }
}

fn number(node: &Value, key: &str) -> Option<f64> {
    node.get(key).and_then(Value::as_f64)
}

fn text<'a>(node: &'a Value, key: &str) -> Option<&'a str> {
    node.get(key).and_then(Value::as_str)
}

fn children(node: &Value) -> &[Value] {
    node.get("Plans").and_then(Value::as_array).map_or(&[][..], Vec::as_slice)
}

/// Returns the weight of a node and its children: measured milliseconds if the query ran, else the estimated cost.
fn weight(node: &Value) -> f64 {
    let measured = number(node, "Actual Total Time").map(|ms| ms * number(node, "Actual Loops").unwrap_or(1.0));
    measured.or_else(|| number(node, "Total Cost")).unwrap_or(0.0)
}

/// Walks a plan and collects a sentence for each node that matters.
struct PlanReader {
    whole: f64,
    said: Vec<(f64, String)>,
    candidates: Vec<Candidate>,
}

impl PlanReader {
    fn read(&mut self, node: &Value) {
        let below: f64 = children(node).iter().map(weight).sum();
        let share = if self.whole > 0.0 { ((weight(node) - below).max(0.0) / self.whole).min(1.0) } else { 0.0 };
        if share >= WORTH_SAYING || children(node).is_empty() || spills(node) || misjudged(node).is_some() {
            self.said.push((share, sentence(node, share)));
        }
        if text(node, "Node Type") == Some("Seq Scan") && share >= WORTH_AN_INDEX {
            self.suggest_index(node);
        }
        children(node).iter().for_each(|child| self.read(child));
    }

    fn suggest_index(&mut self, node: &Value) {
        let columns =
            text(node, "Filter").map(|filter| filtered_columns(filter, text(node, "Alias"))).unwrap_or_default();
        let (Some(relation), false) = (relation(node), columns.is_empty()) else { return };
        let candidate = Candidate { relation, columns };
        if !self.candidates.contains(&candidate) {
            self.candidates.push(candidate);
        }
    }
}

fn relation(node: &Value) -> Option<String> {
    let name = quoting::name(Dialect::Postgresql, text(node, "Relation Name")?);
    Some(
        text(node, "Schema")
            .map_or_else(|| name.clone(), |schema| format!("{}.{name}", quoting::name(Dialect::Postgresql, schema))),
    )
}

/// Describes one node: what it does, to what, by which condition, with how many rows, and its share of the total.
fn sentence(node: &Value, share: f64) -> String {
    let kind = text(node, "Node Type").unwrap_or("step");
    let mut said = match kind {
        "Seq Scan" => "Sequential scan".to_owned(),
        "Nested Loop" | "Hash Join" | "Merge Join" => match text(node, "Join Type") {
            None | Some("Inner") => kind.to_owned(),
            Some(join) => format!("{kind} ({})", join.to_lowercase()),
        },
        "Aggregate" => match text(node, "Strategy") {
            Some("Hashed") => "Aggregate by hashing".to_owned(),
            Some("Sorted") => "Aggregate of sorted rows".to_owned(),
            _ => "Aggregate".to_owned(),
        },
        other => other.to_owned(),
    };
    let object = relation(node).or_else(|| {
        ["Function Name", "CTE Name", "Subplan Name"].iter().find_map(|key| text(node, key)).map(str::to_owned)
    });
    if let Some(object) = object {
        said.push_str(&format!(" of {object}"));
    }
    if let Some(index) = text(node, "Index Name") {
        said.push_str(&format!(" by index {index}"));
    }
    match (number(node, "Plan Rows"), number(node, "Actual Rows")) {
        (Some(estimated), Some(found)) => {
            let loops = number(node, "Actual Loops").unwrap_or(1.0);
            // PostgreSQL 18 and later report the rows of a repeated node with two decimals.
            if loops > 1.0 && found.fract() != 0.0 {
                said.push_str(&format!(", {found:.2} rows each, {loops:.0} times"));
            } else {
                said.push_str(&format!(", {found:.0} rows"));
                if loops > 1.0 {
                    said.push_str(&format!(", {loops:.0} times"));
                }
            }
            match misjudged(node) {
                Some(factor) => said.push_str(&format!(
                    " ({estimated:.0} expected: {factor:.0} times off, so ANALYZE or better statistics may help)"
                )),
                None => said.push_str(&format!(" ({estimated:.0} expected)")),
            }
        }
        (Some(estimated), None) => said.push_str(&format!(", {estimated:.0} rows")),
        (None, _) => {}
    }
    for (key, word) in [
        ("Index Cond", "condition"),
        ("Hash Cond", "condition"),
        ("Merge Cond", "condition"),
        ("Join Filter", "join filter"),
        ("Filter", "filter"),
    ] {
        if let Some(condition) = text(node, key) {
            said.push_str(&format!(", {word} {}", without_parentheses(condition)));
        }
    }
    if let Some(removed) = number(node, "Rows Removed by Filter").filter(|removed| *removed >= 1.0) {
        said.push_str(&format!(", {removed:.0} rows read for nothing"));
    }
    for (key, word) in [("Sort Key", "by"), ("Group Key", "for each")] {
        if let Some(keys) = node.get(key).and_then(Value::as_array) {
            let keys: Vec<&str> = keys.iter().filter_map(Value::as_str).collect();
            said.push_str(&format!(" {word} {}", keys.join(", ")));
        }
    }
    if spills(node) {
        said.push_str(", spilled to disk because work_mem is too small");
    }
    let of = if number(node, "Actual Total Time").is_some() { "time" } else { "cost" };
    said.push_str(&format!(": {:.0} % of the {of}", share * 100.0));
    said
}

/// True if a sort or a hash did not fit into memory (known only after the query ran).
fn spills(node: &Value) -> bool {
    text(node, "Sort Space Type") == Some("Disk") || number(node, "Hash Batches").is_some_and(|batches| batches > 1.0)
}

/// Returns the factor between actual and estimated rows if it is at least [`FAR_OFF`].
fn misjudged(node: &Value) -> Option<f64> {
    let (estimated, found) = (number(node, "Plan Rows")?.max(1.0), number(node, "Actual Rows")?);
    if number(node, "Actual Loops")? < 1.0 {
        return None;
    }
    let found = found.max(1.0);
    let factor = (found / estimated).max(estimated / found);
    (factor >= FAR_OFF).then_some(factor)
}

fn without_parentheses(condition: &str) -> &str {
    condition.strip_prefix('(').and_then(|c| c.strip_suffix(')')).unwrap_or(condition)
}

/// Returns the plain columns that a filter compares. Columns that are compared by `=` come first. The filter
/// `((o.status = 'new'::text) AND (o.total > 5))` gives status and total. Empty if any part of the filter is not a plain
/// comparison, because an index would not serve that part.
fn filtered_columns(filter: &str, alias: Option<&str>) -> Vec<String> {
    let (mut equal, mut ranges) = (Vec::new(), Vec::new());
    if filter.contains(" OR ") {
        return Vec::new();
    }
    for part in parts(without_parentheses(filter)) {
        let Some((column, operator)) = compared_column(part, alias) else { return Vec::new() };
        let list = if operator == '=' { &mut equal } else { &mut ranges };
        if !list.contains(&column) {
            list.push(column);
        }
    }
    // Only one range column: after a range, the next columns of an index do not narrow the search.
    equal.extend(ranges.into_iter().take(1));
    equal
}

/// Splits a conjunction into its parts. An AND inside a string does not split.
fn parts(filter: &str) -> Vec<&str> {
    let (mut found, mut start, mut quoted) = (Vec::new(), 0, false);
    for (at, character) in filter.char_indices() {
        quoted ^= character == '\'';
        if !quoted && filter.get(at..).is_some_and(|rest| rest.starts_with(" AND ")) {
            found.extend(filter.get(start..at));
            start = at + " AND ".len();
        }
    }
    found.extend(filter.get(start..));
    found
}

/// Returns the column of a comparison of one plain column, and `=` for an equality or `<` for any range. Comparisons
/// are written like `(total > 5)` or `((status)::text = 'x'::text)`.
fn compared_column(comparison: &str, alias: Option<&str>) -> Option<(String, char)> {
    let inner = comparison.trim_start_matches('(');
    let inner = alias
        .and_then(|alias| inner.strip_prefix(&quoting::name(Dialect::Postgresql, alias))?.strip_prefix('.'))
        .unwrap_or(inner);
    let end = match inner.strip_prefix('"') {
        Some(rest) => rest.find('"')? + 2,
        None => inner.find(|c: char| !(c.is_alphanumeric() || c == '_'))?,
    };
    let column = inner.get(..end)?;
    // Keywords and constants are not columns: the server writes names in lower case or in quotes.
    let first = column.chars().next()?;
    if !(first == '"' || first == '_' || first.is_lowercase()) {
        return None;
    }
    // Only a cast to text may stand between column and operator; on varchar it changes nothing.
    let rest = inner.get(end..)?.trim_start_matches(')');
    let rest = rest.strip_prefix("::text").unwrap_or(rest).trim_start_matches(')').trim_start();
    let (operator, _) = rest.split_once(' ')?;
    matches!(operator, "=" | "<" | "<=" | ">" | ">=")
        .then(|| (column.to_owned(), if operator == "=" { '=' } else { '<' }))
}

/// Describes a step of a SQLite plan; `None` for a step without information for a reader.
fn sqlite_step(detail: &str) -> Option<String> {
    let (verb, rest) = detail.split_once(' ').unwrap_or((detail, ""));
    let rest = rest.strip_suffix(" LEFT-JOIN").unwrap_or(rest);
    // A name may contain spaces. One of these separators follows it.
    let (object, how) = match rest.split_once(" USING ") {
        Some((object, how)) => (object, how),
        None => rest.split_once(" VIRTUAL TABLE INDEX ").unwrap_or((rest, "")),
    };
    let is_virtual = rest.contains(" VIRTUAL TABLE INDEX ");
    Some(match verb {
        // Sub-queries, and the query that TUDB writes around the statement. Their own steps are described. A constant row
        // reads no table.
        "SCAN" if object.starts_with('(') || object == "CONSTANT ROW" => return None,
        "CO-ROUTINE" | "MATERIALIZE" => return None,
        "SCAN" | "SEARCH" if is_virtual => format!("Read of the virtual table {object} by its own plan {how}"),
        "SCAN" if how.is_empty() => format!("Full scan of {object}"),
        "SCAN" => format!("Full scan of {object} in the order of its {how}"),
        "SEARCH" if how.contains("AUTOMATIC") => {
            let columns = how.rsplit('(').next().unwrap_or_default().trim_end_matches(')');
            let columns = columns.replace("=?", "").replace(" AND ", ", ");
            format!("Look-up in {object} by an index made for this one query: a permanent one on ({columns}) may help")
        }
        "SEARCH" if how.is_empty() => format!("Look-up in {object}"),
        "SEARCH" => format!("Look-up in {object} by {how}"),
        "USE" => {
            let purpose = detail.strip_prefix("USE TEMP B-TREE ").unwrap_or(detail).to_lowercase();
            format!("Sort in a temporary B-tree {purpose}")
        }
        _ => detail.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_sequential_scan_is_named_with_its_filter_and_index() {
        let explained = json!([{"Plan": {
            "Node Type": "Seq Scan", "Relation Name": "orders", "Schema": "public", "Alias": "o", "Total Cost": 4100.0,
            "Plan Rows": 12, "Filter": "((o.total > '5'::numeric) AND ((o.status)::text = 'new'::text))"}}]);
        let explanation = Explanation::from_postgres(explained);
        assert_eq!(
            explanation.summary,
            ["Sequential scan of public.orders, 12 rows, filter (o.total > '5'::numeric) AND ((o.status)::text = \
                 'new'::text): 100 % of the cost"]
        );
        assert_eq!(explanation.candidate_indexes, ["CREATE INDEX ON public.orders (status, total)"]);
    }

    #[test]
    fn with_rules_a_plan_tells_of_no_condition_and_of_named_relations_alone() {
        let explained = json!([{"Plan": {
            "Node Type": "Nested Loop", "Total Cost": 9.0, "Plan Rows": 2, "Subplans Removed": 1, "Plans": [
                {"Node Type": "Append", "Total Cost": 1.0, "Plan Rows": 7, "Plan Width": 31, "Plans": [
                    {"Node Type": "Seq Scan", "Relation Name": "orders", "Plan Rows": 5}]},
                {"Node Type": "Seq Scan", "Relation Name": "orders_secret", "Alias": "o", "Total Cost": 5.0, "Plan Rows": 1,
                 "Filter": "(pin = '7')"},
                {"Node Type": "Index Scan", "Relation Name": "orders", "Index Name": "by_pin", "Index Cond": "(pin = '7')",
                 "Total Cost": 4.0, "Plan Rows": 1, "Output": ["pin"]}]}}]);
        let explanation = Explanation::from_ruled_postgres(explained, |name| name == "orders");
        let text = format!("{} {}", explanation.summary.join("; "), explanation.plan);
        assert!(!text.contains("pin") && !text.contains("secret") && !text.contains("Removed"), "{text}");
        assert!(!text.contains("\"Plan Rows\":5") && !text.contains("31"), "{text}");
        assert!(text.contains("Index Scan of orders, 1 rows: 44 % of the cost"), "{text}");
    }

    #[test]
    fn what_ran_is_told_by_its_time_and_its_errors() {
        let explained = json!([{"Execution Time": 40.06, "Plan": {
            "Node Type": "Sort", "Total Cost": 500.0, "Plan Rows": 10, "Actual Rows": 5000.0, "Actual Loops": 1,
            "Actual Total Time": 40.0, "Sort Key": ["o.total DESC"], "Sort Space Type": "Disk",
            "Plans": [{"Node Type": "Index Scan", "Relation Name": "Orders", "Schema": "public", "Index Name": "i",
                "Index Cond": "(o.id > 5)", "Total Cost": 490.0, "Plan Rows": 10, "Actual Rows": 12.0,
                "Actual Loops": 4, "Actual Total Time": 2.0, "Rows Removed by Filter": 90}]}}]);
        let explanation = Explanation::from_postgres(explained);
        assert_eq!(
            explanation.summary,
            [
                "Sort, 5000 rows (10 expected: 500 times off, so ANALYZE or better statistics may help) by o.total \
                 DESC, spilled to disk because work_mem is too small: 80 % of the time",
                "Index Scan of public.\"Orders\" by index i, 12 rows, 4 times (10 expected), condition o.id > 5, 90 \
                 rows read for nothing: 20 % of the time",
            ]
        );
        assert!(explanation.candidate_indexes.is_empty());
    }

    #[test]
    fn only_plain_comparisons_suggest_an_index() {
        assert_eq!(filtered_columns("(total > 5)", None), ["total"]);
        assert_eq!(filtered_columns("((a = 1) AND (b > 2) AND (c < 3) AND (\"D\" = 4))", None), ["a", "\"D\"", "b"]);
        assert_eq!(filtered_columns("(\"My o\".total > 5)", Some("My o")), ["total"]);
        assert!(filtered_columns("(lower(name) = 'x')", None).is_empty());
        assert!(filtered_columns("(a IS NULL)", None).is_empty());
        for filter in [
            "(a <> 1)",
            "(5 < total)",
            "(CURRENT_DATE > d)",
            "((created_at)::date = CURRENT_DATE)",
            "((num)::integer = 5)",
            "(r <@ '[1,5)'::int4range)",
            "(a <-> b)",
        ] {
            assert!(filtered_columns(filter, None).is_empty(), "{filter}");
        }
        assert_eq!(filtered_columns("(note = 'x AND y = z'::text)", None), ["note"]);
        assert!(filtered_columns("((a = 1) OR (b = 2))", None).is_empty());
        assert!(filtered_columns("((a = 1) AND ((b = 2) OR (c = 3)))", None).is_empty());
    }

    #[test]
    fn sqlites_steps_are_told_in_words() {
        let steps = [
            ("SCAN o", "Full scan of o"),
            ("SCAN o USING COVERING INDEX i", "Full scan of o in the order of its COVERING INDEX i"),
            ("SEARCH c USING INTEGER PRIMARY KEY (rowid=?)", "Look-up in c by INTEGER PRIMARY KEY (rowid=?)"),
            (
                "SEARCH c USING AUTOMATIC COVERING INDEX (a=? AND b=?)",
                "Look-up in c by an index made for this one query: a permanent one on (a, b) may help",
            ),
            ("USE TEMP B-TREE FOR ORDER BY", "Sort in a temporary B-tree for order by"),
            (
                "SEARCH c USING AUTOMATIC COVERING INDEX (k=?) LEFT-JOIN",
                "Look-up in c by an index made for this one query: a permanent one on (k) may help",
            ),
            ("SEARCH order items USING INDEX oi (q=?)", "Look-up in order items by INDEX oi (q=?)"),
            ("SCAN ft VIRTUAL TABLE INDEX 0:M1", "Read of the virtual table ft by its own plan 0:M1"),
            ("SEARCH c LEFT-JOIN", "Look-up in c"),
            ("COMPOUND QUERY", "COMPOUND QUERY"),
        ];
        for (detail, sentence) in steps {
            assert_eq!(sqlite_step(detail).as_deref(), Some(sentence));
        }
        assert_eq!(sqlite_step("CO-ROUTINE x"), None);
        assert_eq!(sqlite_step("SCAN (subquery-1)"), None);
    }
}
