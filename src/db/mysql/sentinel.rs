//! The sentinel in the comment of a table.

use crate::db::sentinel::{Act, comment};
use crate::db::{Db, Writer};
use crate::model::Cell;

pub(super) async fn arm(
    db: &dyn Db,
    writer: &mut dyn Writer,
    table: &str,
    act: Act,
) -> anyhow::Result<Option<String>> {
    let sql = "SELECT table_comment FROM information_schema.tables WHERE table_schema = database()
        AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') AND table_name = ?";
    let rows = db.rows(sql, &[Cell::Text(table.to_owned())]).await?;
    let there = rows.first().map(|row| row[0].to_string());
    let Some(comment) = there.and_then(|there| comment(&there, act)) else {
        return Ok(None);
    };
    let mode = writer.value("SELECT @@sql_mode").await?.to_string();
    let comment = if mode.contains("NO_BACKSLASH_ESCAPES") {
        comment
    } else {
        comment.replace('\\', "\\\\")
    };
    let comment = comment.replace('\'', "''");
    Ok(Some(format!(
        // Nothing but an instant change is let through: none that copies the table.
        "ALTER TABLE {} COMMENT = '{comment}', ALGORITHM = INSTANT",
        db.quote(table)
    )))
}
