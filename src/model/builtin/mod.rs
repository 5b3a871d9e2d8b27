//! Answers simple questions on any schema without a language model, and abstains from all others.
//!
//! The steps for a question: `text` (words) -> `lexicon` (names and values of the schema) with `words` (English) and
//! `windows` (time) -> `items` -> `parse`, `conditions` (an `intent`) -> `plan`, `compose` over `graph`, `measures`,
//! `dates` (a query) -> `sql`. Every word must be explained. If one is not, the engine hands the question back. The
//! engine reads no database, no clock and no model: the same input gives the same verdict.

mod asks;
mod compose;
mod conditions;
mod dates;
mod filters;
mod graph;
mod intent;
mod items;
mod lexicon;
mod measures;
mod mentions;
mod moments;
mod parse;
mod plan;
mod rankings;
mod sanity;
mod schema;
mod sql;
mod synonyms;
#[cfg(test)]
mod tests;
mod text;
mod windows;
mod words;

use crate::database::catalog::Snapshot;
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
    /// The tables read, as the snapshot names them.
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

/// A stored value that a look-up found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its table and column in the snapshot.
    pub at: (usize, usize),
    pub value: String,
    /// The words of the question, in lower case. The value is these words, or the only one that begins with them.
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
    let schema = schema::Schema::new(snapshot);
    let pieces = items::pieces(&tokens, &lexicon::Lexicon::new(&schema, &[], &tokens, &stems), today);
    let mut phrases: Vec<String> = Vec::new();
    for from in 0..pieces.len() {
        for length in 1..=LONGEST_PHRASE {
            let Some(part) = pieces.get(from..from + length).filter(|part| items::may_be_value(part)) else { continue };
            let phrase = part.iter().map(|piece| piece.low.as_str()).collect::<Vec<_>>().join(" ");
            if (2..=80).contains(&phrase.len()) && !phrases.contains(&phrase) && phrases.len() < MOST_PHRASES {
                phrases.push(phrase);
            }
        }
    }
    phrases
}

/// As [`read_with`], with the values of the snapshot alone.
pub fn read(question: &str, snapshot: &Snapshot, dialect: Dialect, today: time::Date) -> Verdict {
    read_with(question, (snapshot, &[]), dialect, today)
}

/// Reads a question against a schema. Any text is allowed. A question that is not simple gives [`Verdict::Unsure`].
pub fn read_with(
    question: &str,
    (snapshot, found): (&Snapshot, &[Found]),
    dialect: Dialect,
    today: time::Date,
) -> Verdict {
    let unsure = Verdict::Unsure { draft: None };
    if question.len() > LONGEST_BYTES || snapshot.tables.is_empty() {
        return unsure;
    }
    let stems = text::Stems::new();
    let schema = schema::Schema::new(snapshot);
    let mut graph = None;
    let engine = Engine { schema, found, stems: &stems, dialect, today };
    let verdict = engine.read(question, &mut graph);
    let Verdict::Ambiguous { message, choices } = verdict else { return verdict };
    // A choice counts only if its question has one reading, and no earlier choice has the same statement.
    let mut statements: Vec<String> = Vec::new();
    let mut distinct = Vec::new();
    for choice in choices {
        if let Verdict::Sure(reading) = engine.read(&choice.reading, &mut graph)
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
    dialect: Dialect,
    today: time::Date,
}

impl Engine<'_> {
    fn read(&self, question: &str, graph: &mut Option<graph::Graph>) -> Verdict {
        let unsure = Verdict::Unsure { draft: None };
        let schema = self.schema;
        let tokens = text::tokens(question, self.stems);
        if tokens.is_empty() || tokens.len() > LONGEST_TOKENS {
            return unsure;
        }
        let lexicon = lexicon::Lexicon::new(&schema, self.found, &tokens, self.stems);
        let pieces = items::pieces(&tokens, &lexicon, self.today);
        let mut intent = parse::parse(&pieces, schema);
        if intent.tables.is_empty() && intent.project.is_empty() && intent.measures.is_empty() && intent.rank.is_none()
        {
            return unsure;
        }
        let graph = graph.get_or_insert_with(|| graph::Graph::new(&schema));
        rankings::settle(&mut intent, schema, graph, self.stems);
        let planner = plan::Planner {
            schema,
            graph,
            stems: self.stems,
            intent: &intent,
            question: question.trim().trim_end_matches(['?', '.', '!', ' ']),
            doubts: Vec::new(),
            assumptions: Vec::new(),
            choices: Vec::new(),
            said: Vec::new(),
            prefer: Vec::new(),
            dated: None,
            has_denied: false,
        };
        let Some(mut plan) = planner.plan().filter(|plan| !plan.select.columns.is_empty()) else { return unsure };
        plan.doubts.extend(sanity::nonsense(&plan.select, schema).map(str::to_owned));
        if !plan.doubts.is_empty() {
            let sql = sql::write(&plan.select, schema, self.dialect);
            return Verdict::Unsure { draft: Some(Draft { sql, doubts: plan.doubts }) };
        }
        if let Some((message, _)) = plan.choices.first() {
            let message = message.clone();
            let choices: Vec<Choice> = plan.choices.into_iter().map(|(_, choice)| choice).take(4).collect();
            return Verdict::Ambiguous { message, choices };
        }
        Verdict::Sure(Reading {
            sql: sql::write(&plan.select, schema, self.dialect),
            read_as: plan.read_as,
            tables: plan.tables.iter().map(|t| schema.table(*t).name.clone()).collect(),
            assumptions: plan.assumptions,
            shape: plan.shape,
        })
    }
}
