use super::*;
use crate::config::{AuditConfig, AuditSql};

fn config(path: &std::path::Path) -> AuditConfig {
    AuditConfig { path: Some(path.to_owned()), required: true, power: false, sql: AuditSql::Full, mirror: None }
}

fn start(tool: &'static str, sql: &str) -> EntryStart {
    EntryStart { tool, sql: Some(sql.into()), ..EntryStart::default() }
}

fn temporary(name: &str) -> std::path::PathBuf {
    let directory = std::env::temp_dir().join(format!("tudb-{name}-{}", uuid::Uuid::now_v7()));
    std::fs::create_dir_all(&directory).unwrap();
    directory.join("audit.db")
}

#[tokio::test]
async fn each_call_has_its_record_whatever_becomes_of_it() {
    let path = temporary("records");
    let log = AuditLog::start(&config(&path));
    log.begin(start("run_sql", "SELECT 1")).committed().await.unwrap().close(Finished::new(OutcomeKind::Ok));
    drop(log.begin(start("run_sql", "SELECT 2")).committed().await.unwrap());
    let refused = log.begin(start("run_sql", "DROP TABLE t")).committed().await.unwrap();
    refused.close(Finished::of_error(&ToolError::new(Code::WriteRefused, "no")));
    log.finish().await;

    let mut trail = Trail::open(&path).await.unwrap();
    let records = trail.records(&Filter::default()).await.unwrap();
    let outcomes: Vec<_> = records.iter().map(|record| record["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["ok", "cancelled", "rejected"]);
    assert_eq!(records[2]["decision"], "refused");
    assert_eq!(records[2]["code"], "write_refused");
    assert_eq!(trail.verify().await.unwrap(), Verdict { events: 6, processes: 1, ..Verdict::default() });
}

#[tokio::test]
async fn tampering_shows() {
    for tamper in [
        "UPDATE event SET body = replace(body, 'SELECT 2', 'SELECT 9') WHERE seq = 3",
        "DELETE FROM event WHERE seq = 3",
        "DELETE FROM event WHERE seq = 6",
        "UPDATE event SET seq = CASE seq WHEN 1 THEN 3 WHEN 3 THEN 1 END + 100 WHERE seq IN (1, 3)",
        "INSERT INTO event SELECT process, 99, kind, id, at, body, hash FROM event WHERE seq = 1",
        "DELETE FROM process",
    ] {
        let path = temporary("tamper");
        let log = AuditLog::start(&config(&path));
        for sql in ["SELECT 1", "SELECT 2", "SELECT 3"] {
            log.begin(start("run_sql", sql)).committed().await.unwrap().close(Finished::new(OutcomeKind::Ok));
        }
        log.finish().await;
        let mut store = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
        store = store.busy_timeout(std::time::Duration::from_secs(5));
        let mut store = sqlx::ConnectOptions::connect(&store).await.unwrap();
        sqlx::query(tamper).execute(&mut store).await.unwrap();
        let verdict = Trail::open(&path).await.unwrap().verify().await.unwrap();
        assert!(!verdict.faults.is_empty(), "{tamper}");
    }
}

#[tokio::test]
async fn without_a_store_nothing_may_run() {
    let log = AuditLog::start(&AuditConfig { path: None, ..config(std::path::Path::new("x")) });
    let error = log.begin(start("run_sql", "SELECT 1")).committed().await.unwrap_err();
    assert!(error.reason.contains("TUDB_AUDIT_DB"), "{error}");
    let log = AuditLog::start(&AuditConfig { path: None, required: false, ..config(std::path::Path::new("x")) });
    assert!(log.begin(start("run_sql", "SELECT 1")).committed().await.unwrap().warning().is_some());
}

#[test]
fn a_fingerprint_holds_no_literal() {
    let sql = "SELECT a FROM t WHERE b = 'secret' AND c > 42 -- secret\n AND d = $$secret$$ AND e = E'secret'";
    let kept = record::keep_sql(sql, AuditSql::Fingerprint);
    assert!(!kept.contains("secret") && !kept.contains("42"), "{kept}");
    assert!(kept.starts_with("SELECT a FROM t WHERE b = ?"), "{kept}");
    assert!(record::keep_sql(sql, AuditSql::Hash).starts_with("sha256:"));
}
