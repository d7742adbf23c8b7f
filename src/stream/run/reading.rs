//! How far the responses of a server are understood.

use crate::stream::last_event::LastEvent;
use crate::stream::session::Session;

/// Whether the profile reads the answer's text in the responses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reading {
    /// No response was examined.
    Unknown,
    /// It does.
    Text,
    /// It does not.
    Nothing {
        /// How a response begins.
        begins: String,
        /// Where the text is, as far as that is known: a JSONPath.
        place: Option<String>,
    },
}

/// Where what belongs to a session is declared.
pub(super) fn declared_in(session: &Session) -> &str {
    if session.shipped {
        "a session of your own (docs/sessions.md)"
    } else {
        &session.file
    }
}

/// Why it is not known how a server ends a stream, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UnknownEnd {
    /// What is not known, and what was seen.
    pub(super) what: String,
    /// What to declare.
    pub(super) help: String,
}

impl UnknownEnd {
    pub(super) fn of(last: &LastEvent, session: &Session) -> Self {
        let file = declared_in(session);
        let (seen, help) = match last {
            LastEvent::Event { shown, declared } => (
                format!("the last event of an answer was `{shown}`"),
                format!("declare it in {file}: [final] with `{declared}`"),
            ),
            LastEvent::Text { shown } => (
                format!("an answer ended with `{shown}`"),
                format!(
                    "if clients read to the end of the body, declare that in {file}: [final] with `end = \"body\"`; \
                     otherwise send an event after the text, such as `data: [DONE]`"
                ),
            ),
            LastEvent::OneJson { path } => (
                "the answer came as one JSON text, not as a stream".to_owned(),
                match path {
                    Some(path) => format!(
                        "check that the path in [request] is the one that streams; if the server answers in one piece, \
                         declare that in {file}:\n[profile]\nframing = \"json-blocks\"\ntext = \"{path}\"\n\
                         final = {{ end = \"body\" }}"
                    ),
                    None => "check that the path in [request] is the one that streams".to_owned(),
                },
            ),
            LastEvent::NoEvents { shown } => (
                format!("the response has no events; it begins `{shown}`"),
                format!(
                    "check that the path in [request] is the one that streams, and declare the format of the response \
                     in [profile] of {file} (docs/profiles.md)"
                ),
            ),
        };
        Self {
            what: format!(
                "chatctl does not know how this server ends a stream: no profile is named, no final marker is declared, \
                 and {seen}"
            ),
            help,
        }
    }
}
