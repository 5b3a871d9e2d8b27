//! `GET /metrics`: counts and times of the process, in the text format of Prometheus. No names of tables, and no
//! statements.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, MatchedPath, Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::{Api, reply};
use crate::error::{Code, ToolError};
use crate::gateway::Grant;
use crate::reply::Reply;
use crate::tools::{CountCalls, ToolName};

/// Upper bounds of the buckets of times, in seconds.
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRequest {
    path: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfTool {
    tool: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfError {
    tool: &'static str,
    code: &'static str,
}

/// What is counted while the process runs.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    requests: Family<OfRequest, Counter>,
    running: AtomicI64,
    wrong_keys: Counter,
    calls: Calls,
}

/// The counts of the tools.
#[derive(Clone, Debug)]
pub(super) struct Calls {
    finished: Family<OfTool, Counter>,
    errors: Family<OfError, Counter>,
    refusals: Family<OfTool, Counter>,
    seconds: Family<OfTool, Histogram, fn() -> Histogram>,
}

impl Default for Calls {
    fn default() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(SECONDS);
        Calls {
            finished: Family::default(),
            errors: Family::default(),
            refusals: Family::default(),
            seconds: Family::new_with_constructor(histogram),
        }
    }
}

impl CountCalls for Calls {
    fn count(&self, tool: ToolName, reply: &Reply, elapsed: Duration) {
        let of = OfTool { tool: tool.as_str() };
        self.finished.get_or_create(&of).inc();
        self.seconds.get_or_create(&of).observe(elapsed.as_secs_f64());
        if let Some(code) = reply.error_code() {
            self.errors.get_or_create(&OfError { tool: tool.as_str(), code: code.as_str() }).inc();
            if code.is_refusal() {
                self.refusals.get_or_create(&of).inc();
            }
        }
    }
}

impl Metrics {
    pub(super) fn calls(&self) -> Calls {
        self.calls.clone()
    }

    pub(super) fn wrong_key(&self) {
        self.wrong_keys.inc();
    }

    /// The number of requests that are being handled.
    pub(super) fn running(&self) -> i64 {
        self.running.load(Ordering::Relaxed)
    }
}

/// Counts one request.
pub(super) async fn count(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    struct Running<'a>(&'a AtomicI64);
    impl Drop for Running<'_> {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }
    // The label is the pattern of the route, because the path itself may contain the name of a table.
    let path = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str).to_owned();
    let running = &api.metrics.running;
    running.fetch_add(1, Ordering::Relaxed);
    let _running = Running(running);
    let response = next.run(request).await;
    let of = OfRequest { path, status: response.status().as_u16() };
    api.metrics.requests.get_or_create(&of).inc();
    response
}

pub(super) async fn show(State(api): State<Arc<Api>>, grant: Option<Extension<Arc<Grant>>>) -> Response {
    // The metrics name all sources.
    if let Some(Extension(grant)) = grant.filter(|Extension(grant)| !grant.metrics.unwrap_or(grant.is_whole())) {
        let error = ToolError::new(Code::Forbidden, format!("the key {} may not read the metrics", grant.key))
            .hint("Use a key with `metrics = true`, or without `sources` and `tools`.");
        return reply::error(&error);
    }
    let mut text = String::new();
    // Writing to a text does not fail.
    let _ = encode(&mut text, &registry(&api));
    let mut response = Response::new(Body::from(text));
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// Builds the registry for one reply. Its counters are those of the process. Its gauges are read now.
fn registry(api: &Api) -> Registry {
    let mut registry = Registry::with_prefix("tudb");
    let metrics = &api.metrics;
    registry.register("http_requests", "HTTP requests by path and status", metrics.requests.clone());
    registry.register("http_wrong_keys", "HTTP requests without a valid API key", metrics.wrong_keys.clone());
    registry.register("calls", "Finished calls of tools", metrics.calls.finished.clone());
    registry.register("errors", "Calls that ended with an error, by code", metrics.calls.errors.clone());
    registry.register("refusals", "Calls whose statement the guard refused", metrics.calls.refusals.clone());
    registry.register_with_unit("call", "Time of a call", Unit::Seconds, metrics.calls.seconds.clone());
    let gauge = |value: usize| {
        let gauge = Gauge::<i64>::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        gauge
    };
    #[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
    struct OfSource {
        source: String,
    }
    let (running, waiting) = (Family::<OfSource, Gauge>::default(), Family::<OfSource, Gauge>::default());
    for (source, runs, waits) in api.core.gateway.load() {
        let of = OfSource { source: source.to_owned() };
        running.get_or_create(&of).set(i64::try_from(runs).unwrap_or(i64::MAX));
        waiting.get_or_create(&of).set(i64::try_from(waits).unwrap_or(i64::MAX));
    }
    registry.register("slots_in_use", "Call slots of a source in use", running);
    registry.register("slots_waited_for", "Calls that wait for a slot of a source", waiting);
    registry.register(
        "audit_backlog",
        "Records that wait to be written to the audit store",
        gauge(api.core.gateway.audit_backlog()),
    );
    let bodies = api.bodies.number();
    registry.register_with_unit("http_bodies_held", "Bodies of requests in memory", Unit::Bytes, gauge(bodies * 1_024));
    registry
}
