//! Every session and cassette that is shipped, and every one in the documentation, can be read.

use chatctl::gateway::providers;
use chatctl::stream::cassette::Cassette;
use chatctl::stream::session::{Captures, FinalMarker, Outside, Session, load, parse};
use std::path::{Path, PathBuf};

const PROFILES: [&str; 6] = [
    "plain",
    "openai-chat",
    "openai-responses",
    "khoj",
    "open-webui",
    "chainlit",
];
const HELLO: &str = "fixtures/sessions/hello";

fn files(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let ending = path.extension().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            found.extend(files(&path, endings));
        } else if endings.contains(&ending.as_ref()) {
            found.push(path);
        }
    }
    found
}

fn blocks(page: &str, language: &str) -> Vec<String> {
    let text = std::fs::read_to_string(page).unwrap();
    let opening = format!("```{language}\n");
    let blocks = text.split(&opening).skip(1);
    blocks
        .map(|block| block.split("```").next().unwrap().to_owned())
        .collect()
}

fn hello(name: &str) -> Session {
    load(&Path::new(HELLO).join(name), &PROFILES).unwrap()
}

#[test]
fn every_fixture_is_read() {
    let sessions = files(Path::new("fixtures/sessions"), &["toml"]);
    assert!(sessions.len() >= 4);
    for path in sessions {
        load(&path, &PROFILES).unwrap_or_else(|error| panic!("{error}"));
    }
    let cassettes = files(Path::new("fixtures/sessions"), &["sse", "jsonl"]);
    assert!(cassettes.len() >= 2);
    for path in cassettes {
        let cassette = Cassette::load(&path).unwrap_or_else(|error| panic!("{error}"));
        let lines = cassette.to_lines();
        if path.extension().unwrap() == "jsonl" {
            assert_eq!(lines, std::fs::read_to_string(&path).unwrap());
        }
        assert_eq!(
            Cassette::parse("again.jsonl", lines.as_bytes()),
            Ok(cassette)
        );
    }
}

#[test]
fn every_session_in_the_documentation_is_read() {
    let outside = Outside {
        profiles: &PROFILES,
        read: &|name| match name {
            "password.txt" => Ok(b"secret\n".to_vec()),
            name => std::fs::read(Path::new(HELLO).join(name)).map_err(|error| error.to_string()),
        },
        env: &|name| (name == "CHAT_TOKEN").then(|| "token".to_owned()),
    };
    let blocks = blocks("docs/sessions.md", "toml");
    assert!(blocks.len() >= 5);
    for mut text in blocks {
        // A block that shows one section gets the others from here.
        if !text.contains("[request]") {
            text.push_str("[request]\nrequest = \"POST /chat\"\nbody = \"{user}\"\n");
        }
        if !text.contains("[[turn]]") {
            text.push_str("[[turn]]\nuser = \"Hi\"\nanswer = \"Hello\"\n");
        }
        parse("docs.toml", &text, &outside).unwrap_or_else(|error| panic!("{error}\n{text}"));
    }
}

#[test]
fn every_cassette_in_the_documentation_is_read() {
    for (language, says) in [("sse", "Task added."), ("jsonl", "Grüße")] {
        for text in blocks("docs/cassettes.md", language) {
            let file = format!("docs.{language}");
            let cassette = Cassette::parse(&file, text.as_bytes()).unwrap();
            let answer = providers::of(&cassette).unwrap().answer(&cassette).unwrap();
            assert_eq!(answer.text, says);
            assert_eq!(answer.finish_reason.as_deref(), Some("stop"));
            assert!(answer.done);
        }
    }
}

#[test]
fn a_session_is_what_the_file_says() {
    let session = hello("two-turns.toml");
    assert_eq!(session.name, "two turns");
    assert_eq!(session.profile.as_deref(), Some("plain"));
    assert_eq!(session.setup[0].status, Some(201));
    assert!(session.setup[0].accepts(201) && !session.setup[0].accepts(200));
    assert_eq!(
        session.turns[0].answer(),
        Some("Task «Buy milk» has been added.")
    );
    assert_eq!(
        session.final_marker,
        Some(FinalMarker::Data("[DONE]".to_owned()))
    );
    assert!(session.logs.forbid[0].is_match("!!! HARD RESET of the database"));

    let captures = Captures::from([
        ("conversation_id".to_owned(), 7.into()),
        ("user".to_owned(), "say \"hi\"".into()),
        ("run".to_owned(), "r1".into()),
    ]);
    let expanded = session.request.expand(&captures).unwrap();
    assert_eq!(expanded.path_and_query, "/chat");
    assert_eq!(
        String::from_utf8(expanded.body).unwrap(),
        r#"{"conversation_id":7,"message":"say \"hi\""}"#
    );
    let history = session.history.unwrap();
    let expanded = history.request.expand(&captures).unwrap();
    assert_eq!(expanded.path_and_query, "/conversations/7/messages");
    let answer = serde_json::json!([{ "id": 1, "role": "user", "content": "Hi" }]);
    let messages = history.read(answer.to_string().as_bytes()).unwrap();
    assert_eq!(
        (messages[0].role.as_str(), messages[0].content.as_str()),
        ("user", "Hi")
    );
    let error = history.read(br#"[{"role":"user"}]"#).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`$.content` selects nothing in any record of `GET /conversations/{conversation_id}/messages`; a record is an \
         object with `role`: correct `content` in [history]"
    );
}

#[test]
fn an_event_source_has_its_message_in_the_query() {
    let session = hello("eventsource.toml");
    assert_eq!(session.name, "eventsource");
    let captures = Captures::from([
        ("conversation_id".to_owned(), 7.into()),
        ("user".to_owned(), session.turns[0].user.as_str().into()),
    ]);
    let expanded = session.request.expand(&captures).unwrap();
    assert_eq!(
        expanded.path_and_query,
        "/chat?conversation_id=7&message=Add+a+task+to+buy+milk+%26+bread"
    );
    assert!(expanded.body.is_empty());
}
