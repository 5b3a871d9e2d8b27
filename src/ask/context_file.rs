//! Applies the context file to a source. The notes of the file replace comments of the schema. Its instructions,
//! metrics and joins go into the prompt. A verified query answers the question that it was written for. This module
//! does no I/O.

use std::collections::HashMap;

use super::index::{stems, words};
use crate::config::{Context, ParameterKind, TableNote, Verified, placeholders, places};
use crate::database::catalog::{Snapshot, Synonym, TableDescription};
use crate::quoting;

/// Maximum number of words in the value of a parameter.
const PARAMETER_WORDS: usize = 8;

/// The context file, as it applies to one source. Its instructions apply to every source. Its other entries are limited
/// to those of this source.
#[derive(Clone, Copy, Debug)]
pub struct ContextFile<'a> {
    context: &'a Context,
    source: &'a str,
    default_source: &'a str,
}

impl<'a> ContextFile<'a> {
    pub fn new(context: &'a Context, source: &'a str, default_source: &'a str) -> Self {
        ContextFile { context, source, default_source }
    }

    fn is_ours(&self, source: Option<&String>) -> bool {
        source.map_or(self.default_source, String::as_str) == self.source
    }

    fn tables(self) -> impl Iterator<Item = &'a TableNote> {
        self.context.tables.iter().filter(move |note| self.is_ours(note.source.as_ref()))
    }

    /// The verified queries of the source.
    pub fn queries(self) -> impl Iterator<Item = &'a Verified> {
        self.context.queries.iter().filter(move |query| self.is_ours(query.source.as_ref()))
    }

    /// Returns the schema with the notes of the file: descriptions and synonyms replace comments, and hidden tables are
    /// removed. `None` if the file has no note on a table of this source.
    pub fn over(self, snapshot: &Snapshot) -> Option<Snapshot> {
        self.tables().next()?;
        let mut snapshot = snapshot.clone();
        snapshot.tables.retain_mut(|table| {
            let Some(note) = self.tables().find(|note| names(note, table)) else { return true };
            if let Some(text) = describe(note.description.as_ref(), &note.synonyms) {
                table.comment = Some(text);
            }
            for column in &mut table.columns {
                let said = note.columns.get(&column.name);
                if let Some(text) = said.and_then(|said| describe(said.description.as_ref(), &said.synonyms)) {
                    column.comment = Some(text.into());
                }
            }
            !note.hidden
        });
        for (at, table) in snapshot.tables.iter().enumerate() {
            let Some(note) = self.tables().find(|note| names(note, table)) else { continue };
            let of_table = note.synonyms.iter().map(|name| (name, None));
            let of_columns = table.columns.iter().enumerate().flat_map(|(place, column)| {
                let synonyms = note.columns.get(&column.name).map(|said| said.synonyms.as_slice()).unwrap_or_default();
                synonyms.iter().map(move |name| (name, Some(place)))
            });
            let synonyms = of_table.chain(of_columns);
            snapshot.synonyms.extend(synonyms.map(|(name, column)| Synonym { name: name.clone(), table: at, column }));
        }
        Some(snapshot)
    }

    /// Returns the file's instructions, then each metric and each join of the source on a line, for the prompt. Empty
    /// if there are none.
    pub fn text(self) -> String {
        let mut lines: Vec<String> = Vec::new();
        if !self.context.instructions.trim().is_empty() {
            lines.push(self.context.instructions.trim().to_owned());
        }
        for metric in self.context.metrics.iter().filter(|metric| self.is_ours(metric.source.as_ref())) {
            let said = describe(metric.description.as_ref(), &metric.synonyms)
                .map_or(String::new(), |text| format!(" -- {text}"));
            lines.push(format!("metric {} = {}{said}", metric.name, metric.sql));
        }
        for join in self.context.joins.iter().filter(|join| self.is_ours(join.source.as_ref())) {
            lines.push(format!("join {}", join.on));
        }
        lines.join("\n")
    }

    /// Returns the first verified query that matches the question, and its statement with the values of the parameters.
    /// `spelling` turns a text value into its stored spelling.
    pub fn verified(self, question: &str, spelling: impl Fn(&str) -> String) -> Option<(&'a Verified, String)> {
        self.queries().find_map(|query| {
            let values = matched(&query.question, question)?;
            let sql = filled(query, |name, kind, is_alone| match kind {
                ParameterKind::Text => literal(&spelling(values.get(name)?), kind, is_alone),
                ParameterKind::Integer | ParameterKind::Number | ParameterKind::Date => {
                    literal(values.get(name)?, kind, is_alone)
                }
            })?;
            Some((query, sql))
        })
    }

    /// Returns each verified query and its statement with sample values, to test whether the statement still fits the
    /// schema.
    pub fn trials(self) -> impl Iterator<Item = (&'a Verified, String)> {
        let value = |_: &str, kind, is_alone| {
            let value = match kind {
                ParameterKind::Text => "x",
                ParameterKind::Integer | ParameterKind::Number => "1",
                ParameterKind::Date => "2026-01-01",
            };
            literal(value, kind, is_alone)
        };
        self.queries().filter_map(move |query| Some((query, filled(query, value)?)))
    }

    /// Returns at most `most` verified queries, the most similar to the question first. Each shares at least two word
    /// stems with the question.
    pub fn examples(self, question: &str, most: usize) -> Vec<&'a Verified> {
        let asked = stems(question);
        let mut scored: Vec<(usize, &Verified)> = self
            .queries()
            .map(|query| (stems(&query.question).intersection(&asked).count(), query))
            .filter(|(shared, _)| *shared > 1)
            .collect();
        scored.sort_by_key(|(shared, _)| std::cmp::Reverse(*shared));
        scored.into_iter().take(most).map(|(_, query)| query).collect()
    }

    /// Returns one message for each table or column that the file names and the schema does not have.
    pub fn misfits(self, snapshot: &Snapshot) -> Vec<String> {
        let mut found = Vec::new();
        for note in self.tables() {
            match snapshot.tables.iter().find(|table| names(note, table)) {
                None => found.push(format!("there is no table {}", note.name)),
                Some(table) => {
                    let has = |name: &String| table.columns.iter().any(|column| column.name == *name);
                    found.extend(
                        note.columns
                            .keys()
                            .filter(|name| !has(name))
                            .map(|name| format!("{} has no column {name}", note.name)),
                    );
                }
            }
        }
        found
    }
}

/// Returns the query's statement with the values of its parameters. The text is read once, from left to right. So
/// braces in a value are not read as a placeholder. `None` if a value does not have the parameter's kind. `value` is also
/// told whether the placeholder stands alone.
fn filled(query: &Verified, value: impl Fn(&str, ParameterKind, bool) -> Option<String>) -> Option<String> {
    let mut alone = places(query).into_iter();
    let (mut sql, mut rest) = (String::new(), query.sql.as_str());
    while let Some((before, after)) = rest.split_once('{') {
        sql.push_str(before);
        let named = after.split_once('}').and_then(|(name, left)| Some((*query.parameters.get(name)?, name, left)));
        rest = match named {
            Some((kind, name, left)) => {
                let is_alone = alone.next().is_some_and(|(_, is_alone)| is_alone);
                sql.push_str(&value(name, kind, is_alone)?);
                left
            }
            None => {
                sql.push('{');
                after
            }
        };
    }
    sql.push_str(rest);
    Some(sql)
}

fn names(note: &TableNote, table: &TableDescription) -> bool {
    table.name == note.name || table.name.rsplit('.').next() == Some(note.name.as_str())
}

fn describe(description: Option<&String>, synonyms: &[String]) -> Option<String> {
    let description = description.filter(|text| !text.trim().is_empty());
    let also = if synonyms.is_empty() { String::new() } else { format!("also called {}", synonyms.join(", ")) };
    match (description, also.is_empty()) {
        (None, true) => None,
        (None, false) => Some(also),
        (Some(text), true) => Some(text.clone()),
        (Some(text), false) => Some(format!("{text}; {also}")),
    }
}

/// Returns the values of the template's placeholders if the question matches the template word for word. Case and
/// punctuation are ignored. A value can have several words.
fn matched(template: &str, question: &str) -> Option<HashMap<String, String>> {
    let pattern: Vec<&str> = template.split_whitespace().collect();
    let asked: Vec<&str> = question.split_whitespace().collect();
    let mut values = HashMap::new();
    fits(&pattern, &asked, &mut values).then_some(values)
}

fn fits(pattern: &[&str], asked: &[&str], values: &mut HashMap<String, String>) -> bool {
    let plain = |word: &str| words(word).collect::<String>();
    let Some((first, rest)) = pattern.split_first() else { return asked.iter().all(|word| plain(word).is_empty()) };
    let Some(name) = placeholders(first).pop() else {
        // A word that is only punctuation is skipped, both in the template and in the question.
        if plain(first).is_empty() {
            return fits(rest, asked, values);
        }
        return match asked.split_first() {
            Some((word, left)) if plain(word) == plain(first) => fits(rest, left, values),
            Some((word, left)) if plain(word).is_empty() => fits(pattern, left, values),
            _ => false,
        };
    };
    (1..=PARAMETER_WORDS.min(asked.len())).any(|taken| {
        let (Some(value), Some(left)) = (asked.get(..taken), asked.get(taken..)) else { return false };
        let value = value.join(" ");
        let is_quote = |c: char| matches!(c, '"' | '\'' | '“' | '”');
        // A dot at the beginning may be that of `.5`.
        let value = value.trim_start_matches(is_quote);
        let value = value.trim_end_matches(|c: char| is_quote(c) || matches!(c, '?' | '!' | '.' | ','));
        let is_fit = !value.is_empty() && fits(rest, left, values);
        if is_fit {
            values.insert(name.clone(), value.to_owned());
        }
        is_fit
    })
}

/// Returns the value as an SQL literal. `None` if the value is not of this kind.
fn literal(value: &str, kind: ParameterKind, is_alone: bool) -> Option<String> {
    // After a minus of the statement, a negative number without parentheses would begin a comment. Inside a literal it
    // cannot, and parentheses would change the text.
    let signed = |number: String| if is_alone && number.starts_with('-') { format!("({number})") } else { number };
    match kind {
        ParameterKind::Text if value.contains('\0') => None,
        ParameterKind::Text => Some(quoting::literal(value)),
        ParameterKind::Integer => value.parse::<i64>().ok().map(|number| signed(number.to_string())),
        ParameterKind::Number => {
            let is_plain = value.chars().all(|c| c.is_ascii_digit() || c == '.' || c == '-');
            (is_plain && value.parse::<f64>().is_ok()).then(|| signed(value.to_owned()))
        }
        ParameterKind::Date => {
            let format = time::macros::format_description!("[year]-[month]-[day]");
            time::Date::parse(value, &format).ok().map(|date| quoting::literal(&date.to_string()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::catalog::{Column, TableKind};

    fn query(question: &str, sql: &str, parameters: &[(&str, ParameterKind)]) -> Verified {
        Verified {
            question: question.into(),
            source: None,
            sql: sql.into(),
            parameters: parameters.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect(),
        }
    }

    #[test]
    fn verified_queries_match_word_for_word_with_their_parameters() {
        let context = Context {
            queries: vec![
                query(
                    "How many customers live in {city}?",
                    "SELECT count(*) FROM customers WHERE city = {city}",
                    &[("city", ParameterKind::Text)],
                ),
                query(
                    "orders over {limit} since {day}",
                    "SELECT 1 WHERE {limit} > 0 AND {day} < 'x'",
                    &[("limit", ParameterKind::Number), ("day", ParameterKind::Date)],
                ),
                query(
                    "due since {n} days",
                    "SELECT date('now', '{n} days') -- {m}\n, 1-{n}",
                    &[("n", ParameterKind::Integer)],
                ),
            ],
            ..Context::default()
        };
        let notes = ContextFile::new(&context, "main", "main");
        let sql = |question: &str| notes.verified(question, str::to_owned).map(|(_, sql)| sql);
        assert_eq!(
            sql("how many CUSTOMERS live in Zürich ?").unwrap(),
            "SELECT count(*) FROM customers WHERE city = 'Zürich'"
        );
        assert_eq!(
            sql("How many customers live in New York?").unwrap(),
            "SELECT count(*) FROM customers WHERE city = 'New York'"
        );
        assert_eq!(
            sql("How many customers live in x' OR 'a' = 'a").unwrap(),
            "SELECT count(*) FROM customers WHERE city = 'x'' OR ''a'' = ''a'"
        );
        assert_eq!(
            sql("How many customers live in {city}").unwrap(),
            "SELECT count(*) FROM customers WHERE city = '{city}'"
        );
        assert_eq!(sql("Orders over 12.5 since 2026-01-05").unwrap(), "SELECT 1 WHERE 12.5 > 0 AND '2026-01-05' < 'x'");
        // Two minus signs in a row would begin a comment.
        assert_eq!(sql("orders over -5 since 2026-01-05").unwrap(), "SELECT 1 WHERE (-5) > 0 AND '2026-01-05' < 'x'");
        assert_eq!(sql("orders over .5 since 2026-01-05").unwrap(), "SELECT 1 WHERE .5 > 0 AND '2026-01-05' < 'x'");
        assert_eq!(sql("due since -30 days").unwrap(), "SELECT date('now', '-30 days') -- {m}\n, 1-(-30)");
        for other in [
            "How many customers?",
            "How many customers live in",
            "Orders over lots since 2026-01-05",
            "orders over 1 since 2026-13-05",
            "Orders over 1e9 since 2026-01-05",
        ] {
            assert_eq!(sql(other), None, "{other}");
        }
        assert_eq!(
            ContextFile::new(&context, "other", "main")
                .verified("How many customers live in Bern?", str::to_owned)
                .map(|(_, sql)| sql),
            None
        );
        assert_eq!(notes.examples("which customers live in a city?", 3).len(), 1);
    }

    #[test]
    fn notes_lie_over_the_schema_and_misfits_are_told() {
        let text = "instructions = 'Amounts are net.'\n[[tables]]\nname = 'orders'\ndescription = 'one row an order'\nsynonyms = ['purchases']\n\
            [tables.columns.total]\nsynonyms = ['amount']\n[tables.columns.gone]\ndescription = 'x'\n\
            [[tables]]\nname = 'public.secret'\nhidden = true\n[[tables]]\nname = 'lost'\n\
            [[metrics]]\nname = 'revenue'\nsql = 'sum(total)'\n[[joins]]\non = 'a.x = b.y'\n";
        let context: Context = toml::from_str(text).unwrap();
        let notes = ContextFile::new(&context, "main", "main");
        let orders = TableDescription {
            columns: vec![Column::new("total".into(), "numeric".into())],
            ..TableDescription::new("public.orders".into(), TableKind::Table)
        };
        let snapshot = Snapshot::of(vec![orders, TableDescription::new("public.secret".into(), TableKind::Table)]);
        let over = notes.over(&snapshot).unwrap();
        assert_eq!(over.tables.len(), 1);
        assert_eq!(over.tables[0].comment.as_deref(), Some("one row an order; also called purchases"));
        assert_eq!(over.tables[0].columns[0].comment.as_deref(), Some("also called amount"));
        assert_eq!(notes.text(), "Amounts are net.\nmetric revenue = sum(total)\njoin a.x = b.y");
        assert_eq!(notes.misfits(&snapshot), ["orders has no column gone", "there is no table lost"]);
        assert!(ContextFile::new(&context, "other", "main").over(&snapshot).is_none());
    }
}
