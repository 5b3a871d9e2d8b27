//! One path for each tool. Each handler builds the arguments of its tool and calls the tool, as the MCP server does.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde_json::{Map, Value};

use super::{Api, door, reply};
use crate::audit::keep_trace;
use crate::database::value::cut;
use crate::error::{Code, ToolError};
use crate::gateway::{Caller, Grant};
use crate::reply::Reply;
use crate::server::caught;
use crate::tools::{self, ToolName};

type Arguments = Map<String, Value>;

/// `POST /api/query`: `ask_database` in the shape of the query API. With `?shape=columns`, rows stay lists of cells.
pub(super) async fn query(
    State(api): State<Arc<Api>>,
    grant: Option<Extension<Arc<Grant>>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let as_columns = match parameters(query.as_deref()).as_slice() {
        [] => false,
        [(name, shape)] if name == "shape" && shape == "columns" => true,
        [(name, shape)] if name == "shape" && shape == "objects" => false,
        _ => return reply::error(&ToolError::invalid("the only parameter is shape: objects or columns")),
    };
    let arguments = match object(&headers, &body) {
        Ok(arguments) => arguments,
        Err(response) => return *response,
    };
    let reply = call(&api, grant, &headers, ToolName::AskDatabase, arguments).await;
    reply::of(&reply, reply::query(&reply, as_columns))
}

/// `POST /api/sql`: `run_sql`.
pub(super) async fn sql(
    State(api): State<Arc<Api>>,
    grant: Option<Extension<Arc<Grant>>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    posted(&api, grant, &headers, ToolName::RunSql, &body).await
}

/// `POST /api/explain`: `explain_query`.
pub(super) async fn explain(
    State(api): State<Arc<Api>>,
    grant: Option<Extension<Arc<Grant>>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    posted(&api, grant, &headers, ToolName::ExplainQuery, &body).await
}

/// `GET /api/tables`: `list_tables`. Its arguments are the parameters of the address.
pub(super) async fn tables(
    State(api): State<Arc<Api>>,
    grant: Option<Extension<Arc<Grant>>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let arguments = match arguments(query.as_deref()) {
        Ok(arguments) => arguments,
        Err(error) => return reply::error(&error),
    };
    plain(&call(&api, grant, &headers, ToolName::ListTables, arguments).await)
}

/// `GET /api/tables/{name}`: `describe_table`.
pub(super) async fn table(
    State(api): State<Arc<Api>>,
    grant: Option<Extension<Arc<Grant>>>,
    name: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let Ok(Path(name)) = name else { return reply::error(&ToolError::invalid("the name in the path is not UTF-8")) };
    let mut arguments = match arguments(query.as_deref()) {
        Ok(arguments) => arguments,
        Err(error) => return reply::error(&error),
    };
    if arguments.insert("table".into(), name.into()).is_some() {
        return reply::error(&ToolError::invalid("the table is given in the path; leave out the parameter table"));
    }
    plain(&call(&api, grant, &headers, ToolName::DescribeTable, arguments).await)
}

/// The reply to a path that does not exist.
pub(super) async fn nowhere() -> Response {
    let error = ToolError::invalid("there is nothing at this path").hint("See /openapi.json for all paths.");
    door::closing(reply::json(StatusCode::NOT_FOUND, error.to_json()))
}

/// The reply to a method that a path does not have.
pub(super) async fn wrong_method() -> Response {
    let error = ToolError::invalid("this path has no such method").hint("See /openapi.json for the methods.");
    door::closing(reply::json(StatusCode::METHOD_NOT_ALLOWED, error.to_json()))
}

async fn posted(
    api: &Arc<Api>,
    grant: Option<Extension<Arc<Grant>>>,
    headers: &HeaderMap,
    tool: ToolName,
    body: &Bytes,
) -> Response {
    match object(headers, body) {
        Ok(arguments) => plain(&call(api, grant, headers, tool, arguments).await),
        Err(response) => *response,
    }
}

fn plain(reply: &Reply) -> Response {
    reply::of(reply, reply.json.clone())
}

/// Calls a tool in a task of its own. If the client goes away, the handler is dropped, and the statement is cancelled. The
/// task still writes the outcome.
async fn call(
    api: &Arc<Api>,
    grant: Option<Extension<Arc<Grant>>>,
    headers: &HeaderMap,
    tool: ToolName,
    arguments: Arguments,
) -> Reply {
    let grant = grant.map(|Extension(grant)| grant);
    let holder = grant.as_ref().map(|grant| grant.key.as_str());
    let Some(place) = api.calls.take(holder, 1) else { return ToolError::crowded().into() };
    let header = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let most = api.limits.max_client_bytes;
    let agent = header(header::USER_AGENT).map(|agent| cut(agent, most).to_owned());
    let caller = Caller {
        client: grant.as_ref().map(|grant| grant.key.clone()).or(agent),
        traceparent: header(header::HeaderName::from_static("traceparent")).and_then(keep_trace),
        cancel: api.end.child_token(),
        grant,
        ..Caller::default()
    };
    let _cancelled_when_dropped = caller.cancel.clone().drop_guard();
    let core = Arc::clone(&api.core);
    let called = tokio::spawn(async move {
        let _place = place;
        caught(tool.as_str(), async {
            let reply = tools::call(&core, tool.as_str(), arguments, &caller).await;
            let warning = caller.outcomes.written().await;
            reply.map(|reply| reply.with_warning(warning))
        })
        .await
        .flatten()
    });
    called.await.ok().flatten().unwrap_or_else(|| ToolError::internal().into())
}

/// The arguments in a body.
fn object(headers: &HeaderMap, body: &Bytes) -> Result<Arguments, Box<Response>> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_json = kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
    if !is_json {
        let error = ToolError::new(Code::InvalidArgument, "the body must be JSON")
            .hint("Send the header Content-Type: application/json.");
        return Err(Box::new(reply::json(StatusCode::UNSUPPORTED_MEDIA_TYPE, error.to_json())));
    }
    serde_json::from_slice(body).map_err(|error| {
        // The parser's message may quote the body. Only the client that sent the body gets it.
        Box::new(reply::error(&ToolError::invalid(format!("the body is no JSON object: {error}"))))
    })
}

/// The parameters of an address.
fn parameters(query: Option<&str>) -> Vec<(String, String)> {
    let pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

/// The parameters of an address as arguments.
fn arguments(query: Option<&str>) -> Result<Arguments, ToolError> {
    let mut arguments = Arguments::new();
    for (name, value) in parameters(query) {
        if arguments.insert(name.clone(), value.into()).is_some() {
            return Err(ToolError::invalid(format!("the parameter {:?} is given twice", cut(&name, 100))));
        }
    }
    Ok(arguments)
}
