//! `chatctl migrate up`: apply what is pending, or change nothing.

use super::Options;
use super::case;
use crate::commands::Done;
use crate::commands::Env;
use crate::db::Missing;
use crate::db::Session;
use crate::migrate::preserve::Lost;
use crate::migrate::preserve::What;
use crate::migrate::sqlite;
use crate::migrate::sqlite::Culprit;
use crate::migrate::sqlite::Ended;
use crate::report::Finding;
use crate::report::Report;
use crate::report::Severity;
use crate::report::Source;
use crate::report::StoreLine;
use crate::report::Verdict;
use crate::stop::Stop;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

pub(super) async fn run(options: Options, env: Env) -> anyhow::Result<Done> {
    let folder = super::folder(&options, &env)?;
    let target = super::target(&env)?;
    let policy = super::policy(&options, &folder)?;
    let began = Instant::now();
    let mut report = Report::new("migrate up");
    report.store = Some(StoreLine {
        backend: target.backend().to_owned(),
        url: target.to_string(),
        mapping: "every table".to_owned(),
    });
    super::writable(&target)?;
    let session = Session::open(&target, Missing::Create, Duration::ZERO)?;
    let interrupter = session.interrupter();
    let (stop, lock_wait) = (Arc::new(AtomicBool::new(false)), options.lock_wait);
    env.progress.doing("migrating".to_owned());
    let asked = Arc::clone(&stop);
    let work = tokio::task::spawn_blocking(move || {
        sqlite::up(&session, &folder, &policy, lock_wait, &asked)
    });
    tokio::pin!(work);
    let ended = tokio::select! {
        ended = &mut work => ended?,
        () = env.until_interrupted() => {
            // The statement that runs is stopped, and its connection rolls back; a run that is
            // committed already is told as what it is.
            stop.store(true, Ordering::SeqCst);
            interrupter.interrupt();
            match work.await? {
                Ok(Ended::Failed(_)) => Err(Stop::interrupted().into()),
                ended => ended,
            }
        }
    };
    // An empty file that was made just now stays, whatever the end: another replica may be about
    // to commit into it.
    let ended = ended?;
    env.progress.done();
    tell(ended, &mut report);
    report.took = began.elapsed();
    Ok(Done::Report(Box::new(report)))
}

fn tell(ended: Ended, report: &mut Report) {
    match ended {
        Ended::NothingToDo => {
            report.cases.push(case(
                "head".into(),
                Verdict::Held,
                "every migration is applied already".into(),
            ));
        }
        Ended::Applied(ran, kept) => {
            report.checked = kept.rows;
            let but = if kept.acknowledged.is_empty() {
                ""
            } else {
                ", but what is acknowledged"
            };
            let what = format!(
                "applied; every value of {} rows in {} tables is still there{but}",
                kept.rows, kept.tables
            );
            for migration in ran {
                let name = format!("{} {}", migration.version, migration.description);
                let mut case = case(name, Verdict::Proven, what.clone());
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
        }
        Ended::Lost(culprits) => {
            let reason = "rolled back: rows or values would have been lost";
            report
                .cases
                .push(case("run".into(), Verdict::Violated, reason.into()));
            culprits
                .iter()
                .for_each(|culprit| report.add(loss(culprit)));
        }
        Ended::Failed(failure) => {
            report.cases.push(case(
                "run".into(),
                Verdict::Violated,
                "rolled back: a statement failed".into(),
            ));
            let mut finding = Finding::new(
                "migration-failed",
                Severity::Error,
                &failure.file,
                format!(
                    "`{}` could not be applied; nothing was changed",
                    failure.file
                ),
                "mend the statement and run it again",
            )
            .with(Source::Store, &failure.message);
            finding.place.file = Some(failure.file);
            finding.place.line = failure.line;
            report.add(finding);
        }
    }
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
