//! `chatctl migrate status`: how every version stands.

use super::case;
use super::job::Job;
use super::options::Options;
use super::title;
use crate::commands::Done;
use crate::migrate;
use crate::migrate::journal;
use crate::migrate::ledger;
use crate::migrate::plan;
use crate::migrate::plan::State;
use crate::report::Report;
use crate::report::StoreLine;
use crate::report::Verdict;

pub(super) fn run(options: &Options, job: &Job) -> anyhow::Result<Done> {
    let folder = options.folder(job)?;
    let target = job.target()?;
    let dialect = migrate::dialect(target.backend());
    let (applied, tool, entries) = match job.look(&target)? {
        Some(mut session) => {
            let (applied, tool) = ledger::applied(session.as_mut(), dialect, &folder.migrations)?;
            (applied, tool, journal::read(session.as_mut())?)
        }
        None => (Vec::new(), None, Vec::new()),
    };
    let mut report = Report::new("migrate status");
    report.store = Some(StoreLine {
        backend: target.backend().to_owned(),
        url: target.to_string(),
        mapping: format!("history of {}", tool.unwrap_or("nobody yet")),
    });
    for row in plan::status(&folder.migrations, &applied) {
        let verdict = match row.state {
            State::Applied | State::Pending => Verdict::Held,
            State::Dirty
            | State::Changed { .. }
            | State::Missing
            | State::OutOfOrder
            | State::NewerThanFiles => Verdict::Violated,
        };
        report.pending |= row.state == State::Pending;
        report.checked += 1;
        let standing = match row.state {
            State::Dirty => journal::standing(&entries, &row.version),
            _ => None,
        };
        let when = match (standing, row.installed_on) {
            (Some(standing), _) => format!(": {}", stands(&standing)),
            (None, Some(when)) => format!(" at {when}"),
            (None, None) => String::new(),
        };
        let name = title(&row.version, &row.description);
        report
            .cases
            .push(case(name, verdict, format!("{}{when}", row.state.name())));
    }
    Ok(Done::Report(Box::new(report)))
}

/// How far a version came that the journal knows, and what to do.
fn stands(standing: &journal::Standing) -> String {
    let done = standing.done.len();
    let then = match (&standing.failed, &standing.in_flight) {
        (Some((number, why)), _) => format!("statement {number} failed ({why})"),
        (None, Some((number, _))) => {
            format!("statement {number} was running when the process ended")
        }
        (None, None) => "the process ended before the next one".to_owned(),
    };
    format!("{done} statements are applied, {then}; `chatctl migrate` goes on from there")
}
