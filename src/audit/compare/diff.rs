//! What is on one side only.

use super::Totals;
use super::merge;
use super::merge::Pair;
use super::merge::Records;
use crate::audit::entry::Entry;
use crate::audit::entry::Id;
use crate::audit::file::Snapshot;
use crate::audit::leaf::Leafer;
use crate::audit::sketch::Sketch;
use crate::audit::taker::Aside;
use crate::audit::taker::Kept;
use crate::audit::taker::Parts;
use crate::audit::tally::Tally;
use std::collections::HashMap;
use std::collections::HashSet;

/// The later side of a comparison.
pub(super) struct Side {
    tallies: Records<Tally>,
    detail: Detail,
    aside: Aside,
    /// Whether the sums hold what is before the mark, and no more.
    cut: bool,
    /// Whether it was looked at for the earlier snapshot's messages that were not settled.
    asked: bool,
    /// How exactly it keeps times, in microseconds.
    exact_to: Option<i64>,
}

enum Detail {
    Messages(Records<Entry>),
    Sketch(Sketch),
    Conversations,
}

impl Side {
    /// The live store; `cut` when it has an append column.
    pub(super) fn live(parts: Parts, cut: bool) -> Self {
        let detail = match parts.detail {
            Kept::Messages(entries) => Detail::Messages(Box::new(entries.map(|entry| Ok(entry?)))),
            Kept::Sketch(sketch) => Detail::Sketch(sketch),
            Kept::Conversations => Detail::Conversations,
        };
        Self {
            tallies: Box::new(parts.tallies.map(|tally| Ok(tally?))),
            detail,
            aside: parts.aside,
            cut,
            asked: true,
            exact_to: parts.summary.exact_to,
        }
    }

    /// A later snapshot: it knows nothing of the earlier one's mark.
    pub(super) fn file(after: &Snapshot) -> anyhow::Result<Self> {
        let open = after.open()?;
        let detail = match (after.has_messages(), after.cell_count()) {
            (true, _) => {
                let entries: Records<Entry> = Box::new(after.entries()?);
                Detail::Messages(merge::zip(entries, open))
            }
            (false, Some(_)) => {
                let mut sketch = Sketch::from_cells(after.cells()?);
                open.iter().for_each(|entry| sketch.add(entry));
                Detail::Sketch(sketch)
            }
            (false, None) => Detail::Conversations,
        };
        Ok(Self {
            tallies: Box::new(after.tallies()?),
            detail,
            aside: Aside::default(),
            cut: false,
            asked: false,
            exact_to: after.summary.exact_to,
        })
    }
}

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
    /// Messages that may be late.
    pub(super) late: HashSet<(Id, Id)>,
    /// Messages behind the mark with a time before it.
    pub(super) suspects: Vec<Entry>,
    /// Messages that were not settled at the snapshot.
    pub(super) open: HashMap<(Id, Id), Entry>,
    /// What these are now.
    pub(super) seen: Vec<Entry>,
    /// Conversations that have no message left, with how many they had, and whether they still
    /// have a row.
    pub(super) gone: HashMap<Id, (u64, bool)>,
    /// Conversations that have messages and had a row, and have none any more.
    pub(super) unlisted: Vec<Id>,
    /// Conversations whose messages before the mark are not what they were, or may not be.
    pub(super) changed: Vec<(Tally, Tally)>,
    /// Whether those that are not in `seen` are gone.
    pub(super) saw_open: bool,
    /// Whether `changed` is sure: the later sums are cut at the mark.
    pub(super) cut: bool,
    /// Messages of conversations that are new.
    pub(super) in_new: u64,
    /// What is counted while reading.
    pub(super) totals: Totals,
    /// Conversations that are in neither list for want of room: with a row left, without one, and
    /// changed.
    pub(super) uncounted: [u64; 3],
    /// When the snapshot was taken, in microseconds since 1970 UTC.
    pub(super) taken: i64,
    /// The snapshot's high-water mark.
    pub(super) high: Option<i64>,
    /// The greatest time of a message in it.
    pub(super) last_time: Option<i64>,
    /// How exactly the side that is less exact keeps times, in microseconds.
    pub(super) exact_to: i64,
    /// Whether the other side keeps them more exactly: then sums differ although nothing changed.
    pub(super) is_rounded: bool,
}

/// No more entries or conversations are kept in a list; the rest is counted.
const MOST: usize = 1 << 20;

impl Facts {
    /// Whether that place is behind the snapshot's mark.
    pub(super) fn is_new(&self, place: Option<i64>) -> bool {
        self.high.is_some() && place > self.high
    }

    pub(super) fn remove(&mut self, entry: Entry) {
        match self.removed.len() < MOST {
            true => self.removed.push(entry),
            false => self.complete = false,
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

    /// Counts messages that a conversation grew by.
    pub(super) fn grow(&mut self, messages: u64) {
        // Sums that are cut at the mark have counted it already.
        if !self.cut {
            self.totals.appended += messages;
            self.totals.grown += u64::from(messages > 0);
        }
    }

    fn tally(&mut self, pair: Pair<Tally>) {
        let totals = &mut self.totals;
        match pair {
            Pair::After(after) => {
                self.in_new += after.messages();
                totals.new += u64::from(after.filled());
                totals.appended += u64::from(after.grown);
                totals.grown += u64::from(after.grown > 0);
            }
            Pair::Before(before) if before.filled() => {
                totals.conversations += 1;
                self.left(&before, false);
            }
            Pair::Both(before, after) if before.filled() => {
                totals.conversations += 1;
                totals.appended += u64::from(after.grown);
                totals.grown += u64::from(after.grown > 0);
                if before.is_listed() && !after.is_listed() {
                    match self.unlisted.len() < MOST {
                        true => self.unlisted.push(before.id),
                        false => self.uncounted[1] += 1,
                    }
                }
                let same = (before.sum, before.counts) == (after.sum, after.counts);
                if !after.filled() {
                    self.left(&before, true);
                } else if same {
                    totals.intact += 1;
                } else if self.changed.len() < MOST / 8 {
                    self.changed.push((before, after));
                } else {
                    self.uncounted[2] += 1;
                }
            }
            Pair::Both(_, after) => totals.new += u64::from(after.filled()),
            Pair::Before(_) => {}
        }
    }

    fn left(&mut self, before: &Tally, row: bool) {
        match self.gone.len() < MOST {
            true => {
                self.gone.insert(before.id, (before.messages(), row));
            }
            false => self.uncounted[usize::from(!row)] += 1,
        }
    }
}

/// Reads both sides.
pub(super) fn diff(before: &Snapshot, after: Side, leafer: &mut Leafer) -> anyhow::Result<Facts> {
    let open = before.open()?;
    let mut facts = Facts {
        complete: true,
        cut: after.cut,
        taken: before.summary.taken,
        high: before.summary.high,
        last_time: before.summary.last_time,
        exact_to: before.summary.exact_to.max(after.exact_to).unwrap_or(1),
        is_rounded: before.summary.exact_to != after.exact_to,
        late: after.aside.late,
        suspects: after.aside.suspects,
        seen: after.aside.open,
        open: open.into_iter().map(|entry| (entry.key(), entry)).collect(),
        ..Facts::default()
    };
    facts.totals.messages = before.summary.messages;
    let tallies: Records<Tally> = Box::new(before.tallies()?);
    merge::pairs(
        tallies,
        after.tallies,
        |tally| tally.id,
        |pair| facts.tally(pair),
    )?;

    let high = before.summary.high;
    // Without an append column any message that was not there may be growth.
    let is_new = |leafer: &Leafer, entry: &Entry| match (leafer.place(entry), high) {
        (Some(place), Some(high)) => place > high,
        _ => true,
    };
    match after.detail {
        Detail::Messages(entries) if before.has_messages() => {
            let old: Records<Entry> = Box::new(before.entries()?);
            merge::messages(old, entries, &mut facts, |entry| match high {
                Some(_) => is_new(leafer, entry),
                // It may have been moved here, or be a copy; that is told from all of them.
                None => false,
            })?;
        }
        Detail::Sketch(sketch) if before.cell_count() == Some(sketch.len()) => {
            let found = Sketch::from_cells(before.cells()?).minus(&sketch);
            facts.complete = found.complete;
            if found.complete {
                facts.removed = found.removed;
            }
            let added = if found.complete {
                found.added
            } else {
                Vec::new()
            };
            let mut grown: HashMap<Id, u64> = HashMap::new();
            for entry in added {
                match facts.open.contains_key(&entry.key()) {
                    true => facts.seen.push(entry),
                    false if high.is_some() && is_new(leafer, &entry) => {
                        *grown.entry(entry.conversation).or_default() += 1;
                    }
                    false => facts.add(entry),
                }
            }
            grown
                .into_values()
                .for_each(|messages| facts.grow(messages));
        }
        _ => facts.complete = false,
    }
    facts.saw_open = after.asked || facts.complete;
    Ok(facts)
}
