//! How the provider's answer ends.

use crate::stream::cassette::Chunk;

/// A row of the table.
pub struct GatewayFault {
    /// The name in reports.
    pub name: &'static str,
    /// Which real provider does so.
    pub why: &'static str,
    /// Changes what follows the last content chunk.
    pub apply: fn(Vec<Chunk>) -> Vec<Chunk>,
}

/// As recorded.
pub static NONE: GatewayFault = GatewayFault {
    name: "none",
    why: "the provider's answer as recorded",
    apply: |chunks| chunks,
};

/// `finish_reason` comes, `[DONE]` does not.
pub static FINISH_WITHOUT_DONE: GatewayFault = GatewayFault {
    name: "finish-without-done",
    why: "several providers that call themselves compatible end with finish_reason and no [DONE]",
    apply: |mut chunks| {
        chunks.retain(|chunk| !is_done(&chunk.bytes));
        chunks
    },
};

fn is_done(bytes: &[u8]) -> bool {
    String::from_utf8_lossy(bytes).trim() == "data: [DONE]"
}
