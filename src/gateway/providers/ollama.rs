//! Ollama's own `/api/chat` (github.com/ollama/ollama, docs/api.md).

use super::{Form, Making, Message, Provider, Question, parts};
use crate::gateway::answer::{Answer, ProviderError, ToolCall};
use crate::stream::cassette::{Framing, Fresh};
use serde_json::{Value, json};
use std::time::{Duration, UNIX_EPOCH};

pub(super) const PROVIDER: Provider = Provider {
    name: "ollama",
    what: "Ollama chat",
    routes: &["/api/chat"],
    sockets: &[],
    framing: Framing::Lines,
    ask: |_, body| {
        let messages = body["messages"].as_array().into_iter().flatten();
        let messages = messages.map(|message| Message {
            is_user: message["role"] == "user",
            text: parts(&message["content"]),
            named: None,
            ..Message::default()
        });
        Ok(Question {
            streams: streams(body),
            form: form(body),
            messages: messages.collect(),
            ..Question::default()
        })
    },
    make: |pieces, making| lines(pieces, making, said),
    says,
    is_final,
    is_on_request: |_| false,
    content: |line| line["message"]["content"].as_str(),
    set_content: |line, text| line["message"]["content"] = text.into(),
    repeat: None,
    recut: None,
    fresh: FRESH,
    whole: |answer, making| {
        let mut whole = last(making, said(&answer.text));
        let calls: Vec<_> = answer.tool_calls.iter().map(called).collect();
        if !calls.is_empty() {
            whole["message"]["tool_calls"] = calls.into();
        }
        whole
    },
    keeps: None,
    error_event: None,
    failed_event: None,
    error,
    call: |call, making| {
        let mut said = said("");
        said["message"]["tool_calls"] = vec![called(call)].into();
        vec![
            format!("{}\n", line(making, said, false)).into_bytes(),
            format!("{}\n", last(making, self::said(""))).into_bytes(),
        ]
    },
    without_text: None,
};

/// No line has an id, and its time is a text that clients only show.
pub(super) const FRESH: Fresh = Fresh {
    ids: &[],
    times: &[],
};

/// Ollama streams unless it is asked not to.
pub(super) fn streams(body: &Value) -> bool {
    body["stream"] != false
}

/// JSON with or without a schema.
pub(super) fn form(body: &Value) -> Option<Form> {
    match &body["format"] {
        Value::String(format) if format == "json" => Some(Form::object()),
        schema @ Value::Object(_) => Some(Form::Json(schema.clone())),
        _ => None,
    }
}

fn called(call: &ToolCall) -> Value {
    let arguments: Value = serde_json::from_str(&call.arguments).unwrap_or_default();
    json!({ "function": { "name": call.name, "arguments": arguments } })
}

pub(super) fn is_final(_: &[u8], line: Option<&Value>) -> bool {
    line.is_some_and(|line| line["done"] == true)
}

pub(super) fn error(why: &str) -> Value {
    json!({ "error": why })
}

fn said(text: &str) -> Value {
    json!({ "message": { "role": "assistant", "content": text } })
}

/// A line a piece, and one that ends the answer. `said` has a piece in the words of the route.
pub(super) fn lines(
    pieces: &[String],
    making: &Making<'_>,
    said: fn(&str) -> Value,
) -> Vec<Vec<u8>> {
    let pieces = pieces.iter().map(|piece| line(making, said(piece), false));
    let lines = pieces.chain([last(making, said(""))]);
    lines.map(|line| format!("{line}\n").into_bytes()).collect()
}

/// The line that ends an answer.
pub(super) fn last(making: &Making<'_>, said: Value) -> Value {
    let mut last = line(making, said, true);
    last["done_reason"] = "stop".into();
    for key in ["total_duration", "load_duration", "prompt_eval_count"] {
        last[key] = 1.into();
    }
    for key in ["prompt_eval_duration", "eval_count", "eval_duration"] {
        last[key] = 1.into();
    }
    last
}

fn line(making: &Making<'_>, mut said: Value, done: bool) -> Value {
    let now = UNIX_EPOCH + Duration::from_secs(making.stamp.now);
    said["model"] = making.model.into();
    said["created_at"] = humantime::format_rfc3339_micros(now).to_string().into();
    said["done"] = done.into();
    said
}

fn says(line: &Value, answer: &mut Answer) -> Result<(), ProviderError> {
    let message = &line["message"];
    let text = message["content"].as_str();
    answer.text.push_str(text.unwrap_or_default());
    for call in message["tool_calls"].as_array().into_iter().flatten() {
        let function = &call["function"];
        answer.tool_calls.push(ToolCall {
            id: String::new(),
            name: function["name"].as_str().unwrap_or_default().to_owned(),
            arguments: function["arguments"].to_string(),
        });
    }
    ends(line, answer);
    Ok(())
}

/// How an answer ends, the same on both routes.
pub(super) fn ends(line: &Value, answer: &mut Answer) {
    if let Some(reason) = line["done_reason"].as_str() {
        answer.finish_reason = Some(reason.to_owned());
    }
    if !line["error"].is_null() {
        answer.error = Some(line["error"].clone());
    }
}
