//! Foreign keys as a graph: how one table reaches another without multiplying rows.
//!
//! Going up, from a row to the one row it refers to, never multiplies rows. Going down may. Callers join upwards only.

use std::collections::{HashMap, HashSet, VecDeque};

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

pub(super) struct Graph {
    edges: Vec<Edge>,
    up: HashMap<usize, Vec<usize>>,
    down: HashMap<usize, Vec<usize>>,
}

/// Maximum length of a path, in keys. A longer path is no reading of a question.
const DEPTH: usize = 4;

impl Graph {
    pub fn new(schema: &Schema) -> Self {
        let by_name: HashMap<&str, usize> =
            schema.tables().iter().enumerate().map(|(t, table)| (table.name.as_str(), t)).collect();
        let mut edges: Vec<Edge> = Vec::new();
        for (child, table) in schema.tables().iter().enumerate() {
            for key in &table.foreign_keys {
                // Equal ranges would lose rows: what overlaps belongs together, and is left to who writes the statement.
                let Some(&parent) = by_name.get(key.references.as_str()).filter(|_| !key.period) else { continue };
                let referenced = if key.referenced_columns.len() == key.columns.len() {
                    &key.referenced_columns
                } else {
                    &schema.table(parent).primary_key
                };
                if parent == child || referenced.len() != key.columns.len() || key.columns.is_empty() {
                    continue;
                }
                let pairs = key.columns.iter().cloned().zip(referenced.iter().cloned()).collect();
                edges.push(Edge { child, parent, pairs, guessed: false });
            }
        }
        edges.extend(guesses(schema));
        edges.sort_by(|a, b| (a.child, a.parent, &a.pairs).cmp(&(b.child, b.parent, &b.pairs)));
        edges.dedup_by(|a, b| a.child == b.child && a.parent == b.parent && a.pairs == b.pairs);
        let mut up: HashMap<usize, Vec<usize>> = HashMap::new();
        let mut down: HashMap<usize, Vec<usize>> = HashMap::new();
        for (i, edge) in edges.iter().enumerate() {
            up.entry(edge.child).or_default().push(i);
            down.entry(edge.parent).or_default().push(i);
        }
        Self { edges, up, down }
    }

    /// Tables that refer to `t` directly, in order.
    pub fn children(&self, t: usize) -> Vec<usize> {
        let ids = self.down.get(&t).map(Vec::as_slice).unwrap_or_default();
        let mut out: Vec<usize> = ids.iter().filter_map(|&i| self.edges.get(i)).map(|edge| edge.child).collect();
        out.dedup();
        out
    }

    /// Returns the shortest path up from `from` to `to`. `None` if there is none, or two of the same length.
    pub fn climb(&self, from: usize, to: usize) -> Option<Vec<Edge>> {
        if from == to {
            return Some(Vec::new());
        }
        let reached = self.above(from);
        let mut way = Vec::new();
        let mut at = to;
        while at != from {
            let (_, edge, only) = reached.get(&at)?;
            if !only {
                return None;
            }
            let edge = self.edges.get((*edge)?)?;
            way.push(edge.clone());
            at = edge.child;
        }
        way.reverse();
        Some(way)
    }

    /// Every table above `from`: its distance, the last key of the path, and whether no other path is as short.
    fn above(&self, from: usize) -> HashMap<usize, (usize, Option<usize>, bool)> {
        let mut reached = HashMap::from([(from, (0, None, true))]);
        let mut queue = VecDeque::from([from]);
        while let Some(t) = queue.pop_front() {
            let Some(&(depth, _, only)) = reached.get(&t) else { continue };
            if depth >= DEPTH {
                continue;
            }
            for &i in self.up.get(&t).map(Vec::as_slice).unwrap_or_default() {
                let Some(edge) = self.edges.get(i) else { continue };
                match reached.get_mut(&edge.parent) {
                    None => {
                        reached.insert(edge.parent, (depth + 1, Some(i), only));
                        queue.push_back(edge.parent);
                    }
                    Some(known) if known.0 == depth + 1 => known.2 = false,
                    Some(_) => {}
                }
            }
        }
        reached
    }

    /// Every table above `from` that has only one shortest path, with its distance.
    pub fn reach(&self, from: usize) -> Vec<(usize, usize)> {
        self.above(from).into_iter().filter(|(_, (_, _, only))| *only).map(|(t, (depth, _, _))| (t, depth)).collect()
    }

    /// Tables from which `t` can be reached upwards, with the distance.
    fn below(&self, t: usize) -> HashMap<usize, usize> {
        let mut reached = HashMap::from([(t, 0)]);
        let mut queue = VecDeque::from([t]);
        while let Some(at) = queue.pop_front() {
            let depth = reached.get(&at).copied().unwrap_or(DEPTH);
            if depth >= DEPTH {
                continue;
            }
            for child in self.children(at) {
                if let std::collections::hash_map::Entry::Vacant(e) = reached.entry(child) {
                    e.insert(depth + 1);
                    queue.push_back(child);
                }
            }
        }
        reached
    }

    /// The table from which one path leads up to each table of `needed`. A needed table wins; else the table between
    /// them, if there is exactly one.
    pub fn root(&self, needed: &[usize]) -> Option<usize> {
        let fits = |r: usize| needed.iter().all(|&t| self.climb(r, t).is_some());
        if let Some(&r) = needed.iter().find(|&&r| fits(r)) {
            return Some(r);
        }
        let mut common: Option<HashSet<usize>> = None;
        for &t in needed {
            let below: HashSet<usize> = self.below(t).into_keys().collect();
            common = Some(common.map_or_else(|| below.clone(), |seen| seen.intersection(&below).copied().collect()));
        }
        let mut roots: Vec<usize> = common.unwrap_or_default().into_iter().collect();
        roots.sort_unstable();
        // A table that merely refers to another candidate adds nothing.
        let all = roots.clone();
        roots.retain(|&r| !all.iter().any(|&other| other != r && self.above(r).contains_key(&other)));
        match roots.as_slice() {
            [only] if fits(*only) => Some(*only),
            _ => None,
        }
    }

    /// Whether the engine can join the two tables.
    pub fn linked(&self, a: usize, b: usize) -> bool {
        self.root(&[a, b]).is_some()
    }
}

/// Guesses the keys of a database that declares none: `customer_id` refers to `customers.id`, or to the one table whose
/// primary key has that name.
fn guesses(schema: &Schema) -> Vec<Edge> {
    if schema.tables().iter().any(|table| !table.foreign_keys.is_empty()) {
        return Vec::new();
    }
    let mut targets: HashMap<String, Vec<(usize, String)>> = HashMap::new();
    for (t, table) in schema.tables().iter().enumerate() {
        let [key] = table.primary_key.as_slice() else { continue };
        let name = if key.eq_ignore_ascii_case("id") {
            format!("{}_id", singulars(schema.bare(t)))
        } else {
            key.to_lowercase()
        };
        targets.entry(name).or_default().push((t, key.clone()));
    }
    let mut edges = Vec::new();
    for (child, table) in schema.tables().iter().enumerate() {
        if schema.is_view(child) {
            continue;
        }
        for (at, column) in schema.columns(child) {
            let own = matches!(table.primary_key.as_slice(), [key] if *key == column.name);
            if let Some([(parent, key)]) = targets.get(&column.name.to_lowercase()).map(Vec::as_slice) {
                let same = schema
                    .find(*parent, key)
                    .is_some_and(|other| (schema.holds(other) == Holds::Number) == (schema.holds(at) == Holds::Number));
                if *parent != child && !own && same {
                    edges.push(Edge {
                        child,
                        parent: *parent,
                        pairs: vec![(column.name.clone(), key.clone())],
                        guessed: true,
                    });
                }
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

    fn position(snapshot: &Snapshot, name: &str) -> usize {
        snapshot.tables.iter().position(|table| table.name == name).unwrap()
    }

    #[test]
    fn climbs_and_finds_roots() {
        let snapshot = shop("");
        let schema = Schema::new(&snapshot);
        let graph = Graph::new(&schema);
        let at = |name: &str| position(&snapshot, name);
        assert_eq!(graph.climb(at("order_items"), at("customers")).unwrap().len(), 2);
        assert!(graph.climb(at("customers"), at("orders")).is_none());
        assert_eq!(graph.root(&[at("customers"), at("orders")]), Some(at("orders")));
        assert_eq!(graph.root(&[at("orders"), at("categories")]), Some(at("order_items")));
        // There are two paths: by sales and by reviews.
        assert_eq!(graph.root(&[at("customers"), at("products")]), None);
    }

    #[test]
    fn two_keys_to_one_table_are_no_single_way() {
        let snapshot = Snapshot::of(vec![
            table(
                "games",
                &["id integer", "home_id integer", "away_id integer"],
                &[("home_id", "teams", "id"), ("away_id", "teams", "id")],
            ),
            table("teams", &["id integer", "name text"], &[]),
        ]);
        assert!(Graph::new(&Schema::new(&snapshot)).climb(0, 1).is_none());
    }

    #[test]
    fn guesses_keys_by_name_where_none_are_declared() {
        let snapshot = Snapshot::of(vec![
            table("customers", &["id integer", "name text"], &[]),
            table("orders", &["id integer", "customer_id integer"], &[]),
        ]);
        let way = Graph::new(&Schema::new(&snapshot)).climb(1, 0).unwrap();
        assert!(way.iter().all(|edge| edge.guessed));
    }
}
