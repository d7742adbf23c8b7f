//! A database next to the real one, to try things on: empty, or a copy.

mod fill;
mod forsaken;

use super::{backup, dialect, tools};
use crate::db;
use crate::db::{Session, Target};
use crate::model::Engine;
use crate::stop::Stop;
use crate::temporary::Folder;
use std::collections::BTreeSet;
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
    /// The database next to it that holds what the tables held before; of MySQL, for a rehearsal.
    pub aside: Option<String>,
    /// The tables that this user may reach; none when that is everything.
    pub granted: Option<BTreeSet<String>>,
    /// Whether its statements read files of the server.
    pub reads_files: bool,
    /// Whether nothing that is written there goes through the binary log.
    pub quiet: bool,
    /// Its folder, when it is a file.
    folder: Option<Folder>,
}

/// How the name of the database ends that holds what the tables held before.
const ASIDE: &str = "_before";

/// What is copied of a database.
pub struct Extent<'a> {
    /// The tables; all of them, with views, routines and triggers, when none are named.
    pub tables: Option<&'a BTreeSet<String>>,
    /// How many rows of a table, for its size in bytes; all when none is said.
    pub rows: &'a dyn Fn(u64) -> Option<u64>,
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
                aside: None,
                granted: None,
                reads_files: false,
                quiet: false,
                folder: Some(folder),
            });
        }
        let dialect = dialect(of.engine());
        forsaken::sweep(session, dialect)?;
        let name = forsaken::claim(session, dialect)?;
        session.command(&format!("CREATE DATABASE {name}")).map_err(|failed| {
            Stop::refused(format!("no scratch database could be made: {}", failed.message))
                .hint("let this user make databases whose name begins with chatctl_scratch_, or use another user")
        })?;
        Ok(Self {
            target: of.sibling(&name),
            confined: None,
            lets_in: false,
            aside: None,
            granted: None,
            reads_files: false,
            quiet: false,
            folder: None,
        })
    }

    /// An empty one of MySQL for a rehearsal: with a user who can reach nothing else, where one can
    /// be made, and a place for what the tables held before.
    pub(super) fn rehearsal(session: &mut dyn Session, of: &Target) -> anyhow::Result<Self> {
        // A replica has no use for it.
        let logs = session.rows("SELECT @@log_bin")?[0][0].text() == Some("1");
        let quiet = logs && session.command("SET SESSION sql_log_bin = 0").is_ok();
        let mut scratch = Self::empty(session, of)?;
        scratch.quiet = quiet;
        let aside = format!("{}{ASIDE}", scratch.target.database());
        let made = session.command(&format!("CREATE DATABASE {aside}"));
        scratch.aside = Some(aside.clone());
        if let Err(failed) = made {
            scratch.remove(session)?;
            return Err(failed.into());
        }
        if quiet {
            // Only its definer may turn the log off.
            session.command(&format!(
                "CREATE PROCEDURE {aside}.quiet() SQL SECURITY DEFINER SET SESSION sql_log_bin = 0"
            ))?;
        }
        scratch.confined = confine(session, &scratch.target);
        if scratch.revoke(session).is_err() {
            // Who may make users may not give them rights.
            let whom = scratch.whom(session)?;
            let _ = session.command(&format!("DROP USER IF EXISTS {whom}"));
            scratch.confined = None;
        }
        scratch.lets_in = scratch.confined.is_some();
        Ok(scratch)
    }

    /// Lets the user of the rehearsal reach whatever is in the copy.
    pub(super) fn grant_all(&mut self, session: &mut dyn Session) -> anyhow::Result<()> {
        if self.confined.is_some() && self.granted.is_some() {
            let (name, whom) = (self.pattern(), self.whom(session)?);
            session.command(&format!("GRANT ALL ON {name}.* TO {whom}"))?;
            self.granted = None;
        }
        Ok(())
    }

    /// Lets the user of the rehearsal reach these tables too.
    pub(super) fn grant(
        &mut self,
        session: &mut dyn Session,
        tables: &BTreeSet<String>,
    ) -> anyhow::Result<()> {
        if self.confined.is_none() {
            return Ok(());
        }
        let (name, whom) = (self.target.database(), self.whom(session)?);
        let Some(granted) = &mut self.granted else {
            return Ok(());
        };
        for table in tables.difference(granted) {
            let table = quoted(table);
            session.command(&format!("GRANT ALL ON {name}.{table} TO {whom}"))?;
        }
        granted.extend(tables.iter().cloned());
        Ok(())
    }

    /// Takes from the user of the rehearsal every right but to come in.
    pub(super) fn revoke(&mut self, session: &mut dyn Session) -> anyhow::Result<()> {
        if self.confined.is_none() {
            return Ok(());
        }
        let (name, whom) = (self.pattern(), self.whom(session)?);
        session.command(&format!("REVOKE ALL PRIVILEGES, GRANT OPTION FROM {whom}"))?;
        session.command(&format!(
            "GRANT CREATE TEMPORARY TABLES, LOCK TABLES ON {name}.* TO {whom}"
        ))?;
        if let (true, Some(aside)) = (self.quiet, &self.aside) {
            session.command(&format!(
                "GRANT EXECUTE ON PROCEDURE {aside}.quiet TO {whom}"
            ))?;
        }
        if self.reads_files {
            // Who may not read files has given no right to it, and the statement fails in both places.
            let _ = session.command(&format!("GRANT FILE ON *.* TO {whom}"));
        }
        self.granted = Some(BTreeSet::new());
        Ok(())
    }

    /// Its name where one stands for a pattern.
    fn pattern(&self) -> String {
        quoted(&self.target.database().replace('_', "\\_"))
    }

    fn whom(&self, session: &mut dyn Session) -> anyhow::Result<String> {
        whom(session, &self.target.database())
    }

    /// A copy of the database with its rows.
    pub fn copy(
        session: &mut dyn Session,
        of: &Target,
        into: &mut dyn FnMut(&Target) -> anyhow::Result<Box<dyn Session>>,
    ) -> anyhow::Result<Self> {
        let scratch = Self::empty(session, of)?;
        let everything = Extent {
            tables: None,
            rows: &|_| None,
        };
        let filled = match of.engine() {
            Engine::Mysql => into(&scratch.target)
                .and_then(|mut copy| scratch.fill(session, copy.as_mut(), &everything)),
            Engine::Postgres => by_dump(of, &scratch.target),
            Engine::Sqlite => {
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
        let engine = self.target.engine();
        let mut drops = Vec::new();
        // The database goes last: a later run finds what is left by its name.
        if self.confined.is_some() {
            drops.push(format!("DROP USER IF EXISTS {}", whom(session, &name)?));
        }
        let aside = self.aside.iter();
        drops.extend(aside.map(|aside| format!("DROP DATABASE IF EXISTS {aside}")));
        let drop = format!("DROP DATABASE IF EXISTS {name}");
        match engine {
            // It is a file in the folder.
            Engine::Sqlite => {}
            Engine::Postgres => drops.push(format!("{drop} WITH (FORCE)")),
            Engine::Mysql => drops.extend([drop, format!("DO release_lock('{name}')")]),
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

    /// Drops everything in a scratch database of MySQL, and what was saved of it.
    pub(super) fn clear(&self, session: &mut dyn Session) -> anyhow::Result<()> {
        let name = self.target.database();
        session.command(&format!("DROP DATABASE {name}; CREATE DATABASE {name}"))?;
        let aside = self.aside.as_deref().unwrap_or_default();
        for row in session.rows(&format!("SHOW TABLES FROM {aside}"))? {
            session.command(&format!(
                "DROP TABLE {aside}.{}",
                quoted(&row[0].to_string())
            ))?;
        }
        Ok(())
    }
}

/// How a rehearsal is kept within its copy.
pub(super) const CONFINE: &str = "GRANT CREATE USER, GRANT OPTION ON *.* to this user, so that the rehearsal runs as one who reaches the copy only";

/// A user who can reach the scratch database and nothing else, whatever a statement or a trigger
/// says. Not everybody may make one.
fn confine(session: &mut dyn Session, target: &Target) -> Option<Target> {
    let name = target.database();
    let password = format!("{:032x}", fastrand::u128(..));
    let whom = whom(session, &name).ok()?;
    session
        .command(&format!("CREATE USER {whom} IDENTIFIED BY '{password}'"))
        .ok()?;
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
    let login = tools::login(to)?;
    let mut command = tools::PG_RESTORE.command(&login)?;
    command.args(["--single-transaction", "--exit-on-error", "--no-owner"]);
    Ok(tools::run(
        command
            .arg(format!("--dbname={}", login.database))
            .arg(path),
    )?)
}

fn quoted(name: &str) -> String {
    (db::catalog(Engine::Mysql).spelling.quote)(name)
}
