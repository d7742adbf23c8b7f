//! One table before and after, compared row by row.

use super::digest::{ByRow, NULL, Secret, Value};
use super::ident_of;
use super::made::OfTable;
use super::reading::{Known, Reading};
use super::rows::Loaded;
use super::went::Went;
use crate::model::{Compared, ComparedColumn, Shape};
use std::collections::VecDeque;
use std::io;

/// A column of before and the one of after that it is compared with. Two of before may have become
/// one.
pub(super) struct Pair {
    /// The places of the columns among those of their tables.
    pub(super) old: usize,
    pub(super) new: usize,
    /// The places of the values that are compared.
    pub(super) slots: (usize, usize),
}

/// Which rows of a table are the run's own, asked row by row.
pub(super) struct OfRun<'a> {
    made: &'a OfTable,
    known: Known,
    columns: Vec<u64>,
    by_key: bool,
    /// Rows without a key that are still to come.
    left: ByRow<u64>,
}

impl<'a> OfRun<'a> {
    pub(super) fn new(made: &'a OfTable, shape: &Shape, secret: Secret) -> Self {
        let by_key = !shape.key.is_empty();
        Self {
            made,
            known: Known::of(shape, secret),
            columns: shape.columns.iter().map(ident_of).collect(),
            by_key,
            left: if by_key {
                ByRow::default()
            } else {
                made.rows.clone()
            },
        }
    }

    /// Whether a value is as the run left it, so that nobody else's is in its place.
    pub(super) fn value(&self, part: &Loaded<'_>, row: usize, column: usize) -> bool {
        if self.made.is_empty() {
            return false;
        }
        let by = self.known.row(|slot| part.value(row, slot));
        self.made
            .left(by, self.columns[column], part.value(row, column))
    }

    /// The values of a row that are not the run's.
    pub(super) fn users(&self, part: &Loaded<'_>, row: usize) -> impl Iterator<Item = Value> {
        let users = (0..self.columns.len()).filter(move |it| !self.value(part, row, *it));
        users.map(move |column| part.value(row, column))
    }

    /// Whether a row is the run's and as the run left it.
    pub(super) fn made(&mut self, part: &Loaded<'_>, row: usize) -> bool {
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

/// How many rows changed their place: all but as many as can be left where they are, one after another.
pub(super) fn moved(mut order: Vec<(u64, u64)>) -> u64 {
    order.sort_unstable();
    // Of the rows that stay in order, for each number of them, the least place that they can end at.
    let mut ends: Vec<u64> = Vec::new();
    for (_, now) in &order {
        let at = ends.partition_point(|end| end <= now);
        match ends.get_mut(at) {
            Some(end) => *end = *now,
            None => ends.push(*now),
        }
    }
    (order.len() - ends.len()) as u64
}

/// A table before and after.
pub(super) struct Sides<'a> {
    pub(super) shape: &'a Shape,
    pub(super) now: &'a Shape,
    pub(super) pairs: &'a [Pair],
    /// Where the place of a row is among its values, before and after.
    pub(super) places: Option<(usize, usize)>,
    pub(super) secret: Secret,
    pub(super) made: &'a OfTable,
    pub(super) remembers: bool,
}

/// What a comparison found.
pub(super) struct Sight {
    pub(super) compared: Compared,
    /// What the run made of the table until now.
    pub(super) fresh: OfTable,
    pub(super) went: Went,
}

impl Sides<'_> {
    pub(super) fn empty(&self) -> Compared {
        Compared {
            columns: vec![ComparedColumn::default(); self.shape.columns.len()],
            ..Compared::default()
        }
    }

    /// Rows without a key are compared as a whole, and each as often as it is there.
    pub(super) fn by_whole(&self, before: &mut Reading, after: &mut Reading) -> io::Result<Sight> {
        let mut went = Went::default();
        let (mut compared, mut fresh) = (self.empty(), OfTable::default());
        let mut of_run = OfRun::new(self.made, self.shape, self.secret);
        let known = Known::of(self.now, self.secret);
        let (olds, news): (Vec<_>, Vec<_>) = self.pairs.iter().map(|pair| pair.slots).unzip();
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
            let mut there: ByRow<u64> = ByRow::default();
            (0..new.len()).for_each(|row| *there.entry(new.by(row)).or_default() += 1);
            // Of rows that are alike the first is taken for the first.
            let mut in_order: ByRow<VecDeque<u64>> = ByRow::default();
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
                    _ => {
                        compared.missing += 1;
                        if self.remembers {
                            went.add(self.secret, of_run.users(&old, row), std::iter::empty());
                        }
                    }
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
        Ok(Sight {
            compared,
            fresh,
            went,
        })
    }

    /// Counts the values of a row of before that are not the run's own.
    pub(super) fn count(
        &self,
        old: &Loaded<'_>,
        row: usize,
        (of_run, compared): (&OfRun<'_>, &mut Compared),
    ) {
        for (column, counts) in compared.columns.iter_mut().enumerate() {
            let is_users = old.value(row, column) != NULL && !of_run.value(old, row, column);
            counts.filled += u64::from(is_users);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::moved;

    #[test]
    fn only_the_rows_that_changed_their_place_are_counted() {
        for (places, count) in [
            (&[][..], 0),
            (&[1, 2, 5, 9], 0),
            // One row was replaced, and is behind all others now.
            (&[9, 2, 3, 4], 1),
            (&[1, 2, 3, 0], 1),
            (&[2, 1, 4, 3], 2),
            (&[4, 3, 2, 1], 3),
        ] {
            let order = (0..).zip(places.iter().copied());
            assert_eq!(moved(order.collect()), count, "{places:?}");
        }
    }
}
