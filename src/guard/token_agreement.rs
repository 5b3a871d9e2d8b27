//! Checks that the parser's tokens end where PostgreSQL's do.
//!
//! The parser's tokeniser differs from the server's in places (an operator directly before a comment, a continued `E''`
//! string). Then a text that is a literal to the parser could run as code on the server. So this module finds every
//! string, quoted name, comment and dollar quote by the server's rules. The parser's tokens must have the same strings,
//! names and comments, and each run of operator characters must begin and end at the same place. If they differ, the
//! parser's tree is not used: the second reader alone judges the statement. Pure.

use std::collections::BTreeSet;
use std::ops::Range;

use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Whitespace};

use super::lexer::{Kind, Lexeme, is_operator, is_wildcard, lexemes};
use crate::dialect::Dialect;

/// Byte ranges, in order.
type Ranges = Vec<Range<usize>>;

/// The operators as PostgreSQL reads them, or `None` if tokens and server see different stretches. Only the ends of a
/// run of operator characters are compared. How the run is divided is not, because the server's division is returned.
pub(super) fn operators(sql: &str, tokens: &[TokenWithSpan]) -> Option<Vec<String>> {
    let lexemes = lexemes(sql, Dialect::Postgresql)?;
    let wildcards: BTreeSet<usize> = (0..lexemes.len())
        .filter(|at| is_wildcard(sql, &lexemes, *at))
        .filter_map(|at| Some(lexemes.get(at)?.range.start))
        .collect();
    let (stretches, operators) = stretches(lexemes);
    if stretches != of_tokens(sql, tokens) {
        return None;
    }
    let operators = operators.into_iter().filter(|range| !wildcards.contains(&range.start));
    let texts = operators.filter_map(|range| sql.get(range));
    let texts: BTreeSet<String> = texts.map(str::to_owned).collect();
    Some(texts.into_iter().collect())
}

/// Appends a run of operator characters, or extends the last run if the two touch.
fn push_run(found: &mut Vec<Range<usize>>, last_is_run: bool, run: Range<usize>) {
    match found.last_mut() {
        Some(last) if last_is_run && last.end == run.start => last.end = run.end,
        _ => found.push(run),
    }
}

/// The opaque stretches and operator runs by PostgreSQL's rules, as byte ranges in order, and the single operators.
fn stretches(lexemes: Vec<Lexeme>) -> (Ranges, Ranges) {
    let mut found = Vec::new();
    let mut operators: Ranges = Vec::new();
    for Lexeme { kind, range } in lexemes {
        match kind {
            Kind::Operator => {
                let follows = operators.last().is_some_and(|last| last.end == range.start);
                push_run(&mut found, follows, range.clone());
                operators.push(range);
            }
            Kind::String | Kind::Quoted | Kind::Comment => found.push(range),
            Kind::Unreadable if range.len() > 1 => found.push(range),
            Kind::Word | Kind::Number | Kind::Mark(_) | Kind::Unreadable => {}
        }
    }
    (found, operators)
}

/// The opaque stretches and operator runs according to the parser's tokens.
fn of_tokens(sql: &str, tokens: &[TokenWithSpan]) -> Vec<Range<usize>> {
    let mut cursor = Cursor { sql, byte: 0, line: 1, column: 1 };
    let mut found = Vec::new();
    let mut last_is_run = false;
    for token in tokens {
        let is_opaque = match &token.token {
            Token::Whitespace(Whitespace::SingleLineComment { .. } | Whitespace::MultiLineComment(_)) => true,
            Token::Word(word) => word.quote_style.is_some(),
            Token::SingleQuotedString(_)
            | Token::EscapedStringLiteral(_)
            | Token::DollarQuotedString(_)
            | Token::UnicodeStringLiteral(_)
            | Token::NationalStringLiteral(_)
            | Token::HexStringLiteral(_)
            | Token::SingleQuotedByteStringLiteral(_)
            | Token::SingleQuotedRawStringLiteral(_)
            | Token::DoubleQuotedString(_) => true,
            _ => false,
        };
        let start = cursor.go_to(token.span.start.line, token.span.start.column);
        let is_operator = !is_opaque && sql.as_bytes().get(start).copied().is_some_and(is_operator);
        if is_operator {
            let end = cursor.go_to(token.span.end.line, token.span.end.column);
            push_run(&mut found, last_is_run, start..end);
        } else if is_opaque {
            let mut end = cursor.go_to(token.span.end.line, token.span.end.column);
            // The token of a line comment includes its line break.
            if matches!(token.token, Token::Whitespace(Whitespace::SingleLineComment { .. })) {
                let text = sql.get(start..end).unwrap_or_default();
                end = start + text.find(['\n', '\r']).unwrap_or(text.len());
            }
            found.push(start..end);
        }
        last_is_run = is_operator;
    }
    found
}

/// The byte offsets of locations in the text.
pub(super) fn byte_offsets(sql: &str, places: &BTreeSet<Location>) -> BTreeSet<usize> {
    let mut cursor = Cursor { sql, byte: 0, line: 1, column: 1 };
    places.iter().map(|place| cursor.go_to(place.line, place.column)).collect()
}

/// Converts lines and columns to byte offsets in one pass over the text.
struct Cursor<'a> {
    sql: &'a str,
    byte: usize,
    line: u64,
    column: u64,
}

impl Cursor<'_> {
    fn go_to(&mut self, line: u64, column: u64) -> usize {
        let rest = self.sql.get(self.byte..).unwrap_or_default();
        for character in rest.chars() {
            if (self.line, self.column) >= (line, column) {
                break;
            }
            self.byte += character.len_utf8();
            if character == '\n' {
                (self.line, self.column) = (self.line + 1, 1);
            } else {
                self.column += 1;
            }
        }
        self.byte
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlparser::dialect::PostgreSqlDialect;
    use sqlparser::tokenizer::Tokenizer;

    fn read(sql: &str) -> Option<Vec<String>> {
        operators(sql, &Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize_with_location().ok()?)
    }

    #[test]
    fn honest_text_agrees() {
        for sql in [
            "SELECT 'a''b', E'c\\'d', $$x 'y'$$, $t$a$b$t$, \"q\"\"r\", 1.5e3 -- end",
            "SELECT 1 /* a /* nested */ b */ + 2 -- c\n, 'é' || '東' --d",
            "SELECT a->>'b', c #>> '{d}', e @> 'f', 'x' ~* '^y', 'g' || 'h', b'101', x'1F', N'n'",
            "SELECT 'one'\n  'two', E'a\\n'\n'b'",
            "SELECT date '2026-01-01' - interval '1 day', \"É\".x, t.\"y\" FROM \"T\" t WHERE a < -1",
            "SELECT 'a' -- it's\n, 'b' /* don't */",
            "SELECT 1\r\n-- x\r\n, 2",
            "SELECT B'1010', X'1F', 0.5e-3, 1E+2, .5, 5-3",
            "SELECT count(*), t.*, a<=-1, b=-2, c>-3, 2*-1, 1+-1, -(-1), f(x => 1), a[1:2]",
            "SELECT a <-> b, a <=> b, a <#> b, a ~~* b, a !~~* b, a && b, a &<| b, a @? b, a @@ b, a ?| b, a ?& b",
            "SELECT a #- b, ||/ 27, |/ 25, a <<| b, a -|- b, a ^@ b, a <% b, a % b, @ -5, ~ 1, a <> b, a != b, !! q",
        ] {
            let tokens = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize_with_location().unwrap();
            assert_eq!(stretches(lexemes(sql, Dialect::Postgresql).unwrap()).0, of_tokens(sql, &tokens), "{sql}");
        }
    }

    #[test]
    fn text_that_the_server_reads_otherwise_is_found() {
        for sql in [
            "SELECT 'a' ||/*' */ pg_read_file($$/etc/hostname$$) --'",
            "SELECT 'a' ||--'\n pg_read_file($$x$$) --'",
            "SELECT E'a'\n'\\' , ' , pg_read_file($$x$$) --'",
            "SELECT 1 &/*' */ pg_sleep(1) --'",
        ] {
            assert_eq!(read(sql), None, "{sql}");
        }
    }

    #[test]
    fn operators_are_divided_as_the_server_divides_them() {
        assert_eq!(read("SELECT *, t.*, count(*), count(DISTINCT a) FROM t").unwrap(), [""; 0]);
        for operator in [
            "a * b",
            "1 /**/ * b",
            "(a) * b",
            "a OPERATOR(*) b",
            "a OPERATOR(pg_catalog . *) b",
            "t.all * b",
            "(r).distinct * b",
            "t . /**/ select * b",
        ] {
            assert_eq!(read(&format!("SELECT {operator}")).unwrap(), ["*"], "{operator}");
        }
        assert_eq!(read("SELECT 1 @@@@ 2, a>-3, b=-1, -(-1)").unwrap(), ["-", "=", ">", "@@@@"]);
    }
}
