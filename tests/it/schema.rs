//! The catalog tools: lists that are searched and paged, tables described to a role that may only SELECT, errors that
//! suggest names, plans in words, resources and completions.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::postgres::{Postgres, server, servers};
use crate::support::{Home, Server, output_of};

/// One of each property that a table can have. LOOKER is the role that may only SELECT.
const FIXTURE: &str = "
    CREATE SCHEMA sales; CREATE SCHEMA back_office; CREATE ROLE LOOKER LOGIN;
    CREATE TYPE mood AS ENUM ('sad', 'it''s fine', 'happy');
    CREATE TABLE customers (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text UNIQUE,
      country text CHECK (country IN ('DE', 'CH')), born date DEFAULT CURRENT_DATE, score numeric(5,2) CHECK (score >= 0));
    COMMENT ON TABLE customers IS 'Who buys'; COMMENT ON COLUMN customers.email IS 'Where we write to';
    INSERT INTO customers (email, country) SELECT 'c' || i, 'DE' FROM generate_series(1, 50) i;
    CREATE TABLE sales.\"Order\" (region text, number int, customer_id int NOT NULL REFERENCES customers, feeling mood,
      \"select\" text, net numeric, tax numeric, gross numeric GENERATED ALWAYS AS (net + tax) STORED, channel text,
      PRIMARY KEY (region, number), CHECK (net > tax));
    INSERT INTO sales.\"Order\" (region, number, customer_id, channel)
      SELECT 'r', i, 1 + i % 50, CASE i % 3 WHEN 0 THEN 'web' ELSE 'shop' END FROM generate_series(1, 600) i;
    CREATE TABLE items (id serial PRIMARY KEY, region text, number int,
      FOREIGN KEY (region, number) REFERENCES sales.\"Order\");
    CREATE INDEX items_order ON items (region, number);
    CREATE TABLE twin (a int); CREATE TABLE sales.twin (a int);
    CREATE TABLE events (day date, what text) PARTITION BY RANGE (day);
    DO $$ BEGIN FOR i IN 0..299 LOOP
      EXECUTE format('CREATE TABLE events_%s PARTITION OF events FOR VALUES FROM (%L) TO (%L)',
        i, date '2026-01-01' + i, date '2026-01-02' + i);
    END LOOP; END $$;
    INSERT INTO events SELECT date '2026-01-01' + i % 300, 'x' FROM generate_series(1, 900) i;
    CREATE VIEW busy AS SELECT customer_id, count(*) AS orders FROM sales.\"Order\" GROUP BY 1;
    CREATE MATERIALIZED VIEW totals AS SELECT region, sum(net) AS net FROM sales.\"Order\" GROUP BY 1;
    CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER elsewhere FOREIGN DATA WRAPPER nowhere;
    CREATE FOREIGN TABLE remote (id int) SERVER elsewhere;
    CREATE TABLE secret (a int); CREATE TABLE back_office.ledger (a int);
    CREATE TABLE guarded (owner text); ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
    INSERT INTO guarded SELECT 'somebody' FROM generate_series(1, 100);
    GRANT USAGE ON SCHEMA sales, back_office TO LOOKER;
    GRANT SELECT ON ALL TABLES IN SCHEMA public, sales, back_office TO LOOKER; REVOKE SELECT ON secret FROM LOOKER;
    ANALYZE;";

/// A server over the fixture, in the role that may only SELECT, with one schema hidden.
fn fixture(postgres: &Postgres) -> (Home, Server) {
    let (database, url) = postgres.database("schema");
    postgres.script(&database, &FIXTURE.replace("LOOKER", &format!("looker_{database}")));
    let url = url.replacen("postgres@", &format!("looker_{database}@"), 1);
    let home = Home::new("schema");
    let path = home.scratch.path("tudb.toml");
    std::fs::write(&path, format!("[sources.main]\nurl = \"{url}\"\nhidden_schemas = [\"back_office\"]\n")).unwrap();
    let home = home.set("TUDB_CONFIG", path.display());
    let server = home.serve();
    (home, server)
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_role_that_may_only_select_is_told_all_of_a_table() {
    for postgres in servers() {
        let (_home, mut server) = fixture(postgres);
        let order = server.call("describe_table", json!({"table": "sales.order"}));
        assert_eq!((&order["name"], &order["kind"]), (&json!("sales.\"Order\""), &json!("table")));
        assert_eq!(order["primary_key"], json!(["region", "number"]));
        assert_eq!(order["foreign_keys"], json!([{"columns": ["customer_id"], "references": "public.customers"}]));
        assert_eq!(order["referenced_by"], json!([{"table": "public.items", "columns": ["region", "number"]}]));
        assert_eq!(order["checks"], json!(["CHECK ((net > tax))"]));
        let column = |table: &Value, name: &str| -> Value {
            let columns = table["columns"].as_array().unwrap();
            columns.iter().find(|column| column["name"] == name).unwrap_or_else(|| panic!("{table}")).clone()
        };
        assert_eq!(
            column(&order, "feeling"),
            json!({"name": "feeling", "type": "public.mood", "values": ["sad", "it's fine", "happy"]})
        );
        assert_eq!(column(&order, "gross")["generated"], "(net + tax)");
        // The planner's most frequent values.
        assert_eq!(column(&order, "channel")["values"], json!(["shop", "web"]));
        assert_eq!(column(&order, "select")["type"], "text");

        let customers = server.call("describe_table", json!({"table": "customers"}));
        assert_eq!((&customers["comment"], &customers["rows"]), (&json!("Who buys"), &json!(50)));
        assert_eq!(customers["unique"], json!([["email"]]));
        assert_eq!(column(&customers, "id")["identity"], "always");
        assert_eq!(column(&customers, "email")["comment"], "Where we write to");
        assert_eq!(column(&customers, "country")["values"], json!(["DE", "CH"]));
        assert_eq!(column(&customers, "born")["default"], "CURRENT_DATE");
        assert_eq!(column(&customers, "score")["check"], "((score >= (0)::numeric))");
        assert!(customers.get("indexes").is_none(), "both indexes are keys: {customers}");

        let events = server.call("describe_table", json!({"table": "events"}));
        assert_eq!(
            (&events["kind"], &events["partition_key"], &events["partitions"], &events["rows"]),
            (&json!("partitioned_table"), &json!("RANGE (day)"), &json!(300), &json!(900))
        );
        let busy = server.call("describe_table", json!({"table": "busy"}));
        assert!(busy["definition"].as_str().unwrap().contains("GROUP BY"), "{busy}");
        assert_eq!(server.call("describe_table", json!({"table": "totals"}))["kind"], "materialized_view");
        assert_eq!(server.call("describe_table", json!({"table": "remote"}))["kind"], "foreign_table");
        let guarded = server.call("describe_table", json!({"table": "guarded"}));
        assert_eq!((&guarded["row_security"], guarded["columns"][0].get("values")), (&json!(true), None));

        let twin = server.call("describe_table", json!({"table": "twin"}))["error"].clone();
        assert_eq!(twin["code"], "ambiguous_table");
        assert!(twin["hint"].as_str().unwrap().contains("public.twin, sales.twin"), "{twin}");
        let near = server.call("describe_table", json!({"table": "custmers"}))["error"].clone();
        assert_eq!(near["code"], "unknown_table");
        assert!(near["hint"].as_str().unwrap().contains("public.customers"), "{near}");
        assert_eq!(server.call("describe_table", json!({"table": "secret"}))["error"]["code"], "unknown_table");
    }
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn the_list_names_what_can_be_read_and_is_searched_and_paged() {
    for postgres in servers() {
        let (_home, mut server) = fixture(postgres);
        let all = server.call("list_tables", json!({}));
        let names = |reply: &Value| -> Vec<String> {
            let tables = reply["tables"].as_array().unwrap_or_else(|| panic!("{reply}"));
            tables.iter().map(|table| table["name"].as_str().unwrap().to_owned()).collect()
        };
        let expected = [
            "public.busy",
            "public.customers",
            "public.events",
            "public.guarded",
            "public.items",
            "public.remote",
            "public.totals",
            "public.twin",
            "sales.\"Order\"",
            "sales.twin",
        ];
        assert_eq!(names(&all), expected, "{}", postgres.version);
        assert_eq!(all["total"], 10);
        let line =
            |name: &str| all["tables"].as_array().unwrap().iter().find(|table| table["name"] == name).unwrap().clone();
        assert_eq!(
            line("public.events"),
            json!({"name": "public.events", "kind": "partitioned_table", "rows": 900, "partitions": 300})
        );
        assert_eq!(
            line("public.customers"),
            json!({"name": "public.customers", "kind": "table", "rows": 50, "comment": "Who buys"})
        );
        assert_eq!(line("public.remote")["foreign"], true);
        // With every page size, each table is listed once.
        for limit in [1, 3, 9, 10] {
            let (mut seen, mut cursor) = (Vec::new(), None);
            loop {
                let mut arguments = json!({"limit": limit});
                if let Some(cursor) = cursor {
                    arguments["cursor"] = cursor;
                }
                let page = server.call("list_tables", arguments);
                assert!(names(&page).len() <= limit);
                seen.extend(names(&page));
                cursor = page.get("next_cursor").cloned();
                if cursor.is_none() {
                    break;
                }
            }
            assert_eq!(seen, expected);
        }
        let search =
            |server: &mut Server, word: &str| server.call("list_tables", json!({"search": word}))["tables"].clone();
        assert_eq!(search(&mut server, "WRITE to")[0]["matched"], json!(["column email"]));
        assert_eq!(search(&mut server, "who buys")[0]["matched"], json!(["comment"]));
        assert_eq!(search(&mut server, "order")[1]["matched"], json!(["table Order"]));
        assert_eq!(names(&server.call("list_tables", json!({"schema": "sales"}))), ["sales.\"Order\"", "sales.twin"]);
        // The tables with most of the words come first: only `customers` has both.
        let several = server.call("list_tables", json!({"search": "customers, country"}));
        assert_eq!((names(&several), &several["total"]), (vec!["public.customers".to_owned()], &json!(1)));
        assert_eq!(several["tables"][0]["matched"], json!(["table customers", "column country"]));
        let nothing = server.call("list_tables", json!({"search": "zzz"}));
        assert_eq!(nothing["total"], 0);
        assert!(nothing["hint"].as_str().unwrap().contains("another word for it"), "{nothing}");
        let unknown = server.call("list_tables", json!({"schema": "nope"}));
        assert_eq!(unknown["error"]["code"], "invalid_argument", "{unknown}");
        assert!(
            unknown["error"]["message"].as_str().unwrap().contains("schemas with tables: public, sales"),
            "{unknown}"
        );
        for bad in [json!({"limit": 0}), json!({"limit": 1_001}), json!({"cursor": "nonsense"}), json!({"search": 5})] {
            assert_eq!(server.call("list_tables", bad)["error"]["code"], "invalid_argument");
        }
    }
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn an_error_says_what_could_be_meant() {
    for postgres in servers() {
        let (_home, mut server) = fixture(postgres);
        // Statement, SQLSTATE, the text at the position, a part of the hint.
        let cases = [
            ("SELECT * FROM custmers", "42P01", "custmers", "Did you mean public.customers?"),
            ("SELECT * FROM sales.order", "42P01", "sales", "sales.\"Order\"? Names with capitals need double quotes"),
            ("SELECT é.id, emial FROM customers é", "42703", "emial", "Did you mean email?"),
            ("SELECT \"Select\" FROM sales.\"Order\"", "42703", "\"Select\"", "select"),
            ("SELECT channel FROM customers", "42703", "channel", "channel is in sales.\"Order\"."),
            (
                "SELECT id FROM customers JOIN items ON true",
                "42702",
                "id FROM",
                "public.customers and public.items have id",
            ),
            ("SELECT upper(email), lower(nope) FROM customers", "42703", "nope", "public.customers has id, email"),
            ("SELECT email, count(*) FROM customers", "42803", "email", ""),
            ("SELECT * FROM customers WHERE id = 'x'", "22P02", "'x'", "id integer"),
            ("SELECT * FROM customers WHERE born = 5", "42883", "=", "born date"),
            ("SELECT o.id FROM customers", "42P01", "o.id", ""),
        ];
        for (sql, state, place, says) in cases {
            let error = server.call("run_sql", json!({"sql": sql}))["error"].clone();
            assert_eq!((&error["code"], &error["sqlstate"]), (&json!("sql_error"), &json!(state)), "{sql}: {error}");
            let position = sql.find(place).map(|at| sql[..at].chars().count() + 1);
            assert_eq!(error["position"].as_u64(), position.map(|at| at as u64), "{sql}: {error}");
            assert!(error["hint"].as_str().unwrap().contains(says), "{sql}: {error}");
        }
    }
    let home = Home::new("lite-errors");
    let mut server = home.serve();
    for (sql, says) in [
        ("SELECT * FROM ordrs", "Did you mean orders?"),
        ("SELECT o.custmer_id FROM orders o", "Did you mean customer_id?"),
        ("SELECT id FROM orders, customers", "customers and orders have id"),
    ] {
        let error = server.call("run_sql", json!({"sql": sql}))["error"].clone();
        assert_eq!(error["code"], "sql_error");
        assert!(error["hint"].as_str().unwrap().contains(says), "{sql}: {error}");
    }
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_plan_is_told_in_words_with_what_might_help() {
    let postgres = server();
    let (_home, mut server) = fixture(postgres);
    let sql = "SELECT * FROM sales.\"Order\" WHERE channel = 'web' AND number > 5";
    let plan = server.call("explain_query", json!({"sql": sql}));
    assert!(plan["summary"][0].as_str().unwrap().starts_with("Sequential scan of sales.\"Order\", "), "{plan}");
    assert_eq!(plan["candidate_indexes"], json!(["CREATE INDEX ON sales.\"Order\" (channel, number)"]));
    assert!(plan["actual_rows"].is_null() && plan["cost"].as_f64().unwrap() > 0.0, "{plan}");
    assert!(plan.get("plan").is_none(), "only with plan: {plan}");
    let plan = server.call("explain_query", json!({"sql": sql, "plan": "true"}));
    assert_eq!(plan["plan"]["Node Type"], "Seq Scan");
    let plan = server.call("explain_query", json!({"sql": sql, "analyze": true}));
    assert_eq!(plan["actual_rows"].as_f64(), Some(199.0), "{plan}");
    assert!(plan["summary"][0].as_str().unwrap().contains("rows read for nothing"), "{plan}");
    let join = "SELECT c.country, count(*) FROM customers c JOIN sales.\"Order\" o ON o.customer_id = c.id GROUP BY 1 ORDER BY 2";
    let plan = server.call("explain_query", json!({"sql": join}))["summary"].to_string();
    assert!(plan.contains("Hash Join") && plan.contains("condition") && plan.contains("Aggregate"), "{plan}");
    let refused = server.call("explain_query", json!({"sql": "DELETE FROM customers", "analyze": true}));
    assert_eq!(refused["error"]["code"], "write_refused");
    assert_eq!(server.call("explain_query", json!({"sql": "SELECT * FROM nowhere"}))["error"]["sqlstate"], "42P01");
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn resources_and_completions_show_the_schema() {
    let (home, mut server) = fixture(server());
    let overview = server.request("resources/read", json!({"uri": "tudb://schema"}));
    let text = overview["contents"][0]["text"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(text).unwrap()["total"], 10);
    assert_eq!(overview["contents"][0]["mimeType"], "application/json");
    let table = server.request("resources/read", json!({"uri": "tudb://schema/sales.%22Order%22"}));
    assert!(table["contents"][0]["text"].as_str().unwrap().contains("channel"), "{table}");
    for uri in ["tudb://schema/nowhere", "tudb://other", "file:///etc/passwd", "tudb://schema/twin", "nonsense"] {
        let id = server.send("resources/read", json!({"uri": uri}));
        let error = server.answer(id)["error"].clone();
        assert_eq!(error["data"]["uri"], uri, "{error}");
    }
    let complete = |server: &mut Server, typed: &str| -> BTreeSet<String> {
        let params = json!({"ref": {"type": "ref/resource", "uri": "tudb://schema/{table}"}, "argument": {"name": "table", "value": typed}});
        let values = server.request("completion/complete", params)["completion"]["values"].clone();
        serde_json::from_value(values).unwrap()
    };
    assert_eq!(complete(&mut server, "TWI"), ["public.twin".to_owned(), "sales.twin".to_owned()].into());
    assert_eq!(complete(&mut server, "").len(), 10);
    assert!(complete(&mut server, "zzz").is_empty());
    let prompt = server.request("prompts/get", json!({"name": "explore", "arguments": {"table": "customers"}}));
    assert!(prompt["messages"][0]["content"]["text"].as_str().unwrap().contains("customers"), "{prompt}");
    for bad in [json!({"name": "none"}), json!({"name": "make_faster"})] {
        let id = server.send("prompts/get", bad);
        assert_eq!(server.answer(id)["error"]["code"], -32602);
    }
    server.finish();
    // Reading a resource is recorded like any other read.
    let tools: Vec<Value> = home.records().iter().map(|record| record["tool"].clone()).collect();
    assert!(tools.contains(&json!("list_tables")) && tools.contains(&json!("describe_table")), "{tools:?}");
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn sqlite_tells_what_only_its_text_knows() {
    let home = Home::new("lite-schema");
    let file = home.scratch.path("shop.db");
    output_of(std::process::Command::new("sqlite3").arg(&file).arg(
        "CREATE TABLE customers ( -- who buys
           id INTEGER PRIMARY KEY,
           country TEXT CHECK (country IN ('DE', 'CH')), -- where they live
           score REAL CHECK (score >= 0), twice REAL GENERATED ALWAYS AS (score * 2));
         CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER REFERENCES customers, net REAL, tax REAL, CHECK (net > tax));
         CREATE VIRTUAL TABLE notes USING fts5(body); CREATE VIEW rich AS SELECT * FROM customers WHERE score > 9;",
    ));
    let home = home.set("TUDB_DATABASE_URL", format!("sqlite://{}", file.display()));
    let mut server = home.serve();
    let list = server.call("list_tables", json!({}));
    let names: Vec<&str> =
        list["tables"].as_array().unwrap().iter().map(|table| table["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["customers", "notes", "orders", "rich"]);
    assert_eq!(list["tables"][0]["comment"], "who buys");
    let found = server.call("list_tables", json!({"search": "they live"}));
    assert_eq!(found["tables"][0]["matched"], json!(["column country"]));
    let customers = server.call("describe_table", json!({"table": "CUSTOMERS"}));
    assert_eq!(customers["columns"][1]["values"], json!(["DE", "CH"]));
    assert_eq!(customers["columns"][2]["check"], "(score >= 0)");
    assert_eq!(customers["columns"][3]["generated"], "score * 2");
    assert_eq!(customers["referenced_by"], json!([{"table": "orders", "columns": ["customer"]}]));
    let orders = server.call("describe_table", json!({"table": "orders"}));
    assert_eq!(orders["foreign_keys"], json!([{"columns": ["customer"], "references": "customers"}]));
    assert_eq!(orders["checks"], json!(["CHECK (net > tax)"]));
    let plan = server.call(
        "explain_query",
        json!({"sql": "SELECT * FROM orders o JOIN customers c ON c.id = o.customer ORDER BY net"}),
    );
    assert_eq!(
        plan["summary"],
        json!([
            "Full scan of o",
            "Look-up in c by INTEGER PRIMARY KEY (rowid=?)",
            "Sort in a temporary B-tree for order by"
        ])
    );
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn what_sqlite_cannot_read_itself_hides_nothing_else() {
    let home = Home::new("broken");
    let file = home.scratch.path("broken.db");
    output_of(std::process::Command::new("sqlite3").arg(&file).arg(
        "PRAGMA encoding = 'UTF-16le'; CREATE TABLE t (a); CREATE VIEW gone AS SELECT * FROM t; DROP TABLE t;
         CREATE TABLE u (word TEXT); CREATE VIEW odd AS SELECT unknown_function(word) AS x FROM u; CREATE TABLE Āb (a);
         CREATE TABLE zz (a); CREATE TABLE 😀 (a); CREATE TRIGGER same AFTER INSERT ON u BEGIN SELECT 1; END;
         CREATE VIEW same AS SELECT word FROM u; INSERT INTO u VALUES ('x');",
    ));
    let home = home.set("TUDB_DATABASE_URL", format!("sqlite://{}", file.display()));
    let mut server = home.serve();
    let (mut seen, mut cursor) = (Vec::new(), Value::Null);
    loop {
        let page = server.call(
            "list_tables",
            if cursor.is_null() { json!({"limit": 2}) } else { json!({"limit": 2, "cursor": cursor}) },
        );
        seen.extend(page["tables"].as_array().unwrap().iter().map(|table| table["name"].as_str().unwrap().to_owned()));
        cursor = page["next_cursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    assert_eq!(seen, ["gone", "odd", "same", "u", "zz", "Āb", "😀"]);
    assert_eq!(server.call("list_tables", json!({"search": "word"}))["tables"][1]["name"], "u");
    let gone = server.call("describe_table", json!({"table": "gone"}));
    assert!(gone["comment"].as_str().unwrap().contains("no such table: main.t"), "{gone}");
    assert!(gone["definition"].as_str().unwrap().contains("SELECT * FROM t"), "{gone}");
    let same = server.call("describe_table", json!({"table": "same"}));
    assert!(same["definition"].as_str().unwrap().starts_with("CREATE VIEW"), "{same}");
    assert_eq!(server.call("ask_database", json!({"question": "How many u are there?"}))["row_count"], 1);
    let hint = server.call("run_sql", json!({"sql": "SELECT wrod FROM u"}))["error"]["hint"].clone();
    assert!(hint.as_str().unwrap().contains("Did you mean word?"), "{hint}");
    drop(server);
    // A catalog that is not UTF-8.
    let file = home.scratch.path("latin.db");
    output_of(
        std::process::Command::new("sqlite3")
            .arg(&file)
            .arg("CREATE TABLE u (a TEXT, -- grXXe\n b INT); CREATE TABLE v (b TEXT);"),
    );
    let mut bytes = std::fs::read(&file).unwrap();
    let at = bytes.windows(5).position(|window| window == b"grXXe").unwrap();
    bytes[at + 2..at + 4].copy_from_slice(b"\xf6\xdf");
    std::fs::write(&file, bytes).unwrap();
    let home = Home::new("latin").set("TUDB_DATABASE_URL", format!("sqlite://{}", file.display()));
    let mut server = home.serve();
    assert_eq!(server.call("list_tables", json!({}))["total"], 2);
    assert_eq!(server.call("describe_table", json!({"table": "v"}))["columns"][0]["name"], "b");
    assert_eq!(server.call("describe_table", json!({"table": "u"}))["columns"].as_array().unwrap().len(), 2);
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn keys_to_partitions_and_columns_out_of_reach_are_told_truly() {
    for postgres in servers() {
        let (database, url) = postgres.database("truly");
        let role = format!("part_{database}");
        postgres.script(
            &database,
            &format!(
                "CREATE TABLE whole (id int PRIMARY KEY) PARTITION BY RANGE (id);
                 CREATE TABLE whole_1 PARTITION OF whole FOR VALUES FROM (1) TO (10);
                 CREATE TABLE whole_2 PARTITION OF whole FOR VALUES FROM (10) TO (20);
                 CREATE TABLE points (id int PRIMARY KEY, at int REFERENCES whole);
                 CREATE TABLE narrow (seen int, hidden int); CREATE ROLE {role} LOGIN; GRANT SELECT (seen) ON narrow TO {role};"
            ),
        );
        let mut server = Home::new("truly").set("TUDB_DATABASE_URL", &url).serve();
        let keys = server.call("describe_table", json!({"table": "points"}))["foreign_keys"].clone();
        assert_eq!(keys, json!([{"columns": ["at"], "references": "public.whole"}]));
        let mut server =
            Home::new("truly").set("TUDB_DATABASE_URL", url.replace("postgres@", &format!("{role}@"))).serve();
        let columns = server.call("describe_table", json!({"table": "narrow"}))["columns"].clone();
        assert_eq!((columns.as_array().unwrap().len(), &columns[0]["name"]), (1, &json!("seen")));
    }
}

/// The planner's statistics of a small table have all of its values, the frequent ones first.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn the_values_of_a_small_table_are_known() {
    for postgres in servers() {
        let (database, url) = postgres.database("small_values");
        postgres.script(
            &database,
            "CREATE TABLE small AS SELECT 'name ' || n AS name, (ARRAY['open', 'closed', 'open', 'lost'])[1 + n % 4] AS state
               FROM generate_series(1, 12) n;
             CREATE TABLE large AS SELECT 'name ' || n AS name, CASE WHEN n % 100 = 0 THEN 'rare ' || n % 1000 ELSE 'usual' END
               AS kind FROM generate_series(1, 20000) n;
             CREATE TABLE heirs (LIKE small); CREATE TABLE heir () INHERITS (heirs);
             INSERT INTO heirs VALUES ('one', 'open'); INSERT INTO heir SELECT 'heir ' || n, 'lost' FROM generate_series(1, 200) n;
             ANALYZE small, large, heirs;",
        );
        let mut server = Home::new("small-values").set("DATABASE_URL", &url).serve();
        let mut values = |table: &str, column: usize| {
            let described = server.call("describe_table", json!({"table": table}));
            let column = &described["columns"][column];
            let values: Option<Vec<Value>> = column["values"].as_array().cloned();
            (values, column["values_complete"].clone())
        };
        let (states, complete) = values("small", 1);
        assert_eq!((states.unwrap(), complete), (vec![json!("open"), json!("closed"), json!("lost")], Value::Null));
        let (names, complete) = values("small", 0);
        assert_eq!((names.unwrap().len(), complete), (12, Value::Null));
        assert_eq!(values("large", 0).0, None);
        let (kinds, complete) = values("large", 1);
        assert_eq!(kinds.as_ref().unwrap()[0], "usual");
        assert!(kinds.unwrap().len() == 11 || complete == json!(false));
        assert_eq!(values("heirs", 0).0, None);
    }
}

/// The activity statistics know the rows of a table that was never analysed.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_table_that_was_never_analysed_has_its_number_of_rows() {
    for postgres in servers() {
        let (database, url) = postgres.database("never_analysed");
        postgres.script(
            &database,
            "CREATE TABLE fresh (n int) WITH (autovacuum_enabled = off); INSERT INTO fresh SELECT generate_series(1, 300);
             DELETE FROM fresh WHERE n > 290;
             CREATE TABLE parts (n int) PARTITION BY RANGE (n);
             CREATE TABLE low PARTITION OF parts DEFAULT WITH (autovacuum_enabled = off);
             CREATE TABLE high PARTITION OF parts FOR VALUES FROM (100) TO (1000) WITH (autovacuum_enabled = off);
             INSERT INTO parts SELECT generate_series(1, 300); ANALYZE high; CREATE TABLE nothing (n int);",
        );
        let mut server = Home::new("never-analysed").set("DATABASE_URL", &url).serve();
        // A session reports its statistics after the statement, at the latest when it ends.
        let start = std::time::Instant::now();
        loop {
            let list = server.call("list_tables", json!({}));
            let rows = |name: &str| {
                let tables = list["tables"].as_array().unwrap();
                tables.iter().find(|table| table["name"] == format!("public.{name}")).unwrap()["rows"].clone()
            };
            let seen = (rows("fresh"), rows("parts"), rows("nothing"));
            if seen == (json!(290), json!(300), Value::Null) {
                break;
            }
            assert!(start.elapsed().as_secs() < 20, "{seen:?}");
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
        assert_eq!(server.call("describe_table", json!({"table": "fresh"}))["rows"], 290);
    }
}

/// "Today" is the date in the source's time zone. Between these two zones lie 25 hours, so they never share a date.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn today_is_the_date_in_the_time_zone_of_the_source() {
    for postgres in servers() {
        let (database, url) = postgres.database("today");
        postgres.script(&database, "CREATE TABLE orders (id int PRIMARY KEY, placed_on date); ANALYZE orders;");
        for zone in ["Pacific/Kiritimati", "Pacific/Pago_Pago"] {
            let date = || postgres.query(&database, &format!("SELECT (now() AT TIME ZONE '{zone}')::date"));
            let before = date();
            let home = Home::new("today");
            let path = home.scratch.path("tudb.toml");
            std::fs::write(&path, format!("[sources.main]\nurl = \"{url}\"\ntime_zone = \"{zone}\"\n")).unwrap();
            let mut server = home.set("TUDB_CONFIG", path.display()).serve();
            let reply = server.call("ask_database", json!({"question": "How many orders were placed today?"}));
            let sql = reply["sql"].as_str().unwrap_or_else(|| panic!("{reply}"));
            assert!(sql.contains(before.trim()) || sql.contains(date().trim()), "{zone} {before}: {sql}");
        }
    }
}
