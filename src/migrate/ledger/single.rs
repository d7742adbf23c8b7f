//! One database has one history of sqlx: the one that is written.

use super::TABLE;
use crate::cli_error::CliError;
use crate::migrate::source::Settings;

/// Whether this table is the history that is written, with the usual schema or without one.
fn is_written(table: &str) -> bool {
    let bare = match table.rsplit_once('.') {
        Some(("main" | "public", bare)) => bare,
        _ => table,
    };
    bare.eq_ignore_ascii_case(TABLE)
}

/// Refuses a database whose history has another name.
pub(super) fn check(table: Option<&str>) -> Result<(), CliError> {
    match table {
        Some(table) if !is_written(table) => Err(elsewhere(table)),
        _ => Ok(()),
    }
}

/// Refuses files whose own tool keeps its history in another table than the one that is written: each of
/// the two would run what the other one has applied.
pub fn keeps_one_history(settings: &Settings) -> Result<(), CliError> {
    if is_written(settings.table()) {
        return Ok(());
    }
    let stop = elsewhere(settings.table());
    Err(match &settings.origin {
        Some(path) => CliError {
            message: format!("{} (`table-name` in `{}`)", stop.message, path.display()),
            ..stop
        },
        None => stop,
    })
}

fn elsewhere(table: &str) -> CliError {
    let schema = table.rsplit_once('.');
    let schema = schema.filter(|(_, bare)| bare.eq_ignore_ascii_case(TABLE));
    let hint = match schema {
        // Which schema a bare name leads to, the connection decides.
        Some((schema, _)) => format!(
            "if a name without a schema leads to `{schema}`, write `table-name = \"{TABLE}\"`; otherwise \
                continue with sqlx"
        ),
        None => format!(
            "continue with sqlx; or rename the table to `{TABLE}` and remove `table-name` from `sqlx.toml` (or \
                `dangerous_set_table_name` from the code)"
        ),
    };
    CliError::refused(format!(
        "sqlx's history of this database is `{table}`, and chatctl writes `{TABLE}`: sqlx would run again what \
            chatctl applies"
    ))
    .hint(hint)
}
