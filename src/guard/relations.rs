//! The relations of the system catalog that a statement may read. Pure data and one look-up.
//!
//! Access to user relations is decided by the role. System relations are refused unless they are on this list, because
//! many reveal secrets, other sessions or server files (`pg_authid`, `pg_stat_activity`, `pg_hba_file_rules`, ..). On
//! PostgreSQL, a name without a schema is refused here only if it is in [`CLOSED`]. The engine checks what other names
//! mean.

use super::columns::{self, RuledTable};
use super::{Names, Rejection};
use crate::dialect::Dialect;

/// Returns why the relation is refused, or `None` if it may be read. `schema` and `name` are in lower case unless they
/// were quoted.
pub(crate) fn refusal(dialect: Dialect, schema: Option<&str>, name: &str) -> Option<&'static str> {
    match dialect {
        Dialect::Postgresql => match schema {
            Some("information_schema") => (!INFORMATION_SCHEMA.contains(&name))
                .then_some("this view of information_schema can show secrets or server settings"),
            Some("pg_toast") => Some("it holds other tables' raw values"),
            Some("pg_catalog") => {
                (!CATALOG.contains(&name)).then_some("this system relation can show secrets or other sessions")
            }
            // A user may have a table whose name begins with `pg_`. The engine judges what the name means in the catalog.
            None => CLOSED.contains(&name).then_some("this system relation can show secrets or other sessions"),
            Some(_) => None,
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
                _ if name.starts_with("pragma_")
                    && !PRAGMAS.contains(&name)
                    && !PRAGMAS_WITHOUT_ARGUMENT.contains(&name) =>
                {
                    Some("it reaches a setting of the database")
                }
                _ => None,
            }
        }
    }
}

/// Catalog relations of PostgreSQL 15 and 18 that are not in [`CATALOG`], from their `postgres.bki` and `system_views.sql`.
const CLOSED: [&str; 76] = [
    "pg_aios",
    "pg_auth_members",
    "pg_authid",
    "pg_backend_memory_contexts",
    "pg_config",
    "pg_cursors",
    "pg_db_role_setting",
    "pg_file_settings",
    "pg_foreign_data_wrapper",
    "pg_foreign_server",
    "pg_foreign_table",
    "pg_group",
    "pg_hba_file_rules",
    "pg_ident_file_mappings",
    "pg_largeobject",
    "pg_largeobject_metadata",
    "pg_locks",
    "pg_parameter_acl",
    "pg_prepared_statements",
    "pg_prepared_xacts",
    "pg_publication_namespace",
    "pg_replication_origin",
    "pg_replication_origin_status",
    "pg_replication_slots",
    "pg_rewrite",
    "pg_roles",
    "pg_seclabel",
    "pg_seclabels",
    "pg_shadow",
    "pg_shdescription",
    "pg_shmem_allocations",
    "pg_shmem_allocations_numa",
    "pg_shseclabel",
    "pg_stat_activity",
    "pg_stat_archiver",
    "pg_stat_bgwriter",
    "pg_stat_checkpointer",
    "pg_stat_database",
    "pg_stat_database_conflicts",
    "pg_stat_gssapi",
    "pg_stat_io",
    "pg_stat_progress_analyze",
    "pg_stat_progress_basebackup",
    "pg_stat_progress_cluster",
    "pg_stat_progress_copy",
    "pg_stat_progress_create_index",
    "pg_stat_progress_vacuum",
    "pg_stat_recovery_prefetch",
    "pg_stat_replication",
    "pg_stat_replication_slots",
    "pg_stat_slru",
    "pg_stat_ssl",
    "pg_stat_subscription",
    "pg_stat_subscription_stats",
    "pg_stat_user_functions",
    "pg_stat_wal",
    "pg_stat_wal_receiver",
    "pg_stat_xact_all_tables",
    "pg_stat_xact_sys_tables",
    "pg_stat_xact_user_functions",
    "pg_stat_xact_user_tables",
    "pg_statio_all_sequences",
    "pg_statio_sys_indexes",
    "pg_statio_sys_sequences",
    "pg_statio_sys_tables",
    "pg_statio_user_sequences",
    "pg_statistic",
    "pg_statistic_ext_data",
    "pg_stats_ext",
    "pg_stats_ext_exprs",
    "pg_subscription",
    "pg_subscription_rel",
    "pg_user",
    "pg_user_mapping",
    "pg_user_mappings",
    "pg_wait_events",
];

/// Catalog relations that describe objects and reveal no secrets, sessions or files.
const CATALOG: [&str; 68] = [
    "pg_aggregate",
    "pg_am",
    "pg_amop",
    "pg_amproc",
    "pg_attrdef",
    "pg_attribute",
    "pg_available_extension_versions",
    "pg_available_extensions",
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
    "pg_policies",
    "pg_policy",
    "pg_proc",
    "pg_publication",
    "pg_publication_rel",
    "pg_publication_tables",
    "pg_range",
    "pg_rules",
    "pg_sequence",
    "pg_sequences",
    "pg_settings",
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
    "pg_stats",
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
const INFORMATION_SCHEMA: [&str; 56] = [
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
    "routines",
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

/// Catalog relations that may be read except for some columns: source code and settings of functions, values of
/// settings, and sampled values of tables. Each entry has the schema, the name, all columns, and the columns that may
/// not be read.
const CLOSED_COLUMNS: [(&str, &str, &str, &str); 4] = [
    (
        "pg_catalog",
        "pg_proc",
        "oid proname pronamespace proowner prolang procost prorows provariadic prosupport prokind prosecdef proleakproof \
         proisstrict proretset provolatile proparallel pronargs pronargdefaults prorettype proargtypes proallargtypes \
         proargmodes proargnames proargdefaults protrftypes prosrc probin prosqlbody proconfig proacl",
        "prosrc probin prosqlbody proconfig",
    ),
    (
        "pg_catalog",
        "pg_settings",
        "name setting unit category short_desc extra_desc context vartype source min_val max_val enumvals boot_val \
         reset_val sourcefile sourceline pending_restart",
        "setting boot_val reset_val sourcefile sourceline",
    ),
    (
        "pg_catalog",
        "pg_stats",
        "schemaname tablename attname inherited null_frac avg_width n_distinct most_common_vals most_common_freqs \
         histogram_bounds correlation most_common_elems most_common_elem_freqs elem_count_histogram range_length_histogram \
         range_empty_frac range_bounds_histogram",
        "most_common_vals histogram_bounds most_common_elems range_bounds_histogram",
    ),
    (
        "information_schema",
        "routines",
        "specific_schema specific_name routine_schema routine_name routine_type data_type type_udt_schema type_udt_name \
         routine_body routine_definition external_name external_language parameter_style is_deterministic sql_data_access \
         is_null_call security_type",
        "routine_definition",
    ),
];

/// Whether some columns of a relation of the catalog may not be read.
pub(crate) fn has_closed_columns(schema: &str, table: &str) -> bool {
    CLOSED_COLUMNS.iter().any(|(of, name, ..)| *of == schema && *name == table)
}

/// Refuses the closed columns of the catalog's relations.
///
/// # Errors
///
/// [`Rejection::Column`], with the columns that may be read.
pub(super) fn judge_columns(dialect: Dialect, names: &Names) -> Result<(), Rejection> {
    if dialect != Dialect::Postgresql {
        return Ok(());
    }
    let words = |text: &str| text.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let is_read = |schema: &str, table: &str| {
        names.reads.iter().any(|(of, name)| name == table && of.as_ref().is_none_or(|of| of == schema))
    };
    let closed = CLOSED_COLUMNS.iter().filter(|(schema, table, ..)| is_read(schema, table));
    let closed: Vec<RuledTable> = closed
        .map(|(schema, table, columns, denied)| RuledTable {
            schema: (*schema).to_owned(),
            table: (*table).to_owned(),
            columns: words(columns),
            denied: words(denied).into_iter().collect(),
            ..RuledTable::default()
        })
        .collect();
    if closed.is_empty() { Ok(()) } else { columns::judge(names.uses.as_ref(), &closed).map(|_| ()) }
}

/// Table functions of SQLite that return a property of the file or of this build. They take no argument.
pub(crate) const PRAGMAS_WITHOUT_ARGUMENT: [&str; 11] = [
    "pragma_application_id",
    "pragma_collation_list",
    "pragma_compile_options",
    "pragma_encoding",
    "pragma_freelist_count",
    "pragma_function_list",
    "pragma_module_list",
    "pragma_page_count",
    "pragma_page_size",
    "pragma_schema_version",
    "pragma_user_version",
];

/// Table functions of SQLite that describe the schema.
pub(crate) const PRAGMAS: [&str; 7] = [
    "pragma_table_info",
    "pragma_table_xinfo",
    "pragma_table_list",
    "pragma_index_list",
    "pragma_index_info",
    "pragma_index_xinfo",
    "pragma_foreign_key_list",
];
