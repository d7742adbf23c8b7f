//! Search indexes: whether one finds what is stored, and what one holds that stores nothing else.

use super::modules::{Index, Module, has_languages, index, shown_by_number};
use super::{Sqlite, failed, quoted, text_literal};
use crate::db::session::{Failed, Session as _};
use crate::model::{Compared, ComparedColumn, Shape};

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
    /// The index that a table is, and the text that made it; none where it is another table.
    fn index_of(&mut self, table: &str) -> anyhow::Result<Option<(Index, String)>> {
        let sql = self.rows(&format!(
            "SELECT sql FROM main.sqlite_master WHERE type = 'table' AND name = {} COLLATE NOCASE",
            text_literal(table)
        ))?;
        let sql = sql.first().and_then(|row| row[0].text());
        Ok(sql.and_then(|sql| Some((index(sql)?, sql.to_owned()))))
    }

    /// Why the rows must not be numbered in another way, as VACUUM does where no column is their number: an
    /// index finds them by it.
    pub(super) fn keeps_numbers(&mut self) -> anyhow::Result<Option<String>> {
        let virtuals = self.rows(
            "SELECT name, sql FROM main.sqlite_master WHERE type = 'table' AND sql LIKE 'create virtual%'",
        )?;
        let tables = self.catalog()?;
        for row in &virtuals {
            let sql = row[1].to_string();
            let Some(table) = shown_by_number(&sql) else {
                continue;
            };
            let is_it = |it: &&Shape| it.placed && it.name.eq_ignore_ascii_case(table);
            let Some(shape) = tables.iter().find(is_it) else {
                continue;
            };
            let name = self.quote(&shape.name);
            let counts = self.rows(&format!(
                "SELECT count(*), max(rowid), min(rowid) FROM {name}"
            ))?;
            // Without a gap they keep their numbers.
            if counts[0][0] != counts[0][1] || counts[0][2].int() == Some(0) {
                return Ok(Some(format!(
                    "VACUUM numbers the rows of `{}` again, by which the index `{}` finds them: give the table an INTEGER PRIMARY KEY, or leave VACUUM out",
                    shape.name, row[0]
                )));
            }
        }
        Ok(None)
    }

    /// Lets the engine check an index, where a table is one that it can check.
    pub(super) fn searched(&mut self, table: &str) -> anyhow::Result<Option<Searched>> {
        let (module, shows) = match self.index_of(table)? {
            Some((Index::Own(module), _)) => (module, false),
            Some((Index::Shown(module), _)) => (module, true),
            Some((Index::Contentless(_), _)) | None => return Ok(None),
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
        let (module, sql) = match self.index_of(table).map_err(as_failed)? {
            Some((Index::Contentless(module), sql)) => (module, sql),
            Some((Index::Own(_) | Index::Shown(_), _)) | None => return Ok(self.quote(table)),
        };
        let shows = match module {
            Module::Fts5 => format!("fts5vocab(main, {}, instance)", text_literal(table)),
            Module::Fts4 if has_languages(&sql) => {
                return Err(Failed::because(format!(
                    "`{table}` stores no text, and SQLite shows its words of one language only: add the file's change of it to the application, which has the text"
                )));
            }
            Module::Fts4 => format!("fts4aux(main, {})", text_literal(table)),
        };
        self.connection
            .execute_batch(&format!(
                "DROP TABLE IF EXISTS {TERMS}; CREATE VIRTUAL TABLE {TERMS} USING {shows}"
            ))
            .map_err(|error| failed(&error))?;
        let columns = self.columns(table).map_err(as_failed)?.unwrap_or_default();
        let words = |(place, column): (usize, &String)| {
            let (name, literal) = (quoted(column), text_literal(column));
            match module {
                Module::Fts5 => format!(
                    "doc || ' ' || group_concat(CASE WHEN coalesce(col, {literal}) = {literal} \
                     THEN term || ' ' || coalesce(offset, '') END, ' ' ORDER BY term, offset) AS {name}"
                ),
                Module::Fts4 => format!(
                    "doc || ' ' || group_concat(CASE WHEN col = {place} THEN term END, ' ' ORDER BY term) AS {name}"
                ),
            }
        };
        let list: Vec<_> = columns.iter().enumerate().map(words).collect();
        let list = list.join(", ");
        Ok(match module {
            Module::Fts5 => format!("(SELECT {list} FROM {TERMS} GROUP BY doc)"),
            // It tells which rows have a word only where it is asked for the word.
            Module::Fts4 => {
                let found: Vec<_> = columns
                    .iter()
                    .enumerate()
                    .map(|(place, column)| {
                        let (name, own) = (self.quote(table), quoted(table));
                        let before = text_literal(&format!("{column}:"));
                        format!(
                            "SELECT t.term, t.col, f.docid AS doc FROM {TERMS} AS t JOIN {name} AS f \
                             ON f.{own} MATCH {before} || t.term WHERE t.col = {place}"
                        )
                    })
                    .collect();
                let found = found.join(" UNION ALL ");
                format!("(SELECT {list} FROM ({found}) GROUP BY doc)")
            }
        })
    }
}
