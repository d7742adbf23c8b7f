//! Names that may precede a parenthesis in a statement that only reads.
//!
//! A name that is missing here costs time and no verdict: the statement is withheld like a commit,
//! and completes no row.
//!
//! Sources: PostgreSQL manual, "Functions and Operators" and "SQL Key Words"; MariaDB documentation,
//! "Built-in Functions"; MySQL manual, "Functions and Operators".

use super::Calls;

/// Functions that run statements over a connection of their own, or in a process of their own.
const APART: &[&str] = &[
    "dblink",
    "dblink_exec",
    "dblink_get_result",
    "dblink_send_query",
    "pg_background_launch",
];

/// What a statement calls that has this name in front of a parenthesis, in lower case.
pub(super) fn calls(name: &str) -> Calls {
    let is_in = |names: &[&str]| names.binary_search(&name).is_ok();
    if is_in(APART) {
        Calls::Apart
    } else if [WORDS, TYPES, FUNCTIONS].into_iter().any(is_in) {
        Calls::Known
    } else {
        Calls::Unknown
    }
}

/// Words of SQL.
#[rustfmt::skip]
const WORDS: &[&str] = &[
    "against", "all", "analyse", "analyze", "and", "any", "array", "as", "asc", "between", "binary",
    "boolean", "both", "by", "case", "charset", "collate", "cross", "cube", "desc", "distinct",
    "div", "else", "except", "exists", "explain", "extract", "filter", "first", "following", "for",
    "force", "from", "full", "group", "grouping", "having", "ignore", "ilike", "in", "index",
    "inner", "intersect", "interval", "into", "is", "isnull", "join", "key", "last", "lateral",
    "leading", "left", "like", "limit", "match", "materialized", "minus", "mod", "mode", "natural",
    "not", "notnull", "offset", "on", "only", "operator", "or", "order", "ordinality", "outer",
    "over", "partition", "preceding", "range", "recursive", "regexp", "returning", "right", "rlike",
    "rollup", "row", "rows", "select", "set", "sets", "similar", "some", "sounds", "symmetric",
    "table", "tablesample", "then", "trailing", "union", "use", "using", "values", "verbose",
    "when", "where", "window", "with", "within", "without", "xor",
];

/// Types that have a length, or make a value of another one.
#[rustfmt::skip]
const TYPES: &[&str] = &[
    "bigint", "bit", "blob", "bpchar", "bytea", "char", "character", "date", "datetime", "dec",
    "decimal", "double", "enum", "fixed", "float", "float4", "float8", "halfvec", "int", "int2",
    "int4", "int8", "integer", "json", "jsonb", "name", "nchar", "nclob", "numeric", "nvarchar",
    "real", "regclass", "regtype", "signed", "smallint", "sparsevec", "text", "time", "timestamp",
    "timestamptz", "timetz", "tinyint", "unsigned", "uuid", "varbinary", "varbit", "varchar",
    "varying", "vector", "xml", "year",
];

/// Functions that read or compute. Those that take or give back an advisory lock, and those of sequences, are
/// among them: they change nothing that a reader sees.
#[rustfmt::skip]
const FUNCTIONS: &[&str] = &[
    "abs", "acos", "adddate", "addtime", "age", "any_value", "array_agg", "array_append",
    "array_cat", "array_dims", "array_length", "array_lower", "array_ndims", "array_position",
    "array_positions", "array_prepend", "array_remove", "array_replace", "array_to_json",
    "array_to_string", "array_upper", "ascii", "asin", "atan", "atan2", "avg", "benchmark",
    "bernoulli", "bin", "bin_to_uuid", "bit_and", "bit_length", "bit_or", "bool_and", "bool_or",
    "btrim", "cardinality", "cast", "cbrt", "ceil", "ceiling", "char_length", "character_length",
    "chr", "clock_timestamp", "coalesce", "coercibility", "col_description", "collation",
    "compress", "concat", "concat_ws", "connection_id", "conv", "convert", "convert_from",
    "convert_to", "convert_tz", "corr", "cos", "cosine_distance", "cot", "count", "covar_pop",
    "covar_samp", "crc32", "cume_dist", "curdate", "current_catalog", "current_database",
    "current_date", "current_role", "current_schema", "current_schemas", "current_setting",
    "current_time", "current_timestamp", "current_user", "currval", "curtime", "database",
    "date_add", "date_bin", "date_format", "date_part", "date_sub", "date_trunc", "datediff", "day",
    "dayname", "dayofmonth", "dayofweek", "dayofyear", "decode", "degrees", "dense_rank", "digest",
    "elt", "encode", "every", "exp", "export_set", "extractvalue", "field", "find_in_set",
    "first_value", "floor", "format", "format_type", "found_rows", "from_base64", "from_days",
    "from_unixtime", "gen_random_bytes", "gen_random_uuid", "generate_series",
    "generate_subscripts", "get_bit", "get_byte", "get_format", "get_lock", "greatest",
    "group_concat", "has_column_privilege", "has_database_privilege", "has_schema_privilege",
    "has_table_privilege", "hex", "hour", "if", "ifnull", "inet6_aton", "inet6_ntoa", "inet_aton",
    "inet_client_addr", "inet_client_port", "inet_ntoa", "inet_server_addr", "inet_server_port",
    "initcap", "inner_product", "insert", "instr", "is_free_lock", "is_used_lock", "json_agg",
    "json_array", "json_array_elements", "json_array_elements_text", "json_array_length",
    "json_arrayagg", "json_build_array", "json_build_object", "json_compact", "json_contains",
    "json_contains_path", "json_detailed", "json_each", "json_each_text", "json_exists",
    "json_extract", "json_extract_path", "json_extract_path_text", "json_insert", "json_keys",
    "json_length", "json_loose", "json_merge", "json_merge_patch", "json_merge_preserve",
    "json_normalize", "json_object", "json_object_agg", "json_object_keys", "json_objectagg",
    "json_overlaps", "json_populate_record", "json_populate_recordset", "json_query", "json_quote",
    "json_remove", "json_replace", "json_search", "json_serialize", "json_set", "json_strip_nulls",
    "json_table", "json_to_record", "json_to_recordset", "json_type", "json_typeof", "json_unquote",
    "json_valid", "json_value", "jsonb_agg", "jsonb_array_elements", "jsonb_array_elements_text",
    "jsonb_array_length", "jsonb_build_array", "jsonb_build_object", "jsonb_each",
    "jsonb_each_text", "jsonb_exists", "jsonb_extract_path", "jsonb_extract_path_text",
    "jsonb_insert", "jsonb_object", "jsonb_object_agg", "jsonb_object_keys", "jsonb_path_exists",
    "jsonb_path_match", "jsonb_path_query", "jsonb_path_query_array", "jsonb_path_query_first",
    "jsonb_populate_record", "jsonb_populate_recordset", "jsonb_pretty", "jsonb_set",
    "jsonb_set_lax", "jsonb_strip_nulls", "jsonb_to_record", "jsonb_to_recordset", "jsonb_typeof",
    "justify_days", "justify_hours", "justify_interval", "l1_distance", "l2_distance", "lag",
    "last_day", "last_insert_id", "last_value", "lastval", "lcase", "lead", "least", "length", "ln",
    "load_file", "localtime", "localtimestamp", "locate", "log", "log10", "log2", "lower", "lpad",
    "ltrim", "make_date", "make_interval", "make_set", "make_time", "make_timestamp",
    "make_timestamptz", "makedate", "maketime", "max", "md5", "microsecond", "mid", "min", "minute",
    "month", "monthname", "nextval", "now", "nth_value", "ntile", "nullif", "num_nonnulls",
    "num_nulls", "nvl", "nvl2", "obj_description", "oct", "octet_length", "ord", "overlay",
    "parse_ident", "percent_rank", "percentile_cont", "percentile_disc", "period_add",
    "period_diff", "pg_advisory_lock", "pg_advisory_lock_shared", "pg_advisory_unlock",
    "pg_advisory_unlock_all", "pg_advisory_unlock_shared", "pg_advisory_xact_lock",
    "pg_advisory_xact_lock_shared", "pg_backend_pid", "pg_blocking_pids", "pg_client_encoding",
    "pg_column_size", "pg_current_snapshot", "pg_current_wal_lsn", "pg_database_size",
    "pg_encoding_to_char", "pg_function_is_visible", "pg_get_constraintdef", "pg_get_expr",
    "pg_get_function_arguments", "pg_get_function_identity_arguments", "pg_get_function_result",
    "pg_get_functiondef", "pg_get_indexdef", "pg_get_keywords", "pg_get_partkeydef",
    "pg_get_ruledef", "pg_get_serial_sequence", "pg_get_triggerdef", "pg_get_userbyid",
    "pg_get_viewdef", "pg_has_role", "pg_indexes_size", "pg_is_in_recovery",
    "pg_is_other_temp_schema", "pg_last_wal_receive_lsn", "pg_last_wal_replay_lsn",
    "pg_last_xact_replay_timestamp", "pg_my_temp_schema", "pg_postmaster_start_time",
    "pg_relation_size", "pg_size_pretty", "pg_sleep", "pg_sleep_for", "pg_sleep_until",
    "pg_table_is_visible", "pg_table_size", "pg_total_relation_size", "pg_try_advisory_lock",
    "pg_try_advisory_lock_shared", "pg_try_advisory_xact_lock", "pg_try_advisory_xact_lock_shared",
    "pg_type_is_visible", "pg_typeof", "phraseto_tsquery", "pi", "plainto_tsquery", "position",
    "pow", "power", "quarter", "quote", "quote_ident", "quote_literal", "quote_nullable", "radians",
    "rand", "random", "rank", "regexp_count", "regexp_instr", "regexp_like", "regexp_match",
    "regexp_matches", "regexp_replace", "regexp_split_to_array", "regexp_split_to_table",
    "regexp_substr", "release_all_locks", "release_lock", "repeat", "replace", "reverse", "round",
    "row_count", "row_number", "row_to_json", "rpad", "rtrim", "scale", "schema", "sec_to_time",
    "second", "session_user", "set_config", "setseed", "setval", "sha", "sha1", "sha2", "sha224",
    "sha256", "sha384", "sha512", "shobj_description", "sign", "similarity", "sin", "sleep",
    "soundex", "space", "split_part", "sqrt", "starts_with", "statement_timestamp", "std", "stddev",
    "stddev_pop", "stddev_samp", "str_to_date", "strcmp", "strict_word_similarity", "string_agg",
    "string_to_array", "string_to_table", "strpos", "subdate", "substr", "substring",
    "substring_index", "subtime", "sum", "sys_guid", "sysdate", "system", "system_user", "tan",
    "time_format", "time_to_sec", "timediff", "timeofday", "timestampadd", "timestampdiff",
    "to_ascii", "to_base64", "to_char", "to_date", "to_days", "to_hex", "to_json", "to_jsonb",
    "to_number", "to_regclass", "to_regnamespace", "to_regproc", "to_regtype", "to_seconds",
    "to_timestamp", "to_tsquery", "to_tsvector", "transaction_timestamp", "translate", "treat",
    "trim", "trunc", "truncate", "ts_headline", "ts_rank", "ts_rank_cd", "txid_current",
    "txid_current_snapshot", "ucase", "unaccent", "uncompress", "unhex", "unix_timestamp", "unnest",
    "upper", "user", "utc_date", "utc_time", "utc_timestamp", "uuid_generate_v1",
    "uuid_generate_v4", "uuid_short", "uuid_to_bin", "uuidv4", "uuidv7", "var_pop", "var_samp",
    "variance", "vector_dims", "version", "websearch_to_tsquery", "week", "weekday", "weekofyear",
    "width_bucket", "word_similarity", "xmlagg", "xmlelement", "xmlforest", "yearweek",
];

#[cfg(test)]
mod tests {
    use super::{APART, FUNCTIONS, TYPES, WORDS};

    #[test]
    fn the_names_can_be_found() {
        for names in [APART, FUNCTIONS, TYPES, WORDS] {
            assert!(names.is_sorted_by(|one, next| one < next));
        }
    }
}
