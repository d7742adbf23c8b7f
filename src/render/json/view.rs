//! Views as one JSON document, written piece by piece.
//!
//! `chatctl.sheet/1`: rows are objects, their keys those of `columns`, which also tell each
//! column's own name, since two may have the same. `chatctl.transcript/1`: a conversation and its
//! messages. `chatctl.text/1`: a text. Each has a schema next to this. A number has every digit that the engine gave; bytes are `{"blob": "00ff"}`.

use super::terminal_safe;
use crate::model::Value;
use crate::render::{Show, Style};
use crate::report::{Head, Line, Note, Piece, Sheet, Text, Transcript};
use serde_json::json;
use std::io;
use std::io::Write;

pub(super) fn new(_style: &Style) -> Box<dyn Show> {
    Box::new(Document::default())
}

#[derive(Default)]
struct Document {
    keys: Vec<String>,
    /// Whether the document has a list, which its end closes.
    listed: bool,
    items: usize,
    notes: Vec<Note>,
}

impl Show for Document {
    fn piece(&mut self, piece: &Piece, out: &mut dyn Write) -> io::Result<()> {
        match piece {
            Piece::Head(Head::Sheet(sheet)) => {
                self.keys = sheet.keys();
                self.open(of_sheet(sheet, &self.keys), Some("rows"), out)
            }
            Piece::Head(Head::Transcript(head)) => {
                self.open(of_transcript(head), Some("messages"), out)
            }
            Piece::Head(Head::Text(head)) => self.open(of_text(head), None, out),
            Piece::Row(values) => self.item(&object(&self.keys, values), out),
            Piece::Line(line) => self.item(&message(line), out),
            Piece::Note(note) => {
                self.notes.push(note.clone());
                Ok(())
            }
        }
    }

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let end = match (self.listed, self.items) {
            (false, _) => "",
            (true, 0) => "],\n",
            (true, _) => "\n  ],\n",
        };
        let notes: Vec<_> = self.notes.iter().map(|note| &note.text).collect();
        let cut = self.notes.iter().any(|note| note.cut);
        let notes = terminal_safe(&json!(notes).to_string());
        writeln!(out, "{end}  \"notes\": {notes},\n  \"cut\": {cut}\n}}")
    }
}

impl Document {
    /// The document's start: what the head says, and the list that the pieces go into, if any do.
    fn open(
        &mut self,
        head: Vec<(&str, serde_json::Value)>,
        list: Option<&str>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        writeln!(out, "{{")?;
        for (key, value) in head {
            writeln!(out, "  \"{key}\": {},", terminal_safe(&value.to_string()))?;
        }
        self.listed = list.is_some();
        match list {
            Some(list) => write!(out, "  \"{list}\": ["),
            None => Ok(()),
        }
    }

    fn item(&mut self, json: &str, out: &mut dyn Write) -> io::Result<()> {
        let gap = if self.items == 0 { "\n" } else { ",\n" };
        self.items += 1;
        write!(out, "{gap}    {json}")
    }
}

fn of_sheet<'a>(sheet: &Sheet, keys: &[String]) -> Vec<(&'a str, serde_json::Value)> {
    let columns = sheet.columns.iter().zip(keys);
    let columns: Vec<_> = columns
        .map(|(column, key)| json!({"key": key, "name": column.name, "type": column.declared}))
        .collect();
    vec![
        ("schema", json!("chatctl.sheet/1")),
        ("command", json!(sheet.command)),
        ("version", json!(env!("CARGO_PKG_VERSION"))),
        ("title", json!(sheet.title)),
        ("columns", json!(columns)),
    ]
}

fn of_transcript<'a>(head: &Transcript) -> Vec<(&'a str, serde_json::Value)> {
    vec![
        ("schema", json!("chatctl.transcript/1")),
        ("command", json!(head.command)),
        ("version", json!(env!("CARGO_PKG_VERSION"))),
        ("key", json!(head.key)),
        ("title", json!(head.title)),
        ("user", json!(head.user)),
        ("created", json!(head.created)),
        ("last", json!(head.last)),
    ]
}

fn of_text<'a>(head: &Text) -> Vec<(&'a str, serde_json::Value)> {
    vec![
        ("schema", json!("chatctl.text/1")),
        ("command", json!(head.command)),
        ("version", json!(env!("CARGO_PKG_VERSION"))),
        ("text", json!(head.text)),
    ]
}

/// A row on one line.
pub(in crate::render) fn object(keys: &[String], values: &[Value]) -> String {
    let pairs: Vec<_> = keys
        .iter()
        .zip(values)
        .map(|(key, value)| format!("{}: {}", json!(key), self::value(value)))
        .collect();
    terminal_safe(&format!("{{{}}}", pairs.join(", ")))
}

/// A value; a number's digits pass through no type that could round them.
fn value(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(bool) => bool.to_string(),
        Value::Number(digits) => digits.clone(),
        Value::Text(text) => json!(text).to_string(),
        Value::Blob(bytes) => json!({"blob": crate::text::hex(bytes)}).to_string(),
    }
}

pub(in crate::render) fn message(line: &Line) -> String {
    let tools: Vec<_> = line
        .tools
        .iter()
        .map(|tool| json!({"name": tool.name, "input": tool.input, "output": tool.output}))
        .collect();
    let message = json!({
        "key": line.key,
        "role": line.role,
        "time": line.time,
        "text": line.text,
        "tools": tools,
        "state": line.state.unwrap_or("whole"),
        "flags": line.flags,
    });
    terminal_safe(&message.to_string())
}
