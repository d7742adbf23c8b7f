//! Whether what is stored is safe: what a login may drop, and settings that do not keep what is
//! committed. Each engine's folder has its own questions.

use super::{Db, Tried};

/// What allows this login to drop a table, in words; none where nothing does.
pub(super) type MayDrop = for<'a> fn(&'a dyn Db, &'a str) -> Tried<'a, Option<String>>;

/// What makes a table less than durable, in whole sentences.
pub(super) type Risks = for<'a> fn(&'a dyn Db, &'a str) -> Tried<'a, Vec<String>>;

/// What decides whether a commit outlives the machine.
#[derive(Debug, Clone, Copy)]
pub enum Durability {
    /// Where the file is.
    Place,
    /// Settings of the server and of the table.
    Settings(Risks),
}

/// What a query must answer, and what it means when it answers otherwise.
pub(super) struct Setting {
    pub(super) query: &'static str,
    pub(super) safe: &'static str,
    pub(super) fact: &'static str,
}

/// What these settings risk.
pub(super) async fn settings(db: &dyn Db, settings: &[Setting]) -> anyhow::Result<Vec<String>> {
    let mut facts = Vec::new();
    for setting in settings {
        let rows = db.rows(setting.query, &[]).await?;
        let value = rows.first().and_then(|row| row[0].text());
        // `remote_apply`, `remote_write` and `local` wait for the disk too.
        let is_safe = value.is_none_or(|value| {
            value == setting.safe || value.starts_with("remote") || value == "local"
        });
        if !is_safe {
            facts.push(setting.fact.to_owned());
        }
    }
    Ok(facts)
}
