//! Search indexes: whether one finds what is stored, and what one holds that stores nothing else.

use super::modules::{Index, Module, index};
use super::{Sqlite, failed, quoted, text_literal};
use crate::db::session::{Failed, Session as _};
use crate::model::{Compared, ComparedColumn};

/// An index at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Searched {
    /// Whether it finds each word of the rows that it is made of, and nothing else.
    is_whole: bool,
    /// How many rows it has.
    rows: u64,
    /// Whether these are another table's, and are compared there.
    shows: bool,
}

/// The table that shows the words of an index.
const TERMS: &str = "temp.chatctl_terms";

impl Sqlite {
    /// The index that a table is; none where it is another table.
    fn index_of(&mut self, table: &str) -> anyhow::Result<Option<Index>> {
        let sql = self.rows(&format!(
            "SELECT sql FROM main.sqlite_master WHERE type = 'table' AND name = {} COLLATE NOCASE",
            text_literal(table)
        ))?;
        Ok(sql.first().and_then(|row| index(row[0].text()?)))
    }

    /// Lets the engine check an index, where a table is one that it can check.
    pub(super) fn searched(&mut self, table: &str) -> anyhow::Result<Option<Searched>> {
        let (module, shows) = match self.index_of(table)? {
            Some(Index::Own(module)) => (module, false),
            Some(Index::Shown(module)) => (module, true),
            Some(Index::Contentless) | None => return Ok(None),
        };
        let (columns, values) = match module {
            Module::Fts5 => (", rank", ", 1"),
            Module::Fts4 => ("", ""),
        };
        let (name, column) = (self.quote(table), quoted(table));
        let check =
            format!("INSERT INTO {name} ({column}{columns}) VALUES ('integrity-check'{values})");
        let sizes = self.quote(&format!("{table}_docsize"));
        let rows = self.rows(&format!("SELECT count(*) FROM {sizes}"));
        let rows = rows.ok().and_then(|rows| rows[0][0].int());
        Ok(Some(Searched {
            is_whole: self.command(&check).is_ok(),
            rows: rows.unwrap_or_default().unsigned_abs(),
            shows,
        }))
    }

    /// Counts as gone what an index does not find any more, and not what is another one in the rows that it
    /// shows.
    pub(super) fn compare_index(
        &mut self,
        (table, now): (&str, &str),
        compared: &mut Compared,
    ) -> anyhow::Result<()> {
        let Some(was) = self.indexes.get(table).copied() else {
            return Ok(());
        };
        let now = self.searched(now)?;
        if was.shows && now.is_some_and(|now| now.shows) {
            *compared = Compared {
                before: compared.before,
                columns: vec![ComparedColumn::default(); compared.columns.len()],
                ..Compared::default()
            };
        }
        let (is_whole, rows) = now.map_or((true, was.rows), |now| (now.is_whole, now.rows));
        let fewer = was.rows.saturating_sub(rows);
        if !is_whole && (was.is_whole || fewer > 0) {
            compared.missing = compared.missing.max(fewer).max(1);
        }
        Ok(())
    }

    /// What the rows of a table are read from: of an index that stores no text, from its words.
    pub(super) fn source(&mut self, table: &str) -> Result<String, Failed> {
        let as_failed = |error: anyhow::Error| Failed::because(format!("{error:#}"));
        if self.index_of(table).map_err(as_failed)? != Some(Index::Contentless) {
            return Ok(self.quote(table));
        }
        let literal = text_literal(table);
        self.connection
            .execute_batch(&format!(
                "DROP TABLE IF EXISTS {TERMS}; CREATE VIRTUAL TABLE {TERMS} USING fts5vocab(main, {literal}, instance)"
            ))
            .map_err(|error| failed(&error))?;
        let columns = self.columns(table).map_err(as_failed)?.unwrap_or_default();
        let columns = columns.iter().map(|column| {
            let (name, literal) = (quoted(column), text_literal(column));
            format!(
                "doc || ' ' || group_concat(CASE WHEN coalesce(col, {literal}) = {literal} \
                 THEN term || ' ' || coalesce(offset, '') END, ' ' ORDER BY term, offset) AS {name}"
            )
        });
        let columns = columns.collect::<Vec<_>>().join(", ");
        Ok(format!("(SELECT {columns} FROM {TERMS} GROUP BY doc)"))
    }
}
