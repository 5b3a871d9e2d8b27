//! The HTTP server: the query API, and MCP over streamable HTTP. Both call `tools`, as the server on stdio does.
//!
//! [`listen`] accepts connections. [`door`] checks the host and the origin of each request. For tools, MCP and metrics
//! it also checks key, rate and body. [`routes`] has one path for each tool, and [`mcp`] is the MCP service of the SDK.
//! [`health`] and [`metrics`] describe the process, and [`openapi`] describes the API.

mod door;
mod health;
mod keys;
mod listen;
mod mcp;
mod metrics;
mod oauth;
mod openapi;
mod reply;
mod routes;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use governor::DefaultDirectRateLimiter;
use tokio_util::sync::CancellationToken;

use crate::limits::Limits;
use crate::places::Places;
use crate::tools::Core;
use health::Health;
pub use keys::KeyRing;
pub use keys::new_key;
pub use listen::{Listener, check_tls, serve};
use metrics::Metrics;

/// What the handlers share.
#[derive(Debug)]
pub struct Api {
    core: Arc<Core>,
    limits: Limits,
    keys: Option<KeyRing>,
    issuer: Option<oauth::Issuer>,
    limiter: Option<DefaultDirectRateLimiter>,
    /// Places for the bytes of bodies, in KiB.
    bodies: Arc<Places>,
    /// Host names in lower case, without a port or with one, that requests may be sent to.
    hosts: Vec<String>,
    metrics: Metrics,
    health: Health,
    sessions: mcp::Sessions,
    /// Places for calls of tools, reads of resources and completions, running and waiting.
    calls: Arc<Places>,
    /// Cancelled when running calls have to end.
    end: CancellationToken,
}

impl Api {
    /// Reads the keys and prepares the server. Nothing is served yet.
    ///
    /// # Errors
    ///
    /// What is wrong with the API keys, or with the keys of the OAuth issuer.
    pub async fn new(
        core: Arc<Core>,
        address: std::net::SocketAddr,
        end: CancellationToken,
    ) -> Result<Arc<Self>, String> {
        let config = core.gateway.config();
        let keys = match &config.http.keys {
            Some(from) => Some(KeyRing::load(from.clone(), config).await?),
            None => None,
        };
        let issuer = match &config.http.oauth {
            Some(oauth) => Some(oauth::Issuer::new(oauth.clone()).await?),
            None => None,
        };
        let limits = config.limits.clone();
        let metrics = Metrics::default();
        let _ = core.counts.set(Box::new(metrics.calls()));
        Ok(Arc::new(Api {
            keys,
            issuer,
            limiter: config.http.requests_per_minute.map(keys::limiter),
            bodies: Places::new(limits.http_max_held_bytes / 1_024, limits.http_max_body_bytes.div_ceil(1_024)),
            hosts: door::hosts(&config.http.allowed_hosts, address.ip()),
            metrics,
            health: Health::default(),
            sessions: mcp::Sessions::new(&limits),
            calls: Places::new(limits.http_max_calls, 1),
            limits,
            end,
            core,
        }))
    }

    /// Whether requests or calls run.
    fn is_busy(&self) -> bool {
        self.metrics.running() > 0 || self.core.running.load(std::sync::atomic::Ordering::Relaxed) > 0
    }

    /// Reads the keys anew.
    pub async fn reload(&self) {
        let Some(keys) = &self.keys else { return };
        match keys.reload(self.core.gateway.config()).await {
            Ok(count) => tracing::warn!(count, "the API keys were read again"),
            Err(error) => tracing::error!(error, "the API keys stay as they were"),
        }
    }
}

/// All paths, behind the check of the host. Tools, MCP and metrics are also behind [`door::with_key`].
pub fn router(api: &Arc<Api>) -> Router {
    let checked = Router::new()
        .route("/api/query", post(routes::query))
        .route("/api/sql", post(routes::sql))
        .route("/api/explain", post(routes::explain))
        .route("/api/tables", get(routes::tables))
        .route("/api/tables/{name}", get(routes::table))
        .route("/metrics", get(metrics::show))
        .merge(
            Router::new()
                .route_service("/mcp", mcp::service(api))
                .route_layer(axum::middleware::from_fn_with_state(Arc::clone(api), mcp::with_session)),
        )
        .route_layer(axum::middleware::from_fn_with_state(Arc::clone(api), door::with_key))
        .route("/health", get(health::show))
        .route("/health/live", get(health::live))
        .route("/.well-known/oauth-protected-resource", get(oauth::metadata))
        .route("/.well-known/oauth-protected-resource/{*path}", get(oauth::metadata))
        .route("/openapi.json", get(openapi::show))
        .route("/", get(openapi::page))
        .fallback(routes::nowhere)
        .method_not_allowed_fallback(routes::wrong_method)
        .layer(axum::middleware::from_fn_with_state(Arc::clone(api), door::with_host));
    let origins = &api.core.gateway.config().http.allowed_origins;
    let router = if origins.is_empty() { checked } else { checked.layer(door::cors(origins)) };
    // The body is read and bounded by `door::with_key`.
    let router = router.layer(axum::extract::DefaultBodyLimit::disable());
    router.layer(axum::middleware::from_fn_with_state(Arc::clone(api), metrics::count)).with_state(Arc::clone(api))
}
