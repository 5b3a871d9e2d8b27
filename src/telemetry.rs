//! OpenTelemetry, behind the cargo feature `otel`. Each audit record is sent as a span, and its duration is added to a
//! histogram. Both are sent by OTLP over HTTP. The endpoint is in the standard variables of OpenTelemetry, such as
//! `OTEL_EXPORTER_OTLP_ENDPOINT`. No statements, values or questions are sent. Without the feature, the binary contains
//! none of this.

use std::time::SystemTime;

use crate::audit::record::{EntryStart, Finished};

/// The data of a record that its span needs at the end.
#[derive(Clone, Debug)]
pub struct Begun {
    #[cfg(feature = "otel")]
    inner: Option<exporting::Begun>,
}

/// Notes the start of a record.
pub fn begin(id: &str, start: &EntryStart) -> Begun {
    #[cfg(feature = "otel")]
    return Begun { inner: exporting::begin(id, start, SystemTime::now()) };
    #[cfg(not(feature = "otel"))]
    {
        let _ = (id, start, SystemTime::now);
        Begun {}
    }
}

/// Ends and exports the span of a record.
pub fn end(begun: &Begun, finished: &Finished) {
    #[cfg(feature = "otel")]
    if let Some(begun) = &begun.inner {
        exporting::end(begun, finished);
    }
    #[cfg(not(feature = "otel"))]
    let _ = (begun, finished);
}

/// Starts exporting if the environment names an endpoint. Must be called inside the runtime.
pub fn start(env: &crate::config::Environment) {
    #[cfg(feature = "otel")]
    exporting::start(env);
    #[cfg(not(feature = "otel"))]
    if env.keys().any(|name| name.starts_with("OTEL_EXPORTER_OTLP")) {
        tracing::info!("this binary was built without the feature otel: no traces are sent");
    }
}

/// Exports what is left. Must not be called on a thread of the runtime.
pub fn stop() {
    #[cfg(feature = "otel")]
    exporting::stop();
}

#[cfg(feature = "otel")]
mod exporting {
    use std::cell::Cell;
    use std::collections::HashMap;
    use std::sync::OnceLock;
    use std::time::{Duration, SystemTime};

    use http::{Request, Response};
    use http_body_util::{BodyExt, Full, Limited};
    use hyper::body::Bytes;
    use opentelemetry::metrics::{Histogram, MeterProvider as _};
    use opentelemetry::propagation::TextMapPropagator;
    use opentelemetry::trace::{
        Span, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer as _,
        TracerProvider as _,
    };
    use opentelemetry::{Context, KeyValue};
    use opentelemetry_http::{HttpClient, HttpError};
    use opentelemetry_otlp::{MetricExporter, Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
    use opentelemetry_sdk::Resource;
    use opentelemetry_sdk::metrics::SdkMeterProvider;
    use opentelemetry_sdk::propagation::TraceContextPropagator;
    use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, SdkTracer, SdkTracerProvider};

    use crate::audit::record::{EntryStart, Finished, OutcomeKind};
    use crate::config::Environment;
    use crate::http::Http;

    /// Maximum bytes of a collector's response.
    const MAX_ANSWER_BYTES: usize = 1 << 20;
    /// Time limit for one request to a collector.
    const POST: Duration = Duration::from_secs(5);
    /// Time limit for exporting the last spans, and the same again for the last metrics.
    const LAST: Duration = Duration::from_secs(1);

    static EXPORTING: OnceLock<Exporting> = OnceLock::new();

    struct Exporting {
        traces: SdkTracerProvider,
        metrics: SdkMeterProvider,
        tracer: SdkTracer,
        duration: Histogram<f64>,
    }

    #[derive(Clone, Debug)]
    pub(super) struct Begun {
        id: uuid::Uuid,
        question: Option<uuid::Uuid>,
        traceparent: Option<String>,
        at: SystemTime,
        tool: std::borrow::Cow<'static, str>,
        source: Option<String>,
        system: Option<&'static str>,
    }

    pub(super) fn begin(id: &str, start: &EntryStart, at: SystemTime) -> Option<Begun> {
        EXPORTING.get()?;
        Some(Begun {
            id: id.parse().ok()?,
            question: start.question_id.as_ref().and_then(|id| id.parse().ok()),
            traceparent: start.traceparent.clone(),
            at,
            tool: start.tool.clone(),
            source: start.source.clone(),
            system: start.system,
        })
    }

    pub(super) fn end(begun: &Begun, finished: &Finished) {
        let Some(exporting) = EXPORTING.get() else { return };
        let is_call = begun.question.is_none();
        let mut attributes = vec![KeyValue::new("tudb.record.id", begun.id.to_string())];
        let mut measured = vec![KeyValue::new("gen_ai.tool.name", begun.tool.to_string())];
        if is_call {
            measured.push(KeyValue::new("mcp.method.name", "tools/call"));
        }
        if let Some(system) = begun.system {
            measured.push(KeyValue::new("db.system.name", system));
        }
        if let Some(code) = finished.code {
            measured.push(KeyValue::new("error.type", code.as_str()));
        }
        attributes.extend(measured.clone());
        let texts = [
            ("db.namespace", begun.source.clone()),
            ("db.response.status_code", finished.sqlstate.clone()),
            ("gen_ai.request.model", finished.model.clone()),
        ];
        attributes.extend(texts.into_iter().filter_map(|(name, text)| Some(KeyValue::new(name, text?))));
        let numbers = [
            ("db.response.returned_rows", finished.row_count),
            ("gen_ai.usage.input_tokens", finished.input_tokens),
            ("gen_ai.usage.output_tokens", finished.output_tokens),
        ];
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        attributes.extend(numbers.into_iter().filter_map(|(name, value)| Some(KeyValue::new(name, number(value?)))));
        let name = if is_call { format!("tools/call {}", begun.tool) } else { begun.tool.to_string() };
        let builder = exporting
            .tracer
            .span_builder(name)
            .with_kind(if is_call { SpanKind::Server } else { SpanKind::Client })
            .with_start_time(begun.at)
            .with_attributes(attributes);
        NEXT.set(Some((TraceId::from_bytes(*begun.id.as_bytes()), span_id(begun.id))));
        let mut span = builder.start_with_context(&exporting.tracer, &parent(begun));
        if finished.outcome != OutcomeKind::Ok {
            span.set_status(Status::error(finished.code.map_or("", |code| code.as_str())));
        }
        let took = Duration::from_millis(finished.elapsed_ms);
        span.end_with_timestamp(begun.at + took);
        exporting.duration.record(took.as_secs_f64(), &measured);
    }

    /// The parent span. The parent of a statement's span is the span of its question. Any other span has the caller's
    /// span as its parent. The span id of a record is computed from the record's id, so span ids need not be stored.
    fn parent(begun: &Begun) -> Context {
        let headers: HashMap<String, String> =
            begun.traceparent.iter().map(|value| ("traceparent".to_owned(), value.clone())).collect();
        let caller = TraceContextPropagator::new().extract_with_context(&Context::new(), &headers);
        let Some(question) = begun.question else { return caller };
        let trace = caller.span().span_context().trace_id();
        let trace = if trace == TraceId::INVALID { TraceId::from_bytes(*question.as_bytes()) } else { trace };
        Context::new().with_remote_span_context(SpanContext::new(
            trace,
            span_id(question),
            TraceFlags::SAMPLED,
            true,
            TraceState::NONE,
        ))
    }

    /// The random half of a record's id.
    fn span_id(id: uuid::Uuid) -> SpanId {
        let (_, random) = id.as_u64_pair();
        SpanId::from_bytes(random.to_be_bytes())
    }

    thread_local! {
        /// The ids of the span that this thread is about to start.
        static NEXT: Cell<Option<(TraceId, SpanId)>> = const { Cell::new(None) };
    }

    #[derive(Debug, Default)]
    struct RecordIds(RandomIdGenerator);

    impl IdGenerator for RecordIds {
        fn new_trace_id(&self) -> TraceId {
            NEXT.get().map_or_else(|| self.0.new_trace_id(), |(trace, _)| trace)
        }

        fn new_span_id(&self) -> SpanId {
            NEXT.get().map_or_else(|| self.0.new_span_id(), |(_, span)| span)
        }
    }

    pub(super) fn start(env: &Environment) {
        let named = |name: &str| env.get(name).is_some_and(|value| !value.is_empty());
        if !["", "_TRACES", "_METRICS"].iter().any(|part| named(&format!("OTEL_EXPORTER_OTLP{part}_ENDPOINT"))) {
            return;
        }
        match exporting(env) {
            Ok(exporting) => drop(EXPORTING.set(exporting)),
            Err(error) => tracing::warn!(error, "no traces are sent"),
        }
    }

    fn exporting(env: &Environment) -> Result<Exporting, String> {
        let tls = env.iter().any(|(name, value)| name.starts_with("OTEL_EXPORTER_OTLP") && value.starts_with("https:"));
        let poster = Poster { http: crate::http::client(tls)?, runtime: tokio::runtime::Handle::current() };
        let words = |error: opentelemetry_otlp::ExporterBuildError| error.to_string();
        let spans = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary);
        let spans = spans.with_http_client(poster.clone()).build().map_err(words)?;
        let metrics = MetricExporter::builder().with_http().with_protocol(Protocol::HttpBinary);
        let metrics = metrics.with_http_client(poster).build().map_err(words)?;
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = Resource::builder().with_service_name("tudb").with_attribute(version).build();
        let traces = SdkTracerProvider::builder()
            .with_id_generator(RecordIds::default())
            .with_resource(resource.clone())
            .with_batch_exporter(spans)
            .build();
        let metrics = SdkMeterProvider::builder().with_resource(resource).with_periodic_exporter(metrics).build();
        let duration = metrics.meter("tudb").f64_histogram("mcp.server.operation.duration").with_unit("s").build();
        Ok(Exporting { tracer: traces.tracer("tudb"), traces, metrics, duration })
    }

    pub(super) fn stop() {
        if let Some(exporting) = EXPORTING.get() {
            for result in [exporting.traces.shutdown_with_timeout(LAST), exporting.metrics.shutdown_with_timeout(LAST)]
            {
                if let Err(error) = result {
                    tracing::info!(%error, "the last traces or metrics were not sent");
                }
            }
        }
    }

    /// Sends requests from the exporter's threads through the runtime's HTTP client.
    #[derive(Clone, Debug)]
    struct Poster {
        http: Http,
        runtime: tokio::runtime::Handle,
    }

    #[async_trait::async_trait]
    impl HttpClient for Poster {
        async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
            let http = self.http.clone();
            // The exporter's threads are outside of the runtime. The request needs the runtime's timer, so it is spawned
            // there.
            let sent = self.runtime.spawn(async move {
                let posted = async {
                    let response = http.request(request.map(Full::new)).await?;
                    let (head, body) = response.into_parts();
                    let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await?.to_bytes();
                    Ok::<_, HttpError>(Response::from_parts(head, body))
                };
                tokio::time::timeout(POST, posted).await?
            });
            sent.await?
        }
    }
}
