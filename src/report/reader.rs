//! A report read back from its JSON.

use super::{
    Case, ClientMoment, CommitMoment, Evidence, Finding, FindingRow, Found, Lane, Location, Replay,
    Report, SCHEMA, Severity, StoreLine, Timeline, Verdict,
};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

#[derive(Deserialize)]
struct Document {
    schema: String,
    command: String,
    version: String,
    started_at: String,
    took_ms: u64,
    verdict: Verdict,
    exit: u8,
    store: Option<StoreLine>,
    replay: Option<Replay>,
    cases: Vec<CaseRow>,
    findings: Vec<FindingObject>,
    summary: Summary,
}

#[derive(Deserialize)]
struct Summary {
    checked: u64,
    errors: usize,
    warnings: usize,
    #[serde(default)]
    pending: bool,
    #[serde(default)]
    skipped: u64,
    #[serde(default)]
    found: Vec<FoundRow>,
}

#[derive(Deserialize)]
struct FoundRow {
    severity: Severity,
    code: String,
    count: u64,
}

#[derive(Deserialize)]
struct CaseRow {
    name: String,
    session: String,
    fault: String,
    client: String,
    verdict: Verdict,
    reason: String,
    took_ms: u64,
    timeline: Vec<MomentRow>,
    metrics: BTreeMap<String, f64>,
}

#[derive(Deserialize)]
struct MomentRow {
    at_ms: f64,
    time: Option<String>,
    lane: Lane,
    what: String,
    commit: Option<CommitMoment>,
    client: Option<ClientMoment>,
}

#[derive(Deserialize)]
struct FindingObject {
    code: String,
    severity: Severity,
    subject: String,
    harm: String,
    help: String,
    place: Location,
    evidence: Vec<Evidence>,
    #[serde(default)]
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    cause: String,
    conversation: Option<String>,
    title: Option<String>,
    user: Option<String>,
    message: Option<String>,
    time: Option<String>,
    fact: Option<String>,
}

/// The report in a text that `--format json` wrote, and the exit code that it says.
///
/// # Errors
/// A sentence that says what is wrong with it: also where it was cut or edited, so that its verdict does
/// not follow from its cases.
pub fn read(text: &str) -> Result<(Report, u8), String> {
    let document: Document = serde_json::from_str(text)
        .map_err(|_| "it is not a report of `--format json`".to_owned())?;
    if document.schema != SCHEMA {
        return Err(format!("it is `{}`, not `{SCHEMA}`", document.schema));
    }
    let found = document.summary.found.into_iter().map(|row| Found {
        severity: row.severity,
        code: lasting(&row.code),
        count: row.count,
    });
    let report = Report {
        version: lasting(&document.version),
        started_at: time(&document.started_at)?,
        took: Duration::from_millis(document.took_ms),
        store: document.store,
        replay: document.replay,
        cases: document
            .cases
            .into_iter()
            .map(case)
            .collect::<Result<_, _>>()?,
        findings: document.findings.into_iter().map(finding).collect(),
        pending: document.summary.pending,
        checked: document.summary.checked,
        skipped: document.summary.skipped,
        found: found.collect(),
        ..Report::new(lasting(&document.command))
    };
    let counted = (document.summary.errors, document.summary.warnings);
    if report.verdict() != document.verdict || (report.errors(), report.warnings()) != counted {
        return Err(format!(
            "its verdict is `{}` with {} errors and {} warnings, and its cases and findings give `{}` with {} and \
             {}: it was cut or edited",
            document.verdict,
            counted.0,
            counted.1,
            report.verdict(),
            report.errors(),
            report.warnings()
        ));
    }
    Ok((report, document.exit))
}

fn case(row: CaseRow) -> Result<Case, String> {
    Ok(Case {
        name: row.name,
        session: row.session,
        fault: row.fault,
        client: row.client,
        verdict: row.verdict,
        reason: row.reason,
        took: Duration::from_millis(row.took_ms),
        timeline: timeline(row.timeline)?,
        metrics: row
            .metrics
            .iter()
            .map(|(name, figure)| (lasting(name), *figure))
            .collect(),
    })
}

fn timeline(rows: Vec<MomentRow>) -> Result<Timeline, String> {
    let at = |row: &MomentRow| {
        let at = Duration::try_from_secs_f64(row.at_ms / 1000.0);
        at.map_err(|error| format!("a moment at {} ms: {error}", row.at_ms))
    };
    let mut timeline = Timeline::default();
    if let Some((row, clock)) = rows.iter().find_map(|row| Some((row, row.time.as_ref()?))) {
        let from = time(clock)?.checked_sub(at(row)?);
        timeline = Timeline::by_the_clock(from.unwrap_or(SystemTime::UNIX_EPOCH));
    }
    for row in rows {
        let at = at(&row)?;
        match (row.commit, row.client) {
            (Some(commit), _) => timeline.add_commit(at, row.what, commit),
            (None, Some(client)) => timeline.add_client(at, row.what, client),
            (None, None) => timeline.add(at, row.lane, row.what),
        }
    }
    Ok(timeline)
}

fn finding(object: FindingObject) -> Finding {
    let rows = object.rows.into_iter().map(|row| FindingRow {
        cause: lasting(&row.cause),
        conversation: row.conversation,
        title: row.title,
        user: row.user,
        message: row.message,
        time: row.time,
        fact: row.fact,
    });
    Finding {
        code: lasting(&object.code),
        severity: object.severity,
        subject: object.subject,
        harm: object.harm,
        help: object.help,
        place: object.place,
        evidence: object.evidence,
        rows: rows.collect(),
    }
}

fn time(text: &str) -> Result<SystemTime, String> {
    humantime::parse_rfc3339(text).map_err(|error| format!("`{text}` is not a time: {error}"))
}

/// A name for as long as the program runs. Reports have few names, so each is kept once.
fn lasting(name: &str) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names = NAMES.lock().expect("no holder panics");
    match names.get(name) {
        Some(known) => known,
        None => {
            let name: &'static str = Box::leak(name.to_owned().into_boxed_str());
            names.insert(name);
            name
        }
    }
}
