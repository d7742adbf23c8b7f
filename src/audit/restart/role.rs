//! Whether the server's own login may drop the tables that it stores messages in.

use crate::db::Db;
use crate::report::{Finding, Severity, Source};
use crate::store::Mapping;

/// The finding on a login that may drop what it only needs to write. An embedded database has none.
pub(super) async fn finding(db: &dyn Db, mapping: &Mapping) -> anyhow::Result<Option<Finding>> {
    let why = match db.catalog().may_drop {
        Some(ask) => ask(db, mapping.table()).await?,
        None => None,
    };
    Ok(why.map(|why| {
        Finding::new(
            "role-may-drop",
            Severity::Warning,
            mapping.table(),
            format!("the server's login may drop `{}`: one line of start-up code can delete every message", mapping.table()),
            "let the server log in as a role that may only read and write rows, and migrate as another one",
        )
        .with(Source::Catalog, why)
    }))
}
