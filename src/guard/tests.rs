//! Tables of cases: dialect, statement, and the code it must be refused with, or `None` when it must pass.

use super::*;
use crate::error::{Code, ToolError};

fn verdict(dialect: Dialect, sql: &str) -> Option<Code> {
    approve(sql, dialect, &Limits::default()).err().map(|rejection| ToolError::from(rejection).code)
}

#[test]
fn statements_are_judged() {
    use Code::*;
    use Dialect::{Postgresql as P, Sqlite as S};
    let cases: &[(Dialect, &str, Option<Code>)] = &[
        (P, "SELECT 1", None),
        // The second reader alone takes no WITH here: only the parser counts how often SQLite expands it.
        (
            S,
            "WITH t(a) AS (SELECT 1) SELECT sum(a) OVER (ORDER BY a ROWS UNBOUNDED PRECEDING EXCLUDE TIES) FROM t",
            Some(SyntaxError),
        ),
        (S, "SELECT sum(a) OVER (ORDER BY a ROWS UNBOUNDED PRECEDING EXCLUDE TIES) FROM (SELECT 1 AS a)", None),
        (P, "SELECT 1;", None),
        (P, "select count(*) filter (where a > 1) over (partition by b order by c) from t", None),
        (P, "WITH x AS (SELECT 1 a) SELECT * FROM x UNION ALL VALUES (2)", None),
        (P, "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY total) FROM orders", None),
        (P, "SELECT a -> 'b' ->> 'c', x::date, extract(year from y), 'new'::public.mood FROM t", None),
        (P, "SELECT * FROM generate_series(1, 3) g, LATERAL (SELECT g * 2) l", None),
        (P, "SELECT * FROM information_schema.tables", None),
        (P, "SELECT relname FROM pg_class", None),
        (P, "EXPLAIN SELECT * FROM t", None),
        (P, "EXPLAIN (FORMAT JSON) SELECT * FROM t", None),
        (S, "SELECT strftime('%Y', d) FROM t GROUP BY 1", None),
        (S, "SELECT * FROM json_each('[1]')", None),
        (S, "EXPLAIN QUERY PLAN SELECT 1", None),
        (P, "", Some(SyntaxError)),
        (P, " ; ; ", Some(SyntaxError)),
        (P, "SELEC 1", Some(SyntaxError)),
        (P, "SELECT 1; SELECT 2", Some(MultipleStatements)),
        (P, "SELECT 1; DROP TABLE t", Some(MultipleStatements)),
        (P, "COMMIT; DROP TABLE t", Some(MultipleStatements)),
        (P, "DELETE FROM t", Some(WriteRefused)),
        (P, "/* SELECT */ INSERT INTO t VALUES (1)", Some(WriteRefused)),
        (P, "WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x", Some(WriteRefused)),
        (P, "SELECT * FROM (WITH x AS (UPDATE t SET a = 1 RETURNING *) SELECT * FROM x) y", Some(WriteRefused)),
        (P, "SELECT * INTO copy FROM t", Some(WriteRefused)),
        (P, "SELECT * FROM t FOR UPDATE", Some(WriteRefused)),
        (P, "COPY t TO '/tmp/x'", Some(WriteRefused)),
        (P, "EXPLAIN DELETE FROM t", Some(WriteRefused)),
        (P, "EXPLAIN ANALYZE SELECT 1", Some(StatementRefused)),
        (P, "EXPLAIN (ANALYZE) SELECT 1", Some(StatementRefused)),
        (P, "SET transaction_read_only = off", Some(StatementRefused)),
        (P, "BEGIN", Some(StatementRefused)),
        (P, "CALL p()", Some(StatementRefused)),
        (P, "SELECT pg_sleep(1)", Some(FunctionRefused)),
        (P, "SELECT * FROM pg_sleep(1)", Some(FunctionRefused)),
        (P, "SELECT 1 FROM t, LATERAL pg_sleep(1)", Some(FunctionRefused)),
        (P, "SELECT 1 ORDER BY pg_sleep(1)", Some(FunctionRefused)),
        (P, "SELECT 1 LIMIT (SELECT count(pg_sleep(1)))", Some(FunctionRefused)),
        (P, "SELECT count(*) FILTER (WHERE pg_sleep(1) IS NULL) FROM t", Some(FunctionRefused)),
        (P, "SELECT (1).pg_sleep", Some(FunctionRefused)),
        (P, "SELECT U&\"pg\\005fsleep\"(1)", Some(StatementRefused)),
        (P, "SHOW TimeZone", None),
        (P, "SHOW server_version;", None),
        (P, "SHOW data_directory", Some(StatementRefused)),
        (P, "SHOW ALL", Some(StatementRefused)),
        (P, "EXPLAIN EXPLAIN SELECT 1", Some(StatementRefused)),
        (P, "EXPLAIN VERBOSE TABLE t", None),
        (P, "SELECT 'pg_authid'::regclass", Some(RelationRefused)),
        (P, "SELECT query_to_xml('delete from t', true, true, '')", Some(FunctionRefused)),
        (P, "SELECT nextval('s')", Some(FunctionRefused)),
        (P, "SELECT 1 OPERATOR(public.+) 2", Some(FunctionRefused)),
        (P, "SELECT * FROM pg_authid", Some(RelationRefused)),
        (P, "SELECT * FROM pg_catalog.pg_shadow", Some(RelationRefused)),
        (P, "WITH pg_authid AS (SELECT * FROM pg_authid) SELECT * FROM pg_authid", Some(RelationRefused)),
        (P, "SELECT * FROM pg_stat_activity", Some(RelationRefused)),
        (P, "SELECT 'a' ||/*' */ pg_read_file($$/etc/hostname$$) --'", Some(FunctionRefused)),
        (P, "SELECT E'a'\n'\\' , ' , pg_read_file($$x$$) --'", Some(FunctionRefused)),
        (P, "SELECT s.pg_read_file FROM unnest(ARRAY['/etc/hostname']) s", Some(FunctionRefused)),
        (P, "SELECT lower.pg_read_file FROM lower('/ETC/HOSTNAME')", Some(FunctionRefused)),
        (P, "SELECT u.pg_sleep FROM generate_series(1, 2) u(n)", Some(FunctionRefused)),
        (P, "SELECT u.n, u FROM generate_series(1, 2) u(n)", None),
        (P, "SELECT j.key, j.value FROM json_each('{}') j", None),
        (P, "SELECT * FROM information_schema.user_mapping_options", Some(RelationRefused)),
        (P, "SELECT 'x'::regproc", Some(StatementRefused)),
        (P, "SELECT to_tsvector('english'::regconfig, 'a')", None),
        (P, "EXPLAIN (ANALYZE false) SELECT 1", None),
        (S, "SELECT * FROM dbstat", Some(RelationRefused)),
        (S, "PRAGMA query_only = off", Some(StatementRefused)),
        (S, "ATTACH 'x' AS y", Some(StatementRefused)),
        (S, "VACUUM INTO 'x'", Some(WriteRefused)),
        (S, "SELECT load_extension('x')", Some(FunctionRefused)),
        (S, "SELECT * FROM pragma_query_only", Some(RelationRefused)),
    ];
    all_judged(cases);
}

fn all_judged(cases: &[(Dialect, &str, Option<Code>)]) {
    let wrong: Vec<String> = cases
        .iter()
        .filter(|(dialect, sql, expected)| verdict(*dialect, sql) != *expected)
        .map(|(dialect, sql, expected)| format!("{sql}: {:?}, not {expected:?}", verdict(*dialect, sql)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_the_parser_does_not_know_is_read_by_its_lexemes() {
    use Code::*;
    use Dialect::{Postgresql as P, Sqlite as S};
    // Each holds a clause that sqlparser does not know.
    all_judged(&[
        (P, "TABLE public.orders", None),
        (P, "SELECT", None),
        (P, "SELECT sum(x) OVER (ORDER BY y ROWS 1 PRECEDING EXCLUDE CURRENT ROW) FROM t", None),
        (P, "SELECT a, count(*) FROM t GROUP BY DISTINCT ROLLUP (a, b)", None),
        (P, "SELECT * FROM ROWS FROM (generate_series(1, 2), unnest(ARRAY[1])) AS q(a, b)", None),
        (
            P,
            "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 3)
             SEARCH DEPTH FIRST BY n SET o SELECT n FROM t",
            None,
        ),
        (P, "SELECT (c).* FROM customers c", None),
        (P, "SELECT inet '10.0.0.1' BETWEEN SYMMETRIC inet '10.0.0.9' AND inet '10.0.0.0'", None),
        (P, "SELECT 1 BETWEEN SYMMETRIC 3 AND 0, numeric(4,2) '1.5', x::numeric(10, 2) FROM t AS u(x)", None),
        (S, "SELECT sum(total) OVER (ORDER BY id ROWS 1 PRECEDING EXCLUDE TIES) FROM [orders]", None),
        (P, "SELECT pg_sleep(1) BETWEEN SYMMETRIC 3 AND 0", Some(FunctionRefused)),
        (P, "SELECT DISTINCT ON (a) pg_sleep(1), 1 BETWEEN SYMMETRIC 0 AND 1 FROM t", Some(FunctionRefused)),
        (P, "SELECT 1 OPERATOR(pg_catalog.+) pg_sleep(1), 1 BETWEEN SYMMETRIC 0 AND 1", Some(FunctionRefused)),
        (P, "SELECT 1 OPERATOR(evil.+) 1, 1 BETWEEN SYMMETRIC 0 AND 1", Some(FunctionRefused)),
        (P, "SELECT * FROM ROWS FROM (pg_read_file('/etc/passwd')) AS t(x)", Some(FunctionRefused)),
        (P, "SELECT * FROM ROWS FROM (abs(1)), dblink('x') AS (values int)", Some(FunctionRefused)),
        (P, "SELECT \"pg_sleep\"(1) BETWEEN SYMMETRIC 0 AND 1", Some(FunctionRefused)),
        (P, "SELECT pg_catalog . pg_sleep /* */ (1), 1 BETWEEN SYMMETRIC 0 AND 1", Some(FunctionRefused)),
        (P, "SELECT (1).pg_sleep, 1 BETWEEN SYMMETRIC 0 AND 1", Some(FunctionRefused)),
        (P, "SELECT x.pg_read_file, 1 BETWEEN SYMMETRIC 0 AND 1 FROM unnest(ARRAY['/x']) x", Some(FunctionRefused)),
        (P, "SELECT lower.pg_read_file, 1 BETWEEN SYMMETRIC 0 AND 1 FROM lower('/X')", Some(FunctionRefused)),
        (P, "SELECT x.pg_read_file FROM ROWS FROM (lower('/X')) AS x", Some(FunctionRefused)),
        (P, "TABLE pg_authid", Some(RelationRefused)),
        (P, "SELECT 1 BETWEEN SYMMETRIC 0 AND 1 FROM \"pg_authid\"", Some(RelationRefused)),
        (P, "SELECT 1 BETWEEN SYMMETRIC 0 AND 1 FROM pg_toast.x", Some(RelationRefused)),
        (P, "SELECT 1 BETWEEN SYMMETRIC 0 AND 1 FROM information_schema.user_mapping_options", Some(RelationRefused)),
        (P, "SELECT 'pg_authid'::regclass, 1 BETWEEN SYMMETRIC 0 AND 1", Some(RelationRefused)),
        (P, "SELECT 'x'::regproc, 1 BETWEEN SYMMETRIC 0 AND 1", Some(StatementRefused)),
        (P, "SELECT 1 BETWEEN SYMMETRIC 0 AND 1 FROM a FOR UPDATE", Some(WriteRefused)),
        (P, "SELECT 1 BETWEEN SYMMETRIC 0 AND 1 FROM a FOR NO KEY UPDATE", Some(WriteRefused)),
        (P, "SELECT 1 BETWEEN SYMMETRIC 0 AND 1 FROM a FOR KEY SHARE", Some(WriteRefused)),
        (P, "SELECT 1 BETWEEN SYMMETRIC 0 AND 1 INTO x", Some(WriteRefused)),
        (
            P,
            "WITH x AS (DELETE FROM t WHERE 1 BETWEEN SYMMETRIC 0 AND 1 RETURNING *) SELECT * FROM x",
            Some(WriteRefused),
        ),
        (P, "SELECT 1 BETWEEN SYMMETRIC 0 AND 1; DROP TABLE b", Some(MultipleStatements)),
        (P, "SELECT 1 BETWEEN SYMMETRIC 0 AND 1; SELECT 1", Some(MultipleStatements)),
        (P, "SELECT 1 BETWEEN SYMMETRIC $1 AND 2", Some(SyntaxError)),
        (P, "SELECT 1 BETWEEN SYMMETRIC 0 AND 1 \\; b", Some(SyntaxError)),
        (S, "SELECT sum(1) OVER (ROWS 1 PRECEDING EXCLUDE TIES), load_extension('x')", Some(FunctionRefused)),
        (S, "SELECT sum(1) OVER (ROWS 1 PRECEDING EXCLUDE TIES) FROM pragma_query_only", Some(RelationRefused)),
        (
            S,
            "SELECT sum(1) OVER (ROWS 1 PRECEDING EXCLUDE TIES) FROM pragma_journal_mode('off')",
            Some(RelationRefused),
        ),
    ]);
}

/// What sqlparser reads as something else: a table named `only`, a column with a text for an alias.
#[test]
fn what_the_parser_takes_for_something_else_is_seen() {
    use Code::*;
    use Dialect::Postgresql as P;
    all_judged(&[
        (P, "SELECT * FROM ONLY pg_authid", Some(RelationRefused)),
        (P, "SELECT * FROM ONLY (pg_authid)", Some(RelationRefused)),
        (P, "SELECT regproc 'pg_sleep'", Some(StatementRefused)),
        (P, "SELECT * FROM ONLY orders", None),
        (P, "SELECT x.update, t.delete FROM t JOIN x ON x.insert = t.id", None),
    ]);
    let names = approve("SELECT mood 'x' FROM ONLY secrets", P, &Limits::default()).unwrap().names().clone();
    assert!(names.types.contains(&"mood".to_owned()) && names.reads.contains(&(None, "secrets".to_owned())));
}

/// The schema that the catalog finds is written before each table that a statement names without one.
#[test]
fn tables_are_qualified_wherever_they_stand() {
    let tables = ["t", "u", "w2", "rows", "x"].map(|name| (name.to_owned(), "s".to_owned())).into();
    let qualified = |sql: &str| {
        let approved = approve(sql, Dialect::Postgresql, &Limits::default()).unwrap();
        (approved.qualified(&BTreeMap::new(), &tables).text().replace("\"s\"", "s"), approved.names().has_bare_tables)
    };
    for (sql, expected) in [
        ("TABLE t", "TABLE s.t"),
        ("TABLE ONLY t", "TABLE ONLY s.t"),
        ("SELECT 1 FROM ONLY t", "SELECT 1 FROM ONLY s.t"),
        ("SELECT 1 FROM ONLY (t)", "SELECT 1 FROM ONLY (s.t)"),
        ("SELECT 1 FROM ONLY t AS x, u", "SELECT 1 FROM ONLY s.t AS x, s.u"),
        ("SELECT 1 FROM u JOIN ONLY t x USING (id)", "SELECT 1 FROM s.u JOIN ONLY s.t x USING (id)"),
        ("(TABLE t) UNION ALL TABLE u", "(TABLE s.t) UNION ALL TABLE s.u"),
        ("WITH q AS (TABLE t) SELECT * FROM q, ONLY u", "WITH q AS (TABLE s.t) SELECT * FROM q, ONLY s.u"),
        ("SELECT x AS only, 1 AS table FROM t", "SELECT x AS only, 1 AS table FROM s.t"),
        ("SELECT t.only, t.table FROM t", "SELECT t.only, t.table FROM s.t"),
        // The parser does not read TREAT, ROWS FROM, SEARCH and the second alias of ONLY.
        (
            "SELECT extract(year FROM x), trim(both FROM x), x IS DISTINCT FROM x FROM ONLY t AS x WHERE x IN (x, u)",
            "SELECT extract(year FROM x), trim(both FROM x), x IS DISTINCT FROM x FROM ONLY s.t AS x WHERE x IN (x, u)",
        ),
        (
            "SELECT 1 FROM ONLY t AS y (x, u) JOIN (x CROSS JOIN u) ON y.a = ANY (ARRAY[x, u]) AND ARRAY[x, u] = y.b, t",
            "SELECT 1 FROM ONLY s.t AS y (x, u) JOIN (s.x CROSS JOIN s.u) ON y.a = ANY (ARRAY[x, u]) AND ARRAY[x, u] = y.b, s.t",
        ),
        (
            "SELECT 1 FROM ONLY t AS y WINDOW w AS (ORDER BY x), w2 AS (ORDER BY u) ORDER BY x, u OFFSET 1",
            "SELECT 1 FROM ONLY s.t AS y WINDOW w AS (ORDER BY x), w2 AS (ORDER BY u) ORDER BY x, u OFFSET 1",
        ),
        (
            "SELECT 1 FROM ROWS FROM (abs(1), abs(2)) AS r, ONLY t AS y, rows FETCH FIRST 1 ROWS ONLY",
            "SELECT 1 FROM ROWS FROM (abs(1), abs(2)) AS r, ONLY s.t AS y, s.rows FETCH FIRST 1 ROWS ONLY",
        ),
        (
            "SELECT (SELECT c FROM (VALUES ('q'), (x)) v(c)) FROM u, ROWS FROM (abs(1), abs(2)) AS g(a, b)",
            "SELECT (SELECT c FROM (VALUES ('q'), (x)) v(c)) FROM s.u, ROWS FROM (abs(1), abs(2)) AS g(a, b)",
        ),
        (
            "SELECT 1 FROM (WITH RECURSIVE q AS (SELECT 1) SEARCH DEPTH FIRST BY x, u SET z SELECT 1) y, ONLY t AS v",
            "SELECT 1 FROM (WITH RECURSIVE q AS (SELECT 1) SEARCH DEPTH FIRST BY x, u SET z SELECT 1) y, ONLY s.t AS v",
        ),
        ("SELECT count(*) distinct FROM ONLY t AS y, u", "SELECT count(*) distinct FROM ONLY s.t AS y, s.u"),
        ("SELECT 1 FROM abs(1) WITH ORDINALITY, ONLY t AS y", "SELECT 1 FROM abs(1) WITH ORDINALITY, ONLY s.t AS y"),
        (
            "SELECT 1 FROM ONLY t AS y, LATERAL (SELECT x FROM u) z",
            "SELECT 1 FROM ONLY s.t AS y, LATERAL (SELECT x FROM s.u) z",
        ),
    ] {
        assert_eq!(qualified(sql), (expected.to_owned(), false), "{sql}");
    }
    for (sql, has_bare_tables) in [
        ("WITH t AS (SELECT 1) TABLE t", false),
        ("WITH t (a) AS MATERIALIZED (SELECT 1) SELECT 1 FROM ONLY t AS x", false),
        ("WITH t (a) AS MATERIALIZED (TABLE t) SELECT 1 FROM ONLY t AS x", true),
        ("SELECT 1 FROM (WITH t AS (SELECT 1) TABLE t) x, ONLY t", true),
        ("WITH q AS (SELECT 1) SELECT 1 FROM q WINDOW t AS (ORDER BY 1) UNION ALL TABLE t", true),
    ] {
        assert_eq!(qualified(sql), (sql.to_owned(), has_bare_tables), "{sql}");
    }
}

/// All wildcards of a SELECT share one list of its tables.
#[test]
fn many_wildcards_over_many_tables_take_little_memory() {
    let tables: Vec<String> = (0..200).map(|n| format!("t{n}")).collect();
    let sql = format!("SELECT {} FROM {}", vec!["*"; 2_000].join(","), tables.join(","));
    for dialect in [Dialect::Postgresql, Dialect::Sqlite] {
        let approved = approve(&sql, dialect, &Limits::default()).unwrap();
        let uses = approved.names().uses.as_ref().unwrap();
        assert_eq!((uses.wildcards.len(), uses.from_lists.len()), (2_000, 1));
        assert!(approved.to_pipe().unwrap().get().len() < 40 * sql.len());
    }
}

#[test]
fn what_only_the_catalog_can_decide_is_told_to_it() {
    let names = |sql| approve(sql, Dialect::Postgresql, &Limits::default()).unwrap().names().clone();
    let bare = |name: &str| (None, name.to_owned());
    let found = names("SELECT public.f(1), \"Count\"(1), g(2), upper(x)::mood, y::int FROM \"T\" t WHERE t.z @@@ 1");
    assert_eq!(found.unknown, [bare("Count"), bare("g"), (Some("public".to_owned()), "f".to_owned())]);
    assert_eq!(found.functions, ["upper"]);
    assert!(found.operators.contains(&"@@@".to_owned()));
    assert_eq!(found.fields, ["z"]);
    assert_eq!(found.relations, ["T"]);
    assert!(found.reads.contains(&bare("T")));
    assert!(found.types.contains(&"mood".to_owned()));
    let found = names("SELECT (c).*, evil.f(1), mood 'x', 1 BETWEEN SYMMETRIC 0 AND 1 FROM customers c, s.t");
    assert_eq!(found.unknown, [(Some("evil".to_owned()), "f".to_owned())]);
    assert!(found.reads.contains(&bare("customers")) && found.reads.contains(&(Some("s".to_owned()), "t".to_owned())));
    assert!(found.types.contains(&"mood".to_owned()));
    assert_eq!(found.relations, ["customers"]);
}

#[test]
fn bounds_are_kept_and_nothing_aborts() {
    let long = format!("SELECT '{}'", "x".repeat(40_000));
    assert_eq!(verdict(Dialect::Postgresql, &long), Some(Code::TooLong));
    let chain = format!("SELECT {}1", "1+".repeat(8_000));
    assert_eq!(verdict(Dialect::Postgresql, &chain), Some(Code::TooLong));
    let chain = format!("SELECT {}1", "1+".repeat(4_900));
    assert_eq!(verdict(Dialect::Postgresql, &chain), None);
    let deep = format!("SELECT {}1{}", "(".repeat(200), ")".repeat(200));
    assert_eq!(verdict(Dialect::Postgresql, &deep), Some(Code::TooDeep));
}

#[test]
fn the_callers_own_text_is_kept_without_its_end() {
    let approved = |sql| approve(sql, Dialect::Postgresql, &Limits::default()).unwrap();
    assert_eq!(approved("SELECT 'x''''y' -- a\n ;; ").text(), "SELECT 'x''''y'");
    assert_eq!(approved("EXPLAIN (FORMAT JSON) SELECT 1").text(), "SELECT 1");
    assert!(approved("EXPLAIN SELECT 1").is_explain());
    assert_eq!(approved("WITH a AS (SELECT * FROM b.c) SELECT * FROM a, d").names().relations, ["b.c", "d"]);
}

#[test]
fn a_syntax_error_names_its_character() {
    let Err(Rejection::Syntax { position, .. }) =
        approve("EXPLAIN VALUES ('é')\n, $1", Dialect::Postgresql, &Limits::default())
    else {
        panic!("it must not parse");
    };
    assert_eq!(position, Some(24));
}

#[test]
fn a_position_is_told_in_the_callers_own_text() {
    let sql = "SELECT upper('é'), lower(x), nope FROM t";
    let approved = approve(sql, Dialect::Postgresql, &Limits::default()).unwrap();
    let functions = ["upper", "lower"].map(|name| (name.to_owned(), "pg_catalog".to_owned())).into();
    let tables = [("t".to_owned(), "a \"b\"".to_owned())].into();
    let sent = approved.qualified(&functions, &tables);
    assert_eq!(sent.text(), r#"SELECT "pg_catalog".upper('é'), "pg_catalog".lower(x), nope FROM "a ""b""".t"#);
    for word in ["SELECT", "upper", "lower", "nope", "FROM"] {
        let place = |text: &str| text.find(word).map(|at| text[..at].chars().count() + 1).unwrap();
        assert_eq!(sent.original_position(place(sent.text())), Some(place(sql)), "{word}");
    }
    assert_eq!(sent.original_position(sent.text().chars().count() + 2), None);
}

/// The parser tries some constructs twice. Nested, they must not double its time: each text here takes milliseconds, and one
/// that doubles takes years.
#[test]
fn no_nesting_takes_exponential_time() {
    let heads = "POSITION(|POSITION((|POSITION(1 + POSITION(|CAST(|EXTRACT(|SUBSTRING(|OVERLAY(|TRIM(|INTERVAL (|NOT (|CASE WHEN |CASE \
                 |EXISTS(|EXISTS (SELECT |(|ARRAY[|ARRAY(SELECT |ROW(|f(|1 IN (|1 = ANY (|CONVERT(|COALESCE(|(SELECT 1 FROM (\
                 |(VALUES (|(WITH a AS (|f(a => |- |(x) -> (|json_object('a': |f() OVER (ORDER BY |f() FILTER (WHERE |{fn |{d \
                 |CASE WHEN 1 THEN |LATERAL (|POSITION(a IN |CAST(a AS ARRAY<|x::STRUCT<a |position /**/ (|binary |not exists (";
    for head in heads.split('|') {
        for (tail, close) in
            [("1", ")"), ("", ""), ("'x'", "))"), ("1", " AS int)"), ("1 IN 2", ") END"), ("a b c", "]")]
        {
            for dialect in [Dialect::Postgresql, Dialect::Sqlite] {
                let _ = approve(
                    &format!("SELECT {}{tail}{}", head.repeat(45), close.repeat(45)),
                    dialect,
                    &Limits::default(),
                );
            }
        }
    }
    assert_eq!(
        verdict(Dialect::Sqlite, &format!("SELECT {}1{}", "POSITION(".repeat(9), ")".repeat(9))),
        Some(Code::TooDeep)
    );
    assert_eq!(
        verdict(Dialect::Postgresql, &format!("SELECT {}1{}", "ROW (".repeat(9), ")".repeat(9))),
        Some(Code::TooDeep)
    );
    let nested = |open: &str, close: &str, depth| format!("SELECT {}1{}", open.repeat(depth), close.repeat(depth));
    for (open, close) in
        [("(", ",1)"), ("ARRAY[(", ",1)]"), ("pg_catalog.\"quote_literal\"(", ")"), ("to_json(", ")"), ("((1), ", ")")]
    {
        assert_eq!(verdict(Dialect::Postgresql, &nested(open, close, 9)), Some(Code::TooDeep), "{open}");
        assert_eq!(verdict(Dialect::Postgresql, &nested(open, close, 4)), None, "{open}");
    }
    for sql in [
        nested("(", ")", 20),
        nested("coalesce(", ", 1)", 20),
        format!("SELECT 1 WHERE {}", vec!["(1, 2) IN ((1, 2), (3, 4))"; 20].join(" AND ")),
        nested("1 + (SELECT max(x) FROM (VALUES (1, 2), (3, 4)) v(x, y) WHERE x > ", ")", 9),
    ] {
        assert_eq!(verdict(Dialect::Postgresql, &sql), None, "{sql}");
    }
    // The parser's lexer cannot split these bytes.
    let unread = |depth| format!("SELECT E'\\xC3\\xA9', {}1{}", "(".repeat(depth), ", 1)".repeat(depth));
    assert_eq!(verdict(Dialect::Postgresql, &unread(9)), Some(Code::TooDeep));
    assert_eq!(verdict(Dialect::Postgresql, &unread(3)), None);
    // Without a tree too, the FROM of a function is no table.
    let years = format!("TABLE t UNION ALL SELECT {} FROM t", vec!["extract(year FROM a)"; 210].join(" + "));
    assert_eq!(verdict(Dialect::Postgresql, &years), None);
    let between = nested("(1 BETWEEN 0 AND ", ")", 9);
    assert_eq!(verdict(Dialect::Postgresql, &between), Some(Code::TooDeep));
    let many = format!("SELECT {}", vec!["position('a' IN 'b')"; 20].join(", "));
    assert_eq!(verdict(Dialect::Postgresql, &many), None);
    let chain = format!("SELECT (a){} FROM t", ".b".repeat(70));
    assert_eq!(verdict(Dialect::Postgresql, &chain), Some(Code::TooDeep));
    assert_eq!(verdict(Dialect::Sqlite, &format!("SELECT (1) {} x", "as ".repeat(70))), Some(Code::TooDeep));
    let doubled = |form: &str| {
        let chain: String = (1..14)
            .map(|at| format!(", c{at} AS {form} (SELECT x FROM c{0} UNION ALL SELECT x FROM c{0})", at - 1))
            .collect();
        verdict(Dialect::Postgresql, &format!("WITH c0 AS {form} (SELECT 1 AS x){chain} SELECT x FROM c13"))
    };
    assert_eq!(doubled("NOT MATERIALIZED"), Some(Code::StatementRefused));
    assert_eq!(doubled(""), None);
}

/// Conditions such as `a < b` between columns, in which the planner tries every combination of indexes.
#[test]
fn comparisons_by_other_operators_have_a_bound() {
    let pairs = |tables: usize, columns: usize, condition: &str| {
        let from: Vec<String> = (0..tables).map(|at| format!("app.t t{at}")).collect();
        let all = (0..tables).flat_map(|one| (one + 1..tables).map(move |other| (one, other)));
        let all = all.flat_map(|(one, other)| (0..columns).map(move |at| (one, other, at)));
        let written: Vec<String> = all
            .map(|(one, other, at)| {
                condition.replace("#a", &format!("t{one}.c{at}")).replace("#b", &format!("t{other}.c{at}"))
            })
            .collect();
        format!("FROM {} WHERE {}", from.join(", "), written.join(" AND "))
    };
    let refused = |sql: &str| verdict(Dialect::Postgresql, sql) == Some(Code::TooDeep);
    for condition in [
        "#a < #b",
        "#a >= #b",
        "NOT #a > #b",
        "#a && #b",
        "#a OPERATOR(pg_catalog.<) #b",
        "#a ~<~ #b",
        "#a BETWEEN #b AND 5",
    ] {
        for list in ["SELECT 1", "TABLE app.t UNION ALL SELECT 1"] {
            assert!(refused(&format!("{list} {}", pairs(8, 3, condition))), "{list} {condition}");
            assert!(!refused(&format!("{list} {}", pairs(4, 2, condition))), "{list} {condition}");
        }
    }
    // These make no class of equal columns either.
    for condition in [
        "#a = ANY (ARRAY[#b, 1])",
        "#a < ANY (ARRAY[#b])",
        "#a IN (#b, 1)",
        "(#a = #b OR #a = 1)",
        "NOT (#a <> #b AND #a <> 2)",
        "(#a <> 2 AND #a <> #b) = false",
    ] {
        assert!(refused(&format!("SELECT 1 {}", pairs(8, 3, condition))), "{condition}");
    }
    // The server takes a comparison from a list into the condition around it.
    let (from, conditions) =
        pairs(8, 3, "#a < #b").split_once(" WHERE ").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    for list in [conditions.clone(), format!("CASE WHEN true THEN {conditions} END"), format!("coalesce({conditions})")]
    {
        assert!(refused(&format!("SELECT 1 FROM (SELECT {list} AS c {from}) s WHERE c")), "{list}");
        assert!(refused(&format!("WITH s AS (SELECT {list} AS c {from}) SELECT 1 FROM s WHERE c")), "{list}");
    }
    let flags = vec!["CASE WHEN t0.a < t1.b THEN 1 END"; 80].join(", ");
    assert!(!refused(&format!("WITH f AS (SELECT {flags} {from}) SELECT 1 FROM f")));
    // Without a tree: an operator beside a literal, and a row of many columns.
    let unread = |condition: &str| refused(&format!("TABLE app.t UNION ALL SELECT 1 {}", pairs(8, 3, condition)));
    assert!(unread("#a < -#b") && unread("#b + 0 > #a") && unread("0 + #a < #b"));
    assert!(!unread("#a > 5") && !unread("#a >= DATE '2026-01-01'") && !unread("#a < current_date"));
    let columns = |table: usize| (0..30).map(|at| format!("t{table}.c{at}")).collect::<Vec<_>>().join(", ");
    let rows: Vec<String> = (1..8).map(|at| format!("({}) = ({})", columns(0), columns(at))).collect();
    assert!(refused(&format!(
        "TABLE app.t UNION ALL SELECT 1 {from} WHERE {} AND {}",
        rows.join(" AND "),
        rows.join(" AND ")
    )));
    // Outer joins by keys are honest; conditions on all pairs of columns are not.
    let left = |on: usize| {
        let joins =
            (1..8).map(|at| format!("LEFT JOIN app.t t{at} ON {}", vec![format!("t0.a = t{at}.b"); on].join(" AND ")));
        format!("SELECT 1 FROM app.t t0 {}", joins.collect::<Vec<_>>().join(" "))
    };
    assert!(refused(&left(60)) && !refused(&left(20)));
    let periods = |join: &str| {
        let one =
            |at: usize| format!("{join} app.t d{at} ON d{at}.id = f.id AND f.day BETWEEN d{at}.since AND d{at}.till");
        format!("SELECT 1 FROM app.t f {}", (1..30).map(one).collect::<Vec<_>>().join(" "))
    };
    assert!(!refused(&periods("LEFT JOIN")) && refused(&periods("JOIN")));
    // Several SELECTs add up.
    let unions = vec![format!("SELECT 1 {}", pairs(6, 2, "#a < #b")); 8].join(" UNION ALL ");
    assert!(refused(&unions));
    // Constants, and what is only shown, cost nothing.
    assert!(!refused(&format!("SELECT 1 {}", pairs(8, 3, "#a < 5"))));
    let shown = vec!["t0.a < t1.b"; 200].join(", ");
    assert!(!refused(&format!("SELECT {shown} FROM app.t t0, app.t t1, app.t t2, app.t t3")));
    // Records that are compared byte by byte make merge joins, as with `=`.
    for (condition, is_demanding) in
        [("#a = #b", true), ("ROW(#a)::record *= ROW(#b)::record", true), ("#a = 5", false)]
    {
        let sql = format!("SELECT 1 {}", pairs(4, 6, condition));
        let approved = approve(&sql, Dialect::Postgresql, &Limits::default()).unwrap();
        assert_eq!(approved.is_demanding(), is_demanding, "{condition}");
    }
}

/// The parser does not know these words for SQLite. Their statement gives the same names as one without them.
#[test]
fn sqlite_may_be_told_to_materialize_a_cte() {
    let read = |sql: &str| approve(sql, Dialect::Sqlite, &Limits::default());
    let form = |hint: &str, body: &str| {
        format!("WITH c (x) AS {hint} ({body}) SELECT x FROM c JOIN \"materialized\" USING (x)")
    };
    let plain = read(&form("", "SELECT a FROM t")).unwrap();
    for hint in ["MATERIALIZED", "NOT MATERIALIZED", "not/* */materialized -- so\n"] {
        let hinted = read(&form(hint, "SELECT a FROM t")).unwrap();
        assert_eq!(hinted.names().relations, plain.names().relations, "{hint}");
        assert_eq!(hinted.names().relations.len(), 2, "{hint}");
        assert!(hinted.text().contains(hint), "{}", hinted.text());
        for body in ["DELETE FROM t RETURNING a", "SELECT load_extension('a')", "SELECT writefile('a', 'b')"] {
            assert!(read(&form(hint, body)).is_err(), "{hint} {body}");
        }
    }
    for other in ["\"MATERIALIZED\"", "NOT \"materialized\"", "MATERIALIZED MATERIALIZED", "NOT NOT MATERIALIZED"] {
        assert!(read(&form(other, "SELECT a FROM t")).is_err(), "{other}");
    }
}

#[test]
fn mentions_are_counted_by_name() {
    let approved = approve(
        "SELECT t.a FROM t, \"T\", s.t x JOIN t AS y ON t.a = y.a -- t",
        Dialect::Postgresql,
        &Limits::default(),
    );
    let approved = approved.unwrap();
    assert_eq!(approved.mentions(&["t".into()]), 3);
    assert_eq!(approved.mentions(&["T".into(), "z".into()]), 1);
}

/// Texts whose reading time grows faster than the text are refused before they are read.
#[test]
fn long_runs_of_operators_and_chains_of_ctes_are_refused() {
    for dialect in [Dialect::Postgresql, Dialect::Sqlite] {
        let signs = |count: usize| format!("SELECT 1 {}1", "+ -".repeat(count).replace(' ', ""));
        assert!(approve(&signs(20), dialect, &Limits::default()).is_ok());
        assert!(approve(&signs(4_000), dialect, &Limits::default()).is_err());
        assert!(approve(&format!("SELECT 1 -- {}", "-".repeat(9_000)), dialect, &Limits::default()).is_ok());
        let chain = |count: usize| {
            let links = (1..count).map(|at| format!(", c{at} AS (SELECT * FROM c{})", at - 1)).collect::<String>();
            format!("WITH c0 AS (SELECT 1 AS a){links} SELECT * FROM c{}", count - 1)
        };
        assert!(approve(&chain(100), dialect, &Limits::default()).is_ok());
        let refused = approve(&chain(101), dialect, &Limits::default());
        assert!(matches!(refused, Err(Rejection::ManyCtes { .. })), "{refused:?}");
        let written = chain(101).replace("AS (SELECT *", "AS MATERIALIZED (SELECT *");
        assert!(matches!(approve(&written, dialect, &Limits::default()), Err(Rejection::ManyCtes { .. })));
    }
}

#[test]
fn a_built_in_collation_may_be_written_with_its_schema() {
    let read = |sql: &str| approve(sql, Dialect::Postgresql, &Limits::default());
    for sql in [
        "SELECT name FROM customers ORDER BY name COLLATE pg_catalog.\"C\"",
        "SELECT name COLLATE pg_catalog.\"default\" FROM customers",
    ] {
        assert!(read(sql).is_ok(), "{sql}: {:?}", read(sql));
    }
    for sql in [
        "SELECT * FROM pg_catalog.pg_authid",
        "SELECT a COLLATE \"C\" FROM pg_catalog.pg_authid",
        "TABLE pg_catalog.pg_shadow",
    ] {
        assert!(read(sql).is_err(), "{sql}");
    }
}
