//! sqlx 0.9: `<i64>_<description>.sql`, or `.up.sql` and `.down.sql` (`sqlx-core` `migrate/source.rs`).

use super::{Claim, Depth, Down, Format, Parsed};
use crate::cli_error::CliError;
use crate::migrate::source::{File, Migration, Settings, Version, checksum_ignoring, is_sql};

/// The row of sqlx.
pub const FORMAT: Format = Format {
    name: "sqlx",
    summary: "1_create_chat.sql, or 1_create_chat.up.sql with 1_create_chat.down.sql",
    depth: Depth::Flat,
    another: None,
    claim,
    parse,
};

/// The first bytes of a file that sqlx runs outside a transaction.
const NO_TRANSACTION: &str = "-- no-transaction";
/// The line at the top by which Atlas does so.
const ATLAS_NO_TRANSACTION: &str = "-- atlas:txmode none";

fn claim(files: &[File]) -> Option<Claim> {
    let named = files
        .iter()
        .filter(|file| !file.name.contains('/'))
        .filter_map(|file| {
            let (number, rest) = file.name.split_once('_')?;
            rest.ends_with(".sql").then_some((file, number))
        });
    let (numbers, others): (Vec<_>, Vec<_>) =
        named.partition(|(_, number)| number.parse::<i64>().is_ok());
    if let Some((file, _)) = numbers.first() {
        return Some(Claim {
            weight: 30,
            reason: format!("`{}` is named `<VERSION>_<NAME>.sql`", file.name),
        });
    }
    // The claim is weak, but its error (a bad prefix) helps more than "no known format".
    others.first().map(|(file, _)| Claim {
        weight: 1,
        reason: format!("`{}` is almost named `<VERSION>_<NAME>.sql`", file.name),
    })
}

fn parse(files: &[File], settings: &Settings) -> Result<Parsed, CliError> {
    let mut parsed = Parsed::default();
    let mut downs = Vec::new();
    for file in files {
        let Some((number, rest)) = file
            .name
            .split_once('_')
            .filter(|it| it.1.ends_with(".sql"))
        else {
            let reason = if is_sql(&file.name) {
                "sqlx takes only names like `<VERSION>_<NAME>.sql`, in lower case at the end"
            } else {
                "it is not an `.sql` file"
            };
            parsed.ignore(file, reason);
            continue;
        };
        let version: i64 = number
            .parse()
            .map_err(|_| no_version(&file.name, (number, rest)))?;
        // The text of the name stays, so that `0001` is shown as it is written.
        let version = Version::parse(number).unwrap_or_else(|| Version::number(version));
        if rest.ends_with(".down.sql") {
            downs.push(Down { version, file });
            continue;
        }
        parsed
            .migrations
            .push(migration(file, version, rest, settings)?);
    }
    parsed.attach(downs)?;
    Ok(parsed)
}

/// Why a name does not begin with a version.
fn no_version(name: &str, (number, rest): (&str, &str)) -> CliError {
    let is_large = !number.is_empty() && number.bytes().all(|it| it.is_ascii_digit());
    if is_large {
        return CliError::usage(format!(
            "the version of `{name}` is over {}, the largest one",
            i64::MAX
        ))
        .hint("rename all files: shorter versions, in the same order");
    }
    CliError::usage(format!(
        "`{name}` must begin with an integer version, not `{number}`"
    ))
    .hint(format!("rename it, for example to `1_{rest}`"))
}

fn migration(
    file: &File,
    version: Version,
    rest: &str,
    settings: &Settings,
) -> Result<Migration, CliError> {
    let suffix = if rest.ends_with(".up.sql") {
        ".up.sql"
    } else {
        ".sql"
    };
    let description = rest.trim_end_matches(suffix).replace('_', " ");
    let mut migration = Migration::whole(version, description, file)?;
    if !settings.ignored_chars.is_empty() {
        let text = String::from_utf8_lossy(&file.bytes);
        migration.checksum = checksum_ignoring(&text, &settings.ignored_chars);
    }
    migration.no_transaction = file.bytes.starts_with(NO_TRANSACTION.as_bytes());
    // Atlas has files of this name, too.
    let atlas = migration
        .up
        .lines()
        .take_while(|line| line.starts_with("--"));
    migration.no_transaction |= atlas
        .into_iter()
        .any(|line| line.trim_end() == ATLAS_NO_TRANSACTION);
    if !migration.no_transaction && migration.up.trim_start().starts_with(NO_TRANSACTION) {
        // The author means it, and what is there mostly cannot run in a transaction at all.
        migration.no_transaction = true;
        migration.notes.push(format!(
            "sqlx does not see `{NO_TRANSACTION}` here, because it is not at the very start of the file; chatctl does."
        ));
    }
    Ok(migration)
}

#[cfg(test)]
mod tests {
    use super::super::{Parsed, files_of};
    use crate::cli_error::CliError;
    use crate::migrate::source::{Settings, checksum};

    fn parse(files: &[(&str, &str)]) -> Result<Parsed, CliError> {
        let files = files_of(files);
        super::parse(&files, &Settings::default())
    }

    #[test]
    fn a_version_that_is_too_large_is_called_so() {
        let error = |name: &str| parse(&[(name, "SELECT 1;")]).unwrap_err().to_string();
        for name in [
            "20150100000001000000_networks.sql",
            "9223372036854775808_a.sql",
        ] {
            let large = error(name);
            assert!(large.contains("is over 9223372036854775807"), "{large}");
        }
        assert!(error("a_networks.sql").contains("must begin with an integer"));
    }

    #[test]
    fn names_are_read_as_sqlx_reads_them() {
        let names = [
            ("1_init.sql", "1", "init"),
            ("0007_add_user_id.sql", "0007", "add user id"),
            ("20240101120000_x.up.sql", "20240101120000", "x"),
            ("3_.sql", "3", ""),
            ("4_a.sql.sql", "4", "a"),
            ("5_up.sql", "5", "up"),
            ("-6_before.sql", "-6", "before"),
        ];
        for (name, version, description) in names {
            let parsed = parse(&[(name, "SELECT 1;")]).unwrap();
            assert_eq!(parsed.migrations[0].version.text(), version);
            assert_eq!(parsed.migrations[0].description, description);
        }
    }

    #[test]
    fn what_sqlx_passes_over_is_reported() {
        let parsed = parse(&[("1.sql", ""), ("1_a.SQL", ""), ("README.md", "")]).unwrap();
        assert!(parsed.migrations.is_empty());
        assert_eq!(parsed.ignored.len(), 3);
    }

    #[test]
    fn a_prefix_that_is_no_integer_is_an_error() {
        for name in ["x_a.sql", "_a.sql", "1.5_a.sql"] {
            let stop = parse(&[(name, "")]).unwrap_err();
            assert!(stop.message.contains(name), "{}", stop.message);
            assert!(
                stop.hint
                    .unwrap()
                    .starts_with("rename it, for example to `1_")
            );
        }
    }

    #[test]
    fn the_down_file_goes_to_its_version() {
        let parsed = parse(&[
            ("1_a.down.sql", "DROP TABLE a;"),
            ("1_a.up.sql", "CREATE TABLE a (x);"),
            ("2_b.down.sql", "DROP TABLE b;"),
        ])
        .unwrap();
        assert_eq!(parsed.migrations.len(), 1);
        assert_eq!(parsed.migrations[0].down.as_deref(), Some("DROP TABLE a;"));
        assert_eq!(parsed.ignored[0].0.to_str(), Some("2_b.down.sql"));
    }

    #[test]
    fn two_down_files_of_one_version_are_refused() {
        let stop =
            parse(&[("1_a.sql", ""), ("1_a.down.sql", ""), ("01_b.down.sql", "")]).unwrap_err();
        assert!(stop.message.contains("1_a.down.sql") && stop.message.contains("01_b.down.sql"));
    }

    #[test]
    fn the_marker_counts_at_the_start_and_after_what_sqlx_stumbles_over() {
        for (text, seen, notes) in [
            ("-- no-transaction\nVACUUM;", true, 0),
            ("\u{FEFF}-- no-transaction\nVACUUM;", true, 1),
            ("\n-- no-transaction\nVACUUM;", true, 1),
            ("SELECT 1; -- no-transaction", false, 0),
            ("-- atlas:txmode none\n\nVACUUM;", true, 0),
        ] {
            let parsed = parse(&[("1_a.sql", text)]).unwrap();
            assert_eq!(parsed.migrations[0].no_transaction, seen, "{text}");
            assert_eq!(parsed.migrations[0].notes.len(), notes, "{text}");
        }
    }

    #[test]
    fn the_byte_order_mark_is_hashed_and_not_executed() {
        let parsed = parse(&[("1_a.sql", "\u{FEFF}SELECT 1;\r\n")]).unwrap();
        let migration = &parsed.migrations[0];
        assert_eq!(migration.up, "SELECT 1;\r\n");
        assert_eq!(migration.up_at, 3);
        assert_eq!(
            migration.checksum,
            checksum("\u{FEFF}SELECT 1;\r\n".as_bytes())
        );
    }
}
