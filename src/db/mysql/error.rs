//! What an error of MySQL or MariaDB means.

use crate::db::session::{Failed, Why};
use crate::db::{WriteError, server};
use sqlx::mysql::MySqlDatabaseError;

/// 1205 ER_LOCK_WAIT_TIMEOUT, 1213 ER_LOCK_DEADLOCK
/// (dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html).
const BUSY: [u16; 2] = [1205, 1213];
/// 1053 ER_SERVER_SHUTDOWN, 1927 ER_CONNECTION_KILLED (mariadb.com/kb/en/mariadb-error-codes).
const LOST: [u16; 2] = [1053, 1927];
/// 1290, 1792 and 1836: a server, a transaction and a server again that may only be read.
const READ_ONLY: [u16; 3] = [1290, 1792, 1836];
/// What strict mode refuses: 1048 ER_BAD_NULL_ERROR, 1138 ER_INVALID_USE_OF_NULL, 1264
/// ER_WARN_DATA_OUT_OF_RANGE, 1265 WARN_DATA_TRUNCATED, 1292 ER_TRUNCATED_WRONG_VALUE, 1366
/// ER_TRUNCATED_WRONG_VALUE_FOR_FIELD, 1406 ER_DATA_TOO_LONG.
const VALUE: [u16; 7] = [1048, 1138, 1264, 1265, 1292, 1366, 1406];
/// 1099 ER_TABLE_NOT_LOCKED_FOR_WRITE, 1100 ER_TABLE_NOT_LOCKED, 1192
/// ER_LOCK_OR_ACTIVE_TRANSACTION.
const LOCKS: [u16; 3] = [1099, 1100, 1192];
/// 1295 ER_UNSUPPORTED_PS.
pub(super) const UNSUPPORTED: u16 = 1295;

pub(super) fn number(error: &sqlx::Error) -> Option<u16> {
    let told = error.as_database_error()?;
    Some(told.downcast_ref::<MySqlDatabaseError>().number())
}

pub(super) fn failed(error: &sqlx::Error) -> Failed {
    let told = error.as_database_error();
    let message = told.map_or_else(|| error.to_string(), |told| told.message().to_owned());
    Failed {
        busy: number(error).is_some_and(|number| BUSY.contains(&number)),
        lost: matches!(error, sqlx::Error::Io(_))
            || number(error).is_some_and(|number| LOST.contains(&number)),
        why: match number(error) {
            Some(number) if VALUE.contains(&number) => Why::Value,
            Some(number) if LOCKS.contains(&number) => Why::Locks,
            Some(_) | None => Why::Other,
        },
        ..Failed::because(message)
    }
}

/// Why a statement of a writer failed.
pub(super) fn write_error(error: sqlx::Error) -> WriteError {
    match number(&error) {
        Some(number) if BUSY.contains(&number) => WriteError::Busy,
        Some(number) if READ_ONLY.contains(&number) => WriteError::ReadOnly,
        _ => WriteError::Other(server::DriverError(error).into()),
    }
}
