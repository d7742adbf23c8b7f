//! What a message's JSON says: its text and its tool calls, in the forms that chat stores keep.

use crate::model::{Mark, ToolCall};
use serde_json::{Map, Value};

/// Text and tools of a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Content {
    /// The text of all its parts.
    pub text: String,
    /// The tools that it calls, or what they gave.
    pub tools: Vec<ToolCall>,
    /// Whether a part of it is still being written, where parts say so.
    pub mark: Mark,
    /// How many of its parts are files, images, sounds or films.
    pub attachments: u32,
    /// Whether the model's reasoning is a part of it.
    pub reasoning: bool,
    /// How many of its parts are of another kind, which are not read.
    pub others: u32,
}

/// Reads a content; nothing when it is in no known form.
pub(super) fn read(value: &Value) -> Option<Content> {
    let mut content = Content::default();
    add(value, &mut content).then_some(content)
}

/// Text and tools of a text that is JSON in a known form with parts; nothing where it is not.
pub fn parts_of(text: &str) -> Option<(String, Vec<ToolCall>)> {
    if !text.trim_start().starts_with(['[', '{', '"']) {
        return None;
    }
    let value = serde_json::from_str(text).ok()?;
    read(&value).map(|content| (content.text, content.tools))
}

/// Whether an item of an agent is of a kind that is no message: what a hosted tool did, or a step of the session.
pub fn is_hosted(kind: &str) -> bool {
    const STEPS: [&str; 3] = ["compaction", "item_reference", "mcp_list_tools"];
    const ENDS: [&str; 4] = [
        "_call",
        "_call_output",
        "_approval_request",
        "_approval_response",
    ];
    STEPS.contains(&kind) || ENDS.iter().any(|end| kind.ends_with(end))
}

/// Reads calls that are kept apart from the text: one, or an array of them.
pub(super) fn calls(value: &Value) -> Vec<ToolCall> {
    match value {
        Value::Array(items) => items.iter().flat_map(calls).collect(),
        Value::Object(fields) => call(fields).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// Reads calls as version 4 of the AI SDK keeps them next to a text.
pub(super) fn invocations(value: &Value) -> Vec<ToolCall> {
    let items = value.as_array().into_iter().flatten();
    let calls = items.filter_map(Value::as_object);
    calls
        .map(|fields| tool(fields, "toolName", Some("args"), Some("result")))
        .collect()
}

/// How many files a field names.
pub(super) fn attached(value: &Value) -> u32 {
    match value {
        Value::Array(items) => u32::try_from(items.len()).unwrap_or(u32::MAX),
        other => u32::from(has_something(other)),
    }
}

/// How many of such calls are in no form that is known.
pub(super) fn unread_calls(value: &Value) -> u32 {
    match value {
        Value::Null => 0,
        Value::String(text) => u32::from(!text.is_empty()),
        Value::Array(items) => items.iter().map(unread_calls).sum(),
        Value::Object(fields) => u32::from(!fields.is_empty() && call(fields).is_none()),
        Value::Bool(_) | Value::Number(_) => 1,
    }
}

/// JSON whose spelling is alike wherever it is stored: keys sorted, no blanks.
pub(super) fn canonical(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let mut keys: Vec<_> = fields.keys().collect();
            keys.sort();
            let fields: Vec<_> = keys
                .into_iter()
                .map(|key| format!("{}:{}", Value::from(key.as_str()), canonical(&fields[key])))
                .collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(canonical).collect();
            format!("[{}]", items.join(","))
        }
        other => other.to_string(),
    }
}

/// Adds what a value says; false when it is in no known form.
fn add(value: &Value, content: &mut Content) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => {
            content.text.push_str(text);
            true
        }
        Value::Bool(_) | Value::Number(_) => {
            content.text.push_str(&value.to_string());
            true
        }
        // A part of an unknown kind is only counted; a message of unknown parts only is unknown.
        Value::Array(items) => {
            let known = items.iter().filter(|item| add(item, content)).count();
            content.others += u32::try_from(items.len() - known).unwrap_or(u32::MAX);
            // A call that is the last part has its result to come, from the page or from the user.
            let last = items.last().and_then(Value::as_object).and_then(state);
            if last == Some("input-available") && content.mark != Mark::Writing {
                content.mark = Mark::Waiting;
            }
            known > 0 || items.is_empty()
        }
        Value::Object(fields) => object(fields, content),
    }
}

/// How the kinds of parts begin that a user attaches, or a model makes.
const ATTACHED: [&str; 8] = [
    "file",
    "image",
    "audio",
    "video",
    "input_file",
    "input_image",
    "input_audio",
    "document",
];
/// Those that a page shows next to the text.
const SHOWN: [&str; 2] = ["source", "data"];
/// Where a part has its text.
const TEXTS: [&str; 6] = ["text", "refusal", "parts", "content", "blocks", "value"];
/// What is next to a text.
const NOTES: [&str; 2] = ["citations", "annotations"];
/// And those that hold what a model thought.
const REASONING: [&str; 3] = ["reasoning", "thinking", "redacted_thinking"];

fn object(fields: &Map<String, Value>, content: &mut Content) -> bool {
    // LlamaIndex has blocks where others have parts.
    let kind = fields.get("type").or_else(|| fields.get("block_type"));
    let kind = kind.and_then(Value::as_str).unwrap_or("");
    mark(fields, content);
    let is_failed = fields.get("is_error") == Some(&Value::Bool(true));
    if is_failed || fields.get("errorText").is_some_and(has_something) {
        content.others += 1;
    }
    if let Some(call) = call(fields) {
        content.tools.push(call);
        return true;
    }
    if ATTACHED.iter().any(|attached| kind.starts_with(attached)) {
        content.attachments += 1;
    }
    if SHOWN.iter().any(|shown| kind.starts_with(shown)) {
        content.others += 1;
    }
    let thought = fields.get("thought").and_then(Value::as_bool) == Some(true);
    content.reasoning |= thought || REASONING.iter().any(|it| kind.starts_with(it));
    // Kinds that have no text of the conversation in them.
    let silent = [
        "reasoning",
        "thinking",
        "redacted_thinking",
        "source",
        "file",
        "image",
        "audio",
        "video",
        "data",
    ];
    if kind.starts_with("step-") || silent.iter().any(|silent| kind.starts_with(silent)) {
        return true;
    }
    // LangChain keeps a message's fields in `data`, its serialised form in `kwargs`.
    for inner in ["data", "kwargs"] {
        if let Some(Value::Object(inner)) = fields.get(inner)
            && inner.contains_key("content")
        {
            return object(inner, content);
        }
    }
    // Google's parts say their kind by the name of their only field.
    for (call, given) in [("functionCall", "args"), ("function_call", "args")] {
        if let Some(Value::Object(inner)) = fields.get(call) {
            content.tools.push(tool(inner, "name", Some(given), None));
            return true;
        }
    }
    for response in ["functionResponse", "function_response"] {
        if let Some(Value::Object(inner)) = fields.get(response) {
            content
                .tools
                .push(tool(inner, "name", None, Some("response")));
            return true;
        }
    }
    for text in TEXTS {
        if let Some(inner) = fields.get(text) {
            let notes = NOTES.iter().filter_map(|name| fields.get(*name));
            let texts = TEXTS.iter().filter(|name| **name != text);
            // The same text in another form says nothing more.
            let is_more = |it: &&Value| text_of(it) != text_of(inner);
            let texts = texts.filter_map(|name| fields.get(*name)).filter(is_more);
            let rest = notes.chain(texts).filter(|it| has_something(it));
            content.others += u32::try_from(rest.count()).unwrap_or(u32::MAX);
            // A thought of Google's model is not an answer.
            let known = thought || add(inner, content);
            add_calls(fields, content);
            return known;
        }
    }
    add_calls(fields, content)
}

/// Adds the calls that a message keeps next to its text; false where it has no place for them.
fn add_calls(fields: &Map<String, Value>, content: &mut Content) -> bool {
    let Some(more) = fields.get("tool_calls") else {
        return false;
    };
    content.tools.extend(calls(more));
    content.others += unread_calls(more);
    true
}

/// The text of a value in a known form.
fn text_of(value: &Value) -> Option<String> {
    read(value).map(|content| content.text)
}

pub(super) fn has_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

/// A part of the AI SDK has a state; one part that is still being written outweighs all others, and
/// then one that waits for a decision.
fn mark(fields: &Map<String, Value>, content: &mut Content) {
    match state(fields) {
        Some("streaming" | "input-streaming") => content.mark = Mark::Writing,
        Some("approval-requested" | "approval-responded") if content.mark != Mark::Writing => {
            content.mark = Mark::Waiting;
        }
        Some("done") if content.mark == Mark::None => content.mark = Mark::Finished,
        _ => {}
    }
}

fn state(fields: &Map<String, Value>) -> Option<&str> {
    fields.get("state").and_then(Value::as_str)
}

/// A tool's call or result, as each of the many names it.
fn call(fields: &Map<String, Value>) -> Option<ToolCall> {
    let kind = fields.get("type").and_then(Value::as_str).unwrap_or("");
    let known = match kind {
        "tool_use" | "server_tool_use" => tool(fields, "name", Some("input"), None),
        "tool_result" => tool(fields, "tool_use_id", None, Some("content")),
        "tool-call" | "tool_call" if fields.contains_key("toolName") => tool(
            fields,
            "toolName",
            first_of(fields, &["args", "input"]),
            None,
        ),
        "tool-result" => tool(
            fields,
            "toolName",
            None,
            first_of(fields, &["result", "output"]),
        ),
        "tool-invocation" => match fields.get("toolInvocation") {
            Some(Value::Object(inner)) => tool(inner, "toolName", Some("args"), Some("result")),
            _ => tool(fields, "toolName", Some("args"), Some("result")),
        },
        "dynamic-tool" => tool(fields, "toolName", Some("input"), Some("output")),
        "function_call_output" => tool(fields, "call_id", None, Some("output")),
        kind if kind.starts_with("tool-") => ToolCall {
            name: kind["tool-".len()..].to_owned(),
            ..tool(fields, "toolName", Some("input"), Some("output"))
        },
        _ if fields.get("function").is_some_and(Value::is_object) => {
            let inner = fields["function"].as_object()?;
            tool(inner, "name", Some("arguments"), None)
        }
        _ => {
            let name = first_of(fields, &["name", "apiName", "tool_name", "tool"])?;
            let input = first_of(
                fields,
                &[
                    "arguments",
                    "args",
                    "tool_args",
                    "tool_kwargs",
                    "toolInput",
                    "input",
                ],
            );
            let output = first_of(fields, &["result", "toolOutput", "output"]);
            input.or(output)?;
            tool(fields, name, input, output)
        }
    };
    Some(known)
}

fn first_of<'n>(fields: &Map<String, Value>, names: &[&'n str]) -> Option<&'n str> {
    names
        .iter()
        .copied()
        .find(|name| fields.contains_key(*name))
}

fn tool(
    fields: &Map<String, Value>,
    name: &str,
    input: Option<&str>,
    output: Option<&str>,
) -> ToolCall {
    let written = |field: Option<&str>| {
        field
            .and_then(|field| fields.get(field))
            .and_then(|value| match value {
                Value::Null => None,
                Value::String(text) => Some(text.clone()),
                other => Some(canonical(other)),
            })
    };
    ToolCall {
        name: written(Some(name)).unwrap_or_default(),
        input: written(input),
        output: written(output),
    }
}

#[cfg(test)]
mod tests {
    use super::{canonical, read, unread_calls};
    use crate::model::{Mark, ToolCall};
    use serde_json::json;

    fn content(
        text: &str,
        tools: &[(&str, Option<&str>, Option<&str>)],
    ) -> Option<(String, Vec<ToolCall>)> {
        let tool = |(name, input, output): &(&str, Option<&str>, Option<&str>)| ToolCall {
            name: (*name).to_owned(),
            input: input.map(str::to_owned),
            output: output.map(str::to_owned),
        };
        Some((text.to_owned(), tools.iter().map(tool).collect()))
    }

    #[test]
    fn what_is_no_text_is_counted() {
        for (value, attachments, reasoning) in [
            (json!([{"type": "text", "text": "a"}]), 0, false),
            (
                json!([{"type": "file", "url": "u"}, {"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "u"}}]),
                2,
                false,
            ),
            (
                json!([{"type": "reasoning", "text": "hm"}, {"type": "text", "text": "a"}]),
                0,
                true,
            ),
            (
                json!({"parts": [{"text": "hm", "thought": true}, {"text": "a"}]}),
                0,
                true,
            ),
        ] {
            let found = read(&value).unwrap();
            assert_eq!(
                (found.attachments, found.reasoning),
                (attachments, reasoning)
            );
        }
    }

    #[test]
    fn parts_that_are_not_read_are_counted() {
        for (value, others) in [
            (
                json!([{"type": "text", "text": "a"}, {"type": "step-start"}]),
                0,
            ),
            (json!([{"type": "text", "text": "a", "annotations": []}]), 0),
            (
                json!([{"type": "text", "text": "a"}, {"type": "data-weather", "data": {"t": 20}}]),
                1,
            ),
            (
                json!([{"type": "text", "text": "a"}, {"type": "source-url", "url": "u"}, {"type": "artifact", "code": "1"}]),
                2,
            ),
            (json!({"text": "sum", "content": "the whole answer"}), 1),
            (
                json!({"content": "a", "parts": [{"type": "text", "text": "a"}]}),
                0,
            ),
            (
                json!({"role": "assistant", "content": null, "tool_calls": [{"name": "search", "parameters": {"q": "milk"}}]}),
                1,
            ),
            (json!({"tool_calls": [{"name": "now"}]}), 1),
            (
                json!([{"type": "text", "text": "a", "citations": [{"url": "u"}]}]),
                1,
            ),
            (
                json!([{"type": "tool-f", "state": "output-error", "input": {}, "errorText": "failed"}]),
                1,
            ),
            (
                json!([{"type": "tool_result", "tool_use_id": "t", "content": "r", "is_error": true}]),
                1,
            ),
        ] {
            assert_eq!(read(&value).unwrap().others, others, "{value}");
        }
        for (value, unread) in [
            (json!(null), 0),
            (json!(""), 0),
            (json!([]), 0),
            (json!({}), 0),
            (json!([{"name": "f", "args": {}}]), 0),
            (
                json!([{"name": "search", "parameters": {"q": "milk"}}, {"name": "now"}]),
                2,
            ),
            (json!("search(milk)"), 1),
        ] {
            assert_eq!(unread_calls(&value), unread, "{value}");
        }
    }

    #[test]
    fn each_known_form_is_read() {
        for (value, expected) in [
            (json!("hi"), content("hi", &[])),
            (json!(null), content("", &[])),
            // Vercel.
            (
                json!([{"type": "step-start"}, {"type": "reasoning", "text": "hm"}, {"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
                content("ab", &[]),
            ),
            (
                json!([{"type": "tool-getWeather", "toolCallId": "1", "state": "output-available", "input": {"city": "Ulm"}, "output": {"t": 4}}]),
                content(
                    "",
                    &[("getWeather", Some("{\"city\":\"Ulm\"}"), Some("{\"t\":4}"))],
                ),
            ),
            // LlamaIndex.
            (
                json!({"role": "assistant", "additional_kwargs": {}, "blocks": [
                    {"block_type": "thinking", "content": "hm"}, {"block_type": "text", "text": "a"},
                    {"block_type": "image", "url": "https://x/y.png"}, {"block_type": "text", "text": "b"},
                    {"block_type": "tool_call", "tool_call_id": "1", "tool_name": "f", "tool_kwargs": {"a": 1}},
                ]}),
                content("ab", &[("f", Some("{\"a\":1}"), None)]),
            ),
            (
                json!([{"type": "tool-invocation", "toolInvocation": {"toolName": "f", "args": {}, "result": "r"}}]),
                content("", &[("f", Some("{}"), Some("r"))]),
            ),
            // OpenAI.
            (
                json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "yes"}]}),
                content("yes", &[]),
            ),
            (
                json!({"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c"}),
                content("", &[("f", Some("{}"), None)]),
            ),
            (
                json!({"type": "function_call_output", "call_id": "c", "output": "4"}),
                content("", &[("c", None, Some("4"))]),
            ),
            (
                json!({"role": "assistant", "content": null, "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}),
                content("", &[("f", Some("{}"), None)]),
            ),
            // Google.
            (
                json!({"role": "model", "parts": [{"text": "thinking", "thought": true}, {"text": "a"}, {"functionCall": {"name": "f", "args": {"b": 1}}}]}),
                content("a", &[("f", Some("{\"b\":1}"), None)]),
            ),
            // LangChain.
            (
                json!({"type": "ai", "data": {"content": "x", "type": "ai", "tool_calls": [{"name": "f", "args": {}, "id": "1"}]}}),
                content("x", &[("f", Some("{}"), None)]),
            ),
            // Flowise, and llm's results, which name no input.
            (
                json!([{"tool": "f", "toolInput": {"a": 1}, "toolOutput": "r"}]),
                content("", &[("f", Some("{\"a\":1}"), Some("r"))]),
            ),
            (
                json!({"name": "f", "output": "r", "tool_call_id": "c"}),
                content("", &[("f", None, Some("r"))]),
            ),
            // Anthropic.
            (
                json!([{"type": "text", "text": "x"}, {"type": "tool_use", "id": "t", "name": "f", "input": {}}, {"type": "tool_result", "tool_use_id": "t", "content": "r"}]),
                content("x", &[("f", Some("{}"), None), ("t", None, Some("r"))]),
            ),
        ] {
            let found = read(&value).map(|found| (found.text, found.tools));
            assert_eq!(found, expected, "{value}");
        }
    }

    #[test]
    fn a_part_that_is_still_being_written_marks_its_message() {
        for (parts, mark) in [
            (
                json!([{"type": "text", "text": "a", "state": "streaming"}]),
                Mark::Writing,
            ),
            (
                json!([{"type": "text", "text": "a", "state": "streaming"}, {"type": "text", "text": "b", "state": "done"}]),
                Mark::Writing,
            ),
            (
                json!([{"type": "tool-f", "toolCallId": "1", "state": "input-streaming", "input": {}}]),
                Mark::Writing,
            ),
            (
                json!([{"type": "reasoning", "text": "hm", "state": "streaming"}]),
                Mark::Writing,
            ),
            (
                json!([{"type": "reasoning", "text": "hm", "state": "done"}, {"type": "text", "text": "a", "state": "done"}]),
                Mark::Finished,
            ),
            (
                json!([{"type": "tool-f", "toolCallId": "1", "state": "output-available", "input": {}, "output": 1}]),
                Mark::None,
            ),
            (
                json!([{"type": "text", "text": "the \"state\": \"streaming\""}]),
                Mark::None,
            ),
        ] {
            assert_eq!(read(&parts).unwrap().mark, mark, "{parts}");
        }
    }

    #[test]
    fn an_unknown_form_is_not_guessed() {
        for value in [json!({"a": 1}), json!([{"a": 1}]), json!({"type": "x"})] {
            assert_eq!(read(&value), None, "{value}");
        }
    }

    #[test]
    fn canonical_json_has_one_spelling() {
        assert_eq!(
            canonical(&json!({"b": [1, {"d": null, "c": "é"}], "a": true})),
            "{\"a\":true,\"b\":[1,{\"c\":\"é\",\"d\":null}]}"
        );
    }
}
