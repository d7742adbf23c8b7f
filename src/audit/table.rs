//! Conversations by their id, in a table that spills when it is full.

use super::conversation_digest::ConversationDigest;
use super::entry::Id;
use super::spill::{Merge, Runs};
use std::io;

/// A flat table with open addressing: ids are keyed hashes already, so their first bytes are the
/// place to look at, and no one without the key can make them collide.
#[derive(Debug)]
pub(super) struct Table {
    /// One more than the number of the tally; 0 is free.
    slots: Vec<u32>,
    tallies: Vec<ConversationDigest>,
    most: usize,
    runs: Runs,
}

impl Table {
    /// Keeps at most about so many bytes in memory.
    pub(super) fn new(memory: usize) -> Self {
        // A slot is 4 bytes, and at most half of them are used.
        let most =
            (memory / (size_of::<ConversationDigest>() + 16)).clamp(64, u32::MAX as usize / 2);
        Self {
            slots: vec![0; 128],
            tallies: Vec::new(),
            most,
            runs: Runs::default(),
        }
    }

    /// The conversation of that id; a new one when it is not in memory.
    pub(super) fn of(&mut self, id: Id) -> io::Result<&mut ConversationDigest> {
        let slot = self.find(id);
        if self.slots[slot] != 0 {
            return Ok(&mut self.tallies[self.slots[slot] as usize - 1]);
        }
        if self.tallies.len() == self.most {
            self.runs.spill(&mut self.tallies)?;
            self.slots.fill(0);
        } else if (self.tallies.len() + 1) * 2 > self.slots.len() {
            self.grow();
        }
        let slot = self.find(id);
        self.tallies.push(ConversationDigest::new(id));
        self.slots[slot] = u32::try_from(self.tallies.len()).expect("the table is bounded");
        Ok(self.tallies.last_mut().expect("it was just put there"))
    }

    /// All conversations in the order of their ids.
    pub(super) fn finish(mut self) -> io::Result<Merge<ConversationDigest>> {
        self.slots = Vec::new();
        self.runs.merge(self.tallies)
    }

    /// The slot that holds the id, or the free one where it belongs.
    fn find(&self, id: Id) -> usize {
        let (start, _) = id.0.as_chunks::<8>();
        let mask = self.slots.len() - 1;
        let mut slot = u64::from_le_bytes(start[0]) as usize & mask;
        loop {
            match self.slots[slot] {
                0 => return slot,
                tally if self.tallies[tally as usize - 1].id == id => return slot,
                _ => slot = (slot + 1) & mask,
            }
        }
    }

    fn grow(&mut self) {
        self.slots = vec![0; self.slots.len() * 2];
        for at in 0..self.tallies.len() {
            let slot = self.find(self.tallies[at].id);
            self.slots[slot] = at as u32 + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Id, Table};
    use crate::audit::conversation_digest::ConversationDigest;

    fn totals(memory: usize) -> Vec<ConversationDigest> {
        let mut table = Table::new(memory);
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..20_000 {
            let id = Id(u128::from(random.u64(..1000))
                .wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
                .to_be_bytes());
            table.of(id).unwrap().grown += 1;
        }
        table.finish().unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn spilled_runs_add_up_to_what_fits_into_memory() {
        let whole = totals(1 << 20);
        assert_eq!(whole, totals(1));
        assert_eq!(whole.len(), 1000);
        assert_eq!(whole.iter().map(|tally| tally.grown).sum::<u32>(), 20_000);
        assert!(whole.is_sorted_by(|one, next| one.id < next.id));
    }
}
