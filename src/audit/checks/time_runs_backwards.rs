//! A message that was stored later and is told to be earlier.

use super::Cause;
use super::Check;
use super::Ground;
use super::Look;
use super::Tally;
use super::cause;
use crate::model::Role;
use crate::model::StoredMessage;
use crate::report::Severity::Warning;
use crate::store::Shape;
use crate::store::Thread;

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
    "a message has a time before that of the message that was stored before it: ordered by time, the history is wrong",
)];

/// Clocks of several writers may differ by so many microseconds.
const CLOCKS: i64 = 1_000_000;

fn unfit(ground: &Ground<'_>) -> Option<&'static str> {
    let message = &ground.mapping.store().message;
    let Some(time) = &message.time else {
        return Some("the mapping names no time");
    };
    let is_time = |append: &String| time.columns().any(|column| column == append);
    match &message.append {
        Some(append) if !is_time(append) => None,
        _ => Some("nothing but the time tells in which order messages were stored"),
    }
}

fn look(thread: &Thread, ground: &Ground<'_>, tally: &mut Tally) {
    // A turn's answer comes when it comes, also after the next question.
    let turns = ground.mapping.store().shape == Shape::Turn;
    let begun = |message: &&StoredMessage| !turns || message.role == Role::User;
    let mut stored: Vec<&StoredMessage> = thread.messages.iter().filter(begun).collect();
    stored.sort_by_key(|message| message.append);
    let mut latest: Option<(i64, &StoredMessage)> = None;
    for message in stored {
        let Some(time) = message.time.filter(|_| message.append.is_some()) else {
            continue;
        };
        if let Some((before, other)) = latest
            && other.append < message.append
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
