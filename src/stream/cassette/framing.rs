//! How a body is cut into events.

use super::sse;
use super::sse::Block;
use std::ops::Range;

/// The framing of a provider's stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Server-sent events.
    Sse,
    /// A JSON value a line.
    Lines,
}

impl Framing {
    /// The media type of such a body.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Sse => "text/event-stream; charset=utf-8",
            Self::Lines => "application/x-ndjson",
        }
    }

    /// Cuts a body into blocks that together are the whole body.
    pub fn blocks(self, body: &[u8]) -> Vec<Block> {
        match self {
            Self::Sse => sse::blocks(body),
            Self::Lines => {
                let mut end = 0;
                let lines = body.split_inclusive(|byte| *byte == b'\n');
                let block = |line: &[u8]| {
                    let start = end;
                    end += line.len();
                    let data = line.trim_ascii();
                    Block {
                        range: start..end,
                        data: (!data.is_empty()).then(|| data.to_vec()),
                    }
                };
                lines.map(block).collect()
            }
        }
    }

    /// A block with other data; everything else stays as it is.
    pub fn with_data(self, block: &[u8], data: &str) -> Vec<u8> {
        match self {
            Self::Sse => sse::with_data(block, data),
            Self::Lines => match self.data_range(block) {
                Some(range) => {
                    [&block[..range.start], data.as_bytes(), &block[range.end..]].concat()
                }
                None => block.to_vec(),
            },
        }
    }

    /// Where a block has its data, when it is on one line.
    pub fn data_range(self, block: &[u8]) -> Option<Range<usize>> {
        match self {
            Self::Sse => sse::data_range(block),
            Self::Lines => {
                let start = block.len() - block.trim_ascii_start().len();
                let data = block.trim_ascii();
                (!data.is_empty()).then(|| start..start + data.len())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Framing;

    #[test]
    fn a_line_is_a_block() {
        let body = b"{\"a\":1}\r\n\n {\"b\":2}";
        let blocks = Framing::Lines.blocks(body);
        let whole: Vec<_> = blocks
            .iter()
            .flat_map(|block| body[block.range.clone()].to_vec())
            .collect();
        assert_eq!(whole, body);
        let data: Vec<_> = blocks
            .iter()
            .filter_map(|block| block.data.clone())
            .collect();
        assert_eq!(data, [&b"{\"a\":1}"[..], b"{\"b\":2}"]);
        assert_eq!(Framing::Lines.with_data(&body[..9], "x"), b"x\r\n");
    }
}
