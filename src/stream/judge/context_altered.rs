//! The model receives earlier turns with other content.

use super::{Check, Observed, TurnSeen};
use crate::model::{SentMessage, StoredMessage};
use crate::report::{Finding, Severity, Source};
use crate::stream::{kept, marks};

pub(super) const CHECK: Check = Check {
    code: "context-altered",
    check,
};

/// A message as it was said.
struct Said<'t> {
    turn: usize,
    whose: &'static str,
    mark: &'t str,
    text: &'t str,
    /// The same in another form: what is stored of an answer need not be what the provider said.
    also: &'t str,
    is_user: bool,
}

fn check(observed: &Observed) -> Vec<Finding> {
    let turns = observed.turns.iter().enumerate();
    let found = turns.filter_map(|(index, turn)| {
        let heard = turn.heard.as_ref()?;
        let altered = altered(&observed.turns[..=index], heard)
            .or_else(|| tools_altered(&observed.turns[..index], heard))?;
        let harm = format!("in turn {} {}", turn.number, altered.harm);
        Some((altered.severity, harm, altered.fact))
    });
    let found = found.take(1).map(|(severity, harm, fact)| {
        let help = "send the stored messages to the provider unchanged: each one complete, with its role, in \
            the order of the conversation";
        let finding = Finding::new(CHECK.code, severity, &observed.session, harm, help);
        finding.with(Source::Gateway, fact)
    });
    found.collect()
}

/// What is wrong with a request.
#[derive(Debug, PartialEq, Eq)]
struct Altered {
    severity: Severity,
    harm: String,
    fact: String,
}

/// What is wrong with the request of the last of these turns.
fn altered(turns: &[TurnSeen], heard: &[SentMessage]) -> Option<Altered> {
    let said: Vec<_> = turns.iter().flat_map(said).collect();
    let (earlier, last) = said.split_last_chunk::<2>()?;
    let one = |said: &Said<'_>, severity, how: &str, message: &SentMessage| Altered {
        severity,
        harm: format!(
            "the model gets {how} the {} of turn {}",
            said.whose, said.turn
        ),
        fact: format!(
            "the request has `{}`, but `{}` was said",
            message.text, said.text
        ),
    };
    let cut = || {
        earlier.iter().find_map(|said| {
            Some(one(
                said,
                Severity::Error,
                "only a part of",
                part(said, heard)?,
            ))
        })
    };
    let swapped = || {
        let places: Option<Vec<_>> = earlier
            .iter()
            .chain(&last[..1])
            .map(|said| place(said, heard))
            .collect();
        (!places?.is_sorted()).then(|| Altered {
            severity: Severity::Error,
            harm: "the model gets the messages in the wrong order".to_owned(),
            fact: "each message of the conversation is in the request once, but in another place"
                .to_owned(),
        })
    };
    // Where several agents talk, each may take the others' words for a user's.
    let as_the_users = || {
        earlier.iter().find_map(|said| {
            let message = as_the_users(said, heard)?;
            Some(one(said, Severity::Warning, "as the user's words", message))
        })
    };
    cut().or_else(swapped).or_else(as_the_users)
}

/// What is wrong with the calls and results in a request. Providers refuse a call without its
/// result. A result may be shortened, or left out with its call; but what another call returned is
/// never its result.
fn tools_altered(earlier: &[TurnSeen], heard: &[SentMessage]) -> Option<Altered> {
    let results = |heard: &[SentMessage]| -> Vec<(String, String)> {
        let results = heard.iter();
        let results = results.filter_map(|it| Some((it.result_of.clone()?, it.text.clone())));
        results.collect()
    };
    let given = results(heard);
    let is_answered = |id: &&String| given.iter().any(|(of, _)| of == *id);
    let mut calls = heard.iter().flat_map(|message| &message.calls);
    if let Some(open) = calls.find(|id| !is_answered(id)) {
        return Some(Altered {
            severity: Severity::Error,
            harm: "the model gets a tool call without its result: providers refuse such a request"
                .to_owned(),
            fact: format!("no message of the request has the result of the call `{open}`"),
        });
    }
    let before = earlier.iter().filter_map(|turn| turn.heard.as_deref());
    // What it was given first is what it returned: later it may be cleared or shortened, as others are.
    let mut returned: Vec<(String, String)> = Vec::new();
    for (id, text) in before.flat_map(results) {
        if !returned.iter().any(|(of, _)| *of == id) {
            returned.push((id, text));
        }
    }
    given.iter().find_map(|(id, text)| {
        let (_, own) = returned.iter().find(|(of, _)| of == id)?;
        let (other, _) = returned
            .iter()
            .find(|(of, it)| of != id && it == text && text != own)?;
        Some(Altered {
            severity: Severity::Error,
            harm: "the model gets the result of one tool call as the result of another".to_owned(),
            fact: format!(
                "the result of `{other}` is given for the call `{id}`, which returned `{own}`"
            ),
        })
    })
}

/// The question and the answer of a turn. Of one with tools the answer may be in several messages.
fn said(turn: &TurnSeen) -> [Said<'_>; 2] {
    let in_steps = !turn.tool_calls.is_empty();
    let answer = turn.answer.as_ref().unwrap_or(&turn.expected);
    let question = Said {
        turn: turn.number,
        whose: "question",
        mark: &turn.tag,
        text: &turn.user,
        also: &turn.user,
        is_user: true,
    };
    let answer = Said {
        whose: "answer",
        mark: &turn.nonce,
        text: if in_steps { "" } else { &turn.expected },
        also: if in_steps { "" } else { answer },
        is_user: false,
        ..question
    };
    [question, answer]
}

fn holding<'h>(said: &Said<'_>, heard: &'h [SentMessage]) -> impl Iterator<Item = &'h SentMessage> {
    let mark = said.mark.to_owned();
    heard.iter().filter(move |it| it.text.contains(&mark))
}

fn is_it(said: &Said<'_>, message: &SentMessage) -> bool {
    let is = |text| kept::differs_after(&message.text, text).is_none();
    is(said.text) || is(said.also)
}

/// A message with less than what was said, where no others have the rest of it.
fn part<'h>(said: &Said<'_>, heard: &'h [SentMessage]) -> Option<&'h SentMessage> {
    let all: String = heard.iter().map(|it| it.text.as_str()).collect();
    let is_part = |it: &SentMessage| kept::is_all_in(&it.text, said.text);
    let mut parts = holding(said, heard);
    let first = parts.next().filter(|it| is_part(it))?;
    let has_all = |text| kept::is_all_in(text, &all);
    let is_cut = parts.all(is_part) && !has_all(said.text) && !has_all(said.also);
    (is_cut && !is_meant(said, first)).then_some(first)
}

/// Whether what is left out is not for the model: thoughts in an element of their own, or the name of a command or
/// of whom the user speaks to.
fn is_meant(said: &Said<'_>, part: &SentMessage) -> bool {
    let Some((left_out, _)) = said.text.split_once(part.text.trim()) else {
        return false;
    };
    let left_out = left_out.trim();
    let is_name = left_out.starts_with(['/', '@']) && !left_out.contains(char::is_whitespace);
    is_name || left_out.ends_with('>') && left_out.contains("</")
}

/// An answer that is given for the user's words.
fn as_the_users<'h>(said: &Said<'_>, heard: &'h [SentMessage]) -> Option<&'h SentMessage> {
    let mut same = holding(said, heard);
    let first = same.next().filter(|it| is_it(said, it))?;
    let is_wrong = !said.is_user && first.is_user && same.next().is_none();
    is_wrong.then_some(first)
}

/// Where a message is, if it is there as it was said, and nowhere else.
fn place(said: &Said<'_>, heard: &[SentMessage]) -> Option<usize> {
    let mut places = heard.iter().enumerate();
    let (place, message) = places.find(|(_, it)| it.text.contains(said.mark))?;
    let is_only = !places.any(|(_, it)| it.text.contains(said.mark));
    (is_only && is_it(said, message)).then_some(place)
}

/// The question of another conversation, in the place of one that the user asked: its text, and its mark.
pub(super) fn of_others<'t>(observed: &Observed, turn: &'t TurnSeen) -> Option<&'t SentMessage> {
    let bare = |text: &str, mark: &str| text.replace(mark, "").trim().to_owned();
    let is_named = turn.with_tag.iter().any(|row| row.conversation.is_some());
    let is_other = |message: &&SentMessage| {
        let [mark] = marks::of(&message.text)[..] else {
            return false;
        };
        let is_stored = |row: &StoredMessage| row.content.contains(mark);
        let is_own = observed
            .turns
            .iter()
            .any(|it| it.tag == mark || it.nonce == mark);
        let words = bare(&message.text, mark);
        let mut asked = observed.turns.iter().map(|it| bare(&it.user, &it.tag));
        !is_own && asked.any(|asked| asked == words) && !turn.stored.iter().any(is_stored)
    };
    let mut heard = turn.heard.iter().flatten();
    heard.find(|message| is_named && message.is_user && is_other(message))
}

#[cfg(test)]
mod tests {
    use super::{altered, of_others, tools_altered};
    use crate::model::{Role, SentMessage, StoredMessage, ToolCall};
    use crate::report::Severity;
    use crate::stream::judge::{Observed, TurnSeen};

    fn turn(number: usize, answer: &str) -> TurnSeen {
        TurnSeen {
            user: format!("Ask something [u{number}]"),
            tag: format!("u{number}"),
            expected: answer.to_owned(),
            nonce: format!("a{number}"),
            ..TurnSeen::blank(number)
        }
    }

    fn heard(texts: &[&str]) -> Vec<SentMessage> {
        let message = |text: &&str| SentMessage {
            is_user: !text.starts_with('I'),
            text: (*text).to_owned(),
            ..SentMessage::default()
        };
        texts.iter().map(message).collect()
    }

    fn harm(texts: &[&str]) -> Option<String> {
        let turns = [turn(1, "It is so, a1"), turn(2, "It is not, a2")];
        altered(&turns, &heard(texts)).map(|it| it.harm)
    }

    const ASKED: [&str; 3] = ["Ask something [u1]", "It is so, a1", "Ask something [u2]"];

    #[test]
    fn messages_as_they_were_said_are_silent() {
        let [one, two, three] = ASKED;
        for well in [
            &[one, two, three][..],
            &["You are kind.", one, two, three],
            // All in one, a summary, words around a message, one in two pieces, and one that is found for the second time.
            &["Ask something [u1]: It is so, a1", three],
            &["It was about something.", three],
            &["At noon: Ask something [u1]", "I said: It is so, a1", three],
            &[one, "It is", "It is so, a1", three],
            &["It is so, a1", one, two, three],
        ] {
            assert_eq!(harm(well), None, "{well:?}");
        }
    }

    #[test]
    fn messages_that_were_not_said_so_are_found() {
        let [one, two, three] = ASKED;
        for (wrong, part) in [
            ([one, "Iso, a1", three], None),
            ([one, "is so, a1", three], Some("only a part of the answer")),
            (["[u1]", two, three], Some("only a part of the question")),
            ([three, two, one], Some("in the wrong order")),
            ([two, one, three], Some("in the wrong order")),
        ] {
            let found = harm(&wrong);
            let is_it = part.map_or(found.is_none(), |part| {
                found.as_ref().is_some_and(|found| found.contains(part))
            });
            assert!(is_it, "{wrong:?}: {found:?}");
        }
        let mut turns = [turn(1, "It is so, a1"), turn(2, "")];
        let mut heard = heard(&ASKED);
        heard[1].is_user = true;
        let found = altered(&turns, &heard).unwrap();
        assert_eq!(found.severity, Severity::Warning);
        let harm = "as the user's words the answer of turn 1";
        assert!(found.harm.contains(harm), "{found:?}");
        // What is stored has more than the provider said, and thoughts and commands are left out.
        turns[0].expected = "It is so, a1 (AI)".to_owned();
        turns[0].answer = Some("It is so, a1".to_owned());
        assert_eq!(altered(&turns, &self::heard(&ASKED)), None);
        turns[0].expected = "<think>Hm.</think> It is so, a1".to_owned();
        turns[0].answer = None;
        assert_eq!(altered(&turns, &self::heard(&ASKED)), None);
        turns[0].user = "/ask Ask something [u1]".to_owned();
        assert_eq!(altered(&turns, &self::heard(&ASKED)), None);
        turns[0].tool_calls = vec![ToolCall::default()];
        assert_eq!(altered(&turns, &heard), None);
    }

    #[test]
    fn results_stay_with_their_calls() {
        let said = |calls: &[&str], result_of: Option<&str>, text: &str| SentMessage {
            text: text.to_owned(),
            calls: calls.iter().map(|id| (*id).to_owned()).collect(),
            result_of: result_of.map(str::to_owned),
            ..SentMessage::default()
        };
        let asked = |results: &[(&str, &str)]| {
            let mut heard = vec![said(&["1", "2"], None, "")];
            heard.extend(results.iter().map(|(id, text)| said(&[], Some(id), text)));
            heard
        };
        let first = TurnSeen {
            heard: Some(asked(&[("1", "milk"), ("2", "bread")])),
            ..turn(1, "")
        };
        let harm = |heard: &[SentMessage]| {
            let earlier = std::slice::from_ref(&first);
            tools_altered(earlier, heard).map(|it| it.harm)
        };
        for right in [
            asked(&[("1", "milk"), ("2", "bread")]),
            asked(&[("2", "bread"), ("1", "milk")]),
            asked(&[("1", "[cleared]"), ("2", "bread")]),
            Vec::new(),
        ] {
            assert_eq!(harm(&right), None, "{right:?}");
        }
        for (wrong, how) in [
            (
                asked(&[("1", "bread"), ("2", "milk")]),
                "as the result of another",
            ),
            (
                asked(&[("1", "milk"), ("2", "milk")]),
                "as the result of another",
            ),
            (asked(&[("1", "milk")]), "without its result"),
            (
                asked(&[("1", "milk"), ("1", "bread")]),
                "without its result",
            ),
        ] {
            let found = harm(&wrong);
            assert!(
                found.as_ref().is_some_and(|it| it.contains(how)),
                "{wrong:?}: {found:?}"
            );
        }
    }

    #[test]
    fn results_that_are_cleared_one_after_the_other_are_nobody_elses() {
        let asked = |results: &[(&str, &str)]| {
            let said = |(id, text): &(&str, &str)| SentMessage {
                text: (*text).to_owned(),
                calls: vec![(*id).to_owned()],
                result_of: Some((*id).to_owned()),
                ..SentMessage::default()
            };
            results.iter().map(said).collect::<Vec<_>>()
        };
        let turn = |number, results: &[(&str, &str)]| TurnSeen {
            heard: Some(asked(results)),
            ..turn(number, "")
        };
        let turns = [
            turn(1, &[("1", "milk")]),
            turn(2, &[("1", "[cleared]"), ("2", "bread")]),
        ];
        let both = [("1", "[cleared]"), ("2", "[cleared]")];
        assert_eq!(tools_altered(&turns, &asked(&both)), None);
        let swapped = [("1", "[cleared]"), ("2", "milk")];
        assert!(tools_altered(&turns, &asked(&swapped)).is_some());
    }

    #[test]
    fn a_question_of_another_conversation_is_found() {
        let other = "Ask something [chatctl-u0123456789abcdef]";
        let seen = |conversation: Option<&str>, stored: &str| TurnSeen {
            heard: Some(heard(&[other, ASKED[2]])),
            stored: vec![StoredMessage::new("1", Role::User, stored)],
            with_tag: vec![StoredMessage {
                conversation: conversation.map(str::to_owned),
                ..StoredMessage::new("2", Role::User, ASKED[2])
            }],
            ..turn(2, "")
        };
        let is_found = |turn: TurnSeen| {
            let observed = Observed {
                turns: vec![turn],
                ..Observed::default()
            };
            of_others(&observed, &observed.turns[0]).is_some()
        };
        assert!(is_found(seen(Some("7"), ASKED[2])));
        // All is one chat, or a server quotes what it remembers.
        assert!(!is_found(seen(None, ASKED[2])));
        assert!(!is_found(seen(Some("7"), other)));
        let mut quoted = seen(Some("7"), ASKED[2]);
        let heard = quoted.heard.as_mut().unwrap();
        heard[0].text = format!("They said before: {other}");
        assert!(!is_found(quoted));
    }
}
