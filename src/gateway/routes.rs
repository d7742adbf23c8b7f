//! The provider's paths.

use super::conversations::Wanted;
use super::given::{Given, Refusal, Serving, given};
use super::line::LineEnd;
use super::matching::Known;
use super::providers::Provider;
use super::socket::Speaking;
use super::{Act, Play, Reel, Reply, State, conversations, providers, side_calls, socket};
use crate::model::Call;
use axum::body::{Body, Bytes};
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, DefaultBodyLimit, State as Shared};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json, Router};
use futures_util::stream;
use hyper::upgrade::OnUpgrade;
use serde_json::Value;
use std::io;
use std::sync::Arc;

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

/// Method and path, for the log.
fn line(method: &str, uri: &Uri) -> String {
    let path: String = uri.path().chars().take(LONGEST_PATH).collect();
    format!("{method} {path}")
}

async fn serve(
    Shared(state): Shared<Arc<State>>,
    ConnectInfo(line_end): ConnectInfo<LineEnd>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    upgrade: Option<Extension<OnUpgrade>>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let wants = socket::wanted(&headers).zip(providers::socket_at(uri.path()));
    if let (Some((key, provider)), Some(Extension(upgrade))) = (wants, upgrade) {
        let line = line("WS", &uri);
        return socket::open(
            &key,
            upgrade,
            Speaking {
                state,
                provider,
                line,
                line_end,
            },
        );
    }
    let line = line(method.as_str(), &uri);
    let provider = providers::at(uri.path()).filter(|_| method == Method::POST);
    let answered = match (provider, side_calls::at(&method, uri.path())) {
        (Some(provider), _) => match read(body) {
            Ok(body) => {
                let path = uri.path_and_query().map_or("", |path| path.as_str());
                let given = given(&state, provider, &line, (path, &body)).await;
                match given {
                    Ok(given) => Ok(over_http(given, provider, line_end).await),
                    Err(refusal) => Err(refusal),
                }
            }
            Err(refusal) => Err(refusal),
        },
        (None, Some(side_call)) => {
            // Its body may be empty, and says little.
            let body = read(body).unwrap_or_default();
            state.record(line.clone(), side_call.call, Known::default());
            let answer = (side_call.answer)(&body, super::stamp("").now);
            Ok(Json(answer).into_response())
        }
        (None, None) => match conversations::at(&method, uri.path(), uri.query().unwrap_or("")) {
            Some(wanted) => {
                of_conversations(&state, &wanted, &line, &read(body).unwrap_or_default())
            }
            None => Err(Refusal::new(
                StatusCode::NOT_FOUND,
                "chatctl's gateway does not serve this path",
            )),
        },
    };
    answered.unwrap_or_else(|Refusal { status, why }| {
        let error = state.refuse(provider.unwrap_or(&providers::ALL[0]), line, why);
        (status, Json(error)).into_response()
    })
}

/// What the provider answers of the conversations that it keeps for a server.
fn of_conversations(
    state: &State,
    wanted: &Wanted<'_>,
    line: &str,
    body: &Value,
) -> Result<Response, Refusal> {
    let mut conversations = state.conversations.lock().expect("no holder panics");
    let answered = conversations.answer(wanted, body, super::stamp("").now);
    drop(conversations);
    let Some(answered) = answered else {
        let why = "it names a conversation or an item that is not kept here";
        return Err(Refusal::new(StatusCode::NOT_FOUND, why));
    };
    state.record(line.to_owned(), Call::Models, Known::default());
    if let Some((id, added)) = answered.known {
        let before = state.remembered(&id).unwrap_or_default();
        state.remember(id, before.with(added));
    }
    Ok(Json(answered.body).into_response())
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

async fn over_http(given: Given, provider: &Provider, line_end: LineEnd) -> Response {
    match given {
        Given::Extra(extra) if extra.streams => {
            streamed(provider, Body::from(extra.stream(provider)))
        }
        Given::Extra(extra) => Json(extra.whole(provider)).into_response(),
        Given::InPlace(reply) => in_place_of(reply),
        Given::Streamed(play, reel) => stream_of(provider, &play, reel, line_end),
        Given::Whole(play, reel) => {
            let mut serving = Serving::begin(&play, 1, &reel);
            if !reel.held.is_empty() {
                play.wait_for_release().await;
            }
            serving.sent = 1;
            json(reel.whole)
        }
    }
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
