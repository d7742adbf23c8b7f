//! Judges the observations. Pure: no I/O, no clock.
//!
//! [`order`] judges a trial with the gate; the other files are checks, one per file, over the
//! record of a whole session.

mod answer_differs;
mod answer_duplicated;
mod answer_empty;
pub mod approval;
pub mod asked_again;
mod attachment_lost;
pub mod commit_fault;
pub mod commit_order;
mod context_altered;
mod context_lost;
mod cors_blocked;
mod data_after_done;
mod done_missing;
pub mod ended_among_others;
pub mod ended_early;
pub mod failing_tool;
pub mod history_differs;
mod judged;
mod log_forbidden;
mod marker_unseen;
#[cfg(test)]
mod mutants;
mod never_saved;
mod not_an_event_stream;
pub mod order;
mod provider_call_extra;
mod provider_call_unmatched;
pub mod provider_faults;
mod question_duplicated;
pub mod reload;
pub mod resumed;
pub mod saved_row_changed_later;
pub mod sent_twice;
pub mod side_by_side;
mod stream_text_differs;
pub mod tool_calls_differ;
mod user_message_lost;
pub mod whole_turn;
mod wrong_conversation;
mod wrong_role;

pub use answer_duplicated::{hides_drafts, keeps_versions};
pub use judged::Judged;

use super::body::Framing;
use super::marker::FinalMarker;
use super::session::Remembered;
use super::turn::Turn;
use super::{kept, marks};
use crate::model::{ProviderCall, Role, SentMessage, StoredMessage, ToolCall};
use crate::report::Finding;
use std::time::Duration;

/// The record of a session, from client, gateway, store and log.
#[derive(Debug, Default)]
pub struct Observed {
    /// How the response is cut into events.
    pub framing: Framing,
    /// The session's name.
    pub session: String,
    /// The final marker, in words.
    pub marker: String,
    pub final_marker: Option<FinalMarker>,
    /// Who declared the final marker.
    pub marker_basis: MarkerBasis,
    /// The profile's name.
    pub profile: &'static str,
    /// The table of messages; absent when none was found.
    pub table: Option<String>,
    /// Its turns, in order.
    pub turns: Vec<TurnSeen>,
    /// The history over HTTP: its records, or why it could not be read.
    pub history: Option<Result<Vec<Remembered>, String>>,
    /// The same, as received.
    pub history_body: Option<Vec<u8>>,
    /// Whether the history is one chat for all conversations, so that it shows messages of others.
    pub shares_history: bool,
    /// Messages of a new conversation before its first turn, such as an example.
    pub preface: Vec<String>,
    /// What distinguishes parts of an answer that are separate messages from the whole answer.
    pub drafts: Drafts,
    /// The files that the history names by their URL, and whether each has the sent content.
    pub loaded: Vec<Loaded>,
    /// After what time the history was correct, if it was not at first.
    pub history_late: Option<Duration>,
    /// The server's response to a page of another origin, if one was tested.
    pub cors: Option<Cors>,
    /// Requests to the provider outside of any turn.
    pub stray_calls: Vec<ProviderCall>,
    /// Lines of the server's output that match a forbidden pattern: pattern and line.
    pub forbidden: Vec<(String, String)>,
}

/// Who declared that a marker ends the streams of a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MarkerBasis {
    /// The user's: it was declared, or its profile was named.
    #[default]
    Declared,
    /// The server's: a response had it.
    Seen,
    /// Nobody: chatctl searched for it, and no response had it. It promises nothing, and is not
    /// reported as missing.
    Assumed,
}

/// What distinguishes parts of an answer from the whole answer, if the first chat showed it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Drafts {
    /// Nothing that is known.
    #[default]
    Untold,
    /// A reload shows none of them.
    Hidden,
    /// The column with this name.
    Column(String),
}

/// One turn, after the settling time.
#[derive(Debug, Default)]
pub struct TurnSeen {
    /// From 1.
    pub number: usize,
    /// What the user said, with the tag.
    pub user: String,
    /// The tag: is in the user's message and nowhere else.
    pub tag: String,
    /// What must be stored as the answer.
    pub expected: String,
    /// The provider's text, if its format can be read.
    pub answer: Option<String>,
    /// The history that the client itself sent, if it does: all that the model can know.
    pub context: Option<String>,
    /// The attachments that a reload must show.
    pub shows: Vec<String>,
    /// The tools that the model called before the answer.
    pub tool_calls: Vec<ToolCall>,
    /// Is at the end of the answer and nowhere else.
    pub nonce: String,
    /// The response's content type.
    pub content_type: Option<String>,
    /// What came over the wire.
    pub turn: Turn,
    /// The same as bytes, unless they are too many to keep.
    pub body: Option<Vec<u8>>,
    /// The conversation's key, captured from the server or read from the user's row.
    pub conversation: Option<String>,
    /// The conversation's messages in the store, in order.
    pub stored: Vec<StoredMessage>,
    /// Messages of any conversation that hold the nonce.
    pub with_nonce: Vec<StoredMessage>,
    /// Messages of any conversation that hold the tag.
    pub with_tag: Vec<StoredMessage>,
    /// A row that holds the question in other words, if none holds the tag.
    pub altered: Option<StoredMessage>,
    /// The answer's row at the final marker, if it was read then.
    pub at_final: Option<StoredMessage>,
    /// The same of the question's row.
    pub asked_at_final: Option<StoredMessage>,
    /// How long no row held the answer some time after the marker, before one did again.
    pub away: Option<Duration>,
    /// The answer's row when it was first seen complete, and after the settling time.
    pub first_and_last: Option<(StoredMessage, StoredMessage)>,
    /// Requests to the provider during the turn.
    pub calls: Vec<ProviderCall>,
    /// The provider's request, message by message, if it has everything that the model knows.
    pub heard: Option<Vec<SentMessage>>,
}

/// A file of a turn that was loaded after a reload.
#[derive(Debug)]
pub struct Loaded {
    /// The turn, from 1.
    pub turn: usize,
    /// Whether it has the sent content, or what is wrong with it.
    pub fate: Result<(), String>,
}

/// What the server allows to a page of another origin.
#[derive(Debug)]
pub struct Cors {
    /// The origin that was played.
    pub origin: String,
    /// What was refused, in words; empty when everything was allowed.
    pub refused: Vec<String>,
}

impl Observed {
    /// Whether the history was read, and exactly one of its records is such a text.
    fn shows_once(&self, is_it: impl Fn(&str) -> bool) -> bool {
        let Some(Ok(records)) = &self.history else {
            return false;
        };
        let mut records = records.iter().filter(|record| is_it(&record.content));
        records.next().is_some() && records.next().is_none()
    }

    /// The subject of a finding on the store.
    pub fn subject(&self) -> String {
        match &self.table {
            Some(table) => format!("{} in table {table}", self.session),
            None => self.session.clone(),
        }
    }
}

impl TurnSeen {
    /// Whether the answer is stored in several messages, one after the other, which together are its text.
    pub fn is_in_pieces(&self) -> bool {
        let solid = |text: &str| -> String { text.split_whitespace().collect() };
        let answered = |rows: &&[StoredMessage]| rows[0].role == Role::Assistant;
        let mut runs = self.stored.chunk_by(|a, b| a.role == b.role);
        runs.any(|rows| {
            let texts: String = rows.iter().map(|row| solid(&row.content)).collect();
            rows.len() > 1 && answered(&rows) && texts == solid(&self.expected)
        })
    }

    /// Whether one message of the assistant follows the question, and no other one.
    pub fn is_answered_once(&self) -> bool {
        let asked = |it: &StoredMessage| it.content.contains(&self.tag);
        let rest = self.stored.iter().skip_while(|it| !asked(it)).skip(1);
        let of_turn = rest.take_while(|it| it.role != Role::User);
        of_turn.filter(|it| it.role == Role::Assistant).count() == 1
    }

    /// Whether at most one row of the user holds the question.
    pub fn is_asked_once(&self) -> bool {
        question_duplicated::copies(self).len() <= 1
    }

    /// The rows that hold this turn's answer, in this conversation: those with the nonce, else
    /// the assistant's rows between this turn's user message and the next one. A summary or a
    /// prompt that quotes the answer does not count.
    fn answers(&self) -> Vec<&StoredMessage> {
        let here = |message: &&StoredMessage| !self.elsewhere(message);
        let mut with_nonce: Vec<_> = self.with_nonce.iter().filter(here).collect();
        if with_nonce.iter().any(|row| row.role == Role::Assistant) {
            with_nonce.retain(|row| is_of_a_side(row));
        }
        if !with_nonce.is_empty() {
            return with_nonce;
        }
        let after_user = self
            .stored
            .iter()
            .skip_while(|message| !message.content.contains(&self.tag))
            .skip(1);
        // Where times are coarse, the answer of another turn may be there.
        let is_own = |row: &&StoredMessage| {
            row.role == Role::Assistant && !marks::has_other_answer(&row.content, &self.nonce)
        };
        after_user
            .take_while(|message| message.role != Role::User)
            .filter(is_own)
            .collect()
    }

    /// The whole answer, and the texts of the messages that are parts of it, where there are some.
    pub fn drafts(&self) -> Option<(&str, Vec<&str>)> {
        let whole = self.answers().first()?.content.as_str();
        let parts = self.parts();
        let texts: Vec<_> = parts.iter().map(|part| part.content.as_str()).collect();
        (!texts.is_empty()).then_some((whole, texts))
    }

    /// Messages of the assistant that are a beginning of this turn's answer, next to the row with
    /// the whole answer.
    fn parts(&self) -> Vec<&StoredMessage> {
        let answers = self.answers();
        let (Some(answer), Some(whole)) = (&self.answer, answers.first()) else {
            return Vec::new();
        };
        // Each step may have a message of its own.
        if !self.tool_calls.is_empty()
            || self.is_in_pieces()
            || !kept::is_all_in(answer, &whole.content)
        {
            return Vec::new();
        }
        let asked = self
            .stored
            .iter()
            .position(|it| it.content.contains(&self.tag));
        let rest = asked.map_or(&[][..], |at| &self.stored[at + 1..]);
        let of_turn = rest.iter().take_while(|it| it.role != Role::User);
        let is_part = |row: &&StoredMessage| {
            row.role == Role::Assistant
                && row.status == whole.status
                && row.state == whole.state
                && row.on_branch == whole.on_branch
                && kept::is_beginning(answer, &row.content)
        };
        of_turn.filter(is_part).collect()
    }

    /// Whether a message belongs to another conversation.
    fn elsewhere(&self, message: &StoredMessage) -> bool {
        match (&self.conversation, &message.conversation) {
            (Some(ours), Some(its)) => plain(ours) != plain(its),
            _ => false,
        }
    }
}

/// Whether a row is a message of the user or of the assistant.
fn is_of_a_side(row: &StoredMessage) -> bool {
    match row.role {
        Role::User | Role::Assistant => true,
        Role::Other(_) => false,
    }
}

/// Stores spell a UUID with and without dashes.
pub(super) fn plain(key: &str) -> String {
    key.to_lowercase().replace('-', "")
}

/// Whether a text is the expected one followed by other words: no repetition, and no part of
/// another turn.
fn is_longer(expected: &str, text: &str) -> bool {
    let is_own = |mark: &&str| expected.contains(*mark);
    kept::is_longer(expected, text) && marks::of(text).iter().all(is_own)
}

/// Why it is not known whether the stored rows are correct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// A text that another column may hold: then the rows are correct.
    pub text: Option<String>,
    /// Why, in a sentence.
    pub why: String,
}

impl Doubt {
    /// A column distinguishes drafts of an answer from the whole answer.
    fn of_drafts(column: &str) -> Self {
        Self {
            text: None,
            why: format!(
                "parts of an answer are stored next to it, `{column}` distinguishes them, and without [history] \
                    it is not known which of them a reload shows; exclude the others by `where` in the mapping"
            ),
        }
    }
}

/// What is neither right nor wrong in a session without a finding.
pub fn doubt(observed: &Observed) -> Option<Doubt> {
    let doubled = || question_duplicated::doubt(observed).map(|why| Doubt { text: None, why });
    let drafts = || match &observed.drafts {
        Drafts::Untold | Drafts::Hidden => None,
        Drafts::Column(column) => Some(Doubt::of_drafts(column)),
    };
    user_message_lost::doubt(observed)
        .or_else(doubled)
        .or_else(drafts)
}

/// A check over a session.
pub struct Check {
    /// The code of its findings; its file has the same name.
    pub code: &'static str,
    /// Runs, and returns its findings.
    pub check: fn(&Observed) -> Vec<Finding>,
}

/// Every check.
pub static ALL: &[Check] = &[
    not_an_event_stream::CHECK,
    done_missing::CHECK,
    data_after_done::CHECK,
    user_message_lost::CHECK,
    wrong_conversation::CHECK,
    wrong_role::CHECK,
    never_saved::CHECK,
    answer_empty::CHECK,
    answer_differs::CHECK,
    stream_text_differs::CHECK,
    answer_duplicated::CHECK,
    question_duplicated::CHECK,
    saved_row_changed_later::CHECK,
    context_lost::CHECK,
    context_altered::CHECK,
    tool_calls_differ::CHECK,
    history_differs::CHECK,
    attachment_lost::CHECK,
    cors_blocked::CHECK,
    log_forbidden::CHECK,
    marker_unseen::CHECK,
    provider_call_unmatched::CHECK,
    provider_call_extra::CHECK,
];

/// Codes that are reported by the driver of a case and not by a check of the table.
pub static DRIVEN: &[&str] = &[
    "saved-after-done",
    "swallows-save-errors",
    "save-failed-silently",
    "done-despite-failed-save",
    "failed-save-hangs",
    "failed-save-untried",
    "limit-exceeded",
    "profile-detected",
    "stream-buffered",
    "stream-end-unknown",
    "stream-text-unread",
    "finish-ignored",
    "order-ambiguous",
    "answer-lost-on-disconnect",
    "answer-lost-on-stop",
    "approval-lost",
    "next-turn-refused",
    "old-answer-lost",
    "old-answer-shown",
    "part-stored-as-whole",
    "policy-not-kept",
    "pool-exhausted",
    "provider-call-goes-on",
    "provider-error-hidden",
    "reload-untried",
    "resume-refused",
    "resume-text-differs",
    "turn-overwritten",
    "turn-stored-twice",
];

pub fn findings(observed: &Observed) -> Vec<Finding> {
    ALL.iter()
        .flat_map(|check| (check.check)(observed))
        .collect()
}

impl TurnSeen {
    /// A turn without observations. Checks that need an observation are silent on it only if the
    /// caller selects its findings.
    pub fn blank(number: usize) -> Self {
        Self {
            number,
            ..Self::default()
        }
    }
}
