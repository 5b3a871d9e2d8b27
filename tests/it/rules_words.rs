//! Rules for columns named like a keyword or a type: however the parser reads such a word, no reply may contain a
//! planted value.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::process::Command;

use serde_json::json;

use crate::support::postgres::{server, servers};
use crate::support::{Home, Server, output_of};

const POSTGRES_WORDS: &str = include_str!("../safety/words_postgres.txt");
const SQLITE_WORDS: &str = include_str!("../safety/words_sqlite.txt");
const TYPES: &str = include_str!("../safety/words_types.txt");

/// Part of every value that a rule hides, and of no statement.
const PLANTED: &str = "PLANTED";

/// Statements with a word where a column, a type, an alias or an operator may be. Each table has a column `secret`
/// beside the columns named after words.
const TEMPLATES: &[&str] = &[
    "SELECT {w} \"x\" FROM {t}",
    "SELECT {w} 'x' FROM {t}",
    "SELECT {w} secret FROM {t}",
    "SELECT secret {w} FROM {t}",
    "SELECT {w} || '' FROM {t}",
    "SELECT {w} \"secret\", 1 {w} FROM {t}",
    "SELECT d.{w} x FROM (SELECT {w} FROM {t}) d",
    "SELECT {w}(secret) FROM {t}",
    "SELECT {w} {w} FROM {t} {w}",
    "SELECT NOT {w}, 'x' {w} secret FROM {t}",
    // Each word as an alias, which the parser may drop (GLOBAL), or at which it may stop (END).
    "SELECT {w}.* FROM {t} {w}",
    "SELECT {w} FROM {t} {w}",
    "SELECT to_json({w}) FROM {t} {w} CROSS JOIN (SELECT 1) q",
    "SELECT (SELECT count(*) FROM {t} AS q) {w}, x.* FROM {t} AS x",
    "SELECT (SELECT count(*) FROM {t} AS q) {w}, to_json(x) FROM {t} AS x",
];

/// All words, split into tables so that a row fits a page.
fn tables() -> Vec<(String, Vec<String>)> {
    let lists = [POSTGRES_WORDS, SQLITE_WORDS, TYPES, "_email"];
    let listed = lists.iter().flat_map(|list| list.split_ascii_whitespace()).map(str::to_owned);
    let words: BTreeSet<String> =
        listed.chain(sqlparser::keywords::ALL_KEYWORDS.iter().map(|word| word.to_lowercase())).collect();
    // PostgreSQL has system columns of these names. Each table has a column `secret` anyway.
    let system = ["tableoid", "xmin", "xmax", "cmin", "cmax", "ctid", "secret"];
    let words: Vec<String> = words.into_iter().filter(|word| !system.contains(&word.as_str())).collect();
    words.chunks(200).enumerate().map(|(at, words)| (format!("docs{at}"), words.to_vec())).collect()
}

fn script(tables: &[(String, Vec<String>)]) -> String {
    let mut script = String::new();
    for (table, words) in tables {
        let columns: Vec<String> = words.iter().map(|word| format!("\"{word}\" TEXT")).collect();
        let values: Vec<String> = words.iter().map(|_| format!("'{PLANTED}-1'")).collect();
        writeln!(script, "CREATE TABLE {table} (secret TEXT, {});", columns.join(", ")).unwrap();
        writeln!(script, "INSERT INTO {table} VALUES ('{PLANTED}-0', {});", values.join(", ")).unwrap();
    }
    script
}

fn serve(url: &str, kind: &str) -> (Home, Server) {
    let home = Home::new("rules-words");
    let path = home.scratch.path("tudb.toml");
    std::fs::write(
        &path,
        format!("[sources.main]\nurl = \"{url}\"\n{kind} = [\"main.docs*.*\", \"public.docs*.*\"]\n"),
    )
    .unwrap();
    let home = home.set("TUDB_CONFIG", path.display());
    let server = home.serve();
    (home, server)
}

/// Sends every word in every template. Returns how many statements were answered with rows.
fn nothing_is_shown(server: &mut Server, tables: &[(String, Vec<String>)]) -> usize {
    let mut statements = Vec::new();
    for (table, words) in tables {
        for (word, template) in words.iter().flat_map(|word| TEMPLATES.iter().map(move |text| (word, text))) {
            statements.push(template.replace("{t}", table).replace("{w}", word));
        }
    }
    let mut ran = 0;
    let mut shown = Vec::new();
    for batch in statements.chunks(200) {
        let ids: Vec<u64> = batch.iter().map(|sql| server.send_call("run_sql", json!({"sql": sql}))).collect();
        for (id, sql) in ids.into_iter().zip(batch) {
            let answer = server.answer(id);
            ran += usize::from(answer["result"]["isError"] == false);
            if answer.to_string().contains(PLANTED) {
                shown.push(format!("{sql}: {answer}"));
            }
        }
    }
    let some: Vec<&String> = shown.iter().take(20).collect();
    assert!(shown.is_empty(), "{} of {}: {some:#?}", shown.len(), statements.len());
    ran
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn no_word_shows_a_masked_column_on_sqlite() {
    let tables = tables();
    let scratch = Home::new("rules-words-data");
    let path = scratch.scratch.path("main.db");
    output_of(Command::new("sqlite3").arg(&path).arg(script(&tables)));
    let (_home, mut server) = serve(&format!("sqlite://{}", path.display()), "mask");
    let ran = nothing_is_shown(&mut server, &tables);
    assert!(ran > 1_000, "{ran} ran");
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn no_word_shows_a_masked_column_on_postgres() {
    let postgres = server();
    let tables = tables();
    let (database, url) = postgres.database("rules_words");
    postgres.script(&database, &script(&tables));
    let (_home, mut server) = serve(&url, "mask");
    let ran = nothing_is_shown(&mut server, &tables);
    assert!(ran > 1_000, "{ran} ran");
}

/// The word lists are in the repository, so that the guard's own tests need no server.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn the_lists_hold_every_keyword_and_type_of_the_servers() {
    let listed: BTreeSet<&str> =
        [POSTGRES_WORDS, TYPES].iter().flat_map(|list| list.split_ascii_whitespace()).collect();
    for postgres in servers() {
        let keywords = postgres.query("postgres", "SELECT word FROM pg_get_keywords()");
        let types = postgres.query(
            "postgres",
            "SELECT typname FROM pg_type WHERE typtype IN ('b', 'r', 'm') AND typcategory <> 'A'
             AND typnamespace = 'pg_catalog'::regnamespace",
        );
        for word in keywords.lines().chain(types.lines()) {
            assert!(listed.contains(word), "{word} of PostgreSQL {}", postgres.version);
        }
    }
}

/// A name that is not UTF-8 cannot be compared with a rule. And statements that only use the key of a view, or count its
/// rows, use no masked column.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_table_whose_name_is_not_utf8_is_closed_and_keys_of_views_are_open() {
    let home = Home::new("rules-bytes");
    let path = home.scratch.path("main.db");
    let path_text = path.display().to_string();
    let script = "CREATE TABLE tQ (id INTEGER PRIMARY KEY, ssn TEXT); INSERT INTO tQ VALUES (1, 'PLANTED-1');
         CREATE VIEW v1 AS SELECT upper(ssn) AS u FROM tQ; CREATE VIEW v2 AS SELECT ssn FROM tQ FULL JOIN (SELECT 'x' AS ssn) USING (ssn);
         CREATE VIEW v3 AS SELECT id FROM tQ WHERE ssn LIKE 'PLANTED%';
         CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, email TEXT); CREATE TABLE orders (id INTEGER, user_id INTEGER);
         INSERT INTO users VALUES (1, 'Ann', 'PLANTED-2'), (2, 'Bob', 'PLANTED-3'); INSERT INTO orders VALUES (10, 1), (11, 1);
         CREATE VIEW names AS SELECT id, name FROM users; CREATE VIEW mails AS SELECT id, email FROM users;
         CREATE INDEX by_name ON users (name, email); CREATE INDEX by_email ON users (email);
         CREATE VIEW over AS SELECT 1 AS n WHERE EXISTS (SELECT 1 FROM first);
         CREATE VIEW lowest AS SELECT 1 AS n FROM orders WHERE 'Ann' = (SELECT name FROM users ORDER BY name);
         CREATE VIEW overdue AS SELECT id AS credit_limit FROM users; CREATE VIEW first AS SELECT 1 AS n WHERE 'Ann' IN (SELECT name FROM users ORDER BY name LIMIT 1);
         PRAGMA writable_schema = on;
         UPDATE sqlite_schema SET name = replace(name, 'tQ', CAST(x'74fc' AS TEXT)), tbl_name = replace(tbl_name, 'tQ', CAST(x'74fc' AS TEXT)),
           sql = replace(sql, 'tQ', CAST(x'2274fc22' AS TEXT));";
    output_of(Command::new("sqlite3").args([&path_text, script]));
    let home = home.set("TUDB_CONFIG", path.with_file_name("tudb.toml").display());
    for rule in ["deny = [\"*.ssn\"]", "mask = [\"*.ssn\"]", "deny = [\"t*\"]"] {
        let text = format!("[sources.main]\nurl = \"sqlite://{path_text}\"\n{rule}\n");
        std::fs::write(home.scratch.path("tudb.toml"), text).unwrap();
        let mut server = home.serve();
        for view in ["v1", "v2", "v3"] {
            for sql in [format!("SELECT * FROM {view}"), format!("SELECT count(*) FROM {view}")] {
                let reply = server.call("run_sql", json!({"sql": sql}));
                assert!(reply["error"].is_object() && !reply.to_string().contains(PLANTED), "{rule}: {sql}: {reply}");
            }
        }
    }
    for (rule, is_masked) in [("mask = [\"users.email\"]", true), ("mask = [\"users.id\"]", false)] {
        let text = format!("[sources.main]\nurl = \"sqlite://{path_text}\"\n{rule}\n");
        std::fs::write(home.scratch.path("tudb.toml"), text).unwrap();
        let mut server = home.serve();
        for (sql, rows) in [
            ("SELECT id FROM names", json!([[1], [2]])),
            ("SELECT max(id) FROM names", json!([[2]])),
            ("SELECT o.id FROM orders o WHERE o.user_id IN (SELECT id FROM names)", json!([[10], [11]])),
            ("SELECT count(o.id) FROM orders o JOIN names n ON n.id = o.user_id", json!([[2]])),
            ("SELECT count(*) FROM names", json!([[2]])),
            ("SELECT count(*) FROM overdue", json!([[2]])),
        ] {
            let reply = server.call("run_sql", json!({"sql": sql}));
            if is_masked {
                assert_eq!(reply["rows"], rows, "{rule}: {sql}: {reply}");
            } else {
                assert!(reply["error"].is_object(), "{rule}: {sql}: {reply}");
            }
        }
        if is_masked {
            for sql in [
                "SELECT id, email || '' FROM mails",
                "SELECT max(email) FROM mails",
                "SELECT id FROM mails WHERE email > 'Q'",
                "SELECT count(*) FROM first",
                "SELECT count(*) FROM over",
                "SELECT count(*) FROM lowest",
            ] {
                let reply = server.call("run_sql", json!({"sql": sql}));
                assert!(reply["error"].is_object() && !reply.to_string().contains(PLANTED), "{sql}: {reply}");
            }
        }
    }
}
