//! `tudb context`: what a prompt would hold of the schema for a question, without asking a model.

use clap::Args;

use super::{DONE, NO, complain, core, say};
use crate::config::{Config, Environment};
use crate::gateway::Caller;

/// Arguments of `tudb context`.
#[derive(Args)]
pub(super) struct Context {
    /// The question
    question: String,
    /// Source
    #[arg(long)]
    source: Option<String>,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

impl Context {
    pub(super) async fn run(self, config: Config, env: &Environment) -> u8 {
        let core = core(config, env);
        let caller =
            Caller { client: Some(format!("tudb context/{}", env!("CARGO_PKG_VERSION"))), ..Caller::default() };
        let inspected = core.asker.context(&caller, self.source.as_deref(), &self.question).await;
        core.gateway.close().await;
        let inspected = match inspected {
            Ok(inspected) => inspected,
            Err(error) => {
                complain(&error.to_string());
                return NO;
            }
        };
        if self.json {
            say(&serde_json::to_string(&inspected).unwrap_or_default());
            return DONE;
        }
        let part = if inspected.whole { "the whole schema" } else { "the best ranked tables" };
        say(&format!(
            "{part}: about {} tokens of {} tables, ranked in {:.1} ms\n",
            inspected.tokens,
            inspected.all_tables,
            inspected.ranked_us as f64 / 1_000.0
        ));
        for table in &inspected.tables {
            say(&format!("{:>7.2}  {} ({} columns)", table.score, table.name, table.columns.len()));
        }
        for value in &inspected.values {
            say(&format!("  value  {} = {:?}", value.column, value.value));
        }
        for join in &inspected.joins {
            say(&format!("   join  {join}"));
        }
        say(&format!("\n{}", inspected.text));
        DONE
    }
}
