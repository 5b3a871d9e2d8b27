//! The arguments of the five tools. The tools' input schemas are derived from these types. The comments on fields are
//! the descriptions that clients read.

use schemars::JsonSchema;
use serde::Deserialize;

/// Arguments of `list_tables`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListTables {
    /// Words to look for in names and comments of tables and columns
    pub search: Option<String>,
    /// Only this schema
    pub schema: Option<String>,
    /// next_cursor of the page before
    pub cursor: Option<String>,
    /// Tables a page
    pub limit: Option<u64>,
    /// Source
    pub source: Option<String>,
}

/// Arguments of `describe_table`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DescribeTable {
    /// name or schema.name; several separated by commas
    pub table: String,
    /// Also read a sample of the rows: share of NULLs, smallest and greatest value, examples a column
    pub sample: Option<bool>,
    /// Source
    pub source: Option<String>,
}

/// Arguments of `run_sql`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunSql {
    /// One SELECT, WITH, VALUES or EXPLAIN statement
    pub sql: String,
    /// Rows wanted at most
    pub max_rows: Option<u64>,
    /// Form of the rows
    #[schemars(extend("enum" = ["json", "csv", "markdown"]))]
    pub format: Option<String>,
    /// User on whose behalf
    pub user_id: Option<String>,
    /// Source
    pub source: Option<String>,
}

/// Arguments of `explain_query`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainQuery {
    /// One query
    pub sql: String,
    /// Also run it, inside the limits, and report measured rows and time
    pub analyze: Option<bool>,
    /// Also give the database's own plan
    pub plan: Option<bool>,
    /// User on whose behalf
    pub user_id: Option<String>,
    /// Source
    pub source: Option<String>,
}

/// Arguments of `ask_database`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AskDatabase {
    /// The question, in plain language
    pub question: String,
    /// The reading of a choice that an earlier reply offered
    pub choice: Option<String>,
    /// Rows wanted at most
    pub max_rows: Option<u64>,
    /// Add a chart as an image
    pub chart: Option<bool>,
    /// User on whose behalf
    pub user_id: Option<String>,
    /// Conversation the question belongs to
    pub session_id: Option<String>,
    /// Source
    pub source: Option<String>,
}
