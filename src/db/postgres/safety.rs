//! What a login may drop, and settings that lose committed data.

use crate::db::Db;
use crate::db::safety::{Setting, settings};
use crate::model::Cell;

const SETTINGS: &[Setting] = &[
    Setting {
        query: "SELECT current_setting('fsync')",
        safe: "on",
        fact: "fsync is off: a crash of the machine may damage every table",
    },
    Setting {
        query: "SELECT current_setting('synchronous_commit')",
        safe: "on",
        fact: "synchronous_commit is off: a crash loses the last commits",
    },
    Setting {
        query: "SELECT current_setting('full_page_writes')",
        safe: "on",
        fact: "full_page_writes is off: a crash may leave half a page",
    },
];

pub(super) async fn risks(db: &dyn Db, table: &str) -> anyhow::Result<Vec<String>> {
    Ok([settings(db, SETTINGS).await?, unlogged(db, table).await?].concat())
}

async fn unlogged(db: &dyn Db, table: &str) -> anyhow::Result<Vec<String>> {
    let query = "SELECT c.relname::text FROM pg_class c WHERE c.oid = to_regclass(?) AND c.relpersistence = 'u'";
    let rows = db.rows(query, &[Cell::Text(db.quote(table))]).await?;
    Ok(rows
        .iter()
        .map(|_| {
            format!("table {table} is UNLOGGED: it is emptied after a crash of the database server")
        })
        .collect())
}

/// An owner may drop a table, and so may the owner of its schema and a superuser.
pub(super) async fn may_drop(db: &dyn Db, table: &str) -> anyhow::Result<Option<String>> {
    let query = "SELECT CASE WHEN r.rolsuper THEN 'is a superuser' \
                 WHEN pg_has_role(current_user, c.relowner, 'USAGE') THEN 'owns the table' \
                 WHEN pg_has_role(current_user, n.nspowner, 'USAGE') THEN 'owns the schema' END, \
                 current_user::text \
                 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, pg_roles r \
                 WHERE c.oid = to_regclass(?) AND r.rolname = current_user";
    let rows = db.rows(query, &[Cell::Text(db.quote(table))]).await?;
    Ok(rows
        .first()
        .and_then(|row| Some(format!("role {} {}", row[1].text()?, row[0].text()?))))
}
