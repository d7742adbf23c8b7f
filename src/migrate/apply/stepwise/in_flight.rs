//! What is noted before a statement that can't be in a transaction, so that the next run knows whether it
//! was done when the process ended.

use crate::db::Session;
use crate::migrate::apply::reach;
use crate::migrate::intent::Piece;
use crate::migrate::journal;
use crate::sql::Kind;

/// How a note begins that is about the tables of the statement only.
const OF_TABLES: &str = "tables:";

/// The schema before a statement: of the tables that it names where it changes no others, otherwise all of it.
pub(super) fn note(session: &mut dyn Session, piece: &Piece<'_>) -> anyhow::Result<String> {
    if let Some(names) = tables(piece)
        && let Some(lines) = session.schema_of(&names)?
    {
        return Ok(format!("{OF_TABLES}{}", journal::hash(&lines.join("\n"))));
    }
    whole(session)
}

/// Whether the schema is as it was noted before a statement.
pub(super) fn is_as_noted(
    session: &mut dyn Session,
    piece: &Piece<'_>,
    noted: &str,
) -> anyhow::Result<bool> {
    let now = if noted.starts_with(OF_TABLES) {
        note(session, piece)?
    } else {
        whole(session)?
    };
    Ok(now == noted)
}

fn whole(session: &mut dyn Session) -> anyhow::Result<String> {
    Ok(journal::hash(&session.schema()?.join("\n")))
}

/// The tables that a statement changes by their names, and with which it changes nothing else of the
/// schema. A name that is read wrongly leads to a statement that is run once more, and fails.
fn tables<'a>(piece: &'a Piece<'_>) -> Option<Vec<&'a str>> {
    let by_name = matches!(
        piece.facts.kind,
        Kind::CreateTable { .. }
            | Kind::DropTable { .. }
            | Kind::AlterTable { .. }
            | Kind::RenameTable { .. }
            | Kind::CreateIndex { .. }
            | Kind::DropIndex { .. }
    );
    let named = reach::written(piece);
    // A name of another database is searched for nowhere.
    let is_here = !named.is_empty() && named.iter().all(|name| name.schema.is_none());
    let names = named.into_iter().map(|name| name.name.as_str());
    (by_name && is_here).then(|| names.collect())
}

#[cfg(test)]
mod tests {
    use super::tables;
    use crate::migrate::intent::Intent;
    use crate::migrate::source::{File, Migration, Version};
    use crate::sql::Dialect;

    fn of(text: &str) -> Option<Vec<String>> {
        let file = File {
            name: "1_a.sql".to_owned(),
            bytes: text.as_bytes().to_vec(),
        };
        let migration = Migration::whole(Version::number(1), String::new(), &file)
            .expect("the file is a migration");
        let intent = Intent::of(&migration, Dialect::Mysql).expect("the file can be read");
        let names = tables(&intent.pieces[0])?;
        Some(names.into_iter().map(str::to_owned).collect())
    }

    #[test]
    fn every_name_that_a_table_has_before_or_after_counts() {
        for (text, names) in [
            ("CREATE TABLE a (id INT);", &["a"][..]),
            (
                "ALTER TABLE a ADD COLUMN b INT, RENAME TO `c d`;",
                &["a", "c d"],
            ),
            ("RENAME TABLE a TO b, c TO a;", &["a", "b", "c"]),
            ("DROP TABLE a, b;", &["a", "b"]),
            ("CREATE INDEX i ON a (id);", &["a"]),
            ("DROP INDEX i ON a;", &["a"]),
        ] {
            let mut found = of(text).unwrap_or_default();
            found.sort();
            found.dedup();
            assert_eq!(found, names, "{text}");
        }
    }

    #[test]
    fn of_everything_else_the_whole_schema_counts() {
        for text in [
            "CREATE VIEW v AS SELECT 1;",
            "CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW SET @x = 1;",
            "CALL tidy();",
            "CREATE TABLE other.a (id INT);",
            "EXECUTE IMMEDIATE 'DROP TABLE a';",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
