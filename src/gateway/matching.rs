//! Which request is the turn's own, and which is another one beside it.

use crate::model::Call;
use crate::stream::marks;
use serde_json::Value;
use std::collections::BTreeSet;

/// What a chat-completions request asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) stream: bool,
    pub(super) last_user: String,
    pub(super) messages: usize,
    /// chatctl's own marks in them.
    pub(super) marks: BTreeSet<String>,
}

/// Takes a chat-completions body apart (platform.openai.com/docs/api-reference/chat).
pub(super) fn asked(body: &Value) -> Asked {
    let messages = body["messages"].as_array().map_or(&[][..], Vec::as_slice);
    let last_user = messages
        .iter()
        .rev()
        .find(|message| message["role"] == "user")
        .map(|message| text(&message["content"]))
        .unwrap_or_default();
    Asked {
        stream: body["stream"] == true,
        last_user,
        messages: messages.len(),
        marks: messages
            .iter()
            .flat_map(|message| {
                let text = text(&message["content"]);
                let marks = marks::of(&text).into_iter();
                marks.map(str::to_owned).collect::<Vec<_>>()
            })
            .collect(),
    }
}

/// A message's content: a string, or parts of which the texts count.
fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect::<Vec<_>>()
            .join(""),
        _ => String::new(),
    }
}

/// Tells whether a request is the turn's own. `taken`: the turn's own has come already.
///
/// The last user message decides. A prompt that only contains the user's text may be a
/// title request, so it is the turn's own only when it streams, as an answer does. A
/// server that rewrites the user's text altogether is matched by order: the first stream.
pub(super) fn call(asked: &Asked, user: &str, taken: bool) -> Call {
    let same = asked.last_user.trim() == user.trim();
    match (same, asked.stream, taken) {
        (true, _, false) | (false, true, false) => Call::Main,
        (true, _, true) => Call::Retry,
        (false, ..) => Call::Extra,
    }
}

#[cfg(test)]
mod tests {
    use super::{Call, asked, call};
    use serde_json::json;

    fn ask(content: &serde_json::Value, stream: bool) -> super::Asked {
        asked(&json!({"stream": stream, "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": content},
        ]}))
    }

    #[test]
    fn the_same_text_is_the_turns_own_and_then_a_retry() {
        let asked = ask(&json!("buy milk"), true);
        assert_eq!(call(&asked, "buy milk", false), Call::Main);
        assert_eq!(call(&asked, "buy milk", true), Call::Retry);
    }

    #[test]
    fn parts_are_joined() {
        let asked = ask(
            &json!([{"type": "text", "text": "buy "}, {"type": "text", "text": "milk"}]),
            true,
        );
        assert_eq!(call(&asked, "buy milk", false), Call::Main);
    }

    #[test]
    fn of_a_text_only_the_marks_are_kept() {
        let asked = ask(
            &json!(
                "two: chatctl-u1a34567890abcdef, \"chatctl-ab234567890abcdef\" and chatctl-u1a34567890abcdef; chatctl-"
            ),
            true,
        );
        let marks: Vec<_> = asked.marks.iter().map(String::as_str).collect();
        assert_eq!(
            marks,
            ["chatctl-ab234567890abcdef", "chatctl-u1a34567890abcdef"]
        );
        assert_eq!(asked.messages, 2);
    }

    #[test]
    fn a_title_request_is_extra_before_and_after() {
        let asked = ask(&json!("Make a title for: buy milk"), false);
        assert_eq!(call(&asked, "buy milk", false), Call::Extra);
        assert_eq!(call(&asked, "buy milk", true), Call::Extra);
    }

    #[test]
    fn a_rewritten_prompt_is_matched_by_order() {
        let asked = ask(&json!("Context: … Question: buy milk"), true);
        assert_eq!(call(&asked, "buy milk", false), Call::Main);
        assert_eq!(call(&asked, "buy milk", true), Call::Extra);
    }
}
