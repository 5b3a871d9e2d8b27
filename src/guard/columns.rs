//! Rules about tables and columns: `deny` and `mask` of a source, and what a statement does with the columns they name.
//!
//! The walk notes every use of a column ([`ColumnUses`]); the engine says which of the statement's tables a rule
//! touches ([`RuledTable`]); [`judge`] compares the two. A name that could mean a ruled column counts as one, so that an
//! unclear lineage is refused. Pure.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Rejection;

/// What stands in place of a masked value.
pub const MASK: &str = "***";

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RuleKind {
    Deny,
    Mask,
}

/// One pattern of `deny` or `mask`: `table`, `table.column`, `schema.table` or `schema.table.column`, where `*` stands for
/// any characters of a part. Two parts are read both ways, because a SQLite table has no schema.
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
            return Err("names columns, such as \"users.email\"");
        }
        Ok(ColumnRule { parts, kind })
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

    /// Whether the rule says anything of the table or a column of it.
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

/// Compares without case; `*` stands for any characters.
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

    /// Whether anything is denied: the catalog then tells too much.
    pub fn denies(&self) -> bool {
        self.0.iter().any(|rule| rule.kind == RuleKind::Deny)
    }

    /// Whether the table as a whole is denied. `schema` is empty on SQLite.
    pub fn denies_table(&self, schema: &str, table: &str) -> bool {
        self.0.iter().any(|rule| rule.covers_table(schema, table))
    }

    /// Whether a rule says anything of the table or a column of it.
    pub fn touches(&self, schema: &str, table: &str) -> bool {
        self.0.iter().any(|rule| rule.touches(schema, table))
    }

    /// What applies to a column of a table that is not denied itself; a denial comes first.
    pub fn of_column(&self, schema: &str, table: &str, column: &str) -> Option<RuleKind> {
        let kinds = self.0.iter().filter(|rule| rule.covers_column(schema, table, column)).map(|rule| rule.kind);
        kinds.fold(None, |found, kind| if found == Some(RuleKind::Deny) { found } else { Some(kind) })
    }
}

/// A table of the statement that a rule touches, as the database describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuledTable {
    /// Empty on SQLite.
    pub schema: String,
    pub table: String,
    /// Its columns, in order.
    pub columns: Vec<String>,
    pub denied: BTreeSet<String>,
    pub masked: BTreeSet<String>,
    /// Denied as a whole, or a view whose columns cannot be told from ruled ones.
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

    /// The refusal of one column.
    pub fn refusal(&self, column: &str) -> Rejection {
        self.refuse(if self.denied.contains(column) { column } else { "*" })
    }

    fn refuse(&self, column: &str) -> Rejection {
        let table = if self.schema.is_empty() { self.table.clone() } else { format!("{}.{}", self.schema, self.table) };
        let is_denied = self.whole || column == "*" && !self.denied.is_empty() || self.denied.contains(column);
        Rejection::Column { column: format!("{table}.{column}"), is_denied, allowed: self.allowed() }
    }
}

/// A column as a statement names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnName {
    /// The last part before the column's own: a table or its alias.
    pub table: Option<String>,
    pub column: String,
}

/// A table as a statement names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableName {
    pub schema: Option<String>,
    pub table: String,
    /// Its alias, else its own name.
    pub known_as: String,
}

/// A `*` and the tables it stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wildcard {
    /// `t` of `t.*`.
    pub of: Option<String>,
    /// Tables in FROM of the same SELECT, in order; `None` stands for a sub-query, a function or a join by names, after
    /// which the places of columns are not known.
    pub from: Vec<Option<TableName>>,
    /// Place in the outermost select list; `None` for a wildcard elsewhere.
    pub place: Option<usize>,
}

/// A column that stands plainly in the outermost select list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlainItem {
    pub place: usize,
    pub name: ColumnName,
    pub alias: Option<String>,
}

/// Everything a statement does with columns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnUses {
    pub tables: Vec<TableName>,
    /// Uses other than [`ColumnUses::plain`].
    pub uses: Vec<ColumnName>,
    /// Names of CTEs, sub-queries and functions in FROM, whose columns are made elsewhere in the statement.
    pub derived: BTreeSet<String>,
    pub plain: Vec<PlainItem>,
    pub wildcards: Vec<Wildcard>,
    /// Whether something joins by the names of columns that are not written, or gives a table's columns new names.
    pub renames: bool,
    /// Whether the outermost query sorts or groups by the place of a column.
    pub by_place: bool,
    /// Names that may be columns and of which the walk did not note what they are: the parser takes many words for a
    /// type or a prefix (`text "x"`, `interval + 1`) where a database reads a column.
    pub unread: BTreeSet<String>,
}

/// Returns the places of the result's columns that have to be masked.
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
    let mut masked = BTreeSet::new();
    // Places before a wildcard that is not resolved are known; those after it have to wait for it.
    for table in ruled {
        if table.whole {
            return Err(table.refuse("*"));
        }
        let names: BTreeSet<&str> = uses
            .tables
            .iter()
            .filter(|name| table.is_named(name.schema.as_deref(), &name.table))
            .map(|name| name.known_as.as_str())
            .collect();
        if names.is_empty() {
            // The database met it by a way that the text does not show.
            return Err(table.refuse("*"));
        }
        // A CTE of the table's name makes it unclear which of the two a name means.
        if uses.renames || uses.derived.contains(&table.table) {
            return Err(table.refuse("*"));
        }
        if let Some(name) = uses.unread.iter().find(|name| table.denied.contains(*name) || table.masked.contains(*name))
        {
            return Err(table.refuse(name));
        }
        if uses.unread.iter().any(|name| names.contains(name.as_str())) {
            return Err(table.refuse("*"));
        }
        let means_table = |of: &str| uses.may_mean(of, table);
        let means = |name: &ColumnName| {
            let is_ruled = table.denied.contains(&name.column) || table.masked.contains(&name.column);
            is_ruled && name.table.as_deref().is_none_or(means_table)
        };
        let rows = uses.uses.iter().chain(uses.plain.iter().map(|item| &item.name));
        // A table's own name as a value is the whole row.
        if rows.clone().any(|name| name.table.is_none() && names.contains(name.column.as_str())) {
            return Err(table.refuse("*"));
        }
        if let Some(name) = uses.uses.iter().find(|name| means(name)) {
            return Err(table.refuse(&name.column));
        }
        for wildcard in &uses.wildcards {
            let covers = match &wildcard.of {
                Some(of) => means_table(of),
                None => wildcard.from.iter().flatten().any(|name| table.is_named(name.schema.as_deref(), &name.table)),
            };
            if covers && (!table.denied.is_empty() || wildcard.place.is_none()) {
                return Err(table.refuse("*"));
            }
        }
        for item in &uses.plain {
            if table.denied.contains(&item.name.column) && means(&item.name) {
                return Err(table.refuse(&item.name.column));
            }
        }
    }
    // What is left are masked columns that stand plainly, by name or by a wildcard over one table.
    // Places after a wildcard are known only when its table is.
    let mut shift = Some(0usize);
    let mut items: Vec<(usize, Item<'_>)> = uses.plain.iter().map(|item| (item.place, Item::Plain(item))).collect();
    items.extend(uses.wildcards.iter().filter_map(|wildcard| Some((wildcard.place?, Item::Wildcard(wildcard)))));
    items.sort_by_key(|(place, _)| *place);
    let find = |name: &TableName| ruled.iter().find(|table| table.is_named(name.schema.as_deref(), &name.table));
    for (place, item) in items {
        match item {
            Item::Plain(item) => {
                let owner = ruled.iter().find(|table| {
                    table.masked.contains(&item.name.column)
                        && item.name.table.as_deref().is_none_or(|of| uses.may_mean(of, table))
                });
                let Some(owner) = owner else { continue };
                let alias = item.alias.as_ref().unwrap_or(&item.name.column);
                let sorted =
                    uses.by_place || uses.uses.iter().any(|name| name.table.is_none() && name.column == *alias);
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
                let tables: Vec<&Option<TableName>> = wildcard.from.iter().filter(stands_for).collect();
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
                let Some(before) = shift.filter(|_| !uses.by_place) else { return Err(table.refuse("*")) };
                let places = table.columns.iter().enumerate().filter(|(_, column)| table.masked.contains(*column));
                masked.extend(places.map(|(at, _)| place + before + at));
                shift = Some(before + table.columns.len().saturating_sub(1));
            }
        }
    }
    Ok(masked)
}

impl ColumnUses {
    /// Whether a qualifier may stand for the table: it does not, when it is known to stand for another one.
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
