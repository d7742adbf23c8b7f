//! Judges turns that overlapped. Pure.
//!
//! Each question and each answer holds a text that was never sent before, so whatever is in the wrong place is found.

use super::judged::Judged;
use super::sent_twice::Answered;
use super::whole_turn::Usual;
use super::{Observed, TurnSeen};
use crate::model::{Mark, ProviderCall, ProviderEnd, Role, State, StoredMessage};
use crate::report::{Finding, Severity, Source};
use crate::stream::kept::{AnswerFate, Ending, ExpectedAnswer, Marked};
use crate::stream::{kept, marks};
use std::collections::BTreeSet;

/// Findings on the question.
const OF_THE_QUESTION: [&str; 2] = ["user-message-lost", "wrong-conversation"];
/// Findings on the answer.
const OF_THE_ANSWER: [&str; 4] = [
    "never-saved",
    "answer-empty",
    "answer-differs",
    "answer-duplicated",
];

/// One of the turns.
#[derive(Debug)]
pub struct Beside {
    /// What was seen of it alone.
    pub observed: Observed,
    /// Its chat, from 0.
    pub chat: usize,
    /// Whether the server asked its provider for the answer.
    pub asked: bool,
    /// What its request was answered.
    pub answered: Answered,
    /// How the server's requests to its provider ended.
    pub provider: ProviderEnd,
}

impl Beside {
    fn seen(&self) -> &TurnSeen {
        &self.observed.turns[0]
    }

    fn marks(&self) -> [&str; 2] {
        let seen = self.seen();
        [&seen.tag, &seen.nonce]
    }

    /// Whether its question has to be stored: the server took it.
    fn is_taken(&self) -> bool {
        match &self.answered {
            Answered::ToTheEnd => true,
            Answered::Cut | Answered::Otherwise(_) => self.asked,
            Answered::Refused(_) => false,
        }
    }

    /// How many characters of its answer the client has, where the server told it that the answer ends there.
    fn ended_at(&self) -> Option<usize> {
        let TurnSeen { expected, turn, .. } = self.seen();
        let is_part = self.answered == Answered::ToTheEnd
            && !turn.text.trim().is_empty()
            && !kept::has_more(expected, &turn.text)
            && kept::differs_after(&turn.text, expected).is_some();
        is_part.then(|| kept::seen(expected, &turn.text))
    }

    /// How much of it is in messages that are of no other answer, where the client has so much of it.
    fn kept(
        &self,
        client: usize,
        whole: &[Ending],
        is_it: fn(&StoredMessage) -> bool,
    ) -> Option<Marked> {
        let seen = self.seen();
        let is_own = |row: &&StoredMessage| {
            row.role == Role::Assistant
                && row.state != State::Deleted
                && !marks::has_other_answer(&row.content, &seen.nonce)
                && is_it(row)
        };
        let rows: Vec<_> = seen.stored.iter().filter(is_own).collect();
        let known = ExpectedAnswer {
            text: seen.expected.clone(),
            is_all: true,
            expected: seen.expected.clone(),
            nonce: seen.nonce.clone(),
            client,
        };
        match kept::kept(&rows, &known, whole) {
            AnswerFate::Whole => Some(Marked::No),
            AnswerFate::Cut { characters, marked } if characters >= client => Some(marked),
            AnswerFate::Cut { .. } | AnswerFate::Nothing | AnswerFate::Unknown(_) => None,
        }
    }

    /// How its answer is stored, if it is.
    fn endings(&self) -> impl Iterator<Item = Ending> {
        let seen = self.seen();
        let answers = seen
            .with_nonce
            .iter()
            .filter(|row| row.role == Role::Assistant);
        answers.map(|row| Ending::of(row, &seen.nonce))
    }

    fn name(&self) -> String {
        format!("turn {} of chat {}", self.seen().number, self.chat + 1)
    }
}

/// What was seen of all.
#[derive(Debug)]
pub struct SideBySide {
    pub case: String,
    pub turns: Vec<Beside>,
    /// Whether they were under way at the same time.
    pub overlap: Overlap,
    /// The server's requests to its provider meanwhile.
    pub calls: Vec<ProviderCall>,
    /// What the chats without a gate showed.
    pub usual: Usual,
}

/// Whether turns that were sent at the same time overlapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// They did.
    Together,
    /// The server began none as long as it answered another one.
    OneAtATime,
}

/// Judges turns that were sent at the same time.
pub fn judge(seen: &SideBySide) -> Judged {
    let of_each = seen.turns.iter().flat_map(|turn| stored(turn, seen));
    let mut findings: Vec<Finding> = of_each.collect();
    findings.extend(seen.turns.iter().filter_map(|turn| crossed(turn, seen)));
    findings.extend(mixed(seen));
    let findings: Vec<_> = findings
        .into_iter()
        .map(|finding| finding.in_case(&seen.case))
        .collect();
    Judged::by(findings, tell(seen), None::<&str>)
}

fn tell(seen: &SideBySide) -> String {
    let count = |is: fn(&Answered) -> bool| {
        let turns = seen.turns.iter();
        turns.filter(|turn| is(&turn.answered)).count()
    };
    let all = seen.turns.len();
    let for_next = seen
        .turns
        .iter()
        .filter(|turn| is_ended_for_next(turn, seen));
    let for_next = for_next.count();
    let in_part = seen.turns.iter().filter(|turn| turn.ended_at().is_some());
    let in_part = in_part.count();
    let whole = count(|it| matches!(it, Answered::ToTheEnd)) - in_part;
    let refused = count(|it| matches!(it, Answered::Refused(_)));
    let others = all - whole - in_part - refused;
    let mut told = match seen.overlap {
        Overlap::Together => {
            format!("{whole} of {all} simultaneous turns were answered completely")
        }
        Overlap::OneAtATime => format!(
            "the server answers one turn at a time, so no turns overlapped: {whole} of {all} were answered completely"
        ),
    };
    if for_next > 0 {
        told.push_str(&format!(", {for_next} ended when the next one came"));
    }
    if in_part > for_next {
        told.push_str(&format!(", {} in part", in_part - for_next));
    }
    if refused > 0 {
        told.push_str(&format!(", {refused} refused"));
    }
    if others > 0 {
        told.push_str(&format!(", {others} broken off"));
    }
    told
}

/// Whether the server ended a turn when the next one of its conversation came: it hung up on its
/// provider, or the store says that the answer is a part. Who looks only between two pieces whether
/// to stop may have been sent all of them by then.
fn is_ended_for_next(turn: &Beside, seen: &SideBySide) -> bool {
    let is_other = |other: &&Beside| other.marks() != turn.marks();
    let mut later = seen.turns.iter().skip_while(is_other).skip(1);
    let Some(client) = turn.ended_at() else {
        return false;
    };
    let says_so = || {
        let whole: Vec<_> = seen.turns.iter().flat_map(Beside::endings).collect();
        let is_over = |row: &StoredMessage| row.state != State::Open && row.mark != Mark::Writing;
        let marked = turn.kept(client, &whole, is_over);
        matches!(marked, Some(Marked::Status(_) | Marked::Words))
    };
    let is_ended = match turn.provider {
        ProviderEnd::HungUp { .. } => true,
        ProviderEnd::Whole => says_so(),
        ProviderEnd::NotAsked | ProviderEnd::Open => false,
    };
    is_ended && later.any(|other| other.chat == turn.chat)
}

/// What is wrong with what is stored of one turn, by the checks that look at any turn.
fn stored(turn: &Beside, seen: &SideBySide) -> Vec<Finding> {
    let mut found = super::findings(&turn.observed);
    found.retain(|finding| !seen.usual.allows(finding.code, &turn.observed.turns));
    let has_part = || {
        let part = turn
            .ended_at()
            .and_then(|client| turn.kept(client, &[], |_| true));
        part.is_some()
    };
    if is_ended_for_next(turn, seen) && has_part() {
        // The client has no more than that.
        found.retain(|finding| !["never-saved", "answer-differs"].contains(&finding.code));
    }
    found.retain(|finding| {
        let is_question = OF_THE_QUESTION.contains(&finding.code) && turn.is_taken();
        let is_answer = OF_THE_ANSWER.contains(&finding.code)
            && turn.asked
            && turn.answered == Answered::ToTheEnd;
        finding.severity == Severity::Error && (is_question || is_answer)
    });
    for finding in &mut found {
        finding.harm = format!(
            "{}, while another turn is in progress: {}",
            turn.name(),
            finding.harm
        );
    }
    found
}

/// The client of one turn gets words of another.
fn crossed(turn: &Beside, seen: &SideBySide) -> Option<Finding> {
    let text = &turn.seen().turn.text;
    // Most texts hold the end of their own answer only, and are not compared with a thousand others.
    let times = |mark: &str| text.matches(mark).count();
    if times(marks::ANSWER) == times(&turn.seen().nonce) {
        return None;
    }
    let is_other = |other: &&Beside| other.marks() != turn.marks();
    let mut others = seen.turns.iter().filter(is_other);
    let other = others.find(|other| text.contains(&other.seen().nonce))?;
    let (code, harm) = if other.chat == turn.chat {
        (
            "answer-differs",
            "a client receives words of another turn's answer",
        )
    } else {
        (
            "wrong-conversation",
            "a client receives words of another conversation's answer",
        )
    };
    let help = "keep the state of a turn in local variables, not in a module or a class";
    let finding = Finding::new(code, Severity::Error, turn.observed.subject(), harm, help);
    let fact = format!(
        "the response to {} holds the end of the answer to {}",
        turn.name(),
        other.name()
    );
    Some(finding.with(Source::Stream, fact))
}

/// The model gets messages of several conversations.
fn mixed(seen: &SideBySide) -> Option<Finding> {
    let chats = |call: &ProviderCall| {
        let turns = seen.turns.iter();
        let has = |turn: &&Beside| turn.marks().iter().any(|mark| call.marks.contains(*mark));
        turns.filter(has).map(|turn| turn.chat).collect()
    };
    let mut calls = seen.calls.iter().map(|call| (call, chats(call)));
    let (call, chats) = calls.find(|(_, chats): &(_, BTreeSet<usize>)| chats.len() > 1)?;
    let chats: Vec<_> = chats.iter().map(|chat| (chat + 1).to_string()).collect();
    let finding = Finding::new(
        "wrong-conversation",
        Severity::Error,
        seen.turns.first()?.observed.subject(),
        "the model receives messages of another conversation",
        "build the provider's messages from the conversation's own rows",
    );
    let fact = format!(
        "one request, `{}`, holds messages of chats {}",
        call.line,
        chats.join(" and ")
    );
    Some(finding.with(Source::Gateway, fact))
}

#[cfg(test)]
mod tests {
    use super::{Answered, Beside, Observed, Overlap, SideBySide, TurnSeen, Usual, judge};
    use crate::model::{Call, Mark, ProviderCall, ProviderEnd, Role, StoredMessage};
    use crate::report::{Severity, Verdict};

    fn row(chat: usize, role: Role, content: &str) -> StoredMessage {
        StoredMessage {
            conversation: Some(format!("c{chat}")),
            ..StoredMessage::new(format!("{chat}-{content}"), role, content)
        }
    }

    fn turn(chat: usize, number: usize) -> Beside {
        let tag = format!("chatctl-u{chat}{number}00000000000000");
        let nonce = format!("chatctl-a{chat}{number}00000000000000");
        let (user, answer) = (format!("Hello {tag}"), format!("Good day {nonce}"));
        let question = row(chat, Role::User, &user);
        let answered = row(chat, Role::Assistant, &answer);
        let mut seen = TurnSeen {
            user,
            tag,
            nonce,
            expected: answer.clone(),
            conversation: Some(format!("c{chat}")),
            stored: vec![question.clone(), answered.clone()],
            with_tag: vec![question],
            with_nonce: vec![answered],
            ..TurnSeen::blank(number)
        };
        seen.turn.text = answer;
        Beside {
            observed: Observed {
                table: Some("message".to_owned()),
                turns: vec![seen],
                ..Observed::default()
            },
            chat,
            asked: true,
            answered: Answered::ToTheEnd,
            provider: ProviderEnd::Whole,
        }
    }

    /// A first turn that the server ends in mid-answer, with this much of it in a row, and the one that comes then.
    fn interrupted(part: Option<&str>) -> Vec<Beside> {
        let mut first = turn(0, 1);
        first.provider = ProviderEnd::HungUp { chunks: 2 };
        let seen = &mut first.observed.turns[0];
        seen.turn.text = "Good day to".to_owned();
        seen.expected = seen.expected.replace("Good day", "Good day to you");
        seen.with_nonce.clear();
        seen.stored.truncate(1);
        seen.stored
            .extend(part.map(|part| row(0, Role::Assistant, part)));
        let second = turn(0, 2);
        let next = second.observed.turns[0].stored.clone();
        first.observed.turns[0].stored.extend(next);
        vec![first, second]
    }

    #[test]
    fn of_a_turn_that_ends_for_the_next_one_the_part_that_was_shown_is_kept() {
        let told_of = |turns| told(turns, Vec::new());
        assert_eq!(told_of(interrupted(Some("Good day to"))), HELD);
        assert_eq!(
            told_of(interrupted(Some("Good day to you [stopped]"))),
            HELD
        );
        // The answer of the next turn may begin in the same way.
        for part in [None, Some("Good d")] {
            assert_eq!(told_of(interrupted(part)).0, Verdict::Violated, "{part:?}");
        }
        let mut whole = interrupted(Some("Good day to"));
        whole[0].provider = ProviderEnd::Whole;
        assert_eq!(told_of(whole).0, Verdict::Violated);
        let mut sent_all = interrupted(Some("Good day to"));
        sent_all[0].observed.turns[0].turn.text = sent_all[0].observed.turns[0].expected.clone();
        assert_eq!(told_of(sent_all).0, Verdict::Violated);
        // The end of the first turn is no reason to end the second one.
        let mut second = interrupted(Some("Good day to"));
        second.reverse();
        assert_eq!(told_of(second).0, Verdict::Violated);
        let mut alone = interrupted(Some("Good day to"));
        alone.truncate(1);
        assert_eq!(told_of(alone).0, Verdict::Violated);
    }

    /// The server looks only between two pieces whether to stop, and the provider has sent all of
    /// them by then.
    #[test]
    fn a_turn_whose_provider_sent_everything_is_ended_if_the_store_says_so() {
        let told_of = |part: &str, status: &str, mark: Mark| {
            let mut turns = interrupted(Some(part));
            turns[0].provider = ProviderEnd::Whole;
            let with = |row: &mut StoredMessage, status: &str, mark| {
                (row.status, row.mark) = (Some(status.to_owned()), mark);
            };
            let next = &mut turns[1].observed.turns[0];
            with(&mut next.with_nonce[0], "done", Mark::Finished);
            let seen = &mut turns[0].observed.turns[0];
            seen.turn.text = "Good d".to_owned();
            with(&mut seen.stored[1], status, mark);
            // In a store with coarse times, the answer of the next turn may be before its question.
            seen.stored.swap(2, 3);
            told(turns, Vec::new())
        };
        assert_eq!(told_of("Good d", "stopped", Mark::None), HELD);
        assert_eq!(told_of("Good day", "partial", Mark::Partial), HELD);
        assert_eq!(told_of("Good d [stopped]", "done", Mark::Finished), HELD);
        for (part, status, mark) in [
            ("Good d", "done", Mark::Finished),
            ("Good d", "streaming", Mark::Writing),
            ("Good", "stopped", Mark::None),
            ("Stopped.", "stopped", Mark::None),
        ] {
            let found = told_of(part, status, mark);
            assert_eq!(found.0, Verdict::Violated, "{part} {status}");
            assert!(!found.1.contains(&"answer-duplicated"), "{found:?}");
        }
    }

    fn told(turns: Vec<Beside>, calls: Vec<ProviderCall>) -> (Verdict, Vec<&'static str>) {
        let case = "hello/side-by-side".to_owned();
        let usual = Usual {
            whole_answers: true,
            whole_questions: true,
            one_question: true,
            ..Usual::default()
        };
        told_of(SideBySide {
            case,
            turns,
            overlap: Overlap::Together,
            calls,
            usual,
        })
    }

    fn told_of(seen: SideBySide) -> (Verdict, Vec<&'static str>) {
        let judged = judge(&seen);
        let errors = judged.findings.iter();
        let errors = errors.filter(|it| it.severity == Severity::Error);
        (judged.verdict, errors.map(|it| it.code).collect())
    }

    fn found(code: &'static str) -> (Verdict, Vec<&'static str>) {
        (Verdict::Violated, vec![code])
    }

    const HELD: (Verdict, Vec<&str>) = (Verdict::Held, Vec::new());

    #[test]
    fn turns_that_are_stored_where_they_belong_are_right() {
        let calls = vec![call(&[&turn(0, 1)]), call(&[&turn(1, 1)])];
        assert_eq!(told(vec![turn(0, 1), turn(1, 1)], calls), HELD);
        assert_eq!(told(vec![turn(0, 1), turn(0, 2)], Vec::new()), HELD);
    }

    #[test]
    fn what_is_in_another_conversation_is_found() {
        let mut strayed = turn(1, 1);
        strayed.observed.turns[0].with_nonce[0].conversation = Some("c0".to_owned());
        let answered = told(vec![turn(0, 1), strayed], Vec::new());
        assert_eq!(answered.0, Verdict::Violated);
        assert!(answered.1.contains(&"wrong-conversation"), "{answered:?}");
        let mut hears = turn(1, 1);
        hears.observed.turns[0].turn.text += &turn(0, 1).observed.turns[0].nonce;
        let told_of_two = told(vec![turn(0, 1), hears], Vec::new());
        assert_eq!(told_of_two, found("wrong-conversation"));
        let both = vec![call(&[&turn(0, 1), &turn(1, 1)])];
        let told_of_model = told(vec![turn(0, 1), turn(1, 1)], both);
        assert_eq!(told_of_model, found("wrong-conversation"));
    }

    #[test]
    fn two_turns_of_one_conversation_are_not_mixed() {
        let mut mixed = turn(0, 2);
        mixed.observed.turns[0].turn.text += &turn(0, 1).observed.turns[0].nonce;
        assert_eq!(
            told(vec![turn(0, 1), mixed], Vec::new()),
            found("answer-differs")
        );
        // The second request of a conversation has its first turn in it.
        let context = vec![call(&[&turn(0, 1), &turn(0, 2)])];
        assert_eq!(told(vec![turn(0, 1), turn(0, 2)], context), HELD);
    }

    #[test]
    fn what_the_chats_without_a_gate_showed_is_no_finding() {
        let of = |has_versions| {
            let mut twice = turn(1, 1);
            let seen = &mut twice.observed.turns[0];
            let version = StoredMessage {
                key: "another".to_owned(),
                ..seen.with_nonce[0].clone()
            };
            seen.with_nonce.push(version.clone());
            seen.stored.push(version);
            told_of(SideBySide {
                case: "hello/side-by-side".to_owned(),
                turns: vec![turn(0, 1), twice],
                overlap: Overlap::Together,
                calls: Vec::new(),
                usual: Usual {
                    whole_answers: true,
                    whole_questions: true,
                    one_question: true,
                    has_versions,
                    ..Usual::default()
                },
            })
        };
        assert_eq!(of(false), found("answer-duplicated"));
        assert_eq!(of(true), HELD);
    }

    #[test]
    fn what_was_taken_has_to_be_there() {
        let lost = |answered: Answered, asked| {
            let mut second = turn(0, 2);
            let seen = &mut second.observed.turns[0];
            seen.with_tag.clear();
            seen.with_nonce.clear();
            seen.stored.clear();
            (second.answered, second.asked) = (answered, asked);
            told(vec![turn(0, 1), second], Vec::new())
        };
        let (verdict, codes) = lost(Answered::ToTheEnd, true);
        assert_eq!(verdict, Verdict::Violated);
        assert_eq!(codes, ["user-message-lost", "never-saved"]);
        // Nothing was promised of its answer.
        let broken = Answered::Otherwise("broken off".to_owned());
        assert_eq!(lost(broken, true), found("user-message-lost"));
        assert_eq!(lost(Answered::Refused(409), false), HELD);
        // Words that say that the server is busy refuse nothing; an error in the stream does.
        assert_eq!(lost(Answered::ToTheEnd, false), found("user-message-lost"));
        let error = Answered::Otherwise("answered with an error: busy".to_owned());
        assert_eq!(lost(error, false), HELD);
    }

    fn call(turns: &[&Beside]) -> ProviderCall {
        let marks = turns.iter().flat_map(|turn| turn.marks());
        ProviderCall {
            line: "POST /v1/chat/completions".to_owned(),
            call: Call::Main,
            messages: turns.len(),
            marks: marks.map(str::to_owned).collect(),
            refused: None,
        }
    }
}
