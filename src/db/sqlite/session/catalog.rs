//! What SQLite's catalogue says.

use super::super::sentinel::INDEX;
use super::{Sqlite, modules, text_literal};
use crate::db::catalog::quoted;
use crate::db::session::{
    COMPUTED, COUNTER, FOREIGN_KEY, ForeignKey, KEEPS_APART, KEY, NOT_NULL, NUMBER, ON_DELETE,
    Object, Orphan, Session as _, UNIQUE, columns_of, computes,
};
use crate::model::{Cell, Numbered, NumberedColumn, Numbering, Shape, ShapeColumn};
use crate::sql::Dialect;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The schema at one moment.
#[derive(Debug, Default)]
pub(super) struct Looked {
    /// The tables that hold rows,
    pub(super) tables: Vec<Shape>,
    /// and which of them are virtual.
    pub(super) virtuals: Vec<String>,
    /// The triggers, with the tables that they belong to.
    pub(super) triggers: Vec<(String, String)>,
    /// Whether an action of a statement may replace rows: only this word, there or in the
    /// statement, lets an INSERT remove rows.
    pub(super) replaces: bool,
}

impl Sqlite {
    /// The current schema. In a transaction nobody else changes it.
    pub(super) fn look(&mut self) -> anyhow::Result<Arc<Looked>> {
        if let Some(looked) = &self.looked
            && !self.connection.is_autocommit()
        {
            return Ok(Arc::clone(looked));
        }
        let names = self.table_names()?;
        let texts = self.rows(
            "SELECT type = 'trigger', tbl_name, sql FROM main.sqlite_master WHERE sql IS NOT NULL",
        )?;
        // What fires may be temporary.
        let temporary = self.rows("SELECT sql FROM temp.sqlite_master WHERE sql IS NOT NULL")?;
        let triggers = texts.iter().filter(|row| row[0].int() == Some(1));
        let triggers = triggers.map(|row| (row[1].to_string(), row[2].to_string()));
        let replaces = |row: &Vec<Cell>| {
            let text = row.last().and_then(Cell::text).unwrap_or_default();
            text.to_ascii_lowercase().contains("replace")
        };
        let looked = Arc::new(Looked {
            triggers: triggers.collect(),
            replaces: texts.iter().chain(&temporary).any(replaces),
            tables: self.all_tables(&names)?,
            virtuals: names
                .into_iter()
                .filter(|(_, is_virtual)| *is_virtual)
                .map(|(name, _)| name)
                .collect(),
        });
        self.looked = Some(Arc::clone(&looked));
        Ok(looked)
    }

    /// Ordinary tables, virtual ones (read through their module) and what a full-text table
    /// stores itself. Other shadow tables of a module are internal.
    fn table_names(&mut self) -> anyhow::Result<Vec<(String, bool)>> {
        let tables = self.rows(
            "SELECT l.name, l.type, coalesce(m.sql, '') FROM temp.pragma_table_list AS l \
             LEFT JOIN main.sqlite_master AS m ON m.name = l.name AND m.type = 'table' \
             WHERE l.schema = 'main' AND l.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY l.name",
        )?;
        let tables: Vec<_> = tables
            .iter()
            .map(|row| (row[0].to_string(), row[1].to_string(), row[2].to_string()))
            .collect();
        let virtuals: Vec<_> = tables
            .iter()
            .filter(|(_, kind, _)| kind == "virtual")
            .map(|(name, _, sql)| (name.as_str(), sql.as_str()))
            .collect();
        let known = self.known_modules()?;
        let measured = tables.iter().filter_map(|(name, kind, sql)| {
            let is_virtual = kind == "virtual";
            let is = match kind.as_str() {
                "table" => true,
                "virtual" => !modules::only_shows(sql) && modules::unknown(&known, sql).is_none(),
                "shadow" => !modules::keeps(&virtuals, name, sql),
                _ => false,
            };
            is.then(|| (name.clone(), is_virtual))
        });
        Ok(measured.collect())
    }

    fn all_tables(&mut self, names: &[(String, bool)]) -> anyhow::Result<Vec<Shape>> {
        let mut shapes: Vec<Shape> = names
            .iter()
            .map(|(name, _)| Shape {
                schema: "main".to_owned(),
                table: name.clone(),
                bare: true,
                name: name.clone(),
                ..Shape::default()
            })
            .collect();
        let ordinary = self.rows(
            "SELECT name FROM temp.pragma_table_list WHERE schema = 'main' AND type = 'table'",
        )?;
        let ordinary: BTreeSet<_> = ordinary.iter().map(|row| row[0].to_string()).collect();
        let names: Vec<_> = shapes.iter().map(|it| text_literal(&it.name)).collect();
        let columns = self.rows(&format!(
            "SELECT l.name, x.name, x.type, x.pk, x.hidden FROM temp.pragma_table_list AS l, temp.pragma_table_xinfo(l.name, 'main') AS x \
             WHERE l.schema = 'main' AND l.name IN ({}) AND x.hidden <> 1 ORDER BY l.name, x.cid",
            names.join(", ")
        ))?;
        let mut rows = columns.iter().peekable();
        for shape in &mut shapes {
            let mut key = Vec::new();
            while let Some(row) = rows.next_if(|row| row[0].text() <= Some(shape.name.as_str())) {
                if row[0].text() != Some(shape.name.as_str()) {
                    continue;
                }
                let columns = match row[4].int() {
                    Some(0) => &mut shape.columns,
                    _ => &mut shape.generated,
                };
                columns.push(ShapeColumn {
                    id: None,
                    name: row[1].to_string(),
                    declared: row[2].to_string(),
                });
                if let Some(place @ 1..) = row[3].int() {
                    key.push((place, row[1].to_string()));
                }
            }
            key.sort();
            shape.key = key.into_iter().map(|(_, name)| name).collect();
            shape.placed = ordinary.contains(&shape.name) && !names_the_row(shape);
        }
        Ok(shapes)
    }

    /// The view that has the name of a table which is gone. It is compared as a table is.
    pub(super) fn view_in_place(&mut self, gone: &Shape) -> anyhow::Result<Option<Shape>> {
        let name = text_literal(&gone.table);
        let columns = self.rows(&format!(
            "SELECT m.name, x.name, x.type FROM main.sqlite_master AS m, temp.pragma_table_xinfo(m.name, 'main') AS x \
             WHERE m.type = 'view' AND m.name = {name} COLLATE NOCASE ORDER BY x.cid"
        ))?;
        let Some(first) = columns.first() else {
            return Ok(None);
        };
        let name = first[0].to_string();
        let column = |row: &Vec<Cell>| ShapeColumn {
            id: None,
            name: row[1].to_string(),
            declared: row[2].to_string(),
        };
        let view = Shape {
            schema: gone.schema.clone(),
            name: name.clone(),
            table: name.clone(),
            bare: true,
            columns: columns.iter().map(column).collect(),
            ..Shape::default()
        };
        self.views.insert(name, view.clone());
        Ok(Some(view))
    }

    pub(super) fn all_objects(&mut self) -> anyhow::Result<BTreeSet<Object>> {
        let rows = self.rows(
            "SELECT m.type, m.name, coalesce((SELECT t.name FROM main.sqlite_master AS t WHERE t.type = 'table' \
             AND t.name = m.tbl_name COLLATE NOCASE), m.tbl_name), (SELECT group_concat(coalesce(i.name, ''), char(10)) FROM temp.pragma_index_info(m.name, 'main') AS i) \
             FROM main.sqlite_master AS m WHERE m.type IN ('index', 'trigger', 'view') AND m.sql IS NOT NULL",
        )?;
        let keys = self.rows(&format!(
            "SELECT '{KEY}', group_concat(x.name, ', '), l.name, '' FROM temp.pragma_table_list AS l, temp.pragma_table_xinfo(l.name, 'main') AS x \
             WHERE l.schema = 'main' AND l.type = 'table' AND x.pk > 0 GROUP BY l.name \
             UNION ALL SELECT '{COUNTER}', x.name, m.name, '' FROM main.sqlite_master AS m, temp.pragma_table_xinfo(m.name, 'main') AS x \
             WHERE m.type = 'table' AND instr(lower(m.sql), 'autoincrement') > 0 AND x.pk > 0 \
             UNION ALL SELECT '{NUMBER}', min(x.name), l.name, '' FROM temp.pragma_table_list AS l, temp.pragma_table_xinfo(l.name, 'main') AS x \
             WHERE l.schema = 'main' AND l.type = 'table' AND x.pk > 0 GROUP BY l.name HAVING count(*) > 1 OR NOT min(instr(lower(x.type), 'int') > 0 \
             AND lower(x.type) <> 'integer' AND NOT x.\"notnull\" AND x.dflt_value IS NULL)"
        ))?;
        let of_columns = self.rows(&format!(
            "SELECT '{FOREIGN_KEY}', group_concat(f.\"from\", ', '), m.name, group_concat(f.\"from\", char(10)) \
             FROM main.sqlite_master AS m, temp.pragma_foreign_key_list(m.name, 'main') AS f WHERE m.type = 'table' GROUP BY m.name, f.id \
             UNION ALL SELECT '{ON_DELETE}', group_concat(f.\"from\", ', '), m.name, group_concat(f.\"from\", char(10)) \
             FROM main.sqlite_master AS m, temp.pragma_foreign_key_list(m.name, 'main') AS f \
             WHERE m.type = 'table' AND f.on_delete <> 'NO ACTION' GROUP BY m.name, f.id \
             UNION ALL SELECT CASE l.origin WHEN 'u' THEN '{UNIQUE}' ELSE '{KEEPS_APART}' END, group_concat(coalesce(i.name, ''), ', '), m.name, \
             group_concat(coalesce(i.name, ''), char(10)) FROM main.sqlite_master AS m, temp.pragma_index_list(m.name, 'main') AS l, \
             temp.pragma_index_info(l.name, 'main') AS i WHERE m.type = 'table' AND l.\"unique\" AND NOT l.partial GROUP BY m.name, l.name \
             UNION ALL SELECT '{NOT_NULL}', x.name, l.name, x.name FROM temp.pragma_table_list AS l, temp.pragma_table_xinfo(l.name, 'main') AS x \
             WHERE l.schema = 'main' AND l.type = 'table' AND x.\"notnull\" AND x.pk = 0"
        ))?;
        let mut computed = self.rows(&format!(
            "SELECT '{COMPUTED}', x.name, l.name, x.name, x.dflt_value FROM temp.pragma_table_list AS l, temp.pragma_table_xinfo(l.name, 'main') AS x \
             WHERE l.schema = 'main' AND l.type = 'table' AND x.dflt_value IS NOT NULL"
        ))?;
        computed.retain(|row| {
            row[4]
                .text()
                .is_some_and(|it| computes(it, Dialect::Sqlite))
        });
        let rows = rows.iter().filter(|row| !is_sentinel(row));
        let rows = rows.chain(&keys).chain(&of_columns).chain(&computed);
        Ok(rows
            .map(|row| Object {
                kind: row[0].to_string(),
                name: row[1].to_string(),
                table: row[2].to_string(),
                id: None,
                columns: row[3].text().map(columns_of).unwrap_or_default(),
            })
            .collect())
    }

    /// The tables that never reuse a number, unless someone changes `sqlite_sequence`.
    pub(super) fn all_numberings(&mut self) -> anyhow::Result<Vec<Numbering>> {
        let there = self.rows("SELECT 1 FROM main.sqlite_master WHERE name = 'sqlite_sequence'")?;
        if there.is_empty() {
            return Ok(Vec::new());
        }
        let rows = self.rows(
            "SELECT m.name, x.name, (SELECT max(CAST(s.seq AS INTEGER)) FROM main.sqlite_sequence AS s WHERE s.name = m.name) \
             FROM main.sqlite_master AS m, temp.pragma_table_info(m.name, 'main') AS x \
             WHERE m.type = 'table' AND instr(lower(m.sql), 'autoincrement') > 0 AND x.pk = 1 AND lower(x.type) = 'integer'",
        )?;
        let mut all = Vec::new();
        for row in &rows {
            let (table, last) = (row[0].to_string(), row[2].int());
            let sql = format!("SELECT max(rowid) FROM {}", self.quote(&table));
            let most = self.rows(&sql)?[0][0].int();
            let highest = most.max(last).unwrap_or_default();
            all.push(Numbering {
                of: Numbered::Column(NumberedColumn {
                    table,
                    column: row[1].to_string(),
                }),
                unused: false,
                next: highest.saturating_add(1),
                last,
                step: 1,
                volatile: false,
            });
        }
        Ok(all)
    }

    pub(super) fn all_orphans(&mut self) -> anyhow::Result<Vec<Orphan>> {
        match self.rows("PRAGMA main.foreign_key_check") {
            Ok(rows) => self.orphans_of(&rows),
            // One key that can't be checked ends the check of all.
            Err(_) => self.orphans_of_each(),
        }
    }

    /// What a check found, with the values that it did not find.
    fn orphans_of(&mut self, found: &[Vec<Cell>]) -> anyhow::Result<Vec<Orphan>> {
        let mut by_key: BTreeMap<(String, i64), Vec<&Vec<Cell>>> = BTreeMap::new();
        for row in found {
            let key = (row[0].to_string(), row[3].int().unwrap_or_default());
            by_key.entry(key).or_default().push(row);
        }
        let mut all = Vec::new();
        for ((child, key), rows) in by_key {
            let literal = text_literal(&child);
            let columns = self.rows(&format!(
                "SELECT \"from\" FROM temp.pragma_foreign_key_list({literal}, 'main') WHERE id = {key} ORDER BY seq"
            ))?;
            let columns: Vec<_> = columns.iter().map(|row| row[0].to_string()).collect();
            let mut values = self.values_of_orphans(&child, key, &columns)?;
            all.extend(rows.iter().map(|found| {
                let row = found[1].int();
                Orphan {
                    child: child.clone(),
                    parent: found[2].to_string(),
                    columns: columns.clone(),
                    row,
                    values: row.and_then(|row| values.remove(&row)).unwrap_or_default(),
                }
            }));
        }
        Ok(all)
    }

    /// The values of a key's columns in the rows that refer to none, by the rows' numbers, where they have
    /// any. What is text may become a number, and the other way round.
    fn values_of_orphans(
        &mut self,
        child: &str,
        key: i64,
        columns: &[String],
    ) -> anyhow::Result<BTreeMap<i64, Vec<String>>> {
        let literal = text_literal(child);
        let of_table = self.rows(&format!(
            "SELECT lower(name) FROM temp.pragma_table_xinfo({literal}, 'main')"
        ))?;
        let is_free = |name: &&str| of_table.iter().all(|row| row[0].text() != Some(*name));
        let Some(number) = ["rowid", "_rowid_", "oid"].into_iter().find(is_free) else {
            return Ok(BTreeMap::new());
        };
        let values = columns.iter().map(|name| {
            let column = format!("c.{}", quoted(name));
            format!("CASE typeof({column}) WHEN 'blob' THEN quote({column}) ELSE CAST({column} AS TEXT) END")
        });
        let values: Vec<_> = values.collect();
        let rows = self.rows(&format!(
            "SELECT f.\"rowid\", {} FROM temp.pragma_foreign_key_check({literal}, 'main') AS f CROSS JOIN main.{} AS c \
             WHERE f.fkid = {key} AND f.\"rowid\" IS NOT NULL AND c.{number} = f.\"rowid\"",
            values.join(", "),
            quoted(child)
        ));
        // A table WITHOUT ROWID has no such column.
        let rows = rows.unwrap_or_default();
        let by_number = rows.iter().filter_map(|row| {
            let values = row[1..].iter().map(ToString::to_string).collect();
            Some((row[0].int()?, values))
        });
        Ok(by_number.collect())
    }

    /// The same, table by table; in one with a key that the engine can't check, by comparing its
    /// rows.
    fn orphans_of_each(&mut self) -> anyhow::Result<Vec<Orphan>> {
        let mut all = Vec::new();
        let with_keys = self.rows(
            "SELECT DISTINCT m.name FROM main.sqlite_master AS m, temp.pragma_foreign_key_list(m.name, 'main') AS f WHERE m.type = 'table'",
        )?;
        let mut keys = self.foreign_keys()?;
        for row in &with_keys {
            let table = row[0].to_string();
            let keys = keys.remove(&table).unwrap_or_default();
            match self.rows(&format!(
                "PRAGMA main.foreign_key_check({})",
                quoted(&table)
            )) {
                Ok(rows) => all.extend(self.orphans_of(&rows)?),
                Err(_) => {
                    for key in keys {
                        let sql = key.without_parent(self);
                        let count = self.rows(&sql)?[0][0].int();
                        let count = usize::try_from(count.unwrap_or_default()).unwrap_or_default();
                        let one = Orphan {
                            child: key.child,
                            parent: key.parent,
                            columns: key.columns.into_iter().map(|(own, _)| own).collect(),
                            row: None,
                            values: Vec::new(),
                        };
                        all.extend(std::iter::repeat_n(one, count));
                    }
                }
            }
        }
        Ok(all)
    }

    /// The foreign keys of each table, as far as both sides have their columns.
    fn foreign_keys(&mut self) -> anyhow::Result<BTreeMap<String, Vec<ForeignKey>>> {
        let rows = self.rows(
            "SELECT f.id, m.name, p.name, c.name, q.name, upper(f.on_delete) FROM main.sqlite_master AS m, temp.pragma_foreign_key_list(m.name, 'main') AS f \
             JOIN main.sqlite_master AS p ON p.type = 'table' AND lower(p.name) = lower(f.\"table\") \
             JOIN temp.pragma_table_xinfo(m.name, 'main') AS c ON lower(c.name) = lower(f.\"from\") \
             JOIN temp.pragma_table_xinfo(p.name, 'main') AS q ON lower(q.name) = lower(f.\"to\") OR f.\"to\" IS NULL AND q.pk = f.seq + 1 \
             WHERE m.type = 'table' ORDER BY m.name, f.id, f.seq",
        )?;
        let rows = rows.iter();
        let rows = rows.map(|row| [0, 1, 2, 3, 4, 5].map(|at| row[at].to_string()));
        let mut all: BTreeMap<String, Vec<ForeignKey>> = BTreeMap::new();
        for key in ForeignKey::all(rows) {
            all.entry(key.child.clone()).or_default().push(key);
        }
        Ok(all)
    }

    pub(super) fn all_keys_to(
        &mut self,
        parents: &BTreeSet<&str>,
    ) -> anyhow::Result<Vec<ForeignKey>> {
        let all = self.foreign_keys()?.into_values().flatten();
        let is_one = |key: &ForeignKey| parents.contains(key.parent.as_str());
        Ok(all.filter(is_one).collect())
    }

    /// What can't be inspected, in words.
    pub(super) fn all_unlooked(&mut self) -> anyhow::Result<Vec<String>> {
        let known = self.known_modules()?;
        let virtuals = self.rows(
            "SELECT name, sql FROM main.sqlite_master WHERE type = 'table' AND lower(substr(sql, 1, 14)) = 'create virtual' ORDER BY name",
        )?;
        let unknown = virtuals.iter().filter_map(|row| {
            let module = modules::unknown(&known, row[1].text()?)?;
            Some(format!(
                "`{}` is left out: its module `{module}` is not in chatctl, so its rows can't be read, and no statement can write them",
                row[0]
            ))
        });
        let mut all: Vec<_> = unknown.collect();
        if self.rows("PRAGMA main.foreign_key_check").is_ok() {
            return Ok(all);
        }
        for table in self.foreign_keys()?.into_keys() {
            let sql = format!("PRAGMA main.foreign_key_check({})", quoted(&table));
            if let Err(error) = self.rows(&sql) {
                all.push(format!(
                    "a foreign key of `{table}` leads to columns without a unique index: SQLite refuses to check it, and to write `{table}` while foreign keys are on ({error})"
                ));
            }
        }
        Ok(all)
    }

    /// The modules that can read virtual tables.
    fn known_modules(&mut self) -> anyhow::Result<BTreeSet<String>> {
        let known = self.rows("SELECT lower(name) FROM temp.pragma_module_list")?;
        Ok(known.iter().map(|row| row[0].to_string()).collect())
    }
}

/// Whether a column is the number of the row (sqlite.org/lang_createtable.html#rowid), or hides it.
fn names_the_row(shape: &Shape) -> bool {
    let hides = |column: &ShapeColumn| column.name.eq_ignore_ascii_case("rowid");
    let is_number = |column: &ShapeColumn| column.declared.eq_ignore_ascii_case("integer");
    let key = shape
        .columns
        .iter()
        .find(|it| shape.key == [it.name.clone()]);
    shape.columns.iter().any(hides) || key.is_some_and(is_number)
}

/// Whether a row of type and name is a table's mark: every rebuild drops it, and only `audit`
/// misses it.
pub(super) fn is_sentinel(row: &[Cell]) -> bool {
    row[0].text() == Some("index") && row[1].to_string().starts_with(INDEX)
}
