//! One set of reports through every format, and the human format as a reader sees it.

use super::{ALL, Style, escape, named, samples};
use crate::outcome::Outcome;
use crate::report;
use crate::report::{Case, Report, Verdict};
use unicode_width::UnicodeWidthStr;

fn rendered(format: &str, report: &Report, style: Style) -> String {
    let mut out = Vec::new();
    let write = named(format).unwrap().report.unwrap();
    write(report, &style, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn human(report: &Report, width: u16) -> String {
    let style = Style {
        width: Some(width),
        ..Style::default()
    };
    rendered("human", report, style)
}

/// The formats that can carry a report.
fn of_reports() -> impl Iterator<Item = &'static super::Format> {
    ALL.iter().filter(|format| format.report.is_some())
}

/// Compares with a file under `golden/`; `CHATCTL_BLESS=1` writes it instead.
pub(super) fn golden(name: &str, actual: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/render/golden")
        .join(name);
    if std::env::var_os("CHATCTL_BLESS").is_some() {
        std::fs::write(&path, actual).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert_eq!(actual, expected, "{name}");
}

#[test]
fn names_are_unique_and_found() {
    for format in ALL {
        assert_eq!(
            ALL.iter().filter(|other| other.name == format.name).count(),
            1
        );
        assert!(std::ptr::eq(named(format.name).unwrap(), format));
    }
    assert!(named("pdf").is_none());
}

#[test]
fn every_format_shows_every_finding() {
    for (name, report) in samples::all() {
        for format in of_reports() {
            for style in [
                Style::default(),
                Style {
                    color: true,
                    width: Some(60),
                    verbose: true,
                    terminal: true,
                },
            ] {
                let text = rendered(format.name, &report, style);
                assert!(text.ends_with('\n'), "{name} as {}", format.name);
                for finding in &report.findings {
                    assert!(
                        text.contains(finding.code),
                        "{} of {name} as {}",
                        finding.code,
                        format.name
                    );
                }
            }
        }
    }
}

#[test]
fn no_format_lets_an_escape_sequence_through() {
    for format in of_reports() {
        // What is stored goes into a file of CSV as it is, and its lines end as RFC 4180 says.
        let cells = format.name == "csv";
        let style = Style {
            terminal: cells,
            ..Style::default()
        };
        let text = rendered(format.name, &samples::hostile(), style);
        let text = if cells {
            text.replace("\r\n", "\n")
        } else {
            text
        };
        let found = text
            .chars()
            .find(|char| *char != '\n' && escape::is_unsafe(*char));
        assert_eq!(found, None, "{}", format.name);
    }
}

/// Columns before a word in a timeline.
const LABEL: usize = 21;

#[test]
fn human_lines_fit_and_end_without_blanks() {
    for (name, report) in samples::all() {
        for width in [60, 80, 100, 160] {
            for line in human(&report, width).lines() {
                // A word that is wider stays whole, behind its label.
                let word = line
                    .split(' ')
                    .map(UnicodeWidthStr::width)
                    .max()
                    .unwrap_or(0);
                assert!(
                    line.width() <= usize::from(width).max(word + LABEL),
                    "{name} at {width}: {line}"
                );
                assert_eq!(line, line.trim_end(), "{name} at {width}");
            }
        }
    }
}

#[test]
fn colour_changes_nothing_but_the_colour() {
    for (name, report) in samples::all() {
        let style = Style {
            color: true,
            ..Style::default()
        };
        let colored = rendered("human", &report, style);
        assert!(colored.contains("\u{1b}["), "{name}");
        let mut plain = String::new();
        for part in colored.split("\u{1b}[") {
            plain.push_str(if plain.is_empty() && !colored.starts_with('\u{1b}') {
                part
            } else {
                part.split_once('m').map_or(part, |(_, rest)| rest)
            });
        }
        assert_eq!(
            plain,
            rendered("human", &report, Style::default()),
            "{name}"
        );
    }
}

#[test]
fn what_is_cut_says_so_and_verbose_cuts_nothing() {
    let brief = human(&samples::many(), 100);
    assert!(brief.contains("7 more timelines not shown; --verbose shows all."));
    assert!(brief.contains("12 more facts not shown; --verbose shows all."));
    let style = Style {
        verbose: true,
        ..Style::default()
    };
    let full = rendered("human", &samples::many(), style);
    assert!(!full.contains("not shown"));
    assert!(full.contains("trial 19: no row"));
}

#[test]
fn human_output_reads_as_agreed() {
    golden("violated-100.txt", &human(&samples::violated(), 100));
    golden("violated-80.txt", &human(&samples::violated(), 80));
    golden("proven-100.txt", &human(&samples::proven(), 100));
    golden("mixed-80.txt", &human(&samples::mixed(), 80));
    golden("hostile-80.txt", &human(&samples::hostile(), 80));
    golden("empty-80.txt", &human(&samples::empty(), 80));
}

#[test]
fn lines_and_markdown_read_as_agreed() {
    let style = Style::default();
    golden("mixed.jsonl", &rendered("jsonl", &samples::mixed(), style));
    golden("mixed.md", &rendered("markdown", &samples::mixed(), style));
    golden(
        "hostile.md",
        &rendered("markdown", &samples::hostile(), style),
    );
    golden("empty.md", &rendered("markdown", &samples::empty(), style));
}

/// Each line is an object, the findings and cases of the report are all there.
#[test]
fn lines_are_json_objects() {
    for (name, report) in samples::all() {
        let text = rendered("jsonl", &report, Style::default());
        let kinds: Vec<_> = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .map(|line| line["kind"].as_str().unwrap().to_owned())
            .collect();
        let count = |kind: &str| kinds.iter().filter(|it| *it == kind).count();
        let counts = (count("report"), count("case"), count("finding"));
        assert_eq!(
            counts,
            (1, report.cases.len(), report.findings.len()),
            "{name}"
        );
    }
}

#[test]
fn a_report_says_apart_from_its_exit_code_that_something_is_pending() {
    let plan = Report {
        pending: true,
        ..samples::held()
    };
    let json = rendered("json", &plan, Style::default());
    let edited = json.replace("\"exit\": 10", "\"exit\": 0");
    assert_ne!(json, edited);
    for (text, exit) in [(json, 10), (edited, 0)] {
        let (read, said) = report::read(&text).unwrap();
        assert_eq!((read.pending, said), (true, exit));
        assert_eq!(Outcome::from(&read), Outcome::Pending);
    }
}

#[test]
fn an_undecided_case_is_in_a_list_of_findings() {
    let mut report = samples::held();
    let (name, reason) = ("chat/order".to_owned(), "the gate, it was lost".to_owned());
    report.cases[0] = Case {
        name,
        reason,
        verdict: Verdict::Inconclusive,
        ..report.cases[0].clone()
    };
    let text = rendered("csv", &report, Style::default());
    assert!(
        text.ends_with("inconclusive,,,,,,,,\"chat/order: the gate, it was lost\"\r\n"),
        "{text}"
    );
}
