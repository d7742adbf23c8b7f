//! `chatctl migrate plan`: what would run, and what it may destroy.

use super::job::Job;
use super::options::Options;
use super::{case, title, wrong};
use crate::cli_error::CliError;
use crate::commands::Done;
use crate::migrate;
use crate::migrate::intent::{Intent, Piece};
use crate::migrate::{journal, ledger, plan};
use crate::report::{Finding, Severity, Source, Verdict};
use crate::sql::{Destroys, Dialect, Kind};

pub(super) fn run(options: &Options, job: &Job) -> anyhow::Result<Done> {
    let folder = options.folder(job)?;
    let target = job.target()?;
    let dialect = migrate::dialect(target.engine());
    let (applied, entries) = match job.look(&target)? {
        Some(mut session) => {
            let applied = ledger::to_go_on(session.as_mut(), dialect, &folder.migrations)?;
            (applied, journal::read(session.as_mut())?)
        }
        None => (Vec::new(), Vec::new()),
    };
    let policy = options.policy(&folder)?;
    let mut report = job.report("migrate plan", &target);
    let plan = match plan::plan(&folder.migrations, &applied, &policy) {
        Ok(plan) => plan,
        Err(refusal) => {
            let finding = wrong(&refusal).ok_or_else(|| CliError::from(refusal))?;
            report.checked = applied.len() as u64;
            report.add(finding);
            return Ok(Done::Report(Box::new(report)));
        }
    };
    report.pending = !plan.pending.is_empty();
    for migration in &plan.pending {
        let intent = Intent::of(migration, dialect)?;
        let standing = journal::standing(&entries, &migration.version);
        let first = standing.map_or(0, |standing| standing.done.len());
        if first > 0 {
            report.cases.push(case(
                title(&migration.version, &migration.description),
                Verdict::Held,
                resumes(first, intent.pieces.len()),
            ));
        }
        report.checked += intent.pieces.len() as u64;
        let mut commits = Vec::new();
        for piece in intent.pieces.iter().skip(first) {
            let place = format!("{}:{}", migration.file_name(), piece.line);
            let words: Vec<_> = piece.text.split_whitespace().collect();
            report
                .cases
                .push(case(place, Verdict::Held, words.join(" ")));
            report.findings.extend(risk(&intent, piece));
            if dialect == Dialect::Mysql && intent.is_bare(piece) {
                commits.push(piece);
            }
        }
        if intent.pieces.is_empty() {
            let name = title(&migration.version, &migration.description);
            report
                .cases
                .push(case(name, Verdict::Held, "pending, no statement".into()));
        }
        report.findings.extend(implicit(&intent, &commits));
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

/// Where a half-applied file continues; what is applied of it is not in the plan.
fn resumes(done: usize, of: usize) -> String {
    let applied = match done {
        1 => format!("statement 1 of {of} is applied"),
        _ => format!("statements 1 to {done} of {of} are applied"),
    };
    format!("{applied}; the run resumes at {}", done + 1)
}

/// What a statement may destroy, by its text. The proof in `up` measures what it does destroy.
fn risk(intent: &Intent<'_>, piece: &Piece<'_>) -> Option<Finding> {
    let harm = match piece.facts.destroys() {
        Destroys::No => return None,
        Destroys::Possibly if piece.facts.kind == Kind::Other => {
            "is not recognized, so it may destroy anything"
        }
        Destroys::Possibly => "may destroy stored data",
        Destroys::Certainly => "destroys stored data, if any exists",
    };
    let tables: Vec<_> = piece
        .facts
        .tables()
        .map(|table| format!("`{table}`"))
        .collect();
    let of = if tables.is_empty() {
        String::new()
    } else {
        format!(" in {}", tables.join(", "))
    };
    let mut finding = Finding::new(
        "destructive-statement",
        Severity::Warning,
        format!("{}:{}", intent.migration.file_name(), piece.line),
        format!("the statement {harm}{of}"),
        "check that this is intended: `migrate up` refuses a loss that the file does not acknowledge",
    )
    .with(Source::File, piece.text);
    finding.place.file = Some(intent.migration.path.display().to_string());
    finding.place.line = Some(piece.line);
    finding.place.column = Some(piece.column);
    Some(finding)
}

/// What MySQL commits by itself can't be taken back when a later statement fails.
fn implicit(intent: &Intent<'_>, commits: &[&Piece<'_>]) -> Option<Finding> {
    let first = commits.first()?;
    let mut finding = Finding::new(
        "implicit-commit",
        Severity::Note,
        intent.migration.file_name(),
        format!(
            "{} of {} statements commit implicitly, together with everything before them: the file is not a transaction",
            commits.len(),
            intent.pieces.len()
        ),
        "nothing to do: chatctl rehearses it on a copy first, and journals each statement",
    );
    finding.place.file = Some(intent.migration.path.display().to_string());
    finding.place.line = Some(first.line);
    Some(finding)
}
