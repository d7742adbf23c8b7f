//! The store that a command reads, and the place of its chats.

use super::Env;
use crate::cli_error::CliError;
use crate::config::From;
use crate::db::{Db, Target};
use crate::model::Table;
use crate::report::StoreLine;
use crate::store::{Mapping, Origin};
use crate::{db, store};

/// An open store, read-only, and its mapping.
pub struct Chats {
    /// The store.
    pub db: Box<dyn Db>,
    /// Its tables.
    pub schema: Vec<Table>,
    /// Where the chats are.
    pub mapping: Mapping,
}

impl Env {
    /// The database that is asked for; its password is masked from here on.
    pub fn target(&self) -> anyhow::Result<Target> {
        let flag = self.database_url.as_deref();
        let url = self.config.value("database-url", flag)?;
        let url = url.ok_or_else(|| {
            CliError::usage("no store").hint(
                "use --database-url sqlite:PATH, postgres://… or mysql://…, or set DATABASE_URL \
                 or `database-url` in chatctl.toml",
            )
        })?;
        self.target_of(&url)
    }

    /// The database of a URL; its password is masked from here on.
    pub fn target_of(&self, url: &str) -> anyhow::Result<Target> {
        self.mask.keep_of(url);
        let target = self.parsed(url)?;
        self.progress
            .note(&format!("store: {target} ({})", target.engine()));
        Ok(target)
    }

    /// Takes a URL apart. The error of one that nobody gave on the command line says where it came from.
    pub fn parsed(&self, url: &str) -> Result<Target, CliError> {
        Target::parse(url).map_err(|stop| {
            let (_, from) = self
                .config
                .get("database-url", self.database_url.as_deref());
            match from {
                From::Environment(_) | From::File(_) => CliError {
                    message: format!("{} (from: {from})", stop.message),
                    ..stop
                },
                From::Flag | From::Default => stop,
            }
        })
    }

    /// Opens the store to be read for long, and finds its chats.
    pub async fn chats(&self) -> anyhow::Result<Chats> {
        self.chats_of(db::open_unobtrusive(self.target()?).await?)
            .await
    }

    /// Opens the store so that each read sees what was written before, and finds its chats.
    pub async fn live_chats(&self) -> anyhow::Result<Chats> {
        self.chats_of(db::open(self.target()?).await?).await
    }

    /// Says where the messages are.
    pub fn note_mapping(&self, mapping: &Mapping) {
        self.progress.note(&match (self.verbose, &mapping.origin) {
            (true, _) => format!("messages: {mapping:#}"),
            // Why is long, and a command of its own tells it.
            (false, Origin::Detected(_)) => format!(
                "messages: table `{}`, detected: `chatctl inspect mapping` says why",
                mapping.table()
            ),
            (false, Origin::Declared | Origin::Preset { .. }) => format!("messages: {mapping}"),
        });
    }

    /// The chats: as declared, by a preset, or by what the tables look like.
    async fn chats_of(&self, db: Box<dyn Db>) -> anyhow::Result<Chats> {
        let schema = db.schema().await?;
        self.mask.know(&schema);
        let mapping = store::choose(db.as_ref(), &self.config.store, &schema).await?;
        self.note_mapping(&mapping);
        if let Origin::Detected(_) = mapping.origin {
            for misfit in store::misfits(&schema) {
                self.progress.note(&misfit.to_string());
            }
        }
        if let Some(what) = mapping.unreadable() {
            self.progress.note(&format!("not readable: {what}"));
        }
        Ok(Chats {
            db,
            schema,
            mapping,
        })
    }
}

impl Chats {
    /// The line of a report that names the store.
    pub fn line(&self) -> StoreLine {
        let target = self.db.target();
        StoreLine {
            backend: target.engine().to_string(),
            url: target.to_string(),
            mapping: self.mapping.short(),
        }
    }
}
