//! Function calls: those that are known to leave the data unchanged, and the others.

use super::parser::Parser;
use crate::sql::Dialect;
use crate::sql::name::inner;
use crate::sql::token::{TokenKind, tokenize};

/// The functions called from here on that are not known to leave the data alone.
pub(super) fn calls(p: Parser<'_>) -> Vec<String> {
    let mut found = Vec::new();
    // SQLite has none that write.
    if p.dialect == Dialect::Sqlite {
        return found;
    }
    for index in p.at..p.tokens.len() {
        let token = p.tokens[index];
        let is_name = matches!(token.kind, TokenKind::Word | TokenKind::QuotedName);
        if !is_name || p.text_at(index + 1) != "(" {
            continue;
        }
        // A type, or the names of the columns: x::vector(3), AS t(a, b).
        let cast = index > 1 && p.text_at(index - 1) == ":" && p.text_at(index - 2) == ":";
        if cast || (index > 0 && p.word_at(index - 1, "AS")) {
            continue;
        }
        let name = token.text(p.text);
        let qualified = index > 1 && p.text_at(index - 1) == ".";
        let system = qualified && p.text_at(index - 2).eq_ignore_ascii_case("pg_catalog");
        let lower = name.to_ascii_lowercase();
        let known = (!qualified || system)
            && token.kind == TokenKind::Word
            && (KEYWORDS.contains(&lower.as_str()) || HARMLESS.contains(&lower.as_str()));
        if !known && !found.iter().any(|other| other == name) {
            found.push(name.to_owned());
        }
    }
    found
}

/// Whether the body of a routine may change or drop what is there. Bodies in a language other
/// than SQL cannot be read, and so they may.
pub(super) fn body_writes(p: Parser<'_>) -> bool {
    let language = (p.at..p.tokens.len()).find(|index| p.word_at(*index, "LANGUAGE"));
    if let Some(index) = language {
        let language = p.text_at(index + 1).trim_matches(['\'', '"']);
        if !["sql", "plpgsql"].contains(&language.to_ascii_lowercase().as_str()) {
            return true;
        }
    }
    // Where a database has its bodies in strings, every string may be one.
    let bodies = p.tokens.iter().skip(p.at).filter_map(|token| {
        let text = token.text(p.text);
        match token.kind {
            TokenKind::DollarString => Some(dollar_body(text).to_owned()),
            TokenKind::String if p.dialect == Dialect::Postgres => Some(inner(text)),
            _ => None,
        }
    });
    let mut bodies = bodies.map(|body| {
        let tokens = tokenize(&body, p.dialect);
        writes(Parser::new(&body, &tokens, p.dialect))
    });
    writes(p) || bodies.any(|writes| writes)
}

fn dollar_body(text: &str) -> &str {
    let Some(end) = text.strip_prefix('$').and_then(|rest| rest.find('$')) else {
        return text;
    };
    let tag = end + 2;
    text.get(tag..text.len() - tag).unwrap_or(text)
}

fn writes(p: Parser<'_>) -> bool {
    const WRITES: [&str; 9] = [
        "ALTER", "CALL", "DELETE", "DROP", "EXECUTE", "MERGE", "REPLACE", "TRUNCATE", "UPDATE",
    ];
    (p.at..p.tokens.len()).any(|index| {
        p.any_word_at(index, &WRITES)
            // REPLACE() and TRUNCATE() are functions, and FOR UPDATE only locks.
            && p.text_at(index + 1) != "("
            && !(index > 0 && p.word_at(index - 1, "FOR"))
    })
}

/// Words before a bracket that is not a call: keywords and types with a length.
#[rustfmt::skip]
const KEYWORDS: &[&str] = &[
    "all", "and", "any", "array", "as", "between", "binary", "bit", "by", "case", "char",
    "character", "check", "conflict", "cube", "datetime", "dec", "decimal", "distinct", "else",
    "except", "exists", "filter", "float", "from", "grouping", "group", "having", "ilike", "in",
    "inner", "intersect", "interval", "into", "join", "key", "lateral", "like", "limit", "match",
    "materialized", "not", "numeric", "offset", "on", "or", "over", "partition", "returning",
    "rollup", "row", "rows", "select", "set", "sets", "similar", "some", "then", "time",
    "timestamp", "union", "unique", "update", "using", "value", "values", "varbinary", "varchar",
    "varying", "when", "where", "window", "with", "within", "recursive",
];

/// Functions of PostgreSQL, MySQL and MariaDB that write no row. `setval` and `nextval` are among
/// them, as they only move a sequence.
#[rustfmt::skip]
const HARMLESS: &[&str] = &[
    "abs", "adddate", "addtime", "age", "array_agg", "array_append", "array_length",
    "array_remove", "array_to_string", "avg", "bin_to_uuid", "bit_length", "bool_and", "bool_or",
    "btrim", "cardinality", "cast", "ceil", "ceiling", "char_length", "character_length",
    "clock_timestamp", "coalesce", "concat", "concat_ws", "convert", "convert_from", "convert_to",
    "count", "crc32", "cume_dist", "curdate", "current_database", "current_date",
    "current_schema", "current_setting", "current_timestamp", "current_user", "currval",
    "curtime", "database", "date", "date_add", "date_format", "date_part", "date_sub",
    "date_trunc", "datediff", "day", "decode", "dense_rank", "digest", "encode", "every", "exp",
    "extract", "first_value", "floor", "format", "format_type", "from_base64", "from_unixtime",
    "gen_random_bytes", "gen_random_uuid", "generate_series", "get_lock", "greatest",
    "group_concat", "has_table_privilege", "hex", "hour", "if", "ifnull", "initcap", "instr",
    "isnull", "json_agg", "json_array", "json_array_elements", "json_array_elements_text",
    "json_array_length", "json_arrayagg", "json_build_array", "json_build_object", "json_contains",
    "json_each", "json_extract", "json_length", "json_merge_patch", "json_object",
    "json_object_agg", "json_objectagg", "json_remove", "json_set", "json_table", "json_type",
    "json_typeof", "json_unquote", "json_valid", "jsonb_agg", "jsonb_array_elements",
    "jsonb_array_elements_text", "jsonb_array_length", "jsonb_build_array", "jsonb_build_object",
    "jsonb_each", "jsonb_object_agg", "jsonb_set", "jsonb_strip_nulls", "jsonb_typeof", "lag",
    "last_insert_id", "last_value", "lastval", "lcase", "lead", "least", "left", "length",
    "localtime", "localtimestamp", "locate", "log", "lower", "lpad", "ltrim", "make_date",
    "make_interval", "max", "md5", "microsecond", "mid", "min", "minute", "mod", "month",
    "nextval", "now", "nth_value", "ntile", "nullif", "num_nonnulls", "num_nulls", "obj_description",
    "octet_length", "overlay", "percent_rank", "pg_advisory_lock", "pg_advisory_unlock",
    "pg_advisory_xact_lock", "pg_column_size", "pg_get_constraintdef", "pg_get_indexdef",
    "pg_get_serial_sequence", "pg_get_viewdef", "pg_relation_size", "pg_sleep",
    "pg_total_relation_size", "pg_try_advisory_lock", "pg_typeof", "position", "pow", "power",
    "quote", "quote_ident", "quote_literal", "quote_nullable", "rand", "random", "rank",
    "regexp_instr", "regexp_like", "regexp_match", "regexp_matches", "regexp_replace",
    "regexp_split_to_array", "regexp_split_to_table", "regexp_substr", "release_lock", "repeat",
    "replace", "reverse", "right", "round", "row_number", "row_to_json", "rpad", "rtrim",
    "schema", "second", "session_user", "set_config", "setval", "setweight", "sha1", "sha2",
    "sha256", "sign", "sleep", "split_part", "sqrt", "statement_timestamp", "stddev",
    "str_to_date", "strcmp", "string_agg", "string_to_array", "strpos", "subdate", "substr",
    "substring", "substring_index", "sum", "sysdate", "time_format", "timediff", "timestampadd",
    "timestampdiff", "to_base64", "to_char", "to_date", "to_json", "to_jsonb", "to_number",
    "to_regclass", "to_timestamp", "to_tsquery", "to_tsvector", "transaction_timestamp",
    "translate", "trim", "trunc", "truncate", "txid_current", "ucase", "unhex", "unix_timestamp",
    "unnest", "upper", "user", "utc_timestamp", "uuid", "uuid_generate_v4", "uuid_short",
    "uuid_to_bin", "uuidv4", "uuidv7", "variance", "version", "week", "weekday", "year",
];
