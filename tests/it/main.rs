//! Tests through the real binary: one program of modules. `tests/run` installs what they need and starts them.

// Tests fail by panicking, so lints that the program denies are allowed here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)]

mod api;
mod api_bounds;
mod api_clients;
mod api_cluster;
mod api_oauth;
mod ask_bedrock;
mod ask_honest;
mod ask_openai;
mod ask_scenarios;
mod asking_beside_others;
mod audit;
mod audit_crash;
mod clients;
mod command_line;
mod connecting;
mod context;
mod crowded_answers;
mod crowded_names;

mod documents;
mod domains;
mod door;
mod driver_types;
mod elicitation;
mod eval;
mod faults;
mod hints;
mod in_between;
mod injections;
mod other_casts;
mod other_operators;
mod other_users;
mod owners_code;
mod packages;
mod pooler;
mod postgres;
mod postgres_readable;
mod prepared;
mod protocol;
mod races;
mod rules;
mod rules_hidden;
mod rules_words;
mod safety;
mod sample;
mod samples;
mod schema;
mod sqlite_files;
mod sqlite_process;
mod sqlite_readable;
mod standby_and_fdw;
mod support;
#[cfg(feature = "otel")]
mod telemetry;
mod users;
mod values;
