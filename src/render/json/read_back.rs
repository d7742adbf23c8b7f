//! Reads back what this format writes.

use super::write;
use crate::render::{Style, samples};
use crate::report::{Found, Report, Severity, read};

fn written(report: &Report) -> String {
    let mut out = Vec::new();
    write(report, &Style::default(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn what_was_written_is_read_back_and_written_the_same() {
    let mut counted = samples::held();
    counted.skipped = 2;
    counted.found = vec![Found {
        severity: Severity::Warning,
        code: "unanswered-turn",
        count: 7,
    }];
    for (name, report) in samples::all().into_iter().chain([("counted", counted)]) {
        let text = written(&report);
        let (again, _) = read(&text).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!(written(&again), text, "{name}");
    }
}

#[test]
fn other_texts_are_not_reports() {
    let sample = written(&samples::violated());
    for (text, why) in [
        ("{}", "it is not a report of `--format json`"),
        ("not JSON", "it is not a report of `--format json`"),
        (
            &sample.replace("report/1", "report/2"),
            "it is `chatctl.report/2`",
        ),
        (
            &sample.replace("violated", "broken"),
            "it is not a report of `--format json`",
        ),
        // Cut or edited: it says less than its cases do.
        (
            &sample.replacen("\"verdict\": \"violated\"", "\"verdict\": \"held\"", 1),
            "it was cut or edited",
        ),
        (
            &sample.replace("\"severity\": \"error\"", "\"severity\": \"note\""),
            "it was cut or edited",
        ),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}
