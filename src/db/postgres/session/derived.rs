//! Which changed values PostgreSQL itself maintains.

use super::{Postgres, quoted};
use crate::db::session::{Failed, Session as _, derived, numbers};
use crate::model::{Compared, Derived, Shape, ShapeColumn, Successor};
use std::collections::BTreeMap;

/// A trigger that runs before each row is updated.
#[derive(Debug, Clone)]
pub(super) struct Trigger {
    function: String,
    source: String,
    arguments: String,
}

impl Trigger {
    fn keeps_time(&self, column: &str) -> bool {
        // The extension `moddatetime` takes the column's name.
        let by_extension =
            self.function == "moddatetime" && self.arguments.split('\\').next() == Some(column);
        by_extension && derived::tells_of_change(column)
            || derived::function_keeps_time(&self.source, column)
    }
}

impl Postgres {
    /// The triggers that may keep a time, by the number of their table.
    pub(super) fn time_keepers(&mut self) -> anyhow::Result<BTreeMap<u64, Vec<Trigger>>> {
        let rows = self.own(|session| {
            session.rows(
                "SELECT t.tgrelid::text, p.proname::text, p.prosrc, encode(t.tgargs, 'escape') FROM pg_trigger AS t \
                 JOIN pg_proc AS p ON p.oid = t.tgfoid WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND t.tgtype & 19 = 19",
            )
        })?;
        let mut found: BTreeMap<u64, Vec<Trigger>> = BTreeMap::new();
        for row in &rows {
            found.entry(numbers(row)[0]).or_default().push(Trigger {
                function: row[1].to_string(),
                source: row[2].to_string(),
                arguments: row[3].to_string(),
            });
        }
        Ok(found)
    }

    /// Notes what explains the changes of each column, where one thing explains all of them.
    pub(super) fn explain_columns(
        &mut self,
        shape: &Shape,
        successor: &Successor,
        compared: &mut Compared,
    ) -> anyhow::Result<()> {
        let now = self.shape(&successor.table)?;
        for (index, new, unchanged) in derived::changed(shape, successor, compared) {
            let table = self.from(&successor.table);
            compared.columns[index].derived =
                if shape.id == now.id && self.is_time_of_run(&now, (&table, new), unchanged)? {
                    Some(Derived::Clock)
                } else if self.is_count(&now, (&table, new))? {
                    Some(Derived::Count)
                } else {
                    None
                };
        }
        Ok(())
    }

    /// Whether a trigger keeps the column, and all values but those that did not change are times of
    /// this transaction.
    fn is_time_of_run(
        &mut self,
        now: &Shape,
        (table, column): (&str, &ShapeColumn),
        unchanged: u64,
    ) -> anyhow::Result<bool> {
        let triggers = now.id.and_then(|id| self.keepers.get(&id));
        let kept = triggers.is_some_and(|all| all.iter().any(|it| it.keeps_time(&column.name)));
        if !kept || !column.declared.starts_with("timestamp") {
            return Ok(false);
        }
        let name = quoted(&column.name);
        let sql = format!(
            "SELECT count(*)::text FROM {table} WHERE {name} IS NOT NULL AND NOT ({name}::timestamptz BETWEEN \
             date_trunc('second', transaction_timestamp()) AND clock_timestamp() + interval '1 second')"
        );
        let rows = self.own(|session| session.rows(&sql))?;
        Ok(numbers(&rows[0])[0] <= unchanged)
    }

    /// Whether the column is called as a count of the rows that refer to its own, and every value is
    /// the right one.
    fn is_count(
        &mut self,
        now: &Shape,
        (table, column): (&str, &ShapeColumn),
    ) -> anyhow::Result<bool> {
        let (Some(id), "smallint" | "integer" | "bigint") = (now.id, column.declared.as_str())
        else {
            return Ok(false);
        };
        let children = self.own(|session| {
            session.rows(&format!(
                "SELECT c.relname::text, format('%I.%I', n.nspname, c.relname), format('%I', a.attname), format('%I', b.attname) \
                 FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = k.conrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace \
                 JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1] \
                 JOIN pg_attribute AS b ON b.attrelid = k.confrelid AND b.attnum = k.confkey[1] \
                 WHERE k.contype = 'f' AND k.confrelid = {id} AND cardinality(k.conkey) = 1"
            ))
        })?;
        let name = quoted(&column.name);
        for row in children {
            if !derived::is_called_count_of(&column.name, &row[0].to_string()) {
                continue;
            }
            let (child, key, own) = (&row[1], &row[2], &row[3]);
            let sql = format!(
                "SELECT count(*) FILTER (WHERE p.{name} IS DISTINCT FROM coalesce(c.n, 0))::text, count(*) FILTER (WHERE p.{name} > 0)::text \
                 FROM {table} AS p LEFT JOIN (SELECT {key} AS k, count(*) AS n FROM {child} GROUP BY 1) AS c ON c.k = p.{own}"
            );
            let rows = self.own(|session| -> Result<_, anyhow::Error> { session.rows(&sql) })?;
            if matches!(numbers(&rows[0])[..], [0, right] if right > 0) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Postgres {
    pub(super) fn note_keepers(&mut self) -> Result<(), Failed> {
        let keepers = self.time_keepers();
        self.keepers = keepers.map_err(|error| Failed::because(format!("{error:#}")))?;
        Ok(())
    }
}
