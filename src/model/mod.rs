//! The interface to the language model: [`Model::turn`] takes a conversation and returns the model's next message.
//!
//! `ask` runs the loop and does not depend on a particular model. Each model converts the same messages to its own wire
//! format. A model never reads a database: it proposes tool uses, and `ask` sends them to the gateway.

pub mod bedrock;
pub mod builtin;
mod document;
pub mod openai;
mod prompt_cache;
mod reader;
#[cfg(test)]
pub mod scripted;
mod spoken;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use std::time::Instant;

use crate::config::{ModelChoice, ModelConfig, Price};
use crate::database::catalog::Snapshot;
use crate::dialect::Dialect;
use crate::error::{Code, ToolError};
use crate::limits::Limits;

/// A part of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    Text(String),
    ToolUse { id: String, name: String, input: Value },
}

/// The result of one tool use.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolResult {
    pub id: String,
    pub text: String,
    pub is_error: bool,
}

/// A model's message in the format of its service.
#[derive(Clone, Debug)]
pub enum Raw {
    Bedrock(Arc<aws_sdk_bedrockruntime::types::Message>),
    OpenAi(Arc<Value>),
}

/// One message of the conversation. User and model alternate, and the user begins.
#[derive(Clone, Debug)]
pub enum Message {
    User(String),
    /// The model's reply as received. `raw` is sent back unchanged, because reasoning blocks carry signatures.
    Model {
        blocks: Vec<Block>,
        raw: Option<Raw>,
    },
    /// The results of all tool uses of the previous turn.
    Results(Vec<ToolResult>),
}

/// A tool that the model may call.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelTool {
    pub name: &'static str,
    pub description: &'static str,
    /// JSON Schema, an object.
    pub input_schema: Value,
}

/// The input of one turn. `system` and `tools` are the same for every question of a source. `schema` is the same only
/// if it is the whole schema.
#[derive(Debug)]
pub struct TurnRequest<'a> {
    pub system: &'a str,
    pub schema: &'a str,
    /// Whether `schema` is the same for every question.
    pub whole_schema: bool,
    pub tools: &'a [ModelTool],
    /// Explains how to write a tool call as text, to a model without tool calls.
    pub spoken_tools: &'a str,
    pub messages: &'a [Message],
    pub deadline: Instant,
    /// This field and those below are for the built-in answerer.
    pub question: &'a str,
    pub snapshot: &'a Snapshot,
    /// Stored values that stand in the question and that the snapshot does not know.
    pub found: &'a [builtin::Found],
    pub dialect: Dialect,
    pub today: time::Date,
}

/// The reason why the model stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    EndTurn,
    ToolUse,
    /// The reply was cut off, so its tool uses must not run.
    MaxTokens,
}

/// Tokens of one or several turns, as counted by the service. Input tokens do not include those of the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    #[serde(skip_serializing_if = "is_zero")]
    pub input_tokens: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub output_tokens: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_read_tokens: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_write_tokens: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Usage {
    /// The sum of two counts.
    #[must_use]
    pub fn plus(self, other: Usage) -> Usage {
        Usage {
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            cache_read_tokens: self.cache_read_tokens.saturating_add(other.cache_read_tokens),
            cache_write_tokens: self.cache_write_tokens.saturating_add(other.cache_write_tokens),
        }
    }

    /// All tokens.
    pub fn tokens(&self) -> u64 {
        let parts = [self.input_tokens, self.output_tokens, self.cache_read_tokens, self.cache_write_tokens];
        parts.into_iter().fold(0, u64::saturating_add)
    }

    /// What the tokens cost, in the currency of the price.
    pub fn cost(&self, price: &Price) -> f64 {
        let write = price.cache_write.unwrap_or(price.input * 2.0);
        let parts = [
            (self.input_tokens, price.input),
            (self.output_tokens, price.output),
            (self.cache_read_tokens, price.cache_read),
            (self.cache_write_tokens, write),
        ];
        parts.iter().map(|(tokens, price)| *tokens as f64 * price).sum::<f64>() / 1e6
    }
}

/// A model's reply.
#[derive(Clone, Debug)]
pub struct Turn {
    pub blocks: Vec<Block>,
    pub stop: StopReason,
    pub usage: Usage,
    pub raw: Option<Raw>,
}

/// A failed turn. Its hint names the setting to check.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    #[error("no credentials were found or accepted: {0}")]
    Credentials(String),
    #[error("no region is set")]
    NoRegion,
    #[error("the model may not be used with these credentials: {0}")]
    Access(String),
    #[error("the model id is not usable: {0}")]
    Id(String),
    #[error("the model service is throttling: {0}")]
    Throttled(String),
    #[error("the model service could not answer: {0}")]
    Unavailable(String),
    /// The service refused the request as it is. The first field says what is wrong with it.
    #[error("the model service refused the request: {1}")]
    Refused(Refusal, String),
    #[error("the model's reply cannot be used: {0}")]
    Reply(String),
    #[error("the model service blocked the answer: {0}")]
    Blocked(String),
    #[error("the time for the question is over")]
    Deadline,
}

/// What is wrong with a request that a model service refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Prompt, conversation and room for the reply exceed the model's context window.
    TooLong,
    /// The model cannot call tools.
    NoTools,
    /// A parameter that the model does not take, or another fault.
    Other,
}

impl Refusal {
    /// Classifies a refusal by the text of its message, because services send no code for these causes.
    fn of(words: &str) -> Self {
        let words = words.to_lowercase();
        let has = |parts: &[&str]| parts.iter().any(|part| words.contains(part));
        if has(&["too long", "context window", "context length", "maximum context", "too many input tokens"]) {
            Refusal::TooLong
        } else if has(&["tool"]) && has(&["support", "not allowed", "not available"]) {
            Refusal::NoTools
        } else {
            Refusal::Other
        }
    }
}

/// One hint for each kind of failure, with the names of the model's own settings.
#[derive(Debug)]
pub(crate) struct Hints {
    credentials: &'static str,
    region: &'static str,
    access: &'static str,
    id: &'static str,
    throttled: &'static str,
    unavailable: &'static str,
    too_long: &'static str,
    no_tools: &'static str,
    refused: &'static str,
    reply: &'static str,
    blocked: &'static str,
}

impl ModelError {
    fn with_hints(&self, hints: &Hints) -> ToolError {
        let (code, hint) = match self {
            ModelError::Credentials(_) => (Code::ModelCredentials, hints.credentials),
            ModelError::NoRegion => (Code::ModelCredentials, hints.region),
            ModelError::Access(_) => (Code::ModelAccess, hints.access),
            ModelError::Id(_) => (Code::ModelId, hints.id),
            ModelError::Throttled(_) => (Code::ModelThrottled, hints.throttled),
            ModelError::Unavailable(_) => (Code::ModelUnavailable, hints.unavailable),
            ModelError::Refused(Refusal::TooLong, _) => (Code::ModelReply, hints.too_long),
            ModelError::Refused(Refusal::NoTools, _) => (Code::ModelId, hints.no_tools),
            ModelError::Refused(Refusal::Other, _) => (Code::ModelUnavailable, hints.refused),
            ModelError::Reply(_) => (Code::ModelReply, hints.reply),
            ModelError::Blocked(_) => (Code::ModelBlocked, hints.blocked),
            ModelError::Deadline => (Code::Deadline, "Ask for less, or raise TUDB_ASK_TIMEOUT_MS."),
        };
        ToolError::new(code, self.to_string()).hint(hint)
    }
}

/// The configured model.
#[derive(Debug)]
pub enum Model {
    Bedrock(Box<bedrock::Bedrock>),
    OpenAi(Box<openai::OpenAi>),
    Builtin,
    #[cfg(test)]
    Scripted(scripted::Scripted),
}

impl Model {
    /// Creates the configured model.
    ///
    /// # Errors
    ///
    /// `config_error` if the settings do not name a usable model.
    pub fn new(config: &ModelConfig, limits: &Limits, env: &crate::config::Environment) -> Result<Model, ToolError> {
        match config.choice {
            ModelChoice::Bedrock => Ok(Model::Bedrock(Box::new(bedrock::Bedrock::new(config, limits, env)))),
            ModelChoice::Builtin => Ok(Model::Builtin),
            ModelChoice::OpenAi => Ok(Model::OpenAi(Box::new(openai::OpenAi::new(config, limits)?))),
        }
    }

    /// Whether this is a language model. A language model costs tokens, and `ask` checks the statements, numbers and
    /// rules of its answers.
    pub fn is_language_model(&self) -> bool {
        !matches!(self, Model::Builtin)
    }

    /// Checks that the service can be used, and describes it in words. Nothing is generated.
    ///
    /// # Errors
    ///
    /// [`ModelError`], as a turn would return it.
    pub async fn check(&self) -> Result<String, ModelError> {
        match self {
            Model::Bedrock(bedrock) => bedrock.check().await,
            Model::OpenAi(openai) => openai.check().await,
            Model::Builtin => Ok("built-in answerer".into()),
            #[cfg(test)]
            Model::Scripted(_) => Ok("scripted".into()),
        }
    }

    /// The name of the answerer in receipts.
    pub fn engine(&self) -> &'static str {
        match self {
            Model::Bedrock(_) => "bedrock",
            Model::OpenAi(_) => "openai",
            Model::Builtin => "builtin",
            #[cfg(test)]
            Model::Scripted(_) => "scripted",
        }
    }

    /// The model's id, when it has one.
    pub fn id(&self) -> Option<&str> {
        match self {
            Model::Bedrock(bedrock) => Some(bedrock.model_id()),
            Model::OpenAi(openai) => Some(openai.model_id()),
            Model::Builtin => None,
            #[cfg(test)]
            Model::Scripted(_) => None,
        }
    }

    /// The error for the client, with a hint that names this model's settings.
    pub fn tool_error(&self, error: &ModelError) -> ToolError {
        error.with_hints(if matches!(self, Model::OpenAi(_)) { &openai::HINTS } else { &bedrock::HINTS })
    }

    /// Runs one turn.
    ///
    /// # Errors
    ///
    /// [`ModelError`]. The built-in answerer never fails.
    pub async fn turn(&self, request: &TurnRequest<'_>) -> Result<Turn, ModelError> {
        match self {
            Model::Bedrock(bedrock) => bedrock.turn(request).await,
            Model::OpenAi(openai) => openai.turn(request).await,
            Model::Builtin => Ok(reader::turn(request)),
            #[cfg(test)]
            Model::Scripted(scripted) => scripted.turn(request),
        }
    }
}
