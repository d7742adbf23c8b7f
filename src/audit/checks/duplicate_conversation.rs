//! The same conversation twice.

use super::check_context::opaque;
use super::first_seen::First;
use super::{Cause, CauseCounts, Check, CheckContext, Look, Thing, cause};
use crate::audit::turns;
use crate::model::{Role, State, StoredMessage};
use crate::report::Severity::{Note, Warning};
use crate::store::{Shape, Thread};

pub(super) const CHECK: Check = Check {
    code: "duplicate-conversation",
    causes: CAUSES,
    help: "delete the copy that nobody continues, and keep the keys of imported rows, so that a second import changes nothing",
    unfit,
    look: Look::Thread(look),
};

static CAUSES: &[Cause] = &[
    cause(
        "copied",
        Warning,
        "a conversation is stored twice: the same messages with the same times",
    ),
    cause(
        "alike",
        Note,
        "two conversations have exactly the same messages at other times",
    ),
];

/// Shorter ones are often alike: a greeting and its answer, thanks and goodbye. With the same times
/// too fewer are enough.
const LEAST: [usize; 2] = [4, 6];

fn unfit(context: &CheckContext<'_>) -> Option<&'static str> {
    let shared = context.mapping.store().shape == Shape::Chain;
    opaque(context).or(shared.then_some("conversations share their messages here"))
}

fn look(thread: &Thread, _ground: &CheckContext<'_>, tally: &mut CauseCounts) {
    let said = || thread.messages.iter().filter(|message| counts(message));
    let Some(key) = &thread.key else {
        return;
    };
    let count = said().count();
    if count < LEAST[0] {
        return;
    }
    // Sums: messages with one time may come in either order.
    let (mut words, mut times) = (0_u128, 0_u64);
    for message in said() {
        let digest = digest(message);
        words = words.wrapping_add(digest);
        times = times.wrapping_add(at(digest, message.time));
    }
    let this = First {
        key: key.as_str().into(),
        times,
    };
    let timed = said().any(|message| message.time.is_some());
    let Some(first) = tally.seen.before(words, this) else {
        return;
    };
    let copied = timed && first.times == times;
    let cause = &CAUSES[usize::from(!copied)];
    if count >= LEAST[usize::from(!copied)] {
        let fact = format!("the same {count} messages as conversation `{}`", first.key);
        let last = said().filter_map(|message| message.time).max();
        tally.row(cause, last, || Thing {
            conversation: Some(key.clone()),
            message: None,
            fact,
        });
    }
}

fn counts(message: &StoredMessage) -> bool {
    let speaks = !matches!(message.role, Role::Other(_)) && message.state != State::Deleted;
    speaks && !turns::is_empty(message)
}

/// Of what a message says. Nobody gains by two texts with one digest: it needs no key.
fn digest(message: &StoredMessage) -> u128 {
    let mut hasher = blake3::Hasher::new();
    let mut text = |text: &str| {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    text(message.role.word());
    text(&message.content);
    for tool in &message.tools {
        text(&tool.name);
        text(tool.input.as_deref().unwrap_or_default());
        text(tool.output.as_deref().unwrap_or_default());
    }
    let hash = hasher.finalize();
    let (parts, _) = hash.as_bytes().as_chunks::<16>();
    u128::from_le_bytes(parts[0])
}

/// Of what a message says and when.
fn at(digest: u128, time: Option<i64>) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&digest.to_le_bytes());
    hasher.update(&time.unwrap_or(i64::MIN).to_le_bytes());
    let hash = hasher.finalize();
    let (parts, _) = hash.as_bytes().as_chunks::<8>();
    u64::from_le_bytes(parts[0])
}
