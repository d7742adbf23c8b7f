//! The history in a database: read whichever tool wrote it, written as sqlx does.

mod refusals;
mod single;

use super::history::{Foreign, Found};
use super::journal::{Entry, Journal, Mark, State as Event};
use super::plan::{Applied, Reached, State};
use super::source::{Migration, Version};
use super::{history, journal, plan};
use crate::cli_error::CliError;
use crate::db::Session;
use crate::model::Cell;
use crate::sql::Dialect;
use std::time::Duration;

use refusals::{not_missing, skips, would_run_twice};
pub use single::keeps_one_history;

/// The history that is written: sqlx's own, so that an embedded `sqlx::migrate!` continues from it.
pub(super) const TABLE: &str = "_sqlx_migrations";

/// What a database says of its migrations.
#[derive(Debug)]
pub struct Seen {
    /// What is applied, whichever tool wrote it.
    pub applied: Vec<Applied>,
    /// The tool whose history was read; none where there is none that can be read.
    pub tool: Option<&'static str>,
    /// The table of that history.
    table: Option<String>,
    /// A history that can only be named; looked for where none can be read.
    pub foreign: Option<Foreign>,
}

/// What is applied, whichever tool wrote it. Reads only.
pub fn look(
    session: &mut dyn Session,
    dialect: Dialect,
    files: &[Migration],
) -> anyhow::Result<Seen> {
    // Where the history is that chatctl writes, no other table counts.
    if let Some(columns) = session.columns(TABLE)?
        && let [found] = &history::recognise_in(&[(TABLE.to_owned(), columns)], dialect)[..]
    {
        return seen(session, dialect, found, files);
    }
    let tables = tables(session)?;
    let found = history::recognise_in(&tables, dialect);
    // A history that was adopted stays next to the one that is written since.
    let ours = found.iter().find(|it| it.table == TABLE);
    let Some(found) = ours.or(found.first()) else {
        let foreign = history::foreign(&tables);
        let has_rows = |it: &Foreign| {
            let table = session.quote(&it.table);
            let sql = format!("SELECT 1 FROM {table} LIMIT 1");
            session.rows(&sql).map(|rows| !rows.is_empty())
        };
        // An empty one is that of a tool which was only tried.
        let used = foreign.as_ref().map(has_rows).transpose()?;
        return Ok(Seen {
            applied: Vec::new(),
            tool: None,
            table: None,
            foreign: foreign.filter(|_| used == Some(true)),
        });
    };
    seen(session, dialect, found, files)
}

fn seen(
    session: &mut dyn Session,
    dialect: Dialect,
    found: &Found,
    files: &[Migration],
) -> anyhow::Result<Seen> {
    Ok(Seen {
        applied: read(session, dialect, found, files)?,
        tool: Some(found.history.tool),
        table: Some(found.table.clone()),
        foreign: None,
    })
}

/// The tables that may be a history, and the names of their columns.
fn tables(session: &mut dyn Session) -> anyhow::Result<Vec<(String, Vec<String>)>> {
    let mut tables = session.catalog()?;
    tables.retain(history::may_be_ours);
    // Of several, the one in the schema that a bare name means.
    tables.sort_by_key(|shape| !shape.bare);
    let tables = tables.into_iter().map(|shape| {
        let columns = shape.columns.into_iter().map(|column| column.name);
        (shape.name, columns.collect())
    });
    Ok(tables.collect())
}

fn read(
    session: &mut dyn Session,
    dialect: Dialect,
    found: &Found,
    files: &[Migration],
) -> anyhow::Result<Vec<Applied>> {
    let quoted = session.quote(&found.table);
    let rows = session.rows(&found.history.select(dialect, &quoted))?;
    let text = |cell: &Cell| match cell {
        Cell::Null => None,
        cell => Some(cell.to_string()),
    };
    let rows: Vec<Vec<_>> = rows
        .iter()
        .map(|row| row.iter().map(text).collect())
        .collect();
    Ok(found.history.applied(&rows, files)?)
}

/// What is applied, in a database whose history is sqlx's or nobody's: only that one is written.
pub(super) fn of_sqlx(
    session: &mut dyn Session,
    dialect: Dialect,
    files: &[Migration],
) -> anyhow::Result<Vec<Applied>> {
    let seen = look(session, dialect, files)?;
    match seen.foreign {
        None => ours(seen),
        // The files may be those that the tool has run already.
        Some(foreign) => Err(CliError::refused(format!(
            "{} migrated this database (its table `{}` has rows), and chatctl would run every file from the first on",
            foreign.tool, foreign.table
        ))
        .hint(BY_HAND)
        .into()),
    }
}

/// The same, but a history that nobody can take over is in nobody's way.
fn ours(seen: Seen) -> anyhow::Result<Vec<Applied>> {
    match seen.tool {
        None => Ok(seen.applied),
        Some("sqlx") => {
            single::check(seen.table.as_deref())?;
            Ok(seen.applied)
        }
        Some(tool) => Err(CliError::refused(format!(
            "the history in this database was written by {tool}"
        ))
        .hint("take it over with `chatctl migrate adopt`, or continue with the tool that wrote it")
        .into()),
    }
}

/// The same, where somebody says by hand what is applied: the history of another tool that knows none of
/// these files is in nobody's way.
fn ours_or_of_others(seen: Seen, files: &[Migration]) -> anyhow::Result<Vec<Applied>> {
    if seen.tool != Some("sqlx") && knows_none(&seen.applied, files) {
        return Ok(Vec::new());
    }
    ours(seen)
}

/// Whether a history has no row of any of these files.
fn knows_none(applied: &[Applied], files: &[Migration]) -> bool {
    let is_known = |file: &Migration| applied.iter().any(|row| row.version == file.version);
    !files.iter().any(is_known)
}

/// How a database is begun with that another tool migrated.
pub const BY_HAND: &str = "if the database already contains what the files up to a version create: `chatctl \
    migrate baseline VERSION`; if none of these files was ever run here: `chatctl migrate baseline --none`";

/// Makes the history when there is none, as sqlx 0.9 does.
pub(super) fn create(session: &mut dyn Session, dialect: Dialect) -> anyhow::Result<()> {
    let (time, bytes) = match dialect {
        Dialect::Sqlite => ("TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP", "BLOB"),
        Dialect::Postgres => ("TIMESTAMPTZ NOT NULL DEFAULT now()", "BYTEA"),
        Dialect::Mysql => ("TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP", "BLOB"),
    };
    // Asked for first: even a CREATE that finds it there would take a lock and say so.
    if session.columns(TABLE)?.is_some() {
        return Ok(());
    }
    let table = session.quote(TABLE);
    Ok(session.command(&format!(
        "CREATE TABLE IF NOT EXISTS {table} (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on {time},
    success BOOLEAN NOT NULL,
    checksum {bytes} NOT NULL,
    execution_time BIGINT NOT NULL
)"
    ))?)
}

/// Writes that a migration was applied, or with no time that it was begun. `took` in whole
/// nanoseconds, as sqlx has it.
pub(super) fn record(
    session: &mut dyn Session,
    migration: &Migration,
    took: Option<Duration>,
) -> anyhow::Result<()> {
    let sql = format!(
        "INSERT INTO {} (version, description, success, checksum, execution_time) VALUES (?, ?, {}, ?, ?)",
        session.quote(TABLE),
        if took.is_some() { "TRUE" } else { "FALSE" }
    );
    let took = took.and_then(|took| i64::try_from(took.as_nanos()).ok());
    session.write(
        &sql,
        &[
            number(&migration.version)?,
            Cell::Text(migration.description.clone()),
            Cell::Blob(migration.checksum.clone()),
            Cell::Int(took.unwrap_or(-1)),
        ],
    )
}

/// Writes that a migration which was begun came to its end, with the file as it is now.
pub(super) fn finish(
    session: &mut dyn Session,
    migration: &Migration,
    took: Duration,
) -> anyhow::Result<()> {
    let sql = format!(
        "UPDATE {} SET success = TRUE, checksum = ?, execution_time = ? WHERE version = ?",
        session.quote(TABLE)
    );
    session.write(
        &sql,
        &[
            Cell::Blob(migration.checksum.clone()),
            Cell::Int(i64::try_from(took.as_nanos()).unwrap_or(-1)),
            number(&migration.version)?,
        ],
    )
}

fn number(version: &Version) -> Result<Cell, CliError> {
    version.as_number().map(Cell::Int).ok_or_else(|| {
        CliError::refused(format!(
            "version `{version}` is not an integer, which sqlx's history requires"
        ))
        .hint("continue with the tool that uses such versions; `chatctl migrate plan` and `lint` read its files")
    })
}

/// How a version that did not come to its end is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Resolution {
    /// It did: it counts as applied.
    Applied,
    /// It did not: it is pending again, from its first statement.
    Retry,
}

/// What to do with what the journal knows of a version that is to run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Refuse where something of it is applied: a run resumes it.
    Keep,
    /// Forget it: whoever resolves the version has undone it.
    Discard,
}

/// A database whose history is settled by hand.
pub struct Ledger<'a> {
    /// The connection.
    pub session: &'a mut dyn Session,
    /// Its SQL.
    pub dialect: Dialect,
    /// The folder's migrations.
    pub files: &'a [Migration],
}

impl Ledger<'_> {
    /// Writes every file up to a version into the history without running it: for a database whose
    /// schema came about in another way. Gives what was written.
    ///
    /// Where a history is already, only one version at a time: what is pending before it would be skipped.
    pub fn baseline(&mut self, to: &Version) -> anyhow::Result<Vec<Version>> {
        let files = self.files;
        let find = |ledger: &mut Self| {
            let applied = ours_or_of_others(look(ledger.session, ledger.dialect, files)?, files)?;
            let is_new = |file: &&Migration| {
                file.version <= *to && applied.iter().all(|row| row.version != file.version)
            };
            let wanted: Vec<_> = files.iter().filter(is_new).collect();
            match wanted.split_last() {
                Some((_, skipped)) if !skipped.is_empty() && !applied.is_empty() => {
                    Err(skips(to, skipped).into())
                }
                _ => Ok(wanted),
            }
        };
        self.together(Event::Baseline, find, |ledger, wanted| {
            ledger.record_all(wanted.into_iter())
        })
    }

    /// Begins a history in which nothing is applied: for a database that another tool migrated, with
    /// other files.
    pub fn begin(&mut self) -> anyhow::Result<()> {
        let files = self.files;
        let none = |ledger: &mut Self| {
            let applied = ours_or_of_others(look(ledger.session, ledger.dialect, files)?, files)?;
            match applied.first() {
                None => Ok(()),
                Some(row) => Err(CliError::refused(format!(
                    "version `{}` is applied, so a history exists already",
                    row.version
                ))
                .hint("`chatctl migrate status` shows every version")
                .into()),
            }
        };
        self.together(Event::Baseline, none, |ledger, ()| {
            create(ledger.session, ledger.dialect)?;
            Ok(Vec::new())
        })?;
        Ok(())
    }

    /// Takes versions out of the history whose files are gone on purpose.
    pub fn forget(&mut self, versions: &[Version]) -> anyhow::Result<Vec<Version>> {
        let files = self.files;
        let missing = |ledger: &mut Self| {
            let rows = plan::status(files, &of_sqlx(ledger.session, ledger.dialect, files)?);
            versions.iter().try_for_each(|version| {
                let row = rows.iter().find(|row| row.version == *version);
                match row.map(|row| row.state) {
                    Some(State::Missing) => Ok(()),
                    state => Err(not_missing(version, state).into()),
                }
            })
        };
        self.together(Event::Forgotten, missing, |ledger, ()| {
            let table = ledger.session.quote(TABLE);
            let sql = format!("DELETE FROM {table} WHERE version = ?");
            for version in versions {
                ledger.session.write(&sql, &[number(version)?])?;
            }
            Ok(versions.to_vec())
        })
    }

    /// Takes over what another tool applied: its history stays, and sqlx's is written next to it.
    /// Gives the tool and what was written.
    pub fn adopt(&mut self) -> anyhow::Result<(&'static str, Vec<Version>)> {
        let (files, tables) = (self.files, tables(self.session)?);
        let found = history::recognise_in(&tables, self.dialect);
        if found.iter().any(|it| it.table == TABLE) {
            return Err(CliError::refused(
                "this database already has the history that chatctl writes",
            )
            .hint("`chatctl migrate status` shows the state of every version")
            .into());
        }
        let Some(found) = found.first() else {
            let stop = match history::foreign(&tables) {
                None => CliError::refused("there is no history of any tool in this database"),
                Some(foreign) => CliError::refused(format!(
                    "the history of {} (`{}`) does not record which of these files were run, so it can't be adopted",
                    foreign.tool, foreign.table
                )),
            };
            return Err(stop.hint(BY_HAND).into());
        };
        let (tool, dialect) = (found.history.tool, self.dialect);
        let look = |ledger: &mut Self| {
            let theirs = read(ledger.session, dialect, found, files)?;
            let wrong = plan::status(files, &theirs).into_iter().find(|row| {
                matches!(
                    row.state,
                    State::Dirty
                        | State::Changed {
                            by_line_ends: false
                        }
                        | State::Missing
                        | State::Newer
                )
            });
            if let Some(row) = wrong {
                return Err(CliError::refused(format!(
                    "version `{}` is {} in the history of {tool}",
                    row.version,
                    row.state.name()
                ))
                .hint(if knows_none(&theirs, files) {
                    BY_HAND.to_owned()
                } else {
                    format!(
                        "resolve it with {tool} first; `chatctl migrate status` shows every version"
                    )
                })
                .into());
            }
            let is_theirs =
                |file: &&Migration| theirs.iter().any(|row| row.version == file.version);
            let taken: Vec<_> = files.iter().filter(is_theirs).collect();
            for file in &taken {
                number(&file.version)?;
            }
            Ok(taken)
        };
        let written = self.together(Event::Adopted, look, |ledger, taken| {
            ledger.record_all(taken.into_iter())
        })?;
        Ok((tool, written))
    }

    fn record_all<'b>(
        &mut self,
        files: impl Iterator<Item = &'b Migration>,
    ) -> anyhow::Result<Vec<Version>> {
        create(self.session, self.dialect)?;
        let mut written = Vec::new();
        for file in files {
            record(self.session, file, Some(Duration::ZERO))?;
            written.push(file.version.clone());
        }
        Ok(written)
    }

    /// Writes the present checksum of files that differ from what was applied by line ends or a byte
    /// order mark only. Any other edit stays refused. Gives what was written.
    pub fn repair_line_ends(&mut self) -> anyhow::Result<Vec<Version>> {
        let files = self.files;
        let look = |ledger: &mut Self| of_sqlx(ledger.session, ledger.dialect, files);
        self.together(Event::Repaired, look, |ledger, applied| {
            let mut written = Vec::new();
            for row in plan::status(files, &applied) {
                let file = files.iter().find(|file| file.version == row.version);
                let (State::Changed { by_line_ends: true }, Some(file)) = (row.state, file) else {
                    continue;
                };
                let sql = format!(
                    "UPDATE {} SET checksum = ? WHERE version = ?",
                    ledger.session.quote(TABLE)
                );
                let args = [Cell::Blob(file.checksum.clone()), number(&file.version)?];
                ledger.session.write(&sql, &args)?;
                written.push(row.version);
            }
            Ok(written)
        })
    }

    /// Settles a version that was begun and did not finish.
    pub fn resolve(
        &mut self,
        version: &Version,
        how: Resolution,
        progress: Progress,
    ) -> anyhow::Result<()> {
        let files = self.files;
        let look = |ledger: &mut Self| {
            let applied = of_sqlx(ledger.session, ledger.dialect, files)?;
            let dirty = applied
                .iter()
                .any(|row| row.version == *version && row.reached != Reached::End);
            if !dirty {
                return Err(
                    CliError::refused(format!("`{version}` is not half applied"))
                        .hint("`chatctl migrate status` shows the state of every version")
                        .into(),
                );
            }
            if (how, progress) == (Resolution::Retry, Progress::Keep) {
                let entries = journal::read(ledger.session)?;
                would_run_twice(version, journal::standing(&entries, version))?;
            }
            Ok(())
        };
        self.together(Event::Resolved, look, |ledger, ()| {
            let table = ledger.session.quote(TABLE);
            let file = files.iter().find(|file| file.version == *version);
            match (how, file) {
                // Whoever settles it by hand may have fixed the file, too.
                (Resolution::Applied, Some(file)) => finish(ledger.session, file, Duration::ZERO)?,
                (Resolution::Applied, None) => ledger.session.write(
                    &format!("UPDATE {table} SET success = TRUE WHERE version = ?"),
                    &[number(version)?],
                )?,
                (Resolution::Retry, _) => ledger.session.write(
                    &format!("DELETE FROM {table} WHERE version = ? AND NOT success"),
                    &[number(version)?],
                )?,
            }
            Ok(vec![version.clone()])
        })?;
        Ok(())
    }

    /// All of it or nothing, and told in the journal. What is refused has looked only.
    fn together<T>(
        &mut self,
        what: Event,
        look: impl Fn(&mut Self) -> anyhow::Result<T>,
        write: impl FnOnce(&mut Self, T) -> anyhow::Result<Vec<Version>>,
    ) -> anyhow::Result<Vec<Version>> {
        let journal = Journal::new(self.dialect);
        if self.dialect == Dialect::Mysql {
            // There a CREATE would commit the transaction that it is in, and an empty history
            // that stays behind would say that nothing is applied.
            look(self)?;
            create(self.session, self.dialect)?;
            journal.create(self.session)?;
        }
        self.session.begin()?;
        let done = look(self).and_then(|seen| {
            let written = write(self, seen)?;
            journal.create(self.session)?;
            for version in &written {
                let mark = Mark::of_file(version.text(), what, "by hand");
                journal.write(self.session, &mark)?;
            }
            Ok(written)
        });
        self.session
            .command(if done.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
        done
    }
}

/// How often two looks are taken that have to agree.
const LOOKS: usize = 3;

/// Marks the versions that were begun and that the journal can continue with.
pub fn mark(applied: &mut [Applied], entries: &[Entry]) {
    let unknown = applied
        .iter_mut()
        .filter(|row| row.reached == Reached::Unknown);
    for row in unknown {
        if journal::standing(entries, &row.version).is_some() {
            row.reached = Reached::Known;
        }
    }
}

/// The history, with the versions marked that were begun and that the journal can continue with.
pub fn to_go_on(
    session: &mut dyn Session,
    dialect: Dialect,
    files: &[Migration],
) -> anyhow::Result<Vec<Applied>> {
    let mut applied = Vec::new();
    for _ in 0..LOOKS {
        applied = of_sqlx(session, dialect, files)?;
        if applied.iter().all(|row| row.reached == Reached::End) {
            break;
        }
        mark(&mut applied, &journal::read(session)?);
        // Another replica may have come to the end between the two looks.
        if applied.iter().all(|row| row.reached != Reached::Unknown) {
            break;
        }
    }
    Ok(applied)
}
