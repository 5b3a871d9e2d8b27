//! Prepared statements that code of another user makes or removes in a session of TUDB's.

use serde_json::json;

use crate::support::Home;
use crate::support::postgres::servers;

/// A function in a policy can prepare statements, and a rollback keeps them. One that has the name of a statement of
/// TUDB's would answer for it. `mal.takes` tries that: it takes the names of all statements that it finds.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_session_with_statements_of_others_is_not_used_again() {
    for postgres in servers() {
        let (database, url) = postgres.database("prepared");
        postgres.script(
            &database,
            "CREATE SCHEMA mal; CREATE TABLE mal.notes (id int); INSERT INTO mal.notes VALUES (1); CREATE TABLE orders (id int);
             CREATE FUNCTION mal.sees() RETURNS bool LANGUAGE plpgsql AS $$BEGIN
               EXECUTE 'PREPARE theirs AS SELECT 1'; RETURN true; END$$;
             ALTER TABLE mal.notes ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON mal.notes USING (mal.sees());
             CREATE TABLE mal.names (id int); INSERT INTO mal.names VALUES (3);
             CREATE FUNCTION mal.takes() RETURNS bool LANGUAGE plpgsql AS $$DECLARE s record; BEGIN
               FOR s IN SELECT name FROM pg_prepared_statements WHERE NOT from_sql LOOP
                 EXECUTE format('DEALLOCATE %I', s.name);
                 EXECUTE format('PREPARE %I AS SELECT 666::bigint', s.name);
               END LOOP; RETURN true; END$$;
             ALTER TABLE mal.names ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON mal.names USING (mal.takes());
             CREATE TABLE mal.more (id int); INSERT INTO mal.more VALUES (2);
             CREATE FUNCTION mal.forgets() RETURNS bool LANGUAGE plpgsql AS $$BEGIN
               EXECUTE 'DEALLOCATE ALL'; RETURN true; END$$;
             ALTER TABLE mal.more ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON mal.more USING (mal.forgets());
             CREATE ROLE reader_of_notes LOGIN; GRANT USAGE ON SCHEMA mal TO reader_of_notes;
             GRANT SELECT ON mal.notes, mal.more, mal.names, orders TO reader_of_notes;",
        );
        let url = url.replace("postgres@", "reader_of_notes@");
        // Through a Unix socket it is not proved that no pooler is between. After the first such statement the source counts as
        // pooled: TUDB's statements have no names then, and the session stays.
        for (url, times) in [(url, 12), (postgres.socket_url("reader_of_notes", &database), 1)] {
            let home = Home::new("prepared");
            let config = home.scratch.path("tudb.toml");
            std::fs::write(&config, format!("[sources.main]\nurl = \"{url}\"\n")).unwrap();
            let mut server = home.set("TUDB_CONFIG", config.display()).serve();
            let mut run = |sql: &str| {
                let reply = server.call("run_sql", json!({"sql": sql}));
                assert!(reply["error"].is_null(), "{sql}: {reply}");
                reply["rows"].clone()
            };
            for _ in 0..times {
                // A second PREPARE of the name fails in the same session, and the read with it.
                assert_eq!(run("SELECT id FROM mal.notes"), json!([[1]]));
                assert_eq!(run("SELECT count(*) FROM orders"), json!([[0]]));
            }
            for n in 0..3 {
                assert_eq!(run(&format!("SELECT id, {n} FROM mal.names")), json!([[3, n]]));
                assert_eq!(run("SELECT count(*) FROM orders"), json!([[0]]));
                assert_eq!(run(&format!("SELECT count(*) + {n} FROM orders")), json!([[n]]));
            }
            // Without its prepared statements, a session is closed at the first call that needs one.
            for _ in 0..3 {
                assert_eq!(run("SELECT id FROM mal.more"), json!([[2]]));
                assert_eq!(run("SELECT count(*) FROM orders"), json!([[0]]));
                assert_eq!(run("SELECT id FROM orders WHERE id = 1"), json!([]));
            }
            // Several idle sessions may have lost theirs.
            let sent: Vec<u64> =
                (0..3).map(|_| server.send_call("run_sql", json!({"sql": "SELECT id FROM mal.more"}))).collect();
            for id in sent {
                server.answer(id);
            }
            std::thread::sleep(std::time::Duration::from_millis(300));
            for _ in 0..4 {
                let reply = server.call("run_sql", json!({"sql": "SELECT count(*) FROM orders"}));
                assert_eq!(reply["rows"], json!([[0]]), "{reply}");
            }
        }
        postgres.query(&database, "DROP OWNED BY reader_of_notes; DROP ROLE reader_of_notes");
    }
}

/// As above, on a source whose sessions take on the role of a user when they open.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_user_is_served_by_a_new_session_after_the_statements_are_gone() {
    for postgres in servers() {
        let (database, url) = postgres.database("prepareduser");
        postgres.script(
            &database,
            "CREATE ROLE login_of_more LOGIN NOINHERIT; CREATE ROLE user_of_more; GRANT user_of_more TO login_of_more;
             CREATE TABLE orders (id int); CREATE TABLE more (id int); INSERT INTO more VALUES (2);
             CREATE FUNCTION forgets() RETURNS bool LANGUAGE plpgsql AS $$BEGIN
               EXECUTE 'DEALLOCATE ALL'; RETURN true; END$$;
             ALTER TABLE more ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON more USING (forgets());
             GRANT SELECT ON orders, more TO user_of_more;",
        );
        let home = Home::new("prepareduser");
        let config = home.scratch.path("tudb.toml");
        let url = url.replace("postgres@", "login_of_more@");
        let text = format!("[sources.main]\nurl = \"{url}\"\n[sources.main.user]\nrole = \"user_of_more\"\n");
        std::fs::write(&config, text).unwrap();
        let mut server = home.set("TUDB_CONFIG", config.display()).serve();
        for _ in 0..5 {
            for (sql, rows) in [("SELECT id FROM more", json!([[2]])), ("SELECT count(*) FROM orders", json!([[0]]))] {
                let reply = server.call("run_sql", json!({"sql": sql, "user_id": "ann"}));
                assert_eq!(reply["rows"], rows, "{sql}: {reply}");
            }
        }
        drop(server);
        postgres.query(&database, "DROP OWNED BY user_of_more; DROP ROLE user_of_more, login_of_more");
    }
}
