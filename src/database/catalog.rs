//! The shapes behind `list_tables`, `describe_table` and the schema context. This module reads no database.
//!
//! Engines fill the shapes from their catalogs. Tools serialise them unchanged, so the order of the fields is part of
//! the contract.

use serde::{Deserialize, Serialize};

use std::borrow::Cow;
use std::mem::size_of;
use std::sync::Arc;

use super::{DatabaseError, Hits, ListRequest, ListedTable, TablePage};
use crate::dialect::Dialect;
use crate::guard::columns::{ColumnRules, RuleKind};
use crate::quoting;

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
    /// PostgreSQL: `schema.name`, each part quoted where SQL requires it. SQLite: the bare name, never quoted.
    pub name: String,
    pub kind: TableKind,
    /// Estimated number of rows, from the statistics; `None` without statistics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partitions: Option<i64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub foreign: bool,
    /// The hits of the search, such as `"column total"`; empty without a search.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matched: Vec<String>,
}

/// One table. A schema snapshot uses the same type and leaves the costly fields empty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableDescription {
    /// PostgreSQL: `schema.name`, each part quoted where SQL requires it. SQLite: the bare name, never quoted.
    pub name: String,
    pub kind: TableKind,
    /// Schema and name, without quotes, of the table and of the other tables in its inheritance tree. The schema is
    /// empty on SQLite. Used for the rules only.
    #[serde(default, skip_serializing)]
    pub kin: Arc<Vec<(String, String)>>,
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
    /// True if another server stores the rows, or those of a partition.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub foreign: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub row_security: bool,
    /// True if the name alone means a table of another schema, which comes earlier in the `search_path`.
    #[serde(skip)]
    pub is_shadowed: bool,
    /// True if the table's schema is not in the `search_path`. Any user who may create schemas can have made it.
    #[serde(skip)]
    pub is_off_path: bool,
    /// Tables whose rows and columns this one adds to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inherits: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition_of: Option<String>,
    /// Partitions in name order, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partition_names: Vec<String>,
    /// `false` for a materialized view that holds no rows yet and cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub populated: Option<bool>,
    /// The columns that the role may read, if it may not read the whole table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub readable_columns: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub triggers: Vec<String>,
    /// A table of a module, such as a full-text index.
    #[serde(rename = "virtual", default, skip_serializing_if = "std::ops::Not::not")]
    pub is_virtual: bool,
}

/// One column, in the order of the table. A snapshot can contain hundreds of thousands of columns, so their texts have
/// no spare capacity, and equal type names are shared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    /// PostgreSQL: the type without modifier, as `format_type` writes it. SQLite: the declared type, possibly empty.
    #[serde(rename = "type")]
    pub type_name: Arc<str>,
    /// Written only if false: most columns are nullable.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub nullable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Box<str>>,
    /// `always` or `by default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<Box<str>>,
    /// The generation expression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generated: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<Box<str>>,
    /// Known values: enum labels, a CHECK list, or the frequent values of a column with few of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// False if the column may hold other values than those listed.
    #[serde(rename = "values_complete", default = "yes", skip_serializing_if = "Clone::clone")]
    pub has_all_values: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub masked: bool,
    /// Of a domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_type: Option<Box<str>>,
    /// Of a composite type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<Box<[Field]>>,
}

/// A field of a composite type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Field {
    pub name: String,
    #[serde(rename = "type")]
    pub type_name: String,
}

/// A foreign key of this table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ForeignKey {
    pub columns: Vec<String>,
    /// Name of the other table, written as its [`TableDescription::name`].
    pub references: String,
    /// `describe_table` leaves them out if they are the other table's primary key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub referenced_columns: Vec<String>,
    /// True if the referenced columns are the other table's primary key, in its order. Known for descriptions only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub to_primary_key: bool,
    /// The last column is a range that the other table's ranges cover: rows belong together where the ranges overlap.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub period: bool,
    /// Rows that were there before the key may have no partner.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not_validated: bool,
    /// No row needs a partner.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not_enforced: bool,
    /// `cascade`, `set null`, `set default` or `restrict`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_delete: Option<String>,
}

/// A foreign key of another table that refers to this table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    pub table: String,
    pub columns: Vec<String>,
    /// `describe_table` leaves them out if they are the primary key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub referenced_columns: Vec<String>,
}

/// The default of flags that are written only if they are false.
fn yes() -> bool {
    true
}

impl Column {
    pub fn new(name: String, type_name: Arc<str>) -> Self {
        Column {
            name,
            type_name,
            nullable: true,
            default: None,
            identity: None,
            generated: None,
            comment: None,
            values: Vec::new(),
            has_all_values: true,
            check: None,
            masked: false,
            base_type: None,
            fields: None,
        }
    }

    /// Sets the known values. Keys that are GUIDs are none: nobody asks for them by their text.
    pub fn set_values(&mut self, values: Vec<String>, are_all: bool) {
        let is_guid = |value: &String| value.len() == 36 && uuid::Uuid::try_parse(value).is_ok();
        if !values.is_empty() && values.iter().all(is_guid) {
            return;
        }
        (self.values, self.has_all_values) = (values, are_all);
    }

    /// Returns the approximate memory of the column.
    pub fn bytes(&self) -> usize {
        let values: usize = self.values.iter().map(|value| size_of::<String>() + value.len()).sum();
        let texts = [&self.default, &self.identity, &self.generated, &self.comment, &self.check];
        let texts: usize = texts.into_iter().flatten().map(|text| text.len()).sum();
        size_of::<Self>() + self.name.len() + texts + values
    }
}

impl TableDescription {
    /// The dialect in which the table's names are spelt: only PostgreSQL has schemas.
    pub fn dialect(&self) -> Dialect {
        let has_schema = self.kin.first().is_some_and(|(schema, _)| !schema.is_empty());
        if has_schema { Dialect::Postgresql } else { Dialect::Sqlite }
    }

    /// Schema and name, unquoted. The schema is empty on SQLite.
    pub fn schema_and_name(&self) -> (String, String) {
        match self.dialect() {
            Dialect::Sqlite => (String::new(), self.name.clone()),
            Dialect::Postgresql => split(&self.name),
        }
    }

    /// A table's name, this one's or that of a key, as a statement has to spell it. PostgreSQL's catalog quotes it itself.
    pub fn spelt_table<'a>(&self, name: &'a str) -> Cow<'a, str> {
        match self.dialect() {
            Dialect::Postgresql => Cow::Borrowed(name),
            Dialect::Sqlite => Cow::Owned(quoting::name(Dialect::Sqlite, name)),
        }
    }

    /// A column's name as a statement has to spell it.
    pub fn spelt_column(&self, name: &str) -> String {
        quoting::name(self.dialect(), name)
    }

    pub fn new(name: String, kind: TableKind) -> Self {
        TableDescription {
            name,
            kind,
            kin: Arc::default(),
            comment: None,
            rows: None,
            columns: Vec::new(),
            primary_key: Vec::new(),
            unique: Vec::new(),
            foreign_keys: Vec::new(),
            referenced_by: Vec::new(),
            indexes: Vec::new(),
            checks: Vec::new(),
            definition: None,
            partition_key: None,
            partitions: None,
            foreign: false,
            row_security: false,
            is_shadowed: false,
            is_off_path: false,
            inherits: Vec::new(),
            partition_of: None,
            partition_names: Vec::new(),
            populated: None,
            readable_columns: Vec::new(),
            triggers: Vec::new(),
            is_virtual: false,
        }
    }

    /// Returns the approximate memory of the fields that a snapshot fills in.
    pub fn bytes(&self) -> usize {
        let text = |text: &String| size_of::<String>() + text.len();
        let texts = |list: &[String]| list.iter().map(text).sum::<usize>();
        let keys = self.foreign_keys.iter().map(|key| {
            size_of::<ForeignKey>() + texts(&key.columns) + key.references.len() + texts(&key.referenced_columns)
        });
        size_of::<Self>()
            + self.name.len()
            + self.comment.as_ref().map_or(0, String::len)
            + self.columns.iter().map(Column::bytes).sum::<usize>()
            + texts(&self.primary_key)
            + keys.sum::<usize>()
    }

    /// Removes what follows from the rest of a description: the referenced columns of keys to a primary key.
    pub fn leave_out_what_follows(&mut self) {
        for key in &mut self.foreign_keys {
            if std::mem::take(&mut key.to_primary_key) {
                key.referenced_columns = Vec::new();
            }
        }
        for reference in &mut self.referenced_by {
            if reference.referenced_columns == self.primary_key {
                reference.referenced_columns = Vec::new();
            }
        }
    }

    /// Removes what the rules deny and marks what they mask. Returns false if the whole table is denied.
    pub fn obey(&mut self, rules: &ColumnRules) -> bool {
        if rules.is_empty() {
            return true;
        }
        if self.kin.iter().any(|(schema, table)| rules.denies_table(schema, table)) {
            return false;
        }
        let of_column = |column: &str| {
            let kinds = self.kin.iter().filter_map(|(schema, table)| rules.of_column(schema, table, column));
            kinds.fold(None, |found, kind| if found == Some(RuleKind::Deny) { found } else { Some(kind) })
        };
        let is_ruled = self.columns.iter().any(|column| of_column(&column.name).is_some());
        let is_view = matches!(self.kind, TableKind::View | TableKind::MaterializedView);
        let mut hidden = Vec::new();
        self.columns.retain_mut(|column| {
            // A value that is computed from a ruled column may reveal it.
            let computed = (is_ruled && column.generated.is_some()).then_some(RuleKind::Deny);
            let in_view = (is_view && rules.denies_name(&column.name)).then_some(RuleKind::Deny);
            let kind = of_column(&column.name).or(computed).or(in_view);
            column.masked = kind == Some(RuleKind::Mask);
            // A row type has the columns of its table.
            if let Some(fields) = column.fields.take() {
                let (schema, table) = split(&column.type_name);
                let is_free = |field: &Field| rules.of_column(&schema, &table, &field.name).is_none();
                column.fields = (!rules.denies_table(&schema, &table))
                    .then(|| fields.into_vec().into_iter().filter(is_free).collect());
            }
            if kind.is_some() {
                hidden.push(column.name.to_lowercase());
            }
            // A materialized view may contain the values of a masked column under any name.
            if column.masked || self.kind == TableKind::MaterializedView {
                column.values.clear();
                // Whether the values of a column are all known depends on these values.
                column.has_all_values = true;
            }
            kind != Some(RuleKind::Deny)
        });
        let names_hidden = |text: &str| {
            let text = text.to_lowercase();
            // Inside of quotes, a quote of the name is doubled.
            let spelled = |name: &String| [name.replace('"', "\"\""), name.replace('`', "``"), name.replace(']', "]]")];
            hidden
                .iter()
                .any(|name| text.contains(name) || spelled(name).iter().any(|name| text.contains(name.as_str())))
        };
        // On SQLite a key may write a column in another case than the table does.
        let is_hidden = |column: &String| hidden.contains(&column.to_lowercase());
        let shows = |list: &Vec<String>| !list.iter().any(is_hidden);
        for column in &mut self.columns {
            column.default = column.default.take().filter(|text| !names_hidden(text));
            column.generated = column.generated.take().filter(|text| !names_hidden(text));
            column.check = column.check.take().filter(|text| !names_hidden(text));
            // The check of a domain says VALUE, and no column's name.
            if column.masked {
                (column.default, column.generated, column.check) = (None, None, None);
            }
        }
        self.primary_key.retain(|column| !is_hidden(column));
        self.unique.retain(shows);
        self.indexes.retain(|text| !names_hidden(text));
        self.checks.retain(|text| !names_hidden(text));
        self.partition_key = self.partition_key.take().filter(|text| !names_hidden(text));
        let dialect = self.dialect();
        let denied = |name: &str, columns: &[String]| {
            let (schema, table) =
                if dialect == Dialect::Sqlite { (String::new(), name.to_owned()) } else { split(name) };
            rules.denies_table(&schema, &table)
                || columns.iter().any(|column| rules.of_column(&schema, &table, column) == Some(RuleKind::Deny))
        };
        self.foreign_keys.retain(|key| shows(&key.columns) && !denied(&key.references, &key.referenced_columns));
        self.referenced_by.retain(|key| shows(&key.referenced_columns) && !denied(&key.table, &key.columns));
        // The text of a view names everything that the view reads.
        self.definition = None;
        self.readable_columns.retain(|column| !is_hidden(column));
        (self.inherits, self.partition_names, self.triggers) = (Vec::new(), Vec::new(), Vec::new());
        self.partition_of = None;
        true
    }
}

/// Splits a name of a catalog into schema and table, without their quotes. The schema is empty if the name has no dot.
fn split(name: &str) -> (String, String) {
    let unquote = |part: &str| {
        let inner = part.strip_prefix('"').and_then(|part| part.strip_suffix('"'));
        inner.map_or_else(|| part.to_owned(), |inner| inner.replace("\"\"", "\""))
    };
    let mut quoted = false;
    let dot = name.char_indices().find(|(_, character)| {
        quoted ^= *character == '"';
        *character == '.' && !quoted
    });
    match dot {
        Some((at, _)) => (unquote(name.get(..at).unwrap_or_default()), unquote(name.get(at + 1..).unwrap_or_default())),
        None => (String::new(), unquote(name)),
    }
}

/// All tables of a source that may be read, ordered by name, with keys, comments and known values.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub tables: Vec<TableDescription>,
    /// A value that changes with the catalog; `None` if the snapshot was not read from an engine.
    pub fingerprint: Option<String>,
    /// Number of tables that did not fit the limit on memory.
    pub left_out: usize,
    /// Rules that cover no table and no column of the snapshot, such as `mask "users.emial"`.
    pub rules_without_effect: Vec<String>,
    /// Other names of tables and columns, from the context file.
    pub synonyms: Vec<Synonym>,
}

/// Another name of a table or a column.
#[derive(Clone, Debug)]
pub struct Synonym {
    pub name: String,
    /// Position of the table in the snapshot.
    pub table: usize,
    /// Position of the column in the table. `None` if the name is the table's.
    pub column: Option<usize>,
}

impl Snapshot {
    /// Makes a snapshot of these tables, without a fingerprint.
    pub fn of(tables: Vec<TableDescription>) -> Self {
        Snapshot { tables, ..Snapshot::default() }
    }

    /// Returns the approximate memory of all tables.
    pub fn bytes(&self) -> usize {
        self.tables.iter().map(TableDescription::bytes).sum()
    }

    pub fn columns(&self) -> usize {
        self.tables.iter().map(|table| table.columns.len()).sum()
    }

    /// Removes what the rules deny.
    pub fn obey(mut self, rules: &ColumnRules) -> Self {
        let names: Vec<(String, String)> = self.tables.iter().map(TableDescription::schema_and_name).collect();
        let tables = names.iter().zip(&self.tables).map(|((schema, name), table)| {
            (schema.as_str(), name.as_str(), table.columns.iter().map(|column| column.name.as_str()))
        });
        self.rules_without_effect = rules.without_effect(tables);
        self.tables.retain_mut(|table| table.obey(rules));
        self
    }

    /// Returns one page of the table list, for sources whose rules leave tables out.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::Invalid`] for a schema without tables.
    pub fn page(&self, request: &ListRequest) -> Result<TablePage, DatabaseError> {
        let schema_of = |table: &TableDescription| match table.schema_and_name() {
            (schema, name) if schema.is_empty() => ("main".to_owned(), name),
            names => names,
        };
        if let Some(wanted) = &request.schema {
            let mut schemas: Vec<String> = self.tables.iter().map(|table| schema_of(table).0).collect();
            schemas.sort_unstable();
            schemas.dedup();
            if !schemas.contains(wanted) {
                return Err(request.unknown_schema(&schemas));
            }
        }
        let words = request.words();
        let matching = self.tables.iter().filter_map(|table| {
            let (schema, bare) = schema_of(table);
            let bare = bare.as_str();
            if request.schema.as_deref().is_some_and(|wanted| wanted != schema) {
                return None;
            }
            let mut hits = Hits::default();
            if let Some(words) = &words {
                hits.look(words, &[bare], || format!("table {bare}"));
                if !request.names_only {
                    hits.look(words, &[table.comment.as_deref().unwrap_or_default()], || "comment".to_owned());
                }
                for column in table.columns.iter().filter(|_| !request.names_only) {
                    let texts = [column.name.as_str(), column.comment.as_deref().unwrap_or_default()];
                    hits.look(words, &texts, || format!("column {}", column.name));
                }
            }
            Some((table, hits))
        });
        let mut matching: Vec<(&TableDescription, Hits)> = matching.collect();
        if words.is_some() {
            Hits::keep_best(&mut matching);
        }
        let total = matching.len() as u64;
        let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
        // The order is that of the snapshot, which ignores quotes.
        let after = request.after.as_ref();
        let start =
            after.and_then(|after| matching.iter().position(|(table, _)| table.name == *after)).map_or(0, |at| at + 1);
        let mut rest: Vec<_> = matching.into_iter().skip(start).collect();
        let more = rest.len() > limit;
        rest.truncate(limit);
        let tables = rest
            .into_iter()
            .map(|(table, Hits { matched, .. })| ListedTable {
                cursor: table.name.clone(),
                summary: TableSummary {
                    name: table.name.clone(),
                    kind: table.kind,
                    rows: table.rows,
                    comment: table.comment.clone(),
                    partitions: table.partitions,
                    foreign: table.foreign,
                    matched,
                },
            })
            .collect();
        Ok(TablePage { tables, total, more })
    }
}
