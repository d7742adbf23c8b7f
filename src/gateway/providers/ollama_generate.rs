//! Ollama's own `/api/generate`, which has a prompt and no messages (github.com/ollama/ollama,
//! docs/api.md).

use super::ollama::{FRESH, ends, error, form, is_final, last, lines, streams};
use super::{Message, Provider, Question};
use crate::stream::cassette::Framing;
use serde_json::{Value, json};

pub(super) const PROVIDER: Provider = Provider {
    name: "ollama-generate",
    what: "Ollama generate",
    routes: &["/api/generate"],
    sockets: &[],
    framing: Framing::Lines,
    ask: |_, body| {
        Ok(Question {
            streams: streams(body),
            form: form(body),
            messages: vec![Message {
                is_user: true,
                text: body["prompt"].as_str().unwrap_or_default().to_owned(),
                named: None,
                ..Message::default()
            }],
            ..Question::default()
        })
    },
    make: |pieces, making| lines(pieces, making, said),
    says: |line, answer| {
        let text = line["response"].as_str();
        answer.text.push_str(text.unwrap_or_default());
        ends(line, answer);
        Ok(())
    },
    is_final,
    is_on_request: |_| false,
    content: |line| line["response"].as_str(),
    set_content: |line, text| line["response"] = text.into(),
    repeat: None,
    recut: None,
    fresh: FRESH,
    whole: |answer, making| last(making, said(&answer.text)),
    keeps: None,
    error_event: None,
    failed_event: None,
    error,
    // It has no tools.
    call: |_, making| lines(&[], making, said),
    without_text: None,
};

fn said(text: &str) -> Value {
    json!({ "response": text })
}
