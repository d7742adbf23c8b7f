//! Makes checks in one reading of the store, and tells what they found.

use super::Check;
use super::Ground;
use super::Look;
use super::SKIPPED;
use super::Tally;
use crate::report::Case;
use crate::report::Finding;
use crate::report::Report;
use crate::report::Severity;
use crate::report::Source;
use crate::report::Verdict;
use crate::store;
use crate::store::Thread;
use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

/// Makes these checks. One that does not fit the store is told as skipped; it is undecided where
/// it was asked for by its name.
pub async fn run(
    checks: &[&'static Check],
    by_name: bool,
    ground: &Ground<'_>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut fit = Vec::new();
    for check in checks {
        match (check.unfit)(ground) {
            None => fit.push(*check),
            Some(why) if by_name => {
                let reason = format!("it can't be made here: {why}");
                report
                    .cases
                    .push(case(check.code, Verdict::Inconclusive, reason));
            }
            Some(why) => report.add(skipped(check, why)),
        }
    }
    let mut tallies: Vec<_> = fit
        .iter()
        .map(|_| Tally::new(ground.asked.examples, ground.asked.since))
        .collect();
    report.checked += of_threads(&fit, ground, &mut tallies).await?;
    for (check, tally) in fit.iter().zip(&mut tallies) {
        if let Look::Store(look) | Look::Both(_, look) = check.look {
            look(ground, tally).await?;
        }
    }
    for (check, tally) in fit.iter().zip(&tallies) {
        let mut case = case(check.code, verdict(check, tally, ground), counted(tally));
        case.metrics.insert("found", tally.total() as f64);
        for (name, count) in tally.counts() {
            case.metrics.insert(name, count as f64);
        }
        case.took = began.elapsed();
        report.cases.push(case);
        for finding in tally.findings(check, ground) {
            report.add(finding);
        }
    }
    Ok(())
}

/// Reads every conversation once, for all checks that look at them; how many messages there were.
async fn of_threads(
    fit: &[&'static Check],
    ground: &Ground<'_>,
    tallies: &mut [Tally],
) -> anyhow::Result<u64> {
    let looks: Vec<_> = fit
        .iter()
        .enumerate()
        .filter_map(|(at, check)| match check.look {
            Look::Thread(look) | Look::Both(look, _) => Some((at, look)),
            Look::Store(_) => None,
        })
        .collect();
    if looks.is_empty() {
        return Ok(0);
    }
    let mut messages = 0;
    let mut take = |thread: Thread| {
        messages += thread.messages.len() as u64;
        for (at, look) in &looks {
            look(&thread, ground, &mut tallies[*at]);
        }
    };
    store::threads(ground.db, ground.mapping, &mut take).await?;
    Ok(messages)
}

/// Tells of tables that the mapping names and the store has not: nothing else can be looked at.
pub fn report_absent(absent: &[&String], report: &mut Report) {
    let check = &super::missing_table::CHECK;
    let tables: Vec<_> = absent.iter().map(|name| format!("`{name}`")).collect();
    let reason = format!("not in the store: {}", tables.join(", "));
    report
        .cases
        .push(case(check.code, Verdict::Violated, reason));
    for (name, table) in absent.iter().zip(&tables) {
        let finding = Finding::new(
            check.code,
            Severity::Error,
            name.as_str(),
            format!(
                "table {table} is not in the store, and the mapping names it: all that it held is gone"
            ),
            check.help,
        );
        report.add(finding.with(Source::Catalog, format!("there is no table {table}")));
    }
}

fn verdict(check: &Check, tally: &Tally, ground: &Ground<'_>) -> Verdict {
    let errors = tally
        .findings(check, ground)
        .iter()
        .any(|finding| finding.severity == Severity::Error);
    match errors {
        true => Verdict::Violated,
        false => Verdict::Held,
    }
}

fn counted(tally: &Tally) -> String {
    let causes: Vec<_> = tally
        .counts()
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    match causes.is_empty() {
        true => "nothing found".to_owned(),
        false => format!("found: {}", causes.join(", ")),
    }
}

/// One note for all of them: the report joins the evidence of findings that are alike.
fn skipped(check: &Check, why: &str) -> Finding {
    Finding::new(
        SKIPPED,
        Severity::Note,
        "checks",
        "some checks don't fit this store: nothing was shown by them",
        "declare in [[store]] of chatctl.toml what the store has of it, if it has",
    )
    .with(Source::Catalog, format!("`{}`: {why}", check.code))
}

fn case(code: &'static str, verdict: Verdict, reason: String) -> Case {
    Case {
        name: code.to_owned(),
        session: code.to_owned(),
        fault: "none".to_owned(),
        client: "none".to_owned(),
        verdict,
        reason,
        took: Duration::ZERO,
        timeline: Default::default(),
        metrics: BTreeMap::new(),
    }
}
