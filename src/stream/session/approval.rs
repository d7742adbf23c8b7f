//! What a session says of a turn that pauses until the user approves of a tool call, and of one whose tool fails:
//! `[approval]` and `[tool_error]`.

use super::endings::AnswersOver;
use super::parse_request::{Requests, Secrets};
use super::parse_turn::step;
use super::reader::{Fields, Item, OVER_HTTP, Place};
use super::validate::{Scope, not_empty};
use super::{Follow, Plays, Request, Turn};
use crate::source_error::SourceError;
use std::time::Duration;

const APPROVAL: Place = Place {
    name: "[approval]",
    request: &[],
    keys: &["user", "calls", "answer", "approve", "refuse"],
};
const TOOL_ERROR: Place = Place {
    name: "[tool_error]",
    request: &[],
    keys: &["user", "calls", "answer"],
};
const APPROVE: Place = Place {
    name: "[approval.approve]",
    request: OVER_HTTP,
    keys: &[],
};
const REFUSE: Place = Place {
    name: "[approval.refuse]",
    request: OVER_HTTP,
    keys: &[],
};

/// A turn that pauses until the user decides on a tool call.
#[derive(Debug, Clone)]
pub struct Approval {
    /// The turn: its one step has the call, and its answer comes after the decision.
    pub turn: Turn,
    /// The request by which the user approves; its answer is a stream like that of a turn.
    pub approve: Request,
    /// The same by which they refuse, where the file says it.
    pub refuse: Option<Request>,
}

/// The section `[approval]`.
pub(super) fn approval(
    item: &Item<'_>,
    over: AnswersOver,
    stream: Option<&Follow>,
    scope: &Scope,
    requests: &mut Requests<'_>,
) -> Result<Approval, SourceError> {
    if over == AnswersOver::Socket || stream.is_some() {
        return Err(item
            .key_error(
                "[approval] is for answers that come in the response to their request, over HTTP",
            )
            .help("leave [approval] out"));
    }
    let fields = item.table(&APPROVAL)?;
    let turn = calling(&fields, requests)?;
    let help = "add [approval.approve] with `request = \"POST /…\"`: what the page sends when the user approves";
    let approve = fields.require("approve", help)?;
    let mut decision = |item: &Item<'_>, place: &'static Place| {
        let fields = item.table(place)?;
        // What it captures nobody could use.
        let mut scope = scope.with(&["user"]);
        requests.read(&fields, &mut scope, Secrets::InHeaders)
    };
    let refuse = fields.get("refuse");
    Ok(Approval {
        turn,
        approve: decision(&approve, &APPROVE)?,
        refuse: refuse.map(|item| decision(&item, &REFUSE)).transpose()?,
    })
}

/// The section `[tool_error]`: a turn whose model calls a tool that fails.
pub(super) fn tool_error(item: &Item<'_>, requests: &Requests<'_>) -> Result<Turn, SourceError> {
    calling(&item.table(&TOOL_ERROR)?, requests)
}

/// A turn whose model calls a tool first.
fn calling(fields: &Fields<'_>, requests: &Requests<'_>) -> Result<Turn, SourceError> {
    let user = fields.require("user", "`user = \"…\"`: what the user says")?;
    let calls = fields.require(
        "calls",
        "`calls = \"….sse\"`: the answer by which the model calls the tool",
    )?;
    let answer = fields.require("answer", "`answer = \"…\"`: what the model says afterwards")?;
    Ok(Turn {
        user: not_empty(&user)?.to_owned(),
        pause: Duration::ZERO,
        request: None,
        shows: Vec::new(),
        loads: Vec::new(),
        steps: vec![step(&calls, requests.outside)?],
        plays: Plays::Answer(not_empty(&answer)?.to_owned()),
        expect: None,
    })
}
