//! refinery 0.10: `V1__name.sql`, and `U1__name.sql` that may run out of order (its `util.rs`).
//!
//! The names of plain `V` files are Flyway's too, and both tools run them alike: Flyway's claim is the
//! stronger one. A `U` file undoes a version with Flyway and is a migration of its own with refinery,
//! so a `U` file whose version has no `V` file is refinery's.

use super::{Claim, Depth, Format, Parsed};
use crate::cli_error::CliError;
use crate::migrate::source::{File, Migration, Settings, Unsupported, Version};
use std::collections::BTreeSet;

/// The row of refinery.
pub const FORMAT: Format = Format {
    name: "refinery",
    summary: "V1__create_chat.sql, U3__merged_late.sql",
    depth: Depth::Deep,
    another: Some("a file `V<VERSION>__<NAME>.sql` with a newer version"),
    claim,
    parse,
};

struct Name<'a> {
    prefix: char,
    number: &'a str,
    title: &'a str,
    ending: &'a str,
}

/// `^([U|V])(\d+(?:\.\d+)?)__(\w+)\.(rs|sql)$`
fn name(base: &str) -> Option<Name<'_>> {
    let (stem, ending) = base.rsplit_once('.')?;
    let prefix = stem.chars().next().filter(|c| "UV".contains(*c))?;
    let (number, title) = stem[1..].split_once("__")?;
    let fits = Version::parse(number).is_some()
        && !number.contains('_')
        && number.split('.').count() <= 2
        && !title.is_empty()
        && title.chars().all(|c| c.is_alphanumeric() || c == '_')
        && ["rs", "sql"].contains(&ending);
    fits.then_some(Name {
        prefix,
        number,
        title,
        ending,
    })
}

fn claim(files: &[File]) -> Option<Claim> {
    let named: Vec<_> = files
        .iter()
        .filter_map(|file| Some((file, name(file.base())?)))
        .filter(|(_, name)| !name.number.contains('.'))
        .collect();
    let versioned: BTreeSet<_> = named
        .iter()
        .filter(|(_, name)| name.prefix == 'V')
        .map(|(_, name)| name.number)
        .collect();
    let alone = named
        .iter()
        .find(|(_, name)| name.prefix == 'U' && !versioned.contains(name.number));
    if let Some((file, _)) = alone {
        return Some(Claim {
            weight: 60,
            reason: format!("`{}` has a version that no `V` file has", file.name),
        });
    }
    named.first().map(|(file, _)| Claim {
        weight: 40,
        reason: format!("`{}` is named `V<VERSION>__<NAME>.sql`", file.name),
    })
}

fn parse(files: &[File], _settings: &Settings) -> Result<Parsed, CliError> {
    let mut parsed = Parsed::default();
    for file in files {
        let Some(name) = name(file.base()) else {
            parsed.ignore(
                file,
                "refinery takes only names like `V<VERSION>__<NAME>.sql`",
            );
            continue;
        };
        let version = Version::parse(name.number)
            .filter(|version| version.as_number().is_some() && !name.number.contains('.'))
            .ok_or_else(|| {
                CliError::usage(format!(
                    "`{}` must have one integer as its version, not `{}`",
                    file.name, name.number
                ))
                .hint("rename it, for example to `V12__add_index.sql`")
            })?;
        let mut migration = Migration::whole(version, name.title.to_owned(), file)?;
        migration.any_order = name.prefix == 'U';
        if name.ending == "rs" {
            migration.unsupported = Some(Unsupported::new(
                "it is written in Rust; chatctl runs only SQL",
            ));
        }
        parsed.migrations.push(migration);
    }
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::super::Parsed;
    use crate::cli_error::CliError;
    use crate::migrate::source::{File, Settings};

    fn files(names: &[&str]) -> Vec<File> {
        names
            .iter()
            .map(|name| File {
                name: (*name).to_owned(),
                bytes: b"SELECT 1;".to_vec(),
            })
            .collect()
    }

    fn parse(names: &[&str]) -> Result<Parsed, CliError> {
        super::parse(&files(names), &Settings::default())
    }

    #[test]
    fn both_letters_are_migrations_and_only_u_may_come_late() {
        let parsed = parse(&["V1__add_chat.sql", "below/U2__merged_late.sql"]).unwrap();
        assert_eq!(parsed.migrations[0].description, "add_chat");
        assert!(!parsed.migrations[0].any_order);
        assert!(parsed.migrations[1].any_order);
    }

    #[test]
    fn a_u_file_of_its_own_distinguishes_refinery_from_flyway() {
        let weight = |names: &[&str]| super::claim(&files(names)).unwrap().weight;
        assert_eq!(weight(&["V1__a.sql", "U2__b.sql"]), 60);
        assert_eq!(weight(&["V1__a.sql", "U1__a.sql"]), 40);
        assert!(super::claim(&files(&["V1.5__a.sql"])).is_none());
    }

    #[test]
    fn a_dotted_version_is_an_error_as_with_refinery() {
        let stop = parse(&["V1.5__a.sql"]).unwrap_err();
        assert!(stop.message.contains("not `1.5`"), "{}", stop.message);
    }

    #[test]
    fn a_rust_file_is_listed_with_the_reason() {
        let parsed = parse(&["V3__data.rs", "mod.rs", "V1-a.sql"]).unwrap();
        assert!(parsed.migrations[0].unsupported.is_some());
        assert_eq!(parsed.ignored.len(), 2);
    }
}
