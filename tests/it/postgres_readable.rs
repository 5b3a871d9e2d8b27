//! What PostgreSQL databases of others hold: names that need quotes, settings of their own, constraints of version 18,
//! tables that no planner has counted, and objects whose names begin like those of the system.

use serde_json::{Value, json};

use crate::support::postgres::{Postgres, servers};
use crate::support::{Home, Server};

pub(crate) fn serve(postgres: &Postgres, name: &str, script: &str) -> (String, Home, Server) {
    let (database, url) = postgres.database(name);
    postgres.script(&database, script);
    let home = Home::new(name).set("TUDB_DATABASE_URL", url);
    let server = home.serve();
    (database, home, server)
}

fn rows(server: &mut Server, sql: &str) -> Value {
    let reply = server.call("run_sql", json!({"sql": sql}));
    assert!(reply["error"].is_null(), "{sql}: {reply}");
    reply["rows"].clone()
}

fn version(postgres: &Postgres) -> u32 {
    postgres.query("postgres", "SHOW server_version_num").trim().parse().unwrap()
}

/// The order of day and month, the zone and the style of intervals are those of the database, as psql has them.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn dates_are_read_as_the_database_reads_them() {
    for postgres in servers() {
        let script = "CREATE VIEW days AS SELECT '02/01/2026'::text::date AS day, '-1 2:03:04'::text::interval AS span,
            '2026-01-31 20:00+00'::timestamptz AS moment";
        for (settings, expected) in [
            (vec![], json!([["2026-02-01", "-1 days +02:03:04", "2026-01-31 20:00:00+00"]])),
            (vec!["datestyle = 'ISO, DMY'"], json!([["2026-01-02", "-1 days +02:03:04", "2026-01-31 20:00:00+00"]])),
            (
                vec!["datestyle = 'German'", "timezone = 'Asia/Kolkata'"],
                json!([["2026-01-02", "-1 days +02:03:04", "2026-02-01 01:30:00+05:30"]]),
            ),
            (
                vec!["datestyle = 'SQL, European'", "intervalstyle = 'sql_standard'"],
                json!([["2026-01-02", "-1 2:03:04", "2026-01-31 20:00:00+00"]]),
            ),
            (
                vec!["intervalstyle = 'iso_8601'"],
                json!([["2026-02-01", "-1 days +02:03:04", "2026-01-31 20:00:00+00"]]),
            ),
        ] {
            let (database, url) = postgres.database("styles");
            postgres.script(&database, script);
            postgres.query(&database, &format!("ALTER DATABASE \"{database}\" SET timezone = 'UTC'"));
            for setting in &settings {
                postgres.query(&database, &format!("ALTER DATABASE \"{database}\" SET {setting}"));
            }
            let mut server = Home::new("styles").set("TUDB_DATABASE_URL", &url).serve();
            assert_eq!(rows(&mut server, "SELECT day, span, moment FROM days"), expected, "{settings:?}");
            // What psql reads is the same day and the same span.
            let oracle = postgres
                .query(&database, "SELECT to_char(day, 'YYYY-MM-DD') || ' ' || extract(epoch FROM span) FROM days");
            let ours =
                rows(&mut server, "SELECT to_char(day, 'YYYY-MM-DD') || ' ' || extract(epoch FROM span) FROM days");
            assert_eq!(ours[0][0].as_str(), Some(oracle.trim()), "{settings:?}");
        }
    }
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn the_zone_of_the_settings_goes_before_the_database_s() {
    let postgres = &servers()[0];
    let (database, url) = postgres.database("zones");
    postgres.query(&database, &format!("ALTER DATABASE \"{database}\" SET timezone = 'Asia/Kolkata'"));
    let home = Home::new("zones");
    let config = home.scratch.path("tudb.toml");
    let home = home.set("TUDB_CONFIG", config.display());
    let moment = "SELECT '2026-01-31 20:00+00'::timestamptz, current_setting('TimeZone')";
    for (setting, expected) in [
        ("", json!([["2026-02-01 01:30:00+05:30", "Asia/Kolkata"]])),
        ("time_zone = \"Europe/Zurich\"\n", json!([["2026-01-31 21:00:00+01", "Europe/Zurich"]])),
    ] {
        std::fs::write(&config, format!("[sources.main]\nurl = \"{url}\"\n{setting}")).unwrap();
        assert_eq!(rows(&mut home.serve(), moment), expected);
    }
}

/// As `"User"`, `"Order Details"` and `"книги"` have to be written, in every text, once.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn names_are_quoted_once_wherever_they_stand() {
    let script = "CREATE TYPE \"Role\" AS ENUM ('admin', 'guest');
        CREATE TABLE \"User\" (id int PRIMARY KEY, \"fullName\" text NOT NULL, role \"Role\", \"order\" int);
        CREATE TABLE \"Order Details\" (\"Id\" int PRIMARY KEY, \"userId\" int REFERENCES \"User\", \"Unit Price\" numeric(10,2));
        CREATE TABLE \"\u{43a}\u{43d}\u{438}\u{433}\u{438}\" (id int, title text);
        INSERT INTO \"User\" VALUES (1, 'Ann', 'admin', 7), (2, 'Bob', 'guest', 8);
        INSERT INTO \"Order Details\" VALUES (1, 1, 10.5), (2, 1, 2), (3, 2, 4);
        INSERT INTO \"\u{43a}\u{43d}\u{438}\u{433}\u{438}\" VALUES (1, 'one'), (2, 'two'), (3, 'three');";
    for postgres in servers() {
        let (_, home, mut server) = serve(postgres, "quoted", script);
        for (question, expected) in [
            ("How many users are there?", json!([[2]])),
            ("How many order details are there?", json!([[3]])),
            ("How many \u{43a}\u{43d}\u{438}\u{433}\u{438} are there?", json!([[3]])),
        ] {
            let asked = server.call("ask_database", json!({"question": question}));
            assert_eq!(asked["rows"], expected, "{question}: {asked}");
            assert!(!asked.to_string().contains("\\\"\\\"\\\""), "{asked}");
        }
        let context = home.say(&["context", "sum of Unit Price per fullName"]);
        for part in [
            "public.\"User\"(id integer pk, \"fullName\" text, role public.\"Role\" {admin|guest}, \"order\" integer)",
            "\"userId\" integer -> public.\"User\".id",
            "\"Unit Price\" numeric",
            "public.\"Order Details\".\"userId\" = public.\"User\".id",
        ] {
            assert!(context.contains(part), "{part}: {context}");
        }
        let (error, hint) = hint(&mut server, "SELECT fullname FROM \"User\"");
        assert!(hint.contains("\"fullName\""), "{error} {hint}");
    }
    let home = Home::new("quoted-sqlite");
    let path = home.scratch.path("main.db");
    let made = std::process::Command::new("sqlite3")
        .arg(&path)
        .arg("CREATE TABLE \"Order Details\" (id, \"Unit Price\"); CREATE TABLE \"order\" (id)")
        .status();
    assert!(made.unwrap().success());
    let home = home.set("TUDB_DATABASE_URL", format!("sqlite://{}", path.display()));
    let context = home.say(&["context", "unit price of order details"]);
    assert!(
        context.contains("\"Order Details\"(id, \"Unit Price\")") && context.contains("\"order\"(id)"),
        "{context}"
    );
    let asked = home.serve().call("ask_database", json!({"question": "How many order details are there?"}));
    assert_eq!(asked["rows"], json!([[0]]), "{asked}");
}

fn hint(server: &mut Server, sql: &str) -> (String, String) {
    let reply = server.call("run_sql", json!({"sql": sql}));
    let text = |key: &str| reply["error"][key].as_str().unwrap_or_default().to_owned();
    (text("message"), text("hint"))
}

/// Constraints that hold for new rows only, or not at all, and keys over periods.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn constraints_are_told_as_what_they_are() {
    for postgres in servers() {
        let (_, home, mut server) = serve(
            postgres,
            "constraints",
            "CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (id int, parent_id int, other_id int REFERENCES parent ON DELETE CASCADE);
             ALTER TABLE child ADD FOREIGN KEY (parent_id) REFERENCES parent NOT VALID;
             CREATE TABLE spans (id int, during int4range, EXCLUDE USING gist (during WITH &&));
             CREATE FUNCTION noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
             CREATE TRIGGER stamp BEFORE INSERT ON child FOR EACH ROW EXECUTE FUNCTION noop();",
        );
        let child = server.call("describe_table", json!({"table": "child"}));
        let keys = child["foreign_keys"].as_array().unwrap();
        let key = |column: &str| keys.iter().find(|key| key["columns"] == json!([column])).unwrap();
        assert_eq!(key("parent_id")["not_validated"], true, "{child}");
        assert_eq!(key("other_id")["on_delete"], "cascade", "{child}");
        assert!(key("other_id")["not_validated"].is_null(), "{child}");
        assert_eq!(child["triggers"], json!(["stamp"]));
        let spans = server.call("describe_table", json!({"table": "spans"}));
        assert!(spans["checks"].to_string().contains("EXCLUDE USING gist"), "{spans}");
        drop((home, server));
        if version(postgres) < 180_000 {
            continue;
        }
        let (_, home, mut server) = serve(
            postgres,
            "constraints18",
            "CREATE EXTENSION IF NOT EXISTS btree_gist;
             CREATE TABLE employees (id int, name text, valid daterange, PRIMARY KEY (id, valid WITHOUT OVERLAPS));
             CREATE TABLE assignments (employee_id int, hours int, valid daterange,
               FOREIGN KEY (employee_id, PERIOD valid) REFERENCES employees (id, PERIOD valid));
             INSERT INTO employees VALUES (1, 'Ann', '[2026-01-01,2026-12-31)'); INSERT INTO assignments VALUES (1, 30, '[2026-02-01,2026-03-01)');
             CREATE TABLE loose (a int, b int GENERATED ALWAYS AS (a * 2)); INSERT INTO loose VALUES (NULL);
             ALTER TABLE loose ADD CONSTRAINT c NOT NULL a NOT VALID;
             CREATE TABLE named (id int PRIMARY KEY); INSERT INTO named SELECT generate_series(1, 16); ALTER TABLE loose ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES named NOT ENFORCED;",
        );
        let loose = server.call("describe_table", json!({"table": "loose"}));
        assert!(loose["columns"][0].get("nullable").is_none(), "nullable: {loose}");
        assert_eq!(loose["foreign_keys"][0]["not_enforced"], true, "{loose}");
        assert_eq!(loose["columns"][1]["generated"], "(a * 2)", "{loose}");
        let assignments = server.call("describe_table", json!({"table": "assignments"}));
        assert_eq!(assignments["foreign_keys"][0]["period"], true, "{assignments}");
        let employees = server.call("describe_table", json!({"table": "employees"}));
        assert!(employees["checks"].to_string().contains("WITHOUT OVERLAPS"), "{employees}");
        let context = home.say(&["context", "hours of assignments per employees name"]);
        assert!(context.contains("public.assignments.valid && public.employees.valid"), "{context}");
        let asked = server.call("ask_database", json!({"question": "total hours of assignments per employees name"}));
        assert!(!asked["sql"].to_string().contains("valid ="), "{asked}");
        let explained = "SELECT * FROM generate_series(1, 49) g LEFT JOIN LATERAL (SELECT id FROM named WHERE id = g LIMIT 1) x ON true";
        let plan = server.call("explain_query", json!({"sql": explained, "analyze": true})).to_string();
        assert!(plan.contains("0.33 rows each, 49 times"), "{plan}");
    }
}

/// Type modifiers, domains, composites, partitions, inheritance, views without rows, rights on some columns.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_description_leaves_nothing_out() {
    for postgres in servers() {
        let (database, _home, mut server) = serve(
            postgres,
            "describe_all",
            "CREATE DOMAIN pence AS numeric(12,3) CHECK (VALUE >= 0); CREATE TYPE place AS (street text, zip varchar(10));
             CREATE TABLE t (a numeric(10,2), b varchar(20), c pence, d place, e timestamp(3), f bit(4)[]);
             CREATE TABLE kid (x int) INHERITS (t);
             CREATE TABLE days (day date) PARTITION BY RANGE (day);
             CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
             CREATE MATERIALIZED VIEW empty AS SELECT 1 AS n WITH NO DATA;",
        );
        let mut describe = |table: &str| server.call("describe_table", json!({"table": table}));
        let t = describe("t");
        let types: Vec<&str> =
            t["columns"].as_array().unwrap().iter().map(|column| column["type"].as_str().unwrap()).collect();
        assert_eq!(
            types,
            [
                "numeric(10,2)",
                "character varying(20)",
                "public.pence",
                "public.place",
                "timestamp(3) without time zone",
                "bit(4)[]"
            ]
        );
        assert_eq!(t["columns"][2]["base_type"], "numeric(12,3)");
        assert!(t["columns"][2]["check"].as_str().unwrap().contains(">="), "{t}");
        assert_eq!(
            t["columns"][3]["fields"],
            json!([{"name": "street", "type": "text"}, {"name": "zip", "type": "character varying(10)"}])
        );
        assert_eq!(describe("kid")["inherits"], json!(["public.t"]));
        assert_eq!(describe("days")["partition_names"], json!(["public.days_1"]));
        assert_eq!(describe("days_1")["partition_of"], "public.days");
        assert_eq!(describe("empty")["populated"], false);
        postgres.script_best_effort(&database, "CREATE ROLE some_columns LOGIN");
        postgres.script(&database, "GRANT SELECT (a, b) ON t TO some_columns");
        let url = format!("postgres://some_columns@127.0.0.1:{}/{database}?sslmode=disable", postgres.port);
        let mut server = Home::new("some-columns").set("TUDB_DATABASE_URL", url).serve();
        let t = server.call("describe_table", json!({"table": "t"}));
        assert_eq!(t["readable_columns"], json!(["a", "b"]), "{t}");
    }
}

/// A value that the planner's statistics do not list may be stored all the same.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_list_of_values_says_whether_it_is_complete() {
    for postgres in servers() {
        let (database, _home, mut server) = serve(
            postgres,
            "partial",
            "CREATE TABLE t (code text, kind text); ALTER TABLE t ALTER code SET STATISTICS 3;
             INSERT INTO t SELECT CASE WHEN i <= 600 THEN 'pa' WHEN i <= 900 THEN 'qa' WHEN i <= 990 THEN 'ra' ELSE 'p' || chr(98 + i % 9) END,
               CASE i % 2 WHEN 0 THEN 'x' ELSE 'y' END FROM generate_series(1, 1000) i; ANALYZE t;",
        );
        let statistics = postgres.query(&database, "SELECT n_distinct || ' ' || cardinality(most_common_vals::text::text[]) FROM pg_stats WHERE attname = 'code'");
        let t = server.call("describe_table", json!({"table": "t"}));
        assert_eq!(t["columns"][0]["values_complete"], false, "{statistics} {t}");
        assert_eq!(t["columns"][1]["values"], json!(["x", "y"]), "{t}");
        assert!(t["columns"][1]["values_complete"].is_null(), "{t}");
    }
}

/// The system's catalog, as far as it tells of objects; names that only look like the system's.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn the_catalog_tells_of_objects_and_not_of_secrets() {
    for postgres in servers() {
        let (_, _home, mut server) = serve(
            postgres,
            "catalogs",
            "CREATE TABLE pg_sleep_log (n int); INSERT INTO pg_sleep_log VALUES (5); CREATE TABLE users (id int, secrets int);
             CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql AS 'SELECT 2 * n'; ANALYZE pg_sleep_log;
             CREATE VIEW settings AS SELECT name, setting FROM pg_settings; CREATE VIEW sources AS SELECT prosrc FROM pg_proc;",
        );
        for (sql, expected) in [
            ("SELECT current_schema()", json!([["public"]])),
            (
                "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema() ORDER BY 1",
                json!([["pg_sleep_log"], ["settings"], ["sources"], ["users"]]),
            ),
            ("SELECT n FROM pg_sleep_log", json!([[5]])),
            ("WITH pg_sleep_log AS (SELECT 1 AS n) SELECT n FROM pg_sleep_log", json!([[1]])),
            ("WITH pg_authid AS (SELECT 1 AS n) SELECT 1", json!([[1]])),
            ("SELECT proname, prokind, provolatile FROM pg_proc WHERE proname = 'twice'", json!([["twice", "f", "v"]])),
            (
                "SELECT p.proname, pg_get_function_arguments(p.oid) FROM pg_catalog.pg_proc p WHERE p.proname = 'twice'",
                json!([["twice", "n integer"]]),
            ),
            (
                "SELECT routine_name FROM information_schema.routines WHERE routine_schema = 'public'",
                json!([["twice"]]),
            ),
            ("SELECT count(*) FROM pg_policies", json!([[0]])),
            ("SELECT unit, vartype FROM pg_settings WHERE name = 'work_mem'", json!([["kB", "integer"]])),
            ("SELECT count(*) > 0 FROM pg_available_extensions", json!([[true]])),
            ("SELECT has_table_privilege('users', 'SELECT'), to_regrole('nobody_here') IS NULL", json!([[true, true]])),
            ("SELECT null_frac FROM pg_stats WHERE tablename = 'pg_sleep_log'", json!([[0]])),
            (
                "SELECT current_setting('server_version_num')::int > 100000, current_setting('TimeZone', true) IS NULL",
                json!([[true, false]]),
            ),
            (
                "SELECT conname FROM pg_constraint WHERE conrelid::regclass::text = 'users' AND conname <> 'pg_authid'",
                json!([]),
            ),
            ("SELECT count(*) AS pg_authid, 1 pg_shadow FROM users", json!([[0, 1]])),
        ] {
            assert_eq!(rows(&mut server, sql), expected, "{sql}");
        }
        assert!(rows(&mut server, "SELECT version() AS pg_version")[0][0].as_str().unwrap().starts_with("PostgreSQL"));
        for (sql, code) in [
            ("SELECT prosrc FROM pg_proc", "column_denied"),
            ("SELECT pg_get_functiondef(oid) FROM pg_proc WHERE proname = 'twice'", "function_refused"),
            ("SELECT * FROM pg_proc", "column_denied"),
            ("SELECT p FROM pg_proc p", "column_denied"),
            ("SELECT to_jsonb(p) FROM pg_catalog.pg_proc p", "column_denied"),
            ("SELECT proconfig FROM pg_proc", "column_denied"),
            ("SELECT setting FROM pg_settings", "column_denied"),
            ("SELECT * FROM pg_settings", "column_denied"),
            ("SELECT most_common_vals FROM pg_stats", "column_denied"),
            ("SELECT s FROM pg_stats s", "column_denied"),
            ("SELECT routine_definition FROM information_schema.routines", "column_denied"),
            ("SELECT name FROM settings", "relation_refused"),
            ("TABLE sources", "relation_refused"),
            ("SELECT rolpassword FROM pg_authid", "relation_refused"),
            ("SELECT 1 FROM users, pg_shadow", "relation_refused"),
            ("SELECT 1 FROM (users CROSS JOIN pg_stat_activity)", "relation_refused"),
            ("SELECT (SELECT count(*) FROM ONLY pg_authid)", "relation_refused"),
            ("TABLE pg_authid", "relation_refused"),
            ("TABLE ONLY (pg_authid)", "relation_refused"),
            ("SELECT 1 WHERE EXISTS (TABLE ONLY (pg_catalog.pg_authid))", "relation_refused"),
            ("SELECT current_setting('data_directory')", "function_refused"),
            ("SELECT current_setting('server_' || 'version')", "function_refused"),
            ("SELECT current_setting(s) FROM (VALUES ('TimeZone')) v(s)", "function_refused"),
        ] {
            let reply = server.call("run_sql", json!({"sql": sql}));
            assert_eq!(reply["error"]["code"], code, "{sql}: {reply}");
        }
    }
}

/// `deny = ["secrets"]` is about the table of that name.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn an_alias_called_like_a_denied_table_is_no_use_of_it() {
    for postgres in servers() {
        let (database, url) = postgres.database("aliases");
        postgres.script(
            &database,
            "CREATE TABLE users (id int); CREATE TABLE secrets (id int); INSERT INTO users VALUES (1)",
        );
        let home = Home::new("aliases");
        let config = home.scratch.path("tudb.toml");
        std::fs::write(&config, format!("[sources.main]\nurl = \"{url}\"\ndeny = [\"secrets\"]\n")).unwrap();
        let mut server = home.set("TUDB_CONFIG", config.display()).serve();
        assert_eq!(rows(&mut server, "SELECT count(*) AS secrets FROM users"), json!([[1]]));
        assert_eq!(rows(&mut server, "SELECT count(*) secrets FROM users HAVING 'secrets' <> ''"), json!([[1]]));
        for sql in [
            "SELECT 1 FROM secrets",
            "SELECT 1 FROM users, secrets",
            "SELECT 1 FROM users JOIN (secrets CROSS JOIN users u) ON true",
            "TABLE secrets",
        ] {
            assert_eq!(server.call("run_sql", json!({"sql": sql}))["error"]["code"], "column_denied", "{sql}");
        }
    }
}

/// Tables with a column of an extension that TUDB does not know, and databases in which one is merely installed.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn tables_of_unknown_extensions_can_be_read() {
    // The second server has no extensions of the distribution.
    let postgres = &servers()[0];
    for (extension, column, value, shown, own) in [
        ("hll", "hll", "hll_empty()", "\\x118b7f", "SELECT hll_cardinality(v) FROM x"),
        ("ip4r", "ip4r", "'10.0.0.0/8'", "10.0.0.0/8", "SELECT ip4r_size(v) FROM x"),
        ("semver", "semver", "'1.2.3'", "1.2.3", "SELECT get_semver_major(v) FROM x"),
        ("orafce", "oracle.varchar2(10)", "'one'", "one", "SELECT oracle.substr(v, 1, 1) FROM x"),
    ] {
        let (database, url) = postgres.database(extension);
        postgres.script(&database, &format!("CREATE EXTENSION {extension}; CREATE TABLE items (id int, name text, v {column}); CREATE VIEW x AS SELECT * FROM items; INSERT INTO items VALUES (1, 'a', {value})"));
        let home = Home::new(extension);
        let config = home.scratch.path("tudb.toml");
        let home = home.set("TUDB_CONFIG", config.display());
        for allowed in [false, true] {
            let more = if allowed { format!("allow_extensions = [\"{extension}\"]\n") } else { String::new() };
            std::fs::write(&config, format!("[sources.main]\nurl = \"{url}\"\n{more}")).unwrap();
            let mut server = home.serve();
            for (sql, expected) in [
                ("SELECT count(*) FROM x", json!([[1]])),
                ("SELECT id, name FROM x", json!([[1, "a"]])),
                ("SELECT * FROM x", json!([[1, "a", shown]])),
                ("SELECT v::text FROM x WHERE v IS NOT NULL", json!([[shown]])),
                ("SELECT name || '-' || id, 7 / 2, id * 2, id::text FROM x", json!([["a-1", 3, 2, "1"]])),
                ("SELECT count(*) FROM x a JOIN x b ON a.v = b.v", json!([[1]])),
            ] {
                assert_eq!(rows(&mut server, sql), expected, "{extension} {allowed}: {sql}");
            }
            let asked = server.call("ask_database", json!({"question": "How many items are there?"}));
            assert_eq!(asked["rows"], json!([[1]]), "{extension}: {asked}");
            let reply = server.call("run_sql", json!({"sql": own}));
            if allowed {
                assert_eq!(reply["row_count"], 1, "{extension}: {reply}");
            } else {
                assert_eq!(reply["error"]["code"], "function_refused", "{extension}: {reply}");
                let hint = reply["error"]["hint"].as_str().unwrap();
                assert!(hint.contains(&format!("\"{extension}\" in the source's allow_extensions")), "{hint}");
            }
        }
    }
}

/// Operators of a user between built-in types are chosen by nobody's statement.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn an_operator_of_a_user_refuses_no_ordinary_statement() {
    for postgres in servers() {
        let (_, _home, mut server) = serve(
            postgres,
            "operators",
            "CREATE TABLE t (id int, name text); INSERT INTO t VALUES (1, 'a');
             CREATE FUNCTION odd(int, text) RETURNS text LANGUAGE plpgsql AS 'BEGIN RAISE ''ran''; END';
             CREATE OPERATOR * (LEFTARG = int, RIGHTARG = text, FUNCTION = odd);
             CREATE FUNCTION odd(text, int) RETURNS text LANGUAGE plpgsql AS 'BEGIN RAISE ''ran''; END';
             CREATE OPERATOR || (LEFTARG = text, RIGHTARG = int, FUNCTION = odd);",
        );
        for (sql, expected) in [
            ("SELECT count(*) FROM t", json!([[1]])),
            ("SELECT * FROM t", json!([[1, "a"]])),
            ("SELECT t.* FROM t", json!([[1, "a"]])),
            ("SELECT id * 2, name || '-' || id, 1 / 2, id::text FROM t", json!([[2, "a-1", 0, "1"]])),
        ] {
            assert_eq!(rows(&mut server, sql), expected, "{sql}");
        }
    }
}

/// Days are cut in the database's zone, and the answer says so.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn an_answer_with_days_says_the_zone() {
    for postgres in servers() {
        let (database, url) = postgres.database("zone_said");
        postgres.script(
            &database,
            "CREATE TABLE orders (id int PRIMARY KEY, placed timestamptz);
             INSERT INTO orders SELECT i, '2026-01-31 20:00+00'::timestamptz + i * interval '1 hour' FROM generate_series(0, 9) i;",
        );
        postgres.query(&database, &format!("ALTER DATABASE \"{database}\" SET timezone = 'Asia/Kolkata'"));
        let mut server = Home::new("zone-said").set("TUDB_DATABASE_URL", url).serve();
        let asked = server.call("ask_database", json!({"question": "How many orders per month?"}));
        assert_eq!(asked["rows"].as_array().map(Vec::len), Some(1), "{asked}");
        assert!(asked["assumptions"].to_string().contains("time zone Asia/Kolkata"), "{asked}");
        let asked = server.call("ask_database", json!({"question": "How many orders are there?"}));
        assert!(!asked["assumptions"].to_string().contains("zone"), "{asked}");
    }
}

/// A role without grants: every tool says so, with the GRANT that helps.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_role_without_grants_is_told_what_helps() {
    for postgres in servers() {
        let (database, _) = postgres.database("no_grants");
        postgres.script_best_effort(&database, "CREATE ROLE \"no grants\" LOGIN");
        postgres.script(&database, "CREATE TABLE orders (id int, note text, total int)");
        let url = format!("postgres://no%20grants@127.0.0.1:{}/{database}?sslmode=disable", postgres.port);
        let home = Home::new("no-grants").set("TUDB_DATABASE_URL", url);
        let mut server = home.serve();
        let grant = "GRANT SELECT ON ALL TABLES IN SCHEMA public TO \"no grants\"";
        let asked = server.call("ask_database", json!({"question": "How many orders are there?"}));
        assert_eq!(asked["status"], "unanswerable", "{asked}");
        assert!(
            asked["message"].to_string().contains("role no grants sees no tables")
                && asked.to_string().contains("GRANT SELECT"),
            "{asked}"
        );
        let (message, told) = hint(&mut server, "SELECT count(*) FROM orders");
        assert!(told.contains("GRANT SELECT ON orders TO \"no grants\""), "{message}: {told}");
        let doctor = home.say(&["doctor"]);
        assert!(doctor.contains("role no grants sees no tables") && doctor.contains(grant), "{doctor}");
        postgres.script(&database, &format!("{grant}; REVOKE SELECT ON orders FROM \"no grants\"; GRANT SELECT (id, total) ON orders TO \"no grants\""));
        let (message, told) = hint(&mut home.serve(), "SELECT * FROM orders");
        assert!(told.contains("public.orders has id, total."), "{message}: {told}");
    }
}

/// The SQL for a safe role can be copied from `doctor`, and is that of the docs.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn the_sql_for_a_safe_role_is_that_of_the_docs() {
    let postgres = &servers()[0];
    let (database, url) = postgres.database("safe_role");
    postgres.script(&database, "CREATE TABLE t (a int)");
    let said = Home::new("safe-role").set("TUDB_DATABASE_URL", url).say(&["doctor"]);
    let lines: Vec<&str> = said.lines().skip_while(|line| !line.ends_with("A safe role:")).skip(1).take(6).collect();
    let shown = lines.join("\n").replace(&format!("\"{database}\""), "shop");
    let shown = shown.replace("FOR ROLE postgres ", "FOR ROLE shop_owner ");
    assert!(lines.iter().all(|line| line.ends_with(';')), "{said}");
    assert!(include_str!("../../docs/connecting.md").contains(&shown), "{shown}");
    postgres.script_best_effort(&database, "DROP ROLE tudb_reader");
    postgres.script(&database, &lines.join("\n"));
    postgres.script(&database, "DROP OWNED BY tudb_reader; DROP ROLE tudb_reader");
}

/// A database with the encoding SQL_ASCII has texts that are not UTF-8.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn texts_that_are_not_utf8_hide_nothing_else() {
    for postgres in servers() {
        let database = format!("latin_{}", uuid::Uuid::now_v7().simple());
        let create = "ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0";
        postgres.query("postgres", &format!("CREATE DATABASE {database} {create}"));
        postgres.script(
            &database,
            r"SET client_encoding = SQL_ASCII; CREATE TABLE drinks (id int, name text, kind text CHECK (kind IN ('a', E'b\xe9')));
             CREATE TABLE plain (id int); CREATE TYPE heat AS ENUM ('cold', E'ti\xe8de'); ALTER TABLE drinks ADD warm heat;
             COMMENT ON TABLE drinks IS E'caf\xe9'; COMMENT ON COLUMN drinks.name IS E'th\xe9';
             INSERT INTO drinks SELECT n, E'caf\xe9', 'a', 'cold' FROM generate_series(1, 3) n; ANALYZE drinks;
             CREATE VIEW served AS SELECT name || E'\xe9' AS name FROM drinks;
             CREATE FUNCTION odd() RETURNS text LANGUAGE sql AS E'SELECT ''\xe9''';",
        );
        let url = format!("postgres://postgres@127.0.0.1:{}/{database}?sslmode=disable", postgres.port);
        for rules in ["", "deny = [\"plain.secret\"]\n"] {
            let home = Home::new("latin");
            let path = home.scratch.path("tudb.toml");
            std::fs::write(&path, format!("[sources.main]\nurl = \"{url}\"\n{rules}")).unwrap();
            let home = home.set("TUDB_CONFIG", path.display());
            let mut server = home.serve();
            let listed = server.call("list_tables", json!({}));
            assert_eq!(listed["tables"][0]["comment"], "caf\u{fffd}", "{listed}");
            let described = server.call("describe_table", json!({"table": "drinks"}));
            assert_eq!(described["columns"][1]["comment"], "th\u{fffd}", "{described}");
            assert_eq!(rows(&mut server, "SELECT name FROM drinks WHERE id = 1"), json!([["caf\u{fffd}"]]));
            assert_eq!(rows(&mut server, "SELECT length(name) FROM served LIMIT 1"), json!([[5]]));
            let asked = server.call("ask_database", json!({"question": "how many drinks are there?"}));
            assert_eq!(asked["rows"], json!([[3]]), "{asked}");
            assert!(home.say(&["doctor"]).contains("ok"));
        }
    }
}

/// The known values of a column are none where they are GUIDs.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn keys_that_are_guids_are_no_known_values() {
    for postgres in servers() {
        let (_, _home, mut server) = serve(
            postgres,
            "guids",
            "CREATE TABLE parts AS SELECT gen_random_uuid()::text AS key, 'part ' || n AS name FROM generate_series(1, 5) n; ANALYZE parts;",
        );
        let columns = server.call("describe_table", json!({"table": "parts"}))["columns"].clone();
        assert!(columns[0]["values"].is_null() && columns[1]["values"].as_array().unwrap().len() == 5, "{columns}");
    }
}

/// A statement with parameters can be planned from version 16 on.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_statement_with_parameters_is_planned() {
    for postgres in servers() {
        let (_, _home, mut server) = serve(
            postgres,
            "parameters",
            "CREATE TABLE orders (id int PRIMARY KEY, total numeric); INSERT INTO orders SELECT n, n FROM generate_series(1, 1000) n; ANALYZE orders;",
        );
        let sql = "SELECT total FROM orders WHERE id = $1 AND total > $2";
        let explained = server.call("explain_query", json!({"sql": sql, "plan": true}));
        if version(postgres) >= 160_000 {
            assert!(explained["plan"].to_string().contains("id = $1"), "{explained}");
        } else {
            assert_eq!(explained["error"]["code"], "statement_refused", "{explained}");
            assert!(explained["error"]["hint"].as_str().unwrap().contains("PostgreSQL 16"), "{explained}");
        }
        let analyzed = server.call("explain_query", json!({"sql": sql, "analyze": true}));
        assert_eq!(analyzed["error"]["code"], "statement_refused", "{analyzed}");
        assert_eq!(server.call("run_sql", json!({"sql": sql}))["error"]["code"], "statement_refused");
        let refused = server.call("explain_query", json!({"sql": "SELECT pg_sleep($1)"}));
        assert_eq!(refused["error"]["code"], "function_refused", "{refused}");
    }
}
