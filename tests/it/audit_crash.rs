//! The audit trail under faults: processes killed at any moment, a full disk, a store on PostgreSQL, secrets.

use std::collections::{HashMap, HashSet};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::bedrock::{Bedrock, answers, runs};
use crate::support::openai::{Answer, OpenAi};
use crate::support::postgres::{Postgres, server};
use crate::support::{Home, Server, content, everything_under, output_of};

const CALLS: usize = 10_000;
const PROCESSES: usize = 8;

/// One call of a mix: allowed, refused, failing, other tools. Statements from outside contain `outside`.
fn call(number: usize) -> (&'static str, Value) {
    let sql = |text: String| ("run_sql", json!({"sql": text}));
    match number % 10 {
        0 => sql("DELETE FROM outside_writes".into()),
        1 => sql(format!("SELECT nothing AS outside_{}", number % 7)),
        2 => ("explain_query", json!({"sql": format!("SELECT {} AS outside_plan", number % 7)})),
        3 => ("run_sql", json!({"sql": 1})),
        4 => ("list_tables", json!({})),
        5 => sql(format!("SELECT 1 / {} AS outside_zero", number % 2)),
        _ => sql(format!("SELECT {} AS outside_rows", number % 13)),
    }
}

/// Records by id, and the output of `verify`.
fn trail(home: &Home) -> (HashMap<String, Value>, Value) {
    let records = home.records().into_iter().map(|record| (record["id"].as_str().unwrap().to_owned(), record));
    let verdict = home.run(&["audit", "verify", "--json"]);
    (records.collect(), serde_json::from_slice(&verdict.stdout).unwrap())
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn ten_thousand_calls_of_eight_processes_with_kills() {
    let postgres =
        Postgres::with_settings(&[("log_statement", "all"), ("log_line_prefix", "@@%a@@"), ("max_connections", "200")]);
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres?sslmode=disable", postgres.port);
    let home = Home::new("kills").set("TUDB_DATABASE_URL", url);
    let (next, kills) = (AtomicUsize::new(0), AtomicUsize::new(0));
    // A client does not see the ids of its calls, but it can count the answers of each kind.
    let answered = Mutex::new(HashMap::<String, usize>::new());
    std::thread::scope(|scope| {
        for process in 0..PROCESSES {
            let (home, next, kills, answered) = (&home, &next, &kills, &answered);
            scope.spawn(move || {
                let mut round = process;
                while next.load(Ordering::Relaxed) < CALLS {
                    let mut server = home.serve();
                    // Each process makes a few hundred calls, some at once, and is killed while calls run.
                    let life = 100 + (round * 37) % 150;
                    let mut open = Vec::new();
                    for place in 0..life {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= CALLS {
                            break;
                        }
                        let (tool, arguments) = call(number);
                        open.push(server.send_call(tool, arguments));
                        if open.len() > 5 {
                            let reply = content(&server.answer(open.remove(0)));
                            let kind = reply["error"]["code"].as_str().unwrap_or("ok").to_owned();
                            assert_eq!(reply.get("warnings"), None, "{reply}");
                            *answered.lock().unwrap().entry(kind).or_default() += 1;
                        }
                        if place + 1 == life {
                            std::thread::sleep(Duration::from_micros((round as u64 * 311) % 4_000));
                        }
                    }
                    server.child.kill().unwrap();
                    server.child.wait().unwrap();
                    kills.fetch_add(1, Ordering::Relaxed);
                    round += PROCESSES;
                }
            });
        }
    });
    let (records, verdict) = trail(&home);
    assert_eq!(verdict["faults"], json!([]), "{verdict}");
    // Every statement from outside that the database executed has an intent, under the id in its application_name.
    let (mut executed, mut missing) = (HashSet::new(), Vec::new());
    for line in postgres.log().lines().filter(|line| line.contains("outside_") && line.contains("execute ")) {
        let name = line.split("@@").nth(1).unwrap();
        let id = name.rsplit(' ').next().unwrap();
        match records.get(id) {
            Some(record) if record["sql"].as_str().is_some_and(|sql| sql.contains("outside_")) => {
                executed.insert(id.to_owned());
            }
            _ => missing.push(line.to_owned()),
        }
    }
    assert!(missing.is_empty(), "{} of {}: {:?}", missing.len(), executed.len(), &missing[..missing.len().min(3)]);
    // Every intent has an outcome or is reported.
    let unfinished: HashSet<&str> =
        verdict["unfinished"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    for (id, record) in &records {
        assert_eq!(record["outcome"] == "unfinished", unfinished.contains(id.as_str()), "{record}");
    }
    // Every answered call has its outcome: a kill loses only calls that were running.
    let mut recorded = HashMap::<String, usize>::new();
    for record in records.values().filter(|record| record["outcome"] != "unfinished") {
        *recorded.entry(record["code"].as_str().unwrap_or("ok").to_owned()).or_default() += 1;
    }
    let answered = answered.into_inner().unwrap();
    for (kind, count) in &answered {
        assert!(recorded.get(kind).is_some_and(|recorded| recorded >= count), "{kind}: {count} answered, {recorded:?}");
    }
    let calls: usize = answered.values().sum();
    eprintln!(
        "{CALLS} calls of {PROCESSES} processes, {} kills: {} records, {} statements executed, all with an intent; {calls} \
         answered, all with an outcome; {} without an outcome are reported",
        kills.into_inner(),
        records.len(),
        executed.len(),
        unfinished.len()
    );
    assert!(executed.len() > CALLS / 3 && unfinished.len() < records.len() / 10);
    // The next start reports the number of unfinished calls.
    let server = home.serve();
    let said = format!("{} calls of earlier or other processes have no outcome", unfinished.len());
    for _ in 0..300 {
        if server.stderr.lock().unwrap().contains(&said) {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let told = server.stderr.lock().unwrap().clone();
    assert!(unfinished.is_empty() || told.contains(&said), "{told}");
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_kill_at_any_point_of_a_call_leaves_its_record() {
    let postgres = Postgres::with_settings(&[("log_statement", "all"), ("log_line_prefix", "@@%a@@")]);
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres?sslmode=disable", postgres.port);
    let home = Home::new("points").set("TUDB_DATABASE_URL", url);
    let mut unfinished = 0;
    for point in 0..60_u64 {
        let mut server = home.serve();
        server.call("run_sql", json!({"sql": "SELECT 1"}));
        server.send_call("run_sql", json!({"sql": format!("SELECT {point} AS outside_point")}));
        std::thread::sleep(Duration::from_micros(point * 700));
        server.child.kill().unwrap();
        server.child.wait().unwrap();
    }
    let (records, verdict) = trail(&home);
    assert_eq!(verdict["faults"], json!([]));
    let log = postgres.log();
    let executed: Vec<&str> =
        log.lines().filter(|line| line.contains("outside_point") && line.contains("execute ")).collect();
    for line in &executed {
        let id = line.split("@@").nth(1).unwrap().rsplit(' ').next().unwrap();
        let record = records.get(id).unwrap_or_else(|| panic!("no intent: {line}"));
        unfinished += usize::from(record["outcome"] == "unfinished");
    }
    eprintln!(
        "60 kills within 42 ms of a call: {} statements reached the database, {unfinished} of them have no outcome",
        executed.len()
    );
    assert!(!executed.is_empty() && executed.len() < 60, "the kills came at different points: {}", executed.len());
}

/// A server whose files cannot grow beyond so many kilobytes, as on a full disk.
fn on_a_full_disk(home: &Home, kilobytes: u32) -> Server {
    let own = home.command();
    let mut shell = Command::new("bash");
    shell.env_clear().envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.current_dir(own.get_current_dir().unwrap());
    shell.args(["-c", &format!("trap '' XFSZ; ulimit -f {kilobytes}; exec \"$0\"")]).arg(own.get_program());
    Server::start(shell)
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn on_a_full_disk_nothing_runs_without_a_record() {
    let postgres = server();
    let (_, url) = postgres.database("full");
    let home = Home::new("full").set("TUDB_DATABASE_URL", &url);
    home.say(&["sql", "SELECT 1"]);
    let mut server = on_a_full_disk(&home, 200);
    let padding = "x".repeat(2_000);
    let mut seen = HashMap::<String, usize>::new();
    for number in 0..300 {
        let reply = server.call("run_sql", json!({"sql": format!("SELECT {number} AS n -- {padding}")}));
        let kind = match (reply["error"]["code"].as_str(), reply["warnings"][0].as_str()) {
            (None, None) => "ok".to_owned(),
            (None, Some(warning)) if warning.contains("not in the audit trail yet") => "warned".to_owned(),
            (Some("audit_unavailable"), _) => {
                assert!(reply["error"]["hint"].as_str().unwrap().contains("free the disk"), "{reply}");
                "refused".to_owned()
            }
            _ => panic!("{reply}"),
        };
        *seen.entry(kind).or_default() += 1;
    }
    eprintln!("on a full disk: {seen:?}");
    assert!(seen["ok"] > 10 && seen["refused"] > 50, "{seen:?}");
    server.finish();
    // With space again, the trail is whole, and each call that was answered without a warning has its outcome.
    let (records, verdict) = trail(&home);
    assert_eq!(verdict["faults"], json!([]));
    let finished = records.values().filter(|record| record["outcome"] == "ok").count();
    assert!(finished > seen["ok"], "{finished} of {seen:?}");
    home.say(&["sql", "SELECT 1"]);
    // If records are not required, calls continue with a warning.
    let config = home.scratch.path("tudb.toml");
    std::fs::write(&config, "[audit]\nrequired = false\n").unwrap();
    let home = home.set("TUDB_CONFIG", config.display());
    let mut server = on_a_full_disk(&home, 1);
    let reply = server.call("run_sql", json!({"sql": "SELECT 1"}));
    assert_eq!(
        (&reply["rows"], &reply["warnings"]),
        (&json!([[1]]), &json!(["this call is not in the audit trail"])),
        "{reply}"
    );
}

#[test]
fn a_store_that_was_removed_is_made_anew_and_odd_settings_are_refused_unquoted() {
    let home = Home::new("removed");
    let mut server = home.serve();
    let mut call = || {
        server.request(
            "tools/call",
            json!({"name": "run_sql", "arguments": {"sql": "SELECT 1"}, "_meta": {"traceparent": "00-\u{0}"}}),
        )
    };
    call();
    for name in ["audit.db", "audit.db-wal", "audit.db-shm"] {
        let _ = std::fs::remove_file(home.audit_path().with_file_name(name));
    }
    call();
    let records = home.records();
    assert_eq!((records.len(), records[0].get("traceparent")), (1, None));
    drop(server);
    for odd in ["mysql://u:planted-odd@127.0.0.1/x", "https://u:planted-odd@127.0.0.1/x"] {
        let home = Home::new("odd").set("TUDB_AUDIT_DB", odd);
        let output = home.run(&["doctor"]);
        assert_eq!(output.status.code(), Some(2));
        assert!(
            !format!("{output:?}").contains("planted-odd") && everything_under(&home.scratch.path("")).is_empty(),
            "{output:?}"
        );
    }
    for odd in [
        "Postgres://u:planted-odd@127.0.0.1:1/x?sslpassword=planted-odd",
        "host=127.0.0.1 port=1 user=u password=planted-odd",
    ] {
        let home = Home::new("odd").set("TUDB_AUDIT_DB", odd).set("TUDB_LOG", "trace");
        let output = home.run(&["doctor"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(
            format!("{output:?}").contains("audit_unavailable") && !format!("{output:?}").contains("planted-odd"),
            "{output:?}"
        );
    }
    // The text of a question is no formula in a spreadsheet and no control sequence in a terminal.
    let home = Home::new("steer");
    home.run(&["ask", "=HYPERLINK(1)\u{1b}[2K"]);
    let csv = home.say(&["audit", "export", "--format", "csv"]);
    assert!(csv.contains("'=HYPERLINK(1)"), "{csv}");
    let shown = home.say(&["audit", "show"]);
    assert!(shown.contains("\\u{1b}[2K") && !shown.contains('\u{1b}'), "{shown}");
    let shown = home.say(&["sql", "SELECT char(27) || '[2K' AS x"]);
    assert!(!shown.contains('\u{1b}'), "{shown}");
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_locked_store_is_waited_for_and_then_refuses() {
    let home = Home::new("locked");
    home.say(&["sql", "SELECT 1"]);
    let mut locker =
        Command::new("sqlite3").arg(home.audit_path()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(locker.stdin.as_mut().unwrap(), b"BEGIN IMMEDIATE;\nSELECT 'locked';\n").unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(locker.stdout.as_mut().unwrap()), &mut line).unwrap();
    let mut server = home.serve();
    let reply = server.call("run_sql", json!({"sql": "SELECT 1"}));
    assert_eq!(reply["error"]["code"], "audit_unavailable", "{reply}");
    locker.kill().unwrap();
    locker.wait().unwrap();
    assert_eq!(server.call("run_sql", json!({"sql": "SELECT 1"}))["rows"], json!([[1]]));
}

const TWINS: &str = "
CREATE FUNCTION harm(text, text) RETURNS bool LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'HARM DONE'; END$$;
CREATE FUNCTION harm(uuid, uuid) RETURNS bool LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'HARM DONE'; END$$;
CREATE FUNCTION harm(bigint, bigint) RETURNS bool LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'HARM DONE'; END$$;
CREATE FUNCTION harm(json, int) RETURNS text LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'HARM DONE'; END$$;
CREATE OPERATOR public.= (LEFTARG = text, RIGHTARG = text, FUNCTION = harm);
CREATE OPERATOR public.= (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = harm);
CREATE OPERATOR public.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = harm);
CREATE OPERATOR public.->> (LEFTARG = json, RIGHTARG = int, FUNCTION = harm);
CREATE FUNCTION json_array_elements(json) RETURNS SETOF json LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'HARM DONE'; END$$;
CREATE FUNCTION json_to_recordset(json) RETURNS SETOF record LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'HARM DONE'; END$$;
CREATE DOMAIN public.uuid AS text; CREATE DOMAIN public.json AS text; CREATE DOMAIN public.int8 AS text";

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_store_on_postgres_takes_records_of_a_role_that_may_only_insert() {
    for postgres in crate::support::postgres::servers() {
        let (database, url) = postgres.database("trail");
        let home = Home::new("trail").set("TUDB_LOG", "trace");
        postgres.script(&database, &home.say(&["audit", "schema"]));
        let name = database.clone();
        postgres.script(
            &database,
            &format!(
                "CREATE ROLE host_{name} LOGIN PASSWORD 'planted-writer' IN ROLE tudb_audit_writer;
                 CREATE ROLE auditor_{name} LOGIN IN ROLE tudb_audit_reader;"
            ),
        );
        // Another user's objects that shadow the built-in ones.
        postgres.script(&database, &format!("{TWINS}; ALTER DATABASE {database} SET search_path = public, pg_catalog"));
        let as_role = |role: &str, password: &str| url.replace("postgres@", &format!("{role}_{name}{password}@"));
        let writer = home.set("TUDB_AUDIT_DB", as_role("host", ":planted-writer"));
        let key = writer.scratch.path("key");
        std::fs::write(&key, "a key that nobody guesses").unwrap();
        std::fs::write(writer.scratch.path("tudb.toml"), format!("[audit]\nkey_file = \"{}\"\n", key.display()))
            .unwrap();
        let config = writer.scratch.path("tudb.toml").display().to_string();
        let writer = writer.set("TUDB_CONFIG", &config);
        let mut servers: Vec<Server> = (0..3).map(|_| writer.serve()).collect();
        for (number, server) in servers.iter_mut().enumerate() {
            assert_eq!(server.call("run_sql", json!({"sql": format!("SELECT {number}")}))["row_count"], 1);
            server.call("run_sql", json!({"sql": "DELETE FROM customers -- \u{0}"}));
            server.call("ask_database", json!({"question": "How many customers are there?", "user_id": "ann"}));
        }
        servers.pop().unwrap().child.kill().unwrap();
        let mut stderr = String::new();
        for server in servers {
            let said = std::sync::Arc::clone(&server.stderr);
            assert!(server.finish().success());
            stderr += &said.lock().unwrap();
        }
        let doctor = writer.say(&["doctor"]);
        assert!(doctor.contains("audit store: PostgreSQL"), "{doctor}");
        // The role that writes can neither read nor change records.
        let refused = writer.run(&["audit", "show"]);
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(1) && told.contains("permission denied"), "{told}");
        for sql in [
            "INSERT INTO tudb_audit.event (process, seq, kind, id, at, body, hash) VALUES (gen_random_uuid(), 1, 'intent', gen_random_uuid(), 't', '{x', 'h')",
            "INSERT INTO tudb_audit.event (process, seq, kind, id, at, body, hash) VALUES (gen_random_uuid(), 0, 'intent', gen_random_uuid(), 't', '{}', 'h')",
            "INSERT INTO tudb_audit.process (process, registered, started_at, version) VALUES (gen_random_uuid(), '2020-01-01', 't', 'v')",
            "UPDATE tudb_audit.event SET body = ''",
            "DELETE FROM tudb_audit.event",
            "SELECT * FROM tudb_audit.event",
            "TRUNCATE tudb_audit.event",
        ] {
            let output = postgres.psql(&database).args(["-U", &format!("host_{name}"), "-c", sql]).output().unwrap();
            assert!(!output.status.success(), "{sql}");
        }
        let reader = Home::new("auditor").set("TUDB_AUDIT_DB", as_role("auditor", "")).set("TUDB_CONFIG", &config);
        let (mut records, verdict) = trail(&reader);
        records.retain(|_, record| record["tool"] != "doctor");
        assert_eq!((verdict["faults"].as_array().unwrap().len(), &verdict["keyed"]), (0, &json!(true)), "{verdict}");
        assert_eq!((records.len(), verdict["unfinished"].as_array().unwrap().len()), (12, 0), "{records:?}");
        assert_eq!(reader.say(&["audit", "show", "--user", "ann", "--json"]).lines().count(), 6);
        assert!(records.values().any(|record| record["sql"] == "DELETE FROM customers -- ␀"));
        for text in [&stderr, &doctor, &told, &format!("{records:?}")] {
            assert!(!text.contains("planted-writer") && !text.contains("nobody guesses"), "{text}");
        }
        // The owner can change a record, and `verify` finds the change.
        postgres.query(
            &database,
            "UPDATE tudb_audit.event SET body = replace(body, 'SELECT 1', 'SELECT 2') WHERE body LIKE '%SELECT 1%'",
        );
        let output = reader.run(&["audit", "verify"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stdout).contains("was changed"));
        // Without its store, calls are refused. When the store is back, calls continue in a new chain.
        let mut server = writer.serve();
        assert_eq!(server.call("run_sql", json!({"sql": "SELECT 1"}))["row_count"], 1);
        let end =
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name LIKE 'tudb/%audit'";
        // A connection that the server ended is made anew within the call.
        postgres.query("postgres", end);
        assert_eq!(server.call("run_sql", json!({"sql": "SELECT 1"}))["row_count"], 1);
        postgres.query("postgres", &format!("ALTER ROLE host_{name} NOLOGIN"));
        postgres.query("postgres", end);
        let replies: Vec<Value> = (0..2).map(|_| server.call("run_sql", json!({"sql": "SELECT 1"}))).collect();
        assert!(replies.iter().all(|reply| reply["error"]["code"] == "audit_unavailable"), "{replies:?}");
        assert!(!format!("{replies:?}").contains("planted-writer"));
        postgres.query("postgres", &format!("ALTER ROLE host_{name} LOGIN"));
        assert_eq!(server.call("run_sql", json!({"sql": "SELECT 1"}))["row_count"], 1);
    }
}

#[test]
fn old_records_are_pruned_and_the_rest_verifies() {
    let home = Home::new("prune");
    let mut server = home.serve();
    for number in 0..30 {
        server.call("run_sql", json!({"sql": format!("SELECT {number}")}));
    }
    server.finish();
    assert!(home.say(&["audit", "prune", "--older-than", "1d"]).starts_with("0 events removed"));
    let all = home.records();
    // All events of the first process are older than now.
    let said = home.say(&["audit", "prune", "--older-than", "0s"]);
    assert!(said.starts_with("6"), "sixty events and the first pruning's: {said}");
    let verify = home.say(&["audit", "verify"]);
    assert!(verify.starts_with("ok: ") && verify.contains("older events were removed"), "{verify}");
    let left = home.records();
    assert!(left.len() < 3 && all.len() == 31, "{left:?}");
    assert_eq!(left.last().unwrap()["tool"], "audit_prune");
    assert_eq!(home.run(&["audit", "prune"]).status.code(), Some(2));
    home.say(&["sql", "SELECT 1"]);
    assert!(home.say(&["audit", "verify"]).starts_with("ok: "));
}

#[test]
fn the_mirror_is_whole_lines_and_goes_on_behind_half_of_one() {
    let home = Home::new("mirror");
    let mirror = home.scratch.path("mirror.jsonl");
    std::fs::write(&mirror, "{\"id\":\"half of a li").unwrap();
    let home = home.set("TUDB_AUDIT_JSONL", mirror.display());
    let mut servers: Vec<Server> = (0..3).map(|_| home.serve()).collect();
    for _ in 0..20 {
        let sent: Vec<u64> =
            servers.iter_mut().map(|server| server.send_call("run_sql", json!({"sql": "SELECT 1"}))).collect();
        for (server, id) in servers.iter_mut().zip(sent) {
            content(&server.answer(id));
        }
    }
    for server in servers {
        server.finish();
    }
    let text = std::fs::read_to_string(&mirror).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!((lines.len(), lines[0]), (61, "{\"id\":\"half of a li"));
    let ids: HashSet<String> = lines[1..]
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned())
        .collect();
    let recorded: HashSet<String> =
        home.records().iter().map(|record| record["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids, recorded);
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_mirror_that_nobody_reads_stops_no_call() {
    let home = Home::new("mirror_pipe");
    let mirror = home.scratch.path("mirror.pipe");
    output_of(std::process::Command::new("mkfifo").arg(&mirror));
    let home = home.set("TUDB_AUDIT_JSONL", mirror.display());
    let long = format!("SELECT 1 -- {}", "x".repeat(30_000));
    let mut server = home.serve();
    // More than 1 MB in all.
    for _ in 0..50 {
        let began = std::time::Instant::now();
        assert_eq!(server.call("run_sql", json!({"sql": long}))["rows"], json!([[1]]));
        assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
    }
    let log = server.stderr.lock().unwrap().clone();
    assert!(log.contains("nobody reads the audit mirror"), "{log}");
    let began = std::time::Instant::now();
    assert!(server.finish().success());
    assert!(began.elapsed() < std::time::Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(home.records().len(), 50);
    // With a reader, every line arrives.
    let mut server = home.serve();
    let pipe = mirror.clone();
    let reader = std::thread::spawn(move || std::fs::read_to_string(pipe).unwrap());
    (0..20).for_each(|_| drop(server.call("run_sql", json!({"sql": "SELECT 1"}))));
    server.finish();
    assert_eq!(reader.join().unwrap().lines().count(), 20);
}

/// Plants secrets in every input, and searches every output at the finest log level.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn planted_secrets_reach_no_sink() {
    let postgres = server();
    let (database, url) = postgres.database("secrets");
    postgres.script(&database, "CREATE TABLE t (n int)");
    let role = format!("role_{database}");
    postgres.script(&database, &format!("CREATE ROLE {role} LOGIN; GRANT SELECT ON t TO {role};"));
    let url = |secret: &str| url.replace("postgres@", &format!("{role}:{secret}@"));
    let bedrock = Bedrock::start_with(|_, body| match body["messages"].as_array().unwrap().len() {
        1 => runs("SELECT count(*) AS n FROM t"),
        _ => answers("None."),
    });
    let openai = OpenAi::start(vec![Answer::Fault(401, "", "the key planted-openai-key is wrong")]);
    let mut seen = Vec::new();
    let secrets = [
        "planted-url",
        "planted-file",
        "planted-command",
        "planted-pgpassword",
        "planted-pgpass",
        "planted-bearer",
        "planted-aws-secret",
        "planted-openai-key",
        "planted-audit-key",
    ];
    for (number, model) in ["bedrock", "openai"].into_iter().enumerate() {
        let home = Home::new("secrets");
        let path = |name: &str| home.scratch.path(name).display().to_string();
        std::fs::create_dir_all(home.scratch.path("private")).unwrap();
        std::fs::write(home.scratch.path("private/password"), "planted-file\n").unwrap();
        std::fs::write(home.scratch.path("private/key"), "planted-audit-key-with-length\n").unwrap();
        std::fs::write(home.scratch.path("private/.pgpass"), "*:*:*:*:planted-pgpass\n").unwrap();
        let bare = url("x").replace(":x@", "@");
        std::fs::write(
            home.scratch.path("private/tudb.toml"),
            format!(
                "[sources.a]\nurl = \"{}\"\n[sources.b]\nurl = \"{bare}\"\npassword_file = \"{}\"\n[sources.c]\nurl = \"{bare}\"\n\
                 password_command = [\"echo\", \"planted-command\"]\n[sources.d]\nurl = \"{bare}\"\n[sources.broken]\nurl = \"postgres://u:planted-url@127.0.0.1:1/x\"\n\
                 [audit]\nkey_file = \"{}\"\n",
                url("planted-url"),
                path("private/password"),
                path("private/key"),
            ),
        )
        .unwrap();
        let home = if model == "bedrock" { bedrock.home(home) } else { openai.home(home) };
        let config = home.scratch.path("private/tudb.toml").display().to_string();
        let mirror = home.scratch.path("mirror.jsonl").display().to_string();
        let home = home
            .set("TUDB_CONFIG", config)
            .set("TUDB_MODEL", model)
            .set("TUDB_LOG", "trace")
            .set("TUDB_AUDIT_JSONL", if number == 0 { mirror } else { "stderr".into() })
            .set("PGPASSWORD", "planted-pgpassword")
            .set("AWS_BEARER_TOKEN_BEDROCK", "planted-bearer");
        let mut server = home.serve();
        for source in ["a", "b", "c", "d", "broken"] {
            for (tool, arguments) in [
                ("run_sql", json!({"sql": "SELECT n FROM t", "source": source})),
                ("run_sql", json!({"sql": "SELECT nothing FROM t", "source": source})),
                ("explain_query", json!({"sql": "SELECT n FROM t", "source": source})),
                ("list_tables", json!({"source": source})),
                ("ask_database", json!({"question": "How many t are there?", "source": source})),
            ] {
                seen.extend(server.call(tool, arguments).to_string().into_bytes());
            }
        }
        let stderr = std::sync::Arc::clone(&server.stderr);
        server.finish();
        seen.extend(stderr.lock().unwrap().clone().into_bytes());
        for arguments in [
            &["doctor"][..],
            &["doctor", "--json"],
            &["audit", "show"],
            &["audit", "export"],
            &["audit", "verify"],
            &["sql", "SELECT 1", "--source", "broken"],
        ] {
            let output = home.run(arguments);
            seen.extend(output.stdout);
            seen.extend(output.stderr);
        }
        // The planted inputs are in one directory. TUDB wrote everything else.
        std::fs::remove_dir_all(home.scratch.path("private")).unwrap();
        seen.extend(everything_under(&home.scratch.path("")));
    }
    for request in bedrock.requests().into_iter().chain(openai.requests()) {
        seen.extend(request.bytes);
    }
    let seen = String::from_utf8_lossy(&seen);
    assert!(seen.len() > 50_000 && seen.contains("SELECT n FROM t"), "{} bytes", seen.len());
    for secret in secrets {
        assert!(!seen.contains(secret), "{secret}");
    }
}

/// One record with a character that the store's encoding lacks would refuse the records of other calls beside it.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_store_on_postgres_that_lacks_characters_is_refused() {
    let postgres = crate::support::postgres::server();
    let database = format!("latin_trail_{}", uuid::Uuid::now_v7().simple());
    let create = "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0";
    postgres.query("postgres", &format!("CREATE DATABASE {database} {create}"));
    let home = Home::new("latin-trail");
    postgres.script(&database, &home.say(&["audit", "schema"]));
    let url = format!("postgres://postgres@127.0.0.1:{}/{database}?sslmode=disable", postgres.port);
    let mut server = home.set("TUDB_AUDIT_DB", url).serve();
    let refused = server.call("run_sql", json!({"sql": "SELECT 1"}));
    assert_eq!(refused["error"]["code"], "audit_unavailable", "{refused}");
    assert!(refused["error"]["message"].as_str().unwrap().contains("the encoding LATIN1"), "{refused}");
}
