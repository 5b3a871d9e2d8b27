//! The fields of an audit record, and the form in which a record contains the caller's texts. The functions are pure.

use std::borrow::Cow;

use serde::Serialize;
use sha2::{Digest, Sha256};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Token, Tokenizer};

use crate::config::AuditSql;
use crate::database::value::cut;
use crate::error::{Code, ToolError};

/// The fields that are known before a call runs.
#[derive(Clone, Debug, Default, Serialize)]
pub struct EntryStart {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The name that the client called, even if no tool has this name.
    pub tool: Cow<'static, str>,
    /// The table name or the search text of a call that reads the schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// The id of the record of the question to which this statement belongs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub question_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sql: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// For traces: the OpenTelemetry name of the database system.
    #[serde(skip)]
    pub system: Option<&'static str>,
}

/// What was decided about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    Allowed,
    Refused,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    Ok,
    Rejected,
    Failed,
    TimedOut,
    Cancelled,
}

/// The fields that are known after a call.
#[derive(Clone, Debug, Serialize)]
pub struct Finished {
    pub decision: Decision,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    pub outcome: OutcomeKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_bytes: Option<u64>,
    pub elapsed_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sqlstate: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// The cost of the tokens, computed with `[prices]` of the settings and in the currency of these prices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
}

impl Finished {
    pub fn new(outcome: OutcomeKind) -> Self {
        Finished {
            decision: if outcome == OutcomeKind::Rejected { Decision::Refused } else { Decision::Allowed },
            code: None,
            outcome,
            row_count: None,
            reply_bytes: None,
            elapsed_ms: 0,
            sqlstate: None,
            engine: None,
            model: None,
            input_tokens: None,
            output_tokens: None,
            cost: None,
        }
    }

    /// Returns the outcome of a call whose record has no row count and no reply size: success, or the error.
    pub fn of<T>(result: &Result<T, ToolError>) -> Self {
        result.as_ref().map_or_else(Self::of_error, |_| Self::new(OutcomeKind::Ok))
    }

    /// Returns the outcome of a failed call. The error code determines the kind of the outcome.
    pub fn of_error(error: &ToolError) -> Self {
        let kind = match error.code {
            Code::Timeout | Code::Deadline => OutcomeKind::TimedOut,
            Code::Cancelled => OutcomeKind::Cancelled,
            Code::InvalidArgument
            | Code::UnknownSource
            | Code::SyntaxError
            | Code::MultipleStatements
            | Code::WriteRefused
            | Code::StatementRefused
            | Code::FunctionRefused
            | Code::RelationRefused
            | Code::ColumnDenied
            | Code::ColumnMasked
            | Code::TooLong
            | Code::TooDeep
            | Code::Busy
            | Code::RateLimited
            | Code::Unauthorized
            | Code::Forbidden
            | Code::UnsafeRole
            | Code::UserRequired
            | Code::ConfigError => OutcomeKind::Rejected,
            Code::UnknownTable
            | Code::AmbiguousTable
            | Code::SqlError
            | Code::Unreachable
            | Code::AuthFailed
            | Code::TlsFailed
            | Code::DatabaseMissing
            | Code::TooManyConnections
            | Code::AuditUnavailable
            | Code::Internal
            | Code::ModelCredentials
            | Code::ModelAccess
            | Code::ModelId
            | Code::ModelThrottled
            | Code::ModelUnavailable
            | Code::ModelReply
            | Code::ModelBlocked => OutcomeKind::Failed,
        };
        let mut finished = Finished::new(kind);
        finished.code = Some(error.code);
        finished.sqlstate = error.sqlstate.clone();
        finished
    }
}

/// Maximum number of bytes of a text that a record contains completely. Of a longer text it contains the beginning, the
/// length and the hash.
const MAX_TEXT_BYTES: usize = 33_000;

/// Returns a text of the caller without NUL characters, and shortened if it has more than [`MAX_TEXT_BYTES`].
pub(super) fn keep_text(text: String) -> String {
    // The type `jsonb` of PostgreSQL cannot contain NUL. One record with a NUL would make every query fail that
    // converts several records to `jsonb`.
    let text = if text.contains('\0') { text.replace('\0', "␀") } else { text };
    if text.len() <= MAX_TEXT_BYTES {
        return text;
    }
    let hash = hex(&Sha256::digest(&text));
    format!("{}… ({} bytes, sha256:{hash})", cut(&text, 1_000), text.len())
}

/// Returns the `traceparent` if it has the form of the W3C standard, else `None`.
pub(crate) fn keep_trace(text: &str) -> Option<String> {
    let lengths = [2, 32, 16, 2];
    let parts: Vec<&str> = text.split('-').collect();
    let is_hex = |part: &&str| part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    let is_known = parts.iter().map(|part| part.len()).eq(lengths) && parts.iter().all(is_hex);
    is_known.then(|| text.to_owned())
}

/// Returns the form of a statement's text that the setting `[audit] sql` selects: the text, a hash or a fingerprint.
pub(super) fn keep_sql(sql: &str, how: AuditSql) -> String {
    match how {
        AuditSql::Full => keep_text(sql.to_owned()),
        AuditSql::Hash => format!("sha256:{}", hex(&Sha256::digest(sql))),
        AuditSql::Fingerprint => keep_text(fingerprint(sql)),
    }
}

/// Returns the text with each literal and each quoted name replaced by `?`, and each comment by a space. If the text
/// cannot be tokenised, its hash is returned.
fn fingerprint(sql: &str) -> String {
    let Ok(tokens) = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize() else {
        return keep_sql(sql, AuditSql::Hash);
    };
    let mut out = String::with_capacity(sql.len());
    for token in tokens {
        match token {
            // SQLite may read a quoted name as a string literal if no column has this name.
            Token::Word(word) if word.quote_style.is_some() => out.push('?'),
            Token::Word(_)
            | Token::Comma
            | Token::LParen
            | Token::RParen
            | Token::Period
            | Token::SemiColon
            | Token::Mul
            | Token::Plus
            | Token::Minus
            | Token::Div
            | Token::Eq
            | Token::Neq
            | Token::Lt
            | Token::Gt
            | Token::LtEq
            | Token::GtEq
            | Token::DoubleColon
            | Token::StringConcat => out.push_str(&token.to_string()),
            Token::Whitespace(_) => out.push(' '),
            // Other tokens are replaced, because they may contain a value: literals of any kind, dollar-quoted strings,
            // user-defined operators.
            _ => out.push('?'),
        }
    }
    out
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
