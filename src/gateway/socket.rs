//! A provider over a WebSocket (RFC 6455): OpenAI Responses
//! (developers.openai.com/api/docs/guides/websocket-mode).
//!
//! Each `response.create` of the client is a question, whose answer has the events of a stream, a
//! message each. Questions that name the same `stream_id`, and those that name none, wait for each
//! other; their events have it, too. The connection outlasts its answers. Where a stream would end
//! without its final event, it is closed.

use super::given::{Given, Refusal, Serving, given};
use super::line::LineEnd;
use super::providers::Provider;
use super::{Act, Play, Reel, Reply, State};
use crate::stream::sse::{Decoder, Item};
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

/// What a server adds to the client's key (RFC 6455, section 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The client's key, where a request asks for a WebSocket.
pub(super) fn wanted(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name)?.to_str().ok();
    let asks = text(header::UPGRADE)?.eq_ignore_ascii_case("websocket");
    let key = text(header::SEC_WEBSOCKET_KEY)?;
    asks.then(|| key.to_owned())
}

/// Who speaks on a connection.
pub(super) struct Speaking {
    pub(super) state: Arc<State>,
    pub(super) provider: &'static Provider,
    /// For the log.
    pub(super) line: String,
    pub(super) line_end: LineEnd,
}

/// Answers the request for a WebSocket, and speaks on it.
pub(super) fn open(key: &str, upgrade: OnUpgrade, speaking: Speaking) -> Response {
    tokio::spawn(async move {
        // A client that is gone has nothing to ask.
        if let Ok(upgraded) = upgrade.await {
            let io = TokioIo::new(upgraded);
            let socket = WebSocketStream::from_raw_socket(io, Role::Server, None).await;
            speak(socket, Arc::new(speaking)).await;
        }
    });
    let digest = Sha1::digest(format!("{key}{GUID}"));
    let headers = [
        (header::CONNECTION, "Upgrade".to_owned()),
        (header::UPGRADE, "websocket".to_owned()),
        (header::SEC_WEBSOCKET_ACCEPT, STANDARD.encode(digest)),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers, Body::empty()).into_response()
}

/// What is to be done on the connection.
enum Out {
    Say(String),
    /// It is closed in order.
    Close,
    /// It ends without that.
    Drop,
}

type Outbox = mpsc::UnboundedSender<Out>;

async fn speak(
    socket: WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>,
    speaking: Arc<Speaking>,
) {
    let (mut sink, mut questions) = socket.split();
    let (outbox, mut outgoing) = mpsc::unbounded_channel();
    // When the connection is over, so are its answers: the set ends them.
    let mut answers = JoinSet::new();
    let mut lanes: HashMap<Option<String>, oneshot::Receiver<()>> = HashMap::new();
    loop {
        tokio::select! {
            said = questions.next() => match said {
                Some(Ok(Message::Text(text))) => {
                    let question = serde_json::from_str::<Value>(&text);
                    let lane = match &question {
                        Ok(question) => question["stream_id"].as_str().map(str::to_owned),
                        Err(_) => None,
                    };
                    let (done, is_done) = oneshot::channel::<()>();
                    let earlier = lanes.insert(lane.clone(), is_done);
                    let (speaking, outbox) = (Arc::clone(&speaking), outbox.clone());
                    answers.spawn(async move {
                        if let Some(earlier) = earlier {
                            // Its end is told by the sender's, too.
                            let _ = earlier.await;
                        }
                        let answer = Answering { speaking, lane, outbox };
                        answer.to(question).await;
                        drop(done);
                    });
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                // Pings are answered by the library.
                Some(Ok(_)) => {}
            },
            Some(out) = outgoing.recv() => match out {
                Out::Say(text) => {
                    if sink.send(Message::Text(text.into())).await.is_err() {
                        return;
                    }
                }
                Out::Close => {
                    // A client that is gone needs no farewell.
                    let _ = sink.send(Message::Close(None)).await;
                    return;
                }
                Out::Drop => return,
            },
            Some(_) = answers.join_next() => {}
        }
    }
}

/// One question, and where its answer goes.
struct Answering {
    speaking: Arc<Speaking>,
    lane: Option<String>,
    outbox: Outbox,
}

impl Answering {
    async fn to(&self, question: Result<Value, serde_json::Error>) {
        let given = match question {
            Ok(question) => self.given(question).await,
            Err(error) => Err(Refusal::new(
                StatusCode::BAD_REQUEST,
                format!("a message is not JSON: {error}"),
            )),
        };
        let Speaking { provider, .. } = *self.speaking;
        match given {
            Ok(Given::Streamed(play, reel)) => self.play(&play, reel).await,
            Ok(Given::InPlace(reply)) => self.reply(&reply),
            // Over a WebSocket every answer comes piece by piece.
            Ok(Given::Extra(extra)) => {
                self.say_events(&mut Decoder::new(), &extra.stream(provider));
            }
            Ok(Given::Whole(play, reel)) => self.play(&play, reel).await,
            Err(Refusal { status, why }) => {
                let line = self.speaking.line.clone();
                let error = self.speaking.state.refuse(provider, line, why);
                self.fail(status.as_u16(), error);
            }
        }
    }

    async fn given(&self, mut question: Value) -> Result<Given, Refusal> {
        let bad = |why: String| Refusal::new(StatusCode::BAD_REQUEST, why);
        let kind = question["type"].as_str().unwrap_or_default();
        if kind != "response.create" {
            return Err(bad(format!(
                "chatctl's gateway does not know the event `{kind}`"
            )));
        }
        if question["generate"] == false {
            return Err(bad(
                "chatctl's gateway has nothing to prepare: `generate` is false".to_owned(),
            ));
        }
        question["stream"] = true.into();
        let Speaking {
            state,
            provider,
            line,
            ..
        } = &*self.speaking;
        given(state, provider, line, ("", &question)).await
    }

    async fn play(&self, play: &Arc<Play>, reel: Reel) {
        let mut serving = Serving::begin(play, reel.enough, &reel);
        let mut decoder = Decoder::new();
        let (mut index, mut is_over) = (0, false);
        while let Some(act) = serving.play.step(&reel, index).await {
            index += 1;
            serving.sent += 1;
            match act {
                Act::Send(bytes) => is_over |= self.say_events(&mut decoder, &bytes),
                Act::Close => return self.put(Out::Drop),
                Act::Reset => {
                    self.speaking.line_end.reset();
                    return self.put(Out::Drop);
                }
            }
        }
        if !is_over {
            self.put(Out::Close);
        }
    }

    /// Says the events in a piece of a stream; tells whether the final one was among them.
    fn say_events(&self, decoder: &mut Decoder, bytes: &[u8]) -> bool {
        // The gateway's own lines are short.
        let items = decoder.push(Duration::ZERO, bytes).unwrap_or_default();
        let mut is_over = false;
        for item in items {
            let Item::Frame(frame) = item else { continue };
            let json = serde_json::from_str::<Value>(&frame.data).ok();
            is_over |= (self.speaking.provider.is_final)(frame.data.as_bytes(), json.as_ref());
            match (json, &self.lane) {
                (Some(json), Some(_)) => self.say(json),
                _ => self.put(Out::Say(frame.data)),
            }
        }
        is_over
    }

    /// A status and its body have the form of an event here.
    fn reply(&self, reply: &Reply) {
        let body = serde_json::from_slice(&reply.body).unwrap_or_default();
        self.fail(reply.status, body);
    }

    fn fail(&self, status: u16, body: Value) {
        self.say(json!({ "type": "error", "status": status, "error": body["error"] }));
    }

    fn say(&self, mut event: Value) {
        if let Some(lane) = &self.lane {
            event["stream_id"] = lane.as_str().into();
        }
        self.put(Out::Say(event.to_string()));
    }

    fn put(&self, out: Out) {
        // A connection that is over takes nothing more.
        let _ = self.outbox.send(out);
    }
}
