//! A model endpoint on loopback that speaks Bedrock's wire format to the real AWS SDK. It gives scripted answers in
//! order, records each request, and refuses the requests that the service would refuse.

use std::time::Duration;

use serde_json::{Value, json};

use super::Home;
use super::http::{Endpoint, Reply, Request};

/// One scripted answer.
#[derive(Clone)]
pub enum Answer {
    Turn {
        content: Value,
        stop: &'static str,
    },
    Fault {
        status: u16,
        kind: &'static str,
        message: &'static str,
    },
    /// A body unchanged, with status 200.
    Body(&'static str),
    /// The beginning of a body, then the connection closes.
    Half(&'static str),
    /// The connection closes without an answer.
    Reset,
    Silence(Duration),
}

/// A turn with one tool use.
pub fn uses(name: &str, input: Value) -> Answer {
    let content = json!([{"toolUse": {"toolUseId": "tooluse_1", "name": name, "input": input}}]);
    Answer::Turn { content, stop: "tool_use" }
}

pub fn runs(sql: &str) -> Answer {
    uses("run_sql", json!({"sql": sql}))
}

pub fn answers(summary: &str) -> Answer {
    uses("answer", json!({"summary": summary, "assumptions": ["as asked"]}))
}

pub struct Bedrock(Endpoint);

impl Bedrock {
    /// Starts the endpoint. The last answer is repeated.
    pub fn start(script: Vec<Answer>) -> Self {
        Self::start_with(move |count, _| script[count.min(script.len() - 1)].clone())
    }

    /// Starts the endpoint. `answer` gets the number of earlier requests, and the body.
    pub fn start_with(answer: impl Fn(usize, &Value) -> Answer + Send + Sync + 'static) -> Self {
        Bedrock(Endpoint::start(move |count, request| {
            let answer = answer(count, &request.body);
            reply(match refusal(&request.body) {
                Some(message) => Answer::Fault { status: 400, kind: "ValidationException", message },
                None => answer,
            })
        }))
    }

    /// A home whose model is this endpoint.
    pub fn home(&self, home: Home) -> Home {
        home.set("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", &self.0.url)
            .set("AWS_ACCESS_KEY_ID", "AKIAPLANTEDKEY")
            .set("AWS_SECRET_ACCESS_KEY", "planted-aws-secret")
            .set("AWS_REGION", "eu-central-1")
    }

    pub fn requests(&self) -> Vec<Request> {
        self.0.requests()
    }
}

fn reply(answer: Answer) -> Reply {
    match answer {
        Answer::Turn { content, stop } => {
            let body = json!({
                "output": {"message": {"role": "assistant", "content": content}}, "stopReason": stop,
                "usage": {"inputTokens": 100, "outputTokens": 20, "totalTokens": 120}, "metrics": {"latencyMs": 5},
            });
            Reply::Whole(200, "x-amzn-RequestId: test\r\n".into(), body.to_string())
        }
        Answer::Fault { status, kind, message } => {
            let kind = format!("x-amzn-ErrorType: {kind}:http://internal.amazon.com/coral/com.amazon.bedrock/\r\n");
            Reply::Whole(status, kind, json!({"message": message}).to_string())
        }
        Answer::Body(body) => Reply::Whole(200, String::new(), body.into()),
        Answer::Half(body) => Reply::Half(body.into()),
        Answer::Reset => Reply::Reset,
        Answer::Silence(time) => Reply::Silence(time),
    }
}

/// Why the service would refuse a request.
fn refusal(body: &Value) -> Option<&'static str> {
    let messages = body["messages"].as_array()?;
    let mut wanted: Vec<&Value> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let role = if index % 2 == 0 { "user" } else { "assistant" };
        if message["role"] != role {
            return Some("roles must alternate and begin with user");
        }
        let content = message["content"].as_array()?;
        if content.is_empty()
            || content.iter().any(|block| block["text"].as_str().is_some_and(|text| text.trim().is_empty()))
        {
            return Some("The text field in the ContentBlock object is blank");
        }
        let results: Vec<&Value> = content
            .iter()
            .filter(|block| block.get("toolResult").is_some())
            .map(|block| &block["toolResult"]["toolUseId"])
            .collect();
        if role == "user" && results != wanted {
            return Some("Expected toolResult blocks for the toolUse blocks before");
        }
        wanted = content
            .iter()
            .filter(|block| block.get("toolUse").is_some())
            .map(|block| &block["toolUse"]["toolUseId"])
            .collect();
    }
    if body["toolConfig"]["tools"].as_array().is_none_or(Vec::is_empty) {
        return Some("The toolConfig field must be defined");
    }
    if body["inferenceConfig"].get("maxTokens").is_none() || body["inferenceConfig"].get("temperature").is_some() {
        return Some("maxTokens is wanted, and temperature is deprecated for this model");
    }
    None
}
