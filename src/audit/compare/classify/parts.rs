//! What belongs to messages and conversations, as events.

use super::{Code, Found, Item, of_conversation};
use crate::audit::dependents::Belonging;
use crate::audit::entry::Entry;
use crate::model::{Fact, State};
use crate::text::plural;
use std::collections::HashSet;

impl Found<'_> {
    /// Rows of other tables, owners and titles; not those of messages that are gone themselves.
    pub(super) fn dependents(&mut self) {
        let facts = self.facts;
        let changes = &facts.dependents;
        let is_here = |entry: &&Entry| entry.state() != State::Deleted;
        let here: HashSet<_> = facts.added.iter().filter(is_here).map(Entry::key).collect();
        let removed = facts.removed.iter().map(Entry::key);
        let without: HashSet<_> = removed.filter(|key| !here.contains(key)).collect();
        let is_told = |it: &&Belonging| {
            let key = (it.conversation, it.message().unwrap_or_default());
            // What is not settled may be saved again, part by part.
            let is_open = facts.open.contains_key(&key);
            !is_open
                && !without.contains(&key)
                && !facts.gone.contains_key(&it.conversation)
                && !facts.hidden.contains(&it.conversation)
        };
        for was in changes.gone.iter().filter(is_told) {
            self.part(Code::PartLost, was, "is gone");
        }
        for was in changes.altered.iter().filter(is_told) {
            self.part(Code::PartAltered, was, "changed");
        }
        // A single title may be made again; many at once are not.
        let untitled = changes.untitled.len() as u64;
        let many = untitled > 1 && untitled * 20 > changes.titled;
        for was in changes.untitled.iter().filter(|_| many) {
            self.conversation(Code::TitleLost, was.conversation, 0, "its title is empty");
        }
        if let Some(group) = self.groups.get_mut(&Code::TitleLost) {
            group.note = format!("{} had a title", plural(changes.titled, "conversation"));
        }
    }

    fn part(&mut self, code: Code, was: &Belonging, became: &str) {
        let tables = &self.facts.dependents.tables;
        let (code, note) = match was.what() {
            Fact::Owner => (Code::OwnerChanged, "it belongs to another user".to_owned()),
            Fact::Title => return,
            Fact::Row(at) => {
                let table = tables.get(usize::from(at)).map_or("", String::as_str);
                (
                    code,
                    format!("a row of `{table}` that belongs to it {became}"),
                )
            }
        };
        let item = Item {
            message: was.message(),
            ..of_conversation(was.conversation, 0, &note)
        };
        self.put(code, item);
    }
}
