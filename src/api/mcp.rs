//! MCP over streamable HTTP, by the SDK's own service: one server for each session of the older protocol versions, and one
//! for each request of the versions from 2026-07-28 on, which any instance can answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};

use super::{Api, reply};
use crate::error::{Code, ToolError};
use crate::gateway::Grant;
use crate::server::{Server, Transport};

/// An unused session is closed after this time. Few clients open a new one by themselves.
const UNUSED: Duration = Duration::from_secs(3_600);
/// How long a finished reply is kept for a client that lost its connection. All replies of this time are in memory.
const REPLY_KEPT: Duration = Duration::from_secs(2);

const SESSION: &str = "mcp-session-id";

/// The sessions of the older protocol versions, and the key of each. A session belongs to the key that opened it.
#[derive(Debug)]
pub(super) struct Sessions {
    manager: Arc<LocalSessionManager>,
    owners: Mutex<HashMap<String, Option<String>>>,
}

impl Default for Sessions {
    fn default() -> Self {
        let mut manager = LocalSessionManager::default();
        manager.session_config.keep_alive = Some(UNUSED);
        manager.session_config.completed_cache_ttl = REPLY_KEPT;
        Sessions { manager: Arc::new(manager), owners: Mutex::default() }
    }
}

pub(super) fn service(api: &Arc<Api>) -> StreamableHttpService<Server, LocalSessionManager> {
    // [`super::door`] has checked the host and the origin already.
    let config = StreamableHttpServerConfig::default()
        .disable_allowed_hosts()
        .with_json_response(true)
        .with_max_request_body_bytes(api.limits.http_max_body_bytes)
        .with_cancellation_token(api.end.clone());
    let server = Server::new(Ok(Arc::clone(&api.core)), api.end.clone(), Transport::Http);
    StreamableHttpService::new(move || Ok(server.clone()), Arc::clone(&api.sessions.manager), config)
}

fn session(headers: &HeaderMap) -> Option<&str> {
    headers.get(SESSION).and_then(|id| id.to_str().ok())
}

/// Keeps a session to its key, and bounds the number of sessions.
pub(super) async fn with_session(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let owners = || api.sessions.owners.lock().unwrap_or_else(PoisonError::into_inner);
    let key = request.extensions().get::<Arc<Grant>>().map(|grant| grant.key.clone());
    match session(request.headers()) {
        Some(id) if owners().get(id).is_some_and(|owner| *owner != key) => {
            let error = ToolError::invalid("there is no such session").hint("Send initialize again.");
            return reply::json(StatusCode::NOT_FOUND, error.to_json());
        }
        Some(_) => {}
        None => {
            let open = api.sessions.manager.sessions.read().await;
            if open.len() >= api.limits.http_max_sessions && !request.headers().contains_key("mcp-protocol-version") {
                let error =
                    ToolError::new(Code::Busy, "too many MCP sessions are open").hint("Close one, or try later.");
                return reply::error(&error);
            }
            // Sessions that ended by themselves.
            owners().retain(|id, _| open.contains_key(id.as_str()));
        }
    }
    let is_end = request.method() == Method::DELETE;
    let mut response = next.run(request).await;
    // The SDK answers 202. Clients such as the Python SDK take only 200 and 204 as the end of a session.
    if is_end && response.status() == StatusCode::ACCEPTED {
        *response.status_mut() = StatusCode::NO_CONTENT;
    }
    if let Some(id) = session(response.headers()) {
        owners().entry(id.to_owned()).or_insert(key);
    }
    response
}
