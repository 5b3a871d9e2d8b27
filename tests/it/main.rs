//! Tests through the real binary: one program of modules. `tests/run` installs what they need and starts them.

mod ask_wire;
mod audit;
mod clients;
mod command_line;
mod documents;
mod postgres;
mod protocol;
mod sample;
mod support;
