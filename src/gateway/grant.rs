//! What the holder of an API key or of an OAuth token may do.

use std::sync::{Arc, Mutex, PoisonError};

use crate::config::Config;
use crate::error::{Code, ToolError};

/// The permissions of one API key or one OAuth token. A call without a grant may use everything. Calls over stdio have
/// no grant, because the caller started the process.
#[derive(Clone, Debug, Default)]
pub struct Grant {
    /// The name of the key, for the record.
    pub key: String,
    /// Names of the sources that may be read. `None` allows all.
    pub sources: Option<Vec<String>>,
    /// Names of the tools that may be called. `None` allows all.
    pub tools: Option<Vec<String>>,
    /// The user on whose behalf every call runs. A call cannot name another one.
    pub user_id: Option<String>,
    /// Whether the metrics may be read. `None` allows it if all sources and tools are allowed.
    pub metrics: Option<bool>,
    /// The limit on the model's tokens. `None` sets none.
    pub tokens: Option<Arc<DailyTokens>>,
}

/// The tokens that a model may use for one key in a day. A day begins at midnight UTC.
#[derive(Debug)]
pub struct DailyTokens {
    limit: u64,
    used: Mutex<(time::Date, u64)>,
}

impl DailyTokens {
    pub fn new(limit: u64) -> Self {
        DailyTokens { limit, used: Mutex::new((today(), 0)) }
    }

    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Whether today's tokens are used up.
    pub fn is_used_up(&self) -> bool {
        let (day, used) = *self.used.lock().unwrap_or_else(PoisonError::into_inner);
        day == today() && used >= self.limit
    }

    pub fn add(&self, tokens: u64) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let before = if used.0 == today() { used.1 } else { 0 };
        *used = (today(), before.saturating_add(tokens));
    }
}

fn today() -> time::Date {
    time::OffsetDateTime::now_utc().date()
}

impl Grant {
    pub fn allows_source(&self, name: &str) -> bool {
        self.sources.as_ref().is_none_or(|sources| sources.iter().any(|source| source == name))
    }

    pub fn allows_tool(&self, name: &str) -> bool {
        self.tools.as_ref().is_none_or(|tools| tools.iter().any(|tool| tool == name))
    }

    /// The source of a call that does not name a source. This is the configured default source if the key may read it,
    /// or else the first source of the key.
    pub fn default_source<'a>(&'a self, config: &'a Config) -> &'a str {
        let of_key = self.sources.as_ref().and_then(|sources| sources.first());
        match of_key {
            Some(first) if !self.allows_source(&config.default_source) => first,
            _ => &config.default_source,
        }
    }

    /// # Errors
    ///
    /// `rate_limited` when the tokens of the day are used up.
    pub fn check_tokens(&self) -> Result<(), ToolError> {
        match self.tokens.as_ref().filter(|tokens| tokens.is_used_up()) {
            None => Ok(()),
            Some(tokens) => {
                let message = format!("the key {} has used its {} model tokens for today", self.key, tokens.limit());
                Err(ToolError::new(Code::RateLimited, message).hint("Ask again after midnight UTC, or use run_sql."))
            }
        }
    }

    /// # Errors
    ///
    /// `forbidden` for a tool that the key may not call.
    pub fn check_tool(&self, tool: &str) -> Result<(), ToolError> {
        if self.allows_tool(tool) {
            return Ok(());
        }
        let tools = self.tools.as_deref().unwrap_or_default().join(", ");
        let hint =
            if tools.is_empty() { "This key may call no tool.".into() } else { format!("Tools of this key: {tools}.") };
        Err(ToolError::new(Code::Forbidden, format!("the key {} may not call {tool}", self.key)).hint(hint))
    }

    /// Whether the key may use every source and every tool.
    pub fn is_whole(&self) -> bool {
        self.sources.is_none() && self.tools.is_none()
    }

    /// # Errors
    ///
    /// `forbidden` for a source that the key may not read.
    pub fn check_source(&self, name: &str) -> Result<(), ToolError> {
        if self.allows_source(name) {
            return Ok(());
        }
        let sources = self.sources.as_deref().unwrap_or_default().join(", ");
        Err(ToolError::new(Code::Forbidden, format!("the key {} may not read the source {name:?}", self.key))
            .hint(format!("Sources of this key: {sources}.")))
    }

    /// Checks the tool and the arguments of one call, and fills in the source and the user of the key.
    ///
    /// # Errors
    ///
    /// `forbidden` for a tool, a source or a user that the key does not allow.
    pub fn apply(
        &self,
        config: &Config,
        tool: &str,
        takes_user: bool,
        arguments: &mut serde_json::Map<String, serde_json::Value>,
    ) -> Result<(), ToolError> {
        self.check_tool(tool)?;
        match arguments.get("source") {
            None | Some(serde_json::Value::Null) if self.sources.is_some() => {
                let source = self.default_source(config);
                // A key with an empty list of sources may read none.
                self.check_source(source)?;
                arguments.insert("source".into(), source.into());
            }
            Some(serde_json::Value::String(name)) => self.check_source(name)?,
            // The tool itself refuses a value of another type.
            _ => {}
        }
        if let Some(user_id) = self.user_id.as_ref().filter(|_| takes_user) {
            match arguments.get("user_id") {
                None | Some(serde_json::Value::Null) => {
                    arguments.insert("user_id".into(), user_id.as_str().into());
                }
                Some(serde_json::Value::String(asked)) if asked == user_id => {}
                Some(_) => {
                    return Err(ToolError::new(Code::Forbidden, format!("the key {} stands for one user", self.key))
                        .hint("Leave user_id out."));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config() -> Config {
        let text = "default_source = \"main\"\n[sources.main]\nurl = \"sqlite:a\"\n[sources.hr]\nurl = \"sqlite:b\"";
        crate::config::tests::load(text, &[]).unwrap()
    }

    fn applied(grant: &Grant, tool: &str, arguments: serde_json::Value) -> Result<serde_json::Value, Code> {
        let serde_json::Value::Object(mut arguments) = arguments else { panic!() };
        let applied = grant.apply(&config(), tool, true, &mut arguments);
        applied.map(|()| serde_json::Value::Object(arguments)).map_err(|error| error.code)
    }

    #[test]
    fn a_key_is_kept_to_its_tools_sources_and_user() {
        let grant = Grant {
            key: "reports".into(),
            sources: Some(vec!["hr".into()]),
            tools: Some(vec!["run_sql".into()]),
            user_id: Some("7".into()),
            metrics: None,
            tokens: None,
        };
        let filled = json!({"sql": "SELECT 1", "source": "hr", "user_id": "7"});
        assert_eq!(applied(&grant, "run_sql", json!({"sql": "SELECT 1"})), Ok(filled.clone()));
        assert_eq!(applied(&grant, "run_sql", filled.clone()), Ok(filled));
        for (tool, arguments) in [
            ("ask_database", json!({})),
            ("run_sql", json!({"source": "main"})),
            ("run_sql", json!({"user_id": "8"})),
            ("run_sql", json!({"user_id": 7})),
            ("run_sql", json!({"user_id": ""})),
        ] {
            assert_eq!(applied(&grant, tool, arguments.clone()), Err(Code::Forbidden), "{tool} {arguments}");
        }
        assert_eq!(applied(&Grant::default(), "run_sql", json!({})), Ok(json!({})));
        // Empty lists allow nothing, also where the call names nothing.
        let no_tools = Grant { tools: Some(Vec::new()), ..Grant::default() };
        let no_sources = Grant { sources: Some(Vec::new()), ..Grant::default() };
        for grant in [&no_tools, &no_sources] {
            for arguments in [json!({}), json!({"source": "main"})] {
                assert_eq!(applied(grant, "run_sql", arguments), Err(Code::Forbidden));
            }
        }
    }
}
