//! The sentinel: something harmless that goes with its table only, and with nothing else.
//!
//! It is a comment where tables have comments, and an index of no rows in SQLite. It outlives
//! restarts, TRUNCATE, VACUUM, rebuilds and dumps, and no DROP. Writing it is the only thing that
//! `audit` ever writes.

use super::evidence::nonce;
use crate::db::{Db, SENTINEL_COMMENT, SENTINEL_INDEX, Writer};
use crate::model::Cell;
use anyhow::Context as _;
use std::time::Duration;

/// What is to become of the sentinels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Tables without one get one.
    Arm,
    /// Tables are as they were before they got one.
    Remove,
}

/// Arms or disarms tables, and gives those that were changed. Tables that are not there, or can
/// have no sentinel, are left out. `wait` is for a lock, each table's.
pub async fn run(
    db: &dyn Db,
    tables: &[String],
    act: Act,
    wait: Duration,
) -> anyhow::Result<Vec<String>> {
    let mut writer = db.writer(wait).await?;
    let mut changed = Vec::new();
    for table in tables {
        let statement = match db.target().backend() {
            "postgres" => postgres(db, table, act).await?,
            "mysql" => mysql(db, writer.as_mut(), table, act).await?,
            _ => sqlite(db, table, act).await?,
        };
        if let Some(statement) = statement {
            let done = writer.execute(&statement).await;
            done.with_context(|| format!("marking `{table}`"))?;
            changed.push(table.clone());
        }
    }
    Ok(changed)
}

/// A number that no other table has.
fn fresh() -> String {
    format!("{:016x}", fastrand::u64(..))
}

/// The comment with its sentinel, or as it was before; none if there is nothing to do.
fn comment(there: &str, act: Act) -> Option<String> {
    match (act, nonce(there)) {
        (Act::Arm, Some(_)) | (Act::Remove, None) => None,
        (Act::Arm, None) if there.is_empty() => Some(format!("{SENTINEL_COMMENT}{}", fresh())),
        (Act::Arm, None) => Some(format!("{there} {SENTINEL_COMMENT}{}", fresh())),
        (Act::Remove, Some(nonce)) => {
            let sentinel = format!("{SENTINEL_COMMENT}{nonce}");
            let with_space = format!(" {sentinel}");
            Some(if there.contains(&with_space) {
                there.replacen(&with_space, "", 1)
            } else {
                there.replacen(&sentinel, "", 1)
            })
        }
    }
}

async fn postgres(db: &dyn Db, table: &str, act: Act) -> anyhow::Result<Option<String>> {
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

async fn mysql(
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

async fn sqlite(db: &dyn Db, table: &str, act: Act) -> anyhow::Result<Option<String>> {
    let name = [Cell::Text(table.to_owned())];
    let sql = "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = ? AND substr(name, 1, length(?)) = ?";
    let index = Cell::Text(SENTINEL_INDEX.to_owned());
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
            let sql = "SELECT c.name FROM pragma_table_list l, pragma_table_info(l.name) c
                WHERE l.schema = 'main' AND l.type = 'table' AND l.name = ? ORDER BY c.pk = 0, c.pk, c.cid LIMIT 1";
            let columns = db.rows(sql, &name).await?;
            Ok(columns.first().map(|row| {
                format!(
                    "CREATE INDEX {} ON {} ({}) WHERE 0",
                    db.quote(&format!("{SENTINEL_INDEX}{}", fresh())),
                    db.quote(table),
                    db.quote(&row[0].to_string())
                )
            }))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{Act, comment};

    #[test]
    fn a_comment_is_as_it_was_after_it_was_armed() {
        for was in [
            "",
            "our messages",
            "ends with a space ",
            "a 'quoted' \\ one",
        ] {
            let armed = comment(was, Act::Arm).unwrap();
            assert!(armed.starts_with(was));
            assert_eq!(comment(&armed, Act::Arm), None);
            assert_eq!(comment(&armed, Act::Remove).unwrap(), was);
            assert_eq!(comment(was, Act::Remove), None);
        }
    }
}
