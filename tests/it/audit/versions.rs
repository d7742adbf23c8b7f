//! Snapshots of each version of the file, taken when it was new: read, or refused with a sentence.

use super::chats::{Chats, MAPPING, figure, text, told};
use crate::common::stores::Store;
use std::fs;

/// The store that they were taken of, and chats like those that are in it.
fn store() -> (Store, Chats) {
    let store = Store::sqlite();
    let chats = Chats::looking_at(store.url());
    let fixtures = crate::common::root().join("fixtures/snapshots");
    chats.sql(&fs::read_to_string(fixtures.join("v1.sql")).unwrap());
    for name in ["v1.cas", "v1-quick.cas", "v2.cas", "v3.cas", "v4.cas"] {
        fs::copy(fixtures.join(name), chats.file(name)).unwrap();
    }
    (store, chats)
}

#[test]
fn a_snapshot_of_the_first_version_is_compared() {
    let (_store, chats) = store();
    // It is another file than the one that was looked at.
    let (report, code) = chats.compare(&["v1.cas"]);
    assert_eq!(
        (told(&report).as_str(), code),
        ("W file-replaced", 0),
        "{report:#}"
    );
    assert_eq!(figure(&report, "messages"), 50);
    assert_eq!(figure(&report, "intact_conversations"), 8);
    chats.snapshot("now.cas");
    let (report, code) = chats.compare(&["v1.cas", "now.cas"]);
    assert_eq!(
        (told(&report).as_str(), code),
        ("W file-replaced", 0),
        "{report:#}"
    );

    // It kept no texts, so of those that were open nothing can be said.
    let other = text("another text");
    chats.sql(&format!(
        "UPDATE message SET parts = {other} WHERE id IN (100, 102)"
    ));
    let (report, code) = chats.compare(&["v1.cas"]);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(figure(&report, "unjudged_messages"), 2);
    for (sql, expected) in [
        ("DELETE FROM message WHERE id = 102", "message-lost"),
        ("DELETE FROM message WHERE id = 20", "message-lost"),
        (
            "UPDATE message SET role = 'system' WHERE id = 22",
            "message-altered",
        ),
    ] {
        chats.sql(sql);
        let (report, code) = chats.compare(&["v1.cas"]);
        assert!(
            told(&report).contains(&format!("E {expected}")),
            "{report:#}"
        );
        assert_eq!(code, 1);
    }
    let (report, _) = chats.compare(&["v1.cas"]);
    let named = report["findings"].to_string();
    assert!(
        named.contains("message `20`"),
        "its names are read: {named}"
    );
}

/// What is digested of a message, and how a mapping is written, is the same in each later release.
#[test]
fn a_snapshot_of_the_second_version_is_compared() {
    let (_store, chats) = store();
    let (report, code) = chats.compare(&["v2.cas"]);
    assert_eq!(
        (told(&report).as_str(), code),
        ("W file-replaced", 0),
        "{report:#}"
    );
    assert_eq!(figure(&report, "messages"), 50);
    assert_eq!(figure(&report, "intact_conversations"), 8);
    let other = text("another text");
    chats.sql(&format!("UPDATE message SET parts = {other} WHERE id = 20"));
    let (report, code) = chats.compare(&["v2.cas"]);
    assert!(told(&report).contains("E message-altered"), "{report:#}");
    assert_eq!(code, 1);
    let named = report["findings"].to_string();
    assert!(named.contains("message `20`"), "{named}");
}

/// It counts attachments, and no parts of other kinds.
#[test]
fn a_snapshot_of_the_third_version_is_compared() {
    let (_store, chats) = store();
    let parts =
        |parts: &str| format!("[{{\"type\": \"text\", \"text\": \"PLANTED text\"}}{parts}]");
    let (file, data) = (
        ", {\"type\": \"file\", \"url\": \"u\"}",
        ", {\"type\": \"data-weather\", \"data\": {\"t\": 20}}",
    );
    chats.sql(&format!(
        "INSERT INTO message (id, conversation_id, role, parts, created_at) VALUES (200, 8, 'assistant', '{}', '2026-01-02 10:00:00')",
        parts(&format!("{file}{data}"))
    ));
    let now = |parts: &str| {
        chats.sql(&format!(
            "UPDATE message SET parts = '{parts}' WHERE id = 200"
        ));
        let (report, code) = chats.compare(&["v3.cas"]);
        (told(&report), code)
    };
    chats.snapshot("now.cas");
    for (as_it_is, expected, code) in [
        (format!("{file}{data}"), "W file-replaced", 0),
        (file.to_owned(), "W file-replaced", 0),
        (data.to_owned(), "E message-altered", 1),
    ] {
        let found = now(&parts(&as_it_is));
        assert!(
            found.0.contains(expected) && found.1 == code,
            "{as_it_is}: {found:?}"
        );
    }
    // One of today counts both, and the two are compared where there are none of the others.
    let with_file = parts(file);
    chats.sql(&format!(
        "UPDATE message SET parts = '{with_file}' WHERE id = 200"
    ));
    chats.snapshot("less.cas");
    let (report, code) = chats.compare(&["v3.cas", "less.cas"]);
    assert_eq!(code, 0, "{report:#}");
    let output = chats
        .audit(&["compare", "v3.cas", "now.cas"])
        .output()
        .unwrap();
    let (_, said) = crate::common::text(&output);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(
        said.contains("parts that are neither text nor attachments"),
        "{said}"
    );
    let (report, code) = chats.compare(&["now.cas"]);
    assert!(
        told(&report).contains("E message-altered") && code == 1,
        "{report:#}"
    );
}

/// It does not tell what a message has besides its text: an edit excuses it there, and in no later one.
#[test]
fn a_snapshot_of_the_fourth_version_is_compared() {
    let (_store, chats) = store();
    chats.map(&MAPPING.replacen("shape =", "allow = [\"edit\"]\nshape =", 1));
    chats.snapshot("now.cas");
    for arguments in [&["v4.cas"][..], &["v4.cas", "now.cas"]] {
        let (report, code) = chats.compare(arguments);
        assert_eq!(
            (told(&report).as_str(), code),
            ("W file-replaced", 0),
            "{report:#}"
        );
        assert_eq!(figure(&report, "intact_conversations"), 8);
    }
    let other = text("another text");
    chats.sql(&format!("UPDATE message SET parts = {other} WHERE id = 20"));
    for (name, expected) in [("v4.cas", 0), ("now.cas", 1)] {
        let (report, code) = chats.compare(&[name]);
        assert!(told(&report).contains("message-altered"), "{report:#}");
        assert_eq!(code, expected, "{name}: {report:#}");
    }
}

#[test]
fn sums_of_the_first_version_are_refused() {
    let (_store, chats) = store();
    chats.snapshot("now.cas");
    for arguments in [
        &["compare", "v1-quick.cas"][..],
        &["compare", "v1-quick.cas", "now.cas"],
    ] {
        let output = chats.audit(arguments).output().unwrap();
        let (_, said) = crate::common::text(&output);
        assert_eq!(output.status.code(), Some(4), "{said}");
        assert!(
            said.contains("whose sums left out young messages"),
            "{said}"
        );
        assert!(said.contains("hint: take a new one"), "{said}");
    }
}
