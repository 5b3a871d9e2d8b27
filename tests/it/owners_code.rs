//! Code and foreign tables that another user attaches to tables of their own. On a source with rules they pass none of
//! the rules: the code would run with the rights of TUDB's role.

use std::io::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::postgres::{Postgres, servers};
use crate::support::{Home, Server, content};

/// `attacher` may not read `people`, and `reader` is TUDB's role.
const PEOPLE: &str = "
CREATE TABLE people (id int PRIMARY KEY, name text, secret text); GRANT SELECT ON people TO reader_of_code;
INSERT INTO people SELECT i, 'n' || i, 'HIDDEN-' || i FROM generate_series(1, 9) i;
CREATE SCHEMA mal AUTHORIZATION attacher_of_code; GRANT USAGE ON SCHEMA mal TO PUBLIC;
CREATE FUNCTION tenant() RETURNS int STABLE LANGUAGE sql AS 'SELECT 1';
CREATE TABLE notes (id int, tenant int); INSERT INTO notes VALUES (1, 1), (2, 2); ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON notes USING (tenant = tenant()); GRANT SELECT ON notes TO reader_of_code;
CREATE TABLE guarded (id int); INSERT INTO guarded VALUES (1), (7); ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
GRANT SELECT ON guarded TO reader_of_code;
SET ROLE attacher_of_code; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC;
CREATE FUNCTION mal.tell(int) RETURNS bool STABLE LANGUAGE plpgsql AS $$ BEGIN
  RAISE EXCEPTION '%', (SELECT string_agg(secret, ',') FROM public.people); END $$;
CREATE FUNCTION mal.filter(int) RETURNS bool STABLE LANGUAGE sql AS
  $$ SELECT EXISTS (SELECT FROM public.people WHERE id = $1 AND secret = 'HIDDEN-7') $$;
CREATE FUNCTION mal.planned(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN
  IF current_user = 'reader_of_code' THEN RAISE EXCEPTION '%', (SELECT string_agg(secret, ',') FROM public.people); END IF;
  RETURN 1; END $$;
CREATE FUNCTION mal.checked(int) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN
  IF current_user = 'reader_of_code' THEN RETURN mal.tell($1); END IF; RETURN true; END $$;
CREATE DOMAIN mal.told AS int CHECK (mal.checked(VALUE));
CREATE FUNCTION mal.same(int, text) RETURNS bool STABLE LANGUAGE sql AS 'SELECT mal.tell($1)';
CREATE OPERATOR mal.=== (LEFTARG = int, RIGHTARG = text, FUNCTION = mal.same);
";

/// Tables of the attacher, each with code on it, and a statement on which the server runs that code.
const ATTACHED: [(&str, &str); 17] = [
    ("CREATE TABLE mal.t (k int); CREATE POLICY p ON mal.t USING (mal.tell(k))", "SELECT k FROM mal.t"),
    ("CREATE TABLE mal.t (k int); CREATE POLICY p ON mal.t USING (mal.filter(k))", "SELECT k FROM mal.t"),
    ("CREATE TABLE mal.t (k int); CREATE POLICY p ON mal.t USING (k === 'x')", "SELECT k FROM mal.t"),
    ("CREATE TABLE mal.t (k int); CREATE POLICY p ON mal.t USING (k::mal.told > 0)", "SELECT k FROM mal.t"),
    ("CREATE TABLE mal.t (k int); CREATE POLICY p ON mal.t USING (('{1}'::text::mal.told[])[1] = k)", "SELECT k FROM mal.t"),
    (
        "CREATE TABLE mal.t (k int); CREATE POLICY p ON mal.t
           USING (query_to_xml('SELECT secret FROM public.people', true, true, '')::text LIKE '%HIDDEN-' || k || '<%')",
        "SELECT k FROM mal.t",
    ),
    (
        "CREATE TABLE mal.s (k int); CREATE POLICY p ON mal.s USING (mal.tell(k)); ALTER TABLE mal.s ENABLE ROW LEVEL SECURITY;
         GRANT SELECT ON mal.s TO PUBLIC; INSERT INTO mal.s VALUES (7);
         CREATE TABLE mal.t (k int); CREATE POLICY p ON mal.t USING (k IN (SELECT k FROM mal.s))",
        "SELECT k FROM mal.t",
    ),
    ("CREATE TABLE mal.t (k int); CREATE INDEX ON mal.t ((k + mal.planned(1)))", "SELECT k FROM mal.t WHERE k + 1 = 2"),
    ("CREATE TABLE mal.t (k int); CREATE INDEX ON mal.t (k) WHERE mal.planned(1) = 1", "SELECT k FROM mal.t WHERE k + 1 = 2"),
    (
        "CREATE TABLE mal.t (k int, j int); CREATE STATISTICS mal.told ON (k + mal.planned(1)), j FROM mal.t",
        "SELECT k FROM mal.t WHERE k + 1 = 2",
    ),
    (
        "CREATE TABLE mal.t (k int); CREATE TABLE mal.s () INHERITS (mal.t); CREATE INDEX ON mal.s ((k + mal.planned(1)))",
        "SELECT k FROM mal.t WHERE k + 1 = 2",
    ),
    (
        "CREATE TABLE mal.s (k int); CREATE POLICY p ON mal.s USING (mal.filter(k)); ALTER TABLE mal.s ENABLE ROW LEVEL SECURITY;
         GRANT SELECT ON mal.s TO PUBLIC; INSERT INTO mal.s VALUES (1), (7);
         CREATE VIEW mal.t WITH (security_invoker) AS SELECT k FROM mal.s",
        "SELECT k FROM mal.t",
    ),
    // A scan of this index checks its whole condition again for each row.
    (
        "CREATE TABLE mal.t (k int, j int); CREATE INDEX ON mal.t USING brin (j) WHERE (k::mal.told > -1) OR k = 1",
        "SELECT count(*) AS k FROM mal.t WHERE j BETWEEN 1 AND 9 AND k = 1",
    ),
    // Policies of the database's owner that read what another user made.
    (
        "CREATE VIEW mal.t AS SELECT 7 AS k WHERE mal.filter(7); RESET ROLE; GRANT SELECT ON mal.t TO PUBLIC;
         CREATE POLICY p ON public.guarded USING (id IN (SELECT k FROM mal.t))",
        "SELECT id AS k FROM guarded",
    ),
    (
        "CREATE TABLE mal.t (k int); CREATE POLICY p ON mal.t USING (k::mal.told > 0); RESET ROLE;
         CREATE POLICY p ON public.guarded USING (id IN (SELECT k FROM mal.t))",
        "SELECT id AS k FROM guarded",
    ),
    // A view that locks rows: the server adds the policies FOR UPDATE, and the planner computes constant parts.
    (
        "CREATE TABLE mal.s (k int); ALTER TABLE mal.s ENABLE ROW LEVEL SECURITY; ALTER TABLE mal.s FORCE ROW LEVEL SECURITY;
         CREATE POLICY r ON mal.s FOR SELECT USING (true); CREATE POLICY u ON mal.s FOR UPDATE USING (mal.planned(1) = 1);
         GRANT SELECT ON mal.s TO PUBLIC; CREATE VIEW mal.t WITH (security_invoker) AS SELECT k FROM mal.s FOR UPDATE",
        "SELECT k FROM mal.t",
    ),
    (
        "CREATE TABLE mal.s (k int); ALTER TABLE mal.s ENABLE ROW LEVEL SECURITY; ALTER TABLE mal.s FORCE ROW LEVEL SECURITY;
         CREATE POLICY r ON mal.s FOR SELECT USING (true); CREATE POLICY u ON mal.s FOR UPDATE USING (mal.planned(1) = 1);
         GRANT SELECT ON mal.s TO PUBLIC; CREATE TABLE mal.t (k int);
         CREATE POLICY p ON mal.t USING (k IN (SELECT k FROM mal.s FOR KEY SHARE))",
        "SELECT k FROM mal.t",
    ),
];

fn database(postgres: &Postgres, name: &str) -> String {
    let (database, _) = postgres.database(name);
    for role in ["attacher_of_code", "reader_of_code LOGIN"] {
        postgres.script_best_effort(&database, &format!("CREATE ROLE {role}"));
    }
    postgres.script(&database, PEOPLE);
    database
}

fn serve(postgres: &Postgres, database: &str, parameter: &str, rules: &str) -> (Home, Server) {
    let home = Home::new("owners-code");
    let url = format!("postgres://reader_of_code@127.0.0.1:{}/{database}?sslmode=disable{parameter}", postgres.port);
    let config = home.scratch.path("tudb.toml");
    std::fs::write(&config, format!("[sources.main]\nurl = \"{url}\"\n{rules}")).unwrap();
    let home = home.set("TUDB_CONFIG", config.display());
    let server = home.serve();
    (home, server)
}

const DENY: &str = "deny = [\"people.secret\"]\n";

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn code_that_an_owner_attached_passes_no_rule() {
    for postgres in servers() {
        let database = database(postgres, "attached");
        let as_attacher =
            |sql: &str| postgres.script(&database, &format!("SET search_path = mal; SET ROLE attacher_of_code; {sql}"));
        for parameter in ["", "&pgbouncer=true"] {
            let (_home, mut server) = serve(postgres, &database, parameter, DENY);
            for (make, sql) in ATTACHED {
                as_attacher(&format!(
                    "{make}; GRANT SELECT ON mal.t TO PUBLIC; DO $$ BEGIN
                     IF (SELECT relkind = 'r' FROM pg_class WHERE oid = 'mal.t'::regclass) THEN
                       INSERT INTO mal.t (k) VALUES (1), (7); ALTER TABLE mal.t ENABLE ROW LEVEL SECURITY; ANALYZE mal.t;
                       IF NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = 'mal.t'::regclass) THEN
                         CREATE POLICY all_rows ON mal.t USING (true); END IF;
                     END IF; END $$"
                ));
                for (tool, sql) in [
                    ("run_sql", sql.to_owned()),
                    ("explain_query", sql.to_owned()),
                    ("run_sql", format!("SELECT count(*) FROM ({sql}) x")),
                ] {
                    let reply = server.call(tool, json!({"sql": sql}));
                    let said = reply["error"]["message"].as_str().unwrap_or_default();
                    assert!(
                        said.contains("not known to be harmless")
                            || said.contains("mal.told")
                            || said.contains("locks the rows"),
                        "{tool} {sql} on {make}: {reply}"
                    );
                    assert!(!reply.to_string().contains("HIDDEN"), "{reply}");
                }
                let kind = if make.contains("VIEW mal.t") { "VIEW" } else { "TABLE" };
                let quiet = "SET client_min_messages = error";
                as_attacher(&format!("{quiet}; DROP {kind} mal.t CASCADE; DROP TABLE IF EXISTS mal.s"));
            }
        }
    }
}

/// Policies and indexes that read nothing, those of the database's owner, and what the settings vouch for.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn honest_code_of_an_owner_runs() {
    for postgres in servers() {
        let database = database(postgres, "honest_code");
        postgres.script(
            &database,
            "GRANT SELECT ON notes TO PUBLIC; SET ROLE attacher_of_code; SET search_path = mal;
             CREATE TYPE mood AS ENUM ('sad', 'happy');
             CREATE TABLE plain (id int, owner text, feels mood, at date);
             INSERT INTO plain VALUES (1, 'reader_of_code', 'happy', '2026-01-31'), (2, 'other', 'sad', '2026-02-01');
             ALTER TABLE plain ENABLE ROW LEVEL SECURITY;
             CREATE POLICY own ON plain USING (owner = current_user AND lower(owner) LIKE 'reader%' AND feels = 'happy'
               AND id = coalesce(nullif(current_setting('app.id', true), '')::int, 1) AND id IN (SELECT id FROM public.notes));
             CREATE INDEX ON plain (lower(owner)) WHERE at > '2020-01-01'; CREATE STATISTICS s ON (lower(owner)), at FROM plain;
             CREATE FUNCTION ends() RETURNS text STABLE LANGUAGE plpgsql AS $$ BEGIN
               RAISE EXCEPTION '%', (SELECT string_agg(secret, ',') FROM public.people) USING ERRCODE = '57P01'; END $$;
             CREATE FUNCTION one() RETURNS int STABLE LANGUAGE sql AS 'SELECT 1';
             CREATE TABLE listed (id int); INSERT INTO listed VALUES (1), (2); ALTER TABLE listed ENABLE ROW LEVEL SECURITY;
             CREATE POLICY own ON listed USING (id = one()); CREATE POLICY late ON plain FOR UPDATE USING (id = one());
             CREATE TABLE open (id int, note text); INSERT INTO open VALUES (3, '{bad'); CREATE POLICY own ON open USING (id = one()); ",
        );
        let allowed = format!("{DENY}allow_functions = [\"mal.one\", \"mal.ends\"]\n");
        let (_home, mut server) = serve(postgres, &database, "", &allowed);
        for (sql, expected) in [
            ("SELECT id, feels FROM mal.plain WHERE lower(owner) = 'reader_of_code'", json!([[1, "happy"]])),
            ("SELECT count(*) FROM mal.plain", json!([[1]])),
            ("SELECT id FROM mal.listed", json!([[1]])),
            ("SELECT id FROM notes", json!([[1]])),
            ("SELECT id FROM mal.open", json!([[3]])),
        ] {
            let reply = server.call("run_sql", json!({"sql": sql}));
            assert_eq!(reply["rows"], expected, "{sql}: {reply}");
        }
        // Neither the reply nor the log has a message that a function chose, whatever its SQLSTATE.
        let reply = server.call("run_sql", json!({"sql": "SELECT mal.ends()"}));
        assert!(reply["error"]["message"].as_str().is_some_and(|said| said.contains("a function failed")), "{reply}");
        assert!(!server.stderr.lock().unwrap().contains("HIDDEN"));
        let (_home, mut server) = serve(postgres, &database, "", DENY);
        let reply = server.call("run_sql", json!({"sql": "SELECT id FROM mal.listed"}));
        let hint = reply["error"]["hint"].as_str().unwrap_or_default();
        let bad = server.call("run_sql", json!({"sql": "SELECT note::json FROM mal.open"}));
        assert_eq!(bad["error"]["sqlstate"], "22P02", "a built-in failed, and no function of a user: {bad}");
        assert!(hint.contains("\"mal.one\""), "the entry to add: {reply}");
    }
}

/// Ways to attach the foreign table `mal.far`, or code that reads it, while a statement waits for a lock of `mal.a`.
const LATE: [&str; 4] = [
    "ALTER TABLE mal.b ATTACH PARTITION mal.far FOR VALUES FROM (10) TO (30)",
    "ALTER FOREIGN TABLE mal.far INHERIT mal.i",
    "CREATE INDEX ON mal.a ((k + mal.planned(1)))",
    "CREATE STATISTICS mal.late ON (k + mal.planned(1)), v FROM mal.a",
];

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn what_is_attached_while_a_statement_waits_is_not_used() {
    for postgres in servers() {
        let database = database(postgres, "attached_late");
        let file = crate::support::postgres::unprivileged_directory("far").join("far.csv");
        std::fs::write(&file, "20,FOREIGN-ROW\n").unwrap();
        postgres.script(
            &database,
            &format!(
                "CREATE EXTENSION file_fdw; CREATE SERVER far FOREIGN DATA WRAPPER file_fdw;
                 CREATE FOREIGN TABLE mal.far (k int, v text) SERVER far OPTIONS (filename '{}', format 'csv');
                 ALTER FOREIGN TABLE mal.far OWNER TO attacher_of_code; SET ROLE attacher_of_code; SET search_path = mal;
                 CREATE TABLE p (k int, v text) PARTITION BY RANGE (k);
                 CREATE TABLE a PARTITION OF p FOR VALUES FROM (0) TO (10);
                 CREATE TABLE b PARTITION OF p FOR VALUES FROM (10) TO (100) PARTITION BY RANGE (k);
                 CREATE TABLE i (k int, v text); CREATE TABLE ia () INHERITS (i);
                 INSERT INTO a VALUES (1, 'local'); INSERT INTO ia VALUES (1, 'local');
                 GRANT SELECT ON ALL TABLES IN SCHEMA mal TO PUBLIC;",
                file.display()
            ),
        );
        let foreign = "allow_foreign_tables = false\n";
        for (number, make) in LATE.iter().enumerate() {
            for (parameter, rules) in [
                ("", foreign),
                ("&pgbouncer=true", foreign),
                ("", "deny = [\"people.secret\"]\nallow_foreign_tables = false\n"),
            ] {
                let (_home, mut server) = serve(postgres, &database, parameter, rules);
                let table = if number == 1 { "i" } else { "p" };
                let sql = format!("SELECT k, v FROM mal.{table} WHERE k + 1 > 0 ORDER BY k");
                let before = server.call("run_sql", json!({"sql": "SELECT 1"}));
                assert_eq!(before["rows"], json!([[1]]));
                let mut attacher = postgres.psql(&database);
                let mut attacher =
                    attacher.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
                let mut say = |sql: &str| writeln!(attacher.stdin.as_mut().unwrap(), "{sql}").unwrap();
                let child = if number == 1 { "mal.ia" } else { "mal.a" };
                say(&format!("SET ROLE attacher_of_code; SET search_path = mal; BEGIN; LOCK TABLE {child};"));
                let waits = |count: &str, what: &str| {
                    let began = Instant::now();
                    let sql = format!("SELECT count(*) FROM pg_locks WHERE relation = '{child}'::regclass AND {what}");
                    while postgres.query(&database, &sql) != count {
                        assert!(began.elapsed() < Duration::from_secs(10), "{make}: no lock");
                        std::thread::sleep(Duration::from_millis(20));
                    }
                };
                waits("1", "granted");
                let id = server.send_call("run_sql", json!({"sql": sql}));
                waits("1", "NOT granted");
                say(&format!("{make}; COMMIT;"));
                drop(attacher.stdin.take());
                assert!(attacher.wait().unwrap().success());
                let reply = content(&server.answer(id));
                let is_local = reply["rows"] == json!([[1, "local"]]);
                assert!(is_local || reply["error"].is_object(), "{make} {parameter}: {reply}");
                assert!(
                    !reply.to_string().contains("FOREIGN-ROW") && !reply.to_string().contains("HIDDEN"),
                    "{make}: {reply}"
                );
                // Afterwards the source refuses the statement.
                let after: Value = server.call("run_sql", json!({"sql": sql}));
                assert!(
                    after["error"]["message"].as_str().is_some_and(|said| !said.contains("HIDDEN")),
                    "{make}: {after}"
                );
                let undo = "ALTER TABLE mal.b DETACH PARTITION mal.far; ALTER FOREIGN TABLE mal.far NO INHERIT mal.i; DROP STATISTICS mal.late";
                for undo in undo.split("; ") {
                    postgres.script_best_effort(&database, undo);
                }
                postgres.script_best_effort(&database, "DROP INDEX mal.a_expr_idx");
            }
        }
    }
}
