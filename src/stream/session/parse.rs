//! Reads a session file: which sections there are, and what is in them.

use super::endings::{
    IDEMPOTENCY_KEY, IDEMPOTENT_KEY, ON_DISCONNECT_KEY, idempotent, on_disconnect, stop as stop_of,
};
use super::parse_request::{Answer, Requests, Secrets, capture_from};
use super::reader::{Fields, Item, Origin, Outside, Place};
use super::spoken::{Forms, MESSAGES};
use super::template::Template;
use super::validate::{Scope, at_most_one, json_path, not_empty, regex};
use super::{History, Login, Logs, Plays, Session, Turn, parse_profile, spoken};
use crate::gateway::providers;
use crate::source_error::{SourceError, listed, nearest, utf8};
use crate::stream::cassette::{Cassette, Stamp};
use crate::stream::declared::Declared;
use serde_json_path::JsonPath;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

const TOP: Place = Place {
    name: "the session",
    keys: &[
        "name", "profile", "headers", "login", "setup", "request", "messages", "stop", "turn",
        "history", "final", "logs",
    ],
};
const LOGIN: Place = Place {
    name: "[login]",
    keys: &[
        "request", "query", "headers", "json", "form", "body", "status", "capture", "bearer",
    ],
};
const SETUP: Place = Place {
    name: "[[setup]]",
    keys: &[
        "request", "query", "headers", "json", "form", "body", "status", "capture",
    ],
};
const REQUEST: Place = Place {
    name: "[request]",
    keys: &[
        "request",
        "query",
        "headers",
        "json",
        "form",
        "body",
        "status",
        "capture",
        ON_DISCONNECT_KEY,
        IDEMPOTENT_KEY,
    ],
};
const TURN: Place = Place {
    name: "[[turn]]",
    keys: &["user", "cassette", "answer", "expect"],
};
const EXPECT: Place = Place {
    name: "`expect`",
    keys: &["answer"],
};
const HISTORY: Place = Place {
    name: "[history]",
    keys: &[
        "request", "query", "headers", "json", "form", "body", "status", "messages", "role",
        "content",
    ],
};
const LOGS: Place = Place {
    name: "[logs]",
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
    let (profile, declared) = match top.get("profile") {
        Some(item) => profile(&item, outside)?,
        None => (None, None),
    };
    let login = top
        .get("login")
        .map(|item| login(&item, &mut scope, &mut requests));
    let login = login.transpose()?;
    let setup = setup(&top, &mut scope, &mut requests)?;

    // Only the request of a turn knows the turn's text; what it captures stays known.
    let section = top.require("request", "a [request] section: how a turn is sent")?;
    let fields = section.table(&REQUEST)?;
    let mut in_turn = scope.with(&["user", MESSAGES, IDEMPOTENCY_KEY]);
    let secrets = Secrets::InHeaders;
    let request = requests.read(&fields, &mut in_turn, Answer::Stream, secrets)?;
    spoken::check(&request, &fields)?;
    let sends_messages = request.uses(MESSAGES);
    let forms = match (top.get("messages"), sends_messages) {
        (Some(item), true) => Some(spoken::forms(&item, &scope, &mut requests)?),
        (Some(item), false) => {
            return Err(item
                .key_error(
                    "[messages] says how `{messages}` is written, and [request] never uses it",
                )
                .help("for example: json = { messages = \"{messages}\" }"));
        }
        (None, true) => Some(Forms::default()),
        (None, false) => None,
    };
    if !sends_messages && !request.uses("user") {
        return Err(fields
            .error("[request] never uses `{user}`: the server would not see the message")
            .help("for example: json = { message = \"{user}\" }; where the client sends the history: \"{messages}\""));
    }
    for capture in fields.get("capture").iter() {
        for entry in capture.entries()? {
            scope.capture(&entry)?;
        }
    }

    let on_disconnect = on_disconnect(&fields)?;
    let idempotent = idempotent(&fields)?;
    let stop = top.get("stop");
    let stop = stop.map(|item| stop_of(&item, &scope, &mut requests));
    let turns = turns(&top, &scope.with(&["user", "answer", "nonce"]), outside)?;
    let history = top.get("history");
    let history = history.map(|item| history_of(&item, &mut scope, &mut requests));
    Ok(Session {
        name: name(&top, file)?,
        file: file.to_owned(),
        shipped: false,
        profile,
        declared,
        login,
        setup,
        request,
        messages: forms,
        on_disconnect,
        idempotent,
        stop: stop.transpose()?,
        turns,
        history: history.transpose()?,
        final_marker: top
            .get("final")
            .map(|item| parse_profile::marker(&item))
            .transpose()?,
        logs: top
            .get("logs")
            .map_or(Ok(Logs::default()), |item| logs(&item))?,
        secrets: requests.secrets,
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
) -> Result<(Option<String>, Option<Declared>), SourceError> {
    if let DeValue::Table(_) = item.value() {
        return Ok((None, Some(parse_profile::section(item)?)));
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
    let request = requests.read(&fields, scope, Answer::Whole, secrets)?;
    let bearer = fields.get("bearer").map(|item| capture_from(&item));
    Ok(Login {
        request,
        bearer: bearer.transpose()?,
    })
}

fn setup(
    top: &Fields<'_>,
    scope: &mut Scope,
    requests: &mut Requests<'_>,
) -> Result<Vec<super::Request>, SourceError> {
    let Some(item) = top.get("setup") else {
        return Ok(Vec::new());
    };
    let sections = item.tables(&SETUP)?;
    sections
        .iter()
        .map(|fields| requests.read(fields, scope, Answer::Whole, Secrets::InHeaders))
        .collect()
}

fn turns(top: &Fields<'_>, scope: &Scope, outside: &Outside<'_>) -> Result<Vec<Turn>, SourceError> {
    let help = "add a [[turn]] with `user`, and `cassette` or `answer`";
    let none = || top.error("the session has no [[turn]]").help(help);
    let sections = top.get("turn").ok_or_else(none)?.tables(&TURN)?;
    if sections.is_empty() {
        return Err(none());
    }
    sections
        .iter()
        .map(|fields| turn(fields, scope, outside))
        .collect()
}

fn turn(fields: &Fields<'_>, scope: &Scope, outside: &Outside<'_>) -> Result<Turn, SourceError> {
    let user = fields.require("user", "`user = \"…\"`: what the user says")?;
    let user = not_empty(&user)?.to_owned();
    let help = "add `cassette = \"….sse\"`, or `answer = \"…\"` to have one made";
    let source = at_most_one(fields, &["cassette", "answer"])?.ok_or_else(|| {
        fields
            .error("[[turn]] has neither `cassette` nor `answer`")
            .help(help)
    })?;
    let expect = match fields.get("expect") {
        Some(item) => {
            let fields = item.table(&EXPECT)?;
            let answer = fields.require("answer", "`answer = \"…\"`: what must be stored")?;
            Some(scope.template(&answer, answer.text()?)?)
        }
        None => None,
    };
    let plays = if source.name == "answer" {
        Plays::Answer(not_empty(&source)?.to_owned())
    } else {
        cassette(&source, outside)?
    };
    let turn = Turn {
        user,
        plays,
        expect,
    };
    if turn.answer().is_none() && turn.expect.is_none() {
        return Err(source
            .error("what the cassette says is not known: its format is not read")
            .help("say what must be stored: expect = { answer = \"…\" }"));
    }
    let uses_answer = |expect: &Template| expect.names().any(|name| name == "answer");
    if turn.answer().is_none() && turn.expect.as_ref().is_some_and(uses_answer) {
        return Err(source
            .error("the format of the cassette is not read, so `{answer}` is not known")
            .help(
                "write the text itself into `expect`, with `{nonce}` where the cassette has it",
            ));
    }
    Ok(turn)
}

fn cassette(item: &Item<'_>, outside: &Outside<'_>) -> Result<Plays, SourceError> {
    let written = not_empty(item)?;
    let bytes = (outside.read)(written).map_err(|reason| {
        item.error(format!("the cassette `{written}` cannot be read: {reason}"))
            .help("the path is relative to the session file")
    })?;
    let beside = Path::new(item.origin.file).with_file_name(written);
    let cassette = Cassette::parse(&beside.display().to_string(), &bytes)?;
    let answer = match providers::of(&cassette) {
        Some(provider) => {
            let stamped = provider.stamped(&cassette, &Stamp::sample());
            let answer = provider.answer(&stamped).map_err(|error| {
                item.error(format!("the cassette `{written}` has no answer: {error}"))
            })?;
            Some(answer.text)
        }
        None => None,
    };
    Ok(Plays::Cassette {
        path: PathBuf::from(written),
        cassette,
        answer,
    })
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
    Ok(History {
        request: requests.read(&fields, scope, Answer::Whole, Secrets::InHeaders)?,
        messages: path("messages", "$[*]")?,
        role: path("role", "$.role")?,
        content: path("content", "$.content")?,
    })
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
