//! Hints for statements in another dialect, or that the database cannot parse: the form in the dialect of the source.
//! Pure. The statement is read as tokens, so that nothing inside a text or a comment counts.

use std::collections::HashSet;

use sqlparser::dialect::GenericDialect;
use sqlparser::tokenizer::{Token, Tokenizer};

use super::catalog::{Snapshot, TableDescription};
use crate::dialect::Dialect;
use crate::error::{Code, ToolError};
use crate::quoting;

/// Functions that at least one dialect lacks or calls by another name: names, the form in PostgreSQL, the form in SQLite.
/// An empty form means that no hint is needed. Sources: the manuals of PostgreSQL 18 and SQLite 3.51.
const FUNCTIONS: [(&[&str], &str, &str); 44] = [
    (&["strftime"], "to_char(d, 'YYYY-MM')", ""),
    (&["date_format"], "to_char(d, 'YYYY-MM')", "strftime('%Y-%m', d)"),
    (&["to_char"], "", "strftime('%Y-%m', d)"),
    (&["date_trunc"], "", "strftime('%Y-%m-01', d), or date(d, 'start of month')"),
    (&["year"], "extract(year FROM d)", "CAST(strftime('%Y', d) AS INTEGER)"),
    (&["month"], "extract(month FROM d)", "CAST(strftime('%m', d) AS INTEGER)"),
    (&["day", "dayofmonth"], "extract(day FROM d)", "CAST(strftime('%d', d) AS INTEGER)"),
    (&["weekday", "dayofweek", "dayname"], "extract(isodow FROM d), or to_char(d, 'Day')", "strftime('%w', d)"),
    (&["hour"], "extract(hour FROM t)", "CAST(strftime('%H', t) AS INTEGER)"),
    (&["extract", "date_part"], "", "CAST(strftime('%Y', d) AS INTEGER)"),
    (&["now", "getdate", "sysdate", "localtimestamp"], "now()", "datetime('now')"),
    (&["curdate", "today"], "current_date", "date('now')"),
    (
        &["datediff", "timestampdiff", "age", "julianday"],
        "a - b for dates, or extract(epoch FROM a - b)",
        "julianday(a) - julianday(b)",
    ),
    (&["dateadd", "date_add", "date_sub", "adddate", "subdate"], "d + interval '1 day'", "date(d, '+1 day')"),
    (
        &["last_day"],
        "date_trunc('month', d) + interval '1 month - 1 day'",
        "date(d, 'start of month', '+1 month', '-1 day')",
    ),
    (&["to_date", "str_to_date"], "to_date(x, 'YYYY-MM-DD'), or x::date", "date(x)"),
    (&["to_timestamp", "from_unixtime"], "to_timestamp(n)", "datetime(n, 'unixepoch')"),
    (&["unix_timestamp", "unixepoch"], "extract(epoch FROM t)", "unixepoch(t)"),
    (&["ifnull", "nvl", "isnull", "nvl2"], "coalesce(a, b)", "coalesce(a, b)"),
    (&["iif", "if", "decode"], "CASE WHEN c THEN a ELSE b END", "iif(c, a, b)"),
    (&["group_concat", "listagg", "wm_concat"], "string_agg(x, ',')", "group_concat(x, ',')"),
    (&["array_agg"], "", "json_group_array(x)"),
    (
        &["median", "percentile", "percentile_cont", "percentile_disc"],
        "percentile_cont(0.5) WITHIN GROUP (ORDER BY x)",
        "median(x), or percentile(x, 90)",
    ),
    (
        &["stddev", "stddev_pop", "stddev_samp", "std", "variance", "var_pop"],
        "stddev_samp(x)",
        "sqrt(avg(x * x) - avg(x) * avg(x))",
    ),
    (&["len", "datalength", "char_length"], "length(x)", "length(x)"),
    (&["left"], "left(x, n)", "substr(x, 1, n)"),
    (&["right"], "right(x, n)", "substr(x, -n)"),
    (&["mid"], "substr(x, from, n)", "substr(x, from, n)"),
    (&["instr", "charindex", "locate"], "strpos(x, 'a')", "instr(x, 'a')"),
    (&["position", "strpos"], "strpos(x, 'a')", "instr(x, 'a')"),
    (&["substring_index", "split_part"], "split_part(x, ',', 1)", "substr(x, 1, instr(x || ',', ',') - 1)"),
    (&["ucase"], "upper(x)", "upper(x)"),
    (&["lcase"], "lower(x)", "lower(x)"),
    (&["lpad", "rpad", "space"], "lpad(x, n)", "printf('%10s', x)"),
    (&["regexp_replace", "regexp_matches", "regexp_match", "regexp_like"], "x ~ 'pattern'", "LIKE or GLOB"),
    (&["greatest"], "greatest(a, b)", "max(a, b)"),
    (&["least"], "least(a, b)", "min(a, b)"),
    (&["truncate"], "trunc(x)", "trunc(x)"),
    (&["rand"], "random()", "random()"),
    (
        &["generate_series"],
        "",
        "a recursive CTE: WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10)",
    ),
    (&["unnest", "json_array_elements", "jsonb_array_elements"], "", "json_each(x)"),
    (&["json_extract"], "x ->> 'key'", "json_extract(x, '$.key')"),
    (&["convert", "try_cast", "safe_cast", "to_number"], "CAST(x AS numeric)", "CAST(x AS REAL)"),
    (&["total"], "coalesce(sum(x), 0)", "total(x)"),
];

/// Statements with more tokens are not searched for names without quotes.
const MOST_TOKENS: usize = 2_000;

/// Statements that are longer are not looked through for a warning.
const MOST_BYTES: usize = 10_000;

/// Maximum number of names that one hint quotes.
const MOST_NAMES: usize = 3;

/// True if a hint of this module can fit the error, so that the statement and the schema are worth a look.
pub fn may_help(error: &ToolError) -> bool {
    matches!(error.code, Code::SqlError | Code::SyntaxError | Code::StatementRefused | Code::FunctionRefused)
}

/// Returns a hint that corrects the statement. `None` if no hint fits. Some hints need the snapshot.
pub fn remedy(dialect: Dialect, error: &ToolError, sql: &str, snapshot: Option<&Snapshot>) -> Option<String> {
    let tokens = tokens_of(sql);
    let state = error.sqlstate.as_deref().unwrap_or_default();
    let is_unread = matches!(error.code, Code::SyntaxError | Code::StatementRefused)
        || state == "42601"
        || dialect == Dialect::Sqlite
            && (error.message.contains("syntax error") || error.message.contains("incomplete"));
    of_state(error, snapshot)
        .or_else(|| of_missing_function(dialect, error, &tokens))
        .or_else(|| of_alias_or_text(dialect, error, &tokens, snapshot))
        .or_else(|| is_unread.then(|| of_syntax(dialect, &tokens, snapshot)).flatten())
}

/// The tokens of a text without blanks and comments. Empty if the text cannot be read as tokens.
fn tokens_of(text: &str) -> Vec<Token> {
    let tokens = Tokenizer::new(&GenericDialect {}, text).tokenize().unwrap_or_default();
    tokens.into_iter().filter(|token| !matches!(token, Token::Whitespace(_))).collect()
}

/// Remedies by the error's own code.
fn of_state(error: &ToolError, snapshot: Option<&Snapshot>) -> Option<String> {
    let message = error.message.as_str();
    let quoted = || message.split('"').nth(1);
    match error.sqlstate.as_deref()? {
        "22012" => Some("Divide by nullif(x, 0): the result is then NULL where x is 0.".into()),
        "22003" => Some("The result is too large for its type: compute with CAST(x AS numeric).".into()),
        "42803" if message.contains("must appear in the GROUP BY clause") => {
            let parts = quoted()?.split('.').map(|part| quoting::name(Dialect::Postgresql, part));
            let column = parts.collect::<Vec<_>>().join(".");
            Some(format!("Add {column} to GROUP BY, or put it into an aggregate such as max(..)."))
        }
        "42803" if message.contains("not allowed in WHERE") => {
            Some("A condition on an aggregate goes into HAVING, after GROUP BY.".into())
        }
        "22P02" if message.starts_with("invalid input value for enum") => {
            let type_name = message.strip_prefix("invalid input value for enum ")?.split(':').next()?;
            let bare = |name: &str| name.rsplit('.').next().unwrap_or_default().trim_matches('"').to_owned();
            let columns = snapshot?.tables.iter().flat_map(|table| &table.columns);
            let labels = columns.filter(|column| bare(&column.type_name) == bare(type_name)).map(|column| &column.values);
            let labels = labels.max_by_key(|labels| labels.len()).filter(|labels| !labels.is_empty())?;
            let labels: Vec<String> = labels.iter().take(30).map(|label| quoting::literal(label)).collect();
            Some(format!("The labels are {}.", labels.join(", ")))
        }
        // Foreign tables: the other server is away, or has changed.
        "08001" | "08006" | "HV00N" => {
            Some("A table of the statement is on another server, which cannot be reached. Other tables can be read.".into())
        }
        "HV005" | "HV00R" => Some(
            "A foreign table differs from the table on its server: its owner has to define it again. Other tables can be read."
                .into(),
        ),
        "42883" if message.starts_with("function round(double precision, integer)") => {
            Some("round with digits takes numeric: round(x::numeric, 2).".into())
        }
        "42883" if ["function sum(", "function avg("].iter().any(|start| message.starts_with(start)) => {
            Some("The column holds no numbers: convert it, as in sum(CAST(x AS numeric)).".into())
        }
        _ => None,
    }
}

/// The function that an error names, in lower case and without its schema.
fn missing_function(error: &ToolError) -> Option<String> {
    let message = error.message.as_str();
    let name = if let Some(rest) = message.strip_prefix("no such function: ") {
        rest
    } else if let Some((name, _)) = message.strip_prefix("function ")?.split_once(" is refused") {
        name
    } else {
        message.strip_prefix("function ")?.strip_suffix(" does not exist")?.split('(').next()?
    };
    Some(name.rsplit('.').next()?.trim_matches('"').to_lowercase())
}

fn spelling(dialect: Dialect, name: &str) -> Option<&'static str> {
    let (_, postgresql, sqlite) = FUNCTIONS.iter().find(|(names, _, _)| names.contains(&name))?;
    Some(if dialect == Dialect::Postgresql { *postgresql } else { *sqlite }).filter(|here| !here.is_empty())
}

fn product(dialect: Dialect) -> &'static str {
    if dialect == Dialect::Postgresql { "PostgreSQL" } else { "SQLite" }
}

fn of_missing_function(dialect: Dialect, error: &ToolError, tokens: &[Token]) -> Option<String> {
    let name = missing_function(error)?;
    if let Some(here) = spelling(dialect, &name) {
        if here.starts_with(&format!("{name}(")) {
            return Some(format!("{name} exists, but not for these types: convert the arguments, as in {here}."));
        }
        return Some(format!("{} has no such {name}; write {here}.", product(dialect)));
    }
    // A name that the statement does not call stands in a view or an index.
    let is_called =
        tokens.iter().any(|token| matches!(token, Token::Word(word) if word.value.eq_ignore_ascii_case(&name)));
    (!is_called && error.code == Code::SqlError).then(|| {
        format!("A view or an index that the statement reads calls {name}; read the tables of the view instead.")
    })
}

/// True if the statement may contain a word that [`value_for_table`] warns of, so that the schema has to be read.
pub fn may_read_value(dialect: Dialect, sql: &str) -> bool {
    let low = sql.to_lowercase();
    dialect == Dialect::Postgresql
        && sql.len() <= MOST_BYTES
        && VALUE_WORDS.iter().any(|word| low.contains(&format!(" {word}")))
}

/// Warns of a reserved word that stands for a value where a table of that name was meant: `FROM user` is one row with the
/// current role on PostgreSQL (`findings/postgresql_user_is_a_table_of_one_row.sh`).
pub fn value_for_table(dialect: Dialect, sql: &str, snapshot: &Snapshot) -> Option<String> {
    if dialect != Dialect::Postgresql {
        return None;
    }
    let tokens = tokens_of(sql);
    (1..tokens.len()).find_map(|at| {
        let is_source = is_word(&tokens, at - 1, "from") || is_word(&tokens, at - 1, "join");
        let name =
            word(&tokens, at).filter(|_| is_source && VALUE_WORDS.iter().any(|value| is_word(&tokens, at, value)))?;
        let bare = |table: &TableDescription| table.kin.first().map(|(_, bare)| bare.clone()).unwrap_or_default();
        let table = snapshot.tables.iter().find(|table| bare(table).eq_ignore_ascii_case(name))?;
        Some(format!("{name} without quotes is a value of the session and no table; the table is {}", table.name))
    })
}

/// Words that are values of the session, and that FROM takes as a table of one row.
const VALUE_WORDS: [&str; 9] = [
    "user",
    "current_user",
    "session_user",
    "current_role",
    "current_date",
    "current_time",
    "current_timestamp",
    "localtime",
    "localtimestamp",
];

/// A missing column that is a text in double quotes, or an alias of the select list.
fn of_alias_or_text(
    dialect: Dialect,
    error: &ToolError,
    tokens: &[Token],
    snapshot: Option<&Snapshot>,
) -> Option<String> {
    let message = error.message.as_str();
    let name = match error.sqlstate.as_deref() {
        Some("42703") => message.strip_prefix("column ")?.strip_suffix(" does not exist")?.trim_matches('"'),
        None => message.strip_prefix("no such column: ")?.split(" - ").next()?.trim_matches('"'),
        _ => return None,
    };
    let quoted = tokens.iter().enumerate().find_map(|(at, token)| match token {
        Token::Word(word) if word.quote_style == Some('"') && word.value == name => Some(at),
        _ => None,
    });
    let columns = snapshot.iter().flat_map(|snapshot| &snapshot.tables).flat_map(|table| &table.columns);
    let is_column = columns.into_iter().any(|column| column.name.eq_ignore_ascii_case(name));
    let is_compared = |at: usize| {
        let before = at.checked_sub(1).and_then(|at| tokens.get(at));
        matches!(before, Some(Token::Eq | Token::Neq | Token::LParen | Token::Comma))
            || matches!(before, Some(Token::Word(word)) if word.value.eq_ignore_ascii_case("like"))
    };
    if quoted.is_some_and(is_compared) && !is_column {
        return Some(format!(
            "Double quotes are for names. A text stands in single quotes: {}.",
            quoting::literal(name)
        ));
    }
    // SQLite finds aliases everywhere.
    let is_alias = dialect == Dialect::Postgresql
        && tokens.windows(2).any(|pair| {
            matches!(pair, [Token::Word(word), Token::Word(alias)]
                if word.value.eq_ignore_ascii_case("as") && alias.value.eq_ignore_ascii_case(name))
        });
    is_alias.then(|| {
        format!(
            "{name} is an alias of the select list, which WHERE and HAVING do not know: repeat its expression there, or \
             write SELECT * FROM (..) AS q WHERE {name} .."
        )
    })
}

fn word(tokens: &[Token], at: usize) -> Option<&str> {
    match tokens.get(at) {
        Some(Token::Word(word)) if word.quote_style.is_none() => Some(word.value.as_str()),
        _ => None,
    }
}

fn is_word(tokens: &[Token], at: usize, wanted: &str) -> bool {
    word(tokens, at).is_some_and(|word| word.eq_ignore_ascii_case(wanted))
}

/// A statement that could not be read: a clause of another dialect, or a name that needs quotes.
fn of_syntax(dialect: Dialect, tokens: &[Token], snapshot: Option<&Snapshot>) -> Option<String> {
    let any = |wanted: &str| (0..tokens.len()).find(|at| is_word(tokens, *at, wanted));
    let product = product(dialect);
    if ["show", "describe", "desc"].iter().any(|wanted| is_word(tokens, 0, wanted)) {
        let is_list = ["tables", "databases", "schemas"].iter().any(|wanted| any(wanted).is_some());
        let columns = "describe_table shows the columns of a table";
        let lists = "list_tables lists the tables";
        return match (is_list, is_word(tokens, 0, "show")) {
            (true, _) => Some(format!("{lists}, and {columns}.")),
            (false, true) if any("columns").is_none() && any("create").is_none() => None,
            (false, _) => Some(format!("{columns}; {lists}.")),
        };
    }
    if let Some(at) = any("top")
        && matches!(tokens.get(at + 1), Some(Token::Number(..) | Token::LParen))
    {
        return Some(format!("{product} has no TOP: end the statement with LIMIT."));
    }
    if any("within").is_some() && dialect == Dialect::Sqlite {
        return Some("SQLite has no WITHIN GROUP: write median(x), or percentile(x, 90).".into());
    }
    if any("ilike").is_some() && dialect == Dialect::Sqlite {
        return Some("SQLite has no ILIKE: its LIKE already ignores the case of ASCII letters.".into());
    }
    if any("interval").is_some() {
        let next = any("interval").and_then(|at| tokens.get(at + 1));
        match dialect {
            Dialect::Sqlite => return Some("SQLite has no INTERVAL: write date(d, '+1 day').".into()),
            Dialect::Postgresql if matches!(next, Some(Token::Number(..))) => {
                return Some("Write the interval as a text: d + interval '1 day'.".into());
            }
            Dialect::Postgresql => {}
        }
    }
    if dialect == Dialect::Sqlite {
        if tokens.contains(&Token::DoubleColon) {
            return Some("SQLite has no :: cast: write CAST(x AS TEXT), or date(x) for days.".into());
        }
        if any("distinct").is_some_and(|at| is_word(tokens, at + 1, "on")) {
            return Some(
                "SQLite has no DISTINCT ON: number the rows with row_number() OVER (PARTITION BY ..) and keep 1."
                    .into(),
            );
        }
    } else {
        let in_backticks =
            |token: &Token| matches!(token, Token::Word(word) if matches!(word.quote_style, Some('`' | '[')));
        if tokens.iter().any(|token| in_backticks(token) || matches!(token, Token::Char('`'))) {
            return Some("PostgreSQL quotes names with double quotes: \"name\".".into());
        }
    }
    if let Some(name) = snapshot.and_then(|snapshot| unquoted(dialect, tokens, snapshot)) {
        return Some(name);
    }
    let called = (0..tokens.len()).filter(|at| tokens.get(at + 1) == Some(&Token::LParen));
    called.filter_map(|at| word(tokens, at)).find_map(|name| {
        let name = name.to_lowercase();
        // A function that this dialect has under the same name is not the cause.
        spelling(dialect, &name)
            .filter(|here| !here.starts_with(&format!("{name}(")))
            .map(|here| format!("{product} has no such {name}; write {here}."))
    })
}

/// Names of tables and columns that stand in the statement without the double quotes that they need.
fn unquoted(dialect: Dialect, tokens: &[Token], snapshot: &Snapshot) -> Option<String> {
    let said: Vec<String> = tokens
        .iter()
        .map(|token| match token {
            Token::Word(word) if word.quote_style.is_some() => "\u{0}".to_owned(),
            Token::SingleQuotedString(_) => "\u{0}".to_owned(),
            other => other.to_string().to_lowercase(),
        })
        .collect();
    // A schema can have hundreds of thousands of names: most are dismissed by their first word.
    let firsts: HashSet<&str> = said.iter().map(String::as_str).collect();
    let stands = |name: &str| {
        let first: String = name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let may_stand = first.is_empty()
            || first.starts_with(|c: char| c.is_ascii_digit())
            || firsts.contains(first.to_lowercase().as_str());
        if !may_stand {
            return false;
        }
        let parts: Vec<String> = tokens_of(name).iter().map(|token| token.to_string().to_lowercase()).collect();
        parts.first().is_some_and(|first| firsts.contains(first.as_str()))
            // The first word is SELECT or WITH, and no name.
            && said.get(1..).unwrap_or_default().windows(parts.len()).any(|window| window == parts)
    };
    let table_name = |table: &TableDescription| match dialect {
        Dialect::Sqlite => table.name.clone(),
        Dialect::Postgresql => table.kin.first().map(|(_, name)| name.clone()).unwrap_or_default(),
    };
    let tables = snapshot.tables.iter().map(table_name);
    let columns = snapshot.tables.iter().flat_map(|table| &table.columns).map(|column| column.name.clone());
    let mut found: Vec<String> = Vec::new();
    if said.len() > MOST_TOKENS {
        return None;
    }
    for name in tables.chain(columns) {
        let written = quoting::name(dialect, &name);
        if written.starts_with('"') && !found.contains(&written) && stands(&name) {
            found.push(written);
            if found.len() == MOST_NAMES {
                break;
            }
        }
    }
    (!found.is_empty()).then(|| format!("This name needs double quotes: {}.", found.join(", ")))
}

#[cfg(test)]
mod tests;
