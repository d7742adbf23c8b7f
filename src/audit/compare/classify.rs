//! Classifies the differences of two sides as events.

mod parts;

use super::facts::Facts;
use super::matched::{matched, rekeyed, shortened};
use super::shift::{Shift, differing};
use super::span::{are_times, is_rounded, seconds};
use super::{Code, Group, Totals};
use crate::audit::entry::{Entry, Id};
use crate::audit::message_hasher::MessageHasher;
use crate::audit::open::{Now, Open, Why};
use crate::audit::snapshot_builder::CurrentMessage;
use crate::model::State;
use std::collections::{BTreeMap, HashMap, HashSet};

/// One thing that has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub conversation: Id,
    /// The message; absent when only the conversation is known.
    pub message: Option<Id>,
    /// Where it has gone, or what its key is now.
    pub other: Option<Id>,
    /// The role, if the message is known.
    pub role: Option<&'static str>,
    /// When the message was made, in microseconds since 1970 UTC.
    pub time: Option<i64>,
    /// How many messages it is about.
    pub messages: u64,
    /// What is different.
    pub note: String,
}

/// No more items of a code are kept.
const MOST: usize = 100;

/// Tells what has happened to a store.
pub(super) fn classify(facts: &Facts, hasher: &MessageHasher) -> (Totals, BTreeMap<Code, Group>) {
    let (shift, removed, added) = if facts.complete {
        differing(facts)
    } else {
        Default::default()
    };
    let mut found = Found {
        facts,
        hasher,
        totals: facts.totals,
        groups: BTreeMap::new(),
        conversations: HashMap::new(),
        shifts: HashMap::new(),
        touched: HashSet::new(),
        shortened: shortened(facts, &removed, &added),
        shift,
    };
    let lost_open = found.unsettled();
    if facts.complete {
        found.messages([removed, lost_open].concat(), added);
    } else {
        found.conversations_only(lost_open);
    }
    for id in &facts.hidden {
        found.conversation(Code::ConversationLost, *id, 0, HIDDEN);
    }
    for id in &facts.unlisted {
        found.conversation(Code::ConversationLost, *id, 0, UNLISTED);
    }
    found.dependents();
    found.reordered();
    found.uncounted();
    found.finish()
}

struct Found<'a> {
    facts: &'a Facts,
    hasher: &'a MessageHasher,
    totals: Totals,
    groups: BTreeMap<Code, Group>,
    /// The conversations of each code.
    conversations: HashMap<Code, HashSet<Id>>,
    /// By how much times have changed, and how many of them.
    shifts: HashMap<i64, u64>,
    /// Conversations with a change, or with growth that was examined message by message.
    touched: HashSet<Id>,
    /// Conversations that have lost a message, or in which one is deleted for the user now.
    shortened: HashSet<Id>,
    /// What has moved to another place.
    shift: Shift,
}

impl Found<'_> {
    /// Messages that were not settled; gives those that are gone.
    fn unsettled(&mut self) -> Vec<Entry> {
        let now: HashMap<_, _> = self.facts.seen.iter().map(|e| (e.entry.key(), e)).collect();
        let mut lost = Vec::new();
        let mut open: Vec<_> = self.facts.open.values().collect();
        open.sort_unstable_by_key(|open| open.entry.key());
        open.retain(|was| !self.shift.conversations.contains(&was.entry.conversation));
        for was in open {
            match now.get(&was.entry.key()) {
                Some(now) => self.once_open(was, now),
                // NULL and an empty text are the same in the row of a question.
                None if self.facts.paired && was.held_nothing() => self.totals.unjudged += 1,
                None if self.is_gone(&was.entry) => lost.push(was.entry),
                None => {}
            }
        }
        lost
    }

    /// Whether a message that was not settled, and was not seen, is gone.
    fn is_gone(&self, was: &Entry) -> bool {
        let of = &was.conversation;
        // Where it was not looked for, it may have settled; but then the settled ones are more.
        self.facts.saw_open || self.facts.same.contains(of) || self.facts.gone.contains_key(of)
    }

    /// A message whose text may have continued since the snapshot, and which is there.
    fn once_open(&mut self, was: &Open, seen: &CurrentMessage) {
        let (then, now) = (&was.entry, &seen.entry);
        let text = if then.content == now.content {
            Some(Now::Same)
        } else {
            seen.text
        };
        let is_open = now.state() == State::Open;
        if deleted(then, now) {
            return self.message(Code::MessageLost, then, SOFT);
        } else if then.role() != now.role() {
            return self.beyond_edit(then, None, "its role changed");
        } else if then.parent != 0 && then.parent != now.parent {
            return self.reparented(then);
        }
        let is_new = now.time() > Some(self.facts.taken) && now.time() != then.time();
        // An answer may get its time when it is finished, and never an earlier one.
        let is_earlier = was.why == Why::Young
            && now.time() < then.time()
            && !is_rounded([then.time(), now.time()], self.facts.exact_to);
        if is_earlier {
            let note = "its time is earlier, or gone";
            return self.retimed(then, now, note);
        }
        match (text, was.why) {
            // What it calls or has attached may have come, or gone.
            (Some(Now::Same), _)
                if then.content != now.content && then.state() == now.state() && !is_open =>
            {
                self.totals.unjudged += 1;
            }
            (Some(Now::Same), _) => self.totals.still_open += u64::from(is_open),
            (Some(Now::Longer), _) if is_open => self.totals.still_open += 1,
            (Some(Now::Longer), _) => self.totals.completed += 1,
            (Some(Now::Nothing), _) if !is_open => {
                self.message(Code::MessageAltered, then, EMPTIED);
            }
            (Some(Now::Other), Why::Young | Why::Ahead) if is_new && then.placed() => {
                self.message(Code::IdReused, then, "a new message has its key");
            }
            (Some(Now::Other), Why::Left) => self.message(Code::MessageAltered, then, LEFT),
            (Some(Now::Other), Why::GoesOn) => self.message(Code::MessageAltered, then, REPLACED),
            (Some(Now::Nothing | Now::Other), Why::Young) => {
                self.totals.unjudged += 1;
                self.unsure(then, YOUNG);
            }
            (Some(Now::Nothing | Now::Other), Why::Ahead) => {
                self.totals.doubtful += 1;
                self.unsure(then, AHEAD);
            }
            (None, Why::Ahead) => self.totals.doubtful += 1,
            (_, Why::Marked | Why::Left | Why::Young | Why::GoesOn) => self.totals.unjudged += 1,
        }
    }

    /// Every message that differs is known.
    fn messages(&mut self, mut removed: Vec<Entry>, mut added: Vec<Entry>) {
        let facts = self.facts;
        for entry in facts.removed.iter().chain(&facts.added) {
            self.touched.insert(entry.conversation);
        }
        for (was, now) in matched(&mut removed, &mut added, |e| Some(e.key())) {
            self.changed(&was, &now);
        }
        let by_key = |e: &Entry| Some((e.message, e.content));
        let by_text = |e: &Entry| e.time().map(|time| (e.content, time));
        let rekeyed = rekeyed(&removed, &added);
        let here = |e: &Entry| {
            let is_known = e.time().is_some() || rekeyed.contains(&e.conversation);
            is_known.then_some((e.conversation, e.content, e.time()))
        };
        // In its own conversation it has another key; only then another one is examined.
        for (was, now) in matched(&mut removed, &mut added, here) {
            let note = "its key changed, but its content and time are the same";
            self.beyond_edit(&was, Some(now.message), note);
        }
        let mut moved = matched(&mut removed, &mut added, by_key);
        moved.extend(matched(&mut removed, &mut added, by_text));
        for (was, now) in moved {
            self.other(Code::MessageMoved, &was, now.conversation, "");
        }
        let placed = |e: &Entry| e.placed().then_some(e.message);
        for (was, now) in matched(&mut removed, &mut added, placed) {
            self.other(
                Code::IdReused,
                &was,
                now.conversation,
                "another conversation has its key",
            );
        }
        // Nobody could see these.
        let before = removed.len();
        removed.retain(|entry| entry.state() != State::Deleted);
        self.totals.purged += (before - removed.len()) as u64;
        self.lost(&removed);
        self.more(&added);
        if facts.cut {
            // The sums hold 256 bits of each message, the detail 64: they have the last word.
            for (was, _) in &facts.changed {
                if !self.touched.contains(&was.id) && !facts.grown_before.contains(&was.id) {
                    self.conversation(Code::MessageAltered, was.id, 1, UNNAMED);
                }
            }
        }
    }

    /// The same message on both sides, with a difference.
    fn changed(&mut self, was: &Entry, now: &Entry) {
        let places = [was, now].map(|entry| self.hasher.place(entry));
        let times = [was.time(), now.time()];
        let by = times[0]
            .zip(times[1])
            .map(|(was, now)| now.wrapping_sub(was));
        let moved = places[0]
            .zip(places[1])
            .filter(|(was, now)| !are_times([was, now].map(|place| *place), times))
            .map(|(was, now)| now.wrapping_sub(was));
        let is_moved = moved.is_some_and(|by| by != 0);
        let is_rounded = is_rounded(times, self.facts.exact_to);
        let is_retimed = by.is_some_and(|by| by != 0) && !is_rounded;
        if deleted(was, now) {
            self.message(Code::MessageLost, was, SOFT);
        } else if was.content != now.content {
            let since = self.facts.taken;
            let made_since = was.time != now.time && now.time().is_some_and(|time| time > since);
            match made_since && was.placed() {
                true => self.message(Code::IdReused, was, "a new message has its key"),
                // Nobody could see what it said.
                false if was.state() == State::Deleted && now.state() == State::Deleted => {
                    self.totals.purged += 1;
                }
                false if self.may_have_been_young(was) => {
                    self.totals.doubtful += 1;
                    self.unsure(was, CLOCK);
                }
                false if was.role() != now.role() => {
                    let note = format!(
                        "it was the {}'s, and is now the {}'s",
                        was.role(),
                        now.role()
                    );
                    self.beyond_edit(was, None, &note);
                }
                false
                    if was.parent != now.parent && !self.shortened.contains(&was.conversation) =>
                {
                    self.beyond_edit(was, None, "its content and its parent changed");
                }
                false if is_retimed && now.time() <= Some(since) => {
                    self.beyond_edit(was, None, "its content and its time changed");
                }
                false if is_moved => {
                    self.beyond_edit(was, None, "its content and its place in the order changed");
                }
                false if was.besides.lost(now.besides) && !made_since => {
                    self.beyond_edit(was, None, BESIDES);
                }
                false if was.state() == State::Whole && now.state() == State::Failed => {
                    self.beyond_edit(was, None, FAILED);
                }
                false if was.state() != now.state() => {
                    self.message(Code::MessageAltered, was, MARKED);
                }
                false => self.message(Code::MessageAltered, was, "its content changed"),
            }
        } else if was.parent != now.parent {
            self.reparented(was);
        } else if is_rounded && !is_moved {
            self.totals.rounded += 1;
        } else if times[0].is_none() && self.facts.reads_more_times && !is_moved {
            // It was there, in a form that was not read yet.
            self.totals.rounded += 1;
        } else if let Some(by) =
            by.filter(|by| *by != 0 && moved.is_none_or(|m| m == 0 || m == *by))
        {
            *self.shifts.entry(by).or_default() += 1;
            self.retimed(was, now, &format!("by {}", seconds(by)));
        } else if by != Some(0) && (by.is_some() || times[0] != times[1]) {
            self.retimed(was, now, "only one side has a time");
        } else if moved.is_none() && places.iter().all(Option::is_some) {
            // The same time, in another unit.
            self.totals.rounded += 1;
        } else {
            self.beyond_edit(was, None, PLACE);
        }
    }

    /// A message with another parent, and nothing else. What follows a message that a user deleted
    /// goes to the one before it.
    fn reparented(&mut self, was: &Entry) {
        if self.shortened.contains(&was.conversation) {
            self.message(Code::MessageAltered, was, PARENT);
        } else {
            self.beyond_edit(was, None, PARENT);
        }
    }

    /// A message with another time, and nothing else. One that a user sends again has the time of that.
    fn retimed(&mut self, was: &Entry, now: &Entry, note: &str) {
        if now.time() > Some(self.facts.taken) {
            self.message(Code::TimesShifted, was, note);
        } else {
            self.put_beyond_edit(Code::TimesShifted, item(was, None, note));
        }
    }

    /// Whether an answer may have been young at a snapshot whose clock was ahead.
    fn may_have_been_young(&self, was: &Entry) -> bool {
        let is_answer = was.role() == "assistant" && was.state() == State::Whole;
        let is_late = was.time().is_some_and(|time| time >= self.facts.young_from);
        self.facts.from_future && is_answer && is_late
    }

    /// What is gone: conversations as a whole, and single messages.
    fn lost(&mut self, removed: &[Entry]) {
        let mut whole: BTreeMap<Id, u64> = BTreeMap::new();
        for was in removed {
            match self.facts.gone.contains_key(&was.conversation) {
                true => *whole.entry(was.conversation).or_default() += 1,
                false if self.facts.open.contains_key(&was.key()) => {
                    self.message(Code::MessageLost, was, GONE_OPEN);
                }
                false if self.shift.conversations.contains(&was.conversation) => {
                    self.message(Code::MessageLost, was, MOVED_UP);
                }
                false => self.message(Code::MessageLost, was, ""),
            }
        }
        for (id, messages) in whole {
            self.conversation(Code::gone(self.facts.gone[&id].1), id, messages, "");
        }
    }

    /// What is there and was not.
    fn more(&mut self, added: &[Entry]) {
        let mut grown = HashSet::new();
        for now in added {
            if self.facts.twins.contains(&now.key()) {
                self.message(Code::MessageDuplicated, now, "");
            } else if self.facts.answers.contains(&now.key()) {
                self.totals.appended += 1;
                grown.insert(now.conversation);
            } else if self.facts.late.contains(&now.key()) {
                self.totals.late += 1;
            } else if self.shift.between.contains(&now.key()) {
                self.message(Code::Backfilled, now, MADE_ROOM);
            } else if now.placed() && self.facts.high.is_some() {
                self.message(Code::Backfilled, now, "");
            } else {
                self.totals.appended += 1;
                grown.insert(now.conversation);
            }
        }
        self.totals.grown += grown.len() as u64;
    }

    /// Only the sums are known.
    fn conversations_only(&mut self, lost_open: Vec<Entry>) {
        let facts = self.facts;
        if !facts.cut {
            self.totals.appended += facts.in_new;
        }
        for was in &lost_open {
            if !facts.gone.contains_key(&was.conversation) {
                self.message(Code::MessageLost, was, GONE_OPEN);
            }
        }
        for now in facts
            .added
            .iter()
            .filter(|now| facts.twins.contains(&now.key()))
        {
            self.message(Code::MessageDuplicated, now, "");
        }
        let sorted: BTreeMap<_, _> = facts.gone.iter().collect();
        for (id, (messages, row)) in sorted {
            let open = lost_open.iter().filter(|was| was.conversation == *id);
            self.conversation(Code::gone(*row), *id, messages + open.count() as u64, "");
        }
        for (was, now) in &facts.changed {
            let (had, has) = (was.messages(), now.messages());
            let more = has.saturating_sub(had);
            match has {
                _ if has < had => self.conversation(Code::MessageLost, was.id, had - has, UNNAMED),
                // It is perhaps no more than times that are kept less exactly.
                _ if has == had && facts.is_rounded => self.totals.undecided += 1,
                _ if has == had => self.conversation(Code::MessageAltered, was.id, 1, UNNAMED),
                // It may be an answer that came to its question.
                _ if facts.paired => self.totals.undecided += 1,
                _ if facts.cut && facts.late.is_empty() && !facts.high_is_ahead => {
                    self.conversation(Code::Backfilled, was.id, more, UNNAMED);
                }
                _ => self.totals.undecided += 1,
            }
        }
    }

    /// What comes in another order, unless it is reported otherwise.
    fn reordered(&mut self) {
        let facts = self.facts;
        let told: HashSet<_> = facts.removed.iter().map(Entry::key).collect();
        for key in facts.moved.iter().filter(|key| !told.contains(key)) {
            let item = Item {
                message: Some(key.1),
                ..of_conversation(key.0, 1, PLACE)
            };
            self.put_beyond_edit(Code::MessageAltered, item);
        }
        for id in &facts.reordered {
            let item = of_conversation(*id, 1, REORDERED);
            self.put_beyond_edit(Code::MessageAltered, item);
        }
    }

    /// What is in no list for want of room.
    fn uncounted(&mut self) {
        let facts = self.facts;
        for (row, code) in [(0, Code::ConversationEmptied), (1, Code::ConversationLost)] {
            let more = facts.uncounted[row];
            if more > 0 {
                let group = self.groups.entry(code).or_default();
                group.count += more;
                group.conversations += more;
            }
        }
        if !facts.complete {
            self.totals.undecided += facts.uncounted[2];
        }
    }

    fn message(&mut self, code: Code, was: &Entry, note: &str) {
        self.put(code, item(was, None, note));
    }

    /// A message whose text is another one, which may be as it should.
    fn unsure(&mut self, was: &Entry, note: &str) {
        self.message(Code::MessageAltered, was, note);
        self.groups.entry(Code::MessageAltered).or_default().unsure += 1;
    }

    /// A message that changed in a way in which no user can change it.
    fn beyond_edit(&mut self, was: &Entry, other: Option<Id>, note: &str) {
        self.put_beyond_edit(Code::MessageAltered, item(was, other, note));
    }

    fn other(&mut self, code: Code, was: &Entry, other: Id, note: &str) {
        self.put(code, item(was, Some(other), note));
    }

    fn conversation(&mut self, code: Code, id: Id, messages: u64, note: &str) {
        self.put(code, of_conversation(id, messages, note));
    }

    fn put(&mut self, code: Code, item: Item) {
        let group = self.counted(code, &item);
        if group.items.len() < MOST {
            group.items.push(item);
        }
    }

    /// What no user did comes before what users may have done.
    fn put_beyond_edit(&mut self, code: Code, item: Item) {
        let group = self.counted(code, &item);
        let at = group.items.len().min(group.beyond_edit as usize);
        group.beyond_edit += item.messages;
        group.items.insert(at, item);
        group.items.truncate(MOST);
    }

    fn counted(&mut self, code: Code, item: &Item) -> &mut Group {
        self.touched.insert(item.conversation);
        self.conversations
            .entry(code)
            .or_default()
            .insert(item.conversation);
        let group = self.groups.entry(code).or_default();
        group.count += 1;
        group.messages += item.messages;
        group
    }

    fn finish(mut self) -> (Totals, BTreeMap<Code, Group>) {
        for (code, conversations) in &self.conversations {
            if let Some(group) = self.groups.get_mut(code) {
                group.conversations += conversations.len() as u64;
            }
        }
        if let Some(group) = self.groups.get_mut(&Code::TimesShifted) {
            let known: u64 = self.shifts.values().sum();
            group.note = match (self.shifts.len(), self.shifts.keys().next()) {
                (1, Some(by)) if known == group.messages => format!("all by {}", seconds(*by)),
                (many, _) => format!("by {many} different spans"),
            };
        }
        let found: HashSet<_> = self.conversations.values().flatten().collect();
        if self.facts.complete {
            // What grew is intact up to the mark.
            let before = self.facts.totals.conversations;
            let here = found.len() as u64 - self.only_added(&found);
            self.totals.intact = before.saturating_sub(here);
        } else {
            let same = found.iter().filter(|id| self.facts.same.contains(**id));
            self.totals.intact -= same.count() as u64;
        }
        (self.totals, self.groups)
    }

    /// Of these conversations those that the snapshot can't have lost anything of.
    fn only_added(&self, changed: &HashSet<&Id>) -> u64 {
        let lost: HashSet<_> = self
            .groups
            .keys()
            .filter(|code| {
                !matches!(
                    code,
                    Code::Backfilled | Code::MessageDuplicated | Code::TitleLost
                )
            })
            .filter_map(|code| self.conversations.get(code))
            .flatten()
            .collect();
        changed.iter().filter(|id| !lost.contains(**id)).count() as u64
    }
}

const BESIDES: &str = "tool calls, outputs, attachments or other parts of it are gone";
const MARKED: &str = "its content changed, or its mark as finished, failed or deleted";
const FAILED: &str = "it is now marked as failed";
const SOFT: &str = "it is deleted for the user, but its row is kept";
const PLACE: &str = "its place in the order changed";
const REORDERED: &str = "the order of its messages changed";
const PARENT: &str = "its parent changed";
const GONE_OPEN: &str = "its text was still open at the snapshot, and its row is gone";
const EMPTIED: &str = "its text was still being written at the snapshot, and is empty now";
const LEFT: &str =
    "its text changed, although it had been marked as being written for more than a day";
const REPLACED: &str =
    "its text does not begin with the earlier text, although that was not marked as being written";
const YOUNG: &str = "its text does not begin with the earlier text; it was so young at the snapshot that it may \
    have been unfinished";
const AHEAD: &str = "its text does not begin with the earlier text, and its time is later than the snapshot: it \
    is not known whether it was finished";
const CLOCK: &str = "its content changed, and the snapshot claims to have been taken in the future: it is not \
    known whether it was finished";
const MOVED_UP: &str = "the messages after it have moved up to its place";
const MADE_ROOM: &str = "the messages after it have moved back by a place";
const HIDDEN: &str = "its row exists, and is marked as deleted for the user";
const UNLISTED: &str = "its row is gone, but messages of it exist";
const UNNAMED: &str = "which message is unknown";

fn deleted(was: &Entry, now: &Entry) -> bool {
    was.state() != State::Deleted && now.state() == State::Deleted
}

fn of_conversation(id: Id, messages: u64, note: &str) -> Item {
    Item {
        conversation: id,
        message: None,
        other: None,
        role: None,
        time: None,
        messages,
        note: note.to_owned(),
    }
}

fn item(was: &Entry, other: Option<Id>, note: &str) -> Item {
    Item {
        conversation: was.conversation,
        message: Some(was.message),
        other,
        role: Some(was.role()),
        time: was.time(),
        messages: 1,
        note: note.to_owned(),
    }
}
