//! What the random trials do not reach: open and late messages, files, floods, words.

mod edits;
mod ordered;
mod pairs;
mod parts;
mod times;
mod young;

use super::trials::{TAKEN, compare, compare_late, key, settings, snapshot};
use super::{Allow, Code, Comparer, Comparison, Rules, compare_files};
use crate::audit::file;
use crate::audit::file::{Header, Mapping};
use crate::audit::snapshot_builder::{Detail, Late, Names, Settings, SnapshotBuilder};
use crate::model::{Listed, Role, State, StoredMessage};
use crate::report::{Severity, Verdict};

const SKETCH: Detail = Detail::Sketch(512);
const DETAILS: [Detail; 3] = [Detail::Messages, SKETCH, Detail::Conversations];

/// `count` messages in turn, ten in a conversation.
fn chats(count: i64) -> Vec<StoredMessage> {
    (0..count).map(message).collect()
}

fn message(number: i64) -> StoredMessage {
    StoredMessage {
        conversation: Some(format!("c{}", number / 10)),
        time: Some(TAKEN - 1_000_000_000 + number),
        append: Some(number * 2),
        ..StoredMessage::new(
            format!("m{number}"),
            [Role::User, Role::Assistant][number as usize % 2].clone(),
            format!("text {number}"),
        )
    }
}

/// A message behind the others.
fn later(number: i64) -> StoredMessage {
    StoredMessage {
        time: Some(TAKEN + number),
        append: Some(1_000_000 + number),
        ..message(number)
    }
}

fn codes(found: &Comparison) -> Vec<(&'static str, u64)> {
    let all = found.groups.iter();
    all.map(|(code, group)| (code.kind().name, group.messages))
        .collect()
}

#[test]
fn an_open_message_may_be_finished() {
    for detail in [Detail::Messages, SKETCH, Detail::Conversations] {
        let mut before = chats(40);
        before[5].state = State::Open;
        before[7].state = State::Open;
        let snapshot = snapshot(&before, settings(detail));
        let mut after = before.clone();
        after[5].state = State::Whole;
        after[5].content.push_str(" and more");
        let found = compare(&snapshot, &after);
        assert!(found.intact(), "{:?}", codes(&found));
        assert_eq!((found.totals.completed, found.totals.still_open), (1, 1));
        assert_eq!(found.totals.intact, 4);
        let files = compare_files(&snapshot, &self::snapshot(&after, settings(detail))).unwrap();
        assert!(files.groups.is_empty(), "{:?}", codes(&files));
        // A row that is gone is lost, however it was marked.
        after.remove(7);
        let found = compare(&snapshot, &after);
        assert_eq!(codes(&found), [("message-lost", 1)]);
        let finding = found.findings(&Rules::default()).remove(0);
        assert_eq!(finding.severity, Severity::Error);
        let files = compare_files(&snapshot, &self::snapshot(&after, settings(detail))).unwrap();
        assert_eq!(
            verdict(&files).0,
            match detail {
                // Of the one that settled nothing is known but that one more is there.
                Detail::Conversations => Verdict::Inconclusive,
                _ => Verdict::Violated,
            }
        );
    }
}

/// What a comparison comes to.
fn verdict(found: &Comparison) -> (Verdict, String) {
    let rules = Rules::default();
    let findings = found.findings(&rules);
    let errors = findings.iter().filter(|it| it.severity == Severity::Error);
    found.verdict(&rules, errors.count())
}

/// In files it can't be looked for by itself.
#[test]
fn an_open_message_that_is_in_no_later_file_is_lost() {
    let mut before = chats(40);
    before[39].time = Some(TAKEN - 55_000_000);
    let later = |messages: &[StoredMessage], detail| {
        let settings = Settings {
            detail,
            ..Settings::at(TAKEN + 3_600_000_000)
        };
        snapshot(messages, settings)
    };
    for detail in DETAILS {
        let settings = Settings {
            detail,
            ..Settings::at(TAKEN)
        };
        let first = snapshot(&before, settings);
        let same = compare_files(&first, &later(&before, detail)).unwrap();
        let gone = compare_files(&first, &later(&before[..39], detail)).unwrap();
        assert_eq!(verdict(&gone).0, Verdict::Violated, "{detail:?}");
        let expected = match detail {
            Detail::Conversations => Verdict::Inconclusive,
            _ => Verdict::Held,
        };
        assert_eq!(verdict(&same).0, expected, "{detail:?}");
        // A flood that the sketch can't name hides none.
        if let Detail::Sketch(_) = detail {
            let mut flood = before.clone();
            flood.extend((2000..4000).map(self::later));
            flood.remove(39);
            let gone = compare_files(&first, &later(&flood, detail)).unwrap();
            assert_eq!(verdict(&gone).0, Verdict::Violated);
        }
    }
}

#[test]
fn a_conversation_that_is_deleted_for_the_user_is_lost() {
    for detail in DETAILS {
        let took = |listed| {
            let settings = settings(detail);
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("t.cas");
            let mut builder = SnapshotBuilder::new(&key(), settings).unwrap();
            for message in &chats(40) {
                builder.add(message, Late::No).unwrap();
            }
            for (number, listed) in [(0, Listed::Shown), (3, listed)] {
                builder
                    .add_conversation(&format!("c{number}"), listed)
                    .unwrap();
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
        };
        let [(shown, _one), (deleted, _other)] = [Listed::Shown, Listed::Deleted].map(took);
        let found = compare_files(&shown, &deleted).unwrap();
        assert_eq!(codes(&found), [("conversation-lost", 0)]);
        assert_eq!(verdict(&found).0, Verdict::Violated);
        for (before, after) in [(&deleted, &deleted), (&deleted, &shown), (&shown, &shown)] {
            assert_eq!(
                verdict(&compare_files(before, after).unwrap()).0,
                Verdict::Held
            );
        }
    }
}

#[test]
fn users_may_delete_some_and_not_all() {
    let before = snapshot(&chats(1000), settings(Detail::Messages));
    let rules = Rules {
        allow: vec![Allow::Delete],
        ..Rules::default()
    };
    // A hundred conversations: ten of them are as many as 5 %, or more.
    for (gone, severity) in [(10, Severity::Note), (11, Severity::Error)] {
        let found = compare(&before, &chats(1000)[gone * 10..]);
        assert_eq!(found.findings(&rules)[0].severity, severity, "{gone}");
        let errors = usize::from(severity == Severity::Error);
        let (verdict, why) = found.verdict(&rules, errors);
        match severity {
            Severity::Note => {
                assert_eq!(verdict, Verdict::Held);
                let expected = "900 of 1000 messages in 100 conversations are unchanged; \
                     100 are gone or changed, which `allow` lets users do";
                assert_eq!(why, expected);
            }
            _ => assert_eq!(verdict, Verdict::Violated),
        }
        let wider = Rules {
            share: 0.2,
            ..rules.clone()
        };
        assert_eq!(found.findings(&wider)[0].severity, Severity::Note);
    }
    // A store of two loses one to its user, and not both.
    let before = snapshot(&chats(20), settings(Detail::Messages));
    let found = compare(&before, &chats(20)[10..]);
    assert_eq!(found.findings(&rules)[0].severity, Severity::Note);
    let none = Rules {
        share: 0.0,
        ..rules.clone()
    };
    assert_eq!(found.findings(&none)[0].severity, Severity::Error);
    let found = compare(&before, &[]);
    assert_eq!(found.findings(&rules)[0].severity, Severity::Error);
    // One conversation may be most of the store.
    let mut uneven = chats(100);
    for message in &mut uneven[..60] {
        message.conversation = Some("c0".to_owned());
    }
    let before = snapshot(&uneven, settings(Detail::Messages));
    for (left, severity) in [
        (&uneven[..90], Severity::Note),
        (&uneven[60..], Severity::Error),
    ] {
        let found = compare(&before, left);
        assert_eq!(found.findings(&rules)[0].severity, severity);
    }
}

#[test]
fn too_many_new_messages_with_old_times_are_counted() {
    let before = snapshot(&chats(40), settings(Detail::Conversations));
    let mut after = chats(40);
    let old = |number: i64| StoredMessage {
        key: format!("import {number}"),
        time: Some(TAKEN - 1_000_000_000),
        content: format!("import {number}"),
        ..later(number % 40)
    };
    after.extend((0..100_003).map(old).map(|message| StoredMessage {
        append: Some(2_000_000),
        ..message
    }));
    let (verdict, why) = verdict(&compare(&before, &after));
    assert_eq!(verdict, Verdict::Held);
    assert!(
        why.contains("3 new ones with old times were not checked"),
        "{why}"
    );
}

/// A restore into a table that is full puts every row into it once more.
#[test]
fn copies_are_found_or_named_as_not_searched_for() {
    let mut after = chats(40);
    after.extend(chats(40).into_iter().enumerate().map(|(at, message)| {
        let copy = StoredMessage {
            key: format!("copy {at}"),
            ..message
        };
        StoredMessage {
            append: later(at as i64).append,
            ..copy
        }
    }));
    for detail in DETAILS {
        let before = snapshot(&chats(40), settings(detail));
        let found = compare(&before, &after);
        assert_eq!(codes(&found), [("message-duplicated", 40)], "{detail:?}");
        // New messages are no copies.
        let mut grown = chats(40);
        grown.extend((40..50).map(later));
        assert!(compare(&before, &grown).intact(), "{detail:?}");
    }
    let sketch = |messages: &[StoredMessage]| snapshot(messages, settings(SKETCH));
    let found = compare_files(&sketch(&chats(40)), &sketch(&after)).unwrap();
    let why = verdict(&found).1;
    assert!(
        why.contains("40 new ones with old times were not checked for copies"),
        "{why}"
    );
    let mut grown = chats(40);
    grown.extend((40..50).map(later));
    let found = compare_files(&sketch(&chats(40)), &sketch(&grown)).unwrap();
    assert!(!verdict(&found).1.contains("copies"));
}

#[test]
fn a_late_commit_is_no_backfill() {
    for detail in [Detail::Messages, SKETCH] {
        let snapshot = snapshot(&chats(40), settings(detail));
        let mut late = later(3);
        (late.key, late.append) = ("late".into(), Some(77));
        for (flag, told) in [(Late::Maybe, vec![]), (Late::No, vec![("backfilled", 1)])] {
            let mut comparer =
                Comparer::new(&snapshot, &Mapping::default(), settings(Detail::Auto)).unwrap();
            for message in &chats(40) {
                comparer.add(&mut message.clone(), flag).unwrap();
            }
            comparer.add(&mut late.clone(), flag).unwrap();
            let found = comparer.finish().unwrap();
            assert_eq!(codes(&found), told);
            assert_eq!(found.totals.late, u64::from(flag == Late::Maybe));
        }
    }
}

/// Of two equal rows of one transaction one may have a place before the mark and one behind it.
#[test]
fn what_is_new_on_both_sides_of_the_mark_is_no_copy() {
    for detail in [Detail::Messages, SKETCH] {
        let before = snapshot(&chats(40), settings(detail));
        for time in [TAKEN + 1, chats(40)[38].time.unwrap()] {
            let row = |append| StoredMessage {
                key: format!("new {append}"),
                append: Some(append),
                time: Some(time),
                content: "said twice in one transaction".into(),
                ..later(3)
            };
            let mut after = chats(40);
            // So that there is a second look.
            after[5].content.push('!');
            after.extend([row(77), row(1_000_000)]);
            let is_late = |message: &StoredMessage| match message.append {
                Some(77) => Late::Maybe,
                _ => Late::No,
            };
            let found = compare_late(&before, &after, is_late);
            assert_eq!(codes(&found), [("message-altered", 1)]);
            assert_eq!((found.totals.late, found.totals.appended), (1, 1));
            // A message that was there is copied to both sides of the mark.
            let copy = |append| StoredMessage {
                key: format!("copy {append}"),
                append: Some(append),
                ..chats(40).remove(7)
            };
            after.extend([copy(79), copy(1_000_001)]);
            let found = compare_late(&before, &after, is_late);
            let told = [("message-altered", 1), ("message-duplicated", 2)];
            assert_eq!(codes(&found), told);
        }
    }
}

#[test]
fn a_conversation_without_messages_is_emptied_or_lost() {
    for detail in [Detail::Messages, SKETCH, Detail::Conversations] {
        let snapshot = snapshot(&chats(40), settings(detail));
        let told = |row| {
            let mut comparer =
                Comparer::new(&snapshot, &Mapping::default(), settings(Detail::Auto)).unwrap();
            for message in &chats(30) {
                comparer.add(&mut message.clone(), Late::No).unwrap();
            }
            if row {
                comparer.add_conversation("c3", Listed::Shown).unwrap();
            }
            codes(&comparer.finish().unwrap())
        };
        assert_eq!(told(true), [("conversation-emptied", 10)]);
        assert_eq!(told(false), [("conversation-lost", 10)]);
    }
}

#[test]
fn a_key_that_is_given_again_is_id_reused_wherever_it_is() {
    for detail in [Detail::Messages, SKETCH] {
        let snapshot = snapshot(&chats(40), settings(detail));
        let mut after = chats(40);
        after[12] = StoredMessage {
            conversation: Some("c0".into()),
            append: after[12].append,
            content: "another user's words".into(),
            ..later(12)
        };
        assert_eq!(codes(&compare(&snapshot, &after)), [("id-reused", 1)]);
        // Where the append column is a time, the new one is behind the mark.
        after[12].append = Some(TAKEN);
        assert_eq!(codes(&compare(&snapshot, &after)), [("id-reused", 1)]);
    }
}

#[test]
fn two_files_tell_the_same_as_the_live_store() {
    for detail in [Detail::Messages, SKETCH] {
        let before = snapshot(&chats(60), settings(detail));
        let mut after = chats(60);
        after.extend((60..75).map(later));
        let grown = compare_files(&before, &snapshot(&after, settings(detail))).unwrap();
        assert!(grown.intact(), "{:?}", codes(&grown));
        assert_eq!((grown.totals.appended, grown.totals.intact), (15, 6));
        after.remove(33);
        after[12].content.push('!');
        let found = compare_files(&before, &snapshot(&after, settings(detail))).unwrap();
        assert_eq!(codes(&found), [("message-lost", 1), ("message-altered", 1)]);
        assert_eq!(found.totals.intact, 4);
    }
}

#[test]
fn beyond_its_sketch_it_still_shows_which_conversations() {
    for detail in [Detail::Sketch(16), Detail::Conversations] {
        let snapshot = snapshot(&chats(400), settings(detail));
        let mut after = chats(400);
        after.extend((400..430).map(later));
        after.retain(|message| message.key.len() < 4 || message.key.ends_with(['1', '2']));
        after[5].content.push('!');
        let found = compare(&snapshot, &after);
        assert_eq!(found.groups[&Code::MessageLost].conversations, 30);
        assert_eq!(found.groups[&Code::MessageLost].messages, 240);
        assert_eq!(found.groups[&Code::MessageAltered].conversations, 1);
        assert_eq!(found.groups.len(), 2);
        let files = compare_files(&snapshot, &self::snapshot(&after, settings(detail))).unwrap();
        assert_eq!(files.groups.len(), 2, "{:?}", codes(&files));
    }
}

#[test]
fn a_flood_is_counted_and_its_examples_are_cut() {
    let snapshot = snapshot(&chats(4000), settings(Detail::Messages));
    let found = compare(&snapshot, &chats(1000));
    assert_eq!(codes(&found), [("conversation-lost", 3000)]);
    let finding = found.findings(&Rules::default()).remove(0);
    assert_eq!(
        finding.harm,
        "300 conversations of the snapshot are gone with 3000 messages"
    );
    assert_eq!(finding.evidence.len(), 21);
    assert_eq!(finding.evidence[20].fact, "280 more of 300 are not shown");
}

#[test]
fn a_finding_names_what_it_can_and_heeds_what_is_allowed() {
    let [hidden, kept] = [Names::Hidden, Names::Kept].map(|names| {
        let settings = Settings {
            names,
            ..settings(Detail::Messages)
        };
        let mut after = chats(40);
        after.remove(13);
        compare(&snapshot(&chats(40), settings), &after)
    });
    let line = |found: &Comparison| {
        let finding = found.findings(&Rules::default()).remove(0);
        assert_eq!(finding.severity, Severity::Error);
        assert_eq!(finding.subject, "conversation `c1`");
        finding.evidence[0].fact.clone()
    };
    assert_eq!(
        line(&kept),
        "message `m13` (assistant, 2023-11-14T21:56:40.000Z) of conversation `c1`"
    );
    assert!(line(&hidden).starts_with("message #"), "{}", line(&hidden));
    let rules = |allow| Rules {
        allow: vec![allow],
        ..Rules::default()
    };
    let severity = |allow| kept.findings(&rules(allow))[0].severity;
    assert_eq!(severity(Allow::Delete), Severity::Note);
    assert_eq!(severity(Allow::Edit), Severity::Error);
    assert_eq!(severity(Allow::Clear), Severity::Error);
    let mut cleared = chats(40);
    cleared.retain(|message| message.conversation.as_deref() != Some("c1"));
    let found = compare(&snapshot(&chats(40), settings(Detail::Messages)), &cleared);
    let cleared = &found.findings(&rules(Allow::Clear))[0];
    assert_eq!(
        (cleared.code, cleared.severity),
        ("conversation-lost", Severity::Note)
    );
}

#[test]
fn a_shift_of_all_times_is_reported_as_one() {
    let mut after = chats(40);
    for message in &mut after {
        message.time = message.time.map(|time| time + 3_600_000_000);
    }
    let found = compare(&snapshot(&chats(40), settings(SKETCH)), &after);
    let finding = found.findings(&Rules::default()).remove(0);
    assert_eq!(finding.code, "times-shifted");
    assert_eq!(finding.evidence[0].fact, "all by +3600 s");
}

#[test]
fn another_mapping_is_refused() {
    let snapshot = snapshot(&chats(1), settings(SKETCH));
    let other = Mapping {
        name: "notes".into(),
        digest: "x".into(),
        ..Mapping::default()
    };
    let stop = Comparer::new(&snapshot, &other, settings(Detail::Auto)).unwrap_err();
    assert!(stop.to_string().contains("another mapping"));
}

#[test]
fn an_empty_store_may_grow() {
    let snapshot = snapshot(&[], settings(Detail::Auto));
    let found = compare(&snapshot, &chats(5));
    assert!(found.intact() && found.totals.appended == 5);
}

#[test]
fn a_row_that_was_deleted_for_the_user_may_go() {
    for detail in [Detail::Messages, SKETCH] {
        let mut before = chats(40);
        before[7].state = State::Deleted;
        let snapshot = snapshot(&before, settings(detail));
        let mut cleared = before.clone();
        cleared[7].content.clear();
        let found = compare(&snapshot, &cleared);
        assert!(found.intact() && found.totals.purged == 1);
        before.remove(7);
        let found = compare(&snapshot, &before);
        assert!(found.intact() && found.totals.purged == 1);
    }
}

#[test]
fn many_messages_make_a_sketch_unless_there_is_no_append_column() {
    let few = Settings {
        most_messages: 30,
        ..settings(Detail::Auto)
    };
    let mut messages = chats(40);
    let many = snapshot(&messages, few.clone());
    assert!(!many.has_messages() && many.cell_count().is_some());
    assert!(snapshot(&messages[..30], few.clone()).has_messages());
    for message in &mut messages {
        message.append = None;
    }
    assert!(snapshot(&messages, few).has_messages());
}
