//! A comparison reads the store as the snapshot did, and lets users do what they may.

use super::ages::{ago, silent};
use super::chats::{Chats, MAPPING, figure, text, told};
use crate::common::stores::Store;

/// The tables of a to-do list with a chat, which a preset reads.
const SMALL: &str = "CREATE TABLE conversation (id INTEGER PRIMARY KEY, user_id TEXT, created_at TEXT, updated_at TEXT);
    CREATE TABLE message (id INTEGER PRIMARY KEY, user_id TEXT, conversation_id INTEGER, role TEXT, content TEXT, created_at TEXT);
    INSERT INTO conversation VALUES (1, 'u', '2026-01-01 09:00:00', '2026-01-01 09:00:00');
    INSERT INTO message VALUES (1, 'u', 1, 'user', 'milk?', '2026-01-01 10:00:00'), (2, 'u', 1, 'assistant', 'Half a sen', '2026-01-01 10:00:05')";

fn small(store: &Store) -> Chats {
    let chats = Chats::looking_at(store.url());
    chats.map("");
    chats.sql(SMALL);
    chats
}

fn check(chats: &Chats) -> String {
    let mut check = crate::common::chatctl();
    check.args(["audit", "check", "--check", "stuck-streaming"]);
    check.args(["--check", "unanswered-turn", "--database-url", &chats.url]);
    let config = chats.file("chatctl.toml");
    let (report, _) = crate::common::report(check.arg("--config").arg(config));
    assert_eq!(report["store"]["mapping"], "sqlmodel-chat-small (preset)");
    told(&report)
}

/// A usual store may have a status that its preset does not name.
#[test]
fn a_status_is_read_where_a_general_preset_names_none() {
    let store = Store::sqlite();
    let chats = small(&store);
    let silent = check(&chats);
    assert!(!silent.contains("W "), "{silent}");
    chats.sql("ALTER TABLE message ADD COLUMN status TEXT DEFAULT 'complete'");
    assert_eq!(check(&chats), "");
    chats.sql("UPDATE message SET status = 'streaming' WHERE id = 2");
    assert_eq!(check(&chats), "W stuck-streaming, W unanswered-turn");
    chats.sql("UPDATE message SET status = 'failed' WHERE id = 2");
    assert_eq!(check(&chats), "W unanswered-turn");
}

/// A migration that adds columns can make another preset fit.
#[test]
fn a_preset_that_fits_since_does_not_end_the_comparison() {
    let store = Store::sqlite();
    let chats = small(&store);
    chats.snapshot("before.cas");
    chats.sql(
        "ALTER TABLE conversation ADD COLUMN title TEXT; ALTER TABLE message ADD COLUMN status TEXT; \
         ALTER TABLE message ADD COLUMN position INTEGER",
    );
    let (report, code) = chats.compare(&["before.cas"]);
    assert_eq!(
        (told(&report).as_str(), code),
        ("N schema-changed", 0),
        "{report:#}"
    );
    chats.sql("DELETE FROM message WHERE id = 2");
    let (report, code) = chats.compare(&["before.cas"]);
    assert_eq!(
        (told(&report).as_str(), code),
        ("E message-lost, N schema-changed", 1)
    );
}

/// The answer is put into the row of its question when it is whole.
#[test]
fn an_answer_may_come_into_the_row_of_its_question() {
    let store = Store::sqlite();
    let chats = Chats::looking_at(store.url());
    chats.map("");
    let turns: Vec<_> = (1..=20)
        .map(|id| {
            format!(
                "({id}, {}, 'asked {id}', 'answered {id}', '2026-01-01 10:{id:02}:00')",
                id % 4 + 1
            )
        })
        .collect();
    chats.sql(&format!(
        "CREATE TABLE chat_sessions (id INTEGER PRIMARY KEY, title TEXT); \
         CREATE TABLE chat_turns (id INTEGER PRIMARY KEY, session_id INTEGER REFERENCES chat_sessions (id), \
         question TEXT NOT NULL, answer TEXT, created_at TEXT); \
         INSERT INTO chat_sessions VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd'); \
         INSERT INTO chat_turns VALUES {}; UPDATE chat_turns SET answer = NULL WHERE id = 9",
        turns.join(", ")
    ));
    chats.snapshot("before.cas");
    let then = |change: &str| {
        chats.sql(change);
        let (report, code) = chats.compare(&["before.cas"]);
        (told(&report), code, figure(&report, "appended_messages"))
    };
    let answered = "UPDATE chat_turns SET answer = 'answered 9' WHERE id = 9";
    assert_eq!(then(answered), (String::new(), 0, 1));
    chats.snapshot("after.cas");
    let (report, code) = chats.compare(&["before.cas", "after.cas"]);
    assert_eq!((told(&report).as_str(), code), ("", 0), "{report:#}");
    assert_eq!(
        then("UPDATE chat_turns SET answer = NULL WHERE id = 8"),
        ("E message-lost".to_owned(), 1, 1)
    );
    chats.sql("UPDATE chat_turns SET answer = 'answered 8' WHERE id = 8; DELETE FROM chat_turns WHERE id = 5");
    chats.snapshot("before.cas");
    let row =
        "INSERT INTO chat_turns VALUES (5, 2, 'asked 5', 'answered 5', '2026-01-01 10:05:00')";
    let (found, code, _) = then(row);
    assert_eq!((found.as_str(), code), ("E backfilled", 1));
}

/// A store that an application made.
fn of_preset(preset: &str) -> (Store, Chats) {
    let store = Store::sqlite();
    let chats = Chats::looking_at(store.url());
    chats.map("");
    chats.sql(&dump_of(preset));
    (store, chats)
}

fn dump_of(preset: &str) -> String {
    let dump = format!("fixtures/presets/{preset}/sqlite.sql");
    std::fs::read_to_string(crate::common::root().join(dump)).unwrap()
}

/// Agno saves a run at its end, with the time at which it began.
#[test]
fn a_run_that_began_before_the_snapshot_may_be_saved_after_it() {
    let (_store, chats) = of_preset("agno");
    let run = |id: &str, age: u32| {
        chats.sql(&format!(
            "INSERT INTO agno_runs (run_id, session_id, run_type, status, run_index, run_data, created_at) \
             SELECT '{id}', session_id, run_type, 'COMPLETED', 900, \
             json_object('input', json_object('input_content', 'and {id}?'), 'content', 'answer {id}'), \
             CAST(strftime('%s', 'now') AS INTEGER) - {age} FROM agno_runs WHERE run_id = 'run-1'"
        ));
    };
    run("short", 5);
    chats.snapshot("before.cas");
    run("long", 180);
    let (report, code) = chats.compare(&["before.cas"]);
    assert_eq!((told(&report).as_str(), code), ("", 0), "{report:#}");
    assert_eq!(figure(&report, "appended_messages"), 2);
    chats.sql("DELETE FROM agno_runs WHERE run_id = 'run-1'");
    let (report, code) = chats.compare(&["before.cas"]);
    assert_eq!((told(&report).as_str(), code), ("E message-lost", 1));
}

/// What a preset can't read is not compared, also where only the snapshot remembers it.
#[test]
fn what_a_preset_cannot_read_is_told_next_to_the_tables_of_another_one() {
    let (_store, chats) = of_preset("agno");
    chats.snapshot("before.cas");
    let told_of = || {
        let (report, code) = chats.compare(&["before.cas"]);
        assert_eq!(code, 0, "{report:#}");
        let reason = report["cases"][0]["reason"].as_str().unwrap();
        reason.matches("not readable: ").count()
    };
    assert_eq!(told_of(), 1);
    chats.sql(&dump_of("openai-agents"));
    assert_eq!(told_of(), 1);
}

#[test]
fn two_files_know_what_users_may_do() {
    let store = Store::sqlite();
    let chats = Chats::in_store(&store);
    let gone = |expected: (&str, i32)| {
        super::chats::again(&chats.url);
        chats.snapshot("before.cas");
        chats.sql("DELETE FROM message WHERE id = 20");
        chats.snapshot("after.cas");
        let (report, code) = chats.compare(&["before.cas", "after.cas"]);
        assert_eq!((told(&report).as_str(), code), expected, "{report:#}");
    };
    gone(("E message-lost", 1));
    let allow = "shape = \"row\"\nallow = [\"delete\"]";
    chats.map(&MAPPING.replace("shape = \"row\"", allow));
    gone(("N message-lost", 0));
    chats.map(&MAPPING.replace("shape = \"row\"", &allow.replace("delete", "edit")));
    gone(("E message-lost", 1));
}

/// A chat that becomes a topic takes its messages along; more than users do at once is an error.
#[test]
fn users_may_move_messages_where_the_mapping_says_so() {
    let store = Store::sqlite();
    let chats = Chats::in_store(&store);
    let moved = |ids: &str, expected: (&str, i32)| {
        super::chats::again(&chats.url);
        chats.snapshot("before.cas");
        chats.sql(&format!(
            "UPDATE message SET conversation_id = 3 WHERE conversation_id <> 3 AND {ids}"
        ));
        let (report, code) = chats.compare(&["before.cas"]);
        assert_eq!((told(&report).as_str(), code), expected, "{report:#}");
    };
    moved("id = 20", ("E message-moved", 1));
    let allow = "shape = \"row\"\nallow = [\"move\"]";
    chats.map(&MAPPING.replace("shape = \"row\"", allow));
    moved("id = 20", ("N message-moved", 0));
    moved("id <= 90", ("E message-moved", 1));
}

/// The word may be there while it is written, and for good.
#[test]
fn a_partial_answer_may_go_on_and_not_become_another_one() {
    let store = Store::sqlite();
    let chats = Chats::in_store(&store);
    chats.map(&format!("{}\nstatus = \"status\"\n", silent()));
    let rows = [
        (100, 7200, "partial"),
        (102, 30, "incomplete"),
        (104, 7200, "streaming"),
    ]
    .map(|(id, age, status)| {
        let (half, time) = (text("half of"), ago(&chats.url, age));
        format!("({id}, 1, 'assistant', {half}, '{status}', {time})")
    });
    chats.sql(&format!(
        "INSERT INTO message (id, conversation_id, role, parts, status, created_at) VALUES {}",
        rows.join(", ")
    ));
    chats.snapshot("before.cas");
    let say = |id: u32, said: &str| {
        let said = text(said);
        chats.sql(&format!(
            "UPDATE message SET parts = {said} WHERE id = {id}"
        ));
        chats.compare(&["before.cas"])
    };
    let (report, code) = say(100, "half of it");
    assert_eq!((told(&report).as_str(), code), ("", 0), "{report:#}");
    let (report, code) = say(102, "half of it");
    assert_eq!((told(&report).as_str(), code), ("", 0), "{report:#}");
    let (report, code) = say(104, "another one");
    assert_eq!((told(&report).as_str(), code), ("", 0), "{report:#}");
    assert_eq!(figure(&report, "unjudged_messages"), 1);
    let (report, code) = say(100, "x");
    assert_eq!((told(&report).as_str(), code), ("E message-altered", 1));
}

/// A person decides after minutes or days, and the same row goes on.
#[test]
fn a_call_that_waits_for_the_user_may_go_on() {
    let store = Store::sqlite();
    let chats = Chats::in_store(&store);
    chats.map(&silent());
    let row = |state: &str, more: &str, said: &str| {
        format!(
            r#"'[{{"type": "text", "text": "{said}", "state": "done"}}, {{"type": "tool-delete", "toolCallId": "t", "input": {{}}, "state": "{state}"{more}}}]'"#
        )
    };
    let then = |was: &str, is: &str| {
        let time = ago(&chats.url, 200_000);
        chats.sql(&format!(
            "DELETE FROM message WHERE id = 100; INSERT INTO message (id, conversation_id, role, parts, created_at) \
             VALUES (100, 1, 'assistant', {was}, {time})"
        ));
        chats.snapshot("before.cas");
        chats.sql(&format!("UPDATE message SET parts = {is} WHERE id = 100"));
        let (report, code) = chats.compare(&["before.cas"]);
        (told(&report), code)
    };
    let done = |said: &str| row("output-available", r#", "output": "ok""#, said);
    let (held, altered) = ((String::new(), 0), ("E message-altered".to_owned(), 1));
    for waits in [
        "approval-requested",
        "approval-responded",
        "input-available",
    ] {
        let was = row(waits, "", "Shall I?");
        assert_eq!(then(&was, &done("Shall I?")), held, "{waits}");
        assert_eq!(then(&was, &done("Shall I? It is gone.")), held, "{waits}");
        assert_eq!(then(&was, &done("Never.")), altered, "{waits}");
    }
    assert_eq!(
        then(&done("Shall I?"), &done("Shall I? It is gone.")),
        altered
    );
}
