//! The share of questions that have a stored answer: pure.

mod prometheus;
mod spark;

use super::{AnswerState, asked};
use crate::model::StoredMessage;

pub use prometheus::{Figures, Saved, text as prometheus};
pub use spark::sparkline;

/// Fewer questions got a stored answer than were asked to.
pub const ANSWERED_LOW: &str = "answered-rate-low";
/// Fewer answers of a probe were stored than were asked to.
pub const SAVED_LOW: &str = "save-rate-low";
/// The findings of `audit rate`.
pub const CODES: &[&str] = &[ANSWERED_LOW, SAVED_LOW];

/// Which questions count. Times are in microseconds since 1970 UTC, spans in microseconds.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// From here on.
    pub from: i64,
    /// Up to here, which does not belong to it any more.
    pub until: i64,
    pub now: i64,
    /// The length of a window.
    pub window: i64,
    /// What is younger may still be answered, and does not count.
    pub grace: i64,
    /// When the server was last started.
    pub restart: Option<i64>,
    /// Whether somebody chose `until`, so that what is later is left out on purpose.
    pub is_chosen: bool,
}

/// How far the clocks of the server and of chatctl may differ.
const SKEW: i64 = 60_000_000;

const DAY: i64 = 86_400_000_000;
/// From 1970-01-01, a Thursday, to the first Monday.
const MONDAY: i64 = 4 * DAY;

impl Span {
    /// Where the window with this number begins: on a border of the clock in UTC, so that each run
    /// cuts the same hours, days and weeks. The first one may begin before the span does.
    pub fn border(&self, number: usize) -> i64 {
        let window = self.window.max(1);
        let first = if window % (7 * DAY) == 0 { MONDAY } else { 0 };
        let into = self.from.saturating_sub(first).rem_euclid(window);
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        (self.from - into).saturating_add(window.saturating_mul(number))
    }
}

/// How many questions, and what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// All that count.
    pub questions: u64,
    /// Those with an answer that says something.
    pub answered: u64,
    /// The others, in the order of [`AnswerState::MISSING`].
    pub missing: [u64; AnswerState::MISSING.len()],
}

impl Counts {
    /// The share that was answered, from 0 to 1; unknown where nothing was asked.
    pub fn share(&self) -> Option<f64> {
        (self.questions > 0).then(|| self.answered as f64 / self.questions as f64)
    }

    /// Why the others were not, each with its count.
    pub fn causes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let names = AnswerState::MISSING.iter().map(|answer| answer.word());
        names.zip(self.missing)
    }

    fn add(&mut self, answer: AnswerState) {
        self.questions += 1;
        match AnswerState::MISSING
            .iter()
            .position(|missing| *missing == answer)
        {
            Some(at) => self.missing[at] += 1,
            None => self.answered += 1,
        }
    }
}

/// The counts of a span.
#[derive(Debug, Clone)]
pub struct Rate {
    /// What counts.
    pub span: Span,
    /// All of it.
    pub total: Counts,
    /// By window, the oldest first.
    pub windows: Vec<Counts>,
    /// Those that were asked since the server was last started.
    pub since_restart: Counts,
    /// Questions without a time: they count nowhere.
    pub undated: u64,
    /// Questions that are younger than the grace.
    pub young: u64,
    /// Questions whose time is still to come: they count nowhere.
    pub ahead: Counts,
    /// The keys of the first questions that were not answered, with the cause.
    pub examples: Vec<String>,
}

/// So many unanswered questions are named.
const EXAMPLES: usize = 5;

impl Rate {
    /// Nothing counted yet.
    pub fn new(span: Span) -> Self {
        let length = span.until.saturating_sub(span.border(0)).max(0);
        let count = length
            .unsigned_abs()
            .div_ceil(span.window.max(1).unsigned_abs());
        Self {
            span,
            total: Counts::default(),
            windows: vec![Counts::default(); usize::try_from(count).unwrap_or(0)],
            since_restart: Counts::default(),
            undated: 0,
            young: 0,
            ahead: Counts::default(),
            examples: Vec::new(),
        }
    }

    /// Counts the questions of a conversation, which is read at the moment `read`: reading takes time, and what
    /// was asked meanwhile is not from the future.
    pub fn add(&mut self, messages: &[StoredMessage], read: i64) {
        for asked in asked(messages) {
            let Some(time) = asked.question.time else {
                self.undated += 1;
                continue;
            };
            let is_left_out = self.span.is_chosen && time >= self.span.until;
            if time > read.saturating_add(SKEW) && !is_left_out {
                self.ahead.add(asked.answer);
                continue;
            }
            if time < self.span.from || time >= self.span.until {
                continue;
            }
            if time > self.span.now.saturating_sub(self.span.grace) {
                self.young += 1;
                continue;
            }
            self.total.add(asked.answer);
            if self.span.restart.is_some_and(|restart| time >= restart) {
                self.since_restart.add(asked.answer);
            }
            let at = time.saturating_sub(self.span.border(0)) / self.span.window.max(1);
            let at = usize::try_from(at).ok();
            if let Some(window) = at.and_then(|at| self.windows.get_mut(at)) {
                window.add(asked.answer);
            }
            if asked.answer != AnswerState::Given && self.examples.len() < EXAMPLES {
                self.examples.push(example(asked.question, asked.answer));
            }
        }
    }
}

fn example(question: &StoredMessage, answer: AnswerState) -> String {
    let conversation = question
        .conversation
        .as_ref()
        .map(|key| format!("conversation `{key}`, "))
        .unwrap_or_default();
    format!(
        "{conversation}message `{}`: {}",
        question.key,
        answer.word()
    )
}

#[cfg(test)]
mod tests {
    use super::{Rate, Span};
    use crate::model::{Role, StoredMessage};

    fn question(second: i64) -> StoredMessage {
        StoredMessage {
            time: Some(second * 1_000_000),
            ..StoredMessage::new(second.to_string(), Role::User, second.to_string())
        }
    }

    #[test]
    fn questions_fall_into_their_windows() {
        let second = 1_000_000;
        let mut rate = Rate::new(Span {
            from: 1_050 * second,
            until: 1_250 * second,
            now: 1_250 * second,
            window: 100 * second,
            grace: 60 * second,
            restart: Some(1_100 * second),
            is_chosen: false,
        });
        let answer = StoredMessage::new("a", Role::Assistant, "yes");
        let undated = StoredMessage {
            time: None,
            ..question(0)
        };
        rate.add(
            &[
                question(1_049),
                question(1_050),
                answer,
                question(1_099),
                question(1_100),
                question(1_200),
                question(1_250),
                undated,
            ],
            1_250 * second,
        );
        let counted: Vec<_> = rate
            .windows
            .iter()
            .map(|window| (window.answered, window.questions))
            .collect();
        assert_eq!(counted, [(1, 2), (0, 1), (0, 0)]);
        let borders = [0, 1, 2].map(|number| rate.span.border(number) / second);
        assert_eq!(borders, [1_000, 1_100, 1_200]);
        assert_eq!((rate.total.answered, rate.total.questions), (1, 3));
        assert_eq!(rate.since_restart.questions, 1);
        assert_eq!((rate.undated, rate.young), (1, 1));
        assert_eq!(rate.windows[2].share(), None);
    }

    #[test]
    fn a_question_from_the_future_is_counted_apart() {
        let second = 1_000_000;
        let span = Span {
            from: 0,
            until: 1_000 * second,
            now: 1_000 * second,
            window: 1_000 * second,
            grace: 60 * second,
            restart: None,
            is_chosen: false,
        };
        let answer = || StoredMessage::new("a", Role::Assistant, "yes");
        // A minute is within what clocks differ by, and the reading began a minute ago.
        let asked = [
            question(900),
            answer(),
            question(1_120),
            question(1_121),
            question(4_600),
            answer(),
        ];
        let counted = |span: Span| {
            let mut rate = Rate::new(span);
            rate.add(&asked, 1_060 * second);
            (
                rate.total.questions,
                rate.ahead.questions,
                rate.ahead.answered,
            )
        };
        assert_eq!(counted(span), (1, 2, 1));
        let is_chosen = Span {
            is_chosen: true,
            ..span
        };
        assert_eq!(counted(is_chosen), (1, 0, 0));
    }

    #[test]
    fn windows_begin_where_hours_days_and_weeks_do() {
        let hour = 3_600_000_000;
        // 2026-11-29T17:23:07Z, a Sunday.
        let from = 1_795_972_987_000_000;
        let begins = |window: i64| {
            let span = Span {
                from,
                until: from,
                now: from,
                window,
                grace: 0,
                restart: None,
                is_chosen: false,
            };
            let ago = (from - span.border(0)) / 1_000_000;
            format!("{}:{:02}:{:02}", ago / 3600, ago / 60 % 60, ago % 60)
        };
        assert_eq!(begins(hour), "0:23:07");
        assert_eq!(begins(hour / 4), "0:08:07");
        assert_eq!(begins(24 * hour), "17:23:07");
        assert_eq!(begins(7 * 24 * hour), "161:23:07");
    }
}
