//! Reads the changes of a table by the versions of its rows.
//!
//! The server never writes over a row: it puts another version next to it, with the number of the
//! transaction. So while a table keeps its file and its columns, each row that an earlier transaction wrote
//! is as it was when the table was locked, and only the others have to be read again. No statement and no
//! setting gives a row an earlier number, but for functions written in C such as those of `pg_surgery`.

use super::catalog::FIRST;
use super::{Postgres, large_objects, numbers};
use crate::db::session::Session as _;
use crate::db::session::witness::Reading;
use crate::model::{Shape, Successor};

/// A table with fewer rows is read as a whole: that costs less than to ask.
const MANY: u64 = 500;

impl Postgres {
    /// The rows that a table has become, where those that this transaction wrote tell. None where they do not:
    /// the table changed, or rows are gone.
    pub(super) fn by_versions(
        &mut self,
        shape: &Shape,
        successor: &Successor,
        now: &Shape,
    ) -> anyhow::Result<Option<Reading>> {
        let rows = self.witness.rows(shape);
        let Some(transaction) = self.transaction.as_ref().filter(|_| rows >= MANY) else {
            return Ok(None);
        };
        // A row has the last 32 bits of a number.
        let number = transaction.parse::<u64>()? & u64::from(u32::MAX);
        let earlier = format!("pg_catalog.age(xmin) > pg_catalog.age('{number}'::pg_catalog.xid)");
        if !self.is_in_place((shape, successor), &earlier)? {
            return Ok(None);
        }
        let Some(mut written) = self.witness.after(shape, successor, now) else {
            return Ok(None);
        };
        let from = self.from(&now.name);
        let left = format!("SELECT count(*)::text FROM {from} WHERE {earlier}");
        let left = numbers(&self.own(|session| session.rows(&left))?[0])[0];
        // To read most of the rows after they were counted takes longer than to read all of them.
        if left < rows / 2 {
            return Ok(None);
        }
        let from = format!("{from} WHERE NOT {earlier}");
        self.own(|session| session.read(&from, &mut written))?;
        Ok(self.witness.overwritten(shape, (written, left))?)
    }

    /// Whether a table has the file and the columns that it had when it was locked, in the format that
    /// keeps versions.
    fn is_in_place(
        &mut self,
        (shape, successor): (&Shape, &Successor),
        earlier: &str,
    ) -> anyhow::Result<bool> {
        let mut pairs = successor.columns.iter().chain(&successor.key);
        let was = shape.id.and_then(|id| self.before.get(&id).cloned());
        let (Some(was), true) = (was, pairs.all(|(old, new)| old == new)) else {
            return Ok(false);
        };
        let id = shape.id.unwrap_or_default();
        let is_other = self.evidence.beyond || self.seen()?.get(&id) != Some(&was);
        if id == large_objects::ID || was.is_composed() || is_other {
            return Ok(false);
        }
        // A function that the file dropped again is among what is beyond tables.
        let told = self.own(|session| {
            session.rows(&format!(
                "SELECT 1 FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_am AS a ON a.oid = c.relam \
                 WHERE c.oid = {id} AND a.amname = 'heap' AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_proc AS p \
                 WHERE p.oid >= {FIRST} AND p.probin IS NOT NULL AND (p.probin ~ 'pg_surgery' OR NOT {earlier}))"
            ))
        })?;
        Ok(!told.is_empty())
    }
}
