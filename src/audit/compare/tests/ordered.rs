//! The order of messages, where it is more than keys, times and places say.

use super::super::trials::{TAKEN, key, settings};
use super::super::{Comparer, Comparison, compare_files};
use super::{DETAILS, chats, codes, verdict};
use crate::audit::file;
use crate::audit::file::{Header, Mapping, Snapshot};
use crate::audit::snapshot_builder::{Detail, Late, Settings, SnapshotBuilder};
use crate::model::{OrderKey, StoredMessage};
use crate::report::Verdict;
use tempfile::TempDir;

fn mapping(columns: &[&str]) -> Mapping {
    Mapping {
        order: columns.iter().map(|name| (*name).to_owned()).collect(),
        ..Mapping::default()
    }
}

fn at(position: i128, message: &StoredMessage) -> StoredMessage {
    let mut values = [0; OrderKey::MOST];
    values[0] = position;
    StoredMessage {
        order: Some(OrderKey {
            values,
            exact: true,
        }),
        ..message.clone()
    }
}

/// Forty messages of four conversations, each with its position from 0.
fn ordered() -> Vec<StoredMessage> {
    let numbered = (0..).zip(chats(40));
    numbered
        .map(|(number, message)| at(number % 10, &message))
        .collect()
}

fn taken(messages: &[StoredMessage], columns: &[&str], settings: Settings) -> (Snapshot, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.cas");
    let mut builder = SnapshotBuilder::new(&key(), settings).unwrap();
    for message in messages {
        builder.add(message, Late::No).unwrap();
    }
    let mut out = std::fs::File::create(&path).unwrap();
    let header = Header {
        mapping: mapping(columns),
        ..Header::default()
    };
    file::write(&mut out, &header, builder.finish().unwrap(), &key()).unwrap();
    (file::open(&path, &key()).unwrap(), folder)
}

fn compared(before: &Snapshot, columns: &[&str], messages: &[StoredMessage]) -> Comparison {
    let settings = settings(Detail::Auto);
    let mut comparer = Comparer::new(before, &mapping(columns), settings).unwrap();
    for message in messages {
        comparer.add(&mut message.clone(), Late::No).unwrap();
    }
    comparer.finish().unwrap()
}

/// What is found in the live store, and in a later file.
fn found(detail: Detail, after: &[StoredMessage]) -> Vec<Comparison> {
    let (before, _kept) = taken(&ordered(), &["position"], settings(detail));
    let later = Settings {
        taken: TAKEN + 1_000_000,
        ..settings(detail)
    };
    let (file, _kept) = taken(after, &["position"], later);
    vec![
        compared(&before, &["position"], after),
        compare_files(&before, &file).unwrap(),
    ]
}

fn renumbered(position: impl Fn(i128) -> i128) -> Vec<StoredMessage> {
    let all = ordered().into_iter();
    all.map(|message| {
        let was = message.order.unwrap().values[0];
        match message.conversation.as_deref() {
            Some("c1") => at(position(was), &message),
            _ => message,
        }
    })
    .collect()
}

#[test]
fn messages_in_another_order_are_altered() {
    for detail in DETAILS {
        let all = match detail {
            Detail::Messages => [9, 1, 9],
            _ => [1, 1, 1],
        };
        let swapped = |was| match was {
            3 => 4,
            4 => 3,
            other => other,
        };
        for (after, count) in [
            (renumbered(|was| 9 - was), all[0]),
            (renumbered(swapped), all[1]),
            // Nothing orders them any more.
            (renumbered(|_| 0), all[2]),
        ] {
            for found in found(detail, &after) {
                assert_eq!(codes(&found), [("message-altered", count)], "{detail:?}");
                assert_eq!(verdict(&found).0, Verdict::Violated);
                assert_eq!(found.totals.intact, 3, "{detail:?}");
            }
        }
    }
}

#[test]
fn other_numbers_in_the_same_order_are_no_change() {
    for detail in DETAILS {
        for after in [
            ordered(),
            renumbered(|was| was + 1),
            renumbered(|was| was * 10),
            renumbered(|was| was * was - 1_000),
        ] {
            for found in found(detail, &after) {
                assert!(found.intact(), "{detail:?} {:?}", codes(&found));
                let (verdict, told) = verdict(&found);
                assert_eq!(verdict, Verdict::Held);
                assert!(!told.contains("order"), "{told}");
            }
        }
    }
}

/// What is new may come anywhere, and what was there keeps its order.
#[test]
fn new_messages_and_lost_ones_move_no_other() {
    let new = |place| StoredMessage {
        key: "new".to_owned(),
        append: Some(1_000),
        time: Some(TAKEN + 1),
        ..at(place, &ordered()[12])
    };
    for place in [-1, 4, 100] {
        let mut after = renumbered(|was| was * 3);
        after.push(new(place));
        for found in found(Detail::Messages, &after) {
            assert!(found.intact(), "{:?}", codes(&found));
        }
        let (before, _kept) = taken(&ordered(), &["position"], settings(Detail::Conversations));
        assert!(compared(&before, &["position"], &after).intact());
        after.remove(15);
        for found in found(Detail::Messages, &after) {
            assert_eq!(codes(&found), [("message-lost", 1)]);
        }
    }
}

/// Without ranks, nobody knows in which order those are that are left.
#[test]
fn what_is_not_compared_is_said() {
    let mut after = renumbered(|was| 9 - was);
    after.remove(15);
    let (before, _kept) = taken(&ordered(), &["position"], settings(Detail::Conversations));
    let lost = compared(&before, &["position"], &after);
    assert_eq!(lost.totals.unordered, 1);
    let told = verdict(&lost).1;
    assert!(
        told.contains("the order of messages in 1 conversation was not compared"),
        "{told}"
    );

    let reversed = renumbered(|was| 9 - was);
    let other = compared(&before, &["seq"], &reversed);
    let (held, told) = verdict(&other);
    assert_eq!(held, Verdict::Held);
    assert!(
        told.ends_with("not compared: other columns order them now than at the snapshot"),
        "{told}"
    );
}
