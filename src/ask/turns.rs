//! The bounded loop: a model turn, its tool uses through the gateway, the results back, until an outcome is reached.

use std::time::{Duration, Instant};

use serde_json::Value;
use serde_json::value::RawValue;

use super::answer::{Draft, HandBack, Outcome, Receipt, Success, reserved_bytes};
use super::checks;
use super::context_file::ContextFile;
use super::index::Index;
use super::prompt;
use super::schema_context::{self, SchemaContext};
use super::sessions::Turn;
use super::spending::Spending;
use super::toolset::{self, Answer, Use};
use crate::config::SourceConfig;
use crate::database::catalog::Snapshot;
use crate::database::result_set::ResultSet;
use crate::dialect::Dialect;
use crate::error::{Code, ToolError, nearest};
use crate::gateway::{AskDatabase, Caller, DescribeTable, Gateway, Ran, RunSql};
use crate::model::{Block, Message, Model, ModelError, StopReason, ToolResult, TurnRequest};
use crate::quoting;

/// Bytes reserved in a hand-back for status and receipt.
const RECEIPT_BYTES: usize = 500;

/// Time between the deadline of a model call and that of the question, so that the answer is sent in time.
const CLOSING_TIME: Duration = Duration::from_millis(500);
/// Tables in a hand-back.
const HAND_BACK_TABLES: usize = 10;
/// The built-in answerer looks at every word of each table, so of a large schema it gets only the best tables.
const BUILTIN_TABLES: usize = 200;
/// Verified queries shown as examples.
const EXAMPLES: usize = 3;
/// Values that `sample_values` returns at most.
const SAMPLE: u64 = 20;
/// A result with more rows is not checked for holding no values.
const FEW_ROWS: u64 = 20;
/// Tool uses of one turn that are performed; the rest get an error.
const MOST_USES: usize = 8;
/// Tables that `search_schema` returns at most.
const SEARCH_TABLES: usize = 8;

/// One question, with all that the loop needs.
pub(super) struct Question<'a> {
    pub gateway: &'a Gateway,
    pub model: &'a Model,
    /// The client's call, with the question's id and deadline added.
    pub caller: Caller,
    pub request: &'a AskDatabase,
    pub source: &'a SourceConfig,
    pub dialect: Dialect,
    pub snapshot: &'a Snapshot,
    pub index: &'a Index,
    pub spending: &'a Spending,
    /// The entries of the context file for this source.
    pub notes: Option<ContextFile<'a>>,
    /// Earlier turns of the session, oldest first.
    pub earlier: &'a [Turn],
    pub today: time::Date,
    pub deadline: Instant,
}

/// The state of the loop.
#[derive(Default)]
struct Progress {
    /// The last statement that succeeded, its rows, and the tables it reads.
    found: Option<(String, ResultSet, Vec<String>)>,
    /// The last statement that failed.
    refused: Option<(String, ToolError)>,
    failures: u32,
    /// Already told the model to call a tool.
    nudged: bool,
    /// Already asked the model about an empty result.
    doubted_result: bool,
    /// Already asked the model about numbers that are not in the result.
    doubted_numbers: bool,
    warnings: Vec<String>,
}

impl Question<'_> {
    /// The text to answer: the reading that the user chose, which is a complete question, or else the question itself.
    fn reading(&self) -> &str {
        self.request.choice.as_deref().unwrap_or(&self.request.question)
    }

    /// Runs the loop and fills in the receipt.
    pub(super) async fn run(&self, receipt: &mut Receipt) -> Outcome {
        let limits = &self.source.limits;
        let config = &self.gateway.config().model;
        let is_builtin = matches!(self.model, Model::Builtin);
        let context = schema_context::build(
            self.snapshot,
            self.index,
            self.reading(),
            (limits.schema_budget_tokens, limits.ranked_schema_tokens),
            config.send_values,
        );
        let is_large = self.snapshot.tables.len() > BUILTIN_TABLES;
        let narrow = (is_builtin && is_large)
            .then(|| schema_context::narrowed(self.snapshot, self.index, self.reading(), BUILTIN_TABLES));
        let system = prompt::system(self.dialect, config.send_rows);
        let said = self.notes.map(ContextFile::text).unwrap_or_default();
        let schema = prompt::schema(&context.text, context.whole, &said);
        let tools = toolset::tools();
        let spoken_tools = prompt::spoken_tools(&tools);
        let mut messages = vec![Message::User(prompt::question(
            &self.request.question,
            self.request.choice.as_deref(),
            self.today,
            self.earlier,
            &self.notes.map(|notes| notes.examples(self.reading(), EXAMPLES)).unwrap_or_default(),
        ))];
        let mut progress = Progress::default();
        for call in 1..=limits.max_model_calls {
            if !is_builtin {
                if let Err(error) = self.spending.check(receipt) {
                    return self.spent(progress, error);
                }
                receipt.model_calls = call;
                self.caller.stage(format!("asking the model, call {call}"));
            }
            let request = TurnRequest {
                system: &system,
                schema: &schema,
                whole_schema: context.whole,
                tools: &tools,
                spoken_tools: &spoken_tools,
                messages: &messages,
                deadline: self.deadline.checked_sub(CLOSING_TIME).unwrap_or(self.deadline),
                question: self.reading(),
                snapshot: narrow.as_ref().unwrap_or(self.snapshot),
                dialect: self.dialect,
                today: self.today,
            };
            let turn = tokio::select! {
                turn = self.model.turn(&request) => turn,
                () = self.caller.cancel.cancelled() => {
                    return Outcome::Failed(ToolError::new(Code::Cancelled, "the call was cancelled"));
                }
            };
            let turn = match turn {
                Ok(turn) => turn,
                Err(ModelError::Deadline) => return self.out_of_time(progress),
                Err(error) => return self.failed(&error),
            };
            receipt.add(turn.usage);
            self.spending.add(turn.usage);
            let uses: Vec<(&String, &String, &serde_json::Value)> = turn
                .blocks
                .iter()
                .filter_map(|block| match block {
                    Block::ToolUse { id, name, input } => Some((id, name, input)),
                    Block::Text(_) => None,
                })
                .collect();
            if uses.is_empty() {
                let said = text_of(&turn.blocks);
                if progress.found.is_some() && !said.is_empty() && turn.stop != StopReason::MaxTokens {
                    return self.success(progress, Answer { summary: said, ..Answer::default() }.bounded());
                }
                if progress.nudged || call == limits.max_model_calls {
                    return self.failed(&ModelError::Reply("it called no tool although it was asked to".into()));
                }
                progress.nudged = true;
                messages.push(Message::Model { blocks: turn.blocks, raw: turn.raw });
                messages.push(Message::User(prompt::USE_A_TOOL.into()));
                continue;
            }
            let mut results = Vec::with_capacity(uses.len());
            for (place, (id, name, input)) in uses.into_iter().enumerate() {
                let result = if turn.stop == StopReason::MaxTokens {
                    Err(prompt::CUT_OFF.to_owned())
                } else if place >= MOST_USES || progress.failures > limits.max_repairs || self.is_over() {
                    Err(prompt::TOO_MANY.to_owned())
                } else {
                    match toolset::read(name, input) {
                        Err(problem) => Err(problem),
                        Ok(used) => match self.perform(used, &mut progress, &context).await {
                            Step::Result(result) => result,
                            Step::Finished(outcome) => return *outcome,
                        },
                    }
                };
                let is_error = result.is_err();
                let text = result.unwrap_or_else(|problem| problem);
                results.push(ToolResult { id: id.clone(), text, is_error });
            }
            receipt.repairs = progress.failures;
            if progress.failures > limits.max_repairs {
                break;
            }
            messages.push(Message::Model { blocks: turn.blocks, raw: turn.raw });
            messages.push(Message::Results(results));
        }
        self.exhausted(progress)
    }

    async fn perform(&self, used: Use, progress: &mut Progress, context: &SchemaContext) -> Step {
        match used {
            Use::RunSql { sql } => Step::Result(self.run_sql(sql, progress).await),
            Use::DescribeTable { table } => {
                let request = DescribeTable { table, source: Some(self.source.name.clone()) };
                Step::Result(match self.gateway.describe_table(&self.caller, &request).await {
                    Ok(read) => {
                        let mut table = read.value.clone();
                        if !self.gateway.config().model.send_values {
                            for column in &mut table.columns {
                                column.values.clear();
                            }
                        }
                        let text = serde_json::to_string(&table).unwrap_or_default();
                        read.close(None, text.len());
                        Ok(prompt::fence(&text))
                    }
                    Err(error) => Err(prompt::fence(&error.to_json())),
                })
            }
            Use::SearchSchema { words } => {
                let send_values = self.gateway.config().model.send_values;
                let ranked = schema_context::ranked_tables(self.snapshot, self.index, &words, SEARCH_TABLES);
                let lines: Vec<String> = ranked
                    .iter()
                    .filter_map(|ranked| self.snapshot.tables.iter().find(|table| table.name == ranked.name))
                    .map(|table| schema_context::line(table, send_values))
                    .collect();
                Step::Result(Ok(prompt::fence(&lines.join("\n"))))
            }
            Use::SampleValues { table, column } => Step::Result(self.sample_values(&table, &column).await),
            Use::Clarify { question, choices } => {
                let readings = choices.iter().flat_map(|choice| [choice.label.as_str(), choice.reading.as_str()]);
                if self.repeats_rules(std::iter::once(question.as_str()).chain(readings)) {
                    return Step::Result(Err(prompt::REPEATS_RULES.into()));
                }
                Step::Finished(Box::new(Outcome::Clarification { message: question, choices }))
            }
            Use::CannotAnswer { missing } if self.repeats_rules([missing.as_str()].into_iter()) => {
                Step::Result(Err(prompt::REPEATS_RULES.into()))
            }
            Use::Answer(answer) => match &progress.found {
                Some(found) if !progress.doubted_numbers => match self.foreign_numbers(found, &answer.summary) {
                    foreign if foreign.is_empty() => {
                        Step::Finished(Box::new(self.success(std::mem::take(progress), answer)))
                    }
                    foreign => {
                        progress.doubted_numbers = true;
                        Step::Result(Err(prompt::foreign_numbers(&foreign)))
                    }
                },
                Some(_) => Step::Finished(Box::new(self.success(std::mem::take(progress), answer))),
                None => Step::Result(Err("answer: no statement has succeeded yet; call run_sql first".into())),
            },
            Use::CannotAnswer { missing } => {
                let error = ToolError::new(Code::Unanswerable, format!("the data cannot answer this: {missing}"))
                    .hint("`list_tables` shows what the data holds.");
                Step::Finished(Box::new(Outcome::Failed(error)))
            }
            Use::HandBack { sql, doubts } if matches!(self.model, Model::Builtin) => {
                Step::Finished(Box::new(self.hand_back(sql, doubts, context)))
            }
            Use::HandBack { .. } => Step::Result(Err("there is no tool \"hand_back\"".into())),
        }
    }

    /// Runs a proposed statement through the gateway and returns the tool result for the model.
    async fn run_sql(&self, sql: String, progress: &mut Progress) -> Result<String, String> {
        let request = RunSql {
            sql: sql.clone(),
            max_rows: self.request.max_rows,
            format: None,
            user_id: self.request.user_id.clone(),
            source: Some(self.source.name.clone()),
        };
        match self.gateway.run_sql(&self.caller, &request, reserved_bytes(&sql)).await {
            Ok(read) => {
                let tables = read.tables.clone();
                match &read.value {
                    Ran::Rows(rows) => {
                        let mut shown = self.shown(rows);
                        if let Some(doubt) = self.doubt(&sql, rows).filter(|_| !progress.doubted_result) {
                            progress.doubted_result = true;
                            shown = format!("{shown}\n{doubt}");
                        }
                        let row_count = rows.row_count;
                        let bytes = rows.rows_json().len();
                        if let Ran::Rows(rows) = read.close(Some(row_count), bytes) {
                            progress.found = Some((sql, rows, tables));
                        }
                        Ok(shown)
                    }
                    Ran::Plan(plan) => {
                        let text = prompt::fence(&plan.summary.join("\n"));
                        read.close(None, text.len());
                        Ok(text)
                    }
                }
            }
            Err(error) => {
                progress.failures += 1;
                let mut told = error.clone();
                if !self.gateway.config().model.send_rows && error.code == Code::SqlError {
                    // Error messages of a database quote values.
                    told.message = "the database refused the statement".into();
                }
                progress.refused = Some((sql, error));
                let told = told.to_json();
                Err(if matches!(self.model, Model::Builtin) { told } else { prompt::fence(&told) })
            }
        }
    }

    /// The tool result for a result set: its first rows within the row and byte limits, fenced.
    /// With `send_rows = false` it has only the number of rows and the column names.
    fn shown(&self, rows: &ResultSet) -> String {
        let limits = &self.source.limits;
        let columns: Vec<&str> = rows.columns.iter().map(|column| column.name.as_str()).collect();
        let counted = |rows_shown: &[Box<RawValue>]| {
            serde_json::json!({
                "columns": columns, "row_count": rows.row_count, "more_rows_exist": rows.is_truncated(),
                "rows": rows_shown,
            })
            .to_string()
        };
        // The built-in answerer runs in this process, and its templates need the rows.
        if !self.gateway.config().model.send_rows && !matches!(self.model, Model::Builtin) {
            return format!("{} rows with columns {}", rows.row_count, columns.join(", "));
        }
        let all: Vec<Box<RawValue>> = serde_json::from_str(&rows.rows_json()).unwrap_or_default();
        let mut bytes = 0;
        let shown = all
            .iter()
            .take(limits.model_rows)
            .take_while(|row| {
                bytes += row.get().len() + 1;
                bytes <= limits.model_result_bytes
            })
            .count();
        prompt::fence(&counted(all.get(..shown).unwrap_or_default()))
    }

    /// Whether the model's words repeat its rules. Always `false` for the built-in answerer.
    fn repeats_rules<'a>(&self, mut words: impl Iterator<Item = &'a str>) -> bool {
        let rules = prompt::system(self.dialect, self.gateway.config().model.send_rows);
        !self.is_builtin() && words.any(|words| checks::repeats(words, &rules))
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.deadline || self.caller.cancel.is_cancelled()
    }

    fn failed(&self, error: &ModelError) -> Outcome {
        Outcome::Failed(self.model.told(error))
    }

    fn is_builtin(&self) -> bool {
        matches!(self.model, Model::Builtin)
    }

    /// The question to the model about a result without values, if the result needs one.
    fn doubt(&self, sql: &str, rows: &ResultSet) -> Option<String> {
        // Parsing many rows just to find NULL in all of them would be wasted work.
        if self.is_builtin() || rows.row_count > FEW_ROWS {
            return None;
        }
        let cells: Vec<Value> = serde_json::from_str(&rows.rows_json()).unwrap_or_default();
        let is_nothing = checks::is_suspicious(&cells);
        if !is_nothing && !checks::is_zero(&cells) {
            return None;
        }
        let may_tell = self.gateway.config().model.send_values;
        let near = if may_tell { checks::near_values(sql, self.snapshot) } else { Vec::new() };
        // Zero is a valid answer, unless a literal differs from a stored value in its spelling.
        (is_nothing || !near.is_empty()).then(|| prompt::suspicious(&near))
    }

    /// Numbers of a summary that are neither in the result nor in the question, the statement or today's date.
    fn foreign_numbers(&self, (sql, rows, _): &(String, ResultSet, Vec<String>), summary: &str) -> Vec<String> {
        if self.is_builtin() || !self.gateway.config().model.send_rows {
            return Vec::new();
        }
        let cells: Vec<Value> = serde_json::from_str(&rows.rows_json()).unwrap_or_default();
        let today = self.today.to_string();
        checks::foreign_numbers(summary, &cells, rows.row_count, &[&self.request.question, self.reading(), sql, &today])
    }

    /// Some distinct values of a column. The query goes through the gateway like any other statement.
    async fn sample_values(&self, table: &str, column: &str) -> Result<String, String> {
        if !self.gateway.config().model.send_values {
            return Err("sample_values: stored values are not sent to the model".into());
        }
        let unknown = |what: String, near: Vec<&str>| format!("{what}; nearest:\n{}", prompt::fence(&near.join(", ")));
        let names = self.snapshot.tables.iter().map(|table| table.name.as_str());
        let known = self
            .snapshot
            .tables
            .iter()
            .find(|known| known.name == table)
            .ok_or_else(|| unknown(format!("there is no table {table:?}"), nearest(table, names, 3)))?;
        let columns = known.columns.iter().map(|column| column.name.as_str());
        let known_column = known
            .columns
            .iter()
            .find(|known| known.name == column)
            .ok_or_else(|| unknown(format!("the table has no column {column:?}"), nearest(column, columns, 3)))?;
        let quoted = quoting::name(self.dialect, &known_column.name);
        // On PostgreSQL the catalog's names are already quoted where SQL needs it.
        let table = match self.dialect {
            Dialect::Postgresql => known.name.clone(),
            Dialect::Sqlite => quoting::name(self.dialect, &known.name),
        };
        let request = RunSql {
            sql: format!("SELECT DISTINCT {quoted} FROM {table} WHERE {quoted} IS NOT NULL LIMIT {SAMPLE}"),
            max_rows: Some(SAMPLE),
            format: None,
            user_id: self.request.user_id.clone(),
            source: Some(self.source.name.clone()),
        };
        match self.gateway.run_sql(&self.caller, &request, 0).await {
            Ok(read) => match &read.value {
                Ran::Rows(rows) => {
                    let (text, row_count) = (prompt::fence(&rows.rows_json()), rows.row_count);
                    read.close(Some(row_count), text.len());
                    Ok(text)
                }
                Ran::Plan(_) => Err("sample_values: no rows".into()),
            },
            Err(error) => Err(prompt::fence(&error.to_json())),
        }
    }

    fn success(&self, mut progress: Progress, mut answer: Answer) -> Outcome {
        let Some(found) = progress.found.take() else {
            return Outcome::Failed(ToolError::internal());
        };
        let said = [&answer.summary, &answer.explanation].into_iter().chain(&answer.assumptions);
        if self.repeats_rules(said.map(String::as_str)) {
            progress.warnings.push("the model's words are withheld: they repeat its rules".into());
            answer = Answer { summary: format!("{} rows.", found.1.row_count), ..Answer::default() };
        }
        let foreign = self.foreign_numbers(&found, &answer.summary);
        if !foreign.is_empty() {
            progress.warnings.push(format!(
                "the model's summary is withheld: it states numbers that do not stand in the result ({})",
                foreign.join(", ")
            ));
            answer.summary = format!("{} rows.", found.1.row_count);
        }
        let (sql, rows, tables) = found;
        if !self.gateway.config().model.send_rows && !matches!(self.model, Model::Builtin) {
            // The model has not seen the rows, so it cannot summarise them.
            answer.summary = format!("{} rows.", rows.row_count);
        }
        let warnings = std::mem::take(&mut progress.warnings);
        Outcome::Success(Box::new(Success { sql, rows, tables, answer, warnings }))
    }

    /// The outcome at the deadline: the last rows found, otherwise an error.
    fn out_of_time(&self, mut progress: Progress) -> Outcome {
        match &progress.found {
            Some((_, rows, _)) => {
                progress.warnings.push("deadline".into());
                let summary = format!("{} rows; the time was over before they were put into words.", rows.row_count);
                self.success(progress, Answer { summary, ..Answer::default() })
            }
            None => self.failed(&ModelError::Deadline),
        }
    }

    /// The outcome at a spending limit: the last rows found, otherwise the error.
    fn spent(&self, mut progress: Progress, error: ToolError) -> Outcome {
        match &progress.found {
            Some((_, rows, _)) => {
                progress.warnings.push(error.message);
                let summary = format!("{} rows.", rows.row_count);
                self.success(progress, Answer { summary, ..Answer::default() })
            }
            None => Outcome::Failed(error),
        }
    }

    /// The outcome when all model calls or corrections are used up.
    fn exhausted(&self, mut progress: Progress) -> Outcome {
        if let Some((_, rows, _)) = &progress.found {
            progress.warnings.push("the model did not finish within its calls".into());
            let summary = format!("{} rows.", rows.row_count);
            return self.success(progress, Answer { summary, ..Answer::default() });
        }
        match progress.refused {
            Some((sql, error)) if error.code.is_refusal() => Outcome::Blocked { sql, error },
            Some((_, error)) if error.code == Code::Deadline || Instant::now() >= self.deadline => {
                self.failed(&ModelError::Deadline)
            }
            Some((_, error)) => Outcome::Failed(error),
            None => self.failed(&ModelError::Reply("it did not come to an answer within its calls".into())),
        }
    }

    fn hand_back(&self, sql: Option<String>, doubts: Vec<String>, context: &SchemaContext) -> Outcome {
        let tables = schema_context::ranked_tables(self.snapshot, self.index, self.reading(), HAND_BACK_TABLES);
        let limits = &self.source.limits;
        let schema = if context.whole && schema_context::tokens(&context.text) <= limits.ranked_schema_tokens {
            context.text.clone()
        } else {
            let ranked = limits.ranked_schema_tokens;
            schema_context::build(self.snapshot, self.index, self.reading(), (ranked, ranked), true).text
        };
        let hand_back = HandBack {
            message:
                "No language model is configured and the built-in answerer is not sure; write the statement from this."
                    .into(),
            dialect: self.dialect.name(),
            schema,
            values: schema_context::matched_values(self.snapshot, self.index, self.reading(), 20),
            joins: schema_context::joins(self.snapshot, &tables),
            tables,
            draft: sql.map(|sql| Draft { sql, doubts }),
            next: "Call run_sql with one statement.",
        };
        Outcome::HandBack(Box::new(hand_back.within(limits.max_reply_bytes.saturating_sub(RECEIPT_BYTES))))
    }
}

/// The effect of a tool use: a result for the model, or the outcome of the question.
enum Step {
    Result(Result<String, String>),
    Finished(Box<Outcome>),
}

fn text_of(blocks: &[Block]) -> String {
    let texts: Vec<&str> = blocks
        .iter()
        .filter_map(|block| match block {
            Block::Text(text) => Some(text.trim()),
            Block::ToolUse { .. } => None,
        })
        .collect();
    texts.join("\n")
}
