//! Detects the profile of a response by the known answer of the provider. Pure.

use super::body::{Body, Framing};
use super::declared::{Declared, Mode, Pick, Text, When};
use super::kept;
use super::marker::FinalMarker;
use super::path::Path;
use super::profiles::{self, Profile, Reader};
use super::turn::{Fault, Turn};
use std::time::Duration;

/// A whole response, and what is known of it.
#[derive(Debug, Clone, Copy)]
pub struct Response<'a> {
    pub content_type: Option<&'a str>,
    pub body: &'a [u8],
    /// What the provider said.
    pub answer: &'a str,
    /// Is at the answer's end and nowhere else.
    pub nonce: &'a str,
}

/// What a response is in.
#[derive(Debug)]
pub struct Detected {
    /// How to read it.
    pub format: Format,
    /// Whether it has the final marker: else nobody knows that this marker ends the streams of this
    /// server.
    pub ends: bool,
}

/// How to read a response.
#[derive(Debug)]
pub enum Format {
    Shipped(&'static Profile),
    /// The text is at a place that many servers use.
    Found {
        /// How to read it.
        declared: Box<Declared>,
        /// The place, a JSONPath into each event.
        path: &'static str,
    },
}

/// Where servers of no particular format have a piece of the answer; the first that says it counts.
const PLACES: &[&str] = &[
    "$",
    "$.content",
    "$.text",
    "$.token",
    "$.delta",
    "$.message",
    "$.chunk",
    "$.data",
    "$.answer",
    "$.response",
    "$.output",
    "$.value",
    "$.delta.content",
    "$.delta.text",
    "$.data.content",
    "$.data.text",
    "$.data.token",
    "$.message.content",
    "$.choices[0].text",
];

/// How well a format fits: the best is the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// A profile, and its final marker is there.
    Whole,
    /// A place that many servers use.
    Place,
    /// A profile whose final marker is not there.
    WithoutMarker,
    /// All of the body is text.
    Bare,
}

/// The format in which a response says the answer and little else; none where none reads the
/// answer's end, the nonce, in it. A format is never taken for its text alone: any text is in it by
/// chance.
pub fn detect(response: Response<'_>) -> Option<Detected> {
    let mut best: Option<((usize, Fit), Detected)> = None;
    let mut offer = |more: usize, fit: Fit, detected: Detected| {
        if best.as_ref().is_none_or(|(rank, _)| (more, fit) < *rank) {
            best = Some(((more, fit), detected));
        }
    };
    for profile in profiles::ALL {
        let marker = profile.marker();
        let mut reader = profile.start(marker.clone());
        let Some((turn, more)) = reads(&response, &profile.framing(), reader.as_mut()) else {
            continue;
        };
        let is_bare = profile.framing() == Framing::Bare;
        let has_marker = turn.final_at.is_some();
        if is_bare && !response.may_be_bare() || !has_marker && !is_bare && profile.takes_any_text()
        {
            continue;
        }
        // Where no event is final, the whole of the response has come.
        let ends = has_marker || marker == FinalMarker::End;
        let fit = match (is_bare, ends) {
            (true, _) => Fit::Bare,
            (false, true) => Fit::Whole,
            (false, false) => Fit::WithoutMarker,
        };
        let format = Format::Shipped(profile);
        offer(more, fit, Detected { format, ends });
    }
    if response.is_one_json_text() {
        return best.map(|(_, detected)| detected);
    }
    for framing in [Framing::Sse, Framing::Ndjson] {
        for path in PLACES.iter().copied() {
            let declared = at(path, framing.clone());
            let profile = Profile::found(declared.clone());
            let mut reader = profile.start(declared.final_marker.clone());
            if let Some((turn, more)) = reads(&response, &framing, reader.as_mut()) {
                let declared = Box::new(declared);
                let detected = Detected {
                    format: Format::Found { declared, path },
                    ends: turn.final_at.is_some(),
                };
                offer(more, Fit::Place, detected);
            }
        }
    }
    best.map(|(_, detected)| detected)
}

impl Response<'_> {
    /// Whether the whole body may be the text: it is neither events nor JSON, and nothing follows
    /// the answer, which could be an end marker.
    fn may_be_bare(&self) -> bool {
        let media_type = self.content_type.unwrap_or("").to_lowercase();
        let text = String::from_utf8_lossy(self.body);
        let is_event = |line: &str| line.starts_with("data:") || line.starts_with("event:");
        !media_type.contains("event-stream")
            && !media_type.contains("json")
            && text.trim_end().ends_with(self.answer.trim())
            && !kept::is_json_frames(&text)
            && !text.lines().any(is_event)
    }

    /// Whether it is an answer in one piece, and no stream.
    pub fn is_one_json_text(&self) -> bool {
        let media_type = self.content_type.unwrap_or("");
        let media_type = media_type.split(';').next().unwrap_or("").trim();
        media_type.eq_ignore_ascii_case("application/json")
            && serde_json::from_slice::<serde_json::Value>(self.body).is_ok()
    }
}

/// The turn of a response that is over, as a format has it; none where it does not read the answer.
pub fn read(
    response: &Response<'_>,
    framing: &Framing,
    reader: &mut dyn Reader,
    marker: &FinalMarker,
) -> Option<Turn> {
    let (mut turn, _) = reads(response, framing, reader)?;
    turn.end(Duration::ZERO, marker);
    Some(turn)
}

/// A turn in which a format reads the answer, and how many bytes of text it has more or less.
fn reads(
    response: &Response<'_>,
    framing: &Framing,
    reader: &mut dyn Reader,
) -> Option<(Turn, usize)> {
    let mut decoder = Body::new(framing);
    let mut turn = Turn::default();
    let mut items = decoder.push(Duration::ZERO, response.body).ok()?;
    items.extend(decoder.finish(Duration::ZERO).ok()?);
    for item in items {
        turn.take(&item, reader);
    }
    let is_broken = turn
        .faults
        .iter()
        .any(|fault| matches!(fault, Fault::Broken(_)));
    if is_broken || !turn.text.contains(response.nonce) {
        return None;
    }
    let answer = response.answer.trim().len();
    let more = turn.text.trim().len().abs_diff(answer);
    // Half as much again is a server that adds words of its own; more is text that is none.
    (more <= response.answer.len() / 2).then_some((turn, more))
}

/// Events with the text at a place. `error` is where servers of no particular format report one.
fn at(path: &str, framing: Framing) -> Declared {
    let json_path = |path: &str| Path::parse(path).expect("a test reads every place");
    let pick = |event: Option<&str>, path: Option<&str>| Pick {
        when: When {
            event: event.map(str::to_owned),
            ..When::default()
        },
        path: path.map(json_path),
    };
    Declared {
        framing,
        text: vec![Text {
            pick: pick(None, Some(path)),
            mode: Mode::Delta,
            message: None,
            strip: String::new(),
        }],
        reasoning: Vec::new(),
        complete: Vec::new(),
        tools: Vec::new(),
        error: vec![pick(None, Some("$.error")), pick(Some("error"), None)],
        sequence: None,
        final_marker: FinalMarker::Data("[DONE]".to_owned()),
        rounds: false,
        help: None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Format, PLACES, Response, at, detect};
    use crate::stream::body::Framing;
    use crate::stream::profiles;

    const NONCE: &str = "chatctl-a0123456789abcdef";

    /// What a response is in, in words, and whether its final marker is there.
    fn found(content_type: &str, body: &str) -> Option<(String, bool)> {
        let answer = format!("Task 'Buy milk' has been added. {NONCE}");
        let body = body.replace("TEXT", &answer).replace("NONCE", NONCE);
        let response = Response {
            content_type: Some(content_type),
            body: body.as_bytes(),
            answer: &answer,
            nonce: NONCE,
        };
        let detected = detect(response)?;
        let name = match detected.format {
            Format::Shipped(profile) => profile.name.to_owned(),
            Format::Found { path, .. } => path.to_owned(),
        };
        Some((name, detected.ends))
    }

    fn is(name: &str, ends: bool) -> Option<(String, bool)> {
        Some((name.to_owned(), ends))
    }

    /// Any text is in the format of a profile that takes any text.
    #[test]
    fn bare_text_is_no_products_format() {
        for media_type in ["text/plain; charset=utf-8", "", "text/html"] {
            assert_eq!(found(media_type, "TEXT"), is("text", true), "{media_type}");
            assert_eq!(found(media_type, "Sure! TEXT\n"), is("text", true));
        }
        // What follows the answer may be an end of the server's own.
        assert_eq!(found("text/plain", "TEXT\n[END]"), None);
        assert_eq!(found("text/event-stream", "TEXT"), None);
        let khoj = "TEXT\u{2403}\u{1f51a}\u{2417}";
        assert_eq!(found("text/plain", khoj), None);
        let ended = format!("{khoj}{{\"type\":\"end_response\"}}\u{2403}\u{1f51a}\u{2417}");
        assert_eq!(found("text/plain", &ended), is("khoj", true));
    }

    #[test]
    fn places_that_many_servers_use_are_tried() {
        let sse = |body: &str| found("text/event-stream", body);
        let token = "data: {\"token\": \"TEXT\"}\n\n";
        assert_eq!(sse(token), is("$.token", false));
        let done = format!("{token}data: {{\"done\": true}}\n\n");
        assert_eq!(sse(&done), is("$.token", false));
        assert_eq!(
            sse(&format!("{token}data: [DONE]\n\n")),
            is("$.token", true)
        );
        assert_eq!(
            sse("data: {\"data\": {\"text\": \"TEXT\"}}\n\n"),
            is("$.data.text", false)
        );
        // Text that is spelled as JSON.
        let ended = "data: \"TEXT\"\n\nevent: end\ndata: {}\n\n";
        assert_eq!(sse(ended), is("$", false));
        let lines = "{\"content\": \"TEXT\"}\n{\"content\": \"\"}\n";
        assert_eq!(found("application/x-ndjson", lines), is("$.content", false));
        // An answer in one piece is no stream.
        assert_eq!(found("application/json", "{\"answer\": \"TEXT\"}"), None);
        assert_eq!(sse("data: {\"answer\": \"another one\"}\n\n"), None);
        for path in PLACES {
            assert_eq!(at(path, Framing::Sse).text.len(), 1);
        }
    }

    /// Its marker is not known to be this server's.
    #[test]
    fn a_profile_without_its_marker_has_none() {
        let sse = |body: &str| found("text/event-stream", body);
        let chunk = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"TEXT\"}}]}\n\n";
        assert_eq!(sse(chunk), is("openai-chat", false));
        assert_eq!(
            sse(&format!("{chunk}data: [DONE]\n\n")),
            is("openai-chat", true)
        );
        assert_eq!(sse("data: TEXT\n\n"), is("plain", false));
        assert_eq!(sse("data: TEXT\n\ndata: [DONE]\n\n"), is("plain", true));
    }

    /// A server forwards the events that its client needs: the numbers have gaps.
    #[test]
    fn some_events_of_a_profile_will_do() {
        let delta =
            r#"data: {"type":"response.output_text.delta","sequence_number":4,"delta":"TEXT"}"#;
        let end = r#"data: {"type":"response.completed","sequence_number":9}"#;
        let body = format!("{delta}\n\n{end}\n\n");
        assert_eq!(
            found("text/event-stream", &body),
            is("openai-responses", true)
        );
    }

    /// LangChain has the text in a list of parts for some models, and LangGraph names the subgraph.
    #[test]
    fn langgraph_is_known_by_texts_and_by_parts() {
        let parts = r#"[{"type":"text","text":"TEXT","index":0}]"#;
        for content in ["\"TEXT\"", parts] {
            for name in ["messages", "messages|agent:1b2c"] {
                let message =
                    format!("[{{\"type\":\"AIMessageChunk\",\"content\":{content}}},{{}}]");
                let body = format!("event: {name}\ndata: {message}\n\nevent: end\ndata: null\n\n");
                assert_eq!(
                    found("text/event-stream", &body),
                    is("langgraph", true),
                    "{body}"
                );
            }
        }
    }

    #[test]
    fn langserve_is_known_by_texts_and_by_parts() {
        let parts = r#"[{"type":"text","text":"TEXT","index":0}]"#;
        for content in ["\"TEXT\"", parts] {
            let chunk = format!("{{\"content\":{content},\"type\":\"AIMessageChunk\"}}");
            let body = format!("event: data\ndata: {chunk}\n\nevent: end\n\n");
            let found = found("text/event-stream", &body);
            assert_eq!(found, is("langserve", true), "{body}");
        }
    }

    /// A normal answer of each profile is taken for what it is.
    #[test]
    fn every_profile_is_told_from_all_others() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/profiles");
        let mut seen = 0;
        for profile in profiles::ALL {
            let file = format!("{folder}/{}.normal.txt", profile.name);
            let Ok(body) = std::fs::read(&file) else {
                continue;
            };
            if profile.framing().needs_a_socket() {
                continue;
            }
            let response = Response {
                content_type: None,
                body: &body,
                answer: "Grüße, buy milk\n",
                nonce: "milk",
            };
            let detected = detect(response).expect(profile.name);
            let Format::Shipped(found) = detected.format else {
                panic!("{}: {:?}", profile.name, detected.format);
            };
            assert_eq!((found.name, detected.ends), (profile.name, true));
            seen += 1;
        }
        assert!(seen > 20, "{seen}");
    }
}
