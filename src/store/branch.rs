//! Which of several branches a user sees: the way from the current leaf back to the first message.

use crate::model::{Role, StoredMessage};
use std::collections::{HashMap, HashSet};

/// Marks the messages on the way to the current leaf and puts them first, in the order of the way.
///
/// With a `tip` that is there, the way is its ancestors. Without one only messages that
/// name the same one before them are branches of each other, and the latest counts: stores
/// that link only an answer to its question have a new beginning with each question.
pub(super) fn mark(messages: &mut Vec<StoredMessage>, tip: Option<&str>) {
    let places: HashMap<&str, usize> = messages
        .iter()
        .enumerate()
        .map(|(at, message)| (message.key.as_str(), at))
        .collect();
    let parent = |at: usize| {
        let parent = messages[at].parent.as_deref()?;
        places.get(parent).copied()
    };
    let way = match tip.and_then(|tip| places.get(tip)) {
        Some(tip) => {
            let mut way = ancestors(*tip, parent);
            way.reverse();
            way
        }
        None => {
            let left = left_behind(messages, parent);
            (0..messages.len())
                .filter(|at| !left.contains(at))
                .collect()
        }
    };
    if way.len() == messages.len() && way.is_sorted() {
        return;
    }
    let on: HashSet<_> = way.iter().copied().collect();
    let off = (0..messages.len()).filter(|at| !on.contains(at));
    let order: Vec<_> = way.iter().copied().chain(off).collect();
    let mut taken: Vec<_> = std::mem::take(messages).into_iter().map(Some).collect();
    for (place, at) in order.into_iter().enumerate() {
        let mut message = taken[at].take().expect("each place is named once");
        message.on_branch = place < way.len();
        messages.push(message);
    }
}

/// A message and those before it; a circle ends where it closes.
fn ancestors(from: usize, parent: impl Fn(usize) -> Option<usize>) -> Vec<usize> {
    let mut seen = HashSet::new();
    let way = std::iter::successors(Some(from), |at| parent(*at));
    way.take_while(|at| seen.insert(*at)).collect()
}

/// The messages of branches that were left: a question that was asked again in other words, an
/// answer that was made again, and all that follow it. Results of several tools stand side by side.
fn left_behind(
    messages: &[StoredMessage],
    parent: impl Fn(usize) -> Option<usize>,
) -> HashSet<usize> {
    let mut latest: HashMap<(usize, &str), usize> = HashMap::new();
    let place = |at: usize| Some((parent(at)?, messages[at].role.word()));
    for at in 0..messages.len() {
        if let Some(place) = place(at) {
            latest.insert(place, at);
        }
    }
    let was_left = |at: usize| {
        let speaks = !matches!(messages[at].role, Role::Other(_));
        speaks && place(at).is_some_and(|place| latest[&place] != at)
    };
    let mut known: HashMap<usize, bool> = HashMap::new();
    for at in 0..messages.len() {
        let mut way = ancestors(at, |at| parent(at).filter(|_| !known.contains_key(&at)));
        let end = way.last().copied().unwrap_or(at);
        let mut left = known.get(&end).copied().unwrap_or(false);
        // From the beginning on: what follows a message that was left is left too.
        while let Some(at) = way.pop() {
            left |= was_left(at);
            known.insert(at, left);
        }
    }
    known
        .into_iter()
        .filter_map(|(at, left)| left.then_some(at))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::mark;
    use crate::model::{Role, StoredMessage};

    fn messages(links: &[(&str, &str)]) -> Vec<StoredMessage> {
        let message = |(key, parent): &(&str, &str)| StoredMessage {
            parent: Some((*parent).to_owned()).filter(|parent| !parent.is_empty()),
            ..StoredMessage::new(*key, Role::User, "")
        };
        links.iter().map(message).collect()
    }

    fn marked(links: &[(&str, &str)], tip: Option<&str>) -> (String, String) {
        let mut messages = messages(links);
        mark(&mut messages, tip);
        let keys = |on: bool| {
            let some = messages.iter().filter(|message| message.on_branch == on);
            some.map(|message| message.key.as_str()).collect::<String>()
        };
        (keys(true), keys(false))
    }

    #[test]
    fn the_tip_shows_the_way() {
        let tree = [("a", ""), ("b", "a"), ("c", "b"), ("d", "a"), ("e", "d")];
        assert_eq!(marked(&tree, Some("c")), ("abc".into(), "de".into()));
        assert_eq!(marked(&tree, Some("e")), ("ade".into(), "bc".into()));
        // Without a tip the latest child counts.
        assert_eq!(marked(&tree, None), ("ade".into(), "bc".into()));
        assert_eq!(marked(&tree, Some("gone")), ("ade".into(), "bc".into()));
    }

    #[test]
    fn stores_that_link_answers_only_have_no_branches() {
        let pairs = [("a", ""), ("b", "a"), ("c", ""), ("d", "c")];
        assert_eq!(marked(&pairs, None), ("abcd".into(), String::new()));
    }

    #[test]
    fn a_circle_and_a_dangling_link_end() {
        let circle = [("a", "b"), ("b", "a")];
        assert_eq!(marked(&circle, Some("a")).0.len(), 2);
        assert_eq!(marked(&circle, None).0.len(), 2);
        assert_eq!(marked(&[("a", "gone"), ("b", "a")], None).0, "ab");
    }

    #[test]
    fn results_of_two_tools_are_no_branches() {
        let mut messages = messages(&[("a", ""), ("b", "a"), ("c", "a"), ("d", "c")]);
        for message in &mut messages[1..3] {
            message.role = Role::Other("tool".into());
        }
        mark(&mut messages, None);
        assert!(messages.iter().all(|message| message.on_branch));
    }

    #[test]
    fn links_order_what_the_rows_order_does_not() {
        assert_eq!(marked(&[("b", "a"), ("a", "")], Some("b")).0, "ab");
    }
}
