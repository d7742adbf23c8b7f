//! OpenAI Responses (platform.openai.com/docs/api-reference/responses). The provider keeps
//! conversations: `previous_response_id` or `conversation` continues one.

use super::{Form, Keeps, Making, Message, Previous, Provider, Question, parts, sse};
use crate::gateway::answer::{Answer, ProviderError, ToolCall};
use crate::stream::cassette::{Framing, Fresh, Stamp};
use serde_json::{Value, json};

pub(super) const PROVIDER: Provider = Provider {
    name: "openai-responses",
    what: "OpenAI Responses",
    routes: &["/responses"],
    sockets: &["/responses"],
    framing: Framing::Sse,
    ask,
    make,
    says,
    is_final: |_, event| {
        event.is_some_and(|event| {
            let ends = ["completed", "incomplete", "failed"];
            let kind = event["type"].as_str().unwrap_or_default();
            let end = kind.strip_prefix("response.");
            kind == "error" || end.is_some_and(|end| ends.contains(&end))
        })
    },
    is_on_request: |_| false,
    content: |event| {
        (event["type"] == "response.output_text.delta")
            .then(|| event["delta"].as_str())
            .flatten()
    },
    set_content: |event, text| event["delta"] = text.into(),
    repeat: Some(repeat),
    recut: None,
    fresh: Fresh {
        ids: &[
            &["response", "id"],
            &["item_id"],
            &["item", "id"],
            &["item", "call_id"],
            &["response", "output", "*", "id"],
            &["response", "output", "*", "call_id"],
        ],
        times: &[&["response", "created_at"]],
    },
    whole: |answer, making| {
        let mut items = Vec::new();
        if !answer.text.is_empty() {
            items.push(message(making, "completed", json!([part(&answer.text)])));
        }
        let calls = answer.tool_calls.iter();
        items.extend(calls.map(|call| called(call, "completed", &call.arguments)));
        response(making, "completed", items)
    },
    keeps: Some(Keeps { id, items }),
    error: |why| {
        json!({"error": {
            "message": why, "type": "invalid_request_error", "param": null,
            "code": "chatctl_unmatched"}})
    },
    error_event: Some(|why, number| {
        json!({
            "type": "error", "code": "server_error", "message": why, "param": null,
            "sequence_number": number,
        })
    }),
    failed_event: Some(|begun, why, number| {
        let mut response = begun["response"].clone();
        response["status"] = "failed".into();
        response["error"] = json!({"code": "server_error", "message": why});
        json!({"type": "response.failed", "response": response, "sequence_number": number})
    }),
    call,
    without_text: None,
};

fn ask(_: &str, body: &Value) -> Result<Question, String> {
    let messages = match &body["input"] {
        Value::String(text) => vec![Message {
            is_user: true,
            text: text.clone(),
            named: None,
            ..Message::default()
        }],
        input => {
            let items = input.as_array().into_iter().flatten();
            items.filter_map(said).collect()
        }
    };
    Ok(Question {
        streams: body["stream"] == true,
        wants_all: false,
        form: form(body),
        messages,
        previous: previous(body),
    })
}

/// An answer, or a conversation: by its id, or by an object with that.
fn previous(body: &Value) -> Option<Previous> {
    if let Some(id) = body["previous_response_id"].as_str() {
        return Some(Previous::Answer(id.to_owned()));
    }
    let conversation = &body["conversation"];
    let id = conversation.as_str().or(conversation["id"].as_str())?;
    Some(Previous::Conversation(id.to_owned()))
}

/// A message among the items of a request, or the name of one. Tool calls and their results have no role.
fn said(item: &Value) -> Option<Message> {
    if item["type"] == "item_reference" {
        return Some(Message {
            named: Some(item["id"].as_str()?.to_owned()),
            ..Message::default()
        });
    }
    item["role"].as_str().map(|role| Message {
        is_user: role == "user",
        text: parts(&item["content"]),
        named: None,
        ..Message::default()
    })
}

/// The messages in an event or in a whole answer.
fn items(said: &Value) -> Vec<(String, String)> {
    let done = (said["type"] == "response.output_item.done").then(|| &said["item"]);
    let whole = said["output"].as_array().into_iter().flatten();
    let messages = done.into_iter().chain(whole);
    messages
        .filter(|item| item["type"] == "message")
        .filter_map(|item| Some((item["id"].as_str()?.to_owned(), parts(&item["content"]))))
        .collect()
}

/// The function that must be called, or JSON with or without a schema.
fn form(body: &Value) -> Option<Form> {
    let tools: Vec<_> = body["tools"].as_array().into_iter().flatten().collect();
    if body["tool_choice"]["type"] == "function" {
        return Form::call(&body["tool_choice"]["name"], &tools, &["parameters"]);
    }
    if body["tool_choice"] == "required" {
        return Form::any_call(&tools, &["parameters"]);
    }
    let format = &body["text"]["format"];
    match format["type"].as_str()? {
        "json_schema" => Some(Form::Json(format["schema"].clone())),
        "json_object" => Some(Form::object()),
        _ => None,
    }
}

fn called(call: &ToolCall, status: &str, arguments: &str) -> Value {
    json!({
        "id": format!("fc_{}", call.id), "type": "function_call", "status": status,
        "call_id": call.id, "name": call.name, "arguments": arguments,
    })
}

fn id(stamp: &Stamp) -> String {
    format!("resp_{}", stamp.id)
}

fn part(text: &str) -> Value {
    json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] })
}

fn item_id(making: &Making<'_>) -> String {
    format!("msg_{}", making.stamp.id)
}

fn message(making: &Making<'_>, status: &str, content: Value) -> Value {
    json!({
        "id": item_id(making), "type": "message", "status": status, "role": "assistant",
        "content": content,
    })
}

fn response(making: &Making<'_>, status: &str, output: Vec<Value>) -> Value {
    let usage = json!({
        "input_tokens": 1, "input_tokens_details": { "cached_tokens": 0 },
        "output_tokens": 1, "output_tokens_details": { "reasoning_tokens": 0 },
        "total_tokens": 2,
    });
    json!({
        "id": id(making.stamp), "object": "response", "created_at": making.stamp.now,
        "status": status, "background": false, "error": null, "incomplete_details": null,
        "instructions": null, "max_output_tokens": null, "model": making.model,
        "output": output, "parallel_tool_calls": true, "previous_response_id": null,
        "reasoning": { "effort": null, "summary": null }, "store": true, "temperature": 1.0,
        "text": { "format": { "type": "text" } }, "tool_choice": "auto", "tools": [],
        "top_p": 1.0, "truncation": "disabled",
        "usage": if status == "completed" { usage } else { Value::Null },
        "user": null, "metadata": {},
    })
}

fn make(pieces: &[String], making: &Making<'_>) -> Vec<Vec<u8>> {
    let text = pieces.concat();
    let at = json!({ "item_id": item_id(making), "output_index": 0, "content_index": 0 });
    let of_part = |kind: &str, more: Value| {
        let mut event = at.clone();
        event["type"] = kind.into();
        for (key, value) in more.as_object().into_iter().flatten() {
            event[key] = value.clone();
        }
        event
    };
    let begun = response(making, "in_progress", Vec::new());
    let mut events = vec![
        json!({ "type": "response.created", "response": begun }),
        json!({ "type": "response.in_progress", "response": begun }),
        json!({
            "type": "response.output_item.added", "output_index": 0,
            "item": message(making, "in_progress", json!([])),
        }),
        of_part("response.content_part.added", json!({ "part": part("") })),
    ];
    events.extend(pieces.iter().map(|piece| {
        let delta = json!({ "delta": piece, "logprobs": [] });
        of_part("response.output_text.delta", delta)
    }));
    let item = message(making, "completed", json!([part(&text)]));
    events.extend([
        of_part(
            "response.output_text.done",
            json!({ "text": text, "logprobs": [] }),
        ),
        of_part("response.content_part.done", json!({ "part": part(&text) })),
        json!({ "type": "response.output_item.done", "output_index": 0, "item": item }),
        json!({
            "type": "response.completed", "response": response(making, "completed", vec![item]),
        }),
    ]);
    numbered(events)
}

fn call(call: &ToolCall, making: &Making<'_>) -> Vec<Vec<u8>> {
    let begun = response(making, "in_progress", Vec::new());
    let item = called(call, "completed", &call.arguments);
    let arguments = json!({ "item_id": item["id"], "output_index": 0 });
    let of_arguments = |kind: &str, key: &str| {
        let mut event = arguments.clone();
        event["type"] = kind.into();
        event[key] = call.arguments.as_str().into();
        event
    };
    numbered(vec![
        json!({ "type": "response.created", "response": begun }),
        json!({
            "type": "response.output_item.added", "output_index": 0,
            "item": called(call, "in_progress", ""),
        }),
        of_arguments("response.function_call_arguments.delta", "delta"),
        of_arguments("response.function_call_arguments.done", "arguments"),
        json!({ "type": "response.output_item.done", "output_index": 0, "item": item }),
        json!({
            "type": "response.completed", "response": response(making, "completed", vec![item]),
        }),
    ])
}

fn numbered(events: Vec<Value>) -> Vec<Vec<u8>> {
    let numbered = events.into_iter().zip(0..).map(|(mut event, number)| {
        event["sequence_number"] = Value::from(number);
        sse(event["type"].as_str(), &event)
    });
    numbered.collect()
}

fn says(event: &Value, answer: &mut Answer) -> Result<(), ProviderError> {
    match event["type"].as_str().unwrap_or_default() {
        "response.output_text.delta" => {
            let piece = event["delta"].as_str();
            answer.text.push_str(piece.unwrap_or_default());
        }
        "response.output_item.done" if event["item"]["type"] == "function_call" => {
            let text = |key: &str| {
                let text = event["item"][key].as_str();
                text.unwrap_or_default().to_owned()
            };
            answer.tool_calls.push(ToolCall {
                id: text("call_id"),
                name: text("name"),
                arguments: text("arguments"),
            });
        }
        "response.completed" => answer.finish_reason = Some("stop".to_owned()),
        "response.incomplete" => answer.finish_reason = Some("length".to_owned()),
        "response.failed" => answer.error = Some(event["response"]["error"].clone()),
        "error" => answer.error = Some(event.clone()),
        _ => {}
    }
    Ok(())
}

/// The events that follow the last piece repeat the text of its part, of its item, and of all.
fn repeat(event: &mut Value, ending: &str) -> bool {
    let kind = event["type"].as_str().unwrap_or_default().to_owned();
    let text = match kind.as_str() {
        "response.output_text.done" => event.get_mut("text"),
        "response.content_part.done" => event.pointer_mut("/part/text"),
        "response.output_item.done" => event.get_mut("item").and_then(last_text),
        "response.completed" | "response.incomplete" => event
            .pointer_mut("/response/output")
            .and_then(Value::as_array_mut)
            .and_then(|items| items.iter_mut().rev().find_map(last_text)),
        _ => None,
    };
    let Some(Value::String(text)) = text else {
        return false;
    };
    text.push_str(ending);
    true
}

/// The last text of an item that is a message.
fn last_text(item: &mut Value) -> Option<&mut Value> {
    let parts = item.get_mut("content")?.as_array_mut()?.iter_mut().rev();
    let mut texts = parts.filter(|part| part["type"] == "output_text");
    texts.next()?.get_mut("text")
}
