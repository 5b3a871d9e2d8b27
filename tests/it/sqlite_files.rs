//! A user's SQLite file in every journal mode: no file beside it is created, changed or deleted, the application can
//! write afterwards, and reads return what was committed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::postgres::{unprivileged, unprivileged_directory};
use crate::support::{Home, Server, output_of};

/// A directory of the application. If the tests run as root, the application is another user than TUDB.
struct Application(PathBuf);

impl Drop for Application {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Application {
    fn new(name: &str) -> Self {
        Application(unprivileged_directory(name))
    }

    fn file(&self) -> PathBuf {
        self.0.join("main.db")
    }

    /// Runs a script as the application, to its end.
    fn script(&self, script: &str) -> String {
        output_of(unprivileged(Path::new("sqlite3")).arg(self.file()).arg(script))
    }

    /// Opens the file as the application and keeps it open.
    fn open(&self) -> Shell {
        let mut child = unprivileged(Path::new("sqlite3"))
            .args(["-batch"])
            .arg(self.file())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Shell { child, input, output }
    }

    /// Every file's name, size, owner and last change.
    fn listing(&self) -> String {
        output_of(
            Command::new("stat").args(["-c", "%n %s %U %y %z"]).args(
                std::fs::read_dir(&self.0)
                    .unwrap()
                    .map(|entry| entry.unwrap().path())
                    .collect::<std::collections::BTreeSet<_>>(),
            ),
        )
    }

    fn serve(&self, home: Home) -> (Home, Server) {
        let home = home.set("TUDB_DATABASE_URL", format!("sqlite://{}", self.file().display()));
        let server = home.serve();
        (home, server)
    }
}

struct Shell {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Shell {
    /// Runs statements and waits until they have run.
    fn run(&mut self, sql: &str) {
        writeln!(self.input, "{sql};\n.print done").unwrap();
        let mut line = String::new();
        while line.trim() != "done" {
            line.clear();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "sqlite3 ended");
            assert!(!line.contains("rror"), "{line}");
        }
    }

    /// Kills the application, so that the file is not closed.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn close(mut self) {
        drop(self.input);
        assert!(self.child.wait().unwrap().success());
    }
}

/// Records all operations in a directory except reading.
#[cfg(target_os = "linux")]
struct Watch(std::os::fd::OwnedFd);

#[cfg(target_os = "linux")]
impl Watch {
    fn new(directory: &Path) -> Self {
        use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
        let inotify = init(CreateFlags::NONBLOCK).unwrap();
        let changes = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MODIFY
            | WatchFlags::MOVE
            | WatchFlags::ATTRIB
            | WatchFlags::CLOSE_WRITE;
        add_watch(&inotify, directory, changes).unwrap();
        Watch(inotify)
    }

    fn seen(&self) -> Vec<String> {
        let mut buffer = [const { std::mem::MaybeUninit::uninit() }; 4096];
        let mut reader = rustix::fs::inotify::Reader::new(&self.0, &mut buffer);
        let mut seen = Vec::new();
        while let Ok(event) = reader.next() {
            seen.push(format!("{:?} {:?}", event.events(), event.file_name()));
        }
        seen
    }
}

/// Calls every tool and `doctor` on a file with one row `v` in the table `t`.
fn read_everything(home: &Home, server: &mut Server, value: &str) {
    let reply = server.call("run_sql", json!({"sql": "SELECT v FROM t"}));
    assert_eq!(reply["rows"], json!([[value]]), "{reply}");
    assert_eq!(server.call("list_tables", json!({}))["tables"][0]["name"], "t");
    assert_eq!(server.call("describe_table", json!({"table": "t"}))["columns"][0]["name"], "v");
    assert!(server.call("explain_query", json!({"sql": "SELECT v FROM t"}))["summary"].is_array());
    // Sorts more than the page cache holds, and materialises a sub-query that is read twice: both use temporary files.
    let sql = "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c LIMIT 60000), \
               d AS (SELECT DISTINCT i, hex(zeroblob(100)) || i AS h FROM c) \
               SELECT p.i FROM d p JOIN d q ON p.i = q.i ORDER BY p.h LIMIT 1";
    let reply = server.call("run_sql", json!({"sql": sql}));
    assert_eq!(reply["row_count"], 1, "{reply}");
    let doctor = home.say(&["doctor"]);
    assert!(doctor.contains("1 tables with 1 columns"), "{doctor}");
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn reading_leaves_no_trace_beside_a_file_in_any_mode() {
    let scripts = [
        ("rollback", "CREATE TABLE t (v); INSERT INTO t VALUES ('one')"),
        ("wal", "PRAGMA journal_mode = wal; CREATE TABLE t (v); INSERT INTO t VALUES ('one')"),
        (
            "utf16",
            "PRAGMA encoding = 'UTF-16'; PRAGMA journal_mode = wal; CREATE TABLE t (v); INSERT INTO t VALUES ('one')",
        ),
    ];
    for (name, script) in scripts {
        let application = Application::new("files");
        application.script(script);
        let before = application.listing();
        #[cfg(target_os = "linux")]
        let watch = Watch::new(&application.0);
        let (home, mut server) = application.serve(Home::new("files"));
        read_everything(&home, &mut server, "one");
        #[cfg(target_os = "linux")]
        assert_eq!(watch.seen(), Vec::<String>::new(), "{name}");
        assert_eq!(application.listing(), before, "{name}");
        // The application can write while TUDB runs, and what it wrote is read.
        application.script("UPDATE t SET v = 'two'");
        read_everything(&home, &mut server, "two");
        application.script("UPDATE t SET v = 'three'");
        server.finish();
        application.script("UPDATE t SET v = 'four'");
    }
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_file_with_a_live_writer_is_read_through_what_is_there() {
    let application = Application::new("live");
    application.script("PRAGMA journal_mode = wal; CREATE TABLE t (v); INSERT INTO t VALUES ('one')");
    let mut writer = application.open();
    writer.run("UPDATE t SET v = 'two'");
    let names = |application: &Application| {
        let files = std::fs::read_dir(&application.0).unwrap();
        files.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<std::collections::BTreeSet<_>>()
    };
    let there = names(&application);
    assert!(there.contains("main.db-wal") && there.contains("main.db-shm"), "{there:?}");
    let before = application.listing();
    #[cfg(target_os = "linux")]
    let watch = Watch::new(&application.0);
    let (home, mut server) = application.serve(Home::new("live"));
    read_everything(&home, &mut server, "two");
    #[cfg(target_os = "linux")]
    assert_eq!(watch.seen(), Vec::<String>::new());
    assert_eq!(application.listing(), before);
    // While the writer writes and checkpoints, each read returns a committed state, and never an older one than before.
    for round in 0..40 {
        writer.run(&format!("BEGIN; UPDATE t SET v = {round}; INSERT INTO t VALUES ({round}); COMMIT"));
        if round % 5 == 4 {
            writer.run("PRAGMA wal_checkpoint(TRUNCATE)");
        }
        let reply = server.call("run_sql", json!({"sql": "SELECT max(v), count(*) FROM t"}));
        assert_eq!(reply["rows"], json!([[round, round + 2]]), "{reply}");
    }
    writer.run("DELETE FROM t; INSERT INTO t VALUES ('last')");
    writer.close();
    read_everything(&home, &mut server, "last");
    server.finish();
    application.script("UPDATE t SET v = 'two'");
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_file_that_opens_and_closes_all_the_time_is_read_rightly() {
    let application = Application::new("busy");
    application.script("PRAGMA journal_mode = wal; CREATE TABLE t (v, w); INSERT INTO t VALUES (0, 0)");
    let (_home, mut server) = application.serve(Home::new("busy"));
    let path = application.file();
    let writing = std::thread::spawn(move || {
        let until = Instant::now() + Duration::from_secs(4);
        let mut round = 0;
        // Each run opens the file, writes, empties the log and deletes it.
        while Instant::now() < until {
            round += 1;
            let sql = format!("PRAGMA busy_timeout = 5000; UPDATE t SET v = {round}, w = -{round}");
            output_of(unprivileged(Path::new("sqlite3")).arg(&path).arg(sql));
        }
        round
    });
    let mut last = 0;
    let (mut read, mut told) = (0, Vec::new());
    while !writing.is_finished() {
        let reply = server.call("run_sql", json!({"sql": "SELECT v, w FROM t"}));
        match reply["error"]["code"].as_str() {
            // The read met the moment between the creation of the two files, or five writers.
            Some(code) => {
                assert_eq!(code, "unreachable", "{reply}");
                told.push(code.to_owned());
            }
            None => {
                let (v, w) = (reply["rows"][0][0].as_i64().unwrap(), reply["rows"][0][1].as_i64().unwrap());
                assert!(v == -w && v >= last, "{reply} after {last}");
                (last, read) = (v, read + 1);
            }
        }
    }
    let rounds: i64 = writing.join().unwrap();
    assert!(read > 20 && told.len() * 10 <= read, "{read} reads, {} refusals", told.len());
    let reply = server.call("run_sql", json!({"sql": "SELECT v FROM t"}));
    assert_eq!(reply["rows"], json!([[rounds]]));
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_log_that_cannot_be_read_without_writing_is_refused() {
    let application = Application::new("orphan");
    application.script("PRAGMA journal_mode = wal; CREATE TABLE t (v); INSERT INTO t VALUES ('one')");
    let mut writer = application.open();
    writer.run("UPDATE t SET v = 'two'");
    writer.kill();
    // With both files the log is read, although no process has them open.
    let (home, mut server) = application.serve(Home::new("orphan"));
    read_everything(&home, &mut server, "two");
    server.finish();
    let shm = application.0.join("main.db-shm");
    std::fs::remove_file(&shm).unwrap();
    let before = application.listing();
    let mut server = home.serve();
    let reply: Value = server.call("run_sql", json!({"sql": "SELECT v FROM t"}));
    let error = &reply["error"];
    assert_eq!(error["code"], "unreachable", "{reply}");
    assert!(error["message"].as_str().unwrap().contains("main.db-wal"), "{reply}");
    assert!(error["hint"].as_str().unwrap().contains("main.db-shm"), "{reply}");
    assert!(!home.run(&["doctor"]).status.success());
    assert_eq!(application.listing(), before);
    // The application's next access repairs the file, without a restart of TUDB.
    application.script("SELECT count(*) FROM t");
    read_everything(&home, &mut server, "two");
}
