//! `chatctl migrate up`: apply what is pending, or change nothing.

use super::case;
use super::job::Job;
use super::job::writable;
use super::options::Options;
use crate::commands::Done;
use crate::db::Missing;
use crate::db::Waits;
use crate::migrate;
use crate::migrate::apply;
use crate::migrate::apply::Culprit;
use crate::migrate::apply::End;
use crate::migrate::apply::Failure;
use crate::migrate::apply::Guard;
use crate::migrate::apply::Kept;
use crate::migrate::apply::Orders;
use crate::migrate::apply::Outcome;
use crate::migrate::backup::Backup;
use crate::migrate::backup::When;
use crate::migrate::preserve::Lost;
use crate::migrate::preserve::What;
use crate::report::Finding;
use crate::report::Report;
use crate::report::Severity;
use crate::report::Source;
use crate::report::StoreLine;
use crate::report::Verdict;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

/// What `up` takes beside what every sub-command does.
#[derive(Debug, clap::Args)]
#[group(id = "up")]
pub(super) struct Args {
    #[command(flatten)]
    options: Options,

    /// How long to wait for another replica that migrates, or another writer of a SQLite file
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = humantime::parse_duration)]
    lock_wait: Duration,

    /// How long a statement may wait for its lock, and so keep others waiting behind it
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = humantime::parse_duration)]
    lock_timeout: Duration,

    /// How long a statement may take; 0s is for ever
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = humantime::parse_duration)]
    statement_timeout: Duration,

    /// How often to try again when a lock was not free in time
    #[arg(long, value_name = "N", default_value_t = 10)]
    retries: u32,

    /// When the database is put by before the run; never is refused where a loss is acknowledged
    #[arg(long, value_enum, default_value = "auto")]
    backup: When,

    /// Where the backup is put [default: beside a database file, else chatctl-backups]
    #[arg(long, value_name = "DIR")]
    backup_dir: Option<PathBuf>,

    /// How tables are compared that a migration touches; auto: row by row up to 1 GiB a table
    #[arg(long, value_enum, default_value = "auto")]
    guard: Guard,
}

pub(super) fn run(args: Args, job: &Job) -> anyhow::Result<Done> {
    let folder = args.options.folder(job)?;
    let target = job.target()?;
    let policy = args.options.policy(&folder)?;
    let began = Instant::now();
    let mut report = Report::new("migrate up");
    report.store = Some(StoreLine {
        backend: target.backend().to_owned(),
        url: target.to_string(),
        mapping: "every table".to_owned(),
    });
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
    let outcome = apply::up(
        session.as_mut(),
        &Orders {
            target: &target,
            folder: &folder,
            policy,
            dialect: migrate::dialect(target.backend()),
            guard: args.guard,
            lock_wait: args.lock_wait,
            retries: args.retries,
            backup: Backup {
                when: args.backup,
                dir: args.backup_dir,
            },
            stop: &job.stop,
            open: &|copy| job.open(copy, Missing::Fail, Waits::SHORT),
            tell: &|what| progress.doing(what.to_owned()),
        },
    )?;
    progress.done();
    if let Some(path) = &outcome.kept.backup {
        progress.note(&format!(
            "backup: {} (chatctl migrate restore {})",
            path.display(),
            outcome.run
        ));
    }
    tell(outcome, &mut report);
    report.took = began.elapsed();
    Ok(Done::Report(Box::new(report)))
}

pub(super) fn tell(outcome: Outcome, report: &mut Report) {
    let Outcome { ran, kept, end, .. } = outcome;
    if ran.is_empty() && end.is_none() {
        report.cases.push(case(
            "head".into(),
            Verdict::Held,
            "every migration is applied already".into(),
        ));
        return;
    }
    report.checked = kept.exact.values().chain(kept.counted.values()).sum();
    for migration in ran {
        let name = format!("{} {}", migration.version, migration.description);
        let (verdict, mut reason) = proven(&kept);
        if migration.bare > 0 && !kept.rehearsed {
            reason.push_str(&format!(
                "; {} statements can't run in a transaction and were not measured",
                migration.bare
            ));
        }
        let mut case = case(name, verdict, reason);
        case.took = migration.took;
        report.cases.push(case);
    }
    for lost in &kept.acknowledged {
        report.add(Finding::new(
            code(lost),
            Severity::Note,
            subject(lost),
            format!("{lost}, as the migration acknowledges"),
            "nothing to do",
        ));
    }
    if !kept.objects.is_empty() {
        let finding = Finding::new(
            "objects-lost",
            Severity::Warning,
            "schema",
            "a rebuild of its table took along what no statement dropped by name",
            "make it again in the migration that rebuilds the table",
        );
        let finding = kept.objects.iter().fold(finding, |finding, object| {
            finding.with(Source::Catalog, object)
        });
        report.add(finding);
    }
    match end {
        None => {}
        Some(End::Lost(culprits)) => {
            let reason = "rolled back: rows or values would have been lost";
            report
                .cases
                .push(case("run".into(), Verdict::Violated, reason.into()));
            culprits
                .iter()
                .for_each(|culprit| report.add(loss(culprit)));
        }
        Some(End::Failed(failure)) => {
            let reason = match &failure.stands {
                None => "rolled back: a statement failed",
                Some(stands) => stands,
            };
            report
                .cases
                .push(case("run".into(), Verdict::Violated, reason.to_owned()));
            report.add(failed(failure));
        }
    }
}

/// What is known of the rows, in words, and how sure it is.
fn proven(kept: &Kept) -> (Verdict, String) {
    let but = match kept.acknowledged.is_empty() {
        true => "",
        false => ", but what is acknowledged",
    };
    let touched = kept.exact.len() + kept.counted.len();
    let untouched = kept.tables.saturating_sub(touched);
    let rows: u64 = kept.exact.values().sum();
    let mut parts = Vec::new();
    if !kept.exact.is_empty() {
        let tables = kept.exact.len();
        parts.push(format!(
            "every value of {rows} rows in {tables} touched tables is still there{but}"
        ));
    }
    if !kept.counted.is_empty() {
        let names: Vec<_> = kept.counted.keys().map(String::as_str).collect();
        parts.push(format!(
            "only rows and values were counted of {}{but}",
            names.join(", ")
        ));
    }
    if !kept.sampled.is_empty() {
        let names: Vec<_> = kept.sampled.iter().map(String::as_str).collect();
        parts.push(format!(
            "of {} only a sample of the rows was rehearsed",
            names.join(", ")
        ));
    }
    if untouched > 0 {
        parts.push(format!(
            "{untouched} tables were not touched, by the engine's own evidence"
        ));
    }
    if parts.is_empty() {
        parts.push("there was no table before".to_owned());
    }
    let how = if kept.rehearsed {
        "applied after a rehearsal on a copy"
    } else {
        "applied"
    };
    let verdict = match kept.counted.is_empty() && kept.sampled.is_empty() {
        true => Verdict::Proven,
        false => Verdict::Held,
    };
    (verdict, format!("{how}; {}", parts.join("; ")))
}

fn failed(failure: Failure) -> Finding {
    let changed = match failure.stands {
        None => "nothing was changed",
        Some(_) => "what was done before stays",
    };
    let mut finding = Finding::new(
        "migration-failed",
        Severity::Error,
        &failure.file,
        format!("`{}` could not be applied; {changed}", failure.file),
        failure.help,
    )
    .with(Source::Store, &failure.message);
    finding.place.file = Some(failure.file);
    finding.place.line = failure.line;
    finding
}

fn code(lost: &Lost) -> &'static str {
    match lost.what {
        What::TableGone => "table-lost",
        What::RowsGone => "rows-lost",
        What::ColumnGone => "column-lost",
        What::ValuesGone => "values-lost",
        What::ValuesChanged => "values-changed",
    }
}

fn subject(lost: &Lost) -> String {
    match &lost.column {
        Some(column) => format!("{}.{column}", lost.table),
        None => lost.table.clone(),
    }
}

fn loss(culprit: &Culprit) -> Finding {
    let lost = &culprit.lost;
    let mut finding = Finding::new(
        code(lost),
        Severity::Error,
        subject(lost),
        format!("{lost}: rolled back, nothing was changed"),
        format!(
            "mend the migration; if the loss is meant, write into it: -- chatctl: allow-loss {} rows<={} reason=\"…\"",
            subject(lost),
            lost.rows
        ),
    );
    if !culprit.statement.is_empty() {
        finding = finding.with(Source::File, &culprit.statement);
    }
    finding.place.file = Some(culprit.file.clone());
    finding.place.line = culprit.line;
    finding
}
