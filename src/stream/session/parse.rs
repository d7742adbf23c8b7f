//! Parses a session file into its sections.

use super::approval::{approval as approval_of, tool_error as tool_error_of};
use super::endings::{
    AnswersOver, IDEMPOTENT_KEY, ON_DISCONNECT_KEY, idempotent, on_disconnect, stop as stop_of,
};
use super::parse_request::{Requests, Secrets, capture_from};
use super::parse_turn::{IN_TURN, turns};
use super::reader::{Fields, Item, OVER_EITHER, OVER_HTTP, Origin, Outside, Place};
use super::resume::resume as resume_of;
use super::spoken::{Forms, MESSAGES};
use super::validate::{Scope, duration, json_path, not_empty, regex};
use super::{
    Follow, Follows, History, Limit, Login, Logs, Order, Record, Request, Session, Turn, again,
    parse_profile, spoken,
};
use crate::source_error::{SourceError, listed, nearest, utf8};
use crate::stream::declared::Declared;
use crate::stream::marker::FinalMarker;
use crate::stream::policy::Policy;
use serde_json_path::JsonPath;
use std::path::Path;
use std::time::Duration;
use toml::de::{DeTable, DeValue};

const TOP: Place = Place {
    name: "the session",
    request: &[],
    keys: &[
        "name",
        "profile",
        "headers",
        "login",
        "setup",
        "request",
        "stream",
        "messages",
        "stop",
        "resume",
        "regenerate",
        "edit",
        "approval",
        "tool_error",
        "turn",
        "history",
        "final",
        "logs",
        "limits",
    ],
};
const LOGIN: Place = Place {
    name: "[login]",
    request: OVER_HTTP,
    keys: &["capture", "bearer"],
};
const SETUP: Place = Place {
    name: "[[setup]]",
    request: OVER_HTTP,
    keys: &["capture"],
};
const STREAM: Place = Place {
    name: "[stream]",
    request: OVER_EITHER,
    keys: &["capture", "poll", "first"],
};
const REQUEST: Place = Place {
    name: "[request]",
    request: OVER_EITHER,
    keys: &["capture", ON_DISCONNECT_KEY, IDEMPOTENT_KEY],
};
const HISTORY: Place = Place {
    name: "[history]",
    request: OVER_HTTP,
    keys: &[
        "messages", "order", "role", "content", "question", "answer", "framing",
    ],
};
const LIMITS: Place = Place {
    name: "[limits]",
    request: &[],
    keys: &[
        "time_to_first_text",
        "gap_p95",
        "gap_max",
        "text_complete_to_commit",
        "commit_to_final",
        "final_to_end",
    ],
};
const LOGS: Place = Place {
    name: "[logs]",
    request: &[],
    keys: &["forbid"],
};

/// Reads and checks the text of a session file.
///
/// `file` goes into messages; its stem is the name of a session without one.
///
/// # Errors
/// The first mistake, with its place.
pub fn parse(file: &str, text: &str, outside: &Outside<'_>) -> Result<Session, SourceError> {
    let origin = Origin { file, text };
    let root = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        origin.error(at, error.message())
    })?;
    let root = root.get_ref();
    if root.is_empty() {
        return Err(origin
            .error(0, "the session is empty")
            .help("it needs at least a [request] and one [[turn]]"));
    }
    let top = Fields::open(origin, &TOP, 0, root)?;
    let mut scope = Scope::new();
    let mut requests = Requests {
        outside,
        headers: Vec::new(),
        secrets: Vec::new(),
    };
    if let Some(item) = top.get("headers") {
        requests.headers = requests.headers(&item, &scope)?;
    }
    let final_marker = top.read("final", parse_profile::marker)?;
    let (profile, declared) = top
        .read("profile", |item| {
            profile(item, outside, final_marker.as_ref())
        })?
        .unwrap_or_default();
    let login = top.read("login", |item| login(item, &mut scope, &mut requests))?;
    let setup = setup(&top, &mut scope, &mut requests)?;
    let sent = sent(&top, &mut scope, &mut requests)?;
    let over = sent.over;
    let stop = top.read("stop", |item| stop_of(item, over, &scope, &mut requests))?;
    let regenerate = top.read("regenerate", |item| {
        again::regenerate(item, &scope, &mut requests)
    })?;
    let edit = top.read("edit", |item| again::edit(item, &scope, &mut requests))?;
    let approval = top.read("approval", |item| {
        approval_of(item, over, sent.stream.as_ref(), &scope, &mut requests)
    })?;
    let tool_error = top.read("tool_error", |item| tool_error_of(item, &requests))?;
    let resume = top.read("resume", |item| {
        resume_of(item, over, sent.stream.as_ref(), &scope, &mut requests)
    })?;
    let history = top.read("history", |item| {
        history_of(item, &mut scope, &mut requests)
    })?;
    let mut of_files = sent.turns.iter();
    let needs_history = of_files.any(|turn| !turn.shows.is_empty() || !turn.loads.is_empty());
    if needs_history && history.is_none() {
        return Err(top
            .error("`shows` and `loads` say what a reload has to show, but the session has no [history]")
            .help("add [history]: the request by which the page loads the conversation"));
    }
    Ok(Session {
        name: name(&top, file)?,
        file: file.to_owned(),
        shipped: false,
        profile,
        declared,
        detects: false,
        login,
        setup,
        request: sent.request,
        stream: sent.stream,
        messages: sent.messages,
        on_disconnect: sent.on_disconnect,
        idempotent: sent.idempotent,
        stop,
        resume,
        regenerate,
        edit,
        approval,
        tool_error,
        turns: sent.turns,
        history,
        final_marker,
        logs: top.read("logs", logs)?.unwrap_or_default(),
        limits: top.read("limits", limits)?.unwrap_or_default(),
        secrets: requests.secrets,
    })
}

/// The turns, how they are sent, and where their answers come from.
struct Sent {
    request: Request,
    stream: Option<Follow>,
    over: AnswersOver,
    messages: Option<Forms>,
    on_disconnect: Option<&'static Policy>,
    idempotent: bool,
    turns: Vec<Turn>,
}

/// What the requests capture is in `scope` afterwards.
fn sent(
    top: &Fields<'_>,
    scope: &mut Scope,
    requests: &mut Requests<'_>,
) -> Result<Sent, SourceError> {
    // Only the request of a turn knows the turn's text; what it captures stays known.
    let section = top.require("request", "a [request] section: how a turn is sent")?;
    let fields = section.table(&REQUEST)?;
    let mut in_turn = scope.with(&IN_TURN);
    let stream = top.get("stream");
    let is_first = stream.as_ref().map_or(Ok(false), is_first)?;
    let mut follow = None;
    // Whichever of the two is sent second knows what the other one captured.
    if let Some(item) = stream.as_ref().filter(|_| is_first) {
        follow = Some(self::follow(item, &mut in_turn, requests)?);
    }
    let request = requests.read(&fields, &mut in_turn, Secrets::InHeaders)?;
    spoken::check(&request, &fields)?;
    if let Some(item) = stream.as_ref().filter(|_| !is_first) {
        follow = Some(self::follow(item, &mut in_turn, requests)?);
    }
    let turns = turns(top, scope, &in_turn, requests)?;
    let own = turns.iter().filter_map(|turn| turn.request.as_ref());
    let over_a_socket = own
        .clone()
        .chain([&request])
        .any(|sends| sends.handshake.is_some());
    if let Some(item) = stream.as_ref().filter(|_| over_a_socket) {
        return Err(item
            .key_error("the turn is sent over a WebSocket, which brings the answer: [stream] has nothing to fetch")
            .help("leave one of the two out"));
    }
    let sends_messages = request.uses(MESSAGES) || own.clone().any(|own| own.uses(MESSAGES));
    if !sends_messages && !request.uses("user") {
        return Err(fields
            .error("[request] never uses `{user}`: the server would not see the message")
            .help("for example: json = { message = \"{user}\" }; where the client sends the history: \"{messages}\""));
    }
    let messages = messages(top, sends_messages, scope, requests)?;
    let in_stream = match &stream {
        Some(item) => item.table(&STREAM)?.get("capture"),
        None => None,
    };
    for capture in fields.get("capture").iter().chain(&in_stream) {
        for entry in capture.entries()? {
            scope.capture(&entry)?;
        }
    }

    let is_followed_on_a_socket = follow
        .as_ref()
        .is_some_and(|follow| follow.request.handshake.is_some());
    Ok(Sent {
        request,
        stream: follow,
        over: if over_a_socket || is_followed_on_a_socket {
            AnswersOver::Socket
        } else {
            AnswersOver::Http
        },
        messages,
        on_disconnect: on_disconnect(&fields)?,
        idempotent: idempotent(&fields)?,
        turns,
    })
}

fn name(top: &Fields<'_>, file: &str) -> Result<String, SourceError> {
    if let Some(item) = top.get("name") {
        return Ok(not_empty(&item)?.to_owned());
    }
    let stem = Path::new(file).file_stem().unwrap_or_default();
    Ok(stem.to_string_lossy().into_owned())
}

/// The name of a profile, or a declared one: a section, or a file.
fn profile(
    item: &Item<'_>,
    outside: &Outside<'_>,
    final_marker: Option<&FinalMarker>,
) -> Result<(Option<String>, Option<Declared>), SourceError> {
    if let DeValue::Table(_) = item.value() {
        return Ok((None, Some(parse_profile::section(item, final_marker)?)));
    }
    let name = item.text()?;
    if Path::new(name)
        .extension()
        .is_some_and(|ending| ending == "toml")
    {
        let bytes = (outside.read)(name).map_err(|reason| {
            item.error(format!("the profile `{name}` cannot be read: {reason}"))
                .help("the path is relative to the session file")
        })?;
        let file = Path::new(item.origin.file).with_file_name(name);
        let file = file.display().to_string();
        let text = utf8(&file, &bytes)?;
        return Ok((None, Some(parse_profile::parse_profile(&file, text)?)));
    }
    let known = outside.profiles;
    if !known.is_empty() && !known.contains(&name) {
        let help = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the profiles are {}", listed(known.iter().copied())),
        };
        return Err(item.error(format!("unknown profile `{name}`")).help(help));
    }
    Ok((Some(name.to_owned()), None))
}

fn login(
    item: &Item<'_>,
    scope: &mut Scope,
    requests: &mut Requests<'_>,
) -> Result<Login, SourceError> {
    let fields = item.table(&LOGIN)?;
    let secrets = Secrets::InHeadersAndBody;
    let request = requests.read(&fields, scope, secrets)?;
    let bearer = fields.read("bearer", capture_from)?;
    Ok(Login { request, bearer })
}

fn setup(
    top: &Fields<'_>,
    scope: &mut Scope,
    requests: &mut Requests<'_>,
) -> Result<Vec<Request>, SourceError> {
    let Some(item) = top.get("setup") else {
        return Ok(Vec::new());
    };
    let sections = item.tables(&SETUP)?;
    sections
        .iter()
        .map(|fields| requests.read(fields, scope, Secrets::InHeaders))
        .collect()
}

/// Whether `[stream]` is opened before `[request]` is sent.
fn is_first(item: &Item<'_>) -> Result<bool, SourceError> {
    let first = item.table(&STREAM)?.get("first");
    first.map_or(Ok(false), |first| first.truth())
}

fn follow(
    item: &Item<'_>,
    scope: &mut Scope,
    requests: &mut Requests<'_>,
) -> Result<Follow, SourceError> {
    let fields = item.table(&STREAM)?;
    let poll = fields.read("poll", duration)?;
    let request = requests.read(&fields, scope, Secrets::InHeaders)?;
    let how = match (poll, is_first(item)?) {
        (None, true) => Follows::First,
        (None, false) => Follows::Once,
        (Some(pause), false) if !pause.is_zero() && request.handshake.is_none() => {
            Follows::Polls(pause)
        }
        (Some(pause), _) => {
            let poll = fields.get("poll").expect("it was read");
            return Err(if pause.is_zero() {
                poll.error("`poll` is the time before the request is sent again")
                    .help("for example: poll = \"100ms\"")
            } else {
                poll.key_error("`poll` can't be combined with a WebSocket or with `first`")
                    .help("leave `poll` out")
            });
        }
    };
    Ok(Follow { request, how })
}

/// The form of `{messages}`, where a request uses it.
fn messages(
    top: &Fields<'_>,
    is_used: bool,
    scope: &Scope,
    requests: &mut Requests<'_>,
) -> Result<Option<Forms>, SourceError> {
    match (top.get("messages"), is_used) {
        (Some(item), true) => spoken::forms(&item, scope, requests).map(Some),
        (Some(item), false) => Err(item
            .key_error("[messages] declares the form of `{messages}`, but [request] never uses it")
            .help("for example: json = { messages = \"{messages}\" }")),
        (None, true) => Ok(Some(Forms::default())),
        (None, false) => Ok(None),
    }
}

fn history_of(
    item: &Item<'_>,
    scope: &mut Scope,
    requests: &mut Requests<'_>,
) -> Result<History, SourceError> {
    let fields = item.table(&HISTORY)?;
    let path = |key: &str, default: &str| match fields.get(key) {
        Some(item) => json_path(&item),
        None => JsonPath::parse(default).map_err(|error| fields.error(error.to_string())),
    };
    let pair = fields.present(&["question", "answer"]);
    let message = fields.present(&["role", "content"]);
    let record = match (pair.as_slice(), message.as_slice()) {
        ([], _) => Record::Message {
            role: path("role", "$.role")?,
            content: path("content", "$.content")?,
        },
        ([question, answer], []) => Record::Turn {
            question: json_path(if question.name == "question" {
                question
            } else {
                answer
            })?,
            answer: json_path(if question.name == "question" {
                answer
            } else {
                question
            })?,
        },
        ([only], []) => {
            let missing = if only.name == "question" {
                "answer"
            } else {
                "question"
            };
            return Err(only
                .key_error(format!("[history] has `{}` and no `{missing}`", only.name))
                .help(
                    "records that hold a whole turn need both; others have `role` and `content`",
                ));
        }
        ([first, ..], [other, ..]) => {
            return Err(other
                .key_error(format!(
                    "[history] has both `{}` and `{}`",
                    first.name, other.name
                ))
                .help(
                    "a record is a message (`role`, `content`) or a turn (`question`, `answer`)",
                ));
        }
        ([_, _, _, ..], []) => unreachable!("two keys were asked for"),
    };
    let framing = fields.read("framing", |item| match parse_profile::framing_of(item)? {
        framing if framing.needs_a_socket() => {
            Err(item.error("the history comes over HTTP, not over a WebSocket"))
        }
        framing => Ok(framing),
    })?;
    Ok(History {
        request: requests.read(&fields, scope, Secrets::InHeaders)?,
        messages: path("messages", "$[*]")?,
        order: match fields.get("order") {
            Some(item) => parse_profile::one_of(&item, &Order::NAMED)?,
            None => Order::OldestFirst,
        },
        record,
        framing,
    })
}

fn limits(item: &Item<'_>) -> Result<Vec<(Limit, Duration)>, SourceError> {
    let fields = item.table(&LIMITS)?;
    let of = |(name, limit): &(&str, Limit)| {
        let item = fields.get(name)?;
        Some(duration(&item).map(|allowed| (*limit, allowed)))
    };
    Limit::ALL.iter().filter_map(of).collect()
}

fn logs(item: &Item<'_>) -> Result<Logs, SourceError> {
    let fields = item.table(&LOGS)?;
    let Some(forbid) = fields.get("forbid") else {
        return Ok(Logs::default());
    };
    let forbid = forbid.items()?;
    let forbid = forbid.iter().map(regex).collect::<Result<_, _>>()?;
    Ok(Logs { forbid })
}
