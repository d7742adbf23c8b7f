//! `chatctl migrate baseline`, `adopt`, `repair` and `resolve`: change only the history.

use super::job::Job;
use super::options::Folders;
use crate::cli_error::CliError;
use crate::commands::Done;
use crate::migrate;
use crate::migrate::intent::Intent;
use crate::migrate::journal;
use crate::migrate::journal::Standing;
use crate::migrate::ledger::{Ledger, Progress, Resolution};
use crate::migrate::source::{Folder, Migration, Version};
use crate::sql::Dialect;

/// Without a version nothing counts as applied.
pub(super) fn baseline(
    version: Option<&str>,
    folders: &Folders,
    job: &Job,
) -> anyhow::Result<Done> {
    let folder = folders.folder_to_write(job)?;
    let Some(version) = version else {
        with(job, &folder, |mut ledger| ledger.begin())?;
        let pending = match folder.migrations.len() {
            1 => "1 migration is pending".to_owned(),
            count => format!("all {count} migrations are pending"),
        };
        return Ok(Done::Text(format!(
            "the history exists now, and {pending}\n"
        )));
    };
    let to = folder.version(version)?;
    let written = with(job, &folder, |mut ledger| ledger.baseline(&to))?;
    Ok(listed(
        "recorded in the history without being run",
        &written,
    ))
}

pub(super) fn adopt(folders: &Folders, job: &Job) -> anyhow::Result<Done> {
    let folder = folders.folder_to_write(job)?;
    let (tool, written) = with(job, &folder, |mut ledger| ledger.adopt())?;
    Ok(listed(&format!("taken over from {tool}"), &written))
}

pub(super) fn repair(missing: &[String], folders: &Folders, job: &Job) -> anyhow::Result<Done> {
    let folder = folders.folder_to_write(job)?;
    if !missing.is_empty() {
        let versions = missing.iter().map(|text| of_history(text, &folder));
        let versions = versions.collect::<Result<Vec<_>, _>>()?;
        let forgotten = with(job, &folder, |mut ledger| ledger.forget(&versions))?;
        return Ok(listed("removed from the history", &forgotten));
    }
    let written = with(job, &folder, |mut ledger| ledger.repair_line_ends())?;
    Ok(listed("accepted with other line ends", &written))
}

pub(super) fn resolve(
    version: &str,
    how: Resolution,
    progress: Progress,
    folders: &Folders,
    job: &Job,
) -> anyhow::Result<Done> {
    let folder = folders.folder_to_write(job)?;
    let version = of_history(version, &folder)?;
    let unrun = with(job, &folder, |mut ledger| {
        let entries = journal::read(ledger.session)?;
        let standing = journal::standing(&entries, &version);
        ledger.resolve(&version, how, progress)?;
        let file = folder.migrations.iter().find(|it| it.version == version);
        Ok(match (file, standing) {
            (Some(file), Some(standing)) => unrun(file, &standing, ledger.dialect)?,
            (None, _) | (_, None) => None,
        })
    })?;
    let how = match how {
        Resolution::Applied => {
            if let Some(unrun) = unrun {
                job.env.progress.warning(&unrun);
            }
            "counts as applied"
        }
        Resolution::Retry => "pending again",
    };
    Ok(listed(how, &[version]))
}

/// The statements of a file that chatctl did not see applied, where it ran the file.
fn unrun(
    file: &Migration,
    standing: &Standing,
    dialect: Dialect,
) -> anyhow::Result<Option<String>> {
    let all = Intent::of(file, dialect)?.pieces.len();
    let first = standing.done.len() + 1;
    let which = match all.saturating_sub(first) {
        _ if first > all => return Ok(None),
        0 => format!("statement {first}"),
        _ => format!("statements {first} to {all}"),
    };
    Ok(Some(format!(
        "chatctl did not apply {which} of `{}`: `chatctl migrate drift` shows what the schema lacks",
        file.version
    )))
}

/// A version that the history may have though no file has it any more.
fn of_history(text: &str, folder: &Folder) -> Result<Version, CliError> {
    folder.version(text).or_else(|stop| {
        let named = folder.migrations.iter().any(|it| it.version.is_named());
        let number = text.parse().ok().filter(|_| named);
        let lost = number.map(Version::of_lost_name);
        lost.or_else(|| Version::parse(text)).ok_or(stop)
    })
}

fn with<T>(
    job: &Job,
    folder: &Folder,
    work: impl FnOnce(Ledger<'_>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let target = job.target()?;
    let mut session = job.write(&target)?;
    work(Ledger {
        dialect: migrate::dialect(target.engine()),
        session: session.as_mut(),
        files: &folder.migrations,
    })
}

fn listed(what: &str, versions: &[Version]) -> Done {
    let lines = versions
        .iter()
        .map(|version| format!("{version}  {what}\n"));
    Done::Text(match versions {
        [] => "nothing to do\n".to_owned(),
        _ => lines.collect(),
    })
}
