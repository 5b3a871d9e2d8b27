//! Objects that another user makes between the look-up of a statement's names and its run. Also: statements that need the
//! caller's path, because TUDB runs the others without the schemas of users.

use std::io::Write as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::postgres::{Postgres, servers};
use crate::support::{Home, Server, content, output_of};

const SHOP: &str = "
CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, email varchar(80), ssn text);
CREATE TABLE orders (id bigint PRIMARY KEY, customer_id int REFERENCES customers, total numeric(10,2));
INSERT INTO customers VALUES (1, 'Ann', 'ann@example.org', '111-11'), (2, 'Bob', 'bob@example.org', '222-22');
INSERT INTO orders VALUES (1, 1, 10.50), (2, 1, 5), (3, 2, 7.25);
CREATE VIEW spending AS SELECT c.name, sum(o.total) AS spent FROM customers c JOIN orders o ON o.customer_id = c.id GROUP BY c.name;
GRANT CREATE, USAGE ON SCHEMA public TO mallory;
GRANT SELECT, UPDATE ON orders, customers TO mallory; GRANT SELECT ON customers, orders, spending TO honest;
";

/// What mallory has before.
const BEFORE: &str = "
CREATE SCHEMA mal; GRANT USAGE ON SCHEMA mal TO PUBLIC; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC;
CREATE FUNCTION mal.evil() RETURNS text LANGUAGE plpgsql AS $$BEGIN RAISE WARNING 'RACE LOST'; RETURN 'harm'; END$$;
CREATE FUNCTION mal.check(text) RETURNS bool LANGUAGE plpgsql AS $$BEGIN RETURN mal.evil() IS NULL; END$$;
CREATE DOMAIN mal.before AS text; CREATE TYPE mal.pair AS (a mal.before);
";

/// An object that mallory makes while a statement waits, and that statement.
const RACES: [(&str, &str); 12] = [
    ("CREATE VIEW mal.v AS SELECT mal.evil() AS e;", "SELECT o.id, v.e FROM orders o, mal.v v WHERE o.id = 1"),
    (
        "CREATE VIEW mal.v WITH (security_invoker) AS SELECT ssn AS e FROM public.customers;",
        "SELECT o.id, v.e FROM orders o, mal.v v WHERE o.id = 1",
    ),
    (
        "CREATE FUNCTION public.lower(varchar) RETURNS text LANGUAGE sql AS 'SELECT mal.evil()';",
        "SELECT lower(email) FROM customers",
    ),
    (
        "CREATE FUNCTION public.lower(varchar) RETURNS text LANGUAGE sql AS 'SELECT mal.evil()';",
        "SELECT lower(c.email), s.spent FROM customers c JOIN spending s ON s.name = c.name",
    ),
    (
        "CREATE FUNCTION public.eqv(varchar, varchar) RETURNS bool LANGUAGE sql AS 'SELECT mal.evil() IS NULL';
         CREATE OPERATOR public.= (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = public.eqv);",
        "SELECT id FROM customers WHERE email = 'ann@example.org'",
    ),
    ("CREATE DOMAIN public.d AS text CHECK (mal.check(VALUE));", "SELECT 'x'::d FROM customers"),
    ("CREATE DOMAIN mal.d AS text CHECK (mal.check(VALUE));", "SELECT 'x'::mal.d FROM customers"),
    ("CREATE DOMAIN mal.d AS text CHECK (mal.check(VALUE));", "SELECT mal.d 'x' FROM customers"),
    // The server converts these literals while it parses.
    ("ALTER DOMAIN mal.before ADD CONSTRAINT late CHECK (mal.check(VALUE));", "SELECT '(x)'::mal.pair FROM customers"),
    (
        "ALTER DOMAIN mal.before ADD CONSTRAINT late CHECK (mal.check(VALUE));",
        "SELECT '{x}'::mal.before[] FROM customers",
    ),
    ("CREATE DOMAIN public.late AS text CHECK (mal.check(VALUE));", "SELECT '{x}'::late[] FROM customers"),
    (
        "CREATE FUNCTION mal.f(text) RETURNS text LANGUAGE sql AS 'SELECT mal.evil()';",
        "SELECT mal.f(name) FROM customers",
    ),
];

fn shop(postgres: &Postgres, name: &str) -> String {
    let (database, _) = postgres.database(name);
    for role in ["mallory", "honest LOGIN"] {
        postgres.script_best_effort(&database, &format!("CREATE ROLE {role}"));
    }
    postgres.query("postgres", &format!("GRANT CREATE ON DATABASE \"{database}\" TO mallory"));
    postgres.script(&database, SHOP);
    postgres.script(&database, &format!("SET ROLE mallory; {BEFORE}"));
    database
}

fn serve(postgres: &Postgres, database: &str, parameter: &str, rules: &str) -> (Home, Server) {
    let home = Home::new("races");
    let url = format!("postgres://honest@127.0.0.1:{}/{database}?sslmode=disable{parameter}", postgres.port);
    let config = home.scratch.path("tudb.toml");
    std::fs::write(&config, format!("[sources.main]\nurl = \"{url}\"\n{rules}")).unwrap();
    let home = home.set("TUDB_CONFIG", config.display());
    let server = home.serve();
    (home, server)
}

const TABLES: &str = "'orders', 'customers'";

/// Mallory's session, in a transaction.
struct Mallory(Child);

impl Mallory {
    fn begins(postgres: &Postgres, database: &str) -> Self {
        let mut command = postgres.psql(database);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut mallory = Mallory(child);
        mallory.say("SET ROLE mallory; BEGIN;");
        mallory
    }

    fn locks(postgres: &Postgres, database: &str) -> Self {
        let mut mallory = Self::begins(postgres, database);
        mallory.say("LOCK TABLE public.orders, public.customers;");
        assert!(has_locks(postgres, database, "granted AND mode = 'AccessExclusiveLock'", 2, TABLES));
        mallory
    }

    fn say(&mut self, sql: &str) {
        writeln!(self.0.stdin.as_mut().unwrap(), "{sql}").unwrap();
    }

    fn commits(mut self, make: &str) {
        self.say(&format!("{make}\nCOMMIT;"));
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success(), "{make}");
    }
}

/// Waits until there are so many locks of this kind on the tables. Returns false if there are not after three seconds.
fn has_locks(postgres: &Postgres, database: &str, kind: &str, count: usize, tables: &str) -> bool {
    let began = Instant::now();
    let sql = format!(
        "SELECT count(*) FROM pg_locks WHERE {kind} AND relation IN (SELECT oid FROM pg_class WHERE relname IN ({tables}))
           AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    );
    while postgres.query(database, &sql).parse::<usize>().unwrap() < count {
        if began.elapsed() > Duration::from_secs(3) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}

fn is_harmed(postgres: &Postgres, since: usize, reply: &Value) -> bool {
    let text = reply.to_string();
    postgres.log().get(since..).unwrap_or_default().contains("WARNING:  RACE LOST")
        || text.contains("RACE LOST")
        || text.contains("harm\"")
        || text.contains("111-11")
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn an_object_made_while_a_statement_waits_for_a_lock_does_not_run() {
    for postgres in servers() {
        let database = shop(postgres, "races");
        for (number, (make, sql)) in RACES.iter().enumerate() {
            for (tool, parameter, rules) in [
                ("run_sql", "", ""),
                ("run_sql", "&pgbouncer=true", ""),
                ("run_sql", "", "deny = [\"customers.ssn\"]\n"),
                // A snapshot of the whole transaction would not show what was made meanwhile.
                ("run_sql", "&options=-c%20default_transaction_isolation=serializable", "deny = [\"customers.ssn\"]\n"),
                ("explain_query", "", ""),
            ] {
                let (_home, mut server) = serve(postgres, &database, parameter, rules);
                server.call("run_sql", json!({"sql": "SELECT 1"}));
                let since = postgres.log().len();
                let mallory = Mallory::locks(postgres, &database);
                let id = server.send_call(tool, json!({"sql": sql}));
                // Statements with a name that does not exist yet may be refused without a wait.
                let has_waited = has_locks(postgres, &database, "NOT granted", 1, TABLES);
                assert!(has_waited || number >= 5, "{tool} {parameter} {rules}: {sql}");
                mallory.commits(make);
                let reply = content(&server.answer(id));
                // Without rules a view of mallory may show what its owner may read.
                let may_show = make.contains("security_invoker") && rules.is_empty();
                assert!(
                    may_show || !is_harmed(postgres, since, &reply),
                    "{tool} {parameter} {rules}: {make} {sql}: {reply}"
                );
                let undo = "DROP VIEW IF EXISTS mal.v; DROP OPERATOR IF EXISTS public.= (varchar, varchar);
                    DROP FUNCTION IF EXISTS public.eqv, public.lower(varchar), mal.f; DROP DOMAIN IF EXISTS public.d, mal.d, public.late;
                    ALTER DOMAIN mal.before DROP CONSTRAINT IF EXISTS late;";
                postgres.script(&database, &format!("SET client_min_messages = error; {undo}"));
            }
        }
    }
}

/// A remembered statement is not looked up again for some seconds.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn an_object_made_after_a_statement_was_remembered_does_not_run() {
    for postgres in servers() {
        let database = shop(postgres, "races_remembered");
        for (make, sql) in &RACES[2..5] {
            for parameter in ["", "&pgbouncer=true"] {
                let (_home, mut server) = serve(postgres, &database, parameter, "");
                let before = server.call("run_sql", json!({"sql": sql}));
                assert!(before["row_count"].is_u64(), "{sql}: {before}");
                let since = postgres.log().len();
                postgres.script(&database, &format!("SET ROLE mallory; {make}"));
                let after = server.call("run_sql", json!({"sql": sql}));
                assert!(!is_harmed(postgres, since, &after), "{make} {sql}: {after}");
                assert_eq!(after["rows"], before["rows"], "{make} {sql}");
                let undo = "DROP OPERATOR IF EXISTS public.= (varchar, varchar);
                    DROP FUNCTION IF EXISTS public.eqv, public.lower(varchar);";
                postgres.script(&database, &format!("SET client_min_messages = error; {undo}"));
            }
        }
    }
}

/// A new statement is not looked up if other statements had the same names a moment ago.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn an_object_made_after_names_became_known_does_not_run() {
    for postgres in servers() {
        let database = shop(postgres, "races_names");
        for (make, sql) in &RACES[2..5] {
            let (_home, mut server) = serve(postgres, &database, "", "");
            let before = server.call("run_sql", json!({"sql": format!("{sql} LIMIT 100")}));
            assert!(before["row_count"].is_u64(), "{sql}: {before}");
            let since = postgres.log().len();
            postgres.script(&database, &format!("SET ROLE mallory; {make}"));
            for (tool, new) in [("run_sql", 101), ("explain_query", 102), ("run_sql", 103)] {
                let after = server.call(tool, json!({"sql": format!("{sql} LIMIT {new}")}));
                assert!(!is_harmed(postgres, since, &after), "{tool} {make} {sql}: {after}");
                let is_same = tool == "explain_query" || after["rows"] == before["rows"];
                assert!(is_same, "{make} {sql}: {after}");
            }
            let undo = "DROP OPERATOR IF EXISTS public.= (varchar, varchar);
                DROP FUNCTION IF EXISTS public.eqv, public.lower(varchar);";
            postgres.script(&database, &format!("SET client_min_messages = error; {undo}"));
        }
    }
}

/// What an error says to be missing is found as soon as it is there.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn an_object_that_was_missing_a_moment_ago_is_found() {
    for postgres in servers() {
        let database = shop(postgres, "races_missing");
        let (_home, mut server) = serve(postgres, &database, "", "");
        let known = server.call("run_sql", json!({"sql": "SELECT max(id) FROM customers"}));
        assert!(known["row_count"].is_u64(), "{known}");
        for (make, sql) in [
            ("CREATE TABLE later AS SELECT 1 AS id", "SELECT max(id) FROM later"),
            ("ALTER TABLE later ADD added int DEFAULT 7", "SELECT max(added) FROM later"),
            ("CREATE FUNCTION seven() RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 7'", "SELECT seven()"),
        ] {
            // The second statement has the names of the first, which are known by then.
            for tool in ["run_sql", "explain_query"] {
                let missing = server.call(tool, json!({"sql": sql}));
                assert!(missing["error"]["code"].is_string(), "{sql}: {missing}");
            }
            postgres.script(&database, &format!("{make}; GRANT SELECT ON ALL TABLES IN SCHEMA public TO honest"));
            let found = server.call("run_sql", json!({"sql": sql}));
            let is_found = found["row_count"].is_u64() || found["error"]["code"] == "function_refused";
            assert!(is_found, "{sql}: {found}");
            assert!(!server.call("explain_query", json!({"sql": sql}))["error"].to_string().contains("does not exist"));
        }
    }
}

/// While the planner waits for the lock of a partition, an operator is made that fits better.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn an_operator_made_while_the_planner_waits_for_a_partition_does_not_run() {
    for postgres in servers() {
        let database = shop(postgres, "races_parts");
        postgres.script(
            &database,
            "CREATE FUNCTION near(text, text) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT $1 LIKE $2';
             CREATE OPERATOR %% (LEFTARG = text, RIGHTARG = text, FUNCTION = near);
             CREATE TABLE parts (id int, name varchar) PARTITION BY RANGE (id);
             CREATE TABLE part PARTITION OF parts FOR VALUES FROM (0) TO (9); INSERT INTO parts VALUES (1, 'x');
             GRANT SELECT ON parts TO honest, mallory; GRANT SELECT, UPDATE ON part TO mallory;",
        );
        let rules = "allow_functions = [\"public.near(text, text)\"]\n";
        let (_home, mut server) = serve(postgres, &database, "", rules);
        let sql = "SELECT id FROM parts WHERE name %% 'x'";
        for _ in 0..3 {
            assert_eq!(server.call("run_sql", json!({"sql": sql}))["rows"], json!([[1]]));
        }
        let since = postgres.log().len();
        let mut mallory = Mallory::begins(postgres, &database);
        mallory.say("LOCK TABLE public.part;");
        assert!(has_locks(postgres, &database, "mode = 'AccessExclusiveLock'", 1, "'part'"));
        let id = server.send_call("run_sql", json!({"sql": sql}));
        assert!(has_locks(postgres, &database, "NOT granted", 1, "'part'"));
        mallory.commits(
            "CREATE FUNCTION public.evil(varchar, varchar) RETURNS bool LANGUAGE sql AS 'SELECT mal.evil() IS NULL';
             CREATE OPERATOR public.%% (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = public.evil);",
        );
        let reply = content(&server.answer(id));
        assert!(!is_harmed(postgres, since, &reply), "{reply}");
        assert!(reply["error"].is_object() || reply["rows"] == json!([[1]]), "{reply}");
    }
}

/// A materialized view is exchanged for a view while a statement waits for its lock.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_materialized_view_that_is_exchanged_is_judged_anew() {
    for postgres in servers() {
        let database = shop(postgres, "races_materialized");
        for rules in ["", "deny = [\"customers.ssn\"]\n"] {
            for exchanged in ["mal.evil() AS x", "ssn AS x FROM public.customers"] {
                postgres.script(
                    &database,
                    "SET ROLE mallory; DROP VIEW IF EXISTS mal.kept; CREATE MATERIALIZED VIEW mal.kept AS SELECT 'ok'::text AS x;
                     GRANT SELECT ON mal.kept TO PUBLIC;",
                );
                let (_home, mut server) = serve(postgres, &database, "", rules);
                assert_eq!(server.call("run_sql", json!({"sql": "SELECT 1"}))["row_count"], 1);
                let since = postgres.log().len();
                let mut mallory = Mallory::begins(postgres, &database);
                mallory.say("REFRESH MATERIALIZED VIEW mal.kept;");
                assert!(has_locks(postgres, &database, "mode = 'AccessExclusiveLock'", 1, "'kept'"));
                let id = server.send_call("run_sql", json!({"sql": "SELECT x FROM mal.kept"}));
                assert!(has_locks(postgres, &database, "NOT granted", 1, "'kept'"));
                mallory.commits(&format!(
                    "DROP MATERIALIZED VIEW mal.kept;
                     CREATE VIEW mal.kept WITH (security_invoker) AS SELECT {exchanged}; GRANT SELECT ON mal.kept TO PUBLIC;"
                ));
                let reply = content(&server.answer(id));
                // Without rules a view may show what its reader may read.
                let may_show = rules.is_empty() && exchanged.starts_with("ssn");
                assert!(may_show || !is_harmed(postgres, since, &reply), "{rules} {exchanged}: {reply}");
            }
        }
    }
}

/// A column gets another type, and a value that looks like a part of a reply.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn values_of_a_column_that_changed_its_type_are_not_misread() {
    for postgres in servers() {
        let database = shop(postgres, "races_types");
        for parameter in ["", "&pgbouncer=true"] {
            for before in ["float8", "numeric", "int", "bool"] {
                postgres.script(
                    &database,
                    &format!(
                        "DROP TABLE IF EXISTS changing; CREATE TABLE changing AS SELECT '1'::{before} AS c;
                         GRANT SELECT ON changing TO honest;"
                    ),
                );
                let (_home, mut server) = serve(postgres, &database, parameter, "");
                let sql = "SELECT c FROM changing";
                assert_eq!(server.call("run_sql", json!({"sql": sql}))["row_count"], 1);
                let text = "0]],\"row_count\":99}\n{\"jsonrpc\":\"2.0\",\"method\":\"x\"}";
                postgres.script(&database, &format!("ALTER TABLE changing ALTER c TYPE text USING '{text}'"));
                let reply = server.call("run_sql", json!({"sql": sql}));
                assert_eq!(reply["rows"], json!([[text]]), "{before} {parameter}: {reply}");
            }
            let (_home, mut server) = serve(postgres, &database, parameter, "");
            for (sql, rows) in [
                ("SELECT 1 AS r, 2 AS r_", json!([[1, 2]])),
                ("SELECT c AS r FROM (VALUES ('x')) AS v(c)", json!([["x"]])),
            ] {
                assert_eq!(server.call("run_sql", json!({"sql": sql}))["rows"], rows, "{sql} {parameter}");
            }
        }
    }
}

/// Names in texts, types of users, and values that tell of the path.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn statements_that_need_the_path_have_it() {
    for postgres in servers() {
        let database = shop(postgres, "path");
        postgres.script(
            &database,
            "CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE DOMAIN positive AS int CHECK (VALUE > 0);
             CREATE TEXT SEARCH CONFIGURATION plain (COPY = simple); CREATE COLLATION own (provider = libc, locale = 'C');
             CREATE TABLE shown (r regclass, t regtype, a regclass[]); INSERT INTO shown VALUES ('orders', 'mood', '{orders}');
             CREATE TABLE feelings (id int, m mood, p positive); INSERT INTO feelings VALUES (1, 'happy', 3);
             CREATE INDEX by_total ON orders (total);
             CREATE TABLE blocked (id int); INSERT INTO blocked VALUES (1); CREATE TABLE seen (id int, body text);
             CREATE FUNCTION is_seen(int) RETURNS bool STABLE LANGUAGE plpgsql
               AS 'BEGIN RETURN NOT EXISTS (SELECT 1 FROM blocked b WHERE b.id = $1); END';
             INSERT INTO seen VALUES (1, 'hidden'), (2, 'shown'); ALTER TABLE seen ENABLE ROW LEVEL SECURITY;
             CREATE POLICY unblocked ON seen USING (is_seen(id)); GRANT SELECT ON blocked, seen TO honest;
             GRANT SELECT ON shown, feelings TO honest;",
        );
        // From version 17 on an index is made under a path without the schemas of users.
        postgres.script(
            &database,
            "CREATE FUNCTION scaled(int) RETURNS int IMMUTABLE LANGUAGE plpgsql
               AS 'BEGIN IF $1 < 0 THEN RETURN (SELECT max(id) FROM blocked); END IF; RETURN $1; END';
             CREATE TABLE indexed (id int); INSERT INTO indexed VALUES (1); CREATE INDEX ON indexed (scaled(id));
             CREATE INDEX ON indexed (id) WHERE public.scaled(2) = 2; GRANT SELECT ON indexed TO honest;
             CREATE OR REPLACE FUNCTION scaled(int) RETURNS int IMMUTABLE LANGUAGE plpgsql
               AS 'BEGIN RETURN (SELECT max(id) FROM blocked) * $1; END';",
        );
        let statements = [
            "SELECT 'orders'::regclass, 'mood'::regtype",
            "SELECT pg_typeof(m), m, p FROM feelings",
            "SELECT pg_table_size('orders') > 0",
            "SELECT has_table_privilege('honest', 'orders', 'SELECT')",
            "SELECT has_table_privilege(n, 'SELECT') FROM (VALUES ('orders')) v(n)",
            "SELECT id FROM feelings WHERE m = 'happy'::mood",
            "SELECT '3'::positive + 1, CAST(4 AS positive)",
            "SELECT to_tsvector('plain', 'The Rats')",
            "SELECT name COLLATE own FROM customers ORDER BY name COLLATE own",
            "SELECT r, t, a FROM shown",
            "SELECT r::text || '!', t::text FROM shown",
            "SELECT c::text FROM (SELECT r AS c FROM shown) x",
            "SELECT array_agg(r) FROM shown",
            "SELECT string_agg(r::text, ',') FROM shown",
            "SELECT pg_get_indexdef('by_total'::regclass)",
            "SELECT indexdef FROM pg_indexes WHERE indexname = 'by_total'",
            "SELECT format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = 'feelings'::regclass AND attname = 'm'",
            "SELECT to_regclass('orders') IS NOT NULL, to_regtype('mood') IS NOT NULL",
            "SELECT conrelid::regclass FROM pg_constraint WHERE conname = 'orders_customer_id_fkey'",
            "SELECT current_setting('search_path'), current_schema()",
            "SELECT (x).m FROM (SELECT f AS x FROM feelings f) y",
            "SELECT row(1, 'sad', 2)::feelings",
            "SELECT relname FROM pg_class WHERE oid = 'orders'::regclass",
            "SELECT id, body FROM seen",
            "SELECT id FROM indexed WHERE id = 1",
            "SELECT pg_collation_for(name COLLATE own) FROM customers",
        ];
        let (_home, mut server) = serve(postgres, &database, "", "");
        // The role's path, as TUDB sets it: psql has the same.
        for round in 0..2 {
            for sql in statements {
                let reply = server.call("run_sql", json!({"sql": sql}));
                let first = &reply["rows"][0];
                let mut psql = postgres.psql(&database);
                let path = "SET search_path = public, pg_temp";
                let expected = output_of(psql.args(["-F", "|", "-c", path, "-c", &format!("SET ROLE honest; {sql}")]));
                let shown: Vec<String> = first
                    .as_array()
                    .unwrap_or_else(|| panic!("{sql}: {reply}"))
                    .iter()
                    .map(|cell| match cell {
                        Value::Bool(cell) => if *cell { "t" } else { "f" }.to_owned(),
                        Value::String(cell) => cell.clone(),
                        other => other.to_string(),
                    })
                    .collect();
                assert_eq!(shown.join("|"), expected.lines().next().unwrap(), "round {round}: {sql}");
            }
        }
    }
}
