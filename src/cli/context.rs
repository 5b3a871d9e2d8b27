//! `tudb context`: the schema part of a prompt for a question, without calling a model. `tudb context init` drafts a
//! context file.

use clap::Args;

use super::{DONE, NO, complain, core, say, tell};
use crate::config::{Config, Environment};
use crate::database::catalog::Snapshot;
use crate::gateway::Caller;

/// Arguments of `tudb context`.
#[derive(Args)]
pub(super) struct Context {
    /// The question; `init` drafts a context file from the database instead
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
        if self.question == "init" {
            let source = core.gateway.source(self.source.as_deref());
            let drafted = match source {
                Ok(source) => {
                    core.gateway.read_schema(&caller, source).await.map(|schema| draft(&schema, &source.name))
                }
                Err(error) => Err(error),
            };
            core.gateway.close().await;
            return match drafted {
                Ok(text) => {
                    say(text.trim_end());
                    DONE
                }
                Err(error) => {
                    complain(&error.to_string());
                    NO
                }
            };
        }
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
        let part = if inspected.whole_schema { "the whole schema" } else { "the best ranked tables" };
        tell(&format!(
            "{part}: about {} tokens of {} tables, ranked in {:.1} ms\n",
            inspected.prompt_tokens,
            inspected.all_tables,
            inspected.ranked_us as f64 / 1_000.0
        ));
        for table in &inspected.tables {
            tell(&format!("{:>7.2}  {} ({} columns)", table.score, table.name, table.columns.len()));
        }
        for value in &inspected.values {
            tell(&format!("  value  {} = {:?}", value.column, value.value));
        }
        for join in &inspected.joins {
            tell(&format!("   join  {join}"));
        }
        tell(&format!("\n{}", inspected.text));
        DONE
    }
}

/// A draft of a context file, with tables, columns and comments of the database.
fn draft(schema: &Snapshot, source: &str) -> String {
    // A JSON string is also a valid TOML string.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut text = String::from(
        "# What asking should know of this data; TUDB_CONTEXT names this file. `tudb doctor` tells what no longer fits.\n\n\
         instructions = \"\"   # for the model, in your own words\n\n\
         # [[metrics]]\n# name = \"revenue\"\n# sql = \"sum(quantity * unit_price)\"\n\n\
         # [[queries]]   # verified: wins over the model, word for word\n# question = \"How many orders since {day}?\"\n\
         # sql = \"SELECT count(*) FROM orders WHERE ordered_at >= {day}\"\n# parameters = { day = \"date\" }   # text integer number date\n",
    );
    for table in &schema.tables {
        text += &format!("\n[[tables]]\nname = {}\nsource = {}\n", quoted(&table.name), quoted(source));
        text += &format!(
            "description = {}\n# synonyms = []\n# hidden = true\n",
            quoted(table.comment.as_deref().unwrap_or_default())
        );
        for column in &table.columns {
            let said = column.comment.as_deref().unwrap_or_default();
            text += &format!("columns.{}.description = {}\n", quoted(&column.name), quoted(said));
        }
    }
    text
}
