//! Splits a text into lexemes by the lexical rules of PostgreSQL or SQLite.
//!
//! It is independent of the parser, so that the two can be compared ([`super::token_agreement`]). It also serves where
//! the parser does not know a clause ([`super::second_reader`]). A text that server versions read differently, or that
//! this module does not know, is given up as a whole. Sources: "Lexical Structure" in PostgreSQL's manual and its
//! `scan.l`, with `standard_conforming_strings` on, which the engine sets; SQLite's `tokenize.c`. Pure.

use std::ops::Range;

use crate::dialect::Dialect;

/// The kind of a lexeme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A keyword, or a name without quotes.
    Word,
    /// A name in quotes.
    Quoted,
    /// A string, of any spelling.
    String,
    Number,
    /// A run of operator characters, as long as the server reads it.
    Operator,
    /// One of `( ) [ ] , ; . : {`, or any other byte.
    Mark(u8),
    Comment,
    /// On PostgreSQL, `U&".."`, whose meaning depends on a clause that may follow, or a `$` that opens no dollar
    /// quote. On SQLite, the first character of `?`, `$1`, `@name`, `#1` or `:name`, or a byte order mark.
    Unreadable,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lexeme {
    pub(crate) kind: Kind,
    /// Byte range in the text.
    pub(crate) range: Range<usize>,
}

/// Splits `sql`. `None` if a quoted stretch or comment does not end, or can be read in several ways.
pub(crate) fn lexemes(sql: &str, dialect: Dialect) -> Option<Vec<Lexeme>> {
    let mut lexer = Lexer { sql, bytes: sql.as_bytes(), dialect, continues: None };
    let mut found = Vec::new();
    let mut place = 0;
    while place < sql.len() {
        if is_space(lexer.at(place)) {
            place += 1;
            continue;
        }
        let (kind, end) = lexer.next(place)?;
        found.push(Lexeme { kind, range: place..end });
        place = end;
    }
    Some(found)
}

struct Lexer<'a> {
    sql: &'a str,
    bytes: &'a [u8],
    dialect: Dialect,
    /// `Some` after a string: whether it has backslash escapes. On PostgreSQL a quote after white space continues the
    /// string with the same escapes.
    continues: Option<bool>,
}

impl Lexer<'_> {
    fn at(&self, place: usize) -> u8 {
        self.bytes.get(place).copied().unwrap_or(0)
    }

    fn next(&mut self, start: usize) -> Option<(Kind, usize)> {
        let byte = self.at(start);
        if let Some(end) = self.comment(start) {
            return Some((Kind::Comment, end?));
        }
        let continued = self.continues.take();
        let postgres = self.dialect == Dialect::Postgresql;
        Some(match byte {
            b'\'' => {
                let escapes = continued.unwrap_or(false);
                self.continues = Some(escapes);
                (Kind::String, self.quoted(start, b'\'', escapes)?)
            }
            b'"' => (Kind::Quoted, self.quoted(start, b'"', false)?),
            b'`' if !postgres => (Kind::Quoted, self.quoted(start, b'`', false)?),
            b'[' if !postgres => (Kind::Quoted, start + self.sql.get(start..)?.find(']')? + 1),
            b'$' if postgres => match dollar(self.sql, start) {
                Some(end) => (Kind::String, end?),
                None => (Kind::Unreadable, start + 1),
            },
            b'?' | b'$' | b'@' | b'#' | b':' if !postgres => (Kind::Unreadable, start + 1),
            // U+FEFF. Where a word could begin, SQLite reads it as white space, and the parser as part of the word.
            _ if !postgres && self.sql.get(start..).is_some_and(|rest| rest.starts_with('\u{feff}')) => {
                (Kind::Unreadable, start + '\u{feff}'.len_utf8())
            }
            b'0'..=b'9' => (Kind::Number, self.number(start)?),
            b'.' if self.at(start + 1).is_ascii_digit() => (Kind::Number, self.number(start)?),
            _ if is_name_start(byte) => self.word(start)?,
            _ if is_operator(byte) => match self.operator_end(start) {
                Some(end) => (Kind::Operator, end),
                None => return None,
            },
            other => (Kind::Mark(other), start + 1),
        })
    }

    /// The end of a comment at `start`. `None` if no comment begins there, `Some(None)` if it does not end.
    fn comment(&self, start: usize) -> Option<Option<usize>> {
        match (self.at(start), self.at(start + 1)) {
            (b'-', b'-') => {
                // PostgreSQL also ends the comment at a carriage return; SQLite ends it only at a line feed.
                let ends = |byte: &u8| *byte == b'\n' || (*byte == b'\r' && self.dialect == Dialect::Postgresql);
                let length = self.bytes.get(start..)?.iter().position(ends);
                Some(Some(length.map_or(self.bytes.len(), |length| start + length)))
            }
            (b'/', b'*') if self.dialect == Dialect::Sqlite => {
                let end = self.sql.get(start + 2..).and_then(|rest| rest.find("*/"));
                Some(end.map(|end| start + end + 4))
            }
            (b'/', b'*') => {
                let (mut depth, mut place) = (0usize, start);
                loop {
                    match (self.at(place), self.at(place + 1)) {
                        (b'/', b'*') => (depth, place) = (depth + 1, place + 2),
                        (b'*', b'/') => (depth, place) = (depth - 1, place + 2),
                        _ if place >= self.bytes.len() => return Some(None),
                        _ => place += 1,
                    }
                    if depth == 0 {
                        return Some(Some(place));
                    }
                }
            }
            _ => None,
        }
    }

    fn word(&mut self, start: usize) -> Option<(Kind, usize)> {
        let mut end = start;
        while is_name_start(self.at(end)) || self.at(end).is_ascii_digit() || self.at(end) == b'$' {
            end += 1;
        }
        let prefix = self.sql.get(start..end)?;
        let is = |letter: &str| prefix.eq_ignore_ascii_case(letter);
        let next = self.at(end);
        if self.dialect == Dialect::Sqlite {
            let blob = is("x") && next == b'\'';
            return Some(if blob { (Kind::String, self.quoted(end, next, false)?) } else { (Kind::Word, end) });
        }
        // `U&'..'` and `U&".."` have no space between prefix and quote.
        if is("u") && next == b'&' && matches!(self.at(end + 1), b'\'' | b'"') {
            let quote = self.at(end + 1);
            let end = self.quoted(end + 1, quote, false)?;
            self.continues = (quote == b'\'').then_some(false);
            return Some((if quote == b'"' { Kind::Unreadable } else { Kind::String }, end));
        }
        if next == b'\'' && ["e", "b", "x", "n"].into_iter().any(is) {
            let escapes = is("e");
            self.continues = Some(escapes);
            return Some((Kind::String, self.quoted(end, b'\'', escapes)?));
        }
        Some((Kind::Word, end))
    }

    /// The end of a number. Versions disagree on a letter or a dollar sign directly after it.
    fn number(&self, start: usize) -> Option<usize> {
        let digits = |mut place: usize, is_digit: fn(&u8) -> bool| {
            let separates = |place: usize| self.at(place) == b'_' && is_digit(&self.at(place + 1));
            while is_digit(&self.at(place)) || separates(place) {
                place += 1;
            }
            place
        };
        let radix: Option<fn(&u8) -> bool> = match (self.at(start), self.at(start + 1).to_ascii_lowercase()) {
            (b'0', b'x') => Some(u8::is_ascii_hexdigit),
            (b'0', b'o') => Some(|byte| matches!(byte, b'0'..=b'7')),
            (b'0', b'b') => Some(|byte| matches!(byte, b'0' | b'1')),
            _ => None,
        };
        let end = match radix {
            Some(is_digit) => digits(start + 2, is_digit),
            None => {
                let mut end = digits(start, u8::is_ascii_digit);
                if self.at(end) == b'.' {
                    end = digits(end + 1, u8::is_ascii_digit);
                }
                if matches!(self.at(end), b'e' | b'E') {
                    let sign = usize::from(matches!(self.at(end + 1), b'+' | b'-'));
                    if self.at(end + 1 + sign).is_ascii_digit() {
                        end = digits(end + 1 + sign, u8::is_ascii_digit);
                    }
                }
                end
            }
        };
        let next = self.at(end);
        (!is_name_start(next) && !next.is_ascii_digit() && next != b'$').then_some(end)
    }

    /// The end of a quoted stretch whose opening quote is at `place`. A doubled quote does not end it, and with
    /// `escapes` a quote after a backslash does not either.
    fn quoted(&self, mut place: usize, quote: u8, escapes: bool) -> Option<usize> {
        place += 1;
        loop {
            let byte = *self.bytes.get(place)?;
            let doubled = byte == quote && self.bytes.get(place + 1) == Some(&quote);
            if doubled || (escapes && byte == b'\\') {
                place += 2;
            } else if byte == quote {
                return Some(place + 1);
            } else {
                place += 1;
            }
        }
    }

    /// The end of an operator, or `None` if more than [`MAX_OPERATOR_RUN`] such characters follow. An operator is as long as
    /// possible, but a comment ends it. An operator of several characters ends in
    /// `+` or `-` only if it has one of the characters ``~ ! @ # % ^ & | ` ?``.
    fn operator_end(&self, start: usize) -> Option<usize> {
        let at = |place: usize| self.at(place);
        // In SQLite a backtick begins a name, and `@name(..)`, `#1` and `?1` are parameters.
        let is_sqlite = self.dialect == Dialect::Sqlite;
        let continues = |byte: u8| is_operator(byte) && !(is_sqlite && b"`@#?".contains(&byte));
        let mut end = start;
        while continues(at(end)) {
            let comment = (at(end) == b'-' && at(end + 1) == b'-') || (at(end) == b'/' && at(end + 1) == b'*');
            if comment && end > start {
                break;
            }
            end += 1;
            if end - start > MAX_OPERATOR_RUN {
                return None;
            }
        }
        let operator = self.bytes.get(start..end).unwrap_or_default();
        if !operator.iter().any(|byte| b"~!@#%^&|`?".contains(byte)) {
            while end > start + 1 && matches!(at(end - 1), b'+' | b'-') {
                end -= 1;
            }
        }
        Some(end)
    }
}

/// The end of a dollar quote at `place`. `None` if none begins there, `Some(None)` if it does not end.
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

/// Operator characters in a row that are read. To find the end of one operator, the whole run is read.
const MAX_OPERATOR_RUN: usize = 200;

fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

pub(super) fn is_operator(byte: u8) -> bool {
    b"+-*/<>=~!@#%^&|`?".contains(&byte)
}

fn is_name_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

/// True for a `*` that stands for all columns or rows: nothing before it can be the left side of an operator. `OPERATOR(*)`
/// names the operator.
pub(super) fn is_wildcard(sql: &str, lexemes: &[Lexeme], at: usize) -> bool {
    let text = |lexeme: &Lexeme| sql.get(lexeme.range.clone()).unwrap_or_default();
    if lexemes.get(at).map(text) != Some("*") {
        return false;
    }
    let before = lexemes.get(..at).unwrap_or_default().iter().rev().filter(|lexeme| lexeme.kind != Kind::Comment);
    let before: Vec<&Lexeme> = before.take(4).collect();
    let is_operator =
        |back: usize| before.get(back).is_some_and(|lexeme| text(lexeme).eq_ignore_ascii_case("operator"));
    match before.first().map(|lexeme| lexeme.kind) {
        Some(Kind::Mark(b'(')) => !is_operator(1),
        Some(Kind::Mark(b'.')) => !is_operator(3),
        Some(Kind::Mark(b',')) => true,
        Some(Kind::Word) => {
            let word = before.first().map_or("", |lexeme| text(lexeme));
            // After a dot these words are names of columns.
            let follows_dot = before.get(1).is_some_and(|lexeme| lexeme.kind == Kind::Mark(b'.'));
            !follows_dot && ["select", "distinct", "all"].iter().any(|keyword| word.eq_ignore_ascii_case(keyword))
        }
        _ => false,
    }
}
