//! `GET /health`: whether the sources answer and the audit trail can be written. Each source is asked at most once in
//! ten seconds, however many requests come.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use futures_util::future::join_all;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Api, door, reply};
use crate::config::SourceConfig;
use crate::error::Code;
use crate::gateway::Caller;

/// How long an answer is reused for later requests.
const KEPT: Duration = Duration::from_secs(10);
/// Time limit for one source.
const TIME_LIMIT: Duration = Duration::from_secs(4);

/// The last answer, and its time.
#[derive(Debug, Default)]
pub(super) struct Health(tokio::sync::Mutex<Option<(Instant, Value)>>);

pub(super) async fn show(State(api): State<Arc<Api>>, headers: HeaderMap) -> Response {
    let is_known = door::known(&api, &headers).await.is_ok_and(|known| known.is_none_or(|(grant, _)| grant.is_whole()));
    // The task goes on if the client disconnects. So the next request finds this answer and does not ask the sources
    // again.
    let looked = tokio::spawn(async move {
        // Requests that come meanwhile wait for the lock and get the same answer.
        let mut last = api.health.0.lock().await;
        match last.as_ref().filter(|(at, _)| at.elapsed() < KEPT) {
            Some((_, answer)) => answer.clone(),
            None => {
                let answer = look(&api).await;
                *last = Some((Instant::now(), answer.clone()));
                answer
            }
        }
    });
    let mut answer = looked.await.unwrap_or_else(|_| json!({"status": "degraded"}));
    if let Some(fields) = answer.as_object_mut().filter(|_| !is_known) {
        // Only a caller who may use all sources and tools gets the names of the sources.
        fields.shift_remove("sources");
    }
    reply::json(StatusCode::OK, answer.to_string())
}

/// `GET /health/live`: the process answers.
pub(super) async fn live() -> Response {
    reply::json(StatusCode::OK, r#"{"status":"alive"}"#)
}

async fn look(api: &Api) -> Value {
    let gateway = api.core.gateway.as_ref();
    let looked = join_all(gateway.config().sources.iter().map(|source| ask(api, source))).await;
    let is_recorded = looked.iter().all(|(_, _, is_recorded)| *is_recorded);
    let is_healthy = is_recorded && looked.iter().all(|(_, is_reachable, _)| *is_reachable == Some(true));
    let sources: Vec<Value> = gateway
        .config()
        .sources
        .iter()
        .zip(&looked)
        .map(|(source, (provider, reachable, _))| {
            json!({"name": source.name, "provider": provider, "reachable": reachable})
        })
        .collect();
    json!({
        "status": if is_healthy { "healthy" } else { "degraded" },
        "sources": sources,
        "audit": if is_recorded { "writable" } else { "unavailable" },
        "timestamp": OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default(),
    })
}

/// The provider of a source, whether it answers if that is known, and whether the audit record of this ping was written.
async fn ask(api: &Api, source: &SourceConfig) -> (Option<&'static str>, Option<bool>, bool) {
    let gateway = api.core.gateway.as_ref();
    let cancel = api.end.child_token();
    let _cancelled_when_late = cancel.clone().drop_guard();
    let caller = Caller { client: Some("health".into()), cancel, ..Caller::default() };
    let answered = tokio::time::timeout(TIME_LIMIT, gateway.ping(&caller, source)).await;
    let is_recorded = !matches!(&answered, Ok(Err(error)) if error.code == Code::AuditUnavailable);
    let provider = gateway.database_report(source).await.and_then(|report| report.provider);
    // Without a record nothing is run, so it is not known whether the source answers.
    (provider, is_recorded.then_some(matches!(answered, Ok(Ok(())))), is_recorded)
}
