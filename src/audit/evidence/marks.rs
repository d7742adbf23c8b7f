//! Facts by name, and what the change of each proves.

use crate::model::Cell;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A fact that an engine keeps of a table or a database.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    /// Its name in a snapshot.
    pub name: &'static str,
    /// How it is read: an expression, in the backend's SQL.
    pub sql: &'static str,
    /// What it says alone when it is another one than before.
    pub alone: &'static str,
}

/// Facts by name; one that is absent is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Marks(BTreeMap<String, String>);

impl Marks {
    /// The fact of that name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The fact of that name, if it is a whole number.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.get(name)?.parse().ok()
    }

    /// Notes a fact.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// Notes a fact, if it is known.
    pub(super) fn note(&mut self, name: &str, cell: &Cell) {
        if *cell != Cell::Null {
            self.set(name, cell.to_string());
        }
    }

    /// The facts of a row that was read by these marks.
    pub(super) fn of(marks: &[Mark], row: &[Cell]) -> Self {
        let mut found = Self::default();
        for (mark, cell) in marks.iter().zip(row) {
            found.note(mark.name, cell);
        }
        found
    }
}

/// The columns of a query that reads these marks.
pub(super) fn columns(marks: &[Mark]) -> String {
    let columns: Vec<_> = marks.iter().map(|mark| mark.sql).collect();
    columns.join(", ")
}
