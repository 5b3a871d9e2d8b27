//! Tests the protections of the engines themselves, each with the guard bypassed.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::*;
use crate::audit::{AuditLog, EntryStart};
use crate::config::{AuditConfig, AuditSql, AuditStore, SourceConfig};
use crate::limits::Limits;
use crate::secret::Secret;

#[path = "../../tests/it/support/postgres.rs"]
pub(super) mod servers;

// The included file expects this function in its parent module.
fn output_of(command: &mut std::process::Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn tool_path(variable: &str) -> PathBuf {
    PathBuf::from(std::env::var(variable).expect("start the tests with tests/run"))
}

pub(super) fn source(url: &str) -> SourceConfig {
    let limits = Limits { statement_timeout_ms: 1_500, max_connections: 1, ..Limits::default() };
    SourceConfig::new("main", Some(Secret::new(url.to_owned())), &limits)
}

fn options(source: &SourceConfig) -> ReadOptions {
    ReadOptions {
        format: Format::Json,
        budget: Budget { max_rows: 100, max_reply_bytes: 40_000, max_cell_bytes: 2_000, reserved_bytes: 0 },
        max_rows_ceiling: 10_000,
        timeout: source.limits.statement_timeout(),
        deadline: None,
        cancel: CancellationToken::new(),
        identity: None,
        stage: None,
    }
}

/// An engine on which any text can run.
pub(super) struct Bypass {
    pub(super) database: Database,
    pub(super) audit: AuditLog,
    pub(super) options: ReadOptions,
}

impl Bypass {
    pub(super) fn new(source: &SourceConfig, directory: &Path) -> Self {
        let path = directory.join("audit.db");
        let config = AuditConfig {
            store: AuditStore::File(path),
            required: true,
            power: false,
            sql: AuditSql::Full,
            mirror: None,
            key_file: None,
        };
        let database = match target::resolve(source).unwrap() {
            target::Target::Postgres(target) => Database::Postgres(Box::new(PostgresEngine::new(source, *target))),
            target::Target::Sqlite { path, is_immutable } => {
                Database::Sqlite(Box::new(SqliteEngine::new(source, Place::file(&path, is_immutable))))
            }
            target::Target::Sample => panic!("a database is named"),
        };
        Bypass { database, audit: AuditLog::start(&config), options: options(source) }
    }

    async fn run(&self, sql: &str) -> Result<String, DatabaseError> {
        let entry = self
            .audit
            .begin(EntryStart { tool: "run_sql".into(), ..EntryStart::default() }, &crate::audit::Outcomes::default())
            .committed()
            .await
            .unwrap();
        let session = self.database.open(entry.id(), &self.options, Purpose::Catalog).await?;
        let rows = session.run(&entry, &ApprovedSql::unchecked(sql), &self.options).await?;
        Ok(rows.rows_json())
    }

    /// Returns the error message of the database.
    async fn refusal(&self, sql: &str) -> String {
        match self.run(sql).await {
            Err(error) => error.to_string(),
            Ok(rows) => panic!("{sql} ran: {rows}"),
        }
    }
}

pub(super) fn temporary(name: &str) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("tudb-locks-{name}-{}", uuid::Uuid::now_v7()));
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

#[tokio::test]
#[ignore = "needs servers or clients: tests/run"]
async fn postgres_locks_hold_without_the_guard() {
    for server in servers::servers() {
        let (database, url) = server.database("locks");
        server.script(
            &database,
            "CREATE TABLE t (a int); INSERT INTO t VALUES (1); CREATE SEQUENCE s;
             CREATE FUNCTION w() RETURNS int LANGUAGE plpgsql AS 'begin insert into t values (2); return 1; end';
             CREATE SCHEMA mine; CREATE FUNCTION mine.lower(text) RETURNS text LANGUAGE sql AS 'select ''mine''';
             CREATE FUNCTION public.lower(text) RETURNS text LANGUAGE sql AS 'select ''public''';",
        );
        let directory = temporary("postgres");
        let engine = Bypass::new(&source(&url), &directory);

        // The transaction is read-only, also for functions.
        for sql in ["SELECT w()", "SELECT nextval('s')", "SELECT setval('s', 9)", "SELECT * FROM t FOR UPDATE"] {
            let refusal = engine.refusal(sql).await;
            assert!(refusal.contains("read-only transaction"), "{sql}: {refusal}");
        }
        // TUDB has sent the first query of the transaction, so it cannot become read-write.
        let refusal = engine.refusal("SELECT set_config('transaction_read_only', 'off', true), w()").await;
        assert!(refusal.contains("transaction read-write mode"), "{refusal}");
        // The extended protocol accepts one statement, and a sub-query accepts only a query.
        for sql in [
            "SELECT 1; DELETE FROM t",
            "SELECT 1) q; DELETE FROM t; --",
            "DELETE FROM t",
            "COMMIT",
            "COPY t TO '/tmp/x'",
        ] {
            let refusal = engine.refusal(sql).await;
            assert!(refusal.contains("syntax error") || refusal.contains("multiple commands"), "{sql}: {refusal}");
        }
        // pg_catalog comes first, so a user's function with the same arguments is not chosen.
        assert!(engine.run("SELECT lower('A') AS l").await.unwrap().contains("[\"a\"]"));
        // The server ends a long statement by itself.
        let began = Instant::now();
        assert!(matches!(engine.run("SELECT pg_sleep(60)").await, Err(DatabaseError::Timeout { .. })));
        assert!(began.elapsed() < Duration::from_secs(10));
        // Everything is rolled back, so a setting does not outlive its call. The pool has one connection.
        engine
            .run("SELECT set_config('work_mem', '7MB', false), set_config('search_path', 'mine', false)")
            .await
            .unwrap();
        let after =
            engine.run("SELECT current_setting('work_mem') AS w, current_setting('search_path') AS p").await.unwrap();
        assert!(!after.contains("7MB") && after.contains("\"public, pg_temp\""), "{after}");
        assert_eq!(server.query(&database, "SELECT count(*), (SELECT is_called FROM s) FROM t"), "1|f");
        engine.database.close().await;
        engine.audit.finish().await;
        let _ = std::fs::remove_dir_all(directory);
    }
}

#[tokio::test]
#[ignore = "needs servers or clients: tests/run"]
async fn sqlite_locks_hold_without_the_guard() {
    let directory = temporary("sqlite");
    let path = directory.join("main.db");
    let output = std::process::Command::new("sqlite3")
        .arg(&path)
        .arg(
            "CREATE TABLE t (a, b); INSERT INTO t VALUES (1, 'x'); CREATE VIRTUAL TABLE r USING rtree(id, x0, x1);
              INSERT INTO r VALUES (1, 0, 2); CREATE VIRTUAL TABLE f USING fts5(body); INSERT INTO f VALUES ('hello');",
        )
        .output()
        .unwrap();
    assert!(output.status.success());
    let before = std::fs::read(&path).unwrap();
    let engine = Bypass::new(&source(&format!("sqlite://{}", path.display())), &directory);
    // The wrapper accepts only a query. The authorizer refuses functions and pragmas.
    let copy = directory.join("copy.db");
    for sql in [
        "INSERT INTO t VALUES (2, 'y')".to_owned(),
        "DELETE FROM t".into(),
        "SELECT 1; DELETE FROM t".into(),
        "SELECT 1) SELECT 1; DELETE FROM t; --".into(),
        format!("VACUUM INTO '{}'", copy.display()),
        format!("ATTACH '{}' AS other", copy.display()),
        "PRAGMA query_only = off".into(),
        "SELECT load_extension('x')".into(),
        "SELECT * FROM pragma_query_only".into(),
        "SELECT * FROM pragma_journal_mode".into(),
        "SELECT fts3_tokenizer('simple')".into(),
    ] {
        let refusal = engine.refusal(&sql).await;
        let by_lock = [
            "syntax error",
            "not authorized",
            "no such table",
            "no such function",
            "incomplete input",
            "it can show settings",
        ];
        assert!(by_lock.iter().any(|words| refusal.contains(words)), "{sql}: {refusal}");
    }
    // Virtual tables that prepare writes to their own tables can be read.
    assert!(engine.run("SELECT id FROM r WHERE x0 < 1").await.unwrap().contains("[[1]]"));
    assert!(engine.run("SELECT body FROM f WHERE f MATCH 'hello'").await.unwrap().contains("hello"));
    // The length limit ends one huge operation; the progress handler ends an endless statement.
    let refusal = engine.refusal("SELECT length(replace(hex(zeroblob(8000000)), '00', 'xxxxxxxxxxxx'))").await;
    assert!(refusal.contains("too big"), "{refusal}");
    let endless = "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) SELECT max(i) FROM c";
    assert!(matches!(engine.run(endless).await, Err(DatabaseError::Timeout { .. })));
    super::sqlite::locks_one_by_one(&path);
    engine.database.close().await;
    engine.audit.finish().await;
    assert!(before == std::fs::read(&path).unwrap() && !copy.exists());
    let _ = std::fs::remove_dir_all(directory);
}
