//! Guesses the keys of databases that declare none, from the names of columns.

use std::borrow::Cow;

use super::schema::singulars;
use super::text::name_words;
use crate::database::catalog::{Snapshot, TableDescription, TableKind};

/// Returns the snapshot with a guessed primary key for each table that declares none. The guess is the first column, if its
/// name is `id` or that of the table with "id": `film_id` or `FilmID` of `films`. A database that declares a key
/// anywhere stays as it is.
pub(super) fn with_keys(snapshot: &Snapshot) -> Cow<'_, Snapshot> {
    if snapshot.tables.iter().any(|table| !table.primary_key.is_empty()) {
        return Cow::Borrowed(snapshot);
    }
    let mut owned = snapshot.clone();
    for table in &mut owned.tables {
        table.primary_key = own_key(table).into_iter().collect();
    }
    Cow::Owned(owned)
}

fn own_key(table: &TableDescription) -> Option<String> {
    let first = table.columns.first().filter(|_| table.kind == TableKind::Table)?;
    let bare = table.name.rsplit('.').next().unwrap_or_default();
    let words = name_words(&first.name);
    let (last, rest) = words.split_last()?;
    let is_own = rest.is_empty() || singulars(&rest.concat()) == singulars(&name_words(bare).concat());
    (last == "id" && is_own).then(|| first.name.clone())
}

/// True if a column refers to the key of this name: `depot_id`, and `origin_depot_id` too.
pub(super) fn refers(column: &str, key: &str) -> bool {
    let (column, key) = (name_words(column), name_words(key));
    key.len() > 1 && column.ends_with(&key)
}

#[cfg(test)]
mod tests {
    use super::super::tests::table;
    use super::*;

    #[test]
    fn the_first_column_called_id_is_the_key_of_a_table_without_keys() {
        let tables = [
            table("depots", &["id integer", "name text"], &[]),
            table("Film", &["FilmID integer", "Title text"], &[]),
            table("log", &["at text", "id integer"], &[]),
            table("visits", &["film_id integer", "day text"], &[]),
        ];
        let mut snapshot = Snapshot::of(tables.to_vec());
        for table in &mut snapshot.tables {
            table.primary_key.clear();
        }
        let keys: Vec<Vec<String>> =
            with_keys(&snapshot).tables.iter().map(|table| table.primary_key.clone()).collect();
        let none: Vec<String> = Vec::new();
        assert_eq!(keys, [vec!["id".to_owned()], vec!["FilmID".to_owned()], none.clone(), none]);
        snapshot.tables[0].primary_key = vec!["name".to_owned()];
        assert!(with_keys(&snapshot).tables[1].primary_key.is_empty());
    }

    #[test]
    fn a_role_before_the_key_refers_to_it_too() {
        assert!(refers("origin_depot_id", "depot_id") && refers("HomeTeamID", "team_id"));
        assert!(!refers("depot", "depot_id") && !refers("valid", "id"));
    }
}
