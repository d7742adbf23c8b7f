//! Sums that the database makes: what grows is fine, what changed is told by its conversation.

use super::chats::Chats;
use super::chats::MESSAGES;
use super::chats::figure;
use super::chats::now;
use super::chats::text;
use super::chats::told;
use crate::common;
use crate::common::stores::Store;
use crate::common::stores::on_each_backend;

on_each_backend! { postgres: sums_tell_growth_from_loss }
on_each_backend! { mysql: sums_tell_growth_from_loss }

/// What is said to a store after the snapshot, and what is told then.
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
    assert_eq!(figure(&taken, "messages"), u64::from(MESSAGES) - 1);
    let reason = taken["cases"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("not keyed"), "{reason}");
    let (nothing, code) = chats.compare(&["before.cas"]);
    assert_eq!((told(&nothing).as_str(), code), ("", 0), "{nothing:#}");

    chats.sql("DELETE FROM message WHERE id = 4");
    chats.sql("UPDATE message SET status = 'done' WHERE status = 'streaming'");
    say("done");
    let (grown, code) = chats.compare(&["before.cas"]);
    assert_eq!((told(&grown).as_str(), code), ("", 0), "{grown:#}");
    assert_eq!(figure(&grown, "appended_messages"), 3);
    assert_eq!(figure(&grown, "intact_conversations"), 8);

    for (change, expected) in CHANGES {
        chats.snapshot_with("before.cas", &["--quick"]);
        chats.sql(change);
        let (report, code) = chats.compare(&["before.cas"]);
        // What the catalogue tells of the tables comes beside it.
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
        let (_, told) = common::text(&output);
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
        let (_, told) = common::text(&output);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains("without --quick"), "{told}");
    }
}
