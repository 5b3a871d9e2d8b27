//! `tudb serve --http` as a child process, and a client that sends exactly what a test writes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Home, PATIENCE};

/// The server. It is killed when dropped.
pub struct Web {
    pub child: Child,
    pub port: u16,
    pub stderr: Arc<Mutex<String>>,
}

/// A response: status, head, body.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Response {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{} {}\n{}", self.status, self.head, self.body))
    }

    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    pub fn header(&self, name: &str) -> Option<String> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    }

    /// Reads one response to its end. The connection has to close, or the length has to be announced.
    pub fn read(stream: impl Read) -> Option<Self> {
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let mut response = Response { status, head, body: String::new() };
        let mut bytes = Vec::new();
        match response.header("content-length").map(|length| length.parse::<u64>().unwrap()) {
            Some(length) => stream.take(length).read_to_end(&mut bytes).ok()?,
            None => stream.read_to_end(&mut bytes).ok()?,
        };
        response.body = String::from_utf8_lossy(&bytes).into_owned();
        Some(response)
    }
}

impl Web {
    pub fn start(home: &Home, arguments: &[&str]) -> Self {
        Self::from(home.command().args(["serve", "--http", "127.0.0.1:0"]).args(arguments))
    }

    pub fn from(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = Arc::new(Mutex::new(String::new()));
        let collected = Arc::clone(&stderr);
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            let mut line = String::new();
            while lines.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
                collected.lock().unwrap().push_str(&line);
                line.clear();
            }
        });
        let until = Instant::now() + PATIENCE;
        let port = loop {
            let text = stderr.lock().unwrap().clone();
            if let Some((_, rest)) = text.split_once("listening on ") {
                break rest.lines().next().unwrap().rsplit(':').next().unwrap().parse().unwrap();
            }
            assert!(Instant::now() < until && child.try_wait().unwrap().is_none(), "{text}");
            std::thread::sleep(Duration::from_millis(10));
        };
        Web { child, port, stderr }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends a head and a body as they are. `head` has no empty line at its end.
    pub fn raw(&self, head: &str, body: &str) -> Response {
        let mut stream = self.connect();
        stream.write_all(format!("{head}\r\nConnection: close\r\n\r\n{body}").as_bytes()).unwrap();
        Response::read(stream).unwrap_or_else(|| panic!("no response to {head}"))
    }

    pub fn get(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        self.raw(&self.head("GET", path, headers), "")
    }

    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Response {
        self.raw(&self.posting(path, headers, &body.to_string()), &body.to_string())
    }

    /// The head of a POST of this body.
    pub fn posting(&self, path: &str, headers: &[(&str, &str)], body: &str) -> String {
        let length = body.len().to_string();
        let mut all = vec![("Content-Length", length.as_str())];
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            all.push(("Content-Type", "application/json"));
        }
        all.extend(headers);
        self.head("POST", path, &all)
    }

    pub fn head(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> String {
        let mut head = format!("{method} {path} HTTP/1.1");
        if !headers.iter().any(|(name, _)| *name == "Host") {
            head += &format!("\r\nHost: 127.0.0.1:{}", self.port);
        }
        headers.iter().for_each(|(name, value)| head += &format!("\r\n{name}: {value}"));
        head
    }

    pub fn signal(&self, name: &str) {
        let done = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(done.success());
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
