//! Replies as HTTP responses: the status of each error code, and the shape of the query API.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Map, Value};

use crate::error::{Code, ToolError};
use crate::reply::Reply;

/// The HTTP status of an error.
fn status(code: Code) -> StatusCode {
    match code {
        Code::InvalidArgument | Code::AmbiguousTable | Code::UserRequired => StatusCode::BAD_REQUEST,
        Code::Unauthorized => StatusCode::UNAUTHORIZED,
        Code::Forbidden => StatusCode::FORBIDDEN,
        Code::UnknownSource | Code::UnknownTable => StatusCode::NOT_FOUND,
        Code::SyntaxError
        | Code::MultipleStatements
        | Code::WriteRefused
        | Code::StatementRefused
        | Code::FunctionRefused
        | Code::RelationRefused
        | Code::ColumnDenied
        | Code::ColumnMasked
        | Code::TooLong
        | Code::TooDeep
        | Code::SqlError
        | Code::ModelBlocked => StatusCode::UNPROCESSABLE_ENTITY,
        Code::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Code::Timeout | Code::Deadline => StatusCode::GATEWAY_TIMEOUT,
        Code::Busy
        | Code::Cancelled
        | Code::Unreachable
        | Code::AuthFailed
        | Code::TlsFailed
        | Code::DatabaseMissing
        | Code::TooManyConnections
        | Code::UnsafeRole
        | Code::AuditUnavailable
        | Code::ModelThrottled
        | Code::ModelUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::ModelCredentials | Code::ModelAccess | Code::ModelId | Code::ModelReply => StatusCode::BAD_GATEWAY,
        Code::ConfigError | Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The status of a reply: 200, or the status of its error.
fn status_of(reply: &Reply) -> StatusCode {
    match reply.is_error {
        false => StatusCode::OK,
        true => reply.error_code().map_or(StatusCode::INTERNAL_SERVER_ERROR, status),
    }
}

/// A response with a JSON body.
pub fn json(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The response of an error outside of a tool call.
pub fn error(error: &ToolError) -> Response {
    of_code(status(error.code), Some(error.code), error.to_json())
}

/// The response of a tool call, with this body.
pub fn of(reply: &Reply, body: String) -> Response {
    of_code(status_of(reply), reply.error_code(), body)
}

/// Builds the response. For two codes it has the header Retry-After: 1 second if the server is busy, and 60 seconds if
/// a limit of questions or tokens is reached.
fn of_code(status: StatusCode, code: Option<Code>, body: String) -> Response {
    let mut response = json(status, body);
    let wait: u64 = match code {
        Some(Code::Busy) => 1,
        Some(Code::RateLimited) => 60,
        _ => return response,
    };
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait));
    response
}

/// Turns the reply of `ask_database` into the reply of the query API: `sql` becomes `query`, and `rows` becomes
/// `results`, a list of objects. A reply with an error also gets a `suggestion`: the hint of the error, or else its
/// message. With `as_columns`, `columns` and `rows` stay as they are. Otherwise `columns` is left out.
pub fn query(reply: &Reply, as_columns: bool) -> String {
    let Ok(Value::Object(fields)) = serde_json::from_str(&reply.json) else { return reply.json.clone() };
    let mut told = Map::with_capacity(fields.len());
    let names = names(fields.get("columns"));
    for (name, value) in fields {
        match (name.as_str(), value) {
            ("sql", value) => drop(told.insert("query".into(), value)),
            // The tools have other names here.
            ("next", _) => drop(told.insert("next".into(), "Send one statement to POST /api/sql.".into())),
            ("columns", _) if !as_columns => {}
            ("rows", Value::Array(rows)) if !as_columns => {
                drop(told.insert("results".into(), rows.into_iter().map(|row| object(&names, row)).collect()));
            }
            ("error", error) => {
                let hint = error.get("hint").or(error.get("message")).cloned();
                told.insert("error".into(), error);
                told.extend(hint.map(|hint| ("suggestion".to_owned(), hint)));
            }
            (_, value) => drop(told.insert(name, value)),
        }
    }
    // The reply to a call that failed early, for example because of a wrong argument, has no `status`.
    if !told.contains_key("status") {
        told.shift_insert(0, "status".into(), "error".into());
    }
    Value::Object(told).to_string()
}

/// The names of the columns, made unique: a repeated name gets a number.
fn names(columns: Option<&Value>) -> Vec<String> {
    let columns = columns.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut names: Vec<String> = Vec::with_capacity(columns.len());
    for column in columns {
        let name = column.get("name").and_then(Value::as_str).unwrap_or_default();
        let mut unique = name.to_owned();
        let mut number = 2;
        while names.contains(&unique) {
            unique = format!("{name}_{number}");
            number += 1;
        }
        names.push(unique);
    }
    names
}

fn object(names: &[String], row: Value) -> Value {
    let Value::Array(cells) = row else { return row };
    Value::Object(names.iter().cloned().zip(cells).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(reply: &Value, as_columns: bool) -> Value {
        let reply = Reply { json: reply.to_string(), is_error: false, asks_back: None, image: None };
        serde_json::from_str(&query(&reply, as_columns)).unwrap()
    }

    #[test]
    fn rows_become_objects_and_no_column_is_lost() {
        let success = json!({"status": "success", "sql": "SELECT 1", "row_count": 1,
            "columns": [{"name": "id"}, {"name": "id"}, {"name": "id_2"}, {"name": ""}], "rows": [[1, 2, "x", null]]});
        assert_eq!(
            of(&success, false),
            json!({"status": "success", "query": "SELECT 1", "row_count": 1,
                "results": [{"id": 1, "id_2": 2, "id_2_2": "x", "": null}]})
        );
        assert_eq!(of(&success, true)["rows"], json!([[1, 2, "x", null]]));
    }

    #[test]
    fn a_refusal_has_a_suggestion() {
        let blocked = json!({"status": "blocked", "sql": "DROP TABLE t",
            "error": {"code": "write_refused", "message": "refused", "hint": "Read."}});
        assert_eq!(
            of(&blocked, false),
            json!({"status": "blocked", "query": "DROP TABLE t", "suggestion": "Read.",
                "error": {"code": "write_refused", "message": "refused", "hint": "Read."}})
        );
        assert_eq!(of(&json!({"error": {"code": "busy", "message": "wait"}}), false)["status"], "error");
    }
}
