//! sql-migrate: `1_create_chat.sql` with `-- +migrate …` lines (its `sqlparse/sqlparse.go`).
//!
//! It divides statements at semicolons and at StatementBegin and StatementEnd; chatctl reads SQL, and
//! needs neither. A name without a number is run after all others there, and is refused here.

use super::{
    Claim, Depth, Format, Parsed, at_line, claim_by_line, lines, nothing_before, numbered,
};
use crate::cli_error::CliError;
use crate::migrate::source::directions::{Direction, divide};
use crate::migrate::source::{File, Migration, Settings};

/// The row of sql-migrate.
pub const FORMAT: Format = Format {
    name: "sql-migrate",
    summary: "1_create_chat.sql with `-- +migrate Up` and `-- +migrate Down` in it",
    depth: Depth::Flat,
    another: Some("sql-migrate new NAME"),
    claim,
    parse,
};

fn claim(files: &[File]) -> Option<Claim> {
    claim_by_line(files, "-- +migrate Up", |line| direction(line).is_some())
}

/// The direction of a line, which begins with the mark and has its words in this case.
fn direction(line: &str) -> Option<Direction> {
    match command(line)?.next()? {
        "Up" => Some(Direction::Up),
        "Down" => Some(Direction::Down),
        _ => None,
    }
}

fn command(line: &str) -> Option<impl Iterator<Item = &str>> {
    line.strip_prefix("-- +migrate ").map(str::split_whitespace)
}

fn parse(files: &[File], _settings: &Settings) -> Result<Parsed, CliError> {
    let mut parsed = Parsed::default();
    for file in files {
        let Some(mut migration) = numbered(&mut parsed, file, '-')? else {
            continue;
        };
        divided(file, &mut migration)?;
        parsed.migrations.push(migration);
    }
    Ok(parsed)
}

fn divided(file: &File, migration: &mut Migration) -> Result<(), CliError> {
    let text = &migration.up;
    let Some((first, _)) = lines(text).find(|(_, line)| direction(line).is_some()) else {
        return Err(at_line(file, text, 0, "there is no `-- +migrate Up`")
            .hint("put `-- +migrate Up` on a line before the statements"));
    };
    nothing_before(file, text, first, "-- +migrate Up")?;
    let (mut one, mut other) = (None, None);
    for (at, line) in lines(text).filter(|(_, line)| direction(line) == Some(Direction::Up)) {
        let bare = command(line).is_some_and(|mut words| words.any(|word| word == "notransaction"));
        *if bare { &mut one } else { &mut other } = Some(at);
    }
    if let (Some(at), Some(_)) = (one, other) {
        let message = "one part runs in a transaction and another does not";
        return Err(at_line(file, text, at, message).hint("put each part into a separate file"));
    }
    let divided = divide(text, |_, line| direction(line));
    migration.no_transaction = one.is_some();
    migration.up = divided.up;
    migration.down = divided.down;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Parsed, files_of};
    use crate::cli_error::CliError;
    use crate::migrate::source::Settings;

    fn parse(name: &str, text: &str) -> Result<Parsed, CliError> {
        super::parse(&files_of(&[(name, text)]), &Settings::default())
    }

    #[test]
    fn only_the_parts_that_go_up_are_run() {
        let text = "-- about\n-- +migrate Up\nA;\n-- +migrate StatementBegin\nB;\n-- +migrate StatementEnd\n\
            -- +migrate Down\nC;\n-- +migrate Up\nD;\n";
        let parsed = parse("20240101-add-x.sql", text).unwrap();
        let migration = &parsed.migrations[0];
        let up = &migration.up;
        assert!(["A;", "B;", "D;"].iter().all(|it| up.contains(it)) && !up.contains("C;"));
        assert_eq!(up.find("D;"), text.find("D;"));
        assert_eq!(migration.down.as_deref(), Some("-- +migrate Down\nC;\n"));
        assert_eq!(migration.description, "add-x");
        assert_eq!(migration.recorded_as.as_deref(), Some("20240101-add-x.sql"));
        assert!(!migration.no_transaction);
    }

    #[test]
    fn a_part_may_ask_for_no_transaction() {
        let parsed = parse(
            "1_a.sql",
            "-- +migrate Up notransaction\nA;\n-- +migrate Down\n",
        );
        assert!(parsed.unwrap().migrations[0].no_transaction);
        let mixed = "-- +migrate Up\nA;\n-- +migrate Up notransaction\nB;\n";
        let stop = parse("1_a.sql", mixed).unwrap_err();
        assert!(
            stop.message.starts_with("`1_a.sql:3`: "),
            "{}",
            stop.message
        );
    }

    #[test]
    fn what_it_refuses_or_passes_over_is_refused_with_the_line() {
        for (text, line) in [("A;\n", 1), ("\nA;\n-- +migrate Up\nB;\n", 2)] {
            let stop = parse("1_a.sql", text).unwrap_err();
            let place = format!("`1_a.sql:{line}`: ");
            assert!(stop.message.starts_with(&place), "{}", stop.message);
        }
        assert!(parse("a.sql", "-- +migrate Up\n").is_err());
    }
}
