//! Temporary PostgreSQL servers, one of each major version, shared by all tests of the program.

// The tests of the engines' locks include this file and use only a part of it.
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
    directory: PathBuf,
    settings: Vec<String>,
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

/// A command that runs as another user if this one is root, because PostgreSQL refuses to run as root.
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

/// A directory that belongs to the unprivileged user.
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

    fn start_with(bin: &Path, settings: &[(&str, &str)]) -> Self {
        let directory = unprivileged_directory("pg");
        let bin = readable(bin, &directory);
        output_of(
            unprivileged(&bin.join("initdb"))
                .args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D"])
                .arg(directory.join("data"))
                .current_dir("/"),
        );
        Self::launch(bin, directory, settings)
    }

    fn launch(bin: PathBuf, directory: PathBuf, settings: &[(&str, &str)]) -> Self {
        let port = free_port();
        let mut all = vec![
            format!("port={port}"),
            "listen_addresses=127.0.0.1".into(),
            format!("unix_socket_directories={}", directory.display()),
            "fsync=off".into(),
            "max_connections=100".into(),
            "track_activity_query_size=4096".into(),
        ];
        all.extend(settings.iter().map(|(name, value)| format!("{name}={value}")));
        let mut server = Postgres { port, version: String::new(), bin, directory, settings: all };
        server.begin();
        server.wait_until_ready();
        server.version = server.query("postgres", "SHOW server_version");
        server
    }

    /// Starts the process; it is not ready yet.
    // No code waits for the shell, because it ends with this program.
    #[allow(clippy::zombie_processes)]
    pub fn begin(&self) {
        let mut server = unprivileged(Path::new("/bin/sh"));
        // The shell waits for the end of its input. The input ends with the test program, even if that is killed.
        let script = "\"$0\" \"$@\" & p=$!; cat > /dev/null; kill -QUIT $p; wait $p; rm -rf \"$PGDIR\"";
        server.args(["-c", script]).arg(self.bin.join("postgres")).arg("-D").arg(self.directory.join("data"));
        for setting in &self.settings {
            server.args(["-c", setting]);
        }
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log_path()).unwrap();
        let mut child = server
            .env("PGDIR", &self.directory)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        // Kept open until the program ends.
        std::mem::forget(child.stdin.take());
    }

    fn wait_until_ready(&self) {
        let began = Instant::now();
        loop {
            let mut psql = self.psql("postgres");
            if psql.args(["-c", "SELECT 1"]).output().is_ok_and(|output| output.status.success()) {
                return;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "PostgreSQL does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends the server and its sessions, as an administrator does.
    pub fn stop(&self) {
        let pid_file = self.directory.join("data/postmaster.pid");
        let text = output_of(Command::new("cat").arg(&pid_file));
        output_of(Command::new("kill").args(["-INT", text.lines().next().unwrap()]));
        let began = Instant::now();
        while pid_file.exists() {
            assert!(began.elapsed() < Duration::from_secs(60), "PostgreSQL does not stop");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Starts the stopped server again.
    pub fn start_again(&self) {
        self.begin();
        self.wait_until_ready();
    }

    /// A streaming standby of this server.
    pub fn standby(&self, settings: &[(&str, &str)]) -> Self {
        let directory = unprivileged_directory("standby");
        output_of(
            unprivileged(&self.bin.join("pg_basebackup"))
                .args(["-h", "127.0.0.1", "-U", "postgres", "-R", "-X", "stream", "-c", "fast", "--no-sync"])
                .args(["-p", &self.port.to_string(), "-D"])
                .arg(directory.join("data"))
                .current_dir("/"),
        );
        Self::launch(self.bin.clone(), directory, settings)
    }

    /// Waits until a standby has replayed everything of this server.
    pub fn wait_for(&self, standby: &Postgres) {
        let position = self.query("postgres", "SELECT pg_current_wal_lsn()");
        let began = Instant::now();
        while standby.query("postgres", &format!("SELECT pg_last_wal_replay_lsn() >= '{position}'")) != "t" {
            assert!(began.elapsed() < Duration::from_secs(60), "the standby does not catch up");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// psql, as the superuser.
    pub fn psql(&self, database: &str) -> Command {
        let mut command = Command::new(self.bin.join("psql"));
        command.args(["-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "postgres"]);
        command.args(["-p", &self.port.to_string(), "-d", database]).stdin(Stdio::null());
        command
    }

    /// The output of a statement, as the superuser.
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

    /// Runs a script that may fail because an extension is missing.
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
        std::fs::read_to_string(self.log_path()).unwrap()
    }

    fn log_path(&self) -> PathBuf {
        std::env::temp_dir().join(format!("tudb-pg-{}.log", self.port))
    }

    /// The URL of a database through the server's Unix socket.
    pub fn socket_url(&self, role: &str, database: &str) -> String {
        format!("postgres://{role}@/{database}?host={}&port={}", self.directory.display(), self.port)
    }

    /// A new database, and its URL.
    pub fn database(&self, name: &str) -> (String, String) {
        let database = format!("{name}_{}", uuid::Uuid::now_v7().simple());
        self.query("postgres", &format!("CREATE DATABASE {database}"));
        let url = format!("postgres://postgres@127.0.0.1:{}/{database}?sslmode=disable", self.port);
        (database, url)
    }
}

/// Copies the binaries to where the unprivileged user can read them, if they are in a directory of root. A Python
/// package keeps its libraries in a folder beside its own, so both are copied.
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
