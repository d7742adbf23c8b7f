//! Drizzle: `0000_create_chat.sql` and `meta/_journal.json`, or since 1.0 a folder for each (its `migrator.ts`).
//!
//! The journal says which files are run, and in which order. A number of few digits before a name is
//! the place in the journal; one of ten or more is a time, and then it is the version.

use super::{Claim, Depth, Format, Parsed, prisma};
use crate::cli_error::CliError;
use crate::migrate::source::{File, Migration, Settings, Version};
use serde::Deserialize;

/// The row of Drizzle.
pub const FORMAT: Format = Format {
    name: "drizzle",
    summary: "0000_create_chat.sql with meta/_journal.json next to it",
    depth: Depth::Deep,
    another: Some("drizzle-kit generate"),
    claim,
    parse,
};

/// Which files are run, and in which order.
pub(crate) const JOURNAL: &str = "meta/_journal.json";
/// What parts the statements of a file.
const BREAKPOINT: &str = "--> statement-breakpoint";
/// So many digits are a time.
const TIME: usize = 10;

#[derive(Deserialize)]
struct Journal {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    idx: i64,
    when: serde_json::Number,
    tag: String,
}

fn journal(files: &[File]) -> Option<&File> {
    files.iter().find(|file| file.name == JOURNAL)
}

/// A folder with a `migration.sql` whose `snapshot.json` is next to it.
fn is_folder(files: &[File], name: &str) -> bool {
    prisma::folder(name).is_some_and(|folder| {
        let snapshot = format!("{folder}/snapshot.json");
        files.iter().any(|file| file.name == snapshot)
    })
}

fn claim(files: &[File]) -> Option<Claim> {
    let folder = || files.iter().find(|file| is_folder(files, &file.name));
    let reason = match journal(files) {
        Some(file) => format!("there is a journal, `{}`", file.name),
        None => format!("`{}` has a snapshot next to it", folder()?.name),
    };
    Some(Claim { weight: 95, reason })
}

fn parse(files: &[File], _settings: &Settings) -> Result<Parsed, CliError> {
    match journal(files) {
        Some(journal) => by_journal(journal, files),
        None => by_folder(files),
    }
}

fn by_folder(files: &[File]) -> Result<Parsed, CliError> {
    let mut parsed = Parsed::default();
    for file in files {
        if let Some(folder) = prisma::folder(&file.name) {
            let mut migration = prisma::in_folder(folder, file)?;
            migration.up = divided(&migration.up);
            parsed.migrations.push(migration);
        } else if !file.name.ends_with("/snapshot.json") {
            parsed.ignore(file, "Drizzle runs only `<FOLDER>/migration.sql`");
        }
    }
    prisma::one_number_each(&parsed.migrations)?;
    Ok(parsed)
}

fn by_journal(journal: &File, files: &[File]) -> Result<Parsed, CliError> {
    let read: Journal = serde_json::from_slice(&journal.bytes).map_err(|error| {
        CliError::usage(format!(
            "`{}:{}` is not a Drizzle journal: {error}",
            journal.name,
            error.line()
        ))
        .hint("restore it from version control, or generate it again: `drizzle-kit generate`")
    })?;
    let mut parsed = Parsed::default();
    for entry in &read.entries {
        let name = format!("{}.sql", entry.tag);
        let file = files.iter().find(|file| file.name == name).ok_or_else(|| {
            CliError::usage(format!(
                "the journal lists `{}`, but there is no file `{name}`",
                entry.tag
            ))
            .hint("restore the file from version control, or drop the entry: `drizzle-kit drop`")
        })?;
        parsed.migrations.push(migration(entry, file)?);
    }
    for file in files {
        let listed = read
            .entries
            .iter()
            .any(|entry| file.name == format!("{}.sql", entry.tag));
        if !listed && !file.name.starts_with("meta/") {
            parsed.ignore(
                file,
                "the journal does not list it, and Drizzle would not run it",
            );
        }
    }
    in_order_of_journal(&parsed.migrations)?;
    Ok(parsed)
}

fn migration(entry: &Entry, file: &File) -> Result<Migration, CliError> {
    let (digits, title) = entry.tag.split_once('_').unwrap_or(("", &entry.tag));
    let number = Version::parse(digits).and_then(|version| version.as_number());
    let version = match number {
        Some(number) if digits.len() >= TIME || number == entry.idx => {
            Version::written(digits, number)
        }
        _ => Version::number(entry.idx),
    };
    let mut migration = Migration::whole(version, title.to_owned(), file)?;
    migration.recorded_as = Some(entry.when.to_string());
    migration.up = divided(&migration.up);
    Ok(migration)
}

/// Each part is sent alone, so that its last statement needs no semicolon; and MySQL does not read
/// `-->` as a comment.
fn divided(up: &str) -> String {
    let blank = format!(";{}", " ".repeat(BREAKPOINT.len() - 1));
    up.replace(BREAKPOINT, &blank)
}

fn in_order_of_journal(migrations: &[Migration]) -> Result<(), CliError> {
    for pair in migrations.windows(2) {
        if pair[0].version > pair[1].version {
            return Err(CliError::usage(format!(
                "the journal runs `{}` before `{}`, against the order of their numbers",
                pair[0].path.display(),
                pair[1].path.display()
            ))
            .hint(
                "generate the later one again: `drizzle-kit drop`, then `drizzle-kit generate`",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Parsed, files_of};
    use crate::cli_error::CliError;
    use crate::migrate::source::Settings;

    fn parse(files: &[(&str, &str)]) -> Result<Parsed, CliError> {
        super::parse(&files_of(files), &Settings::default())
    }

    fn journal(entries: &[(i64, &str)]) -> String {
        let entry = |(idx, tag): &(i64, &str)| {
            format!(
                r#"{{"idx":{idx},"version":"7","when":{},"tag":"{tag}","breakpoints":true}}"#,
                1_700_000_000_000 + idx
            )
        };
        let entries: Vec<_> = entries.iter().map(entry).collect();
        format!(
            r#"{{"version":"7","dialect":"postgresql","entries":[{}]}}"#,
            entries.join(",")
        )
    }

    #[test]
    fn the_journal_says_what_is_run() {
        let text = journal(&[
            (0, "0000_first"),
            (1, "lonely_hulk"),
            (2, "20240101120000_third"),
        ]);
        let parsed = parse(&[
            ("meta/_journal.json", &text),
            ("meta/0000_snapshot.json", "{}"),
            ("0000_first.sql", "A\n--> statement-breakpoint\nB;"),
            ("lonely_hulk.sql", ""),
            ("20240101120000_third.sql", ""),
            ("0009_forgotten.sql", ""),
        ])
        .unwrap();
        let versions: Vec<_> = parsed
            .migrations
            .iter()
            .map(|it| it.version.text())
            .collect();
        assert_eq!(versions, ["0000", "1", "20240101120000"]);
        assert_eq!(parsed.migrations[0].up, "A\n;                       \nB;");
        assert_eq!(
            parsed.migrations[1].recorded_as.as_deref(),
            Some("1700000000001")
        );
        assert_eq!(parsed.ignored.len(), 1);
        assert_eq!(parsed.ignored[0].0.to_str(), Some("0009_forgotten.sql"));
    }

    #[test]
    fn what_the_journal_lists_must_be_there_and_in_order() {
        let text = journal(&[(0, "0000_first")]);
        let stop = parse(&[("meta/_journal.json", &text)]).unwrap_err();
        assert!(
            stop.message.contains("no file `0000_first.sql`"),
            "{}",
            stop.message
        );
        let stop = parse(&[("meta/_journal.json", "{\n\"entries\":[{}]}")]).unwrap_err();
        assert!(
            stop.message.starts_with("`meta/_journal.json:2`"),
            "{}",
            stop.message
        );
        let text = journal(&[(0, "20240102000000_a"), (1, "20240101000000_b")]);
        let files = [
            ("meta/_journal.json", text.as_str()),
            ("20240102000000_a.sql", ""),
            ("20240101000000_b.sql", ""),
        ];
        assert!(
            parse(&files)
                .unwrap_err()
                .message
                .contains("against the order")
        );
    }

    #[test]
    fn a_folder_for_each_is_read_too() {
        let parsed = parse(&[
            (
                "20240101120000_a/migration.sql",
                "A--> statement-breakpoint\nB",
            ),
            ("20240101120000_a/snapshot.json", ""),
        ])
        .unwrap();
        assert_eq!(parsed.migrations[0].version.text(), "20240101120000_a");
        assert!(parsed.migrations[0].up.starts_with("A; "));
        assert!(parsed.ignored.is_empty());
    }
}
