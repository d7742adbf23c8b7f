//! What an openai-chat cassette says.

use super::sse::{Block, blocks};
use super::{Cassette, Stamp};
use serde_json::{Value, json};
use std::fmt;
use std::ops::Range;

/// The answer of a provider, put together from its chunks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The text; empty when the model only calls tools.
    pub text: String,
    /// The tool calls, in the order of their index.
    pub tool_calls: Vec<ToolCall>,
    /// The last reason given; absent when the stream was cut.
    pub finish_reason: Option<String>,
    /// Whether `[DONE]` came.
    pub done: bool,
    /// An error that came in the stream.
    pub error: Option<Value>,
}

/// One tool call, put together from its deltas.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolCall {
    /// The provider's id.
    pub id: String,
    /// The function.
    pub name: String,
    /// Its arguments, JSON as the model wrote it.
    pub arguments: String,
}

/// A cassette that does not say what was asked of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderError {
    /// Why not.
    pub message: String,
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ProviderError {}

/// The JSON of a block that comes before `[DONE]`.
pub(super) struct Event {
    pub(super) block: Range<usize>,
    pub(super) json: Value,
}

impl Cassette {
    /// What the cassette says. Whatever follows `[DONE]` is not read, as no client reads it.
    pub fn answer(&self) -> Result<Answer, ProviderError> {
        let (events, done) = self.events()?;
        if events.is_empty() && !done {
            return Err(error("it has no `data:` line"));
        }
        let mut answer = Answer {
            done,
            ..Answer::default()
        };
        for Event { json, .. } in &events {
            if let Some(error) = json.get("error").filter(|error| !error.is_null()) {
                answer.error = Some(error.clone());
            }
            let Some(choice) = first_choice(json) else {
                continue;
            };
            let delta = &choice["delta"];
            answer
                .text
                .push_str(delta["content"].as_str().unwrap_or_default());
            for call in delta["tool_calls"].as_array().into_iter().flatten() {
                add_tool_call(&mut answer.tool_calls, call)?;
            }
            if let Some(reason) = choice["finish_reason"].as_str() {
                answer.finish_reason = Some(reason.to_owned());
            }
        }
        Ok(answer)
    }

    /// The events before `[DONE]`, and whether it came.
    pub(super) fn events(&self) -> Result<(Vec<Event>, bool), ProviderError> {
        if !self.is_openai_chat() {
            return Err(error(format!("its profile is `{}`", self.profile())));
        }
        let mut events = Vec::new();
        for Block { range, data } in blocks(&self.body()) {
            let Some(data) = data else { continue };
            if data == b"[DONE]" {
                return Ok((events, true));
            }
            if data.is_empty() {
                continue;
            }
            let json = serde_json::from_slice(&data).map_err(|reason| {
                let shown: String = String::from_utf8_lossy(&data).chars().take(60).collect();
                error(format!("`data: {shown}` is not JSON: {reason}"))
            })?;
            events.push(Event { block: range, json });
        }
        Ok((events, false))
    }
}

/// The answer to a request without `stream`.
pub fn to_completion(answer: &Answer, model: &str, stamp: &Stamp) -> Value {
    let mut message = json!({ "role": "assistant", "content": answer.text });
    if !answer.tool_calls.is_empty() {
        if answer.text.is_empty() {
            message["content"] = Value::Null;
        }
        let calls = answer.tool_calls.iter().map(|call| {
            let function = json!({ "name": call.name, "arguments": call.arguments });
            json!({ "id": call.id, "type": "function", "function": function })
        });
        message["tool_calls"] = calls.collect();
    }
    json!({
        "id": stamp.completion(),
        "object": "chat.completion",
        "created": stamp.now,
        "model": model,
        "choices": [{
            "index": 0,
            "message": message,
            "logprobs": null,
            "finish_reason": answer.finish_reason.as_deref().unwrap_or("stop"),
        }],
        "usage": { "prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2 },
    })
}

pub(super) fn error(message: impl Into<String>) -> ProviderError {
    let message = message.into();
    ProviderError { message }
}

pub(super) fn is_first(choice: &Value) -> bool {
    choice["index"].as_u64().unwrap_or_default() == 0
}

pub(super) fn first_choice(json: &Value) -> Option<&Value> {
    json.get("choices")?
        .as_array()?
        .iter()
        .find(|choice| is_first(choice))
}

fn add_tool_call(calls: &mut Vec<ToolCall>, delta: &Value) -> Result<(), ProviderError> {
    let index = delta["index"].as_u64().unwrap_or_default();
    let index = usize::try_from(index).unwrap_or(usize::MAX);
    if index > calls.len() {
        return Err(error(format!(
            "tool call {index} comes before tool call {}",
            calls.len()
        )));
    }
    if index == calls.len() {
        calls.push(ToolCall::default());
    }
    let call = &mut calls[index];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    // Some providers repeat id and name in every delta.
    if call.id.is_empty() {
        call.id = text(&delta["id"]);
    }
    if call.name.is_empty() {
        call.name = text(&delta["function"]["name"]);
    }
    call.arguments
        .push_str(&text(&delta["function"]["arguments"]));
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::Cassette;

    fn sse(body: &str) -> Cassette {
        Cassette::parse("x.sse", body.as_bytes()).unwrap()
    }

    #[test]
    fn nothing_is_read_after_done() {
        let content = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
        let answer = sse(&format!("{content}data: [DONE]\n\n{content}")).answer();
        assert_eq!(answer.unwrap().text, "a");
    }

    #[test]
    fn an_error_in_the_stream_is_kept() {
        let answer = sse("data: {\"error\":{\"code\":500}}\n\n")
            .answer()
            .unwrap();
        assert_eq!(answer.error.unwrap()["code"], 500);
    }

    #[test]
    fn what_is_no_answer_is_told() {
        for (body, message) in [
            (": only a comment\n\n", "it has no `data:` line"),
            (
                "data: Hello\n\n",
                "`data: Hello` is not JSON: expected value at line 1 column 1",
            ),
        ] {
            assert_eq!(sse(body).answer().unwrap_err().message, message);
        }
    }
}
