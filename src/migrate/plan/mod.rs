//! The plan: one pure function over the files and the applied versions.

mod refusal;

pub use refusal::{Refusal, Wrong, listed, newer, wrongs};

use super::source::{Migration, Version, eol};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// A row of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    pub version: Version,
    /// What the history calls it.
    pub description: String,
    /// The checksum of what was applied; empty when the history holds none, and then nothing is compared.
    pub checksum: Vec<u8>,
    /// Its progress.
    pub reached: Reached,
    /// When, as the database writes it.
    pub installed_on: Option<String>,
    /// How long it took, in nanoseconds; -1 when that is not known.
    pub execution_ns: i64,
}

/// The progress of a started version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// Finished.
    End,
    /// Unfinished, and chatctl's journal knows how far it got: a run resumes there.
    Known,
    /// Unfinished, and nobody knows how far it got.
    Unknown,
}

impl Reached {
    /// The progress in a history that only records whether a version finished.
    pub const fn end(success: bool) -> Self {
        if success { Self::End } else { Self::Unknown }
    }
}

/// What to do with a file that is older than the newest applied one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutOfOrder {
    /// Run it.
    Allow,
    /// Refuse the whole plan.
    Refuse,
}

/// What to do with a database that is newer than every file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Newer {
    /// Leave it unchanged: an older release runs next to the new one, or was redeployed.
    Allow,
    /// Refuse the whole plan.
    Refuse,
}

/// The options of the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The last version to apply; every one when absent.
    pub to: Option<Version>,
    /// What to do with a file that is older than the newest applied one.
    pub out_of_order: OutOfOrder,
    /// What to do with a database that is newer than every file.
    pub newer: Newer,
}

/// The pending migrations.
#[derive(Debug, PartialEq, Eq)]
pub struct Plan<'a> {
    /// The migrations to run, in this order.
    pub pending: Vec<&'a Migration>,
    /// Those among them that are older than the newest applied one.
    pub out_of_order: Vec<&'a Migration>,
    /// Not applied and newer than the target.
    pub beyond: Vec<&'a Migration>,
}

/// The state of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Applied, and its file is unchanged.
    Applied,
    /// Not applied.
    Pending,
    /// It started and did not finish, and nobody knows how far it got.
    Dirty,
    /// It started and did not finish; a run resumes it.
    HalfApplied,
    /// The same, but its file is gone.
    HalfMissing,
    /// Applied, and its file changed.
    Changed {
        /// Only line ends or a byte-order mark differ.
        by_line_ends: bool,
    },
    /// Applied, and its file is gone.
    Missing,
    /// Not applied, and older than the newest applied one.
    OutOfOrder,
    /// Applied, and newer than every file.
    Newer,
}

impl State {
    /// One word or two for a table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Pending => "pending",
            Self::Dirty | Self::HalfApplied | Self::HalfMissing => "half applied",
            Self::Changed {
                by_line_ends: false,
            } => "changed",
            Self::Changed { by_line_ends: true } => "line ends changed",
            Self::Missing => "missing",
            Self::OutOfOrder => "out of order",
            Self::Newer => "newer",
        }
    }
}

/// A line of `migrate status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub version: Version,
    /// The file's description, or the history's when there is no file.
    pub description: String,
    pub state: State,
    /// The file.
    pub path: Option<PathBuf>,
    /// When it was applied, as the database writes it.
    pub installed_on: Option<String>,
}

/// The state of every version of the files and the history, by ascending version.
pub fn status(files: &[Migration], applied: &[Applied]) -> Vec<Row> {
    let history: BTreeMap<_, _> = applied.iter().map(|row| (&row.version, row)).collect();
    let known: BTreeSet<_> = files.iter().map(|file| &file.version).collect();
    let newest_file = known.last();
    let newest_applied = newest(&known, applied);
    let of_file = |file: &Migration| {
        let row = history.get(&file.version).copied();
        let state = match row {
            None if !file.any_order && newest_applied.is_some_and(|it| file.version < *it) => {
                State::OutOfOrder
            }
            None => State::Pending,
            Some(row) => match row.reached {
                Reached::End => compared(file, row),
                Reached::Known => State::HalfApplied,
                Reached::Unknown => State::Dirty,
            },
        };
        Row {
            version: file.version.clone(),
            description: file.description.clone(),
            state,
            path: Some(file.path.clone()),
            installed_on: row.and_then(|row| row.installed_on.clone()),
        }
    };
    let of_history = |row: &Applied| {
        let newer = newest_file.is_none_or(|newest| row.version > **newest);
        let state = match (row.reached, newer) {
            (Reached::Unknown, _) => State::Dirty,
            (Reached::Known, _) => State::HalfMissing,
            (Reached::End, true) => State::Newer,
            (Reached::End, false) => State::Missing,
        };
        Row {
            version: row.version.clone(),
            description: row.description.clone(),
            state,
            path: None,
            installed_on: row.installed_on.clone(),
        }
    };
    let orphans = applied.iter().filter(|row| !known.contains(&row.version));
    let mut rows: Vec<_> = files
        .iter()
        .map(of_file)
        .chain(orphans.map(of_history))
        .collect();
    rows.sort_by(|a, b| (&a.version, &a.path).cmp(&(&b.version, &b.path)));
    rows
}

/// The newest version of the history that is not to be resumed: older files may run before one that
/// is.
fn newest<'a>(files: &BTreeSet<&Version>, applied: &'a [Applied]) -> Option<&'a Version> {
    let counts = |row: &&Applied| row.reached != Reached::Known || !files.contains(&row.version);
    applied.iter().filter(counts).map(|row| &row.version).max()
}

fn compared(file: &Migration, row: &Applied) -> State {
    if row.checksum.is_empty() || row.checksum == file.checksum {
        return State::Applied;
    }
    // The recorded checksum may be that of the raw bytes while `ignored-chars` has come since.
    let by_line_ends = super::source::checksum(&file.raw) == row.checksum
        || eol::same_but_for_line_ends(&file.raw, &row.checksum).is_some();
    State::Changed { by_line_ends }
}

/// Computes the plan, or the reason why nothing may run.
///
/// The order of the checks is that of their weight: what must be fixed first is reported first.
///
/// # Errors
/// Refuses when a version is doubled, half applied and not to be resumed, changed, missing, newer
/// than the files or out of order, when the target is unknown or already passed, and when a pending
/// migration cannot be run by chatctl.
pub fn plan<'a>(
    files: &'a [Migration],
    applied: &[Applied],
    policy: &Policy,
) -> Result<Plan<'a>, Refusal> {
    refusal::duplicate(files)?;
    let mut rows = status(files, applied);
    let known: BTreeSet<_> = files.iter().map(|file| &file.version).collect();
    if policy.newer == Newer::Allow {
        // Another release runs or resumes it, and this one has nothing to do with it.
        let is_newer = |row: &Row| known.last().is_none_or(|newest| row.version > **newest);
        rows.retain(|row| row.state != State::HalfMissing || !is_newer(row));
    }
    for wrong in [
        Wrong::Dirty,
        Wrong::HalfMissing,
        Wrong::Changed,
        Wrong::ChangedByLineEnds,
        Wrong::Missing,
        Wrong::Newer,
    ] {
        if wrong != Wrong::Newer || policy.newer == Newer::Refuse {
            refusal::in_state(wrong, &rows)?;
        }
    }
    if let Some(to) = &policy.to {
        refusal::target(to, files, newest(&known, applied))?;
    }
    let by_version: BTreeMap<_, _> = files.iter().map(|file| (&file.version, file)).collect();
    let open = rows.iter().filter(|row| {
        matches!(
            row.state,
            State::Pending | State::OutOfOrder | State::HalfApplied
        )
    });
    let wanted = |row: &&Row| policy.to.as_ref().is_none_or(|to| row.version <= *to);
    let (chosen, rest): (Vec<_>, Vec<_>) = open.partition(wanted);
    let late: Vec<Row> = chosen
        .iter()
        .filter(|row| row.state == State::OutOfOrder)
        .map(|row| (*row).clone())
        .collect();
    if policy.out_of_order == OutOfOrder::Refuse {
        refusal::in_state(Wrong::OutOfOrder, &late)?;
    }
    let files_of = |rows: &mut dyn Iterator<Item = &Row>| -> Vec<&'a Migration> {
        rows.filter_map(|row| by_version.get(&row.version).copied())
            .collect()
    };
    let pending = files_of(&mut chosen.into_iter());
    refusal::unsupported(&pending)?;
    Ok(Plan {
        pending,
        out_of_order: files_of(&mut late.iter()),
        beyond: files_of(&mut rest.into_iter()),
    })
}

#[cfg(test)]
mod tests;
