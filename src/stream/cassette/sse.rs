//! As much of the SSE format as is needed to find the blocks of a recorded body.

use std::ops::Range;

/// One block with the blank lines that end it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Its bytes in the body.
    pub range: Range<usize>,
    /// The `data` lines joined by a line feed; absent without any.
    pub data: Option<Vec<u8>>,
}

/// Cuts a body into blocks that together are the whole body.
///
/// A last block without its blank line counts too: some servers end so, and
/// clients that read by the line take it.
pub(super) fn blocks(body: &[u8]) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    // Further blank lines belong to the block that they follow.
    let mut ended = true;
    let mut offset = 0;
    for line in lines(body) {
        let start = offset;
        offset += line.len();
        let text = trim_end(line);
        let blank = text.is_empty();
        match blocks.last_mut() {
            Some(block) if blank || !ended => block.range.end = offset,
            _ => blocks.push(Block {
                range: start..offset,
                data: None,
            }),
        }
        ended = blank;
        let value = data_of(text);
        if let (Some(value), Some(block)) = (value, blocks.last_mut()) {
            match &mut block.data {
                Some(data) => {
                    data.push(b'\n');
                    data.extend_from_slice(value);
                }
                None => block.data = Some(value.to_vec()),
            }
        }
    }
    blocks
}

/// A block with other data: the first `data` line is replaced, the rest of them
/// are dropped, and everything else stays as it was.
pub(super) fn with_data(block: &[u8], data: &str) -> Vec<u8> {
    let mut rewritten = Vec::with_capacity(block.len() + data.len());
    let mut written = false;
    for line in lines(block) {
        let text = trim_end(line);
        let Some(value) = data_of(text) else {
            rewritten.extend_from_slice(line);
            continue;
        };
        if !written {
            // What is before the value is kept: `data: ` or `data:`, or a byte order mark.
            rewritten.extend_from_slice(&text[..text.len() - value.len()]);
            rewritten.extend_from_slice(data.as_bytes());
            rewritten.extend_from_slice(&line[text.len()..]);
            written = true;
        }
    }
    rewritten
}

/// Where a block has its data, when it is on one line.
pub(super) fn data_range(block: &[u8]) -> Option<Range<usize>> {
    let mut found = None;
    let mut offset = 0;
    for line in lines(block) {
        let text = trim_end(line);
        if let Some(value) = data_of(text) {
            let end = offset + text.len();
            if found.replace(end - value.len()..end).is_some() {
                return None;
            }
        }
        offset += line.len();
    }
    found
}

/// The lines with their ends: LF, CRLF or CR.
fn lines(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = body;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
        let length = match end {
            Some(end) if rest[end..].starts_with(b"\r\n") => end + 2,
            Some(end) => end + 1,
            None => rest.len(),
        };
        let (line, after) = rest.split_at(length);
        rest = after;
        Some(line)
    })
}

fn trim_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn data_of(line: &[u8]) -> Option<&[u8]> {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let value = line.strip_prefix(b"data")?;
    if value.is_empty() {
        return Some(value);
    }
    let value = value.strip_prefix(b":")?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::{blocks, data_range, with_data};

    fn data(body: &str) -> Vec<Option<String>> {
        blocks(body.as_bytes())
            .into_iter()
            .map(|block| block.data.map(|data| String::from_utf8_lossy(&data).into()))
            .collect()
    }

    #[test]
    fn every_line_end_is_known() {
        for end in ["\n", "\r\n", "\r"] {
            let body = [
                "data: a", "data:b", "", ": c", "", "", "data", "", "datax: d",
            ]
            .join(end);
            let expected = [Some("a\nb".to_owned()), None, Some(String::new()), None];
            assert_eq!(data(&body), expected, "{end:?}");
        }
    }

    #[test]
    fn blocks_are_the_whole_body() {
        let body = b"\n\ndata: a\n\n\nid: 1\n\nrest";
        let joined: Vec<_> = blocks(body)
            .into_iter()
            .flat_map(|block| body[block.range].to_vec())
            .collect();
        assert_eq!(joined, body);
    }

    #[test]
    fn the_data_of_one_line_is_found() {
        let block = b"id: 1\r\ndata: a b\r\n\r\n";
        assert_eq!(&block[data_range(block).unwrap_or_default()], b"a b");
        assert_eq!(data_range(b"data: a\ndata: b\n\n"), None);
        assert_eq!(data_range(b": c\n\n"), None);
    }

    #[test]
    fn only_the_data_is_replaced() {
        let block = b": c\r\nid: 1\r\ndata:a\r\ndata:b\r\n\r\n";
        assert_eq!(with_data(block, "x"), b": c\r\nid: 1\r\ndata:x\r\n\r\n");
    }
}
