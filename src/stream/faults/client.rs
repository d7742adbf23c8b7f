//! How the client behaves.

/// A way in which clients differ.
#[derive(Debug)]
pub struct ClientBehaviour {
    /// The name in reports.
    pub name: &'static str,
    /// Whether it hangs up at the final marker.
    pub hangs_up_at_final: bool,
}

/// Reads to the end of the response, as fetch and the AI SDKs do. The proof always does: hanging up changes what is tested.
pub static READ_TO_END: ClientBehaviour = ClientBehaviour {
    name: "read-to-end",
    hangs_up_at_final: false,
};

/// Hangs up at the final marker, as EventSource code and both official OpenAI SDKs do.
pub static CLOSE_AT_FINAL: ClientBehaviour = ClientBehaviour {
    name: "close-at-final",
    hangs_up_at_final: true,
};

/// Hangs up while the answer streams, as a closed tab or a lost network does. The client is dropped
/// by whoever drives it, at a moment that the wire alone does not tell.
pub static CLOSE_IN_STREAM: ClientBehaviour = ClientBehaviour {
    name: "close-in-stream",
    hangs_up_at_final: false,
};

/// Closes the connection in order, at a moment that whoever drives it chooses.
pub(super) static LEAVE_BY_FIN: ClientBehaviour = ClientBehaviour {
    name: "leave-by-fin",
    hangs_up_at_final: false,
};

/// Resets the connection.
pub(super) static LEAVE_BY_RST: ClientBehaviour = ClientBehaviour {
    name: "leave-by-rst",
    hangs_up_at_final: false,
};

/// Closes its own direction only.
pub(super) static LEAVE_BY_HALF_CLOSE: ClientBehaviour = ClientBehaviour {
    name: "leave-by-half-close",
    hangs_up_at_final: false,
};

/// Reads no more.
pub(super) static LEAVE_BY_STALL: ClientBehaviour = ClientBehaviour {
    name: "leave-by-stall",
    hangs_up_at_final: false,
};

/// Loses the connection, and asks for the rest.
pub static RESUME: ClientBehaviour = ClientBehaviour {
    name: "resume",
    hangs_up_at_final: false,
};

/// Presses stop.
pub static STOP: ClientBehaviour = ClientBehaviour {
    name: "stop",
    hangs_up_at_final: false,
};
