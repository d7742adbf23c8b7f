//! The text that a client has of an answer after it lost and resumed the connection. Pure.

use super::body::{Body, Framing};
use super::profiles::Reader;
use super::session::Cursor;
use super::sse::{Item, SseError};
use super::turn::Turn;
use serde_json::Value;
use std::time::Duration;

/// Reads bodies one after the other as one answer: each but the last one broke off, so what it has after its last
/// whole event does not count. A body is one piece, and what came over a WebSocket is its messages.
///
/// # Errors
/// When a body can't be decoded.
pub fn read_on(
    bodies: &[Vec<&[u8]>],
    framing: &Framing,
    reader: &mut dyn Reader,
) -> Result<Turn, SseError> {
    let mut turn = Turn::default();
    for (index, pieces) in bodies.iter().enumerate() {
        let mut body = Body::new(framing);
        let mut items = Vec::new();
        for piece in pieces {
            items.extend(body.push(Duration::ZERO, piece)?);
        }
        if index + 1 == bodies.len() {
            items.extend(body.finish(Duration::ZERO)?);
        }
        items.iter().for_each(|item| turn.take(item, reader));
    }
    Ok(turn)
}

/// How far a client had come in a body that broke off, as it tells the server; nothing where no event said so.
pub fn cursor(pieces: &[&[u8]], framing: &Framing, from: &Cursor) -> Option<Value> {
    let mut body = Body::new(framing);
    let mut items = Vec::new();
    for piece in pieces {
        items.extend(body.push(Duration::ZERO, piece).ok()?);
    }
    let Cursor::Json(path) = from else {
        return match &body {
            Body::Sse(decoder) if !decoder.last_event_id().is_empty() => {
                Some(decoder.last_event_id().into())
            }
            Body::Sse(_) | Body::Texts(_) => None,
        };
    };
    let of_data = items.iter().rev().find_map(|item| {
        let Item::Frame(frame) = item else {
            return None;
        };
        let data = serde_json::from_str::<Value>(&frame.data).ok()?;
        path.query(&data).exactly_one().ok().cloned()
    });
    // The offset by which Socket.IO recovers a connection is the last argument of each event.
    let of_list = || {
        pieces.iter().rev().find_map(|list| {
            let list = serde_json::from_slice::<Value>(list).ok()?;
            path.query(&list).exactly_one().ok().cloned()
        })
    };
    match framing {
        Framing::SocketIo => of_data.or_else(of_list),
        Framing::Sse
        | Framing::Ndjson
        | Framing::JsonSeq
        | Framing::JsonBlocks
        | Framing::PrefixLines
        | Framing::Delimited(_)
        | Framing::Messages
        | Framing::Bare => of_data,
    }
}

#[cfg(test)]
mod tests {
    use super::{cursor, read_on};
    use crate::stream::body::Framing;
    use crate::stream::profiles;
    use crate::stream::session::Cursor;
    use serde_json_path::JsonPath;

    fn text(profile: &str, bodies: &[&str]) -> String {
        let profile = profiles::named(profile).unwrap();
        let mut reader = profile.start(profile.marker());
        let bodies: Vec<_> = bodies.iter().map(|body| vec![body.as_bytes()]).collect();
        let turn = read_on(&bodies, &profile.framing(), reader.as_mut());
        turn.unwrap().text
    }

    #[test]
    fn what_follows_the_last_whole_event_is_not_read() {
        assert_eq!(
            text(
                "plain",
                &["data: ab\n\ndata: c", "data: cd\n\ndata: [DONE]\n\n"]
            ),
            "abcd"
        );
        assert_eq!(text("plain", &["data: ab\n\n", ""]), "ab");
    }

    #[test]
    fn a_text_that_comes_whole_each_time_stays_one_text() {
        let event = |text: &str| {
            format!(
                "event: response.output_text.delta\ndata: {{\"type\":\"response.output_text.delta\",\"delta\":\"{text}\"}}\n\n"
            )
        };
        let whole = "event: response.output_text.done\ndata: {\"type\":\"response.output_text.done\",\"text\":\"abcd\"}\n\n";
        let rest = event("cd") + whole;
        assert_eq!(text("openai-responses", &[&event("ab"), &rest]), "abcd");
    }

    #[test]
    fn the_cursor_is_that_of_the_last_whole_event() {
        let body = b"id: 1\ndata: {\"n\":7}\n\nid: 2\ndata: {\"n\":8}\n\nid: 3\ndata: {\"n\":9}";
        let sse = Framing::Sse;
        assert_eq!(cursor(&[body], &sse, &Cursor::EventId), Some("2".into()));
        let n = Cursor::Json(JsonPath::parse("$.n").unwrap());
        assert_eq!(cursor(&[body], &sse, &n), Some(8.into()));
        assert_eq!(cursor(&[b"data: a\n\n"], &sse, &Cursor::EventId), None);
        assert_eq!(cursor(&[b"data: a\n\n"], &sse, &n), None);
        assert_eq!(
            cursor(&[b"{\"n\":1}\n{\"n\":2}\n{\"n\""], &Framing::Ndjson, &n),
            Some(2.into())
        );
        // Over a WebSocket an event ends with its message.
        let messages: &[&[u8]] = &[b"{\"n\":1}", b"{\"n\":2}", b"{}"];
        assert_eq!(cursor(messages, &Framing::Messages, &n), Some(2.into()));
        assert_eq!(cursor(messages, &Framing::Messages, &Cursor::EventId), None);
        // One of Socket.IO has it in its data, or as its last argument.
        let events: &[&[u8]] = &[b"[\"token\",{\"n\":1},\"a\"]", b"[\"end\",{},\"b\"]"];
        let offset = Cursor::Json(JsonPath::parse("$[2]").unwrap());
        assert_eq!(cursor(events, &Framing::SocketIo, &n), Some(1.into()));
        assert_eq!(
            cursor(events, &Framing::SocketIo, &offset),
            Some("b".into())
        );
    }
}
