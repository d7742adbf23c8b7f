//! Each shape of store on each backend: the same chat, however it is kept, is read alike.

use crate::common::stores::{Store, on_each_backend};
use chatctl::db::Db;
use chatctl::model::{State, StoredMessage};
use chatctl::store;
use chatctl::store::{Declared, Filter, Mapping, Way};
use std::ops::ControlFlow;
use std::time::Duration;

on_each_backend! {
    a_row_for_each_message
    a_row_for_each_turn
    items_in_the_conversations_row
    a_log_of_events
    opaque_rows
    a_chain_of_parents
    branches_without_a_tip
    keys_are_found_by_their_beginning
    text_is_searched_in_any_case
    the_same_chat_kept_twice
    an_index_of_the_text_is_used
    the_text_of_the_chat_beats_the_names
    json_in_a_text_is_noticed
    a_chain_is_followed_to_its_beginning
    keys_that_look_alike_are_kept_apart
    the_chats_of_one_user_are_found_among_many
    generated_columns_count
}

mod bytes_and_letters {
    use crate::common::stores::Store;

    #[test]
    fn what_the_database_takes_for_one_key_is_one() {
        let store = Store::mysql();
        crate::common::stores::run(super::what_the_database_takes_for_one_key_is_one(&store));
    }

    #[test]
    fn keys_of_bytes_are_distinguished() {
        let store = Store::mysql();
        crate::common::stores::run(super::keys_of_bytes_are_distinguished(&store));
    }
}

async fn filled(store: &Store, sql: &str) -> Box<dyn Db> {
    let db = store.open().await;
    let mut writer = db.writer(Duration::from_secs(5)).await.unwrap();
    for statement in sql.split(";\n") {
        writer.execute(statement).await.unwrap();
    }
    db
}

async fn mapped(db: &dyn Db, toml: &str) -> Mapping {
    let declared: Declared = toml::from_str::<toml::Table>(toml).unwrap()["store"]
        .clone()
        .try_into()
        .unwrap();
    let schema = db.schema().await.unwrap();
    declared.resolve(&schema).unwrap().unwrap()
}

async fn scanned(db: &dyn Db, mapping: &Mapping) -> Vec<StoredMessage> {
    let mut found = Vec::new();
    let mut take = |message: &mut StoredMessage| {
        found.push(message.clone());
        Ok(ControlFlow::Continue(()))
    };
    store::scan(db, mapping, &mut take).await.unwrap();
    found
}

/// Role, text and state of the messages on the current branch.
async fn told(db: &dyn Db, mapping: &Mapping, key: &str) -> Vec<String> {
    let messages = store::conversation(db, mapping, key).await.unwrap();
    let on = messages.iter().filter(|message| message.on_branch);
    on.map(line).collect()
}

fn line(message: &StoredMessage) -> String {
    let tools: String = message
        .tools
        .iter()
        .map(|tool| format!(" +{}", tool.name))
        .collect();
    let state = match message.state {
        State::Whole => String::new(),
        state => format!(" ({state:?})"),
    };
    format!("{}: {}{tools}{state}", message.role, message.content)
}

async fn listed(db: &dyn Db, mapping: &Mapping) -> Vec<String> {
    let filter = Filter {
        limit: 10,
        ..Filter::default()
    };
    let (found, cut) = store::conversations(db, mapping, &filter).await.unwrap();
    assert!(!cut);
    let line = |one: &chatctl::model::Conversation| {
        let mark = if one.unanswered { " ?" } else { "" };
        let title = one.title.as_deref().unwrap_or("-");
        format!("{} {title} {}{mark}", one.key, one.messages)
    };
    found.iter().map(line).collect()
}

const TURNS: &str = "CREATE TABLE chats (id VARCHAR(40) PRIMARY KEY, title VARCHAR(40), created_at VARCHAR(40));
INSERT INTO chats VALUES ('c1', 'Milk', '2026-01-01T10:00:00Z'), ('c2', 'Tea', '2026-01-02T10:00:00Z'), ('c3', 'Empty', '2026-01-01T09:00:00Z')";

const OWN: &str =
    "[store.conversation]\ntable = 'chats'\ntitle = 'title'\ncreated = 'created_at'\n";

async fn a_row_for_each_message(store: &Store) {
    let sql = format!(
        "{TURNS};
CREATE TABLE msgs (id INTEGER PRIMARY KEY, chat VARCHAR(40), who VARCHAR(20), parts {json}, at VARCHAR(40), gone INTEGER, bad INTEGER);
INSERT INTO msgs VALUES (1, 'c1', 'user', '[{{\"type\":\"text\",\"text\":\"milk?\"}}]', '2026-01-01 10:00:00', 0, 0),
 (3, 'c1', 'assistant', '[{{\"type\":\"tool-look\",\"input\":{{}}}},{{\"type\":\"text\",\"text\":\"yes\"}}]', '2026-01-01 10:00:01', 0, 0),
 (2, 'c1', 'assistant', '[]', '2026-01-01 10:00:00', 1, 0),
 (4, 'c2', 'user', '[{{\"type\":\"text\",\"text\":\"tea?\"}}]', '2026-01-02 10:00:00', 0, 0),
 (5, 'c2', 'assistant', '[]', '2026-01-02 10:00:01', 0, 1)",
        json = store.pick("TEXT", "jsonb", "JSON"),
    );
    let db = filled(store, &sql).await;
    let toml = format!(
        "[store]\nshape = 'row'\n{OWN}[store.message]\ntable = 'msgs'\nconversation = ['chat']\nrole = 'who'\ncontent = 'parts::$'\n\
         time = 'at'\ndeleted = '{{gone}} = 1'\nerror = '{{bad}} = 1'"
    );
    let mapping = mapped(db.as_ref(), &toml).await;
    assert_eq!(
        told(db.as_ref(), &mapping, "c1").await,
        [
            "user: milk?",
            "assistant:  (Deleted)",
            "assistant: yes +look"
        ]
    );
    assert_eq!(
        listed(db.as_ref(), &mapping).await,
        ["c2 Tea 2 ?", "c1 Milk 3", "c3 Empty 0"]
    );
    let all = scanned(db.as_ref(), &mapping).await;
    assert_eq!(all.len(), 5);
    assert!(
        all.iter()
            .all(|message| message.decoded && message.time.is_some())
    );
    let one = store::by_key(db.as_ref(), &mapping, "3")
        .await
        .unwrap()
        .unwrap();
    assert_eq!((one.content.as_str(), one.append), ("yes", Some(3)));
    assert_eq!(one.time, Some(1_767_261_601_000_000));
    assert_eq!(
        store::holding(db.as_ref(), &mapping, "milk?")
            .await
            .unwrap()
            .len(),
        1
    );
}

async fn a_row_for_each_turn(store: &Store) {
    let sql = "CREATE TABLE asks (id INTEGER PRIMARY KEY, session_id VARCHAR(40), query VARCHAR(99), answer VARCHAR(99), created_at INTEGER);
INSERT INTO asks VALUES (1, 's1', 'milk?', '{\"text\":\"yes\"}', 1767261600), (2, 's1', 'more?', NULL, 1767261700), (3, 's2', 'tea?', '{\"text\":\"\"}', 1767261800), (4, 's3', 'a', '{\"text\":\"b\"}', 1767261500)";
    let db = filled(store, sql).await;
    let toml = "[[store]]\nshape = 'turn'\n[store.message]\ntable = 'asks'\nconversation = ['session_id']\nprompt = 'query'\n\
                response = 'answer::$.text'\ntime = 'created_at'";
    let mapping = mapped(db.as_ref(), toml).await;
    assert_eq!(
        told(db.as_ref(), &mapping, "s1").await,
        ["user: milk?", "assistant: yes", "user: more?"]
    );
    assert_eq!(
        listed(db.as_ref(), &mapping).await,
        ["s2 - 2 ?", "s1 - 3 ?", "s3 - 2"]
    );
    assert_eq!(scanned(db.as_ref(), &mapping).await.len(), 7);
    let one = store::by_key(db.as_ref(), &mapping, "1#response")
        .await
        .unwrap();
    assert_eq!(one.unwrap().content, "yes");
}

async fn items_in_the_conversations_row(store: &Store) {
    let tree = r#"{"history":{"currentId":"d","messages":{"a":{"id":"a","parentId":null,"role":"user","content":"milk?","timestamp":1767261600},
"b":{"id":"b","parentId":"a","role":"assistant","content":"no","timestamp":1767261601},
"d":{"id":"d","parentId":"a","role":"assistant","content":"yes","timestamp":1767261602,"done":false},
"e":null}}}"#;
    let sql = format!(
        "CREATE TABLE chat (id VARCHAR(40) PRIMARY KEY, title VARCHAR(40), user_id VARCHAR(9), chat {json}, updated_at BIGINT);
INSERT INTO chat VALUES ('c1', 'Milk', 'u1', '{tree}', 1767261602), ('c2', 'Bad', 'u2', NULL, 1767261600)",
        json = store.pick("TEXT", "json", "LONGTEXT"),
    );
    let db = filled(store, &sql).await;
    let toml = "[[store]]\nshape = 'blob'\n[store.conversation]\ntable = 'chat'\ntitle = 'title'\nuser = 'user_id'\nupdated = 'updated_at'\n\
                tip = 'chat::$.history.currentId'\n[store.item]\nitems = 'chat::$.history.messages'\nrole = '$.role'\ncontent = '$.content'\n\
                time = '$.timestamp'\nparent = '$.parentId'\ndone = '$.done'";
    let mapping = mapped(db.as_ref(), toml).await;
    assert_eq!(
        told(db.as_ref(), &mapping, "c1").await,
        ["user: milk?", "assistant: yes (Open)"]
    );
    let all = store::conversation(db.as_ref(), &mapping, "c1")
        .await
        .unwrap();
    assert_eq!(
        (all.len(), all[2].content.as_str(), all[2].on_branch),
        (3, "no", false)
    );
    assert_eq!(
        listed(db.as_ref(), &mapping).await,
        ["c1 Milk 3", "c2 Bad 0"]
    );
    let of = Filter {
        limit: 5,
        user: Some("u2".into()),
        ..Filter::default()
    };
    assert_eq!(
        store::conversations(db.as_ref(), &mapping, &of)
            .await
            .unwrap()
            .0
            .len(),
        1
    );
    let found = store::holding(db.as_ref(), &mapping, "yes").await.unwrap();
    assert_eq!(found[0].key, "c1#d");
    let again = store::by_key(db.as_ref(), &mapping, "c1#d").await.unwrap();
    assert_eq!(again.unwrap().content, "yes");
}

async fn a_log_of_events(store: &Store) {
    let sql = format!(
        "CREATE TABLE sessions (app VARCHAR(20), user_id VARCHAR(20), id VARCHAR(20), create_time VARCHAR(40), PRIMARY KEY (app, user_id, id));
INSERT INTO sessions VALUES ('a', 'u', 's1', '2026-01-01 10:00:00'), ('b', 'u', 's1', '2026-01-01 10:00:00');
CREATE TABLE events (id VARCHAR(20), app VARCHAR(20), user_id VARCHAR(20), session_id VARCHAR(20), author VARCHAR(20), stamp VARCHAR(40), content {json}, partial {bool}, PRIMARY KEY (id, app, user_id, session_id));
INSERT INTO events VALUES ('e1', 'a', 'u', 's1', 'user', '2026-01-01 10:00:00.000001', '{{\"parts\":[{{\"text\":\"milk?\"}}],\"role\":\"user\"}}', NULL),
 ('e2', 'a', 'u', 's1', 'cook', '2026-01-01 10:00:00.000003', '{{\"parts\":[{{\"text\":\"y\"}}]}}', {yes}),
 ('e3', 'a', 'u', 's1', 'cook', '2026-01-01 10:00:00.000004', '{{\"parts\":[{{\"functionCall\":{{\"name\":\"look\",\"args\":{{}}}}}},{{\"text\":\"yes\"}}]}}', {no}),
 ('e1', 'b', 'u', 's1', 'user', '2026-01-01 09:00:00', '{{\"parts\":[{{\"text\":\"other\"}}]}}', NULL)",
        json = store.pick("TEXT", "jsonb", "LONGTEXT"),
        bool = store.pick("BOOLEAN", "boolean", "BOOLEAN"),
        yes = store.pick("1", "true", "1"),
        no = store.pick("0", "false", "0"),
    );
    let db = filled(store, &sql).await;
    let toml = "[[store]]\nshape = 'event'\n[store.conversation]\ntable = 'sessions'\nkey = ['app', 'user_id', 'id']\nuser = 'user_id'\n\
                [store.message]\ntable = 'events'\nconversation = ['app', 'user_id', 'session_id']\nrole = 'author'\ncontent = 'content::$'\n\
                time = 'stamp'\nwhere = '{partial} IS NOT TRUE'\nrole_map = { '*' = 'assistant' }";
    let mapping = mapped(db.as_ref(), toml).await;
    assert_eq!(
        told(db.as_ref(), &mapping, "a/u/s1").await,
        ["user: milk?", "assistant: yes +look"]
    );
    assert_eq!(
        listed(db.as_ref(), &mapping).await,
        ["a/u/s1 - 2", "b/u/s1 - 1 ?"]
    );
    assert_eq!(
        store::find(db.as_ref(), &mapping, "b/u").await.unwrap(),
        ["b/u/s1"]
    );
    assert_eq!(
        store::find(db.as_ref(), &mapping, "s1")
            .await
            .unwrap()
            .len(),
        2
    );
}

async fn opaque_rows(store: &Store) {
    let sql = format!(
        "CREATE TABLE checkpoints (thread_id VARCHAR(40), checkpoint_id VARCHAR(40), checkpoint {blob}, PRIMARY KEY (thread_id, checkpoint_id));
INSERT INTO checkpoints VALUES ('t1', '1', {bytes}), ('t1', '2', {bytes})",
        blob = store.pick("BLOB", "bytea", "BLOB"),
        bytes = store.pick("x'0102'", "'\\x0102'", "x'0102'"),
    );
    let db = filled(store, &sql).await;
    let schema = db.schema().await.unwrap();
    let candidates = store::candidates(db.as_ref(), &schema).await.unwrap();
    let mapping = &candidates[0].mapping;
    let told = told(db.as_ref(), mapping, "t1").await;
    assert_eq!(told.len(), 2);
    assert_eq!(told[0], told[1]);
    assert!(told[0].starts_with("opaque: [2 bytes, blake3:"), "{told:?}");
    assert_eq!(listed(db.as_ref(), mapping).await, ["t1 - 2"]);
}

const CHAIN: &str = "CREATE TABLE threads (id VARCHAR(9) PRIMARY KEY, name VARCHAR(9), tip VARCHAR(9));
INSERT INTO threads VALUES ('t1', 'One', 'm3'), ('t2', 'Two', 'm2'), ('t3', 'Ring', 'r1');
CREATE TABLE messages (hash VARCHAR(9) PRIMARY KEY, parent VARCHAR(9), role VARCHAR(9));
INSERT INTO messages VALUES ('m1', NULL, 'user'), ('m2', 'm1', 'assistant'), ('m3', 'm2', 'user'), ('r1', 'r2', 'user'), ('r2', 'r1', 'assistant');
CREATE TABLE parts (id INTEGER PRIMARY KEY, message VARCHAR(9), position INTEGER, text VARCHAR(20));
INSERT INTO parts VALUES (1, 'm2', 1, 'es'), (2, 'm2', 0, 'y'), (3, 'm1', 0, 'milk?'), (4, 'm3', 0, 'more?')";

async fn a_chain_of_parents(store: &Store) {
    let db = filled(store, CHAIN).await;
    let toml = "[[store]]\nshape = 'chain'\n[store.conversation]\ntable = 'threads'\ntitle = 'name'\ntip = 'tip'\n\
                [store.message]\ntable = 'messages'\nrole = 'role'\nparent = 'parent'\n[store.parts]\ntable = 'parts'\nkey = 'message'\n\
                order = 'position'\ncontent = 'text'";
    let mapping = mapped(db.as_ref(), toml).await;
    assert_eq!(
        told(db.as_ref(), &mapping, "t1").await,
        ["user: milk?", "assistant: yes", "user: more?"]
    );
    assert_eq!(told(db.as_ref(), &mapping, "t2").await.len(), 2);
    // A circle ends.
    assert_eq!(told(db.as_ref(), &mapping, "t3").await.len(), 2);
    let mut lines = listed(db.as_ref(), &mapping).await;
    lines.sort();
    assert_eq!(lines, ["t1 One 3 ?", "t2 Two 2", "t3 Ring 2 ?"]);
    // Shared messages belong to each thread that leads to them.
    assert_eq!(scanned(db.as_ref(), &mapping).await.len(), 7);
    let found = store::holding(db.as_ref(), &mapping, "milk").await.unwrap();
    assert_eq!(found[0].key, "m1");
}

async fn branches_without_a_tip(store: &Store) {
    let sql = "CREATE TABLE m (id INTEGER PRIMARY KEY, chat_id VARCHAR(9), role VARCHAR(9), content VARCHAR(9), up INTEGER);
INSERT INTO m VALUES (1, 'c', 'user', 'q', NULL), (2, 'c', 'assistant', 'a', 1), (3, 'c', 'assistant', 'b', 1), (4, 'c', 'user', 'r', 3)";
    let db = filled(store, sql).await;
    let toml = "[[store]]\n[store.message]\ntable = 'm'\nconversation = ['chat_id']\nrole = 'role'\ncontent = 'content'\nparent = 'up'";
    let mapping = mapped(db.as_ref(), toml).await;
    assert_eq!(
        told(db.as_ref(), &mapping, "c").await,
        ["user: q", "assistant: b", "user: r"]
    );
}

async fn keys_are_found_by_their_beginning(store: &Store) {
    let uuid = store.pick("CHAR(36)", "uuid", "CHAR(36)");
    let sql = format!(
        "CREATE TABLE message (id INTEGER PRIMARY KEY, conversation_id {uuid}, role VARCHAR(9), content VARCHAR(9));
INSERT INTO message VALUES (1, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'user', 'x'), (2, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12', 'user', 'y'), (3, 'b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a13', 'user', 'z')"
    );
    let db = filled(store, &sql).await;
    let schema = db.schema().await.unwrap();
    let mapping = store::by_names(&schema).unwrap();
    for (text, count) in [
        ("a0ee", 2),
        ("A0EEBC99-9c0b-4ef8-bb6d-6bb9bd380a12", 1),
        ("b", 1),
        ("c", 0),
        ("%", 0),
        ("'", 0),
    ] {
        let found = store::find(db.as_ref(), &mapping, text).await.unwrap();
        assert_eq!(found.len(), count, "{text}: {found:?}");
    }
}

async fn text_is_searched_in_any_case(store: &Store) {
    let sql = "CREATE TABLE message (id INTEGER PRIMARY KEY, conversation_id INTEGER, role VARCHAR(9), content VARCHAR(99));
INSERT INTO message VALUES (1, 1, 'user', 'Über 100% Milk_'), (2, 1, 'ai', 'ÜBER milk'), (3, 2, 'user', 'nothing')";
    let db = filled(store, sql).await;
    let schema = db.schema().await.unwrap();
    let mapping = store::by_names(&schema).unwrap();
    for (text, keys) in [
        ("MILK", "21"),
        ("über", "21"),
        ("100%", "1"),
        ("k_", "1"),
        ("ü", "21"),
        ("none", ""),
    ] {
        let mut found = String::new();
        let mut take = |message: &mut StoredMessage| {
            found.push_str(&message.key);
            Ok(ControlFlow::Continue(()))
        };
        let way = store::way(db.as_ref(), &mapping, text).await.unwrap();
        assert_eq!(way, Way::Scan);
        store::search(db.as_ref(), &mapping, text, &way, &mut take)
            .await
            .unwrap();
        assert_eq!(found, keys, "{text}");
    }
}

async fn the_same_chat_kept_twice(store: &Store) {
    let sql = format!(
        "CREATE TABLE chat (id VARCHAR(9) PRIMARY KEY, chat {json});
INSERT INTO chat VALUES ('c1', '[{{\"role\":\"user\",\"content\":\"a\"}},{{\"role\":\"assistant\",\"content\":\"b\"}}]');
CREATE TABLE chat_message (id VARCHAR(9) PRIMARY KEY, chat_id VARCHAR(9), role VARCHAR(9), content {json});
INSERT INTO chat_message VALUES ('1', 'c1', 'user', '\"a\"')",
        json = store.pick("TEXT", "json", "LONGTEXT"),
    );
    let db = filled(store, &sql).await;
    let toml = "[[store]]\nshape = 'blob'\n[store.conversation]\ntable = 'chat'\n[store.item]\nitems = 'chat::$'\nrole = '$.role'\ncontent = '$.content'\n\
                [[store]]\n[store.message]\ntable = 'chat_message'\nconversation = ['chat_id']\nrole = 'role'\ncontent = 'content::$'";
    let mapping = mapped(db.as_ref(), toml).await;
    let mut kept = Vec::new();
    for index in 0..2 {
        let one = mapping.only(index);
        kept.push(store::conversation(db.as_ref(), &one, "c1").await.unwrap());
    }
    let differences = store::reconcile(&kept[0], &kept[1]);
    assert_eq!(differences.len(), 1);
    assert_eq!(
        (
            differences[0].message.content.as_str(),
            differences[0].in_first
        ),
        ("b", true)
    );
}

async fn an_index_of_the_text_is_used(store: &Store) {
    let index = store.pick(
        "CREATE VIRTUAL TABLE words USING fts5(content, content='message', content_rowid='id');
INSERT INTO words (words) VALUES ('rebuild')",
        "CREATE EXTENSION pg_trgm;
CREATE INDEX parts ON message USING gin (content gin_trgm_ops)",
        "CREATE FULLTEXT INDEX words ON message (content)",
    );
    let rows: Vec<_> = (1..2000)
        .map(|id| {
            format!(
                "({id}, {}, 'user', 'some of the words {id} of them')",
                id % 7
            )
        })
        .collect();
    let sql = format!(
        "CREATE TABLE message (id INTEGER PRIMARY KEY, conversation_id INTEGER, role VARCHAR(9), content TEXT);
INSERT INTO message VALUES {}, (5000, 1, 'assistant', 'Quartz, \"vein\"');
{index};
{}",
        rows.join(", "),
        store.pick("ANALYZE", "ANALYZE message", "SELECT 1"),
    );
    let db = filled(store, &sql).await;
    let schema = db.schema().await.unwrap();
    let mapping = store::by_names(&schema).unwrap();
    let way = store::way(db.as_ref(), &mapping, "quartz").await.unwrap();
    match &way {
        Way::Words(words) => assert_eq!(words[0].name, "words"),
        way => assert_eq!((way, store.pick(false, true, false)), (&Way::Index, true)),
    }
    for (text, found) in [("quartz", 1), ("\"vein\"", 1), ("granite", 0)] {
        let mut count = 0;
        let mut take = |message: &mut StoredMessage| {
            assert_eq!(message.key, "5000");
            count += 1;
            Ok(ControlFlow::Continue(()))
        };
        store::search(db.as_ref(), &mapping, text, &way, &mut take)
            .await
            .unwrap();
        assert_eq!(count, found, "{text}");
    }
}

async fn the_text_of_the_chat_beats_the_names(store: &Store) {
    let sql = "CREATE TABLE message (id VARCHAR(9) PRIMARY KEY, conversation_id VARCHAR(9), role VARCHAR(9), content VARCHAR(99));
INSERT INTO message VALUES ('a', 'c', 'user', 'an old one');
CREATE TABLE entries (id VARCHAR(9) PRIMARY KEY, thread_id VARCHAR(9), author VARCHAR(9), txt VARCHAR(99));
INSERT INTO entries VALUES ('b', 't', 'user', 'the nonce')";
    let db = filled(store, sql).await;
    let schema = db.schema().await.unwrap();
    for (text, place) in [
        ("the nonce", Some(("entries", "txt"))),
        ("an old one", Some(("message", "content"))),
        ("nowhere", None),
    ] {
        let hits = store::find_text(db.as_ref(), &schema, text).await.unwrap();
        let mapping = store::from_hits(db.as_ref(), &schema, &hits, (text, "the answer"));
        let mapping = mapping.await.unwrap();
        assert_eq!(mapping.as_ref().and_then(Mapping::answers), place, "{text}");
    }
}

async fn json_in_a_text_is_noticed(store: &Store) {
    let sql = r#"CREATE TABLE message (id INTEGER PRIMARY KEY, conversation_id VARCHAR(9), role VARCHAR(9), content VARCHAR(99));
INSERT INTO message VALUES (1, 'c', 'user', '[{"type":"text","text":"milk?"}]'), (2, 'c', 'assistant', '{"parts":[{"text":"yes"}]}')"#;
    let db = filled(store, sql).await;
    let schema = db.schema().await.unwrap();
    let mapping = store::choose(db.as_ref(), &Declared::default(), &schema)
        .await
        .unwrap();
    assert_eq!(
        told(db.as_ref(), &mapping, "c").await,
        ["user: milk?", "assistant: yes"]
    );
}

/// MariaDB would cut it after a thousand steps, without a word.
async fn a_chain_is_followed_to_its_beginning(store: &Store) {
    let rows: Vec<_> = (1..=1500)
        .map(|id| format!("('{id}', '{}', 'user', 'x')", id - 1))
        .collect();
    let sql = format!(
        "CREATE TABLE threads (id VARCHAR(9) PRIMARY KEY, tip VARCHAR(9));
INSERT INTO threads VALUES ('t', '1500');
CREATE TABLE messages (id VARCHAR(9) PRIMARY KEY, parent VARCHAR(9), role VARCHAR(9), content VARCHAR(9));
INSERT INTO messages VALUES {}",
        rows.join(", ")
    );
    let db = filled(store, &sql).await;
    let toml = "[[store]]\nshape = 'chain'\n[store.conversation]\ntable = 'threads'\ntip = 'tip'\n\
                [store.message]\ntable = 'messages'\nrole = 'role'\ncontent = 'content'\nparent = 'parent'";
    let mapping = mapped(db.as_ref(), toml).await;
    assert_eq!(told(db.as_ref(), &mapping, "t").await.len(), 1500);
    assert_eq!(scanned(db.as_ref(), &mapping).await.len(), 1500);
}

async fn keys_that_look_alike_are_kept_apart(store: &Store) {
    let sql = "CREATE TABLE sessions (app VARCHAR(9), id VARCHAR(9), PRIMARY KEY (app, id));
INSERT INTO sessions VALUES ('a/b', 'c'), ('a', 'b/c'), ('a%2Fb', 'c'), ('a-b', 'c');
CREATE TABLE m (id INTEGER PRIMARY KEY, app VARCHAR(9), sid VARCHAR(9), role VARCHAR(9), content VARCHAR(9));
INSERT INTO m VALUES (1, 'a/b', 'c', 'user', 'one'), (2, 'a', 'b/c', 'user', 'two'), (3, 'a%2Fb', 'c', 'user', 'three'), (4, 'ab', 'c', 'user', 'four')";
    let db = filled(store, sql).await;
    let toml = "[[store]]\n[store.conversation]\ntable = 'sessions'\nkey = ['app', 'id']\n[store.message]\ntable = 'm'\n\
                conversation = ['app', 'sid']\nrole = 'role'\ncontent = 'content'";
    let mapping = mapped(db.as_ref(), toml).await;
    let mut lines = listed(db.as_ref(), &mapping).await;
    lines.sort();
    assert_eq!(
        lines,
        [
            "a%252Fb/c - 1 ?",
            "a%2Fb/c - 1 ?",
            "a-b/c - 0",
            "a/b%2Fc - 1 ?",
            "ab/c - 1 ?"
        ]
    );
    for (key, text) in [
        ("a%252Fb/c", "user: three"),
        ("a%2Fb/c", "user: one"),
        ("a/b%2Fc", "user: two"),
        ("ab/c", "user: four"),
    ] {
        assert_eq!(
            store::find(db.as_ref(), &mapping, key).await.unwrap(),
            [key]
        );
        assert_eq!(told(db.as_ref(), &mapping, key).await, [text]);
    }
}

async fn the_chats_of_one_user_are_found_among_many(store: &Store) {
    let rows: Vec<_> = (1..=300)
        .map(|id| {
            format!(
                "({id}, 'c{id}', '{}', 'user', 'x')",
                if id < 3 { "u1" } else { "u2" }
            )
        })
        .collect();
    let sql = format!(
        "CREATE TABLE m (id INTEGER PRIMARY KEY, chat_id VARCHAR(9), who VARCHAR(9), role VARCHAR(9), content VARCHAR(9));
INSERT INTO m VALUES {}",
        rows.join(", ")
    );
    let db = filled(store, &sql).await;
    let toml = "[[store]]\n[store.message]\ntable = 'm'\nconversation = ['chat_id']\nrole = 'role'\ncontent = 'content'\nuser = 'who'";
    let mapping = mapped(db.as_ref(), toml).await;
    let of = |user: &str| Filter {
        limit: 5,
        user: Some(user.into()),
        ..Filter::default()
    };
    let (found, cut) = store::conversations(db.as_ref(), &mapping, &of("u1"))
        .await
        .unwrap();
    assert_eq!((found.len(), cut), (2, false));
    let (found, cut) = store::conversations(db.as_ref(), &mapping, &of("u2"))
        .await
        .unwrap();
    assert_eq!((found.len(), cut), (5, true));
}

async fn generated_columns_count(store: &Store) {
    let sql = "CREATE TABLE m (id INTEGER PRIMARY KEY, chat_id VARCHAR(9), role VARCHAR(9), body VARCHAR(9), content VARCHAR(9) GENERATED ALWAYS AS (body) STORED);
INSERT INTO m (id, chat_id, role, body) VALUES (1, 'c', 'user', 'hi')";
    let db = filled(store, sql).await;
    let toml = "[[store]]\n[store.message]\ntable = 'm'\nconversation = ['chat_id']\nrole = 'role'\ncontent = 'content'";
    let mapping = mapped(db.as_ref(), toml).await;
    assert_eq!(told(db.as_ref(), &mapping, "c").await, ["user: hi"]);
}

/// SQLite takes any bytes for a text, also in a key.
#[test]
fn bytes_that_are_no_text_do_not_stop_the_others() {
    let store = Store::sqlite();
    crate::common::stores::run(async {
        let sql = "CREATE TABLE message (id INTEGER PRIMARY KEY, conversation_id TEXT, role TEXT, content TEXT);
INSERT INTO message VALUES (1, x'ff00', 'user', 'x'), (2, 'c', 'user', CAST(x'fffe' AS TEXT))";
        let db = filled(&store, sql).await;
        let schema = db.schema().await.unwrap();
        let mapping = store::by_names(&schema).unwrap();
        assert_eq!(listed(db.as_ref(), &mapping).await[1], "c - 1 ?");
        assert_eq!(
            told(db.as_ref(), &mapping, "c").await,
            ["user: \u{fffd}\u{fffd}"]
        );
    });
}

async fn what_the_database_takes_for_one_key_is_one(store: &Store) {
    let sql = "CREATE TABLE chats (id VARCHAR(9) PRIMARY KEY);
INSERT INTO chats VALUES ('Abc');
CREATE TABLE m (id INTEGER PRIMARY KEY, chat_id VARCHAR(9), role VARCHAR(9), content VARCHAR(9));
INSERT INTO m VALUES (1, 'Abc', 'user', 'one'), (2, 'abc', 'assistant', 'two')";
    let db = filled(store, sql).await;
    let toml = "[[store]]\n[store.conversation]\ntable = 'chats'\n[store.message]\ntable = 'm'\nconversation = ['chat_id']\n\
                role = 'role'\ncontent = 'content'";
    let mapping = mapped(db.as_ref(), toml).await;
    assert_eq!(listed(db.as_ref(), &mapping).await, ["Abc - 2"]);
    assert_eq!(
        told(db.as_ref(), &mapping, "Abc").await,
        ["user: one", "assistant: two"]
    );
}

async fn keys_of_bytes_are_distinguished(store: &Store) {
    let sql = "CREATE TABLE m (id INTEGER PRIMARY KEY, chat_id BINARY(4), role VARCHAR(9), content VARCHAR(9));
INSERT INTO m VALUES (1, x'00aabbcc', 'user', 'one'), (2, x'00aabbcd', 'user', 'two')";
    let db = filled(store, sql).await;
    let toml = "[[store]]\n[store.message]\ntable = 'm'\nconversation = ['chat_id']\nrole = 'role'\ncontent = 'content'";
    let mapping = mapped(db.as_ref(), toml).await;
    let mut lines = listed(db.as_ref(), &mapping).await;
    lines.sort();
    assert_eq!(lines, ["00aabbcc - 1 ?", "00aabbcd - 1 ?"]);
    let found = store::find(db.as_ref(), &mapping, "00aabbc").await.unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(told(db.as_ref(), &mapping, "00aabbcc").await, ["user: one"]);
}
