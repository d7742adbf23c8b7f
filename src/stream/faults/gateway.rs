//! How the provider's answer ends.

use crate::stream::cassette::Chunk;

/// Tells whether a chunk is the final marker.
pub type IsFinal<'a> = &'a dyn Fn(&[u8]) -> bool;

/// A way in which providers differ.
pub struct GatewayFault {
    /// The name in reports.
    pub name: &'static str,
    /// Changes what follows the last content chunk.
    pub apply: fn(Vec<Chunk>, IsFinal<'_>) -> Vec<Chunk>,
}

/// As recorded.
pub static NONE: GatewayFault = GatewayFault {
    name: "none",
    apply: |chunks, _| chunks,
};

/// `finish_reason` comes, `[DONE]` does not: several providers that call themselves compatible end so.
pub static FINISH_WITHOUT_DONE: GatewayFault = GatewayFault {
    name: "finish-without-done",
    apply: |mut chunks, is_final| {
        chunks.retain(|chunk| !is_final(&chunk.bytes));
        chunks
    },
};
