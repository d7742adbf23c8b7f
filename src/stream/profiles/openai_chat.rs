//! OpenAI chat completions, streamed
//! (platform.openai.com/docs/api-reference/chat-streaming).

use super::{Code, Profile, Reader, StreamEvent, Wire};
use crate::model::{Frame, Line};
use crate::stream::json::{Document, Json};
use crate::stream::marker::FinalMarker;

pub(super) const PROFILE: Profile = Profile {
    name: "openai-chat",
    what: "OpenAI chat completion chunks; `finish_reason` ends the text, `data: [DONE]` is final",
    wire: Wire::Code(Code {
        marker: || FinalMarker::Data("[DONE]".into()),
        start: |marker| Box::new(OpenAiChat { marker }),
    }),
};

struct OpenAiChat {
    marker: FinalMarker,
}

impl Reader for OpenAiChat {
    fn frame(&mut self, frame: &Frame) -> Vec<StreamEvent> {
        if self.marker.is_frame(frame) {
            return vec![StreamEvent::Final];
        }
        match Document::parse(&frame.data) {
            Ok(chunk) => events(chunk.root(), &frame.event),
            Err(error) => vec![StreamEvent::Broken(format!("a chunk is not JSON: {error}"))],
        }
    }

    fn is_final(&self, line: &Line) -> bool {
        self.marker.is_line(line)
    }
}

fn events(chunk: &Json<'_>, name: &str) -> Vec<StreamEvent> {
    // Both official SDKs raise on a truthy `error`; the Node SDK also on an event named so.
    let error = chunk.at("error");
    let is_none = match error {
        Json::Null | Json::Bool(false) => true,
        Json::Number(number) => number.as_i64() == Some(0),
        Json::Text(text) => text.is_empty(),
        Json::Bool(true) | Json::List(_) | Json::Object(_) => false,
    };
    if name == "error" || !is_none {
        let said = error
            .at("message")
            .as_str()
            .map_or_else(|| chunk.to_string(), str::to_owned);
        return vec![StreamEvent::Failed(said)];
    }
    let choices = chunk.at("choices").items();
    let mut events = Vec::new();
    // A request for several answers has several choices; a chat shows the first.
    for choice in choices
        .iter()
        .filter(|choice| choice.at("index").as_u64().unwrap_or(0) == 0)
    {
        let delta = choice.at("delta");
        // Mistral's reasoning models send a list of parts.
        let parts = delta.at("content").items().iter();
        let parts = parts.filter(|part| part.at("type").as_str() == Some("text"));
        let texts = parts.map(|part| part.at("text"));
        for text in texts.chain([delta.at("content"), delta.at("refusal")]) {
            if let Some(text) = text.as_str().filter(|text| !text.is_empty()) {
                events.push(StreamEvent::Text(text.to_owned()));
            }
        }
        // Providers spell it in two ways; OpenAI itself does not stream it.
        let thought = ["reasoning_content", "reasoning"]
            .iter()
            .find_map(|field| delta.at(field).as_str().filter(|text| !text.is_empty()));
        events.extend(thought.map(|text| StreamEvent::Reasoning(text.to_owned())));
        for call in delta.at("tool_calls").items() {
            let function = call.at("function");
            let name = function.at("name").as_str();
            events.push(StreamEvent::ToolCall {
                index: call.at("index").as_u64().unwrap_or(0),
                name: name.filter(|name| !name.is_empty()).map(str::to_owned),
                arguments: function.at("arguments").as_str().unwrap_or("").to_owned(),
            });
        }
        if let Some(reason) = choice.at("finish_reason").as_str() {
            events.push(StreamEvent::TextComplete(reason.to_owned()));
        }
    }
    if chunk.at("usage").is_object() {
        events.push(StreamEvent::Usage);
    }
    if events.is_empty() {
        events.push(StreamEvent::Ignored);
    }
    events
}
