//! Sums that the database makes: what grows is fine, what changed is reported by its conversation.

use super::ages::{ANSWERS, LAST, MORE, ago, say, silent};
use super::chats::{Chats, MESSAGES, figure, now, text, told};
use crate::common::stores::{Store, on_each_backend};

on_each_backend! { postgres: sums_tell_growth_from_loss sums_keep_what_is_young a_status_that_came_since_is_not_summed a_status_is_in_no_sum }
on_each_backend! { mysql: a_character_set_is_summed_as_it_is_read sums_tell_growth_from_loss sums_keep_what_is_young a_status_that_came_since_is_not_summed a_status_is_in_no_sum }

/// What is said to a store after the snapshot, and what is reported then.
const CHANGES: [(&str, &str); 7] = [
    ("DELETE FROM message WHERE id = 20", "E message-lost"),
    (
        "UPDATE message SET parts = '[{\"type\": \"text\", \"text\": \"other\"}]' WHERE id = 20",
        "E message-altered",
    ),
    (
        "UPDATE message SET role = 'tool' WHERE id = 96",
        "E message-altered",
    ),
    (
        "UPDATE message SET status = 'deleted' WHERE id = 2",
        "E message-lost",
    ),
    (
        "DELETE FROM message WHERE conversation_id = 3",
        "E conversation-emptied",
    ),
    (
        "DELETE FROM message WHERE conversation_id = 3; DELETE FROM conversation WHERE id = 3",
        "E conversation-lost",
    ),
    (
        "UPDATE message SET conversation_id = 4 WHERE id = 20",
        "E backfilled, E message-lost",
    ),
];

async fn sums_tell_growth_from_loss(store: &Store) {
    let chats = Chats::in_store(store);
    let say = |status: &str| {
        let (text, now) = (text("said now"), now(&chats.url));
        chats.sql(&format!(
            "INSERT INTO message (conversation_id, role, parts, status, created_at) VALUES (1, 'assistant', {text}, '{status}', {now})"
        ));
    };
    // Both are not finished for sure, and what is purged was gone before.
    say("done");
    say("streaming");
    chats.sql("UPDATE message SET status = 'deleted' WHERE id = 4");
    let taken = chats.snapshot_with("before.cas", &["--quick"]);
    // What is young is in no sum, and is kept all the same.
    assert_eq!(figure(&taken, "messages"), u64::from(MESSAGES) + 1);
    let reason = taken["cases"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("without a key"), "{reason}");
    let (nothing, code) = chats.compare(&["before.cas"]);
    assert_eq!((told(&nothing).as_str(), code), ("", 0), "{nothing:#}");

    chats.sql("DELETE FROM message WHERE id = 4");
    chats.sql("UPDATE message SET status = 'done' WHERE status = 'streaming'");
    say("done");
    let (grown, code) = chats.compare(&["before.cas"]);
    assert_eq!((told(&grown).as_str(), code), ("", 0), "{grown:#}");
    assert_eq!(figure(&grown, "appended_messages"), 1);
    assert_eq!(figure(&grown, "intact_conversations"), 8);

    for (change, expected) in CHANGES {
        chats.snapshot_with("before.cas", &["--quick"]);
        chats.sql(change);
        let (report, code) = chats.compare(&["before.cas"]);
        // What the catalogue tells of the tables comes next to it.
        let findings = told(&report);
        assert!(
            findings.contains(expected) && code == 1,
            "{change}: {report:#}"
        );
        // What is gone for good has no name that the file could tell.
        let named = report["findings"][0]["evidence"][0]["fact"].to_string();
        let gone = expected == "E conversation-lost";
        assert_eq!(named.contains("conversation `"), !gone, "{change}: {named}");
        let again = super::chats::rows(&chats.url);
        chats.sql(&format!(
            "DELETE FROM message; DELETE FROM conversation; {again}"
        ));
    }

    // What is not of one kind is not compared.
    chats.snapshot("full.cas");
    for pair in [["before.cas", "full.cas"], ["full.cas", "before.cas"]] {
        let mut command = chats.audit(&["compare", pair[0], pair[1]]);
        let output = command.output().unwrap();
        let (_, told) = crate::common::text(&output);
        assert_eq!(output.status.code(), Some(4), "{told}");
        assert!(told.contains("--quick"), "{told}");
    }
}

#[test]
fn sums_are_refused_where_they_are_no_use() {
    let sqlite = Store::sqlite();
    let postgres = Store::postgres();
    let chats = [&sqlite, &postgres].map(Chats::in_store);
    let mapping = super::chats::MAPPING.replace("time = \"created_at\"\n", "");
    chats[1].map(&mapping);
    for chats in &chats {
        let mut command = chats.audit(&["snapshot", "-o", "before.cas", "--quick"]);
        let output = command.output().unwrap();
        let (_, told) = crate::common::text(&output);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains("without --quick"), "{told}");
    }
}

/// The sums leave out what may still go on, and a snapshot of them does not.
async fn sums_keep_what_is_young(store: &Store) {
    let chats = Chats::in_store(store);
    chats.map(&silent());
    for age in [0, 55, -600] {
        say(&chats, age, "");
        let taken = chats.snapshot_with("before.cas", &["--quick"]);
        assert_eq!(figure(&taken, "messages"), u64::from(48 + 2 * MORE));
        let (report, code) = chats.compare(&["before.cas"]);
        assert_eq!((told(&report).as_str(), code), ("", 0), "{report:#}");
        assert_eq!(figure(&report, "appended_messages"), 0);
        assert_eq!(figure(&report, "intact_conversations"), u64::from(8 + MORE));
        let now = ago(&chats.url, 0);
        let new = text("new");
        chats.sql(&format!(
            "INSERT INTO message (id, conversation_id, role, parts, status, created_at) VALUES \
             (1000, 1, 'user', {new}, '', {now}), (1001, 100, 'user', {new}, '', {now})"
        ));
        let (report, code) = chats.compare(&["before.cas"]);
        assert_eq!((told(&report).as_str(), code), ("", 0), "{report:#}");
        assert_eq!(figure(&report, "appended_messages"), 2, "{report:#}");
        assert_eq!(figure(&report, "grown_conversations"), 2, "{report:#}");
        // Whether nothing is lost two of them can't tell, once there is growth.
        chats.snapshot_with("after.cas", &["--quick"]);
        assert_ne!(chats.compare(&["before.cas", "after.cas"]).1, 1);

        let last = format!("answered {}, and more", 100 + MORE - 1);
        let [more, other] = [last.as_str(), "another text"].map(text);
        for (sql, expected, named) in [
            (format!("UPDATE message SET parts = {more} WHERE id = {LAST}"), 0, ""),
            (format!("DELETE FROM message WHERE id = {LAST}"), 1, ""),
            (format!("DELETE FROM message WHERE {ANSWERS}"), 1, ""),
            ("DELETE FROM message WHERE id = 200".to_owned(), 1, ""),
            (
                format!("UPDATE message SET parts = {other} WHERE id = 200"),
                1,
                "message `200`",
            ),
            (
                "DELETE FROM message WHERE conversation_id = 101; DELETE FROM conversation WHERE id = 101".to_owned(),
                1,
                "",
            ),
            ("DELETE FROM message WHERE conversation_id = 101".to_owned(), 1, ""),
        ] {
            say(&chats, age, "");
            chats.snapshot_with("before.cas", &["--quick"]);
            chats.sql(&sql);
            let (report, code) = chats.compare(&["before.cas"]);
            assert_eq!(code, expected, "{age}: {sql}: {report:#}");
            let findings = report["findings"].to_string();
            assert!(findings.contains(named), "{sql}: {report:#}");
            if expected == 1 {
                chats.snapshot_with("after.cas", &["--quick"]);
                let code = chats.compare(&["before.cas", "after.cas"]).1;
                assert_ne!(code, 0, "{age}: {sql}");
            }
        }
    }
}

/// A migration that adds a status changes no message.
async fn a_status_that_came_since_is_not_summed(store: &Store) {
    let chats = Chats::in_store(store);
    let named = |line: &&str| !line.contains("{status}");
    let without: Vec<_> = super::chats::MAPPING.lines().filter(named).collect();
    let without = without.join("\n");
    let with = format!("{without}\nstatus = \"status\"\n");
    chats.map(&without);
    chats.snapshot_with("before.cas", &["--quick"]);
    chats.map(&with);
    let (report, code) = chats.compare(&["before.cas"]);
    assert_eq!((told(&report).as_str(), code), ("", 0), "{report:#}");
    chats.sql("DELETE FROM message WHERE id = 20");
    let (report, code) = chats.compare(&["before.cas"]);
    assert!(
        told(&report).contains("E message-lost") && code == 1,
        "{report:#}"
    );

    chats.snapshot_with("before.cas", &["--quick"]);
    chats.map(&without);
    let (report, code) = chats.compare(&["before.cas"]);
    assert_eq!((told(&report).as_str(), code), ("", 0), "{report:#}");
}

/// It says how far a message is, and is no part of it: what it calls unfinished is in no sum
/// either.
async fn a_status_is_in_no_sum(store: &Store) {
    let chats = Chats::in_store(store);
    chats.map(&format!("{}\nstatus = \"status\"\n", silent()));
    let then = |status: &str, was: &str, change: &str, expected: (&str, i32)| {
        super::chats::again(&chats.url);
        let time = ago(&chats.url, 600);
        let now = ago(&chats.url, 0);
        chats.sql(&format!(
            "INSERT INTO message (id, conversation_id, role, parts, status, created_at) VALUES \
             (100, 1, 'assistant', {was}, '{status}', {time}), (102, 2, 'user', {}, 'sent', {now})",
            text("next")
        ));
        chats.snapshot_with("before.cas", &["--quick"]);
        chats.sql(change);
        let (report, code) = chats.compare(&["before.cas"]);
        // What the catalogue tells of the tables comes next to a loss.
        let found = told(&report);
        let is_it = found.contains(expected.0) && found.is_empty() == expected.0.is_empty();
        assert!(
            is_it && code == expected.1,
            "{status}: {change}: {report:#}"
        );
    };
    let [half, whole] = ["half", "half of it"].map(text);
    let half = half.as_str();
    let completed = format!("UPDATE message SET parts = {whole}, status = 'done' WHERE id = 100");
    let read = "UPDATE message SET status = 'read' WHERE status IN ('sent', 'done')";
    then("streaming", half, &completed, ("", 0));
    then("Pending", half, &completed, ("", 0));
    then("partial", half, &completed, ("", 0));
    then("sent", "'[]'", &completed, ("", 0));
    then("sent", half, read, ("", 0));
    then("sent", half, &completed, ("E message-altered", 1));
    then(
        "streaming",
        half,
        "DELETE FROM message WHERE id = 100",
        ("E message-lost", 1),
    );
}

/// What clients read is compared, and not the bytes that are stored.
async fn a_character_set_is_summed_as_it_is_read(store: &Store) {
    let chats = Chats::in_store(store);
    let set = |to: &str| chats.sql(&format!("ALTER TABLE message MODIFY parts {to}"));
    set("TEXT CHARACTER SET utf8mb4");
    chats.snapshot_with("before.cas", &["--quick"]);
    let now = |expected: &str, code: i32, after: &str| {
        let (report, got) = chats.compare(&["before.cas"]);
        let found = told(&report);
        assert!(
            found.contains(expected) && got == code,
            "{after}: {found}: {report:#}"
        );
        assert!(code == 1 || !found.contains("E "), "{after}: {report:#}");
    };
    now("", 0, "nothing");
    for right in [
        "TEXT CHARACTER SET utf16",
        "TEXT CHARACTER SET latin1",
        "LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
    ] {
        set(right);
        now("", 0, right);
    }
    for wrong in ["latin1", "cp1250"] {
        set("BLOB");
        set(&format!("TEXT CHARACTER SET {wrong}"));
        now("E message-altered", 1, wrong);
        set("BLOB");
        set("TEXT CHARACTER SET utf8mb4");
        now("", 0, "the bytes as they were");
    }
    set("TEXT CHARACTER SET utf16");
    chats.sql("DELETE FROM message WHERE id = 20");
    now("E message-lost", 1, "a loss");
}
