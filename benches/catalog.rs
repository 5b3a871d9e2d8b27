//! A catalog of 10,000 tables, 200,000 columns and 50,000 foreign keys, read by a role that may only SELECT: each call
//! beside psql running the very statements that the call sent, taken from the server's log. Prints ratios. Start it
//! with `tests/run --bench catalog`.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

#[path = "../tests/it/support/mod.rs"]
mod support;

use std::time::Instant;

use serde_json::{Value, json};
use support::postgres::Postgres;
use support::{Home, output_of};

const MAKE: &str = "CREATE ROLE looker LOGIN;
CREATE PROCEDURE make() LANGUAGE plpgsql AS $$ DECLARE columns text; o int; BEGIN
  FOR s IN 0..19 LOOP EXECUTE format('CREATE SCHEMA area_%s', s); END LOOP;
  FOR t IN 1..10000 LOOP
    SELECT string_agg(format('%s_%s %s', (ARRAY['customer', 'amount', 'status', 'created'])[1 + (c + t) % 4], c,
      (ARRAY['int', 'text', 'numeric(10,2)', 'timestamptz'])[1 + c % 4]), ', ') INTO columns FROM generate_series(1, 14) c;
    EXECUTE format('CREATE TABLE area_%s.table_%s (id int PRIMARY KEY, %s, r1 int, r2 int, r3 int, r4 int, r5 int)', t % 20, t, columns);
    IF t % 3 = 0 THEN EXECUTE format('COMMENT ON TABLE area_%s.table_%s IS %L', t % 20, t, 'what table ' || t || ' holds'); END IF;
    IF t % 200 = 0 THEN COMMIT; END IF;
  END LOOP;
  FOR t IN 1..10000 LOOP
    FOR k IN 1..5 LOOP
      o := 1 + (t * 7 + k * 131) % 10000;
      EXECUTE format('ALTER TABLE area_%s.table_%s ADD FOREIGN KEY (r%s) REFERENCES area_%s.table_%s', t % 20, t, k, o % 20, o);
    END LOOP;
    IF t % 200 = 0 THEN COMMIT; END IF;
  END LOOP;
  FOR s IN 0..19 LOOP
    EXECUTE format('GRANT USAGE ON SCHEMA area_%s TO looker', s);
    EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA area_%s TO looker', s);
  END LOOP;
END $$;
CALL make(); VACUUM ANALYZE;";

const ROUNDS: usize = 9;

fn main() {
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    let postgres = Postgres::with_settings(&[("log_line_prefix", "@@"), ("shared_buffers", "256MB")]);
    postgres.script("postgres", MAKE);
    let url = format!("postgres://looker@127.0.0.1:{}/postgres?sslmode=disable", postgres.port);
    let home = Home::new("catalog").set("TUDB_DATABASE_URL", &url);
    let mut tudb = home.serve();
    let calls = [
        ("first page of the list", "list_tables", json!({})),
        ("a page in the middle", "list_tables", json!({"cursor": "[\"area_7\",\"table_5007\"]"})),
        ("search for a column", "list_tables", json!({"search": "amount_3"})),
        ("search for a table", "list_tables", json!({"search": "table_77"})),
        ("describe", "describe_table", json!({"table": "area_3.table_43"})),
        ("describe by the bare name", "describe_table", json!({"table": "table_44"})),
        ("describe an unknown name", "describe_table", json!({"table": "area_3.tabl_43"})),
    ];
    tudb.call("run_sql", json!({"sql": "SELECT 1"}));
    for (name, tool, arguments) in calls {
        tudb.call(tool, arguments.clone());
        let statements = logged(&postgres, || drop(tudb.call(tool, arguments.clone())));
        let (mut ours, mut psql) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let began = Instant::now();
            tudb.call(tool, arguments.clone());
            ours.push(began.elapsed().as_secs_f64());
            psql.push(timed(&postgres, &statements));
        }
        tell(name, &mut ours, &mut psql);
    }
    let before = resident_kb(&tudb.child);
    // Explaining the error needs the names of all tables.
    let wrong = json!({"sql": "SELECT nope FROM area_3.table_43"});
    tudb.call("run_sql", wrong.clone());
    let held = resident_kb(&tudb.child) - before;
    let doctor = || serde_json::from_str::<Value>(&home.say(&["doctor", "--json"])).unwrap();
    let statements = logged(&postgres, || drop(doctor()));
    let (mut ours, mut psql) = (Vec::new(), Vec::new());
    let mut seen = Value::Null;
    for _ in 0..ROUNDS {
        seen = doctor()["findings"].as_array().unwrap().iter().find(|f| f["what"] == "source main").unwrap().clone();
        ours.push(seen["first_ms"].as_f64().unwrap() / 1_000.0);
        psql.push(timed(&postgres, &statements));
    }
    tell("the whole schema, connecting included", &mut ours, &mut psql);
    let (look, rest): (Vec<&String>, Vec<&String>) = statements.iter().partition(|text| text.contains("xmin"));
    let look: Vec<String> = look.into_iter().cloned().collect();
    let rest: Vec<String> = rest.into_iter().cloned().collect();
    println!(
        "asking whether it changed: {:.2}x reading it (psql); snapshot {:.1} MB by its own count, the process grew by {:.1} MB; {} tables, {} columns",
        timed(&postgres, &look) / timed(&postgres, &rest),
        seen["schema_bytes"].as_f64().unwrap() / 1e6,
        held as f64 / 1e3,
        seen["tables"],
        seen["columns"],
    );
}

fn tell(name: &str, ours: &mut [f64], psql: &mut [f64]) {
    ours.sort_by(f64::total_cmp);
    psql.sort_by(f64::total_cmp);
    let (median, best) = (ours[ours.len() / 2] / psql[psql.len() / 2], ours[0] / psql[0]);
    println!("{name}: {median:.2}x psql running the same statements at the median, {best:.2}x at best");
}

fn resident_kb(child: &std::process::Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The statements that the server ran meanwhile, as psql can run them: those of one transaction in their order.
fn logged(postgres: &Postgres, call: impl FnOnce()) -> Vec<String> {
    let set = |value: &str| drop(postgres.query("postgres", &format!("ALTER SYSTEM SET log_statement = '{value}'")));
    let reload = || {
        postgres.query("postgres", "SELECT pg_reload_conf()");
        std::thread::sleep(std::time::Duration::from_millis(300));
    };
    set("all");
    reload();
    let from = postgres.log().len();
    call();
    std::thread::sleep(std::time::Duration::from_millis(100));
    let log = postgres.log();
    set("none");
    reload();
    let mut statements: Vec<String> = Vec::new();
    // Parameters belong to the statement before them, which may be one that is left out.
    let mut is_wanted = false;
    for entry in log[from..].split("@@") {
        if let Some(text) = entry.strip_prefix("LOG:  statement: ") {
            // What the test itself sends, and the transaction's frame, which psql has of its own.
            if text.starts_with("SET LOCAL") {
                statements.push(format!("{};", text.trim()));
            }
        } else if let Some(text) = entry.strip_prefix("LOG:  execute <unnamed>: ") {
            let name = format!("s{}", statements.len());
            statements.push(format!("PREPARE {name} AS {}; EXECUTE {name};", text.trim()));
            is_wanted = true;
        } else if entry.starts_with("LOG:") {
            is_wanted = false;
        } else if let Some(text) = entry.strip_prefix("DETAIL:  parameters: ").filter(|_| is_wanted) {
            let last = statements.last_mut().unwrap();
            last.pop();
            *last += &format!(" ({});", values(text.trim()));
        }
    }
    assert!(statements.iter().any(|text| text.starts_with("PREPARE")), "{log}");
    statements
}

/// The values of `$1 = 'a', $2 = NULL`, as SQL writes them.
fn values(text: &str) -> String {
    let mut values = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(" = ") {
        let bytes = after.as_bytes();
        let mut end = 1;
        if bytes[0] == b'\'' {
            while bytes[end] != b'\'' || bytes.get(end + 1) == Some(&b'\'') {
                end += if bytes[end] == b'\'' { 2 } else { 1 };
            }
            end += 1;
        } else {
            end = after.find(',').unwrap_or(after.len());
        }
        values.push(&after[..end]);
        rest = &after[end..];
    }
    values.join(", ")
}

/// Seconds that psql says the statements took, in one transaction.
fn timed(postgres: &Postgres, statements: &[String]) -> f64 {
    let mut script = String::from("\\o /dev/null\n\\timing on\nBEGIN READ ONLY;\n");
    for statement in statements {
        script += statement;
        script.push('\n');
    }
    script += "ROLLBACK;\n";
    let mut psql = postgres.psql("postgres");
    psql.args(["-U", "looker", "-f", "-"]);
    let file = std::env::temp_dir().join(format!("tudb-bench-{}.sql", uuid::Uuid::now_v7()));
    std::fs::write(&file, script).unwrap();
    let text = output_of(psql.stdin(std::fs::File::open(&file).unwrap()));
    std::fs::remove_file(file).unwrap();
    let times = text.lines().filter_map(|line| line.strip_prefix("Time: ")?.split(' ').next()?.parse::<f64>().ok());
    times.sum::<f64>() / 1_000.0
}
