//! `tudb sql`: the tool `run_sql` in the terminal.

use std::io::{IsTerminal, Read};

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::progress::Progress;
use super::{DONE, NO, PART, USAGE, complain, core, say, table, tell, terminal_words};
use crate::config::{Config, Environment};
use crate::gateway::{Caller, Ran, RunSql};
use crate::tools::run_sql_reply;

/// Arguments of `tudb sql`.
#[derive(Args)]
#[command(after_help = "Example: tudb sql \"SELECT status, count(*) FROM orders GROUP BY status\" --format csv")]
pub(super) struct Sql {
    /// One SELECT, WITH, VALUES or EXPLAIN statement; without it, or with -, it is read from standard input
    statement: Option<String>,
    /// Source to read
    #[arg(long)]
    source: Option<String>,
    /// Rows wanted at most
    #[arg(long)]
    max_rows: Option<u64>,
    /// User on whose behalf
    #[arg(long)]
    user_id: Option<String>,
    /// How the rows are printed
    #[arg(long, visible_alias = "output", value_enum, default_value = "table")]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
    Csv,
    Markdown,
}

impl Sql {
    pub(super) async fn run(self, config: Config, env: &Environment) -> u8 {
        let sql = match self.statement.filter(|statement| statement != "-") {
            Some(statement) => statement,
            None => match read_statement(config.limits.max_sql_bytes) {
                Ok(statement) => statement,
                Err(message) => {
                    complain(&message);
                    return USAGE;
                }
            },
        };
        let core = core(config, env);
        let caller = Caller { client: Some(format!("tudb sql/{}", env!("CARGO_PKG_VERSION"))), ..Caller::default() };
        let request = RunSql {
            sql,
            max_rows: self.max_rows,
            format: match self.format {
                Format::Table | Format::Json => None,
                Format::Csv => Some("csv".into()),
                Format::Markdown => Some("markdown".into()),
            },
            user_id: self.user_id,
            source: self.source,
        };
        let progress = Progress::start("running", None);
        let result = core.gateway.run_sql(&caller, &request, 200).await;
        drop(progress);
        let code = match result {
            Ok(read) => {
                let reply = run_sql_reply(&read, core.gateway.config().limits.max_reply_bytes);
                let rows = if let Ran::Rows(rows) = &read.value { Some(rows.row_count) } else { None };
                read.close(rows, reply.len());
                if let Some(warning) = caller.outcomes.written().await {
                    complain(&warning);
                }
                let parsed: Value = serde_json::from_str(&reply).unwrap_or_default();
                match self.format {
                    Format::Json => say(&reply),
                    Format::Csv | Format::Markdown => {
                        say(parsed.get("text").and_then(Value::as_str).unwrap_or(&reply).trim_end());
                    }
                    Format::Table => tell(&table::of_reply(&parsed).unwrap_or(reply)),
                }
                if let (Some(hint), true) = (parsed.get("hint").and_then(Value::as_str), self.format != Format::Json) {
                    complain(&terminal_words(hint));
                }
                let warnings = parsed.get("warnings").and_then(Value::as_array).into_iter().flatten();
                for warning in warnings.filter_map(Value::as_str).filter(|_| self.format != Format::Json) {
                    complain(&format!("Warning: {warning}"));
                }
                // A program that reads CSV does not see the hint.
                let is_part = parsed.get("truncated").and_then(Value::as_bool).unwrap_or(false);
                let is_text = matches!(self.format, Format::Csv | Format::Markdown);
                let is_by = |limit: &str| {
                    let limits = parsed.get("truncated_by").and_then(Value::as_array);
                    limits.is_some_and(|limits| limits.iter().any(|one| one == limit))
                };
                if is_by("bytes") {
                    complain("TUDB_MAX_REPLY_BYTES is the limit on the bytes of a reply.");
                }
                if is_part && is_text { PART } else { DONE }
            }
            Err(error) => {
                if self.format == Format::Json {
                    say(&error.to_json());
                } else {
                    let reply: Value = serde_json::from_str(&error.to_json()).unwrap_or_default();
                    complain(&super::ask::error_words(&reply));
                    if let Some(tried) = super::ask::address_tried(&core, &reply, request.source.as_deref()).await {
                        complain(&tried);
                    }
                }
                NO
            }
        };
        core.gateway.close().await;
        code
    }
}

/// Reads the statement from standard input, up to one byte more than the guard permits.
///
/// # Errors
///
/// A message for the user when standard input is a terminal, or cannot be read as text.
fn read_statement(max_bytes: usize) -> Result<String, String> {
    let input = std::io::stdin();
    if input.is_terminal() {
        return Err("A statement is missing: tudb sql \"STATEMENT\", or write it to standard input.".to_owned());
    }
    let mut text = String::new();
    let limit = u64::try_from(max_bytes).unwrap_or(u64::MAX).saturating_add(1);
    match input.lock().take(limit).read_to_string(&mut text) {
        Ok(_) => Ok(text),
        Err(error) => Err(format!("The statement on standard input cannot be read as UTF-8 text: {error}.")),
    }
}
