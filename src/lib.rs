//! TUDB, "Talk to Your Database": a read-only MCP server that answers questions and runs SQL on PostgreSQL and SQLite.
//!
//! # The road of one request
//!
//! client → [`transport`] → [`server`] → [`tools`] → [`gateway`] → [`audit`] opens → [`guard`] approves or refuses →
//! [`database`] runs → [`audit`] closes → reply. [`ask`] is another client of the gateway: each statement that a
//! [`model`] proposes passes the same steps, and its record has the id of the question. The [`cli`] starts the server
//! and runs the commands. [`elicitation`] asks the user a clarifying question. [`resources`] and [`prompts`] are what a
//! person picks from a client's menu. [`telemetry`] sends a span for each record if the feature `otel` is compiled in.
//! `api` serves the same tools over HTTP if the feature `http` is compiled in. [`http`] is the HTTP client for services
//! other than AWS. [`config`] reads every setting, [`limits`] holds every bound, and [`error`] every code that a client
//! may see.
//!
//! # Invariants
//!
//! - Only `guard` can build an [`guard::ApprovedSql`], which carries the caller's own text. Engines wrap that text in a
//!   query and accept no other statement from outside. The guard renders no statement from its tree: the text that was
//!   approved runs. On PostgreSQL, the names in the text are checked against the catalog first. The only change to the
//!   text is a schema in front of the name of a function or a table.
//! - Every read of a database requires an [`audit::OpenEntry`], so there is no read without a committed record, unless
//!   the configuration sets `audit.required = false`. An entry that is dropped still writes its outcome. A tool's reply
//!   is sent after its outcome is stored. If the outcome cannot be stored, the reply has a warning.
//! - Every PostgreSQL statement runs in a read-only transaction whose first query is TUDB's own. Text from outside is
//!   sent by the extended protocol. Only EXPLAIN of a statement with parameters uses the simple one, and does not run
//!   it. SQLite files are opened read-only, in child processes. A child process that exceeds its time limit is killed.
//! - `tools` and `ask` have no connection pool: they reach a database through the gateway. [`database::bootstrap`] is
//!   the only module that writes to a database with data for questions: the embedded sample, on first use, and the
//!   tables of the commands `migrate` and `seed`.
//! - While `tudb serve` runs over stdio, stdout carries JSON-RPC only. Secrets live in [`secret::Secret`], which cannot
//!   be printed.

pub mod allocation;
#[cfg(feature = "http")]
pub mod api;
pub mod ask;
pub mod audit;
pub mod blocking;
pub mod chart;
pub mod cli;
pub mod command;
pub mod config;
pub mod database;
pub mod dialect;
pub mod elicitation;
pub mod environment;
pub mod error;
pub mod gateway;
pub mod guard;
pub mod http;
pub mod limits;
pub mod model;
pub mod places;
mod progress;
pub mod prompts;
pub mod quoting;
pub mod reply;
pub mod resources;
pub mod secret;
pub mod server;
pub mod telemetry;
pub mod tools;
pub mod transport;
