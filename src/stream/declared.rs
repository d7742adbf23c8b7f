//! A declared profile: the meaning of each event, as data.

use super::body::Framing;
use super::json::{Document, Json};
use super::marker::FinalMarker;
use super::path::Path;
use crate::model::Frame;
use serde_json::Value;

/// What a profile file says.
#[derive(Debug, Clone, PartialEq)]
pub struct Declared {
    /// How the body is cut into events.
    pub framing: Framing,
    /// Where the text is; at least one.
    pub text: Vec<Text>,
    /// Where the model's reasoning is, which is not part of the answer.
    pub reasoning: Vec<Pick>,
    /// Events after which no text comes.
    pub complete: Vec<Pick>,
    /// Tool calls.
    pub tools: Vec<Tool>,
    /// Events that say that the turn failed, and where they say why.
    pub error: Vec<Pick>,
    /// A number that grows by one from event to event.
    pub sequence: Option<Path>,
    /// What ends the stream.
    pub final_marker: FinalMarker,
    /// Whether that ends one response of the model, of which a turn may have several.
    pub rounds: bool,
    /// What to do where answers are saved after that.
    pub help: Option<String>,
}

/// When a rule applies to an event.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct When {
    /// The name of the event.
    pub event: Option<String>,
    /// Each path selects one of its values.
    pub json: Vec<(Path, Vec<Value>)>,
    /// These paths select nothing.
    pub unless: Vec<Path>,
    /// The data is not a JSON object.
    pub plain: bool,
}

/// A value of the events to which it applies.
#[derive(Debug, Clone, PartialEq)]
pub struct Pick {
    /// Which events.
    pub when: When,
    /// Where in them; the whole data when absent.
    pub path: Option<Path>,
}

/// Where text is.
#[derive(Debug, Clone, PartialEq)]
pub struct Text {
    /// Which events, and where in them.
    pub pick: Pick,
    /// Whether it is a piece, or all so far.
    pub mode: Mode,
    /// What names the message that it belongs to, where an answer may have several.
    pub message: Option<Path>,
    /// Characters that a server fills the text up with, and a client takes out.
    pub strip: String,
}

/// What the text of an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The next piece.
    Delta,
    /// The whole text so far.
    Snapshot,
    /// The whole of a part of the text, of which pieces may have come before.
    Whole,
    /// The whole text, where none came in another way up to the end.
    Fallback,
}

/// Where a tool call is. Pieces with the same index belong together.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// Which events.
    pub when: When,
    /// Which call of the turn; 0 when absent.
    pub index: Option<Path>,
    pub name: Option<Path>,
    /// Its arguments, or a piece of them.
    pub arguments: Option<Path>,
}

impl Declared {
    /// Whether a text of no particular form is text to it.
    pub(super) fn takes_any_text(&self) -> bool {
        let any = |pick: &Pick| {
            pick.path.is_none() && pick.when.event.is_none() && pick.when.json.is_empty()
        };
        self.framing != Framing::Sse && self.text.iter().any(|text| any(&text.pick))
    }

    /// Whether any rule looks into JSON.
    pub(super) fn reads_json(&self) -> bool {
        let in_pick = |pick: &Pick| {
            let When {
                json,
                unless,
                plain,
                ..
            } = &pick.when;
            pick.path.is_some() || !json.is_empty() || !unless.is_empty() || *plain
        };
        let mut texts = self.text.iter().map(|text| &text.pick);
        let others = self.complete.iter().chain(&self.error);
        texts.any(in_pick)
            || others.chain(&self.reasoning).any(in_pick)
            || !self.tools.is_empty()
            || self.sequence.is_some()
    }
}

impl When {
    pub(super) fn holds(&self, frame: &Frame, json: Option<&Document<'_>>) -> bool {
        self.event
            .as_ref()
            .is_none_or(|name| is_named(&frame.event, name))
            && self.json.iter().all(|(path, values)| {
                let is_one = |found: &Json<'_>| values.iter().any(|value| found == value);
                json.is_some_and(|json| path.any(json, is_one))
            })
            && (self.unless.iter()).all(|path| json.is_none_or(|json| path.is_empty(json)))
            && !(self.plain && json.is_some_and(|json| json.root().is_object()))
    }
}

/// LangGraph adds the subgraph to the name of its events: `messages|agent:1b2c`.
fn is_named(event: &str, name: &str) -> bool {
    let rest = event.strip_prefix(name);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('|'))
}

impl Pick {
    /// What an event says by this rule.
    pub(super) fn of(&self, frame: &Frame, json: Option<&Document<'_>>) -> Option<String> {
        if !self.when.holds(frame, json) {
            return None;
        }
        let Some(path) = &self.path else {
            return Some(frame.data.clone());
        };
        let mut said = None;
        path.for_each(json?, |found| {
            if let Some(found) = found.said() {
                said.get_or_insert_with(String::new).push_str(&found);
            }
        });
        said
    }
}

impl Pick {
    /// The error that an event reports by this rule. A field that is in every event, and is empty in most,
    /// reports one only where it is not empty.
    pub(super) fn error_of(&self, frame: &Frame, json: Option<&Document<'_>>) -> Option<String> {
        let said = self.of(frame, json)?;
        let is_empty = ["", "false", "0", "{}", "[]"].contains(&said.as_str());
        (self.when != When::default() || !is_empty).then_some(said)
    }
}

impl Text {
    /// The text of an event by this rule; `is_final` shows whether the event is the final marker.
    pub(super) fn of(
        &self,
        frame: &Frame,
        json: Option<&Document<'_>>,
        is_final: bool,
    ) -> Option<String> {
        let text = self.unstripped(frame, json, is_final)?;
        if self.strip.is_empty() {
            return Some(text);
        }
        let text = text.replace(|c| self.strip.contains(c), "");
        (!text.is_empty()).then_some(text)
    }

    fn unstripped(
        &self,
        frame: &Frame,
        json: Option<&Document<'_>>,
        is_final: bool,
    ) -> Option<String> {
        let Pick { when, path } = &self.pick;
        if path.is_none() && *when == When::default() && (is_final || frame.event != "message") {
            // Neither the marker nor an event of another name is text that nobody asked for.
            return None;
        }
        let Some(path) = path else {
            return self.pick.of(frame, json).filter(|text| !text.is_empty());
        };
        let json = json.filter(|json| when.holds(frame, Some(json)))?;
        // A list of parts or an object is no text.
        let mut text = String::new();
        path.for_each(json, |found| text.push_str(found.as_str().unwrap_or("")));
        (!text.is_empty()).then_some(text)
    }
}
