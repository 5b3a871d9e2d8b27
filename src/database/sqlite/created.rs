//! Reads what SQLite stores only in the text of a CREATE statement: comments, CHECKs, generation expressions. Pure. If
//! a text cannot be parsed, only its comments are returned. This is never an error.

use std::collections::HashMap;

use sqlparser::ast::{ColumnDef, ColumnOption, Expr, Statement, TableConstraint, Value};
use sqlparser::dialect::SQLiteDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Tokenizer, Whitespace};

/// Maximum bytes of a CREATE statement that is parsed.
const MAX_TEXT_BYTES: usize = 1 << 20;

/// What the CREATE statement says about a table.
#[derive(Debug, Default)]
pub(super) struct Created {
    /// The comment on the first line.
    pub comment: Option<String>,
    /// CHECKs on the table as a whole.
    pub checks: Vec<String>,
    columns: HashMap<String, CreatedColumn>,
}

/// What the CREATE statement says about a column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CreatedColumn {
    /// The comment at the end of its line.
    pub comment: Option<String>,
    pub check: Option<String>,
    /// The strings of `CHECK (column IN ('a', 'b'))`.
    pub values: Vec<String>,
    pub generated: Option<String>,
}

impl Created {
    pub(super) fn read(sql: &str) -> Self {
        let mut created = Created::default();
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
        let (mut line, mut first_word) = (0, None);
        for token in Tokenizer::new(&SQLiteDialect {}, sql).tokenize_with_location().unwrap_or_default() {
            if token.span.start.line != line {
                (line, first_word) = (token.span.start.line, None);
            }
            match token.token {
                Token::Word(word) => first_word = first_word.or(Some(word.value)),
                Token::Whitespace(Whitespace::SingleLineComment { comment, .. }) => {
                    let Some(comment) = Some(comment.trim().to_owned()).filter(|text| !text.is_empty()) else {
                        continue;
                    };
                    match &first_word {
                        _ if line == 1 => created.comment = Some(comment),
                        Some(name) => created.columns.entry(key(name)).or_default().comment = Some(comment),
                        None => {}
                    }
                }
                _ => {}
            }
        }
        created
    }

    pub(super) fn column(&self, name: &str) -> CreatedColumn {
        self.columns.get(&key(name)).cloned().unwrap_or_default()
    }
}

/// SQLite ignores the case of names.
fn key(name: &str) -> String {
    name.to_ascii_lowercase()
}

fn read_column(column: &ColumnDef) -> CreatedColumn {
    let mut read = CreatedColumn::default();
    for option in &column.options {
        match &option.option {
            ColumnOption::Check(check) => {
                read.values = listed(&check.expr, &column.name.value);
                let own = format!("({})", check.expr);
                read.check = Some(read.check.map_or_else(|| own.clone(), |other| format!("{other} AND {own}")));
            }
            ColumnOption::Generated { generation_expr: Some(expression), .. } => {
                read.generated = Some(expression.to_string());
            }
            _ => {}
        }
    }
    read
}

/// Returns the strings of `column IN ('a', 'b')`; empty for any other expression.
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
    fn only_real_remarks_count_and_every_check() {
        let created = Created::read("CREATE TABLE d (x TEXT DEFAULT 'a -- b', y INT CHECK (y > 0) CHECK (y < 5))");
        assert_eq!(created.comment, None);
        assert_eq!(created.column("y").check.as_deref(), Some("(y > 0) AND (y < 5)"));
        let created = Created::read("CREATE TABLE m (\n my INT, -- first\n \"my col\" TEXT -- second\n)");
        assert_eq!(created.column("my").comment.as_deref(), Some("first"));
        assert_eq!(created.column("my col").comment.as_deref(), Some("second"));
    }

    #[test]
    fn a_text_that_cannot_be_read_or_nests_deep_does_no_harm() {
        assert!(Created::read("CREATE VIRTUAL TABLE t USING fts5(a)").checks.is_empty());
        assert!(Created::read("not SQL at all (((").checks.is_empty());
        let deep = format!("CREATE TABLE t (a CHECK (a{} > 0))", " + a".repeat(990));
        assert!(Created::read(&deep).column("a").check.is_some());
    }
}
