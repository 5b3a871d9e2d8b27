//! Finds the virtual tables and views of a file that no statement may read under the rules of its source.
//!
//! A virtual table is closed if its arguments name a ruled table (for example as the content of a full-text table), or if
//! a trigger of a ruled table names it. SQLite does not report the columns by which USING and NATURAL join two tables, and
//! in a FULL JOIN such a column of the result has no origin. So a view over a ruled table is closed if it joins by
//! NATURAL, or by USING with the name of a ruled column. A view over a closed view is closed too.
//!
//! Whoever writes the file can write its schema table too. So the kind of an object is read from its CREATE statement, as
//! SQLite reads it, and what cannot be read counts as every kind.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use super::catalog;
use super::created::Created;
use super::handle::Handle;
use super::pipe::{ReadError, Reason};
use super::rules::SHADOWS;
use crate::dialect::Dialect;
use crate::guard::columns::ColumnRules;
use crate::guard::lexer::{Kind, Lexeme, lexemes};

/// Maximum number of bytes of CREATE statements that are searched for the names of ruled tables.
const MAX_SEARCHED_BYTES: usize = 8 << 20;

/// Names of virtual tables and views, in ASCII lower case.
#[derive(Debug, Default)]
pub(super) struct Closed {
    /// All virtual tables.
    pub(super) virtual_tables: BTreeSet<String>,
    /// The virtual tables that no statement may read, because they may show values of a ruled table.
    tables: BTreeSet<String>,
    /// The views that no statement may read.
    views: BTreeSet<String>,
}

impl Closed {
    /// Why no statement may read `table`. `None` if it may be read. A shadow table stores the rows of a virtual table.
    pub(super) fn reason(&self, table: &str) -> Option<Reason> {
        let mut of = self.tables.iter().filter_map(|closed| table.strip_prefix(closed.as_str()));
        if of.any(|rest| rest.is_empty() || SHADOWS.contains(&rest)) {
            return Some(Reason::Virtual);
        }
        self.views.contains(table).then_some(Reason::View)
    }

    /// The closed virtual tables and views.
    pub(super) fn names(&self) -> BTreeSet<String> {
        self.tables.union(&self.views).cloned().collect()
    }
}

/// A table, view or trigger of the database.
struct Object {
    /// In ASCII lower case, because SQLite ignores the case of names.
    name: String,
    /// The name in the form that [`searched`] returns.
    words: String,
    /// The part of the CREATE statement that may name other tables, in that form.
    text: String,
    is_virtual: bool,
    is_view: bool,
    /// The table of a trigger.
    on: Option<String>,
    /// The columns after USING in a view. `None` if the view has NATURAL, or cannot be read.
    joined_by: Option<Vec<String>>,
}

impl Object {
    fn new(name: &str, on: &str, sql: &str) -> Self {
        let whole = |name: &str| name.split('\0').next().unwrap_or_default().to_ascii_lowercase();
        let name = whole(name);
        let object = Object {
            words: searched(&name),
            text: String::new(),
            is_virtual: false,
            is_view: false,
            on: None,
            joined_by: Some(Vec::new()),
            name,
        };
        // A byte order mark, which SQLite skips, makes the text unreadable too.
        let whole_text =
            lexemes(sql, Dialect::Sqlite).filter(|all| !all.iter().any(|one| one.kind == Kind::Unreadable));
        let is_readable = whole_text.is_some();
        // The kind of an ordinary table is known without its columns.
        let found = whole_text.or_else(|| lexemes(sql.split('(').next().unwrap_or_default(), Dialect::Sqlite));
        let read: Vec<&Lexeme> = found.iter().flatten().filter(|lexeme| lexeme.kind != Kind::Comment).collect();
        let is = |at: usize, wanted: &str| {
            let word = read.get(at).filter(|lexeme| lexeme.kind == Kind::Word);
            word.is_some_and(|lexeme| written(sql, lexeme).eq_ignore_ascii_case(wanted))
        };
        let kind = 1 + usize::from(is(1, "temp") || is(1, "temporary"));
        if is(0, "create") && (is(kind, "table") || is(1, "index") || is(1, "unique")) {
            // An ordinary table names other tables only in foreign keys, which do not show the rows of those tables.
            return object;
        }
        if is(0, "create") && is(kind, "virtual") {
            let text = searched(sql);
            // Keeps the arguments of the module, which follow USING.
            let text = text.split_once(" using ").map_or(text.clone(), |(_, arguments)| format!(" {arguments}"));
            return Object { text, is_virtual: true, ..object };
        }
        if is(0, "create") && is(kind, "trigger") {
            return Object { text: searched(sql), on: Some(whole(on)), ..object };
        }
        if is(0, "create") && is(kind, "view") && is_readable {
            return Object { text: view_text(sql, &read), is_view: true, joined_by: joined_by(sql, &read), ..object };
        }
        Object { text: searched(sql), is_virtual: true, is_view: true, on: Some(whole(on)), joined_by: None, ..object }
    }

    fn names(&self, other: &Object) -> bool {
        names(&self.text, &other.words)
    }

    /// True for a trigger that is certainly nothing else. It shows no rows.
    fn is_only_trigger(&self) -> bool {
        self.on.is_some() && !self.is_view
    }
}

fn written<'a>(sql: &'a str, lexeme: &Lexeme) -> &'a str {
    sql.get(lexeme.range.clone()).unwrap_or_default()
}

/// The words and names of a view, in the form of [`searched`]. A string is a name only where a table may stand, and what
/// follows AS is another name for what stands before.
fn view_text(sql: &str, read: &[&Lexeme]) -> String {
    let mut text = String::new();
    let mut before = "";
    for lexeme in read {
        let written = written(sql, lexeme);
        let may_be_table = ["from", "join", "in"].iter().any(|word| before.eq_ignore_ascii_case(word))
            || matches!(before, "," | "(" | ".");
        let begins_query = ["select", "with", "values"].iter().any(|word| written.eq_ignore_ascii_case(word));
        let is_alias = before.eq_ignore_ascii_case("as") && !begins_query;
        if !is_alias && (lexeme.kind != Kind::String || may_be_table) {
            text.push_str(written);
            text.push(' ');
        }
        before = written;
    }
    searched(&text)
}

/// The columns after each USING, in ASCII lower case. `None` if there is a NATURAL.
fn joined_by(sql: &str, read: &[&Lexeme]) -> Option<Vec<String>> {
    let mut columns = Vec::new();
    let mut is_using = false;
    for lexeme in read {
        let written = written(sql, lexeme);
        let is_word = lexeme.kind == Kind::Word;
        if is_word && written.eq_ignore_ascii_case("natural") {
            return None;
        }
        match lexeme.kind {
            Kind::Word if written.eq_ignore_ascii_case("using") => is_using = true,
            Kind::Mark(b')') => is_using = false,
            Kind::Word | Kind::Quoted | Kind::String if is_using => {
                columns.push(searched(written).trim().to_ascii_lowercase());
            }
            _ => {}
        }
    }
    Some(columns)
}

/// Returns the virtual tables and views that no statement may read. The result is kept until the schema changes.
pub(super) fn of(handle: &Handle, rules: &ColumnRules) -> Result<Rc<Closed>, ReadError> {
    // A table of the file can be called `pragma_schema_version`, so the pragma itself is asked.
    let mut statement = handle.prepare("PRAGMA schema_version")?;
    let version = if statement.step()? { statement.integer(0) } else { -1 };
    drop(statement);
    if let Some((of, closed)) = &*handle.closed.borrow()
        && *of == version
    {
        return Ok(Rc::clone(closed));
    }
    let closed = Rc::new(find(handle, rules)?);
    handle.closed.replace(Some((version, Rc::clone(&closed))));
    Ok(closed)
}

fn find(handle: &Handle, rules: &ColumnRules) -> Result<Closed, ReadError> {
    let mut found = Closed::default();
    let mut objects = Vec::new();
    // SQLite reads a BLOB in this table as a text in the encoding of the file. The casts do so too.
    let mut statement = handle.prepare(
        "SELECT CAST(name AS TEXT), CAST(tbl_name AS TEXT), CAST(sql AS TEXT) FROM sqlite_schema WHERE sql IS NOT NULL",
    )?;
    let mut bytes = 0;
    while statement.step()? {
        let text = |column| statement.text(column).unwrap_or_default();
        let sql = text(2);
        bytes += sql.len();
        let mut object = Object::new(&text(0), &text(1), &sql);
        if bytes > MAX_SEARCHED_BYTES {
            object.text = String::new();
        }
        objects.push(object);
    }
    drop(statement);
    found.virtual_tables =
        objects.iter().filter(|object| object.is_virtual).map(|object| object.name.clone()).collect();
    if bytes > MAX_SEARCHED_BYTES {
        // What is not searched may name any table.
        found.tables.clone_from(&found.virtual_tables);
        found.views = objects.iter().filter(|object| object.is_view).map(|object| object.name.clone()).collect();
        return Ok(found);
    }
    let users = Users::of(&objects);
    let seeds = Seeds::of(handle, rules, &objects)?;
    let mut unknown = seeds.unknown;
    let is_virtual = |at: &usize| objects.get(*at).is_some_and(|object| object.is_virtual);
    unknown.extend(seeds.all.iter().copied().filter(is_virtual));
    let reached = users.reached(handle, &objects, seeds.all)?;
    // A virtual table may show ruled values under any name.
    unknown.extend(reached.iter().copied().filter(is_virtual));
    let reached_from_unknown = users.reached(handle, &objects, unknown)?;
    let mut left = Vec::new();
    for at in reached {
        let Some(object) = objects.get(at) else { continue };
        if object.is_virtual {
            found.tables.insert(object.name.clone());
        }
        let is_ruled = |column: &String| reached_from_unknown.contains(&at) || seeds.columns.contains(column);
        if object.is_view && object.joined_by.as_ref().is_none_or(|columns| columns.iter().any(is_ruled)) {
            left.push(at);
        }
    }
    while let Some(at) = left.pop() {
        let Some(view) = objects.get(at).filter(|object| object.is_view) else { continue };
        if found.views.insert(view.name.clone()) {
            left.extend(users.of_object(handle, &objects, at)?);
        }
    }
    Ok(found)
}

/// Where the search begins.
#[derive(Default)]
struct Seeds {
    /// The positions of the objects with a rule.
    all: Vec<usize>,
    /// The positions of those whose columns are unknown.
    unknown: Vec<usize>,
    /// The names of ruled columns. Of a denied table these are all its columns.
    columns: HashSet<String>,
}

impl Seeds {
    fn of(handle: &Handle, rules: &ColumnRules, objects: &[Object]) -> Result<Self, ReadError> {
        let mut seeds = Seeds::default();
        for (at, object) in objects.iter().enumerate().filter(|(_, object)| !object.is_only_trigger()) {
            if !rules.touches("", &object.name) || !has_rule(handle, rules, &object.name)? {
                continue;
            }
            seeds.all.push(at);
            match catalog::columns(handle, &object.name, &Created::default()) {
                Ok(columns) if columns.is_empty() => seeds.unknown.push(at),
                Ok(columns) => {
                    let is_denied = rules.denies_table("", &object.name);
                    // A generated column may be computed from a ruled column.
                    let is_ruled = |name: &str| is_denied || rules.of_column("", &object.name, name).is_some();
                    let ruled = columns.iter().filter(|column| column.generated.is_some() || is_ruled(&column.name));
                    seeds.columns.extend(ruled.map(|column| searched(&column.name).trim().to_ascii_lowercase()));
                }
                Err(_) => seeds.unknown.push(at),
            }
        }
        Ok(seeds)
    }
}

/// An index of the objects. It tells which objects can show values of another one.
struct Users<'a> {
    /// For each word, the positions of the objects whose texts contain it.
    by_word: HashMap<&'a str, Vec<usize>>,
    /// The positions of the triggers of each table or view.
    triggers: HashMap<&'a str, Vec<usize>>,
    /// The positions of virtual tables and views, which a trigger can fill or pass a row to.
    filled: Vec<usize>,
}

impl<'a> Users<'a> {
    fn of(objects: &'a [Object]) -> Self {
        let mut users = Users { by_word: HashMap::new(), triggers: HashMap::new(), filled: Vec::new() };
        for (at, object) in objects.iter().enumerate() {
            if let Some(on) = &object.on {
                users.triggers.entry(on).or_default().push(at);
            }
            if object.is_virtual || object.is_view {
                users.filled.push(at);
            }
            if object.is_only_trigger() {
                continue;
            }
            let words: HashSet<&str> = runs(&object.text).collect();
            for word in words {
                users.by_word.entry(word).or_default().push(at);
            }
        }
        users
    }

    /// The positions of the objects that name this one.
    ///
    /// # Errors
    ///
    /// [`ReadError::Timeout`] after the deadline of the call: SQLite itself notices it only in its own loops.
    fn of_object(&self, handle: &Handle, objects: &[Object], at: usize) -> Result<Vec<usize>, ReadError> {
        let Some(object) = objects.get(at) else { return Ok(Vec::new()) };
        let mut found = self.of_name(handle, objects, at, object.words.trim())?;
        if object.is_virtual {
            for ending in SHADOWS {
                found.extend(self.of_name(handle, objects, at, &format!("{}{ending}", object.words.trim()))?);
            }
        }
        Ok(found)
    }

    /// The positions of the objects, other than `at`, whose texts contain this name.
    fn of_name(&self, handle: &Handle, objects: &[Object], at: usize, name: &str) -> Result<Vec<usize>, ReadError> {
        let first = runs(name).next();
        let mut found = Vec::new();
        // A name of marks alone is searched in each text.
        let all: Vec<usize>;
        let candidates = match first {
            Some(first) => self.by_word.get(first).map(Vec::as_slice).unwrap_or_default(),
            None => {
                all = (0..objects.len()).collect();
                all.as_slice()
            }
        };
        for user in candidates.iter().copied().filter(|user| *user != at) {
            if handle.is_late() {
                return Err(ReadError::Timeout);
            }
            let is_named = |user: &Object| first == Some(name) || names(&user.text, name);
            if objects.get(user).is_some_and(|user| !user.is_only_trigger() && is_named(user)) {
                found.push(user);
            }
        }
        Ok(found)
    }

    /// The positions of the objects that may show values of the seeds, directly or through others.
    fn reached(&self, handle: &Handle, objects: &[Object], seeds: Vec<usize>) -> Result<BTreeSet<usize>, ReadError> {
        let mut seen: HashSet<usize> = seeds.iter().copied().collect();
        let mut reached = BTreeSet::new();
        let mut left = seeds;
        while let Some(at) = left.pop() {
            let Some(object) = objects.get(at) else { continue };
            for user in self.of_object(handle, objects, at)? {
                reached.insert(user);
                if seen.insert(user) {
                    left.push(user);
                }
            }
            let triggers = self.triggers.get(object.name.as_str()).into_iter().flatten();
            for trigger in triggers.filter_map(|at| objects.get(*at)) {
                for user in &self.filled {
                    if handle.is_late() {
                        return Err(ReadError::Timeout);
                    }
                    let Some(filled) = objects.get(*user).filter(|filled| trigger.names(filled)) else { continue };
                    // A view shows nothing of what a trigger passes to it, but its own triggers get it.
                    if filled.is_virtual {
                        reached.insert(*user);
                    }
                    if seen.insert(*user) {
                        left.push(*user);
                    }
                }
            }
        }
        Ok(reached)
    }
}

/// The runs of characters that can be a name without quotes.
fn runs(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !is_part_of_name(c)).filter(|run| !run.is_empty())
}

fn is_part_of_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// True if a rule covers the table or one of its columns. Also true if the columns of the table are unknown. The columns of a
/// table whose name is not valid UTF-8 are unknown.
pub(super) fn has_rule(handle: &Handle, rules: &ColumnRules, table: &str) -> Result<bool, ReadError> {
    if rules.denies_table("", table) {
        return Ok(true);
    }
    match catalog::columns(handle, table, &Created::default()) {
        Ok(columns) if columns.is_empty() => Ok(true),
        Ok(columns) => Ok(columns.iter().any(|column| rules.of_column("", table, &column.name).is_some())),
        Err(fault) if fault.is_interrupted() || fault.is_out_of_memory() => Err(fault.into()),
        // The columns are unknown: a view whose tables are missing, or a module that is not loaded.
        Err(_) => Ok(true),
    }
}

/// Normalises a text or a name for [`names`]: converts it to lower case and replaces each sequence of quotes and white
/// space by one space. [`names`] gets both the text and the name in this form, so a quote inside a name does not
/// prevent a match.
fn searched(text: &str) -> String {
    let mut searched = String::with_capacity(text.len() + 2);
    searched.push(' ');
    for character in text.chars().flat_map(char::to_lowercase).chain([' ']) {
        if character.is_whitespace() || matches!(character, '\'' | '"' | '`' | '[' | ']') {
            if !searched.ends_with(' ') {
                searched.push(' ');
            }
        } else {
            searched.push(character);
        }
    }
    searched
}

/// True if `text` contains `name`, and not only as a part of a longer name. Both have to be results of [`searched`]. An
/// empty name counts as found.
fn names(text: &str, name: &str) -> bool {
    let name = name.trim();
    let is_part = |character: Option<char>| character.is_some_and(is_part_of_name);
    let mut starts = text.match_indices(name).map(|(at, _)| at);
    starts.any(|at| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let after = text.get(at + name.len()..).and_then(|after| after.chars().next());
        name.is_empty() || (!is_part(before) && !is_part(after))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::columns::{ColumnRule, RuleKind};

    #[test]
    fn a_name_is_found_whole_and_however_it_is_quoted() {
        let found = |text: &str, name: &str| names(&searched(text), &searched(name));
        for (text, name) in [
            ("fts5(a, content='My Users', x)", "my users"),
            ("fts5vocab(main, \"users\", row)", "users"),
            ("fts5(a, content='it''s \t\"so\"')", "it's \t\"so\""),
            ("fts5(a, content=\"a[b\")", "A[b"),
            ("fts5(a, content=[\u{c4}mter])", "\u{e4}mter"),
            ("fts5(a, content='\"')", "\""),
        ] {
            assert!(found(text, name), "{text}: {name}");
        }
        assert!(!found("fts5(a, content='users_old')", "users"));
        assert!(!found("fts5(a, content='old users2')", "users"));
    }

    /// Each round over all views took as long as the whole search takes now.
    #[test]
    fn a_long_chain_of_views_is_searched_in_one_pass() {
        let handle = Handle::open(":memory:", None, false).unwrap();
        let run = |sql: &str| {
            handle.prepare(sql).unwrap().step().unwrap();
        };
        run("CREATE TABLE users (id INTEGER PRIMARY KEY, ssn TEXT)");
        run("CREATE TABLE other (id INTEGER, ssn TEXT)");
        run("CREATE VIEW v0 AS SELECT ssn FROM users FULL JOIN other USING (ssn)");
        for number in 1..=1_500 {
            run(&format!("CREATE VIEW v{number} AS SELECT ssn FROM v{}", number - 1));
        }
        let rules = ColumnRules::new(vec![ColumnRule::new("users.ssn", RuleKind::Mask).unwrap()]);
        let closed = of(&handle, &rules).unwrap();
        assert_eq!(closed.views.len(), 1_501);
        assert!(Rc::ptr_eq(&closed, &of(&handle, &rules).unwrap()), "it is kept");
        run("CREATE VIEW late AS SELECT ssn FROM users NATURAL JOIN other");
        assert_eq!(of(&handle, &rules).unwrap().reason("late"), Some(Reason::View));
    }
}
