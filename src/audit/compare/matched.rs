//! Matches missing messages with new ones.

use super::facts::Facts;
use crate::audit::entry::{Entry, Id};
use crate::model::State;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;

/// Takes out the pairs that have the same key.
pub(super) fn matched<K: Hash + Eq>(
    removed: &mut Vec<Entry>,
    added: &mut Vec<Entry>,
    key: impl Fn(&Entry) -> Option<K>,
) -> Vec<(Entry, Entry)> {
    let mut by_key: HashMap<K, Vec<usize>> = HashMap::new();
    for (at, entry) in added.iter().enumerate().rev() {
        if let Some(key) = key(entry) {
            by_key.entry(key).or_default().push(at);
        }
    }
    let mut pairs = Vec::new();
    let mut taken = HashSet::new();
    removed.retain(|was| {
        let found = key(was).and_then(|key| by_key.get_mut(&key)?.pop());
        if let Some(at) = found {
            pairs.push((*was, added[at]));
            taken.insert(at);
        }
        found.is_none()
    });
    let mut at = 0;
    added.retain(|_| {
        at += 1;
        !taken.contains(&(at - 1))
    });
    pairs
}

/// Conversations that have lost a message, or in which one is deleted for the user now.
pub(super) fn shortened(facts: &Facts, removed: &[Entry], added: &[Entry]) -> HashSet<Id> {
    let seen = facts.seen.iter().map(|seen| &seen.entry);
    let now = added.iter().chain(seen);
    let now: HashMap<_, _> = now.map(|now| (now.key(), now.state())).collect();
    let open = facts.open.values().map(|open| &open.entry);
    // Where nobody looked for those that had not settled, they need not be gone.
    let was = removed.iter().chain(open.filter(|_| facts.saw_open));
    let gone = was.filter(|was| match now.get(&was.key()) {
        None => true,
        Some(now) => *now == State::Deleted && was.state() != State::Deleted,
    });
    gone.map(|was| was.conversation).collect()
}

/// Conversations without times in which several messages have other keys, and none is without its text.
pub(super) fn rekeyed(removed: &[Entry], added: &[Entry]) -> HashSet<Id> {
    let is_loose = |entry: &&Entry| !entry.placed() && entry.time().is_none();
    let mut texts: HashMap<(Id, u64), usize> = HashMap::new();
    for now in added.iter().filter(is_loose) {
        *texts.entry((now.conversation, now.content)).or_default() += 1;
    }
    let mut kept: HashMap<Id, usize> = HashMap::new();
    let mut lost = HashSet::new();
    for was in removed {
        match texts.get_mut(&(was.conversation, was.content)) {
            Some(count @ 1..) => {
                *count -= 1;
                *kept.entry(was.conversation).or_default() += 1;
            }
            Some(0) | None => {
                lost.insert(was.conversation);
            }
        }
    }
    let several = kept
        .into_iter()
        .filter(|(of, count)| *count > 1 && !lost.contains(of));
    several.map(|(of, _)| of).collect()
}
