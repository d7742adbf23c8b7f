//! The findings on such a turn.

use super::super::judged;
use super::{
    Cause, EndedEarly, NextFailure, NextTurn, Reload, Spoilt, Stored, is_called_whole, kept, wants,
};
use crate::model::ProviderEnd;
use crate::report::{Finding, Severity, Source};
use crate::stream::faults::Point;
use crate::stream::kept::{AnswerFate, Marked};
use crate::stream::policy::Keep;

/// Statuses that say something of the client and not of the conversation.
pub const OF_THE_CLIENT: [u16; 3] = [401, 403, 429];

/// As many pieces of text have to come for a server to notice for certain that nobody reads: the first write to a
/// closed connection succeeds.
const ENOUGH_TO_NOTICE: usize = 2;

/// Everything that is wrong.
pub(super) fn all(seen: &EndedEarly, stored: &Stored) -> Vec<Finding> {
    let found = [
        question(seen, stored),
        answer(seen, stored),
        altered(seen, stored),
        called_whole(seen, stored),
        stuck(seen, stored),
        copies(seen, stored),
        policy(seen, stored),
        reload(seen, stored),
        next(seen, stored),
        provider(seen),
    ];
    let found = found.into_iter().flatten();
    let spoilt = stored.spoilt.iter();
    found
        .chain(spoilt.filter_map(|spoilt| around(seen, spoilt)))
        .collect()
}

/// An error where the session declares what has to hold; else worth knowing.
fn declared(seen: &EndedEarly) -> Severity {
    match seen.policy {
        Some(_) => Severity::Error,
        None => Severity::Warning,
    }
}

fn finding(
    seen: &EndedEarly,
    code: &'static str,
    severity: Severity,
    harm: impl Into<String>,
    help: impl Into<String>,
) -> Finding {
    Finding::new(code, severity, &seen.subject, harm.into(), help.into()).in_case(&seen.case)
}

/// Where it happened, for the evidence.
fn place(seen: &EndedEarly) -> String {
    match seen.cause {
        Cause::Left(_) | Cause::Stopped => {
            format!("turn {}, {} at {}", seen.turn, seen.cause, seen.point)
        }
        Cause::Restarted(_) => format!("turn {}, {}", seen.turn, seen.cause),
    }
}

/// What happened to the turn, in a few words.
fn when(cause: Cause) -> &'static str {
    match cause {
        Cause::Left(_) => "when the client leaves in mid-turn",
        Cause::Stopped => "when the user presses stop",
        Cause::Restarted(_) => "when the server is stopped in mid-turn",
    }
}

fn question(seen: &EndedEarly, stored: &Stored) -> Option<Finding> {
    let is_accounted_for = matches!(seen.cause, Cause::Restarted(_));
    if stored.question || is_accounted_for {
        return None;
    }
    let harm = format!("the question is lost {}", when(seen.cause));
    let help = "commit the user's message before the provider is called";
    let finding = finding(seen, "user-message-lost", Severity::Error, harm, help);
    Some(finding.with(
        Source::Store,
        format!("{}: no row holds the question", place(seen)),
    ))
}

/// Less of the answer is stored than was declared, or promised by the final marker.
fn answer(seen: &EndedEarly, stored: &Stored) -> Option<Finding> {
    let is_lost = match (wants(seen)?, &stored.answer) {
        (_, AnswerFate::Whole | AnswerFate::Unknown(_)) | (Keep::Nothing, _) => false,
        // Where parts can't be told, only the end of the answer can: it holds the nonce.
        (Keep::Part, _) if !stored.is_verbatim => false,
        (Keep::Part, AnswerFate::Nothing) => seen.client.characters.is_some_and(|seen| seen > 0),
        (Keep::Part, AnswerFate::Cut { characters, .. }) => seen
            .client
            .characters
            .is_some_and(|seen| *characters < seen),
        (Keep::Whole, AnswerFate::Nothing | AnswerFate::Cut { .. }) => true,
    };
    if !is_lost {
        return None;
    }
    let client = match seen.client.characters {
        Some(characters) => format!("; the client had seen {characters} characters"),
        None => String::new(),
    };
    let fact = format!("{}: {}{client}", place(seen), kept(seen, stored));
    if seen.client.marker {
        let marker = &seen.marker;
        let harm = format!("the answer is lost when the client leaves at `{marker}`");
        let help = format!("save and commit the assistant's message before `{marker}` is sent");
        let finding = finding(seen, "saved-after-done", Severity::Error, harm, help);
        return Some(finding.with(Source::Store, fact));
    }
    let (code, help) = lost(seen.cause)?;
    let what = match stored.answer {
        AnswerFate::Cut { .. } => "a part of the answer is lost",
        AnswerFate::Nothing | AnswerFate::Whole | AnswerFate::Unknown(_) => "the answer is lost",
    };
    let harm = format!("{what} {}", when(seen.cause));
    Some(finding(seen, code, Severity::Error, harm, help).with(Source::Store, fact))
}

/// Whoever ended the turn and whoever finished it wrote into one text.
fn altered(seen: &EndedEarly, stored: &Stored) -> Option<Finding> {
    let how = stored.altered.as_ref()?;
    if answer(seen, stored).is_some() {
        // That is what is wrong with it.
        return None;
    }
    let harm = format!(
        "the stored answer has extra words, or lacks some, {}",
        when(seen.cause)
    );
    let help = "collect the text of a turn in one task that continues after the client leaves";
    let finding = finding(seen, "answer-differs", Severity::Error, harm, help);
    Some(finding.with(Source::Store, format!("{}: {how}", place(seen))))
}

/// The code of an answer that is lost, and what helps. What a restart loses of what was promised has another account.
fn lost(cause: Cause) -> Option<(&'static str, &'static str)> {
    match cause {
        Cause::Left(_) => Some((
            "answer-lost-on-disconnect",
            "run the turn in a separate task that no request cancels, and save in its `finally`",
        )),
        Cause::Stopped => Some((
            "answer-lost-on-stop",
            "on stop, save the streamed text before the task is cancelled, with a status that says so",
        )),
        Cause::Restarted(_) => None,
    }
}

/// Whoever ended the turn and whoever finished it have both stored the answer.
fn copies(seen: &EndedEarly, stored: &Stored) -> Option<Finding> {
    if stored.copies.is_empty() {
        return None;
    }
    let times = stored.copies.len();
    let harm = format!("the answer is stored {times} times {}", when(seen.cause));
    let help = "save the answer in one place: the code that interrupts a turn and the code that finishes it \
        must write the same row";
    let finding = finding(seen, "answer-duplicated", Severity::Error, harm, help);
    let rows = stored.copies.join(", ");
    Some(finding.with(Source::Store, format!("{}: rows {rows}", place(seen))))
}

/// What is not of the answer, and is not as it was.
fn around(seen: &EndedEarly, spoilt: &Spoilt) -> Option<Finding> {
    if is_shown(seen, spoilt) {
        return None;
    }
    let when = when(seen.cause);
    let (code, harm, help, fact) = match spoilt {
        Spoilt::Head => (
            "user-message-lost",
            format!("the conversation of the question has no row that a list shows {when}"),
            judged::MAKE_HEAD,
            judged::NO_HEAD.to_owned(),
        ),
        Spoilt::QuestionCut(text) => (
            "user-message-lost",
            format!("a part of the question is lost {when}"),
            "leave the row of the question unchanged when its turn ends early",
            format!("only `{text}` of the question is stored"),
        ),
        Spoilt::QuestionNowhere(row) => (
            "user-message-lost",
            format!("the question is stored in no conversation {when}: no reload shows it"),
            "make the conversation first, and store the message with its key",
            format!("row {row} has no conversation, but other questions have one"),
        ),
        Spoilt::AnswerAstray {
            row,
            conversation: Some(key),
        } => (
            "wrong-conversation",
            format!("the answer is stored in another conversation {when}"),
            "bind the conversation when the request arrives, not when the answer is complete",
            format!("row {row} has conversation {key}, but the turn was sent to another one"),
        ),
        Spoilt::AnswerAstray {
            row,
            conversation: None,
        } => (
            lost(seen.cause)?.0,
            format!("the answer is stored in no conversation {when}: no reload shows it"),
            "bind the conversation when the request arrives, not when the answer is complete",
            format!("row {row} has no conversation, but other answers have one"),
        ),
        Spoilt::QuestionTwice(keys) => (
            "question-duplicated",
            format!("the question is stored {} times {when}", keys.len()),
            "save the user's message in one place only, before the provider is called",
            format!("rows {}", keys.join(", ")),
        ),
        Spoilt::Note(text) => (
            "error-text-as-answer",
            format!("a text that is not an answer is stored as one {when}"),
            "store the reason why a turn ended in a separate column, or give the message a status that whole \
                answers do not have",
            format!("`{text}` has the status of a whole answer, but the provider never sent it"),
        ),
        Spoilt::Earlier { turn, is_question } => {
            let (whose, code) = if *is_question {
                ("user's message", "user-message-lost")
            } else {
                ("answer", lost(seen.cause)?.0)
            };
            (
                code,
                format!("the {whose} of an earlier turn is lost {when}"),
                "code that ends a turn may change only the rows of that turn",
                format!(
                    "the {whose} of turn {turn} was stored, but no row of the conversation holds it any more"
                ),
            )
        }
    };
    let severity = match spoilt {
        Spoilt::Head if matches!(seen.reload, Some(Reload::Shows { question: true, .. })) => {
            Severity::Warning
        }
        // Where nothing is declared, words of the server's own may be its way to say that the turn ended.
        Spoilt::Note(_) => declared(seen),
        Spoilt::Head
        | Spoilt::QuestionCut(_)
        | Spoilt::QuestionNowhere(_)
        | Spoilt::AnswerAstray { .. }
        | Spoilt::QuestionTwice(_)
        | Spoilt::Earlier { .. } => Severity::Error,
    };
    let finding = finding(seen, code, severity, harm, help);
    Some(finding.with(Source::Store, format!("{}: {fact}", place(seen))))
}

/// Whether the page finds what the store seems to have in the wrong place.
fn is_shown(seen: &EndedEarly, spoilt: &Spoilt) -> bool {
    let Some(Reload::Shows { question, answer }) = seen.reload else {
        return false;
    };
    match spoilt {
        Spoilt::QuestionNowhere(_) => question,
        Spoilt::AnswerAstray { .. } => answer,
        Spoilt::Head
        | Spoilt::QuestionCut(_)
        | Spoilt::QuestionTwice(_)
        | Spoilt::Note(_)
        | Spoilt::Earlier { .. } => false,
    }
}

/// A part looks like a whole answer.
fn called_whole(seen: &EndedEarly, stored: &Stored) -> Option<Finding> {
    let AnswerFate::Cut {
        characters,
        marked: Marked::No,
    } = &stored.answer
    else {
        return None;
    };
    if !stored.is_verbatim {
        return None;
    }
    // A store without a status has nothing that it could say otherwise.
    let severity = if is_called_whole(stored) {
        declared(seen)
    } else {
        Severity::Warning
    };
    let harm = format!(
        "a part of an answer is stored as if it were the whole {}",
        when(seen.cause)
    );
    let help = "store a part with a separate status, such as `interrupted`, and show it as such";
    let status = if stored.tells_whole {
        "with the status that whole answers have"
    } else {
        "and no column marks it as a part"
    };
    let finding = finding(seen, "part-stored-as-whole", severity, harm, help);
    Some(finding.with(
        Source::Store,
        format!(
            "{}: {characters} of {} characters, {status}",
            place(seen),
            seen.client.of
        ),
    ))
}

/// A row says that it is being written, and nobody writes it any more.
fn stuck(seen: &EndedEarly, stored: &Stored) -> Option<Finding> {
    let row = stored.open.as_ref()?;
    let harm = format!("a row stays in progress forever {}", when(seen.cause));
    let help = match seen.cause {
        Cause::Left(_) | Cause::Stopped => {
            "finish the row in a `finally` with a save that can't be cancelled"
        }
        Cause::Restarted(_) => {
            "at start-up, change the status of rows in progress that no process writes any more"
        }
    };
    let finding = finding(seen, "stuck-streaming", declared(seen), harm, help);
    Some(finding.with(
        Source::Store,
        format!(
            "{}: row {row} is still being written, although the provider's answer has ended",
            place(seen)
        ),
    ))
}

/// Whether more of the answer is stored than was declared. Only a declaration of nothing has a most: the others say
/// what has to be there at least.
pub fn is_more_than_declared(seen: &EndedEarly, stored: &Stored) -> bool {
    let could_notice = seen.cause.is_heard() && seen.to_come >= ENOUGH_TO_NOTICE;
    match (wants(seen), &stored.answer) {
        (Some(Keep::Nothing), AnswerFate::Cut { .. }) => stored.is_verbatim,
        // A server that nobody told has finished its turn as always.
        (Some(Keep::Nothing), AnswerFate::Whole) => could_notice,
        (Some(Keep::Nothing), AnswerFate::Nothing | AnswerFate::Unknown(_))
        | (Some(Keep::Part | Keep::Whole) | None, _) => false,
    }
}

fn policy(seen: &EndedEarly, stored: &Stored) -> Option<Finding> {
    let policy = seen.policy?;
    if !is_more_than_declared(seen, stored) {
        return None;
    }
    let key = seen.cause.key()?;
    let harm = format!(
        "more of the answer is stored than {key} = \"{}\" declares",
        policy.name
    );
    let help = format!(
        "declare what the server does, or remove the answer: see {key} in docs/sessions.md"
    );
    let finding = finding(seen, "policy-not-kept", Severity::Error, harm, help);
    Some(finding.with(
        Source::Store,
        format!("{}: {}", place(seen), kept(seen, stored)),
    ))
}

/// A reload shows less than the store holds.
fn reload(seen: &EndedEarly, stored: &Stored) -> Option<Finding> {
    let (severity, fact) = match seen.reload.as_ref()? {
        Reload::Unreadable(why) => (Severity::Error, format!("the history can't be read: {why}")),
        Reload::Shows { question, .. } if stored.question && !question => (
            Severity::Error,
            "the question is stored, but the history lacks it".to_owned(),
        ),
        Reload::Shows { answer: false, .. } => {
            let severity = match (&stored.answer, wants(seen)) {
                (AnswerFate::Whole, _) => Severity::Error,
                // A server may keep a part and not show it, unless the session says otherwise.
                (AnswerFate::Cut { .. }, Some(Keep::Part)) => Severity::Error,
                (AnswerFate::Cut { .. } | AnswerFate::Nothing | AnswerFate::Unknown(_), _) => {
                    Severity::Warning
                }
            };
            (
                severity,
                "the stored part of the answer is not in the history".to_owned(),
            )
        }
        Reload::Shows { answer: true, .. } => return None,
    };
    let harm = format!(
        "a reload shows less than the store holds {}",
        when(seen.cause)
    );
    let help = "return every stored message with its status, also one that was cut off";
    let finding = finding(seen, "history-differs", severity, harm, help);
    Some(finding.with(Source::Stream, format!("{}: {fact}", place(seen))))
}

/// The conversation can't be continued, or the model does not know what the store shows.
fn next(seen: &EndedEarly, stored: &Stored) -> Option<Finding> {
    let next = seen.next.as_ref()?;
    match next {
        NextTurn::Refused { .. } | NextTurn::Failed(_) | NextTurn::Wrong(_) => {
            next.failure().map(|failure| failed(seen, failure))
        }
        NextTurn::Answered {
            question,
            answer,
            answer_later,
            doubt: _,
        } => {
            let (severity, lacks) = if stored.question && !question {
                // Some servers leave out questions that were not answered, since some providers refuse two
                // questions in a row.
                let severity = match stored.answer {
                    AnswerFate::Nothing => Severity::Warning,
                    AnswerFate::Whole | AnswerFate::Cut { .. } | AnswerFate::Unknown(_) => {
                        declared(seen)
                    }
                };
                (severity, "the question")
            } else if !answer {
                (declared(seen), "what is stored of the answer")
            } else if !answer_later && wants(seen) == Some(Keep::Part) {
                (
                    Severity::Warning,
                    "what was stored of the answer a moment later",
                )
            } else {
                return None;
            };
            let harm = format!(
                "in the next turn the model does not know messages that are stored {}",
                when(seen.cause)
            );
            let help = "build the provider's messages from the stored conversation, including parts of answers";
            let finding = finding(seen, "context-lost", severity, harm, help);
            Some(finding.with(
                Source::Gateway,
                format!("{}: the next request lacks {lacks}", place(seen)),
            ))
        }
    }
}

fn failed(seen: &EndedEarly, failure: NextFailure) -> Finding {
    let harm = format!("{} {}", failure.harm, when(seen.cause));
    let help = match seen.cause {
        Cause::Left(_) | Cause::Stopped => {
            "finish the row and release the lock in a `finally`, and accept a question after an unanswered one"
        }
        Cause::Restarted(_) => {
            "at start-up, finish the rows and release the locks of turns that no process works on any more"
        }
    };
    let finding = finding(seen, failure.code, failure.severity, harm, help);
    finding.with(failure.source, format!("{}: {}", place(seen), failure.how))
}

/// Whether the provider has more to say at the point.
fn is_inside(point: Point) -> bool {
    match point {
        Point::BeforeFirstByte | Point::Event(_) | Point::InTool | Point::BetweenSteps => true,
        Point::LastDelta | Point::TextComplete | Point::FinalMarker => false,
    }
}

/// The provider is paid for an answer that nobody keeps.
fn provider(seen: &EndedEarly) -> Option<Finding> {
    let is_inside = is_inside(seen.point);
    let wants_whole = seen.policy?.keep == Keep::Whole;
    let is_whole = seen.provider == ProviderEnd::Whole;
    if wants_whole || !is_whole || !is_inside || !seen.cause.is_heard() {
        return None;
    }
    let harm = "the server does not close its connection to the provider, although the answer need not be complete";
    let help = "close the connection to the provider when the turn is interrupted";
    let finding = finding(seen, "provider-call-goes-on", Severity::Note, harm, help);
    Some(finding.with(
        Source::Gateway,
        format!(
            "{}: the provider's whole answer was sent, and the server had not hung up",
            place(seen)
        ),
    ))
}
