//! The provider's paths.

use super::line::LineEnd;
use super::matching::{Asked, Known};
use super::providers::{MODEL, Making, Provider};
use super::{Act, Answer, Play, Reel, Reply, State, matching, providers, side_calls};
use crate::model::{Call, ProviderCall};
use axum::body::{Body, Bytes};
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, DefaultBodyLimit, State as Shared};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use futures_util::stream;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

/// What a title request and the like are answered: short, and telling where it came from.
const EXTRA_ANSWER: &str = "Test chat";

/// The largest body that is read: a conversation with some images in it.
const LARGEST_BODY: usize = 64 << 20;
/// As much of a path as is kept.
const LONGEST_PATH: usize = 200;

/// Every path goes through the table of providers: servers give the base URL with and without `/v1`.
pub(super) fn router(state: Arc<State>) -> Router {
    Router::new()
        .fallback(serve)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(state)
}

impl State {
    fn record(&self, line: String, call: Call, known: Known) {
        self.keep(ProviderCall {
            line,
            call,
            messages: known.messages,
            marks: known.marks,
            refused: None,
        });
    }
}

/// A request that gets no answer, and why.
struct Refusal {
    status: StatusCode,
    why: String,
}

impl Refusal {
    fn new(status: StatusCode, why: impl Into<String>) -> Self {
        let why = why.into();
        Self { status, why }
    }
}

/// Method and path, for the log.
fn line(method: &Method, uri: &Uri) -> String {
    let path: String = uri.path().chars().take(LONGEST_PATH).collect();
    format!("{method} {path}")
}

async fn serve(
    Shared(state): Shared<Arc<State>>,
    ConnectInfo(line_end): ConnectInfo<LineEnd>,
    method: Method,
    uri: Uri,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let line = line(&method, &uri);
    let provider = providers::at(uri.path()).filter(|_| method == Method::POST);
    let answered = match (provider, side_calls::at(&method, uri.path())) {
        (Some(provider), _) => match read(body) {
            Ok(body) => complete(&state, provider, &line, (&uri, &body), line_end).await,
            Err(refusal) => Err(refusal),
        },
        (None, Some(side_call)) => {
            // Its body may be empty, and says little.
            let body = read(body).unwrap_or_default();
            state.record(line.clone(), side_call.call, Known::default());
            let answer = (side_call.answer)(&body, super::stamp("").now);
            Ok(Json(answer).into_response())
        }
        (None, None) => Err(Refusal::new(
            StatusCode::NOT_FOUND,
            "chatctl's gateway does not serve this path",
        )),
    };
    answered.unwrap_or_else(|Refusal { status, why }| {
        // An error as the provider's clients expect it.
        let error = provider.unwrap_or(&providers::ALL[0]).error;
        let error = error(&format!("chatctl gateway: {why}"));
        state.keep(ProviderCall {
            line,
            call: Call::Refused,
            messages: 0,
            marks: BTreeSet::new(),
            refused: Some(why),
        });
        (status, Json(error)).into_response()
    })
}

fn read(body: Result<Bytes, BytesRejection>) -> Result<Value, Refusal> {
    let body = body.map_err(|error| {
        if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
            let why = format!("its body has more than {} MB", LARGEST_BODY >> 20);
            Refusal::new(error.status(), why)
        } else {
            let why = format!("its body broke off: {}", error.body_text());
            Refusal::new(error.status(), why)
        }
    })?;
    serde_json::from_slice::<Value>(&body).map_err(|error| {
        Refusal::new(
            StatusCode::BAD_REQUEST,
            format!("its body is not JSON: {error}"),
        )
    })
}

async fn complete(
    state: &State,
    provider: &'static Provider,
    line: &str,
    (uri, body): (&Uri, &Value),
    line_end: LineEnd,
) -> Result<Response, Refusal> {
    let path = uri.path_and_query().map_or("", |path| path.as_str());
    let bad = |why| Refusal::new(StatusCode::BAD_REQUEST, why);
    let question = (provider.ask)(path, body).map_err(bad)?;
    let before = match &question.previous {
        None => Known::default(),
        Some(id) => {
            let unknown = || format!("it continues `{id}`, which was not answered here");
            state.remembered(id).ok_or_else(|| bad(unknown()))?
        }
    };
    let asked = matching::asked(&question, before);
    let playing = state.playing.lock().expect("no holder panics").clone();
    if playing.is_empty() {
        let why = "no turn is in progress, so no cassette answers it";
        return Err(Refusal::new(StatusCode::NOT_FOUND, why));
    }
    let users: Vec<_> = playing.iter().map(|play| play.user.as_str()).collect();
    let chosen = matching::chosen(&asked, &users).map(|index| Arc::clone(&playing[index]));
    let called = chosen.map(|play| (matching::call(&asked, &play.user, play.is_taken()), play));
    let Some((mut call, play)) = called.filter(|(call, _)| *call != Call::Extra) else {
        state.record(line.to_owned(), Call::Extra, asked.known);
        state.aside.pass().await;
        return Ok(extra(provider, asked.stream));
    };
    // Two requests may come at once; only one takes the turn.
    let step = if call == Call::Main {
        play.take()
    } else {
        None
    };
    if step.is_none() {
        call = Call::Retry;
    }
    let mut reel = play.reel(provider, step).map_err(bad)?;
    if let Some(id) = provider.keeps {
        let mut known = asked.known.clone();
        known.hears(reel.said.as_deref().unwrap_or_default());
        state.remember(id(&reel.stamp), known);
    }
    if call == Call::Main {
        play.hear(provider, &question);
    }
    let Asked { stream, known, .. } = asked;
    state.record(line.to_owned(), call, known);
    if let Some(reply) = reel.reply.take().filter(|reply| stream || reply.is_for_all) {
        drop(Serving::begin(&play, 0, &reel));
        return Ok(in_place_of(reply));
    }
    if stream {
        return Ok(stream_of(provider, &play, reel, line_end));
    }
    let mut serving = Serving::begin(&play, 1, &reel);
    if !reel.held.is_empty() {
        play.wait_for_release().await;
    }
    serving.sent = 1;
    Ok(json(reel.whole))
}

fn json(body: Bytes) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// A response that is no answer of the model.
fn in_place_of(reply: Reply) -> Response {
    let mut response = json(reply.body);
    // A row of the table has a status that exists.
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or_default();
    for (name, value) in reply.headers {
        let value = HeaderValue::from_static(value);
        response
            .headers_mut()
            .insert(HeaderName::from_static(name), value);
    }
    response
}

/// An answer being served. A server that has heard enough hangs up: then that is the end.
struct Serving {
    play: Arc<Play>,
    /// After how many steps it is over.
    enough: usize,
    sent: usize,
    /// How many chunks the turn's earlier answers have.
    earlier: usize,
    is_last: bool,
}

impl Serving {
    fn begin(play: &Arc<Play>, enough: usize, reel: &Reel) -> Self {
        play.begin(reel.is_last);
        Self {
            play: Arc::clone(play),
            enough,
            sent: 0,
            earlier: reel.earlier,
            is_last: reel.is_last,
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let left_after = (self.sent < self.enough).then_some(self.earlier + self.sent);
        self.play.over(left_after, self.is_last);
    }
}

fn stream_of(provider: &Provider, play: &Arc<Play>, reel: Reel, line_end: LineEnd) -> Response {
    let serving = Serving::begin(play, reel.enough, &reel);
    let chunks = stream::unfold(
        (serving, reel, line_end, 0),
        |(mut serving, reel, line_end, index)| async move {
            let act = serving.play.step(&reel, index).await?;
            serving.sent += 1;
            let sent = match act {
                Act::Send(bytes) => Ok(bytes),
                // A body that fails ends the connection.
                Act::Close => Err(io::Error::other("closed on purpose")),
                Act::Reset => {
                    line_end.reset();
                    Err(io::Error::other("reset on purpose"))
                }
            };
            Some((sent, (serving, reel, line_end, index + 1)))
        },
    );
    streamed(provider, Body::from_stream(chunks))
}

fn streamed(provider: &Provider, body: Body) -> Response {
    let headers = [
        (header::CONTENT_TYPE, provider.framing.content_type()),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, body).into_response()
}

/// A short answer to a request next to the turn.
fn extra(provider: &Provider, streams: bool) -> Response {
    let stamp = super::stamp("");
    let making = Making {
        model: MODEL,
        stamp: &stamp,
    };
    if streams {
        let cassette = provider.made(EXTRA_ANSWER, 1, &making);
        return streamed(provider, Body::from(cassette.body()));
    }
    let answer = Answer {
        text: EXTRA_ANSWER.to_owned(),
        ..Answer::default()
    };
    Json((provider.whole)(&answer, &making)).into_response()
}
