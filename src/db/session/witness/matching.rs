//! Compares the sides of a table: rows with a key are matched by it, all others as a whole.

use super::digest::{ByRow, NULL, Row, Value, tells};
use super::ident_of;
use super::made::OfTable;
use super::reading::{Known, Reading};
use super::rows::Loaded;
use super::sides::{OfRun, Pair, Sides, Sight, moved};
use super::went::Went;
use crate::model::Compared;
use std::io;

/// Two rows have one key, so that it distinguishes no rows.
struct Twice;

impl Sides<'_> {
    /// By the key, where both sides have one that distinguishes their rows.
    pub(super) fn compare(
        &self,
        before: &mut Reading,
        mut after: Reading,
        keyed: bool,
    ) -> io::Result<Sight> {
        if keyed
            && before.keyed
            && let Ok(ended) = self.by_key(before, &mut after)?
        {
            return Ok(ended);
        }
        self.by_whole(before, &mut after)
    }

    /// Whether rows of the same digests are the same rows: each column was read as it is and has the place that it
    /// had, and nothing in the table is the run's own.
    fn is_alike(&self, before: &Reading, after: &Reading) -> bool {
        let in_place = self
            .pairs
            .iter()
            .map(|pair| (pair.old, pair.new, pair.slots));
        self.made.is_empty()
            && in_place.eq((0..self.shape.columns.len()).map(|at| (at, at, (at, at))))
            && self.now.columns.len() == self.shape.columns.len()
            && before.reads_as(after)
    }

    /// Rows with a key are matched by it.
    fn by_key(
        &self,
        before: &mut Reading,
        after: &mut Reading,
    ) -> io::Result<Result<Sight, Twice>> {
        let mut matching = Matching::new(self);
        let is_alike = self.is_alike(before, after);
        for (old, new) in before.rows.parts().zip(after.rows.parts()) {
            let (old, new) = (old?, new?);
            // Of rows that are the same, also two with one key are there as often as before.
            if is_alike && old.is_as(&new) {
                matching.same(&old);
                continue;
            }
            let mut places = ByRow::with_capacity_and_hasher(old.len(), Default::default());
            for row in 0..old.len() {
                if places.insert(old.by(row), row).is_some() {
                    return Ok(Err(Twice));
                }
            }
            let all = 0..old.len();
            let made: Vec<_> = all.map(|row| matching.of_run.made(&old, row)).collect();
            let mut found = vec![false; old.len()];
            for now in 0..new.len() {
                let was = places.get(&new.by(now)).copied();
                if let Some(was) = was
                    && std::mem::replace(&mut found[was], true)
                {
                    return Ok(Err(Twice));
                }
                let was = was.map(|row| Before {
                    part: &old,
                    row,
                    made: made[row],
                });
                matching.row(was.as_ref(), (&new, now));
            }
            for row in (0..old.len()).filter(|row| !made[*row]) {
                matching.of_users(&old, row, found[row]);
            }
        }
        Ok(Ok(matching.end()))
    }
}

/// A row of before.
struct Before<'a> {
    part: &'a Loaded<'a>,
    row: usize,
    /// Whether it is the run's own.
    made: bool,
}

impl Before<'_> {
    fn value(&self, slot: usize) -> Value {
        self.part.value(self.row, slot)
    }
}

/// What is found while rows are matched.
struct Matching<'a> {
    sides: &'a Sides<'a>,
    compared: Compared,
    fresh: OfTable,
    went: Went,
    of_run: OfRun<'a>,
    known: Known,
    /// For each column of before the slots of its values and of its successor's.
    successors: Vec<Option<(usize, usize)>>,
    /// The places of each row of the user's before and after.
    order: Vec<(u64, u64)>,
    /// For each column of after the values that are equal to one that went, with their rows.
    equal: Vec<Vec<(Row, Value)>>,
}

impl<'a> Matching<'a> {
    fn new(sides: &'a Sides<'a>) -> Self {
        let successors = (0..sides.shape.columns.len()).map(|column| {
            let pair = sides.pairs.iter().find(|pair| pair.old == column);
            pair.map(|pair| pair.slots)
        });
        Self {
            sides,
            compared: sides.empty(),
            fresh: OfTable::default(),
            went: Went::default(),
            of_run: OfRun::new(sides.made, sides.shape, sides.secret),
            known: Known::of(sides.now, sides.secret),
            successors: successors.collect(),
            order: Vec::new(),
            equal: vec![Vec::new(); sides.now.columns.len()],
        }
    }

    /// All rows of a part are the user's, and as they were.
    fn same(&mut self, part: &Loaded<'_>) {
        for row in 0..part.len() {
            self.of_users(part, row, true);
            if let Some((a, b)) = self.sides.places {
                self.order.push((part.value(row, a), part.value(row, b)));
            }
        }
    }

    /// A row of after, with the one of before that has its key.
    fn row(&mut self, was: Option<&Before<'_>>, (new, now): (&Loaded<'_>, usize)) {
        let sides = self.sides;
        let of_users = was.filter(|was| !was.made);
        if let (Some(was), Some((a, b))) = (of_users, sides.places) {
            self.order.push((was.value(a), new.value(now, b)));
        }
        let by = if sides.remembers {
            self.known.row(|slot| new.value(now, slot))
        } else {
            0
        };
        if sides.remembers && of_users.is_none() {
            self.fresh.add_row(by);
        }
        let lost = match of_users {
            Some(was) if sides.remembers => self.lost(was, (new, now)),
            _ => Vec::new(),
        };
        if let (Some(was), false) = (was, lost.is_empty()) {
            let values = (0..sides.shape.columns.len()).map(|column| was.value(column));
            let left = values.filter(|value| !lost.contains(value));
            self.went.add(sides.secret, lost.iter().copied(), left);
        }
        let mut are_users = vec![false; sides.now.columns.len()];
        if let Some(was) = was {
            for pair in sides.pairs {
                are_users[pair.new] |= self.value(was, pair, (new, now));
            }
        }
        for (column, is_users) in are_users.into_iter().enumerate() {
            // What is left of a value that went may be the user's in its other column.
            let value = new.value(now, column);
            if sides.remembers && !is_users {
                if lost.contains(&value) {
                    self.equal[column].push((by, value));
                } else {
                    let ident = ident_of(&sides.now.columns[column]);
                    self.fresh.add_value(by, ident, value);
                }
            }
        }
    }

    /// Compares the value in a column of before with the one in its successor. Returns whether it is
    /// the user's still.
    fn value(&mut self, was: &Before<'_>, pair: &Pair, (new, now): (&Loaded<'_>, usize)) -> bool {
        let (a, b) = (was.value(pair.slots.0), new.value(now, pair.slots.1));
        let own = was.made || self.of_run.value(was.part, was.row, pair.old);
        let counts = &mut self.compared.columns[pair.old];
        if !own && a != b && a != NULL {
            match b {
                NULL => counts.nulled += 1,
                _ => counts.changed += 1,
            }
        }
        !own && a == b
    }

    /// The values of the user's in a row that are not in their columns any more.
    fn lost(&self, was: &Before<'_>, (new, now): (&Loaded<'_>, usize)) -> Vec<Value> {
        let gone = |column: &usize| {
            let is_there =
                self.successors[*column].is_some_and(|(a, b)| was.value(a) == new.value(now, b));
            !is_there
                && was.value(*column) != NULL
                && !self.of_run.value(was.part, was.row, *column)
        };
        let columns = (0..self.sides.shape.columns.len()).filter(gone);
        columns.map(|column| was.value(column)).collect()
    }

    /// A row of before that is not the run's own, and whether one of after has its key.
    fn of_users(&mut self, old: &Loaded<'_>, row: usize, found: bool) {
        self.compared.before += 1;
        self.compared.missing += u64::from(!found);
        if self.sides.remembers && !found {
            let users = self.of_run.users(old, row);
            self.went.add(self.sides.secret, users, std::iter::empty());
        }
        self.sides
            .count(old, row, (&self.of_run, &mut self.compared));
    }

    fn end(mut self) -> Sight {
        for (column, values) in self.sides.now.columns.iter().zip(self.equal) {
            // The same short value in all rows is a default that is equal by chance.
            if values.iter().all(|it| it.1 == values[0].1 && !tells(it.1)) {
                for (by, value) in values {
                    self.fresh.add_value(by, ident_of(column), value);
                }
            }
        }
        self.compared.moved = moved(self.order);
        Sight {
            compared: self.compared,
            fresh: self.fresh,
            went: self.went,
        }
    }
}
