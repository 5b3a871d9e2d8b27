//! Remembers the names that short look-ups found harmless. A new statement that uses no other names needs no look-up,
//! and its transaction can begin under the path for a caller's text.
//!
//! [`plain`](super::plain) judges each name of a statement for itself, and casts and operator classes of the whole
//! database. So a statement of names that were each part of some plain statement is plain too. The names are forgotten
//! together with the shapes of statements ([`Shapes`](super::shapes::Shapes)), and under another path of the caller.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::plain::Sought;

/// Maximum number of remembered names. All are forgotten when there would be more.
const MOST_NAMES: usize = 4_096;

/// Maximum bytes of a remembered name. PostgreSQL truncates longer names (`NAMEDATALEN`).
const MAX_NAME_BYTES: usize = 63;

/// See the documentation of the module.
#[derive(Debug, Default)]
pub(super) struct PlainNames {
    /// The schemas of the caller's path for which the relations were found.
    schemas: Vec<String>,
    functions: HashSet<String>,
    operators: HashSet<String>,
    types: HashSet<String>,
    /// Relations as they are written. The value is the schema in which a relation written without a schema was found.
    relations: HashMap<(Option<String>, String), Option<String>>,
}

impl PlainNames {
    /// True if every name is remembered.
    pub(super) fn has(&self, sought: &Sought<'_>) -> bool {
        sought.functions().all(|name| self.functions.contains(name))
            && sought.operators().all(|name| self.operators.contains(name))
            && sought.types().all(|name| self.types.contains(name))
            && sought.relations().iter().all(|relation| self.relations.contains_key(relation))
    }

    /// What the short look-up would return: the relations that are written without a schema, each with the schema in
    /// which it is found. `None` if a name is not remembered, or if the caller's path was another one.
    pub(super) fn found(&self, sought: &Sought<'_>, schemas: &[String]) -> Option<BTreeMap<String, String>> {
        if self.schemas != schemas || !self.has(sought) {
            return None;
        }
        let found =
            |relation: &(Option<String>, String)| Some((relation.1.clone(), self.relations.get(relation)?.clone()?));
        Some(sought.relations().iter().filter_map(found).collect())
    }

    /// Remembers the names of a statement that a short look-up found plain. `found` is its result.
    pub(super) fn insert(&mut self, sought: &Sought<'_>, schemas: &[String], found: &BTreeMap<String, String>) {
        let names = sought.functions().chain(sought.operators()).chain(sought.types());
        let relations = sought.relations().iter().flat_map(|(schema, name)| [schema.as_ref(), Some(name)]).flatten();
        let names = names.chain(relations);
        if names.clone().any(|name| name.len() > MAX_NAME_BYTES) {
            return;
        }
        let sum = self.functions.len() + self.operators.len() + self.types.len() + self.relations.len();
        if self.schemas != schemas || sum + names.count() > MOST_NAMES {
            *self = PlainNames { schemas: schemas.to_vec(), ..PlainNames::default() };
        }
        self.functions.extend(sought.functions().cloned());
        self.operators.extend(sought.operators().cloned());
        self.types.extend(sought.types().cloned());
        for relation in sought.relations() {
            let schema = if relation.0.is_none() { found.get(&relation.1).cloned() } else { None };
            self.relations.insert(relation.clone(), schema);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::Names;

    fn names(functions: &[&str], relations: &[&str]) -> Names {
        Names {
            functions: functions.iter().map(|name| (*name).to_owned()).collect(),
            reads: relations.iter().map(|name| (None, (*name).to_owned())).collect(),
            uses: Some(crate::guard::columns::ColumnUses::default()),
            ..Names::default()
        }
    }

    fn path(schemas: &[&str]) -> Vec<String> {
        schemas.iter().map(|schema| (*schema).to_owned()).collect()
    }

    #[test]
    fn a_statement_of_known_names_is_known() {
        let mut known = PlainNames::default();
        let public = path(&["pg_catalog", "public"]);
        let (counts, sums) = (names(&["count"], &["orders"]), names(&["sum"], &["customers", "gone"]));
        let in_public = |name: &str| BTreeMap::from([(name.to_owned(), "public".to_owned())]);
        known.insert(&Sought::of(&counts).unwrap(), &public, &in_public("orders"));
        known.insert(&Sought::of(&sums).unwrap(), &public, &in_public("customers"));

        let both = names(&["count", "sum"], &["orders", "customers", "gone"]);
        let found = known.found(&Sought::of(&both).unwrap(), &public);
        let expected = ["orders", "customers"].map(|name| (name.to_owned(), "public".to_owned()));
        assert_eq!(found, Some(BTreeMap::from(expected)), "a missing relation stays missing");
        assert_eq!(known.found(&Sought::of(&both).unwrap(), &path(&["pg_catalog", "shop"])), None, "another path");
        for other in [names(&["avg"], &["orders"]), names(&["count"], &["payments"])] {
            assert_eq!(known.found(&Sought::of(&other).unwrap(), &public), None);
        }
    }

    #[test]
    fn the_number_and_the_length_of_names_are_bounded() {
        let mut known = PlainNames::default();
        let public = path(&["public"]);
        for number in 0..2 * MOST_NAMES {
            let one = names(&[], &[format!("t{number}").as_str()]);
            known.insert(&Sought::of(&one).unwrap(), &public, &BTreeMap::new());
            assert!(known.relations.len() <= MOST_NAMES);
        }
        let long = "x".repeat(MAX_NAME_BYTES + 1);
        let long = names(&[], &[long.as_str()]);
        known.insert(&Sought::of(&long).unwrap(), &public, &BTreeMap::new());
        assert!(!known.has(&Sought::of(&long).unwrap()));
    }
}
