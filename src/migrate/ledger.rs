//! The history in a SQLite database: read whichever tool wrote it, written as sqlx does.

use super::history;
use super::history::Recorded;
use super::plan;
use super::plan::Applied;
use super::plan::State;
use super::source::Migration;
use super::source::Version;
use crate::db::Session;
use crate::model::Cell;
use crate::sql::Dialect;
use crate::stop::Stop;
use std::time::Duration;

/// The history that is written: sqlx's own, so that an embedded `sqlx::migrate!` goes on from it.
const CREATE: &str = "CREATE TABLE IF NOT EXISTS main._sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
)";
/// The table's name.
pub(super) const TABLE: &str = "_sqlx_migrations";

/// What is applied, whichever tool wrote it. Reads only.
pub fn applied(
    session: &Session,
    files: &[Migration],
) -> anyhow::Result<(Vec<Applied>, Option<&'static str>)> {
    let tables =
        session.rows("SELECT name FROM main.sqlite_master WHERE type = 'table' ORDER BY name")?;
    let mut shapes = Vec::new();
    for name in tables.iter().filter_map(|row| row[0].text()) {
        let literal = format!("'{}'", name.replace('\'', "''"));
        let columns = session.rows(&format!(
            "SELECT name FROM pragma_table_info({literal}, 'main')"
        ))?;
        let columns = columns.iter().map(|row| row[0].to_string()).collect();
        shapes.push((name.to_owned(), columns));
    }
    let found = history::recognise(&shapes);
    let Some(found) = found.first() else {
        return Ok((Vec::new(), None));
    };
    let quoted = format!("main.\"{}\"", found.table.replace('"', "\"\""));
    let rows = session.rows(&found.history.select(Dialect::Sqlite, &quoted))?;
    let text = |cell: &Cell| match cell {
        Cell::Null => None,
        cell => Some(cell.to_string()),
    };
    let rows: Vec<Vec<_>> = rows
        .iter()
        .map(|row| row.iter().map(text).collect())
        .collect();
    let recorded: Recorded = (found.history.read)(&rows)?;
    Ok((
        recorded.against(found.history, files),
        Some(found.history.tool),
    ))
}

/// What is applied, in a database whose history is sqlx's or nobody's: only that one is written.
pub(super) fn of_sqlx(session: &Session, files: &[Migration]) -> anyhow::Result<Vec<Applied>> {
    match applied(session, files)? {
        (applied, None | Some("sqlx")) => Ok(applied),
        (_, Some(tool)) => Err(Stop::refused(format!("the history in this database was written by {tool}"))
            .hint(format!("go on with {tool}; chatctl reads its history (`chatctl migrate status`) and does not continue it"))
            .into()),
    }
}

/// Makes the history when there is none.
pub(super) fn create(session: &Session) -> anyhow::Result<()> {
    session.execute(CREATE, &[])
}

/// Writes that a migration was applied. `took` in whole nanoseconds, as sqlx has it.
pub(super) fn record(
    session: &Session,
    migration: &Migration,
    took: Duration,
) -> anyhow::Result<()> {
    session.execute(
        "INSERT INTO main._sqlx_migrations (version, description, success, checksum, execution_time) VALUES (?, ?, TRUE, ?, ?)",
        &[
            number(&migration.version)?,
            Cell::Text(migration.description.clone()),
            Cell::Blob(migration.checksum.clone()),
            Cell::Int(i64::try_from(took.as_nanos()).unwrap_or(-1)),
        ],
    )
}

fn number(version: &Version) -> Result<Cell, Stop> {
    version.as_number().map(Cell::Int).ok_or_else(|| {
        Stop::refused(format!(
            "version `{version}` is no whole number, which sqlx's history needs"
        ))
    })
}

/// How a version that did not come to its end is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Resolution {
    /// Its effect is there: it counts as applied.
    Applied,
    /// Its effect is not there: it is pending again.
    Retry,
}

/// Writes every file up to a version into the history without running it: for a database whose
/// schema came about in another way. Gives what was written.
pub fn baseline(
    session: &Session,
    files: &[Migration],
    to: &Version,
) -> anyhow::Result<Vec<Version>> {
    together(session, || {
        let applied = of_sqlx(session, files)?;
        create(session)?;
        let mut written = Vec::new();
        for file in files.iter().filter(|file| file.version <= *to) {
            if applied.iter().all(|row| row.version != file.version) {
                record(session, file, Duration::ZERO)?;
                written.push(file.version.clone());
            }
        }
        Ok(written)
    })
}

/// Writes the present checksum of files that differ from what was applied by line ends or a byte
/// order mark only. Any other edit stays refused. Gives what was written.
pub fn repair_line_ends(session: &Session, files: &[Migration]) -> anyhow::Result<Vec<Version>> {
    together(session, || {
        let applied = of_sqlx(session, files)?;
        let mut written = Vec::new();
        for row in plan::status(files, &applied) {
            let file = files.iter().find(|file| file.version == row.version);
            let (State::Changed { by_line_ends: true }, Some(file)) = (row.state, file) else {
                continue;
            };
            session.execute(
                "UPDATE main._sqlx_migrations SET checksum = ? WHERE version = ?",
                &[Cell::Blob(file.checksum.clone()), number(&file.version)?],
            )?;
            written.push(row.version);
        }
        Ok(written)
    })
}

/// Settles a version that was begun and did not come to its end.
pub fn resolve(
    session: &Session,
    files: &[Migration],
    version: &Version,
    how: Resolution,
) -> anyhow::Result<()> {
    together(session, || {
        let applied = of_sqlx(session, files)?;
        let dirty = applied
            .iter()
            .any(|row| row.version == *version && !row.success);
        if !dirty {
            return Err(Stop::refused(format!("version `{version}` is not dirty"))
                .hint("`chatctl migrate status` tells how every version stands")
                .into());
        }
        let sql = match how {
            Resolution::Applied => {
                "UPDATE main._sqlx_migrations SET success = TRUE WHERE version = ?"
            }
            Resolution::Retry => {
                "DELETE FROM main._sqlx_migrations WHERE version = ? AND NOT success"
            }
        };
        session.execute(sql, &[number(version)?])
    })
}

/// All of it or nothing.
fn together<T>(session: &Session, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    session.execute("BEGIN IMMEDIATE", &[])?;
    let done = work();
    session.execute(if done.is_ok() { "COMMIT" } else { "ROLLBACK" }, &[])?;
    done
}
