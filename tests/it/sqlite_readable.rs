//! SQLite files that other programs made, and what is said of those that cannot be read.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Home, Server, output_of};

/// Serves a file of the home that the script makes with the sqlite3 program, or what the test put there.
fn serve(home: Home, script: &str, parameters: &str) -> (Home, Server) {
    let path = home.scratch.path("main.db");
    if !script.is_empty() {
        output_of(Command::new("sqlite3").arg(&path).arg(script));
    }
    let home = home.set("TUDB_DATABASE_URL", format!("sqlite://{}{parameters}", path.display()));
    let server = home.serve();
    (home, server)
}

fn rows(server: &mut Server, sql: &str) -> Value {
    let reply = server.call("run_sql", json!({"sql": sql}));
    assert!(reply["error"].is_null(), "{sql}: {reply}");
    reply["rows"].clone()
}

fn error(server: &mut Server, sql: &str) -> (String, String, String) {
    let error = server.call("run_sql", json!({"sql": sql}))["error"].clone();
    let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
    (text("code"), text("message"), text("hint"))
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_name_in_double_quotes_is_never_a_string() {
    let script = "CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT, \"it\"\"s `x`\" TEXT);
        INSERT INTO products VALUES (1, 'lamp', 'a'), (2, 'desk', 'b');
        CREATE VIEW kinds AS SELECT name, \"thing\" AS kind FROM products;
        CREATE VIEW more AS SELECT * FROM kinds";
    let (_home, mut server) = serve(Home::new("dqs"), script, "");
    for sql in [
        "SELECT \"nosuch\" FROM products",
        "SELECT count(*) FROM products WHERE \"nmae\" = 'x'",
        "SELECT id FROM products ORDER BY \"nmae\"",
        "SELECT count(*) FROM products GROUP BY \"nmae\"",
        "SELECT kind FROM kinds WHERE \"nmae\" = 'lamp'",
        "SELECT (SELECT max(\"nmae\") FROM more)",
    ] {
        let (code, message, _) = error(&mut server, sql);
        assert_eq!(code, "sql_error", "{sql}");
        assert!(message.contains("nmae") || message.contains("nosuch"), "{sql}: {message}");
        let explained = server.call("explain_query", json!({"sql": sql}));
        assert_eq!(explained["error"]["code"], "sql_error", "{sql}: {explained}");
    }
    assert!(error(&mut server, "SELECT \"nmae\" FROM products").2.starts_with("Did you mean name?"));
    // Names as they are, and views that rely on the old reading.
    assert_eq!(
        rows(&mut server, "SELECT \"id\", \"it\"\"s `x`\" FROM products ORDER BY \"name\""),
        json!([[2, "b"], [1, "a"]])
    );
    for view in ["kinds", "more"] {
        let sql = format!("SELECT \"name\", kind FROM \"{view}\" WHERE \"kind\" = 'thing' ORDER BY 1");
        assert_eq!(rows(&mut server, &sql), json!([["desk", "thing"], ["lamp", "thing"]]), "{view}");
        let described = server.call("describe_table", json!({"table": view}));
        assert_eq!(described["columns"].as_array().map(Vec::len), Some(2), "{described}");
    }
    // After such a view the next statement is read strictly again.
    assert_eq!(error(&mut server, "SELECT \"nosuch\" FROM products").0, "sql_error");
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn mathematical_functions_give_what_sqlite_gives() {
    let expressions = [
        "acos(0.5)",
        "acos(2)",
        "asin(0.5)",
        "atan(1)",
        "atan2(1, 2)",
        "ceil(1.2)",
        "ceil(-1.2)",
        "ceil(3)",
        "ceiling('2.5')",
        "cos(1)",
        "cosh(1)",
        "degrees(1)",
        "exp(1)",
        "exp(1000)",
        "floor(-1.5)",
        "floor('x')",
        "ln(2)",
        "ln(0)",
        "log(100)",
        "log(2, 8)",
        "log(1, 8)",
        "log(-2, 8)",
        "log10(1000)",
        "log2(8)",
        "mod(7, 3)",
        "mod(-7, 3)",
        "mod(7.5, 2)",
        "mod(1, 0)",
        "pi()",
        "pow(2, 10)",
        "power(2, -1)",
        "power(0, 0)",
        "radians(180)",
        "sin(1)",
        "sinh(1)",
        "sqrt(2)",
        "sqrt(-1)",
        "sqrt(NULL)",
        "sqrt('a')",
        "sqrt('4')",
        "tan(1)",
        "tanh(1)",
        "trunc(-1.7)",
        "trunc(1.7)",
        "trunc(9)",
    ];
    let (home, mut server) = serve(Home::new("math"), "CREATE TABLE t (a)", "");
    let mut program =
        Command::new("sqlite3").arg(":memory:").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = program.stdin.take().unwrap();
    writeln!(input, ".mode quote").unwrap();
    for expression in expressions {
        writeln!(input, "SELECT typeof({expression}), printf('%.14g', {expression});").unwrap();
    }
    drop(input);
    let expected = String::from_utf8(program.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(expected.lines().count(), expressions.len(), "{expected}");
    for (expression, expected) in expressions.iter().zip(expected.lines()) {
        let found = rows(&mut server, &format!("SELECT typeof({expression}), printf('%.14g', {expression})"));
        let found = format!("'{}','{}'", found[0][0].as_str().unwrap(), found[0][1].as_str().unwrap());
        assert_eq!(found, expected, "{expression}");
    }
    // Asinh and its like are computed otherwise than by the C library, to the last but one digit.
    assert_eq!(
        rows(&mut server, "SELECT round(asinh(1), 12), round(acosh(2), 12), round(atanh(0.5), 12)"),
        json!([[0.881373587020, 1.316957896925, 0.549306144334]])
    );
    drop(home);
}

#[test]
fn percentiles_follow_the_manual_and_keep_the_memory_bound() {
    let mut server = Home::new("percentile").serve();
    let of = |values: &str, expression: &str| format!("WITH v(x, p) AS (VALUES {values}) SELECT {expression} FROM v");
    let values = "(6, 10), (1, 10), (NULL, 10), (8.0, 10), (9, 10)";
    for (expression, expected) in [
        ("median(x)", json!(7.0)),
        ("percentile(x, 50)", json!(7.0)),
        ("percentile(x, 0)", json!(1.0)),
        ("percentile(x, 100)", json!(9.0)),
        ("percentile(x, p)", json!(2.5)),
        ("percentile_cont(x, 0.25)", json!(4.75)),
        ("percentile_disc(x, 0.5)", json!(6.0)),
        ("median(x) FILTER (WHERE x > 100)", json!(null)),
    ] {
        assert_eq!(rows(&mut server, &of(values, expression)), json!([[expected]]), "{expression}");
    }
    let large =
        "SELECT percentile(column1, 0), median(column1), asinh(1.7e308) BETWEEN 710 AND 711, asinh(-1e308) < -709,
        acosh(1e308) BETWEEN 709 AND 711 FROM (VALUES (-1.7e308), (-1.7e308), (1.7e308))";
    assert_eq!(rows(&mut server, large), json!([[-1.7e308, -1.7e308, 1, 1, 1]]));
    let sliding = of("(1, 0), (2, 0), (9, 0), (4, 0)", "median(x) OVER (ORDER BY rowid ROWS 1 PRECEDING)")
        .replace("rowid", "p, x");
    assert_eq!(rows(&mut server, &sliding), json!([[1.0], [1.5], [3.0], [6.5]]));
    for (expression, problem) in [
        ("percentile(x, 101)", "between 0 and 100"),
        ("percentile_cont(x, 2)", "between 0 and 1"),
        ("median('a')", "has to be a number"),
        ("percentile(x, x)", "the same for all rows"),
        ("percentile_cont(x, x * 0.0009)", "the same for all rows"),
    ] {
        let (code, message, _) = error(&mut server, &of(values, expression));
        assert!(code == "sql_error" && message.contains(problem), "{expression}: {message}");
    }
    // The values are in SQLite's own memory, so that its bound holds.
    let many = "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c LIMIT 20000000) SELECT median(i) FROM c";
    let (code, message, _) = error(&mut server, many);
    assert!(code == "sql_error" && message.contains("out of memory") || code == "timeout", "{code}: {message}");
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn pragmas_that_describe_run_and_tables_take_arguments() {
    let script = "PRAGMA user_version = 7; CREATE TABLE a (id INTEGER PRIMARY KEY, n TEXT); CREATE INDEX \"my i\" ON a (n);
        CREATE TABLE b (a_id REFERENCES a (id) ON DELETE CASCADE); CREATE TRIGGER noted AFTER INSERT ON a BEGIN SELECT 1; END; CREATE VIRTUAL TABLE ft USING fts5(w); INSERT INTO ft VALUES ('cat dog'), ('bird');
        CREATE VIRTUAL TABLE old USING fts3(w); INSERT INTO old VALUES ('a cat')";
    let (home, mut server) = serve(Home::new("pragmas"), script, "");
    let path = home.scratch.path("main.db");
    for pragma in [
        "table_info(a)",
        "table_info('a')",
        "main.table_info(\"a\")",
        "table_info = a",
        "table_xinfo([a])",
        "index_list(a)",
        "index_info(`my i`)",
        "foreign_key_list(b)",
        "user_version",
        "main.user_version",
        "application_id",
        "encoding",
        "table_info(nosuch)",
    ] {
        let sql = format!("PRAGMA {pragma};");
        let expected = output_of(Command::new("sqlite3").args(["-json"]).arg(&path).arg(&sql));
        let expected: Vec<Value> =
            serde_json::from_str(if expected.trim().is_empty() { "[]" } else { &expected }).unwrap();
        let expected: Vec<Vec<Value>> =
            expected.iter().map(|row| row.as_object().unwrap().values().cloned().collect()).collect();
        assert_eq!(rows(&mut server, &sql), json!(expected), "{sql}");
    }
    for pragma in [
        "user_version = 3",
        "user_version(3)",
        "journal_mode",
        "journal_mode = wal",
        "table_info(a) x",
        "writable_schema = 1",
        "",
    ] {
        let (code, _, hint) = error(&mut server, &format!("PRAGMA {pragma}"));
        assert_eq!(code, "statement_refused", "{pragma}");
        assert!(hint.contains("table_info(t)"), "{pragma}: {hint}");
    }
    assert_eq!(rows(&mut server, "PRAGMA user_version"), json!([[7]]));
    let described = server.call("describe_table", json!({"table": "ft"}));
    assert_eq!(described["virtual"], true, "{described}");
    assert_eq!(server.call("describe_table", json!({"table": "a"}))["triggers"], json!(["noted"]));
    let key = server.call("describe_table", json!({"table": "b"}))["foreign_keys"][0].clone();
    assert_eq!(key["on_delete"], "cascade", "{key}");
    assert_eq!(rows(&mut server, "SELECT w FROM ft('cat')"), json!([["cat dog"]]));
    assert_eq!(rows(&mut server, "SELECT a.id, f.w FROM (SELECT 1 AS id) a, ft('bird') AS f"), json!([[1, "bird"]]));
    assert_eq!(rows(&mut server, "SELECT offsets(old) FROM old WHERE w MATCH 'cat'"), json!([["0 0 2 3"]]));
    assert_eq!(error(&mut server, "SELECT * FROM readfile('/etc/passwd')").0, "function_refused");
    assert_eq!(error(&mut server, "SELECT ft('cat')").0, "function_refused");
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn names_of_other_things_are_no_relations() {
    let (home, mut server) =
        serve(Home::new("namesakes"), "CREATE TABLE users (id, secrets); INSERT INTO users VALUES (1, 's')", "");
    assert!(rows(&mut server, "SELECT sqlite_version() AS sqlite_version")[0][0].is_string());
    assert_eq!(rows(&mut server, "SELECT id pragma_x FROM users WHERE 'sqlite_x' <> ''"), json!([[1]]));
    assert_eq!(error(&mut server, "SELECT id FROM users, sqlite_dbpage").0, "relation_refused");
    assert_eq!(error(&mut server, "SELECT id FROM users WHERE id IN sqlite_dbpage").0, "relation_refused");
    drop((home, server));
}

/// A file of Anki's own making: its tables have a collation that only Anki has.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_collation_of_another_program_is_stood_in_for() {
    let home = Home::new("anki");
    let path = home.scratch.path("main.db");
    let make = "import sys\nfrom anki.collection import Collection\nc = Collection(sys.argv[1])\n\
        for name in ['Zoo', 'apple', 'Banana']: c.decks.id(name)\nc.close()";
    let python = PathBuf::from(std::env::var("TEST_CLIENTS").unwrap()).join("python-anki/bin/python");
    output_of(Command::new(python).args(["-c", make]).arg(&path));
    let (_home, mut server) = serve(home, "", "");
    let reply = server.call("run_sql", json!({"sql": "SELECT name FROM decks ORDER BY name"}));
    assert_eq!(reply["rows"], json!([["apple"], ["Banana"], ["Default"], ["Zoo"]]), "{reply}");
    assert!(reply["warnings"][0].as_str().is_some_and(|warning| warning.contains("unicase")), "{reply}");
    assert_eq!(rows(&mut server, "SELECT count(*) FROM decks"), json!([[4]]));
    assert_eq!(rows(&mut server, "SELECT count(*) FROM decks WHERE name = 'BANANA'"), json!([[1]]));
    assert_eq!(rows(&mut server, "SELECT * FROM tags"), json!([]));
    assert!(server.call("run_sql", json!({"sql": "SELECT count(*) FROM cards"}))["warnings"].is_null());
    let asked = server.call("ask_database", json!({"question": "How many decks are there?"}));
    assert_eq!(asked["rows"], json!([[4]]), "{asked}");
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn other_collations_compare_without_case_and_decimals_by_value() {
    let make = "import sys, sqlite3\nd = sqlite3.connect(sys.argv[1])\n\
        for n in ['LOCALIZED', 'WIN32CASE', 'EF_DECIMAL']: d.create_collation(n, lambda a, b: (a > b) - (a < b))\n\
        d.executescript('''CREATE TABLE t (l TEXT COLLATE LOCALIZED, w TEXT COLLATE WIN32CASE, e TEXT COLLATE EF_DECIMAL);
        INSERT INTO t VALUES ('b', 'B', '10.0'), ('A', 'a', '9.5'), ('c', 'C', '-1')''')";
    let home = Home::new("collations");
    output_of(Command::new("python3").args(["-c", make]).arg(home.scratch.path("main.db")));
    let (_home, mut server) = serve(home, "", "");
    assert_eq!(rows(&mut server, "SELECT l FROM t ORDER BY l"), json!([["A"], ["b"], ["c"]]));
    assert_eq!(rows(&mut server, "SELECT w FROM t WHERE w = 'b'"), json!([["B"]]));
    assert_eq!(rows(&mut server, "SELECT e FROM t ORDER BY e"), json!([["-1"], ["9.5"], ["10.0"]]));
    assert_eq!(rows(&mut server, "SELECT max(e) FROM t"), json!([["10.0"]]));
    // The warning says so too when only the statement names the collation.
    let named =
        server.call("run_sql", json!({"sql": "SELECT 'b' AS x UNION SELECT 'A' ORDER BY x COLLATE \"win32case\""}));
    assert!(named["warnings"].to_string().contains("the statement uses the collation WIN32CASE"), "{named}");
    // A name that the schema does not have is a mistake.
    let (code, message, _) = error(&mut server, "SELECT 'a' = 'A' COLLATE nocasse");
    assert!(code == "sql_error" && message.contains("no such collation sequence"), "{message}");
    // Broken texts of any length are compared in no memory.
    let long =
        "SELECT CAST(randomblob(3000000) AS TEXT) < CAST(randomblob(3000000) AS TEXT) COLLATE LOCALIZED IN (0, 1)";
    assert_eq!(rows(&mut server, long), json!([[1]]));
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_text_that_is_not_utf8_is_read_lossily_and_is_no_known_value() {
    let script =
        "CREATE TABLE t (id INTEGER, city TEXT); INSERT INTO t VALUES (1, CAST(x'5afc72696368' AS TEXT)), (2, 'Bern')";
    let (home, mut server) = serve(Home::new("latin"), script, "");
    assert_eq!(rows(&mut server, "SELECT city FROM t ORDER BY id"), json!([["Z\u{fffd}rich"], ["Bern"]]));
    let asked = server.call("ask_database", json!({"question": "How many t with city Bern?"}));
    assert_eq!(asked["rows"], json!([[1]]), "{asked}");
    let context = home.say(&["context", "How many t per city?"]);
    assert!(context.contains("Bern") && !context.contains('\u{fffd}'), "{context}");
    assert!(home.say(&["doctor"]).contains("1 tables with 2 columns"));
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_long_value_is_cut_like_any_cell() {
    let script = "CREATE TABLE docs (id INTEGER PRIMARY KEY, body BLOB, note TEXT);
        INSERT INTO docs VALUES (1, zeroblob(20000000), NULL), (2, NULL, printf('%.*c', 20000000, 'x'))";
    let (_home, mut server) = serve(Home::new("blob"), script, "");
    let reply = server.call("run_sql", json!({"sql": "SELECT * FROM docs"}));
    assert_eq!(reply["row_count"], 2, "{}", reply["error"]);
    assert_eq!(reply["cut_cells"], json!([[0, 1, 40_000_002], [1, 2, 20_000_000]]));
}

/// What each file that cannot be read is told to be.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_file_that_cannot_be_read_is_told_with_its_cause() {
    let sql = "SELECT count(*) FROM t";
    let told = |bytes: &[u8]| {
        let home = Home::new("unreadable");
        std::fs::write(home.scratch.path("main.db"), bytes).unwrap();
        let (_home, mut server) = serve(home, "", "");
        error(&mut server, sql)
    };
    let noise: Vec<u8> = (0..4096_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for (bytes, cause) in [
        (b"\x1f\x8b\x08\x00aaaaaaaaaaaaaaaaaaaaaaaa".as_slice(), "compressed by gzip"),
        (b"PK\x03\x04aaaaaaaaaaaaaaaaaaaaaaaaaaaa", "a zip archive"),
        (b"CREATE TABLE t (a);\nINSERT INTO t VALUES (1);\n", "a text"),
        (&noise, "encrypted"),
    ] {
        let (code, message, hint) = told(bytes);
        assert_eq!(code, "unreachable", "{message}");
        assert!(message.contains("main.db is not a plain SQLite database") && message.contains(cause), "{message}");
        assert!(hint.contains("Decompress, decrypt or import"), "{hint}");
    }
    let home = Home::new("damaged");
    let path = home.scratch.path("main.db");
    output_of(
        Command::new("sqlite3")
            .arg(&path)
            .arg("CREATE TABLE t (a); INSERT INTO t SELECT zeroblob(3000) FROM (VALUES (1), (2), (3), (4), (5), (6))"),
    );
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4096..8192].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    let (_home, mut server) = serve(home, "", "");
    let (code, message, hint) = error(&mut server, sql);
    assert!(
        code == "unreachable" && message.contains("damaged") && hint.contains(".recover"),
        "{code} {message} {hint}"
    );
}

#[test]
fn a_missing_file_is_named_by_its_path() {
    let home = Home::new("missing");
    let path = home.scratch.path("main.db");
    let (_home, mut server) = serve(home, "", "");
    let (code, message, _) = error(&mut server, "SELECT 1");
    assert_eq!(code, "database_missing");
    assert!(message.contains(&format!("there is no file {}", path.display())), "{message}");
    std::fs::create_dir(&path).unwrap();
    assert!(error(&mut server, "SELECT 1").1.contains("is no file"));
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_file_that_a_program_has_locked_is_busy() {
    let (home, mut server) = serve(Home::new("locked"), "CREATE TABLE t (a); INSERT INTO t VALUES (1)", "");
    let mut program = Command::new("sqlite3")
        .args(["-batch"])
        .arg(home.scratch.path("main.db"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = program.stdin.take().unwrap();
    writeln!(input, "BEGIN EXCLUSIVE;\n.print locked").unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(program.stdout.take().unwrap()), &mut line).unwrap();
    let (code, message, hint) = error(&mut server, "SELECT a FROM t");
    assert_eq!(code, "busy", "{message}");
    assert!(message.contains("locked by another program") && hint.starts_with("Try again"), "{message} {hint}");
    drop(input);
    program.wait().unwrap();
    assert_eq!(rows(&mut server, "SELECT a FROM t"), json!([[1]]));
}

/// The last write to the file did not end: its journal would have to be rolled back.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_hot_journal_is_told() {
    let home = Home::new("hot");
    let path = home.scratch.path("main.db");
    let make = "import os, sqlite3, sys\nd = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
        d.execute('PRAGMA cache_size = 5')\nd.execute('CREATE TABLE t (a)')\nd.execute('BEGIN')\n\
        for i in range(3000): d.execute('INSERT INTO t VALUES (zeroblob(500))')\nos._exit(0)";
    output_of(Command::new("python3").args(["-c", make]).arg(&path));
    assert!(journal(&path).exists());
    let before = std::fs::read(&path).unwrap();
    let (_home, mut server) = serve(home, "", "");
    let (code, message, hint) = error(&mut server, "SELECT count(*) FROM t");
    assert_eq!(code, "unreachable", "{message}");
    assert!(message.contains("main.db-journal is needed"), "{message}");
    assert!(hint.contains("Open and close main.db once"), "{hint}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert!(journal(&path).exists());
    output_of(Command::new("sqlite3").arg(&path).arg("SELECT count(*) FROM t"));
    assert_eq!(rows(&mut server, "SELECT count(*) FROM t"), json!([[0]]));
}

/// A program that writes the whole file anew, as a backup does, is in the middle of it: the header says WAL already.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_journal_beside_a_file_in_wal_mode_is_told_and_a_pipe_is_no_file() {
    let (home, mut server) =
        serve(Home::new("backup"), "PRAGMA journal_mode = wal; CREATE TABLE t (a); INSERT INTO t VALUES (1)", "");
    let path = home.scratch.path("main.db");
    assert_eq!(rows(&mut server, "SELECT a FROM t"), json!([[1]]));
    // An empty or zeroed journal is finished.
    for finished in [Vec::new(), vec![0; 512]] {
        std::fs::write(journal(&path), finished).unwrap();
        assert_eq!(rows(&mut server, "SELECT a FROM t"), json!([[1]]));
    }
    std::fs::write(journal(&path), [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7, 0, 0, 0, 1]).unwrap();
    let (code, message, _) = error(&mut server, "SELECT a FROM t");
    assert!(code == "unreachable" && message.contains("main.db-journal is needed"), "{message}");
    std::fs::remove_file(journal(&path)).unwrap();
    std::fs::remove_file(&path).unwrap();
    output_of(Command::new("mkfifo").arg(&path));
    let began = std::time::Instant::now();
    let (code, message, _) = error(&mut server, "SELECT 1");
    assert!(code == "database_missing" && message.contains("is no file"), "{message}");
    assert!(began.elapsed() < std::time::Duration::from_secs(4));
}

/// A schema's text may be longer than a statement.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_long_text_of_the_schema_is_no_damage() {
    let script = format!(
        "CREATE TABLE t (a); INSERT INTO t VALUES (1); CREATE VIEW v AS SELECT a /* {} */ FROM t",
        "x".repeat(400_000)
    );
    let home = Home::new("long-text");
    let path = home.scratch.path("main.db");
    let mut program = Command::new("sqlite3").arg(&path).stdin(Stdio::piped()).spawn().unwrap();
    program.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(program.wait().unwrap().success());
    let (_home, mut server) = serve(home, "", "");
    assert_eq!(rows(&mut server, "SELECT count(*) FROM t"), json!([[1]]));
    assert_eq!(rows(&mut server, "SELECT a FROM v"), json!([[1]]));
}

fn journal(path: &Path) -> PathBuf {
    path.with_file_name("main.db-journal")
}

/// `?immutable=1` reads a file as it stands, without its `-wal`, as the program does with the same parameter.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn parameters_of_a_path_are_honoured_or_warned_of() {
    let home = Home::new("parameters");
    let path = home.scratch.path("main.db");
    let make = "import os, sqlite3, sys\nd = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
        d.executescript('PRAGMA journal_mode = wal; CREATE TABLE t (a); INSERT INTO t VALUES (1); PRAGMA wal_checkpoint')\n\
        d.execute('INSERT INTO t VALUES (2)')\nos._exit(0)";
    output_of(Command::new("python3").args(["-c", make]).arg(&path));
    let (home, mut server) = serve(home, "", "?immutable=1&cache=shared");
    assert_eq!(rows(&mut server, "SELECT a FROM t"), json!([[1]]));
    let log = server.stderr.lock().unwrap().clone();
    assert!(log.contains("no effect") && log.contains("cache") && !log.contains("immutable"), "{log}");
    drop(server);
    let (_home, mut server) = serve(home, "", "?mode=ro");
    assert_eq!(rows(&mut server, "SELECT a FROM t"), json!([[1], [2]]));
    // As a URL writes a blank.
    let home = Home::new("blank");
    let path = home.scratch.path("my data.db");
    output_of(Command::new("sqlite3").arg(&path).arg("CREATE TABLE t (a); INSERT INTO t VALUES (3)"));
    let url = format!("sqlite://{}", path.display()).replace(' ', "%20");
    let home = home.set("TUDB_DATABASE_URL", url);
    assert_eq!(rows(&mut home.serve(), "SELECT a FROM t"), json!([[3]]));
}

/// With rules, the list of tables has the schema `main`, and a name with a dot is one name.
#[test]
fn names_with_dots_and_the_schema_are_found_under_rules() {
    let home = Home::new("dots");
    let path = home.scratch.path("dots.db");
    let script = "CREATE TABLE \"a.b\" (id INTEGER PRIMARY KEY, pin TEXT, UNIQUE (id, pin));
         CREATE TABLE c (id INTEGER, of TEXT, FOREIGN KEY (of) REFERENCES \"a.b\" (pin));";
    output_of(Command::new("sqlite3").arg(&path).arg(script));
    let text = format!("[sources.main]\nurl = \"sqlite://{}\"\ndeny = [\"*.pin\"]\n", path.display());
    let config = home.scratch.path("tudb.toml");
    std::fs::write(&config, text).unwrap();
    let home = home.set("TUDB_CONFIG", config.display());
    let mut server = home.serve();
    let listed = server.call("list_tables", json!({"schema": "main"}));
    assert_eq!((&listed["total"], &listed["tables"][0]["name"]), (&json!(2), &json!("a.b")), "{listed}");
    let unknown = server.call("list_tables", json!({"schema": "other"}));
    assert_eq!(unknown["error"]["code"], "invalid_argument", "{unknown}");
    let described = server.call("describe_table", json!({"table": "c"}));
    assert!(!described.to_string().contains("pin"), "{described}");
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn an_integer_column_of_zeros_and_ones_says_yes_or_no() {
    // `floor` happens to hold a 0 and a 1 too, and a 2. Nothing is in `seats` but NULL.
    let script = "CREATE TABLE Room (RoomId INTEGER PRIMARY KEY, SeaView INTEGER, floor INTEGER, seats INTEGER);
        INSERT INTO Room VALUES (1, 1, 0, NULL), (2, 0, 1, NULL), (3, 1, 2, NULL), (4, NULL, 2, NULL)";
    let (_home, mut server) = serve(Home::new("switch"), script, "");
    for (question, count) in [
        ("How many rooms have a sea view?", 2),
        ("How many rooms have no sea view?", 1),
        ("How many rooms are on floor 2?", 2),
    ] {
        let reply = server.call("ask_database", json!({"question": question}));
        assert_eq!(reply["rows"], json!([[count]]), "{question}: {reply}");
    }
}

/// The built-in answerer's own statement fails: the question comes back with the message, and not with its JSON.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_reading_that_fails_comes_back_with_its_message() {
    let script = "CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT); INSERT INTO notes VALUES (1, 'no json');
        CREATE VIEW labels AS SELECT id, json_extract(body, '$.label') AS label FROM notes";
    let (_home, mut server) = serve(Home::new("reading-fails"), script, "");
    let reply = server.call("ask_database", json!({"question": "Show the id and label of all labels"}));
    let message = reply["message"].as_str().unwrap_or_default();
    assert!(message.contains("the statement failed: malformed JSON") && !message.contains("{\""), "{reply}");
}
