//! Session files: what a user does, and what must be true afterwards.
//!
//! A session is plain data. [`parse`] is pure: what lies outside of the text
//! comes through [`Outside`]. Only [`load`] touches files and the environment.

mod again;
mod approval;
mod capture;
mod endings;
mod handshake;
mod history;
mod load;
mod multipart;
mod one_user;
mod parse;
mod parse_handshake;
mod parse_profile;
mod parse_request;
mod parse_turn;
pub(in crate::stream) mod reader;
mod request;
mod resume;
mod spoken;
mod template;
mod validate;

use crate::model::ToolCall;
use crate::stream::cassette::Cassette;
use crate::stream::declared::Declared;
use crate::stream::policy::Policy;
use regex::Regex;
use serde_json_path::JsonPath;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use crate::stream::marker::FinalMarker;
pub use again::{AskAgain, OldAnswer};
pub use approval::Approval;
pub use capture::{Answered, Capture, CaptureError, CaptureFrom, capture};

pub use endings::IDEMPOTENCY_KEY;
pub use handshake::{ExpandedHandshake, Handshake, Message};
pub use history::{History, HistoryError, Order, Record, Remembered};
pub use load::load;
pub use multipart::Part;
pub use parse::parse;
pub use parse_profile::parse_profile;
pub use reader::Outside;
pub use request::{Body, Expanded, Method, Request};
pub use resume::{Cursor, Resume, ResumesFrom};
pub use spoken::{Forms, Spoken};
pub use template::{Captures, ExpandError, JsonTemplate, Secret, Template, TemplateError};
pub use validate::{ANSWER_KEY, QUESTION_KEY};

/// A session file, read and checked.
#[derive(Debug, Clone)]
pub struct Session {
    /// `name`, else the stem of the file's name.
    pub name: String,
    /// The file, as the user named it.
    pub file: String,
    /// Whether it is one from inside the program, taken because the user named none.
    pub shipped: bool,
    /// The wire format from the server to the client, when the file says one.
    pub profile: Option<String>,
    /// The wire format, where the session declares its own.
    pub declared: Option<Declared>,
    /// Whether nobody named the wire format, so that the first response has to show it.
    pub detects: bool,
    /// Runs first.
    pub login: Option<Login>,
    /// Run in order, before the first turn.
    pub setup: Vec<Request>,
    /// How a turn is sent. Besides what was captured it knows `{user}`, `{messages}` and `{run}`.
    pub request: Request,
    /// How `{messages}` are written; absent when the client does not send them.
    pub messages: Option<Forms>,
    /// Where the answer is, when `request` only starts it.
    pub stream: Option<Follow>,
    /// What has to be stored when the client leaves, when the file says so.
    pub on_disconnect: Option<&'static Policy>,
    /// Whether a request that comes twice is one turn.
    pub idempotent: bool,
    /// How the user stops an answer, when the file says so.
    pub stop: Option<Stop>,
    /// How a page whose connection was lost gets the rest of an answer, when the file says so.
    pub resume: Option<Resume>,
    /// How a page asks for another answer to the same question, when the file says so.
    pub regenerate: Option<AskAgain>,
    /// How a page asks a question in other words, when the file says so.
    pub edit: Option<AskAgain>,
    /// A turn that pauses until the user approves of a tool call, when the file has one.
    pub approval: Option<Approval>,
    /// A turn whose model calls a tool that fails, when the file has one.
    pub tool_error: Option<Turn>,
    /// At least one.
    pub turns: Vec<Turn>,
    /// How the stored conversation is read back over HTTP.
    pub history: Option<History>,
    /// What ends a stream, when the file says so; else the profile knows.
    pub final_marker: Option<FinalMarker>,
    /// What the server's own output must not say.
    pub logs: Logs,
    /// How long things may take.
    pub limits: Vec<(Limit, Duration)>,
    /// Every secret that a request holds, so that a report can mask it.
    pub secrets: Vec<Secret>,
}

impl Session {
    /// The request whose response is the answer of a turn that is sent by this one.
    pub fn carries<'a>(&'a self, sends: &'a Request) -> &'a Request {
        let stream = self.stream.as_ref();
        stream.map_or(sends, |follow| &follow.request)
    }

    /// Whether every chat is read back by the same request, of a user who is not made for it.
    pub fn asks_for_one_history(&self) -> bool {
        let login = self.login.iter().map(|login| &login.request);
        // Who logs in without a word is a new guest.
        let is_guest = login
            .clone()
            .any(|request| matches!(request.body, Body::None));
        let mut before = login.chain(&self.setup);
        let is_made = is_guest
            || before.any(|request| ["uuid", "nanoid"].iter().any(|new| request.uses(new)));
        let history = self.history.as_ref();
        !is_made && history.is_some_and(|history| !history.request.names_a_chat())
    }

    /// Whether a server may take all chats for those of one user: they log in alike, or name the
    /// same one.
    pub fn has_one_user(&self) -> bool {
        match self.login.as_ref().map(|login| &login.request) {
            Some(login) => {
                // Who logs in without a word is a new guest.
                let is_guest = matches!(login.body, Body::None);
                !is_guest && !one_user::NEW.iter().any(|new| login.uses(new))
            }
            None => {
                let names = one_user::names_one_user;
                let mut setup = self.setup.iter();
                setup.any(|request| names(request, true)) || names(&self.request, false)
            }
        }
    }

    /// What to do when the server does not have a path of the session.
    pub fn hint_on_path(&self, section: &str) -> String {
        if !self.shipped {
            return format!("check the path and method in {section} of {}", self.file);
        }
        let setup = self.setup.iter().map(|request| request.written.as_str());
        let paths: Vec<_> = setup.chain([self.request.written.as_str()]).collect();
        format!(
            "no session was named, so the shipped one was used, which calls {}; write a session with the paths \
                of your server (docs/sessions.md) and name it: chatctl verify-stream my-session.toml",
            paths.join(" and ")
        )
    }
}

/// The log-in. Cookies are kept in any case.
#[derive(Debug, Clone)]
pub struct Login {
    pub request: Request,
    /// Where the answer has the token for `authorization: Bearer …`.
    pub bearer: Option<CaptureFrom>,
}

/// How the user stops an answer.
#[derive(Debug, Clone)]
pub struct Stop {
    /// What the button does.
    pub by: StopBy,
    /// What has to be stored then, when the file says so.
    pub on_stop: Option<&'static Policy>,
}

/// What a stop button does.
#[derive(Debug, Clone)]
pub enum StopBy {
    /// It sends a request, and the page reads on.
    Request(Box<Request>),
    /// It sends a message over the WebSocket of the answer, and the page reads on.
    Message(Message),
    /// It closes the connection of the answer.
    Abort,
}

/// The request that fetches an answer which another one starts.
#[derive(Debug, Clone)]
pub struct Follow {
    /// It knows what the one before it captured.
    pub request: Request,
    /// How it belongs to the request that starts the answer.
    pub how: Follows,
}

/// When the request that fetches an answer is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follows {
    /// After the one that starts it.
    Once,
    /// The same, and again after so long: its answer is not a stream but the state of one.
    Polls(Duration),
    /// Before the one that starts it.
    First,
}

/// One user message and its answer.
#[derive(Debug, Clone)]
pub struct Turn {
    /// What the user says; never a template.
    pub user: String,
    /// How long the user waits before that.
    pub pause: Duration,
    /// How it is sent, when that is not as the session says.
    pub request: Option<Request>,
    /// What the history has to hold of what was sent with it, such as the name of a file.
    pub shows: Vec<String>,
    /// What the URLs in the history have to load.
    pub loads: Vec<Load>,
    /// What the gateway plays before that: answers by which the model calls tools.
    pub steps: Vec<Step>,
    /// What the gateway plays when the server asks for the answer.
    pub plays: Plays,
    /// What must be stored, when that is not the answer itself.
    pub expect: Option<Template>,
}

/// A file of a turn that the history names by its URL.
#[derive(Debug, Clone)]
pub struct Load {
    /// Selects the URL in the history.
    pub url: JsonPath,
    /// What is there.
    pub content: Content,
}

/// What is in a file.
#[derive(Debug, Clone)]
pub enum Content {
    /// A text, in which `{run}` and what was captured is filled in, and all other braces stay.
    Text(String),
    /// Bytes of a file.
    Bytes(Vec<u8>),
}

impl Content {
    /// What it is in a chat that knows this.
    pub fn filled(&self, known: &Captures) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes.clone(),
            Self::Text(text) => {
                let fill = |text: String, (name, value): (&String, &serde_json::Value)| {
                    let value = value
                        .as_str()
                        .map_or_else(|| value.to_string(), str::to_owned);
                    text.replace(&format!("{{{name}}}"), &value)
                };
                known.iter().fold(text.clone(), fill).into_bytes()
            }
        }
    }
}

/// An answer that lets the server run tools, and ask again.
#[derive(Debug, Clone)]
pub struct Step {
    /// Relative to the session file, as written.
    pub path: PathBuf,
    /// What is in the file; every turn that plays it has the same one.
    pub cassette: Arc<Cassette>,
    pub calls: Vec<ToolCall>,
    /// What it says before.
    pub says: String,
}

/// Where the provider's answer comes from.
#[derive(Debug, Clone)]
pub enum Plays {
    /// Recorded bytes.
    Cassette {
        /// Relative to the session file, as written.
        path: PathBuf,
        /// What is in the file; every turn that plays it has the same one.
        cassette: Arc<Cassette>,
        /// The text it says; absent when it is in a format that is not read.
        answer: Option<String>,
    },
    /// A text that chunks are made from.
    Answer(String),
}

impl Turn {
    /// The text that the provider says, when it can be known.
    pub fn answer(&self) -> Option<&str> {
        match &self.plays {
            Plays::Cassette { answer, .. } => answer.as_deref(),
            Plays::Answer(answer) => Some(answer),
        }
    }

    /// The tools that the model calls before its answer, in order.
    pub fn tool_calls(&self) -> Vec<ToolCall> {
        let calls = self.steps.iter().flat_map(|step| &step.calls);
        calls.cloned().collect()
    }

    /// What the model says before it calls tools, where that is read.
    pub fn said_before(&self) -> String {
        self.steps.iter().map(|step| step.says.as_str()).collect()
    }

    /// The text that must be stored when the provider said `answer`, as far as that can be read.
    /// `captures` has the user's text as it was sent.
    pub fn expected(
        &self,
        captures: &Captures,
        answer: Option<&str>,
        nonce: &str,
    ) -> Result<String, ExpandError> {
        let Some(expect) = &self.expect else {
            return answer.map(str::to_owned).ok_or(ExpandError::Missing {
                name: "answer".to_owned(),
            });
        };
        let mut captures = captures.clone();
        captures.insert("nonce".to_owned(), nonce.into());
        captures.extend(answer.map(|answer| ("answer".to_owned(), answer.into())));
        expect.expand(&captures)
    }
}

/// What a session can limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// From the message to the first piece of the answer.
    TimeToFirstText,
    /// Between two pieces, in 95 of 100 cases.
    GapP95,
    /// Between two pieces.
    GapMax,
    /// From the end of the text until the server commits.
    TextCompleteToCommit,
    /// From the commit to the final marker.
    CommitToFinal,
    /// From the final marker to the end of the response.
    FinalToEnd,
}

impl Limit {
    /// Each with its key.
    pub const ALL: [(&'static str, Self); 6] = [
        ("time_to_first_text", Self::TimeToFirstText),
        ("gap_p95", Self::GapP95),
        ("gap_max", Self::GapMax),
        ("text_complete_to_commit", Self::TextCompleteToCommit),
        ("commit_to_final", Self::CommitToFinal),
        ("final_to_end", Self::FinalToEnd),
    ];

    /// Its key.
    pub fn name(self) -> &'static str {
        let mut all = Self::ALL.iter();
        all.find(|(_, limit)| *limit == self)
            .map_or("", |(name, _)| name)
    }
}

/// What the server's own output must not say.
#[derive(Debug, Clone, Default)]
pub struct Logs {
    /// A line that one of them matches is a finding.
    pub forbid: Vec<Regex>,
}
