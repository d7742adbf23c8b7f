//! Tables that are read before and after, without a database.

use super::{Field, Form, Witness};
use crate::model::{Cell, CellRef, Compared, Shape, ShapeColumn, Successor};

fn form(own: &ShapeColumn, other: &ShapeColumn) -> Field {
    Field {
        sql: own.name.clone(),
        form: if own.declared == other.declared {
            Form::Raw
        } else {
            Form::Number
        },
    }
}

fn table(columns: &[(&str, &str)], key: &[&str]) -> Shape {
    let columns = columns.iter().map(|(name, declared)| ShapeColumn {
        name: (*name).to_owned(),
        declared: (*declared).to_owned(),
        ..ShapeColumn::default()
    });
    Shape {
        name: "m".into(),
        columns: columns.collect(),
        key: key.iter().map(|name| (*name).to_owned()).collect(),
        ..Shape::default()
    }
}

fn successor(was: &Shape, now: &Shape) -> Successor {
    let columns: Vec<_> = was
        .columns
        .iter()
        .filter_map(|old| {
            let new = now.columns.iter().find(|new| new.name == old.name)?;
            Some((old.clone(), new.clone()))
        })
        .collect();
    let key = columns
        .iter()
        .filter(|(old, _)| was.key.contains(&old.name));
    Successor {
        table: now.name.clone(),
        key: key.cloned().collect(),
        columns,
        keyed: true,
    }
}

fn text(text: &str) -> Cell {
    Cell::Text(text.into())
}

/// A table of numbers and texts.
fn rows(rows: &[(i64, &str)]) -> Vec<Vec<Cell>> {
    let rows = rows.iter();
    rows.map(|(id, body)| vec![Cell::Int(*id), text(body)])
        .collect()
}

struct Store(Witness);

impl Store {
    /// One file: the rows before and after it.
    fn file(
        &mut self,
        (was, before): (&Shape, &[Vec<Cell>]),
        (now, after): (&Shape, &[Vec<Cell>]),
    ) -> Option<Compared> {
        let witness = &mut self.0;
        witness.begin();
        let mut reading = witness.before(was);
        for row in before {
            reading.take(row.iter().map(CellRef::from)).unwrap();
        }
        witness.hold(was, reading);
        let successor = successor(was, now);
        let mut reading = witness.after(was, &successor, now)?;
        let places: Vec<_> = reading
            .list()
            .split(", ")
            .map(|name| now.columns.iter().position(|it| it.name == name).unwrap())
            .collect();
        for row in after {
            reading
                .take(places.iter().map(|place| (&row[*place]).into()))
                .unwrap();
        }
        let compared = witness.compare(was, &successor, (now, reading)).unwrap();
        witness.accept(std::slice::from_ref(was), std::slice::from_ref(now));
        Some(compared)
    }
}

fn store() -> Store {
    let mut store = Store(Witness::new(form));
    store.0.more_follows(true);
    store
}

const MESSAGES: &[(&str, &str)] = &[("id", "int"), ("body", "text")];

fn counts(compared: &Compared) -> [u64; 5] {
    let body = &compared.columns[1];
    [
        compared.before,
        compared.missing,
        body.filled,
        body.nulled,
        body.changed,
    ]
}

#[test]
fn every_row_and_value_is_distinguished_from_another_one() {
    let m = table(MESSAGES, &["id"]);
    let before = rows(&[(1, "a"), (2, "b"), (3, "c"), (4, "d")]);
    let mut after = rows(&[(4, "d"), (2, "B"), (3, "c"), (5, "a")]);
    after[2][1] = Cell::Null;
    let compared = store().file((&m, &before), (&m, &after)).unwrap();
    assert_eq!(counts(&compared), [4, 1, 4, 1, 1]);
}

#[test]
fn rows_without_a_key_count_as_often_as_they_are_there() {
    let m = table(MESSAGES, &[]);
    let before = rows(&[(1, "a"), (1, "a"), (2, "b")]);
    let after = rows(&[(2, "b"), (1, "a"), (1, "b")]);
    let compared = store().file((&m, &before), (&m, &after)).unwrap();
    assert_eq!((compared.before, compared.missing), (3, 1));
}

#[test]
fn a_key_that_distinguishes_no_rows_is_none() {
    let m = table(MESSAGES, &["id"]);
    let before = rows(&[(1, "a"), (1, "b")]);
    let after = rows(&[(1, "a"), (1, "a")]);
    let compared = store().file((&m, &before), (&m, &after)).unwrap();
    assert_eq!((compared.before, compared.missing), (2, 1));
}

#[test]
fn written_rows_tell_what_a_table_has_become_unless_others_are_gone() {
    let m = table(MESSAGES, &["id"]);
    let before = rows(&[(1, "a"), (2, "b"), (3, "c"), (4, "d")]);
    type Written = &'static [(i64, &'static str)];
    // How many rows are as they were, and what was written.
    let cases: [(u64, Written, Option<[u64; 5]>); 8] = [
        (4, &[], Some([4, 0, 4, 0, 0])),
        (4, &[(5, "e")], Some([4, 0, 4, 0, 0])),
        (3, &[(2, "B"), (5, "e")], Some([4, 0, 4, 0, 1])),
        (3, &[(2, "b")], Some([4, 0, 4, 0, 0])),
        // Row 1 is gone, whatever came in its place.
        (3, &[], None),
        (3, &[(5, "a")], None),
        (2, &[(2, "B"), (5, "a")], None),
        (2, &[(2, "B"), (2, "b")], None),
    ];
    for (left, written, expected) in cases {
        let mut witness = store().0;
        witness.begin();
        let successor = successor(&m, &m);
        let mut held = witness.before(&m);
        for row in &before {
            held.take(row.iter().map(CellRef::from)).unwrap();
        }
        witness.hold(&m, held);
        assert_eq!(witness.rows(&m), 4);
        let mut reading = witness.after(&m, &successor, &m).unwrap();
        for row in &rows(written) {
            reading.take(row.iter().map(CellRef::from)).unwrap();
        }
        let after = witness.overwritten(&m, (reading, left)).unwrap();
        let found = after.map(|after| {
            let compared = witness.compare(&m, &successor, (&m, after)).unwrap();
            counts(&compared)
        });
        assert_eq!(found, expected, "{left} {written:?}");
    }
}

#[test]
fn what_the_run_made_is_its_own_until_somebody_changes_it() {
    let m = table(MESSAGES, &["id"]);
    let mut store = store();
    let seeded = rows(&[(1, "user's"), (8, "seed"), (9, "seed")]);
    store
        .file((&m, &rows(&[(1, "user's")])), (&m, &seeded))
        .unwrap();
    // In between somebody edits one of the rows, and writes another one.
    let before = rows(&[(1, "user's"), (2, "new"), (8, "seed"), (9, "edited")]);
    let after = rows(&[(1, "user's")]);
    let compared = store.file((&m, &before), (&m, &after)).unwrap();
    assert_eq!(counts(&compared), [3, 2, 3, 0, 0]);
}

#[test]
fn a_column_of_the_run_is_its_own_and_the_other_ones_are_not() {
    let (m, mut store) = (table(MESSAGES, &["id"]), store());
    let wide = table(
        &[("id", "int"), ("body", "text"), ("state", "text")],
        &["id"],
    );
    let of = |body: &str, state: &str| vec![vec![Cell::Int(1), text(body), text(state)]];
    let begin = rows(&[(1, "a")]);
    store.file((&m, &begin), (&wide, &of("a", "new"))).unwrap();
    let backfilled = store
        .file((&wide, &of("a", "new")), (&wide, &of("a", "done")))
        .unwrap();
    assert_eq!(backfilled.columns[2].changed, 0);
    let text = store.0.remembered().unwrap();
    store.0.recall(&text);
    let again = store
        .file((&wide, &of("a", "done")), (&wide, &of("b", "old")))
        .unwrap();
    assert_eq!((again.columns[1].changed, again.columns[2].changed), (1, 0));
    let others = store
        .file((&wide, &of("b", "set by a user")), (&wide, &of("b", "x")))
        .unwrap();
    assert_eq!(others.columns[2].changed, 1);
}

#[test]
fn another_type_is_read_in_a_form_of_both() {
    let was = table(MESSAGES, &["id"]);
    let now = table(&[("id", "text"), ("body", "text")], &["id"]);
    let mut store = store();
    let before = rows(&[(1, "a"), (2, "b")]);
    let after = [vec![text("1"), text("a")], vec![text("2.5"), text("b")]];
    assert!(store.file((&was, &before), (&now, &after)).is_none());
    // Now it is known what the column becomes.
    let witness = &mut store.0;
    witness.begin();
    let mut reading = witness.before(&was);
    // As a number, as it is written, as the time that it may be, and as true or false.
    assert_eq!(reading.list(), "id, body, id, id, id, id");
    for row in &before {
        let cells = [&row[0], &row[1], &row[0], &row[0], &row[0], &row[0]];
        reading
            .take(cells.iter().map(|cell| (*cell).into()))
            .unwrap();
    }
    witness.hold(&was, reading);
    let successor = successor(&was, &now);
    let mut reading = witness.after(&was, &successor, &now).unwrap();
    for row in &after {
        let cells = [&row[0], &row[1], &row[0], &row[0], &row[0], &row[0]];
        reading
            .take(cells.iter().map(|cell| (*cell).into()))
            .unwrap();
    }
    let compared = witness.compare(&was, &successor, (&now, reading)).unwrap();
    assert_eq!((compared.before, compared.missing), (2, 1));
}
