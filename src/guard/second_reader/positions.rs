//! What can stand at a position of a statement, by the words around it: a relation, a table with arguments, a setting. Pure.

use std::collections::BTreeSet;

use super::Reader;
use crate::dialect::Dialect;
use crate::guard::lexer::Kind;
use crate::guard::{functions, settings};

impl Reader<'_> {
    /// For each position, whether it may be in a FROM clause: behind FROM, and not behind a reserved word that ends the
    /// clause. Parentheses inside of a FROM clause belong to it until a SELECT in them.
    pub(super) fn places_in_from(&self) -> Vec<bool> {
        const ENDS: [&str; 9] =
            ["select", "where", "group", "order", "having", "limit", "union", "intersect", "except"];
        let mut levels = vec![false];
        let mut found = Vec::with_capacity(self.words.len());
        for at in 0..self.words.len() {
            let keyword = self.keyword(at);
            // After a dot, and after AS, a reserved word can be a name.
            let is_name = at > 0 && (self.is(at - 1, b'.') || self.keyword(at - 1) == "as");
            if self.is(at, b'(') {
                let is_only = at > 0 && self.keyword(at - 1) == "only";
                levels.push(is_only || levels.last().copied().unwrap_or_default());
            } else if self.is(at, b')') {
                levels.pop();
            } else if let Some(level) = levels.last_mut() {
                *level = keyword == "from" || *level && (is_name || !ENDS.contains(&keyword.as_str()));
            }
            found.push(levels.last().copied().unwrap_or(true));
        }
        found
    }

    /// Whether the name at a position can be that of a relation: in both databases it stands behind one of a few words, or in
    /// a list or a parenthesis in FROM.
    pub(super) fn may_be_relation(&self, at: usize) -> bool {
        let Some(before) = at.checked_sub(1) else { return true };
        match self.keyword(before).as_str() {
            "from" | "join" | "only" | "table" => true,
            "in" => self.dialect == Dialect::Sqlite,
            _ if self.is(before, b'.') => true,
            _ if self.is(before, b',') || self.is(before, b'(') => self.in_from.get(at).copied().unwrap_or(true),
            _ => false,
        }
    }

    /// Whether the name at a position cannot be a type: it stands right behind FROM or JOIN, and is neither a prefix of a
    /// string (`extract(year FROM date '..')`) nor part of a longer name.
    pub(super) fn is_only_relation(&self, at: usize) -> bool {
        let mut first = at;
        while first >= 2 && self.is(first - 1, b'.') {
            first -= 2;
        }
        let previous = first.checked_sub(1).map_or(String::new(), |before| self.keyword(before));
        let goes_on = self.kind(at + 1) == Some(Kind::String) || self.is(at + 1, b'.') || self.is(at + 1, b'(');
        matches!(previous.as_str(), "from" | "join") && !goes_on && !self.is(at + 1, b'[')
    }

    /// Whether the call's first argument is only the name of a setting that SHOW may return too.
    pub(super) fn shows_setting(&self, at: usize) -> bool {
        let text = self.text(at + 2);
        let is_string = self.kind(at + 2) == Some(Kind::String) && (self.is(at + 3, b')') || self.is(at + 3, b','));
        let name = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
        self.dialect == Dialect::Postgresql && is_string && name.is_some_and(settings::is_harmless)
    }

    /// Whether the parser read the name as a table with arguments. What only harmful extensions have is refused by name.
    pub(super) fn is_table_with_arguments(&self, at: usize, name: &str) -> bool {
        let is_noted = self.words.get(at).is_some_and(|word| self.understood.contains(&word.range.start));
        is_noted && self.may_be_relation(at) && functions::may_be_table_in_sqlite(name)
    }

    /// Names after FROM, JOIN, TABLE or ONLY, for the record and the reply.
    pub(super) fn after_from(&self) -> Vec<String> {
        let mut found = BTreeSet::new();
        for at in 0..self.words.len() {
            if !matches!(self.keyword(at).as_str(), "from" | "join" | "table" | "only") {
                continue;
            }
            if let Some(name) = self.name(at + 1).filter(|_| !self.is(at + 2, b'(')) {
                let table = self.name(at + 3).filter(|_| self.is(at + 2, b'.'));
                found.insert(table.map_or_else(|| name.clone(), |table| format!("{name}.{table}")));
            }
        }
        found.into_iter().collect()
    }
}
