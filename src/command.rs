//! Runs a command of the settings and returns what it prints.

use std::process::Stdio;
use std::time::Duration;

/// Runs a command to its end. Its input is empty, so that it cannot prompt. After `patience` it is killed.
///
/// # Errors
///
/// What is wrong with the command, which the text calls `setting`. Its output is not quoted.
pub async fn output(setting: &str, command: &[String], patience: Duration) -> Result<String, String> {
    let [program, arguments @ ..] = command else { return Err(format!("{setting} is empty")) };
    // On a timeout the future is dropped, which kills the process.
    let mut process = tokio::process::Command::new(program);
    process.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(patience, process.output())
        .await
        .map_err(|_| format!("{setting} did not end in time and was killed"))?
        .map_err(|error| format!("{setting} cannot be started: {error}"))?;
    if !output.status.success() {
        return Err(format!("{setting} failed with {}", output.status));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("{setting} printed something that is not UTF-8"))
}
