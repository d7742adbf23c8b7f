//! Search indexes: whether one finds the stored texts, and the content of one without stored texts.

use super::modules::{Index, Module, index, order, prefixes, shown_by_number};
use super::words::{Level, leaf};
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
/// The table that has the words and rows of which something newer was read.
const KNOWN: &str = "temp.chatctl_known";

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
            "SELECT name, sql FROM main.sqlite_master WHERE type = 'table' AND lower(substr(sql, 1, 14)) = 'create virtual'",
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
            if !self.has_row_numbers(&shape.name)? || self.has_an_index(&shape.name)? {
                continue;
            }
            let name = self.quote(&shape.name);
            let counts = self.rows(&format!(
                "SELECT count(*), max(rowid), min(rowid) FROM {name}"
            ))?;
            // Without a gap they keep their numbers.
            if counts[0][0] != counts[0][1] || counts[0][2].int() == Some(0) {
                return Ok(Some(format!(
                    "VACUUM renumbers the rows of `{}`, and the index `{}` finds them by number: give the table \
                        an INTEGER PRIMARY KEY, or leave VACUUM out",
                    shape.name, row[0]
                )));
            }
        }
        Ok(None)
    }

    /// Whether a table has an index, be it that of its key: the engine then keeps the numbers.
    fn has_an_index(&mut self, table: &str) -> anyhow::Result<bool> {
        let rows = self.rows(&format!(
            "SELECT 1 FROM temp.pragma_index_list({}, 'main')",
            text_literal(table)
        ))?;
        Ok(!rows.is_empty())
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

    /// What the rows of a table are read from: of an index that stores no text, from its words and their places.
    pub(super) fn source(&mut self, table: &str) -> Result<String, Failed> {
        let index = self.index_of(table).map_err(as_failed)?;
        match index {
            Some((Index::Contentless(Module::Fts5), _)) => {
                let shows = format!("fts5vocab(main, {}, instance)", text_literal(table));
                self.connection
                    .execute_batch(&format!(
                        "DROP TABLE IF EXISTS {TERMS}; CREATE VIRTUAL TABLE {TERMS} USING {shows}"
                    ))
                    .map_err(|error| failed(&error))?;
            }
            Some((Index::Contentless(Module::Fts4), sql)) => self.read_words(table, &sql)?,
            Some((Index::Own(_) | Index::Shown(_), _)) | None => return Ok(self.quote(table)),
        }
        let columns = self.columns(table).map_err(as_failed)?.unwrap_or_default();
        let words = |column: &String| {
            let (name, literal) = (quoted(column), text_literal(column));
            format!(
                "doc || ' ' || group_concat(CASE WHEN coalesce(col, {literal}) = {literal} \
                 THEN term || ' ' || coalesce(offset, '') END, ' ' ORDER BY term, offset) AS {name}"
            )
        };
        let list: Vec<_> = columns.iter().map(words).collect();
        Ok(format!(
            "(SELECT {} FROM {TERMS} GROUP BY doc)",
            list.join(", ")
        ))
    }

    /// Puts the words of an index of FTS4 where FTS5 would show its own.
    fn read_words(&mut self, table: &str, sql: &str) -> Result<(), Failed> {
        let columns = self.columns(table).map_err(as_failed)?.unwrap_or_default();
        let order = order(sql);
        let prefixes = prefixes(sql);
        let wrong = || Failed::because(format!("the blocks of the index `{table}` can't be read"));
        let own = |adds: &str| self.quote(&format!("{table}_{adds}"));
        let (segments, blocks) = (own("segdir"), own("segments"));
        let done = || -> rusqlite::Result<bool> {
            let connection = &self.connection;
            // A savepoint writes the words that are not in any block yet.
            connection.execute_batch(&format!(
                "SAVEPOINT chatctl_words; RELEASE chatctl_words; DROP TABLE IF EXISTS {TERMS}; DROP TABLE IF EXISTS {KNOWN}; \
                 CREATE TABLE {TERMS} (doc, term, col, offset); \
                 CREATE TABLE {KNOWN} (term, language, doc, PRIMARY KEY (term, language, doc)) WITHOUT ROWID"
            ))?;
            let mut know =
                connection.prepare(&format!("INSERT OR IGNORE INTO {KNOWN} VALUES (?, ?, ?)"))?;
            let mut keep = connection.prepare(&format!(
                "INSERT INTO {TERMS} VALUES (CASE ?1 WHEN 0 THEN ?2 ELSE ?2 || ' in ' || ?1 END, CAST(?3 AS TEXT), ?4, ?5)"
            ))?;
            // What is newer counts: a lower level, and in it a higher number.
            let mut all = connection.prepare(&format!(
                "SELECT level, start_block, leaves_end_block, root FROM {segments} ORDER BY level % 1024, idx DESC"
            ))?;
            let mut leaves = connection.prepare(&format!(
                "SELECT block FROM {blocks} WHERE blockid BETWEEN ? AND ? ORDER BY blockid"
            ))?;
            let mut put = |bytes: &[u8], language: i64| -> rusqlite::Result<bool> {
                let Some(entries) = leaf(bytes, order) else {
                    return Ok(false);
                };
                for (word, rows) in entries {
                    for (row, places) in rows {
                        if know.execute((&word, language, row))? == 0 {
                            continue;
                        }
                        for place in places {
                            let column = usize::try_from(place.column).ok();
                            let Some(column) = column.and_then(|at| columns.get(at)) else {
                                return Ok(false);
                            };
                            let offset = place.offset.cast_signed();
                            keep.execute((language, row, &word, column, offset))?;
                        }
                    }
                }
                Ok(true)
            };
            let mut segments = all.raw_query();
            while let Some(segment) = segments.next()? {
                let level = Level::of(segment.get(0)?, prefixes);
                let (start, end): (i64, i64) = (segment.get(1)?, segment.get(2)?);
                if !level.is_whole {
                    continue;
                }
                if start == 0 {
                    let root: Vec<u8> = segment.get(3)?;
                    if !put(&root, level.language)? {
                        return Ok(false);
                    }
                    continue;
                }
                let mut count = start;
                let mut blocks = leaves.query((start, end))?;
                while let Some(block) = blocks.next()? {
                    let block: Vec<u8> = block.get(0)?;
                    if !put(&block, level.language)? {
                        return Ok(false);
                    }
                    count += 1;
                }
                if count != end + 1 {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        match done() {
            Ok(true) => Ok(()),
            Ok(false) => Err(wrong()),
            Err(error) => Err(failed(&error)),
        }
    }
}

fn as_failed(error: anyhow::Error) -> Failed {
    Failed::because(format!("{error:#}"))
}

#[cfg(test)]
mod tests {
    use super::{KNOWN, TERMS};
    use crate::db::session::{Missing, Waits};
    use crate::db::sqlite::session::Sqlite;
    use crate::db::{Target, session::Session as _};

    /// The rows of a table, as they are compared.
    fn rows(session: &mut Sqlite, table: &str) -> Vec<String> {
        let from = session.source(table).unwrap();
        let rows = session.rows(&format!("SELECT * FROM {from}")).unwrap();
        let words = |row: &Vec<_>| row.iter().map(ToString::to_string).collect::<Vec<_>>();
        rows.iter().map(|row| words(row).join(" | ")).collect()
    }

    /// FTS5 shows its words itself: both read the same of the same texts, however many blocks there are.
    #[test]
    fn words_are_read_as_the_engine_shows_them() {
        let place = tempfile::tempdir().unwrap();
        let target =
            Target::parse(&format!("sqlite:{}", place.path().join("a.db").display())).unwrap();
        let mut session = Sqlite::open(&target, Missing::Create, Waits::SHORT).unwrap();
        let fill = |table: &str, from: u32, to: u32, number: &str| {
            format!(
                "WITH RECURSIVE n (i) AS (SELECT {from} UNION ALL SELECT i + 1 FROM n WHERE i < {to}) \
                 INSERT INTO {table} ({number}, body, note) \
                 SELECT i * 3, 'word' || i || ' and other' || (i % 7) || ' words and', 'note ' || (i % 50) FROM n;"
            )
        };
        for (name, options) in [("a", ""), ("b", ", order=desc"), ("c", ", prefix=\"2,3\"")] {
            let text = format!(
                "CREATE VIRTUAL TABLE {name} USING fts4 (content=\"\", body, note{options}); \
                 CREATE VIRTUAL TABLE {name}5 USING fts5 (body, note, content='');"
            );
            session.connection.execute_batch(&text).unwrap();
            session.command("BEGIN").unwrap();
            for (from, to) in [(1, 1), (2, 30), (31, 3000)] {
                for (table, number) in [(name.to_owned(), "docid"), (format!("{name}5"), "rowid")] {
                    let sql = fill(&table, from, to, number);
                    session.connection.execute_batch(&sql).unwrap();
                }
            }
            let read = rows(&mut session, name);
            assert_eq!(read.len(), 3000, "{name}");
            let shown = rows(&mut session, &format!("{name}5"));
            assert_eq!(read[..3], shown[..3], "{name}");
            assert!(read == shown, "{name}");
            session.command("COMMIT").unwrap();
            assert!(rows(&mut session, name) == shown, "{name}");
            let merged = format!("INSERT INTO {name} ({name}) VALUES ('optimize')");
            session.connection.execute_batch(&merged).unwrap();
            assert!(rows(&mut session, name) == shown, "{name}");
        }
        let tables = format!("DROP TABLE {TERMS}; DROP TABLE IF EXISTS {KNOWN}");
        session.connection.execute_batch(&tables).unwrap();
    }

    #[test]
    fn each_language_has_its_own_words() {
        let place = tempfile::tempdir().unwrap();
        let target =
            Target::parse(&format!("sqlite:{}", place.path().join("a.db").display())).unwrap();
        let mut session = Sqlite::open(&target, Missing::Create, Waits::SHORT).unwrap();
        session
            .connection
            .execute_batch(
                "CREATE VIRTUAL TABLE a USING fts4 (content=\"\", languageid=\"lid\", body); \
                 INSERT INTO a (docid, body, lid) VALUES (1, 'der Hund', 0), (2, 'the dog', 1);",
            )
            .unwrap();
        assert_eq!(
            rows(&mut session, "a"),
            ["1 der 0 hund 1", "2 in 1 dog 1 the 0"]
        );
    }
}
