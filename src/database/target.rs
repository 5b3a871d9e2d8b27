//! Converts the settings of a source into connect options. Reads libpq's files and never connects. The engine itself
//! reads a password that changes (file, command, token). Errors name the setting that is wrong and never show a value.

use std::path::{Path, PathBuf};

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::dsn::{self, Dsn};
use super::presets::{self, Preset};
use crate::config::{PasswordFrom, PgEnvironment, SourceConfig};
use crate::dialect::Dialect;

/// Where the data of a source is.
#[derive(Debug)]
pub enum Target {
    /// The embedded sample.
    Sample,
    Sqlite {
        path: PathBuf,
        /// True for `?immutable=1`, which promises that nobody writes to the file. It is then read without locks and
        /// without its `-wal`.
        is_immutable: bool,
    },
    Postgres(Box<PostgresTarget>),
}

/// A PostgreSQL server and the facts about its provider.
#[derive(Debug)]
pub struct PostgresTarget {
    /// Endpoints in the order in which they are tried: each host of a list, with the fallbacks of `allow` and `prefer`.
    pub endpoints: Vec<PgConnectOptions>,
    /// True if an endpoint has to be chosen before the first use, because the first endpoint of the list may not work
    /// or may have the wrong role.
    pub choose_first: bool,
    pub role: ServerRole,
    pub preset: &'static Preset,
    /// True behind a pooler in transaction mode.
    pub pooled: bool,
    /// True if the settings or the host names show that there is no such pooler.
    pub direct: bool,
    pub has_password: bool,
    /// The `sslmode`; `None` for a server on this machine, where it does not matter.
    pub sslmode: Option<&'static str>,
    /// The first endpoint as a text without a secret, for `doctor` and the log.
    pub place: String,
}

impl PostgresTarget {
    /// Returns the first endpoint, for commands that connect once.
    pub fn first(&self) -> &PgConnectOptions {
        // `postgres` below makes at least one endpoint.
        static NONE: std::sync::LazyLock<PgConnectOptions> =
            std::sync::LazyLock::new(PgConnectOptions::new_without_pgpass);
        self.endpoints.first().unwrap_or(&NONE)
    }
}

/// The wanted role of a server: `target_session_attrs` of libpq.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerRole {
    Any,
    Primary,
    Standby,
    PreferStandby,
}

impl ServerRole {
    fn of(text: Option<&str>) -> Result<Self, String> {
        Ok(match text.unwrap_or("any") {
            "any" => ServerRole::Any,
            // All sessions of TUDB are read-only, so `read-write` means a server that accepts writes from others.
            "read-write" | "primary" => ServerRole::Primary,
            "read-only" | "standby" => ServerRole::Standby,
            "prefer-standby" => ServerRole::PreferStandby,
            _ => {
                return Err("its target_session_attrs must be any, read-write, read-only, primary, standby or \
                            prefer-standby"
                    .into());
            }
        })
    }
}

/// Returns the SQL dialect of a source by its URL and provider. Reads no password, so it may be called at any time.
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
    if dsn::is_dsn(text) {
        return Ok(Dialect::Postgresql);
    }
    match text.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase()).as_deref() {
        Some("sqlite" | "file") => Ok(Dialect::Sqlite),
        _ if source.provider.as_deref() == Some("sqlite") || has_sqlite_ending(text) || Path::new(text).is_file() => {
            Ok(Dialect::Sqlite)
        }
        _ => {
            Err("its url must begin with postgres://, postgresql:// or sqlite://, be keywords such as host=db, or be a path \
                 that ends in .db, .db3, .sqlite or .sqlite3"
                .into())
        }
    }
}

/// True if a path ends as the names of SQLite files usually do.
pub fn has_sqlite_ending(path: &str) -> bool {
    [".db", ".db3", ".sqlite", ".sqlite3"].iter().any(|ending| path.ends_with(ending))
}

/// Returns the connect options of a source, with the password if the string or libpq's files contain it.
///
/// # Errors
///
/// One sentence that names what is wrong, without the value.
pub fn resolve(source: &SourceConfig) -> Result<Target, String> {
    let dialect = dialect(source)?;
    const NO_USERS: &str = "its user table needs PostgreSQL: SQLite has no row-level security";
    let Some(url) = &source.url else {
        return if source.user.is_some() { Err(NO_USERS.into()) } else { Ok(Target::Sample) };
    };
    let text = url.reveal().trim();
    match dialect {
        Dialect::Postgresql => postgres(text, source).map(|target| Target::Postgres(Box::new(target))),
        Dialect::Sqlite if source.user.is_some() => Err(NO_USERS.into()),
        Dialect::Sqlite => Ok(sqlite(text, source)),
    }
}

/// `sqlite://path`, `sqlite:path`, `file:path` or the path itself, with parameters as in <https://sqlite.org/uri.html>.
fn sqlite(text: &str, source: &SourceConfig) -> Target {
    let scheme =
        text.split_once(':').filter(|(scheme, _)| ["sqlite", "file"].contains(&scheme.to_ascii_lowercase().as_str()));
    let Some((_, path)) = scheme else { return Target::Sqlite { path: text.into(), is_immutable: false } };
    let path = path.strip_prefix("//").unwrap_or(path);
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    // Some programs write four slashes before an absolute path. In a URI, the second pair would begin a host name.
    let path =
        path.strip_prefix("//").map_or_else(|| path.to_owned(), |path| format!("/{}", path.trim_start_matches('/')));
    let mut is_immutable = false;
    for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match (key.as_ref(), value.as_ref()) {
            ("immutable", value) => is_immutable = ["1", "true", "yes", "on"].contains(&value),
            ("mode", "ro") => {}
            (key, _) => tracing::warn!(source = source.name, key, "this parameter of the path has no effect"),
        }
    }
    // If a file has exactly this name, it is meant, even if the name has a per cent sign. Otherwise the
    // percent-encoding is decoded.
    let mut path = PathBuf::from(path);
    if !path.exists() {
        path = percent_encoding::percent_decode_str(&path.to_string_lossy()).decode_utf8_lossy().into_owned().into();
    }
    Target::Sqlite { path, is_immutable }
}

fn postgres(text: &str, source: &SourceConfig) -> Result<PostgresTarget, String> {
    let env = &source.pg_environment;
    let dsn = dsn::read(text, env)?;
    for key in &dsn.unknown {
        tracing::warn!(source = source.name, key, "unknown parameter of the connection string");
    }
    for key in &dsn.without_effect {
        tracing::info!(source = source.name, key, "this parameter of the connection string has no effect");
    }
    let first = dsn.hosts.first().ok_or("it names no host")?;
    let preset = match &source.provider {
        Some(name) => presets::by_name(name).ok_or("its provider is sqlite, but its url is PostgreSQL's")?,
        None => presets::by_host(&first.name),
    };
    let tls = Tls::of(&dsn, preset, presets::rds_roots(&first.name).is_some(), env)?;
    if matches!(source.password, Some(PasswordFrom::RdsIam(_))) && ["disable", "allow", "prefer"].contains(&tls.mode) {
        return Err("its token would be sent unencrypted: set sslmode=require or verify-full".into());
    }
    // `pgbouncer=true` is the common way to say that a transaction pooler stands in between.
    let said = dsn.value("pgbouncer").map(|value| value == "true");
    let pooled = said.unwrap_or_else(|| presets::is_transaction_pooler(&first.name, first.port));
    let options = dsn.value("options").filter(|_| !pooled);
    if dsn.value("options").is_some() && pooled {
        tracing::warn!(source = source.name, "options of the connection string are not sent: a pooler refuses them");
    }
    let mut endpoints = Vec::new();
    for host in &dsn.hosts {
        for mode in tls.modes() {
            // extra_float_digits is never sent at start-up, because a stock PgBouncer refuses a connection that sends
            // it.
            let mut endpoint = with_options(options)?.extra_float_digits(None).application_name("tudb");
            // With verify-full, the driver compares the certificate with the host that it connects to. So it has to
            // connect by the name, even if an address is given.
            let place = if tls.mode == "verify-full" { &host.name } else { host.place() };
            endpoint = endpoint.host(place).port(host.port).username(&dsn.user).database(&dsn.database).ssl_mode(mode);
            if host.is_socket() {
                endpoint = endpoint.socket(&host.name);
            }
            if let Some(password) = &dsn.password {
                endpoint = endpoint.password(password.reveal());
            }
            if let Some(root) = &tls.root {
                endpoint = endpoint.ssl_root_cert(root);
            } else if let Some(roots) = presets::rds_roots(&host.name) {
                endpoint = endpoint.ssl_root_cert_from_pem(roots.into());
            }
            if let Some((certificate, key)) = &tls.client {
                endpoint = endpoint.ssl_client_cert(certificate).ssl_client_key(key);
            }
            endpoints.push(endpoint.disable_statement_logging());
        }
    }
    let role = ServerRole::of(dsn.value("target_session_attrs"))?;
    let direct = !pooled && (said.is_some() || dsn.hosts.iter().all(|host| presets::is_direct(&host.name, host.port)));
    let place = format!(
        "{}:{} database {} as {}, sslmode {}{} ({})",
        first.name,
        first.port,
        dsn.database,
        dsn.user,
        tls.mode,
        match (pooled, direct) {
            (true, _) => ", transaction pooler",
            (false, true) => ", direct",
            (false, false) => "",
        },
        preset.name
    );
    let choose_first = dsn.hosts.len() > 1 || role != ServerRole::Any;
    Ok(PostgresTarget {
        endpoints,
        choose_first,
        role,
        preset,
        pooled,
        direct,
        has_password: dsn.password.is_some() || source.password.is_some(),
        sslmode: (!dsn.is_local()).then_some(tls.mode),
        place,
    })
}

/// Connect options with libpq's `options`, which are sent unchanged. The driver accepts the unchanged text only in a
/// URL.
fn with_options(options: Option<&str>) -> Result<PgConnectOptions, String> {
    let Some(options) = options else { return Ok(PgConnectOptions::new_without_pgpass()) };
    let encoded = percent_encoding::utf8_percent_encode(options, percent_encoding::NON_ALPHANUMERIC);
    format!("postgres://localhost?options={encoded}").parse().map_err(|_| "its options cannot be read".to_owned())
}

/// The meaning of the TLS keys of a connection string in libpq.
#[derive(Debug, PartialEq, Eq)]
struct Tls {
    mode: &'static str,
    root: Option<PathBuf>,
    client: Option<(PathBuf, PathBuf)>,
}

impl Tls {
    /// `has_roots` is true if the binary contains the root certificates for the first host.
    fn of(dsn: &Dsn, preset: &Preset, has_roots: bool, env: &PgEnvironment) -> Result<Tls, String> {
        const MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];
        let existing = |path: Option<PathBuf>| path.filter(|path| path.is_file());
        let mut mode = match dsn.value("sslmode") {
            Some(given) => *MODES
                .iter()
                .find(|mode| **mode == given)
                .ok_or("its sslmode must be disable, allow, prefer, require, verify-ca or verify-full")?,
            None if has_roots => "verify-full",
            None => preset.tls.unwrap_or(if dsn.is_local() { "prefer" } else { "require" }),
        };
        let root = match dsn.value("sslrootcert") {
            // `system` means the public roots. A certificate signed by one of them proves nothing unless its name is
            // verified.
            Some("system") => {
                if ["disable", "allow", "prefer", "require", "verify-ca"].contains(&mode)
                    && dsn.value("sslmode").is_some()
                {
                    return Err("its sslrootcert=system goes with sslmode=verify-full only".into());
                }
                mode = "verify-full";
                None
            }
            Some(path) => {
                let path = PathBuf::from(path);
                if mode.starts_with("verify") && !path.is_file() {
                    return Err("the file of its sslrootcert cannot be found".into());
                }
                existing(Some(path))
            }
            None => existing(env.home(".postgresql/root.crt")),
        };
        // If a root is given, libpq verifies the certificate with `require` too; the driver would not.
        if mode == "require" && root.is_some() {
            mode = "verify-ca";
        }
        let path = |key: &str, name: &str| match dsn.value(key) {
            Some(path) => Some(PathBuf::from(path)),
            None => existing(env.home(name)),
        };
        let client = match (path("sslcert", ".postgresql/postgresql.crt"), path("sslkey", ".postgresql/postgresql.key"))
        {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            (Some(_), None) => return Err("its sslcert needs an sslkey".into()),
            (None, Some(_)) => return Err("its sslkey needs an sslcert".into()),
        };
        Ok(Tls { mode, root, client })
    }

    /// Returns the modes to try, in this order.
    fn modes(&self) -> Vec<PgSslMode> {
        match self.mode {
            "disable" => vec![PgSslMode::Disable],
            "allow" => vec![PgSslMode::Disable, PgSslMode::Require],
            "prefer" => vec![PgSslMode::Prefer, PgSslMode::Disable],
            "require" => vec![PgSslMode::Require],
            "verify-ca" => vec![PgSslMode::VerifyCa],
            _ => vec![PgSslMode::VerifyFull],
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
            (
                "postgres://u@d.a.eu-west-1.rds.amazonaws.com/d",
                "d.a.eu-west-1.rds.amazonaws.com",
                5432,
                "u",
                Some("d"),
                "VerifyFull",
            ),
            (
                "postgres://u@d.a.mars-1.rds.amazonaws.com/d",
                "d.a.mars-1.rds.amazonaws.com",
                5432,
                "u",
                Some("d"),
                "Require",
            ),
            (
                "postgres://u@d.a.eu-west-1.rds.amazonaws.com/d?sslmode=require",
                "d.a.eu-west-1.rds.amazonaws.com",
                5432,
                "u",
                Some("d"),
                "Require",
            ),
            ("postgres://u@ep-x.aws.neon.tech/d", "ep-x.aws.neon.tech", 5432, "u", Some("d"), "VerifyFull"),
        ];
        for (url, host, port, user, database, tls) in cases {
            let Target::Postgres(target) = resolve(&source(url)).unwrap() else { panic!("{url}") };
            let endpoint = &target.endpoints[0];
            assert_eq!(endpoint.get_host(), host);
            assert_eq!(endpoint.get_port(), port);
            assert_eq!(endpoint.get_username(), user);
            assert_eq!(endpoint.get_database(), database);
            assert_eq!(format!("{:?}", endpoint.get_ssl_mode()), tls, "{url}");
        }
        for url in ["sqlite:///tmp/a.db", "sqlite:////tmp/a.db", "/tmp/a.db"] {
            let Target::Sqlite { path, .. } = resolve(&source(url)).unwrap() else { panic!("{url}") };
            assert_eq!(path, PathBuf::from("/tmp/a.db"), "{url}");
        }
        assert!(matches!(resolve(&source("/tmp/a.db")).unwrap(), Target::Sqlite { .. }));
        let error = resolve(&source("mysql://u:s3cret@h/d")).unwrap_err();
        assert!(!error.contains("s3cret"), "{error}");
    }
}
