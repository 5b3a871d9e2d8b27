//! Asking: answers a question as one more client of the gateway. Each statement a model proposes takes the whole road,
//! with the question's id in its record.

mod answer;
mod prompt;
pub mod schema_context;
mod toolset;
mod turns;

use std::sync::Arc;
use std::time::Instant;

use crate::audit::{Finished, OutcomeKind};
use crate::error::{Code, ToolError};
use crate::gateway::{AskDatabase, Caller, Gateway, user, wanted_rows};
use crate::model::Model;
use crate::tools::Reply;
use answer::{Outcome, Receipt};
use turns::Question;

/// Answers questions with the configured model.
#[derive(Debug)]
pub struct Asker {
    gateway: Arc<Gateway>,
    model: Result<Model, ToolError>,
}

impl Asker {
    /// A model that cannot be used is told with each question; the other tools work without.
    pub fn new(gateway: Arc<Gateway>, model: Result<Model, ToolError>) -> Self {
        Asker { gateway, model }
    }

    /// The receipt's word for what answers.
    pub fn engine(&self) -> Option<&'static str> {
        self.model.as_ref().ok().map(Model::engine)
    }

    pub fn model_id(&self) -> Option<&str> {
        self.model.as_ref().ok().and_then(Model::id)
    }

    /// Whether there is a model, and something to log in with, in words. The model itself is not asked.
    ///
    /// # Errors
    ///
    /// What a question would answer.
    pub async fn check_model(&self) -> Result<String, ToolError> {
        Ok(self.model.as_ref().map_err(Clone::clone)?.check().await?)
    }

    /// Answers one question. Whatever happens has a record and a receipt.
    pub async fn ask(&self, caller: &Caller, request: &AskDatabase) -> Reply {
        let entry = match self.gateway.open_question(caller, request).await {
            Ok(entry) => entry,
            Err(error) => return error.into(),
        };
        let mut receipt = Receipt {
            engine: self.model.as_ref().map_or("builtin", Model::engine),
            model: self.model.as_ref().ok().and_then(Model::id).map(str::to_owned),
            model_calls: 0,
            input_tokens: 0,
            output_tokens: 0,
            cache_read_tokens: 0,
            elapsed_ms: 0,
            audit_id: entry.id().to_owned(),
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
            Outcome::Clarification { .. } | Outcome::HandBack(_) => Finished::new(OutcomeKind::Ok),
            Outcome::Blocked { error, .. } | Outcome::Failed(error) => Finished::of_error(error),
        };
        finished.reply_bytes = Some(json.len() as u64);
        finished.engine = Some(receipt.engine);
        finished.model = receipt.model;
        finished.input_tokens = Some(receipt.input_tokens);
        finished.output_tokens = Some(receipt.output_tokens);
        entry.close(finished);
        Reply { json, is_error: matches!(outcome, Outcome::Blocked { .. } | Outcome::Failed(_)) }
    }

    async fn answer(
        &self,
        caller: &Caller,
        request: &AskDatabase,
        entry: &crate::audit::OpenEntry,
        receipt: &mut Receipt,
    ) -> Result<Outcome, ToolError> {
        let source = self.gateway.source(request.source.as_deref())?;
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
                format!("question, choice, user_id and session_id may have {} bytes each", limits.max_text_bytes);
            return Err(ToolError::new(Code::InvalidArgument, message));
        }
        let model = self.model.as_ref().map_err(Clone::clone)?;
        let deadline = Instant::now() + limits.ask_timeout();
        let caller = Caller { deadline: Some(deadline), question_id: Some(entry.id().to_owned()), ..caller.clone() };
        caller.stage("reading the schema");
        let snapshot = self.gateway.snapshot(&caller, source, entry).await?;
        let question = Question {
            gateway: &self.gateway,
            model,
            request,
            source,
            dialect: self.gateway.dialect(source)?,
            snapshot: &snapshot,
            today: time::OffsetDateTime::now_utc().date(),
            deadline,
            caller,
        };
        Ok(Box::pin(question.run(receipt)).await)
    }
}

#[cfg(test)]
mod tests;
