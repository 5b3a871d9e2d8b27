//! Passwords that are read again while TUDB runs. A password comes from a file, from the output of a command, or is an
//! AWS RDS token. Tokens are signed here and expire after fifteen minutes. New connections get the newest password.
//! Errors never contain a password.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use url::Url;

use crate::config::{PasswordFrom, RdsIam};
use crate::secret::Secret;

/// How long a password is used before it is read again.
const USED_FOR: Duration = Duration::from_secs(300);

/// Longest wait for a command, and for AWS's credentials.
const TIME_LIMIT: Duration = Duration::from_secs(20);

/// Lifetime of a token. The service allows no longer lifetime.
const TOKEN_LIVES: Duration = Duration::from_secs(900);

/// Where a source's password comes from, and when it was last read.
#[derive(Debug)]
pub(super) struct PasswordSource {
    from: PasswordFrom,
    asked_at: Mutex<Option<Instant>>,
}

impl PasswordSource {
    pub(super) fn new(from: PasswordFrom) -> Self {
        PasswordSource { from, asked_at: Mutex::new(None) }
    }

    /// Returns a new password if the current one is older than [`USED_FOR`], or if `anew` says that the server refused
    /// it.
    ///
    /// # Errors
    ///
    /// One sentence that names the problem and no value.
    pub(super) async fn fresh(&self, host: &str, port: u16, user: &str, anew: bool) -> Result<Option<Secret>, String> {
        let asked_at = || self.asked_at.lock().unwrap_or_else(PoisonError::into_inner);
        if !anew && asked_at().is_some_and(|at| at.elapsed() < USED_FOR) {
            return Ok(None);
        }
        let password = match &self.from {
            PasswordFrom::File(path) => std::fs::read_to_string(path)
                .map(|text| Secret::new(text.trim_end_matches(['\r', '\n'])))
                .map_err(|error| format!("its password_file cannot be read: {error}"))?,
            PasswordFrom::Command(command) => run(command, TIME_LIMIT).await?,
            PasswordFrom::RdsIam(iam) => {
                let host = iam.sign_host.as_deref().unwrap_or(host);
                tokio::time::timeout(TIME_LIMIT, token(iam, host, port, user))
                    .await
                    .map_err(|_| "AWS's credentials did not come in time".to_owned())??
            }
        };
        *asked_at() = Some(Instant::now());
        Ok(Some(password))
    }
}

/// Returns the output of a command without the line break at its end.
async fn run(command: &[String], patience: Duration) -> Result<Secret, String> {
    let text = crate::command::output("its password_command", command, patience).await?;
    Ok(Secret::new(text.trim_end_matches(['\r', '\n'])))
}

/// Returns a token for `rds-db:connect`, signed with the credentials of AWS's credential chain. The service is not
/// called.
async fn token(iam: &RdsIam, host: &str, port: u16, user: &str) -> Result<Secret, String> {
    let http = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http);
    if let Some(region) = iam.region.clone().or_else(|| region_of(host)) {
        loader = loader.region(Region::new(region));
    }
    if let Some(profile) = &iam.profile {
        loader = loader.profile_name(profile);
    }
    let chain = loader.load().await;
    let region = chain.region().ok_or("the region for the token is not known: set region")?.clone();
    let provider = chain.credentials_provider().ok_or("no AWS credentials are configured for its token")?;
    let credentials = provider
        .provide_credentials()
        .await
        .map_err(|_| "no AWS credentials were found for its token (AWS_PROFILE, keys, or a role)".to_owned())?;
    signed(&credentials.into(), region.as_ref(), host, port, user, SystemTime::now())
}

/// Returns the password: a signed URL without its scheme. The signature is for a GET without a body. It is a signature
/// of version 4, and is in the query of the URL.
fn signed(
    identity: &aws_smithy_runtime_api::client::identity::Identity,
    region: &str,
    host: &str,
    port: u16,
    user: &str,
    now: SystemTime,
) -> Result<Secret, String> {
    let wrong = || "its token could not be signed".to_owned();
    let mut url = Url::parse(&format!("https://{host}:{port}/")).map_err(|_| wrong())?;
    url.query_pairs_mut().append_pair("Action", "connect").append_pair("DBUser", user);
    let mut settings = SigningSettings::default();
    settings.expires_in = Some(TOKEN_LIVES);
    settings.signature_location = SignatureLocation::QueryParams;
    let parameters = v4::SigningParams::builder()
        .identity(identity)
        .region(region)
        .name("rds-db")
        .time(now)
        .settings(settings)
        .build()
        .map_err(|_| wrong())?
        .into();
    let request = SignableRequest::new("GET", url.as_str(), std::iter::empty(), SignableBody::Bytes(&[]));
    let (instructions, _) = sign(request.map_err(|_| wrong())?, &parameters).map_err(|_| wrong())?.into_parts();
    for (name, value) in instructions.params() {
        url.query_pairs_mut().append_pair(name, value);
    }
    // The port is written even if it is the default port of the scheme.
    Ok(Secret::new(format!("{host}:{port}/?{}", url.query().unwrap_or_default())))
}

/// Returns the label before `rds`: `eu-west-1` in `shop.abc.eu-west-1.rds.amazonaws.com`.
fn region_of(host: &str) -> Option<String> {
    let labels: Vec<&str> = host.split('.').collect();
    let at = labels.iter().position(|label| *label == "rds")?;
    labels.get(at.checked_sub(1)?).map(|label| (*label).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_command_that_is_late_is_killed() {
        let mark = std::env::temp_dir().join(format!("tudb-late-{}", uuid::Uuid::now_v7()));
        let script = format!("sleep 0.6; touch {}", mark.display());
        let command = ["sh", "-c", &script].map(str::to_owned);
        let late = run(&command, Duration::from_millis(100)).await;
        assert!(late.is_err_and(|problem| problem.contains("was killed")));
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        assert!(!mark.exists());
        let command = ["sh", "-c", "echo s3cret"].map(str::to_owned);
        assert_eq!(run(&command, Duration::from_secs(5)).await.unwrap().reveal(), "s3cret");
    }
    use aws_credential_types::Credentials;

    /// AWS's own signer for Python, at a fixed moment.
    const ORACLE: &str = "
import datetime, sys, botocore.auth, botocore.session
class Then(datetime.datetime):
    @classmethod
    def utcnow(cls):
        return cls(2026, 1, 2, 3, 4, 5)
    @classmethod
    def now(cls, tz=None):
        return cls(2026, 1, 2, 3, 4, 5, tzinfo=tz)
for name in ('get_current_datetime',):
    if hasattr(botocore.auth, name):
        setattr(botocore.auth, name, lambda *a, **k: datetime.datetime(2026, 1, 2, 3, 4, 5))
botocore.auth.datetime = type('m', (), {'datetime': Then, 'timezone': datetime.timezone})
session = botocore.session.Session()
session.set_credentials('AKIDEXAMPLE', 's3cret/key', *sys.argv[5:])
client = session.create_client('rds', region_name=sys.argv[1])
print(client.generate_db_auth_token(DBHostname=sys.argv[2], Port=int(sys.argv[3]), DBUsername=sys.argv[4]))
";

    #[test]
    #[ignore = "needs servers or clients: tests/run"]
    fn a_token_is_what_awss_own_signer_makes() {
        let Ok(tools) = std::env::var("TEST_CLIENTS") else { panic!("start the tests with tests/run") };
        // 2026-01-02 03:04:05 UTC.
        let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_323_045);
        for (region, host, port, user, session) in [
            ("eu-west-1", "shop.abc.eu-west-1.rds.amazonaws.com", 5432, "reader", None),
            (
                "us-east-2",
                "shop.cluster-ro-abc.us-east-2.rds.amazonaws.com",
                443,
                "re+ader@x y",
                Some("session/token="),
            ),
        ] {
            let credentials = Credentials::new("AKIDEXAMPLE", "s3cret/key", session.map(str::to_owned), None, "test");
            let ours = signed(&credentials.into(), region, host, port, user, moment).unwrap();
            let mut oracle = std::process::Command::new(std::path::Path::new(&tools).join("python-strands/bin/python"));
            oracle.args(["-c", ORACLE, region, host, &port.to_string(), user]).args(session);
            let output = oracle.output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let theirs = String::from_utf8(output.stdout).unwrap();
            let parts = |token: &str| -> (String, std::collections::BTreeMap<String, String>) {
                let (place, _) = token.split_once("/?").unwrap();
                let url = Url::parse(&format!("https://{}", token.trim())).unwrap();
                (place.to_owned(), url.query_pairs().into_owned().collect())
            };
            assert_eq!(parts(ours.reveal()), parts(&theirs));
        }
        assert_eq!(region_of("shop.abc.eu-west-1.rds.amazonaws.com").as_deref(), Some("eu-west-1"));
        assert_eq!(region_of("localhost"), None);
    }
}
