//! The gateway over real HTTP: what it serves, what it withholds, what it records.

use chatctl::clock;
use chatctl::gateway::providers::Making;
use chatctl::gateway::{Gateway, Play, Reel, split};
use chatctl::http::{Client, Outgoing};
use chatctl::model::Call;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

const USER: &str = "buy milk [tag]";

fn play() -> Arc<Play> {
    Arc::new(Play::new(USER.to_owned(), 0, move |asked, _| {
        let stamp = chatctl::gateway::stamp("nonce-1");
        let making = Making {
            model: "m",
            stamp: &stamp,
        };
        let cassette = asked.made("It is on the list.", 4, &making);
        let script = split(&cassette, "nonce-1").unwrap();
        let mut answer = asked.answer(&cassette).unwrap();
        answer.text = script.answer.clone().unwrap();
        let mut held = vec![script.last];
        held.extend(script.after);
        let whole = (asked.whole)(&answer, &making);
        Ok(Reel {
            said: script.answer,
            ..Reel::new(&script.before, &held, &whole, stamp)
        })
    }))
}

fn ask(path: &str, body: &Value) -> Outgoing {
    Outgoing {
        method: "POST".to_owned(),
        path: path.to_owned(),
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: body.to_string().into_bytes(),
    }
}

fn chat(stream: bool, user: &str) -> Outgoing {
    ask(
        "/chat/completions",
        &json!({"stream": stream, "messages": [{"role": "user", "content": user}]}),
    )
}

async fn gateway() -> (Gateway, Client) {
    let gateway = Gateway::listen("127.0.0.1:0").await.unwrap();
    let client = Client::new(Url::parse(&gateway.url()).unwrap(), None).unwrap();
    (gateway, client)
}

#[tokio::test]
async fn the_last_chunk_comes_when_it_is_let_go() {
    let (gateway, client) = gateway().await;
    let play = play();
    gateway.play(&play);
    let mut stream = client.open(&chat(true, USER)).await.unwrap();
    let mut withheld = play.withheld();
    let mut got = Vec::new();
    loop {
        tokio::select! {
            chunk = stream.chunk() => got.extend_from_slice(&chunk.unwrap().expect("the end is withheld")),
            _ = withheld.wait_for(Option::is_some), if withheld.borrow().is_none() => {}
            () = tokio::time::sleep(Duration::from_millis(100)) => break,
        }
    }
    assert!(withheld.borrow().is_some());
    let before = String::from_utf8(got.clone()).unwrap();
    assert!(
        before.contains("data: ") && !before.contains("nonce-1") && !before.contains("[DONE]"),
        "{before}"
    );
    assert!(play.ended().borrow().is_none());
    play.release();
    while let Some(chunk) = stream.chunk().await.unwrap() {
        got.extend_from_slice(&chunk);
    }
    let all = String::from_utf8(got).unwrap();
    assert!(
        all.contains("nonce-1") && all.ends_with("data: [DONE]\n\n"),
        "{all}"
    );
    assert!(play.ended().borrow().is_some());
}

#[tokio::test]
async fn a_request_that_does_not_stream_waits_too() {
    let (gateway, client) = gateway().await;
    let play = play();
    gateway.play(&play);
    let asking = chat(false, USER);
    let answer = client.send(&asking);
    tokio::pin!(answer);
    let early = tokio::time::timeout(Duration::from_millis(150), &mut answer).await;
    assert!(early.is_err(), "it did not wait");
    play.release();
    let answer = answer.await.unwrap();
    assert_eq!(
        answer.json().unwrap()["choices"][0]["message"]["role"],
        "assistant"
    );
    assert!(play.ended().borrow().is_some());
}

#[tokio::test]
async fn every_request_is_recorded_for_what_it_is() {
    let (gateway, client) = gateway().await;
    let since = clock::now();
    let stray = client.send(&chat(true, USER)).await.unwrap();
    assert_eq!(stray.status, 404);
    assert!(
        stray.json().unwrap()["error"]["message"]
            .as_str()
            .unwrap()
            .contains("no turn is in progress")
    );
    let play = play();
    play.release();
    gateway.play(&play);
    let title = client
        .send(&chat(false, "Make a title for: buy milk [tag]"))
        .await
        .unwrap();
    assert_eq!(title.status, 200);
    for _ in 0..2 {
        assert_eq!(client.send(&chat(true, USER)).await.unwrap().status, 200);
    }
    assert_eq!(
        client
            .send(&ask("/audio/speech", &json!({})))
            .await
            .unwrap()
            .status,
        404
    );
    let mut models = ask("/models", &json!({}));
    (models.method, models.body) = ("GET".to_owned(), Vec::new());
    assert_eq!(
        client.send(&models).await.unwrap().json().unwrap()["data"][0]["id"],
        "chatctl"
    );
    let broken = Outgoing {
        body: b"{".to_vec(),
        ..chat(true, USER)
    };
    assert_eq!(client.send(&broken).await.unwrap().status, 400);
    let calls: Vec<_> = gateway
        .calls_since(since)
        .into_iter()
        .map(|call| call.call)
        .collect();
    let expected = [
        Call::Refused,
        Call::Extra,
        Call::Main,
        Call::Retry,
        Call::Refused,
        Call::Models,
        Call::Refused,
    ];
    assert_eq!(calls, expected);
}

/// Whatever is asked, and however often: no two answers have the same id, and each has the time.
#[tokio::test]
async fn every_answer_has_an_id_and_a_time_of_its_own() {
    let (gateway, client) = gateway().await;
    let began = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let mut ids = BTreeSet::new();
    for _ in 0..2 {
        let play = play();
        play.release();
        gateway.play(&play);
        // Twice the turn's own, and a request next to it, each as a stream and as a whole.
        for asking in [
            chat(true, USER),
            chat(true, USER),
            chat(false, USER),
            chat(false, "Make a title"),
            chat(true, "Make a title"),
        ] {
            let answer = client.send(&asking).await.unwrap();
            let text = String::from_utf8(answer.body).unwrap();
            let data = text
                .lines()
                .filter_map(|line| line.strip_prefix("data: ").or(Some(line)))
                .filter(|line| line.starts_with('{'));
            let answers: Vec<Value> = data
                .map(|data| serde_json::from_str(data).unwrap())
                .collect();
            assert!(!answers.is_empty());
            for answer in &answers {
                assert_eq!(answer["id"], answers[0]["id"], "one answer, one id");
                assert!(answer["created"].as_u64().unwrap() >= began, "{answer}");
            }
            let id = answers[0]["id"].as_str().unwrap().to_owned();
            assert!(id.starts_with("chatcmpl-") && id.len() > 20, "{id}");
            assert!(ids.insert(id), "an id was given twice");
        }
    }
    assert_eq!(ids.len(), 10);
}
