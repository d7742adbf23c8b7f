//! JSON Lines: one object per line, for `jq`, `grep` and programs that read it as a stream.
//!
//! Of a report: a line each case, each finding, and each row that a finding is about, told apart by
//! `kind`. Of a view: the rows, or
//! the messages, and nothing else; that a view was cut is reported on stderr.

use super::{Failing, Format, Kind, Show, Style, json};
use crate::report::{Head, Piece, Report};
use std::io;
use std::io::Write;

pub(super) const FORMAT: Format = Format {
    name: "jsonl",
    kind: Kind::Json,
    failing: Failing::Stderr(json::failure),
    report: Some(write),
    view: Some(|_| Box::new(Lines::default())),
};

fn write(report: &Report, _style: &Style, out: &mut dyn Write) -> io::Result<()> {
    for (kind, line) in json::lines(report) {
        let mut object = serde_json::Map::new();
        object.insert("kind".to_owned(), kind.into());
        if let serde_json::Value::Object(line) = line {
            object.extend(line);
        }
        let line = serde_json::Value::Object(object).to_string();
        writeln!(out, "{}", json::terminal_safe(&line))?;
    }
    Ok(())
}

#[derive(Default)]
struct Lines {
    keys: Vec<String>,
}

impl Show for Lines {
    fn piece(&mut self, piece: &Piece, out: &mut dyn Write) -> io::Result<()> {
        match piece {
            Piece::Head(Head::Sheet(sheet)) => {
                self.keys = sheet.keys();
                Ok(())
            }
            Piece::Head(Head::Text(head)) => {
                let line = serde_json::json!({"text": head.text}).to_string();
                writeln!(out, "{}", json::terminal_safe(&line))
            }
            Piece::Row(values) => writeln!(out, "{}", json::object(&self.keys, values)),
            Piece::Line(line) => writeln!(out, "{}", json::message(line)),
            Piece::Head(Head::Transcript(_)) | Piece::Note(_) => Ok(()),
        }
    }

    fn end(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}
