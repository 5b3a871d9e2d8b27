//! `tudb doctor`: whether each source, the audit store and the model can be used; one line a finding.

use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::{DONE, NO, core, say};
use crate::config::{Config, Environment, ModelChoice};
use crate::database::bootstrap;
use crate::gateway::{Caller, Ran, RunSql};

/// Arguments of `tudb doctor`.
#[derive(Args)]
pub(super) struct Doctor {
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// One thing that was looked at.
struct Finding {
    what: String,
    ok: bool,
    text: String,
}

impl Doctor {
    pub(super) async fn run(self, config: Config, env: &Environment) -> u8 {
        let origin = config.origin.clone();
        let sample = config.data_dir.as_deref().map(bootstrap::sample_path);
        let model = config.model.clone();
        let core = core(config, env);
        let mut findings = vec![Finding { what: "configuration".into(), ok: true, text: origin }];
        for source in &core.gateway.config().sources {
            let started = Instant::now();
            let caller =
                Caller { client: Some(format!("tudb doctor/{}", env!("CARGO_PKG_VERSION"))), ..Caller::default() };
            let request = RunSql { sql: "SELECT 1".into(), source: Some(source.name.clone()), ..RunSql::default() };
            let what = format!("source {}", source.name);
            let result = core.gateway.run_sql(&caller, &request, 0).await;
            let elapsed_ms = started.elapsed().as_millis();
            let engine = core.gateway.engine(source).await;
            let place = match (&source.url, &sample) {
                (None, Some(path)) => format!("embedded sample at {}", path.display()),
                (None, None) => "embedded sample in memory".into(),
                (Some(_), _) => {
                    engine.as_ref().and_then(|engine| engine.place()).unwrap_or("a file of its own").to_owned()
                }
            };
            let server = engine.as_ref().and_then(|engine| engine.server());
            findings.push(match result {
                Ok(read) => {
                    let rows = if let Ran::Rows(rows) = &read.value { Some(rows.row_count) } else { None };
                    let kind = match server {
                        Some(server) if server.is_standby => format!("PostgreSQL {}, a standby", server.version),
                        Some(server) => format!("PostgreSQL {}", server.version),
                        None => format!("{:?}", read.dialect),
                    };
                    read.close(rows, 0);
                    Finding { what, ok: true, text: format!("{kind}, {elapsed_ms} ms, {place}") }
                }
                Err(error) => {
                    let hint = error.hint.clone().unwrap_or_default();
                    Finding { what, ok: false, text: format!("{}: {error}. {hint} ({place})", error.code.as_str()) }
                }
            });
            if let Some(server) = server {
                let remedy =
                    if server.is_safe() { String::new() } else { format!(". A safe role: {}", server.remedy()) };
                findings.push(Finding {
                    what: format!("role of {}", source.name),
                    ok: server.is_safe() || !source.require_safe_role,
                    text: server.summary() + &remedy,
                });
            }
        }
        let chosen = match model.choice {
            ModelChoice::Bedrock => format!("Bedrock {} ({})", model.bedrock_model, model.reason),
            ModelChoice::OpenAi => format!("OpenAI-compatible ({})", model.reason),
            ModelChoice::Builtin => format!("built-in engine ({})", model.reason),
        };
        findings.push(Finding { what: "model".into(), ok: model.choice != ModelChoice::OpenAi, text: chosen });
        core.gateway.close().await;
        let ok = findings.iter().all(|finding| finding.ok);
        if self.json {
            let list: Vec<_> = findings
                .iter()
                .map(|finding| json!({"what": finding.what, "ok": finding.ok, "text": finding.text}))
                .collect();
            say(&json!({"ok": ok, "findings": list}).to_string());
        } else {
            for finding in &findings {
                say(&format!("{} {}: {}", if finding.ok { "ok  " } else { "FAIL" }, finding.what, finding.text));
            }
        }
        if ok { DONE } else { NO }
    }
}
