//! `ask_database`: answers a question in plain language.

use rmcp::model::Tool;

use super::{Core, Reply, View, tool as define};
use crate::gateway::{AskDatabase, Caller};

pub(super) fn tool(view: &View<'_>, policy: &str) -> Tool {
    let description = format!(
        "Ask a question about the data in plain language and get a summary, the rows, the SQL that was run and what was \
         assumed. status needs_sql: write the statement yourself from the schema it gives and call run_sql. status \
         clarification_needed: call again with the same question and one reading as choice. {policy}"
    );
    define::<AskDatabase>("ask_database", "Ask the database", description, true, view)
}

pub(super) async fn call(core: &Core, caller: &Caller, request: &AskDatabase) -> Reply {
    core.asker.ask(caller, request).await
}
