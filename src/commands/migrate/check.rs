//! `chatctl migrate verify` and `drift`: run the migrations on scratch databases.

use super::acknowledged::Acknowledgements;
use super::case;
use super::job::Job;
use super::options::Folders;
use crate::cli_error::CliError;
use crate::commands::Done;
use crate::db::{Missing, Scratch, Session, Target, Waits};
use crate::migrate::apply::{ApplyOptions, Guard, Outcome, Together};
use crate::migrate::backup::{Backup, When};
use crate::migrate::drift::SchemaDifference;
use crate::migrate::plan::{Newer, OutOfOrder, Policy};
use crate::migrate::source::{Folder, Version};
use crate::migrate::{apply, drift, ledger};
use crate::report::{Finding, Report, Severity, Source, Verdict};
use crate::text::plural;
use crate::{db, migrate, temporary};
use std::collections::BTreeSet;
use std::time::Duration;

/// Rehearsal: nothing is lost on a copy; empty → head makes the same schema as current → head; a
/// second run changes nothing.
pub(super) fn verify(folders: &Folders, job: &Job) -> anyhow::Result<Done> {
    let folder = folders.folder(job)?;
    let aside = temporary::Folder::new()?;
    let asked = job.target()?;
    let mut report = job.report("migrate verify", &asked);
    let (mut session, target) = job.open_or_empty(asked, &aside)?;
    job.env.progress.doing("copying the database".to_owned());
    let mut open = |target: &Target| job.open(target, Missing::Create, Waits::SHORT);
    let copy = Scratch::copy(session.as_mut(), &target, &mut open)?;
    let copied = on_copy(job, &folder, &copy.target, &mut report);
    copy.remove(session.as_mut())?;
    let Some(from_copy) = copied? else {
        return Ok(Done::Report(Box::new(report)));
    };
    job.env.progress.doing("from empty to head".to_owned());
    let empty = Scratch::empty(session.as_mut(), &target)?;
    let made = from_empty(job, &folder, &empty.target, None);
    empty.remove(session.as_mut())?;
    job.env.progress.done();
    let differences = compared(job, made?, from_copy);
    let same = differences.is_empty();
    report.cases.push(case(
        "empty to head".into(),
        if same {
            Verdict::Held
        } else {
            Verdict::Violated
        },
        if same {
            "the same schema as from the current state".into()
        } else {
            "not the same schema as from the current state".into()
        },
    ));
    report.findings.extend(differs(&differences));
    Ok(Done::Report(Box::new(report)))
}

/// The schema at the head, from a copy; none when it did not get there.
fn on_copy(
    job: &Job,
    folder: &Folder,
    target: &Target,
    report: &mut Report,
) -> anyhow::Result<Option<Vec<String>>> {
    let mut session = job.open(target, Missing::Create, Waits::SHORT)?;
    let outcome = apply_to(job, folder, (session.as_mut(), target), None)?;
    let arrived = outcome.end.is_none();
    let acknowledged = Acknowledgements {
        migrations: &folder.migrations,
        dialect: migrate::dialect(target.engine()),
    };
    super::up::tell(outcome, &acknowledged, report);
    if !arrived {
        return Ok(None);
    }
    let before = session.schema()?;
    let again = apply_to(job, folder, (session.as_mut(), target), None)?;
    let idle = again.ran.is_empty() && again.end.is_none() && session.schema()? == before;
    report.cases.push(case(
        "second run".into(),
        if idle {
            Verdict::Held
        } else {
            Verdict::Violated
        },
        if idle {
            "nothing to do, and the schema stays unchanged".into()
        } else {
            "it changes something".into()
        },
    ));
    if !idle {
        report.add(Finding::new(
            "schema-drift",
            Severity::Error,
            "second run",
            "a second run of the same files changes something, so each replica that starts later changes the schema again",
            "find the migration that removes its own row from the history, or runs outside of it",
        ));
    }
    Ok(Some(before))
}

/// The live schema next to what the applied migrations make.
pub(super) fn drift(folders: &Folders, job: &Job) -> anyhow::Result<Done> {
    let folder = folders.folder(job)?;
    let aside = temporary::Folder::new()?;
    let asked = job.target()?;
    let mut report = job.report("migrate drift", &asked);
    let (mut session, target) = job.open_or_empty(asked, &aside)?;
    let dialect = migrate::dialect(target.engine());
    let applied = ledger::look(session.as_mut(), dialect, &folder.migrations)?.applied;
    let last = applied.iter().map(|row| row.version.clone()).max();
    if let Some(last) = last.as_ref().filter(|last| !has_file(&folder, last)) {
        return Err(CliError::refused(format!(
            "version `{last}` is applied and has no file, so it is not known what the migrations make"
        ))
        .hint("restore its file from version control, or use the files of the release that applied it; `chatctl migrate status` lists the versions")
        .into());
    }
    let there = session.schema()?;
    let expected = match &last {
        None => Vec::new(),
        Some(last) => {
            let scratch = Scratch::empty(session.as_mut(), &target)?;
            let made = from_empty(job, &folder, &scratch.target, Some(last.clone()));
            scratch.remove(session.as_mut())?;
            made?
        }
    };
    report.checked = there.len() as u64;
    let differences = compared(job, expected, there);
    let at = last.map_or("no version".to_owned(), |version| {
        format!("version {version}")
    });
    report.cases.push(match differences.len() {
        0 => case(
            "schema".into(),
            Verdict::Held,
            format!("as the migrations make it, at {at}"),
        ),
        count => case(
            "schema".into(),
            Verdict::Violated,
            format!(
                "{} from what the migrations make, at {at}",
                differ(count, "")
            ),
        ),
    });
    report.findings.extend(differs(&differences));
    Ok(Done::Report(Box::new(report)))
}

fn has_file(folder: &Folder, version: &Version) -> bool {
    folder.migrations.iter().any(|it| it.version == *version)
}

fn from_empty(
    job: &Job,
    folder: &Folder,
    target: &Target,
    to: Option<Version>,
) -> anyhow::Result<Vec<String>> {
    let mut session = job.open(target, Missing::Create, Waits::SHORT)?;
    let outcome = apply_to(job, folder, (session.as_mut(), target), to)?;
    match outcome.end {
        None => session.schema(),
        Some(apply::End::Failed(failure)) => anyhow::bail!(
            CliError::refused(format!("an empty database can't be migrated to the newest version: {}: {}", failure.file, failure.message))
                .hint("if a migration uses an object that no migration creates, add an earlier file that creates it")
        ),
        // What one file stores, a later one may not keep.
        Some(apply::End::Lost(culprits)) => {
            let why = culprits.first().map(|it| format!("{}: {}", it.file, it.lost));
            anyhow::bail!(
                CliError::refused(format!(
                    "an empty database can't be migrated to the newest version: {}",
                    why.unwrap_or_default()
                ))
                .hint("`chatctl migrate up` on an empty database names the loss")
            )
        }
    }
}

fn apply_to(
    job: &Job,
    folder: &Folder,
    (session, target): (&mut dyn Session, &Target),
    to: Option<Version>,
) -> anyhow::Result<Outcome> {
    let progress = &job.env.progress;
    // What would be saved is a copy already.
    let aside = temporary::Folder::new()?;
    apply::up(
        session,
        &ApplyOptions {
            target,
            folder,
            policy: Policy {
                to,
                out_of_order: OutOfOrder::Allow,
                newer: Newer::Refuse,
            },
            dialect: migrate::dialect(target.engine()),
            guard: Guard::Auto,
            together: Together::EachFile,
            lock_wait: Duration::from_secs(10),
            retries: 3,
            backup: Backup {
                when: When::Auto,
                dir: Some(aside.path().to_owned()),
            },
            stop: &job.stop,
            open: &|door| job.enter(door),
            tell: &|what| progress.doing(what.to_owned()),
        },
    )
}

/// What differs of two schemas; not the text of a routine that this user may not read in one of them.
fn compared(job: &Job, expected: Vec<String>, there: Vec<String>) -> Vec<SchemaDifference> {
    let (expected, there, unread) = readable(expected, there);
    if !unread.is_empty() {
        let unread: Vec<_> = unread.iter().map(String::as_str).collect();
        job.env.progress.warning(&format!(
            "not compared, because this user may not read it: {}",
            unread.join(", ")
        ));
    }
    drift::differences(&expected, &there)
}

/// The lines of two schemas without those that can't be read in one of them, and what these are of.
fn readable(
    expected: Vec<String>,
    there: Vec<String>,
) -> (Vec<String>, Vec<String>, BTreeSet<String>) {
    let unread = expected.iter().chain(&there);
    let unread = unread.filter_map(|line| line.strip_suffix(db::UNREAD)?.strip_suffix(": "));
    let unread: BTreeSet<_> = unread.map(str::to_owned).collect();
    let is_read = |line: &String| {
        let of = line.split_once(": ").map_or("", |(of, _)| of);
        !unread.contains(of)
    };
    let [expected, there] =
        [expected, there].map(|lines| lines.into_iter().filter(is_read).collect());
    (expected, there, unread)
}

fn differs(differences: &[SchemaDifference]) -> Option<Finding> {
    if differences.is_empty() {
        return None;
    }
    let finding = Finding::new(
        "schema-drift",
        Severity::Error,
        "schema",
        format!(
            "{} from what the migrations make",
            differ(differences.len(), " of the schema")
        ),
        "write a migration that makes this change, or undo the manual change",
    );
    let shown =
        differences
            .iter()
            .take(SHOWN)
            .fold(finding, |finding, difference| match difference {
                SchemaDifference::Missing(line) => {
                    finding.with(Source::Catalog, format!("missing: {line}"))
                }
                SchemaDifference::Extra(line) => {
                    finding.with(Source::Catalog, format!("extra: {line}"))
                }
            });
    Some(match differences.len().checked_sub(SHOWN) {
        None | Some(0) => shown,
        Some(more) => {
            let more = plural(more as u64, "more line");
            shown.with(Source::Catalog, format!("and {more}"))
        }
    })
}

/// `1 line differs`, `2 lines differ`.
fn differ(count: usize, of: &str) -> String {
    let verb = if count == 1 { "differs" } else { "differ" };
    format!("{}{of} {verb}", plural(count as u64, "line"))
}

/// How many lines of a difference are shown.
const SHOWN: usize = 20;

#[cfg(test)]
mod tests {
    use super::readable;
    use crate::db::UNREAD;

    #[test]
    fn what_can_not_be_read_on_one_side_is_not_compared() {
        let lines = |lines: &[&str]| lines.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        let unread = format!("text of function f: {UNREAD}");
        let live = lines(&["function f: ", &unread, "text of function g: () one"]);
        let made = lines(&[
            "function f: ",
            "text of function f: () x: y",
            "text of function g: () two",
        ]);
        let (made, live, unread) = readable(made, live);
        assert_eq!(made, ["function f: ", "text of function g: () two"]);
        assert_eq!(live, ["function f: ", "text of function g: () one"]);
        assert_eq!(
            unread.into_iter().collect::<Vec<_>>(),
            ["text of function f"]
        );
    }
}
