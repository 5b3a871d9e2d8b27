//! The checks that a request passes before its handler: host and origin, API key, rate, and the body.
//!
//! A web page of any site can make the browser send requests to a server on the same machine. The headers Host, Origin
//! and Sec-Fetch-Site reveal such a request. After DNS rebinding, Host contains the name of the page's own site. Any
//! other page sends its Origin. For an image or a link it sends no Origin, but Sec-Fetch-Site.
//!
//! After these checks the whole body is read within limits, before the handler starts. So a client that sends its body
//! slowly takes no call slot and no database connection.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt as _;
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::keys::{Key, admitted};
use super::oauth::Fault;
use super::{Api, reply};
use crate::error::{Code, ToolError};
use crate::gateway::Grant;
use crate::places::TakenPlaces;
use crate::transport::values_of;

/// How long a browser may cache the reply to a preflight request (`Access-Control-Max-Age`).
const PREFLIGHT_AGE: Duration = Duration::from_secs(600);

/// The host names that requests may be sent to: the names of this machine, the address that the
/// server listens on, and the configured names.
pub(super) fn hosts(configured: &[String], address: IpAddr) -> Vec<String> {
    let mut hosts: Vec<String> = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned).to_vec();
    if !address.is_unspecified() {
        hosts.push(match address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        });
    }
    hosts.extend(configured.iter().map(|host| host.to_ascii_lowercase()));
    hosts
}

/// Adds the CORS headers for the configured origins. Cookies are not allowed, because keys are sent in headers.
pub(super) fn cors(origins: &[String]) -> CorsLayer {
    let origins = origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
    let headers = [
        "authorization",
        "content-type",
        "last-event-id",
        "mcp-method",
        "mcp-name",
        "mcp-protocol-version",
        "mcp-session-id",
        "traceparent",
        "x-api-key",
    ];
    let headers = headers.into_iter().filter_map(|name| name.parse().ok()).collect::<Vec<header::HeaderName>>();
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers(headers)
        .expose_headers([
            header::HeaderName::from_static("mcp-session-id"),
            header::RETRY_AFTER,
            header::WWW_AUTHENTICATE,
        ])
        .max_age(PREFLIGHT_AGE)
}

/// Refuses a request to a foreign host name, or from a web page of a foreign origin.
pub(super) async fn with_host(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    // Orchestrators call this path at an address that is not in `allowed_hosts`. The reply contains no data.
    if request.uri().path() != "/health/live"
        && let Err(error) = check_host(&api, request.uri(), request.headers())
    {
        return closing(reply::error(&error));
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // This header stops pages of other origins from loading a reply as an image or a script. If origins are configured,
    // the header is left out.
    if api.core.gateway.config().http.allowed_origins.is_empty() {
        let policy = header::HeaderName::from_static("cross-origin-resource-policy");
        headers.insert(policy, HeaderValue::from_static("same-origin"));
    }
    response
}

/// Refuses two kinds of requests: those that a web page of another origin sends without the header Origin (an image, a
/// link), and those that a proxy forwards to a server without keys. Behind a proxy, remote callers look like local ones.
fn check_sender(api: &Api, headers: &HeaderMap) -> Result<(), ToolError> {
    let config = &api.core.gateway.config().http;
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    if matches!(site, Some(b"cross-site" | b"same-site")) && !headers.contains_key(header::ORIGIN) {
        return Err(ToolError::new(Code::Forbidden, "a web page of another site sent the request")
            .hint("Call from a program, or from a page whose origin is in http.allowed_origins."));
    }
    let is_forwarded = [
        "forwarded",
        "via",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-proto",
        "x-forwarded-server",
        "x-original-host",
        "x-real-ip",
        "cf-connecting-ip",
        "true-client-ip",
    ];
    if !config.needs_key() && is_forwarded.iter().any(|name| headers.contains_key(*name)) {
        return Err(ToolError::new(
            Code::Forbidden,
            "the request came through a proxy, and the server has no API keys",
        )
        .hint("Set http.keys_file: behind a proxy everybody seems to be on this machine."));
    }
    Ok(())
}

fn check_host(api: &Api, uri: &Uri, headers: &HeaderMap) -> Result<(), ToolError> {
    let foreign = |what: &str, setting: &str| {
        ToolError::new(Code::Forbidden, format!("{what} of the request is not allowed"))
            .hint(format!("Add it to {setting} in the table [http] of the configuration file."))
    };
    let mut named = headers.get_all(header::HOST).iter();
    let host = match (named.next().map(HeaderValue::to_str), named.next()) {
        (Some(Ok(host)), None) => host.to_ascii_lowercase(),
        _ => return Err(ToolError::invalid("the request must have exactly one header Host")),
    };
    // A request line with an absolute URL contains the host too.
    if uri.authority().is_some_and(|authority| !authority.as_str().eq_ignore_ascii_case(&host)) {
        return Err(ToolError::invalid("the request line and the header Host differ"));
    }
    let bare = without_port(&host);
    if !api.hosts.iter().any(|allowed| *allowed == host || allowed == bare) {
        return Err(foreign("the host name", "allowed_hosts"));
    }
    for origin in headers.get_all(header::ORIGIN) {
        let allowed = &api.core.gateway.config().http.allowed_origins;
        let is_allowed = origin.to_str().is_ok_and(|origin| {
            let own = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
            own.is_some_and(|own| own.eq_ignore_ascii_case(&host)) || allowed.iter().any(|allowed| allowed == origin)
        });
        if !is_allowed {
            return Err(foreign("the origin", "allowed_origins"));
        }
    }
    Ok(())
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((bare, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !bare.ends_with(':') => bare,
        _ => host,
    }
}

/// Refuses a request without a valid key or token, and a request over the rate of its key or of the server. Then reads
/// the body.
pub(super) async fn with_key(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    if let Err(error) = check_sender(&api, request.headers()) {
        return closing(reply::error(&error));
    }
    match known(&api, request.headers()).await {
        Ok(Some((grant, key))) => {
            if let Err(wait) = key.as_ref().map_or(Ok(()), |key| key.admit()) {
                return closing(too_many(wait, &format!("the key {} has sent too many requests", grant.key)));
            }
            request.extensions_mut().insert(grant);
        }
        Ok(None) => {}
        Err(fault) => {
            api.metrics.wrong_key();
            return closing(unauthorized(&api, fault));
        }
    }
    if let Err(wait) = api.limiter.as_ref().map_or(Ok(()), admitted) {
        return closing(too_many(wait, "the server has received too many requests"));
    }
    let (mut parts, body) = request.into_parts();
    let holder = parts.extensions.get::<Arc<Grant>>().map(|grant| grant.key.clone());
    let (body, held) = match read(&api, holder.as_deref(), body).await {
        Ok(body) => body,
        Err(response) => return closing(*response),
    };
    parts.extensions.insert(Whole(body.clone()));
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    match held {
        Some(held) => response.map(|body| held_with(body, held)),
        None => response,
    }
}

/// A copy of a request's whole body, for checks before the handler reads the body.
#[derive(Clone)]
pub(super) struct Whole(pub(super) Bytes);

/// A body that keeps a value until the body is sent or the client has left.
pub(super) fn held_with<T: Send + Unpin + 'static>(body: Body, held: T) -> Body {
    Body::new(Holding { body, _held: held })
}

struct Holding<T> {
    body: Body,
    _held: T,
}

impl<T: Unpin> hyper::body::Body for Holding<T> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.size_hint()
    }
}

/// The key of a request: `X-API-Key`, or `Authorization: Bearer`. `None` if the request has no key, two different
/// keys, or a header twice.
fn presented(headers: &HeaderMap) -> Option<&str> {
    let one = |name: &str| {
        let mut values = headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => value.to_str().map(Some).map_err(drop),
            (Some(_), Some(_)) => Err(()),
        }
    };
    match (one("x-api-key").ok()?, one("authorization").ok()?) {
        (Some(key), None) => Some(key),
        (None, Some(value)) => {
            let (scheme, key) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(key.trim_start())
        }
        // If both headers have the same key, the key is accepted.
        (Some(key), Some(value)) => value.split_once(' ').map(|(_, same)| same).filter(|same| *same == key),
        (None, None) => None,
    }
}

/// Who sends a request: the grant of its API key, or of its token. `None` if the server needs neither.
///
/// # Errors
///
/// The request has no key or token that is accepted. The inner fault says what is wrong with a token.
pub(super) async fn known(
    api: &Api,
    headers: &HeaderMap,
) -> Result<Option<(Arc<Grant>, Option<Arc<Key>>)>, Option<Fault>> {
    if api.keys.is_none() && api.issuer.is_none() {
        return Ok(None);
    }
    let presented = presented(headers).ok_or(None)?;
    if let Some(key) = api.keys.as_ref().and_then(|keys| keys.find(presented)) {
        return Ok(Some((Arc::clone(&key.grant), Some(key))));
    }
    let issuer = api.issuer.as_ref().ok_or(None)?;
    let grant = issuer.grant(presented).await.map_err(Some)?;
    Ok(Some((Arc::new(grant), None)))
}

fn unauthorized(api: &Api, fault: Option<Fault>) -> Response {
    let error = match (fault, &api.issuer) {
        (Some(Fault::Scope), _) => ToolError::new(Code::Forbidden, "the token lacks the scope that this server needs"),
        (_, Some(_)) => ToolError::new(Code::Unauthorized, "this server needs a valid API key or access token")
            .hint("Send it as Authorization: Bearer. WWW-Authenticate says where tokens come from."),
        (_, None) => ToolError::new(Code::Unauthorized, "this server needs a valid API key")
            .hint("Send it as X-API-Key, or as Authorization: Bearer."),
    };
    let mut response = reply::error(&error);
    let challenge =
        api.issuer.as_ref().map_or_else(|| "Bearer realm=\"tudb\"".to_owned(), |issuer| issuer.challenge(fault));
    if let Ok(challenge) = HeaderValue::from_str(&challenge) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

/// Announces that the connection ends with this reply. If the body of a request was not read, its bytes would be taken for
/// the next request, so hyper closes the connection. Without this header, a client or proxy may send its
/// next request on the closed connection.
pub(super) fn closing(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

fn too_many(wait: Duration, message: &str) -> Response {
    // Rounded up, so that the client does not try again too early.
    let seconds = wait.as_secs() + 1;
    let error = ToolError::new(Code::RateLimited, message).hint(format!("Try again in {seconds} s."));
    let mut response = reply::error(&error);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

type Held = Option<TakenPlaces>;

/// Reads a body within the limits on its size, its time and its number of JSON values. Also returns the places of
/// the body in [`Api`]'s `bodies`, or `None` for an empty body. `holder` is the name of the key.
async fn read(api: &Api, holder: Option<&str>, body: Body) -> Result<(Bytes, Held), Box<Response>> {
    let limits = &api.limits;
    let told = |status: StatusCode, code: Code, message: String| {
        let error = ToolError::new(code, message);
        Box::new(reply::json(status, error.to_json()))
    };
    let mut held: Held = None;
    let mut whole = Vec::new();
    let mut body = body;
    let reading = async {
        while let Some(frame) = body.frame().await {
            let frame = frame
                .map_err(|_| told(StatusCode::BAD_REQUEST, Code::InvalidArgument, "the body cannot be read".into()))?;
            let Ok(data) = frame.into_data() else { continue };
            if whole.len() + data.len() > limits.http_max_body_bytes {
                let message = format!("the body has more than {} bytes", limits.http_max_body_bytes);
                return Err(told(StatusCode::PAYLOAD_TOO_LARGE, Code::TooLong, message));
            }
            whole.extend_from_slice(&data);
            // One place for each KiB of the whole body, however many frames it has.
            let kib = whole.len().div_ceil(1_024);
            let has_place = match &mut held {
                Some(held) => held.grow(kib.saturating_sub(held.number())),
                None => {
                    held = api.bodies.take(holder, kib);
                    held.is_some()
                }
            };
            if !has_place {
                let message = "too many requests are being received".into();
                return Err(told(StatusCode::SERVICE_UNAVAILABLE, Code::Busy, message));
            }
        }
        Ok(())
    };
    match tokio::time::timeout(Duration::from_millis(limits.http_body_timeout_ms), reading).await {
        Ok(done) => done?,
        Err(_) => {
            let message = format!("the body did not arrive within {} ms", limits.http_body_timeout_ms);
            return Err(told(StatusCode::REQUEST_TIMEOUT, Code::Timeout, message));
        }
    }
    if values_of(&whole) > limits.max_line_values {
        let message = format!("the body has more than {} JSON arrays, objects and commas", limits.max_line_values);
        return Err(told(StatusCode::PAYLOAD_TOO_LARGE, Code::TooLong, message));
    }
    Ok((whole.into(), held))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_is_taken_and_two_are_refused() {
        let of = |pairs: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(*name, value.parse().unwrap());
            }
            presented(&headers).map(str::to_owned)
        };
        for taken in [
            &[("x-api-key", "k")][..],
            &[("authorization", "Bearer k")],
            &[("authorization", "bearer k")],
            &[("x-api-key", "k"), ("authorization", "Bearer k")],
        ] {
            assert_eq!(of(taken).as_deref(), Some("k"), "{taken:?}");
        }
        for refused in [
            &[][..],
            &[("authorization", "Basic k")],
            &[("authorization", "k")],
            &[("x-api-key", "k"), ("x-api-key", "j")],
            &[("x-api-key", "k"), ("authorization", "Bearer j")],
        ] {
            assert_eq!(of(refused), None, "{refused:?}");
        }
    }

    #[test]
    fn a_port_is_no_part_of_a_host_name() {
        for (host, bare) in [
            ("a.b:80", "a.b"),
            ("a.b", "a.b"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("a:b", "a:b"),
            ("::1", "::1"),
        ] {
            assert_eq!(without_port(host), bare);
        }
    }
}
