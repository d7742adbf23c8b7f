//! Each way to lose something, and each that only looks so.

use super::{
    Allowed, First, Lost, Named, Renames, Subject, Tables, What, as_called, lost, of_wholes,
    successor, successor_as, unacknowledged, volatile,
};
use crate::model::{Case, Compared, ComparedColumn, Content, Derived, Names, Shape, ShapeColumn};

fn table(name: &str, columns: &[&str]) -> Shape {
    let columns = columns.iter().map(|name| ShapeColumn {
        name: (*name).to_owned(),
        ..ShapeColumn::default()
    });
    Shape {
        name: name.into(),
        schema: "public".into(),
        table: name.into(),
        bare: true,
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

fn named(name: &str) -> Named {
    let parts = name.split_once('.');
    Named {
        schema: parts.map(|(schema, _)| schema.to_owned()),
        table: parts.map_or(name, |(_, table)| table).to_owned(),
    }
}

fn renames(tables: &[(&str, &str)]) -> Renames {
    let mut renames = Renames::default();
    tables
        .iter()
        .for_each(|(from, to)| renames.table(named(from), named(to)));
    renames
}

/// Tables of an engine in which case does not matter.
fn all(shapes: &[Shape]) -> Tables<'_> {
    Tables {
        shapes,
        names: Names::SQLITE,
    }
}

fn name_after(was: &Shape, before: &[Shape], after: &[Shape], names: &Renames) -> Option<String> {
    successor(was, all(before), all(after), names).map(|successor| successor.table)
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
    let before = std::slice::from_ref(&was);
    let found = successor(&was, all(before), all(&after), &Renames::default()).unwrap();
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
fn what_parts_lose_is_reported_of_the_whole() {
    let part = |name: &str| Shape {
        whole: Some("m".into()),
        ..table(name, &["id"])
    };
    let (before, after) = ([part("m_1"), part("m_2")], [table("m", &["id"])]);
    let lost = |name: &str, what| Lost {
        table: name.into(),
        what,
        rows: 3,
        before: 5,
        ..gone(name)
    };
    let parts = [lost("m_1", What::RowsGone), lost("m_2", What::TableGone)];
    let told = of_wholes(parts.to_vec(), all(&before), all(&after));
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].table.as_str(), told[0].what),
        ("m", What::RowsGone)
    );
    assert_eq!((told[0].rows, told[0].before), (6, 10));
    assert!(told[0].to_string().contains("partitions"));
    let told = of_wholes(vec![lost("m_1", What::TableGone)], all(&before), all(&[]));
    assert_eq!(told[0].what, What::TableGone);
}

#[test]
fn what_is_less_is_lost() {
    let was = table("m", &["id", "body", "note"]);
    let after = [table("m", &["id", "body"])];
    let before = std::slice::from_ref(&was);
    let found = successor(&was, all(before), all(&after), &Renames::default());
    let column = |filled, nulled, changed| ComparedColumn {
        filled,
        nulled,
        changed,
        ..ComparedColumn::default()
    };
    let compared = Compared {
        before: 9,
        missing: 2,
        columns: vec![column(9, 0, 0), column(9, 3, 4), column(5, 0, 0)],
        ..Compared::default()
    };
    let what: Vec<_> = lost(&was, found.as_ref(), &compared, all(before))
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
    assert_eq!(
        lost(&was, None, &compared, all(before))[0].what,
        What::TableGone
    );
    assert_eq!(lost(&was, None, &Compared::default(), all(before)), []);
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
    let compared = was.compared(&now, &[Some(0), Some(1)]);
    assert_eq!((compared.missing, compared.columns[0].nulled), (3, 0));
    assert_eq!(compared.columns[1].nulled, 1);
}

/// A loss of all rows of a table.
fn gone(table: &str) -> Lost {
    Lost {
        table: table.into(),
        column: None,
        subject: table.into(),
        what: What::RowsGone,
        rows: 8,
        before: 9,
        in_parts: false,
        by: None,
        derived: None,
    }
}

fn allow(subject: &[&str], rows: Option<u64>) -> Allowed {
    let part = |index: usize| subject.get(index).map(|part| (*part).to_owned());
    let subject = match subject.len() {
        3 => Subject::of(part(0), part(1).unwrap(), part(2).filter(|it| it != "*")),
        _ => Subject::of(None, part(0).unwrap(), part(1)),
    };
    Allowed { subject, rows }
}

#[test]
fn an_acknowledgement_is_narrow() {
    let (lost, before) = ([gone("m")], [table("m", &["id", "body"])]);
    let left = |allowed| unacknowledged(&lost, &[allowed], all(&before)).len();
    assert_eq!(left(allow(&["M"], Some(8))), 0);
    assert_eq!(left(allow(&["m"], Some(7))), 1);
    assert_eq!(left(allow(&["m", "body"], None)), 1);
    assert_eq!(left(allow(&["tasks"], None)), 1);
}

/// Rows that go and rows that a new trigger will delete are two kinds.
#[test]
fn each_kind_of_loss_has_an_acknowledgement_of_its_own() {
    let later = Lost {
        what: What::Later,
        rows: 1000,
        ..gone("m")
    };
    let (lost, before) = ([gone("m"), later], [table("m", &["id", "body"])]);
    let left = |allowed: &[Allowed]| -> Vec<_> {
        let left = unacknowledged(&lost, allowed, all(&before));
        left.iter().map(|it| it.what).collect()
    };
    let (few, any) = (allow(&["m"], Some(8)), allow(&["m"], None));
    assert_eq!(left(std::slice::from_ref(&any)), [What::Later]);
    assert_eq!(left(std::slice::from_ref(&few)), [What::Later]);
    assert_eq!(left(&[any.clone(), few.clone()]), []);
    assert_eq!(left(&[any.clone(), any]), []);
    assert_eq!(left(&[few.clone(), few]), [What::Later]);
    assert_eq!(left(&[]), [What::RowsGone, What::Later]);
}

/// PostgreSQL's tables `drafts`, `"Drafts"`, `app.t`, `public.t`, `"a.b"`, `a.b` and `a` with a
/// column `c` next to the table `c` in a schema `a`; bare names mean `public`.
fn many() -> Vec<Shape> {
    let in_schema = |schema: &str, name: &str, columns: &[&str]| Shape {
        schema: schema.into(),
        bare: schema == "public",
        name: match schema {
            "public" => name.to_owned(),
            _ => format!("{schema}.{name}"),
        },
        ..table(name, columns)
    };
    vec![
        in_schema("public", "drafts", &["id"]),
        in_schema("public", "Drafts", &["id", "Body"]),
        in_schema("app", "t", &["id"]),
        in_schema("public", "t", &["id"]),
        Shape {
            name: "\"a.b\"".into(),
            ..in_schema("public", "a.b", &["id"])
        },
        in_schema("a", "b", &["id"]),
        in_schema("public", "a", &["id", "c"]),
        in_schema("a", "c", &["id"]),
    ]
}

/// Which tables' rows an acknowledgement lets go.
fn lets_go(subject: &[&str]) -> Vec<String> {
    let shapes = many();
    let before = Tables {
        shapes: &shapes,
        names: Names::POSTGRES,
    };
    let covers = |shape: &&Shape| {
        let lost = [gone(&shape.name)];
        unacknowledged(&lost, &[allow(subject, None)], before).is_empty()
    };
    let names = shapes.iter().filter(covers);
    names.map(|shape| shape.name.clone()).collect()
}

#[test]
fn an_acknowledgement_names_exactly_one_table() {
    for (subject, names) in [
        (&["drafts"][..], &["drafts"][..]),
        (&["Drafts"], &["Drafts"]),
        (&["DRAFTS"], &[]),
        (&["t"], &["t"]),
        (&["app", "t"], &["app.t"]),
        (&["app", "t", "*"], &["app.t"]),
        (&["public", "t"], &["t"]),
        (&["other", "t"], &[]),
        (&["a.b"], &["\"a.b\""]),
        (&["a", "b"], &["a.b"]),
        // A column of `a`, or the table `c` in `a`: nobody knows which is meant.
        (&["a", "c"], &[]),
        (&["a", "c", "*"], &["a.c"]),
    ] {
        assert_eq!(lets_go(subject), names, "{subject:?}");
    }
}

/// What the help suggests is read as what it is about, whatever the names.
#[test]
fn a_suggested_acknowledgement_names_what_it_is_about() {
    let shapes = many();
    let before = Tables {
        shapes: &shapes,
        names: Names::POSTGRES,
    };
    let subjects: Vec<_> = shapes
        .iter()
        .map(|shape| before.subject(shape, None))
        .collect();
    let expected = [
        "drafts",
        "\"Drafts\"",
        "app.t",
        "t",
        "\"a.b\"",
        "a.b",
        "a",
        "a.c.*",
    ];
    assert_eq!(subjects, expected);
    let column = |index: usize, name| before.subject(&shapes[index], Some(name));
    assert_eq!(column(1, "Body"), "\"Drafts\".\"Body\"");
    assert_eq!(column(2, "id"), "app.t.id");
    assert_eq!(column(6, "c"), "public.a.c");
    assert_eq!(column(6, "id"), "a.id");
}

/// A dropped table has no other name: the engine knows it is gone, whatever was renamed to it.
#[test]
fn a_dropped_table_is_not_taken_for_a_renamed_one() {
    let in_schema = |id, schema: &str, name: &str| Shape {
        schema: schema.into(),
        bare: schema == "public",
        name: format!("{schema}.{name}"),
        ..known(id, name, &[(1, "id")])
    };
    let before = [
        in_schema(1, "public", "msg"),
        in_schema(2, "arch", "msg"),
        in_schema(3, "public", "msg_old"),
    ];
    let after = [in_schema(2, "arch", "msg_old"), before[2].clone()];
    let names = renames(&[("arch.msg", "msg_old")]);
    assert_eq!(name_after(&before[0], &before, &after, &names), None);
    // Where there is no such identity, a rename counts for the very table that it names.
    let strip = |shape: &Shape| Shape {
        id: None,
        ..shape.clone()
    };
    let (before, after): (Vec<_>, Vec<_>) = (
        before.iter().map(strip).collect(),
        after.iter().map(strip).collect(),
    );
    assert_eq!(name_after(&before[0], &before, &after, &names), None);
    assert_eq!(
        name_after(&before[1], &before, &after, &names).unwrap(),
        "arch.msg_old"
    );
}

#[test]
fn where_case_matters_a_rename_counts_for_one_table() {
    let names = Names {
        tables: Case::Matters,
        columns: Case::Ignored,
        quote: '`',
    };
    let tables = |shapes| Tables { shapes, names };
    let before = [table("Msg", &["id"]), table("msg", &["id"])];
    let after = [table("keep", &["id"])];
    let renamed = renames(&[("Msg", "keep")]);
    let name = |was| {
        let found = successor(was, tables(&before), tables(&after), &renamed);
        found.map(|it| it.table)
    };
    assert_eq!(name(&before[0]).unwrap(), "keep");
    assert_eq!(name(&before[1]), None);
}

/// A change that is explained is not a loss that somebody has to acknowledge.
#[test]
fn what_is_explained_needs_no_acknowledgement() {
    let before = [table("m", &["id", "updated_at"])];
    let touched = |derived| Lost {
        column: Some("updated_at".into()),
        what: What::ValuesChanged,
        derived,
        ..gone("m")
    };
    let left = |lost: Lost| unacknowledged(&[lost], &[], all(&before)).len();
    assert_eq!(left(touched(Some(Derived::Clock))), 0);
    assert_eq!(left(touched(None)), 1);
}

#[test]
fn a_table_that_the_next_crash_empties_is_lost() {
    let (was, before) = (table("m", &["id"]), [table("m", &["id"])]);
    let now = Shape {
        volatile: true,
        ..was.clone()
    };
    let found = volatile(&was, &now, 5, all(&before)).unwrap();
    assert_eq!((found.what, found.rows), (What::Volatile, 5));
    assert_eq!(volatile(&was, &now, 0, all(&before)), None, "it is empty");
    assert_eq!(volatile(&now, &now, 5, all(&before)), None, "it was so");
    assert_eq!(volatile(&was, &was, 5, all(&before)), None);
}

#[test]
fn a_name_that_an_earlier_file_gave_up_is_looked_for_once_something_else_has_it() {
    let (none, names) = (Renames::default(), Renames::default());
    let first = [known(1, "messages", &[(1, "id"), (2, "body")])];
    let before = [known(1, "old", &[(1, "id"), (2, "old_body")])];
    let after = [
        before[0].clone(),
        known(2, "messages", &[(1, "id"), (2, "body")]),
    ];
    let first = First {
        shapes: &first,
        since: &none,
    };
    assert_eq!(first.taken(all(&before), all(&before), &names), before);
    let called = first.taken(all(&before), all(&after), &names);
    assert_eq!(called[0].table, "messages");
    let pair = (&before[0], &called[0]);
    let found = successor_as(pair, all(&called), all(&after), &names).unwrap();
    assert_eq!(found.table, "messages");
    let columns = found.columns.iter();
    let columns: Vec<_> = columns
        .map(|(old, new)| (old.name.as_str(), new.name.as_str()))
        .collect();
    assert_eq!(columns, [("id", "id"), ("old_body", "body")]);
    // Where both were there before the file, nothing has changed hands in it.
    assert_eq!(first.taken(all(&after), all(&after), &names), after);
}

#[test]
fn the_names_of_a_stopped_run_are_those_of_the_next_one() {
    let first = [
        known(1, "messages", &[(1, "id"), (2, "body")]),
        known(2, "notes", &[(1, "id")]),
    ];
    let now = [
        known(1, "old", &[(1, "id"), (2, "text"), (3, "body")]),
        known(2, "remarks", &[(1, "no")]),
        known(3, "notes", &[(1, "id")]),
    ];
    let none = Renames::default();
    let since = First {
        shapes: &first,
        since: &none,
    };
    // What has another owner by now, as it was acknowledged, is that one's.
    let called = since.called(all(&now));
    let (again, _) = as_called(&called, all(&now));
    let names = |shapes: &[Shape]| -> Vec<_> {
        let columns = |it: &Shape| it.columns.iter().map(|it| it.name.clone()).collect();
        let named = shapes.iter().map(|it| (it.table.clone(), columns(it)));
        named.collect::<Vec<(String, Vec<String>)>>()
    };
    let named = |table: &str, columns: &[&str]| {
        let columns = columns.iter().map(|it| (*it).to_owned()).collect();
        (table.to_owned(), columns)
    };
    assert_eq!(
        names(&again),
        [
            named("messages", &["id", "text", "body"]),
            named("remarks", &["id"]),
            named("notes", &["id"]),
        ]
    );
    // Without numbers, by the names that were given since.
    let bare = |shapes: &[Shape]| -> Vec<_> {
        let mut shapes = shapes.to_vec();
        for shape in &mut shapes {
            shape.id = None;
            shape.columns.iter_mut().for_each(|it| it.id = None);
        }
        shapes
    };
    let (now, again) = (bare(&now), bare(&again));
    let (_, since) = as_called(&called, all(&now));
    let since = First {
        shapes: &again,
        since: &since,
    };
    assert_eq!(since.called(all(&now)), called);
    // A name that somebody took meanwhile is free for nobody.
    let taken = [now[0].clone(), known(4, "messages", &[(1, "id")])];
    assert_eq!(names(&as_called(&called, all(&taken)).0), names(&taken));
}
