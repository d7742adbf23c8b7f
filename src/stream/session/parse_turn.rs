//! Reads the turns of a session file, and where their answers come from.

use super::endings::IDEMPOTENCY_KEY;
use super::parse_request::{Requests, Secrets};
use super::reader::{Fields, Item, OVER_EITHER, Outside, Place};
use super::spoken::MESSAGES;
use super::template::Template;
use super::validate::{Scope, at_most_one, duration, json_path, not_empty};
use super::{Content, Load, Plays, Request, Step, Turn, spoken};
use crate::gateway::providers;
use crate::model::ToolCall;
use crate::source_error::SourceError;
use crate::stream::cassette::{Cassette, Stamp};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const TURN: Place = Place {
    name: "[[turn]]",
    request: OVER_EITHER,
    keys: &[
        "user", "shows", "loads", "steps", "cassette", "answer", "expect", "pause",
    ],
};
const EXPECT: Place = Place {
    name: "`expect`",
    request: &[],
    keys: &["answer"],
};
const LOADS: Place = Place {
    name: "`loads`",
    request: &[],
    keys: &["url", "content", "file"],
};
/// What a turn's request knows besides what was captured before it.
pub(super) const IN_TURN: [&str; 4] = ["user", MESSAGES, "turn", IDEMPOTENCY_KEY];

/// `before` is what is known before the first turn, `after` what the request of a turn captured.
pub(super) fn turns(
    top: &Fields<'_>,
    before: &Scope,
    after: &Scope,
    requests: &mut Requests<'_>,
) -> Result<Vec<Turn>, SourceError> {
    let help = "add a [[turn]] with `user`, and `cassette` or `answer`";
    let none = || top.error("the session has no [[turn]]").help(help);
    let sections = top.get("turn").ok_or_else(none)?.tables(&TURN)?;
    if sections.is_empty() {
        return Err(none());
    }
    let first = before.with(&IN_TURN);
    sections
        .iter()
        .enumerate()
        .map(|(index, fields)| {
            turn(
                fields,
                before,
                if index == 0 { &first } else { after },
                requests,
            )
        })
        .collect()
}

fn turn(
    fields: &Fields<'_>,
    before: &Scope,
    in_turn: &Scope,
    requests: &mut Requests<'_>,
) -> Result<Turn, SourceError> {
    let scope = before.with(&["user", "turn", "answer", "nonce"]);
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
        cassette(&source, requests.outside)?
    };
    let pause = fields.read("pause", duration)?;
    let steps = match fields.get("steps") {
        Some(item) => item.items()?,
        None => Vec::new(),
    };
    let steps = steps.iter().map(|item| step(item, requests.outside));
    let shows = match fields.get("shows") {
        Some(item) => item.items()?,
        None => Vec::new(),
    };
    let shows = shows.iter().map(|item| Ok(not_empty(item)?.to_owned()));
    let loads = match fields.get("loads") {
        Some(item) => item.tables(&LOADS)?,
        None => Vec::new(),
    };
    let loads = loads.iter().map(|fields| load(fields, requests.outside));
    let turn = Turn {
        user,
        loads: loads.collect::<Result<_, _>>()?,
        shows: shows.collect::<Result<_, SourceError>>()?,
        steps: steps.collect::<Result<_, _>>()?,
        pause: pause.unwrap_or_default(),
        request: own_request(fields, in_turn, requests)?,
        plays,
        expect,
    };
    if turn.answer().is_none() && turn.expect.is_none() {
        return Err(source
            .error("the text of the cassette is unknown: chatctl does not read its format")
            .help("declare what must be stored: expect = { answer = \"…\" }"));
    }
    let uses_answer = |expect: &Template| expect.names().any(|name| name == "answer");
    if turn.answer().is_none() && turn.expect.as_ref().is_some_and(uses_answer) {
        return Err(source
            .error("chatctl does not read the format of the cassette, so `{answer}` is unknown")
            .help(
                "write the text itself into `expect`, with `{nonce}` where the cassette has it",
            ));
    }
    Ok(turn)
}

/// The request of one turn, when it has its own.
fn own_request(
    fields: &Fields<'_>,
    scope: &Scope,
    requests: &mut Requests<'_>,
) -> Result<Option<Request>, SourceError> {
    if fields.get("request").is_none() {
        return match fields.present(OVER_EITHER).first() {
            Some(item) => Err(item
                .key_error(format!("[[turn]] has `{}` and no `request`", item.name))
                .help("add `request = \"POST /…\"`; a turn's own request takes nothing from [request]")),
            None => Ok(None),
        };
    }
    let request = requests.read(fields, &mut scope.clone(), Secrets::InHeaders)?;
    spoken::check(&request, fields)?;
    if !request.uses("user") && !request.uses(MESSAGES) {
        return Err(fields
            .error("the request of this [[turn]] never uses `{user}`: the server would not see the message")
            .help("for example: json = { message = \"{user}\" }"));
    }
    Ok(Some(request))
}

/// A file that a URL in the history loads.
fn load(fields: &Fields<'_>, outside: &Outside<'_>) -> Result<Load, SourceError> {
    let url = fields.require(
        "url",
        "`url = \"$[0].files[0].url\"`: where the history has the URL",
    )?;
    let source = at_most_one(fields, &["content", "file"])?.ok_or_else(|| {
        fields
            .error("`loads` has neither `content` nor `file`")
            .help("add `content = \"…\"`, or `file = \"photo.png\"`, a path relative to the session file")
    })?;
    let content = if source.name == "content" {
        Content::Text(source.text()?.to_owned())
    } else {
        let written = not_empty(&source)?;
        Content::Bytes((outside.read)(written).map_err(|reason| {
            source
                .error(format!("the file `{written}` cannot be read: {reason}"))
                .help("the path is relative to the session file")
        })?)
    };
    Ok(Load {
        url: json_path(&url)?,
        content,
    })
}

/// An answer that calls tools.
pub(super) fn step(item: &Item<'_>, outside: &Outside<'_>) -> Result<Step, SourceError> {
    let (path, cassette) = recorded(item, outside)?;
    let written = path.display();
    let Some(provider) = providers::of(&cassette) else {
        return Err(item.error(format!(
            "the step `{written}` is in a format that is not read, so it is not known which tools it calls"
        )));
    };
    let stamped = provider.stamped(&cassette, &Stamp::sample());
    let answer = provider
        .answer(&stamped)
        .map_err(|error| item.error(format!("the step `{written}` has no answer: {error}")))?;
    if answer.tool_calls.is_empty() {
        return Err(item
            .error(format!("the step `{written}` calls no tool"))
            .help("a step is an answer after which the server asks again; the last one is the turn's `cassette` or `answer`"));
    }
    let calls = answer.tool_calls.into_iter().map(|call| ToolCall {
        name: call.name,
        input: Some(call.arguments),
        output: None,
    });
    Ok(Step {
        path,
        calls: calls.collect(),
        says: answer.text,
        cassette,
    })
}

/// A recorded answer, and where it is.
fn recorded(
    item: &Item<'_>,
    outside: &Outside<'_>,
) -> Result<(PathBuf, Arc<Cassette>), SourceError> {
    let written = not_empty(item)?;
    let bytes = (outside.read)(written).map_err(|reason| {
        item.error(format!("the cassette `{written}` cannot be read: {reason}"))
            .help("the path is relative to the session file")
    })?;
    let beside = Path::new(item.origin.file).with_file_name(written);
    let cassette = Cassette::parse(&beside.display().to_string(), &bytes)?;
    Ok((PathBuf::from(written), Arc::new(cassette)))
}

fn cassette(item: &Item<'_>, outside: &Outside<'_>) -> Result<Plays, SourceError> {
    let (path, cassette) = recorded(item, outside)?;
    let written = path.display();
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
        path,
        cassette,
        answer,
    })
}
