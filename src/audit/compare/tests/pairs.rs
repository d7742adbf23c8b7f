//! Question and answer in one row: the answer may come later.

use super::super::trials::{key, settings};
use super::super::{Comparer, Comparison};
use super::{DETAILS, SKETCH, chats, codes, verdict};
use crate::audit::file;
use crate::audit::file::{Header, Mapping, Snapshot};
use crate::audit::snapshot_builder::{Detail, Late, SnapshotBuilder};
use crate::model::{Listed, StoredMessage};
use crate::report::Verdict;
use tempfile::TempDir;

/// Twenty rows of four conversations.
fn turns() -> Vec<StoredMessage> {
    let paired = |message: StoredMessage| StoredMessage {
        append: message.append.map(|append| append / 4),
        ..message
    };
    chats(40).into_iter().map(paired).collect()
}

fn without(gone: &[usize]) -> Vec<StoredMessage> {
    let kept = turns().into_iter().enumerate();
    let kept = kept.filter(|(number, _)| !gone.contains(number));
    kept.map(|(_, message)| message).collect()
}

fn taken(messages: &[StoredMessage], detail: Detail, empty: &[&str]) -> (Snapshot, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.cas");
    let mut builder = SnapshotBuilder::new(&key(), settings(detail)).unwrap();
    for message in messages {
        builder.add(message, Late::No).unwrap();
    }
    for name in empty {
        builder.add_conversation(name, Listed::Shown).unwrap();
    }
    let mut out = std::fs::File::create(&path).unwrap();
    file::write(
        &mut out,
        &Header::default(),
        builder.finish().unwrap(),
        &key(),
    )
    .unwrap();
    (file::open(&path, &key()).unwrap(), folder)
}

fn compared(
    before: &Snapshot,
    paired: bool,
    messages: &[StoredMessage],
    rows: &[(&str, Listed)],
) -> Comparison {
    let mapping = Mapping {
        paired,
        ..Mapping::default()
    };
    let mut comparer = Comparer::new(before, &mapping, settings(Detail::Auto)).unwrap();
    for (name, listed) in rows {
        comparer.add_conversation(name, *listed).unwrap();
    }
    for message in messages {
        comparer.add(&mut message.clone(), Late::No).unwrap();
    }
    comparer.finish().unwrap()
}

#[test]
fn an_answer_may_come_to_its_question() {
    for detail in DETAILS {
        let (before, _folder) = taken(&without(&[7]), detail, &[]);
        let found = compared(&before, true, &turns(), &[]);
        assert_eq!(codes(&found), [], "{detail:?}");
        if detail == Detail::Conversations {
            assert_eq!(verdict(&found).0, Verdict::Inconclusive);
        } else {
            assert_eq!((found.totals.appended, found.totals.intact), (1, 4));
        }
        // Where it is a row of its own, it came between older ones.
        let found = compared(&before, false, &turns(), &[]);
        assert_eq!(codes(&found), [("backfilled", 1)], "{detail:?}");
    }
}

#[test]
fn a_row_between_older_ones_is_no_late_answer() {
    for detail in [Detail::Messages, SKETCH] {
        let (before, _folder) = taken(&without(&[6, 7]), detail, &[]);
        let found = compared(&before, true, &turns(), &[]);
        assert_eq!(codes(&found), [("backfilled", 2)], "{detail:?}");
        let (before, _folder) = taken(&turns(), detail, &[]);
        let found = compared(&before, true, &without(&[7]), &[]);
        assert_eq!(codes(&found), [("message-lost", 1)], "{detail:?}");
    }
}

#[test]
fn an_empty_answer_is_none() {
    let mut empty = turns();
    empty[7].content.clear();
    for detail in [Detail::Messages, SKETCH] {
        let (before, _folder) = taken(&empty, detail, &[]);
        let found = compared(&before, true, &without(&[7]), &[]);
        assert_eq!((codes(&found), found.totals.unjudged), (vec![], 1));
        let found = compared(&before, false, &without(&[7]), &[]);
        assert_eq!(codes(&found), [("message-lost", 1)], "{detail:?}");
    }
}

#[test]
fn conversations_without_messages_are_counted_when_they_go() {
    let (before, _folder) = taken(&chats(40), Detail::Messages, &["a", "b", "c"]);
    let rows = [("b", Listed::Deleted), ("c", Listed::Shown)];
    let found = compared(&before, false, &chats(40), &rows);
    assert_eq!((codes(&found), found.totals.gone_empty), (vec![], 2));
    let (verdict, why) = verdict(&found);
    assert_eq!(verdict, Verdict::Held);
    assert!(
        why.contains("2 conversations without messages are gone"),
        "{why}"
    );
    let rows = ["a", "b", "c"].map(|name| (name, Listed::Shown));
    let found = compared(&before, false, &chats(40), &rows);
    assert_eq!(found.totals.gone_empty, 0);
}
