//! What a run on MySQL made before it came to a stop, so that the next run may change it: tables and
//! columns, as long as they are as the run left them. What somebody wrote in between is the users'.

use crate::db::{OWN_TABLES, Session};
use crate::model::{Cell, Shape, ShapeColumn};
use std::collections::{BTreeMap, BTreeSet};

/// What the files of a rehearsal made until the end of one of them.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// The tables that the copy had.
    seen: BTreeSet<String>,
    tables: BTreeSet<String>,
    /// Columns, by the table.
    columns: BTreeMap<String, Vec<String>>,
}

impl Made {
    /// From what the copy has now, and what of it was there before the run.
    pub(super) fn of(now: &[Shape], older: &[Shape]) -> Self {
        let mut made = Self::default();
        for shape in now
            .iter()
            .filter(|it| !OWN_TABLES.contains(&it.name.as_str()))
        {
            made.seen.insert(shape.name.clone());
            let Some(old) = older.iter().find(|old| old.name == shape.name) else {
                made.tables.insert(shape.name.clone());
                continue;
            };
            let is_new = |name: &str| old.columns.iter().all(|it| it.name != name);
            let new = shape.columns.iter().map(|it| it.name.clone());
            let new: Vec<_> = new.filter(|name| is_new(name)).collect();
            if !new.is_empty() {
                made.columns.insert(shape.name.clone(), new);
            }
        }
        made
    }
}

/// The same in the database, with what tells whether it is as it was; written into the journal.
#[derive(Debug, Default, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Unfinished {
    tables: BTreeMap<String, String>,
    columns: BTreeMap<String, BTreeMap<String, String>>,
}

impl Unfinished {
    /// What a run wrote; nothing where it is not understood.
    pub(super) fn parse(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    /// For the journal; none when there is nothing.
    pub(super) fn text(&self) -> Option<String> {
        let text = serde_json::to_string(self).ok();
        text.filter(|_| !self.is_empty())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.columns.is_empty()
    }

    /// Looks at what was made until now; what earlier runs made and this one can't reach stays as it was.
    pub(super) fn look(&self, session: &mut dyn Session, made: &Made) -> anyhow::Result<Self> {
        let mut all = self.clone();
        all.tables.retain(|name, _| !made.seen.contains(name));
        all.columns.retain(|name, _| !made.seen.contains(name));
        let shapes = session.catalog()?;
        for shape in &shapes {
            if made.tables.contains(&shape.name) {
                all.tables
                    .insert(shape.name.clone(), of_table(session, shape)?);
            } else if let Some(names) = made.columns.get(&shape.name) {
                let columns = of_columns(session, shape, names)?;
                all.columns.insert(shape.name.clone(), columns);
            }
        }
        Ok(all)
    }

    /// Those of the tables and columns that were there before the run, or that somebody wrote since.
    pub(super) fn of_users(
        &self,
        session: &mut dyn Session,
        shapes: Vec<(Shape, String)>,
    ) -> anyhow::Result<Vec<(Shape, String)>> {
        let mut left = Vec::new();
        for (mut shape, name) in shapes {
            if let Some(was) = self.tables.get(&name)
                && *was == of_table(session, &shape)?
            {
                continue;
            }
            if let Some(were) = self.columns.get(&name) {
                let names: Vec<_> = were.keys().cloned().collect();
                let now = of_columns(session, &shape, &names)?;
                let is_as_it_was = |it: &ShapeColumn| {
                    now.get(&it.name)
                        .is_some_and(|now| were.get(&it.name) == Some(now))
                };
                shape.columns.retain(|column| !is_as_it_was(column));
            }
            left.push((shape, name));
        }
        Ok(left)
    }
}

fn of_table(session: &mut dyn Session, shape: &Shape) -> anyhow::Result<String> {
    let table = session.quote(&shape.name);
    let rows = session.rows(&format!("SELECT count(*) FROM {table}"))?;
    let sum = session.rows(&format!("CHECKSUM TABLE {table} EXTENDED"))?;
    Ok(format!("{} {}", rows[0][0], sum[0][1]))
}

/// What tells whether the values of these columns are those that they were: the value that all rows
/// have, or a sum over all rows with their keys.
fn of_columns(
    session: &mut dyn Session,
    shape: &Shape,
    names: &[String],
) -> anyhow::Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let table = session.quote(&shape.name);
    let bytes = |name: &str| format!("CAST({} AS BINARY)", session.quote(name));
    let key: Vec<_> = shape
        .key
        .iter()
        .map(|name| format!("hex({})", bytes(name)))
        .collect();
    let there = shape.columns.iter().map(|column| &column.name);
    let there = there.filter(|it| names.contains(it) && !shape.key.contains(it));
    let queries: Vec<_> = there
        .map(|name| {
            let value = bytes(name);
            let sum = if key.is_empty() {
                "NULL".to_owned()
            } else {
                format!(
                    "coalesce(bit_xor(conv(left(md5(concat_ws(',', {}, coalesce(hex({value}), '-'))), 15), 16, 10) + 0), 0)",
                    key.join(", ")
                )
            };
            let sql = format!("SELECT count(*), count({value}), hex(min({value})), hex(max({value})), {sum} FROM {table}");
            (name.clone(), sql)
        })
        .collect();
    for (name, sql) in queries {
        let row = session.rows(&sql)?.remove(0);
        let word = |place: usize| row[place].to_string();
        let (all, filled, least, most, sum) = (word(0), word(1), word(2), word(3), word(4));
        let state = if filled == "0" {
            Some("no value".to_owned())
        } else if all == filled && least == most {
            Some(format!("all {least}"))
        } else if row[4] == Cell::Null {
            // Without a key it is not known which row has which value.
            None
        } else {
            Some(format!("{all} {filled} {sum}"))
        };
        found.extend(state.map(|state| (name, state)));
    }
    Ok(found)
}
