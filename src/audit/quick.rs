//! Sums of conversations that the database made, in the place of digests of each message.
//!
//! They are of 64 bits and not keyed: they tell an accident, and not someone who chooses
//! messages so that two sums are alike. In the file they are hidden behind the key.

use super::Key;
use super::entry::Id;
use super::key::Secret;
use super::leaf::Leafer;
use super::sum::Sum;
use super::table::Table;
use super::taker::Aside;
use super::taker::Kept;
use super::taker::Parts;
use super::taker::Summary;
use std::io;

/// Takes conversations, in any order.
pub struct Sums {
    leafer: Leafer,
    secret: Secret,
    table: Table,
    summary: Summary,
}

impl Sums {
    /// For a look at that time, in microseconds since 1970 UTC, up to that mark, in so many bytes of
    /// memory.
    pub fn new(key: &Key, taken: i64, mark: i64, memory: usize) -> Self {
        Self {
            leafer: Leafer::new(key),
            secret: key.derive("chatctl audit 1 quick sum"),
            table: Table::new(memory),
            summary: Summary {
                taken,
                high: Some(mark),
                ..Summary::default()
            },
        }
    }

    /// Takes a conversation that has a row of its own. Fails when there is no room to spill.
    pub fn take_conversation(&mut self, key: &str) -> io::Result<()> {
        let id = self.leafer.conversation(Some(key));
        self.table.of(id)?.has_row();
        Ok(())
    }

    /// Takes the sum of a conversation's messages up to the mark, how many they are, and how many
    /// came after. Fails when there is no room to spill.
    pub fn take(&mut self, key: &str, sum: u64, messages: u64, grown: u64) -> io::Result<()> {
        let id = self.leafer.conversation(Some(key));
        let sum = self.hidden(id, sum);
        let tally = self.table.of(id)?;
        let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        if messages > 0 {
            tally.sum = sum;
        }
        // Whose messages they are is not asked.
        tally.counts = [0, 0, small(messages)];
        tally.grown = small(grown);
        self.summary.messages += messages;
        Ok(())
    }

    fn hidden(&self, id: Id, sum: u64) -> Sum {
        let mut bytes = id.0.to_vec();
        bytes.extend_from_slice(&sum.to_le_bytes());
        Sum::from_bytes(&self.secret.digest(&bytes))
    }

    /// All that was taken. Fails when a temporary file can't be read.
    pub fn finish(self) -> io::Result<Parts> {
        Ok(Parts {
            summary: self.summary,
            tallies: self.table.finish()?,
            detail: Kept::Conversations,
            names: None,
            aside: Aside::default(),
        })
    }
}
