//! Losses that are acknowledged next to a folder: an applied file can't be edited, and a folder that
//! another tool writes should not be.
//!
//! ```toml
//! [[allow-loss]]
//! file = "20240101120000_drop_drafts.sql"
//! table = "drafts"
//! rows = 120
//! reason = "nobody reads them since 1.4"
//! ```

use super::Migration;
use crate::cli_error::CliError;
use crate::text::nearest;
use serde::Deserialize;
use std::ops::Range;
use std::path::Path;
use toml::Spanned;

/// The file's name in a folder of migrations.
pub const FILE: &str = "acknowledgements.toml";
/// The key of its entries, there and in `chatctl.toml`.
pub const KEY: &str = "allow-loss";

/// A loss that is acknowledged outside of the file that causes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The table or column, written as behind `-- chatctl: allow-loss`.
    pub subject: String,
    /// At most so many rows.
    pub rows: Option<u64>,
    /// Why it does no harm.
    pub reason: String,
    /// Where it is written: `FILE:LINE`.
    pub place: String,
}

/// An acknowledgement that is not yet at its migration.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// The migration: the name of its file or folder, or its version.
    pub of: String,
    /// Where the name is written: `FILE:LINE`.
    pub place: String,
    acknowledgement: Acknowledgement,
}

impl Entry {
    /// Whether it is this migration that it names.
    pub fn names(&self, migration: &Migration) -> bool {
        names(migration).contains(&self.of)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct InSettings {
    #[serde(default)]
    allow_loss: Vec<Written>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Alone {
    #[serde(default)]
    allow_loss: Vec<Written>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    file: Spanned<String>,
    table: Spanned<String>,
    rows: Option<u64>,
    reason: Spanned<String>,
}

/// Whether a file holds other settings, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Among {
    /// Only acknowledgements: any other key is a mistake.
    Nothing,
    /// Settings of chatctl, which others read.
    Settings,
}

/// Reads the entries of a file that is called `origin`.
///
/// # Errors
/// Stops with the line, and what was probably meant, when it is not TOML, a key is unknown or missing,
/// or a reason is empty.
pub fn parse(origin: &Path, text: &str, among: Among) -> Result<Vec<Entry>, CliError> {
    let place = |span: Range<usize>| {
        let line = text[..span.start.min(text.len())].matches('\n').count() + 1;
        format!("{}:{line}", origin.display())
    };
    let read = match among {
        Among::Nothing => toml::from_str(text).map(|Alone { allow_loss }| allow_loss),
        Among::Settings => toml::from_str(text).map(|InSettings { allow_loss }| allow_loss),
    };
    let written = read.map_err(|error| {
        let at = place(error.span().unwrap_or(0..0));
        let message = error.message().trim().replace('\n', " ");
        let stop = CliError::usage(format!("{at}: {message}"));
        match meant(&message) {
            Some(near) => stop.hint(format!("did you mean `{near}`?")),
            None => stop.hint(FORM),
        }
    })?;
    let entry = |it: Written| {
        if it.reason.get_ref().trim().is_empty() {
            let at = place(it.reason.span());
            return Err(CliError::usage(format!("{at}: the reason is empty")).hint(FORM));
        }
        Ok(Entry {
            place: place(it.file.span()),
            of: it.file.into_inner(),
            acknowledgement: Acknowledgement {
                place: place(it.table.span()),
                subject: it.table.into_inner(),
                rows: it.rows,
                reason: it.reason.into_inner(),
            },
        })
    };
    written.into_iter().map(entry).collect()
}

/// What an entry looks like.
const FORM: &str = "write: [[allow-loss]] with file = \"…\", table = \"messages\" or \"messages.body\", rows = 120 (at most; may be left out) and reason = \"…\"";

/// The key that was meant, where the parser names an unknown one and those that it knows.
fn meant(message: &str) -> Option<&str> {
    let mut words = message.split('`').skip(1).step_by(2);
    let wrong = words
        .next()
        .filter(|_| message.starts_with("unknown field"))?;
    nearest(wrong, words)
}

/// Gives each entry to its migration.
///
/// # Errors
/// Stops with the entry's line when it names no migration or several.
pub fn attach(migrations: &mut [Migration], entries: Vec<Entry>) -> Result<(), CliError> {
    for entry in entries {
        let mut named: Vec<_> = migrations
            .iter_mut()
            .filter(|migration| entry.names(migration))
            .collect();
        match named.as_mut_slice() {
            [migration] => migration.acknowledged.push(entry.acknowledgement),
            [] => return Err(unknown(&entry, migrations)),
            [first, second, ..] => {
                return Err(CliError::usage(format!(
                    "{}: `{}` names more than one migration",
                    entry.place, entry.of
                ))
                .hint(format!(
                    "name the version: `{}` or `{}`",
                    first.version, second.version
                )));
            }
        }
    }
    Ok(())
}

fn names(migration: &Migration) -> [String; 3] {
    [
        migration.file_name(),
        migration.stem(),
        migration.version.text().to_owned(),
    ]
}

fn unknown(entry: &Entry, migrations: &[Migration]) -> CliError {
    let stop = CliError::usage(format!(
        "{}: there is no migration `{}`",
        entry.place, entry.of
    ));
    let known: Vec<_> = migrations.iter().flat_map(names).collect();
    match nearest(&entry.of, known.iter().map(String::as_str)) {
        Some(near) => stop.hint(format!("did you mean `{near}`?")),
        None => stop.hint("use the name of the file in the folder, or remove the entry"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{File, Migration, Version};
    use super::{Among, attach, parse};
    use crate::cli_error::CliError;
    use std::path::Path;

    const TWO: &str = "# kept by hand\n[[allow-loss]]\nfile = \"1_drop.sql\"\ntable = \"drafts\"\nrows = 120\nreason = \"old\"\n\n\
        [[allow-loss]]\nfile = \"2\"\ntable = \"app.\\\"Mail\\\".body\"\nreason = \"moved\"\n";

    fn migrations() -> Vec<Migration> {
        [(1, "1_drop.sql"), (2, "2_more.sql")]
            .map(|(version, name)| {
                let file = File {
                    name: name.to_owned(),
                    bytes: Vec::new(),
                };
                Migration::whole(Version::number(version), String::new(), &file).unwrap()
            })
            .to_vec()
    }

    fn attached(text: &str) -> Result<Vec<Migration>, CliError> {
        let mut migrations = migrations();
        attach(
            &mut migrations,
            parse(Path::new("a.toml"), text, Among::Nothing)?,
        )?;
        Ok(migrations)
    }

    #[test]
    fn each_entry_gets_to_its_migration_by_name_or_version() {
        let migrations = attached(TWO).unwrap();
        let [first] = migrations[0].acknowledged.as_slice() else {
            panic!("{migrations:?}")
        };
        assert_eq!(
            (first.subject.as_str(), first.rows, first.place.as_str()),
            ("drafts", Some(120), "a.toml:4")
        );
        let [second] = migrations[1].acknowledged.as_slice() else {
            panic!("{migrations:?}")
        };
        assert_eq!(
            (second.subject.as_str(), second.rows, second.place.as_str()),
            ("app.\"Mail\".body", None, "a.toml:10")
        );
        assert!(attached("").unwrap()[0].acknowledged.is_empty());
    }

    #[test]
    fn a_mistake_is_reported_with_its_line_and_what_was_meant() {
        for (from, to, line, hint) in [
            ("1_drop.sql", "1_dorp.sql", 3, "did you mean `1_drop.sql`?"),
            (
                "file = \"2\"",
                "file = \"zzz\"",
                9,
                "use the name of the file in the folder",
            ),
            (
                "table = \"drafts\"",
                "tabel = \"drafts\"",
                4,
                "did you mean `table`?",
            ),
            ("allow-loss", "allow-los", 2, "did you mean `allow-loss`?"),
            ("reason = \"old\"", "reason = \" \"", 6, "reason"),
            ("rows = 120", "rows = \"<=120\"", 5, "rows = 120"),
            ("rows = 120", "rows =", 5, "rows = 120"),
        ] {
            let stop = attached(&TWO.replacen(from, to, 1)).unwrap_err();
            assert!(
                stop.message.starts_with(&format!("a.toml:{line}: ")),
                "{}",
                stop.message
            );
            assert!(
                stop.hint.as_ref().unwrap().contains(hint),
                "{:?}",
                stop.hint
            );
        }
        let stop = attached(&TWO.replacen("reason = \"old\"", "", 1)).unwrap_err();
        assert!(
            stop.message.contains("missing field `reason`"),
            "{}",
            stop.message
        );
    }

    #[test]
    fn among_settings_other_keys_are_others_to_judge() {
        let text = format!("profile = \"plain\"\n{TWO}");
        assert!(parse(Path::new("a.toml"), &text, Among::Nothing).is_err());
        assert_eq!(
            parse(Path::new("a.toml"), &text, Among::Settings)
                .unwrap()
                .len(),
            2
        );
        let wrong = text.replace("rows", "row");
        assert!(parse(Path::new("a.toml"), &wrong, Among::Settings).is_err());
    }
}
