//! The facts that a comparison has read, before it judges them.

use super::Totals;
use crate::audit::conversation_digest::ConversationDigest;
use crate::audit::dependents::Belonging;
use crate::audit::entry::{Entry, Id};
use crate::audit::message_hasher::MessageHasher;
use crate::audit::open::Open;
use crate::audit::snapshot_builder::CurrentMessage;
use crate::model::epoch;
use crate::model::epoch::Unit;
use std::collections::{HashMap, HashSet};

/// What is on one side only, and what both sides say of the conversations.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Messages of the snapshot that are not there as they were.
    pub(super) removed: Vec<Entry>,
    /// Messages that are there and were not so in the snapshot; growth is counted only.
    pub(super) added: Vec<Entry>,
    /// Whether `removed` and `added` are all.
    pub(super) complete: bool,
    /// Those of `added` that are copies of another message in their conversation.
    pub(super) twins: HashSet<(Id, Id)>,
    /// Those of `added` that are the answers of rows whose questions the snapshot has.
    pub(super) answers: HashSet<(Id, Id)>,
    /// Whether question and answer are in one row.
    pub(super) paired: bool,
    /// Messages that may be late.
    pub(super) late: HashSet<(Id, Id)>,
    /// Messages behind the mark with a time before it.
    pub(super) suspects: Vec<Entry>,
    /// Messages behind the mark with a time before it that are too many to be kept.
    pub(super) more_suspects: u64,
    /// Messages that were not settled at the snapshot.
    pub(super) open: HashMap<(Id, Id), Open>,
    /// What these are now.
    pub(super) seen: Vec<CurrentMessage>,
    /// Conversations whose settled messages are the same and no more, and of which something else
    /// may be found.
    pub(super) same: HashSet<Id>,
    /// Conversations that have no message left, with how many they had, and whether they still
    /// have a row.
    pub(super) gone: HashMap<Id, (u64, bool)>,
    /// Conversations that have messages and had a row, and have none any more.
    pub(super) unlisted: Vec<Id>,
    /// Conversations that are deleted for the user since.
    pub(super) hidden: Vec<Id>,
    /// Conversations whose messages before the mark are not what they were, or may not be.
    pub(super) changed: Vec<(ConversationDigest, ConversationDigest)>,
    /// Whether those that are not in `seen` are gone.
    pub(super) saw_open: bool,
    /// Whether `changed` is sure: the later sums are cut at the mark.
    pub(super) cut: bool,
    /// Messages of conversations that are new.
    pub(super) in_new: u64,
    /// Conversations that are new.
    pub(super) new: HashSet<Id>,
    /// Messages that come elsewhere in the order of their conversation.
    pub(super) moved: Vec<(Id, Id)>,
    /// Conversations whose messages come in another order; which of them is not known.
    pub(super) reordered: Vec<Id>,
    /// What belongs to messages and conversations, and is not as it was.
    pub(super) dependents: Changes,
    /// What is counted while reading.
    pub(super) totals: Totals,
    /// Conversations that are in neither list for want of room: with a row left, without one, and
    /// changed.
    pub(super) uncounted: [u64; 3],
    /// Whether the snapshot's mapping reads every message as deleted for the user: it may be wrong.
    pub(super) all_deleted: bool,
    /// When the snapshot was taken, in microseconds since 1970 UTC.
    pub(super) taken: i64,
    /// Whether the snapshot claims to have been taken in the future: then its clock was wrong.
    pub(super) from_future: bool,
    /// Whether the snapshot holds times later than its own: then one of the clocks was wrong.
    pub(super) is_behind: bool,
    /// Answers with a time from then on may have been young at the snapshot, whatever its clock
    /// said; in microseconds since 1970 UTC.
    pub(super) young_from: i64,
    /// The unit of the mark, if it is a time.
    pub(super) unit: Option<Unit>,
    /// Whether the mark is a time after the snapshot's.
    pub(super) high_is_ahead: bool,
    /// Conversations that grew before such a mark.
    pub(super) grown_before: HashSet<Id>,
    /// The snapshot's high-water mark.
    pub(super) high: Option<i64>,
    /// The greatest time of a message in it.
    pub(super) last_time: Option<i64>,
    /// How exactly the side that is less exact keeps times, in microseconds.
    pub(super) exact_to: i64,
    /// Whether the snapshot is older than the forms of times that are read since.
    pub(super) reads_more_times: bool,
    /// Whether the other side keeps them more exactly, or has places of another kind: then sums
    /// differ although nothing changed.
    pub(super) is_rounded: bool,
}

/// No more entries or conversations are kept in a list; the rest is counted.
pub(super) const MOST: usize = 1 << 20;

impl Facts {
    /// Whether that place is behind the snapshot's mark.
    pub(super) fn is_new(&self, place: Option<i64>) -> bool {
        self.high.is_some() && place.map(|place| self.in_unit(place)) > self.high
    }

    /// A place in the unit of the mark: a migration may have changed it.
    fn in_unit(&self, place: i64) -> i64 {
        self.unit.map_or(place, |unit| epoch::to(unit, place))
    }

    pub(super) fn remove(&mut self, entry: Entry) {
        if self.removed.len() < MOST {
            self.removed.push(entry);
        } else {
            self.complete = false;
        }
    }

    pub(super) fn add(&mut self, entry: Entry) {
        match self.added.len() < MOST {
            true => self.added.push(entry),
            // Without a place it is most likely growth.
            false if !entry.placed() => self.totals.appended += 1,
            false => self.complete = false,
        }
    }

    /// What a message that was not there is.
    pub(super) fn growth(&self, place: Option<i64>) -> Growth {
        let (Some(place), Some(high)) = (place, self.high) else {
            // Without an append column it may have been moved here, or be a copy.
            return Growth::None;
        };
        let is_since = epoch::micros(place) > Some(self.taken);
        match self.in_unit(place) > high {
            true => Growth::Behind,
            false if self.high_is_ahead && is_since => Growth::Before,
            false => Growth::None,
        }
    }

    /// Counts messages that a conversation grew by: behind the mark, and before it.
    pub(super) fn grow(&mut self, conversation: Id, behind: u64, before: u64) {
        // Sums that are cut at the mark have counted what is behind it already.
        let behind = if self.cut { 0 } else { behind };
        self.totals.appended += behind + before;
        self.totals.grown += u64::from(behind + before > 0);
        if before > 0 {
            self.grown_before.insert(conversation);
        }
    }

    /// Takes out what a later snapshot keeps in its sums: there it is not known.
    pub(super) fn forget_settled(&mut self, mark: i64, hasher: &MessageHasher) {
        let is_kept = |entry: &Entry| hasher.place(entry) > Some(mark);
        let seen: HashSet<_> = self.seen.iter().map(|seen| seen.entry.key()).collect();
        let mut forgotten = HashSet::new();
        self.removed.retain(|entry| {
            let keep = is_kept(entry);
            if !keep {
                forgotten.insert(entry.conversation);
            }
            keep
        });
        self.open.retain(|key, open| {
            let keep = seen.contains(key) || is_kept(&open.entry);
            if !keep {
                forgotten.insert(open.entry.conversation);
            }
            keep
        });
        self.totals.undecided += forgotten.len() as u64;
    }

    /// Counts messages that are gone with their conversations to these.
    pub(super) fn fold_into(&mut self, sums: &mut Self) {
        self.totals.conversations = sums.totals.conversations;
        let seen: HashSet<_> = self.seen.iter().map(|seen| seen.entry.key()).collect();
        let mut is_left = |entry: &Entry| match sums.gone.get_mut(&entry.conversation) {
            Some((messages, _)) => {
                *messages += 1;
                false
            }
            None => true,
        };
        self.removed.retain(&mut is_left);
        self.open
            .retain(|key, open| seen.contains(key) || is_left(&open.entry));
    }

    /// Remembers a conversation that is new.
    pub(super) fn begun(&mut self, after: &ConversationDigest) {
        if after.filled() && self.new.len() < MOST {
            self.new.insert(after.id);
        }
    }

    pub(super) fn left(&mut self, before: &ConversationDigest, row: bool) {
        if self.gone.len() < MOST {
            self.gone.insert(before.id, (before.messages(), row));
        } else {
            self.uncounted[usize::from(!row)] += 1;
        }
    }
}

/// Whether a message that was not there came after the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Growth {
    /// Its place is behind the mark.
    Behind,
    /// The mark is in the future, and it was made after the snapshot.
    Before,
    /// Its place was there at the snapshot, or nothing says.
    None,
}

/// What is not as it was of what belongs to messages and conversations besides the messages themselves.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Rows that are gone.
    pub(super) gone: Vec<Belonging>,
    /// Rows that hold something else, and owners that are others.
    pub(super) altered: Vec<Belonging>,
    /// Titles that are empty now.
    pub(super) untitled: Vec<Belonging>,
    /// How many conversations had a title.
    pub(super) titled: u64,
    /// The tables of the rows.
    pub(super) tables: Vec<String>,
}
