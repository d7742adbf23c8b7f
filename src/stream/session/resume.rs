//! The section on a connection that is lost in mid-answer: `[resume]`.

use super::endings::AnswersOver;
use super::parse_request::{Requests, Secrets};
use super::reader::{Item, Place};
use super::request::Expanded;
use super::template::{Captures, ExpandError};
use super::validate::{CURSOR, Scope, json_path};
use super::{Follow, Follows, Request};
use crate::source_error::SourceError;
use serde_json::Value;
use serde_json_path::JsonPath;

const RESUME: Place = Place {
    name: "[resume]",
    request: &[],
    keys: &[
        "request", "query", "headers", "json", "form", "body", "auth", "hello", "ready", "cursor",
        "from",
    ],
};

/// How a page whose connection was lost gets the rest of an answer.
#[derive(Debug, Clone)]
pub struct Resume {
    pub request: Request,
    /// What tells the server how far the client has come.
    pub cursor: Cursor,
    /// Where its answer begins.
    pub from: ResumesFrom,
}

/// What tells the server how far a client has come.
#[derive(Debug, Clone)]
pub enum Cursor {
    /// The id of the last event, as `EventSource` sends it.
    EventId,
    /// A value in the data of the last event that has it.
    Json(JsonPath),
}

/// Where the answer to a resume begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResumesFrom {
    /// With the answer's first word: the page throws away what it has.
    Beginning,
    /// Where the client lost the connection.
    Cut,
}

impl Resume {
    /// The request of a client that has come so far. As long as there is no cursor, what holds it is not sent.
    ///
    /// # Errors
    /// When something else is not known yet.
    pub fn expand(&self, known: &Captures, cursor: Option<Value>) -> Result<Expanded, ExpandError> {
        let mut known = known.clone();
        let has_cursor = cursor.is_some();
        known.insert(CURSOR.to_owned(), cursor.unwrap_or(Value::Null));
        if has_cursor {
            self.request.expand(&known)
        } else {
            self.request.without(CURSOR).expand(&known)
        }
    }
}

/// The section `[resume]`.
pub(super) fn resume(
    item: &Item<'_>,
    over: AnswersOver,
    stream: Option<&Follow>,
    scope: &Scope,
    requests: &mut Requests<'_>,
) -> Result<Resume, SourceError> {
    let fields = item.table(&RESUME)?;
    // A page that lost a socket connects again, and hears of the answer as before.
    let goes_on =
        |follow: &Follow| follow.how == Follows::First && follow.request.handshake.is_none();
    if stream.is_some_and(goes_on) {
        return Err(item
            .key_error("[resume] is for an answer that comes over a separate connection")
            .help("leave [resume] out"));
    }
    if stream.is_some_and(|follow| matches!(follow.how, Follows::Polls(_))) {
        return Err(item
            .key_error("[resume] has nothing to resume: [stream] has `poll`")
            .help(
                "leave [resume] out; an answer that is polled has no connection that could be lost",
            ));
    }
    // What it captures nobody could use.
    let mut scope = scope.with(&[CURSOR]);
    let request = requests.read(&fields, &mut scope, Secrets::InHeaders)?;
    match (over, request.handshake.is_some()) {
        (AnswersOver::Http, false) | (AnswersOver::Socket, true) => {}
        (AnswersOver::Socket, false) => {
            let written = &request.written;
            return Err(item
                .key_error(format!(
                    "the answer comes over a WebSocket, but `{written}` of [resume] does not open one"
                ))
                .help("write the request as `WS /path`"));
        }
        (AnswersOver::Http, true) => {
            return Err(item
                .key_error("the answer comes over HTTP, but [resume] opens a WebSocket")
                .help("declare the request that your page sends for the rest"));
        }
    }
    if over == AnswersOver::Socket && request.uses(CURSOR) && fields.get("cursor").is_none() {
        return Err(item
            .key_error("the messages of a WebSocket have no ids for `{cursor}`")
            .help("say where in a message the number is: cursor = \"$.n\""));
    }
    let cursor = match fields.get("cursor") {
        Some(item) => Cursor::Json(json_path(&item)?),
        None => Cursor::EventId,
    };
    let from = match fields.get("from") {
        None if request.uses(CURSOR) => ResumesFrom::Cut,
        None => ResumesFrom::Beginning,
        Some(item) => match item.text()? {
            "beginning" => ResumesFrom::Beginning,
            "cut" => ResumesFrom::Cut,
            other => {
                return Err(item
                    .error(format!("`from` is `beginning` or `cut`, not `{other}`"))
                    .help("`beginning`: the server sends the whole answer again; `cut`: only what the client lacks"));
            }
        },
    };
    if let Some(item) = fields.get("cursor")
        && !request.uses(CURSOR)
    {
        return Err(item
            .key_error(
                "`cursor` says how far the client has come, but the request never uses `{cursor}`",
            )
            .help("for example: query = { starting_after = \"{cursor}\" }"));
    }
    Ok(Resume {
        request,
        cursor,
        from,
    })
}
