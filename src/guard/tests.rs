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
        (P, "SELECT public.f(1)", Some(FunctionRefused)),
        (P, "SELECT \"Count\"(1)", Some(FunctionRefused)),
        (P, "SELECT query_to_xml('delete from t', true, true, '')", Some(FunctionRefused)),
        (P, "SELECT nextval('s')", Some(FunctionRefused)),
        (P, "SELECT 1 OPERATOR(public.+) 2", Some(FunctionRefused)),
        (P, "SELECT * FROM pg_authid", Some(RelationRefused)),
        (P, "SELECT * FROM pg_catalog.pg_shadow", Some(RelationRefused)),
        (P, "WITH pg_authid AS (SELECT * FROM pg_authid) SELECT * FROM pg_authid", Some(RelationRefused)),
        (P, "SELECT * FROM pg_stat_activity", Some(RelationRefused)),
        (P, "SELECT 'a' ||/*' */ pg_read_file($$/etc/hostname$$) --'", Some(StatementRefused)),
        (P, "SELECT E'a'\n'\\' , ' , pg_read_file($$x$$) --'", Some(StatementRefused)),
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
    for (dialect, sql, expected) in cases {
        assert_eq!(&verdict(*dialect, sql), expected, "{dialect:?}: {sql}");
    }
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
    assert_eq!(approved("SELECT 'x''''y' -- a\n ;; ").text(), "SELECT 'x''''y' -- a\n ");
    assert_eq!(approved("EXPLAIN (FORMAT JSON) SELECT 1").text(), "SELECT 1");
    assert!(approved("EXPLAIN SELECT 1").is_explain());
    assert_eq!(approved("WITH a AS (SELECT * FROM b.c) SELECT * FROM a, d").names().relations, ["b.c", "d"]);
}

#[test]
fn a_syntax_error_names_its_character() {
    let Err(Rejection::Syntax { position, .. }) =
        approve("SELECT é\nFROM t WHERE )", Dialect::Sqlite, &Limits::default())
    else {
        panic!("it must not parse");
    };
    assert_eq!(position, Some(23));
}
