//! Compares what belongs to messages and conversations besides the messages themselves.

use super::facts::Changes;
use super::merge::{Pair, Records, pairs};
use crate::audit::dependents::Belonging;
use crate::audit::entry::Id;
use crate::model::Fact;
use std::collections::HashMap;

/// Compares both sides but for the tables in `skipped`; what came since is growth.
pub(super) fn compare(
    before: Records<Belonging>,
    after: Records<Belonging>,
    tables: Vec<String>,
    skipped: &[u8],
) -> anyhow::Result<Changes> {
    let mut changes = Changes {
        tables,
        ..Changes::default()
    };
    // Some servers write all parts of a message again, under new keys.
    let mut came: HashMap<_, u64> = HashMap::new();
    let is_skipped = |row: &Belonging| match row.what() {
        Fact::Row(table) => skipped.contains(&table),
        Fact::Owner | Fact::Title => false,
    };
    pairs(
        before,
        after,
        |row| row.row,
        |pair| match pair {
            Pair::Before(was) if !is_skipped(&was) => changes.left(was),
            Pair::Both(was, now) if !is_skipped(&was) => changes.both(was, now),
            Pair::After(now) => *came.entry(says(&now)).or_default() += 1,
            Pair::Before(_) | Pair::Both(..) => {}
        },
    )?;
    changes.gone.retain(|was| match came.get_mut(&says(was)) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    });
    Ok(changes)
}

/// What a row says, and of which message.
fn says(row: &Belonging) -> (Fact, Option<Id>, u64) {
    (row.what(), row.message(), row.content)
}

impl Changes {
    fn left(&mut self, was: Belonging) {
        match was.what() {
            Fact::Row(_) => self.gone.push(was),
            // The conversation itself is gone, or deleted for the user.
            Fact::Owner | Fact::Title => {}
        }
    }

    fn both(&mut self, was: Belonging, now: Belonging) {
        let is_same = was.content == now.content;
        match was.what() {
            Fact::Title => {
                self.titled += u64::from(was.filled > 0);
                if was.filled > 0 && now.filled == 0 {
                    self.untitled.push(was);
                }
            }
            // A guest's chat becomes that of whoever logs in.
            Fact::Owner if was.filled > 0 && !is_same => self.altered.push(was),
            // A result that came, a file that was read.
            Fact::Row(_) if now.filled <= was.filled => {
                if !is_same || was.message() != now.message() {
                    self.altered.push(was);
                }
            }
            Fact::Owner | Fact::Row(_) => {}
        }
    }
}
