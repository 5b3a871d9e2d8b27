//! A second reader of PostgreSQL's lexical rules, for one question: do the parser's tokens end where PostgreSQL's do?
//!
//! The parser's tokeniser differs from the server's in places (an operator that runs into a comment, a continued `E''`
//! string), and text that one takes for a literal the other would run. So every stretch that is opaque to a parser
//! (string, quoted name, comment, dollar quote) is found here by the server's own rules, and the statement is refused
//! unless the tokens agree on each of them, and on where each operator begins and ends. Source: "Lexical Structure" in PostgreSQL's manual and its `scan.l`; with
//! `standard_conforming_strings` on, which the engine sets. Pure.

use std::collections::BTreeSet;
use std::ops::Range;

use sqlparser::tokenizer::{Token, TokenWithSpan, Whitespace};

/// Byte ranges, in order.
type Ranges = Vec<Range<usize>>;

/// The operators as PostgreSQL reads them, or `None` when tokens and server do not see the same stretches. Where one
/// run of operator characters ends is compared; how a run is divided is not, since the server's division is returned.
pub(super) fn operators(sql: &str, tokens: &[TokenWithSpan]) -> Option<Vec<String>> {
    let (stretches, operators) = stretches(sql)?;
    if stretches != of_tokens(sql, tokens) {
        return None;
    }
    let texts = operators.into_iter().filter_map(|range| sql.get(range));
    let texts: BTreeSet<String> = texts.map(str::to_owned).collect();
    Some(texts.into_iter().collect())
}

/// Adds a run of operator characters to the one it touches, if any.
fn push_run(found: &mut Vec<Range<usize>>, last_is_run: bool, run: Range<usize>) {
    match found.last_mut() {
        Some(last) if last_is_run && last.end == run.start => last.end = run.end,
        _ => found.push(run),
    }
}

/// The opaque stretches and operator runs by PostgreSQL's rules, as byte ranges in order, and the operators one by one;
/// `None` when a stretch does not end.
fn stretches(sql: &str) -> Option<(Ranges, Ranges)> {
    let bytes = sql.as_bytes();
    let at = |place: usize| bytes.get(place).copied().unwrap_or(0);
    let mut found = Vec::new();
    let mut operators: Vec<Range<usize>> = Vec::new();
    let mut place = 0;
    // After a string, white space with a line break and another quote go on with it, in the same mode.
    let mut continues: Option<bool> = None;
    while place < bytes.len() {
        let start = place;
        let byte = at(place);
        let begins_comment = (byte == b'-' && at(place + 1) == b'-') || (byte == b'/' && at(place + 1) == b'*');
        if byte.is_ascii_whitespace() || byte == 0x0b {
            place += 1;
            continue;
        }
        if begins_comment && byte == b'-' {
            while place < bytes.len() && !matches!(at(place), b'\n' | b'\r') {
                place += 1;
            }
            found.push(start..place);
            continue;
        }
        if begins_comment {
            let mut depth = 0usize;
            loop {
                match (at(place), at(place + 1)) {
                    (b'/', b'*') => (depth, place) = (depth + 1, place + 2),
                    (b'*', b'/') => (depth, place) = (depth - 1, place + 2),
                    _ if place >= bytes.len() => return None,
                    _ => place += 1,
                }
                if depth == 0 {
                    break;
                }
            }
            found.push(start..place);
            continue;
        }
        let continued = continues.take();
        match byte {
            b'\'' => {
                let escapes = continued.unwrap_or(false);
                place = quoted(bytes, place, b'\'', escapes)?;
                found.push(start..place);
                continues = Some(escapes);
            }
            b'"' => {
                place = quoted(bytes, place, b'"', false)?;
                found.push(start..place);
            }
            b'$' if !at(place.wrapping_sub(1)).is_ascii_alphanumeric() => match dollar(sql, place) {
                Some(end) => {
                    place = end?;
                    found.push(start..place);
                }
                None => place += 1,
            },
            b'0'..=b'9' => {
                while at(place).is_ascii_alphanumeric() || matches!(at(place), b'.' | b'_') {
                    // An exponent takes its sign along: 0.5e-3.
                    let exponent = matches!(at(place), b'e' | b'E') && matches!(at(place + 1), b'+' | b'-');
                    place += if exponent && at(place + 2).is_ascii_digit() { 2 } else { 1 };
                }
            }
            _ if is_name_start(byte) => {
                while is_name_start(at(place)) || at(place).is_ascii_digit() || at(place) == b'$' {
                    place += 1;
                }
                let prefix = sql.get(start..place).unwrap_or_default();
                // U&'..' and U&"..": the prefix and the quote stand without a space.
                let unicode =
                    prefix.eq_ignore_ascii_case("u") && at(place) == b'&' && matches!(at(place + 1), b'\'' | b'"');
                if unicode {
                    place = quoted(bytes, place + 1, at(place + 1), false)?;
                    found.push(start..place);
                } else if at(place) == b'\'' && ["e", "b", "x", "n"].iter().any(|p| prefix.eq_ignore_ascii_case(p)) {
                    let escapes = prefix.eq_ignore_ascii_case("e");
                    place = quoted(bytes, place, b'\'', escapes)?;
                    found.push(start..place);
                    continues = Some(escapes);
                }
            }
            _ if is_operator(byte) => {
                place = operator_end(bytes, place);
                let follows = operators.last().is_some_and(|last| last.end == start);
                push_run(&mut found, follows, start..place);
                operators.push(start..place);
            }
            _ => place += 1,
        }
    }
    Some((found, operators))
}

fn is_operator(byte: u8) -> bool {
    b"+-*/<>=~!@#%^&|`?".contains(&byte)
}

/// The end of an operator: as long as it can be, but a comment ends it, and a longer one ends in `+` or `-` only when
/// it holds one of the characters that built-in arithmetic does not use.
fn operator_end(bytes: &[u8], start: usize) -> usize {
    let at = |place: usize| bytes.get(place).copied().unwrap_or(0);
    let mut end = start;
    while is_operator(at(end)) {
        let comment = (at(end) == b'-' && at(end + 1) == b'-') || (at(end) == b'/' && at(end + 1) == b'*');
        if comment && end > start {
            break;
        }
        end += 1;
    }
    let operator = bytes.get(start..end).unwrap_or_default();
    if !operator.iter().any(|byte| b"~!@#%^&|`?".contains(byte)) {
        while end > start + 1 && matches!(at(end - 1), b'+' | b'-') {
            end -= 1;
        }
    }
    end
}

/// The end of a quoted stretch whose quote stands at `place`; a doubled quote, and with `escapes` a backslash, goes on.
fn quoted(bytes: &[u8], mut place: usize, quote: u8, escapes: bool) -> Option<usize> {
    place += 1;
    loop {
        let byte = *bytes.get(place)?;
        let doubled = byte == quote && bytes.get(place + 1) == Some(&quote);
        if doubled || (escapes && byte == b'\\') {
            place += 2;
        } else if byte == quote {
            return Some(place + 1);
        } else {
            place += 1;
        }
    }
}

/// The end of a dollar quote that begins at `place`: `None` when none begins there, `Some(None)` when it does not end.
fn dollar(sql: &str, place: usize) -> Option<Option<usize>> {
    let rest = sql.get(place..)?;
    let tag_end = rest.get(1..)?.find('$')? + 2;
    let tag = rest.get(..tag_end)?;
    let name = tag.get(1..tag_end - 1)?;
    let valid =
        name.bytes().enumerate().all(|(index, byte)| is_name_start(byte) || (index > 0 && byte.is_ascii_digit()));
    if !valid {
        return None;
    }
    Some(rest.get(tag_end..)?.find(tag).map(|end| place + tag_end + end + tag.len()))
}

fn is_name_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

/// The opaque stretches as the parser's tokens tell them.
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
            // A line comment's token takes its line break with it.
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

/// Walks the text once, turning lines and columns into bytes.
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
            assert_eq!(stretches(sql).unwrap().0, of_tokens(sql, &tokens), "{sql}");
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
        assert_eq!(read("SELECT 1 @@@@ 2, a>-3, b=-1, -(-1)").unwrap(), ["-", "=", ">", "@@@@"]);
    }
}
