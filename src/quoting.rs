//! Writes names and texts as a statement of each dialect needs them, and lists the keywords that need quotes. Pure.

use crate::dialect::Dialect;

/// Keywords that PostgreSQL accepts nowhere as a name without quotes: category R of `pg_get_keywords` in each version since
/// 15.
const POSTGRES_RESERVED: &str = "
all analyse analyze and any array as asc asymmetric both case cast check collate column constraint create
current_catalog current_date current_role current_time current_timestamp current_user default deferrable desc distinct
do else end except false fetch for foreign from grant group having in initially intersect into lateral leading limit
localtime localtimestamp not null offset on only or order placing primary references returning select session_user
some symmetric table then to trailing true union unique user using variadic when where window with
";

/// Keywords that PostgreSQL accepts without quotes as a function or type, and not as a column or table: category T.
const POSTGRES_FUNCTION_OR_TYPE: &str = "
authorization binary collation concurrently cross current_schema freeze full ilike inner is isnull join left like
natural notnull outer overlaps right similar tablesample verbose
";

/// Other keywords that `quote_ident` quotes in some PostgreSQL version since 15: category C (column name only), and
/// keywords of R and T that some versions lack.
const POSTGRES_OTHERS: &str = "
between bigint bit boolean char character coalesce dec decimal exists extract float greatest grouping inout int
integer interval json json_array json_arrayagg json_exists json_object json_objectagg json_query json_scalar
json_serialize json_table json_value least merge_action national nchar none normalize nullif numeric out overlay
position precision real row setof smallint substring system_user time timestamp treat trim values varchar
xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable
";

/// Keywords that SQLite does not accept as a column without quotes.
const SQLITE_RESERVED: &str = "
add all alter and as autoincrement between case cast check collate commit constraint create current_date current_time
current_timestamp default deferrable delete distinct drop else escape except exists foreign from group having in index
insert intersect into is isnull join limit not nothing notnull null on or order primary raise references returning
select set table then to transaction union unique update using values when where
";

/// SQLite's other keywords (`sqlite3_keyword_check`). SQLite reads them as a name where the grammar allows nothing
/// else.
const SQLITE_OTHERS: &str = "
abort action after always analyze asc attach before begin by cascade column conflict cross current database deferred
desc detach do each end exclude exclusive explain fail filter first following for full generated glob groups if ignore
immediate indexed initially inner instead key last left like match materialized natural no nulls of offset others
outer over partition plan pragma preceding query range recursive regexp reindex release rename replace restrict right
rollback row rows savepoint temp temporary ties trigger unbounded vacuum view virtual window with without
";

/// Whether a list of words contains `word`, ignoring case.
fn holds(list: &str, word: &str) -> bool {
    list.split_ascii_whitespace().any(|keyword| keyword.eq_ignore_ascii_case(word))
}

/// The characters of a text, each one that [`steers`] replaced by U+FFFD. So a text from outside cannot end a line of the
/// log, of a report or of a record.
pub fn printable(text: &str) -> impl Iterator<Item = char> {
    text.chars().map(|c| if steers(c) { char::REPLACEMENT_CHARACTER } else { c })
}

/// Whether a character can control a terminal or the reading order: control and direction characters, line and
/// paragraph separators, byte order mark.
pub fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// Whether an unquoted word that follows no dot cannot be a column in this dialect.
pub fn is_reserved(dialect: Dialect, word: &str) -> bool {
    match dialect {
        Dialect::Postgresql => holds(POSTGRES_RESERVED, word) || names_function_or_type(word),
        Dialect::Sqlite => holds(SQLITE_RESERVED, word),
    }
}

/// Whether PostgreSQL accepts this keyword without quotes as a function or type: `SELECT left 'x'` converts a text to a
/// type `left` (`findings/postgresql_join_keywords_name_types.sh`).
pub fn names_function_or_type(word: &str) -> bool {
    holds(POSTGRES_FUNCTION_OR_TYPE, word)
}

/// Returns the name of a table in a snapshot as a statement has to write it. PostgreSQL's snapshot already quotes it, with
/// its schema.
pub fn table(dialect: Dialect, table: &str) -> String {
    match dialect {
        Dialect::Postgresql => table.to_owned(),
        Dialect::Sqlite => name(dialect, table),
    }
}

/// Returns a name as a statement has to write it: in double quotes if the database would change its case, read it as a
/// keyword, or not accept its characters.
pub fn name(dialect: Dialect, name: &str) -> String {
    let folds = |c: char| dialect == Dialect::Postgresql && c.is_ascii_uppercase();
    let is_plain = name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric() && !folds(c))
        && name.starts_with(|c: char| !c.is_ascii_digit());
    let others = match dialect {
        Dialect::Postgresql => POSTGRES_OTHERS,
        Dialect::Sqlite => SQLITE_OTHERS,
    };
    if is_plain && !is_reserved(dialect, name) && !holds(others, name) { name.to_owned() } else { quoted_name(name) }
}

/// Returns a name in double quotes, in either dialect.
pub fn quoted_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Returns a text as a string literal, in either dialect. PostgreSQL reads a backslash as itself only if
/// `standard_conforming_strings` is on. The engine sets it.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Splits `schema.name` or `name` with SQL quoting. The parts keep their case. The caller searches for them first with
/// case and then, if nothing matched, without case.
pub fn split_name(wanted: &str) -> (Option<String>, String) {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    let mut characters = wanted.trim().chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                if let Some(part) = parts.last_mut() {
                    part.push('"');
                }
            }
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(String::new()),
            other => {
                if let Some(part) = parts.last_mut() {
                    part.push(other);
                }
            }
        }
    }
    let table = parts.pop().unwrap_or_default();
    (parts.pop(), table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_where_the_database_would_read_another() {
        for (dialect, plain) in
            [(Dialect::Postgresql, "order_items"), (Dialect::Sqlite, "OrderItems"), (Dialect::Sqlite, "_1")]
        {
            assert_eq!(name(dialect, plain), plain);
        }
        for odd in ["", "Order", "1st", "a b", "a-b", "é", "a\"b", "order", "binary", "values"] {
            assert_eq!(name(Dialect::Postgresql, odd), format!("\"{}\"", odd.replace('"', "\"\"")));
        }
        for odd in ["", "1st", "a b", "é", "a\"b", "order", "Order", "glob", "replace"] {
            assert_eq!(name(Dialect::Sqlite, odd), format!("\"{}\"", odd.replace('"', "\"\"")));
        }
        assert_eq!(literal("O'Hara \\"), "'O''Hara \\'");
    }

    /// Compares the lists with the keywords of the linked SQLite library.
    #[test]
    #[allow(unsafe_code, reason = "the library is asked for its keywords")]
    fn sqlites_keywords_are_all_known() {
        let of_sqlite = |at| {
            let (mut start, mut length) = (std::ptr::null(), 0);
            // SAFETY: the library sets both to a keyword of its own, which lives as long as the process.
            unsafe {
                assert_eq!(libsqlite3_sys::sqlite3_keyword_name(at, &raw mut start, &raw mut length), 0);
                let word = std::slice::from_raw_parts(start.cast::<u8>(), usize::try_from(length).unwrap());
                String::from_utf8(word.to_vec()).unwrap().to_lowercase()
            }
        };
        // SAFETY: the function only returns a number.
        let count = unsafe { libsqlite3_sys::sqlite3_keyword_count() };
        let mut theirs: Vec<String> = (0..count).map(of_sqlite).collect();
        let mut ours: Vec<&str> =
            SQLITE_RESERVED.split_ascii_whitespace().chain(SQLITE_OTHERS.split_ascii_whitespace()).collect();
        theirs.sort();
        ours.sort_unstable();
        assert_eq!(ours, theirs);
    }

    #[test]
    fn names_split_with_sql_quoting() {
        assert_eq!(split_name("orders"), (None, "orders".into()));
        assert_eq!(split_name("public.\"My.Table\""), (Some("public".into()), "My.Table".into()));
        assert_eq!(split_name("\"a\"\"b\""), (None, "a\"b".into()));
    }
}
