//! The functions that a statement may call, by name, for each dialect. Pure data and one look-up.
//!
//! The lists contain functions known to be harmless: those that compute from their arguments, that describe objects
//! of the catalog (`pg_get_viewdef`, `pg_relation_size`), or that are volatile and harmless (`random`,
//! `clock_timestamp`). On SQLite every other function is refused. On PostgreSQL the catalog decides about every other
//! function ([`Judgement::Unknown`]), unless the function is known to be harmful.
//!
//! Some functions of PostgreSQL are left out, whatever their volatility: those that run SQL from text
//! (`query_to_xml`, `ts_stat`, `ts_rewrite`), read settings (`current_setting`), reach other sessions, or assign a
//! transaction id. So is `array_fill`: a few digits of its arguments took 5 GB of the server's memory. Source of the names: `pg_proc` of PostgreSQL 15 and <https://sqlite.org/lang_corefunc.html>.

use std::collections::HashSet;
use std::sync::LazyLock;

use crate::dialect::Dialect;

/// The judgement of a name before a catalog is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// On the list.
    Harmless,
    /// Known to be harmful, a `pg_..` function of PostgreSQL that is not on the list, or a function that is not on the
    /// list for SQLite.
    Refused,
    /// Not on the list. The catalog of PostgreSQL decides: it is allowed if it is an immutable built-in, belongs to a
    /// well-known extension, or is allowed by the configuration.
    Unknown,
}

/// Judges a function by its name (lower case, without schema).
pub(super) fn judge(dialect: Dialect, name: &str) -> Judgement {
    match dialect {
        Dialect::Postgresql if POSTGRES_SET.contains(name) => Judgement::Harmless,
        Dialect::Sqlite if SQLITE_SET.contains(name) => Judgement::Harmless,
        Dialect::Postgresql if !name.starts_with("pg_") && !REFUSED_SET.contains(name) => Judgement::Unknown,
        Dialect::Postgresql | Dialect::Sqlite => Judgement::Refused,
    }
}

/// Returns whether SQLite's authorizer may allow a function.
pub(crate) fn is_harmless_in_sqlite(name: &str) -> bool {
    judge(Dialect::Sqlite, name) == Judgement::Harmless
}

/// Returns whether a name before a parenthesis in FROM may be a table of SQLite with arguments: a full-text table, or
/// another virtual one of the schema.
pub(super) fn may_be_table_in_sqlite(name: &str) -> bool {
    const OF_EXTENSIONS: [&str; 9] =
        ["csv", "edit", "fileio", "fsdir", "load_extension", "readfile", "sqlar_uncompress", "writefile", "zipfile"];
    !OF_EXTENSIONS.contains(&name) && !name.starts_with("pragma_") && !name.starts_with("sqlite_") && name != "dbstat"
}

/// Judges a built-in function of PostgreSQL that is in the catalog. An immutable built-in that is not on the list reads
/// only its arguments, unless these are internals of the server.
pub(crate) fn is_harmless_builtin(name: &str, is_immutable: bool, takes_internals: bool) -> bool {
    match judge(Dialect::Postgresql, name) {
        Judgement::Harmless => true,
        Judgement::Unknown => is_immutable && !takes_internals,
        Judgement::Refused => false,
    }
}

/// Returns what a refused function does, as the end of a sentence, and a hint.
pub(super) fn reason(dialect: Dialect, name: &str) -> (&'static str, &'static str) {
    let listed = "is not on the list of functions known to be harmless";
    match (dialect, name) {
        (_, "pg_sleep" | "pg_sleep_for" | "pg_sleep_until") => ("only delays the server", "Leave it out."),
        (_, "nextval" | "setval") => ("changes a sequence", "Read the sequence's last_value column instead."),
        (_, "set_config" | "current_setting") => (
            "reads or changes settings",
            "SHOW reads the settings that say how to read results; the others are out of reach here.",
        ),
        (_, "pg_terminate_backend" | "pg_cancel_backend" | "pg_reload_conf" | "pg_rotate_logfile") => {
            ("acts on the server or other sessions", "Nothing of that is done here.")
        }
        (Dialect::Postgresql, name)
            if name.starts_with("lo_") || name.starts_with("pg_ls_") || name.starts_with("pg_read_") =>
        {
            ("reads or writes files of the server", "Read tables and views only.")
        }
        (Dialect::Postgresql, name) if name.contains("_to_xml") || name == "ts_stat" || name == "ts_rewrite" => {
            ("runs SQL from a text", "Write the query itself.")
        }
        (_, "array_fill") => {
            ("makes an array of any size in the server's memory", "Use generate_series and array_agg.")
        }
        (Dialect::Postgresql, name) if name.contains("advisory") => ("takes locks", "Leave it out."),
        (Dialect::Sqlite, "load_extension" | "readfile" | "writefile") => {
            ("reaches files", "Files of the server are out of reach here.")
        }
        (Dialect::Postgresql, _) => {
            (listed, "Use built-in functions; a function of your own has to be named in the source's allow_functions.")
        }
        (Dialect::Sqlite, _) => (listed, "Use SQLite's built-in functions."),
    }
}

static POSTGRES_SET: LazyLock<HashSet<&str>> = LazyLock::new(|| POSTGRES.split_ascii_whitespace().collect());
static REFUSED_SET: LazyLock<HashSet<&str>> = LazyLock::new(|| REFUSED.split_ascii_whitespace().collect());
static SQLITE_SET: LazyLock<HashSet<&str>> = LazyLock::new(|| SQLITE.split_ascii_whitespace().collect());

/// Functions of PostgreSQL that are refused without a look-up in the catalog. Functions named `pg_..` that are not in
/// [`POSTGRES`] are refused too.
const REFUSED: &str = "
array_fill crosstab crosstab2 crosstab3 crosstab4 crosstabn current_query current_setting currval cursor_to_xml cursor_to_xmlschema
database_to_xml database_to_xml_and_xmlschema database_to_xmlschema dblink dblink_connect dblink_connect_u dblink_exec
dblink_open dblink_send_query inet_client_addr inet_client_port inet_server_addr inet_server_port lastval lo_close
lo_creat lo_create lo_export lo_from_bytea lo_get lo_import lo_lseek lo_lseek64 lo_open lo_put lo_tell lo_tell64
lo_truncate lo_truncate64 lo_unlink loread lowrite nextval query_to_xml query_to_xml_and_xmlschema query_to_xmlschema
satisfies_hash_partition schema_to_xml schema_to_xml_and_xmlschema schema_to_xmlschema set_config setseed setval table_to_xml
table_to_xml_and_xmlschema table_to_xmlschema ts_rewrite ts_stat txid_current txid_status
";

const POSTGRES: &str = "
anytextcat array_send
date_cmp_timestamptz date_eq_timestamptz date_ge_timestamptz date_gt_timestamptz date_le_timestamptz date_lt_timestamptz
date_ne_timestamptz enum_send getdatabaseencoding has_any_column_privilege has_column_privilege has_database_privilege
has_function_privilege has_language_privilege has_schema_privilege has_sequence_privilege has_table_privilege
has_type_privilege in_range interval_pl_timestamptz jsonb_populate_record_valid money multirange_send oidvectortypes
overlaps pg_basetype pg_char_to_encoding pg_collation_is_visible pg_column_compression pg_column_is_updatable
pg_column_toast_chunk_id pg_conversion_is_visible pg_current_snapshot pg_describe_object pg_encoding_max_length
pg_encoding_to_char pg_function_is_visible pg_get_function_arg_default pg_get_function_arguments
pg_get_function_identity_arguments pg_get_function_result pg_get_keywords pg_get_object_address
pg_get_partition_constraintdef pg_get_partkeydef pg_get_ruledef pg_get_serial_sequence pg_get_statisticsobjdef
pg_get_statisticsobjdef_columns pg_get_statisticsobjdef_expressions pg_get_triggerdef pg_get_userbyid pg_has_role
pg_identify_object pg_identify_object_as_address pg_index_column_has_property pg_index_has_property
pg_indexam_has_property pg_indexam_progress_phasename pg_is_in_recovery pg_is_other_temp_schema pg_lsn pg_lsn_cmp
pg_conf_load_time pg_postmaster_start_time
pg_lsn_eq pg_lsn_ge pg_lsn_gt pg_lsn_hash pg_lsn_larger pg_lsn_le pg_lsn_lt pg_lsn_mi pg_lsn_ne pg_lsn_smaller
pg_my_temp_schema pg_opclass_is_visible pg_operator_is_visible pg_opfamily_is_visible pg_partition_ancestors
pg_partition_root pg_partition_tree pg_relation_is_updatable pg_sequence_parameters pg_size_bytes pg_snapshot_xip
pg_snapshot_xmax pg_snapshot_xmin pg_statistics_obj_is_visible pg_timezone_abbrevs pg_timezone_names pg_trigger_depth
pg_ts_config_is_visible pg_ts_dict_is_visible pg_ts_parser_is_visible pg_ts_template_is_visible pg_type_is_visible
pg_visible_in_snapshot pg_wal_lsn_diff range_send record_send row_security_active shobj_description system_user
textanycat time timestamp_cmp_timestamptz timestamp_eq_timestamptz timestamp_ge_timestamptz timestamp_gt_timestamptz
timestamp_le_timestamptz timestamp_lt_timestamptz timestamp_ne_timestamptz timestamptz_cmp_date
timestamptz_cmp_timestamp timestamptz_eq_date timestamptz_eq_timestamp timestamptz_ge_date timestamptz_ge_timestamp
timestamptz_gt_date timestamptz_gt_timestamp timestamptz_le_date timestamptz_le_timestamp timestamptz_lt_date
timestamptz_lt_timestamp timestamptz_mi_interval timestamptz_ne_date timestamptz_ne_timestamp timestamptz_pl_interval
timetz to_regcollation to_regnamespace to_regoper to_regoperator to_regproc to_regprocedure to_regrole to_regtypemod ts_match_tq
ts_match_tt txid_current_snapshot txid_snapshot_xip txid_snapshot_xmax txid_snapshot_xmin txid_visible_in_snapshot
xmlconcat2 xmltext
abbrev abs acos acosd acosh age any_value area array_agg array_append array_cat array_dims array_length
array_lower array_ndims array_position array_positions array_prepend array_remove array_replace array_reverse
array_sample array_shuffle array_sort array_to_json array_to_string array_to_tsvector array_upper ascii asin asind
asinh atan atan2 atan2d atand atanh avg
bit bit_and bit_count bit_length bit_or bit_xor bool bool_and bool_or bound_box box broadcast btrim
cardinality casefold cbrt ceil ceiling center char char_length character_length chr circle clock_timestamp coalesce
col_description concat concat_ws convert convert_from convert_to corr cos cosd cosh cot cotd count covar_pop
covar_samp crc32 crc32c cume_dist current_catalog current_database current_date current_role current_schema
current_schemas current_time current_timestamp current_user
date date_add date_bin date_part date_subtract date_trunc datemultirange daterange decode degrees dense_rank
diagonal diameter div
encode enum_first enum_last enum_range erf erfc every exp extract
factorial family first_value float4 float8 floor format format_type
gamma gcd gen_random_uuid generate_series generate_subscripts get_bit get_byte get_current_ts_config greatest grouping
height host hostmask
inet_merge inet_same_family initcap int2 int4 int4multirange int4range int8 int8multirange int8range interval
is_normalized isclosed isempty isfinite isopen ishorizontal isvertical isparallel isperp
json json_agg json_agg_strict json_array json_array_elements json_array_elements_text json_array_length json_arrayagg
json_build_array json_build_object json_each json_each_text json_exists json_extract_path json_extract_path_text
json_object json_object_agg json_object_agg_strict json_object_agg_unique json_object_agg_unique_strict
json_object_keys json_objectagg json_populate_record json_populate_recordset json_query json_scalar json_serialize
json_strip_nulls json_to_record json_to_recordset json_to_tsvector json_typeof json_value
jsonb_agg jsonb_agg_strict jsonb_array_elements jsonb_array_elements_text jsonb_array_length jsonb_build_array
jsonb_build_object jsonb_each jsonb_each_text jsonb_extract_path jsonb_extract_path_text jsonb_insert jsonb_object
jsonb_object_agg jsonb_object_agg_strict jsonb_object_agg_unique jsonb_object_agg_unique_strict jsonb_object_keys
jsonb_path_exists jsonb_path_exists_tz jsonb_path_match jsonb_path_match_tz jsonb_path_query jsonb_path_query_array
jsonb_path_query_array_tz jsonb_path_query_first jsonb_path_query_first_tz jsonb_path_query_tz jsonb_populate_record
jsonb_populate_recordset jsonb_pretty jsonb_set jsonb_set_lax jsonb_strip_nulls jsonb_to_record jsonb_to_recordset
jsonb_to_tsvector jsonb_typeof justify_days justify_hours justify_interval
lag last_value lcm lead least left length lgamma like like_escape line ln localtime localtimestamp log log10 lower
lower_inc lower_inf lpad lseg ltrim
macaddr8_set7bit make_date make_interval make_time make_timestamp make_timestamptz masklen max md5 min min_scale mod
mode multirange
name netmask network normalize now npoints nth_value ntile nullif num_nonnulls num_nulls numeric nummultirange
numnode numrange
obj_description octet_length overlay
parse_ident path percent_rank percentile_cont percentile_disc pg_client_encoding pg_collation_for pg_column_size
pg_database_size
pg_get_constraintdef pg_get_expr pg_get_indexdef pg_get_viewdef pg_indexes_size pg_relation_size pg_size_pretty pg_table_is_visible pg_table_size pg_total_relation_size pg_typeof
phraseto_tsquery pi plainto_tsquery point popen position pow power
quote_ident quote_literal quote_nullable
radians radius random random_normal range_agg range_intersect_agg range_merge rank regexp_count regexp_instr
regexp_like regexp_match regexp_matches regexp_replace regexp_split_to_array regexp_split_to_table regexp_substr
regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy repeat replace reverse
right round row row_number row_to_json rpad rtrim
scale session_user set_bit set_byte set_masklen setweight sha224 sha256 sha384 sha512 sign sin sind sinh slope
split_part sqrt starts_with statement_timestamp stddev stddev_pop stddev_samp string_agg string_to_array
string_to_table strip strpos substr substring sum
tan tand tanh text timeofday timestamp timestamptz timezone to_ascii to_bin to_char to_date to_hex to_json to_jsonb
to_number to_oct to_regclass to_regtype to_timestamp to_tsquery to_tsvector transaction_timestamp translate trim
trim_array trim_scale trunc ts_debug ts_delete ts_filter ts_headline ts_lexize ts_parse ts_rank ts_rank_cd
ts_token_type tsmultirange tsquery_phrase tsrange tstzmultirange tstzrange tsvector_to_array
unicode_assigned unistr unnest upper upper_inc upper_inf user uuid_extract_timestamp uuid_extract_version uuidv4 uuidv7
var_pop var_samp variance varchar version
websearch_to_tsquery width width_bucket
xml xml_is_well_formed xml_is_well_formed_content xml_is_well_formed_document xmlagg xmlcomment xmlconcat xmlelement
xmlexists xmlforest xpath xpath_exists
";

const SQLITE: &str = "
abs acos acosh asin asinh atan atan2 atanh avg bm25 ceil ceiling changes char coalesce concat concat_ws cos cosh count
cume_dist current_date current_time current_timestamp date datetime degrees dense_rank exp first_value floor format
geopoly_area geopoly_bbox geopoly_contains_point geopoly_json geopoly_overlap geopoly_within glob group_concat hex
highlight ifnull iif if instr json json_array json_array_length json_each json_error_position json_extract
json_group_array json_group_object json_insert json_object json_patch json_pretty json_quote json_remove json_replace
json_set json_tree json_type json_valid jsonb jsonb_array jsonb_extract jsonb_group_array jsonb_group_object
jsonb_insert jsonb_object jsonb_patch jsonb_remove jsonb_replace jsonb_set julianday lag last_insert_rowid last_value
lead length like likelihood likely ln log log10 log2 lower ltrim matchinfo max median min mod nth_value ntile nullif
octet_length offsets percent_rank percentile percentile_cont percentile_disc pi pow power printf quote radians random
randomblob rank replace round row_number rtrim sign sin sinh snippet soundex sqlite_version sqrt strftime string_agg
substr substring subtype sum tan tanh time timediff total total_changes trim trunc typeof unhex unicode unistr
unistr_quote unixepoch unlikely upper zeroblob
";
