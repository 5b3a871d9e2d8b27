//! Properties of every text: nothing panics or aborts, and an approved statement only reads. The texts are cut and
//! joined from statements of the safety corpora, so that most of them are almost valid.

use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

use super::*;

/// All statements of the corpora, split at spaces and marks.
static PIECES: LazyLock<Vec<Vec<String>>> = LazyLock::new(|| {
    let corpora = [include_str!("../../tests/safety/corpus.jsonl"), include_str!("../../tests/safety/own.jsonl")];
    let cases = corpora.iter().flat_map(|corpus| corpus.lines());
    let texts = cases.filter_map(|line| {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        case["sql"].as_str().map(str::to_owned)
    });
    texts.map(|text| text.split_inclusive([' ', '(', ')', ',', ';', '.', '\'']).map(str::to_owned).collect()).collect()
});

const FRAGMENTS: &[&str] = &[
    "'",
    "\"",
    "$$",
    "$a$",
    "E'",
    "\\'",
    "--",
    "/*",
    "*/",
    ";",
    "(",
    ")",
    "::",
    ".",
    " AS ",
    " FROM ",
    " ONLY ",
    "\n",
    " INTO ",
    " FOR UPDATE",
    "U&\"",
    "pg_sleep(1)",
    "f_write()",
    "1e",
    "0x",
    "é",
    "\u{0}",
    "[",
    "]",
    "`",
    "@",
    "?",
    "$1",
    " EXCLUDE TIES",
    " BETWEEN SYMMETRIC ",
    "EXPLAIN ",
    "SHOW ",
    "TABLE ",
    "DELETE FROM canary",
    "1+",
    "((((",
    "NOT ",
];

/// One to five pieces. Each is a part of a statement or a fragment.
fn text() -> impl Strategy<Value = String> {
    let part =
        (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0usize..12).prop_map(|(which, from, length)| {
            let pieces = which.get(&PIECES);
            let from = if pieces.is_empty() { 0 } else { from.index(pieces.len()) };
            pieces.iter().skip(from).take(length).map(String::as_str).collect::<String>()
        });
    let fragment = prop::sample::select(FRAGMENTS).prop_map(str::to_owned);
    prop::collection::vec(prop_oneof![4 => part, 1 => fragment], 1..6).prop_map(|parts| parts.concat())
}

fn cases(count: u32) -> Config {
    // The same texts in each run. The fuzz target explores others.
    Config { failure_persistence: None, cases: count, rng_seed: RngSeed::Fixed(7), ..Config::default() }
}

proptest! {
    #![proptest_config(cases(4_000))]

    #[test]
    fn nothing_panics_and_the_text_stays_the_callers_own(sql in text()) {
        for dialect in [Dialect::Postgresql, Dialect::Sqlite] {
            if let Ok(approved) = approve(&sql, dialect, &Limits::default()) {
                let shown = sql.trim_start().get(..4).is_some_and(|word| word.eq_ignore_ascii_case("show"));
                prop_assert!(shown || sql.contains(approved.text()), "{}", approved.text());
            }
        }
    }

    /// The lexemes contain every name in the parser's tree. The second reader relies on this.
    #[test]
    fn the_second_reader_sees_what_the_parser_sees(sql in text()) {
        let grammar = PostgreSqlDialect {};
        let parsed = Parser::parse_sql(&grammar, &sql).ok().filter(|statements| statements.len() == 1);
        let Some(statements) = parsed else { return Ok(()) };
        let tokens = Tokenizer::new(&grammar, &sql).tokenize_with_location().unwrap();
        let agree = token_agreement::operators(&sql, &tokens).is_some();
        let (Ok((walked, _)), true) = (walk::check(&sql, &statements[0], Dialect::Postgresql, false), agree) else { return Ok(()) };
        let Ok(read) = second_reader::check(&sql, Dialect::Postgresql, Rejection::Empty) else { return Ok(()) };
        let seen = |name: &str| {
            read.types.iter().any(|other| other == name)
                || read.reads.iter().any(|(_, other)| other == name)
                || read.functions.iter().any(|other| other == name)
                || read.unknown.iter().any(|(_, other)| other == name)
        };
        // The parser reads a string as a name; no database does.
        let is_string = |name: &str| sql.to_lowercase().contains(&format!("'{}'", name.to_lowercase()));
        // `FROM current_user`: a reserved word of PostgreSQL is no name without quotes.
        let is_reserved = |name: &str| {
            crate::quoting::is_reserved(Dialect::Postgresql, name) && !sql.contains(&format!("\"{name}\""))
        };
        for (_, name) in walked.unknown.iter().chain(&walked.reads) {
            prop_assert!(seen(name) || is_string(name) || is_reserved(name), "{name} in {sql}");
        }
        for name in &walked.fields {
            prop_assert!(read.fields.contains(name) || is_string(name), "{name} in {sql}");
        }
    }
}

proptest! {
    #![proptest_config(cases(3_000))]

    /// SQLite decides: an approved statement that it can prepare must be read-only.
    #[test]
    fn what_is_approved_is_no_write_to_sqlite(sql in text()) {
        if let Ok(approved) = approve(&sql, Dialect::Sqlite, &Limits::default()) {
            prop_assert!(crate::database::sqlite_reads_only(approved.text()), "{}", approved.text());
        }
    }
}

/// The time of the guard grows at most with the square of the length. Before, a chain of 4,000 comparisons took many
/// minutes. Only that each chain ends is tested here.
#[test]
fn long_chains_are_judged() {
    let limits = Limits::default();
    let links = [
        "= a",
        "<> a",
        "< a",
        "= (a)",
        "= 1",
        "+ a",
        "|| a",
        "OR a",
        "AND a = b",
        "= a + 0",
        "IS NOT NULL",
        "LIKE 'x'",
        "GLOB 'x'",
    ];
    for dialect in [Dialect::Postgresql, Dialect::Sqlite] {
        for link in links {
            for place in ["WHERE a", "GROUP BY a HAVING a", "ORDER BY a", "JOIN b ON a"] {
                let sql = format!("SELECT id FROM orders {place} {}", format!("{link} ").repeat(4_000));
                let _ = approve(&sql, dialect, &limits);
            }
        }
    }
    let patterns = format!("SELECT name {}", "GLOB 'x' ".repeat(400));
    assert!(matches!(approve(&patterns, Dialect::Sqlite, &limits), Err(Rejection::TooDeep { .. })));
}

/// One column may be written in many ways. What is peeled off a column must not keep two spellings of it apart.
#[test]
fn spellings_of_one_column_are_one_expression() {
    let limits = Limits::default();
    let forms = [
        "{}",
        "({} + 0)",
        "CASE WHEN true THEN {} ELSE ('1' COLLATE \"C\")::int END",
        "abs({}::int)",
        "(({})::text)::int",
    ];
    for form in forms {
        let column = |number: usize| form.replace("{}", &format!("t{number}.id"));
        let tables: Vec<String> = (0..60).map(|number| format!("t t{number}")).collect();
        let equal: Vec<String> = (1..60).map(|number| format!("{} = {}", column(number - 1), column(number))).collect();
        let sql = format!("SELECT 1 FROM {} WHERE {}", tables.join(", "), equal.join(" AND "));
        let refused = approve(&sql, Dialect::Postgresql, &limits);
        assert!(matches!(refused, Err(Rejection::ManyComparisons)), "{form}: {refused:?}");
    }
}
