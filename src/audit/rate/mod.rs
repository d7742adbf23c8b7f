//! The share of questions that got an answer which is stored: pure.

mod prometheus;
mod spark;

use super::Answer;
use super::asked;
use crate::model::StoredMessage;

pub use prometheus::Figures;
pub use prometheus::Saved;
pub use prometheus::text as prometheus;
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
    /// Now.
    pub now: i64,
    /// The length of a window.
    pub window: i64,
    /// What is younger may still be answered, and does not count.
    pub grace: i64,
    /// When the server was last started.
    pub restart: Option<i64>,
}

/// How many questions, and what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// All that count.
    pub questions: u64,
    /// Those with an answer that says something.
    pub answered: u64,
    /// The others, in the order of [`Answer::MISSING`].
    pub missing: [u64; Answer::MISSING.len()],
}

impl Counts {
    /// The share that was answered, from 0 to 1; unknown where nothing was asked.
    pub fn share(&self) -> Option<f64> {
        (self.questions > 0).then(|| self.answered as f64 / self.questions as f64)
    }

    /// Why the others were not, each with its count.
    pub fn causes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let names = Answer::MISSING.iter().map(|answer| answer.word());
        names.zip(self.missing)
    }

    fn add(&mut self, answer: Answer) {
        self.questions += 1;
        match Answer::MISSING
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
    /// The keys of the first questions that were not answered, with the cause.
    pub examples: Vec<String>,
}

/// So many unanswered questions are named.
const EXAMPLES: usize = 5;

impl Rate {
    /// Nothing counted yet.
    pub fn new(span: Span) -> Self {
        let length = span.now.saturating_sub(span.from).max(0).unsigned_abs();
        let count = length.div_ceil(span.window.max(1).unsigned_abs());
        Self {
            span,
            total: Counts::default(),
            windows: vec![Counts::default(); usize::try_from(count).unwrap_or(0)],
            since_restart: Counts::default(),
            undated: 0,
            young: 0,
            examples: Vec::new(),
        }
    }

    /// Counts the questions of a conversation.
    pub fn take(&mut self, messages: &[StoredMessage]) {
        for asked in asked(messages) {
            let Some(time) = asked.question.time else {
                self.undated += 1;
                continue;
            };
            if time < self.span.from {
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
            // Windows end now; the oldest may be shorter.
            let back = (self.span.now - time) / self.span.window.max(1);
            let at = usize::try_from(back)
                .ok()
                .and_then(|back| self.windows.len().checked_sub(back + 1));
            if let Some(at) = at {
                self.windows[at].add(asked.answer);
            }
            if asked.answer != Answer::Given && self.examples.len() < EXAMPLES {
                self.examples.push(example(asked.question, asked.answer));
            }
        }
    }
}

fn example(question: &StoredMessage, answer: Answer) -> String {
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
    use super::Rate;
    use super::Span;
    use crate::model::Role;
    use crate::model::StoredMessage;

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
            from: 1_000 * second,
            now: 1_250 * second,
            window: 100 * second,
            grace: 60 * second,
            restart: Some(1_100 * second),
        });
        let answer = StoredMessage::new("a", Role::Assistant, "yes");
        let undated = StoredMessage {
            time: None,
            ..question(0)
        };
        rate.take(&[
            question(999),
            question(1_000),
            answer,
            question(1_049),
            question(1_120),
            question(1_200),
            undated,
        ]);
        let counted: Vec<_> = rate
            .windows
            .iter()
            .map(|window| (window.answered, window.questions))
            .collect();
        assert_eq!(counted, [(1, 2), (0, 1), (0, 0)]);
        assert_eq!((rate.total.answered, rate.total.questions), (1, 3));
        assert_eq!(rate.since_restart.questions, 1);
        assert_eq!((rate.undated, rate.young), (1, 1));
        assert_eq!(rate.windows[2].share(), None);
    }
}
