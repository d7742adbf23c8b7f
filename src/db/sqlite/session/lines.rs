//! The schema in lines, to be compared with another one.

use super::catalog::is_sentinel;
use super::clauses::clauses;
use super::{Sqlite, text_literal};
use crate::db::session::{OWN, Session as _};
use crate::model::Cell;

impl Sqlite {
    pub(super) fn lines(&mut self) -> anyhow::Result<Vec<String>> {
        let mut lines = Vec::new();
        for shape in self.catalog()? {
            if OWN.contains(&shape.name.as_str()) {
                continue;
            }
            let within = self.lines_of(&shape.name)?;
            lines.push(format!("table {}", shape.name));
            lines.extend(within.iter().map(|line| format!("  {line}")));
        }
        let others = self.rows(
            "SELECT type, name, sql FROM main.sqlite_master WHERE type IN ('index', 'trigger', 'view') AND sql IS NOT NULL ORDER BY type, name",
        )?;
        let own = |row: &&Vec<Cell>| {
            is_sentinel(row) || OWN.iter().any(|own| row[2].to_string().contains(own))
        };
        for row in others.iter().filter(|row| !own(row)) {
            let text = row[2].to_string();
            let words: Vec<_> = text.split_whitespace().collect();
            lines.push(format!("{} {}: {}", row[0], row[1], words.join(" ")));
        }
        Ok(lines)
    }

    /// What a table holds and lets in. The text of a rebuilt table differs in quotes, blanks and
    /// the order of its columns, so it is not compared as it is.
    fn lines_of(&mut self, table: &str) -> anyhow::Result<Vec<String>> {
        let table = text_literal(table);
        let found = self.rows(&format!(
            "SELECT 1, name || ' ' || lower(type) || CASE WHEN \"notnull\" THEN ' not null' ELSE '' END || coalesce(' default ' || dflt_value, '') \
             || CASE WHEN pk THEN ' key ' || pk ELSE '' END FROM temp.pragma_table_xinfo({table}, 'main') \
             UNION ALL SELECT 2, \"from\" || ' references ' || \"table\" || coalesce(' (' || \"to\" || ')', '') || ' on delete ' || lower(on_delete) \
             || ' on update ' || lower(on_update) FROM temp.pragma_foreign_key_list({table}, 'main') \
             UNION ALL SELECT 3, CASE l.origin WHEN 'u' THEN 'unique' ELSE 'key' END || ' (' || group_concat(coalesce(i.name, '') \
             || CASE i.coll WHEN 'BINARY' THEN '' ELSE ' collate ' || lower(i.coll) END || CASE WHEN i.desc THEN ' desc' ELSE '' END, ', ' ORDER BY i.seqno) || ')' \
             FROM temp.pragma_index_list({table}, 'main') AS l, temp.pragma_index_xinfo(l.name, 'main') AS i \
             WHERE l.origin IN ('u', 'pk') AND i.key GROUP BY l.name \
             UNION ALL SELECT 4, trim(CASE WHEN strict THEN 'strict ' ELSE '' END || CASE WHEN wr THEN 'without rowid' ELSE '' END) \
             FROM temp.pragma_table_list WHERE schema = 'main' AND name = {table} AND (strict OR wr) ORDER BY 1, 2"
        ))?;
        let columns = self.rows(&format!(
            "SELECT name FROM temp.pragma_table_xinfo({table}, 'main')"
        ))?;
        let columns: Vec<_> = columns.iter().map(|row| row[0].to_string()).collect();
        let text = self.rows(&format!(
            "SELECT sql FROM main.sqlite_master WHERE type = 'table' AND name = {table}"
        ))?;
        let text = text.first().and_then(|row| row[0].text());
        let mut lines: Vec<_> = found.iter().map(|row| row[1].to_string()).collect();
        lines.extend(clauses(text.unwrap_or_default(), &columns));
        Ok(lines)
    }
}
