//! The grammar a source speaks.

use serde::Serialize;

/// SQL dialect of a source: which parser the guard uses and which notes the model gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    Postgresql,
    Sqlite,
}

/// Words that are no names without quotes, in PostgreSQL's grammar or in SQLite's.
const RESERVED: &str = "\
    abort add all alter analyse analyze and any array as asc asymmetric between both case cast check \
    collate collation column commit concurrently constraint create cross current_catalog current_date \
    current_role current_schema current_time current_timestamp current_user default deferrable delete \
    desc distinct do drop else end escape except exists false fetch for foreign freeze from full grant \
    group having ilike in index indexed initially inner insert intersect into is isnull join lateral \
    leading left like limit localtime localtimestamp natural not nothing notnull null offset on only or \
    order outer over overlaps placing primary references returning right select session_user set similar \
    some symmetric system_user table tablesample then to trailing transaction true union unique update \
    user using values variadic verbose when where window with";

impl Dialect {
    /// As replies and traces spell it.
    pub fn name(self) -> &'static str {
        match self {
            Dialect::Postgresql => "postgresql",
            Dialect::Sqlite => "sqlite",
        }
    }

    /// A name as a statement has to write it.
    pub fn quote_name(self, name: &str) -> String {
        let plain = |c: char| {
            c == '_'
                || c.is_ascii_digit()
                || c.is_ascii_lowercase()
                || self == Dialect::Sqlite && c.is_ascii_uppercase()
        };
        let is_plain = name.chars().all(plain) && !name.starts_with(|c: char| c.is_ascii_digit()) && !name.is_empty();
        if is_plain && !RESERVED.split(' ').any(|word| name.eq_ignore_ascii_case(word)) {
            name.to_owned()
        } else {
            self.quote_always(name)
        }
    }

    /// A name between double quotes.
    pub fn quote_always(self, name: &str) -> String {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}
