//! Diesel 2: `2024-01-01-120000_create_chat/up.sql` (its `migrations_internals`).
//!
//! The version is the text before the first `_`, without its dashes; Diesel orders versions as text.
//! Hasura's folders are alike.

use super::{Claim, Depth, Format, Parsed, in_order_of};
use crate::cli_error::CliError;
use crate::migrate::source::{File, Migration, Settings, Version};
use std::collections::BTreeMap;

/// The row of Diesel.
pub const FORMAT: Format = Format {
    name: "diesel",
    summary: "2024-01-01-120000_create_chat/up.sql with 2024-01-01-120000_create_chat/down.sql",
    depth: Depth::Deep,
    another: Some("diesel migration generate NAME"),
    claim,
    parse,
};

/// The folder of a file, when it is one of this folder's and not hidden.
fn folder<'a>(name: &'a str, base: &str) -> Option<&'a str> {
    let folder = name.strip_suffix(base)?.strip_suffix('/')?;
    (!folder.contains('/') && !folder.starts_with('.')).then_some(folder)
}

fn claim(files: &[File]) -> Option<Claim> {
    let file = files
        .iter()
        .find(|file| folder(&file.name, "up.sql").is_some())?;
    Some(Claim {
        weight: 94,
        reason: format!("`{}` is in a separate folder", file.name),
    })
}

fn parse(files: &[File], _settings: &Settings) -> Result<Parsed, CliError> {
    let mut parsed = Parsed::default();
    let by_name: BTreeMap<_, _> = files
        .iter()
        .map(|file| (file.name.as_str(), file))
        .collect();
    for file in files {
        let Some(folder) = folder(&file.name, "up.sql") else {
            let known = ["down.sql", "metadata.toml"].contains(&file.base());
            if !known || !by_name.contains_key(&*file.name.replace(file.base(), "up.sql")) {
                parsed.ignore(file, "Diesel runs only `<FOLDER>/up.sql`");
            }
            continue;
        };
        let next_to = |base: &str| by_name.get(&*format!("{folder}/{base}")).copied();
        let mut migration = migration(folder, file)?;
        if let Some(down) = next_to("down.sql") {
            migration.down = Some(down.text()?.0.to_owned());
        }
        if let Some(metadata) = next_to("metadata.toml") {
            migration.no_transaction = !in_transaction(metadata)?;
        }
        parsed.migrations.push(migration);
    }
    in_order_of("Diesel", &parsed.migrations, |migration| {
        migration.version.text().replace('-', "")
    })?;
    Ok(parsed)
}

fn migration(folder: &str, file: &File) -> Result<Migration, CliError> {
    let (text, title) = folder.split_once('_').unwrap_or((folder, ""));
    let version = Version::of_diesel(text).ok_or_else(|| {
        CliError::usage(format!(
            "the folder of `{}` must begin with a time or a number, not `{text}`",
            file.name
        ))
        .hint(format!(
            "rename it, for example to `2024-01-01-120000_{folder}`"
        ))
    })?;
    Migration::whole(version, title.to_owned(), file)
}

fn in_transaction(metadata: &File) -> Result<bool, CliError> {
    let wrong = |why: String| {
        CliError::usage(format!("`{}` can't be read: {why}", metadata.name))
            .hint("write `run_in_transaction = false`, or remove the file")
    };
    let table: toml::Table = metadata
        .text()?
        .0
        .parse()
        .map_err(|error: toml::de::Error| wrong(error.message().to_owned()))?;
    match table.get("run_in_transaction") {
        None => Ok(true),
        Some(value) => value
            .as_bool()
            .ok_or_else(|| wrong("`run_in_transaction` must be true or false".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Parsed, files_of};
    use crate::cli_error::CliError;
    use crate::migrate::source::Settings;

    fn parse(files: &[(&str, &str)]) -> Result<Parsed, CliError> {
        super::parse(&files_of(files), &Settings::default())
    }

    #[test]
    fn the_version_has_no_dashes_and_the_files_next_to_it_belong_to_it() {
        let parsed = parse(&[
            ("00000000000000_diesel_initial_setup/up.sql", "A;"),
            ("2024-01-01-120000_add_chat/up.sql", "B;"),
            ("2024-01-01-120000_add_chat/down.sql", "C;"),
            (
                "2024-01-01-120000_add_chat/metadata.toml",
                "run_in_transaction = false\n",
            ),
        ])
        .unwrap();
        let [first, second] = parsed.migrations.as_slice() else {
            panic!("{parsed:?}")
        };
        assert_eq!(first.version.as_number(), Some(0));
        assert_eq!(second.version.as_number(), Some(20_240_101_120_000));
        assert_eq!(
            (second.version.text(), second.description.as_str()),
            ("2024-01-01-120000", "add_chat")
        );
        assert_eq!(second.down.as_deref(), Some("C;"));
        assert!(second.no_transaction && !first.no_transaction);
        assert!(parsed.ignored.is_empty());
    }

    #[test]
    fn what_it_would_not_run_is_reported_and_a_bad_name_refused() {
        let parsed = parse(&[
            ("1_a/up.sql", ""),
            ("1_a/notes.md", ""),
            ("2_b/down.sql", ""),
            (".x/up.sql", ""),
        ])
        .unwrap();
        assert_eq!(parsed.ignored.len(), 3);
        for name in ["init/up.sql", "-1_a/up.sql"] {
            assert!(parse(&[(name, "")]).unwrap_err().message.contains(name));
        }
        assert!(parse(&[("9_a/up.sql", ""), ("10_b/up.sql", "")]).is_err());
        let day = [
            ("2024-03-06-170000_a/up.sql", ""),
            ("2024-03-13_170000_b/up.sql", ""),
            ("2024-06-05-131359_c/up.sql", ""),
        ];
        let parsed = parse(&day).unwrap();
        assert!(parsed.migrations.is_sorted_by_key(|it| it.version.clone()));
        let bad = [
            ("1_a/up.sql", ""),
            ("1_a/metadata.toml", "run_in_transaction = 1"),
        ];
        assert!(
            parse(&bad)
                .unwrap_err()
                .message
                .contains("1_a/metadata.toml")
        );
    }
}
