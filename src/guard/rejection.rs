//! The reason of a refusal: a stable code, one sentence, a hint. Part of the guard; pure.

use super::functions;
use crate::dialect::Dialect;
use crate::error::{Code, ToolError};

/// A refusal by the guard, or by the rules of the source. The statement did not run. The look-up in the catalog may
/// have sent the statement's names to the database. PostgreSQL may have prepared the statement's text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("the statement has {bytes} bytes; the limit is {limit}")]
    TooLong { bytes: usize, limit: usize },
    #[error("the statement has more than {limit} tokens")]
    TooManyTokens { limit: usize },
    #[error("the statement is nested more than {limit} levels deep")]
    TooDeep { limit: usize },
    #[error("the statement has more than {limit} common table expressions")]
    ManyCtes { limit: usize },
    #[error(
        "the statement uses columns of sub-queries so often that the server would copy expressions more than {limit} times"
    )]
    ManyCopies { limit: u64 },
    #[error("a SELECT of the statement has more than {limit} tables")]
    ManyTables { limit: usize },
    #[error("the statement compares too many columns with each other: the server would plan it for too long")]
    ManyComparisons,
    #[error("the statement is empty")]
    Empty,
    #[error("the statement could not be parsed: {message}")]
    Syntax { message: String, position: Option<u64> },
    #[error("a call runs one statement, and {count} were given")]
    MultipleStatements { count: usize },
    #[error("{what} changes data or the database, and this server only reads")]
    Write { what: String },
    #[error("{what} is not permitted")]
    Statement { what: String, hint: &'static str },
    #[error("function {name} is refused: it {does}")]
    Function { name: String, does: &'static str, hint: &'static str },
    #[error(
        "{column} {}",
        if *is_denied { "may not be read" } else { "is masked: only the select list may contain it, and only by itself" }
    )]
    Column { column: String, is_denied: bool, allowed: Vec<String> },
    #[error("{name} is refused: {reason}")]
    Relation { name: String, reason: &'static str },
}

impl Rejection {
    /// A clause or a statement that is not supported.
    pub(super) fn clause(what: impl Into<String>) -> Self {
        Rejection::Statement {
            what: what.into(),
            hint: "Write it as one plain query: SELECT, VALUES, TABLE or WITH .. SELECT.",
        }
    }

    /// A `PRAGMA` that is not listed, or that is written in a form that is not supported.
    pub(super) fn pragma(what: &str) -> Self {
        Rejection::Statement {
            what: what.to_owned(),
            hint: "Pragmas that describe the schema run: table_info(t), index_list(t), foreign_key_list(t), table_list, \
                   user_version and the like.",
        }
    }

    /// `$1` or `?`.
    pub(super) fn placeholder() -> Self {
        Rejection::Statement {
            what: "a placeholder ($1, ?)".into(),
            hint: "Placeholders have no value here: write the value itself.",
        }
    }

    /// `$1` on a server that cannot plan it.
    pub(crate) fn parameter_of_plan(version: &str) -> Self {
        Rejection::Statement {
            what: format!("a plan of a statement with parameters on PostgreSQL {version}"),
            hint: "Write the values themselves. Only PostgreSQL 16 and later plan statements with parameters.",
        }
    }

    /// A text that the database may split into other tokens.
    pub(super) fn differently() -> Self {
        Rejection::Statement {
            what: "a text that the database may read differently".into(),
            hint: "Put spaces around operators, numbers and comments, and write each string in one piece.",
        }
    }

    /// Names that a server with this encoding may read differently from the guard.
    pub(crate) fn names_beyond_ascii(encoding: &str) -> Self {
        Rejection::Statement {
            what: format!("a name with letters beyond ASCII, on a server whose encoding is {encoding},"),
            hint: "Put the name between double quotes, as `describe_table` spells it.",
        }
    }

    /// A function that is known to be harmful, or that is not known to be harmless.
    pub(super) fn function(dialect: Dialect, name: &str) -> Self {
        let (does, hint) = functions::reason(dialect, name);
        Rejection::Function { name: name.to_owned(), does, hint }
    }

    /// A function that `value.name` might call.
    pub(super) fn function_by_dot(name: &str) -> Self {
        Rejection::Function {
            name: name.to_owned(),
            does: "may be called by a dot after a value",
            hint: "Write the table's alias before a column. Name the columns of a function in FROM: f(..) AS t(a, b).",
        }
    }

    /// An operator written with a schema other than `pg_catalog`.
    pub(super) fn foreign_operator(name: String) -> Self {
        Rejection::Function {
            name,
            does: "is an operator of another schema, and operators run functions",
            hint: "Write the operator without a schema. Operators of well-known extensions are found without it.",
        }
    }
}

impl From<Rejection> for ToolError {
    fn from(rejection: Rejection) -> Self {
        let message = rejection.to_string();
        match rejection {
            Rejection::TooLong { .. } | Rejection::TooManyTokens { .. } => ToolError::new(Code::TooLong, message)
                .hint("Shorten it: join to a VALUES list or a table instead of long literal lists."),
            Rejection::TooDeep { .. } => {
                ToolError::new(Code::TooDeep, message).hint("Flatten it, for example with WITH.")
            }
            Rejection::ManyCtes { .. } | Rejection::ManyTables { .. } => {
                ToolError::new(Code::TooDeep, message).hint("Split it: run a part of it first, and use its result.")
            }
            Rejection::ManyComparisons => ToolError::new(Code::TooDeep, message)
                .hint("Join a part of the tables first: WITH name AS MATERIALIZED (SELECT ..)."),
            Rejection::ManyCopies { .. } => ToolError::new(Code::TooDeep, message)
                .hint("Let a sub-query be computed once: WITH name AS MATERIALIZED (SELECT ..)."),
            Rejection::Empty => {
                ToolError::new(Code::SyntaxError, message).hint("Send one query, for example SELECT 1.")
            }
            Rejection::Syntax { position, .. } => {
                // `\d` and `.tables`
                let is_command = ["found: \\", "found: ."].iter().any(|found| message.ends_with(found));
                let mut error = ToolError::new(Code::SyntaxError, message).hint(if is_command {
                    "Commands of psql and sqlite3 are not SQL: `list_tables` shows the tables, `describe_table` the columns."
                } else {
                    "Correct the statement at that place; `describe_table` shows the columns."
                });
                error.position = position;
                error
            }
            Rejection::MultipleStatements { .. } => {
                ToolError::new(Code::MultipleStatements, message).hint("Send each statement in a call of its own.")
            }
            Rejection::Write { .. } => ToolError::new(Code::WriteRefused, message)
                .hint("Ask for the rows with SELECT; changes have to be made with another tool."),
            Rejection::Statement { hint, .. } => ToolError::new(Code::StatementRefused, message).hint(hint),
            Rejection::Function { hint, .. } => ToolError::new(Code::FunctionRefused, message).hint(hint),
            Rejection::Column { is_denied, allowed, .. } => {
                let code = if is_denied { Code::ColumnDenied } else { Code::ColumnMasked };
                ToolError::new(code, message).hint(match allowed.as_slice() {
                    [] => "`list_tables` shows what may be read.".to_owned(),
                    columns => format!(
                        "Name the columns you need, each with its table's alias; free to use are: {}.",
                        columns.join(", ")
                    ),
                })
            }
            Rejection::Relation { .. } => {
                ToolError::new(Code::RelationRefused, message).hint("`list_tables` shows what may be read.")
            }
        }
    }
}
