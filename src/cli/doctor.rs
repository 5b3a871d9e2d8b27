//! `tudb doctor`: checks that each source, the audit store and the model can be used. It prints one line per finding.

use clap::Args;
use serde_json::{Value, json};

use super::{DONE, NO, core, say, tell};
#[cfg(feature = "http")]
use crate::config::HttpConfig;
use crate::config::{Config, Environment, ModelReason, SourceConfig};
use crate::database::catalog::Snapshot;
use crate::database::{ServerReport, bootstrap};
use crate::error::ToolError;
use crate::gateway::{Caller, SourceCheck};
use crate::tools::Core;

/// Arguments of `tudb doctor`.
#[derive(Args, Default)]
pub(super) struct Doctor {
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// Severity of a finding. Only `Fail` makes the command fail.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Ok,
    Warn,
    Fail,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Fail => "fail",
        }
    }
}

/// One result of the checks.
struct Finding {
    what: String,
    level: Level,
    text: String,
    /// Details for `--json`.
    details: Value,
}

impl Finding {
    fn new(what: impl Into<String>, level: Level, text: impl Into<String>) -> Self {
        Finding { what: what.into(), level, text: text.into(), details: json!({}) }
    }

    /// A finding with the text that a tool would return for the error.
    fn of_error(what: impl Into<String>, level: Level, error: &ToolError) -> Self {
        let hint = error.hint.clone().unwrap_or_default();
        let text = format!("{}: {error}. {hint}", error.code.as_str());
        Finding { details: json!({"code": error.code.as_str()}), ..Finding::new(what, level, text) }
    }

    fn to_json(&self) -> Value {
        let mut object = json!({
            "what": self.what, "ok": self.level != Level::Fail, "level": self.level.word(), "text": self.text,
        });
        if let (Value::Object(object), Value::Object(details)) = (&mut object, &self.details) {
            object.extend(details.clone());
        }
        object
    }
}

impl Doctor {
    pub(super) async fn run(self, config: Config, env: &Environment) -> u8 {
        let mut findings = vec![Finding::new("configuration", Level::Ok, config.origin.clone())];
        let sample = config.data_dir.as_deref().map(bootstrap::sample_path);
        let sample =
            sample.map_or("embedded sample in memory".into(), |at| format!("embedded sample at {}", at.display()));
        let store = config.audit.store.to_string();
        let core = core(config, env);
        let caller = Caller { client: Some(format!("tudb doctor/{}", env!("CARGO_PKG_VERSION"))), ..Caller::default() };
        findings.push(match core.gateway.check_audit(&caller).await {
            Ok(None) => Finding::new("audit store", Level::Ok, store),
            Ok(Some(warning)) => Finding::new("audit store", Level::Warn, format!("{store}: {warning}")),
            Err(error) => Finding::of_error("audit store", Level::Fail, &error),
        });
        #[cfg(feature = "http")]
        if core.gateway.config().http != HttpConfig::default() {
            findings.push(match super::http::check(core.gateway.config()).await {
                Ok(text) => Finding::new("http", Level::Ok, text),
                Err(problem) => Finding::new("http", Level::Fail, format!("config_error: {problem}")),
            });
        }
        for source in &core.gateway.config().sources {
            findings.extend(look_at(&core, &caller, source, &sample).await);
        }
        findings.push(model(&core).await);
        core.gateway.close().await;
        let ok = findings.iter().all(|finding| finding.level != Level::Fail);
        if self.json {
            let list: Vec<_> = findings.iter().map(Finding::to_json).collect();
            say(&json!({"ok": ok, "findings": list}).to_string());
        } else {
            for finding in &findings {
                let mark = if finding.level == Level::Fail { "FAIL" } else { finding.level.word() };
                tell(&format!("{mark:<4} {}: {}", finding.what, finding.text));
            }
        }
        if ok { DONE } else { NO }
    }
}

/// Checks one source: whether it is reachable, its version, what its role may do, and what it contains.
async fn look_at(core: &Core, caller: &Caller, source: &SourceConfig, sample: &str) -> Vec<Finding> {
    let what = format!("source {}", source.name);
    let looked = core.gateway.look(caller, source).await;
    let report = core.gateway.database_report(source).await;
    let place = match &report {
        _ if source.url.is_none() => sample.to_owned(),
        Some(report) => report.place.clone().unwrap_or_else(|| "in memory".to_owned()),
        None => String::new(),
    };
    let report = report.unwrap_or_default();
    let mut findings = vec![match &looked {
        Ok(looked) => reached(what, looked, report.server.as_ref(), &place),
        Err(error) => {
            let finding = Finding::of_error(what, Level::Fail, error);
            match place.as_str() {
                "" => finding,
                place => Finding { text: format!("{} ({place})", finding.text), ..finding },
            }
        }
    }];
    if let Ok(looked) = &looked {
        let mut misfits = core.asker.misfits(&source.name, &looked.snapshot);
        misfits.extend(core.asker.failing_queries(caller, source).await);
        if !misfits.is_empty() {
            let what = format!("context file for {}", source.name);
            let details = json!({"misfits": misfits});
            findings.push(Finding { details, ..Finding::new(what, Level::Warn, misfits.join("; ")) });
        }
    }
    if let Ok(looked) = &looked {
        findings.extend(rules_without_effect(source, &looked.snapshot, &report.hidden_schemas));
    }
    if let (Ok(_), Some(problem)) = (&looked, report.unverified) {
        findings.push(Finding::new(format!("encryption of {}", source.name), Level::Warn, problem));
    }
    if let Some(server) = &report.server {
        let remedy = if server.is_safe() { String::new() } else { format!(". A safe role:\n{}", server.remedy()) };
        let level = match (server.is_safe() && server.foreign_tables == 0, source.require_safe_role) {
            (true, _) => Level::Ok,
            (false, true) if !server.is_safe() => Level::Fail,
            (false, _) => Level::Warn,
        };
        let mut text = server.summary(source.allow_foreign_tables) + &remedy;
        if let Some(user) = &source.user {
            text = format!("statements run as {} on behalf of user_id; {text}", user.role);
        }
        let details = json!({"role": server.role, "dangers": server.dangers, "foreign_tables": server.foreign_tables});
        findings.push(Finding { details, ..Finding::new(format!("role of {}", source.name), level, text) });
        for (names, problem, remedy) in [
            (
                &server.views_past_policies,
                "these views read tables with row-level security with the rights of their owner, so they show all rows",
                "Revoke SELECT on them, or on PostgreSQL 15 and later: ALTER VIEW … SET (security_invoker = true)",
            ),
            (
                &server.children_past_policies,
                "only the parents of these tables have row-level security, so a statement that names one reads all its rows",
                "Revoke SELECT on them, or: ALTER TABLE … ENABLE ROW LEVEL SECURITY",
            ),
        ] {
            if !names.is_empty() {
                let text = format!("{problem}: {}. {remedy}", names.join(", "));
                let details = json!({"relations": names});
                findings.push(Finding {
                    details,
                    ..Finding::new(format!("policies of {}", source.name), Level::Warn, text)
                });
            }
        }
    }
    let hidden = &report.hidden_schemas;
    if !hidden.is_empty() {
        let text = format!("{} (hidden_schemas and the provider's own)", hidden.join(", "));
        findings.push(Finding {
            details: json!({"schemas": hidden}),
            ..Finding::new(format!("hidden in {}", source.name), Level::Ok, text)
        });
    }
    findings
}

/// A warning if rules of `deny` or `mask` cover nothing, for example because a name is misspelled. Rules on hidden
/// schemas are not named, because the snapshot does not contain these schemas.
fn rules_without_effect(source: &SourceConfig, snapshot: &Snapshot, hidden: &[String]) -> Option<Finding> {
    let is_hidden = |rule: &&String| hidden.iter().any(|schema| rule.contains(&format!(" \"{schema}.")));
    let rules: Vec<&String> = snapshot.rules_without_effect.iter().filter(|rule| !is_hidden(rule)).collect();
    if rules.is_empty() || snapshot.left_out > 0 {
        return None;
    }
    let list = rules.iter().map(|rule| rule.as_str()).collect::<Vec<_>>().join(", ");
    let text =
        format!("these rules cover no table and no column that the role can read, so check their spelling: {list}");
    let what = format!("rules of {}", source.name);
    Some(Finding { details: json!({"rules": rules}), ..Finding::new(what, Level::Warn, text) })
}

fn reached(what: String, looked: &SourceCheck, server: Option<&ServerReport>, place: &str) -> Finding {
    let kind = match server {
        Some(server) => {
            let standby = if server.is_standby { ", a standby" } else { "" };
            let pooler = match server {
                _ if server.is_pgpool => ", behind pgpool-II",
                _ if server.is_pooled => ", behind a transaction pooler",
                _ => "",
            };
            let tls = server.encryption.as_ref().map_or(String::new(), |version| format!(", {version}"));
            format!("PostgreSQL {}{standby}{pooler}{tls}", server.version)
        }
        None => "SQLite".to_owned(),
    };
    let snapshot = &looked.snapshot;
    let (tables, columns) = (snapshot.tables.len(), snapshot.columns());
    let kilobytes = snapshot.bytes().div_ceil(1_000);
    let left_out = match snapshot.left_out {
        0 => String::new(),
        many => format!(", {many} tables more than its snapshot may hold"),
    };
    let text = format!(
        "{kind}, first answer after {} ms, a statement {} ms, {tables} tables with {columns} columns ({kilobytes} kB of \
         schema{left_out}), {place}",
        looked.first_ms, looked.statement_ms
    );
    let details = json!({
        "place": place,
        "version": server.map(|server| &server.version),
        "standby": server.map(|server| server.is_standby),
        "pooler": server.map(|server| server.is_pooled),
        "encryption": server.and_then(|server| server.encryption.as_ref()),
        "first_ms": looked.first_ms,
        "statement_ms": looked.statement_ms,
        "tables": tables,
        "columns": columns,
        "schema_bytes": snapshot.bytes(),
        "left_out": snapshot.left_out,
    });
    let mut text = text;
    if let Some(server) = server.filter(|_| tables == 0) {
        text += &format!("; role {} sees no tables: {}", server.role, server.grant());
    }
    let is_poor = snapshot.left_out > 0 || tables == 0 && server.is_some();
    let level = if is_poor { Level::Warn } else { Level::Ok };
    Finding { details, ..Finding::new(what, level, text) }
}

/// Checks the model and its credentials. Nothing is generated.
async fn model(core: &Core) -> Finding {
    let config = &core.gateway.config().model;
    match core.asker.check_model().await {
        Ok(text) => {
            let details = json!({"engine": core.asker.engine(), "model": core.asker.model_id()});
            Finding { details, ..Finding::new("model", Level::Ok, format!("{text} ({})", config.reason)) }
        }
        Err(error) => {
            let level = if matches!(config.reason, ModelReason::Set(_)) { Level::Fail } else { Level::Warn };
            Finding::of_error("model", level, &error)
        }
    }
}
