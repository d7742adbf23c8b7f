//! Data that a store would lose in other kinds of restarts, and the privileges of its login.
//!
//! A killed process is not a power cut: settings and places decide whether what is committed outlives
//! the machine.

use super::mounts;
use crate::db::{Db, Durability};
use crate::report::{Finding, Severity, Source};
use crate::store::Mapping;

/// Looks at the settings of the store and at the rights of its login.
///
/// # Errors
/// When the store can't be asked.
pub async fn findings(db: &dyn Db, mapping: &Mapping) -> anyhow::Result<Vec<Finding>> {
    let mut findings = durability(db, mapping).await?;
    findings.extend(login(db, mapping).await?);
    Ok(findings)
}

/// The finding on settings and places that do not keep what is committed.
async fn durability(db: &dyn Db, mapping: &Mapping) -> anyhow::Result<Vec<Finding>> {
    let facts = match db.catalog().durability {
        Durability::Place => place(db),
        Durability::Settings(risks) => risks(db, mapping.table()).await?,
    };
    if facts.is_empty() {
        return Ok(Vec::new());
    }
    let finding = Finding::new(
        "store-not-durable",
        Severity::Warning,
        db.target().to_string(),
        "committed data may be gone after a crash of the machine or in a new container",
        "keep the store on a disk or a volume, with the settings that the database has by default",
    );
    let finding = facts
        .into_iter()
        .fold(finding, |finding, fact| finding.with(Source::Catalog, fact));
    Ok(vec![finding])
}

fn place(db: &dyn Db) -> Vec<String> {
    let file = db.target().path();
    mounts::passing(file)
        .map(|(kind, why)| format!("`{}` is on {kind}: {why}", file.display()))
        .into_iter()
        .collect()
}

/// The finding on a login that may drop what it only needs to write. An embedded database has none.
async fn login(db: &dyn Db, mapping: &Mapping) -> anyhow::Result<Option<Finding>> {
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
            "let the server log in as a role that may only read and write rows, and run migrations as another role",
        )
        .with(Source::Catalog, why)
    }))
}
