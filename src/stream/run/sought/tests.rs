use super::{AnswerFate, Drafts, Ending, ExpectedAnswer, Role, Sought, Spoilt, StoredMessage};
use crate::stream::kept::Marked;
use crate::stream::run::exchange::ResponseProgress;
use crate::stream::turn::Turn;

fn sought(text: &str) -> Sought {
    Sought {
        question: "Add it [u1]".to_owned(),
        tag: "u1".to_owned(),
        nonce: "n1".to_owned(),
        conversation: None,
        earlier: Vec::new(),
        stays: Vec::new(),
        next: Vec::new(),
        before: None,
        answer: ExpectedAnswer {
            text: text.to_owned(),
            is_all: true,
            expected: text.to_owned(),
            nonce: "n1".to_owned(),
            client: 0,
        },
        is_alone: true,
    }
}

/// A store whose times are coarse and whose keys do not grow has the rows of one second in any order.
#[test]
fn the_answer_of_another_turn_is_no_part_of_this_one() {
    let [own, next] = ["a", "b"].map(|it| format!("chatctl-a{}", it.repeat(16)));
    let row = |role, text: &str| StoredMessage {
        time: Some(7),
        ..StoredMessage::new(text, role, text)
    };
    let asked = row(Role::User, "Add it [u1]");
    let other = row(Role::User, "Add more [u2]");
    let answered = row(
        Role::Assistant,
        &format!("Task 'Buy bread' is added. {next}"),
    );
    let part = row(Role::Assistant, "Task 'Buy mi");
    let mut sought = sought(&format!("Task 'Buy milk' is added. {own}"));
    sought.nonce = own;
    let found = |sought: &Sought, rows: &[&StoredMessage]| {
        let rows: Vec<_> = rows.iter().copied().cloned().collect();
        sought.judged(sought.answers(&rows), &[])
    };
    let cut = AnswerFate::Cut {
        characters: 12,
        marked: Marked::No,
    };
    for knows_next in [false, true] {
        if knows_next {
            sought.next = vec![["u2".to_owned(), next.clone()]];
        }
        for rows in [
            [&asked, &answered, &other],
            [&asked, &other, &answered],
            [&answered, &asked, &other],
        ] {
            assert_eq!(found(&sought, &rows), AnswerFate::Nothing, "{rows:?}");
        }
        for rows in [
            [&asked, &answered, &part, &other],
            [&part, &asked, &other, &answered],
            [&other, &answered, &part, &asked],
        ] {
            assert_eq!(found(&sought, &rows), cut, "{rows:?}");
        }
    }
    // A text with both turns is one with this one, too.
    let both = format!("Add more [u2] {next} Add it [u1] Task 'Buy mi");
    assert!(!sought.is_of_another(&both) && sought.is_of_another(&next));
}

/// What tells drafts from the answer does not tell an answer from a second one.
#[test]
fn an_answer_and_its_drafts_are_copies_unless_something_tells_them_apart() {
    let text = "Task 'Buy milk' has been added. n1";
    let copies = |texts: &[&str], drafts: &Drafts| {
        let asked = StoredMessage::new("0", Role::User, "Add it [u1]");
        let rows = texts.iter().zip(1..);
        let rows =
            rows.map(|(text, key)| StoredMessage::new(key.to_string(), Role::Assistant, *text));
        let rows: Vec<_> = std::iter::once(asked).chain(rows).collect();
        [false, true].map(|by_end| sought(text).copies(&rows, drafts, by_end).len())
    };
    let column = Drafts::Column("is_final".to_owned());
    let draft = "Task 'Buy milk'";
    assert_eq!(copies(&[draft, text], &Drafts::Untold), [2, 2]);
    assert_eq!(copies(&[draft, text], &column), [0, 0]);
    assert_eq!(copies(&[text, text], &column), [2, 2]);
    assert_eq!(copies(&[text], &column), [0, 0]);
    // In a form of the store's own, an answer is known by its end.
    let escaped = "Task &#39;Buy milk&#39; has been added. n1";
    assert_eq!(copies(&[escaped, escaped], &Drafts::Untold), [0, 2]);
    assert_eq!(copies(&[escaped], &Drafts::Untold), [0, 0]);
    let part = "Task &#39;Buy milk&#39;";
    assert_eq!(copies(&[part, escaped], &Drafts::Untold), [0, 0]);
}

#[test]
fn an_answer_whose_end_is_stored_has_the_words_that_were_said() {
    let text = "Task 'Buy milk' has been added. n1";
    let altered = |texts: &[&str]| {
        let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
        sought(text).altered(&texts).is_some()
    };
    for changed in [
        "Task Task 'Buy 'Buy milk' milk' has has been been added. added. n1",
        "Task milk' has been added. n1 _(the connection was lost)_",
        "Task 'Buy milk' been has added. n1",
        "has been added. n1",
    ] {
        assert!(altered(&[changed]), "{changed}");
        // A row that holds all of it, or several together.
        assert!(!altered(&[changed, text]), "{changed}");
    }
    let with_notice = format!("<p>{text}</p> [resumed]");
    for right in [
        text,
        &with_notice,
        "Task 'Buy milk'\nhas been added.\n\nn1",
        "Task 'Buy",
    ] {
        assert!(!altered(&[right]), "{right}");
    }
    let mut unread = sought(text);
    unread.answer.is_all = false;
    assert_eq!(unread.altered(&["has been added. n1".to_owned()]), None);
}

/// A part that a stop stores twice is not a draft, which looks like a whole answer.
#[test]
fn a_part_that_is_stored_twice_is_found_next_to_known_drafts() {
    let row = |key: &str, text: &str, status: &str| StoredMessage {
        status: Some(status.to_owned()),
        ..StoredMessage::new(key, Role::Assistant, text)
    };
    let text = "Task 'Buy milk' has been added. n1";
    let ending = Ending::of(&row("9", text, "done"), "n1");
    let found = |statuses: &[&str], drafts: &Drafts| {
        let asked = StoredMessage::new("0", Role::User, "Add it [u1]");
        let parts = statuses.iter().zip(1..);
        let parts = parts.map(|(status, key)| row(&key.to_string(), "Task 'Buy milk'", status));
        let rows: Vec<_> = std::iter::once(asked).chain(parts).collect();
        sought(text).same_parts(&rows, drafts, std::slice::from_ref(&ending))
    };
    let drafts = ["done", "done", "stopped"];
    assert_eq!(found(&["stopped", "stopped"], &Drafts::Hidden), ["1", "2"]);
    assert_eq!(
        found(&["done", "stopped", "stopped"], &Drafts::Hidden),
        ["2", "3"]
    );
    assert!(found(&drafts, &Drafts::Hidden).is_empty());
    assert_eq!(found(&drafts, &Drafts::Untold), ["1", "2"]);
}

#[test]
fn a_note_next_to_a_part_is_no_answer() {
    let row = |role: Role, text: &str, status: &str| StoredMessage {
        status: Some(status.to_owned()),
        ..StoredMessage::new(text, role, text)
    };
    let text = "Task 'Buy milk' has been added. n1";
    let whole = row(Role::Assistant, text, "done");
    let mut sought = sought(text);
    let found = |sought: &Sought, text: &str, status: &str| {
        let asked = row(Role::User, "Add it [u1]", "done");
        let part = row(Role::Assistant, "Task 'Buy milk'", "stopped");
        let note = row(Role::Assistant, text, status);
        sought.note(&[asked, part, note], &[Ending::of(&whole, "n1")])
    };
    let note = "Error: the request was cancelled";
    let spoilt = Some(Spoilt::Note(note.to_owned()));
    assert_eq!(found(&sought, note, "done"), spoilt);
    // With a status of its own nobody takes it for an answer; and a part is another check's.
    assert_eq!(found(&sought, note, "failed"), None);
    assert_eq!(found(&sought, "Task 'Buy milk' has", "done"), None);
    // As much as the client had is a part, however short, whatever words mark it.
    let marked = "Task [stopped]";
    assert_eq!(
        found(&sought, marked, "done"),
        Some(Spoilt::Note(marked.to_owned()))
    );
    sought.answer.client = 4;
    assert_eq!(found(&sought, marked, "done"), None);
    assert_eq!(found(&sought, note, "done"), spoilt);
    // Where whole turns have further messages it may be one of those.
    sought.is_alone = false;
    assert_eq!(found(&sought, note, "done"), None);
}

/// A first chunk of a few characters, and words of the server's own behind it.
#[test]
fn a_short_part_is_known_by_what_the_client_had() {
    let saw = ResponseProgress {
        turn: Turn {
            text: "Task".to_owned(),
            ..Turn::default()
        },
        ..ResponseProgress::default()
    };
    let mut sought = sought("Task 'Buy milk' is added. n1");
    let part = StoredMessage::new("1", Role::Assistant, "Task [interrupted]");
    assert_eq!(sought.judged([&part], &[]), AnswerFate::Nothing);
    sought.left(&saw);
    let cut = AnswerFate::Cut {
        characters: 4,
        marked: Marked::Words,
    };
    assert_eq!(sought.judged([&part], &[]), cut);
}
