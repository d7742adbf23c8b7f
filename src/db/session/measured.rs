//! What a session keeps of the tables that a migration may touch, and how it compares them: by every
//! row, where their digests are kept in this process, or by counts.

use super::{Failed, Measure, by_counts, numbers};
use crate::db::session::witness::Witness;
use crate::model::{Cell, Compared, Content, Shape, Successor};
use std::collections::BTreeMap;

/// A session that keeps digests of rows, or counts.
pub(in crate::db) trait Measured {
    /// The digests.
    fn witness(&mut self) -> &mut Witness;

    /// The counts of each table that was counted.
    fn counts(&mut self) -> &mut BTreeMap<String, Content>;

    /// Reads the rows that a table has before the statements, and keeps their digests.
    fn hold(&mut self, shape: &Shape) -> Result<(), Failed>;

    /// Counts the rows and values of a table as it is now.
    fn count(&mut self, table: &str, columns: &[String]) -> anyhow::Result<Content>;

    /// Compares a table of which digests are kept with what it has become.
    fn compare_rows(
        &mut self,
        shape: &Shape,
        successor: &Successor,
    ) -> anyhow::Result<Option<Compared>>;

    /// Notes what explains the changes of each column, where one thing explains all of them.
    fn explain(
        &mut self,
        shape: &Shape,
        successor: &Successor,
        compared: &mut Compared,
    ) -> anyhow::Result<()>;

    /// Keeps what these tables hold.
    fn keep(&mut self, tables: &[Shape], measure: Measure) -> Result<(), Failed> {
        for shape in tables {
            match measure {
                Measure::Values => self.hold(shape)?,
                Measure::Counts => {
                    let columns = shape.columns.iter().map(|column| column.name.clone());
                    let counts = self.count(&shape.name, &columns.collect::<Vec<_>>());
                    let counts = counts.map_err(|error| Failed::because(format!("{error:#}")))?;
                    self.counts().insert(shape.name.clone(), counts);
                }
            }
        }
        Ok(())
    }

    /// See [`super::Session::compare`].
    fn compare_kept(
        &mut self,
        shape: &Shape,
        successor: Option<&Successor>,
    ) -> anyhow::Result<Option<Compared>> {
        if let Some(was) = self.counts().get(&shape.name).cloned() {
            let count = |table: &str, columns: &[String]| self.count(table, columns);
            return by_counts(&was, shape, successor, count).map(Some);
        }
        if !self.witness().holds(shape) {
            return Ok(None);
        }
        let Some(successor) = successor else {
            return Ok(Some(self.witness().gone(shape)?));
        };
        let mut compared = self.compare_rows(shape, successor)?;
        if let Some(compared) = &mut compared {
            self.explain(shape, successor, compared)?;
        }
        Ok(compared)
    }
}

/// A query for the number of rows of `from`, and of the values in each of these quoted columns.
pub(in crate::db) fn counting(columns: impl Iterator<Item = String>, from: &str) -> String {
    let counts = columns.map(|column| format!(", count({column})"));
    format!("SELECT count(*){} FROM {from}", counts.collect::<String>())
}

/// The row that [`counting`] gives.
pub(in crate::db) fn counted(row: &[Cell]) -> Content {
    let numbers = numbers(row);
    Content {
        rows: numbers[0],
        filled: numbers[1..].to_vec(),
    }
}
