//! What tells a table from another one that looks the same.
//!
//! A server that drops its tables at start and creates them again leaves the same names, columns and
//! often the same numbers. Each engine keeps some facts that can't be the same then, and each such
//! fact has harmless causes too: `judge` weighs them.

pub mod judge;
mod marks;
mod mysql;
mod postgres;
mod sqlite;

use crate::db::{Db, SENTINEL_COMMENT};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

pub use marks::{Mark, Marks};

/// What tells a database and its tables from others, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// `sqlite`, `postgres` or `mysql`.
    pub backend: String,
    /// Of the database, or of its file and its server.
    #[serde(default)]
    pub database: Marks,
    /// Of each table, by its name.
    #[serde(default)]
    pub tables: BTreeMap<String, Marks>,
}

/// How much is read to tell tables apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// The catalogue.
    Catalog,
    /// The rows too, where these tell more: one pass over each table of PostgreSQL.
    Rows,
}

/// Reads what tells these tables from others; one that is not there is not in the evidence.
pub async fn take(db: &dyn Db, tables: &[String], depth: Depth) -> anyhow::Result<Evidence> {
    let backend = db.target().backend();
    let (database, tables) = match backend {
        "postgres" => postgres::take(db, tables, depth).await?,
        "mysql" => mysql::take(db, tables).await?,
        _ => sqlite::take(db, tables).await?,
    };
    Ok(Evidence {
        backend: backend.to_owned(),
        database,
        tables,
    })
}

/// What a part of the evidence is read into: of the database, and of each table.
type Taken = (Marks, BTreeMap<String, Marks>);

/// A schema's text in a few characters: it is only compared, and may be long.
fn digest(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The sentinel in the comment of a table: its nonce.
pub(super) fn nonce(comment: &str) -> Option<&str> {
    let (_, rest) = comment.rsplit_once(SENTINEL_COMMENT)?;
    let end = rest
        .find(|c: char| !c.is_ascii_hexdigit())
        .unwrap_or(rest.len());
    (end > 0).then_some(&rest[..end])
}

#[cfg(test)]
mod tests {
    use super::nonce;

    #[test]
    fn the_sentinel_is_found_in_a_comment() {
        assert_eq!(nonce("chatctl:0a1b"), Some("0a1b"));
        assert_eq!(nonce("our messages chatctl:0a1b, all"), Some("0a1b"));
        for none in ["", "chatctl:", "chatctl: 0a", "our messages"] {
            assert_eq!(nonce(none), None, "{none}");
        }
    }
}
