//! Row-level security sees the user that a call names.

use serde_json::json;

use crate::support::postgres::{Postgres, servers};
use crate::support::{Home, Server};

/// Notes of two owners, a policy by the claims, and a login role that may switch to `authenticated` only. Roles belong
/// to the whole server, so the roles of each test end in its `tag`.
fn notes(postgres: &Postgres, tag: &str) -> String {
    let (database, url) = postgres.database("users");
    let roles = format!("gate_{tag}, authenticated_{tag}, almighty_{tag}");
    postgres.query("postgres", &format!("DROP ROLE IF EXISTS {roles}"));
    let script = "CREATE ROLE gate_# LOGIN NOINHERIT; CREATE ROLE authenticated_# NOLOGIN;
         CREATE ROLE almighty_# NOLOGIN BYPASSRLS; GRANT authenticated_#, almighty_# TO gate_#;
         CREATE TABLE notes (id int, owner text, body text); ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
         INSERT INTO notes VALUES (1, 'ann', 'a'), (2, 'bob', 'b'), (3, 'ann', 'c');
         CREATE POLICY own ON notes FOR SELECT TO authenticated_#
           USING (owner = current_setting('request.jwt.claims', true)::json ->> 'sub');
         GRANT SELECT ON notes TO authenticated_#; CREATE TABLE hidden (id int);
         CREATE FUNCTION claims() RETURNS text STABLE LANGUAGE sql AS $$ SELECT current_setting('request.jwt.claims') $$;
         CREATE SCHEMA authenticated_#; GRANT USAGE ON SCHEMA authenticated_# TO authenticated_#;
         CREATE TABLE authenticated_#.mine AS SELECT 1 AS id; GRANT SELECT ON authenticated_#.mine TO authenticated_#;";
    postgres.script(&database, &script.replace('#', tag));
    url.replace("postgres@", &format!("gate_{tag}@"))
}

fn serve(url: &str, more: &str) -> (Home, Server) {
    let home = Home::new("users");
    let config = home.scratch.path("tudb.toml");
    std::fs::write(&config, format!("[sources.main]\nurl = \"{url}\"\n{more}")).unwrap();
    let home = home.set("TUDB_CONFIG", config.display());
    let server = home.serve();
    (home, server)
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn each_user_sees_their_own_rows() {
    for postgres in servers() {
        let url = notes(postgres, "a");
        let (home, mut server) = serve(
            &url,
            "allow_functions = [\"public.claims\"]\n[sources.main.user]\nrole = \"authenticated_a\"\nclaims = { sub = \"{user_id}\", aud = \"tudb\" }\n",
        );
        let sql = "SELECT id FROM notes ORDER BY id";
        // The same text for many users in concurrent calls: what is remembered of a statement does not include the
        // user.
        let mut sent = Vec::new();
        for _ in 0..20 {
            for (user, rows) in
                [("ann", json!([[1], [3]])), ("bob", json!([[2]])), ("eve", json!([])), ("a'\"b\\{user_id}", json!([]))]
            {
                sent.push((server.send_call("run_sql", json!({"sql": sql, "user_id": user})), rows));
            }
        }
        for (id, rows) in sent {
            let reply = crate::support::content(&server.answer(id));
            assert_eq!(reply["rows"], rows, "{reply}");
        }
        let who = "SELECT current_user, claims()";
        let reply = server.call("run_sql", json!({"sql": who, "user_id": "o'\"neil"}));
        assert!(reply.get("error").is_none(), "{reply}");
        let claims: serde_json::Value = serde_json::from_str(reply["rows"][0][1].as_str().unwrap()).unwrap();
        assert_eq!(
            (&reply["rows"][0][0], &claims),
            (&json!("authenticated_a"), &json!({"sub": "o'\"neil", "aud": "tudb"}))
        );
        let plan = server.call("explain_query", json!({"sql": sql, "user_id": "ann"}));
        assert!(plan["cost"].as_f64().unwrap() > 0.0, "{plan}");
        // Measured counts would reveal rows that a policy hides.
        let plan = server.call("explain_query", json!({"sql": sql, "analyze": true, "user_id": "ann"}));
        assert_eq!(plan["error"]["code"], "statement_refused", "{plan}");
        let answer = server.call("ask_database", json!({"question": "How many notes are there?", "user_id": "bob"}));
        assert_eq!(answer["rows"], json!([[1]]), "{answer}");
        // Without a user, nothing runs.
        for (tool, arguments) in [
            ("run_sql", json!({"sql": sql})),
            ("run_sql", json!({"sql": sql, "user_id": ""})),
            ("explain_query", json!({"sql": sql})),
            ("ask_database", json!({"question": "How many notes are there?"})),
        ] {
            let reply = server.call(tool, arguments);
            assert_eq!(reply["error"]["code"], "user_required", "{reply}");
        }
        // The catalog is read in the role. Tables that the role cannot read are left out.
        let tables = server.call("list_tables", json!({}));
        let names: Vec<&str> =
            tables["tables"].as_array().unwrap().iter().map(|t| t["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["authenticated_a.mine", "public.notes"]);
        assert_eq!(server.call("describe_table", json!({"table": "notes"}))["row_security"], true);
        assert_eq!(
            server.call("run_sql", json!({"sql": "SELECT * FROM mine", "user_id": "ann"}))["rows"],
            json!([[1]])
        );
        // The statement cannot leave its role.
        for sql in [
            "RESET ROLE",
            "SET ROLE almighty_a",
            "SELECT set_config('role', 'almighty_a', true)",
            "SELECT set_config('request.jwt.claims', '{\"sub\": \"bob\"}', true), id FROM notes",
            "SELECT query_to_xml('SELECT * FROM notes', true, true, '')",
        ] {
            let reply = server.call("run_sql", json!({"sql": sql, "user_id": "ann"}));
            let code = reply["error"]["code"].as_str().unwrap().to_owned();
            assert!(["statement_refused", "function_refused"].contains(&code.as_str()), "{sql}: {reply}");
        }
        let said = home.say(&["sql", sql, "--user-id", "bob", "--format", "csv"]);
        assert_eq!(said.split_whitespace().collect::<Vec<_>>(), ["id", "2"], "{said}");
        assert!(home.say(&["doctor"]).contains("authenticated_a"));
        assert!(home.records().iter().any(|record| record["user_id"] == "ann" && record["sql"] == sql));
    }
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_rule_about_users_that_would_not_hold_is_refused() {
    let url = notes(&servers()[0], "b");
    let code = |more: &str| {
        let (_home, mut server) = serve(&url, more);
        let reply = server.call("run_sql", json!({"sql": "SELECT 1", "user_id": "ann"}));
        (reply["error"]["code"].as_str().unwrap_or_default().to_owned(), reply.to_string())
    };
    let (seen, text) = code("[sources.main.user]\nrole = \"almighty_b\"\n");
    assert_eq!(seen, "unsafe_role", "{text}");
    for role in ["postgres", "nobody_at_all"] {
        let (seen, text) = code(&format!("[sources.main.user]\nrole = \"{role}\"\n"));
        assert_eq!(seen, "config_error", "{text}");
        assert!(text.contains("user.role cannot be taken on"), "{text}");
    }
    for (more, word) in [
        ("[sources.main.user]\nrole = \"{user_id}\"\n", "one role"),
        ("[sources.main.user]\nrole = \"authenticated_b\"\nclaims = { sub = \"ann\" }\n", "must hold {user_id}"),
        ("[sources.main.user]\nrole = \"None\"\n", "one role"),
        ("[sources.main.user]\nclaims = { sub = \"{user_id}\" }\n", "sources.main"),
        ("[sources.main.user]\nrole = \"authenticated_b\"\nrules = 1\n", "rules"),
    ] {
        let (seen, text) = code(more);
        assert_eq!(seen, "config_error", "{more}: {text}");
        assert!(text.contains(word), "{more}: {text}");
    }
    // The check is on the role that statements run as, not on the login role.
    let postgres = &servers()[0];
    let database = url.rsplit('/').next().unwrap().split('?').next().unwrap();
    postgres.query(database, "GRANT INSERT ON notes TO authenticated_b");
    let (seen, text) = code("require_safe_role = true\n[sources.main.user]\nrole = \"authenticated_b\"\n");
    assert_eq!(seen, "unsafe_role", "{text}");
    assert!(text.contains("writing to public.notes (as authenticated_b)"), "{text}");
    postgres.query(database, "REVOKE INSERT ON notes FROM authenticated_b");
    // Without `claims` in the configuration, the claims are the user's id and the role.
    let (_home, mut server) = serve(&url, "[sources.main.user]\nrole = \"authenticated_b\"\n");
    let reply = server.call("run_sql", json!({"sql": "SELECT id FROM notes", "user_id": "bob"}));
    assert_eq!(reply["rows"], json!([[2]]));
    let home = Home::new("users");
    let config = home.scratch.path("tudb.toml");
    std::fs::write(&config, "[sources.main]\nurl = \"sqlite:///tmp/x.db\"\n[sources.main.user]\nrole = \"a\"\n")
        .unwrap();
    let mut server = home.set("TUDB_CONFIG", config.display()).serve();
    let reply = server.call("run_sql", json!({"sql": "SELECT 1", "user_id": "ann"}));
    assert_eq!(reply["error"]["code"], "config_error", "{reply}");
}

/// `tudb doctor` names views that show all rows of a table with policies.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn doctor_names_views_that_show_all_rows() {
    for postgres in servers() {
        let (database, url) = postgres.database("past");
        postgres.query("postgres", "DROP ROLE IF EXISTS gate_v, keeper_v");
        postgres.script(
            &database,
            "CREATE ROLE gate_v LOGIN; CREATE ROLE keeper_v;
             CREATE TABLE notes (id int, owner text); ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
             CREATE TABLE forced (id int); ALTER TABLE forced ENABLE ROW LEVEL SECURITY;
             ALTER TABLE forced FORCE ROW LEVEL SECURITY; ALTER TABLE forced OWNER TO keeper_v;
             CREATE VIEW all_notes AS SELECT * FROM notes; CREATE VIEW over_it AS SELECT id FROM all_notes;
             CREATE MATERIALIZED VIEW kept AS SELECT * FROM notes; CREATE VIEW unread AS SELECT * FROM notes;
             CREATE VIEW bound WITH (security_invoker = on) AS SELECT * FROM notes;
             CREATE VIEW of_forced AS SELECT * FROM forced; ALTER VIEW of_forced OWNER TO keeper_v;
             CREATE TABLE plain (id int); CREATE VIEW of_plain AS SELECT * FROM plain;
             CREATE TABLE logs (id int, at date) PARTITION BY RANGE (at); ALTER TABLE logs ENABLE ROW LEVEL SECURITY;
             CREATE TABLE logs_old PARTITION OF logs FOR VALUES FROM ('2020-01-01') TO ('2021-01-01') PARTITION BY LIST (id);
             CREATE TABLE logs_older PARTITION OF logs_old DEFAULT;
             CREATE TABLE logs_new PARTITION OF logs DEFAULT; ALTER TABLE logs_new ENABLE ROW LEVEL SECURITY;
             GRANT SELECT ON logs, logs_older, logs_new TO gate_v;
             GRANT SELECT ON notes, all_notes, over_it, kept, bound, of_forced, of_plain TO gate_v;",
        );
        let home = Home::new("past");
        let config = home.scratch.path("tudb.toml");
        let url = url.replace("postgres@", "gate_v@");
        std::fs::write(&config, format!("[sources.main]\nurl = \"{url}\"\n")).unwrap();
        let doctor = home.set("TUDB_CONFIG", config.display()).say(&["doctor"]);
        assert!(
            doctor.contains("they show all rows: public.all_notes, public.kept, public.over_it. Revoke SELECT"),
            "{doctor}"
        );
        assert!(
            doctor.contains("a statement that names one reads all its rows: public.logs_older. Revoke"),
            "{doctor}"
        );
    }
}
