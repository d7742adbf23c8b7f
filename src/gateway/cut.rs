//! The same answer in other pieces: cut differently, or with its last piece withheld.

use super::answer::ProviderError;
use super::providers;
use super::providers::{Provider, Recut};
use super::read::Event;
use crate::stream::cassette::{Block, Cassette, Chunk, Framing};
use crate::text::pieces_of;
use serde_json::Value;
use std::ops::Range;

/// A cassette cut so that the last content can be held back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Everything before the last content chunk, bytes and borders as recorded.
    pub before: Vec<Chunk>,
    /// The last content chunk, with the nonce at the end of its text.
    pub last: Chunk,
    /// What follows: finish, usage, the final marker.
    pub after: Vec<Chunk>,
    /// The whole text with the nonce; absent where the format is not read.
    pub answer: Option<String>,
}

/// Cuts a cassette at the first event that holds `nonce`. One that has it nowhere is cut at its
/// last content chunk, and gets a space and `nonce` at the end of that chunk's text.
///
/// Bytes and borders of everything else stay as recorded; a chunk that reaches
/// into the one that is cut out is cut at its border.
pub fn split(cassette: &Cassette, nonce: &str) -> Result<Script, ProviderError> {
    let provider = providers::of(cassette);
    let framing = provider.map_or(Framing::Sse, |provider| provider.framing);
    let body = cassette.body();
    let holds = |block: &Block| {
        memchr::memmem::find(&body[block.range.clone()], nonce.as_bytes()).is_some()
    };
    match framing.blocks(&body).into_iter().find(holds) {
        Some(block) => {
            let answer = provider
                .map(|provider| provider.answer(cassette))
                .transpose()?;
            let last = body[block.range.clone()].to_vec();
            Ok(cut_out(
                cassette,
                &block.range,
                last,
                answer.map(|answer| answer.text),
            ))
        }
        None => match provider {
            Some(provider) => provider.split_at_last_content(cassette, nonce),
            None => Err(ProviderError::new(format!(
                "its profile `{}` cannot be read: put `{{nonce}}` where the new text goes",
                cassette.profile()
            ))),
        },
    }
}

/// What comes before and after a stretch of the body, in whose place `last` is.
fn cut_out(
    cassette: &Cassette,
    block: &Range<usize>,
    last: Vec<u8>,
    answer: Option<String>,
) -> Script {
    let mut before = cassette.cut(&[block.start, block.end]);
    let mut inside = before.split_off(before.partition_point(|(start, _)| *start < block.start));
    let after = inside.split_off(inside.partition_point(|(start, _)| *start < block.end));
    let plain = |cut: Vec<(usize, Chunk)>| cut.into_iter().map(|(_, chunk)| chunk).collect();
    Script {
        before: plain(before),
        last: Chunk {
            at: cassette.time_of(block.end),
            bytes: last,
        },
        after: plain(after),
        answer,
    }
}

impl Provider {
    /// The same answer in other content chunks: as many as `pieces` where the format says how, else more by
    /// `pieces` less 2. From `nonce` on, where the text has it already, the text is one piece.
    pub fn recut(
        &self,
        cassette: &Cassette,
        pieces: usize,
        nonce: &str,
    ) -> Result<Cassette, ProviderError> {
        match &self.recut {
            Some(how) => self.spread(how, cassette, pieces, nonce),
            None => self.further(cassette, pieces.saturating_sub(2), nonce),
        }
    }

    /// The same answer with its longest piece in so many more; as it is where it has but one piece. The
    /// last one stays whole: it may carry more than text.
    fn further(
        &self,
        cassette: &Cassette,
        more: usize,
        nonce: &str,
    ) -> Result<Cassette, ProviderError> {
        let text = |event: &Event| (self.content)(&event.json).unwrap_or_default().to_owned();
        let mut events = self.content_events(cassette)?;
        events.pop();
        events.retain(|event| !text(event).contains(nonce) && !is_numbered(&event.json));
        let longest = events
            .iter()
            .max_by_key(|event| text(event).chars().count());
        let Some(event) = longest.filter(|_| more > 0) else {
            return Ok(cassette.clone());
        };
        let body = cassette.body();
        let old = &body[event.block.clone()];
        let pieces = pieces_of(&text(event), more + 1);
        let events = pieces.iter().flat_map(|piece| {
            let mut json = event.json.clone();
            (self.set_content)(&mut json, piece);
            self.framing.with_data(old, &json.to_string())
        });
        let edit = (event.block.clone(), events.collect());
        Ok(cassette.edited(vec![edit]))
    }

    /// The last content chunk as two, the second of which has one character of the text; none where
    /// it carries more than a format is known to allow in two.
    pub fn ending_short(&self, last: &[u8]) -> Option<Vec<u8>> {
        let data = self
            .framing
            .blocks(last)
            .into_iter()
            .find_map(|it| it.data)?;
        let mut json = serde_json::from_slice(&data).ok()?;
        let text = (self.content)(&json)?.to_owned();
        let (at, _) = text.char_indices().last().filter(|(at, _)| *at > 0)?;
        let most = match &self.recut {
            Some(how) => (how.piece)(&json, &text[..at]),
            None if says_why_it_ends(&json) || is_numbered(&json) => return None,
            None => {
                let mut most = json.clone();
                (self.set_content)(&mut most, &text[..at]);
                most.to_string()
            }
        };
        (self.set_content)(&mut json, &text[at..]);
        let ends = [most, json.to_string()].map(|data| self.framing.with_data(last, &data));
        Some(ends.concat())
    }

    /// The same answer in `pieces` content chunks, or in as many as it has characters.
    ///
    /// The new chunks have the envelope of the first content chunk and are in its
    /// place, their times spread to that of the last one. All other bytes are kept;
    /// what else a content chunk carried (a `finish_reason`, a tool call) follows with empty content.
    fn spread(
        &self,
        how: &Recut,
        cassette: &Cassette,
        pieces: usize,
        nonce: &str,
    ) -> Result<Cassette, ProviderError> {
        let body = cassette.body();
        let events = self.content_events(cassette)?;
        let (Some(first), Some(last)) = (events.first(), events.last()) else {
            return Ok(cassette.clone());
        };
        let text = self.text_of(&events);
        let texts = match text.find(nonce) {
            Some(at) if at > 0 => {
                let mut texts = pieces_of(&text[..at], pieces.saturating_sub(1));
                texts.push(text[at..].to_owned());
                texts
            }
            Some(_) => vec![text],
            None => pieces_of(&text, pieces),
        };
        let from = cassette.time_of(first.block.end);
        let until = cassette.time_of(last.block.end);
        let steps = u32::try_from(texts.len().saturating_sub(1)).unwrap_or(u32::MAX);
        let step = until.saturating_sub(from) / steps.max(1);

        let borders: Vec<_> = events
            .iter()
            .flat_map(|event| [event.block.start, event.block.end])
            .collect();
        let mut cut = cassette.cut(&borders);
        let behind = cut.split_off(cut.partition_point(|(start, _)| *start < first.block.start));
        let mut chunks: Vec<_> = cut.into_iter().map(|(_, chunk)| chunk).collect();
        chunks.extend(texts.iter().zip(0..).map(|(text, number)| {
            Chunk {
                at: from + step * number,
                bytes: self
                    .framing
                    .with_data(&body[first.block.clone()], &(how.piece)(&first.json, text)),
            }
        }));
        for (start, chunk) in behind {
            // What stood between content chunks now comes behind them, not before its time.
            let at = chunk.at.max(until);
            match events.iter().find(|event| event.block.contains(&start)) {
                None => chunks.push(Chunk { at, ..chunk }),
                Some(event) if event.block.start == start => {
                    let rest = (how.rest)(&event.json);
                    chunks.extend(rest.map(|rest| Chunk {
                        at,
                        bytes: self.framing.with_data(&body[event.block.clone()], &rest),
                    }));
                }
                Some(_) => {}
            }
        }
        Ok(Cassette {
            header: cassette.header.clone(),
            chunks,
        })
    }

    fn split_at_last_content(
        &self,
        cassette: &Cassette,
        nonce: &str,
    ) -> Result<Script, ProviderError> {
        let text = self.answer(cassette)?.text;
        let mut events = self.content_events(cassette)?;
        let Event { block, mut json } = events.pop().ok_or_else(no_content)?;
        let ending = format!(" {nonce}");
        let changed = (self.content)(&json).unwrap_or_default().to_owned() + &ending;
        (self.set_content)(&mut json, &changed);
        let body = cassette.body();
        let last = &body[block.clone()];
        let last = self.framing.with_data(last, &json.to_string());
        let repeated = self.repeats(cassette, &block, &ending)?;
        Ok(cut_out(&repeated, &block, last, Some(text + &ending)))
    }

    /// The cassette with the ending added where later events repeat the text.
    fn repeats(
        &self,
        cassette: &Cassette,
        block: &Range<usize>,
        ending: &str,
    ) -> Result<Cassette, ProviderError> {
        let Some(repeat) = self.repeat else {
            return Ok(cassette.clone());
        };
        let body = cassette.body();
        let (events, _) = self.events(cassette)?;
        let later = events
            .into_iter()
            .filter(|event| event.block.start >= block.end);
        let edits = later.filter_map(|mut event| {
            let changed = repeat(&mut event.json, ending);
            changed.then(|| {
                let old = &body[event.block.clone()];
                let new = self.framing.with_data(old, &event.json.to_string());
                (event.block, new)
            })
        });
        Ok(cassette.edited(edits.collect()))
    }

    fn text_of(&self, events: &[Event]) -> String {
        let pieces = events.iter();
        pieces
            .filter_map(|event| (self.content)(&event.json))
            .collect()
    }

    fn content_events(&self, cassette: &Cassette) -> Result<Vec<Event>, ProviderError> {
        let (mut events, _) = self.events(cassette)?;
        events.retain(|event| (self.content)(&event.json).is_some_and(|text| !text.is_empty()));
        Ok(events)
    }
}

/// Whether an event with text is also the one that ends the answer.
fn says_why_it_ends(json: &Value) -> bool {
    match json {
        Value::Object(fields) => fields.iter().any(|(key, value)| match key.as_str() {
            "finishReason" | "stop_reason" => !value.is_null(),
            "done" => value == &Value::Bool(true),
            _ => says_why_it_ends(value),
        }),
        Value::Array(values) => values.iter().any(says_why_it_ends),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Whether an event has a number that no other one has.
fn is_numbered(json: &Value) -> bool {
    json.get("sequence_number").is_some()
}

fn no_content() -> ProviderError {
    ProviderError::new("no chunk has any content: it only calls tools, or says nothing")
}

#[cfg(test)]
mod tests {
    use super::{Cassette, Chunk, Script, split};
    use crate::gateway::answer::{Answer, ProviderError};
    use crate::gateway::providers;
    use crate::gateway::providers::{Making, Provider};
    use crate::stream::cassette::Stamp;
    use std::time::Duration;

    fn provider() -> &'static Provider {
        providers::named("openai-chat").unwrap()
    }

    fn answer(cassette: &Cassette) -> Answer {
        provider().answer(cassette).unwrap()
    }

    fn again(cassette: &Cassette, pieces: usize) -> Result<Cassette, ProviderError> {
        provider().recut(cassette, pieces, "n-1")
    }

    fn cut(cassette: &Cassette) -> Script {
        split(cassette, "n-1").unwrap()
    }

    const BODY: &str = concat!(
        "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\r\n\r\n",
        "data:{\"id\":\"x\",\"n\":1.0,\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Grü\"},\"finish_reason\":null}]}\r\n\r\n",
        ": ping\r\n\r\n",
        "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"ße\"},\"finish_reason\":\"stop\"}]}\r\n\r\n",
        "data: [DONE]\r\n\r\n",
    );

    #[test]
    fn a_short_end_has_one_character_and_what_else_the_chunk_carried() {
        let script = cut(&chunked(40));
        let two = provider().ending_short(&script.last.bytes).unwrap();
        let whole = Cassette {
            header: None,
            chunks: vec![Chunk {
                at: Duration::ZERO,
                bytes: two.clone(),
            }],
        };
        let events = provider().content_events(&whole).unwrap();
        let texts: Vec<_> = events
            .iter()
            .map(|event| (provider().content)(&event.json).unwrap())
            .collect();
        assert_eq!(texts, ["ße n-", "1"]);
        let reasons = events
            .iter()
            .map(|event| &event.json["choices"][0]["finish_reason"]);
        assert_eq!(
            reasons.collect::<Vec<_>>(),
            [&serde_json::Value::Null, &"stop".into()]
        );
    }

    #[test]
    fn an_answer_is_cut_further_in_every_format() {
        let making = Making {
            model: "m",
            stamp: &Stamp::sample(),
        };
        for provider in providers::ALL {
            let made = provider.made("Grüße an alle, die hier sind", 3, &making);
            for pieces in [3, 4, 7] {
                let more = provider.recut(&made, pieces, "n-1").unwrap();
                let events = provider.content_events(&more).unwrap();
                let name = provider.name;
                assert_eq!(
                    provider.answer(&more).unwrap().text,
                    "Grüße an alle, die hier sind",
                    "{name}"
                );
                // Each of its events has a number.
                let is_as_recorded = name == "openai-responses";
                assert_eq!(
                    events.len(),
                    match provider.recut {
                        Some(_) => pieces,
                        None if is_as_recorded => 3,
                        None => pieces + 1,
                    },
                    "{name}"
                );
            }
            let Some(two) = provider.ending_short(&cut(&made).last.bytes) else {
                assert_eq!(provider.name, "openai-responses");
                continue;
            };
            let short = Cassette {
                chunks: vec![Chunk {
                    at: Duration::ZERO,
                    bytes: two,
                }],
                ..made.clone()
            };
            let pieces = provider.content_events(&short).unwrap().len();
            assert_eq!(pieces, 2, "{}", provider.name);
        }
    }

    #[test]
    fn an_event_that_ends_the_answer_stays_one() {
        let provider = providers::named("gemini").unwrap();
        let event = |reason: &str| {
            let data = format!(
                "{{\"candidates\":[{{\"content\":{{\"parts\":[{{\"text\":\"milk\"}}]}}{reason}}}]}}"
            );
            format!("data: {data}\n\n").into_bytes()
        };
        let last = event(",\"finishReason\":\"STOP\"");
        assert_eq!(provider.ending_short(&last), None);
        assert!(provider.ending_short(&event("")).is_some());
    }

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
            let script = cut(&recorded);
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
            assert_eq!(answer(&whole).text, "Grüße n-1");
            assert!(whole.chunks.is_sorted_by_key(|chunk| chunk.at));
        }
    }

    #[test]
    fn a_recut_says_the_same() {
        for size in [1, 7, 100, 10_000] {
            for (pieces, made) in [(1, 1), (2, 2), (5, 5), (99, 5)] {
                let recut = again(&chunked(size), pieces).unwrap();
                assert_eq!(answer(&recut), answer(&chunked(1)));
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
        let stamp = Stamp {
            nonce: "n-1".to_owned(),
            ..Stamp::sample()
        };
        let cassette = Cassette::parse("x.sse", body.as_bytes()).unwrap();
        assert!(cassette.places_nonce());
        for pieces in [1, 2, 3, 9] {
            let recut = again(&provider().stamped(&cassette, &stamp), pieces).unwrap();
            let script = cut(&recut);
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
            "{\"chatctl_cassette\":1,\"profile\":\"other\"}\n",
            "{\"t_us\":1,\"bytes\":\"event: a\\ndata: {\\\"text\\\":\\\"He\\\"}\\n\\nevent: a\\ndata: {\\\"text\\\":\\\"{nonce}\\\"}\\n\\n\"}\n",
            "{\"t_us\":2,\"bytes\":\"event: stop\\ndata: {\\\"text\\\":\\\"He{nonce}\\\"}\\n\\n\"}\n",
        );
        let cassette = Cassette::parse("x.jsonl", lines.as_bytes()).unwrap();
        let stamp = Stamp {
            nonce: "n-1".to_owned(),
            ..Stamp::sample()
        };
        let script = cut(&cassette.stamped(&stamp, None));
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
        let recut = again(&chunked(10_000), 3).unwrap();
        assert!(recut.chunks.iter().all(|chunk| chunk.at.is_zero()));
        let recorded = chunked(1);
        let until = cut(&recorded).last.at;
        let recut = again(&recorded, 3).unwrap();
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
        let answer = answer(&cassette);
        assert_eq!(answer.tool_calls[0].arguments, "{\"a\":1}");
        assert_eq!(
            (answer.tool_calls[0].id.as_str(), answer.done),
            ("c", false)
        );
        let making = Making {
            model: "m",
            stamp: &Stamp::sample(),
        };
        let completion = (provider().whole)(&answer, &making);
        let call = &completion["choices"][0]["message"]["tool_calls"][0];
        assert_eq!(call["function"]["name"], "add");
        let message = "no chunk has any content: it only calls tools, or says nothing";
        assert_eq!(again(&cassette, 2), Ok(cassette.clone()));
        let error = split(&cassette, "n-1").unwrap_err();
        assert_eq!(error.message, message);
    }
}
