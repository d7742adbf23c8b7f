//! Whole answers that are sent in odd ways.

use super::{Ends, Fault, NOTHING, Scene, bytes};
use crate::gateway::play::{Act, Step};
use crate::gateway::providers::{NoText, Provider};
use bytes::Bytes;
use serde_json::Value;
use std::time::Duration;

pub(super) const EMPTY_DELTAS: Fault = Fault {
    name: "empty-deltas",
    what: "an event with empty text precedes each piece of the text",
    breaks: "A server that takes an empty piece for the end stores a part.",
    sends: Some(|steps, Scene { provider, .. }, _| {
        let mut odd = Vec::new();
        for step in steps {
            if content(&step, provider).is_some() {
                odd.push(changed(&step, provider, ""));
            }
            odd.push(step);
        }
        Some(odd)
    }),
    ..NOTHING
};

pub(super) const ONLY_REASONING: Fault = Fault {
    name: "only-reasoning",
    what: "the model reasons, and gives no answer",
    breaks: "An empty row is stored as the answer, and some providers refuse a history with an empty \
             message: the conversation can't be continued.",
    ends: Ends::WithoutText(NoText::Reasoning),
    ..NOTHING
};

pub(super) const ONLY_TOOL_CALL: Fault = Fault {
    name: "only-tool-call",
    what: "the model calls a tool that the server does not have, and gives no answer",
    breaks: "The turn ends with an exception, or an empty row is stored as the answer.",
    ends: Ends::WithoutText(NoText::ToolCall),
    ..NOTHING
};

pub(super) const DRIP: Fault = Fault {
    name: "drip",
    what: "the answer comes in pieces of a few bytes, with pauses",
    breaks: "A server that takes the result of one read for a whole event loses text.",
    sends: Some(|steps, Scene { provider, .. }, _| {
        let all: usize = steps.iter().filter_map(bytes).map(Bytes::len).sum();
        // A long answer has to come to its end, too.
        let size = (all / MOST_PIECES).max(3);
        let mut drops = Vec::new();
        for step in steps {
            match &step.act {
                Act::Send(bytes) if !provider.is_only_final(bytes) => {
                    let pieces = bytes.chunks(size);
                    drops.extend(pieces.map(|piece| Step::send(piece.to_vec())));
                }
                // Some clients leave as soon as they have seen it.
                Act::Send(_) | Act::Close | Act::Reset => drops.push(step),
            }
        }
        Some(drops)
    }),
    ..NOTHING
};

/// Into so many pieces an answer is cut at most, about.
const MOST_PIECES: usize = 1_000;

pub(super) const SPLIT_CHARACTER: Fault = Fault {
    name: "split-character",
    what: "pieces of the answer end inside a character",
    breaks: "A server that decodes each piece separately stores U+FFFD, or raises an error.",
    says: Some(|_| "Grüße, 你好 👋!".to_owned()),
    sends: Some(|steps, _, _| {
        let mut split = Vec::new();
        for step in steps {
            let Act::Send(bytes) = &step.act else {
                split.push(step);
                continue;
            };
            let mut from = 0;
            for at in (1..bytes.len()).filter(|at| is_inside(bytes[*at])) {
                split.push(Step::send(bytes.slice(from..at)));
                from = at;
            }
            split.push(Step::send(bytes.slice(from..)));
        }
        Some(split)
    }),
    ..NOTHING
};

/// Whether a byte of UTF-8 is not the first one of its character.
fn is_inside(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

/// For so long the provider is silent.
const SILENCE: Duration = Duration::from_secs(2);

pub(super) const STALL: Fault = Fault {
    name: "stall",
    what: "the provider is silent for 2 s in the middle of its answer, and then continues",
    breaks: "A server with a short time limit ends the turn, and stores a part as the whole.",
    sends: Some(|mut steps, scene, rng| {
        let at = middle(&steps, scene.provider, rng)?;
        steps[at].wait = SILENCE;
        Some(steps)
    }),
    ..NOTHING
};

pub(super) const DONE_TWICE: Fault = Fault {
    name: "done-twice",
    what: "the final marker comes twice",
    breaks: "A server that saves at each final marker stores the answer twice.",
    sends: Some(|mut steps, Scene { provider, .. }, _| {
        let last = steps.last()?.clone();
        provider.is_only_final(bytes(&last)?).then(|| {
            steps.push(last);
            steps
        })
    }),
    ..NOTHING
};

pub(super) const DATA_AFTER_DONE: Fault = Fault {
    name: "data-after-done",
    what: "another piece of text comes after the final marker",
    breaks: "A server that begins a new answer with it overwrites the existing one.",
    sends: Some(|mut steps, Scene { provider, .. }, _| {
        let is_final = provider.is_only_final(bytes(steps.last()?)?);
        let first = steps.iter().find(|it| content(it, provider).is_some());
        let more = changed(first.filter(|_| is_final)?, provider, " Too late.");
        steps.push(more);
        Some(steps)
    }),
    ..NOTHING
};

/// Whether a fault cuts chunks, and so comes after those that read them.
pub(super) fn cuts(fault: &Fault) -> bool {
    [DRIP.name, SPLIT_CHARACTER.name].contains(&fault.name)
}

/// The first event of a step.
pub(super) fn event(step: &Step, provider: &Provider) -> Option<Value> {
    let blocks = provider.framing.blocks(bytes(step)?);
    let mut events = blocks.into_iter();
    events.find_map(|block| serde_json::from_slice(&block.data?).ok())
}

/// The piece of text that a step sends.
fn content(step: &Step, provider: &Provider) -> Option<String> {
    let bytes = bytes(step)?;
    let blocks = provider.framing.blocks(bytes).into_iter();
    let texts = blocks.filter_map(|block| {
        let json = serde_json::from_slice(&block.data?).ok()?;
        (provider.content)(&json).map(str::to_owned)
    });
    let text: String = texts.collect();
    (!text.is_empty()).then_some(text)
}

/// The same step with another text.
fn changed(step: &Step, provider: &Provider, text: &str) -> Step {
    let Act::Send(bytes) = &step.act else {
        return step.clone();
    };
    let mut json = provider
        .framing
        .blocks(bytes)
        .into_iter()
        .find_map(|block| serde_json::from_slice(&block.data?).ok())
        .unwrap_or_default();
    (provider.set_content)(&mut json, text);
    Step::send(provider.framing.with_data(bytes, &json.to_string()))
}

/// A step with text that is neither the first nor comes after the last one.
pub(super) fn middle(
    steps: &[Step],
    provider: &Provider,
    rng: &mut fastrand::Rng,
) -> Option<usize> {
    let with_text: Vec<usize> = (0..steps.len())
        .filter(|at| content(&steps[*at], provider).is_some())
        .collect();
    let later = with_text.get(1..).filter(|later| !later.is_empty())?;
    Some(later[rng.usize(..later.len())])
}
