//! The context file: descriptions, synonyms, metrics, join hints, hidden tables, instructions and verified queries. An
//! organisation uses the file to record what the organisation knows about its data. The file is read once at start. An
//! error names the file and the line. An unknown line is left out, or is 0 for a query.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::ConfigError;
use crate::dialect::Dialect;
use crate::guard::lexer::{self, Kind, Lexeme};

/// The content of the context file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Context {
    /// Instructions for the model, in the author's words.
    pub instructions: String,
    pub tables: Vec<TableNote>,
    pub metrics: Vec<Metric>,
    pub joins: Vec<JoinHint>,
    /// Verified queries.
    pub queries: Vec<Verified>,
}

/// Notes on one table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableNote {
    /// The name as `list_tables` shows it, or without its schema.
    pub name: String,
    /// The source that has the table. `None` means the default source.
    pub source: Option<String>,
    pub description: Option<String>,
    #[serde(default)]
    pub synonyms: Vec<String>,
    /// True if the table is left out of the schema from which questions are answered.
    #[serde(default)]
    pub hidden: bool,
    #[serde(default)]
    pub columns: BTreeMap<String, ColumnNote>,
}

/// Notes on one column.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnNote {
    pub description: Option<String>,
    #[serde(default)]
    pub synonyms: Vec<String>,
}

/// A name for an SQL expression that computes a business figure, such as revenue.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    pub name: String,
    pub source: Option<String>,
    /// An SQL expression over the tables.
    pub sql: String,
    pub description: Option<String>,
    #[serde(default)]
    pub synonyms: Vec<String>,
}

/// A join condition between two tables that no foreign key connects.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinHint {
    pub on: String,
    pub source: Option<String>,
}

/// A question and the statement that answers it. `{name}` is a parameter in both.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verified {
    pub question: String,
    pub source: Option<String>,
    pub sql: String,
    #[serde(default)]
    pub parameters: BTreeMap<String, ParameterKind>,
}

/// The type of a parameter. It determines how the value is written in SQL.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum ParameterKind {
    Text,
    Integer,
    Number,
    Date,
}

impl Context {
    /// Parses the file's text.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Syntax`] with the file, the reason and the line. An unknown line is left out, or 0 for a query.
    pub(super) fn parse(text: &str, place: &str) -> Result<Self, ConfigError> {
        let context: Context = toml::from_str(text).map_err(|error| {
            let line =
                error.span().and_then(|span| text.get(..span.start)).map(|before| before.matches('\n').count() + 1);
            let place = line.map_or_else(|| place.to_owned(), |line| format!("{place}, line {line}"));
            ConfigError::Syntax { place, message: error.message().to_owned() }
        })?;
        for query in &context.queries {
            let asked = placeholders(&query.question);
            let line = text.lines().position(|line| line.contains(&query.question)).map_or(0, |index| index + 1);
            let bad = |message: String| ConfigError::Syntax { place: format!("{place}, line {line}"), message };
            if query.question.trim().is_empty() || query.sql.trim().is_empty() {
                return Err(bad("the question and the sql of a query must not be empty".into()));
            }
            if let Some(name) = placeholders(&query.sql).iter().find(|name| !asked.contains(name)) {
                return Err(bad(format!("{{{name}}} is in the sql but not in the question {:?}", query.question)));
            }
            if let Some(name) = query.parameters.keys().find(|name| !asked.contains(name)) {
                return Err(bad(format!(
                    "{name} is no placeholder of {:?}: a placeholder is {{name}} of ASCII letters, digits and _",
                    query.question
                )));
            }
            if let Some(name) = asked.iter().find(|name| !query.parameters.contains_key(*name)) {
                return Err(bad(format!("the parameter {name} of {:?} has no type in parameters", query.question)));
            }
            let inside = |(name, alone): &(String, bool)| {
                !alone && matches!(query.parameters.get(name), Some(ParameterKind::Text | ParameterKind::Date))
            };
            if let Some((name, _)) = places(query).into_iter().find(inside) {
                return Err(bad(format!(
                    "{{{name}}} of {:?} stands inside a literal, a quoted name or a comment of the sql; its value comes with \
                     quotes, so write for example '%' || {{{name}}} || '%'",
                    query.question
                )));
            }
        }
        Ok(context)
    }
}

/// The placeholders in a statement, in order, each with whether it stands alone: not inside a literal, a quoted name or a
/// comment, in every dialect that can read the text.
pub(crate) fn places(query: &Verified) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    let (mut text, mut rest) = (String::new(), query.sql.as_str());
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        match after.split_once('}').filter(|(name, _)| query.parameters.contains_key(*name)) {
            Some((name, left)) => {
                found.push((name.to_owned(), text.len()));
                text.push('1');
                rest = left;
            }
            None => {
                text.push('{');
                rest = after;
            }
        }
    }
    text.push_str(rest);
    let read: Vec<_> =
        [Dialect::Postgresql, Dialect::Sqlite].iter().filter_map(|it| lexer::lexemes(&text, *it)).collect();
    let begins = |lexemes: &Vec<Lexeme>, at: usize| {
        lexemes.iter().any(|lexeme| lexeme.range.start == at && lexeme.kind != Kind::Comment)
    };
    let is_alone = |at: usize| !read.is_empty() && read.iter().all(|lexemes| begins(lexemes, at));
    found.into_iter().map(|(name, at)| (name, is_alone(at))).collect()
}

/// Returns the placeholders of a text (names of ASCII letters, digits and `_` in braces), each once, in order.
pub fn placeholders(text: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for part in text.split('{').skip(1) {
        if let Some((name, _)) = part.split_once('}')
            && !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !names.iter().any(|known| known == name)
        {
            names.push(name.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_line_and_reason() {
        for (text, expected) in [
            ("instructions = 'x'\ntabels = []\n", "c.toml, line 2: unknown field `tabels`"),
            ("[[tables]]\ndescription = 'x'\n", "missing field `name`"),
            ("[[queries]]\nquestion = 'How many {what}?'\nsql = 'SELECT 1'\n", "line 2: the parameter what of"),
            ("[[queries]]\nquestion = 'How many?'\nsql = 'SELECT {n}'\n", "{n} is in the sql but not in the question"),
            (
                "[[queries]]\nquestion = 'x {n}'\nsql = \"SELECT 'a{n}', {n}\"\n[queries.parameters]\nn = 'text'\n",
                "{n} of \"x {n}\" stands inside a literal",
            ),
            (
                "[[queries]]\nquestion = 'x {n}'\nsql = 'SELECT {n}'\n[queries.parameters]\nn = 'float'\n",
                "unknown variant `float`",
            ),
        ] {
            let message = Context::parse(text, "c.toml").unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
        assert_eq!(placeholders("a {b} c {d} {b} {} {e f}"), ["b", "d"]);
    }
}
