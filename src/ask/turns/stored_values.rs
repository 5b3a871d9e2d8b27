//! Looks up words of a question among the stored values, for the built-in answerer. The snapshot knows the values of small
//! columns only; a name such as "Burr Grinder" is in none of them.

use super::*;
use crate::database::catalog::{Column, TableDescription, TableKind};
use crate::model::builtin::{self, Found};

/// Maximum number of tables that are searched for one question.
const MOST_TABLES: usize = 12;

/// Maximum number of columns of a table that are searched.
const MOST_COLUMNS: usize = 6;

/// Maximum number of values that a table gives.
const MOST_VALUES: u64 = 40;

/// Tables with more rows by the planner's estimate are not searched: the search reads the whole table.
const MOST_ROWS: i64 = 1_000_000;

/// Time limit of all searches of one question.
const TIME_LIMIT: Duration = Duration::from_secs(2);

impl Question<'_> {
    /// Returns stored values that the question contains and the snapshot does not know. Each search is a statement with a
    /// record of its own. A search that fails finds nothing.
    pub(super) async fn stored_values(&self, snapshot: &Snapshot) -> Vec<Found> {
        let phrases = builtin::phrases(self.reading(), snapshot, self.today);
        let end = (Instant::now() + TIME_LIMIT).min(self.deadline);
        let caller = Caller { deadline: Some(end), ..self.caller.clone() };
        let mut found = Vec::new();
        if phrases.is_empty() {
            return found;
        }
        let is_searched = |(_, table): &(usize, &TableDescription)| {
            !matches!(table.kind, TableKind::View | TableKind::ForeignTable)
                && table.rows.is_none_or(|rows| rows <= MOST_ROWS)
        };
        // Tables that the question names come first. Reading a table with row-level security runs the policies of its owner, so
        // it is read only if the question names it.
        let named = builtin::named_tables(self.reading(), snapshot);
        let others = (0..snapshot.tables.len()).filter(|t| !named.contains(t));
        let others =
            others.filter(|t| snapshot.tables.get(*t).is_some_and(|table| !table.row_security && !table.is_shadowed));
        let order: Vec<usize> = named.iter().copied().chain(others).collect();
        let tables = order.iter().filter_map(|t| Some((*t, snapshot.tables.get(*t)?)));
        let mut left = MOST_TABLES;
        for (t, table) in tables.filter(is_searched) {
            let columns: Vec<(usize, &Column)> =
                table.columns.iter().enumerate().filter(|(_, column)| is_text(column)).take(MOST_COLUMNS).collect();
            if columns.is_empty() {
                continue;
            }
            if left == 0 || Instant::now() >= end {
                break;
            }
            left -= 1;
            let request = RunSql {
                sql: self.search(table, &columns, &phrases),
                max_rows: Some(MOST_VALUES),
                format: None,
                user_id: self.request.user_id.clone(),
                source: Some(self.source.name.clone()),
            };
            let Ok(read) = self.gateway.run_sql(&caller, &request, 0).await else { continue };
            if let Ran::Rows(rows) = &read.value {
                let json = rows.rows_json();
                let cells: Vec<(usize, String)> = serde_json::from_str(&json).unwrap_or_default();
                found.extend(cells.into_iter().filter_map(|(column, value)| {
                    let phrase = phrases
                        .iter()
                        .filter(|phrase| begins_with(&value, phrase))
                        .max_by_key(|phrase| phrase.len())?;
                    Some(Found { at: (t, column), value, phrase: phrase.clone() })
                }));
                let row_count = rows.row_count;
                read.close(Some(row_count), json.len());
            }
        }
        // Several values that begin with the words are several things that may be meant.
        let is_whole = |one: &Found| one.value.to_lowercase() == one.phrase;
        let same =
            |one: &Found| found.iter().filter(|other| other.phrase == one.phrase && other.value != one.value).count();
        found.iter().filter(|one| is_whole(one) || same(one) == 0).cloned().collect()
    }

    /// A statement that returns the number of a column and a value for each value that is one of the phrases.
    fn search(&self, table: &TableDescription, columns: &[(usize, &Column)], phrases: &[String]) -> String {
        let list = phrases.iter().map(|phrase| quoting::literal(phrase)).collect::<Vec<_>>().join(", ");
        let beginnings: Vec<String> = phrases
            .iter()
            .filter(|phrase| phrase.contains(' ') && !phrase.contains(['%', '_', '\\']))
            .map(|phrase| quoting::literal(&format!("{phrase} %")))
            .collect();
        let name = quoting::table(self.dialect, &table.name);
        let one = |(number, column): &(usize, &Column)| {
            let column = quoting::name(self.dialect, &column.name);
            let begins: String =
                beginnings.iter().map(|beginning| format!(" OR lower({column}) LIKE {beginning}")).collect();
            format!("SELECT DISTINCT {number}, {column} FROM {name} WHERE lower({column}) IN ({list}){begins}")
        };
        columns.iter().map(one).collect::<Vec<_>>().join(" UNION ALL ")
    }
}

/// Whether a value is the words, or begins with them.
fn begins_with(value: &str, phrase: &str) -> bool {
    let value = value.to_lowercase();
    value.strip_prefix(phrase).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

/// Whether a column has texts that the snapshot does not know in full.
fn is_text(column: &Column) -> bool {
    let kind = column.type_name.to_lowercase();
    let is_text = kind.is_empty() || ["char", "text", "clob", "string"].iter().any(|word| kind.contains(word));
    is_text && !kind.contains("[]") && !column.masked && (column.values.is_empty() || !column.has_all_values)
}
