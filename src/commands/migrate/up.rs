//! `chatctl migrate up`: apply what is pending, or change nothing.

use super::acknowledged::Acknowledgements;
use super::advice::History;
use super::job::{Job, writable};
use super::losses::{allow, code, fix, subject};
use super::options::Options;
use super::{FAILED, advice, case, title};
use crate::cli_error::CliError;
use crate::commands::moment::{count, duration};
use crate::commands::{Done, Env};
use crate::config::From;
use crate::db::{Missing, Session, Waits};
use crate::migrate;
use crate::migrate::acknowledged::NearMiss;
use crate::migrate::apply::{
    ApplyOptions, Culprit, End, Evidence, Failure, Guard, NotRun, Outcome, Ran, Together, Tried,
};
use crate::migrate::backup::{Backup, When};
use crate::migrate::plan::Newer;
use crate::migrate::preserve::{Lost, What};
use crate::migrate::source::{Folder, Version};
use crate::migrate::{apply, backup, journal, ledger, plan};
use crate::model::Derived;
use crate::progress::Progress;
use crate::report::{Case, Finding, Report, Severity, Source, Verdict};
use crate::sql::Dialect;
use crate::text::plural;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The options of `up` alone.
#[derive(Debug, clap::Args)]
#[group(id = "up")]
pub(super) struct Args {
    #[command(flatten)]
    options: Options,

    /// How long to wait for another replica's migration, or another writer of a SQLite file
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    lock_wait: Duration,

    /// How long a statement may wait for a lock; meanwhile other sessions queue behind it
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = duration)]
    lock_timeout: Duration,

    /// How long a statement may take; 0s disables the timeout
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    statement_timeout: Duration,

    /// How many times to retry if a lock was not free in time
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = count::<u32>, allow_negative_numbers = true)]
    retries: u32,

    /// When to back up the database first
    #[arg(long, value_enum, default_value = "auto")]
    backup: When,

    /// Where to put backups [default: next to a database file, else ./chatctl-backups] [env:
    /// CHATCTL_BACKUP_DIR]
    #[arg(long, value_name = "DIR")]
    backup_dir: Option<PathBuf>,

    /// How many of this database's backups to keep; 0 keeps all [default: 5] [env: CHATCTL_KEEP_BACKUPS]
    #[arg(long, value_name = "N", value_parser = count::<usize>, allow_negative_numbers = true)]
    keep_backups: Option<usize>,

    /// How to compare the tables that a migration touches (`migrate guard` is another command)
    #[arg(long, value_enum, default_value = "auto")]
    guard: Guard,

    /// Apply all files in one transaction, all or none; every lock is held to the end. SQLite always
    /// does this, MySQL never
    #[arg(long)]
    single_transaction: bool,
}

pub(super) fn run(args: Args, job: &Job) -> anyhow::Result<Done> {
    let folder = args.options.folder_to_write(job)?;
    let target = job.target()?;
    let dialect = migrate::dialect(target.engine());
    let policy = args.options.policy(&folder)?;
    let allows_newer = policy.newer == Newer::Allow;
    let keeps = keeps(args.keep_backups, &job.env)?;
    let began = Instant::now();
    let mut report = job.report("migrate up", &target);
    writable(&target)?;
    let waits = Waits {
        lock: args.lock_timeout,
        statement: args.statement_timeout,
    };
    let progress = &job.env.progress;
    progress.doing("migrating".to_owned());
    // An empty file that is made now stays, whatever the end: another replica may be about to
    // commit into it.
    let mut session = job.open(&target, Missing::Create, waits)?;
    let mut outcome = apply::up(
        session.as_mut(),
        &ApplyOptions {
            target: &target,
            folder: &folder,
            policy,
            dialect,
            guard: args.guard,
            together: if args.single_transaction {
                Together::Run
            } else {
                Together::EachFile
            },
            lock_wait: args.lock_wait,
            retries: args.retries,
            backup: Backup {
                when: args.backup,
                dir: backup_dir(args.backup_dir.as_deref(), &job.env)?,
            },
            stop: &job.stop,
            open: &|door| job.enter(door),
            tell: &|what| progress.doing(what.to_owned()),
        },
    )?;
    progress.done();
    if !(outcome.ran.is_empty() && outcome.end.is_none()) {
        for what in session.unlooked()? {
            progress.warning(&what);
        }
    }
    shelve(session.as_mut(), &outcome, keeps, progress)?;
    if let Some(End::Failed(failure)) = &mut outcome.end {
        if job.is_stopped() {
            stopped(&outcome.ran, job);
            return Err(CliError::interrupted().into());
        }
        let seen = ledger::look(session.as_mut(), dialect, &folder.migrations);
        let is_empty = seen.is_ok_and(|seen| seen.applied.is_empty());
        let history = if is_empty {
            History::Empty
        } else {
            History::Begun
        };
        if let Some(advice) = advice::of(failure, history, dialect) {
            failure.help = advice;
        }
    }
    let acknowledged = Acknowledgements {
        migrations: &folder.migrations,
        dialect,
    };
    let idle = outcome.ran.is_empty() && outcome.end.is_none();
    if idle && allows_newer {
        report
            .cases
            .extend(newer(session.as_mut(), dialect, &folder)?);
    }
    for ran in outcome.ran.iter().filter(|it| acknowledged.is_empty(it)) {
        progress.warning(&format!(
            "`{}` has no statement: it is recorded as applied, and changed nothing",
            ran.file
        ));
    }
    if report.cases.is_empty() {
        tell(outcome, &acknowledged, &mut report);
    }
    report.took = began.elapsed();
    Ok(Done::Report(Box::new(report)))
}

/// Where backups go, when the user says so.
pub(super) fn backup_dir(flag: Option<&Path>, env: &Env) -> Result<Option<PathBuf>, CliError> {
    let flag = flag.map(|dir| dir.display().to_string());
    let (_, from) = env.config.get("backup-dir", flag.as_deref());
    let dir = env.config.value("backup-dir", flag.as_deref())?;
    Ok(dir.map(|dir| match from {
        // A path in the file is relative to the file.
        From::File(file) => file.parent().unwrap_or(Path::new("")).join(dir),
        _ => PathBuf::from(dir),
    }))
}

/// How many backups are kept; all when none is said.
fn keeps(flag: Option<usize>, env: &Env) -> Result<Option<usize>, CliError> {
    let flag = flag.map(|count| count.to_string());
    let count = env
        .config
        .parsed("keep-backups", flag.as_deref(), |text| text.parse().ok())?;
    Ok(count.filter(|count| *count > 0))
}

/// Keeps the backup of a run that changed something, and removes the oldest of those that were made of
/// this database.
fn shelve(
    session: &mut dyn Session,
    outcome: &Outcome,
    keeps: Option<usize>,
    progress: &Progress,
) -> anyhow::Result<()> {
    let Some(path) = &outcome.backup else {
        return Ok(());
    };
    if outcome.ran.is_empty() && outcome.stays.is_none() {
        return Ok(backup::remove(path)?);
    }
    progress.note(&format!(
        "backup: {} (chatctl migrate restore {})",
        path.display(),
        outcome.run
    ));
    let rounded = session.rounded()?;
    if !rounded.is_empty() {
        progress.warning(&format!(
            "the backup has the values of {} with six digits, because the server prints FLOAT that way: use \
                DOUBLE if more digits matter",
            listed(&rounded)
        ));
    }
    let made = journal::backups(session)?;
    let Some(count) = keeps else { return Ok(()) };
    for path in backup::keep(&made, path, count) {
        progress.note(&format!(
            "removed the older backup {} (--keep-backups {count})",
            path.display()
        ));
    }
    Ok(())
}

/// Columns in words; a long list is cut.
fn listed(columns: &[String]) -> String {
    const NAMED: usize = 5;
    let names: Vec<_> = columns
        .iter()
        .take(NAMED)
        .map(|it| format!("`{it}`"))
        .collect();
    match columns.len().saturating_sub(NAMED) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

/// What a signal left behind that is committed.
fn stopped(ran: &[Ran], job: &Job) {
    if !ran.is_empty() {
        let versions = plan::listed(ran.iter().map(|ran| &ran.version));
        let note =
            format!("applied before the signal: {versions}; `chatctl migrate` resumes there");
        job.env.progress.note(&note);
    }
}

/// A database that another release has brought further.
fn newer(
    session: &mut dyn Session,
    dialect: Dialect,
    folder: &Folder,
) -> anyhow::Result<Option<Case>> {
    let applied = ledger::look(session, dialect, &folder.migrations)?.applied;
    let newest = |versions: &mut dyn Iterator<Item = &Version>| versions.max().cloned();
    let there = newest(&mut applied.iter().map(|row| &row.version));
    let files = newest(&mut folder.migrations.iter().map(|it| &it.version));
    Ok(match (there, files) {
        (Some(there), Some(files)) if there > files => Some(case(
            "head".into(),
            Verdict::Held,
            format!(
                "the database is at version {there}, newer than the files, which end at {files}: nothing was changed"
            ),
        )),
        _ => None,
    })
}

pub(super) fn tell(outcome: Outcome, acknowledged: &Acknowledgements<'_>, report: &mut Report) {
    let Outcome {
        ran,
        objects,
        end,
        stays,
        halfway,
        rest,
        ..
    } = outcome;
    if ran.is_empty() && end.is_none() {
        report.cases.push(case(
            "head".into(),
            Verdict::Held,
            "every migration is applied already".into(),
        ));
        return;
    }
    for migration in &ran {
        let (verdict, reason) = if acknowledged.is_empty(migration) {
            let reason = "recorded; the file has no statement, and a later edit of it is refused";
            (Verdict::Held, reason.to_owned())
        } else {
            proven(&migration.evidence)
        };
        let mut case = case(name(migration), verdict, reason);
        case.took = migration.took;
        report.cases.push(case);
        let Evidence { exact, counted, .. } = &migration.evidence;
        report.checked += exact.values().chain(counted.values()).sum::<u64>();
        for lost in &migration.evidence.lost {
            report.add(known(migration, lost));
        }
        acknowledged
            .unused(migration)
            .into_iter()
            .for_each(|unused| report.add(unused.in_case(name(migration))));
    }
    if !objects.is_empty() {
        let finding = Finding::new(
            "objects-lost",
            Severity::Warning,
            "schema",
            "objects that no statement names were dropped with their table, switched off or left on another one",
            "create it again, or switch it on again, in the same migration",
        );
        let finding = objects.iter().fold(finding, |finding, object| {
            finding.with(Source::Catalog, object)
        });
        report.add(finding);
    }
    let Some(end) = end else { return };
    let why = match &end {
        End::Lost(_) => "rows or values would have been lost or changed",
        End::Failed(_) => "a statement failed",
    };
    let changed = changed(&ran, stays, rest.as_ref(), acknowledged.dialect);
    let reason = format!("{why}: {changed}");
    // Where several files ended together, it is the whole run.
    let name = match rest.as_ref().map(|rest| rest.ended.as_slice()) {
        Some([(version, description, _)]) => title(version, description),
        _ => "run".to_owned(),
    };
    report
        .cases
        .push(case(name.clone(), Verdict::Violated, reason));
    match end {
        End::Lost(culprits) => culprits.iter().for_each(|culprit| {
            let mut finding = loss(culprit, acknowledged, &changed);
            if let Some(version) = &halfway {
                finding.help.push_str(&start_over(version));
            }
            report.add(finding.in_case(name.clone()));
        }),
        End::Failed(failure) => report.add(failed(failure, &changed)),
    }
}

/// What else to do where the statements before it stay: a copy that they made lacks what came since.
fn start_over(version: &Version) -> String {
    format!(
        ". If a copy that this file made lacks them: insert them into it, and run `chatctl migrate` again; or \
            undo by hand what the file did so far (drop the copy), and let it start over: \
            `chatctl migrate resolve {version} --as retry --force`"
    )
}

/// What a run that ended too soon left in the database. MySQL rolls no file back: it is tried elsewhere.
fn changed(ran: &[Ran], stays: Option<String>, rest: Option<&NotRun>, dialect: Dialect) -> String {
    let mut parts = Vec::new();
    let undone = match dialect {
        Dialect::Sqlite | Dialect::Postgres => "rolled back",
        Dialect::Mysql => "not applied",
    };
    match (stays, rest) {
        (Some(stays), _) => parts.push(stays),
        (None, _) if ran.is_empty() => return format!("{undone}, nothing was changed"),
        (None, None) => parts.push(format!("the rest was {undone}")),
        (None, Some(rest)) => {
            let files: Vec<_> = rest
                .ended
                .iter()
                .map(|(_, _, file)| format!("`{file}`"))
                .collect();
            let were = if files.len() == 1 { "was" } else { "were" };
            parts.push(format!("{} {were} {undone}", files.join(", ")));
        }
    }
    if !ran.is_empty() {
        let versions = plan::listed(ran.iter().map(|ran| &ran.version));
        parts.push(match ran.len() {
            1 => format!("{versions} is applied and stays"),
            _ => format!("{versions} are applied and stay"),
        });
    }
    let later = rest.map_or(&[] as &[Version], |rest| rest.later.as_slice());
    if !later.is_empty() {
        let were = if later.len() == 1 { "was" } else { "were" };
        parts.push(format!("{} {were} not run", plan::listed(later.iter())));
    }
    parts.join("; ")
}

fn name(migration: &Ran) -> String {
    title(&migration.version, &migration.description)
}

/// What is known of the rows after a file, in words, and how sure it is.
fn proven(evidence: &Evidence) -> (Verdict, String) {
    let acknowledged = evidence.lost.iter().any(|lost| !lost.is_explained());
    let explained = evidence.lost.iter().any(|lost| lost.derived.is_some());
    let but = match (explained, acknowledged) {
        (_, true) => ", except what is acknowledged",
        (true, false) => ", except what the database itself maintains",
        (false, false) => "",
    };
    let touched = evidence.exact.len() + evidence.counted.len();
    let untouched = evidence.tables.saturating_sub(touched);
    let rows: u64 = evidence.exact.values().sum();
    let mut parts = Vec::new();
    let exact = plural(evidence.exact.len() as u64, "touched table");
    match (evidence.exact.is_empty(), rows) {
        (true, _) => {}
        (false, 0) => parts.push(format!("{exact} held no row before the run")),
        (false, rows) => parts.push(format!(
            "every value of {} in {exact} is still there{but}",
            plural(rows, "row"),
        )),
    }
    if !evidence.counted.is_empty() {
        let names: Vec<_> = evidence.counted.keys().map(String::as_str).collect();
        parts.push(format!(
            "of {}, only rows and values were counted{but}",
            names.join(", ")
        ));
    }
    if !evidence.sampled.is_empty() {
        let names: Vec<_> = evidence.sampled.iter().map(String::as_str).collect();
        parts.push(format!(
            "of {}, only a sample of the rows was rehearsed",
            names.join(", ")
        ));
    }
    if !evidence.blind.is_empty() {
        let names: Vec<_> = evidence.blind.iter().cloned().collect();
        parts.push(format!(
            "what acts on {} may do so unseen: this user has no right TRIGGER or EVENT on them",
            listed(&names)
        ));
    }
    if untouched > 0 {
        parts.push(format!(
            "in {} no value from before the run was touched, as the database itself reports",
            plural(untouched as u64, "table")
        ));
    }
    if parts.is_empty() {
        parts.push("there were no tables before".to_owned());
    }
    if evidence.bare > 0 && evidence.tried == Tried::Nowhere {
        parts.push(format!(
            "{} can't run in a transaction, and {} not measured",
            plural(evidence.bare as u64, "statement"),
            if evidence.bare == 1 { "was" } else { "were" }
        ));
    }
    let how = match evidence.tried {
        Tried::Nowhere => "applied",
        Tried::TemporaryTables => "applied after a trial on temporary tables",
        Tried::Copy => "applied after a rehearsal on a copy",
    };
    let is_whole = evidence.counted.is_empty() && evidence.sampled.is_empty();
    let verdict = if is_whole && evidence.blind.is_empty() {
        Verdict::Proven
    } else {
        Verdict::Held
    };
    (verdict, format!("{how}; {}", parts.join("; ")))
}

/// A loss that the migration acknowledges, or a change that is explained.
fn known(migration: &Ran, lost: &Lost) -> Finding {
    let warning = match lost.what {
        What::Unreadable => Some(
            "nothing, if it is intended; otherwise create a policy or grant the right in the migration",
        ),
        What::Unshown => Some(
            "nothing, if every query names the column; otherwise make it VISIBLE in the migration",
        ),
        What::Loose => Some("leave ENGINE out, or write ENGINE = InnoDB"),
        What::Cleared => {
            Some("nothing, if that row should be deleted; otherwise leave the trigger out")
        }
        What::Unstored => Some("nothing, if users write nothing there; otherwise leave it out"),
        What::InUtc => Some(
            "nothing, if the applications store UTC; otherwise write the conversion with AT TIME ZONE and their time zone",
        ),
        What::Unwritable => Some(
            "nothing, if no application inserts rows under this name any more; otherwise make the view \
                insertable (an INSTEAD OF trigger, or a view of one table without UNION), or keep the name for the table",
        ),
        _ => None,
    };
    if let Some(help) = warning {
        let finding = Finding::new(
            code(lost),
            Severity::Warning,
            subject(lost),
            format!("{lost}"),
            help,
        );
        return finding.in_case(name(migration));
    }
    let (harm, help) = match lost.derived {
        None => (
            format!("{lost}, as the migration acknowledges"),
            "nothing to do".to_owned(),
        ),
        Some(derived) => {
            let why = match derived {
                Derived::Clock => "the database itself sets it to the time of a change",
                Derived::Count => "it counts rows, and every new count is correct",
            };
            (
                format!("{lost}: {why}"),
                format!("nothing to do; or add to the migration: {}", allow(lost)),
            )
        }
    };
    let mut finding = Finding::new(code(lost), Severity::Note, subject(lost), harm, help)
        .in_case(name(migration));
    finding.place.file = Some(migration.file.clone());
    finding
}

fn failed(failure: Failure, changed: &str) -> Finding {
    let mut finding = Finding::new(
        FAILED,
        Severity::Error,
        &failure.file,
        format!("`{}` could not be applied: {changed}", failure.file),
        failure.help,
    )
    .with(Source::Store, &failure.message);
    finding.place.file = Some(failure.file);
    finding.place.line = failure.line;
    finding
}

fn loss(culprit: &Culprit, acknowledged: &Acknowledgements<'_>, changed: &str) -> Finding {
    let lost = &culprit.lost;
    let help = match acknowledged.near_miss(culprit) {
        Some(NearMiss::TooFew { place, rows }) => format!(
            "{place} acknowledges at most {}: fix the migration; or, if {} may be lost, raise the limit to {}",
            plural(rows, "row"),
            plural(lost.rows, "row"),
            lost.rows
        ),
        Some(NearMiss::Other { place }) => format!(
            "{place} acknowledges another kind of loss of `{}`: fix the migration; or, if both are intended, write a second acknowledgement: {}",
            lost.subject,
            allow(lost)
        ),
        Some(NearMiss::Name(near)) => format!("{near} Or {}", fix(lost)),
        None => fix(lost),
    };
    let mut finding = Finding::new(
        code(lost),
        Severity::Error,
        subject(lost),
        format!("{lost}: {changed}"),
        help,
    );
    if !culprit.statement.is_empty() {
        finding = finding.with(Source::File, &culprit.statement);
    }
    finding.place.file = Some(culprit.file.clone());
    finding.place.line = culprit.line;
    finding
}
