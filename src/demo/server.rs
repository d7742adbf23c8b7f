//! The demo server's paths.

use super::bugs::Save;
use super::chats::Chats;
use super::talk::Talk;
use crate::http::{Client, Outgoing};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::stream;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::net::TcpListener;
use url::Url;

struct Demo {
    chats: Arc<Chats>,
    provider: Client,
    save: Save,
}

#[derive(Deserialize)]
struct Begin {
    #[serde(default)]
    title: String,
}

#[derive(Deserialize)]
struct Say {
    conversation_id: String,
    message: String,
}

/// Serves chats on a loopback port until the process is ended.
pub async fn serve(
    path: &std::path::Path,
    port: u16,
    gateway: &str,
    save: Save,
) -> anyhow::Result<()> {
    let demo = Arc::new(Demo {
        chats: Arc::new(Chats::open(path).await?),
        provider: Client::new(
            Url::parse(&format!("{}/", gateway.trim_end_matches('/')))?,
            None,
        )?,
        save,
    });
    let router = Router::new()
        .route("/health", get(|| async { "ok" }))
        .route("/conversations", post(begin))
        .route("/conversations/{id}/messages", get(history))
        .route("/chat", post(say))
        .with_state(demo);
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    Ok(axum::serve(listener, router).await?)
}

/// Any error is the client's 500.
struct Failed(anyhow::Error);

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, format!("{:#}", self.0)).into_response()
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

async fn begin(
    State(demo): State<Arc<Demo>>,
    Json(begin): Json<Begin>,
) -> Result<Response, Failed> {
    let id = format!("{:032x}", fastrand::u128(..));
    demo.chats.begin(&id, &begin.title).await?;
    Ok((StatusCode::CREATED, Json(json!({"id": id}))).into_response())
}

async fn history(
    State(demo): State<Arc<Demo>>,
    Path(id): Path<String>,
) -> Result<Response, Failed> {
    Ok(match demo.chats.messages(&id).await? {
        Some(messages) => Json(messages).into_response(),
        None => (StatusCode::NOT_FOUND, "Conversation not found").into_response(),
    })
}

async fn say(State(demo): State<Arc<Demo>>, Json(say): Json<Say>) -> Result<Response, Failed> {
    demo.chats
        .append(&say.conversation_id, "user", &say.message)
        .await?;
    let messages: Vec<Value> = demo
        .chats
        .messages(&say.conversation_id)
        .await?
        .unwrap_or_default();
    let ask = Outgoing {
        method: "POST".to_owned(),
        path: "chat/completions".to_owned(),
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: json!({"model": "demo", "stream": true, "messages": messages})
            .to_string()
            .into_bytes(),
    };
    let provider = demo.provider.open(&ask).await?;
    let talk = Talk::new(
        Arc::clone(&demo.chats),
        say.conversation_id,
        demo.save,
        provider,
    );
    let body = Body::from_stream(stream::unfold(talk, Talk::next));
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    Ok((headers, body).into_response())
}
