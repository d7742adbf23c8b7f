//! How readers of a stream see the same bytes. Each cuts them in its own way, so one may see the
//! final marker and another not. Pure.

use super::body::Framing;
use super::marker::FinalMarker;
use super::sse::{Decoder, Item};
use crate::model::Frame;
use serde_json::Value;
use std::time::Duration;

/// A way to read a stream.
#[derive(Debug)]
pub struct Dialect {
    /// As a sentence names it.
    pub name: &'static str,
    /// What it reads.
    pub framing: Framing,
    /// Whether the clients of a profile read so.
    pub reads: fn(&str) -> bool,
    events: fn(&str) -> Vec<Event>,
    /// Whether an event's data is the marker's text.
    is_text: fn(&str, &str) -> bool,
}

/// An event as somebody reads it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Event {
    name: String,
    data: String,
}

impl Dialect {
    /// Whether it sees the final marker in a body.
    pub fn sees(&self, body: &[u8], marker: &FinalMarker) -> bool {
        let text = String::from_utf8_lossy(body);
        (self.events)(&text).into_iter().any(|event| match marker {
            FinalMarker::Data(text) => (self.is_text)(&event.data, text),
            FinalMarker::Json(_) | FinalMarker::Event(_) | FinalMarker::End => {
                marker.is_frame(&Frame {
                    at: Duration::ZERO,
                    offset: 0,
                    event: event.name,
                    data: event.data,
                    id: String::new(),
                })
            }
        })
    }
}

/// Every dialect.
pub static ALL: &[Dialect] = &[
    Dialect {
        name: "a browser's EventSource",
        framing: Framing::Sse,
        // LangServe's last event has no data, so its own clients read lines.
        reads: |profile| profile != "langserve",
        events: standard,
        is_text: is_equal,
    },
    Dialect {
        name: "OpenAI's SDKs",
        framing: Framing::Sse,
        reads: |profile| profile.starts_with("openai-"),
        events: openai,
        // `data.startswith("[DONE]")`
        is_text: |data, text| data.starts_with(text),
    },
    Dialect {
        name: "AG-UI's client",
        framing: Framing::Sse,
        reads: |profile| profile == "ag-ui",
        events: |text| blocks(without_mark(text)),
        is_text: is_equal,
    },
    Dialect {
        name: "a client that reads by lines",
        framing: Framing::Sse,
        // The clients of these protocols have a parser.
        reads: |profile| !["ag-ui", "mcp", "a2a"].contains(&profile),
        events: |text| by_lines(without_mark(text).split('\n')),
        is_text: is_trimmed,
    },
    Dialect {
        name: "Python's splitlines",
        framing: Framing::Sse,
        reads: |profile| !["ag-ui", "mcp", "a2a"].contains(&profile),
        events: |text| by_lines(text.split(is_python_line_end)),
        is_text: is_trimmed,
    },
    // They read the events that have a name, and no others.
    Dialect {
        name: "Anthropic's SDKs",
        framing: Framing::Sse,
        reads: |profile| profile == "anthropic",
        events: |text| {
            let mut events = openai(text);
            events.retain(|event| !event.name.is_empty());
            events
        },
        is_text: is_equal,
    },
    // As Ollama's client for JavaScript: it takes what follows the last line feed, too.
    Dialect {
        name: "a client that splits at line feeds",
        framing: Framing::Ndjson,
        reads: |_| true,
        events: |text| texts(without_mark(text).split('\n')),
        is_text: is_trimmed,
    },
    Dialect {
        name: "a client that waits for each line feed",
        framing: Framing::Ndjson,
        reads: |_| true,
        events: |text| {
            let text = without_mark(text);
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            texts(whole.split('\n'))
        },
        is_text: is_trimmed,
    },
    // As Ollama's client for Python: httpx cuts so, and a line that is not JSON raises.
    Dialect {
        name: "Python's splitlines",
        framing: Framing::Ndjson,
        reads: |_| true,
        events: |text| {
            let mut events = texts(text.split(is_python_line_end));
            let is_broken = |event: &Event| serde_json::from_str::<Value>(&event.data).is_err();
            events.truncate(events.iter().position(is_broken).unwrap_or(events.len()));
            events
        },
        is_text: is_trimmed,
    },
];

/// The standard's way: an event without data, or without a blank line after it, is none.
fn standard(text: &str) -> Vec<Event> {
    let items = Decoder::new().push(Duration::ZERO, text.as_bytes());
    let frames = items.unwrap_or_default().into_iter();
    let frames = frames.filter_map(|item| match item {
        Item::Frame(frame) => Some(frame),
        Item::Line(_) => None,
    });
    let event = |frame: Frame| Event {
        name: frame.event,
        data: frame.data,
    };
    frames.map(event).collect()
}

/// As the official SDKs: a byte order mark stays in the first line, and an event may have no data.
fn openai(text: &str) -> Vec<Event> {
    let lines = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut events = Vec::new();
    let (mut event, mut has_any, mut has_data) = (Event::default(), false, false);
    // What follows the last line end is no line yet.
    let whole = lines.rfind('\n').map_or("", |end| &lines[..end]);
    for line in whole.split('\n') {
        if line.is_empty() {
            if has_any {
                events.push(std::mem::take(&mut event));
            }
            (has_any, has_data) = (false, false);
            continue;
        }
        let (field, value) = field_of(line);
        match field {
            "event" => value.clone_into(&mut event.name),
            "data" => {
                if std::mem::replace(&mut has_data, true) {
                    event.data.push('\n');
                }
                event.data.push_str(value);
            }
            _ => continue,
        }
        has_any = true;
    }
    events
}

/// As AG-UI's client: what is between two line feeds in a row is an event, and so is the rest.
fn blocks(text: &str) -> Vec<Event> {
    let block = |block: &str| {
        let lines = block.split('\n').filter(|line| line.starts_with("data:"));
        let data: Vec<_> = lines.map(|line| field_of(line).1).collect();
        Event {
            name: "message".to_owned(),
            data: data.join("\n"),
        }
    };
    text.split("\n\n").map(block).collect()
}

/// As clients that act on each line: they trim it, and do not wait for the blank one.
fn by_lines<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<Event> {
    let mut events = Vec::new();
    let mut name = "message";
    for line in lines {
        let (field, value) = field_of(line.trim_end());
        match field {
            "event" => {
                name = value;
                events.push(Event {
                    name: name.to_owned(),
                    data: String::new(),
                });
            }
            "data" => events.push(Event {
                name: name.to_owned(),
                data: value.to_owned(),
            }),
            "" => name = "message",
            _ => {}
        }
    }
    events
}

/// Each line that is not blank is an event.
fn texts<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<Event> {
    let lines = lines.filter(|line| !line.trim().is_empty());
    let event = |line: &str| Event {
        name: "message".to_owned(),
        data: line.to_owned(),
    };
    lines.map(event).collect()
}

fn is_equal(data: &str, text: &str) -> bool {
    data == text
}

fn is_trimmed(data: &str, text: &str) -> bool {
    data.trim() == text
}

/// What JavaScript's decoder leaves of a text.
fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

fn field_of(line: &str) -> (&str, &str) {
    let (field, value) = line.split_once(':').unwrap_or((line, ""));
    (field, value.strip_prefix(' ').unwrap_or(value))
}

/// Where `str.splitlines` cuts (docs.python.org, str.splitlines).
fn is_python_line_end(c: char) -> bool {
    "\n\r\u{b}\u{c}\u{1c}\u{1d}\u{1e}\u{85}\u{2028}\u{2029}".contains(c)
}

#[cfg(test)]
mod tests {
    use super::{ALL, FinalMarker, Framing};
    use crate::stream::profiles;

    /// Which of them see the marker, by the order of the table.
    fn seen(body: &str, marker: &FinalMarker) -> Vec<bool> {
        seen_in(&Framing::Sse, body, marker)
    }

    fn seen_in(framing: &Framing, body: &str, marker: &FinalMarker) -> Vec<bool> {
        let seen = ALL.iter().filter(|dialect| dialect.framing == *framing);
        seen.map(|dialect| dialect.sees(body.as_bytes(), marker))
            .collect()
    }

    /// The second column is what the official SDK's decoder does with the same bytes.
    #[test]
    fn dialects_differ_in_the_cut() {
        let done = FinalMarker::Data("[DONE]".to_owned());
        for (body, expected) in [
            (
                "data: a\n\ndata: [DONE]\n\n",
                [true, true, true, true, true, false],
            ),
            (
                "data: [DONE]\r\n\r\n",
                [true, true, false, true, true, false],
            ),
            (
                "data: a\r\rdata: [DONE]\r\r",
                [true, true, false, false, true, false],
            ),
            ("data:[DONE]\n\n", [true, true, true, true, true, false]),
            ("data: [DONE]\n", [false, false, true, true, true, false]),
            ("data: [DONE]", [false, false, true, true, true, false]),
            ("data: [DONE] \n\n", [false, true, false, true, true, false]),
            (
                "data:\t[DONE]\n\n",
                [false, false, false, true, true, false],
            ),
            (
                "data: [DONE]\ndata:\n\n",
                [false, true, false, true, true, false],
            ),
            (
                "\u{feff}data: [DONE]\n\n",
                [true, false, true, true, false, false],
            ),
        ] {
            assert_eq!(seen(body, &done), expected, "{body:?}");
        }
        let end = FinalMarker::Event("end".to_owned());
        assert_eq!(
            seen("event: end\n\n", &end),
            [false, true, false, true, true, true]
        );
        let finished = profiles::named("ag-ui").unwrap().marker();
        let body = "data: {\"type\":\"RUN_FINISHED\",\"result\":\"a\u{2028}b\"}\n\n";
        assert_eq!(
            seen(body, &finished),
            [true, true, true, true, false, false]
        );
        // The name is all that Anthropic's SDKs look at first.
        let stop = profiles::named("anthropic").unwrap().marker();
        let data = "data: {\"type\":\"message_stop\"}\n\n";
        assert_eq!(seen(data, &stop).last(), Some(&false));
        let named = format!("event: message_stop\n{data}");
        assert_eq!(seen(&named, &stop), [true; 6]);
    }

    /// The first column is what Ollama's client for JavaScript (0.6.4) made of the same bytes, and the last one what that
    /// for Python (0.6.3) did, which alone also stops at a blank line.
    #[test]
    fn lines_of_json_are_cut_in_three_ways() {
        let done = profiles::named("ollama").unwrap().marker();
        let line = |text: &str| format!("{{\"response\":\"{text}\",\"done\":false}}\n");
        let end = "{\"response\":\"\",\"done\":true}";
        for (body, expected) in [
            (format!("{}{end}\n", line("a")), [true, true, true]),
            (format!("{}{end}", line("a")), [true, false, true]),
            (
                format!("{}\r\n{end}\r\n", line("a").trim_end()),
                [true, true, true],
            ),
            (format!("{}\n\n{end}\n", line("a")), [true, true, true]),
            (
                format!("{}{end}\n", line("a\u{2028}b")),
                [true, true, false],
            ),
            (format!("{}{end}\n", line("a\u{85}b")), [true, true, false]),
            (format!("{}{end}\n", line("a\\u2028b")), [true, true, true]),
            (
                format!("{}{end}\r", line("a").replace('\n', "\r")),
                [false, false, true],
            ),
            (format!("\u{feff}{end}\n"), [true, true, false]),
            (line("a"), [false, false, false]),
        ] {
            assert_eq!(
                seen_in(&Framing::Ndjson, &body, &done),
                expected,
                "{body:?}"
            );
        }
    }

    /// What openai 3.54 (`SSEDecoder`) and eventsource-parser 3.1 made of the same bytes.
    #[test]
    fn dialects_see_what_the_decoders_that_they_name_see() {
        let done = FinalMarker::Data("[DONE]".to_owned());
        let [standard, openai, ..] = ALL else {
            unreachable!("the table begins with them")
        };
        for (body, by_standard, by_openai) in [
            (&b"data: [DONE]\n\n"[..], true, true),
            (&b"data: [DONE]\r\n\r\n"[..], true, true),
            (&b"data: [DONE]\r\n\n"[..], true, true),
            (&b"\xef\xbb\xbfdata: [DONE]\n\n"[..], true, false),
            (
                &b"\xef\xbb\xbf\xef\xbb\xbfdata: [DONE]\n\n"[..],
                false,
                false,
            ),
            (&b"data: [DONE]\n"[..], false, false),
            (&b"data: [DONE]"[..], false, false),
            (&b"data: [DONE]\r"[..], false, false),
            (&b"data: [DONE]\n \n"[..], false, false),
            (&b"data: [DONE] \n\n"[..], false, true),
            (&b"data: [DONE]\t\n\n"[..], false, true),
            (&b"data:  [DONE]\n\n"[..], false, false),
            (&b"data:\t[DONE]\n\n"[..], false, false),
            (&b"data:[DONE]\n\n"[..], true, true),
            (&b"data : [DONE]\n\n"[..], false, false),
            (&b"DATA: [DONE]\n\n"[..], false, false),
            (&b" data: [DONE]\n\n"[..], false, false),
            (&b"data: [DONE]\ndata:\n\n"[..], false, true),
            (&b"data: [DONE]\ndata\n\n"[..], false, true),
            (&b"data\ndata: [DONE]\n\n"[..], false, false),
            (&b"data: [DONE]\ndata: [DONE]\n\n"[..], false, true),
            (&b"data: a\ndata: [DONE]\n\n"[..], false, false),
            (&b"event: end\ndata: [DONE]\n\n"[..], true, true),
            (&b"event: message\ndata: [DONE]\n\n"[..], true, true),
            (&b"event:\ndata: [DONE]\n\n"[..], true, true),
            (&b": ping\ndata: [DONE]\n\n"[..], true, true),
            (&b"data: [DONE]\n: ping\n\n"[..], true, true),
            (&b"id: a\0b\ndata: [DONE]\n\n"[..], true, true),
            (&b"data: [DONE]\0\n\n"[..], false, true),
            (&b"retry: 1x\ndata: [DONE]\n\n"[..], true, true),
            (&b"foo: bar\ndata: [DONE]\n\n"[..], true, true),
            (&b"data: a\xe2\x80\xa8b\n\ndata: [DONE]\n\n"[..], true, true),
            (&b"data: a\xc2\x85\n\ndata: [DONE]\n\n"[..], true, true),
            (&b"data: a\x0cdata: [DONE]\n\n"[..], false, false),
            (&b"data: [DONE]\x0b\x0b"[..], false, false),
            (&b"data: [DONE].\n\n"[..], false, true),
            (&b"data: \"[DONE]\"\n\n"[..], false, false),
            (&b"data: {\"d\":\"[DONE]\"}\n\n"[..], false, false),
            (&b"data: adata: [DONE]\n\n"[..], false, false),
            (&b"\n\n\ndata: [DONE]\n\n"[..], true, true),
            (&b"\n\xef\xbb\xbfdata: [DONE]\n\n"[..], false, false),
        ] {
            let seen = (standard.sees(body, &done), openai.sees(body, &done));
            assert_eq!(
                seen,
                (by_standard, by_openai),
                "{:?}",
                String::from_utf8_lossy(body)
            );
        }
    }
}
