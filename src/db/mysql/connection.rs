//! Connections to MySQL and MariaDB, and their tables.

use crate::db::{Db, Target, server};
use crate::model::{Cell, Table};
use sqlx::mysql::MySqlConnectOptions;

const COLUMNS: &str = "
    SELECT c.table_name, c.column_name, c.column_type
    FROM information_schema.columns c JOIN information_schema.tables t
        ON t.table_schema = database() AND t.table_name = c.table_name
    WHERE c.table_schema = database() AND t.table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')
    ORDER BY c.table_name, c.ordinal_position";

/// Apart from the columns: a view of the catalogue is slow to look up row by row.
const KEYS: &str = "
    SELECT table_name, column_name, constraint_name = 'PRIMARY', referenced_table_name
    FROM information_schema.key_column_usage WHERE table_schema = database()
    ORDER BY table_name, column_name, constraint_name";

pub(super) fn options(target: &Target) -> anyhow::Result<MySqlConnectOptions> {
    let options: MySqlConnectOptions = target
        .secret_url()
        .parse()
        .map_err(|error| server::unusable(target, &error))?;
    Ok(options.charset("utf8mb4"))
}

/// For statements that are to do what they do in any other client: the driver would read `||` in
/// another way and change the time zone, if the URL names none.
pub(super) fn plain_options(target: &Target) -> anyhow::Result<MySqlConnectOptions> {
    let plain = options(target)?
        .pipes_as_concat(false)
        .no_engine_substitution(false);
    let url = target.secret_url().to_lowercase();
    let names_zone = ["timezone=", "time-zone="]
        .iter()
        .any(|it| url.contains(it));
    Ok(if names_zone {
        plain
    } else {
        plain.timezone(None)
    })
}

/// The user's tables.
pub(super) async fn schema(db: &dyn Db) -> anyhow::Result<Vec<Table>> {
    let keys = db.rows(KEYS, &[]).await?;
    let mut columns = db.rows(COLUMNS, &[]).await?;
    for row in &mut columns {
        let mine = keys.iter().filter(|key| key[..2] == row[..2]);
        let key = mine.clone().any(|key| key[2] == Cell::Int(1));
        let reference = mine.map(|key| &key[3]).find(|name| **name != Cell::Null);
        row.push(Cell::Int(i64::from(key)));
        row.push(reference.cloned().unwrap_or(Cell::Null));
    }
    Ok(server::tables(&columns))
}
