//! `chatctl migrate status`: the state of every version.

use super::job::Job;
use super::options::Options;
use super::{case, title, wrong};
use crate::commands::Done;
use crate::migrate;
use crate::migrate::ledger::{BY_HAND, Seen};
use crate::migrate::plan::{Refusal, State};
use crate::migrate::{journal, ledger, plan};
use crate::report::{Finding, Severity, Source, Verdict};
use crate::sql::Dialect;

/// What `status` takes besides what every sub-command does.
#[derive(Debug, clap::Args)]
#[group(id = "status")]
pub(super) struct Args {
    #[command(flatten)]
    options: Options,

    /// Also exit with 10 if the database is newer than the files
    #[arg(long)]
    strict: bool,
}

pub(super) fn run(args: &Args, job: &Job) -> anyhow::Result<Done> {
    let folder = args.options.folder(job)?;
    let target = job.target()?;
    let dialect = migrate::dialect(target.engine());
    let (seen, entries) = match job.look(&target)? {
        Some(mut session) => {
            let mut seen = ledger::look(session.as_mut(), dialect, &folder.migrations)?;
            let entries = journal::read(session.as_mut())?;
            ledger::mark(&mut seen.applied, &entries);
            (Some(seen), entries)
        }
        None => (None, Vec::new()),
    };
    let foreign = seen.as_ref().and_then(foreign);
    let tool = seen.as_ref().and_then(|seen| seen.tool);
    let applied = seen.map_or_else(Vec::new, |seen| seen.applied);
    let mut report = job.report("migrate status", &target);
    job.env
        .progress
        .note(&format!("history: {}", tool.unwrap_or("none yet")));
    // Other tools write times into SQLite by their own clock.
    let is_known = dialect != Dialect::Sqlite || tool == Some("sqlx");
    let rows = plan::status(&folder.migrations, &applied);
    let wrongs = plan::wrongs(&rows);
    let newer = plan::newer(&rows);
    for row in rows {
        let verdict = match row.state {
            State::Applied | State::Pending | State::Newer => Verdict::Held,
            State::Dirty
            | State::HalfApplied
            | State::HalfMissing
            | State::Changed { .. }
            | State::Missing
            | State::OutOfOrder => Verdict::Violated,
        };
        report.pending |= match row.state {
            State::Pending => true,
            State::Newer => args.strict,
            _ => false,
        };
        report.checked += 1;
        let standing = match row.state {
            State::HalfApplied | State::HalfMissing => journal::standing(&entries, &row.version),
            _ => None,
        };
        let when = match (standing, row.installed_on) {
            (Some(standing), _) => format!(": {}", progress(row.state, &standing)),
            (None, Some(when)) if is_known => since(row.state, &zoned(&when, dialect)),
            (None, Some(when)) => since(row.state, &when),
            (None, None) => String::new(),
        };
        let name = title(&row.version, &row.description);
        report
            .cases
            .push(case(name, verdict, format!("{}{when}", row.state.name())));
    }
    wrongs
        .iter()
        .filter_map(wrong)
        .for_each(|finding| report.add(finding));
    report.findings.extend(newer.as_ref().map(ahead));
    foreign.into_iter().for_each(|finding| report.add(finding));
    Ok(Done::Report(Box::new(report)))
}

/// A database that another release migrated further. An older release may run on it, so this is not an error.
fn ahead(refusal: &Refusal) -> Finding {
    let versions = plan::listed(refusal.versions.iter()).replace('`', "");
    let harm = format!("{}; `migrate plan` and `up` refuse that", refusal.message);
    Finding::new(
        "migration-missing",
        Severity::Warning,
        versions,
        harm,
        &refusal.hint,
    )
}

/// The history of another tool, and how chatctl continues from it.
fn foreign(seen: &Seen) -> Option<Finding> {
    let (tool, fact, help) = match (&seen.foreign, seen.tool) {
        (Some(foreign), _) => {
            let fact = format!("its table `{}` has rows", foreign.table);
            (foreign.tool, fact, BY_HAND.to_owned())
        }
        (None, Some(tool)) if tool != "sqlx" => {
            let fact = match seen.applied.len() {
                1 => "its history has 1 applied version".to_owned(),
                count => format!("its history has {count} applied versions"),
            };
            (
                tool,
                fact,
                "take the history over: `chatctl migrate adopt`".to_owned(),
            )
        }
        _ => return None,
    };
    let harm = format!(
        "{tool} migrated this database, and `migrate up` does not continue from its history automatically"
    );
    let finding = Finding::new("foreign-history", Severity::Warning, tool, harm, help);
    Some(finding.with(Source::Catalog, fact))
}

/// What the time of the history is, behind the state.
fn since(state: State, when: &str) -> String {
    match state {
        State::Dirty => format!(": begun at {when}"),
        State::Changed { by_line_ends } => {
            let what = if by_line_ends {
                "the file has different line ends since"
            } else {
                "the file was edited since"
            };
            format!(": applied at {when}; {what}")
        }
        State::Missing => format!(": applied at {when}; its file is gone"),
        State::Newer => format!(": applied at {when}; it is newer than every file"),
        State::Applied
        | State::Pending
        | State::HalfApplied
        | State::HalfMissing
        | State::OutOfOrder => format!(" at {when}"),
    }
}

/// A time of a history in RFC 3339, where its zone is known: SQLite gives its own times in UTC, and
/// PostgreSQL, whose session is in UTC, writes the zone.
fn zoned(when: &str, dialect: Dialect) -> String {
    let utc = match dialect {
        Dialect::Sqlite => Some(when),
        Dialect::Postgres => when.strip_suffix("+00"),
        Dialect::Mysql => None,
    };
    let parts = utc.and_then(|utc| utc.split_once(' '));
    let is_time = |time: &str| {
        let mut chars = time.chars();
        chars.all(|char| char.is_ascii_digit() || matches!(char, ':' | '.'))
    };
    match parts {
        Some((date, time)) if date.len() == 10 && time.len() >= 8 && is_time(time) => {
            format!("{date}T{time}Z")
        }
        _ => when.to_owned(),
    }
}

/// How far a version came that the journal knows, and what to do.
fn progress(state: State, standing: &journal::Standing) -> String {
    let done = match standing.done.len() {
        1 => "1 statement is applied".to_owned(),
        done => format!("{done} statements are applied"),
    };
    if let Some(why) = &standing.unlike {
        return format!("{done}; {why}; `chatctl migrate` says what to do");
    }
    let then = match (&standing.failed, &standing.in_flight) {
        (Some((number, why)), _) if standing.done.contains_key(number) => why.clone(),
        (Some((number, why)), _) => format!("statement {number} failed ({why})"),
        (None, Some((number, _))) => {
            format!(
                "statement {number} was running when chatctl stopped, and may still be running in the database"
            )
        }
        (None, None) => format!(
            "statement {} is not recorded as applied (it was refused, or chatctl stopped while it ran)",
            standing.done.len() + 1
        ),
    };
    let next = match state {
        State::HalfMissing => "its file is gone",
        _ => "`chatctl migrate` resumes there",
    };
    format!("{done}, {then}; {next}")
}

#[cfg(test)]
mod tests {
    use super::{Dialect, zoned};

    #[test]
    fn a_time_has_a_zone_where_it_is_known() {
        for (dialect, when, shown) in [
            (
                Dialect::Sqlite,
                "2026-12-01 12:07:17",
                "2026-12-01T12:07:17Z",
            ),
            (
                Dialect::Postgres,
                "2026-12-01 12:07:17.25+00",
                "2026-12-01T12:07:17.25Z",
            ),
            (
                Dialect::Postgres,
                "2026-12-01 12:07:17+01",
                "2026-12-01 12:07:17+01",
            ),
            (
                Dialect::Postgres,
                "2026-12-01 12:07:17",
                "2026-12-01 12:07:17",
            ),
            (Dialect::Mysql, "2026-12-01 12:07:17", "2026-12-01 12:07:17"),
            (
                Dialect::Sqlite,
                "2026-12-01T12:07:17Z",
                "2026-12-01T12:07:17Z",
            ),
            (
                Dialect::Sqlite,
                "2026-12-01 12:07:17+02:00",
                "2026-12-01 12:07:17+02:00",
            ),
            (Dialect::Sqlite, "yesterday", "yesterday"),
        ] {
            assert_eq!(zoned(when, dialect), shown);
        }
    }
}
