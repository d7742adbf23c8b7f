//! Sums of conversations that the database computed, instead of a digest per message.
//!
//! They are of 64 bits and not keyed: they tell an accident, and not someone who chooses
//! messages so that two sums are alike. In the file they are hidden behind the key.
//!
//! A sum holds what is not written to any more, up to a mark. Of the messages behind it, the tail,
//! there are digests as in any other snapshot: what is young can be lost too.

use super::Key;
use super::entry::Id;
use super::file::Snapshot;
use super::key::Secret;
use super::message_hasher::MessageHasher;
use super::order::{Orders, Sequence, Ties};
use super::snapshot_builder::{
    Baseline, Detail, DetailData, Extras, Late, Parts, Settings, SnapshotBuilder, Summary,
};
use super::spill::Sorter;
use super::sum::Sum;
use super::table::Table;
use crate::model::{Listed, RankTies, State, StoredMessage};
use std::collections::HashMap;
use std::io;

/// Bytes of memory for the orders of conversations.
const ORDERS: usize = 16 << 20;

/// Takes the messages of the tail, and then conversations, in any order.
pub struct Sums {
    hasher: MessageHasher,
    secret: Secret,
    order_secret: Secret,
    table: Table,
    orders: Option<Sorter<Sequence>>,
    tail: SnapshotBuilder,
    /// How many messages of each conversation are in the tail.
    in_tail: HashMap<Id, u32>,
    mark: i64,
    end: i64,
    messages: u64,
}

/// Sums and tail of a live store, to be compared with those of a snapshot.
pub struct Halves {
    pub(super) sums: Parts,
    pub(super) tail: Parts,
}

impl Sums {
    /// For a snapshot: with sums up to the mark, and a tail from there to its end, both places in
    /// the append column.
    pub fn new(key: &Key, settings: Settings, mark: i64, end: i64) -> io::Result<Self> {
        let memory = settings.memory;
        let tail = SnapshotBuilder::new(key, of_tail(settings))?;
        Ok(Self::with(key, tail, memory, mark, end))
    }

    /// For a comparison with a snapshot.
    pub fn after(before: &Snapshot, settings: Settings) -> anyhow::Result<Self> {
        let (mark, end) = before.ends();
        let baseline = Baseline {
            high: Some(end),
            last_time: before.summary.last_time,
            asides: before.asides(),
            open: before.unsettled()?,
        };
        let memory = settings.memory;
        let tail = SnapshotBuilder::after(&before.key, of_tail(settings), baseline)?;
        Ok(Self::with(&before.key, tail, memory, mark, end))
    }

    fn with(key: &Key, tail: SnapshotBuilder, memory: usize, mark: i64, end: i64) -> Self {
        Self {
            hasher: MessageHasher::new(key),
            secret: key.derive("chatctl audit 1 quick sum"),
            order_secret: key.derive("chatctl audit 3 quick order"),
            table: Table::new(memory / 2),
            orders: None,
            tail,
            in_tail: HashMap::new(),
            mark,
            end,
            messages: 0,
        }
    }

    /// Takes a message of the tail. Fails when there is no room to spill.
    pub fn take_tail(&mut self, message: &StoredMessage, late: Late) -> io::Result<()> {
        let key = message.conversation.as_deref().unwrap_or_default();
        let id = self.hasher.conversation(Some(key));
        self.table.of(id)?.has_unsettled();
        // The sums leave out what is deleted for the user.
        if message.state != State::Deleted {
            *self.in_tail.entry(id).or_default() += 1;
            self.messages += 1;
        }
        self.tail.add(message, late)
    }

    /// Takes a conversation that has a row of its own. Fails when there is no room to spill.
    pub fn add_conversation(&mut self, key: &str, listed: Listed) -> io::Result<()> {
        let id = self.hasher.conversation(Some(key));
        self.table.of(id)?.has_row(listed);
        Ok(())
    }

    /// Takes the sum of a conversation's messages up to the mark, how many they are, and how many
    /// came after it, with those of the tail. Fails when there is no room to spill.
    pub fn take(&mut self, key: &str, sum: u64, messages: u64, behind: u64) -> io::Result<()> {
        let id = self.hasher.conversation(Some(key));
        let sum = self.hidden(id, sum);
        let in_tail = self.in_tail.get(&id).copied().unwrap_or_default();
        let tally = self.table.of(id)?;
        let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        if messages > 0 {
            tally.sum = sum;
        }
        // Whose messages they are is not asked.
        tally.counts = [0, 0, small(messages)];
        tally.grown = small(behind.saturating_sub(u64::from(in_tail)));
        self.messages += messages;
        Ok(())
    }

    /// Takes the order of a conversation's messages: a sum, and of how many. Fails when there is no
    /// room to spill.
    pub fn take_order(
        &mut self,
        key: &str,
        sum: u64,
        messages: u64,
        ties: RankTies,
    ) -> io::Result<()> {
        let conversation = self.hasher.conversation(Some(key));
        let mut bytes = conversation.0.to_vec();
        bytes.extend_from_slice(&sum.to_le_bytes());
        let digest = self.order_secret.digest(&bytes);
        let (halves, _) = digest.as_chunks::<16>();
        let orders = self.orders.get_or_insert_with(|| Sorter::new(ORDERS));
        orders.push(Sequence {
            conversation,
            digest: halves[0],
            messages: u32::try_from(messages).unwrap_or(u32::MAX),
            ties: match ties {
                RankTies::None => Ties::None,
                RankTies::Some => Ties::Exact,
            },
        })
    }

    fn hidden(&self, id: Id, sum: u64) -> Sum {
        let mut bytes = id.0.to_vec();
        bytes.extend_from_slice(&sum.to_le_bytes());
        Sum::from_bytes(&self.secret.digest(&bytes))
    }

    /// All that was taken, to be written. Fails when a temporary file can't be read.
    pub fn finish(self) -> io::Result<Parts> {
        let tail = self.tail.finish()?;
        Ok(Parts {
            orders: sorted(self.orders)?,
            summary: Summary {
                messages: self.messages,
                high: Some(self.mark),
                tail: Some(self.end),
                ..tail.summary
            },
            tallies: self.table.finish()?,
            dependents: None,
            ..tail
        })
    }

    /// All that was taken, to be compared. Fails when a temporary file can't be read.
    pub fn halves(self) -> io::Result<Halves> {
        let tail = self.tail.finish()?;
        Ok(Halves {
            sums: Parts {
                summary: tail.summary.clone(),
                tallies: self.table.finish()?,
                detail: DetailData::Conversations,
                orders: sorted(self.orders)?,
                names: None,
                extras: Extras::default(),
                dependents: None,
            },
            tail,
        })
    }
}

fn sorted(orders: Option<Sorter<Sequence>>) -> io::Result<Orders> {
    let orders = orders.map(Sorter::finish).transpose()?;
    Ok(orders.map_or(Orders::None, Orders::Sums))
}

fn of_tail(settings: Settings) -> Settings {
    Settings {
        detail: Detail::Messages,
        memory: settings.memory / 2,
        ..settings
    }
}
