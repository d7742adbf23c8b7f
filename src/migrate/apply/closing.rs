//! What is looked at before a COMMIT besides the rows: references, and what would run after
//! everything was compared.

use super::End;
use super::Failure;
use crate::db::OWN_TABLES;
use crate::db::Object;
use crate::db::Session;
use std::collections::BTreeSet;

/// What there was when a transaction began.
pub(super) struct Opening {
    /// Indexes, triggers and views.
    pub(super) objects: BTreeSet<Object>,
    broken: BTreeSet<String>,
    /// What hangs on chatctl's own tables.
    history: String,
}

impl Opening {
    pub(super) fn look(session: &mut dyn Session) -> anyhow::Result<Self> {
        Ok(Self {
            objects: session.objects()?,
            broken: session.broken_keys()?,
            history: session.history()?,
        })
    }

    /// Why what a file did may not be committed; else the indexes, triggers and views that there are now.
    pub(super) fn check(
        &self,
        session: &mut dyn Session,
        file: &str,
    ) -> anyhow::Result<Result<BTreeSet<Object>, End>> {
        let refused = |message: String, help: &str| {
            Ok(Err(End::Failed(Failure {
                file: file.to_owned(),
                line: None,
                message,
                help: help.to_owned(),
                busy: false,
            })))
        };
        if let Some(key) = session.broken_keys()?.difference(&self.broken).next() {
            return refused(
                format!("a foreign key would be broken: {key}"),
                "fix the rows in the migration",
            );
        }
        let objects = session.objects()?;
        let own = |object: &&Object| {
            object.kind == "trigger" && OWN_TABLES.contains(&object.table.as_str())
        };
        if let Some(trigger) = objects.iter().find(own) {
            return refused(
                format!(
                    "the trigger `{}` on `{}` runs after everything was compared",
                    trigger.name, trigger.table
                ),
                "drop it: only chatctl may write the history",
            );
        }
        if session.history()? != self.history {
            return refused(
                "a rule, a default, a policy or another table would be in the way when the history is written, after everything was compared".to_owned(),
                "leave `_sqlx_migrations` and `_chatctl_journal` alone: only chatctl may write the history",
            );
        }
        Ok(Ok(objects))
    }
}
