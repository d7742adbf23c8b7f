//! The names by which an application reads: those that the run found, or that an earlier run of it found
//! which came to a stop after some of its files.

use crate::db::Session;
use crate::migrate::intent::Intent;
use crate::migrate::journal::{Journal, State};
use crate::migrate::preserve::{Called, First, Renames, Tables, as_called};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::rc::Rc;

/// What a run that goes on has to know of the names that its files have changed.
#[derive(Default, Serialize, Deserialize)]
struct Kept {
    tables: Vec<Called>,
    /// The labels of enums and the names of fields, by their numbers.
    labels: BTreeMap<u64, String>,
}

/// Gives each file the names that there were when the run began.
pub(super) fn at_first(
    session: &mut dyn Session,
    intents: &mut [Intent<'_>],
    journal: &mut Journal,
) -> anyhow::Result<()> {
    let mut kept = Kept::default();
    if let Some(text) = journal.kept(session, State::Names)? {
        kept = serde_json::from_str(&text)?;
    }
    let now = session.catalog()?;
    let names = session.names();
    let shapes = &now;
    let (first, earlier) = as_called(&kept.tables, Tables { shapes, names });
    session.labels_were(kept.labels);
    let first = Rc::new(first);
    for intent in &mut *intents {
        intent.first = Rc::clone(&first);
    }
    follow(intents, earlier);
    Ok(())
}

/// Gives each file the names that were changed before it: these, and those that earlier files change.
fn follow(intents: &mut [Intent<'_>], mut earlier: Renames) {
    for intent in intents {
        intent.earlier = earlier.clone();
        earlier.then(intent.renames.clone());
    }
}

/// What a later run has to know of them once this file, which was run, is committed.
pub(super) fn to_keep(
    session: &mut dyn Session,
    intent: &Intent<'_>,
) -> anyhow::Result<Option<String>> {
    if intent.first.is_empty() {
        return Ok(None);
    }
    let mut since = intent.earlier.clone();
    since.then(intent.renames.clone());
    let first = First {
        since: &since,
        ..intent.first()
    };
    let (shapes, names) = (session.catalog()?, session.names());
    let shapes = &shapes;
    let kept = Kept {
        tables: first.called(Tables { shapes, names }),
        labels: session.labels()?,
    };
    let is_any = !(kept.tables.is_empty() && kept.labels.is_empty());
    Ok(is_any.then(|| serde_json::to_string(&kept)).transpose()?)
}
