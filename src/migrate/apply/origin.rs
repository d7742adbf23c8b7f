//! What a file of MySQL began with: when an earlier run of it came to a stop, what that run made
//! itself is the file's to change. Pure.

use crate::migrate::intent::Intent;
use crate::migrate::preserve::{Named, Renames, Tables};
use crate::model::{Shape, ShapeColumn};
use std::collections::BTreeMap;

/// The tables that a file began with, and the names of their columns.
type Began = BTreeMap<String, Vec<String>>;

/// A table at the moment when a run begins after a stop.
pub(super) struct Candidate {
    /// As it is now.
    pub(super) shape: Shape,
    /// Its name of when the file began.
    pub(super) home: String,
    /// What is known of its origin.
    pub(super) since: Since,
}

/// Since when a table is there.
pub(super) enum Since {
    /// It was there when the file began in which the run stopped, with these columns.
    Before(Vec<String>),
    /// The file made it.
    File,
}

/// For the journal.
pub(super) fn written(tables: &[Shape]) -> String {
    let columns = |shape: &Shape| shape.columns.iter().map(|it| it.name.clone()).collect();
    let began: Began = tables
        .iter()
        .map(|shape| (shape.name.clone(), columns(shape)))
        .collect();
    serde_json::to_string(&began).unwrap_or_default()
}

/// What is left of the tables and columns that a file began with, as they are called after the
/// statements that are done, each with the table's name of then. None when it is not known what the
/// file began with.
pub(super) fn left(began: &str, done: &Renames, now: Tables<'_>) -> Option<Vec<(Shape, String)>> {
    let began = began_with(began, now)?.into_iter();
    let left = began.filter_map(|was| Some((present(&was, done, now)?, was.name)));
    Some(left.collect())
}

/// The tables and columns that a file began with. None when it is not known.
pub(super) fn began_with(began: &str, now: Tables<'_>) -> Option<Vec<Shape>> {
    let began: Began = serde_json::from_str(began).ok()?;
    let schema = now.shapes.first().map(|shape| shape.schema.clone());
    let shape = |(name, columns): (String, Vec<String>)| Shape {
        table: name.clone(),
        name,
        schema: schema.clone().unwrap_or_default(),
        bare: true,
        columns: columns.iter().map(|column| called(column)).collect(),
        ..Shape::default()
    };
    Some(began.into_iter().map(shape).collect())
}

/// What became of a table by the names that statements gave, without the columns that it did not have.
pub(super) fn present(was: &Shape, done: &Renames, now: Tables<'_>) -> Option<Shape> {
    let present = done.present(was, now.names);
    let mut shape = now.namesake(&present)?.clone();
    let same = |column: &ShapeColumn| {
        let mut old = present.columns.iter();
        old.any(|old| now.names.columns.same(&old.name, &column.name))
    };
    shape.columns.retain(same);
    let all: Vec<_> = shape.columns.iter().map(|it| &it.name).collect();
    if !shape.key.iter().all(|name| all.contains(&name)) {
        shape.key.clear();
    }
    Some(shape)
}

/// Lets a file continue with one of its statements. Gives the tables that there are, each with its name of
/// when the file began and with what is known of its origin; none when everything that is there was there
/// before it, or that is not known.
pub(super) fn resume(
    intent: &mut Intent<'_>,
    (first, began): (usize, &str),
    now: Tables<'_>,
) -> Option<Vec<Candidate>> {
    if first == 0 {
        return None;
    }
    let end = intent.pieces.len();
    let (done, rest) = (intent.renames_of(0..first), intent.renames_of(first..end));
    let left = left(began, &done, now)?;
    // What was renamed has its rows in the end where its own name is, unless it is renamed again.
    let mut renames = Renames::default();
    for (shape, name) in left.iter().filter(|(shape, name)| shape.table != *name) {
        renames.home(named(&shape.table), named(name));
    }
    renames.then(rest);
    intent.renames = renames;
    let began: Began = serde_json::from_str(began).ok()?;
    let candidate = |shape: &Shape| {
        let was = left.iter().find(|(left, _)| left.name == shape.name);
        let (home, columns) = match was {
            Some((left, home)) => (
                home,
                Some(left.columns.iter().map(|it| it.name.clone()).collect()),
            ),
            None => (&shape.name, began.get(&shape.name).cloned()),
        };
        Candidate {
            shape: shape.clone(),
            home: home.clone(),
            since: columns.map_or(Since::File, Since::Before),
        }
    };
    Some(now.shapes.iter().map(candidate).collect())
}

/// The tables of a database, when a run begins that no file is half done for.
pub(super) fn all(shapes: &[Shape]) -> Vec<Candidate> {
    let of = |shape: &Shape| Candidate {
        home: shape.name.clone(),
        since: Since::Before(shape.columns.iter().map(|it| it.name.clone()).collect()),
        shape: shape.clone(),
    };
    shapes.iter().map(of).collect()
}

fn named(table: &str) -> Named {
    Named {
        schema: None,
        table: table.to_owned(),
    }
}

fn called(name: &str) -> ShapeColumn {
    ShapeColumn {
        id: None,
        name: name.to_owned(),
        declared: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::{called, left, named, written};
    use crate::migrate::preserve::{Renames, Tables};
    use crate::model::{Case, Names, Shape};

    fn shape(name: &str, columns: &[&str]) -> Shape {
        Shape {
            name: name.to_owned(),
            table: name.to_owned(),
            schema: "chat".to_owned(),
            bare: true,
            columns: columns.iter().map(|name| called(name)).collect(),
            key: vec!["id".to_owned()],
            ..Shape::default()
        }
    }

    #[test]
    fn what_the_file_made_itself_is_left_out_and_what_it_renamed_is_followed() {
        let began = written(&[shape("messages", &["id", "body"]), shape("gone", &["id"])]);
        let mut done = Renames::default();
        done.table(named("messages"), named("old"));
        done.table(named("new"), named("messages"));
        let now = [
            shape("messages", &["id", "body", "state"]),
            shape("old", &["id", "body", "state"]),
        ];
        let tables = Tables {
            shapes: &now,
            names: Names {
                tables: Case::Matters,
                columns: Case::Ignored,
                quote: '`',
            },
        };
        let left = left(&began, &done, tables).expect("it was written");
        assert_eq!(
            left,
            [(shape("old", &["id", "body"]), "messages".to_owned())]
        );
    }
}
