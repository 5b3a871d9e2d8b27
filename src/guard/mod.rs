//! The guard: decides whether a statement from outside may run. Pure, without I/O and without `async`.
//!
//! In the flow it stands between the gateway and an engine: text goes in, and either an [`ApprovedSql`] or a
//! [`Rejection`] comes out. It allows what it knows and refuses the rest: one statement, a query, known functions at
//! every position, no relation of the system catalog beyond a short list. It does not look into the database; what a
//! role may read is the database's business, and the engines' own locks stand behind it.

mod classify;
mod functions;
mod lexical;
mod rejection;
mod relations;
mod walk;

use sqlparser::ast::Statement;
use sqlparser::dialect::{PostgreSqlDialect, SQLiteDialect};
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, Tokenizer};

pub use rejection::Rejection;

use crate::dialect::Dialect;
use crate::limits::Limits;

/// Stack given to parsing, walking and dropping a tree: a flat chain of 5,000 `+` is 5,000 levels deep, which
/// sqlparser's own recursion limit does not count.
const STACK_BYTES: usize = 64 << 20;
/// Texts up to this size cannot build a tree that a worker thread's own stack does not hold.
const SMALL_SQL_BYTES: usize = 512;

/// The caller's own text, found to be one harmless query. Only the guard can make one.
///
/// Engines take no other statement from outside, and wrap the text; a text rendered from the tree never runs, because
/// rendering is not faithful (`'x''''y'` prints as `'x''y'`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovedSql {
    text: String,
    explain: bool,
    names: Names,
}

/// The names a statement uses, for what only the database can decide. Each sorted, without duplicates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Tables, as written, without the statement's own CTEs.
    pub relations: Vec<String>,
    /// Functions called without a schema: a user's function of that name could be chosen by the server.
    pub functions: Vec<String>,
    /// Last parts of dotted names: without such a column the server looks for a function of that name.
    pub fields: Vec<String>,
    /// Operators, which can be defined by users too.
    pub operators: Vec<String>,
}

impl ApprovedSql {
    /// The query, exactly as the caller wrote it (without a closing semicolon, and without a leading `EXPLAIN`).
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the caller wrote `EXPLAIN` before the query.
    pub fn is_explain(&self) -> bool {
        self.explain
    }

    /// The tables, functions, fields and operators it names.
    pub fn names(&self) -> &Names {
        &self.names
    }
}

/// Checks one statement.
///
/// # Errors
///
/// A [`Rejection`] when the text is too long, does not parse, holds more than one statement, or does anything but read
/// with known functions.
pub fn approve(sql: &str, dialect: Dialect, limits: &Limits) -> Result<ApprovedSql, Rejection> {
    if sql.len() > limits.max_sql_bytes {
        return Err(Rejection::TooLong { bytes: sql.len(), limit: limits.max_sql_bytes });
    }
    if sql.contains('\0') {
        return Err(Rejection::Syntax { message: "it holds a NUL byte".into(), position: None });
    }
    if sql.len() <= SMALL_SQL_BYTES {
        return check(sql, dialect, limits);
    }
    stacker::grow(STACK_BYTES, || check(sql, dialect, limits))
}

fn check(sql: &str, dialect: Dialect, limits: &Limits) -> Result<ApprovedSql, Rejection> {
    let postgres = PostgreSqlDialect {};
    let sqlite = SQLiteDialect {};
    let grammar: &dyn sqlparser::dialect::Dialect = match dialect {
        Dialect::Postgresql => &postgres,
        Dialect::Sqlite => &sqlite,
    };
    let tokens = Tokenizer::new(grammar, sql).tokenize_with_location().map_err(|error| Rejection::Syntax {
        position: character(sql, error.location.line, error.location.column),
        message: error.message,
    })?;
    let mut meaningful = tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_)));
    if meaningful.clone().count() > limits.max_sql_tokens {
        return Err(Rejection::TooManyTokens { limit: limits.max_sql_tokens });
    }
    if meaningful.all(|token| token.token == Token::SemiColon) {
        return Err(Rejection::Empty);
    }
    let operators = match dialect {
        Dialect::Postgresql => lexical::operators(sql, &tokens).ok_or(Rejection::Statement {
            what: "a text that PostgreSQL may read differently".into(),
            hint: "Put spaces around operators and comments, and write each string in one piece.",
        })?,
        Dialect::Sqlite => Vec::new(),
    };
    let end = query_end(sql, &tokens);
    let mut parser = Parser::new(grammar).with_recursion_limit(limits.max_sql_depth).with_tokens_with_locations(tokens);
    let statements = parser
        .parse_statements()
        .map_err(|error| opening_keyword(sql, grammar).unwrap_or_else(|| syntax(sql, error, limits)))?;
    let [statement] = statements.as_slice() else {
        return Err(match statements.len() {
            0 => Rejection::Empty,
            count => Rejection::MultipleStatements { count },
        });
    };
    let names = Names { operators, ..walk::check(statement, dialect)? };
    let text = sql.get(..end).unwrap_or(sql);
    match statement {
        Statement::Explain { .. } => {
            let query = after_explain(text, grammar).ok_or_else(|| Rejection::clause("this form of EXPLAIN"))?;
            // The rest must stand as a statement of its own: it is what will run inside our EXPLAIN.
            let inner = check(query, dialect, limits)?;
            if inner.explain {
                return Err(Rejection::clause("EXPLAIN of an EXPLAIN"));
            }
            Ok(ApprovedSql { explain: true, ..inner })
        }
        _ => Ok(ApprovedSql { text: text.to_owned(), explain: false, names }),
    }
}

/// Byte where the statement ends: before its closing semicolons, which would break the wrapping query.
fn query_end(sql: &str, tokens: &[sqlparser::tokenizer::TokenWithSpan]) -> usize {
    let mut end = sql.len();
    for token in tokens.iter().rev() {
        match token.token {
            Token::Whitespace(_) => {}
            Token::SemiColon => {
                end = byte_offset(sql, token.span.start.line, token.span.start.column).unwrap_or(end);
            }
            _ => break,
        }
    }
    end
}

/// The text after `EXPLAIN` and its options, or `None` when it does not begin that way.
fn after_explain<'a>(sql: &'a str, grammar: &dyn sqlparser::dialect::Dialect) -> Option<&'a str> {
    let tokens = Tokenizer::new(grammar, sql).tokenize_with_location().ok()?;
    let mut depth = 0usize;
    for token in &tokens {
        let word = match &token.token {
            Token::Whitespace(_) => continue,
            Token::LParen => {
                depth += 1;
                // `EXPLAIN (SELECT ..)`: the parenthesis belongs to the query when a query follows.
                continue;
            }
            Token::RParen => {
                depth = depth.saturating_sub(1);
                continue;
            }
            Token::Word(word) => word.value.to_ascii_uppercase(),
            _ => continue,
        };
        if depth == 0 && matches!(word.as_str(), "SELECT" | "WITH" | "VALUES" | "TABLE") {
            let start = byte_offset(sql, token.span.start.line, token.span.start.column)?;
            return sql.get(start..);
        }
    }
    None
}

/// A statement that does not parse and does not begin as a query either is better named by its keyword.
fn opening_keyword(sql: &str, grammar: &dyn sqlparser::dialect::Dialect) -> Option<Rejection> {
    let tokens = Tokenizer::new(grammar, sql).tokenize().ok()?;
    let word = tokens.iter().find_map(|token| match token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_ascii_uppercase()),
        _ => None,
    })?;
    match word.as_str() {
        "INSERT" | "UPDATE" | "DELETE" | "MERGE" | "REPLACE" | "CREATE" | "ALTER" | "DROP" | "TRUNCATE" | "COPY"
        | "GRANT" | "REVOKE" | "VACUUM" | "REINDEX" | "CLUSTER" | "REFRESH" | "IMPORT" | "COMMENT" | "DO" | "LOCK" => {
            Some(Rejection::Write { what: word })
        }
        "PRAGMA" | "ATTACH" | "DETACH" | "SET" | "RESET" | "BEGIN" | "COMMIT" | "ROLLBACK" | "END" | "CALL"
        | "EXECUTE" | "PREPARE" | "DISCARD" | "LISTEN" | "NOTIFY" | "LOAD" | "DECLARE" | "FETCH" | "ANALYZE"
        | "CHECKPOINT" | "SHOW" => Some(Rejection::clause(word)),
        _ => None,
    }
}

fn syntax(sql: &str, error: ParserError, limits: &Limits) -> Rejection {
    match error {
        ParserError::RecursionLimitExceeded => Rejection::TooDeep { limit: limits.max_sql_depth },
        ParserError::ParserError(message) | ParserError::TokenizerError(message) => {
            let (text, place) = match message.rsplit_once(" at Line: ") {
                Some((text, place)) => (text.to_owned(), place.to_owned()),
                None => (message, String::new()),
            };
            let position = place
                .split_once(", Column: ")
                .and_then(|(line, column)| character(sql, line.trim().parse().ok()?, column.trim().parse().ok()?));
            Rejection::Syntax { message: text, position }
        }
    }
}

/// 1-based character of a line and column (both 1-based, as sqlparser counts).
fn character(sql: &str, line: u64, column: u64) -> Option<u64> {
    let offset = byte_offset(sql, line, column)?;
    Some(sql.get(..offset)?.chars().count() as u64 + 1)
}

fn byte_offset(sql: &str, line: u64, column: u64) -> Option<usize> {
    let line_start: usize =
        sql.split_inclusive('\n').take(usize::try_from(line.checked_sub(1)?).ok()?).map(str::len).sum();
    let rest = sql.get(line_start..)?;
    let in_line =
        rest.char_indices().nth(usize::try_from(column.checked_sub(1)?).ok()?).map_or(rest.len(), |(at, _)| at);
    Some(line_start + in_line)
}

#[cfg(test)]
mod tests;
