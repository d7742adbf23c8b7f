//! References that lead nowhere, before and after files: those of long ago are nobody's fault.

use crate::db::Orphan;
use crate::migrate::preserve::Renames;
use crate::model::{Names, Shape, ShapeColumn};
use std::collections::BTreeMap;

/// The first reference that leads nowhere now and did not before.
pub(super) fn new<'a>(
    before: &[Orphan],
    now: &'a [Orphan],
    renames: &Renames,
    names: Names,
) -> Option<&'a Orphan> {
    let mut before: Vec<_> = before
        .iter()
        .flat_map(|it| called(it, renames, names))
        .collect();
    let mut now: Vec<_> = now.iter().collect();
    // A copied table may number its rows again, and a statement may write a value in another way: so a
    // row is known by both, by its values, or by its number.
    strike(&mut before, &mut now, |it| {
        Some((it.tables(), it.columns(), it.row, it.values.clone()))
    });
    strike(&mut before, &mut now, |it| {
        Some((it.tables(), it.columns(), it.values.clone()))
    });
    strike(&mut before, &mut now, |it| Some((it.tables(), it.row?)));
    now.into_iter().next()
}

/// A reference of before under the names that its tables and columns may have now: their own, where a
/// copy took them, or those that they were given.
fn called(orphan: &Orphan, renames: &Renames, names: Names) -> Vec<Orphan> {
    let now = |table: &str, columns: &[String]| {
        let columns = columns.iter().map(|name| ShapeColumn {
            name: name.clone(),
            ..ShapeColumn::default()
        });
        let shape = Shape {
            schema: "main".to_owned(),
            table: table.to_owned(),
            bare: true,
            columns: columns.collect(),
            ..Shape::default()
        };
        renames.present(&shape, names)
    };
    let child = now(&orphan.child, &orphan.columns);
    let columns: Vec<_> = child.columns.into_iter().map(|it| it.name).collect();
    let children = [
        (orphan.child.clone(), orphan.columns.clone()),
        (child.table, columns),
    ];
    let parents = [orphan.parent.clone(), now(&orphan.parent, &[]).table];
    let mut all: Vec<Orphan> = Vec::new();
    for (child, columns) in children {
        for parent in &parents {
            let one = Orphan {
                child: child.clone(),
                parent: parent.clone(),
                columns: columns.clone(),
                ..orphan.clone()
            };
            if !all.contains(&one) {
                all.push(one);
            }
        }
    }
    all
}

/// Takes away what both have, one for one.
fn strike<K: Ord>(
    before: &mut Vec<Orphan>,
    now: &mut Vec<&Orphan>,
    key: impl Fn(&Orphan) -> Option<K>,
) {
    let mut left: BTreeMap<K, u64> = BTreeMap::new();
    for known in before.iter().filter_map(&key) {
        *left.entry(known).or_default() += 1;
    }
    let mut take = |orphan: &Orphan| match key(orphan).and_then(|key| left.get_mut(&key)) {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        _ => false,
    };
    now.retain(|it| !take(it));
    before.retain(|it| key(it).is_none() || take(it));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::preserve::Named;

    fn orphan(child: &str, parent: &str, row: Option<i64>, value: &str) -> Orphan {
        Orphan {
            child: child.into(),
            parent: parent.into(),
            columns: vec!["chat_id".into()],
            row,
            values: vec![value.into()],
        }
    }

    fn is_new(before: &[Orphan], now: &[Orphan], renames: &Renames) -> bool {
        new(before, now, renames, Names::SQLITE).is_some()
    }

    #[test]
    fn a_row_is_known_by_its_values_or_its_number() {
        let of = |rows: &[(i64, &str)]| -> Vec<_> {
            let all = rows.iter();
            all.map(|(row, value)| orphan("messages", "chats", Some(*row), value))
                .collect()
        };
        let before = of(&[(3, "c9"), (7, "c8")]);
        for (now, expected) in [
            (of(&[(3, "c9"), (7, "c8")]), false),
            // Numbered again, so that one has the number of another.
            (of(&[(7, "c9"), (6, "c8")]), false),
            // Written in another way.
            (of(&[(3, "C9"), (7, "C8")]), false),
            (of(&[(7, "c8")]), false),
            // One more, of the same parent or of another one.
            (of(&[(3, "c9"), (7, "c8"), (1, "c9")]), true),
            (of(&[(3, "c9"), (7, "c8"), (1, "c1")]), true),
            // One goes, another one comes.
            (of(&[(3, "c9"), (8, "c1")]), true),
        ] {
            assert_eq!(
                is_new(&before, &now, &Renames::default()),
                expected,
                "{now:?}"
            );
        }
    }

    #[test]
    fn a_table_may_get_another_name() {
        let named = |table: &str| Named {
            schema: None,
            table: table.to_owned(),
        };
        let before = [orphan("messages", "chats", None, "c9")];
        let mut renames = Renames::default();
        renames.table(named("Messages"), named("posts"));
        let now = [orphan("posts", "Chats", None, "c9")];
        assert!(!is_new(&before, &now, &renames));
        assert!(is_new(&before, &now, &Renames::default()));
        renames.table(named("chats"), named("rooms"));
        renames.column(named("posts"), "chat_id", "room_id");
        let renamed = Orphan {
            columns: vec!["room_id".into()],
            ..orphan("posts", "rooms", None, "c9")
        };
        assert!(!is_new(&before, &[renamed], &renames));
        assert!(is_new(
            &before,
            &[orphan("other", "rooms", None, "c9")],
            &renames
        ));
    }
}
