//! The search index over one schema snapshot. It maps the stemmed words of names, comments and stored values to tables.
//! It is built once per snapshot. The cost of a search depends on its hits, not on the size of the schema. Pure.

use std::collections::{BTreeMap, HashMap, HashSet};

use rust_stemmers::{Algorithm, Stemmer};

use crate::database::catalog::{Snapshot, TableDescription};
use crate::model::builtin;

/// The weight of a word, by the place where it occurs.
const IN_TABLE_NAME: f32 = 3.0;
const IN_COLUMN_NAME: f32 = 1.2;
const IN_TABLE_COMMENT: f32 = 0.8;
const IN_COLUMN_COMMENT: f32 = 0.6;
const STORED_VALUE: f32 = 2.0;
/// Share of a word's weight that its parts have: `orderitems` is also `order` and `items`.
const OF_PART: f32 = 0.6;
/// BM25's `k1`: how slowly the score saturates when a word occurs more often.
const K1: f32 = 3.0;
/// BM25's `b`: how strongly the score is normalised by the length of the table.
const B: f32 = 0.4;
/// Share of a table's score that is added to the tables joined to it by a foreign key.
const NEIGHBOUR_SHARE: f32 = 0.35;
/// Share of the best table's score that is added to each found table of the best schema. Other schemas get less.
const SCHEMA_SHARE: f32 = 0.5;
/// Maximum weight of a word of similar meaning, as a share of the weight of the asked word.
const OF_SYNONYM: f32 = 0.3;
/// The score of a schema is the sum of the scores of this many of its best tables.
const SCHEMA_TABLES: usize = 3;
/// Maximum number of words of a stored value in the index.
const VALUE_WORDS: usize = 5;
/// Minimum bytes of a part of a word.
const PART_BYTES: usize = 3;
/// Maximum bytes of a word that is split.
const LONGEST_SPLIT: usize = 40;
/// Words of a question that are ignored, because they name no table, column or value.
const STOP_WORDS: [&str; 72] = [
    "a", "all", "also", "an", "and", "any", "are", "as", "at", "be", "been", "but", "by", "can", "did", "do", "does",
    "each", "every", "find", "for", "from", "give", "had", "has", "have", "how", "i", "in", "is", "it", "its", "list",
    "many", "me", "more", "most", "much", "my", "no", "not", "of", "on", "or", "our", "out", "show", "than", "that",
    "the", "their", "them", "there", "these", "they", "this", "those", "to", "us", "was", "we", "were", "what", "when",
    "where", "which", "who", "whom", "whose", "will", "with", "you",
];

/// The index. Numbers are positions in the snapshot's lists of tables, columns and values.
#[derive(Debug, Default)]
pub struct Index {
    tables: usize,
    /// For each stem: the tables that contain it, each with the sum of the weights of the places where it occurs.
    stems: HashMap<String, Vec<(u32, f32)>>,
    /// For each table, the sum of the weights of its words, divided by the average of all tables.
    lengths: Vec<f32>,
    /// For each table, the position of its schema among all schemas. All are 0 on SQLite.
    schemas: Vec<u32>,
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
        let mut schemas: HashMap<&str, u32> = HashMap::new();
        // The words of all names. A word such as `orderitems` is split if both parts are among them.
        let names = snapshot
            .tables
            .iter()
            .flat_map(|table| table.columns.iter().map(|column| column.name.as_str()).chain([bare(table)]));
        let known: HashSet<String> = names.flat_map(words).filter(|word| word.chars().count() >= PART_BYTES).collect();
        for (table, t) in snapshot.tables.iter().zip(0u32..) {
            let mut told: HashMap<String, f32> = HashMap::new();
            let mut tell = |text: &str, weight: f32| {
                for word in words(text) {
                    for part in parts(&word, &known).into_iter().flatten() {
                        *told.entry(stemmer.stem(part).into_owned()).or_default() += weight * OF_PART;
                    }
                    *told.entry(stemmer.stem(&word).into_owned()).or_default() += weight;
                }
            };
            tell(&table.name, IN_TABLE_NAME);
            tell(table.comment.as_deref().unwrap_or_default(), IN_TABLE_COMMENT);
            for column in &table.columns {
                tell(&column.name, IN_COLUMN_NAME);
                tell(column.comment.as_deref().unwrap_or_default(), IN_COLUMN_COMMENT);
            }
            index.lengths.push(told.values().sum());
            let schema = table.name.strip_suffix(bare(table)).unwrap_or_default();
            let next = u32::try_from(schemas.len()).unwrap_or_default();
            index.schemas.push(*schemas.entry(schema).or_insert(next));
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
        let average = index.lengths.iter().sum::<f32>() / index.tables.max(1) as f32;
        index.lengths.iter_mut().for_each(|length| *length /= average.max(f32::MIN_POSITIVE));
        // The order of a hash map differs from run to run.
        index.stems.values_mut().for_each(|list| list.sort_by_key(|(table, _)| *table));
        index
    }

    /// Tables with their scores, best first, ties in the snapshot's order. Tables with score zero are left out.
    ///
    /// The score is BM25 over the words of names and comments, with the stored values that the question contains. A table
    /// with a noun of similar meaning gets a part of that word's weight. A table joined to a table with a score gets a part of
    /// that score. Tables of the schemas with the best tables get a part of the best score.
    pub fn rank(&self, question: &str) -> Vec<(usize, f32)> {
        let mut scores: HashMap<u32, f32> = HashMap::new();
        let all = self.tables as f32;
        let mut add = |hits: &[(u32, f32)], share: f32| {
            let found = hits.len() as f32;
            let rare = (1.0 + (all - found + 0.5) / (found + 0.5)).ln();
            for (table, weight) in hits {
                let length = self.lengths.get(*table as usize).copied().unwrap_or(1.0);
                let often = weight * (K1 + 1.0) / (weight + K1 * (1.0 - B + B * length));
                *scores.entry(*table).or_default() += share * often * rare;
            }
        };
        let stemmer = Stemmer::create(Algorithm::English);
        let asked: HashSet<String> = words(question)
            .filter(|word| !STOP_WORDS.contains(&word.as_str()))
            .map(|word| stemmer.stem(&word).into_owned())
            .collect();
        let mut asked: Vec<String> = asked.into_iter().collect();
        asked.sort_unstable();
        let mut related: BTreeMap<String, f32> = BTreeMap::new();
        for stem in &asked {
            if let Some(hits) = self.stems.get(stem) {
                add(hits, 1.0);
            }
            for (other, closeness) in builtin::related_nouns(stem) {
                for word in
                    other.split(' ').filter(|word| asked.binary_search_by(|known| known.as_str().cmp(word)).is_err())
                {
                    let share = related.entry(word.to_owned()).or_default();
                    *share = share.max(OF_SYNONYM * closeness);
                }
            }
        }
        for (stem, share) in related {
            if let Some(hits) = self.stems.get(&stem) {
                add(hits, share);
            }
        }
        let mut seen = HashSet::new();
        for (spelt, places) in self.spelt(question) {
            let is_word = spelt.chars().count() > 2 && !STOP_WORDS.contains(&spelt.as_str());
            if is_word && seen.insert(spelt) {
                let mut tables: Vec<(u32, f32)> = places.iter().map(|(table, _, _)| (*table, STORED_VALUE)).collect();
                tables.sort_by_key(|(table, _)| *table);
                tables.dedup_by_key(|(table, _)| *table);
                add(&tables, 1.0);
            }
        }
        let mut own: Vec<(u32, f32)> = scores.iter().map(|(table, score)| (*table, *score)).collect();
        own.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let mut total = scores.clone();
        for (table, score) in &own {
            for other in self.neighbours.get(*table as usize).into_iter().flatten() {
                let with_share = scores.get(other).copied().unwrap_or(0.0) + score * NEIGHBOUR_SHARE;
                let slot = total.entry(*other).or_default();
                *slot = slot.max(with_share);
            }
        }
        self.add_schemas(&own, &mut total);
        let mut ranked: Vec<(usize, f32)> = total.into_iter().map(|(table, score)| (table as usize, score)).collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        ranked
    }

    /// Raises the scores of tables in the best schemas, because the tables that one question needs are mostly in one schema.
    /// `own` is sorted, best first.
    fn add_schemas(&self, own: &[(u32, f32)], total: &mut HashMap<u32, f32>) {
        let schema_of = |table: u32| self.schemas.get(table as usize).copied().unwrap_or_default();
        let mut of_schema: HashMap<u32, (usize, f32)> = HashMap::new();
        for (table, score) in own {
            let (tables, sum) = of_schema.entry(schema_of(*table)).or_default();
            if *tables < SCHEMA_TABLES {
                (*tables, *sum) = (*tables + 1, *sum + score);
            }
        }
        let most = of_schema.values().map(|(_, sum)| *sum).fold(0.0, f32::max);
        let best = own.first().map_or(0.0, |(_, score)| *score);
        if of_schema.len() < 2 || most <= 0.0 {
            return;
        }
        for (table, score) in total.iter_mut() {
            let sum = of_schema.get(&schema_of(*table)).map_or(0.0, |(_, sum)| *sum);
            *score += SCHEMA_SHARE * best * sum / most;
        }
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

/// The name of a table without its schema.
fn bare(table: &TableDescription) -> &str {
    match table.kin.first() {
        // Only the names of PostgreSQL have a schema. Its name may contain a dot in quotes, so the first dot may be part of it.
        Some((schema, _)) if !schema.is_empty() => {
            let quoted = crate::quoting::name(crate::dialect::Dialect::Postgresql, schema);
            table.name.strip_prefix(&quoted).and_then(|rest| rest.strip_prefix('.')).unwrap_or(&table.name)
        }
        _ => &table.name,
    }
}

/// The two known words that a word consists of. `None` if it consists of no such words.
fn parts<'a>(word: &'a str, known: &HashSet<String>) -> Option<[&'a str; 2]> {
    if word.len() > LONGEST_SPLIT {
        return None;
    }
    let places = word.char_indices().map(|(at, _)| at);
    places.filter(|at| *at >= PART_BYTES && word.len() - at >= PART_BYTES).find_map(|at| {
        let (first, second) = word.split_at(at);
        (known.contains(first) && known.contains(second)).then_some([first, second])
    })
}

/// The distinct stems of the words in a text.
pub fn stems(text: &str) -> HashSet<String> {
    let stemmer = Stemmer::create(Algorithm::English);
    words(text).map(|word| stemmer.stem(&word).into_owned()).collect()
}

/// Positions of the columns to show when a table has more than `most`. Chooses columns that the
/// question names first, then keys, then others. Returns the chosen columns in the table's order.
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
