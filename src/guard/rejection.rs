//! Why a statement was refused: a stable code, one sentence, a hint. Part of the guard; pure.

use crate::error::{Code, ToolError};

/// A refusal by the guard. Nothing of the statement was sent to the database.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("the statement has {bytes} bytes; at most {limit} are taken")]
    TooLong { bytes: usize, limit: usize },
    #[error("the statement has more than {limit} tokens")]
    TooManyTokens { limit: usize },
    #[error("the statement is nested more than {limit} levels deep")]
    TooDeep { limit: usize },
    #[error("the statement is empty")]
    Empty,
    #[error("the statement could not be parsed: {message}")]
    Syntax { message: String, position: Option<u64> },
    #[error("{count} statements were given; one is taken")]
    MultipleStatements { count: usize },
    #[error("{what} changes data or the database, and this server only reads")]
    Write { what: String },
    #[error("{what} is not taken here")]
    Statement { what: String, hint: &'static str },
    #[error("function {name} is not on the list of functions known to be harmless")]
    Function { name: String, reason: &'static str },
    #[error("{name} is refused: {reason}")]
    Relation { name: String, reason: &'static str },
}

impl Rejection {
    /// Shorthand for a clause or statement that this server has no use for.
    pub(super) fn clause(what: impl Into<String>) -> Self {
        Rejection::Statement {
            what: what.into(),
            hint: "Write it as one plain query: SELECT, VALUES or WITH .. SELECT.",
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
            Rejection::Empty => {
                ToolError::new(Code::SyntaxError, message).hint("Send one query, for example SELECT 1.")
            }
            Rejection::Syntax { position, .. } => {
                let mut error = ToolError::new(Code::SyntaxError, message)
                    .hint("Correct the statement at that place; `describe_table` shows the columns.");
                error.position = position;
                error
            }
            Rejection::MultipleStatements { .. } => {
                ToolError::new(Code::MultipleStatements, message).hint("Send each statement in a call of its own.")
            }
            Rejection::Write { .. } => ToolError::new(Code::WriteRefused, message)
                .hint("Ask for the rows with SELECT; changes have to be made with another tool."),
            Rejection::Statement { hint, .. } => ToolError::new(Code::StatementRefused, message).hint(hint),
            Rejection::Function { reason, .. } => ToolError::new(Code::FunctionRefused, message).hint(reason),
            Rejection::Relation { .. } => {
                ToolError::new(Code::RelationRefused, message).hint("`list_tables` shows what may be read.")
            }
        }
    }
}
