//! `describe_table`: one table with everything a statement about it needs.

use rmcp::model::Tool;
use serde::Serialize;

use super::tool as define;
use crate::database::catalog::TableDescription;
use crate::error::ToolError;
use crate::gateway::{Caller, DescribeTable, Gateway};

pub(super) fn tool(gateway: Option<&Gateway>) -> Tool {
    let description =
        "Show one table or view: columns with types, keys both ways, comments, known values (enum labels, \
                       CHECK lists), indexes, checks, a view's definition. Use it before writing SQL."
            .to_owned();
    define::<DescribeTable>("describe_table", "Describe a table", description, false, gateway)
}

pub(crate) async fn call(gateway: &Gateway, caller: &Caller, request: &DescribeTable) -> Result<String, ToolError> {
    #[derive(Serialize)]
    struct Body<'a> {
        source: &'a str,
        #[serde(flatten)]
        table: &'a TableDescription,
    }
    let read = gateway.describe_table(caller, request).await?;
    let text =
        serde_json::to_string(&Body { source: &read.source, table: &read.value }).map_err(|_| ToolError::internal())?;
    read.close(None, text.len());
    Ok(text)
}
