//! The loop that answers a question. The model returns a turn, the tool uses of the turn are performed, and the model
//! gets their results for its next turn. Everything that reads the database goes through the gateway. The loop ends
//! with an outcome, at the latest after the maximum number of model calls.

mod outcomes;
mod stored_values;
mod tool_uses;
mod verdicts;

#[cfg(test)]
pub(super) use tool_uses::named;

use std::time::{Duration, Instant};

use serde_json::Value;
use serde_json::value::RawValue;

use super::answer::{Draft, HandBack, Outcome, Receipt, Success, reserved_bytes};
use super::checks;
use super::context_file::ContextFile;
use super::index::Index;
use super::numbers;
use super::prompt;
use super::schema_context;
use super::sessions::Turn;
use super::spending::Spending;
use super::ties;
use super::toolset::{self, Answer, Use};
use crate::config::SourceConfig;
use crate::database::catalog::Snapshot;
use crate::database::result_set::ResultSet;
use crate::dialect::Dialect;
use crate::error::{Code, ToolError, nearest};
use crate::gateway::{AskDatabase, Caller, DescribeTable, Gateway, Ran, RunSql};
use crate::model::{Block, Message, Model, ModelError, StopReason, ToolResult, TurnRequest};
use crate::quoting;

/// Bytes of a hand-back that are reserved for its status and receipt.
const RECEIPT_BYTES: usize = 500;

/// Time between the deadline of a model call and the later deadline of the question. TUDB needs this time to send the
/// answer before the question's deadline.
const CLOSING_TIME: Duration = Duration::from_millis(500);
/// Maximum number of tables in a hand-back.
const HAND_BACK_TABLES: usize = 8;
/// Maximum tokens of the schema text in a hand-back. The client's model reads every hand-back and pays for its tokens.
/// For more columns it can call `describe_table`.
const HAND_BACK_TOKENS: usize = 280;
/// Maximum number of stored values in a hand-back.
const HAND_BACK_VALUES: usize = 8;
/// Maximum number of tables that the built-in answerer gets. The answerer compares every word of each table. From a
/// larger schema it gets only the tables that rank highest for the question.
const BUILTIN_TABLES: usize = 200;
/// Maximum number of columns of these tables together. A hundred tables of 1,600 columns took seconds and 330 MB for
/// each question. A table that would exceed the bound is left out.
const BUILTIN_COLUMNS: usize = 10_000;
/// Maximum number of verified queries that are shown as examples.
const EXAMPLES: usize = 3;
/// Maximum number of values of a column that `sample_values` returns.
const SAMPLE: u64 = 20;
/// Maximum number of columns that one call of `sample_values` reads.
const SAMPLED_COLUMNS: usize = 5;
/// Maximum number of rows of a table that `sample_values` reads.
const SAMPLED_ROWS: i64 = 100_000;
/// Maximum number of rows of a result that is checked for having no values, or only zeros.
const FEW_ROWS: u64 = 20;
/// Maximum number of tool uses of one turn that are performed. Further tool uses get an error.
const MOST_USES: usize = 8;
/// Maximum number of tables that `search_schema` returns.
const SEARCH_TABLES: usize = 8;

/// One question and everything that the loop needs to answer it.
pub(super) struct Question<'a> {
    pub gateway: &'a Gateway,
    pub model: &'a Model,
    /// The caller of the client's request, with the id and the deadline of the question.
    pub caller: Caller,
    pub request: &'a AskDatabase,
    /// The reading that the user chose. A reading is a complete question.
    pub chosen: Option<String>,
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
    /// The time zone in which the database converts timestamps to days. `None` if the database has no time zone.
    pub time_zone: Option<String>,
    pub deadline: Instant,
}

/// The state of the loop.
#[derive(Default)]
struct Progress {
    /// The last statement that returned a result, this result, and the tables that the statement reads.
    found: Option<(String, ResultSet, Vec<String>)>,
    /// The last statement that failed, and its error.
    refused: Option<(String, ToolError)>,
    /// Number of statements that failed.
    failures: u32,
    /// True after the model was told to call a tool.
    nudged: bool,
    /// True after the model was asked about a result without values, or only with zeros.
    doubted_result: bool,
    /// True after the model was asked about numbers that are not in the result.
    doubted_numbers: bool,
    /// True after the model was asked about a tie that LIMIT hides.
    doubted_tie: bool,
    /// Numbers in the results before the last result. At most `numbers::MOST_EARLIER`, the earliest first.
    earlier_numbers: Vec<f64>,
    warnings: Vec<String>,
}

impl Question<'_> {
    /// Returns the question to answer: the reading that the user chose, which is a complete question. If the user chose
    /// none, it is the original question.
    pub(super) fn reading(&self) -> &str {
        self.chosen.as_deref().unwrap_or(&self.request.question)
    }

    /// Runs the loop and fills in the receipt: model calls, token usage and repairs.
    pub(super) async fn run(&self, receipt: &mut Receipt) -> Outcome {
        let limits = &self.source.limits;
        let config = &self.gateway.config().model;
        let is_language_model = self.model.is_language_model();
        let context = schema_context::build(
            self.snapshot,
            self.index,
            self.reading(),
            (limits.schema_budget_tokens, limits.ranked_schema_tokens),
            config.send_values,
        );
        let is_large = self.snapshot.tables.len() > BUILTIN_TABLES || self.snapshot.columns() > BUILTIN_COLUMNS;
        let most = (BUILTIN_TABLES, BUILTIN_COLUMNS);
        let narrow = (!is_language_model && is_large)
            .then(|| schema_context::narrowed(self.snapshot, self.index, self.reading(), most));
        let read = narrow.as_ref().unwrap_or(self.snapshot);
        let found = if is_language_model { Vec::new() } else { self.stored_values(read).await };
        let system = prompt::system(self.dialect, config.send_rows);
        let said = self.notes.map(ContextFile::text).unwrap_or_default();
        let schema = prompt::schema(&context.text, context.whole, &said);
        let tools = toolset::tools();
        let spoken_tools = prompt::spoken_tools(&tools);
        let mut messages = vec![Message::User(prompt::question(
            &self.request.question,
            self.chosen.as_deref(),
            self.today,
            self.earlier,
            &self.notes.map(|notes| notes.examples(self.reading(), EXAMPLES)).unwrap_or_default(),
        ))];
        let mut progress = Progress::default();
        for call in 1..=limits.max_model_calls {
            if is_language_model {
                if let Err(error) = self.spending.check(receipt) {
                    return self.ended(progress, error);
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
                snapshot: read,
                found: &found,
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
                Err(error) => return self.ended(progress, self.model.tool_error(&error)),
            };
            receipt.usage = receipt.usage.plus(turn.usage);
            self.spending.add(turn.usage);
            let uses = tool_uses_of(&turn.blocks);
            if uses.is_empty() {
                let said = text_of(&turn.blocks);
                if progress.found.is_some() && !said.is_empty() && turn.stop != StopReason::MaxTokens {
                    return self.success(progress, Answer { summary: said, ..Answer::default() }.bounded());
                }
                if progress.nudged || call == limits.max_model_calls {
                    return self.ended(progress, self.model.tool_error(&ModelError::Reply("it called no tool".into())));
                }
                progress.nudged = true;
                messages.push(Message::Model { blocks: turn.blocks, raw: turn.raw });
                messages.push(Message::User(prompt::USE_A_TOOL.into()));
                continue;
            }
            let results = match self.results(uses, turn.stop == StopReason::MaxTokens, &mut progress).await {
                Ok(results) => results,
                Err(outcome) => return *outcome,
            };
            receipt.repairs = progress.failures;
            if progress.failures > limits.max_repairs {
                break;
            }
            messages.push(Message::Model { blocks: turn.blocks, raw: turn.raw });
            messages.push(Message::Results(results));
        }
        self.exhausted(progress)
    }

    /// Performs the tool uses of one turn. `is_cut_off` is true if the turn reached its limit of tokens.
    ///
    /// # Errors
    ///
    /// The outcome, if a tool use ended the question.
    async fn results(
        &self,
        uses: Vec<ToolUse<'_>>,
        is_cut_off: bool,
        progress: &mut Progress,
    ) -> Result<Vec<ToolResult>, Box<Outcome>> {
        let mut results = Vec::with_capacity(uses.len());
        for (place, (id, name, input)) in uses.into_iter().enumerate() {
            let result = if is_cut_off {
                Err(prompt::CUT_OFF.to_owned())
            } else if place >= MOST_USES || progress.failures > self.source.limits.max_repairs || self.is_over() {
                Err(prompt::TOO_MANY.to_owned())
            } else {
                match toolset::read(name, input) {
                    Err(problem) => Err(problem),
                    Ok(used) => match self.perform(used, progress).await {
                        Step::Result(result) => result,
                        Step::Finished(outcome) => return Err(outcome),
                    },
                }
            };
            let is_error = result.is_err();
            let text = result.unwrap_or_else(|problem| problem);
            results.push(ToolResult { id: id.clone(), text, is_error });
        }
        Ok(results)
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.deadline || self.caller.cancel.is_cancelled()
    }

    fn failed(&self, error: &ModelError) -> Outcome {
        Outcome::Failed(self.model.tool_error(error))
    }
}

/// The effect of a tool use: a result for the model, or the outcome of the question.
enum Step {
    Result(Result<String, String>),
    Finished(Box<Outcome>),
}

/// Id, name and input of a tool use.
type ToolUse<'a> = (&'a String, &'a String, &'a serde_json::Value);

fn tool_uses_of(blocks: &[Block]) -> Vec<ToolUse<'_>> {
    blocks
        .iter()
        .filter_map(|block| match block {
            Block::ToolUse { id, name, input } => Some((id, name, input)),
            Block::Text(_) => None,
        })
        .collect()
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
