//! Chats under names that no preset knows are found on each backend, and what looks like a chat and
//! is none is refused, with what speaks for it and against it.

mod columns;

use crate::common::stores::{Store, execute, on_each_backend, run};
use crate::common::{chatctl, servers, text};
use chatctl::db::Db;
use chatctl::store;
use chatctl::store::{Declared, Filter, Mapping};

on_each_backend! {
    names_that_nobody_knows
    a_conversation_table_without_a_foreign_key
    small_numbers_join_by_name_only
    a_key_of_several_columns
    a_column_that_is_named_as_the_conversation
    who_speaks_in_a_flag
    both_sides_in_one_row
    a_log_that_is_the_chat
    json_under_another_name
    a_log_is_known_by_its_rows
    two_tables_that_nothing_distinguishes
    what_only_looks_like_a_chat
    the_chat_among_what_only_looks_like_one
    a_first_chat_shows_which_table
}

async fn filled(store: &Store, statements: &[&str]) -> Box<dyn Db> {
    let db = store.open().await;
    for statement in statements {
        execute(db.as_ref(), statement).await;
    }
    db
}

async fn chosen(db: &dyn Db) -> Result<Mapping, String> {
    let schema = db.schema().await.unwrap();
    let mapping = store::choose(db, &Declared::default(), &schema).await;
    mapping.map_err(|error| format!("{error:#}"))
}

/// Every conversation with its title, its user and the number of its messages.
async fn listed(db: &dyn Db, mapping: &Mapping) -> Vec<String> {
    let filter = Filter {
        limit: 20,
        ..Filter::default()
    };
    let (found, _) = store::conversations(db, mapping, &filter).await.unwrap();
    let line = |one: &chatctl::model::Conversation| {
        let told = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        format!(
            "{} {} {} {}",
            one.key,
            told(&one.title),
            told(&one.user),
            one.messages
        )
    };
    let mut lines: Vec<_> = found.iter().map(line).collect();
    lines.sort();
    lines
}

async fn told(db: &dyn Db, mapping: &Mapping, key: &str) -> Vec<String> {
    let messages = store::conversation(db, mapping, key).await.unwrap();
    messages
        .iter()
        .map(|message| format!("{}: {}", message.role, message.content))
        .collect()
}

const DIALOGUES: &[&str] = &[
    "CREATE TABLE dialogue (id INTEGER PRIMARY KEY, topic VARCHAR(40), person VARCHAR(40))",
    "CREATE TABLE utterance (id INTEGER PRIMARY KEY, dialogue_id INTEGER NOT NULL, speaker VARCHAR(9), words VARCHAR(200), \
     uttered VARCHAR(40), FOREIGN KEY (dialogue_id) REFERENCES dialogue (id))",
    "INSERT INTO dialogue VALUES (1, 'Milk', 'ann'), (2, 'Tea', 'bob'), (3, 'Lost', 'ann')",
    "INSERT INTO utterance VALUES (1, 1, 'human', 'please buy some milk', '2026-01-01 10:00:00'), \
     (2, 1, 'bot', 'I have bought the milk', '2026-01-01 10:00:01'), (3, 2, 'human', 'and what about tea', '2026-01-01 11:00:00'), \
     (4, 2, 'bot', 'there is no tea left', '2026-01-01 11:00:01')",
];

async fn names_that_nobody_knows(store: &Store) {
    let db = filled(store, DIALOGUES).await;
    let mapping = chosen(db.as_ref()).await.unwrap();
    assert_eq!(mapping.table(), "utterance");
    // The conversation without a message is the only trace of a turn that was lost.
    assert_eq!(
        listed(db.as_ref(), &mapping).await,
        ["1 Milk ann 2", "2 Tea bob 2", "3 Lost ann 0"]
    );
    assert_eq!(
        told(db.as_ref(), &mapping, "2").await,
        [
            "user: and what about tea",
            "assistant: there is no tea left"
        ]
    );
    // What is printed can be declared.
    let output = chatctl()
        .args(["inspect", "mapping", "--database-url", &store.url()])
        .output()
        .unwrap();
    let (out, err) = text(&output);
    assert!(
        out.contains(r#"`speaker` holds "bot" and "human""#),
        "{out} {err}"
    );
    let declared = toml::from_str::<toml::Table>(&out).unwrap()["store"].clone();
    let declared: Declared = declared.try_into().unwrap();
    let schema = db.schema().await.unwrap();
    assert_eq!(
        declared.resolve(&schema).unwrap().unwrap().stores,
        mapping.stores
    );
}

/// Keys that can't be guessed are found wherever they stand, whatever the column is called.
async fn a_conversation_table_without_a_foreign_key(store: &Store) {
    let (one, other) = (
        "0d6f0f0a-6a5c-4f64-9d3e-0c5b7a3c1d11",
        "7b1c9a52-31c1-4a39-8f57-5b1f0e5ad0c2",
    );
    let talks = format!(
        "INSERT INTO talks VALUES (1, '{one}', 'Milk', 'ann'), (2, '{other}', 'Tea', 'bob'), (3, 'gone', 'Lost', 'ann')"
    );
    let lines = format!(
        "INSERT INTO message VALUES ('a', '{one}', 'user', 'please buy milk', '2026-01-01 10:00:00'), \
         ('b', '{one}', 'assistant', 'it is bought', '2026-01-01 10:00:01'), ('c', '{other}', 'user', 'and some tea', '2026-01-01 10:00:02')"
    );
    let db = filled(
        store,
        &[
            "CREATE TABLE talks (nr INTEGER PRIMARY KEY, public_id VARCHAR(40), title VARCHAR(40), owner VARCHAR(40))",
            "CREATE TABLE task (id INTEGER PRIMARY KEY, title VARCHAR(40))",
            "CREATE TABLE message (id VARCHAR(9) PRIMARY KEY, thread_id VARCHAR(40), role VARCHAR(9), content VARCHAR(99), created_at VARCHAR(40))",
            &talks,
            &lines,
        ],
    )
    .await;
    let mapping = chosen(db.as_ref()).await.unwrap();
    let place = mapping.store().conversation.as_ref().unwrap();
    assert_eq!(
        (place.table.as_str(), &place.key),
        ("talks", &vec!["public_id".to_owned()])
    );
    assert_eq!(
        listed(db.as_ref(), &mapping).await,
        [
            format!("{one} Milk ann 2"),
            format!("{other} Tea bob 1"),
            "gone Lost ann 0".to_owned()
        ]
    );
}

/// Numbers such as 1 and 2 are keys of every table.
async fn small_numbers_join_by_name_only(store: &Store) {
    let message = "CREATE TABLE message (id INTEGER PRIMARY KEY, chat_id INTEGER, role VARCHAR(9), content VARCHAR(99))";
    let rows = "INSERT INTO message VALUES (1, 1, 'user', 'please buy milk'), (2, 1, 'assistant', 'it is bought'), (3, 2, 'user', 'and tea')";
    let db = filled(
        store,
        &[
            "CREATE TABLE task (id INTEGER PRIMARY KEY, title VARCHAR(40))",
            "INSERT INTO task VALUES (1, 'one'), (2, 'two')",
            message,
            rows,
        ],
    )
    .await;
    let mapping = chosen(db.as_ref()).await.unwrap();
    assert_eq!(mapping.store().conversation, None);
    let more = "CREATE TABLE app_chats (id INTEGER PRIMARY KEY, title VARCHAR(40))";
    execute(db.as_ref(), more).await;
    execute(
        db.as_ref(),
        "INSERT INTO app_chats VALUES (1, 'Milk'), (2, 'Tea')",
    )
    .await;
    let mapping = chosen(db.as_ref()).await.unwrap();
    assert_eq!(
        mapping.store().conversation.as_ref().unwrap().table,
        "app_chats"
    );
    // A table with the right name and other keys is another one's.
    execute(db.as_ref(), "UPDATE app_chats SET id = id + 100").await;
    let mapping = chosen(db.as_ref()).await.unwrap();
    assert_eq!(mapping.store().conversation, None);
}

/// Each tenant counts its chats for itself: chat 1 of one is not chat 1 of another.
async fn a_key_of_several_columns(store: &Store) {
    for refers in [
        "",
        ", FOREIGN KEY (tenant, chat_id) REFERENCES chats (tenant, id)",
    ] {
        let message = format!(
            "CREATE TABLE message (id INTEGER PRIMARY KEY, tenant INTEGER NOT NULL, chat_id INTEGER NOT NULL, role VARCHAR(9), \
             content VARCHAR(99){refers})"
        );
        let db = filled(
            store,
            &[
                "CREATE TABLE chats (tenant INTEGER NOT NULL, id INTEGER NOT NULL, title VARCHAR(40), PRIMARY KEY (tenant, id))",
                &message,
                "INSERT INTO chats VALUES (1, 1, 'Milk'), (2, 1, 'Tea'), (2, 2, 'Lost')",
                "INSERT INTO message VALUES (1, 1, 1, 'user', 'please buy milk'), (2, 1, 1, 'assistant', 'it is bought'), \
                 (3, 2, 1, 'user', 'and some tea'), (4, 2, 1, 'assistant', 'there is no tea left')",
            ],
        )
        .await;
        let mapping = chosen(db.as_ref()).await.unwrap();
        assert_eq!(
            listed(db.as_ref(), &mapping).await,
            ["1/1 Milk - 2", "2/1 Tea - 2", "2/2 Lost - 0"],
            "{refers} {mapping}"
        );
        execute(db.as_ref(), "DROP TABLE message").await;
        execute(db.as_ref(), "DROP TABLE chats").await;
    }
}

/// `chat`, and not `chat_id`; without a foreign key its table is found by its keys.
async fn a_column_that_is_named_as_the_conversation(store: &Store) {
    let one = "0d6f0f0a-6a5c-4f64-9d3e-0c5b7a3c1d11";
    let rows = format!(
        "INSERT INTO message VALUES (1, '{one}', 'user', 'please buy milk'), (2, '{one}', 'assistant', 'it is bought')"
    );
    let chats = format!("INSERT INTO talks VALUES ('{one}', 'Milk'), ('gone', 'Lost')");
    let db = filled(
        store,
        &[
            "CREATE TABLE talks (id VARCHAR(40) PRIMARY KEY, name VARCHAR(40))",
            "CREATE TABLE message (id INTEGER PRIMARY KEY, chat VARCHAR(40), role VARCHAR(9), content VARCHAR(99))",
            &rows,
            &chats,
        ],
    )
    .await;
    let mapping = chosen(db.as_ref()).await.unwrap();
    assert_eq!(
        listed(db.as_ref(), &mapping).await,
        [format!("{one} Milk - 2"), "gone Lost - 0".to_owned()]
    );
}

async fn who_speaks_in_a_flag(store: &Store) {
    let kind = store.pick("BOOLEAN", "BOOLEAN", "BOOLEAN");
    let table = format!(
        "CREATE TABLE chat_line (id INTEGER PRIMARY KEY, chat_id INTEGER, is_user {kind}, text VARCHAR(99), created_at VARCHAR(40))"
    );
    let rows = "INSERT INTO chat_line VALUES (1, 1, TRUE, 'please buy milk', '2026-01-01 10:00:00'), \
        (2, 1, FALSE, 'it is bought', '2026-01-01 10:00:01')";
    let db = filled(store, &[&table, rows]).await;
    let mapping = chosen(db.as_ref()).await.unwrap();
    let said = ["user: please buy milk", "assistant: it is bought"];
    assert_eq!(told(db.as_ref(), &mapping, "1").await, said);
    // Also where the text has a name that nobody knows.
    execute(db.as_ref(), "DROP TABLE chat_line").await;
    let table = format!(
        "CREATE TABLE line (id INTEGER PRIMARY KEY, room INTEGER, from_bot {kind}, txt VARCHAR(99))"
    );
    let rows =
        "INSERT INTO line VALUES (1, 1, FALSE, 'please buy milk'), (2, 1, TRUE, 'it is bought')";
    let db = filled(store, &[&table, rows]).await;
    let mapping = chosen(db.as_ref()).await.unwrap();
    assert_eq!(told(db.as_ref(), &mapping, "1").await, said);
}

async fn both_sides_in_one_row(store: &Store) {
    let db = filled(
        store,
        &[
            "CREATE TABLE dialogue (id INTEGER PRIMARY KEY, title VARCHAR(40))",
            "CREATE TABLE utterance (id INTEGER PRIMARY KEY, dialogue_id INTEGER, human VARCHAR(99), bot VARCHAR(99), \
             FOREIGN KEY (dialogue_id) REFERENCES dialogue (id))",
            "INSERT INTO dialogue VALUES (1, 'Milk')",
            "INSERT INTO utterance VALUES (1, 1, 'please buy milk', 'it is bought'), (2, 1, 'and tea', NULL)",
        ],
    )
    .await;
    let mapping = chosen(db.as_ref()).await.unwrap();
    let said = [
        "user: please buy milk",
        "assistant: it is bought",
        "user: and tea",
    ];
    assert_eq!(told(db.as_ref(), &mapping, "1").await, said);
    assert_eq!(listed(db.as_ref(), &mapping).await, ["1 Milk - 3"]);
}

/// Many a chat is called a log, and there is no other table.
async fn a_log_that_is_the_chat(store: &Store) {
    let db = filled(
        store,
        &[
            "CREATE TABLE chat_logs (id INTEGER PRIMARY KEY, session_ref VARCHAR(40), speaker VARCHAR(9), line VARCHAR(99), ts VARCHAR(40))",
            "INSERT INTO chat_logs VALUES (1, 'a', 'visitor', 'please buy milk', '2026-01-01 10:00:00'), \
             (2, 'a', 'Chatbot', 'it is bought', '2026-01-01 10:00:01')",
        ],
    )
    .await;
    let mapping = chosen(db.as_ref()).await.unwrap();
    let said = ["user: please buy milk", "assistant: it is bought"];
    assert_eq!(told(db.as_ref(), &mapping, "a").await, said);
}

async fn json_under_another_name(store: &Store) {
    let json = store.pick("TEXT", "jsonb", "JSON");
    let table =
        format!("CREATE TABLE talk (id INTEGER PRIMARY KEY, title VARCHAR(40), transcript {json})");
    let row = r#"INSERT INTO talk VALUES (1, 'Milk', '{"v": 2, "said": [{"from": "human", "value": "please buy milk"}, {"from": "gpt", "value": "it is bought"}]}')"#;
    let db = filled(store, &[&table, row]).await;
    let mapping = chosen(db.as_ref()).await.unwrap();
    let said = ["user: please buy milk", "assistant: it is bought"];
    assert_eq!(told(db.as_ref(), &mapping, "1").await, said);
}

/// The log refers to the message, or says what was done to it, or holds it several times.
async fn a_log_is_known_by_its_rows(store: &Store) {
    const COLUMNS: &str =
        "chat_id INTEGER, role VARCHAR(9), content VARCHAR(99), created_at VARCHAR(40)";
    const TALK: [&str; 2] = [
        "1, 'user', 'please buy milk', '2026-01-01 10:00:00'",
        "1, 'assistant', 'it is bought', '2026-01-01 10:00:01'",
    ];
    for (more, first, last) in [
        (", message_id INTEGER", ", 1", ", 2"),
        (", op VARCHAR(9)", ", 'INSERT'", ", 'INSERT'"),
        ("", "", ""),
    ] {
        let (main, history) = (
            format!("CREATE TABLE message (id INTEGER PRIMARY KEY, {COLUMNS})"),
            format!("CREATE TABLE message_history (id INTEGER PRIMARY KEY, {COLUMNS}{more})"),
        );
        let rows = format!(
            "INSERT INTO message VALUES (1, {}), (2, {})",
            TALK[0], TALK[1]
        );
        let twice = format!(
            "INSERT INTO message_history VALUES (10, {}{first}), (11, {}{last}), (12, {}{last})",
            TALK[0], TALK[1], TALK[1]
        );
        let db = filled(store, &[&main, &history, &rows, &twice]).await;
        let mapping = chosen(db.as_ref()).await.unwrap();
        assert_eq!(mapping.table(), "message", "{more}");
        // Also where a chat that was just held is in both.
        let schema = db.schema().await.unwrap();
        let hits = store::find_text(db.as_ref(), &schema, "it is bought")
            .await
            .unwrap();
        let found =
            store::from_hits(db.as_ref(), &schema, &hits, ("it is bought", "the answer")).await;
        assert_eq!(found.unwrap().unwrap().table(), "message", "{more}");
        execute(db.as_ref(), "DROP TABLE message").await;
        execute(db.as_ref(), "DROP TABLE message_history").await;
    }
}

async fn two_tables_that_nothing_distinguishes(store: &Store) {
    const COLUMNS: &str =
        "id INTEGER PRIMARY KEY, chat_id INTEGER, role VARCHAR(9), content VARCHAR(99)";
    let [a, b] = ["message", "chat_message"].map(|name| format!("CREATE TABLE {name} ({COLUMNS})"));
    let [c, d] = [("message", "milk"), ("chat_message", "tea")].map(|(name, what)| {
        format!("INSERT INTO {name} VALUES (1, 1, 'user', 'please buy {what}'), (2, 1, 'assistant', 'no {what} left')")
    });
    let db = filled(store, &[&a, &b, &c, &d]).await;
    let why = chosen(db.as_ref()).await.unwrap_err();
    assert!(
        why.contains("two places fit the chats equally well"),
        "{why}"
    );
    assert!(
        why.contains("message (detected)") && why.contains("chat_message (detected)"),
        "{why}"
    );
}

/// Tables that have much of a chat, and lack what makes one.
const NEAR_MISSES: &[&str] = &[
    "CREATE TABLE audit_log (id INTEGER PRIMARY KEY, session_id INTEGER, actor VARCHAR(9), message VARCHAR(99), created_at VARCHAR(40))",
    "INSERT INTO audit_log VALUES (1, 1, 'user', 'changed the name', '2026-01-01 10:00:00'), (2, 1, 'system', 'saved the name', '2026-01-01 10:00:01')",
    "CREATE TABLE email (id INTEGER PRIMARY KEY, thread_id INTEGER, sender VARCHAR(40), recipient VARCHAR(40), subject VARCHAR(40), \
     body VARCHAR(99), sent_at VARCHAR(40))",
    "INSERT INTO email VALUES (1, 1, 'ann@example.org', 'bob@example.org', 'Milk', 'can you buy some milk', '2026-01-01 10:00:00'), \
     (2, 1, 'bob@example.org', 'ann@example.org', 'Re: Milk', 'yes I can do that', '2026-01-01 10:01:00')",
    "CREATE TABLE mail_empty (id INTEGER PRIMARY KEY, thread_id INTEGER, sender VARCHAR(40), recipient VARCHAR(40), subject VARCHAR(40), \
     body VARCHAR(99), sent_at VARCHAR(40))",
    "CREATE TABLE faq (id INTEGER PRIMARY KEY, question VARCHAR(99), answer VARCHAR(99), created_at VARCHAR(40))",
    "INSERT INTO faq VALUES (1, 'where is the milk', 'in the fridge', '2026-01-01 10:00:00')",
    "CREATE TABLE full_llm_cache (prompt VARCHAR(99), llm VARCHAR(40), idx INTEGER, response VARCHAR(99))",
    "INSERT INTO full_llm_cache VALUES ('please buy milk', 'gpt', 0, 'it is bought')",
    "CREATE TABLE ticket_comment (id INTEGER PRIMARY KEY, ticket_id INTEGER, author_type VARCHAR(9), body VARCHAR(99), created_at VARCHAR(40))",
    "INSERT INTO ticket_comment VALUES (1, 1, 'customer', 'it does not work', '2026-01-01 10:00:00'), \
     (2, 1, 'agent', 'did you turn it on', '2026-01-01 10:01:00')",
    "CREATE TABLE channel_post (id INTEGER PRIMARY KEY, channel_id INTEGER, author VARCHAR(9), text VARCHAR(99), created_at VARCHAR(40))",
    "INSERT INTO channel_post VALUES (1, 1, 'ann', 'who wants some milk', '2026-01-01 10:00:00'), (2, 1, 'bob', 'I would like some', '2026-01-01 10:01:00')",
    "CREATE TABLE notification (id INTEGER PRIMARY KEY, user_id INTEGER, sender_type VARCHAR(9), body VARCHAR(99), created_at VARCHAR(40))",
    "INSERT INTO notification VALUES (1, 1, 'system', 'your milk is here', '2026-01-01 10:00:00')",
    "CREATE TABLE llm_request (id INTEGER PRIMARY KEY, session_id INTEGER, model VARCHAR(9), messages VARCHAR(200), created_at VARCHAR(40))",
    r#"INSERT INTO llm_request VALUES (1, 1, 'gpt', '[{"role": "assistant", "content": "hello"}, {"role": "user", "content": "please buy milk"}]', '2026-01-01 10:00:00')"#,
    "CREATE TABLE product_event (id INTEGER PRIMARY KEY, session_id INTEGER, actor VARCHAR(9), event VARCHAR(40), created_at VARCHAR(40))",
    "INSERT INTO product_event VALUES (1, 1, 'user', 'click', '2026-01-01 10:00:00'), (2, 1, 'bot', 'render', '2026-01-01 10:00:01')",
];

async fn what_only_looks_like_a_chat(store: &Store) {
    // Each by itself, so that no other one makes a tie of it.
    let db = store.open().await;
    let mut last = String::new();
    for statement in NEAR_MISSES {
        if let Some(rest) = statement.strip_prefix("CREATE TABLE ") {
            if !last.is_empty() {
                execute(db.as_ref(), &format!("DROP TABLE {last}")).await;
            }
            last = rest.split(' ').next().unwrap().to_owned();
        }
        execute(db.as_ref(), statement).await;
        let chosen = chosen(db.as_ref()).await;
        let why = chosen.map(|mapping| mapping.to_string()).unwrap_err();
        assert!(why.contains("like messages of a chat"), "{last}: {why}");
    }
    execute(db.as_ref(), &format!("DROP TABLE {last}")).await;
    // What comes nearest is reported with its reasons.
    for statement in &NEAR_MISSES[2..4] {
        execute(db.as_ref(), statement).await;
    }
    let why = chosen(db.as_ref()).await.unwrap_err();
    assert!(why.contains("`email` comes nearest, with"), "{why}");
    assert!(
        why.contains("it has a subject and recipients (-8)"),
        "{why}"
    );
}

/// Where the texts are in a table of parts, what has to be declared is named.
#[test]
fn a_table_of_parts_is_named() {
    let store = Store::sqlite();
    run(async {
        let db = store.open().await;
        for statement in [
            "CREATE TABLE thread (id INTEGER PRIMARY KEY, title TEXT)",
            "CREATE TABLE message (id INTEGER PRIMARY KEY, thread_id INTEGER REFERENCES thread, role TEXT, created_at TEXT)",
            "CREATE TABLE part (id INTEGER PRIMARY KEY, message_id INTEGER REFERENCES message, idx INTEGER, type TEXT, text TEXT)",
            "INSERT INTO thread VALUES (1, 'Milk')",
            "INSERT INTO message VALUES (1, 1, 'user', '2026-01-01 10:00:00'), (2, 1, 'assistant', '2026-01-01 10:00:01')",
            "INSERT INTO part VALUES (1, 1, 0, 'text', 'please buy milk'), (2, 2, 0, 'text', 'it is bought')",
        ] {
            execute(db.as_ref(), statement).await;
        }
        let with_parts = chosen(db.as_ref()).await.unwrap_err();
        execute(db.as_ref(), "DROP TABLE part").await;
        let without = chosen(db.as_ref()).await.unwrap_err();
        let nearest = "`message` comes nearest: it has roles";
        let texts = "and its texts may be in the rows of `part`";
        assert!(
            with_parts.contains(nearest) && with_parts.contains(texts),
            "{with_parts}"
        );
        assert!(!without.contains(nearest), "{without}");
    });
}

async fn the_chat_among_what_only_looks_like_one(store: &Store) {
    let db = filled(store, &[NEAR_MISSES, DIALOGUES].concat()).await;
    let mapping = chosen(db.as_ref()).await.unwrap();
    assert_eq!(mapping.table(), "utterance", "{mapping}");
}

/// After one chat: the answer is in a column whose name nobody knows.
async fn a_first_chat_shows_which_table(store: &Store) {
    let db = filled(store, &[NEAR_MISSES, &DIALOGUES[..2]].concat()).await;
    execute(
        db.as_ref(),
        "INSERT INTO dialogue VALUES (1, 'chatctl', NULL)",
    )
    .await;
    let rows = "INSERT INTO utterance VALUES (1, 1, 'human', 'hello [tag]', '2026-01-01 10:00:00'), (2, 1, 'bot', 'hello to you [nonce]', '2026-01-01 10:00:00')";
    execute(db.as_ref(), rows).await;
    let schema = db.schema().await.unwrap();
    let hits = store::find_text(db.as_ref(), &schema, "[nonce]")
        .await
        .unwrap();
    let mapping = store::from_hits(db.as_ref(), &schema, &hits, ("[nonce]", "the answer")).await;
    let mapping = mapping.unwrap().unwrap();
    let said = ["user: hello [tag]", "assistant: hello to you [nonce]"];
    assert_eq!(told(db.as_ref(), &mapping, "1").await, said);
}

/// A login that may read the chats and not all of the other tables finds them.
#[test]
fn a_table_that_may_not_be_read() {
    let store = Store::postgres();
    let tables =
        format!("CREATE TABLE message {MESSAGES}; CREATE TABLE message_of_others {MESSAGES}");
    for sql in tables.split("; ").chain([
        &*format!("INSERT INTO message {ROWS}"),
        "CREATE ROLE app LOGIN PASSWORD 'app'",
        "GRANT SELECT ON message TO app",
    ]) {
        servers::run_sql(&store.url(), sql);
    }
    crate::common::stores::run(async {
        let db = store.open().await;
        let db = chatctl::db::open(db.target().for_user("app", "app"))
            .await
            .unwrap();
        assert_eq!(chosen(db.as_ref()).await.unwrap().table(), "message");
        let schema = db.schema().await.unwrap();
        let hits = store::find_text(db.as_ref(), &schema, "it is bought")
            .await
            .unwrap();
        assert_eq!(hits.len(), 1);
        // What is nowhere to be seen may be where nobody may look.
        let hidden = store::find_text(db.as_ref(), &schema, "something else").await;
        assert!(format!("{:#}", hidden.unwrap_err()).contains("message_of_others"));
    });
    servers::run_sql(&store.url(), "REVOKE SELECT ON message FROM app");
    crate::common::stores::run(async {
        let db = store.open().await;
        let db = chatctl::db::open(db.target().for_user("app", "app"))
            .await
            .unwrap();
        let why = chosen(db.as_ref()).await.unwrap_err();
        assert!(why.contains("permission denied"), "{why}");
    });
}

/// An index of words whose table is gone can't be read.
#[test]
fn a_table_that_is_broken() {
    let store = Store::sqlite();
    crate::common::stores::run(async {
        let statements = [
            format!("CREATE TABLE message {MESSAGES}"),
            format!("INSERT INTO message {ROWS}"),
            "CREATE VIRTUAL TABLE words USING fts5(content, content='gone')".to_owned(),
        ];
        let statements: Vec<_> = statements.iter().map(String::as_str).collect();
        let db = filled(&store, &statements).await;
        assert_eq!(chosen(db.as_ref()).await.unwrap().table(), "message");
    });
}

/// `chatctl inspect conversations`: exit code, stdout and stderr.
fn conversations(url: &str) -> (Option<i32>, String) {
    let output = chatctl()
        .args(["inspect", "conversations", "--database-url", url])
        .output()
        .unwrap();
    let (out, err) = text(&output);
    (output.status.code(), out + &err)
}

const MESSAGES: &str =
    "(id INTEGER PRIMARY KEY, conversation_id INTEGER, role VARCHAR(9), content VARCHAR(99))";
const ROWS: &str = "VALUES (1, 7, 'user', 'please buy milk'), (2, 7, 'assistant', 'it is bought')";

/// Tables in a schema that is not searched are named, and found where the URL names the schema.
#[test]
fn a_schema_off_the_search_path() {
    let store = Store::postgres();
    for sql in [
        "CREATE SCHEMA \"My Chats\"".to_owned(),
        format!("CREATE TABLE \"My Chats\".message {MESSAGES}"),
        format!("INSERT INTO \"My Chats\".message {ROWS}"),
        "CREATE TABLE task (id INTEGER PRIMARY KEY, title TEXT)".to_owned(),
    ] {
        servers::run_sql(&store.url(), &sql);
    }
    let (code, said) = conversations(&store.url());
    assert_eq!(code, Some(3), "{said}");
    assert!(
        said.contains("`My Chats.message` looks like the chats: add ?search_path=\"My Chats\""),
        "{said}"
    );
    let mark = if store.url().contains('?') { '&' } else { '?' };
    let url = format!("{}{mark}search_path=%22My%20Chats%22", store.url());
    let (code, said) = conversations(&url);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains('7') && said.contains("message"), "{said}");
}

/// The same with a database of MariaDB.
#[test]
fn another_database_of_the_server() {
    let store = Store::mysql();
    for sql in [
        "CREATE DATABASE other".to_owned(),
        format!("CREATE TABLE other.message {MESSAGES}"),
        "CREATE TABLE task (id INTEGER PRIMARY KEY, title TEXT)".to_owned(),
    ] {
        servers::run_sql(&store.url(), &sql);
    }
    let (code, said) = conversations(&store.url());
    assert_eq!(code, Some(3), "{said}");
    assert!(
        said.contains("`other.message` looks like the chats: give `other` as the database"),
        "{said}"
    );
}
