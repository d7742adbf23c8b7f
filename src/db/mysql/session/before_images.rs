//! What the tables of a copy held before the run: in a database of its own, which the user who runs
//! the migrations can't reach, and shown unaltered before each comparison.

use super::held::{Held, Move};
use super::{MySql, compare, copied, quoted, seeds, text_literal};
use crate::db::session::copying::reached;
use crate::db::session::derived::tells_of_change;
use crate::db::session::witness::Copies;
use crate::db::session::{Failed, Seeds, Session as _, image_name, numbers};
use crate::model::{Compared, Content, Derived, Shape, ShapeColumn, Successor};
use anyhow::ensure;
use std::collections::{BTreeMap, BTreeSet};

/// The side of a copy that keeps.
pub(super) struct BeforeImages {
    /// The database that holds what is kept.
    database: String,
    /// The tables of before the run, by the names that they have now, with the columns of then.
    old: BTreeMap<String, Shape>,
    /// The tables that the file can reach.
    reach: BTreeSet<String>,
    /// What is kept of them, from when a file first could reach them.
    kept: BTreeMap<String, Held>,
    /// Counts of what they held when the file began.
    pub(super) counts: BTreeMap<String, Content>,
    /// What became of those that were compared.
    moves: BTreeMap<String, Move>,
    /// When the file began, in UTC.
    pub(super) began: String,
    /// The same in UTC or in the zone of clients, whichever is less.
    pub(super) since: String,
    /// Rows that an earlier run put into tables of before it, and that are the run's.
    seeds: BTreeMap<String, Seeds>,
    /// Tables that were renamed while a new one took their name.
    pub(super) aside: BTreeSet<String>,
    /// Tables whose rows count as the users' since something was taken from them.
    pub(super) taken: BTreeSet<String>,
    /// How many tables were made here.
    made: usize,
    /// Whether more files follow, which may change what the run made.
    pub(super) more_follows: bool,
}

impl BeforeImages {
    pub(super) fn new(database: &str) -> Self {
        Self {
            database: database.to_owned(),
            old: BTreeMap::new(),
            reach: BTreeSet::new(),
            kept: BTreeMap::new(),
            counts: BTreeMap::new(),
            moves: BTreeMap::new(),
            began: String::new(),
            since: String::new(),
            seeds: BTreeMap::new(),
            aside: BTreeSet::new(),
            taken: BTreeSet::new(),
            made: 0,
            more_follows: false,
        }
    }

    /// A run begins, with these tables: nothing of an earlier one counts.
    pub(super) fn begin(&mut self, tables: Vec<Shape>, seeds: BTreeMap<String, Seeds>) {
        let named = tables.into_iter().map(|shape| (shape.name.clone(), shape));
        *self = Self {
            old: named.collect(),
            made: self.made,
            seeds,
            ..Self::new(&self.database)
        };
    }

    pub(super) fn reaches(&mut self, tables: BTreeSet<String>) {
        self.reach = tables;
    }

    /// Whether a table was there before the run.
    pub(super) fn is_older(&self, table: &str) -> bool {
        self.old.contains_key(table)
    }

    /// What is kept of a table of before the run, and its key.
    pub(super) fn held(&self, table: &str) -> Option<(String, Vec<String>)> {
        let (held, shape) = (self.kept.get(table)?, self.old.get(table)?);
        Some((held.table.clone(), shape.key.clone()))
    }

    /// The tables of before the run of which something is kept.
    pub(super) fn kept(&self) -> Vec<String> {
        self.kept.keys().cloned().collect()
    }

    /// The tables of before the run, with the columns of then, as they are called now.
    pub(super) fn older(&self) -> Vec<Shape> {
        self.old.values().cloned().collect()
    }

    /// The tables of before the run that the file can reach.
    pub(super) fn touched(&self) -> BTreeSet<String> {
        let reached = |name: &&String| self.reach.contains(*name);
        self.old.keys().filter(reached).cloned().collect()
    }

    /// Notes what became of a table of which only rows and values were counted.
    pub(super) fn counted(&mut self, shape: &Shape, successor: Option<&Successor>) {
        let moved = Move {
            shape: shape.clone(),
            successor: successor.cloned(),
            is_whole: true,
        };
        self.moves.insert(shape.name.clone(), moved);
    }

    fn next(&mut self) -> String {
        self.made += 1;
        format!("{}.{}", quoted(&self.database), image_name(self.made))
    }
}

/// Keeps what these tables hold, as far as it is not kept already.
pub(super) fn keep(session: &mut MySql, tables: &[Shape]) -> Result<(), Failed> {
    for shape in tables {
        let Some(images) = &mut session.images else {
            continue;
        };
        let Some(old) = images.old.get(&shape.name).cloned() else {
            continue;
        };
        if !images.reach.contains(&shape.name) || images.kept.contains_key(&shape.name) {
            continue;
        }
        let (table, seeds) = (images.next(), images.seeds.get(&shape.name).cloned());
        let failed = |error: anyhow::Error| Failed::because(format!("{error:#}"));
        let but = match seeds {
            Some(seeds) => seeds::but(session, &shape.name, &seeds).map_err(failed)?,
            None => String::new(),
        };
        compare::save_image(session, &table, &old, &but)?;
        let mut held = hold(session, table, old.columns.clone()).map_err(failed)?;
        held.clocks = clocks(session, &shape.name).map_err(failed)?;
        held.history = history(session, &old).map_err(failed)?;
        if let Some(images) = &mut session.images {
            images.kept.insert(shape.name.clone(), held);
        }
    }
    Ok(())
}

fn hold(session: &mut MySql, table: String, columns: Vec<ShapeColumn>) -> anyhow::Result<Held> {
    let (rows, checksum) = sum(session, &table)?;
    Ok(Held {
        table,
        columns,
        rows,
        checksum,
        clocks: Vec::new(),
        history: None,
    })
}

/// The columns that the server sets to the time of a change.
fn clocks(session: &mut MySql, table: &str) -> anyhow::Result<Vec<String>> {
    let rows = session.rows(&format!(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = database() \
         AND table_name = {} AND extra LIKE '%on update current_timestamp%'",
        text_literal(table)
    ))?;
    Ok(rows.iter().map(|row| row[0].to_string()).collect())
}

/// Saves the former versions of a table's rows.
fn history(session: &mut MySql, shape: &Shape) -> anyhow::Result<Option<Box<Held>>> {
    let Some(period) = shape.period.clone() else {
        return Ok(None);
    };
    let Some(table) = session.images.as_mut().map(BeforeImages::next) else {
        return Ok(None);
    };
    compare::save_history_image(session, &table, shape, &period)?;
    let held = hold(session, table, shape.columns.clone())?;
    Ok(Some(Box::new(held)))
}

/// Whether a copy is as it was saved.
fn is_unaltered(session: &mut MySql, held: &Held) -> anyhow::Result<bool> {
    Ok(sum(session, &held.table)? == (held.rows, held.checksum.clone()))
}

/// How many rows there are, and a sum over all of them.
fn sum(session: &mut MySql, table: &str) -> anyhow::Result<(u64, String)> {
    let rows = session.rows(&format!("SELECT count(*) FROM {table}"))?;
    let checksum = session.rows(&format!("CHECKSUM TABLE {table} EXTENDED"))?;
    Ok((numbers(&rows[0])[0], checksum[0][1].to_string()))
}

/// Compares what is kept of a table with what became of it; none when nothing is kept.
pub(super) fn compare(
    session: &mut MySql,
    shape: &Shape,
    successor: Option<&Successor>,
) -> anyhow::Result<Option<Compared>> {
    let Some(held) = session
        .images
        .as_ref()
        .and_then(|images| images.kept.get(&shape.name))
        .cloned()
    else {
        return Ok(None);
    };
    ensure!(
        is_unaltered(session, &held)?,
        "the saved copy of `{}` was changed",
        shape.name
    );
    let (of_then, successor_of_then) =
        (narrowed(shape, &held), successor.map(|it| among(it, &held)));
    let mut found = compare::compare(session, &held.table, &of_then, successor_of_then.as_ref())?;
    ensure!(
        found.before == held.rows,
        "{} rows of `{}` were kept, and {} were compared",
        held.rows,
        shape.name,
        found.before
    );
    if let Some(successor) = &successor_of_then {
        explain(session, (&held, &of_then), successor, &mut found)?;
    }
    if let Some(former) = &held.history {
        ensure!(
            is_unaltered(session, former)?,
            "the saved copy of the history of `{}` was changed",
            shape.name
        );
        found.before += former.rows;
        found.missing += match &successor_of_then {
            None => 0,
            Some(successor) => compare::history(session, &former.table, successor)?,
        };
    }
    let is_whole = found.missing == 0
        && found
            .columns
            .iter()
            .all(|counts| counts.nulled == 0 && counts.changed == 0);
    if let Some(images) = &mut session.images {
        let moved = Move {
            shape: of_then.clone(),
            successor: successor_of_then,
            is_whole,
        };
        images.moves.insert(shape.name.clone(), moved);
    }
    // A column that the run itself added held nothing before.
    let columns = shape.columns.iter().map(|column| {
        let place = of_then.columns.iter().position(|then| then == column);
        place
            .and_then(|place| found.columns.get(place).cloned())
            .unwrap_or_default()
    });
    Ok(Some(Compared {
        columns: columns.collect(),
        ..found
    }))
}

/// Where only the server's own clock changed values, because something else in their rows was changed,
/// that explains them.
fn explain(
    session: &mut MySql,
    (held, shape): (&Held, &Shape),
    successor: &Successor,
    found: &mut Compared,
) -> anyhow::Result<()> {
    let images = session.images.as_ref();
    let (began, since) = images
        .map(|images| (images.began.clone(), images.since.clone()))
        .unwrap_or_default();
    // Those that were set before the run, and those that it set itself.
    let clocks = [held.clocks.clone(), clocks(session, &successor.table)?].concat();
    for (column, counts) in shape.columns.iter().zip(&mut found.columns) {
        let is_clock = clocks.contains(&column.name) && tells_of_change(&column.name);
        if counts.changed == 0 || !is_clock {
            continue;
        }
        let times = (began.as_str(), since.as_str());
        if compare::is_since(session, &held.table, (successor, column), times)? {
            counts.derived = Some(Derived::Clock);
        }
    }
    Ok(())
}

/// A table with those columns only that were there before the run.
fn narrowed(shape: &Shape, held: &Held) -> Shape {
    let was = |name: &str| held.columns.iter().any(|column| column.name == name);
    let mut narrow = shape.clone();
    narrow.columns.retain(|column| was(&column.name));
    if !narrow.key.iter().all(|name| was(name)) {
        narrow.key.clear();
    }
    narrow
}

fn among(successor: &Successor, held: &Held) -> Successor {
    let was = |name: &str| held.columns.iter().any(|column| column.name == name);
    let mut narrow = successor.clone();
    narrow.columns.retain(|(old, _)| was(&old.name));
    if !narrow.key.iter().all(|(old, _)| was(&old.name)) {
        narrow.key.clear();
        narrow.keyed = false;
    }
    narrow
}

impl BeforeImages {
    /// A table is its successor from now on; whether another one became the same.
    fn renamed(&mut self, then: Shape, successor: &Successor, held: Option<Held>) -> bool {
        let table = successor.table.clone();
        // The same file may continue, and reaches what it gave another name.
        if self.reach.contains(&then.name) {
            self.reach.insert(table.clone());
        }
        if let Some(held) = held {
            self.kept.insert(table.clone(), held);
        }
        let key = successor.key.iter().map(|(_, new)| new.name.clone());
        let shape = Shape {
            name: table.clone(),
            table: table.clone(),
            columns: successor.columns_now(),
            key: key.collect(),
            ..then
        };
        self.old.insert(table, shape).is_some()
    }
}

/// The file is accepted: what it changed and was acknowledged is not a later file's loss, and what it
/// left is what the next one may not lose.
pub(super) fn accept(session: &mut MySql) -> anyhow::Result<()> {
    let Some(images) = &mut session.images else {
        return Ok(());
    };
    images.counts.clear();
    let more_follows = images.more_follows;
    let moves = std::mem::take(&mut images.moves);
    let mut kept = Vec::new();
    for name in moves.keys() {
        images.old.remove(name);
        kept.push(images.kept.remove(name));
    }
    let mut copies = Copies::new();
    let mut lost = BTreeSet::new();
    // One that two tables became, which held the same: the rows of both are the users'.
    let mut shared = BTreeSet::new();
    for (moved, held) in moves.into_values().zip(kept) {
        let is_smaller = |it: &Successor| it.columns.len() < moved.shape.columns.len();
        if !moved.is_whole || moved.successor.as_ref().is_none_or(is_smaller) {
            lost.insert(moved.shape.table.to_lowercase());
        }
        let mut copied = BTreeSet::new();
        if let (Some(held), true) = (&held, more_follows) {
            match &moved.successor {
                Some(successor) if as_it_was(&moved, successor, held) => {}
                Some(successor) => {
                    copied::note(session, &mut copies, &moved, held)?;
                    copied = copied::columns(session, (&moved, successor), held)?;
                }
                None => copied::note(session, &mut copies, &moved, held)?,
            }
        }
        let Some(successor) = &moved.successor else {
            if let Some(held) = held {
                session.look_by(&format!("DROP TABLE {}", held.table))?;
                if let Some(former) = held.history {
                    session.look_by(&format!("DROP TABLE {}", former.table))?;
                }
            }
            continue;
        };
        let held = match held {
            Some(held) if !as_it_was(&moved, successor, &held) => {
                Some(rebased(session, &moved, successor, &held)?)
            }
            held => held,
        };
        if let Some(images) = &mut session.images
            && images.renamed(moved.shape, successor, held)
        {
            shared.insert(successor.table.clone());
        }
        if !copied.is_empty() {
            take_columns(session, &successor.table, &copied)?;
        }
    }
    let aside = session
        .images
        .as_mut()
        .map(|it| std::mem::take(&mut it.aside));
    let mut taken = aside.unwrap_or_default();
    taken.extend(shared);
    if !taken.is_empty() && more_follows {
        for shape in session.catalog()? {
            if taken.contains(&shape.name) {
                take_rows(session, shape)?;
            }
        }
    }
    if more_follows && !lost.is_empty() {
        take_copies(session, lost)?;
    }
    if !copies.is_empty() {
        for shape in copied::tables(session, &copies)? {
            take_rows(session, shape)?;
        }
    }
    Ok(())
}

/// What was filled from tables of which something went is the users' now, whatever it is.
fn take_copies(session: &mut MySql, lost: BTreeSet<String>) -> anyhow::Result<()> {
    let reached = reached(&session.copies, lost);
    if reached.is_empty() {
        return Ok(());
    }
    for shape in session.catalog()? {
        let images = session.images.as_ref();
        let old = images.and_then(|images| images.old.get(&shape.name));
        match (reached.get(&shape.table.to_lowercase()), old) {
            (None, _) => {}
            // A table of the run's own has no other columns.
            (Some(None), _) | (Some(Some(_)), None) => take_rows(session, shape)?,
            (Some(Some(words)), Some(old)) => {
                let is_new = |name: &String| old.columns.iter().all(|it| it.name != *name);
                let names = shape.columns.iter().map(|it| it.name.clone());
                let names = names.filter(|it| is_new(it) && words.contains(&it.to_lowercase()));
                let names: BTreeSet<_> = names.collect();
                if !names.is_empty() {
                    take_columns(session, &shape.name, &names)?;
                }
            }
        }
    }
    Ok(())
}

/// Columns that the run added are the users' now: the next file keeps the table with them.
fn take_columns(session: &mut MySql, table: &str, names: &BTreeSet<String>) -> anyhow::Result<()> {
    let tables = session.catalog()?;
    let now = tables.iter().find(|it| it.name == table);
    let new = now.into_iter().flat_map(|now| now.columns.clone());
    let new: Vec<_> = new.filter(|it| names.contains(&it.name)).collect();
    let Some(images) = &mut session.images else {
        return Ok(());
    };
    if let Some(old) = images.old.get_mut(table) {
        old.columns.extend(new);
    }
    forget(session, table)
}

/// All rows of a table are the users' now, and so is the table: the next file keeps them.
fn take_rows(session: &mut MySql, shape: Shape) -> anyhow::Result<()> {
    let name = shape.name.clone();
    if let Some(images) = &mut session.images {
        images.old.entry(name.clone()).or_insert(shape);
        images.taken.insert(name.clone());
        // The file that made it reaches it.
        images.reach.insert(name.clone());
        images.seeds.remove(&name);
    }
    forget(session, &name)
}

fn forget(session: &mut MySql, table: &str) -> anyhow::Result<()> {
    let held = session.images.as_mut().and_then(|it| it.kept.remove(table));
    if let Some(held) = held {
        session.look_by(&format!("DROP TABLE {}", held.table))?;
        if let Some(former) = held.history {
            session.look_by(&format!("DROP TABLE {}", former.table))?;
        }
    }
    Ok(())
}

/// Whether a table is what it was, but for its name and what was added.
fn as_it_was(moved: &Move, successor: &Successor, held: &Held) -> bool {
    moved.is_whole
        && successor.columns.len() == held.columns.len()
        && successor.columns.iter().all(|(old, new)| old == new)
}

/// What is left of the rows and values of before, under the names and types that they have now.
fn rebased(
    session: &mut MySql,
    moved: &Move,
    successor: &Successor,
    held: &Held,
) -> anyhow::Result<Held> {
    let Some(table) = session.images.as_mut().map(BeforeImages::next) else {
        return Ok(held.clone());
    };
    compare::save_rest_image(session, (&held.table, &table), &moved.shape, successor)?;
    session.look_by(&format!("DROP TABLE {}", held.table))?;
    let mut rest = hold(session, table, successor.columns_now())?;
    rest.clocks = clocks(session, &successor.table)?;
    if let Some(former) = &held.history {
        session.look_by(&format!("DROP TABLE {}", former.table))?;
        let tables = session.catalog()?;
        if let Some(now) = tables.iter().find(|it| it.name == successor.table) {
            let shape = Shape {
                columns: rest.columns.clone(),
                ..now.clone()
            };
            rest.history = history(session, &shape)?;
        }
    }
    Ok(rest)
}
