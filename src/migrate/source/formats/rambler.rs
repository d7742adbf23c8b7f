//! rambler 5: `20240101_create_chat.sql` with `-- rambler up` and `-- rambler down` (its `migration.go`).
//!
//! It runs nothing before the first mark, and orders the files by their names.

use super::{
    Claim, Depth, Format, Parsed, at_line, claim_by_line, in_order_of, lines, nothing_before,
    numbered,
};
use crate::cli_error::CliError;
use crate::migrate::source::directions::{Direction, divide};
use crate::migrate::source::{File, Migration, Settings};

/// The row of rambler.
pub const FORMAT: Format = Format {
    name: "rambler",
    summary: "20240101_create_chat.sql with `-- rambler up` and `-- rambler down` in it",
    depth: Depth::Flat,
    another: Some("a file `<TIME>_<NAME>.sql` with `-- rambler up` in it"),
    claim,
    parse,
};

fn claim(files: &[File]) -> Option<Claim> {
    claim_by_line(files, "-- rambler up", |line| section(line) == Some("up"))
}

/// The word behind the mark; any other than `up` ends the part that is run.
fn section(line: &str) -> Option<&str> {
    line.strip_prefix("-- rambler").map(str::trim)
}

fn direction(line: &str) -> Option<Direction> {
    section(line).map(|word| match word {
        "up" => Direction::Up,
        _ => Direction::Down,
    })
}

fn parse(files: &[File], _settings: &Settings) -> Result<Parsed, CliError> {
    let mut parsed = Parsed::default();
    for file in files {
        let Some(mut migration) = numbered(&mut parsed, file, '_')? else {
            continue;
        };
        let text = &migration.up;
        let Some((first, _)) = lines(text).find(|(_, line)| section(line).is_some()) else {
            return Err(at_line(file, text, 0, "there is no `-- rambler up`")
                .hint("put `-- rambler up` on a line before the statements"));
        };
        nothing_before(file, text, first, "-- rambler up")?;
        let divided = divide(text, |_, line| direction(line));
        migration.up = divided.up;
        migration.down = divided.down;
        parsed.migrations.push(migration);
    }
    in_order_of("rambler", &parsed.migrations, Migration::file_name)?;
    Ok(parsed)
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
    fn only_the_sections_called_up_are_run() {
        let text =
            "-- rambler up\nA;\n-- rambler down\nB;\n-- rambler up\nC;\n-- rambler other\nD;\n";
        let parsed = parse(&[("201409272258_add.sql", text)]).unwrap();
        let migration = &parsed.migrations[0];
        assert!(migration.up.contains("A;") && migration.up.contains("C;"));
        assert!(!migration.up.contains("B;") && !migration.up.contains("D;"));
        assert_eq!(
            migration.recorded_as.as_deref(),
            Some("201409272258_add.sql")
        );
    }

    #[test]
    fn what_it_would_not_run_is_refused_with_the_line() {
        for (text, line) in [("A;\n", 1), ("-- x\nA;\n-- rambler up\nB;\n", 2)] {
            let stop = parse(&[("1_a.sql", text)]).unwrap_err();
            let place = format!("`1_a.sql:{line}`: ");
            assert!(stop.message.starts_with(&place), "{}", stop.message);
        }
        let up = "-- rambler up\nA;\n";
        assert!(parse(&[("9_a.sql", up), ("10_b.sql", up)]).is_err());
    }
}
