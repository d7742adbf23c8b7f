//! The client is sent less text than is stored: the user sees a part of the answer.

use super::{Check, Observed, TurnSeen};
use crate::report::{Finding, Severity, Source};
use crate::stream::body::{Body, Framing};
use crate::stream::kept;
use crate::stream::sse::Item;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

pub(super) const CHECK: Check = Check {
    code: "stream-text-differs",
    check,
};

/// So many letters and digits are words of the answer, and no mark-up that a server takes out.
const WORDS: usize = 8;

fn check(observed: &Observed) -> Vec<Finding> {
    let missing = |turn| Some((turn, missing(turn, &observed.framing)?));
    let Some((turn, Missing { severity, text })) = observed.turns.iter().find_map(missing) else {
        return Vec::new();
    };
    let streamed = turn.turn.text.trim().chars().count();
    let all = turn.answer.as_deref().unwrap_or_default();
    let all = all.trim().chars().count();
    vec![
        Finding::new(
            CHECK.code,
            severity,
            &observed.session,
            format!(
                "the stream of turn {} shows {streamed} of the answer's {all} characters, but all of it is \
                    stored: the user sees one text before a reload and another one after it",
                turn.number
            ),
            "send every piece that is stored to the client, including the last one, before the final marker",
        )
        .with(Source::Stream, format!("not in the response: `{text}`")),
    ]
}

/// What a stream does not show of an answer.
struct Missing {
    severity: Severity,
    text: String,
}

/// Servers add words, and write Markdown in another form: only what is taken out counts, with
/// nothing in its place, and nowhere else in the response.
fn missing(turn: &TurnSeen, framing: &Framing) -> Option<Missing> {
    let answer = squeezed(turn.answer.as_deref()?);
    let (shown, expected) = (squeezed(&turn.turn.text), squeezed(&turn.expected));
    let is_read = !shown.is_empty() && !kept::is_json_frames(&turn.turn.text);
    if !is_read || turn.turn.failed.is_some() {
        return None;
    }
    // What is not stored as a whole is another check's.
    let rows = turn.answers().into_iter();
    let mut stored = rows.map(|row| squeezed(&row.content));
    if !stored.any(|row| holds(&row, &answer)) || holds(&shown, &answer) || holds(&shown, &expected)
    {
        return None;
    }
    let body = turn.body.as_deref()?;
    let (gap, at_start, at_end) = match gap(&answer, &shown) {
        Some(gap) => gap,
        None if is_thinned(&shown, &answer) => {
            return Some(Missing {
                severity: Severity::Warning,
                text: "letters in several places".to_owned(),
            });
        }
        None => return None,
    };
    let text: String = gap.iter().collect();
    let words = gap.iter().filter(|c| c.is_alphanumeric()).count();
    if words < WORDS || is_elsewhere(gap, &turn.nonce, body, framing) {
        return None;
    }
    let is_words = gap.first().is_some_and(|c| c.is_alphanumeric());
    let severity = match (framing, at_start, at_end) {
        // Where messages begin and end is not kept.
        (Framing::Messages | Framing::SocketIo, _, _) => Severity::Warning,
        (_, false, true) => Severity::Error,
        (_, false, false) if is_words => Severity::Error,
        // A role or mark-up that the client is not to see.
        (_, _, _) => Severity::Warning,
    };
    Some(Missing { severity, text })
}

/// The one piece that a text lacks of another, and whether it is at its beginning or its end.
fn gap<'a>(answer: &'a [char], shown: &[char]) -> Option<(&'a [char], bool, bool)> {
    if shown.len() >= answer.len() {
        return None;
    }
    let same = |(ours, theirs): &(&char, &char)| ours == theirs;
    let before = answer.iter().zip(shown).take_while(same).count();
    let rest = &shown[before..];
    let is_cut = answer.ends_with(rest);
    let end = answer.len() - rest.len();
    is_cut.then(|| (&answer[before..end], before == 0, rest.is_empty()))
}

/// Whether a text is the other one without words at several places.
fn is_thinned(shown: &[char], answer: &[char]) -> bool {
    let words = |text: &[char]| text.iter().filter(|c| c.is_alphanumeric()).count();
    let mut all = answer.iter();
    shown.iter().all(|ours| all.any(|theirs| ours == theirs))
        && words(answer) >= words(shown) + WORDS
}

/// Whether the response may have the missing piece where the profile does not look.
fn is_elsewhere(gap: &[char], nonce: &str, body: &[u8], framing: &Framing) -> bool {
    let text = String::from_utf8_lossy(body);
    let mut places = vec![squeezed(&text)];
    places.extend(
        texts(body, framing)
            .into_values()
            .map(|text| squeezed(&text)),
    );
    let nonce = squeezed(nonce);
    let has_end = holds(gap, &nonce);
    let (head, tail) = (
        &gap[..WORDS.min(gap.len())],
        &gap[gap.len() - WORDS.min(gap.len())..],
    );
    places.iter().any(|place| {
        if has_end {
            holds(place, &nonce)
        } else {
            holds(place, head) || holds(place, tail)
        }
    })
}

/// The text at each place of the events, as it comes from event to event.
fn texts(body: &[u8], framing: &Framing) -> BTreeMap<String, String> {
    let mut decoder = Body::new(framing);
    let mut items = decoder.push(Duration::ZERO, body).unwrap_or_default();
    items.extend(decoder.finish(Duration::ZERO).unwrap_or_default());
    let mut texts = BTreeMap::new();
    for item in items {
        let Item::Frame(frame) = item else { continue };
        match serde_json::from_str(&frame.data) {
            Ok(json) => collect(&json, &frame.event, &mut texts),
            Err(_) => texts.entry(frame.event).or_default().push_str(&frame.data),
        }
    }
    texts
}

fn collect(json: &Value, place: &str, texts: &mut BTreeMap<String, String>) {
    match json {
        Value::String(text) => texts.entry(place.to_owned()).or_default().push_str(text),
        Value::Array(items) => {
            for item in items {
                collect(item, &format!("{place}[]"), texts);
            }
        }
        Value::Object(fields) => {
            for (key, value) in fields {
                collect(value, &format!("{place}.{key}"), texts);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Without white space, which servers strip and add.
fn squeezed(text: &str) -> Vec<char> {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

fn holds(text: &[char], part: &[char]) -> bool {
    !part.is_empty() && text.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::{Framing, Observed, Severity, TurnSeen, check};
    use crate::model::{Role, StoredMessage};
    use crate::stream::turn::Turn;

    const NONCE: &str = "chatctl-a0123456789abcdef";
    const ANSWER: &str = "Task 'Buy milk' has been added. chatctl-a0123456789abcdef";

    /// What a stream with this text and body gets, where all of the answer is stored.
    fn found(text: &str, body: &str, framing: Framing) -> Option<Severity> {
        let row = StoredMessage::new("2", Role::Assistant, ANSWER);
        let turn = TurnSeen {
            answer: Some(ANSWER.to_owned()),
            expected: ANSWER.to_owned(),
            nonce: NONCE.to_owned(),
            turn: Turn {
                text: text.to_owned(),
                ..Turn::default()
            },
            body: Some(body.as_bytes().to_vec()),
            with_nonce: vec![row],
            ..TurnSeen::blank(1)
        };
        let observed = Observed {
            framing,
            turns: vec![turn],
            ..Observed::default()
        };
        check(&observed).first().map(|finding| finding.severity)
    }

    fn plain(text: &str) -> Option<Severity> {
        let body: String = text
            .split_inclusive(' ')
            .map(|it| format!("data: {it}\n\n"))
            .collect();
        found(text, &format!("{body}data: [DONE]\n\n"), Framing::Sse)
    }

    #[test]
    fn a_part_that_is_left_out_is_found() {
        assert_eq!(plain(ANSWER), None);
        let hole = ANSWER.replace("milk' has been ", "");
        for (text, expected) in [
            ("Task 'Buy mi", Some(Severity::Error)),
            (&ANSWER[..ANSWER.len() - 25], Some(Severity::Error)),
            (hole.as_str(), Some(Severity::Error)),
            // A beginning may be a role that the client is not to see.
            (&ANSWER[10..], None),
            (&ANSWER[20..], Some(Severity::Warning)),
            (
                "Tk'ymlk'hbeadddchatctl-a0123456789abcdef",
                Some(Severity::Warning),
            ),
        ] {
            assert_eq!(plain(text), expected, "{text}");
        }
    }

    /// Words of its own, other white space, mark-up, another form: nothing is left out.
    #[test]
    fn what_a_server_adds_or_spells_otherwise_is_silent() {
        let html = ANSWER.replace('\'', "&#39;");
        for text in [
            format!("Sure! {ANSWER} [1]"),
            ANSWER.replace(' ', "\n"),
            ANSWER.replace('\'', ""),
            html,
            ANSWER.to_uppercase(),
            String::new(),
            "Task 'Buy ***' has been added. chatctl-a0123456789abcdef".to_owned(),
        ] {
            assert_eq!(plain(&text), None, "{text}");
        }
    }

    /// A profile that reads a part of the response only shows nothing.
    #[test]
    fn what_the_profile_does_not_read_is_not_missing() {
        let more = "data: {\"delta\":\"Task 'Buy mi\"}\n\ndata: {\"final\":\"lk' has been added. \
                    chatctl-a0123456789abcdef\"}\n\n";
        assert_eq!(found("Task 'Buy mi", more, Framing::Sse), None);
        // In pieces, of which none has all of the mark.
        let pieces = "data: {\"d\":\"Task 'Buy mi\"}\n\ndata: {\"t\":\"lk' has been added. chatctl-a0123\"}\n\n\
                      data: {\"t\":\"456789abcdef\"}\n\n";
        assert_eq!(found("Task 'Buy mi", pieces, Framing::Sse), None);
        let code = "data: {\"t\":\"Task 'Buy \"}\n\ndata: {\"c\":\"milk' has\"}\n\ndata: {\"c\":\" been\"}\n\n\
                    data: {\"t\":\" added. chatctl-a0123456789abcdef\"}\n\n";
        let text = "Task 'Buy  added. chatctl-a0123456789abcdef";
        assert_eq!(found(text, code, Framing::Sse), None);
        assert_eq!(
            found(
                "Task 'Buy mi",
                "{\"t\":\"Task 'Buy mi\"}{\"o\":1}",
                Framing::Messages
            ),
            Some(Severity::Warning)
        );
    }
}
