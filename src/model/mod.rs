//! The language model behind one small seam: one turn in, one turn out.
//!
//! `ask` drives the loop and knows none of the models; each of them turns the same messages into its own wire form.
//! A model never reads a database: it proposes tool uses, and `ask` takes them to the gateway.

pub mod bedrock;
pub mod builtin;
mod document;
mod reader;
#[cfg(test)]
pub mod scripted;

use serde_json::Value;
use std::sync::Arc;
use std::time::Instant;

use crate::config::{ModelChoice, ModelConfig};
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

/// The answer to one tool use.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolResult {
    pub id: String,
    pub text: String,
    pub is_error: bool,
}

/// One message of the conversation, in order: user and model take turns, the user begins.
#[derive(Clone, Debug)]
pub enum Message {
    User(String),
    /// What the model said, exactly as it came; `raw` goes back unchanged (reasoning blocks carry signatures).
    Model {
        blocks: Vec<Block>,
        raw: Option<Arc<aws_sdk_bedrockruntime::types::Message>>,
    },
    /// The results of all tool uses of the turn before.
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

/// Everything one turn is made from. `system`, `schema` and `tools` are the same for every question of a source.
#[derive(Debug)]
pub struct TurnRequest<'a> {
    pub system: &'a str,
    pub schema: &'a str,
    pub tools: &'a [ModelTool],
    pub messages: &'a [Message],
    pub deadline: Instant,
    /// For the engine that reads questions itself.
    pub question: &'a str,
    pub snapshot: &'a Snapshot,
    pub dialect: Dialect,
    pub today: time::Date,
}

/// Why the model stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    EndTurn,
    ToolUse,
    /// The reply was cut: a tool use in it must not run.
    MaxTokens,
}

/// Tokens of one turn, as the service counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub cache_read_tokens: u64,
}

/// What the model answered.
#[derive(Clone, Debug)]
pub struct Turn {
    pub blocks: Vec<Block>,
    pub stop: StopReason,
    pub usage: Usage,
    pub raw: Option<Arc<aws_sdk_bedrockruntime::types::Message>>,
}

/// A turn that could not be had. Every message names the setting to look at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    #[error("no AWS credentials were found or accepted: {0}")]
    Credentials(String),
    #[error("the model may not be used with these credentials: {0}")]
    Access(String),
    #[error("the model id is not usable: {0}")]
    Id(String),
    #[error("the model service is throttling: {0}")]
    Throttled(String),
    #[error("the model service could not answer: {0}")]
    Unavailable(String),
    #[error("the model's reply cannot be used: {0}")]
    Reply(String),
    #[error("the model service blocked the answer: {0}")]
    Blocked(String),
    #[error("the time for the question is over")]
    Deadline,
}

impl From<ModelError> for ToolError {
    fn from(error: ModelError) -> Self {
        let (code, hint) = match &error {
            ModelError::Credentials(_) => (
                Code::ModelCredentials,
                "Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_BEARER_TOKEN_BEDROCK, and \
                 AWS_REGION, in the server's environment, or TUDB_MODEL=builtin; the other four tools work without.",
            ),
            ModelError::Access(_) => (
                Code::ModelAccess,
                "Allow bedrock:InvokeModel on TUDB_BEDROCK_MODEL and on the models behind it, and complete the \
                 account's first-use form; the other four tools work without.",
            ),
            ModelError::Id(_) => (
                Code::ModelId,
                "Set TUDB_BEDROCK_MODEL to an inference profile of your region, such as \
                 global.anthropic.claude-sonnet-4-6.",
            ),
            ModelError::Throttled(_) => {
                (Code::ModelThrottled, "Try again in a minute, or ask AWS for a higher quota for TUDB_BEDROCK_MODEL.")
            }
            ModelError::Unavailable(_) => {
                (Code::ModelUnavailable, "Try again; check AWS_REGION and the network. The other four tools work.")
            }
            ModelError::Reply(_) => {
                (Code::ModelReply, "Ask again in other words, or set TUDB_BEDROCK_MODEL to a stronger model.")
            }
            ModelError::Blocked(_) => {
                (Code::ModelBlocked, "Ask in other words, or look at the guardrail in the [bedrock] settings.")
            }
            ModelError::Deadline => (Code::Deadline, "Ask for less, or raise TUDB_ASK_TIMEOUT_MS."),
        };
        ToolError::new(code, error.to_string()).hint(hint)
    }
}

/// A model, chosen by configuration.
#[derive(Debug)]
pub enum Model {
    Bedrock(Box<bedrock::Bedrock>),
    Builtin,
    #[cfg(test)]
    Scripted(scripted::Scripted),
}

impl Model {
    /// The model that the configuration names.
    ///
    /// # Errors
    ///
    /// One sentence for a choice that this version does not serve.
    pub fn new(config: &ModelConfig, limits: &Limits, env: &crate::config::Environment) -> Result<Model, ToolError> {
        match config.choice {
            ModelChoice::Bedrock => Ok(Model::Bedrock(Box::new(bedrock::Bedrock::new(config, limits, env)))),
            ModelChoice::Builtin => Ok(Model::Builtin),
            ModelChoice::OpenAi => Err(ToolError::new(
                Code::ConfigError,
                "environment: TUDB_MODEL asks for an OpenAI-compatible model, which this version does not serve yet",
            )
            .hint("Set TUDB_MODEL to bedrock or builtin.")),
        }
    }

    /// Whether there is something to log in with, in words; the model itself is not asked.
    ///
    /// # Errors
    ///
    /// [`ModelError::Credentials`].
    pub async fn check(&self) -> Result<String, ModelError> {
        match self {
            Model::Bedrock(bedrock) => bedrock.check().await,
            Model::Builtin => Ok("built-in engine".into()),
            #[cfg(test)]
            Model::Scripted(_) => Ok("scripted".into()),
        }
    }

    /// The receipt's word for it.
    pub fn engine(&self) -> &'static str {
        match self {
            Model::Bedrock(_) => "bedrock",
            Model::Builtin => "builtin",
            #[cfg(test)]
            Model::Scripted(_) => "scripted",
        }
    }

    /// The model's id, when it has one.
    pub fn id(&self) -> Option<&str> {
        match self {
            Model::Bedrock(bedrock) => Some(bedrock.model_id()),
            Model::Builtin => None,
            #[cfg(test)]
            Model::Scripted(_) => None,
        }
    }

    /// One turn.
    ///
    /// # Errors
    ///
    /// [`ModelError`]; the built-in engine has none.
    pub async fn turn(&self, request: &TurnRequest<'_>) -> Result<Turn, ModelError> {
        match self {
            Model::Bedrock(bedrock) => bedrock.turn(request).await,
            Model::Builtin => Ok(reader::turn(request)),
            #[cfg(test)]
            Model::Scripted(scripted) => scripted.turn(request),
        }
    }
}
