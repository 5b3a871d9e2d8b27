//! Publishes the schema as MCP resources, because some clients let a person attach a resource. There is an overview,
//! and one document for each table. The content of a resource is the reply of `list_tables` or `describe_table`. It is
//! read through the same calls of the gateway.

use rmcp::model::{Resource, ResourceTemplate};
use url::Url;

use crate::error::{Code, ToolError};
use crate::gateway::{Caller, DescribeTable, Gateway, Grant, ListTables};
use crate::tools::{ToolName, describe_table, list_tables};

const OVERVIEW: &str = "tudb://schema";
const JSON: &str = "application/json";

/// Maximum number of names in a completion. The protocol sets this limit.
const COMPLETIONS: u64 = 100;

pub fn list() -> Vec<Resource> {
    let overview = Resource::new(OVERVIEW, "schema")
        .with_title("Schema overview")
        .with_description("The tables and views of the default source, with kind, estimated rows and comment")
        .with_mime_type(JSON);
    vec![overview]
}

/// The resource templates for a key. They have the parameter `source` only if the key may read several sources.
pub fn templates(gateway: Option<&Gateway>, grant: Option<&Grant>) -> Vec<ResourceTemplate> {
    let sources = gateway.iter().flat_map(|gateway| &gateway.config().sources);
    let several = sources.filter(|source| grant.is_none_or(|grant| grant.allows_source(&source.name))).count() > 1;
    let uri = if several { "tudb://schema/{table}{?source}" } else { "tudb://schema/{table}" };
    let table = ResourceTemplate::new(uri, "table")
        .with_title("Table")
        .with_description("Columns, keys, comments, known values and indexes of a table, given as name or schema.name")
        .with_mime_type(JSON);
    vec![table]
}

/// Returns the document at a URI.
///
/// # Errors
///
/// `invalid_argument` if the URI is not one of the resources, and the errors of `list_tables` and `describe_table`.
pub async fn read(gateway: &Gateway, caller: &Caller, uri: &str) -> Result<String, ToolError> {
    let unknown = || ToolError::invalid("the resources are tudb://schema and tudb://schema/{table}");
    let url = Url::parse(uri).map_err(|_| unknown())?;
    if url.scheme() != "tudb" || url.host_str() != Some("schema") {
        return Err(unknown());
    }
    let source = url.query_pairs().find(|(name, _)| name == "source").map(|(_, value)| value.into_owned());
    let path = url.path().trim_start_matches('/');
    let table = percent_encoding::percent_decode_str(path).decode_utf8().map_err(|_| unknown())?;
    if table.is_empty() {
        return list_tables::call(gateway, caller, &ListTables { source, ..ListTables::default() }).await;
    }
    describe_table::call(
        gateway,
        caller,
        &DescribeTable { table: table.into_owned(), source, ..DescribeTable::default() },
    )
    .await
}

/// Returns table names that contain the typed text, and the number of all such names.
///
/// # Errors
///
/// The errors of `list_tables`.
pub async fn complete_table(
    gateway: &Gateway,
    caller: &Caller,
    typed: &str,
    source: Option<String>,
) -> Result<(Vec<String>, u64), ToolError> {
    let request =
        ListTables { search: Some(typed.to_owned()), limit: Some(COMPLETIONS), source, ..ListTables::default() };
    let read = gateway.complete_table(caller, &request).await?;
    let names: Vec<String> = read.value.tables.iter().map(|table| table.summary.name.clone()).collect();
    let total = read.value.total;
    let bytes = names.iter().map(String::len).sum();
    read.close(Some(names.len() as u64), bytes);
    Ok((names, total))
}

/// Returns the tool whose reply is the content of the resource.
pub fn tool_of(uri: &str) -> ToolName {
    let path = Url::parse(uri).map(|url| url.path().trim_start_matches('/').len());
    if path == Ok(0) { ToolName::ListTables } else { ToolName::DescribeTable }
}

/// True if the error means that the resource does not exist. False if it may be readable later.
pub fn is_missing(error: &ToolError) -> bool {
    matches!(error.code, Code::InvalidArgument | Code::UnknownTable | Code::AmbiguousTable | Code::UnknownSource)
}
