//! What a store would lose in a restart that the experiment does not make, and what its login may do.

use super::{durable, role};
use crate::db::Db;
use crate::report::Finding;
use crate::store::Mapping;

/// Looks at the settings of the store and at the rights of its login.
///
/// # Errors
/// When the store can't be asked.
pub async fn findings(db: &dyn Db, mapping: &Mapping) -> anyhow::Result<Vec<Finding>> {
    let mut findings = durable::findings(db, mapping).await?;
    findings.extend(role::finding(db, mapping).await?);
    Ok(findings)
}
