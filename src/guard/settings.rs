//! The settings that `SHOW` may return. They say how to read results, and reveal no files, secrets or other sessions.
//! Pure data and one look-up.

/// Returns TUDB's statement for `SHOW name` on PostgreSQL, or `None` if the setting is not listed.
pub(super) fn show(name: &str) -> Option<String> {
    let known = HARMLESS.iter().find(|known| known.eq_ignore_ascii_case(name))?;
    let lower = known.to_ascii_lowercase();
    Some(format!("SELECT pg_catalog.current_setting('{lower}') AS \"{known}\""))
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
