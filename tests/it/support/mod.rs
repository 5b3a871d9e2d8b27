//! Shared by the tests: the server as a child process, temporary directories and databases, model endpoints.

pub mod bedrock;
pub mod http;
pub mod openai;
pub mod postgres;
pub mod relay;
pub mod web;

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

/// Longest wait for one answer. Generous, because machines are slow. It still ends a hang.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A directory that is removed when dropped.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tudb-test-{name}-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A fresh home for one run of the binary: environment, audit store, sample.
pub struct Home {
    pub scratch: Scratch,
    env: Vec<(String, String)>,
}

impl Home {
    pub fn new(name: &str) -> Self {
        let scratch = Scratch::new(name);
        let env = vec![
            ("PATH".into(), std::env::var("PATH").unwrap()),
            ("HOME".into(), scratch.0.display().to_string()),
            // No test may find credentials or a metadata service of its machine.
            ("AWS_EC2_METADATA_DISABLED".into(), "true".into()),
        ];
        Home { scratch, env }
    }

    pub fn set(mut self, name: &str, value: impl ToString) -> Self {
        self.env.push((name.into(), value.to_string()));
        self
    }

    pub fn audit_path(&self) -> PathBuf {
        let named = self.env.iter().find(|(name, _)| name == "TUDB_AUDIT_DB").map(|(_, path)| PathBuf::from(path));
        named.unwrap_or_else(|| self.scratch.path(".local/state/tudb/audit.db"))
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tudb"));
        command.env_clear().envs(self.env.iter().cloned()).current_dir(&self.scratch.0);
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// Runs a command that must succeed, and returns what it printed.
    pub fn say(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The audit records, oldest first.
    pub fn records(&self) -> Vec<Value> {
        self.say(&["audit", "export"]).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub fn serve(&self) -> Server {
        Server::start(self.command())
    }
}

/// A running server, after its handshake. Every output line is checked to be JSON-RPC.
pub struct Server {
    pub child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    early: VecDeque<Value>,
    pub stderr: Arc<Mutex<String>>,
    next_id: u64,
    pub greeting: Value,
}

impl Server {
    pub fn start(command: Command) -> Self {
        let mut server = Self::start_silent(command);
        let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "harness", "version": "1"}});
        server.greeting = server.request("initialize", hello);
        server.notify("notifications/initialized", json!({}));
        server
    }

    /// Starts the process and sends nothing.
    pub fn start_silent(command: Command) -> Self {
        let mut server = Self::start_unread(command);
        server.read_now();
        server
    }

    /// Reads the process's output from here on.
    pub fn read_now(&mut self) {
        let (sender, lines) = channel();
        let stdout = BufReader::new(self.child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines() {
                if sender.send(line.unwrap()).is_err() {
                    return;
                }
            }
        });
        self.lines = lines;
    }

    /// Starts the process and leaves its output unread.
    pub fn start_unread(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = Arc::new(Mutex::new(String::new()));
        let collected = Arc::clone(&stderr);
        let mut source = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            let mut line = String::new();
            while source.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
                collected.lock().unwrap().push_str(&line);
                line.clear();
            }
        });
        let stdin = child.stdin.take();
        let lines = channel().1;
        Server { child, stdin, lines, early: VecDeque::new(), stderr, next_id: 0, greeting: Value::Null }
    }

    pub fn send_line(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(line.as_bytes()).unwrap();
        stdin.write_all(b"\n").unwrap();
        stdin.flush().unwrap();
    }

    pub fn notify(&mut self, method: &str, params: Value) {
        self.send_line(&json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string());
    }

    /// Sends a request and returns its id.
    pub fn send(&mut self, method: &str, params: Value) -> u64 {
        self.next_id += 1;
        let id = self.next_id;
        self.send_line(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string());
        id
    }

    /// The next line, not parsed, so that the benchmark does not measure the parsing.
    pub fn receive_line(&mut self) -> Option<String> {
        self.lines.recv_timeout(PATIENCE).ok()
    }

    /// The next message, or `None` if none comes in time.
    pub fn receive(&mut self, patience: Duration) -> Option<Value> {
        if let Some(message) = self.early.pop_front() {
            return Some(message);
        }
        match self.lines.recv_timeout(patience) {
            Ok(line) => Some(message(&line)),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => None,
        }
    }

    /// The whole answer to a request.
    pub fn answer(&mut self, id: u64) -> Value {
        if let Some(at) = self.early.iter().position(|message| message["id"] == id) {
            return self.early.remove(at).unwrap();
        }
        loop {
            let Some(line) = self.receive_line() else {
                panic!("no answer to {id}; stderr: {}", self.stderr.lock().unwrap());
            };
            match message(&line) {
                message if message["id"] == id => return message,
                message => self.early.push_back(message),
            }
        }
    }

    /// The result of a request that must not be a protocol error.
    pub fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.send(method, params);
        let answer = self.answer(id);
        assert!(answer.get("error").is_none(), "{answer}");
        answer["result"].clone()
    }

    pub fn send_call(&mut self, tool: &str, arguments: Value) -> u64 {
        self.send("tools/call", json!({"name": tool, "arguments": arguments}))
    }

    /// The structured content of a call. Checks that the text block is equal.
    pub fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let id = self.send_call(tool, arguments);
        let answer = self.answer(id);
        content(&answer)
    }

    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Ends the input and waits for the process.
    pub fn finish(mut self) -> std::process::ExitStatus {
        self.close_stdin();
        self.child.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stdin = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A line of the server's output, which must be JSON-RPC.
fn message(line: &str) -> Value {
    let message: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"));
    assert_eq!(message["jsonrpc"], "2.0", "{line}");
    message
}

/// The structured content of an answer. Checks that both blocks are equal.
pub fn content(answer: &Value) -> Value {
    let result = &answer["result"];
    let text: Value =
        serde_json::from_str(result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}"))).unwrap();
    assert_eq!(text, result["structuredContent"], "the two blocks differ");
    let failed = text.get("error").is_some();
    assert_eq!(result["isError"], failed, "{answer}");
    text
}

/// Output of a program that must exist and succeed.
pub fn output_of(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}\n{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// A path that `tests/run` sets.
pub fn tool_path(variable: &str) -> PathBuf {
    PathBuf::from(
        std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set: start the tests with tests/run")),
    )
}

/// Peak memory of the process, in kB.
pub fn peak_memory_kb(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Every byte under a directory, for the search for secrets.
pub fn everything_under(directory: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(everything_under(&path));
        } else {
            std::fs::File::open(path).unwrap().read_to_end(&mut all).unwrap();
        }
    }
    all
}
