//! How the provider's answer ends.

use crate::stream::cassette::Chunk;

/// A way in which providers differ.
pub struct GatewayFault {
    /// The name in reports.
    pub name: &'static str,
    /// Changes what follows the last content chunk.
    pub apply: fn(Vec<Chunk>) -> Vec<Chunk>,
}

/// As recorded.
pub static NONE: GatewayFault = GatewayFault {
    name: "none",
    apply: |chunks| chunks,
};

/// `finish_reason` comes, `[DONE]` does not: several providers that call themselves compatible end so.
pub static FINISH_WITHOUT_DONE: GatewayFault = GatewayFault {
    name: "finish-without-done",
    apply: |mut chunks| {
        chunks.retain(|chunk| !is_done(&chunk.bytes));
        chunks
    },
};

fn is_done(bytes: &[u8]) -> bool {
    String::from_utf8_lossy(bytes).trim() == "data: [DONE]"
}
