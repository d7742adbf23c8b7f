//! What each answer has of its own: its ids, its time, and a text that was never sent before.
//!
//! A provider never gives an id twice, and servers store by it: a cassette that is played twice with
//! the same id would let the second answer overwrite the first.

use super::{Cassette, Chunk, Framing};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

/// What is new in one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// The part of every id that is new: `{id}`.
    pub id: String,
    /// The time in seconds since 1970: `{now}`.
    pub now: u64,
    /// The text that was never sent before: `{nonce}`.
    pub nonce: String,
}

impl Stamp {
    /// The stamp of an answer that is only read, not played: `{nonce}` stays as it is.
    pub(crate) fn sample() -> Self {
        Self {
            id: "sample".to_owned(),
            now: 0,
            nonce: "{nonce}".to_owned(),
        }
    }
}

/// A stretch of the body and what takes its place.
pub type Edit = (Range<usize>, Vec<u8>);

impl Cassette {
    /// The cassette as one answer: `{id}`, `{now}` and `{nonce}` filled in, and in a cassette that
    /// has none of them the recorded ids and times replaced by new ones, where it is known where
    /// its format has them.
    pub fn stamped(&self, stamp: &Stamp, known: Option<(Framing, &Fresh)>) -> Self {
        let body = self.body();
        let now = stamp.now.to_string();
        let holes = [
            (&b"{id}"[..], stamp.id.as_bytes()),
            (b"{now}", now.as_bytes()),
            (b"{nonce}", stamp.nonce.as_bytes()),
        ];
        let mut edits: Vec<Edit> = Vec::new();
        for (hole, with) in holes {
            let found = memchr::memmem::find_iter(&body, hole);
            edits.extend(found.map(|at| (at..at + hole.len(), with.to_vec())));
        }
        let has = |hole: &[u8]| memchr::memmem::find(&body, hole).is_some();
        let (own_id, own_now) = (has(b"{id}"), has(b"{now}"));
        let mut ids = Ids {
            stamp,
            known: BTreeMap::new(),
        };
        for own in known.map_or_else(Vec::new, |(framing, fresh)| fresh.of(framing, &body)) {
            if !own_id {
                edits.extend(own.ids.into_iter().map(|(at, old)| {
                    let new = ids.new_one(&old);
                    (at, format!("\"{new}\"").into_bytes())
                }));
            }
            if !own_now {
                let times = own.times.into_iter();
                edits.extend(times.map(|at| (at, now.clone().into_bytes())));
            }
        }
        self.edited(edits)
    }

    /// Whether the cassette itself says where the new text is.
    pub fn places_nonce(&self) -> bool {
        memchr::memmem::find(&self.body(), b"{nonce}").is_some()
    }

    /// The cassette with stretches of its body replaced. A chunk border inside of one stays inside
    /// of what replaces it, as far as that is long enough.
    pub(crate) fn edited(&self, mut edits: Vec<Edit>) -> Self {
        edits.sort_by_key(|(range, _)| range.start);
        let mut free = 0;
        // A place inside of another one that is replaced goes with it.
        edits.retain(|(range, _)| {
            let apart = range.start >= free;
            free = free.max(range.end);
            apart
        });
        let body = self.body();
        let mut chunks: Vec<Chunk> = Vec::new();
        let mut edits = edits.into_iter().peekable();
        let (mut at, mut end) = (0, 0);
        // What of a replacement belongs to the next chunk.
        let mut left: Vec<u8> = Vec::new();
        for chunk in &self.chunks {
            end += chunk.bytes.len();
            let mut bytes = std::mem::take(&mut left);
            while let Some((range, with)) = edits.next_if(|(range, _)| range.start < end) {
                bytes.extend_from_slice(&body[at..range.start]);
                at = range.end;
                // The part before the border, when the stretch reaches over it.
                let here = if range.end > end {
                    (end - range.start).min(with.len())
                } else {
                    with.len()
                };
                bytes.extend_from_slice(&with[..here]);
                left.extend_from_slice(&with[here..]);
            }
            if at < end {
                bytes.extend_from_slice(&body[at..end]);
                at = end;
            }
            if !bytes.is_empty() {
                chunks.push(Chunk {
                    at: chunk.at,
                    bytes,
                });
            }
        }
        if let Some(last) = chunks.last_mut() {
            last.bytes.append(&mut left);
        }
        Self {
            header: self.header.clone(),
            chunks,
        }
    }
}

/// The ids of one answer: an old one gets the same new one wherever it is.
struct Ids<'a> {
    stamp: &'a Stamp,
    known: BTreeMap<String, String>,
}

impl Ids<'_> {
    /// The new id in place of an old one. What is before the last `-` or `_` says of what it
    /// is the id, and stays.
    fn new_one(&mut self, old: &str) -> String {
        let number = self.known.len();
        let make = || {
            let kept = old.rfind(['-', '_']).map_or("", |at| &old[..=at]);
            let kept = if kept.chars().all(is_plain) { kept } else { "" };
            match number {
                0 => format!("{kept}{}", self.stamp.id),
                number => format!("{kept}{}{number}", self.stamp.id),
            }
        };
        self.known
            .entry(old.to_owned())
            .or_insert_with(make)
            .clone()
    }
}

/// Whether a character is the same within a JSON string.
fn is_plain(c: char) -> bool {
    c.is_ascii_graphic() && c != '"' && c != '\\'
}

/// Where the events of a wire format have what belongs to one answer alone. A path is a list of
/// keys; `*` is each item of a list.
#[derive(Debug)]
pub struct Fresh {
    pub ids: &'static [&'static [&'static str]],
    /// Times in seconds since 1970.
    pub times: &'static [&'static [&'static str]],
}

/// The values of one event that belong to its answer alone.
struct Own {
    /// Ids with their quotes, and what is between them.
    ids: Vec<(Range<usize>, String)>,
    times: Vec<Range<usize>>,
}

impl Fresh {
    fn of(&self, framing: Framing, body: &[u8]) -> Vec<Own> {
        let blocks = framing.blocks(body).into_iter();
        let data = blocks.filter_map(|block| {
            let range = framing.data_range(&body[block.range.clone()])?;
            let start = block.range.start + range.start;
            let text = std::str::from_utf8(&body[start..block.range.start + range.end]).ok()?;
            let event: &RawValue = serde_json::from_str(text).ok()?;
            Some((start, text, event))
        });
        let own = data.map(|(start, text, event)| {
            let find = |paths: &[&[&str]]| {
                let mut found = Vec::new();
                for path in paths {
                    select(event, path, &mut found);
                }
                found
            };
            let place = |raw: &RawValue| {
                // The value is borrowed from the text, so its address says where it is.
                let at = start + (raw.get().as_ptr() as usize - text.as_ptr() as usize);
                at..at + raw.get().len()
            };
            let id = |raw: &RawValue| {
                let id: String = serde_json::from_str(raw.get()).ok()?;
                (!id.is_empty()).then(|| (place(raw), id))
            };
            let times = find(self.times).into_iter();
            let times = times.filter(|raw| raw.get().parse::<u64>().is_ok());
            Own {
                ids: find(self.ids).into_iter().filter_map(id).collect(),
                times: times.map(place).collect(),
            }
        });
        own.collect()
    }
}

/// The values at the end of a path.
fn select<'a>(value: &'a RawValue, path: &[&str], found: &mut Vec<&'a RawValue>) {
    match path {
        [] => found.push(value),
        ["*", rest @ ..] => {
            let items: Vec<&RawValue> = serde_json::from_str(value.get()).unwrap_or_default();
            for item in items {
                select(item, rest, found);
            }
        }
        [key, rest @ ..] => {
            let object: BTreeMap<Cow<'_, str>, &RawValue> =
                serde_json::from_str(value.get()).unwrap_or_default();
            if let Some(value) = object.get(*key) {
                select(value, rest, found);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Cassette, Chunk, Stamp};
    use crate::gateway::providers;
    use std::time::Duration;

    fn stamp() -> Stamp {
        Stamp {
            id: "NEW".to_owned(),
            now: 1_800_000_000,
            nonce: "n-1".to_owned(),
        }
    }

    fn chunked(body: &str, size: usize, profile: Option<&str>) -> Cassette {
        let chunks = body.as_bytes().chunks(size).zip(0..);
        Cassette {
            header: profile.map(|profile| super::super::Header {
                profile: Some(profile.to_owned()),
            }),
            chunks: chunks
                .map(|(bytes, number)| Chunk {
                    at: Duration::from_millis(number),
                    bytes: bytes.to_vec(),
                })
                .collect(),
        }
    }

    fn stamped(body: &str, profile: Option<&str>) -> String {
        let bodies = [1, 3, 7, 10_000].map(|size| {
            let cassette = chunked(body, size, profile);
            let known = providers::of(&cassette);
            let known = known.map(|provider| (provider.framing, &provider.fresh));
            let stamped = cassette.stamped(&stamp(), known);
            assert!(stamped.chunks.iter().all(|chunk| !chunk.bytes.is_empty()));
            assert!(stamped.chunks.is_sorted_by_key(|chunk| chunk.at));
            String::from_utf8(stamped.body()).unwrap()
        });
        assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
        bodies[0].clone()
    }

    #[test]
    fn recorded_ids_and_times_are_replaced_and_nothing_else() {
        let body = concat!(
            "data: {\"id\":\"chatcmpl-1\", \"created\": 17 ,\"n\":1.0,\"choices\":[{\"delta\":{\"content\":\"chatcmpl-1\"}}]}\r\n\r\n",
            ": ping\n\n",
            "data: {\"id\":\"chatcmpl-1\",\"created\":17,\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"call_9\"}]}}]}\n\n",
            "data: {\"error\":{\"id\":\"chatcmpl-1\"}}\n\ndata: [DONE]\n\n",
        );
        let expected = body
            .replace("\"id\":\"chatcmpl-1\",", "\"id\":\"chatcmpl-NEW\",")
            .replace("\"created\": 17 ", "\"created\": 1800000000 ")
            .replace("\"created\":17", "\"created\":1800000000")
            .replace("call_9", "call_NEW1");
        assert_eq!(stamped(body, None), expected);
    }

    #[test]
    fn named_places_are_filled_in_any_format() {
        let body = "event: x\ndata: {\"id\":\"msg_{id}\",\"at\":{now},\"text\":\"{nonce}\",\"created\":5}\n\n";
        let filled = "event: x\ndata: {\"id\":\"msg_NEW\",\"at\":1800000000,\"text\":\"n-1\",\"created\":5}\n\n";
        assert_eq!(stamped(body, Some("anthropic")), filled);
        // In an openai-chat cassette too; what names its places is left at them.
        assert_eq!(stamped(body, None), filled);
    }

    #[test]
    fn what_has_neither_stays_as_it_is() {
        let body = "data: {\"id\":null,\"created\":\"today\",\"choices\":null}\n\ndata: {oops\n\ndata: {\"id\":\"\"}\n\n";
        assert_eq!(stamped(body, None), body);
        let other = "data: {\"id\":\"msg_1\",\"created\":5}\n\n";
        assert_eq!(stamped(other, Some("anthropic")), other);
    }
}
