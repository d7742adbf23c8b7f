//! Matches missing messages with new ones.

use crate::audit::entry::Entry;
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
