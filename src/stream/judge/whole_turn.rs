//! The findings on the stored rows of a completed turn, outside the chats without a gate. Pure.
//!
//! The same checks look at it as at the turns of those chats. What was wrong there too was reported there.

use super::{Observed, TurnSeen, judged};
use crate::model::{Role, State, StoredMessage};
use crate::report::{Finding, Severity, Source};

/// What is searched for in such a turn alone.
const OF_A_TURN: [&str; 8] = [
    "user-message-lost",
    "never-saved",
    "answer-differs",
    "answer-duplicated",
    "question-duplicated",
    "stream-text-differs",
    "wrong-conversation",
    "wrong-role",
];

/// What the chats without a gate showed of every turn.
#[derive(Debug, Clone, Default)]
pub struct Usual {
    /// Codes of what was wrong with those turns, too.
    pub wrong: Vec<&'static str>,
    /// A row held all of each answer.
    pub whole_answers: bool,
    /// A row held all of each question.
    pub whole_questions: bool,
    /// One row held each question.
    pub one_question: bool,
    /// Former versions of answers are kept.
    pub has_versions: bool,
}

impl Usual {
    /// Whether the turns without a gate showed the same, or nothing by which it could be judged.
    pub(super) fn allows(&self, code: &str, turns: &[TurnSeen]) -> bool {
        // A store that spells questions in another way has a row of each.
        let has_row = |turn: &TurnSeen| !turn.with_tag.is_empty();
        let was_right = match code {
            "answer-differs" => self.whole_answers,
            "user-message-lost" => self.whole_questions || !turns.iter().all(has_row),
            "question-duplicated" => self.one_question,
            "answer-duplicated" => !self.has_versions,
            _ => true,
        };
        !was_right || self.wrong.contains(&code)
    }
}

/// What is wrong with a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// The code of its finding.
    pub code: &'static str,
    /// In words, with the fact that shows it.
    pub how: String,
    /// Where that was seen.
    pub source: Source,
}

impl Wrong {
    fn of(finding: &Finding) -> Self {
        let facts: Vec<_> = finding.evidence.iter().map(|it| it.fact.as_str()).collect();
        let source = finding.evidence.last().map(|it| it.source);
        Self {
            code: finding.code,
            how: format!("{} ({})", finding.harm, facts.join("; ")),
            source: source.unwrap_or(Source::Store),
        }
    }

    /// Its conversation has no row of its own.
    pub fn headless() -> Self {
        Self {
            code: "user-message-lost",
            how: format!("no list shows the conversation ({})", judged::NO_HEAD),
            source: Source::Store,
        }
    }

    /// Some of it, for tests of what becomes of it.
    #[cfg(test)]
    pub(super) fn blank(code: &'static str) -> Self {
        Self {
            code,
            how: "it is wrong (row 7)".to_owned(),
            source: Source::Store,
        }
    }
}

/// What is wrong with the texts that are stored, however often, and with their places. `found` has what is reported
/// already.
pub fn of_the_texts<'w>(
    wrong: &'w [Wrong],
    found: &'w [Finding],
) -> impl Iterator<Item = &'w Wrong> {
    let of_texts = [
        "user-message-lost",
        "answer-differs",
        "wrong-conversation",
        "wrong-role",
    ];
    wrong.iter().filter(move |it| {
        of_texts.contains(&it.code) && !found.iter().any(|found| found.code == it.code)
    })
}

/// What is wrong with the only turn of these, and is not the server's way.
pub fn wrong(mut observed: Observed, usual: &Usual) -> Vec<Wrong> {
    let is_there = |row: &StoredMessage| row.state != State::Deleted;
    for turn in &mut observed.turns {
        turn.with_nonce.retain(is_there);
        turn.with_tag.retain(is_there);
        // What an earlier turn has left may come behind the question of this one.
        let (tag, nonce) = (turn.tag.clone(), turn.nonce.clone());
        // A message of the assistant may quote the question.
        let is_own = |row: &StoredMessage| {
            row.content.contains(&nonce)
                || row.role != Role::Assistant && row.content.contains(&tag)
        };
        turn.stored.retain(|row| is_there(row) && is_own(row));
        turn.heard = None;
    }
    let found = super::findings(&observed);
    let is_new = |found: &&Finding| {
        found.severity == Severity::Error
            && OF_A_TURN.contains(&found.code)
            && !usual.allows(found.code, &observed.turns)
    };
    found.iter().filter(is_new).map(Wrong::of).collect()
}

#[cfg(test)]
mod tests {
    use super::{Usual, wrong};
    use crate::model::{Role, State, StoredMessage};
    use crate::stream::judge::{Observed, TurnSeen};

    const ASKED: &str = "Add a task [u1]";
    const SAID: &str = "Task 'Buy milk' has been added. n1";

    fn usual() -> Usual {
        Usual {
            whole_answers: true,
            whole_questions: true,
            one_question: true,
            ..Usual::default()
        }
    }

    fn codes(rows: &[(Role, &str)], usual: &Usual) -> Vec<&'static str> {
        let rows = rows
            .iter()
            .enumerate()
            .map(|(at, (role, text))| StoredMessage {
                conversation: Some("7".to_owned()),
                state: if *text == "gone n1" {
                    State::Deleted
                } else {
                    State::Whole
                },
                ..StoredMessage::new(at.to_string(), role.clone(), *text)
            });
        let stored: Vec<_> = rows.collect();
        let holding = |mark: &str| {
            let rows = stored.iter().filter(|row| row.content.contains(mark));
            rows.cloned().collect()
        };
        let observed = Observed {
            table: Some("messages".to_owned()),
            turns: vec![TurnSeen {
                user: ASKED.to_owned(),
                tag: "u1".to_owned(),
                nonce: "n1".to_owned(),
                answer: Some(SAID.to_owned()),
                expected: SAID.to_owned(),
                conversation: Some("7".to_owned()),
                with_nonce: holding("n1"),
                with_tag: holding("u1"),
                stored,
                ..TurnSeen::blank(2)
            }],
            ..Observed::default()
        };
        let found = wrong(observed, usual);
        found.into_iter().map(|wrong| wrong.code).collect()
    }

    #[test]
    fn a_turn_is_stored_as_it_was_said() {
        let (asked, said) = ((Role::User, ASKED), (Role::Assistant, SAID));
        let of = |rows: &[(Role, &str)]| codes(rows, &usual());
        assert_eq!(of(&[asked.clone(), said.clone()]), [""; 0]);
        // A part of an earlier answer that is stored only now.
        let part = (Role::Assistant, "Task 'Buy milk'");
        assert_eq!(of(&[asked.clone(), part.clone(), said.clone()]), [""; 0]);
        assert_eq!(of(&[asked.clone(), part]), ["never-saved"]);
        // An error that quotes the question does not answer it.
        let quotes = (Role::Assistant, "Error for: Add a task [u1]");
        assert_eq!(of(&[asked.clone(), quotes]), ["never-saved"]);
        assert_eq!(
            of(&[asked.clone(), (Role::Assistant, "gone n1")]),
            ["never-saved"]
        );
        assert_eq!(
            of(&[asked.clone(), (Role::Assistant, "added. n1")]),
            ["answer-differs"]
        );
        let twice = [asked.clone(), said.clone(), said.clone()];
        assert_eq!(of(&twice), ["answer-duplicated"]);
        assert_eq!(
            of(&[(Role::User, "task [u1]"), said.clone()]),
            ["user-message-lost"]
        );
        assert_eq!(of(std::slice::from_ref(&said)), ["user-message-lost"]);
        assert_eq!(of(&[asked.clone(), asked, said]), ["question-duplicated"]);
    }

    #[test]
    fn what_is_so_in_every_turn_is_not_found_again() {
        let cut = [(Role::User, "task [u1]"), (Role::Assistant, "added. n1")];
        assert_eq!(codes(&cut, &Usual::default()), [""; 0]);
        // A question that is spelled in another way has a row.
        let gone = codes(&cut[1..], &Usual::default());
        assert_eq!(gone, ["user-message-lost"]);
        let mut known = usual();
        known.wrong = vec!["answer-differs", "user-message-lost"];
        assert_eq!(codes(&cut, &known), [""; 0]);
        let twice = [
            (Role::User, ASKED),
            (Role::Assistant, SAID),
            (Role::Assistant, SAID),
        ];
        let versions = Usual {
            has_versions: true,
            ..usual()
        };
        assert_eq!(codes(&twice, &versions), [""; 0]);
    }
}
