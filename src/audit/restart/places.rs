//! Where beside the declared store a server could keep its chats: databases that came with a start.

use crate::db::Db;
use std::collections::BTreeSet;

const POSTGRES: &str = "SELECT 'database ' || datname FROM pg_database WHERE NOT datistemplate \
    UNION ALL SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%'";
const MYSQL: &str =
    "SELECT CONCAT('database ', CAST(schema_name AS CHAR)) FROM information_schema.schemata";

/// The databases and schemas of the store's server that its login may see. An embedded database
/// has none.
pub(super) async fn all(db: &dyn Db) -> anyhow::Result<BTreeSet<String>> {
    let query = match db.target().backend() {
        "postgres" => POSTGRES,
        "mysql" => MYSQL,
        _ => return Ok(BTreeSet::new()),
    };
    let rows = db.rows(query, &[]).await?;
    let names = rows.iter().filter_map(|row| row[0].text());
    Ok(names.map(str::to_owned).collect())
}
