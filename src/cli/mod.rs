//! The command line, one file per command. Besides the transport, only this module prints to stdout.

mod ask;
mod audit;
mod compare;
mod context;
mod doctor;
mod eval;
#[cfg(feature = "http")]
mod http;
mod install;
mod pages;
mod progress;
mod sample;
mod serve;
mod setup;
mod sql;
mod table;
mod tables;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};

use clap::{CommandFactory, Parser, Subcommand};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;

use crate::ask::Asker;
use crate::audit::AuditLog;
use crate::config::{Config, ConfigError, Environment};
use crate::gateway::Gateway;
use crate::model::Model;
use crate::telemetry;
use crate::tools::Core;

/// The exit code for success.
const DONE: u8 = 0;
/// The exit code for a negative result: an error, a refusal, a finding.
const NO: u8 = 1;
/// The exit code for an error in the command line or the configuration.
const USAGE: u8 = 2;
/// The exit code for a result of which only a part was written.
const PART: u8 = 3;

/// Talk to Your Database: a read-only MCP server for PostgreSQL and SQLite.
#[derive(Parser)]
#[command(name = "tudb", version = version(), about, disable_help_subcommand = true)]
struct Arguments {
    /// Configuration file (TOML)
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve MCP on stdin and stdout (the default), or over HTTP
    Serve(serve::Serve),
    /// Make API keys for `serve --http`
    #[cfg(feature = "http")]
    #[command(subcommand)]
    Key(http::KeyCommand),
    /// Choose database, model and clients, and write the settings file
    Setup(setup::Setup),
    /// Add the server to a client's configuration
    Install(install::Install),
    /// Take the server out of a client's configuration
    Uninstall(install::Uninstall),
    /// Ask a question in plain language
    Ask(ask::Ask),
    /// Run one read-only statement
    Sql(sql::Sql),
    /// List tables and views
    Tables(tables::Tables),
    /// Show the columns and keys of a table
    Describe(tables::Describe),
    /// Show what a prompt would hold of the schema for a question; no model is asked
    Context(context::Context),
    /// Ask questions whose gold statements are known, and compare the answers
    Eval(eval::Eval),
    /// Check configuration, sources, model and audit store
    Doctor(doctor::Doctor),
    /// Read and verify the audit trail
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Create the sample schema in the database that URL names
    Migrate(sample::Place),
    /// Load the sample data into the database that URL names
    Seed(sample::Place),
    /// Print the completions of a shell
    Completions(pages::Completions),
    /// Print the manual page, or write the pages of all commands to a directory
    Man(pages::Man),
    /// The process that reads one SQLite file for a server; for no one else
    #[command(hide = true)]
    SqliteWorker,
}

/// Version, revision, protocol versions.
fn version() -> &'static str {
    concat!(
        env!("CARGO_PKG_VERSION"),
        " (",
        env!("BUILD_REVISION"),
        "), MCP 2024-11-05 2025-03-26 2025-06-18 2025-11-25 2026-07-28"
    )
}

/// Runs the command that the arguments select.
pub fn main(arguments: impl Iterator<Item = OsString>, env: Environment) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { USAGE } else { DONE });
        }
    };
    // These commands need no runtime, and work although the settings are wrong.
    let code = match arguments.command {
        Some(Command::SqliteWorker) => Ok(if crate::database::serve_sqlite() { DONE } else { NO }),
        Some(Command::Completions(completions)) => Ok(completions.run(Arguments::command())),
        Some(Command::Man(man)) => Ok(man.run(Arguments::command())),
        Some(Command::Install(install)) => Ok(install.run(arguments.config.clone(), &env)),
        Some(Command::Uninstall(uninstall)) => Ok(uninstall.run(&env)),
        command => Err(command),
    };
    let command = match code {
        Ok(code) => return ExitCode::from(code),
        Err(command) => command,
    };
    let config = Config::load(arguments.config, &env);
    let is_server = matches!(command, None | Some(Command::Serve(_)));
    start_log(config.as_ref().map_or("warn", |config| config.log.as_str()), is_server);
    // The debug form of the code needs several times the stack of the release form.
    let stack_bytes = if cfg!(debug_assertions) { 16 << 20 } else { 2 << 20 };
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = match builder.worker_threads(2).thread_stack_size(stack_bytes).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "the runtime cannot start");
            return ExitCode::from(NO);
        }
    };
    let code = runtime.block_on(async {
        telemetry::start(&env);
        let Some(command) = command else { return serve::run(config, &env).await };
        match command {
            #[cfg(feature = "http")]
            Command::Serve(serve::Serve { http: Some(address) }) => {
                with(config, async |config| http::run(config, &env, address.as_deref()).await).await
            }
            // Without `--http`, `tudb serve` follows the setting. `tudb` alone always serves stdin and stdout.
            #[cfg(feature = "http")]
            Command::Serve(_) if config.as_ref().is_ok_and(|config| config.http.listen.is_some()) => {
                with(config, async |config| http::run(config, &env, None).await).await
            }
            #[cfg(feature = "http")]
            Command::Key(key) => key.run(),
            Command::Serve(_) => serve::run(config, &env).await,
            Command::Ask(ask) => with(config, async |config| ask.run(config, &env).await).await,
            Command::Sql(sql) => with(config, async |config| sql.run(config, &env).await).await,
            Command::Setup(setup) => setup.run(&env).await,
            Command::Tables(tables) => with(config, async |config| tables.run(config, &env).await).await,
            Command::Describe(describe) => with(config, async |config| describe.run(config, &env).await).await,
            Command::Context(context) => with(config, async |config| context.run(config, &env).await).await,
            Command::Eval(eval) => with(config, async |config| eval.run(config, &env).await).await,
            Command::Doctor(doctor) => with(config, async |config| doctor.run(config, &env).await).await,
            Command::Audit(audit) => with(config, async |config| audit.run(config).await).await,
            Command::Migrate(place) => with(config, async |config| place.migrate(&config).await).await,
            Command::Seed(place) => with(config, async |config| place.seed(&config).await).await,
            // Handled above.
            Command::SqliteWorker
            | Command::Completions(_)
            | Command::Man(_)
            | Command::Install(_)
            | Command::Uninstall(_) => USAGE,
        }
    });
    telemetry::stop();
    // A blocking read from the terminal cannot be cancelled, so do not wait for it.
    runtime.shutdown_background();
    ExitCode::from(code)
}

async fn with(config: Result<Config, ConfigError>, run: impl AsyncFnOnce(Config) -> u8) -> u8 {
    match config {
        Ok(config) => run(config).await,
        Err(error) => {
            complain(&format!("config_error: {error}"));
            USAGE
        }
    }
}

/// Sends logs to stderr. Other crates are limited to `warn`: at finer levels they log whole requests, results and
/// headers, and so rows and secrets. Messages that code in a database raises (`RAISE WARNING`) are not logged: they may
/// contain rows, and look like lines of this log. The AWS configuration warns of each place without credentials with a whole response;
/// the error of the question says the same in one line.
///
/// A command prints its own errors, and `doctor` what is wrong with a role. So at the usual level, databases are
/// logged only by a server.
fn start_log(filter: &str, is_server: bool) {
    let filter = if filter == "warn" && !is_server { "warn,tudb::database=error" } else { filter };
    let wanted: Targets = filter.parse().unwrap_or_else(|_| Targets::new().with_default(LevelFilter::WARN));
    let cap = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target("aws_config", LevelFilter::ERROR)
        .with_target("sqlx::postgres::notice", LevelFilter::OFF)
        .with_target("tudb", LevelFilter::TRACE);
    let format = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let subscriber = tracing_subscriber::registry().with(format).with(wanted).with(cap);
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Creates the gateway, the tools and the asker for a configuration.
fn core(config: Config, env: &Environment) -> Arc<Core> {
    if config.found_by_name {
        tracing::warn!("{}; set TUDB_DATABASE_URL to choose", config.origin);
    }
    let model = Model::new(&config.model, &config.limits, env);
    let config = Arc::new(config);
    let audit = AuditLog::start(&config.audit);
    let gateway = Arc::new(Gateway::new(config, audit));
    let asker = Asker::new(Arc::clone(&gateway), model);
    Arc::new(Core { gateway, asker, counts: OnceLock::new(), running: AtomicUsize::new(0) })
}

#[allow(clippy::print_stdout)]
fn say(text: &str) {
    use std::io::Write as _;
    // A closed pipe (`| head`) is no failure.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Prints text for a person: characters that control a terminal are escaped. `say` prints a text unchanged.
fn tell(text: &str) {
    say(&table::plain_lines(text));
}

#[allow(clippy::print_stderr)]
fn complain(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{}", table::plain_lines(text));
}

/// Asks a question in the terminal. True if the answer is yes, or `yes` says so.
fn confirmed(question: &str, yes: bool) -> bool {
    use std::io::{BufRead, IsTerminal};
    if yes {
        return true;
    }
    if !std::io::stdin().is_terminal() {
        complain(&format!("{question} Pass --yes to agree."));
        return false;
    }
    complain(&format!("{question} [y/N]"));
    let mut answer = String::new();
    let is_read = std::io::stdin().lock().read_line(&mut answer).is_ok();
    is_read && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

/// Names of tools and arguments in a hint, and what a person types in a terminal instead.
const TERMINAL_WORDS: [(&str, &str); 9] = [
    ("ask_database", "tudb ask"),
    ("describe_table", "tudb describe"),
    ("explain_query", "tudb sql \"EXPLAIN …\""),
    ("list_tables", "tudb tables"),
    ("max_rows", "--max-rows"),
    ("max_rows_ceiling", "max_rows_ceiling"),
    ("run_sql", "tudb sql"),
    ("session_id", "--session-id"),
    ("user_id", "--user-id"),
];

/// A hint in the words of the terminal: `--max-rows` for `max_rows`.
fn terminal_words(hint: &str) -> String {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let mut text = String::new();
    for word in hint.split_inclusive(|c| !is_part(c)) {
        let name = word.trim_end_matches(|c| !is_part(c));
        let spelled = TERMINAL_WORDS.iter().find(|(tool, _)| *tool == name).map_or(name, |(_, spelled)| spelled);
        text.push_str(spelled);
        text.push_str(word.get(name.len()..).unwrap_or_default());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_names_what_a_terminal_has() {
        for (hint, spelled) in [
            ("`list_tables` shows what may be read.", "`tudb tables` shows what may be read."),
            ("or pass max_rows up to 10000; my_max_rows", "or pass --max-rows up to 10000; my_max_rows"),
            ("raise max_rows_ceiling, see describe_table", "raise max_rows_ceiling, see tudb describe"),
            ("é max_rows", "é --max-rows"),
        ] {
            assert_eq!(terminal_words(hint), spelled);
        }
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }
}
