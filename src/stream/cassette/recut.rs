//! The same answer in other pieces: cut anew, or with its last piece held back.

use super::provider::{Event, ProviderError, error, first_choice, is_first};
use super::sse::{Block, blocks, with_data};
use super::{Cassette, Chunk};
use serde_json::Value;
use std::ops::Range;
use std::time::Duration;

/// A cassette cut so that the last content can be held back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Everything before the last content chunk, bytes and borders as recorded.
    pub before: Vec<Chunk>,
    /// The last content chunk, with the nonce at the end of its text.
    pub last: Chunk,
    /// What follows: finish, usage, `[DONE]`.
    pub after: Vec<Chunk>,
    /// The whole text with the nonce; absent where the format is not read.
    pub answer: Option<String>,
}

impl Cassette {
    /// The same answer in `pieces` content chunks, or in as many as it has characters.
    ///
    /// The new chunks have the envelope of the first content chunk and stand in its
    /// place, their times spread to that of the last one. All other bytes are kept;
    /// what else a content chunk carried (a `finish_reason`, a tool call) follows with empty content.
    /// From `nonce` on, where the text has it already, the text is one piece.
    pub fn recut(&self, pieces: usize, nonce: &str) -> Result<Self, ProviderError> {
        let body = self.body();
        let events = self.content_events()?;
        let (Some(first), Some(last)) = (events.first(), events.last()) else {
            return Err(no_content());
        };
        let text: String = events
            .iter()
            .filter_map(|event| content(&event.json))
            .collect();
        let texts = match text.find(nonce) {
            Some(at) if at > 0 => {
                let mut texts = cut_text(&text[..at], pieces.saturating_sub(1));
                texts.push(text[at..].to_owned());
                texts
            }
            Some(_) => vec![text],
            None => cut_text(&text, pieces),
        };
        let from = self.time_of(first.block.end);
        let until = self.time_of(last.block.end);
        let steps = u32::try_from(texts.len().saturating_sub(1)).unwrap_or(u32::MAX);
        let step = until.saturating_sub(from) / steps.max(1);

        let borders: Vec<_> = events
            .iter()
            .flat_map(|event| [event.block.start, event.block.end])
            .collect();
        let mut cut = self.cut(&borders);
        let behind = cut.split_off(cut.partition_point(|(start, _)| *start < first.block.start));
        let mut chunks: Vec<_> = cut.into_iter().map(|(_, chunk)| chunk).collect();
        chunks.extend(texts.iter().zip(0..).map(|(text, number)| Chunk {
            at: from + step * number,
            bytes: with_data(&body[first.block.clone()], &piece(&first.json, text)),
        }));
        for (start, chunk) in behind {
            // What stood between content chunks now comes behind them, not before its time.
            let at = chunk.at.max(until);
            match events.iter().find(|event| event.block.contains(&start)) {
                None => chunks.push(Chunk { at, ..chunk }),
                Some(event) if event.block.start == start => {
                    let rest = rest(&event.json);
                    chunks.extend(rest.map(|rest| Chunk {
                        at,
                        bytes: with_data(&body[event.block.clone()], &rest),
                    }));
                }
                Some(_) => {}
            }
        }
        Ok(Self {
            header: self.header.clone(),
            chunks,
        })
    }

    /// Cuts at the first event that holds `nonce`. One that has it nowhere is cut at its last
    /// content chunk, and gets a space and `nonce` at the end of that chunk's text.
    ///
    /// Bytes and borders of everything else stay as recorded; a chunk that reaches
    /// into the one that is cut out is cut at its border.
    pub fn split(&self, nonce: &str) -> Result<Script, ProviderError> {
        let body = self.body();
        let holds = |block: &Block| {
            memchr::memmem::find(&body[block.range.clone()], nonce.as_bytes()).is_some()
        };
        match blocks(&body).into_iter().find(holds) {
            Some(block) => {
                let answer = if self.is_openai_chat() {
                    Some(self.answer()?.text)
                } else {
                    None
                };
                let last = body[block.range.clone()].to_vec();
                Ok(self.cut_out(&block.range, last, answer))
            }
            None => self.split_at_last_content(nonce),
        }
    }

    fn split_at_last_content(&self, nonce: &str) -> Result<Script, ProviderError> {
        if !self.is_openai_chat() {
            return Err(error(format!(
                "it is of profile `{}`, which is not read: put `{{nonce}}` where its new text goes",
                self.profile()
            )));
        }
        let mut events = self.content_events()?;
        let text: String = events
            .iter()
            .filter_map(|event| content(&event.json))
            .collect();
        let Event { block, mut json } = events.pop().ok_or_else(no_content)?;
        let ending = format!("{} {nonce}", content(&json).unwrap_or_default());
        set_content(&mut json, &ending);
        let last = with_data(&self.body()[block.clone()], &json.to_string());
        Ok(self.cut_out(&block, last, Some(format!("{text} {nonce}"))))
    }

    /// What comes before and after a stretch of the body, in whose place `last` is.
    fn cut_out(&self, block: &Range<usize>, last: Vec<u8>, answer: Option<String>) -> Script {
        let mut before = self.cut(&[block.start, block.end]);
        let mut inside =
            before.split_off(before.partition_point(|(start, _)| *start < block.start));
        let after = inside.split_off(inside.partition_point(|(start, _)| *start < block.end));
        let plain = |cut: Vec<(usize, Chunk)>| cut.into_iter().map(|(_, chunk)| chunk).collect();
        Script {
            before: plain(before),
            last: Chunk {
                at: self.time_of(block.end),
                bytes: last,
            },
            after: plain(after),
            answer,
        }
    }

    fn content_events(&self) -> Result<Vec<Event>, ProviderError> {
        let (mut events, _) = self.events()?;
        events.retain(|event| content(&event.json).is_some());
        Ok(events)
    }

    /// The chunks with their offsets, cut at the borders as well.
    fn cut(&self, borders: &[usize]) -> Vec<(usize, Chunk)> {
        let mut cut = Vec::new();
        let mut start = 0;
        for chunk in &self.chunks {
            let end = start + chunk.bytes.len();
            let mut from = start;
            let inside = borders
                .iter()
                .filter(|&&border| start < border && border < end);
            for &to in inside.chain([&end]) {
                if to > from {
                    let bytes = chunk.bytes[from - start..to - start].to_vec();
                    cut.push((
                        from,
                        Chunk {
                            at: chunk.at,
                            bytes,
                        },
                    ));
                    from = to;
                }
            }
            start = end;
        }
        cut
    }

    /// When the byte before `end` came.
    fn time_of(&self, end: usize) -> Duration {
        let mut seen = 0;
        let arrival = self.chunks.iter().find(|chunk| {
            seen += chunk.bytes.len();
            seen >= end
        });
        arrival.map_or(Duration::ZERO, |chunk| chunk.at)
    }
}

/// At most `pieces` parts of nearly the same length, cut between characters.
pub(super) fn cut_text(text: &str, pieces: usize) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let pieces = pieces.clamp(1, characters.len().max(1));
    (0..pieces)
        .map(|number| {
            let from = number * characters.len() / pieces;
            let to = (number + 1) * characters.len() / pieces;
            characters[from..to].iter().collect()
        })
        .filter(|piece: &String| !piece.is_empty())
        .collect()
}

fn no_content() -> ProviderError {
    error("no chunk has any content: it only calls tools, or says nothing")
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{Cassette, Chunk, Duration};

    const BODY: &str = concat!(
        "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\r\n\r\n",
        "data:{\"id\":\"x\",\"n\":1.0,\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Grü\"},\"finish_reason\":null}]}\r\n\r\n",
        ": ping\r\n\r\n",
        "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"ße\"},\"finish_reason\":\"stop\"}]}\r\n\r\n",
        "data: [DONE]\r\n\r\n",
    );

    /// The body in chunks of some bytes, a millisecond each.
    fn chunked(size: usize) -> Cassette {
        let chunks = BODY.as_bytes().chunks(size).zip(0..);
        Cassette {
            header: None,
            chunks: chunks
                .map(|(bytes, number)| Chunk {
                    at: Duration::from_millis(number),
                    bytes: bytes.to_vec(),
                })
                .collect(),
        }
    }

    fn text(chunks: &[Chunk]) -> String {
        let bytes = chunks
            .iter()
            .flat_map(|chunk| chunk.bytes.clone())
            .collect();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn only_the_last_content_is_changed() {
        for size in [1, 7, 100, 10_000] {
            let recorded = chunked(size);
            let script = recorded.split("n-1").unwrap();
            let (head, tail) = BODY
                .split_once(
                    "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"ße",
                )
                .unwrap();
            assert_eq!(text(&script.before), head);
            assert_eq!(text(&script.after), "data: [DONE]\r\n\r\n");
            assert!(
                tail.contains("stop")
                    && text(std::slice::from_ref(&script.last))
                        .contains("\"ße n-1\"},\"finish_reason\":\"stop\"")
            );
            assert_eq!(script.answer.as_deref(), Some("Grüße n-1"));
            let whole = Cassette {
                header: None,
                chunks: [script.before, vec![script.last], script.after].concat(),
            };
            assert_eq!(whole.answer().unwrap().text, "Grüße n-1");
            assert!(whole.chunks.is_sorted_by_key(|chunk| chunk.at));
        }
    }

    #[test]
    fn a_recut_says_the_same() {
        for size in [1, 7, 100, 10_000] {
            for (pieces, made) in [(1, 1), (2, 2), (5, 5), (99, 5)] {
                let recut = chunked(size).recut(pieces, "n-1").unwrap();
                assert_eq!(recut.answer().unwrap(), chunked(1).answer().unwrap());
                assert!(recut.chunks.is_sorted_by_key(|chunk| chunk.at));
                let body = text(&recut.chunks);
                assert_eq!(body.matches("data:{\"id\":\"x\",\"n\":1.0").count(), made);
                assert_eq!(body.matches(": ping\r\n\r\n").count(), 1);
                assert_eq!(body.matches("\"stop\"").count(), 1);
            }
        }
    }

    #[test]
    fn a_nonce_of_the_cassettes_own_is_where_it_is_cut() {
        let body = BODY.replace("Grü", "Grü{nonce} x");
        let stamp = super::super::Stamp {
            nonce: "n-1".to_owned(),
            ..super::super::Stamp::sample()
        };
        let cassette = Cassette::parse("x.sse", body.as_bytes()).unwrap();
        assert!(cassette.places_nonce());
        for pieces in [1, 2, 3, 9] {
            let recut = cassette.stamped(&stamp).recut(pieces, "n-1").unwrap();
            let script = recut.split("n-1").unwrap();
            assert!(!text(&script.before).contains("n-1"));
            assert!(text(std::slice::from_ref(&script.last)).contains("n-1 xße"));
            assert_eq!(script.answer.as_deref(), Some("Grün-1 xße"));
            let before = text(&script.before).matches("\"n\":1.0").count();
            assert_eq!(before, (pieces - 1).clamp(1, 3), "{pieces}");
        }
    }

    #[test]
    fn a_format_that_is_not_read_is_cut_at_its_nonce() {
        let lines = concat!(
            "{\"chatctl_cassette\":1,\"profile\":\"anthropic\"}\n",
            "{\"t_us\":1,\"bytes\":\"event: a\\ndata: {\\\"text\\\":\\\"He\\\"}\\n\\nevent: a\\ndata: {\\\"text\\\":\\\"{nonce}\\\"}\\n\\n\"}\n",
            "{\"t_us\":2,\"bytes\":\"event: stop\\ndata: {\\\"text\\\":\\\"He{nonce}\\\"}\\n\\n\"}\n",
        );
        let cassette = Cassette::parse("x.jsonl", lines.as_bytes()).unwrap();
        let stamp = super::super::Stamp {
            nonce: "n-1".to_owned(),
            ..super::super::Stamp::sample()
        };
        let script = cassette.stamped(&stamp).split("n-1").unwrap();
        assert_eq!(
            text(&script.before),
            "event: a\ndata: {\"text\":\"He\"}\n\n"
        );
        assert_eq!(script.last.bytes, b"event: a\ndata: {\"text\":\"n-1\"}\n\n");
        assert_eq!(
            text(&script.after),
            "event: stop\ndata: {\"text\":\"Hen-1\"}\n\n"
        );
        assert_eq!(script.answer, None);
    }

    #[test]
    fn the_recut_keeps_its_time() {
        let recut = chunked(10_000).recut(3, "n-1").unwrap();
        assert!(recut.chunks.iter().all(|chunk| chunk.at.is_zero()));
        let recorded = chunked(1);
        let until = recorded.split("n-1").unwrap().last.at;
        let recut = recorded.recut(3, "n-1").unwrap();
        let pieces: Vec<_> = recut
            .chunks
            .iter()
            .filter(|chunk| chunk.bytes.len() > 20)
            .collect();
        assert_eq!(pieces[2].at, until);
    }

    #[test]
    fn a_tool_call_cannot_be_cut() {
        let body = concat!(
            "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":{\"name\":\"add\",\"arguments\":\"{\\\"a\"}}]}}]}\n\n",
            "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":{\"arguments\":\"\\\":1}\"}}]},\"finish_reason\":\"tool_calls\"}]}\n\n",
        );
        let cassette = Cassette::parse("x.sse", body.as_bytes()).unwrap();
        let answer = cassette.answer().unwrap();
        assert_eq!(answer.tool_calls[0].arguments, "{\"a\":1}");
        assert_eq!(
            (answer.tool_calls[0].id.as_str(), answer.done),
            ("c", false)
        );
        let completion = super::super::to_completion(&answer, "m", &super::super::Stamp::sample());
        let call = &completion["choices"][0]["message"]["tool_calls"][0];
        assert_eq!(call["function"]["name"], "add");
        let message = "no chunk has any content: it only calls tools, or says nothing";
        assert_eq!(cassette.recut(2, "n-1").unwrap_err().message, message);
        let error = cassette.split("n-1").unwrap_err();
        assert_eq!(error.message, message);
    }
}
