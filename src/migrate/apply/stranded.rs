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
/// name. Otherwise the keys that a swap left on an old table, which stays, in words.
pub(super) fn look(
    session: &mut dyn Session,
    before: &[Key],
    files: &[&Intent<'_>],
) -> anyhow::Result<Result<Vec<String>, End>> {
    let tables = session.catalog()?.into_iter().map(|shape| shape.name);
    let tables: BTreeSet<_> = tables.collect();
    let now = keys(session)?;
    let found = stranded(before, &now, &tables);
    let is_lost = |(key, _): &&(&Key, &str)| !tables.contains(&key.parent);
    Ok(match found.iter().find(is_lost) {
        Some((key, place)) => Err(failure(key, place, files)),
        None => Ok(found.iter().map(|(key, place)| left(key, place)).collect()),
    })
}

/// The keys that led to a table of which another one has the name now, with that name: to no table,
/// or to the old one under its new name. One that was made again may be meant to.
fn stranded<'a>(
    before: &'a [Key],
    now: &'a [Key],
    tables: &BTreeSet<String>,
) -> Vec<(&'a Key, &'a str)> {
    let found = now.iter().filter_map(|key| {
        let same = |it: &&Key| it.child == key.child && it.columns == key.columns;
        let was = before.iter().find(same)?;
        let is_gone = !tables.contains(&key.parent);
        let is_moved = key.parent != was.parent && (is_gone || key.name == was.name);
        (is_moved && tables.contains(&was.parent)).then_some((key, was.parent.as_str()))
    });
    found.collect()
}

fn left(key: &Key, place: &str) -> String {
    let Key {
        name,
        child,
        parent,
        ..
    } = key;
    format!(
        "foreign key `{name}` on `{child}`, which leads to `{parent}` and no longer to `{place}`: the server \
            refuses rows of `{child}` for new rows of `{place}`"
    )
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
        let named = |name: &str, parent: &str| Key {
            name: name.to_owned(),
            child: "attachments".to_owned(),
            columns: vec!["message_id".to_owned()],
            parent: parent.to_owned(),
        };
        let of = |now: Key, tables: &[&str]| {
            let tables = tables.iter().map(|&it| it.to_owned()).collect();
            stranded(&[named("k", "messages")], &[now], &tables).len()
        };
        let found = |parent: &str, tables: &[&str]| of(named("k", parent), tables);
        assert_eq!(found("old", &["messages"]), 1);
        assert_eq!(found("old", &["messages", "old"]), 1);
        // A key of its own to a copy.
        assert_eq!(of(named("k2", "copy"), &["messages", "copy"]), 0);
        assert_eq!(found("messages", &["messages"]), 0);
        // A table that only got another name.
        assert_eq!(found("old", &["old"]), 0);
    }
}
