//! Two MCP prompts, which a client shows to its user for selection. A prompt contains only a text for the model. The
//! text tells the model which tools to call.

use rmcp::model::{GetPromptResult, Prompt, PromptArgument, PromptMessage, Role};
use serde_json::{Map, Value};

/// A prompt with its only argument. `words` returns the text of the prompt for a value of the argument.
struct Opening {
    name: &'static str,
    title: &'static str,
    description: &'static str,
    argument: &'static str,
    argument_description: &'static str,
    is_required: bool,
    words: fn(&str) -> String,
}

const OPENINGS: [Opening; 2] = [
    Opening {
        name: "explore",
        title: "Get to know the database",
        description: "A guided first look at the database, or at one table of it",
        argument: "table",
        argument_description: "Only this table: name or schema.name",
        is_required: false,
        words: |table| {
            let look = if table.is_empty() {
                "Call list_tables, then describe_table for the five tables that matter most.".to_owned()
            } else {
                format!("Call describe_table for {table:?}, and for the tables it refers to.")
            };
            format!(
                "{look} Tell me in a few sentences what the data is about and how the tables belong together. Then \
                 propose three questions worth asking, answer each with ask_database or run_sql, and show the SQL."
            )
        },
    },
    Opening {
        name: "make_faster",
        title: "Make a query faster",
        description: "Why a query is slow, and what would help",
        argument: "sql",
        argument_description: "The query",
        is_required: true,
        words: |sql| {
            format!(
                "Call explain_query for the statement below, and describe_table for the tables it reads. Say in plain \
                 words where the statement spends its time. Then propose a rewrite or an index. Show with \
                 explain_query whether a rewrite helps. You cannot create an index: give me the CREATE INDEX.\n\n\
                 ```sql\n{sql}\n```"
            )
        },
    },
];

pub fn list() -> Vec<Prompt> {
    let prompt = |opening: &Opening| {
        let argument = PromptArgument::new(opening.argument)
            .with_description(opening.argument_description)
            .with_required(opening.is_required);
        Prompt::new(opening.name, Some(opening.description), Some(vec![argument])).with_title(opening.title)
    };
    OPENINGS.iter().map(prompt).collect()
}

/// Returns the text of a prompt.
///
/// # Errors
///
/// A message with the names of all prompts if none is named `name`, or with the missing required argument.
pub fn get(name: &str, arguments: &Map<String, Value>) -> Result<GetPromptResult, String> {
    let Some(opening) = OPENINGS.iter().find(|opening| opening.name == name) else {
        let names: Vec<&str> = OPENINGS.iter().map(|opening| opening.name).collect();
        return Err(format!("no prompt {name:?}; the prompts are {}", names.join(", ")));
    };
    let argument = arguments.get(opening.argument).and_then(Value::as_str).unwrap_or_default();
    if opening.is_required && argument.trim().is_empty() {
        return Err(format!("prompt {name} needs the argument {}", opening.argument));
    }
    let message = PromptMessage::new_text(Role::User, (opening.words)(argument));
    Ok(GetPromptResult::new(vec![message]).with_description(opening.description))
}
