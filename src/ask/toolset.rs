//! The tools that the model may call, and the parser of its tool calls.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::json;

use crate::database::value::cut;
use crate::model::ModelTool;

/// A parsed tool use.
#[derive(Debug, PartialEq)]
pub(super) enum Use {
    RunSql {
        sql: String,
    },
    DescribeTable {
        table: String,
    },
    SearchSchema {
        words: String,
    },
    SampleValues {
        table: String,
        /// Names, separated by commas.
        columns: String,
    },
    Clarify {
        question: String,
        choices: Vec<Choice>,
    },
    Answer(Answer),
    CannotAnswer {
        missing: String,
    },
    /// Only the built-in answerer uses this.
    HandBack {
        sql: Option<String>,
        doubts: Vec<String>,
    },
}

/// One possible meaning of an ambiguous question. `reading` is that meaning as a complete question.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, serde::Serialize)]
pub(super) struct Choice {
    pub label: String,
    pub reading: String,
}

/// What the model says about a result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Answer {
    pub summary: String,
    #[serde(default)]
    pub explanation: String,
    #[serde(default)]
    pub assumptions: Vec<String>,
}

/// Maximum bytes of a summary, an explanation, a clarifying question, or the text of `cannot_answer`. Longer texts are
/// cut.
pub(super) const MAX_WORDS_BYTES: usize = 3_000;
/// Maximum bytes of a reading, and of its label. Longer texts are refused, because the client sends the reading back as
/// `choice`.
const MAX_READING_BYTES: usize = 1_000;
/// Maximum number of assumptions in an answer, and maximum bytes of each assumption.
const ASSUMPTIONS: (usize, usize) = (10, 200);

impl Answer {
    /// The answer with its texts cut to their limits.
    pub fn bounded(self) -> Self {
        let (most, bytes) = ASSUMPTIONS;
        Answer {
            summary: cut(&self.summary, MAX_WORDS_BYTES).to_owned(),
            explanation: cut(&self.explanation, MAX_WORDS_BYTES).to_owned(),
            assumptions: self.assumptions.iter().take(most).map(|text| cut(text, bytes).to_owned()).collect(),
        }
    }
}

/// The tools as the model sees them. The list never changes.
pub(super) fn tools() -> Vec<ModelTool> {
    let tool = |name, description, properties: serde_json::Value, required: &[&str]| ModelTool {
        name,
        description,
        input_schema: json!({"type": "object", "properties": properties, "required": required}),
    };
    vec![
        tool(
            "run_sql",
            "Run one read-only SQL statement and get its rows.",
            json!({"sql": {"type": "string", "description": "One SELECT or WITH statement"}}),
            &["sql"],
        ),
        tool(
            "describe_table",
            "Show tables: columns, types, keys, known values, comments.",
            json!({"table": {"type": "string", "description": "One name, or several separated by commas"}}),
            &["table"],
        ),
        tool(
            "search_schema",
            "Find tables and columns by words; try other words for the same thing.",
            json!({"words": {"type": "string"}}),
            &["words"],
        ),
        tool(
            "sample_values",
            "Show the most frequent values of columns, each with its number of rows, to learn how values are spelt. The \
             field `complete` says whether these are all values.",
            json!({"table": {"type": "string"},
                "columns": {"type": "string", "description": "One name, or several separated by commas"}}),
            &["table", "columns"],
        ),
        tool(
            "clarify",
            "Ask the user which of two to four readings of the question is meant.",
            json!({
                "question": {"type": "string"},
                "choices": {"type": "array", "items": {"type": "object", "properties": {
                    "label": {"type": "string"},
                    "reading": {"type": "string", "description": "A complete question"}},
                    "required": ["label", "reading"]}}}),
            &["question", "choices"],
        ),
        tool(
            "answer",
            "Finish: say what the last result means.",
            json!({
                "summary": {"type": "string"},
                "explanation": {"type": "string", "description": "How the statement reads the question"},
                "assumptions": {"type": "array", "items": {"type": "string"}}}),
            &["summary"],
        ),
        tool(
            "cannot_answer",
            "Finish: the data cannot answer the question.",
            json!({"missing": {"type": "string", "description": "What is missing"}}),
            &["missing"],
        ),
    ]
}

/// Parses a tool use.
///
/// # Errors
///
/// What is wrong with the tool use, in words for the model.
pub(super) fn read(name: &str, input: &serde_json::Value) -> Result<Use, String> {
    #[derive(Deserialize)]
    struct Sql {
        sql: String,
    }
    #[derive(Deserialize)]
    struct Table {
        table: String,
    }
    #[derive(Deserialize)]
    struct Words {
        words: String,
    }
    #[derive(Deserialize)]
    struct Sample {
        table: String,
        #[serde(alias = "column")]
        columns: String,
    }
    #[derive(Deserialize)]
    struct Clarify {
        question: String,
        choices: Vec<Choice>,
    }
    #[derive(Deserialize)]
    struct Missing {
        missing: String,
    }
    #[derive(Deserialize)]
    struct Draft {
        sql: Option<String>,
        #[serde(default)]
        doubts: Vec<String>,
    }
    fn parse<T: serde::de::DeserializeOwned>(name: &str, input: &serde_json::Value) -> Result<T, String> {
        T::deserialize(input).map_err(|error| format!("{name}: {error}"))
    }
    match name {
        "run_sql" => parse::<Sql>(name, input).map(|Sql { sql }| Use::RunSql { sql }),
        "describe_table" => parse::<Table>(name, input).map(|Table { table }| Use::DescribeTable { table }),
        "search_schema" => parse::<Words>(name, input).map(|Words { words }| Use::SearchSchema { words }),
        "sample_values" => {
            parse::<Sample>(name, input).map(|Sample { table, columns }| Use::SampleValues { table, columns })
        }
        "clarify" => {
            let Clarify { question, choices } = parse(name, input)?;
            let readings: HashSet<&str> = choices.iter().map(|choice| choice.reading.trim()).collect();
            let is_long =
                |choice: &Choice| choice.reading.len() > MAX_READING_BYTES || choice.label.len() > MAX_READING_BYTES;
            if !(2..=4).contains(&choices.len()) || readings.len() < choices.len() || readings.contains("") {
                return Err("clarify: give two to four choices. No reading may be empty or equal to another".into());
            }
            if choices.iter().any(is_long) {
                return Err(format!("clarify: each label and each reading may have at most {MAX_READING_BYTES} bytes"));
            }
            Ok(Use::Clarify { question: cut(&question, MAX_WORDS_BYTES).to_owned(), choices })
        }
        "answer" => parse::<Answer>(name, input).map(|answer| Use::Answer(answer.bounded())),
        "cannot_answer" => parse::<Missing>(name, input)
            .map(|Missing { missing }| Use::CannotAnswer { missing: cut(&missing, MAX_WORDS_BYTES).to_owned() }),
        "hand_back" => parse::<Draft>(name, input).map(|Draft { sql, doubts }| Use::HandBack { sql, doubts }),
        other => Err(format!("there is no tool {other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_are_read_and_wrong_ones_say_why() {
        assert_eq!(read("run_sql", &json!({"sql": "SELECT 1"})), Ok(Use::RunSql { sql: "SELECT 1".into() }));
        assert!(read("run_sql", &json!({"sql": 1})).unwrap_err().contains("expected a string"));
        assert!(read("drop_table", &json!({})).unwrap_err().contains("no tool"));
        assert!(read("clarify", &json!({"question": "?", "choices": []})).unwrap_err().contains("two to four"));
        let same = json!({"label": "x", "reading": "y"});
        assert!(read("clarify", &json!({"question": "?", "choices": [same, same]})).unwrap_err().contains("another"));
        let long = json!({"question": "?", "choices": [{"label": "x", "reading": "y"}, {"label": "x", "reading": "z".repeat(1_001)}]});
        assert!(read("clarify", &long).unwrap_err().contains("1000 bytes"));
        let Ok(Use::Answer(answer)) = read("answer", &json!({"summary": "1 ".repeat(1_000_000)})) else { panic!() };
        assert_eq!(answer.summary.len(), MAX_WORDS_BYTES);
    }

    #[test]
    fn the_tools_are_the_same_each_time() {
        assert_eq!(tools(), tools());
    }
}
