//! Attachments and reasoning, and messages that several conversations share.

use super::super::trials::{TAKEN, compare, settings, snapshot};
use super::{SKETCH, chats, codes, verdict};
use crate::audit::snapshot_builder::Detail;
use crate::model::StoredMessage;
use crate::report::Verdict;

#[test]
fn an_attachment_or_a_reasoning_that_is_gone_alters_its_message() {
    let mut before = chats(40);
    before[6].attachments = 2;
    before[13].reasoning = true;
    before[20].others = 2;
    for detail in [Detail::Messages, SKETCH] {
        let taken = snapshot(&before, settings(detail));
        let (held, told) = verdict(&compare(&taken, &before));
        assert_eq!(held, Verdict::Held);
        assert!(
            told.ends_with(
                "the attachments, the reasoning and the parts of other kinds of 3 messages were only counted, not compared"
            ),
            "{told}"
        );
        let changes: [fn(&mut Vec<StoredMessage>); 4] = [
            |after| after[6].attachments = 0,
            |after| after[6].attachments = 1,
            |after| after[13].reasoning = false,
            |after| after[20].others = 1,
        ];
        for change in changes {
            let mut after = before.clone();
            change(&mut after);
            assert_eq!(codes(&compare(&taken, &after)), [("message-altered", 1)]);
        }
    }
}

/// A branch of a chat begins with the same messages.
#[test]
fn a_branch_shares_its_beginning() {
    let before = chats(40);
    let taken = snapshot(&before, settings(Detail::Messages));
    let branch = |key: &str| {
        let of_it = before[10..14].iter().map(|message| StoredMessage {
            conversation: Some(key.to_owned()),
            ..message.clone()
        });
        of_it.collect::<Vec<_>>()
    };
    let new = StoredMessage {
        conversation: Some("c9".to_owned()),
        time: Some(TAKEN + 1),
        append: Some(1_000),
        ..StoredMessage::new("new", crate::model::Role::User, "another way")
    };
    let with = |more: Vec<StoredMessage>| [before.clone(), more].concat();
    let found = compare(&taken, &with([branch("c9"), vec![new]].concat()));
    assert!(found.intact(), "{:?}", codes(&found));
    assert_eq!((found.totals.new, found.totals.appended), (1, 5));
    // In a conversation that was there, the same messages have come in between.
    let found = compare(&taken, &with(branch("c2")));
    assert_eq!(codes(&found), [("backfilled", 4)]);
    // Others than those of the snapshot have too, whatever their conversation is.
    let mut other = branch("c9");
    other[1].content.push_str(" (edited)");
    assert_eq!(codes(&compare(&taken, &with(other))), [("backfilled", 1)]);
    // What went to another conversation is not shared.
    let mut moved = with(branch("c9"));
    moved.drain(10..14);
    assert_eq!(codes(&compare(&taken, &moved)), [("message-moved", 4)]);
}
