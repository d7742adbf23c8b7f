//! The values of the columns that order the messages of a conversation.

use super::CellRef;

/// The values of the first columns that order messages. Only how two of them compare means
/// anything: a store may number its messages again, as long as each one keeps its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OrderKey {
    /// Each value as a number that compares as it does.
    pub values: [i128; OrderKey::MOST],
    /// Whether two messages with the same values have no order.
    pub exact: bool,
}

/// Where an engine puts what has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nulls {
    /// Before all else.
    First,
    /// After all else.
    Last,
}

/// Numbers are kept to so many parts of one.
const PARTS: i128 = 1_000_000;
/// Bytes of a text that are compared.
const TEXT: usize = 15;

impl OrderKey {
    /// No more columns than this are examined.
    pub const MOST: usize = 3;

    /// Of the values of these columns, in their order; `time` reads a text that is a time, in
    /// microseconds.
    pub fn of<'c>(
        cells: impl Iterator<Item = CellRef<'c>>,
        nulls: Nulls,
        time: impl Fn(&str) -> Option<i64>,
    ) -> Self {
        let mut key = Self {
            values: [0; Self::MOST],
            exact: true,
        };
        for (place, cell) in cells.enumerate() {
            let Some(room) = key.values.get_mut(place) else {
                key.exact = false;
                break;
            };
            let (value, exact) = value(cell, nulls, &time);
            *room = value;
            key.exact &= exact;
        }
        key
    }

    /// Of a message that has a place in an array.
    pub fn in_array(place: usize) -> Self {
        let mut values = [0; Self::MOST];
        values[0] = i128::try_from(place).unwrap_or(i128::MAX);
        Self {
            values,
            exact: true,
        }
    }
}

/// A value as a number, and whether values with the same number are the same.
fn value(cell: CellRef<'_>, nulls: Nulls, time: impl Fn(&str) -> Option<i64>) -> (i128, bool) {
    match cell {
        CellRef::Null => match nulls {
            Nulls::First => (i128::MIN, true),
            Nulls::Last => (i128::MAX, true),
        },
        CellRef::Int(number) => (i128::from(number) * PARTS, true),
        CellRef::Real(number) => real(number),
        CellRef::Text(text) => {
            if let Ok(number) = text.parse::<i64>() {
                (i128::from(number) * PARTS, true)
            } else if let Ok(number) = text.parse::<f64>() {
                real(number)
            } else if let Some(time) = time(text) {
                (i128::from(time) * PARTS, true)
            } else {
                bytes(text.as_bytes())
            }
        }
        CellRef::Blob(held) | CellRef::Garbled(held) => bytes(held),
    }
}

fn real(number: f64) -> (i128, bool) {
    let parts = number * PARTS as f64;
    (parts as i128, parts.fract() == 0.0)
}

/// How a text begins, as a number.
fn bytes(text: &[u8]) -> (i128, bool) {
    let mut number = [0; 16];
    for (to, from) in number[1..].iter_mut().zip(text) {
        *to = *from;
    }
    (i128::from_be_bytes(number), text.len() <= TEXT)
}

/// Whether some messages of a conversation have the same rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RankTies {
    /// Each has one of its own.
    None,
    /// Some share one.
    Some,
}

#[cfg(test)]
mod tests {
    use super::{Nulls, OrderKey};
    use crate::model::CellRef;

    fn key(cells: &[CellRef<'_>]) -> OrderKey {
        let time = |text: &str| (text == "2026-01-01").then_some(1);
        OrderKey::of(cells.iter().copied(), Nulls::First, time)
    }

    #[test]
    fn values_compare_as_the_database_compares_them() {
        for (less, more) in [
            (CellRef::Int(9), CellRef::Int(10)),
            (CellRef::Int(-1), CellRef::Int(0)),
            (CellRef::Null, CellRef::Int(i64::MIN)),
            (CellRef::Real(1.0), CellRef::Real(1.5)),
            (CellRef::Text("9"), CellRef::Text("10")),
            (CellRef::Text("1.25"), CellRef::Int(2)),
            (CellRef::Text("a0"), CellRef::Text("a0V")),
            (CellRef::Int(i64::MAX - 1), CellRef::Int(i64::MAX)),
        ] {
            let (less, more) = (key(&[less]), key(&[more]));
            assert!(less.values < more.values, "{less:?} {more:?}");
            assert!(less.exact && more.exact);
        }
    }

    #[test]
    fn the_next_column_decides_between_equals() {
        let of = |one, other| key(&[CellRef::Int(one), CellRef::Int(other)]).values;
        assert!(of(1, 2) < of(1, 3) && of(1, 3) < of(2, 0));
    }

    /// What is cut off may be the difference.
    #[test]
    fn a_long_text_and_a_fourth_column_are_not_exact() {
        assert!(!key(&[CellRef::Text("0193a5b2-77f1-7c55-8a00-1")]).exact);
        assert!(!key(&[CellRef::Real(0.123_456_789)]).exact);
        assert!(!key(&[CellRef::Int(1); 4]).exact);
        assert!(key(&[CellRef::Text("2026-01-01"); 3]).exact);
    }

    #[test]
    fn postgresql_puts_what_has_no_value_last() {
        let key = OrderKey::of([CellRef::Null].into_iter(), Nulls::Last, |_| None);
        assert!(key.values > OrderKey::in_array(9).values);
    }
}
