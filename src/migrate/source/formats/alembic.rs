//! SQL that `alembic upgrade … --sql` wrote: one file with many revisions, or one file a revision.
//!
//! Each stretch from a `-- Running upgrade a -> b` to the next is a migration. What alembic adds for
//! itself is blank in it: the `alembic_version` table and its rows, and the transaction around it.
//! A version table with another name (`version_table`) is not known as such and is left in.

use super::{Claim, Depth, Format, Parsed, at_line, claim_by_line, lines};
use crate::cli_error::CliError;
use crate::migrate::source::{
    File, Migration, Settings, Version, blank, checksum, is_sql, says_nothing,
};
use std::collections::BTreeSet;
use std::ops::Range;

/// The row of alembic.
pub const FORMAT: Format = Format {
    name: "alembic",
    summary: "what `alembic upgrade head --sql` prints, with its `-- Running upgrade` lines",
    depth: Depth::Flat,
    another: Some("alembic revision -m NAME, then alembic upgrade head --sql"),
    claim,
    parse,
};

const UPGRADE: &str = "-- Running upgrade ";
const DOWNGRADE: &str = "-- Running downgrade ";

/// The table that alembic keeps for itself.
const TABLE: &str = "alembic_version";

/// Whether the line begins a statement on alembic's own table, which may be in a schema.
fn is_own(line: &str, verb: &str) -> bool {
    let name = line
        .strip_prefix(verb)
        .and_then(|rest| rest.split_whitespace().next());
    name.and_then(|name| name.rsplit('.').next())
        .is_some_and(|name| name.trim_matches(['"', '`']) == TABLE)
}

fn claim(files: &[File]) -> Option<Claim> {
    claim_by_line(files, "-- Running upgrade", |line| {
        line.starts_with(UPGRADE) || line.starts_with(DOWNGRADE)
    })
}

/// A stretch of a file: one revision and those it follows.
struct Revision<'a> {
    file: &'a File,
    id: String,
    after: Vec<String>,
    range: Range<usize>,
}

fn parse(files: &[File], _settings: &Settings) -> Result<Parsed, CliError> {
    let mut parsed = Parsed::default();
    let mut revisions = Vec::new();
    for file in files {
        if !is_sql(&file.name) {
            parsed.ignore(file, "it is not an `.sql` file");
            continue;
        }
        let before = revisions.len();
        let (text, _) = file.text()?;
        cut(file, text, &mut revisions)?;
        if revisions.len() == before {
            let reason = if text.contains(DOWNGRADE) {
                "it is a downgrade, and chatctl only migrates forward"
            } else {
                "it has no line `-- Running upgrade`"
            };
            parsed.ignore(file, reason);
        }
    }
    for (place, revision) in chain(revisions)?.into_iter().enumerate() {
        parsed.migrations.push(migration(revision, place)?);
    }
    Ok(parsed)
}

/// Adds the revisions of a file, in the order of the file.
fn cut<'a>(file: &'a File, text: &str, found: &mut Vec<Revision<'a>>) -> Result<(), CliError> {
    let mut own = false;
    for (at, line) in lines(text) {
        if !line.starts_with("-- Running ") {
            continue;
        }
        if own && let Some(last) = found.last_mut() {
            last.range.end = at;
        }
        own = false;
        let Some(step) = line.strip_prefix(UPGRADE) else {
            continue;
        };
        let Some((from, to)) = step.split_once("->") else {
            return Err(at_line(file, text, at, "a revision without `->`")
                .hint("generate the file again: `alembic upgrade head --sql`"));
        };
        let id = to.trim().to_owned();
        let after: Vec<_> = from
            .split(',')
            .map(|id| id.trim().to_owned())
            .filter(|id| !id.is_empty())
            .collect();
        if let Some(first) = found.iter().find(|it| it.id == id) {
            return Err(CliError::refused(format!(
                "`{}` and `{}` both have revision `{id}`",
                first.file.name, file.name
            ))
            .hint("keep the applied file"));
        }
        found.push(Revision {
            file,
            id,
            after,
            range: at..text.len(),
        });
        own = true;
    }
    Ok(())
}

/// The revisions with each after those that it follows; otherwise in the order they were found.
fn chain(mut waiting: Vec<Revision<'_>>) -> Result<Vec<Revision<'_>>, CliError> {
    let mut left: BTreeSet<String> = waiting.iter().map(|it| it.id.clone()).collect();
    let mut sorted = Vec::new();
    while !waiting.is_empty() {
        let ready = waiting
            .iter()
            .position(|it| !it.after.iter().any(|id| left.contains(id)));
        let Some(at) = ready else {
            let ids: Vec<_> = left.into_iter().collect();
            return Err(CliError::usage(format!(
                "the revisions `{}` follow each other in a circle",
                ids.join("`, `")
            ))
            .hint("generate the files again: `alembic upgrade head --sql`"));
        };
        let revision = waiting.remove(at);
        left.remove(&revision.id);
        sorted.push(revision);
    }
    Ok(sorted)
}

fn migration(revision: Revision<'_>, place: usize) -> Result<Migration, CliError> {
    let (text, start) = revision.file.text()?;
    let part = &text[revision.range.clone()];
    let (up, in_pieces) = without_own(part);
    let version = Version::revision(&revision.id, place);
    // Its file names no purpose; the step does.
    let from = revision.after.join(", ");
    let description = if from.is_empty() {
        format!("base to {}", revision.id)
    } else {
        format!("{from} to {}", revision.id)
    };
    let mut migration = Migration::whole(version, description, revision.file)?;
    let kept = up.trim_end().len();
    up[..kept].clone_into(&mut migration.up);
    migration.up_at = start + revision.range.start;
    // A revision that is added to the file later must not change the checksums of those before it.
    migration.raw = part.as_bytes()[..kept].to_vec();
    migration.checksum = checksum(&migration.raw);
    migration.after = revision.after;
    // The chain orders revisions; of two branches, either may come first.
    migration.any_order = true;
    migration.no_transaction = in_pieces;
    if in_pieces {
        migration.notes.push(
            "It commits in the middle (`autocommit_block`), so all of it runs outside a transaction.".to_owned(),
        );
    }
    if says_nothing(&migration.up) {
        migration.notes.push("It changes nothing.".to_owned());
    }
    Ok(migration)
}

/// The text with alembic's own statements blank, and whether it commits in the middle.
fn without_own(part: &str) -> (String, bool) {
    let mut text = part.to_owned();
    let mut creating = false;
    let mut begins_and_commits = Vec::new();
    for (at, line) in lines(part) {
        let range = at..at + line.len();
        let bare = line.trim_end();
        creating |= is_own(line, "CREATE TABLE ");
        let verbs = ["INSERT INTO ", "UPDATE ", "DELETE FROM "];
        if creating || verbs.iter().any(|verb| is_own(line, verb)) {
            text = blank(&text, range);
        } else if bare == "BEGIN;" || bare == "COMMIT;" {
            begins_and_commits.push(range);
        }
        if creating && bare.ends_with(");") {
            creating = false;
        }
    }
    for range in &begins_and_commits {
        text = blank(&text, range.clone());
    }
    // What is at the end belongs to the transaction around the revision; one before it does not.
    let in_pieces = begins_and_commits.into_iter().any(|range| {
        part[range.clone()].trim_end() == "COMMIT;" && !says_nothing(&text[range.end..])
    });
    (text, in_pieces)
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

    const TWO: &str = "BEGIN;\n\nCREATE TABLE alembic_version (\n    version_num VARCHAR(32) NOT NULL, \n    \
        CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)\n);\n\n-- Running upgrade  -> aa11\n\n\
        CREATE TABLE chat (id INT);\n\nINSERT INTO alembic_version (version_num) VALUES ('aa11');\n\n\
        -- Running upgrade aa11 -> bb22\n\nALTER TABLE chat ADD title TEXT;\n\n\
        UPDATE alembic_version SET version_num='bb22' WHERE alembic_version.version_num = 'aa11';\n\nCOMMIT;\n\n";

    #[test]
    fn a_file_is_divided_into_its_revisions() {
        let parsed = parse(&[("all.sql", TWO)]).unwrap();
        let texts: Vec<_> = parsed.migrations.iter().map(|it| it.up.as_str()).collect();
        assert_eq!(
            texts,
            [
                "-- Running upgrade  -> aa11\n\nCREATE TABLE chat (id INT);",
                "-- Running upgrade aa11 -> bb22\n\nALTER TABLE chat ADD title TEXT;"
            ]
        );
        assert_eq!(parsed.migrations[1].version.text(), "bb22");
        assert_eq!(parsed.migrations[1].after, ["aa11"]);
        assert!(!parsed.migrations[1].no_transaction);
    }

    #[test]
    fn a_revision_added_later_leaves_the_checksums_alone() {
        let one = TWO.split("-- Running upgrade aa11").next().unwrap();
        let before = parse(&[("all.sql", &format!("{one}COMMIT;\n"))]).unwrap();
        let after = parse(&[("all.sql", TWO)]).unwrap();
        assert_eq!(before.migrations[0].checksum, after.migrations[0].checksum);
    }

    #[test]
    fn the_chain_decides_and_not_the_names_of_the_files() {
        let parsed = parse(&[
            ("a.sql", "-- Running upgrade aa, bb -> cc\nC;\n"),
            ("b.sql", "-- Running upgrade  -> aa\nA;\n"),
            ("c.sql", "-- Running upgrade  -> bb\nB;\n"),
        ])
        .unwrap();
        let ids: Vec<_> = parsed
            .migrations
            .iter()
            .map(|it| it.version.text())
            .collect();
        assert_eq!(ids, ["aa", "bb", "cc"]);
        assert!(parsed.migrations[2].version > parsed.migrations[1].version);
    }

    #[test]
    fn a_commit_in_the_middle_ends_the_transaction() {
        let text = "-- Running upgrade aa -> bb\nA;\n\nCOMMIT;\n\nB;\n\nBEGIN;\n\nCOMMIT;\n";
        let parsed = parse(&[("a.sql", text)]).unwrap();
        let migration = &parsed.migrations[0];
        assert!(migration.no_transaction);
        assert!(!migration.up.contains("COMMIT") && migration.up.contains("B;"));
    }

    #[test]
    fn the_table_is_known_in_a_schema_and_others_are_not_it() {
        let text = "-- Running upgrade  -> aa\nUPDATE alembic_versions SET a = 1;\n\
            INSERT INTO chat.alembic_version (version_num) VALUES ('aa');\n";
        let parsed = parse(&[("a.sql", text)]).unwrap();
        assert!(
            parsed.migrations[0]
                .up
                .ends_with("alembic_versions SET a = 1;")
        );
    }

    /// A file as Alembic wrote it for PostgreSQL, with two branches and an `autocommit_block`.
    #[test]
    fn what_alembic_wrote_is_read() {
        let text = include_str!("../../../../fixtures/formats/alembic/upgrade.sql");
        let parsed = parse(&[("upgrade.sql", text)]).unwrap();
        let found: Vec<_> = parsed
            .migrations
            .iter()
            .map(|it| (it.version.text(), it.no_transaction, it.notes.len()))
            .collect();
        assert_eq!(
            found,
            [
                ("aa11", false, 0),
                ("cc33", false, 0),
                ("bb22", true, 1),
                ("dd44", false, 1)
            ]
        );
        for migration in &parsed.migrations {
            assert!(
                !migration.up.contains("alembic_version"),
                "{}",
                migration.up
            );
            assert!(!migration.up.contains("COMMIT"), "{}", migration.up);
        }
    }

    #[test]
    fn a_transaction_a_revision_is_no_commit_in_the_middle() {
        let text = "BEGIN;\n-- Running upgrade  -> aa\nA;\nCOMMIT;\n\nBEGIN;\n-- Running upgrade aa -> bb\nB;\nCOMMIT;\n";
        let parsed = parse(&[("a.sql", text)]).unwrap();
        for migration in &parsed.migrations {
            assert!(!migration.no_transaction);
            assert!(!migration.up.contains("BEGIN"));
        }
    }

    #[test]
    fn one_revision_in_two_files_is_refused() {
        let text = "-- Running upgrade  -> aa\nA;\n";
        let stop = parse(&[("a.sql", text), ("b.sql", text)]).unwrap_err();
        assert_eq!(stop.message, "`a.sql` and `b.sql` both have revision `aa`");
    }

    #[test]
    fn a_circle_is_an_error() {
        let text = "-- Running upgrade aa -> bb\nA;\n-- Running upgrade bb -> aa\nB;\n";
        let stop = parse(&[("a.sql", text)]).unwrap_err();
        assert!(stop.message.contains("circle"), "{}", stop.message);
    }

    #[test]
    fn what_goes_back_is_reported() {
        let parsed = parse(&[(
            "down.sql",
            "-- Running downgrade bb -> aa\nDROP TABLE chat;\n",
        )])
        .unwrap();
        assert!(parsed.migrations.is_empty());
        assert!(parsed.ignored[0].1.contains("downgrade"));
    }
}
