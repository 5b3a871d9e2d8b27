//! Throw-away PostgreSQL servers, one of each major version, shared by all tests of the program.

// The tests of the engines' locks include this file and use a part of it.
#![allow(dead_code)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::output_of;

/// A running server; it ends with the test program.
pub struct Postgres {
    pub port: u16,
    pub version: String,
    bin: PathBuf,
}

/// The servers that `tests/run` names, oldest first.
pub fn servers() -> &'static [Postgres] {
    static SERVERS: OnceLock<Vec<Postgres>> = OnceLock::new();
    SERVERS.get_or_init(|| {
        let list = super::tool_path("TEST_POSTGRES");
        let servers: Vec<Postgres> = std::env::split_paths(&list).map(|bin| Postgres::start(&bin)).collect();
        assert!(servers.len() >= 2, "two major versions are wanted");
        servers
    })
}

/// The oldest version.
pub fn server() -> &'static Postgres {
    &servers()[0]
}

/// A port that is free now.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// PostgreSQL refuses to run as root: a command that drops to another user when this is root.
pub fn unprivileged(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"]).arg(program);
    command
}

pub fn is_root() -> bool {
    output_of(Command::new("id").arg("-u")).trim() == "0"
}

/// A directory of the unprivileged user's own.
pub fn unprivileged_directory(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("tudb-{name}-{}", uuid::Uuid::now_v7().simple()));
    std::fs::create_dir(&path).unwrap();
    if is_root() {
        output_of(Command::new("chown").arg("nobody:nogroup").arg(&path));
    }
    path
}

impl Postgres {
    fn start(bin: &Path) -> Self {
        Self::start_with(bin, &[])
    }

    /// A server of the oldest version with settings of its own.
    pub fn with_settings(settings: &[(&str, &str)]) -> Self {
        let list = super::tool_path("TEST_POSTGRES");
        Self::start_with(&std::env::split_paths(&list).next().unwrap(), settings)
    }

    // The shell is waited for by nobody: it ends by itself with this program.
    #[allow(clippy::zombie_processes)]
    fn start_with(bin: &Path, settings: &[(&str, &str)]) -> Self {
        let directory = unprivileged_directory("pg");
        let bin = readable(bin, &directory);
        let data = directory.join("data");
        output_of(
            unprivileged(&bin.join("initdb"))
                .args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D"])
                .arg(&data)
                .current_dir("/"),
        );
        let port = free_port();
        let mut server = unprivileged(Path::new("/bin/sh"));
        // The shell waits for the end of its input, which comes when the test program ends, however it ends.
        let script = "\"$0\" \"$@\" & p=$!; cat > /dev/null; kill -QUIT $p; wait $p; rm -rf \"$PGDIR\"";
        server.args(["-c", script]).arg(bin.join("postgres")).arg("-D").arg(&data);
        for setting in [
            format!("port={port}"),
            "listen_addresses=127.0.0.1".into(),
            format!("unix_socket_directories={}", directory.display()),
            "fsync=off".into(),
            "max_connections=100".into(),
            "track_activity_query_size=4096".into(),
        ] {
            server.args(["-c", &setting]);
        }
        for (name, value) in settings {
            server.args(["-c", &format!("{name}={value}")]);
        }
        let log = std::fs::File::create(std::env::temp_dir().join(format!("tudb-pg-{port}.log"))).unwrap();
        let mut child = server
            .env("PGDIR", &directory)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        // Kept open until the program ends.
        std::mem::forget(child.stdin.take());
        let mut server = Postgres { port, version: String::new(), bin };
        let began = Instant::now();
        loop {
            let mut psql = server.psql("postgres");
            if psql.args(["-c", "SELECT 1"]).output().is_ok_and(|output| output.status.success()) {
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "PostgreSQL does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        server.version = server.query("postgres", "SHOW server_version");
        server
    }

    /// The client, as the superuser.
    pub fn psql(&self, database: &str) -> Command {
        let mut command = Command::new(self.bin.join("psql"));
        command.args(["-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "postgres"]);
        command.args(["-p", &self.port.to_string(), "-d", database]).stdin(Stdio::null());
        command
    }

    /// What a statement prints, as the superuser.
    pub fn query(&self, database: &str, sql: &str) -> String {
        output_of(self.psql(database).args(["-c", sql])).trim().to_owned()
    }

    /// Runs a script.
    pub fn script(&self, database: &str, sql: &str) {
        let mut psql =
            self.psql(database).args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        psql.stdin.take().unwrap().write_all(sql.as_bytes()).unwrap();
        assert!(psql.wait().unwrap().success());
    }

    /// Runs a script whose last part may fail for want of an extension.
    pub fn script_best_effort(&self, database: &str, sql: &str) {
        let mut psql = self
            .psql(database)
            .args(["-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        psql.stdin.take().unwrap().write_all(sql.as_bytes()).unwrap();
        psql.wait().unwrap();
    }

    /// The server's own log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(std::env::temp_dir().join(format!("tudb-pg-{}.log", self.port))).unwrap()
    }

    /// A database of this test's own, and its URL.
    pub fn database(&self, name: &str) -> (String, String) {
        let database = format!("{name}_{}", uuid::Uuid::now_v7().simple());
        self.query("postgres", &format!("CREATE DATABASE {database}"));
        let url = format!("postgres://postgres@127.0.0.1:{}/{database}?sslmode=disable", self.port);
        (database, url)
    }
}

/// A copy of the binaries where the unprivileged user can read them, when they stand in a directory of root's. A
/// Python package keeps its libraries in a folder beside its own, so both are copied.
fn readable(bin: &Path, directory: &Path) -> PathBuf {
    if !is_root() || bin.starts_with("/usr") {
        return bin.to_owned();
    }
    let package = bin.ancestors().nth(2).unwrap();
    let beside = package.with_extension("libs");
    let copies = directory.join("packages");
    std::fs::create_dir(&copies).unwrap();
    for source in [package, &beside] {
        if source.exists() {
            output_of(Command::new("cp").arg("-r").arg(source).arg(&copies));
        }
    }
    output_of(Command::new("chmod").args(["-R", "a+rX"]).arg(&copies));
    output_of(Command::new("chown").args(["-R", "nobody:nogroup"]).arg(&copies));
    copies.join(bin.strip_prefix(package.parent().unwrap()).unwrap())
}
