//! tern 2: `001_create_chat.sql`, in which one line parts what makes from what undoes (its `migrate/migrate.go`).

use super::{Claim, Depth, Format, Parsed, claim_by_line};
use crate::cli_error::CliError;
use crate::migrate::source::directions::{Direction, divide};
use crate::migrate::source::{File, Migration, Settings, Unsupported, Version};

/// The row of tern.
pub const FORMAT: Format = Format {
    name: "tern",
    summary: "001_create_chat.sql with `---- create above / drop below ----` in it",
    depth: Depth::Flat,
    another: Some("tern new NAME"),
    claim,
    parse,
};

/// tern looks for these characters anywhere, and takes what is before the first of them.
const BELOW: &str = "---- create above / drop below ----";
/// The line by which a file asks for no transaction.
const NO_TRANSACTION: &str = "---- tern: disable-tx ----";

fn claim(files: &[File]) -> Option<Claim> {
    claim_by_line(files, BELOW, |line| line.contains(BELOW))
}

fn parse(files: &[File], _settings: &Settings) -> Result<Parsed, CliError> {
    let mut parsed = Parsed::default();
    for file in files {
        let stem = file.name.strip_suffix(".sql");
        let named = stem.and_then(|stem| {
            let (digits, title) = stem.split_once('_')?;
            let version = Version::parse(digits).filter(|it| it.as_number().is_some())?;
            (!title.is_empty()).then(|| (version, title.to_owned()))
        });
        let Some((version, title)) = named else {
            parsed.ignore(file, "tern takes only names like `<NUMBER>_<NAME>.sql`");
            continue;
        };
        let mut migration = Migration::whole(version, title, file)?;
        let divided = divide(&migration.up, |_, line| {
            line.contains(BELOW).then_some(Direction::Down)
        });
        migration.up = divided.up;
        migration.down = divided.down;
        migration.no_transaction = migration
            .up
            .lines()
            .any(|line| line.trim_end() == NO_TRANSACTION);
        if migration.up.contains("{{") {
            migration.unsupported = Some(Unsupported::new(
                "it has a template (`{{ … }}`), whose value chatctl does not know",
            ));
        }
        parsed.migrations.push(migration);
    }
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::super::files_of;
    use crate::migrate::source::{Migration, Settings};

    fn one(text: &str) -> Migration {
        let files = files_of(&[("001_create_chat.sql", text)]);
        super::parse(&files, &Settings::default())
            .unwrap()
            .migrations
            .remove(0)
    }

    #[test]
    fn what_is_below_the_line_is_not_run() {
        let migration = one("A;\n---- create above / drop below ----\nB;\n");
        assert!(migration.up.contains("A;") && !migration.up.contains("B;"));
        assert!(migration.down.unwrap().contains("B;"));
        assert_eq!(one("A;\n").down, None);
        assert_eq!(migration.version.text(), "001");
    }

    #[test]
    fn a_file_may_ask_for_no_transaction_and_a_template_is_named() {
        let migration = one("---- tern: disable-tx ----\nA;\n");
        assert!(migration.no_transaction && migration.unsupported.is_none());
        assert!(
            one("GRANT ALL ON chat TO {{.app}};\n")
                .unsupported
                .is_some()
        );
        let below = one("A;\n---- create above / drop below ----\nDROP {{.x}};\n");
        assert!(below.unsupported.is_none());
    }

    #[test]
    fn other_names_are_reported() {
        let files = files_of(&[("code.sql", ""), ("tern.conf", ""), ("1_.sql", "")]);
        assert_eq!(
            super::parse(&files, &Settings::default())
                .unwrap()
                .ignored
                .len(),
            3
        );
    }
}
