//! What a turn shows that did not come to its end: its client left, the user pressed stop, or its server was
//! stopped. Pure.
//!
//! The question has to be stored in any case. What becomes of the answer is a choice that the session
//! declares. Without a declaration it is reported, and no choice is called wrong.

mod findings;
#[cfg(test)]
mod tests;

use super::judged::{self, Judged, LATE, OfCase, finding};
use super::whole_turn::Wrong;
use crate::model::ProviderEnd;
use crate::report::{Finding, Severity, Source};
use crate::stream::faults::{Point, Way};
use crate::stream::kept::{AnswerFate, Marked};
use crate::stream::policy::{Keep, ON_DISCONNECT, ON_STOP, Policy};
use std::fmt;

pub use findings::{OF_THE_CLIENT, is_more_than_declared};

/// Why a turn did not come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Its client left in this way.
    Left(Way),
    /// The user pressed stop.
    Stopped,
    /// Its server was stopped there, and started again: [`crate::audit`] does it, and says itself what of the
    /// messages is lost.
    Restarted(&'static str),
}

impl Cause {
    /// The key that declares what has to be stored, where there is one.
    pub const fn key(self) -> Option<&'static str> {
        match self {
            Self::Left(_) => Some("on_disconnect"),
            Self::Stopped => Some("on_stop"),
            Self::Restarted(_) => None,
        }
    }

    /// The values of that key.
    pub fn policies(self) -> &'static [Policy] {
        match self {
            Self::Left(_) => &ON_DISCONNECT,
            Self::Stopped => &ON_STOP,
            Self::Restarted(_) => &[],
        }
    }

    /// Whether the server hears of it for certain.
    const fn is_heard(self) -> bool {
        match self {
            Self::Left(way) => way.is_heard(),
            Self::Stopped | Self::Restarted(_) => true,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Left(way) => write!(f, "left by {}", way.name()),
            Self::Stopped => f.write_str("stopped"),
            Self::Restarted(place) => write!(f, "the server stopped {place}"),
        }
    }
}

/// What was seen of such a turn.
#[derive(Debug, Clone)]
pub struct EndedEarly {
    /// What findings are about: the session, and its table.
    pub subject: String,
    pub case: String,
    /// The turn's number, from 1.
    pub turn: usize,
    /// Why it did not come to its end.
    pub cause: Cause,
    /// Where.
    pub point: Point,
    /// How many pieces of the text the provider had still to send there.
    pub to_come: usize,
    /// What the session declares.
    pub policy: Option<&'static Policy>,
    /// The final marker, in words.
    pub marker: String,
    /// Whether it happened where it was meant to, or why not.
    pub met: Result<(), String>,
    /// How the server answered the stop button, where it failed to stop: what is lost then is lost all the same.
    pub stop_failed: Option<String>,
    /// How the server's requests to its provider ended.
    pub provider: ProviderEnd,
    /// What the client had received.
    pub client: ClientSaw,
    /// What the store holds after the settling time, or why it could not be read.
    pub stored: Result<Stored, String>,
    /// Whether something changed in the store after the settling time.
    pub came_late: bool,
    /// What a reload shows; absent where the session has no history.
    pub reload: Option<Reload>,
    /// What became of the next turn; absent where none was sent.
    pub next: Option<NextTurn>,
}

/// What the client had received of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSaw {
    /// How many characters of it; absent where the profile does not read them.
    pub characters: Option<usize>,
    /// How many characters the whole answer has.
    pub of: usize,
    /// Whether the final marker had come before: then the answer was promised.
    pub marker: bool,
}

/// What the store holds of the turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Whether the question is there.
    pub question: bool,
    /// What became of the answer.
    pub answer: AnswerFate,
    /// Whether a part of an answer can be told from other texts: the store keeps answers as they are said.
    pub is_verbatim: bool,
    /// Whether whole answers have a status, so that a part could have another one.
    pub tells_whole: bool,
    /// The key of a row that is still being written.
    pub open: Option<String>,
    /// The keys of the answer's rows, where it is stored more than once.
    pub copies: Vec<String>,
    /// How the answer differs from what was said, where its end is stored: nothing where it does not.
    pub altered: Option<String>,
    /// What is wrong around the answer.
    pub spoilt: Vec<Spoilt>,
}

/// What else of a conversation a turn spoils that does not come to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spoilt {
    /// Its conversation has no row of its own, where other conversations have one.
    Head,
    /// Of its question only this is stored, where other questions are stored whole.
    QuestionCut(String),
    /// Its question is in no conversation, where other questions are in one: the key of its row.
    QuestionNowhere(String),
    /// Its answer is in none of the conversations of its question.
    AnswerAstray {
        /// The key of its row.
        row: String,
        /// Where it is instead; nothing where it is in none.
        conversation: Option<String>,
    },
    /// Its question is stored more than once, in the rows with these keys.
    QuestionTwice(Vec<String>),
    /// A text that is nothing of the answer is stored as a whole answer.
    Note(String),
    /// A message of an earlier turn was stored, and is not any more.
    Earlier {
        /// Which turn, from 1.
        turn: usize,
        /// Whether it was the question, and not the answer.
        is_question: bool,
    },
}

/// What a reload of the page shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reload {
    /// The history can't be read.
    Unreadable(String),
    /// It has these parts of the turn.
    Shows {
        question: bool,
        /// What is stored of the answer; true where nothing is.
        answer: bool,
    },
}

/// What became of the turn that was sent next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextTurn {
    /// The server answered another status than a chat has.
    Refused {
        status: u16,
        /// The beginning of what it said.
        said: String,
    },
    /// It was not answered, for this reason.
    Failed(String),
    /// It was answered up to the final marker, and this is still wrong with what is stored of it.
    Wrong(Wrong),
    /// It was answered, and the provider's request had these parts of the turn before.
    Answered {
        question: bool,
        /// What was stored of the answer when the request was sent; true where that was nothing.
        answer: bool,
        /// The same, of what came to the store afterwards.
        answer_later: bool,
        /// Why nobody knows whether it is stored in time.
        doubt: Option<NextDoubt>,
    },
}

/// Why what is stored of the next turn shows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextDoubt {
    /// It was right only some time after the settling time.
    Late,
    /// The store could not be read.
    Unread,
    /// It was wrong after the settling time, as in an earlier case in which waiting changed nothing.
    NotAwaited,
}

/// How the next turn failed.
pub(super) struct NextFailure {
    pub(super) code: &'static str,
    pub(super) severity: Severity,
    /// The harm, to which is added when it happens.
    pub(super) harm: &'static str,
    pub(super) how: String,
    /// Where that was seen.
    pub(super) source: Source,
}

impl NextTurn {
    /// That the conversation can't be continued, if so.
    pub(super) fn finding(&self, seen: &impl OfCase, after: &str, help: &str) -> Option<Finding> {
        let failure = self.failure()?;
        let harm = format!("{} {after}", failure.harm);
        let fact = (failure.source, failure.how.as_str());
        let says = (harm.as_str(), help);
        Some(finding(seen, failure.code, failure.severity, says, fact))
    }

    /// How it failed, and how bad that is: some statuses say something of the client only.
    pub(super) fn failure(&self) -> Option<NextFailure> {
        let refused = |severity, how| NextFailure {
            code: "next-turn-refused",
            severity,
            harm: "the conversation can't be continued",
            how,
            source: Source::Stream,
        };
        match self {
            Self::Answered { .. } => None,
            Self::Refused { status, said } => {
                let severity = if OF_THE_CLIENT.contains(status) {
                    Severity::Warning
                } else {
                    Severity::Error
                };
                Some(refused(severity, format!("answered {status}: {said}")))
            }
            Self::Failed(why) => Some(refused(Severity::Error, why.clone())),
            Self::Wrong(wrong) => Some(NextFailure {
                code: wrong.code,
                harm: match wrong.code {
                    "never-saved" => "the answer of the next turn is never stored",
                    "user-message-lost" => "the question of the next turn is lost",
                    _ => "the next turn is stored with other content",
                },
                source: wrong.source,
                ..refused(
                    Severity::Error,
                    format!("the next turn was answered, and {}", wrong.how),
                )
            }),
        }
    }

    /// Why it shows nothing, where it did not fail.
    pub(super) fn doubt(&self) -> Option<&'static str> {
        match self {
            Self::Answered { doubt, .. } => doubt.map(|doubt| match doubt {
                NextDoubt::Late => LATE,
                NextDoubt::Unread => "the store could not be read after the next turn",
                NextDoubt::NotAwaited => {
                    "the stored part of the next turn was wrong after the settling time, as in an earlier case \
                        of this run, which waited longer and is violated; run alone, this case waits as long"
                }
            }),
            Self::Wrong(_) | Self::Refused { .. } | Self::Failed(_) => None,
        }
    }
}

/// Judges one turn.
pub fn judge(seen: &EndedEarly) -> Judged {
    shown(seen).unwrap_or_else(|unseen| unseen)
}

fn shown(seen: &EndedEarly) -> Result<Judged, Judged> {
    if let Err(why) = &seen.met {
        return Err(Judged::unseen(why));
    }
    judged::asked(seen.provider)?;
    let stored = judged::read(&seen.stored)?;
    let findings = findings::all(seen, stored);
    let late = seen.next.as_ref().and_then(NextTurn::doubt);
    let doubt = match &stored.answer {
        _ if seen.came_late => Some(LATE.to_owned()),
        _ if late.is_some() => late.map(str::to_owned),
        _ if seen.stop_failed.is_some() => seen.stop_failed.as_ref().map(|how| {
            format!("{how}; nothing is lost, but the stop button does not work, so it is not known what it stores")
        }),
        AnswerFate::Unknown(why) => Some((*why).to_owned()),
        AnswerFate::Nothing | AnswerFate::Cut { .. } if !stored.is_verbatim => Some(
            "the store changes the text of answers, so a part of one can't be recognized"
                .to_owned(),
        ),
        AnswerFate::Nothing | AnswerFate::Cut { .. }
            if wants(seen) == Some(Keep::Part)
                && seen.client.characters.is_none()
                && seen.point != Point::BeforeFirstByte =>
        {
            Some(
                "the profile reads no text, so it is not known what the client had seen".to_owned(),
            )
        }
        AnswerFate::Nothing | AnswerFate::Cut { .. } | AnswerFate::Whole => None,
    };
    Ok(Judged::by(findings, tell(seen, stored), doubt))
}

/// What has to be stored of the answer; absent where any choice is right.
fn wants(seen: &EndedEarly) -> Option<Keep> {
    // What was promised has to be there, whatever is declared of answers that were not.
    if seen.client.marker {
        return Some(Keep::Whole);
    }
    seen.policy.map(|policy| policy.keep)
}

/// What is stored, in one sentence, and which declaration that fits.
fn tell(seen: &EndedEarly, stored: &Stored) -> String {
    let kept = kept(seen, stored);
    let question = if stored.question {
        "the question is stored"
    } else {
        "the question is not stored"
    };
    let provider = match seen.provider {
        ProviderEnd::HungUp { chunks: 1 } => {
            "; the server stopped reading from its provider after 1 chunk".to_owned()
        }
        ProviderEnd::HungUp { chunks } => {
            format!("; the server stopped reading from its provider after {chunks} chunks")
        }
        ProviderEnd::Whole | ProviderEnd::NotAsked | ProviderEnd::Open => {
            "; the provider's whole answer was sent".to_owned()
        }
    };
    let declared = match (seen.cause.key(), seen.policy) {
        (None, _) => String::new(),
        (Some(key), Some(policy)) => format!("; the session declares {key} = \"{}\"", policy.name),
        (Some(_), None) if seen.client.marker => String::new(),
        (Some(key), None) => match fitting(seen, stored).as_slice() {
            [] => format!("; no value of {key} fits that"),
            fitting => format!("; that fits {key} = \"{}\"", fitting.join("\" or \"")),
        },
    };
    format!("{question}, and {kept}{provider}{declared}")
}

fn kept(seen: &EndedEarly, stored: &Stored) -> String {
    match &stored.answer {
        AnswerFate::Whole if stored.altered.is_some() => "the answer is stored, changed".to_owned(),
        AnswerFate::Whole => "all of the answer is stored".to_owned(),
        AnswerFate::Cut { characters, marked } => {
            let of = seen.client.of;
            format!("{characters} of the answer's {of} characters are stored, {marked}")
        }
        AnswerFate::Nothing => "nothing of the answer is stored".to_owned(),
        AnswerFate::Unknown(_) => "it is not known whether the answer is stored".to_owned(),
    }
}

/// The declarations that what is stored would fit.
pub fn fitting(seen: &EndedEarly, stored: &Stored) -> Vec<&'static str> {
    let policies = seen.cause.policies().iter();
    let fits = policies.filter(|policy| {
        let keep = policy.keep;
        match &stored.answer {
            // A part may be all that there was to keep; the client that left can't tell.
            AnswerFate::Whole => keep == Keep::Whole,
            AnswerFate::Cut { .. } => {
                keep == Keep::Part && stored.open.is_none() && !is_called_whole(stored)
            }
            AnswerFate::Nothing => keep == Keep::Nothing && stored.open.is_none(),
            AnswerFate::Unknown(_) => false,
        }
    });
    fits.map(|policy| policy.name).collect()
}

/// Whether the store calls a part of the answer whole, where it has a way to say otherwise.
fn is_called_whole(stored: &Stored) -> bool {
    let is_unmarked = matches!(
        &stored.answer,
        AnswerFate::Cut {
            marked: Marked::No,
            ..
        }
    );
    is_unmarked && stored.tells_whole
}
