//! Sessions whose turns all end normally.

use super::{Mutant, word};
use crate::model::{Call, ProviderCall, Role, SentMessage, StoredMessage};
use crate::stream::body::Body;
use crate::stream::judge::{Cors, Observed, TurnSeen, findings};
use crate::stream::profiles;
use crate::stream::session::Remembered;
use crate::stream::turn::Turn;
use fastrand::Rng;
use std::time::Duration;

/// What a session left behind, before anybody looks at it.
struct Session {
    turns: Vec<Said>,
    /// The rows of the store, of all conversations.
    rows: Vec<StoredMessage>,
    history: Vec<Remembered>,
    refused: Vec<String>,
    log: Vec<(String, String)>,
}

/// One turn.
struct Said {
    user: String,
    tag: String,
    answer: String,
    nonce: String,
    content_type: &'static str,
    body: String,
    calls: Vec<ProviderCall>,
    heard: Vec<SentMessage>,
    /// The answer's row when it was first complete.
    first: StoredMessage,
}

const OURS: &str = "7";

fn good(rng: &mut Rng) -> Session {
    let mut session = Session {
        turns: Vec::new(),
        rows: vec![row(0, "8", Role::User, "of another chat")],
        history: Vec::new(),
        refused: Vec::new(),
        log: Vec::new(),
    };
    for _ in 0..rng.usize(2..5) {
        let (tag, nonce) = (format!("u{}", word(rng)), format!("a{}", word(rng)));
        let user = format!("{} [{tag}]", word(rng));
        let words: Vec<_> = (0..rng.usize(2..9)).map(|_| word(rng)).collect();
        let answer = format!("{} {nonce}", words.join(" "));
        let key = session.rows.len();
        let said = row(key, OURS, Role::User, &user);
        let answered = row(key + 1, OURS, Role::Assistant, &answer);
        let marks = session.turns.iter();
        let marks = marks.flat_map(|turn: &Said| [turn.tag.clone(), turn.nonce.clone()]);
        let call = ProviderCall {
            line: "POST /v1/chat/completions".to_owned(),
            call: Call::Main,
            messages: key,
            marks: marks.chain([tag.clone()]).collect(),
            refused: None,
        };
        let before = session.turns.last().map(|turn: &Said| {
            let answer = sent(false, &turn.answer);
            turn.heard.iter().cloned().chain([answer])
        });
        let heard = before.into_iter().flatten().chain([sent(true, &user)]);
        let heard = heard.collect();
        for row in [&said, &answered] {
            session.history.push(Remembered {
                role: row.role.word().to_owned(),
                content: row.content.clone(),
            });
        }
        session.rows.extend([said, answered.clone()]);
        session.turns.push(Said {
            body: stream(&answer),
            user,
            tag,
            answer,
            nonce,
            content_type: "text/event-stream",
            calls: vec![call],
            heard,
            first: answered,
        });
    }
    session
}

fn row(key: usize, conversation: &str, role: Role, content: &str) -> StoredMessage {
    StoredMessage {
        conversation: Some(conversation.to_owned()),
        status: Some("complete".to_owned()),
        ..StoredMessage::new(key.to_string(), role, content)
    }
}

fn sent(is_user: bool, text: &str) -> SentMessage {
    SentMessage {
        is_user,
        text: text.to_owned(),
        ..SentMessage::default()
    }
}

/// The request of a turn that is not the first, and the place of an answer in it.
fn request<'s>(session: &'s mut Session, rng: &mut Rng) -> (&'s mut Vec<SentMessage>, usize) {
    let at = rng.usize(1..session.turns.len());
    (&mut session.turns[at].heard, 2 * rng.usize(..at) + 1)
}

fn stream(answer: &str) -> String {
    let pieces = answer.split_inclusive(' ');
    let events = pieces.map(|piece| format!("data: {piece}\n\n"));
    events.collect::<String>() + "data: [DONE]\n\n"
}

fn caught(session: &Session) -> Vec<&'static str> {
    let found = findings(&observed(session));
    found.into_iter().map(|finding| finding.code).collect()
}

/// As a run sees it.
fn observed(session: &Session) -> Observed {
    let profile = profiles::named("plain").unwrap();
    let holding = |mark: &str| {
        let rows = session.rows.iter();
        let rows = rows.filter(|row| row.content.contains(mark));
        rows.cloned().collect::<Vec<_>>()
    };
    let ours = session.rows.iter();
    let ours = ours.filter(|row| row.conversation.as_deref() == Some(OURS));
    let stored: Vec<_> = ours.cloned().collect();
    let turns = session.turns.iter().zip(1..).map(|(said, number)| {
        let now = session.rows.iter().find(|row| row.key == said.first.key);
        TurnSeen {
            number,
            user: said.user.clone(),
            tag: said.tag.clone(),
            expected: said.answer.clone(),
            answer: Some(said.answer.clone()),
            nonce: said.nonce.clone(),
            content_type: Some(said.content_type.to_owned()),
            turn: read(&said.body, profile),
            body: Some(said.body.clone().into_bytes()),
            conversation: Some(OURS.to_owned()),
            stored: stored.clone(),
            with_nonce: holding(&said.nonce),
            with_tag: holding(&said.tag),
            first_and_last: now.map(|now| (said.first.clone(), now.clone())),
            calls: said.calls.clone(),
            heard: Some(said.heard.clone()),
            ..TurnSeen::default()
        }
    });
    Observed {
        framing: profile.framing(),
        session: "mutants".to_owned(),
        marker: profile.marker().to_string(),
        final_marker: Some(profile.marker()),
        profile: profile.name,
        table: Some("message".to_owned()),
        turns: turns.collect(),
        history: Some(Ok(session.history.clone())),
        cors: Some(Cors {
            origin: "http://localhost:3000".to_owned(),
            refused: session.refused.clone(),
        }),
        stray_calls: Vec::new(),
        forbidden: session.log.clone(),
        ..Observed::default()
    }
}

fn read(body: &str, profile: &'static profiles::Profile) -> Turn {
    let mut reader = profile.start(profile.marker());
    let (mut decoder, mut turn) = (Body::new(&profile.framing()), Turn::default());
    let mut items = decoder.push(Duration::ZERO, body.as_bytes()).unwrap();
    items.extend(decoder.finish(Duration::ZERO).unwrap());
    for item in items {
        turn.take(&item, reader.as_mut());
    }
    turn.end(Duration::ZERO, &profile.marker());
    turn
}

fn turn<'s>(session: &'s mut Session, rng: &mut Rng) -> &'s mut Said {
    let at = rng.usize(..session.turns.len());
    &mut session.turns[at]
}

/// The place of a question's row.
fn question(session: &mut Session, rng: &mut Rng) -> usize {
    let tag = turn(session, rng).tag.clone();
    let mut rows = session.rows.iter();
    rows.position(|row| row.content.contains(&tag)).unwrap()
}

/// The row of an answer, changed from the beginning: what is examined later is the same.
fn answer(session: &mut Session, rng: &mut Rng, change: impl FnOnce(&mut StoredMessage)) {
    let at = rng.usize(..session.turns.len());
    let first = &mut session.turns[at].first;
    change(first);
    let row = session.rows.iter_mut().find(|row| row.key == first.key);
    *row.unwrap() = first.clone();
}

/// A row less.
fn drop_row(session: &mut Session, key: &str) {
    session.rows.retain(|row| row.key != key);
}

pub(super) fn table() -> String {
    super::table("session", good, caught, MUTANTS)
}

const MUTANTS: &[Mutant<Session>] = &[
    Mutant {
        what: "the answer's row is dropped",
        owner: "never-saved",
        mutate: |session, rng| {
            let key = turn(session, rng).first.key.clone();
            drop_row(session, &key);
        },
    },
    Mutant {
        what: "the question's row is dropped",
        owner: "user-message-lost",
        mutate: |session, rng| {
            let at = question(session, rng);
            session.rows.remove(at);
        },
    },
    Mutant {
        what: "the answer's INSERT is doubled",
        owner: "answer-duplicated",
        mutate: |session, rng| {
            let copy = StoredMessage {
                key: "99".to_owned(),
                ..turn(session, rng).first.clone()
            };
            session.rows.push(copy);
        },
    },
    Mutant {
        what: "the question's INSERT is doubled",
        owner: "question-duplicated",
        mutate: |session, rng| {
            let at = question(session, rng);
            let copy = StoredMessage {
                key: "99".to_owned(),
                ..session.rows[at].clone()
            };
            session.rows.insert(at, copy);
        },
    },
    Mutant {
        what: "a part of the answer is stored next to it",
        owner: "answer-duplicated",
        mutate: |session, rng| {
            let whole = turn(session, rng).first.clone();
            let part = StoredMessage {
                key: "99".to_owned(),
                content: whole.content.chars().take(10).collect(),
                ..whole.clone()
            };
            let at = session.rows.iter().position(|row| row.key == whole.key);
            session.rows.insert(at.unwrap(), part);
        },
    },
    Mutant {
        what: "the answer is cut by one character",
        owner: "answer-differs",
        mutate: |session, rng| {
            answer(session, rng, |row| {
                row.content.pop();
            });
        },
    },
    Mutant {
        what: "one character of the answer is another one",
        owner: "answer-differs",
        mutate: |session, rng| {
            let at = rng.usize(..12);
            answer(session, rng, |row| row.content.replace_range(at..=at, "#"));
        },
    },
    Mutant {
        what: "the pieces of the answer are swapped",
        owner: "answer-differs",
        mutate: |session, rng| {
            answer(session, rng, |row| {
                let mut words: Vec<_> = row.content.split(' ').collect();
                words.swap(0, 1);
                row.content = words.join(" ");
            });
        },
    },
    Mutant {
        what: "the stream ends before the answer's last word",
        owner: "stream-text-differs",
        mutate: |session, rng| {
            let said = turn(session, rng);
            let last = format!("data: {}\n\n", said.nonce);
            said.body = said.body.replace(&last, "");
        },
    },
    Mutant {
        what: "the answer is stored empty",
        owner: "answer-empty",
        mutate: |session, rng| answer(session, rng, |row| row.content.clear()),
    },
    Mutant {
        what: "the answer's row has another conversation",
        owner: "wrong-conversation",
        mutate: |session, rng| answer(session, rng, |row| row.conversation = Some("8".to_owned())),
    },
    Mutant {
        what: "the question's row has another conversation",
        owner: "wrong-conversation",
        mutate: |session, rng| {
            let at = question(session, rng);
            session.rows[at].conversation = Some("8".to_owned());
        },
    },
    Mutant {
        what: "the answer's role is the user's",
        owner: "wrong-role",
        mutate: |session, rng| answer(session, rng, |row| row.role = Role::User),
    },
    Mutant {
        what: "the question's role is the assistant's",
        owner: "wrong-role",
        mutate: |session, rng| {
            let at = question(session, rng);
            session.rows[at].role = Role::Assistant;
        },
    },
    Mutant {
        what: "the answer's row is changed after the first look",
        owner: "saved-row-changed-later",
        mutate: |session, rng| turn(session, rng).first.status = Some("streaming".to_owned()),
    },
    Mutant {
        what: "the answer's time is changed after the first look",
        owner: "saved-row-changed-later",
        mutate: |session, rng| turn(session, rng).first.time = Some(1),
    },
    Mutant {
        what: "words are added to the question",
        owner: super::NOBODY,
        mutate: |session, rng| {
            let at = question(session, rng);
            session.rows[at].content.push_str(" (from the web page)");
        },
    },
    Mutant {
        what: "a record of the history is dropped",
        owner: "history-differs",
        mutate: |session, rng| {
            let at = rng.usize(..session.history.len());
            session.history.remove(at);
        },
    },
    Mutant {
        what: "a record of the history is doubled",
        owner: "history-differs",
        mutate: |session, rng| {
            let at = rng.usize(..session.history.len());
            let copy = session.history[at].clone();
            session.history.insert(at, copy);
        },
    },
    Mutant {
        what: "two records of the history are swapped",
        owner: "history-differs",
        mutate: |session, rng| {
            let at = rng.usize(1..session.history.len());
            session.history.swap(at - 1, at);
        },
    },
    Mutant {
        what: "a role of the history is the other side's",
        owner: "history-differs",
        mutate: |session, rng| {
            let at = rng.usize(..session.history.len());
            let role = &mut session.history[at].role;
            *role = if role == "user" { "assistant" } else { "user" }.to_owned();
        },
    },
    Mutant {
        what: "a text of the history is cut by one character",
        owner: "history-differs",
        mutate: |session, rng| {
            let at = rng.usize(..session.history.len());
            session.history[at].content.pop();
        },
    },
    Mutant {
        what: "the final marker is cut off the stream",
        owner: "done-missing",
        mutate: |session, rng| {
            let said = turn(session, rng);
            said.body = said.body.replace("data: [DONE]\n\n", "");
        },
    },
    Mutant {
        what: "the final marker comes twice",
        owner: "data-after-done",
        mutate: |session, rng| turn(session, rng).body.push_str("data: [DONE]\n\n"),
    },
    Mutant {
        what: "a piece of text comes after the final marker",
        owner: "data-after-done",
        mutate: |session, rng| turn(session, rng).body.push_str("data: more\n\n"),
    },
    Mutant {
        what: "the stream begins with a byte order mark",
        owner: "marker-unseen",
        mutate: |session, rng| {
            let said = turn(session, rng);
            said.body = format!("\u{feff}{}", stream(""));
        },
    },
    Mutant {
        what: "the response's type is text/plain",
        owner: "not-an-event-stream",
        mutate: |session, rng| turn(session, rng).content_type = "text/plain",
    },
    Mutant {
        what: "words are added to the answer",
        owner: "answer-differs",
        mutate: |session, rng| answer(session, rng, |row| row.content.push_str(" [1]")),
    },
    Mutant {
        what: "a message before is cut in the provider's request",
        owner: "context-altered",
        mutate: |session, rng| {
            let (heard, at) = request(session, rng);
            let from = rng.usize(1..5);
            heard[at].text.drain(..from);
        },
    },
    Mutant {
        what: "an answer before is the user's in the provider's request",
        owner: "context-altered",
        mutate: |session, rng| {
            let (heard, at) = request(session, rng);
            heard[at].is_user = true;
        },
    },
    Mutant {
        what: "the messages before have changed places in the provider's request",
        owner: "context-altered",
        mutate: |session, rng| {
            let (heard, at) = request(session, rng);
            heard.swap(at - 1, at);
        },
    },
    Mutant {
        what: "the provider's request has a question of another conversation",
        owner: "wrong-conversation",
        mutate: |session, rng| {
            let said = turn(session, rng);
            let other = said.user.replace(&said.tag, "chatctl-u0123456789abcdef");
            said.heard.insert(0, sent(true, &other));
        },
    },
    Mutant {
        what: "the provider's request lacks a message before",
        owner: "context-lost",
        mutate: |session, rng| {
            let at = rng.usize(1..session.turns.len());
            let before = &session.turns[rng.usize(..at)];
            let mark = if rng.bool() {
                &before.tag
            } else {
                &before.nonce
            };
            let mark = mark.clone();
            session.turns[at].calls[0].marks.remove(&mark);
        },
    },
    Mutant {
        what: "the provider is asked once more",
        owner: "provider-call-extra",
        mutate: |session, rng| {
            let said = turn(session, rng);
            let mut again = said.calls[0].clone();
            again.call = Call::Retry;
            said.calls.push(again);
        },
    },
    Mutant {
        what: "the provider's gateway refuses a request",
        owner: "provider-call-unmatched",
        mutate: |session, rng| {
            let said = turn(session, rng);
            let mut refused = said.calls[0].clone();
            refused.call = Call::Refused;
            refused.refused = Some("no such path".to_owned());
            said.calls.push(refused);
        },
    },
    Mutant {
        what: "a header for other origins is missing",
        owner: "cors-blocked",
        mutate: |session, _| {
            session
                .refused
                .push("no access-control-allow-origin".to_owned());
        },
    },
    Mutant {
        what: "the log has a line that is forbidden",
        owner: "log-forbidden",
        mutate: |session, _| {
            let line = (
                "HARD RESET".to_owned(),
                "HARD RESET of the database".to_owned(),
            );
            session.log.push(line);
        },
    },
];
