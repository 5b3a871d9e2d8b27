use super::*;
use crate::config::{AuditConfig, AuditSql, AuditStore};
use sqlx::{ConnectOptions, SqliteConnection};

fn config(path: &std::path::Path) -> AuditConfig {
    AuditConfig {
        store: AuditStore::File(path.to_owned()),
        required: true,
        power: false,
        sql: AuditSql::Full,
        mirror: None,
        key_file: None,
    }
}

/// The same with a key beside the store.
fn keyed(path: &std::path::Path) -> AuditConfig {
    let key = path.with_file_name("key");
    std::fs::write(&key, "a key that nobody guesses\n").unwrap();
    AuditConfig { key_file: Some(key), ..config(path) }
}

/// Makes each write fail until the trigger is gone.
const FAIL: &str = "CREATE TRIGGER fail BEFORE INSERT ON event BEGIN SELECT RAISE(ABORT, 'no'); END";

fn start(tool: &'static str, sql: &str) -> EntryStart {
    EntryStart { tool: tool.into(), sql: Some(sql.into()), ..EntryStart::default() }
}

fn temporary(name: &str) -> std::path::PathBuf {
    let directory = std::env::temp_dir().join(format!("tudb-{name}-{}", uuid::Uuid::now_v7()));
    std::fs::create_dir_all(&directory).unwrap();
    directory.join("audit.db")
}

async fn begin(log: &AuditLog, sql: &str) -> OpenEntry {
    log.begin(start("run_sql", sql), &Outcomes::default()).committed().await.unwrap()
}

/// One process with three records, to its regular end.
async fn three_records(config: &AuditConfig) {
    let log = AuditLog::start(config);
    for sql in ["SELECT 1", "SELECT 2", "SELECT 3"] {
        begin(&log, sql).await.close(Finished::new(OutcomeKind::Ok));
    }
    log.finish().await;
}

async fn store(path: &std::path::Path) -> SqliteConnection {
    let store = sqlx::sqlite::SqliteConnectOptions::new().filename(path).create_if_missing(true);
    store.busy_timeout(std::time::Duration::from_secs(5)).connect().await.unwrap()
}

async fn change(path: &std::path::Path, sql: &str) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut store(path).await).await.unwrap();
}

async fn verdict(config: &AuditConfig) -> Verdict {
    Trail::open(config).await.unwrap().verify(None).await.unwrap()
}

#[tokio::test]
async fn each_call_has_its_record_whatever_becomes_of_it() {
    let path = temporary("records");
    let config = config(&path);
    let log = AuditLog::start(&config);
    begin(&log, "SELECT 1").await.close(Finished::new(OutcomeKind::Ok));
    drop(begin(&log, "SELECT 2").await);
    let refused = begin(&log, "DROP TABLE t").await;
    refused.close(Finished::of_error(&ToolError::new(Code::WriteRefused, "no")));
    let panicking = begin(&log, "SELECT 3").await;
    #[allow(clippy::panic)]
    let panicked = tokio::spawn(async move {
        let _entry = panicking;
        panic!("inside");
    });
    assert!(panicked.await.is_err());
    log.finish().await;

    let records = Trail::open(&config).await.unwrap().records(&Filter::default()).await.unwrap();
    let outcomes: Vec<_> = records.iter().map(|record| record["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["ok", "cancelled", "rejected", "failed"]);
    assert_eq!((&records[2]["decision"], &records[2]["code"]), (&"refused".into(), &"write_refused".into()));
    assert_eq!(records[3]["code"], "internal");
    assert_eq!(verdict(&config).await, Verdict { events: 8, processes: 1, ..Verdict::default() });
}

#[tokio::test]
async fn every_kind_of_tampering_is_found_and_named() {
    // What is done, and what verify says of it.
    let cases = [
        ("UPDATE event SET body = replace(body, 'SELECT 2', 'SELECT 9') WHERE seq = 3", "event 3 (intent of record"),
        ("UPDATE event SET at = '2020-01-01T00:00:00Z' WHERE seq = 4", "event 4 (outcome of record"),
        ("UPDATE event SET id = 'another' WHERE seq = 1", "event 1 (intent of record another) was changed"),
        ("UPDATE event SET kind = 'outcome' WHERE seq = 5", "event 5 (outcome of record"),
        ("DELETE FROM event WHERE seq = 1", "event 1 is missing"),
        ("DELETE FROM event WHERE seq = 3", "event 3 is missing"),
        ("DELETE FROM event WHERE seq = 6", "ended with event 6, but the chain ends with 5"),
        ("DELETE FROM event", "ended with event 6, but the chain ends with 0"),
        // Reordered: both events are changed where they now stand.
        (
            "UPDATE event SET seq = seq + 100; UPDATE event SET seq = 3 WHERE seq = 105; UPDATE event SET seq = 5 WHERE seq = 103; UPDATE event SET seq = seq - 100 WHERE seq > 100",
            "event 3 (intent of record",
        ),
        (
            "INSERT INTO event SELECT process, 7, kind, 'new', at, body, hash FROM event WHERE seq = 5",
            "event 7 (intent of record new) was changed",
        ),
        (
            "UPDATE event SET seq = seq + 100; UPDATE event SET seq = seq - 99 WHERE seq > 102; UPDATE event SET seq = seq - 100 WHERE seq > 100; INSERT INTO event SELECT process, 3, kind, 'new', at, body, hash FROM event WHERE seq = 1",
            "event 3 (intent of record new) was changed",
        ),
        ("DELETE FROM process", "has records but no beginning"),
        ("UPDATE process SET started_at = '2020-01-01T00:00:00Z'", "its beginning was changed"),
        ("UPDATE closing SET at = '2020-01-01T00:00:00Z'", "its end was changed"),
        (
            "UPDATE closing SET last_seq = 4, head = (SELECT hash FROM event WHERE seq = 4); DELETE FROM event WHERE seq > 4",
            "its end was changed",
        ),
        (
            "INSERT INTO checkpoint SELECT process, 2, hash, at, 2, NULL, 'forged' FROM event WHERE seq = 2; DELETE FROM event WHERE seq <= 2",
            "its checkpoint was changed",
        ),
    ];
    for keyed_too in [false, true] {
        for (tamper, told) in cases {
            let path = temporary("tamper");
            let config = if keyed_too { keyed(&path) } else { config(&path) };
            three_records(&config).await;
            assert_eq!(verdict(&config).await.faults, Vec::<String>::new());
            change(&path, tamper).await;
            let faults = verdict(&config).await.faults;
            assert!(faults.iter().any(|fault| fault.contains(told)), "{tamper}: {faults:?}");
        }
    }
}

#[tokio::test]
async fn a_process_that_is_gone_or_cut_is_missed_by_the_next_one() {
    let path = temporary("links");
    let config = config(&path);
    three_records(&config).await;
    // Killed: there is no end to compare with.
    let log = AuditLog::start(&config);
    begin(&log, "SELECT 4").await.close(Finished::new(OutcomeKind::Ok));
    let outcomes = Outcomes::default();
    log.begin(start("run_sql", "SELECT 5"), &outcomes).committed().await.unwrap().close(Finished::new(OutcomeKind::Ok));
    assert_eq!(outcomes.written().await, None);
    three_records(&config).await;
    assert_eq!(verdict(&config).await.faults, Vec::<String>::new());
    let second = "(SELECT process FROM process ORDER BY rowid LIMIT 1 OFFSET 1)";
    for (tamper, told) in [
        (
            format!("DELETE FROM event WHERE process = {second} AND seq = 4"),
            "event 4 is missing or was changed, as process",
        ),
        (
            format!("DELETE FROM event WHERE process = {second}; DELETE FROM process WHERE process = {second}"),
            "is missing, as process",
        ),
    ] {
        let copy = temporary("links-copy");
        change(&path, &format!("VACUUM INTO '{}'", copy.display())).await;
        change(&copy, &tamper).await;
        let faults = verdict(&self::config(&copy)).await.faults;
        assert!(faults.iter().any(|fault| fault.contains(told)), "{tamper}: {faults:?}");
    }
}

/// Changes by somebody who does not have the key, to a store whose chains have a key. Each of them was once not
/// detected.
#[tokio::test]
async fn nothing_forged_stands_beside_the_chains() {
    let path = temporary("forged");
    let config = keyed(&path);
    for _ in 0..3 {
        three_records(&config).await;
    }
    let second = "(SELECT process FROM process ORDER BY rowid LIMIT 1 OFFSET 1)";
    let gone = format!(
        "CREATE TABLE gone AS SELECT process FROM process WHERE process = {second}; DELETE FROM event WHERE process IN gone;
         DELETE FROM closing WHERE process IN gone; DELETE FROM process WHERE process IN gone;"
    );
    let forged = |process: &str, seq: i64| {
        format!("INSERT INTO event SELECT {process}, {seq}, 'intent', 'forged', 't', '{{}}', 'x';")
    };
    for (tamper, told) in [
        (
            format!("{gone} INSERT INTO checkpoint SELECT process, 999999, 'x', 't', 0, NULL, 'x' FROM gone"),
            "has records but no beginning",
        ),
        (gone.clone(), "is missing, as process"),
        (forged(second, -1), "6 of them in its chain"),
        (forged(second, 0), "6 of them in its chain"),
        (
            "INSERT INTO process (rowid, process, started_at, version) VALUES (-1, NULL, 't', 'v'); ".to_owned()
                + &forged("'ghost'", 1),
            "rows hold values of another kind",
        ),
        (forged("'ghost'", 1), "process ghost has records but no beginning"),
        (format!("UPDATE event SET id = CAST(id AS BLOB) WHERE process = {second} AND seq = 4"), "rows hold values of another kind"),
        ("UPDATE event SET seq = CAST(CAST(seq AS TEXT) AS BLOB) WHERE seq = 6".into(), "rows hold values of another kind"),
        ("DROP VIEW readable; CREATE VIEW readable AS SELECT process, seq, kind, id, at, replace(body, '2', '9') AS body FROM event".into(), "are not as tudb made them"),
        ("CREATE TRIGGER swallow BEFORE INSERT ON event BEGIN SELECT RAISE(IGNORE); END".into(), "are not as tudb made them"),
        (
            "INSERT INTO process (rowid, process, started_at, version) VALUES (-1, 'early', 't', 'v')".to_owned(),
            "another one stood before it",
        ),
        (
            format!(
                "INSERT INTO process (process, started_at, version, previous) SELECT 'late', 't', 'v', process || ' 0 x' FROM process WHERE process = {second}"
            ),
            "process late: has no key",
        ),
        (
            format!(
                "DELETE FROM event WHERE process = {second} AND seq = 6; UPDATE closing SET last_seq = 5, hash = NULL, head = (SELECT hash FROM event WHERE process = {second} AND seq = 5) WHERE process = {second}"
            ),
            "its end was changed",
        ),
        (
            format!(
                "DELETE FROM event WHERE process = {second} AND seq > 4; DELETE FROM closing WHERE process = {second}"
            ),
            "its end is missing or another, as process",
        ),
        (
            format!("UPDATE process SET hash = NULL, previous = NULL WHERE process = {second}"),
            "its beginning has no hash",
        ),
        (format!("UPDATE process SET key_id = NULL WHERE process = {second}"), "has no key"),
        (format!("UPDATE process SET rowid = rowid + 10 WHERE process = {second}"), "another one stood before it"),
    ] {
        let copy = temporary("forged-copy");
        change(&path, &format!("VACUUM INTO '{}'", copy.display())).await;
        change(&copy, &tamper).await;
        let config = AuditConfig { store: AuditStore::File(copy), ..config.clone() };
        let faults = verdict(&config).await.faults;
        assert!(faults.iter().any(|fault| fault.contains(told)), "{tamper}: {faults:?}");
        // What has a fault is not signed away.
        let all = Retention { from: Some("~".into()), max_bytes: None, own: None };
        assert!(prune(&config, &all).await.unwrap_err().to_string().contains("nothing was removed"), "{tamper}");
    }
    // A body that is none does not keep the others from being read.
    change(&path, "UPDATE event SET body = '{x' WHERE seq = 1").await;
    let records = Trail::open(&config).await.unwrap().records(&Filter::default()).await.unwrap();
    assert_eq!((records.len(), &records[0]["tool"]), (9, &"unreadable".into()));
}

/// A trigger that swallows events: nothing runs without a record.
#[tokio::test]
async fn a_store_that_swallows_events_is_not_used() {
    let path = temporary("swallow");
    let config = config(&path);
    let log = AuditLog::start(&config);
    begin(&log, "SELECT 1").await.close(Finished::new(OutcomeKind::Ok));
    change(&path, "CREATE TRIGGER swallow BEFORE INSERT ON event BEGIN SELECT RAISE(IGNORE); END").await;
    for log in [&log, &AuditLog::start(&config)] {
        let refused = log.begin(start("run_sql", "SELECT 2"), &Outcomes::default()).committed().await;
        assert!(refused.unwrap_err().reason.contains("not as tudb made them"));
    }
}

/// Servers write while somebody verifies: what is seen is one moment.
#[tokio::test]
async fn verifying_beside_a_writer_finds_no_fault() {
    let path = temporary("beside");
    let config = config(&path);
    let log = AuditLog::start(&config);
    begin(&log, "SELECT 0").await.close(Finished::new(OutcomeKind::Ok));
    let writing = tokio::spawn(async move {
        for number in 0..2_000 {
            begin(&log, &format!("SELECT {number}")).await.close(Finished::new(OutcomeKind::Ok));
        }
    });
    let mut times = 0;
    while !writing.is_finished() {
        assert_eq!(verdict(&config).await.faults, Vec::<String>::new());
        times += 1;
    }
    writing.await.unwrap();
    assert!(times > 2, "{times}");
}

/// A server runs on while others begin and end: the tail of its chain is missed all the same.
#[tokio::test]
async fn the_tail_of_a_chain_that_ran_on_is_missed() {
    let path = temporary("ran-on");
    let config = config(&path);
    let server = AuditLog::start(&config);
    begin(&server, "SELECT 1").await.close(Finished::new(OutcomeKind::Ok));
    three_records(&config).await;
    for sql in ["SELECT 2", "SELECT 3"] {
        let outcomes = Outcomes::default();
        server.begin(start("run_sql", sql), &outcomes).committed().await.unwrap().close(Finished::new(OutcomeKind::Ok));
        assert_eq!(outcomes.written().await, None);
    }
    server.finish().await;
    three_records(&config).await;
    assert_eq!(verdict(&config).await.faults, Vec::<String>::new());
    let first = "(SELECT process FROM process ORDER BY rowid LIMIT 1)";
    change(
        &path,
        &format!("DELETE FROM event WHERE process = {first} AND seq > 2; DELETE FROM closing WHERE process = {first}"),
    )
    .await;
    let faults = verdict(&config).await.faults;
    assert!(faults.iter().any(|fault| fault.contains("its end is missing or another")), "{faults:?}");
}

#[tokio::test]
async fn a_store_that_was_removed_or_replaced_is_begun_anew() {
    let path = temporary("removed");
    let config = keyed(&path);
    let log = AuditLog::start(&config);
    begin(&log, "SELECT 1").await.close(Finished::new(OutcomeKind::Ok));
    for _ in 0..2 {
        for name in ["audit.db", "audit.db-wal", "audit.db-shm"] {
            let _ = std::fs::remove_file(path.with_file_name(name));
        }
        begin(&log, "SELECT 2").await.close(Finished::new(OutcomeKind::Ok));
        let found = verdict(&config).await;
        assert_eq!((found.faults.as_slice(), found.processes), (&[][..], 1));
    }
    // Another key under a store that is opened again: a chain of its own.
    change(&path, FAIL).await;
    let refused = log.begin(start("run_sql", "SELECT 3"), &Outcomes::default()).committed().await;
    assert!(refused.is_err());
    change(&path, "DROP TRIGGER fail").await;
    begin(&log, "SELECT 4").await.close(Finished::new(OutcomeKind::Ok));
    log.finish().await;
    let found = verdict(&config).await;
    assert_eq!((found.faults.as_slice(), found.processes), (&[][..], 1));
}

#[tokio::test]
async fn with_a_key_a_rewritten_chain_shows() {
    let path = temporary("key");
    let config = keyed(&path);
    three_records(&config).await;
    assert!(verdict(&config).await.keyed);
    // Another key, and none, cannot check it; neither says that all is well.
    let other = AuditConfig { key_file: Some(path.with_file_name("other")), ..config.clone() };
    std::fs::write(path.with_file_name("other"), "another key, long enough").unwrap();
    for config in [other, self::config(&path)] {
        let verdict = verdict(&config).await;
        assert!(!verdict.keyed && verdict.faults[0].contains("so it cannot be checked"), "{verdict:?}");
    }
    // A chain that was written without the key is a fault when a key is configured.
    three_records(&self::config(&path)).await;
    let faults = verdict(&config).await.faults;
    assert!(faults[0].contains("has no key"), "{faults:?}");
    // Chains of before the key are taken up to a time that the auditor names.
    let path = temporary("before-key");
    let config = keyed(&path);
    three_records(&self::config(&path)).await;
    three_records(&config).await;
    assert!(verdict(&config).await.faults[0].contains("--unkeyed-until"));
    let taken = Trail::open(&config).await.unwrap().verify(Some("9999")).await.unwrap();
    assert_eq!(taken.faults, Vec::<String>::new());
    let short = AuditConfig { key_file: Some(path.with_file_name("short")), ..config.clone() };
    std::fs::write(path.with_file_name("short"), "secret").unwrap();
    for config in [short, AuditConfig { key_file: Some("/nowhere/key".into()), ..config }] {
        let refused =
            AuditLog::start(&config).begin(start("run_sql", "SELECT 1"), &Outcomes::default()).committed().await;
        let reason = refused.unwrap_err().reason;
        assert!(reason.contains("audit.key_file") && !reason.contains("secret"), "{reason}");
    }
}

#[tokio::test]
async fn what_is_left_after_pruning_can_be_verified_and_goes_on() {
    for keyed_too in [false, true] {
        let path = temporary("prune");
        let config = if keyed_too { keyed(&path) } else { config(&path) };
        three_records(&config).await;
        let log = AuditLog::start(&config);
        let mut ids = Vec::new();
        for number in 0..20 {
            let entry = begin(&log, &format!("SELECT {number}, '{}'", "x".repeat(1_000))).await;
            ids.push(entry.id().to_owned());
            entry.close(Finished::new(OutcomeKind::Ok));
        }
        let none = prune(&config, &Retention::default()).await.unwrap();
        assert_eq!(none, 0);
        // By age, in the middle of a running process, which goes on writing.
        let removed =
            prune(&config, &Retention { from: Some(ids[5].clone()), max_bytes: None, own: None }).await.unwrap();
        assert_eq!(removed, 6 + 10);
        begin(&log, "SELECT 'after'").await.close(Finished::new(OutcomeKind::Ok));
        let outcomes = Outcomes::default();
        log.begin(start("run_sql", "SELECT 'last'"), &outcomes)
            .committed()
            .await
            .unwrap()
            .close(Finished::new(OutcomeKind::Ok));
        outcomes.written().await;
        let found = verdict(&config).await;
        assert_eq!((found.faults.as_slice(), found.removed, found.events), (&[][..], 16, 34));
        // By size, and once more.
        assert!(prune(&config, &Retention { from: None, max_bytes: Some(8_000), own: None }).await.unwrap() > 10);
        log.finish().await;
        three_records(&config).await;
        let found = verdict(&config).await;
        assert_eq!(found.faults, Vec::<String>::new());
        assert!(found.removed > 26 && found.unfinished.is_empty(), "{found:?}");
        // A checkpoint cannot hide more than it says.
        change(&path, "UPDATE checkpoint SET seq = seq + 2, head = (SELECT hash FROM event AS e WHERE e.process = checkpoint.process AND e.seq = checkpoint.seq + 2) WHERE process IN (SELECT process FROM event)").await;
        change(&path, "DELETE FROM event WHERE EXISTS (SELECT 1 FROM checkpoint AS c WHERE c.process = event.process AND event.seq <= c.seq)").await;
        assert!(verdict(&config).await.faults[0].contains("its checkpoint was changed"));
    }
}

#[tokio::test]
async fn a_store_of_the_first_version_is_brought_forward() {
    let path = temporary("forward");
    change(&path, include_str!("../../migrations/audit/0001_events.sql")).await;
    let hash = |previous: &str, seq: i64, kind: &str, body: &str| {
        chain::Seal::default().hash(&[previous, "old", &seq.to_string(), kind, "0190a", "2026-01-01T00:00:00Z", body])
    };
    let first = hash("", 1, "intent", "{\"tool\":\"run_sql\",\"sql\":\"SELECT 1\"}");
    let second = hash(&first, 2, "outcome", "{\"decision\":\"allowed\",\"outcome\":\"ok\"}");
    change(
        &path,
        &format!(
            "PRAGMA user_version = 1;
             INSERT INTO process VALUES ('old', '2026-01-01T00:00:00Z', '0.1.0', '2026-01-01T00:00:01Z', 2, '{second}');
             INSERT INTO event VALUES ('old', 1, 'intent', '0190a', '2026-01-01T00:00:00Z', '{{\"tool\":\"run_sql\",\"sql\":\"SELECT 1\"}}', '{first}');
             INSERT INTO event VALUES ('old', 2, 'outcome', '0190a', '2026-01-01T00:00:00Z', '{{\"decision\":\"allowed\",\"outcome\":\"ok\"}}', '{second}');"
        ),
    )
    .await;
    let config = config(&path);
    let unread = Trail::open(&config).await.err().unwrap().to_string();
    assert!(unread.contains("tudb doctor"), "{unread}");
    three_records(&config).await;
    let found = verdict(&config).await;
    assert_eq!((found.faults.as_slice(), found.events, found.processes), (&[][..], 8, 2));
    let records = Trail::open(&config).await.unwrap().records(&Filter::default()).await.unwrap();
    assert_eq!((records.len(), &records[0]["outcome"]), (4, &"ok".into()));
    change(&path, "DELETE FROM event WHERE seq = 2 AND process = 'old'").await;
    assert!(!verdict(&config).await.faults.is_empty());
    change(&path, "PRAGMA user_version = 99").await;
    let refused = AuditLog::start(&config).begin(start("run_sql", "SELECT 1"), &Outcomes::default()).committed().await;
    assert!(refused.unwrap_err().reason.contains("newer version"));
}

/// A clock that goes backwards changes times, not the order of a chain.
#[tokio::test]
async fn the_chain_does_not_depend_on_the_clock() {
    let path = temporary("clock");
    let config = config(&path);
    three_records(&config).await;
    let seal = chain::Seal::default();
    let mut store = store(&path).await;
    let (process, mut head): (String, String) =
        sqlx::query_as("SELECT process, head FROM closing").fetch_one(&mut store).await.unwrap();
    sqlx::raw_sql("DELETE FROM closing").execute(&mut store).await.unwrap();
    for (seq, at) in [(7, "2026-06-01T00:00:00Z"), (8, "2020-01-01T00:00:00Z"), (9, "2026-05-01T00:00:00Z")] {
        let (kind, id, body) = ("intent".to_owned(), format!("id{seq}"), "{\"tool\":\"run_sql\"}".to_owned());
        let mut row = chain::Row { seq, kind, id, at: at.into(), body, hash: String::new() };
        row.hash = row.expected(&seal, &head, &process);
        head = row.hash.clone();
        let insert = sqlx::query("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?)").bind(process.clone()).bind(seq);
        let insert = insert.bind(row.kind).bind(row.id).bind(row.at).bind(row.body).bind(row.hash);
        insert.execute(&mut store).await.unwrap();
    }
    let found = verdict(&config).await;
    assert_eq!((found.faults.len(), found.unfinished.len()), (0, 3));
}

#[tokio::test]
async fn without_a_store_nothing_may_run() {
    let nowhere = AuditConfig { store: AuditStore::Nowhere, ..config(std::path::Path::new("x")) };
    let log = AuditLog::start(&nowhere);
    let error = log.begin(start("run_sql", "SELECT 1"), &Outcomes::default()).committed().await.unwrap_err();
    assert!(error.reason.contains("TUDB_AUDIT_DB"), "{error}");
    let log = AuditLog::start(&AuditConfig { required: false, ..nowhere });
    let outcomes = Outcomes::default();
    let entry = log.begin(start("run_sql", "SELECT 1"), &outcomes).committed().await.unwrap();
    entry.close(Finished::new(OutcomeKind::Ok));
    assert_eq!(outcomes.written().await.unwrap(), "this call is not in the audit trail");
}

#[tokio::test]
async fn an_outcome_that_cannot_be_written_is_told_and_tried_again() {
    let path = temporary("late");
    let config = config(&path);
    let log = AuditLog::start(&config);
    let outcomes = Outcomes::default();
    let entry = log.begin(start("run_sql", "SELECT 1"), &outcomes).committed().await.unwrap();
    change(&path, FAIL).await;
    entry.close(Finished::new(OutcomeKind::Ok));
    let warning = outcomes.written().await.unwrap();
    assert!(warning.contains("not in the audit trail yet"), "{warning}");
    change(&path, "DROP TRIGGER fail").await;
    // Nothing else is called: the writer tries by itself.
    for _ in 0..100 {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        if Trail::open(&config).await.unwrap().unfinished().await.unwrap() == 0 {
            break;
        }
    }
    log.finish().await;
    assert_eq!(verdict(&config).await, Verdict { events: 2, processes: 1, ..Verdict::default() });
}

#[test]
fn a_fingerprint_holds_no_literal() {
    let sql = "SELECT a FROM t WHERE b = 'secret' AND c > 42 -- secret\n AND d = $$secret$$ AND e = E'secret'";
    let kept = record::keep_sql(sql, AuditSql::Fingerprint);
    assert!(!kept.contains("secret") && !kept.contains("42"), "{kept}");
    assert!(kept.starts_with("SELECT a FROM t WHERE b = ?"), "{kept}");
    assert!(record::keep_sql(sql, AuditSql::Hash).starts_with("sha256:"));
    assert_eq!(record::keep_sql("SELECT '\0'", AuditSql::Full), "SELECT '␀'");
    assert_eq!(record::keep_sql("SELECT a WHERE b = \"secret\"", AuditSql::Fingerprint), "SELECT a WHERE b = ?");
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned();
    assert_eq!(record::keep_trace(&trace), Some(trace));
    for wrong in ["", "00-\0", "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", "00-zz-01-02"] {
        assert_eq!(record::keep_trace(wrong), None);
    }
}
