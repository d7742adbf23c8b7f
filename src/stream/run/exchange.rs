//! The task of a turn's client, and what it has seen of the response.

use crate::clock::Tick;
use crate::http::{Client, Line, Outgoing};
use crate::stream::body::Framing;
use crate::stream::faults::ClientBehaviour;
use crate::stream::marker::FinalMarker;
use crate::stream::profiles::Reader;
use crate::stream::session::{Capture, Captures, Expanded, Follow, Request};
use crate::stream::turn::Turn;
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;

/// As much of a body is kept as it came, in bytes.
pub(super) const BEGINNING: usize = 256 << 10;

/// What the client has seen so far.
#[derive(Debug, Clone, Default)]
pub(super) struct ResponseProgress {
    /// Status and content type, once the head is there.
    pub(super) head: Option<Head>,
    /// What came over the wire. Its times are on the run's clock.
    pub(super) turn: Turn,
    /// Whether a WebSocket was let in: one of Socket.IO may be refused after its head.
    pub(super) is_let_in: bool,
    /// When the last bytes came.
    pub(super) last_byte: Option<Tick>,
    /// How many bytes of its body came.
    pub(super) received: usize,
    /// What was taken out of the response.
    pub(super) captured: Captures,
    /// The beginning of the body.
    pub(super) beginning: Arc<Mutex<Beginning>>,
    /// Set when the response is over: well, or with the reason.
    pub(super) over: Option<Result<(), String>>,
}

impl ResponseProgress {
    /// All bytes of the body, where they were kept.
    pub(super) fn whole_body(&self) -> Option<Vec<u8>> {
        let body = self.body_so_far()?;
        matches!(self.over, Some(Ok(()))).then_some(body.bytes)
    }

    /// All of the body that came up to now, where it was kept.
    pub(super) fn body_so_far(&self) -> Option<Beginning> {
        let beginning = self.beginning.lock().expect("nobody panics with it");
        (beginning.bytes.len() < BEGINNING).then(|| beginning.clone())
    }
}

/// The beginning of a body, or of what came over a WebSocket.
#[derive(Debug, Clone, Default)]
pub(super) struct Beginning {
    pub(super) bytes: Vec<u8>,
    /// Where the messages of a WebSocket end in it; each of them is an event of its own.
    pub(super) ends: Vec<usize>,
}

impl Beginning {
    /// Its messages; a body over HTTP is one piece.
    pub(super) fn pieces(&self) -> Vec<&[u8]> {
        if self.ends.is_empty() {
            return vec![&self.bytes];
        }
        let mut start = 0;
        let piece = |end: &usize| &self.bytes[std::mem::replace(&mut start, *end)..*end];
        self.ends.iter().map(piece).collect()
    }
}

/// The head of a response.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) content_type: Option<String>,
    /// The beginning of a body that is not a stream.
    pub(super) excerpt: String,
}

impl Head {
    /// Whether an answer follows: a body, or the messages of a WebSocket.
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status) || self.is_socket()
    }

    /// Whether the messages of a WebSocket follow.
    pub(super) const fn is_socket(&self) -> bool {
        self.status == 101
    }
}

/// What a turn's client is to do.
pub(super) struct ClientTask {
    pub(super) client: Client,
    pub(super) sends: Expanded,
    /// What to take out of the head and the events of its response.
    pub(super) captures: Vec<Capture>,
    /// The second request, when the first one only starts the answer.
    pub(super) then: Option<Second>,
    pub(super) reader: Box<dyn Reader>,
    pub(super) framing: Framing,
    pub(super) marker: FinalMarker,
    pub(super) behaviour: &'static ClientBehaviour,
    /// The connection to use, when its end is to be chosen.
    pub(super) line: Option<Line>,
}

/// A message for the WebSocket of an answer, and whom to tell when it is sent.
pub(super) struct Saying {
    pub(super) message: String,
    pub(super) sent: oneshot::Sender<anyhow::Result<()>>,
}

/// What fetches an answer that was started.
#[derive(Clone)]
pub(super) struct Second {
    pub(super) first: Request,
    pub(super) follow: Follow,
    /// What both know.
    pub(super) captures: Captures,
}

/// A request as it goes out.
pub(super) fn outgoing(expanded: &Expanded) -> Outgoing {
    Outgoing {
        method: expanded.method.word().to_owned(),
        path: expanded.path_and_query.clone(),
        headers: expanded.headers.clone(),
        body: expanded.body.clone(),
    }
}
