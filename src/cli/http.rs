//! `tudb serve --http`: the query API and MCP over HTTP. `tudb key new`: a key for it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::Subcommand;
use tokio_util::sync::CancellationToken;

use super::{DONE, NO, USAGE, complain, core, say, serve};
use crate::api::{self, Api, KeyRing, Listener};
use crate::config::{Config, Environment};

/// Checks the settings of the HTTP server without serving. Returns the address, and what protects it.
///
/// # Errors
///
/// The first setting that cannot be used.
pub(super) async fn check(config: &Config) -> Result<String, String> {
    let address = config.http.address(None).map_err(|error| error.to_string())?;
    if let Some((cert, key)) = &config.http.tls {
        api::check_tls(cert, key)?;
    }
    let keys = match &config.http.keys {
        Some(from) => format!(", {} API keys", KeyRing::load(from.clone(), config).await?.count()),
        None => String::new(),
    };
    let tls = if config.http.tls.is_some() { ", TLS" } else { "" };
    Ok(format!("would listen on {address}{tls}{keys}"))
}

/// Serves until a signal. `argument` is the address of `--http`, if it has one.
pub(super) async fn run(config: Config, env: &Environment, argument: Option<&str>) -> u8 {
    let address: SocketAddr = match config.http.address(argument) {
        Ok(address) => address,
        Err(error) => {
            complain(&format!("config_error: {error}"));
            return USAGE;
        }
    };
    let tls = config.http.tls.clone();
    let tls = tls.as_ref().map(|(cert, key)| (cert.as_path(), key.as_path()));
    let listener = match Listener::bind(address, tls).await {
        Ok(listener) => listener,
        Err(error) => {
            complain(&format!("config_error: {error}"));
            return USAGE;
        }
    };
    let (stop, end) = (CancellationToken::new(), CancellationToken::new());
    // Before the keys are read, so that a signal meanwhile does not end the process.
    let hangups = hangups();
    serve::stop_on_signals(stop.clone());
    let core = core(config, env);
    let api = match Api::new(Arc::clone(&core), address, end).await {
        Ok(api) => api,
        Err(error) => {
            complain(&format!("config_error: {error}"));
            return USAGE;
        }
    };
    tokio::spawn(serve::introduce(Arc::clone(&core)));
    reload_on_signal(Arc::clone(&api), hangups);
    serve::last_moment(stop.clone(), LAST_MOMENT);
    complain(&format!("tudb: listening on {}", listener.url()));
    api::serve(listener, api, stop).await;
    core.gateway.close().await;
    DONE
}

/// Time in which the process ends after a signal, even if something hangs. Calls have ended by then.
const LAST_MOMENT: Duration = Duration::from_millis(9_500);

#[cfg(unix)]
type Hangups = std::io::Result<tokio::signal::unix::Signal>;
#[cfg(not(unix))]
type Hangups = ();

#[cfg(unix)]
fn hangups() -> Hangups {
    tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())
}

#[cfg(not(unix))]
fn hangups() -> Hangups {}

#[cfg(unix)]
fn reload_on_signal(api: Arc<Api>, hangups: Hangups) {
    let Ok(mut hangups) = hangups else { return };
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            api.reload().await;
        }
    });
}

#[cfg(not(unix))]
fn reload_on_signal(_api: Arc<Api>, _hangups: Hangups) {}

/// API keys for `serve --http`
#[derive(Subcommand)]
pub(super) enum KeyCommand {
    /// Make a key: prints it once, and the line for the file of keys
    New {
        /// What the key is called in the file and in the audit trail
        name: String,
    },
}

impl KeyCommand {
    pub(super) fn run(&self) -> u8 {
        let KeyCommand::New { name } = self;
        match api::new_key(name) {
            Ok((key, line)) => {
                say(&format!("The key, shown only now:\n{key}\n\nThe line for the file of http.keys_file:\n{line}"));
                DONE
            }
            Err(error) => {
                complain(&format!("tudb: {error}"));
                NO
            }
        }
    }
}
