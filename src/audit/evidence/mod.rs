//! What distinguishes a table from another one that looks the same.
//!
//! A server that drops its tables at start and creates them again leaves the same names, columns and
//! often the same numbers. Each engine keeps some facts that can't be the same then, and each such
//! fact has harmless causes too: `judge` weighs them.

pub mod judge;

use crate::db;
use crate::db::Db;
use crate::model::Engine;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub use crate::db::{Depth, Facts, Mark, Marks};

/// What distinguishes a database and its tables from others, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The engine that it is of; absent where nobody looked.
    #[serde(rename = "backend")]
    pub engine: Option<Engine>,
    /// Of the database, or of its file and its server.
    #[serde(default)]
    pub database: Marks,
    /// Of each table, by its name.
    #[serde(default)]
    pub tables: BTreeMap<String, Marks>,
}

/// Reads what distinguishes these tables from others; one that is not there is not in the evidence.
pub async fn take(db: &dyn Db, tables: &[String], depth: Depth) -> anyhow::Result<Evidence> {
    let (database, tables) = (db.catalog().evidence.take)(db, tables, depth).await?;
    Ok(Evidence {
        engine: Some(db.target().engine()),
        database,
        tables,
    })
}

/// The facts that an engine keeps.
fn facts(engine: Engine) -> &'static Facts {
    &db::catalog(engine).evidence
}
