//! An answer as an openai-chat provider would send it.

use super::recut::cut_text;
use super::{Cassette, Chunk, DEFAULT_PROFILE, Header, Stamp};
use serde_json::{Value, json};
use std::time::Duration;

impl Cassette {
    /// A stream that says `text` in `pieces` content chunks, or in as many as it has
    /// characters: role, content, `finish_reason`, usage, `[DONE]`; all at time 0.
    ///
    /// Token counts are those of the pieces, not a tokenizer's.
    pub fn from_answer(text: &str, pieces: usize, model: &str, stamp: &Stamp) -> Self {
        let chunk = |delta: Value, finish_reason: Value| {
            envelope(
                model,
                stamp,
                json!([{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason }]),
            )
        };
        let content = cut_text(text, pieces);
        let tokens = content.len();
        let mut events = vec![chunk(
            json!({ "role": "assistant", "content": "" }),
            Value::Null,
        )];
        events.extend(
            content
                .into_iter()
                .map(|piece| chunk(json!({ "content": piece }), Value::Null)),
        );
        events.push(chunk(json!({}), Value::from("stop")));
        let mut usage = envelope(model, stamp, json!([]));
        usage["usage"] = json!({
            "prompt_tokens": 1,
            "completion_tokens": tokens,
            "total_tokens": tokens + 1,
        });
        events.push(usage);
        let blocks = events
            .iter()
            .map(Value::to_string)
            .chain(["[DONE]".to_owned()]);
        Self {
            header: Some(Header {
                profile: Some(DEFAULT_PROFILE.to_owned()),
            }),
            chunks: blocks
                .map(|data| Chunk {
                    at: Duration::ZERO,
                    bytes: format!("data: {data}\n\n").into_bytes(),
                })
                .collect(),
        }
    }
}

fn envelope(model: &str, stamp: &Stamp, choices: Value) -> Value {
    json!({
        "id": stamp.completion(),
        "object": "chat.completion.chunk",
        "created": stamp.now,
        "model": model,
        "choices": choices,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{Cassette, Stamp};

    #[test]
    fn an_answer_is_a_whole_stream() {
        let cassette = Cassette::from_answer("Grüße 👋!", 3, "m", &Stamp::sample());
        let answer = cassette.answer().unwrap();
        assert_eq!(answer.text, "Grüße 👋!");
        assert_eq!(answer.finish_reason.as_deref(), Some("stop"));
        assert!(answer.done);
        assert_eq!(cassette.chunks.len(), 1 + 3 + 1 + 1 + 1);
    }
}
