//! MyBatis Migrations 3: `20240101120000_create_chat.sql` (its `MigrationReader` and `FileMigrationLoader`).

use super::{Claim, Depth, Format, Parsed, claim_by_line, lines};
use crate::cli_error::CliError;
use crate::migrate::source::directions::{Direction, divide};
use crate::migrate::source::{File, Migration, Settings, Unsupported, Version, blank};

/// The row of MyBatis.
pub const FORMAT: Format = Format {
    name: "mybatis",
    summary: "20240101120000_create_chat.sql with `-- //@UNDO` in it",
    depth: Depth::Flat,
    another: Some("migrate new NAME"),
    claim,
    parse,
};

/// Files that only its own commands run.
const SPECIAL: [&str; 2] = ["bootstrap.sql", "onabort.sql"];

fn claim(files: &[File]) -> Option<Claim> {
    claim_by_line(files, "-- //@UNDO", is_undo)
}

/// `^--\s*//.*$` with `@UNDO` in it.
fn is_undo(line: &str) -> bool {
    let comment = line.trim().strip_prefix("--").map(str::trim_start);
    comment.is_some_and(|comment| comment.starts_with("//") && comment.contains("@UNDO"))
}

fn parse(files: &[File], _settings: &Settings) -> Result<Parsed, CliError> {
    let mut parsed = Parsed::default();
    for file in files {
        let Some(stem) = file.name.strip_suffix(".sql") else {
            parsed.ignore(file, "it is not an `.sql` file");
            continue;
        };
        if SPECIAL.contains(&file.name.as_str()) {
            parsed.ignore(
                file,
                "no migration: only `migrate bootstrap` and `migrate up` of MyBatis run it",
            );
            continue;
        }
        let (digits, title) = stem.split_once('_').unwrap_or((stem, ""));
        let version = Version::parse(digits).filter(|version| version.as_number().is_some());
        let Some(version) = version else {
            return Err(CliError::usage(format!(
                "`{}` must begin with a whole number and `_`, not `{digits}`",
                file.name
            ))
            .hint("rename it, for example to `20240101120000_create_chat.sql`"));
        };
        let mut migration = Migration::whole(version, title.replace('_', " "), file)?;
        let divided = divide(&migration.up, |_, line| {
            is_undo(line).then_some(Direction::Down)
        });
        migration.up = divided.up;
        migration.down = divided.down;
        migration.unsupported = unknown(&migration.up);
        migration.up = without_its_comments(&migration.up);
        parsed.migrations.push(migration);
    }
    Ok(parsed)
}

/// What only MyBatis can run.
fn unknown(up: &str) -> Option<Unsupported> {
    if up
        .lines()
        .any(|line| is_comment(line) && line.to_ascii_uppercase().contains("@DELIMITER"))
    {
        return Some(Unsupported::new(
            "it sets its own delimiter (`@DELIMITER`), which chatctl does not read",
        ));
    }
    let (_, rest) = up.split_once("${")?;
    let (word, _) = rest.split_once('}')?;
    let named = !word.is_empty() && !word.contains(char::is_whitespace);
    named.then(|| {
        Unsupported::new(format!(
            "it has the placeholder `${{{word}}}`, and chatctl does not know its value"
        ))
    })
}

fn is_comment(line: &str) -> bool {
    ["--", "//"]
        .iter()
        .any(|begin| line.trim_start().starts_with(begin))
}

/// A line that begins with `//` is a comment to MyBatis, and nothing to a database.
fn without_its_comments(up: &str) -> String {
    lines(up)
        .map(|(_, line)| {
            if line.trim_start().starts_with("//") {
                blank(line, 0..line.len())
            } else {
                line.to_owned()
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Parsed, files_of};
    use crate::cli_error::CliError;
    use crate::migrate::source::{Migration, Settings};

    fn parse(name: &str, text: &str) -> Result<Parsed, CliError> {
        super::parse(&files_of(&[(name, text)]), &Settings::default())
    }

    fn one(text: &str) -> Migration {
        parse("20240101120000_create_the_chat.sql", text)
            .unwrap()
            .migrations
            .remove(0)
    }

    #[test]
    fn what_undoes_is_not_run() {
        for mark in ["-- //@UNDO", "--//@UNDO", "  --  // @UNDO the chat"] {
            let migration = one(&format!(
                "-- // create the chat\n// why\nA;\n\n{mark}\nB;\n"
            ));
            assert!(
                migration.up.contains("A;") && !migration.up.contains("B;"),
                "{mark}"
            );
            assert!(!migration.up.contains("why"));
            assert!(migration.down.unwrap().contains("B;"));
            assert_eq!(migration.description, "create the chat");
        }
        assert_eq!(one("A;\n").down, None);
    }

    #[test]
    fn what_only_mybatis_can_run_is_named() {
        assert!(
            one("GRANT ALL ON chat TO ${owner};\n")
                .unsupported
                .unwrap()
                .why
                .contains("${owner}")
        );
        assert!(one("-- @DELIMITER /\nA /\n").unsupported.is_some());
        assert!(one("A;\n-- //@UNDO\nDROP ${x};\n").unsupported.is_none());
    }

    #[test]
    fn its_other_files_are_left_out() {
        assert_eq!(parse("bootstrap.sql", "A;").unwrap().ignored.len(), 1);
        assert!(parse("chat.sql", "A;").is_err());
    }
}
