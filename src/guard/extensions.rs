//! The functions and operators of well-known PostgreSQL extensions that may be called. Pure.
//!
//! The catalog says which extension owns a function (`pg_depend`). Whoever installed the extension trusted its code. So
//! only the effect of each function is judged here. Extensions that only compute are listed as a whole. Of the others,
//! the harmless functions are listed by name, so that a function of a later version is refused until it is reviewed.
//! The lists come from `pg_proc` of PostgreSQL 15's contrib and PostGIS 3.3. SQL functions were read; C functions were
//! judged by their name, volatility and documentation. Extensions that run SQL from text, or that reach other servers
//! and files (`dblink`, `tablefunc`, `xml2`, `pageinspect`, `file_fdw`, ..) are not on the list.

/// Extensions whose functions all compute from their arguments only, and the two extensions of sampling methods.
const COMPUTING: [&str; 13] = [
    "btree_gin",
    "btree_gist",
    "citext",
    "cube",
    "fuzzystrmatch",
    "h3",
    "hstore",
    "intarray",
    "ltree",
    "seg",
    "tsm_system_rows",
    "tsm_system_time",
    "vector",
];

/// Extensions with some harmful functions, each with its harmless functions. `isn_weak` and `set_limit` change the
/// session, although `isn_weak` is declared IMMUTABLE. Some functions of PostGIS look up tables and statistics by name,
/// or reveal where the server keeps its files. The functions that make identifiers from the clock reveal the machine's
/// network address, and write a state file.
const LISTED: [(&str, &str); 6] = [
    ("isn", ISN),
    ("pg_trgm", PG_TRGM),
    // `crypt` is not listed, because one call may compute for days. `gen_salt` only serves `crypt`. The functions that
    // encrypt and decrypt are not listed either.
    ("pgcrypto", "digest gen_random_bytes gen_random_uuid hmac"),
    ("postgis", include_str!("extensions_postgis.txt")),
    ("unaccent", "unaccent"),
    ("uuid-ossp", UUID_OSSP),
];

const ISN: &str = "
btean13cmp btisbn13cmp btisbncmp btismn13cmp btismncmp btissn13cmp btissncmp btupccmp ean13_in ean13_out hashean13
hashisbn hashisbn13 hashismn hashismn13 hashissn hashissn13 hashupc is_valid isbn isbn13 isbn13_in isbn_in ismn
ismn13 ismn13_in ismn_in isn_out isneq isnge isngt isnle isnlt isnne issn issn13 issn13_in issn_in make_valid upc
upc_in
";

const PG_TRGM: &str = "
gtrgm_in gtrgm_out show_limit show_trgm similarity similarity_dist similarity_op strict_word_similarity
strict_word_similarity_commutator_op strict_word_similarity_dist_commutator_op strict_word_similarity_dist_op
strict_word_similarity_op word_similarity word_similarity_commutator_op word_similarity_dist_commutator_op
word_similarity_dist_op word_similarity_op
";

const UUID_OSSP: &str = "
uuid_generate_v3 uuid_generate_v4 uuid_generate_v5 uuid_nil uuid_ns_dns uuid_ns_oid uuid_ns_url uuid_ns_x500
";

/// Functions and relations of PostGIS that reveal names, types, extents or constraints of columns.
const TELLING: &str = "
_postgis_index_extent _postgis_join_selectivity _postgis_selectivity _postgis_stats find_srid geography_columns
geometry_columns postgis_constraint_dims postgis_constraint_srid postgis_constraint_type raster_columns raster_overviews
st_estimated_extent st_estimatedextent st_findextent
";

fn holds(list: &str, name: &str) -> bool {
    list.split_ascii_whitespace().any(|listed| listed == name)
}

/// Returns whether a function of an extension may be called. Volatile functions may not, except those that
/// make identifiers or random bytes. Only functions in C or SQL may be called. Code in a procedural language is not
/// permitted, because it may run SQL that it makes from text.
pub(crate) fn permits(extension: &str, function: &str, is_volatile: bool, language: &str) -> bool {
    // The functions of sampling methods are declared VOLATILE, but they only choose the rows that are read.
    let samples = extension.starts_with("tsm_") && matches!(function, "system_rows" | "system_time");
    let computes = COMPUTING.contains(&extension)
        || LISTED.iter().any(|(listed, functions)| *listed == extension && holds(functions, function));
    samples
        || computes
            && (!is_volatile || matches!(extension, "uuid-ossp" | "pgcrypto"))
            && matches!(language, "c" | "internal" | "sql")
            && !tells_of_columns(function)
}

/// Returns whether a function or relation of an extension, given by its bare name, reveals columns or the catalog.
/// [`permits`] never permits such a function. If a source has rules on columns, the function is refused even if the
/// configuration lists it, and such a relation is refused too: `deny` and `mask` do not apply inside it.
pub(crate) fn tells_of_columns(name: &str) -> bool {
    holds(TELLING, name)
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
        assert!(permits("postgis", "st_area", false, "c") && permits("postgis", "geometry_overlaps", false, "c"));
        assert!(!permits("postgis", "st_of_a_later_version", false, "c"));
        assert!(permits("isn", "isbn13", false, "c") && !permits("isn", "isn_weak", false, "c"));
        assert!(permits("unaccent", "unaccent", false, "c"));
        assert!(!permits("uuid-ossp", "uuid_generate_v1", true, "c"));
        assert!(permits("pgcrypto", "gen_random_uuid", true, "c") && permits("pgcrypto", "digest", false, "c"));
        assert!(!permits("pgcrypto", "crypt", false, "c") && !permits("pgcrypto", "pgp_sym_decrypt", false, "c"));
    }

    #[test]
    fn what_tells_of_columns_is_never_permitted() {
        for name in TELLING.split_ascii_whitespace() {
            assert!(tells_of_columns(name) && !permits("postgis", name, false, "c"), "{name}");
        }
        assert!(!tells_of_columns("st_extent") && !tells_of_columns("spatial_ref_sys"));
    }
}
