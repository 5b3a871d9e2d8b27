//! The settings of the HTTP server: the table `[http]`.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;

use serde::Deserialize;

use super::ConfigError;
use crate::limits::Limits;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct HttpKeys {
    pub(super) listen: Option<String>,
    allowed_hosts: Vec<String>,
    allowed_origins: Vec<String>,
    keys_file: Option<PathBuf>,
    keys_command: Option<Vec<String>>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    max_body_bytes: Option<u64>,
    max_connections: Option<u64>,
    requests_per_minute: Option<NonZeroU32>,
    oauth: Option<OAuthKeys>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OAuthKeys {
    issuer: String,
    resource: String,
    jwks_file: Option<PathBuf>,
    jwks_url: Option<String>,
    scope: Option<String>,
    user_claim: Option<String>,
    sources: Option<Vec<String>>,
    tools: Option<Vec<String>>,
}

/// The issuer whose access tokens are accepted: the table `[http.oauth]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OAuthConfig {
    /// The exact `iss` of a token.
    pub issuer: String,
    /// The public URL of `/mcp`, which is the `aud` of a token.
    pub resource: url::Url,
    pub keys: JwksFrom,
    /// A scope that every token needs.
    pub scope: Option<String>,
    /// The claim whose text is the user of a call.
    pub user_claim: Option<String>,
    /// Sources and tools of every token. `None` allows all.
    pub sources: Option<Vec<String>>,
    pub tools: Option<Vec<String>>,
}

/// Where the public keys of the issuer come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwksFrom {
    File(PathBuf),
    Url(url::Url),
}

impl OAuthKeys {
    fn into_config(self, place: &str) -> Result<OAuthConfig, ConfigError> {
        let bad = |key: &str, problem: &str| ConfigError::BadValue {
            key: format!("http.oauth.{key}"),
            place: place.into(),
            problem: problem.into(),
        };
        // Keys and tokens cross the network only encrypted, except on this machine.
        let is_safe = |url: &url::Url| {
            let is_local = url.host_str().is_some_and(|host| matches!(host, "localhost" | "127.0.0.1" | "[::1]"));
            url.scheme() == "https" || url.scheme() == "http" && is_local
        };
        let url = |key: &str, text: &str| {
            let url = url::Url::parse(text).ok().filter(is_safe);
            url.ok_or_else(|| bad(key, "must be an https URL"))
        };
        let keys = match (self.jwks_file, self.jwks_url) {
            (Some(file), None) => JwksFrom::File(file),
            (None, Some(text)) => JwksFrom::Url(url("jwks_url", &text)?),
            _ => return Err(bad("jwks_file", "or jwks_url: one of them is needed")),
        };
        for (key, list) in [("sources", &self.sources), ("tools", &self.tools)] {
            if list.as_ref().is_some_and(Vec::is_empty) {
                return Err(bad(key, "must not be empty: an empty list allows nothing, and no list allows everything"));
            }
        }
        url("issuer", &self.issuer)?;
        let resource = url("resource", &self.resource)?;
        Ok(OAuthConfig {
            issuer: self.issuer,
            resource,
            keys,
            scope: self.scope,
            user_claim: self.user_claim,
            sources: self.sources,
            tools: self.tools,
        })
    }
}

/// Settings of the HTTP server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpConfig {
    /// `ADDRESS:PORT`, not yet parsed: `--http` may replace it.
    pub listen: Option<String>,
    /// Host names, with or without a port, that a request may be sent to besides those of this machine.
    pub allowed_hosts: Vec<String>,
    /// Origins of web pages that may call, such as `https://app.example.com`.
    pub allowed_origins: Vec<String>,
    pub keys: Option<KeysFrom>,
    /// Files of the certificate chain and of its private key, in PEM.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Limit for all callers together.
    pub requests_per_minute: Option<NonZeroU32>,
    pub oauth: Option<OAuthConfig>,
}

/// Where the API keys come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeysFrom {
    File(PathBuf),
    Command(Vec<String>),
}

impl HttpKeys {
    pub(super) fn into_config(self, limits: &mut Limits, place: &str) -> Result<HttpConfig, ConfigError> {
        let bad = |key: &str, problem: String| ConfigError::BadValue { key: key.into(), place: place.into(), problem };
        let keys = match (self.keys_file, self.keys_command) {
            (Some(_), Some(_)) => return Err(bad("http.keys_file", "excludes http.keys_command".into())),
            (Some(file), None) => Some(KeysFrom::File(file)),
            (None, Some(command)) if command.is_empty() => {
                return Err(bad("http.keys_command", "must name a program".into()));
            }
            (None, Some(command)) => Some(KeysFrom::Command(command)),
            (None, None) => None,
        };
        let tls = match (self.tls_cert, self.tls_key) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => return Err(bad("http.tls_cert", "and http.tls_key belong together".into())),
        };
        let origin = |origin: &&String| {
            let parsed = url::Url::parse(origin).ok();
            parsed.is_none_or(|url| url.origin().ascii_serialization() != **origin)
        };
        if let Some(origin) = self.allowed_origins.iter().find(origin) {
            let problem = format!("holds {origin:?}, which is no origin such as \"https://app.example.com\"");
            return Err(bad("http.allowed_origins", problem));
        }
        if self.allowed_hosts.iter().any(|host| host.trim().is_empty() || host.contains(['/', '*', ' '])) {
            return Err(bad("http.allowed_hosts", "must hold host names such as \"tudb.example.com\"".into()));
        }
        let bounded = |key: &str, value: Option<u64>, least: u64, most: u64, into: &mut usize| {
            let Some(value) = value else { return Ok(()) };
            if !(least..=most).contains(&value) {
                return Err(bad(key, format!("must be from {least} to {most}")));
            }
            *into = usize::try_from(value).unwrap_or(usize::MAX);
            Ok(())
        };
        bounded("http.max_body_bytes", self.max_body_bytes, 1_024, 16 << 20, &mut limits.http_max_body_bytes)?;
        bounded("http.max_connections", self.max_connections, 1, 100_000, &mut limits.http_max_connections)?;
        Ok(HttpConfig {
            listen: self.listen,
            allowed_hosts: self.allowed_hosts,
            allowed_origins: self.allowed_origins,
            keys,
            tls,
            requests_per_minute: self.requests_per_minute,
            oauth: self.oauth.map(|oauth| oauth.into_config(place)).transpose()?,
        })
    }
}

impl HttpConfig {
    /// Whether a call needs an API key or a token.
    pub fn needs_key(&self) -> bool {
        self.keys.is_some() || self.oauth.is_some()
    }

    /// The address to listen on: `argument`, or else the setting.
    ///
    /// # Errors
    ///
    /// The text is no address, or it is not an address of this machine alone and there are no keys.
    pub fn address(&self, argument: Option<&str>) -> Result<SocketAddr, ConfigError> {
        let key = if argument.is_some() { "--http" } else { "http.listen" };
        let bad = |problem: String| ConfigError::BadValue { key: key.into(), place: "settings".into(), problem };
        let text = argument.or(self.listen.as_deref()).unwrap_or("127.0.0.1:8000");
        let numbers = text.strip_prefix("localhost").map_or_else(|| text.to_owned(), |port| format!("127.0.0.1{port}"));
        let address: SocketAddr =
            numbers.parse().map_err(|_| bad("must be an IP address and a port, such as 127.0.0.1:8000".into()))?;
        if !self.needs_key() && !is_loopback(address.ip()) {
            let problem = format!(
                "is {address}, which other machines can reach, and no API keys are set: set http.keys_file (`tudb key new \
                 NAME` makes a key), or listen on 127.0.0.1"
            );
            return Err(bad(problem));
        }
        Ok(address)
    }
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::super::tests::load;
    use super::*;

    #[test]
    fn without_keys_only_this_machine_is_served() {
        let open = HttpConfig::default();
        for local in ["127.0.0.1:8000", "localhost:0", "[::1]:80", "127.9.9.9:1", "[::ffff:127.0.0.1]:1"] {
            assert!(open.address(Some(local)).is_ok(), "{local}");
        }
        for other in ["0.0.0.0:8000", "[::]:8000", "192.168.1.2:80", "10.0.0.1:1"] {
            let error = open.address(Some(other)).unwrap_err().to_string();
            assert!(error.contains("http.keys_file"), "{other}: {error}");
        }
        let keyed = HttpConfig { keys: Some(KeysFrom::File("k".into())), ..HttpConfig::default() };
        assert!(keyed.address(Some("0.0.0.0:8000")).is_ok());
        assert!(open.address(Some("8000")).is_err());
        assert_eq!(open.address(None).unwrap().to_string(), "127.0.0.1:8000");
    }

    #[test]
    fn settings_are_checked() {
        let http = |text: &str| load(&format!("[http]\n{text}"), &[]).map(|config| (config.http, config.limits));
        let (config, limits) = http(
            "listen = '0.0.0.0:1'\nkeys_file = 'k'\nallowed_origins = ['https://a.b']\nmax_body_bytes = 2048\n\
             max_connections = 9",
        )
        .unwrap();
        assert_eq!((limits.http_max_body_bytes, limits.http_max_connections), (2_048, 9));
        assert_eq!(config.keys, Some(KeysFrom::File("k".into())));
        for wrong in [
            "allowed_origins = ['*']",
            "allowed_origins = ['https://a.b/']",
            "allowed_hosts = ['*.a.b']",
            "tls_cert = 'c'",
            "keys_file = 'k'\nkeys_command = ['c']",
            "keys_command = []",
            "max_body_bytes = 5",
            "max_connections = 0",
            "requests_per_minute = 0",
            "listening = 'x'",
            "[http.oauth]\nissuer = 'https://a.b'\nresource = 'https://c.d/mcp'",
            "[http.oauth]\nissuer = 'https://a.b'\nresource = 'http://c.d/mcp'\njwks_file = 'f'",
            "[http.oauth]\nissuer = 'https://a.b'\nresource = 'https://c.d/mcp'\njwks_url = 'http://a.b/keys'",
        ] {
            assert!(http(wrong).is_err(), "{wrong}");
        }
        let from_environment = load("", &[("TUDB_HTTP_LISTEN", "127.0.0.1:9")]).unwrap();
        assert_eq!(from_environment.http.listen.as_deref(), Some("127.0.0.1:9"));
    }
}
