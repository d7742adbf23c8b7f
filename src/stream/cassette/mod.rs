//! Cassettes: what a provider sent, with chunk borders and times.
//!
//! The bytes are kept as they came, so that a split character or a line end that
//! no decoder expects is played back as it was.

mod cut;
mod framing;
mod lines;
mod sse;
mod stamp;

use crate::input;
use crate::source_error::SourceError;
use std::path::Path;
use std::time::Duration;

pub use framing::Framing;
pub use sse::Block;
pub use stamp::{Edit, Fresh, Stamp};

/// The wire format of a cassette whose header names none.
pub const DEFAULT_PROFILE: &str = "openai-chat";

/// What a provider sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cassette {
    /// The first line of a `.jsonl` file, when it has one.
    pub header: Option<Header>,
    /// The bytes in order. None is empty, and no time is before the one above it.
    pub chunks: Vec<Chunk>,
}

/// What a cassette says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    /// The wire format of the bytes.
    pub profile: Option<String>,
}

/// Bytes that came in one piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Since the start of the answer, in whole microseconds.
    pub at: Duration,
    pub bytes: Vec<u8>,
}

impl Cassette {
    /// Reads a cassette; the end of the file's name says in which format.
    ///
    /// `.jsonl` and `.cassette` have a chunk a line, with its time. `.sse` is the
    /// body itself: every block up to its blank line becomes a chunk, all at time 0.
    ///
    /// # Errors
    /// The first mistake, with its place.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, SourceError> {
        let ending = Path::new(file).extension().unwrap_or_default();
        let cassette = match ending.to_string_lossy().as_ref() {
            "jsonl" | "cassette" => lines::parse(file, bytes)?,
            "sse" => Self {
                header: None,
                chunks: sse::blocks(bytes)
                    .into_iter()
                    .map(|block| Chunk {
                        at: Duration::ZERO,
                        bytes: bytes[block.range].to_vec(),
                    })
                    .collect(),
            },
            _ => {
                let message = "the file extension is not a cassette format";
                return Err(SourceError::whole_file(file, message)
                    .help("name it `.sse` (a body), or `.jsonl` (chunks with times)"));
            }
        };
        if cassette.chunks.is_empty() {
            return Err(SourceError::whole_file(file, "the cassette is empty"));
        }
        Ok(cassette)
    }

    pub fn load(path: &Path) -> Result<Self, SourceError> {
        let file = path.display().to_string();
        let bytes = input::read(path).map_err(|error| {
            SourceError::whole_file(&file, format!("the cassette cannot be read: {error}"))
        })?;
        Self::parse(&file, &bytes)
    }

    /// The cassette as `.jsonl`; what was written so is read back and written the same.
    pub fn to_lines(&self) -> String {
        lines::write(self)
    }

    /// The wire format of the bytes.
    pub fn profile(&self) -> &str {
        let header = self.header.as_ref();
        header
            .and_then(|header| header.profile.as_deref())
            .unwrap_or(DEFAULT_PROFILE)
    }

    /// The whole body.
    pub fn body(&self) -> Vec<u8> {
        let chunks = self.chunks.iter();
        chunks.flat_map(|chunk| &chunk.bytes).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Cassette;

    #[test]
    fn an_sse_file_is_a_chunk_a_block() {
        let body = b": hi\r\n\r\ndata: a\r\n\r\n\r\ndata: [DONE]\n";
        let cassette = Cassette::parse("x.sse", body).unwrap();
        let chunks: Vec<_> = cassette
            .chunks
            .iter()
            .map(|chunk| String::from_utf8_lossy(&chunk.bytes).into_owned())
            .collect();
        assert_eq!(
            chunks,
            [": hi\r\n\r\n", "data: a\r\n\r\n\r\n", "data: [DONE]\n"]
        );
        assert_eq!(cassette.body(), body);
    }

    #[test]
    fn the_name_must_say_the_format() {
        let error = Cassette::parse("x.txt", b"data: a\n\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "x.txt: the file extension is not a cassette format"
        );
        let error = Cassette::parse("x.sse", b"").unwrap_err();
        assert_eq!(error.to_string(), "x.sse: the cassette is empty");
    }
}
