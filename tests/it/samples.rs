//! `describe_table` of several tables with samples of their rows, and the indexes that `explain_query` suggests.

use serde_json::json;

use crate::support::postgres::servers;
use crate::support::{Home, output_of};

/// Several tables in one call, and samples of their rows, on PostgreSQL.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn several_tables_and_samples_come_in_one_call() {
    for postgres in servers() {
        let (database, url) = postgres.database("sampled");
        let (role, rows) =
            (format!("sees_{database}"), "SELECT i, nullif('n' || i % 3, 'n0'), i, date '2026-01-01' + i, '{}'");
        postgres.script(
            &database,
            &format!(
                "CREATE TABLE things (id int PRIMARY KEY, name text, secret int, day date NOT NULL, body json);
                 INSERT INTO things {rows} FROM generate_series(1, 9) i;
                 CREATE TABLE parts (id int PRIMARY KEY, thing int REFERENCES things, code text UNIQUE, note text UNIQUE);
                 CREATE INDEX parts_thing ON parts (thing);
                 CREATE ROLE {role} LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role};"
            ),
        );
        let home = Home::new("sampled");
        let path = home.scratch.path("tudb.toml");
        let url = url.replacen("postgres@", &format!("{role}@"), 1);
        std::fs::write(&path, format!("[sources.main]\nurl = \"{url}\"\nmask = [\"things.secret\"]\n")).unwrap();
        let home = home.set("TUDB_CONFIG", path.display());
        let mut server = home.serve();
        let both = server.call("describe_table", json!({"table": "things, nothing, parts", "sample": "true"}));
        let tables = both["tables"].as_array().unwrap();
        assert_eq!((tables.len(), &tables[1]["error"]["code"]), (3, &json!("unknown_table")), "{both}");
        assert_eq!(tables[1]["name"], "nothing");
        let column = |at: usize| tables[0]["columns"][at].clone();
        assert_eq!(
            column(0),
            json!({"name": "id", "type": "integer", "nullable": false, "nulls": 0.0, "min": 1, "max": 9,
                "examples": [1, 2, 3, 4, 5]})
        );
        assert_eq!(
            column(1),
            json!({"name": "name", "type": "text", "nulls": 0.3333, "min": "n1", "max": "n2", "examples": ["n1", "n2"]})
        );
        assert_eq!(column(2), json!({"name": "secret", "type": "integer", "masked": true}), "a mask holds for samples");
        assert_eq!((&column(3)["min"], &column(3)["max"]), (&json!("2026-01-02"), &json!("2026-01-10")));
        assert_eq!(column(4), json!({"name": "body", "type": "json", "nulls": 0.0}));
        // What follows from the rest is left out: nullable columns, indexes of keys, referenced primary keys.
        let parts = &tables[2];
        assert_eq!(
            parts["indexes"],
            json!(["CREATE INDEX parts_thing ON public.parts USING btree (thing)"]),
            "{parts}"
        );
        assert_eq!(parts["unique"], json!([["code"], ["note"]]));
        assert_eq!(parts["foreign_keys"], json!([{"columns": ["thing"], "references": "public.things"}]));
        assert_eq!(tables[0]["referenced_by"], json!([{"table": "public.parts", "columns": ["thing"]}]));
        drop(server);
        // One record of the call, and one for each statement that sampled, which carry its id.
        let records = home.records();
        let call = records.iter().find(|record| record["target"] == "things, nothing, parts").unwrap();
        let samples: Vec<_> = records.iter().filter(|record| record["question_id"] == call["id"]).collect();
        assert_eq!(samples.len(), 4, "{records:#?}");
        assert!(samples.iter().all(|record| record["tool"] == "describe_table" && record["outcome"] == "ok"));
    }
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_sample_of_a_sqlite_table_says_what_it_holds() {
    let home = Home::new("sampled-file");
    let path = home.scratch.path("t.db");
    output_of(std::process::Command::new("sqlite3").arg(&path).arg(
        "CREATE TABLE \"a,b\" (id INTEGER PRIMARY KEY, day TEXT, mixed, body BLOB);
         INSERT INTO \"a,b\" VALUES (1, '2026-01-05', 7, x'00'), (2, NULL, 'seven', x'01'), (3, '2026-02-01', NULL, NULL);",
    ));
    let home = home.set("TUDB_DATABASE_URL", format!("sqlite://{}", path.display()));
    let mut server = home.serve();
    // A list writes names of SQLite without quotes.
    let table = server.call("describe_table", json!({"table": "a,b", "sample": true}));
    assert_eq!(table["name"], "a,b", "{table}");
    assert_eq!(
        table["columns"][1],
        json!({"name": "day", "type": "TEXT", "nulls": 0.3333, "min": "2026-01-05", "max": "2026-02-01",
            "examples": ["2026-01-05", "2026-02-01"]})
    );
    assert_eq!(table["columns"][2]["examples"], json!([7, "seven"]), "{table}");
    assert_eq!(table["columns"][3], json!({"name": "body", "type": "BLOB", "nulls": 0.3333}));
    let many = (0..21).map(|n| format!("t{n}")).collect::<Vec<_>>().join(",");
    let refused = server.call("describe_table", json!({"table": many}));
    assert_eq!(refused["error"]["message"], "table names 21 tables; at most 20 are allowed");
    for (wrong, message) in [
        (json!({"table": "x", "sample": "maybe"}), "sample must be true or false"),
        (json!({"table": " , "}), "table must be a name, or several separated by commas"),
    ] {
        assert_eq!(server.call("describe_table", wrong)["error"]["message"], message);
    }
}

/// An index is suggested on the partitioned table, and only if there is none like it.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_candidate_index_is_missing_and_on_the_whole_table() {
    for postgres in servers() {
        let (database, url) = postgres.database("candidates");
        postgres.script(
            &database,
            "CREATE TABLE events (day date, kind int, n int) PARTITION BY RANGE (day);
             CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
             INSERT INTO events SELECT '2026-01-05', i % 50, i FROM generate_series(1, 20000) i;
             CREATE TABLE logs (kind int, n int); INSERT INTO logs SELECT i % 2, i FROM generate_series(1, 20000) i;
             CREATE INDEX ON logs (kind, n); ANALYZE;",
        );
        let mut server = Home::new("candidates").set("TUDB_DATABASE_URL", &url).serve();
        let mut candidates =
            |sql: &str| server.call("explain_query", json!({"sql": sql})).get("candidate_indexes").cloned();
        assert_eq!(
            candidates("SELECT * FROM events WHERE kind = 7"),
            Some(json!(["CREATE INDEX ON public.events (kind)"])),
            "{}",
            postgres.version
        );
        // Half of the rows match, so the server reads the table although it has the index.
        assert_eq!(candidates("SELECT count(*), sum(n + 1) FROM logs WHERE kind = 1 AND n > 0"), None);
    }
}
