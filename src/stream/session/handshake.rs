//! What a client says over a WebSocket before it sends the turn.

use super::parse_profile;
use super::parse_request::{Requests, Secrets};
use super::reader::{Fields, Item};
use super::request::{Body, Method};
use super::template::{Captures, ExpandError, JsonTemplate};
use super::validate::Scope;
use crate::source_error::SourceError;
use crate::stream::marker::FinalMarker;

/// The keys that only a WebSocket has.
pub(super) const KEYS: [&str; 3] = ["auth", "hello", "ready"];

/// The sections whose request can be a WebSocket.
const PLACES: [&str; 3] = ["[request]", "[[turn]]", "[stream]"];

/// What comes between the opening of a WebSocket and the turn's own message.
#[derive(Debug, Clone, PartialEq)]
pub struct Handshake {
    /// What Socket.IO is given when it connects.
    pub auth: Option<JsonTemplate>,
    /// Messages that are sent first.
    pub hello: Vec<JsonTemplate>,
    /// The message after which the server takes the turn; at once when absent.
    pub ready: Option<FinalMarker>,
}

/// A handshake in which every name is filled in. It may hold secrets.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpandedHandshake {
    /// JSON.
    pub auth: Option<String>,
    /// JSON each, or text as it is.
    pub hello: Vec<String>,
    /// The message after which the server takes the turn.
    pub ready: Option<FinalMarker>,
}

impl Handshake {
    pub(super) fn expand(&self, captures: &Captures) -> Result<ExpandedHandshake, ExpandError> {
        let auth = self.auth.as_ref();
        let auth = auth.map(|auth| auth.expand(captures)).transpose()?;
        let hello = self.hello.iter().map(|message| {
            // A string alone is a text, and no JSON.
            Ok(match message.expand(captures)? {
                serde_json::Value::String(text) => text,
                json => json.to_string(),
            })
        });
        Ok(ExpandedHandshake {
            auth: auth.map(|auth| auth.to_string()),
            hello: hello.collect::<Result<_, _>>()?,
            ready: self.ready.clone(),
        })
    }

    pub(super) fn uses(&self, name: &str) -> bool {
        let mut all = self.auth.iter().chain(&self.hello);
        all.any(|json| json.uses(name))
    }
}

impl Requests<'_> {
    /// Reads what a WebSocket says first; nothing where the request is none.
    pub(super) fn handshake(
        &mut self,
        fields: &Fields<'_>,
        written: &Item<'_>,
        method: Method,
        scope: &Scope,
    ) -> Result<Option<Handshake>, SourceError> {
        if method != Method::Socket {
            return match fields.present(&KEYS).first() {
                Some(item) => Err(item
                    .key_error(format!("`{}` is for a WebSocket", item.name))
                    .help("a request for one is written `WS /path`")),
                None => Ok(None),
            };
        }
        if !PLACES.contains(&fields.place) {
            return Err(written
                .error(format!("{} can't be a WebSocket", fields.place))
                .help("the answer of a turn can come over one: `WS` is for [request], [[turn]] and [stream]"));
        }
        // In the address of a page a token is seen; in a message it is not.
        let secrets = Secrets::InHeadersAndBody;
        let auth = fields.get("auth");
        let auth = auth.map(|item| self.json(&item, scope, secrets));
        let hello = match fields.get("hello") {
            Some(item) => item.items()?,
            None => Vec::new(),
        };
        let hello = hello.iter().map(|item| self.json(item, scope, secrets));
        let hello = hello.collect::<Result<_, _>>()?;
        let ready = fields.get("ready");
        let ready = ready.map(|item| parse_profile::marker(&item)).transpose()?;
        if let (Some(FinalMarker::End), Some(item)) = (&ready, fields.get("ready")) {
            return Err(item
                .error("after the end of the body nothing can be sent")
                .help("add one of `data`, `json`, `event`"));
        }
        Ok(Some(Handshake {
            auth: auth.transpose()?,
            hello,
            ready,
        }))
    }
}

/// Checks that a WebSocket can carry the body.
pub(super) fn check(body: &Body, fields: &Fields<'_>) -> Result<(), SourceError> {
    match body {
        Body::None | Body::Json(_) | Body::Text(_) => Ok(()),
        Body::Form(_) | Body::Multipart(_) => Err(fields
            .error("a WebSocket carries no forms")
            .help("use `json` or `body`, which is sent as a message")),
    }
}
