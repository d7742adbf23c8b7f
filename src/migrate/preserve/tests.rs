//! Each way to lose something, and each that only looks so.
#![allow(clippy::unwrap_used)]

use super::Allowed;
use super::Lost;
use super::Renames;
use super::What;
use super::by_counts;
use super::lost;
use super::of_wholes;
use super::successor;
use super::unacknowledged;
use crate::model::Compared;
use crate::model::ComparedColumn;
use crate::model::Content;
use crate::model::Shape;
use crate::model::ShapeColumn;

fn table(name: &str, columns: &[&str]) -> Shape {
    let columns = columns.iter().map(|name| ShapeColumn {
        name: (*name).to_owned(),
        ..ShapeColumn::default()
    });
    Shape {
        name: name.into(),
        columns: columns.collect(),
        key: vec!["id".into()],
        ..Shape::default()
    }
}

/// The same, in an engine that knows a table again.
fn known(id: u64, name: &str, columns: &[(u64, &str)]) -> Shape {
    let names: Vec<_> = columns.iter().map(|(_, name)| *name).collect();
    let mut shape = table(name, &names);
    shape.id = Some(id);
    for (column, (id, _)) in shape.columns.iter_mut().zip(columns) {
        column.id = Some(*id);
    }
    shape
}

fn renames(tables: &[(&str, &str)]) -> Renames {
    let mut renames = Renames::default();
    tables.iter().for_each(|(from, to)| renames.table(from, to));
    renames
}

fn name_after(was: &Shape, before: &[Shape], after: &[Shape], names: &Renames) -> Option<String> {
    successor(was, before, after, names).map(|successor| successor.table)
}

#[test]
fn a_table_is_followed_through_its_names() {
    let (was, before) = (table("m", &["id"]), [table("m", &["id"])]);
    let none = Renames::default();
    assert_eq!(
        name_after(&was, &before, &[table("m3", &["id"])], &none),
        None
    );
    let chain = renames(&[("M", "m2"), ("m2", "m3")]);
    let after = [table("m3", &["id"])];
    assert_eq!(name_after(&was, &before, &after, &chain).unwrap(), "m3");
    let aside = renames(&[("m", "m_old")]);
    let rebuilt = name_after(&was, &before, &before, &aside);
    assert_eq!(rebuilt.unwrap(), "m", "rebuilt under its own name");
}

#[test]
fn a_table_stands_for_one_table_only() {
    let before = [table("arch", &["id"]), table("m", &["id"])];
    let names = renames(&[("m", "arch")]);
    let after = &before[..1];
    assert_eq!(name_after(&before[0], &before, after, &names), None);
    assert_eq!(
        name_after(&before[1], &before, after, &names).unwrap(),
        "arch"
    );
    let before = [known(1, "arch", &[]), known(2, "m", &[])];
    let after = [known(2, "arch", &[])];
    let none = Renames::default();
    assert_eq!(name_after(&before[0], &before, &after, &none), None);
    assert_eq!(
        name_after(&before[1], &before, &after, &none).unwrap(),
        "arch"
    );
}

#[test]
fn the_engines_identity_needs_no_names() {
    let was = known(1, "m", &[(1, "id"), (2, "body")]);
    let after = [known(1, "messages", &[(1, "id"), (2, "text")])];
    let found = successor(
        &was,
        std::slice::from_ref(&was),
        &after,
        &Renames::default(),
    )
    .unwrap();
    assert_eq!((found.table.as_str(), found.columns.len()), ("messages", 2));
    assert_eq!(found.columns[1].1.name, "text");
    assert!(found.keyed);
}

#[test]
fn a_part_is_looked_for_in_the_whole() {
    let mut part = known(2, "m_2026", &[(1, "id")]);
    part.whole = Some("m".into());
    let after = [known(1, "m", &[(1, "id")]), part.clone()];
    let none = Renames::default();
    assert_eq!(name_after(&part, &after, &after, &none).unwrap(), "m");
    let mut alone = part.clone();
    alone.whole = None;
    let after = [known(1, "m", &[(1, "id")]), alone];
    let detached = name_after(&part, &after[..1], &after, &none);
    assert_eq!(detached.unwrap(), "m", "its rows are out of the whole");
    let left = name_after(&part, &after[1..], &after[1..], &none);
    assert_eq!(
        left.unwrap(),
        "m_2026",
        "the whole is gone, the part is not"
    );
}

#[test]
fn what_parts_lose_is_told_of_the_whole() {
    let part = |name: &str| Shape {
        whole: Some("m".into()),
        ..table(name, &["id"])
    };
    let (before, after) = ([part("m_1"), part("m_2")], [table("m", &["id"])]);
    let lost = |name: &str, what| Lost {
        table: name.into(),
        column: None,
        what,
        rows: 3,
        before: 5,
        in_parts: false,
    };
    let gone = [lost("m_1", What::RowsGone), lost("m_2", What::TableGone)];
    let told = of_wholes(gone.to_vec(), &before, &after);
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].table.as_str(), told[0].what),
        ("m", What::RowsGone)
    );
    assert_eq!((told[0].rows, told[0].before), (6, 10));
    assert!(told[0].to_string().contains("partitions"));
    let told = of_wholes(vec![lost("m_1", What::TableGone)], &before, &[]);
    assert_eq!(told[0].what, What::TableGone);
}

#[test]
fn what_is_less_is_lost() {
    let was = table("m", &["id", "body", "note"]);
    let after = [table("m", &["id", "body"])];
    let found = successor(
        &was,
        std::slice::from_ref(&was),
        &after,
        &Renames::default(),
    );
    let column = |filled, nulled, changed| ComparedColumn {
        filled,
        nulled,
        changed,
    };
    let compared = Compared {
        before: 9,
        missing: 2,
        columns: vec![column(9, 0, 0), column(9, 3, 4), column(5, 0, 0)],
    };
    let what: Vec<_> = lost(&was, found.as_ref(), &compared)
        .iter()
        .map(|lost| (lost.what, lost.rows))
        .collect();
    let expected = [
        (What::RowsGone, 2),
        (What::ValuesGone, 3),
        (What::ValuesChanged, 4),
        (What::ColumnGone, 5),
    ];
    assert_eq!(what, expected);
    assert_eq!(lost(&was, None, &compared)[0].what, What::TableGone);
    assert_eq!(lost(&was, None, &Compared::default()), []);
}

#[test]
fn counts_tell_rows_from_values() {
    let was = Content {
        rows: 10,
        filled: vec![10, 8],
    };
    let now = Content {
        rows: 7,
        filled: vec![7, 4],
    };
    let compared = by_counts(&was, &now, &[Some(0), Some(1)]);
    assert_eq!((compared.missing, compared.columns[0].nulled), (3, 0));
    assert_eq!(compared.columns[1].nulled, 1);
}

#[test]
fn an_acknowledgement_is_narrow() {
    let lost = [Lost {
        table: "m".into(),
        column: None,
        what: What::RowsGone,
        rows: 8,
        before: 9,
        in_parts: false,
    }];
    let allow = |table: &str, column: Option<&str>, rows| Allowed {
        table: table.into(),
        column: column.map(str::to_owned),
        rows,
    };
    assert_eq!(unacknowledged(&lost, &[allow("M", None, Some(8))]).len(), 0);
    for narrow in [
        allow("m", None, Some(7)),
        allow("m", Some("body"), None),
        allow("tasks", None, None),
    ] {
        assert_eq!(unacknowledged(&lost, &[narrow]).len(), 1);
    }
}
