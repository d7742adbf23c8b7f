//! How the client behaves.

/// A way in which clients differ.
#[derive(Debug)]
pub struct ClientBehaviour {
    /// The name in reports.
    pub name: &'static str,
    /// Whether it hangs up at the final marker.
    pub hangs_up_at_final: bool,
    /// Whether it asks over HTTP/2, where a stream can be aborted and the connection stays.
    pub speaks_http2: bool,
}

impl ClientBehaviour {
    pub(super) const fn named(name: &'static str) -> Self {
        Self {
            name,
            hangs_up_at_final: false,
            speaks_http2: false,
        }
    }
}

/// Reads to the end of the response, as fetch and the AI SDKs do. The proof always does: hanging up changes what is tested.
pub static READ_TO_END: ClientBehaviour = ClientBehaviour::named("read-to-end");

/// Hangs up at the final marker, as EventSource code and both official OpenAI SDKs do.
pub static CLOSE_AT_FINAL: ClientBehaviour = ClientBehaviour {
    hangs_up_at_final: true,
    ..ClientBehaviour::named("close-at-final")
};

/// Hangs up while the answer streams, as a closed tab or a lost network does. The client is dropped
/// by whoever drives it, at a moment that the wire alone does not tell.
pub static CLOSE_IN_STREAM: ClientBehaviour = ClientBehaviour::named("close-in-stream");

/// Closes the connection in order, at a moment that whoever drives it chooses.
pub(super) static LEAVE_BY_FIN: ClientBehaviour = ClientBehaviour::named("leave-by-fin");

/// Resets the connection.
pub(super) static LEAVE_BY_RST: ClientBehaviour = ClientBehaviour::named("leave-by-rst");

/// Closes its own direction only.
pub(super) static LEAVE_BY_HALF_CLOSE: ClientBehaviour =
    ClientBehaviour::named("leave-by-half-close");

/// Aborts the stream of its answer, and keeps the connection.
pub(super) static LEAVE_BY_RST_STREAM: ClientBehaviour = ClientBehaviour {
    speaks_http2: true,
    ..ClientBehaviour::named("leave-by-rst-stream")
};

/// Reads no more.
pub(super) static LEAVE_BY_STALL: ClientBehaviour = ClientBehaviour::named("leave-by-stall");

/// Loses the connection, and asks for the rest.
pub static RESUME: ClientBehaviour = ClientBehaviour::named("resume");

/// Presses stop.
pub static STOP: ClientBehaviour = ClientBehaviour::named("stop");
