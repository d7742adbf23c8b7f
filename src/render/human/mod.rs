//! For the person on call: what was examined, what happened in which order, what
//! is wrong and what to do. Understood without colour; colour only points at the verdict.

mod cases;
mod sheet;
mod timelines;
mod transcript;
mod view;

use super::text::Fact;
use super::{Failing, Failure, Format, Kind, Style, escape, text};
use crate::report::{Finding, Report, Severity, Verdict};
use crate::text::plural;
use std::io;
use std::io::Write;

pub(super) const FORMAT: Format = Format {
    name: "human",
    kind: Kind::Text { color: true },
    failing: Failing::Stderr(failure),
    report: Some(write),
    view: Some(view::new),
};

const DEFAULT_WIDTH: u16 = 100;
/// Below this nothing can be laid out; a narrower terminal wraps by itself.
const MIN_WIDTH: u16 = 40;
/// Facts beyond these say the same once more; `--verbose` shows them all.
const MAX_EVIDENCE: usize = 8;
/// Columns before the text of a fact: `  explain: `.
const FACT_AT: usize = 11;

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const CYAN: &str = "36";

fn write(report: &Report, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let mut page = Page::new(style);
    page.head(report);
    if !report.cases.is_empty() {
        page.cases(&report.cases);
    } else if report.findings.is_empty() {
        page.line("");
        page.wrapped(text::NOTHING, 0);
    }
    page.timelines(&report.cases);
    let mut findings: Vec<_> = report.findings.iter().collect();
    // The worst first; of the same level, the order in which they were found.
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    for finding in findings {
        page.finding(finding);
    }
    page.summary(report);
    out.write_all(page.text.as_bytes())
}

/// Why there is no report, as text.
pub(super) fn failure(failure: &Failure<'_>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "error: {}", escape::indented(failure.error))?;
    match failure.hint {
        Some(hint) => writeln!(out, "hint: {}", escape::indented(hint)),
        None => Ok(()),
    }
}

/// The text so far, and how wide and colourful it may be.
struct Page {
    text: String,
    color: bool,
    verbose: bool,
    width: u16,
    /// Whether that is the width of a terminal.
    is_terminal: bool,
    /// Whether long messages are shown as a whole.
    full: bool,
}

impl Page {
    fn new(style: &Style) -> Self {
        Self {
            text: String::new(),
            color: style.color,
            verbose: style.verbose,
            width: style.width.unwrap_or(DEFAULT_WIDTH).max(MIN_WIDTH),
            is_terminal: style.width.is_some(),
            full: false,
        }
    }

    /// Adds a line without trailing blanks.
    fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    /// Adds a text at that many columns from the left.
    fn wrapped(&mut self, text: &str, indent: usize) {
        for line in text::wrap(text, usize::from(self.width).saturating_sub(indent)) {
            self.line(&format!("{:indent$}{line}", ""));
        }
    }

    fn paint(&self, text: &str, sgr: &str) -> String {
        if self.color {
            format!("\u{1b}[{sgr}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    fn verdict(&self, verdict: Verdict) -> String {
        self.paint(
            verdict.word(),
            &format!("{BOLD};{}", verdict_color(verdict)),
        )
    }

    fn head(&mut self, report: &Report) {
        let mut head = report.command.to_owned();
        if let Some(store) = &report.store {
            let [backend, url, mapping] =
                [&store.backend, &store.url, &store.mapping].map(|text| escape::line(text));
            head.push_str(&format!(": {url} ({backend})"));
            if !mapping.is_empty() {
                head.push_str(&format!(", mapping {mapping}"));
            }
        }
        self.wrapped(&head, 0);
    }

    fn summary(&mut self, report: &Report) {
        self.line("");
        let verdict = report.verdict();
        let passed = matches!(verdict, Verdict::Proven | Verdict::Held);
        // What was found is easily overlooked behind a word that says that nothing failed.
        let is_warned = passed && report.found.iter().any(|it| it.severity > Severity::Note);
        let painted = if is_warned {
            self.paint(verdict.word(), &format!("{BOLD};{YELLOW}"))
        } else {
            self.verdict(verdict)
        };
        let rest_of = |page: &Self, rest: &str| {
            if is_warned {
                page.paint(rest, YELLOW)
            } else {
                rest.to_owned()
            }
        };
        for line in text::wrap(&text::summary(report), usize::from(self.width)) {
            match line.strip_prefix(verdict.word()) {
                Some(rest) => self.line(&format!("{painted}{}", rest_of(self, rest))),
                None => self.line(&rest_of(self, &line)),
            }
        }
    }

    fn note(&mut self, text: &str, indent: usize) {
        for line in text::wrap(text, usize::from(self.width).saturating_sub(indent)) {
            self.line(&format!("{:indent$}{}", "", self.paint(&line, DIM)));
        }
    }

    fn finding(&mut self, finding: &Finding) {
        let severity = text::severity(finding.severity);
        let start = format!("{severity}[{}]", finding.code);
        let told = format!("{start} {}", escape::line(&finding.harm));
        self.line("");
        let mut indent = "";
        for line in text::wrap(&told, usize::from(self.width).saturating_sub(2)) {
            // A code too long for one line stays uncoloured.
            match line.strip_prefix(&start).filter(|_| indent.is_empty()) {
                Some(rest) => {
                    let start = self.paint(&start, severity_color(finding.severity));
                    self.line(&format!("{start}{rest}"));
                }
                None => self.line(&format!("{indent}{line}")),
            }
            indent = "  ";
        }
        let (mut evidence, mut hidden) = (0, 0);
        for fact in &text::facts(finding) {
            if fact.is_evidence {
                evidence += 1;
                if evidence > MAX_EVIDENCE && !self.verbose {
                    hidden += 1;
                    continue;
                }
            } else if hidden > 0 {
                let more = plural(hidden, "more fact");
                self.note(&format!("{more} not shown; --verbose shows all."), FACT_AT);
                hidden = 0;
            }
            self.fact(fact);
        }
    }

    fn fact(&mut self, fact: &Fact) {
        let label = self.paint(&format!("{}:", fact.label), DIM);
        if fact.text.contains('\n') {
            self.line(&format!("  {label}"));
            for line in fact.text.lines() {
                let line = visible_end(line);
                let line = match line.as_bytes().first() {
                    Some(b'+') => self.paint(&line, GREEN),
                    Some(b'-') => self.paint(&line, RED),
                    _ => line,
                };
                self.line(&format!("    {line}"));
            }
            return;
        }
        let gap = FACT_AT.saturating_sub(fact.label.len() + 3);
        let mut start = format!("  {label}{:gap$}", "");
        for line in text::wrap(&fact.text, usize::from(self.width).saturating_sub(FACT_AT)) {
            self.line(&format!("{start}{line}"));
            start = " ".repeat(FACT_AT);
        }
    }
}

/// A blank at the end of a line may be the whole difference that a diff shows.
fn visible_end(line: &str) -> String {
    match line.strip_suffix(' ') {
        Some(start) if !start.is_empty() => format!("{start}\\u{{20}}"),
        _ => line.to_owned(),
    }
}

const fn verdict_color(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Proven => GREEN,
        Verdict::Held => CYAN,
        Verdict::Inconclusive | Verdict::Refused => YELLOW,
        Verdict::Violated => RED,
    }
}

const fn severity_color(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => CYAN,
        Severity::Warning => YELLOW,
        Severity::Error => RED,
    }
}
