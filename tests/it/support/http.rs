//! An HTTP endpoint on loopback for the model services. It makes an answer for each request and records the request.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;

use super::output_of;

/// A request as received.
#[derive(Clone)]
pub struct Request {
    pub path: String,
    pub headers: String,
    /// `null` if the body is not JSON.
    pub body: Value,
    pub bytes: Vec<u8>,
}

/// The answer to a request.
pub enum Reply {
    /// Status, more headers (each with its line end), body.
    Whole(u16, String, String),
    /// The beginning of a body whose announced length is longer.
    Half(String),
    /// The connection closes without an answer.
    Reset,
    Silence(Duration),
}

/// The endpoint. It lives as long as the test.
pub struct Endpoint {
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Endpoint {
    /// Starts the endpoint. `answer` gets the number of earlier requests, and this request.
    pub fn start(answer: impl Fn(usize, &Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_over(None, answer)
    }

    /// Starts the endpoint with TLS. Its certificate for `localhost` is written to `certificate.pem` in `place`.
    pub fn start_tls(place: &Path, answer: impl Fn(usize, &Request) -> Reply + Send + Sync + 'static) -> Self {
        let (key, certificate) = (place.join("key.pem"), place.join("certificate.pem"));
        output_of(
            Command::new("openssl")
                .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
                .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
                .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
                .arg(&key)
                .arg("-out")
                .arg(&certificate),
        );
        let chain = vec![CertificateDer::from_pem_file(&certificate).unwrap()];
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.unwrap().with_no_client_auth();
        let config = config.with_single_cert(chain, PrivateKeyDer::from_pem_file(&key).unwrap()).unwrap();
        Self::start_over(Some(Arc::new(config)), answer)
    }

    fn start_over(
        tls: Option<Arc<rustls::ServerConfig>>,
        answer: impl Fn(usize, &Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let answer = Arc::new(answer);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = if tls.is_some() { format!("https://localhost:{port}") } else { format!("http://127.0.0.1:{port}") };
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (answer, seen, tls) = (Arc::clone(&answer), Arc::clone(&seen), tls.clone());
                let stream = stream.unwrap();
                std::thread::spawn(move || match tls {
                    Some(config) => {
                        let session = rustls::ServerConnection::new(config).unwrap();
                        serve(rustls::StreamOwned::new(session, stream), &*answer, &seen);
                    }
                    None => serve(stream, &*answer, &seen),
                });
            }
        });
        Endpoint { url, requests }
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn serve(stream: impl Read + Write, answer: &dyn Fn(usize, &Request) -> Reply, seen: &Mutex<Vec<Request>>) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut headers = String::new();
        let mut length = 0;
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header).unwrap_or(0) == 0 || header.trim().is_empty() {
                break;
            }
            if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            headers.push_str(&header);
        }
        let mut bytes = vec![0; length];
        reader.read_exact(&mut bytes).unwrap();
        let body = serde_json::from_slice(&bytes).unwrap_or_default();
        let request = Request { path, headers, body, bytes };
        let reply = {
            let mut seen = seen.lock().unwrap();
            let reply = answer(seen.len(), &request);
            seen.push(request);
            reply
        };
        let (status, headers, body, promised) = match reply {
            Reply::Whole(status, headers, body) => (status, headers, body.clone(), body.len()),
            Reply::Half(body) => (200, String::new(), body.clone(), body.len() + 100),
            Reply::Reset => return,
            Reply::Silence(time) => {
                std::thread::sleep(time);
                return;
            }
        };
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{headers}content-length: {promised}\r\n\r\n"
        );
        let sent = reader.get_mut().write_all(format!("{head}{body}").as_bytes());
        let sent = sent.and_then(|()| reader.get_mut().flush());
        if sent.is_err() || promised > body.len() {
            return;
        }
    }
}
