//! A transaction that sees the database as of one moment, with its tables locked before that moment.

use super::{Postgres, quoted, text_literal};
use crate::db::session::{Failed, Isolation, Session as _};
use std::collections::BTreeSet;

impl Postgres {
    pub(super) fn isolate(&mut self, level: Isolation, hold: &[String]) -> Result<(), Failed> {
        let level = match level {
            Isolation::ReadCommitted => return self.begin(),
            Isolation::RepeatableRead => "REPEATABLE READ",
            Isolation::Serializable => "SERIALIZABLE",
        };
        let hold = self.with_children(hold).map_err(Failed::of)?;
        self.looked.forget();
        (self.of_migration, self.is_marked, self.told) = (None, false, None);
        (self.undisturbed, self.wrote, self.opened) = (false, false, None);
        // LOCK is the one statement that does not yet decide what the transaction sees.
        let locks = hold
            .iter()
            .map(|table| format!("LOCK TABLE ONLY {table} IN SHARE ROW EXCLUSIVE MODE; "));
        let begin = format!(
            "BEGIN ISOLATION LEVEL {level} READ WRITE; {}SELECT pg_current_xact_id()::text",
            locks.collect::<String>()
        );
        let begun = match self.rows(&begin) {
            Ok(begun) => begun,
            Err(error) => {
                self.command("ROLLBACK")?;
                return Err(Failed::of(error));
            }
        };
        self.transaction = begun.first().map(|row| row[0].to_string());
        self.locked = Some(hold);
        Ok(())
    }

    /// Tables and those whose rows refer to theirs, quoted: rows there can go with rows here.
    fn with_children(&mut self, tables: &[String]) -> anyhow::Result<BTreeSet<String>> {
        if tables.is_empty() {
            return Ok(BTreeSet::new());
        }
        let list: Vec<_> = tables
            .iter()
            .map(|table| format!("{}::regclass::oid", text_literal(&self.quote(table))))
            .collect();
        let found = self.rows(&format!(
            "WITH RECURSIVE held (id) AS (SELECT unnest(ARRAY[{}]) UNION SELECT k.conrelid FROM pg_constraint AS k \
             JOIN held ON k.confrelid = held.id WHERE k.contype = 'f') \
             SELECT n.nspname::text, c.relname::text FROM held JOIN pg_class AS c ON c.oid = held.id JOIN pg_namespace AS n ON n.oid = c.relnamespace",
            list.join(", ")
        ))?;
        let names = found.iter().map(|row| {
            let (schema, table) = (row[0].to_string(), row[1].to_string());
            format!("{}.{}", quoted(&schema), quoted(&table))
        });
        Ok(names.collect())
    }
}
