//! Every provider that the gateway speaks, over real HTTP: by bytes, and through official clients.

use crate::common;
use chatctl::clock;
use chatctl::gateway::providers::{self, Making, Provider};
use chatctl::gateway::{Gateway, Play, Reel, split};
use chatctl::http::{Client, Opened, Outgoing};
use chatctl::model::{Call, ProviderEnd};
use serde_json::{Value, json};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

const USER: &str = "buy milk [tag]";
const ANSWER: &str = "Grüße, it is on the list. nonce-1";

/// A turn that answers each provider's request in its own format.
fn play() -> Arc<Play> {
    Arc::new(Play::new(USER.to_owned(), 0, move |asked, _| {
        let stamp = chatctl::gateway::stamp("nonce-1");
        let making = Making {
            model: "m",
            stamp: &stamp,
        };
        let cassette = asked.made("Grüße, it is on the list.", 4, &making);
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

async fn gateway() -> (Gateway, Client) {
    let gateway = Gateway::listen("127.0.0.1:0").await.unwrap();
    let client = Client::new(Url::parse(&gateway.url()).unwrap(), None).unwrap();
    (gateway, client)
}

fn post(path: &str, body: &Value) -> Outgoing {
    Outgoing {
        method: "POST".to_owned(),
        path: path.to_owned(),
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: body.to_string().into_bytes(),
    }
}

/// A request in the words of a provider.
fn ask(provider: &Provider, user: &str, stream: bool) -> Outgoing {
    let messages = json!([{"role": "user", "content": user}]);
    match provider.name {
        "openai-chat" => post(
            "/chat/completions",
            &json!({"stream": stream, "messages": messages}),
        ),
        "openai-responses" => post("/responses", &json!({"stream": stream, "input": messages})),
        "anthropic" => post(
            "/v1/messages",
            &json!({"stream": stream, "messages": messages}),
        ),
        "gemini" => post(
            if stream {
                "/v1beta/models/m:streamGenerateContent?alt=sse"
            } else {
                "/v1beta/models/m:generateContent"
            },
            &json!({"contents": [{"role": "user", "parts": [{"text": user}]}]}),
        ),
        "ollama" => post(
            "/api/chat",
            &json!({"stream": stream, "messages": messages}),
        ),
        "ollama-generate" => post("/api/generate", &json!({"stream": stream, "prompt": user})),
        other => panic!("the test has no request for `{other}`"),
    }
}

#[tokio::test]
async fn every_provider_withholds_its_last_content() {
    let (gateway, client) = gateway().await;
    for provider in providers::ALL {
        let play = play();
        gateway.play(&play);
        let mut stream = client.open(&ask(provider, USER, true)).await.unwrap();
        let media_type = provider.framing.content_type();
        assert_eq!(stream.header("content-type"), Some(media_type));
        let mut got = Vec::new();
        let quiet = Duration::from_millis(200);
        while let Ok(chunk) = tokio::time::timeout(quiet, stream.chunk()).await {
            let chunk = chunk.unwrap();
            got.extend_from_slice(&chunk.expect("the end is withheld"));
        }
        let before = String::from_utf8(got.clone()).unwrap();
        assert!(before.contains("Grüße"), "{provider:?}: {before}");
        assert!(!before.contains("nonce-1"), "{provider:?}: {before}");
        assert!(play.withheld().borrow().is_some());
        play.release();
        while let Some(chunk) = stream.chunk().await.unwrap() {
            got.extend_from_slice(&chunk);
        }
        let all = String::from_utf8(got).unwrap();
        assert!(all.contains("nonce-1"), "{provider:?}: {all}");
        assert!(play.ended().borrow().is_some());
    }
}

/// OpenAI sends a chunk without a choice only to who asks for the usage: most loops over chunks take the first choice.
#[tokio::test]
async fn a_chunk_without_a_choice_is_sent_to_who_asks_for_it() {
    let (gateway, client) = gateway().await;
    for (options, chunks) in [(json!({"include_usage": true}), 1), (Value::Null, 0)] {
        let play = play();
        play.release();
        gateway.play(&play);
        let messages = json!([{"role": "user", "content": USER}]);
        let body = json!({"stream": true, "stream_options": options, "messages": messages});
        let answer = client
            .send(&post("/chat/completions", &body))
            .await
            .unwrap();
        let text = String::from_utf8(answer.body).unwrap();
        assert_eq!(text.matches("\"choices\":[]").count(), chunks, "{text}");
        assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
        assert_eq!(play.provider_end(), ProviderEnd::Whole);
    }
}

#[tokio::test]
async fn every_provider_answers_as_a_whole_and_besides_the_turn() {
    let (gateway, client) = gateway().await;
    for provider in providers::ALL {
        let since = clock::now();
        let play = play();
        gateway.play(&play);
        let asking = ask(provider, USER, false);
        let answer = client.send(&asking);
        tokio::pin!(answer);
        let early = tokio::time::timeout(Duration::from_millis(100), &mut answer).await;
        assert!(early.is_err(), "{provider:?} did not wait");
        play.release();
        let answer = answer.await.unwrap();
        assert_eq!(answer.status, 200);
        assert!(answer.json().unwrap().to_string().contains(ANSWER));
        for stream in [true, false] {
            let title = ask(provider, "Make a title", stream);
            let title = client.send(&title).await.unwrap();
            let expected = String::from_utf8(title.body).unwrap();
            // A prompt that was rewritten is taken for the turn's own only where none came before.
            assert!(expected.contains("Test chat"), "{provider:?}: {expected}");
        }
        let calls = gateway.calls_since(since).into_iter();
        let calls: Vec<_> = calls.map(|call| call.call).collect();
        assert_eq!(
            calls,
            [Call::Main, Call::Extra, Call::Extra],
            "{provider:?}"
        );
    }
}

#[tokio::test]
async fn a_refusal_is_an_error_in_the_providers_own_words() {
    let (gateway, client) = gateway().await;
    for provider in providers::ALL {
        let refused = client.send(&ask(provider, USER, true)).await.unwrap();
        assert_eq!(refused.status, 404);
        let error = refused.json().unwrap();
        let said = error["error"]["message"]
            .as_str()
            .or(error["error"].as_str());
        assert!(said.unwrap().contains("no turn is in progress"), "{error}");
    }
    let play = play();
    gateway.play(&play);
    let list = post(
        "/v1beta/models/m:streamGenerateContent",
        &json!({"contents": []}),
    );
    let refused = client.send(&list).await.unwrap();
    assert_eq!(refused.status, 400);
    let said = refused.json().unwrap()["error"]["message"].to_string();
    assert!(said.contains("add `?alt=sse`"), "{said}");
}

/// The provider keeps the conversation, so what came before is in no request.
#[tokio::test]
async fn a_response_continues_an_earlier_one() {
    let (gateway, client) = gateway().await;
    let play = play();
    play.release();
    gateway.play(&play);
    let user = "buy milk chatctl-u0123456789abcdef";
    let first = post("/responses", &json!({"stream": true, "input": user}));
    let first = client.send(&first).await.unwrap();
    let text = String::from_utf8(first.body).unwrap();
    let id = text.split("\"id\":\"resp_").nth(1).unwrap();
    let id = format!("resp_{}", id.split('"').next().unwrap());
    let since = clock::now();
    let next = json!({"input": "and bread", "previous_response_id": id});
    assert_eq!(
        client
            .send(&post("/responses", &next))
            .await
            .unwrap()
            .status,
        200
    );
    let calls = gateway.calls_since(since);
    assert_eq!(calls[0].messages, 3, "question, answer, question");
    assert!(calls[0].marks.contains("chatctl-u0123456789abcdef"));
    let lost = json!({"input": "and bread", "previous_response_id": "resp_x"});
    let lost = client.send(&post("/responses", &lost)).await.unwrap();
    assert_eq!(lost.status, 400);
    let said = lost.json().unwrap()["error"]["message"].to_string();
    assert!(said.contains("it continues `resp_x`"), "{said}");
}

/// OpenAI's Conversations: each answer is added to the one that its request names.
#[tokio::test]
async fn a_conversation_keeps_what_is_said_in_it() {
    let (gateway, client) = gateway().await;
    let made = json!({"items": [{"type": "message", "role": "user", "content": "I am Ada"}]});
    let made = client.send(&post("/conversations", &made)).await.unwrap();
    let made = made.json().unwrap();
    assert_eq!(made["object"], "conversation");
    let id = made["id"].as_str().unwrap();
    let ask = |conversation: Value, input: &str| {
        post(
            "/responses",
            &json!({"stream": true, "input": input, "conversation": conversation}),
        )
    };
    let since = clock::now();
    let user = "buy milk chatctl-u0123456789abcdef";
    let turns = [(json!(id), user, 2), (json!({ "id": id }), "and bread", 4)];
    for (conversation, input, messages) in turns {
        let play = play();
        play.release();
        gateway.play(&play);
        let answered = client.send(&ask(conversation, input)).await.unwrap();
        assert_eq!(answered.status, 200, "{input}");
        let calls = gateway.calls_since(since);
        let last = calls.last().unwrap();
        assert_eq!(last.messages, messages, "{input}");
        assert!(last.marks.contains("chatctl-u0123456789abcdef"), "{input}");
    }
    let lost = client.send(&ask(json!("conv_x"), USER)).await.unwrap();
    assert_eq!(lost.status, 400);
}

/// The AI SDK names an earlier answer of the assistant by its id, in place of the text.
#[tokio::test]
async fn a_request_may_name_an_earlier_answer() {
    let (gateway, client) = gateway().await;
    for stream in [true, false] {
        let play = play();
        play.release();
        gateway.play(&play);
        let first = json!({"stream": stream, "input": USER});
        let first = client.send(&post("/responses", &first)).await.unwrap();
        let text = String::from_utf8(first.body).unwrap();
        let id = text.split("\"id\":\"msg_").nth(1).unwrap();
        let id = format!("msg_{}", id.split('"').next().unwrap());
        for (id, texts) in [
            (id.as_str(), &["and bread", ANSWER, USER][..]),
            ("msg_other", &["and bread", USER]),
        ] {
            let next = json!({"stream": true, "input": [
                {"role": "user", "content": USER},
                {"type": "item_reference", "id": id},
                {"role": "user", "content": "and bread"},
            ]});
            let again = self::play();
            again.release();
            gateway.play(&again);
            client.send(&post("/responses", &next)).await.unwrap();
            let heard = again.heard().expect("the turn's own request came");
            assert_eq!(heard.texts(), texts, "{id}");
        }
    }
}

/// A message over a WebSocket.
async fn message(socket: &mut Opened) -> Value {
    let message = tokio::time::timeout(Duration::from_secs(20), socket.chunk());
    let message = message.await.expect("a message comes").unwrap();
    serde_json::from_slice(&message.expect("the socket is open")).unwrap()
}

#[tokio::test]
async fn over_a_websocket_the_last_content_is_withheld_too() {
    let (gateway, client) = gateway().await;
    let (since, first) = (clock::now(), play());
    gateway.play(&first);
    let asking = Outgoing {
        method: "GET".to_owned(),
        body: Vec::new(),
        ..post("/responses", &Value::Null)
    };
    let mut socket = client.open_socket(None, &asking).await.unwrap();
    assert_eq!(socket.status, 101);
    let create = json!({
        "type": "response.create", "stream_id": "one",
        "input": [{"role": "user", "content": USER}],
    });
    let say = |text: &Value| text.to_string();
    socket.socket().unwrap().say(&say(&create)).await.unwrap();
    let (mut text, mut pieces) = (String::new(), 0);
    // The last one of four is withheld.
    while pieces < 3 {
        let event = message(&mut socket).await;
        assert_eq!(event["stream_id"], "one", "{event}");
        pieces += usize::from(event["type"] == "response.output_text.delta");
        text.push_str(event["delta"].as_str().unwrap_or_default());
    }
    let quiet = tokio::time::timeout(Duration::from_millis(200), socket.chunk());
    assert!(quiet.await.is_err(), "the end is withheld");
    assert!(!text.contains("nonce-1"), "{text}");
    // What is asked meanwhile on another lane is answered.
    let title = json!({"type": "response.create", "input": "Make a title"});
    socket.socket().unwrap().say(&say(&title)).await.unwrap();
    let mut aside = message(&mut socket).await;
    while aside["type"] != "response.completed" {
        aside = message(&mut socket).await;
    }
    assert!(aside["stream_id"].is_null(), "{aside}");
    assert!(aside.to_string().contains("Test chat"), "{aside}");
    first.release();
    let mut last = message(&mut socket).await;
    while last["type"] != "response.completed" {
        text.push_str(last["delta"].as_str().unwrap_or_default());
        last = message(&mut socket).await;
    }
    assert_eq!(text, ANSWER);
    assert!(last["response"].to_string().contains(ANSWER), "{last}");
    // The connection stays, and takes what it does not know as a mistake.
    let unknown = json!({"type": "response.nothing", "stream_id": "two"});
    socket.socket().unwrap().say(&say(&unknown)).await.unwrap();
    let refused = message(&mut socket).await;
    assert_eq!(refused["type"], "error", "{refused}");
    assert_eq!(
        (&refused["status"], &refused["stream_id"]),
        (&json!(400), &json!("two"))
    );
    // A server that hangs up in mid-answer is one that hangs up on its provider.
    let second = play();
    gateway.play(&second);
    socket.socket().unwrap().say(&say(&create)).await.unwrap();
    second.until_sent(1).await;
    drop(socket);
    tokio::time::timeout(Duration::from_secs(20), second.until_idle())
        .await
        .expect("the answer ends with its connection");
    assert!(matches!(second.provider_end(), ProviderEnd::HungUp { .. }));
    let calls = gateway.calls_since(since);
    assert_eq!(calls[0].line, "WS /v1/responses");
}

#[tokio::test]
async fn official_clients_read_every_provider() {
    let (gateway, _) = gateway().await;
    for provider in providers::ALL {
        let play = play();
        play.release();
        gateway.play(&play);
        let run = tokio::process::Command::new(common::python())
            .arg("tests/servers/clients.py")
            .args([provider.name, &gateway.url(), USER])
            .env("NO_PROXY", "127.0.0.1")
            .stderr(Stdio::piped())
            .output()
            .await
            .unwrap();
        let errors = String::from_utf8_lossy(&run.stderr);
        assert!(run.status.success(), "{provider:?}: {errors}");
        let read: Value = serde_json::from_slice(&run.stdout).unwrap();
        assert_eq!(read["streamed"], ANSWER, "{provider:?}");
        assert_eq!(read["whole"], ANSWER, "{provider:?}");
        for answer in read["over_a_socket"].as_array().into_iter().flatten() {
            assert_eq!(answer, ANSWER, "{provider:?}");
        }
        let speaks_over_sockets = !provider.sockets.is_empty();
        assert_eq!(read["over_a_socket"].is_array(), speaks_over_sockets);
        assert!(read["usage"].as_u64().unwrap() > 0, "{provider:?}");
        for model in read["models"].as_array().into_iter().flatten() {
            let name = model.as_str().unwrap();
            assert_eq!(name.trim_start_matches("models/"), "chatctl");
        }
        for dimensions in read["embeddings"].as_array().into_iter().flatten() {
            assert_eq!(dimensions, 1536, "{provider:?}");
        }
    }
}
