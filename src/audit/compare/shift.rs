//! Items that moved to another place because an earlier one was removed or inserted.
//!
//! Where an item has no key but its place in the conversation's row, one that is deleted leaves
//! its place to the next one, and so on to the end: each later place holds another item, and yet
//! no more than one is gone. The items are followed from place to place by their digests. A way
//! that begins somewhere and ends somewhere else is such a move; items that only change places
//! with each other lead in a circle, and are left to be told one by one.

use super::facts::Facts;
use super::matched::matched;
use crate::audit::entry::{Entry, Id};
use std::collections::{HashMap, HashSet};

/// What has moved on.
#[derive(Debug, Default)]
pub(super) struct Shift {
    /// Conversations whose items have.
    pub(super) conversations: HashSet<Id>,
    /// What was put in, for which they have made room.
    pub(super) between: HashSet<(Id, Id)>,
}

/// A conversation, and what one of its messages says at which time.
type Text = (Id, u64, i64);

fn text(entry: &Entry) -> Text {
    (entry.conversation, entry.content, entry.time)
}

/// What is in each place.
fn texts(entries: &[Entry]) -> HashMap<(Id, Id), Text> {
    let texts = entries.iter().map(|entry| (entry.key(), text(entry)));
    texts.collect()
}

/// What was removed and what was added, but for what has only moved on. Of what was still being
/// written it holds no more than what is where something has moved: it moves with the others.
pub(super) fn differing(facts: &Facts) -> (Shift, Vec<Entry>, Vec<Entry>) {
    let (mut removed, mut added) = (facts.removed.clone(), facts.added.clone());
    let seen = facts.seen.iter().map(|seen| (seen.entry.key(), seen.entry));
    let now: HashMap<_, _> = seen.collect();
    for was in facts.open.values().map(|open| open.entry) {
        let now = now.get(&was.key());
        if now.map_or(facts.saw_open, |now| now.content != was.content) {
            removed.push(was);
            added.extend(now.copied());
        }
    }
    let shift = shifted(&mut removed, &mut added);
    let counts = |entry: &Entry| {
        let open = facts.open.contains_key(&entry.key());
        !open || shift.conversations.contains(&entry.conversation)
    };
    removed.retain(counts);
    added.retain(counts);
    (shift, removed, added)
}

/// Takes out what has only moved on: what is left is gone, or was put in.
fn shifted(removed: &mut Vec<Entry>, added: &mut Vec<Entry>) -> Shift {
    // A store that gives places by a column moves nothing.
    let of = |entries: &[Entry]| {
        let loose = entries.iter().filter(|entry| !entry.placed());
        loose
            .map(|entry| entry.conversation)
            .collect::<HashSet<_>>()
    };
    let both = &of(removed) & &of(added);
    let [mut from, mut to] = [&*removed, &*added].map(|entries| {
        let here = entries
            .iter()
            .filter(|entry| both.contains(&entry.conversation));
        here.copied().collect::<Vec<_>>()
    });
    let (old, new) = (texts(&from), texts(&to));
    let [said, says] = [&old, &new].map(|texts| texts.values().copied().collect::<HashSet<_>>());
    // Of equal texts those come first that must be an end of a way.
    from.sort_by_key(|was| new.get(&was.key()).is_some_and(|text| said.contains(text)));
    to.sort_by_key(|now| old.get(&now.key()).is_some_and(|text| says.contains(text)));
    let mut moved = matched(&mut from, &mut to, |e| Some(text(e)));
    // A message whose key alone is another one comes from no other's place, and goes to none.
    moved.retain(|(was, now)| {
        was.message != now.message && (old.contains_key(&now.key()) || new.contains_key(&was.key()))
    });
    let into: HashSet<_> = moved.iter().map(|(_, now)| now.key()).collect();
    let begun = moved.iter().filter(|(was, _)| !into.contains(&was.key()));
    let conversations: HashSet<_> = begun.map(|(was, _)| was.conversation).collect();
    moved.retain(|(was, _)| conversations.contains(&was.conversation));

    let (from, to): (HashSet<_>, HashSet<_>) = moved.into_iter().unzip();
    removed.retain(|entry| !from.contains(entry));
    added.retain(|entry| !to.contains(entry));

    // Where something is gone as well, what has come may be growth.
    let gone: HashSet<_> = removed.iter().map(|entry| entry.conversation).collect();
    let between = added.iter().filter(|entry| {
        let of = entry.conversation;
        conversations.contains(&of) && !gone.contains(&of) && old.contains_key(&entry.key())
    });
    Shift {
        between: between.map(Entry::key).collect(),
        conversations,
    }
}

#[cfg(test)]
mod tests {
    use super::super::trials::{TAKEN, compare, settings, snapshot};
    use super::super::{Code, Rules};
    use crate::audit::snapshot_builder::Detail;
    use crate::model::{Role, State, StoredMessage};

    /// Two conversations' rows: the items of one, known by their place, and a short other one.
    fn rows(items: &[&str], timed: bool) -> Vec<StoredMessage> {
        let item = |(at, text): (usize, &&str)| StoredMessage {
            conversation: Some("c".into()),
            // An item keeps its time wherever it is.
            time: timed.then(|| TAKEN - 1_000_000 * text.bytes().map(i64::from).sum::<i64>()),
            ..StoredMessage::new(format!("c#{at}"), Role::User, *text)
        };
        let other = StoredMessage {
            conversation: Some("d".into()),
            ..StoredMessage::new("d#0", Role::User, "elsewhere")
        };
        items.iter().enumerate().map(item).chain([other]).collect()
    }

    /// What is reported when the items of a row become others.
    fn told(before: &[&str], after: &[&str]) -> String {
        let told = |detail, timed| {
            let before = snapshot(&rows(before, timed), settings(detail));
            let found = compare(&before, &rows(after, timed));
            let groups = found.groups.iter();
            let groups: Vec<_> = groups
                .map(|(code, group)| format!("{} {}", group.messages, code.kind().name))
                .collect();
            format!("{}, {} new", groups.join(", "), found.totals.appended)
        };
        let first = told(Detail::Messages, false);
        for (detail, timed) in [
            (Detail::Messages, true),
            (Detail::Sketch(512), false),
            (Detail::Sketch(512), true),
        ] {
            assert_eq!(
                told(detail, timed),
                first,
                "{before:?} {after:?} {detail:?} {timed}"
            );
        }
        first
    }

    #[test]
    fn what_moves_up_is_not_altered() {
        let before = ["a", "b", "c", "d", "e"];
        for (after, expected) in [
            (&["a", "b", "c", "d", "e", "f"][..], ", 1 new"),
            (&["b", "c", "d", "e"], "1 message-lost, 0 new"),
            (&["a", "c", "d", "e"], "1 message-lost, 0 new"),
            (&["a", "b", "c", "e"], "1 message-lost, 0 new"),
            (&["a", "b", "c", "d"], "1 message-lost, 0 new"),
            (&["a", "d", "e"], "2 message-lost, 0 new"),
            (&["b", "d"], "3 message-lost, 0 new"),
            // As a window over the last messages does.
            (&["b", "c", "d", "e", "f"], "1 message-lost, 1 new"),
            (&["c", "d", "e", "f", "g", "h"], "2 message-lost, 3 new"),
            (&["a", "x", "b", "c", "d", "e"], "1 backfilled, 0 new"),
            (&["x", "a", "b", "c", "d", "e", "f"], "1 backfilled, 1 new"),
            // What is another one, or in another place, is reported as before.
            (&["a", "x", "c", "d", "e"], "1 message-altered, 0 new"),
            (
                &["a", "x", "d", "e"],
                "1 message-lost, 1 message-altered, 0 new",
            ),
            (&["a", "c", "b", "d", "e"], "2 message-altered, 0 new"),
            (&["x", "y", "z", "d", "e", "f"], "3 message-altered, 1 new"),
        ] {
            assert_eq!(told(&before, after), expected, "{after:?}");
        }
    }

    /// The same word in several places does not lead astray.
    #[test]
    fn words_that_are_said_again_move_up_too() {
        let before = ["a", "ok", "b", "ok", "c", "ok", "d", "ok"];
        for at in 0..before.len() {
            let mut after = before.to_vec();
            after.remove(at);
            assert_eq!(told(&before, &after), "1 message-lost, 0 new", "{at}");
            after.push("f");
            // In the last one's place there is now another one, and nothing has moved.
            let expected = match at {
                7 => "1 message-altered, 0 new",
                _ => "1 message-lost, 1 new",
            };
            assert_eq!(told(&before, &after), expected, "{at}");
        }
        let after = ["b", "ok", "c", "ok", "d", "ok"];
        assert_eq!(told(&before, &after), "2 message-lost, 0 new");
    }

    #[test]
    fn whatever_is_taken_out_is_all_that_is_lost() {
        let mut random = fastrand::Rng::with_seed(7);
        for trial in 0..200 {
            let count = random.usize(4..16);
            let word = |at| match random.u8(..4) {
                0 => "ok".to_owned(),
                _ => format!("text {at}"),
            };
            let before: Vec<_> = (0..count).map(word).collect();
            let before: Vec<_> = before.iter().map(String::as_str).collect();
            let mut after = before.clone();
            let lost = random.usize(1..4);
            for _ in 0..lost {
                after.remove(random.usize(..after.len()));
            }
            let expected = format!("{lost} message-lost, 0 new");
            assert_eq!(told(&before, &after), expected, "trial {trial}");
        }
    }

    /// The last answer was still being written at the snapshot.
    #[test]
    fn what_was_being_written_moves_up_with_the_others() {
        let mut before = rows(&["a", "b", "c", "half"], false);
        before[3].state = State::Open;
        for (after, expected) in [
            (&["b", "c", "half"][..], (1, 0, 0)),
            (&["b", "c", "half", "d", "e"], (1, 2, 0)),
            (&["a", "b", "c", "half, whole"], (0, 0, 1)),
            (&["a", "b", "c", "half, whole", "d"], (0, 1, 1)),
        ] {
            for detail in [Detail::Messages, Detail::Sketch(512)] {
                let before = snapshot(&before, settings(detail));
                let mut now = rows(after, false);
                let half = now.iter_mut().find(|item| item.content == "half");
                if let Some(half) = half {
                    half.state = State::Open;
                }
                let found = compare(&before, &now);
                let lost = found.groups.get(&Code::MessageLost);
                let told = (
                    lost.map_or(0, |group| group.messages),
                    found.totals.appended,
                    found.totals.completed,
                );
                assert_eq!(told, expected, "{after:?}");
                assert_eq!(found.groups.len(), usize::from(lost.is_some()));
            }
        }
    }

    #[test]
    fn the_finding_says_what_became_of_the_others() {
        let before = snapshot(&rows(&["a", "b", "c"], false), settings(Detail::Messages));
        let found = compare(&before, &rows(&["a", "c"], false));
        let finding = found.findings(&Rules::default()).remove(0);
        assert_eq!(
            finding.evidence[0].fact,
            "message `c#1` (user) of conversation `c`: the messages after it have moved up to its place"
        );
    }
}
