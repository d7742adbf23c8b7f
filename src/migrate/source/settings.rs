//! The `[migrate]` part of `sqlx.toml`, which changes how sqlx reads a folder.

use crate::cli_error::CliError;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What `sqlx.toml` says about migrations (`sqlx-core` 0.9 `config/migrate.rs`).
///
/// An unknown key is an error there too, so that a misspelt `ignored-chars` cannot change checksums.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// Schemas which sqlx creates before its table.
    pub create_schemas: BTreeSet<String>,
    /// The history's table, `_sqlx_migrations` when absent; may be `schema.table`.
    pub table_name: Option<String>,
    /// The folder of migrations, relative to the file; `migrations` when absent.
    pub migrations_dir: Option<PathBuf>,
    /// Characters that the checksum leaves out.
    pub ignored_chars: BTreeSet<char>,
    /// How `sqlx migrate add` names new files; taken, and of no effect here.
    pub defaults: toml::Table,
    /// The file this was read from.
    #[serde(skip)]
    pub origin: Option<PathBuf>,
}

/// Only `[migrate]` is examined: the other sections are about macros and drivers.
#[derive(Deserialize)]
struct Whole {
    #[serde(default)]
    migrate: Settings,
}

impl Settings {
    /// Reads the text of a `sqlx.toml`.
    ///
    /// # Errors
    /// Stops when it is not TOML or sqlx 0.9 would refuse it.
    pub fn parse(text: &str, origin: &Path) -> Result<Self, CliError> {
        let whole: Whole = toml::from_str(text).map_err(|error| {
            let message = error.to_string();
            CliError::usage(format!(
                "`{}` is not a configuration of sqlx: {}",
                origin.display(),
                message.trim_end()
            ))
            .hint("correct it according to sqlx 0.9, or move it elsewhere if it is not sqlx's")
        })?;
        Ok(Self {
            origin: Some(origin.to_owned()),
            ..whole.migrate
        })
    }

    /// The table of the history.
    pub fn table(&self) -> &str {
        self.table_name.as_deref().unwrap_or("_sqlx_migrations")
    }

    /// The folder of migrations, relative to the file.
    pub fn dir(&self) -> &Path {
        self.migrations_dir
            .as_deref()
            .unwrap_or(Path::new("migrations"))
    }
}

#[cfg(test)]
mod tests {
    use super::Settings;
    use std::path::Path;

    fn parse(text: &str) -> Result<Settings, crate::cli_error::CliError> {
        Settings::parse(text, Path::new("sqlx.toml"))
    }

    #[test]
    fn the_keys_of_migrate_are_read_and_the_rest_is_left_alone() {
        let text = r#"
            [common]
            database-url-var = "CHAT_URL"
            [migrate]
            table-name = "chat._migrations"
            migrations-dir = "db/steps"
            ignored-chars = ["\r", "\uFEFF"]
            defaults.migration-type = "reversible"
        "#;
        let settings = parse(text).unwrap();
        assert_eq!(settings.table(), "chat._migrations");
        assert_eq!(settings.dir(), Path::new("db/steps"));
        assert_eq!(settings.ignored_chars, ['\r', '\u{FEFF}'].into());
    }

    #[test]
    fn without_the_section_sqlx_s_defaults_hold() {
        let settings = parse("[macros]\n").unwrap();
        assert_eq!(settings.table(), "_sqlx_migrations");
        assert_eq!(settings.dir(), Path::new("migrations"));
    }

    #[test]
    fn a_misspelt_key_is_an_error() {
        let stop = parse("[migrate]\nignore-chars = []\n").unwrap_err();
        assert!(stop.message.contains("ignore-chars"), "{}", stop.message);
        assert!(stop.message.contains("line 2"), "{}", stop.message);
    }
}
