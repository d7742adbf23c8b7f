//! The messages that only one side has.

use super::facts::{Facts, Growth};
use super::merge::Records;
use super::order::Order;
use super::{dependents, merge, order};
use crate::audit::conversation_digest::ConversationDigest;
use crate::audit::dependents::Belonging;
use crate::audit::entry::{Entry, Id};
use crate::audit::file::Snapshot;
use crate::audit::message_hasher::{Asides, MessageHasher};
use crate::audit::open::{CLOCKS, Open};
use crate::audit::sketch::Sketch;
use crate::audit::snapshot_builder::{CurrentMessage, DetailData, Extras, Parts};
use crate::model::epoch;
use std::collections::{HashMap, HashSet};

/// The later side of a comparison.
pub(super) struct Side {
    tallies: Records<ConversationDigest>,
    detail: Detail,
    /// What is known of the order; absent where it is not to be compared.
    order: Option<Order>,
    extras: Extras,
    /// Whether the sums hold what is before the mark, and no more.
    cut: bool,
    /// Whether it was examined for the earlier snapshot's messages that were not settled.
    asked: bool,
    /// Messages that are not settled on this side, if it is a file.
    open: Vec<Open>,
    /// Messages with attachments, reasoning or parts of other kinds.
    pub(super) asides: u64,
    /// How exactly it keeps times, in microseconds.
    exact_to: Option<i64>,
    /// When it was examined, in microseconds since 1970 UTC.
    taken: i64,
    /// Of a later snapshot's tail: what is up to this place is in its sums.
    sums_to: Option<i64>,
    /// Whether question and answer are in one row.
    paired: bool,
    /// Whether the places of messages mean the same on both sides.
    placed: bool,
    /// What belongs to messages and conversations; absent where it was not read.
    dependents: Option<Records<Belonging>>,
    /// Tables of the snapshot whose rows are not compared.
    skipped: Vec<u8>,
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
            DetailData::Messages(entries) => {
                Detail::Messages(Box::new(entries.map(|entry| Ok(entry?))))
            }
            DetailData::Sketch(sketch) => Detail::Sketch(sketch),
            DetailData::Conversations => Detail::Conversations,
        };
        Self {
            tallies: Box::new(parts.tallies.map(|tally| Ok(tally?))),
            detail,
            order: Some(Order::live(parts.orders)),
            extras: parts.extras,
            cut,
            asked: true,
            open: Vec::new(),
            asides: parts.summary.asides,
            exact_to: parts.summary.exact_to,
            taken: parts.summary.taken,
            sums_to: None,
            paired: false,
            placed: true,
            dependents: parts
                .dependents
                .map(|rows| -> Records<Belonging> { Box::new(rows.map(|row| Ok(row?))) }),
            skipped: Vec::new(),
        }
    }

    /// The same, of a store with question and answer in one row.
    pub(super) fn paired(self, paired: bool) -> Self {
        Self { paired, ..self }
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
            order: Some(Order::file(after)?),
            extras: Extras::default(),
            cut: false,
            asked: false,
            open,
            asides: after.summary.asides,
            exact_to: after.summary.exact_to,
            taken: after.summary.taken,
            sums_to: None,
            paired: after.header.mapping.paired,
            placed: true,
            dependents: after
                .dependents()?
                .map(|rows| -> Records<Belonging> { Box::new(rows) }),
            skipped: Vec::new(),
        })
    }

    /// The same, without the rows of these tables.
    pub(super) fn skipping(self, skipped: Vec<u8>) -> Self {
        Self { skipped, ..self }
    }

    /// The same, where places mean something else than on the other side.
    pub(super) fn unplaced(self) -> Self {
        Self {
            placed: false,
            ..self
        }
    }

    /// The same, without its order where that can't be compared.
    pub(super) fn ordered(mut self, not_ordered: Option<&'static str>) -> Self {
        self.order = self.order.filter(|_| not_ordered.is_none());
        self
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

/// Reads both sides.
pub(super) fn diff(
    before: &Snapshot,
    after: Side,
    hasher: &MessageHasher,
) -> anyhow::Result<Facts> {
    let mut facts = facts(before, &after, before.open()?, before.summary.high);
    facts.totals.messages = before.summary.messages;
    let tallies = Box::new(before.tallies()?);
    merge::conversations(tallies, after.tallies, &mut facts)?;
    if before.is_of_first_version() {
        // It does not tell which of them were.
        facts.hidden.clear();
        facts.totals.gone_empty = 0;
    }
    facts.late = after.extras.late;
    facts.suspects = after.extras.suspects;
    facts.seen = after.extras.seen;
    match after.detail {
        Detail::Messages(entries) if before.has_messages() => {
            let old: Records<Entry> = Box::new(before.entries()?);
            let bare = |all: Records<Entry>| -> Records<Entry> {
                Box::new(all.map(|entry| entry.map(Entry::unplaced)))
            };
            if after.placed {
                merge::messages(old, entries, &mut facts, hasher)?;
            } else {
                merge::messages(bare(old), bare(entries), &mut facts, hasher)?;
            }
            branched(before, &mut facts, hasher)?;
        }
        Detail::Sketch(sketch) if after.placed && before.cell_count() == Some(sketch.len()) => {
            from_sketches(
                &Sketch::from_cells(before.cells()?),
                &sketch,
                &mut facts,
                hasher,
            );
        }
        _ => facts.complete = false,
    }
    if let (Some(then), Some(now)) = (before.dependents()?, after.dependents) {
        let tables = before.header.dependents.iter();
        let tables = tables.map(|it| it.table.clone()).collect();
        facts.dependents = dependents::compare(Box::new(then), now, tables, &after.skipped)?;
    }
    if let Some(after) = after.order {
        order::compare(Order::file(before)?, after, &mut facts)?;
    }
    facts.saw_open = after.asked || facts.complete;
    if !facts.saw_open {
        let open = after.open.into_iter();
        let was = open.filter(|open| facts.open.contains_key(&open.entry.key()));
        facts.seen = was.map(|open| CurrentMessage::unread(open.entry)).collect();
    }
    Ok(facts)
}

/// Takes out messages of new conversations that the snapshot holds in others, where they still
/// are: a branch of a chat shares its beginning with it.
fn branched(before: &Snapshot, facts: &mut Facts, hasher: &MessageHasher) -> anyhow::Result<()> {
    let is_old = |entry: &Entry| entry.placed() && !facts.is_new(hasher.place(entry));
    let shared = |entry: &Entry| facts.new.contains(&entry.conversation) && is_old(entry);
    let text = |entry: &Entry| (entry.message, entry.content);
    let shared: HashSet<_> = facts
        .added
        .iter()
        .filter(|it| shared(it))
        .map(text)
        .collect();
    if shared.is_empty() {
        return Ok(());
    }
    let gone: HashSet<_> = facts.removed.iter().map(Entry::key).collect();
    let mut kept = HashSet::new();
    for entry in before.entries()? {
        let entry = entry?;
        if shared.contains(&text(&entry)) && !gone.contains(&entry.key()) {
            kept.insert(text(&entry));
        }
    }
    let open = facts.open.values().map(|open| text(&open.entry));
    kept.extend(open.filter(|text| shared.contains(text)));
    let Facts {
        added, new, totals, ..
    } = facts;
    let before = added.len();
    added.retain(|entry| !new.contains(&entry.conversation) || !kept.contains(&text(entry)));
    totals.appended += (before - added.len()) as u64;
    Ok(())
}

/// Reads both sides of snapshots of sums, and of what is behind them.
pub(super) fn diff_sums(
    before: &Snapshot,
    sums: Side,
    tail: Side,
    hasher: &MessageHasher,
) -> anyhow::Result<(Facts, Facts)> {
    let (mark, end) = before.ends();
    let mut of_sums = facts(before, &sums, Vec::new(), Some(mark));
    of_sums.complete = false;
    of_sums.totals.messages = before.summary.messages;
    let tallies = Box::new(before.tallies()?);
    merge::conversations(tallies, sums.tallies, &mut of_sums)?;
    if let Some(after) = sums.order {
        order::compare(Order::file(before)?, after, &mut of_sums)?;
    }

    let mut of_tail = facts(before, &tail, before.open()?, Some(end));
    of_tail.saw_open = true;
    of_tail.late = tail.extras.late;
    of_tail.seen = tail.extras.seen;
    if let Detail::Messages(entries) = tail.detail {
        merge::messages(Box::new(before.entries()?), entries, &mut of_tail, hasher)?;
    }
    if let Some(mark) = tail.sums_to {
        of_tail.forget_settled(mark, hasher);
    }
    of_tail.fold_into(&mut of_sums);
    Ok((of_sums, of_tail))
}

/// What is known before anything is compared.
fn facts(before: &Snapshot, after: &Side, open: Vec<Open>, high: Option<i64>) -> Facts {
    let was = &before.summary;
    let high = high.filter(|_| after.placed);
    let last_time = was.last_time.filter(|_| after.placed);
    let is_time = last_time.is_some_and(|time| was.high.is_some_and(|high| epoch::is(high, time)));
    Facts {
        complete: true,
        cut: after.cut,
        all_deleted: was.deleted > 0 && was.deleted == was.messages,
        taken: was.taken,
        from_future: was.taken > after.taken.saturating_add(CLOCKS),
        is_behind: was.last_time > Some(was.taken.saturating_add(CLOCKS)),
        young_from: was.last_time.unwrap_or(i64::MAX).saturating_sub(was.settle),
        high,
        unit: high.filter(|_| is_time).and_then(epoch::unit),
        high_is_ahead: is_time && was.last_time > Some(was.taken),
        last_time: was.last_time,
        exact_to: was.exact_to.max(after.exact_to).unwrap_or(1),
        paired: after.paired,
        reads_more_times: before.asides() != Asides::Counted,
        is_rounded: was.exact_to != after.exact_to || !after.placed,
        open: open
            .into_iter()
            .map(|open| (open.entry.key(), open))
            .collect(),
        more_suspects: after.extras.more_suspects,
        ..Facts::default()
    }
}

fn from_sketches(before: &Sketch, after: &Sketch, facts: &mut Facts, hasher: &MessageHasher) {
    let found = before.minus(after);
    facts.complete = found.complete;
    if !found.complete {
        return;
    }
    facts.removed = found.removed;
    if facts.paired {
        // The snapshot's questions are in its sketch only; one that is new is in it.
        let row = |entry: &Entry| (entry.conversation, hasher.place(entry));
        let new: HashSet<_> = found
            .added
            .iter()
            .filter(|it| it.is_question())
            .map(row)
            .collect();
        let answers = found
            .added
            .iter()
            .filter(|it| it.is_answer() && !new.contains(&row(it)));
        facts.answers = answers.map(Entry::key).collect();
    }
    let mut grown: HashMap<Id, [u64; 2]> = HashMap::new();
    for entry in found.added {
        if facts.open.contains_key(&entry.key()) {
            facts.seen.push(CurrentMessage::unread(entry));
            continue;
        }
        match facts.growth(hasher.place(&entry)) {
            Growth::Behind => {
                let is_old = entry.time().is_some() && entry.time() <= facts.last_time;
                facts.more_suspects += u64::from(is_old);
                grown.entry(entry.conversation).or_default()[0] += 1;
            }
            Growth::Before => grown.entry(entry.conversation).or_default()[1] += 1,
            Growth::None => facts.add(entry),
        }
    }
    for (conversation, [behind, before]) in grown {
        facts.grow(conversation, behind, before);
    }
}
