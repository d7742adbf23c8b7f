//! `chatctl migrate baseline`, `adopt`, `repair` and `resolve`: what changes the history alone.

use super::job::Job;
use super::options::Options;
use crate::cli_error::CliError;
use crate::commands::Done;
use crate::migrate;
use crate::migrate::ledger::{Ledger, Progress, Resolution};
use crate::migrate::source::{Folder, Version};

/// Without a version nothing counts as applied.
pub(super) fn baseline(
    version: Option<&str>,
    options: &Options,
    job: &Job,
) -> anyhow::Result<Done> {
    let folder = options.folder(job)?;
    let Some(version) = version else {
        with(job, &folder, |mut ledger| ledger.begin())?;
        let count = folder.migrations.len();
        return Ok(Done::Text(format!(
            "the history exists now, and all {count} migrations are pending\n"
        )));
    };
    let to = folder.version(version)?;
    let written = with(job, &folder, |mut ledger| ledger.baseline(&to))?;
    Ok(listed(
        "recorded in the history without being run",
        &written,
    ))
}

pub(super) fn adopt(options: &Options, job: &Job) -> anyhow::Result<Done> {
    let folder = options.folder(job)?;
    let (tool, written) = with(job, &folder, |mut ledger| ledger.adopt())?;
    Ok(listed(&format!("taken over from {tool}"), &written))
}

pub(super) fn repair(missing: &[String], options: &Options, job: &Job) -> anyhow::Result<Done> {
    let folder = options.folder(job)?;
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
    options: &Options,
    job: &Job,
) -> anyhow::Result<Done> {
    let folder = options.folder(job)?;
    let version = of_history(version, &folder)?;
    with(job, &folder, |mut ledger| {
        ledger.resolve(&version, how, progress)
    })?;
    let how = match how {
        Resolution::Applied => "counts as applied",
        Resolution::Retry => "pending again",
    };
    Ok(listed(how, &[version]))
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
