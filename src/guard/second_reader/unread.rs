//! Finds names that may be columns and that the walk did not record. Rules on columns refuse them.
//!
//! The parser reads some words as a type, a prefix or a value where a database reads a column: `text "x"` and
//! `interval + 1`, and on SQLite `text 'x'`, `_email 'x'` or `localtime`. So a name counts as a column unless the walk
//! recorded its location or the words around it exclude that reading in the database's grammar. Two operands never
//! follow each other, so a name after a word that is no operator can only be an alias. Pure.

use std::collections::BTreeSet;

use super::Reader;
use crate::dialect::Dialect;
use crate::guard::lexer::Kind;
use crate::guard::walk::fold;
use crate::quoting::{is_reserved, names_function_or_type};

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
    /// Sets the locations that the walk understood.
    pub(super) fn understand(&mut self, understood: &BTreeSet<usize>) {
        let starts = |at: &usize| self.words.get(*at).is_some_and(|word| understood.contains(&word.range.start));
        // The parser reads `NOT trim` as a column named `not` with an alias if it cannot read it otherwise. If the walk
        // took a reserved word for a name, nothing that it understood counts.
        let misread = (0..self.words.len()).filter(starts).any(|at| self.is_reserved_word(at) && !self.is_alias(at));
        if !misread {
            self.understood.clone_from(understood);
        }
    }

    /// Names that may be columns and are at no location that the walk understood.
    pub(super) fn unread(&self) -> BTreeSet<String> {
        let is_new = |at: &usize| self.words.get(*at).is_none_or(|word| !self.understood.contains(&word.range.start));
        (0..self.words.len())
            .filter(is_new)
            .filter(|at| !self.is_no_column(*at))
            .filter_map(|at| self.column_name(at))
            .collect()
    }

    /// Whether the word cannot be a column: it is reserved, has no quotes and does not follow a dot.
    pub(super) fn is_reserved_word(&self, at: usize) -> bool {
        let word = self.keyword(at);
        !word.is_empty() && !self.follows_dot(at) && is_reserved(self.dialect, &word)
    }

    /// Whether the word is a keyword that PostgreSQL also reads as the name of a function or type.
    pub(super) fn names_function_or_type(&self, at: usize) -> bool {
        self.dialect == Dialect::Postgresql && names_function_or_type(&self.keyword(at))
    }

    /// Whether the word follows AS, where PostgreSQL accepts any word.
    fn is_alias(&self, at: usize) -> bool {
        at > 0 && self.keyword(at - 1) == "as"
    }

    /// The name at a position. SQLite reads a string after a dot as a name.
    fn column_name(&self, at: usize) -> Option<String> {
        let is_string = self.dialect == Dialect::Sqlite && self.kind(at) == Some(Kind::String) && self.follows_dot(at);
        if is_string { Some(fold(self.dialect, &super::unquoted(self.text(at)), true)) } else { self.name(at) }
    }

    fn follows_dot(&self, at: usize) -> bool {
        at > 0 && self.is(at - 1, b'.')
    }

    /// Whether the words around a name exclude a column.
    fn is_no_column(&self, at: usize) -> bool {
        // A name before a parenthesis is a call, a declaration or a keyword.
        if self.is(at + 1, b'(') {
            return true;
        }
        if self.is_reserved_word(at) {
            return true;
        }
        let word = self.keyword(at);
        // A dotted name is judged by the word before its first part.
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
        // `x::t`, `RETURNING t`, `t 'x'` (a type before its text), `'x' year` (fields of an interval, or an alias).
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
