//! Names that may be columns and that the walk did not note: what the rules about columns refuse.
//!
//! The parser reads some words as a type, a prefix or a value where a database reads a column: `text "x"`, `interval + 1`,
//! on SQLite `text 'x'`, `_email 'x'` or `localtime`. So a name counts as a column unless the walk noted its place, or
//! the words around it leave no other reading in the database's own grammar. Two operands never stand side by side, so
//! a name after a word that is no operator is an alias at most. Pure.

use std::collections::BTreeSet;

use super::Reader;
use crate::dialect::Dialect;
use crate::guard::lexer::Kind;
use crate::guard::walk::fold;
use crate::quoting::is_reserved;

/// Pairs of unquoted words of which the second is part of a type or a clause in both databases.
const SECOND_OF_PAIR: [(&str, &str); 11] = [
    ("at", "time"),
    ("time", "zone"),
    ("with", "time"),
    ("without", "time"),
    ("double", "precision"),
    ("character", "varying"),
    ("nulls", "first"),
    ("nulls", "last"),
    ("group", "by"),
    ("order", "by"),
    ("partition", "by"),
];

impl Reader<'_> {
    /// Takes the places that the walk understood.
    pub(super) fn understand(&mut self, understood: &BTreeSet<usize>) {
        let starts = |at: &usize| self.words.get(*at).is_some_and(|word| understood.contains(&word.range.start));
        // The parser falls back to a column named `not` with an alias when it cannot read `NOT trim`: what it made of a
        // statement in which a reserved word is a name counts for nothing.
        let misread = (0..self.words.len()).filter(starts).any(|at| self.is_reserved_word(at) && !self.is_alias(at));
        if !misread {
            self.understood.clone_from(understood);
        }
    }

    /// The names that may be columns and do not begin at one of the places that the walk understood.
    pub(super) fn unread(&self) -> BTreeSet<String> {
        let is_new = |at: &usize| self.words.get(*at).is_none_or(|word| !self.understood.contains(&word.range.start));
        (0..self.words.len())
            .filter(is_new)
            .filter(|at| !self.is_no_column(*at))
            .filter_map(|at| self.column_name(at))
            .collect()
    }

    /// Whether a word can be no column, being reserved, without quotes and not after a dot.
    pub(super) fn is_reserved_word(&self, at: usize) -> bool {
        let word = self.keyword(at);
        !word.is_empty() && !self.follows_dot(at) && is_reserved(self.dialect, &word)
    }

    /// Whether the word stands after AS, where PostgreSQL takes any word.
    fn is_alias(&self, at: usize) -> bool {
        at > 0 && self.keyword(at - 1) == "as"
    }

    /// The name at a place; SQLite takes a string after a dot for one.
    fn column_name(&self, at: usize) -> Option<String> {
        let is_string = self.dialect == Dialect::Sqlite && self.kind(at) == Some(Kind::String) && self.follows_dot(at);
        if is_string { Some(fold(self.dialect, &super::unquoted(self.text(at)), true)) } else { self.name(at) }
    }

    fn follows_dot(&self, at: usize) -> bool {
        at > 0 && self.is(at - 1, b'.')
    }

    /// Whether the words around a name leave no reading as a column.
    fn is_no_column(&self, at: usize) -> bool {
        // A name before a parenthesis is called, declared or a keyword.
        if self.is(at + 1, b'(') {
            return true;
        }
        if self.is_reserved_word(at) {
            return true;
        }
        let word = self.keyword(at);
        // The whole of a dotted name is judged by what stands before it.
        let mut first = at;
        while first >= 2 && self.follows_dot(first) {
            first -= 2;
        }
        let before = |places: usize| first.checked_sub(places).filter(|before| !self.follows_dot(*before));
        let previous = before(1).map_or(String::new(), |before| self.keyword(before));
        // An alias, a type, `AS MATERIALIZED`; the table of `TABLE t`.
        if matches!(previous.as_str(), "as" | "table") {
            return true;
        }
        if SECOND_OF_PAIR.contains(&(previous.as_str(), word.as_str())) {
            return true;
        }
        if self.dialect == Dialect::Sqlite {
            return false;
        }
        // `x::t`, `RETURNING t`, `t 'x'` (a type before its text), `'x' year` (the text's fields, or an alias).
        let is_cast = first >= 2 && self.is(first - 1, b':') && self.is(first - 2, b':');
        let next_to_text = self.kind(at + 1) == Some(Kind::String)
            || before(1).is_some_and(|before| self.kind(before) == Some(Kind::String));
        // `extract(field FROM x)`.
        let is_field = first > 1
            && self.is(first - 1, b'(')
            && before(2).is_some_and(|before| self.keyword(before) == "extract")
            && self.keyword(at + 1) == "from";
        is_cast || previous == "returning" || next_to_text || is_field
    }
}

#[cfg(test)]
#[path = "unread_tests.rs"]
mod tests;
