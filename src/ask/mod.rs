//! Answers questions. The model's statements go through the gateway like those of any client: they are checked, limited
//! and recorded, and each record carries the question's id.

mod answer;
mod checks;
mod context_file;
mod index;
mod numbers;
mod prompt;
pub mod schema_context;
mod sessions;
mod spending;
mod ties;
mod toolset;
mod turns;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde::Serialize;

use crate::audit::{Finished, OutcomeKind};
use crate::config::SourceConfig;
use crate::database::advice;
use crate::database::catalog::Snapshot;
use crate::database::result_set::ResultSet;
use crate::error::{Code, ToolError};
use crate::gateway::{AskDatabase, Caller, ExplainQuery, Gateway, Ran, RunSql, user, wanted_rows};
use crate::guard;
use crate::model::{Model, Usage, builtin};
use crate::reply::{AskBack, Reply};
pub(crate) use answer::NOT_SURE;
use answer::{Outcome, Receipt, Success};
use context_file::ContextFile;
use index::Index;
use schema_context::{MatchedValue, RankedTable};
use sessions::{Chosen, Offered, Sessions};
use spending::Spending;
use toolset::{Answer, Choice};
use turns::Question;

/// Maximum number of tables that `Asker::context` lists.
const INSPECTED_TABLES: usize = 20;

/// The schema part of a prompt, and how it was chosen.
#[derive(Debug, Serialize)]
pub struct Inspected {
    pub source: String,
    /// Whether the prompt holds every table.
    pub whole_schema: bool,
    /// Estimated tokens of the schema text.
    pub prompt_tokens: usize,
    pub all_tables: usize,
    /// Microseconds spent on ranking and shortening the schema.
    pub ranked_us: u64,
    pub tables: Vec<RankedTable>,
    pub values: Vec<MatchedValue>,
    pub joins: Vec<String>,
    pub text: String,
}

/// Answers questions with the configured model.
#[derive(Debug)]
pub struct Asker {
    gateway: Arc<Gateway>,
    model: Result<Model, ToolError>,
    /// By source name. An entry is replaced when the source has a new snapshot.
    indexes: Mutex<HashMap<String, Indexed>>,
    sessions: Sessions,
    offered: Offered,
    spending: Spending,
}

/// A snapshot as the gateway read it, and the schema made from it.
type Indexed = (Arc<Snapshot>, Arc<Schema>);

/// The schema that questions use: the context file is applied, and an index is built.
#[derive(Debug)]
struct Schema {
    snapshot: Arc<Snapshot>,
    index: Index,
}

impl Asker {
    /// `model` is an error if the model cannot be used. Every question then gets this error. The other tools still work.
    pub fn new(gateway: Arc<Gateway>, model: Result<Model, ToolError>) -> Self {
        let config = gateway.config();
        let price = model.as_ref().ok().and_then(Model::id).and_then(|id| config.prices.get(id)).copied();
        let spending = Spending::new(config.spending.clone(), price);
        Asker {
            gateway,
            model,
            indexes: Mutex::default(),
            sessions: Sessions::default(),
            offered: Offered::default(),
            spending,
        }
    }

    /// The name of the answerer, as receipts show it.
    pub fn engine(&self) -> Option<&'static str> {
        self.model.as_ref().ok().map(Model::engine)
    }

    pub fn model_id(&self) -> Option<&str> {
        self.model.as_ref().ok().and_then(Model::id)
    }

    /// Checks that the model is configured and can be used, and describes it in words. Nothing is generated.
    ///
    /// # Errors
    ///
    /// The error that a question would get.
    pub async fn check_model(&self) -> Result<String, ToolError> {
        let model = self.model.as_ref().map_err(Clone::clone)?;
        model.check().await.map_err(|error| model.tool_error(&error))
    }

    /// Answers one question. Every outcome is recorded and has a receipt, unless the audit record cannot be opened.
    pub async fn ask(&self, caller: &Caller, request: &AskDatabase) -> Reply {
        self.ask_counted(caller, request).await.0
    }

    /// Answers one question, and also returns how many of its statements failed.
    pub async fn ask_counted(&self, caller: &Caller, request: &AskDatabase) -> (Reply, u32) {
        let entry = match self.gateway.open_question(caller, request).await {
            Ok(entry) => entry,
            Err(error) => return (error.into(), 0),
        };
        let mut receipt = Receipt {
            engine: self.model.as_ref().map_or("builtin", Model::engine),
            model: self.model.as_ref().ok().and_then(Model::id).map(str::to_owned),
            model_calls: 0,
            usage: Usage::default(),
            elapsed_ms: 0,
            audit_id: entry.id().to_owned(),
            repairs: 0,
        };
        let outcome = match self.answer(caller, request, &entry, &mut receipt).await {
            Ok(outcome) => outcome,
            Err(error) => Outcome::Failed(error),
        };
        receipt.elapsed_ms = entry.elapsed_ms();
        let json = answer::to_json(&outcome, &receipt);
        let mut finished = match &outcome {
            Outcome::Success(success) => {
                let mut finished = Finished::new(OutcomeKind::Ok);
                finished.row_count = Some(success.rows.row_count);
                finished
            }
            Outcome::Clarification { .. } | Outcome::HandBack(_) | Outcome::Unanswerable { .. } => {
                Finished::new(OutcomeKind::Ok)
            }
            Outcome::Blocked { error, .. } | Outcome::Failed(error) => Finished::of_error(error),
        };
        finished.reply_bytes = Some(json.len() as u64);
        finished.engine = Some(receipt.engine);
        finished.model = receipt.model;
        finished.input_tokens = Some(receipt.usage.input_tokens);
        finished.output_tokens = Some(receipt.usage.output_tokens);
        if let Some(tokens) = caller.grant.as_ref().and_then(|grant| grant.tokens.as_ref()) {
            tokens.add(receipt.usage.input_tokens + receipt.usage.output_tokens);
        }
        finished.cost = self.spending.price().map(|price| receipt.usage.cost(&price));
        entry.close(finished);
        let is_error = matches!(outcome, Outcome::Blocked { .. } | Outcome::Failed(_));
        let asks_back = match outcome {
            Outcome::Clarification { message, choices } => {
                let readings = choices.into_iter().map(|choice| choice.reading).collect();
                Some(Box::new(AskBack { message, readings }))
            }
            _ => None,
        };
        (Reply { json, is_error, asks_back, image: None }, receipt.repairs)
    }

    /// The entries of the context file for a source.
    fn notes<'a>(&'a self, source_name: &'a str) -> Option<ContextFile<'a>> {
        let config = self.gateway.config();
        config.context.as_ref().map(|context| ContextFile::new(context, source_name, &config.default_source))
    }

    /// The schema for a snapshot. It is built once per snapshot.
    fn schema(&self, source_name: &str, snapshot: &Arc<Snapshot>) -> Arc<Schema> {
        let indexes = || self.indexes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, schema)) = indexes().get(source_name)
            && Arc::ptr_eq(of, snapshot)
        {
            return Arc::clone(schema);
        }
        let noted = self.notes(source_name).and_then(|notes| notes.over(snapshot)).map(Arc::new);
        let asked = noted.unwrap_or_else(|| Arc::clone(snapshot));
        let schema = Arc::new(Schema { index: Index::new(&asked), snapshot: asked });
        indexes().insert(source_name.to_owned(), (Arc::clone(snapshot), Arc::clone(&schema)));
        schema
    }

    /// Entries of the context file that do not fit the source's schema.
    pub fn misfits(&self, source_name: &str, snapshot: &Snapshot) -> Vec<String> {
        self.notes(source_name).map(|notes| notes.misfits(snapshot)).unwrap_or_default()
    }

    /// Returns the verified queries that no longer work, each with the reason. Every verified query is tested with
    /// EXPLAIN and not run.
    pub async fn failing_queries(&self, caller: &Caller, source: &SourceConfig) -> Vec<String> {
        let mut failing = Vec::new();
        for (query, sql) in self.notes(&source.name).into_iter().flat_map(ContextFile::trials) {
            let request = ExplainQuery {
                sql,
                user_id: source.user.is_some().then(|| "doctor".to_owned()),
                source: Some(source.name.clone()),
                ..ExplainQuery::default()
            };
            match self.gateway.explain_query(caller, &request).await {
                Ok(read) => drop(read.close(None, 0)),
                Err(error) => {
                    let code = error.code.as_str();
                    failing.push(format!("the verified query {:?} fails: {code}: {}", query.question, error.message));
                }
            }
        }
        failing
    }

    /// The schema part of the prompt for a question. No model is called.
    ///
    /// # Errors
    ///
    /// An unknown source, a failed connection, the time limit, or an audit entry that cannot be written.
    pub async fn context(
        &self,
        caller: &Caller,
        source_name: Option<&str>,
        question: &str,
    ) -> Result<Inspected, ToolError> {
        let source = self.gateway.source(source_name)?;
        let snapshot = self.gateway.read_schema(caller, source).await?;
        let schema = self.schema(&source.name, &snapshot);
        let (snapshot, index) = (&schema.snapshot, &schema.index);
        let limits = &source.limits;
        let budgets = (limits.schema_budget_tokens, limits.ranked_schema_tokens);
        let send_values = self.gateway.config().model.send_values;
        let began = Instant::now();
        let context = schema_context::build(snapshot, index, question, budgets, send_values);
        let tables = schema_context::ranked_tables(snapshot, index, question, INSPECTED_TABLES);
        Ok(Inspected {
            source: source.name.clone(),
            whole_schema: context.whole,
            prompt_tokens: schema_context::tokens(&context.text),
            all_tables: snapshot.tables.len(),
            ranked_us: u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX),
            values: schema_context::matched_values(snapshot, index, question, 20),
            joins: schema_context::joins(snapshot, &tables.iter().map(|table| table.name.clone()).collect::<Vec<_>>()),
            tables,
            text: context.text,
        })
    }

    /// The answer of a verified query. `None` if no verified query matches the question, or if the statement of the
    /// matching query fails.
    async fn verified(
        &self,
        caller: &Caller,
        (request, asked): (&AskDatabase, &str),
        source: &SourceConfig,
        notes: Option<ContextFile<'_>>,
        entry: &crate::audit::OpenEntry,
        receipt: &mut Receipt,
    ) -> Option<Outcome> {
        let notes = notes?;
        notes.verified(asked, str::to_owned)?;
        // A text parameter takes the stored spelling: in another spelling the filter would match nothing.
        let snapshot = self.gateway.snapshot(caller, source, entry).await.ok();
        let spelling = |text: &str| {
            let columns = snapshot.iter().flat_map(|snapshot| &snapshot.tables).flat_map(|table| &table.columns);
            let stored: Vec<&String> = columns.flat_map(|column| &column.values).collect();
            let same = |value: &&&String| value.to_lowercase() == text.to_lowercase();
            let is_stored = stored.iter().any(|value| *value == text);
            let found = stored.iter().find(same).filter(|_| !is_stored);
            found.map_or_else(|| text.to_owned(), |value| (**value).clone())
        };
        let (query, sql) = notes.verified(asked, spelling)?;
        let run = RunSql {
            sql: sql.clone(),
            max_rows: request.max_rows,
            format: None,
            user_id: request.user_id.clone(),
            source: Some(source.name.clone()),
        };
        let read = match self.gateway.run_sql(caller, &run, answer::reserved_bytes(&sql)).await {
            Ok(read) => read,
            Err(error) => {
                tracing::warn!(
                    %error,
                    question = query.question,
                    "a verified query failed; the question is answered without it"
                );
                return None;
            }
        };
        let Ran::Rows(rows) = &read.value else { return None };
        let (tables, row_count, bytes) = (read.tables.clone(), rows.row_count, rows.rows_json().len());
        let near = match &snapshot {
            Some(snapshot) if checks::has_nothing(rows) => advice::near_values(&sql, snapshot),
            _ => Vec::new(),
        };
        let Ran::Rows(rows) = read.close(Some(row_count), bytes) else { return None };
        receipt.engine = "verified";
        receipt.model = None;
        // The model sees this statement when it answers the session's next question. If `send_values` is off, the
        // statement is remembered in the user's spelling, so that the model sees no stored value.
        let remembered =
            if self.gateway.config().model.send_values { None } else { notes.verified(asked, str::to_owned) };
        self.sessions.add(
            &caller.memory(&source.name),
            request,
            asked,
            remembered.as_ref().map_or(&sql, |(_, sql)| sql),
        );
        let answer = Answer {
            summary: verified_summary(&rows),
            explanation: format!("Verified query: {}", query.question),
            assumptions: Vec::new(),
        };
        // If a text parameter is no stored value, a count is 0 and looks like a real answer. So the nearest stored
        // values are named in a warning.
        let warnings = near.into_iter().map(|near| format!("nothing matched: {near}")).collect();
        Some(Outcome::Success(Box::new(Success { sql, rows, tables, answer, warnings })))
    }

    /// The outcome of a question about a database in which no table can be read.
    async fn no_tables(&self, source: &SourceConfig) -> Outcome {
        let server = self.gateway.database_report(source).await.and_then(|report| report.server);
        let (missing, hint) = match &server {
            Some(server) => (format!("role {} sees no tables", server.role), server.grant()),
            None => ("the database has no tables".to_owned(), "Create tables, or name another database.".to_owned()),
        };
        Outcome::Unanswerable { missing, hint: Some(hint) }
    }

    async fn answer(
        &self,
        caller: &Caller,
        request: &AskDatabase,
        entry: &crate::audit::OpenEntry,
        receipt: &mut Receipt,
    ) -> Result<Outcome, ToolError> {
        let source = self.gateway.source(request.source.as_deref())?;
        caller.grant.as_ref().map_or(Ok(()), |grant| grant.check_source(&source.name))?;
        let limits = &source.limits;
        wanted_rows(request.max_rows, limits)?;
        user(source, request.user_id.as_deref())?;
        if request.question.trim().is_empty() {
            return Err(ToolError::invalid("question is empty"));
        }
        let texts =
            [Some(&request.question), request.choice.as_ref(), request.user_id.as_ref(), request.session_id.as_ref()];
        if texts.into_iter().flatten().any(|text| text.len() > limits.max_text_bytes) {
            let message =
                format!("question, choice, user_id or session_id is longer than {} bytes", limits.max_text_bytes);
            return Err(ToolError::new(Code::InvalidArgument, message));
        }
        let model = self.model.as_ref().map_err(Clone::clone)?;
        self.spending.admit()?;
        caller.grant.as_ref().map_or(Ok(()), |grant| grant.check_tokens())?;
        let deadline = Instant::now() + limits.ask_timeout();
        let caller = Caller { deadline: Some(deadline), question_id: Some(entry.id().to_owned()), ..caller.clone() };
        let notes = self.notes(&source.name);
        let memory = caller.memory(&source.name);
        let offered = self.offered.of(&memory, request);
        let is_remembered = offered.is_some();
        let mut chosen = match sessions::chosen(request.choice.as_deref(), offered) {
            Chosen::Nothing => None,
            Chosen::Reading(reading) => Some(reading),
            Chosen::Unknown { message, choices } => return Ok(not_offered(&message, choices)),
        };
        let asked = chosen.as_deref().unwrap_or(&request.question);
        if let Some(outcome) = self.verified(&caller, (request, asked), source, notes, entry, receipt).await {
            return Ok(outcome);
        }
        let dialect = self.gateway.dialect(source)?;
        // If the question itself is an SQL statement that changes something, it is refused as in `run_sql`, and the
        // model is not called.
        if let Some(rejection) = guard::refused_write(asked, dialect, &source.limits) {
            return Ok(Outcome::Blocked { sql: asked.to_owned(), error: rejection.into() });
        }
        caller.stage("reading the schema");
        let snapshot = self.gateway.snapshot(&caller, source, entry).await?;
        if snapshot.tables.is_empty() {
            return Ok(self.no_tables(source).await);
        }
        let schema = self.schema(&source.name, &snapshot);
        let report = self.gateway.database_report(source).await.unwrap_or_default();
        let offset = time::Duration::seconds(report.utc_offset.into());
        let today = time::OffsetDateTime::now_utc().saturating_add(offset).date();
        if chosen.is_some() && !is_remembered && !model.is_language_model() {
            // The choices of the built-in answerer depend only on the question, the schema and the date. So they are
            // computed again if they are no longer remembered, for example after a restart.
            let offered = builtin::choices(&request.question, &schema.snapshot, dialect, today);
            let offered = offered.map(|(message, choices)| {
                let offers = choices.into_iter().map(|offer| Choice { label: offer.label, reading: offer.reading });
                (message, offers.collect())
            });
            match sessions::chosen(request.choice.as_deref(), offered) {
                Chosen::Unknown { message, choices } => return Ok(not_offered(&message, choices)),
                Chosen::Reading(reading) => chosen = Some(reading),
                Chosen::Nothing => {}
            }
        }
        let question = Question {
            gateway: &self.gateway,
            model,
            request,
            source,
            chosen,
            dialect,
            snapshot: &schema.snapshot,
            index: &schema.index,
            notes,
            earlier: &self.sessions.before(&memory, request),
            spending: &self.spending,
            today,
            time_zone: report.time_zone,
            deadline,
            caller,
        };
        let outcome = Box::pin(question.run(receipt)).await;
        match &outcome {
            Outcome::Success(success) => self.sessions.add(&memory, request, question.reading(), &success.sql),
            Outcome::Clarification { message, choices } => self.offered.add(&memory, request, message, choices),
            _ => {}
        }
        Ok(outcome)
    }
}

/// The words as a sentence.
pub(super) fn sentence(words: &str) -> String {
    let mut characters = words.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    format!("{}{}.", first.map(String::from).unwrap_or_default(), characters.as_str())
}

/// The summary of a verified query: its value, or the number of its rows.
fn verified_summary(rows: &ResultSet) -> String {
    let cells: Vec<Vec<serde_json::Value>> = serde_json::from_str(&rows.rows_json()).unwrap_or_default();
    match cells.as_slice() {
        [row] if row.len() == 1 => {
            let value = row.first().map(|cell| cell.as_str().map_or_else(|| cell.to_string(), str::to_owned));
            format!("{}.", value.unwrap_or_default())
        }
        _ => sentence(&rows.count_in_words()),
    }
}

/// The reply to a choice that was not offered: the choices again.
fn not_offered(message: &str, choices: Vec<Choice>) -> Outcome {
    Outcome::Clarification { message: format!("The choice was not offered. {message}"), choices }
}

#[cfg(test)]
mod tests;
