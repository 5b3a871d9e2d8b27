//! OAuth for MCP. This server is a protected resource: it publishes the issuer of its tokens (RFC 9728), and accepts
//! JWTs that this issuer made for this resource. Source:
//! <https://modelcontextprotocol.io/specification/2025-11-25/basic/authorization>.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use http_body_util::{BodyExt as _, Limited};
use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::signature::{Error as SignatureError, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, Validation};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{Api, reply};
use crate::config::{JwksFrom, OAuthConfig};
use crate::gateway::Grant;
use crate::tools::ToolName;

/// Age of the keys at which they are read again.
const MAX_AGE_OF_KEYS: Duration = Duration::from_secs(600);
/// Shortest time between two readings. Without it, tokens with unknown keys could make the server send many requests to
/// the issuer.
const MIN_PAUSE: Duration = Duration::from_secs(30);
/// Time limit for reading the keys.
const TIME_LIMIT: Duration = Duration::from_secs(5);
const MAX_JWKS_BYTES: usize = 1 << 20;
/// Longest token, in bytes.
const MAX_TOKEN_BYTES: usize = 16 << 10;
/// Maximum number of characters of a token's subject in the audit record.
const MAX_SUBJECT_CHARACTERS: usize = 100;

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Its form, signature, issuer, audience or time is wrong, or a required claim is missing.
    Token,
    /// It lacks the required scope.
    Scope,
}

/// The issuer and its public keys.
#[derive(Debug)]
pub(super) struct Issuer {
    config: OAuthConfig,
    keys: Arc<RwLock<JwkSet>>,
    read_at: Arc<tokio::sync::Mutex<Option<Instant>>>,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    #[serde(default)]
    scope: String,
    #[serde(flatten)]
    others: Map<String, Value>,
}

impl Issuer {
    /// Reads the keys.
    ///
    /// # Errors
    ///
    /// The keys cannot be read.
    pub(super) async fn new(config: OAuthConfig) -> Result<Self, String> {
        // Only the first call installs the provider. No other code uses the crate `jsonwebtoken`.
        let _ = PROVIDER.install_default();
        if let Some(tool) = config.tools.iter().flatten().find(|tool| ToolName::parse(tool).is_none()) {
            return Err(format!("http.oauth.tools: there is no tool {tool}"));
        }
        let keys = Arc::new(RwLock::new(JwkSet { keys: Vec::new() }));
        let issuer = Issuer { config, keys, read_at: Arc::default() };
        issuer.read(Duration::ZERO).await?;
        Ok(issuer)
    }

    /// What the holder of the token may do.
    pub(super) async fn grant(&self, token: &str) -> Result<Grant, Fault> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Fault::Token);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| Fault::Token)?;
        // If the issuer cannot be reached, or another request is reading its keys, the keys from the last reading are
        // used.
        if let Ok(read_at) = Arc::clone(&self.read_at).try_lock_owned() {
            let _ = self.read_unless(read_at, MAX_AGE_OF_KEYS).await;
        }
        let key = match self.key(header.kid.as_deref()) {
            Some(key) => key,
            None => {
                let _ = self.read(MIN_PAUSE).await;
                self.key(header.kid.as_deref()).ok_or(Fault::Token)?
            }
        };
        let is_for_it = key.common.key_algorithm.is_none_or(|of_key| of_key.to_string() == format!("{:?}", header.alg));
        // An issuer cannot publish a shared secret. So a token that is signed with one (HMAC) is never genuine.
        if header.alg.family() == AlgorithmFamily::Hmac || !is_for_it {
            return Err(Fault::Token);
        }
        let mut validation = Validation::new(header.alg);
        validation.set_issuer(&[&self.config.issuer]);
        // A URL without a path may end with a slash. Some issuers write this slash, and others do not.
        let resource = self.config.resource.as_str();
        validation.set_audience(&[resource, resource.trim_end_matches('/')]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.validate_nbf = true;
        let key = DecodingKey::from_jwk(&key).map_err(|_| Fault::Token)?;
        let claims: Claims = jsonwebtoken::decode(token, &key, &validation).map_err(|_| Fault::Token)?.claims;
        self.allowed(claims)
    }

    fn allowed(&self, claims: Claims) -> Result<Grant, Fault> {
        let mut scopes: BTreeSet<&str> = claims.scope.split_ascii_whitespace().collect();
        let listed = claims.others.get("scp").and_then(Value::as_array).into_iter().flatten();
        scopes.extend(listed.filter_map(Value::as_str));
        if self.config.scope.as_ref().is_some_and(|scope| !scopes.contains(scope.as_str())) {
            return Err(Fault::Scope);
        }
        let user_id = match self.config.user_claim.as_deref() {
            None => None,
            Some("sub") => Some(claims.sub.clone()),
            Some(name) => Some(claims.others.get(name).and_then(Value::as_str).ok_or(Fault::Token)?.to_owned()),
        };
        let mut subject: String = claims.sub.chars().filter(|c| !c.is_control()).take(MAX_SUBJECT_CHARACTERS).collect();
        // Sessions and conversations belong to this name, so two subjects never have the same one. A subject that contains the
        // mark could be the name of another.
        if subject != claims.sub || subject.contains('~') {
            let hash = Sha256::digest(claims.sub.as_bytes());
            subject.push('~');
            subject.extend(hash.iter().take(16).map(|byte| format!("{byte:02x}")));
        }
        Ok(Grant {
            key: format!("oauth:{subject}"),
            sources: self.config.sources.clone(),
            tools: self.config.tools.clone(),
            user_id,
            metrics: None,
            tokens: None,
        })
    }

    /// The key with this id. A token without a key id is accepted only if the set has exactly one key.
    fn key(&self, id: Option<&str>) -> Option<Jwk> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        match (id, keys.keys.as_slice()) {
            (Some(id), _) => keys.find(id).cloned(),
            (None, [only]) => Some(only.clone()),
            (None, _) => None,
        }
    }

    /// Reads the keys, unless the last attempt was less than `age` or less than [`MIN_PAUSE`] ago.
    async fn read(&self, age: Duration) -> Result<(), String> {
        self.read_unless(Arc::clone(&self.read_at).lock_owned().await, age).await
    }

    async fn read_unless(
        &self,
        mut read_at: tokio::sync::OwnedMutexGuard<Option<Instant>>,
        age: Duration,
    ) -> Result<(), String> {
        if read_at.is_some_and(|at| at.elapsed() < age.max(MIN_PAUSE)) {
            return Ok(());
        }
        let (from, keys) = (self.config.keys.clone(), Arc::clone(&self.keys));
        // A caller who goes away does not end the reading. Otherwise the next one would come after `age`.
        let reading = tokio::spawn(async move {
            *read_at = Some(Instant::now());
            let set = read_from(&from).await?;
            *keys.write().unwrap_or_else(PoisonError::into_inner) = set;
            Ok(())
        });
        reading.await.unwrap_or_else(|_| Err("the keys of http.oauth cannot be read".into()))
    }

    /// The value of `WWW-Authenticate` for a request without an accepted token.
    pub(super) fn challenge(&self, fault: Option<Fault>) -> String {
        let mut challenge = format!("Bearer resource_metadata=\"{}\"", self.metadata_url());
        match fault {
            None => {}
            Some(Fault::Token) => challenge += ", error=\"invalid_token\"",
            Some(Fault::Scope) => challenge += ", error=\"insufficient_scope\"",
        }
        if let Some(scope) = &self.config.scope {
            challenge += &format!(", scope=\"{}\"", scope.replace(['"', '\\'], ""));
        }
        challenge
    }

    fn metadata_url(&self) -> String {
        let origin = self.config.resource.origin().ascii_serialization();
        format!("{origin}/.well-known/oauth-protected-resource{}", self.config.resource.path().trim_end_matches('/'))
    }
}

async fn read_from(from: &JwksFrom) -> Result<JwkSet, String> {
    let text = match from {
        JwksFrom::File(path) => {
            tokio::fs::read(path).await.map_err(|error| format!("http.oauth.jwks_file: {error}"))?
        }
        JwksFrom::Url(url) => match tokio::time::timeout(TIME_LIMIT, fetched(url)).await {
            Ok(fetched) => fetched.map_err(|error| format!("http.oauth.jwks_url: {error}"))?,
            Err(_) => return Err("http.oauth.jwks_url does not answer in time".into()),
        },
    };
    // An issuer may publish keys of kinds that are not known here, or for encryption. They are left out.
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<Value>,
    }
    let set: Set = serde_json::from_slice(&text).map_err(|_| "the keys of http.oauth are not a JSON Web Key Set")?;
    let signs = |key: &Value| key.get("use").is_none_or(|used| used.is_null() || used == "sig");
    let keys = set.keys.into_iter().filter(signs).filter_map(|key| serde_json::from_value(key).ok()).collect();
    Ok(JwkSet { keys })
}

async fn fetched(url: &url::Url) -> Result<Vec<u8>, String> {
    let client = crate::http::client(url.scheme() == "https")?;
    let uri = url.as_str().parse().map_err(|_| "it is no URL".to_owned())?;
    let response = client.get(uri).await.map_err(|error| error.to_string())?;
    if response.status() != StatusCode::OK {
        return Err(format!("it answers {}", response.status()));
    }
    let body = Limited::new(response.into_body(), MAX_JWKS_BYTES).collect().await.map_err(|error| error.to_string())?;
    Ok(body.to_bytes().to_vec())
}

/// `GET /.well-known/oauth-protected-resource`: who issues tokens for this server.
pub(super) async fn metadata(State(api): State<Arc<Api>>) -> Response {
    let Some(issuer) = &api.issuer else { return super::routes::nowhere().await };
    let config = &issuer.config;
    let scopes: Vec<&String> = config.scope.iter().collect();
    let document = json!({
        "resource": config.resource.as_str(), "authorization_servers": [config.issuer], "scopes_supported": scopes,
        "bearer_methods_supported": ["header"], "resource_name": "TUDB",
    });
    reply::json(StatusCode::OK, document.to_string())
}

/// Verifies signatures with `ring`, which TLS needs anyway. TUDB signs nothing.
static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(jsonwebtoken::errors::ErrorKind::InvalidAlgorithm.into()),
    verifier_factory: |algorithm, key| Ok(Box::new(RingVerifier { algorithm: *algorithm, key: key.clone() })),
    key_utils: KeyUtils::new_unimplemented(),
};

struct RingVerifier {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), SignatureError> {
        use ring::signature::*;
        let bytes = || self.key.try_get_as_bytes().map_err(|_| SignatureError::new());
        let by_bytes = |algorithm: &'static dyn VerificationAlgorithm| {
            UnparsedPublicKey::new(algorithm, bytes()?).verify(message, signature).map_err(|_| SignatureError::new())
        };
        let rsa = match self.algorithm {
            Algorithm::RS256 => &RSA_PKCS1_2048_8192_SHA256,
            Algorithm::RS384 => &RSA_PKCS1_2048_8192_SHA384,
            Algorithm::RS512 => &RSA_PKCS1_2048_8192_SHA512,
            Algorithm::PS256 => &RSA_PSS_2048_8192_SHA256,
            Algorithm::PS384 => &RSA_PSS_2048_8192_SHA384,
            Algorithm::PS512 => &RSA_PSS_2048_8192_SHA512,
            Algorithm::ES256 => return by_bytes(&ECDSA_P256_SHA256_FIXED),
            Algorithm::ES384 => return by_bytes(&ECDSA_P384_SHA384_FIXED),
            Algorithm::EdDSA => return by_bytes(&ED25519),
            // HMAC, and algorithms that a later version of the crate may add.
            _ => return Err(SignatureError::new()),
        };
        match self.key.kind() {
            DecodingKeyKind::RsaModulusExponent { n, e } => {
                let key = RsaPublicKeyComponents { n, e };
                key.verify(rsa, message, signature).map_err(|_| SignatureError::new())
            }
            DecodingKeyKind::SecretOrDer(_) => Err(SignatureError::new()),
        }
    }
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
