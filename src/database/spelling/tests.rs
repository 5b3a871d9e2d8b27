//! The hint for each mistake, with the words of the servers as measured on PostgreSQL 15 and SQLite 3.51.

use super::*;
use serde_json::json;

fn snapshot(dialect: Dialect) -> Snapshot {
    let kin = |name: &str| if dialect == Dialect::Sqlite { json!([["", name]]) } else { json!([["public", name]]) };
    let table = |name: &str, columns: serde_json::Value| {
        let shown = if dialect == Dialect::Sqlite {
            name.to_owned()
        } else {
            format!("public.{}", quoting::name(dialect, name))
        };
        serde_json::from_value(json!({"name": shown, "kind": "table", "kin": kin(name), "columns": columns})).unwrap()
    };
    Snapshot::of(vec![
        table("order", json!([{"name": "id", "type": "integer"}, {"name": "1_x", "type": "integer"}])),
        table("cities v1.2", json!([{"name": "name", "type": "text"}])),
        table("User", json!([{"name": "feel", "type": "public.mood", "values": ["happy", "it's sad"]}])),
    ])
}

fn hint(dialect: Dialect, code: Code, state: &str, message: &str, sql: &str) -> String {
    let mut error = ToolError::new(code, message);
    error.sqlstate = Some(state.to_owned()).filter(|state| !state.is_empty());
    remedy(dialect, &error, sql, Some(&snapshot(dialect))).unwrap_or_default()
}

/// What PostgreSQL 15 and the guard say of each statement, as measured, and the hint.
#[test]
fn postgresql_hints() {
    let missing = |call: &str| format!("function {call} does not exist");
    let hint = |state: &str, message: &str, sql: &str| hint(Dialect::Postgresql, Code::SqlError, state, message, sql);
    for (state, message, sql, wanted) in [
        (
            "42703",
            "column \"success\" does not exist".to_owned(),
            "SELECT 1 FROM t WHERE status = \"success\"",
            "Double quotes are for names. A text stands in single quotes: 'success'.",
        ),
        (
            "42703",
            "column \"n\" does not exist".to_owned(),
            "SELECT id AS n FROM t WHERE n > 5",
            "n is an alias of the select list, which WHERE and HAVING do not know: repeat its expression there, or write SELECT * FROM (..) AS q WHERE n ..",
        ),
        (
            "42601",
            "syntax error at or near \".2\"".to_owned(),
            "SELECT * FROM cities v1.2",
            "This name needs double quotes: \"cities v1.2\".",
        ),
        (
            "42601",
            "syntax error at or near \".\"".to_owned(),
            "SELECT 1 FROM \"User\" u WHERE User.id = 1",
            "This name needs double quotes: \"User\".",
        ),
        (
            "42883",
            missing("round(double precision, integer)"),
            "SELECT round(score, 2) FROM t",
            "round with digits takes numeric: round(x::numeric, 2).",
        ),
        (
            "42883",
            missing("strftime(unknown, date)"),
            "SELECT strftime('%Y', d) FROM t",
            "PostgreSQL has no such strftime; write to_char(d, 'YYYY-MM').",
        ),
        (
            "42883",
            missing("ifnull(text, unknown)"),
            "SELECT IFNULL(a, 'x') FROM t",
            "PostgreSQL has no such ifnull; write coalesce(a, b).",
        ),
        (
            "42883",
            missing("sum(text)"),
            "SELECT sum(name) FROM t",
            "The column holds no numbers: convert it, as in sum(CAST(x AS numeric)).",
        ),
        (
            "42883",
            missing("app.secret_of(integer)"),
            "SELECT * FROM view_of_it",
            "A view or an index that the statement reads calls secret_of; read the tables of the view instead.",
        ),
        (
            "42803",
            "column \"t.name\" must appear in the GROUP BY clause or be used in an aggregate function".to_owned(),
            "SELECT name, count(*) FROM t",
            "Add t.name to GROUP BY, or put it into an aggregate such as max(..).",
        ),
        (
            "42803",
            "aggregate functions are not allowed in WHERE".to_owned(),
            "SELECT 1 FROM t WHERE count(*) > 1",
            "A condition on an aggregate goes into HAVING, after GROUP BY.",
        ),
        (
            "22012",
            "division by zero".to_owned(),
            "SELECT 1/0",
            "Divide by nullif(x, 0): the result is then NULL where x is 0.",
        ),
        (
            "22003",
            "bigint out of range".to_owned(),
            "SELECT pop * 10 FROM t",
            "The result is too large for its type: compute with CAST(x AS numeric).",
        ),
        (
            "22P02",
            "invalid input value for enum public.mood: \"angry\"".to_owned(),
            "SELECT 1 FROM t WHERE feel = 'angry'",
            "The labels are 'happy', 'it''s sad'.",
        ),
        (
            "42601",
            "syntax error at or near \"FROM\"".to_owned(),
            "SELECT `name` FROM t",
            "PostgreSQL quotes names with double quotes: \"name\".",
        ),
        (
            "42601",
            "syntax error at or near \"1\"".to_owned(),
            "SELECT DATE_SUB(born, INTERVAL 1 DAY) FROM t",
            "Write the interval as a text: d + interval '1 day'.",
        ),
        (
            "08001",
            "could not connect to server \"far\"".to_owned(),
            "SELECT * FROM far_away",
            "A table of the statement is on another server, which cannot be reached. Other tables can be read.",
        ),
        (
            "HV005",
            "column \"x\" of remote table does not exist".to_owned(),
            "SELECT x FROM far",
            "A foreign table differs from the table on its server: its owner has to define it again. Other tables can be read.",
        ),
        // No guess where nothing is recognised, and nothing inside a text counts.
        ("42601", "syntax error at or near \"x\"".to_owned(), "SELECT 'TOP 5 `order`' x x", ""),
        ("42703", "column \"zzz\" does not exist".to_owned(), "SELECT zzz FROM t", ""),
    ] {
        assert_eq!(hint(state, &message, sql), wanted, "{sql}");
    }
    let refused = |sql: &str| {
        super::tests::hint(
            Dialect::Postgresql,
            Code::StatementRefused,
            "",
            "this kind of statement is not permitted",
            sql,
        )
    };
    assert_eq!(
        refused("SHOW TABLES"),
        "list_tables lists the tables, and describe_table shows the columns of a table."
    );
    assert_eq!(
        refused("DESCRIBE orders"),
        "describe_table shows the columns of a table; list_tables lists the tables."
    );
    assert_eq!(refused("SELECT TOP 5 * FROM t"), "PostgreSQL has no TOP: end the statement with LIMIT.");
    assert_eq!(refused("SHOW search_path"), "");
    let unread = super::tests::hint(
        Dialect::Postgresql,
        Code::SyntaxError,
        "",
        "Unexpected character '_'",
        "SELECT 1_x FROM \"order\"",
    );
    assert_eq!(unread, "This name needs double quotes: \"1_x\".");
}

#[test]
fn sqlite_hints() {
    let refused =
        |name: &str| format!("function {name} is refused: it is not on the list of functions known to be harmless");
    for (code, message, sql, wanted) in [
        (
            Code::FunctionRefused,
            refused("date_trunc"),
            "SELECT date_trunc('month', d) FROM t",
            "SQLite has no such date_trunc; write strftime('%Y-%m-01', d), or date(d, 'start of month').",
        ),
        (
            Code::FunctionRefused,
            refused("to_char"),
            "SELECT to_char(d, 'YYYY') FROM t",
            "SQLite has no such to_char; write strftime('%Y-%m', d).",
        ),
        (
            Code::FunctionRefused,
            refused("extract"),
            "SELECT extract(year FROM d) FROM t",
            "SQLite has no such extract; write CAST(strftime('%Y', d) AS INTEGER).",
        ),
        (Code::FunctionRefused, refused("now"), "SELECT now()", "SQLite has no such now; write datetime('now')."),
        (
            Code::SqlError,
            "near \"order\": syntax error".to_owned(),
            "SELECT * FROM order",
            "This name needs double quotes: \"order\".",
        ),
        (
            Code::SqlError,
            "near \"ILIKE\": syntax error".to_owned(),
            "SELECT 1 FROM t WHERE n ILIKE '%a%'",
            "SQLite has no ILIKE: its LIKE already ignores the case of ASCII letters.",
        ),
        (
            Code::SqlError,
            "near \"ON\": syntax error".to_owned(),
            "SELECT DISTINCT ON (a) a FROM t",
            "SQLite has no DISTINCT ON: number the rows with row_number() OVER (PARTITION BY ..) and keep 1.",
        ),
        (
            Code::SqlError,
            "near \"(\": syntax error".to_owned(),
            "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a) FROM t",
            "SQLite has no WITHIN GROUP: write median(x), or percentile(x, 90).",
        ),
        (
            Code::StatementRefused,
            "a text that the database may read differently is not permitted".to_owned(),
            "SELECT born::date FROM t",
            "SQLite has no :: cast: write CAST(x AS TEXT), or date(x) for days.",
        ),
        (
            Code::SqlError,
            "no such column: success".to_owned(),
            "SELECT 1 FROM t WHERE status = \"success\"",
            "Double quotes are for names. A text stands in single quotes: 'success'.",
        ),
        (
            Code::SqlError,
            "no such function: levenshtein".to_owned(),
            "SELECT * FROM view_of_it",
            "A view or an index that the statement reads calls levenshtein; read the tables of the view instead.",
        ),
        (Code::SqlError, "incomplete input".to_owned(), "SELECT 1 LIMIT 5 OFFSET", ""),
    ] {
        assert_eq!(hint(Dialect::Sqlite, code, "", &message, sql), wanted, "{sql}");
    }
}

#[test]
fn a_value_of_the_session_is_no_table() {
    let postgresql = snapshot(Dialect::Postgresql);
    let warned = |sql: &str| value_for_table(Dialect::Postgresql, sql, &postgresql);
    assert_eq!(
        warned("SELECT * FROM User").as_deref(),
        Some("User without quotes is a value of the session and no table; the table is public.\"User\"")
    );
    assert!(warned("SELECT 1 FROM \"order\" o JOIN user u ON true").is_some());
    for sql in [
        "SELECT * FROM \"User\"",
        "SELECT * FROM public.\"User\"",
        "SELECT user",
        "SELECT 'FROM user'",
        "SELECT 1 FROM current_date",
    ] {
        assert_eq!(warned(sql), None, "{sql}");
    }
}

#[test]
fn each_function_stands_in_the_table_once() {
    let names: Vec<&str> = FUNCTIONS.iter().flat_map(|(names, _, _)| names.iter().copied()).collect();
    let mut once = names.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(names.len(), once.len());
}
