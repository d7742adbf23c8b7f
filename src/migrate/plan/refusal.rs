//! Why a plan is refused, and how to fix that.

use super::{Row, State};
use crate::cli_error::CliError;
use crate::migrate::source;
use crate::migrate::source::{Migration, Unsupported, Version};
use crate::text::nearest;
use std::collections::BTreeMap;
use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// Two files have one version.
    Duplicate,
    /// A migration did not come to its end, and nobody knows how far it came.
    Dirty,
    /// A migration did not come to its end; a run resumes it.
    HalfApplied,
    /// The same, but its file is gone.
    HalfMissing,
    /// The file of an applied migration was edited.
    Changed,
    /// The file of an applied migration has other line ends or another byte-order mark.
    ChangedByLineEnds,
    /// The file of an applied migration is gone.
    Missing,
    /// The history is ahead of every file.
    Newer,
    /// A file is older than the newest applied one.
    OutOfOrder,
    /// No file has the target's version.
    UnknownTarget,
    /// The history is ahead of the target.
    TargetPassed,
    /// chatctl cannot run a pending file.
    Unsupported,
}

impl Wrong {
    /// Whether a row of the status is this.
    fn is(self, state: State) -> bool {
        match self {
            Self::Dirty => state == State::Dirty,
            Self::HalfApplied => state == State::HalfApplied,
            Self::HalfMissing => state == State::HalfMissing,
            Self::Changed => {
                state
                    == State::Changed {
                        by_line_ends: false,
                    }
            }
            Self::ChangedByLineEnds => state == State::Changed { by_line_ends: true },
            Self::Missing => state == State::Missing,
            Self::Newer => state == State::Newer,
            Self::OutOfOrder => state == State::OutOfOrder,
            _ => false,
        }
    }
}

/// Why nothing may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub wrong: Wrong,
    /// The versions it is about, ascending.
    pub versions: Vec<Version>,
    /// What is wrong, as a lower-case fragment.
    pub message: String,
    /// What to do or paste.
    pub hint: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

impl From<Refusal> for CliError {
    fn from(refusal: Refusal) -> Self {
        let stop = match refusal.wrong {
            Wrong::UnknownTarget => Self::usage(refusal.message),
            _ => Self::refused(refusal.message),
        };
        stop.hint(refusal.hint)
    }
}

fn refuse(
    wrong: Wrong,
    versions: Vec<Version>,
    message: String,
    hint: String,
) -> Result<(), Refusal> {
    Err(Refusal {
        wrong,
        versions,
        message,
        hint,
    })
}

/// `migration` or `2 migrations`, then the versions.
fn subject(versions: &[Version]) -> String {
    let list = listed(versions.iter());
    match versions.len() {
        1 => format!("migration {list}"),
        count => format!("{count} migrations ({list})"),
    }
}

/// Versions in backticks; a long list is cut and says so.
pub fn listed<'a>(versions: impl ExactSizeIterator<Item = &'a Version>) -> String {
    const SHOWN: usize = 5;
    let more = versions.len().saturating_sub(SHOWN);
    let list: Vec<_> = versions
        .take(SHOWN)
        .map(|version| format!("`{version}`"))
        .collect();
    match more {
        0 => list.join(", "),
        more => format!("{} and {more} more", list.join(", ")),
    }
}

pub(super) fn duplicate(files: &[Migration]) -> Result<(), Refusal> {
    let mut seen = BTreeMap::new();
    for file in files {
        if let Some(first) = seen.insert(&file.version, file) {
            let (message, hint) = source::one_version(first, file);
            return refuse(Wrong::Duplicate, vec![file.version.clone()], message, hint);
        }
    }
    Ok(())
}

/// Refuses when rows are in the state that `wrong` stands for.
pub(super) fn in_state(wrong: Wrong, rows: &[Row]) -> Result<(), Refusal> {
    let found: Vec<_> = rows.iter().filter(|row| wrong.is(row.state)).collect();
    let Some(first) = found.first() else {
        return Ok(());
    };
    let versions: Vec<_> = found.iter().map(|row| row.version.clone()).collect();
    let who = subject(&versions);
    let one = versions.len() == 1;
    let version = &first.version;
    let path = first.path.as_ref().map(|path| path.display().to_string());
    let path = path.unwrap_or_default();
    let last = &versions[versions.len() - 1];
    let (message, hint) = match wrong {
        Wrong::Dirty => (
            format!("{who} began and did not finish"),
            format!(
                "check which statements were applied; undo them by hand and run the whole file again: `chatctl migrate resolve {version} --as retry`; or apply the rest by hand and record the file as applied: `chatctl migrate resolve {version} --as applied`"
            ),
        ),
        Wrong::HalfApplied => (
            format!("{who} {} half applied", is(one)),
            "run `chatctl migrate`: it resumes with the first statement that is not applied"
                .to_owned(),
        ),
        Wrong::HalfMissing => (
            format!(
                "{who} {} half applied, and {} file is gone",
                is(one),
                if one { "its" } else { "their" }
            ),
            format!(
                "restore {}, or use the release that contains {}, and run `chatctl migrate`: it resumes with \
                    the first statement that is not applied",
                if one { "the file" } else { "the files" },
                if one { "it" } else { "them" }
            ),
        ),
        Wrong::Changed => (
            format!("{who} {} edited after being applied: `{path}`", was(one)),
            format!(
                "restore the file (`git log -p -- {path}`), and write the change into a new migration: `chatctl migrate new NAME`"
            ),
        ),
        Wrong::ChangedByLineEnds => (
            format!(
                "{who} {} applied with different line ends or another byte-order mark than the file has now: `{path}`",
                was(one)
            ),
            "nothing else differs; record the current file: `chatctl migrate repair --eol`"
                .to_owned(),
        ),
        Wrong::Missing if is_other_folder(rows) => elsewhere(rows),
        Wrong::Missing => (
            format!(
                "{who} {} applied, and {} file is gone",
                was(one),
                if one { "its" } else { "their" }
            ),
            format!(
                "restore {} from version control; if it was removed on purpose, remove it from the history as well: `chatctl migrate repair {}`",
                if one { "the file" } else { "the files" },
                options("--missing", &versions)
            ),
        ),
        Wrong::Newer => (
            format!(
                "the database is newer than the files: {who} {} applied, and newer than every file",
                was(one)
            ),
            format!(
                "deploy the release that contains version `{last}`; if this one works with the newer schema, `chatctl migrate up --allow-newer` passes and changes nothing"
            ),
        ),
        _ => (
            format!("{who} {} older than the newest applied one", is(one)),
            format!(
                "give `{path}` a newer version, or run it late: `chatctl migrate up --allow-out-of-order`"
            ),
        ),
    };
    refuse(wrong, versions, message, hint)
}

const fn was(one: bool) -> &'static str {
    if one { "was" } else { "were" }
}

const fn is(one: bool) -> &'static str {
    if one { "is" } else { "are" }
}

/// Whether none of several applied versions has a file: then the folder or the database is the wrong
/// one.
fn is_other_folder(rows: &[Row]) -> bool {
    let gone = |state| matches!(state, State::Missing | State::Newer | State::HalfMissing);
    let missing = rows.iter().filter(|row| gone(row.state)).count();
    let others = [State::Pending, State::OutOfOrder];
    missing > 1
        && rows
            .iter()
            .all(|row| gone(row.state) || others.contains(&row.state))
}

/// What is wrong with such a folder. A `repair` would empty the history.
fn elsewhere(rows: &[Row]) -> (String, String) {
    let count = rows.iter().filter(|row| row.path.is_none()).count();
    (
        format!("none of the {count} applied versions has a file in the folder"),
        "check --dir and --database-url; `chatctl migrate status` lists the versions".to_owned(),
    )
}

fn options(name: &str, versions: &[Version]) -> String {
    let each = versions.iter().map(|version| format!("{name} {version}"));
    each.collect::<Vec<_>>().join(" ")
}

/// Everything that is wrong with versions that were applied, or are older than the newest applied one.
pub fn wrongs(rows: &[Row]) -> Vec<Refusal> {
    let all = [
        Wrong::Dirty,
        Wrong::HalfApplied,
        Wrong::HalfMissing,
        Wrong::Changed,
        Wrong::ChangedByLineEnds,
        Wrong::Missing,
        Wrong::OutOfOrder,
    ];
    all.into_iter()
        .filter_map(|wrong| in_state(wrong, rows).err())
        .collect()
}

/// Versions that are newer than every file: another release brought them, and `up` waits for its files.
pub fn newer(rows: &[Row]) -> Option<Refusal> {
    in_state(Wrong::Newer, rows).err()
}

/// Refuses a target that is not a file's, or that lies behind: chatctl does not go back.
pub(super) fn target(
    to: &Version,
    files: &[Migration],
    newest: Option<&Version>,
) -> Result<(), Refusal> {
    if !files.iter().any(|file| file.version == *to) {
        let known = files.iter().map(|file| file.version.text());
        let hint = nearest(to.text(), known).map_or_else(
            || "`chatctl migrate status` lists the versions".to_owned(),
            |near| format!("did you mean `--to {near}`?"),
        );
        return refuse(
            Wrong::UnknownTarget,
            vec![to.clone()],
            format!("there is no migration with version `{to}`"),
            hint,
        );
    }
    match newest.filter(|newest| *newest > to) {
        Some(newest) => refuse(
            Wrong::TargetPassed,
            vec![to.clone()],
            format!("the database is at version `{newest}`, which is newer than `{to}`"),
            "chatctl only migrates forward: leave `--to` out, or write a migration that undoes the unwanted part".to_owned(),
        ),
        None => Ok(()),
    }
}

pub(super) fn unsupported(pending: &[&Migration]) -> Result<(), Refusal> {
    for (number, file) in pending.iter().enumerate() {
        let Some(Unsupported { why, instead }) = &file.unsupported else {
            continue;
        };
        // A baseline counts everything before it as applied, so what is before it comes first.
        let first = match number.checked_sub(1).map(|before| &pending[before].version) {
            Some(before) => {
                format!("apply the earlier ones: `chatctl migrate up --to {before}`; then ")
            }
            None => String::new(),
        };
        let hint = match instead {
            Some(instead) => instead.clone(),
            None => format!(
                "{first}run it with its own tool, and record that: `chatctl migrate baseline {}`",
                file.version
            ),
        };
        return refuse(
            Wrong::Unsupported,
            vec![file.version.clone()],
            format!("`{}` cannot be run: {why}", file.path.display()),
            hint,
        );
    }
    Ok(())
}
