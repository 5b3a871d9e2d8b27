//! The driver's own look-up of types, which names a function without a schema, and views that stand for too many relations:
//! another user of the database makes both.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::crowded_names::serve;
use crate::support::postgres::servers;

const SHOP: &str = "
CREATE EXTENSION citext;
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TABLE customers (id int PRIMARY KEY, name text, ssn text, m mood, ci citext);
INSERT INTO customers VALUES (1, 'Ann', '111-11', 'happy', 'Ann');
CREATE TABLE own (id int, m mood); INSERT INTO own VALUES (1, 'sad'); ALTER TABLE own ENABLE ROW LEVEL SECURITY;
CREATE POLICY all_rows ON own USING (id > 0);
CREATE VIEW both_types AS SELECT m, ci FROM customers;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC;
GRANT CREATE ON SCHEMA public TO PUBLIC;
";

/// A hostile twin of an aggregate that the driver's query names without a schema. It fails if it runs.
const TWINS: &str = "
CREATE FUNCTION ran() RETURNS int LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'it ran'; END$$;
CREATE FUNCTION step(text[], name) RETURNS text[] LANGUAGE sql AS 'SELECT $1 || $2::text';
CREATE FUNCTION last(text[]) RETURNS text[] LANGUAGE sql AS 'SELECT CASE WHEN ran() = 1 THEN $1 END';
CREATE AGGREGATE array_agg(name) (sfunc = step, stype = text[], finalfunc = last, initcond = '{}');
";

/// Statements that keep the whole path of the caller, each with a type that the driver does not know.
const STATEMENTS: [&str; 9] = [
    "SELECT pg_typeof(id) FROM customers",
    "SELECT 'customers'::regclass",
    "SELECT conrelid::regclass, conname FROM pg_constraint LIMIT 1",
    "SELECT ci FROM customers",
    "SELECT ci = 'ANN', m FROM customers",
    "SELECT * FROM own",
    "SELECT min(m) FROM own",
    "SELECT * FROM both_types",
    "SELECT m FROM customers",
];

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn the_driver_reads_no_type_under_the_path_of_a_caller() {
    for postgres in servers() {
        let (database, _) = postgres.database("driver");
        for role in ["mallory", "honest LOGIN"] {
            postgres.script_best_effort(&database, &format!("CREATE ROLE {role}"));
        }
        postgres.script(&database, SHOP);
        let answers = |more: &str| {
            STATEMENTS.map(|sql| {
                // A new process, so that the driver knows no type yet.
                let (_home, mut server) = serve(postgres, &database, more);
                let reply = server.call("run_sql", json!({"sql": sql}));
                (reply["rows"].clone(), reply["error"].clone())
            })
        };
        let before = answers("");
        let ruled = answers("deny = [\"public.customers.ssn\"]\nmask = [\"public.customers.name\"]");
        assert!(before.iter().all(|(rows, error)| rows.is_array() && error.is_null()), "{before:?}");
        postgres.script(&database, &format!("SET ROLE mallory; {TWINS}"));
        let now = answers("");
        for (sql, (before, now)) in STATEMENTS.iter().zip(before.iter().zip(&now)) {
            assert!(!now.1.to_string().contains("it ran"), "{sql}: {}", now.1);
            assert_eq!(before.0, now.0, "{sql}: {}", now.1);
        }
        let now = answers("deny = [\"public.customers.ssn\"]\nmask = [\"public.customers.name\"]");
        assert_eq!(format!("{ruled:?}"), format!("{now:?}"));
    }
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn views_that_stand_for_too_many_relations_are_refused_at_once() {
    for postgres in servers() {
        let (database, _) = postgres.database("views");
        for role in ["mallory", "honest LOGIN"] {
            postgres.script_best_effort(&database, &format!("CREATE ROLE {role}"));
        }
        postgres.script(&database, "CREATE SCHEMA mal AUTHORIZATION mallory; GRANT USAGE ON SCHEMA mal TO PUBLIC");
        // 2 to the power of 14 relations: too many for TUDB, and still nothing for the server.
        let mut script = String::from("SET ROLE mallory; CREATE TABLE mal.v0 (a int); INSERT INTO mal.v0 VALUES (1);");
        for at in 1..=14 {
            script += &format!("CREATE VIEW mal.v{at} AS SELECT x.a FROM mal.v{0} x, mal.v{0} y;", at - 1);
        }
        // The same with a quote in the names, a long chain without doubling, and copies of a CTE.
        script += "CREATE VIEW mal.\"q\"\"0\" AS SELECT 1 AS a; CREATE VIEW mal.l0 AS SELECT a FROM mal.v0;";
        for at in 1..=11 {
            script += &format!(
                "CREATE VIEW mal.\"q\"\"{at}\" AS SELECT x.a FROM mal.\"q\"\"{0}\" x, mal.\"q\"\"{0}\" y;",
                at - 1
            );
        }
        for at in 1..=30 {
            script += &format!("CREATE VIEW mal.l{at} AS SELECT a FROM mal.l{};", at - 1);
        }
        script += "CREATE VIEW mal.copies AS WITH c0 AS NOT MATERIALIZED (SELECT a FROM mal.v0)";
        for at in 1..=5 {
            script += &format!(", c{at} AS NOT MATERIALIZED (SELECT a FROM c{0} UNION ALL SELECT a FROM c{0})", at - 1);
        }
        script += " SELECT a FROM c5; CREATE TABLE mal.parts (a int) PARTITION BY RANGE (a);";
        for at in 0..300 {
            script += &format!("CREATE TABLE mal.p{at} PARTITION OF mal.parts FOR VALUES FROM ({at}) TO ({});", at + 1);
        }
        script += "GRANT SELECT ON ALL TABLES IN SCHEMA mal TO PUBLIC;";
        postgres.script(&database, &script);
        let (_home, mut server) = serve(postgres, &database, "");
        let began = Instant::now();
        for (tool, arguments) in [
            ("run_sql", json!({"sql": "SELECT * FROM mal.v14"})),
            ("run_sql", json!({"sql": "SELECT a.a FROM mal.v11 a, mal.v11 b, mal.v11 c, mal.v11 d"})),
            ("explain_query", json!({"sql": "SELECT * FROM mal.v14"})),
            ("run_sql", json!({"sql": (["SELECT a FROM mal.\"q\"\"11\""; 5].join(" UNION ALL "))})),
            ("run_sql", json!({"sql": (["SELECT a FROM mal.parts"; 40].join(" UNION ALL "))})),
            ("run_sql", json!({"sql": "SELECT a FROM mal.copies"})),
        ] {
            let reply = server.call(tool, arguments);
            assert_eq!(reply["error"]["code"], "relation_refused", "{reply}");
        }
        let described = server.call("describe_table", json!({"table": "mal.v14", "sample": true}));
        assert_eq!(described["columns"][0]["name"], "a", "{described}");
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        assert_eq!(server.call("run_sql", json!({"sql": "SELECT * FROM mal.v5"}))["rows"], json!([[1]]));
        assert_eq!(server.call("run_sql", json!({"sql": "SELECT a FROM mal.l30"}))["rows"], json!([[1]]));
        assert_eq!(server.call("run_sql", json!({"sql": "SELECT count(*) FROM mal.parts"}))["rows"], json!([[0]]));
    }
}
