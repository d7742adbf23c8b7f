//! What distinguishes a table from another one that looks the same: facts by name, and what the change of
//! each proves. Each engine's folder says which facts it keeps, and reads them.

use super::sentinel::nonce;
use super::{Db, Tried};
use crate::model::Cell;
use crate::text::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
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

/// How much is read to tell tables apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// The catalogue.
    Catalog,
    /// The rows too, where these tell more: one pass over each table of PostgreSQL.
    Rows,
}

/// The facts that an engine keeps of its tables.
#[derive(Debug)]
pub struct Facts {
    /// Reads those of the database, and of these tables; one that is not there has none.
    pub take: TakeFacts,
    /// Those of a table.
    pub of_table: &'static [&'static [Mark]],
    /// Those of the database that bear on its tables.
    pub shared: &'static [&'static [Mark]],
    /// The fact of a table by which it is known under another name: no other table has it, and none
    /// gets it later. None where there is no such fact.
    pub identity: Option<&'static str>,
}

/// Reads facts of tables.
pub(super) type TakeFacts = for<'a> fn(&'a dyn Db, &'a [String], Depth) -> Tried<'a, Taken>;

/// What facts are read into: of the database, and of each table.
pub(super) type Taken = (Marks, BTreeMap<String, Marks>);

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

/// A fact, as its row in a table.
pub(super) const fn mark(name: &'static str, sql: &'static str, alone: &'static str) -> Mark {
    Mark { name, sql, alone }
}

/// Of a comment only the sentinel is kept, and of a schema its digest.
pub(super) fn shortened((mark, cell): (&Mark, &Cell)) -> Cell {
    match (mark.name, cell.text()) {
        ("sentinel", Some(comment)) => {
            nonce(comment).map_or(Cell::Null, |nonce| Cell::Text(nonce.to_owned()))
        }
        ("schema", Some(text)) => Cell::Text(digest(text)),
        _ => cell.clone(),
    }
}

/// A schema's text in a few characters: it is only compared, and may be long.
pub(super) fn digest(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    hex(&digest[..8])
}
