//! LLM providers: the APIs that the server under test calls. One file per provider.
//!
//! Pure: bytes and JSON in, bytes and JSON out.

mod anthropic;
mod form;
mod gemini;
mod ollama;
mod ollama_generate;
mod openai_chat;
mod openai_responses;

use super::answer::{Answer, ProviderError, ToolCall};
use crate::stream::cassette::{Cassette, Chunk, Framing, Fresh, Header, Stamp};
use crate::text::pieces_of;
use serde_json::Value;
use std::fmt;
use std::ops::Range;
use std::time::Duration;

pub use form::Form;

/// The only model, whatever a request names.
pub(super) const MODEL: &str = "chatctl";

/// What a title request and the like are answered: short, and telling where it came from.
pub(super) const EXTRA_ANSWER: &str = "Test chat";

/// What an answer is made with.
#[derive(Debug, Clone, Copy)]
pub struct Making<'a> {
    /// The name of the model.
    pub model: &'a str,
    /// What is new in this answer.
    pub stamp: &'a Stamp,
}

/// A row of the table.
pub struct Provider {
    /// The name in cassettes and reports.
    pub name: &'static str,
    /// The API, in a few words.
    pub what: &'static str,
    /// How the paths end to which a question is posted.
    pub routes: &'static [&'static str],
    /// How the paths end at which a WebSocket is opened for questions.
    pub sockets: &'static [&'static str],
    /// How a streamed answer is cut into events.
    pub framing: Framing,
    /// What a request asks: its path with the query, and its body. The error says why it can't be
    /// answered.
    pub ask: fn(&str, &Value) -> Result<Question, String>,
    /// A text that is cut into pieces, as events: each in bytes, with its end.
    pub make: fn(&[String], &Making<'_>) -> Vec<Vec<u8>>,
    /// Adds what one event says to an answer.
    pub says: fn(&Value, &mut Answer) -> Result<(), ProviderError>,
    /// Whether an event is the final one: its data, and its JSON where it is such.
    pub is_final: fn(&[u8], Option<&Value>) -> bool,
    /// Whether an event is sent only to who asks for it: its data.
    pub is_on_request: fn(&[u8]) -> bool,
    /// The piece of text in an event.
    pub content: fn(&Value) -> Option<&str>,
    /// Changes the piece of text in an event that has one.
    pub set_content: fn(&mut Value, &str),
    /// Adds an ending to the text in an event that repeats it; returns whether it does. Absent where
    /// no event does.
    pub repeat: Option<fn(&mut Value, &str) -> bool>,
    /// How a recorded answer is cut again; absent where it is played as recorded only.
    pub recut: Option<Recut>,
    /// Where recorded events have what must be new in each answer.
    pub fresh: Fresh,
    /// The answer to a request that does not stream.
    pub whole: fn(&Answer, &Making<'_>) -> Value,
    /// A stream that says nothing and calls one tool, as events.
    pub call: fn(&ToolCall, &Making<'_>) -> Vec<Vec<u8>>,
    /// How it keeps conversations, where it does.
    pub keeps: Option<Keeps>,
    /// An error as the provider's clients expect it.
    pub error: fn(&str) -> Value,
    /// The same after so many events of a stream, where it has another form there.
    pub error_event: Option<fn(&str, usize) -> Value>,
    /// The event by which a stream that began with another one says that its answer failed, where
    /// that is no error of its own form.
    pub failed_event: Option<fn(&Value, &str, usize) -> Value>,
    /// A whole stream without text, as events; absent where none is known.
    pub without_text: Option<WithoutText>,
}

/// How a provider keeps conversations.
pub struct Keeps {
    /// The id of an answer, under which all up to it is kept.
    pub id: fn(&Stamp) -> String,
    /// The messages in an event or in a whole answer that a request may name by their id: the id and the text.
    pub items: fn(&Value) -> Vec<(String, String)>,
}

/// Makes the events of a stream without text.
pub type WithoutText = fn(NoText, &Making<'_>) -> Vec<Vec<u8>>;

/// What a model does instead of saying something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoText {
    /// It only thinks.
    Reasoning,
    /// It only calls a tool, which no server has.
    ToolCall,
}

/// How one event becomes several.
pub struct Recut {
    /// The event with one piece of the text, and nothing else that belongs to one chunk only.
    pub piece: fn(&Value, &str) -> String,
    /// What an event carries besides its text: itself with empty text; else none.
    pub rest: fn(&Value) -> Option<String>,
}

/// What a request asks.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Question {
    /// Whether the answer is to be streamed.
    pub streams: bool,
    /// Whether it asks for what is sent on request only.
    pub wants_all: bool,
    /// The form that its answer must have, where it demands one.
    pub form: Option<Form>,
    /// The conversation, as far as it is in the request.
    pub messages: Vec<Message>,
    /// What this one continues, where the provider keeps conversations.
    pub previous: Option<Previous>,
}

/// What a provider keeps, by its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Previous {
    /// An answer, with all that was said up to it.
    Answer(String),
    /// A conversation, which the next answer is added to.
    Conversation(String),
}

impl Previous {
    pub fn id(&self) -> &str {
        match self {
            Self::Answer(id) | Self::Conversation(id) => id,
        }
    }
}

/// One message of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// Whether the user said it.
    pub is_user: bool,
    pub text: String,
    /// The id by which the request names an answer that the provider keeps, in place of the text.
    pub named: Option<String>,
    /// The ids of the tool calls that it makes; nothing where the provider's format has none, or
    /// they are not read.
    pub calls: Vec<String>,
    /// The id of the call whose result it is.
    pub result_of: Option<String>,
}

impl Question {
    /// Gives the messages that are only named the text that they have; what is unknown is no message.
    pub(super) fn resolve(&mut self, text_of: impl Fn(&str) -> Option<String>) {
        self.messages.retain_mut(|message| {
            let Some(id) = message.named.take() else {
                return true;
            };
            let text = text_of(&id);
            message.text = text.clone().unwrap_or_default();
            text.is_some()
        });
    }
}

/// Every provider.
pub static ALL: &[Provider] = &[
    openai_chat::PROVIDER,
    openai_responses::PROVIDER,
    anthropic::PROVIDER,
    gemini::PROVIDER,
    ollama::PROVIDER,
    ollama_generate::PROVIDER,
];

pub fn named(name: &str) -> Option<&'static Provider> {
    ALL.iter().find(|provider| provider.name == name)
}

/// The provider that sent a cassette, where its format is read.
pub fn of(cassette: &Cassette) -> Option<&'static Provider> {
    named(cassette.profile())
}

/// The provider that a path belongs to.
pub fn at(path: &str) -> Option<&'static Provider> {
    ALL.iter()
        .find(|provider| provider.routes.iter().any(|route| is_route(path, route)))
}

/// The provider that speaks over a WebSocket at a path.
pub fn socket_at(path: &str) -> Option<&'static Provider> {
    ALL.iter()
        .find(|provider| provider.sockets.iter().any(|route| is_route(path, route)))
}

/// Whether a path is a route after a base that some client puts before it.
pub(super) fn is_route(path: &str, route: &str) -> bool {
    path.strip_suffix(route).is_some_and(is_base)
}

/// Clients add a version to the base URL or do not, and some name a model. Any other base is a
/// mistake in the server's settings.
pub(super) fn is_base(base: &str) -> bool {
    let mut segments = base.split('/').filter(|segment| !segment.is_empty());
    while let Some(segment) = segments.next() {
        let known = match segment {
            "v1" | "v1beta" | "v1beta1" | "v1alpha" | "openai" => true,
            "models" | "deployments" | "projects" | "locations" | "publishers" => {
                segments.next().is_some()
            }
            _ => false,
        };
        if !known {
            return false;
        }
    }
    true
}

/// What the gateway answers, for a message.
pub fn answered() -> String {
    let routes = ALL.iter().flat_map(|provider| provider.routes);
    let routes = routes.map(|route| format!("POST {route}"));
    let sockets = ALL.iter().flat_map(|provider| provider.sockets);
    let sockets = sockets.map(|route| format!("WS {route}"));
    routes.chain(sockets).collect::<Vec<_>>().join(", ")
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Provider {
    /// A stream that says `text` in `pieces` content chunks, or in as many as it has
    /// characters; all at time 0.
    pub fn made(&self, text: &str, pieces: usize, making: &Making<'_>) -> Cassette {
        let blocks = (self.make)(&pieces_of(text, pieces), making).into_iter();
        let chunk = |bytes| Chunk {
            at: Duration::ZERO,
            bytes,
        };
        Cassette {
            header: Some(Header {
                profile: Some(self.name.to_owned()),
            }),
            chunks: blocks.map(chunk).collect(),
        }
    }

    /// Whether a chunk is the final marker and nothing else.
    pub fn is_only_final(&self, bytes: &[u8]) -> bool {
        let blocks = self.framing.blocks(bytes).into_iter();
        let mut data = blocks.filter_map(|block| block.data).peekable();
        data.peek().is_some()
            && data.all(|data| (self.is_final)(&data, serde_json::from_slice(&data).ok().as_ref()))
    }

    /// Where a body has what is sent on request only.
    pub(super) fn on_request(&self, body: &[u8]) -> Vec<Range<usize>> {
        let is_it = |data: &Vec<u8>| (self.is_on_request)(data);
        let blocks = self.framing.blocks(body).into_iter();
        blocks
            .filter(|block| block.data.as_ref().is_some_and(is_it))
            .map(|block| block.range)
            .collect()
    }

    /// A short answer as a stream: a text, or the call of a tool. `wants_all`: also what is sent on request only.
    pub(super) fn streamed(
        &self,
        answer: &Answer,
        wants_all: bool,
        making: &Making<'_>,
    ) -> Vec<u8> {
        let events = match answer.tool_calls.first() {
            Some(call) => (self.call)(call, making),
            None => (self.make)(std::slice::from_ref(&answer.text), making),
        };
        let is_sent = |event: &Vec<u8>| wants_all || self.on_request(event).is_empty();
        events.into_iter().filter(is_sent).flatten().collect()
    }

    /// An error in the stream, after so many events.
    pub fn error_after(&self, events: usize, message: &str) -> Vec<u8> {
        let error = match self.error_event {
            Some(error) => error(message, events),
            None => (self.error)(message),
        };
        self.event(&error)
    }

    /// The end of a stream whose answer failed, after so many events of which this is the first;
    /// none where the error is all that is sent then.
    pub fn failed_after(&self, begun: &Value, events: usize, message: &str) -> Option<Vec<u8>> {
        let failed = self.failed_event?;
        Some(self.event(&failed(begun, message, events)))
    }

    fn event(&self, event: &Value) -> Vec<u8> {
        match self.framing {
            Framing::Sse => sse(event["type"].as_str(), event),
            Framing::Lines => format!("{event}\n").into_bytes(),
        }
    }

    /// A cassette as one answer of its own.
    pub fn stamped(&self, cassette: &Cassette, stamp: &Stamp) -> Cassette {
        cassette.stamped(stamp, Some((self.framing, &self.fresh)))
    }
}

/// An event with its name, where it has one.
fn sse(name: Option<&str>, data: &Value) -> Vec<u8> {
    match name {
        Some(name) => format!("event: {name}\ndata: {data}\n\n"),
        None => format!("data: {data}\n\n"),
    }
    .into_bytes()
}

/// A message's content: a string, or parts of which the texts count.
fn parts(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::{ALL, Answer, Making, Stamp, ToolCall};
    use crate::gateway::cut::split;
    use serde_json::{Value, json};

    #[test]
    fn an_answer_is_a_whole_stream() {
        let stamp = Stamp::sample();
        let making = Making {
            model: "m",
            stamp: &stamp,
        };
        for provider in ALL {
            let cassette = provider.made("Grüße 👋!", 3, &making);
            let answer = provider.answer(&cassette).unwrap();
            assert_eq!(answer.text, "Grüße 👋!", "{provider:?}");
            assert!(answer.finish_reason.is_some(), "{provider:?}");
            assert!(answer.done, "{provider:?}");
            let script = split(&cassette, "n-1").unwrap();
            let bytes = |chunks: &[crate::stream::cassette::Chunk]| {
                let chunks = chunks.iter().flat_map(|chunk| chunk.bytes.clone());
                String::from_utf8(chunks.collect()).unwrap()
            };
            assert!(!bytes(&script.before).contains("n-1"), "{provider:?}");
            assert!(
                bytes(std::slice::from_ref(&script.last)).contains("n-1"),
                "{provider:?}"
            );
            let whole = [script.before, vec![script.last], script.after].concat();
            let whole = super::Cassette {
                header: cassette.header.clone(),
                chunks: whole,
            };
            let said = provider.answer(&whole).unwrap();
            assert_eq!(said.text, "Grüße 👋! n-1", "{provider:?}");
        }
    }

    /// Whatever a provider's clients read of a call that was not streamed, they read of one that was.
    #[test]
    fn a_call_is_a_whole_stream() {
        let stamp = Stamp::sample();
        let making = Making {
            model: "m",
            stamp: &stamp,
        };
        let call = ToolCall {
            id: "call_1".to_owned(),
            name: "f".to_owned(),
            arguments: "{\"a\":1}".to_owned(),
        };
        for provider in ALL.iter().filter(|it| it.name != "ollama-generate") {
            let asked = Answer {
                tool_calls: vec![call.clone()],
                ..Answer::default()
            };
            let cassette = super::Cassette {
                header: None,
                chunks: vec![super::Chunk {
                    at: std::time::Duration::ZERO,
                    bytes: provider.streamed(&asked, false, &making),
                }],
            };
            let answer = provider.answer(&cassette).unwrap();
            assert!(answer.done && answer.text.is_empty(), "{provider:?}");
            let [said] = &answer.tool_calls[..] else {
                panic!("{provider:?}: {answer:?}");
            };
            assert_eq!(
                (&said.name, &said.arguments),
                (&call.name, &call.arguments),
                "{provider:?}"
            );
        }
    }

    /// A router demands the call of some tool, in the words of each provider.
    #[test]
    fn a_request_that_demands_some_call_is_given_one() {
        let function = json!({ "name": "route", "parameters": { "required": ["to"] } });
        let as_openai = json!([{ "type": "function", "function": function }]);
        let flat = json!([{ "type": "web_search" }, { "type": "function", "name": "route" }]);
        let declared = json!([{ "function_declarations": [{ "name": "other" }, function] }]);
        let calling = |more: Value| {
            let mut config = json!({ "mode": "ANY" });
            config["allowed_function_names"] = more;
            json!({ "tool_config": { "function_calling_config": config }, "tools": declared })
        };
        for (provider, demands, name) in [
            (
                "openai-chat",
                json!({ "tool_choice": "required", "tools": as_openai }),
                "route",
            ),
            (
                "openai-responses",
                json!({ "tool_choice": "required", "tools": flat }),
                "route",
            ),
            (
                "anthropic",
                json!({ "tool_choice": { "type": "any" }, "tools": [{ "name": "route" }] }),
                "route",
            ),
            ("gemini", calling(Value::Null), "other"),
            ("gemini", calling(json!(["route", "other"])), "route"),
        ] {
            let provider = super::named(provider).unwrap();
            let form = (provider.ask)("", &demands).unwrap().form;
            let answer = form.map(|form| form.answer(&Stamp::sample()));
            let answer = answer.unwrap_or_else(|| panic!("{provider:?} sees no form"));
            assert_eq!(answer.tool_calls[0].name, name, "{provider:?}");
            let mut free = demands;
            free["tool_choice"] = json!("auto");
            free["tool_config"] = json!({ "function_calling_config": { "mode": "AUTO" } });
            assert_eq!(
                (provider.ask)("", &free).unwrap().form,
                None,
                "{provider:?}"
            );
        }
        let json = json!({ "generation_config": { "response_mime_type": "application/json" } });
        let form = (super::gemini::PROVIDER.ask)("", &json).unwrap().form;
        assert_eq!(form, Some(super::Form::object()));
    }

    /// What the gateway sends as an error is one to whoever reads the format.
    #[test]
    fn an_error_in_a_stream_is_read_as_one() {
        for provider in ALL {
            let cassette = super::Cassette {
                header: None,
                chunks: vec![super::Chunk {
                    at: std::time::Duration::ZERO,
                    bytes: provider.error_after(3, "it failed"),
                }],
            };
            let error = provider.answer(&cassette).unwrap().error;
            let error = error.unwrap_or_else(|| panic!("{provider:?} reads no error"));
            assert!(error.to_string().contains("it failed"), "{provider:?}");
        }
        let error = super::openai_responses::PROVIDER.error_after(3, "it failed");
        let error = String::from_utf8(error).unwrap();
        assert!(error.starts_with("event: error\ndata: {"), "{error}");
        assert!(error.contains("\"sequence_number\":3"), "{error}");
        // The official client libraries raise where an event has this key, and this one has none.
        assert!(!error.contains("\"error\":"), "{error}");
    }

    #[test]
    fn openai_chat_has_a_chunk_for_the_role_and_one_for_the_usage() {
        let stamp = Stamp::sample();
        let making = Making {
            model: "m",
            stamp: &stamp,
        };
        let cassette = super::openai_chat::PROVIDER.made("Grüße 👋!", 3, &making);
        assert_eq!(cassette.chunks.len(), 1 + 3 + 1 + 1 + 1);
    }
}
