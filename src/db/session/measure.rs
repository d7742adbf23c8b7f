//! Counting and hashing what a store holds.

use super::Session;
use super::quoted;
use super::text_literal;
use crate::model::Measured;
use crate::model::MeasuredColumn;
use crate::model::MeasuredTable;
use anyhow::Context as _;
use rusqlite::types::ValueRef;
use std::hash::BuildHasher as _;
use std::hash::DefaultHasher;
use std::hash::Hash as _;
use std::hash::Hasher as _;

impl Session {
    /// Counts every row and hashes every value of all tables but one.
    pub fn measure(&self, but: &str) -> anyhow::Result<Measured> {
        // A virtual table is read through its module. What lies in its shadow tables is its own
        // affair, but for `_content`: SQLite takes a table of the user's with such a name for one.
        let tables = self.rows(
            "SELECT name, type FROM pragma_table_list WHERE schema = 'main' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
             AND (type IN ('table', 'virtual') OR type = 'shadow' AND name LIKE '%\\_content' ESCAPE '\\') ORDER BY name",
        )?;
        let mut measured = Measured::default();
        for row in &tables {
            let (name, is_virtual) = (row[0].to_string(), row[1].text() == Some("virtual"));
            if name == but || is_virtual && self.is_derived(&name)? {
                continue;
            }
            let table = self
                .measure_table(&name)
                .with_context(|| format!("measuring table `{name}`"))?;
            measured.tables.insert(name, table);
        }
        Ok(measured)
    }

    /// Whether a virtual table only shows what is stored elsewhere.
    fn is_derived(&self, name: &str) -> anyhow::Result<bool> {
        let sql = format!(
            "SELECT sql FROM main.sqlite_master WHERE name = {}",
            text_literal(name)
        );
        let made = self
            .rows(&sql)?
            .first()
            .map(|row| row[0].to_string().to_lowercase())
            .unwrap_or_default();
        Ok(["fts5vocab", "fts4aux", "dbstat"]
            .iter()
            .any(|module| made.contains(module)))
    }

    fn measure_table(&self, name: &str) -> anyhow::Result<MeasuredTable> {
        let (columns, keys) = self.columns(name)?;
        let list: Vec<_> = columns.iter().map(|column| quoted(column)).collect();
        let mut statement = self.connection.prepare(&format!(
            "SELECT {} FROM main.{}",
            list.join(", "),
            quoted(name)
        ))?;
        let mut measures = vec![MeasuredColumn::default(); columns.len()];
        let mut table = MeasuredTable {
            key: keys.iter().map(|index| columns[*index].clone()).collect(),
            ..MeasuredTable::default()
        };
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next()? {
            table.rows += 1;
            let mut of_key = self.hashers();
            for index in &keys {
                let value = row.get_ref(*index)?;
                table.null_keys |= matches!(value, ValueRef::Null);
                feed(&mut of_key, value);
            }
            let mut of_row = self.hashers();
            for (index, measure) in measures.iter_mut().enumerate() {
                let value = row.get_ref(index)?;
                feed(&mut of_row, value);
                if matches!(value, ValueRef::Null) {
                    continue;
                }
                measure.filled += 1;
                let mut keyed = of_key.clone();
                feed(&mut keyed, value);
                measure.keyed = measure.keyed.wrapping_add(sum(&keyed));
            }
            table.whole = table.whole.wrapping_add(sum(&of_row));
        }
        table.columns = columns.into_iter().zip(measures).collect();
        Ok(table)
    }

    /// The columns that are stored (generated ones are made anew from them), and which are the key.
    pub(super) fn columns(&self, table: &str) -> anyhow::Result<(Vec<String>, Vec<usize>)> {
        let info = self.rows(&format!(
            "SELECT name, pk FROM pragma_table_xinfo({}, 'main') WHERE hidden = 0 ORDER BY cid",
            text_literal(table)
        ))?;
        let keys = (0..info.len())
            .filter(|index| info[*index][1].int().unwrap_or(0) > 0)
            .collect();
        Ok((info.iter().map(|row| row[0].to_string()).collect(), keys))
    }

    fn hashers(&self) -> [DefaultHasher; 2] {
        [self.hashes[0].build_hasher(), self.hashes[1].build_hasher()]
    }
}

/// Both hashes as one number; sums of them do not depend on the order of the rows.
fn sum([high, low]: &[DefaultHasher; 2]) -> u128 {
    u128::from(high.finish()) << 64 | u128::from(low.finish())
}

/// The storage class counts: `1` and `'1'` are different values.
fn feed(hashers: &mut [DefaultHasher; 2], value: ValueRef<'_>) {
    for hasher in hashers {
        match value {
            ValueRef::Null => 0_u8.hash(hasher),
            ValueRef::Integer(number) => (1_u8, number).hash(hasher),
            ValueRef::Real(number) => (2_u8, number.to_bits()).hash(hasher),
            ValueRef::Text(bytes) => (3_u8, bytes).hash(hasher),
            ValueRef::Blob(bytes) => (4_u8, bytes).hash(hasher),
        }
    }
}
