//! The sections on regenerated answers: `[regenerate]` and `[edit]`.

use super::Request;
use super::parse_request::{Requests, Secrets};
use super::reader::{Item, OVER_EITHER, Place};
use super::validate::{ANSWER_KEY, QUESTION_KEY, Scope};
use crate::source_error::SourceError;

const REGENERATE: Place = Place {
    name: "[regenerate]",
    request: OVER_EITHER,
    keys: &["old_answer"],
};
const EDIT: Place = Place {
    name: "[edit]",
    request: OVER_EITHER,
    keys: &["old_answer"],
};

/// How a page asks for an answer again.
#[derive(Debug, Clone)]
pub struct AskAgain {
    /// The request; its answer is a stream like that of a turn.
    pub request: Request,
    /// What becomes of the old answer, when the file says so.
    pub old_answer: Option<OldAnswer>,
}

/// What becomes of an answer in whose place a new one is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OldAnswer {
    /// It stays in the store, and the page may show it as another version.
    Keep,
    /// It is gone, or marked as deleted.
    Replace,
}

/// The section `[regenerate]`.
pub(super) fn regenerate(
    item: &Item<'_>,
    scope: &Scope,
    requests: &mut Requests<'_>,
) -> Result<AskAgain, SourceError> {
    again(item, &REGENERATE, scope, requests)
}

/// The section `[edit]`.
pub(super) fn edit(
    item: &Item<'_>,
    scope: &Scope,
    requests: &mut Requests<'_>,
) -> Result<AskAgain, SourceError> {
    let asked = again(item, &EDIT, scope, requests)?;
    if asked.request.uses("user") || asked.request.uses("messages") {
        return Ok(asked);
    }
    Err(item
        .key_error("[edit] never uses `{user}`: the server would not see the new text")
        .help("for example: json = { message = \"{user}\" }"))
}

fn again(
    item: &Item<'_>,
    place: &'static Place,
    scope: &Scope,
    requests: &mut Requests<'_>,
) -> Result<AskAgain, SourceError> {
    let fields = item.table(place)?;
    // What it captures nobody could use.
    let mut scope = scope.with(&["user", "messages", "turn", QUESTION_KEY, ANSWER_KEY]);
    let request = requests.read(&fields, &mut scope, Secrets::InHeaders)?;
    let old_answer = match fields.get("old_answer") {
        None => None,
        Some(item) => Some(match item.text()? {
            "keep" => OldAnswer::Keep,
            "replace" => OldAnswer::Replace,
            other => {
                return Err(item
                    .error(format!("`old_answer` is `keep` or `replace`, not `{other}`"))
                    .help("`keep`: it stays in the store as another version; `replace`: it is removed"));
            }
        }),
    };
    Ok(AskAgain {
        request,
        old_answer,
    })
}
