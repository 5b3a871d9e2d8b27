//! `tudb audit`: reads and verifies the audit trail.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{DONE, NO, complain, say};
use crate::audit::{Filter, Trail};
use crate::config::Config;

/// What to do with the trail.
#[derive(Subcommand)]
pub(super) enum Audit {
    /// Show the newest records
    Show(Show),
    /// Check that no record was changed, removed or reordered
    Verify(Verify),
    /// Print all records, one JSON object a line
    Export,
}

#[derive(Args)]
pub(super) struct Show {
    /// Newest records to show
    #[arg(long, default_value_t = 50)]
    last: i64,
    /// Only this tool
    #[arg(long)]
    tool: Option<String>,
    /// Only this decision (allowed, refused)
    #[arg(long)]
    decision: Option<String>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct Verify {
    #[arg(long)]
    json: bool,
}

impl Audit {
    pub(super) async fn run(self, config: Config) -> u8 {
        let Some(path) = &config.audit.path else {
            complain("audit_unavailable: no audit store is known; set TUDB_AUDIT_DB");
            return NO;
        };
        let result = async {
            let mut trail = Trail::open(path).await?;
            match self {
                Audit::Show(show) => {
                    let filter = Filter { tool: show.tool, decision: show.decision, last: Some(show.last) };
                    for record in trail.records(&filter).await? {
                        say(&if show.json { record.to_string() } else { line(&record) });
                    }
                    Ok(DONE)
                }
                Audit::Export => {
                    for record in trail.records(&Filter::default()).await? {
                        say(&record.to_string());
                    }
                    Ok(DONE)
                }
                Audit::Verify(verify) => {
                    let verdict = trail.verify().await?;
                    if verify.json {
                        say(&json!({"events": verdict.events, "processes": verdict.processes,
                            "faults": verdict.faults, "unfinished": verdict.unfinished})
                        .to_string());
                    } else {
                        let found = if verdict.faults.is_empty() { "ok: no fault in" } else { "faults in" };
                        say(&format!("{found} {} events of {} processes", verdict.events, verdict.processes));
                        verdict.faults.iter().for_each(|fault| say(&format!("FAULT {fault}")));
                        verdict.unfinished.iter().for_each(|id| say(&format!("unfinished {id}")));
                        say(
                            "Not detectable here: a whole chain rewritten with new hashes, and events cut from the end \
                             of a process that died.",
                        );
                    }
                    Ok(if verdict.faults.is_empty() { DONE } else { NO })
                }
            }
        }
        .await;
        result.unwrap_or_else(|error: sqlx::Error| {
            complain(&format!("audit_unavailable: {}: {error}", path.display()));
            NO
        })
    }
}

/// One record on one line for a person.
fn line(record: &Value) -> String {
    let part = |name| match record.get(name) {
        Some(Value::String(text)) => text.replace('\n', " "),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    format!(
        "{} {:<14} {:<8} {:<8} {:<10} {:>10} {:>6} ms  {}{}",
        part("started_at"),
        part("tool"),
        part("source"),
        part("decision"),
        part("outcome"),
        if part("row_count").is_empty() { String::new() } else { format!("{} rows", part("row_count")) },
        part("elapsed_ms"),
        part("question"),
        part("sql")
    )
}
