//! What a client sends over a WebSocket besides the turn itself.

use super::template::{Captures, ExpandError, JsonTemplate};
use crate::stream::marker::FinalMarker;
use serde_json::Value;

/// What comes between the opening of a WebSocket and the turn's own message.
#[derive(Debug, Clone, PartialEq)]
pub struct Handshake {
    /// What Socket.IO is given when it connects.
    pub auth: Option<JsonTemplate>,
    /// Messages that are sent first.
    pub hello: Vec<Message>,
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

/// A message over a WebSocket.
#[derive(Debug, Clone, PartialEq)]
pub struct Message(pub(super) JsonTemplate);

impl Message {
    /// JSON, or text as it is.
    ///
    /// # Errors
    /// When a name in it has no value.
    pub fn expand(&self, captures: &Captures) -> Result<String, ExpandError> {
        // A string alone is a text, and no JSON.
        Ok(match self.0.expand(captures)? {
            Value::String(text) => text,
            json => json.to_string(),
        })
    }

    /// Whether it is a list, as an event of Socket.IO is.
    pub fn is_list(&self) -> bool {
        matches!(self.0, JsonTemplate::Array(_))
    }
}

impl Handshake {
    pub(super) fn expand(&self, captures: &Captures) -> Result<ExpandedHandshake, ExpandError> {
        let auth = self.auth.as_ref();
        let auth = auth.map(|auth| auth.expand(captures)).transpose()?;
        let hello = self.hello.iter().map(|message| message.expand(captures));
        Ok(ExpandedHandshake {
            auth: auth.map(|auth| auth.to_string()),
            hello: hello.collect::<Result<_, _>>()?,
            ready: self.ready.clone(),
        })
    }

    pub(super) fn uses(&self, name: &str) -> bool {
        let hello = self.hello.iter().map(|message| &message.0);
        let mut all = self.auth.iter().chain(hello);
        all.any(|json| json.uses(name))
    }
}
