//! Comparing a table with a copy of what it was, row by row and byte by byte.

use super::Compared;
use super::Session;
use super::quoted;

/// How the names of copies begin that were put aside.
pub(super) const ASIDE: &str = "chatctl_before_";

impl Session {
    /// Puts a copy of a table aside, in one that only this connection sees.
    pub fn put_aside(&self, number: usize, table: &str) -> anyhow::Result<()> {
        let (columns, _) = self.columns(table)?;
        let list: Vec<_> = columns.iter().map(|column| quoted(column)).collect();
        self.connection.execute_batch(&format!(
            "CREATE TEMP TABLE {} AS SELECT {} FROM main.{}",
            aside(number),
            list.join(", "),
            quoted(table)
        ))?;
        Ok(())
    }

    /// Compares a table with the copy that was put aside, row by row and byte by byte.
    pub fn compare(
        &self,
        number: usize,
        table: &str,
        key: &[(String, String)],
        columns: &[(String, String)],
    ) -> anyhow::Result<(u64, Compared)> {
        let (was, now) = (
            format!("temp.{}", aside(number)),
            format!("main.{}", quoted(table)),
        );
        let count = |sql: &str| -> anyhow::Result<u64> {
            Ok(u64::try_from(self.rows(sql)?[0][0].int().unwrap_or(0))?)
        };
        let mut compared = Compared::new();
        let rows = if key.is_empty() {
            // Rows without a key are compared as a whole, and each as often as it stands there.
            let group = |side: fn(&(String, String)) -> &String, from: &str| {
                let exact: Vec<_> = columns
                    .iter()
                    .map(|pair| exact(&quoted(side(pair))))
                    .collect();
                let names: Vec<_> = (0..exact.len())
                    .map(|index| format!("{} AS e{index}", exact[index]))
                    .collect();
                let places: Vec<_> = (1..=exact.len()).map(|place| place.to_string()).collect();
                format!(
                    "SELECT {}, count(*) AS n FROM {from} GROUP BY {}",
                    names.join(", "),
                    places.join(", ")
                )
            };
            let same: Vec<_> = (0..columns.len())
                .map(|index| format!("a.e{index} IS b.e{index}"))
                .collect();
            count(&format!(
                "SELECT coalesce(sum(max(a.n - coalesce(b.n, 0), 0)), 0) FROM ({}) AS a LEFT JOIN ({}) AS b ON {}",
                group(|pair| &pair.0, &was),
                group(|pair| &pair.1, &now),
                same.join(" AND ")
            ))?
        } else {
            let on: Vec<_> = key
                .iter()
                .map(|(old, new)| format!("b.{} = a.{}", quoted(new), quoted(old)))
                .collect();
            let on = on.join(" AND ");
            for (old, new) in columns {
                let (a, b) = (format!("a.{}", quoted(old)), format!("b.{}", quoted(new)));
                let joined = format!(
                    "SELECT count(*) FROM {was} AS a JOIN {now} AS b ON {on} WHERE {a} IS NOT NULL"
                );
                let gone = count(&format!("{joined} AND {b} IS NULL"))?;
                let changed = count(&format!(
                    "{joined} AND {b} IS NOT NULL AND {} IS NOT {}",
                    exact(&a),
                    exact(&b)
                ))?;
                compared.insert(old.clone(), (gone, changed));
            }
            count(&format!(
                "SELECT count(*) FROM {was} AS a WHERE NOT EXISTS (SELECT 1 FROM {now} AS b WHERE {on})"
            ))?
        };
        self.connection
            .execute_batch(&format!("DROP TABLE {was}"))?;
        Ok((rows, compared))
    }
}

/// A value as SQL can compare it: with its storage class, and bytes instead of collation and
/// affinity. A real number keeps its own comparison, since its bytes go through text.
fn exact(value: &str) -> String {
    format!(
        "typeof({value}) || ':' || CASE typeof({value}) WHEN 'real' THEN printf('%!.17g', {value}) ELSE hex({value}) END"
    )
}

/// The name of a copy that was put aside.
fn aside(number: usize) -> String {
    format!("{ASIDE}{number}")
}
