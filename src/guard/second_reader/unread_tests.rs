//! Every word that the parser or a database may take for something other than a column, at every place of a column.

use std::collections::BTreeSet;

use crate::dialect::Dialect::{self, Postgresql, Sqlite};
use crate::guard::Rejection;
use crate::guard::approve;
use crate::guard::columns::{RuledTable, judge};
use crate::limits::Limits;
use crate::quoting::is_reserved;

const POSTGRES_WORDS: &str = include_str!("../../../tests/safety/words_postgres.txt");
const SQLITE_WORDS: &str = include_str!("../../../tests/safety/words_sqlite.txt");
const TYPES: &str = include_str!("../../../tests/safety/words_types.txt");

/// All keywords of both databases and of the parser, and the names of PostgreSQL's types.
fn words() -> BTreeSet<String> {
    let lists = [POSTGRES_WORDS, SQLITE_WORDS, TYPES, "email _email secret"];
    let listed = lists.iter().flat_map(|list| list.split_ascii_whitespace()).map(str::to_owned);
    // `END-EXEC` is two words to a database.
    let parser_words = sqlparser::keywords::ALL_KEYWORDS.iter().copied().filter(|word| !word.contains('-'));
    listed.chain(parser_words.map(str::to_lowercase)).collect()
}

/// Statements of both dialects in which `{w}` is a column, if it can be one without quotes.
const TEMPLATES: &[&str] = &[
    "SELECT {w} FROM docs",
    "SELECT {w}, id FROM docs",
    "SELECT id, {w} x FROM docs",
    "SELECT {w} x FROM docs",
    "SELECT {w} \"x\" FROM docs",
    "SELECT {w} AS x FROM docs",
    "SELECT DISTINCT {w} FROM docs",
    "SELECT ALL {w} FROM docs",
    "SELECT {w} + 1 FROM docs",
    "SELECT {w} - 1 FROM docs",
    "SELECT {w} * 2 FROM docs",
    "SELECT -{w} FROM docs",
    "SELECT + {w} FROM docs",
    "SELECT NOT {w} FROM docs",
    "SELECT ({w}) FROM docs",
    "SELECT (({w})) x FROM docs",
    "SELECT CAST({w} AS varchar) FROM docs",
    "SELECT {w} IS NULL FROM docs",
    "SELECT {w} = 'x' FROM docs",
    "SELECT {w} <> id FROM docs",
    "SELECT id = {w} FROM docs",
    "SELECT {w} || 'x' FROM docs",
    "SELECT 'x' || {w} FROM docs",
    "SELECT docs.{w} FROM docs",
    "SELECT d.{w} x FROM docs d",
    "SELECT d.{w} \"x\" FROM docs d",
    "SELECT d . {w} FROM docs AS d",
    "SELECT CASE WHEN {w} IS NULL THEN 1 END FROM docs",
    "SELECT CASE {w} WHEN 'a' THEN 1 ELSE 2 END FROM docs",
    "SELECT CASE WHEN id = 1 THEN {w} ELSE 'x' END FROM docs",
    "SELECT upper({w}) FROM docs",
    "SELECT max({w}) FROM docs",
    "SELECT count(DISTINCT {w}) FROM docs",
    "SELECT coalesce(id, {w}) FROM docs",
    "SELECT id IN ({w}, 2) FROM docs",
    "SELECT {w} IN ('a') FROM docs",
    "SELECT id BETWEEN {w} AND 2 FROM docs",
    "SELECT {w} BETWEEN 1 AND 2 FROM docs",
    "SELECT id FROM docs WHERE {w} IS NOT NULL",
    "SELECT id FROM docs WHERE {w}",
    "SELECT id FROM docs WHERE {w} LIKE 'a%'",
    "SELECT id FROM docs WHERE 'abc' LIKE {w}",
    "SELECT id FROM docs WHERE id = 1 AND {w} = 'x'",
    "SELECT id FROM docs ORDER BY {w}",
    "SELECT id FROM docs ORDER BY {w} DESC",
    "SELECT id FROM docs ORDER BY id, {w}",
    "SELECT id FROM docs GROUP BY id, {w}",
    "SELECT id FROM docs GROUP BY id HAVING max({w}) > 'a'",
    "SELECT sum(id) OVER (PARTITION BY {w}) FROM docs",
    "SELECT sum(id) OVER (ORDER BY {w}) FROM docs",
    "SELECT sum(id) OVER w FROM docs WINDOW w AS (ORDER BY {w})",
    "SELECT count(*) FILTER (WHERE {w} = 'x') FROM docs",
    "SELECT (SELECT {w}) FROM docs",
    "SELECT id FROM docs WHERE EXISTS (SELECT {w})",
    "SELECT q.a FROM (SELECT {w} AS a FROM docs) q",
    "SELECT q.a FROM (SELECT {w} a FROM docs) q",
    "WITH q AS (SELECT {w} FROM docs) SELECT * FROM q",
    "SELECT id FROM docs UNION ALL SELECT {w} FROM docs",
    "SELECT a.id FROM docs a JOIN docs b ON a.{w} = b.id",
    "SELECT a.id FROM docs a JOIN docs b ON {w} = b.id",
    "SELECT a.id FROM docs a JOIN docs b USING ({w})",
    "SELECT id FROM docs LIMIT (SELECT {w} FROM docs)",
    "SELECT {w} /* c */ \"x\" -- d\n FROM docs",
];

/// What one of the databases alone takes.
const POSTGRES_TEMPLATES: &[&str] = &[
    "SELECT {w}::varchar FROM docs",
    "SELECT {w} AT TIME ZONE 'UTC' FROM docs",
    "SELECT {w} COLLATE \"C\" FROM docs",
    "SELECT ARRAY[{w}] FROM docs",
    "SELECT ROW({w}, 1) FROM docs",
    "SELECT {w}[1] FROM docs",
    "SELECT (docs).{w} FROM docs",
    "SELECT {w} IS DISTINCT FROM 'x' FROM docs",
    "SELECT {w} ~ 'x' FROM docs",
    "SELECT extract(year FROM {w}) FROM docs",
    "SELECT DISTINCT ON ({w}) id FROM docs",
    "SELECT l.a FROM docs, LATERAL (SELECT {w} AS a) l",
    "SELECT json_build_object('a', {w}) FROM docs",
    "SELECT string_agg('a', 'b' ORDER BY {w}) FROM docs",
];
const SQLITE_TEMPLATES: &[&str] = &[
    "SELECT {w} 'x' FROM docs",
    "SELECT d.{w} 'x' FROM docs d",
    "SELECT {w} COLLATE NOCASE FROM docs",
    "SELECT {w} ISNULL FROM docs",
    "SELECT {w} GLOB 'a*' FROM docs",
    "SELECT {w} == 'x' FROM docs",
    "SELECT {w} IS 'x' FROM docs",
    "SELECT d.'{w}' FROM docs d",
    "SELECT d . '{w}' x FROM docs d",
    "SELECT [{w}] 'x' FROM docs",
    "SELECT `{w}` 'x' FROM docs",
    "SELECT id FROM docs LIMIT 1 OFFSET (SELECT {w} FROM docs)",
];

/// A table all of whose columns are denied, or masked.
fn ruled(columns: &BTreeSet<String>, is_denied: bool) -> RuledTable {
    let (all, none) = (columns.clone(), BTreeSet::new());
    RuledTable {
        table: "docs".into(),
        columns: columns.iter().cloned().collect(),
        denied: if is_denied { all.clone() } else { none.clone() },
        masked: if is_denied { none } else { all },
        ..RuledTable::default()
    }
}

/// Judges all words at all places of one dialect: how many statements there were, and those that show a value.
fn shown(dialect: Dialect, own: &[&str], words: &BTreeSet<String>) -> (usize, Vec<String>) {
    let (mut judged, mut wrong) = (0, Vec::new());
    for word in words {
        let column = BTreeSet::from([word.clone()]);
        let (denied, covered) = (ruled(&column, true), ruled(&column, false));
        let quoted = format!("\"{word}\"");
        for (spelling, template) in TEMPLATES.iter().chain(own).flat_map(|text| [(word, text), (&quoted, text)]) {
            let in_quotes = ["'{w}", " [{w}", "`{w}"].iter().any(|quote| template.contains(quote));
            // Without quotes a reserved word is a column after a dot alone.
            let follows_dot = template.contains(".{w}") || template.contains(". {w}");
            let no_column = spelling == word && is_reserved(dialect, word) && !follows_dot && !in_quotes;
            if no_column || (spelling == &quoted && in_quotes) {
                continue;
            }
            let sql = template.replace("{w}", spelling);
            judged += 1;
            let Ok(approved) = approve(&sql, dialect, &Limits::default()) else { continue };
            let judge = |table| judge(approved.names().uses.as_ref(), std::slice::from_ref(table));
            if judge(&denied).is_ok() || judge(&covered).is_ok_and(|places| places.is_empty()) {
                wrong.push(sql);
            }
        }
    }
    (judged, wrong)
}

#[test]
fn no_word_makes_a_column_invisible() {
    let words = words();
    assert!(words.len() > 900, "{}", words.len());
    std::thread::scope(|scope| {
        for (dialect, own) in [(Postgresql, POSTGRES_TEMPLATES), (Sqlite, SQLITE_TEMPLATES)] {
            let words = &words;
            scope.spawn(move || {
                let (judged, wrong) = shown(dialect, own, words);
                assert!(judged > 100_000, "{judged}");
                let some: Vec<&String> = wrong.iter().take(40).collect();
                assert!(wrong.is_empty(), "{dialect:?}: {} of {judged}: {some:#?}", wrong.len());
            });
        }
    });
}

#[test]
fn a_name_that_is_no_column_is_no_use_of_one() {
    let columns =
        ["email", "docs", "lower", "w", "date", "order", "year", "text", "time", "j", "last", "position", "c"];
    let columns: BTreeSet<String> = columns.map(str::to_owned).into();
    let both = &[
        "SELECT id AS email FROM docs d",
        "SELECT id email FROM docs d",
        "SELECT count(*) AS \"email\" FROM docs d",
        "SELECT email.id FROM docs AS email",
        "SELECT email.id FROM docs email",
        "SELECT email.* FROM (SELECT id FROM docs d) email",
        "WITH email AS (SELECT id FROM docs d) SELECT count(*) FROM email",
        "WITH q(email, n) AS (SELECT id, 1 FROM docs d) SELECT q.n FROM q",
        "SELECT sum(d.id) OVER email FROM docs d WINDOW email AS (ORDER BY d.id)",
        "SELECT lower('X') FROM docs d",
        "SELECT d.id AS total FROM docs d ORDER BY total DESC NULLS LAST",
        "SELECT a.id FROM docs a JOIN other b USING (id) ORDER BY 1",
        "SELECT CAST(d.id AS text) AS time FROM docs d",
        "SELECT x.id FROM docs d JOIN email x ON x.id = d.id",
        "SELECT count(*) FROM docs d GROUP BY id ORDER BY id",
        "SELECT id COLLATE \"c\" FROM docs d",
        "SELECT CASE WHEN id BETWEEN 1 AND 2 THEN true ELSE false END FROM docs d ORDER BY id ASC NULLS FIRST",
        "SELECT sum(d.id) FILTER (WHERE d.id > 1) OVER (PARTITION BY d.kind ORDER BY d.id ROWS BETWEEN UNBOUNDED \
         PRECEDING AND CURRENT ROW) FROM docs d",
        "SELECT sum(d.id) OVER (ORDER BY d.id GROUPS BETWEEN 1 PRECEDING AND 2 FOLLOWING) FROM docs d",
        "SELECT a.id FROM docs a LEFT OUTER JOIN other b ON b.id = a.id CROSS JOIN third FULL JOIN fourth f ON f.id = a.id",
        "WITH RECURSIVE q(n) AS (SELECT id FROM docs d UNION ALL SELECT n + 1 FROM q WHERE n < 5) SELECT n FROM q",
        "WITH q AS (SELECT d.id FROM docs d) SELECT q.id FROM q LIMIT 3 OFFSET 1",
        "SELECT d.id FROM docs d WHERE d.name LIKE 'a%' ESCAPE '!' AND d.id IS NOT DISTINCT FROM 4",
    ];
    let postgres = &[
        "SELECT d.id FROM docs d JOIN public.date x ON x.id = d.id",
        "SELECT d.id FROM docs d WHERE d.at > date '2026-01-01'",
        "SELECT text 'x', time '10:00', interval '1' year, interval '1 day' FROM docs d",
        "SELECT id::text, id::date, '2026-01-01 10:00'::timestamp with time zone FROM docs d",
        "SELECT extract(year FROM d.at) FROM docs d",
        "SELECT d.at AT TIME ZONE 'UTC' FROM docs d",
        "SELECT position('a' IN 'b'), 'x'::public.text FROM docs d",
        "SELECT make_interval(year => 1) FROM docs d",
        "SELECT x.n FROM docs d, unnest(ARRAY[1]) AS x(n)",
        "WITH q AS MATERIALIZED (SELECT d.id FROM docs d) SELECT q.id FROM q",
        "SELECT d.id FROM docs d ORDER BY d.id FETCH FIRST 3 ROWS WITH TIES",
        "SELECT d.id FROM docs d ORDER BY d.id OFFSET 1 ROW FETCH NEXT ROW ONLY",
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY d.id) FROM docs d",
        "SELECT d.id FROM docs d TABLESAMPLE SYSTEM (10) REPEATABLE (1)",
        "SELECT x.n FROM docs d, unnest(ARRAY[1]) WITH ORDINALITY AS x(n, o)",
        "SELECT d.name IS NFC NORMALIZED, d.ok IS UNKNOWN FROM docs d",
        "SELECT d.id FROM docs d GROUP BY GROUPING SETS ((d.id), ())",
        "SELECT d.id::double precision, CAST(d.id AS character varying (3)), d.at AT TIME ZONE 'UTC' FROM docs d",
        "SELECT interval '1-2' year to month, interval '1 2:03' day to second FROM docs d",
        "SELECT pg_catalog.lower(d.name) FROM docs d",
        "SELECT json_object('a': d.id ABSENT ON NULL) FROM docs d",
    ];
    let sqlite = &[
        "SELECT d.id FROM docs d WHERE d.name GLOB 'a*' OR d.name REGEXP 'a' OR d.name MATCH 'b'",
        "SELECT d.id FROM docs d RIGHT JOIN other o ON o.id = d.id ORDER BY d.id DESC NULLS LAST",
    ];
    let mut refused = Vec::new();
    for (dialect, own) in [(Postgresql, &postgres[..]), (Sqlite, &sqlite[..])] {
        let table = ruled(&columns, true);
        for sql in both.iter().chain(own) {
            let approved = match approve(sql, dialect, &Limits::default()) {
                Ok(approved) => approved,
                Err(error) => {
                    refused.push(format!("{dialect:?}: {sql}: {error}"));
                    continue;
                }
            };
            if let Err(error) = judge(approved.names().uses.as_ref(), std::slice::from_ref(&table)) {
                refused.push(format!("{dialect:?}: {sql}: {error}"));
            }
        }
    }
    assert!(refused.is_empty(), "{refused:#?}");
}

#[test]
fn the_refusal_names_the_column() {
    let columns: BTreeSet<String> = ["interval", "text"].map(str::to_owned).into();
    for (is_denied, sql) in [(true, "SELECT interval + 1 FROM docs"), (false, "SELECT text \"x\" FROM docs")] {
        let approved = approve(sql, Postgresql, &Limits::default()).unwrap();
        let error = judge(approved.names().uses.as_ref(), &[ruled(&columns, is_denied)]).unwrap_err();
        let Rejection::Column { column, is_denied: told, .. } = error else { panic!("{error}") };
        assert_eq!(told, is_denied);
        assert!(sql.contains(column.trim_start_matches("docs.")), "{column}");
    }
}
