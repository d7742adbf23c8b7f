//! Comma-separated values as in RFC 4180: a header, and a record a row. Of a report: each thing that
//! a finding is about, a finding that names none as one record, and each case that is undecided, so that a
//! run that could not look does not read as one that found nothing.
//!
//! A cell is what is stored, also when it begins with `=`, `+`, `-` or `@`: a spreadsheet that
//! takes such a text for a formula has to be told to import text. No value is an empty cell, the
//! empty text is `""`, bytes are hexadecimal behind `\x`. On a terminal, and only there, control
//! characters are spelled out; elsewhere a note shows that there are some. A cell that a CI system
//! would take for a command is in quotes.

use super::{Failing, Format, Kind, Show, Style, escape, text};
use crate::model::Value;
use crate::report::{Case, Finding, FindingRow, Head, Line, Piece, Report, Verdict};
use crate::text::hex;
use std::io;
use std::io::Write;

pub(super) const FORMAT: Format = Format {
    name: "csv",
    kind: Kind::Cells,
    failing: Failing::Text,
    report: Some(write),
    view: Some(|style| {
        Box::new(Records {
            terminal: style.terminal,
        })
    }),
};

/// The columns of a report's records.
const COLUMNS: [&str; 9] = [
    "severity",
    "code",
    "cause",
    "conversation",
    "title",
    "user",
    "message",
    "time",
    "fact",
];

fn write(report: &Report, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let records = Records {
        terminal: style.terminal,
    };
    record(COLUMNS.map(str::to_owned).to_vec(), out)?;
    for finding in &report.findings {
        if finding.rows.is_empty() {
            let row = FindingRow {
                fact: Some(finding.harm.clone()),
                ..FindingRow::default()
            };
            records.row(finding, &row, out)?;
        }
        for row in &finding.rows {
            records.row(finding, row, out)?;
        }
    }
    let is_open = |case: &&Case| case.verdict == Verdict::Inconclusive;
    for case in report.cases.iter().filter(is_open) {
        let mut cells = vec![String::new(); COLUMNS.len()];
        cells[0] = case.verdict.to_string();
        cells[COLUMNS.len() - 1] = records.quoted(&format!("{}: {}", case.name, case.reason));
        record(cells, out)?;
    }
    Ok(())
}

struct Records {
    terminal: bool,
}

impl Show for Records {
    fn piece(&mut self, piece: &Piece, out: &mut dyn Write) -> io::Result<()> {
        match piece {
            Piece::Head(Head::Sheet(sheet)) => {
                let names = sheet.columns.iter();
                let names = names.map(|column| self.quoted(&column.name));
                record(names.collect(), out)
            }
            Piece::Head(Head::Transcript(_)) => {
                let names = ["key", "role", "time", "state", "flags", "tools", "text"];
                record(names.map(str::to_owned).to_vec(), out)
            }
            Piece::Head(Head::Text(head)) => {
                record(vec!["text".to_owned()], out)?;
                record(vec![self.quoted(&head.text)], out)
            }
            Piece::Row(values) => {
                let cells = values.iter().map(|value| self.cell(value));
                record(cells.collect(), out)
            }
            Piece::Line(line) => record(self.message(line), out),
            Piece::Note(_) => Ok(()),
        }
    }

    fn end(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

impl Records {
    fn row(&self, finding: &Finding, row: &FindingRow, out: &mut dyn Write) -> io::Result<()> {
        let text = |value: &Option<String>| {
            value
                .as_ref()
                .map(|text| self.quoted(text))
                .unwrap_or_default()
        };
        let cells = vec![
            text::severity(finding.severity).to_owned(),
            finding.code.to_owned(),
            row.cause.to_owned(),
            text(&row.conversation),
            text(&row.title),
            text(&row.user),
            text(&row.message),
            text(&row.time),
            text(&row.fact),
        ];
        record(cells, out)
    }

    fn cell(&self, value: &Value) -> String {
        match value {
            Value::Null => String::new(),
            Value::Bool(bool) => bool.to_string(),
            Value::Number(digits) => digits.clone(),
            Value::Text(text) => self.quoted(text),
            Value::Blob(bytes) => format!("\\x{}", hex(bytes)),
        }
    }

    fn message(&self, line: &Line) -> Vec<String> {
        let tools: Vec<_> = line.tools.iter().map(|tool| tool.name.as_str()).collect();
        vec![
            self.quoted(&line.key),
            self.quoted(&line.role),
            line.time.clone().unwrap_or_default(),
            line.state.unwrap_or("whole").to_owned(),
            self.quoted(&line.flags.join("; ")),
            self.quoted(&tools.join("; ")),
            self.quoted(&line.text),
        ]
    }

    /// A text, in quotes where it needs them; an empty one too, so that it is not no value.
    fn quoted(&self, text: &str) -> String {
        let text = if self.terminal {
            escape::line(text)
        } else {
            text.into()
        };
        let ends = text.contains([',', '"', '\r', '\n']);
        if text.is_empty() || ends || text.trim_start().starts_with("::") {
            format!("\"{}\"", text.replace('"', "\"\""))
        } else {
            text.into_owned()
        }
    }
}

fn record(cells: Vec<String>, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "{}\r\n", cells.join(","))
}
