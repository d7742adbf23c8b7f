//! The SSE byte decoder against `fixtures/sse_cases.json` (web-platform-tests, LaunchDarkly's
//! contract tests, the examples of the standard, issues of other parsers), against a reference
//! decoder written from the standard, and against random bytes.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chatctl::model::{Frame, Line, LineKind};
use chatctl::stream::sse::{Decoder, Item, MAX_EVENT, MAX_LINE, SseError};
use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any};
use proptest::sample::{Index, select};
use proptest::{prop_assert_eq, prop_oneof, proptest};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    name: String,
    chunks: Vec<String>,
    expect: Vec<Event>,
    retry: Option<u64>,
    last_event_id: String,
    /// How many events must be out while the response is still open.
    prompt: usize,
    /// The lines after the last blank line, which make no event.
    tail: Option<String>,
    comments: Option<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Event {
    event: String,
    data: String,
    id: String,
}

/// An item without its times, which are the only thing that may depend on the chunks.
#[derive(Debug, Clone, PartialEq)]
enum Seen {
    Line(u64, LineKind, String),
    Event(u64, Event),
}

#[derive(Debug, Default, PartialEq)]
struct Outcome {
    seen: Vec<Seen>,
    /// How many of `seen` came before the end of the response.
    prompt: usize,
    retry: Option<u64>,
    last_event_id: String,
}

impl Outcome {
    fn events(&self) -> Vec<Event> {
        events(&self.seen)
    }

    fn lines(&self) -> impl Iterator<Item = (LineKind, &str)> {
        self.seen.iter().filter_map(|seen| match seen {
            Seen::Line(_, kind, text) => Some((*kind, text.as_str())),
            Seen::Event(..) => None,
        })
    }

    /// What is after the last blank line.
    fn tail(&self) -> String {
        let mut tail = String::new();
        for (kind, text) in self.lines() {
            match kind {
                LineKind::Blank => tail.clear(),
                LineKind::Tail => tail.push_str(text),
                _ => tail.extend([text, "\n"]),
            }
        }
        tail
    }
}

fn events(seen: &[Seen]) -> Vec<Event> {
    let event = |seen: &Seen| match seen {
        Seen::Event(_, event) => Some(event.clone()),
        Seen::Line(..) => None,
    };
    seen.iter().filter_map(event).collect()
}

fn see(items: Vec<Item>) -> impl Iterator<Item = Seen> {
    items.into_iter().map(|item| match item {
        Item::Line(line) => Seen::Line(line.offset, line.kind, line.text),
        Item::Frame(frame) => Seen::Event(
            frame.offset,
            Event {
                event: frame.event,
                data: frame.data,
                id: frame.id,
            },
        ),
    })
}

fn decode<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut decoder = Decoder::new();
    let mut seen = Vec::new();
    for chunk in chunks {
        seen.extend(see(decoder.push(Duration::ZERO, chunk).unwrap()));
    }
    let prompt = seen.len();
    seen.extend(see(decoder.finish(Duration::ZERO).unwrap()));
    Outcome {
        seen,
        prompt,
        retry: decoder.retry(),
        last_event_id: decoder.last_event_id().to_owned(),
    }
}

/// The algorithm of the standard over the whole body, as literally and slowly as it reads.
fn reference(body: &[u8]) -> Outcome {
    let mut out = Outcome::default();
    let (mut data, mut event, mut id) = (String::new(), String::new(), String::new());
    let mut block = None;
    let mut start = 0;
    while let Some(len) = body[start..].iter().position(|b| b"\r\n".contains(b)) {
        let end = start + len;
        let text = text(body, start, end);
        let offset = start as u64;
        start = end
            + if body[end..].starts_with(b"\r\n") {
                2
            } else {
                1
            };
        let (name, value) = match text.find(':') {
            Some(colon) => (&text[..colon], &text[colon + 1..]),
            None => (text.as_str(), ""),
        };
        let value = value.strip_prefix(' ').unwrap_or(value);
        if !text.is_empty() {
            block = block.or(Some(offset));
        }
        let kind = match name {
            "" if text.is_empty() => LineKind::Blank,
            "" => LineKind::Comment,
            "data" => {
                data.extend([value, "\n"]);
                LineKind::Data
            }
            "event" => {
                event = value.to_owned();
                LineKind::Event
            }
            "id" => {
                if !value.contains('\0') {
                    id = value.to_owned();
                }
                LineKind::Id
            }
            "retry" => {
                if !value.is_empty() && value.chars().all(|c| c.is_ascii_digit()) {
                    out.retry = value.parse().ok().or(out.retry);
                }
                LineKind::Retry
            }
            _ => LineKind::Unknown,
        };
        out.seen.push(Seen::Line(offset, kind, text));
        if kind == LineKind::Blank {
            out.last_event_id = id.clone();
            if data.pop().is_some() {
                let event = if event.is_empty() { "message" } else { &event };
                let event = Event {
                    event: event.to_owned(),
                    data: data.clone(),
                    id: id.clone(),
                };
                out.seen.push(Seen::Event(block.unwrap(), event));
            }
            (data, event, block) = (String::new(), String::new(), None);
        }
    }
    out.prompt = out.seen.len();
    let tail = text(body, start, body.len());
    if !tail.is_empty() {
        let tail = Seen::Line(start as u64, LineKind::Tail, tail);
        out.seen.push(tail);
    }
    out
}

fn text(body: &[u8], start: usize, end: usize) -> String {
    let line = &body[start..end];
    let line = match line.strip_prefix(b"\xEF\xBB\xBF") {
        Some(rest) if start == 0 => rest,
        _ => line,
    };
    String::from_utf8_lossy(line).into_owned()
}

fn cases() -> Vec<(Case, Vec<Vec<u8>>)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/sse_cases.json");
    let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let decoded = |case: Case| {
        let chunks = case.chunks.iter();
        let chunks = chunks
            .map(|chunk| STANDARD.decode(chunk).unwrap())
            .collect();
        (case, chunks)
    };
    cases.into_iter().map(decoded).collect()
}

fn check(case: &Case, how: &str, outcome: &Outcome) {
    let name = &case.name;
    assert_eq!(outcome.events(), case.expect, "{name}, {how}");
    let prompt = events(&outcome.seen[..outcome.prompt]).len();
    assert_eq!(prompt, case.prompt, "prompt events of {name}, {how}");
    assert_eq!(outcome.retry, case.retry, "retry of {name}, {how}");
    assert_eq!(
        outcome.last_event_id, case.last_event_id,
        "last event id of {name}, {how}"
    );
    if let Some(tail) = &case.tail {
        assert_eq!(&outcome.tail(), tail, "tail of {name}, {how}");
    }
    if let Some(expected) = &case.comments {
        let comments: Vec<&str> = outcome
            .lines()
            .filter(|(kind, _)| *kind == LineKind::Comment)
            .map(|(_, text)| &text[1..])
            .collect();
        assert_eq!(&comments, expected, "comments of {name}, {how}");
    }
}

#[test]
fn every_case_passes_for_every_chunking() {
    let cases = cases();
    assert_eq!(cases.len(), 109);
    for (case, chunks) in &cases {
        let body = chunks.concat();
        let whole = decode([&body[..]]);
        check(case, "whole", &whole);
        let same = |how: &str, outcome: Outcome| {
            check(case, how, &outcome);
            assert_eq!(outcome, whole, "{}, {how}", case.name);
        };
        same("as recorded", decode(chunks.iter().map(Vec::as_slice)));
        same("1 byte", decode(body.chunks(1)));
        same("2 bytes", decode(body.chunks(2)));
        for cut in 0..=body.len().min(256) {
            let (left, right) = body.split_at(cut);
            same(&format!("cut at {cut}"), decode([left, right]));
        }
    }
}

#[test]
fn the_reference_passes_every_case_and_agrees_with_the_decoder() {
    for (case, chunks) in &cases() {
        let body = chunks.concat();
        let expected = reference(&body);
        check(case, "reference", &expected);
        assert_eq!(decode([&body[..]]), expected, "{}", case.name);
    }
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let words = b"\r|\n|\r\n|\n\n|\r\r|data|data:|data: x|event|event: e|id|id: 7|id:\0|retry: 5|\
        retry:+5|:|: c| |\0|\xEF\xBB\xBF|\xEF|\xBB|\xBF|\xFF|\xE2\x80\xA8|\xF0\x9F\x98";
    let words: Vec<Vec<u8>> = words.split(|b| *b == b'|').map(<[u8]>::to_vec).collect();
    let fragment = prop_oneof![
        4 => select(words),
        1 => vec(any::<u8>(), 0..8),
        // Around the size from which a block no longer goes to the crate in one piece.
        1 => (250..1100usize).prop_map(|n| [b"data:", &b"y".repeat(n)[..], b"\n"].concat()),
    ];
    let start = prop_oneof![Just(b"".to_vec()), Just(b"\xEF\xBB\xBF".to_vec())];
    (start, vec(fragment, 0..60)).prop_map(|(start, rest)| [start, rest.concat()].concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn random_bytes_decode_the_same_for_every_chunking(
        body in body(),
        cuts in vec(any::<Index>(), 0..12),
    ) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
        cuts.extend([0, body.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|cut| &body[cut[0]..cut[1]]);
        let expected = reference(&body);
        prop_assert_eq!(&decode([&body[..]]), &expected);
        prop_assert_eq!(&decode(pieces), &expected);
        prop_assert_eq!(&decode(body.chunks(1)), &expected);
    }
}

/// Decodes chunks of which number n arrives after n seconds, and the end after the last.
fn timed(chunks: &[&str]) -> Vec<Item> {
    let mut decoder = Decoder::new();
    let mut items = Vec::new();
    let mut at = Duration::ZERO;
    for chunk in chunks {
        items.extend(decoder.push(at, chunk.as_bytes()).unwrap());
        at += Duration::from_secs(1);
    }
    items.extend(decoder.finish(at).unwrap());
    items
}

fn line(first_at: u64, at: u64, offset: u64, kind: LineKind, text: &str) -> Item {
    Item::Line(Line {
        first_at: Duration::from_secs(first_at),
        at: Duration::from_secs(at),
        offset,
        kind,
        text: text.to_owned(),
    })
}

fn frame(at: u64, offset: u64, data: &str) -> Item {
    Item::Frame(Frame {
        at: Duration::from_secs(at),
        offset,
        event: "message".to_owned(),
        data: data.to_owned(),
        id: String::new(),
    })
}

#[test]
fn the_tap_shows_when_and_where_every_line_came() {
    let chunks = [
        "\u{FEFF}: hi\r",
        "\ndata: [DO",
        "",
        "NE]\r",
        "\n",
        "\r",
        "\nevent: end\n",
        "\n",
        "nonsense\nretry: 9\ndata: x",
    ];
    let expected = [
        line(0, 0, 0, LineKind::Comment, ": hi"),
        line(1, 3, 9, LineKind::Data, "data: [DONE]"),
        line(5, 5, 23, LineKind::Blank, ""),
        frame(5, 0, "[DONE]"),
        line(6, 6, 25, LineKind::Event, "event: end"),
        line(7, 7, 36, LineKind::Blank, ""),
        line(8, 8, 37, LineKind::Unknown, "nonsense"),
        line(8, 8, 46, LineKind::Retry, "retry: 9"),
        line(8, 9, 55, LineKind::Tail, "data: x"),
    ];
    assert_eq!(timed(&chunks), expected);
}

#[test]
fn a_bare_cr_ends_the_block_at_once() {
    let items = timed(&["data: a\r", "\r", "\ndata: b"]);
    assert_eq!(items[2], frame(1, 0, "a"));
    assert_eq!(items[3], line(2, 3, 10, LineKind::Tail, "data: b"));
}

#[test]
fn a_block_of_many_lines_is_one_event() {
    let outcome = decode([&[&b"data:\n".repeat(100_000)[..], b"\n"].concat()[..]]);
    assert_eq!(outcome.events()[0].data, "\n".repeat(99_999));
}

#[test]
fn a_line_may_have_16_mib_and_not_a_byte_more() {
    let longest = [b":", &b"x".repeat(MAX_LINE - 1)[..]].concat();
    for size in [64 * 1024, usize::MAX] {
        let mut decoder = Decoder::new();
        let mut push = |bytes: &[u8]| -> Result<Vec<Item>, SseError> {
            let mut items = Vec::new();
            for chunk in bytes.chunks(size) {
                items.extend(decoder.push(Duration::ZERO, chunk)?);
            }
            Ok(items)
        };
        assert_eq!(push(&longest).unwrap(), []);
        assert_eq!(push(b"\ndata: a\n\n").unwrap().len(), 4);
        let error = SseError::LineTooLong {
            offset: MAX_LINE as u64 + 10,
            limit: MAX_LINE,
        };
        assert_eq!(push(&[&longest[..], b"x"].concat()), Err(error.clone()));
        assert_eq!(push(b"\ndata: b\n\n"), Err(error.clone()));
        assert_eq!(decoder.finish(Duration::ZERO), Err(error));
    }
}

#[test]
fn what_came_before_a_line_that_is_too_long_is_not_lost() {
    let body = [
        b"data: a\n\n:",
        &b"x".repeat(MAX_LINE)[..],
        b"\ndata: b\n\n",
    ]
    .concat();
    let mut decoder = Decoder::new();
    let items = decoder.push(Duration::ZERO, &body).unwrap();
    assert_eq!(items.len(), 3);
    assert_eq!(items[2], frame(0, 0, "a"));
    let error = decoder.finish(Duration::ZERO).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the event stream has a line of more than `16777216` bytes at byte `9`"
    );
}

/// Lines that are short each, and an event that never ends.
#[test]
fn an_event_without_end_is_refused() {
    let line = [b"data: ", &b"x".repeat(1023)[..], b"\n"].concat();
    let mut decoder = Decoder::new();
    decoder
        .push(Duration::ZERO, b": hi\n\ndata: a\n\n")
        .unwrap();
    for _ in 0..MAX_EVENT / 1024 {
        assert_eq!(decoder.push(Duration::ZERO, &line).unwrap().len(), 1);
    }
    let error = SseError::EventTooLarge {
        offset: 15,
        limit: MAX_EVENT,
    };
    assert_eq!(decoder.push(Duration::ZERO, &line), Err(error.clone()));
    assert_eq!(decoder.push(Duration::ZERO, b"\n"), Err(error));
    // As much in several events is fine.
    let mut decoder = Decoder::new();
    let event = [&line[..], b"\n"].concat();
    for _ in 0..=MAX_EVENT / 1024 {
        assert_eq!(decoder.push(Duration::ZERO, &event).unwrap().len(), 3);
    }
}

#[test]
fn bytes_after_the_end_are_ignored() {
    let mut decoder = Decoder::new();
    decoder.push(Duration::ZERO, b"data: a\n").unwrap();
    assert_eq!(decoder.finish(Duration::ZERO), Ok(vec![]));
    assert_eq!(decoder.push(Duration::ZERO, b"\ndata: b"), Ok(vec![]));
    assert_eq!(decoder.finish(Duration::ZERO), Ok(vec![]));
}

#[test]
fn a_decoder_may_move_between_threads() {
    fn movable<T: Send + Sync>(_: T) {}
    movable(Decoder::new());
}
