//! `chatctl migrate baseline`, `adopt`, `repair` and `resolve`: what changes the history alone.

use super::job::Job;
use super::options::Options;
use crate::commands::Done;
use crate::migrate;
use crate::migrate::ledger::Ledger;
use crate::migrate::ledger::Resolution;
use crate::migrate::source::Folder;
use crate::migrate::source::Version;

pub(super) fn baseline(version: &str, options: &Options, job: &Job) -> anyhow::Result<Done> {
    let folder = options.folder(job)?;
    let to = folder.version(version)?;
    let written = with(job, &folder, |mut ledger| ledger.baseline(&to))?;
    Ok(told("written into the history without being run", &written))
}

pub(super) fn adopt(options: &Options, job: &Job) -> anyhow::Result<Done> {
    let folder = options.folder(job)?;
    let (tool, written) = with(job, &folder, |mut ledger| ledger.adopt())?;
    Ok(told(&format!("taken over from {tool}"), &written))
}

pub(super) fn repair(options: &Options, job: &Job) -> anyhow::Result<Done> {
    let folder = options.folder(job)?;
    let written = with(job, &folder, |mut ledger| ledger.repair_line_ends())?;
    Ok(told("accepted with other line ends", &written))
}

pub(super) fn resolve(
    version: &str,
    how: Resolution,
    options: &Options,
    job: &Job,
) -> anyhow::Result<Done> {
    let folder = options.folder(job)?;
    let version = folder.version(version)?;
    with(job, &folder, |mut ledger| ledger.resolve(&version, how))?;
    let how = match how {
        Resolution::Applied => "counts as applied",
        Resolution::Retry => "pending again",
    };
    Ok(told(how, &[version]))
}

fn with<T>(
    job: &Job,
    folder: &Folder,
    work: impl FnOnce(Ledger<'_>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let target = job.target()?;
    let mut session = job.write(&target)?;
    work(Ledger {
        dialect: migrate::dialect(target.backend()),
        session: session.as_mut(),
        files: &folder.migrations,
    })
}

fn told(what: &str, versions: &[Version]) -> Done {
    let lines = versions
        .iter()
        .map(|version| format!("{version}  {what}\n"));
    Done::Text(match versions {
        [] => "nothing to do\n".to_owned(),
        _ => lines.collect(),
    })
}
