//! How the client behaves.

/// A way in which clients differ.
#[derive(Debug)]
pub struct ClientBehaviour {
    /// The name in reports.
    pub name: &'static str,
    /// Whether it hangs up at the first byte of the final marker.
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
