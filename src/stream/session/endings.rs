//! What a session says of turns that do not come to their end, or come twice: `on_disconnect`, `idempotent` and
//! `[stop]`.

use super::parse_request::{Requests, Secrets};
use super::reader::{Fields, Item, OVER_HTTP, Place};
use super::validate::Scope;
use super::{Message, Stop, StopBy};
use crate::source_error::{SourceError, listed, nearest};
use crate::stream::policy::{ON_DISCONNECT, ON_STOP, Policy};

/// The key in `[request]`.
pub(super) const ON_DISCONNECT_KEY: &str = "on_disconnect";

/// The key in `[request]` that says that a request which comes twice is one turn.
pub(super) const IDEMPOTENT_KEY: &str = "idempotent";

/// The name in braces that is new for each turn, and the same when its request is sent again.
pub const IDEMPOTENCY_KEY: &str = "idempotency_key";

const STOP: Place = Place {
    name: "[stop]",
    request: OVER_HTTP,
    keys: &["message", "abort", "on_stop"],
};

/// What has to be stored when the client leaves, where `[request]` says it.
pub(super) fn on_disconnect(request: &Fields<'_>) -> Result<Option<&'static Policy>, SourceError> {
    request.read(ON_DISCONNECT_KEY, |item| policy(item, &ON_DISCONNECT))
}

/// Whether a request that comes twice is one turn, where `[request]` says it.
pub(super) fn idempotent(request: &Fields<'_>) -> Result<bool, SourceError> {
    let item = request.get(IDEMPOTENT_KEY);
    item.map_or(Ok(false), |item| item.truth())
}

/// What brings the answer of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AnswersOver {
    Http,
    Socket,
}

/// The section `[stop]`.
pub(super) fn stop(
    item: &Item<'_>,
    over: AnswersOver,
    scope: &Scope,
    requests: &mut Requests<'_>,
) -> Result<Stop, SourceError> {
    let fields = item.table(&STOP)?;
    let on_stop = fields.read("on_stop", |item| policy(item, &ON_STOP))?;
    let aborts = match fields.get("abort") {
        Some(item) => item.truth()?,
        None => false,
    };
    let by = match (fields.get("request"), fields.get("message"), aborts) {
        (Some(first), Some(_), _) | (Some(first), None, true) | (None, Some(first), true) => {
            return Err(first
                .key_error("[stop] has more than one of `request`, `message` and `abort`")
                .help("keep the one that your stop button uses"));
        }
        (None, None, false) => {
            return Err(fields
                .error("[stop] does not say how the user stops an answer")
                .help("add `request = \"POST /…/stop\"`, `message` for one over the WebSocket of the answer, or `abort = true` where the page only closes the connection"));
        }
        (None, None, true) => StopBy::Abort,
        (None, Some(message), false) if over == AnswersOver::Http => {
            return Err(message
                .key_error("`message` is sent over the WebSocket of the answer, but the answer comes over HTTP")
                .help("declare the request that your stop button sends: `request = \"POST /…/stop\"`"));
        }
        (None, Some(message), false) => {
            let secrets = Secrets::InHeadersAndBody;
            StopBy::Message(Message(requests.json(&message, scope, secrets)?))
        }
        (Some(_), None, false) => {
            // What it captures nobody could use.
            let mut scope = scope.with(&[]);
            let secrets = Secrets::InHeaders;
            StopBy::Request(Box::new(requests.read(&fields, &mut scope, secrets)?))
        }
    };
    Ok(Stop { by, on_stop })
}

fn policy(item: &Item<'_>, policies: &'static [Policy]) -> Result<&'static Policy, SourceError> {
    let name = item.text()?;
    let found = policies.iter().find(|policy| policy.name == name);
    found.ok_or_else(|| {
        let names = || policies.iter().map(|policy| policy.name);
        let help = match nearest(name, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("it is one of {}", listed(names())),
        };
        item.error(format!("unknown value `{name}` of `{}`", item.name))
            .help(help)
    })
}
