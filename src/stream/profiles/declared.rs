//! Reads a response by a declaration.

use super::{Reader, StreamEvent};
use crate::model::{Frame, Line};
use crate::stream::declared::{Declared, Mode, Tool};
use crate::stream::json::Document;
use crate::stream::marker::FinalMarker;
use crate::stream::path::Path;
use std::sync::Arc;

/// Reads a response by its declaration.
pub(super) struct Declaration {
    declared: Arc<Declared>,
    marker: FinalMarker,
    reads_json: bool,
    /// The number that comes next.
    next: Option<i64>,
    /// The tool calls so far, by what distinguishes them.
    calls: Vec<String>,
}

impl Declaration {
    pub(super) fn new(declared: Arc<Declared>, marker: FinalMarker) -> Self {
        Self {
            reads_json: declared.reads_json(),
            declared,
            marker,
            next: None,
            calls: Vec::new(),
        }
    }

    fn sequence(&mut self, json: Option<&Document<'_>>) -> Option<StreamEvent> {
        let path = self.declared.sequence.as_ref()?;
        let number = path.integer(json?)?;
        let expected = self.next.replace(number.saturating_add(1));
        let gap = expected.filter(|expected| *expected != number)?;
        Some(StreamEvent::Gap(format!(
            "`{path}` is {number} where {gap} was expected"
        )))
    }
}

impl Reader for Declaration {
    fn frame(&mut self, frame: &Frame) -> Vec<StreamEvent> {
        let parsed = self.reads_json.then(|| Document::parse(&frame.data));
        let json = match &parsed {
            Some(Ok(json)) => Some(json),
            Some(Err(_)) | None => None,
        };
        let is_final = match json {
            Some(json) if self.marker.is_json(json) => true,
            _ if self.reads_json && matches!(self.marker, FinalMarker::Json(_)) => false,
            Some(_) | None => self.marker.is_frame(frame),
        };
        let mut events: Vec<_> = self.sequence(json).into_iter().collect();
        let declared = Arc::clone(&self.declared);
        let mut errors = declared.error.iter();
        let failed = errors.find_map(|pick| pick.error_of(frame, json));
        if let Some(said) = failed {
            events.push(StreamEvent::Failed(said));
        } else {
            for rule in &declared.text {
                let Some(text) = rule.of(frame, json, is_final) else {
                    continue;
                };
                let name = rule.message.as_ref().zip(json);
                let name = name.and_then(|(path, json)| path.first_said(json));
                events.extend(name.map(StreamEvent::Message));
                events.push(match rule.mode {
                    Mode::Delta => StreamEvent::Text(text),
                    Mode::Snapshot => StreamEvent::TextSoFar(text),
                    Mode::Whole => StreamEvent::TextWhole(text),
                    Mode::Fallback => StreamEvent::TextFallback(text),
                });
            }
            let reasoning = declared.reasoning.iter();
            events.extend(
                reasoning
                    .filter_map(|pick| pick.of(frame, json))
                    .map(StreamEvent::Reasoning),
            );
            for tool in &declared.tools {
                events.extend(tool_call(tool, &mut self.calls, frame, json));
            }
            let complete = declared.complete.iter();
            events.extend(
                complete
                    .filter_map(|pick| pick.of(frame, json))
                    .map(StreamEvent::TextComplete),
            );
        }
        if is_final {
            events.push(StreamEvent::Final);
        } else if let Some(Err(error)) = &parsed
            && events.is_empty()
        {
            events.push(StreamEvent::Broken(format!(
                "an event is not JSON: {error}"
            )));
        }
        if events.is_empty() {
            events.push(StreamEvent::Ignored);
        }
        events
    }

    fn is_final(&self, line: &Line) -> bool {
        self.marker.is_line(line)
    }
}

fn tool_call(
    tool: &Tool,
    calls: &mut Vec<String>,
    frame: &Frame,
    json: Option<&Document<'_>>,
) -> Option<StreamEvent> {
    let json = json.filter(|json| tool.when.holds(frame, Some(json)))?;
    let pick = |path: &Option<Path>| path.as_ref()?.first_said(json);
    let (name, arguments) = (pick(&tool.name), pick(&tool.arguments));
    if name.is_none() && arguments.is_none() {
        return None;
    }
    let key = pick(&tool.index).unwrap_or_default();
    let index = calls
        .iter()
        .position(|call| *call == key)
        .unwrap_or_else(|| {
            calls.push(key);
            calls.len() - 1
        });
    Some(StreamEvent::ToolCall {
        index: u64::try_from(index).unwrap_or(u64::MAX),
        name,
        arguments: arguments.unwrap_or_default(),
    })
}
