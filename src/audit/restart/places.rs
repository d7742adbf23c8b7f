//! Where else a server could keep its chats: databases that appeared with a start.

use crate::db::Db;
use std::collections::BTreeSet;

/// The databases and schemas of the store's server that its login may see. An embedded database
/// has none.
pub(super) async fn all(db: &dyn Db) -> anyhow::Result<BTreeSet<String>> {
    let Some(query) = db.catalog().neighbours else {
        return Ok(BTreeSet::new());
    };
    let rows = db.rows(query, &[]).await?;
    let names = rows.iter().filter_map(|row| row[0].text());
    Ok(names.map(str::to_owned).collect())
}
