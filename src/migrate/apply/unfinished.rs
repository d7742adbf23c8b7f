//! What runs on MySQL made that came to a stop, so that the next run may change it: tables, columns, and
//! rows in tables of before, as long as they are as the run left them. What somebody wrote in between is the
//! users', and in doubt everything is.

mod sums;

use super::origin::{Candidate, Since};
use super::{origin, reach};
use crate::db::{OWN_TABLES, Placed, Seeds, Session};
use crate::migrate::intent::{Intent, Piece};
use crate::migrate::preserve::{Renames, Tables};
use crate::model::{Names, Shape};
use crate::sql::{Destroys, Kind};
use std::collections::{BTreeMap, BTreeSet};

/// What the files of a rehearsal made until the end of one of them.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// The tables that the copy had.
    seen: BTreeSet<String>,
    tables: BTreeSet<String>,
    /// Columns, by the table.
    columns: BTreeMap<String, Vec<String>>,
    /// Rows that it put into tables of before the run.
    pub(super) placed: Placed,
}

impl Made {
    /// These tables and nothing else.
    pub(super) fn tables(tables: BTreeSet<String>) -> Self {
        Self {
            seen: tables.clone(),
            tables,
            ..Self::default()
        }
    }

    /// From what the copy has now, and what of it was there before the run.
    pub(super) fn of(now: &[Shape], older: &[Shape]) -> Self {
        let mut made = Self::default();
        for shape in now.iter().filter(|it| is_of_project(it)) {
            made.seen.insert(shape.name.clone());
            let Some(old) = older.iter().find(|old| old.name == shape.name) else {
                made.tables.insert(shape.name.clone());
                continue;
            };
            let new = without(shape, old);
            if !new.is_empty() {
                made.columns.insert(shape.name.clone(), new);
            }
        }
        made
    }
}

fn is_of_project(shape: &Shape) -> bool {
    !OWN_TABLES.contains(&shape.name.as_str())
}

/// The columns that a table has and another one has not.
fn without(shape: &Shape, old: &Shape) -> Vec<String> {
    let is_new = |name: &&String| old.columns.iter().all(|it| it.name != **name);
    let names = shape.columns.iter().map(|it| &it.name);
    names.filter(is_new).cloned().collect()
}

/// The same in the database, with what tells whether it is as it was; written into the journal.
#[derive(Debug, Default, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Unfinished {
    /// The file of which this many statements were done when it was written; empty between two files.
    #[serde(default)]
    version: String,
    #[serde(default)]
    done: usize,
    tables: BTreeMap<String, String>,
    columns: BTreeMap<String, BTreeMap<String, String>>,
    #[serde(default)]
    rows: BTreeMap<String, Seeds>,
}

impl Unfinished {
    /// What a run wrote; nothing where it is not understood.
    pub(super) fn parse(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    /// For the journal; none when there is nothing.
    pub(super) fn text(&self) -> Option<String> {
        let text = serde_json::to_string(self).ok();
        text.filter(|_| !self.is_empty())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.columns.is_empty() && self.rows.is_empty()
    }

    /// The rows that earlier runs put into tables of before, as they left them.
    pub(super) fn rows(&self) -> BTreeMap<String, Seeds> {
        self.rows.clone()
    }

    /// What is left of it, when a run begins in front of the statement `first` of a file. Where the file took
    /// something from the users, what it made may be the only copy, so that nothing of it counts.
    pub(super) fn resume(
        mut self,
        session: &mut dyn Session,
        intent: &Intent<'_>,
        first: usize,
    ) -> anyhow::Result<Self> {
        if takes(intent, first) {
            return Ok(Self::default());
        }
        let done = if self.version == intent.migration.version.text() {
            self.done.min(first)
        } else {
            0
        };
        let names = session.names();
        self.rename(&intent.renames_of(done..first), names);
        let shapes = session.catalog()?;
        let there = |name: &String| shapes.iter().find(|shape| shape.name == *name);
        self.tables.retain(|name, was| {
            there(name)
                .and_then(|shape| sums::of_table(session, shape))
                .as_ref()
                == Some(was)
        });
        self.columns.retain(|name, were| {
            let names: Vec<_> = were.keys().cloned().collect();
            let now = there(name).map(|shape| sums::of_columns(session, shape, &names));
            let now = now.unwrap_or_default();
            were.retain(|column, was| now.get(column) == Some(was));
            !were.is_empty()
        });
        Ok(self)
    }

    /// Gives what is known the names that statements gave to the tables.
    fn rename(&mut self, renames: &Renames, names: Names) {
        let called = |name: String| {
            let shape = Shape {
                name: name.clone(),
                table: name,
                bare: true,
                ..Shape::default()
            };
            renames.present(&shape, names).table
        };
        fn of<T>(map: &mut BTreeMap<String, T>, called: impl Fn(String) -> String) {
            let old = std::mem::take(map);
            map.extend(old.into_iter().map(|(name, of)| (called(name), of)));
        }
        of(&mut self.tables, called);
        of(&mut self.columns, called);
        of(&mut self.rows, called);
    }

    /// Those of the tables, and of their columns, that are the users'.
    pub(super) fn of_users(
        &self,
        session: &mut dyn Session,
        candidates: Vec<Candidate>,
    ) -> anyhow::Result<Vec<(Shape, String)>> {
        let mut left = Vec::new();
        for Candidate { shape, home, since } in candidates {
            let mut is_empty = || sums::is_empty(session, &shape);
            if self.tables.contains_key(&shape.name) || matches!(since, Since::File) && is_empty()?
            {
                continue;
            }
            let mut kept = shape.clone();
            let recorded = self.columns.get(&shape.name);
            kept.columns.retain(|column| {
                let is_new = match &since {
                    Since::Before(columns) => !columns.contains(&column.name),
                    Since::File => false,
                };
                let is_as_it_was = recorded.is_some_and(|were| were.contains_key(&column.name));
                !(is_as_it_was || is_new && sums::is_default(session, &shape, &column.name))
            });
            if !kept
                .key
                .iter()
                .all(|name| kept.columns.iter().any(|it| it.name == *name))
            {
                kept.key.clear();
            }
            left.push((kept, home));
        }
        Ok(left)
    }

    /// Looks at what the file made so far, after these statements of it: `before` has the tables with which it
    /// began in front of the statement `first`. Whether something is another than it was.
    pub(super) fn after(
        &mut self,
        session: &mut dyn Session,
        (intent, numbers): (&Intent<'_>, &[usize]),
        (before, first): (&[(Shape, String)], usize),
    ) -> anyhow::Result<bool> {
        let Some(last) = numbers.last() else {
            return Ok(false);
        };
        let pieces = numbers.iter().map(|number| &intent.pieces[*number]);
        let pieces: Vec<_> = pieces.filter(|piece| may_fill(piece)).collect();
        let names = session.names();
        let named: Vec<_> = pieces
            .iter()
            .flat_map(|piece| reach::written(piece))
            .collect();
        let is_named = |name: &str| named.iter().any(|it| names.tables.same(&it.name, name));
        let is_open = pieces.iter().any(|piece| !reach::is_plain(piece));
        let is_users = |name: &str| {
            before
                .iter()
                .any(|(was, _)| names.tables.same(&was.name, name))
        };
        let alters = |piece: &&Piece<'_>| {
            matches!(
                piece.facts.kind,
                Kind::AlterTable { .. } | Kind::RenameTable { .. }
            )
        };
        let known = self.tables.keys().chain(self.columns.keys());
        let concerns = is_open
            || pieces.iter().any(alters)
            || named.iter().any(|it| !is_users(&it.name))
            || known.into_iter().any(|name| is_named(name));
        if pieces.is_empty() || !concerns {
            return Ok(false);
        }
        let was = self.clone();
        let shapes = if is_open {
            session.catalog()?
        } else {
            let names: Vec<_> = named.iter().map(|it| it.name.as_str()).collect();
            session.shapes(&names)?
        };
        let now = Tables {
            shapes: &shapes,
            names,
        };
        let done = intent.renames_of(first..last + 1);
        let of_users = before
            .iter()
            .filter_map(|(was, _)| origin::present(was, &done, now));
        let of_users: Vec<_> = of_users.collect();
        let concerned = |name: &str| is_open || is_named(name);
        self.tables.retain(|name, _| !concerned(name));
        self.columns.retain(|name, _| !concerned(name));
        let concerned = shapes
            .iter()
            .filter(|it| is_of_project(it) && concerned(&it.name));
        for shape in concerned {
            let users = of_users.iter().find(|it| it.name == shape.name);
            // Where a table has taken the name of one of the users', they write it from now on.
            let named = || {
                let mut before = before.iter();
                let found = before.find(|(was, home)| [&was.name, home].contains(&&shape.name));
                found.map(|(was, _)| was)
            };
            match users.or_else(named) {
                Some(old) => self.look_at_columns(session, shape, &without(shape, old)),
                None => self.look_at_table(session, shape),
            }
        }
        intent
            .migration
            .version
            .text()
            .clone_into(&mut self.version);
        self.done = last + 1;
        Ok((&was.tables, &was.columns) != (&self.tables, &self.columns))
    }

    /// A file has come to its end: what the rehearsal says that the run made until there is the run's, and
    /// nothing else.
    pub(super) fn end(&mut self, session: &mut dyn Session, made: &Made) -> anyhow::Result<()> {
        self.version.clear();
        self.done = 0;
        let is_gone = |name: &String| !made.seen.contains(name);
        self.tables
            .retain(|name, _| is_gone(name) || made.tables.contains(name));
        self.columns.retain(|name, were| {
            if is_gone(name) {
                return true;
            }
            let columns = made.columns.get(name).map_or(&[][..], Vec::as_slice);
            were.retain(|column, _| columns.contains(column));
            !were.is_empty()
        });
        let tables = made.tables.iter();
        let tables: Vec<_> = tables.filter(|it| !self.tables.contains_key(*it)).collect();
        let is_known = |(name, columns): &(&String, &Vec<String>)| {
            let known = self.columns.get(*name);
            known.is_some_and(|known| columns.iter().all(|it| known.contains_key(it)))
        };
        let columns = made.columns.iter();
        let columns: Vec<_> = columns.filter(|it| !is_known(it)).collect();
        if !tables.is_empty() || !columns.is_empty() {
            let names = tables.iter().copied().chain(columns.iter().map(|it| it.0));
            let names: Vec<_> = names.map(String::as_str).collect();
            for shape in session.shapes(&names)? {
                if tables.contains(&&shape.name) {
                    self.look_at_table(session, &shape);
                }
                if let Some((_, new)) = columns.iter().find(|(name, _)| **name == shape.name) {
                    self.look_at_columns(session, &shape, new);
                }
            }
        }
        self.rows
            .retain(|table, _| !made.placed.taken.contains(table));
        for rows in &made.placed.rows {
            self.rows.remove(&rows.table);
            if let Some(seeds) = session.found(rows)? {
                self.rows.insert(rows.table.clone(), seeds);
            }
        }
        Ok(())
    }

    fn look_at_table(&mut self, session: &mut dyn Session, shape: &Shape) {
        let sum = sums::of_table(session, shape);
        self.tables.extend(sum.map(|sum| (shape.name.clone(), sum)));
    }

    fn look_at_columns(&mut self, session: &mut dyn Session, shape: &Shape, names: &[String]) {
        let columns = sums::of_columns(session, shape, names);
        if !columns.is_empty() {
            self.columns.insert(shape.name.clone(), columns);
        }
    }
}

/// Whether a statement may leave values in a table that the file made, or another name of it.
fn may_fill(piece: &Piece<'_>) -> bool {
    !matches!(
        piece.facts.kind,
        Kind::CreateTable {
            as_select: false,
            ..
        } | Kind::CreateIndex { .. }
            | Kind::DropIndex { .. }
            | Kind::Select
            | Kind::SetVariable { .. }
            | Kind::Begin
            | Kind::Commit
            | Kind::Lock
            | Kind::Analyze
    ) || !piece.facts.calls.is_empty()
}

/// Whether the statements before one of a file may have taken rows or values from the users, of which the
/// file has copies. A file that acknowledges nothing takes none by an UPDATE.
fn takes(intent: &Intent<'_>, first: usize) -> bool {
    intent.pieces[..first].iter().any(|piece| {
        let is_update = matches!(piece.facts.kind, Kind::Update { .. });
        match piece.facts.destroys() {
            Destroys::No => false,
            Destroys::Possibly => !is_update || !intent.allowed.is_empty(),
            Destroys::Certainly => true,
        }
    })
}
