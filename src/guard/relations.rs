//! The relations of the system catalog that a statement may read. Pure data and one look-up.
//!
//! Access to user relations is decided by the role. System relations are refused unless they are on this list, because
//! many reveal secrets, other sessions or server files (`pg_authid`, `pg_stat_activity`, `pg_hba_file_rules`, ..).

use crate::dialect::Dialect;

/// Returns why the relation is refused, or `None` if it may be read. `schema` and `name` are in lower case unless they
/// were quoted.
pub(crate) fn refusal(dialect: Dialect, schema: Option<&str>, name: &str) -> Option<&'static str> {
    match dialect {
        Dialect::Postgresql => match schema {
            Some("information_schema") => (!INFORMATION_SCHEMA.contains(&name))
                .then_some("this view of information_schema can show secrets or server settings"),
            Some("pg_toast") => Some("it holds other tables' raw values"),
            Some("pg_catalog") | None if name.starts_with("pg_") || schema.is_some() => {
                (!CATALOG.contains(&name)).then_some("this system relation can show secrets or other sessions")
            }
            Some(_) | None => None,
        },
        Dialect::Sqlite => {
            if matches!(schema, Some(other) if other != "main") {
                return Some("only the source's own database may be read");
            }
            match name {
                "sqlite_schema" | "sqlite_master" | "sqlite_sequence" | "sqlite_stat1" | "json_each" | "json_tree" => {
                    None
                }
                "dbstat" => Some("it shows the pages of the file"),
                _ if name.starts_with("sqlite_") => Some("it is internal to SQLite"),
                _ if name.starts_with("pragma_") && !PRAGMAS.contains(&name) => {
                    Some("it reaches a setting of the database")
                }
                _ => None,
            }
        }
    }
}

/// Catalog relations that describe objects and reveal no secrets, sessions or files.
const CATALOG: [&str; 61] = [
    "pg_aggregate",
    "pg_am",
    "pg_amop",
    "pg_amproc",
    "pg_attrdef",
    "pg_attribute",
    "pg_cast",
    "pg_class",
    "pg_collation",
    "pg_constraint",
    "pg_conversion",
    "pg_database",
    "pg_default_acl",
    "pg_depend",
    "pg_description",
    "pg_enum",
    "pg_event_trigger",
    "pg_extension",
    "pg_index",
    "pg_indexes",
    "pg_inherits",
    "pg_init_privs",
    "pg_language",
    "pg_matviews",
    "pg_namespace",
    "pg_opclass",
    "pg_operator",
    "pg_opfamily",
    "pg_partitioned_table",
    "pg_publication",
    "pg_publication_rel",
    "pg_publication_tables",
    "pg_range",
    "pg_rules",
    "pg_sequence",
    "pg_sequences",
    "pg_shdepend",
    "pg_stat_all_indexes",
    "pg_stat_all_tables",
    "pg_stat_sys_indexes",
    "pg_stat_sys_tables",
    "pg_stat_user_indexes",
    "pg_stat_user_tables",
    "pg_statio_all_indexes",
    "pg_statio_all_tables",
    "pg_statio_user_indexes",
    "pg_statio_user_tables",
    "pg_statistic_ext",
    "pg_tables",
    "pg_tablespace",
    "pg_timezone_abbrevs",
    "pg_timezone_names",
    "pg_transform",
    "pg_trigger",
    "pg_ts_config",
    "pg_ts_config_map",
    "pg_ts_dict",
    "pg_ts_parser",
    "pg_ts_template",
    "pg_type",
    "pg_views",
];

/// Views of `information_schema` that describe what the role may read.
const INFORMATION_SCHEMA: [&str; 55] = [
    "administrable_role_authorizations",
    "applicable_roles",
    "attributes",
    "character_sets",
    "check_constraint_routine_usage",
    "check_constraints",
    "collation_character_set_applicability",
    "collations",
    "column_column_usage",
    "column_domain_usage",
    "column_privileges",
    "column_udt_usage",
    "columns",
    "constraint_column_usage",
    "constraint_table_usage",
    "data_type_privileges",
    "domain_constraints",
    "domain_udt_usage",
    "domains",
    "element_types",
    "enabled_roles",
    "foreign_tables",
    "information_schema_catalog_name",
    "key_column_usage",
    "parameters",
    "referential_constraints",
    "role_column_grants",
    "role_routine_grants",
    "role_table_grants",
    "role_udt_grants",
    "role_usage_grants",
    "routine_column_usage",
    "routine_privileges",
    "routine_routine_usage",
    "routine_sequence_usage",
    "routine_table_usage",
    "schemata",
    "sequences",
    "sql_features",
    "sql_implementation_info",
    "sql_parts",
    "sql_sizing",
    "table_constraints",
    "table_privileges",
    "tables",
    "transforms",
    "triggered_update_columns",
    "triggers",
    "udt_privileges",
    "usage_privileges",
    "user_defined_types",
    "view_column_usage",
    "view_routine_usage",
    "view_table_usage",
    "views",
];

/// Table functions of SQLite that describe the schema.
const PRAGMAS: [&str; 7] = [
    "pragma_table_info",
    "pragma_table_xinfo",
    "pragma_table_list",
    "pragma_index_list",
    "pragma_index_info",
    "pragma_index_xinfo",
    "pragma_foreign_key_list",
];
