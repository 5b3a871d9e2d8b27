//! `tudb serve`: the MCP server on stdin and stdout.

use std::sync::Arc;
use std::time::Duration;

use rmcp::ServiceExt;
use rmcp::service::ServerInitializeError;
use tokio_util::sync::CancellationToken;

use super::{DONE, NO, complain, core};
use crate::audit::Trail;
use crate::config::{AuditStore, Config, ConfigError, Environment};
use crate::limits::Limits;
use crate::server::{Server, Transport};
use crate::tools::Core;
use crate::transport::{self, Session};

/// Time after the cancellation at which the process is ended, even if something hangs.
const LAST_MOMENT: Duration = Duration::from_millis(1_000);

#[derive(Debug, clap::Args)]
pub(super) struct Serve {
    /// Serve the query API and MCP over HTTP, at this address or at that of http.listen (default: 127.0.0.1:8000)
    #[cfg(feature = "http")]
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1)]
    pub http: Option<Option<String>>,
}

pub(super) async fn run(config: Result<Config, ConfigError>, env: &Environment) -> u8 {
    let end = CancellationToken::new();
    let limits = config.as_ref().map_or_else(|_| Limits::default(), |config| config.limits.clone());
    let pipes = transport::open(&limits, end.clone());
    let core = match config {
        Ok(config) => {
            tracing::info!(origin = config.origin, model = %config.model.reason, "starting");
            let core = core(config, env);
            tokio::spawn(introduce(Arc::clone(&core)));
            Ok(core)
        }
        Err(error) => {
            tracing::error!(%error, "the configuration is broken; every call will say so");
            Err(error.into())
        }
    };
    let server = Server::new(core.clone(), end.clone(), Transport::Stdio);
    stop_on_signals(end.clone());
    last_moment(end.clone(), LAST_MOMENT);
    let handshake = tokio::spawn(serve(server.clone(), pipes.handshake, end.clone()));
    let inline = tokio::spawn(serve(server, pipes.inline, end));
    let mut served = Ok(());
    for session in [handshake, inline] {
        served = served.and(session.await.unwrap_or_else(|error| Err(error.to_string())));
    }
    if let Ok(core) = &core {
        core.gateway.close().await;
    }
    drop(core);
    match served {
        Ok(()) => {
            tokio::task::spawn_blocking(move || pipes.flushed.wait()).await.unwrap_or_default();
            DONE
        }
        Err(error) => {
            tracing::error!(error, "the server ended");
            NO
        }
    }
}

/// Prints the origin of the configuration, the sources and the number of unfinished records to stderr. Connects to no
/// source.
pub(super) async fn introduce(core: Arc<Core>) {
    let config = core.gateway.config();
    complain(&format!("tudb {}: {}", env!("CARGO_PKG_VERSION"), config.origin));
    for source in config.sources.iter().filter(|source| source.url.is_some()) {
        let place = match core.gateway.database_report(source).await {
            Some(report) => report.place.unwrap_or_else(|| "a SQLite file".to_owned()),
            None => "its settings cannot be used".to_owned(),
        };
        complain(&format!("tudb: source {}: {place}", source.name));
    }
    // Unfinished calls are counted only if the store is a file. On PostgreSQL the role may insert and not read.
    if matches!(&config.audit.store, AuditStore::File(path) if path.exists())
        && let Ok(mut trail) = Trail::open(&config.audit).await
        && let Ok(unfinished @ 1..) = trail.unfinished().await
    {
        complain(&format!(
            "tudb: {unfinished} calls of earlier or other processes have no outcome in the audit trail: they were killed, or \
             still run (tudb audit show --outcome unfinished)"
        ));
    }
}

/// Runs one session to its end.
async fn serve(server: Server, session: Session, end: CancellationToken) -> Result<(), String> {
    let served = match server.serve_with_ct(session, end.clone()).await {
        Ok(running) => running.waiting().await.map(drop).map_err(|error| error.to_string()),
        // The input ended before this session began.
        Err(ServerInitializeError::ConnectionClosed(_) | ServerInitializeError::Cancelled) => Ok(()),
        Err(error) => Err(error.to_string()),
    };
    if served.is_err() {
        // One of the two protocol sessions failed. The other must end too, so that the client notices.
        end.cancel();
    }
    served
}

pub(super) fn stop_on_signals(end: CancellationToken) {
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

/// Ends the process if closing takes longer than `after`. The wait has a thread of its own, so
/// that the runtime cannot delay the end.
pub(super) fn last_moment(end: CancellationToken, after: Duration) {
    tokio::spawn(async move {
        end.cancelled().await;
        std::thread::spawn(move || {
            std::thread::sleep(after);
            // Statements were cancelled, and each call has at least its intent in the trail.
            #[allow(clippy::exit)]
            std::process::exit(0);
        });
    });
}
