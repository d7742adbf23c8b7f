//! Rows that refer to others: they go with a row that is deleted, if their key cascades.

use crate::db::{ForeignKey, Session};
use crate::migrate::later::Deed;
use crate::migrate::preserve::Tables;
use std::collections::{BTreeMap, BTreeSet};

/// These deeds, and what each deletion among them takes along from other tables.
pub(super) fn with(session: &mut dyn Session, deeds: Vec<Deed>) -> anyhow::Result<Vec<Deed>> {
    let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut all = Vec::new();
    for deed in deeds {
        let mut seen = BTreeSet::from([deed.table.clone()]);
        let mut dependants = Vec::new();
        let mut parents = Vec::from_iter(deed.deletes.then(|| deed.table.clone()));
        while let Some(parent) = parents.pop() {
            if !keys.contains_key(&parent) {
                let leading = session.keys_to(&BTreeSet::from([parent.as_str()]))?;
                let cascading = leading.into_iter().filter(|key| key.cascades);
                let children = cascading.map(|key| key.child).collect();
                keys.insert(parent.clone(), children);
            }
            for child in &keys[&parent] {
                if seen.insert(child.clone()) {
                    dependants.push(deed.of_dependant(child));
                    parents.push(child.clone());
                }
            }
        }
        all.push(deed);
        all.extend(dependants);
    }
    Ok(all)
}

/// Whether a column is of a foreign key.
pub(super) fn refers(
    session: &mut dyn Session,
    tables: Tables<'_>,
    (table, column): (&str, &str),
) -> anyhow::Result<bool> {
    let parents = tables.shapes.iter().map(|it| it.name.as_str());
    let keys = session.keys_to(&parents.collect())?;
    let has_it = |key: &ForeignKey| {
        let mut columns = key.columns.iter();
        key.child == table && columns.any(|(own, _)| own == column)
    };
    Ok(keys.iter().any(has_it))
}
