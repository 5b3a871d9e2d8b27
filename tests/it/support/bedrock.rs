//! A model endpoint on loopback that speaks Bedrock's wire format to the real AWS SDK: scripted answers in order, each
//! request remembered and checked for what the service would refuse.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::Home;

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
    /// Half an answer, then silence for a while.
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

pub struct Bedrock {
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

/// A request as it came.
#[derive(Clone)]
pub struct Request {
    pub path: String,
    pub headers: String,
    pub body: Value,
}

impl Bedrock {
    /// Starts the endpoint; after the last answer it goes on giving it.
    pub fn start(script: Vec<Answer>) -> Self {
        Self::start_with(move |count, _| script[count.min(script.len() - 1)].clone())
    }

    /// Starts the endpoint with answers made for each request: how many came before, and its body.
    pub fn start_with(answer: impl Fn(usize, &Value) -> Answer + Send + Sync + 'static) -> Self {
        let answer = Arc::new(answer);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen));
                std::thread::spawn(move || serve(stream.unwrap(), &*answer, &seen));
            }
        });
        Bedrock { url, requests }
    }

    /// A home whose model is this endpoint.
    pub fn home(&self, home: Home) -> Home {
        home.set("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", &self.url)
            .set("AWS_ACCESS_KEY_ID", "AKIAPLANTEDKEY")
            .set("AWS_SECRET_ACCESS_KEY", "planted-aws-secret")
            .set("AWS_REGION", "eu-central-1")
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn serve(stream: TcpStream, answer: &dyn Fn(usize, &Value) -> Answer, seen: &Mutex<Vec<Request>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut headers = String::new();
        let mut length = 0;
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header).unwrap_or(0) == 0 || header.trim().is_empty() {
                break;
            }
            if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            headers.push_str(&header);
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        let answer = {
            let mut seen = seen.lock().unwrap();
            let answer = answer(seen.len(), &body);
            seen.push(Request { path, headers, body: body.clone() });
            answer
        };
        let answer = match refusal(&body) {
            Some(message) => Answer::Fault { status: 400, kind: "ValidationException", message },
            None => answer,
        };
        let (status, kind, body) = match answer {
            Answer::Turn { content, stop } => {
                let body = json!({
                    "output": {"message": {"role": "assistant", "content": content}}, "stopReason": stop,
                    "usage": {"inputTokens": 100, "outputTokens": 20, "totalTokens": 120}, "metrics": {"latencyMs": 5},
                });
                (200, None, body)
            }
            Answer::Fault { status, kind, message } => (status, Some(kind), json!({"message": message})),
            Answer::Silence(time) => {
                std::thread::sleep(time);
                return;
            }
        };
        let body = body.to_string();
        let kind = kind.map_or(String::new(), |kind| {
            format!("x-amzn-ErrorType: {kind}:http://internal.amazon.com/coral/com.amazon.bedrock/\r\n")
        });
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nx-amzn-RequestId: test\r\n{kind}content-length: {}\r\n\r\n",
            body.len()
        );
        if stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).is_err() {
            return;
        }
    }
}

/// What the service would refuse of a request.
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
