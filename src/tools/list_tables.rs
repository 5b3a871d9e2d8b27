//! `list_tables`: names, kinds and comments of tables, searchable, in pages within the byte limit of a reply.

use rmcp::model::Tool;
use serde_json::json;

use super::{View, tool as define};
use crate::database::catalog::TableSummary;
use crate::database::value::{cut, json_escaped_len};
use crate::error::ToolError;
use crate::gateway::{Caller, Gateway, ListTables};

/// Bytes of a comment that a page shows.
const COMMENT_BYTES: usize = 300;

pub(super) fn tool(view: &View<'_>) -> Tool {
    let description = "List the tables and views that can be read, with kind, estimated rows and comment. Use search \
                       to find tables and columns by words in their names and comments, and cursor for the next page."
        .to_owned();
    define::<ListTables>("list_tables", "List tables", description, false, view)
}

pub(crate) async fn call(gateway: &Gateway, caller: &Caller, request: &ListTables) -> Result<String, ToolError> {
    let read = gateway.list_tables(caller, request).await?;
    let budget = gateway.config().limits.max_reply_bytes.saturating_sub(400);
    // A page serves to choose tables. `describe_table` shows the whole comment.
    let mut page = read.value.clone();
    for table in &mut page.tables {
        if let Some(comment) = table.summary.comment.as_mut().filter(|comment| comment.len() > COMMENT_BYTES) {
            *comment = format!("{}…", cut(comment, COMMENT_BYTES));
        }
    }
    let mut kept: Vec<&TableSummary> = Vec::with_capacity(page.tables.len());
    let mut bytes = 0;
    let mut next_cursor = None;
    for (index, table) in page.tables.iter().enumerate() {
        bytes += serde_json::to_string(&table.summary).map_or(0, |text| text.len() + 1);
        // The reply also contains the cursor of its last table.
        if bytes + json_escaped_len(&table.cursor) > budget && index > 0 {
            break;
        }
        kept.push(&table.summary);
        let last = index + 1 == page.tables.len();
        next_cursor = (page.more || !last).then_some(table.cursor.as_str());
    }
    let mut reply = json!({"source": read.source, "dialect": read.dialect.name(), "tables": kept, "total": page.total});
    if let (Some(cursor), Some(reply)) = (next_cursor, reply.as_object_mut()) {
        let hint =
            format!("{} of {} tables; pass next_cursor as cursor, or narrow with search", kept.len(), page.total);
        reply.insert("next_cursor".into(), cursor.into());
        reply.insert("hint".into(), hint.into());
    }
    if let (true, Some(search), Some(reply)) = (kept.is_empty(), &request.search, reply.as_object_mut()) {
        let hint = format!(
            "nothing matches {:?}; try a part of a word or another word for it, or list without search",
            cut(search, 100)
        );
        reply.insert("hint".into(), hint.into());
    }
    let text = reply.to_string();
    let rows = kept.len() as u64;
    read.close(Some(rows), text.len());
    Ok(text)
}
