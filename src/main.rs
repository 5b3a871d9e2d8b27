//! The binary: passes the command line and the environment to `cli`. No logic.

use std::process::ExitCode;

fn main() -> ExitCode {
    tudb::cli::main(std::env::args_os(), std::env::vars().collect())
}
