//! Checks on a store without an earlier snapshot: one file and one row of [`ALL`] per check.
//!
//! A check of messages is a pure function over one conversation; a check of the store asks the
//! database what is in no message. Both count all and name some.

mod absent;
mod branch_broken;
mod cause_counts;
mod check_context;
mod duplicate_conversation;
mod duplicate_message;
mod empty_answer;
mod empty_conversation;
mod error_text_as_answer;
mod first_seen;
mod foreign_keys_off;
mod missing_table;
mod no_index;
mod order_tied;
mod orphan_message;
mod replacement_character;
mod role_unknown;
mod run;
mod stuck_streaming;
mod time_runs_backwards;
mod truncated_answer;
mod unanswered_turn;
mod undecodable_content;

use crate::db::Tried;
use crate::report::Severity;
use crate::store::Thread;
use crate::text;

pub use cause_counts::{CauseCounts, Thing};
pub use check_context::{Age, Asked, CheckContext};
pub use missing_table::absent;
pub use run::{report_absent, run};

/// A check that was not made and why; not a finding about the store.
pub const SKIPPED: &str = "check-skipped";

/// Times that are after now.
pub const AHEAD: &str = "time-ahead";

pub struct Check {
    /// Kebab-case, never reused; also the name of its file.
    pub code: &'static str,
    /// What it may find, each with its harm.
    pub causes: &'static [Cause],
    /// The act, in the imperative.
    pub help: &'static str,
    /// Why it can't be made on this store, if so.
    pub unfit: fn(&CheckContext<'_>) -> Option<&'static str>,
    pub look: Look,
}

/// One way in which a check finds something wrong.
#[derive(Debug)]
pub struct Cause {
    /// Its name within the check.
    pub name: &'static str,
    /// An error only where the store alone shows a loss; all else has innocent causes too.
    pub severity: Severity,
    /// The harm, in the indicative.
    pub harm: &'static str,
}

/// How a check looks.
#[derive(Clone, Copy)]
pub enum Look {
    /// At each conversation.
    Thread(AtThread),
    Store(AtStore),
    /// At each conversation, and then at what is in no message.
    Both(AtThread, AtStore),
}

type AtThread = fn(&Thread, &CheckContext<'_>, &mut CauseCounts);
type AtStore = for<'a> fn(&'a CheckContext<'a>, &'a mut CauseCounts) -> Tried<'a, ()>;

const fn cause(name: &'static str, severity: Severity, harm: &'static str) -> Cause {
    Cause {
        name,
        severity,
        harm,
    }
}

/// Every check, in the order of a report.
pub static ALL: &[Check] = &[
    missing_table::CHECK,
    orphan_message::CHECK,
    foreign_keys_off::CHECK,
    branch_broken::CHECK,
    unanswered_turn::CHECK,
    stuck_streaming::CHECK,
    empty_answer::CHECK,
    truncated_answer::CHECK,
    undecodable_content::CHECK,
    error_text_as_answer::CHECK,
    replacement_character::CHECK,
    duplicate_message::CHECK,
    duplicate_conversation::CHECK,
    time_runs_backwards::CHECK,
    order_tied::CHECK,
    role_unknown::CHECK,
    empty_conversation::CHECK,
    no_index::CHECK,
];

/// The check of that code, or the code that was probably meant.
pub fn named(code: &str) -> Result<&'static Check, Option<&'static str>> {
    let near = || text::nearest(code, ALL.iter().map(|check| check.code));
    ALL.iter().find(|check| check.code == code).ok_or_else(near)
}
