//! Errors as the client receives them: a stable code, one sentence, and a hint.
//!
//! Every module boundary has its own error type (`Rejection`, `DatabaseError`, `ModelError`, `ConfigError`). Each is
//! converted to a [`ToolError`] beside its definition. Errors of connecting name no host. A message may contain the
//! name of a role, or the path of a SQLite or settings file. Secrets appear nowhere.

use serde::{Deserialize, Serialize};

use crate::database::value::{cut, json_escaped_len};
use crate::quoting::steers;

/// All codes that a client may receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    InvalidArgument,
    UnknownSource,
    UnknownTable,
    AmbiguousTable,
    SyntaxError,
    MultipleStatements,
    WriteRefused,
    StatementRefused,
    FunctionRefused,
    RelationRefused,
    ColumnDenied,
    ColumnMasked,
    TooLong,
    TooDeep,
    SqlError,
    Timeout,
    Cancelled,
    Busy,
    RateLimited,
    Unauthorized,
    Forbidden,
    Unreachable,
    AuthFailed,
    TlsFailed,
    DatabaseMissing,
    TooManyConnections,
    UnsafeRole,
    UserRequired,
    ConfigError,
    AuditUnavailable,
    Internal,
    ModelCredentials,
    ModelAccess,
    ModelId,
    ModelThrottled,
    ModelUnavailable,
    ModelReply,
    ModelBlocked,
    Deadline,
}

impl Code {
    /// True for the codes of refused statements. `TooLong` is also the code of a result that is too large.
    pub fn is_refusal(self) -> bool {
        matches!(
            self,
            Code::SyntaxError
                | Code::MultipleStatements
                | Code::WriteRefused
                | Code::StatementRefused
                | Code::FunctionRefused
                | Code::RelationRefused
                | Code::ColumnDenied
                | Code::ColumnMasked
                | Code::TooLong
                | Code::TooDeep
        )
    }

    /// The code as clients and audit records see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::InvalidArgument => "invalid_argument",
            Code::UnknownSource => "unknown_source",
            Code::UnknownTable => "unknown_table",
            Code::AmbiguousTable => "ambiguous_table",
            Code::SyntaxError => "syntax_error",
            Code::MultipleStatements => "multiple_statements",
            Code::WriteRefused => "write_refused",
            Code::StatementRefused => "statement_refused",
            Code::FunctionRefused => "function_refused",
            Code::RelationRefused => "relation_refused",
            Code::ColumnDenied => "column_denied",
            Code::ColumnMasked => "column_masked",
            Code::TooLong => "too_long",
            Code::TooDeep => "too_deep",
            Code::SqlError => "sql_error",
            Code::Timeout => "timeout",
            Code::Cancelled => "cancelled",
            Code::Busy => "busy",
            Code::RateLimited => "rate_limited",
            Code::Unauthorized => "unauthorized",
            Code::Forbidden => "forbidden",
            Code::Unreachable => "unreachable",
            Code::AuthFailed => "auth_failed",
            Code::TlsFailed => "tls_failed",
            Code::DatabaseMissing => "database_missing",
            Code::TooManyConnections => "too_many_connections",
            Code::UnsafeRole => "unsafe_role",
            Code::UserRequired => "user_required",
            Code::ConfigError => "config_error",
            Code::AuditUnavailable => "audit_unavailable",
            Code::Internal => "internal",
            Code::ModelCredentials => "model_credentials",
            Code::ModelAccess => "model_access",
            Code::ModelId => "model_id",
            Code::ModelThrottled => "model_throttled",
            Code::ModelUnavailable => "model_unavailable",
            Code::ModelReply => "model_reply",
            Code::ModelBlocked => "model_blocked",
            Code::Deadline => "deadline",
        }
    }
}

/// Maximum bytes of a message, and of a hint, in JSON. Both can repeat texts of the caller or the database.
const MAX_TEXT_BYTES: usize = 2_000;

/// A failed call as the client receives it: the `error` object of a tool result with `isError`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message}")]
pub struct ToolError {
    pub code: Code,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// PostgreSQL's SQLSTATE, if an approved statement failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sqlstate: Option<String>,
    /// 1-based position of a character in the caller's text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
}

impl ToolError {
    /// An error without a hint.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        ToolError { code, message: message.into(), hint: None, sqlstate: None, position: None }
    }

    /// Adds a hint.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// An invalid argument of a call.
    pub fn invalid(message: impl Into<String>) -> Self {
        ToolError::new(Code::InvalidArgument, message)
    }

    /// The error if too many calls run or wait.
    pub fn crowded() -> Self {
        ToolError::new(Code::Busy, "too many calls run or wait").hint("Wait for answers before sending more calls.")
    }

    /// A defect of TUDB itself. Details are in the log.
    pub fn internal() -> Self {
        ToolError::new(Code::Internal, "TUDB has an internal error; the call was not answered")
            .hint("Try again. If the error repeats, report it with the server's log (stderr).")
    }

    /// The `{"error": {..}}` object of a tool result. Message and hint are shortened to `MAX_TEXT_BYTES`. Both may
    /// contain names that another user of the database chose, so characters that steer a terminal or the reading order
    /// are replaced, except line feeds and tabs.
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Body<'a> {
            error: &'a ToolError,
        }
        let shorten = |text: &str| {
            let mut most = MAX_TEXT_BYTES;
            // JSON can take six bytes for a character, so the cut text is measured again.
            while most > 0 && json_escaped_len(cut(text, most)) > MAX_TEXT_BYTES {
                most /= 2;
            }
            let plain = |c: char| if steers(c) && !matches!(c, '\n' | '\t') { char::REPLACEMENT_CHARACTER } else { c };
            let end = if text.len() > most { "…" } else { "" };
            cut(text, most).replace("\r\n", "\n").chars().map(plain).chain(end.chars()).collect::<String>()
        };
        let told =
            ToolError { message: shorten(&self.message), hint: self.hint.as_deref().map(shorten), ..self.clone() };
        serde_json::to_string(&Body { error: &told }).unwrap_or_default()
    }
}

/// Maximum bytes of a name that is compared with others. A quoted `schema.table` of PostgreSQL is shorter.
const MAX_COMPARED_BYTES: usize = 300;

/// The names most similar to `wanted`, best first, at most `n`. Case is ignored. A name is similar if its edit distance
/// is small (swapping two letters counts as one edit), or if it contains `wanted` or is contained in `wanted` (from
/// three bytes on).
pub fn nearest<'a>(wanted: &str, known: impl Iterator<Item = &'a str>, n: usize) -> Vec<&'a str> {
    // Quotes are part of the notation, not of the name.
    let bare = |name: &str| name.to_lowercase().replace('"', "");
    let wanted = bare(wanted);
    // PostgreSQL has no longer names. The time of a comparison grows with the product of both lengths.
    if wanted.len() > MAX_COMPARED_BYTES {
        return Vec::new();
    }
    let limit = (wanted.chars().count() / 3).max(1);
    let mut scored: Vec<(usize, &str)> = known
        .filter(|name| name.len() <= MAX_COMPARED_BYTES)
        .filter_map(|name| {
            let lower = bare(name);
            let bare = lower.rsplit('.').next().unwrap_or(&lower);
            let distance = strsim::osa_distance(&wanted, bare).min(strsim::osa_distance(&wanted, &lower));
            // A plural, a prefix or a suffix is more similar than its distance shows.
            let contained = wanted.len().min(bare.len()) >= 3 && (bare.contains(&wanted) || wanted.contains(bare));
            (distance <= limit || contained).then_some((distance, name))
        })
        .collect();
    scored.sort();
    scored.dedup();
    scored.into_iter().take(n).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What callers hear, as whole texts: of refused statements, of the database, of the audit store and of settings.
    fn every_error() -> String {
        use crate::audit::{AuditRemedy, AuditUnavailable};
        use crate::database::DatabaseError;
        use crate::dialect::Dialect;
        use crate::guard::approve;
        use crate::limits::Limits;
        use std::fmt::Write as _;

        let mut text = String::new();
        let mut say = |of: &str, error: ToolError| {
            let _ = writeln!(text, "{of}\n    {}: {}", error.code.as_str(), error.message);
            if let Some(hint) = error.hint {
                let _ = writeln!(text, "    {hint}");
            }
        };
        for (dialect, statements) in [
            (Dialect::Postgresql, include_str!("../tests/refused.postgresql.sql")),
            (Dialect::Sqlite, include_str!("../tests/refused.sqlite.sql")),
        ] {
            for sql in statements.lines().filter(|line| !line.is_empty()) {
                if let Err(error) = approve(sql, dialect, &Limits::default()) {
                    say(&format!("{}: {sql}", dialect.name()), error.into());
                }
            }
        }
        let source_name = || "main".to_owned();
        let words = || "…".to_owned();
        for error in [
            DatabaseError::Sql { message: words(), hint: None, sqlstate: None, position: None, in_function: false },
            DatabaseError::Timeout { limit_ms: 30_000 },
            DatabaseError::Cancelled,
            DatabaseError::NoConnection { source_name: source_name(), waited_ms: 8_000 },
            DatabaseError::Missing { source_name: source_name(), message: words() },
            DatabaseError::TooManyConnections { source_name: source_name() },
            DatabaseError::Config { source_name: source_name(), problem: words() },
            DatabaseError::UnsafeRole { source_name: source_name(), summary: words(), remedy: words() },
            DatabaseError::MessageTooLarge { limit_bytes: 4 << 20 },
            DatabaseError::HeaderTooLong { bytes: 50_000 },
            DatabaseError::UnknownTable {
                name: "t".into(),
                source_name: source_name(),
                nearest: vec!["a".into(), "b".into()],
            },
            DatabaseError::UnknownTable { name: "t".into(), source_name: source_name(), nearest: Vec::new() },
            DatabaseError::AmbiguousTable { name: "t".into(), matches: vec!["a.t".into(), "b.t".into()] },
            DatabaseError::Connection(sqlx::Error::PoolClosed),
        ] {
            say("database", error.into());
        }
        for remedy in [
            AuditRemedy::Key,
            AuditRemedy::Tables,
            AuditRemedy::Login,
            AuditRemedy::Place,
            AuditRemedy::Inspect,
            AuditRemedy::Update,
            AuditRemedy::Server,
        ] {
            say("audit", AuditUnavailable { reason: words(), remedy }.into());
        }
        text
    }

    #[test]
    fn messages_and_hints_are_as_they_were_written_down() {
        let errors = every_error();
        if errors != include_str!("../tests/errors.txt") {
            let place = std::env::temp_dir().join("tudb-errors.txt");
            std::fs::write(&place, &errors).unwrap();
            panic!(
                "errors read differently; if it was meant, put {} in the place of tests/errors.txt",
                place.display()
            );
        }
    }

    #[test]
    fn nearest_names_come_first() {
        let known = ["orders", "order_items", "customers", "public.users"];
        assert_eq!(nearest("order", known.into_iter(), 2), ["orders", "order_items"]);
        assert_eq!(nearest("custmers", known.into_iter(), 2), ["customers"]);
        assert_eq!(nearest("user", known.into_iter(), 2), ["public.users"]);
        assert!(nearest("zzzzzz", known.into_iter(), 2).is_empty());
    }

    #[test]
    fn an_error_never_grows_with_what_it_repeats() {
        for text in ["x".repeat(1 << 20), "\u{1}".repeat(1 << 20), "é".repeat(1 << 20)] {
            let json = ToolError::invalid(text.clone()).hint(text).to_json();
            assert!(json.len() < 5_000, "{}", json.len());
        }
    }

    #[test]
    fn a_name_in_an_error_cannot_steer_a_terminal_or_the_reading_order() {
        let json = ToolError::invalid("no\u{1b}[2J \u{202e}eman").hint("try\r\nth\ris\tté\u{9b}").to_json();
        let told: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(told["error"]["message"], "no\u{fffd}[2J \u{fffd}eman");
        assert_eq!(told["error"]["hint"], "try\nth\u{fffd}is\tté\u{fffd}");
    }

    #[test]
    fn codes_read_the_same_in_json_and_in_text() {
        for code in [Code::WriteRefused, Code::ModelThrottled, Code::InvalidArgument] {
            assert_eq!(serde_json::to_string(&code).unwrap(), format!("\"{}\"", code.as_str()));
        }
    }
}
