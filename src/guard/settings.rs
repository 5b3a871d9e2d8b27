//! The settings that `SHOW` and `PRAGMA` may return. They say how to read results, and reveal no files, secrets or other
//! sessions. Pure data and two look-ups.

use super::relations;
use crate::quoting;

/// Returns TUDB's statement for `SHOW name` on PostgreSQL, or `None` if the setting is not listed.
pub(super) fn show(name: &str) -> Option<String> {
    let known = HARMLESS.iter().find(|known| known.eq_ignore_ascii_case(name))?;
    let lower = known.to_ascii_lowercase();
    Some(format!("SELECT pg_catalog.current_setting('{lower}') AS \"{known}\""))
}

/// Whether PostgreSQL's setting of this name may be read.
pub(super) fn is_harmless(name: &str) -> bool {
    HARMLESS.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Returns TUDB's statement for `PRAGMA name` or `PRAGMA name(argument)` on SQLite, or `None` if the pragma may not run.
/// Every pragma without side effects is a table function too: <https://sqlite.org/pragma.html#pragfunc>.
pub(super) fn pragma(name: &str, argument: Option<&str>) -> Option<String> {
    let table = format!("pragma_{}", name.to_ascii_lowercase());
    let is_setting = relations::PRAGMAS_WITHOUT_ARGUMENT.contains(&table.as_str());
    match argument {
        None if is_setting || table == "pragma_table_list" => Some(format!("SELECT * FROM {table}")),
        Some(argument) if relations::PRAGMAS.contains(&table.as_str()) => {
            Some(format!("SELECT * FROM {table}({})", quoting::literal(argument)))
        }
        _ => None,
    }
}

const HARMLESS: [&str; 27] = [
    "application_name",
    "block_size",
    "bytea_output",
    "client_encoding",
    "DateStyle",
    "default_text_search_config",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "extra_float_digits",
    "in_hot_standby",
    "IntervalStyle",
    "lc_collate",
    "lc_ctype",
    "lc_messages",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
    "lock_timeout",
    "max_identifier_length",
    "search_path",
    "server_encoding",
    "server_version",
    "server_version_num",
    "statement_timeout",
    "TimeZone",
    "transaction_isolation",
    "transaction_read_only",
];
