//! Flyway: `V1_2__name.sql` (its `ResourceNameParser` and `MigrationVersion`).
//!
//! Read: versioned files, `U` files as what undoes them, `executeInTransaction` of the `.conf` next to a file.
//! Not run: repeatable files, callbacks, Java, placeholders, `shouldExecute`.

use super::{Claim, Depth, Down, Format, Parsed};
use crate::cli_error::CliError;
use crate::migrate::source::{File, Migration, Settings, Unsupported, Version, is_sql};
use std::collections::BTreeMap;

/// The row of Flyway.
pub const FORMAT: Format = Format {
    name: "flyway",
    summary: "V1__create_chat.sql, V1_2__add_index.sql",
    depth: Depth::Deep,
    another: Some("a file `V<VERSION>__<NAME>.sql` with a newer version"),
    claim,
    parse,
};

/// The words that the names of callbacks begin with.
const CALLBACKS: &[&str] = &["before", "after", "createSchema", "beforeConnect"];

fn claim(files: &[File]) -> Option<Claim> {
    let file = files
        .iter()
        .find(|file| matches!(name(file.base()), Some(Ok(name)) if name.prefix == 'V'))?;
    Some(Claim {
        weight: 50,
        reason: format!("`{}` is named `V<VERSION>__<NAME>.sql`", file.name),
    })
}

struct Name<'a> {
    prefix: char,
    version: Version,
    title: &'a str,
}

/// The parts of a versioned name; none when it is none, the reason when it nearly is one.
fn name(base: &str) -> Option<Result<Name<'_>, &'static str>> {
    let stem = if is_sql(base) {
        &base[..base.len() - 4]
    } else {
        base.strip_suffix(".java")?
    };
    let prefix = stem.chars().next().filter(|c| "VUB".contains(*c))?;
    let rest = &stem[1..];
    let (number, title) = rest.split_once("__").unwrap_or((rest, ""));
    if let Some(version) = Version::parse(number)
        && rest.contains("__")
    {
        return Some(Ok(Name {
            prefix,
            version,
            title,
        }));
    }
    // Flyway passes over these without a word, and they are never applied.
    rest.starts_with(|c: char| c.is_ascii_digit())
        .then_some(Err(
            "a version, two underscores and a name must follow the letter",
        ))
}

fn parse(files: &[File], _settings: &Settings) -> Result<Parsed, CliError> {
    let mut parsed = Parsed::default();
    let configurations: BTreeMap<&str, &File> = files
        .iter()
        .filter_map(|file| Some((file.name.strip_suffix(".conf")?, file)))
        .collect();
    let mut downs = Vec::new();
    let mut baselines = Vec::new();
    for file in files {
        let name = match name(file.base()) {
            Some(Ok(name)) => name,
            Some(Err(reason)) => {
                return Err(CliError::usage(format!("`{}`: {reason}", file.name))
                    .hint("rename it, for example to `V1_2__add_index.sql`"));
            }
            None => {
                if !file.name.ends_with(".conf") {
                    parsed.ignore(file, other(file.base()));
                }
                continue;
            }
        };
        let version = name.version;
        if name.prefix == 'U' {
            downs.push(Down { version, file });
            continue;
        }
        let title = name.title.replace('_', " ");
        let mut migration = Migration::whole(version, title, file)?;
        if !is_sql(&file.name) {
            migration.unsupported = Some(Unsupported::new(
                "it is written in Java; chatctl runs only SQL",
            ));
        } else if name.prefix == 'B' {
            baselines.push((file, migration));
            continue;
        } else {
            configure(
                &mut migration,
                configurations.get(file.name.as_str()).copied(),
            )?;
        }
        parsed.migrations.push(migration);
    }
    for (file, mut baseline) in baselines {
        let covered = |it: &Migration| it.version <= baseline.version;
        if parsed.migrations.iter().any(covered) {
            parsed.ignore(
                file,
                "a baseline; chatctl runs the versions before it instead",
            );
        } else {
            baseline.unsupported = Some(Unsupported::new(
                "it is a baseline for new databases, and the versions before it are missing",
            ));
            parsed.migrations.push(baseline);
        }
    }
    parsed.attach(downs)?;
    Ok(parsed)
}

/// Why Flyway or chatctl does not run a file without a version.
fn other(base: &str) -> &'static str {
    if base.starts_with("R__") {
        "a repeatable migration; chatctl runs each migration once, so copy it into a versioned file when it changes"
    } else if CALLBACKS.iter().any(|word| base.starts_with(word)) {
        "a callback; chatctl runs no callbacks"
    } else {
        "Flyway takes only names like `V<VERSION>__<NAME>.sql`"
    }
}

/// What the `.conf` next to a file says, and whether the text has placeholders.
fn configure(migration: &mut Migration, configuration: Option<&File>) -> Result<(), CliError> {
    let mut placeholders = true;
    if let Some(file) = configuration {
        for line in file.text()?.0.lines().map(str::trim) {
            let Some((key, value)) = line.split_once('=') else {
                continue;
            };
            let off = value.trim().eq_ignore_ascii_case("false");
            match key.trim() {
                "executeInTransaction" => migration.no_transaction = off,
                "placeholderReplacement" => placeholders = !off,
                "shouldExecute" => {
                    migration.unsupported = Some(Unsupported::new(format!(
                        "`{}` makes it run under a condition (`shouldExecute`)",
                        file.name
                    )));
                }
                _ => {}
            }
        }
    }
    let found = migration.up.split_once("${").and_then(|(_, rest)| {
        let (word, _) = rest.split_once('}')?;
        (!word.contains(char::is_whitespace)).then(|| word.to_owned())
    });
    if let Some(word) = found.filter(|_| placeholders) {
        migration.unsupported = Some(Unsupported::new(format!(
            "it has the placeholder `${{{word}}}`, and chatctl does not know its value"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Parsed, files_of};
    use crate::cli_error::CliError;
    use crate::migrate::source::Settings;

    fn parse(files: &[(&str, &str)]) -> Result<Parsed, CliError> {
        let files = files_of(files);
        super::parse(&files, &Settings::default())
    }

    fn unsupported(files: &[(&str, &str)]) -> Option<String> {
        parse(files)
            .unwrap()
            .migrations
            .remove(0)
            .unsupported
            .map(|it| it.why)
    }

    #[test]
    fn dotted_versions_and_folders_below_are_read() {
        let parsed = parse(&[("chat/V1_2__add_index.SQL", ""), ("V2.10__b.sql", "")]).unwrap();
        assert_eq!(parsed.migrations[0].version.text(), "1.2");
        assert_eq!(parsed.migrations[0].description, "add index");
        assert!(parsed.migrations[1].version > parsed.migrations[0].version);
    }

    #[test]
    fn an_undo_file_goes_to_its_version() {
        let parsed = parse(&[("V1__a.sql", "A;"), ("U1.0__a.sql", "B;")]).unwrap();
        assert_eq!(parsed.migrations[0].down.as_deref(), Some("B;"));
    }

    #[test]
    fn one_underscore_is_an_error_and_not_a_file_that_never_runs() {
        for name in ["V1_a.sql", "V1.sql", "V1a__b.sql"] {
            let stop = parse(&[(name, "")]).unwrap_err();
            assert!(stop.message.starts_with(&format!("`{name}`: ")));
            assert!(stop.hint.is_some());
        }
        assert_eq!(parse(&[("Views.sql", "")]).unwrap().ignored.len(), 1);
    }

    #[test]
    fn what_has_no_version_is_reported() {
        let files = [("R__view.sql", ""), ("afterMigrate.sql", ""), ("x.txt", "")];
        let reasons = parse(&files).unwrap().ignored;
        assert!(reasons[0].1.starts_with("a repeatable migration"));
        assert!(reasons[1].1.starts_with("a callback"));
        assert!(reasons[2].1.starts_with("Flyway takes only"));
    }

    #[test]
    fn the_configuration_next_to_a_file_is_read() {
        let conf = "executeInTransaction=false\nplaceholderReplacement = false\n";
        let files = [("V1__a.sql", "SELECT '${x}';"), ("V1__a.sql.conf", conf)];
        let parsed = parse(&files).unwrap();
        assert!(parsed.migrations[0].no_transaction);
        assert_eq!(parsed.migrations[0].unsupported, None);
        assert!(parsed.ignored.is_empty());
        let condition = [("V1__a.sql", ""), ("V1__a.sql.conf", "shouldExecute=false")];
        assert!(unsupported(&condition).unwrap().contains("shouldExecute"));
    }

    #[test]
    fn what_only_flyway_can_run_is_listed_with_the_reason() {
        let placeholder = unsupported(&[("V1__a.sql", "SELECT '${owner}';")]).unwrap();
        assert!(placeholder.contains("`${owner}`"), "{placeholder}");
        assert!(unsupported(&[("V1__a.java", "")]).unwrap().contains("Java"));
        assert!(
            unsupported(&[("B5__a.sql", "")])
                .unwrap()
                .contains("baseline")
        );
        let parsed = parse(&[("V1__a.sql", ""), ("B5__b.sql", "")]).unwrap();
        assert_eq!(parsed.ignored.len(), 1);
    }
}
