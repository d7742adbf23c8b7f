//! Which of several readings tells what a column has become: one for all of its values, so that two of
//! them that are unlike stay so.

use super::digest::{NULL, Value};
use super::reading::Reading;
use super::rows::Rows;
use std::collections::HashSet;
use std::io;

/// So many values of a column tell how it is to be read.
const ENOUGH: usize = 1 << 16;

/// By the places of its values before and after, the one by which the fewest are gone: the first of
/// them that is so.
pub(super) fn likest(
    (before, after): (&mut Reading, &mut Reading),
    slots: Vec<(usize, usize)>,
) -> io::Result<Option<(usize, usize)>> {
    if slots.len() < 2 {
        return Ok(slots.first().copied());
    }
    let mut found: Option<(usize, (usize, usize))> = None;
    for slots in slots {
        let gone = gone((&mut before.rows, &mut after.rows), slots)?;
        if found.is_none_or(|(fewest, _)| gone < fewest) {
            found = Some((gone, slots));
        }
        if gone == 0 {
            break;
        }
    }
    Ok(found.map(|(_, slots)| slots))
}

/// How many of the values of before are not there any more, as far as a sample tells.
fn gone((before, after): (&mut Rows, &mut Rows), (was, now): (usize, usize)) -> io::Result<usize> {
    let mut there = Sample::default();
    each(after, now, |value| there.add(value))?;
    let mut gone = 0;
    each(before, was, |value| {
        let is_gone = value != NULL && there.takes(value) && !there.values.contains(&value);
        gone += usize::from(is_gone);
    })?;
    Ok(gone)
}

fn each(rows: &mut Rows, slot: usize, mut see: impl FnMut(Value)) -> io::Result<()> {
    for part in rows.parts() {
        let part = part?;
        (0..part.len()).for_each(|row| see(part.value(row, slot)));
    }
    Ok(())
}

/// Values whose digests end so: of two columns with the same values it has the same.
#[derive(Default)]
struct Sample {
    values: HashSet<Value>,
    mask: Value,
}

impl Sample {
    const fn takes(&self, value: Value) -> bool {
        // The last bit says something of the value.
        (value >> 1) & self.mask == 0
    }

    fn add(&mut self, value: Value) {
        if !self.takes(value) {
            return;
        }
        self.values.insert(value);
        while self.values.len() > ENOUGH {
            self.mask = self.mask << 1 | 1;
            let mask = self.mask;
            self.values.retain(|value| (value >> 1) & mask == 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ENOUGH, Sample};

    #[test]
    fn a_sample_of_many_values_is_small_and_the_same_in_any_order() {
        let of = |values: &mut dyn Iterator<Item = u64>| {
            let mut sample = Sample::default();
            values.for_each(|value| sample.add(value << 1));
            sample
        };
        let many = ENOUGH as u64 * 5;
        let (up, down) = (of(&mut (1..many)), of(&mut (1..many).rev()));
        assert!(up.values.len() <= ENOUGH && up.values.len() > ENOUGH / 4);
        assert_eq!((&up.values, up.mask), (&down.values, down.mask));
    }
}
