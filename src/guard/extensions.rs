//! Which functions and operators of PostgreSQL's well-known extensions may be called. Pure data and one look-up.
//!
//! The catalog says which extension owns a function (`pg_depend`); whoever installed the extension vouched for its
//! code. What remains to be judged here is what the code does: extensions that only compute are listed, with the few
//! names among theirs that look up tables by name or change settings left out. Extensions that run SQL from text or
//! reach other servers and files (`dblink`, `tablefunc`, `xml2`, `pageinspect`, `file_fdw`, ..) are not on the list.

/// Extensions whose functions only compute from their arguments.
const COMPUTING: [&str; 19] = [
    "btree_gin",
    "btree_gist",
    "citext",
    "cube",
    "earthdistance",
    "fuzzystrmatch",
    "h3",
    "hstore",
    "intarray",
    "isn",
    "ltree",
    "pg_trgm",
    "postgis",
    "seg",
    "tsm_system_rows",
    "tsm_system_time",
    "unaccent",
    "uuid-ossp",
    "vector",
];

/// Functions of those extensions that read a table or a statistic whose name they are given.
const BY_NAME: [&str; 6] = [
    "st_estimatedextent",
    "st_estimated_extent",
    "_postgis_stats",
    "_postgis_selectivity",
    "find_srid",
    "_postgis_join_selectivity",
];

/// Returns whether a function of an extension may be called. Volatile ones may not, but for the identifiers that
/// `uuid-ossp` makes; PL code of an extension may run SQL, so that C and SQL functions alone count.
pub(crate) fn permits(extension: &str, function: &str, is_volatile: bool, language: &str) -> bool {
    // A sampling method is a handler that the planner calls.
    let samples = extension.starts_with("tsm_") && matches!(function, "system_rows" | "system_time");
    samples
        || COMPUTING.contains(&extension)
            && (!is_volatile || extension == "uuid-ossp")
            && matches!(language, "c" | "internal" | "sql")
            && !BY_NAME.contains(&function)
}

/// Returns whether relations that the extension brings along may be read without looking into them.
pub(crate) fn is_known(extension: &str) -> bool {
    COMPUTING.contains(&extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_are_judged_by_what_they_do() {
        assert!(permits("pg_trgm", "similarity", false, "c"));
        assert!(permits("uuid-ossp", "uuid_generate_v4", true, "c"));
        assert!(!permits("pg_trgm", "set_limit", true, "c"));
        assert!(!permits("dblink", "dblink", false, "c"));
        assert!(!permits("postgis", "st_findextent", false, "plpgsql"));
        assert!(!permits("postgis", "st_estimatedextent", false, "c"));
    }
}
