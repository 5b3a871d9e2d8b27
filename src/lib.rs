//! TUDB, "Talk to Your Database": a read-only MCP server that answers questions and SQL from PostgreSQL and SQLite.
//!
//! # The road of one request
//!
//! client → [`transport`] → [`server`] → [`tools`] → [`gateway`] → [`audit`] opens → [`guard`] approves or refuses →
//! [`database`] runs → [`audit`] closes → reply. [`ask`] answers a question as one more client of the gateway: each
//! statement that a [`model`] proposes takes the same road, with the question's id in its record. The [`cli`] starts
//! all of it; [`elicitation`] puts a question back to the user; [`resources`] and [`prompts`] are what a person picks
//! from a client's menu. [`telemetry`] sends a span for each record where that is built in, and [`http`] is the client
//! of services other than AWS's. [`config`] reads every setting, [`limits`] holds every bound, [`error`] every code a
//! client may see.
//!
//! # Invariants
//!
//! - Only `guard` can build an [`guard::ApprovedSql`]; it carries the caller's own text, and engines wrap that text in
//!   a sub-query and take no other statement from outside. Text rendered from a syntax tree never runs. On PostgreSQL
//!   the catalog has to vouch for its names first, and nothing is ever put into the text but a schema before the name
//!   of a function or a table.
//! - Every read of a database takes an [`audit::OpenEntry`], so there is no read without a committed record; an entry
//!   that is dropped still writes its outcome. A tool's answer leaves when the outcome is in the store, or says that
//!   it is not.
//! - Every PostgreSQL statement runs in a read-only transaction whose first query is ours; text from outside never
//!   reaches the simple protocol. SQLite files are opened read-only, in child processes that are killed when they are late.
//! - `tools` and `ask` hold the gateway and no pool. [`database::bootstrap`] alone writes, and never in a call's road.
//! - stdout carries JSON-RPC only; secrets live in [`secret::Secret`], which cannot be printed.

pub mod allocation;
pub mod ask;
pub mod audit;
pub mod cli;
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
pub mod prompts;
pub mod quoting;
pub mod reply;
pub mod resources;
pub mod secret;
pub mod server;
pub mod telemetry;
pub mod tools;
pub mod transport;
