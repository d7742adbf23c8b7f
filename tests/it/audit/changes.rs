//! One change of every kind between a snapshot and a look, on each backend.

use super::chats::{Chats, MAPPING, again, figure, now, text, time, told};
use crate::common::stores::{Store, on_each_backend};

on_each_backend! {
    every_change_is_named
    what_users_may_do_is_a_note
    what_was_being_written_may_be_finished
    growth_is_counted
}

/// A change; what is told of it, and what is reported when users may edit and delete.
struct Change {
    name: &'static str,
    sql: String,
    told: &'static str,
    allowed: &'static str,
}

fn change(name: &'static str, sql: impl Into<String>, told: &'static str) -> Change {
    allowed(name, sql, told, told)
}

fn allowed(
    name: &'static str,
    sql: impl Into<String>,
    told: &'static str,
    allowed: &'static str,
) -> Change {
    Change {
        name,
        sql: sql.into(),
        told,
        allowed,
    }
}

const COPY: &str = "INSERT INTO message (id, conversation_id, role, parts, created_at)";

fn changes(url: &str) -> Vec<Change> {
    let (other, now) = (text("another text"), now(url));
    let at = |text| time(url, text);
    vec![
        change("nothing", "SELECT 1", ""),
        change(
            "a column that is not mapped",
            "UPDATE message SET note = 'x'",
            "",
        ),
        change(
            "a new message",
            format!("{COPY} VALUES (1000, 1, 'user', {other}, {now})"),
            "",
        ),
        change(
            "new conversations",
            format!(
                "INSERT INTO conversation (id, title) VALUES (50, 'new'), (51, 'newer'); \
                 {COPY} VALUES (1000, 50, 'user', {other}, {now}), (1001, 50, 'assistant', {other}, {now})"
            ),
            "",
        ),
        allowed(
            "a message is deleted",
            "DELETE FROM message WHERE id = 20",
            "E message-lost",
            "N message-lost",
        ),
        allowed(
            "the last message is deleted",
            "DELETE FROM message WHERE id = 96",
            "E message-lost",
            "N message-lost",
        ),
        allowed(
            "a message is deleted for the user",
            "UPDATE message SET status = 'deleted' WHERE id = 20",
            "E message-lost",
            "N message-lost",
        ),
        allowed(
            "a text is another one",
            format!("UPDATE message SET parts = {other} WHERE id = 22"),
            "E message-altered",
            "N message-altered",
        ),
        change(
            "a call is gone with the text",
            format!("UPDATE message SET parts = {other} WHERE id = 20"),
            "E message-altered",
        ),
        allowed(
            "a text is empty",
            "UPDATE message SET parts = NULL WHERE id = 22",
            "E message-altered",
            "N message-altered",
        ),
        change(
            "a role is another one",
            "UPDATE message SET role = 'assistant' WHERE id = 4",
            "E message-altered",
        ),
        change(
            "a message is saved twice",
            format!(
                "{COPY} SELECT 1000, conversation_id, role, parts, created_at FROM message WHERE id = 20"
            ),
            "E message-duplicated",
        ),
        change(
            "a message is in another conversation",
            "UPDATE message SET conversation_id = 2 WHERE id = 2",
            "E message-moved",
        ),
        change(
            "a time is another one",
            format!(
                "UPDATE message SET created_at = {} WHERE id = 20",
                at("2026-01-01 11:10:00")
            ),
            "E times-shifted",
        ),
        change(
            "times are gone",
            "UPDATE message SET created_at = NULL",
            "E times-shifted",
        ),
        allowed(
            "a conversation is deleted",
            "DELETE FROM message WHERE conversation_id = 3; DELETE FROM conversation WHERE id = 3",
            "E conversation-lost",
            "N conversation-lost",
        ),
        allowed(
            "a conversation's row is deleted",
            "DELETE FROM conversation WHERE id = 3",
            "E conversation-lost",
            "N conversation-lost",
        ),
        allowed(
            "a conversation is emptied",
            "DELETE FROM message WHERE conversation_id = 3",
            "E conversation-emptied",
            "N conversation-emptied",
        ),
        change(
            "a message comes between",
            format!(
                "{COPY} VALUES (21, 1, 'user', {other}, {})",
                at("2026-01-01 10:10:30")
            ),
            "E backfilled",
        ),
        change(
            "a new message has the key of one that is gone",
            format!(
                "DELETE FROM message WHERE id = 96; {COPY} VALUES (96, 1, 'user', {other}, {now})"
            ),
            "E id-reused",
        ),
        change(
            "everything is gone",
            "DELETE FROM message; DELETE FROM conversation",
            "E conversation-lost",
        ),
    ]
}

async fn every_change_is_named(store: &Store) {
    let chats = Chats::in_store(store);
    chats.snapshot("before.cas");
    for change in changes(&chats.url) {
        chats.sql(&change.sql);
        let (report, code) = chats.compare(&["before.cas"]);
        assert_eq!(told(&report), change.told, "{}: {report:#}", change.name);
        assert_eq!(code, i32::from(!change.told.is_empty()), "{}", change.name);
        again(&chats.url);
    }
    let (report, code) = chats.compare(&["before.cas"]);
    assert_eq!((told(&report).as_str(), code), ("", 0), "{report:#}");
}

async fn what_users_may_do_is_a_note(store: &Store) {
    let chats = Chats::in_store(store);
    let allow = "shape = \"row\"\nallow = [\"edit\", \"delete\"]";
    chats.map(&MAPPING.replace("shape = \"row\"", allow));
    chats.snapshot("before.cas");
    for change in changes(&chats.url) {
        // Only those of which the mapping makes a difference.
        if change.told == change.allowed {
            continue;
        }
        chats.sql(&change.sql);
        let (report, code) = chats.compare(&["before.cas"]);
        assert_eq!(told(&report), change.allowed, "{}: {report:#}", change.name);
        assert_eq!(code, 0, "{}", change.name);
        again(&chats.url);
    }
}

async fn what_was_being_written_may_be_finished(store: &Store) {
    let chats = Chats::in_store(store);
    // Of one that has no status nothing says whether it is finished.
    chats.sql(store.pick(
        "ALTER TABLE message RENAME COLUMN status TO old; ALTER TABLE message ADD COLUMN status TEXT",
        "ALTER TABLE message ALTER status DROP NOT NULL",
        "ALTER TABLE message MODIFY status VARCHAR(20)",
    ));
    let now = now(&chats.url);
    let old = time(&chats.url, "2026-01-01 12:00:00");
    let half = text("half of");
    chats.sql(&format!(
        "INSERT INTO message (id, conversation_id, role, parts, status, created_at) VALUES \
         (100, 1, 'assistant', {half}, 'streaming', {old}), (102, 2, 'assistant', {half}, NULL, {now}), \
         (104, 3, 'assistant', {half}, 'streaming', {now}), (106, 4, 'assistant', {half}, 'streaming', {now}), \
         (108, 5, 'user', {half}, 'done', {now})"
    ));
    chats.snapshot("before.cas");
    let whole = text("half of it, and the rest");
    chats.sql(&format!(
        "UPDATE message SET parts = {whole}, status = 'done' WHERE id IN (100, 102, 104)"
    ));
    let (report, code) = chats.compare(&["before.cas"]);
    assert_eq!((told(&report).as_str(), code), ("", 0), "{report:#}");
    assert_eq!(figure(&report, "completed_messages"), 3);
    assert_eq!(figure(&report, "open_messages"), 1);
    // A row that is gone is lost, however it was marked.
    chats.sql("DELETE FROM message WHERE id = 106");
    let (report, code) = chats.compare(&["before.cas"]);
    assert_eq!(
        (told(&report).as_str(), code),
        ("E message-lost", 1),
        "{report:#}"
    );
    // What a user said is whole from the beginning.
    chats.sql(&format!(
        "UPDATE message SET parts = {whole} WHERE id = 108"
    ));
    let (report, code) = chats.compare(&["before.cas"]);
    assert_eq!(code, 1, "{report:#}");
    assert_eq!(told(&report), "E message-altered, E message-lost");
}

async fn growth_is_counted(store: &Store) {
    let chats = Chats::in_store(store);
    chats.snapshot("before.cas");
    let (hello, now) = (text("hello"), now(&chats.url));
    chats.sql(&format!(
        "INSERT INTO conversation (id, title) VALUES (50, 'new'); \
         {COPY} VALUES (1000, 50, 'user', {hello}, {now}), (1001, 1, 'user', {hello}, {now}), (1002, 1, 'user', {hello}, {now})"
    ));
    chats.snapshot("after.cas");
    for arguments in [&["before.cas"][..], &["before.cas", "after.cas"]] {
        let (report, code) = chats.compare(arguments);
        assert_eq!((told(&report).as_str(), code), ("", 0), "{report:#}");
        let figures = [
            ("messages", 48),
            ("conversations", 8),
            ("intact_conversations", 8),
            ("appended_messages", 3),
            ("grown_conversations", 2),
            ("new_conversations", 1),
        ];
        for (name, number) in figures {
            assert_eq!(figure(&report, name), number, "{name}: {report:#}");
        }
    }
}

/// Items that are known by their place only.
#[test]
fn an_item_that_is_taken_out_of_a_row_is_the_only_one_lost() {
    let store = Store::sqlite();
    let chats = Chats::looking_at(store.url());
    chats.map(
        "[[store]]\nshape = \"blob\"\n[store.conversation]\ntable = \"session\"\n\
         [store.item]\nitems = \"history::$\"\nrole = \"$.role\"\ncontent = \"$.content\"\n",
    );
    let item = |at: u8| format!("{{\"role\": \"user\", \"content\": \"text {at}\"}}");
    let items: Vec<_> = (0..20).map(item).collect();
    let history = items.join(", ");
    chats.sql(&format!(
        "CREATE TABLE session (id INTEGER PRIMARY KEY, history TEXT); \
         INSERT INTO session VALUES (1, '[{history}]'), (2, '[{history}]')"
    ));
    chats.snapshot("before.cas");
    for (path, expected) in [("$[3]", "1 message of"), ("$[0]", "2 messages of")] {
        chats.sql(&format!(
            "UPDATE session SET history = json_remove(history, '{path}') WHERE id = 1"
        ));
        let (report, code) = chats.compare(&["before.cas"]);
        assert_eq!((told(&report).as_str(), code), ("E message-lost", 1));
        let harm = report["findings"][0]["harm"].as_str().unwrap();
        assert!(harm.starts_with(expected), "{harm}");
    }
}
