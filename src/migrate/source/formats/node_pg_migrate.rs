//! node-pg-migrate 8: `1700000000000_create-chat.sql` (its `src/sqlMigration.ts`, `src/migration.ts`).
//!
//! The first comment of each direction begins its part, which ends at the other one or with the file. A
//! file without comments goes up as a whole. Files of JavaScript may be next to it, and are listed.

use super::{Claim, Depth, Format, Parsed, claim_by_line, lines, nothing_before};
use crate::cli_error::CliError;
use crate::migrate::source::directions::{Direction, divide};
use crate::migrate::source::{File, Migration, Settings, Unsupported, Version};

/// The row of node-pg-migrate.
pub const FORMAT: Format = Format {
    name: "node-pg-migrate",
    summary: "1700000000000_create-chat.sql with `-- Up Migration` and `-- Down Migration` in it",
    depth: Depth::Flat,
    another: Some("node-pg-migrate create NAME"),
    claim,
    parse,
};

/// How the files of its other languages end.
const CODE: [&str; 4] = [".js", ".ts", ".cjs", ".mjs"];

fn claim(files: &[File]) -> Option<Claim> {
    claim_by_line(files, "-- Up Migration` or `-- Down Migration", |line| {
        direction(line).is_some()
    })
}

/// `^\s*--[\s-]*(up|down)\s+migration`, in any case.
fn direction(line: &str) -> Option<Direction> {
    let comment = line.trim_start().strip_prefix("--")?;
    let lower = comment.to_ascii_lowercase();
    let rest = lower.trim_start_matches(|c: char| c == '-' || c.is_whitespace());
    let (word, rest) = rest.split_once(char::is_whitespace)?;
    let direction = match word {
        "up" => Direction::Up,
        "down" => Direction::Down,
        _ => return None,
    };
    rest.trim_start()
        .starts_with("migration")
        .then_some(direction)
}

fn parse(files: &[File], _settings: &Settings) -> Result<Parsed, CliError> {
    let mut parsed = Parsed::default();
    for file in files {
        let is_code = CODE.iter().any(|ending| file.name.ends_with(ending));
        if !is_code && !file.name.ends_with(".sql") {
            parsed.ignore(file, "it is not an `.sql` file");
            continue;
        }
        let stem = file
            .name
            .rsplit_once('.')
            .map_or(&*file.name, |(stem, _)| stem);
        let (digits, title) = stem.split_once('_').unwrap_or((stem, ""));
        let version = Version::parse(digits).filter(|version| version.as_number().is_some());
        let Some(version) = version else {
            return Err(CliError::usage(format!(
                "`{}` must begin with a number and `_`, not `{digits}`",
                file.name
            ))
            .hint("rename it, for example to `1700000000000_create-chat.sql`"));
        };
        let mut migration = Migration::whole(version, title.to_owned(), file)?;
        migration.recorded_as = Some(stem.to_owned());
        if is_code {
            migration.unsupported = Some(Unsupported::new(
                "it is written in JavaScript; chatctl runs only SQL",
            ));
        } else {
            divided(file, &mut migration)?;
        }
        parsed.migrations.push(migration);
    }
    same_order(&mut parsed.migrations)?;
    Ok(parsed)
}

fn divided(file: &File, migration: &mut Migration) -> Result<(), CliError> {
    let first = |wanted| {
        let mut marked = lines(&migration.up).filter(|(_, line)| direction(line) == Some(wanted));
        marked.next().map(|(at, _)| at)
    };
    let marks = [first(Direction::Up), first(Direction::Down)];
    if let [Some(up), down] = marks
        && down.is_none_or(|down| up < down)
    {
        nothing_before(file, &migration.up, up, "-- Up Migration")?;
    }
    let divided = divide(&migration.up, |at, line| {
        direction(line).filter(|_| marks.contains(&Some(at)))
    });
    migration.up = divided.up;
    migration.down = divided.down;
    Ok(())
}

/// node-pg-migrate compares times: seventeen digits are a date, thirteen are milliseconds since 1970.
fn same_order(migrations: &mut [Migration]) -> Result<(), CliError> {
    migrations.sort_by(|a, b| a.version.cmp(&b.version));
    for pair in migrations.windows(2) {
        if milliseconds(&pair[0]) > milliseconds(&pair[1]) {
            return Err(CliError::usage(format!(
                "node-pg-migrate runs `{}` before `{}`, against the order of their numbers",
                pair[1].path.display(),
                pair[0].path.display()
            ))
            .hint("give both names the same kind of number"));
        }
    }
    Ok(())
}

fn milliseconds(migration: &Migration) -> i128 {
    let digits = migration.version.text();
    let number = || i128::from(migration.version.as_number().unwrap_or_default());
    let Some((date, time)) = digits.split_at_checked(8).filter(|_| digits.len() == 17) else {
        return number();
    };
    let text = format!(
        "{}-{}-{}T{}:{}:{}.{}Z",
        &date[..4],
        &date[4..6],
        &date[6..],
        &time[..2],
        &time[2..4],
        &time[4..6],
        &time[6..]
    );
    let since = humantime::parse_rfc3339(&text)
        .ok()
        .and_then(|moment| moment.duration_since(std::time::UNIX_EPOCH).ok());
    since.map_or_else(number, |since| {
        i128::try_from(since.as_millis()).unwrap_or(i128::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Parsed, files_of};
    use crate::cli_error::CliError;
    use crate::migrate::source::Settings;

    fn parse(files: &[(&str, &str)]) -> Result<Parsed, CliError> {
        super::parse(&files_of(files), &Settings::default())
    }

    fn parts(text: &str) -> (String, Option<String>) {
        let mut parsed = parse(&[("1700000000000_a.sql", text)]).unwrap();
        let migration = parsed.migrations.remove(0);
        (migration.up, migration.down)
    }

    #[test]
    fn each_part_ends_at_the_other_ones_comment() {
        let (up, down) = parts("-- Up Migration\nA;\n-- Down Migration\nB;\n");
        assert_eq!(up, "-- Up Migration\nA;\n                 \n  \n");
        assert_eq!(down.unwrap(), "-- Down Migration\nB;\n");
        let (up, down) = parts("--  down   migration of it\nB;\n  -----UP MIGRATION\nA;\n");
        assert!(up.contains("A;") && !up.contains("B;"));
        assert!(down.unwrap().contains("B;"));
        assert_eq!(parts("A;\n"), ("A;\n".to_owned(), None));
        let (up, _) = parts("A;\n-- Down Migration\nB;\n-- Down Migration\nC;\n");
        assert!(up.contains("A;") && !up.contains("B;") && !up.contains("C;"));
    }

    #[test]
    fn what_it_passes_over_is_refused_with_the_line() {
        let stop = parse(&[("1_a.sql", "\nA;\n-- Up Migration\nB;\n")]).unwrap_err();
        assert!(
            stop.message.starts_with("`1_a.sql:2`: "),
            "{}",
            stop.message
        );
        assert!(
            parse(&[("a_b.sql", "")])
                .unwrap_err()
                .message
                .contains("`a_b.sql`")
        );
    }

    #[test]
    fn its_history_has_the_names_without_the_ending() {
        let parsed = parse(&[
            ("1700000000000_add-users.sql", ""),
            ("1700000000001_x.ts", ""),
        ])
        .unwrap();
        let names: Vec<_> = parsed
            .migrations
            .iter()
            .map(|it| it.recorded_as.as_deref().unwrap())
            .collect();
        assert_eq!(names, ["1700000000000_add-users", "1700000000001_x"]);
        assert!(parsed.migrations[1].unsupported.is_some());
    }

    #[test]
    fn two_kinds_of_numbers_in_one_order_are_taken_and_others_refused() {
        // 1589353644505 is 2020-05-13T07:07:24.505Z.
        assert!(parse(&[("1589353644505_a.sql", ""), ("20200513070724506_b.sql", "")]).is_ok());
        let stop =
            parse(&[("1589353644507_a.sql", ""), ("20200513070724506_b.sql", "")]).unwrap_err();
        assert!(
            stop.message.contains("`20200513070724506_b.sql` before"),
            "{}",
            stop.message
        );
    }
}
