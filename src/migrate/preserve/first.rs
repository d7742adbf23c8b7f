//! The names that tables and columns had when a run began. An application reads by these, whatever
//! earlier files of the run have called its tables since.

use super::{Named, Renames, Tables, named, same_table, successor};
use crate::model::{Shape, ShapeColumn, Successor};
use serde::{Deserialize, Serialize};

/// What there was when the run began.
#[derive(Debug, Clone, Copy)]
pub struct First<'a> {
    /// The tables.
    pub shapes: &'a [Shape],
    /// The names that were given since, before this moment.
    pub since: &'a Renames,
}

impl First<'_> {
    /// A table of now under the names that it and its columns had; none if it was not there.
    pub fn of(self, now: &Shape, tables: Tables<'_>) -> Option<Shape> {
        let is_it = |first: &&Shape| match (first.id, now.id) {
            (Some(first), Some(now)) => first == now,
            // Without numbers, all tables are in one schema; that of a copy has another name.
            (None, None) => {
                let present = self.since.present(first, tables.names);
                tables.names.tables.same(&present.table, &now.table)
            }
            _ => false,
        };
        let first = self.shapes.iter().find(is_it)?;
        let name = |column: &ShapeColumn| {
            let is_it = |was: &&ShapeColumn| match (was.id, column.id) {
                (Some(was), Some(now)) => was == now,
                (None, None) => {
                    let now = self.since.of_column(first, &was.name, tables.names);
                    tables.names.columns.same(&now, &column.name)
                }
                _ => false,
            };
            let was = first.columns.iter().find(is_it);
            was.map_or_else(|| column.name.clone(), |was| was.name.clone())
        };
        let mut found = now.clone();
        found.name.clone_from(&first.name);
        found.called_as(first);
        if now.id.is_none() {
            found.schema.clone_from(&now.schema);
        }
        for (column, own) in found.columns.iter_mut().zip(&now.columns) {
            column.name = name(own);
        }
        Some(found)
    }

    /// The tables of before a file, each under a name that it had when the run began, where something
    /// else has this name after the file that nothing had before it; and their columns in the same way. The
    /// same of a table that is gone, where one that the run made has the name: it may have all its rows.
    pub fn taken(self, before: Tables<'_>, after: Tables<'_>, renames: &Renames) -> Vec<Shape> {
        let called = |was: &Shape| {
            let Some(first) = self.of(was, before) else {
                return was.clone();
            };
            let own = same_table(was, before, after, renames);
            let is_new = |it: &Shape| own.is_none() && self.of(it, before).is_none();
            let new = after
                .namesake(&first)
                .filter(|_| before.namesake(&first).is_none_or(is_new));
            let new = new.filter(|new| own != Some(*new));
            let mut called = was.clone();
            if new.is_some() {
                called.called_as(&first);
            }
            let Some(read) = new.or(own) else {
                return called;
            };
            for (at, first) in first.columns.iter().enumerate() {
                let is_new = named(&first.name, (was, before.names)).is_none()
                    && named(&first.name, (read, after.names)).is_some();
                if is_new {
                    called.name_column(at, &first.name);
                }
            }
            called
        };
        before.shapes.iter().map(called).collect()
    }

    /// The names that tables of now and their columns had, where they have others and nothing else has these.
    pub fn called(self, now: Tables<'_>) -> Vec<Called> {
        let called = |shape: &Shape| {
            let first = self.of(shape, now)?;
            let is_free = |name: &str| named(name, (shape, now.names)).is_none();
            let columns = first.columns.iter().zip(&shape.columns);
            let columns = columns.filter(|(was, is)| was.name != is.name && is_free(&was.name));
            let own = Name::of(shape);
            let was = Name::of(&first);
            let called = Called {
                columns: columns
                    .map(|(was, is)| (was.name.clone(), is.name.clone()))
                    .collect(),
                was: (now.namesake(&first).is_none()).then_some(was),
                now: own,
            };
            (called.was.is_some() || !called.columns.is_empty()).then_some(called)
        };
        now.shapes.iter().filter_map(called).collect()
    }
}

/// The names that a table and its columns had when a run began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Called {
    now: Name,
    /// The table's own, where it has another one now.
    was: Option<Name>,
    /// The columns', each with the name of now.
    columns: Vec<(String, String)>,
}

/// How a table is named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Name {
    schema: String,
    table: String,
    /// In reports.
    name: String,
    bare: bool,
    on_path: bool,
}

impl Name {
    fn of(shape: &Shape) -> Self {
        Self {
            schema: shape.schema.clone(),
            table: shape.table.clone(),
            name: shape.name.clone(),
            bare: shape.bare,
            on_path: shape.on_path,
        }
    }

    fn named(&self) -> Named {
        Named {
            schema: Some(self.schema.clone()),
            table: self.table.clone(),
        }
    }
}

/// The tables of now under the names that they had when a run began which came to a stop, as far as nothing
/// else has these since; and how they got the names of now.
pub fn as_called(called: &[Called], now: Tables<'_>) -> (Vec<Shape>, Renames) {
    let mut renames = Renames::default();
    let mut first = |shape: &Shape| {
        let mut first = shape.clone();
        let is_it = |it: &&Called| {
            it.now.schema == shape.schema && now.names.tables.same(&it.now.table, &shape.table)
        };
        let Some(called) = called.iter().find(is_it) else {
            return first;
        };
        if let Some(was) = &called.was {
            first.called_as(&Shape {
                schema: was.schema.clone(),
                table: was.table.clone(),
                bare: was.bare,
                on_path: was.on_path,
                ..Shape::default()
            });
            first.name.clone_from(&was.name);
            if now.namesake(&first).is_some() {
                first = shape.clone();
            } else {
                renames.table(was.named(), called.now.named());
            }
        }
        for (was, is) in &called.columns {
            let is_free = named(was, (shape, now.names)).is_none();
            let mut columns = first.columns.iter_mut();
            let column = columns.find(|it| now.names.columns.same(&it.name, is));
            if let Some(column) = column.filter(|_| is_free) {
                renames.column(called.now.named(), was, is);
                column.name.clone_from(was);
            }
        }
        first
    };
    (now.shapes.iter().map(&mut first).collect(), renames)
}

impl Shape {
    /// Gives it the name of another one; in reports it keeps its own.
    fn called_as(&mut self, other: &Self) {
        self.schema.clone_from(&other.schema);
        self.table.clone_from(&other.table);
        (self.bare, self.on_path) = (other.bare, other.on_path);
    }

    fn name_column(&mut self, at: usize, name: &str) {
        let own = std::mem::replace(&mut self.columns[at].name, name.to_owned());
        for listed in self.key.iter_mut().chain(&mut self.unshown) {
            if *listed == own {
                name.clone_into(listed);
            }
        }
    }
}

/// The successor of a table that is looked for under other names than its own.
pub fn successor_as(
    (was, called): (&Shape, &Shape),
    before: Tables<'_>,
    after: Tables<'_>,
    renames: &Renames,
) -> Option<Successor> {
    let mut found = successor(called, before, after, renames)?;
    for (old, _) in found.columns.iter_mut().chain(&mut found.key) {
        let place = called.columns.iter().position(|it| it == old);
        if let Some(own) = place.and_then(|place| was.columns.get(place)) {
            old.clone_from(own);
        }
    }
    Some(found)
}
