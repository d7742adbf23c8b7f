//! `chatctl migrate plan`: what would run, and what it may destroy.

use super::Options;
use super::case;
use crate::commands::Done;
use crate::commands::Env;
use crate::migrate::ledger;
use crate::migrate::plan;
use crate::migrate::source::Migration;
use crate::report::Finding;
use crate::report::Report;
use crate::report::Severity;
use crate::report::Source;
use crate::report::Verdict;
use crate::sql;
use crate::sql::Destroys;
use crate::sql::Dialect;
use crate::stop::Stop;

pub(super) fn run(options: &Options, env: &Env) -> anyhow::Result<Done> {
    let folder = super::folder(options, env)?;
    let target = super::target(env)?;
    let applied = match super::look(&target)? {
        Some(session) => ledger::applied(&session, &folder.migrations)?.0,
        None => Vec::new(),
    };
    let policy = super::policy(options, &folder)?;
    let plan = plan::plan(&folder.migrations, &applied, &policy).map_err(Stop::from)?;
    let mut report = Report::new("migrate plan");
    report.pending = !plan.pending.is_empty();
    for migration in &plan.pending {
        let statements = sql::split(&migration.up, Dialect::Sqlite)
            .map_err(|error| Stop::usage(format!("{}:{error}", migration.path.display())))?;
        report.checked += statements.len() as u64;
        let count = statements.len();
        let name = format!("{} {}", migration.version, migration.description);
        report.cases.push(case(
            name,
            Verdict::Held,
            format!(
                "pending, {count} {}",
                if count == 1 {
                    "statement"
                } else {
                    "statements"
                }
            ),
        ));
        for statement in &statements {
            if let Some(finding) = risk(migration, statement) {
                report.add(finding);
            }
        }
    }
    if plan.pending.is_empty() {
        report.cases.push(case(
            "head".into(),
            Verdict::Held,
            "every migration is applied".into(),
        ));
    }
    Ok(Done::Report(Box::new(report)))
}

/// What a statement may destroy, by its text. The proof in `up` measures what it does destroy.
fn risk(migration: &Migration, statement: &sql::Statement<'_>) -> Option<Finding> {
    let facts = sql::facts(statement, Dialect::Sqlite);
    let harm = match facts.destroys() {
        Destroys::No => return None,
        Destroys::Possibly => "may destroy what is stored",
        Destroys::Certainly => "destroys what is stored, if there is anything",
    };
    let tables: Vec<_> = facts.tables().map(|table| format!("`{table}`")).collect();
    let of = match tables.is_empty() {
        true => String::new(),
        false => format!(" in {}", tables.join(", ")),
    };
    let place = format!("{}:{}", migration.file_name(), statement.line);
    let mut finding = Finding::new(
        "destructive-statement",
        Severity::Warning,
        place,
        format!("the statement {harm}{of}"),
        "look whether it must; `migrate up` refuses a loss that the file does not acknowledge",
    )
    .with(Source::File, statement.text);
    finding.place.file = Some(migration.path.display().to_string());
    finding.place.line = Some(statement.line);
    finding.place.column = Some(statement.column);
    Some(finding)
}
