use super::{Sample, Turns, Values, rows, with_text};
use crate::model::{Column, Table};

/// A table from its columns, `name TYPE` or `name TYPE>target`, and rows of words between `|`.
fn table(name: &str, columns: &[&str]) -> Table {
    let column = |spec: &&str| {
        let (spec, references) = match spec.split_once('>') {
            Some((spec, target)) => (spec, Some(target.to_owned())),
            None => (*spec, None),
        };
        let (name, declared) = spec.split_once(' ').unwrap_or((spec, "TEXT"));
        Column {
            name: name.to_owned(),
            declared: declared.to_owned(),
            key: name == "id",
            references,
        }
    };
    Table {
        name: name.to_owned(),
        columns: columns.iter().map(column).collect(),
    }
}

fn sample<'t>(table: &'t Table, rows: &[&str]) -> Sample<'t> {
    let cells = |index: usize| {
        let cell = |row: &&str| row.split('|').nth(index).map(|cell| cell.trim().to_owned());
        rows.iter()
            .map(cell)
            .map(|cell| cell.filter(|cell| !cell.is_empty()))
            .collect()
    };
    let columns = table.columns.iter().enumerate();
    Sample {
        columns: columns
            .map(|(index, column)| Values {
                column,
                cells: cells(index),
            })
            .collect(),
        table,
        rows: rows.len(),
        is_ordered: true,
    }
}

const DIALOGUE: &[&str] = &["id INTEGER", "topic"];
const UTTERANCE: &[&str] = &[
    "id INTEGER",
    "dialogue_id INTEGER>dialogue",
    "speaker",
    "words",
    "uttered",
];
const TALK: &[&str] = &[
    "1|1|human|please buy some milk|2026-01-01 10:00:00",
    "2|1|bot|I have bought the milk|2026-01-01 10:00:01",
    "3|2|human|and what about tea|2026-01-01 11:00:00",
    "4|2|bot|there is no tea left|2026-01-01 11:00:01",
];

#[test]
fn a_chat_under_names_that_nobody_knows() {
    let schema = [table("dialogue", DIALOGUE), table("utterance", UTTERANCE)];
    let guess = rows(&schema, &sample(&schema[1], TALK)).unwrap();
    let message = &guess.store.message;
    assert_eq!(message.role.as_ref().unwrap().to_string(), "speaker");
    assert_eq!(message.content.as_ref().unwrap().to_string(), "words");
    assert_eq!(message.conversation[0].to_string(), "dialogue_id");
    assert_eq!(message.time.as_ref().unwrap().to_string(), "uttered");
    assert_eq!(guess.store.conversation.as_ref().unwrap().table, "dialogue");
    assert!(guess.points >= 6, "{} {:?}", guess.points, guess.reasons);
}

/// The one column that groups the rows into chats is an id, whatever it is called.
#[test]
fn a_conversation_is_an_id_under_which_both_sides_speak() {
    let columns = [
        "id INTEGER",
        "user_id INTEGER",
        "parley_id INTEGER",
        "kind",
        "said",
    ];
    let schema = [table("saying", &columns)];
    let talk: Vec<_> = [("1", "human"), ("1", "bot"), ("2", "human"), ("2", "bot")]
        .iter()
        .zip(1..)
        .map(|((chat, who), id)| format!("{id}|7|{chat}|{who}|words of number {id}"))
        .collect();
    let talk: Vec<_> = talk.iter().map(String::as_str).collect();
    let guess = rows(&schema, &sample(&schema[0], &talk)).unwrap();
    assert_eq!(guess.store.message.conversation[0].to_string(), "parley_id");
}

/// A number of each row is no conversation, also where the catalogue does not call it a key.
#[test]
fn a_number_of_each_row_names_no_conversation() {
    let conversation = |columns: &[&str], talk: &[&str]| {
        let mut table = table("t_msg", columns);
        table
            .columns
            .iter_mut()
            .for_each(|column| column.key = false);
        let schema = [table];
        let sample = sample(&schema[0], talk);
        let guess = with_text(&schema, &sample, "body").unwrap();
        let named = guess.store.message.conversation;
        named.first().map(ToString::to_string)
    };
    let numbered = ["id BIGINT", "cid", "r", "body"];
    let two = ["3|c1|user|buy some milk", "4|c1|assistant|I have bought it"];
    assert_eq!(conversation(&numbered, &two).as_deref(), Some("cid"));
    // Without such a column there is none, whatever names the rows.
    let bare = ["id BIGINT", "r", "body"];
    let two = ["3|user|buy some milk", "4|assistant|I have bought it"];
    assert_eq!(conversation(&bare, &two), None);
    let serial = ["msg_id BIGINT", "r", "body"];
    assert_eq!(conversation(&serial, &two), None);
    let ids = ["id UUID", "r", "body"];
    let two = ["b7|user|buy some milk", "a1|assistant|I have bought it"];
    assert_eq!(conversation(&ids, &two), None);
    // A server that stores the answer in another conversation still has conversations.
    let two = ["3|c1|user|buy some milk", "4|c2|assistant|I have bought it"];
    assert_eq!(conversation(&numbered, &two).as_deref(), Some("cid"));
}

#[test]
fn what_is_no_chat_is_not_taken_for_one() {
    let near: &[(&str, &[&str], &[&str])] = &[
        (
            "an audit trail: the machine answers nobody",
            &["id INTEGER", "session_id INTEGER", "actor", "what"],
            &[
                "1|1|bot|started the nightly job",
                "2|1|bot|finished the nightly job",
                "3|2|user|changed the name of a task",
                "4|3|user|deleted a task for good",
            ],
        ),
        (
            "events without words",
            &["id INTEGER", "session_id INTEGER", "actor", "event"],
            &[
                "1|1|user|click",
                "2|1|bot|render",
                "3|1|user|click",
                "4|1|bot|render",
            ],
        ),
        (
            "letters between people",
            &[
                "id INTEGER",
                "thread_id INTEGER",
                "sender",
                "subject",
                "body",
                "recipient",
            ],
            &[
                "1|1|a@x.org|Milk|can you buy some milk|b@x.org",
                "2|1|b@x.org|Re: Milk|yes I can do that|a@x.org",
            ],
        ),
        (
            "a help desk: people on both sides",
            &["id INTEGER", "ticket_id INTEGER", "author", "body"],
            &[
                "1|1|customer|it does not work",
                "2|1|agent|did you turn it on",
            ],
        ),
        (
            "payloads for machines",
            &["id INTEGER", "session_id INTEGER", "source", "payload"],
            &["1|1|user|{\"a\": 1}", "2|1|bot|{\"b\": 2}"],
        ),
    ];
    for (what, columns, talk) in near {
        let schema = [table("thing", columns)];
        assert!(rows(&schema, &sample(&schema[0], talk)).is_none(), "{what}");
    }
}

/// Models come and go; whether the user wrote a message does not depend on them.
#[test]
fn a_flag_comes_before_the_names_of_models() {
    let columns = [
        "id INTEGER",
        "conversationId",
        "sender",
        "text",
        "isCreatedByUser",
    ];
    let schema = [table("messages", &columns)];
    let role = |talk: &[&str]| {
        let guess = rows(&schema, &sample(&schema[0], talk)).unwrap();
        let map = guess.store.message.role_map;
        (guess.store.message.role.unwrap().to_string(), map)
    };
    let (column, map) = role(&[
        "1|c1|User|please buy some milk|1",
        "2|c1|GPT-4o|I have bought the milk|0",
    ]);
    assert_eq!(column, "isCreatedByUser");
    assert_eq!(
        (map["1"].as_str(), map["0"].as_str()),
        ("user", "assistant")
    );
    // Names of sides tell as much as the flag; and one that is empty tells nothing.
    let (column, _) = role(&[
        "1|c1|User|please buy some milk|1",
        "2|c1|Assistant|I have bought the milk|0",
    ]);
    assert_eq!(column, "sender");
    let (column, _) = role(&[
        "1|c1|User|please buy some milk|",
        "2|c1|GPT-4o|I have bought the milk|",
    ]);
    assert_eq!(column, "sender");
}

/// Where the text of a chat was found in a column, one side is enough.
#[test]
fn a_text_that_was_found_shows_the_rest() {
    let schema = [table("dialogue", DIALOGUE), table("utterance", UTTERANCE)];
    let one = sample(&schema[1], &TALK[1..2]);
    assert!(rows(&schema, &one).is_none());
    let guess = with_text(&schema, &one, "words").unwrap();
    assert_eq!(
        guess.store.message.role.as_ref().unwrap().to_string(),
        "speaker"
    );
    assert!(with_text(&schema, &one, "nothing").is_none());
}

#[test]
fn two_columns_of_roles_leave_it_open() {
    let columns = ["id INTEGER", "chat_id INTEGER", "a", "b", "words"];
    let schema = [table("talk", &columns)];
    let talk = [
        "1|1|human|user|so many words",
        "2|1|bot|assistant|other words here",
    ];
    assert!(rows(&schema, &sample(&schema[0], &talk)).is_none());
}

#[test]
fn half_of_the_answers_must_follow_a_question() {
    let turns = |answers, answered| Turns {
        answers,
        answered,
        both: 1,
        all: 1,
    };
    assert!(turns(4, 2).speak_by_turns(true));
    assert!(!turns(4, 1).speak_by_turns(true));
    assert!(turns(4, 1).speak_by_turns(false));
    assert!(!turns(0, 0).speak_by_turns(false));
}

/// A name says which column is the text, where both sides say something in it.
#[test]
fn a_column_that_is_named_as_the_text_counts_and_not_the_longest() {
    let columns = ["id INTEGER", "chat_id", "role", "content", "notes"];
    let schema = [table("saying", &columns)];
    let read = |talk: &[&str]| {
        let guess = rows(&schema, &sample(&schema[0], talk)).unwrap();
        let message = guess.store.message;
        (message.content.unwrap().to_string(), guess.unlike_older)
    };
    let longer = |one: &str, two: &str| {
        let talk = [
            format!("1|1|user|{one}|a note that is much longer than the text"),
            format!("2|1|assistant|{two}|another note that is longer than the text"),
        ];
        read(&talk.each_ref().map(String::as_str))
    };
    let older = vec!["the text in `notes`".to_owned()];
    assert_eq!(
        longer("buy milk", "it is bought"),
        ("content".to_owned(), older.clone())
    );
    assert_eq!(longer("milk?", "yes"), ("content".to_owned(), older));
    let notes = ("notes".to_owned(), Vec::new());
    assert_eq!(longer("", ""), notes);
    // Addresses of the texts are none.
    assert_eq!(longer("s3://bucket/9f1c02", "s3://bucket/77ab31"), notes);
    assert_eq!(longer("buy milk", ""), notes);
}

/// Old rows have their text in one column, and all have it in another one.
#[test]
fn a_column_that_was_left_behind_is_not_the_text() {
    let columns = ["id INTEGER", "chat_id", "role", "content", "markdown"];
    let schema = [table("saying", &columns)];
    let talk: Vec<_> = (1..=10)
        .map(|id| {
            let role = if id % 2 == 1 { "user" } else { "assistant" };
            let old = if id < 4 {
                format!("words {id}")
            } else {
                String::new()
            };
            format!("{id}|1|{role}|{old}|the words of number {id}")
        })
        .collect();
    let talk: Vec<_> = talk.iter().map(String::as_str).collect();
    let guess = rows(&schema, &sample(&schema[0], &talk)).unwrap();
    assert_eq!(guess.store.message.content.unwrap().to_string(), "markdown");
}
