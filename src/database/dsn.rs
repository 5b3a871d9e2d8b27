//! Reads a connection string as libpq does: the URL or keywords and values, then the service file, then `PG*`
//! variables, then defaults, then the password file. Reads files, never connects, and never shows a value.
//!
//! One extension: a password in a URL may contain raw special characters (`@ / # ? :`). libpq finds no host in such a
//! URL.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::environment::PgEnvironment;
use crate::secret::Secret;

/// Host and port of one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// A name, an address, or the directory of a Unix socket.
    pub name: String,
    /// The address to connect to, if the string gives one beside the name.
    pub address: Option<String>,
    pub port: u16,
}

impl Host {
    pub fn is_socket(&self) -> bool {
        self.address.is_none() && self.name.starts_with('/')
    }

    /// The address if there is one, else the name.
    pub fn place(&self) -> &str {
        self.address.as_deref().unwrap_or(&self.name)
    }
}

/// The settings of a connection from its string, its service, the environment and the defaults.
#[derive(Debug)]
pub struct Dsn {
    /// At least one host, in the order in which they are tried.
    pub hosts: Vec<Host>,
    pub user: String,
    pub database: String,
    pub password: Option<Secret>,
    /// All other keys. Those with an effect are `sslmode`, `sslrootcert`, `sslcert`, `sslkey`, `target_session_attrs`,
    /// `pgbouncer` and `options`.
    values: BTreeMap<String, Secret>,
    /// Known keys that have no effect here.
    pub without_effect: Vec<String>,
    /// Keys that neither libpq nor another known client has.
    pub unknown: Vec<String>,
}

impl Dsn {
    pub fn value(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(Secret::reveal).filter(|value| !value.is_empty())
    }

    /// True if all hosts are this machine.
    pub fn is_local(&self) -> bool {
        self.hosts.iter().all(|host| {
            host.is_socket()
                || host.place() == "localhost"
                || host.place().parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        })
    }
}

/// The keys of libpq that are used here, and the variables with the same meaning.
const USED: [(&str, &str); 11] = [
    ("host", "PGHOST"),
    ("hostaddr", "PGHOSTADDR"),
    ("port", "PGPORT"),
    ("user", "PGUSER"),
    ("password", "PGPASSWORD"),
    ("dbname", "PGDATABASE"),
    ("sslmode", "PGSSLMODE"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("sslcert", "PGSSLCERT"),
    ("sslkey", "PGSSLKEY"),
    ("target_session_attrs", "PGTARGETSESSIONATTRS"),
];

/// The other keys of libpq (version 18), and those in the URLs of other clients. They are accepted and have no effect.
const WITHOUT_EFFECT: &str = "\
    application_name channel_binding client_encoding connect_timeout connection_limit \
    fallback_application_name gssdelegation gssencmode gsslib keepalives keepalives_count \
    keepalives_idle keepalives_interval krbsrvname load_balance_hosts max_protocol_version \
    min_protocol_version oauth_client_id oauth_client_secret oauth_issuer oauth_scope \
    pool_timeout prepared_statements replication require_auth requirepeer schema scram_client_key \
    scram_server_key servicefile ssl_max_protocol_version ssl_min_protocol_version sslaccept sslcertmode \
    sslcompression sslcrl sslcrldir sslkeylogfile sslnegotiation sslpassword sslsni statement_cache_size \
    supa tcp_user_timeout uselibpqcompat workaround";

fn has_no_effect(key: &str) -> bool {
    WITHOUT_EFFECT.split(' ').any(|known| known == key)
}

/// The other keys that are used here. They are not in [`USED`], because each is read in its own way.
const SPECIAL: [&str; 4] = ["service", "passfile", "pgbouncer", "options"];

/// One sentence that names what is wrong, without the value.
type Problem = String;

/// True if a text is a connection string of PostgreSQL, rather than a path or the URL of another database.
pub fn is_dsn(text: &str) -> bool {
    let text = text.trim_start();
    without_scheme(text).is_some() || keyword(text).is_some()
}

fn without_scheme(text: &str) -> Option<&str> {
    // The spelling of Java clients.
    let text = text.strip_prefix("jdbc:").unwrap_or(text);
    let (scheme, rest) = text.split_once("://")?;
    ["postgres", "postgresql"].iter().any(|known| scheme.eq_ignore_ascii_case(known)).then_some(rest)
}

/// Returns the first keyword of `keyword = value`.
fn keyword(text: &str) -> Option<&str> {
    let (name, _) = text.split_once('=')?;
    let name = name.trim();
    let plain = |c: char| c.is_ascii_lowercase() || c == '_';
    (!name.is_empty() && name.chars().all(plain)).then_some(name)
}

/// Reads a connection string, its service file, the environment and the password file.
///
/// # Errors
///
/// One sentence that names what is wrong with the string or with its service.
pub fn read(text: &str, env: &PgEnvironment) -> Result<Dsn, Problem> {
    let text = text.trim();
    let mut given = match without_scheme(text) {
        Some(rest) => url(rest)?,
        None => keywords(text)?,
    };
    let unknown = |key: &String| {
        !USED.iter().any(|(known, _)| known == key) && !has_no_effect(key) && !SPECIAL.contains(&key.as_str())
    };
    let service = given.remove("service").filter(|name| !name.is_empty()).or_else(|| env.get("PGSERVICE"));
    if let Some(service) = service {
        for (key, value) in service_of(&service, env)? {
            given.entry(key).or_insert(value);
        }
    }
    // A host of the string must not be combined with an address of the environment.
    let has_host = given.contains_key("host") || given.contains_key("hostaddr");
    for (key, variable) in USED {
        if has_host && ["host", "hostaddr"].contains(&key) {
            continue;
        }
        if let Some(value) = env.get(variable) {
            given.entry(key.to_owned()).or_insert(value);
        }
    }
    let mut take = |key: &str| given.remove(key).filter(|value| !value.is_empty());
    let hosts = hosts(take("host"), take("hostaddr"), take("port"), env)?;
    let system_user = || env.get("USER").or_else(|| env.get("LOGNAME"));
    let user = take("user").or_else(system_user).ok_or("it names no user, and the system's is not known")?;
    let database = take("dbname").unwrap_or_else(|| user.clone());
    let passfile = take("passfile").or_else(|| env.get("PGPASSFILE")).map(PathBuf::from);
    let password = match take("password") {
        Some(password) => Some(Secret::new(password)),
        None => password_of(passfile.or_else(|| env.home(".pgpass")), &hosts, &user, &database),
    };
    let unknown: Vec<String> = given.keys().filter(|key| unknown(key)).cloned().collect();
    let without_effect = given.keys().filter(|key| has_no_effect(key)).cloned().collect();
    let values = given.into_iter().map(|(key, value)| (key, Secret::new(value))).collect();
    Ok(Dsn { hosts, user, database, password, values, without_effect, unknown })
}

type Given = BTreeMap<String, String>;

/// Reads a URL without its scheme: `[user[:password]@][host[:port],..][/dbname][?key=value&..]`.
fn url(rest: &str) -> Result<Given, Problem> {
    let candidates = std::iter::once(None).chain(rest.match_indices('@').map(|(at, _)| Some(at)));
    // libpq ends the credentials at the first @ before any slash. The first candidate that makes sense is the same @,
    // unless the password contains raw special characters.
    let split = |at: Option<usize>| match at {
        None => ("", rest),
        Some(at) => (rest.get(..at).unwrap_or_default(), rest.get(at + 1..).unwrap_or_default()),
    };
    let makes_sense = |at: &Option<usize>| {
        let (_, behind) = split(*at);
        let (server, rest) = behind.split_at(behind.find(['/', '?']).unwrap_or(behind.len()));
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let plain = |key: &str| key.chars().all(|c| c.is_ascii_alphanumeric() || "_-%.".contains(c));
        let is_query = query.split('&').all(|pair| plain(pair.split('=').next().unwrap_or_default()));
        is_query && server.split(',').all(is_server) && !path.contains('@') && (at.is_some() || !server.contains('@'))
    };
    let at = candidates.clone().find(makes_sense);
    let Some(at) = at else {
        if let Some(port) = odd_port(rest) {
            return Err(port);
        }
        return Err("its url cannot be read; percent-encode special characters of user and password (@ is %40, # is \
                    %23, / is %2F)"
            .into());
    };
    let (credentials, behind) = split(at);
    let mut given = Given::new();
    let mut put = |key: &str, value: &str| -> Result<(), Problem> {
        if !value.is_empty() {
            given.insert(key.to_owned(), decoded(value)?);
        }
        Ok(())
    };
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    put("user", user)?;
    put("password", password)?;
    let (servers, rest) = behind.split_at(behind.find(['/', '?']).unwrap_or(behind.len()));
    let (mut names, mut ports) = (Vec::new(), Vec::new());
    for server in servers.split(',') {
        let (name, port) = match server.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, port)) => (address, port.strip_prefix(':').unwrap_or_default()),
            None => server.split_once(':').unwrap_or((server, "")),
        };
        names.push(name);
        ports.push(port);
    }
    put("host", &names.join(","))?;
    if ports.iter().any(|port| !port.is_empty()) {
        put("port", &ports.join(","))?;
    }
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    put("dbname", path.strip_prefix('/').unwrap_or_default())?;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or("a parameter of its url has no value")?;
        let (key, value) = (decoded(key)?, decoded(value)?);
        match (key.as_str(), value.as_str()) {
            // The spelling of Java clients, which libpq accepts too.
            ("ssl", "true") => given.insert("sslmode".into(), "require".into()),
            ("ssl-mode", _) => given.insert("sslmode".into(), value),
            ("ssl-root-cert", _) => given.insert("sslrootcert".into(), value),
            _ => given.insert(key, value),
        };
    }
    Ok(given)
}

/// Returns the error about a wrong port, if the host before the port is readable.
fn odd_port(rest: &str) -> Option<Problem> {
    let behind = rest.rsplit_once('@').map_or(rest, |(_, behind)| behind);
    let server = behind.split(['/', '?']).next()?;
    let (name, port) = server.rsplit_once(':')?;
    let is_odd = is_server(name) && port.parse::<u16>().is_err() && port.chars().all(char::is_alphanumeric);
    is_odd.then(|| "its port must be a number from 1 to 65535".to_owned())
}

/// True if a text can be a host with a port: a name, an address in brackets, or an encoded socket directory.
fn is_server(text: &str) -> bool {
    let (name, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => {
            return address.parse::<std::net::Ipv6Addr>().is_ok()
                && (port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok()));
        }
        None => text.split_once(':').unwrap_or((text, "")),
    };
    let plain = |c: char| c.is_alphanumeric() || "._-%".contains(c);
    name.chars().all(plain) && (port.is_empty() || port.parse::<u16>().is_ok())
}

/// Decodes percent-encoding. A `%` that begins no code stays as it is.
fn decoded(text: &str) -> Result<String, Problem> {
    let bytes = percent_encoding::percent_decode_str(text);
    bytes.decode_utf8().map(std::borrow::Cow::into_owned).map_err(|_| "its url holds a broken percent-encoding".into())
}

/// Reads `keyword = 'value' ..`, with a backslash before a quote or a backslash in a value.
fn keywords(text: &str) -> Result<Given, Problem> {
    let mut given = Given::new();
    let mut characters = text.chars().peekable();
    loop {
        while characters.next_if(|c| c.is_whitespace()).is_some() {}
        let mut key = String::new();
        while let Some(c) = characters.next_if(|c| !c.is_whitespace() && *c != '=') {
            key.push(c);
        }
        if key.is_empty() && characters.peek().is_none() {
            return Ok(given);
        }
        while characters.next_if(|c| c.is_whitespace()).is_some() {}
        if characters.next() != Some('=') {
            return Err("a keyword of its connection string has no = behind it".into());
        }
        while characters.next_if(|c| c.is_whitespace()).is_some() {}
        let quoted = characters.next_if_eq(&'\'').is_some();
        let mut value = String::new();
        loop {
            match characters.peek() {
                None if quoted => return Err("a quoted value of its connection string does not end".into()),
                None => break,
                Some('\'') if quoted => {
                    characters.next();
                    break;
                }
                Some(c) if !quoted && c.is_whitespace() => break,
                Some(_) => match characters.next() {
                    Some('\\') => value.extend(characters.next()),
                    other => value.extend(other),
                },
            }
        }
        given.insert(key, value);
    }
}

/// Returns the hosts with their ports, in order. Without a host: a local socket if a server has one, else localhost.
fn hosts(
    names: Option<String>,
    addresses: Option<String>,
    ports: Option<String>,
    env: &PgEnvironment,
) -> Result<Vec<Host>, Problem> {
    let split = |list: &str| list.split(',').map(|part| part.trim().to_owned()).collect::<Vec<_>>();
    let addresses: Vec<String> = addresses.as_deref().map(split).unwrap_or_default();
    let is_named = names.is_some();
    let named = names.unwrap_or_else(|| addresses.join(","));
    let ports: Vec<&str> = ports.as_deref().map(|ports| ports.split(',').map(str::trim).collect()).unwrap_or_default();
    let names: Vec<&str> = named.split(',').map(str::trim).collect();
    if ports.len() > 1 && ports.len() != names.len() {
        return Err(format!("it has {} ports for {} hosts", ports.len(), names.len()));
    }
    if is_named && !addresses.is_empty() && addresses.len() != names.len() {
        return Err(format!("it has {} addresses (hostaddr) for {} hosts", addresses.len(), names.len()));
    }
    let host = |(index, name): (usize, &&str)| {
        let port = ports.get(index).or(ports.first()).copied().filter(|port| !port.is_empty());
        let port = port.map_or(Ok(5432), |port| {
            port.parse::<u16>().ok().filter(|port| *port > 0).ok_or("its port must be a number from 1 to 65535")
        })?;
        let address = addresses.get(index).filter(|address| is_named && !address.is_empty()).cloned();
        let name = if name.is_empty() { default_host(port, env) } else { (*name).to_owned() };
        Ok(Host { name, address, port })
    };
    names.iter().enumerate().map(host).collect()
}

/// Returns the directory in which a server of this machine has its socket, else localhost.
fn default_host(port: u16, env: &PgEnvironment) -> String {
    let has_socket = |directory: &&str| std::path::Path::new(directory).join(format!(".s.PGSQL.{port}")).exists();
    let directory = ["/var/run/postgresql", "/tmp"].into_iter().filter(|_| env.looks_for_sockets()).find(has_socket);
    directory.unwrap_or("localhost").to_owned()
}

/// Returns the section of a service, from the user's service file or else from the system's.
fn service_of(service: &str, env: &PgEnvironment) -> Result<Given, Problem> {
    let own = env.get("PGSERVICEFILE").map(PathBuf::from).or_else(|| env.home(".pg_service.conf"));
    let system = env.get("PGSYSCONFDIR").map(|directory| PathBuf::from(directory).join("pg_service.conf"));
    for path in own.into_iter().chain(system) {
        let Ok(text) = std::fs::read_to_string(path) else { continue };
        let mut found = None;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                if found.is_some() {
                    break;
                }
                found = (name == service).then(Given::new);
            } else if let (Some(found), Some((key, value))) = (&mut found, line.split_once('=')) {
                found.entry(key.trim().to_owned()).or_insert_with(|| value.trim().to_owned());
            }
        }
        if let Some(found) = found {
            return Ok(found);
        }
    }
    Err(format!("no service file defines the service {service:?}"))
}

/// Returns the password of the first matching line of the password file. `localhost` also matches a socket.
fn password_of(path: Option<PathBuf>, hosts: &[Host], user: &str, database: &str) -> Option<Secret> {
    let path = path?;
    let text = std::fs::read_to_string(&path).ok()?;
    if !is_private(&path) {
        tracing::warn!("the password file can be read by others and is not used; set its permissions to 0600");
        return None;
    }
    let host = hosts.first()?;
    let name = if host.is_socket() { "localhost" } else { host.name.as_str() };
    let wanted = [name, &host.port.to_string(), database, user];
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let fields = fields(line);
        let (password, place) = fields.split_last()?;
        let fits = place.len() == wanted.len()
            && place.iter().zip(wanted).all(|(field, wanted)| field == "*" || field == wanted);
        fits.then(|| Secret::new(password.clone()))
    })
}

/// Splits a line into fields. A backslash escapes the next character. The fifth field contains the rest of the line.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            ':' if fields.len() < 5 => fields.push(String::new()),
            character => {
                let character = if character == '\\' { characters.next() } else { Some(character) };
                if let Some(field) = fields.last_mut() {
                    field.extend(character);
                }
            }
        }
    }
    fields
}

#[cfg(unix)]
fn is_private(path: &std::path::Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o077 == 0)
}

#[cfg(not(unix))]
fn is_private(_path: &std::path::Path) -> bool {
    true
}

#[cfg(test)]
mod tests;
