//! Gemini, `generateContent` and `streamGenerateContent` (ai.google.dev/api/generate-content).

use super::{Form, Making, Message, Provider, Question, parts, sse};
use crate::gateway::answer::{Answer, ProviderError, ToolCall};
use crate::stream::cassette::{Framing, Fresh};
use serde_json::{Value, json};

const STREAM: &str = ":streamGenerateContent";

pub(super) const PROVIDER: Provider = Provider {
    name: "gemini",
    what: "Gemini generateContent",
    routes: &[":generateContent", STREAM],
    sockets: &[],
    framing: Framing::Sse,
    ask,
    make,
    says,
    // The end of the body is the end.
    is_final: |_, _| false,
    is_on_request: |_| false,
    content: |event| text_part(event)?["text"].as_str(),
    set_content: |event, text| {
        let parts = event.pointer_mut("/candidates/0/content/parts");
        let parts = parts.and_then(Value::as_array_mut).into_iter().flatten();
        if let Some(part) = parts.rev().find(|part| is_text(part)) {
            part["text"] = text.into();
        }
    },
    repeat: None,
    recut: None,
    fresh: Fresh {
        ids: &[&["responseId"]],
        times: &[],
    },
    whole: |answer, making| {
        let mut parts = Vec::new();
        if !answer.text.is_empty() {
            parts.push(json!({ "text": answer.text }));
        }
        parts.extend(
            answer.tool_calls.iter().map(
                |call| json!({ "functionCall": { "name": call.name, "args": arguments(call) } }),
            ),
        );
        chunk(making, parts, Some("STOP"))
    },
    keeps: None,
    error_event: None,
    failed_event: None,
    error: |why| json!({ "error": { "code": 400, "message": why, "status": "INVALID_ARGUMENT" } }),
    call: |call, making| {
        let part = json!({ "functionCall": { "name": call.name, "args": arguments(call) } });
        vec![sse(None, &chunk(making, vec![part], Some("STOP")))]
    },
    without_text: None,
};

fn ask(path: &str, body: &Value) -> Result<Question, String> {
    let streams = path.contains(STREAM);
    if streams && !path.contains("alt=sse") {
        return Err("it requests the stream as one JSON list; add `?alt=sse`".to_owned());
    }
    let contents = body["contents"].as_array().into_iter().flatten();
    let messages = contents.map(|content| {
        let text = parts(&content["parts"]);
        Message {
            // The results of functions come in the user's name, and have no text.
            is_user: content["role"] != "model" && !text.is_empty(),
            text,
            named: None,
            ..Message::default()
        }
    });
    Ok(Question {
        streams,
        form: form(body),
        messages: messages.collect(),
        ..Question::default()
    })
}

/// A field, whose name the API also takes with underscores.
fn field<'v>(value: &'v Value, [camel, snake]: [&str; 2]) -> &'v Value {
    value.get(camel).unwrap_or(&value[snake])
}

/// The function that must be called, or JSON with or without a schema.
fn form(body: &Value) -> Option<Form> {
    let calling = field(
        field(body, ["toolConfig", "tool_config"]),
        ["functionCallingConfig", "function_calling_config"],
    );
    if calling["mode"] == "ANY" {
        let tools = body["tools"].as_array().into_iter().flatten();
        let declared = ["functionDeclarations", "function_declarations"];
        let tools = tools.filter_map(|tool| field(tool, declared).as_array());
        let tools: Vec<_> = tools.flatten().collect();
        let places = [
            "parameters",
            "parametersJsonSchema",
            "parameters_json_schema",
        ];
        let allowed = ["allowedFunctionNames", "allowed_function_names"];
        return match &field(calling, allowed)[0] {
            Value::Null => Form::any_call(&tools, &places),
            first => Form::call(first, &tools, &places),
        };
    }
    let config = field(body, ["generationConfig", "generation_config"]);
    let places = [
        "responseSchema",
        "response_schema",
        "responseJsonSchema",
        "response_json_schema",
    ];
    let schema = places.iter().find_map(|place| config.get(*place));
    let is_json = field(config, ["responseMimeType", "response_mime_type"]) == "application/json";
    is_json.then(|| schema.cloned().map_or_else(Form::object, Form::Json))
}

fn arguments(call: &ToolCall) -> Value {
    serde_json::from_str(&call.arguments).unwrap_or_default()
}

fn chunk(making: &Making<'_>, parts: Vec<Value>, finish_reason: Option<&str>) -> Value {
    let mut candidate = json!({ "content": { "parts": parts, "role": "model" }, "index": 0 });
    if let Some(reason) = finish_reason {
        candidate["finishReason"] = reason.into();
    }
    json!({
        "candidates": [candidate],
        "usageMetadata": {
            "promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2 },
        "modelVersion": making.model, "responseId": making.stamp.id,
    })
}

fn make(pieces: &[String], making: &Making<'_>) -> Vec<Vec<u8>> {
    let texts = pieces.iter().map(|piece| (piece.as_str(), None));
    let chunks = texts.chain([("", Some("STOP"))]);
    chunks
        .map(|(text, reason)| sse(None, &chunk(making, vec![json!({ "text": text })], reason)))
        .collect()
}

fn is_text(part: &Value) -> bool {
    part["text"].is_string() && part["thought"] != true
}

fn text_part(event: &Value) -> Option<&Value> {
    let parts = event["candidates"][0]["content"]["parts"].as_array()?;
    parts.iter().rev().find(|part| is_text(part))
}

fn says(event: &Value, answer: &mut Answer) -> Result<(), ProviderError> {
    if !event["error"].is_null() {
        answer.error = Some(event["error"].clone());
    }
    let candidate = &event["candidates"][0];
    for part in candidate["content"]["parts"]
        .as_array()
        .into_iter()
        .flatten()
    {
        if is_text(part) {
            answer
                .text
                .push_str(part["text"].as_str().unwrap_or_default());
        }
        if let Some(call) = part.get("functionCall") {
            answer.tool_calls.push(ToolCall {
                id: call["id"].as_str().unwrap_or_default().to_owned(),
                name: call["name"].as_str().unwrap_or_default().to_owned(),
                arguments: call["args"].to_string(),
            });
        }
    }
    if let Some(reason) = candidate["finishReason"].as_str() {
        answer.finish_reason = Some(reason.to_owned());
        answer.done = true;
    }
    Ok(())
}
