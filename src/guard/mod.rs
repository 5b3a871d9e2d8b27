//! The guard: decides whether a statement from outside may run. Pure, without I/O and without `async`.
//!
//! In the flow it stands between the gateway and an engine: text goes in, and either an [`ApprovedSql`] or a
//! [`Rejection`] comes out. It allows what it knows and refuses the rest: one statement, a query, known functions at
//! every position, no relation of the system catalog beyond a list. Two readers see each statement: `walk` the parser's
//! tree, `reader` the lexemes alone. It does not look into the database; what only a catalog can decide it hands on as
//! [`Names`], for the engine to ask about, and the engines' own locks stand behind it.

mod classify;
pub mod columns;
pub(crate) mod extensions;
pub(crate) mod functions;
mod lexer;
mod pipe;
mod rejection;
pub(crate) mod relations;
mod second_reader;
mod settings;
mod token_agreement;
mod walk;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sqlparser::dialect::{PostgreSqlDialect, SQLiteDialect};
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, Tokenizer};

use columns::ColumnUses;
use lexer::{Kind, Lexeme};
pub use rejection::Rejection;

use crate::dialect::Dialect;
use crate::limits::Limits;
use crate::quoting;

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

/// The names a statement uses, for what only the database can decide. Each sorted, without duplicates. From the second
/// reader they are too many rather than too few.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// Tables, as written, without the statement's own CTEs: for the record and the reply.
    pub relations: Vec<String>,
    /// Schema and name of every relation that may be meant.
    pub reads: Vec<(Option<String>, String)>,
    /// Allowed functions called without a schema: a user's function of that name could be chosen by the server.
    pub functions: Vec<String>,
    /// Functions that are not on the list: the catalog must vouch for them.
    pub unknown: Vec<(Option<String>, String)>,
    /// Last parts of dotted names: without such a column the server looks for a function of that name.
    pub fields: Vec<String>,
    /// Operators, which can be defined by users too.
    pub operators: Vec<String>,
    /// Types that are named; a user's type may run functions when a value becomes one.
    pub types: Vec<String>,
    /// Byte offsets of functions that are called by a bare name and may be written with a schema instead.
    pub calls: Vec<(usize, String)>,
    /// Byte offsets of tables that are named without a schema and may be written with one; none from the second reader.
    pub tables: Vec<(usize, String)>,
    /// Whether a name holds characters beyond ASCII that a server of another encoding could fold or cut otherwise.
    pub beyond_ascii: bool,
    /// What it does with columns; `None` from the second reader, which does not know.
    pub uses: Option<ColumnUses>,
}

/// An approved text as it is sent: the caller's own, with the schema of a function or a table where it had to be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QualifiedSql {
    text: String,
    /// Characters of the caller's text before each insertion, and characters of the insertion, in order.
    inserted: Vec<(usize, usize)>,
}

impl QualifiedSql {
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it differs from the caller's text.
    pub fn is_changed(&self) -> bool {
        !self.inserted.is_empty()
    }

    /// The place in the caller's text of a place in this one, both 1-based characters; `None` outside of it.
    pub fn original_position(&self, sent: usize) -> Option<usize> {
        if sent == 0 || sent > self.text.chars().count() + 1 {
            return None;
        }
        let mut at = sent;
        for (before, length) in &self.inserted {
            if at > before + length {
                at -= length;
            } else if at > *before {
                at = before + 1;
            }
        }
        Some(at)
    }
}

impl Names {
    /// Whether every bare call of this function can be written with its schema.
    pub fn can_be_qualified(&self, function: &str) -> bool {
        self.calls.iter().any(|(_, name)| name == function)
    }
}

impl ApprovedSql {
    /// A text that no guard has seen, for the tests of the locks behind it.
    #[cfg(test)]
    pub(crate) fn unchecked(text: &str) -> Self {
        ApprovedSql { text: text.to_owned(), explain: false, names: Names::default() }
    }

    /// The query, exactly as the caller wrote it (without a closing semicolon, and without a leading `EXPLAIN`).
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The same text with a schema before each bare call of these functions and before each of these tables that is
    /// named without one. Both give the schema of a name. Nothing else is changed.
    pub fn qualified(&self, functions: &BTreeMap<String, String>, tables: &BTreeMap<String, String>) -> QualifiedSql {
        let mut sites: Vec<(usize, String)> = Vec::new();
        for (uses, schemas) in [(&self.names.calls, functions), (&self.names.tables, tables)] {
            for (offset, name) in uses {
                if let Some(schema) = schemas.get(name) {
                    sites.push((*offset, format!("{}.", quoting::quoted_name(schema))));
                }
            }
        }
        sites.sort();
        let mut qualified = QualifiedSql { text: self.text.clone(), inserted: Vec::new() };
        for (offset, schema) in sites.iter().rev() {
            if let Some(before) = self.text.get(..*offset) {
                qualified.text.insert_str(*offset, schema);
                qualified.inserted.insert(0, (before.chars().count(), schema.chars().count()));
            }
        }
        qualified
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

/// The statements of a text, cut at its semicolons, for a file that lists several ways to the same answer. Approves
/// nothing; a text that cannot be cut for certain is one.
pub fn statements(sql: &str, dialect: Dialect) -> Vec<&str> {
    let Some(lexemes) = lexer::lexemes(sql, dialect) else { return vec![sql] };
    let mut from = 0;
    let mut parts: Vec<&str> = Vec::new();
    for end in lexemes.iter().filter(|lexeme| lexeme.kind == Kind::Mark(b';')) {
        parts.extend(sql.get(from..end.range.start));
        from = end.range.end;
    }
    parts.extend(sql.get(from..));
    parts.retain(|part| !part.trim().is_empty());
    parts
}

fn check(sql: &str, dialect: Dialect, limits: &Limits) -> Result<ApprovedSql, Rejection> {
    let postgres = PostgreSqlDialect {};
    let sqlite = SQLiteDialect {};
    let grammar: &dyn sqlparser::dialect::Dialect = match dialect {
        Dialect::Postgresql => &postgres,
        Dialect::Sqlite => &sqlite,
    };
    let (text, start) = match lexer::lexemes(sql, dialect) {
        Some(lexemes) => {
            let lexemes: Vec<Lexeme> = lexemes.into_iter().filter(|lexeme| lexeme.kind != Kind::Comment).collect();
            if lexemes.len() > limits.max_sql_tokens {
                return Err(Rejection::TooManyTokens { limit: limits.max_sql_tokens });
            }
            if lexemes.iter().any(|lexeme| lexeme.kind == Kind::Unreadable && lexeme.range.len() > 1) {
                return Err(Rejection::Statement {
                    what: "a name written as U&\"..\"".into(),
                    hint: "Write the name's characters themselves between double quotes.",
                });
            }
            let end = lexemes.iter().rposition(|lexeme| lexeme.kind != Kind::Mark(b';')).ok_or(Rejection::Empty)?;
            let statement = lexemes.get(..=end).unwrap_or_default();
            if let Some(shown) = shown_setting(sql, statement, dialect)? {
                return Ok(ApprovedSql { text: shown, explain: false, names: Names::default() });
            }
            let start = explained(sql, statement)?;
            // Closing semicolons would break the wrapping query.
            let end = statement.last().map_or(sql.len(), |lexeme| lexeme.range.end);
            (sql.get(start.unwrap_or(0)..end).unwrap_or(sql), start)
        }
        None => (sql, None),
    };
    // Positions are told in the caller's own text.
    let place = start.and_then(|start| sql.get(..start)).map_or(0, |before| before.chars().count() as u64);
    let names = names(text, dialect, grammar, limits).map_err(|rejection| match rejection {
        Rejection::Syntax { message, position } => {
            Rejection::Syntax { message, position: position.map(|position| position + place) }
        }
        other => other,
    })?;
    Ok(ApprovedSql { text: text.to_owned(), explain: start.is_some(), names })
}

/// The names of one statement that may run.
fn names(
    sql: &str,
    dialect: Dialect,
    grammar: &dyn sqlparser::dialect::Dialect,
    limits: &Limits,
) -> Result<Names, Rejection> {
    let tokens = match Tokenizer::new(grammar, sql).tokenize_with_location() {
        Ok(tokens) => tokens,
        Err(error) => {
            let position = character(sql, error.location.line, error.location.column);
            return second_reader::check(sql, dialect, Rejection::Syntax { message: error.message, position });
        }
    };
    let meaningful = tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_)));
    if meaningful.count() > limits.max_sql_tokens {
        return Err(Rejection::TooManyTokens { limit: limits.max_sql_tokens });
    }
    let operators = match dialect {
        Dialect::Postgresql => match token_agreement::operators(sql, &tokens) {
            Some(operators) => operators,
            // The parser's tokens are not the server's: what it would make of them means nothing.
            None => return second_reader::check(sql, dialect, Rejection::differently()),
        },
        Dialect::Sqlite => Vec::new(),
    };
    let mut parser = Parser::new(grammar).with_recursion_limit(limits.max_sql_depth).with_tokens_with_locations(tokens);
    match parser.parse_statements() {
        Ok(statements) => match statements.as_slice() {
            [statement] => {
                let (walked, understood) = walk::check(sql, statement, dialect)?;
                let understood = token_agreement::byte_offsets(sql, &understood);
                second_reader::complete(sql, dialect, Names { operators, ..walked }, &understood)
            }
            [] => Err(Rejection::Empty),
            several => Err(Rejection::MultipleStatements { count: several.len() }),
        },
        Err(ParserError::RecursionLimitExceeded) => Err(Rejection::TooDeep { limit: limits.max_sql_depth }),
        Err(error) => {
            let unread = opening_keyword(sql, grammar).unwrap_or_else(|| syntax(sql, error));
            second_reader::check(sql, dialect, unread)
        }
    }
}

/// TUDB's own statement in place of `SHOW name`.
fn shown_setting(sql: &str, lexemes: &[Lexeme], dialect: Dialect) -> Result<Option<String>, Rejection> {
    let words: Vec<&str> = lexemes.iter().filter_map(|lexeme| sql.get(lexeme.range.clone())).collect();
    let name = match words.as_slice() {
        [show, rest @ ..] if show.eq_ignore_ascii_case("show") && dialect == Dialect::Postgresql => match rest {
            [time, zone] if time.eq_ignore_ascii_case("time") && zone.eq_ignore_ascii_case("zone") => "TimeZone",
            [name] => name,
            _ => return Ok(None),
        },
        _ => return Ok(None),
    };
    settings::show(name).map(Some).ok_or_else(|| Rejection::Statement {
        what: format!("SHOW {name}"),
        hint: "SHOW tells settings that say how to read results: TimeZone, server_version, search_path and the like.",
    })
}

/// Where the statement begins that an `EXPLAIN` explains; `None` when there is none.
fn explained(sql: &str, lexemes: &[Lexeme]) -> Result<Option<usize>, Rejection> {
    let word = |at: usize| {
        let lexeme = lexemes.get(at)?;
        let is_word = lexeme.kind == Kind::Word;
        sql.get(lexeme.range.clone()).filter(|_| is_word).map(str::to_ascii_uppercase)
    };
    let is = |at: usize, mark: u8| lexemes.get(at).is_some_and(|lexeme| lexeme.kind == Kind::Mark(mark));
    if word(0).as_deref() != Some("EXPLAIN") {
        return Ok(None);
    }
    let analyze = || Rejection::Statement {
        what: "EXPLAIN ANALYZE (it runs the statement)".into(),
        hint: "Call explain_query with analyze, which runs it inside the limits.",
    };
    let mut at = 1;
    // `EXPLAIN (ANALYZE, ..) SELECT`, unless the parenthesis is the query's own.
    let opens_query = matches!(word(2).as_deref(), Some("SELECT" | "WITH" | "VALUES" | "TABLE")) || is(2, b'(');
    if is(1, b'(') && !opens_query {
        let close =
            (1..lexemes.len()).find(|at| is(*at, b')')).ok_or_else(|| Rejection::clause("this form of EXPLAIN"))?;
        for option in 2..close {
            let off = matches!(word(option + 1).as_deref(), Some("FALSE" | "OFF"));
            if matches!(word(option).as_deref(), Some("ANALYZE" | "ANALYSE")) && !off {
                return Err(analyze());
            }
        }
        at = close + 1;
    }
    loop {
        match word(at).as_deref() {
            Some("ANALYZE" | "ANALYSE") => return Err(analyze()),
            Some("VERBOSE" | "QUERY" | "PLAN") => at += 1,
            Some("EXPLAIN") => return Err(Rejection::clause("EXPLAIN of an EXPLAIN")),
            _ => break,
        }
    }
    lexemes.get(at).map(|lexeme| Some(lexeme.range.start)).ok_or_else(|| Rejection::clause("this form of EXPLAIN"))
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

fn syntax(sql: &str, error: ParserError) -> Rejection {
    match error {
        ParserError::RecursionLimitExceeded => Rejection::clause("a statement nested this deep"),
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
mod properties;
#[cfg(test)]
mod tests;
