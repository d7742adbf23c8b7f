//! Parses what a client sends over a WebSocket before the turn.

use super::handshake::{Handshake, Message};
use super::parse_profile;
use super::parse_request::{Requests, Secrets};
use super::reader::{Fields, Item};
use super::request::{Body, Method};
use super::validate::Scope;
use crate::source_error::SourceError;
use crate::stream::marker::FinalMarker;

/// The keys that only a WebSocket has.
const KEYS: [&str; 3] = ["auth", "hello", "ready"];

/// The sections whose request can be a WebSocket.
const PLACES: [&str; 6] = [
    "[request]",
    "[[turn]]",
    "[stream]",
    "[regenerate]",
    "[edit]",
    "[resume]",
];

impl Requests<'_> {
    /// Reads what a WebSocket says first; nothing where the request is none.
    pub(super) fn handshake(
        &mut self,
        fields: &Fields<'_>,
        (written, method): (&Item<'_>, Method),
        body: &Body,
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
                .help("the answer of a turn can come over one: `WS` is for [request], [[turn]], [stream], [regenerate], [edit] and [resume]"));
        }
        check(body, fields)?;
        // In the address of a page a token is seen; in a message it is not.
        let secrets = Secrets::InHeadersAndBody;
        let auth = fields.get("auth");
        let auth = auth.map(|item| self.json(&item, scope, secrets));
        let hello = match fields.get("hello") {
            Some(item) => item.items()?,
            None => Vec::new(),
        };
        let hello = hello
            .iter()
            .map(|item| self.json(item, scope, secrets).map(Message));
        let hello = hello.collect::<Result<_, _>>()?;
        let ready = fields.read("ready", parse_profile::marker)?;
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
fn check(body: &Body, fields: &Fields<'_>) -> Result<(), SourceError> {
    match body {
        Body::None | Body::Json(_) | Body::Text(_) => Ok(()),
        Body::Form(_) | Body::Multipart(_) => Err(fields
            .error("a WebSocket carries no forms")
            .help("use `json` or `body`, which is sent as a message")),
    }
}
