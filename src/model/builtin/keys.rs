//! Guesses the keys of databases that declare none, from the names of columns.

use super::schema::singulars;
use super::text::name_words;
use crate::database::catalog::{Snapshot, TableDescription, TableKind};

/// Returns a guessed primary key for each table. The list is empty if any table of the database declares a key. A table
/// without a guess has an empty key. The first column is guessed if its name is `id`, or the table's name followed by
/// "id". For the table `films`, this is `film_id` or `FilmID`.
pub(super) fn guessed(snapshot: &Snapshot) -> Vec<Vec<String>> {
    if snapshot.tables.iter().any(|table| !table.primary_key.is_empty()) {
        return Vec::new();
    }
    snapshot.tables.iter().map(|table| own_key(table).into_iter().collect()).collect()
}

fn own_key(table: &TableDescription) -> Option<String> {
    let first = table.columns.first().filter(|_| table.kind == TableKind::Table)?;
    let bare = table.name.rsplit('.').next().unwrap_or_default();
    let words = name_words(&first.name);
    let (last, rest) = words.split_last()?;
    let is_own = rest.is_empty() || singulars(&rest.concat()) == singulars(&name_words(bare).concat());
    (last == "id" && is_own).then(|| first.name.clone())
}

/// Whether a column refers to a key, judged by their names. `depot_id` and `origin_depot_id` refer to the key `depot_id`.
/// No column refers to a key of one word, such as `id`.
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
        let none: Vec<String> = Vec::new();
        assert_eq!(guessed(&snapshot), [vec!["id".to_owned()], vec!["FilmID".to_owned()], none.clone(), none]);
        snapshot.tables[0].primary_key = vec!["name".to_owned()];
        assert!(guessed(&snapshot).is_empty());
    }

    #[test]
    fn a_role_before_the_key_refers_to_it_too() {
        assert!(refers("origin_depot_id", "depot_id") && refers("HomeTeamID", "team_id"));
        assert!(!refers("depot", "depot_id") && !refers("valid", "id"));
    }
}
