//! Connections to PostgreSQL: their settings, and what is asked on one.

use crate::db::{Target, server};
use sqlx::postgres::PgConnectOptions;
use std::time::Duration;

/// The tables of the schema that a bare name means; a partition's rows are its parent's.
pub(super) const TABLES: &str = "
    SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
        EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND a.attnum = ANY (i.indkey)),
        (SELECT f.relname FROM pg_constraint k JOIN pg_class f ON f.oid = k.confrelid
            WHERE k.conrelid = c.oid AND k.contype = 'f' AND a.attnum = ANY (k.conkey) ORDER BY k.oid LIMIT 1)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    ORDER BY c.relname, a.attnum";

/// What the URL says of a connection.
pub(super) fn from_url(target: &Target) -> anyhow::Result<PgConnectOptions> {
    let options: PgConnectOptions = target
        .secret_url()
        .parse()
        .map_err(|error| server::unusable(target, &error))?;
    Ok(match target.search_path() {
        Some(path) => options.options([("search_path", path)]),
        None => options,
    })
}

pub(super) fn options(target: &Target) -> anyhow::Result<PgConnectOptions> {
    let options = from_url(target)?;
    Ok(options
        .application_name("chatctl")
        // Literals are written for it.
        .options([("standard_conforming_strings", "on")]))
}

/// The settings of a connection that only reads, and no statement longer than `limit`.
pub(super) fn reading(target: &Target, limit: Duration) -> anyhow::Result<PgConnectOptions> {
    let limit = format!("{}ms", limit.as_millis().max(1));
    Ok(options(target)?.options([
        ("default_transaction_read_only", "on"),
        ("statement_timeout", limit.as_str()),
        // What a value reads like must not depend on the settings of a role or a database.
        ("bytea_output", "hex"),
        ("intervalstyle", "postgres"),
    ]))
}
