//! Foreign keys as a graph: how one table reaches another.
//!
//! Going up, from a row to the one row it refers to, never multiplies rows. Going down may, so what is down there goes into
//! a sub-query.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use super::keys::refers;
use super::schema::{Holds, Schema, singulars};

/// A foreign key, from the table that holds it to the table it refers to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Edge {
    pub child: usize,
    pub parent: usize,
    /// Column of the child, column of the parent.
    pub pairs: Vec<(String, String)>,
    /// Not declared in the database: guessed from equal names.
    pub guessed: bool,
}

impl Graph {
    /// The guessed keys between the named tables, as join conditions.
    pub fn guesses_between(&self, schema: &Schema, tables: &[String]) -> Vec<String> {
        let is_named = |t: usize| tables.contains(&schema.table(t).name);
        let guesses = self.edges.iter().filter(|edge| edge.guessed && is_named(edge.child) && is_named(edge.parent));
        let conditions = guesses.map(|edge| {
            let (child, parent) = (schema.table(edge.child), schema.table(edge.parent));
            let pairs = edge.pairs.iter().map(|(own, other)| {
                let (this, that) = (child.spelt_table(&child.name), parent.spelt_table(&parent.name));
                format!("{this}.{} = {that}.{}", child.spelt_column(own), parent.spelt_column(other))
            });
            pairs.collect::<Vec<_>>().join(" AND ")
        });
        conditions.collect()
    }
}

/// One step along a key: up from the row that refers to the one it refers to, or down.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    pub edge: Edge,
    pub is_up: bool,
}

impl Step {
    pub fn target(&self) -> usize {
        if self.is_up { self.edge.parent } else { self.edge.child }
    }
}

pub(super) struct Graph {
    edges: Vec<Edge>,
    of_table: HashMap<usize, Vec<usize>>,
}

/// Maximum length of a path, in keys. A longer path is no reading of a question.
const DEPTH: usize = 4;

/// Maximum number of equally short paths that are compared.
const MOST_PATHS: usize = 64;

impl Graph {
    pub fn new(schema: &Schema) -> Self {
        let by_name: HashMap<&str, usize> =
            schema.tables().iter().enumerate().map(|(t, table)| (table.name.as_str(), t)).collect();
        let mut edges: Vec<Edge> = Vec::new();
        for (child, table) in schema.tables().iter().enumerate() {
            for key in &table.foreign_keys {
                // A key over a period relates rows whose periods overlap. A join by equal periods would lose rows, so
                // such a key is not used.
                let Some(&parent) = by_name.get(key.references.as_str()).filter(|_| !key.period) else { continue };
                let referenced = if key.referenced_columns.len() == key.columns.len() {
                    &key.referenced_columns
                } else {
                    schema.primary_key(parent)
                };
                let is_whole = referenced.len() == key.columns.len() && !key.columns.is_empty();
                let is_there = |t: usize, names: &[String]| names.iter().all(|name| schema.find(t, name).is_some());
                if parent == child || !is_whole || !is_there(child, &key.columns) || !is_there(parent, referenced) {
                    continue;
                }
                let pairs = key.columns.iter().cloned().zip(referenced.iter().cloned()).collect();
                edges.push(Edge { child, parent, pairs, guessed: false });
            }
        }
        edges.extend(guesses(schema));
        edges.sort_by(|a, b| (a.child, a.parent, &a.pairs).cmp(&(b.child, b.parent, &b.pairs)));
        edges.dedup_by(|a, b| a.child == b.child && a.parent == b.parent && a.pairs == b.pairs);
        let mut of_table: HashMap<usize, Vec<usize>> = HashMap::new();
        for (i, edge) in edges.iter().enumerate() {
            of_table.entry(edge.child).or_default().push(i);
            of_table.entry(edge.parent).or_default().push(i);
        }
        Self { edges, of_table }
    }

    /// True for a column of a key, declared or guessed, to another table.
    pub fn is_reference(&self, t: usize, column: &str) -> bool {
        self.edges.iter().any(|edge| edge.child == t && edge.pairs.iter().any(|(own, _)| own == column))
    }

    /// Returns the best of the shortest paths between two tables. A path that only goes down or only up leads from rows to
    /// the rows that belong to them, and is better than one that turns. Among equal paths, those with the fewest steps down
    /// are better. At most [`MOST_PATHS`] paths are compared.
    pub fn paths(&self, from: usize, to: usize) -> Vec<Vec<Step>> {
        let mut distances = HashMap::from([(from, 0)]);
        let mut queue = VecDeque::from([from]);
        while let Some(t) = queue.pop_front() {
            let depth = distances.get(&t).copied().unwrap_or(DEPTH);
            if depth >= DEPTH || distances.contains_key(&to) {
                continue;
            }
            for step in self.steps(t) {
                if let Entry::Vacant(entry) = distances.entry(step.target()) {
                    entry.insert(depth + 1);
                    queue.push_back(step.target());
                }
            }
        }
        let mut found = Vec::new();
        if let Some(&length) = distances.get(&to) {
            self.extend(from, to, length, &mut Vec::new(), &mut found);
        }
        let turns = |path: &[Step]| path.windows(2).any(|pair| matches!(pair, [one, next] if one.is_up != next.is_up));
        let cost = |path: &Vec<Step>| (turns(path), path.iter().filter(|step| !step.is_up).count());
        found.sort_by_key(cost);
        let least = found.first().map(cost);
        found.retain(|path| Some(cost(path)) == least);
        found
    }

    /// Returns the paths between two tables that lead down and up again, over a table that refers to rows of both
    /// sides. Paths of all lengths up to [`DEPTH`] count: "customers of a product" may be those who bought it or
    /// those who reviewed it.
    pub fn bridges(&self, from: usize, to: usize) -> Vec<Vec<Step>> {
        let mut found = Vec::new();
        for length in 2..=DEPTH {
            self.extend(from, to, length, &mut Vec::new(), &mut found);
        }
        let is_bridge = |path: &Vec<Step>| {
            let down = path.iter().skip_while(|step| step.is_up).take_while(|step| !step.is_up).count();
            let up = path.iter().rev().take_while(|step| step.is_up).count();
            let first = path.iter().take_while(|step| step.is_up).count();
            let mut tables: Vec<usize> = path.iter().map(Step::target).collect();
            tables.push(from);
            tables.sort_unstable();
            let is_simple = tables.windows(2).all(|pair| pair.first() != pair.last());
            is_simple && down > 0 && up > 0 && first + down + up == path.len()
        };
        found.retain(is_bridge);
        let mut distinct: Vec<Vec<Step>> = Vec::new();
        for path in found {
            if !distinct.contains(&path) {
                distinct.push(path);
            }
        }
        distinct
    }

    fn extend(&self, from: usize, to: usize, left: usize, path: &mut Vec<Step>, found: &mut Vec<Vec<Step>>) {
        if found.len() >= MOST_PATHS {
            return;
        }
        if from == to {
            found.push(path.clone());
            return;
        }
        if left == 0 {
            return;
        }
        for step in self.steps(from).collect::<Vec<_>>() {
            let target = step.target();
            path.push(step);
            self.extend(target, to, left - 1, path, found);
            path.pop();
        }
    }

    fn steps(&self, t: usize) -> impl Iterator<Item = Step> + use<'_> {
        let ids = self.of_table.get(&t).map(Vec::as_slice).unwrap_or_default();
        ids.iter()
            .filter_map(|&i| self.edges.get(i))
            .map(move |edge| Step { edge: edge.clone(), is_up: edge.child == t })
    }

    /// Number of keys between two tables. `None` if there is no path.
    pub fn distance(&self, from: usize, to: usize) -> Option<usize> {
        if from == to { Some(0) } else { self.paths(from, to).first().map(Vec::len) }
    }
}

/// Guesses keys that are not declared. `customer_id` refers to `customers.id`, or to the one table whose primary key has
/// that name, in a database that declares no key; `flights.airline` refers to `airlines.uid` where no other key leads from
/// one table to the other.
fn guesses(schema: &Schema) -> Vec<Edge> {
    let has_keys = schema.tables().iter().any(|table| !table.foreign_keys.is_empty());
    let mut targets: HashMap<String, Vec<(usize, String)>> = HashMap::new();
    for t in 0..schema.tables().len() {
        let [key] = schema.primary_key(t) else { continue };
        let own = singulars(schema.bare(t));
        if !has_keys {
            let name = if key.eq_ignore_ascii_case("id") { format!("{own}_id") } else { key.to_lowercase() };
            targets.entry(name).or_default().push((t, key.clone()));
        }
        targets.entry(own).or_default().push((t, key.clone()));
    }
    let mut edges = Vec::new();
    for (child, table) in schema.tables().iter().enumerate() {
        if schema.is_view(child) {
            continue;
        }
        for (at, column) in schema.columns(child) {
            let is_key = matches!(schema.primary_key(child), [key] if *key == column.name)
                || table.foreign_keys.iter().any(|key| key.columns.contains(&column.name));
            let same = targets.get(&column.name.to_lowercase()).map(Vec::as_slice);
            // "origin_depot_id" refers to `depots.id`.
            let with_role = || {
                let mut all = targets.iter().filter(|(name, _)| !has_keys && refers(&column.name, name));
                all.next().filter(|_| all.next().is_none()).map(|(_, targets)| targets.as_slice())
            };
            let Some([(parent, key)]) = same.or_else(with_role) else { continue };
            let is_declared = table.foreign_keys.iter().any(|key| key.references == schema.table(*parent).name);
            let is_number = |at| schema.holds(at) == Holds::Number;
            let has_same_type = schema.find(*parent, key).is_some_and(|other| is_number(other) == is_number(at));
            // A text that has the name of a table is a name, not a key.
            let may_refer = !has_keys || is_number(at);
            if *parent != child && !is_key && !is_declared && has_same_type && may_refer {
                let pairs = vec![(column.name.clone(), key.clone())];
                edges.push(Edge { child, parent: *parent, pairs, guessed: true });
            }
        }
    }
    edges
}

#[cfg(test)]
mod tests {
    use super::super::tests::{shop, table};
    use super::*;
    use crate::database::catalog::Snapshot;

    #[test]
    fn finds_shortest_paths() {
        let snapshot = shop("");
        let graph = Graph::new(&Schema::new(&snapshot));
        let at = |name: &str| snapshot.tables.iter().position(|table| table.name == name).unwrap();
        let up = graph.paths(at("order_items"), at("customers"));
        assert!(up.len() == 1 && up[0].len() == 2 && up[0].iter().all(|step| step.is_up));
        assert!(!graph.paths(at("customers"), at("orders"))[0][0].is_up);
        // By sales and by reviews: the reviews are nearer.
        assert_eq!(graph.distance(at("customers"), at("products")), Some(2));
    }

    #[test]
    fn two_keys_to_one_table_are_two_paths() {
        let snapshot = Snapshot::of(vec![
            table(
                "games",
                &["id integer", "home_id integer", "away_id integer"],
                &[("home_id", "teams", "id"), ("away_id", "teams", "id")],
            ),
            table("teams", &["id integer", "name text"], &[]),
        ]);
        assert_eq!(Graph::new(&Schema::new(&snapshot)).paths(0, 1).len(), 2);
    }

    #[test]
    fn guesses_keys_by_name_where_none_are_declared() {
        let snapshot = Snapshot::of(vec![
            table("customers", &["id integer", "name text"], &[]),
            table("orders", &["id integer", "customer_id integer"], &[]),
        ]);
        let path = &Graph::new(&Schema::new(&snapshot)).paths(1, 0)[0];
        assert!(path.iter().all(|step| step.edge.guessed));
    }
}
