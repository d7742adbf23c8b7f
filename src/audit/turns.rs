//! The questions of a conversation, and the outcome of each: pure.

use crate::model::{Mark, Role, State, StoredMessage};
use std::collections::HashSet;

/// A question, and what the store holds as its answer.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'m> {
    /// The user's message.
    pub question: &'m StoredMessage,
    /// What became of it.
    pub answer: AnswerState,
}

/// What became of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AnswerState {
    /// A whole answer that says something.
    Given,
    /// None, and the user asked the same once more: nobody does that who has seen an answer saved.
    AskedAgain,
    /// None, and the user continued at once with something that was answered: both may be meant as
    /// one question.
    WentOn,
    /// No row at all.
    NoRow,
    /// A row without a text and without a call of a tool.
    Empty,
    /// A row that is still marked as being written.
    Open,
    /// A row that is marked as failed.
    Failed,
}

impl AnswerState {
    /// Every way in which an answer can be missing.
    pub const MISSING: [Self; 6] = [
        Self::AskedAgain,
        Self::WentOn,
        Self::NoRow,
        Self::Empty,
        Self::Open,
        Self::Failed,
    ];

    /// The name of the cause in reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Given => "answered",
            Self::AskedAgain => "asked-again",
            Self::WentOn => "went-on",
            Self::NoRow => "no-row",
            Self::Empty => "empty",
            Self::Open => "open",
            Self::Failed => "failed",
        }
    }
}

/// The same question after so long, in microseconds, is asked again by a person.
const AGAIN: i64 = 300_000_000;
/// Who says more within so long, in microseconds, can't have waited for an answer and read it.
const ON: i64 = 10_000_000;
/// The same question within so long, in microseconds, is one question that was stored twice.
pub(super) const TWICE: i64 = 2_000_000;

/// The questions in order. Of branches only the current one counts. What is deleted for the user
/// counts as never asked, and an answer that is deleted was given. A user's message that says
/// nothing is not a question: stores hand a tool's result back in one.
pub fn asked(messages: &[StoredMessage]) -> Vec<Asked<'_>> {
    let mut speaking: Vec<_> = messages.iter().filter(|message| counts(message)).collect();
    untie(&mut speaking);
    let returned = returned(messages);
    let mut found: Vec<Asked<'_>> = Vec::new();
    let mut at = 0;
    while at < speaking.len() {
        let message = speaking[at];
        at += 1;
        // What is deleted ends the answers to what was asked before, and needs none.
        let is_question = message.role == Role::User && is_shown(message);
        if !is_question || twice(speaking.get(at).copied(), message) {
            continue;
        }
        let rest = &speaking[at..];
        let answers = rest
            .iter()
            .take_while(|next| next.role == Role::Assistant)
            .count();
        let again = rest
            .get(answers)
            .is_some_and(|next| same(next, message, AGAIN));
        found.push(Asked {
            question: message,
            answer: match of(&rest[..answers]) {
                AnswerState::Given if !ends_with_result(&rest[..answers], &returned) => {
                    AnswerState::Given
                }
                _ if again => AnswerState::AskedAgain,
                AnswerState::Given => AnswerState::Open,
                missing => missing,
            },
        });
    }
    for at in (1..found.len()).rev() {
        let (before, next) = (found[at - 1], found[at]);
        let went_on = near(before.question, next.question, ON)
            && matches!(next.answer, AnswerState::Given | AnswerState::WentOn);
        if before.answer == AnswerState::NoRow && went_on {
            found[at - 1].answer = AnswerState::WentOn;
        }
    }
    found
}

/// The keys of the answers behind which the result of a tool comes as a row of its own.
fn returned(messages: &[StoredMessage]) -> HashSet<&str> {
    let mut found = HashSet::new();
    let mut last = None;
    for message in messages.iter().filter(|message| is_shown(message)) {
        match &message.role {
            Role::Assistant => last = Some(message.key.as_str()),
            Role::User if !is_empty(message) => last = None,
            Role::Other(word) if RESULTS.contains(&word.as_str()) => found.extend(last),
            Role::User | Role::Other(_) => {}
        }
    }
    found
}

/// The roles of rows with a tool's result.
const RESULTS: [&str; 2] = ["tool", "function"];

/// Whether answers without any text end with a tool's result, which the model never answered. A call alone may be
/// the page's to show.
fn ends_with_result(answers: &[&StoredMessage], returned: &HashSet<&str>) -> bool {
    let is_result = |answer: &StoredMessage| {
        let tools = &answer.tools;
        !tools.is_empty()
            && tools
                .iter()
                .all(|tool| tool.input.is_none() && tool.output.is_some())
    };
    let says_nothing = |answer: &&StoredMessage| {
        let is_empty = answer.content.trim().is_empty();
        is_empty && answer.attachments == 0 && answer.others == 0 && answer.state != State::Deleted
    };
    answers.iter().all(says_nothing)
        && answers
            .last()
            .is_some_and(|last| is_result(last) || returned.contains(last.key.as_str()))
}

/// Puts a question before an answer that only a random key puts before it: nothing orders the two, and
/// an answer comes after a question. One that follows an open question may be that one's.
fn untie(speaking: &mut [&StoredMessage]) {
    for at in 1..speaking.len() {
        let (first, second) = (speaking[at - 1], speaking[at]);
        let is_turned = first.role == Role::Assistant && second.role == Role::User;
        let is_free = at < 2 || speaking[at - 2].role == Role::Assistant;
        if is_turned && is_free && are_tied(first, second) {
            speaking.swap(at - 1, at);
        }
    }
}

/// Letters with which keys of one time begin alike where they are made of the time.
const OF_TIME: usize = 6;

/// Whether nothing but a random key orders two messages.
fn are_tied(first: &StoredMessage, second: &StoredMessage) -> bool {
    let is_number = |message: &StoredMessage| message.key.parse::<i64>().is_ok();
    let begins_alike = first
        .key
        .bytes()
        .zip(second.key.bytes())
        .take_while(|(a, b)| a == b)
        .count();
    first.time.is_some()
        && first.time == second.time
        && first.order == second.order
        && !is_number(first)
        && !is_number(second)
        && begins_alike < OF_TIME
}

/// Whether a message is one that the user sees.
pub(super) fn is_shown(message: &StoredMessage) -> bool {
    message.on_branch && message.state != State::Deleted
}

fn counts(message: &StoredMessage) -> bool {
    match message.role {
        Role::User => message.on_branch && !is_empty(message),
        Role::Assistant => message.on_branch,
        Role::Other(_) => false,
    }
}

/// Whether a message says nothing.
pub(super) fn is_empty(message: &StoredMessage) -> bool {
    message.content.trim().is_empty() && message.tools.is_empty()
}

fn twice(next: Option<&StoredMessage>, message: &StoredMessage) -> bool {
    next.is_some_and(|next| same(next, message, TWICE))
}

fn same(next: &StoredMessage, message: &StoredMessage, within: i64) -> bool {
    near(message, next, within)
        && is_shown(next)
        && next.role == message.role
        && next.content.trim() == message.content.trim()
}

/// Whether a message comes so soon after another one.
fn near(first: &StoredMessage, second: &StoredMessage, within: i64) -> bool {
    match (first.time, second.time) {
        (Some(first), Some(second)) => (0..=within).contains(&second.saturating_sub(first)),
        _ => false,
    }
}

/// The best of several answers counts; of none the last says why.
fn of(answers: &[&StoredMessage]) -> AnswerState {
    let told = |answer: &&StoredMessage| match (answer.state, answer.mark) {
        (State::Failed, _) => AnswerState::Failed,
        (State::Open, Mark::Waiting) if !is_empty(answer) => AnswerState::Given,
        (State::Open, _) => AnswerState::Open,
        (State::Deleted, _) => AnswerState::Given,
        (State::Whole, Mark::Writing | Mark::Partial) => AnswerState::Open,
        (State::Whole, _) if answer.has_failed() => AnswerState::Failed,
        (State::Whole, _) if is_empty(answer) => AnswerState::Empty,
        (State::Whole, Mark::None | Mark::Waiting | Mark::Finished) => AnswerState::Given,
    };
    let given = answers
        .iter()
        .any(|answer| told(answer) == AnswerState::Given);
    match answers.last() {
        _ if given => AnswerState::Given,
        Some(last) => told(last),
        None => AnswerState::NoRow,
    }
}

#[cfg(test)]
mod tests {
    use super::{AnswerState, asked};
    use crate::model::{Mark, Role, State, StoredMessage, ToolCall};

    fn message(role: Role, text: &str, second: i64) -> StoredMessage {
        StoredMessage {
            time: Some(second * 1_000_000),
            ..StoredMessage::new(second.to_string(), role, text)
        }
    }

    fn told(messages: &[StoredMessage]) -> Vec<AnswerState> {
        asked(messages).iter().map(|asked| asked.answer).collect()
    }

    #[test]
    fn each_way_to_miss_an_answer_is_distinguished() {
        let user = |second| message(Role::User, &format!("q{second}"), second);
        let bot = |text, second| message(Role::Assistant, text, second);
        let with = |state, second| StoredMessage {
            state,
            ..bot("half", second)
        };
        let messages = [
            user(0),
            bot("a", 1),
            user(100),
            user(200),
            bot(" ", 201),
            user(300),
            with(State::Open, 301),
            user(400),
            with(State::Failed, 401),
            bot("at last", 402),
            user(500),
            with(State::Failed, 501),
        ];
        let expected = [
            AnswerState::Given,
            AnswerState::NoRow,
            AnswerState::Empty,
            AnswerState::Open,
            AnswerState::Given,
            AnswerState::Failed,
        ];
        assert_eq!(told(&messages), expected);
    }

    /// A mapping that declares nothing of it reads the status column all the same.
    #[test]
    fn an_answer_is_given_once_its_status_says_so() {
        let of = |status: &str, mark| {
            let mut answer = message(Role::Assistant, "half", 1);
            (answer.status, answer.mark) = (Some(status.to_owned()), mark);
            told(&[message(Role::User, "q", 0), answer])
        };
        for (status, mark, expected) in [
            ("streaming", Mark::Writing, AnswerState::Open),
            ("Failed", Mark::None, AnswerState::Failed),
            (" error ", Mark::None, AnswerState::Failed),
            ("complete", Mark::Finished, AnswerState::Given),
            ("stopped", Mark::None, AnswerState::Given),
            ("sent", Mark::None, AnswerState::Given),
        ] {
            assert_eq!(of(status, mark), [expected], "{status}");
        }
    }

    #[test]
    fn the_same_question_is_a_retry_or_a_double() {
        let user = |second| message(Role::User, "same", second);
        let answer = message(Role::Assistant, "a", 900);
        let told = |first, second| told(&[user(first), user(second), answer.clone()]);
        assert_eq!(told(0, 60), [AnswerState::AskedAgain, AnswerState::Given]);
        assert_eq!(told(0, 1), [AnswerState::Given]);
        assert_eq!(told(0, 800), [AnswerState::NoRow, AnswerState::Given]);
    }

    #[test]
    fn who_goes_on_at_once_may_mean_one_question() {
        let user = |text: &str, second| message(Role::User, text, second);
        let answer = message(Role::Assistant, "a", 900);
        let told = |first, second| told(&[user("q", first), user("and?", second), answer.clone()]);
        assert_eq!(told(0, 9), [AnswerState::WentOn, AnswerState::Given]);
        assert_eq!(told(0, 11), [AnswerState::NoRow, AnswerState::Given]);
        let unanswered = [user("q", 0), user("and?", 5)];
        assert_eq!(
            self::told(&unanswered),
            [AnswerState::NoRow, AnswerState::NoRow]
        );
    }

    /// A random key orders nothing; a number, a key made of the time, and a position do.
    #[test]
    fn what_nothing_orders_is_no_lost_answer() {
        let of = |role, key: &str, second| StoredMessage {
            key: key.to_owned(),
            ..message(role, key, second)
        };
        let turn = |answer: &str, question: &str| {
            told(&[
                of(Role::User, "first", 0),
                of(Role::Assistant, "then", 1),
                of(Role::Assistant, answer, 5),
                of(Role::User, question, 5),
            ])
        };
        let (given, missing) = (AnswerState::Given, AnswerState::NoRow);
        assert_eq!(turn("1c0e7f", "9b2d44"), [given, given]);
        assert_eq!(turn("12", "13"), [given, missing]);
        assert_eq!(turn("01939a4f-1", "01939a4f-2"), [given, missing]);
        let open = [
            of(Role::User, "b", 0),
            of(Role::Assistant, "a1", 5),
            of(Role::User, "c2", 5),
        ];
        assert_eq!(told(&open), [given, missing]);
        let later = [of(Role::Assistant, "a", 4), of(Role::User, "b", 5)];
        assert_eq!(told(&later), [missing]);
    }

    /// A turn whose row has no question hands a tool's result back.
    #[test]
    fn an_answer_may_come_after_a_message_that_says_nothing() {
        let mut round = vec![
            message(Role::User, "q", 0),
            message(Role::Assistant, "", 1),
            message(Role::User, "", 2),
        ];
        assert_eq!(told(&round), [AnswerState::Empty]);
        round.push(message(Role::Assistant, "a", 3));
        assert_eq!(told(&round), [AnswerState::Given]);
    }

    /// Where each call and each result is a row of its own, the answer is the row after them.
    #[test]
    fn a_tools_result_is_no_answer() {
        let call = |input: Option<&str>, output: Option<&str>, second| StoredMessage {
            tools: vec![ToolCall {
                name: "search".to_owned(),
                input: input.map(str::to_owned),
                output: output.map(str::to_owned),
            }],
            ..message(Role::Assistant, "", second)
        };
        let result = |second| message(Role::Other("tool".to_owned()), "{}", second);
        let of = |answers: &[StoredMessage]| {
            let question = |second| message(Role::User, "milk?", second);
            told(&[&[question(0)][..], answers, &[question(900)]].concat())[0]
        };
        let given = message(Role::Assistant, "Yes.", 4);
        let asked = call(Some("{}"), None, 1);
        let response = call(None, Some("{}"), 2);
        for lost in [
            [asked.clone(), result(2)],
            [asked.clone(), response.clone()],
        ] {
            assert_eq!(of(&lost), AnswerState::Open);
            let answered = [&lost[..], std::slice::from_ref(&given)].concat();
            assert_eq!(of(&answered), AnswerState::Given);
        }
        // What the page shows, and a call with its result in one row.
        assert_eq!(of(&[asked]), AnswerState::Given);
        assert_eq!(of(&[call(Some("{}"), Some("{}"), 1)]), AnswerState::Given);
        let words = message(Role::Assistant, "I search.", 1);
        assert_eq!(of(&[words, result(2)]), AnswerState::Given);
    }

    #[test]
    fn an_answer_that_the_user_deleted_was_given() {
        let deleted = StoredMessage {
            state: State::Deleted,
            ..message(Role::Assistant, "a", 1)
        };
        let question = |second| message(Role::User, "q", second);
        assert_eq!(told(&[question(0), deleted.clone()]), [AnswerState::Given]);
        // It was given to the question that was deleted with it.
        let with = StoredMessage {
            state: State::Deleted,
            ..question(1)
        };
        assert_eq!(told(&[question(0), with, deleted]), [AnswerState::NoRow]);
    }

    #[test]
    fn what_is_deleted_or_on_a_left_branch_was_never_asked() {
        let mut left = message(Role::User, "q", 1);
        left.on_branch = false;
        let deleted = StoredMessage {
            state: State::Deleted,
            ..message(Role::User, "q", 2)
        };
        assert_eq!(told(&[left, deleted]), []);
    }
}
