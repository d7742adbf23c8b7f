//! golang-migrate 4: `<VERSION>_<NAME>.up.sql` and `.down.sql` (its `source/parse.go`).
//!
//! Reversible files of sqlx have the same names, and both tools order and run them alike. The claim
//! is the weaker one: without a history in the database, such a folder is taken for sqlx's.

use super::{Claim, Depth, Down, Format, Parsed};
use crate::cli_error::CliError;
use crate::migrate::source::{File, Migration, Settings, Version};

/// The row of golang-migrate.
pub const FORMAT: Format = Format {
    name: "golang-migrate",
    summary: "000001_create_chat.up.sql with 000001_create_chat.down.sql",
    depth: Depth::Flat,
    another: None,
    claim,
    parse,
};

struct Name<'a> {
    version: &'a str,
    title: &'a str,
    direction: &'a str,
    ending: &'a str,
}

/// `^([0-9]+)_(.*)\.(down|up)\.(.*)$`: the last direction in the name counts.
fn name(text: &str) -> Option<Name<'_>> {
    let (version, rest) = text.split_once('_')?;
    if version.is_empty() || !version.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (at, direction) = ["up", "down"]
        .into_iter()
        .filter_map(|word| Some((rest.rfind(&format!(".{word}."))?, word)))
        .max()?;
    Some(Name {
        version,
        title: &rest[..at],
        direction,
        ending: &rest[at + direction.len() + 2..],
    })
}

fn claim(files: &[File]) -> Option<Claim> {
    let mut sql = files
        .iter()
        .filter(|file| file.name.ends_with(".sql") && !file.name.contains('/'))
        .peekable();
    let first = sql.peek()?.name.clone();
    sql.all(|file| name(&file.name).is_some()).then(|| Claim {
        weight: 20,
        reason: format!("every file is named like `{first}`, for one direction"),
    })
}

fn parse(files: &[File], _settings: &Settings) -> Result<Parsed, CliError> {
    let mut parsed = Parsed::default();
    let mut downs = Vec::new();
    for file in files {
        let Some(name) = name(&file.name) else {
            parsed.ignore(
                file,
                "golang-migrate takes only names like `<VERSION>_<NAME>.up.sql`",
            );
            continue;
        };
        if name.ending != "sql" {
            parsed.ignore(file, "chatctl runs only `.sql` files");
            continue;
        }
        let version = Version::parse(name.version)
            .filter(|version| version.as_number().is_some())
            .ok_or_else(|| {
                CliError::usage(format!("the version of `{}` is too large", file.name))
                    .hint("a version is at most 9223372036854775807")
            })?;
        if name.direction == "down" {
            downs.push(Down { version, file });
        } else {
            let title = name.title.to_owned();
            parsed
                .migrations
                .push(Migration::whole(version, title, file)?);
        }
    }
    parsed.attach(downs)?;
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use crate::migrate::source::{File, Settings};

    fn file(name: &str) -> File {
        File {
            name: name.to_owned(),
            bytes: b"SELECT 1;".to_vec(),
        }
    }

    #[test]
    fn the_last_direction_in_the_name_counts() {
        let name = super::name("000001_a.up.b.down.sql").unwrap();
        assert_eq!((name.title, name.direction), ("a.up.b", "down"));
        assert_eq!((name.version, name.ending), ("000001", "sql"));
        assert!(super::name("1_a.sql").is_none());
        assert!(super::name("x_a.up.sql").is_none());
    }

    #[test]
    fn a_title_keeps_its_underscores() {
        let files = [
            file("000002_add_user.up.sql"),
            file("000002_add_user.down.sql"),
        ];
        let parsed = super::parse(&files, &Settings::default()).unwrap();
        assert_eq!(parsed.migrations[0].description, "add_user");
        assert_eq!(parsed.migrations[0].version.text(), "000002");
        assert!(parsed.migrations[0].down.is_some());
    }

    #[test]
    fn other_files_are_reported() {
        let files = [file("1_a.up.json"), file("seed.sql")];
        let parsed = super::parse(&files, &Settings::default()).unwrap();
        assert_eq!(parsed.ignored.len(), 2);
    }

    #[test]
    fn a_version_beyond_64_bits_is_an_error() {
        let files = [file("9223372036854775808_a.up.sql")];
        assert!(super::parse(&files, &Settings::default()).is_err());
    }
}
