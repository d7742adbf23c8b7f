//! The findings on such a turn.

use super::{ProviderFailed, ResponseEnd, Said, Stored, kept};
use crate::report::{Finding, Severity, Source};
use crate::stream::kept::{AnswerFate, Marked};

/// Everything that is wrong.
pub(super) fn all(seen: &ProviderFailed, stored: &Stored) -> Vec<Finding> {
    let found = [
        question(seen, stored),
        asked_twice(seen, stored),
        astray(seen, stored),
        answer(seen, stored),
        duplicated(seen, stored),
        blank(seen, stored),
        error(seen, stored),
        stuck(seen, stored),
        next(seen),
    ];
    found.into_iter().flatten().collect()
}

/// An error where the user takes the turn for one that is well; else worth a look.
fn unless_told(seen: &ProviderFailed) -> Severity {
    match seen.client.end {
        ResponseEnd::Well => Severity::Error,
        ResponseEnd::WithWords | ResponseEnd::Failed(_) | ResponseEnd::Unread => Severity::Warning,
    }
}

fn finding(
    seen: &ProviderFailed,
    code: &'static str,
    severity: Severity,
    harm: impl Into<String>,
    help: &str,
) -> Finding {
    Finding::new(code, severity, &seen.subject, harm.into(), help).in_case(&seen.case)
}

/// A fact with what the provider did.
fn fact(seen: &ProviderFailed, fact: impl std::fmt::Display) -> String {
    format!("turn {}, {}: {fact}", seen.turn, seen.what)
}

fn question(seen: &ProviderFailed, stored: &Stored) -> Option<Finding> {
    // A request that is refused as a whole leaves the question in the user's hands.
    let is_refused =
        matches!(&seen.client.end, ResponseEnd::Failed(_)) && seen.said == Said::Refused;
    if stored.question || is_refused {
        return None;
    }
    let harm = "the question is lost when the provider fails";
    let help = "commit the user's message before the provider is called";
    let severity = unless_told(seen);
    let finding = finding(seen, "user-message-lost", severity, harm, help);
    Some(finding.with(Source::Store, fact(seen, "no row holds the question")))
}

/// Whoever tries again begins the whole turn again.
fn asked_twice(seen: &ProviderFailed, stored: &Stored) -> Option<Finding> {
    let rows = &stored.asked_twice;
    if rows.is_empty() {
        return None;
    }
    let harm = format!(
        "the question is stored {} times when the provider fails",
        rows.len()
    );
    let help = "repeat only the request to the provider, and not the code that stores the question";
    let finding = finding(seen, "question-duplicated", Severity::Error, harm, help);
    Some(finding.with(
        Source::Store,
        fact(seen, format!("rows {}", rows.join(", "))),
    ))
}

fn astray(seen: &ProviderFailed, stored: &Stored) -> Option<Finding> {
    let key = stored.astray.as_ref()?;
    let harm = "the answer is stored in another conversation when the provider fails";
    let help = "bind the conversation when the request arrives, not when the answer is complete";
    let finding = finding(seen, "wrong-conversation", Severity::Error, harm, help);
    let where_to = format!("the answer is in conversation {key}, but its question is not");
    Some(finding.with(Source::Store, fact(seen, where_to)))
}

/// The answer that was said is not the answer that is stored, and the user does not know.
fn answer(seen: &ProviderFailed, stored: &Stored) -> Option<Finding> {
    if stored.error.is_some() {
        // That is what is wrong with it.
        return None;
    }
    match (seen.said, &stored.answer) {
        (Said::NoText, _) | (_, AnswerFate::Unknown(_)) => None,
        (_, AnswerFate::Whole) => differs(seen, stored),
        (Said::Whole, AnswerFate::Nothing) => not_saved(seen, stored, "all of the answer"),
        (Said::Whole, AnswerFate::Cut { marked, .. }) => match (&seen.client.end, marked) {
            (ResponseEnd::Well, _) => {
                let fact = format!("of the provider's text, {}", kept(stored));
                Some(changed(
                    seen,
                    Severity::Error,
                    "a part of the answer is lost",
                    fact,
                ))
            }
            (_, Marked::No) => part_as_whole(seen, stored, Severity::Warning),
            (_, Marked::Status(_) | Marked::Words) => None,
        },
        (Said::BrokenOff | Said::Early | Said::Refused, AnswerFate::Nothing) => {
            match seen.client.characters {
                // Where parts can't be told from other texts, one may be there.
                Some(seen_by_client) if seen_by_client > 0 => stored
                    .is_verbatim
                    .then(|| not_saved(seen, stored, "a part of the answer"))
                    .flatten(),
                Some(_) => hidden(seen, stored),
                None => None,
            }
        }
        (Said::BrokenOff | Said::Early | Said::Refused, AnswerFate::Cut { marked, .. }) => {
            match marked {
                Marked::Status(_) | Marked::Words => None,
                Marked::No if !stored.is_verbatim => None,
                // Client libraries report nothing there, and neither does the server.
                Marked::No if seen.said == Said::Early => {
                    part_as_whole(seen, stored, Severity::Warning)
                }
                Marked::No => part_as_whole(seen, stored, unless_told(seen)),
            }
        }
    }
}

fn differs(seen: &ProviderFailed, stored: &Stored) -> Option<Finding> {
    let how = stored.differs.as_ref()?;
    let harm = "the stored answer is not the text that the provider sent";
    Some(changed(seen, unless_told(seen), harm, how.clone()))
}

fn changed(seen: &ProviderFailed, severity: Severity, harm: &str, how: String) -> Finding {
    let help = "store the text unchanged: UTF-8 in a column that is wide enough, and decode only complete events";
    finding(seen, "answer-differs", severity, harm, help).with(Source::Store, fact(seen, how))
}

fn not_saved(seen: &ProviderFailed, stored: &Stored, what: &str) -> Option<Finding> {
    if seen.client.end != ResponseEnd::Well {
        return None;
    }
    let harm = format!("{what} is shown with the final marker, but is not stored");
    let help =
        "save the streamed text, or end the response with an error in place of the final marker";
    let finding = finding(seen, "never-saved", Severity::Error, harm, help);
    Some(finding.with(Source::Store, fact(seen, kept(stored))))
}

fn hidden(seen: &ProviderFailed, stored: &Stored) -> Option<Finding> {
    if seen.client.end != ResponseEnd::Well {
        return None;
    }
    let harm = "the provider fails, and the user sees an empty answer and no error";
    let help = "end the response with an error in place of the final marker when the provider gives no answer";
    let finding = finding(seen, "provider-error-hidden", Severity::Error, harm, help);
    Some(
        finding
            .with(
                Source::Stream,
                fact(seen, "the final marker came, with no text and no error"),
            )
            .with(Source::Store, kept(stored)),
    )
}

fn part_as_whole(seen: &ProviderFailed, stored: &Stored, severity: Severity) -> Option<Finding> {
    let harm = "a part of an answer is stored as if it were the whole when the provider's stream breaks off";
    let help = "store a part with a separate status, such as `interrupted`, and find the reason why the answer ended";
    let status = if stored.tells_whole {
        "with the status that whole answers have"
    } else {
        "and no column marks it as a part"
    };
    let finding = finding(seen, "part-stored-as-whole", severity, harm, help);
    Some(finding.with(
        Source::Store,
        fact(seen, format!("{}, {status}", kept(stored))),
    ))
}

fn duplicated(seen: &ProviderFailed, stored: &Stored) -> Option<Finding> {
    if stored.copies < 2 {
        return None;
    }
    let harm = "the answer is stored more than once";
    let help = "save each turn once, whatever the provider repeats";
    let finding = finding(seen, "answer-duplicated", Severity::Error, harm, help);
    let copies = format!("{} rows hold the answer's end", stored.copies);
    Some(finding.with(Source::Store, fact(seen, copies)))
}

/// A placeholder that nobody filled.
fn blank(seen: &ProviderFailed, stored: &Stored) -> Option<Finding> {
    let row = stored.blank.as_ref()?;
    let (severity, harm, help) = match seen.said {
        // A column that the mapping does not name may hold the rest of it.
        Said::NoText => (
            Severity::Warning,
            "an empty message is stored as the answer when the model gives no text: some providers refuse a \
             history with one",
            "store no row for an answer without text, or do not send it to the model",
        ),
        Said::Whole | Said::BrokenOff | Said::Early | Said::Refused => (
            unless_told(seen),
            "an empty message is stored as the answer when the provider fails",
            "insert the answer only when there is text to store, or finish its row on every exit path",
        ),
    };
    let finding = finding(seen, "answer-empty", severity, harm, help);
    Some(finding.with(Source::Store, fact(seen, format!("row {row} has no text"))))
}

fn error(seen: &ProviderFailed, stored: &Stored) -> Option<Finding> {
    let row = stored.error.as_ref()?;
    let harm = "the text of the provider's error is stored as an answer";
    let help = "store a failure in a separate column, and do not send the turn to the model";
    let finding = finding(seen, "error-text-as-answer", Severity::Error, harm, help);
    let fact = fact(seen, format!("row {row} has the text of the error"));
    Some(finding.with(Source::Store, fact))
}

/// A row says that it is being written, and nobody writes it any more.
fn stuck(seen: &ProviderFailed, stored: &Stored) -> Option<Finding> {
    let row = stored.open.as_ref()?;
    let harm = "a row stays in progress forever when the provider fails";
    let help = "finish the row in a `finally`";
    let finding = finding(seen, "stuck-streaming", Severity::Warning, harm, help);
    let fact = fact(seen, format!("row {row} is still being written"));
    Some(finding.with(Source::Store, fact))
}

/// The conversation can't be continued, or what is said in it later is not stored.
fn next(seen: &ProviderFailed) -> Option<Finding> {
    let failure = seen.next.failure()?;
    let harm = format!("{} after the provider failed", failure.harm);
    let help = "finish the row and release the lock in a `finally`, and accept a question after an unanswered one";
    let finding = finding(seen, failure.code, failure.severity, harm, help);
    Some(finding.with(failure.source, fact(seen, failure.how)))
}
