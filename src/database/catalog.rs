//! What a database says about its tables: the shapes behind `list_tables`, `describe_table` and the schema context.
//!
//! Engines fill these from their own catalog; tools serialise them as they are (the field order is the contract's).
//! Nothing here reads a database.

use serde::{Deserialize, Serialize};

/// What kind of relation a table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableKind {
    Table,
    View,
    MaterializedView,
    ForeignTable,
    PartitionedTable,
}

/// One line of `list_tables`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TableSummary {
    /// `schema.name` on PostgreSQL, the bare name on SQLite; not quoted.
    pub name: String,
    pub kind: TableKind,
    /// The planner's estimate; `None` when it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partitions: Option<i64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub foreign: bool,
    /// What the search word hit, as `"column total"`; empty without a search.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matched: Vec<String>,
}

/// Everything known of one table. A schema snapshot holds the same type with the costly fields left empty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableDescription {
    /// `schema.name` on PostgreSQL, the bare name on SQLite; not quoted.
    pub name: String,
    pub kind: TableKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<i64>,
    pub columns: Vec<Column>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub primary_key: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unique: Vec<Vec<String>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub foreign_keys: Vec<ForeignKey>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub referenced_by: Vec<Reference>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub indexes: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub definition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partitions: Option<i64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub row_security: bool,
}

/// One column, in the table's own order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    /// PostgreSQL: `format_type` spelling without modifier; SQLite: the declared type, possibly empty.
    #[serde(rename = "type")]
    pub type_name: String,
    pub nullable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// `always` or `by default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// The generation expression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generated: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Enum labels, a CHECK list, or the most frequent values of a column with few of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub masked: bool,
}

/// A foreign key of the table at hand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ForeignKey {
    pub columns: Vec<String>,
    /// Name of the other table, spelled as its `TableDescription::name`.
    pub references: String,
    pub referenced_columns: Vec<String>,
}

/// A foreign key of another table that points at the table at hand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    pub table: String,
    pub columns: Vec<String>,
    pub referenced_columns: Vec<String>,
}

/// All tables of a source that may be read, in a stable order (by name), with keys, comments and known values.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub tables: Vec<TableDescription>,
}
