//! Workflow commands of GitHub Actions: a finding becomes an annotation of the run
//! and, with a file, of the line in the pull request.
//!
//! Syntax: <https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands>

use super::{Failing, Failure, Format, Kind, Style, escape, text};
use crate::report::{Finding, Report, Severity, Verdict};
use std::io;
use std::io::Write;

pub(super) const FORMAT: Format = Format {
    name: "github",
    kind: Kind::Commands,
    failing: Failing::Stdout(failure),
    report: Some(write),
    view: None,
};

fn write(report: &Report, _style: &Style, out: &mut dyn Write) -> io::Result<()> {
    for finding in &report.findings {
        annotate(finding, out)?;
    }
    for case in text::unspoken(report) {
        let title = format!("{}: {}", case.verdict, case.name);
        let command = level(case.verdict);
        writeln!(
            out,
            "::{command} title={}::{}",
            property(&title),
            data(&text::reason(case))
        )?;
    }
    let mut summary = text::summary(report);
    if report.cases.is_empty() {
        summary = format!("{summary}; {}", text::NOTHING);
    }
    let title = property(&format!("chatctl {}", report.command));
    writeln!(
        out,
        "::{} title={title}::{}",
        level(report.verdict()),
        data(&summary)
    )
}

/// A run that ended without a report is red, and the annotation says why.
fn failure(failure: &Failure<'_>, out: &mut dyn Write) -> io::Result<()> {
    let title = property(&format!("chatctl: {}", failure.outcome.word()));
    let hint = failure.hint.map(|hint| format!("\nhint: {hint}"));
    let told = format!("{}{}", failure.error, hint.unwrap_or_default());
    writeln!(out, "::error title={title}::{}", data(&told))
}

fn annotate(finding: &Finding, out: &mut dyn Write) -> io::Result<()> {
    let command = match finding.severity {
        Severity::Note => "notice",
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    let mut properties = format!("title={}", property(finding.code));
    if let Some(file) = &finding.place.file {
        properties.push_str(&format!(",file={}", property(file)));
    }
    let numbers = [("line", finding.place.line), ("col", finding.place.column)];
    for (name, number) in numbers {
        if let Some(number) = number {
            properties.push_str(&format!(",{name}={number}"));
        }
    }
    writeln!(
        out,
        "::{command} {properties}::{}",
        data(text::finding(finding).trim_end())
    )
}

/// What could not be decided is not an error of the code under review.
const fn level(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Proven | Verdict::Held => "notice",
        Verdict::Inconclusive | Verdict::Refused => "warning",
        Verdict::Violated => "error",
    }
}

/// The text behind the second `::`; the runner decodes exactly these three.
fn data(text: &str) -> String {
    escape::block(text)
        .replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// A property's value: it also must not end the property or the list of them.
fn property(text: &str) -> String {
    data(&escape::line(text))
        .replace(':', "%3A")
        .replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::{data, property};
    use crate::render::Style;
    use crate::report::Report;

    fn rendered(report: &Report) -> String {
        let mut out = Vec::new();
        super::write(report, &Style::default(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn text_cannot_end_a_command_or_start_another() {
        assert_eq!(data("50 %\n::error::no"), "50 %25%0A::error::no");
        assert_eq!(property("a:b,c%\n"), "a%3Ab%2Cc%25\\n");
    }

    #[test]
    fn every_line_is_one_command() {
        for (name, report) in samples::all() {
            let text = rendered(&report);
            let commands = ["::error title=", "::warning title=", "::notice title="];
            for line in text.lines() {
                assert!(
                    commands.iter().any(|start| line.starts_with(start)),
                    "{name}: {line}"
                );
            }
        }
    }

    #[test]
    fn findings_and_undecided_cases_get_a_line_each() {
        let text = rendered(&samples::mixed());
        let starts: Vec<_> = text
            .lines()
            .map(|line| line.split("::").nth(1).unwrap())
            .collect();
        assert_eq!(
            starts,
            [
                "error title=saved-after-done",
                "warning title=log-forbidden,file=logs/chat%2C server.log",
                "notice title=provider-call-extra",
                "warning title=inconclusive%3A edit/order",
                "error title=chatctl verify-stream",
            ]
        );
    }
}
