//! `tudb serve`: the MCP server on stdin and stdout.

use std::time::Duration;

use rmcp::ServiceExt;
use tokio_util::sync::CancellationToken;

use super::{DONE, NO, core};
use crate::config::{Config, ConfigError, Environment};
use crate::limits::Limits;
use crate::server::Server;
use crate::transport::Stdio;

/// After the end of input the process ends within this time, whatever still hangs.
const LAST_MOMENT: Duration = Duration::from_millis(1_500);

pub(super) async fn run(config: Result<Config, ConfigError>, env: &Environment) -> u8 {
    let end = CancellationToken::new();
    let max_line_bytes =
        config.as_ref().map_or(Limits::default().max_line_bytes, |config| config.limits.max_line_bytes);
    let (transport, flushed) = Stdio::new(max_line_bytes, end.clone());
    let core = match config {
        Ok(config) => {
            tracing::info!(origin = config.origin, model = config.model.reason, "starting");
            Ok(core(config, env))
        }
        Err(error) => {
            tracing::error!(%error, "the configuration is broken; every call will say so");
            Err(error.into())
        }
    };
    let server = Server::new(core.clone(), end.clone());
    stop_on_signals(end.clone());
    last_moment(end.clone());
    let served = match server.serve_with_ct(transport, end).await {
        Ok(running) => running.waiting().await.map(drop).map_err(|error| error.to_string()),
        // Input ended before a session began: nothing was asked.
        Err(
            rmcp::service::ServerInitializeError::ConnectionClosed(_) | rmcp::service::ServerInitializeError::Cancelled,
        ) => Ok(()),
        Err(error) => Err(error.to_string()),
    };
    if let Ok(core) = &core {
        core.gateway.close().await;
    }
    drop(core);
    match served {
        Ok(()) => {
            tokio::task::spawn_blocking(move || flushed.wait()).await.unwrap_or_default();
            DONE
        }
        Err(error) => {
            tracing::error!(error, "the server ended");
            NO
        }
    }
}

fn stop_on_signals(end: CancellationToken) {
    tokio::spawn(async move {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let (Ok(mut terminate), Ok(mut interrupt)) =
                (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
            else {
                return;
            };
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        #[cfg(not(unix))]
        let _ = tokio::signal::ctrl_c().await;
        end.cancel();
    });
}

/// Ends the process when closing takes too long. A thread of its own, so that nothing in the runtime can hold it up.
fn last_moment(end: CancellationToken) {
    tokio::spawn(async move {
        end.cancelled().await;
        std::thread::spawn(|| {
            std::thread::sleep(LAST_MOMENT);
            // Statements were cancelled and records of what ran are written as intents; nothing is lost by leaving.
            #[allow(clippy::exit)]
            std::process::exit(0);
        });
    });
}
