//! MCP over streamable HTTP, by the SDK's own service. In the older protocol versions, each session has its own
//! [`Server`]. From version 2026-07-28 on, each request has its own, so any instance of TUDB can answer a request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio_util::sync::CancellationToken;

use super::door::{self, Whole};
use super::{Api, reply};
use crate::error::{Code, ToolError};
use crate::gateway::Grant;
use crate::limits::Limits;
use crate::places::Places;
use crate::server::{CallsEnd, Server, Transport};
use crate::transport::values_of;

/// An unused session is closed after this time. The time is long, because few clients open a new session by themselves.
const UNUSED: Duration = Duration::from_secs(3_600);
/// How long a finished reply is kept for a client that lost its connection. All replies that finished within this time
/// are in memory.
const REPLY_KEPT: Duration = Duration::from_secs(2);

const SESSION: &str = "mcp-session-id";

/// The sessions of the older protocol versions, and what is known of each.
#[derive(Debug)]
pub(super) struct Sessions {
    manager: Arc<LocalSessionManager>,
    known: Mutex<HashMap<String, Session>>,
    /// Locked while a session is opened, so that two requests cannot both take the last free place.
    opening: tokio::sync::Mutex<()>,
    /// Places for streams that stay open (GET).
    streams: Arc<Places>,
}

/// A session belongs to the key that opened it.
#[derive(Clone, Debug)]
struct Session {
    key: Option<String>,
    /// Cancelled when the client ends the session.
    end: CancellationToken,
}

impl Sessions {
    pub(super) fn new(limits: &Limits) -> Self {
        let mut manager = LocalSessionManager::default();
        manager.session_config.keep_alive = Some(UNUSED);
        manager.session_config.completed_cache_ttl = REPLY_KEPT;
        Sessions {
            manager: Arc::new(manager),
            known: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
            // The other half of the connections stays free for calls.
            streams: Places::new((limits.http_max_connections / 2).max(1), 1),
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether one more session may be opened. A key may have half of all sessions.
    async fn has_place(&self, key: Option<&String>, limits: &Limits) -> bool {
        let open = self.manager.sessions.read().await;
        let mut known = self.known();
        // Removes the sessions that have ended.
        known.retain(|id, _| open.contains_key(id.as_str()));
        let of_key = known.values().filter(|session| session.key.as_ref() == key).count();
        open.len() < limits.http_max_sessions && (key.is_none() || of_key < limits.http_max_sessions / 2)
    }
}

pub(super) fn service(api: &Arc<Api>) -> StreamableHttpService<Server, LocalSessionManager> {
    // [`super::door`] has checked the host and the origin already.
    let config = StreamableHttpServerConfig::default()
        .disable_allowed_hosts()
        .with_json_response(true)
        .with_max_request_body_bytes(api.limits.http_max_body_bytes)
        .with_cancellation_token(api.end.clone());
    let transport = Transport::Http { calls: Arc::clone(&api.calls) };
    let server = Server::new(Ok(Arc::clone(&api.core)), api.end.clone(), transport);
    StreamableHttpService::new(move || Ok(server.clone()), Arc::clone(&api.sessions.manager), config)
}

fn session(headers: &HeaderMap) -> Option<&str> {
    headers.get(SESSION).and_then(|id| id.to_str().ok())
}

/// The body of a request that opens a session.
fn initialize(request: &Request) -> Option<&[u8]> {
    #[derive(serde::Deserialize)]
    struct Message {
        method: String,
    }
    let Whole(body) = request.extensions().get::<Whole>()?;
    let message = serde_json::from_slice::<Message>(body).ok()?;
    (message.method == "initialize").then_some(body.as_ref())
}

/// Why a session is not opened by a message of this size. A session keeps what this message says until it ends.
fn too_long(initialize: &[u8], limits: &Limits) -> Option<ToolError> {
    let (bytes, most) = (initialize.len(), limits.http_max_initialize_bytes);
    let (values, most_values) = (values_of(initialize), limits.http_max_initialize_values);
    let (message, hint) = if bytes > most {
        (
            format!("initialize has {bytes} bytes; the limit is {most}"),
            "Send a shorter name and description of the client.",
        )
    } else if values > most_values {
        let message = format!("initialize has {values} JSON arrays, objects and commas; the limit is {most_values}");
        (message, "Send fewer capabilities.")
    } else {
        return None;
    };
    Some(ToolError::new(Code::TooLong, message).hint(hint))
}

/// Refuses a session that belongs to another key, and limits the number of sessions and of open streams. Says when the
/// calls of the request have to end: the SDK cancels them two to five seconds after a client has left or has ended its
/// session.
pub(super) async fn with_session(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    let sessions = &api.sessions;
    let busy = |what: &str| reply::error(&ToolError::new(Code::Busy, what).hint("Close one, or try later."));
    let key = request.extensions().get::<Arc<Grant>>().map(|grant| grant.key.clone());
    let known = session(request.headers()).and_then(|id| sessions.known().get(id).cloned());
    if known.as_ref().is_some_and(|session| session.key != key) {
        let error = ToolError::invalid("there is no such session").hint("Send initialize again.");
        return reply::json(StatusCode::NOT_FOUND, error.to_json());
    }
    let _opening = if let Some(body) = initialize(&request) {
        if let Some(error) = too_long(body, &api.limits) {
            return reply::json(StatusCode::PAYLOAD_TOO_LARGE, error.to_json());
        }
        let opening = sessions.opening.lock().await;
        if !sessions.has_place(key.as_ref(), &api.limits).await {
            return busy("too many MCP sessions are open");
        }
        Some(opening)
    } else {
        None
    };
    let stream = if request.method() == Method::GET {
        match sessions.streams.take(key.as_deref(), 1) {
            Some(place) => Some(place),
            None => return busy("too many MCP streams are open"),
        }
    } else {
        None
    };
    let is_end = request.method() == Method::DELETE;
    let end = known.map_or_else(|| api.end.child_token(), |session| session.end);
    request.extensions_mut().insert(CallsEnd(end.clone()));
    // Outside a session, the calls of a request end with its connection. In a session, a client may come back for its reply.
    let has_left = session(request.headers()).is_none().then(|| end.clone().drop_guard());
    let mut response = next.run(request).await;
    // The Rust SDK answers DELETE with 202. The Python SDK takes only 200 and 204 as the end of a session.
    if is_end && response.status() == StatusCode::ACCEPTED {
        *response.status_mut() = StatusCode::NO_CONTENT;
        end.cancel();
    }
    if let Some(id) = session(response.headers()) {
        let session = || Session { key, end: api.end.child_token() };
        sessions.known().entry(id.to_owned()).or_insert_with(session);
    }
    response.map(|body| door::held_with(body, (stream, has_left)))
}
