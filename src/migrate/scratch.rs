//! A database beside the real one, to try things on: empty, or a copy.

use super::backup;
use super::tools;
use crate::db::Session;
use crate::db::Target;
use crate::stop::Stop;
use std::path::Path;
use tempfile::TempDir;

/// How often a scratch database is tried to be removed.
const REMOVALS: usize = 3;

/// A database that nobody else knows. On a server it has to be removed.
pub struct Scratch {
    /// Where it is.
    pub target: Target,
    /// Its folder, when it is a file.
    folder: Option<TempDir>,
}

impl Scratch {
    /// An empty one.
    pub fn empty(session: &mut dyn Session, of: &Target) -> anyhow::Result<Self> {
        if of.is_file() {
            let folder = tempfile::tempdir()?;
            let path = folder.path().join("scratch.db").display().to_string();
            return Ok(Self {
                target: of.sibling(&path),
                folder: Some(folder),
            });
        }
        let name = format!("chatctl_scratch_{:08x}", fastrand::u32(..));
        session.command(&format!("CREATE DATABASE {name}")).map_err(|failed| {
            Stop::refused(format!("no scratch database could be made: {}", failed.message))
                .hint("let this user make databases whose name begins with chatctl_scratch_, or use another user")
        })?;
        Ok(Self {
            target: of.sibling(&name),
            folder: None,
        })
    }

    /// A copy of the database with its rows.
    pub fn copy(
        session: &mut dyn Session,
        of: &Target,
        into: &mut dyn FnMut(&Target) -> anyhow::Result<Box<dyn Session>>,
    ) -> anyhow::Result<Self> {
        let scratch = Self::empty(session, of)?;
        let filled = match of.backend() {
            "mysql" => into(&scratch.target)
                .and_then(|mut copy| scratch.fill(session, copy.as_mut(), &|_| None)),
            "postgres" => by_dump(of, &scratch.target),
            _ => {
                let path = scratch.target.path().display().to_string();
                let literal = path.replace('\'', "''");
                session
                    .command(&format!("VACUUM INTO '{literal}'"))
                    .map_err(anyhow::Error::from)
            }
        };
        match filled {
            Ok(()) => Ok(scratch),
            Err(error) => {
                scratch.remove(session)?;
                Err(error)
            }
        }
    }

    /// Removes it.
    pub fn remove(&self, session: &mut dyn Session) -> anyhow::Result<()> {
        if self.folder.is_some() {
            return Ok(());
        }
        let force = if self.target.backend() == "postgres" {
            " WITH (FORCE)"
        } else {
            ""
        };
        let drop = format!("DROP DATABASE IF EXISTS {}{force}", self.target.database());
        // A signal stops the statements of every connection, this one's among them.
        for _ in 1..REMOVALS {
            if session.command(&drop).is_ok() {
                return Ok(());
            }
        }
        Ok(session.command(&drop)?)
    }

    /// Drops everything in a scratch database of MySQL.
    pub(super) fn clear(&self, copy: &mut dyn Session) -> anyhow::Result<()> {
        let name = self.target.database();
        copy.command(&format!(
            "DROP DATABASE {name}; CREATE DATABASE {name}; USE {name}"
        ))?;
        Ok(())
    }

    /// Fills a scratch database of MySQL with what the real one has, in plain statements: tables,
    /// rows (at most so many of a table as `rows` says for its size in bytes), views, routines and
    /// triggers. What reads while it copies sets no lock.
    pub(super) fn fill(
        &self,
        session: &mut dyn Session,
        copy: &mut dyn Session,
        rows: &dyn Fn(u64) -> Option<u64>,
    ) -> anyhow::Result<()> {
        let real = session.rows("SELECT database()")?[0][0].to_string();
        let (real, scratch) = (quoted(&real), quoted(&self.target.database()));
        copy.command(
            "SET SESSION foreign_key_checks = 0; SET SESSION sql_mode = concat(@@sql_mode, ',NO_AUTO_VALUE_ON_ZERO'); \
             SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
        )?;
        let tables = session.rows("SHOW FULL TABLES")?;
        let (views, tables): (Vec<_>, Vec<_>) = tables
            .iter()
            .map(|row| (row[0].to_string(), row[1].text() == Some("VIEW")))
            .partition(|(_, is_view)| *is_view);
        for (name, _) in &tables {
            let made = session.rows(&format!("SHOW CREATE TABLE {}", quoted(name)))?;
            copy.command(&made[0][1].to_string())?;
        }
        for shape in session.catalog()? {
            let list: Vec<_> = shape
                .columns
                .iter()
                .map(|column| quoted(&column.name))
                .collect();
            let (list, table) = (list.join(", "), quoted(&shape.name));
            let limit = rows(session.size(&shape.name)?)
                .map_or(String::new(), |rows| format!(" LIMIT {rows}"));
            copy.command(&format!(
                "INSERT INTO {scratch}.{table} ({list}) SELECT {list} FROM {real}.{table}{limit}"
            ))?;
        }
        let mut views: Vec<_> = views.into_iter().map(|(name, _)| name).collect();
        // A view can read another one, which then has to be there: as often as one more works.
        while !views.is_empty() {
            let mut left = Vec::new();
            let mut failed = None;
            for name in &views {
                let made = session.rows(&format!("SHOW CREATE VIEW {}", quoted(name)))?;
                let text = made[0][1].to_string().replace(&format!("{real}."), "");
                if let Err(why) = copy.command(&without_definer(&text)) {
                    failed = Some(why);
                    left.push(name.clone());
                }
            }
            match failed {
                Some(why) if left.len() == views.len() => return Err(why.into()),
                _ => views = left,
            }
        }
        for kind in ["PROCEDURE", "FUNCTION"] {
            for row in session.rows(&format!("SHOW {kind} STATUS WHERE Db = database()"))? {
                let made = session.rows(&format!(
                    "SHOW CREATE {kind} {}",
                    quoted(&row[1].to_string())
                ))?;
                copy.command(&without_definer(&made[0][2].to_string()))?;
            }
        }
        for row in session.rows("SHOW TRIGGERS")? {
            let made = session.rows(&format!(
                "SHOW CREATE TRIGGER {}",
                quoted(&row[0].to_string())
            ))?;
            copy.command(&without_definer(&made[0][2].to_string()))?;
        }
        copy.command(
            "SET SESSION foreign_key_checks = DEFAULT; SET SESSION sql_mode = DEFAULT; SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        )?;
        Ok(())
    }
}

fn by_dump(of: &Target, to: &Target) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = backup::take(of, Some(folder.path()), "copy")?;
    let restored = restore_into(to, &path);
    // The rows of all conversations were in it.
    folder.close()?;
    restored
}

fn restore_into(to: &Target, path: &Path) -> anyhow::Result<()> {
    let Some(login) = to.login() else {
        return Ok(());
    };
    let mut command = tools::PG_RESTORE.command(&login)?;
    command.args(["--single-transaction", "--exit-on-error", "--no-owner"]);
    Ok(tools::run(
        command
            .arg(format!("--dbname={}", login.database))
            .arg(path),
    )?)
}

/// Only a superuser may make something in another user's name.
fn without_definer(sql: &str) -> String {
    let Some(at) = sql.find("DEFINER=") else {
        return sql.to_owned();
    };
    let end = sql[at..].find(' ').map_or(sql.len(), |length| at + length);
    format!("{}{}", &sql[..at], &sql[end..])
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}
