//! SARIF 2.1.0, for code scanning: a finding becomes a result at its place in the file.
//!
//! Specification: <https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>

use super::{Failing, Failure, Format, Kind, Style, escape, json, text};
use crate::explain;
use crate::outcome::Outcome;
use crate::report::{Finding, Report, Severity, Verdict};
use serde_json::{Map, Value, json};
use std::io;
use std::io::Write;

pub(super) const FORMAT: Format = Format {
    name: "sarif",
    kind: Kind::Json,
    failing: Failing::Stdout(failure),
    report: Some(write),
    view: None,
};

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

fn write(report: &Report, _style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let codes = codes(report);
    let results: Vec<_> = report
        .findings
        .iter()
        .map(|finding| result(finding, &codes))
        .collect();
    let rules = codes.iter().map(|code| rule(code)).collect();
    document(rules, invocation(report), results, out)
}

/// A run that ended without a report has no results, and says why.
fn failure(failure: &Failure<'_>, out: &mut dyn Write) -> io::Result<()> {
    let hint = failure.hint.map(|hint| format!("\nhint: {hint}"));
    let told = format!("{}{}", failure.error, hint.unwrap_or_default());
    let invocation = json!({
        "executionSuccessful": false,
        "exitCode": failure.outcome.code(),
        "toolExecutionNotifications": [{"level": "error", "message": {"text": told}}],
    });
    document(Vec::new(), invocation, Vec::new(), out)
}

fn document(
    rules: Vec<Value>,
    invocation: Value,
    results: Vec<Value>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let document = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {
                "driver": {
                    "name": "chatctl",
                    "version": env!("CARGO_PKG_VERSION"),
                    "rules": rules,
                },
            },
            "invocations": [invocation],
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    let text = serde_json::to_string_pretty(&document)?;
    writeln!(out, "{}", json::terminal_safe(&text))
}

/// The codes in the order in which they first appear.
fn codes(report: &Report) -> Vec<&'static str> {
    let mut codes = Vec::new();
    for finding in &report.findings {
        if !codes.contains(&finding.code) {
            codes.push(finding.code);
        }
    }
    codes
}

fn rule(code: &str) -> Value {
    let mut rule = Map::new();
    rule.insert("id".to_owned(), json!(code));
    // A report may be older than the page of a code, and is still to be read.
    if let Some(page) = explain::page(code) {
        rule.insert(
            "shortDescription".to_owned(),
            json!({"text": page.summary()}),
        );
        rule.insert(
            "help".to_owned(),
            json!({"text": page.text, "markdown": page.text}),
        );
    }
    Value::Object(rule)
}

/// How the run ended. Cases that no finding speaks for are reported here, as nothing else can.
fn invocation(report: &Report) -> Value {
    let undecided = matches!(report.verdict(), Verdict::Inconclusive | Verdict::Refused);
    let mut told: Vec<_> = text::unspoken(report)
        .map(|case| {
            let text = format!("{}: {}: {}", case.verdict, case.name, text::reason(case));
            json!({"level": level_of(case.verdict), "message": {"text": text}})
        })
        .collect();
    if report.cases.is_empty() {
        told.push(json!({"level": "warning", "message": {"text": text::NOTHING}}));
    }
    json!({
        "executionSuccessful": !undecided,
        "exitCode": Outcome::from(report).code(),
        "startTimeUtc": text::time(report.started_at),
        "endTimeUtc": text::time(report.started_at + report.took),
        "toolExecutionNotifications": told,
    })
}

const fn level_of(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Violated => "error",
        _ => "warning",
    }
}

fn result(finding: &Finding, codes: &[&str]) -> Value {
    let mut message = finding.harm.clone();
    for fact in text::facts(finding) {
        message.push_str(&format!("\n{}: {}", fact.label, fact.text));
    }
    json!({
        "ruleId": finding.code,
        "ruleIndex": codes.iter().position(|code| *code == finding.code),
        "level": match finding.severity {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        },
        "message": {"text": message},
        "locations": [location(finding)],
    })
}

/// The place in a file; what is in no file is named by what it is about.
fn location(finding: &Finding) -> Value {
    let Some(file) = &finding.place.file else {
        let mut named = escape::line(&finding.subject).into_owned();
        if let Some(case) = &finding.place.case {
            named = format!("{}: {named}", escape::line(case));
        }
        return json!({"logicalLocations": [{"fullyQualifiedName": named}]});
    };
    let mut place = Map::new();
    place.insert("artifactLocation".to_owned(), json!({"uri": uri(file)}));
    if let Some(line) = finding.place.line {
        let mut region = json!({"startLine": line});
        if let Some(column) = finding.place.column {
            region["startColumn"] = json!(column);
        }
        place.insert("region".to_owned(), region);
    }
    json!({"physicalLocation": place})
}

/// A path as a reference: relative where the path is, every unusual byte spelled out.
fn uri(path: &str) -> String {
    let mut uri = String::new();
    if path.starts_with('/') {
        uri.push_str("file://");
    }
    for byte in path.strip_prefix("./").unwrap_or(path).bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(byte));
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::uri;
    use crate::render::Style;
    use crate::report::Report;
    use serde_json::Value;

    fn rendered(report: &Report) -> Value {
        let mut out = Vec::new();
        super::write(report, &Style::default(), &mut out).unwrap();
        serde_json::from_slice(&out).unwrap()
    }

    fn text(value: &Value) -> &str {
        value
            .as_str()
            .filter(|text| !text.is_empty())
            .unwrap_or_else(|| panic!("{value} is no text"))
    }

    /// What §3.13 to §3.30 and §3.58 of the specification require of the objects that are used.
    #[test]
    fn every_report_has_the_required_properties() {
        for (name, report) in samples::all() {
            let document = rendered(&report);
            assert_eq!(document["version"], "2.1.0", "{name}");
            let [run] = document["runs"].as_array().unwrap().as_slice() else {
                panic!("{name}: not one run");
            };
            let driver = &run["tool"]["driver"];
            assert_eq!(text(&driver["name"]), "chatctl");
            let rules = driver["rules"].as_array().unwrap();
            for rule in rules {
                text(&rule["id"]);
                text(&rule["shortDescription"]["text"]);
                text(&rule["help"]["text"]);
            }
            let results = run["results"].as_array().unwrap();
            assert_eq!(results.len(), report.findings.len(), "{name}");
            for (result, finding) in results.iter().zip(&report.findings) {
                let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
                assert_eq!(result["ruleId"], rules[index]["id"], "{name}");
                assert_eq!(result["ruleId"], finding.code, "{name}");
                assert!(["note", "warning", "error"].contains(&text(&result["level"])));
                text(&result["message"]["text"]);
                place(&result["locations"][0], finding.place.file.is_some());
            }
            let invocation = &run["invocations"][0];
            let ended = invocation["executionSuccessful"].as_bool().unwrap();
            let exit = invocation["exitCode"].as_u64().unwrap();
            assert_eq!(ended, exit < 3, "{name}");
            for told in invocation["toolExecutionNotifications"].as_array().unwrap() {
                text(&told["message"]["text"]);
            }
        }
    }

    #[track_caller]
    fn place(location: &Value, in_file: bool) {
        if !in_file {
            text(&location["logicalLocations"][0]["fullyQualifiedName"]);
            return;
        }
        let physical = &location["physicalLocation"];
        let uri = text(&physical["artifactLocation"]["uri"]);
        let unreserved = |c: char| c.is_ascii_alphanumeric() || "-._~/%:".contains(c);
        assert!(uri.chars().all(unreserved), "{uri}");
        for number in physical["region"].as_object().into_iter().flatten() {
            assert!(number.1.as_u64().unwrap() > 0);
        }
    }

    #[test]
    fn what_was_not_decided_is_reported() {
        let document = rendered(&samples::mixed());
        let told = &document["runs"][0]["invocations"][0]["toolExecutionNotifications"];
        assert!(text(&told[0]["message"]["text"]).starts_with("inconclusive: edit/order"));
        let document = rendered(&samples::empty());
        assert_eq!(document["runs"][0]["invocations"][0]["exitCode"], 3);
    }

    #[test]
    fn a_path_becomes_a_reference() {
        assert_eq!(uri("./migrations/1_a b.sql"), "migrations/1_a%20b.sql");
        assert_eq!(uri("/srv/é:1.sql"), "file:///srv/%C3%A9%3A1.sql");
    }
}
