//! Options shared by the sub-commands that use a database.

use super::job::Job;
use crate::cli_error::CliError;
use crate::commands::Env;
use crate::commands::moment::duration;
use crate::migrate::plan::{Newer, OutOfOrder, Policy};
use crate::migrate::source::acknowledged::Among;
use crate::migrate::source::{Folder, Migration, acknowledged};
use crate::migrate::{ledger, source};
use clap::builder::PossibleValuesParser;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The folders of migrations, which every sub-command on a database takes.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Folders {
    /// A folder of migrations; several folders form one history
    #[arg(long, default_value = "migrations")]
    dir: Vec<PathBuf>,

    /// The tool whose layout the folder has [default: detected from names and contents]
    #[arg(long, value_name = "FORMAT", value_parser = formats())]
    source: Option<String>,

    /// How long to wait for a database that does not accept connections yet
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    wait: Duration,
}

/// What a sub-command takes that looks at what would be applied.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    folders: Folders,

    /// The last version to apply
    #[arg(long, value_name = "VERSION")]
    to: Option<String>,

    /// Also apply files that are older than the newest applied one
    #[arg(long)]
    allow_out_of_order: bool,

    /// Succeed without a change if the database is newer than the files, as for an older release
    #[arg(long)]
    allow_newer: bool,
}

/// The tools that `--source` names.
pub(super) fn formats() -> PossibleValuesParser {
    PossibleValuesParser::new(source::ALL.iter().map(|format| format.name))
}

impl Folders {
    /// The folders, read, with what was found out about them.
    pub(super) fn folder(&self, job: &Job) -> anyhow::Result<Folder> {
        job.wait(self.wait);
        let mut all: Option<Folder> = None;
        for dir in &self.dir {
            let folder = read(dir, self.source.as_deref(), &job.env)?;
            match &mut all {
                None => all = Some(folder),
                Some(all) => {
                    let named = folder.settings.table_name;
                    all.settings.table_name = all.settings.table_name.take().or(named);
                    all.migrations.extend(folder.migrations);
                }
            }
        }
        let mut all = match all {
            Some(folder) => folder,
            None => source::read(&PathBuf::from("migrations"), self.source.as_deref())?,
        };
        all.migrations.sort_by(|a, b| a.version.cmp(&b.version));
        acknowledge(&mut all.migrations, &job.env)?;
        Ok(all)
    }

    /// The same, for what writes the history.
    pub(super) fn folder_to_write(&self, job: &Job) -> anyhow::Result<Folder> {
        let folder = self.folder(job)?;
        ledger::keeps_one_history(&folder.settings)?;
        Ok(folder)
    }
}

impl Options {
    /// The folders, read, with what was found out about them.
    pub(super) fn folder(&self, job: &Job) -> anyhow::Result<Folder> {
        self.folders.folder(job)
    }

    /// The same, for what writes the history.
    pub(super) fn folder_to_write(&self, job: &Job) -> anyhow::Result<Folder> {
        self.folders.folder_to_write(job)
    }

    pub(super) fn policy(&self, folder: &Folder) -> anyhow::Result<Policy> {
        let to = self
            .to
            .as_deref()
            .map(|to| folder.version(to))
            .transpose()?;
        Ok(Policy {
            to,
            out_of_order: if self.allow_out_of_order {
                OutOfOrder::Allow
            } else {
                OutOfOrder::Refuse
            },
            newer: if self.allow_newer {
                Newer::Allow
            } else {
                Newer::Refuse
            },
        })
    }
}

/// Gives the losses that `chatctl.toml` acknowledges to their migrations. A project may have several
/// folders: a path that leads to a file in another one is not about these.
pub(super) fn acknowledge(migrations: &mut [Migration], env: &Env) -> Result<(), CliError> {
    let Some((path, text)) = env.config.written() else {
        return Ok(());
    };
    let base = path.parent().unwrap_or(Path::new(""));
    let mut here = Vec::new();
    for mut entry in acknowledged::parse(path, text, Among::Settings)? {
        if !migrations.iter().any(|it| entry.names(it))
            && let Ok(full) = base.join(&entry.of).canonicalize()
        {
            let is_it = |it: &&Migration| it.path.canonicalize().is_ok_and(|path| path == full);
            let Some(migration) = migrations.iter().find(is_it) else {
                continue;
            };
            migration.version.text().clone_into(&mut entry.of);
        }
        here.push(entry);
    }
    acknowledged::attach(migrations, here)
}

/// A folder, read, with what was found out about it.
pub(super) fn read(dir: &Path, format: Option<&str>, env: &Env) -> anyhow::Result<Folder> {
    let folder = source::read(dir, format)?;
    env.progress.note(&format!(
        "migrations: {} in {} ({}, {})",
        folder.migrations.len(),
        dir.display(),
        folder.format,
        folder.reason
    ));
    left_out(&folder.ignored)
        .iter()
        .for_each(|line| env.progress.warning(line));
    Ok(folder)
}

/// The files that are no migrations, in words: many that are for one reason in one line.
fn left_out(ignored: &[(PathBuf, String)]) -> Vec<String> {
    const NAMED: usize = 3;
    let mut by_reason: Vec<(&String, Vec<&Path>)> = Vec::new();
    for (path, reason) in ignored {
        match by_reason.iter_mut().find(|(it, _)| *it == reason) {
            Some((_, paths)) => paths.push(path),
            None => by_reason.push((reason, vec![path])),
        }
    }
    let lines = by_reason.into_iter().flat_map(|(reason, paths)| {
        if let [first, _, .., last] = paths.as_slice()
            && paths.len() > NAMED
        {
            let (first, last) = (first.display(), last.display());
            let many = paths.len();
            return vec![format!(
                "{many} files are left out, {first} to {last}: {reason}"
            )];
        }
        let each = paths.iter();
        each.map(|path| format!("{} is left out: {reason}", path.display()))
            .collect()
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::left_out;
    use std::path::PathBuf;

    #[test]
    fn many_files_that_are_left_out_are_one_line() {
        let of = |count: usize| -> Vec<_> {
            let paths = (1..=count).map(|it| PathBuf::from(format!("{it}.ts")));
            paths.map(|path| (path, "no SQL".to_owned())).collect()
        };
        let mut some = of(2);
        some.push((PathBuf::from("a.txt"), "no name".to_owned()));
        assert_eq!(
            left_out(&some),
            [
                "1.ts is left out: no SQL",
                "2.ts is left out: no SQL",
                "a.txt is left out: no name"
            ]
        );
        assert_eq!(
            left_out(&of(14)),
            ["14 files are left out, 1.ts to 14.ts: no SQL"]
        );
        assert!(left_out(&[]).is_empty());
    }
}
