//! The output of `inspect`, in pieces: a head, then rows or messages as they are found, then notes.
//!
//! Pieces go to the screen one by one, so that the first is read before the last is found.

use crate::model::Value;

/// One piece of a view. A view is one [`Piece::Head`] and the pieces after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// What is shown.
    Head(Head),
    /// A row of a sheet: as many values as it has columns.
    Row(Vec<Value>),
    /// A message of a transcript.
    Line(Box<Line>),
    /// A note about the shown data.
    Note(Note),
}

/// The head of a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Head {
    /// Rows follow.
    Sheet(Sheet),
    /// Messages follow.
    Transcript(Transcript),
    /// Nothing follows but notes.
    Text(Text),
}

/// A text in the form of a file, to be pasted into one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// The sub-command, as typed: `inspect mapping`.
    pub command: &'static str,
    /// The text, without a newline at its end.
    pub text: String,
}

/// A table of values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    /// The sub-command, as typed: `inspect tables`.
    pub command: &'static str,
    /// What the rows are.
    pub title: String,
    /// Its columns; two may have the same name.
    pub columns: Vec<Column>,
}

/// A column of a sheet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    /// The engine's type; empty when it has none.
    pub declared: String,
    /// The alignment of its values.
    pub align: Align,
    /// The kind of its values.
    pub holds: Holds,
    /// Its place in the order in which a narrow terminal omits columns; `None` if it stays.
    pub spare: Option<u8>,
}

/// The kind of values in a column: `--redact` hides some, and not all may be wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// Words and figures of chatctl.
    Words,
    /// A name: of a table, a file, a type.
    Names,
    /// Moments.
    Times,
    /// Keys of rows.
    Ids,
    /// Who spoke.
    Roles,
    /// User-written text, or text that may be.
    Stored,
}

/// The alignment of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// At the left: texts.
    Left,
    /// At the right: numbers.
    Right,
}

/// A conversation, before its messages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transcript {
    /// The sub-command, as typed: `inspect show`.
    pub command: &'static str,
    /// The conversation's key.
    pub key: String,
    pub title: Option<String>,
    /// The user's id.
    pub user: Option<String>,
    /// When it began, as RFC 3339.
    pub created: Option<String>,
    /// When it was last written to, as RFC 3339.
    pub last: Option<String>,
    /// Whether human output shows long messages completely.
    pub full: bool,
}

/// A message of a transcript.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Line {
    pub key: String,
    /// `user`, `assistant`, or as the store spells it.
    pub role: String,
    /// When it was created, as RFC 3339.
    pub time: Option<String>,
    pub text: String,
    /// The tools that it calls, each with its arguments and its result as they are stored.
    pub tools: Vec<Tool>,
    /// Its state, if it is not complete: `open`, `failed`, `deleted`.
    pub state: Option<&'static str>,
    /// Further marks: `unanswered`, `not on the current branch`.
    pub flags: Vec<&'static str>,
}

/// A tool that a message calls.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tool {
    pub name: String,
    /// The arguments.
    pub input: Option<String>,
    /// The result.
    pub output: Option<String>,
}

/// A note about the shown data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// One sentence, without its full stop.
    pub text: String,
    /// Whether there may be more than what was shown.
    pub cut: bool,
}

impl Column {
    /// A column of texts.
    pub fn text(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            declared: String::new(),
            align: Align::Left,
            holds: Holds::Words,
            spare: None,
        }
    }

    /// The same, with its place in the order in which a narrow terminal omits columns.
    #[must_use]
    pub fn spare(self, after: u8) -> Self {
        Self {
            spare: Some(after),
            ..self
        }
    }

    /// A column of texts that chatctl did not write.
    pub fn of(holds: Holds, name: impl Into<String>) -> Self {
        Self {
            holds,
            ..Self::text(name)
        }
    }

    /// A column of numbers.
    pub fn number(name: impl Into<String>) -> Self {
        Self {
            align: Align::Right,
            ..Self::text(name)
        }
    }
}

impl Sheet {
    /// For each column a name that no other has: a second `id` is `id_2`.
    pub fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            let mut key = column.name.clone();
            let mut number = 2;
            while keys.contains(&key) {
                key = format!("{}_{number}", column.name);
                number += 1;
            }
            keys.push(key);
        }
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::{Column, Sheet};

    #[test]
    fn each_column_has_a_key_of_its_own() {
        let sheet = Sheet {
            command: "inspect sql",
            title: String::new(),
            columns: ["id", "id", "id_2", "id"].map(Column::text).to_vec(),
        };
        assert_eq!(sheet.keys(), ["id", "id_2", "id_2_2", "id_3"]);
    }
}
