//! The binary: reads the command line and the environment, sends logs to stderr, and hands over. No logic.

use std::process::ExitCode;

fn main() -> ExitCode {
    tudb::cli::main(std::env::args_os(), std::env::vars().collect())
}
