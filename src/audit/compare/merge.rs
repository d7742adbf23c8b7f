//! Merges two sorted streams, conversation by conversation.

use super::facts::{Facts, Growth, MOST};
use crate::audit::conversation_digest::ConversationDigest;
use crate::audit::entry::{Entry, Id};
use crate::audit::message_hasher::MessageHasher;
use crate::audit::snapshot_builder::CurrentMessage;
use std::cmp::Ordering;
use std::collections::HashSet;
use std::iter::Peekable;

/// Records that may fail to be read.
pub(super) type Records<T> = Box<dyn Iterator<Item = anyhow::Result<T>>>;

/// A record of the one side, of the other, or of both.
pub(super) enum Pair<T> {
    Before(T),
    After(T),
    Both(T, T),
}

/// Gives each key once, in order.
pub(super) fn pairs<T, K: Ord>(
    before: Records<T>,
    after: Records<T>,
    key: impl Fn(&T) -> K,
    mut give: impl FnMut(Pair<T>),
) -> anyhow::Result<()> {
    let (mut before, mut after) = (before.fuse(), after.fuse());
    let mut old = before.next().transpose()?;
    let mut new = after.next().transpose()?;
    loop {
        let order = match (&old, &new) {
            (None, None) => return Ok(()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(old), Some(new)) => key(old).cmp(&key(new)),
        };
        let one = if order.is_le() { old.take() } else { None };
        let other = if order.is_ge() { new.take() } else { None };
        if one.is_some() {
            old = before.next().transpose()?;
        }
        if other.is_some() {
            new = after.next().transpose()?;
        }
        match (one, other) {
            (Some(one), Some(other)) => give(Pair::Both(one, other)),
            (Some(one), None) => give(Pair::Before(one)),
            (None, Some(other)) => give(Pair::After(other)),
            (None, None) => {}
        }
    }
}

/// Two sorted streams as one.
pub(super) fn zip(one: Records<Entry>, other: Vec<Entry>) -> Records<Entry> {
    let mut one = one.peekable();
    let mut other = other.into_iter().peekable();
    Box::new(std::iter::from_fn(move || {
        match (one.peek(), other.peek()) {
            (Some(Ok(first)), Some(second)) if first.key() <= second.key() => one.next(),
            (Some(Err(_)) | None, None) | (Some(Err(_)), _) | (Some(_), None) => one.next(),
            (_, Some(_)) => other.next().map(Ok),
        }
    }))
}

/// Finds the conversations that are on one side only, or not what they were.
pub(super) fn conversations(
    before: Records<ConversationDigest>,
    after: Records<ConversationDigest>,
    facts: &mut Facts,
) -> anyhow::Result<()> {
    pairs(before, after, |tally| tally.id, |pair| tally(facts, pair))
}

fn tally(facts: &mut Facts, pair: Pair<ConversationDigest>) {
    let totals = &mut facts.totals;
    match pair {
        Pair::After(after) => {
            facts.in_new += after.messages();
            totals.new += u64::from(after.filled());
            totals.appended += u64::from(after.grown);
            totals.grown += u64::from(after.grown > 0);
            facts.begun(&after);
        }
        Pair::Before(before) if before.filled() => {
            totals.conversations += 1;
            facts.left(&before, false);
        }
        Pair::Both(before, after) if before.filled() => {
            totals.conversations += 1;
            totals.appended += u64::from(after.grown);
            totals.grown += u64::from(after.grown > 0);
            let unlisted = before.is_listed() && !after.is_listed();
            let hidden = before.is_listed() && !before.is_deleted() && after.is_deleted();
            if unlisted {
                if facts.unlisted.len() < MOST {
                    facts.unlisted.push(before.id);
                } else {
                    facts.uncounted[1] += 1;
                }
            }
            if hidden {
                facts.hidden.push(before.id);
            }
            let same = (before.sum, before.counts) == (after.sum, after.counts);
            if !after.filled() {
                facts.left(&before, true);
            } else if same {
                totals.intact += 1;
                if before.has_open() || unlisted || hidden {
                    facts.same.insert(before.id);
                }
            } else if facts.changed.len() < MOST / 8 {
                facts.changed.push((before, after));
            } else {
                facts.uncounted[2] += 1;
            }
        }
        Pair::Both(before, after) => {
            totals.new += u64::from(after.filled());
            let is_gone = before.is_listed() && !before.is_deleted() && after.is_deleted();
            totals.gone_empty += u64::from(is_gone);
            facts.begun(&after);
        }
        Pair::Before(before) => {
            totals.gone_empty += u64::from(before.is_listed() && !before.is_deleted());
        }
    }
}

/// Finds what is on one side only, in streams that hold every message.
pub(super) fn messages(
    before: Records<Entry>,
    after: Records<Entry>,
    facts: &mut Facts,
    hasher: &MessageHasher,
) -> anyhow::Result<()> {
    let of = |entry: &Entry| entry.conversation;
    by_conversation([before, after], of, |id, old, new| {
        if !facts.open.is_empty() {
            let Facts { open, seen, .. } = facts;
            new.retain(|entry: &Entry| {
                let settled = !open.contains_key(&entry.key());
                if !settled {
                    seen.push(CurrentMessage::unread(*entry));
                }
                settled
            });
        }
        if old != new {
            conversation(id, old, new, facts, hasher);
        }
    })
}

/// Hands over the records of both sides, one conversation after the other.
pub(super) fn by_conversation<T>(
    sides: [Records<T>; 2],
    of: impl Fn(&T) -> Id,
    mut each: impl FnMut(Id, &mut Vec<T>, &mut Vec<T>),
) -> anyhow::Result<()> {
    let [mut before, mut after] = sides.map(Iterator::peekable);
    let (mut old, mut new) = (Vec::new(), Vec::new());
    loop {
        let next = [next_of(&mut before, &of)?, next_of(&mut after, &of)?];
        let Some(id) = next.into_iter().flatten().min() else {
            return Ok(());
        };
        for (side, into) in [(&mut before, &mut old), (&mut after, &mut new)] {
            into.clear();
            while next_of(side, &of)? == Some(id) {
                into.extend(side.next().transpose()?);
            }
        }
        each(id, &mut old, &mut new);
    }
}

/// The conversation of the next record.
fn next_of<T>(
    records: &mut Peekable<Records<T>>,
    of: impl Fn(&T) -> Id,
) -> anyhow::Result<Option<Id>> {
    if let Some(Err(error)) = records.next_if(Result::is_err) {
        return Err(error);
    }
    Ok(records.peek().and_then(|next| next.as_ref().ok()).map(of))
}

/// One conversation that is not what it was: both sides in the order of their messages.
fn conversation(id: Id, old: &[Entry], new: &[Entry], facts: &mut Facts, hasher: &MessageHasher) {
    let (mut removed, mut added) = (Vec::new(), Vec::new());
    let mut unchanged = HashSet::new();
    let (mut at, mut other) = (0, 0);
    while at < old.len() || other < new.len() {
        let message = match (old.get(at), new.get(other)) {
            (Some(old), Some(new)) => old.message.min(new.message),
            (Some(one), None) | (None, Some(one)) => one.message,
            (None, None) => break,
        };
        let same = |entries: &[Entry]| entries.iter().take_while(|e| e.message == message).count();
        let mut was = old[at..at + same(&old[at..])].to_vec();
        let mut now = new[other..other + same(&new[other..])].to_vec();
        (at, other) = (at + was.len(), other + now.len());
        was.retain(|entry| match now.iter().position(|same| same == entry) {
            Some(twin) => {
                now.swap_remove(twin);
                unchanged.insert((entry.content, entry.time()));
                false
            }
            None => true,
        });
        removed.extend(was);
        added.extend(now);
    }
    let gone: HashSet<_> = removed.iter().map(|e| (e.content, e.time())).collect();
    let keys: HashSet<_> = removed.iter().map(|entry| entry.message).collect();
    let questions = old.iter().filter(|it| facts.paired && it.is_question());
    let questions: HashSet<_> = questions.filter_map(|it| hasher.place(it)).collect();
    let (mut behind, mut before) = (0, 0);
    for entry in added {
        let text = (entry.content, entry.time());
        let twin = unchanged.contains(&text) && entry.time().is_some();
        let replaces = keys.contains(&entry.message) || gone.contains(&text);
        if twin && !replaces {
            facts.twins.insert(entry.key());
        }
        let place = hasher.place(&entry);
        if entry.is_answer() && place.is_some_and(|place| questions.contains(&place)) {
            facts.answers.insert(entry.key());
        }
        match facts.growth(place) {
            Growth::Behind if !twin && !replaces => behind += 1,
            Growth::Before if !twin && !replaces => before += 1,
            _ => facts.add(entry),
        }
    }
    facts.grow(id, behind, before);
    removed.into_iter().for_each(|entry| facts.remove(entry));
}
