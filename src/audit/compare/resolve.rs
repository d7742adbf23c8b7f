//! A second read of the live store, if there is a difference to report.
//!
//! The first look keeps no identifier and, besides a sketch, no message. The second one knows what
//! to look for, so that memory stays flat in both.

use super::Comparison;
use crate::audit::entry::{Entry, Id};
use crate::audit::message_hasher::MessageHasher;
use crate::model::StoredMessage;
use std::collections::{HashMap, HashSet};

/// No more messages than this that have a lost one's key are examined.
const MOST: usize = 100_000;

/// A conversation, a content and a time in it: what two copies share.
type Text = (Id, u64, i64);

/// Takes the live store once more.
#[derive(Debug)]
pub struct Resolver {
    found: Comparison,
    hasher: MessageHasher,
    /// Identifiers that have no name yet.
    unnamed: HashSet<Id>,
    /// Keys of messages that are gone, and messages behind the mark that have them.
    gone: HashSet<Id>,
    again: Vec<Entry>,
    /// How often the text of an added message is there before the mark, less those that were added
    /// there. What is behind the mark, or came late, can't be what others were copied from: rows
    /// of one transaction may have one text and one time.
    copies: HashMap<Text, i64>,
}

fn text(entry: &Entry) -> Option<Text> {
    entry
        .time()
        .map(|time| (entry.conversation, entry.content, time))
}

impl Resolver {
    /// Gives the comparison back when nothing is to be looked for.
    pub(super) fn new(found: Comparison) -> Result<Self, Box<Comparison>> {
        let items = found.groups.values().flat_map(|group| &group.items);
        let unnamed: HashSet<_> = items
            .flat_map(|item| [Some(item.conversation), item.message, item.other])
            .flatten()
            .filter(|id| !found.names.contains_key(id))
            .collect();
        let facts = &found.facts;
        // A copy has the time of a message that was there.
        let copies = |e: &Entry| e.time().is_some() && e.time() <= facts.last_time;
        let added = facts.added.iter().chain(&facts.suspects);
        if unnamed.is_empty() && !added.into_iter().any(copies) {
            return Err(Box::new(found));
        }
        let hasher = MessageHasher::new_like(&found.hasher);
        let mut copies = HashMap::new();
        for entry in facts.added.iter().chain(&facts.suspects) {
            if let Some(text) = text(entry) {
                let is_before = !facts.is_new(hasher.place(entry));
                *copies.entry(text).or_default() -= i64::from(is_before);
            }
        }
        Ok(Self {
            gone: facts.removed.iter().map(|entry| entry.message).collect(),
            hasher,
            again: Vec::new(),
            unnamed,
            copies,
            found,
        })
    }

    /// Takes a message, in any order.
    pub fn add(&mut self, message: &StoredMessage) {
        let (entry, _) = self.hasher.digest(message);
        if self.unnamed.remove(&entry.message) {
            let name = message.key.clone();
            self.found.names.insert(entry.message, name);
        }
        if self.unnamed.remove(&entry.conversation) {
            let name = message.conversation.clone().unwrap_or_default();
            self.found.names.insert(entry.conversation, name);
        }
        let new = self.found.facts.is_new(message.append);
        if new && self.gone.contains(&entry.message) && self.again.len() < MOST {
            self.again.push(entry);
        }
        if !new
            && let Some(text) = text(&entry)
            && let Some(copies) = self.copies.get_mut(&text)
        {
            *copies += 1;
        }
    }

    /// Takes a conversation that has a row of its own.
    pub fn add_conversation(&mut self, key: &str) {
        let id = self.hasher.conversation(Some(key));
        if self.unnamed.remove(&id) {
            self.found.names.insert(id, key.to_owned());
        }
    }

    /// The comparison with what was found.
    pub fn finish(self) -> Comparison {
        let mut found = self.found;
        let facts = &mut found.facts;
        let known: HashSet<_> = facts.added.iter().copied().collect();
        let is_copy = |entry: &Entry| {
            text(entry).is_some_and(|text| self.copies.get(&text).is_some_and(|more| *more > 0))
        };
        let suspects = std::mem::take(&mut facts.suspects);
        let copied: Vec<_> = suspects.into_iter().filter(is_copy).collect();
        facts
            .twins
            .extend(facts.added.iter().filter(|e| is_copy(e)).map(Entry::key));
        facts.twins.extend(copied.iter().map(Entry::key));
        let more = copied.into_iter().chain(self.again);
        facts
            .added
            .extend(more.filter(|entry| !known.contains(entry)));
        found.classify();
        found
    }
}
