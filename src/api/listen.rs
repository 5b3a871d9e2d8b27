//! Accepts connections with and without TLS, and closes them when the server stops.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::FusedFuture as _;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{Api, router};

/// Time that connections get to close after all calls have ended or were cancelled.
const CLOSING: Duration = Duration::from_millis(500);
/// Pause after an error of the listening socket, such as too many open files.
const AFTER_ERROR: Duration = Duration::from_millis(100);

/// A listening socket, and the certificate for it. `None` for plain HTTP.
pub struct Listener {
    socket: TcpListener,
    tls: Option<TlsAcceptor>,
}

impl Listener {
    /// Binds the address. `tls` has the files of the certificate chain and of the key.
    ///
    /// # Errors
    ///
    /// The address cannot be used, or a file cannot be read.
    pub async fn bind(address: SocketAddr, tls: Option<(&Path, &Path)>) -> Result<Self, String> {
        let tls = tls.map(|(cert, key)| acceptor(cert, key)).transpose()?;
        let socket =
            TcpListener::bind(address).await.map_err(|error| format!("cannot listen on {address}: {error}"))?;
        Ok(Listener { socket, tls })
    }

    /// The URL of the server. If port 0 was requested, the URL contains the port that the system chose.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        self.socket.local_addr().map_or_else(|_| scheme.to_owned(), |address| format!("{scheme}://{address}"))
    }
}

/// Checks that a server can use the files of a certificate chain and of its key.
///
/// # Errors
///
/// Which file cannot be used, and why.
pub fn check_tls(cert: &Path, key: &Path) -> Result<(), String> {
    acceptor(cert, key).map(drop)
}

fn acceptor(cert: &Path, key: &Path) -> Result<TlsAcceptor, String> {
    let chain = CertificateDer::pem_file_iter(cert).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(|error| format!("http.tls_cert cannot be used: {error}"))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| format!("http.tls_key cannot be used: {error}"))?;
    let config = rustls::ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
    let mut config = config.map_err(|error| format!("http.tls_cert and http.tls_key cannot be used: {error}"))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Serves until `stop` is cancelled. Then the server accepts no more connections, and waits at most `http_drain_ms` for
/// running calls. The calls that still run are cancelled. At most `CLOSING` later, the function returns.
pub async fn serve(listener: Listener, api: Arc<Api>, stop: CancellationToken) {
    let service = TowerToHyperService::new(router(&api).into_service());
    let places = Arc::new(tokio::sync::Semaphore::new(api.limits.http_max_connections));
    let head_timeout = Duration::from_millis(api.limits.http_head_timeout_ms);
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(head_timeout).max_buf_size(api.limits.http_max_head_bytes);
    let graceful = GracefulShutdown::new();
    loop {
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => match place {
                Ok(place) => place,
                Err(_) => break,
            },
            () = stop.cancelled() => break,
        };
        let stream = tokio::select! {
            accepted = listener.socket.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(AFTER_ERROR).await;
                    continue;
                }
            },
            () = stop.cancelled() => break,
        };
        let _ = stream.set_nodelay(true);
        // A client that does not read its replies within `http_head_timeout_ms` loses its connection.
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(head_timeout));
        let stream = Box::pin(stream);
        let (http, service, watcher) = (http.clone(), service.clone(), graceful.watcher());
        let tls = listener.tls.clone();
        tokio::spawn(async move {
            let stream: Box<dyn Stream> = match tls {
                None => Box::new(stream),
                Some(tls) => match tokio::time::timeout(head_timeout, tls.accept(stream)).await {
                    Ok(Ok(stream)) => Box::new(stream),
                    _ => return,
                },
            };
            // A failed connection has no effect on other clients, so the error is ignored.
            let _ = watcher.watch(http.serve_connection(TokioIo::new(stream), service)).await;
            drop(place);
        });
    }
    drop(listener);
    drain(&api, graceful).await;
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Waits for running calls, at most `http_drain_ms`. Then cancels them, and gives their connections [`CLOSING`] to
/// close.
async fn drain(api: &Api, graceful: GracefulShutdown) {
    let latest = Instant::now() + Duration::from_millis(api.limits.http_drain_ms);
    let mut closed = std::pin::pin!(graceful.shutdown().fuse());
    while api.is_busy() && Instant::now() < latest {
        let _ = tokio::time::timeout(Duration::from_millis(20), &mut closed).await;
    }
    api.end.cancel();
    if !closed.is_terminated() {
        let _ = tokio::time::timeout(CLOSING, closed).await;
    }
}
