//! TUDB: a read-only MCP server that answers questions and SQL from PostgreSQL and SQLite.
pub mod ask;
pub mod audit;
pub mod config;
pub mod database;
pub mod dialect;
pub mod error;
pub mod gateway;
pub mod guard;
pub mod limits;
pub mod model;
pub mod secret;
pub mod tools;
