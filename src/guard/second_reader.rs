//! The second reader: judges a statement by its lexemes only.
//!
//! The parser does not know every clause of the server, and misreads some. It reads `FROM ONLY t` as a table named
//! `only`, and `type 'x'` as a column with an alias. So every statement is read here too. Names that the parser missed
//! are added to the names from its tree. A statement that does not parse is judged by this reader alone, and more
//! strictly.
//!
//! This reader does not check the grammar, because the server refuses a text that it cannot parse. The reader must find
//! every name that could do harm, and finds too many rather than too few. Almost every call is a name before a
//! parenthesis. So a name before a parenthesis counts as a call, unless it is a keyword or part of a declaration. Calls
//! of other forms have rules of their own. No statement can change data, lock or make a table without a keyword. A
//! second statement needs a semicolon. The word INTO is refused everywhere, unless it is quoted or follows a dot. The
//! other refused words are treated in the same way if the parser could not read the statement. If it could, they are
//! refused only at places where a statement can begin. Any other name may count as a table and a type at once. These
//! rules refuse a few harmless statements, such as one with a column alias named `into`. Pure.

mod positions;
mod unread;

use std::collections::{BTreeSet, HashSet};

use super::functions::{self, Judgement};
use super::lexer::{Kind, Lexeme, is_wildcard, lexemes};
use super::walk::{fold, object_type_refusal};
use super::{Names, Rejection, relations};
use crate::dialect::Dialect;

/// Keywords that open an expression or a list, not a call, if a parenthesis follows. Those that PostgreSQL does not
/// reserve could also be functions of a user, so the catalog is asked about them too.
const BEFORE_PARENTHESIS: &str = "
all and any array as asymmetric between by case cast collate columns cross cube distinct else end escape except exists
fetch filter first following for from full group groups having ilike in inner intersect interval is isnull join
json json_array json_arrayagg json_exists json_object json_objectagg json_query json_scalar json_serialize json_table
json_value keys last lateral left like limit materialized natural nested next not notnull nulls offset on only or order
outer over partition passing path preceding range recursive repeatable right rollup row rows select sets setof similar
some symmetric table then to union unique using value values variadic when where window with within xmlnamespaces
xmlparse xmlpi xmlroot xmlserialize xmltable zone
";

/// Keywords that PostgreSQL reads as functions or types with their own syntax, unless a schema precedes them.
const OWN_SYNTAX: &str = "
bigint bit boolean char character coalesce dec decimal extract float greatest grouping inout int integer least
merge_action national nchar none normalize nullif numeric out overlay position precision real smallint substring time
timestamp trim varchar xmlattributes xmlconcat xmlelement xmlexists xmlforest
";

/// Functions that PostgreSQL calls by a keyword without parentheses, also in FROM. The exception is `default`, which is
/// no function but is treated in the same way.
const VALUES_WITHOUT_PARENTHESES: [&str; 13] = [
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "localtime",
    "localtimestamp",
    "session_user",
    "system_user",
    "user",
    "default",
];

/// Words that change, lock or create something, and that no query needs.
const REFUSED_WORDS: [&str; 5] = ["insert", "update", "delete", "merge", "into"];

/// Words that may follow `FOR` in a locking clause.
const LOCKS: [&str; 4] = ["update", "share", "no", "key"];

/// Checks `sql`, one statement without its closing semicolons, that the parser could not read.
///
/// # Errors
///
/// A [`Rejection`] for anything that is not known to be harmless. `unread` if the text cannot be split into lexemes,
/// does not begin like a query, has an unpaired parenthesis, has a character that is not accepted, has a WITH on
/// SQLite, or has NOT MATERIALIZED.
pub(super) fn check(sql: &str, dialect: Dialect, unread: Rejection) -> Result<Names, Rejection> {
    match Reader::new(sql, dialect, true) {
        Some(reader) => reader.check(unread),
        None => Err(unread),
    }
}

/// Checks `sql` after the parser, and adds the names that only this reader sees. `understood` has the byte offsets of
/// the identifiers whose meaning the walk knows.
///
/// # Errors
///
/// A [`Rejection`] for what the parser misread.
pub(super) fn complete(
    sql: &str,
    dialect: Dialect,
    mut parsed: Names,
    understood: &BTreeSet<usize>,
) -> Result<Names, Rejection> {
    let Some(mut reader) = Reader::new(sql, dialect, false) else { return Err(Rejection::differently()) };
    reader.understand(understood);
    if let Some(uses) = parsed.uses.as_mut() {
        uses.unread = reader.unread();
    }
    let seen = reader.check(Rejection::differently())?;
    fn union<T: Ord>(one: Vec<T>, other: Vec<T>) -> Vec<T> {
        one.into_iter().chain(other).collect::<BTreeSet<T>>().into_iter().collect()
    }
    Ok(Names {
        // The walk tells a CTE from a table. This reader adds the tables that the parser took for something else.
        tables: union(parsed.tables, seen.tables),
        has_bare_tables: seen.has_bare_tables,
        reads: union(parsed.reads, seen.reads),
        functions: union(parsed.functions, seen.functions),
        unknown: union(parsed.unknown, seen.unknown),
        fields: union(parsed.fields, seen.fields),
        operators: union(parsed.operators, seen.operators),
        types: union(parsed.types, seen.types),
        qualified_types: seen.qualified_types,
        calls: seen.calls,
        beyond_ascii: seen.beyond_ascii,
        ..parsed
    })
}

/// For each position of a parenthesis, the position of the matching parenthesis. `None` for a parenthesis that has no
/// match, and for any other word.
fn pairs(words: &[Lexeme]) -> Vec<Option<usize>> {
    let mut partner = vec![None; words.len()];
    let mut open = Vec::new();
    for (at, lexeme) in words.iter().enumerate() {
        match lexeme.kind {
            Kind::Mark(b'(') => open.push(at),
            Kind::Mark(b')') => {
                if let Some(start) = open.pop()
                    && let Some(place) = partner.get_mut(start)
                {
                    *place = Some(at);
                    if let Some(place) = partner.get_mut(at) {
                        *place = Some(start);
                    }
                }
            }
            _ => {}
        }
    }
    partner
}

struct Reader<'a> {
    sql: &'a str,
    dialect: Dialect,
    words: Vec<Lexeme>,
    /// The result of [`pairs`] for `words`.
    closing: Vec<Option<usize>>,
    /// For each position, whether it is in FROM.
    in_from: Vec<bool>,
    /// Whether the parser could not read the statement.
    alone: bool,
    /// Possible names and aliases of functions in FROM.
    aliases: HashSet<String>,
    /// Byte offsets of the identifiers whose meaning the walk knows. Empty if the walk misread the statement.
    understood: BTreeSet<usize>,
}

impl<'a> Reader<'a> {
    fn new(sql: &'a str, dialect: Dialect, alone: bool) -> Option<Self> {
        let words: Vec<Lexeme> =
            lexemes(sql, dialect)?.into_iter().filter(|lexeme| lexeme.kind != Kind::Comment).collect();
        let closing = pairs(&words);
        let mut reader = Reader {
            sql,
            dialect,
            words,
            closing,
            in_from: Vec::new(),
            alone,
            aliases: HashSet::new(),
            understood: BTreeSet::new(),
        };
        reader.aliases = reader.function_aliases();
        reader.in_from = reader.places_in_from();
        Some(reader)
    }

    fn kind(&self, at: usize) -> Option<Kind> {
        self.words.get(at).map(|lexeme| lexeme.kind)
    }

    fn text(&self, at: usize) -> &str {
        self.words.get(at).and_then(|lexeme| self.sql.get(lexeme.range.clone())).unwrap_or_default()
    }

    fn is(&self, at: usize, mark: u8) -> bool {
        self.kind(at) == Some(Kind::Mark(mark))
    }

    /// The keyword at a position, in lower case. Empty if there is none.
    fn keyword(&self, at: usize) -> String {
        if self.kind(at) == Some(Kind::Word) { self.text(at).to_ascii_lowercase() } else { String::new() }
    }

    /// The name at a position, folded as the database folds it.
    fn name(&self, at: usize) -> Option<String> {
        let text = self.text(at);
        match self.kind(at)? {
            Kind::Word => Some(fold(self.dialect, text, false)),
            Kind::Quoted => Some(fold(self.dialect, &unquoted(text), true)),
            _ => None,
        }
    }

    /// Whether a server with an encoding other than UTF-8 could fold or cut the name differently. The server folds
    /// letters of an unquoted name, and cuts a name after 63 bytes.
    fn is_beyond_ascii(&self, at: usize) -> bool {
        let text = self.text(at);
        match self.kind(at) {
            Some(Kind::Word) => !text.is_ascii(),
            Some(Kind::Quoted) => !text.is_ascii() && text.len() > 63,
            _ => false,
        }
    }

    fn check(&self, unread: Rejection) -> Result<Names, Rejection> {
        let first = (0..self.words.len()).find(|at| !self.is(*at, b'(')).map_or(String::new(), |at| self.keyword(at));
        if self.alone && !matches!(first.as_str(), "select" | "with" | "values" | "table") {
            return Err(unread);
        }
        let is_mark = |at: &usize| self.is(*at, b'(') || self.is(*at, b')');
        if (0..self.words.len()).filter(is_mark).any(|at| self.closing.get(at).copied().flatten().is_none()) {
            return Err(unread);
        }
        // SQLite expands CTEs. The number of expansions is counted on the parser's tree only.
        if self.alone && self.dialect == Dialect::Sqlite && (0..self.words.len()).any(|at| self.keyword(at) == "with") {
            return Err(unread);
        }
        // This reader also does not count how often PostgreSQL copies a CTE that is NOT MATERIALIZED.
        let copies = |at: usize| self.keyword(at) == "not" && self.keyword(at + 1) == "materialized";
        if self.alone && (0..self.words.len()).any(copies) {
            return Err(unread);
        }
        let mut names = Collected::default();
        for at in 0..self.words.len() {
            match self.kind(at) {
                Some(Kind::Mark(b';')) => return Err(Rejection::MultipleStatements { count: 2 }),
                // The parser's message is better than "this cannot be read".
                Some(Kind::Unreadable | Kind::Mark(b'\\' | b'{' | b'}')) => return Err(unread),
                Some(Kind::Operator) if is_wildcard(self.sql, &self.words, at) => {}
                Some(Kind::Operator) => {
                    names.operators.insert(self.text(at).to_owned());
                }
                Some(Kind::Word | Kind::Quoted) => self.word(at, &mut names)?,
                Some(Kind::String | Kind::Number | Kind::Comment | Kind::Mark(_)) | None => {}
            }
        }
        self.regclass_texts(&names)?;
        let Collected { functions, unknown, fields, operators, all, columns, relations } = names;
        let (tables, has_bare_tables) = self.tables();
        Ok(Names {
            relations: self.after_from(),
            qualified_types: all.iter().filter_map(|(schema, name)| Some((schema.clone()?, name.clone()))).collect(),
            reads: all.iter().cloned().chain(relations).collect::<BTreeSet<_>>().into_iter().collect(),
            types: all.into_iter().map(|(_, name)| name).chain(columns).collect::<BTreeSet<_>>().into_iter().collect(),
            functions: functions.into_iter().collect(),
            unknown: unknown.into_iter().collect(),
            fields: fields.into_iter().collect(),
            operators: operators.into_iter().collect(),
            calls: self.bare_calls(),
            tables,
            has_bare_tables,
            beyond_ascii: (0..self.words.len()).any(|at| self.is_beyond_ascii(at)),
            ..Names::default()
        })
    }

    fn word(&self, at: usize, names: &mut Collected) -> Result<(), Rejection> {
        let keyword = self.keyword(at);
        let dotted = at > 0 && self.is(at - 1, b'.');
        if !dotted && self.writes(at, &keyword) {
            return Err(Rejection::Write { what: keyword.to_ascii_uppercase() });
        }
        if keyword == "for" && LOCKS.contains(&self.keyword(at + 1).as_str()) {
            return Err(Rejection::Write { what: "a locking clause (FOR UPDATE, FOR SHARE)".into() });
        }
        // `TREAT(x AS name)` calls `name(x)`.
        if keyword == "treat" && !dotted && self.is(at + 1, b'(') && self.dialect == Dialect::Postgresql {
            return Err(Rejection::clause("TREAT"));
        }
        if keyword == "operator" && !dotted && self.operator_closes(at + 1) {
            let inner = self.text(at + 2).to_ascii_lowercase();
            let built_in = inner == "pg_catalog" && self.is(at + 3, b'.');
            if !built_in && self.kind(at + 2) != Some(Kind::Operator) {
                return Err(Rejection::foreign_operator(inner));
            }
            return Ok(());
        }
        let Some(name) = self.name(at) else { return Ok(()) };
        let schema = if dotted { at.checked_sub(2).and_then(|before| self.name(before)) } else { None };
        if self.is(at + 1, b'(') {
            return self.call(at, schema, name, dotted, names);
        }
        if schema.as_deref() == Some("pg_catalog") && self.is_collation(at) {
            return Ok(());
        }
        if dotted {
            self.field(at, &name, names)?;
        }
        let may_be_relation = self.alone || self.may_be_relation(at);
        if let Some(reason) = self.relation_refusal(schema.as_deref(), &name, dotted).filter(|_| may_be_relation) {
            let written = schema.map_or_else(|| name.clone(), |schema| format!("{schema}.{name}"));
            return Err(Rejection::Relation { name: written, reason });
        }
        object_type_refusal(&name)?;
        // Without quotes, a reserved word names no table. Some name a type (`left 'x'`).
        if !dotted && self.is_reserved_word(at) {
            if self.names_function_or_type(at) {
                names.columns.insert(name);
            }
            return Ok(());
        }
        if !may_be_relation || dotted && self.is_plain_column(at) {
            names.columns.insert(name);
        } else if self.is_only_relation(at) {
            names.relations.insert((schema, name));
        } else {
            names.all.insert((schema, name));
        }
        Ok(())
    }

    /// Whether the dotted name at a position can only be a column. The walk must have recorded the name. The words
    /// before and after the name must exclude a type and a relation that the parser missed.
    fn is_plain_column(&self, at: usize) -> bool {
        let mut first = at;
        while first >= 2 && self.is(first - 1, b'.') {
            first -= 2;
        }
        let previous = first.checked_sub(1).map_or(String::new(), |before| self.keyword(before));
        let names_more = first > 0 && self.is(first - 1, b':')
            || matches!(previous.as_str(), "as" | "returning" | "of" | "from" | "join" | "only" | "table" | "lateral");
        let is_noted = self.words.get(at).is_some_and(|word| self.understood.contains(&word.range.start));
        is_noted && !names_more && self.kind(at + 1) != Some(Kind::String)
    }

    /// Whether the parenthesis at `open` contains only an operator, with or without a schema.
    fn operator_closes(&self, open: usize) -> bool {
        let Some(close) = self.closing.get(open).copied().flatten().filter(|_| self.is(open, b'(')) else {
            return false;
        };
        close.checked_sub(1).is_some_and(|last| self.kind(last) == Some(Kind::Operator))
            && (open + 1..close.saturating_sub(1)).all(|at| self.name(at).is_some() || self.is(at, b'.'))
    }

    /// Whether a keyword changes something. A column may be named `delete`. So if the parser read the statement, a word
    /// other than INTO counts only where a statement can begin.
    fn writes(&self, at: usize, keyword: &str) -> bool {
        if self.alone || keyword == "into" {
            return REFUSED_WORDS.contains(&keyword);
        }
        let begins = at == 0 || self.is(at - 1, b'(') || self.is(at - 1, b')');
        let next = self.keyword(at + 1);
        begins
            && match keyword {
                "delete" => next == "from",
                "insert" | "merge" => next == "into",
                "update" => self.name(at + 1).is_some() && !matches!(next.as_str(), "is" | "in" | "as" | "and" | "or"),
                _ => false,
            }
    }

    /// Returns why the name may not be read as a relation. On PostgreSQL a dotted name can be a column of a table. So a
    /// dotted name is judged only if a system schema is before the dot.
    fn relation_refusal(&self, schema: Option<&str>, name: &str, dotted: bool) -> Option<&'static str> {
        match self.dialect {
            Dialect::Postgresql
                if dotted && !matches!(schema, Some("pg_catalog" | "pg_toast" | "information_schema")) =>
            {
                None
            }
            // Not a relation: a schema before a dot, a type, or a column that PostgreSQL named after a function.
            Dialect::Postgresql
                if matches!(name, "pg_catalog" | "pg_temp" | "pg_snapshot")
                    || functions::judge(self.dialect, name) == Judgement::Harmless =>
            {
                None
            }
            Dialect::Postgresql => relations::refusal(self.dialect, schema, name),
            Dialect::Sqlite => relations::refusal(self.dialect, None, name),
        }
    }

    fn call(
        &self,
        at: usize,
        schema: Option<String>,
        name: String,
        dotted: bool,
        names: &mut Collected,
    ) -> Result<(), Rejection> {
        let is_word = self.kind(at) == Some(Kind::Word) && !dotted;
        if is_word && self.is_keyword_of_syntax(at) {
            return Ok(());
        }
        if is_word && BEFORE_PARENTHESIS.split_ascii_whitespace().any(|keyword| keyword == name) {
            // A user can create a function with the name of a reserved word. Without quotes, the server calls it
            // only if PostgreSQL lists the word as the name of a function or type.
            if self.names_function_or_type(at) {
                names.columns.insert(name.clone());
            }
            if !self.is_reserved_word(at) || self.names_function_or_type(at) {
                names.functions.insert(name);
            }
            return Ok(());
        }
        if !dotted && self.is_declaration(at) {
            names.all.insert((None, name));
            return Ok(());
        }
        if self.keyword(at.wrapping_sub(1)) == "tablesample" && matches!(name.as_str(), "bernoulli" | "system") {
            return Ok(());
        }
        match (self.dialect, schema.as_deref()) {
            (Dialect::Sqlite, None) if name.starts_with("pragma_") => {
                return match relations::refusal(self.dialect, None, &name) {
                    Some(reason) => Err(Rejection::Relation { name, reason }),
                    None => Ok(()),
                };
            }
            // SQLite reads a name before a parenthesis in FROM as a table with arguments, never as a function.
            (Dialect::Sqlite, None) if self.is_table_with_arguments(at, &name) => {
                names.all.insert((None, name));
                return Ok(());
            }
            // `(expression).name(` has no schema.
            (_, None) if dotted => return Err(Rejection::function(self.dialect, &name)),
            (Dialect::Sqlite, Some(_)) => return Err(Rejection::function(self.dialect, &name)),
            _ => {}
        }
        let three_parts = schema.is_some() && at >= 3 && self.is(at - 3, b'.');
        if three_parts || schema.as_deref().is_some_and(|schema| schema.starts_with("pg_") && schema != "pg_catalog") {
            return Err(Rejection::function(self.dialect, &name));
        }
        if name == "current_setting" && self.shows_setting(at) {
            return Ok(());
        }
        names.all.insert((None, name.clone()));
        match (schema.as_deref(), functions::judge(self.dialect, &name)) {
            (None | Some("pg_catalog"), Judgement::Refused) => Err(Rejection::function(self.dialect, &name)),
            (None, Judgement::Harmless) => {
                names.functions.insert(name);
                Ok(())
            }
            (Some("pg_catalog"), Judgement::Harmless) => Ok(()),
            (_, Judgement::Harmless | Judgement::Unknown | Judgement::Refused) => {
                names.unknown.insert((schema, name));
                Ok(())
            }
        }
    }

    /// Whether the name is no call: it comes before a list of column names or the length of a type, as in `AS t(a, b)`,
    /// `::numeric(10, 2)` or `WITH q(a) AS (SELECT`.
    fn is_declaration(&self, at: usize) -> bool {
        let Some(before) = at.checked_sub(1) else { return false };
        let is_cast = self.is(before, b':') && before > 0 && self.is(before - 1, b':');
        let previous = self.keyword(before);
        if is_cast || previous == "as" {
            return true;
        }
        if !(matches!(previous.as_str(), "with" | "recursive") || self.is(before, b',')) {
            return false;
        }
        // A CTE has only names between the parentheses. In `f() AS (values int)`, `values` is a column of a function.
        let Some(close) = self.closing.get(at + 1).copied().flatten() else { return false };
        let names = at + 2..close;
        let plain = !names.is_empty() && names.clone().all(|at| self.name(at).is_some() || self.is(at, b','));
        let mut next = close + 1;
        if self.keyword(next) != "as" {
            return false;
        }
        next += 1;
        while matches!(self.keyword(next).as_str(), "not" | "materialized") {
            next += 1;
        }
        let opens = self.is(next, b'(');
        let query = matches!(self.keyword(next + 1).as_str(), "select" | "with" | "table")
            || (self.keyword(next + 1) == "values" && self.is(next + 2, b'('))
            || self.is(next + 1, b'(');
        plain && opens && query
    }

    /// On PostgreSQL `alias.name` calls the function `name` if there is no such column. So the catalog is asked for
    /// functions that take a row. After a value (a parenthesis, a function's alias) the name is judged as a call.
    fn field(&self, at: usize, name: &str, names: &mut Collected) -> Result<(), Rejection> {
        if self.dialect == Dialect::Sqlite {
            return Ok(());
        }
        names.fields.insert(name.to_owned());
        if !self.is_over_value(at) {
            return Ok(());
        }
        match functions::judge(self.dialect, name) {
            Judgement::Harmless => {
                names.functions.insert(name.to_owned());
            }
            Judgement::Unknown => {
                names.unknown.insert((None, name.to_owned()));
            }
            Judgement::Refused => return Err(Rejection::function_by_dot(name)),
        }
        Ok(())
    }

    /// Whether the dotted name at `at` is a field of a value, over any number of dots, and not a column of a table.
    fn is_over_value(&self, at: usize) -> bool {
        let mut at = at;
        while at >= 2 && self.is(at - 1, b'.') {
            match self.name(at - 2) {
                None => return true,
                Some(owner) if self.aliases.contains(&owner) => return true,
                Some(_) => at -= 2,
            }
        }
        false
    }

    /// Possible names of functions in FROM: a function's own name, a word after a function without parentheses, or a
    /// word after a closing parenthesis that does not close a query or a join.
    fn function_aliases(&self) -> HashSet<String> {
        (0..self.words.len()).filter(|at| self.may_stand_for_function(*at)).filter_map(|at| self.name(at)).collect()
    }

    fn may_stand_for_function(&self, at: usize) -> bool {
        if !matches!(self.kind(at), Some(Kind::Word | Kind::Quoted)) {
            return false;
        }
        if self.is(at + 1, b'(') && !self.is_declaration(at) {
            return true;
        }
        // At most WITH ORDINALITY AS stands in between.
        let words = (1..=3).take_while(|back| {
            at.checked_sub(*back).is_some_and(|at| matches!(self.keyword(at).as_str(), "as" | "ordinality" | "with"))
        });
        let before = at - words.count();
        let Some(close) = before.checked_sub(1) else { return false };
        if VALUES_WITHOUT_PARENTHESES.contains(&self.keyword(close).as_str()) {
            return true;
        }
        if !self.is(close, b')') {
            return false;
        }
        let Some(open) = self.closing.get(close).copied().flatten() else { return true };
        let Some(opener) = open.checked_sub(1) else { return false };
        let rows_from = self.keyword(opener) == "from" && self.keyword(opener.wrapping_sub(1)) == "rows";
        let opens_query = matches!(self.keyword(opener).as_str(), "from" | "join" | "lateral")
            || self.is(opener, b',')
            || self.is(opener, b'(');
        rows_from || !opens_query
    }

    /// Refuses a string that is cast to `regclass` and names a relation that may not be read.
    fn regclass_texts(&self, names: &Collected) -> Result<(), Rejection> {
        if !names.all.iter().map(|(_, name)| name).chain(&names.columns).any(|name| name == "regclass") {
            return Ok(());
        }
        for at in (0..self.words.len()).filter(|at| self.kind(*at) == Some(Kind::String)) {
            // `regclass 'x'`, `'x'::regclass`, `CAST('x' AS regclass)`, with or without `pg_catalog.` before the type.
            let cast = if self.is(at + 1, b':') { at + 3 } else { at + 2 };
            let is_type = |at: usize| self.name(at).is_some_and(|name| name == "regclass");
            let before = at.checked_sub(1).is_some_and(is_type);
            if before || is_type(cast) || self.is(cast + 1, b'.') && is_type(cast + 2) {
                super::walk::regclass_refusal(self.text(at).trim_matches('\''))?;
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct Collected {
    functions: BTreeSet<String>,
    unknown: BTreeSet<(Option<String>, String)>,
    fields: BTreeSet<String>,
    operators: BTreeSet<String>,
    /// All other names, each with the name before its dot.
    all: BTreeSet<(Option<String>, String)>,
    /// Names that can be relations, but not types.
    relations: BTreeSet<(Option<String>, String)>,
    /// Names that can be columns, types or aliases, but not relations.
    columns: BTreeSet<String>,
}

/// A name or a string without its quotes; a word as it is.
pub(super) fn unquoted(text: &str) -> String {
    if !text.starts_with(['"', '\'', '`', '[']) {
        return text.to_owned();
    }
    let (Some(open), Some(inner)) = (text.chars().next(), text.get(1..text.len().saturating_sub(1))) else {
        return String::new();
    };
    let close = if open == '[' { ']' } else { open };
    inner.replace(&format!("{close}{close}"), &close.to_string())
}
