//! The guard under texts that nobody wrote: it must neither panic nor abort, and what it approves is the caller's text.
//!
//! Ten minutes of it: `cd fuzz && BOLERO_RANDOM_TEST_TIME_MS=600000 cargo test --release`. With a nightly toolchain and
//! `cargo install cargo-bolero`, `cargo bolero test statements` runs the same target under libFuzzer.

use tudb::dialect::Dialect;
use tudb::guard::approve;
use tudb::limits::Limits;

/// A vocabulary that reaches past the tokeniser far more often than bytes do.
const WORDS: [&str; 96] = [
    "SELECT", "FROM", "WHERE", "WITH", "RECURSIVE", "AS", "(", ")", ",", ";", ".", "*", "'", "\"", "E'", "U&\"", "$$", "$a$", "--",
    "/*", "*/", "\n", "::", "a", "t", "pg_sleep", "count", "lower", "pg_authid", "pg_catalog", "public", "ONLY", "LATERAL", "ROWS",
    "TABLESAMPLE", "JOIN", "ON", "USING", "NATURAL", "GROUP BY", "ROLLUP", "CUBE", "GROUPING SETS", "HAVING", "WINDOW", "OVER",
    "PARTITION BY", "ORDER BY", "EXCLUDE TIES", "LIMIT", "OFFSET", "FETCH FIRST", "FOR UPDATE", "INTO", "UNION", "ALL", "EXCEPT",
    "VALUES", "TABLE", "EXPLAIN", "ANALYZE", "SHOW", "CASE WHEN", "THEN", "ELSE", "END", "CAST", "ARRAY", "[", "]", "1", "1e5", "0x",
    "NULL", "IS", "NOT", "IN", "BETWEEN", "SYMMETRIC", "LIKE", "ESCAPE", "AND", "OR", "+", "-", "||", "->", "@>", "OPERATOR(",
    "INSERT", "DELETE", "UPDATE", "MERGE", "x", "é", "\u{0}",
];

#[test]
fn statements() {
    bolero::check!().with_type::<Vec<(u8, bool)>>().for_each(|choices| {
        let mut sql = String::new();
        for (choice, spaced) in choices {
            sql.push_str(WORDS[usize::from(*choice) % WORDS.len()]);
            if *spaced {
                sql.push(' ');
            }
        }
        check(&sql);
    });
}

#[test]
fn bytes() {
    bolero::check!().for_each(|bytes: &[u8]| check(&String::from_utf8_lossy(bytes)));
}

fn check(sql: &str) {
    for dialect in [Dialect::Postgresql, Dialect::Sqlite] {
        if let Ok(approved) = approve(sql, dialect, &Limits::default()) {
            let shown = sql.to_ascii_lowercase().contains("show");
            assert!(shown || sql.contains(approved.text()));
            // What is approved is approved again, by itself.
            assert!(approve(approved.text(), dialect, &Limits::default()).is_ok(), "{sql}");
        }
    }
}
