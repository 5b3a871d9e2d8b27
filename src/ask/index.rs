//! The search index over one schema snapshot. It maps the stemmed words of names, comments and stored values to tables.
//! It is built once per snapshot. The cost of a search depends on its hits, not on the size of the schema. Pure.

use std::collections::{HashMap, HashSet};

use rust_stemmers::{Algorithm, Stemmer};

use crate::database::catalog::{Snapshot, TableDescription};

/// The weight of a word, by the place where it occurs.
const IN_TABLE_NAME: f32 = 3.0;
const IN_COLUMN_NAME: f32 = 1.2;
const IN_TABLE_COMMENT: f32 = 0.8;
const IN_COLUMN_COMMENT: f32 = 0.6;
const STORED_VALUE: f32 = 2.0;
/// Share of a table's score that is added to the tables joined to it by a foreign key.
const NEIGHBOUR_SHARE: f32 = 0.35;
/// Words that a stored value in the index has at most.
const VALUE_WORDS: usize = 5;

/// The index. Numbers are positions in the snapshot's lists of tables, columns and values.
#[derive(Debug, Default)]
pub struct Index {
    tables: usize,
    /// From a stem to the tables that contain it, each with the highest weight among its places.
    stems: HashMap<String, Vec<(u32, f32)>>,
    /// From a stored value's words, joined by spaces, to its positions (table, column, value).
    values: HashMap<String, Vec<(u32, u32, u32)>>,
    /// For each table, the tables joined to it by a foreign key in either direction.
    neighbours: Vec<Vec<u32>>,
}

/// A stored value that the question contains: the positions of table, column and value.
pub type ValueHit = (usize, usize, usize);

impl Index {
    pub fn new(snapshot: &Snapshot) -> Self {
        let stemmer = Stemmer::create(Algorithm::English);
        let mut index = Index { tables: snapshot.tables.len(), ..Index::default() };
        let place: HashMap<&str, u32> = snapshot.tables.iter().map(|table| table.name.as_str()).zip(0..).collect();
        index.neighbours = vec![Vec::new(); snapshot.tables.len()];
        for (table, t) in snapshot.tables.iter().zip(0u32..) {
            let mut told: HashMap<String, f32> = HashMap::new();
            let mut tell = |text: &str, weight: f32| {
                for word in words(text) {
                    let slot = told.entry(stemmer.stem(&word).into_owned()).or_default();
                    *slot = slot.max(weight);
                }
            };
            tell(&table.name, IN_TABLE_NAME);
            tell(table.comment.as_deref().unwrap_or_default(), IN_TABLE_COMMENT);
            for column in &table.columns {
                tell(&column.name, IN_COLUMN_NAME);
                tell(column.comment.as_deref().unwrap_or_default(), IN_COLUMN_COMMENT);
            }
            for (stem, weight) in told {
                index.stems.entry(stem).or_default().push((t, weight));
            }
            for (column, c) in table.columns.iter().zip(0u32..) {
                for (value, v) in column.values.iter().zip(0u32..) {
                    let spelt: Vec<String> = words(value).collect();
                    if !spelt.is_empty() && spelt.len() <= VALUE_WORDS {
                        index.values.entry(spelt.join(" ")).or_default().push((t, c, v));
                    }
                }
            }
            for key in &table.foreign_keys {
                let Some(&other) = place.get(key.references.as_str()) else { continue };
                for (from, to) in [(t, other), (other, t)] {
                    if let Some(list) = index.neighbours.get_mut(from as usize) {
                        list.push(to);
                    }
                }
            }
        }
        // The order of a hash map differs from run to run.
        index.stems.values_mut().for_each(|list| list.sort_by_key(|(table, _)| *table));
        index
    }

    /// Tables with their scores, best first, ties in the snapshot's order. Tables with score zero are left out.
    pub fn rank(&self, question: &str) -> Vec<(usize, f32)> {
        let mut scores: HashMap<u32, f32> = HashMap::new();
        let all = self.tables as f32;
        let mut add = |hits: &[(u32, f32)]| {
            let rare = (1.0 + all / (1.0 + hits.len() as f32)).ln();
            for (table, weight) in hits {
                *scores.entry(*table).or_default() += weight * rare;
            }
        };
        for stem in stems(question) {
            if let Some(hits) = self.stems.get(&stem) {
                add(hits);
            }
        }
        let mut seen = HashSet::new();
        for (spelt, places) in self.spelt(question) {
            if spelt.chars().count() > 2 && seen.insert(spelt) {
                let mut tables: Vec<(u32, f32)> = places.iter().map(|(table, _, _)| (*table, STORED_VALUE)).collect();
                tables.sort_by_key(|(table, _)| *table);
                tables.dedup_by_key(|(table, _)| *table);
                add(&tables);
            }
        }
        let own: Vec<(u32, f32)> = scores.iter().map(|(table, score)| (*table, *score)).collect();
        let mut total = scores.clone();
        for (table, score) in own {
            for other in self.neighbours.get(table as usize).into_iter().flatten() {
                let with_share = scores.get(other).copied().unwrap_or(0.0) + score * NEIGHBOUR_SHARE;
                let slot = total.entry(*other).or_default();
                *slot = slot.max(with_share);
            }
        }
        let mut ranked: Vec<(usize, f32)> = total.into_iter().map(|(table, score)| (table as usize, score)).collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        ranked
    }

    /// Stored values that the question contains, in the snapshot's order, without duplicates.
    pub fn value_hits(&self, question: &str) -> Vec<ValueHit> {
        let hits = self.spelt(question).flat_map(|(_, places)| places.iter());
        let mut hits: Vec<ValueHit> = hits.map(|(t, c, v)| (*t as usize, *c as usize, *v as usize)).collect();
        hits.sort_unstable();
        hits.dedup();
        hits
    }

    /// Runs of the question's words that are a stored value, each with the value's positions.
    fn spelt<'a>(&'a self, question: &str) -> impl Iterator<Item = (String, &'a [(u32, u32, u32)])> {
        let asked: Vec<String> = words(question).collect();
        let mut found = Vec::new();
        for start in 0..asked.len() {
            for length in 1..=VALUE_WORDS.min(asked.len() - start) {
                let Some(run) = asked.get(start..start + length) else { continue };
                let run = run.join(" ");
                if let Some(places) = self.values.get(&run) {
                    found.push((run, places.as_slice()));
                }
            }
        }
        found.into_iter()
    }
}

/// The distinct stems of the words in a text.
pub fn stems(text: &str) -> HashSet<String> {
    let stemmer = Stemmer::create(Algorithm::English);
    words(text).map(|word| stemmer.stem(&word).into_owned()).collect()
}

/// Positions of the columns to show when a table has more than `most`. Columns that the question names come before
/// keys, and keys before the rest. The result is in the table's order.
pub fn best_columns(table: &TableDescription, asked: &HashSet<String>, hits: &[usize], most: usize) -> Vec<usize> {
    let is_key = |name: &String| {
        table.primary_key.contains(name) || table.foreign_keys.iter().any(|key| key.columns.contains(name))
    };
    let mut order: Vec<(u8, usize)> = table
        .columns
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let named = hits.contains(&at) || stems(&column.name).iter().any(|stem| asked.contains(stem));
            (
                if named {
                    0
                } else if is_key(&column.name) {
                    1
                } else {
                    2
                },
                at,
            )
        })
        .collect();
    order.sort_unstable();
    let mut chosen: Vec<usize> = order.into_iter().take(most).map(|(_, at)| at).collect();
    chosen.sort_unstable();
    chosen
}

/// Lower-case words, split at every character that is no letter or digit, and inside `camelCase`.
pub fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).flat_map(|word| {
        let mut parts: Vec<String> = vec![String::new()];
        let mut was_lower = false;
        for character in word.chars() {
            if character.is_uppercase() && was_lower {
                parts.push(String::new());
            }
            was_lower = character.is_lowercase();
            if let Some(part) = parts.last_mut() {
                part.extend(character.to_lowercase());
            }
        }
        parts
    })
}
