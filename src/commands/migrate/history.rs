//! `chatctl migrate history` and `restore`: earlier runs, and the way back.

use super::case;
use super::job::{Job, writable};
use crate::cli_error::CliError;
use crate::commands::Done;
use crate::db::Target;
use crate::migrate;
use crate::migrate::backup::Seal;
use crate::migrate::journal::{Journal, Mark, State};
use crate::migrate::restore::Foreign;
use crate::migrate::{backup, journal, restore};
use crate::report::Verdict;
use std::path::{Path, PathBuf};

pub(super) fn history(job: &Job) -> anyhow::Result<Done> {
    let target = job.target()?;
    let entries = match job.look(&target)? {
        Some(mut session) => journal::read(session.as_mut())?,
        None => Vec::new(),
    };
    let mut report = job.report("migrate history", &target);
    for entry in &entries {
        let place = match (entry.version.as_str(), entry.statement) {
            ("", _) => String::new(),
            (version, 0) => format!(" version {version}"),
            (version, statement) => format!(" version {version} statement {statement}"),
        };
        let mut reason = format!("{} at {}", entry.state.word(), entry.at);
        // What a file began with is for the next run, not for people.
        let is_origin = entry.state == State::Begun && entry.statement == 0;
        if !is_origin && !entry.detail.is_empty() {
            reason.push_str(&format!(": {}", entry.detail));
        }
        if entry.state == State::Backup && !Path::new(&entry.detail).exists() {
            reason.push_str(" (no longer there)");
        }
        // What failed then is not a failure of looking at it now.
        let name = format!("{}{place}", entry.run);
        report.cases.push(case(name, Verdict::Held, reason));
    }
    if entries.is_empty() {
        report.cases.push(case(
            "journal".to_owned(),
            Verdict::Held,
            "chatctl has run no migration on this database".to_owned(),
        ));
    }
    Ok(Done::Report(Box::new(report)))
}

pub(super) fn restore(
    from: &str,
    dir: Option<&Path>,
    foreign: Foreign,
    job: &Job,
) -> anyhow::Result<Done> {
    let target = job.target()?;
    writable(&target)?;
    let (path, foreign) = if Path::new(from).is_file() {
        (PathBuf::from(from), foreign)
    } else {
        // It is of this database, though a migration may have renamed every table.
        (of_run(from, &target, job)?, Foreign::Allowed)
    };
    if backup::verify(&path)? == Seal::Absent {
        job.env.progress.warning(&format!(
            "there is no checksum next to {}, so chatctl can only check that the file is readable",
            path.display()
        ));
    }
    // A file that can't be restored is no reason for a backup.
    let ready = restore::prepare(&target, &path, foreign)?;
    if !ready.go.is_empty() {
        job.env.progress.warning(&format!(
            "tables that the backup does not have, and that are dropped with their rows: {}",
            ready.go.join(", ")
        ));
    }
    job.env
        .progress
        .doing("making a backup of the current database".to_owned());
    let journal = Journal::new(migrate::dialect(target.engine()));
    // The last good state must not depend on the backup being one.
    let dir = super::up::backup_dir(dir, &job.env)?;
    let now = backup::take(&target, dir.as_deref(), &journal.run)?;
    job.env
        .progress
        .doing(format!("restoring {}", path.display()));
    if let Err(error) = ready.replace(&now) {
        // A file is replaced at once or not at all.
        if target.is_file() {
            backup::remove(&now)?;
        } else {
            job.env.progress.note(&format!(
                "the backup of the database before this restore stays in {}",
                now.display()
            ));
        }
        return Err(error);
    }
    let mut session = job.write(&target)?;
    journal.create(session.as_mut())?;
    let detail = format!(
        "from {}; the old database is in {}",
        path.display(),
        now.display()
    );
    journal.write(session.as_mut(), &Mark::of_run(State::Restored, &detail))?;
    job.env.progress.done();
    Ok(Done::Text(format!("restored {detail}\n")))
}

/// The backup that a run made.
fn of_run(run: &str, target: &Target, job: &Job) -> anyhow::Result<PathBuf> {
    let entries = match job.look(target)? {
        Some(mut session) => journal::read(session.as_mut())?,
        None => Vec::new(),
    };
    let backups = || entries.iter().filter(|entry| entry.state == State::Backup);
    let found = backups().find(|entry| entry.run == run);
    let Some(found) = found else {
        let known: Vec<_> = backups().map(|entry| entry.run.as_str()).collect();
        let stop = CliError::usage(format!("no run `{run}` made a backup of this database"));
        return Err(if known.is_empty() {
            stop.hint("give the file of a backup: chatctl migrate restore FILE")
        } else {
            stop.hint(format!(
                "the runs with a backup are {}; or give the file of one",
                known.join(", ")
            ))
        }
        .into());
    };
    Ok(PathBuf::from(&found.detail))
}
