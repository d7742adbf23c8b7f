//! Anthropic Messages (docs.anthropic.com/en/api/messages-streaming).

use super::{Form, Making, Message, Provider, Question, parts, sse};
use crate::gateway::answer::{Answer, ProviderError, ToolCall};
use crate::stream::cassette::{Framing, Fresh};
use serde_json::{Value, json};

pub(super) const PROVIDER: Provider = Provider {
    name: "anthropic",
    what: "Anthropic Messages",
    // Not `/messages` alone: OpenAI's threads end so too.
    routes: &["/v1/messages"],
    sockets: &[],
    framing: Framing::Sse,
    ask,
    make,
    says,
    is_final: |_, event| event.is_some_and(|event| event["type"] == "message_stop"),
    is_on_request: |_| false,
    content: |event| {
        (event["delta"]["type"] == "text_delta")
            .then(|| event["delta"]["text"].as_str())
            .flatten()
    },
    set_content: |event, text| event["delta"]["text"] = text.into(),
    repeat: None,
    recut: None,
    fresh: Fresh {
        ids: &[&["message", "id"], &["content_block", "id"]],
        times: &[],
    },
    whole: |answer, making| {
        let mut content = Vec::new();
        if !answer.text.is_empty() {
            content.push(json!({ "type": "text", "text": answer.text }));
        }
        content.extend(answer.tool_calls.iter().map(|call| {
            let input: Value = serde_json::from_str(&call.arguments).unwrap_or_default();
            json!({ "type": "tool_use", "id": call.id, "name": call.name, "input": input })
        }));
        let end = if answer.tool_calls.is_empty() {
            "end_turn"
        } else {
            "tool_use"
        };
        let reason = answer.finish_reason.as_deref().unwrap_or(end);
        message(making, content, Value::from(reason))
    },
    keeps: None,
    error_event: None,
    failed_event: None,
    error: |why| json!({ "type": "error", "error": { "type": "invalid_request_error", "message": why } }),
    call,
    without_text: None,
};

fn ask(_: &str, body: &Value) -> Result<Question, String> {
    let messages = body["messages"].as_array().into_iter().flatten();
    let messages = messages.map(|message| {
        let text = parts(&message["content"]);
        Message {
            // The results of tools come in the user's name, and have no text.
            is_user: message["role"] == "user" && !text.is_empty(),
            text,
            named: None,
            ..Message::default()
        }
    });
    Ok(Question {
        streams: body["stream"] == true,
        form: form(body),
        messages: messages.collect(),
        ..Question::default()
    })
}

/// A tool that must be called, or the schema of the text.
fn form(body: &Value) -> Option<Form> {
    let tools: Vec<_> = body["tools"].as_array().into_iter().flatten().collect();
    match body["tool_choice"]["type"].as_str() {
        Some("tool") => {
            return Form::call(&body["tool_choice"]["name"], &tools, &["input_schema"]);
        }
        Some("any") => return Form::any_call(&tools, &["input_schema"]),
        Some(_) | None => {}
    }
    let format = [&body["output_config"]["format"], &body["output_format"]];
    let schema = format.into_iter().find_map(|format| format.get("schema"));
    schema.cloned().map(Form::Json)
}

fn message(making: &Making<'_>, content: Vec<Value>, stop_reason: Value) -> Value {
    json!({
        "id": format!("msg_{}", making.stamp.id), "type": "message", "role": "assistant",
        "model": making.model, "content": content, "stop_reason": stop_reason,
        "stop_sequence": null, "usage": { "input_tokens": 1, "output_tokens": 1 },
    })
}

fn make(pieces: &[String], making: &Making<'_>) -> Vec<Vec<u8>> {
    let deltas = pieces.iter();
    let deltas = deltas.map(|piece| json!({ "type": "text_delta", "text": piece }));
    let block = json!({ "type": "text", "text": "" });
    of_block(making, &block, deltas.collect(), "end_turn")
}

fn call(call: &ToolCall, making: &Making<'_>) -> Vec<Vec<u8>> {
    let block = json!({ "type": "tool_use", "id": call.id, "name": call.name, "input": {} });
    let delta = json!({ "type": "input_json_delta", "partial_json": call.arguments });
    of_block(making, &block, vec![delta], "tool_use")
}

/// A message of one block, which comes in these deltas.
fn of_block(making: &Making<'_>, block: &Value, deltas: Vec<Value>, reason: &str) -> Vec<Vec<u8>> {
    let mut events = vec![
        json!({ "type": "message_start", "message": message(making, Vec::new(), Value::Null) }),
        json!({ "type": "content_block_start", "index": 0, "content_block": block }),
        json!({ "type": "ping" }),
    ];
    let tokens = deltas.len();
    let deltas = deltas.into_iter();
    events.extend(
        deltas.map(|delta| json!({ "type": "content_block_delta", "index": 0, "delta": delta })),
    );
    events.extend([
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({
            "type": "message_delta",
            "delta": { "stop_reason": reason, "stop_sequence": null },
            "usage": { "output_tokens": tokens },
        }),
        json!({ "type": "message_stop" }),
    ]);
    let events = events.iter();
    events
        .map(|event| sse(event["type"].as_str(), event))
        .collect()
}

fn says(event: &Value, answer: &mut Answer) -> Result<(), ProviderError> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match event["type"].as_str().unwrap_or_default() {
        "content_block_start" => {
            let block = &event["content_block"];
            if block["type"] == "tool_use" {
                answer.tool_calls.push(ToolCall {
                    id: text(&block["id"]),
                    name: text(&block["name"]),
                    arguments: String::new(),
                });
            }
            answer.text.push_str(&text(&block["text"]));
        }
        "content_block_delta" => {
            let delta = &event["delta"];
            answer.text.push_str(&text(&delta["text"]));
            if let (Some(json), Some(call)) =
                (delta["partial_json"].as_str(), answer.tool_calls.last_mut())
            {
                call.arguments.push_str(json);
            }
        }
        "message_delta" => {
            if let Some(reason) = event["delta"]["stop_reason"].as_str() {
                answer.finish_reason = Some(reason.to_owned());
            }
        }
        "error" => answer.error = Some(event["error"].clone()),
        _ => {}
    }
    Ok(())
}
