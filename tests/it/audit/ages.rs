//! How old a message is decides nothing but whether its text may go on: a row that is gone is lost.

use super::chats::{Chats, MAPPING, figure, text, told};
use crate::common::stores::{Store, on_each_backend};
use serde_json::Value;

on_each_backend! {
    an_answer_that_is_gone_is_an_error_at_any_age
    only_the_text_of_a_young_answer_is_open
    a_text_that_the_store_calls_finished_is_not_open
    times_of_the_future_leave_a_changed_text_undecided
    what_users_deleted_is_reported_and_all_of_it_is_an_error
}

/// Conversations that have a question and a committed answer, besides those that were there.
pub(super) const MORE: u32 = 50;

/// A mapping that says nothing of what is finished.
pub(super) fn silent() -> String {
    let lines = MAPPING.lines().filter(|line| !line.starts_with("open"));
    lines.collect::<Vec<_>>().join("\n")
}

/// So many seconds ago, as the column takes it.
pub(super) fn ago(url: &str, seconds: i64) -> String {
    match url.split_once(':').unwrap().0 {
        "sqlite" => format!(
            "strftime('%Y-%m-%d %H:%M:%f', 'now', '{} seconds')",
            -seconds
        ),
        "postgres" => format!("now() - interval '{seconds} seconds'"),
        _ => format!("utc_timestamp(6) - INTERVAL {seconds} SECOND"),
    }
}

/// Puts the rows back, and says `MORE` times something that is answered; the answers are so old.
pub(super) fn say(chats: &Chats, age: i64, status: &str) {
    super::chats::again(&chats.url);
    let (asked, answered) = (ago(&chats.url, age.max(0) + 5), ago(&chats.url, age));
    let rows: Vec<_> = (100..100 + MORE)
        .map(|id| {
            let [question, answer] =
                ["asked", "answered"].map(|what| text(&format!("{what} {id}")));
            format!(
                "({}, {id}, 'user', {question}, '{status}', {asked}), ({}, {id}, 'assistant', {answer}, '{status}', {answered})",
                2 * id,
                2 * id + 1,
            )
        })
        .collect();
    let conversations: Vec<_> = (100..100 + MORE)
        .map(|id| format!("({id}, 'more')"))
        .collect();
    chats.sql(&format!(
        "INSERT INTO conversation (id, title) VALUES {}; \
         INSERT INTO message (id, conversation_id, role, parts, status, created_at) VALUES {}",
        conversations.join(", "),
        rows.join(", ")
    ));
}

fn line(report: &Value) -> &str {
    report["cases"][0]["reason"].as_str().unwrap()
}

/// The newest answers, which have odd keys.
pub(super) const ANSWERS: &str = "conversation_id >= 100 AND role = 'assistant'";
/// The last of them.
pub(super) const LAST: u32 = 2 * (100 + MORE - 1) + 1;

async fn an_answer_that_is_gone_is_an_error_at_any_age(store: &Store) {
    let chats = Chats::in_store(store);
    for mapping in [MAPPING.to_owned(), silent()] {
        chats.map(&mapping);
        for age in [0, 20, 45, 55, 90, 600, -600] {
            say(&chats, age, "complete");
            chats.snapshot("before.cas");
            for (what, lost) in [(ANSWERS.to_owned(), MORE), (format!("id = {LAST}"), 1)] {
                say(&chats, age, "complete");
                let (report, code) = chats.compare(&["before.cas"]);
                // The times are others, by the time that has passed.
                assert!(!told(&report).contains("message-lost"), "{code} {report:#}");
                chats.sql(&format!("DELETE FROM message WHERE {what}"));
                let (report, code) = chats.compare(&["before.cas"]);
                assert_eq!(code, 1, "{age}: {report:#}");
                let lost = format!("{lost} message");
                let finding = report["findings"].as_array().unwrap().iter();
                let mut finding = finding.filter(|it| it["code"] == "message-lost");
                let finding = finding.next().unwrap();
                assert_eq!(finding["severity"], "error");
                assert!(
                    finding["harm"].as_str().unwrap().starts_with(&lost),
                    "{finding:#}"
                );
                assert!(!line(&report).contains("every one"), "{report:#}");
            }
        }
    }
    // A lone question, and the newest three rows.
    chats.sql("DELETE FROM message");
    for what in ["id = 298", "id >= 297"] {
        say(&chats, 1, "complete");
        chats.snapshot("before.cas");
        chats.sql(&format!("DELETE FROM message WHERE {what}"));
        assert_eq!(chats.compare(&["before.cas"]).1, 1, "{what}");
    }
}

async fn only_the_text_of_a_young_answer_is_open(store: &Store) {
    let chats = Chats::in_store(store);
    chats.map(&silent());
    let last = |chats: &Chats, said: &str| {
        let said = text(said);
        chats.sql(&format!(
            "UPDATE message SET parts = {said} WHERE id = {LAST}"
        ));
    };
    let was = format!("answered {}", 100 + MORE - 1);
    say(&chats, 20, "");
    chats.snapshot("before.cas");
    let all = 48 + 2 * MORE;
    let (report, code) = chats.compare(&["before.cas"]);
    assert_eq!((told(&report).as_str(), code), ("", 0), "{report:#}");
    let every = format!(
        "all of {all} messages in {} conversations are unchanged",
        8 + MORE
    );
    assert_eq!(line(&report), every);

    last(&chats, &format!("{was}, and more"));
    let (report, code) = chats.compare(&["before.cas"]);
    assert_eq!((told(&report).as_str(), code), ("", 0), "{report:#}");
    assert_eq!(
        (line(&report), figure(&report, "completed_messages")),
        (every.as_str(), 1)
    );

    last(&chats, "another text");
    let (report, code) = chats.compare(&["before.cas"]);
    assert_eq!(
        (told(&report).as_str(), code),
        ("W message-altered", 0),
        "{report:#}"
    );
    let told_line = line(&report);
    assert!(
        told_line.starts_with(&format!("{} of {all} messages", all - 1)),
        "{told_line}"
    );
    assert!(
        told_line.contains("not judged: the text of 1 message"),
        "{told_line}"
    );

    last(&chats, "");
    assert_eq!(chats.compare(&["before.cas"]).1, 1, "is empty now");

    // Two files can't tell how a text begins, and say so.
    last(&chats, &format!("{was}, and more"));
    chats.snapshot("after.cas");
    let (report, code) = chats.compare(&["before.cas", "after.cas"]);
    assert_eq!((told(&report).as_str(), code), ("", 0), "{report:#}");
    assert!(
        line(&report).contains("not judged: the text of 1 message"),
        "{report:#}"
    );
    chats.sql(&format!("DELETE FROM message WHERE {ANSWERS}"));
    chats.snapshot("after.cas");
    for detail in ["messages", "conversations"] {
        let (report, code) = chats.compare(&["before.cas", "after.cas"]);
        assert_eq!(code, 1, "{detail}: {report:#}");
        say(&chats, 20, "");
        chats.snapshot_with("before.cas", &["--detail", "conversations"]);
        chats.sql(&format!("DELETE FROM message WHERE {ANSWERS}"));
        chats.snapshot_with("after.cas", &["--detail", "conversations"]);
    }
}

async fn a_text_that_the_store_calls_finished_is_not_open(store: &Store) {
    let chats = Chats::in_store(store);
    let declared = silent() + "\nstatus = \"status\"\n";
    // By the mapping's `open`, and by a word in the column that it names as status.
    for (mapping, status) in [
        (MAPPING.to_owned(), "any"),
        (declared.clone(), "complete"),
        (declared.clone(), "DONE"),
    ] {
        chats.map(&mapping);
        for age in [0, 55, -600] {
            say(&chats, age, status);
            chats.snapshot("before.cas");
            let other = text(&format!("answered {}, and more", 100 + MORE - 1));
            chats.sql(&format!(
                "UPDATE message SET parts = {other} WHERE id = {LAST}"
            ));
            let (report, code) = chats.compare(&["before.cas"]);
            assert_eq!(
                (told(&report).as_str(), code),
                ("E message-altered", 1),
                "{status}, {age}: {report:#}"
            );
        }
    }
    // A word that says the contrary leaves the text open for longer than answers take to settle.
    chats.map(&declared);
    say(&chats, 3600, "streaming");
    chats.snapshot("before.cas");
    let other = text("another text");
    chats.sql(&format!(
        "UPDATE message SET parts = {other} WHERE id = {LAST}"
    ));
    let (report, code) = chats.compare(&["before.cas"]);
    assert_eq!((told(&report).as_str(), code), ("", 0), "{report:#}");
    assert!(line(&report).contains("not judged"), "{report:#}");
}

async fn times_of_the_future_leave_a_changed_text_undecided(store: &Store) {
    let chats = Chats::in_store(store);
    chats.map(&silent());
    say(&chats, -600, "");
    let taken = chats.snapshot_with("before.cas", &[]);
    assert_eq!(figure(&taken, "ahead_messages"), u64::from(MORE));
    let (report, code) = chats.compare(&["before.cas"]);
    assert_eq!(
        (told(&report).as_str(), code),
        ("", 0),
        "nothing changed: {report:#}"
    );
    let other = text("another text");
    chats.sql(&format!(
        "UPDATE message SET parts = {other} WHERE id = {LAST}"
    ));
    let (report, code) = chats.compare(&["before.cas"]);
    assert_eq!(
        (told(&report).as_str(), code),
        ("W message-altered", 3),
        "{report:#}"
    );
    assert!(line(&report).contains("later than its own"), "{report:#}");
    assert_eq!(figure(&report, "doubtful_messages"), 1);
    // A loss outweighs it.
    chats.sql("DELETE FROM message WHERE id = 2");
    assert_eq!(chats.compare(&["before.cas"]).1, 1);
}

async fn what_users_deleted_is_reported_and_all_of_it_is_an_error(store: &Store) {
    let chats = Chats::in_store(store);
    chats.map(&MAPPING.replace("shape = \"row\"", "shape = \"row\"\nallow = [\"delete\"]"));
    say(&chats, 600, "done");
    chats.snapshot("before.cas");
    chats.sql(
        "DELETE FROM message WHERE conversation_id < 3; DELETE FROM conversation WHERE id < 3",
    );
    let (report, code) = chats.compare(&["before.cas"]);
    assert_eq!(
        (told(&report).as_str(), code),
        ("N conversation-lost", 0),
        "{report:#}"
    );
    let all = 48 + 2 * MORE;
    let expected = format!(
        "{} of {all} messages in {} conversations are unchanged; 12 are gone or changed, which `allow` lets users do",
        all - 12,
        8 + MORE
    );
    assert_eq!(line(&report), expected);
    chats.sql(
        "DELETE FROM message WHERE conversation_id < 110; DELETE FROM conversation WHERE id < 110",
    );
    assert_eq!(chats.compare(&["before.cas"]).1, 1);
    let (report, code) = chats.compare(&["before.cas", "--allow-share", "0.5"]);
    assert_eq!(
        (told(&report).as_str(), code),
        ("N conversation-lost", 0),
        "{report:#}"
    );
    // Less than half of the conversations, and more than half of the messages.
    chats.sql(
        "DELETE FROM message WHERE conversation_id < 120; DELETE FROM conversation WHERE id < 120",
    );
    let (report, code) = chats.compare(&["before.cas", "--allow-share", "0.5"]);
    assert_eq!(
        (told(&report).as_str(), code),
        ("E conversation-lost", 1),
        "{report:#}"
    );
}
