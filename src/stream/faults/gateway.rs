//! How the provider's answer ends.

use crate::stream::cassette::Chunk;

/// Tells whether a chunk is the final marker.
pub type IsFinal<'a> = &'a dyn Fn(&[u8]) -> bool;

/// A way in which providers differ.
pub struct GatewayFault {
    /// The name in reports.
    pub name: &'static str,
    /// What waits for a release.
    pub withholds: Withholds,
    /// Changes what follows the last content chunk.
    pub apply: fn(Vec<Chunk>, IsFinal<'_>) -> Vec<Chunk>,
}

/// What of an answer is sent only when it is let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withholds {
    /// The last chunk with text, and what follows it.
    End,
    /// Every chunk.
    All,
}

/// As recorded.
pub static NONE: GatewayFault = GatewayFault {
    name: "none",
    withholds: Withholds::End,
    apply: |chunks, _| chunks,
};

/// As recorded, and each chunk waits for its release.
pub static STEP_BY_STEP: GatewayFault = GatewayFault {
    name: "none",
    withholds: Withholds::All,
    apply: |chunks, _| chunks,
};

/// `finish_reason` comes, `[DONE]` does not: several providers that call themselves compatible end so.
pub static FINISH_WITHOUT_DONE: GatewayFault = GatewayFault {
    name: "finish-without-done",
    withholds: Withholds::End,
    apply: |mut chunks, is_final| {
        chunks.retain(|chunk| !is_final(&chunk.bytes));
        chunks
    },
};
