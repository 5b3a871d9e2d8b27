//! `ask_database`: answers a question in plain language.

use rmcp::model::Tool;
use serde_json::Value;

use super::{Core, Reply, View, tool as define};
use crate::chart::{self, Chart};
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
    let reply = core.asker.ask(caller, request).await;
    if request.chart != Some(true) {
        return reply;
    }
    let (title, most) = (request.question.clone(), core.gateway.config().limits.max_reply_bytes);
    // Drawing takes about 20 ms. A fault in it leaves the answer.
    let answer = reply.clone();
    tokio::task::spawn_blocking(move || with_chart(answer, &title, most)).await.unwrap_or(reply)
}

/// Adds an image to an answer, and the field `chart`: what the image shows, or why there is none. The image in base64 has at
/// most `max_bytes`.
fn with_chart(mut reply: Reply, title: &str, max_bytes: usize) -> Reply {
    let Ok(Value::Object(mut fields)) = serde_json::from_str(&reply.json) else { return reply };
    if fields.get("status").and_then(Value::as_str) != Some("success") {
        return reply;
    }
    let list = |name: &str| fields.get(name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let drawn = Chart::of(title, list("columns"), list("rows")).and_then(|chart| {
        let png = chart::png(&chart)?;
        // Base64 has four characters for three bytes.
        if png.len().div_ceil(3) * 4 > max_bytes {
            return Err("the image is longer than TUDB_MAX_REPLY_BYTES".to_owned());
        }
        Ok((chart.described(), png))
    });
    let said = match drawn {
        Ok((described, png)) => {
            reply.image = Some(png);
            described
        }
        Err(why) => format!("none: {why}"),
    };
    fields.insert("chart".into(), said.into());
    reply.json = Value::Object(fields).to_string();
    reply
}
