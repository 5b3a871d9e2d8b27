//! Exact values: every built-in type of both PostgreSQL versions as `::text` gives it, SQLite's storage classes, in
//! every reply format, and byte budgets that are exact.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::postgres::{server, servers};
use crate::support::{Home, peak_memory_kb};

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn every_type_comes_as_its_exact_text() {
    for postgres in servers() {
        let (database, url) = postgres.database("types");
        postgres.script(
            &database,
            "CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE TYPE pair AS (a int, b text);
             CREATE DOMAIN positive AS int CHECK (VALUE > 0); CREATE SCHEMA other; CREATE TYPE other.\"Odd\" AS ENUM ('x');",
        );
        let home = Home::new("types").set("TUDB_DATABASE_URL", url);
        let mut server = home.serve();
        // Type, expression, expected cell. Each cell is also compared with psql's output of `::text`.
        let cases: &[(&str, &str, Value)] = &[
            ("smallint", "(-32768)::int2", json!(-32768)),
            ("integer", "2147483647", json!(2147483647)),
            ("bigint", "9007199254740992", json!(9007199254740992u64)),
            ("bigint", "9007199254740993", json!("9007199254740993")),
            ("bigint", "(-9223372036854775807 - 1)", json!("-9223372036854775808")),
            ("real", "1.1::float4", json!(1.1)),
            ("double precision", "0.1::float8 + 0.2", json!(0.30000000000000004)),
            ("double precision", "'NaN'::float8", json!("NaN")),
            ("double precision", "'-Infinity'::float8", json!("-Infinity")),
            ("numeric", "1234567890123456789012345678.1234567890", json!("1234567890123456789012345678.1234567890")),
            ("numeric", "'NaN'::numeric", json!("NaN")),
            ("money", "'$12.50'::money", json!("$12.50")),
            ("boolean", "true", json!(true)),
            ("text", "'é|\"\\'", json!("é|\"\\")),
            ("character", "'ab'::char(4)", json!("ab")),
            ("character varying", "'ab'::varchar(4)", json!("ab")),
            ("bytea", "'\\xdeadbeef'::bytea", json!("\\xdeadbeef")),
            ("date", "date '0044-03-15 BC'", json!("0044-03-15 BC")),
            (
                "timestamp without time zone",
                "timestamp '2026-01-02 03:04:05.678901'",
                json!("2026-01-02 03:04:05.678901"),
            ),
            (
                "timestamp with time zone",
                "timestamptz '2026-01-02 03:04:05.678901+02'",
                json!("2026-01-02 01:04:05.678901+00"),
            ),
            ("timestamp with time zone", "'infinity'::timestamptz", json!("infinity")),
            ("time with time zone", "timetz '03:04:05+02'", json!("03:04:05+02")),
            ("interval", "interval '1 year 2 mons 3 days 04:05:06.7'", json!("1 year 2 mons 3 days 04:05:06.7")),
            ("uuid", "'00000000-0000-0000-0000-000000000001'::uuid", json!("00000000-0000-0000-0000-000000000001")),
            (
                "json",
                "'{\"a\": 1.10, \"b\": 12345678901234567890}'::json",
                json!("{\"a\": 1.10, \"b\": 12345678901234567890}"),
            ),
            ("jsonb", "'{\"a\":1.10}'::jsonb", json!("{\"a\": 1.10}")),
            ("integer[]", "ARRAY[1, NULL, 3]", json!("{1,NULL,3}")),
            ("text[]", "ARRAY['a,b', NULL, '']", json!("{\"a,b\",NULL,\"\"}")),
            ("public.mood", "'happy'::mood", json!("happy")),
            ("public.mood[]", "ARRAY['sad'::mood]", json!("{sad}")),
            ("other.\"Odd\"", "'x'::other.\"Odd\"", json!("x")),
            ("public.pair", "ROW(1, 'x y')::pair", json!("(1,\"x y\")")),
            ("record", "ROW(1, 'x')", json!("(1,x)")),
            ("integer", "7::positive", json!(7)),
            ("int4range", "int4range(1, 10)", json!("[1,10)")),
            ("int4multirange", "int4multirange(int4range(1, 3), int4range(5, 7))", json!("{[1,3),[5,7)}")),
            ("inet", "'10.0.0.1/8'::inet", json!("10.0.0.1/8")),
            ("macaddr", "'08:00:2b:01:02:03'::macaddr", json!("08:00:2b:01:02:03")),
            ("bit", "B'101'", json!("101")),
            ("tsvector", "'a b'::tsvector", json!("'a' 'b'")),
            ("point", "point(1, 2)", json!("(1,2)")),
            ("xml", "'<a/>'::xml", json!("<a/>")),
            ("name", "'pg_class'::name", json!("pg_class")),
        ];
        for (type_name, expression, expected) in cases {
            // The embedded server of one version is built without libxml.
            if *type_name == "xml" && postgres.version.starts_with("18") {
                continue;
            }
            // Twice: the first call finds the shape, the second reuses it.
            for _ in 0..2 {
                let reply = server.call("run_sql", json!({"sql": format!("SELECT {expression} AS v")}));
                assert_eq!(&reply["rows"][0][0], expected, "{} {expression}: {reply}", postgres.version);
                assert_eq!(reply["columns"][0]["type"], *type_name, "{expression}");
            }
            let text = postgres.query(&database, &format!("SET timezone = 'UTC'; SELECT ({expression})::text"));
            let ours = expected.as_str().map_or_else(|| expected.to_string(), str::to_owned);
            if *type_name != "bigint" && !expected.is_boolean() {
                assert_eq!(ours, text, "{expression}");
            }
        }
        let reply = server.call("run_sql", json!({"sql": "SELECT 1 AS a, 2 AS a, NULL, '' AS empty -- end"}));
        assert_eq!(reply["rows"], json!([[1, 2, null, ""]]));
        let names: Vec<&Value> = reply["columns"].as_array().unwrap().iter().map(|column| &column["name"]).collect();
        assert_eq!(names, [&json!("a"), &json!("a"), &json!("?column?"), &json!("empty")]);
        let empty = server.call("run_sql", json!({"sql": "SELECT 1::bigint AS a WHERE false"}));
        assert_eq!((&empty["columns"][0]["type"], &empty["rows"]), (&json!("bigint"), &json!([])));
        let none = server.call("run_sql", json!({"sql": "SELECT FROM generate_series(1, 2)"}));
        assert_eq!(none["rows"], json!([[], []]));
    }
}

/// Every built-in type that has an input function, with its edge values.
const TYPES: &[(&str, &[&str])] = &[
    ("aclitem", &["postgres=r/postgres"]),
    ("bit(3)", &["101"]),
    ("bool", &["t", "f"]),
    ("box", &["(2,2),(0,0.5)"]),
    ("bpchar", &["ab  "]),
    ("bytea", &["\\xdeadbeef00", ""]),
    ("\"char\"", &["x", "\\\\377"]),
    ("cid", &["4294967295"]),
    ("cidr", &["10.1.0.0/16", "2001:db8::/32"]),
    ("circle", &["<(1,2),3.5>"]),
    ("date", &["0044-03-15 BC", "infinity", "5874897-12-31"]),
    ("datemultirange", &["{[2026-01-01,2026-02-01),[2026-03-01,)}"]),
    ("daterange", &["[2026-01-01,2026-02-01)", "empty"]),
    ("float4", &["1.1", "NaN", "-Infinity", "3.4028235e+38", "1e-45"]),
    ("float8", &["0.1", "NaN", "Infinity", "1.7976931348623157e+308", "5e-324", "123456789012345680", "-0"]),
    ("inet", &["10.0.0.1/8", "::1"]),
    ("int2", &["-32768", "32767"]),
    ("int2vector", &["1 2 3"]),
    ("int4", &["-2147483648"]),
    ("int4multirange", &["{[1,3),[5,7)}"]),
    ("int4range", &["[1,10)"]),
    (
        "int8",
        &["9007199254740992", "9007199254740993", "-9007199254740993", "9223372036854775807", "-9223372036854775808"],
    ),
    ("int8multirange", &["{[1,9223372036854775807)}"]),
    ("int8range", &["(,5)"]),
    ("interval", &["1 year 2 mons 3 days 04:05:06.789012", "-1 mons +3 days"]),
    ("json", &["{\"a\": 1.10, \"a\": 12345678901234567890, \"b\": [null]}", "null"]),
    ("jsonb", &["{\"a\":1.10,\"b\":12345678901234567890}", "\"é\""]),
    ("jsonpath", &["$.a[*] ? (@ > 1)"]),
    ("line", &["{1,2,3}"]),
    ("lseg", &["[(1,2),(3,4)]"]),
    ("macaddr", &["08:00:2b:01:02:03"]),
    ("macaddr8", &["08:00:2b:01:02:03:04:05"]),
    ("money", &["$1,234.50", "-$92233720368547758.08"]),
    ("name", &["pg_class"]),
    (
        "numeric",
        &["1234567890123456789012345678.1234567890", "NaN", "Infinity", "0.00", "-1e30", "9007199254740993", "5"],
    ),
    ("nummultirange", &["{[1.10,2.20]}"]),
    ("numrange", &["[1.10,2.20]"]),
    ("oid", &["4294967295"]),
    ("oidvector", &["1 2"]),
    ("path", &["((1,2),(3,4))"]),
    ("pg_lsn", &["16/B374D848"]),
    ("pg_snapshot", &["10:20:10,14"]),
    ("point", &["(1.5,-2)"]),
    ("polygon", &["((0,0),(1,1),(1,0))"]),
    ("refcursor", &["cursor"]),
    ("regclass", &["pg_class"]),
    ("regcollation", &["\"C\""]),
    ("regconfig", &["english"]),
    ("regdictionary", &["simple"]),
    ("regnamespace", &["pg_catalog"]),
    ("regoper", &["|/"]),
    ("regoperator", &["+(integer,integer)"]),
    ("regproc", &["now"]),
    ("regprocedure", &["now()"]),
    ("regrole", &["postgres"]),
    ("regtype", &["integer"]),
    ("text", &["é|\"\\\n\tü", "", "NULL", "\u{1F600}"]),
    ("tid", &["(0,1)"]),
    ("time", &["24:00:00", "03:04:05.678901"]),
    (
        "timestamp",
        &["2026-01-02 03:04:05.678901", "-infinity", "0001-01-01 00:00:00 BC", "294276-12-31 23:59:59.999999"],
    ),
    ("timestamptz", &["2026-01-02 03:04:05.678901+02", "infinity"]),
    ("timetz", &["03:04:05+02", "00:00:00-15:59"]),
    ("tsmultirange", &["{[2026-01-01,2026-01-02)}"]),
    ("tsquery", &["'a' & !'b'"]),
    ("tsrange", &["[2026-01-01,)"]),
    ("tstzmultirange", &["{(,2026-01-02 00:00:00+00)}"]),
    ("tstzrange", &["[2026-01-01 00:00:00+00,)"]),
    ("tsvector", &["'a':1A 'b':2"]),
    ("txid_snapshot", &["10:20:10"]),
    ("uuid", &["00000000-0000-0000-0000-000000000001"]),
    ("varbit", &["10101"]),
    ("varchar", &["ab"]),
    ("xid", &["3"]),
    ("xid8", &["18446744073709551615"]),
    ("xml", &["<a b=\"c\"/>"]),
    // User-defined types, one of each kind.
    ("mood", &["happy"]),
    ("positive", &["7"]),
    ("big", &["9007199254740993"]),
    ("pair", &["(1,\"x y\")"]),
    ("floatrange", &["[1.5,2.5)"]),
    ("other.\"Odd\"", &["x"]),
];

/// Types of the catalog whose values nobody can write.
const NOT_WRITABLE: [&str; 7] = [
    "gtsvector",
    "pg_brin_bloom_summary",
    "pg_brin_minmax_multi_summary",
    "pg_dependencies",
    "pg_mcv_list",
    "pg_ndistinct",
    "pg_node_tree",
];

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn every_builtin_type_and_its_array_come_as_their_text() {
    for postgres in servers() {
        let (database, url) = postgres.database("all_types");
        postgres.script(
            &database,
            "CREATE SCHEMA other; CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE TYPE pair AS (a int, b text);
             CREATE DOMAIN positive AS int CHECK (VALUE > 0); CREATE DOMAIN big AS bigint;
             CREATE TYPE floatrange AS RANGE (subtype = float8); CREATE TYPE other.\"Odd\" AS ENUM ('x');",
        );
        // The table above contains every type of the catalog.
        let known = postgres.query(
            &database,
            "SELECT typname FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype IN ('b', 'r', 'm', 'e')
               AND typcategory <> 'A' AND typname <> 'unknown'",
        );
        let mut missing: BTreeSet<&str> = known.lines().collect();
        for name in NOT_WRITABLE.into_iter().chain(TYPES.iter().map(|(name, _)| name.split('(').next().unwrap())) {
            missing.remove(name.trim_matches('"'));
        }
        assert!(missing.is_empty(), "{}: {missing:?}", postgres.version);

        let home = Home::new("all-types").set("TUDB_DATABASE_URL", url);
        let mut server = home.serve();
        let extensions = postgres.query("postgres", "SELECT name FROM pg_available_extensions ORDER BY name");
        let mut types: Vec<(&str, Vec<&str>)> = TYPES.iter().map(|(name, values)| (*name, values.to_vec())).collect();
        for (extension, name, value) in [
            ("vector", "vector", "[1,2.5,-3]"),
            ("postgis", "geometry", "SRID=4326;POINT(1 2)"),
            ("hstore", "hstore", "\"a\"=>NULL"),
        ] {
            if extensions.lines().any(|known| known == extension) {
                postgres.query(&database, &format!("CREATE EXTENSION {extension}"));
                types.push((name, vec![value]));
            }
        }
        for (number, (type_name, values)) in types.iter().enumerate() {
            // One of the servers is built without libxml.
            if *type_name == "xml" && postgres.version.starts_with("18") {
                continue;
            }
            let table = format!("t{number}");
            postgres.query(&database, &format!("CREATE TABLE {table} (n serial, v {type_name})"));
            for value in values {
                let literal = value.replace('\'', "''");
                postgres.query(&database, &format!("INSERT INTO {table} (v) VALUES ('{literal}')"));
            }
            postgres.query(&database, &format!("INSERT INTO {table} (v) VALUES (NULL)"));
            // One value or NULL per line. Line breaks in values are marked.
            let psql = |expression: &str| -> Vec<Option<String>> {
                let query = format!(
                    "SET timezone = 'UTC'; SET extra_float_digits = 1; SELECT coalesce('=' || replace(({expression})::text, E'\\n', '<br>'), '') \
                     FROM {table} ORDER BY n"
                );
                let text = postgres.query(&database, &query);
                let mut lines: Vec<Option<String>> = text
                    .split('\n')
                    .map(|line| line.strip_prefix('=').map(|text| text.replace("<br>", "\n")))
                    .collect();
                // psql drops the line break of a last empty line.
                lines.resize(values.len() + 1, None);
                lines
            };
            let array = "ARRAY[v, NULL]";
            for expression in ["v", array] {
                // An aclitem, a vector of oids and the like have no array comparison, but all have an array type.
                let sql = format!("SELECT {expression} AS v FROM {table} ORDER BY n");
                let id = server.send_call("run_sql", json!({"sql": sql}));
                let answer = server.answer(id);
                let block = answer["result"]["content"][0]["text"].as_str().unwrap();
                let rows = serde_json::from_str::<RawRows>(block)
                    .unwrap_or_else(|_| panic!("{}: {sql}: {block}", postgres.version))
                    .rows;
                let expected = psql(expression);
                assert_eq!(rows.len(), expected.len(), "{sql}: {block}");
                for (row, expected) in rows.iter().zip(expected) {
                    assert_same(row[0].get(), expected.as_deref(), type_name);
                }
            }
        }
    }
}

/// The rows as raw JSON: the tests' own JSON reader changes the last digit of some doubles.
#[derive(serde::Deserialize)]
struct RawRows {
    rows: Vec<Vec<Box<serde_json::value::RawValue>>>,
}

/// Checks that a cell equals the text, as a client with double-precision numbers reads it.
fn assert_same(cell: &str, text: Option<&str>, type_name: &str) {
    match (serde_json::from_str::<Value>(cell).unwrap(), text) {
        (Value::Null, None) => {}
        (Value::Bool(value), Some(text)) => assert_eq!(if value { "true" } else { "false" }, text),
        (Value::String(cell), Some(text)) => assert_eq!(cell, text, "{type_name}"),
        (Value::Number(_), Some(text)) => {
            let double: f64 = cell.parse().unwrap();
            assert_eq!(double, text.parse::<f64>().unwrap(), "{type_name}");
            if let Ok(whole) = text.parse::<i64>() {
                assert_eq!(double as i64, whole, "{type_name}");
                assert!(
                    double.abs() <= 9_007_199_254_740_992.0 || type_name.starts_with("float"),
                    "{type_name} {cell}"
                );
            }
        }
        (cell, text) => panic!("{type_name}: {cell} for {text:?}"),
    }
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn sqlites_storage_classes_come_as_they_are() {
    let home = Home::new("classes");
    let file = home.scratch.path("classes.db");
    crate::support::output_of(std::process::Command::new("sqlite3").arg(&file).arg(
        "CREATE TABLE t (i INTEGER, r REAL, s TEXT, b BLOB, n NUMERIC(10,2), d DATE, f BOOLEAN, x);
         INSERT INTO t VALUES (9007199254740993, 1.0, 'é\"|', x'00ff', 1.5, '2026-01-02', 1, NULL);
         INSERT INTO t VALUES (-9223372036854775808, 1e300, '', x'', 10, 20260102, 0, 'text');
         INSERT INTO t VALUES ('not a number', 9e999, 7, 'text', '12.30', 1.5, 'yes', 2.50);
         INSERT INTO t VALUES (NULL, -0.1, NULL, NULL, 12345678901234567890, NULL, NULL, x'41');",
    ));
    let home = home.set("TUDB_DATABASE_URL", format!("sqlite://{}", file.display()));
    let mut server = home.serve();
    let reply = server.call("run_sql", json!({"sql": "SELECT * FROM t"}));
    let types: Vec<&str> = reply["columns"].as_array().unwrap().iter().map(|c| c["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["INTEGER", "REAL", "TEXT", "BLOB", "NUMERIC(10,2)", "DATE", "BOOLEAN", "TEXT"]);
    assert_eq!(
        reply["rows"],
        json!([
            ["9007199254740993", 1.0, "é\"|", "\\x00ff", 1.5, "2026-01-02", 1, null],
            ["-9223372036854775808", 1e300, "", "\\x", 10, 20260102, 0, "text"],
            ["not a number", "Infinity", "7", "text", 12.3, 1.5, "yes", 2.5],
            [null, -0.1, null, null, 1.2345678901234567e19, null, null, "\\x41"],
        ])
    );
}

#[test]
fn csv_and_markdown_carry_the_same_values() {
    let home = Home::new("formats");
    let mut server = home.serve();
    let sql = "SELECT 1 AS \"a,b\", 'x\"y' AS \"c|d\", 'line' || char(13) || char(10) || 'two, | three' AS e, NULL AS f, '' AS g";
    let csv = server.call("run_sql", json!({"sql": sql, "format": "csv"}));
    assert_eq!(csv["format"], "csv");
    assert_eq!(csv["text"], "\"a,b\",c|d,e,f,g\r\n1,\"x\"\"y\",\"line\r\ntwo, | three\",,\"\"\r\n");
    let markdown = server.call("run_sql", json!({"sql": sql, "format": "markdown"}));
    assert_eq!(
        markdown["text"],
        "| a,b | c\\|d | e | f | g |\n| --- | --- | --- | --- | --- |\n| 1 | x\"y | line<br>two, \\| three | NULL |  |\n"
    );
    assert!(csv.get("rows").is_none() && markdown.get("rows").is_none());
    assert_eq!(csv["columns"].as_array().unwrap().len(), 5);
    let bad = server.call("run_sql", json!({"sql": sql, "format": "xml"}));
    assert!(bad["error"]["message"].as_str().unwrap().contains("json, csv or markdown"), "{bad}");
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn three_million_rows_stay_inside_the_budgets() {
    let postgres = server();
    let (database, url) = postgres.database("many");
    postgres.query(
        &database,
        "CREATE UNLOGGED TABLE many AS SELECT i AS id, md5(i::text) AS word, i * 1.5 AS price FROM generate_series(1, 3000000) i",
    );
    for (max_rows, reply_bytes) in [(100, 40_000), (10_000, 40_000), (10_000, 1_000_000)] {
        let home = Home::new("many").set("TUDB_DATABASE_URL", &url).set("TUDB_MAX_REPLY_BYTES", reply_bytes);
        let mut server = home.serve();
        for sql in
            ["SELECT * FROM many", "SELECT * FROM many ORDER BY word", "SELECT a.word, b.word FROM many a, many b"]
        {
            let id = server.send_call("run_sql", json!({"sql": sql, "max_rows": max_rows}));
            let answer = server.answer(id);
            let block = answer["result"]["content"][0]["text"].as_str().unwrap();
            assert!(block.len() <= reply_bytes, "{} bytes", block.len());
            assert_eq!(crate::support::content(&answer)["truncated"], true);
        }
        let peak = peak_memory_kb(&server.child);
        println!("3,000,000 rows, {max_rows} wanted, {reply_bytes} bytes allowed: peak memory {} MB", peak / 1_024);
        assert!(peak < 60 * 1_024, "{peak} kB");
    }
}

#[test]
fn budgets_hold_to_the_byte_and_say_what_is_missing() {
    let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20000) SELECT i, 'ä\"\\' || i AS s FROM n";
    for limit in [2_000, 2_001, 2_017, 5_000, 40_000] {
        let home = Home::new("budget").set("TUDB_MAX_REPLY_BYTES", limit);
        let mut server = home.serve();
        for format in ["json", "csv", "markdown"] {
            let id = server.send_call("run_sql", json!({"sql": rows, "max_rows": 10_000, "format": format}));
            let answer = server.answer(id);
            let block = answer["result"]["content"][0]["text"].as_str().unwrap();
            assert!(block.len() <= limit, "{format}: {} bytes of {limit}", block.len());
            // Little of the budget is unused: the rows end within one row and the space reserved for what follows them.
            assert!(block.len() + 700 > limit, "{format}: {} bytes of {limit}", block.len());
            let reply = crate::support::content(&answer);
            assert_eq!((&reply["truncated"], &reply["truncated_by"]), (&json!(true), &json!(["bytes"])));
            assert!(reply["hint"].as_str().unwrap().contains("fewer columns"), "{reply}");
        }
        for (tool, arguments) in [
            ("ask_database", json!({"question": "Why did revenue drop in the north?"})),
            ("list_tables", json!({})),
            ("describe_table", json!({"table": "orders"})),
            (
                "explain_query",
                json!({"sql": "SELECT * FROM orders o JOIN customers c ON c.id = o.customer_id ORDER BY 1, 2, 3"}),
            ),
        ] {
            let id = server.send_call(tool, arguments);
            let answer = server.answer(id);
            let block = answer["result"]["content"][0]["text"].as_str().unwrap();
            assert!(block.len() <= limit, "{tool}: {} bytes of {limit}", block.len());
        }
    }
    let home = Home::new("rows");
    let mut server = home.serve();
    let hundred = server.call("run_sql", json!({"sql": rows}));
    assert_eq!((&hundred["row_count"], &hundred["truncated_by"]), (&json!(100), &json!(["rows"])));
    // Exactly as many rows as the limit is not truncated.
    let exact = server.call("run_sql", json!({"sql": "SELECT 1 UNION SELECT 2", "max_rows": 2}));
    assert_eq!((&exact["truncated"], &exact["row_count"]), (&json!(false), &json!(2)));
    let one = server.call("run_sql", json!({"sql": "SELECT 1 UNION SELECT 2", "max_rows": 1}));
    assert_eq!((&one["truncated"], &one["row_count"]), (&json!(true), &json!(1)));
    for wrong in [json!(0), json!(10_001), json!(-1), json!(1.5), json!("many")] {
        let bad = server.call("run_sql", json!({"sql": "SELECT 1", "max_rows": wrong}));
        assert_eq!(bad["error"]["code"], "invalid_argument", "{bad}");
    }
    // A text is cut at a character boundary. A number is never cut.
    let sql = format!("SELECT '{}' AS s, 1 AS n, '{}' AS fits", "é".repeat(1_500), "é".repeat(1_000));
    let cut = server.call("run_sql", json!({"sql": sql}));
    assert_eq!(cut["rows"][0][0].as_str().unwrap().len(), 2_000);
    assert_eq!(cut["rows"][0][2].as_str().unwrap().len(), 2_000);
    assert_eq!(cut["cut_cells"], json!([[0, 0, 3_000]]));
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_reply_says_how_many_rows_there_are_where_counting_is_cheap() {
    let says = |server: &mut crate::support::Server, sql: &str, expected: &str| {
        let reply = server.call("run_sql", json!({"sql": sql, "max_rows": 2}));
        assert_eq!(reply["row_count"], 2, "{sql}: {reply}");
        let hint = reply["hint"].as_str().unwrap_or_default();
        assert!(hint.starts_with(&format!("{expected}: add a WHERE")), "{sql}: {hint}");
    };
    let mut sample = Home::new("totals").serve();
    says(&mut sample, "SELECT * FROM orders ORDER BY id DESC", "2 of 3,001 rows");
    says(&mut sample, "WITH c AS (SELECT id, id FROM orders) SELECT * FROM c UNION ALL SELECT 1, 2", "2 of 3,002 rows");
    says(&mut sample, "SELECT a.id FROM orders a, orders b, orders c, orders d", "the first 2 rows; more exist");
    for postgres in servers() {
        let (database, url) = postgres.database("totals");
        postgres.script(
            &database,
            "CREATE TABLE orders AS SELECT i AS id, 'x' || i AS name FROM generate_series(1, 1297) i; ANALYZE orders;",
        );
        let mut server = Home::new("totals").set("TUDB_DATABASE_URL", url).serve();
        for _ in 0..2 {
            says(&mut server, "SELECT id, id, name FROM orders ORDER BY name -- all", "2 of 1,297 rows");
            says(
                &mut server,
                "SELECT a.id FROM orders a, orders b, orders c, orders d",
                "the first 2 rows; more exist",
            );
            // The end of the count by its time limit is no error of the call, and its connection can be used again.
            assert_eq!(server.call("run_sql", json!({"sql": "SELECT count(*) FROM orders"}))["rows"], json!([[1297]]));
        }
    }
}
