//! Prisma Migrate: `20240101120000_create_chat/migration.sql` (its `migrations_directory.rs`).
//!
//! The folder's name is the migration's: two folders may have one time, and names order all of them.

use super::{Claim, Depth, Format, Parsed};
use crate::cli_error::CliError;
use crate::migrate::source::{File, Migration, Settings, Version};
use crate::sql;
use crate::sql::{Dialect, Kind};
use std::collections::BTreeMap;

/// The row of Prisma.
pub const FORMAT: Format = Format {
    name: "prisma",
    summary: "20240101120000_create_chat/migration.sql",
    depth: Depth::Deep,
    another: Some("prisma migrate dev --create-only"),
    claim,
    parse,
};

/// The file that names the database; it is not a migration.
const LOCK: &str = "migration_lock.toml";

pub(super) fn folder(name: &str) -> Option<&str> {
    let folder = name.strip_suffix("/migration.sql")?;
    (!folder.contains('/')).then_some(folder)
}

fn claim(files: &[File]) -> Option<Claim> {
    let file = files.iter().find(|file| folder(&file.name).is_some())?;
    Some(Claim {
        weight: 94,
        reason: format!("`{}` is in a separate folder", file.name),
    })
}

fn parse(files: &[File], _settings: &Settings) -> Result<Parsed, CliError> {
    let mut parsed = Parsed::default();
    for file in files {
        let Some(folder) = folder(&file.name) else {
            if file.base() != LOCK {
                parsed.ignore(file, "Prisma runs only `<FOLDER>/migration.sql`");
            }
            continue;
        };
        let mut migration = in_folder(folder, file)?;
        migration.no_transaction = is_bare(&migration.up) || is_for_sqlite(&migration.up);
        parsed.migrations.push(migration);
    }
    one_number_each(&parsed.migrations)?;
    Ok(parsed)
}

/// Whether a file is one statement that no transaction may be around. Prisma sends a file as one text,
/// which is a transaction only where it has several statements.
fn is_bare(text: &str) -> bool {
    let dialect = Dialect::Postgres;
    match sql::split(text, dialect).as_deref() {
        Ok([one]) => sql::facts(one, dialect).needs_no_transaction(dialect),
        _ => false,
    }
}

/// Whether a file sets a pragma: to SQLite Prisma sends the statements one by one, so that each
/// pragma acts.
fn is_for_sqlite(text: &str) -> bool {
    let dialect = Dialect::Sqlite;
    let statements = sql::split(text, dialect).unwrap_or_default();
    let mut kinds = statements.iter().map(|it| sql::facts(it, dialect).kind);
    kinds.any(|kind| matches!(kind, Kind::Pragma { .. }))
}

/// A migration that is called as its folder is.
pub(super) fn in_folder(folder: &str, file: &File) -> Result<Migration, CliError> {
    let version = Version::named(folder).ok_or_else(|| {
        CliError::usage(format!(
            "the folder of `{}` must begin with a number and `_`",
            file.name
        ))
        .hint(format!(
            "rename it, for example to `20240101120000_{folder}`"
        ))
    })?;
    let mut migration = Migration::whole(version, folder.to_owned(), file)?;
    migration.recorded_as = Some(folder.to_owned());
    Ok(migration)
}

/// The history that chatctl writes has a number for each name, and no two may have the same.
pub(super) fn one_number_each(migrations: &[Migration]) -> Result<(), CliError> {
    let mut seen = BTreeMap::new();
    for migration in migrations {
        if let Some(first) = seen.insert(migration.version.as_number(), migration) {
            return Err(CliError::refused(format!(
                "chatctl derives the same number from the names `{}` and `{}`",
                first.version, migration.version
            ))
            .hint("rename the folder that is not yet applied"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Parsed, files_of};
    use crate::cli_error::CliError;
    use crate::migrate::source::Settings;

    fn parse(names: &[&str]) -> Result<Parsed, CliError> {
        let files: Vec<_> = names.iter().map(|name| (*name, "SELECT 1;")).collect();
        super::parse(&files_of(&files), &Settings::default())
    }

    #[test]
    fn a_folder_is_a_migration_and_its_name_the_version() {
        let parsed = parse(&[
            "0_init/migration.sql",
            "20240101120000_b/migration.sql",
            "20240101120000_a/migration.sql",
            "migration_lock.toml",
        ])
        .unwrap();
        let names: Vec<_> = parsed
            .migrations
            .iter()
            .map(|it| it.version.text())
            .collect();
        assert_eq!(names, ["0_init", "20240101120000_b", "20240101120000_a"]);
        assert!(parsed.migrations[2].version < parsed.migrations[1].version);
        assert!(parsed.ignored.is_empty());
        assert_eq!(
            parse(&["1_a/migration.sql", "1_a/down.sql"])
                .unwrap()
                .ignored
                .len(),
            1
        );
    }

    #[test]
    fn names_order_the_folders_as_prisma_does() {
        let names = [
            "10_b/migration.sql",
            "20250625_c/migration.sql",
            "20250625120000_d/migration.sql",
            "9_a/migration.sql",
        ];
        let mut versions: Vec<_> = parse(&names)
            .unwrap()
            .migrations
            .into_iter()
            .map(|it| it.version)
            .collect();
        versions.sort();
        let names: Vec<_> = versions.iter().map(|it| it.text()).collect();
        assert_eq!(names, ["10_b", "20250625120000_d", "20250625_c", "9_a"]);
    }

    #[test]
    fn a_lone_statement_that_no_transaction_may_be_around_has_none() {
        let index = "-- CreateIndex\nCREATE INDEX CONCURRENTLY a ON b (c);\n";
        for (text, expected) in [
            (index, true),
            ("CREATE INDEX a ON b (c);", false),
            (&format!("{index}SELECT 1;"), false),
            (
                "PRAGMA foreign_keys=OFF;\nDROP TABLE a;\nPRAGMA foreign_keys=ON;",
                true,
            ),
        ] {
            let files = files_of(&[("1_a/migration.sql", text)]);
            let parsed = super::parse(&files, &Settings::default()).unwrap();
            assert_eq!(parsed.migrations[0].no_transaction, expected, "{text}");
        }
    }

    #[test]
    fn a_folder_without_a_number_is_refused() {
        let stop = parse(&["init/migration.sql"]).unwrap_err();
        assert!(
            stop.message.contains("`init/migration.sql`"),
            "{}",
            stop.message
        );
    }
}
