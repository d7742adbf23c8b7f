//! What the statements of a transaction did to the catalogue, by the locks that the server holds for it.
//!
//! Whatever changes a table's definition takes a lock on it that no reader and no writer of rows takes,
//! and only the transaction's end gives it back. So where nobody else committed anything since the
//! last look, only what is so locked can be another one, and only that is read again. Everything that is
//! not as expected leads to the whole catalogue.

use super::account::Account;
use super::catalog::{FIRST, SCHEMAS, Seen, by_number, numbered};
use super::{Postgres, large_objects, numbers};
use crate::cli_error::CliError;
use crate::db::session::{OWN, Session as _};
use crate::model::{Cell, Shape, ShapeColumn};
use std::collections::{BTreeMap, BTreeSet};

/// What the locks tell of the statements since the watch began.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    /// The tables that they may have written rows of: only the end of the transaction gives back
    /// the lock of a statement that does, and no setting keeps it from being taken.
    pub(super) written: BTreeSet<u64>,
    /// Whether chatctl's own tables are as they were, and what hangs on them.
    pub(super) spares_own: bool,
    /// Whether no index, trigger or view can be gone.
    pub(super) keeps_objects: bool,
    /// Whether something else than a table may be another one, or gone: a function, a type.
    pub(super) beyond: bool,
}

/// Tables of the catalogue that say what a value is. A statement that defines something gives its lock on
/// them back at once; one that writes their rows keeps it.
const DEFINITIONS: [(u64, &str); 4] = [
    (1247, "pg_type"),
    (1249, "pg_attribute"),
    (1259, "pg_class"),
    (3501, "pg_enum"),
];

/// The locks of this transaction.
#[derive(Debug, Default)]
struct Locks {
    written: BTreeSet<u64>,
    /// Relations that may be other ones.
    changed: BTreeSet<u64>,
    /// Relations that may be gone, or have lost something.
    exclusive: BTreeSet<u64>,
    /// The table of the catalogue whose rows were written by hand.
    by_hand: Option<&'static str>,
    /// Whether something else than a relation may be another one, or the catalogue was written by hand.
    beyond: bool,
}

impl Locks {
    fn add(&mut self, relation: u64, mode: &str) {
        let by_hand = relation < FIRST;
        let of_large_objects = large_objects::TABLES.contains(&relation);
        match mode {
            "AccessShareLock" | "RowShareLock" => {}
            "RowExclusiveLock" if of_large_objects => {
                self.written.insert(large_objects::ID);
            }
            "RowExclusiveLock" if !by_hand => {
                self.written.insert(relation);
            }
            _ if by_hand => {
                self.beyond = true;
                if mode == "RowExclusiveLock" {
                    let mut tables = DEFINITIONS.iter();
                    let found = tables.find(|(id, _)| *id == relation);
                    self.by_hand = self.by_hand.or(found.map(|(_, name)| *name));
                }
            }
            _ => {
                self.changed.insert(relation);
                if mode == "AccessExclusiveLock" {
                    self.exclusive.insert(relation);
                }
            }
        }
    }
}

/// The transaction, who had committed, and its locks.
pub(super) fn asked() -> String {
    numbered(&[
        "pg_current_xact_id()::text, pg_current_snapshot()::text",
        "locktype, coalesce(relation, classid, 0)::text, mode, coalesce(transactionid::text, '') FROM pg_locks \
         WHERE pid = pg_backend_pid() AND granted AND locktype IN ('relation', 'object', 'transactionid') AND database IS DISTINCT FROM 0",
    ])
}

impl Postgres {
    /// The tables that the statements since the watch began may have changed.
    pub(super) fn touched_since(&mut self) -> anyhow::Result<BTreeSet<String>> {
        self.own(Self::look_since)?;
        let (now, written) = (&self.looked.tables, &self.evidence.written);
        let is_other = |was: &Seen, now: &Seen| was.is_touched(now) || self.is_relabelled(was, now);
        let touched = self
            .before
            .iter()
            .filter(|(_, was)| !was.shape.parted)
            .filter(|(id, was)| {
                written.contains(id) || now.get(id).is_none_or(|now| is_other(was, now))
            });
        Ok(touched.map(|(_, was)| was.shape.name.clone()).collect())
    }

    /// Looks at what the statements did since the tables were examined last.
    pub(super) fn look_since(&mut self) -> anyhow::Result<()> {
        let told = match self.told.take() {
            Some(told) => told,
            None => self.rows(&asked())?,
        };
        let [transaction, locks] = by_number(told)?;
        let number = transaction[0][0].to_string();
        if self.transaction.as_ref() != Some(&number) {
            anyhow::bail!(CliError::refused("a statement ended chatctl's transaction"));
        }
        let number: u64 = number.parse()?;
        let mut account = transaction[0][1].text().and_then(Account::parse);
        let mut held = Locks::default();
        for row in &locks {
            match (row[0].text(), row[2].text().unwrap_or_default()) {
                (Some("relation"), mode) => held.add(numbers(&row[1..2])[0], mode),
                (Some("transactionid"), _) => {
                    let short: u32 = row[3].to_string().parse()?;
                    let ours = account.as_mut().map(|account| &mut account.ours);
                    ours.into_iter().for_each(|ours| {
                        ours.insert(whole(short, number));
                    });
                }
                (_, "AccessShareLock" | "RowShareLock") => {}
                // One that is deleted is locked by its number.
                _ if large_objects::TABLES.contains(&numbers(&row[1..2])[0]) => {
                    held.written.insert(large_objects::ID);
                }
                _ => held.beyond = true,
            }
        }
        if let Some(table) = held.by_hand {
            let why =
                format!("a statement writes rows of `{table}`, which may change values unnoticed");
            anyhow::bail!(CliError::refused(why).hint("use ALTER TABLE or ALTER TYPE"));
        }
        let opened = self.opened.take().filter(|_| self.locked.is_none());
        self.undisturbed = match (&opened, &account) {
            (Some(opened), Some(account)) => opened.is_as(account),
            _ => false,
        };
        let changed = if self.undisturbed && !held.beyond {
            self.read_changed(&held)?
        } else {
            None
        };
        let own_before = self.own_among(&self.before);
        let mut keeps_objects = false;
        match changed {
            Some(changed) => {
                keeps_objects = changed.keeps_objects;
                let mut tables = std::mem::take(&mut self.looked.tables);
                tables.retain(|id, _| !held.changed.contains(id));
                tables.extend(changed.tables);
                self.name(&mut tables);
                self.looked.tables = tables;
                // What is taken back has the versions again that it had.
                self.looked.forget_versions(&held.changed);
            }
            None => self.look()?,
        }
        let own_after = self.own_among(&self.looked.tables);
        let is_spared = |id: &u64| !held.changed.contains(id) && !held.written.contains(id);
        self.evidence = Evidence {
            spares_own: !held.beyond && own_before == own_after && own_after.iter().all(is_spared),
            keeps_objects,
            beyond: held.beyond,
            written: held.written,
        };
        self.looked.fresh = true;
        self.looked.account = account;
        Ok(())
    }

    /// chatctl's own tables.
    fn own_among(&self, tables: &BTreeMap<u64, Seen>) -> BTreeSet<u64> {
        let is_own =
            |shape: &Shape| shape.schema == self.default && OWN.contains(&shape.table.as_str());
        let own = tables.iter().filter(|(_, seen)| is_own(&seen.shape));
        own.map(|(id, _)| *id).collect()
    }

    /// What the catalogue says of these: schemas, relations, columns, indexes, and what inherits.
    fn rows_of(&mut self, ids: &BTreeSet<u64>) -> anyhow::Result<[Vec<Vec<Cell>>; 5]> {
        let ids: Vec<_> = ids.iter().map(u64::to_string).collect();
        let ids = if ids.is_empty() {
            "0".to_owned()
        } else {
            ids.join(", ")
        };
        self.several(&[
            SCHEMAS.to_owned(),
            format!(
                "oid::text, relname::text, relnamespace::text, relkind::text, relfilenode::text, relpersistence::text, reltoastrelid::text \
                 FROM pg_class WHERE oid IN ({ids})"
            ),
            format!(
                "attrelid::text, attnum::text, attname::text, atttypid::text, format_type(atttypid, atttypmod), attgenerated::text \
                 FROM pg_attribute WHERE attrelid IN ({ids}) AND attnum > 0 AND NOT attisdropped ORDER BY attrelid, attnum"
            ),
            format!(
                "indexrelid::text, indrelid::text, CASE WHEN indisprimary THEN indkey::text END FROM pg_index \
                 WHERE indexrelid IN ({ids}) OR indrelid IN ({ids})"
            ),
            format!("inhrelid::text FROM pg_inherits WHERE inhrelid IN ({ids}) OR inhparent IN ({ids})"),
        ])
    }

    /// The tables among what is locked so that it may be another one; none where the whole catalogue has
    /// to be read.
    fn read_changed(&mut self, held: &Locks) -> anyhow::Result<Option<Changed>> {
        let known = &self.looked.tables;
        let is_of_others = |id: &u64| known.get(id).is_some_and(Seen::is_of_others);
        if known.values().any(Seen::is_composed) || held.changed.iter().any(is_of_others) {
            return Ok(None);
        }
        let [schemas, relations, columns, indexes, heirs] = self.rows_of(&held.changed)?;
        if schemas != self.looked.schemas || !heirs.is_empty() {
            return Ok(None);
        }
        let names: BTreeMap<_, _> = schemas
            .iter()
            .map(|row| (row[0].to_string(), row[1].to_string()))
            .collect();
        let (mut tables, mut kinds) = (BTreeMap::new(), BTreeMap::new());
        let mut toasts = BTreeSet::new();
        for row in &relations {
            let id: u64 = row[0].to_string().parse()?;
            let kind = row[3].to_string();
            kinds.insert(id, kind.clone());
            match kind.as_str() {
                "r" | "p" => {}
                "i" | "I" | "t" | "S" | "v" => continue,
                // A composite type is a part of other tables; what a foreign table is, nobody knows here.
                _ => return Ok(None),
            }
            let schema = names.get(&row[2].to_string()).cloned().unwrap_or_default();
            let of_user = schema != "information_schema" && !schema.starts_with("pg_");
            if !of_user || row[5].text() == Some("t") {
                continue;
            }
            if !self.looked.tables.contains_key(&id) {
                toasts.insert(numbers(&row[6..7])[0]);
            }
            let table = row[1].to_string();
            let shape = Shape {
                id: Some(id),
                name: self.shown(&schema, &table),
                bare: schema == self.default,
                schema,
                table,
                volatile: row[5].text() == Some("u"),
                parted: kind == "p",
                ..Shape::default()
            };
            tables.insert(id, Seen::alone(shape, row[4].to_string()));
        }
        if !fill(&mut tables, &columns, &indexes)? {
            return Ok(None);
        }
        let is_new = |id: &u64| {
            let new = tables.contains_key(id) && !self.looked.tables.contains_key(id);
            new || toasts.contains(id)
        };
        let owners: BTreeMap<u64, u64> = indexes
            .iter()
            .map(|row| {
                let ids = numbers(&row[..2]);
                (ids[0], ids[1])
            })
            .collect();
        let keeps = |id: &u64| match kinds.get(id).map(String::as_str) {
            Some("S") => true,
            Some("i" | "I") => owners.get(id).is_some_and(is_new),
            Some(_) => is_new(id),
            // It is gone.
            None => false,
        };
        Ok(Some(Changed {
            keeps_objects: held.exclusive.iter().all(keeps),
            tables,
        }))
    }
}

/// What the transaction made or changed.
struct Changed {
    tables: BTreeMap<u64, Seen>,
    keeps_objects: bool,
}

/// The first number of types that may be made of others, or be the users'.
const FIRST_MADE: u64 = 10_000;

/// Adds columns and keys; false where a type says more than its own name.
fn fill(
    tables: &mut BTreeMap<u64, Seen>,
    columns: &[Vec<Cell>],
    indexes: &[Vec<Cell>],
) -> anyhow::Result<bool> {
    for row in columns {
        let [table, number, kind] = [0, 1, 3].map(|place| numbers(&row[place..=place])[0]);
        let Some(seen) = tables.get_mut(&table) else {
            continue;
        };
        if kind >= FIRST_MADE {
            return Ok(false);
        }
        let shape = &mut seen.shape;
        let columns = match row[5].text() {
            Some("") => &mut shape.columns,
            _ => &mut shape.generated,
        };
        columns.push(ShapeColumn {
            id: Some(number),
            name: row[2].to_string(),
            declared: row[4].to_string(),
        });
    }
    for row in indexes {
        let table = numbers(&row[1..2])[0];
        let (Some(seen), Some(key)) = (tables.get_mut(&table), row[2].text()) else {
            continue;
        };
        let name = |number: &str| -> anyhow::Result<Option<String>> {
            let number = Some(number.parse()?);
            let mut columns = seen.shape.columns.iter();
            let found = columns.find(|column| column.id == number);
            Ok(found.map(|column| column.name.clone()))
        };
        let key: Vec<_> = key.split_whitespace().map(name).collect::<Result<_, _>>()?;
        seen.shape.key = key.into_iter().flatten().collect();
    }
    Ok(true)
}

/// The number of a transaction of which the server's lock has the last 32 bits, near another one.
const fn whole(short: u32, near: u64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "the difference of two numbers that are near each other, around the end of 32 bits"
    )]
    let away = short.wrapping_sub(near as u32) as i32;
    near.wrapping_add_signed(away as i64)
}

#[cfg(test)]
mod tests {
    use super::whole;

    #[test]
    fn numbers_of_locks_are_made_whole() {
        let turn = 1 << 32;
        assert_eq!(whole(5, 4), 5);
        assert_eq!(whole(3, turn + 1), turn + 3);
        assert_eq!(whole(u32::MAX, turn + 1), turn - 1);
        assert_eq!(whole(1, turn - 1), turn + 1);
    }
}
