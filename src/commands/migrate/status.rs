//! `chatctl migrate status`: how every version stands.

use super::Options;
use super::case;
use crate::commands::Done;
use crate::commands::Env;
use crate::migrate::ledger;
use crate::migrate::plan;
use crate::migrate::plan::State;
use crate::report::Report;
use crate::report::StoreLine;
use crate::report::Verdict;

pub(super) fn run(options: &Options, env: &Env) -> anyhow::Result<Done> {
    let folder = super::folder(options, env)?;
    let target = super::target(env)?;
    let (applied, tool) = match super::look(&target)? {
        Some(session) => ledger::applied(&session, &folder.migrations)?,
        None => (Vec::new(), None),
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
        let when = row
            .installed_on
            .map(|when| format!(" at {when}"))
            .unwrap_or_default();
        let name = format!("{} {}", row.version, row.description);
        report
            .cases
            .push(case(name, verdict, format!("{}{when}", row.state.name())));
    }
    Ok(Done::Report(Box::new(report)))
}
