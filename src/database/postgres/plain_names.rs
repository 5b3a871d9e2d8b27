//! Remembers what short look-ups found, so that a new statement over the same tables needs no look-up, and its
//! transaction can begin under the path for a caller's text.
//!
//! [`plain`](super::plain) judges each name of a statement for itself, and casts and operator classes of the whole
//! database. So after one plain statement it is enough to know the names of those objects of users that make a statement
//! not plain, and the relations that were found. All is forgotten together with the shapes of statements
//! ([`Shapes`](super::shapes::Shapes)), and under another path of the caller.

use std::collections::{BTreeMap, HashMap, HashSet};

use sqlx::postgres::PgConnection;

use super::catalog::own;
use super::catalog_check::OPERATORS_OF_KEYWORDS;
use super::lossy;
use super::plain::{OPERATOR, Sought, TYPE};

/// Maximum number of names of each kind in [`UsersNames`].
const MOST_NAMES: usize = 10_000;

/// Maximum number of remembered relations. All are forgotten when there would be more.
const MOST_RELATIONS: usize = 4_096;

/// Maximum bytes of a remembered name. PostgreSQL truncates longer names (`NAMEDATALEN`).
const MAX_NAME_BYTES: usize = 63;

/// After this number of look-ups since the last change of the catalog, the names of users' objects are read.
const LOOK_UPS: u32 = 4;

/// After this number of changes of the catalog, the names of users' objects are read again if there were too many.
const SKIPPED_CHANGES: u32 = 50;

/// Names of users' functions, and of the operators and types that make a statement not plain.
#[derive(Debug, Default)]
pub(super) struct UsersNames {
    functions: HashSet<String>,
    operators: HashSet<String>,
    types: HashSet<String>,
}

impl UsersNames {
    /// Reads the names. `None` if there are more than [`MOST_NAMES`] of a kind. Must run under
    /// [`OWN_PATH`](super::OWN_PATH).
    ///
    /// # Errors
    ///
    /// Those of the query.
    pub(super) async fn read(connection: &mut PgConnection) -> Result<Option<Self>, sqlx::Error> {
        let most = MOST_NAMES + 1;
        let query = format!(
            "SELECT ARRAY(SELECT DISTINCT p.proname::text FROM pg_proc p WHERE p.oid >= 16384 LIMIT {most}),
               ARRAY(SELECT DISTINCT o.oprname::text FROM pg_operator o WHERE {OPERATOR} LIMIT {most}),
               ARRAY(SELECT DISTINCT t.typname::text FROM pg_type t LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typtype = 'b'
                 WHERE t.oid >= 16384 AND ({TYPE}) LIMIT {most})"
        );
        let row = sqlx::query(own(query)).persistent(false).fetch_one(connection).await?;
        let names = |at: usize| lossy::texts(&row, at).map(HashSet::from_iter);
        let found = UsersNames { functions: names(0)?, operators: names(1)?, types: names(2)? };
        let most = [&found.functions, &found.operators, &found.types].into_iter().map(HashSet::len).max();
        Ok(Some(found).filter(|_| most.is_some_and(|most| most <= MOST_NAMES)))
    }

    /// True if one of the names is that of a user's object.
    fn have_one_of(&self, sought: &Sought<'_>) -> bool {
        let mut operators = sought.operators().map(String::as_str).chain(OPERATORS_OF_KEYWORDS);
        sought.functions().any(|name| self.functions.contains(name))
            || operators.any(|name| self.operators.contains(name))
            // The type of an array has the name of its elements' type after a `_`.
            || !self.types.is_empty()
                && sought.types().any(|name| self.types.contains(name) || self.types.contains(&format!("_{name}")))
    }
}

/// See the documentation of the module.
#[derive(Debug, Default)]
pub(super) struct PlainNames {
    /// Number of look-ups that found a plain statement.
    look_ups: u32,
    /// `None` until they are read, and if there are too many.
    users: Option<UsersNames>,
    /// Number of changes of the catalog after which the names of users' objects are read again.
    skipped_changes: u32,
    /// The schemas of the caller's path for which the relations were found.
    schemas: Vec<String>,
    /// Relations as they are written. The value is the schema in which a relation written without a schema was found.
    relations: HashMap<(Option<String>, String), Option<String>>,
}

impl PlainNames {
    /// True if every name is known to be harmless.
    pub(super) fn has(&self, sought: &Sought<'_>) -> bool {
        self.users.as_ref().is_some_and(|users| !users.have_one_of(sought))
            && sought.relations().iter().all(|relation| self.relations.contains_key(relation))
    }

    /// What the short look-up would return: the relations that are written without a schema, each with the schema in
    /// which it is found. `None` if a name is not known, or if the caller's path was another one.
    pub(super) fn found(&self, sought: &Sought<'_>, schemas: &[String]) -> Option<BTreeMap<String, String>> {
        if self.schemas != schemas || !self.has(sought) {
            return None;
        }
        let found =
            |relation: &(Option<String>, String)| Some((relation.1.clone(), self.relations.get(relation)?.clone()?));
        Some(sought.relations().iter().filter_map(found).collect())
    }

    /// Remembers the relations of a statement that a short look-up found plain. `found` is its result. Returns true if
    /// the names of users' objects should be read now.
    pub(super) fn insert(&mut self, sought: &Sought<'_>, schemas: &[String], found: &BTreeMap<String, String>) -> bool {
        self.look_ups = self.look_ups.saturating_add(1);
        let relations = sought.relations();
        let is_long = |name: &String| name.len() > MAX_NAME_BYTES;
        if !relations.iter().any(|(schema, name)| is_long(name) || schema.as_ref().is_some_and(is_long)) {
            if self.schemas != schemas || self.relations.len() + relations.len() > MOST_RELATIONS {
                self.relations.clear();
                self.schemas = schemas.to_vec();
            }
            for relation in relations {
                let schema = if relation.0.is_none() { found.get(&relation.1).cloned() } else { None };
                self.relations.insert(relation.clone(), schema);
            }
        }
        self.look_ups == LOOK_UPS && self.skipped_changes == 0
    }

    pub(super) fn keep(&mut self, users: Option<UsersNames>) {
        self.skipped_changes = if users.is_none() { SKIPPED_CHANGES } else { 0 };
        self.users = users;
    }

    /// Forgets everything, after a change of the catalog.
    pub(super) fn forget(&mut self) {
        *self = PlainNames { skipped_changes: self.skipped_changes.saturating_sub(1), ..PlainNames::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::Names;

    fn names(functions: &[&str], relations: &[&str], types: &[&str]) -> Names {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Names {
            functions: owned(functions),
            reads: relations.iter().map(|name| (None, (*name).to_owned())).collect(),
            types: owned(types),
            uses: Some(crate::guard::columns::ColumnUses::default()),
            ..Names::default()
        }
    }

    fn path(schemas: &[&str]) -> Vec<String> {
        schemas.iter().map(|schema| (*schema).to_owned()).collect()
    }

    #[test]
    fn a_statement_over_known_tables_without_users_names_is_known() {
        let mut known = PlainNames::default();
        let public = path(&["pg_catalog", "public"]);
        let (orders, customers) = (names(&["count"], &["orders"], &[]), names(&["sum"], &["customers", "gone"], &[]));
        let in_public = |name: &str| BTreeMap::from([(name.to_owned(), "public".to_owned())]);
        assert!(!known.insert(&Sought::of(&orders).unwrap(), &public, &in_public("orders")));
        for number in 2..=LOOK_UPS {
            let is_time = known.insert(&Sought::of(&customers).unwrap(), &public, &in_public("customers"));
            assert_eq!(is_time, number == LOOK_UPS);
        }
        let both = names(&["avg"], &["orders", "customers", "gone"], &["alias"]);
        assert!(!known.has(&Sought::of(&both).unwrap()), "the names of users' objects are not read yet");

        let set = |name: &str| HashSet::from([name.to_owned()]);
        known.keep(Some(UsersNames { functions: set("lower"), operators: set("=="), types: set("_mood") }));
        let found = known.found(&Sought::of(&both).unwrap(), &public);
        let expected = ["orders", "customers"].map(|name| (name.to_owned(), "public".to_owned()));
        assert_eq!(found, Some(BTreeMap::from(expected)), "a missing relation stays missing");
        assert_eq!(known.found(&Sought::of(&both).unwrap(), &path(&["pg_catalog", "shop"])), None, "another path");
        let operators = Names { operators: vec!["==".to_owned()], ..names(&[], &["orders"], &[]) };
        let field = Names { fields: vec!["lower".to_owned()], ..names(&[], &["orders"], &[]) };
        let mut many = PlainNames::default();
        many.keep(None);
        let mut reads = 0;
        for _ in 0..=SKIPPED_CHANGES {
            reads +=
                (0..LOOK_UPS).filter(|_| many.insert(&Sought::of(&orders).unwrap(), &public, &BTreeMap::new())).count();
            many.forget();
        }
        assert_eq!(reads, 1, "too many names are read again after fifty changes");
        for other in [
            names(&["lower"], &["orders"], &[]),
            names(&["count"], &["payments"], &[]),
            names(&["count"], &["orders"], &["mood"]),
            operators,
            field,
        ] {
            assert_eq!(known.found(&Sought::of(&other).unwrap(), &public), None, "{other:?}");
        }
    }

    #[test]
    fn the_number_and_the_length_of_names_are_bounded() {
        let mut known = PlainNames { users: Some(UsersNames::default()), ..PlainNames::default() };
        let public = path(&["public"]);
        for number in 0..2 * MOST_RELATIONS {
            let one = names(&[], &[format!("t{number}").as_str()], &[]);
            known.insert(&Sought::of(&one).unwrap(), &public, &BTreeMap::new());
            assert!(known.relations.len() <= MOST_RELATIONS);
        }
        let long = "x".repeat(MAX_NAME_BYTES + 1);
        let long = names(&[], &[long.as_str()], &[]);
        known.insert(&Sought::of(&long).unwrap(), &public, &BTreeMap::new());
        assert!(!known.has(&Sought::of(&long).unwrap()));
    }
}
