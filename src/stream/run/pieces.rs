//! How the answer of a turn is cut into chunks.
//!
//! A server that saves in batches and its last, partial batch after the final marker is right by accident
//! where the answer has no partial batch. So the number of chunks and the size of the last one vary.

/// Fewer are no stream.
const LEAST: usize = 3;
const MOST: usize = 9;

/// The chunks of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pieces {
    pub(super) count: usize,
    pub(super) last: Last,
}

/// The chunk that an answer ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    /// It has the text that nobody saw before.
    Marked,
    /// It has one character: less than a batch of characters.
    Short,
}

impl Pieces {
    /// Of the turn with this number. Neighbours differ by one: no batch of several chunks fits both.
    pub(super) const fn of(number: usize) -> Self {
        let at = number % (2 * (MOST - LEAST));
        Self {
            count: if at <= MOST - LEAST {
                LEAST + at
            } else {
                2 * MOST - LEAST - at
            },
            last: Last::Marked,
        }
    }

    /// The same number of chunks, with a short one at the end.
    pub(super) const fn ending_short(self) -> Self {
        Self {
            last: Last::Short,
            ..self
        }
    }

    /// The same number of chunks, without one.
    pub(super) const fn ending_marked(self) -> Self {
        Self {
            last: Last::Marked,
            ..self
        }
    }

    /// How many chunks there are up to the marked text.
    pub(super) const fn marked(self) -> usize {
        match self.last {
            Last::Marked => self.count,
            Last::Short => self.count - 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LEAST, MOST, Pieces};

    #[test]
    fn a_batch_that_fits_one_turn_does_not_fit_the_next() {
        for number in 0..40 {
            let [one, next] = [Pieces::of(number), Pieces::of(number + 1)].map(|it| it.count);
            assert_eq!(one.abs_diff(next), 1, "{number}");
            assert!((LEAST..=MOST).contains(&one), "{number}: {one}");
        }
    }

    #[test]
    fn a_short_end_is_one_of_the_chunks() {
        let pieces = Pieces::of(2);
        assert_eq!([pieces.marked(), pieces.ending_short().marked()], [5, 4]);
        assert_eq!(pieces.ending_short().ending_marked(), pieces);
    }
}
