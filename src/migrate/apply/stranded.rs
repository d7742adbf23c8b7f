//! Foreign keys of MySQL that a swap of tables leaves on the old one: RENAME takes them along, and
//! rows for the table that has its name now are refused.

use super::{End, Failure};
use crate::db::Session;
use crate::migrate::intent::Intent;
use std::collections::BTreeSet;

/// A foreign key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    name: String,
    child: String,
    columns: Vec<String>,
    parent: String,
    parents_columns: Vec<String>,
}

/// The foreign keys of all tables, also those that lead to none.
pub(super) fn keys(session: &mut dyn Session) -> anyhow::Result<Vec<Key>> {
    let rows = session.rows(
        "SELECT constraint_name, table_name, group_concat(column_name ORDER BY ordinal_position SEPARATOR '\\n'), \
         referenced_table_name, group_concat(referenced_column_name ORDER BY ordinal_position SEPARATOR '\\n') \
         FROM information_schema.key_column_usage WHERE table_schema = database() \
         AND referenced_table_schema = database() GROUP BY constraint_name, table_name, referenced_table_name",
    )?;
    let lines = |text: String| text.split('\n').map(str::to_owned).collect();
    let keys = rows.iter().map(|row| Key {
        name: row[0].to_string(),
        child: row[1].to_string(),
        columns: lines(row[2].to_string()),
        parent: row[3].to_string(),
        parents_columns: lines(row[4].to_string()),
    });
    Ok(keys.collect())
}

/// Why these files may not run: a foreign key led to a table, and leads to the one that was put
/// aside for its replacement.
pub(super) fn look(
    session: &mut dyn Session,
    before: &[Key],
    files: &[&Intent<'_>],
) -> anyhow::Result<Option<End>> {
    let tables = session.catalog()?.into_iter().map(|shape| shape.name);
    let tables: BTreeSet<_> = tables.collect();
    for (key, place) in stranded(before, &keys(session)?, &tables) {
        if !tables.contains(&key.parent) || is_replaced(session, key, place) {
            return Ok(Some(failure(key, place, files)));
        }
    }
    Ok(None)
}

/// The keys that lead to another table now, although there is one of the name of before; with that
/// name.
fn stranded<'a>(
    before: &'a [Key],
    now: &'a [Key],
    tables: &BTreeSet<String>,
) -> Vec<(&'a Key, &'a str)> {
    let found = now.iter().filter_map(|key| {
        let same = |it: &&Key| it.child == key.child && it.columns == key.columns;
        let was = before.iter().find(same)?;
        let moved = was.parent != key.parent && tables.contains(&was.parent);
        moved.then_some((key, was.parent.as_str()))
    });
    found.collect()
}

/// Whether a table has all rows of the one that a key leads to.
fn is_replaced(session: &mut dyn Session, key: &Key, place: &str) -> bool {
    let same = key.parents_columns.iter().map(|it| {
        let column = session.quote(it);
        format!("n.{column} = o.{column}")
    });
    let sql = format!(
        "SELECT count(*) > 0 AND sum(EXISTS (SELECT 1 FROM {} AS n WHERE {})) = count(*) FROM {} AS o",
        session.quote(place),
        same.collect::<Vec<_>>().join(" AND "),
        session.quote(&key.parent)
    );
    // One without these columns is something else.
    let rows = session.rows(&sql).unwrap_or_default();
    rows.first().is_some_and(|row| row[0].text() == Some("1"))
}

fn failure(key: &Key, place: &str, files: &[&Intent<'_>]) -> End {
    let at = files.iter().rev().find_map(|intent| {
        let mut pieces = intent.pieces.iter().rev();
        let named = |text: &str| text.contains(&key.parent) || text.contains(place);
        let piece = pieces.find(|it| named(it.text))?;
        Some((intent.migration.file_name(), piece.line))
    });
    let (file, line) = at.unzip();
    let Key {
        name,
        child,
        parent,
        ..
    } = key;
    End::Failed(Failure {
        file: file.unwrap_or_default(),
        line,
        message: format!(
            "the foreign key `{name}` of `{child}` leads to `{parent}` in the end, and no longer to `{place}`: \
             the server would refuse new rows of `{child}`"
        ),
        help: format!(
            "drop the key and add it again behind the swap (ALTER TABLE {child} DROP FOREIGN KEY {name}, then ADD FOREIGN KEY), \
             or with foreign_key_checks = 0 DROP TABLE {place} before the new table gets its name"
        ),
        busy: false,
    })
}

#[cfg(test)]
mod tests {
    use super::{Key, stranded};

    #[test]
    fn a_key_that_led_to_a_table_whose_name_another_one_has_is_found() {
        let key = |parent: &str| Key {
            name: "k".to_owned(),
            child: "attachments".to_owned(),
            columns: vec!["message_id".to_owned()],
            parent: parent.to_owned(),
            parents_columns: vec!["id".to_owned()],
        };
        let found = |parent: &str, tables: &[&str]| {
            let tables = tables.iter().map(|&it| it.to_owned()).collect();
            stranded(&[key("messages")], &[key(parent)], &tables).len()
        };
        assert_eq!(found("old", &["messages"]), 1);
        assert_eq!(found("messages", &["messages"]), 0);
        // A table that only got another name.
        assert_eq!(found("old", &["old"]), 0);
    }
}
