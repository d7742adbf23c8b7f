//! What is on one side only.

use super::merge::{Pair, Records};
use super::{Totals, merge};
use crate::audit::entry::{Entry, Id};
use crate::audit::file::Snapshot;
use crate::audit::leaf::Leafer;
use crate::audit::open::{CLOCKS, Open};
use crate::audit::sketch::Sketch;
use crate::audit::taker::{Aside, Kept, Parts, Seen};
use crate::audit::tally::Tally;
use std::collections::{HashMap, HashSet};

/// The later side of a comparison.
pub(super) struct Side {
    tallies: Records<Tally>,
    detail: Detail,
    aside: Aside,
    /// Whether the sums hold what is before the mark, and no more.
    cut: bool,
    /// Whether it was looked at for the earlier snapshot's messages that were not settled.
    asked: bool,
    /// Messages that are not settled on this side, if it is a file.
    open: Vec<Open>,
    /// How exactly it keeps times, in microseconds.
    exact_to: Option<i64>,
    /// When it was looked at, in microseconds since 1970 UTC.
    taken: i64,
    /// Of a later snapshot's tail: what is up to this place is in its sums.
    sums_to: Option<i64>,
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
            open: Vec::new(),
            exact_to: parts.summary.exact_to,
            taken: parts.summary.taken,
            sums_to: None,
        }
    }

    /// A later snapshot: it knows nothing of the earlier one's mark.
    pub(super) fn file(after: &Snapshot) -> anyhow::Result<Self> {
        let open = after.open()?;
        let detail = match (after.has_messages(), after.cell_count()) {
            (true, _) => {
                let entries: Records<Entry> = Box::new(after.entries()?);
                let open = open.iter().map(|open| open.entry).collect();
                Detail::Messages(merge::zip(entries, open))
            }
            (false, Some(_)) => {
                let mut sketch = Sketch::from_cells(after.cells()?);
                open.iter().for_each(|open| sketch.add(&open.entry));
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
            open,
            exact_to: after.summary.exact_to,
            taken: after.summary.taken,
            sums_to: None,
        })
    }

    /// The sums of a later snapshot.
    pub(super) fn sums(after: &Snapshot) -> anyhow::Result<Self> {
        Ok(Self {
            detail: Detail::Conversations,
            ..Self::file(after)?
        })
    }

    /// What is behind the sums of a later snapshot.
    pub(super) fn tail(after: &Snapshot) -> anyhow::Result<Self> {
        Ok(Self {
            sums_to: Some(after.ends().0),
            ..Self::file(after)?
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
    /// Messages behind the mark with a time before it that are too many to be kept.
    pub(super) more_suspects: u64,
    /// Messages that were not settled at the snapshot.
    pub(super) open: HashMap<(Id, Id), Open>,
    /// What these are now.
    pub(super) seen: Vec<Seen>,
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
    /// Whether the snapshot says that it was taken later than now: then its clock was wrong.
    pub(super) from_future: bool,
    /// Whether the snapshot holds times later than its own: then one of the clocks was wrong.
    pub(super) is_behind: bool,
    /// Answers with a time from then on may have been young at the snapshot, whatever its clock
    /// said; in microseconds since 1970 UTC.
    pub(super) young_from: i64,
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
        match place > high {
            true => Growth::Behind,
            false if self.high_is_ahead && place > self.taken => Growth::Before,
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
                let unlisted = before.is_listed() && !after.is_listed();
                let hidden = before.is_listed() && !before.is_deleted() && after.is_deleted();
                if unlisted {
                    if self.unlisted.len() < MOST {
                        self.unlisted.push(before.id);
                    } else {
                        self.uncounted[1] += 1;
                    }
                }
                if hidden {
                    self.hidden.push(before.id);
                }
                let same = (before.sum, before.counts) == (after.sum, after.counts);
                if !after.filled() {
                    self.left(&before, true);
                } else if same {
                    totals.intact += 1;
                    if before.has_open() || unlisted || hidden {
                        self.same.insert(before.id);
                    }
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

    /// Takes out what a later snapshot keeps in its sums: there it can't be told.
    fn forget_settled(&mut self, mark: i64, leafer: &Leafer) {
        let is_kept = |entry: &Entry| leafer.place(entry) > Some(mark);
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
    fn fold_into(&mut self, sums: &mut Self) {
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

    fn left(&mut self, before: &Tally, row: bool) {
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
    /// Its place was there at the snapshot, or nothing tells.
    None,
}

/// Reads both sides.
pub(super) fn diff(before: &Snapshot, after: Side, leafer: &Leafer) -> anyhow::Result<Facts> {
    let mut facts = facts(before, &after, before.open()?, before.summary.high);
    facts.totals.messages = before.summary.messages;
    conversations(before, after.tallies, &mut facts)?;
    if before.is_of_first_version() {
        // It does not tell which of them were.
        facts.hidden.clear();
    }
    facts.late = after.aside.late;
    facts.suspects = after.aside.suspects;
    facts.seen = after.aside.seen;
    match after.detail {
        Detail::Messages(entries) if before.has_messages() => {
            let old: Records<Entry> = Box::new(before.entries()?);
            merge::messages(old, entries, &mut facts, leafer)?;
        }
        Detail::Sketch(sketch) if before.cell_count() == Some(sketch.len()) => {
            from_sketches(
                &Sketch::from_cells(before.cells()?),
                &sketch,
                &mut facts,
                leafer,
            );
        }
        _ => facts.complete = false,
    }
    facts.saw_open = after.asked || facts.complete;
    if !facts.saw_open {
        let open = after.open.into_iter();
        let was = open.filter(|open| facts.open.contains_key(&open.entry.key()));
        facts.seen = was.map(|open| Seen::unread(open.entry)).collect();
    }
    Ok(facts)
}

/// Reads both sides of snapshots of sums, and of what is behind them.
pub(super) fn diff_sums(
    before: &Snapshot,
    sums: Side,
    tail: Side,
    leafer: &Leafer,
) -> anyhow::Result<(Facts, Facts)> {
    let (mark, end) = before.ends();
    let mut of_sums = facts(before, &sums, Vec::new(), Some(mark));
    of_sums.complete = false;
    of_sums.totals.messages = before.summary.messages;
    conversations(before, sums.tallies, &mut of_sums)?;

    let mut of_tail = facts(before, &tail, before.open()?, Some(end));
    of_tail.saw_open = true;
    of_tail.late = tail.aside.late;
    of_tail.seen = tail.aside.seen;
    if let Detail::Messages(entries) = tail.detail {
        merge::messages(Box::new(before.entries()?), entries, &mut of_tail, leafer)?;
    }
    if let Some(mark) = tail.sums_to {
        of_tail.forget_settled(mark, leafer);
    }
    of_tail.fold_into(&mut of_sums);
    Ok((of_sums, of_tail))
}

/// What is known before anything is compared.
fn facts(before: &Snapshot, after: &Side, open: Vec<Open>, high: Option<i64>) -> Facts {
    let was = &before.summary;
    Facts {
        complete: true,
        cut: after.cut,
        taken: was.taken,
        from_future: was.taken > after.taken.saturating_add(CLOCKS),
        is_behind: was.last_time > Some(was.taken.saturating_add(CLOCKS)),
        young_from: was.last_time.unwrap_or(i64::MAX).saturating_sub(was.settle),
        high,
        high_is_ahead: was.by_time && high > Some(was.taken),
        last_time: was.last_time,
        exact_to: was.exact_to.max(after.exact_to).unwrap_or(1),
        is_rounded: was.exact_to != after.exact_to,
        open: open
            .into_iter()
            .map(|open| (open.entry.key(), open))
            .collect(),
        more_suspects: after.aside.more_suspects,
        ..Facts::default()
    }
}

fn conversations(
    before: &Snapshot,
    after: Records<Tally>,
    facts: &mut Facts,
) -> anyhow::Result<()> {
    let tallies: Records<Tally> = Box::new(before.tallies()?);
    merge::pairs(tallies, after, |tally| tally.id, |pair| facts.tally(pair))
}

fn from_sketches(before: &Sketch, after: &Sketch, facts: &mut Facts, leafer: &Leafer) {
    let found = before.minus(after);
    facts.complete = found.complete;
    if !found.complete {
        return;
    }
    facts.removed = found.removed;
    let mut grown: HashMap<Id, [u64; 2]> = HashMap::new();
    for entry in found.added {
        if facts.open.contains_key(&entry.key()) {
            facts.seen.push(Seen::unread(entry));
            continue;
        }
        match facts.growth(leafer.place(&entry)) {
            Growth::Behind => grown.entry(entry.conversation).or_default()[0] += 1,
            Growth::Before => grown.entry(entry.conversation).or_default()[1] += 1,
            Growth::None => facts.add(entry),
        }
    }
    for (conversation, [behind, before]) in grown {
        facts.grow(conversation, behind, before);
    }
}
