//! One answer as it came over the wire: a state machine over lines and frames.

use super::marker::FinalMarker;
use super::parts::Parts;
use super::profiles::{Reader, StreamEvent};
use super::sse::Item;
use crate::model::{Frame, LineKind};
use std::collections::BTreeMap;
use std::time::Duration;

/// How many grammar errors are kept: the first ones suffice, and a stream may be endless.
const MOST_FAULTS: usize = 1_000;
/// How many pieces of a text have their time kept.
const MOST_PIECES: usize = 10_000;

/// The state of a stream so far. Times are since the start of the trial.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Turn {
    /// The answer's text.
    pub text: String,
    /// The model's reasoning, which is not part of the answer.
    pub reasoning: String,
    /// Where its parts begin.
    pub(super) parts: Parts,
    /// The message that the next text belongs to.
    pub(super) message: Option<String>,
    /// The text, unless some comes in another way.
    pub(super) fallback: Option<String>,
    /// Tool calls by index: name and arguments.
    pub tools: BTreeMap<u64, (String, String)>,
    /// When the first piece of text came.
    pub first_text: Option<Duration>,
    /// When each piece came, up to some thousands.
    pub pieces: Vec<Duration>,
    /// When and why the text was declared complete.
    pub text_complete: Option<(Duration, String)>,
    /// When the final marker was there: the end of its line, or of its event where its name is the marker.
    pub final_at: Option<Duration>,
    /// Where the marker's line or event begins in the body.
    pub final_offset: Option<u64>,
    /// Where the line with the marker's name begins, until its event ends.
    pub(super) named_at: Option<u64>,
    /// Breaks of the profile's grammar, in words.
    pub faults: Vec<Fault>,
    /// Whether text came after the marker.
    pub(super) goes_on: bool,
    /// Whether the marker came again after that.
    pub has_rounds: bool,
    /// The server's error text, if it reported that the turn failed.
    pub failed: Option<String>,
    /// When the body ended, or broke off.
    pub ended: Option<Duration>,
}

/// A break of the profile's grammar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Something came after the final marker.
    AfterFinal(String),
    /// The final marker came again.
    FinalAgain,
    /// A frame could not be understood.
    Broken(String),
    /// The numbers of the frames have a gap.
    Gap(String),
}

impl Turn {
    /// Processes the output of the decoder.
    pub fn take(&mut self, item: &Item, reader: &mut dyn Reader) {
        match item {
            Item::Line(line) if line.kind == LineKind::Blank => {
                let named = self.named_at.take();
                if let Some(offset) = named.filter(|_| self.final_at.is_none()) {
                    self.set_final(line.at, offset);
                }
            }
            Item::Line(line) => {
                if self.final_at.is_some() || !reader.is_final(line) {
                    return;
                }
                // An event's data may follow its name, so no client knows the event before its blank line.
                if line.kind == LineKind::Event {
                    self.named_at = Some(line.offset);
                } else {
                    self.set_final(line.at, line.offset);
                }
            }
            Item::Frame(frame) => {
                for event in reader.frame(frame) {
                    self.event(event, frame);
                }
            }
        }
    }

    /// The body ended; with a marker that is just this, it is the final marker too.
    pub fn end(&mut self, at: Duration, marker: &FinalMarker) {
        self.ended = Some(at);
        if let Some(offset) = self.named_at.take() {
            self.set_final(at, offset);
        }
        // A body that ends after an error is not an answer that ends.
        if matches!(marker, FinalMarker::End) && self.failed.is_none() {
            self.final_at.get_or_insert(at);
        }
        self.fall_back(at);
    }

    /// When the final marker promised that the answer is stored. Behind an error it promises nothing:
    /// many protocols end every stream with the marker, also one that failed.
    pub fn promised_at(&self) -> Option<Duration> {
        self.final_at.filter(|_| self.failed.is_none())
    }

    fn fault(&mut self, fault: Fault) {
        if self.faults.len() < MOST_FAULTS {
            self.faults.push(fault);
        }
    }

    fn piece(&mut self, at: Duration) {
        self.first_text.get_or_insert(at);
        if self.pieces.len() < MOST_PIECES {
            self.pieces.push(at);
        }
    }

    fn set_final(&mut self, at: Duration, offset: u64) {
        self.final_at = Some(at);
        self.final_offset = Some(offset);
        self.fall_back(at);
    }

    /// The end came: where no text did in another way, it is this.
    fn fall_back(&mut self, at: Duration) {
        if let Some(text) = self.fallback.take().filter(|_| self.text.is_empty()) {
            self.piece(at);
            self.text = text;
        }
    }

    fn event(&mut self, event: StreamEvent, frame: &Frame) {
        // The marker's own frame begins at the marker's line or before it.
        let after_final = self
            .final_offset
            .is_some_and(|offset| frame.offset > offset);
        // OpenAI sends `error`, and then `response.failed`; nobody waits for either twice.
        let is_failed = self.failed.is_some();
        match event {
            _ if after_final && is_failed => {}
            StreamEvent::Message(name) => self.message = Some(name),
            StreamEvent::Final if after_final => {
                self.has_rounds |= self.goes_on;
                self.fault(Fault::FinalAgain);
            }
            StreamEvent::Final => {
                if self.final_at.is_none() {
                    self.set_final(frame.at, frame.offset);
                }
            }
            more if after_final => {
                self.goes_on |= match &more {
                    StreamEvent::Text(text) | StreamEvent::TextWhole(text) => !text.is_empty(),
                    _ => false,
                };
                self.fault(Fault::AfterFinal(frame.data.clone()));
            }
            StreamEvent::Text(piece) => {
                self.piece(frame.at);
                let of = self.message.take();
                self.parts.piece(&mut self.text, of.as_deref(), &piece);
            }
            StreamEvent::TextSoFar(all) => {
                self.piece(frame.at);
                let of = self.message.take();
                self.parts.so_far(&mut self.text, of.as_deref(), &all);
            }
            StreamEvent::TextWhole(whole) => {
                self.piece(frame.at);
                let of = self.message.take();
                self.parts.whole(&mut self.text, of.as_deref(), &whole);
            }
            StreamEvent::TextFallback(text) => self.fallback = Some(text),
            StreamEvent::Reasoning(text) => self.reasoning.push_str(&text),
            StreamEvent::ToolCall {
                index,
                name,
                arguments,
            } => {
                let call = self.tools.entry(index).or_default();
                // A call that comes whole after its pieces replaces them.
                if name.is_some() && !arguments.is_empty() {
                    *call = Default::default();
                }
                call.0.push_str(&name.unwrap_or_default());
                call.1.push_str(&arguments);
            }
            StreamEvent::TextComplete(reason) => {
                self.text_complete.get_or_insert((frame.at, reason));
            }
            StreamEvent::Failed(said) => {
                self.failed.get_or_insert(said);
            }
            StreamEvent::Broken(how) => self.fault(Fault::Broken(how)),
            StreamEvent::Gap(how) => self.fault(Fault::Gap(how)),
            StreamEvent::Ignored | StreamEvent::Usage => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Fault, FinalMarker, Turn};
    use crate::stream::body::Body;
    use crate::stream::profiles;

    fn turn(profile: &str, body: &str) -> Turn {
        let profile = profiles::named(profile).unwrap();
        let mut reader = profile.start(profile.marker());
        let (mut decoder, mut turn) = (Body::new(&profile.framing()), Turn::default());
        let mut at = Duration::ZERO;
        for byte in body.as_bytes() {
            at += Duration::from_millis(1);
            for item in decoder.push(at, &[*byte]).unwrap() {
                turn.take(&item, reader.as_mut());
            }
        }
        for item in decoder.finish(at).unwrap() {
            turn.take(&item, reader.as_mut());
        }
        turn.end(at, &profile.marker());
        turn
    }

    #[test]
    fn plain_joins_pieces_and_sees_the_end_of_the_markers_line() {
        let turn = turn("plain", "data: a\n\ndata:  b\n\ndata: [DONE]\n\n");
        assert_eq!(turn.text, "a b");
        assert_eq!(turn.final_at, Some(Duration::from_millis(32)));
        assert!(turn.faults.is_empty());
    }

    #[test]
    fn a_marker_without_its_blank_line_is_seen() {
        assert!(turn("plain", "data: [DONE]\n").final_at.is_some());
        assert!(turn("plain", "data: a\n\n").final_at.is_none());
    }

    /// The data of the event may still follow its name. Without data no event comes of it, and clients that
    /// read lines see it all the same.
    #[test]
    fn a_marker_that_is_an_events_name_is_there_when_its_event_ends() {
        let named = |body: &str| {
            let profile = profiles::named("plain").unwrap();
            let marker = FinalMarker::Event("end".to_owned());
            let mut reader = profile.start(marker.clone());
            let (mut decoder, mut turn) = (Body::new(&profile.framing()), Turn::default());
            for (at, byte) in body.bytes().enumerate() {
                let at = Duration::from_millis(at as u64 + 1);
                for item in decoder.push(at, &[byte]).unwrap() {
                    turn.take(&item, reader.as_mut());
                }
            }
            turn.end(Duration::from_secs(1), &marker);
            turn.final_at
        };
        assert_eq!(
            named("event: end\ndata: x\n\n: more\n"),
            Some(Duration::from_millis(20))
        );
        assert_eq!(
            named("event: end\n\n: more\n"),
            Some(Duration::from_millis(12))
        );
        assert_eq!(named("event: end\n"), Some(Duration::from_secs(1)));
        assert_eq!(named("event: other\ndata: end\n\n"), None);
    }

    /// Clients that trim lines see it, and so do the official SDKs.
    #[test]
    fn a_marker_with_blanks_around_it_is_seen() {
        for profile in ["plain", "openai-chat", "vercel-ui"] {
            for marker in ["[DONE] ", " [DONE]", "[DONE]\t"] {
                let turn = turn(profile, &format!("data: {marker}\n\n"));
                assert!(turn.final_at.is_some(), "{profile} {marker:?}");
                assert_eq!((turn.text.as_str(), &turn.faults[..]), ("", &[][..]));
            }
            let turn = turn(profile, "data: \"[DONE].\"\n\n");
            assert!(turn.final_at.is_none(), "{profile}");
        }
    }

    /// Some servers send the field in every event.
    #[test]
    fn an_empty_error_is_none() {
        for (profile, before, rest, after) in [
            ("openai-chat", "data: ", r#""choices":[]"#, "\n\n"),
            ("ollama", "", r#""done":false"#, "\n"),
            ("adk", "data: ", r#""partial":true"#, "\n\n"),
        ] {
            let said = |error: &str| {
                let body = format!("{before}{{\"error\":{error},{rest}}}{after}");
                turn(profile, &body).failed
            };
            for error in ["null", "false", "0", "\"\""] {
                assert_eq!(said(error), None, "{profile} {error}");
            }
            let full = said("\"the disk is full\"");
            assert!(full.is_some_and(|it| it.contains("is full")), "{profile}");
        }
    }

    #[test]
    fn what_follows_the_marker_is_a_fault() {
        let turn = turn("plain", "data: [DONE]\n\ndata: late\n\ndata: [DONE]\n\n");
        assert_eq!(
            turn.faults,
            [Fault::AfterFinal("late".into()), Fault::FinalAgain]
        );
        assert_eq!(turn.text, "");
    }

    /// AG-UI's servers whose model does not stream have the text in a snapshot of the messages only.
    #[test]
    fn a_snapshot_is_the_text_where_no_piece_of_it_came() {
        let snapshot = |text: &str| {
            format!(
                "data: {{\"type\":\"MESSAGES_SNAPSHOT\",\"messages\":[{{\"role\":\"user\",\"content\":\"?\"}},\
                 {{\"role\":\"assistant\",\"content\":\"{text}\"}}]}}\n\n"
            )
        };
        let piece = "data: {\"type\":\"TEXT_MESSAGE_CONTENT\",\"delta\":\"b\"}\n\n";
        let end = "data: {\"type\":\"RUN_FINISHED\"}\n\n";
        for (body, text) in [
            (snapshot("a") + end, "a"),
            (snapshot("an earlier one") + &snapshot("a") + end, "a"),
            (snapshot("an earlier one") + piece + end, "b"),
            (piece.to_owned() + piece + &snapshot("b") + end, "bb"),
        ] {
            let turn = turn("ag-ui", &body);
            assert_eq!(turn.text, text, "{body}");
            assert!(
                turn.final_at.is_some() && turn.first_text.is_some(),
                "{body}"
            );
        }
    }

    /// A node of LangGraph that returns a message of its own sends it after its pieces.
    #[test]
    fn a_message_that_comes_whole_after_its_pieces_is_read_once() {
        let message = |kind: &str, content: &str| {
            format!(
                "event: messages\ndata: [{{\"type\":\"{kind}\",\"content\":{content}}},{{}}]\n\n"
            )
        };
        let piece = |text: &str| message("AIMessageChunk", &format!("\"{text}\""));
        let whole = |text: &str| message("ai", &format!("\"{text}\""));
        let parts = message("ai", r#"[{"type":"text","text":"Task added."}]"#);
        for (body, text) in [
            (
                [piece("Task "), piece("added.\\n"), whole("Task added.")],
                "Task added.",
            ),
            ([piece("Task "), piece("added."), parts], "Task added."),
            (
                [whole("Task added."), String::new(), String::new()],
                "Task added.",
            ),
            // What another node says is more text.
            (
                [piece("Task "), piece("added."), whole(" All right?")],
                "Task added. All right?",
            ),
            // The calls of tools come with no text.
            ([piece("Task "), whole(""), piece("added.")], "Task added."),
            ([piece("A"), whole("A"), piece("B")], "AB"),
        ] {
            assert_eq!(turn("langgraph", &body.concat()).text, text);
        }
    }

    /// LangGraph's mode `messages` sends each message as far as it is known, and what a node
    /// returns whole.
    #[test]
    fn messages_that_come_so_far_follow_each_other() {
        let event = |name: &str, id: &str, content: &str| {
            format!(
                "event: messages/{name}\ndata: [{{\"type\":\"ai\",\"id\":\"{id}\",\"content\":\"{content}\"}}]\n\n"
            )
        };
        let asked = "event: messages/complete\ndata: [{\"type\":\"human\",\"id\":\"0\",\"content\":\"?\"}]\n\n";
        let checks = [
            event("partial", "1", "Let me"),
            event("partial", "1", "Let me check. "),
        ]
        .concat();
        let adds = [
            event("partial", "2", "Task"),
            event("partial", "2", "Task added."),
        ]
        .concat();
        let whole = |id: &str| event("complete", id, "Task added.");
        for (body, text) in [
            (
                [asked, &checks, &adds].concat(),
                "Let me check. Task added.",
            ),
            (
                [&checks, &adds, whole("2").as_str()].concat(),
                "Let me check. Task added.",
            ),
            (
                [&checks, &adds, whole("3").as_str()].concat(),
                "Let me check. Task added.",
            ),
            (whole("1"), "Task added."),
        ] {
            assert_eq!(turn("langgraph", &body).text, text, "{body}");
        }
    }

    /// Chainlit's page shows a message as it was last sent.
    #[test]
    fn a_message_of_chainlit_that_is_updated_is_read_as_updated() {
        let token = |text: &str| {
            format!(
                "42[\"stream_token\",{{\"id\":\"m\",\"token\":\"{text}\",\"isSequence\":false}}]"
            )
        };
        let update = r#"42["update_message",{"id":"m","type":"assistant_message","output":"I can't say that.","isError":false}]"#;
        let profile = profiles::named("chainlit").unwrap();
        let mut reader = profile.start(profile.marker());
        let (mut decoder, mut turn) = (Body::new(&profile.framing()), Turn::default());
        for message in [token("It is "), token("hunter2"), update.to_owned()] {
            let message = message.strip_prefix("42").unwrap_or(&message);
            for item in decoder.push(Duration::ZERO, message.as_bytes()).unwrap() {
                turn.take(&item, reader.as_mut());
            }
        }
        assert_eq!(turn.text, "I can't say that.");
    }

    /// A server relays the events as messages over a WebSocket, or as data without their names.
    #[test]
    fn anthropics_events_need_no_names() {
        let events = [
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}"#,
            r#"{"type":"message_stop"}"#,
        ];
        let body = events.map(|event| format!("data: {event}\n\n")).concat();
        let turn = turn("anthropic", &body);
        assert_eq!(turn.text, "Hello");
        assert!(
            turn.final_at.is_some() && turn.faults.is_empty(),
            "{turn:?}"
        );
    }

    /// A server that relays the events of a model sends the end of each of its responses.
    #[test]
    fn text_between_two_markers_makes_rounds() {
        let end = r#"{"done":true,"done_reason":"stop"}"#;
        let text = r#"{"message":{"content":"Hello"},"done":false}"#;
        for (lines, has_rounds) in [
            (vec![end, text, end], true),
            (vec![text, end, text, end], true),
            (vec![text, end, end], false),
            (vec![text, end, text], false),
            (
                vec![text, end, r#"{"message":{"content":""},"done":false}"#, end],
                false,
            ),
        ] {
            let turn = turn("ollama", &format!("{}\n", lines.join("\n")));
            assert_eq!(turn.has_rounds, has_rounds, "{lines:?}");
        }
    }

    #[test]
    fn openai_chunks_are_read() {
        let chunk = |choice: &str| format!("data: {{\"choices\":[{choice}]}}\n\n");
        let body = [
            chunk(
                r#"{"index":0,"delta":{"role":"assistant","content":"Hel"},"finish_reason":null}"#,
            ),
            chunk(
                r#"{"index":0,"delta":{"content":"lo","tool_calls":[{"index":0,"function":{"name":"f","arguments":"{\"a\""}}]}}"#,
            ),
            chunk(
                r#"{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]}}"#,
            ),
            chunk(r#"{"index":0,"delta":{},"finish_reason":"stop"}"#),
            "data: {\"choices\":[],\"usage\":{\"total_tokens\":3}}\n\ndata: [DONE]\n\n".to_owned(),
        ];
        let turn = turn("openai-chat", &body.concat());
        assert_eq!(turn.text, "Hello");
        assert_eq!(turn.tools[&0], ("f".to_owned(), "{\"a\":1}".to_owned()));
        assert_eq!(turn.text_complete.unwrap().1, "stop");
        assert!(turn.final_at.is_some() && turn.faults.is_empty());
    }

    /// The AI SDK sends `[DONE]` at the end of every stream, also behind an error.
    #[test]
    fn a_marker_behind_an_error_promises_nothing() {
        let error = r#"data: {"type":"error","errorText":"not saved"}"#;
        for (body, is_promised) in [
            ("data: [DONE]\n\n".to_owned(), true),
            (format!("{error}\n\ndata: [DONE]\n\n"), false),
            // What comes after the promise does not take it back.
            (format!("data: [DONE]\n\n{error}\n\n"), true),
            (format!("{error}\n\n"), false),
        ] {
            let turn = turn("vercel-ui", &body);
            assert_eq!(turn.promised_at().is_some(), is_promised, "{body}");
            assert_eq!(turn.final_at.is_some(), body.contains("[DONE]"), "{body}");
        }
    }

    /// Wherever a task says its state, and nowhere else: an artifact may hold data with a `status`.
    #[test]
    fn a_task_of_a2a_ends_where_it_says_so() {
        let status = r#""status":{"state":"completed"}"#;
        let data = r#"{"parts":[{"data":{"status":{"state":"completed"},"message":"x","lastChunk":true}}]}"#;
        for (event, is_final) in [
            (
                format!(r#"{{"result":{{"statusUpdate":{{{status}}}}}}}"#),
                true,
            ),
            (format!(r#"{{"result":{{"task":{{{status}}}}}}}"#), true),
            (format!(r#"{{"statusUpdate":{{{status}}}}}"#), true),
            (
                format!(r#"{{"result":{{"kind":"status-update",{status}}}}}"#),
                true,
            ),
            (format!(r#"{{"kind":"task",{status}}}"#), true),
            (
                format!(r#"{{"result":{{"artifactUpdate":{{"artifact":{data}}}}}}}"#),
                false,
            ),
            (
                format!(r#"{{"result":{{"kind":"artifact-update","artifact":{data}}}}}"#),
                false,
            ),
        ] {
            let turn = turn("a2a", &format!("data: {event}\n\n"));
            assert_eq!(turn.final_at.is_some(), is_final, "{event}");
            assert_eq!(turn.text_complete, None, "{event}");
            assert_eq!(turn.failed, None, "{event}");
        }
    }

    /// As recorded of OpenAI, of LM Studio, whose arguments come whole, and of Mistral, which repeats an empty name.
    #[test]
    fn vendors_send_calls_and_errors_in_their_own_ways() {
        let error = r#"data: {"type":"error","message":"no quota","sequence_number":0}"#;
        let failed = r#"data: {"type":"response.failed","response":{"error":{"message":"no quota"}},"sequence_number":1}"#;
        let turn_of_error = turn("openai-responses", &format!("{error}\n\n{failed}\n\n"));
        assert_eq!(turn_of_error.failed.as_deref(), Some("no quota"));
        assert!(turn_of_error.faults.is_empty(), "{turn_of_error:?}");
        let over_a_socket = r#"data: {"type":"error","status":400,"error":{"message":"no turn"}}"#;
        let turn_of_error = turn("openai-responses", &format!("{over_a_socket}\n\n"));
        assert_eq!(turn_of_error.failed.as_deref(), Some("no turn"));
        let call = |kind: &str, arguments: &str| {
            format!(
                "data: {{\"type\":\"response.output_item.{kind}\",\"output_index\":0,\"item\":{{\"type\":\"function_call\",\"name\":\"f\",\"arguments\":\"{arguments}\"}}}}\n\n"
            )
        };
        let piece = "data: {\"type\":\"response.function_call_arguments.delta\",\"output_index\":0,\"delta\":\"{}\"}\n\n";
        let expected = ("f".to_owned(), "{}".to_owned());
        for piece in ["", piece] {
            let body = call("added", "") + piece + &call("done", "{}");
            assert_eq!(turn("openai-responses", &body).tools[&0], expected);
        }
        let chunk = |delta: &str| format!("data: {{\"choices\":[{{\"delta\":{delta}}}]}}\n\n");
        let named = |name: &str, arguments: &str| {
            chunk(&format!(
                "{{\"tool_calls\":[{{\"index\":0,\"function\":{{\"name\":\"{name}\",\"arguments\":\"{arguments}\"}}}}]}}"
            ))
        };
        let body = named("f", "") + &named("", "{}");
        assert_eq!(turn("openai-chat", &body).tools[&0], expected);
        let parts = r#"{"content":[{"type":"thinking","thinking":[]},{"type":"text","text":"a"}]}"#;
        assert_eq!(turn("openai-chat", &chunk(parts)).text, "a");
    }

    #[test]
    fn an_error_event_and_a_bad_chunk_are_reported() {
        let turn = turn(
            "openai-chat",
            "data: {\"error\":{\"message\":\"no\"}}\n\ndata: {oops\n\n",
        );
        assert_eq!(turn.failed.as_deref(), Some("no"));
        assert!(matches!(turn.faults[0], Fault::Broken(_)));
    }
}
