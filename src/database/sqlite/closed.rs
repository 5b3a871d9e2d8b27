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
        let found = lexemes(sql, Dialect::Sqlite);
        let read: Vec<&Lexeme> = found.iter().flatten().filter(|lexeme| lexeme.kind != Kind::Comment).collect();
        let word = |at: usize| {
            read.get(at).filter(|lexeme| lexeme.kind == Kind::Word).and_then(|lexeme| sql.get(lexeme.range.clone()))
        };
        let is = |at: usize, wanted: &str| word(at).is_some_and(|word| word.eq_ignore_ascii_case(wanted));
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
        if is(0, "create") && is(kind, "view") {
            return Object { text: view_text(sql, &read), is_view: true, joined_by: joined_by(sql, &read), ..object };
        }
        Object { text: searched(sql), is_virtual: true, is_view: true, on: Some(whole(on)), joined_by: None, ..object }
    }

    fn names(&self, other: &Object) -> bool {
        names(&self.text, &other.words)
    }
}

/// The words and names of a view, in the form of [`searched`]. A string is a name only where a table may stand.
fn view_text(sql: &str, read: &[&Lexeme]) -> String {
    let part = |lexeme: &Lexeme| sql.get(lexeme.range.clone()).unwrap_or_default();
    let mut text = String::new();
    let mut before = "";
    for lexeme in read {
        let written = part(lexeme);
        let may_be_table = ["from", "join", "in"].iter().any(|word| before.eq_ignore_ascii_case(word))
            || matches!(before, "," | "(" | ".");
        if lexeme.kind != Kind::String || may_be_table {
            text.push_str(written);
            text.push(' ');
        }
        before = written;
    }
    searched(&text)
}

/// The columns after each USING, in ASCII lower case. `None` if there is a NATURAL.
fn joined_by(sql: &str, read: &[&Lexeme]) -> Option<Vec<String>> {
    let part = |lexeme: &Lexeme| sql.get(lexeme.range.clone()).unwrap_or_default();
    let mut columns = Vec::new();
    let mut is_using = false;
    for lexeme in read {
        let written = part(lexeme);
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
    let mut statement = handle.prepare("SELECT schema_version FROM pragma_schema_version")?;
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
    let mut statement = handle.prepare("SELECT name, tbl_name, sql FROM sqlite_schema WHERE sql IS NOT NULL")?;
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
    let (seeds, ruled) = seeds(handle, rules, &objects)?;
    let mut seen: HashSet<usize> = seeds.iter().copied().collect();
    // What may show values of a ruled table, directly or through others.
    let mut reached = BTreeSet::new();
    let mut left = seeds;
    while let Some(at) = left.pop() {
        let Some(object) = objects.get(at) else { continue };
        let triggers: Vec<&Object> =
            objects.iter().filter(|trigger| trigger.on.as_ref() == Some(&object.name)).collect();
        let is_filled = |table: &Object| table.is_virtual && triggers.iter().any(|trigger| trigger.names(table));
        let filled = objects.iter().enumerate().filter(|(_, table)| is_filled(table)).map(|(at, _)| at);
        for user in users.of_object(&objects, at).into_iter().chain(filled) {
            reached.insert(user);
            if seen.insert(user) {
                left.push(user);
            }
        }
    }
    for at in reached {
        let Some(object) = objects.get(at) else { continue };
        if object.is_virtual {
            found.tables.insert(object.name.clone());
        }
        let is_ruled = |column: &String| ruled.as_ref().is_none_or(|ruled| ruled.contains(column));
        if object.is_view && object.joined_by.as_ref().is_none_or(|columns| columns.iter().any(is_ruled)) {
            left.push(at);
        }
    }
    while let Some(at) = left.pop() {
        let Some(view) = objects.get(at).filter(|object| object.is_view) else { continue };
        if found.views.insert(view.name.clone()) {
            left.extend(users.of_object(&objects, at));
        }
    }
    Ok(found)
}

/// The positions of the objects with a rule, and the names of their ruled columns. `None` if a whole table is ruled.
type Seeds = (Vec<usize>, Option<HashSet<String>>);

fn seeds(handle: &Handle, rules: &ColumnRules, objects: &[Object]) -> Result<Seeds, ReadError> {
    let mut seeds = Vec::new();
    let mut ruled = Some(HashSet::new());
    for (at, object) in objects.iter().enumerate().filter(|(_, object)| object.on.is_none() || object.is_view) {
        if !rules.touches("", &object.name) || !has_rule(handle, rules, &object.name)? {
            continue;
        }
        seeds.push(at);
        match catalog::columns(handle, &object.name, &Created::default()) {
            Ok(columns) if !rules.denies_table("", &object.name) => {
                // A generated column may be computed from a ruled column.
                let is_ruled = |name: &str| rules.of_column("", &object.name, name).is_some();
                let names = columns.iter().filter(|column| column.generated.is_some() || is_ruled(&column.name));
                let names = names.map(|column| searched(&column.name).trim().to_ascii_lowercase());
                ruled.iter_mut().for_each(|ruled| ruled.extend(names.clone()));
            }
            _ => ruled = None,
        }
    }
    Ok((seeds, ruled))
}

/// Finds the objects whose texts name an object.
struct Users {
    /// For each word, the positions of the objects whose texts contain it.
    by_word: HashMap<String, Vec<usize>>,
}

impl Users {
    fn of(objects: &[Object]) -> Self {
        let mut by_word: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, object) in objects.iter().enumerate().filter(|(_, object)| object.on.is_none() || object.is_view) {
            let words: HashSet<&str> = object.text.split(|c: char| !is_part_of_name(c)).collect();
            for word in words {
                by_word.entry(word.to_owned()).or_default().push(at);
            }
        }
        Users { by_word }
    }

    /// The positions of the objects that name this one.
    fn of_object(&self, objects: &[Object], at: usize) -> Vec<usize> {
        let Some(object) = objects.get(at) else { return Vec::new() };
        let name = object.words.trim();
        if !name.is_empty() && name.chars().all(is_part_of_name) {
            let users = self.by_word.get(name).into_iter().flatten();
            return users.copied().filter(|user| *user != at).collect();
        }
        // A name with blanks or marks is searched in each text.
        let others =
            objects.iter().enumerate().filter(|(user, other)| *user != at && (other.on.is_none() || other.is_view));
        others.filter(|(_, other)| other.names(object)).map(|(user, _)| user).collect()
    }
}

fn is_part_of_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// True if a rule covers the table or one of its columns. Also true if the columns of the table are unknown.
pub(super) fn has_rule(handle: &Handle, rules: &ColumnRules, table: &str) -> Result<bool, ReadError> {
    if rules.denies_table("", table) {
        return Ok(true);
    }
    match catalog::columns(handle, table, &Created::default()) {
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
