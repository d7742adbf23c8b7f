//! Views as Markdown: a sheet is a table, a message a heading and a block.

use super::{fenced, plain};
use crate::model::Value;
use crate::render::{Show, Style, text};
use crate::report::{Align, Head, Line, Piece, Sheet, Transcript};
use crate::text::hex;
use std::io;
use std::io::Write;

pub(super) fn new(_style: &Style) -> Box<dyn Show> {
    Box::new(Page)
}

struct Page;

impl Show for Page {
    fn piece(&mut self, piece: &Piece, out: &mut dyn Write) -> io::Result<()> {
        match piece {
            Piece::Head(Head::Sheet(sheet)) => self.sheet(sheet, out),
            Piece::Head(Head::Transcript(head)) => self.transcript(head, out),
            Piece::Head(Head::Text(head)) => writeln!(out, "{}", fenced(&head.text)),
            Piece::Row(values) => row(values.iter().map(cell), out),
            Piece::Line(line) => self.message(line, out),
            Piece::Note(note) => writeln!(out, "\n_{}_", plain(&note.text)),
        }
    }

    fn end(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

impl Page {
    fn sheet(&self, sheet: &Sheet, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "## {}\n", plain(&sheet.title))?;
        row(sheet.columns.iter().map(|column| plain(&column.name)), out)?;
        let rule = |align| match align {
            Align::Left => "---",
            Align::Right => "---:",
        };
        let rules = sheet.columns.iter().map(|column| rule(column.align));
        writeln!(out, "|{}|", rules.collect::<Vec<_>>().join("|"))
    }

    fn transcript(&self, head: &Transcript, out: &mut dyn Write) -> io::Result<()> {
        let title = head.title.as_deref().unwrap_or("-");
        writeln!(out, "## {}: {}\n", plain(&head.key), plain(title))?;
        for (label, value) in [
            ("user", &head.user),
            ("created", &head.created),
            ("last", &head.last),
        ] {
            if let Some(value) = value {
                writeln!(out, "- {label}: {}", plain(value))?;
            }
        }
        Ok(())
    }

    fn message(&self, line: &Line, out: &mut dyn Write) -> io::Result<()> {
        let time = line.time.as_deref().unwrap_or("-");
        let marks = line.state.iter().chain(&line.flags);
        let marks: String = marks.map(|mark| format!(" **{mark}**")).collect();
        let (role, key) = (plain(&line.role), plain(&line.key));
        writeln!(
            out,
            "\n### {role}, {time}, {key}{marks}\n\n{}",
            fenced(&text::pictured(&line.text))
        )?;
        for tool in &line.tools {
            writeln!(out, "\n- tool {}", plain(&tool.name))?;
            for text in [&tool.input, &tool.output].into_iter().flatten() {
                writeln!(out, "\n{}", fenced(text))?;
            }
        }
        Ok(())
    }
}

fn row(cells: impl Iterator<Item = String>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "| {} |", cells.collect::<Vec<_>>().join(" | "))
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(bool) => bool.to_string(),
        Value::Number(digits) => digits.clone(),
        Value::Text(text) if text.is_empty() => "\"\"".to_owned(),
        Value::Text(text) => plain(&text::pictured(text)),
        Value::Blob(bytes) => format!("x'{}'", hex(bytes)),
    }
}
