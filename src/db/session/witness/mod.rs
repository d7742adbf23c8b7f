//! What tables held, as chatctl itself remembers it: a keyed digest of each value of each row. It is
//! in no table, so that nothing a migration does to the database reaches it. Pure.

mod digest;
mod json;
mod made;
mod number;
mod reading;
mod rows;
#[cfg(test)]
mod tests;

pub(in crate::db) use digest::Form;
pub(in crate::db) use reading::{Field, Forms, Reading};

use crate::model::{CellRef, Compared, ComparedColumn, Shape, ShapeColumn, Successor};
use digest::{NULL, Row, Secret};
use made::{Made, OfTable};
use reading::Known;
use rows::Loaded;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::io;

/// What the tables held when the watch began, and what the run itself made of them.
pub(in crate::db) struct Witness {
    secret: Secret,
    forms: Forms,
    held: BTreeMap<String, Reading>,
    /// The columns of which another type is known that they become, by the table.
    expected: BTreeMap<String, Vec<(ShapeColumn, ShapeColumn)>>,
    /// Tables with values that have no form in the other type.
    formless: BTreeSet<String>,
    /// Whether more of the run follows, which may change what it made.
    goes_on: bool,
    made: Made,
    /// The tables that were compared since, and what each comparison says that the run made.
    compared: BTreeSet<u64>,
    fresh: Vec<(u64, OfTable)>,
}

impl Witness {
    pub(in crate::db) fn new(forms: Forms) -> Self {
        Self {
            secret: Secret::new(),
            forms,
            held: BTreeMap::new(),
            expected: BTreeMap::new(),
            formless: BTreeSet::new(),
            goes_on: false,
            made: Made::new(),
            compared: BTreeSet::new(),
            fresh: Vec::new(),
        }
    }

    /// A watch begins.
    pub(in crate::db) fn begin(&mut self) {
        self.held.clear();
        self.compared.clear();
        self.fresh.clear();
    }

    /// Whether what the run makes from here on is to be remembered.
    pub(in crate::db) fn goes_on(&mut self, goes_on: bool) {
        self.goes_on = goes_on;
    }

    pub(in crate::db) const fn remembers(&self) -> bool {
        self.goes_on
    }

    /// A table is about to be read, as it is before.
    pub(in crate::db) fn before(&self, shape: &Shape) -> Reading {
        let expected = self.expected.get(&shape.name).map(Vec::as_slice);
        let pair = |column: &ShapeColumn| {
            let pairs = expected.unwrap_or_default().iter();
            let mut pairs = pairs.filter(|(old, _)| old == column);
            pairs.next().map(|(_, new)| new.clone())
        };
        Reading::new(self.secret, self.forms, shape, pair, &shape.key)
    }

    /// Its values can't be cast, so they are compared as they are. False when they are already.
    pub(in crate::db) fn formless(&mut self, shape: &Shape) -> bool {
        let expected = self.expected.remove(&shape.name).is_some();
        self.formless.insert(shape.name.clone());
        expected
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
        let formless = self.formless.contains(&shape.name);
        let fits = |(old, new): &(ShapeColumn, ShapeColumn)| {
            let place = shape.columns.iter().position(|column| column == old);
            place.is_some_and(|index| held.fields[held.slots[index]] == (self.forms)(old, new))
        };
        if !formless && !successor.columns.iter().all(fits) {
            self.expected
                .insert(shape.name.clone(), successor.columns.clone());
            return None;
        }
        let pair = |column: &ShapeColumn| {
            let mut pairs = successor.columns.iter().filter(|(_, new)| new == column);
            pairs
                .next()
                .filter(|_| !formless)
                .map(|(old, _)| old.clone())
        };
        let key: Vec<_> = successor
            .key
            .iter()
            .map(|(_, new)| new.name.clone())
            .collect();
        Some(Reading::new(self.secret, self.forms, now, pair, &key))
    }

    /// Compares what a table held with what it has become.
    pub(in crate::db) fn compare(
        &mut self,
        shape: &Shape,
        successor: &Successor,
        (now, after): (&Shape, Reading),
    ) -> io::Result<Compared> {
        let nothing = OfTable::default();
        let Some(before) = self.held.get_mut(&shape.name) else {
            return Ok(Compared::default());
        };
        let sides = Sides {
            pairs: &pairs(shape, successor, now),
            shape,
            now,
            places: (before.placed && after.placed)
                .then_some((before.fields.len(), after.fields.len())),
            secret: self.secret,
            made: self.made.get(&ident(shape)).unwrap_or(&nothing),
            remembers: self.goes_on,
        };
        let (compared, fresh) = sides.compare(before, after, !successor.key.is_empty())?;
        self.compared.insert(ident(shape));
        if self.goes_on {
            self.fresh.push((ident(now), fresh));
        }
        Ok(compared)
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
        for part in before.rows.parts() {
            let part = part?;
            rows += (0..part.len())
                .filter(|row| !of_run.made(&part, *row))
                .count() as u64;
        }
        Ok(Compared {
            before: rows,
            missing: rows,
            moved: 0,
            columns: vec![ComparedColumn::default(); shape.columns.len()],
        })
    }

    /// A table that the run made is about to be read.
    pub(in crate::db) fn of_new(&self, shape: &Shape) -> Reading {
        Reading::new(self.secret, self.forms, shape, |_| None, &shape.key)
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

    /// Whether the rows of a table were compared, or became those of a table that was.
    pub(in crate::db) fn knows(&self, shape: &Shape) -> bool {
        let table = ident(shape);
        self.compared.contains(&table) || self.fresh.iter().any(|(of, _)| *of == table)
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
        if self.goes_on {
            let are: BTreeSet<_> = after.iter().map(ident).collect();
            self.made
                .retain(|table, of| are.contains(table) && !of.is_empty());
        }
        self.begin();
        self.expected.clear();
        self.formless.clear();
    }

    /// What the run made, for a later one; none when it is too much.
    pub(in crate::db) fn remembered(&self) -> Option<String> {
        if self.made.is_empty() {
            return None;
        }
        made::text(&self.made, self.secret)
    }

    /// What an earlier run made and did not come to its end.
    pub(in crate::db) fn recall(&mut self, text: &str) {
        if let Some((made, secret)) = made::parse(text) {
            (self.made, self.secret) = (made, secret);
        }
    }
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
    Secret(0, 0).value(CellRef::Text(&name.to_lowercase()), Form::Raw)
}

/// For each column of after the place of the one before that it is compared with.
fn pairs(shape: &Shape, successor: &Successor, now: &Shape) -> Vec<Option<usize>> {
    let place = |column: &ShapeColumn| {
        let pair = successor.columns.iter().find(|(_, new)| new == column)?;
        shape.columns.iter().position(|old| *old == pair.0)
    };
    now.columns.iter().map(place).collect()
}

/// Which rows of a table are the run's own, asked row by row.
struct OfRun<'a> {
    made: &'a OfTable,
    known: Known,
    columns: Vec<u64>,
    by_key: bool,
    /// Rows without a key that are still to come.
    left: HashMap<Row, u64>,
}

impl<'a> OfRun<'a> {
    fn new(made: &'a OfTable, shape: &Shape, secret: Secret) -> Self {
        let by_key = !shape.key.is_empty();
        Self {
            made,
            known: Known::of(shape, secret),
            columns: shape.columns.iter().map(ident_of).collect(),
            by_key,
            left: if by_key {
                HashMap::new()
            } else {
                made.rows.clone()
            },
        }
    }

    /// Whether a value is as the run left it, so that nobody else's is in its place.
    fn value(&self, part: &Loaded, row: usize, column: usize) -> bool {
        if self.made.is_empty() {
            return false;
        }
        let by = self.known.row(|slot| part.value(row, slot));
        self.made
            .left(by, self.columns[column], part.value(row, column))
    }

    /// Whether a row is the run's and as the run left it.
    fn made(&mut self, part: &Loaded, row: usize) -> bool {
        if self.made.rows.is_empty() {
            return false;
        }
        let by = self.known.row(|slot| part.value(row, slot));
        if self.by_key {
            let untouched = |column| self.value(part, row, column);
            return self.made.rows.contains_key(&by) && (0..self.columns.len()).all(untouched);
        }
        match self.left.get_mut(&by) {
            Some(left @ 1..) => {
                *left -= 1;
                true
            }
            _ => false,
        }
    }
}

/// How many rows come before others now which they came after.
fn moved(mut order: Vec<(u64, u64)>) -> u64 {
    order.sort_unstable();
    let mut last = 0;
    let mut moved = 0;
    for (_, now) in order {
        moved += u64::from(now < last);
        last = last.max(now);
    }
    moved
}

/// A table before and after.
struct Sides<'a> {
    shape: &'a Shape,
    now: &'a Shape,
    /// For each column of after the place of the one before.
    pairs: &'a [Option<usize>],
    /// Where the place of a row is among its values, before and after.
    places: Option<(usize, usize)>,
    secret: Secret,
    made: &'a OfTable,
    remembers: bool,
}

/// Two rows have one key, so that it tells no rows apart.
struct Twice;

impl Sides<'_> {
    fn compare(
        &self,
        before: &mut Reading,
        mut after: Reading,
        keyed: bool,
    ) -> io::Result<(Compared, OfTable)> {
        if keyed
            && before.keyed
            && let Ok(ended) = self.by_key(before, &mut after)?
        {
            return Ok(ended);
        }
        self.by_whole(before, &mut after)
    }

    fn empty(&self) -> Compared {
        Compared {
            columns: vec![ComparedColumn::default(); self.shape.columns.len()],
            ..Compared::default()
        }
    }

    fn by_key(
        &self,
        before: &mut Reading,
        after: &mut Reading,
    ) -> io::Result<Result<(Compared, OfTable), Twice>> {
        let (mut compared, mut fresh) = (self.empty(), OfTable::default());
        let mut of_run = OfRun::new(self.made, self.shape, self.secret);
        let known = Known::of(self.now, self.secret);
        let (old_slots, new_slots) = (before.slots.clone(), after.slots.clone());
        let mut order = Vec::new();
        for (old, new) in before.rows.parts().zip(after.rows.parts()) {
            let (old, new) = (old?, new?);
            let mut places = HashMap::with_capacity(old.len());
            for row in 0..old.len() {
                if places.insert(old.by(row), row).is_some() {
                    return Ok(Err(Twice));
                }
            }
            let made: Vec<_> = (0..old.len()).map(|row| of_run.made(&old, row)).collect();
            let mut found = vec![false; old.len()];
            for now in 0..new.len() {
                let was = places.get(&new.by(now)).copied();
                if let Some(was) = was
                    && std::mem::replace(&mut found[was], true)
                {
                    return Ok(Err(Twice));
                }
                if let (Some(was), Some((a, b))) = (was.filter(|was| !made[*was]), self.places) {
                    order.push((old.value(was, a), new.value(now, b)));
                }
                let by = if self.remembers {
                    known.row(|slot| new.value(now, slot))
                } else {
                    0
                };
                if self.remembers && was.is_none_or(|was| made[was]) {
                    fresh.add_row(by);
                }
                for (column, pair) in self.pairs.iter().enumerate() {
                    let mut of_users = false;
                    if let (Some(was), Some(pair)) = (was, *pair) {
                        let (a, b) = (
                            old.value(was, old_slots[pair]),
                            new.value(now, new_slots[column]),
                        );
                        let own = made[was] || of_run.value(&old, was, pair);
                        of_users = !own && a == b;
                        let counts = &mut compared.columns[pair];
                        if !own && a != b && a != NULL {
                            match b {
                                NULL => counts.nulled += 1,
                                _ => counts.changed += 1,
                            }
                        }
                    }
                    if self.remembers && !of_users {
                        let column_is = ident_of(&self.now.columns[column]);
                        fresh.add_value(by, column_is, new.value(now, column));
                    }
                }
            }
            for row in (0..old.len()).filter(|row| !made[*row]) {
                compared.before += 1;
                compared.missing += u64::from(!found[row]);
                self.count(&old, row, (&of_run, &mut compared));
            }
        }
        compared.moved = moved(order);
        Ok(Ok((compared, fresh)))
    }

    /// Rows without a key are compared as a whole, and each as often as it is there.
    fn by_whole(
        &self,
        before: &mut Reading,
        after: &mut Reading,
    ) -> io::Result<(Compared, OfTable)> {
        let (mut compared, mut fresh) = (self.empty(), OfTable::default());
        let mut of_run = OfRun::new(self.made, self.shape, self.secret);
        let known = Known::of(self.now, self.secret);
        let places = |slots: &[usize], of: fn(usize, usize) -> usize| -> Vec<usize> {
            let pairs = self.pairs.iter().enumerate();
            let pairs = pairs.filter_map(|(new, old)| Some(of((*old)?, new)));
            pairs.map(|index| slots[index]).collect()
        };
        let (olds, news) = (
            places(&before.slots, |old, _| old),
            places(&after.slots, |_, new| new),
        );
        let secret = self.secret;
        let of = |slots: Vec<usize>| {
            move |values: &[u64]| secret.row(slots.iter().map(|slot| values[*slot]))
        };
        let mut order = Vec::new();
        let mut old_rows = before.rows.found_by(of(olds.clone()))?;
        let mut new_rows = after.rows.found_by(of(news))?;
        for (old, new) in old_rows.parts().zip(new_rows.parts()) {
            let (old, new) = (old?, new?);
            // First those of the user's, then those that the run made: a row that is there may be either.
            let mut there: HashMap<Row, u64> = HashMap::new();
            (0..new.len()).for_each(|row| *there.entry(new.by(row)).or_default() += 1);
            // Of rows that are alike the first is taken for the first.
            let mut in_order: HashMap<Row, VecDeque<u64>> = HashMap::new();
            if let Some((_, place)) = self.places {
                for row in 0..new.len() {
                    let alike = in_order.entry(new.by(row)).or_default();
                    alike.push_back(new.value(row, place));
                }
            }
            for row in 0..old.len() {
                if of_run.made(&old, row) {
                    continue;
                }
                compared.before += 1;
                self.count(&old, row, (&of_run, &mut compared));
                match there.get_mut(&old.by(row)) {
                    Some(left @ 1..) => {
                        *left -= 1;
                        let now = in_order.get_mut(&old.by(row)).and_then(VecDeque::pop_front);
                        if let (Some(now), Some((place, _))) = (now, self.places) {
                            order.push((old.value(row, place), now));
                        }
                    }
                    // A row of which no column is left can't be looked for.
                    _ if olds.is_empty() => {}
                    _ => compared.missing += 1,
                }
            }
            for row in (0..new.len()).filter(|_| self.remembers) {
                if let Some(left @ 1..) = there.get_mut(&new.by(row)) {
                    *left -= 1;
                    let by = known.row(|slot| new.value(row, slot));
                    fresh.add_row(by);
                    for (slot, column) in self.now.columns.iter().enumerate() {
                        fresh.add_value(by, ident_of(column), new.value(row, slot));
                    }
                }
            }
        }
        compared.moved = moved(order);
        Ok((compared, fresh))
    }

    /// Counts the values of a row of before that are not the run's own.
    fn count(&self, old: &Loaded, row: usize, (of_run, compared): (&OfRun<'_>, &mut Compared)) {
        for (column, counts) in compared.columns.iter_mut().enumerate() {
            let is_users = old.value(row, column) != NULL && !of_run.value(old, row, column);
            counts.filled += u64::from(is_users);
        }
    }
}
