//! A query plan in plain words: what `explain_query` says first. Pure.

use serde_json::Value;

/// What explaining a statement gives.
#[derive(Clone, Debug, Default)]
pub struct Explanation {
    /// One sentence a plan node that matters, the dearest first.
    pub summary: Vec<String>,
    pub cost: Option<f64>,
    pub estimated_rows: Option<f64>,
    pub actual_rows: Option<f64>,
    pub actual_ms: Option<f64>,
    pub candidate_indexes: Vec<String>,
    pub plan: Value,
}

/// A node's share of the whole cost below which it is not worth a sentence.
const WORTH_SAYING: f64 = 0.05;

impl Explanation {
    /// Reads what `EXPLAIN (FORMAT JSON)` of PostgreSQL returns.
    pub fn from_postgres(explained: Value) -> Self {
        let plan = explained.get(0).and_then(|first| first.get("Plan")).cloned().unwrap_or_default();
        let total = number(&plan, "Total Cost").unwrap_or(0.0);
        let mut explanation = Explanation {
            cost: number(&plan, "Total Cost"),
            estimated_rows: number(&plan, "Plan Rows"),
            actual_rows: number(&plan, "Actual Rows"),
            actual_ms: explained.get(0).and_then(|first| number(first, "Execution Time")),
            ..Explanation::default()
        };
        let mut said: Vec<(f64, String)> = Vec::new();
        describe(&plan, total, &mut said, &mut explanation.candidate_indexes);
        said.sort_by(|a, b| b.0.total_cmp(&a.0));
        explanation.summary = said.into_iter().map(|(_, sentence)| sentence).collect();
        explanation.plan = plan;
        explanation
    }

    /// Reads the rows of SQLite's `EXPLAIN QUERY PLAN`: id, parent, detail.
    pub fn from_sqlite(rows: Vec<(i64, i64, String)>) -> Self {
        let summary = rows.iter().map(|(_, _, detail)| detail.clone()).collect();
        let plan = rows
            .into_iter()
            .map(|(id, parent, detail)| serde_json::json!({"id": id, "parent": parent, "detail": detail}))
            .collect();
        Explanation { summary, plan: Value::Array(plan), ..Explanation::default() }
    }
}

fn number(node: &Value, key: &str) -> Option<f64> {
    node.get(key).and_then(Value::as_f64)
}

fn text<'a>(node: &'a Value, key: &str) -> Option<&'a str> {
    node.get(key).and_then(Value::as_str)
}

fn describe(node: &Value, total: f64, said: &mut Vec<(f64, String)>, candidates: &mut Vec<String>) {
    let children = node.get("Plans").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let below: f64 = children.iter().filter_map(|child| number(child, "Total Cost")).sum();
    let own = (number(node, "Total Cost").unwrap_or(0.0) - below).max(0.0);
    let share = if total > 0.0 { own / total } else { 0.0 };
    let kind = text(node, "Node Type").unwrap_or("step");
    let relation = text(node, "Relation Name").map(|name| match text(node, "Schema") {
        Some(schema) => format!("{schema}.{name}"),
        None => name.to_owned(),
    });
    if share >= WORTH_SAYING || children.is_empty() {
        let mut sentence = match kind {
            "Seq Scan" => "Sequential scan".to_owned(),
            other => other.to_owned(),
        };
        if let Some(relation) = &relation {
            sentence.push_str(&format!(" of {relation}"));
        }
        if let Some(index) = text(node, "Index Name") {
            sentence.push_str(&format!(" by index {index}"));
        }
        if let Some(rows) = number(node, "Plan Rows") {
            sentence.push_str(&format!(", {rows:.0} rows"));
        }
        if let Some(actual) = number(node, "Actual Rows") {
            sentence.push_str(&format!(" estimated, {actual:.0} found"));
        }
        for (key, word) in [("Filter", "filter"), ("Index Cond", "condition"), ("Hash Cond", "condition")] {
            if let Some(condition) = text(node, key) {
                sentence.push_str(&format!(
                    ", {word} {}",
                    condition.strip_prefix('(').and_then(|c| c.strip_suffix(')')).unwrap_or(condition)
                ));
            }
        }
        sentence.push_str(&format!(": {:.0} % of the cost", share * 100.0));
        said.push((share, sentence));
    }
    if kind == "Seq Scan"
        && share >= 0.3
        && let (Some(relation), Some(column)) = (&relation, text(node, "Filter").and_then(filtered_column))
    {
        let candidate = format!("CREATE INDEX ON {relation} ({column})");
        if !candidates.contains(&candidate) {
            candidates.push(candidate);
        }
    }
    for child in children {
        describe(child, total, said, candidates);
    }
}

/// The column of a filter that compares one plain column, such as `(total > 5)` or `((status)::text = 'x'::text)`.
fn filtered_column(filter: &str) -> Option<&str> {
    let inner = filter.trim_start_matches('(');
    let end = inner.find(|c: char| !(c.is_alphanumeric() || c == '_'))?;
    let column = inner.get(..end).filter(|column| !column.is_empty())?;
    let rest = inner.get(end..)?.trim_start_matches(')');
    let rest = rest.strip_prefix("::").map_or(rest, |cast| cast.trim_start_matches(|c: char| c.is_alphanumeric()));
    let operator = rest.trim_start_matches(')').trim_start();
    operator.starts_with(['=', '<', '>']).then_some(column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequential_scan_is_named_with_its_filter_and_index() {
        let explained = serde_json::json!([{"Plan": {
            "Node Type": "Seq Scan", "Relation Name": "orders", "Schema": "public", "Total Cost": 4100.0,
            "Plan Rows": 12, "Filter": "((status)::text = 'new'::text)"}}]);
        let explanation = Explanation::from_postgres(explained);
        assert_eq!(
            explanation.summary,
            ["Sequential scan of public.orders, 12 rows, filter (status)::text = 'new'::text: 100 % of the cost"]
        );
        assert_eq!(explanation.candidate_indexes, ["CREATE INDEX ON public.orders (status)"]);
    }

    #[test]
    fn only_plain_comparisons_suggest_an_index() {
        assert_eq!(filtered_column("(total > 5)"), Some("total"));
        assert_eq!(filtered_column("(lower(name) = 'x')"), None);
        assert_eq!(filtered_column("(a IS NULL)"), None);
    }
}
