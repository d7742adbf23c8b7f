//! What tables held, as chatctl itself remembers it: a keyed digest of each value of each row. It is
//! in no table, so that nothing a migration does to the database reaches it. Pure.

mod codes;
mod digest;
mod json;
mod likest;
mod made;
mod matching;
mod moment;
mod number;
mod pages;
mod reading;
mod rows;
mod sides;
#[cfg(test)]
mod tests;
mod went;

pub(in crate::db) use digest::Form;
pub(in crate::db) use pages::digested;
pub(in crate::db) use reading::{Field, Forms, Reading};
pub(in crate::db) use went::Copies;

use crate::db::session::copying::{Copying, reached};
use crate::model::{CellRef, Compared, ComparedColumn, Shape, ShapeColumn, Successor};
use digest::Secret;
use likest::likest;
use made::{Made, OfTable};
use reading::Known;
use sides::{OfRun, Pair, Sides};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use went::Went;

/// What the tables held when the watch began, and what the run itself made of them.
pub(in crate::db) struct Witness {
    secret: Secret,
    forms: Forms,
    held: BTreeMap<String, Reading>,
    /// What tables become, where their columns get another type by it.
    expected: BTreeMap<String, Successor>,
    /// Tables with values that have no form in the other type.
    formless: BTreeMap<String, Vec<ShapeColumn>>,
    /// Whether more of the run follows, which may change what it made.
    more_follows: bool,
    made: Made,
    /// The tables that were compared since, and what each comparison says that the run made.
    compared: BTreeSet<u64>,
    fresh: Vec<(u64, OfTable)>,
    /// What went of the users' rows of each of them.
    went: BTreeMap<u64, Went>,
    /// Tables that were renamed while a new one took their name.
    aside: BTreeSet<String>,
    /// Which tables the run copies from and to.
    copies: Vec<Copying>,
}

impl Witness {
    pub(in crate::db) fn new(
        forms: impl Fn(&ShapeColumn, &ShapeColumn) -> Field + Send + Sync + 'static,
    ) -> Self {
        Self {
            secret: Secret::new(),
            forms: Arc::new(forms),
            held: BTreeMap::new(),
            expected: BTreeMap::new(),
            formless: BTreeMap::new(),
            more_follows: false,
            made: Made::new(),
            compared: BTreeSet::new(),
            fresh: Vec::new(),
            went: BTreeMap::new(),
            aside: BTreeSet::new(),
            copies: Vec::new(),
        }
    }

    /// A watch begins.
    pub(in crate::db) fn begin(&mut self) {
        self.held.clear();
        self.compared.clear();
        self.fresh.clear();
        self.went.clear();
        self.aside.clear();
    }

    /// How values are read from here on next to those of another type.
    pub(in crate::db) fn read_by(
        &mut self,
        forms: impl Fn(&ShapeColumn, &ShapeColumn) -> Field + Send + Sync + 'static,
    ) {
        self.forms = Arc::new(forms);
    }

    /// Which tables the run copies from and to.
    pub(in crate::db) fn copies(&mut self, all: Vec<Copying>) {
        self.copies = all;
    }

    /// Whether what the run makes from here on is to be remembered.
    pub(in crate::db) fn more_follows(&mut self, more_follows: bool) {
        self.more_follows = more_follows;
    }

    pub(in crate::db) const fn remembers(&self) -> bool {
        self.more_follows
    }

    /// A table is about to be read, as it is before.
    pub(in crate::db) fn before(&self, shape: &Shape) -> Reading {
        let own: Vec<_> = key_of(shape).map(|it| (it.clone(), it.clone())).collect();
        let form = self.form(shape);
        match self.expected.get(&shape.name) {
            None => Reading::new(self.secret, form, shape, (&[], &own)),
            Some(it) if it.key.len() == own.len() => {
                Reading::new(self.secret, form, shape, (&it.columns, &it.key))
            }
            Some(it) => Reading::new(self.secret, form, shape, (&it.columns, &own)),
        }
    }

    /// How the values of a table are read next to those of another type.
    fn form(&self, shape: &Shape) -> impl Fn(&ShapeColumn, &ShapeColumn) -> Field + use<> {
        let formless = self.formless.get(&shape.name).cloned();
        let (forms, formless) = (Arc::clone(&self.forms), formless.unwrap_or_default());
        move |own, other| {
            let is_formless = formless.contains(own) || formless.contains(other);
            forms(own, if is_formless { own } else { other })
        }
    }

    /// The columns of a table that is read before in forms of other types, each with such a form.
    pub(in crate::db) fn casts(&self, shape: &Shape) -> Vec<(ShapeColumn, String)> {
        let form = self.form(shape);
        let expected = self.expected.get(&shape.name);
        let pairs = expected.map(|it| it.columns.iter().chain(&it.key));
        let casts = pairs.into_iter().flatten().filter_map(|(own, other)| {
            let (raw, cast) = (form(own, own), form(own, other));
            (raw != cast).then(|| (own.clone(), cast.sql))
        });
        casts.collect()
    }

    /// Not all values of these columns have a form in the other type, so they are compared as they are.
    pub(in crate::db) fn formless(&mut self, shape: &Shape, columns: Vec<ShapeColumn>) {
        let formless = self.formless.entry(shape.name.clone()).or_default();
        formless.extend(columns);
    }

    pub(in crate::db) fn hold(&mut self, shape: &Shape, reading: Reading) {
        self.held.insert(shape.name.clone(), reading);
    }

    pub(in crate::db) fn holds(&self, shape: &Shape) -> bool {
        self.held.contains_key(&shape.name)
    }

    /// What a table has become is about to be read. None when the table has to be read before once
    /// more, in a form that the new types have too.
    pub(in crate::db) fn after(
        &mut self,
        shape: &Shape,
        successor: &Successor,
        now: &Shape,
    ) -> Option<Reading> {
        let held = self.held.get(&shape.name)?;
        let form = self.form(shape);
        let mut pairs = successor.columns.iter().chain(&successor.key);
        if !pairs.all(|(old, new)| held.slot(&form(old, new)).is_some()) {
            self.expected.insert(shape.name.clone(), successor.clone());
            return None;
        }
        let turned = |pairs: &[(ShapeColumn, ShapeColumn)]| -> Vec<_> {
            let pairs = pairs.iter().cloned();
            pairs.map(|(old, new)| (new, old)).collect()
        };
        let (pairs, key) = (turned(&successor.columns), turned(&successor.key));
        Some(Reading::new(self.secret, form, now, (&pairs, &key)))
    }

    /// How many rows a table held.
    pub(in crate::db) fn rows(&self, shape: &Shape) -> u64 {
        self.held.get(&shape.name).map_or(0, Reading::count)
    }

    /// What a table has become, where these rows were written, and of those that it held so many are as they
    /// were. None where others are gone: the table has to be read to find which.
    pub(in crate::db) fn overwritten(
        &mut self,
        shape: &Shape,
        (written, left): (Reading, u64),
    ) -> io::Result<Option<Reading>> {
        match self.held.get_mut(&shape.name) {
            Some(held) => held.overwritten(written, left),
            None => Ok(None),
        }
    }

    /// Compares what a table held with what it has become.
    pub(in crate::db) fn compare(
        &mut self,
        shape: &Shape,
        successor: &Successor,
        (now, mut after): (&Shape, Reading),
    ) -> io::Result<Compared> {
        let nothing = OfTable::default();
        let form = self.form(shape);
        let Some(before) = self.held.get_mut(&shape.name) else {
            return Ok(Compared::default());
        };
        let (mut pairs, mut in_utc) = (Vec::new(), Vec::new());
        for (old, new) in &successor.columns {
            let (a, b) = (form(old, new), form(new, old));
            let slots = Reading::slots((&*before, &a), (&after, &b));
            let (first, other) = (
                slots.first().copied(),
                slots.iter().rev().copied().collect(),
            );
            let slots = likest((&mut *before, &mut after), slots)?;
            // Where both readings fit, the zone makes no difference.
            if a.form == Form::InUtc && likest((&mut *before, &mut after), other)? == first {
                in_utc.extend(shape.columns.iter().position(|it| it == old));
            }
            let old = shape.columns.iter().position(|it| it == old);
            let new = now.columns.iter().position(|it| it == new);
            if let (Some(old), Some(new), Some(slots)) = (old, new, slots) {
                pairs.push(Pair { old, new, slots });
            }
        }
        let (mut old_key, mut new_key) = (Vec::new(), Vec::new());
        for (old, new) in &successor.key {
            let (a, b) = (form(old, new), form(new, old));
            let slots = Reading::slots_of_key((&*before, &a), (&after, &b));
            if let Some((old, new)) = likest((&mut *before, &mut after), slots)? {
                old_key.push(old);
                new_key.push(new);
            }
        }
        if old_key.len() == successor.key.len() {
            before.find_by(old_key)?;
            after.find_by(new_key)?;
        }
        let sides = Sides {
            pairs: &pairs,
            shape,
            now,
            places: (before.placed && after.placed).then_some((before.place(), after.place())),
            secret: self.secret,
            made: self.made.get(&ident(shape)).unwrap_or(&nothing),
            remembers: self.more_follows,
        };
        let mut found = sides.compare(before, after, !successor.key.is_empty())?;
        for column in in_utc {
            found.compared.columns[column].in_utc = true;
        }
        self.compared.insert(ident(shape));
        if self.more_follows {
            self.fresh.push((ident(now), found.fresh));
            self.went.insert(ident(shape), found.went);
        }
        Ok(found.compared)
    }

    /// Of a table that is gone: the rows that it had.
    pub(in crate::db) fn gone(&mut self, shape: &Shape) -> io::Result<Compared> {
        let nothing = OfTable::default();
        let Some(before) = self.held.get_mut(&shape.name) else {
            return Ok(Compared::default());
        };
        let made = self.made.get(&ident(shape)).unwrap_or(&nothing);
        self.compared.insert(ident(shape));
        let mut of_run = OfRun::new(made, shape, self.secret);
        let mut rows = 0;
        let mut went = Went::default();
        for part in before.rows.parts() {
            let part = part?;
            for row in 0..part.len() {
                if of_run.made(&part, row) {
                    continue;
                }
                rows += 1;
                if self.more_follows {
                    went.add(self.secret, of_run.users(&part, row), std::iter::empty());
                }
            }
        }
        self.went.insert(ident(shape), went);
        Ok(Compared {
            before: rows,
            missing: rows,
            columns: vec![ComparedColumn::default(); shape.columns.len()],
            ..Compared::default()
        })
    }

    /// A table that the run made is about to be read.
    pub(in crate::db) fn of_new(&self, shape: &Shape) -> Reading {
        let key: Vec<_> = key_of(shape).map(|it| (it.clone(), it.clone())).collect();
        Reading::new(self.secret, &*self.forms, shape, (&[], &key))
    }

    /// Every row of it is the run's.
    pub(in crate::db) fn all_made(
        &mut self,
        shape: &Shape,
        mut reading: Reading,
    ) -> io::Result<()> {
        let known = Known::of(shape, self.secret);
        let mut fresh = OfTable::default();
        for part in reading.rows.parts() {
            let part = part?;
            for row in 0..part.len() {
                let by = known.row(|slot| part.value(row, slot));
                fresh.add_row(by);
                for (slot, column) in shape.columns.iter().enumerate() {
                    fresh.add_value(by, ident_of(column), part.value(row, slot));
                }
            }
        }
        self.fresh.push((ident(shape), fresh));
        Ok(())
    }

    /// A column was added, and each row has this value in it.
    pub(in crate::db) fn added(&mut self, shape: &Shape, column: &ShapeColumn, value: CellRef<'_>) {
        let field = (self.forms)(column, column);
        let value = self.secret.value(value, field.form);
        let of = self.made.entry(ident(shape)).or_default();
        of.columns.insert(ident_of(column), value);
    }

    /// A table was renamed, and a new one has its name: its rows stay the users'.
    pub(in crate::db) fn keep_aside(&mut self, table: &str) {
        self.aside.insert(table.to_owned());
    }

    /// Whether the rows of a table were compared, or became those of a table that was.
    pub(in crate::db) fn knows(&self, shape: &Shape) -> bool {
        let table = ident(shape);
        self.compared.contains(&table)
            || self.aside.contains(&shape.name)
            || self.fresh.iter().any(|(of, _)| *of == table)
    }

    /// What was compared stays.
    pub(in crate::db) fn accept(&mut self, before: &[Shape], after: &[Shape]) {
        let were: BTreeSet<_> = before.iter().map(ident).collect();
        let mut all: BTreeMap<u64, OfTable> = BTreeMap::new();
        for (table, fresh) in std::mem::take(&mut self.fresh) {
            // A table that was there and was not looked at itself: the run made no more of it than
            // before, and nothing of what came from elsewhere.
            if were.contains(&table) && !self.compared.contains(&table) {
                if let Some(of) = self.made.remove(&table) {
                    self.made.insert(table, of.also(&fresh));
                }
                continue;
            }
            let both = match all.remove(&table) {
                Some(other) => other.also(&fresh),
                None => fresh,
            };
            all.insert(table, both);
        }
        for (table, fresh) in all {
            let columns = self.made.remove(&table).map(|of| of.columns);
            self.made.insert(
                table,
                OfTable {
                    columns: columns.unwrap_or_default(),
                    ..fresh
                },
            );
        }
        for went in self.went.values().filter(|went| !went.is_empty()) {
            for of in self.made.values_mut() {
                of.give_back(went, self.secret);
            }
        }
        self.give_back_copies(before, after);
        if self.more_follows {
            let are: BTreeSet<_> = after.iter().map(ident).collect();
            self.made
                .retain(|table, of| are.contains(table) && !of.is_empty());
        }
        self.begin();
        self.expected.clear();
        self.formless.clear();
    }

    /// Gives back what was filled from tables of which something went, whatever it is.
    fn give_back_copies(&mut self, before: &[Shape], after: &[Shape]) {
        let went = |shape: &&Shape| {
            let went = self.went.get(&ident(shape));
            went.is_some_and(|went| !went.is_empty())
        };
        let from = before.iter().filter(went);
        let from = from.map(|shape| shape.table.to_lowercase()).collect();
        let reached = reached(&self.copies, from);
        for shape in after {
            let whole = shape.whole.as_deref().unwrap_or_default();
            let whole = whole.rsplit('.').next().unwrap_or_default();
            let mut names = [shape.table.as_str(), whole].into_iter();
            let columns = names.find_map(|name| reached.get(&name.to_lowercase()));
            let (Some(columns), Some(made)) = (columns, self.made.get_mut(&ident(shape))) else {
                continue;
            };
            let named = columns.as_ref().map(|words| {
                let columns = shape.columns.iter();
                let columns = columns.filter(|it| words.contains(&it.name.to_lowercase()));
                columns.map(ident_of).collect()
            });
            made.give_back_all(named.as_ref());
        }
    }

    /// What the run made, for a later one; none when it is too much.
    pub(in crate::db) fn remembered(&self) -> Option<String> {
        if self.made.is_empty() {
            return None;
        }
        made::text(&self.made, self.secret)
    }

    /// What an earlier run made and did not finish.
    pub(in crate::db) fn recall(&mut self, text: &str) {
        if let Some((made, secret)) = made::parse(text) {
            (self.made, self.secret) = (made, secret);
        }
    }
}

/// The columns of a table's key.
fn key_of(shape: &Shape) -> impl Iterator<Item = &ShapeColumn> {
    let column = |name: &String| shape.columns.iter().find(|it| it.name == *name);
    shape.key.iter().filter_map(column)
}

/// What a table is known by.
fn ident(shape: &Shape) -> u64 {
    shape.id.unwrap_or_else(|| by_name(&shape.name))
}

/// What a column of a table is known by.
fn ident_of(column: &ShapeColumn) -> u64 {
    column.id.unwrap_or_else(|| by_name(&column.name))
}

fn by_name(name: &str) -> u64 {
    Secret(0, 0).value(CellRef::Text(&name.to_ascii_lowercase()), Form::Raw)
}
