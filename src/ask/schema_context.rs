//! Which tables and columns the prompt shows: all of them when they fit the budget, else the best for the question.
//!
//! Ranking is lexical: words of names, comments and known values, stemmed and weighed by how rare they are, and then
//! the foreign-key neighbours of the best tables. Pure.

use std::collections::{HashMap, HashSet};

use rust_stemmers::{Algorithm, Stemmer};
use serde::Serialize;

use crate::database::catalog::{Snapshot, TableDescription};

/// What the prompt holds of the schema.
#[derive(Clone, Debug)]
pub struct SchemaContext {
    pub text: String,
    /// Whether every table is in `text`.
    pub whole: bool,
}

/// A table as it was ranked, best first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RankedTable {
    pub name: String,
    pub columns: Vec<String>,
    pub score: f64,
}

/// A stored value that the question names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MatchedValue {
    pub column: String,
    pub value: String,
}

/// Characters one token takes, about.
const CHARACTERS_PER_TOKEN: f64 = 3.5;
/// Part of a table's score that its foreign-key neighbours get.
const NEIGHBOUR_SHARE: f64 = 0.35;

/// Tokens a text takes, about.
pub fn tokens(text: &str) -> usize {
    (text.chars().count() as f64 / CHARACTERS_PER_TOKEN).ceil() as usize
}

/// The schema for the prompt: the whole one in the snapshot's order when it fits `whole_budget`, else the best ranked
/// tables within `ranked_budget`, in the snapshot's order too.
pub fn build(
    snapshot: &Snapshot,
    question: &str,
    whole_budget: usize,
    ranked_budget: usize,
    send_values: bool,
) -> SchemaContext {
    let lines: Vec<String> = snapshot.tables.iter().map(|table| line(table, send_values)).collect();
    let whole = lines.join("\n");
    if tokens(&whole) <= whole_budget {
        return SchemaContext { text: whole, whole: true };
    }
    let mut chosen: Vec<(usize, String)> = Vec::new();
    let mut used = 0;
    for (index, _) in rank(snapshot, question) {
        let Some(line) = lines.get(index) else { continue };
        let cost = tokens(line) + 1;
        if used + cost > ranked_budget {
            if chosen.is_empty() {
                let cut: String = line.chars().take((ranked_budget as f64 * CHARACTERS_PER_TOKEN) as usize).collect();
                chosen.push((index, cut));
            }
            continue;
        }
        used += cost;
        chosen.push((index, line.clone()));
    }
    chosen.sort();
    let text = chosen.into_iter().map(|(_, line)| line).collect::<Vec<_>>().join("\n");
    SchemaContext { text, whole: false }
}

/// Tables with their score, best first; ties in the snapshot's order; tables without any hit are last with 0.
fn rank(snapshot: &Snapshot, question: &str) -> Vec<(usize, f64)> {
    let stemmer = Stemmer::create(Algorithm::English);
    let asked: HashSet<String> = words(question).map(|word| stemmer.stem(&word).into_owned()).collect();
    let lower = question.to_lowercase();
    let mut found_in: HashMap<String, usize> = HashMap::new();
    let fields: Vec<Vec<(String, f64)>> = snapshot
        .tables
        .iter()
        .map(|table| {
            let mut weighed: HashMap<String, f64> = HashMap::new();
            let mut add = |text: &str, weight: f64| {
                for word in words(text) {
                    let slot = weighed.entry(stemmer.stem(&word).into_owned()).or_default();
                    *slot = slot.max(weight);
                }
            };
            add(&table.name, 3.0);
            add(table.comment.as_deref().unwrap_or_default(), 0.8);
            for column in &table.columns {
                add(&column.name, 1.2);
                add(column.comment.as_deref().unwrap_or_default(), 0.6);
            }
            weighed.retain(|word, _| asked.contains(word));
            for column in &table.columns {
                for value in column.values.iter().filter(|value| value.chars().count() > 2) {
                    if lower.contains(&value.to_lowercase()) {
                        let slot = weighed.entry(format!("={value}")).or_default();
                        *slot = slot.max(2.0);
                    }
                }
            }
            for word in weighed.keys() {
                *found_in.entry(word.clone()).or_default() += 1;
            }
            let mut hits: Vec<(String, f64)> = weighed.into_iter().collect();
            hits.sort_by(|a, b| a.0.cmp(&b.0));
            hits
        })
        .collect();
    let all = snapshot.tables.len() as f64;
    let own: Vec<f64> = fields
        .iter()
        .map(|hits| {
            let rare = |word: &String| (1.0 + all / (1.0 + *found_in.get(word).unwrap_or(&0) as f64)).ln();
            hits.iter().map(|(word, weight)| weight * rare(word)).sum()
        })
        .collect();
    let place: HashMap<&str, usize> =
        snapshot.tables.iter().enumerate().map(|(index, table)| (table.name.as_str(), index)).collect();
    let mut total = own.clone();
    for (index, table) in snapshot.tables.iter().enumerate() {
        for key in &table.foreign_keys {
            let Some(other) = place.get(key.references.as_str()) else { continue };
            for (from, to) in [(index, *other), (*other, index)] {
                let share = own.get(from).copied().unwrap_or(0.0) * NEIGHBOUR_SHARE;
                if let Some(slot) = total.get_mut(to) {
                    *slot = slot.max(own.get(to).copied().unwrap_or(0.0) + share);
                }
            }
        }
    }
    let mut ranked: Vec<(usize, f64)> = total.into_iter().enumerate().collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    ranked
}

/// The best tables for a question, at most `most`, without those that have nothing to do with it unless all do.
pub fn ranked_tables(snapshot: &Snapshot, question: &str, most: usize) -> Vec<RankedTable> {
    let ranked = rank(snapshot, question);
    let any = ranked.first().is_some_and(|(_, score)| *score > 0.0);
    ranked
        .into_iter()
        .filter(|(_, score)| !any || *score > 0.0)
        .take(most)
        .filter_map(|(index, score)| {
            let table = snapshot.tables.get(index)?;
            Some(RankedTable {
                name: table.name.clone(),
                columns: table.columns.iter().map(|column| column.name.clone()).collect(),
                score: (score * 100.0).round() / 100.0,
            })
        })
        .collect()
}

/// Stored values that stand in the question.
pub fn matched_values(snapshot: &Snapshot, question: &str, most: usize) -> Vec<MatchedValue> {
    let asked: Vec<String> = words(question).collect();
    let lower = format!(" {} ", asked.join(" "));
    snapshot
        .tables
        .iter()
        .flat_map(|table| table.columns.iter().map(move |column| (table, column)))
        .flat_map(|(table, column)| column.values.iter().map(move |value| (table, column, value)))
        .filter(|(_, _, value)| {
            let value: Vec<String> = words(value).collect();
            !value.is_empty() && lower.contains(&format!(" {} ", value.join(" ")))
        })
        .map(|(table, column, value)| MatchedValue {
            column: format!("{}.{}", table.name, column.name),
            value: value.clone(),
        })
        .take(most)
        .collect()
}

/// Join conditions among the named tables.
pub fn joins(snapshot: &Snapshot, tables: &[RankedTable]) -> Vec<String> {
    let named: HashSet<&str> = tables.iter().map(|table| table.name.as_str()).collect();
    snapshot
        .tables
        .iter()
        .filter(|table| named.contains(table.name.as_str()))
        .flat_map(|table| table.foreign_keys.iter().map(move |key| (table, key)))
        .filter(|(_, key)| named.contains(key.references.as_str()))
        .map(|(table, key)| {
            let pairs = key.columns.iter().zip(&key.referenced_columns);
            pairs
                .map(|(own, other)| format!("{}.{own} = {}.{other}", table.name, key.references))
                .collect::<Vec<_>>()
                .join(" AND ")
        })
        .filter(|condition| !condition.is_empty())
        .collect()
}

/// One table as one line: `name(column type pk, column type -> other.column {a|b}, ..) -- comment`.
pub fn line(table: &TableDescription, send_values: bool) -> String {
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|column| {
            let mut text = format!("{} {}", column.name, column.type_name.to_lowercase());
            if table.primary_key.contains(&column.name) {
                text.push_str(" pk");
            }
            for key in &table.foreign_keys {
                if let Some(at) = key.columns.iter().position(|name| *name == column.name) {
                    let other = key.referenced_columns.get(at).map_or("", String::as_str);
                    text.push_str(&format!(" -> {}.{other}", key.references));
                }
            }
            if send_values && !column.values.is_empty() && column.values.len() <= 12 {
                text.push_str(&format!(" {{{}}}", column.values.join("|")));
            }
            if let Some(comment) = &column.comment {
                text.push_str(&format!(" /* {} */", comment.replace("*/", "")));
            }
            text
        })
        .collect();
    let mut line = format!("{}({})", table.name, columns.join(", "));
    if let Some(comment) = &table.comment {
        line.push_str(&format!(" -- {comment}"));
    }
    line.replace('\n', " ")
}

/// Lower-case words, split at anything that is no letter or digit and between `camelCase`.
fn words(text: &str) -> impl Iterator<Item = String> + '_ {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::catalog::{Column, ForeignKey, TableKind};

    fn table(name: &str, columns: &[&str], references: Option<&str>) -> TableDescription {
        let column = |name: &&str| Column {
            values: if *name == "city" { vec!["Zürich".into(), "Bern".into()] } else { vec![] },
            ..Column::new((*name).into(), "TEXT".into())
        };
        TableDescription {
            columns: columns.iter().map(column).collect(),
            primary_key: vec!["id".into()],
            foreign_keys: references
                .map(|other| ForeignKey {
                    columns: vec![format!("{other}_id")],
                    references: other.into(),
                    referenced_columns: vec!["id".into()],
                })
                .into_iter()
                .collect(),
            ..TableDescription::new(name.into(), TableKind::Table)
        }
    }

    fn snapshot() -> Snapshot {
        Snapshot::of(vec![
            table("audit", &["id", "line"], None),
            table("customer", &["id", "name", "city"], None),
            table("order_line", &["id", "customer_id", "unitPrice"], Some("customer")),
        ])
    }

    #[test]
    fn a_small_schema_is_whole_and_stable() {
        let context = build(&snapshot(), "anything", 1_000, 100, true);
        assert!(context.whole);
        assert_eq!(context.text, build(&snapshot(), "something else", 1_000, 100, true).text);
        assert!(context.text.contains("customer_id text -> customer.id"));
        assert!(context.text.contains("city text {Zürich|Bern}"));
        assert!(!build(&snapshot(), "x", 1_000, 100, false).text.contains("Bern"));
    }

    #[test]
    fn a_large_one_is_ranked_with_its_neighbours() {
        let ranked = ranked_tables(&snapshot(), "prices of order lines for customers in Zürich", 3);
        let names: Vec<&str> = ranked.iter().map(|table| table.name.as_str()).collect();
        assert_eq!(names.last(), Some(&"audit"));
        let context = build(&snapshot(), "prices of customers in Zürich", 5, 40, true);
        assert!(!context.whole && context.text.contains("customer(") && !context.text.contains("audit("));
        assert_eq!(joins(&snapshot(), &ranked), ["order_line.customer_id = customer.id"]);
        let values = matched_values(&snapshot(), "who lives in zürich?", 5);
        assert_eq!(values, [MatchedValue { column: "customer.city".into(), value: "Zürich".into() }]);
    }
}
