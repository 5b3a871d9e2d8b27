//! `tudb sql`: the tool `run_sql` in the terminal.

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::{DONE, NO, complain, core, say, table, tell};
use crate::config::{Config, Environment};
use crate::gateway::{Caller, Ran, RunSql};
use crate::tools::run_sql_reply;

/// Arguments of `tudb sql`.
#[derive(Args)]
pub(super) struct Sql {
    /// One SELECT, WITH, VALUES or EXPLAIN statement
    statement: String,
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
    #[arg(long, value_enum, default_value = "table")]
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
        let core = core(config, env);
        let caller = Caller { client: Some(format!("tudb sql/{}", env!("CARGO_PKG_VERSION"))), ..Caller::default() };
        let request = RunSql {
            sql: self.statement,
            max_rows: self.max_rows,
            format: match self.format {
                Format::Table | Format::Json => None,
                Format::Csv => Some("csv".into()),
                Format::Markdown => Some("markdown".into()),
            },
            user_id: self.user_id,
            source: self.source,
        };
        let result = core.gateway.run_sql(&caller, &request, 200).await;
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
                    complain(hint);
                }
                let warnings = parsed.get("warnings").and_then(Value::as_array).into_iter().flatten();
                for warning in warnings.filter_map(Value::as_str).filter(|_| self.format != Format::Json) {
                    complain(&format!("Warning: {warning}"));
                }
                DONE
            }
            Err(error) => {
                if self.format == Format::Json {
                    say(&error.to_json());
                } else {
                    let reply: Value = serde_json::from_str(&error.to_json()).unwrap_or_default();
                    complain(&super::ask::error_words(&reply));
                }
                NO
            }
        };
        core.gateway.close().await;
        code
    }
}
