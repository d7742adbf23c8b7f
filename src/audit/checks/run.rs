//! Runs the checks in one pass over the store, and reports their findings.

use super::check_context::{CLOCKS, is_between};
use super::{AHEAD, CauseCounts, Check, CheckContext, Look, SKIPPED};
use crate::model::StoredMessage;
use crate::report::{Case, Finding, Found, Report, Severity, Source, Verdict};
use crate::store;
use crate::store::Thread;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Makes these checks. One that does not fit the store is reported as skipped; it is undecided where
/// it was asked for by its name.
pub async fn run(
    checks: &[&'static Check],
    by_name: bool,
    context: &CheckContext<'_>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let began = Instant::now();
    store::intact(context.db, context.mapping).await?;
    let mut fit = Vec::new();
    for check in checks {
        match (check.unfit)(context) {
            None => fit.push(*check),
            Some(why) => skip(check, why, by_name, report),
        }
    }
    let mut tallies: Vec<_> = fit
        .iter()
        .map(|_| CauseCounts::new(context.asked))
        .collect();
    let read = of_threads(&fit, context, &mut tallies).await?;
    report.checked += read.messages;
    for (check, tally) in fit.iter().zip(&mut tallies) {
        if let Look::Store(look) | Look::Both(_, look) = check.look {
            look(context, tally).await?;
        }
    }
    complete(context, &mut tallies).await?;
    for (check, tally) in fit.iter().zip(&tallies) {
        if let Some(why) = tally.blind() {
            skip(check, why, by_name, report);
            continue;
        }
        let mut case = case(
            check.code,
            verdict(check, tally, context),
            counted(check, tally, context),
        );
        case.metrics.insert("found", tally.total() as f64);
        if tally.young() > 0 {
            case.metrics.insert("too_young", tally.young() as f64);
        }
        for (name, count) in tally.counts() {
            case.metrics.insert(name, count as f64);
        }
        case.took = began.elapsed();
        report.cases.push(case);
        for (severity, count) in tally.levels(check, context) {
            let severity = accepted(check, tally, context, severity);
            let code = check.code;
            report.found.push(Found {
                severity,
                code,
                count,
            });
        }
        for finding in tally.findings(check, context) {
            report.add(finished(finding, check, tally, context));
        }
    }
    if read.ahead > 0 {
        report.add(ahead(read.ahead));
    }
    Ok(())
}

/// Titles and users of the conversations that rows name.
async fn complete(context: &CheckContext<'_>, tallies: &mut [CauseCounts]) -> anyhow::Result<()> {
    let mut keys: Vec<String> = Vec::new();
    for tally in tallies.iter_mut() {
        keys.extend(tally.rows().filter_map(|row| row.conversation.clone()));
    }
    keys.sort_unstable();
    keys.dedup();
    let known = store::heads(context.db, context.mapping, &keys).await?;
    for row in tallies.iter_mut().flat_map(CauseCounts::rows) {
        let of = row.conversation.as_ref().and_then(|key| known.get(key));
        if let Some(of) = of {
            row.title.clone_from(&of.title);
            row.user.clone_from(&of.user);
        }
    }
    Ok(())
}

fn skip(check: &Check, why: &str, by_name: bool, report: &mut Report) {
    if by_name {
        let reason = format!("it cannot run here: {why}");
        let undecided = case(check.code, Verdict::Inconclusive, reason);
        report.cases.push(undecided);
    } else {
        report.skipped += 1;
        report.add(skipped(check, why));
    }
}

/// Times after now make no age of anything.
fn ahead(count: u64) -> Finding {
    Finding::new(
        AHEAD,
        Severity::Warning,
        "times",
        match count {
            1 => "1 message has a time in the future: its age is unknown, and it is judged as if it were old".to_owned(),
            count => format!(
                "{count} messages have a time in the future: their age is unknown, and they are judged as if they were old"
            ),
        },
        "set the clocks, and store times in UTC: a local time without its zone is hours off",
    )
}

/// What was read.
#[derive(Default)]
struct Read {
    /// Messages of the time that was asked for.
    messages: u64,
    /// Those of them with a time after now.
    ahead: u64,
}

/// Reads every conversation once, for all checks that look at them.
async fn of_threads(
    fit: &[&'static Check],
    context: &CheckContext<'_>,
    tallies: &mut [CauseCounts],
) -> anyhow::Result<Read> {
    let looks: Vec<_> = fit
        .iter()
        .enumerate()
        .filter_map(|(at, check)| match check.look {
            Look::Thread(look) | Look::Both(look, _) => Some((at, look)),
            Look::Store(_) => None,
        })
        .collect();
    if looks.is_empty() {
        return Ok(Read::default());
    }
    let mut read = Read::default();
    let now = context.asked.now.saturating_add(CLOCKS);
    let is_ahead = |message: &&StoredMessage| message.time.is_some_and(|time| time > now);
    let mut take = |thread: Thread| {
        let asked = context.asked;
        let is_asked_for =
            |message: &&StoredMessage| is_between(asked.since, asked.until, message.time);
        read.messages += thread.messages.iter().filter(is_asked_for).count() as u64;
        read.ahead += thread.messages.iter().filter(is_ahead).count() as u64;
        for (at, look) in &looks {
            look(&thread, context, &mut tallies[*at]);
        }
    };
    store::threads(context.db, context.mapping, &mut take).await?;
    Ok(read)
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
                "table {table} of the mapping does not exist in the store: its contents are gone"
            ),
            check.help,
        );
        report.add(finding.with(Source::Catalog, format!("there is no table {table}")));
    }
}

/// What counts against the number that is accepted: notes only where there is nothing else.
fn weighed(check: &Check, tally: &CauseCounts, context: &CheckContext<'_>) -> u64 {
    let only_notes = check
        .causes
        .iter()
        .all(|cause| cause.severity == Severity::Note);
    let levels = tally.levels(check, context).into_iter();
    let counts = levels.filter(|(level, _)| only_notes || *level > Severity::Note);
    counts.map(|(_, count)| count).sum()
}

fn verdict(check: &Check, tally: &CauseCounts, context: &CheckContext<'_>) -> Verdict {
    let worst = tally.levels(check, context).into_keys().max();
    let fails = match context.asked.accepted.get(check.code) {
        Some(most) => weighed(check, tally, context) > *most,
        None => worst.is_some_and(|worst| worst >= context.asked.fail_on),
    };
    if fails {
        Verdict::Violated
    } else if tally.is_only_young() {
        Verdict::Inconclusive
    } else {
        Verdict::Held
    }
}

/// How bad what was found is, when some of it is accepted.
fn accepted(
    check: &Check,
    tally: &CauseCounts,
    context: &CheckContext<'_>,
    severity: Severity,
) -> Severity {
    let most = context.asked.accepted.get(check.code);
    let is_accepted = most.is_some_and(|most| weighed(check, tally, context) <= *most);
    if is_accepted {
        severity.min(Severity::Warning)
    } else {
        severity
    }
}

fn finished(
    mut finding: Finding,
    check: &Check,
    tally: &CauseCounts,
    context: &CheckContext<'_>,
) -> Finding {
    finding.severity = accepted(check, tally, context, finding.severity);
    match context.asked.accepted.get(check.code) {
        None => finding,
        Some(most) => {
            let count = weighed(check, tally, context);
            let fact = if count > *most {
                format!(
                    "{count} were found, and --max {}={most} accepts no more than that",
                    check.code
                )
            } else {
                format!("--max {}={most} accepts them", check.code)
            };
            finding.with(Source::Store, fact)
        }
    }
}

/// What was found, and what was not judged.
fn counted(check: &Check, tally: &CauseCounts, context: &CheckContext<'_>) -> String {
    let causes: Vec<_> = tally
        .counts()
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    let mut told = match (causes.is_empty(), tally.is_only_young()) {
        (true, true) => "nothing could be judged".to_owned(),
        (true, false) => "nothing found".to_owned(),
        (false, _) => format!("found: {}", causes.join(", ")),
    };
    if let Some(most) = context.asked.accepted.get(check.code) {
        told.push_str(&format!(" (--max accepts {most})"));
    }
    if tally.young() > 0 {
        let grace = Duration::from_micros(context.asked.grace.unsigned_abs());
        told.push_str(&format!(
            "; {} not judged: younger than --grace {}",
            tally.young(),
            humantime::format_duration(grace)
        ));
    }
    match tally.one_of() {
        1 => {}
        some => told.push_str(&format!(
            "; only one of {some} conversations was compared: there is not enough memory for more"
        )),
    }
    told
}

/// One note for all of them: the report joins the evidence of findings that are alike.
fn skipped(check: &Check, why: &str) -> Finding {
    Finding::new(
        SKIPPED,
        Severity::Note,
        "checks",
        "some checks do not fit this store and were skipped",
        "if the store has what they need, declare it in [[store]] of chatctl.toml",
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
