//! An OpenAI-compatible server (Ollama, llama.cpp, vLLM) through chat completions: conversion of messages, retries,
//! classification of failures.
//!
//! Servers differ. Some refuse tools for a model without tool calls. Some require `max_completion_tokens`. Some put a
//! tool call into the text, where `spoken` reads it. A field that the server refused once is not sent again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ::http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use url::Url;

use super::{
    Block, Hints, Message, ModelError, Raw, Refusal, StopReason, ToolResult, Turn, TurnRequest, Usage, spoken,
};
use crate::config::ModelConfig;
use crate::database::value::cut;
use crate::error::{Code, ToolError};
use crate::http::{self, Http};
use crate::limits::Limits;
use crate::secret::Secret;

/// Attempts for one turn. The question's deadline limits them too.
const MAX_ATTEMPTS: u32 = 4;
/// Time before the second attempt. It doubles with each attempt, and is longer if the server asks for that.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Time limit for the list of models in [`OpenAi::check`].
const CHECK_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum bytes of a response. A usual response is far smaller.
const MAX_ANSWER_BYTES: usize = 4 << 20;
/// Maximum bytes of a server's message in an error.
const MAX_WORDS: usize = 300;

/// Hints for failed turns.
pub(super) const HINTS: Hints = Hints {
    credentials: "Set TUDB_OPENAI_API_KEY in the server's environment, or TUDB_MODEL=builtin; the other four tools work \
                  without a model.",
    // An OpenAI-compatible server has no region.
    region: "",
    access: "Check what TUDB_OPENAI_API_KEY may use, or set another TUDB_OPENAI_MODEL; the other four tools work \
             without a model.",
    id: "Set TUDB_OPENAI_MODEL to a model that the server has, and TUDB_OPENAI_BASE_URL to its address with the version, \
         such as http://127.0.0.1:11434/v1.",
    throttled: "Try again in a minute, or raise the quota of TUDB_OPENAI_API_KEY.",
    unavailable: "Start the server, or correct TUDB_OPENAI_BASE_URL; the other four tools work without a model.",
    too_long: "Ask for less, begin a new session_id, lower limits.schema_budget_tokens, or set TUDB_OPENAI_MODEL to a model with \
               a longer context.",
    no_tools: "Set TUDB_OPENAI_MODEL to a model that can call tools.",
    refused: "Set another TUDB_OPENAI_MODEL, or look into the log of its server.",
    reply: "Ask again in other words, or set TUDB_OPENAI_MODEL to a stronger model.",
    blocked: "Ask in other words, or set another TUDB_OPENAI_MODEL.",
};

/// One model on one server. Connections are opened on first use.
#[derive(Debug)]
pub struct OpenAi {
    base: Url,
    model: String,
    key: Option<Secret>,
    max_tokens: i32,
    http: OnceCell<Http>,
    /// The server refused tools. Tool calls are then described in the prompt and read from the text.
    without_tools: AtomicBool,
    /// The server requires `max_completion_tokens` instead of `max_tokens`.
    completion_tokens: AtomicBool,
}

/// The parts of a response that are read.
#[derive(Deserialize)]
struct Completion {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<Tokens>,
}

#[derive(Deserialize)]
struct Choice {
    message: Said,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Said {
    /// A text. Some servers send a list of parts.
    #[serde(default)]
    content: Value,
    tool_calls: Option<Vec<Call>>,
}

impl Said {
    fn text(&self) -> String {
        let parts = self.content.as_array().into_iter().flatten();
        let parts: Vec<&str> = parts.filter_map(|part| part.get("text")?.as_str()).collect();
        self.content.as_str().map_or_else(|| parts.join("\n"), str::to_owned).trim().to_owned()
    }
}

/// A tool call. Some servers send no id, or a number as the id.
#[derive(Deserialize, Serialize)]
struct Call {
    #[serde(default)]
    id: Value,
    #[serde(rename = "type", default)]
    kind: Value,
    function: Function,
}

#[derive(Deserialize, Serialize)]
struct Function {
    name: String,
    /// JSON as text. Some servers send an object.
    #[serde(default)]
    arguments: Value,
}

#[derive(Default, Deserialize)]
struct Tokens {
    #[serde(default)]
    prompt_tokens: Value,
    #[serde(default)]
    completion_tokens: Value,
    prompt_tokens_details: Option<Cached>,
}

#[derive(Default, Deserialize)]
struct Cached {
    #[serde(default)]
    cached_tokens: Value,
}

/// A number of tokens. A value that is no number, or not from 0 to 1e12, counts as 0.
fn count(value: &Value) -> u64 {
    value.as_f64().filter(|count| (0.0..1e12).contains(count)).map_or(0, |count| count as u64)
}

/// Why a request failed.
struct Refused {
    error: ModelError,
    /// `Some` if the same request may succeed later: the shortest time to wait.
    again: Option<Duration>,
}

impl From<ModelError> for Refused {
    fn from(error: ModelError) -> Self {
        Refused { error, again: None }
    }
}

impl OpenAi {
    /// Creates the client without connecting.
    ///
    /// # Errors
    ///
    /// `config_error` if the address or the model is missing, or the address is unusable.
    pub fn new(config: &ModelConfig, limits: &Limits) -> Result<Self, ToolError> {
        let wrong = |message: &str| Err(ToolError::new(Code::ConfigError, message).hint(HINTS.id));
        let Some(address) = &config.openai_base_url else {
            return wrong("TUDB_OPENAI_BASE_URL is not set: TUDB does not look for a server by itself");
        };
        let Some(model) = config.openai_model.clone() else {
            return wrong("TUDB_OPENAI_MODEL is not set: a server has many models");
        };
        let base = match Url::parse(address) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => url,
            _ => return wrong("TUDB_OPENAI_BASE_URL must be an http:// or https:// address"),
        };
        if !base.username().is_empty() || base.password().is_some() {
            return wrong(
                "TUDB_OPENAI_BASE_URL must not hold a user or a password: a key goes into TUDB_OPENAI_API_KEY",
            );
        }
        Ok(OpenAi {
            base,
            model,
            key: config.openai_api_key.clone(),
            max_tokens: limits.max_output_tokens,
            http: OnceCell::new(),
            without_tools: AtomicBool::new(false),
            completion_tokens: AtomicBool::new(false),
        })
    }

    pub fn model_id(&self) -> &str {
        &self.model
    }

    /// Checks that the server answers and lists the model. Nothing is generated.
    pub(super) async fn check(&self) -> Result<String, ModelError> {
        let asked = tokio::time::timeout(CHECK_TIMEOUT, self.exchange(Method::GET, "models", None)).await;
        let list = asked.map_err(|_| ModelError::Unavailable("it did not answer in time".into()))?;
        let place = format!("OpenAI-compatible {} at {}", self.model, self.base.host_str().unwrap_or_default());
        let list = match list {
            Ok(list) => list,
            // Some servers have no list of models.
            Err(Refused { error: ModelError::Id(_), .. }) => {
                let below = tokio::time::timeout(CHECK_TIMEOUT, self.exchange(Method::GET, "v1/models", None)).await;
                if let Ok(Ok(_)) = below {
                    return Err(ModelError::Id(format!(
                        "the address lacks its version: it must end with {}",
                        self.with_version()
                    )));
                }
                return Ok(format!("{place}, which has no list of models"));
            }
            Err(refused) => return Err(refused.error),
        };
        let listed = list.get("data").and_then(Value::as_array).into_iter().flatten();
        let ids: Vec<&str> = listed.filter_map(|one| one.get("id")?.as_str()).collect();
        // Ollama lists `name:latest` for `name`.
        if ids.is_empty() || ids.iter().any(|id| *id == self.model || id.strip_suffix(":latest") == Some(&self.model)) {
            return Ok(format!("{place}, with {}", if self.key.is_some() { "a key" } else { "no key" }));
        }
        Err(ModelError::Id(format!("the server does not list it; it has {}", self.harmless(&ids.join(", ")))))
    }

    /// The path of the address with `/v1`.
    fn with_version(&self) -> String {
        format!("{}/v1", self.base.path().trim_end_matches('/'))
    }

    pub(super) async fn turn(&self, request: &TurnRequest<'_>) -> Result<Turn, ModelError> {
        let mut wait = FIRST_WAIT;
        let mut attempt = 1;
        loop {
            let left = request.deadline.saturating_duration_since(Instant::now());
            let body = self.body(request);
            let exchange = self.exchange(Method::POST, "chat/completions", Some(&body));
            let refused = match tokio::time::timeout(left, exchange).await {
                Err(_) => return Err(ModelError::Deadline),
                Ok(Ok(answer)) => return self.read(&answer, request),
                Ok(Err(refused)) => refused,
            };
            if self.learned(&refused.error) {
                continue;
            }
            let Some(asked_for) = refused.again.filter(|_| attempt < MAX_ATTEMPTS) else { return Err(refused.error) };
            let pause = wait.max(asked_for);
            if pause >= request.deadline.saturating_duration_since(Instant::now()) {
                return Err(refused.error);
            }
            tokio::time::sleep(pause).await;
            wait *= 2;
            attempt += 1;
        }
    }

    /// Remembers a field that the server refuses, so that it is not sent again. `false` if nothing new was learned.
    fn learned(&self, error: &ModelError) -> bool {
        let (ModelError::Refused(_, words) | ModelError::Unavailable(words)) = error else { return false };
        if words.contains("max_completion_tokens") {
            return !self.completion_tokens.swap(true, Ordering::Relaxed);
        }
        // "does not support tools" (Ollama), "tools param requires --jinja" (llama.cpp), "\"auto\" tool choice requires
        // --enable-auto-tool-choice" (vLLM).
        if ["support tools", "tools param", "tool choice", "tool_choice", "function calling"]
            .iter()
            .any(|part| words.contains(part))
        {
            tracing::info!("the server has no tool calls for this model; they are read from its text");
            return !self.without_tools.swap(true, Ordering::Relaxed);
        }
        false
    }

    fn body(&self, request: &TurnRequest<'_>) -> Value {
        let without_tools = self.without_tools.load(Ordering::Relaxed);
        // The parts that do not change come first, so that the server can cache them.
        let mut system = format!("{}\n{}", request.system, request.schema);
        if without_tools {
            system = format!("{system}\n{}", request.spoken_tools);
        }
        let mut messages = vec![json!({"role": "system", "content": system})];
        for message in request.messages {
            match message {
                Message::User(text) => messages.push(json!({"role": "user", "content": text})),
                Message::Model { raw: Some(Raw::OpenAi(raw)), .. } => messages.push(raw.as_ref().clone()),
                Message::Model { blocks, .. } => messages.push(assistant(blocks)),
                Message::Results(results) if without_tools => {
                    let texts: Vec<String> = results.iter().map(result_text).collect();
                    messages.push(json!({"role": "user", "content": texts.join("\n")}));
                }
                Message::Results(results) => {
                    messages.extend(results.iter().map(
                        |result| json!({"role": "tool", "tool_call_id": result.id, "content": result_text(result)}),
                    ))
                }
            }
        }
        let most = if self.completion_tokens.load(Ordering::Relaxed) { "max_completion_tokens" } else { "max_tokens" };
        let tools = request.tools.iter().filter(|_| !without_tools).map(|tool| {
            json!({"type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": tool.input_schema}})
        });
        let tools: Vec<Value> = tools.collect();
        let mut body = json!({"model": self.model, "messages": messages, most: self.max_tokens, "stream": false});
        if let Some(fields) = body.as_object_mut().filter(|_| !tools.is_empty()) {
            fields.insert("tools".into(), tools.into());
        }
        body
    }

    /// Reads a response as a turn. A tool call in the text counts only if there are no other tool calls.
    fn read(&self, answer: &Value, request: &TurnRequest<'_>) -> Result<Turn, ModelError> {
        let Ok(Completion { choices, usage }) = Completion::deserialize(answer) else {
            return Err(ModelError::Reply("it is no chat completion".into()));
        };
        let Some(Choice { message, finish_reason }) = choices.into_iter().next() else {
            return Err(ModelError::Reply("it holds no message".into()));
        };
        let stop = match finish_reason.as_deref() {
            Some("length") => StopReason::MaxTokens,
            Some("content_filter") => return Err(ModelError::Blocked("the content was filtered".into())),
            Some("tool_calls" | "function_call") => StopReason::ToolUse,
            _ => StopReason::EndTurn,
        };
        let text = message.text();
        let mut calls = message.tool_calls.unwrap_or_default();
        let mut blocks: Vec<Block> = (!text.is_empty()).then(|| Block::Text(text.clone())).into_iter().collect();
        for (place, call) in calls.iter_mut().enumerate() {
            // Each tool result must name its call.
            let id = match call.id.as_str() {
                Some(id) if !id.is_empty() => id.to_owned(),
                _ => format!("call_{}_{place}", request.messages.len()),
            };
            (call.id, call.kind) = (id.clone().into(), "function".into());
            // Text that is not JSON is kept, so that the tool can report what is wrong.
            let arguments = &call.function.arguments;
            let read = arguments.as_str().and_then(|text| serde_json::from_str(text).ok());
            blocks.push(Block::ToolUse {
                id,
                name: call.function.name.clone(),
                input: read.unwrap_or_else(|| arguments.clone()),
            });
        }
        if calls.is_empty() && stop != StopReason::MaxTokens {
            let id = format!("said_{}", request.messages.len());
            let is_way = self.without_tools.load(Ordering::Relaxed);
            let has_rows = request.messages.iter().any(|message| matches!(message, Message::Results(_)));
            let call = spoken::call(&text, request.tools, is_way, is_way && !has_rows);
            blocks.extend(call.map(|(name, input)| Block::ToolUse { id, name, input }));
        }
        if blocks.is_empty() {
            return Err(ModelError::Reply("it is empty".into()));
        }
        let is_spoken = calls.is_empty() && blocks.len() > 1;
        let raw = if is_spoken && !self.without_tools.load(Ordering::Relaxed) {
            // The next tool result names this call, so the message sent back must contain the call. `assistant` writes
            // it.
            None
        } else if calls.is_empty() {
            Some(json!({"role": "assistant", "content": text}))
        } else {
            Some(json!({"role": "assistant", "content": message.content, "tool_calls": calls}))
        };
        let usage = usage.unwrap_or_default();
        let cached = count(&usage.prompt_tokens_details.unwrap_or_default().cached_tokens);
        let usage = Usage {
            input_tokens: count(&usage.prompt_tokens).saturating_sub(cached),
            output_tokens: count(&usage.completion_tokens),
            cache_read_tokens: cached,
            cache_write_tokens: 0,
        };
        Ok(Turn { blocks, stop, usage, raw: raw.map(|raw| Raw::OpenAi(raw.into())) })
    }

    async fn http(&self) -> Result<&Http, ModelError> {
        let failed = |why| ModelError::Unavailable(format!("TLS cannot be set up: {why}"));
        self.http.get_or_try_init(async || http::client(self.base.scheme() == "https").map_err(failed)).await
    }

    /// Sends one request and returns the response as JSON.
    async fn exchange(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Refused> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{path}", self.base.path().trim_end_matches('/')));
        let mut request = Request::builder()
            .method(method)
            .uri(url.as_str())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, concat!("tudb/", env!("CARGO_PKG_VERSION")));
        if let Some(key) = &self.key {
            let mut value = header::HeaderValue::try_from(format!("Bearer {}", key.reveal()))
                .map_err(|_| ModelError::Credentials("the key holds characters that no header may have".into()))?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = request
            .body(Full::from(body))
            .map_err(|_| ModelError::Unavailable("the request could not be built".into()))?;
        let unavailable =
            |words: &str| Refused { error: ModelError::Unavailable(words.into()), again: Some(Duration::ZERO) };
        let response = self.http().await?.request(request).await.map_err(|error| {
            tracing::debug!(%error, "no answer of the model's server");
            if let Some(why) = certificate_problem(&error) {
                return ModelError::Unavailable(format!("its certificate is not accepted: {why}")).into();
            }
            unavailable(if error.is_connect() { "it cannot be reached" } else { "the connection broke off" })
        })?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES)
            .collect()
            .await
            .map_err(|error| match error.is::<http_body_util::LengthLimitError>() {
                true => ModelError::Reply(format!("it is longer than {MAX_ANSWER_BYTES} bytes")).into(),
                false => unavailable("the answer broke off"),
            })?
            .to_bytes();
        let answer: Option<Value> = serde_json::from_slice(&body).ok();
        match (head.status, answer) {
            // Some servers report errors with status 200.
            (StatusCode::OK, Some(answer)) if answer.get("error").is_none_or(Value::is_null) => Ok(answer),
            (StatusCode::OK, None) => Err(ModelError::Reply("it is not JSON".into()).into()),
            (status, answer) => Err(self.classify(status, &head.headers, answer.as_ref())),
        }
    }

    /// The server's message without the API key, which some servers repeat.
    fn harmless(&self, words: &str) -> String {
        let words = match self.key.as_ref().filter(|key| !key.reveal().is_empty()) {
            Some(key) => words.replace(key.reveal(), "***"),
            None => words.to_owned(),
        };
        cut(&words, MAX_WORDS).to_owned()
    }

    fn classify(&self, status: StatusCode, headers: &HeaderMap, answer: Option<&Value>) -> Refused {
        let said = answer.and_then(|answer| {
            let error = answer.get("error").unwrap_or(&Value::Null);
            let places = [error.get("message"), Some(error), answer.get("message"), answer.get("detail")];
            places.into_iter().flatten().find_map(Value::as_str)
        });
        let words = format!("{} (HTTP {})", self.harmless(said.unwrap_or("no reason was given")), status.as_u16());
        let asked_for = headers
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map_or(Duration::ZERO, Duration::from_secs);
        let (error, is_passing) = match status.as_u16() {
            401 => (ModelError::Credentials(words), false),
            403 => (ModelError::Access(words), false),
            404 => (ModelError::Id(words), false),
            429 => (ModelError::Throttled(words), true),
            408 | 409 | 425 | 500 | 502 | 503 | 504 | 529 => (ModelError::Unavailable(words), true),
            300..=399 => (ModelError::Id(format!("the address leads elsewhere: {words}")), false),
            _ if words.contains("model") && words.contains("not found") => (ModelError::Id(words), false),
            _ => (ModelError::Refused(Refusal::of(&words), words), false),
        };
        Refused { error, again: is_passing.then_some(asked_for) }
    }
}

/// The reason why TLS refused the server's certificate.
fn certificate_problem(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    if let Some(rustls::Error::InvalidCertificate(problem)) = error.downcast_ref() {
        return Some(format!("{problem:?}"));
    }
    // `source` of an I/O error skips the error that it wraps.
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(inner) => certificate_problem(inner),
        None => certificate_problem(error.source()?),
    }
}

fn result_text(result: &ToolResult) -> String {
    if result.is_error { format!("error: {}", result.text) } else { result.text.clone() }
}

/// The message of a turn that has no `raw`.
fn assistant(blocks: &[Block]) -> Value {
    let mut text = Vec::new();
    let mut calls = Vec::new();
    for block in blocks {
        match block {
            Block::Text(said) => text.push(said.as_str()),
            Block::ToolUse { id, name, input } => calls.push(json!({"id": id, "type": "function",
                "function": {"name": name, "arguments": input.to_string()}})),
        }
    }
    let text = text.join("\n");
    if calls.is_empty() {
        json!({"role": "assistant", "content": text})
    } else {
        json!({"role": "assistant", "content": text, "tool_calls": calls})
    }
}
