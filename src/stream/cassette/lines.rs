//! The `.jsonl` format: a header, then a chunk a line.

use super::{Cassette, Chunk, Header};
use crate::source_error::{SourceError, listed, nearest, utf8};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};
use std::time::Duration;

const VERSION: u64 = 1;
const MARK: &str = "chatctl_cassette";
const HEADER_KEYS: [&str; 2] = [MARK, "profile"];
const CHUNK_KEYS: [&str; 3] = ["t_us", "bytes", "bytes_b64"];

pub(super) fn parse(file: &str, bytes: &[u8]) -> Result<Cassette, SourceError> {
    let text = utf8(file, bytes)?;
    let mut cassette = Cassette::default();
    let mut start = 0;
    let mut first = true;
    for whole in text.split_inclusive('\n') {
        let line = Line {
            file,
            text,
            start,
            line: whole.trim_end().trim_start_matches('\u{feff}'),
        };
        start += whole.len();
        if line.line.is_empty() {
            continue;
        }
        let object = line.object()?;
        if first && object.contains_key(MARK) {
            cassette.header = Some(line.header(&object)?);
        } else {
            let chunk = line.chunk(&object)?;
            let before = cassette.chunks.last().map(|chunk| chunk.at);
            if before.is_some_and(|before| chunk.at < before) {
                return Err(line.error("t_us", "`t_us` is less than in the line above"));
            }
            cassette.chunks.push(chunk);
        }
        first = false;
    }
    Ok(cassette)
}

pub(super) fn write(cassette: &Cassette) -> String {
    let mut lines = String::new();
    if let Some(header) = &cassette.header {
        let mut object = json!({ MARK: VERSION });
        if let Some(profile) = &header.profile {
            object["profile"] = Value::from(profile.as_str());
        }
        lines.push_str(&format!("{object}\n"));
    }
    for chunk in &cassette.chunks {
        // A recording of 500 000 years would be cut here.
        let t_us = u64::try_from(chunk.at.as_micros()).unwrap_or(u64::MAX);
        let object = match std::str::from_utf8(&chunk.bytes) {
            Ok(text) => json!({ "t_us": t_us, "bytes": text }),
            Err(_) => json!({ "t_us": t_us, "bytes_b64": BASE64_STANDARD.encode(&chunk.bytes) }),
        };
        lines.push_str(&format!("{object}\n"));
    }
    lines
}

struct Line<'a> {
    file: &'a str,
    text: &'a str,
    /// Offset of the line in the text.
    start: usize,
    line: &'a str,
}

impl Line<'_> {
    /// An error at a key of the line, or at its start when the key is not there.
    fn error(&self, key: &str, message: impl Into<String>) -> SourceError {
        let offset = self.line.find(&format!("\"{key}\"")).unwrap_or_default();
        self.error_at(offset, message)
    }

    fn error_at(&self, offset: usize, message: impl Into<String>) -> SourceError {
        SourceError::at(self.file, self.text, self.start + offset, message)
    }

    fn object(&self) -> Result<Map<String, Value>, SourceError> {
        serde_json::from_str(self.line).map_err(|error| {
            let text = error.to_string();
            // The place is before the message already.
            let reason = text.split(" at line ").next().unwrap_or_default();
            self.error_at(
                error.column().saturating_sub(1),
                format!("a line must be a JSON object: {reason}"),
            )
            .help("a line looks like {\"t_us\":0,\"bytes\":\"data: …\"}")
        })
    }

    fn header(&self, object: &Map<String, Value>) -> Result<Header, SourceError> {
        self.known(object, &HEADER_KEYS, "the header")?;
        if object.get(MARK).and_then(Value::as_u64) != Some(VERSION) {
            let found = &object[MARK];
            let message = format!("version {found} of the cassette format is not known");
            return Err(self
                .error(MARK, message)
                .help("this chatctl reads version 1"));
        }
        let profile = match object.get("profile") {
            None => None,
            Some(Value::String(name)) => Some(name.clone()),
            Some(_) => return Err(self.error("profile", "`profile` must be a string")),
        };
        Ok(Header { profile })
    }

    fn chunk(&self, object: &Map<String, Value>) -> Result<Chunk, SourceError> {
        self.known(object, &CHUNK_KEYS, "a chunk")?;
        let t_us = object.get("t_us").and_then(Value::as_u64).ok_or_else(|| {
            self.error("t_us", "`t_us` must be a whole number of microseconds")
                .help("add `\"t_us\":0` if the time does not matter")
        })?;
        let bytes = match (object.get("bytes"), object.get("bytes_b64")) {
            (Some(Value::String(text)), None) => text.clone().into_bytes(),
            (None, Some(Value::String(text))) => BASE64_STANDARD
                .decode(text)
                .map_err(|error| self.error("bytes_b64", format!("`bytes_b64`: {error}")))?,
            (Some(_), Some(_)) => {
                let message = "a chunk has `bytes` or `bytes_b64`, not both";
                return Err(self.error("bytes_b64", message));
            }
            (None, None) => {
                let message = "a chunk must have `bytes` or `bytes_b64`";
                return Err(self.error("bytes", message));
            }
            (Some(_), None) => return Err(self.error("bytes", "`bytes` must be a string")),
            (None, Some(_)) => return Err(self.error("bytes_b64", "`bytes_b64` must be a string")),
        };
        if bytes.is_empty() {
            return Err(self.error("bytes", "a chunk without bytes"));
        }
        let at = Duration::from_micros(t_us);
        Ok(Chunk { at, bytes })
    }

    fn known(
        &self,
        object: &Map<String, Value>,
        keys: &[&str],
        place: &str,
    ) -> Result<(), SourceError> {
        let Some(key) = object.keys().find(|key| !keys.contains(&key.as_str())) else {
            return Ok(());
        };
        let help = match nearest(key, keys.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("its keys are {}", listed(keys.iter().copied())),
        };
        let error = self.error(key, format!("unknown key `{key}` in {place}"));
        Err(error.help(help))
    }
}

#[cfg(test)]
mod tests {
    use super::{parse, write};

    #[test]
    fn what_was_written_is_read_and_written_the_same() {
        let text = concat!(
            "{\"chatctl_cassette\":1,\"profile\":\"openai-chat\"}\n",
            "{\"t_us\":0,\"bytes\":\"\u{feff}data: \\\"ä\\\"\\r\\n\\u0000\"}\n",
            "{\"t_us\":0,\"bytes_b64\":\"w6TD\"}\n",
            "{\"t_us\":18446744073709551615,\"bytes_b64\":\"pA==\"}\n",
        );
        let cassette = parse("x.jsonl", text.as_bytes()).unwrap();
        assert_eq!(write(&cassette), text);
        assert_eq!(cassette.chunks[1].bytes, b"\xc3\xa4\xc3");
        assert_eq!(cassette.profile(), "openai-chat");
    }

    #[test]
    fn mistakes_have_a_place() {
        let chunk = "{\"t_us\":5,\"bytes\":\"a\"}\n";
        let cases = [
            (
                "{\"t_us\":0,\"byts\":\"a\"}",
                "x.jsonl:2:11: unknown key `byts` in a chunk",
            ),
            (
                "{\"t_us\":0}",
                "x.jsonl:2:1: a chunk must have `bytes` or `bytes_b64`",
            ),
            (
                "{\"t_us\":9,\"bytes\":\"a\",\"bytes_b64\":\"YQ==\"}",
                "x.jsonl:2:23: a chunk has `bytes` or `bytes_b64`, not both",
            ),
            (
                "{\"bytes\":\"a\",\"t_us\":-1}",
                "x.jsonl:2:14: `t_us` must be a whole number of microseconds",
            ),
            (
                "{\"t_us\":4,\"bytes\":\"a\"}",
                "x.jsonl:2:2: `t_us` is less than in the line above",
            ),
            (
                "{\"t_us\":9,\"bytes\":\"\"}",
                "x.jsonl:2:11: a chunk without bytes",
            ),
            (
                "{\"t_us\":9,\"bytes_b64\":\"Y\"}",
                "x.jsonl:2:11: `bytes_b64`: Invalid input length: 1",
            ),
            (
                "{\"t_us\":9,",
                "x.jsonl:2:10: a line must be a JSON object: EOF while parsing a value",
            ),
            (
                "{\"chatctl_cassette\":1}",
                "x.jsonl:2:2: unknown key `chatctl_cassette` in a chunk",
            ),
        ];
        for (line, message) in cases {
            let error = parse("x.jsonl", format!("{chunk}{line}").as_bytes()).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
        let error = parse("x.jsonl", b"{\"chatctl_cassette\":2}\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "x.jsonl:1:2: version 2 of the cassette format is not known"
        );
        let error = parse("x.jsonl", b"{}\n\xff").unwrap_err();
        assert_eq!(
            error.to_string(),
            "x.jsonl:2:1: the file is not UTF-8: byte 0xff"
        );
    }
}
