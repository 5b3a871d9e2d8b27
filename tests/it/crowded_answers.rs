//! Objects of another user do not change what an honest statement answers, where an extension's operators and functions
//! are meant.

use serde_json::json;

use crate::crowded_names::{as_mallory, serve, shop};
use crate::support::Server;
use crate::support::postgres::servers;

/// If an extension's function answered before, a user's overload must not make the built-in answer instead.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn an_overload_changes_no_answer() {
    for postgres in servers() {
        let database = shop(postgres, "overloads");
        if postgres.query(&database, "SELECT count(*) FROM pg_available_extensions WHERE name = 'citext'") == "0" {
            continue;
        }
        postgres.script(
            &database,
            "CREATE EXTENSION citext; CREATE TABLE notes (body citext);
            INSERT INTO notes VALUES ('Hello there'), ('apple'); GRANT SELECT ON notes TO PUBLIC",
        );
        let statements = [
            "SELECT strpos(body, 'HELLO') FROM notes ORDER BY 1",
            "SELECT replace(body, 'hello', 'x') FROM notes ORDER BY 1",
        ];
        let ask =
            |server: &mut Server| statements.map(|sql| server.call("run_sql", json!({"sql": sql}))["rows"].clone());
        let before = ask(&mut serve(postgres, &database, "").1);
        assert_eq!(before[0], json!([[0], [1]]));
        as_mallory(
            postgres,
            &database,
            "CREATE FUNCTION public.strpos(int, int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
             CREATE FUNCTION public.replace(int, int, int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';",
        );
        for (before, now) in before.iter().zip(ask(&mut serve(postgres, &database, "").1)) {
            assert!(now.is_null() || now == *before, "{now}");
        }
        // Another user's operator for the extension's type, over the extension's own function.
        let compare = "SELECT body = 'HELLO THERE'::text FROM notes ORDER BY body";
        let before = serve(postgres, &database, "").1.call("run_sql", json!({"sql": compare}));
        as_mallory(
            postgres,
            &database,
            "CREATE OPERATOR public.= (LEFTARG = citext, RIGHTARG = text, FUNCTION = texticnlike);",
        );
        let after = serve(postgres, &database, "").1.call("run_sql", json!({"sql": compare}));
        assert!(after["rows"].is_null() || after["rows"] == before["rows"], "{after}");
        as_mallory(postgres, &database, "DROP OPERATOR public.= (citext, text)");
        // A function that the configuration lists by name.
        postgres.script(
            &database,
            "CREATE FUNCTION public.age(date) RETURNS text STABLE LANGUAGE sql AS $$ SELECT '42 days' $$",
        );
        let listed = "allow_functions = [\"public.age\"]\n";
        let born = json!({"sql": "SELECT age(born) FROM customers WHERE id = 1"});
        let honest = serve(postgres, &database, listed).1.call("run_sql", born.clone());
        assert_eq!(honest["rows"], json!([["42 days"]]), "{honest}");
        as_mallory(
            postgres,
            &database,
            "CREATE FUNCTION public.age(int) RETURNS text LANGUAGE plpgsql STABLE AS 'BEGIN RETURN 1; END'",
        );
        let shared = serve(postgres, &database, listed).1.call("run_sql", born);
        assert_eq!(shared["error"]["code"], "function_refused", "{shared}");
    }
}

/// So many operators or overloads that the check ends by their number: an extension's operators still answer, or nothing does.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_crowd_changes_no_answer() {
    for postgres in servers() {
        for (number, operators) in [["###"; 5], ["=", "<", "<>", "~", "###"]].into_iter().enumerate() {
            let database = shop(postgres, &format!("crowded_answers_{number}"));
            if postgres.query(&database, "SELECT count(*) FROM pg_available_extensions WHERE name = 'citext'") == "0" {
                continue;
            }
            postgres.script(
                &database,
                "CREATE EXTENSION citext; CREATE TABLE notes (id int, body citext);
             INSERT INTO notes VALUES (1, 'Hello'), (2, 'apple'); GRANT SELECT ON notes TO PUBLIC;
             CREATE SCHEMA app; GRANT USAGE ON SCHEMA app TO PUBLIC; CREATE DOMAIN mail AS text; CREATE TABLE mails (m mail);
             INSERT INTO mails VALUES ('Bob'); GRANT SELECT ON mails TO PUBLIC;
             CREATE FUNCTION app.body_of(int) RETURNS public.citext STABLE LANGUAGE sql AS 'SELECT body FROM public.notes WHERE id = $1';
             CREATE FUNCTION public.same_mail(mail, mail) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT lower($1) = lower($2)';
             CREATE OPERATOR public.= (LEFTARG = mail, RIGHTARG = mail, FUNCTION = same_mail)",
            );
            let listed = "allow_functions = [\"app.body_of\", \"public.same_mail\"]\n";
            let statements = [
                "SELECT count(*) FROM customers WHERE app.body_of(id) = 'hello'",
                "SELECT count(*) FROM mails WHERE m = 'bob'",
                "SELECT id FROM notes WHERE body = 'HELLO'",
                "SELECT count(*) FROM notes WHERE body <> 'hello'",
                "SELECT replace(body, 'HELLO', 'x') FROM notes ORDER BY id",
                "SELECT id FROM notes WHERE body IN ('APPLE') OR body ~ 'HEL' ORDER BY id",
                "SELECT id FROM customers WHERE name::public.citext = 'ANN'",
                "SELECT count(*) FROM customers WHERE name = 'ANN'",
            ];
            let ask =
                |server: &mut Server| statements.map(|sql| server.call("run_sql", json!({"sql": sql}))["rows"].clone());
            let before = ask(&mut serve(postgres, &database, listed).1);
            assert_eq!(before[..3], [json!([[1]]), json!([[1]]), json!([[1]])]);
            let make = "CREATE TYPE mal.e_%s AS ENUM (''a''); CREATE FUNCTION mal.f_%s(mal.e_%s, mal.e_%s) RETURNS bool LANGUAGE plpgsql
              AS ''BEGIN RETURN true; END''; CREATE OPERATOR public.%s (LEFTARG = mal.e_%s, RIGHTARG = mal.e_%s, FUNCTION = mal.f_%s)";
            let names = operators.map(|name| format!("'{name}'")).join(", ");
            as_mallory(postgres, &database, "CREATE SCHEMA mal");
            for from in [0, 1_050] {
                as_mallory(
                    postgres,
                    &database,
                    &format!(
                        "DO $$ BEGIN FOR n IN {from} + 1..{from} + 1050 LOOP
                       EXECUTE format('{make}', n, n, n, n, (ARRAY[{names}])[1 + n % 5], n, n, n); END LOOP; END $$",
                    ),
                );
            }
            for (statement, (before, now)) in
                statements.iter().zip(before.iter().zip(ask(&mut serve(postgres, &database, listed).1)))
            {
                assert!(now.is_null() || now == *before, "{statement}: {now}");
            }
        }
    }
}
