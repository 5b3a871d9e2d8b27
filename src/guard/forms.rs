//! The values that a statement can make, besides the values that it reads. PostgreSQL converts a literal, or an array
//! of another type, to the type of another operand or argument. If that type is or contains a domain, the checks of the
//! domain run with the rights of TUDB. Pure.
//!
//! The rules of conversion, as PostgreSQL 15 and 18 follow them (`select_common_type` in `parse_coerce.c`):
//! - If the other operand is a column of a domain, a literal becomes a value of the domain's base type. No check
//!   runs.
//! - If the other operand is an array or a row, a literal becomes an array or a row of the same type. If that type
//!   contains a domain, the checks of the domain run.
//! - CASE, COALESCE, UNION and the like convert all their arrays to the type of the first array.
//! - A function with polymorphic arguments converts a literal to the type of its other arguments, even to a domain.

use std::collections::{BTreeMap, BTreeSet};

use super::columns::{ColumnUses, TableName};
use super::lexer::{Kind, Lexeme, lexemes};
use super::{ApprovedSql, Names};
use crate::dialect::Dialect;
use crate::quoting;

/// Clauses that give several values one type.
const UNIFYING: [&str; 9] =
    ["case", "coalesce", "except", "greatest", "intersect", "least", "union", "values", "within"];

/// What the text of a statement shows about the values that it can make (see the module). If the text cannot be split
/// with certainty, every form of literal and every clause of [`UNIFYING`] is assumed. The fields about rows and columns
/// are taken from the guard's names in any case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Forms {
    /// The statement has a string literal or NULL. The type of such a literal depends on the expression around it.
    pub(crate) literals: bool,
    /// A string literal can be the text of an array, a row or a range.
    pub(crate) structured: bool,
    /// A clause of [`UNIFYING`].
    pub(crate) unifies: bool,
    /// How often the keyword ARRAY occurs. ARRAY makes an array, and converts its elements to one type.
    pub(crate) arrays: usize,
    /// The statement writes an array type: `text[]` or `_text`.
    pub(crate) writes_arrays: bool,
    /// The whole row of a table is a value.
    pub(crate) rows: bool,
    /// Columns that the statement uses by their names, sorted. `None` if it may use every column.
    pub(crate) columns: Option<Vec<String>>,
    /// Columns whose values the server may convert to another type. A column that is only shown, or by which rows are
    /// only sorted or grouped, is not in this list. `None` if it may be every column.
    pub(crate) converted: Option<Vec<String>>,
    /// Tables whose whole row may be converted. `None` if it may be every table.
    pub(crate) converted_rows: Option<Vec<String>>,
    /// Names before a parenthesis, and names after a dot: without their schemas, in lower case unless quoted. `passing`
    /// stands for the clause PASSING of the SQL/JSON functions. `None` if not known.
    pub(crate) called: Option<Vec<String>>,
    /// Names before a parenthesis that contains several arguments.
    pub(crate) called_with_several: Vec<String>,
    /// Names after a table or an alias. Where the table has no such column, the server calls a function of that name with
    /// the whole row.
    pub(crate) dotted: Vec<Dotted>,
}

/// A name after a dot: schema and name of the table before it, as far as the statement writes them, and the name itself.
/// The table is `None` for a sub-query, a CTE or a function in FROM.
pub(crate) type Dotted = (Option<String>, Option<String>, String);

impl Forms {
    pub(crate) fn of(approved: &ApprovedSql) -> Self {
        let text = approved.text();
        let rows = has_rows(approved.names());
        let uses = approved.names().uses.as_ref();
        let columns = if rows { None } else { uses.and_then(columns) };
        let converted = uses.and_then(converted);
        let converted_rows = match uses {
            Some(uses) => Some(converted_rows(uses, converted.as_deref())),
            None => uses_no_row(text).then(Vec::new),
        };
        let dotted = uses.map(dotted).unwrap_or_default();
        let Some(lexemes) = lexemes(text, Dialect::Postgresql) else {
            return Forms {
                literals: true,
                structured: true,
                unifies: true,
                arrays: usize::MAX,
                writes_arrays: true,
                rows,
                columns,
                converted,
                converted_rows,
                called: None,
                called_with_several: Vec::new(),
                dotted,
            };
        };
        let count = |known: &[&str]| {
            let words = lexemes.iter().filter(|lexeme| lexeme.kind == Kind::Word);
            let words = words.map(|lexeme| text.get(lexeme.range.clone()).unwrap_or_default());
            words.filter(|word| known.iter().any(|known| word.eq_ignore_ascii_case(known))).count()
        };
        let strings: Vec<&Lexeme> =
            lexemes.iter().filter(|lexeme| matches!(lexeme.kind, Kind::String | Kind::Unreadable)).collect();
        // `value.name` can call a function, and PASSING writes its values as JSON.
        let fields = approved.names().fields.iter().cloned().chain(dotted.iter().map(|(_, _, name)| name.clone()));
        let passing = (count(&["passing"]) > 0).then(|| "passing".to_owned());
        let called_all = called(text, &lexemes, false).map(|mut all| {
            all.extend(fields.chain(passing));
            all.sort();
            all.dedup();
            all
        });
        Forms {
            literals: !strings.is_empty() || count(&["null"]) > 0,
            structured: strings.iter().any(|lexeme| is_structured(text.get(lexeme.range.clone()).unwrap_or("{"))),
            unifies: count(&UNIFYING) > 0,
            arrays: count(&["array"]),
            writes_arrays: writes_arrays(approved.names(), &lexemes),
            rows,
            columns,
            converted,
            converted_rows,
            called: called_all,
            called_with_several: called(text, &lexemes, true).unwrap_or_default(),
            dotted,
        }
    }
}

/// See [`Forms::called`], and [`Forms::called_with_several`] if `has_several`.
fn called(text: &str, lexemes: &[Lexeme], has_several: bool) -> Option<Vec<String>> {
    let mut called = Vec::new();
    let mut before: Option<&Lexeme> = None;
    for (at, lexeme) in lexemes.iter().enumerate().filter(|(_, lexeme)| lexeme.kind != Kind::Comment) {
        if let (Kind::Mark(b'('), Some(name)) = (lexeme.kind, before)
            && (!has_several || has_comma(lexemes.get(at + 1..).unwrap_or_default()))
        {
            let written = text.get(name.range.clone())?;
            match name.kind {
                Kind::Word => called.push(written.to_lowercase()),
                Kind::Quoted => called.push(written.trim_matches('"').replace("\"\"", "\"")),
                Kind::Unreadable => return None,
                _ => {}
            }
        }
        before = Some(lexeme);
    }
    called.sort();
    called.dedup();
    Some(called)
}

/// True if the argument list at the beginning of these lexemes has a comma at its own level.
fn has_comma(lexemes: &[Lexeme]) -> bool {
    let mut depth = 0;
    for lexeme in lexemes {
        match lexeme.kind {
            Kind::Mark(b'(' | b'[') => depth += 1,
            Kind::Mark(b')' | b']') if depth == 0 => return false,
            Kind::Mark(b')' | b']') => depth -= 1,
            Kind::Mark(b',') if depth == 0 => return true,
            _ => {}
        }
    }
    false
}

/// True if a string literal, as written, can begin with `{`, `[` or `(` after blanks. Otherwise PostgreSQL reads no
/// element from it (`array_in`, `record_in`, `range_parse`).
fn is_structured(written: &str) -> bool {
    let Some(first) = written.find(['\'', '$']) else { return true };
    let (prefix, rest) = written.split_at(first);
    let content = match rest.strip_prefix('$') {
        Some(tagged) => tagged.split_once('$').map_or("{", |(_, content)| content),
        None => rest.get(1..).unwrap_or_default(),
    };
    // A string that follows an `E''` string continues that string. It may contain escapes too, but has no prefix.
    content.trim_start().starts_with(['{', '[', '(', '\\'])
        // In `U&'..'`, the statement can choose the escape character.
        || prefix.contains('&')
}

/// True if the statement may use a whole row as a value: by the name of its table, or as `t.*` outside of a select list.
fn has_rows(names: &Names) -> bool {
    let Some(uses) = &names.uses else { return true };
    let is_table = |name: &str| uses.tables.iter().any(|table| table.known_as == name || table.table == name);
    let named = uses.uses.iter().chain(uses.plain.iter().map(|item| &item.name));
    let mut columns = named.map(|name| &name.column).chain(&uses.unread);
    columns.any(|name| is_table(name)) || uses.expands || uses.wildcards.iter().any(|wildcard| wildcard.from.is_none())
}

/// See [`Forms::writes_arrays`].
fn writes_arrays(names: &Names, lexemes: &[Lexeme]) -> bool {
    let marks: Vec<&Kind> = lexemes.iter().map(|lexeme| &lexeme.kind).filter(|kind| **kind != Kind::Comment).collect();
    let written = names.types.iter().chain(names.qualified_types.iter().map(|(_, name)| name));
    marks.windows(2).any(|pair| matches!(pair, [Kind::Mark(b'['), Kind::Mark(b']') | Kind::Number]))
        || written.into_iter().any(|name| name.starts_with('_'))
}

/// See [`Forms::dotted`].
fn dotted(uses: &ColumnUses) -> Vec<Dotted> {
    let named = uses.uses.iter().chain(uses.plain.iter().map(|item| &item.name));
    // Sets hold each name and each table once, because a statement can repeat both a thousand times.
    let named: BTreeSet<(&str, &str)> =
        named.filter_map(|name| Some((name.table.as_deref()?, name.column.as_str()))).collect();
    let mut tables: BTreeMap<&str, BTreeSet<(Option<&str>, &str)>> = BTreeMap::new();
    for table in &uses.tables {
        tables.entry(&table.known_as).or_default().insert((table.schema.as_deref(), &table.table));
    }
    let is_derived = |table: &str| uses.derived.contains(table);
    let mut found = BTreeSet::new();
    for (of, column) in named {
        let meant = tables.get(of);
        for (schema, table) in meant.into_iter().flatten() {
            found.insert((schema.map(str::to_owned), Some((*table).to_owned()), column.to_owned()));
        }
        let may_be_cte = meant.is_some_and(|tables| tables.iter().any(|(_, table)| is_derived(table)));
        if meant.is_none() || is_derived(of) || may_be_cte {
            found.insert((None, None, column.to_owned()));
        }
    }
    found.into_iter().collect()
}

/// The names of all columns that are used. `None` if the statement has a wildcard, or may give other names to the
/// columns of a table.
fn columns(uses: &ColumnUses) -> Option<Vec<String>> {
    if uses.renames || !uses.wildcards.is_empty() {
        return None;
    }
    let named = uses.uses.iter().chain(uses.plain.iter().map(|item| &item.name));
    let mut columns: Vec<String> = named.map(|name| name.column.clone()).chain(uses.unread.iter().cloned()).collect();
    columns.sort();
    columns.dedup();
    Some(columns)
}

/// See [`Forms::converted`].
fn converted(uses: &ColumnUses) -> Option<Vec<String>> {
    // `(t.*)::text` and `ROW(t.*) = ..` use every column. In a sub-query, the columns of a `*` may get other names, or
    // be the value of the sub-query.
    if uses.renames || uses.wildcards.iter().any(|wildcard| wildcard.from.is_none() || wildcard.place.is_none()) {
        return None;
    }
    let mut left = uses.uses.clone();
    for alone in &uses.alone {
        if let Some(at) = left.iter().position(|name| name == alone) {
            left.swap_remove(at);
        }
    }
    let mut columns: Vec<String> =
        left.into_iter().map(|name| name.column).chain(uses.unread.iter().cloned()).collect();
    columns.sort();
    columns.dedup();
    Some(columns)
}

/// See [`Forms::converted_rows`]. A table's name or alias that is used as a value is its whole row.
fn converted_rows(uses: &ColumnUses, converted: Option<&[String]>) -> Vec<String> {
    let is_value = |name: &&TableName| converted.is_none_or(|names| names.contains(&name.known_as));
    uses.tables.iter().filter(is_value).map(|name| name.table.clone()).collect()
}

/// True if a statement that the parser cannot read certainly converts no value. This is known only for plain columns of
/// one table, with ORDER BY, LIMIT and OFFSET. Any operator, condition, parenthesis or name after a dot may convert a
/// row of the table.
fn uses_no_row(text: &str) -> bool {
    let lexemes = lexemes(text, Dialect::Postgresql).unwrap_or_default();
    let lexemes = lexemes.iter().filter(|lexeme| lexeme.kind != Kind::Comment);
    let words: Vec<(Kind, String)> = lexemes
        .map(|lexeme| (lexeme.kind, text.get(lexeme.range.clone()).unwrap_or_default().to_lowercase()))
        .collect();
    let is = |(kind, word): &(Kind, String), keyword: &str| *kind == Kind::Word && word == keyword;
    let is_name = |(kind, word): &(Kind, String)| {
        *kind == Kind::Quoted || *kind == Kind::Word && !quoting::is_reserved(Dialect::Postgresql, word)
    };
    let is_item = |item: &[(Kind, String)]| match item {
        [star] => star.1 == "*" || is_name(star),
        [column, alias] => is_name(column) && is_name(alias),
        [column, keyword, _] => is_name(column) && is(keyword, "as"),
        _ => false,
    };
    let is_comma = |(kind, _): &(Kind, String)| *kind == Kind::Mark(b',');
    let mut rest = match words.split_first() {
        Some((first, rest)) if is(first, "table") => rest,
        Some((first, rest)) if is(first, "select") => {
            let from = rest.iter().position(|word| is(word, "from")).unwrap_or(rest.len());
            let (list, rest) = rest.split_at(from);
            if !list.split(is_comma).all(is_item) {
                return false;
            }
            rest.get(1..).unwrap_or_default()
        }
        _ => return false,
    };
    rest = rest.strip_prefix(std::slice::from_ref(&(Kind::Word, "only".to_owned()))).unwrap_or(rest);
    while let [_, (Kind::Mark(b'.'), _), ..] = rest {
        rest = rest.get(2..).unwrap_or_default();
    }
    let Some((_, mut tail)) = rest.split_first().filter(|(table, _)| is_name(table)) else { return false };
    // LIMIT and OFFSET with a number each.
    for _ in 0..2 {
        if let [before @ .., keyword, (Kind::Number, _)] = tail
            && (is(keyword, "limit") || is(keyword, "offset"))
        {
            tail = before;
        }
    }
    let is_key = |key: &[(Kind, String)]| {
        let key = match key {
            [before @ .., nulls, place] if is(nulls, "nulls") && (is(place, "first") || is(place, "last")) => before,
            key => key,
        };
        let key = match key {
            [before @ .., direction] if is(direction, "asc") || is(direction, "desc") => before,
            key => key,
        };
        matches!(key, [column] if is_name(column) || column.0 == Kind::Number)
    };
    match tail {
        [] => true,
        [order, by, keys @ ..] => is(order, "order") && is(by, "by") && keys.split(is_comma).all(is_key),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::approve;
    use crate::limits::Limits;

    fn forms(sql: &str) -> Forms {
        Forms::of(&approve(sql, Dialect::Postgresql, &Limits::default()).unwrap())
    }

    #[test]
    fn a_column_that_is_shown_or_sorted_is_not_converted() {
        for sql in [
            "SELECT k FROM t",
            "SELECT DISTINCT t.k AS other FROM t ORDER BY k",
            "SELECT k, count(*) FROM t GROUP BY k ORDER BY t.k DESC",
            "SELECT * FROM t WHERE k IS NOT NULL",
            "SELECT count(DISTINCT k), json_agg(k) FROM t",
            "SELECT (k).a, (t.k).a, k[1], array_length(k, 1) FROM t",
            "SELECT id, row_number() OVER (PARTITION BY k ORDER BY k) FROM t",
        ] {
            let converted = forms(sql).converted.unwrap();
            assert!(
                !converted.contains(&"k".to_owned()) && forms(sql).converted_rows == Some(Vec::new()),
                "{sql}: {converted:?}"
            );
        }
        for sql in [
            "SELECT k::text FROM t",
            "SELECT id FROM t WHERE k = 'a' ORDER BY k",
            "SELECT k FROM t UNION SELECT 'a'",
            "SELECT max(k) FROM t",
            "SELECT id FROM t WHERE (k).a = 'a'",
            "SELECT (k).a || 'a' FROM t",
            "SELECT array_agg(k)::text FROM t",
            "SELECT mode() WITHIN GROUP (ORDER BY k) || 'a' FROM t",
            "SELECT count(k = 'a') FROM t",
            "SELECT (SELECT k FROM t LIMIT 1)",
            "SELECT q.x FROM (SELECT k AS x FROM t) q WHERE x = 'a'",
            "SELECT k FROM t GROUP BY k HAVING k > 'a'",
            "SELECT a.id FROM t a JOIN t b USING (k)",
            "SELECT id FROM t ORDER BY k || 'a'",
            "SELECT CASE WHEN k IS NULL THEN k END FROM t",
        ] {
            assert!(forms(sql).converted.unwrap().contains(&"k".to_owned()), "{sql}");
        }
        assert_eq!(forms("SELECT a.id FROM t a NATURAL JOIN u").converted, None);
        for sql in [
            "SELECT (SELECT * FROM t)::text",
            "SELECT x.z::text FROM (SELECT * FROM t) x(z)",
            "WITH w(z) AS (SELECT * FROM t) SELECT count(*) FROM w WHERE z <> 'b'",
            "SELECT x.p::text FROM (SELECT NULL AS p UNION ALL SELECT * FROM t) x",
            "SELECT x.z::text FROM t o, LATERAL (SELECT o.*) x(z)",
        ] {
            assert_eq!(forms(sql).converted, None, "{sql}");
        }
        for sql in ["SELECT (x.*)::text FROM t x", "SELECT ROW(x.*) = ROW(1, 'a') FROM t x"] {
            assert_eq!(forms(sql).converted, None, "{sql}");
            assert_eq!(forms(sql).converted_rows, Some(vec!["t".to_owned()]), "{sql}");
        }
        assert_eq!(forms("SELECT x::text FROM t x").converted_rows, Some(vec!["t".to_owned()]));
        assert_eq!(forms("SELECT x::text AS global FROM t x").converted_rows, None);
        for sql in ["TABLE t", "TABLE ONLY s.t", "table s.\"T\" ORDER BY note, n DESC NULLS LAST LIMIT 3 OFFSET 1 -- t"]
        {
            assert_eq!(forms(sql).converted_rows, Some(Vec::new()), "{sql}");
        }
        for sql in [
            "TABLE t ORDER BY t.lower",
            "TABLE t ORDER BY n + 1",
            "TABLE t ORDER BY t AT TIME ZONE note",
            "TABLE t ORDER BY t AT LOCAL",
            "TABLE t ORDER BY n USING <",
            "TABLE t UNION TABLE u",
            "WITH q AS (TABLE t) SELECT a FROM q WHERE q",
            "SELECT x AT local, 1 AS global FROM ONLY s.t x",
            "SELECT NOT x AS global FROM ONLY s.t x",
            "SELECT x.lower AS global FROM ONLY s.t x",
            "SELECT 1 AS from, x.lower AS global FROM s.t x",
            "SELECT a AS global FROM s.t, s.u",
            "SELECT x::text AS global, 1 AS distinct FROM s.t x",
            "SELECT 1 AS join, x::text AS global FROM s.t x",
            "SELECT y.g AS global FROM s.t x, LATERAL left(x::text, 19) AS y(g)",
            "SELECT 'a' || x AS materialized, 1 AS global FROM s.t x",
            "SELECT (s.t.*)::text AS global FROM s.t",
            "SELECT '(1,a)'::s.t::text AS global",
            "SELECT id AS global FROM s.t x WHERE x",
        ] {
            assert_eq!(forms(sql).converted_rows, None, "{sql}");
        }
        // If the type of `k` has no field `lower`, the server calls the function `lower`.
        assert!(forms("SELECT (k).lower FROM t").converted.unwrap().contains(&"k".to_owned()));
    }

    #[test]
    fn the_text_of_an_array_is_found_in_every_spelling() {
        for literal in [
            "'{x}'",
            "' \n{x}'",
            "'(x,1)'",
            "'[a,b)'",
            "E'{x}'",
            "e'\\x7bx}'",
            "E' \\173x}'",
            "N'{x}'",
            "U&'\\007bx}'",
            "U&'!007bx}' UESCAPE '!'",
            "$${x}$$",
            "$q$ {x}$q$",
            "''\n'{x}'",
            "E''\n'\\x7bx}'",
            "' '\n'{x}'",
        ] {
            // The guard may refuse N'..' and U&'..'. Then there is nothing to check.
            let sql = format!("SELECT coalesce(tags, {literal}) FROM t");
            if let Ok(approved) = approve(&sql, Dialect::Postgresql, &Limits::default()) {
                assert!(Forms::of(&approved).structured, "{literal}");
            }
        }
        for literal in ["'x'", "'a{b}'", "'2026-01-01'", "''", "'it''s'", "E'a\\n'", "$$a$$"] {
            let forms = forms(&format!("SELECT name FROM t WHERE name = {literal} AND n IN (1, 2)"));
            assert!(forms.literals && !forms.structured, "{literal}");
        }
    }

    #[test]
    fn whole_rows_are_found_and_columns_listed() {
        for sql in [
            "SELECT t FROM s.t",
            "SELECT x FROM t x",
            "SELECT (t.*) FROM t",
            "SELECT ROW(t.*) FROM t",
            "SELECT count(t) FROM t",
            "SELECT a FROM t WHERE t IS NULL",
            "SELECT s.t FROM s.t",
            "SELECT to_json(t.*) FROM t",
            "SELECT b.a FROM (SELECT t AS a FROM t) b",
            "SELECT a FROM t ORDER BY t",
        ] {
            assert!(forms(sql).rows, "{sql}");
            assert_eq!(forms(sql).columns, None, "{sql}");
        }
        let plain = forms("SELECT t.a, max(b) FROM t WHERE c = 1 GROUP BY t.a ORDER BY d");
        assert!(!plain.rows && !plain.unifies && plain.arrays == 0 && !plain.literals);
        assert_eq!(plain.columns, Some(["a", "b", "c", "d"].map(str::to_owned).to_vec()));
        for sql in ["SELECT * FROM t", "SELECT a FROM t NATURAL JOIN u", "SELECT x.p FROM t AS x(p)"] {
            assert_eq!(forms(sql).columns, None, "{sql}");
            assert!(!forms(sql).rows, "{sql}");
        }
        assert_eq!(
            forms("SELECT lag(a), pg_catalog.Lead(b), \"mode\" /* - */ (c) FROM t WHERE a IN (1)").called,
            Some(["in", "lag", "lead", "mode"].map(str::to_owned).to_vec())
        );
        assert_eq!(
            forms("SELECT x.a, s.b, u.c FROM app.t x JOIN u ON true, (SELECT 1 AS b) s").dotted,
            [
                (None, None, "b".to_owned()),
                (None, Some("u".to_owned()), "c".to_owned()),
                (Some("app".to_owned()), Some("t".to_owned()), "a".to_owned()),
            ]
        );
        let called = forms("SELECT (e).to_json, t.array_agg FROM t").called.unwrap();
        assert!(called.contains(&"to_json".to_owned()) && called.contains(&"array_agg".to_owned()), "{called:?}");
        assert!(
            forms("SELECT a FROM t JOIN u USING (tags)").columns.is_none_or(|all| all.contains(&"tags".to_owned()))
        );
    }
}
