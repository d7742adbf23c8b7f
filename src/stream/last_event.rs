//! How a response without a declared end ends, and how to declare that. Pure.

use super::body::{Body, Framing};
use super::detect::Response;
use super::sse::Item;
use crate::model::{Frame, LineKind};
use serde_json::{Map, Value};
use std::time::Duration;

/// How a response ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LastEvent {
    /// With an event after the text.
    Event {
        /// The event, as it came.
        shown: String,
        /// What declares it: a line of TOML under `[final]`.
        declared: String,
    },
    /// With the text, or with an event that nothing distinguishes from those before it.
    Text {
        /// The last event, as it came.
        shown: String,
    },
    /// It is one JSON text, and no stream.
    OneJson {
        /// Where the answer is in it, as far as that is known.
        path: Option<String>,
    },
    /// It has no events.
    NoEvents {
        /// How it begins.
        shown: String,
    },
}

/// In the place of `final` in a declaration, where chatctl does not know what ends a stream.
pub const UNKNOWN: &str = "# final = { … }: the event that ends a stream";

impl LastEvent {
    /// `final` of the profile to declare.
    pub fn final_of_profile(&self) -> String {
        match self {
            Self::Event { declared, .. } => format!("final = {{ {declared} }}"),
            Self::OneJson { .. } => "final = { end = \"body\" }".to_owned(),
            Self::Text { .. } | Self::NoEvents { .. } => UNKNOWN.to_owned(),
        }
    }
}

/// Keys that tell most about what an event is; of the others the first in the event counts.
const TELLING: &[&str] = &[
    "done", "finished", "final", "is_final", "end", "complete", "type", "event", "status", "kind",
    "state",
];
/// As many characters a word has that says what an event is.
const WORD: usize = 24;
/// How much of an event is shown, in characters.
const SHOWN: usize = 120;

/// How a response ends whose events are cut in this way.
pub fn of(response: Response<'_>, framing: &Framing) -> LastEvent {
    let body = String::from_utf8_lossy(response.body);
    if response.is_one_json_text() {
        let json = serde_json::from_str(&body).unwrap_or(Value::Null);
        let path = place_of(&json, response.nonce).map(|place| format!("${place}"));
        return LastEvent::OneJson { path };
    }
    let (frames, named) = events(response.body, framing);
    if let Some(name) = named {
        // Its block has no data: browsers do not see it, but clients that read by the line do.
        return LastEvent::Event {
            shown: format!("event: {name}"),
            declared: format!("event = {}", quoted(&name)),
        };
    }
    let Some((last, before)) = frames.split_last() else {
        return LastEvent::NoEvents {
            shown: shortened(body.trim()),
        };
    };
    let shown = match (framing, last.event.as_str()) {
        (Framing::Sse, "message") => format!("data: {}", shortened(&last.data)),
        (Framing::Sse, name) => format!("event: {name}, data: {}", shortened(&last.data)),
        _ => shortened(&last.data),
    };
    match declaration(last, before, framing, response.nonce) {
        Some(declared) => LastEvent::Event { shown, declared },
        None => LastEvent::Text { shown },
    }
}

/// Where in the JSON of an event the answer's end is, as a JSONPath.
pub fn place(response: Response<'_>, framing: &Framing) -> Option<String> {
    let (frames, _) = events(response.body, framing);
    let mut frames = frames.iter().filter(|it| it.data.contains(response.nonce));
    let json = serde_json::from_str(&frames.next()?.data).ok()?;
    Some(format!("${}", place_of(&json, response.nonce)?))
}

/// The events of a body, and the name of a block without data at its end.
fn events(body: &[u8], framing: &Framing) -> (Vec<Frame>, Option<String>) {
    let mut decoder = Body::new(framing);
    let mut items = decoder.push(Duration::ZERO, body).unwrap_or_default();
    items.extend(decoder.finish(Duration::ZERO).unwrap_or_default());
    let (mut frames, mut named) = (Vec::new(), None);
    for item in items {
        match item {
            Item::Frame(frame) => {
                frames.push(frame);
                named = None;
            }
            Item::Line(line) if line.kind == LineKind::Event => {
                let name = line.text.split_once(':').map_or("", |(_, name)| name);
                named = Some(name.trim().to_owned()).filter(|name| !name.is_empty());
            }
            Item::Line(_) => {}
        }
    }
    (frames, named)
}

/// What distinguishes the last event from those before it; nothing where it has the text.
fn declaration(last: &Frame, before: &[Frame], framing: &Framing, nonce: &str) -> Option<String> {
    if last.data.contains(nonce) {
        return None;
    }
    if framing.has_names()
        && last.event != "message"
        && before.iter().all(|it| it.event != last.event)
    {
        return Some(format!("event = {}", quoted(&last.event)));
    }
    match object(&last.data) {
        Some(last) => {
            let before: Vec<_> = before.iter().filter_map(|it| object(&it.data)).collect();
            sign(&last, &before)
        }
        None => {
            // The end of the text may have come in several pieces.
            let frames = before.iter().chain([last]);
            let all: String = frames.map(|frame| frame.data.as_str()).collect();
            let is_marker =
                !all.trim_end().ends_with(nonce) && before.iter().all(|it| it.data != last.data);
            let is_short = last.data.chars().count() <= SHOWN && !last.data.contains('\n');
            (is_marker && is_short).then(|| format!("data = {}", quoted(&last.data)))
        }
    }
}

/// The field that no event before has with this value.
fn sign(last: &Map<String, Value>, before: &[Map<String, Value>]) -> Option<String> {
    let own = |key: &&str| {
        let value = last.get(*key);
        let is_sign = match value {
            Some(Value::Bool(flag)) => *flag,
            // An id is another one in each answer.
            Some(Value::String(text)) => {
                let is_word = text.chars().all(|c| !c.is_ascii_digit());
                !text.is_empty() && text.chars().count() <= WORD && is_word
            }
            Some(Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_)) | None => {
                false
            }
        };
        is_sign && before.iter().all(|it| it.get(*key) != value)
    };
    let others = last.keys().map(String::as_str);
    let key = TELLING.iter().copied().chain(others).find(own)?;
    let is_plain = key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !key.starts_with(|c: char| c.is_ascii_digit());
    let path = if is_plain {
        format!("$.{key}")
    } else {
        format!("$[{}]", Value::from(key))
    };
    let value = match &last[key] {
        Value::String(text) => quoted(text),
        other => other.to_string(),
    };
    let path = quoted(&path);
    Some(format!("json = {{ path = {path}, equals = {value} }}"))
}

fn object(data: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(data).ok()
}

/// Where a text is in a JSON value.
fn place_of(json: &Value, nonce: &str) -> Option<String> {
    match json {
        Value::String(text) => text.contains(nonce).then(String::new),
        Value::Object(fields) => fields.iter().find_map(|(key, value)| {
            let is_plain = key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            let rest = place_of(value, nonce).filter(|_| is_plain)?;
            Some(format!(".{key}{rest}"))
        }),
        Value::Array(items) => items.iter().enumerate().find_map(|(index, value)| {
            let rest = place_of(value, nonce)?;
            Some(format!("[{index}]{rest}"))
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// The beginning of a text, on one line.
pub fn shortened(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
        .escape_debug()
        .to_string()
        .replace("\\\"", "\"")
        .replace("\\'", "'")
}

#[cfg(test)]
mod tests {
    use super::{Framing, LastEvent, Response, of};

    const NONCE: &str = "chatctl-a0123456789abcdef";

    fn ending(content_type: &str, body: &str, framing: &Framing) -> LastEvent {
        let body = body.replace("NONCE", NONCE);
        let response = Response {
            content_type: Some(content_type),
            body: body.as_bytes(),
            answer: "Hello chatctl-a0123456789abcdef",
            nonce: NONCE,
        };
        of(response, framing)
    }

    #[test]
    fn an_event_after_the_text_is_declared_by_what_distinguishes_it() {
        for (body, shown, declared) in [
            (
                "data: {\"token\": \"NONCE\"}\n\ndata: {\"done\": true}\n\n",
                "data: {\"done\": true}",
                "json = { path = \"$.done\", equals = true }",
            ),
            (
                "data: {\"done\": false, \"t\": \"NONCE\"}\n\ndata: {\"t\": \"\", \"done\": true}\n\n",
                "data: {\"t\": \"\", \"done\": true}",
                "json = { path = \"$.done\", equals = true }",
            ),
            (
                "data: {\"type\": \"token\", \"t\": \"NONCE\"}\n\ndata: {\"id\": \"7\", \"type\": \"bye\"}\n\n",
                "data: {\"id\": \"7\", \"type\": \"bye\"}",
                "json = { path = \"$.type\", equals = \"bye\" }",
            ),
            (
                "data: {\"t\": \"NONCE\"}\n\ndata: {\"over-now\": true}\n\n",
                "data: {\"over-now\": true}",
                "json = { path = '$[\"over-now\"]', equals = true }",
            ),
            (
                "data: NONCE\n\nevent: end\ndata: {}\n\n",
                "event: end, data: {}",
                "event = \"end\"",
            ),
            (
                "data: NONCE\n\nevent: end\n\n",
                "event: end",
                "event = \"end\"",
            ),
            (
                "data: NONCE\n\ndata: END\n\n",
                "data: END",
                "data = \"END\"",
            ),
        ] {
            let found = ending("text/event-stream", body, &Framing::Sse);
            let LastEvent::Event {
                shown: as_shown,
                declared: as_declared,
            } = &found
            else {
                panic!("{body} {found:?}");
            };
            assert_eq!(as_shown, shown);
            let read = |text: &str| toml::from_str::<toml::Table>(text).unwrap();
            assert_eq!(read(as_declared), read(declared));
        }
    }

    #[test]
    fn an_answer_may_just_end() {
        for body in [
            "data: {\"content\": \"NONCE\"}\n\n",
            "data: Hello NONCE\n\n",
            // The last letters of it came alone.
            "data: Hello chatctl-a0123456789\n\ndata: abcdef\n\n",
            // An id is another one in each answer.
            "data: {\"t\": \"NONCE\"}\n\ndata: {\"id\": \"msg_7f3a\", \"tokens\": 3}\n\n",
            // A field that others have as well distinguishes nothing.
            "data: {\"type\": \"t\", \"t\": \"NONCE\"}\n\ndata: {\"type\": \"t\", \"t\": \"\"}\n\n",
        ] {
            let found = ending("text/event-stream", body, &Framing::Sse);
            assert!(matches!(found, LastEvent::Text { .. }), "{body} {found:?}");
        }
    }

    #[test]
    fn an_answer_may_be_no_stream() {
        let one = |body: &str| ending("application/json; charset=utf-8", body, &Framing::Sse);
        let at = |path: &str| LastEvent::OneJson {
            path: Some(path.to_owned()),
        };
        assert_eq!(one("{\"answer\": \"NONCE\"}"), at("$.answer"));
        assert_eq!(
            one("{\"a\": [1, {\"text\": \"x NONCE\"}]}"),
            at("$.a[1].text")
        );
        assert_eq!(one("{\"id\": 7}"), LastEvent::OneJson { path: None });
        let html = ending("text/html", "<p>\nno</p>", &Framing::Sse);
        let shown = "<p>\\nno</p>".to_owned();
        assert_eq!(html, LastEvent::NoEvents { shown });
    }
}
