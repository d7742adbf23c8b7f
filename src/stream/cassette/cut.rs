//! A cassette with further chunk borders.

use super::{Cassette, Chunk};
use std::time::Duration;

impl Cassette {
    /// The chunks with their offsets, cut at the borders as well.
    pub(crate) fn cut(&self, borders: &[usize]) -> Vec<(usize, Chunk)> {
        let mut cut = Vec::new();
        let mut start = 0;
        for chunk in &self.chunks {
            let end = start + chunk.bytes.len();
            let mut from = start;
            let inside = borders
                .iter()
                .filter(|&&border| start < border && border < end);
            for &to in inside.chain([&end]) {
                if to > from {
                    let bytes = chunk.bytes[from - start..to - start].to_vec();
                    cut.push((
                        from,
                        Chunk {
                            at: chunk.at,
                            bytes,
                        },
                    ));
                    from = to;
                }
            }
            start = end;
        }
        cut
    }

    /// When the byte before `end` came.
    pub(crate) fn time_of(&self, end: usize) -> Duration {
        let mut seen = 0;
        let arrival = self.chunks.iter().find(|chunk| {
            seen += chunk.bytes.len();
            seen >= end
        });
        arrival.map_or(Duration::ZERO, |chunk| chunk.at)
    }
}
