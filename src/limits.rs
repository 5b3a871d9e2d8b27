//! Every bound TUDB keeps, in one place, with its unit last in the name.
//!
//! Defaults are the contract's; `config` overrides those that a user may set. Each bound has a test.

use std::time::Duration;

/// All bounds of one process. Copied into the parts that enforce them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Rows a reply holds when the call does not say.
    pub max_rows: u64,
    /// Rows a call may ask for.
    pub max_rows_ceiling: u64,
    /// UTF-8 bytes of one reply block's JSON.
    pub max_reply_bytes: usize,
    /// Bytes of one cell's text; a longer text is cut at a character boundary.
    pub max_cell_bytes: usize,
    /// Bytes of one message of a PostgreSQL server (a row, a plan, an error); a longer one ends its connection.
    pub max_message_bytes: usize,
    /// Bytes of a statement, checked before it is tokenised.
    pub max_sql_bytes: usize,
    /// Tokens of a statement, checked before it is parsed: flat chains become left-deep trees.
    pub max_sql_tokens: usize,
    /// Nesting the parser accepts.
    pub max_sql_depth: usize,
    /// Bytes of a question, a choice, a user id or a session id.
    pub max_text_bytes: usize,
    /// One statement, on the server and in the process.
    pub statement_timeout_ms: u64,
    /// One question, with all its model calls and statements.
    pub ask_timeout_ms: u64,
    /// A user's answer to a question back, while the call waits.
    pub answer_timeout_ms: u64,
    /// Waiting for a connection, a free one or a new one.
    pub connect_timeout_ms: u64,
    /// The same where the provider's databases sleep and have to wake up first.
    pub wake_timeout_ms: u64,
    /// The first message on a connection that is there already; its network may have gone silent.
    pub opening_timeout_ms: u64,
    /// How long a cancelled statement may take to come back before its connection is dropped.
    pub cancel_grace_ms: u64,
    /// An idle connection older than this is pinged before use.
    pub ping_after_idle_ms: u64,
    /// Connections a source may hold.
    pub max_connections: u32,
    /// Calls that run at once, a source.
    pub max_calls: usize,
    /// Calls that may wait behind them, a source; one more is answered `busy`.
    pub max_queued_calls: usize,
    /// Bytes of one JSON-RPC line. What is over a tool's own bounds is refused by the tool, which says which bound.
    pub max_line_bytes: usize,
    /// Arrays, objects and separators of one JSON-RPC line.
    pub max_line_values: usize,
    /// Bytes of a request's id and of its progress token.
    pub max_id_bytes: usize,
    /// Memory of the requests that wait or run, as estimated from their lines; one more is answered `busy`.
    pub max_held_bytes: usize,
    /// Bytes of the client's name, and of its version, that a record keeps.
    pub max_client_bytes: usize,
    /// Bytes of answers that the client has not read; over it nothing more is read from the client.
    pub max_unread_bytes: usize,
    /// Model calls a question.
    pub max_model_calls: u32,
    /// Failed statements a question may repair.
    pub max_repairs: u32,
    /// Tokens the model may write in one turn.
    pub max_output_tokens: i32,
    /// Tokens (characters / 3.5) a schema may take in the prompt before it is ranked and cut.
    pub schema_budget_tokens: usize,
    /// Tokens of a ranked schema, once the whole one is over the budget.
    pub ranked_schema_tokens: usize,
    /// Rows of a result shown to the model.
    pub model_rows: usize,
    /// Bytes of a result shown to the model.
    pub model_result_bytes: usize,
    /// Tables one `list_tables` page holds when the call does not say.
    pub list_page: u64,
    /// Tables one `list_tables` page may hold.
    pub list_page_ceiling: u64,
    /// Distinct values of a text column kept as known values.
    pub sampled_values: usize,
    /// How long a schema snapshot is used before the catalog is asked whether it has changed.
    pub snapshot_ttl_ms: u64,
    /// How long it is used at most: what the planner knows of values changes without a trace.
    pub snapshot_max_age_ms: u64,
    /// Memory a schema snapshot may hold, a source; tables that do not fit are left out of it.
    pub max_snapshot_bytes: usize,
    /// Reading the schema in order to explain an error of the database.
    pub advice_timeout_ms: u64,
    /// Memory that SQLite may take in one process of a source, over what the schema takes. A statement that needs more is run
    /// once more with [`Limits::sqlite_large_heap_bytes`].
    pub sqlite_heap_bytes: usize,
    /// The same for the one statement of the server that may take more at a time. It holds a cell of 34 MB twice.
    pub sqlite_large_heap_bytes: usize,
    /// Bytes of one value of SQLite, in a table or in a statement.
    pub sqlite_value_bytes: usize,
    /// How long a process that runs a SQLite statement may be late with its answer before it is killed.
    pub sqlite_grace_ms: u64,
    /// How long after the end of its statement such a process ends by itself, when nobody has killed it.
    pub sqlite_overrun_ms: u64,
    /// Shapes of statements remembered, a source.
    pub remembered_shapes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_rows: 100,
            max_rows_ceiling: 10_000,
            max_reply_bytes: 40_000,
            max_cell_bytes: 2_000,
            max_message_bytes: 16 << 20,
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
            max_unread_bytes: 64 << 20,
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
            sqlite_heap_bytes: 16 << 20,
            sqlite_large_heap_bytes: 80 << 20,
            sqlite_value_bytes: 40 << 20,
            sqlite_grace_ms: 250,
            sqlite_overrun_ms: 1_000,
            remembered_shapes: 256,
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
