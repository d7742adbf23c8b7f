//! `chatctl.report/1`: the shape that scripts read. Keys are never renamed or
//! moved within a version; `report.schema.json` says what may be where.

#[cfg(test)]
mod read_back;
mod view;

use super::{Failing, Failure, Format, Kind, Style, escape, text};
use crate::outcome::Outcome;
use crate::report;
use crate::report::{
    Case, ClientMoment, CommitMoment, Evidence, Finding, FindingRow, Found, Location, Moment,
    Replay, Report, Severity, StoreLine, Timeline, Verdict,
};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io;
use std::io::Write;
use std::time::Duration;

pub(super) use view::{message, object};

pub(super) const FORMAT: Format = Format {
    name: "json",
    kind: Kind::Json,
    failing: Failing::Stderr(failure),
    report: Some(write),
    view: Some(view::new),
};

/// The JSON Schemas (2020-12) of what this format writes, by what `schema` says in it.
pub static SCHEMAS: &[(&str, &str)] = &[
    ("chatctl.report/1", include_str!("report.schema.json")),
    ("chatctl.sheet/1", include_str!("sheet.schema.json")),
    (
        "chatctl.transcript/1",
        include_str!("transcript.schema.json"),
    ),
    ("chatctl.text/1", include_str!("text.schema.json")),
];

/// The order of the fields is the order of the keys.
#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    command: &'static str,
    version: &'static str,
    started_at: String,
    took_ms: u64,
    verdict: Verdict,
    exit: u8,
    store: Option<&'a StoreLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replay: Option<&'a Replay>,
    cases: Vec<CaseRow<'a>>,
    findings: Vec<FindingObject<'a>>,
    summary: Summary<'a>,
}

#[derive(Serialize)]
struct CaseRow<'a> {
    name: &'a str,
    session: &'a str,
    fault: &'a str,
    client: &'a str,
    verdict: Verdict,
    reason: &'a str,
    took_ms: u64,
    timeline: Vec<MomentRow<'a>>,
    metrics: BTreeMap<&'static str, f64>,
}

#[derive(Serialize)]
struct MomentRow<'a> {
    at_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    lane: &'static str,
    what: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<&'a CommitMoment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'a ClientMoment>,
}

#[derive(Serialize)]
struct FindingObject<'a> {
    code: &'static str,
    severity: Severity,
    subject: &'a str,
    harm: &'a str,
    help: &'a str,
    place: &'a Location,
    evidence: &'a [Evidence],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    rows: &'a [FindingRow],
}

/// A row of a finding on a line of its own.
#[derive(Serialize)]
struct LooseRow<'a> {
    code: &'static str,
    severity: Severity,
    #[serde(flatten)]
    row: &'a FindingRow,
}

#[derive(Serialize)]
struct Summary<'a> {
    checked: u64,
    errors: usize,
    warnings: usize,
    #[serde(skip_serializing_if = "is_none")]
    skipped: u64,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    found: &'a [Found],
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pending: bool,
}

fn is_none(count: &u64) -> bool {
    *count == 0
}

fn write(report: &Report, _style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let document = Document {
        schema: report::SCHEMA,
        command: report.command,
        version: report.version,
        started_at: text::time(report.started_at),
        took_ms: millis(report.took),
        verdict: report.verdict(),
        exit: Outcome::from(report).code(),
        store: report.store.as_ref(),
        replay: report.replay.as_ref(),
        cases: report.cases.iter().map(case).collect(),
        findings: report.findings.iter().map(finding).collect(),
        summary: Summary {
            checked: report.checked,
            errors: report.errors(),
            warnings: report.warnings(),
            skipped: report.skipped,
            found: &report.found,
            pending: report.pending,
        },
    };
    let json = serde_json::to_string_pretty(&document)?;
    writeln!(out, "{}", terminal_safe(&json))
}

/// Why there is no report, on one line.
pub(super) fn failure(failure: &Failure<'_>, out: &mut dyn Write) -> io::Result<()> {
    let told = serde_json::json!({
        "error": failure.error,
        "hint": failure.hint,
        "exit": failure.outcome.code(),
    });
    writeln!(out, "{}", line(&told))
}

/// The report line by line: a summary, each case, each finding, with the word for what it is.
pub(super) fn lines(report: &Report) -> Vec<(&'static str, serde_json::Value)> {
    let summary = serde_json::json!({
        "schema": report::SCHEMA,
        "command": report.command,
        "version": report.version,
        "started_at": text::time(report.started_at),
        "took_ms": millis(report.took),
        "verdict": report.verdict(),
        "exit": Outcome::from(report).code(),
        "store": report.store,
    });
    let value = |row: Result<serde_json::Value, _>| row.expect("the rows have text keys only");
    let cases = report.cases.iter().map(case).map(serde_json::to_value);
    let findings = report.findings.iter().map(|it| FindingObject {
        // Each has a line of its own.
        rows: &[],
        ..finding(it)
    });
    let findings = findings.map(serde_json::to_value);
    let rows = report.findings.iter().flat_map(|finding| {
        let rows = finding.rows.iter();
        rows.map(|row| LooseRow {
            code: finding.code,
            severity: finding.severity,
            row,
        })
    });
    let rows = rows.map(serde_json::to_value);
    std::iter::once(("report", summary))
        .chain(cases.map(|row| ("case", value(row))))
        .chain(findings.map(|row| ("finding", value(row))))
        .chain(rows.map(|row| ("row", value(row))))
        .collect()
}

fn case(case: &Case) -> CaseRow<'_> {
    // JSON has no word for a figure that is not a number, and null would break readers.
    let finite = case.metrics.iter().filter(|(_, figure)| figure.is_finite());
    CaseRow {
        name: &case.name,
        session: &case.session,
        fault: &case.fault,
        client: &case.client,
        verdict: case.verdict,
        reason: &case.reason,
        took_ms: millis(case.took),
        timeline: case
            .timeline
            .moments()
            .iter()
            .map(|it| moment(&case.timeline, it))
            .collect(),
        metrics: finite.map(|(name, figure)| (*name, *figure)).collect(),
    }
}

fn moment<'a>(timeline: &Timeline, moment: &'a Moment) -> MomentRow<'a> {
    MomentRow {
        at_ms: (text::at_ms(moment) * 1000.0).round() / 1000.0,
        time: timeline.time_of(moment).map(text::second),
        lane: moment.lane.word(),
        what: &moment.what,
        commit: moment.commit.as_ref(),
        client: moment.client.as_ref(),
    }
}

fn finding(finding: &Finding) -> FindingObject<'_> {
    FindingObject {
        code: finding.code,
        severity: finding.severity,
        subject: &finding.subject,
        harm: &finding.harm,
        help: &finding.help,
        place: &finding.place,
        evidence: &finding.evidence,
        rows: &finding.rows,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn line(value: &serde_json::Value) -> String {
    terminal_safe(&value.to_string())
}

/// JSON escapes C0 but lets C1, DEL and direction overrides through to a terminal.
/// They occur only inside strings, where `\uXXXX` means the same character.
pub(super) fn terminal_safe(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for char in json.chars() {
        if char != '\n' && escape::is_unsafe(char) {
            for unit in char.encode_utf16(&mut [0; 2]) {
                safe.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            safe.push(char);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::SCHEMAS;
    use crate::render::Style;
    use crate::report::Report;
    use serde_json::{Value, json};

    fn rendered(report: &Report) -> Value {
        let mut out = Vec::new();
        super::write(report, &Style::default(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.ends_with("}\n"));
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn every_report_satisfies_the_shipped_schema() {
        let schema = serde_json::from_str(SCHEMAS[0].1).unwrap();
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        for (name, report) in samples::all() {
            let document = rendered(&report);
            let errors: Vec<_> = validator
                .iter_errors(&document)
                .map(|e| e.to_string())
                .collect();
            assert_eq!(errors, Vec::<String>::new(), "{name}");
        }
    }

    #[test]
    fn the_schema_refuses_what_is_not_a_report() {
        let schema = serde_json::from_str(SCHEMAS[0].1).unwrap();
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        let good = rendered(&samples::violated());
        let breaks: [(&str, Value); 10] = [
            ("/schema", json!("chatctl.report/2")),
            ("/started_at", json!("2026-11-21 10:00")),
            ("/took_ms", json!(1.5)),
            ("/verdict", json!("passed")),
            ("/exit", json!(2)),
            ("/store", json!({"backend": "sqlite"})),
            ("/cases/0/timeline/0/lane", json!("browser")),
            ("/cases/0/metrics", json!({"hold_ms": "900"})),
            ("/findings/0/code", json!("Saved After Done")),
            ("/findings/0/place", json!({"row": 3})),
        ];
        for (at, value) in breaks {
            let mut broken = good.clone();
            *broken.pointer_mut(at).unwrap() = value;
            assert!(!validator.is_valid(&broken), "{at}");
        }
        let mut more = good.clone();
        more["surprise"] = json!(1);
        assert!(!validator.is_valid(&more));
        let mut less = good;
        less.as_object_mut().unwrap().remove("store");
        assert!(!validator.is_valid(&less));
    }

    #[test]
    fn keys_keep_the_documented_order() {
        let document = rendered(&samples::violated());
        let keys = |value: &Value| {
            value
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect::<Vec<_>>()
        };
        assert_eq!(
            keys(&document).join(" "),
            "schema command version started_at took_ms verdict exit store cases findings summary"
        );
        assert_eq!(
            keys(&document["cases"][0]).join(" "),
            "name session fault client verdict reason took_ms timeline metrics"
        );
        assert_eq!(
            keys(&document["findings"][0]).join(" "),
            "code severity subject harm help place evidence"
        );
    }

    #[test]
    fn hostile_text_keeps_its_value_and_reaches_no_terminal() {
        let report = samples::hostile();
        assert_eq!(
            rendered(&report)["cases"][0]["reason"],
            report.cases[0].reason.as_str()
        );
        let mut out = Vec::new();
        super::write(&report, &Style::default(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(!text.contains(|char| char != '\n' && crate::render::escape::is_unsafe(char)));
    }

    #[test]
    fn what_is_not_a_number_is_left_out() {
        let mut report = samples::proven();
        report.cases[0].metrics.insert("share", f64::NAN);
        assert!(
            rendered(&report)["cases"][0]["metrics"]
                .get("share")
                .is_none()
        );
    }

    #[test]
    fn times_have_milliseconds_and_moments_three_decimals() {
        let document = rendered(&samples::violated());
        assert_eq!(document["started_at"], "2026-11-21T10:15:00.250Z");
        assert_eq!(document["cases"][0]["timeline"][1]["at_ms"], json!(8.214));
        assert_eq!(document["exit"], json!(1));
        assert_eq!(rendered(&samples::empty())["store"], Value::Null);
    }
}
