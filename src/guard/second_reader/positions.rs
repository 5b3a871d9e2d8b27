//! What can stand at a position of a statement, by the words around it: a relation, a table with arguments, a setting. Pure.

use std::collections::BTreeSet;

use super::{BEFORE_PARENTHESIS, OWN_SYNTAX, Reader};
use crate::dialect::Dialect;
use crate::guard::lexer::Kind;
use crate::guard::{functions, settings};

/// Replaces the innermost level.
fn replace<T>(levels: &mut [T], by: T) {
    if let Some(last) = levels.last_mut() {
        *last = by;
    }
}

impl Reader<'_> {
    /// Whether the name after a schema and a dot is a collation, as in `COLLATE pg_catalog."C"`. Built-in collations only
    /// compare.
    pub(super) fn is_collation(&self, at: usize) -> bool {
        self.dialect == Dialect::Postgresql && at >= 4 && self.keyword(at - 3) == "collate" && !self.is(at - 4, b'.')
    }

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

    /// Whether the parser read the name as a table with arguments. Names that only harmful extensions use are refused.
    pub(super) fn is_table_with_arguments(&self, at: usize, name: &str) -> bool {
        let is_noted = self.words.get(at).is_some_and(|word| self.understood.contains(&word.range.start));
        is_noted && self.may_be_relation(at) && functions::may_be_table_in_sqlite(name)
    }

    /// The tables that a statement for PostgreSQL names without a schema, with their byte offsets. If the parser read
    /// the statement, only the tables that it does not read as such: `TABLE t`, `ONLY t`, `ONLY (t)`. The flag is
    /// true if there may be other tables: one may have the name of a CTE, or an `ONLY` could not be placed.
    pub(super) fn tables(&self) -> (Vec<(usize, String)>, bool) {
        let (mut found, mut has_others) = (Vec::new(), false);
        if self.dialect == Dialect::Sqlite {
            return (found, has_others);
        }
        let ctes = self.possible_ctes();
        let (places, is_complete) = self.places_of_tables();
        has_others |= !is_complete;
        for (at, is_behind_keyword) in places {
            let (Some(name), Some(word)) = (self.name(at), self.words.get(at)) else { continue };
            let starts_rows_from = self.keyword(at) == "rows" && self.keyword(at + 1) == "from";
            let goes_on = self.is(at + 1, b'.') || self.is(at + 1, b'(');
            if goes_on || starts_rows_from || self.is_reserved_word(at) || !self.alone && !is_behind_keyword {
                continue;
            }
            let (mut may_be_cte, mut is_cte) = (false, false);
            for (_, visible_from) in ctes.iter().filter(|(cte, _)| *cte == name) {
                may_be_cte = true;
                is_cte |= visible_from.is_some_and(|from| at > from);
            }
            if !may_be_cte {
                found.push((word.range.start, name));
            }
            has_others |= may_be_cte && !is_cte;
        }
        (found, has_others)
    }

    /// Positions at which PostgreSQL's grammar expects a table, a function or a query in FROM, and whether TABLE or ONLY
    /// precedes. Also whether each table behind ONLY is among them.
    fn places_of_tables(&self) -> (Vec<(usize, bool)>, bool) {
        const ENDS: [&str; 12] = [
            "select",
            "where",
            "group",
            "order",
            "having",
            "limit",
            "union",
            "intersect",
            "except",
            "window",
            "offset",
            "fetch",
        ];
        /// What a parenthesis or bracket contains.
        #[derive(Clone, Copy, Default)]
        struct Level {
            has_select: bool,
            is_in_from: bool,
        }
        let (mut found, mut is_complete) = (Vec::new(), true);
        let mut levels = vec![Level::default()];
        // `Some` if a table may follow the previous word. True if that word was TABLE or ONLY.
        let mut expected = None;
        for at in 0..self.words.len() {
            let is_name = at > 0 && (self.is(at - 1, b'.') || self.keyword(at - 1) == "as");
            let keyword = if is_name { String::new() } else { self.keyword(at) };
            let level = levels.last().copied().unwrap_or_default();
            let mut next = None;
            match keyword.as_str() {
                "select" => replace(&mut levels, Level { has_select: true, is_in_from: false }),
                "from" => {
                    if level.has_select && !self.is_distinct_from(at) {
                        replace(&mut levels, Level { is_in_from: true, ..level });
                        next = Some(false);
                    }
                }
                "join" => next = Some(false),
                "table" => next = Some(true),
                "only" if expected.is_some() => next = Some(true),
                // ONLY where no table is expected: the end of FETCH FIRST, or a clause that this reader misjudges.
                "only" if self.may_follow_only(at + 1) => is_complete = false,
                // A query in a parenthesis. Elsewhere they can be an alias, and part of WITH ORDINALITY.
                "values" | "with" if at > 0 && self.is(at - 1, b'(') => {
                    replace(&mut levels, Level { is_in_from: false, ..level });
                }
                word if ENDS.contains(&word) => replace(&mut levels, Level { is_in_from: false, ..level }),
                _ if self.is(at, b'(') => {
                    levels.push(Level { has_select: false, is_in_from: expected.is_some() });
                    next = expected;
                }
                _ if self.is(at, b'[') => levels.push(Level::default()),
                _ if self.is(at, b')') || self.is(at, b']') => drop(levels.pop()),
                _ if self.is(at, b',') && level.is_in_from => next = Some(false),
                _ => found.extend(expected.map(|is_behind_keyword| (at, is_behind_keyword))),
            }
            expected = next;
        }
        (found, is_complete)
    }

    /// Whether the FROM at a position belongs to `IS [NOT] DISTINCT FROM`.
    fn is_distinct_from(&self, at: usize) -> bool {
        let keyword = |places: usize| at.checked_sub(places).map_or(String::new(), |before| self.keyword(before));
        keyword(1) == "distinct" && (keyword(2) == "is" || keyword(2) == "not" && keyword(3) == "is")
    }

    /// Whether the word at a position can be a table behind ONLY.
    fn may_follow_only(&self, at: usize) -> bool {
        self.is(at, b'(') || self.name(at).is_some() && !self.is_reserved_word(at)
    }

    /// Calls by a bare name that can be qualified with a schema. A name is left out if one of its calls is a keyword's
    /// own syntax (`substring(a FROM b)`) or comes after a dot.
    pub(super) fn bare_calls(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        let mut special = BTreeSet::new();
        for at in 0..self.words.len() {
            let dotted = at > 0 && self.is(at - 1, b'.');
            let Some(name) = self.name(at) else { continue };
            if dotted && self.is_over_value(at) {
                special.insert(name);
                continue;
            }
            if dotted || !self.is(at + 1, b'(') || self.is_keyword_of_syntax(at) {
                continue;
            }
            let keyword = self.keyword(at);
            let is_keyword = |list: &str| list.split_ascii_whitespace().any(|word| word == keyword);
            if is_keyword(BEFORE_PARENTHESIS) || is_keyword(OWN_SYNTAX) {
                special.insert(name);
            } else if !self.is_declaration(at)
                && let Some(lexeme) = self.words.get(at)
            {
                found.push((lexeme.range.start, name));
            }
        }
        found.retain(|(_, name)| !special.contains(name));
        found
    }

    /// Whether the word before a parenthesis is part of PostgreSQL's own syntax there, and no function, although a function
    /// may have its name: `a OVERLAPS (b)`, `character varying (2)`, `interval '1' second (0)`, `current_timestamp (3)`,
    /// `trim(both (a) FROM b)`. Source: PostgreSQL's `gram.y`.
    pub(super) fn is_keyword_of_syntax(&self, at: usize) -> bool {
        if self.dialect == Dialect::Sqlite || at == 0 {
            return false;
        }
        let previous = self.keyword(at - 1);
        match self.keyword(at).as_str() {
            // Reserved, so that no function can be called by these names without quotes.
            "both" | "leading" | "trailing" | "placing" | "current_time" | "current_timestamp" | "localtime"
            | "localtimestamp" => true,
            // `a OVERLAPS (b)` always calls the built-in function, whatever `search_path` is.
            "overlaps" => self.is(at - 1, b')'),
            "varying" => matches!(previous.as_str(), "character" | "char" | "nchar" | "bit"),
            "second" => previous == "to" || self.kind(at - 1) == Some(Kind::String),
            _ => false,
        }
    }

    /// Names that may be those of common table expressions: AS and a parenthesis follow, perhaps after column names. If
    /// the WITH clause of the whole statement has the name, also the position after which the name means it.
    fn possible_ctes(&self) -> Vec<(String, Option<usize>)> {
        let mut found = Vec::new();
        let (mut depth, mut is_with_clause) = (0_usize, self.keyword(0) == "with");
        for at in 0..self.words.len() {
            let keyword = self.keyword(at);
            match self.kind(at) {
                Some(Kind::Mark(b'(')) => depth += 1,
                Some(Kind::Mark(b')')) => depth = depth.saturating_sub(1),
                _ => is_with_clause &= depth > 0 || !matches!(keyword.as_str(), "select" | "table" | "values"),
            }
            let Some(name) = self.name(at) else { continue };
            let mut next = at + 1;
            if self.is(next, b'(') {
                next = self.closing.get(next).copied().flatten().map_or(next, |close| close + 1);
            }
            if self.keyword(next) != "as" {
                continue;
            }
            next += 1;
            while matches!(self.keyword(next).as_str(), "not" | "materialized") {
                next += 1;
            }
            if self.is(next, b'(') {
                let close = self.closing.get(next).copied().flatten();
                found.push((name, close.filter(|_| is_with_clause && depth == 0)));
            }
        }
        found
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
