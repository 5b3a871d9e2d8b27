//! `tudb eval`: asks questions with known gold statements through the gateway, and counts the equal answers.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write as _};
use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{DONE, NO, USAGE, compare, complain, core, say, tell};
use crate::config::{Config, Environment, Price};
use crate::gateway::{AskDatabase, Caller, Ran, RunSql};
use crate::guard;
use crate::model::Usage;
use crate::tools::Core;

/// Arguments of `tudb eval`.
#[derive(Args)]
pub(super) struct Eval {
    /// Questions with gold statements: one JSON object a line, with `question`, `sql` (or `gold_sql`; several statements are
    /// as many right answers), and where wanted `id`, `source` (or `db`), `user_id`, `choice`
    file: PathBuf,
    /// Only questions of this source
    #[arg(long)]
    source: Option<String>,
    /// At most so many questions
    #[arg(long)]
    limit: Option<usize>,
    /// An earlier report (`--json`): names what was equal then and is not now
    #[arg(long)]
    against: Option<PathBuf>,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// One line of the file.
#[derive(Debug, Deserialize)]
struct Item {
    id: Option<Value>,
    question: String,
    #[serde(alias = "gold_sql")]
    sql: String,
    #[serde(alias = "db")]
    source: Option<String>,
    user_id: Option<String>,
    choice: Option<String>,
}

/// The result of one question.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Judged {
    id: String,
    question: String,
    /// `equal different clarification_needed needs_sql blocked error`; `gold_failed` and `too_long` are not counted.
    outcome: String,
    /// The reason, if `outcome` does not give it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    detail: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sql: Option<String>,
    repairs: u32,
    model_calls: u64,
    #[serde(flatten)]
    usage: Usage,
    elapsed_ms: u64,
}

/// The report of one run.
#[derive(Debug, Serialize, Deserialize)]
struct Report {
    questions: usize,
    /// Questions whose gold statement ran and could be compared.
    counted: usize,
    equal: usize,
    /// Share of the counted questions that are equal, 0 to 1.
    accuracy: f64,
    outcomes: BTreeMap<String, usize>,
    repairs: u32,
    model_calls: u64,
    #[serde(flatten)]
    usage: Usage,
    /// In the currency of `[prices]`. `None` without a price for the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cost: Option<f64>,
    median_ms: u64,
    p95_ms: u64,
    /// Questions that were equal in the earlier report and are not now.
    regressions: Vec<String>,
    results: Vec<Judged>,
}

impl Eval {
    pub(super) async fn run(self, config: Config, env: &Environment) -> u8 {
        let items = match self.items() {
            Ok(items) => items,
            Err(problem) => {
                complain(&problem);
                return USAGE;
            }
        };
        let earlier = match self.against.as_ref().map(read_report).transpose() {
            Ok(earlier) => earlier,
            Err(problem) => {
                complain(&problem);
                return USAGE;
            }
        };
        // The limit of questions per minute protects a server from its clients.
        let mut config = config;
        config.spending.asks_per_minute = usize::MAX;
        let price = config.prices.get(&config.model.bedrock_model).copied();
        let core = core(config, env);
        let unknown = items.iter().find_map(|(place, item)| {
            let error = core.gateway.source(item.source.as_deref()).err()?;
            Some(format!("{}, line {place}: {error}. {}", self.file.display(), error.hint.clone().unwrap_or_default()))
        });
        if let Some(problem) = unknown {
            complain(&problem);
            core.gateway.close().await;
            return USAGE;
        }
        let mut results: Vec<Judged> = Vec::new();
        let show = std::io::stderr().is_terminal();
        for (place, item) in &items {
            if show {
                let equal = results.iter().filter(|result| result.outcome == "equal").count();
                let mut stderr = std::io::stderr();
                let _ = write!(stderr, "\r{}/{} questions, {equal} equal ", results.len(), items.len());
                let _ = stderr.flush();
            }
            results.push(judge(&core, *place, item).await);
        }
        if show {
            complain("");
        }
        core.gateway.close().await;
        let report = Report::of(results, earlier.as_ref(), price);
        if self.json {
            say(&serde_json::to_string(&report).unwrap_or_default());
        } else {
            report.print();
        }
        if report.equal == report.counted && report.regressions.is_empty() { DONE } else { NO }
    }

    /// The selected questions with their line numbers.
    fn items(&self) -> Result<Vec<(usize, Item)>, String> {
        let path = self.file.display();
        let text = std::fs::read_to_string(&self.file).map_err(|error| format!("cannot read {path}: {error}"))?;
        let mut items = Vec::new();
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let item: Item = serde_json::from_str(line).map_err(|error| {
                format!("{path}, line {}: {error}; a line is an object with question and sql", index + 1)
            })?;
            if self.source.is_none() || self.source == item.source {
                items.push((index + 1, item));
            }
        }
        items.truncate(self.limit.unwrap_or(usize::MAX));
        if items.is_empty() {
            return Err(format!("{path} holds no question that is wanted"));
        }
        Ok(items)
    }
}

fn read_report(path: &PathBuf) -> Result<Report, String> {
    let place = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {place}: {error}"))?;
    serde_json::from_str(&text).map_err(|error| format!("{place} is no report of `tudb eval --json`: {error}"))
}

/// Runs the gold statement and asks the question, and compares the results.
async fn judge(core: &Core, place: usize, item: &Item) -> Judged {
    let caller = Caller { client: Some(format!("tudb eval/{}", env!("CARGO_PKG_VERSION"))), ..Caller::default() };
    let id = match &item.id {
        Some(Value::String(id)) => id.clone(),
        Some(other) => other.to_string(),
        None => format!("line {place}"),
    };
    let mut judged = Judged {
        id,
        question: item.question.clone(),
        outcome: "gold_failed".into(),
        detail: String::new(),
        sql: None,
        repairs: 0,
        model_calls: 0,
        usage: Usage::default(),
        elapsed_ms: 0,
    };
    let dialect = core.gateway.source(item.source.as_deref()).and_then(|source| core.gateway.dialect(source));
    let statements = dialect.map_or_else(|_| vec![item.sql.as_str()], |dialect| guard::statements(&item.sql, dialect));
    let mut gold = Vec::new();
    for sql in statements {
        match gold_rows(core, &caller, item, sql).await {
            Ok(rows) => gold.push((rows, compare::is_ordered(sql))),
            Err((outcome, detail)) => return Judged { outcome: outcome.into(), detail, ..judged },
        }
    }
    let request = AskDatabase {
        question: item.question.clone(),
        choice: item.choice.clone(),
        max_rows: Some(core.gateway.config().limits.max_rows_ceiling),
        chart: None,
        user_id: item.user_id.clone(),
        session_id: None,
        source: item.source.clone(),
    };
    let (reply, repairs) = core.asker.ask_counted(&caller, &request).await;
    let reply: Value = serde_json::from_str(&reply.json).unwrap_or_default();
    let number = |name: &str| reply.pointer(&format!("/receipt/{name}")).and_then(Value::as_u64).unwrap_or(0);
    judged.repairs = repairs;
    judged.model_calls = number("model_calls");
    judged.usage = reply.get("receipt").and_then(|receipt| Usage::deserialize(receipt).ok()).unwrap_or_default();
    judged.elapsed_ms = number("elapsed_ms");
    judged.sql = reply.get("sql").and_then(Value::as_str).map(str::to_owned);
    let status = reply.get("status").and_then(Value::as_str).unwrap_or("error");
    judged.outcome = match status {
        "success" if reply.get("truncated") == Some(&Value::Bool(true)) => "different".into(),
        "success" => {
            let rows = reply.get("rows").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            let is_equal = gold.iter().any(|(gold, ordered)| compare::same(gold, rows, *ordered));
            if is_equal { "equal" } else { "different" }.into()
        }
        other => other.to_owned(),
    };
    if let Some(error) = reply.pointer("/error/message").and_then(Value::as_str) {
        judged.detail = error.to_owned();
    }
    judged
}

/// All rows of a gold statement.
async fn gold_rows(core: &Core, caller: &Caller, item: &Item, sql: &str) -> Result<Vec<Value>, (&'static str, String)> {
    let request = RunSql {
        sql: sql.to_owned(),
        max_rows: Some(core.gateway.config().limits.max_rows_ceiling),
        format: None,
        user_id: item.user_id.clone(),
        source: item.source.clone(),
    };
    let read = core.gateway.run_sql(caller, &request, 0).await.map_err(|error| ("gold_failed", error.to_string()))?;
    let Ran::Rows(rows) = &read.value else { return Err(("gold_failed", "it is an EXPLAIN".into())) };
    let (json, is_truncated, row_count) = (rows.rows_json(), rows.is_truncated(), rows.row_count);
    read.close(Some(row_count), json.len());
    if is_truncated {
        return Err(("too_long", "its result is longer than TUDB_MAX_REPLY_BYTES allows to compare".into()));
    }
    serde_json::from_str(&json).map_err(|error| ("gold_failed", error.to_string()))
}

impl Report {
    fn of(results: Vec<Judged>, earlier: Option<&Report>, price: Option<Price>) -> Self {
        let mut outcomes = BTreeMap::new();
        for result in &results {
            *outcomes.entry(result.outcome.clone()).or_insert(0) += 1;
        }
        let counted = results.iter().filter(|result| !["gold_failed", "too_long"].contains(&result.outcome.as_str()));
        let counted = counted.count();
        let equal = outcomes.get("equal").copied().unwrap_or(0);
        let sum = |of: fn(&Judged) -> u64| results.iter().map(of).sum::<u64>();
        let mut times: Vec<u64> = results.iter().map(|result| result.elapsed_ms).collect();
        times.sort_unstable();
        let at = |part: usize| times.get((times.len() * part / 100).min(times.len().saturating_sub(1))).copied();
        let was_equal = |id: &str| {
            let before = earlier.map_or(&[][..], |report| report.results.as_slice());
            before.iter().any(|result| result.id == id && result.outcome == "equal")
        };
        let lost = results.iter().filter(|result| result.outcome != "equal" && was_equal(&result.id));
        let usage = results.iter().fold(Usage::default(), |sum, result| sum.plus(result.usage));
        Report {
            questions: results.len(),
            counted,
            equal,
            accuracy: if counted == 0 { 0.0 } else { equal as f64 / counted as f64 },
            outcomes,
            repairs: results.iter().map(|result| result.repairs).sum(),
            model_calls: sum(|result| result.model_calls),
            usage,
            cost: price.map(|price| usage.cost(&price)),
            median_ms: at(50).unwrap_or(0),
            p95_ms: at(95).unwrap_or(0),
            regressions: lost.map(|result| result.id.clone()).collect(),
            results,
        }
    }

    fn print(&self) {
        for result in self.results.iter().filter(|result| result.outcome != "equal") {
            tell(&format!("{}: {} ({})", result.outcome, result.question, result.id));
            if !result.detail.is_empty() {
                tell(&format!("    {}", result.detail));
            }
            if let Some(sql) = &result.sql {
                tell(&format!("    {sql}"));
            }
        }
        let outcomes: Vec<String> = self.outcomes.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
        tell(&format!(
            "{} of {} equal ({:.1} %): {}",
            self.equal,
            self.counted,
            self.accuracy * 100.0,
            outcomes.join(", ")
        ));
        let cost = self.cost.map_or(String::new(), |cost| format!(", cost {cost:.4}"));
        tell(&format!(
            "{} model calls, {} repairs, {} + {} tokens ({} from the cache){cost}; median {} ms, p95 {} ms",
            self.model_calls,
            self.repairs,
            self.usage.input_tokens,
            self.usage.output_tokens,
            self.usage.cache_read_tokens,
            self.median_ms,
            self.p95_ms
        ));
        for id in &self.regressions {
            tell(&format!("was equal before: {id}"));
        }
    }
}
