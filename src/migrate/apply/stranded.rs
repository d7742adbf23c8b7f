//! Foreign keys of MySQL that a swap of tables leaves on the old one, which is then dropped: RENAME takes them
//! along, so no new row can be stored.

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
}

/// The foreign keys of all tables, also those that lead to none.
pub(super) fn keys(session: &mut dyn Session) -> anyhow::Result<Vec<Key>> {
    let rows = session.rows(
        "SELECT constraint_name, table_name, group_concat(column_name ORDER BY ordinal_position SEPARATOR '\\n'), \
         referenced_table_name FROM information_schema.key_column_usage WHERE table_schema = database() \
         AND referenced_table_schema = database() GROUP BY constraint_name, table_name, referenced_table_name",
    )?;
    let lines = |text: String| text.split('\n').map(str::to_owned).collect();
    let keys = rows.iter().map(|row| Key {
        name: row[0].to_string(),
        child: row[1].to_string(),
        columns: lines(row[2].to_string()),
        parent: row[3].to_string(),
    });
    Ok(keys.collect())
}

/// Why these files may not run: a foreign key led to a table, and leads to none, although there is one of that
/// name. One that leads to an old table, which stays, may be meant to.
pub(super) fn look(
    session: &mut dyn Session,
    before: &[Key],
    files: &[&Intent<'_>],
) -> anyhow::Result<Option<End>> {
    let tables = session.catalog()?.into_iter().map(|shape| shape.name);
    let tables: BTreeSet<_> = tables.collect();
    let now = keys(session)?;
    let found = stranded(before, &now, &tables);
    Ok(found.first().map(|(key, place)| failure(key, place, files)))
}

/// The keys that lead to a table that is gone, although there is one of the name of before; with that name.
fn stranded<'a>(
    before: &'a [Key],
    now: &'a [Key],
    tables: &BTreeSet<String>,
) -> Vec<(&'a Key, &'a str)> {
    let found = now.iter().filter_map(|key| {
        let same = |it: &&Key| it.child == key.child && it.columns == key.columns;
        let was = before.iter().find(same)?;
        let is_lost = !tables.contains(&key.parent) && tables.contains(&was.parent);
        is_lost.then_some((key, was.parent.as_str()))
    });
    found.collect()
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
            "the foreign key `{name}` of `{child}` leads to `{parent}`, which is dropped, and no longer to `{place}`: \
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
        };
        let found = |parent: &str, tables: &[&str]| {
            let tables = tables.iter().map(|&it| it.to_owned()).collect();
            stranded(&[key("messages")], &[key(parent)], &tables).len()
        };
        assert_eq!(found("old", &["messages"]), 1);
        assert_eq!(found("old", &["messages", "old"]), 0);
        assert_eq!(found("messages", &["messages"]), 0);
        // A table that only got another name.
        assert_eq!(found("old", &["old"]), 0);
    }
}
