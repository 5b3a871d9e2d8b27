//! A model endpoint on loopback that speaks chat completions as Ollama, llama.cpp and vLLM do, and refuses the same
//! requests.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::Home;
use super::http::{Endpoint, Reply, Request};

/// One scripted answer.
#[derive(Clone)]
pub enum Answer {
    /// The assistant's message and the finish reason.
    Message(Value, &'static str),
    /// Status, more headers, the server's error message.
    Fault(u16, &'static str, &'static str),
    Body(&'static str),
    Half(&'static str),
    Reset,
    Silence(Duration),
}

/// A message with one tool call.
pub fn calls(name: &str, input: Value) -> Answer {
    let call = json!({"id": "call_a", "type": "function", "function": {"name": name, "arguments": input.to_string()}});
    Answer::Message(json!({"role": "assistant", "content": null, "tool_calls": [call]}), "tool_calls")
}

pub fn says(text: &str) -> Answer {
    Answer::Message(json!({"role": "assistant", "content": text}), "stop")
}

pub struct OpenAi(Endpoint);

impl OpenAi {
    /// Starts the endpoint. `answer` gets the number of earlier requests, and the body.
    pub fn start_with(answer: impl Fn(usize, &Value) -> Answer + Send + Sync + 'static) -> Self {
        OpenAi(Endpoint::start(Self::wire(answer)))
    }

    /// Starts the endpoint with TLS and its certificate in `place`.
    pub fn start_tls(place: &Path, script: Vec<Answer>) -> Self {
        OpenAi(Endpoint::start_tls(place, Self::wire(move |count, _| script[count.min(script.len() - 1)].clone())))
    }

    fn wire(
        answer: impl Fn(usize, &Value) -> Answer + Send + Sync + 'static,
    ) -> impl Fn(usize, &Request) -> Reply + Send + Sync + 'static {
        move |count, request| {
            if request.path == "/models" {
                return Reply::Whole(404, String::new(), "404 page not found".to_owned());
            }
            if request.path.ends_with("/models") {
                return Reply::Whole(200, String::new(), json!({"data": [{"id": "local:latest"}]}).to_string());
            }
            reply(match refusal(&request.body) {
                Some(message) => Answer::Fault(400, "", message),
                None => answer(count, &request.body),
            })
        }
    }

    /// Starts the endpoint. The last answer is repeated.
    pub fn start(script: Vec<Answer>) -> Self {
        Self::start_with(move |count, _| script[count.min(script.len() - 1)].clone())
    }

    /// A home whose model is this endpoint.
    pub fn home(&self, home: Home) -> Home {
        home.set("TUDB_OPENAI_BASE_URL", format!("{}/v1/", self.0.url))
            .set("TUDB_OPENAI_MODEL", "local")
            .set("TUDB_OPENAI_API_KEY", "planted-openai-key")
    }

    /// The address without its version.
    pub fn root(&self) -> &str {
        &self.0.url
    }

    pub fn requests(&self) -> Vec<Request> {
        self.0.requests()
    }
}

fn reply(answer: Answer) -> Reply {
    match answer {
        Answer::Message(message, reason) => {
            let body = json!({"id": "x", "object": "chat.completion", "model": "local",
                "choices": [{"index": 0, "message": message, "finish_reason": reason}],
                "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120,
                    "prompt_tokens_details": {"cached_tokens": 60}}});
            Reply::Whole(200, String::new(), body.to_string())
        }
        Answer::Fault(status, headers, message) => {
            Reply::Whole(status, headers.into(), json!({"error": {"message": message, "type": "error"}}).to_string())
        }
        Answer::Body(body) => Reply::Whole(200, String::new(), body.into()),
        Answer::Half(body) => Reply::Half(body.into()),
        Answer::Reset => Reply::Reset,
        Answer::Silence(time) => Reply::Silence(time),
    }
}

/// Why these servers would refuse a request.
fn refusal(body: &Value) -> Option<&'static str> {
    let messages = body["messages"].as_array()?;
    let mut wanted: Vec<&Value> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        match message["role"].as_str()? {
            "system" if index > 0 => return Some("System message must be at the beginning."),
            "tool" => {
                if wanted.first() != Some(&&message["tool_call_id"]) {
                    return Some("messages with role 'tool' must follow the tool call that they answer");
                }
                wanted.remove(0);
                continue;
            }
            _ if !wanted.is_empty() => return Some("each tool call must be followed by its result"),
            "assistant" if message["content"].is_null() && message["tool_calls"].is_null() => {
                return Some("an assistant message needs content or tool calls");
            }
            "assistant" => {
                wanted.extend(message["tool_calls"].as_array().into_iter().flatten().map(|call| &call["id"]))
            }
            _ => {}
        }
    }
    if body["stream"] != false || body.get("temperature").is_some() {
        return Some("no stream is wanted, and temperature is not supported");
    }
    None
}
