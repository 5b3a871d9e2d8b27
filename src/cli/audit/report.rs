//! `tudb audit report`: one HTML page about the trail, without scripts and without anything from elsewhere.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;
use time::{Date, Duration};

use super::part;
use crate::cli::table::plain;

/// Slowest statements that are listed.
const SLOWEST: usize = 15;

/// Rows of the other lists.
const MOST_ROWS: usize = 12;

/// Names that are counted in each list. Further ones are counted together.
const MOST_NAMES: usize = 1_000;

/// Days that are drawn: the last ones.
const MOST_DAYS: i64 = 92;

/// Characters that are shown of a statement or question.
const MOST_CHARACTERS: usize = 300;

/// What one page tells.
#[derive(Default)]
pub(super) struct Report {
    first: Option<String>,
    last: Option<String>,
    calls: u64,
    questions: u64,
    days: BTreeMap<Date, Day>,
    outcomes: Counts,
    tools: Counts,
    codes: Counts,
    sources: Counts,
    clients: Counts,
    users: Counts,
    models: BTreeMap<String, Spent>,
    /// Milliseconds, record, time, rows and text of the slowest statements, slowest first.
    slowest: Vec<(u64, [String; 4])>,
}

#[derive(Clone, Copy, Default)]
struct Day {
    allowed: u64,
    refused: u64,
}

#[derive(Default)]
struct Spent {
    questions: u64,
    input_tokens: u64,
    output_tokens: u64,
    cost: f64,
}

/// How often each name occurs.
#[derive(Default)]
struct Counts(BTreeMap<String, u64>);

impl Counts {
    fn add(&mut self, name: String) {
        let name = if self.0.len() >= MOST_NAMES && !self.0.contains_key(&name) { "(others)".to_owned() } else { name };
        *self.0.entry(name).or_default() += 1;
    }

    /// The most frequent names, most frequent first.
    fn top(&self) -> Vec<(&str, u64)> {
        let mut all: Vec<(&str, u64)> = self.0.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        all.truncate(MOST_ROWS);
        all
    }
}

impl Report {
    /// Counts one record. Records come in the order of their time.
    pub(super) fn add(&mut self, record: &Value) {
        let text = |name: &str| plain(&part(record, name));
        let number = |name: &str| record.get(name).and_then(Value::as_u64).unwrap_or(0);
        let started = text("started_at");
        self.calls += 1;
        self.questions += u64::from(text("tool") == "ask_database");
        let format = time::macros::format_description!("[year]-[month]-[day]");
        if let Some(day) = started.get(..10).and_then(|day| Date::parse(day, format).ok()) {
            let day = self.days.entry(day).or_default();
            let counted = if text("decision") == "refused" { &mut day.refused } else { &mut day.allowed };
            *counted += 1;
        }
        let outcome = text("outcome");
        self.outcomes.add(if outcome.is_empty() { "unfinished".to_owned() } else { outcome });
        self.tools.add(text("tool"));
        for (counts, name) in [
            (&mut self.codes, "code"),
            (&mut self.sources, "source"),
            (&mut self.clients, "client"),
            (&mut self.users, "user_id"),
        ] {
            let name = text(name);
            if !name.is_empty() {
                counts.add(name);
            }
        }
        let model = [text("engine"), text("model")].into_iter().filter(|name| !name.is_empty()).collect::<Vec<_>>();
        if !model.is_empty() {
            let spent = self.models.entry(model.join(" ")).or_default();
            spent.questions += 1;
            spent.input_tokens += number("input_tokens");
            spent.output_tokens += number("output_tokens");
            spent.cost += record.get("cost").and_then(Value::as_f64).unwrap_or(0.0);
        }
        let (elapsed, sql) = (number("elapsed_ms"), text("sql"));
        if !sql.is_empty() && (self.slowest.len() < SLOWEST || self.slowest.last().is_some_and(|last| last.0 < elapsed))
        {
            let shown: String = sql.chars().take(MOST_CHARACTERS).collect();
            self.slowest.push((elapsed, [text("id"), started.clone(), text("row_count"), shown]));
            self.slowest.sort_by_key(|statement| std::cmp::Reverse(statement.0));
            self.slowest.truncate(SLOWEST);
        }
        self.first.get_or_insert_with(|| started.clone());
        self.last = Some(started);
    }

    /// Writes the page.
    pub(super) fn page(&self) -> String {
        let of = |name: &str| self.outcomes.0.get(name).copied().unwrap_or(0);
        let refused: u64 = self.days.values().map(|day| day.refused).sum();
        let cost: f64 = self.models.values().map(|spent| spent.cost).sum();
        let mut body = String::new();
        let period = match (&self.first, &self.last) {
            (Some(first), Some(last)) => format!("{} to {}", escaped(first), escaped(last)),
            _ => "no record matches".to_owned(),
        };
        let _ = write!(body, "<h1>TUDB audit report</h1><p>{period}</p><dl>");
        for (name, value) in [
            ("calls", self.calls.to_string()),
            ("questions", self.questions.to_string()),
            ("refused", refused.to_string()),
            ("failed", of("failed").to_string()),
            ("timed out", of("timed_out").to_string()),
            ("unfinished", of("unfinished").to_string()),
            ("cost", format!("{cost:.2}")),
        ] {
            let _ = write!(body, "<div><dt>{name}</dt><dd>{value}</dd></div>");
        }
        body.push_str("</dl>");
        self.draw_days(&mut body);
        for (title, counts) in [
            ("Tools", &self.tools),
            ("Outcomes", &self.outcomes),
            ("Errors and refusals by code", &self.codes),
            ("Sources", &self.sources),
            ("Clients", &self.clients),
            ("Users", &self.users),
        ] {
            list(&mut body, title, &counts.top());
        }
        if !self.models.is_empty() {
            body.push_str(
                "<h2>Answerers</h2><table><tr><th>answerer<th>questions<th>input tokens<th>output tokens<th>cost</tr>",
            );
            for (model, spent) in &self.models {
                let Spent { questions, input_tokens, output_tokens, cost } = spent;
                let _ = write!(
                    body,
                    "<tr><td>{}<td>{questions}<td>{input_tokens}<td>{output_tokens}<td>{cost:.4}</tr>",
                    escaped(model)
                );
            }
            body.push_str("</table>");
        }
        body.push_str("<h2>Slowest statements</h2><table><tr><th>ms<th>rows<th>time<th>statement<th>record</tr>");
        for (elapsed, [id, started, rows, sql]) in &self.slowest {
            let [id, started, rows, sql] = [id, started, rows, sql].map(|text| escaped(text));
            let _ = write!(body, "<tr><td>{elapsed}<td>{rows}<td>{started}<td><code>{sql}</code><td>{id}</tr>");
        }
        body.push_str("</table>");
        format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>TUDB audit report</title>\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
             <style>{STYLE}</style></head><body>{body}</body></html>"
        )
    }

    /// Bars of the calls of each day. Days without a call have none.
    fn draw_days(&self, body: &mut String) {
        let (Some((first, _)), Some((last, _))) = (self.days.first_key_value(), self.days.last_key_value()) else {
            return;
        };
        let days = ((*last - *first).whole_days() + 1).min(MOST_DAYS);
        let start = *last - Duration::days(days - 1);
        let most = self.days.range(start..).map(|(_, day)| day.allowed + day.refused).max().unwrap_or(1).max(1);
        let (width, height) = (720.0, 160.0);
        let step = width / days as f64;
        let _ = write!(
            body,
            "<h2>Calls by day</h2><p>at most {most} on one day, from {start} to {last}; \
             <span class=\"refused\">■</span> refused</p>\
             <svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"Calls by day\">"
        );
        for (date, day) in self.days.range(start..) {
            let x = (*date - start).whole_days() as f64 * step;
            let tall = |count: u64| count as f64 / most as f64 * height;
            let (allowed, refused) = (tall(day.allowed), tall(day.refused));
            let bar = |class: &str, y: f64, tall: f64| {
                let wide = (step * 0.9).max(0.5);
                format!("<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{wide:.1}\" height=\"{tall:.1}\"/>")
            };
            let _ = write!(
                body,
                "<g><title>{date}: {} allowed, {} refused</title>{}{}</g>",
                day.allowed,
                day.refused,
                bar("allowed", height - allowed, allowed),
                bar("refused", height - allowed - refused, refused)
            );
        }
        body.push_str("</svg>");
    }
}

/// One list of names and their numbers; nothing if there are none.
fn list(body: &mut String, title: &str, counts: &[(&str, u64)]) {
    if counts.is_empty() {
        return;
    }
    let _ = write!(body, "<h2>{title}</h2><table>");
    for (name, count) in counts {
        let _ = write!(body, "<tr><td>{}<td>{count}</tr>", escaped(name));
    }
    body.push_str("</table>");
}

/// Returns the text as HTML shows it.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const STYLE: &str = "body{font:15px system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}\
    h2{margin-top:2rem;font-size:1.1rem}dl{display:flex;flex-wrap:wrap;gap:1.5rem}dt{color:#666}dd{margin:0;font-size:1.4rem}\
    table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.25rem .75rem .25rem 0;\
    border-bottom:1px solid #ddd;vertical-align:top}code{white-space:pre-wrap;word-break:break-word}\
    svg{width:100%;height:auto;background:#f6f6f6}.allowed{fill:#2b6cb0}.refused{fill:#c0392b;color:#c0392b}";

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(day: u8, decision: &str, elapsed: u64, sql: &str) -> Value {
        json!({"id": format!("r{day}-{elapsed}"), "started_at": format!("2026-11-{day:02}T10:00:00Z"), "tool": "run_sql",
            "decision": decision, "outcome": "ok", "elapsed_ms": elapsed, "sql": sql, "row_count": 3})
    }

    #[test]
    fn a_page_counts_draws_and_lists() {
        let mut report = Report::default();
        for n in 0..40 {
            report.add(&record(1 + n % 3, if n % 10 == 0 { "refused" } else { "allowed" }, u64::from(n), "SELECT 1"));
        }
        report.add(&record(9, "allowed", 900, "SELECT '<script>x</script>' & 1"));
        let page = report.page();
        assert!(page.contains("<dt>calls</dt><dd>41</dd>") && page.contains("<dt>refused</dt><dd>4</dd>"), "{page}");
        assert_eq!(page.matches("<g><title>").count(), 4);
        assert!(page.contains("2026-11-09: 1 allowed, 0 refused"));
        assert!(page.contains("SELECT '&lt;script&gt;x&lt;/script&gt;' &amp; 1") && !page.contains("<script"));
        let slowest = page.split("Slowest statements").nth(1).unwrap();
        assert_eq!(slowest.matches("<tr><td>").count(), SLOWEST);
        assert!(slowest.find("<td>900<").unwrap() < slowest.find("<td>39<").unwrap());
        assert!(!page.contains("http://") && !page.contains("https://"));
    }

    #[test]
    fn an_empty_trail_has_a_page_too() {
        assert!(Report::default().page().contains("no record matches"));
    }

    #[test]
    fn many_names_are_counted_together() {
        let mut counts = Counts::default();
        (0..2_000).for_each(|n| counts.add(format!("user {n}")));
        assert_eq!(counts.0.len(), MOST_NAMES + 1);
        assert_eq!(counts.top().first(), Some(&("(others)", 1_000)));
    }
}
