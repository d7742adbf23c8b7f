//! The position of the write-ahead log, or of its replay.

use crate::db::Target;
use crate::db::driver::rows;
use crate::model::Cell;
use anyhow::Context as _;
use sqlx::PgConnection;

/// The end of what is in the write-ahead log, or of what a standby has replayed of it; and whether
/// it is a standby. What was inserted counts, not what was written: a commit may be seen before.
pub(super) async fn place(connection: &mut PgConnection) -> anyhow::Result<(u64, bool)> {
    const END: &str = "SELECT pg_is_in_recovery()::int, (CASE WHEN pg_is_in_recovery()
        THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END - '0/0'::pg_lsn)::bigint";
    let rows = rows(connection, END).await?;
    let place = rows[0][1].int().context("no place in the log")?;
    Ok((u64::try_from(place)?, rows[0][0] == Cell::Int(1)))
}

/// What a standby shows is what was, and nobody but it knows when.
pub(super) async fn lagging(
    connection: &mut PgConnection,
    target: &Target,
) -> anyhow::Result<String> {
    const LAST: &str = "SELECT pg_last_xact_replay_timestamp()::text";
    let rows = rows(connection, LAST).await?;
    let last = match rows[0][0].text() {
        Some(last) => format!("the last replayed transaction is of {last}"),
        None => "it has replayed no transaction since its start".to_owned(),
    };
    Ok(format!(
        "`{target}` is a standby and does not show later changes: {last}."
    ))
}
