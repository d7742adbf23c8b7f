//! How the client behaves.

/// A row of the table.
#[derive(Debug)]
pub struct ClientBehaviour {
    /// The name in reports.
    pub name: &'static str,
    /// Which real client does so.
    pub why: &'static str,
    /// Whether it hangs up at the first byte of the final marker.
    pub hangs_up_at_final: bool,
}

/// Reads to the end of the response. The proof always does: hanging up changes what is tested.
pub static READ_TO_END: ClientBehaviour = ClientBehaviour {
    name: "read-to-end",
    why: "fetch and the AI SDKs read until the body ends",
    hangs_up_at_final: false,
};

/// Hangs up at the final marker.
pub static CLOSE_AT_FINAL: ClientBehaviour = ClientBehaviour {
    name: "close-at-final",
    why: "EventSource code and both official OpenAI SDKs hang up at the final marker",
    hangs_up_at_final: true,
};
