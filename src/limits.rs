//! Limits of TUDB. Further limits are constants of single modules. Most names end with their unit.
//!
//! The documentation promises the defaults. `config` replaces the values that a user may set.

use std::time::Duration;

/// A statement of more UTF-8 bytes is large: its syntax tree takes megabytes, and its check takes milliseconds. Only a
/// few large statements are checked at once. They are not remembered.
pub const LARGE_SQL_BYTES: usize = 4_096;

/// The limits of the process. Each source has a copy, in which its own settings are applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum rows of a reply if the call has no `max_rows`.
    pub max_rows: u64,
    /// Maximum of `max_rows` in a call.
    pub max_rows_ceiling: u64,
    /// UTF-8 bytes of the JSON in one block of a reply.
    pub max_reply_bytes: usize,
    /// Bytes of one cell's text. A longer text is cut at a character boundary.
    pub max_cell_bytes: usize,
    /// Bytes of one message from a PostgreSQL server (a row, a plan, an error), and at least four times
    /// `max_reply_bytes`. A longer message ends the connection.
    pub max_message_bytes: usize,
    /// Bytes of a statement, checked before it is tokenised.
    pub max_sql_bytes: usize,
    /// Tokens of a statement, checked before parsing: a chain of many operators becomes a tree of as many levels.
    pub max_sql_tokens: usize,
    /// Nesting depth that the parser accepts.
    pub max_sql_depth: usize,
    /// Bytes of a text argument, such as a question, a choice, a table's name or a user id.
    pub max_text_bytes: usize,
    /// Time limit of one statement, on the server and in this process.
    pub statement_timeout_ms: u64,
    /// Time limit of one question with all its model calls and statements.
    pub ask_timeout_ms: u64,
    /// Time limit for the user's answer to a clarification, while the call waits.
    pub answer_timeout_ms: u64,
    /// Time limit for getting a connection, from the pool or a new one.
    pub connect_timeout_ms: u64,
    /// The same limit for providers that suspend idle databases.
    pub wake_timeout_ms: u64,
    /// Time limit for the first message on a pooled connection. The network may have failed silently.
    pub opening_timeout_ms: u64,
    /// Time limit for the ROLLBACK after a read, and for one attempt to cancel a statement.
    pub cancel_grace_ms: u64,
    /// An idle connection is pinged before use if it was idle longer than this.
    pub ping_after_idle_ms: u64,
    /// Connections per source, besides the one that cancels statements on PostgreSQL.
    pub max_connections: u32,
    /// Calls that run at the same time, per source.
    pub max_calls: usize,
    /// Calls that may wait for a running call to end, per source. Further calls get `busy`.
    pub max_queued_calls: usize,
    /// Bytes of one JSON-RPC line. A tool checks its own smaller limits and names them in its error.
    pub max_line_bytes: usize,
    /// Arrays, objects and commas in one JSON-RPC line or one HTTP body.
    pub max_line_values: usize,
    /// Bytes of a request's id, and of its progress token.
    pub max_id_bytes: usize,
    /// Memory of requests that wait or run, estimated from their lines. Further requests get `busy`.
    pub max_held_bytes: usize,
    /// Bytes of the client's name, and of its version, in a record.
    pub max_client_bytes: usize,
    /// Bytes of replies that the client has not read. Above this limit, no more input is read.
    pub max_unread_bytes: usize,
    /// Model calls per question.
    pub max_model_calls: u32,
    /// Failed statements that the model may correct, per question.
    pub max_repairs: u32,
    /// Tokens that the model may write in one turn.
    pub max_output_tokens: i32,
    /// Tokens (characters / 3.5) up to which a schema is shown whole in a prompt. A larger schema is ranked and
    /// shortened.
    pub schema_budget_tokens: usize,
    /// Tokens of a ranked schema.
    pub ranked_schema_tokens: usize,
    /// Rows of a result shown to the model.
    pub model_rows: usize,
    /// Bytes of a result shown to the model.
    pub model_result_bytes: usize,
    /// Tables on one page of `list_tables` if the call has no `limit`.
    pub list_page: u64,
    /// Tables that one page of `list_tables` may have.
    pub list_page_ceiling: u64,
    /// Distinct values of a text column that are kept as known values.
    pub sampled_values: usize,
    /// Time after which PostgreSQL's catalog is asked again whether the schema has changed. On SQLite, the maximum age
    /// of a snapshot.
    pub snapshot_ttl_ms: u64,
    /// Maximum age of a snapshot of PostgreSQL. New statistics of the planner do not change the fingerprint.
    pub snapshot_max_age_ms: u64,
    /// Memory of a schema snapshot, per source. Tables that do not fit are left out.
    pub max_snapshot_bytes: usize,
    /// Time limit for reading the schema to explain a database error.
    pub advice_timeout_ms: u64,
    /// Time limit for counting all rows of a statement whose rows beyond `max_rows` were left out. A statement that
    /// took longer itself is not counted.
    pub count_timeout_ms: u64,
    /// Memory that SQLite may use in one process of a source, besides the schema. A statement that needs more is run
    /// again with [`Limits::sqlite_large_heap_bytes`].
    pub sqlite_heap_bytes: usize,
    /// The same for a statement that needs more. The server runs one such statement at a time. The memory is enough for
    /// two copies of a 34 MB cell.
    pub sqlite_large_heap_bytes: usize,
    /// Bytes of one SQLite value, in a table or in a statement.
    pub sqlite_value_bytes: usize,
    /// Time that a SQLite process gets after the deadline of its statement. Then it is killed.
    pub sqlite_grace_ms: u64,
    /// Time after the deadline of a statement when a SQLite process ends itself, if the server has not killed it.
    pub sqlite_overrun_ms: u64,
    /// Statement shapes that are remembered, per source.
    pub remembered_shapes: usize,
    /// Bytes of the body of one HTTP request.
    pub http_max_body_bytes: usize,
    /// Bytes of all bodies of HTTP requests that are being received or answered. Further requests get `busy`.
    pub http_max_held_bytes: usize,
    /// Bytes of the head of one HTTP request.
    pub http_max_head_bytes: usize,
    /// Time limit for the head of an HTTP request, for a TLS handshake, and for a write to the client.
    pub http_head_timeout_ms: u64,
    /// Time limit for the body of an HTTP request.
    pub http_body_timeout_ms: u64,
    /// Open HTTP connections. Further ones wait until one is closed.
    pub http_max_connections: usize,
    /// Open MCP sessions over HTTP, of the protocol versions that have sessions; half as many per key. Further sessions
    /// get `busy`.
    pub http_max_sessions: usize,
    /// Bytes of the message that opens such a session, which keeps it.
    pub http_max_initialize_bytes: usize,
    /// JSON arrays, objects and commas of that message.
    pub http_max_initialize_values: usize,
    /// Calls of tools over HTTP that run or wait, for all sources together. Further calls get `busy`.
    pub http_max_calls: usize,
    /// Time that running HTTP requests get to end when the server stops.
    pub http_drain_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_rows: 100,
            max_rows_ceiling: 10_000,
            max_reply_bytes: 40_000,
            max_cell_bytes: 2_000,
            max_message_bytes: 4 << 20,
            max_sql_bytes: 32_768,
            max_sql_tokens: 10_000,
            max_sql_depth: 50,
            max_text_bytes: 8_000,
            statement_timeout_ms: 30_000,
            ask_timeout_ms: 50_000,
            answer_timeout_ms: 25_000,
            connect_timeout_ms: 8_000,
            wake_timeout_ms: 20_000,
            opening_timeout_ms: 5_000,
            cancel_grace_ms: 1_000,
            ping_after_idle_ms: 3_000,
            max_connections: 4,
            max_calls: 8,
            max_queued_calls: 2_000,
            max_line_bytes: 4 << 20,
            max_line_values: 2_000,
            max_id_bytes: 1_000,
            max_held_bytes: 32 << 20,
            max_client_bytes: 200,
            max_unread_bytes: 32 << 20,
            max_model_calls: 6,
            max_repairs: 2,
            max_output_tokens: 4_096,
            schema_budget_tokens: 8_000,
            ranked_schema_tokens: 4_000,
            model_rows: 50,
            model_result_bytes: 8_000,
            list_page: 200,
            list_page_ceiling: 1_000,
            sampled_values: 50,
            snapshot_ttl_ms: 30_000,
            snapshot_max_age_ms: 600_000,
            max_snapshot_bytes: 40 << 20,
            advice_timeout_ms: 2_000,
            count_timeout_ms: 50,
            sqlite_heap_bytes: 16 << 20,
            sqlite_large_heap_bytes: 80 << 20,
            sqlite_value_bytes: 40 << 20,
            sqlite_grace_ms: 250,
            sqlite_overrun_ms: 1_000,
            remembered_shapes: 256,
            http_max_body_bytes: 256 << 10,
            http_max_held_bytes: 16 << 20,
            http_max_head_bytes: 32 << 10,
            http_head_timeout_ms: 10_000,
            http_body_timeout_ms: 20_000,
            http_max_connections: 1_000,
            http_max_sessions: 500,
            http_max_initialize_bytes: 16 << 10,
            http_max_initialize_values: 200,
            http_max_calls: 400,
            http_drain_ms: 8_000,
        }
    }
}

impl Limits {
    /// The statement limit as a duration.
    pub fn statement_timeout(&self) -> Duration {
        Duration::from_millis(self.statement_timeout_ms)
    }

    /// The question limit as a duration.
    pub fn ask_timeout(&self) -> Duration {
        Duration::from_millis(self.ask_timeout_ms)
    }
}
