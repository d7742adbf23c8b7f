//! The sentinel: an index without rows, because tables have no comments.

use crate::db::Db;
use crate::db::sentinel::{Act, fresh};
use crate::model::Cell;

/// How the names of the indexes begin that are sentinels. They hold no row, and are no part of a
/// schema.
pub(super) const INDEX: &str = "chatctl_s_";

pub(super) async fn arm(db: &dyn Db, table: &str, act: Act) -> anyhow::Result<Option<String>> {
    let name = [Cell::Text(table.to_owned())];
    let sql = "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = ? AND substr(name, 1, length(?)) = ?";
    let index = Cell::Text(INDEX.to_owned());
    let there = db
        .rows(sql, &[name[0].clone(), index.clone(), index])
        .await?;
    match (act, there.first()) {
        (Act::Arm, Some(_)) | (Act::Remove, None) => Ok(None),
        (Act::Remove, Some(row)) => Ok(Some(format!(
            "DROP INDEX {}",
            db.quote(&row[0].to_string())
        ))),
        (Act::Arm, None) => {
            // Virtual tables and what belongs to them can have no index.
            let sql = "SELECT c.name FROM temp.pragma_table_list l, temp.pragma_table_info(l.name) c
                WHERE l.schema = 'main' AND l.type = 'table' AND l.name = ? ORDER BY c.pk = 0, c.pk, c.cid LIMIT 1";
            let columns = db.rows(sql, &name).await?;
            Ok(columns.first().map(|row| {
                format!(
                    "CREATE INDEX {} ON {} ({}) WHERE 0",
                    db.quote(&format!("{INDEX}{}", fresh())),
                    db.quote(table),
                    db.quote(&row[0].to_string())
                )
            }))
        }
    }
}
