//! The order of a conversation's messages in the store.

use super::rows::same_text;
use super::{Account, Stored, is_live};
use crate::model::StoredMessage;
use crate::report::{Finding, Severity, Source};
use std::cmp::Ordering;

/// A message before the restart, and the row that has its text after it.
#[derive(Clone, Copy)]
struct Kept<'r> {
    was: &'r StoredMessage,
    is: &'r StoredMessage,
    /// Its places in the table's order, before and after.
    places: (usize, usize),
}

/// What two messages show that have changed places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// Their rows are as they were: the order of the table is not a defined one.
    None,
    /// Their times keep the order, or their keys are new ones: a server may still show it.
    Open,
    /// Nothing in the store keeps the order.
    Lost,
}

impl Account<'_> {
    /// Two messages have changed places, and nothing in the store keeps their order.
    pub(super) fn reordered(&self) -> Option<Finding> {
        let rows = self.stored?;
        let (first, second) = self.exchanged(rows, Change::Lost)?;
        let harm = format!(
            "the messages of a conversation are in another order after {}",
            self.way.words
        );
        let help = "start-up code must not change messages";
        let finding = self.finding("saved-row-changed-later", Severity::Error, harm, help);
        Some(finding.with(
            Source::Store,
            format!(
                "`{}` had `{}` in row {} before `{}` in row {}, and has them in rows {} and {}",
                rows.table,
                first.was.content,
                first.was.key,
                second.was.content,
                second.was.key,
                first.is.key,
                second.is.key
            ),
        ))
    }

    /// That nobody knows whether a reload shows messages in their order: the table has them in another one.
    pub(in super::super) fn perhaps_reordered(&self) -> Option<String> {
        let rows = self.stored?;
        let (first, second) = self.exchanged(rows, Change::Open)?;
        Some(format!(
            "after {} row {} of `{}` is behind row {}, which was said later, and without the whole conversation in \
                [history] it is not known in which order a reload shows them",
            self.way.words, first.is.key, rows.table, second.is.key
        ))
    }

    /// Two messages that were in the order in which they were said, and are not now.
    fn exchanged<'r>(&'r self, rows: Stored<'r>, change: Change) -> Option<(Kept<'r>, Kept<'r>)> {
        if !rows.is_ordered || self.shows_all() {
            return None;
        }
        let marked = self.marked().into_iter();
        let kept: Vec<_> = marked
            .filter_map(|(mark, _, was)| Kept::of(rows, mark, was))
            .collect();
        let mut pairs = kept
            .iter()
            .enumerate()
            .flat_map(|(at, first)| kept[at + 1..].iter().map(move |second| (*first, *second)));
        pairs.find(|(first, second)| {
            first.was.conversation == second.was.conversation
                && first.places.0 < second.places.0
                && first.places.1 > second.places.1
                && Change::of(rows, first, second) == change
        })
    }
}

impl<'r> Kept<'r> {
    /// Of a row in a conversation; the rows of a table without conversations are found one by one.
    fn of(rows: Stored<'r>, mark: &str, was: &'r StoredMessage) -> Option<Self> {
        was.conversation.as_ref()?;
        let before = rows.before.iter().position(|row| std::ptr::eq(row, was))?;
        let is_it = |is: &StoredMessage| {
            is_live(is, mark) && is.conversation == was.conversation && same_text(was, is)
        };
        let mut after = rows.after.iter();
        let after = after
            .position(|is| is.key == was.key && is_it(is))
            .or_else(|| rows.after.iter().position(is_it))?;
        Some(Self {
            was,
            is: &rows.after[after],
            places: (before, after),
        })
    }

    /// Whether nothing that can order it has changed.
    fn is_as_it_was(&self) -> bool {
        let order =
            |row: &'r StoredMessage| (&row.key, row.time, row.append, &row.order, &row.parent);
        order(self.was) == order(self.is)
    }
}

impl Change {
    fn of(rows: Stored<'_>, first: &Kept<'_>, second: &Kept<'_>) -> Self {
        if first.is_as_it_was() && second.is_as_it_was() {
            return Self::None;
        }
        // Keys that did not exist before are of a table that was built again.
        let was_there = |kept: &&Kept<'_>| rows.before.iter().any(|row| row.key == kept.is.key);
        let has_old_keys = [first, second].iter().all(was_there);
        let times = first.is.time.zip(second.is.time);
        match times.map(|(first, second)| first.cmp(&second)) {
            Some(Ordering::Less) => Self::Open,
            Some(Ordering::Greater) => Self::Lost,
            Some(Ordering::Equal) | None if has_old_keys => Self::Lost,
            Some(Ordering::Equal) | None => Self::Open,
        }
    }
}
