//! Scratch databases on a server of MySQL, and the copy that a migration is rehearsed on.

mod fill;
mod forsaken;

use super::catalog::quote;
use crate::db::scratch::{Extent, Place, Scratch, Server};
use crate::db::{Session, Target};
use crate::model::Cell;
use std::collections::BTreeSet;

/// What the copy of a routine says that this user may not read.
pub(super) const UNREADABLE: &str = "this user may not read the text of this routine";
/// The right to read the text of others' routines. MySQL's servers have the first, and MariaDB's
/// the second.
pub(super) const READ_ROUTINES: &str = "GRANT SHOW_ROUTINE ON *.*, or SELECT ON mysql.proc";

/// How the name of the database ends that holds what the tables held before.
const IMAGES: &str = "_before";

pub(super) const PLACE: Place = Place::Server(Server {
    allow: "as root: GRANT ALL ON `chatctl\\_scratch\\_%`.* TO this user; or use another user",
    claim: forsaken::claim,
    like,
    sweep: forsaken::sweep,
    fill: |scratch, session, _, open| {
        let everything = Extent {
            tables: None,
            rows: &|_| None,
        };
        let mut copy = open(&scratch.target)?;
        scratch.fill(session, copy.as_mut(), &everything)
    },
    drop,
});

/// A table takes the character set of its database, where its statement names none.
fn like(session: &mut dyn Session) -> anyhow::Result<String> {
    let own = session.rows(
        "SELECT default_character_set_name, default_collation_name FROM information_schema.schemata \
         WHERE schema_name = database()",
    )?;
    let like = |row: &[Cell]| format!(" CHARACTER SET {} COLLATE {}", row[0], row[1]);
    Ok(own.first().map(|row| like(row)).unwrap_or_default())
}

fn drop(scratch: &Scratch, session: &mut dyn Session) -> anyhow::Result<Vec<String>> {
    let name = scratch.target.database();
    let user = match scratch.confined {
        Some(_) => Some(format!("DROP USER IF EXISTS {}", whom(session, &name)?)),
        None => None,
    };
    let databases = scratch.images.iter().chain([&name]);
    let databases = databases.map(|name| format!("DROP DATABASE IF EXISTS {name}"));
    let unlock = format!("DO release_lock('{name}')");
    Ok(user.into_iter().chain(databases).chain([unlock]).collect())
}

impl Scratch {
    /// An empty one for a rehearsal: with a user who can reach nothing else, where one can
    /// be made, and a place for what the tables held before.
    pub fn rehearsal(session: &mut dyn Session, of: &Target) -> anyhow::Result<Self> {
        // A replica has no use for it.
        let logs = session.rows("SELECT @@log_bin")?[0][0].text() == Some("1");
        let quiet = logs && session.command("SET SESSION sql_log_bin = 0").is_ok();
        let mut scratch = Self::empty(session, of)?;
        scratch.quiet = quiet;
        let images = format!("{}{IMAGES}", scratch.target.database());
        let like = scratch.like.clone();
        scratch.images = Some(images.clone());
        if quiet {
            // Only its definer may turn the log off.
            let made = session.command(&format!(
                "CREATE DATABASE {images}{like}; \
                 CREATE PROCEDURE {images}.quiet() SQL SECURITY DEFINER SET SESSION sql_log_bin = 0"
            ));
            if let Err(failed) = made {
                scratch.remove(session)?;
                return Err(failed.into());
            }
        }
        scratch.confined = confine(session, &scratch.target);
        // A new user has no right that could be taken.
        if scratch.let_in(session).is_err() {
            // Who may make users may not give them rights.
            let whom = scratch.whom(session)?;
            let _ = session.command(&format!("DROP USER IF EXISTS {whom}"));
            scratch.confined = None;
        }
        scratch.lets_in = scratch.confined.is_some();
        Ok(scratch)
    }

    /// An empty one for the trial of a dump: with a user who can write nowhere else, where one can be made.
    /// Views of the dump may read other databases, and be of another user.
    pub fn trial(session: &mut dyn Session, of: &Target) -> anyhow::Result<Self> {
        let mut scratch = Self::empty(session, of)?;
        scratch.confined = confine(session, &scratch.target);
        if scratch.confined.is_none() {
            return Ok(scratch);
        }
        let (name, whom) = (scratch.pattern(), scratch.whom(session)?);
        let granted = session.command(&format!("GRANT ALL ON {name}.* TO {whom}"));
        if granted.is_err() {
            let _ = session.command(&format!("DROP USER IF EXISTS {whom}"));
            scratch.confined = None;
            // A grant to a user who is gone makes that user again on some servers, without a password.
            return Ok(scratch);
        }
        // The first is MariaDB's word, and the others MySQL's of 8.0 and of 8.2.
        for right in [
            "SET USER",
            "SET_USER_ID",
            "SET_ANY_DEFINER",
            "SELECT, SHOW VIEW",
        ] {
            let _ = session.command(&format!("GRANT {right} ON *.* TO {whom}"));
        }
        Ok(scratch)
    }

    /// Makes the place for what the tables held before, where there is none yet.
    pub fn keep_images(&self, session: &mut dyn Session) -> anyhow::Result<()> {
        let images = self.images.as_deref().unwrap_or_default();
        let like = &self.like;
        Ok(session.command(&format!("CREATE DATABASE IF NOT EXISTS {images}{like}"))?)
    }

    /// Lets the user of the rehearsal reach whatever is in the copy.
    pub fn grant_all(&mut self, session: &mut dyn Session) -> anyhow::Result<()> {
        if self.confined.is_some() && self.granted.is_some() {
            let (name, whom) = (self.pattern(), self.whom(session)?);
            session.command(&format!("GRANT ALL ON {name}.* TO {whom}"))?;
            self.granted = None;
        }
        Ok(())
    }

    /// Lets the user of the rehearsal reach these tables too.
    pub fn grant(
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
            let table = quote(table);
            session.command(&format!("GRANT ALL ON {name}.{table} TO {whom}"))?;
        }
        granted.extend(tables.iter().cloned());
        Ok(())
    }

    /// Takes from the user of the rehearsal every right but to come in.
    pub fn revoke(&mut self, session: &mut dyn Session) -> anyhow::Result<()> {
        if self.confined.is_none() {
            return Ok(());
        }
        let whom = self.whom(session)?;
        session.command(&format!("REVOKE ALL PRIVILEGES, GRANT OPTION FROM {whom}"))?;
        self.let_in(session)
    }

    /// Gives the user of the rehearsal what is needed to come in, and for temporary tables.
    fn let_in(&mut self, session: &mut dyn Session) -> anyhow::Result<()> {
        if self.confined.is_none() {
            return Ok(());
        }
        let (name, whom) = (self.pattern(), self.whom(session)?);
        session.command(&format!(
            "GRANT CREATE TEMPORARY TABLES, LOCK TABLES ON {name}.* TO {whom}"
        ))?;
        if let (true, Some(images)) = (self.quiet, &self.images) {
            session.command(&format!(
                "GRANT EXECUTE ON PROCEDURE {images}.quiet TO {whom}"
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
        quote(&self.target.database().replace('_', "\\_"))
    }

    fn whom(&self, session: &mut dyn Session) -> anyhow::Result<String> {
        whom(session, &self.target.database())
    }

    /// Drops everything in it.
    pub fn empty_again(&self, session: &mut dyn Session) -> anyhow::Result<()> {
        let (name, like) = (self.target.database(), &self.like);
        Ok(session.command(&format!(
            "DROP DATABASE {name}; CREATE DATABASE {name}{like}"
        ))?)
    }

    /// Drops everything in it, and what was saved of it.
    pub fn clear(&self, session: &mut dyn Session) -> anyhow::Result<()> {
        self.empty_again(session)?;
        let images = self.images.as_deref().unwrap_or_default();
        for row in session.rows(&format!("SHOW TABLES FROM {images}"))? {
            session.command(&format!(
                "DROP TABLE {images}.{}",
                quote(&row[0].to_string())
            ))?;
        }
        Ok(())
    }
}

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
    Ok(format!("{}@{}", quote(name), quote(&host)))
}
