//! Markdown for a ticket: a summary, a table of cases, the findings with their facts.
//!
//! Every text from outside is escaped, so that it neither becomes markup nor calls anybody.

mod view;

use super::{Failing, Failure, Format, Kind, Style, escape, text};
use crate::report::{Finding, Report};
use std::io;
use std::io::Write;

pub(super) const FORMAT: Format = Format {
    name: "markdown",
    kind: Kind::Text { color: false },
    failing: Failing::Stdout(failure),
    report: Some(write),
    view: Some(view::new),
};

fn write(report: &Report, _style: &Style, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "## chatctl {}\n", report.command)?;
    writeln!(out, "**{}**", plain(&text::summary(report)))?;
    if let Some(store) = &report.store {
        let [backend, url, mapping] =
            [&store.backend, &store.url, &store.mapping].map(|text| plain(text));
        let mapping = if mapping.is_empty() {
            String::new()
        } else {
            format!(", mapping {mapping}")
        };
        writeln!(out, "\nStore: {url} ({backend}){mapping}")?;
    }
    if report.cases.is_empty() && report.findings.is_empty() {
        writeln!(out, "\n{}", text::NOTHING)?;
    }
    let is_timed = text::is_timed(&report.cases);
    if !report.cases.is_empty() {
        let (head, rule) = if is_timed {
            (" took |", "---:|")
        } else {
            ("", "")
        };
        writeln!(out, "\n| case | verdict | why |{head}\n|---|---|---|{rule}")?;
    }
    for case in &report.cases {
        let [name, why] = [&case.name, &text::reason(case)].map(|text| plain(text));
        let took = if is_timed {
            format!(" {} |", text::took(case.took))
        } else {
            String::new()
        };
        writeln!(out, "| {name} | {} | {why} |{took}", case.verdict)?;
    }
    let mut findings: Vec<_> = report.findings.iter().collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings.into_iter().try_for_each(|it| finding(it, out))
}

/// Why there is no report.
fn failure(failure: &Failure<'_>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "## chatctl: {}\n", failure.outcome.word())?;
    writeln!(out, "{}", plain(failure.error))?;
    match failure.hint {
        Some(hint) => writeln!(out, "\n- hint: {}", plain(hint)),
        None => Ok(()),
    }
}

fn finding(finding: &Finding, out: &mut dyn Write) -> io::Result<()> {
    let severity = text::severity(finding.severity);
    let (code, harm) = (finding.code, plain(&finding.harm));
    writeln!(out, "\n### {severity}: {code}\n\n{harm}\n")?;
    for fact in text::facts(finding) {
        if !fact.text.contains('\n') {
            writeln!(out, "- {}: {}", fact.label, plain(&fact.text))?;
        } else {
            writeln!(out, "- {}:\n", fact.label)?;
            for line in fenced(&fact.text).lines() {
                writeln!(out, "  {line}")?;
            }
        }
    }
    Ok(())
}

/// A text on one line that is not markup.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for line in text.split('\n') {
        if !plain.is_empty() {
            plain.push_str("<br>");
        }
        for char in escape::line(line).chars() {
            match char {
                // A reference to a person, which a backslash would not take away.
                '@' => plain.push_str("&#64;"),
                '\\' | '`' | '*' | '_' | '|' | '<' | '>' | '[' | ']' | '#' | '&' | '~' => {
                    plain.push('\\');
                    plain.push(char);
                }
                _ => plain.push(char),
            }
        }
    }
    plain
}

/// A text as a block of code, with a fence that it can't end.
fn fenced(text: &str) -> String {
    let text = escape::block(text);
    let mut fence = "```".to_owned();
    while text.contains(&fence) {
        fence.push('`');
    }
    format!("{fence}text\n{text}\n{fence}")
}
