//! Which of several columns is read, and that a snapshot says it.

use super::{DIALOGUES, chosen, filled, listed, told};
use crate::common::stores::{Store, execute, on_each_backend};
use chatctl::store;
use chatctl::store::{Choice, Declared};

on_each_backend! {
    a_login_is_not_the_conversation
    texts_are_where_they_are_and_not_where_a_name_is
    a_snapshot_says_what_is_read
}

/// The user's login has a table of its own, and is stored with each message.
async fn a_login_is_not_the_conversation(store: &Store) {
    let db = filled(
        store,
        &[
            "CREATE TABLE user_sessions (id INTEGER PRIMARY KEY, agent VARCHAR(40))",
            "CREATE TABLE messages (id INTEGER PRIMARY KEY, session_id INTEGER, conversation_id VARCHAR(40), role VARCHAR(9), \
             content VARCHAR(99), FOREIGN KEY (session_id) REFERENCES user_sessions (id))",
            "INSERT INTO user_sessions VALUES (1, 'browser')",
            "INSERT INTO messages VALUES (1, 1, 'conv-1', 'user', 'please buy milk'), (2, 1, 'conv-1', 'assistant', 'it is bought'), \
             (3, 1, 'conv-2', 'user', 'and tea'), (4, 1, 'conv-2', 'assistant', 'there is no tea')",
        ],
    )
    .await;
    let mapping = chosen(db.as_ref()).await.unwrap();
    assert_eq!(
        listed(db.as_ref(), &mapping).await,
        ["conv-1 - - 2", "conv-2 - - 2"]
    );
}

/// An application that went from texts to parts keeps the column of the texts, and leaves it empty.
async fn texts_are_where_they_are_and_not_where_a_name_is(store: &Store) {
    let json = store.pick("TEXT", "jsonb", "JSON");
    let said = ["user: please buy milk", "assistant: it is bought"];
    let parts = |text: &str| format!(r#"'[{{"type": "text", "text": "{text}"}}]'"#);
    let (question, answer) = (parts("please buy milk"), parts("it is bought"));
    for rows in [
        [("''", question.as_str()), ("''", answer.as_str())],
        [("NULL", &question), ("NULL", &answer)],
        [("'please buy milk'", &question), ("''", &answer)],
        [("'please buy milk'", "NULL"), ("''", &answer)],
        [("'please buy milk'", "NULL"), ("'it is bought'", "NULL")],
    ] {
        let table = format!(
            "CREATE TABLE messages (id INTEGER PRIMARY KEY, chat_id INTEGER, role VARCHAR(9), content VARCHAR(99), parts {json})"
        );
        let [(one, first), (other, second)] = rows;
        let insert = format!(
            "INSERT INTO messages VALUES (1, 1, 'user', {one}, {first}), (2, 1, 'assistant', {other}, {second})"
        );
        let db = filled(store, &[&table, &insert]).await;
        let mapping = chosen(db.as_ref()).await.unwrap();
        assert_eq!(told(db.as_ref(), &mapping, "1").await, said, "{insert}");
        execute(db.as_ref(), "DROP TABLE messages").await;
    }
    // Where it may be in either, both are read.
    let table = "CREATE TABLE messages (id INTEGER PRIMARY KEY, chat_id INTEGER, role VARCHAR(9), content VARCHAR(99), body VARCHAR(99))";
    let rows = "INSERT INTO messages VALUES (1, 1, 'user', 'please buy milk', ''), (2, 1, 'assistant', '', 'it is bought')";
    let db = filled(store, &[table, rows]).await;
    let mapping = chosen(db.as_ref()).await.unwrap();
    assert_eq!(told(db.as_ref(), &mapping, "1").await, said);
}

/// What is left of the chats must not decide what is read, and neither must a copy of the table.
async fn a_snapshot_says_what_is_read(store: &Store) {
    let db = filled(store, DIALOGUES).await;
    let mapping = chosen(db.as_ref()).await.unwrap();
    let memory = mapping.toml();
    for statement in [
        "UPDATE utterance SET words = ''",
        "UPDATE utterance SET speaker = 'x'",
        "DELETE FROM utterance",
    ] {
        execute(db.as_ref(), statement).await;
        assert!(chosen(db.as_ref()).await.is_err(), "{statement}");
        let schema = db.schema().await.unwrap();
        let none = Declared::default();
        let again = store::choose(db.as_ref(), as_before(&none, &memory), &schema).await;
        assert_eq!(again.unwrap().stores, mapping.stores, "{statement}");
    }
    execute(db.as_ref(), "DROP TABLE utterance").await;
    let schema = db.schema().await.unwrap();
    let gone = store::choose(
        db.as_ref(),
        as_before(&Declared::default(), &memory),
        &schema,
    )
    .await;
    assert!(gone.is_err(), "its table is not there");
}

/// What a comparison knows of where the chats are.
fn as_before<'a>(declared: &'a Declared, memory: &'a str) -> Choice<'a> {
    Choice {
        mapping: Some(memory),
        ..Choice::from(declared)
    }
}
