//! Answers simple questions on any schema without a language model, and abstains from all others.
//!
//! The steps for a question: `text` (words) -> `link` (names and values of the schema) with `cues` (English, WordNet) and
//! `windows` (time) -> `frame` (what is asked) -> `plan` over `graph`, `measures`, `dates` (a query) -> `sql`. Every word
//! must have a part in the statement. If one has none, the engine hands the question back. The engine reads no database, no
//! clock and no model: the same input gives the same verdict.

#[cfg(test)]
mod clause_tests;
mod cues;
mod dates;
mod frame;
mod graph;
mod keys;
#[cfg(test)]
mod kinds_tests;
mod link;
mod measures;
#[cfg(test)]
mod more_kinds_tests;
mod plan;
#[cfg(test)]
mod role_tests;
mod schema;
mod sql;
#[cfg(test)]
mod tests;
mod text;
#[cfg(test)]
mod verb_tests;
mod windows;

use crate::database::catalog::{Snapshot, Synonym};
use crate::dialect::Dialect;

/// The result of reading a question.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// One reading explains the whole question.
    Sure(Reading),
    /// Two to four readings that would give different results.
    Ambiguous { message: String, choices: Vec<Choice> },
    /// Not sure: the question is handed back, with a draft if there is one.
    Unsure { draft: Option<Draft> },
}

/// A reading of a question, ready to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// One `SELECT`.
    pub sql: String,
    /// One sentence: how the question was read.
    pub read_as: String,
    /// The tables of the outer query, as the snapshot names them. Tables of sub-queries are not listed.
    pub tables: Vec<String>,
    /// The assumptions, one sentence each.
    pub assumptions: Vec<String>,
    pub shape: Shape,
}

/// What the result looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One number: how many.
    Count,
    /// One row.
    Single,
    /// One row a group.
    Grouped,
    /// The first rows by a measure.
    Ranked,
    /// Rows.
    List,
}

/// One of several readings.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    pub label: String,
    /// A complete question that [`read`] reads in this one sense.
    pub reading: String,
}

/// A statement to start from, with the doubts about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    pub sql: String,
    pub doubts: Vec<String>,
}

/// Maximum tokens of a question. A longer question is not simple.
const LONGEST_TOKENS: usize = 80;

/// Maximum bytes of a question.
const LONGEST_BYTES: usize = 4_096;

/// Returns nouns of like meaning, as stems joined by blanks, each with its closeness: 1 for the same meaning, less for a rarer
/// sense, a more general noun or a more special one.
pub fn related_nouns(stem: &str) -> Vec<(&'static str, f32)> {
    cues::related(stem)
}

/// Returns the join conditions between the named tables that no foreign key declares. They are guessed from equal names
/// and types.
pub fn guessed_joins(snapshot: &Snapshot, tables: &[String]) -> Vec<String> {
    let keys = keys::guessed(snapshot);
    let schema = schema::Schema::with_keys(snapshot, &keys);
    graph::Graph::new(&schema).guesses_between(&schema, tables)
}

/// Returns the clarifying question for an ambiguous question, and its choices. `None` if the question is not ambiguous.
pub fn choices(
    question: &str,
    snapshot: &Snapshot,
    dialect: Dialect,
    today: time::Date,
) -> Option<(String, Vec<Choice>)> {
    match read_with(question, (snapshot, &[]), dialect, today) {
        Verdict::Ambiguous { message, choices } => Some((message, choices)),
        Verdict::Sure(_) | Verdict::Unsure { .. } => None,
    }
}

/// A stored value that a look-up found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its table and column in the snapshot.
    pub at: (usize, usize),
    pub value: String,
    /// The words of the question, in lower case. The value equals these words, or it is the only one that begins with
    /// them.
    pub phrase: String,
}

/// Maximum number of pieces of a phrase.
const LONGEST_PHRASE: usize = 5;

/// Maximum number of phrases of a question.
const MOST_PHRASES: usize = 24;

/// Returns the phrases of a question that may be stored values, in lower case: those with a word that the schema and its
/// known values do not explain, or with a name in capitals.
pub fn phrases(question: &str, snapshot: &Snapshot, today: time::Date) -> Vec<String> {
    if question.len() > LONGEST_BYTES {
        return Vec::new();
    }
    let stems = text::Stems::new();
    let tokens = text::tokens(question, &stems);
    if tokens.len() > LONGEST_TOKENS {
        return Vec::new();
    }
    let linker = link::Linker::new(schema::Schema::new(snapshot), &[], &tokens, &stems);
    let atoms = frame::atoms(&tokens, &linker, today);
    let may_be_value = |atom: &frame::Atom| {
        !atom.is_stop
            && atom.window.is_none()
            && (atom.cues.is_empty() || atom.text.chars().any(char::is_uppercase))
            && atom.mention.as_ref().is_none_or(|mention| mention.values.is_empty())
    };
    let is_name = |atom: &frame::Atom| {
        atom.mention.as_ref().is_none_or(|mention| mention.looks_like_value && mention.fit() < 0.9)
            && atom.number.is_none()
    };
    let mut phrases: Vec<String> = Vec::new();
    for from in 0..atoms.len() {
        for length in 1..=LONGEST_PHRASE {
            let Some(part) = atoms.get(from..from + length) else { continue };
            let inner = part.iter().all(|atom| !atom.is_stop && atom.window.is_none());
            let edges = part.first().is_some_and(may_be_value) && part.last().is_some_and(may_be_value);
            let is_said = |atom: &frame::Atom| !atom.cues.is_empty();
            if from == 0 && part.first().is_some_and(is_said) {
                continue;
            }
            if !inner || !edges || !part.iter().any(is_name) {
                continue;
            }
            let phrase = part.iter().map(|atom| atom.low.as_str()).collect::<Vec<_>>().join(" ");
            if (2..=80).contains(&phrase.len()) && !phrases.contains(&phrase) && phrases.len() < MOST_PHRASES {
                phrases.push(phrase);
            }
        }
    }
    phrases
}

/// Returns the positions of the tables that the words of a question name.
pub fn named_tables(question: &str, snapshot: &Snapshot) -> Vec<usize> {
    if question.len() > LONGEST_BYTES {
        return Vec::new();
    }
    let stems = text::Stems::new();
    let tokens = text::tokens(question, &stems);
    if tokens.len() > LONGEST_TOKENS {
        return Vec::new();
    }
    let linker = link::Linker::new(schema::Schema::new(snapshot), &[], &tokens, &stems);
    let mut named = Vec::new();
    for from in 0..tokens.len() {
        for to in from + 1..=from + LONGEST_PHRASE {
            let tables = linker.mention(&tokens, from, to).map(|mention| mention.tables).unwrap_or_default();
            named.extend(tables.into_iter().filter(|(_, fit)| *fit >= link::OTHER_WORD).map(|(t, _)| t));
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    named.retain(|t| seen.insert(*t));
    named
}

/// Returns one line for a text that needs no statement: a greeting, an order to change data, or the question which
/// tables there are.
pub fn remark(question: &str, snapshot: &Snapshot) -> Option<String> {
    if question.len() > LONGEST_BYTES {
        return None;
    }
    let stems = text::Stems::new();
    let mut tokens = text::tokens(question, &stems);
    tokens.retain(|token| token.kind != text::TokenKind::End && token.kind != text::TokenKind::Comma);
    let (said, length) = cues::cue_at(&tokens, 0)?;
    let is_all = length == tokens.len();
    let names: Vec<&str> = snapshot.tables.iter().map(|table| table.name.as_str()).collect();
    if said.contains(&cues::Cue::Tables) && is_all {
        let more = if names.len() > MOST_NAMES { ", and more" } else { "" };
        let shown = names.iter().take(MOST_NAMES).copied().collect::<Vec<_>>().join(", ");
        return Some(format!("There are {} tables and views: {shown}{more}.", names.len()));
    }
    if said.contains(&cues::Cue::Greeting) && is_all {
        let example = names.first().map(|name| format!(", for example: How many {name} are there?"));
        return Some(format!("Ask a question about the data{}", example.unwrap_or_else(|| ".".to_owned())));
    }
    (said.contains(&cues::Cue::Change) && !is_all).then(|| "TUDB only reads. It changes no data.".to_owned())
}

/// Maximum number of tables that [`remark`] names.
const MOST_NAMES: usize = 20;

/// As [`read_with`], with the values of the snapshot alone.
pub fn read(question: &str, snapshot: &Snapshot, dialect: Dialect, today: time::Date) -> Verdict {
    read_with(question, (snapshot, &[]), dialect, today)
}

/// Reads a question against a schema. Any text is allowed. A question that is not simple gives [`Verdict::Unsure`].
///
/// Any user who may create schemas can have made a table outside of the `search_path`. So such tables count only if the
/// tables of the path do not explain the question. Then the reading says so.
pub fn read_with(
    question: &str,
    (snapshot, found): (&Snapshot, &[Found]),
    dialect: Dialect,
    today: time::Date,
) -> Verdict {
    let Some((of_path, of_path_found)) = of_path(snapshot, found) else {
        return read_all(question, (snapshot, found), dialect, today);
    };
    match read_all(question, (&of_path, &of_path_found), dialect, today) {
        Verdict::Unsure { .. } => {}
        verdict => return verdict,
    }
    let mut verdict = read_all(question, (snapshot, found), dialect, today);
    if let Verdict::Sure(reading) = &mut verdict {
        let off = snapshot.tables.iter().filter(|table| table.is_off_path && reading.tables.contains(&table.name));
        let names: Vec<&str> = off.map(|table| table.name.as_str()).collect();
        if !names.is_empty() {
            reading.assumptions.push(format!("tables outside of the search_path: {}", names.join(", ")));
        }
    }
    verdict
}

/// Returns the tables of the `search_path` alone, with the values that were found in them. `None` if all tables are in the
/// path, or none is.
fn of_path(snapshot: &Snapshot, found: &[Found]) -> Option<(Snapshot, Vec<Found>)> {
    let kept: Vec<usize> = (0..snapshot.tables.len())
        .filter(|t| snapshot.tables.get(*t).is_some_and(|table| !table.is_off_path))
        .collect();
    if kept.is_empty() || kept.len() == snapshot.tables.len() {
        return None;
    }
    let place = |t: usize| kept.binary_search(&t).ok();
    let tables = kept.iter().filter_map(|t| snapshot.tables.get(*t)).cloned().collect();
    let synonyms = snapshot
        .synonyms
        .iter()
        .filter_map(|synonym| Some(Synonym { table: place(synonym.table)?, ..synonym.clone() }));
    let found = found.iter().filter_map(|found| Some(Found { at: (place(found.at.0)?, found.at.1), ..found.clone() }));
    let found = found.collect();
    Some((Snapshot { synonyms: synonyms.collect(), ..Snapshot::of(tables) }, found))
}

/// As [`read_with`], with all tables.
fn read_all(question: &str, (snapshot, found): (&Snapshot, &[Found]), dialect: Dialect, today: time::Date) -> Verdict {
    let unsure = Verdict::Unsure { draft: None };
    if question.len() > LONGEST_BYTES || snapshot.tables.is_empty() {
        return unsure;
    }
    let stems = text::Stems::new();
    let keys = keys::guessed(snapshot);
    let schema = schema::Schema::with_keys(snapshot, &keys);
    let graph = graph::Graph::new(&schema);
    let engine = Engine { schema, found, stems: &stems, graph: &graph, dialect, today };
    let verdict = engine.read(question);
    let Verdict::Ambiguous { message, choices } = verdict else { return verdict };
    // A choice counts only if its question has one reading, and no earlier choice has the same statement.
    let mut statements: Vec<String> = Vec::new();
    let mut distinct = Vec::new();
    for choice in choices {
        if let Verdict::Sure(reading) = engine.read(&choice.reading)
            && !statements.contains(&reading.sql)
        {
            statements.push(reading.sql);
            distinct.push(choice);
        }
    }
    if distinct.len() < 2 {
        let doubts = vec![message];
        return Verdict::Unsure { draft: statements.into_iter().next().map(|sql| Draft { sql, doubts }) };
    }
    Verdict::Ambiguous { message, choices: distinct }
}

/// What stays the same for all readings of one call.
struct Engine<'a> {
    schema: schema::Schema<'a>,
    found: &'a [Found],
    stems: &'a text::Stems,
    graph: &'a graph::Graph,
    dialect: Dialect,
    today: time::Date,
}

impl Engine<'_> {
    fn read(&self, question: &str) -> Verdict {
        let unsure = Verdict::Unsure { draft: None };
        let schema = self.schema;
        let tokens = text::tokens(question, self.stems);
        if tokens.is_empty() || tokens.len() > LONGEST_TOKENS {
            return unsure;
        }
        let linker = link::Linker::new(schema, self.found, &tokens, self.stems);
        let mut frame = frame::Reader::new(frame::atoms(&tokens, &linker, self.today), schema).read();
        measures::count_sales(&mut frame, schema);

        let planner = plan::Planner::new(schema, self.graph, &linker, &frame);
        let Some(plan) = planner.plan() else { return unsure };
        let sql = sql::write(&plan.query, schema, self.dialect);
        if !plan.doubts.is_empty() {
            return Verdict::Unsure { draft: Some(Draft { sql, doubts: plan.doubts }) };
        }
        if plan.measures.len() > 1 {
            // The rest of the question stays: "best customers in Germany".
            let phrase = frame.vague.as_ref().and_then(|vague| vague.phrase.as_deref());
            let is_found = phrase.is_none_or(|phrase| question.contains(phrase));
            if !is_found && !frame.conditions.is_empty() {
                return Verdict::Unsure {
                    draft: Some(Draft { sql, doubts: vec!["which number to sort by".to_owned()] }),
                };
            }
            let phrase = phrase.filter(|_| is_found);
            let whole = |words: String| phrase.map_or(words.clone(), |phrase| question.replacen(phrase, &words, 1));
            let choices = plan.measures.into_iter();
            let choices = choices.map(|(label, words)| Choice { label, reading: whole(words) }).collect();
            return Verdict::Ambiguous { message: "By which measure?".to_owned(), choices };
        }
        if let Some((words, columns)) = plan.open {
            return self.ask_back(question, &words, &columns);
        }
        let query = &plan.query;
        let has_aggregate = query.columns.iter().any(|(expr, _)| !matches!(expr, sql::Expr::Column(..)));
        let shape = if !query.groups.is_empty() {
            Shape::Grouped
        } else if query.limit.is_some() {
            Shape::Ranked
        } else if matches!(query.columns.as_slice(), [(sql::Expr::Count | sql::Expr::CountDistinct(..), _)]) {
            Shape::Count
        } else if has_aggregate
            && query.columns.iter().all(|(expr, _)| matches!(expr, sql::Expr::Aggregate(..) | sql::Expr::Count))
        {
            Shape::Single
        } else {
            Shape::List
        };
        let mut tables: Vec<String> = query.nodes.iter().map(|node| schema.table(node.table).name.clone()).collect();
        tables.dedup();
        Verdict::Sure(Reading { read_as: plan.said, sql, tables, assumptions: plan.assumptions, shape })
    }

    /// Asks which of several columns some words mean.
    fn ask_back(&self, question: &str, words: &str, columns: &[schema::At]) -> Verdict {
        let name = |at: schema::At| text::name_words(&self.schema.column(at).name).join(" ");
        let choices = columns.iter().take(4).map(|at| Choice {
            label: name(*at),
            reading: if question.contains(words) && words != "date" {
                question.replacen(words, &name(*at), 1)
            } else {
                format!("{}, going by {}", question.trim_end_matches(['?', '.', ' ']), name(*at))
            },
        });
        Verdict::Ambiguous { message: format!("Which \"{words}\" is meant?"), choices: choices.collect() }
    }
}
