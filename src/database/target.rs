//! From a source's settings to an engine's connect options. Pure, but for reading a password file or running a
//! password command. Never shows a value: errors name the part that is wrong.

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::sqlite::SqliteConnectOptions;
use url::Url;

use super::presets::{self, Preset};
use crate::config::{PasswordFrom, SourceConfig};
use crate::dialect::Dialect;
use crate::secret::Secret;

/// Where a source's data is.
#[derive(Debug)]
pub enum Target {
    /// The embedded sample.
    Sample,
    Sqlite(Box<SqliteConnectOptions>),
    Postgres(Box<PostgresTarget>),
}

/// A PostgreSQL server and what its provider says about it.
#[derive(Debug)]
pub struct PostgresTarget {
    pub options: PgConnectOptions,
    pub preset: &'static Preset,
    /// Behind a pooler in transaction mode.
    pub pooled: bool,
}

/// The grammar that the source's URL and provider tell. Reads no password, so it may be asked at any time.
///
/// # Errors
///
/// One sentence that names what is wrong, without the value.
pub fn dialect(source: &SourceConfig) -> Result<Dialect, String> {
    if let Some(provider) = &source.provider
        && !presets::NAMES.contains(&provider.as_str())
    {
        return Err(format!("provider must be one of {}", presets::NAMES.join(", ")));
    }
    let Some(url) = &source.url else { return Ok(Dialect::Sqlite) };
    let text = url.reveal().trim();
    match text.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase()).as_deref() {
        Some("postgres" | "postgresql") => Ok(Dialect::Postgresql),
        Some("sqlite" | "file") => Ok(Dialect::Sqlite),
        _ if source.provider.as_deref() == Some("sqlite") || text.ends_with(".db") || text.ends_with(".sqlite") => {
            Ok(Dialect::Sqlite)
        }
        _ => Err("its url must begin with postgres://, postgresql:// or sqlite://".into()),
    }
}

/// Everything that connecting needs, the password included.
///
/// # Errors
///
/// One sentence that names what is wrong, without the value.
pub fn resolve(source: &SourceConfig) -> Result<Target, String> {
    let dialect = dialect(source)?;
    let Some(url) = &source.url else { return Ok(Target::Sample) };
    let text = url.reveal().trim();
    match dialect {
        Dialect::Postgresql => postgres(text, source).map(|target| Target::Postgres(Box::new(target))),
        Dialect::Sqlite => Ok(Target::Sqlite(Box::new(sqlite(text)))),
    }
}

/// `sqlite://path`, `sqlite:path`, `file:path` or the path itself; a query such as `?mode=ro` is not needed and ignored.
fn sqlite(text: &str) -> SqliteConnectOptions {
    let scheme =
        text.split_once(':').filter(|(scheme, _)| ["sqlite", "file"].contains(&scheme.to_ascii_lowercase().as_str()));
    let Some((_, path)) = scheme else { return SqliteConnectOptions::new().filename(text) };
    let path = path.strip_prefix("//").unwrap_or(path);
    let path = path.split('?').next().unwrap_or(path);
    SqliteConnectOptions::new().filename(path)
}

fn postgres(text: &str, source: &SourceConfig) -> Result<PostgresTarget, String> {
    let url = Url::parse(text).map_err(|_| {
        "its url cannot be read; percent-encode special characters of user and password (@ is %40, # is %23, / is %2F)"
            .to_owned()
    })?;
    let mut host = url.host_str().unwrap_or("localhost").trim_matches(['[', ']']).to_owned();
    let mut port = url.port().unwrap_or(5432);
    let decoded = |part: &str| urlencoding(part).ok_or_else(|| "its url holds a broken percent-encoding".to_owned());
    // Never sent at start-up: a stock PgBouncer refuses the connection for it.
    let mut options = PgConnectOptions::new_without_pgpass().extra_float_digits(None).application_name("tudb");
    let mut tls = None;
    let mut pooled = false;
    let mut socket = None;
    for (key, value) in url.query_pairs() {
        match key.as_ref() {
            "sslmode" | "ssl-mode" => {
                tls = Some(value.parse::<PgSslMode>().map_err(|_| {
                    "its sslmode must be disable, allow, prefer, require, verify-ca or verify-full".to_owned()
                })?);
            }
            "sslrootcert" | "ssl-root-cert" => options = options.ssl_root_cert(value.as_ref()),
            "sslcert" => options = options.ssl_client_cert(value.as_ref()),
            "sslkey" => options = options.ssl_client_key(value.as_ref()),
            "host" if value.starts_with('/') => socket = Some(value.into_owned()),
            "host" | "hostaddr" => host = value.into_owned(),
            "port" => port = value.parse().map_err(|_| "its port must be a number".to_owned())?,
            "user" => options = options.username(&value),
            "password" => options = options.password(&value),
            // How such URLs commonly say that a transaction pooler stands in between.
            "pgbouncer" => pooled = value == "true",
            "dbname" => options = options.database(&value),
            // Known to libpq or to other clients and without effect here.
            "channel_binding"
            | "connect_timeout"
            | "application_name"
            | "connection_limit"
            | "pool_timeout"
            | "target_session_attrs"
            | "gssencmode"
            | "sslnegotiation"
            | "schema"
            | "supa"
            | "uselibpqcompat"
            | "workaround"
            | "options" => {
                tracing::info!(source = source.name, key = key.as_ref(), "this url parameter has no effect");
            }
            _ => tracing::warn!(source = source.name, key = key.as_ref(), "unknown url parameter"),
        }
    }
    if !url.username().is_empty() {
        options = options.username(&decoded(url.username())?);
    }
    if let Some(password) = url.password() {
        options = options.password(&decoded(password)?);
    }
    let database = decoded(url.path().trim_start_matches('/'))?;
    if !database.is_empty() {
        options = options.database(&database);
    }
    if let Some(password) = source.password.as_ref().map(read_password).transpose()? {
        options = options.password(password.reveal());
    }
    let preset = match &source.provider {
        Some(name) => presets::by_name(name).ok_or("its provider is sqlite, but its url is PostgreSQL's")?,
        None => presets::by_host(&host),
    };
    let loopback = host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    let local = socket.is_some() || host == "localhost" || loopback;
    let tls = tls.unwrap_or_else(|| match preset.tls {
        Some(tls) => tls.into(),
        None if local => PgSslMode::Prefer,
        None => PgSslMode::Require,
    });
    options = options.host(&host).port(port).ssl_mode(tls).disable_statement_logging();
    if let Some(directory) = socket {
        options = options.socket(directory);
    }
    let pooled = pooled || presets::is_transaction_pooler(&host, port);
    Ok(PostgresTarget { options, preset, pooled })
}

/// Undoes percent-encoding; `None` when the result is not UTF-8.
fn urlencoding(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first == b'%'
            && let Some((digits, tail)) = tail.split_at_checked(2)
            && let Some(byte) = std::str::from_utf8(digits).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok())
        {
            bytes.push(byte);
            rest = tail;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

fn read_password(from: &PasswordFrom) -> Result<Secret, String> {
    match from {
        PasswordFrom::File(path) => std::fs::read_to_string(path)
            .map(|text| Secret::new(text.trim_end_matches(['\r', '\n'])))
            .map_err(|error| format!("its password_file cannot be read: {error}")),
        PasswordFrom::Command(command) => {
            let [program, arguments @ ..] = command.as_slice() else {
                return Err("its password_command is empty".into());
            };
            let output = std::process::Command::new(program)
                .args(arguments)
                .stdin(std::process::Stdio::null())
                .output()
                .map_err(|error| format!("its password_command cannot be started: {error}"))?;
            if !output.status.success() {
                return Err(format!("its password_command failed with {}", output.status));
            }
            String::from_utf8(output.stdout)
                .map(|text| Secret::new(text.trim_end_matches(['\r', '\n'])))
                .map_err(|_| "its password_command printed something that is not UTF-8".into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Environment};

    fn source(url: &str) -> SourceConfig {
        let env: Environment = [("TUDB_DATABASE_URL".to_owned(), url.to_owned())].into();
        Config::load(None, &env).unwrap().sources.remove(0)
    }

    #[test]
    fn urls_become_options() {
        let cases = [
            ("postgres://u:p%40ss@h:1/d", "h", 1, "u", Some("d"), "Require"),
            (
                "postgresql://u@localhost/d?sslmode=disable&channel_binding=require",
                "localhost",
                5432,
                "u",
                Some("d"),
                "Disable",
            ),
            ("postgres://u@[::1]:7/d", "::1", 7, "u", Some("d"), "Prefer"),
            ("postgres://u@ep-x.aws.neon.tech/d", "ep-x.aws.neon.tech", 5432, "u", Some("d"), "VerifyFull"),
        ];
        for (url, host, port, user, database, tls) in cases {
            let Target::Postgres(target) = resolve(&source(url)).unwrap() else { panic!("{url}") };
            assert_eq!(target.options.get_host(), host);
            assert_eq!(target.options.get_port(), port);
            assert_eq!(target.options.get_username(), user);
            assert_eq!(target.options.get_database(), database);
            assert_eq!(format!("{:?}", target.options.get_ssl_mode()), tls, "{url}");
        }
        assert!(matches!(resolve(&source("sqlite:///tmp/a.db")).unwrap(), Target::Sqlite(_)));
        assert!(matches!(resolve(&source("/tmp/a.db")).unwrap(), Target::Sqlite(_)));
        let error = resolve(&source("mysql://u:s3cret@h/d")).unwrap_err();
        assert!(!error.contains("s3cret"), "{error}");
    }

    #[test]
    fn percent_encoding_is_undone() {
        assert_eq!(urlencoding("a%40%C3%A9%zz%").as_deref(), Some("a@é%zz%"));
        assert_eq!(urlencoding("%ff"), None);
    }
}
