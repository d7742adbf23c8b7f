//! OpenAI chat completions (platform.openai.com/docs/api-reference/chat).

use super::{Form, Making, Message, NoText, Provider, Question, Recut, parts, sse};
use crate::gateway::answer::{Answer, ProviderError, ToolCall};
use crate::stream::cassette::{Framing, Fresh};
use memchr::memmem;
use serde_json::{Value, json};

pub(super) const PROVIDER: Provider = Provider {
    name: "openai-chat",
    what: "OpenAI chat completions",
    routes: &["/chat/completions"],
    sockets: &[],
    framing: Framing::Sse,
    ask,
    make,
    says,
    is_final: |data, _| data == b"[DONE]",
    is_on_request: is_usage,
    content,
    set_content,
    repeat: None,
    recut: Some(Recut { piece, rest }),
    fresh: Fresh {
        ids: &[&["id"], &["choices", "*", "delta", "tool_calls", "*", "id"]],
        times: &[&["created"]],
    },
    whole,
    keeps: None,
    error_event: None,
    failed_event: None,
    error: |why| {
        json!({"error": {
            "message": why, "type": "invalid_request_error", "param": null,
            "code": "chatctl_unmatched"}})
    },
    call,
    without_text: Some(without_text),
};

fn ask(_: &str, body: &Value) -> Result<Question, String> {
    let messages = body["messages"].as_array().into_iter().flatten();
    Ok(Question {
        streams: body["stream"] == true,
        // Or as OpenRouter has it.
        wants_all: body["stream_options"]["include_usage"] == true
            || body["usage"]["include"] == true,
        form: form(body),
        messages: messages
            .map(|message| Message {
                is_user: message["role"] == "user",
                text: parts(&message["content"]),
                named: None,
                calls: called(message),
                result_of: message["tool_call_id"].as_str().map(str::to_owned),
            })
            .collect(),
        previous: None,
    })
}

/// The ids of the calls in a message.
fn called(message: &Value) -> Vec<String> {
    let calls = message["tool_calls"].as_array().into_iter().flatten();
    let ids = calls.filter_map(|call| call["id"].as_str());
    ids.map(str::to_owned).collect()
}

/// The function that must be called, or JSON with or without a schema.
fn form(body: &Value) -> Option<Form> {
    let tools = body["tools"].as_array().into_iter().flatten();
    let tools: Vec<_> = tools.map(|tool| &tool["function"]).collect();
    let forced = &body["tool_choice"]["function"]["name"];
    if !forced.is_null() {
        return Form::call(forced, &tools, &["parameters"]);
    }
    if body["tool_choice"] == "required" {
        return Form::any_call(&tools, &["parameters"]);
    }
    let format = &body["response_format"];
    match format["type"].as_str()? {
        "json_schema" => Some(Form::Json(format["json_schema"]["schema"].clone())),
        "json_object" => Some(Form::object()),
        _ => None,
    }
}

/// The chunk with the usage has no choice, and many a loop over chunks takes the first one of each.
fn is_usage(data: &[u8]) -> bool {
    memmem::find(data, b"\"usage\"").is_some()
        && serde_json::from_slice::<Value>(data).is_ok_and(|json| {
            json["usage"].is_object() && json["choices"].as_array().is_some_and(Vec::is_empty)
        })
}

/// Role, content, `finish_reason`, usage, `[DONE]`.
///
/// Token counts are those of the pieces, not a tokenizer's.
fn make(pieces: &[String], making: &Making<'_>) -> Vec<Vec<u8>> {
    let chunk = |delta: Value, finish_reason: Value| chunk(making, delta, finish_reason);
    let mut events = vec![chunk(
        json!({ "role": "assistant", "content": "" }),
        Value::Null,
    )];
    let content = pieces.iter();
    events.extend(content.map(|piece| chunk(json!({ "content": piece }), Value::Null)));
    events.push(chunk(json!({}), Value::from("stop")));
    let mut usage = envelope(making, json!([]));
    usage["usage"] = json!({
        "prompt_tokens": 1,
        "completion_tokens": pieces.len(),
        "total_tokens": pieces.len() + 1,
    });
    events.push(usage);
    let mut blocks: Vec<_> = events.iter().map(|event| sse(None, event)).collect();
    blocks.push(b"data: [DONE]\n\n".to_vec());
    blocks
}

fn chunk(making: &Making<'_>, delta: Value, finish_reason: Value) -> Value {
    let choice =
        json!({ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason });
    envelope(making, json!([choice]))
}

/// Reasoning as DeepSeek and vLLM send it.
fn without_text(what: NoText, making: &Making<'_>) -> Vec<Vec<u8>> {
    match what {
        NoText::Reasoning => {
            let delta = json!({ "reasoning_content": "The user wants something." });
            of_delta(delta, "stop", making)
        }
        NoText::ToolCall => {
            let no_such = ToolCall {
                id: format!("call_{}", making.stamp.id),
                name: "chatctl_no_such_tool".to_owned(),
                arguments: "{}".to_owned(),
            };
            call(&no_such, making)
        }
    }
}

fn call(call: &ToolCall, making: &Making<'_>) -> Vec<Vec<u8>> {
    let function = json!({ "name": call.name, "arguments": call.arguments });
    let call = json!({ "index": 0, "id": call.id, "type": "function", "function": function });
    of_delta(json!({ "tool_calls": [call] }), "tool_calls", making)
}

fn of_delta(delta: Value, reason: &str, making: &Making<'_>) -> Vec<Vec<u8>> {
    let role = json!({ "role": "assistant", "content": "" });
    let events = [
        chunk(making, role, Value::Null),
        chunk(making, delta, Value::Null),
        chunk(making, json!({}), Value::from(reason)),
    ];
    let mut blocks: Vec<_> = events.iter().map(|event| sse(None, event)).collect();
    blocks.push(b"data: [DONE]\n\n".to_vec());
    blocks
}

fn id(making: &Making<'_>) -> String {
    format!("chatcmpl-{}", making.stamp.id)
}

fn envelope(making: &Making<'_>, choices: Value) -> Value {
    json!({
        "id": id(making),
        "object": "chat.completion.chunk",
        "created": making.stamp.now,
        "model": making.model,
        "choices": choices,
    })
}

fn says(json: &Value, answer: &mut Answer) -> Result<(), ProviderError> {
    if let Some(error) = json.get("error").filter(|error| !error.is_null()) {
        answer.error = Some(error.clone());
    }
    let Some(choice) = first_choice(json) else {
        return Ok(());
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
    Ok(())
}

/// The answer to a request without `stream`.
fn whole(answer: &Answer, making: &Making<'_>) -> Value {
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
        "id": id(making),
        "object": "chat.completion",
        "created": making.stamp.now,
        "model": making.model,
        "choices": [{
            "index": 0,
            "message": message,
            "logprobs": null,
            "finish_reason": answer.finish_reason.as_deref().unwrap_or("stop"),
        }],
        "usage": { "prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2 },
    })
}

fn is_first(choice: &Value) -> bool {
    choice["index"].as_u64().unwrap_or_default() == 0
}

fn first_choice(json: &Value) -> Option<&Value> {
    json.get("choices")?
        .as_array()?
        .iter()
        .find(|choice| is_first(choice))
}

fn add_tool_call(calls: &mut Vec<ToolCall>, delta: &Value) -> Result<(), ProviderError> {
    let index = delta["index"].as_u64().unwrap_or_default();
    let index = usize::try_from(index).unwrap_or(usize::MAX);
    if index > calls.len() {
        return Err(ProviderError::new(format!(
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

fn content(json: &Value) -> Option<&str> {
    let text = first_choice(json)?["delta"]["content"].as_str()?;
    (!text.is_empty()).then_some(text)
}

fn set_content(json: &mut Value, text: &str) {
    let choices = json.get_mut("choices").and_then(Value::as_array_mut);
    let choice = choices
        .into_iter()
        .flatten()
        .find(|choice| is_first(choice));
    if let Some(choice) = choice {
        choice["delta"]["content"] = Value::from(text);
    }
}

/// The envelope with one piece of the text, and nothing else that belongs to one chunk only.
fn piece(envelope: &Value, text: &str) -> String {
    let mut json = envelope.clone();
    if json.get("usage").is_some() {
        json["usage"] = Value::Null;
    }
    if let Some(choices) = json.get_mut("choices").and_then(Value::as_array_mut) {
        choices.retain(is_first);
        for choice in choices {
            for key in ["finish_reason", "logprobs"] {
                if choice.get(key).is_some() {
                    choice[key] = Value::Null;
                }
            }
            if let Some(delta) = choice.get_mut("delta").and_then(Value::as_object_mut) {
                delta.retain(|key, _| key == "role" || key == "content");
            }
        }
    }
    set_content(&mut json, text);
    json.to_string()
}

/// What a content chunk carries besides content: itself with empty content; else none.
fn rest(json: &Value) -> Option<String> {
    let choice = first_choice(json)?;
    let says = |value: &Value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => true,
    };
    let delta = choice["delta"].as_object()?;
    let more = delta
        .iter()
        .any(|(key, value)| key != "role" && key != "content" && says(value));
    let others = json["choices"]
        .as_array()
        .is_some_and(|choices| choices.len() > 1);
    if !more && !others && !says(&choice["finish_reason"]) && !says(&json["usage"]) {
        return None;
    }
    let mut json = json.clone();
    set_content(&mut json, "");
    Some(json.to_string())
}
