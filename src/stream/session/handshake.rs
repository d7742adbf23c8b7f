//! What a client says over a WebSocket before it sends the turn.

use super::template::{Captures, ExpandError, JsonTemplate};
use crate::stream::marker::FinalMarker;
use serde_json::Value;

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
                Value::String(text) => text,
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
