//! A database beside the real one, to try things on: empty, or a copy.

mod forsaken;

use super::backup;
use super::dialect;
use super::tools;
use crate::db::Failed;
use crate::db::Session;
use crate::db::Target;
use crate::model::Cell;
use crate::stop::Stop;
use crate::temporary::Folder;
use std::path::Path;

/// How often a scratch database is tried to be removed.
const REMOVALS: usize = 3;

/// A database that nobody else knows. On a server it has to be removed.
pub struct Scratch {
    /// Where it is.
    pub target: Target,
    /// The same for a user who can reach nothing else; absent where none could be made.
    pub confined: Option<Target>,
    /// Whether that user can come in.
    pub lets_in: bool,
    /// Its folder, when it is a file.
    folder: Option<Folder>,
}

impl Scratch {
    /// An empty one.
    pub fn empty(session: &mut dyn Session, of: &Target) -> anyhow::Result<Self> {
        if of.is_file() {
            let folder = Folder::new()?;
            let path = folder.path().join("scratch.db").display().to_string();
            return Ok(Self {
                target: of.sibling(&path),
                confined: None,
                lets_in: false,
                folder: Some(folder),
            });
        }
        let dialect = dialect(of.backend());
        forsaken::sweep(session, dialect)?;
        let name = forsaken::claim(session, dialect)?;
        session.command(&format!("CREATE DATABASE {name}")).map_err(|failed| {
            Stop::refused(format!("no scratch database could be made: {}", failed.message))
                .hint("let this user make databases whose name begins with chatctl_scratch_, or use another user")
        })?;
        let target = of.sibling(&name);
        let confined = confine(session, &target);
        Ok(Self {
            lets_in: confined.is_some(),
            confined,
            target,
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
        let name = self.target.database();
        let postgres = self.target.backend() == "postgres";
        let force = if postgres { " WITH (FORCE)" } else { "" };
        let mut drops = Vec::new();
        // The database goes last: a later run finds what is left by its name.
        if self.confined.is_some() {
            drops.push(format!("DROP USER IF EXISTS {}", whom(session, &name)?));
        }
        drops.push(format!("DROP DATABASE IF EXISTS {name}{force}"));
        if !postgres {
            drops.push(format!("DO release_lock('{name}')"));
        }
        for drop in drops {
            // A signal stops the statements of every connection, this one's among them.
            let done = (1..REMOVALS).any(|_| session.command(&drop).is_ok());
            if !done {
                session.command(&drop)?;
            }
        }
        Ok(())
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
        loosen(session)?;
        loosen(copy)?;
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
            // By the connection that may read the real one.
            session.command(&format!(
                "INSERT INTO {scratch}.{table} ({list}) SELECT {list} FROM {real}.{table}{limit}"
            ))?;
        }
        let code = Code {
            real: &real,
            confined: self.lets_in,
        };
        for kind in ["PROCEDURE", "FUNCTION"] {
            for row in session.rows(&format!("SHOW {kind} STATUS WHERE Db = database()"))? {
                let name = quoted(&row[1].to_string());
                let made = session.rows(&format!("SHOW CREATE {kind} {name}"))?;
                code.make(copy, &made[0])?;
            }
        }
        let mut views: Vec<_> = views.into_iter().map(|(name, _)| name).collect();
        // A view can read another one, which then has to be there: as often as one more works. One
        // that is broken is left out, as it holds nothing.
        loop {
            let before = views.len();
            let mut left = Vec::new();
            for name in views {
                let made = session.rows(&format!("SHOW CREATE VIEW {}", quoted(&name)));
                let Ok(made) = made else { continue };
                let text = made[0][1].to_string().replace(&format!("{real}."), "");
                if copy.command(&without_definer(&text)).is_err() {
                    left.push(name);
                }
            }
            if left.is_empty() || left.len() == before {
                break;
            }
            views = left;
        }
        for row in session.rows("SHOW TRIGGERS")? {
            let name = quoted(&row[0].to_string());
            let made = session.rows(&format!("SHOW CREATE TRIGGER {name}"))?;
            code.make(copy, &made[0])?;
        }
        tighten(session)?;
        Ok(tighten(copy)?)
    }
}

/// Lets rows in as they are, and reads without a lock.
fn loosen(side: &mut dyn Session) -> Result<(), Failed> {
    // Rows may be older than a check. MySQL has no such setting.
    let _ = side.command("SET SESSION check_constraint_checks = 0");
    side.command(
        "SET SESSION foreign_key_checks = 0; SET SESSION sql_mode = concat(@@sql_mode, ',NO_AUTO_VALUE_ON_ZERO'); \
         SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    )
}

fn tighten(side: &mut dyn Session) -> Result<(), Failed> {
    let _ = side.command("SET SESSION check_constraint_checks = DEFAULT");
    side.command(
        "SET SESSION foreign_key_checks = DEFAULT; SET SESSION sql_mode = DEFAULT; SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    )
}

/// Routines and triggers of the real database, made again in the copy.
struct Code<'a> {
    real: &'a str,
    confined: bool,
}

impl Code<'_> {
    /// From a row of SHOW CREATE: name, SQL mode, text.
    fn make(&self, copy: &mut dyn Session, row: &[Cell]) -> anyhow::Result<()> {
        let text = row[2].to_string();
        let bare = self.real.trim_matches('`');
        let named = [format!("{}.", self.real), format!("{bare}.")];
        if !self.confined && named.iter().any(|name| text.contains(name)) {
            return Err(Stop::refused(format!(
                "`{}` names its own database, and on a copy it would write the real one",
                row[0]
            ))
            .hint(CONFINE)
            .into());
        }
        let mode = row[1].to_string().replace('\'', "");
        copy.command(&format!("SET SESSION sql_mode = '{mode}'"))?;
        copy.command(&without_definer(&text))?;
        copy.command("SET SESSION sql_mode = DEFAULT")?;
        Ok(())
    }
}

/// How a rehearsal is kept within its copy.
pub(super) const CONFINE: &str = "GRANT CREATE USER, GRANT OPTION ON *.* to this user, so that the rehearsal runs as one who reaches the copy only";

/// A user who can reach the scratch database and nothing else, whatever a statement or a trigger
/// says; only MySQL needs one, and not everybody may make it.
fn confine(session: &mut dyn Session, target: &Target) -> Option<Target> {
    if target.backend() != "mysql" {
        return None;
    }
    let name = target.database();
    let password = format!("{:032x}", fastrand::u128(..));
    let whom = whom(session, &name).ok()?;
    session
        .command(&format!("CREATE USER {whom} IDENTIFIED BY '{password}'"))
        .ok()?;
    let granted = session.command(&format!("GRANT ALL ON {name}.* TO {whom}"));
    if granted.is_err() {
        let _ = session.command(&format!("DROP USER IF EXISTS {whom}"));
    }
    granted.ok()?;
    Some(target.for_user(&name, &password))
}

/// A user of that name who comes from where this one does: for any other host the nameless user of
/// a new server would come first.
fn whom(session: &mut dyn Session, name: &str) -> anyhow::Result<String> {
    let host = session.rows("SELECT substring_index(user(), '@', -1)")?[0][0].to_string();
    Ok(format!("{}@{}", quoted(name), quoted(&host)))
}

fn by_dump(of: &Target, to: &Target) -> anyhow::Result<()> {
    let folder = Folder::new()?;
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

/// Only a superuser may make something in another user's name. Both parts of the name may be in
/// backticks, and then hold anything.
fn without_definer(sql: &str) -> String {
    let Some(at) = sql.find("DEFINER=") else {
        return sql.to_owned();
    };
    let mut inside = false;
    let end = sql[at..].char_indices().find(|(_, character)| {
        inside ^= *character == '`';
        !inside && character.is_whitespace()
    });
    let end = end.map_or(sql.len(), |(length, _)| at + length);
    format!("{}{}", &sql[..at], &sql[end..])
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

#[cfg(test)]
mod tests {
    use super::without_definer;

    #[test]
    fn a_definer_is_cut_out() {
        for (with, without) in [
            ("CREATE DEFINER=`root`@`%` TRIGGER t", "CREATE  TRIGGER t"),
            (
                "CREATE DEFINER=`my user`@`localhost` VIEW v",
                "CREATE  VIEW v",
            ),
            ("CREATE VIEW v", "CREATE VIEW v"),
        ] {
            assert_eq!(without_definer(with), without);
        }
    }
}
