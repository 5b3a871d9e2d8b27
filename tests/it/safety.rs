//! The safety corpora, run as superuser through the built binary: no statement that must be refused runs, nothing
//! changes, expensive statements are contained while others are answered, and honest statements return their rows.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::postgres::{Postgres, servers, unprivileged_directory};
use crate::support::{Home, Scratch, Server, content, output_of};

const CORPUS: &str = include_str!("../safety/corpus.jsonl");
const OWN: &str = include_str!("../safety/own.jsonl");
/// Codes of the guard's refusals, by the parser or by the catalog.
const REFUSALS: [&str; 9] = [
    "syntax_error",
    "multiple_statements",
    "write_refused",
    "statement_refused",
    "function_refused",
    "relation_refused",
    "column_denied",
    "too_long",
    "too_deep",
];
/// Maximum bytes of a whole reply: both blocks of JSON with the envelope.
const MAX_REPLY_BYTES: usize = 200_000;
const MAX_MEMORY_KB: u64 = 120 * 1024;
const MAX_CONTAINED: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
struct Case {
    id: String,
    dialect: String,
    sql: Text,
    verdict: String,
    must: Option<String>,
    needs: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Text {
    Whole(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Part {
    Once(String),
    Times(String, usize),
}

impl Text {
    fn put_together(&self) -> String {
        match self {
            Text::Whole(text) => text.clone(),
            Text::Parts(parts) => parts
                .iter()
                .map(|part| match part {
                    Part::Once(text) => text.clone(),
                    Part::Times(text, times) => {
                        (1..=*times).map(|turn| text.replace("{n}", &turn.to_string())).collect()
                    }
                })
                .collect(),
        }
    }
}

fn cases(dialects: &[&str]) -> Vec<Case> {
    let lines = CORPUS.lines().chain(OWN.lines());
    let all = lines.map(|line| serde_json::from_str::<Case>(line).unwrap_or_else(|error| panic!("{line}: {error}")));
    all.filter(|case| dialects.contains(&case.dialect.as_str())).collect()
}

/// Cases with a wrong outcome, one line each.
#[derive(Default)]
struct Wrong(Vec<String>);

impl Wrong {
    fn add(&mut self, case: &Case, sql: &str, what: &str, reply: &Value) {
        let cut = |text: &str| text.chars().take(300).collect::<String>();
        self.0.push(format!("{} {what}: {} -> {}", case.id, cut(sql), cut(&reply.to_string())));
    }
}

/// Runs all cases through one server, in order. While a contained case runs, another call must be answered. Also
/// returns the statements that were approved and ran.
fn run(server: &mut Server, cases: &[Case], fill: impl Fn(&str) -> String, markers: &[&str]) -> (Wrong, Vec<String>) {
    let mut wrong = Wrong::default();
    let mut approved = Vec::new();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut longest = (Duration::ZERO, String::new());
    for case in cases {
        let sql = fill(&case.sql.put_together());
        let began = Instant::now();
        let id = server.send_call("run_sql", json!({"sql": sql, "source": "main"}));
        let contained = case.must.as_deref() == Some("contain");
        if contained {
            // Another source of the same server answers while the expensive statement runs.
            let other = server.call("run_sql", json!({"sql": "SELECT 7 AS n", "source": "other"}));
            if other["rows"] != json!([[7]]) {
                wrong.add(case, &sql, "held up others", &other);
            }
        }
        let answer = server.answer(id);
        let elapsed = began.elapsed();
        if elapsed > longest.0 {
            longest = (elapsed, case.id.clone());
        }
        let reply = content(&answer);
        let code = reply["error"]["code"].as_str();
        let text = answer.to_string();
        let leaks = markers.iter().any(|marker| text.contains(marker) && !sql.contains(marker));
        if case.verdict == "block" && leaks {
            wrong.add(case, &sql, "leaked", &reply);
        }
        let kind = match (case.verdict.as_str(), contained) {
            ("allow", _) => {
                // A server may be built without XML.
                let no_xml = reply["error"]["message"].as_str().is_some_and(|text| text.contains("unsupported XML"));
                if code.is_none() {
                    approved.push(sql.clone());
                }
                if code.is_some() && !no_xml {
                    wrong.add(case, &sql, "is honest and was refused", &reply);
                }
                "honest"
            }
            (_, true) => {
                if elapsed > MAX_CONTAINED || text.len() > MAX_REPLY_BYTES {
                    let what = format!("took {} ms and {} bytes", elapsed.as_millis(), text.len());
                    wrong.add(case, &sql, &what, &json!(null));
                }
                "contained"
            }
            (_, false) => {
                // If a name does not exist here, the refusal is the database's.
                let missing = matches!(
                    reply["error"]["sqlstate"].as_str(),
                    Some("42883" | "42P01" | "3F000" | "42704" | "42703" | "42601")
                );
                let missing = missing || (case.dialect == "mysql" && code == Some("sql_error"));
                if !code.is_some_and(|code| REFUSALS.contains(&code)) && !missing {
                    wrong.add(case, &sql, "was not refused", &reply);
                }
                "refused"
            }
        };
        *counts.entry(kind).or_default() += 1;
    }
    eprintln!("{counts:?}, longest call {} ms: {}", longest.0.as_millis(), longest.1);
    (wrong, approved)
}

fn config(home: &Home, main: &str, other: &str) -> std::path::PathBuf {
    let path = home.scratch.path("tudb.toml");
    let text = format!(
        "statement_timeout_ms = 2000\n[sources.main]\nurl = \"{main}\"\n\
         allow_functions = [\"public.vat\"]\n[sources.other]\nurl = \"{other}\"\n"
    );
    std::fs::write(&path, text).unwrap();
    path
}

/// A long statement of another session, which attacks try to end.
struct Victim(Child);

impl Victim {
    fn start(server: &Postgres, database: &str) -> Self {
        let mut child = server
            .psql(database)
            .env("PGAPPNAME", "victim")
            .args(["-c", "SELECT pg_sleep(600)"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while server.query(database, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'victim'") == "0" {
            assert!(child.try_wait().unwrap().is_none());
            std::thread::sleep(Duration::from_millis(20));
        }
        Victim(child)
    }

    fn is_alive(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The rows of the fixtures' tables.
fn data(server: &Postgres, database: &str) -> String {
    let tables = [
        "canary",
        "secrets",
        "customers",
        "orders",
        "order_items",
        "products",
        "categories",
        "events",
        "whoami",
        "evil.whoami",
        "moods",
        "docs",
    ];
    let digest =
        |table: &&str| format!("SELECT '{table}', md5(string_agg(t::text, ',' ORDER BY t::text)) FROM {table} t");
    server.query(database, &tables.iter().map(digest).collect::<Vec<_>>().join(" UNION ALL "))
}

/// All other state that a statement could have changed, as text: catalog, sequences, large objects, settings, roles,
/// slots, locks, and channels listened to.
const STATE: &str = r"
SELECT coalesce(string_agg(line, E'\n' ORDER BY line), '') FROM (
  SELECT concat('class ', oid, ' ', relname, ' ', relkind, ' ', coalesce(relacl::text, '')) AS line FROM pg_class
  UNION ALL SELECT concat('proc ', oid, ' ', proname, md5(coalesce(prosrc, ''))) FROM pg_proc
  UNION ALL SELECT concat('role ', rolname, coalesce(rolpassword, ''), rolsuper) FROM pg_authid
    WHERE rolname IN ('postgres', 'tudb_victim')
  UNION ALL SELECT concat('setting ', setdatabase, setconfig::text) FROM pg_db_role_setting
  UNION ALL SELECT concat('database ', datname) FROM pg_database WHERE datname = current_database()
  UNION ALL SELECT concat('large object ', oid) FROM pg_largeobject_metadata
  UNION ALL SELECT concat('large page ', loid, md5(data)) FROM pg_largeobject
  UNION ALL SELECT concat('sequence ', last_value, is_called) FROM canary_seq
  UNION ALL SELECT concat('slot ', slot_name) FROM pg_replication_slots
  UNION ALL SELECT concat('origin ', roname) FROM pg_replication_origin
  UNION ALL SELECT concat('advisory lock ', classid, objid) FROM pg_locks
    WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  UNION ALL SELECT concat('prepared ', gid) FROM pg_prepared_xacts
  UNION ALL SELECT concat('notify ', pg_notification_queue_usage())
  UNION ALL SELECT concat('comment ', objoid, description) FROM pg_description WHERE objoid >= 16384
  UNION ALL SELECT concat('reset ', coalesce(stats_reset::text, 'never')) FROM pg_stat_database WHERE datname = current_database()
) lines";

/// The state of TUDB's own connections, as its caller may see it.
fn session_state(server: &mut Server) -> Vec<Value> {
    ["search_path", "transaction_read_only", "default_transaction_read_only", "statement_timeout", "TimeZone"]
        .map(|name| server.call("run_sql", json!({"sql": format!("SHOW {name}")}))["rows"].clone())
        .to_vec()
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn postgres_holds_against_the_corpora() {
    for postgres in servers() {
        let (database, url) = postgres.database("safety");
        postgres.script_best_effort(&database, include_str!("../safety/fixture_postgres.sql"));
        postgres.script_best_effort(&database, include_str!("../safety/own_postgres.sql"));
        let marker = "SELECT lo_from_bytea(424242, 'CANARY-LARGE-OBJECT'::bytea)";
        postgres.query(&database, marker);
        let extensions = postgres.query(&database, "SELECT string_agg(extname, ' ') FROM pg_extension");
        let files = unprivileged_directory("safety");
        std::fs::write(files.join("secret.txt"), "CANARY-FILE").unwrap();
        let twin = format!("{database}_twin");
        postgres.query("postgres", &format!("CREATE DATABASE {twin} TEMPLATE {database}"));
        let mut victim = Victim::start(postgres, &database);

        let home = Home::new("safety");
        let other = home.scratch.path("other.db");
        output_of(Command::new("sqlite3").arg(&other).arg("CREATE TABLE t (a)"));
        let config = config(&home, &url, &format!("sqlite://{}", other.display()));
        let home = home.set("TUDB_CONFIG", config.display());
        let mut server = home.serve();

        let mut cases = cases(&["postgres", "mysql"]);
        cases.retain(|case| case.needs.as_deref().is_none_or(|name| extensions.split(' ').any(|have| have == name)));
        let fill = |sql: &str| {
            sql.replace("{{SCRATCH}}", &files.display().to_string())
                .replace("{{PORT}}", &postgres.port.to_string())
                .replace("{{DB}}", &database)
        };
        let session_before = session_state(&mut server);
        let before = (postgres.query(&database, STATE), data(postgres, &database));
        let log_before = postgres.log();
        let markers = ["CANARY-FILE", "SCRAM-SHA-256", "CANARY-FDW-PASSWORD", "CANARY-LARGE-OBJECT", "CANARY-PASSWORD"];
        let (wrong, approved) = run(&mut server, &cases, fill, &markers);

        assert!(wrong.0.is_empty(), "PostgreSQL {}:\n{}", postgres.version, wrong.0.join("\n"));
        let after = (postgres.query(&database, STATE), data(postgres, &database));
        assert_eq!(before, after, "the database changed");
        // Even without a read-only transaction, no approved statement changes anything.
        let before = (postgres.query(&twin, STATE), data(postgres, &twin));
        let mut psql = postgres.psql(&twin);
        psql.env("PGOPTIONS", "-c statement_timeout=5s").args(["-v", "ON_ERROR_STOP=0"]).stdout(Stdio::null());
        for sql in &approved {
            psql.args(["-c", sql]);
        }
        psql.stderr(Stdio::null()).status().unwrap();
        assert_eq!(before, (postgres.query(&twin, STATE), data(postgres, &twin)), "an approved statement writes");
        assert_eq!(session_before, session_state(&mut server), "a connection changed");
        assert!(victim.is_alive(), "another session was ended");
        let left: Vec<_> = std::fs::read_dir(&files).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["secret.txt"], "a file was written");
        let log = postgres.log();
        let log = log.get(log_before.len()..).unwrap_or_default();
        for sign in ["received SIGHUP", "PANIC", "was terminated by signal", "restore point", "rotat"] {
            assert!(!log.contains(sign), "{sign} in the server's log");
        }
        assert!(server.child.try_wait().unwrap().is_none(), "the process died");
        let peak = crate::support::peak_memory_kb(&server.child);
        eprintln!("PostgreSQL {}: {} cases, peak {} MB", postgres.version, cases.len(), peak / 1024);
        assert!(peak < MAX_MEMORY_KB, "the process took {peak} kB");
    }
}

fn sqlite_database(path: &Path) {
    let mut shell = Command::new("sqlite3").arg(path).stdin(Stdio::piped()).spawn().unwrap();
    shell.stdin.take().unwrap().write_all(include_str!("../safety/fixture_sqlite.sql").as_bytes()).unwrap();
    assert!(shell.wait().unwrap().success());
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn sqlite_holds_against_the_corpus() {
    let home = Home::new("safety-sqlite");
    let files = Scratch::new("safety-files");
    let path = files.path("main.db");
    sqlite_database(&path);
    std::fs::write(files.path("secret.txt"), "CANARY-FILE").unwrap();
    let before = std::fs::read(&path).unwrap();
    let config = config(&home, &format!("sqlite://{}", path.display()), "sqlite::memory:");
    let text = std::fs::read_to_string(&config).unwrap().replace("url = \"sqlite::memory:\"\n", "");
    std::fs::write(&config, text).unwrap();
    let home = home.set("TUDB_CONFIG", config.display());
    let mut server = home.serve();
    let cases = cases(&["sqlite", "mysql"]);
    let scratch = files.path("").display().to_string();
    let fill = |sql: &str| sql.replace("{{SCRATCH}}", scratch.trim_end_matches('/'));
    let (wrong, approved) = run(&mut server, &cases, fill, &["CANARY-FILE"]);
    assert!(wrong.0.is_empty(), "{}", wrong.0.join("\n"));
    assert!(before == std::fs::read(&path).unwrap(), "the file changed");
    // No approved statement writes, even on a copy that is writable.
    let copy = home.scratch.path("copy.db");
    std::fs::copy(&path, &copy).unwrap();
    for sql in &approved {
        let status = Command::new("sqlite3").arg(&copy).arg(sql).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.unwrap();
    }
    assert!(before == std::fs::read(&copy).unwrap(), "an approved statement writes");
    let mut left: Vec<_> = std::fs::read_dir(files.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["main.db", "secret.txt"], "a file was made");
    let peak = crate::support::peak_memory_kb(&server.child);
    eprintln!("SQLite: {} cases, peak {} MB", cases.len(), peak / 1024);
    assert!(peak < MAX_MEMORY_KB, "the process took {peak} kB");
}
