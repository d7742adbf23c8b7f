//! Which losses acknowledgements cover. Pure.

use super::{Lost, Meaning, Subject, Tables, What};
use std::collections::BTreeMap;

/// Kinds of losses of one table or column: an acknowledgement covers one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Matter {
    /// Rows, values, columns and tables that go.
    Rows,
    /// Their order.
    Order,
    /// What will be destroyed later.
    Later,
    /// What a crash of the server takes.
    Crash,
    /// What the name means.
    Name,
    /// Numbers of new rows.
    Numbers,
}

impl What {
    /// What kind of loss it is.
    pub const fn matter(self) -> Matter {
        match self {
            Self::TableGone
            | Self::RowsGone
            | Self::ColumnGone
            | Self::ValuesGone
            | Self::ValuesChanged
            | Self::Unseen
            | Self::InUtc => Matter::Rows,
            Self::Moved => Matter::Order,
            Self::Later | Self::Cleared | Self::Unstored => Matter::Later,
            Self::Volatile | Self::Loose => Matter::Crash,
            Self::Unreadable | Self::Unshown | Self::Unwritable | Self::Hidden => Matter::Name,
            Self::Rewound => Matter::Numbers,
        }
    }
}

/// An acknowledged loss.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// The table or the column.
    pub subject: Subject,
    /// At most so many rows.
    pub rows: Option<u64>,
}

/// Losses that nobody acknowledged, or not so many rows of. Rows may go by `table`; values of rows
/// that stay only by `table.column`. Where one table or column has several kinds of losses, each
/// needs an acknowledgement of its own.
pub fn unacknowledged<'a>(
    lost: &'a [Lost],
    allowed: &[Allowed],
    before: Tables<'_>,
) -> Vec<&'a Lost> {
    let names =
        |lost: &Lost, allowed: &Allowed| match (allowed.subject.resolve(before), &lost.column) {
            (Meaning::Table(shape), None) => shape.name == lost.table,
            (Meaning::Column(shape, name), Some(column)) => {
                shape.name == lost.table && name == column
            }
            // A sequence is not a table.
            (Meaning::Nothing, None) => {
                lost.what == What::Rewound
                    && allowed.subject.is_written(&lost.subject, before.names)
            }
            _ => false,
        };
    let mut of_subjects: BTreeMap<_, Vec<&Lost>> = BTreeMap::new();
    for it in lost.iter().filter(|lost| !lost.is_explained()) {
        of_subjects
            .entry((&it.table, &it.column))
            .or_default()
            .push(it);
    }
    let mut refused = Vec::new();
    for lost in of_subjects.into_values() {
        let limits = allowed.iter().filter(|allowed| names(lost[0], allowed));
        let limits: Vec<_> = limits.map(|it| it.rows.unwrap_or(u64::MAX)).collect();
        refused.extend(beyond(lost, limits));
    }
    // In the order in which they were found.
    lost.iter()
        .filter(|it| refused.iter().any(|refused| std::ptr::eq(*refused, *it)))
        .collect()
}

/// Losses of one table or column that acknowledgements for so many rows each do not cover.
fn beyond(lost: Vec<&Lost>, mut limits: Vec<u64>) -> Vec<&Lost> {
    let mut matters: BTreeMap<Matter, Vec<&Lost>> = BTreeMap::new();
    for it in lost {
        matters.entry(it.what.matter()).or_default().push(it);
    }
    let most = |lost: &[&Lost]| lost.iter().map(|it| it.rows).max().unwrap_or_default();
    let mut matters: Vec<_> = matters.into_values().collect();
    if let [lost] = matters.as_mut_slice() {
        let limit = limits.iter().max();
        lost.retain(|it| limit.is_none_or(|limit| it.rows > *limit));
        return std::mem::take(lost);
    }
    // The smallest that suffices, from the smallest loss on: if all can be covered, all are.
    matters.sort_by_key(|lost| most(lost));
    limits.sort_unstable();
    let mut refused = Vec::new();
    for lost in matters {
        match limits.iter().position(|limit| most(&lost) <= *limit) {
            Some(at) => {
                limits.remove(at);
            }
            None => refused.extend(lost),
        }
    }
    refused
}
