//! The provider's paths.

use super::matching::Asked;
use super::{Play, State, matching};
use crate::model::{Call, ProviderCall};
use crate::stream::cassette::{Answer, Cassette, to_completion};
use axum::body::{Body, Bytes};
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State as Shared};
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::stream;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;

/// What a title request and the like are answered: short, and telling where it came from.
const EXTRA_ANSWER: &str = "Test chat";
const MODEL: &str = "chatctl";

/// The largest body that is read: a conversation with some images in it.
const LARGEST_BODY: usize = 64 << 20;
/// As much of a path as is kept.
const LONGEST_PATH: usize = 200;

/// Servers give the base URL with and without `/v1`, so both are served.
pub(super) fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(complete))
        .route("/chat/completions", post(complete))
        .route("/v1/models", get(models))
        .route("/models", get(models))
        .fallback(unmatched)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(state)
}

impl State {
    fn record(&self, line: String, call: Call, asked: &Asked) {
        self.keep(ProviderCall {
            line,
            call,
            messages: asked.messages,
            marks: asked.marks.clone(),
            refused: None,
        });
    }

    /// Answers with an error as the provider's clients expect it, and remembers why.
    fn refuse(&self, line: String, status: StatusCode, why: String) -> Response {
        let error = json!({"error": {
            "message": format!("chatctl gateway: {why}"),
            "type": "invalid_request_error", "param": null, "code": "chatctl_unmatched"}});
        self.keep(ProviderCall {
            line,
            call: Call::Refused,
            messages: 0,
            marks: BTreeSet::new(),
            refused: Some(why),
        });
        (status, Json(error)).into_response()
    }
}

/// Method and path, for the log.
fn line(method: &Method, uri: &Uri) -> String {
    let path: String = uri.path().chars().take(LONGEST_PATH).collect();
    format!("{method} {path}")
}

async fn complete(
    Shared(state): Shared<Arc<State>>,
    method: Method,
    uri: Uri,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let line = line(&method, &uri);
    let body = match body {
        Ok(body) => body,
        Err(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            let why = format!("its body has more than {} MB", LARGEST_BODY >> 20);
            return state.refuse(line, StatusCode::PAYLOAD_TOO_LARGE, why);
        }
        Err(error) => {
            let why = format!("its body broke off: {}", error.body_text());
            return state.refuse(line, error.status(), why);
        }
    };
    let body = match serde_json::from_slice::<Value>(&body) {
        Ok(body) => body,
        Err(error) => {
            let why = format!("its body is not JSON: {error}");
            return state.refuse(line, StatusCode::BAD_REQUEST, why);
        }
    };
    let asked = matching::asked(&body);
    let playing = state.playing.lock().expect("no holder panics").clone();
    let Some(play) = playing else {
        let why = "no turn is in progress, so no cassette answers it";
        return state.refuse(line, StatusCode::NOT_FOUND, why.to_owned());
    };
    let mut call = matching::call(&asked, &play.user, play.is_taken());
    // Two requests may come at once; only one takes the turn.
    if call == Call::Main && play.take() {
        call = Call::Retry;
    }
    state.record(line, call, &asked);
    match (call, asked.stream) {
        (Call::Main | Call::Retry, true) => stream_of(play),
        (Call::Main | Call::Retry, false) => {
            let reel = play.reel();
            play.wait_for_release().await;
            play.end();
            Json(reel.completion).into_response()
        }
        (_, streams) => extra(streams),
    }
}

/// An answer being served. A server that has heard enough hangs up: then that is the end.
struct Serving(Arc<Play>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.end();
    }
}

fn stream_of(play: Arc<Play>) -> Response {
    let reel = play.reel();
    let begin = (Serving(play), reel, 0);
    let chunks = stream::unfold(begin, |(serving, reel, index)| async move {
        let chunk = serving.0.chunk(&reel, index).await?;
        Some((Ok::<_, Infallible>(chunk), (serving, reel, index + 1)))
    });
    event_stream(Body::from_stream(chunks))
}

fn event_stream(body: Body) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, body).into_response()
}

/// A short answer to a request beside the turn.
fn extra(streams: bool) -> Response {
    let stamp = super::stamp("");
    let cassette = Cassette::from_answer(EXTRA_ANSWER, 1, MODEL, &stamp);
    if streams {
        return event_stream(Body::from(cassette.body()));
    }
    let answer = Answer {
        text: EXTRA_ANSWER.to_owned(),
        ..Answer::default()
    };
    Json(to_completion(&answer, MODEL, &stamp)).into_response()
}

async fn models(Shared(state): Shared<Arc<State>>, method: Method, uri: Uri) -> Json<Value> {
    state.record(line(&method, &uri), Call::Models, &Asked::default());
    Json(json!({"object": "list", "data": [
        {"id": MODEL, "object": "model", "created": super::stamp("").now, "owned_by": "chatctl"},
    ]}))
}

async fn unmatched(Shared(state): Shared<Arc<State>>, method: Method, uri: Uri) -> Response {
    let why = "chatctl's gateway does not serve this path";
    state.refuse(line(&method, &uri), StatusCode::NOT_FOUND, why.to_owned())
}
