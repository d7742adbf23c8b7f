//! Judges a turn whose provider sent unusual data, or failed. Pure.
//!
//! What is stored is what was said, or the user was told of it. The text of an error is never an answer.

mod findings;
mod same;
#[cfg(test)]
mod tests;

use super::ended_early::NextTurn;
use super::judged::{self, Judged, LATE};
use crate::stream::kept::{AnswerFate, Marked};

pub use same::{same, same_lines, without_marks};

/// What was seen of such a turn.
#[derive(Debug, Clone)]
pub struct ProviderFailed {
    /// What findings are about: the session, and its table.
    pub subject: String,
    pub case: String,
    /// The turn's number, from 1.
    pub turn: usize,
    /// What the provider did.
    pub what: String,
    /// Whether it came about, or why not.
    pub met: Result<(), String>,
    /// How much the provider said.
    pub said: Said,
    /// What the client was told.
    pub client: ClientTold,
    /// What the store holds after the settling time, or why it could not be read.
    pub stored: Result<Stored, String>,
    /// Whether something changed in the store after the settling time.
    pub came_late: bool,
    /// What became of the next turn.
    pub next: NextTurn,
}

/// How much the provider said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// All of the answer.
    Whole,
    /// An answer that has no text.
    NoText,
    /// A part of it, and then an error that every client library reports.
    BrokenOff,
    /// A part of it, which looks like the whole to many client libraries.
    Early,
    /// Nothing but an error, or an answer in another form.
    Refused,
}

/// What the client was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientTold {
    /// How many characters of the provider's text it received; absent where the profile reads none.
    pub characters: Option<usize>,
    pub end: ResponseEnd,
}

/// How a response ended, as its reader takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResponseEnd {
    /// With the final marker, as an answer that is well.
    Well,
    /// With the final marker, and the text has words of the server's own.
    WithWords,
    /// With an error: a status, an event, a response that broke off, or no final marker.
    Failed(String),
    /// With the final marker; what the response said can't be read.
    Unread,
}

/// What the store holds of the turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Whether the question is there.
    pub question: bool,
    /// What became of the answer.
    pub answer: AnswerFate,
    /// How the stored answer differs from what was said, where all of it is there.
    pub differs: Option<String>,
    /// How many messages hold the answer's end.
    pub copies: usize,
    /// Whether the store keeps answers as they are said.
    pub is_verbatim: bool,
    /// Whether whole answers have a status, so that a part could have another one.
    pub tells_whole: bool,
    /// The key of a row that is still being written.
    pub open: Option<String>,
    /// The key of an answer's row without text that looks like a whole answer.
    pub blank: Option<String>,
    /// The key of an answer's row that has the text of the provider's error.
    pub error: Option<String>,
    /// The keys of the question's rows, where it is stored more than once.
    pub asked_twice: Vec<String>,
    /// Where the answer is, if it is in another conversation than its question.
    pub astray: Option<String>,
}

/// Judges one turn.
pub fn judge(seen: &ProviderFailed) -> Judged {
    shown(seen).unwrap_or_else(|unseen| unseen)
}

fn shown(seen: &ProviderFailed) -> Result<Judged, Judged> {
    let stored = judged::met(&seen.met, &seen.stored)?;
    let findings = findings::all(seen, stored);
    let doubt = doubt(seen, stored);
    Ok(Judged::by(findings, tell(seen, stored), doubt))
}

/// Why nothing is known, where nothing wrong was found.
fn doubt(seen: &ProviderFailed, stored: &Stored) -> Option<String> {
    let told = matches!(
        seen.client.end,
        ResponseEnd::Failed(_) | ResponseEnd::WithWords
    );
    let late = seen.came_late.then_some(LATE);
    let late = late.or_else(|| seen.next.doubt());
    match &stored.answer {
        _ if late.is_some() => late.map(str::to_owned),
        AnswerFate::Whole => None,
        _ if seen.said == Said::NoText => None,
        AnswerFate::Unknown(why) if !told => Some((*why).to_owned()),
        AnswerFate::Unknown(_) => None,
        // Right whatever the user saw.
        AnswerFate::Cut { marked, .. }
            if *marked != Marked::No && stored.is_verbatim && seen.said != Said::Whole =>
        {
            None
        }
        AnswerFate::Nothing | AnswerFate::Cut { .. } if seen.client.end == ResponseEnd::Unread => {
            Some(
                "the text of the response can't be read, so it is not known what the user saw"
                    .to_owned(),
            )
        }
        AnswerFate::Nothing | AnswerFate::Cut { .. } if !stored.is_verbatim && !told => Some(
            "the store changes the text of answers, so a part of one can't be recognized"
                .to_owned(),
        ),
        AnswerFate::Nothing | AnswerFate::Cut { .. } => None,
    }
}

/// What is stored and what the user was told, in one sentence.
fn tell(seen: &ProviderFailed, stored: &Stored) -> String {
    let question = if stored.question {
        "the question is stored"
    } else {
        "the question is not stored"
    };
    let told = match &seen.client.end {
        ResponseEnd::Well | ResponseEnd::Unread => {
            "the response ended with the final marker".to_owned()
        }
        ResponseEnd::WithWords => "the response contains words that the server added".to_owned(),
        ResponseEnd::Failed(how) => format!("the response failed: {how}"),
    };
    format!("{question}, and {}; {told}", kept(stored))
}

fn kept(stored: &Stored) -> String {
    match &stored.answer {
        AnswerFate::Whole if stored.differs.is_some() => "the answer is stored, changed".to_owned(),
        AnswerFate::Whole if stored.copies > 1 => {
            format!("the answer is stored {} times", stored.copies)
        }
        AnswerFate::Whole => "all of the answer is stored".to_owned(),
        AnswerFate::Cut { characters, marked } => {
            format!("{characters} characters of the answer are stored, {marked}")
        }
        AnswerFate::Nothing if stored.blank.is_some() => {
            "an empty row is stored as the answer".to_owned()
        }
        AnswerFate::Nothing => "nothing of the answer is stored".to_owned(),
        AnswerFate::Unknown(_) => "it is not known whether the answer is stored".to_owned(),
    }
}
