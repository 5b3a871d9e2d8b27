//! A model for tests. It returns the turns that a test wrote, and remembers the requests.

use std::collections::VecDeque;
use std::sync::Mutex;

use super::{Block, Message, ModelError, StopReason, Turn, TurnRequest, Usage};

/// The turns, in order. The last one is repeated.
#[derive(Debug, Default)]
pub struct Scripted {
    turns: Mutex<VecDeque<Result<Turn, ModelError>>>,
    /// The messages of each request, as text.
    pub asked: Mutex<Vec<String>>,
}

impl Scripted {
    pub fn new(turns: Vec<Turn>) -> Self {
        Scripted { turns: Mutex::new(turns.into_iter().map(Ok).collect()), asked: Mutex::default() }
    }

    pub(super) fn turn(&self, request: &TurnRequest<'_>) -> Result<Turn, ModelError> {
        let asked = request
            .messages
            .iter()
            .map(|message| match message {
                Message::User(text) => text.clone(),
                Message::Model { blocks, .. } => format!("{blocks:?}"),
                Message::Results(results) => format!("{results:?}"),
            })
            .collect::<Vec<_>>()
            .join("\n");
        self.asked.lock().unwrap().push(asked);
        let mut turns = self.turns.lock().unwrap();
        if turns.len() > 1 { turns.pop_front().unwrap() } else { turns.front().cloned().unwrap() }
    }
}

/// A turn with one tool use.
pub fn uses(name: &str, input: serde_json::Value) -> Turn {
    let block = Block::ToolUse { id: "tooluse_1".into(), name: name.into(), input };
    Turn { blocks: vec![block], stop: StopReason::ToolUse, usage: Usage::default(), raw: None }
}

/// A turn of text alone.
pub fn says(text: &str) -> Turn {
    Turn {
        blocks: vec![Block::Text(text.into())],
        stop: StopReason::EndTurn,
        usage: Usage { input_tokens: 10, output_tokens: 2, cache_read_tokens: 0, cache_write_tokens: 0 },
        raw: None,
    }
}
