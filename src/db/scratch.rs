//! A scratch database next to the real one: empty, or a copy.

use super::{Session, Target, row};
use crate::cli_error::CliError;
use crate::temporary::Folder;
use std::collections::BTreeSet;
use std::path::Path;

/// How the names of scratch databases, their users and their locks begin.
pub(super) const PREFIX: &str = "chatctl_scratch_";

/// How often a scratch database is tried to be removed.
const REMOVALS: usize = 3;

/// What lets sessions write that can't.
const READ_ONLY: &str = "the sessions of this user can't write: reset default_transaction_read_only (PostgreSQL) or \
    read_only (MySQL), or use the primary server";

/// How a rehearsal is kept within its copy.
pub const CONFINE: &str = "GRANT CREATE USER, GRANT OPTION ON *.* to this user, so that the rehearsal runs as a \
    user with access to the copy only";

/// Where an engine makes a scratch database, and how it copies the real one there.
pub(super) enum Place {
    /// In a file of its own.
    File {
        /// A statement that writes a copy of the database into a file.
        copy: fn(&Path) -> String,
    },
    /// On the same server.
    Server(Server),
}

/// What an engine does with scratch databases on its server.
pub(super) struct Server {
    /// What lets a user make them.
    pub(super) allow: &'static str,
    /// A name for a new one, by which other runs see that this session uses it.
    pub(super) claim: fn(&mut dyn Session) -> anyhow::Result<String>,
    /// What makes a new database like the session's own: its character set, where tables take it from there.
    pub(super) like: fn(&mut dyn Session) -> anyhow::Result<String>,
    /// Drops those whose sessions are gone. Those that may not be dropped stay.
    pub(super) sweep: fn(&mut dyn Session) -> anyhow::Result<()>,
    /// Copies the database of the session.
    pub(super) fill: fn(&Scratch, &mut dyn Session, &Target, Open<'_>) -> anyhow::Result<()>,
    /// Statements that drop one and what belongs to it. The database goes last: a later run finds
    /// what is left by its name.
    pub(super) drop: fn(&Scratch, &mut dyn Session) -> anyhow::Result<Vec<String>>,
}

/// Opens a session of a scratch database.
pub(super) type Open<'a> = &'a mut dyn FnMut(&Target) -> anyhow::Result<Box<dyn Session>>;

/// A database that nobody else knows. On a server it has to be removed.
pub struct Scratch {
    /// Where it is.
    pub target: Target,
    /// The same for a user who can reach nothing else; absent where none could be made.
    pub confined: Option<Target>,
    /// Whether that user can come in.
    pub lets_in: bool,
    /// The database next to it that holds what the tables held before; of MySQL, for a rehearsal.
    pub images: Option<String>,
    /// The tables that this user may reach; none when that is everything.
    pub granted: Option<BTreeSet<String>>,
    /// Whether its statements read files of the server.
    pub reads_files: bool,
    /// What makes it like the real one, behind `CREATE DATABASE` and its name.
    pub(super) like: String,
    /// Whether nothing that is written there goes through the binary log.
    pub quiet: bool,
    /// Its folder, when it is a file.
    _folder: Option<Folder>,
}

/// What is copied of a database.
pub struct Extent<'a> {
    /// The tables; all of them, with views, routines and triggers, when none are named.
    pub tables: Option<&'a BTreeSet<String>>,
    /// How many rows of a table, for its size in bytes; all when none is said.
    pub rows: &'a dyn Fn(u64) -> Option<u64>,
}

impl Scratch {
    pub fn empty(session: &mut dyn Session, of: &Target) -> anyhow::Result<Self> {
        match &row(of.engine()).scratch {
            Place::File { .. } => {
                let folder = Folder::new()?;
                let path = folder.path().join("scratch.db").display().to_string();
                Ok(Self::at(of.sibling(&path), Some(folder)))
            }
            Place::Server(server) => {
                (server.sweep)(session)?;
                let name = (server.claim)(session)?;
                let like = (server.like)(session)?;
                session
                    .command(&format!("CREATE DATABASE {name}{like}"))
                    .map_err(|failed| {
                        CliError::refused(format!(
                            "no scratch database could be made: {}",
                            failed.message
                        ))
                        .hint(if failed.message.contains("read-only") {
                            READ_ONLY
                        } else {
                            server.allow
                        })
                    })?;
                Ok(Self {
                    like,
                    ..Self::at(of.sibling(&name), None)
                })
            }
        }
    }

    fn at(target: Target, folder: Option<Folder>) -> Self {
        Self {
            target,
            confined: None,
            lets_in: false,
            images: None,
            granted: None,
            reads_files: false,
            like: String::new(),
            quiet: false,
            _folder: folder,
        }
    }

    /// A copy of the database with its rows.
    pub fn copy(session: &mut dyn Session, of: &Target, open: Open<'_>) -> anyhow::Result<Self> {
        let scratch = Self::empty(session, of)?;
        let filled = match &row(of.engine()).scratch {
            Place::File { copy } => {
                let copied = session.command(&copy(scratch.target.path()));
                copied.map_err(anyhow::Error::from)
            }
            Place::Server(server) => (server.fill)(&scratch, session, of, open),
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
        let drops = match &row(self.target.engine()).scratch {
            // It goes with its folder.
            Place::File { .. } => return Ok(()),
            Place::Server(server) => (server.drop)(self, session)?,
        };
        for drop in drops {
            // A signal stops the statements of every connection, this one's among them.
            let done = (1..REMOVALS).any(|_| session.command(&drop).is_ok());
            if !done {
                session.command(&drop)?;
            }
        }
        Ok(())
    }
}
