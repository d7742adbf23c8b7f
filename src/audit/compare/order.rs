//! Whether the messages of a conversation are still in the same order.

use super::facts::{Facts, MOST};
use super::merge::{Pair, Records, by_conversation, pairs};
use crate::audit::entry::Id;
use crate::audit::file::{Mapping, Snapshot};
use crate::audit::order::{Orders, Ranked, Sequence, Ties};
use std::collections::{HashMap, HashSet};

/// What of the order is known of one side.
pub(super) enum Order {
    None,
    Ranks(Records<Ranked>),
    Sequences(Records<Sequence>),
}

impl Order {
    /// The live store's.
    pub(super) fn live(orders: Orders) -> Self {
        match orders {
            Orders::None => Self::None,
            Orders::Ranks(ranks) => Self::Ranks(Box::new(ranks.map(|it| Ok(it?)))),
            Orders::Sequences(all) => Self::Sequences(Box::new(all.map(|it| Ok(it?)))),
            Orders::Sums(sums) => Self::Sequences(Box::new(sums.map(|it| Ok(it?)))),
        }
    }

    /// A snapshot's.
    pub(super) fn file(snapshot: &Snapshot) -> anyhow::Result<Self> {
        if let Some(ranks) = snapshot.ranks()? {
            return Ok(Self::Ranks(Box::new(ranks)));
        }
        let sequences = snapshot.sequences()?;
        Ok(sequences.map_or(Self::None, |all| Self::Sequences(Box::new(all))))
    }
}

/// Why the order of messages is not compared although one of the sides has one.
pub(super) fn not_compared(
    before: &Snapshot,
    after: &Mapping,
    is_old: bool,
) -> Option<&'static str> {
    let (then, now) = (&before.header.mapping.order, &after.order);
    if before.is_of_second_version() {
        (!now.is_empty()).then_some(
            "the snapshot was taken by an older version of chatctl, which did not record it",
        )
    } else if is_old {
        (!then.is_empty()).then_some(
            "the later snapshot was taken by an older version of chatctl, which did not record it",
        )
    } else {
        (then != now).then_some(OTHER_COLUMNS)
    }
}

pub(super) const OTHER_COLUMNS: &str = "other columns order them now than at the snapshot";

/// Whether places are times on one side and numbers on the other one: then they cannot be compared.
pub(super) fn is_of_other_kind(before: &Mapping, after: &Mapping) -> bool {
    let kinds = before.by_time.zip(after.by_time);
    kinds.is_some_and(|(before, after)| before != after)
}

/// Finds messages and conversations that are in another order.
pub(super) fn compare(before: Order, after: Order, facts: &mut Facts) -> anyhow::Result<()> {
    match (before, after) {
        (Order::Ranks(before), Order::Ranks(after)) => ranks(before, after, facts),
        (Order::Sequences(before), Order::Sequences(after)) => sequences(before, after, facts),
        (Order::None, Order::None) => Ok(()),
        (before, Order::None | Order::Ranks(_) | Order::Sequences(_)) => {
            facts.totals.unordered += match before {
                Order::None => 0,
                Order::Ranks(_) | Order::Sequences(_) => facts.totals.conversations,
            };
            Ok(())
        }
    }
}

fn ranks(before: Records<Ranked>, after: Records<Ranked>, facts: &mut Facts) -> anyhow::Result<()> {
    let of = |ranked: &Ranked| ranked.conversation;
    by_conversation([before, after], of, |id, old, new| {
        let moved = moved(old, new);
        if moved.is_empty() {
            return;
        }
        if facts.complete || !facts.changed.iter().any(|(was, _)| was.id == id) {
            facts.same.insert(id);
        }
        let room = MOST.saturating_sub(facts.moved.len());
        facts
            .moved
            .extend(moved.into_iter().take(room).map(|message| (id, message)));
    })
}

/// The fewest messages without which all that are on both sides come in the same order.
fn moved(old: &[Ranked], new: &[Ranked]) -> Vec<Id> {
    let then = once(old);
    let now = once(new);
    let mut both: Vec<_> = new
        .iter()
        .filter(|it| now.contains_key(&it.message))
        .filter_map(|it| Some((it.rank, *then.get(&it.message)?, it.exact, it.message)))
        .collect();
    both.sort_unstable();
    let mut moved = Vec::new();
    // What had an order, and has none any more.
    let mut first: Option<(u32, u32)> = None;
    both.retain(|(rank, was, exact, message)| match first {
        Some((tied, of_first)) if tied == *rank && *exact && of_first != *was => {
            moved.push(*message);
            false
        }
        Some((tied, _)) if tied == *rank => true,
        Some(_) | None => {
            first = Some((*rank, *was));
            true
        }
    });
    let kept = longest(&both.iter().map(|(_, was, ..)| *was).collect::<Vec<_>>());
    let mut kept = kept.into_iter().peekable();
    for (at, (.., message)) in both.iter().enumerate() {
        if kept.next_if_eq(&at).is_none() {
            moved.push(*message);
        }
    }
    moved
}

/// The rank of each message whose key is there once.
fn once(ranked: &[Ranked]) -> HashMap<Id, u32> {
    let mut found = HashMap::with_capacity(ranked.len());
    let mut twice = HashSet::new();
    for it in ranked {
        if found.insert(it.message, it.rank).is_some() {
            twice.insert(it.message);
        }
    }
    found.retain(|message, _| !twice.contains(message));
    found
}

/// Where the numbers of the longest row are that does not fall.
fn longest(numbers: &[u32]) -> Vec<usize> {
    // The place of the least number that a row of each length ends with.
    let mut ends: Vec<usize> = Vec::new();
    let mut before = vec![None; numbers.len()];
    for (at, number) in numbers.iter().enumerate() {
        let length = ends.partition_point(|end| numbers[*end] <= *number);
        before[at] = length.checked_sub(1).map(|shorter| ends[shorter]);
        if length == ends.len() {
            ends.push(at);
        } else {
            ends[length] = at;
        }
    }
    let mut row: Vec<_> = std::iter::successors(ends.last().copied(), |at| before[*at]).collect();
    row.reverse();
    row
}

fn sequences(
    before: Records<Sequence>,
    after: Records<Sequence>,
    facts: &mut Facts,
) -> anyhow::Result<()> {
    let changed: HashSet<_> = facts.changed.iter().map(|(was, _)| was.id).collect();
    let unknown = facts.uncounted[2] > 0;
    let of = |it: &Sequence| it.conversation;
    pairs(before, after, of, |pair| {
        let Pair::Both(was, is) = pair else {
            return;
        };
        if was == is || was.messages < 2 {
            return;
        }
        // Another sequence is another order only of the same messages.
        let is_known =
            was.messages == is.messages && !unknown && !changed.contains(&is.conversation);
        let has_order = was.ties == Ties::None && is.ties != Ties::Perhaps;
        if is_known && has_order && facts.reordered.len() < MOST {
            facts.same.insert(is.conversation);
            facts.reordered.push(is.conversation);
        } else {
            facts.totals.unordered += 1;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{longest, moved};
    use crate::audit::entry::Id;
    use crate::audit::order::Ranked;

    fn ranked(ranks: &[(u8, u32)], exact: bool) -> Vec<Ranked> {
        let one = |(message, rank): &(u8, u32)| Ranked {
            conversation: Id([0; 16]),
            message: Id([*message; 16]),
            rank: *rank,
            exact,
        };
        ranks.iter().map(one).collect()
    }

    fn told(old: &[(u8, u32)], new: &[(u8, u32)]) -> Vec<u8> {
        let found = moved(&ranked(old, true), &ranked(new, true));
        let mut found: Vec<_> = found.iter().map(|id| id.0[0]).collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn the_fewest_messages_are_blamed() {
        let old = [(1, 0), (2, 1), (3, 2), (4, 3)];
        assert_eq!(told(&old, &old), [] as [u8; 0]);
        assert_eq!(told(&old, &[(1, 0), (3, 1), (2, 2), (4, 3)]).len(), 1);
        assert_eq!(told(&old, &[(4, 0), (3, 1), (2, 2), (1, 3)]).len(), 3);
        assert_eq!(told(&old, &[(2, 0), (3, 1), (4, 2), (1, 3)]), [1]);
    }

    /// What came or went in between moves nobody.
    #[test]
    fn only_what_is_on_both_sides_counts() {
        let old = [(1, 0), (2, 1), (3, 2)];
        assert_eq!(told(&old, &[(1, 0), (3, 1)]), [] as [u8; 0]);
        assert_eq!(
            told(&old, &[(9, 0), (1, 1), (8, 2), (2, 3), (3, 4)]),
            [] as [u8; 0]
        );
        assert_eq!(told(&old, &[(9, 0), (2, 1), (8, 2), (1, 3)]).len(), 1);
        // A key that appears twice says nothing.
        assert_eq!(told(&old, &[(3, 0), (1, 1), (2, 2), (3, 3)]), [] as [u8; 0]);
    }

    #[test]
    fn an_order_that_is_gone_is_a_change_and_one_that_came_is_none() {
        let (strict, tied) = ([(1, 0), (2, 1), (3, 2)], [(1, 0), (2, 0), (3, 0)]);
        assert_eq!(told(&strict, &tied), [2, 3]);
        assert_eq!(told(&tied, &strict), [] as [u8; 0]);
        assert_eq!(told(&tied, &[(3, 0), (2, 1), (1, 2)]), [] as [u8; 0]);
        // Two long texts that begin alike may differ.
        let looks_tied = moved(&ranked(&strict, false), &ranked(&tied, false));
        assert!(looks_tied.is_empty());
    }

    #[test]
    fn the_longest_row_is_found() {
        assert_eq!(longest(&[]), [] as [usize; 0]);
        assert_eq!(longest(&[3, 1, 2, 2, 0]), [1, 2, 3]);
    }
}
