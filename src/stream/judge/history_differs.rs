//! The history over HTTP differs from the conversation.

use super::{Check, Observed, TurnSeen, is_longer};
use crate::model::{Role, contradicts, known_role};
use crate::report::{Finding, Severity, Source};
use crate::stream::session::Remembered;
use crate::stream::{forms, marks};

pub(super) const CHECK: Check = Check {
    code: "history-differs",
    check,
};

fn check(observed: &Observed) -> Vec<Finding> {
    let mut help = "return the stored messages one by one, in the order in which they were said";
    let (harm, fact) = match &observed.history {
        None => return Vec::new(),
        Some(Err(why)) => ("a reload shows no history".to_owned(), why.clone()),
        Some(Ok(records)) => {
            match difference(observed, records) {
                None => return Vec::new(),
                Some(_) if shows_more(observed, records) => return Vec::new(),
                Some((_, fact)) if is_escaped(observed, records) => {
                    let harm = "a reload shows the messages escaped for HTML: a page that shows them as text shows `&lt;` for `<`";
                    let help = "return each text as it was said, and escape it where a page puts it into HTML";
                    let finding =
                        Finding::new(CHECK.code, Severity::Warning, &observed.session, harm, help);
                    return vec![finding.with(Source::Stream, fact)];
                }
                Some(_) if is_reversed(observed, records) => {
                    help = "order by something that grows with each message, because messages of the same time come \
                        in any order; if the newest message always comes first and the page reverses the list, declare \
                        `order = \"newest-first\"` in [history]";
                    let harm = "after a reload the messages are in the opposite order: the newest comes first";
                    (
                        harm.to_owned(),
                        "read from its end to its beginning, the history is correct".to_owned(),
                    )
                }
                Some(difference) => difference,
            }
        }
    };
    let finding = |harm, help| {
        let finding = Finding::new(CHECK.code, Severity::Error, &observed.session, harm, help);
        finding.with(Source::Stream, fact)
    };
    vec![match observed.history_late {
        None => finding(harm, help),
        Some(late) => finding(
            format!(
                "the history lags behind the store: a reload right after the turn does not show the turn, but \
                    one {} ms later does",
                late.as_millis()
            ),
            "read the conversation from the primary, or wait until the replica or the cache has its newest message",
        )
        .with(
            Source::Store,
            "every message was stored before the history was first requested".to_owned(),
        ),
    }]
}

/// A history that was right when the turns were over, and is not any more.
pub fn later(observed: &Observed) -> Option<Finding> {
    let Some(Ok(records)) = &observed.history else {
        return None;
    };
    // Words that were added are no loss.
    let texts = observed
        .turns
        .iter()
        .flat_map(|turn| [&turn.user, &turn.expected]);
    let has_text = |(record, text): (&Remembered, &String)| record.content.contains(text.trim());
    let is_first = |record: &Remembered| {
        let turn = observed.turns.first();
        turn.is_some_and(|turn| record.content.contains(turn.user.trim()))
    };
    let talk = records.iter().filter(|record| is_talk(observed, record));
    // A greeting may come first.
    let talk: Vec<_> = talk.skip_while(|record| !is_first(record)).collect();
    let is_longer =
        talk.len() == 2 * observed.turns.len() && talk.iter().copied().zip(texts).all(has_text);
    let is_swapped = talk.iter().zip(1..).any(|(record, number)| {
        let who = if number % 2 == 1 {
            Role::User
        } else {
            Role::Assistant
        };
        contradicts(&record.role, &who)
    });
    if is_longer && !is_swapped {
        return None;
    }
    check(observed).into_iter().next()
}

/// Whether it shows what was said, and words behind some of the answers, as the store has them: that is reported of the
/// store.
fn shows_more(observed: &Observed, records: &[Remembered]) -> bool {
    let stored = |turn: &&TurnSeen, text: &str| {
        let mut rows = turn.with_nonce.iter();
        rows.any(|row| row.content.trim() == text.trim())
    };
    let shorter = records.iter().map(|record| {
        let mut turns = observed.turns.iter();
        let of = turns.find(|turn| {
            is_longer(&turn.expected, &record.content) && stored(turn, &record.content)
        });
        match of {
            Some(turn) => Remembered {
                content: turn.expected.clone(),
                ..record.clone()
            },
            None => record.clone(),
        }
    });
    difference(observed, &shorter.collect::<Vec<_>>()).is_none()
}

/// Whether it is what was said, escaped for HTML.
fn is_escaped(observed: &Observed, records: &[Remembered]) -> bool {
    let unescaped = records.iter().map(|record| Remembered {
        content: forms::without_entities(&record.content),
        ..record.clone()
    });
    difference(observed, &unescaped.collect::<Vec<_>>()).is_none()
}

/// Whether a history is the conversation that was held.
pub fn is_right(observed: &Observed, records: &[Remembered]) -> bool {
    difference(observed, records).is_none()
}

/// Whether the newest comes first: each message by itself, or a question and its answer together.
fn is_reversed(observed: &Observed, records: &[Remembered]) -> bool {
    // One turn alone is in no order.
    let mut sizes = 1..=observed.turns.len().min(2);
    sizes.any(|size| {
        let reversed: Vec<_> = records.chunks(size).rev().flatten().cloned().collect();
        is_right(observed, &reversed)
    })
}

/// Records are matched one to one and in order. A greeting may come before them, and records of other roles (a
/// system prompt, a tool's output, the model's reasoning) between them.
fn difference(observed: &Observed, records: &[Remembered]) -> Option<(String, String)> {
    let greetings = greetings(observed, records);
    let talk = |(record, _): &(&Remembered, usize)| is_talk(observed, record);
    let mut shown = records.iter().zip(1..).skip(greetings).filter(talk);
    let said = observed.turns.iter().flat_map(|turn| {
        let both = [(Role::User, &turn.user), (Role::Assistant, &turn.expected)];
        both.map(|(who, text)| (turn.number, who, text))
    });
    for (turn, who, text) in said {
        let fact = match shown.next() {
            Some((record, number))
                if record.content.trim() == text.trim() && contradicts(&record.role, &who) =>
            {
                let harm = format!(
                    "after a reload the {who}'s message of turn {turn} is shown with the wrong role"
                );
                let fact = format!(
                    "record {number} of the history has the role `{}`",
                    record.role
                );
                return Some((harm, fact));
            }
            Some((record, _)) if record.content.trim() == text.trim() => continue,
            Some((record, number)) => format!(
                "record {number} of the history is `{}: {}`, expected `{who}: {text}`",
                record.role, record.content
            ),
            None => format!(
                "the history ends after {} records, expected `{who}: {text}`",
                records.len()
            ),
        };
        let harm = format!("after a reload the {who}'s message of turn {turn} is not in its place");
        return Some((harm, fact));
    }
    shown.next().map(|(record, number)| {
        (
            "after a reload the conversation has messages that nobody sent".to_owned(),
            format!(
                "record {number} of the history is `{}: {}`",
                record.role, record.content
            ),
        )
    })
}

/// The records before the first question.
fn before<'r>(observed: &Observed, records: &'r [Remembered]) -> &'r [Remembered] {
    let is_first = |record: &Remembered| {
        let turn = observed.turns.first();
        turn.is_some_and(|turn| record.content.trim() == turn.user.trim())
    };
    let asked = records.iter().position(is_first);
    &records[..asked.unwrap_or(0)]
}

/// What a history shows before the first question, where it is more than a greeting, and the store
/// has in the conversation before it: a new conversation may begin with an example.
pub fn preface(observed: &Observed, records: &[Remembered]) -> Vec<String> {
    let before = before(observed, records).iter();
    let talk: Vec<_> = before.filter(|record| is_talk(observed, record)).collect();
    let is_greeting = |record: &&Remembered| known_role(&record.role) == Some("assistant");
    if talk.iter().all(is_greeting) {
        return Vec::new();
    }
    let texts: Vec<_> = talk.iter().map(|record| record.content.clone()).collect();
    let turn = observed
        .turns
        .first()
        .filter(|turn| begins_with(turn, &texts));
    turn.map(|_| texts).unwrap_or_default()
}

/// Whether the store has these texts in the turn's conversation before its question, and none of
/// them is of a chat.
pub fn begins_with(turn: &TurnSeen, texts: &[String]) -> bool {
    let stored = turn.stored.iter();
    let before: Vec<_> = stored
        .take_while(|row| !row.content.contains(&turn.tag))
        .collect();
    let is_there = |text: &String| {
        let mut rows = before.iter();
        marks::of(text).is_empty() && rows.any(|row| row.content.trim() == text.trim())
    };
    texts.iter().all(is_there)
}

/// How many records come before the first question, if those of both sides are the assistant's, or
/// are what a new conversation begins with.
fn greetings(observed: &Observed, records: &[Remembered]) -> usize {
    let before = before(observed, records);
    let mut talk = before.iter().filter(|record| is_talk(observed, record));
    let is_greeting = |record: &Remembered| {
        observed.preface.contains(&record.content)
            || known_role(&record.role) == Some("assistant") && !is_of_another(observed, record)
    };
    if talk.all(is_greeting) {
        before.len()
    } else {
        0
    }
}

/// Whether a record is a message of one of both sides. One with a role that nobody knows is if it says what one of
/// them said.
fn is_talk(observed: &Observed, record: &Remembered) -> bool {
    if observed.shares_history && is_of_another(observed, record) {
        return false;
    }
    // The message that calls a tool says nothing.
    let has_calls = observed
        .turns
        .iter()
        .any(|turn| !turn.tool_calls.is_empty());
    match known_role(&record.role) {
        Some("assistant") if has_calls => !record.content.trim().is_empty(),
        Some(role) => role == "user" || role == "assistant",
        None => {
            let mut turns = observed.turns.iter();
            turns.any(|turn| {
                [&turn.user, &turn.expected]
                    .into_iter()
                    .any(|text| record.content.contains(text.trim()))
            })
        }
    }
}

/// Whether chatctl said it, and in another chat.
fn is_of_another(observed: &Observed, record: &Remembered) -> bool {
    let marks = marks::of(&record.content);
    let is_own = |turn: &TurnSeen| {
        let own = [turn.tag.as_str(), turn.nonce.as_str()];
        own.iter()
            .any(|own| !own.is_empty() && record.content.contains(own))
    };
    !marks.is_empty() && !observed.turns.iter().any(is_own)
}

/// Whether a history shows what was said in other chats, and the store has it in the same conversation, or in none.
pub fn is_shared(observed: &Observed, records: &[Remembered]) -> bool {
    let of_others: Vec<_> = records
        .iter()
        .filter(|record| is_of_another(observed, record))
        .collect();
    let is_stored_here = |record: &&Remembered| {
        let mut stored = observed.turns.iter().flat_map(|turn| &turn.stored);
        let marks = marks::of(&record.content);
        stored.any(|row| marks.iter().any(|mark| row.content.contains(mark)))
    };
    let has_conversations = observed.turns.iter().any(|turn| {
        let mut rows = turn.with_nonce.iter().chain(&turn.with_tag);
        rows.any(|row| row.conversation.is_some())
    });
    !of_others.is_empty() && (!has_conversations || of_others.iter().all(is_stored_here))
}

#[cfg(test)]
mod tests {
    use super::{Observed, check, is_right, is_shared};
    use crate::model::{Role, StoredMessage, ToolCall};
    use crate::report::Severity;
    use crate::stream::judge::TurnSeen;
    use crate::stream::marks;
    use crate::stream::session::Remembered;
    use std::time::Duration;

    fn record(role: &str, content: &str) -> Remembered {
        Remembered {
            role: role.to_owned(),
            content: content.to_owned(),
        }
    }

    fn observed(records: Vec<Remembered>, late: Option<Duration>) -> Observed {
        Observed {
            turns: vec![TurnSeen {
                user: "Hello".to_owned(),
                expected: "Good morning".to_owned(),
                ..TurnSeen::blank(1)
            }],
            history: Some(Ok(records)),
            history_late: late,
            ..Observed::default()
        }
    }

    #[test]
    fn what_is_escaped_for_a_page_is_a_warning() {
        let of = |asked: &str, said: &str| {
            let mut observed =
                observed(vec![record("user", asked), record("assistant", said)], None);
            observed.turns[0].user = "Is 1 < 2?".to_owned();
            observed.turns[0].expected = "It is 'so'.".to_owned();
            let found = check(&observed);
            found.first().map(|finding| finding.severity)
        };
        let (asked, said) = ("Is 1 &lt; 2?", "It is &#39;so&#39;.");
        assert_eq!(of(asked, said), Some(Severity::Warning));
        assert_eq!(of("Is 1 ? 2?", said), Some(Severity::Error));
        assert_eq!(of(asked, "It is &#39;s&#39;."), Some(Severity::Error));
        assert_eq!(of("Is 1 < 2?", "It is 'so'."), None);
    }

    #[test]
    fn a_greeting_and_records_of_neither_side_are_no_difference() {
        let asked = || record("user", "Hello");
        let said = || record("assistant", "Good morning");
        let right = |records: Vec<Remembered>| check(&observed(records, None)).is_empty();
        let greeting = || record("assistant", "Hi! How can I help you?");
        assert!(right(vec![greeting(), asked(), said()]));
        let prompt = record("system", "You are helpful.");
        assert!(right(vec![prompt, greeting(), asked(), said()]));
        assert!(right(vec![
            asked(),
            record("reasoning", "They greet."),
            said()
        ]));
        assert!(right(vec![
            record("event", "Alice joined"),
            asked(),
            said()
        ]));
        // Roles of the server's own are right as long as the texts are.
        assert!(right(vec![
            record("0", "Hello"),
            record("1", "Good morning")
        ]));
        let leaked = format!("An answer. {}abcdefgh01234567", marks::ANSWER);
        assert!(!right(vec![record("assistant", &leaked), asked(), said()]));
        assert!(!right(vec![greeting(), said()]));
        assert!(!right(vec![record("user", "Hi"), asked(), said()]));
        assert!(!right(vec![asked(), greeting(), said()]));
    }

    /// As the page of a template shows it.
    #[test]
    fn a_new_conversation_may_begin_with_an_example_that_is_stored_in_it() {
        let example = [record("user", "Is it good?"), record("assistant", "Yes.")];
        let said = [record("user", "Hello"), record("assistant", "Good morning")];
        let records = [example.to_vec(), said.to_vec()].concat();
        let mut observed = observed(records.clone(), None);
        let row = |text: &str| StoredMessage::new(text, Role::User, text);
        observed.turns[0].tag = "Hello".to_owned();
        // What only the history shows is somebody else's.
        observed.turns[0].stored = vec![row("Hello")];
        assert!(super::preface(&observed, &records).is_empty());
        assert!(!check(&observed).is_empty());
        observed.turns[0].stored = vec![row("Is it good?"), row("Yes."), row("Hello")];
        observed.preface = super::preface(&observed, &records);
        assert_eq!(observed.preface, ["Is it good?", "Yes."]);
        assert!(check(&observed).is_empty());
        // One that does not begin so has other messages.
        let mut next = TurnSeen::blank(1);
        next.tag = "Hello".to_owned();
        next.stored = vec![row("Is it bad?"), row("Yes."), row("Hello")];
        assert!(!super::begins_with(&next, &observed.preface));
    }

    /// As the API of a provider has them, and as many servers store and return them.
    #[test]
    fn a_message_that_only_calls_tools_says_nothing() {
        let call = record("assistant", "");
        let records = vec![
            record("user", "Hello"),
            call,
            record("tool", "sunny"),
            record("assistant", "Good morning"),
        ];
        let mut observed = observed(records, None);
        assert!(!check(&observed).is_empty());
        observed.turns[0].tool_calls = vec![ToolCall::default()];
        assert!(check(&observed).is_empty());
    }

    #[test]
    fn one_chat_for_all_shows_what_others_said() {
        let tag = format!("{}0123456789abcdef", marks::QUESTION);
        let others = record("user", &format!("Hi [{tag}]"));
        let own = [record("user", "Hello"), record("assistant", "Good morning")];
        let records = [vec![others], own.to_vec()].concat();
        let mut observed = observed(records.clone(), None);
        let row = |content: &str| StoredMessage {
            conversation: Some("1".to_owned()),
            ..StoredMessage::new("7", Role::User, content)
        };
        observed.turns[0].tag = "Hello".to_owned();
        observed.turns[0].nonce = "Good morning".to_owned();
        observed.turns[0].with_tag = vec![row("Hello")];
        // The store has it in another conversation.
        assert!(!is_shared(&observed, &records));
        assert!(!check(&observed).is_empty());
        observed.turns[0].stored = vec![row(&tag), row("Hello")];
        assert!(is_shared(&observed, &records));
        observed.shares_history = true;
        assert!(check(&observed).is_empty());
        // What is said in this chat is compared all the same.
        observed.history = Some(Ok(records[..2].to_vec()));
        assert!(!check(&observed).is_empty());
    }

    #[test]
    fn a_history_may_get_longer_words_and_lose_none() {
        let said = |answer: &str| vec![record("user", "Hello"), record("assistant", answer)];
        let worse = |records| super::later(&observed(records, None)).is_some();
        assert!(!worse(said("Good morning")));
        assert!(!worse(said("Good morning (checked)")));
        assert!(worse(said("Good")));
        assert!(worse(said("Good morning")[..1].to_vec()));
        assert!(worse(vec![
            record("assistant", "Hello"),
            record("user", "Good morning")
        ]));
    }

    #[test]
    fn a_message_behind_the_only_turn_is_not_called_another_order() {
        let note = record("assistant", "The answer was interrupted.");
        let said = [record("user", "Hello"), record("assistant", "Good morning")];
        let found = check(&observed([said.to_vec(), vec![note]].concat(), None));
        assert!(found[0].harm.contains("that nobody sent"), "{found:?}");
    }

    #[test]
    fn a_history_that_begins_with_the_newest_is_named_as_such() {
        let harm = |order: [&str; 4]| {
            let turn = |number, user: &str, expected: &str| TurnSeen {
                user: user.to_owned(),
                expected: expected.to_owned(),
                ..TurnSeen::blank(number)
            };
            let records = order.map(|text| {
                let role = if text.starts_with('q') {
                    "user"
                } else {
                    "assistant"
                };
                record(role, text)
            });
            let observed = Observed {
                turns: vec![turn(1, "q1", "a1"), turn(2, "q2", "a2")],
                history: Some(Ok(Vec::from(records))),
                ..Observed::default()
            };
            let found = check(&observed).into_iter().next();
            found.map(|finding| finding.harm)
        };
        for order in [["a2", "q2", "a1", "q1"], ["q2", "a2", "q1", "a1"]] {
            let harm = harm(order).unwrap();
            assert!(harm.contains("opposite order"), "{harm}");
        }
        let mixed = harm(["q2", "a1", "q1", "a2"]).unwrap();
        assert!(mixed.contains("not in its place"), "{mixed}");
        assert_eq!(harm(["q1", "a1", "q2", "a2"]), None);
    }

    #[test]
    fn a_history_that_is_late_is_told_from_one_that_never_shows_it() {
        let all = || vec![record("user", "Hello"), record("assistant", "Good morning")];
        let harm = |late| {
            let lacks = observed(vec![record("user", "Hello")], late);
            assert!(!is_right(&lacks, &[record("user", "Hello")]));
            assert!(is_right(&lacks, &all()));
            let [finding] = check(&lacks).try_into().expect("one finding");
            finding.harm
        };
        let never = harm(None);
        assert!(never.contains("is not in its place"), "{never}");
        let late = harm(Some(Duration::from_millis(480)));
        assert!(late.contains("one 480 ms later does"), "{late}");
        assert!(check(&observed(all(), None)).is_empty());
    }
}
