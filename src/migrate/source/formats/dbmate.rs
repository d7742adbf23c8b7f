//! dbmate 2: `<DIGITS>….sql` with `-- migrate:up` and `-- migrate:down` (its `pkg/dbmate/migration.go`).

use super::{Claim, Depth, Format, Parsed, at_line, claim_by_line, in_order_of, lines};
use crate::cli_error::CliError;
use crate::migrate::source::directions::Direction;
use crate::migrate::source::{File, Migration, Settings, Version, blank, says_nothing};
use std::ops::Range;

/// The row of dbmate.
pub const FORMAT: Format = Format {
    name: "dbmate",
    summary: "20240101120000_create_chat.sql with `-- migrate:up` and `-- migrate:down` in it",
    depth: Depth::Flat,
    another: Some("dbmate new NAME"),
    claim,
    parse,
};

fn claim(files: &[File]) -> Option<Claim> {
    claim_by_line(files, "-- migrate:up", |line| {
        directive(line).is_some_and(|it| it.0 == Direction::Up)
    })
}

/// `^--\s*migrate:(up|down)(\s*$|\s+\S+)`, and the options after it.
fn directive(line: &str) -> Option<(Direction, &str)> {
    let rest = line.strip_prefix("--")?.trim_start();
    let rest = rest.strip_prefix("migrate:")?;
    let (direction, options) = if let Some(options) = rest.strip_prefix("up") {
        (Direction::Up, options)
    } else {
        (Direction::Down, rest.strip_prefix("down")?)
    };
    let apart = options.is_empty() || options.starts_with(char::is_whitespace);
    apart.then_some((direction, options.trim()))
}

struct Block {
    direction: Direction,
    transaction: bool,
    range: Range<usize>,
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for (at, line) in lines(text) {
        if let Some((direction, options)) = directive(line) {
            if let Some(last) = blocks.last_mut() {
                last.range.end = at;
            }
            // As with dbmate, the last of several settings holds.
            let transaction = options
                .split_whitespace()
                .filter_map(|pair| pair.strip_prefix("transaction:"))
                .next_back()
                != Some("false");
            blocks.push(Block {
                direction,
                transaction,
                range: at..text.len(),
            });
        }
    }
    blocks
}

fn parse(files: &[File], _settings: &Settings) -> Result<Parsed, CliError> {
    let mut parsed = Parsed::default();
    for file in files {
        let digits: &str = file
            .name
            .split(|c: char| !c.is_ascii_digit())
            .next()
            .unwrap_or_default();
        if digits.is_empty() || !file.name.ends_with(".sql") {
            parsed.ignore(file, "dbmate takes only names like `<DIGITS>_<NAME>.sql`");
            continue;
        }
        let version = Version::parse(digits)
            .filter(|version| version.as_number().is_some())
            .ok_or_else(|| {
                CliError::usage(format!("the version of `{}` is too large", file.name))
                    .hint("a version is at most 9223372036854775807")
            })?;
        parsed.migrations.push(migration(file, version)?);
    }
    // `10_b.sql` runs before `9_a.sql`.
    in_order_of("dbmate", &parsed.migrations, Migration::file_name)?;
    Ok(parsed)
}

fn migration(file: &File, version: Version) -> Result<Migration, CliError> {
    let (text, _) = file.text()?;
    let blocks = blocks(text);
    let Some(first) = blocks.first() else {
        return Err(at_line(file, text, 0, "there is no `-- migrate:up`")
            .hint("put `-- migrate:up` on a line before the statements"));
    };
    if !says_nothing(&text[..first.range.start]) {
        return Err(
            at_line(file, text, 0, "there are statements before `-- migrate:up`")
                .hint("put `-- migrate:up` on a line before them"),
        );
    }
    check(file, text, &blocks)?;
    let title = file
        .name
        .trim_end_matches(".sql")
        .trim_start_matches(|c: char| c.is_ascii_digit())
        .trim_start_matches('_')
        .to_owned();
    let mut migration = Migration::whole(version, title, file)?;
    migration.no_transaction = !first.transaction;
    let is_down = |block: &&Block| block.direction == Direction::Down;
    let down: String = blocks
        .iter()
        .filter(is_down)
        .map(|block| &text[block.range.clone()])
        .rev()
        .collect();
    migration.down = Some(down).filter(|down| !says_nothing(down));
    // Blank is better than cut: a place in `up` stays a place in the file.
    let mut up = text.to_owned();
    for block in blocks.iter().filter(is_down) {
        up = blank(&up, block.range.clone());
    }
    let end = blocks
        .iter()
        .rfind(|block| block.direction == Direction::Up)
        .map_or(text.len(), |block| block.range.end);
    // A comment above the first mark may be a directive of chatctl.
    up[..end].clone_into(&mut migration.up);
    Ok(migration)
}

/// What dbmate refuses, and the one thing that cannot be one migration: a mix of transactions.
fn check(file: &File, text: &str, blocks: &[Block]) -> Result<(), CliError> {
    let mut expected = Direction::Up;
    for block in blocks {
        let at = block.range.start;
        if block.direction != expected {
            let message = match expected {
                Direction::Up => "`-- migrate:down` without a `-- migrate:up` before it",
                Direction::Down => "a second `-- migrate:up` before its `-- migrate:down`",
            };
            return Err(at_line(file, text, at, message)
                .hint("put one `-- migrate:down` after each `-- migrate:up`"));
        }
        expected = match expected {
            Direction::Up => Direction::Down,
            Direction::Down => Direction::Up,
        };
    }
    if expected == Direction::Down {
        return Err(
            at_line(file, text, text.len(), "there is no `-- migrate:down`")
                .hint("end the file with the line `-- migrate:down`; it may stay empty"),
        );
    }
    let mut ups = blocks
        .iter()
        .filter(|block| block.direction == Direction::Up);
    if let Some(first) = ups.next()
        && let Some(other) = ups.find(|block| block.transaction != first.transaction)
    {
        let message = "one part runs in a transaction and another does not";
        return Err(at_line(file, text, other.range.start, message)
            .hint("put each part into a separate file"));
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

    fn message(text: &str) -> String {
        parse(&[("1_a.sql", text)]).unwrap_err().message
    }

    #[test]
    fn up_and_down_are_parted() {
        let text = "-- about\n-- migrate:up transaction:false\nA;\n--migrate:down\nB;\n";
        let parsed = parse(&[("20240101_add_x.sql", text)]).unwrap();
        let migration = &parsed.migrations[0];
        assert_eq!(
            migration.up,
            "-- about\n-- migrate:up transaction:false\nA;\n"
        );
        assert_eq!(migration.down.as_deref(), Some("--migrate:down\nB;\n"));
        assert!(migration.no_transaction);
        assert_eq!(migration.description, "add_x");
    }

    #[test]
    fn only_its_own_spelling_switches_the_transaction_off() {
        for options in ["", " transaction:true", " transaction: false", " foo:bar"] {
            let text = format!("-- migrate:up{options}\nA;\n-- migrate:down\n");
            let parsed = parse(&[("1_a.sql", &text)]).unwrap();
            assert!(!parsed.migrations[0].no_transaction, "{options}");
            assert_eq!(parsed.migrations[0].down, None);
        }
    }

    #[test]
    fn several_parts_are_one_text_with_the_downs_blank() {
        let text = "-- migrate:up\nA;\n-- migrate:down\nB;\n-- migrate:up\nC;\n-- migrate:down\n";
        let parsed = parse(&[("1_a.sql", text)]).unwrap();
        let up = &parsed.migrations[0].up;
        assert!(up.contains("A;") && up.contains("C;") && !up.contains("B;"));
        assert_eq!(up.find("C;"), text.find("C;"));
    }

    #[test]
    fn what_dbmate_refuses_is_refused_with_the_line() {
        assert_eq!(message("A;\n"), "`1_a.sql:1`: there is no `-- migrate:up`");
        assert!(message("A;\n-- migrate:up\n-- migrate:down\n").contains("before `-- migrate:up`"));
        assert!(message("-- migrate:up\nA;\n").contains("no `-- migrate:down`"));
        assert!(message("-- migrate:down\n-- migrate:up\n").starts_with("`1_a.sql:1`"));
        let mixed =
            "-- migrate:up\n-- migrate:down\n-- migrate:up transaction:false\n-- migrate:down\n";
        assert!(message(mixed).starts_with("`1_a.sql:3`"));
    }

    #[test]
    fn a_word_that_only_begins_like_the_marker_is_a_comment() {
        let text = "-- migrate:up\n-- migrate:upwards\n-- migrate:down\n";
        assert_eq!(parse(&[("1_a.sql", text)]).unwrap().migrations.len(), 1);
    }

    #[test]
    fn an_order_of_names_against_the_numbers_is_refused() {
        let text = "-- migrate:up\n-- migrate:down\n";
        let stop = parse(&[("9_a.sql", text), ("10_b.sql", text)]).unwrap_err();
        assert!(stop.message.contains("`10_b.sql` before `9_a.sql`"));
        assert!(parse(&[("09_a.sql", text), ("10_b.sql", text)]).is_ok());
    }
}
