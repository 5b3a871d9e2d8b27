//! Adds hints to errors of a database: the nearest existing names, and how to write them. Pure.
//!
//! The reader is often a model that tries again, so a hint contains what the next statement needs. Names come from the
//! schema snapshot, which leaves out what the rules of the source deny.

use std::collections::HashSet;
use std::fmt::Write as _;

use sqlparser::dialect::GenericDialect;
use sqlparser::tokenizer::{Token, Tokenizer};

use super::catalog::{Column, Snapshot, TableDescription};
use super::value::cut;
use crate::dialect::Dialect;
use crate::error::{ToolError, nearest};
use crate::quoting;

/// A hint considers at most this many tables of a statement.
const MOST_TABLES: usize = 50;
/// Maximum names in one hint.
const MOST_NAMES: usize = 3;

/// Maximum number of literals of a statement that are compared with stored values.
const MOST_LITERALS: usize = 8;
/// Maximum number of stored values that are offered for one literal.
const NEAREST: usize = 3;

/// Statements and literals that are longer are not compared with stored values.
const MOST_BYTES: usize = 10_000;
const LONGEST_LITERAL: usize = 60;

/// Maximum bytes of a hint before its list of columns is cut.
const MOST_LIST_BYTES: usize = 500;

/// What an error is about.
#[derive(Debug, PartialEq, Eq)]
enum About<'a> {
    /// A missing table, as written, without its quotes.
    Table(&'a str),
    /// A missing column, without its table and its quotes.
    Column(&'a str),
    /// A column name that several tables of the statement have.
    Ambiguous(&'a str),
    /// Types that cannot be combined.
    Types,
    /// A table or view that the role may not read as the statement does, without schema and quotes.
    Denied(&'a str),
    /// A schema that the role may not use, without quotes.
    DeniedSchema(&'a str),
}

/// True if a schema snapshot can help with this error.
pub fn is_about_names(error: &ToolError) -> bool {
    about(error).is_some()
}

/// Adds a hint from the schema to an error. `tables` are the tables that the statement names, as it writes them.
pub fn with_names(
    error: ToolError,
    (dialect, role): (Dialect, &str),
    snapshot: &Snapshot,
    tables: &[String],
) -> ToolError {
    let Some(about) = about(&error) else { return error };
    let own = error.hint.clone().filter(|hint| hint.starts_with("Perhaps") || hint.starts_with("There is"));
    // Each name is compared with every table of the snapshot.
    let tables = tables.get(..MOST_TABLES).unwrap_or(tables);
    let read: Vec<&TableDescription> =
        snapshot.tables.iter().filter(|table| tables.iter().any(|name| is_same_table(name, &table.name))).collect();
    let hint = match about {
        About::Table(wanted) => {
            let near = nearest(wanted, snapshot.tables.iter().map(|table| table.name.as_str()), MOST_NAMES);
            match near.as_slice() {
                [] => "`list_tables` shows all tables; its search finds one by a word.".to_owned(),
                names => {
                    let written: Vec<String> = names.iter().map(|name| quoting::table(dialect, name)).collect();
                    format!("Did you mean {}?{}", written.join(" or "), quoting(dialect, wanted, names))
                }
            }
        }
        About::Column(wanted) => {
            let columns = read.iter().flat_map(|table| &table.columns).map(|column| column.name.as_str());
            let near = nearest(wanted, columns, MOST_NAMES);
            let written: Vec<String> = near.iter().map(|name| quoting::name(dialect, name)).collect();
            let mut hint = match (near.as_slice(), own) {
                ([], Some(own)) => own,
                ([], None) => String::new(),
                (names, _) => format!("Did you mean {}?{}", written.join(" or "), quoting(dialect, wanted, names)),
            };
            if near.is_empty() {
                push_elsewhere(&mut hint, dialect, snapshot, wanted);
            }
            for found in &read {
                push_columns(&mut hint, dialect, found, false);
            }
            hint.trim().to_owned()
        }
        About::Ambiguous(wanted) => {
            let having = read.iter().filter(|table| table.columns.iter().any(|column| column.name == wanted));
            let names: Vec<String> = having.map(|found| quoting::table(dialect, &found.name)).collect();
            let mut hint = "Write the table or its alias before the column".to_owned();
            // CTEs and sub-queries are no tables of the schema.
            if names.len() > 1 {
                hint += &format!("; {} have {}", names.join(" and "), quoting::name(dialect, wanted));
            }
            hint + "."
        }
        About::Denied(wanted) => {
            let mut hint = String::new();
            for found in &read {
                push_columns(&mut hint, dialect, found, false);
            }
            if hint.is_empty() {
                // A superuser may run the GRANT of this hint, and any user can choose the name of a table. So each name is
                // quoted. If the statement names no schema, or a name contains a dot, the schema is not known.
                let role = quoting::quoted_name(role);
                let named =
                    tables.iter().find(|name| is_same_table(name, wanted)).map(|name| quoting::split_name(name));
                let table = quoting::name(dialect, wanted);
                hint = match named.filter(|(_, name)| name == wanted && !wanted.contains(['.', '"'])) {
                    Some((None, _)) => format!(
                        "The role may not read it: GRANT SELECT ON {table} TO {role}; and GRANT USAGE on its schema."
                    ),
                    Some((Some(schema), _)) => {
                        let schema = quoting::name(dialect, &schema);
                        format!(
                            "The role may not read it: GRANT USAGE ON SCHEMA {schema} TO {role}; GRANT SELECT ON \
                             {schema}.{table} TO {role};"
                        )
                    }
                    None => format!("An administrator can GRANT SELECT on it, and USAGE on its schema, to {role}."),
                };
            } else {
                hint = format!("The role may read some columns only:{hint}");
            }
            hint
        }
        About::DeniedSchema(wanted) => format!(
            "The role may not use it: GRANT USAGE ON SCHEMA {} TO {};",
            quoting::name(dialect, wanted),
            quoting::quoted_name(role)
        ),
        About::Types => {
            let mut hint =
                "Compare and compute with values of one type: write the value in the column's type, or CAST it."
                    .to_owned();
            for found in &read {
                push_columns(&mut hint, dialect, found, true);
            }
            hint
        }
    };
    if hint.is_empty() { error } else { error.hint(hint) }
}

fn about(error: &ToolError) -> Option<About<'_>> {
    let message = error.message.as_str();
    let quoted = || message.split('"').nth(1);
    // `o.id`, `main.t`: the last part is the name itself.
    let last = |name: &'_ str| -> usize { name.rfind('.').map_or(0, |at| at + 1) };
    match error.sqlstate.as_deref() {
        Some("42P01") if message.starts_with("relation \"") => quoted().map(About::Table),
        // `column "x" does not exist`, `column o.x does not exist`, `column "x" of relation ..`.
        Some("42703") => {
            let rest = message.strip_prefix("column ")?;
            let name = rest.strip_suffix(" does not exist").unwrap_or(rest);
            let name = name.split(" of relation ").next()?;
            Some(About::Column(name.get(last(name)..)?.trim_matches('"')))
        }
        // `permission denied for table x`, `.. for schema x`.
        Some("42501") => {
            let rest = message.strip_prefix("permission denied for ")?;
            let kinds = ["table ", "view ", "materialized view ", "foreign table "];
            let table = kinds.iter().find_map(|kind| rest.strip_prefix(kind)).map(About::Denied);
            table.or_else(|| rest.strip_prefix("schema ").map(About::DeniedSchema))
        }
        // A missing operator for these types, or a text that is not a value of the column's type.
        Some("42883") if message.starts_with("operator does not exist") => Some(About::Types),
        Some("22P02" | "22007" | "42804") => Some(About::Types),
        Some("42702") if message.starts_with("column reference \"") => quoted().map(About::Ambiguous),
        _ => {
            if let Some(name) = message.strip_prefix("no such table: ") {
                return Some(About::Table(name));
            }
            if let Some(name) = message.strip_prefix("no such column: ") {
                // SQLite adds a note to a name in double quotes.
                let name = name.split(" - ").next()?;
                return Some(About::Column(name.get(last(name)..)?.trim_matches('"')));
            }
            let name = message.strip_prefix("ambiguous column name: ")?;
            name.get(last(name)..).map(About::Ambiguous)
        }
    }
}

/// True if a name in a statement means the table with the name `known` in the catalog.
fn is_same_table(written: &str, known: &str) -> bool {
    let bare = |name: &str| name.replace('"', "").to_lowercase();
    let (written, known) = (bare(written), bare(known));
    written == known
        || known.rsplit('.').next() == written.rsplit('.').next() && !written.contains('.')
        || written.rsplit_once('.').is_some_and(|(_, table)| table == known)
}

/// Returns the hint on upper case, if only the case differs between a name and a near one.
fn quoting(dialect: Dialect, wanted: &str, near: &[&str]) -> &'static str {
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().replace('"', "");
    let differs_in_case = near.iter().any(|name| {
        let (name, wanted) = (last(name), last(wanted));
        name != wanted && name.eq_ignore_ascii_case(&wanted) && name.chars().any(|c| c.is_uppercase())
    });
    if dialect == Dialect::Postgresql && differs_in_case {
        " Names with capitals need double quotes: without them PostgreSQL reads lower case."
    } else {
        ""
    }
}

/// Adds ` total is in public.invoices.`: tables with such a column that the statement does not read.
fn push_elsewhere(hint: &mut String, dialect: Dialect, snapshot: &Snapshot, wanted: &str) {
    let has = |table: &&TableDescription| table.columns.iter().any(|column| column.name.eq_ignore_ascii_case(wanted));
    let tables: Vec<&str> =
        snapshot.tables.iter().filter(has).map(|table| table.name.as_str()).take(MOST_NAMES).collect();
    if !tables.is_empty() {
        let _ = write!(hint, " {} is in {}.", quoting::name(dialect, wanted), tables.join(", "));
    }
}

/// Adds ` public.orders has id, total.`, with as many columns as fit.
fn push_columns(hint: &mut String, dialect: Dialect, table: &TableDescription, with_types: bool) {
    if hint.len() > MOST_LIST_BYTES {
        return;
    }
    let _ = write!(hint, " {} has ", quoting::table(dialect, &table.name));
    for (index, column) in table.columns.iter().enumerate() {
        if hint.len() > MOST_LIST_BYTES {
            let _ = write!(hint, ", and {} more: see describe_table", table.columns.len() - index);
            break;
        }
        let comma = if index > 0 { ", " } else { "" };
        let _ = write!(hint, "{comma}{}", quoting::name(dialect, &column.name));
        if with_types {
            let _ = write!(hint, " {}", column.type_name);
        }
    }
    hint.push('.');
}

/// Returns the most similar stored values for each string literal that is not stored in its column. The column of a
/// literal is the last column named before it, in every table that has a column of this name. Each line has the form
/// `'literal' is not stored; table.column holds 'value'`.
pub fn near_values(sql: &str, snapshot: &Snapshot) -> Vec<String> {
    if sql.len() > MOST_BYTES {
        return Vec::new();
    }
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize().unwrap_or_default();
    let columns = snapshot.tables.iter().flat_map(|table| &table.columns);
    let names: HashSet<String> = columns.map(|column| column.name.to_lowercase()).collect();
    let is_name = |text: &str| names.contains(&text.to_lowercase());
    // Each literal with the last column that is named before it.
    let (mut literals, mut compared) = (Vec::new(), None);
    for token in tokens {
        match token {
            Token::SingleQuotedString(text) => literals.push((text.trim_matches('%').to_owned(), compared.clone())),
            // A quoted name that is no column: some statements have string literals in double quotes.
            Token::Word(word) if word.quote_style == Some('"') && !is_name(&word.value) => {
                literals.push((word.value, compared.clone()));
            }
            Token::Word(word) if is_name(&word.value) => compared = Some(word.value.to_lowercase()),
            _ => {}
        }
    }
    let mut told = Vec::new();
    literals.retain(|(literal, _)| (2..=LONGEST_LITERAL).contains(&literal.chars().count()));
    for (literal, compared) in literals.into_iter().take(MOST_LITERALS) {
        let columns: Vec<(&str, &Column)> = snapshot
            .tables
            .iter()
            .flat_map(|table| table.columns.iter().map(move |column| (table.name.as_str(), column)))
            .filter(|(_, column)| compared.as_deref() == Some(column.name.to_lowercase().as_str()))
            .collect();
        // Only a complete list of the stored values shows that a value is absent.
        if columns.iter().any(|(_, column)| column.values.is_empty() || !column.has_all_values) {
            continue;
        }
        let stored: Vec<(String, &str)> = columns
            .iter()
            .flat_map(|(table, column)| {
                column.values.iter().map(move |value| (format!("{table}.{}", column.name), value.as_str()))
            })
            .collect();
        if stored.iter().any(|(_, value)| *value == literal) {
            continue;
        }
        let same = stored.iter().find(|(_, value)| value.to_lowercase() == literal.to_lowercase());
        let near: Vec<&str> = match same {
            Some((_, value)) => vec![*value],
            None => nearest(&literal, stored.iter().map(|(_, value)| *value), NEAREST),
        };
        for value in near {
            let column = stored.iter().find(|(_, other)| *other == value).map_or("", |(column, _)| column.as_str());
            told.push(format!("'{literal}' is not stored; {column} holds '{}'", cut(value, 2 * LONGEST_LITERAL)));
        }
    }
    told.truncate(2 * NEAREST);
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::catalog::TableKind;
    use crate::error::Code;

    fn snapshot(dialect: Dialect) -> Snapshot {
        let table = |name: &str, columns: &[&str]| {
            let columns: Vec<_> = columns
                .iter()
                .map(|column| serde_json::json!({"name": column, "type": "text", "nullable": true}))
                .collect();
            serde_json::from_value(serde_json::json!({"name": name, "kind": "table", "columns": columns})).unwrap()
        };
        if dialect == Dialect::Sqlite {
            let tables =
                [("customers", &["id", "name"][..]), ("orders", &["id", "total"]), ("order", &["group", "user"])];
            return Snapshot::of(tables.into_iter().map(|(name, columns)| table(name, columns)).collect());
        }
        Snapshot::of(vec![
            table("public.\"Invoice\"", &["Id", "totalAmount"]),
            table("public.customers", &["id", "name"]),
            table("public.orders", &["id", "customer_id", "total"]),
        ])
    }

    fn hint(state: &str, message: &str, tables: &[&str]) -> String {
        let mut error = ToolError::new(Code::SqlError, message);
        error.sqlstate = Some(state.to_owned()).filter(|state| !state.is_empty());
        let dialect = if state.is_empty() { Dialect::Sqlite } else { Dialect::Postgresql };
        let tables: Vec<String> = tables.iter().map(|table| (*table).to_owned()).collect();
        with_names(error, (dialect, "reader"), &snapshot(dialect), &tables).hint.unwrap_or_default()
    }

    #[test]
    fn tables_and_columns_are_suggested_as_they_must_be_written() {
        assert_eq!(hint("42P01", "relation \"order\" does not exist", &["order"]), "Did you mean public.orders?");
        assert_eq!(
            hint("42P01", "relation \"invoice\" does not exist", &["invoice"]),
            "Did you mean public.\"Invoice\"? Names with capitals need double quotes: without them PostgreSQL reads \
             lower case."
        );
        assert_eq!(
            hint("42703", "column \"totalamount\" does not exist", &["\"Invoice\""]),
            "Did you mean \"totalAmount\"? Names with capitals need double quotes: without them PostgreSQL reads lower \
             case. public.\"Invoice\" has \"Id\", \"totalAmount\"."
        );
        assert_eq!(
            hint("42703", "column o.totl does not exist", &["public.orders"]),
            "Did you mean total? public.orders has id, customer_id, total."
        );
        assert_eq!(
            hint("42702", "column reference \"id\" is ambiguous", &["orders", "customers"]),
            "Write the table or its alias before the column; public.customers and public.orders have id."
        );
        assert_eq!(hint("", "no such table: custmers", &["custmers"]), "Did you mean customers?");
        assert_eq!(hint("", "no such column: o.zzz", &["orders"]), "orders has id, total.");
        assert_eq!(
            hint("42703", "column c.total does not exist", &["customers"]),
            "total is in public.orders. public.customers has id, name."
        );
        assert!(hint("42P01", "relation \"zzzzzz\" does not exist", &[]).contains("list_tables"));
        assert_eq!(hint("", "no such column: usr", &["order"]), "Did you mean user? \"order\" has \"group\", user.");
        assert_eq!(hint("", "no such table: ordr", &[]), "Did you mean \"order\"?");
        assert_eq!(
            hint("42883", "operator does not exist: text = integer", &["customers"]),
            "Compare and compute with values of one type: write the value in the column's type, or CAST it. \
             public.customers has id text, name text."
        );
        assert_eq!(
            hint("42501", "permission denied for table secret", &["app.secret"]),
            "The role may not read it: GRANT USAGE ON SCHEMA app TO \"reader\"; GRANT SELECT ON app.secret TO \"reader\";"
        );
        // The name of a table that another user made. A view of that user may read it.
        let name = "x TO mallory; ALTER ROLE mallory SUPERUSER; --";
        let message = format!("permission denied for table {name}");
        assert!(
            hint("42501", &message, &[&format!("app.{name}")]).contains(&format!("ON app.\"{name}\" TO \"reader\""))
        );
        // The schema is not known: only a view reads the table, or the name contains a dot.
        let general = "An administrator can GRANT SELECT on it, and USAGE on its schema, to \"reader\".";
        assert_eq!(hint("42501", &message, &["invoices"]), general);
        assert_eq!(
            hint("42501", "permission denied for table hidden", &["hidden"]),
            "The role may not read it: GRANT SELECT ON hidden TO \"reader\"; and GRANT USAGE on its schema."
        );
        assert_eq!(hint("42501", "permission denied for table hr.pay", &["hr.pay"]), general);
        assert_eq!(
            hint("42501", "permission denied for schema x; y", &["\"x; y\".t"]),
            "The role may not use it: GRANT USAGE ON SCHEMA \"x; y\" TO \"reader\";"
        );
        assert_eq!(
            hint("42501", "permission denied for table orders", &["orders"]),
            "The role may read some columns only: public.orders has id, customer_id, total."
        );
        // Errors that the schema cannot help with keep their own hint.
        assert_eq!(hint("22012", "division by zero", &["orders"]), "");
        assert_eq!(hint("42P01", "missing FROM-clause entry for table \"o\"", &["orders"]), "");
    }

    #[test]
    fn a_text_that_is_stored_otherwise_is_told() {
        let city =
            Column { values: vec!["Zürich".into(), "Bern".into()], ..Column::new("city".into(), "text".into()) };
        let table =
            TableDescription { columns: vec![city], ..TableDescription::new("customers".into(), TableKind::Table) };
        let snapshot = Snapshot::of(vec![table]);
        let near = |sql: &str| near_values(sql, &snapshot);
        assert_eq!(
            near("SELECT 1 FROM customers WHERE city = 'Zurich'"),
            ["'Zurich' is not stored; customers.city holds 'Zürich'"]
        );
        assert_eq!(
            near("SELECT 1 FROM customers WHERE city LIKE '%BERN%'"),
            ["'BERN' is not stored; customers.city holds 'Bern'"]
        );
        assert_eq!(
            near("SELECT \"city\" FROM customers WHERE city = \"bern\""),
            ["'bern' is not stored; customers.city holds 'Bern'"]
        );
        assert_eq!(near("SELECT 1 FROM customers WHERE city = 'Bern'"), Vec::<String>::new());
        // The list of values is incomplete for one column and empty for the other column.
        let mut partial = snapshot.clone();
        partial.tables[0].columns[0].has_all_values = false;
        partial.tables[0].columns.push(Column::new("code".into(), "text".into()));
        for sql in ["SELECT 1 FROM customers WHERE city = 'Zurich'", "SELECT 1 FROM customers WHERE code = 'Bernn'"] {
            assert_eq!(near_values(sql, &partial), Vec::<String>::new(), "{sql}");
        }
    }
}
