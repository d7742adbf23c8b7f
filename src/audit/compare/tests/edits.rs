//! What users may change, and what they may not.

use super::{
    Allow, Code, Comparison, Role, Rules, Severity, State, StoredMessage, TAKEN, chats, compare,
    settings, snapshot,
};
use crate::audit::snapshot_builder::Detail;
use crate::model::ToolCall;

fn severity(found: &Comparison, code: Code) -> Severity {
    let rules = Rules {
        allow: vec![Allow::Edit, Allow::Delete],
        ..Rules::default()
    };
    let findings = found.findings(&rules);
    let name = code.kind().name;
    let finding = findings.iter().find(|finding| finding.code == name);
    finding.unwrap_or_else(|| panic!("no {name}")).severity
}

fn row(number: i64) -> StoredMessage {
    let parent = (number % 10 > 0).then(|| format!("m{}", number - 1));
    StoredMessage {
        parent,
        ..chats(number + 1).remove(number as usize)
    }
}

fn rows() -> Vec<StoredMessage> {
    (0..40).map(row).collect()
}

/// A user changes the text of a message, and not whose it is, where it is or when it was made.
#[test]
fn only_another_text_is_an_edit() {
    let before = snapshot(&rows(), settings(Detail::Messages));
    let changed = |change: fn(&mut StoredMessage)| {
        let mut after = rows();
        change(&mut after[15]);
        compare(&before, &after)
    };
    let found = changed(|row| row.content.push('!'));
    assert_eq!(severity(&found, Code::MessageAltered), Severity::Note);
    let beyond: [fn(&mut StoredMessage); 4] = [
        |row| row.role = Role::User,
        |row| row.parent = Some("m11".into()),
        |row| row.append = Some(29),
        |row| row.key = "m900".into(),
    ];
    for change in beyond {
        let found = changed(change);
        assert_eq!(severity(&found, Code::MessageAltered), Severity::Error);
    }
    // Another text does not hide it.
    let with_text: [fn(&mut StoredMessage); 4] = [
        |row| row.role = Role::User,
        |row| row.parent = Some("m11".into()),
        |row| row.append = Some(29),
        |row| row.time = Some(TAKEN - 7),
    ];
    for change in with_text {
        let mut after = rows();
        change(&mut after[15]);
        after[15].content.push('!');
        let found = compare(&before, &after);
        assert_eq!(severity(&found, Code::MessageAltered), Severity::Error);
    }
    let found = changed(|row| row.time = Some(TAKEN - 7));
    assert_eq!(severity(&found, Code::TimesShifted), Severity::Error);
    // The same text, sent again.
    let found = changed(|row| row.time = Some(TAKEN + 7));
    assert_eq!(severity(&found, Code::TimesShifted), Severity::Note);
}

/// What follows a message that a user deleted goes to the one before it.
#[test]
fn a_deleted_message_leaves_what_follows_it_to_its_parent() {
    let gone: [fn(&mut Vec<StoredMessage>); 2] = [
        |rows| drop(rows.remove(15)),
        |rows| rows[15].state = State::Deleted,
    ];
    for (was, gone) in [State::Whole, State::Open]
        .iter()
        .flat_map(|was| gone.map(|gone| (was, gone)))
    {
        let mut before = rows();
        before[15].state = *was;
        let mut after = before.clone();
        after[16].parent = Some("m14".into());
        // Where none is gone, no user did it.
        let before = snapshot(&before, settings(Detail::Messages));
        let found = compare(&before, &after);
        assert_eq!(severity(&found, Code::MessageAltered), Severity::Error);
        gone(&mut after);
        let found = compare(&before, &after);
        assert_eq!(severity(&found, Code::MessageLost), Severity::Note);
        assert_eq!(severity(&found, Code::MessageAltered), Severity::Note);
    }
}

/// One swapped role is shown before a hundred texts.
#[test]
fn what_no_user_did_comes_first() {
    let many: Vec<_> = (0..400).map(row).collect();
    let before = snapshot(&many, settings(Detail::Messages));
    let mut after = many.clone();
    for message in &mut after[..150] {
        message.content.push('!');
    }
    after[399].role = Role::User;
    let found = compare(&before, &after);
    let group = &found.groups[&Code::MessageAltered];
    assert_eq!((group.messages, group.beyond_edit), (151, 1));
    let note = &group.items[0].note;
    assert_eq!(note, "it was the assistant's, and is now the user's");
}

/// An edited text excuses no tool call, output, attachment or column that is gone, and no mark of a
/// failure. What comes with the text, or is sent again, is an edit.
#[test]
fn what_a_message_has_besides_its_text_is_not_edited() {
    let call = || ToolCall {
        name: "search".into(),
        input: Some("{}".into()),
        output: Some("found it".into()),
    };
    let mut rows = rows();
    let changed = 11..20;
    for at in changed.clone() {
        rows[at] = StoredMessage {
            tools: vec![call()],
            attachments: 2,
            others: 1,
            extra: "[1]\u{1f}".into(),
            ..row(at as i64)
        };
    }
    let before = snapshot(&rows, settings(Detail::Messages));
    let after = |change: &dyn Fn(&mut StoredMessage)| {
        let mut after = rows.clone();
        after[changed.clone()].iter_mut().for_each(change);
        severity(&compare(&before, &after), Code::MessageAltered)
    };
    let beyond: [fn(&mut StoredMessage); 6] = [
        |row| row.tools.clear(),
        |row| row.tools[0].output = None,
        |row| row.attachments = 1,
        |row| row.others = 0,
        |row| row.extra = "[]\u{1f}".into(),
        |row| row.state = State::Failed,
    ];
    for change in beyond {
        assert_eq!(after(&change), Severity::Error);
        let with_text = |row: &mut StoredMessage| {
            row.content.push('!');
            change(row);
        };
        assert_eq!(after(&with_text), Severity::Error);
    }
    assert_eq!(after(&|row| row.content.push('!')), Severity::Note);
    assert_eq!(after(&|row| row.attachments += 1), Severity::Note);
    assert_eq!(after(&|row| row.tools.push(call())), Severity::Note);
    // A text that is sent again has the time of that.
    let again = |row: &mut StoredMessage| {
        row.append = None;
        row.tools.clear();
        row.time = Some(TAKEN + 7);
    };
    let unplaced: Vec<_> = rows
        .iter()
        .map(|row| StoredMessage {
            append: None,
            ..row.clone()
        })
        .collect();
    let mut sent = unplaced.clone();
    sent[changed.clone()].iter_mut().for_each(again);
    let found = compare(&snapshot(&unplaced, settings(Detail::Messages)), &sent);
    assert_eq!(severity(&found, Code::MessageAltered), Severity::Note);
    let mut one = rows.clone();
    one[15] = row(15);
    let found = compare(&before, &one);
    assert_eq!(severity(&found, Code::MessageAltered), Severity::Error);
    let mut one = rows.clone();
    one[25].attachments = 1;
    let found = compare(&before, &one);
    assert_eq!(severity(&found, Code::MessageAltered), Severity::Note);
}
