//! Distinguishes the turn's own request from others next to it.

use super::providers::Question;
use crate::model::Call;
use crate::stream::marks;
use std::collections::BTreeSet;

/// What is kept of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) stream: bool,
    pub(super) last_user: String,
    pub(super) known: Known,
    /// Whether its answer must have a form that the turn's does not have.
    pub(super) is_of_form: bool,
}

/// Which requests may be a turn's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Own {
    /// Any that does not demand a form.
    Any,
    /// Streams only: the server asks something of its own before, and has that whole.
    Streams,
    /// Those that demand a form, too: the server demands it of each answer, or nobody has looked whether it does.
    #[default]
    OfForm,
}

impl Own {
    /// The rule for a turn. Where its own request may be whole, although that of the first turn is not, a stream is
    /// not all that can be its own.
    pub(super) const fn of_turn(self, may_be_whole: bool) -> Self {
        match self {
            Self::Streams if may_be_whole => Self::Any,
            Self::Any | Self::Streams | Self::OfForm => self,
        }
    }
}

/// What a conversation holds; its texts are not kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) messages: usize,
    /// chatctl's own marks in them.
    pub(super) marks: BTreeSet<String>,
}

impl Known {
    /// What was added to it, behind what it had.
    pub(super) fn with(mut self, added: Self) -> Self {
        self.messages += added.messages;
        self.marks.extend(added.marks);
        self
    }

    /// One message more.
    pub(super) fn hears(&mut self, text: &str) {
        self.messages += 1;
        self.marks
            .extend(marks::of(text).into_iter().map(str::to_owned));
    }
}

/// What a request asks, after what was said `before`.
pub(super) fn asked(question: &Question, before: Known) -> Asked {
    let messages = &question.messages;
    let last_user = messages.iter().rev().find(|message| message.is_user);
    let mut known = before;
    for message in messages {
        known.hears(&message.text);
    }
    Asked {
        stream: question.streams,
        last_user: last_user.map_or_else(String::new, |message| message.text.clone()),
        known,
        is_of_form: false,
    }
}

/// Which of the turns under way a request belongs to: the last user message is the turn's, or holds its mark. Where
/// only one is under way it needs neither.
pub(super) fn chosen(asked: &Asked, users: &[&str]) -> Option<usize> {
    let last = asked.last_user.trim();
    let same = users.iter().rposition(|user| user.trim() == last);
    let marked = || {
        let marks = marks::of(last);
        let holds = |user: &&str| marks::of(user).iter().any(|mark| marks.contains(mark));
        users.iter().rposition(holds)
    };
    let only = || (users.len() == 1).then_some(0);
    same.or_else(marked).or_else(only)
}

/// Returns whether a request is the turn's own. `taken`: the turn's own has come already.
///
/// The last user message decides. A prompt that only contains the user's text may be a
/// title request, so it is the turn's own only when it streams, as an answer does. A
/// server that rewrites the user's text altogether is matched by order: the first stream.
///
/// A guard or a router has the same text, and asks before the answer: it demands JSON or the call of a tool, or the
/// answer is a stream and its own is not.
pub(super) fn call(asked: &Asked, user: &str, taken: bool, own: Own) -> Call {
    let same = asked.last_user.trim() == user.trim();
    match (same, asked.stream, taken) {
        _ if asked.is_of_form && own != Own::OfForm => Call::Extra,
        (true, false, false) if own == Own::Streams => Call::Extra,
        (true, _, false) | (false, true, false) => Call::Main,
        (true, _, true) => Call::Retry,
        (false, ..) => Call::Extra,
    }
}

#[cfg(test)]
mod tests {
    use super::{Asked, Call, Known, Own, chosen};
    use crate::gateway::providers;
    use serde_json::json;

    fn ask(content: &serde_json::Value, stream: bool) -> super::Asked {
        let body = json!({"stream": stream, "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": content},
        ]});
        let provider = providers::named("openai-chat").expect("it is in the table");
        let question = (provider.ask)("", &body).expect("it asks well");
        super::asked(&question, Known::default())
    }

    fn call(asked: &Asked, user: &str, taken: bool) -> Call {
        super::call(asked, user, taken, Own::Any)
    }

    /// A guard has the user's text alone, and is asked before the answer.
    #[test]
    fn a_guard_is_not_the_turns_own() {
        let guard = ask(&json!("buy milk"), false);
        assert_eq!(super::call(&guard, "buy milk", false, Own::Any), Call::Main);
        let streams = |asked: &Asked, taken| super::call(asked, "buy milk", taken, Own::Streams);
        assert_eq!(streams(&guard, false), Call::Extra);
        assert_eq!(streams(&ask(&json!("buy milk"), true), false), Call::Main);
        // Who falls back to a whole answer asks again.
        assert_eq!(streams(&guard, true), Call::Retry);
        for stream in [true, false] {
            let of_form = Asked {
                is_of_form: true,
                ..ask(&json!("buy milk"), stream)
            };
            for own in [Own::Any, Own::Streams] {
                assert_eq!(super::call(&of_form, "buy milk", false, own), Call::Extra);
            }
            assert_eq!(
                super::call(&of_form, "buy milk", false, Own::OfForm),
                Call::Main
            );
        }
    }

    /// A command that holds no first turn to look at learns no rule.
    #[test]
    fn where_nobody_has_looked_a_request_that_demands_a_form_is_own() {
        let of_form = Asked {
            is_of_form: true,
            ..ask(&json!("buy milk"), true)
        };
        let call = super::call(&of_form, "buy milk", false, Own::default());
        assert_eq!(call, Call::Main);
    }

    /// The classic way with tools: a whole answer first, and the last one as a stream.
    #[test]
    fn a_whole_request_may_be_own_where_the_turn_has_tools() {
        let whole = ask(&json!("buy milk"), false);
        let call = |may_be_whole| {
            let own = Own::Streams.of_turn(may_be_whole);
            super::call(&whole, "buy milk", false, own)
        };
        assert_eq!(call(true), Call::Main);
        assert_eq!(call(false), Call::Extra);
        assert_eq!(Own::OfForm.of_turn(true), Own::OfForm);
    }

    #[test]
    fn the_same_text_is_the_turns_own_and_then_a_retry() {
        let asked = ask(&json!("buy milk"), true);
        assert_eq!(call(&asked, "buy milk", false), Call::Main);
        assert_eq!(call(&asked, "buy milk", true), Call::Retry);
    }

    #[test]
    fn parts_are_joined() {
        let asked = ask(
            &json!([{"type": "text", "text": "buy "}, {"type": "text", "text": "milk"}]),
            true,
        );
        assert_eq!(call(&asked, "buy milk", false), Call::Main);
    }

    #[test]
    fn of_a_text_only_the_marks_are_kept() {
        let asked = ask(
            &json!(
                "two: chatctl-u1a34567890abcdef, \"chatctl-ab234567890abcdef\" and chatctl-u1a34567890abcdef; chatctl-"
            ),
            true,
        );
        let marks: Vec<_> = asked.known.marks.iter().map(String::as_str).collect();
        assert_eq!(
            marks,
            ["chatctl-ab234567890abcdef", "chatctl-u1a34567890abcdef"]
        );
        assert_eq!(asked.known.messages, 2);
    }

    #[test]
    fn a_title_request_is_extra_before_and_after() {
        let asked = ask(&json!("Make a title for: buy milk"), false);
        assert_eq!(call(&asked, "buy milk", false), Call::Extra);
        assert_eq!(call(&asked, "buy milk", true), Call::Extra);
    }

    #[test]
    fn a_request_belongs_to_the_turn_whose_text_or_mark_it_holds() {
        let asked = |text: &str| ask(&json!(text), true);
        let (one, two) = (
            "a [chatctl-u0000000000000001]",
            "a [chatctl-u0000000000000002]",
        );
        let users = [one, two];
        assert_eq!(chosen(&asked(one), &users), Some(0));
        assert_eq!(chosen(&asked(two), &users), Some(1));
        assert_eq!(
            chosen(&asked(&format!("Answer this: {one}")), &users),
            Some(0)
        );
        assert_eq!(chosen(&asked("something else"), &users), None);
        assert_eq!(chosen(&asked("something else"), &users[..1]), Some(0));
        assert_eq!(chosen(&asked(one), &[]), None);
    }

    #[test]
    fn a_rewritten_prompt_is_matched_by_order() {
        let asked = ask(&json!("Context: … Question: buy milk"), true);
        assert_eq!(call(&asked, "buy milk", false), Call::Main);
        assert_eq!(call(&asked, "buy milk", true), Call::Extra);
    }
}
