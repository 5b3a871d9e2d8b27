//! The guard: decides whether a statement from outside may run. Pure, without I/O and without `async`.
//!
//! It stands between the gateway and an engine: a text comes in, and an [`ApprovedSql`] or a [`Rejection`] comes out.
//! It allows one query. The query may call the functions of a list. Of the system catalog, it may read only listed
//! relations. The guard refuses everything else. `walk` checks the parser's tree, and `second_reader` checks the
//! lexemes. A statement that the parser cannot read is checked by `second_reader` alone. The guard does not query the
//! database. It returns the names that only a catalog can judge as [`Names`], and the engine checks them. On PostgreSQL
//! a query may also call functions that are not on the list, if the engine finds them harmless.

mod bounds;
mod classify;
pub mod columns;
pub(crate) mod extensions;
pub(crate) mod forms;
pub(crate) mod functions;
pub(crate) mod lexer;
mod parameters;
mod pipe;
mod rejection;
pub(crate) mod relations;
mod second_reader;
mod settings;
mod token_agreement;
mod walk;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sqlparser::dialect::{PostgreSqlDialect, SQLiteDialect};
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use columns::ColumnUses;
use lexer::{Kind, Lexeme};
pub use rejection::Rejection;

use crate::dialect::Dialect;
use crate::limits::Limits;
use crate::quoting;

/// Stack for parsing, walking and dropping a tree. A flat chain of 5,000 `+` becomes a tree 5,000 levels deep, and
/// sqlparser's recursion limit does not count these levels.
const STACK_BYTES: usize = 64 << 20;
/// Up to this size, the tree of a text fits the stack of a worker thread.
const SMALL_SQL_BYTES: usize = 256;

/// One query that the guard found harmless. Only the guard can create a value of this type.
///
/// Engines accept no other statement from outside. They wrap the text in a query. The text is never rendered from the
/// parser's tree, because rendering can change a statement (`'x''''y'` prints as `'x''y'`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovedSql {
    text: String,
    explain: bool,
    /// Whether texts of the form `'$1'` stand for parameters.
    has_parameters: bool,
    names: Names,
}

/// The names in a statement that only the database can judge. Each list is sorted and has no duplicates. The second
/// reader returns too many names rather than too few.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// Tables that the statement names, folded, for the record and the reply. The statement's own CTEs are left out,
    /// unless the parser could not read the statement.
    pub relations: Vec<String>,
    /// Schema and name of every relation that the statement might read.
    pub reads: Vec<(Option<String>, String)>,
    /// Allowed functions called without a schema. The server might choose a user's function of the same name.
    pub functions: Vec<String>,
    /// Functions that are not on the list. The catalog must show that they are harmless.
    pub unknown: Vec<(Option<String>, String)>,
    /// Last parts of dotted names. If there is no such column, the server looks for a function of that name.
    pub fields: Vec<String>,
    /// Operators. Users can define them too.
    pub operators: Vec<String>,
    /// Named types. A user's type may run functions when a value is converted to it.
    pub types: Vec<String>,
    /// Types that are written without a schema in casts and similar places, from the parser's tree only. `types` also
    /// has words that may be no types.
    pub cast_types: Vec<String>,
    /// Named types that are written with a schema.
    pub qualified_types: Vec<(String, String)>,
    /// Functions called by a bare name that may be qualified with a schema, with their byte offsets.
    pub calls: Vec<(usize, String)>,
    /// Tables named without a schema that may be qualified, with their byte offsets.
    pub tables: Vec<(usize, String)>,
    /// Whether the text may still contain a table without a schema after qualification. This happens if a name may be
    /// that of a CTE, or if the second reader could not tell what an `ONLY` belongs to.
    pub has_bare_tables: bool,
    /// Whether a name has characters beyond ASCII that a server with another encoding might fold or cut differently.
    pub beyond_ascii: bool,
    /// How the statement uses columns. `None` from the second reader, which does not record uses of columns.
    pub uses: Option<ColumnUses>,
    /// Comparisons of columns with columns. If the parser could not read the statement, comparisons with values count too.
    pub comparisons: u64,
}

/// The text that is sent: the caller's, with a schema added to functions and tables where necessary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QualifiedSql {
    text: String,
    /// For each insertion, in order: characters of the caller's text before it, and characters inserted.
    inserted: Vec<(usize, usize)>,
}

impl QualifiedSql {
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the text differs from the caller's.
    pub fn is_changed(&self) -> bool {
        !self.inserted.is_empty()
    }

    /// Converts a position in this text to one in the caller's text. Both are 1-based characters. `None` if out of
    /// range.
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
    /// Whether every bare call of this function can be qualified with its schema.
    pub fn can_be_qualified(&self, function: &str) -> bool {
        self.calls.iter().any(|(_, name)| name == function)
    }
}

impl ApprovedSql {
    /// A text that no guard has checked, to test the protections that work without the guard.
    #[cfg(test)]
    pub(crate) fn unchecked(text: &str) -> Self {
        ApprovedSql { text: text.to_owned(), explain: false, has_parameters: false, names: Names::default() }
    }

    /// The text that may run: the caller's query without a closing semicolon and without a leading `EXPLAIN`. For
    /// `SHOW` and `PRAGMA` it is a query of TUDB. Each parameter (`$1`) is replaced by the text `'$1'`.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text with a schema added to each bare call of these functions, and to each of these tables that has none.
    /// Both maps lead from a name to its schema. Nothing else is changed.
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

    /// Whether the statement compares so many columns that the planner of PostgreSQL could take hundreds of megabytes with
    /// its usual settings.
    pub fn is_demanding(&self) -> bool {
        self.names.comparisons > bounds::MANY_COMPARISONS
    }

    /// Whether the statement has parameters (`$1`), so that it can be planned and not run.
    pub fn has_parameters(&self) -> bool {
        self.has_parameters
    }

    /// A text made by [`Self::qualified`], with the parameters that the caller wrote.
    pub fn with_parameters(&self, qualified: &QualifiedSql) -> String {
        let restored = if self.has_parameters { parameters::restored(&qualified.text) } else { None };
        restored.unwrap_or_else(|| qualified.text.clone())
    }

    /// Counts how often the statement names each of these relations, and returns the largest count. A name before a dot
    /// is a qualifier and does not count. PostgreSQL only.
    pub fn mentions(&self, relations: &[String]) -> u64 {
        let Some(lexemes) = lexer::lexemes(&self.text, Dialect::Postgresql) else { return u64::MAX };
        let lexemes: Vec<Lexeme> = lexemes.into_iter().filter(|lexeme| lexeme.kind != Kind::Comment).collect();
        let mut counts: BTreeMap<String, u64> = relations.iter().map(|name| (name.clone(), 0)).collect();
        for (at, lexeme) in lexemes.iter().enumerate() {
            let text = self.text.get(lexeme.range.clone()).unwrap_or_default();
            let name = match lexeme.kind {
                Kind::Word => walk::fold(Dialect::Postgresql, text, false),
                Kind::Quoted => walk::fold(Dialect::Postgresql, &second_reader::unquoted(text), true),
                _ => continue,
            };
            let is_qualifier = lexemes.get(at + 1).is_some_and(|next| next.kind == Kind::Mark(b'.'));
            if let Some(count) = counts.get_mut(&name).filter(|_| !is_qualifier) {
                *count += 1;
            }
        }
        counts.into_values().max().unwrap_or_default()
    }

    /// The names that the statement uses.
    pub fn names(&self) -> &Names {
        &self.names
    }
}

/// Checks one statement.
///
/// # Errors
///
/// A [`Rejection`] when the text is too long, cannot be read, has more than one statement, or does anything but read. A
/// text that the parser cannot read is approved if the second reader finds it harmless. On PostgreSQL, a function of
/// which the guard knows nothing is not refused here; the engine checks it in the catalog.
pub fn approve(sql: &str, dialect: Dialect, limits: &Limits) -> Result<ApprovedSql, Rejection> {
    approve_as(sql, dialect, limits, false)
}

/// `is_plan` is true if the statement is only planned and not run.
fn approve_as(sql: &str, dialect: Dialect, limits: &Limits, is_plan: bool) -> Result<ApprovedSql, Rejection> {
    if sql.len() > limits.max_sql_bytes {
        return Err(Rejection::TooLong { bytes: sql.len(), limit: limits.max_sql_bytes });
    }
    if sql.contains('\0') {
        return Err(Rejection::Syntax { message: "it holds a NUL byte".into(), position: None });
    }
    if sql.len() <= SMALL_SQL_BYTES {
        return check(sql, dialect, limits, is_plan);
    }
    stacker::grow(STACK_BYTES, || check(sql, dialect, limits, is_plan))
}

/// Checks one statement that is only planned, and that may have parameters (`$1`) on PostgreSQL.
///
/// # Errors
///
/// As [`approve`].
pub fn approve_plan(sql: &str, dialect: Dialect, limits: &Limits) -> Result<ApprovedSql, Rejection> {
    let texts = if dialect == Dialect::Postgresql && sql.len() <= limits.max_sql_bytes && sql.contains('$') {
        parameters::as_texts(sql)
    } else {
        None
    };
    match texts {
        Some(texts) => Ok(ApprovedSql { has_parameters: true, ..approve_as(&texts, dialect, limits, true)? }),
        None => approve_as(sql, dialect, limits, true),
    }
}

/// The refusal of a text that is a statement of SQL and changes something, such as `DROP TABLE t`. `None` for other texts,
/// also for sentences that begin with the same word.
pub fn refused_write(text: &str, dialect: Dialect, limits: &Limits) -> Option<Rejection> {
    let Err(rejection @ Rejection::Write { .. }) = approve(text, dialect, limits) else { return None };
    let statements = match dialect {
        Dialect::Postgresql => Parser::parse_sql(&PostgreSqlDialect {}, text),
        Dialect::Sqlite => Parser::parse_sql(&SQLiteDialect {}, text),
    };
    statements.is_ok().then_some(rejection)
}

/// Splits a text at its semicolons, for a file that lists several statements for one question. Approves nothing. A text
/// that cannot be split with certainty is returned whole.
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

/// The text with its double quotes as backticks, which SQLite takes for names and never for strings; `None` when it cannot
/// be split with certainty.
pub fn with_backticks(sql: &str) -> Option<String> {
    let mut text = String::with_capacity(sql.len());
    let mut from = 0;
    for lexeme in lexer::lexemes(sql, Dialect::Sqlite)?.iter().filter(|lexeme| lexeme.kind == Kind::Quoted) {
        let inner = sql.get(lexeme.range.clone()).and_then(|name| name.strip_prefix('"')?.strip_suffix('"'));
        let Some(inner) = inner else { continue };
        text.push_str(sql.get(from..lexeme.range.start)?);
        let _ = write!(text, "`{}`", inner.replace("\"\"", "\"").replace('`', "``"));
        from = lexeme.range.end;
    }
    text.push_str(sql.get(from..)?);
    Some(text)
}

fn check(sql: &str, dialect: Dialect, limits: &Limits, is_plan: bool) -> Result<ApprovedSql, Rejection> {
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
                return Ok(ApprovedSql { text: shown, explain: false, has_parameters: false, names: Names::default() });
            }
            if let Some(described) = described_by_pragma(sql, statement, dialect)? {
                let names = names(&described, dialect, grammar, limits, false)?;
                return Ok(ApprovedSql { text: described, explain: false, has_parameters: false, names });
            }
            let start = explained(sql, statement)?;
            // A semicolon at the end would break the wrapping query.
            let end = statement.last().map_or(sql.len(), |lexeme| lexeme.range.end);
            (sql.get(start.unwrap_or(0)..end).unwrap_or(sql), start)
        }
        None => (sql, None),
    };
    // Positions refer to the caller's whole text.
    let place = start.and_then(|start| sql.get(..start)).map_or(0, |before| before.chars().count() as u64);
    let names =
        names(text, dialect, grammar, limits, is_plan || start.is_some()).map_err(|rejection| match rejection {
            Rejection::Syntax { message, position } => {
                Rejection::Syntax { message, position: position.map(|position| position + place) }
            }
            other => other,
        })?;
    Ok(ApprovedSql { text: text.to_owned(), explain: start.is_some(), has_parameters: false, names })
}

/// The tokens without the MATERIALIZED and NOT MATERIALIZED of CTEs. The parser knows them for PostgreSQL only, and they
/// change the plan but not the result.
fn without_materialized(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut kept: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    for token in tokens {
        if token.token == Token::LParen {
            let last: Vec<(usize, &TokenWithSpan)> =
                kept.iter().enumerate().rev().filter(|(_, token)| !bounds::is_blank(token)).take(3).collect();
            let is = |back: usize, word: &str| last.get(back).is_some_and(|(_, token)| bounds::is_word(token, word));
            let hint = match is(0, "materialized") {
                true if is(1, "as") => last.first(),
                true if is(1, "not") && is(2, "as") => last.get(1),
                _ => None,
            };
            if let Some(start) = hint.map(|(start, _)| *start) {
                kept.truncate(start);
            }
        }
        kept.push(token);
    }
    kept
}

/// The names of one statement, if it may run.
fn names(
    sql: &str,
    dialect: Dialect,
    grammar: &dyn sqlparser::dialect::Dialect,
    limits: &Limits,
    is_plan: bool,
) -> Result<Names, Rejection> {
    let tokens = match Tokenizer::new(grammar, sql).tokenize_with_location() {
        Ok(tokens) => tokens,
        Err(error) => {
            bounds::check_unread(sql, dialect)?;
            let comparisons = bounds::check_copies(sql, dialect)?;
            let position = character(sql, error.location.line, error.location.column);
            let unread = Rejection::Syntax { message: error.message, position };
            let names = second_reader::check(sql, dialect, unread)?;
            relations::judge_columns(dialect, &names)?;
            return Ok(Names { comparisons, ..names });
        }
    };
    bounds::check(&tokens, limits)?;
    // The second reader alone: `unread` says why the parser's tree does not count.
    let alone = |unread: Rejection| {
        let comparisons = bounds::check_copies(sql, dialect)?;
        let names = second_reader::check(sql, dialect, unread)?;
        relations::judge_columns(dialect, &names)?;
        Ok(Names { comparisons, ..names })
    };
    let operators = match dialect {
        Dialect::Postgresql => match token_agreement::operators(sql, &tokens) {
            Some(operators) => operators,
            // The parser's tokens differ from the server's, so its tree proves nothing.
            None => {
                return alone(Rejection::differently());
            }
        },
        Dialect::Sqlite => Vec::new(),
    };
    // The parser drops GLOBAL after a relation, and a database reads it as the relation's alias. Without the parser's
    // tree, the uses of columns are unknown, so every table with rules is refused.
    if tokens.iter().any(|token| bounds::is_word(token, "global")) {
        return alone(Rejection::differently());
    }
    let tokens = match dialect {
        Dialect::Postgresql => tokens,
        Dialect::Sqlite => without_materialized(tokens),
    };
    let mut parser = Parser::new(grammar).with_recursion_limit(limits.max_sql_depth).with_tokens_with_locations(tokens);
    let parsed = parser.parse_statements();
    // The parser stops at END, which a database reads as an alias. Its tree then covers only the beginning of the
    // statement.
    if parsed.is_ok() && parser.peek_token().token != Token::EOF {
        return alone(Rejection::differently());
    }
    match parsed {
        Ok(statements) => match statements.as_slice() {
            [statement] => {
                let (walked, understood) = match walk::check(sql, statement, dialect, is_plan) {
                    Err(unread) if unread == Rejection::differently() => return alone(unread),
                    walked => walked?,
                };
                let understood = token_agreement::byte_offsets(sql, &understood);
                let names = second_reader::complete(sql, dialect, Names { operators, ..walked }, &understood)?;
                relations::judge_columns(dialect, &names)?;
                Ok(names)
            }
            [] => Err(Rejection::Empty),
            several => Err(Rejection::MultipleStatements { count: several.len() }),
        },
        Err(ParserError::RecursionLimitExceeded) => Err(Rejection::TooDeep { limit: limits.max_sql_depth }),
        Err(error) => {
            let unread = opening_keyword(sql, grammar).unwrap_or_else(|| syntax(sql, error));
            alone(unread)
        }
    }
}

/// TUDB's statement that replaces `SHOW name`.
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
        hint: "SHOW works only for settings on how to read results: TimeZone, server_version, search_path and others.",
    })
}

/// TUDB's statement that replaces `PRAGMA name`, `PRAGMA name(argument)` or `PRAGMA name = argument`.
fn described_by_pragma(sql: &str, lexemes: &[Lexeme], dialect: Dialect) -> Result<Option<String>, Rejection> {
    let words: Vec<&str> = lexemes.iter().filter_map(|lexeme| sql.get(lexeme.range.clone())).collect();
    let rest = match words.as_slice() {
        [pragma, rest @ ..] if pragma.eq_ignore_ascii_case("pragma") && dialect == Dialect::Sqlite => rest,
        _ => return Ok(None),
    };
    let rest = match rest {
        [schema, ".", rest @ ..] if schema.eq_ignore_ascii_case("main") => rest,
        rest => rest,
    };
    let (name, argument) = match rest {
        [name] => (*name, None),
        [name, "(", argument, ")"] | [name, "=", argument] => (*name, Some(second_reader::unquoted(argument))),
        _ => return Err(Rejection::pragma("this PRAGMA")),
    };
    settings::pragma(name, argument.as_deref()).map(Some).ok_or_else(|| Rejection::pragma(&format!("PRAGMA {name}")))
}

/// The byte offset of the statement that an `EXPLAIN` explains. `None` if there is no `EXPLAIN`.
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

/// For a statement that does not parse and does not begin like a query: a rejection that names its first keyword.
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

/// The 1-based character position of a line and column. Both are 1-based, as in sqlparser.
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
