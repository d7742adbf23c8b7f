//! Whether what is committed outlives the machine: a killed process is not a power cut.

use super::mounts;
use crate::db::{Db, Durability};
use crate::report::{Finding, Severity, Source};
use crate::store::Mapping;

/// The finding on settings and places that do not keep what is committed.
pub(super) async fn findings(db: &dyn Db, mapping: &Mapping) -> anyhow::Result<Vec<Finding>> {
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
