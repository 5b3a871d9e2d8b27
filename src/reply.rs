//! The reply of a tool call. `tools` and `ask` make it, and the server and the HTTP API send it.

use crate::error::{Code, ToolError};

/// The reply to a call: its JSON, and whether it is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub json: String,
    pub is_error: bool,
    /// The clarifying question, if the reply asks one.
    pub asks_back: Option<Box<AskBack>>,
    /// A chart as a PNG image.
    pub image: Option<Vec<u8>>,
}

/// A clarifying question and the possible meanings of the user's question (*readings*) to choose from. Each reading is
/// written as a complete question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskBack {
    pub message: String,
    pub readings: Vec<String>,
}

impl Reply {
    pub fn ok(json: String) -> Self {
        Reply { json, is_error: false, asks_back: None, image: None }
    }
}

impl Reply {
    /// The error code, if the reply is an error.
    pub fn error_code(&self) -> Option<Code> {
        #[derive(serde::Deserialize)]
        struct Body {
            error: Error,
        }
        #[derive(serde::Deserialize)]
        struct Error {
            code: Code,
        }
        let body: Option<Body> = serde_json::from_str(&self.json).ok().filter(|_| self.is_error);
        body.map(|body| body.error.code)
    }

    /// Adds `warning` to the reply. Does nothing if it is `None`.
    pub fn with_warning(mut self, warning: Option<String>) -> Self {
        if let Some(warning) = warning
            && let Ok(serde_json::Value::Object(mut fields)) = serde_json::from_str(&self.json)
        {
            let warnings = fields.entry("warnings").or_insert_with(|| serde_json::json!([]));
            if let Some(warnings) = warnings.as_array_mut() {
                warnings.push(warning.into());
            }
            self.json = serde_json::Value::Object(fields).to_string();
        }
        self
    }
}

impl From<ToolError> for Reply {
    fn from(error: ToolError) -> Self {
        Reply { json: error.to_json(), is_error: true, asks_back: None, image: None }
    }
}
