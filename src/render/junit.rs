//! JUnit XML for CI systems: a suite for each session, a test case for each case.
//!
//! What could not be decided or was refused is an `<error>`, never a skip:
//! a CI shows skipped tests green, and nothing was shown here.

use super::{Failing, Failure, Format, Kind, Style, escape, text};
use crate::report::{Case, Finding, Report, Severity, Verdict};
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};
use std::io;
use std::io::Write;
use std::time::Duration;

pub(super) const FORMAT: Format = Format {
    name: "junit",
    kind: Kind::Xml,
    failing: Failing::Stdout(failure),
    report: Some(write),
    view: None,
};

fn write(report: &Report, _style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let mut document = quick_junit::Report::new(format!("chatctl {}", report.command));
    document.set_time(report.took);
    for session in sessions(report) {
        let cases: Vec<_> = report
            .cases
            .iter()
            .filter(|case| case.session == session)
            .collect();
        let mut suite = suite(report, session, cases.iter().map(|case| case.took).sum());
        suite.add_test_cases(cases.into_iter().map(|case| of_case(report, case)));
        document.add_test_suite(suite);
    }
    // Findings of no case would otherwise be lost, and a run that looked at nothing would look green.
    let mut rest: Vec<_> = report
        .findings
        .iter()
        .filter(|finding| !report.cases.iter().any(|case| belongs(finding, case)))
        .map(of_finding)
        .collect();
    if report.cases.is_empty() && report.verdict() == Verdict::Inconclusive {
        rest.push(TestCase::new(
            "cases",
            bad(NonSuccessKind::Error, "inconclusive", text::NOTHING),
        ));
    }
    if !rest.is_empty() {
        let mut suite = suite(report, report.command, Duration::ZERO);
        suite.add_test_cases(rest);
        document.add_test_suite(suite);
    }
    document.serialize(out).map_err(io::Error::other)
}

/// A suite with one case, which could not be run.
fn failure(failure: &Failure<'_>, out: &mut dyn Write) -> io::Result<()> {
    let word = failure.outcome.word();
    let mut status = bad(NonSuccessKind::Error, word, &escape::line(failure.error));
    let hint = failure
        .hint
        .map(|hint| format!("\nhint: {}", escape::block(hint)));
    let told = format!(
        "{}{}",
        escape::block(failure.error),
        hint.unwrap_or_default()
    );
    status.set_description(told);
    let mut suite = TestSuite::new("chatctl");
    suite.add_test_case(TestCase::new("run", status));
    let mut document = quick_junit::Report::new("chatctl");
    document.add_test_suite(suite);
    document.serialize(out).map_err(io::Error::other)
}

/// The sessions in the order in which they first appear.
fn sessions(report: &Report) -> Vec<&str> {
    let mut sessions: Vec<&str> = Vec::new();
    for case in &report.cases {
        if !sessions.contains(&case.session.as_str()) {
            sessions.push(&case.session);
        }
    }
    sessions
}

fn suite(report: &Report, name: &str, took: Duration) -> TestSuite {
    let mut suite = TestSuite::new(escape::line(name));
    suite.set_time(took);
    suite
        .extra
        .insert("timestamp".into(), text::time(report.started_at).into());
    suite
}

fn belongs(finding: &Finding, case: &Case) -> bool {
    finding.place.case.as_ref() == Some(&case.name)
}

fn of_case(report: &Report, case: &Case) -> TestCase {
    let findings: Vec<_> = report
        .findings
        .iter()
        .filter(|finding| belongs(finding, case))
        .collect();
    let error = findings
        .iter()
        .find(|finding| finding.severity == Severity::Error);
    let reason = text::reason(case);
    let told: String = findings
        .iter()
        .map(|finding| text::finding(finding))
        .collect();
    let timeline = text::timeline(case);
    let gap = if told.is_empty() || timeline.is_empty() {
        ""
    } else {
        "\n"
    };
    let body = format!("{told}{gap}{timeline}");

    let mut status = match (error, case.verdict) {
        (Some(error), _) => bad(
            NonSuccessKind::Failure,
            error.code,
            &escape::line(&error.harm),
        ),
        (None, Verdict::Violated) => bad(NonSuccessKind::Failure, "violated", &reason),
        (None, verdict @ (Verdict::Inconclusive | Verdict::Refused)) => {
            bad(NonSuccessKind::Error, verdict.word(), &reason)
        }
        (None, Verdict::Proven | Verdict::Held) => TestCaseStatus::success(),
    };
    let passed = matches!(status, TestCaseStatus::Success { .. });
    if !passed {
        status.set_description(format!("{}: {reason}\n\n{body}", case.verdict));
    }
    let mut test = TestCase::new(escape::line(&case.name), status);
    test.set_classname(escape::line(&case.session))
        .set_time(case.took);
    if passed {
        test.set_system_out(format!("{}: {reason}\n\n{body}", case.verdict));
    }
    test
}

fn of_finding(finding: &Finding) -> TestCase {
    let body = text::finding(finding);
    let name = format!("{}: {}", finding.code, escape::line(&finding.subject));
    if finding.severity == Severity::Error {
        let mut status = bad(
            NonSuccessKind::Failure,
            finding.code,
            &escape::line(&finding.harm),
        );
        status.set_description(body);
        return TestCase::new(name, status);
    }
    let mut test = TestCase::new(name, TestCaseStatus::success());
    test.set_system_out(body);
    test
}

fn bad(kind: NonSuccessKind, ty: &str, message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(ty).set_message(message);
    status
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use crate::render::Style;
    use crate::report::Report;

    fn rendered(report: &Report) -> (String, quick_junit::Report) {
        let mut out = Vec::new();
        super::write(report, &Style::default(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let parsed = quick_junit::Report::deserialize_from_str(&text).unwrap();
        (text, parsed)
    }

    #[test]
    fn every_report_is_valid_xml_and_red_when_the_run_does_not_pass() {
        for (name, report) in samples::all() {
            let (text, parsed) = rendered(&report);
            let passes = crate::outcome::Outcome::from(&report) == crate::outcome::Outcome::Pass;
            assert_eq!(parsed.failures + parsed.errors == 0, passes, "{name}");
            assert_eq!(parsed.skipped, 0, "{name}");
            let bad = |char: char| char != '\n' && crate::render::escape::is_unsafe(char);
            assert!(!text.contains(bad), "{name}");
        }
    }

    #[test]
    fn verdicts_become_failures_and_errors() {
        let (text, parsed) = rendered(&samples::mixed());
        assert_eq!((parsed.failures, parsed.errors), (1, 1));
        let suites: Vec<_> = parsed
            .test_suites
            .iter()
            .map(|suite| suite.name.as_str())
            .collect();
        assert_eq!(suites, ["hello", "edit", "verify-stream"]);
        assert!(text.contains("type=\"saved-after-done\""));
        assert!(text.contains("type=\"inconclusive\""));
        assert!(text.contains("gate closed"));
    }
}
