//! What only the text of a CREATE statement tells, because SQLite has no catalog of it: remarks, CHECKs, generation
//! expressions. Pure. A text that cannot be read gives nothing; it never fails a description.

use std::collections::HashMap;

use sqlparser::ast::{ColumnDef, ColumnOption, Expr, Statement, TableConstraint, Value};
use sqlparser::dialect::SQLiteDialect;
use sqlparser::parser::Parser;

/// Bytes of a CREATE statement that is read at all.
const MAX_TEXT_BYTES: usize = 1 << 20;

/// What a table's own text says.
#[derive(Debug, Default)]
pub(super) struct Created {
    /// The remark on the first line.
    pub comment: Option<String>,
    /// CHECKs of the table as a whole.
    pub checks: Vec<String>,
    columns: HashMap<String, CreatedColumn>,
}

/// What a column's own text says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CreatedColumn {
    /// The remark at the end of its line.
    pub comment: Option<String>,
    pub check: Option<String>,
    /// The strings of `CHECK (column IN ('a', 'b'))`.
    pub values: Vec<String>,
    pub generated: Option<String>,
}

impl Created {
    pub(super) fn read(sql: &str) -> Self {
        let mut created = Created { comment: sql.lines().next().and_then(remark), ..Created::default() };
        if sql.len() > MAX_TEXT_BYTES {
            return created;
        }
        let statement = Parser::parse_sql(&SQLiteDialect {}, sql).ok().and_then(|mut statements| statements.pop());
        if let Some(Statement::CreateTable(table)) = statement {
            created.columns =
                table.columns.iter().map(|column| (key(&column.name.value), read_column(column))).collect();
            created.checks = table
                .constraints
                .iter()
                .filter_map(|constraint| match constraint {
                    TableConstraint::Check(check) => Some(format!("CHECK ({})", check.expr)),
                    _ => None,
                })
                .collect();
        }
        for line in sql.lines().skip(1) {
            if let Some(comment) = remark(line) {
                created.columns.entry(key(first_word(line))).or_default().comment = Some(comment);
            }
        }
        created
    }

    pub(super) fn column(&self, name: &str) -> CreatedColumn {
        self.columns.get(&key(name)).cloned().unwrap_or_default()
    }
}

/// SQLite does not mind the case of names.
fn key(name: &str) -> String {
    name.to_ascii_lowercase()
}

fn read_column(column: &ColumnDef) -> CreatedColumn {
    let mut read = CreatedColumn::default();
    for option in &column.options {
        match &option.option {
            ColumnOption::Check(check) => {
                read.values = listed(&check.expr, &column.name.value);
                read.check = Some(format!("({})", check.expr));
            }
            ColumnOption::Generated { generation_expr: Some(expression), .. } => {
                read.generated = Some(expression.to_string());
            }
            _ => {}
        }
    }
    read
}

/// The strings of `column IN ('a', 'b')`; none when it is anything else.
fn listed(check: &Expr, column: &str) -> Vec<String> {
    let Expr::InList { expr, list, negated: false } = check else { return Vec::new() };
    let is_column = matches!(expr.as_ref(), Expr::Identifier(name) if name.value.eq_ignore_ascii_case(column));
    let strings = list.iter().map(|item| match item {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text.clone()),
            _ => None,
        },
        _ => None,
    });
    strings.collect::<Option<Vec<String>>>().filter(|_| is_column).unwrap_or_default()
}

fn first_word(line: &str) -> &str {
    line.trim_start().trim_start_matches(['"', '`', '[']).split(['"', '`', ']', ' ', '\t']).next().unwrap_or_default()
}

/// The text of a `--` remark at a line's end.
fn remark(line: &str) -> Option<String> {
    let (_, remark) = line.split_once("-- ")?;
    Some(remark.trim().to_owned()).filter(|remark| !remark.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tables_text_tells_remarks_checks_and_expressions() {
        let created = Created::read(
            "CREATE TABLE orders ( -- what was bought\n  id INTEGER PRIMARY KEY,\n\
             \"Status\" TEXT NOT NULL CHECK (\"Status\" IN ('new', 'it''s paid')), -- where it stands\n\
             n INTEGER CHECK (n > 0), flag INTEGER CHECK (flag IN (0, 1)),\n\
             total REAL GENERATED ALWAYS AS (n * 2) STORED,\n  CHECK (n < total))",
        );
        assert_eq!(created.comment.as_deref(), Some("what was bought"));
        assert_eq!(created.checks, ["CHECK (n < total)"]);
        let status = created.column("status");
        assert_eq!(status.values, ["new", "it's paid"]);
        assert_eq!(status.comment.as_deref(), Some("where it stands"));
        assert_eq!(created.column("n").check.as_deref(), Some("(n > 0)"));
        assert!(created.column("flag").values.is_empty());
        assert_eq!(created.column("total").generated.as_deref(), Some("n * 2"));
        assert_eq!(created.column("none"), CreatedColumn::default());
    }

    #[test]
    fn a_text_that_cannot_be_read_or_nests_deep_does_no_harm() {
        assert!(Created::read("CREATE VIRTUAL TABLE t USING fts5(a)").checks.is_empty());
        assert!(Created::read("not SQL at all (((").checks.is_empty());
        let deep = format!("CREATE TABLE t (a CHECK (a{} > 0))", " + a".repeat(990));
        assert!(Created::read(&deep).column("a").check.is_some());
    }
}
