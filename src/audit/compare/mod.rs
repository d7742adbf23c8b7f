//! Compares a snapshot with the live store or with a later snapshot.
//!
//! Growth is fine: what the append column puts behind the snapshot's high-water mark is counted
//! and no more. All before the mark must be what it was. What differs is reported message by message
//! from the detail of the snapshot; without it, or when there is more than its sketch can name,
//! by conversation.

mod classify;
mod dependents;
mod diff;
mod facts;
mod findings;
mod kinds;
mod matched;
mod merge;
mod order;
mod resolve;
mod shift;
mod span;
mod verdict;

pub use classify::Item;
pub use findings::Rules;
pub use kinds::{ALL, Allow, Code, Kind};
pub use resolve::Resolver;

use super::background::Background;
use super::entry::Id;
use super::file::{Mapping, Snapshot};
use super::message_hasher::{Asides, MessageHasher};
use super::quick::Halves;
use super::snapshot_builder::{Baseline, Detail, Late, Names, Settings, SnapshotBuilder};
use crate::model::{DependentRow, Listed, StoredMessage};
use diff::Side;
use facts::Facts;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// Takes the live store and compares it with a snapshot.
#[derive(Debug)]
pub struct Comparer<'a> {
    before: &'a Snapshot,
    mapping: Mapping,
    builder: Background,
    skipped: Vec<u8>,
}

impl<'a> Comparer<'a> {
    /// For the store as it is read with that mapping. Of the settings the time and the memory
    /// count; the detail is the snapshot's.
    ///
    /// Refuses another mapping than that of the snapshot, and a snapshot that was altered.
    pub fn new(
        before: &'a Snapshot,
        mapping: &Mapping,
        settings: Settings,
    ) -> anyhow::Result<Self> {
        before.fits(mapping)?;
        let detail = match (before.has_messages(), before.cell_count()) {
            (true, _) => Detail::Messages,
            (false, Some(cells)) => Detail::Sketch(cells),
            (false, None) => Detail::Conversations,
        };
        let baseline = Baseline {
            high: before.summary.high,
            last_time: before.summary.last_time,
            asides: before.asides(),
            open: before.unsettled()?,
        };
        let settings = Settings {
            detail,
            names: Names::Hidden,
            ..settings
        };
        Ok(Self {
            before,
            mapping: mapping.clone(),
            skipped: Vec::new(),
            builder: Background::start(SnapshotBuilder::after(&before.key, settings, baseline)?)?,
        })
    }

    /// Takes a conversation that has a row of its own. Fails when there is no room to spill.
    pub fn add_conversation(&mut self, key: &str, listed: Listed) -> anyhow::Result<()> {
        self.builder.add_conversation(key, listed)
    }

    /// Compares none of the rows in these tables of the snapshot.
    pub fn without(self, skipped: Vec<u8>) -> Self {
        Self { skipped, ..self }
    }

    /// Takes what belongs to a message or conversation. Fails when there is no room to spill.
    pub fn add_dependent(&mut self, row: DependentRow) -> anyhow::Result<()> {
        self.builder.add_dependent(row)
    }

    /// Takes a message, in any order, and gives another one for it, whose room can be used again.
    /// Fails when there is no room to spill.
    pub fn add(&mut self, message: &mut StoredMessage, late: Late) -> anyhow::Result<()> {
        self.builder.add(message, late)
    }

    /// What became of the snapshot. Refuses a snapshot that was altered.
    pub fn finish(self) -> anyhow::Result<Comparison> {
        let parts = self.builder.finish()?;
        let after = Side::live(parts, self.before.summary.high.is_some());
        let after = after.paired(self.mapping.paired).skipping(self.skipped);
        let not_ordered = order::not_compared(self.before, &self.mapping, false);
        Comparison::new(self.before, after, not_ordered)
    }
}

/// Compares two snapshots, the earlier one first.
///
/// Refuses snapshots of two mappings, and one that was altered.
pub fn compare_files(before: &Snapshot, after: &Snapshot) -> anyhow::Result<Comparison> {
    compare_files_as(before, after, &after.header.mapping)
}

/// Compares two snapshots, the later one as if it were taken with that mapping.
///
/// Refuses snapshots of two mappings, and one that was altered.
pub fn compare_files_as(
    before: &Snapshot,
    after: &Snapshot,
    mapping: &Mapping,
) -> anyhow::Result<Comparison> {
    before.fits(mapping)?;
    before.fits_asides(after)?;
    let is_old = after.is_of_second_version();
    let not_ordered = order::not_compared(before, mapping, is_old);
    let skipped = before.dependents_unlike(after);
    let later = || Ok::<_, anyhow::Error>(Side::file(after)?.skipping(skipped));
    let mut found = match before.header.mapping.sums {
        None if order::is_of_other_kind(&before.header.mapping, mapping) => {
            let not_ordered = not_ordered.or(Some(order::OTHER_COLUMNS));
            Comparison::new(before, later()?.unplaced(), not_ordered)?
        }
        None => Comparison::new(before, later()?, not_ordered)?,
        Some(_) => {
            let (sums, tail) = (Side::sums(after)?, Side::tail(after)?);
            Comparison::of_sums(before, sums, tail, not_ordered)?
        }
    };
    after.each_name(|id, name| found.learn(id, name))?;
    Ok(found)
}

/// Compares a snapshot of sums with those that the database makes now, up to the snapshot's mark.
///
/// Refuses another mapping than that of the snapshot, and a snapshot that was altered.
pub fn compare_sums(
    before: &Snapshot,
    mapping: &Mapping,
    after: Halves,
) -> anyhow::Result<Comparison> {
    before.fits(mapping)?;
    let [sums, tail] = [after.sums, after.tail].map(|parts| Side::live(parts, true));
    let not_ordered = order::not_compared(before, mapping, false);
    Comparison::of_sums(before, sums, tail, not_ordered)
}

/// What became of a snapshot.
#[derive(Debug)]
pub struct Comparison {
    /// Counts over the whole store.
    pub totals: Totals,
    /// What was found, by code.
    pub groups: BTreeMap<Code, Group>,
    names: HashMap<Id, String>,
    facts: Facts,
    /// Of a snapshot of sums: what is known of the messages behind them.
    tail: Option<Facts>,
    not_compared: NotCompared,
    hasher: MessageHasher,
}

/// What the digests do not tell.
#[derive(Debug)]
struct NotCompared {
    /// Why not the order of messages, although there is one.
    order: Option<&'static str>,
    /// How many messages have attachments, reasoning or parts of other kinds, and what of these was compared; nothing
    /// where all of a row was.
    asides: Option<(Asides, u64)>,
}

/// Counts over the whole store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Totals {
    /// Conversations of the snapshot.
    pub conversations: u64,
    /// Messages of the snapshot.
    pub messages: u64,
    /// Conversations whose messages are all as they were, up to the mark.
    pub intact: u64,
    /// Messages that came after the snapshot.
    pub appended: u64,
    /// Conversations that they came to.
    pub grown: u64,
    /// Conversations that are new.
    pub new: u64,
    /// Messages whose text was open then, and is longer and finished now.
    pub completed: u64,
    /// Messages that were being written then and still are.
    pub still_open: u64,
    /// Messages whose text was open then and is another one now: nobody can say whether it should.
    pub unjudged: u64,
    /// Messages whose content is another one, of which a wrong clock keeps from saying whether their
    /// text was open.
    pub doubtful: u64,
    /// Messages with a place before the mark that were committed after it.
    pub late: u64,
    /// Messages whose time one of the sides keeps less exactly, and which is the same but for that.
    pub rounded: u64,
    /// Messages that were deleted for the user already, and whose rows are gone now.
    pub purged: u64,
    /// Conversations without a message that are gone, or deleted for the user.
    pub gone_empty: u64,
    /// Conversations that grew or changed, and it is not known which: there is no detail of
    /// single messages, or more changed than the sketch can name.
    pub undecided: u64,
    /// Conversations in which the order of messages was not compared, since there are no ranks and
    /// messages came or are gone.
    pub unordered: u64,
}

/// All that was found of one code.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Group {
    pub messages: u64,
    pub conversations: u64,
    /// The first of them.
    pub items: Vec<Item>,
    /// Items, told or not.
    pub count: u64,
    /// How many of the messages were changed in a way in which no user can change them.
    pub beyond_edit: u64,
    /// How many of the messages may be what they should be.
    pub unsure: u64,
    /// What is to be said about all of them together.
    pub note: String,
}

impl Totals {
    /// With those of the messages behind sums.
    fn and(&mut self, tail: &Self) {
        self.intact = self.intact.saturating_sub(tail.conversations - tail.intact);
        self.appended += tail.appended;
        self.completed += tail.completed;
        self.still_open += tail.still_open;
        self.unjudged += tail.unjudged;
        self.doubtful += tail.doubtful;
        self.late += tail.late;
        self.rounded += tail.rounded;
        self.purged += tail.purged;
        self.undecided += tail.undecided;
        self.unordered += tail.unordered;
    }
}

impl Group {
    /// With what was found of the messages behind sums.
    fn and(&mut self, tail: Self) {
        self.messages += tail.messages;
        self.conversations += tail.conversations;
        self.items.extend(tail.items);
        self.count += tail.count;
        self.beyond_edit += tail.beyond_edit;
        self.unsure += tail.unsure;
        if self.note.is_empty() {
            self.note = tail.note;
        }
    }
}

impl Comparison {
    fn new(
        before: &Snapshot,
        after: Side,
        not_ordered: Option<&'static str>,
    ) -> anyhow::Result<Self> {
        let hasher = MessageHasher::new(&before.key).with(before.asides());
        let asides = after.asides.max(before.summary.asides);
        let facts = diff::diff(before, after.ordered(not_ordered), &hasher)?;
        let not_compared = NotCompared {
            order: not_ordered,
            asides: Some((before.asides(), asides)),
        };
        Self::of(before, (facts, None), not_compared, hasher)
    }

    fn of_sums(
        before: &Snapshot,
        sums: Side,
        tail: Side,
        not_ordered: Option<&'static str>,
    ) -> anyhow::Result<Self> {
        let hasher = MessageHasher::new(&before.key).with(before.asides());
        let (sums, tail) = diff::diff_sums(before, sums.ordered(not_ordered), tail, &hasher)?;
        // The database adds up whole rows.
        let not_compared = NotCompared {
            order: not_ordered,
            asides: None,
        };
        Self::of(before, (sums, Some(tail)), not_compared, hasher)
    }

    fn of(
        before: &Snapshot,
        (facts, tail): (Facts, Option<Facts>),
        not_compared: NotCompared,
        hasher: MessageHasher,
    ) -> anyhow::Result<Self> {
        let mut found = Self {
            totals: Totals::default(),
            groups: BTreeMap::new(),
            names: HashMap::new(),
            facts,
            tail,
            not_compared,
            hasher,
        };
        found.classify();
        // All of the file is read, so that no byte of it can be another one unnoticed.
        before.each_name(|id, name| found.learn(id, name))?;
        Ok(found)
    }

    fn classify(&mut self) {
        (self.totals, self.groups) = classify::classify(&self.facts, &self.hasher);
        if let Some(tail) = &self.tail {
            let (totals, groups) = classify::classify(tail, &self.hasher);
            self.totals.and(&totals);
            for (code, group) in groups {
                self.groups.entry(code).or_default().and(group);
            }
        }
    }

    /// Whether everything is as it was, but for growth.
    pub fn intact(&self) -> bool {
        self.groups.is_empty() && self.totals.undecided == 0
    }

    /// Whether rows of before may be gone: those that are altered, or elsewhere, are there.
    pub fn misses_rows(&self) -> bool {
        let is_gone = |code: &Code| match code {
            Code::ConversationLost
            | Code::ConversationEmptied
            | Code::MessageLost
            | Code::IdReused => true,
            Code::PartLost | Code::PartAltered | Code::OwnerChanged | Code::TitleLost => false,
            Code::MessageAltered
            | Code::MessageDuplicated
            | Code::MessageMoved
            | Code::Backfilled
            | Code::TimesShifted => false,
        };
        self.totals.undecided > 0 || self.groups.keys().any(is_gone)
    }

    /// A second look at the live store that finds names for what was found, and distinguishes copies from
    /// other additions; none when there is nothing to find.
    pub fn resolver(self) -> Result<Resolver, Box<Self>> {
        Resolver::new(self)
    }

    /// Keeps the name of a conversation if anything was found of it.
    pub fn name(&mut self, conversation: &str) {
        let id = self.hasher.conversation(Some(conversation));
        self.learn(id, conversation);
    }

    /// Keeps the name of a message, and of its conversation, if anything was found of them.
    pub fn name_message(&mut self, message: &StoredMessage) {
        let id = self.hasher.message(&message.key);
        self.learn(id, &message.key);
        let conversation = message.conversation.as_deref();
        let id = self.hasher.conversation(conversation);
        self.learn(id, conversation.unwrap_or_default());
    }

    /// Keeps a name if it is of anything that was found.
    fn learn(&mut self, id: Id, name: &str) {
        let wanted = |item: &Item| {
            item.conversation == id || item.message == Some(id) || item.other == Some(id)
        };
        let items = || self.groups.values().flat_map(|group| &group.items);
        if !self.names.contains_key(&id) && items().any(wanted) {
            self.names.insert(id, name.to_owned());
        }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod trials;
