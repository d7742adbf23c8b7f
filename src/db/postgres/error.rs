//! What an error of PostgreSQL means, by its SQLSTATE
//! (postgresql.org/docs/current/errcodes-appendix.html).

use crate::db::session::Failed;
use crate::db::{WriteError, server};
use sqlx::postgres::{PgDatabaseError, PgErrorPosition};

/// 55P03 lock_not_available, 40P01 deadlock_detected: another connection holds a lock.
pub(super) const LOCKED: [&str; 2] = ["55P03", "40P01"];
/// 40001 serialization_failure: a transaction that sees one moment met another one's change. What
/// begins no such transaction never meets it.
pub(super) const CONFLICT: &str = "40001";
/// 25006 read_only_sql_transaction.
const READ_ONLY: &str = "25006";
/// 57P01 admin_shutdown, 57P02 crash_shutdown: the last that a server says.
const LOST: [&str; 2] = ["57P01", "57P02"];

/// A statement of a migration that failed.
pub(super) fn failed(error: &sqlx::Error) -> Failed {
    let Some(told) = error.as_database_error() else {
        return Failed {
            lost: matches!(error, sqlx::Error::Io(_)),
            ..Failed::because(error.to_string())
        };
    };
    let told = told.downcast_ref::<PgDatabaseError>();
    let more = [told.detail(), told.hint()];
    let more: String = more
        .iter()
        .flatten()
        .map(|text| format!("; {text}"))
        .collect();
    Failed {
        at: match told.position() {
            Some(PgErrorPosition::Original(at)) => at.checked_sub(1),
            _ => None,
        },
        busy: LOCKED.contains(&told.code()) || told.code() == CONFLICT,
        lost: LOST.contains(&told.code()),
        ..Failed::because(format!("{}{more}", told.message()))
    }
}

/// Why a statement of a writer failed.
pub(super) fn write_error(error: sqlx::Error) -> WriteError {
    let code = error.as_database_error().and_then(|error| error.code());
    match code.as_deref() {
        Some(code) if LOCKED.contains(&code) => WriteError::Busy,
        Some(READ_ONLY) => WriteError::ReadOnly,
        _ => WriteError::Other(server::DriverError(error).into()),
    }
}
