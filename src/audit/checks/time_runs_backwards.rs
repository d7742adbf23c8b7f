//! A message that was stored later but has an earlier time.

use super::{Cause, CauseCounts, Check, CheckContext, Look, cause};
use crate::model::{Role, StoredMessage};
use crate::report::Severity::Warning;
use crate::store::{Shape, Thread};

pub(super) const CHECK: Check = Check {
    code: "time-runs-backwards",
    causes: CAUSES,
    help: "let the database set the time (`DEFAULT now()`, in UTC), and order a history by the column that grows",
    unfit,
    look: Look::Thread(look),
};

static CAUSES: &[Cause] = &[cause(
    "earlier",
    Warning,
    "a message has an earlier time than the message that was stored before it: ordered by time, the history is wrong",
)];

const NO_TIME: &str = "the mapping names no time";

/// Clocks of several writers may differ by so many microseconds.
const CLOCKS: i64 = 1_000_000;

fn unfit(context: &CheckContext<'_>) -> Option<&'static str> {
    let store = context.mapping.store();
    if let Some(item) = &store.item {
        return item.time.is_none().then_some(NO_TIME);
    }
    let message = &store.message;
    let Some(time) = &message.time else {
        return Some(NO_TIME);
    };
    let is_time = |append: &String| time.columns().any(|column| column == append);
    match &message.append {
        Some(append) if !is_time(append) => None,
        _ => Some("only the time shows the order in which messages were stored"),
    }
}

fn look(thread: &Thread, context: &CheckContext<'_>, tally: &mut CauseCounts) {
    // Items are in their order in the conversation's row, those of the current branch first.
    let items = context.mapping.store().shape == Shape::Blob;
    // A turn's answer comes when it comes, also after the next question.
    let turns = context.mapping.store().shape == Shape::Turn;
    let begun = |message: &&StoredMessage| !turns || message.role == Role::User;
    let stored = thread.messages.iter().filter(begun);
    let mut stored: Vec<_> = stored.filter(|it| !items || it.on_branch).collect();
    if !items {
        stored.sort_by_key(|message| message.append);
    }
    let mut latest: Option<(i64, &StoredMessage)> = None;
    for message in stored {
        let Some(time) = message.time.filter(|_| items || message.append.is_some()) else {
            continue;
        };
        if let Some((before, other)) = latest
            && (items || other.append < message.append)
            && time < before - CLOCKS
        {
            let seconds = (before - time) / 1_000_000;
            let fact = format!("{seconds} s before message `{}`", other.key);
            tally.message(&CAUSES[0], message, &fact);
            continue;
        }
        latest = Some((time, message));
    }
}
