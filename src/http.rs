//! The HTTP client for services other than AWS: hyper and rustls, which the AWS SDK needs anyway.

use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

pub type Http = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Creates a client. With `tls`, it trusts the platform's root certificates (`SSL_CERT_FILE`). Without `tls` no root
/// certificates are needed, so a machine that has none can still use a local server.
///
/// # Errors
///
/// The reason why TLS cannot be set up.
pub fn client(tls: bool) -> Result<Http, String> {
    let builder = HttpsConnectorBuilder::new();
    let provider = rustls::crypto::ring::default_provider();
    let builder = if tls {
        builder.with_provider_and_native_roots(provider).map_err(|error| error.to_string())?
    } else {
        let config = rustls::ClientConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        builder.with_tls_config(config.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth())
    };
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector.set_nodelay(true);
    connector.enforce_http(false);
    let connector = builder.https_or_http().enable_http1().wrap_connector(connector);
    Ok(Client::builder(TokioExecutor::new()).build(connector))
}
