//! Rules on tables and columns (`deny` and `mask` of a source), and the uses of ruled columns in a statement.
//!
//! The walk records every use of a column ([`ColumnUses`]). The engine reports the tables that have rules
//! ([`RuledTable`]). [`judge`] compares the two. A column is *ruled* if a rule covers it. A table is *ruled* if a rule
//! covers the table or one of its columns. A name that might mean a ruled column counts as it, so an unclear origin is
//! refused. Pure.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Rejection;

/// Columns that every table of PostgreSQL has and the catalog lists with numbers below zero.
/// Source: <https://www.postgresql.org/docs/18/ddl-system-columns.html>.
const SYSTEM_COLUMNS: [&str; 6] = ["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"];

/// Words of a SELECT's grammar in PostgreSQL or SQLite that can be names too, and `pg_catalog`. The parser's tree does
/// not keep these words. Source: `gram.y` of PostgreSQL 18 and `parse.y` of SQLite 3.51.
const GRAMMAR_WORDS: &str = "
absent asc at bernoulli between bit by cascade character conditional content cross current day desc document double empty end error
exclude false filter first following full glob grouping groups hour ignore indexed inner interval keep key last left like local
match materialized minute month name national natural next nfc nfd nfkc nfkd no normalized nulls object offset omit ordinality others outer
over partition path pg_catalog preceding precision quotes range recursive regexp repeatable respect right row rows second
sets system ties time timestamp true unbounded uescape unknown value varying window with within without wrapper year zone
";

/// Replaces a masked value.
pub const MASK: &str = "***";

/// The effect of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RuleKind {
    Deny,
    Mask,
}

/// One pattern of `deny` or `mask`: `table`, `table.column`, `schema.table` or `schema.table.column`. `*` matches any
/// characters of a part. Two parts have both meanings in `deny`; in `mask` they are `table.column`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnRule {
    parts: Vec<String>,
    kind: RuleKind,
}

impl ColumnRule {
    /// # Errors
    ///
    /// What is wrong with the pattern.
    pub fn new(pattern: &str, kind: RuleKind) -> Result<Self, &'static str> {
        let parts: Vec<String> = pattern.split('.').map(str::to_lowercase).collect();
        if parts.len() > 3 || parts.iter().any(|part| part.trim().is_empty()) {
            return Err("must hold patterns such as \"hr.*\", \"users.ssn\" or \"public.users.ssn\"");
        }
        if kind == RuleKind::Mask && parts.len() == 1 {
            return Err("must name columns, such as \"users.email\"");
        }
        Ok(ColumnRule { parts, kind })
    }

    /// Whether the rule covers the table or one of these columns.
    fn covers(&self, schema: &str, table: &str, mut columns: impl Iterator<Item = impl AsRef<str>>) -> bool {
        self.covers_table(schema, table) || columns.any(|column| self.covers_column(schema, table, column.as_ref()))
    }

    fn covers_table(&self, schema: &str, table: &str) -> bool {
        let schema = if schema.is_empty() { "main" } else { schema };
        self.kind == RuleKind::Deny
            && match self.parts.as_slice() {
                [name] => is_like(name, table),
                [first, second] => is_like(first, schema) && is_like(second, table),
                _ => false,
            }
    }

    /// Whether the rule may apply to the table or one of its columns.
    fn touches(&self, schema: &str, table: &str) -> bool {
        let schema = if schema.is_empty() { "main" } else { schema };
        match self.parts.as_slice() {
            [name] => is_like(name, table),
            [first, second] => is_like(first, table) || (is_like(first, schema) && is_like(second, table)),
            [first, second, _] => is_like(first, schema) && is_like(second, table),
            _ => false,
        }
    }

    fn covers_column(&self, schema: &str, table: &str, column: &str) -> bool {
        let schema = if schema.is_empty() { "main" } else { schema };
        match self.parts.as_slice() {
            [first, second] => is_like(first, table) && is_like(second, column),
            [first, second, third] => is_like(first, schema) && is_like(second, table) && is_like(third, column),
            _ => false,
        }
    }
}

impl fmt::Display for ColumnRule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            RuleKind::Deny => "deny",
            RuleKind::Mask => "mask",
        };
        write!(out, "{kind} \"{}\"", self.parts.join("."))
    }
}

/// Ignores the case of `name`. `*` matches any text.
fn is_like(pattern: &str, name: &str) -> bool {
    let name = name.to_lowercase();
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut left) = name.strip_prefix(head) else { return false };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        let Some(at) = left.find(piece) else { return false };
        left = left.get(at + piece.len()..).unwrap_or_default();
    }
    left.ends_with(last)
}

/// All rules of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnRules(Vec<ColumnRule>);

impl ColumnRules {
    pub fn new(rules: Vec<ColumnRule>) -> Self {
        ColumnRules(rules)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The rules that cover none of these tables and columns, in lower case and with their kind: `deny "hr.*"`.
    pub fn without_effect<'a, C: AsRef<str>, I: Iterator<Item = C>>(
        &self,
        tables: impl Iterator<Item = (&'a str, &'a str, I)> + Clone,
    ) -> Vec<String> {
        let covers =
            |rule: &&ColumnRule| tables.clone().any(|(schema, table, columns)| rule.covers(schema, table, columns));
        self.0.iter().filter(|rule| !covers(rule)).map(ToString::to_string).collect()
    }

    /// Whether a rule denies anything. Errors and hints of the database may then contain names of denied tables or
    /// columns.
    pub fn denies(&self) -> bool {
        self.0.iter().any(|rule| rule.kind == RuleKind::Deny)
    }

    /// Whether a rule may deny columns of this name in some table. A view may show them under the same name.
    pub fn denies_name(&self, column: &str) -> bool {
        self.0
            .iter()
            .filter(|rule| rule.kind == RuleKind::Deny && rule.parts.len() > 1)
            .any(|rule| rule.parts.last().is_some_and(|last| last.chars().any(|c| c != '*') && is_like(last, column)))
    }

    /// Whether the whole table is denied. `schema` is empty on SQLite.
    pub fn denies_table(&self, schema: &str, table: &str) -> bool {
        self.0.iter().any(|rule| rule.covers_table(schema, table))
    }

    /// Whether a rule may apply to the table or one of its columns.
    pub fn touches(&self, schema: &str, table: &str) -> bool {
        self.0.iter().any(|rule| rule.touches(schema, table))
    }

    /// The rule that covers the column itself; whether the whole table is denied is not considered. `Deny` takes
    /// precedence.
    pub fn of_column(&self, schema: &str, table: &str, column: &str) -> Option<RuleKind> {
        let kinds = self.0.iter().filter(|rule| rule.covers_column(schema, table, column)).map(|rule| rule.kind);
        kinds.fold(None, |found, kind| if found == Some(RuleKind::Deny) { found } else { Some(kind) })
    }
}

/// A table of the statement that has rules, as the database describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuledTable {
    /// Empty on SQLite.
    pub schema: String,
    pub table: String,
    /// All columns, in order.
    pub columns: Vec<String>,
    pub denied: BTreeSet<String>,
    pub masked: BTreeSet<String>,
    /// Whether every use is refused: the table is denied, or may show values of ruled columns at unknown
    /// positions.
    pub whole: bool,
}

impl RuledTable {
    fn is_named(&self, schema: Option<&str>, table: &str) -> bool {
        self.table == table && schema.is_none_or(|schema| schema == self.schema)
    }

    fn allowed(&self) -> Vec<String> {
        if self.whole {
            return Vec::new();
        }
        let ruled = |column: &&String| !self.denied.contains(*column) && !self.masked.contains(*column);
        self.columns.iter().filter(ruled).cloned().collect()
    }

    /// The refusal of a use of `column`. Unless the column is denied, the refusal names the whole table (`*`).
    pub fn refusal(&self, column: &str) -> Rejection {
        self.refuse(if self.denied.contains(column) { column } else { "*" })
    }

    fn refuse(&self, column: &str) -> Rejection {
        let table = if self.schema.is_empty() { self.table.clone() } else { format!("{}.{}", self.schema, self.table) };
        let is_denied = self.whole || column == "*" && !self.denied.is_empty() || self.denied.contains(column);
        Rejection::Column { column: format!("{table}.{column}"), is_denied, allowed: self.allowed() }
    }
}

/// A column as the statement names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnName {
    /// The part before the column's name: a table or an alias.
    pub table: Option<String>,
    pub column: String,
}

/// A table as the statement names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableName {
    pub schema: Option<String>,
    pub table: String,
    /// Its alias, or else its own name.
    pub known_as: String,
}

/// A `*` and the tables it stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wildcard {
    /// `t` of `t.*`.
    pub of: Option<String>,
    /// Index in [`ColumnUses::from_lists`]. `None` for a wildcard inside an expression.
    pub from: Option<usize>,
    /// Position in the outermost select list. `None` for a wildcard elsewhere.
    pub place: Option<usize>,
}

/// A column that is an item of the outermost select list by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlainItem {
    pub place: usize,
    pub name: ColumnName,
    pub alias: Option<String>,
}

/// All uses of columns by a statement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnUses {
    pub tables: Vec<TableName>,
    /// Uses other than [`ColumnUses::plain`].
    pub uses: Vec<ColumnName>,
    /// The members of `uses` whose values the server converts to no other type. Such a column is a whole item of
    /// ORDER BY, GROUP BY or PARTITION BY, the operand of IS NULL, or an argument of a function such as `count`. A
    /// column with a part as item of the outermost select list, such as `list[1]`, is a member too.
    pub alone: Vec<ColumnName>,
    /// Names of CTEs, and aliases of sub-queries and functions in FROM.
    pub derived: BTreeSet<String>,
    pub plain: Vec<PlainItem>,
    pub wildcards: Vec<Wildcard>,
    /// For each SELECT with a wildcard, the tables in its FROM, in order. `None` stands for a sub-query or a function.
    /// The positions of the columns after a wildcard are known only if the wildcard covers exactly one table and that
    /// table has rules. Only then is the list of its columns known.
    pub from_lists: Vec<Vec<Option<TableName>>>,
    /// Whether an item of the outermost select list is a wildcard in parentheses. PostgreSQL expands it as if it had no
    /// parentheses, so the positions of the columns are unknown.
    pub expands: bool,
    /// Whether the statement has a NATURAL JOIN, a table whose alias has a column list, an aliased join in parentheses,
    /// or a misread `ONLY`. It is then unclear which table a column belongs to.
    pub renames: bool,
    /// Whether the outermost query has DISTINCT or sorts or groups by position.
    pub by_place: bool,
    /// Names that may be columns and whose meaning the walk did not record. The parser reads many words as a type or a
    /// prefix where a database reads a column (`text "x"`, `interval + 1`).
    pub unread: BTreeSet<String>,
}

/// Returns the positions of the result's columns that must be masked.
///
/// # Errors
///
/// [`Rejection::Column`] for the first use that a rule forbids.
pub fn judge(uses: Option<&ColumnUses>, ruled: &[RuledTable]) -> Result<BTreeSet<usize>, Rejection> {
    let Some(uses) = uses else {
        return match ruled.first() {
            None => Ok(BTreeSet::new()),
            Some(table) => Err(table.refuse("*")),
        };
    };
    ruled.iter().try_for_each(|table| uses.check(table))?;
    uses.masked_places(ruled)
}

impl ColumnUses {
    /// Refuses the uses of one table's columns that a rule forbids. The uses left are masked columns as items of the
    /// outermost select list, or in a wildcard there.
    ///
    /// # Errors
    ///
    /// [`Rejection::Column`] for the first use that a rule forbids.
    fn check(&self, table: &RuledTable) -> Result<(), Rejection> {
        if table.whole {
            return Err(table.refuse("*"));
        }
        let names: BTreeSet<&str> = self
            .tables
            .iter()
            .filter(|name| table.is_named(name.schema.as_deref(), &name.table))
            .map(|name| name.known_as.as_str())
            .collect();
        if names.is_empty() {
            // The database reads the table, but the text does not name it.
            return Err(table.refuse("*"));
        }
        // With a CTE or an alias of the same name, it is unclear what a name means.
        if self.renames || self.derived.contains(&table.table) {
            return Err(table.refuse("*"));
        }
        if let Some(name) = self.unread.iter().find(|name| table.denied.contains(*name) || table.masked.contains(*name))
        {
            return Err(table.refuse(name));
        }
        if self.unread.iter().any(|name| names.contains(name.as_str()) || self.may_rename(name)) {
            return Err(table.refuse("*"));
        }
        let means_table = |of: &str| self.may_mean(of, table);
        let means = |name: &ColumnName| {
            let is_ruled = table.denied.contains(&name.column) || table.masked.contains(&name.column);
            is_ruled && name.table.as_deref().is_none_or(means_table)
        };
        let rows = self.uses.iter().chain(self.plain.iter().map(|item| &item.name));
        // If the table has no column `name`, PostgreSQL reads `table.name` as `name(table)`.
        let is_call = |name: &ColumnName| {
            // `schema.table` as the beginning of `schema.table.column` is no call.
            let is_alias = self.tables.iter().any(|known| known.known_as == table.schema);
            let is_itself = name.table.as_ref() == Some(&table.schema)
                && name.column == table.table
                && !is_alias
                && !self.derived.contains(&table.schema);
            let is_column = table.columns.contains(&name.column) || SYSTEM_COLUMNS.contains(&name.column.as_str());
            !table.schema.is_empty() && !is_itself && !is_column
        };
        if rows.clone().any(|name| name.table.as_deref().is_some_and(means_table) && is_call(name)) {
            return Err(table.refuse("*"));
        }
        // A table's name used as a value is the whole row.
        if rows.clone().any(|name| name.table.is_none() && names.contains(name.column.as_str())) {
            return Err(table.refuse("*"));
        }
        if let Some(name) = self.uses.iter().find(|name| means(name)) {
            return Err(table.refuse(&name.column));
        }
        let is_noted = |name: &TableName| self.tables.contains(name);
        if self.from_lists.iter().flatten().flatten().any(|name| !is_noted(name)) {
            return Err(table.refuse("*"));
        }
        for wildcard in &self.wildcards {
            let covers = match &wildcard.of {
                // A table with an alias that the walk did not record: the positions of its columns are unknown.
                Some(of) if !self.is_known(of) => return Err(table.refuse("*")),
                Some(of) => means_table(of),
                None => self
                    .tables_of(wildcard)
                    .iter()
                    .flatten()
                    .any(|name| table.is_named(name.schema.as_deref(), &name.table)),
            };
            if covers && (!table.denied.is_empty() || wildcard.place.is_none()) {
                return Err(table.refuse("*"));
            }
        }
        for item in &self.plain {
            if table.denied.contains(&item.name.column) && means(&item.name) {
                return Err(table.refuse(&item.name.column));
            }
        }
        Ok(())
    }

    /// Returns the positions of the result's columns that must be masked. Positions after a wildcard are known only if its
    /// columns are known.
    ///
    /// # Errors
    ///
    /// [`Rejection::Column`] for a column that cannot be masked safely.
    fn masked_places(&self, ruled: &[RuledTable]) -> Result<BTreeSet<usize>, Rejection> {
        let mut masked = BTreeSet::new();
        let mut shift = if self.expands { None } else { Some(0usize) };
        let mut items: Vec<(usize, Item<'_>)> = self.plain.iter().map(|item| (item.place, Item::Plain(item))).collect();
        items.extend(self.wildcards.iter().filter_map(|wildcard| Some((wildcard.place?, Item::Wildcard(wildcard)))));
        items.sort_by_key(|(place, _)| *place);
        let find = |name: &TableName| ruled.iter().find(|table| table.is_named(name.schema.as_deref(), &name.table));
        for (place, item) in items {
            match item {
                Item::Plain(item) => {
                    let owner = ruled.iter().find(|table| {
                        table.masked.contains(&item.name.column)
                            && item.name.table.as_deref().is_none_or(|of| self.may_mean(of, table))
                    });
                    let Some(owner) = owner else { continue };
                    let alias = item.alias.as_ref().unwrap_or(&item.name.column);
                    // ORDER BY may contain this alias. The parser may have read it there as a value (`true`,
                    // `interval DESC`).
                    let sorted = self.by_place
                        || self.unread.contains(alias)
                        || self.uses.iter().any(|name| name.table.is_none() && name.column == *alias);
                    match shift.filter(|_| !sorted) {
                        Some(shift) => masked.insert(place + shift),
                        None => return Err(owner.refuse(&item.name.column)),
                    };
                }
                Item::Wildcard(wildcard) => {
                    let stands_for = |name: &&Option<TableName>| match (&wildcard.of, name) {
                        (None, _) => true,
                        (Some(of), Some(name)) => name.known_as == *of,
                        (Some(_), None) => false,
                    };
                    let tables: Vec<&Option<TableName>> = self.tables_of(wildcard).iter().filter(stands_for).collect();
                    let ruled_one = match tables.as_slice() {
                        [Some(name)] => find(name),
                        _ => None,
                    };
                    let Some(table) = ruled_one else {
                        let covered = tables.iter().filter_map(|name| name.as_ref()).find_map(find);
                        if let Some(table) = covered {
                            return Err(table.refuse("*"));
                        }
                        shift = None;
                        continue;
                    };
                    let Some(before) = shift.filter(|_| !self.by_place) else { return Err(table.refuse("*")) };
                    let places = table.columns.iter().enumerate().filter(|(_, column)| table.masked.contains(*column));
                    masked.extend(places.map(|(at, _)| place + before + at));
                    shift = Some(before + table.columns.len().saturating_sub(1));
                }
            }
        }
        Ok(masked)
    }

    /// The tables in FROM of the SELECT that has the wildcard.
    fn tables_of(&self, wildcard: &Wildcard) -> &[Option<TableName>] {
        wildcard.from.and_then(|index| self.from_lists.get(index)).map_or(&[], Vec::as_slice)
    }

    /// Whether the statement defines the qualifier: as a table, a CTE or an alias in FROM.
    fn is_known(&self, of: &str) -> bool {
        self.tables.iter().any(|name| name.known_as == of) || self.derived.contains(of)
    }

    /// Whether a name that the walk did not record may be an alias of a table or of a column. The parser drops some words
    /// that a database reads as an alias. Words of the grammar are not counted, unless the statement uses the word as a
    /// column or a qualifier too.
    fn may_rename(&self, name: &str) -> bool {
        let mut uses = self.uses.iter().chain(self.plain.iter().map(|item| &item.name));
        !GRAMMAR_WORDS.split_ascii_whitespace().any(|word| word == name)
            || uses.any(|used| {
                used.table.as_deref() == Some(name)
                    || used.table.is_none() && used.column == name && !self.is_known(name)
            })
    }

    /// Whether a qualifier may mean the table. False if the qualifier is known to mean something else.
    fn may_mean(&self, of: &str, table: &RuledTable) -> bool {
        let named = |name: &&TableName| name.known_as == of;
        let is_this = |name: &TableName| table.is_named(name.schema.as_deref(), &name.table);
        let mut meant = self.tables.iter().filter(named).peekable();
        if meant.peek().is_some() { meant.any(is_this) } else { !self.derived.contains(of) }
    }
}

enum Item<'a> {
    Plain(&'a PlainItem),
    Wildcard(&'a Wildcard),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `SELECT .. FROM users WORD`, where the parser dropped the word that a database reads as an alias.
    #[test]
    fn a_dropped_alias_hides_no_column() {
        let users = RuledTable {
            table: "users".into(),
            columns: vec!["id".into(), "email".into()],
            masked: BTreeSet::from(["email".to_owned()]),
            ..RuledTable::default()
        };
        let table = TableName { schema: None, table: "users".into(), known_as: "users".into() };
        let dropped = |word: &str, uses: ColumnUses| {
            let unread = BTreeSet::from([word.to_owned()]);
            let uses =
                ColumnUses { tables: vec![table.clone()], from_lists: vec![vec![Some(table.clone())]], unread, ..uses };
            judge(Some(&uses), std::slice::from_ref(&users))
        };
        let name =
            |table: Option<&str>, column: &str| ColumnName { table: table.map(str::to_owned), column: column.into() };
        let plain = |name: ColumnName| ColumnUses {
            plain: vec![PlainItem { place: 0, name, alias: None }],
            ..ColumnUses::default()
        };
        let star = |of: &str| ColumnUses {
            wildcards: vec![Wildcard { of: Some(of.into()), from: Some(0), place: Some(0) }],
            ..ColumnUses::default()
        };
        // A word that no grammar has at this place is refused whatever the statement does with it.
        assert!(dropped("global", plain(name(None, "id"))).is_err());
        // A word of the grammar is refused where it is used as a name: as a qualifier, as a row, before a wildcard.
        assert!(dropped("next", plain(name(None, "id"))).is_ok());
        assert!(dropped("next", plain(name(Some("next"), "id"))).is_err());
        assert!(dropped("next", plain(name(None, "next"))).is_err());
        assert!(dropped("next", star("next")).is_err());
        assert!(dropped("next", star("other")).is_err());
        assert_eq!(dropped("next", star("users")).unwrap(), BTreeSet::from([1]));
    }

    #[test]
    fn patterns_read_both_ways() {
        let rules = ColumnRules::new(
            [
                ("hr.*", RuleKind::Deny),
                ("users.ssn", RuleKind::Deny),
                ("*.e*mail", RuleKind::Mask),
                ("sec*", RuleKind::Deny),
            ]
            .map(|(pattern, kind)| ColumnRule::new(pattern, kind).unwrap())
            .to_vec(),
        );
        assert!(rules.denies_table("hr", "pay") && rules.denies_table("public", "Secrets"));
        assert!(!rules.denies_table("public", "users"));
        assert_eq!(rules.of_column("public", "users", "SSN"), Some(RuleKind::Deny));
        assert_eq!(rules.of_column("public", "users", "e_mail"), Some(RuleKind::Mask));
        assert_eq!(rules.of_column("", "hr", "any"), Some(RuleKind::Deny));
        assert_eq!(rules.of_column("public", "users", "id"), None);
        assert!(ColumnRule::new("a..b", RuleKind::Deny).is_err() && ColumnRule::new("a", RuleKind::Mask).is_err());
    }
}
