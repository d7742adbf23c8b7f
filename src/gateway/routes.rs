//! The provider's paths.

use super::Play;
use super::Recorded;
use super::State;
use super::matching;
use crate::clock;
use crate::model::Call;
use crate::model::ProviderCall;
use crate::stream::cassette::Answer;
use crate::stream::cassette::Cassette;
use crate::stream::cassette::to_completion;
use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::http::Method;
use axum::http::StatusCode;
use axum::http::Uri;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use axum::routing::post;
use futures_util::stream;
use serde_json::Value;
use serde_json::json;
use std::convert::Infallible;
use std::sync::Arc;

/// What a title request and the like are answered: short, and telling where it came from.
const EXTRA_ANSWER: &str = "Test chat";
const MODEL: &str = "chatctl";

/// Servers give the base URL with and without `/v1`, so both are served.
pub(super) fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(complete))
        .route("/chat/completions", post(complete))
        .route("/v1/models", get(models))
        .route("/models", get(models))
        .fallback(unmatched)
        .with_state(state)
}

impl State {
    fn record(&self, line: String, call: Call, messages: Vec<String>) {
        self.requests
            .lock()
            .expect("no holder panics")
            .push(Recorded {
                at: clock::now(),
                call: ProviderCall {
                    line,
                    call,
                    messages,
                },
            });
    }
}

async fn complete(Shared(state): Shared<Arc<State>>, uri: Uri, body: Bytes) -> Response {
    let line = format!("POST {}", uri.path());
    let Ok(body) = serde_json::from_slice::<Value>(&body) else {
        state.record(line, Call::Unmatched, Vec::new());
        return refuse(StatusCode::BAD_REQUEST, "the body is not JSON");
    };
    let asked = matching::asked(&body);
    let playing = state.playing.lock().expect("no holder panics").clone();
    let Some(play) = playing else {
        state.record(line, Call::Unmatched, asked.messages);
        return refuse(
            StatusCode::NOT_FOUND,
            "no turn is under way, so no cassette answers this request",
        );
    };
    let mut call = matching::call(&asked, &play.user, play.is_taken());
    // Two requests may come at once; only one takes the turn.
    if call == Call::Main && play.take() {
        call = Call::Retry;
    }
    let stream = asked.stream;
    state.record(line, call, asked.messages);
    match (call, stream) {
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

async fn models(Shared(state): Shared<Arc<State>>, uri: Uri) -> Json<Value> {
    state.record(format!("GET {}", uri.path()), Call::Models, Vec::new());
    Json(json!({"object": "list", "data": [
        {"id": MODEL, "object": "model", "created": super::stamp("").now, "owned_by": "chatctl"},
    ]}))
}

async fn unmatched(Shared(state): Shared<Arc<State>>, method: Method, uri: Uri) -> Response {
    state.record(
        format!("{method} {}", uri.path()),
        Call::Unmatched,
        Vec::new(),
    );
    refuse(
        StatusCode::NOT_FOUND,
        "chatctl's gateway does not serve this path",
    )
}

/// An error as the provider's clients expect it.
fn refuse(status: StatusCode, why: &str) -> Response {
    let error = json!({"error": {
        "message": format!("chatctl gateway: {why}"),
        "type": "invalid_request_error", "param": null, "code": "chatctl_unmatched"}});
    (status, Json(error)).into_response()
}
