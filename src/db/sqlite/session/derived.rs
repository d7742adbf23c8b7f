//! Which changed values triggers of SQLite maintain, and which are counts.

use super::{Sqlite, quoted, text_literal};
use crate::db::session::{Session as _, derived, numbers};
use crate::model::{Compared, Derived, Shape, Successor};

impl Sqlite {
    /// Notes what explains the changes of each column, where one thing explains all of them.
    pub(super) fn explain_columns(
        &mut self,
        shape: &Shape,
        successor: &Successor,
        compared: &mut Compared,
    ) -> anyhow::Result<()> {
        for (index, new, unchanged) in derived::changed(shape, successor, compared) {
            let table = &successor.table;
            compared.columns[index].derived = if self.is_time_of_run(table, &new.name, unchanged)? {
                Some(Derived::Clock)
            } else if self.is_count(table, &new.name)? {
                Some(Derived::Count)
            } else {
                None
            };
        }
        Ok(())
    }

    /// Whether a trigger that was there before keeps the column, and all values but those that did
    /// not change are times since the transaction began.
    fn is_time_of_run(
        &mut self,
        table: &str,
        column: &str,
        unchanged: u64,
    ) -> anyhow::Result<bool> {
        let keeps = |(of, sql): &&(String, String)| {
            of.eq_ignore_ascii_case(table) && derived::trigger_keeps_time(sql, table, column)
        };
        let keeping: Vec<_> = self.before.triggers.iter().filter(keeps).collect();
        if keeping.is_empty() {
            return Ok(false);
        }
        let is_local = keeping.iter().any(|(_, sql)| {
            let sql = sql.to_ascii_lowercase();
            sql.contains("'localtime'")
        });
        let name = quoted(column);
        let seconds = format!(
            "CASE typeof({name}) WHEN 'text' THEN CAST(strftime('%s', {name}) AS INTEGER) ELSE \
             {name} / CASE WHEN abs({name}) >= 1e14 THEN 1000000 WHEN abs({name}) >= 1e11 THEN 1000 ELSE 1 END END"
        );
        let began = self.began - 1;
        let mut in_time =
            format!("{seconds} BETWEEN {began} AND CAST(strftime('%s', 'now') AS INTEGER) + 1");
        if is_local {
            let ahead = "CAST(strftime('%s', 'now', 'localtime') AS INTEGER) - CAST(strftime('%s', 'now') AS INTEGER)";
            in_time = format!(
                "{in_time} OR {seconds} BETWEEN {began} + {ahead} AND CAST(strftime('%s', 'now', 'localtime') AS INTEGER) + 1"
            );
        }
        let sql = format!(
            "SELECT count(*) FROM {} WHERE {name} IS NOT NULL AND ({in_time}) IS NOT TRUE",
            self.quote(table)
        );
        Ok(numbers(&self.rows(&sql)?[0])[0] <= unchanged)
    }

    /// Whether the column is called as a count of the rows that refer to its own, and every value is
    /// the right one.
    fn is_count(&mut self, table: &str, column: &str) -> anyhow::Result<bool> {
        let sql = format!(
            "SELECT m.name, f.\"from\", coalesce(f.\"to\", (SELECT name FROM temp.pragma_table_info({0}, 'main') WHERE pk = 1)) \
             FROM main.sqlite_master AS m JOIN temp.pragma_foreign_key_list(m.name, 'main') AS f \
             WHERE m.type = 'table' AND lower(f.\"table\") = lower({0}) GROUP BY m.name, f.id HAVING count(*) = 1",
            text_literal(table)
        );
        let (table, name) = (self.quote(table), quoted(column));
        for row in self.rows(&sql)? {
            let child = row[0].to_string();
            if !derived::is_called_count_of(column, &child) {
                continue;
            }
            let (child, key) = (self.quote(&child), quoted(&row[1].to_string()));
            let own = quoted(&row[2].to_string());
            let sql = format!(
                "SELECT count(*) FILTER (WHERE typeof(p.{name}) <> 'integer' OR p.{name} IS NOT coalesce(c.n, 0)), count(*) FILTER (WHERE p.{name} > 0) \
                 FROM {table} AS p LEFT JOIN (SELECT {key} AS k, count(*) AS n FROM {child} GROUP BY 1) AS c ON c.k = p.{own}"
            );
            if matches!(numbers(&self.rows(&sql)?[0])[..], [0, right] if right > 0) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
