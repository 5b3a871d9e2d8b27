//! `tudb ask`: the tool `ask_database` in the terminal.

use clap::Args;
use serde_json::Value;
use tokio::sync::watch;

use super::progress::Progress;
use super::{DONE, NO, core, say, table, tell, terminal_words};
use crate::ask::NOT_SURE;
use crate::chart::{self, Chart};
use crate::config::{Config, Environment};
use crate::gateway::{AskDatabase, Caller};
use crate::tools::Core;

/// Arguments of `tudb ask`.
#[derive(Args)]
#[command(after_help = "Example: tudb ask \"number of orders per status\"")]
pub(super) struct Ask {
    /// The question, in plain language; a question with ? or * needs quotes
    #[arg(required = true)]
    question: Vec<String>,
    /// One of the readings that an earlier answer offered
    #[arg(long)]
    choice: Option<String>,
    /// Source to ask
    #[arg(long)]
    source: Option<String>,
    /// Rows wanted at most
    #[arg(long)]
    max_rows: Option<u64>,
    /// User on whose behalf
    #[arg(long)]
    user_id: Option<String>,
    /// Conversation the question belongs to
    #[arg(long)]
    session_id: Option<String>,
    /// Print the tool's JSON
    #[arg(long)]
    json: bool,
    /// Draw no chart
    #[arg(long)]
    no_chart: bool,
    /// Print the schema when a question is not answered
    #[arg(long)]
    verbose: bool,
}

impl Ask {
    pub(super) async fn run(self, config: Config, env: &Environment) -> u8 {
        let core = core(config, env);
        let (stage, stages) = watch::channel(String::new());
        let progress = Progress::start("asking", Some(stages));
        let caller = Caller {
            client: Some(format!("tudb ask/{}", env!("CARGO_PKG_VERSION"))),
            stage: Some(stage),
            ..Caller::default()
        };
        let question = self.question.join(" ");
        let title = question.clone();
        let source = self.source.clone();
        let request = AskDatabase {
            question,
            choice: self.choice,
            max_rows: self.max_rows,
            chart: None,
            user_id: self.user_id,
            session_id: self.session_id,
            source: self.source,
        };
        let reply = core.asker.ask(&caller, &request).await.with_warning(caller.outcomes.written().await);
        drop(progress);
        let parsed: Value = serde_json::from_str(&reply.json).unwrap_or_default();
        let tried = address_tried(&core, &parsed, source.as_deref()).await;
        core.gateway.close().await;
        // A pipe gets no chart.
        let width = table::terminal_width().filter(|_| !self.no_chart);
        let chart = width.and_then(|width| drawn(&title, &parsed, width)).unwrap_or_default();
        if self.json {
            say(&reply.json);
        } else {
            tell(&words(&parsed, self.verbose, &chart));
            if let Some(tried) = tried {
                tell(&tried);
            }
        }
        if reply.is_error || parsed.get("status").is_some_and(|status| status == "unanswerable") { NO } else { DONE }
    }
}

/// The chart of an answer. `None` if it has none.
fn drawn(title: &str, reply: &Value, width: u16) -> Option<String> {
    let columns = reply.get("columns")?.as_array()?;
    let rows = reply.get("rows")?.as_array()?;
    chart::terminal(&Chart::of(title, columns, rows).ok()?, width).ok()
}

/// The reply as text for a person.
fn words(reply: &Value, is_verbose: bool, chart: &str) -> String {
    let text = |name: &str| reply.get(name).and_then(Value::as_str).unwrap_or_default();
    let list = |name: &str| reply.get(name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut parts: Vec<String> = Vec::new();
    match text("status") {
        "success" => {
            parts.push(text("summary").to_owned());
            parts.extend(table::of_reply(reply));
            parts.push(chart.to_owned());
            if let Some(hint) = reply.get("hint").and_then(Value::as_str) {
                parts.push(terminal_words(hint));
            }
            parts.push(format!("SQL: {}", text("sql")));
            if !text("explanation").is_empty() {
                parts.push(text("explanation").to_owned());
            }
            for assumption in list("assumptions").iter().filter_map(Value::as_str) {
                parts.push(format!("Assumed: {assumption}"));
            }
            for warning in list("warnings").iter().filter_map(Value::as_str) {
                parts.push(format!("Warning: {warning}"));
            }
        }
        "clarification_needed" => {
            parts.push(text("message").to_owned());
            for choice in list("choices") {
                let part = |name| choice.get(name).and_then(Value::as_str).unwrap_or_default();
                parts.push(format!("  {}: --choice {:?}", part("label"), part("reading")));
            }
        }
        "unanswerable" => parts.push(text("message").to_owned()),
        "needs_sql" => {
            parts.push(not_answered(reply));
            if is_verbose {
                parts.push(text("schema").to_owned());
            }
        }
        _ => {
            if !text("sql").is_empty() {
                parts.push(format!("SQL: {}", text("sql")));
            }
            parts.push(error_words(reply));
        }
    }
    if let Some(receipt) = reply.get("receipt") {
        parts.push(receipt_words(receipt));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n")
}

/// A question that was handed back, in at most three lines: what was not understood, the nearest statement, and what
/// helps.
fn not_answered(reply: &Value) -> String {
    let Some(doubts) = reply["message"].as_str().unwrap_or(NOT_SURE).strip_prefix(NOT_SURE) else {
        return reply["message"].as_str().unwrap_or_default().to_owned();
    };
    let mut lines = vec![match doubts.trim_start() {
        "" => {
            "This question is not understood. The built-in answerer reads English that names tables, columns or stored \
               values."
                .to_owned()
        }
        doubts => doubts.to_owned(),
    }];
    if let Some(draft) = reply.pointer("/draft/sql").and_then(Value::as_str) {
        lines.push(format!("Nearest statement: {draft}"));
    }
    let names = "Name tables and columns in the question, write SQL (tudb sql \"STATEMENT\"), or set up a model \
                 (docs/models.md). --verbose shows the schema.";
    lines.push(names.to_owned());
    lines.join("\n")
}

/// The error of a reply: `code: message`, and the hint on the next line.
pub(super) fn error_words(reply: &Value) -> String {
    let part = |name| reply.pointer(&format!("/error/{name}")).and_then(Value::as_str).unwrap_or_default();
    let mut text = format!("{}: {}", part("code"), part("message"));
    if !part("hint").is_empty() {
        text.push_str(&format!("\n{}", terminal_words(part("hint"))));
    }
    text
}

/// A sentence with the address of a source that cannot be reached. Replies do not contain it: a model would read it.
pub(super) async fn address_tried(core: &Core, reply: &Value, source: Option<&str>) -> Option<String> {
    if reply.pointer("/error/code")? != "unreachable" {
        return None;
    }
    let source = core.gateway.source(source).ok()?;
    let place = core.gateway.database_report(source).await?.place?;
    Some(format!("Address: {place}."))
}

fn receipt_words(receipt: &Value) -> String {
    let number = |name| receipt.get(name).and_then(Value::as_u64).unwrap_or(0);
    let part = |name| receipt.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut text = format!("[{}", part("engine"));
    if !part("model").is_empty() {
        text.push_str(&format!(
            " {}, {} calls, {} + {} tokens",
            part("model"),
            number("model_calls"),
            number("input_tokens"),
            number("output_tokens")
        ));
    }
    text.push_str(&format!(", {} ms, record {}]", number("elapsed_ms"), part("audit_id")));
    text
}
