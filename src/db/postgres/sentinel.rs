//! The sentinel in the comment of a table.

use crate::db::Db;
use crate::db::sentinel::{Act, comment};
use crate::model::Cell;

pub(super) async fn arm(db: &dyn Db, table: &str, act: Act) -> anyhow::Result<Option<String>> {
    let sql = "SELECT coalesce(obj_description(c.oid, 'pg_class'), '') FROM pg_class c
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND c.relname = ?";
    let rows = db.rows(sql, &[Cell::Text(table.to_owned())]).await?;
    let there = rows.first().map(|row| row[0].to_string());
    let comment = there.and_then(|there| comment(&there, act));
    Ok(comment.map(|comment| {
        // An empty comment is none.
        let comment = comment.replace('\'', "''");
        format!("COMMENT ON TABLE {} IS '{comment}'", db.quote(table))
    }))
}
